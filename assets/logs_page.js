/* Study Logs: a table of jobs and edits, the newest first. Rows are drawn anew only where something changed, so that
 * whoever is about to press a button still finds it. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const MORE = 200; // rows drawn at once
  const STATES = ["Queued", "Running", "Finished", "Failed", "Cancelled", "Lost"];
  const ICONS = { Queued: "hourglass", Running: "arrow-repeat", Finished: "check-circle", Failed: "x-octagon", Cancelled: "slash-circle", Lost: "exclamation-triangle", Edit: "pencil" };
  const KEPT = iscan.own("iscan-logs");

  const parts = () => iscan.filterParts;
  let edits = [];
  let problem = "";
  let shown = MORE;
  let rows = new Map(); // drawn rows by key: {text, element}
  let clock = null;
  const choice = { what: "all", state: "", mine: false, search: "" };
  try {
    Object.assign(choice, JSON.parse(sessionStorage.getItem(KEPT)) || {});
  } catch {
    // Storage refused: the filters last as long as the page.
  }

  const page = () => document.getElementById("logs-page");

  function keep() {
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(choice));
    } catch {
      // See above.
    }
  }

  // -- what is shown ---------------------------------------------------------------------------------------------

  const fromJob = (job) => ({
    key: `job-${job.id}`,
    job,
    time: job.started || job.submitted,
    type: job.type,
    name: job.name,
    user: job.user,
    mine: job.mine,
    state: job.state,
    message: iscan.jobs.stepText(job) || job.message,
  });

  const fromEdit = (edit) => ({
    key: `edit-${edit.seq}`,
    edit,
    time: edit.time,
    type: "Edit",
    name: edit.name,
    user: edit.user,
    mine: true,
    state: "",
    message: edit.cells ? `${edit.description} (${parts().cellsText(edit.cells)})` : edit.description,
  });

  function entries() {
    const found = [
      ...(choice.what === "edits" ? [] : iscan.jobs.all().map(fromJob)),
      ...(choice.what === "jobs" ? [] : edits.map(fromEdit)),
    ];
    const wanted = choice.search.trim().toLocaleLowerCase();
    return found
      .filter(
        (entry) =>
          (!choice.state || entry.state === choice.state) &&
          (!choice.mine || entry.mine) &&
          (!wanted || [entry.type, entry.name, entry.user, entry.message].some((text) => text.toLocaleLowerCase().includes(wanted))),
      )
      .sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0));
  }

  function time(iso) {
    const { make } = parts();
    const element = make("time", { class: "local-time brief", title: `${iso} (UTC)` });
    element.dateTime = iso;
    return element;
  }

  function actions({ job, edit }) {
    const { make, iconButton } = parts();
    const { jobs } = iscan;
    const named = (name, label, act, key) => {
      const button = iconButton(name, label, act);
      button.dataset.act = key;
      return button;
    };
    const found = [];
    if (edit && edit.annotation) found.push(named("box-arrow-in-right", `Open ${edit.name}`, () => iscan.go(iscan.address(`/annotate/existing?open=${edit.annotation}`)), "open"));
    if (job) {
      if (job.result && ["prediction", "enrichment"].includes(job.kind)) found.push(named("box-arrow-in-right", `Open the result ${job.name}`, () => jobs.openResult(jobs.get(job.id)), "open"));
      if (job.active && job.mine) {
        const cancel = named("x-circle", `Cancel ${job.name}`, () => jobs.cancel(job.id), "cancel");
        cancel.disabled = job.cancelling;
        found.push(cancel);
      }
      const form = { prediction: iscan.address("/annotate"), enrichment: iscan.address("/enrichment") }[job.kind];
      if (form && !job.active) found.push(named("arrow-repeat", `Run ${job.name} again: opens its form`, () => iscan.go(`${form}?rerun=${job.id}`), "rerun"));
      // References are made or installed once: only what did not come to that is tried again, as it was asked for.
      else if (!job.active && job.mine && job.state !== "Finished") found.push(named("arrow-repeat", `Run ${job.name} again`, () => jobs.rerun(job.id), "rerun"));
      found.push(named("file-text", `Log of ${job.name}`, (event) => showLog(event.currentTarget, job), "log"));
    }
    return make("td", { class: "actions" }, ...found);
  }

  function showLog(anchor, job) {
    const { make } = parts();
    iscan.editParts.popup(anchor, `Log of ${job.name}`, () => {
      const facts = [job.message, `Asked for by ${job.user}`].filter(Boolean);
      const text = make("pre", { class: "log-text", textContent: "Reading...", tabIndex: 0 });
      iscan.jobs
        .request(`jobs/${job.id}/log`)
        .then(({ log }) => {
          text.textContent = log || "Nothing was logged.";
          text.scrollTop = text.scrollHeight;
        })
        .catch((error) => (text.textContent = error.message));
      return [make("p", { class: "log-facts", textContent: facts.join(" \u00b7 ") }), text];
    });
  }

  /** A name that goes on in the next line after an underscore rather than in the middle of a word. */
  function broken(name) {
    const element = parts().make("bdi");
    name.split(/(?<=_)/).forEach((part, place) => element.append(...(place ? [document.createElement("wbr")] : []), part));
    return element;
  }

  function draw(entry) {
    const { make, words, icon } = parts();
    const { job } = entry;
    const state = make("td", { class: `log-state log-${(entry.state || "edit").toLowerCase()}` }, entry.state ? icon(ICONS[entry.state]) : null, entry.state);
    const bar = make("td", { class: "log-progress" });
    if (job && job.state === "Running") {
      const progress = make("progress", { max: 100, value: job.progress, "aria-label": `Progress of ${job.name}` });
      bar.append(progress, make("span", { class: "numbers", textContent: `${job.progress} %` }));
    } else if (job && job.state === "Finished") bar.textContent = "100 %";
    const lasted = make("td", { class: "number log-duration" });
    const message = make("td", { class: "log-message" }, make("bdi", { title: entry.message, textContent: entry.message }));
    return make(
      "tr",
      { "data-key": entry.key },
      make("td", {}, time(entry.time)),
      make("td", { class: "log-type", textContent: entry.type }),
      make("td", { class: "log-name", title: entry.name }, broken(entry.name)),
      make("td", { class: "log-user" }, words(entry.user)),
      state,
      bar,
      lasted,
      message,
      actions(entry),
    );
  }

  /** Say how long jobs ran; those that run go on. */
  function tick() {
    for (const [key, { element }] of rows) {
      const job = key.startsWith("job-") && iscan.jobs.get(key.slice(4));
      const text = job ? iscan.jobs.duration(iscan.jobs.seconds(job)) : "";
      const cell = element.querySelector(".log-duration");
      if (cell.textContent !== text) cell.textContent = text;
    }
  }

  function replace(old, fresh) {
    const focused = old.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    old.replaceWith(fresh);
    if (focused) (fresh.querySelector(`[data-act="${focused}"]`) || fresh.querySelector("[data-act]"))?.focus({ preventScroll: true });
  }

  function refresh() {
    const root = page();
    if (!root || !root.firstChild) return;
    const all = entries();
    const body = root.querySelector("tbody");
    const next = new Map();
    let before = null;
    for (const entry of all.slice(0, shown)) {
      const { heard: _heard, seconds: _seconds, ...told } = entry.job || entry.edit;
      const text = JSON.stringify(told);
      const known = rows.get(entry.key);
      let element = known ? known.element : draw(entry);
      if (known && known.text !== text) {
        element = draw(entry);
        replace(known.element, element);
      }
      const place = before ? before.nextElementSibling : body.firstElementChild;
      if (element !== place) body.insertBefore(element, place);
      next.set(entry.key, { text, element });
      before = element;
    }
    for (const [key, { element }] of rows) if (!next.has(key)) element.remove();
    rows = next;
    tick();
    const total = iscan.jobs.all().length + edits.length;
    const empty = root.querySelector(".empty-state");
    empty.hidden = all.length > 0;
    root.querySelector(".logs").hidden = !all.length;
    if (!all.length)
      empty.textContent = total
        ? "Nothing matches these filters."
        : "Nothing was done yet. Predict cell types under Cell Annotation, or create an annotation: it is listed here.";
    const { number } = parts();
    const said = `${number(Math.min(shown, all.length))} of ${number(all.length)} ${all.length === 1 ? "entry" : "entries"}`;
    root.querySelector(".log-count").textContent = problem || (all.length > shown ? said : `${number(all.length)} ${all.length === 1 ? "entry" : "entries"}`);
    root.querySelector(".log-more").hidden = all.length <= shown;
  }

  function frame(root) {
    const { make, later } = parts();
    const changed = () => {
      shown = MORE;
      keep();
      refresh();
    };
    const option = (value, text) => make("option", { value, textContent: text, selected: value === choice.state });
    const kinds = [["all", "All"], ["jobs", "Jobs"], ["edits", "Edits"]].map(([value, text]) => {
      const field = make("input", { type: "radio", class: "btn-check", name: "logs-what", id: `logs-${value}`, value, checked: choice.what === value });
      field.addEventListener("change", () => {
        choice.what = value;
        changed();
      });
      return [field, make("label", { class: "btn btn-outline-secondary btn-sm", for: field.id, textContent: text })];
    });
    const state = make("select", { class: "form-select form-select-sm", id: "logs-state", "aria-label": "State", onchange: () => ((choice.state = state.value), changed()) }, option("", "Any state"), ...STATES.map((name) => option(name, name)));
    const mine = make("input", { type: "checkbox", class: "form-check-input", id: "logs-mine", checked: choice.mine, onchange: () => ((choice.mine = mine.checked), changed()) });
    const search = make("input", { type: "search", class: "form-control form-control-sm", id: "logs-search", placeholder: "Search", "aria-label": "Search the logs", value: choice.search, autocomplete: "off", spellcheck: false });
    search.addEventListener(
      "input",
      later(() => {
        choice.search = search.value;
        changed();
      }),
    );
    const titles = ["Started", "Type", "Name", "User", "State", "Progress", "Duration", "Message", ""];
    const head = titles.map((title) => make("th", { class: title === "Duration" ? "number" : "", scope: "col", textContent: title, "aria-label": title || "Actions" }));
    root.replaceChildren(
      make(
        "div",
        { class: "log-filters" },
        make("div", { class: "btn-group", role: "group", "aria-label": "What is listed" }, ...kinds.flat()),
        state,
        make("div", { class: "form-check" }, mine, make("label", { class: "form-check-label", for: "logs-mine", textContent: "Only mine" })),
        search,
        make("span", { class: "muted numbers log-count", role: "status" }),
      ),
      make(
        "div",
        { class: "log-box", tabIndex: 0, role: "region", "aria-label": "Jobs and edits" },
        make("table", { class: "plain-table logs" }, make("thead", {}, make("tr", {}, ...head)), make("tbody")),
        make("p", { class: "empty-state", hidden: true }),
        make("button", { class: "btn btn-link btn-sm log-more", textContent: "Show more", hidden: true, onclick: () => ((shown += MORE), refresh()) }),
      ),
    );
    rows = new Map();
  }

  async function readEdits() {
    try {
      ({ edits } = await iscan.jobs.request("edits"));
      problem = "";
    } catch (error) {
      problem = error.message;
    }
    refresh();
  }

  /** The page was opened. */
  function showLogs() {
    const root = page();
    if (!root) return "logs-page";
    if (!root.firstChild) {
      frame(root);
      iscan.jobs.refresh().then(refresh);
      clearInterval(clock);
      clock = setInterval(() => (page() ? tick() : clearInterval(clock)), 1000);
    }
    refresh();
    readEdits();
    return "logs-page";
  }

  iscan.jobs.onChange(() => page() && refresh());
  let revision = null; // of the annotations that the edits are of
  window.addEventListener("iscan:status", () => {
    if (iscan.status.revision === revision) return;
    revision = iscan.status.revision;
    if (page()) readEdits();
  });
  iscan.logsPage = { showLogs };
})();
