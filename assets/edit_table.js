/* Edit Annotation: the grid of all cells, whose rows, filters, sorts and ticks are the server's, and what its parts
 * (edit_table_*.js) know of each other.
 *
 * Edits go up one after the other through a store of Dash, so that one that got no answer is sent again (again.js); each
 * is made on the version of the annotation that this page knows, and the answer brings the next one. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const GRID = "edit-grid";
  const NEWEST = 6; // annotations shown until the user chooses
  const KEPT = iscan.own("iscan-edit-view");

  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);

  /** What the page knows: of the server's `state`, the annotation that is edited, its labels, and what is shown. */
  const page = {
    state: null,
    current: null,
    labels: null,
    total: null,
    filtered: "", // tells the cells of all rows from others
    ticked: 0,
    ticks: "", // tells the ticked cells from others
    problems: {}, // what is wrong with conditions, by column id
    failure: "", // why the rows did not load
    api: null,
  };

  /** What the user chose to see; kept while the tab is open. */
  const view = {
    where: {}, // conditions by column id
    only_ticked: false,
    only_selected: false,
    annotation: null, // ids of columns; null: the newest
    metadata: { on: false, keys: [] },
    cluster: { on: false, keys: [] },
    ...recall(),
  };

  function recall() {
    try {
      return JSON.parse(sessionStorage.getItem(KEPT)) || {};
    } catch {
      return {};
    }
  }
  function remember() {
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(view));
    } catch {
      // Storage refused: it lasts as long as the page.
    }
  }

  // -- who hears of what -----------------------------------------------------------------------------------------

  const listeners = [];
  /** Call a function whenever something that is shown changed. @param {function(Object): void} listener */
  const onChange = (listener) => listeners.push(listener);
  const tell = () => isStarted() && listeners.forEach((listener) => listener(page));

  /** Whether the page is built. Before, what is known is of an earlier visit, and may have changed since. */
  const isStarted = () => Boolean(byId("edit-assign")?.dataset.drawn);

  const annotation = (id) => page.state && page.state.annotations.find((one) => one.id === id);
  const own = () => (page.state ? page.state.annotations.filter((one) => one.own) : []);

  // -- the server ------------------------------------------------------------------------------------------------

  /**
   * Ask the server; its sentence is thrown when it refuses.
   * @param {string} path           under /api/v1
   * @param {Object} [body]         what is posted
   * @param {AbortSignal} [signal]  ends it
   * @returns {Promise<Object|null>} null when the answer is not wanted any more, here or there
   */
  async function ask(path, body, signal) {
    const options = body && {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    };
    let response;
    try {
      response = await iscan.read(iscan.address(`/api/v1/${path}`), { ...options, signal });
    } catch {
      if (signal?.aborted) return null;
      throw new Error("The server does not answer. Try again when it is back.");
    }
    const answer = response.status === 204 ? null : await response.json().catch(() => ({}));
    if (answer === null || signal?.aborted) return null;
    if (!response.ok) throw new Error(answer.error || "The server's answer is not understood. Load the page again.");
    return answer;
  }

  const complain = (error) =>
    iscan.toast.show({ id: `edit-${Date.now()}`, kind: "danger", text: error.message, actions: [], seconds: null });

  const PATIENCE = 60_000; // ms; what has no answer by then failed on the server, which says so itself
  let serial = 0;
  let queue = Promise.resolve();
  const waiting = new Map(); // serial -> what resolves its promise

  /**
   * Make an edit of an annotation. Its way there and back is part of the frame, not of this page, which may be left.
   * @param {Object} action  `do` and its values; see web/edit_table.py. With `annotation` and `version` when it rests on
   *   something that the user saw before, such as a preview: what is newer is not to be overwritten unseen
   * @returns {Promise<{is_done: boolean, question?: Object, error?: string}>}
   */
  function act(action) {
    const next = queue.then(() => {
      const id = action.annotation || page.current;
      const one = annotation(id);
      if (!one) return { is_done: false };
      return new Promise((resolve) => {
        serial += 1;
        const own = serial;
        setTimeout(() => waiting.delete(own) && resolve({ is_done: false }), PATIENCE);
        waiting.set(serial, (answer) => {
          // The next edit may be made before the page hears of this one.
          if (answer.version) one.version = answer.version;
          resolve(answer);
        });
        window.dash_clientside.set_props("edit-action", {
          data: { ...action, serial, annotation: id, version: action.version ?? one.version },
        });
      });
    });
    queue = next.catch(() => null);
    return next;
  }

  function answered(answer) {
    if (!answer || !waiting.has(answer.serial)) return;
    waiting.get(answer.serial)(answer);
    waiting.delete(answer.serial);
  }

  // -- columns ---------------------------------------------------------------------------------------------------

  /** Annotations in the order of the grid: the newest first. */
  function offered(group) {
    if (!page.state) return [];
    if (group !== "annotation") return page.state.columns.filter((column) => column.group === group);
    return page.state.annotations
      .map((one) => ({
        key: `annotation:${one.id}`,
        title: one.own ? one.name : `${one.name} of ${one.owner}`,
        kind: "category",
        group,
        one,
      }))
      .sort((a, b) => (a.one.created < b.one.created ? 1 : -1));
  }

  /** Ids of the columns of a group that are shown. */
  function shownOf(group) {
    const keys = offered(group).map((column) => column.key);
    if (group !== "annotation") return view[group].on ? keys.filter((key) => view[group].keys.includes(key)) : [];
    const chosen = view.annotation ? keys.filter((key) => view.annotation.includes(key)) : keys.slice(0, NEWEST);
    // The one that is edited is always seen.
    const edited = `annotation:${page.current}`;
    return keys.filter((key) => chosen.includes(key) || key === edited);
  }

  const shownColumns = () => ["annotation", "metadata", "cluster"].flatMap(shownOf);

  const FIXED = [
    { key: "i", title: "#", kind: "row" },
    { key: "sample", title: "Sample", kind: "category" },
    { key: "id", title: "Cell ID", kind: "text" },
  ];

  /** A column by its id. */
  function column(key) {
    return [...FIXED, ...["annotation", "metadata", "cluster"].flatMap(offered)].find((one) => one.key === key);
  }

  /** The head of a column: the grid's own, with a button for the filter. */
  const HEAD = {
    tag: "div",
    cls: "ag-cell-label-container",
    role: "presentation",
    children: [
      {
        tag: "button",
        cls: "edit-filter-button",
        attrs: { type: "button", tabindex: "-1", title: "Filter (Alt+Down)", "aria-label": "Filter" },
        children: [{ tag: "i", cls: "bi bi-funnel", attrs: { "aria-hidden": "true" } }],
      },
      {
        tag: "div",
        ref: "eLabel",
        cls: "ag-header-cell-label",
        role: "presentation",
        children: [
          { tag: "span", ref: "eText", cls: "ag-header-cell-text", attrs: { dir: "auto" } },
          { tag: "ag-sort-indicator", ref: "eSortIndicator" },
        ],
      },
    ],
  };

  function definition({ key, title, kind, group, one }) {
    const isNumber = kind === "number" || kind === "row";
    const isOwn = Boolean(one && one.own);
    const classes = [group && group !== "annotation" ? "is-read-only" : "", key in view.where ? "is-filtered" : ""];
    return {
      colId: key,
      field: key,
      headerName: title,
      headerTooltip: group === "annotation" && !isOwn ? `${title}: only its owner can edit it` : title,
      headerComponentParams: { template: HEAD },
      // A list: of a text with two classes the grid takes away what it should keep.
      headerClass: classes.filter(Boolean),
      cellClass: isNumber ? "ag-right-aligned-cell" : "edit-text",
      cellClassRules: { "is-missing": "params.value === null" },
      valueFormatter: { function: key === "i" ? "rowNumber(params.value)" : "editText(params.value, params.data)" },
      tooltipField: isNumber ? undefined : key,
      editable: isOwn,
      cellEditor: isOwn ? "agTextCellEditor" : undefined,
      cellDataType: false,
      ...{ i: { width: 68 }, sample: { width: 90 }, id: { flex: 1, minWidth: 140 } }[key],
      ...(group ? { flex: 1, minWidth: isNumber ? 92 : 120 } : {}),
    };
  }

  const TICK = {
    colId: "t",
    field: "t",
    headerName: "",
    headerTooltip: "Ticked cells",
    width: 36,
    minWidth: 36,
    pinned: "left",
    sortable: false,
    resizable: false,
    suppressMovable: true,
    cellClass: "edit-tick",
    cellDataType: false,
    cellRenderer: "agCheckboxCellRenderer",
    cellEditor: "agCheckboxCellEditor",
    editable: true,
  };

  let drawn = ""; // what the grid's columns are made of

  function drawColumns() {
    const definitions = [TICK, ...[...FIXED.map((one) => one.key), ...shownColumns()].map((key) => definition(column(key)))];
    const text = JSON.stringify(definitions);
    if (text === drawn) return false;
    drawn = text;
    window.dash_clientside.set_props(GRID, { columnDefs: definitions });
    return true;
  }

  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  functions.rowNumber = (row) => (row == null ? "" : parts().number(row + 1));
  functions.editText = (value, data) => {
    if (!data) return "";
    return value == null ? "missing" : typeof value === "number" ? parts().shortest(value) : value;
  };

  // -- rows ------------------------------------------------------------------------------------------------------

  /** The view as the server wants it. Conditions on columns that are gone stay: without them more rows would be seen. */
  function asked(sort = []) {
    return { where: view.where, sort, only_ticked: view.only_ticked, only_selected: view.only_selected };
  }

  /** Why no rows are seen. */
  function noRows() {
    const now = page.selection;
    if (view.only_selected && !(now && now.active)) return "Nothing is selected";
    if (view.only_selected && now.count === null) return "The query of the Cell Filter is not finished";
    return Object.keys(page.problems).length ? "No cells match: look at the marked filters" : "No cells match";
  }

  const sortOf = (api) =>
    api
      .getColumnState()
      .filter((one) => one.sort)
      .sort((a, b) => a.sortIndex - b.sortIndex)
      .map((one) => [one.colId, one.sort === "desc"]);

  const toStart = []; // requests that wait for the page to be built
  const started = () => isStarted() || new Promise((resolve) => toStart.push(resolve));

  let asking = 0; // number of the newest request: an answer to an earlier one may come after its own

  /** Answer the grid's request for rows. */
  async function rows(request) {
    if (!request) return window.dash_clientside.no_update;
    const mine = ++asking;
    await started();
    if (mine !== asking) return window.dash_clientside.no_update;
    const sort = (request.sortModel || []).map(({ colId, sort }) => [colId, sort === "desc"]);
    const columns = [...new Set(shownColumns())];
    let answer;
    try {
      answer = await ask("edit/rows", { view: asked(sort), columns, start: request.startRow, end: request.endRow });
    } catch (error) {
      if (mine !== asking) return window.dash_clientside.no_update;
      // No rows are not the same as rows that nobody knows.
      Object.assign(page, { failure: error.message, total: null });
      tell();
      request.failCallback();
      return window.dash_clientside.no_update;
    }
    if (mine !== asking) return window.dash_clientside.no_update;
    page.failure = "";
    page.total = answer.total;
    page.filtered = answer.filtered;
    page.problems = answer.problems;
    takeTicks(answer);
    tell();
    if (!answer.total) {
      // One of our own sentences: a template is taken as HTML.
      const said = `<span class="ag-overlay-no-rows-center">${noRows()}</span>`;
      (await grid()).setGridOption("overlayNoRowsTemplate", said);
    }
    // The grid wants text to tell its rows apart.
    return { rowData: answer.rows.map((row) => ({ ...row, key: `${row.i}` })), rowCount: answer.total };
  }

  async function grid() {
    const api = await window.dash_ag_grid.getApiAsync(GRID);
    if (api !== page.api) {
      page.api = api;
      api.addEventListener("cellEditingStarted", begin);
    }
    return api;
  }

  /** Ask for the rows anew. `from` the top when other rows come than before. */
  async function refresh(from) {
    if (!byId(GRID)) return;
    const api = await grid();
    if (from === "top") {
      page.total = null;
      api.purgeInfiniteCache();
    } else api.refreshInfiniteCache();
  }

  // -- editing a cell ----------------------------------------------------------------------------------------------

  /** A cell's editor offers the labels of its annotation. */
  function begin({ column: edited }) {
    const [kind, id] = split(edited.getColId());
    const input = document.querySelector(`#${GRID} .ag-cell-inline-editing input[type=text]`);
    if (kind !== "annotation" || !input) return;
    input.id = "edit-cell";
    input.setAttribute("aria-label", `Label in ${annotation(id).name}`);
    input.maxLength = 400;
    iscan.editParts.labelBox(input, {
      labels: (typed) => labelsLike(id, typed === input.defaultValue ? "" : typed),
      newText: () => "Enter makes this a new label",
    });
  }

  const split = (key) => [key.slice(0, key.indexOf(":")), key.slice(key.indexOf(":") + 1)];

  let shiftAt = 0; // when a click with Shift happened last
  let lastTick = null; // number of the cell that was ticked last, wherever its row is by now
  document.addEventListener("pointerdown", (event) => (shiftAt = event.shiftKey ? Date.now() : 0), { capture: true });

  /** A cell of the grid was changed: a tick, or a label. */
  async function cell(changes) {
    for (const { colId, data, value, oldValue } of changes || []) {
      if (colId === "t") {
        const isRange = shiftAt && Date.now() - shiftAt < 1500 && lastTick !== null;
        const range = { do: "between", first: lastTick, last: data.i, is_on: value, view: asked(sortOf(await grid())) };
        await tick(isRange ? range : { do: "one", row: data.i, is_on: value }, isRange);
        lastTick = data.i;
      } else if (value !== oldValue) {
        const [, id] = split(colId);
        const done = await act({ do: "assign one", annotation: id, row: data.i, value: value == null ? "" : String(value) });
        if (!done.is_done) refresh();
      }
    }
  }

  // -- ticks -----------------------------------------------------------------------------------------------------

  /** Take over how many cells are ticked, and which. */
  const takeTicks = ({ ticked, ticks }) => Object.assign(page, { ticked, ticks });

  /** What tells the cells that a label is for from others, as this page saw them. */
  function seen(target) {
    if (target === "selection") return String(page.selection ? page.selection.mask_version : "");
    return target === "ticked" ? page.ticks : page.filtered;
  }

  /**
   * Tick cells, or take ticks away.
   * @param {Object} change    what is posted
   * @param {boolean} [anew]   whether rows that are seen change besides
   * @param {string} [path]    whom to ask
   */
  async function tick(change, anew = true, path = "edit/ticks") {
    try {
      takeTicks(await ask(path, change));
    } catch (error) {
      complain(error);
      anew = true;
    }
    tell();
    if (anew || view.only_ticked) refresh(view.only_ticked ? "top" : undefined);
    others?.postMessage("ticks");
  }

  // Another tab of the user ticked: this one follows.
  const others = "BroadcastChannel" in window ? new BroadcastChannel(iscan.own("iscan-edit")) : null;
  others?.addEventListener("message", () => refresh());

  let status = {};

  /** The server's state says whether another browser of the user ticked. */
  function hear(answer, now) {
    answered(answer);
    if (!now || !now.ticks || now === status) return;
    // Said twice: the first may be older than a tick of this page.
    const isSure = now.ticks === status.ticks;
    status = now;
    if (isSure && page.state && now.ticks !== page.ticks) refresh(view.only_ticked ? "top" : undefined);
  }

  // -- labels ----------------------------------------------------------------------------------------------------

  const known = new Map(); // annotation -> its labels at its newest version

  /** The labels of an annotation as they are now. */
  async function labelsOf(id) {
    const one = annotation(id);
    const kept = known.get(id);
    if (kept && one && kept.version === one.version) return kept;
    const found = await ask(`edit/labels?${new URLSearchParams({ annotation: id })}`);
    known.set(id, found);
    return found;
  }

  /** Labels that contain a text. Where not all are known here the server is asked. */
  async function labelsLike(id, typed) {
    try {
      const all = await labelsOf(id);
      if (all.labels.length === all.n_labels || !typed.trim()) return iscan.editParts.ranked(all.labels, typed);
      return (await ask(`edit/labels?${new URLSearchParams({ annotation: id, q: typed.trim() })}`)).labels;
    } catch {
      return [];
    }
  }

  async function loadLabels() {
    const id = page.current;
    if (!id) {
      page.labels = null;
      return;
    }
    try {
      const found = await labelsOf(id);
      if (page.current === id) page.labels = found;
    } catch (error) {
      complain(error);
    }
  }

  /** Edit another annotation. */
  async function choose(id) {
    page.current = id;
    try {
      sessionStorage.setItem(`${KEPT}-annotation`, id);
    } catch {
      // Storage refused: as above.
    }
    page.labels = null;
    drawColumns() && refresh();
    tell();
    await loadLabels();
    tell();
  }

  // -- what is seen ----------------------------------------------------------------------------------------------

  /** Change what is seen. @param {Object} change  fields of the view */
  function look(change) {
    Object.assign(view, change);
    remember();
    drawColumns();
    const isOther = ["where", "only_ticked", "only_selected"].some((name) => name in change);
    refresh(isOther ? "top" : undefined);
    tell();
  }

  /** Set the condition of a column; null takes it away. The title is kept for when the column is gone. */
  function filter(key, condition) {
    const { [key]: _, ...others } = view.where;
    look({ where: condition ? { ...others, [key]: { ...condition, title: column(key)?.title } } : others });
  }

  // -- start -----------------------------------------------------------------------------------------------------

  async function follow(state, open) {
    if (!state) return;
    const isFirst = !byId("edit-assign").dataset.drawn;
    byId("edit-assign").dataset.drawn = "yes";
    page.state = state;
    takeTicks(state);
    toStart.splice(0).forEach((start) => start());
    for (const key of known.keys()) if (!annotation(key)) known.delete(key);
    const mine = own().map((one) => one.id);
    if (isFirst && mine.includes(open)) page.current = open;
    if (!mine.includes(page.current)) {
      let kept = null;
      try {
        kept = sessionStorage.getItem(`${KEPT}-annotation`);
      } catch {
        // Storage refused: the newest one, then.
      }
      page.current = mine.includes(kept) ? kept : (mine[0] ?? null);
    }
    if (isFirst) {
      drawn = "";
      // Until the new grid has asked for its rows.
      page.total = null;
    }
    if (!drawColumns() || !isFirst) refresh();
    tell();
    await loadLabels();
    tell();
  }

  // The cells that are selected on the plots are rows too.
  document.addEventListener("DOMContentLoaded", () =>
    iscan.selection.onChange((now) => {
      const isOther = page.selection && page.selection.mask_version !== now.mask_version;
      page.selection = now;
      tell();
      if (isOther && view.only_selected) refresh("top");
    }),
  );

  iscan.edit = {
    page, view, onChange, act, ask, complain, seen, noRows, tick, look, filter, refresh, choose, asked, annotation, own, offered, shownOf,
    column, labelsLike, FIXED,
  };
  iscan.editTable = { editRows: rows, editCell: cell, editFollow: follow, editHear: hear };
})();
