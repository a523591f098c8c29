/* Check before you label: what the cells are that the Assign bar is about to label. What they are made of by any column,
 * how many agree, the genes that tell them from all other cells, and what they are most like (edit_table_what.js).
 *
 * The numbers are the server's. Whatever is asked anew ends what was asked before, here and there. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const REST = 120; // ms without another change until the server is asked
  const AGAIN = 300; // ms until it is asked again while it still reads the expression
  const FOLDED = iscan.own("iscan-check-folded");
  const PAGE = Math.random().toString(36).slice(2); // tells this page from others of the same user

  // They are there when the first of them is needed, not when this script is read.
  const make = (...values) => iscan.filterParts.make(...values);
  const words = (...values) => iscan.filterParts.words(...values);
  const number = (value) => iscan.filterParts.number(value);
  const cellsText = (count) => iscan.filterParts.cellsText(count);
  const byId = (id) => document.getElementById(id);

  let bits = null; // elements of the panel that is drawn
  let by = ""; // the column that was picked; "" = the usual one
  let seen = ""; // what the cells were when they were last asked about
  let last = null; // the answer that is shown: {n, of, by, columns, composition}
  let timer = 0;
  let abort = new AbortController();

  /** A share with one decimal; none and all are only said of none and all. */
  function percent(count, of) {
    const text = ((100 * count) / of).toFixed(1);
    if (count && text === "0.0") return "< 0.1 %";
    if (count < of && text === "100.0") return "> 99.9 %";
    return `${text} %`;
  }

  let isFolded = (() => {
    try {
      return localStorage.getItem(FOLDED) === "yes";
    } catch {
      return false;
    }
  })();

  function fold() {
    isFolded = !isFolded;
    try {
      localStorage.setItem(FOLDED, isFolded ? "yes" : "no");
    } catch {
      // Storage refused: it lasts as long as the page.
    }
    showFold();
    refresh();
  }

  // -- asking ------------------------------------------------------------------------------------------------------

  /** The cells that the Assign bar is set to, as the server wants them. */
  const cells = () => ({ target: byId("edit-target").value, view: iscan.edit.asked() });

  /** What changes when they may be others, or may have other labels. */
  function stateOfCells() {
    const { page } = iscan.edit;
    const versions = page.state ? page.state.annotations.map((one) => [one.id, one.version]) : [];
    return JSON.stringify([cells(), page.current, iscan.edit.seen(byId("edit-target").value), versions]);
  }

  /** Ask for everything anew, once nothing has changed for a moment. */
  function refresh() {
    iscan.editWhat.wait();
    abort.abort();
    clearTimeout(timer);
    abort = new AbortController();
    const { signal } = abort;
    timer = setTimeout(() => look(signal), REST);
  }

  async function look(signal) {
    if (!bits.root.isConnected || !byId("edit-target")) return;
    const asked = cells();
    bits.root.classList.add("is-busy");
    try {
      const found = await iscan.edit.ask("check/composition", { ...asked, by, annotation: iscan.edit.page.current || "" }, signal);
      if (!found) return;
      last = { ...found, target: asked.target };
      showColumns();
      showComposition();
      bits.root.classList.remove("is-busy");
      if (isFolded || !found.n) return iscan.editWhat.clear();
      iscan.editWhat.look(asked, signal);
      if (found.n === found.of) return showNote("These are all cells: there are no others to compare them with.");
      await lookForMarkers(asked, signal);
    } catch (error) {
      if (signal.aborted) return;
      iscan.editWhat.clear();
      bits.root.classList.remove("is-busy");
      showNote(error.message);
    }
  }

  async function lookForMarkers(asked, signal) {
    // Those shown are of other cells; they stay, faint, so that nothing jumps.
    bits.markers.classList.add("is-busy");
    while (!signal.aborted) {
      const found = await iscan.edit.ask("check/markers", { ...asked, page: PAGE }, signal);
      if (!found) return;
      if (found.progress === undefined) return showMarkers(found);
      showNote("Reading the expression of the cells, once ...");
      bits.progress.hidden = false;
      bits.progress.value = found.progress;
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }

  // -- drawing -----------------------------------------------------------------------------------------------------

  function draw(root) {
    const title = "Cells that express the gene: among these, and among all others";
    bits = {
      root,
      fold: make(
        "button",
        { class: "check-fold", "aria-controls": "check-body check-what", onclick: fold },
        iscan.filterParts.icon("chevron-down"),
        make("span", { textContent: "Check before you label" }),
      ),
      said: make("span", { class: "check-said numbers", role: "status" }),
      picker: make("select", {
        id: "check-by",
        class: "form-select form-select-sm",
        title: "The column whose labels are counted",
        onchange: () => {
          by = bits.picker.value;
          refresh();
        },
      }),
      bar: make("div", { class: "check-bar", role: "img" }),
      parts: make("ul", { class: "check-list", tabIndex: 0, "aria-label": "Labels of these cells" }),
      trim: make("button", { id: "check-trim", class: "btn btn-outline-primary btn-sm check-trim", onclick: trim, hidden: true }),
      genes: make("ul", { class: "check-list", "aria-label": "Marker genes of these cells" }),
      progress: make("progress", { "aria-label": "Reading the expression", hidden: true }),
      note: make("p", { class: "check-note" }),
    };
    bits.markers = make(
      "div",
      { class: "check-markers" },
      make(
        "div",
        { class: "check-columns", title },
        make("span", { textContent: "Marker genes" }),
        make("span", { textContent: "here" }),
        make("span", { textContent: "elsewhere" }),
      ),
      bits.genes,
      bits.progress,
      bits.note,
    );
    const composition = make("div", { class: "check-composition" }, bits.bar, bits.parts, make("div", { class: "check-end" }, bits.trim));
    // Always there, so that the grid below stays where it is while its rows are ticked.
    const empty = make("p", { class: "check-empty muted", textContent: "What the chosen cells are made of, and their marker genes, is shown here." });
    bits.body = make("div", { id: "check-body", class: "check-body is-empty" }, composition, bits.markers, empty);
    const choice = make("div", { class: "check-by" }, make("label", { for: "check-by", textContent: "by" }), bits.picker);
    root.setAttribute("role", "region");
    root.setAttribute("aria-label", "Check before you label");
    root.classList.add("check");
    bits.what = iscan.editWhat.draw(refresh);
    root.replaceChildren(make("div", { class: "check-head" }, bits.fold, bits.said, choice), bits.body, bits.what);
    showFold();
  }

  function showFold() {
    bits.fold.setAttribute("aria-expanded", String(!isFolded));
    bits.body.hidden = isFolded;
    bits.what.hidden = isFolded;
  }

  function showColumns() {
    const { picker } = bits;
    const text = JSON.stringify(last.columns);
    if (picker.dataset.columns !== text) {
      picker.dataset.columns = text;
      const groups = new Map();
      for (const { value, name, group } of last.columns) {
        if (!groups.has(group)) groups.set(group, make("optgroup", { label: group }));
        groups.get(group).append(make("option", { value, textContent: name }));
      }
      picker.replaceChildren(...groups.values());
    }
    picker.value = last.by;
    picker.disabled = !last.columns.length;
  }

  const EMPTY = {
    ticked: "Tick rows to see what they are.",
    filtered: "No rows match the filters.",
    selection: "Select cells on a plot to see what they are.",
  };

  function showComposition() {
    const { n, composition, target } = last;
    const { said, bar, parts, trim: button } = bits;
    bits.body.classList.toggle("is-empty", !n);
    bar.replaceChildren();
    parts.replaceChildren();
    button.hidden = true;
    if (!n || !composition) {
      said.textContent = n ? `${cellsText(n)}; this study has no labels to count them by.` : EMPTY[target];
      said.title = said.textContent;
      return;
    }
    for (const row of rowsOf(composition)) {
      bar.append(stripeOf(row, n));
      parts.append(partOf(row, n));
    }
    const [largest] = composition.parts;
    if (largest) {
      const agree = make("strong", { textContent: largest.count === n ? "all" : percent(largest.count, n) });
      said.replaceChildren(`${cellsText(n)}, `, agree, ' agree on "', words(largest.label), '"');
    }
    if (!largest) said.textContent = `${cellsText(n)}, none with a label here`;
    said.title = said.textContent;
    bar.setAttribute("aria-label", said.textContent);
    if (!largest || largest.count === n) return;
    button.hidden = false;
    button.textContent = `Trim to the ${percent(largest.count, n)} that agree`;
    button.title = `Go on with the ${cellsText(largest.count)} of "${largest.label}" alone`;
  }

  /** The labels of the cells, those not listed and those without one, in the colours of the theme. */
  function rowsOf({ parts, n_more, more, missing, greys, on_dark }) {
    const isDark = document.documentElement.dataset.bsTheme === "dark";
    const rows = [...parts];
    if (more) rows.push({ label: `${number(n_more)} more ${n_more === 1 ? "label" : "labels"}`, count: more, colour: greys.more });
    if (missing) rows.push({ label: "missing", count: missing, colour: greys.missing });
    return rows.map((row) => ({ ...row, colour: (isDark && on_dark[row.colour]) || row.colour }));
  }

  function stripeOf({ label, count, colour }, n) {
    const stripe = make("span", { title: `${label}: ${number(count)} (${percent(count, n)})` });
    stripe.style.flexGrow = count;
    stripe.style.background = colour;
    return stripe;
  }

  function partOf({ label, count, total, colour }, n) {
    const swatch = make("span", { class: "legend-swatch" });
    swatch.style.background = colour;
    return make(
      "li",
      { class: "check-part", title: total ? `${percent(count, total)} of all ${cellsText(total)} of "${label}"` : null },
      swatch,
      words(label, total ? "check-name" : "check-name muted"),
      make("span", { class: "number muted", textContent: number(count) }),
      make("span", { class: "number", textContent: percent(count, n) }),
    );
  }

  function showNote(text) {
    bits.genes.replaceChildren();
    bits.progress.hidden = true;
    bits.note.textContent = text;
    bits.markers.classList.remove("is-busy");
  }

  function showMarkers({ markers, inside, outside, is_whole, matrix }) {
    const some = ([looked, all]) => (looked === all ? cellsText(all) : `${number(looked)} of ${cellsText(all)}`);
    const sample = is_whole ? "" : `From a sample: ${some(inside)} here, ${some(outside)} elsewhere.`;
    showNote(markers.length ? sample : `No gene is higher here than elsewhere. ${sample}`);
    bits.markers.title = `Values of ${matrix}, log-normalised`;
    bits.genes.replaceChildren(...markers.map((marker) => make("li", {}, geneOf(marker))));
  }

  function geneOf({ gene, inside, outside, difference }) {
    const share = (part) => percent(Math.round(part * 1e6), 1e6);
    const label = `${gene}: in ${share(inside)} of these cells, in ${share(outside)} of the others; ${difference.toFixed(2)} higher on average (log scale)`;
    return make(
      "button",
      { class: "check-gene", title: `${label}. Click to colour the plot by it.`, "aria-label": label, "data-gene": gene, onclick: () => colourBy(gene) },
      make("bdi", { class: "check-gene-name", textContent: gene }),
      ...shareOf(inside, ""),
      ...shareOf(outside, " is-rest"),
    );
  }

  function shareOf(part, kind) {
    const filled = make("span");
    filled.style.width = `${100 * part}%`;
    const text = part > 0 && part < 0.005 ? "< 1" : part < 1 && part >= 0.995 ? "> 99" : (100 * part).toFixed(0);
    return [make("span", { class: `check-share${kind}` }, filled), make("span", { class: "number", textContent: `${text} %` })];
  }

  // -- acting ------------------------------------------------------------------------------------------------------

  /** Genes are offered only when searched for; Dash drops a value that is not among the options. */
  function colourBy(gene) {
    window.dash_clientside.set_props(iscan.plots.currentPart("gene"), { options: [{ label: gene, value: gene }], value: gene });
  }

  /** How to go on with the cells of one label alone, by what the Assign bar is set to. */
  const TRIM = {
    ticked: (column, label) => iscan.edit.tick({ by: column, label }, true, "check/trim"),
    filtered: (column, label) => iscan.edit.filter(column, { is: "labels", values: [label], missing: false }),
    selection: (column, label) => {
      const place = column.indexOf(":");
      const condition = { is: "labels", kind: column.slice(0, place), key: column.slice(place + 1), values: [label] };
      return iscan.selection.act({ do: "filter", condition: { ...condition, missing: false, not: false } });
    },
  };

  async function trim() {
    bits.trim.disabled = true;
    try {
      await TRIM[last.target](last.by, last.composition.parts[0].label);
    } catch (error) {
      iscan.edit.complain(error);
    }
    bits.trim.disabled = false;
    refresh();
  }

  // -- start -------------------------------------------------------------------------------------------------------

  function follow() {
    const root = byId("edit-check");
    if (!root || !byId("edit-target")) return;
    if (!root.childElementCount) {
      last = null;
      seen = "";
      draw(root);
    }
    const now = stateOfCells();
    if (now === seen) return;
    seen = now;
    refresh();
  }

  // Other pages show what cells are made of, too.
  iscan.checkParts = { percent, rowsOf, stripeOf, partOf };

  iscan.edit.onChange(follow);
  document.addEventListener("change", (event) => event.target.id === "edit-target" && follow());
  new MutationObserver(() => bits && bits.root.isConnected && last && showComposition()).observe(document.documentElement, {
    attributeFilter: ["data-bs-theme"],
  });
})();
