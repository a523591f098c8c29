/* Gene sets: the collections, one of them with what the study has of its genes, and the reading of new ones, pasted or from
 * a file. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const MOST = 32 * 2 ** 20; // bytes of a file
  const ORIGINS = { own: "yours", shipped: "built in", shared: "references" };
  const EXAMPLE = "T cell: CD3D, CD3E, TRAC\nB cell: MS4A1, CD79A\n\nor a list of genes, GMT, a table, JSON";

  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);
  const isOpen = () => iscan.enrichment.isOpen("sets");
  const root = () => iscan.enrichment.page();
  const make = (...given) => parts().make(...given);

  let found = null; // the collections
  let view = { is: "list" }; // "list", {is: "one", id} or {is: "read", into}
  let details = null; // the collection that is open
  let search = "";
  let asking = 0;

  async function post(path, body) {
    const answer = await iscan.jobs.request(`gene-sets/${path}`, body);
    await readList();
    return answer;
  }

  async function attempt(act) {
    try {
      return await act();
    } catch (error) {
      iscan.enrichment.complain(error);
      if (view.is === "one") await readOne();
      return null;
    }
  }

  async function readList() {
    found = await iscan.jobs.request("gene-sets");
  }

  const say = (text, kind = "muted") => make("p", { class: kind, role: kind === "field-error" ? "alert" : "status", textContent: text });

  const button = (text, act, kind = "outline-secondary", more = {}) => make("button", { class: `btn btn-${kind} btn-sm`, onclick: act, ...more }, ...(text instanceof Array ? text : [text]));

  function show(next) {
    view = next;
    search = "";
    details = null;
    draw();
  }

  function draw() {
    if (!isOpen()) return;
    if (view.is === "list") drawList();
    else if (view.is === "one") openOne();
    else drawReader();
  }

  // -- the list ------------------------------------------------------------------------------------------------------

  async function drawList() {
    const mine = ++asking;
    if (!found) root().replaceChildren(say("Reading the collections..."));
    try {
      await readList();
    } catch (error) {
      if (mine === asking && isOpen()) root().replaceChildren(say(error.message, "field-error"), button("Try again", drawList));
      return;
    }
    if (mine !== asking || !isOpen() || view.is !== "list") return;
    const titles = ["Collection", "From", "Organism", "Sets", "Genes", ""];
    const head = titles.map((title) => make("th", { scope: "col", class: ["Sets", "Genes"].includes(title) ? "number" : "", textContent: title, "aria-label": title || "Actions" }));
    const where = found.folder ? `Files of gene sets in ${found.folder} appear here by themselves.` : "With --references DIR, files of gene sets in DIR/gene_sets appear here by themselves.";
    root().replaceChildren(
      make("div", { class: "references-head" }, make("p", { class: "muted", textContent: where }), button([parts().icon("plus-lg"), " New collection"], () => show({ is: "read", into: null }), "primary", { id: "gene-sets-new" })),
      make("div", { class: "enrichment-box", tabIndex: 0, role: "region", "aria-label": "Gene set collections" }, make("table", { class: "plain-table gene-collections" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...found.collections.map(collectionRow)))),
    );
  }

  function collectionRow(own) {
    const { words, number, iconButton } = parts();
    const name = own.problem ? make("div", {}, words(own.name), make("div", { class: "field-error", textContent: own.problem })) : make("div", {}, make("button", { class: "enrichment-open", "aria-label": `Open ${own.name}`, onclick: () => show({ is: "one", id: own.id }) }, words(own.name)), make("div", { class: "muted enrichment-of", title: own.description }, make("bdi", { textContent: own.description })));
    const actions = [];
    if (!own.problem) {
      actions.push(iconButton("play", `New analysis with ${own.name}`, () => iscan.enrichmentForm.choose(own.id)));
      actions.push(iconButton("copy", `Duplicate ${own.name}`, () => duplicate(own)));
      actions.push(iconButton("download", `Export ${own.name}`, (event) => exports(event.currentTarget, own)));
    }
    if (own.editable) actions.push(iconButton("trash", `Delete ${own.name}`, () => remove(own), "danger"));
    return make(
      "tr",
      { "data-collection": own.id },
      make("td", {}, name),
      make("td", { textContent: ORIGINS[own.origin] }),
      make("td", { textContent: own.organism }),
      make("td", { class: "number", textContent: number(own.n_sets) }),
      make("td", { class: "number", textContent: number(own.n_genes) }),
      make("td", { class: "actions" }, ...actions),
    );
  }

  async function remove(own) {
    await attempt(async () => {
      await post("delete", { id: own.id });
      iscan.enrichment.tellDone(`"${own.name}" was deleted. Results made with it stay.`, async () => {
        await post("restore", { id: own.id });
        if (view.is === "list") drawList();
      });
      show({ is: "list" });
    });
  }

  async function duplicate(own) {
    const names = new Set(found.collections.map(({ name }) => name.toLocaleLowerCase()));
    let name = `${own.name} (copy)`;
    for (let k = 2; names.has(name.toLocaleLowerCase()); k++) name = `${own.name} (copy ${k})`;
    const made = await attempt(() => post("duplicate", { id: own.id, name }));
    if (made) show({ is: "one", id: made.id });
  }

  function exports(anchor, own) {
    iscan.editParts.popup(anchor, `Export ${own.name}`, (close) =>
      [
        ["gmt", "GMT"],
        ["csv", "cellxgene gene-set CSV"],
        ["json", "JSON"],
      ].map(([kind, text]) => make("a", { class: "enrichment-export", href: iscan.address(`/api/v1/gene-sets/export?${new URLSearchParams({ id: own.id, kind })}`), download: "", onclick: close, textContent: text })),
    );
  }

  // -- one collection ------------------------------------------------------------------------------------------------

  async function readOne() {
    const mine = ++asking;
    try {
      const query = new URLSearchParams({ id: view.id, q: search });
      const answer = await iscan.jobs.request(`gene-sets/one?${query}`);
      if (mine !== asking) return;
      details = answer;
    } catch (error) {
      if (mine === asking && isOpen()) root().replaceChildren(say(error.message, "field-error"), button("All collections", () => show({ is: "list" })));
      return;
    }
    if (!isOpen() || view.is !== "one") return;
    if (byId("gene-sets-table")) fillOne();
    else drawOne();
  }

  function openOne() {
    root().replaceChildren(say("Looking for the genes..."));
    readOne();
  }

  function drawOne() {
    const { words, icon, later } = parts();
    const searchField = make("input", { type: "search", class: "form-control form-control-sm", id: "gene-sets-search", placeholder: "Search sets and genes", "aria-label": "Search sets and genes", autocomplete: "off", spellcheck: false });
    searchField.addEventListener(
      "input",
      later(() => {
        search = searchField.value;
        readOne();
      }),
    );
    const edit = details.editable ? [button([icon("pencil"), " Rename"], (event) => rename(event.currentTarget), "outline-secondary", { id: "gene-sets-rename" }), button([icon("plus-lg"), " Add sets"], () => show({ is: "read", into: details }), "outline-secondary", { id: "gene-sets-add" })] : [button([icon("copy"), " Duplicate to edit"], () => duplicate(details), "outline-secondary", { id: "gene-sets-duplicate" })];
    root().replaceChildren(
      make(
        "div",
        { class: "gene-sets-head" },
        parts().iconButton("arrow-left", "All collections", () => show({ is: "list" })),
        words(details.name, "result-name"),
        make("span", { class: "space" }),
        ...edit,
        button([icon("download"), " Export"], (event) => exports(event.currentTarget, details)),
        button("New analysis", () => iscan.enrichmentForm.choose(details.id), "primary"),
      ),
      make("p", { class: "muted gene-sets-about", id: "gene-sets-about" }),
      make("div", { class: "gene-sets-report", id: "gene-sets-report", role: "status" }),
      searchField,
      make("div", { class: "enrichment-box", id: "gene-sets-table", tabIndex: 0, role: "region", "aria-label": "Gene sets" }),
    );
    fillOne();
  }

  function facts(report, problem) {
    return [...(problem ? [problem] : []), ...report].map((text) => make("p", { class: "fact fact-warning", textContent: text }));
  }

  function fillOne() {
    const { words, iconButton } = parts();
    const { counted, coverage } = iscan.enrichment;
    byId("gene-sets-about").textContent = [details.description, ORIGINS[details.origin], details.organism === "unknown" ? "" : details.organism, counted(details.n_sets, "set")].filter(Boolean).join(" \u00b7 ");
    const all = details.sets.every((own) => own.n_missing === 0);
    byId("gene-sets-report").replaceChildren(...(all && details.sets.length && !details.problem ? [make("p", { class: "fact fact-good", textContent: "Every gene is in this study." })] : []), ...facts(details.report, details.problem));
    const rows = details.sets.map((own) => {
      const missing = new Set(own.missing || []);
      const genes = make("div", { class: "gene-list", title: own.genes.join(", ") }, ...own.genes.slice(0, 40).map((gene) => make("span", { class: missing.has(gene.replace(/-$/, "")) || missing.has(gene) ? "is-missing" : "", textContent: gene })), own.n_genes > 40 ? make("span", { class: "muted", textContent: `and ${own.n_genes - 40} more` }) : null);
      const actions = details.editable ? [iconButton("pencil", `Edit ${own.name}`, (event) => edit(event.currentTarget, own)), iconButton("trash", `Delete ${own.name}`, () => removeSet(own), "danger")] : [];
      return make("tr", { "data-set": own.name }, make("td", { class: "gene-set-name" }, words(own.name), own.description ? make("div", { class: "muted", textContent: own.description }) : null), make("td", { class: "number" }, coverage(own)), make("td", {}, genes), make("td", { class: "actions" }, ...actions));
    });
    const head = ["Set", "Found", "Genes", ""].map((title) => make("th", { scope: "col", class: title === "Found" ? "number" : "", textContent: title, "aria-label": title || "Actions" }));
    const table = make("table", { class: "plain-table gene-sets" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
    const more = details.n_matching > details.sets.length ? [say(`and ${counted(details.n_matching - details.sets.length, "more set")}; search to find them`)] : [];
    byId("gene-sets-table").replaceChildren(...(rows.length ? [table, ...more] : [say(search ? "No set matches" : "This collection has no sets. Add some.")]));
  }

  function rename(anchor) {
    iscan.editParts.popup(anchor, `Rename ${details.name}`, (close) => {
      const name = make("input", { class: "form-control form-control-sm", id: "gene-sets-name", "aria-label": "Name", value: details.name, autocomplete: "off", spellcheck: false });
      const text = make("input", { class: "form-control form-control-sm", "aria-label": "Description", placeholder: "Description", value: details.description, autocomplete: "off" });
      const says = make("span", { class: "field-error", role: "alert" });
      const send = async () => {
        try {
          await post("rename", { id: details.id, name: name.value, description: text.value, version: details.version });
          close();
          draw();
        } catch (error) {
          says.textContent = error.message;
        }
      };
      for (const own of [name, text]) own.addEventListener("keydown", (event) => event.key === "Enter" && send());
      return [make("div", { class: "gene-set-form" }, name, text, says, button("Save", send, "primary"))];
    });
  }

  function edit(anchor, own) {
    const isCut = own.genes.length < own.n_genes;
    iscan.editParts.popup(anchor, own.name, (close) => {
      const name = make("input", { class: "form-control form-control-sm", id: "gene-set-name", "aria-label": "Name of the set", value: own.name, autocomplete: "off", spellcheck: false });
      const genes = make("textarea", { class: "form-control form-control-sm", id: "gene-set-genes", "aria-label": "Genes", rows: 8, value: own.genes.join(", "), spellcheck: false, disabled: isCut });
      const says = make("span", { class: "field-error", role: "alert", textContent: isCut ? "This set is too long to be edited here. Export it, edit the file, and add it again." : "" });
      const send = async () => {
        try {
          await post("set", { id: details.id, version: details.version, former: own.name, name: name.value, genes: genes.value });
          close();
          await readOne();
        } catch (error) {
          says.textContent = error.message;
        }
      };
      return [make("div", { class: "gene-set-form" }, name, genes, make("small", { class: "muted", textContent: "A gene that is low in these cells ends in a minus: CD8A-" }), says, isCut ? null : button("Save", send, "primary", { id: "gene-set-save" }))];
    });
  }

  async function removeSet(own) {
    const before = details;
    await attempt(async () => {
      const { version } = await post("delete-sets", { id: before.id, names: [own.name], version: before.version });
      await readOne();
      const undo = async () => {
        await post("set", { id: before.id, version, former: "", name: own.name, genes: own.genes.join(", ") });
        if (view.is === "one" && view.id === before.id) await readOne();
      };
      iscan.enrichment.tellDone(`"${own.name}" was deleted.`, own.genes.length < own.n_genes ? null : undo);
    });
  }

  // -- reading new ones ------------------------------------------------------------------------------------------------

  let reader = null; // {file, text, name, readAs, top, found, problem, refused}
  let asked = 0;

  const body = () => reader.file || new Blob([reader.text]);

  /** Send what is to be read; JSON comes back, or its sentence is thrown. */
  async function send(path, query) {
    let response;
    try {
      response = await fetch(iscan.address(`/api/v1/gene-sets/${path}?${new URLSearchParams(query)}`), { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: body() });
    } catch {
      throw new Error("The server does not answer. Try again when it is back.");
    }
    const answer = await response.json().catch(() => ({ error: "The server's answer is not understood. Try again." }));
    if (!response.ok) throw new Error(answer.error || "The server refused to answer. Try again.");
    return answer;
  }

  const how = () => ({ name: reader.file ? reader.file.name : "", read_as: reader.readAs, top: reader.top });

  async function look() {
    const mine = ++asked;
    reader.found = null;
    reader.problem = "";
    if (!reader.file && !reader.text.trim()) return showRead();
    showRead(true);
    try {
      const answer = await send("read", how());
      if (answer.refused) reader.problem = answer.refused;
      else reader.found = answer;
    } catch (error) {
      reader.problem = error.message;
    }
    if (mine !== asked || !isOpen() || view.is !== "read") return;
    // A file's name is as good as any.
    if (reader.file && !view.into && !reader.isNamed) reader.name = (reader.found && reader.found.name) || reader.file.name.replace(/\.[^.]*$/, "");
    showRead();
  }

  function choose(file) {
    if (file.size > MOST) {
      reader.problem = `${file.name} is larger than 32 MB. Keep only the sets that you need.`;
      return showRead();
    }
    reader.file = file;
    byId("gene-sets-text").value = "";
    reader.text = "";
    return look();
  }

  function dropZone() {
    const input = make("input", { type: "file", id: "gene-sets-file", accept: ".gmt,.grp,.csv,.tsv,.txt,.json" });
    input.addEventListener("change", () => {
      if (input.files[0]) choose(input.files[0]);
      // The same file may be chosen again after it was mended.
      input.value = "";
    });
    const zone = make("div", { class: "drop-zone gene-sets-drop" }, input, make("label", { for: input.id }, make("b", { id: "gene-sets-file-name", textContent: "Drop a file here, or choose one" }), make("small", { textContent: "GMT, cellxgene CSV, tables, ranked tables of markers, JSON, lists. Up to 32 MB." })));
    zone.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("is-over");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("is-over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("is-over");
      if (event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]);
    });
    return zone;
  }

  function drawReader() {
    const { words, later } = parts();
    const { field } = iscan.enrichment;
    const { into } = view;
    asking += 1;
    reader = { file: null, text: "", name: "", isNamed: false, readAs: "", top: 50, found: null, problem: "", refused: "" };
    const name = make("input", { class: "form-control form-control-sm", id: "gene-sets-called", autocomplete: "off", spellcheck: false, maxLength: 200 });
    name.addEventListener("input", () => {
      reader.name = name.value;
      reader.isNamed = name.value !== "";
      showRead();
    });
    const text = make("textarea", { class: "form-control form-control-sm", id: "gene-sets-text", rows: 7, placeholder: EXAMPLE, spellcheck: false });
    const lookLater = later(look, 250);
    text.addEventListener("input", () => {
      reader.text = text.value;
      reader.file = null;
      lookLater();
    });
    const readAs = make("select", { class: "form-select form-select-sm", id: "gene-sets-read-as", onchange: () => ((reader.readAs = readAs.value), look()) }, make("option", { value: "", textContent: "Found by itself" }), ...Object.entries(found.formats).map(([key, title]) => make("option", { value: key, textContent: title })));
    const top = make("input", { type: "number", class: "form-control form-control-sm", id: "gene-sets-top", min: 1, max: 10000, value: 50 });
    top.addEventListener("input", () => {
      if (!Number.isInteger(top.valueAsNumber) || top.valueAsNumber < 1) return;
      reader.top = top.valueAsNumber;
      lookLater();
    });
    root().replaceChildren(
      make("div", { class: "gene-sets-head" }, parts().iconButton("arrow-left", into ? `Back to ${into.name}` : "All collections", () => show(into ? { is: "one", id: into.id } : { is: "list" })), into ? words(`Add sets to ${into.name}`, "result-name") : make("span", { class: "result-name", textContent: "New collection" })),
      make(
        "div",
        { class: "predict-panel" },
        make(
          "div",
          { class: "predict-fields" },
          into ? null : field("Name", name, make("span", { class: "field-error", id: "gene-sets-called-error", role: "alert" })),
          field("Paste gene sets", text),
          dropZone(),
          make("div", { class: "row-of-2" }, field("Read as", readAs), make("div", { class: "field", id: "gene-sets-top-field", hidden: true }, make("label", { for: "gene-sets-top", textContent: "Genes from the top of each group" }), top)),
          make("div", { class: "gene-sets-read", id: "gene-sets-read", role: "status" }),
        ),
        make("div", { class: "form-end" }, make("span", { class: "field-error", id: "gene-sets-problem", role: "alert" }), make("span", { class: "gene-sets-again", id: "gene-sets-again", hidden: true }, button("Unite them", () => keep("merge")), button("Replace them", () => keep("replace"), "outline-secondary", { id: "gene-sets-replace" })), button(into ? "Add" : "Create", () => keep("refuse"), "primary", { id: "gene-sets-keep" })),
      ),
    );
    showRead();
    (into ? text : name).focus();
  }

  function showRead(isBusy = false) {
    const place = byId("gene-sets-read");
    if (!place) return;
    const { words, number, allow } = parts();
    const { counted, coverage } = iscan.enrichment;
    byId("gene-sets-file-name").textContent = reader.file ? reader.file.name : "Drop a file here, or choose one";
    const name = byId("gene-sets-called");
    if (name && name.value !== reader.name) name.value = reader.name;
    const { found: read } = reader;
    byId("gene-sets-top-field").hidden = !(read ? read.read_as === "ranked" : reader.readAs === "ranked");
    if (isBusy) place.replaceChildren(say("Reading..."));
    else if (reader.problem) place.replaceChildren(say(reader.problem, "field-error"));
    else if (!read) place.replaceChildren(say("What was read, and how many of its genes this study has, is shown here."));
    else {
      const rows = read.sets.map((own) => make("tr", { "data-set": own.name }, make("td", { class: "gene-set-name" }, words(own.name)), make("td", { class: "number" }, coverage(own)), make("td", {}, make("div", { class: "gene-list is-short", title: own.genes.join(", "), textContent: own.genes.slice(0, 40).join(", ") }))));
      const head = ["Set", "Found", "Genes"].map((title) => make("th", { scope: "col", class: title === "Found" ? "number" : "", textContent: title }));
      place.replaceChildren(
        make("p", { class: "fact fact-good", textContent: `${counted(read.n_sets, "set")} read as ${read.title}${read.organism === "unknown" ? "" : `, ${read.organism}`}.` }),
        // What Excel did is told by the reader already.
        ...facts([...read.notes, ...read.report.filter((text) => !text.startsWith("Excel ") || !read.notes.some((note) => note.includes("Excel")))], read.problem),
        make("div", { class: "enrichment-box" }, make("table", { class: "plain-table gene-sets" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)), read.n_sets > read.sets.length ? say(`and ${number(read.n_sets - read.sets.length)} more`) : null),
      );
    }
    const reason = isBusy ? "it is being read" : reader.problem || !read ? "paste gene sets or choose a file first" : null;
    allow(byId("gene-sets-keep"), reason);
  }

  function refuse(text, isAgain) {
    byId("gene-sets-problem").textContent = text;
    byId("gene-sets-again").hidden = !isAgain;
    byId("gene-sets-replace").hidden = !view.into;
  }

  async function keep(repeated) {
    if (!parts().isAllowed(byId("gene-sets-keep"))) return refuse(reader.problem || "Paste gene sets or choose a file first.", false);
    refuse("", false);
    const { into } = view;
    const query = { ...how(), repeated, ...(into ? { collection: into.id, version: into.version } : { called: reader.name }) };
    let made;
    try {
      const answer = await send("keep", query);
      if (answer.repeated) return refuse(answer.repeated, true);
      if (answer.refused) throw new Error(answer.refused);
      ({ made } = answer);
      await readList();
    } catch (error) {
      if (!byId("gene-sets-problem")) return iscan.enrichment.complain(error);
      refuse(error.message, false);
      if (!into && !reader.name.trim()) byId("gene-sets-called").focus();
      return null;
    }
    iscan.enrichment.tellDone(into ? `Sets were added to "${made.name}".` : `"${made.name}" was created: ${iscan.enrichment.counted(made.n_sets, "set")}.`);
    show({ is: "one", id: made.id });
    return made;
  }

  iscan.enrichmentSets = {
    open(own, { open: id }) {
      if (id) view = { is: "one", id };
      else if (!own.firstChild) view = { is: "list" };
      if (!own.firstChild || view.is === "list") draw();
    },
  };
})();
