/* Cell type prediction: the form, what to expect of it (the pre-flight card, asked for at each change), and the user's
 * predictions that run or ended while the page was open. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const KEPT = iscan.own("iscan-prediction");
  const AGAIN = 700; // ms until something that is being prepared is asked for again
  const LOOK = 5000; // ms between two looks at the references: one may have been dropped into the folder
  const SLIDER = { threshold: [0, 0.1, 0.005], nmads: [2, 5, 0.1] };
  const INDEX = "_index"; // stands for the index of the table of genes
  const FIELDS = ["name", "reference", "samples", "column", "threshold", "nmads", "matrix"];

  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);
  const panel = () => byId("predict-panel");

  let offer = null; // what can be chosen
  let form = null; // what is filled in
  let asked = 0; // number of the newest question
  let found = null; // the last answer
  let isOld = true; // whether the answer to the newest form is on its way
  let isShown = false;
  let isSending = false;
  let wasSubmitted = false; // whether a missing choice may be complained of
  let again = null;
  const jobs = iscan.jobList("predict-jobs", "prediction", (job) => parts().iconButton("box-arrow-in-right", `Open the result ${job.name}`, () => iscan.jobs.openResult(job)));

  // -- state -----------------------------------------------------------------------------------------------------

  const fresh = () => ({
    name: offer.template,
    samples: offer.ticked ? null : [],
    reference: "",
    granularity: "main",
    by_cluster: false,
    source: offer.columns.cluster.length ? "cluster" : "metadata",
    column: (offer.columns.cluster[0] || { name: "" }).name,
    fine_tune: true,
    threshold: 0.05,
    nmads: 3,
    no_pruning: false,
    matrix: "",
    gene_column: "",
    any_organism: false,
  });

  function keep() {
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ form, from: panel().dataset.rerun }));
    } catch {
      // Storage refused: the form lasts as long as the page.
    }
  }

  function kept() {
    try {
      return JSON.parse(sessionStorage.getItem(KEPT)) || {};
    } catch {
      return {};
    }
  }

  const reference = () => offer.references.find(({ id }) => id === form.reference);

  /** Take out of the form what the study and the references do not have (any more). */
  function tidy() {
    const chosen = reference();
    if (!chosen || !chosen.ready) form.reference = "";
    else if (!chosen.granularities.includes(form.granularity)) form.granularity = chosen.granularities[0];
    const names = offer.columns[form.source].map(({ name }) => name);
    if (!names.includes(form.column)) form.column = form.source === "cluster" && names.length ? names[0] : "";
    if (form.samples) form.samples = form.samples.filter((name) => offer.samples.some((sample) => sample.name === name));
    if (!offer.matrices.some(({ key }) => key === form.matrix)) form.matrix = "";
    if (!offer.gene_columns.some(({ key }) => key === form.gene_column)) form.gene_column = "";
  }

  /** Change the form; what to expect of it is asked for anew. */
  function change(values, redraw = true) {
    Object.assign(form, values);
    if (["reference", "matrix", "gene_column"].some((key) => key in values)) form.any_organism = false;
    tidy();
    keep();
    if (redraw) show();
    look();
  }

  // -- what to expect --------------------------------------------------------------------------------------------

  async function lookNow() {
    const mine = ++asked;
    clearTimeout(again);
    let answer;
    try {
      answer = await iscan.jobs.request("prediction/preflight", form);
    } catch (error) {
      answer = { problems: { card: ["", error.message] }, name: "", name_note: "", waiting: "", preflight: null };
    }
    // Answers may overtake each other; only the one to the newest form counts.
    if (mine !== asked || !isShown) return;
    found = answer;
    isOld = false;
    showFound();
    if (answer.waiting) again = setTimeout(lookNow, AGAIN);
  }

  let lookLater = null;

  function look() {
    isOld = true;
    asked += 1;
    showFound();
    lookLater ??= parts().later(() => isShown && lookNow(), 200);
    lookLater();
  }

  // -- parts of the form -----------------------------------------------------------------------------------------

  const title = (name, id) => parts().make("label", { for: id, textContent: name });
  const errorOf = (field) => parts().make("span", { class: "field-error", id: `predict-${field}-error`, role: "alert" });

  function field(name, control, ...more) {
    return parts().make("div", { class: "field" }, title(name, control.id), control, ...more);
  }

  function group(name, id, ...children) {
    const { make } = parts();
    return make("div", { class: "field", role: "group", "aria-labelledby": `${id}-title` }, make("span", { class: "field-title", id: `${id}-title`, textContent: name }), ...children);
  }

  function tick(type, id, name, text, onchange, more = {}) {
    const { make } = parts();
    const box = make("input", { type, class: "form-check-input", id, name, ...more });
    box.addEventListener("change", () => onchange(box));
    const label = make("label", { class: "form-check-label", for: id }, text);
    return make("div", { class: `form-check ${type === "checkbox" && more.role === "switch" ? "form-switch" : ""}` }, box, label);
  }

  const counted = (count, word) => `${parts().number(count)} ${word}${count === 1 ? "" : "s"}`;

  function labelsText({ n_labels: labels }) {
    const both = Object.entries(labels).map(([kind, count]) => `${parts().number(count)} ${kind}`);
    return both.length ? `${both.join(", ")} labels` : "labels not known";
  }

  function referenceCard(entry) {
    const { make, words } = parts();
    const id = `predict-reference-${entry.id}`;
    const box = make("input", { type: "radio", class: "form-check-input", name: "predict-reference", id, value: entry.id, disabled: !entry.ready });
    box.addEventListener("change", () => change({ reference: entry.id }));
    const facts = [entry.organism, labelsText(entry), entry.ready && entry.version && `version ${entry.version}`].filter(Boolean).join(" \u00b7 ");
    // How to get it comes first while it is not there.
    const sources = entry.ready ? [entry.source, entry.licence].filter(Boolean) : [];
    const label = make(
      "label",
      { class: "reference-card-text", for: id },
      words(entry.name, "reference-card-name"),
      make("span", { textContent: facts }),
      ...sources.map((text) => make("span", { class: "reference-card-line", title: text, textContent: text })),
    );
    const card = make("div", { class: `reference-card ${entry.ready ? "" : "is-absent"}`, "data-reference": entry.id }, box, label);
    if (!entry.ready) {
      const how = make("details", { class: "reference-how" }, make("summary", { textContent: "Not installed - how to add" }), ...[...entry.reasons, entry.source, entry.licence].filter(Boolean).map((text) => make("p", { textContent: text })));
      card.append(how);
    }
    return card;
  }

  function drawReferences() {
    const box = byId("predict-references");
    const open = [...box.querySelectorAll("details[open]")].map((details) => details.closest(".reference-card").dataset.reference);
    const focused = box.contains(document.activeElement) ? document.activeElement.id : null;
    const ordered = [...offer.references].sort((a, b) => b.ready - a.ready);
    box.replaceChildren(...ordered.map(referenceCard));
    open.forEach((id) => box.querySelector(`[data-reference="${CSS.escape(id)}"] details`)?.setAttribute("open", ""));
    if (focused) byId(focused)?.focus({ preventScroll: true });
  }

  function samplesField() {
    const { make, words, number } = parts();
    const { samples } = offer;
    if (samples.length === 1)
      return group("Samples", "predict-samples", make("div", { class: "predict-one-sample" }, words(samples[0].name), make("span", { class: "muted numbers", textContent: ` ${parts().cellsText(samples[0].count)}` })), errorOf("samples"));
    const all = tick("checkbox", "predict-samples-all", "", "All", (box) => change({ samples: box.checked ? null : [] }));
    const boxes = samples.map((sample, place) =>
      tick(
        "checkbox",
        `predict-sample-${place}`,
        "",
        make("span", {}, words(sample.name), make("span", { class: "muted numbers", textContent: ` ${number(sample.count)}` })),
        (box) => {
          const ticked = new Set(form.samples ?? samples.map(({ name }) => name));
          if (box.checked) ticked.add(sample.name);
          else ticked.delete(sample.name);
          const names = samples.map(({ name }) => name).filter((name) => ticked.has(name));
          change({ samples: names.length === samples.length ? null : names });
        },
      ),
    );
    return group("Samples", "predict-samples", make("div", { class: "predict-samples" }, all, ...boxes), errorOf("samples"));
  }

  function numberPair(key, name, help) {
    const { make } = parts();
    const [min, max, step] = SLIDER[key];
    const text = make("input", { type: "number", class: "form-control form-control-sm", id: `predict-${key}`, min: 0, max: key === "nmads" ? 1000 : max, step: "any" });
    const slider = make("input", { type: "range", class: "form-range", id: `predict-${key}-slider`, min, max, step, "aria-label": `${name}, slider` });
    text.addEventListener("input", () => change({ [key]: text.value.trim() === "" || !Number.isFinite(text.valueAsNumber) ? null : text.valueAsNumber }));
    slider.addEventListener("input", () => change({ [key]: slider.valueAsNumber }));
    return make("div", { class: "field", id: `predict-${key}-field` }, title(name, text.id), make("div", { class: "predict-pair" }, slider, text), make("span", { class: "muted", textContent: help }), errorOf(key));
  }

  function drawForm() {
    const { make } = parts();
    const name = make("input", { class: "form-control form-control-sm", id: "predict-name", autocomplete: "off", spellcheck: false, maxLength: 200 });
    name.addEventListener("input", () => change({ name: name.value }));
    const column = make("select", { class: "form-select form-select-sm", id: "predict-column", onchange: () => change({ column: column.value }) });
    const matrix = make("select", { class: "form-select form-select-sm", id: "predict-matrix", onchange: () => change({ matrix: matrix.value }) });
    matrix.append(
      make("option", { value: "", textContent: offer.recommended ? `Recommended (${offer.recommended})` : "Recommended" }),
      ...offer.matrices.map(({ key, kind }) => make("option", { value: key, textContent: `${key} (${kind})` })),
    );
    const genes = make("select", { class: "form-select form-select-sm", id: "predict-genes", onchange: () => change({ gene_column: genes.value }) });
    const geneName = (name) => (name === INDEX ? "index" : name);
    genes.append(
      ...offer.gene_columns.map(({ key, name, example }) => {
        const says = key ? geneName(key) : `Automatic (${name.split(", ").map(geneName).join(", ")})`;
        return make("option", { value: key, textContent: example && key ? `${says}: ${example} ...` : says });
      }),
    );
    const grains = [
      ["main", "Main (coarse)"],
      ["fine", "Fine (detailed)"],
    ].map(([value, text]) => tick("radio", `predict-granularity-${value}`, "predict-granularity", text, () => change({ granularity: value })));
    const sources = [
      ["cluster", "Clustering analyses"],
      ["metadata", "Metadata columns"],
    ].map(([value, text]) => tick("radio", `predict-source-${value}`, "predict-source", text, () => change({ source: value, column: "" })));
    const submit = make("button", { class: "btn btn-primary btn-sm", id: "predict-submit", textContent: "Submit", onclick: send });
    const advanced = make(
      "details",
      { class: "predict-advanced", id: "predict-advanced" },
      make("summary", { textContent: "Advanced" }),
      make(
        "div",
        { class: "row-of-2" },
        make(
          "div",
          {},
          tick("checkbox", "predict-fine-tune", "", "Fine-tune: compare the best labels once more", (box) => change({ fine_tune: box.checked }), { role: "switch" }),
          numberPair("threshold", "Fine-tune threshold", "Labels this close to the best score are compared again"),
        ),
        make(
          "div",
          {},
          tick("checkbox", "predict-no-pruning", "", "No pruning: every cell keeps its label", (box) => change({ no_pruning: box.checked }), { role: "switch" }),
          numberPair("nmads", "Outlier cutoff (MADs)", "Lower prunes more cells to Unassigned; 100 and more prunes none"),
        ),
      ),
      make("div", { class: "row-of-2" }, field("Matrix", matrix, errorOf("matrix")), field("Gene id column", genes)),
    );
    const fields = make(
      "div",
      { class: "predict-fields" },
      field("Name", name, make("div", { class: "predict-name-says" }, make("span", { class: "muted", id: "predict-resolved", role: "status" }), errorOf("name"))),
      group("Reference", "predict-reference", make("div", { class: "reference-cards", id: "predict-references", role: "radiogroup", "aria-labelledby": "predict-reference-title" }), errorOf("reference"), make("div", { id: "predict-organism", hidden: true }, tick("checkbox", "predict-any-organism", "", "Use it anyway", (box) => change({ any_organism: box.checked })))),
      make("div", { class: "row-of-2" }, group("Label granularity", "predict-granularity", make("div", { class: "predict-row", role: "radiogroup", "aria-labelledby": "predict-granularity-title" }, ...grains)), samplesField()),
      make(
        "div",
        { class: "predict-by" },
        tick("checkbox", "predict-by-cluster", "", "Annotate by cluster: one label for each group, rather than each cell", (box) => change({ by_cluster: box.checked }), { role: "switch" }),
        make(
          "div",
          { class: "row-of-2", id: "predict-groups" },
          group("Cluster source type", "predict-source", make("div", { class: "predict-row", role: "radiogroup", "aria-labelledby": "predict-source-title" }, ...sources)),
          make("div", { class: "field" }, make("label", { for: "predict-column", id: "predict-column-title" }), column, errorOf("column")),
          make("p", { class: "muted", textContent: "A label that only one group has is never pruned." }),
        ),
      ),
      advanced,
    );
    const end = make(
      "div",
      { class: "predict-end" },
      make("section", { class: "preflight", id: "predict-preflight", role: "status", "aria-label": "What to expect" }),
      make("div", { class: "predict-jobs", id: "predict-jobs", "aria-label": "Your predictions" }),
      make("div", { class: "form-end" }, make("span", { class: "field-error", id: "predict-problem", role: "alert" }), submit),
    );
    panel().replaceChildren(fields, end);
    drawReferences();
    show();
    jobs.show();
  }

  const setChecked = (id, value) => byId(id) && (byId(id).checked = value);

  /** A field keeps what is being typed into it. */
  function setValue(id, value) {
    const element = byId(id);
    if (element !== document.activeElement) element.value = value ?? "";
  }

  /** Show what is filled in. */
  function show() {
    const { make, number } = parts();
    setValue("predict-name", form.name);
    for (const entry of offer.references) setChecked(`predict-reference-${entry.id}`, entry.id === form.reference);
    const chosen = reference();
    for (const grain of ["main", "fine"]) {
      const box = byId(`predict-granularity-${grain}`);
      box.checked = form.granularity === grain;
      box.disabled = Boolean(chosen) && !chosen.granularities.includes(grain);
      // A disabled field hears no mouse; what holds it does.
      box.parentElement.title = box.disabled ? `This reference has no ${grain} labels` : "";
    }
    setChecked("predict-samples-all", form.samples === null);
    offer.samples.forEach(({ name }, place) => setChecked(`predict-sample-${place}`, form.samples === null || form.samples.includes(name)));
    setChecked("predict-by-cluster", form.by_cluster);
    byId("predict-groups").hidden = !form.by_cluster;
    for (const source of ["cluster", "metadata"]) setChecked(`predict-source-${source}`, form.source === source);
    byId("predict-column-title").textContent = form.source === "cluster" ? "Clustering" : "Metadata column";
    const options = offer.columns[form.source];
    const column = byId("predict-column");
    const none = form.source === "cluster" ? "No clusters in this dataset" : "No metadata columns of groups";
    const first = make("option", { value: "", textContent: options.length ? "Choose a column" : none });
    const text = ({ name, groups, missing }) => `${name} (${counted(groups, "group")}${missing ? `, ${number(missing)} missing` : ""})`;
    if (document.activeElement !== column || !column.options.length) column.replaceChildren(first, ...options.map((own) => make("option", { value: own.name, textContent: text(own) })));
    column.value = form.column;
    setChecked("predict-fine-tune", form.fine_tune);
    byId("predict-threshold-field").hidden = !form.fine_tune;
    setChecked("predict-no-pruning", form.no_pruning);
    byId("predict-nmads-field").hidden = form.no_pruning;
    for (const key of ["threshold", "nmads"]) {
      setValue(`predict-${key}`, form[key]);
      if (form[key] !== null) byId(`predict-${key}-slider`).value = form[key];
    }
    byId("predict-matrix").value = form.matrix;
    byId("predict-genes").value = form.gene_column;
    setChecked("predict-any-organism", form.any_organism);
  }

  function memory(bytes) {
    const megabytes = bytes / 2 ** 20;
    return megabytes < 1000 ? `${Math.ceil(megabytes / 50) * 50} MB` : `${(megabytes / 1024).toFixed(1)} GB`;
  }

  function about(seconds) {
    if (seconds < 90) return `about ${Math.max(5, Math.ceil(seconds / 5) * 5)} s`;
    return seconds < 5400 ? `about ${Math.round(seconds / 60)} min` : `about ${(seconds / 3600).toFixed(1)} h`;
  }

  function fact(text, kind = "") {
    return parts().make("p", { class: `fact ${kind && `fact-${kind}`}`, textContent: text });
  }

  function card() {
    const { number, cellsText } = parts();
    if (!form.reference) return [fact("Choose a reference to see what to expect.")];
    if (!found || found.waiting) return [fact(found ? `${found.waiting}...` : "Looking...")];
    // What was said before stays, greyed, until the answer is there.
    if (isOld && !found.preflight && !found.problems.card) return [fact("Looking...")];
    const { preflight, problems } = found;
    if (problems.card) return [fact(problems.card[1], "bad")];
    if (!preflight) return [fact("Correct the form to see what to expect.")];
    const groups = preflight.groups === null ? "" : ` in ${counted(preflight.groups, "group")}`;
    const kinds = [...new Set(preflight.matrices.map(({ key, kind }) => `${key}: ${kind}`))].join("; ");
    const looks = preflight.looks === "unknown" ? "organism not clear from the gene names" : `gene names look ${preflight.looks}`;
    // What is said of few genes is the warning that comes with them.
    const few = preflight.warnings.filter((text) => !preflight.is_few || !text.startsWith("Only "));
    return [
      fact(preflight.found_text, preflight.is_few ? "warning" : "good"),
      fact(`${cellsText(preflight.cells)}${groups}, ${number(preflight.labels)} labels \u00b7 ${kinds} \u00b7 ${looks}`),
      fact(`Takes ${about(preflight.seconds)} and ${memory(preflight.memory)} of memory.`),
      ...few.map((text) => fact(text, "warning")),
    ];
  }

  /** Show what is wrong with the form, and what to expect. */
  function showFound() {
    if (!byId("predict-preflight")) return;
    const { allow } = parts();
    byId("predict-preflight").replaceChildren(...card());
    byId("predict-preflight").classList.toggle("is-busy", Boolean(form.reference) && (isOld || Boolean(found.waiting)));
    const problems = found ? found.problems : {};
    if (found) {
      for (const key of FIELDS) {
        const says = problems[key] ? problems[key][1] : "";
        const place = byId(`predict-${key}-error`);
        if (place && place.textContent !== says) place.textContent = says;
      }
      byId("predict-resolved").textContent = found.name ? found.name_note || `The result is called "${found.name}".` : "";
      byId("predict-organism").hidden = !(problems.reference && problems.reference[0] === "E14") && !form.any_organism;
      if (["threshold", "nmads", "matrix"].some((key) => problems[key])) byId("predict-advanced").open = true;
    }
    const reason = !form.reference ? "Choose a reference." : Object.keys(problems).length ? Object.values(problems)[0][1] : null;
    allow(byId("predict-submit"), isSending ? "it is being sent" : reason);
    byId("predict-problem").textContent = wasSubmitted && reason ? reason : "";
  }

  // -- sending ---------------------------------------------------------------------------------------------------

  async function send() {
    if (isSending) return;
    wasSubmitted = true;
    if (!form.reference || (found && Object.keys(found.problems).length)) {
      showFound();
      const wrong = !form.reference ? "predict-references" : FIELDS.map((key) => byId(`predict-${key}`)).find((element) => element && found.problems[element.id.slice(8)])?.id;
      byId(wrong)?.querySelector?.("input:not(:disabled)")?.focus();
      byId(wrong)?.focus?.();
      return;
    }
    isSending = true;
    showFound();
    try {
      const { job } = await iscan.jobs.request("prediction", form);
      const isKnown = Boolean(iscan.jobs.get(job.id));
      jobs.add(job.id);
      const text = isKnown ? `"${job.name}" is being predicted already.` : `"${job.name}" was submitted.`;
      iscan.toast.show({ id: `submitted-${job.id}-${Date.now()}`, kind: "success", text, actions: [{ text: "Study Logs", href: iscan.address("/logs") }], seconds: 6 });
      wasSubmitted = false;
      iscan.pollStatus();
      await iscan.jobs.refresh();
    } catch (error) {
      iscan.toast.show({ id: `refused-${Date.now()}`, kind: "danger", text: error.message, actions: [], seconds: null });
    } finally {
      isSending = false;
      // Its name may be taken now.
      if (isShown) look();
    }
  }

  // -- opening ---------------------------------------------------------------------------------------------------

  async function open() {
    const root = panel();
    const { make } = parts();
    if (!root.firstChild) root.append(make("p", { class: "muted", textContent: "Loading..." }));
    try {
      const saved = kept();
      const job = root.dataset.rerun;
      const isNew = Boolean(job) && saved.from !== job;
      const [offered, earlier] = await Promise.all([iscan.jobs.request("prediction"), isNew ? iscan.jobs.request(`prediction/form/${encodeURIComponent(job)}`) : null]);
      if (!isShown || panel() !== root) return;
      offer = offered;
      found = null;
      form = { ...fresh(), ...(earlier || saved.form || {}) };
      wasSubmitted = false;
      if (earlier && (earlier.threshold !== 0.05 || earlier.nmads !== 3 || !earlier.fine_tune || earlier.no_pruning || earlier.matrix || earlier.gene_column)) setTimeout(() => byId("predict-advanced") && (byId("predict-advanced").open = true));
      tidy();
      keep();
      drawForm();
      look();
      iscan.jobs.refresh();
    } catch (error) {
      if (!isShown || panel() !== root) return;
      root.replaceChildren(make("p", { class: "field-error", role: "alert", textContent: error.message }), make("button", { class: "btn btn-outline-primary btn-sm", textContent: "Try again", onclick: open }));
    }
  }

  /** Look whether references came or went. */
  async function lookForReferences() {
    if (!isShown || !form || !byId("predict-references") || document.visibilityState !== "visible") return;
    let references;
    try {
      ({ references } = await iscan.jobs.request("prediction/references"));
    } catch {
      return;
    }
    if (!isShown || !byId("predict-references") || JSON.stringify(references) === JSON.stringify(offer.references)) return;
    offer.references = references;
    tidy();
    drawReferences();
    show();
    look();
  }

  setInterval(lookForReferences, LOOK);
  iscan.jobs.onChange((changed) => {
    if (!isShown) return;
    jobs.show();
    // A new annotation takes a name.
    if (form && byId("predict-name") && changed.some((job) => job.result)) look();
  });

  iscan.prediction = {
    show(shown) {
      const isFresh = shown && panel() && !panel().firstChild;
      const was = isShown;
      isShown = shown && Boolean(panel());
      if (isShown && (isFresh || !was)) open();
    },
  };
})();
