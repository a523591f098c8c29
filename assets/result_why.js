/* Why this label: for a cell, the selection or a group, how all labels scored, the runner-up, and the genes that decided. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const AGAIN = 300; // ms until genes are asked for again while the expression is read
  const REST = 150; // ms without another change until the server is asked
  const PAGE = Math.random().toString(36).slice(2); // tells this page from others of the same user

  const parts = () => iscan.filterParts;
  const score = (value) => iscan.result.score(value);

  let summary = null;
  let bits = null;
  let mode = "group"; // of what: "cell", "selection", "group"
  let cells = null; // what was asked about, as the server takes it; null: nothing yet
  let other = ""; // the label that was picked to compare with; "": the runner-up
  let last = null; // the answer that is shown
  let asking = 0;
  let timer = 0;

  // -- asking ------------------------------------------------------------------------------------------------------

  function refresh(wait = REST) {
    clearTimeout(timer);
    const mine = ++asking;
    bits.answer.classList.toggle("is-busy", Boolean(cells));
    if (!cells) return showNothing(EMPTY[mode]);
    timer = setTimeout(() => look(mine), wait);
  }

  async function look(mine) {
    let answer;
    try {
      answer = await iscan.result.request("why", { cells, ...iscan.resultPrune.cutoffs() });
    } catch (error) {
      answer = { problem: error.message };
    }
    if (mine !== asking || !bits) return;
    bits.answer.classList.remove("is-busy");
    if (answer.problem) return showNothing(answer.problem, true);
    last = answer;
    if (mode === "cell" && answer.cell && document.activeElement !== bits.cell) bits.cell.value = answer.cell;
    if (!answer.why) return showNothing(`${answer.title}: no scores. ${answer.n === 1 ? "It was" : "They were"} not labelled, or no marker gene was detected in ${answer.n === 1 ? "it" : "them"}.`);
    show();
    await lookForGenes(mine);
  }

  async function lookForGenes(mine) {
    const { label } = last.why;
    const against = comparedWith();
    if (!against) return showGenesNote("There is no other label to compare with.");
    bits.genes.classList.add("is-busy");
    while (mine === asking && bits) {
      let found;
      try {
        const response = await iscan.result.request("genes", { cells, label, other: against, page: PAGE });
        found = response;
      } catch (error) {
        found = { problem: error.message };
      }
      if (mine !== asking || !bits) return;
      if (found.problem) return showGenesNote(found.problem);
      if (!found.waiting) return showGenes(found);
      showGenesNote(`${found.waiting}, once ...`);
      bits.genes.classList.add("is-busy");
      bits.progress.hidden = false;
      if (found.part === null) bits.progress.removeAttribute("value");
      else bits.progress.value = found.part;
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }

  /** The label that the first one is compared with. */
  function comparedWith() {
    const { label, runner_up, scores } = last.why;
    return other && other !== label && scores.some((own) => own.label === other) ? other : runner_up;
  }

  // -- what is asked about -----------------------------------------------------------------------------------------

  const EMPTY = {
    cell: "Enter the ID of a cell, or click a cell on a plot.",
    selection: "No cells are selected. Draw an area on a plot, or use the Cell Filter.",
    group: "Choose a group.",
  };

  function setMode(name) {
    mode = name;
    bits.modes[name].checked = true;
    for (const key of Object.keys(bits.fields)) bits.fields[key].hidden = key !== name;
  }

  /** Ask about what the fields of the mode say. */
  function fromFields() {
    other = "";
    if (mode === "cell") cells = bits.cell.value.trim() ? { is: "ids", text: bits.cell.value } : null;
    else if (mode === "selection") cells = selected() ? { is: "selection" } : null;
    else cells = bits.value.value ? { is: "group", by: bits.by.value, value: JSON.parse(bits.value.value) } : null;
    refresh(0);
  }

  const selected = () => (iscan.selection.state() && iscan.selection.state().active && iscan.selection.state().count) || 0;

  function showSelected() {
    const state = iscan.selection.state();
    const isUnfinished = state && state.active && state.count === null;
    bits.selected.textContent = isUnfinished ? "The query is not finished" : selected() ? `${parts().cellsText(selected())} selected` : "Nothing is selected";
  }

  /** The groups of the chosen column, as the table of scores has them. */
  function showGroups() {
    const { make } = parts();
    const found = iscan.resultScores.groups();
    bits.by.value = iscan.resultScores.by();
    bits.value.disabled = !found;
    if (!found) return bits.value.replaceChildren(make("option", { value: "", textContent: "Reading..." }));
    const wanted = cells && cells.is === "group" && cells.by === found.by ? JSON.stringify(cells.value) : "";
    const options = found.groups.map(({ value, size }) => make("option", { value: JSON.stringify(value), textContent: `${value === null ? "missing" : value} (${parts().number(size)})` }));
    bits.value.replaceChildren(...options);
    const isThere = options.some((option) => option.value === wanted);
    if (isThere) bits.value.value = wanted;
    if (mode !== "group" || isThere) return;
    // A group of an annotation may be one that has no scores: what was asked stays.
    if (wanted && cells.by === found.by) bits.value.value = "";
    else fromFields();
  }

  /**
   * Ask about some cells from elsewhere on the page.
   * @param {Object} asked      as the server takes them
   * @param {string} [against]  the label to compare with; "": the runner-up
   */
  function ask(asked, against = "") {
    cells = asked;
    other = against;
    setMode(asked.is === "group" ? "group" : asked.is === "selection" ? "selection" : "cell");
    if (asked.is === "group") {
      if (iscan.resultScores.by() === asked.by) showGroups();
      else if (summary.columns.some(({ value }) => value === asked.by)) iscan.resultScores.choose(asked.by);
    }
    refresh(0);
    bits.root.scrollIntoView({ block: "nearest" });
  }

  // -- drawing -----------------------------------------------------------------------------------------------------

  function showNothing(text, isProblem = false) {
    bits.answer.classList.remove("is-busy");
    bits.empty.hidden = false;
    bits.empty.textContent = text;
    bits.empty.className = isProblem ? "field-error" : "muted";
    bits.found.hidden = true;
  }

  function show() {
    const { make, words, number, cellsText } = parts();
    const { title, note, why } = last;
    const { scores, label, runner_up, margin, threshold, delta, n_cells: n, n_without: without } = why;
    bits.empty.hidden = true;
    bits.found.hidden = false;
    const own = scores.find((one) => one.label === label);
    const second = scores.find((one) => one.label === runner_up);
    const head = make("p", { class: "result-title" }, make("strong", { textContent: title }));
    const lines = [];
    const mean = n > 1 ? "mean " : "";
    if (n > 1) lines.push([own.n_cells === n ? `All ${cellsText(n)} are ` : `${number(own.n_cells)} of ${cellsText(n)} are `, name(own), own.n_pruned ? `, ${number(own.n_pruned)} of them pruned` : "", "."]);
    else lines.push(["Labelled ", name(own), own.n_pruned ? ", pruned to Unassigned." : "."]);
    if (second) {
      const ahead = own.score - second.score;
      lines.push(["Runner-up: ", name(second), `, ${mean}score ${score(second.score)}, ${ahead >= 0 ? `${score(ahead)} behind` : `${score(-ahead)} ahead: fine-tuning chose ${label}`}.`]);
    }
    const above = threshold === null ? null : margin - threshold;
    const judged = above === null ? "there is no threshold" : `threshold ${score(threshold)}: ${score(Math.abs(above))} ${above >= 0 ? "above" : "below"} it`;
    lines.push([`${mean ? "Mean delta" : "Delta"} ${score(margin)}, ${judged}.`]);
    if (delta !== null) lines.push([`Ahead in the last round of fine-tuning: ${mean}${score(delta)}.`]);
    if (without) lines.push([`${cellsText(without)} without scores ${without === 1 ? "is" : "are"} left out.`]);
    if (note) lines.push([note]);
    bits.facts.replaceChildren(head, ...lines.map((line) => make("p", { class: "numbers" }, ...line)));
    const top = Math.max(...scores.map((one) => one.score));
    const least = Math.min(0, ...scores.map((one) => one.score));
    bits.scores.replaceChildren(...scores.map((one) => bar(one, least, top, label, runner_up)));
    bits.label.replaceChildren(words(label));
    bits.other.replaceChildren(...scores.filter((one) => one.label !== label).map((one) => make("option", { value: one.label, textContent: one.label === runner_up ? `${one.label} (runner-up)` : one.label })));
    bits.other.value = comparedWith() || "";
    bits.other.disabled = !comparedWith();
  }

  const name = (one) => parts().make("b", {}, parts().words(one.label));

  function bar({ label, colour, score: value, n_cells: n }, least, top, own, runner_up) {
    const { make, words, number } = parts();
    const filled = make("span");
    filled.style.width = `${(100 * (value - least)) / (top - least || 1)}%`;
    filled.style.backgroundColor = colour;
    const role = label === own ? "label" : label === runner_up ? "runner-up" : "";
    return make(
      "li",
      { class: `result-bar${label === own ? " is-own" : ""}`, "data-label": label, "data-score": value, title: `${label}: score ${score(value)}${n ? `, the label of ${parts().cellsText(n)}` : ""}` },
      words(label, "result-bar-name"),
      make("span", { class: "result-bar-track" }, filled),
      make("span", { class: "number", textContent: score(value) }),
      make("span", { class: "muted result-bar-role", textContent: role }),
      make("span", { class: "number muted", textContent: n ? number(n) : "" }),
    );
  }

  function showGenesNote(text) {
    bits.geneRows.replaceChildren();
    bits.geneTable.hidden = true;
    bits.progress.hidden = true;
    bits.genes.classList.remove("is-busy");
    bits.geneNote.textContent = text;
  }

  function showGenes(found) {
    const { make, number, cellsText } = parts();
    const some = (looked, all) => (looked === all ? cellsText(all) : `${number(looked)} of ${cellsText(all)}`);
    const missing = found.n_missing ? `, ${number(found.n_missing)} more are not in the data` : "";
    const ranked = found.is_bulk ? "ranked by their mean" : found.n_ranked < found.n_cells ? `ranked in ${number(found.n_ranked)} of ${cellsText(found.n_cells)}` : "";
    const genes = found.genes.length ? "" : "No gene contributes: all of them are equal here. ";
    const lead = `Lead ${score(found.lead)} by ${number(found.n_genes)} marker genes of the two${missing}${ranked ? `, ${ranked}` : ""}.`;
    showGenesNote(`${genes}${lead} Expression of ${found.matrix}, log-normalised: ${some(found.n_here, found.n_cells)} here, ${cellsText(found.n_elsewhere)} elsewhere.`);
    bits.geneTable.hidden = !found.genes.length;
    const most = Math.max(...found.genes.map(({ contribution }) => Math.abs(contribution)), 1e-9);
    const highest = Math.max(...found.genes.flatMap(({ here, elsewhere }) => [here, elsewhere]), 1e-9);
    bits.geneRows.replaceChildren(...found.genes.map((gene) => geneRow(gene, found, most, highest)));
  }

  function geneRow({ gene, is_up: isUp, contribution, here, elsewhere, here_share: hereShare, elsewhere_share: elsewhereShare }, found, most, highest) {
    const { make } = parts();
    const isFor = contribution > 0;
    const share = (part) => `${part > 0 && part < 0.005 ? "< 1" : part < 1 && part >= 0.995 ? "> 99" : (100 * part).toFixed(0)} %`;
    const level = (value, part, kind, where) => {
      const filled = make("span");
      filled.style.width = `${(100 * value) / highest}%`;
      return [
        make("td", { class: "result-level" }, make("span", { class: `check-share${kind}`, title: `Mean ${where}: ${value.toFixed(2)}` }, filled)),
        make("td", { class: "number", textContent: value.toFixed(2) }),
        make("td", { class: "number muted", textContent: share(part), title: `Cells that express it ${where}` }),
      ];
    };
    const filled = make("span", { class: isFor ? "is-for" : "is-against" });
    filled.style.width = `${(50 * Math.abs(contribution)) / most}%`;
    const marks = `${gene} is a marker of ${isUp ? found.label : found.other}; it puts ${isFor ? found.label : found.other} ahead by ${Math.abs(contribution).toFixed(4)}`;
    return make(
      "tr",
      { "data-gene": gene, title: marks },
      make("th", { scope: "row" }, make("button", { class: "check-gene-name result-gene", "aria-label": `${marks}. Colour the plot by it.`, onclick: () => colourBy(gene) }, make("bdi", { textContent: gene }))),
      make("td", { class: "muted result-of" }, parts().words(isUp ? found.label : found.other)),
      make("td", { class: "result-level" }, make("span", { class: "result-lead" }, filled)),
      make("td", { class: "number", textContent: `${isFor ? "+" : "\u2212"}${Math.abs(contribution).toFixed(4)}` }),
      ...level(here, hereShare, "", "here"),
      ...level(elsewhere, elsewhereShare, " is-rest", "elsewhere"),
    );
  }

  /** Genes are offered only when searched for; Dash drops a value that is not among the options. */
  function colourBy(gene) {
    window.dash_clientside.set_props(iscan.plots.currentPart("gene"), { options: [{ label: gene, value: gene }], value: gene });
  }

  function draw(known) {
    const { make } = parts();
    const isOther = !summary || summary.id !== known.id;
    listen();
    summary = known;
    last = null;
    if (isOther) {
      [cells, other] = [null, ""];
      mode = selected() ? "selection" : "group";
    }
    const modes = [["cell", "A cell"], ["selection", "The selection"], ["group", "A group"]].map(([value, text]) => {
      const field = make("input", { type: "radio", class: "btn-check", name: "result-mode", id: `result-mode-${value}`, value, checked: value === mode });
      field.addEventListener("change", () => {
        setMode(value);
        fromFields();
      });
      return [field, make("label", { class: "btn btn-outline-secondary btn-sm", for: field.id, textContent: text })];
    });
    bits = {
      modes: Object.fromEntries(modes.map(([field]) => [field.value, field])),
      cell: make("input", { class: "form-control form-control-sm", id: "result-cell", placeholder: "Cell ID, or click a cell on a plot", "aria-label": "Cell ID", autocomplete: "off", spellcheck: false }),
      selected: make("span", { class: "muted numbers", role: "status" }),
      by: iscan.result.columnSelect("result-why-by", (value) => {
        cells = null;
        bits.value.disabled = true;
        iscan.resultScores.choose(value);
      }),
      value: make("select", { class: "form-select form-select-sm", id: "result-why-value", "aria-label": "Group", onchange: fromFields }),
      empty: make("p", { class: "muted", role: "status" }),
      facts: make("div", { class: "result-facts-of", id: "result-why-facts", "aria-live": "polite" }),
      scores: make("ul", { class: "result-bars-list", id: "result-why-scores", tabIndex: 0, "aria-label": "Scores of all labels" }),
      label: make("span", { class: "result-against" }),
      other: make("select", { class: "form-select form-select-sm", id: "result-why-other", "aria-label": "Label to compare with" }),
      geneRows: make("tbody"),
      geneNote: make("p", { class: "muted", role: "status" }),
      progress: make("progress", { "aria-label": "Reading the expression", hidden: true }),
    };
    bits.by.setAttribute("aria-label", "Column of groups");
    bits.cell.addEventListener("keydown", (event) => event.key === "Enter" && fromFields());
    bits.cell.addEventListener("change", fromFields);
    bits.other.addEventListener("change", () => {
      other = bits.other.value;
      lookForGenes(++asking);
    });
    const titles = [["Gene", 1], ["Marker of", 1], ["Lead", 2], ["Here", 3], ["Elsewhere", 3]];
    bits.geneTable = make("table", { class: "plain-table result-genes", hidden: true }, make("thead", {}, make("tr", {}, ...titles.map(([textContent, colSpan]) => make("th", { scope: "col", colSpan, textContent })))), bits.geneRows);
    bits.genes = make("div", { class: "result-decided" }, make("div", { class: "result-row" }, make("h3", {}, "Genes that decided: ", bits.label, " against"), bits.other), bits.progress, bits.geneTable, bits.geneNote);
    bits.found = make("div", { hidden: true }, bits.facts, make("div", { class: "result-two" }, make("div", {}, make("h3", { textContent: "Scores of all labels" }), bits.scores), bits.genes));
    bits.answer = make("div", { class: "result-answer" }, bits.empty, bits.found);
    bits.fields = {
      cell: make("div", { class: "result-row" }, bits.cell),
      selection: make("div", { class: "result-row" }, bits.selected),
      group: make("div", { class: "result-row" }, bits.by, bits.value),
    };
    bits.root = iscan.result.section("result-why", "Why this label", make("div", { class: "result-row" }, make("div", { class: "btn-group", role: "group", "aria-label": "Of what" }, ...modes.flat()), ...Object.values(bits.fields)), bits.answer);
    setMode(mode);
    showSelected();
    if (mode === "selection" && !cells) cells = { is: "selection" };
    bits.value.replaceChildren(make("option", { value: "", textContent: "Reading..." }));
    refresh(0);
    return bits.root;
  }

  function follow(known) {
    const isSame = JSON.stringify(summary.columns) === JSON.stringify(known.columns);
    summary = known;
    if (!isSame) bits.root.replaceWith(draw(known));
    else refresh();
  }

  function leave() {
    bits = null;
    asking += 1;
    clearTimeout(timer);
  }

  // -- hearing -----------------------------------------------------------------------------------------------------

  let seen = null; // the cells that were selected when this was last looked at
  let isListening = false;

  /** Begun with the first page: what is listened to is not there when this script is read. */
  function listen() {
    if (isListening) return;
    isListening = true;
    iscan.resultScores.onChange(() => bits && showGroups());
    // The cutoffs decide what was pruned, and the threshold.
    iscan.resultPrune.onChange(() => bits && last && cells && refresh(400));
    document.addEventListener("iscan:cell", ({ detail }) => bits && iscan.result.isShown() && ask({ is: "row", row: detail.row }));
    iscan.selection.onChange((state) => {
      const isOther = state.mask_version !== seen;
      seen = state.mask_version;
      if (!bits) return;
      showSelected();
      if (isOther && mode === "selection") fromFields();
    });
  }

  iscan.resultWhy = { draw, follow, leave, ask };
})();
