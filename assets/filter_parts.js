/* Parts of the Cell Filter: elements, lists of values to tick, and histograms to brush. Texts come from files and from
 * whoever named things: they are only ever set as text. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const SVG = "http://www.w3.org/2000/svg";
  const WAIT = 180; // ms after the last key before something is searched

  const number = (value) => Number(value).toLocaleString("en-US");
  const cellsText = (count) => `${number(count)} ${count === 1 ? "cell" : "cells"}`;

  /**
   * Make an element.
   * @param {string} tag
   * @param {Object} [props]  properties; `class`, `role`, `aria-*` and `data-*` are set as attributes, `on*` are listeners
   * @param {...(Node|string|null)} children
   */
  function make(tag, props = {}, ...children) {
    const element = document.createElement(tag);
    if (tag === "button") element.type = "button";
    for (const [name, value] of Object.entries(props)) {
      if (value === undefined || value === null) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (/^(class|role|for|list|aria-.*|data-.*)$/.test(name)) element.setAttribute(name, value);
      else element[name] = value;
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  /** Words that may be written from right to left, kept apart from what stands around them. */
  const words = (text, name) => make("bdi", { class: name, title: text, textContent: text });

  const icon = (name) => make("i", { class: `bi bi-${name}`, "aria-hidden": "true" });

  /** A button that is an icon, named for those who do not see it. */
  const iconButton = (name, label, onclick, more = "") =>
    make("button", { class: `icon-button ${more}`, title: label, "aria-label": label, onclick }, icon(name));

  /**
   * Let a button say why it cannot be used, rather than take it out of reach.
   * @param {HTMLButtonElement} button
   * @param {string|null} reason  null lets it be used
   */
  function allow(button, reason) {
    button.dataset.title = button.dataset.title || button.title || button.textContent;
    button.setAttribute("aria-disabled", String(reason !== null));
    button.title = reason === null ? button.dataset.title : `${button.dataset.title}: ${reason}`;
  }
  const isAllowed = (button) => button.getAttribute("aria-disabled") !== "true";

  /** Call a function a while after the last of several calls. */
  function later(call, wait = WAIT) {
    let timer = null;
    return (...values) => {
      clearTimeout(timer);
      timer = setTimeout(() => call(...values), wait);
    };
  }

  /** Ask the server; its sentence is thrown when it refuses. */
  async function ask(path, query) {
    const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== null));
    let response;
    try {
      response = await iscan.read(iscan.address(`/api/v1/filter/${path}?${asked}`));
    } catch {
      throw new Error("The server does not answer. Try again when it is back.");
    }
    const answer = await response
      .json()
      .catch(() => ({ error: "The server's answer is not understood. Load the page again." }));
    if (!response.ok) throw new Error(answer.error || "The server refused to answer. Load the page again.");
    return answer;
  }

  const problemText = (sentence) => make("p", { class: "field-error", role: "alert", textContent: sentence });

  /** A value as a field shows it: what was measured, not the digits of its float. */
  const shortest = (value) => String(Number(Number(value).toPrecision(6)));

  // -- values to tick ----------------------------------------------------------------------------------------------

  /**
   * The values of a column with check boxes, counts and a search; more are fetched as one scrolls.
   * @param {Object} asked
   * @param {string} asked.kind, asked.key
   * @param {string} asked.title
   * @param {Object} asked.condition                    of labels; what is ticked at first
   * @param {function(Object): void} asked.onChange     the condition after each change
   * @param {boolean} [asked.hasNot]                    whether the ticked values can be left out rather than kept
   * @returns {{element: HTMLElement, show: function(Object): void, reload: function(): void}}
   *   `show` ticks what another condition says, `reload` asks for the values again
   */
  function valuesList({ kind, key, title, condition, onChange, hasNot = true }) {
    let ticked = new Set(condition.values || []);
    let missing = Boolean(condition.missing);
    let not = Boolean(condition.not);
    let asking = 0; // number of the newest question
    let found = { values: [], n_levels: 0, missing: 0, n_found: 0 };
    const search = make("input", {
      class: "form-control form-control-sm",
      type: "search",
      placeholder: "Search values",
      "aria-label": `Search values of ${title}`,
      autocomplete: "off",
      spellcheck: false,
    });
    const status = make("span", { class: "muted numbers", role: "status" });
    const list = make("div", { class: "filter-values", role: "group", "aria-label": `Values of ${title}` });
    const all = make("button", {
      class: "btn btn-link btn-sm",
      textContent: "All",
      title: "Tick every value that is listed",
    });
    const none = make("button", { class: "btn btn-link btn-sm", textContent: "None", title: "Tick nothing" });
    const turned = make("input", {
      type: "checkbox",
      class: "form-check-input",
      onchange: () => change(() => (not = turned.checked)),
    });
    const head = make(
      "div",
      { class: "filter-values-head" },
      search,
      all,
      none,
      hasNot
        ? make(
            "label",
            { class: "form-check-label filter-not", title: "Keep the cells that have none of the ticked values" },
            turned,
            " All but these",
          )
        : null,
    );
    const element = make("div", { class: "filter-values-box" }, head, list, status);

    const current = () => ({ is: "labels", kind, key, values: [...ticked], missing, not });

    function change(act) {
      act();
      say();
      onChange(current());
    }

    function say() {
      const n = ticked.size + (missing ? 1 : 0);
      const many = found.n_levels === 1 ? "1 value" : `${number(found.n_levels)} values`;
      const listed = search.value.trim() ? `${number(found.n_found)} of ${many} listed` : many;
      status.textContent = `${listed}, ${number(n)} ticked`;
      turned.checked = not;
    }

    function row({ label, count, colour }, isMissing) {
      const box = make("input", {
        type: "checkbox",
        class: "form-check-input",
        checked: isMissing ? missing : ticked.has(label),
      });
      box.addEventListener("change", () =>
        change(() => {
          if (isMissing) missing = box.checked;
          else if (box.checked) ticked.add(label);
          else ticked.delete(label);
        }),
      );
      const swatch = make("span", { class: "legend-swatch" });
      if (colour) swatch.style.backgroundColor = colour;
      else swatch.classList.add("is-none");
      const text = isMissing ? make("i", { textContent: "missing" }) : words(label, "filter-label");
      const made = make(
        "label",
        { class: `filter-value${isMissing ? " is-missing" : ""}` },
        box,
        swatch,
        text,
        make("span", { class: "number", textContent: number(count) }),
      );
      if (isMissing) made.dataset.missing = "";
      else made.dataset.value = label;
      return made;
    }

    function tickRows() {
      for (const made of list.querySelectorAll(".filter-value"))
        made.firstChild.checked = "missing" in made.dataset ? missing : ticked.has(made.dataset.value);
    }

    async function load(offset) {
      const mine = ++asking;
      const q = search.value.trim();
      try {
        const answer = await ask("values", { kind, key, q: q || undefined, offset });
        if (mine !== asking) return;
        const rows = answer.values.map((value) => row(value, false));
        if (offset) {
          found.values.push(...answer.values);
          list.append(...rows);
        } else {
          found = { ...answer, values: [...answer.values] };
          // The missing ones come first: at the end of a thousand nobody would see them.
          const isSought = !q || "missing".includes(q.toLocaleLowerCase());
          const seen = list.scrollTop;
          list.replaceChildren(
            ...(answer.missing && isSought ? [row({ label: "", count: answer.missing }, true)] : []),
            ...rows,
          );
          list.scrollTop = seen;
          if (!list.childElementCount)
            list.append(make("p", { class: "muted", textContent: q ? "No value matches" : "No cell has a value here" }));
        }
        found.n_found = answer.n_found ?? found.values.length;
        say();
      } catch (error) {
        if (mine === asking) list.replaceChildren(problemText(error.message));
      }
    }

    const more = () => {
      const isNearEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 120;
      if (isNearEnd && found.values.length < found.n_found && !list.dataset.busy) {
        list.dataset.busy = "yes";
        load(found.values.length).finally(() => delete list.dataset.busy);
      }
    };
    list.addEventListener("scroll", more);
    walk(list, "input");
    search.addEventListener(
      "input",
      later(() => load(0)),
    );
    search.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") {
        event.preventDefault();
        list.querySelector("input")?.focus();
      }
    });
    all.addEventListener("click", async () => {
      // Those that were not scrolled to yet are meant too.
      while (found.values.length < found.n_found) {
        const before = found.values.length;
        await load(before);
        if (found.values.length === before) return;
      }
      change(() => {
        for (const { label } of found.values) ticked.add(label);
        if (list.querySelector("[data-missing]")) missing = true;
        tickRows();
      });
    });
    none.addEventListener("click", () =>
      change(() => {
        ticked = new Set();
        missing = false;
        tickRows();
      }),
    );
    load(0);
    return {
      element,
      reload: () => load(0),
      show(other) {
        ticked = new Set(other.values || []);
        missing = Boolean(other.missing);
        not = Boolean(other.not);
        tickRows();
        say();
      },
    };
  }

  // -- numbers to brush --------------------------------------------------------------------------------------------

  const svg = (tag, attributes) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  /**
   * A histogram with a brush, and two fields for those who know the numbers.
   * @param {Object} asked
   * @param {string} asked.kind, asked.key
   * @param {string} asked.title
   * @param {Object} asked.condition                 of a range; low, high (null: open), missing and not
   * @param {function(Object): void} asked.onChange  the condition after each change
   *   `isWhole` when the whole range was asked for
   * @param {boolean} [asked.hasNot]                 whether the range can be left out rather than kept
   * @param {string} [asked.whole]                   what the button says that asks for the whole range
   * @returns {{element: HTMLElement, show: function(Object): void}}
   */
  function rangeBrush({ kind, key, title, condition, onChange, hasNot = true, whole: wholeText = "Whole range" }) {
    const WIDTH = 400;
    const HEIGHT = 96;
    let { low = null, high = null, missing = false, not = false } = condition;
    let data = null;
    const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "filter-histogram" });
    const bars = svg("g", {});
    const brush = svg("rect", { y: 0, height: HEIGHT, class: "filter-brush", visibility: "hidden" });
    chart.append(brush, bars);
    const ends = make("div", { class: "filter-ends numbers muted" });
    const handles = ["low", "high"].map((side) =>
      make("div", {
        class: "filter-handle",
        role: "slider",
        tabIndex: 0,
        "data-side": side,
        "aria-label": `${side === "low" ? "Lowest" : "Highest"} ${title}`,
      }),
    );
    const canvas = make("div", { class: "filter-canvas", title: "Drag to choose a range" }, chart, ...handles);
    const field = (label) =>
      make("input", {
        class: "form-control form-control-sm",
        type: "text",
        inputMode: "decimal",
        "aria-label": `${label} ${title}`,
        autocomplete: "off",
        placeholder: label,
      });
    const [from, to] = [field("Lowest"), field("Highest")];
    const missingBox = make("input", { type: "checkbox", class: "form-check-input" });
    const missingText = make("span", {});
    const missingLabel = make(
      "label",
      { class: "form-check-label filter-missing", hidden: true },
      missingBox,
      " ",
      missingText,
    );
    const turned = make("input", { type: "checkbox", class: "form-check-input" });
    turned.addEventListener("change", () => {
      not = turned.checked;
      change();
    });
    const whole = make("button", {
      class: "btn btn-link btn-sm",
      textContent: wholeText,
      title: hasNot ? "Take the range away" : "Take every cell that has a number",
    });
    const problem = make("p", { class: "field-error", role: "alert" });
    const fields = make(
      "div",
      { class: "filter-range" },
      from,
      make("span", { class: "muted", textContent: "to" }),
      to,
      missingLabel,
      hasNot
        ? make(
            "label",
            { class: "form-check-label", title: "Keep the cells outside the range, and those without a number" },
            turned,
            " All but these",
          )
        : null,
      whole,
    );
    const element = make("div", { class: "filter-numbers" }, canvas, ends, fields, problem);

    const change = (isWhole = false) =>
      onChange({ is: "range", kind, key, low, high, missing, not, ...(isWhole ? { isWhole } : {}) });
    const start = () => data.edges[0];
    const span = () => data.edges[data.edges.length - 1] - start();
    const place = (value) => Math.min(1, Math.max(0, (value - start()) / span()));
    const valueAt = (part) => start() + part * span();

    function draw() {
      // Numbers may be typed before the histogram is there.
      if (!data) return;
      const [first, last] = [low === null ? 0 : place(low), high === null ? 1 : place(high)];
      const isOpen = low === null && high === null;
      brush.setAttribute("visibility", isOpen ? "hidden" : "visible");
      brush.setAttribute("x", first * WIDTH);
      brush.setAttribute("width", Math.max(0.5, (last - first) * WIDTH));
      [...bars.children].forEach((bar) => {
        const middle = Number(bar.dataset.middle);
        bar.classList.toggle("is-out", !isOpen && (middle < first || middle > last));
      });
      for (const [handle, part, value] of [
        [handles[0], first, low ?? data.low],
        [handles[1], last, high ?? data.high],
      ]) {
        handle.style.left = `${(100 * part).toFixed(3)}%`;
        handle.setAttribute("aria-valuemin", data.low);
        handle.setAttribute("aria-valuemax", data.high);
        handle.setAttribute("aria-valuenow", value);
        handle.setAttribute("aria-valuetext", shortest(value));
      }
      for (const [input, value] of [
        [from, low],
        [to, high],
      ])
        if (document.activeElement !== input && !problem.textContent) input.value = value === null ? "" : shortest(value);
      missingBox.checked = missing;
      turned.checked = not;
    }

    /** A number between the ends of the data is open where it reaches them. */
    function set(newLow, newHigh) {
      problem.textContent = "";
      low = newLow === null || newLow <= data?.low ? null : newLow;
      high = newHigh === null || newHigh >= data?.high ? null : newHigh;
      draw();
    }

    const partOf = (event) => {
      const box = canvas.getBoundingClientRect();
      return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    };
    /** Values that a person would write, as fine as a pixel. */
    const rounded = (value) => {
      const finest = 10 ** Math.floor(Math.log10(span() / 400));
      const step = data.integral ? Math.max(1, finest) : finest;
      return Number((Math.round(value / step) * step).toPrecision(12));
    };
    /** The value under the pointer; all that lies beyond it where it is at an edge. */
    const valueUnder = (event) => {
      const part = partOf(event);
      return part <= 0 ? -Infinity : part >= 1 ? Infinity : rounded(valueAt(part));
    };
    let anchor = null; // where the drag began, as a value
    let moved = false;
    canvas.addEventListener("pointerdown", (event) => {
      if (!data || event.button) return;
      const side = event.target.dataset.side;
      // A handle is dragged against the other end.
      anchor = side === "low" ? (high ?? data.high) : side === "high" ? (low ?? data.low) : valueUnder(event);
      moved = false;
      canvas.setPointerCapture(event.pointerId);
      event.preventDefault();
      if (side) event.target.focus();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (anchor === null) return;
      moved = true;
      const value = valueUnder(event);
      set(Math.min(anchor, value), Math.max(anchor, value));
    });
    const release = () => {
      if (anchor === null) return;
      anchor = null;
      if (moved) change();
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    const changeLater = later(() => change());
    canvas.addEventListener("keydown", (event) => {
      const { side } = event.target.dataset;
      const steps = {
        ArrowLeft: -1,
        ArrowDown: -1,
        ArrowRight: 1,
        ArrowUp: 1,
        PageDown: -10,
        PageUp: 10,
        Home: -1000,
        End: 1000,
      };
      if (!data || !side || !(event.key in steps)) return;
      event.preventDefault();
      const now = side === "low" ? (low ?? data.low) : (high ?? data.high);
      const next = Math.min(data.high, Math.max(data.low, rounded(now + (steps[event.key] * span()) / 100)));
      if (side === "low") set(Math.min(next, high ?? data.high), high);
      else set(low, Math.max(next, low ?? data.low));
      changeLater();
    });

    /** Take over what was typed, neither rounded nor kept within the data; what is no number changes nothing. */
    function read(input) {
      const text = input.value.trim();
      // 1,500 is what numbers look like here; 1,5 is not fifteen.
      const plain = /^[-+\u2212]?\d{1,3}(,\d{3})+(\.\d*)?$/.test(text) ? text.replace(/,/g, "") : text;
      const value = text === "" ? null : Number(plain.replace("\u2212", "-"));
      const [newLow, newHigh] = input === from ? [value, high] : [low, value];
      if (value !== null && !Number.isFinite(value)) problem.textContent = "Enter a number, such as 1.5, or leave the field empty.";
      else if (newLow !== null && newHigh !== null && newLow > newHigh)
        problem.textContent = "The lowest value is above the highest one.";
      else {
        problem.textContent = "";
        [low, high] = [newLow, newHigh];
        draw();
        change();
      }
    }
    for (const input of [from, to]) input.addEventListener("change", () => read(input));
    missingBox.addEventListener("change", () => {
      missing = missingBox.checked;
      change();
    });
    whole.addEventListener("click", () => {
      set(null, null);
      change(true);
    });

    ask("histogram", { kind, key })
      .then((answer) => {
        data = answer;
        // A bar that dwarfs all others, such as the zeros of a gene, is cut short, with a gap that says so.
        const [first = 1, second = first] = [...data.counts].sort((a, b) => b - a);
        const most = Math.max(1, first > 4 * second && second ? second * 1.25 : first);
        data.counts.forEach((count, k) => {
          const [a, b] = [place(data.edges[k]) * WIDTH, place(data.edges[k + 1]) * WIDTH];
          // What is rare is seen beside what is not.
          const height = count ? Math.min(HEIGHT, Math.max(1.5, (count / most) * (HEIGHT - 4))) : 0;
          const size = { x: a, width: Math.max(0.5, b - a - 0.6) };
          const bar = svg("g", {});
          bar.append(svg("rect", { ...size, y: HEIGHT - height, height }));
          if (count > most) bar.append(svg("rect", { ...size, y: 8, height: 3, class: "filter-cut" }));
          bar.dataset.middle = (a + b) / 2 / WIDTH;
          const tip = svg("title", {});
          tip.textContent = `${shortest(data.edges[k])} to ${shortest(data.edges[k + 1])}: ${cellsText(count)}`;
          bar.append(tip);
          bars.append(bar);
        });
        ends.replaceChildren(
          make("span", { textContent: shortest(data.low) }),
          make("span", { textContent: data.unit }),
          make("span", { textContent: shortest(data.high) }),
        );
        chart.setAttribute("role", "img");
        chart.setAttribute("aria-label", `Histogram of ${title} from ${shortest(data.low)} to ${shortest(data.high)}`);
        missingLabel.hidden = !data.missing && !missing;
        missingText.textContent = `and the ${number(data.missing)} missing`;
        draw();
      })
      .catch((error) => element.replaceChildren(problemText(error.message)));
    return {
      element,
      show(other) {
        [low, high, missing, not] = [other.low ?? null, other.high ?? null, Boolean(other.missing), Boolean(other.not)];
        if (data && anchor === null) draw();
      },
    };
  }

  /**
   * A search for genes.
   * @param {function(string): void} asked.onChoose  the gene that is chosen
   * @returns {{element: HTMLElement}}
   */
  function geneSearch({ onChoose }) {
    let asking = 0;
    const search = make("input", {
      class: "form-control form-control-sm",
      type: "search",
      placeholder: "Search a gene",
      "aria-label": "Search a gene",
      autocomplete: "off",
      spellcheck: false,
    });
    const list = make("div", { class: "filter-columns", role: "group", "aria-label": "Genes found" });
    const look = async () => {
      const mine = ++asking;
      const q = search.value.trim();
      if (!q) return list.replaceChildren();
      try {
        const { genes } = await ask("genes", { q });
        if (mine !== asking) return;
        list.replaceChildren(
          ...genes.map((gene) =>
            make("button", { class: "filter-column", onclick: () => onChoose(gene) }, words(gene, "filter-label")),
          ),
        );
        if (!genes.length) list.append(make("p", { class: "muted", textContent: "No gene matches" }));
      } catch (error) {
        if (mine === asking) list.replaceChildren(problemText(error.message));
      }
    };
    search.addEventListener("input", later(look));
    search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") list.querySelector("button")?.click();
      else if (event.key === "ArrowDown") list.querySelector("button")?.focus();
      else return;
      event.preventDefault();
    });
    walk(list, ".filter-column");
    return { element: make("div", { class: "filter-gene" }, search, list) };
  }

  /** Let the arrow keys go from one to the next of some elements. */
  function walk(root, css) {
    root.addEventListener("keydown", (event) => {
      const all = [...root.querySelectorAll(css)].filter((element) => !element.hidden);
      const at = all.indexOf(event.target);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
      if (at < 0 || !all[to]) return;
      event.preventDefault();
      all[to].focus();
    });
  }

  iscan.filterParts = {
    make,
    words,
    icon,
    iconButton,
    allow,
    isAllowed,
    later,
    ask,
    number,
    cellsText,
    shortest,
    problemText,
    walk,
    valuesList,
    rangeBrush,
    geneSearch,
  };
})();
