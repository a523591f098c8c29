/* References: a table that follows the folders, what is known of each, and the installation of those that can be. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const LOOK = 5000; // ms between two looks at the folders
  const ICONS = { ready: "check-circle", "not installed": "cloud-download", refused: "x-octagon" };
  const ORIGINS = { bundled: "comes with iscan-dash", installed: "installed", shared: "your folder" };

  const parts = () => iscan.filterParts;
  const page = () => document.getElementById("references-list");

  let found = null; // what the server said last
  let said = ""; // the same as text
  let problem = "";
  const open = new Map(); // details by key: an answer, or null while it is read

  async function read() {
    if (!page() || document.visibilityState !== "visible") return;
    try {
      found = await iscan.jobs.request("references");
      problem = "";
    } catch (error) {
      problem = error.message;
    }
    const text = JSON.stringify([found, problem]);
    if (text === said && page()?.firstChild) return;
    said = text;
    // What a file says may have changed with it.
    for (const key of open.keys()) readDetails(key);
    draw();
  }

  async function readDetails(key) {
    let known;
    try {
      known = await iscan.jobs.request(`references/${encodeURIComponent(key)}`);
    } catch (error) {
      known = { facts: [], labels: {}, problem: error.message, test: null };
    }
    // They may have been closed meanwhile.
    if (open.has(key)) open.set(key, known);
    draw();
  }

  function labelsText({ n_labels: labels }) {
    return Object.entries(labels)
      .map(([kind, count]) => `${parts().number(count)} ${kind}`)
      .join(", ");
  }

  const jobOf = (entry) =>
    iscan.jobs.all().find((job) => job.kind === "install" && job.active && job.name === entry.name);

  async function install(entry) {
    try {
      await iscan.jobs.request(`references/${encodeURIComponent(entry.id)}/install`, {});
      iscan.pollStatus();
      await iscan.jobs.refresh();
    } catch (error) {
      iscan.toast.show({ id: `install-${Date.now()}`, kind: "danger", text: error.message, actions: [], seconds: null });
    }
    draw();
  }

  function detailsRow(entry) {
    const { make, words } = parts();
    const known = open.get(entry.key);
    const body = make("td", { colSpan: 5 });
    body.append(...entry.reasons.map((reason) => make("p", { class: entry.state === "refused" ? "field-error" : "", textContent: reason })));
    if (entry.installable && found.no_install) body.append(make("p", { class: "muted", textContent: found.no_install }));
    if (known === null) body.append(make("p", { class: "muted", textContent: "Reading..." }));
    else {
      if (known.problem) body.append(make("p", { class: "field-error", role: "alert", textContent: known.problem }));
      const facts = known.facts.flatMap(([what, text]) => [make("dt", { textContent: what }), make("dd", {}, make("bdi", { textContent: text }))]);
      body.append(make("dl", { class: "reference-facts" }, ...facts));
      for (const [kind, test] of Object.entries(known.test || {})) body.append(...testPart(kind, test));
      for (const [kind, labels] of Object.entries(known.labels)) {
        const names = labels.map(([name, term]) => make("li", { title: term }, words(name), term ? make("span", { class: "muted", textContent: ` ${term}` }) : null));
        body.append(make("h4", { class: "reference-labels-title", textContent: `${kind === "main" ? "Main" : "Fine"} labels (${parts().number(labels.length)})` }), make("ul", { class: "reference-labels" }, ...names));
      }
    }
    return make("tr", { class: "reference-details", "data-reference": entry.key }, body);
  }

  const percent = (share) => `${(100 * share).toFixed(1)} %`;

  /** How well a reference labels cells of its own study that were left out. */
  function testPart(kind, { text, mean, labels }) {
    const { make, words, number } = parts();
    const title = `Test by ${kind} labels`;
    const says = mean === null ? text : `${text}; ${percent(mean)} on average of the labels`;
    const rows = labels
      .filter(({ tested }) => tested)
      .map(({ label, tested, right, taken_for: taken }) => {
        const bar = make("meter", { min: 0, max: 1, value: right / tested, "aria-label": `Right of ${label}` });
        const wrong = Object.entries(taken).map(([name, count]) => `${name} ${number(count)}`);
        return make(
          "tr",
          {},
          make("td", {}, words(label)),
          make("td", { class: "number", textContent: number(tested) }),
          make("td", { class: "reference-right" }, bar, make("span", { class: "numbers", textContent: percent(right / tested) })),
          make("td", {}, make("bdi", { title: wrong.join(", "), textContent: wrong.join(", ") })),
        );
      });
    const head = ["Label", "Left out", "Right", "Taken for"].map((name) => make("th", { scope: "col", class: name === "Left out" ? "number" : "", textContent: name }));
    return [
      make("h4", { class: "reference-labels-title", textContent: title }),
      make("p", { class: "reference-test-text", textContent: `${says}.` }),
      ...(rows.length ? [make("table", { class: "plain-table reference-test", "aria-label": title }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows))] : []),
    ];
  }

  function row(entry) {
    const { make, words, icon } = parts();
    const isOpen = open.has(entry.key);
    const toggle = make(
      "button",
      {
        class: "reference-toggle",
        "aria-expanded": String(isOpen),
        "data-act": "toggle",
        onclick: () => {
          if (open.has(entry.key)) {
            open.delete(entry.key);
            draw();
            return;
          }
          open.set(entry.key, null);
          draw();
          readDetails(entry.key);
        },
      },
      icon(isOpen ? "chevron-down" : "chevron-right"),
      words(entry.name),
    );
    const action = make("td", { class: "actions" });
    const job = jobOf(entry);
    if (job) {
      action.append(make("progress", { max: 100, value: job.progress, "aria-label": `Installing ${entry.name}` }), make("span", { class: "muted numbers", textContent: ` ${job.progress} % ${iscan.jobs.stepText(job)}` }));
    } else if (entry.installable && !found.no_install)
      action.append(make("button", { class: "btn btn-outline-primary btn-sm", textContent: entry.state === "refused" ? "Install again" : "Install", "aria-label": `Install ${entry.name}`, "data-act": "install", onclick: () => install(entry) }));
    return make(
      "tr",
      { class: "reference-row", "data-reference": entry.key },
      make("td", {}, toggle, make("div", { class: "muted reference-id", textContent: entry.id })),
      make("td", { textContent: entry.organism }),
      make("td", { class: "numbers", textContent: labelsText(entry) }),
      make("td", { class: `reference-state reference-${entry.state.replace(" ", "-")}` }, icon(ICONS[entry.state]), make("span", { textContent: entry.state }), make("div", { class: "muted reference-id", textContent: entry.state === "not installed" ? "" : ORIGINS[entry.origin] })),
      action,
    );
  }

  function draw() {
    const root = page();
    if (!root || (!found && !problem)) return;
    const { make } = parts();
    if (!found) {
      root.replaceChildren(make("p", { class: "field-error", role: "alert", textContent: problem }));
      return;
    }
    const focused = root.contains(document.activeElement) && document.activeElement.closest("[data-reference]");
    const place = focused && [focused.dataset.reference, document.activeElement.dataset.act];
    const wasMake = document.activeElement?.id === "references-open-make";
    const scrolled = root.querySelector(".table-box")?.scrollTop || 0;
    const keys = new Set(found.references.map(({ key }) => key));
    for (const key of open.keys()) if (!keys.has(key)) open.delete(key);
    const rows = found.references.flatMap((entry) => (open.has(entry.key) ? [row(entry), detailsRow(entry)] : [row(entry)]));
    const titles = ["Reference", "Organism", "Labels", "State", ""];
    const head = titles.map((title) => make("th", { scope: "col", textContent: title, "aria-label": title || "Actions" }));
    const own = found.folder
      ? `Your own references are looked for in ${found.folder}: a folder with a reference.json, or an .h5ad file with an obs column label_main or label_fine. What is put there appears here by itself.`
      : "To use your own references, start iscan-dash with --references DIR (or ISCAN_REFERENCES): what is put into that folder appears here by itself.";
    root.replaceChildren(
      make(
        "div",
        { class: "references-head" },
        make("p", { class: "muted", textContent: own }),
        make("button", { class: "btn btn-outline-primary btn-sm", id: "references-open-make", textContent: "Make reference from this dataset", "data-act": "make", onclick: () => iscan.makeReference.open() }),
      ),
      ...[found.folder_problem, problem].filter(Boolean).map((text) => make("p", { class: "field-error", role: "alert", textContent: text })),
      ...(found.no_install && found.references.some((entry) => entry.installable) ? [make("p", { class: "muted", id: "references-no-install", textContent: found.no_install })] : []),
      make(
        "div",
        { class: "table-box references-box", tabIndex: 0, role: "region", "aria-label": "References" },
        make("table", { class: "plain-table references" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)),
      ),
    );
    root.querySelector(".table-box").scrollTop = scrolled;
    if (wasMake) document.getElementById("references-open-make").focus({ preventScroll: true });
    if (place) root.querySelector(`[data-reference="${CSS.escape(place[0])}"] [data-act="${place[1]}"]`)?.focus({ preventScroll: true });
  }

  const adds = ({ kind }) => kind === "install" || kind === "reference";

  setInterval(read, LOOK);
  iscan.jobs.onChange((changed) => {
    if (!page() || !changed.some(adds)) return;
    draw();
    if (changed.some((job) => adds(job) && !job.active)) read();
  });

  iscan.referencesPage = {
    /** Open what is known of a reference, and bring it into view. */
    async showDetails(key) {
      open.set(key, null);
      await read();
      await readDetails(key);
      page()?.querySelector(`.reference-row[data-reference="${CSS.escape(key)}"]`)?.scrollIntoView({ block: "start" });
    },
    showReferences() {
      draw();
      read();
      return "references-page";
    },
  };
})();
