/* Labels of a prediction, how their deltas lie, and other cutoffs: tried at once, on the plot as well, and taken over by
 * one edit. What was tried and not accepted is kept as long as the page is. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const SLIDER = [0, 8, 0.1];
  const MOST = 1000; // the largest cutoff that can be asked for
  const WIDTH = 240;
  const HEIGHT = 28;
  const SVG = "http://www.w3.org/2000/svg";
  const E17 = "Outlier cutoff must be a number of at least 0.";

  const parts = () => iscan.filterParts;
  const tried = new Map(); // cutoffs that were changed and not accepted, by annotation
  const listeners = new Set();

  let summary = null;
  let bits = null; // elements
  let rows = new Map(); // by label
  let cutoffs = null; // what the fields say: {nmads: number|null, per_label}
  let usual = 3; // the number that comes back when "No pruning" is switched off
  let wrong = new Set(); // fields that are not understood: "" is that of all labels
  let found = null; // what the server said last
  let isAsking = false;
  let isStale = false;

  const svg = (tag, attributes = {}) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  const text = ({ nmads, per_label }) => JSON.stringify([nmads, Object.entries(per_label).sort()]);
  const isChanged = () => text(cutoffs) !== text(summary.cutoffs);
  const copy = ({ nmads, per_label }) => ({ nmads, per_label: { ...per_label } });

  // -- trying ------------------------------------------------------------------------------------------------------

  /** The fields say something else. */
  function change(byUser = true) {
    if (isChanged()) tried.set(summary.id, copy(cutoffs));
    else tried.delete(summary.id);
    show();
    const by = `annotation:${summary.id}`;
    if (byUser && isChanged() && !iscan.plots.isColouredBy(by)) iscan.colourBy(by);
    look();
  }

  async function look() {
    isStale = true;
    if (!bits || isAsking || wrong.size) return showButtons();
    isAsking = true;
    bits.root.classList.add("is-busy");
    try {
      while (isStale && iscan.result.isShown()) {
        isStale = false;
        const { id } = summary;
        const answer = await iscan.result.request("prune", cutoffs);
        if (!iscan.result.isShown() || summary.id !== id || isStale) continue;
        found = answer;
        showFound();
        showPlot();
        listeners.forEach((listener) => listener());
      }
    } catch (error) {
      if (bits) bits.said.textContent = error.message;
    } finally {
      isAsking = false;
      bits?.root.classList.remove("is-busy");
      showButtons();
    }
  }

  /** Plots of the annotation show what would become of it. */
  function showPlot() {
    const { of, ...colours } = found.plot;
    iscan.plots.preview(`annotation:${summary.id}`, isChanged() ? colours : null, of);
  }

  async function accept() {
    if (!parts().isAllowed(bits.accept)) return;
    parts().allow(bits.accept, "it is being made");
    const { id } = summary;
    try {
      const { is_done, message } = await iscan.result.request("accept", { ...cutoffs, version: summary.version });
      iscan.toast.show(message);
      if (is_done) {
        tried.delete(id);
        if (summary && summary.id === id) summary = { ...summary, cutoffs: copy(cutoffs) };
      }
    } catch (error) {
      iscan.result.complain(error);
    }
    iscan.pollStatus();
    if (iscan.result.isShown()) {
      await iscan.result.read();
      showButtons();
    }
  }

  function reset() {
    cutoffs = copy(summary.cutoffs);
    wrong = new Set();
    change();
  }

  // -- fields ------------------------------------------------------------------------------------------------------

  /** A number that was typed: undefined when it is none that can be. */
  function typed(field) {
    const value = field.valueAsNumber;
    return Number.isFinite(value) && value >= 0 && value <= MOST ? value : undefined;
  }

  function typedForAll() {
    const value = typed(bits.number);
    if (value === undefined) wrong.add("");
    else {
      wrong.delete("");
      cutoffs.nmads = usual = value;
    }
    change();
  }

  function typedForOne(label, field) {
    const isEmpty = field.value === "" && !field.validity.badInput;
    const value = typed(field);
    if (isEmpty) delete cutoffs.per_label[label];
    else if (value !== undefined) cutoffs.per_label[label] = value;
    if (isEmpty || value !== undefined) wrong.delete(label);
    else wrong.add(label);
    change();
  }

  function setValue(field, value) {
    const isOwn = field === document.activeElement && field.validity.valid && field.value !== "";
    if (!isOwn || Number(field.value) !== value) field.value = value ?? "";
  }

  /** Show what the fields say. */
  function show() {
    const isOff = cutoffs.nmads === null;
    bits.off.checked = isOff;
    bits.slider.disabled = bits.number.disabled = isOff;
    const number = isOff ? usual : cutoffs.nmads;
    bits.slider.value = Math.min(SLIDER[1], number);
    if (!wrong.has("")) setValue(bits.number, number);
    bits.number.classList.toggle("is-invalid", wrong.has(""));
    const placeholder = isOff ? "none" : String(cutoffs.nmads);
    for (const [label, { own }] of rows) {
      own.placeholder = placeholder;
      own.classList.toggle("is-invalid", wrong.has(label));
      if (!wrong.has(label)) setValue(own, label in cutoffs.per_label ? cutoffs.per_label[label] ?? 100 : null);
    }
    bits.problem.textContent = wrong.size ? `${E17} The largest is ${parts().number(MOST)}.` : "";
    bits.changes.hidden = wrong.size > 0;
    showButtons();
  }

  function showButtons() {
    if (!bits || !summary) return;
    const { allow } = parts();
    const locked = summary.own ? null : `only ${summary.owner} can edit this annotation; duplicate it to edit a copy`;
    const reason = wrong.size ? "a cutoff is not a number" : isChanged() ? (isAsking || isStale ? "the numbers are on their way" : null) : "these cutoffs hold already";
    allow(bits.accept, locked || reason);
    allow(bits.reset, isChanged() || wrong.size ? null : "these cutoffs hold already");
  }

  // -- drawing -----------------------------------------------------------------------------------------------------

  function histogram(label) {
    const counts = summary.margins[label] || [];
    const most = Math.max(1, ...counts);
    const step = WIDTH / counts.length;
    const bars = counts.map((count, k) => (count ? `M${(k * step).toFixed(2)} ${HEIGHT}v${(-Math.max(1, (HEIGHT - 2) * Math.sqrt(count / most))).toFixed(2)}h${step.toFixed(2)}V${HEIGHT}z` : "")).join("");
    const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "result-deltas", role: "img" });
    const away = svg("rect", { x: 0, y: 0, height: HEIGHT, width: 0, class: "result-away" });
    const line = svg("line", { y1: 0, y2: HEIGHT, class: "result-threshold", "vector-effect": "non-scaling-stroke" });
    chart.append(svg("path", { d: bars, class: "result-bars" }), away, line);
    return { chart, away, line };
  }

  function row({ label, name, colour }) {
    const { make, words } = parts();
    const own = make("input", {
      type: "number",
      class: "form-control form-control-sm result-own",
      min: 0,
      max: MOST,
      step: 0.1,
      "aria-label": `Outlier cutoff of ${label}`,
      title: "A cutoff of its own; empty: that of all labels",
      oninput: () => typedForOne(label, own),
    });
    const { chart, away, line } = histogram(label);
    const cells = { kept: make("td", { class: "number" }), pruned: make("td", { class: "number" }), threshold: make("td", { class: "number" }) };
    const why = make(
      "button",
      { class: "result-label", title: `Why cells are "${name}"`, onclick: () => iscan.resultWhy.ask({ is: "group", by: `annotation:${summary.id}`, value: name }) },
      iscan.result.swatch(colour),
      words(label),
      name === label ? null : make("span", { class: "muted" }, " now ", words(name)),
    );
    const element = make(
      "tr",
      { "data-label": label },
      make("th", { scope: "row" }, why),
      make("td", { class: "result-distribution" }, chart),
      cells.kept,
      cells.pruned,
      cells.threshold,
      make("td", {}, own),
    );
    return { element, own, chart, away, line, ...cells };
  }

  function place(value) {
    const { edges } = summary;
    return Math.min(1, Math.max(0, (value - edges[0]) / (edges[edges.length - 1] - edges[0]))) * WIDTH;
  }

  /** Show what the cutoffs leave. */
  function showFound() {
    const { number, cellsText } = parts();
    const byLabel = new Map(found.counts.map((own) => [own.label, own]));
    for (const [label, bit] of rows) {
      const own = byLabel.get(label);
      if (!own) continue;
      const { n_kept: kept, n_pruned: pruned, threshold } = own;
      bit.kept.textContent = number(kept);
      bit.pruned.textContent = number(pruned);
      bit.threshold.textContent = threshold === null ? "none" : iscan.result.score(threshold);
      const x = threshold === null ? 0 : place(threshold);
      bit.away.setAttribute("width", x);
      bit.line.setAttribute("x1", x);
      bit.line.setAttribute("x2", x);
      bit.line.setAttribute("visibility", threshold === null ? "hidden" : "visible");
      const said = threshold === null ? "no threshold" : `threshold ${iscan.result.score(threshold)}`;
      bit.chart.setAttribute("aria-label", `Deltas of ${label}: ${said}, ${cellsText(kept)} kept, ${number(pruned)} pruned`);
    }
    const reasons = [`${number(found.pruned)} pruned`, ...summary.reasons.map(({ text: why, count }) => `${number(count)} ${why}`)];
    const none = found.pruned + found.without;
    bits.said.textContent = `${number(found.kept)} labelled, ${number(none)} Unassigned${none ? ` (${reasons.join(", ")})` : ""}.`;
    const edited = found.edited ? `; ${cellsText(found.edited)} with an edited label stay as they are` : "";
    bits.changes.textContent = isChanged() ? `${cellsText(found.changed)} would change${edited}. Nothing is changed before you accept.` : "";
  }

  function draw(known) {
    const { make, number } = parts();
    const [min, max, step] = SLIDER;
    const unit = known.by_cluster ? "groups" : "cells";
    summary = known;
    found = null;
    isStale = false;
    wrong = new Set();
    cutoffs = copy(tried.get(known.id) || known.cutoffs);
    usual = cutoffs.nmads ?? 3;
    rows = new Map(known.labels.filter(({ used }) => used).map((label) => [label.label, row(label)]));
    bits = {
      slider: make("input", { type: "range", class: "form-range", id: "result-slider", min, max, step, "aria-label": "Outlier cutoff, slider", oninput: () => ((wrong.delete("")), (cutoffs.nmads = usual = bits.slider.valueAsNumber), change()) }),
      number: make("input", { type: "number", class: "form-control form-control-sm", id: "result-nmads", min: 0, max: MOST, step: 0.1, oninput: typedForAll }),
      off: make("input", { type: "checkbox", class: "form-check-input", role: "switch", id: "result-off", onchange: () => ((cutoffs.nmads = bits.off.checked ? null : usual), wrong.delete(""), change()) }),
      accept: make("button", { class: "btn btn-primary btn-sm", id: "result-accept", textContent: "Accept", onclick: accept }),
      reset: make("button", { class: "btn btn-outline-secondary btn-sm", id: "result-reset", textContent: "Reset", onclick: () => parts().isAllowed(bits.reset) && reset() }),
      said: make("p", { class: "result-said numbers", id: "result-said", role: "status", tabIndex: -1 }),
      changes: make("p", { class: "muted numbers", id: "result-changes", role: "status" }),
      problem: make("p", { class: "field-error", id: "result-problem", role: "alert" }),
    };
    const { edges } = known;
    const ends = make("span", { class: "result-ends muted" }, make("span", { textContent: iscan.result.score(edges[0]) }), make("span", { textContent: "delta", title: `Deltas of the ${unit}` }), make("span", { textContent: iscan.result.score(edges[edges.length - 1]) }));
    const heads = ["Label", ends, "Kept", "Pruned", "Threshold", "Own cutoff"].map((title, k) =>
      make("th", { scope: "col", class: k > 1 && k < 5 ? "number" : "", title: k === 4 ? "Least delta: cells below it are pruned" : null }, title),
    );
    const table = make("table", { class: "plain-table result-labels" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...[...rows.values()].map(({ element }) => element)));
    bits.root = iscan.result.section(
      "result-prune",
      "Labels and outlier cutoff",
      make(
        "div",
        { class: "result-cutoff" },
        make("label", { for: "result-nmads", textContent: "Outlier cutoff (MADs)" }),
        bits.slider,
        bits.number,
        make("div", { class: "form-check form-switch" }, bits.off, make("label", { class: "form-check-label", for: "result-off", textContent: "No pruning" })),
        make("div", { class: "result-buttons" }, bits.reset, bits.accept),
      ),
      bits.said,
      bits.problem,
      bits.changes,
      make("div", { class: "table-box result-table", tabIndex: 0, role: "region", "aria-label": "Labels of the prediction" }, table),
      make("p", { class: "muted", textContent: `Delta: the score of the label less the median over all ${number(known.labels.length)} labels. ${known.by_cluster ? "Groups" : "Cells"} left of the line are pruned to Unassigned. Lower cutoffs prune more; 100 and more prunes nothing.` }),
    );
    show();
    // Once it is on the page.
    Promise.resolve().then(look);
    return bits.root;
  }

  /** The annotation has another version: what was tried stays, and is tried on that. */
  function follow(known) {
    const was = isChanged();
    const isSame = JSON.stringify(summary.labels) === JSON.stringify(known.labels);
    summary = known;
    if (!was) tried.delete(known.id);
    if (!isSame) return bits.root.replaceWith(draw(known));
    if (!was) cutoffs = copy(known.cutoffs);
    if (!isChanged()) wrong = new Set();
    change(false);
  }

  function leave() {
    if (!summary) return;
    const { id } = summary;
    summary = bits = found = null;
    iscan.plots.preview(`annotation:${id}`, null);
  }

  iscan.resultPrune = {
    draw,
    follow,
    leave,
    /** The cutoffs that are tried, as the server takes them. */
    cutoffs: () => copy(cutoffs),
    /** Hear of new numbers. */
    onChange: (listener) => listeners.add(listener),
  };
})();
