/* New analysis: which cells are scored for which gene sets, what to expect of it (asked for at each change), and the
 * user's analyses that run or ended while the page was open. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const KEPT = iscan.own("iscan-enrichment");
  const FIELDS = ["name", "collection", "sets", "matrix", "seed"];

  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);
  const isShown = () => iscan.enrichment.isOpen("new") && Boolean(byId("enrichment-run"));

  let offer = null; // what can be chosen
  let form = null; // what is filled in
  let details = null; // the collection that is chosen, with its sets
  let found = null; // the last answer
  let asked = 0; // number of the newest question
  let askedSets = 0;
  let isOld = true; // whether the answer to the newest form is on its way
  let isSending = false;
  let wasSubmitted = false; // whether a missing choice may be complained of
  let search = ""; // what sets are searched for
  const jobs = iscan.jobList("enrichment-jobs", "enrichment", (job) =>
    parts().make("button", { class: "btn btn-outline-primary btn-sm", textContent: "Label groups", "aria-label": `Label groups by ${job.name}`, onclick: () => iscan.jobs.openResult(job) }),
  );

  const fresh = () => ({ name: "", named: false, collection: "", sets: null, filtered: false, matrix: "", method: "ucell", seed: 0, any_organism: false });

  function keep() {
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(form));
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

  const collection = () => offer.collections.find(({ id }) => id === form.collection);

  function change(values) {
    Object.assign(form, values);
    if ("collection" in values) {
      Object.assign(form, { sets: null, any_organism: false });
      search = "";
      if (byId("enrichment-search")) byId("enrichment-search").value = "";
    }
    if (!form.named) form.name = collection() ? collection().name.slice(0, 64) : "";
    keep();
    show();
    if ("collection" in values || "matrix" in values) readSets();
    look();
  }

  // -- what to expect --------------------------------------------------------------------------------------------

  async function lookNow() {
    const mine = ++asked;
    const selection = iscan.selection.state();
    let answer;
    try {
      answer = await iscan.jobs.request("enrichment/look", { ...form, selection: selection ? selection.mask_version : null });
    } catch (error) {
      answer = { problems: { card: ["", error.message] }, name_note: "", preflight: null };
    }
    // Answers may overtake each other; only the one to the newest form counts.
    if (mine !== asked || !isShown()) return;
    found = answer;
    isOld = false;
    showFound();
  }

  let lookLater = null;

  function look() {
    isOld = true;
    asked += 1;
    showFound();
    lookLater ??= parts().later(() => isShown() && lookNow(), 200);
    lookLater();
  }

  async function readSets() {
    const mine = ++askedSets;
    if (!form.collection) {
      details = null;
      showSets();
      return;
    }
    const query = new URLSearchParams({ id: form.collection, matrix: form.matrix, q: isLong() ? search : "" });
    let answer;
    try {
      answer = await iscan.jobs.request(`gene-sets/one?${query}`);
    } catch (error) {
      answer = { sets: [], n_sets: 0, report: [], problem: error.message };
    }
    if (mine !== askedSets || !isShown()) return;
    details = answer;
    showSets();
    show();
  }

  /** Whether only some of the sets are listed at once. */
  const isLong = () => Boolean(collection()) && collection().n_sets > 1000;

  // -- the form --------------------------------------------------------------------------------------------------

  const errorOf = (field) => parts().make("span", { class: "field-error", id: `enrichment-${field}-error`, role: "alert" });

  function collectionSelect() {
    const { make } = parts();
    const select = make("select", { class: "form-select form-select-sm", id: "enrichment-collection", onchange: () => change({ collection: select.value }) }, make("option", { value: "", textContent: "Choose a collection" }));
    for (const [origin, title] of [["own", "Yours"], ["shipped", "Come with iscan-dash"], ["shared", "From the references folder"]]) {
      const own = offer.collections.filter((entry) => entry.origin === origin);
      const options = own.map((entry) => make("option", { value: entry.id, disabled: Boolean(entry.problem), textContent: entry.problem ? `${entry.name} (cannot be read)` : `${entry.name} (${iscan.enrichment.counted(entry.n_sets, "set")}${entry.organism === "unknown" ? "" : `, ${entry.organism}`})` }));
      if (options.length) select.append(make("optgroup", { label: title }, ...options));
    }
    return select;
  }

  function radio(name, value, text, onchange) {
    const { make } = parts();
    const id = `enrichment-${name}-${value}`;
    const box = make("input", { type: "radio", class: "form-check-input", name: `enrichment-${name}`, id, value });
    box.addEventListener("change", () => onchange(value));
    return make("div", { class: "form-check" }, box, make("label", { class: "form-check-label", for: id }, text));
  }

  function draw() {
    const { make, cellsText } = parts();
    const { field, link } = iscan.enrichment;
    const name = make("input", { class: "form-control form-control-sm", id: "enrichment-name", autocomplete: "off", spellcheck: false, maxLength: 200 });
    // A name that is emptied follows the collection again.
    name.addEventListener("input", () => change({ name: name.value, named: name.value !== "" }));
    const matrix = make("select", { class: "form-select form-select-sm", id: "enrichment-matrix", onchange: () => change({ matrix: matrix.value }) });
    matrix.append(make("option", { value: "", textContent: offer.recommended ? `Recommended (${offer.recommended})` : "Recommended" }), ...offer.matrices.map(({ key, kind }) => make("option", { value: key, textContent: `${key} (${kind})` })));
    const method = make("select", { class: "form-select form-select-sm", id: "enrichment-method", onchange: () => change({ method: method.value }) }, ...offer.methods.map(({ key, title }) => make("option", { value: key, textContent: title })));
    const seed = make("input", { type: "number", class: "form-control form-control-sm", id: "enrichment-seed", min: 0, step: 1 });
    seed.addEventListener("input", () => change({ seed: Number.isInteger(seed.valueAsNumber) ? seed.valueAsNumber : null }));
    const searchField = make("input", { type: "search", class: "form-control form-control-sm", id: "enrichment-search", placeholder: "Search sets", "aria-label": "Search gene sets", autocomplete: "off", spellcheck: false });
    searchField.addEventListener(
      "input",
      parts().later(() => {
        search = searchField.value;
        if (isLong()) readSets();
        else showSets();
      }),
    );
    const pick = (text, title, act) => make("button", { class: "btn btn-link btn-sm", textContent: text, title, onclick: act });
    const manage = link(iscan.address("/enrichment/sets"), "enrichment-manage", "Manage, paste or upload");
    const any = make("input", { type: "checkbox", class: "form-check-input", id: "enrichment-any-organism", onchange: () => change({ any_organism: any.checked }) });
    const organism = make("div", { id: "enrichment-organism", class: "form-check", hidden: true }, any, make("label", { class: "form-check-label", for: any.id, textContent: "Use it anyway" }));
    const fields = make(
      "div",
      { class: "predict-fields" },
      make("div", { class: "row-of-2" }, field("Name", name, errorOf("name"), make("span", { class: "muted", id: "enrichment-name-note", role: "status" })), make("div", { class: "field", role: "radiogroup", "aria-labelledby": "enrichment-cells-title" }, make("span", { class: "field-title", id: "enrichment-cells-title", textContent: "Cells" }), make("div", { class: "predict-row" }, radio("cells", "all", `All ${cellsText(offer.n_cells)}`, () => change({ filtered: false })), radio("cells", "filtered", make("span", { id: "enrichment-filtered-text", class: "numbers" }), () => change({ filtered: true }))))),
      make("div", { class: "field" }, make("div", { class: "enrichment-label" }, make("label", { for: "enrichment-collection", textContent: "Gene Set Collection" }), manage), collectionSelect(), errorOf("collection"), organism),
      make(
        "div",
        { class: "field", id: "enrichment-sets-field", role: "group", "aria-labelledby": "enrichment-sets-title" },
        make("div", { class: "enrichment-label" }, make("span", { class: "field-title", id: "enrichment-sets-title", textContent: "Gene Sets" }), make("span", { class: "muted numbers", id: "enrichment-sets-count", role: "status" })),
        make("div", { class: "enrichment-sets-head" }, searchField, pick("All", "Choose every set of the collection", () => changeSets(null)), pick("None", "Choose no set", () => changeSets([]))),
        make("div", { class: "enrichment-sets", id: "enrichment-sets", tabIndex: -1 }),
        errorOf("sets"),
      ),
      make("div", { class: "row-of-2" }, field("Matrix", matrix, errorOf("matrix")), field("Method", method, make("span", { class: "muted", id: "enrichment-method-text" }))),
      make("div", { class: "row-of-2", id: "enrichment-seed-row" }, field("Seed", seed, make("span", { class: "muted", textContent: "Chooses the control genes; the same seed gives the same scores" }), errorOf("seed"))),
    );
    const end = make(
      "div",
      { class: "predict-end" },
      make("section", { class: "preflight", id: "enrichment-preflight", role: "status", "aria-label": "What to expect" }),
      make("div", { class: "predict-jobs", id: "enrichment-jobs", "aria-label": "Your analyses" }),
      make("div", { class: "form-end" }, make("span", { class: "field-error", id: "enrichment-problem", role: "alert" }), make("button", { class: "btn btn-primary btn-sm", id: "enrichment-run", textContent: "Run", onclick: send })),
    );
    iscan.enrichment.page().replaceChildren(make("div", { class: "predict-panel" }, fields, end));
    show();
    showSets();
    showFound();
    jobs.show();
  }

  const setValue = (id, value) => {
    const element = byId(id);
    if (element && element.value !== String(value)) element.value = value;
  };

  /** Show what is filled in. */
  function show() {
    if (!isShown()) return;
    setValue("enrichment-name", form.name);
    setValue("enrichment-collection", form.collection);
    setValue("enrichment-matrix", form.matrix);
    setValue("enrichment-method", form.method);
    byId("enrichment-method-text").textContent = (offer.methods.find(({ key }) => key === form.method) || { text: "" }).text;
    if (form.seed !== null) setValue("enrichment-seed", form.seed);
    byId("enrichment-cells-all").checked = !form.filtered;
    byId("enrichment-cells-filtered").checked = form.filtered;
    byId("enrichment-any-organism").checked = form.any_organism;
    byId("enrichment-seed-row").hidden = form.method !== "module";
    showSelection();
    showTicks();
  }

  /** Say what the Cell Filter has now. */
  function showSelection() {
    const place = byId("enrichment-filtered-text");
    if (!place) return;
    const { number } = parts();
    const state = iscan.selection.state();
    const text = !state || !state.active ? "Cell Filter (nothing is selected)" : state.count === null ? "Cell Filter (not finished)" : `Cell Filter: ${number(state.count)} of ${number(state.n_cells)}`;
    if (place.textContent !== text) place.textContent = text;
  }

  // -- sets --------------------------------------------------------------------------------------------------------

  const chosen = () => (form.sets === null ? null : new Set(form.sets));

  function changeSets(sets) {
    form.sets = sets;
    keep();
    showTicks();
    look();
  }

  function toggle(name, isIn) {
    const names = chosen() || new Set(details.sets.map((own) => own.name));
    if (isIn) names.add(name);
    else names.delete(name);
    // In the order of the collection; those that are not listed now come first.
    const order = new Map(details.sets.map((own, place) => [own.name, place]));
    const sorted = [...names].sort((a, b) => (order.get(a) ?? -1) - (order.get(b) ?? -1));
    changeSets(sorted.length === details.n_sets ? null : sorted);
  }

  function showSets() {
    const box = byId("enrichment-sets");
    if (!box) return;
    const { make, words } = parts();
    if (!form.collection || !details) {
      box.replaceChildren(make("p", { class: "muted", textContent: form.collection ? "Looking for the genes..." : "Choose a collection to see its sets." }));
      showTicks();
      return;
    }
    const wanted = isLong() ? "" : search.trim().toLocaleLowerCase();
    const listed = details.sets.filter(({ name, genes }) => !wanted || name.toLocaleLowerCase().includes(wanted) || genes.some((gene) => gene.toLocaleLowerCase() === wanted));
    const rows = listed.map((own) => {
      const box = make("input", { type: "checkbox", class: "form-check-input", value: own.name });
      box.addEventListener("change", () => toggle(own.name, box.checked));
      const genes = own.genes.slice(0, 60).join(", ");
      return make("label", { class: "enrichment-set", title: own.genes.length > 60 ? `${genes}, ...` : genes }, box, words(own.name, "enrichment-set-name"), iscan.enrichment.coverage(own));
    });
    const left = (isLong() ? details.n_matching : details.n_sets) - details.sets.length;
    if (left > 0) rows.push(make("p", { class: "muted", textContent: `and ${iscan.enrichment.counted(left, "more set")}; search to find them` }));
    if (!rows.length) rows.push(make("p", { class: "muted", textContent: details.problem || "No set matches" }));
    box.replaceChildren(...rows);
    showTicks();
  }

  function showTicks() {
    const box = byId("enrichment-sets");
    if (!box) return;
    const { number } = parts();
    const names = chosen();
    for (const own of box.querySelectorAll("input")) own.checked = !names || names.has(own.value);
    const total = details ? details.n_sets : 0;
    byId("enrichment-sets-count").textContent = form.collection && details ? `${number(names ? names.size : total)} of ${iscan.enrichment.counted(total, "set")} chosen` : "";
  }

  // -- the card ----------------------------------------------------------------------------------------------------

  function card() {
    const { make, cellsText, number } = parts();
    const fact = (text, kind = "") => make("p", { class: `fact ${kind && `fact-${kind}`}`, textContent: text });
    if (!form.collection) return [fact("Choose a collection to see what to expect.")];
    if (!found || (isOld && !found.preflight && !found.problems.card)) return [fact("Looking...")];
    const { preflight, problems } = found;
    if (problems.card) return [fact(problems.card[1], "bad")];
    if (!preflight) return [fact("Correct the form to see what to expect.")];
    const kinds = [...new Set(preflight.matrices.map(({ key, kind }) => `${key}: ${kind}`))].join("; ");
    const of = preflight.sets.length;
    const isAll = preflight.n_usable === of;
    return [
      fact(isAll ? `${iscan.enrichment.counted(of, "gene set")} can be scored.` : `${number(preflight.n_usable)} of ${iscan.enrichment.counted(of, "gene set")} can be scored; the others are skipped.`, isAll ? "good" : "warning"),
      fact(`${cellsText(preflight.n_cells)} \u00b7 ${kinds} \u00b7 ${number(preflight.n_genes)} genes`),
      ...preflight.warnings.map((text) => fact(text, "warning")),
    ];
  }

  function showFound() {
    if (!isShown()) return;
    const { allow } = parts();
    const place = byId("enrichment-preflight");
    place.replaceChildren(...card());
    place.classList.toggle("is-busy", Boolean(form.collection) && isOld);
    const problems = found && form.collection ? found.problems : {};
    for (const key of FIELDS) {
      const says = problems[key] ? problems[key][1] : "";
      const own = byId(`enrichment-${key}-error`);
      if (own.textContent !== says) own.textContent = says;
    }
    byId("enrichment-name-note").textContent = found && !problems.name ? found.name_note : "";
    byId("enrichment-organism").hidden = !(problems.collection && problems.collection[0] === "E14") && !form.any_organism;
    const reason = !form.collection ? "Choose a gene set collection." : Object.keys(problems).length ? Object.values(problems)[0][1] : null;
    allow(byId("enrichment-run"), isSending ? "it is being sent" : reason);
    byId("enrichment-problem").textContent = wasSubmitted && reason ? reason : "";
  }

  async function send() {
    if (isSending) return;
    wasSubmitted = true;
    if (!form.collection || (found && Object.keys(found.problems).length)) {
      showFound();
      const wrong = !form.collection ? "collection" : FIELDS.find((key) => found.problems[key]);
      if (wrong) byId(wrong === "sets" ? "enrichment-search" : `enrichment-${wrong}`)?.focus();
      return;
    }
    isSending = true;
    showFound();
    try {
      const selection = iscan.selection.state();
      const { job } = await iscan.jobs.request("enrichment", { ...form, selection: selection ? selection.mask_version : null });
      const isKnown = Boolean(iscan.jobs.get(job.id));
      jobs.add(job.id);
      const text = isKnown ? `"${job.name}" is being scored already.` : `"${job.name}" was submitted.`;
      iscan.toast.show({ id: `submitted-${job.id}-${Date.now()}`, kind: "success", text, actions: [{ text: "Study Logs", href: iscan.address("/logs") }], seconds: 6 });
      wasSubmitted = false;
      iscan.pollStatus();
      await iscan.jobs.refresh();
    } catch (error) {
      iscan.enrichment.complain(error);
    } finally {
      isSending = false;
      if (isShown()) look();
    }
  }

  // -- analyses of this user -----------------------------------------------------------------------------------------

  iscan.jobs.onChange((changed) => {
    if (!isShown()) return;
    jobs.show();
    // A new result takes a name.
    if (changed.some((job) => job.kind === "enrichment" && job.state === "Finished")) look();
  });

  iscan.selection.onChange(() => {
    if (!isShown()) return;
    showSelection();
    if (form.filtered) look();
  });

  // -- opening -------------------------------------------------------------------------------------------------------

  async function open(root, { rerun = "" } = {}) {
    const { make } = parts();
    if (!root.firstChild) root.append(make("p", { class: "muted", role: "status", textContent: "Loading..." }));
    const failed = (error) => root.replaceChildren(make("p", { class: "field-error", role: "alert", textContent: error.message }), make("button", { class: "btn btn-outline-primary btn-sm", textContent: "Try again", onclick: () => open(root, { rerun }) }));
    let earlier = null;
    try {
      offer = await iscan.jobs.request("enrichment");
    } catch (error) {
      if (iscan.enrichment.isOpen("new")) failed(error);
      return;
    }
    if (rerun && kept().from !== rerun) {
      try {
        const { form: given, cells } = await iscan.jobs.request(`enrichment/form/${encodeURIComponent(rerun)}`);
        earlier = { ...given, named: true, from: rerun };
        if (cells) await iscan.selection.act({ do: "load", recipe: cells });
      } catch (error) {
        iscan.enrichment.complain(error);
      }
    }
    if (!iscan.enrichment.isOpen("new") || iscan.enrichment.page() !== root) return;
    form = { ...fresh(), ...(earlier || kept()) };
    if (!collection() || collection().problem) Object.assign(form, { collection: "", sets: null });
    if (!offer.matrices.some(({ key }) => key === form.matrix)) form.matrix = "";
    if (!form.named) form.name = collection() ? collection().name.slice(0, 64) : "";
    found = null;
    details = null;
    wasSubmitted = false;
    search = "";
    keep();
    draw();
    readSets();
    look();
    iscan.jobs.refresh();
  }

  iscan.enrichmentForm = {
    open,
    /** Choose a collection in the form, and go there. */
    choose(id) {
      form = { ...fresh(), ...(form || kept()), collection: id, sets: null, any_organism: false };
      keep();
      iscan.go(iscan.address("/enrichment"));
    },
  };
})();
