/* Make a reference of the open study: a form on the page References, what would come of it (asked for at each change), and
 * the jobs that make some. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const KINDS = [
    ["annotation", "Annotations"],
    ["metadata", "Metadata columns"],
    ["cluster", "Clustering analyses"],
  ];
  const FIELDS = ["name", "id", "organism", "profiles", "main"];

  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);
  const panel = () => byId("references-make");

  let offer = null; // what can be chosen
  let form = null; // what is filled in
  let found = null; // the last answer
  let asked = 0; // number of the newest question
  let isOld = true; // whether the answer to the newest form is on its way
  let isSending = false;
  let wasSubmitted = false; // whether a missing choice may be complained of
  const jobs = iscan.jobList("make-jobs", "reference");

  const fresh = () => ({ name: "", id: null, organism: "", main: null, fine: null, exclude: null, profiles: 10 });
  const counted = (count, word) => `${parts().number(count)} ${word}${count === 1 ? "" : "s"}`;

  // -- what is filled in -------------------------------------------------------------------------------------------

  function change(values) {
    Object.assign(form, values);
    // The labels of another column are others.
    if ("main" in values || "fine" in values) form.exclude = null;
    look();
  }

  async function lookNow() {
    const mine = ++asked;
    let answer;
    try {
      answer = await iscan.jobs.request("make-reference/look", form);
    } catch (error) {
      answer = { problems: { main: error.message }, id: "", looks: "unknown", labels: {}, plan: null };
    }
    // Answers may overtake each other; only the one to the newest form counts.
    if (mine !== asked || !byId("make-submit")) return;
    found = answer;
    isOld = false;
    showFound();
  }

  let lookLater = null;

  function look() {
    isOld = true;
    asked += 1;
    showFound();
    lookLater ??= parts().later(() => byId("make-submit") && lookNow(), 200);
    lookLater();
  }

  // -- the form ------------------------------------------------------------------------------------------------------

  const errorOf = (field) => parts().make("span", { class: "field-error", id: `make-${field}-error`, role: "alert" });

  function field(name, control, ...more) {
    const { make } = parts();
    return make("div", { class: "field" }, make("label", { for: control.id, textContent: name }), control, ...more);
  }

  function sources(id, none, onchange) {
    const { make } = parts();
    const select = make("select", { class: "form-select form-select-sm", id }, make("option", { value: "", textContent: none }));
    for (const [kind, title] of KINDS) {
      const own = offer.sources.map((source, place) => ({ ...source, place })).filter((source) => source.kind === kind);
      const options = own.map(({ place, name, groups, owner }) => make("option", { value: String(place), textContent: `${name} (${counted(groups, "label")}${owner ? `, by ${owner}` : ""})` }));
      if (options.length) select.append(make("optgroup", { label: title }, ...options));
    }
    select.addEventListener("change", () => {
      const source = offer.sources[Number(select.value)];
      onchange(select.value === "" ? null : { kind: source.kind, key: source.key });
    });
    return select;
  }

  function draw() {
    const { make, icon } = parts();
    const text = (id, more = {}) => make("input", { class: "form-control form-control-sm", id, autocomplete: "off", spellcheck: false, maxLength: 200, ...more });
    const name = text("make-name");
    name.addEventListener("input", () => change({ name: name.value }));
    const id = text("make-id", { maxLength: 64 });
    // An id that is emptied follows the name again.
    id.addEventListener("input", () => change({ id: id.value.trim() || null }));
    const organism = make("select", { class: "form-select form-select-sm", id: "make-organism", onchange: () => change({ organism: organism.value }) }, make("option", { value: "", id: "make-looks", textContent: "As the gene names look" }), ...["human", "mouse", "unknown"].map((value) => make("option", { value, textContent: value })));
    const profiles = make("input", { type: "number", class: "form-control form-control-sm", id: "make-profiles", min: 1, max: offer.most_profiles, value: form.profiles ?? "" });
    profiles.addEventListener("input", () => change({ profiles: Number.isInteger(profiles.valueAsNumber) ? profiles.valueAsNumber : null }));
    const main = sources("make-main", offer.sources.length ? "Choose labels" : "No labels in this dataset", (chosen) => change({ main: chosen }));
    const fine = sources("make-fine", "None", (chosen) => change({ fine: chosen }));
    name.value = form.name;
    organism.value = form.organism;
    for (const [select, chosen] of [[main, form.main], [fine, form.fine]]) {
      const place = chosen ? offer.sources.findIndex(({ kind, key }) => kind === chosen.kind && key === chosen.key) : -1;
      if (place >= 0) select.value = String(place);
    }
    const lists = ["main", "fine"].map((kind) => make("fieldset", { class: "make-labels", id: `make-${kind}-labels`, hidden: true }));
    const fields = make(
      "div",
      { class: "predict-fields" },
      make("p", { class: "muted make-says", textContent: "Each label gets several profiles, each the mean log expression of some of its cells. A fifth of the cells is left out first, to see how well the reference labels them." }),
      make("div", { class: "row-of-2" }, field("Main labels", main, errorOf("main")), field("Fine labels", fine)),
      make("div", { class: "row-of-2 make-lists" }, ...lists),
      make("div", { class: "row-of-2" }, field("Name", name, errorOf("name")), field("Id", id, errorOf("id"))),
      make("div", { class: "row-of-2" }, field("Organism", organism, errorOf("organism")), field("Profiles of each label", profiles, errorOf("profiles"))),
    );
    const end = make(
      "div",
      { class: "predict-end" },
      make("section", { class: "preflight", id: "make-plan", role: "status", "aria-label": "What to expect" }),
      make("div", { class: "predict-jobs", id: "make-jobs", "aria-label": "References being made" }),
      make(
        "div",
        { class: "form-end" },
        make("span", { class: "field-error", id: "make-problem", role: "alert" }),
        make("button", { class: "btn btn-outline-secondary btn-sm", id: "make-back", textContent: "Back to the list", onclick: () => iscan.makeReference.close() }),
        make("button", { class: "btn btn-primary btn-sm", id: "make-submit", textContent: "Make reference", onclick: send }),
      ),
    );
    const head = make("h3", { class: "make-title" }, icon("plus-square"), " Make reference from this dataset");
    panel().replaceChildren(head, fields, end);
    jobs.show();
    look();
  }

  /** Labels to tick; drawn anew only when they are others. */
  function showLabels(kind) {
    const { make, words, number } = parts();
    const list = byId(`make-${kind}-labels`);
    const labels = found.labels[kind] || [];
    list.hidden = !labels.length;
    const text = JSON.stringify(labels);
    if (list.dataset.drawn !== text) {
      list.dataset.drawn = text;
      const rows = labels.map(({ name, count }, place) => {
        const box = make("input", { type: "checkbox", class: "form-check-input", id: `make-${kind}-label-${place}`, value: name });
        box.addEventListener("change", () => toggle(name, box.checked));
        return make("div", { class: "make-label" }, box, make("label", { for: box.id }, words(name)), make("span", { class: "muted numbers", textContent: number(count) }));
      });
      list.replaceChildren(make("legend", { class: "field-title", textContent: kind === "main" ? "Main labels to use" : "Fine labels to use" }), make("div", { class: "make-label-list" }, ...rows));
    }
    const out = new Set(excluded());
    for (const box of list.querySelectorAll("input")) box.checked = !out.has(box.value);
  }

  const excluded = () => form.exclude ?? [...new Set(Object.values(found.labels).flatMap((labels) => labels.filter(({ usual }) => usual).map(({ name }) => name)))];

  function toggle(name, isIn) {
    const out = new Set(excluded());
    if (isIn) out.delete(name);
    else out.add(name);
    change({ exclude: [...out] });
  }

  function plan() {
    const { make, number, cellsText } = parts();
    const fact = (text, kind = "") => make("p", { class: `fact ${kind && `fact-${kind}`}`, textContent: text });
    if (!form.main) return [fact("Choose labels to see what would be made.")];
    if (!found || (isOld && !found.plan)) return [fact("Looking...")];
    if (!found.plan) return [fact(found.problems.main || "Correct the form to see what would be made.", found.problems.main ? "bad" : "")];
    const { labels, profiles, cells, left_out: leftOut, few, rare } = found.plan;
    const kinds = "fine" in labels ? `${number(labels.main)} main and ${counted(labels.fine, "fine label")}` : counted(labels.main, "label");
    const says = [fact(`${counted(profiles, "profile")} of ${kinds}, from ${cellsText(cells)}.`, "good"), fact(leftOut ? `${cellsText(leftOut)} without one of these labels ${leftOut === 1 ? "is" : "are"} not used.` : "Every cell is used.")];
    if (few.length) says.push(fact(`Fewer than ${number(rare)} cells: ${few.slice(0, 5).join(", ")}${few.length > 5 ? ` and ${number(few.length - 5)} more` : ""}. Leave out what is too rare to be trusted.`, "warning"));
    says.push(fact(`It is written to ${offer.folder}.`));
    return says;
  }

  function showFound() {
    if (!byId("make-plan")) return;
    const { allow } = parts();
    byId("make-plan").replaceChildren(...plan());
    byId("make-plan").classList.toggle("is-busy", Boolean(form.main) && isOld);
    const problems = found ? found.problems : {};
    if (found) {
      for (const key of FIELDS) {
        // Nobody is told off for what they did not come to yet.
        const isEarly = !wasSubmitted && ((key === "main" && !form.main) || (["name", "id"].includes(key) && !form.name && !form.id));
        const says = isEarly ? "" : problems[key] || "";
        const place = byId(`make-${key}-error`);
        if (place.textContent !== says) place.textContent = says;
      }
      if (document.activeElement !== byId("make-id")) byId("make-id").value = found.id;
      byId("make-looks").textContent = `As the gene names look (${found.looks})`;
      ["main", "fine"].forEach(showLabels);
    }
    const reason = problems.main || Object.values(problems)[0] || (found ? null : "it is being looked at");
    allow(byId("make-submit"), isSending ? "it is being sent" : reason);
    byId("make-problem").textContent = wasSubmitted && reason ? reason : "";
  }

  async function send() {
    if (isSending) return;
    wasSubmitted = true;
    if (!found || Object.keys(found.problems).length) {
      showFound();
      const wrong = FIELDS.find((key) => found && found.problems[key]);
      if (wrong) byId(`make-${wrong}`).focus();
      return;
    }
    isSending = true;
    showFound();
    try {
      const { job } = await iscan.jobs.request("make-reference", form);
      jobs.add(job.id);
      wasSubmitted = false;
      iscan.pollStatus();
      await iscan.jobs.refresh();
    } catch (error) {
      iscan.toast.show({ id: `make-${Date.now()}`, kind: "danger", text: error.message, actions: [], seconds: null });
    } finally {
      isSending = false;
      if (byId("make-submit")) look();
    }
  }

  // -- jobs ----------------------------------------------------------------------------------------------------------

  iscan.jobs.onChange((changed) => {
    if (!panel() || panel().hidden) return;
    jobs.show();
    const made = changed.find((job) => job.kind === "reference" && job.mine && job.state === "Finished" && jobs.saw(job.id));
    if (made) {
      // Here is what came of it.
      form = fresh();
      iscan.makeReference.close();
      iscan.referencesPage.showDetails(made.result);
    }
  });

  // -- opening -------------------------------------------------------------------------------------------------------

  iscan.makeReference = {
    /** Show the form instead of the list. */
    async open() {
      const root = panel();
      const { make } = parts();
      root.hidden = false;
      byId("references-list").hidden = true;
      root.replaceChildren(make("p", { class: "muted", textContent: "Loading..." }));
      try {
        offer = await iscan.jobs.request("make-reference");
      } catch (error) {
        root.replaceChildren(make("p", { class: "field-error", role: "alert", textContent: error.message }), make("button", { class: "btn btn-outline-primary btn-sm", textContent: "Back to the list", onclick: () => iscan.makeReference.close() }));
        return;
      }
      form = form || fresh();
      for (const key of ["main", "fine"]) {
        const chosen = form[key];
        if (chosen && !offer.sources.some((source) => source.kind === chosen.kind && source.key === chosen.key)) form[key] = null;
      }
      found = null;
      wasSubmitted = false;
      draw();
      byId("make-main").focus();
    },
    /** Show the list. */
    close() {
      panel().hidden = true;
      panel().replaceChildren();
      byId("references-list").hidden = false;
      byId("references-open-make")?.focus();
    },
  };
})();
