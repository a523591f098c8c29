/* The Assign bar of Edit Annotation: which annotation, which label, which cells; nothing chosen means nothing happens. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const RECENT = iscan.own("iscan-edit-recent");
  const KEPT = 9; // recent labels of an annotation, one for each digit
  const FIRST = 5; // of these come before the others
  const TARGETS = ["ticked", "filtered", "selection"];

  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);

  let target = "ticked";
  let isSettled = false; // whether the bar is about cells that the user knows of; before, it begins with those there are
  let isAsking = false; // whether the button asks before it changes more than half of all cells
  let bits = null; // elements of the bar that is drawn

  // -- recent labels ---------------------------------------------------------------------------------------------

  let recent = (() => {
    try {
      return JSON.parse(localStorage.getItem(RECENT)) || {};
    } catch {
      return {};
    }
  })();

  function remember(id, text) {
    recent[id] = [text, ...(recent[id] || []).filter((other) => other !== text)].slice(0, KEPT);
    // Of annotations that were edited long ago nothing need be known.
    recent = Object.fromEntries(Object.entries(recent).slice(-50));
    try {
      localStorage.setItem(RECENT, JSON.stringify(recent));
    } catch {
      // Storage refused: they last as long as the page.
    }
  }

  /** Recent labels that still exist, the last one first. */
  function recentLabels() {
    const { labels } = iscan.edit.page;
    if (!labels) return [];
    const byText = new Map(labels.labels.map((label) => [label.text, label]));
    return (recent[labels.annotation] || []).filter((text) => byText.has(text)).map((text) => byText.get(text));
  }

  /** What the value field offers: the last five first, then the others as they match. */
  async function offer(typed) {
    const { page, labelsLike } = iscan.edit;
    const found = page.current ? await labelsLike(page.current, typed) : [];
    const wanted = typed.trim().toLocaleLowerCase();
    const first = recentLabels()
      .slice(0, FIRST)
      .map((label, k) => ({ ...label, hint: `recent ${k + 1}` }))
      .filter(({ text }) => text.toLocaleLowerCase().includes(wanted));
    const texts = new Set(first.map(({ text }) => text));
    return [...first, ...found.filter(({ text }) => !texts.has(text))];
  }

  // -- which cells -----------------------------------------------------------------------------------------------

  /** How many cells a target has; null while it is not known. */
  function count(which) {
    const { page } = iscan.edit;
    if (which === "ticked") return page.ticked;
    if (which === "filtered") return page.total;
    return page.selection && page.selection.active ? page.selection.count : 0;
  }

  const NAMES = {
    ticked: (k) => `Ticked rows (${k})`,
    filtered: (k) => `All ${k} filtered rows`,
    selection: (k) => `Plot selection (${k})`,
  };

  const EMPTY = {
    ticked: () => "Tick rows, or apply to the filtered rows or to the plot selection.",
    filtered: () => `${iscan.edit.noRows()}.`,
    selection: () => {
      const { selection, ticked } = iscan.edit.page;
      const none = selection && selection.active ? "No cells match the selection" : "Nothing is selected";
      if (ticked) return `${none}. Ticked rows are another choice of "Apply to".`;
      return selection && selection.active ? `${none}.` : `${none}: draw a lasso on a plot, or use the Cell Filter.`;
    },
  };

  /** Why it is not known how many cells a target has. */
  function unknown(which) {
    if (which === "selection") return "The query of the Cell Filter is not finished.";
    return iscan.edit.page.failure ? "The rows did not load." : "Counting...";
  }

  // -- drawing ---------------------------------------------------------------------------------------------------

  function draw(root) {
    const { make, icon } = parts();
    const field = (id, title, control) =>
      make("div", { class: `field edit-field-${id}` }, make("label", { for: `edit-${id}`, textContent: title }), control);
    const annotation = make("select", { id: "edit-annotation", class: "form-select form-select-sm" });
    const value = make("input", {
      id: "edit-value",
      type: "text",
      class: "form-control form-control-sm",
      placeholder: "A label, old or new",
      maxLength: 400,
      dir: "auto",
    });
    const which = make("select", { id: "edit-target", class: "form-select form-select-sm" });
    const apply = make("button", { id: "edit-apply", class: "btn btn-primary btn-sm numbers" });
    const note = make("span", { id: "edit-note", class: "muted", role: "status" });
    const chips = make("span", { class: "edit-recent", role: "group", "aria-label": "Recent labels" });
    const empty = make(
      "div",
      { class: "edit-none", hidden: true },
      icon("info-circle"),
      make("span", { textContent: "You have no annotation to edit yet." }),
      make("a", {
        class: "btn btn-primary btn-sm",
        href: iscan.address("/annotate"),
        textContent: "New Annotation",
        onclick: (event) => {
          event.preventDefault();
          iscan.go(iscan.address("/annotate"));
        },
      }),
    );
    const bar = make(
      "div",
      { class: "edit-bar" },
      field("annotation", "Annotation", annotation),
      field("value", "New value", value),
      field("target", "Apply to", which),
      apply,
    );
    root.replaceChildren(empty, bar, make("div", { class: "edit-under" }, chips, note));
    bits = { root, annotation, value, which, apply, note, chips, empty, bar };
    isSettled = false;

    annotation.addEventListener("change", () => {
      bits.edited = annotation.value;
      iscan.edit.choose(annotation.value);
    });
    which.addEventListener("change", () => {
      target = which.value;
      isSettled = true;
      show();
    });
    value.addEventListener("input", () => show());
    iscan.editParts.labelBox(value, {
      labels: offer,
      newText: () => `"${value.value.trim()}" will be a new label`,
    });
    value.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      assign();
    });
    apply.addEventListener("click", assign);
    apply.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && isAsking) {
        event.stopPropagation();
        show();
      }
    });
    // Whoever looks elsewhere did not say yes.
    apply.addEventListener("blur", () => isAsking && show());
  }

  function options(select, wanted, chosen) {
    const text = JSON.stringify(wanted);
    if (select.dataset.options !== text) {
      select.dataset.options = text;
      const { make } = parts();
      select.replaceChildren(...wanted.map(([value, textContent]) => make("option", { value, textContent })));
    }
    select.value = chosen;
  }

  function show() {
    const { page, own } = iscan.edit;
    const { make, words, number, cellsText } = parts();
    const mine = own();
    isAsking = false;
    // The annotation was deleted, here or elsewhere: what was typed was meant for that one.
    if (bits.edited && bits.edited !== page.current) bits.value.value = "";
    bits.edited = page.current;
    bits.empty.hidden = mine.length > 0;
    bits.bar.hidden = !mine.length;
    options(
      bits.annotation,
      mine.map((one) => [one.id, one.name]),
      page.current,
    );
    // Later nobody but the user says which cells are meant: a label must not go to others because these are gone.
    if (!isSettled && count(target) === 0) target = ["selection", "ticked"].find((other) => count(other)) || target;
    isSettled = isSettled || count(target) > 0;
    const k = (which) => (count(which) === null ? "..." : number(count(which)));
    options(
      bits.which,
      TARGETS.map((which) => [which, NAMES[which](k(which))]),
      target,
    );
    const cells = count(target);
    bits.apply.textContent = `Assign to ${cells === null ? "..." : cellsText(cells)}`;
    bits.apply.classList.remove("btn-warning");
    const typed = bits.value.value.trim();
    const reason = !cells ? (cells === null ? unknown(target) : EMPTY[target]()) : typed ? "" : "Choose a label, or type a new one.";
    bits.apply.disabled = Boolean(reason) || !mine.length;
    bits.apply.title = reason;
    bits.note.textContent = mine.length ? reason : "";
    const chips = recentLabels().map((label, place) => {
      const swatch = make("span", { class: "legend-swatch" });
      swatch.style.backgroundColor = label.colour;
      return make(
        "button",
        { class: "edit-chip", title: `${label.text} (key ${place + 1})`, onclick: () => take(place) },
        make("kbd", { textContent: place + 1 }),
        swatch,
        words(label.text),
      );
    });
    const text = recentLabels().map(({ text, colour }) => text + colour).join("\n");
    if (bits.chips.dataset.shown !== text) {
      bits.chips.dataset.shown = text;
      bits.chips.replaceChildren(...chips);
    }
  }

  // -- acting ----------------------------------------------------------------------------------------------------

  /** Put a recent label into the field, with the focus on the button that applies it. */
  function take(place) {
    const label = recentLabels()[place];
    if (!label) return;
    bits.value.value = label.text;
    show();
    (bits.apply.disabled ? bits.value : bits.apply).focus();
  }

  async function assign() {
    const { page, act, asked, seen, refresh } = iscan.edit;
    const { number, cellsText } = parts();
    if (bits.apply.disabled) return;
    const expected = count(target);
    if (expected > page.state.cells / 2 && !isAsking) {
      bits.apply.textContent = `Change ${number(expected)} of ${cellsText(page.state.cells)}?`;
      bits.apply.classList.add("btn-warning");
      bits.apply.focus();
      isAsking = true;
      return;
    }
    const value = bits.value.value.trim();
    const id = page.current;
    isAsking = false;
    bits.apply.disabled = true;
    const done = await act({ do: "assign", annotation: id, value, target, expected, seen: seen(target), view: asked() });
    if (done.is_done) remember(id, value);
    else {
      // They may have been chosen anew elsewhere.
      refresh();
      iscan.selection.refresh();
    }
    show();
  }

  /** Give the cells that are chosen a label that something else on the page names. */
  function assignText(text) {
    bits.value.value = text;
    show();
    return assign();
  }
  iscan.edit.assign = assignText;

  iscan.edit.onChange(() => {
    const root = byId("edit-assign");
    if (!root.childElementCount) draw(root);
    if (!isAsking) show();
  });

  // -- keys ------------------------------------------------------------------------------------------------------

  /** Go to the field for the label, wherever one is. */
  function focus() {
    if (window.location.pathname !== iscan.address("/annotate/edit")) iscan.go(iscan.address("/annotate/edit"));
    const until = Date.now() + 8000;
    const wait = () => {
      const field = byId("edit-value");
      if (field && field.checkVisibility()) field.select();
      else if (Date.now() < until) setTimeout(wait, 50);
    };
    wait();
  }

  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || iscan.isTyping(event.target)) return;
      if (event.target.closest("[popover], .modal")) return;
      const isHere = bits && bits.root.isConnected;
      const key = event.key.toLowerCase();
      if (key === "a" && document.querySelector("#shell-tab-annotate")) focus();
      else if (isHere && /^[1-9]$/.test(key) && recentLabels()[key - 1]) take(key - 1);
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
    { capture: true },
  );
})();
