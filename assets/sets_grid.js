/* The statistics of groups and gene sets: a table of which only the rows in sight are drawn, ticks that combine to labels, and a
 * label of one's own for each group. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const HEIGHT = 30; // pixels of a row
  const AROUND = 12; // rows drawn above and below those in sight
  const FEW = 12; // sets up to which all are listed
  const TOP = 5; // of more, those that are listed of each group besides the ticked ones
  const parts = () => iscan.filterParts;
  const own = () => iscan.fromEnrichment;
  const make = (...given) => parts().make(...given);

  /** Three digits that count. */
  function short(value) {
    if (value === null) return "";
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size < 1e-4 || size >= 1e6) return value.toExponential(1);
    return Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 6 });
  }

  // Columns of numbers: their key, title, how they are written, and whether small ones come first when they are sorted by.
  const COLUMNS = [
    { key: "average_expression", title: "Average Expression", text: (t, g, s) => short(t.columns.average_expression[g][s]) },
    { key: "average_percentage", title: "Average Percentage", text: (t, g, s) => percent(t.columns.average_percentage[g][s]) },
    { key: "score", title: "Enrichment Score", text: (t, g, s) => short(t.columns.score[g][s]) },
    { key: "difference", title: "Enrichment Score Difference", text: (t, g, s) => short(t.columns.difference[g][s]) },
    { key: "minus_log10_p", title: "Enrichment P-Value", text: (t, g, s) => t.p[g][s] },
    { key: "minus_log10_adjusted", title: "Adjusted P-Value", text: (t, g, s) => t.adjusted_p[g][s] },
    { key: "auc", title: "AUC", text: (t, g, s) => short(t.columns.auc[g][s]) },
  ];

  const percent = (value) => (value === null ? "" : value.toFixed(1));

  const MISSING = "(missing)";
  const title = (label) => (label === null ? MISSING : label);
  /** A group as an attribute; one that is called like the missing ones is told apart. */
  const attribute = (label) => (label === null ? "" : `=${label}`);

  let box = null;
  let body = null;
  let head = null;
  let notes = null;
  let table = null;
  let rows = []; // {g} of a group, {g, s} of a set in it, {g, more} where sets are left out
  let shown = new Map(); // drawn rows by key
  const closed = new Set(); // groups whose sets are hidden
  const whole = new Set(); // groups of which every set is listed
  const listed = new Set(); // rows that are listed because they were ticked; they stay when the tick goes

  function draw(section) {
    box = make("div", { class: "enrichment-grid", id: "from-enrichment-table", tabIndex: 0, role: "region", "aria-label": "Statistics of groups and gene sets" });
    head = make("thead");
    body = make("tbody");
    notes = make("dl", { class: "enrichment-definitions" });
    const widths = [184, 62, 80, 82, 80, 84, 80, 76, 50];
    const columns = make("colgroup", {}, ...widths.map((width) => {
      const column = make("col");
      column.style.width = `${width}px`;
      return column;
    }));
    box.append(make("table", { class: "plain-table enrichment-table" }, columns, head, body));
    box.addEventListener("scroll", fill);
    new ResizeObserver(fill).observe(box);
    const all = make("input", { type: "checkbox", class: "form-check-input", id: "from-enrichment-all", role: "switch" });
    all.addEventListener("change", () => {
      own().state().all = all.checked;
      own().keep();
      own().showView();
    });
    const every = make("div", { class: "form-check form-switch enrichment-every" }, all, make("label", { class: "form-check-label", for: all.id, textContent: "All sets" }));
    const csv = make("a", { class: "icon-button", id: "from-enrichment-csv", title: "Statistics as CSV", "aria-label": "Statistics as CSV", download: "enrichment.csv" }, parts().icon("download"));
    const element = section(grid, every, csv);
    element.append(box, notes);
    table = null;
    return element;
  }

  function order(g) {
    const { sort, down } = own().state();
    const places = table.sets.map((_, s) => s);
    if (!sort) return places;
    const values = sort === "name" ? table.sets.map(({ name }) => name) : sort === "found" ? table.sets.map(({ found }) => found) : table.columns[sort][g];
    const compare = (a, b) => {
      const [left, right] = [values[a], values[b]];
      // What has no number comes last either way.
      if (left === null || right === null) return (left === null) - (right === null) || a - b;
      const way = typeof left === "string" ? left.localeCompare(right, "en", { numeric: true }) : left - right;
      return (down ? -way : way) || a - b;
    };
    return places.sort(compare);
  }

  function list() {
    const wanted = own().state().search.trim().toLocaleLowerCase();
    rows = [];
    table.groups.forEach(({ label }, g) => {
      rows.push({ g });
      if (closed.has(attribute(label))) return;
      const found = order(g).filter((s) => !wanted || table.sets[s].name.toLocaleLowerCase().includes(wanted));
      const few = shortened(g, found);
      for (const s of few) rows.push({ g, s });
      if (few.length < found.length) rows.push({ g, more: found.length - few.length });
    });
  }

  /** Of many sets those that stand out, and those that are ticked. */
  function shortened(g, found) {
    const { label } = table.groups[g];
    if (found.length <= FEW || own().state().all || whole.has(attribute(label))) return found;
    const { sort } = own().state();
    const values = table.columns.difference[g];
    const ranked = sort && sort !== "name" && sort !== "found" ? found : [...found].sort((a, b) => (values[b] ?? -Infinity) - (values[a] ?? -Infinity) || a - b);
    const top = new Set(ranked.slice(0, TOP));
    const { sets } = own().pickOf(label);
    return found.filter((s) => {
      if (sets.includes(table.sets[s].name)) listed.add(keyOf({ g, s }));
      return top.has(s) || listed.has(keyOf({ g, s }));
    });
  }

  function moreRow(g, more) {
    const { label } = table.groups[g];
    const show = () => {
      whole.add(attribute(label));
      shown.delete(keyOf({ g, more }));
      list();
      fill();
      body.querySelector(`[data-group="${CSS.escape(attribute(label))}"] .enrichment-toggle`)?.focus({ preventScroll: true });
    };
    const text = `${iscan.enrichment.counted(more, "more set")}`;
    return make("tr", { class: "enrichment-more" }, make("td", { class: "enrichment-first", colSpan: 2 }, make("button", { class: "btn btn-link btn-sm", "aria-label": `Show ${text} of ${title(label)}`, onclick: show, textContent: text })), make("td", { colSpan: COLUMNS.length }));
  }

  function sortBy(key) {
    const state = own().state();
    const usual = key !== "name";
    if (state.sort !== key) Object.assign(state, { sort: key, down: usual });
    else if (state.down === usual) state.down = !usual;
    else state.sort = "";
    own().keep();
    own().showView();
  }

  /** A title that is broken between words, not at the hyphen of one. */
  const unbroken = (text) => text.split(" ").flatMap((word, k) => (word.includes("-") ? [k ? " " : "", make("span", { textContent: word })] : [k ? ` ${word}` : word]));

  function headCell(key, text, tip, className = "number") {
    const { sort, down } = own().state();
    // A small P is a large -log10 P: what is most telling comes first.
    const isDown = key.startsWith("minus_log10") ? !down : down;
    const cell = make("th", { scope: "col", class: className, "aria-sort": sort === key ? (isDown ? "descending" : "ascending") : "none" }, make("button", { class: "enrichment-sort", title: tip, onclick: () => sortBy(key) }, ...unbroken(text), sort === key ? parts().icon(isDown ? "caret-down-fill" : "caret-up-fill") : null));
    cell.dataset.key = key;
    return cell;
  }

  function fillHead() {
    const { definitions } = table;
    const focused = head.contains(document.activeElement) ? document.activeElement.closest("th").dataset.key : null;
    head.replaceChildren(
      make("tr", {}, headCell("name", `${table.by.title}, Gene Set`, "Groups with their gene sets; click to sort the sets by name", "enrichment-first"), headCell("found", "# Cells, genes found", "Cells of the group; genes of the set that this study has, of all it names"), ...COLUMNS.map(({ key, title: text }) => headCell(key, text, definitions[key] || text))),
    );
    if (focused) head.querySelector(`th[data-key="${focused}"] button`)?.focus({ preventScroll: true });
  }

  function groupRow(g) {
    const { words, number, icon } = parts();
    const { label, n } = table.groups[g];
    const isClosed = closed.has(attribute(label));
    const name = title(label);
    const id = `from-enrichment-group-${g}`;
    const toggle = make("button", { class: "enrichment-toggle", "aria-expanded": String(!isClosed), onclick: () => flip(label) }, icon(isClosed ? "chevron-right" : "chevron-down"), label === null ? make("i", { textContent: name }) : words(name));
    const custom = make("input", { type: "checkbox", class: "form-check-input", id: `${id}-custom`, role: "switch", "aria-label": `Custom label for ${name}` });
    custom.addEventListener("change", () => {
      own().changePick(label, { custom: custom.checked });
      if (custom.checked) row.querySelector(".enrichment-custom").focus();
    });
    const text = make("input", { class: "form-control form-control-sm enrichment-custom", id: `${id}-text`, "aria-label": `Label of ${name}`, autocomplete: "off", spellcheck: false, maxLength: 200, placeholder: "Label" });
    text.addEventListener("input", () => own().changePick(label, { text: text.value }));
    text.addEventListener("blur", () => {
      text.dataset.touched = "";
      pickRow(row, { g });
    });
    const line = make(
      "div",
      { class: "enrichment-group-line" },
      make("div", { class: "enrichment-group-name" }, toggle, make("span", { class: "muted numbers", textContent: `${number(n)} ${n === 1 ? "cell" : "cells"}` })),
      make("span", { class: "muted", textContent: "Preview" }),
      make("output", { class: "enrichment-preview" }, make("bdi")),
      text,
      make("div", { class: "form-check form-switch" }, custom, make("label", { class: "form-check-label", for: custom.id, textContent: "Custom" })),
    );
    const row = make("tr", { class: "enrichment-group", "data-group": attribute(label) }, make("th", { scope: "rowgroup", colSpan: 2 + COLUMNS.length }, line));
    return row;
  }

  function setRow(g, s) {
    const { words } = parts();
    const { label } = table.groups[g];
    const set = table.sets[s];
    const id = `from-enrichment-tick-${g}-${s}`;
    const tick = make("input", { type: "checkbox", class: "form-check-input", id, disabled: !set.found, "aria-label": `${set.name} for ${title(label)}` });
    tick.addEventListener("change", () => own().toggle(label, set.name));
    const isBest = table.best[g] === s;
    const cells = COLUMNS.map(({ key, text }) => make("td", { class: "number", "data-column": key, textContent: text(table, g, s) }));
    const says = set.found ? "" : "No gene of this set is in this study";
    return make(
      "tr",
      { class: `enrichment-row${isBest ? " is-best" : ""}`, "data-group": attribute(label), "data-set": set.name },
      make("td", { class: "enrichment-first" }, make("label", { for: id, title: says || set.name }, tick, words(set.name), isBest ? make("i", { class: "bi bi-star-fill enrichment-star", title: "Suggested: the highest difference of this group", role: "img", "aria-label": "suggested" }) : null)),
      make("td", { class: "number" }, iscan.enrichment.coverage({ n_missing: (set.missing || []).length, ...set })),
      ...cells,
    );
  }

  const keyOf = ({ g, s, more }) => (more !== undefined ? `${g}+${more}` : s === undefined ? `${g}` : `${g}-${s}`);

  const rowOf = (row) => (row.more !== undefined ? moreRow(row.g, row.more) : row.s === undefined ? groupRow(row.g) : setRow(row.g, row.s));

  function spacer(count) {
    const row = make("tr", { class: "enrichment-space", "aria-hidden": "true" }, make("td", { colSpan: 2 + COLUMNS.length }));
    row.style.height = `${count * HEIGHT}px`;
    row.hidden = !count;
    return row;
  }

  /** Draw the rows in sight; those that are drawn already stay as they are, with what is typed in them. */
  function fill() {
    if (!table || !box.isConnected) return;
    const first = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - AROUND);
    const last = Math.min(rows.length, Math.ceil((box.scrollTop + box.clientHeight) / HEIGHT) + AROUND);
    const next = new Map();
    for (const row of rows.slice(first, last)) {
      const key = keyOf(row);
      const known = shown.get(key);
      const element = known || rowOf(row);
      next.set(key, element);
      if (!known) pickRow(element, row);
    }
    const wanted = [spacer(first), ...next.values(), spacer(rows.length - last)];
    const isSame = body.childElementCount === wanted.length && [...body.children].slice(1, -1).every((element, k) => element === wanted[k + 1]);
    if (!isSame) place(wanted);
    else {
      body.firstElementChild.replaceWith(wanted[0]);
      body.lastElementChild.replaceWith(wanted.at(-1));
    }
    shown = next;
  }

  /** Put rows where they belong without taking those out that stay: a field that is typed in keeps the focus. */
  function place(wanted) {
    const keep = new Set(wanted);
    for (const element of [...body.children]) if (!keep.has(element)) element.remove();
    wanted.forEach((element, k) => {
      if (body.children[k] !== element) body.insertBefore(element, body.children[k] || null);
    });
  }

  function flip(label) {
    if (!closed.delete(attribute(label))) closed.add(attribute(label));
    shown.clear();
    list();
    fill();
    body.querySelector(`tr.enrichment-group[data-group="${CSS.escape(attribute(label))}"] .enrichment-toggle`)?.focus({ preventScroll: true });
  }

  /** Show in a row what is chosen. */
  function pickRow(element, { g, s, more }) {
    if (more !== undefined) return;
    const { label } = table.groups[g];
    const { sets, custom, text } = own().pickOf(label);
    if (s !== undefined) {
      const isTicked = sets.includes(table.sets[s].name);
      element.classList.toggle("is-ticked", isTicked);
      element.classList.toggle("is-unused", custom);
      element.querySelector("input").checked = isTicked;
      return;
    }
    const field = element.querySelector(".enrichment-custom");
    const preview = element.querySelector(".enrichment-preview");
    element.querySelector("[role=switch]").checked = custom;
    field.hidden = !custom;
    preview.hidden = custom;
    if (field.value !== text) field.value = text;
    const problem = own().problemOf(label);
    const isEarly = !("touched" in field.dataset) && !own().wasSubmitted();
    const isWrong = Boolean(problem) && !(custom && !text.trim() && isEarly);
    field.setAttribute("aria-invalid", String(isWrong));
    field.title = isWrong ? problem : "";
    preview.classList.toggle("is-wrong", isWrong);
    const isDefault = !custom && !sets.length;
    preview.classList.toggle("is-default", isDefault);
    const says = own().labelOf(label);
    preview.firstChild.textContent = says;
    preview.title = isWrong ? problem : isDefault ? `${says}: nothing is ticked` : says;
  }

  function pick() {
    if (!table) return;
    const before = rows.length;
    list();
    // What was ticked in a plot may not be listed yet.
    if (rows.length !== before) fill();
    for (const row of rows) {
      const element = shown.get(keyOf(row));
      if (element) pickRow(element, row);
    }
  }

  function follow(next) {
    if (!table || table.stamp !== next.stamp) whole.clear();
    table = next;
    shown.clear();
    listed.clear();
    document.getElementById("from-enrichment-all").checked = own().state().all;
    document.getElementById("from-enrichment-all").closest(".form-check").hidden = table.sets.length <= FEW;
    fillHead();
    list();
    body.replaceChildren();
    fill();
    const { definitions } = table;
    const lines = [["# Cells", definitions.n_cells], ...COLUMNS.map(({ key, title: text }) => [text, definitions[key]])].filter(([, text]) => text);
    notes.replaceChildren(make("dt", { textContent: "Score" }), make("dd", { textContent: table.method }), ...lines.flatMap(([name, text]) => [make("dt", { textContent: name }), make("dd", { textContent: text })]));
    const { kind, key } = table.by;
    const csv = document.getElementById("from-enrichment-csv");
    csv.href = iscan.address(`/api/v1/enrichments/${encodeURIComponent(table.result)}/table.csv?${new URLSearchParams({ kind, key })}`);
  }

  /** Bring a group into view and put the focus into its label. */
  function focusText(label) {
    const at = rows.findIndex((row) => row.s === undefined && row.more === undefined && table.groups[row.g].label === label);
    if (at < 0) return;
    box.scrollTop = at * HEIGHT;
    fill();
    body.querySelector(`tr.enrichment-group[data-group="${CSS.escape(attribute(label))}"] .enrichment-custom`)?.focus();
  }

  const grid = { id: "grid", title: "Statistics", draw, follow, pick, say: pick, focusText };
  iscan.fromEnrichmentGrid = grid;
  iscan.enrichmentNumbers = { short, percent, title, attribute };
})();
