/* Result: what a prediction found. This script has the head of the page, what is known of the prediction, and what its
 * sections share; result_prune.js has the labels and other cutoffs, result_why.js the reasons, result_scores.js the scores. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const parts = () => iscan.filterParts;
  const page = () => document.getElementById("result-page");

  let wanted = ""; // the annotation that was asked for; "" = the newest one
  let summary = null; // what is known of the prediction that is shown
  let list = []; // the annotations that can be looked into
  let asking = 0; // number of the newest question
  let drawn = null; // the page that is drawn

  /** Sections, each {draw(summary): HTMLElement, follow(summary), leave()}, in their order. */
  const sections = () => [iscan.resultPrune, iscan.resultWhy, iscan.resultScores];

  const request = (path, body) => iscan.jobs.request(`results/${encodeURIComponent(summary.id)}/${path}`, body);

  /** Scores and margins: three significant digits, as many behind the point as a score of 0.3 has. */
  function score(value) {
    if (value === null || value === undefined) return "";
    const text = Math.abs(value).toFixed(3);
    return value < 0 && Number(text) ? `\u2212${text}` : text;
  }

  function complain(error) {
    iscan.toast.show({ id: `result-${Date.now()}`, kind: "danger", text: error.message, actions: [], seconds: null });
  }

  // -- drawing -----------------------------------------------------------------------------------------------------

  const swatch = (colour) => {
    const element = parts().make("span", { class: "legend-swatch" });
    element.style.backgroundColor = colour;
    return element;
  };

  function section(id, title, ...children) {
    const { make } = parts();
    return make("section", { class: "result-section", "aria-labelledby": `${id}-title` }, make("h2", { id: `${id}-title`, textContent: title }), ...children);
  }

  /** The columns of labels, in a select. */
  function columnSelect(id, onchange, leftOut = "") {
    const { make } = parts();
    const groups = new Map();
    for (const { value, name, group } of summary.columns) {
      if (value === leftOut) continue;
      if (!groups.has(group)) groups.set(group, make("optgroup", { label: group }));
      groups.get(group).append(make("option", { value, textContent: name }));
    }
    const select = make("select", { id, class: "form-select form-select-sm", onchange: () => onchange(select.value) }, ...groups.values());
    return select;
  }

  function choice() {
    const { make, words } = parts();
    if (list.length < 2) return words(summary.name, "result-name");
    const select = make(
      "select",
      { id: "result-choice", class: "form-select form-select-sm", "aria-label": "Prediction", onchange: () => iscan.go(iscan.address(`/annotate/result?open=${select.value}`)) },
      ...list.map(({ id, name, own, owner }) => make("option", { value: id, textContent: own ? name : `${name} of ${owner}`, selected: id === summary.id })),
    );
    return select;
  }

  /** A link to another page of the panel. */
  function goes(element, href) {
    element.href = href;
    element.addEventListener("click", (event) => {
      event.preventDefault();
      iscan.go(href);
    });
    return element;
  }

  function head() {
    const { make, icon } = parts();
    const link = (href, name, text) => goes(make("a", { class: "btn btn-outline-secondary btn-sm" }, icon(name), ` ${text}`), href);
    const colour = make("button", { class: "btn btn-outline-secondary btn-sm", id: "result-colour", onclick: () => iscan.colourBy(`annotation:${summary.id}`) }, icon("palette"), " Colour plot");
    return make(
      "header",
      { class: "result-head" },
      choice(),
      make("span", { class: "space" }),
      colour,
      make("a", { class: "btn btn-outline-secondary btn-sm", id: "result-table", href: iscan.address(`/api/v1/results/${encodeURIComponent(summary.id)}/table.csv`), download: `${summary.name} prediction.csv`, title: "What was found of each cell: label before pruning, delta, runner-up, best score, reason" }, icon("download"), " Table"),
      link(iscan.address(`/annotate/edit?open=${summary.id}`), "pencil", "Edit labels"),
      summary.own ? link(iscan.address(`/annotate/review?open=${summary.id}`), "check2-square", "Review") : null,
    );
  }

  /** How it was made, in a line, and in full below. */
  function facts() {
    const { make, cellsText } = parts();
    const value = Object.fromEntries(summary.facts);
    const tuned = value["Fine-tuning"] === "off" ? "not fine-tuned" : "fine-tuned";
    const line = [value.Reference, value.Granularity, `labelled ${value.Labelled}`, tuned, cellsText(summary.cells)];
    const rows = summary.facts.flatMap(([name, text]) => [make("dt", { textContent: name }), make("dd", {}, make("bdi", { textContent: text }))]);
    const made = make("time", { class: "local-time", title: `${summary.created.slice(0, 19).replace("T", " ")} UTC` });
    made.dateTime = summary.created;
    rows.push(make("dt", { textContent: "Made" }), make("dd", {}, made, " by ", make("bdi", { textContent: summary.owner })));
    rows.push(make("dt", { textContent: "All of it" }), make("dd", {}, goes(make("a", { textContent: "recipe and history" }), iscan.address(`/annotate/existing?open=${summary.id}`))));
    const edited = summary.edited
      ? make("p", { class: "muted", textContent: `${cellsText(summary.edited)} have had their label edited since. Numbers below are the prediction's own.` })
      : null;
    return [make("details", { class: "result-facts" }, make("summary", {}, line.join(" \u00b7 ")), make("dl", { class: "reference-facts" }, ...rows)), edited];
  }

  function frame() {
    const { make } = parts();
    drawn = make("div", { class: "result-body", "data-result": summary.id }, head(), make("div", { class: "result-known" }, ...facts()), ...sections().map((own) => own.draw(summary)));
    page().replaceChildren(drawn);
  }

  function say(text, ...more) {
    const { make } = parts();
    page().replaceChildren(make("p", { class: "empty-state", textContent: text }), ...more);
  }

  // -- asking ------------------------------------------------------------------------------------------------------

  /** Read what is known; what is drawn already is only brought up to date. */
  async function read() {
    const mine = ++asking;
    const { make } = parts();
    try {
      const { results } = await iscan.jobs.request("results");
      const id = wanted || (results[0] || { id: "" }).id;
      const found = id ? await iscan.jobs.request(`results/${encodeURIComponent(id)}`) : null;
      if (mine !== asking || !page()) return;
      const isSameList = JSON.stringify(list.map(({ id: own, name }) => [own, name])) === JSON.stringify(results.map(({ id: own, name }) => [own, name]));
      list = results;
      if (!found) {
        leave();
        say("No cell types were predicted yet. Once they are, this page says why each cell has its label.", make("p", { class: "empty-state" }, make("button", { class: "btn btn-primary btn-sm", textContent: "Predict cell types", onclick: () => iscan.go(iscan.address("/annotate")) })));
        return;
      }
      if (found.problem) {
        leave();
        say(found.problem, make("p", { class: "empty-state" }, make("button", { class: "btn btn-outline-primary btn-sm", textContent: "Try again", onclick: read })));
        return;
      }
      const isSame = drawn && drawn.isConnected && summary && summary.id === found.id;
      const isNew = !summary || summary.version !== found.version || summary.id !== found.id;
      summary = found;
      if (!isSame) {
        // What was tried on the one before is no longer shown on the plots.
        leave();
        frame();
      } else if (isNew || !isSameList) {
        drawn.querySelector(".result-head").replaceWith(head());
        const isOpen = drawn.querySelector(".result-facts").open;
        drawn.querySelector(".result-known").replaceChildren(...facts().filter(Boolean));
        drawn.querySelector(".result-facts").open = isOpen;
        if (isNew) sections().forEach((own) => own.follow(summary));
      }
    } catch (error) {
      if (mine !== asking || !page()) return;
      if (drawn && drawn.isConnected) return complain(error);
      say(error.message, make("p", { class: "empty-state" }, make("button", { class: "btn btn-outline-primary btn-sm", textContent: "Try again", onclick: read })));
    }
  }

  /** The page was left, or shows something else. */
  function leave() {
    if (!drawn) return;
    drawn = null;
    sections().forEach((own) => own.leave());
  }

  /** The page was opened. */
  function showResult(open) {
    const root = page();
    if (!root) return "result-page";
    wanted = open || "";
    if (!root.firstChild) {
      leave();
      summary = null;
      root.append(parts().make("p", { class: "muted", role: "status", textContent: "Reading the result..." }));
    }
    read();
    return "result-page";
  }

  new MutationObserver(() => drawn && !drawn.isConnected && leave()).observe(document.documentElement, { childList: true, subtree: true });

  let revision = null; // of the annotations that are known
  window.addEventListener("iscan:status", () => {
    if (iscan.status.revision === revision) return;
    const isFirst = revision === null;
    ({ revision } = iscan.status);
    if (!isFirst && page() && page().firstChild) read();
  });

  iscan.result = {
    request,
    score,
    swatch,
    section,
    columnSelect,
    complain,
    read,
    /** What is known of the prediction that is shown. */
    summary: () => summary,
    /** Whether the page is there. */
    isShown: () => Boolean(drawn && drawn.isConnected),
  };
  iscan.resultPage = { showResult };
})();
