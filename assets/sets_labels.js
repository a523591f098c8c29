/* From Enrichment: which result, grouped by what, what is ticked and typed, and the annotation that is made of it. The grid is in
 * sets_grid.js, the dot plots in sets_dots.js. Each section can have a window of its own: windows that
 * were opened from one page tell each other what changes. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const KEPT = iscan.own("iscan-from-enrichment");
  const TOKEN = iscan.own("iscan-windows"); // what ties a page and its windows together
  const MOST_KEPT = 20; // columns whose ticks are remembered
  const KINDS = [
    ["cluster", "Clusters"],
    ["metadata", "Metadata"],
    ["annotation", "Annotations"],
  ];
  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);
  const make = (...given) => parts().make(...given);
  const page = () => byId("from-enrichment-page");

  /** The section that this window is for; "" on the whole page. */
  const alone = (/^[a-z0-9_]+$/.exec(iscan.pageBelow("/window/enrichment/")) || [""])[0];
  if (alone) document.documentElement.classList.add("section-window");

  // What is chosen. Choices of groups are kept for each result and column: {"": {sets, custom, text}} by group.
  const fresh = () => ({ result: "", kind: "", key: "", name: "", default: "Unassigned", join: " / ", sort: "", down: true, order: "given", search: "", all: false, picks: {} });
  let state = fresh();
  let results = null; // what can be chosen
  let columns = [];
  let table = null; // the statistics that are shown
  let said = null; // what the server says of the labels
  let isFresh = false; // whether that is about what is chosen now
  let problems = {};
  let isShown = false;
  let isSending = false;
  let isBusy = false;
  let wasSubmitted = false; // whether a missing name or label may be complained of
  let asking = 0;
  let askingLabels = 0;
  let drawn = null; // the page that is drawn
  let revision = null;

  // -- state ---------------------------------------------------------------------------------------------------------

  function recall() {
    try {
      return JSON.parse(sessionStorage.getItem(KEPT)) || {};
    } catch {
      return {};
    }
  }

  function token() {
    try {
      if (!sessionStorage.getItem(TOKEN)) sessionStorage.setItem(TOKEN, String(Math.random()).slice(2));
      return sessionStorage.getItem(TOKEN);
    } catch {
      return ""; // storage refused: windows open, and are not kept in step
    }
  }

  const channel = token() && "BroadcastChannel" in window ? new BroadcastChannel(`iscan-enrichment-${token()}`) : null;

  function keep(isHeard = false) {
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(state));
    } catch {
      // Storage refused: what is ticked lasts as long as the page.
    }
    if (!isHeard) channel?.postMessage({ state });
  }

  const place = () => JSON.stringify([state.result, state.kind, state.key]);

  /** A group without a value has a key of its own. */
  const keyOf = (label) => (label === null ? "" : `=${label}`);

  const nothing = () => ({ sets: [], custom: false, text: "" });
  const pickOf = (label) => (state.picks[place()] || {})[keyOf(label)] || nothing();

  function changePick(label, values) {
    const own = (state.picks[place()] ||= {});
    own[keyOf(label)] = { ...pickOf(label), ...values };
    const { sets, custom, text } = own[keyOf(label)];
    if (!sets.length && !custom && !text) delete own[keyOf(label)];
    const places = Object.keys(state.picks);
    for (const old of places.slice(0, Math.max(0, places.length - MOST_KEPT))) if (old !== place()) delete state.picks[old];
    changed();
  }

  /** Tick a set of a group, or take the tick away. */
  function toggle(group, set) {
    const { sets } = pickOf(group);
    changePick(group, { sets: sets.includes(set) ? sets.filter((own) => own !== set) : [...sets, set] });
  }

  /** Something was chosen: show it, keep it, tell the other windows, and ask what comes of it. */
  function changed(isHeard = false) {
    keep(isHeard);
    askLabels();
    showPicks();
  }

  /** The label that a group gets, as far as it can be told here; the server has the last word. */
  function labelOf(group) {
    const row = isFresh && said && said.rows.find((own) => own.group === group);
    if (row && !row.problem) return row.label;
    const { sets, custom, text } = pickOf(group);
    if (custom) return text.trim();
    const names = table.sets.map(({ name }) => name).filter((name) => sets.includes(name));
    return names.length ? names.join(state.join) : state.default.trim();
  }

  const request = (path, body) => iscan.jobs.request(`enrichments/${encodeURIComponent(state.result)}/${path}`, body);

  /** Whether the page is there: it may have been left for another one. */
  const isAlive = () => Boolean(isShown && drawn && drawn.isConnected);

  // -- asking --------------------------------------------------------------------------------------------------------

  /** Read what can be chosen; then the table of what is. */
  async function read() {
    const mine = ++asking;
    try {
      const [listed, found] = await Promise.all([iscan.jobs.request("enrichments"), iscan.jobs.request("enrichments/columns")]);
      if (mine !== asking || !isShown || !page()) return;
      results = listed.results;
      columns = found.columns;
    } catch (error) {
      if (mine !== asking || !isShown || !page()) return;
      if (isAlive()) iscan.enrichment.complain(error);
      else page().replaceChildren(make("p", { class: "field-error", role: "alert", textContent: error.message }), make("button", { class: "btn btn-outline-primary btn-sm", textContent: "Try again", onclick: read }));
      return;
    }
    tidy();
    if (!results.length) {
      drawn = null;
      page().replaceChildren(make("p", { class: "empty-state" }, "No enrichment result yet. ", iscan.enrichment.link(iscan.address("/enrichment"), "", "Run an enrichment first"), "."));
      return;
    }
    if (!drawn || !drawn.isConnected) draw();
    showChoices();
    readTable();
  }

  function tidy() {
    if (!results.some(({ id }) => id === state.result)) state.result = results.length ? results[0].id : "";
    const own = columns.find(({ kind, key }) => kind === state.kind && key === state.key);
    if (own) return;
    const usual = columns.find(({ kind, groups }) => kind === "cluster" && groups > 1) || columns.find(({ groups }) => groups > 1 && groups <= 100) || columns[0];
    [state.kind, state.key] = usual ? [usual.kind, usual.key] : ["", ""];
  }

  async function readTable() {
    const mine = ++asking;
    busy(true);
    let answer;
    try {
      answer = await request(`table?${new URLSearchParams({ kind: state.kind, key: state.key })}`);
    } catch (error) {
      answer = { problem: error.message };
    }
    if (mine !== asking || !isAlive()) return;
    busy(false);
    if (answer.problem) {
      table = null;
      said = null;
      byId("from-enrichment-body").hidden = true;
      byId("from-enrichment-trouble").textContent = answer.problem;
      showSaid();
      return;
    }
    byId("from-enrichment-trouble").textContent = "";
    byId("from-enrichment-body").hidden = false;
    const isSame = table && table.stamp === answer.stamp && table.result === answer.result;
    table = answer;
    said = null;
    if (!isSame) {
      sections().forEach((own) => own.follow(table));
      byId("from-enrichment-warnings").textContent = table.warnings.join("\n");
    }
    askLabels();
    showPicks();
  }

  const groupsOf = () => table.groups.map(({ label }) => ({ group: label, ...pickOf(label) })).filter(({ sets, custom }) => sets.length || custom).map((own) => ({ ...own, sets: own.sets.filter((name) => table.sets.some((known) => known.name === name)) }));

  const form = () => ({ by: { kind: state.kind, key: state.key }, groups: groupsOf(), default: state.default, join: state.join, name: state.name, stamp: table.stamp });

  async function askLabelsNow() {
    if (!isAlive() || !table) return;
    const mine = ++askingLabels;
    let answer;
    try {
      answer = await request("labels", form());
    } catch (error) {
      answer = { problems: { groups: ["", error.message] }, labels: null };
    }
    if (mine !== askingLabels || !isAlive() || !table) return;
    said = answer.labels;
    isFresh = true;
    ({ problems } = answer);
    showSaid();
  }

  let askLater = null;

  function askLabels() {
    askingLabels += 1;
    isFresh = false;
    askLater ??= parts().later(askLabelsNow, 150);
    askLater();
  }

  // -- drawing -------------------------------------------------------------------------------------------------------

  const sections = () => {
    const all = [iscan.fromEnrichmentGrid, ...iscan.fromEnrichmentDots];
    return alone ? all.filter(({ id }) => id === alone) : all;
  };

  function openWindow(id) {
    const query = new URLSearchParams({ result: state.result, kind: state.kind, key: state.key });
    window.open(iscan.address(`/window/enrichment/${id}?${query}`), `iscan-enrichment-${id}-${token()}`, "popup,width=1080,height=760");
  }

  /** The frame of a section: its title, its own controls, and the button that opens its window. */
  function section(own, ...controls) {
    const { iconButton } = parts();
    const id = `from-enrichment-${own.id}`;
    return make(
      "section",
      { class: "enrichment-section", id, "aria-labelledby": `${id}-title` },
      make("div", { class: "enrichment-section-head" }, make("h2", { id: `${id}-title`, textContent: own.title }), make("span", { class: "space" }), ...controls, alone ? null : iconButton("window-plus", `${own.title}: open in new window`, () => openWindow(own.id), "section-window-button")),
    );
  }

  function text(id, key, more = {}) {
    const input = make("input", { class: "form-control form-control-sm", id: `from-enrichment-${id}`, autocomplete: "off", spellcheck: false, ...more });
    input.addEventListener("input", () => {
      state[key] = input.value;
      changed();
    });
    return input;
  }

  function draw() {
    const { field } = iscan.enrichment;
    const result = make("select", { class: "form-select form-select-sm", id: "from-enrichment-result", onchange: () => choose({ result: result.value }) });
    const kind = make("select", { class: "form-select form-select-sm", id: "from-enrichment-kind", "aria-label": "Group cells by, type", onchange: () => choose({ kind: kind.value, key: (columns.find((own) => own.kind === kind.value) || { key: "" }).key }) });
    const key = make("select", { class: "form-select form-select-sm", id: "from-enrichment-key", "aria-label": "Group cells by, column", onchange: () => choose({ key: key.value }) });
    const by = make("div", { class: "field" }, make("label", { for: "from-enrichment-kind", textContent: "Group cells by" }), make("div", { class: "from-enrichment-by" }, kind, key));
    const error = (id) => make("span", { class: "field-error", id: `from-enrichment-${id}-error`, role: "alert" });
    const search = make("input", { type: "search", class: "form-control form-control-sm", id: "from-enrichment-search", placeholder: "Search sets", "aria-label": "Search gene sets", autocomplete: "off", spellcheck: false });
    search.addEventListener(
      "input",
      parts().later(() => {
        state.search = search.value;
        keep();
        showView();
      }),
    );
    const order = make("select", { class: "form-select form-select-sm", id: "from-enrichment-order", "aria-label": "Order of the dot plots", onchange: () => ((state.order = order.value), keep(), showView()) }, ...[["given", "As given"], ["cluster", "Clustered"], ["name", "By name"]].map(([value, says]) => make("option", { value, textContent: says })));
    const button = (id, says, title, act) => make("button", { class: "btn btn-outline-secondary btn-sm", id: `from-enrichment-${id}`, textContent: says, title, onclick: act });
    const bar = make(
      "div",
      { class: "from-enrichment-bar" },
      search,
      alone === "grid" || !alone ? button("best", "Pick best", "Tick the set with the highest difference in each group, where AUC is above 0.5 and the adjusted P at most 0.05; never one of which fewer than a fifth of the genes were found. It replaces what is ticked; custom labels stay.", pickBest) : null,
      alone === "grid" || !alone ? button("clear", "Clear", "Take all ticks and custom labels away", clear) : null,
      make("span", { class: "space" }),
      alone === "grid" ? null : make("label", { for: order.id, textContent: alone ? "Order" : "Order of plots" }),
      alone === "grid" ? null : order,
    );
    const end = make("div", { class: "form-end" }, make("div", { class: "from-enrichment-says" }, make("div", { class: "numbers", id: "from-enrichment-count", role: "status" }), make("div", { class: "field-error", id: "from-enrichment-problem", role: "alert" })), make("button", { class: "btn btn-primary btn-sm", id: "from-enrichment-create", textContent: "Create", onclick: create }));
    const own = sections();
    const body = make("div", { class: "from-enrichment-body", id: "from-enrichment-body" }, ...own.map((one) => one.draw(section)), alone ? null : make("div", { class: "warnings", id: "from-enrichment-warnings", role: "status" }));
    drawn = make(
      "div",
      { class: "from-enrichment-frame", "data-alone": alone },
      make("div", { class: "from-enrichment-form" }, make("div", { class: "row-of-2" }, field("Enrichment result", result), by), alone ? null : make("div", { class: "row-of-3" }, field("Name", text("name", "name", { maxLength: 200 }), error("name")), field("Default Value", text("default", "default", { maxLength: 200, title: "The label of groups with nothing ticked, and of cells that were not scored" }), error("default")), field("Join labels with", text("join", "join", { maxLength: 16 }), error("join")))),
      bar,
      make("p", { class: "field-error", id: "from-enrichment-trouble", role: "alert" }),
      body,
      alone ? make("div", { class: "warnings", id: "from-enrichment-warnings", role: "status", hidden: true }) : end,
    );
    page().replaceChildren(drawn);
    table = null;
  }

  const setValue = (id, value) => {
    const element = byId(`from-enrichment-${id}`);
    if (element && element.value !== value) element.value = value;
  };

  /** Let the address say what is shown, for whoever reloads or shares it. */
  function keepLink() {
    if (!alone && window.location.pathname !== iscan.address("/annotate/enrichment")) return;
    const query = new URLSearchParams(window.location.search);
    for (const key of ["result", "kind", "key"]) query.set(key, state[key]);
    window.history.replaceState(window.history.state, "", `${window.location.pathname}?${query}`);
  }

  /** Show what can be chosen, and what is. */
  function showChoices() {
    keepLink();
    const { number } = parts();
    const { counted } = iscan.enrichment;
    byId("from-enrichment-result").replaceChildren(...results.map((own) => make("option", { value: own.id, textContent: `${own.name} (${own.n_used === own.n_sets ? "" : `${number(own.n_used)} of `}${counted(own.n_sets, "set")}, ${number(own.n_cells)} cells, ${own.method_title})` })));
    byId("from-enrichment-kind").replaceChildren(...KINDS.map(([kind, title]) => make("option", { value: kind, textContent: title, disabled: !columns.some((own) => own.kind === kind) })));
    const own = columns.filter(({ kind }) => kind === state.kind);
    byId("from-enrichment-key").replaceChildren(...(own.length ? own : [{ key: "", name: "No column of groups", groups: 0 }]).map(({ key, name, groups }) => make("option", { value: key, textContent: groups ? `${name} (${counted(groups, "group")})` : name })));
    for (const key of ["result", "kind", "key", "name", "default", "join", "search", "order"]) setValue(key, state[key]);
  }

  function busy(is) {
    isBusy = is;
    byId("from-enrichment-body")?.classList.toggle("is-busy", is);
    if (byId("from-enrichment-create") && is) parts().allow(byId("from-enrichment-create"), "the statistics are being computed");
    if (byId("from-enrichment-count") && is) byId("from-enrichment-count").textContent = "Computing the statistics...";
  }

  function choose(values) {
    Object.assign(state, values);
    wasSubmitted = false;
    keep();
    showChoices();
    readTable();
  }

  /** Show what is searched for, and in which order. */
  function showView() {
    if (table) sections().forEach((own) => own.follow(table));
  }

  function showPicks() {
    for (const key of ["name", "default", "join"]) setValue(key, state[key]);
    if (isAlive() && table) sections().forEach((own) => own.pick());
  }

  function problemOf(group) {
    const row = said && said.rows.find((own) => own.group === group);
    return row ? row.problem : "";
  }

  /** Show what the server says of the labels. */
  function showSaid() {
    if (!isAlive()) return;
    if (table) sections().forEach((own) => own.say && own.say());
    if (alone) return;
    const { number, allow } = parts();
    for (const key of ["name", "default", "join"]) {
      const [code, sentence] = problems[key] || ["", ""];
      byId(`from-enrichment-${key}-error`).textContent = code === "E01" && !wasSubmitted ? "" : sentence;
    }
    const bits = [];
    if (said) {
      const k = said.n_unlabelled;
      bits.push(k === 0 ? "Every group has a label" : k === 1 ? "1 group has no label" : `${number(k)} groups have no label`);
      for (const [label, groups] of said.merged.slice(0, 3)) bits.push(`${groups.length} groups become "${label}"`);
      if (said.merged.length > 3) bits.push(`${number(said.merged.length - 3)} more labels are shared`);
      if (said.n_left_out) bits.push(`${parts().cellsText(said.n_left_out)} not scored: ${said.default}`);
    }
    if (!isBusy) byId("from-enrichment-count").textContent = bits.join(" \u00b7 ");
    const wrong = said && said.rows.find(({ problem }) => problem);
    const isEarly = (code) => !wasSubmitted && (code === "E01" || code === "E21");
    // What nobody came to yet is asked for when Create is clicked.
    const refusals = ["groups", "name", "default", "join"].filter((key) => problems[key] && !isEarly(problems[key][0])).map((key) => problems[key][1]);
    const reason = !table ? "there is nothing to label" : refusals[0] || (wrong && !isEarly(wrong.code) ? wrong.problem : null);
    allow(byId("from-enrichment-create"), isSending ? "it is being made" : reason);
    const shown = problems.groups ? problems.groups[1] : wrong && (wasSubmitted || wrong.code !== "E21") ? wrong.problem : "";
    byId("from-enrichment-problem").textContent = shown;
  }

  // -- acts ----------------------------------------------------------------------------------------------------------

  function pickBest() {
    if (!table) return;
    const picked = {};
    table.groups.forEach(({ label }, g) => {
      // What was typed stays.
      const { custom, text } = pickOf(label);
      const sets = table.best[g] === null ? [] : [table.sets[table.best[g]].name];
      if (sets.length || custom || text) picked[keyOf(label)] = { sets, custom, text };
    });
    state.picks[place()] = picked;
    changed();
  }

  function clear() {
    const at = place();
    const before = state.picks[at];
    if (!before || !Object.keys(before).length) return;
    delete state.picks[at];
    wasSubmitted = false;
    changed();
    iscan.enrichment.tellDone("All ticks and custom labels were taken away.", async () => {
      state.picks[at] = before;
      if (isAlive()) changed();
      else keep();
    });
  }

  async function create() {
    if (isSending || !table) return;
    wasSubmitted = true;
    // Another question, of what was typed a moment ago, may come in between.
    do await askLabelsNow();
    while (!isFresh && isAlive());
    if (!isAlive()) return undefined;
    showSaid();
    const wrong = said && said.rows.find(({ problem }) => problem);
    const key = ["name", "default", "join"].find((own) => problems[own]);
    if (key) return byId(`from-enrichment-${key}`).focus();
    if (wrong) return iscan.fromEnrichmentGrid.focusText(wrong.group);
    if (problems.groups) return undefined;
    isSending = true;
    showSaid();
    try {
      const made = await request("create", form());
      const address = iscan.address(`/annotate/existing?open=${made.id}`);
      iscan.toast.show({ id: `from-enrichment-${made.id}`, kind: "success", text: made.text, actions: [{ text: "View", action: { verb: "colour", by: `annotation:${made.id}` } }, { text: "Edit", href: address }], seconds: 8 });
      state.name = "";
      wasSubmitted = false;
      keep();
      iscan.pollStatus();
    } catch (error) {
      iscan.enrichment.complain(error);
      if (isAlive()) readTable();
    } finally {
      isSending = false;
      if (isAlive()) changed(true);
    }
    return undefined;
  }

  // -- other windows, other pages ---------------------------------------------------------------------------------------

  channel?.addEventListener("message", ({ data }) => {
    if (data.hello) {
      if (isAlive()) channel.postMessage({ state });
      return;
    }
    if (!data.state) return;
    const isOther = ["result", "kind", "key"].some((key) => data.state[key] !== state[key]);
    const isOtherView = ["sort", "down", "order", "search", "all"].some((key) => data.state[key] !== state[key]);
    // Two windows may hear of each other's text while it is typed: the one that is typed in has it right.
    state = { ...fresh(), ...data.state };
    if (!isAlive() || !results) return keep(true);
    if (isOther) {
      keep(true);
      if (!results.some(({ id }) => id === state.result) || !columns.some(({ kind, key }) => kind === state.kind && key === state.key)) return read();
      showChoices();
      return readTable();
    }
    showChoices();
    if (isOtherView) showView();
    return changed(true);
  });

  window.addEventListener("iscan:status", () => {
    const isOther = iscan.status.revision !== revision;
    const isFirst = revision === null;
    ({ revision } = iscan.status);
    // Another annotation can be grouped by, or the one that is has other labels.
    if (isOther && !isFirst && isAlive()) read();
  });

  iscan.jobs.onChange((changes) => {
    if (isShown && page() && changes.some((job) => job.kind === "enrichment" && job.state === "Finished")) read();
  });

  new MutationObserver(() => {
    if (isAlive() && table) sections().forEach((own) => own.follow(table));
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });

  function open(asked = {}) {
    const root = page();
    if (!root) return;
    const known = { ...fresh(), ...recall() };
    const given = Object.fromEntries(Object.entries(asked).filter(([key, value]) => value && ["result", "kind", "key"].includes(key)));
    state = { ...known, ...given };
    drawn = null;
    table = null;
    said = null;
    problems = {};
    wasSubmitted = false;
    root.replaceChildren(make("p", { class: "muted", role: "status", textContent: "Reading the results..." }));
    keep(true);
    if (alone) channel?.postMessage({ hello: true });
    read();
  }

  iscan.fromEnrichment = {
    state: () => state,
    table: () => table,
    alone,
    pickOf,
    changePick,
    toggle,
    labelOf,
    problemOf,
    wasSubmitted: () => wasSubmitted,
    keep,
    showView,
    request,
    /** The panel is shown or hidden: New Annotation has it among its cards. */
    show(shown) {
      const root = page();
      const was = isAlive();
      isShown = shown && Boolean(root);
      if (isShown && !was) open({ ...root.dataset });
    },
  };
  iscan.fromEnrichmentPage = {
    /** The window of a section was opened. */
    showFromEnrichment(opened) {
      if (opened && page()) {
        isShown = true;
        open(opened);
      }
      return "from-enrichment-frame";
    },
  };
})();
