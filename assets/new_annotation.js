/* New Annotation: the form's state under a growing number, so that an answer to an older state is never shown, and
 * the preview grid, which asks the server for the rows it shows. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const GRID = "new-grid";
  let form = null;
  let seq = 0;
  let refused = null; // number of the newest form when it cannot be shown
  let markKnown;
  const formKnown = new Promise((resolve) => (markKnown = resolve));

  function readForm(kind, name, default_, copy, metadata, cluster, annotation, delimiter, missing, filtered, revision, selection) {
    const none = window.dash_clientside.no_update;
    const note = filteredNote(selection);
    const { triggered } = window.dash_clientside.callback_context;
    // A selection that the form does not use changes nothing of its preview.
    const isOther = triggered.length > 0 && triggered.every((cause) => cause.prop_id === "selection-state.data");
    if (isOther && form && !form.filtered) return [none, none, none, none, none, none, none, none, note];
    const isCopy = kind === "existing" && Boolean(copy);
    form = {
      seq: ++seq,
      name: name || "",
      default: default_ || "",
      copy_on: isCopy,
      metadata: metadata || [],
      cluster: cluster || [],
      annotation: annotation || [],
      delimiter: delimiter ?? "",
      missing,
      filtered: isCopy && Boolean(filtered),
      // Create is refused when the cells are no longer those that the preview shows.
      selection: selection ? selection.mask_version : null,
    };
    markKnown();
    const parts = form.metadata.length + form.cluster.length + form.annotation.length;
    const isImport = kind === "import";
    const isPrediction = kind === "prediction";
    const isEnrichment = kind === "enrichment";
    iscan.prediction.show(isPrediction);
    iscan.fromEnrichment.show(isEnrichment);
    return [form, !isCopy, parts < 2, kind !== "existing", isImport || isPrediction || isEnrichment, !isImport, !isPrediction, !isEnrichment, note];
  }

  /** How many cells the switch means now. */
  function filteredNote(selection) {
    if (!selection || !selection.active) return "no cells are filtered now";
    if (selection.count === null) return "the query is not finished";
    return `${number(selection.count)} of ${plural(selection.n_cells, "cell")}; the others get the default value`;
  }

  const number = (value) => value.toLocaleString("en");
  const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

  function showPreview(found, touched, sent) {
    const none = window.dash_clientside.no_update;
    // Answers may overtake each other; only the one to the newest state counts.
    if (!found || !sent || found.seq !== sent.seq || found.seq !== form.seq) return [none, none, none, none];
    refused = found.error || found.default_error ? found.seq : null;
    refreshGrid();
    const problem = (error) => (error && (touched || !["E01"].includes(error[0])) ? error[1] : "");
    const warnings = (found.warnings || []).map(([code, text]) => (code ? `${code} ${text}` : text));
    if (found.error) return ["", found.error, problem(found.name_error), problem(found.default_error)];
    const bad = found.default_error;
    const summary = bad
      ? ""
      : `${plural(found.labels, "label")}, ${plural(found.cells, "cell")}, ${number(found.by_default)} by default`;
    return [summary, warnings.join("\n"), problem(found.name_error), problem(bad)];
  }

  /** Answer the grid's request for rows with those of the newest form. */
  async function rows(request) {
    if (!request) return window.dash_clientside.no_update;
    await formKnown;
    if (form.seq === refused || !form.default.trim()) return { rowData: [], rowCount: 0 };
    const filters = Object.entries(request.filterModel || {});
    const asked = {
      form,
      start: request.startRow,
      end: request.endRow,
      contains: Object.fromEntries(filters.map(([column, { filter }]) => [column, filter || ""])),
      sort: (request.sortModel || []).map(({ colId, sort }) => [colId, sort === "desc"]),
    };
    const response = await iscan.read(iscan.address("/api/v1/preview/rows"), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(asked),
    }).catch(() => null);
    // The form says what is wrong; the grid is empty meanwhile.
    if (!response || !response.ok) return { rowData: [], rowCount: 0 };
    const answer = await response.json();
    // The grid wants text to tell its rows apart.
    return { rowData: answer.rows.map((row) => ({ ...row, key: `${row.i}` })), rowCount: answer.total };
  }

  async function refreshGrid() {
    if (!document.getElementById(GRID) || !window.dash_ag_grid) return;
    const api = await window.dash_ag_grid.getApiAsync(GRID);
    api.refreshInfiniteCache();
    api.refreshHeader();
  }

  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  functions.annotationHeader = () => (form && form.name.trim()) || "Annotation";
  functions.rowNumber = (row) => (row == null ? "" : number(row + 1));

  /** Tell whether a missing name may be complained of; a refused Create puts the focus where something is wrong. */
  function touched(_blur, clicks, enters, name) {
    const { triggered } = window.dash_clientside.callback_context;
    if (triggered.some((cause) => ["new-create.n_clicks", "new-name.n_submit"].includes(cause.prop_id))) {
      const isWrong = (field) => document.getElementById(`${field}-error`).textContent !== "";
      if (!(name || "").trim() || isWrong("new-name")) document.getElementById("new-name").focus();
      else if (isWrong("new-default")) document.getElementById("new-default").focus();
    }
    return Boolean(clicks || enters) || !name;
  }

  iscan.newAnnotation = { readForm, showPreview, rows, touched };
})();
