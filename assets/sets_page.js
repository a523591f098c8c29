/* Enrichment: what its tabs share, and the list of results with the analyses that are under way. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const ICONS = { Queued: "hourglass", Running: "arrow-repeat", Finished: "check-circle", Failed: "x-octagon", Cancelled: "slash-circle", Lost: "exclamation-triangle" };
  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);
  const page = () => byId("enrichment-page");
  const isOpen = (view) => Boolean(page()) && page().dataset.view === view;

  const counted = (count, word) => `${parts().number(count)} ${word}${count === 1 ? "" : "s"}`;

  function complain(error) {
    iscan.toast.show({ id: `enrichment-${Date.now()}-${Math.random()}`, kind: "danger", text: error.message, actions: [], seconds: null });
  }

  /** Say that something is done, and let it be undone. */
  function tellDone(text, undo = null) {
    const actions = undo ? [{ text: "Undo", run: () => undo().catch(complain) }] : [];
    iscan.toast.show({ id: `enrichment-${Date.now()}-${Math.random()}`, kind: "success", text, actions, seconds: undo ? 30 : 4 });
  }

  /** A link to another page of the panel, which is not loaded anew for it. */
  function link(href, className, ...children) {
    const element = parts().make("a", { class: className, href }, ...children);
    element.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      iscan.go(href);
    });
    return element;
  }

  const field = (name, control, ...more) => parts().make("div", { class: "field" }, parts().make("label", { for: control.id, textContent: name }), control, ...more);

  /** How many genes of a set the study has. */
  function coverage({ found, asked, few, missing, n_missing: nMissing }) {
    const { make, number } = parts();
    if (found === undefined) return make("span", { class: "numbers muted", textContent: counted(asked, "gene") });
    const kind = found ? (few ? "is-few" : "") : "is-none";
    const says = !nMissing ? "All genes are in this study" : `Not in this study: ${missing.slice(0, 40).join(", ")}${nMissing > 40 ? ` and ${number(nMissing - 40)} more` : ""}`;
    return make("span", { class: `coverage numbers ${kind}`, title: says, textContent: `${number(found)}/${number(asked)}` });
  }

  // -- results -----------------------------------------------------------------------------------------------------

  let results = null;
  let problem = "";
  let asking = 0;

  async function read() {
    const mine = ++asking;
    try {
      const answer = await iscan.jobs.request("enrichments");
      if (mine !== asking) return;
      ({ results } = answer);
      problem = "";
    } catch (error) {
      if (mine !== asking) return;
      problem = error.message;
    }
    draw();
  }

  async function remove(entry) {
    try {
      await iscan.jobs.request("enrichments/delete", { id: entry.id });
      tellDone(`"${entry.name}" was deleted. Annotations made of it stay.`, async () => {
        await iscan.jobs.request("enrichments/restore", { id: entry.id });
        await read();
      });
    } catch (error) {
      complain(error);
    }
    read();
  }

  function rename(anchor, entry) {
    const { make } = parts();
    iscan.editParts.popup(anchor, `Rename ${entry.name}`, (close) => {
      const name = make("input", { class: "form-control form-control-sm", id: "enrichment-rename", "aria-label": "Name", value: entry.name, autocomplete: "off", spellcheck: false });
      const says = make("span", { class: "field-error", role: "alert" });
      const send = async () => {
        try {
          await iscan.jobs.request("enrichments/rename", { id: entry.id, name: name.value });
          close();
          read();
        } catch (error) {
          says.textContent = error.message;
        }
      };
      name.addEventListener("keydown", (event) => event.key === "Enter" && send());
      return [make("div", { class: "enrichment-rename" }, name, make("button", { class: "btn btn-primary btn-sm", textContent: "Rename", onclick: send })), says];
    });
  }

  function state(name) {
    const { make, icon } = parts();
    return make("td", { class: `log-state log-${name.toLowerCase()}` }, icon(ICONS[name]), name);
  }

  function jobRow(job) {
    const { make, words, iconButton } = parts();
    const cell = make("td", { colSpan: 4, class: "enrichment-progress" });
    if (job.active) cell.append(make("progress", { max: 100, value: job.progress, "aria-label": `Progress of ${job.name}` }), make("span", { class: "muted numbers", textContent: job.state === "Queued" ? iscan.jobs.stepText(job) : `${job.progress} % \u00b7 ${iscan.jobs.stepText(job) || "starting"}` }));
    else cell.append(make("bdi", { class: job.state === "Failed" ? "field-error" : "muted", textContent: job.message === job.state ? "" : job.message }));
    const actions = job.active
      ? [iconButton("x-circle", `Cancel ${job.name}`, () => iscan.jobs.cancel(job.id))]
      : [iconButton("arrow-repeat", `Run ${job.name} again: opens its form`, () => iscan.go(iscan.address(`/enrichment?rerun=${job.id}`)))];
    return make("tr", { "data-job": job.id }, make("td", {}, words(job.name, "enrichment-name")), state(job.state), cell, make("td", { class: "actions" }, ...actions));
  }

  function resultRow(entry) {
    const { make, words, number, iconButton } = parts();
    const made = make("time", { class: "local-time brief", title: `${entry.created.slice(0, 19).replace("T", " ")} UTC` });
    made.dateTime = entry.created;
    const cells = entry.n_cells === entry.n_all ? "all cells" : entry.cells ? entry.cells : "filtered cells";
    const sets = entry.n_used === entry.n_sets ? number(entry.n_sets) : `${number(entry.n_used)} of ${number(entry.n_sets)}`;
    return make(
      "tr",
      { "data-result": entry.id },
      make("td", {}, link(iscan.address(`/annotate/enrichment?result=${entry.id}`), "enrichment-name", words(entry.name)), make("div", { class: "muted enrichment-of", title: entry.collection }, make("bdi", { textContent: entry.collection }))),
      state("Finished"),
      make("td", { class: "number" }, number(entry.n_cells), make("div", { class: "muted enrichment-of", title: cells }, make("bdi", { textContent: cells }))),
      make("td", { class: "number", textContent: sets, title: `${number(entry.n_used)} of ${counted(entry.n_sets, "set")} have a gene in this study` }),
      make("td", { textContent: entry.method_title, title: entry.matrix }),
      make("td", {}, made),
      make("td", { class: "actions" }, iconButton("box-arrow-in-right", `Open ${entry.name}: label groups by it`, () => iscan.go(iscan.address(`/annotate/enrichment?result=${entry.id}`))), iconButton("pencil", `Rename ${entry.name}`, (event) => rename(event.currentTarget, entry)), iconButton("trash", `Delete ${entry.name}`, () => remove(entry), "danger")),
    );
  }

  /** Jobs that are under way, and those that failed since the last result. */
  function listedJobs() {
    const own = iscan.jobs.all().filter((job) => job.mine && job.kind === "enrichment");
    const newest = results && results.length ? results[0].created : "";
    return own.filter((job) => job.active || (job.state !== "Finished" && job.submitted > newest)).slice(0, 10);
  }

  function draw() {
    if (!isOpen("results")) return;
    const { make } = parts();
    const root = page();
    if (!results) {
      root.replaceChildren(make("p", { class: problem ? "field-error" : "muted", role: problem ? "alert" : "status", textContent: problem || "Reading the results..." }));
      return;
    }
    const jobs = listedJobs();
    if (!results.length && !jobs.length) {
      root.replaceChildren(make("p", { class: "empty-state", textContent: "No analysis was run yet. Score cells for gene sets, then label groups by what is enriched in them." }), make("p", { class: "empty-state" }, link(iscan.address("/enrichment"), "btn btn-primary btn-sm", "New analysis")));
      return;
    }
    const focused = root.contains(document.activeElement) ? [document.activeElement.closest("tr")?.dataset.result, document.activeElement.getAttribute("aria-label")] : null;
    const titles = ["Name", "State", "Cells", "Sets", "Method", "Made", ""];
    const head = titles.map((title) => make("th", { scope: "col", class: ["Cells", "Sets"].includes(title) ? "number" : "", textContent: title, "aria-label": title || "Actions" }));
    const table = make("table", { class: "plain-table enrichment-results" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...jobs.map(jobRow), ...results.map(resultRow)));
    root.replaceChildren(...(problem ? [make("p", { class: "field-error", role: "alert", textContent: problem })] : []), make("div", { class: "enrichment-box", tabIndex: 0, role: "region", "aria-label": "Enrichment results" }, table));
    if (focused && focused[1]) root.querySelector(`[data-result="${CSS.escape(focused[0] || "")}"] [aria-label="${CSS.escape(focused[1])}"]`)?.focus({ preventScroll: true });
  }

  iscan.jobs.onChange((changed) => {
    const own = changed.filter((job) => job.kind === "enrichment" && job.mine);
    if (!own.length) return;
    if (own.some((job) => job.state === "Finished")) {
      // The card of New Annotation opens with the first result.
      if (byId("from-enrichment-results")) window.dash_clientside.set_props("from-enrichment-results", { data: Date.now() });
      if (isOpen("results")) read();
    } else draw();
  });

  const views = () => ({
    new: iscan.enrichmentForm,
    sets: iscan.enrichmentSets,
    results: {
      open() {
        draw();
        read();
        iscan.jobs.refresh().then(draw);
      },
    },
  });

  /** The page was opened, or another of its tabs. */
  function showEnrichment(opened) {
    const root = page();
    if (root && opened) {
      if (root.dataset.view !== opened.view) root.replaceChildren();
      root.dataset.view = opened.view;
      views()[opened.view].open(root, opened);
    }
    return "enrichment-page";
  }

  iscan.enrichment = { isOpen, page, counted, complain, tellDone, link, field, coverage };
  iscan.enrichmentPage = { showEnrichment };
})();
