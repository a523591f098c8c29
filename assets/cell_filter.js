/* The Cell Filter: where each condition of the selection is made, by source, and how the areas of plots go together. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const OPEN = iscan.own("iscan-filter-open");
  const LAST = iscan.own("iscan-filter-source");
  const SEARCH_FROM = 12; // columns; fewer are seen at a glance
  const KINDS = { sample: "sample", metadata: "metadata", clusters: "cluster", annotations: "annotation" };
  const SOURCES = {
    sample: "Sample",
    metadata: "Metadata",
    clusters: "Clusters",
    annotations: "Annotations",
    plots: "Plots and query",
    numbers: "Numbers",
    genes: "Genes",
    cells: "Cell IDs",
    saved: "Saved selections",
  };
  const EMPTY = {
    sample: "All cells are of one sample.",
    metadata: "This study has no metadata with values to tick.",
    clusters: "No clusters in this dataset.",
    annotations: "No annotations yet.",
    numbers: "This study has no columns of numbers.",
  };

  let root = null;
  let state = null;
  let columns = []; // {is: labels|range, kind, key, title}
  let shown = { source: "metadata", kind: null, key: null, id: null };
  let view = null; // what is drawn, with `follow` for a newer state
  let tabs = null;
  let body = null;

  const parts = () => iscan.filterParts;
  const act = (action) => iscan.selection.act(action);

  function remember(key, value) {
    try {
      sessionStorage.setItem(key, value);
    } catch {
      // Storage refused: it lasts as long as the page.
    }
  }
  function recall(key) {
    try {
      return sessionStorage.getItem(key);
    } catch {
      return null;
    }
  }

  // -- conditions --------------------------------------------------------------------------------------------------

  const isAbout = (filter, is, kind, key) =>
    filter.condition.is === is && filter.condition.kind === kind && filter.condition.key === key;

  /** The filter that an editor shows: the one that was asked for, else the first about its column. */
  function filterOf(is, kind, key) {
    const own = state.filters.filter((filter) => isAbout(filter, is, kind, key));
    return own.find((filter) => filter.id === shown.id) || own[0] || null;
  }

  const isEmpty = ({ is, values, low, high, missing }) =>
    !missing && (is === "labels" ? !values.length : low === null && high === null);

  const changed = new Map(); // column -> its condition that is to be sent
  let sending = false;

  /** Send a condition; of several on a column that come faster than they are answered only the last is sent. */
  async function send(condition) {
    changed.set(JSON.stringify([condition.is, condition.kind, condition.key]), condition);
    if (sending) return;
    sending = true;
    while (changed.size) {
      const [[column, { is, kind, key, ...rest }]] = changed;
      changed.delete(column);
      const existing = filterOf(is, kind, key);
      const id = existing ? { id: existing.id } : {};
      if (!isEmpty({ is, ...rest })) await act({ do: "filter", ...id, condition: { is, kind, key, ...rest } });
      else if (existing) await act({ do: "remove_filter", ...id });
    }
    sending = false;
    view.follow();
  }

  // -- sources -----------------------------------------------------------------------------------------------------

  function sourceOf(condition) {
    if (condition.is === "cells") return "cells";
    if (condition.is === "saved") return "saved";
    if (condition.is === "range") return condition.kind === "gene" ? "genes" : "numbers";
    return Object.keys(KINDS).find((source) => KINDS[source] === condition.kind) || "metadata";
  }

  const columnsOf = (source) =>
    source === "numbers"
      ? columns.filter((column) => column.is === "range")
      : columns.filter((column) => column.is === "labels" && column.kind === KINDS[source]);

  /** What a source adds to the selection: cells when it is one condition, how many otherwise. */
  function tally(source) {
    const { number } = parts();
    if (source === "plots") {
      const n = state.areas.length;
      if (!n) return ["", ""];
      return [number(n), `${n} ${n === 1 ? "area" : "areas"}`];
    }
    const own = state.filters.filter((filter) => sourceOf(filter.condition) === source);
    if (!own.length) return ["", ""];
    if (own.some((filter) => filter.problem)) return ["!", own.find((filter) => filter.problem).problem];
    if (own.length === 1) return [number(own[0].count ?? 0), parts().cellsText(own[0].count ?? 0)];
    return [`${own.length} \u00d7`, `${own.length} conditions`];
  }

  function drawTabs() {
    for (const tab of tabs.children) {
      const { source } = tab.dataset;
      const [text, title] = tally(source);
      tab.lastChild.textContent = text;
      tab.title = title ? `${SOURCES[source]}: ${title}` : SOURCES[source];
      const isChosen = source === shown.source;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      tab.classList.toggle("is-used", text !== "");
    }
    body.setAttribute("aria-labelledby", `cell-filter-tab-${shown.source}`);
  }

  // -- views -------------------------------------------------------------------------------------------------------

  const hint = (text) => parts().make("p", { class: "muted filter-hint", textContent: text });

  /** Columns to choose from on the left, the chosen one on the right. */
  function columnsView(source) {
    const { make, words, walk, number, cellsText, valuesList, rangeBrush, geneSearch, iconButton, later } = parts();
    const isGenes = source === "genes";
    const genes = () => [
      ...new Set([
        ...state.filters.filter((filter) => sourceOf(filter.condition) === "genes").map((filter) => filter.condition.key),
        ...(shown.kind === "gene" ? [shown.key] : []),
      ]),
    ];
    const offered = () =>
      isGenes ? genes().map((key) => ({ is: "range", kind: "gene", key, title: key })) : columnsOf(source);
    if (!isGenes && !offered().length) {
      body.replaceChildren(hint(EMPTY[source]));
      return { follow() {} };
    }
    const list = make("div", {
      class: "filter-columns",
      role: "group",
      "aria-label": isGenes ? "Chosen genes" : `Columns of ${SOURCES[source]}`,
    });
    walk(list, ".filter-column");
    const detail = make("div", { class: "filter-detail" });
    let editor = null;
    let drawn = null; // names of the drawn buttons
    const search = make("input", {
      class: "form-control form-control-sm",
      type: "search",
      placeholder: "Search columns",
      "aria-label": "Search columns",
      autocomplete: "off",
      spellcheck: false,
    });
    const side = make("div", { class: "filter-side" });
    if (isGenes)
      side.append(geneSearch({ onChoose: (gene) => choose({ is: "range", kind: "gene", key: gene, title: gene }) }).element);
    else if (offered().length >= SEARCH_FROM) side.append(search);
    side.append(list);
    const sift = () => {
      const wanted = search.value.trim().toLocaleLowerCase();
      for (const row of list.children) row.hidden = !row.title.toLocaleLowerCase().includes(wanted);
    };
    search.addEventListener("input", later(sift, 60));

    function drawList() {
      const now = JSON.stringify(offered().map((column) => [column.kind, column.key, column.title]));
      if (now !== drawn) {
        drawn = now;
        list.replaceChildren(
          ...offered().map((column) => {
            const row = make(
              "button",
              { class: "filter-column", title: column.title, onclick: () => choose(column) },
              words(column.title, "filter-label"),
              make("span", { class: "number" }),
            );
            row.column = column;
            return row;
          }),
        );
        sift();
      }
      for (const row of list.children) {
        const { is, kind, key } = row.column;
        const filter = filterOf(is, kind, key);
        row.lastChild.textContent = filter ? number(filter.count ?? 0) : "";
        row.setAttribute("aria-pressed", String(kind === shown.kind && key === shown.key));
        row.classList.toggle("is-used", Boolean(filter));
      }
    }

    function choose(column) {
      shown = {
        ...shown,
        kind: column.kind,
        key: column.key,
        id: shown.kind === column.kind && shown.key === column.key ? shown.id : null,
      };
      drawDetail(column);
      drawList();
    }

    function drawDetail(column) {
      const { is, kind, key, title } = column;
      const filter = filterOf(is, kind, key);
      const nothing =
        is === "labels"
          ? { is, kind, key, values: [], missing: false }
          : { is, kind, key, low: null, high: null, missing: false };
      const making = is === "labels" ? valuesList : rangeBrush;
      const change = ({ isWhole, ...condition }) => {
        // "All but these" may be ticked before anything else is, which makes no condition yet.
        editor.begun = isEmpty(condition) ? condition : null;
        send(condition);
      };
      editor = { column, ...making({ kind, key, title, condition: filter ? filter.condition : nothing, onChange: change }) };
      editor.nothing = nothing;
      const count = make("span", { class: "filter-count numbers" });
      const remove = iconButton("trash", `Remove the condition on ${title}`, () => {
        const own = filterOf(is, kind, key);
        if (own) act({ do: "remove_filter", id: own.id });
      });
      editor.begun = null;
      editor.count = count;
      editor.remove = remove;
      detail.replaceChildren(
        make("div", { class: "filter-detail-head" }, words(title, "filter-title"), count, remove),
        editor.element,
      );
      sayCount();
    }

    function sayCount() {
      const { is, kind, key } = editor.column;
      const filter = filterOf(is, kind, key);
      editor.count.textContent = filter ? filter.problem || cellsText(filter.count ?? 0) : "no condition";
      editor.count.classList.toggle("is-problem", Boolean(filter && filter.problem));
      editor.remove.hidden = !filter;
    }

    const isSingle = !isGenes && offered().length === 1;
    body.replaceChildren(
      make("div", { class: `filter-split${isSingle ? " is-single" : ""}` }, ...(isSingle ? [] : [side]), detail),
    );
    const start =
      offered().find((column) => column.kind === shown.kind && column.key === shown.key) ||
      offered().find((column) => filterOf(column.is, column.kind, column.key)) ||
      (isGenes ? null : offered()[0]);
    if (start) choose(start);
    else {
      drawList();
      detail.replaceChildren(hint("Search a gene to keep the cells within a range of its expression."));
    }
    return {
      follow() {
        drawList();
        if (!editor) return;
        sayCount();
        // What is being changed here is ahead of the server.
        if (sending) return;
        const { is, kind, key } = editor.column;
        const filter = filterOf(is, kind, key);
        editor.show(filter ? filter.condition : editor.begun || editor.nothing);
      },
      /** Labels of an annotation, and how many cells have them, change with its edits. */
      reload() {
        if (editor && editor.column.kind === "annotation") editor.reload();
      },
    };
  }

  function cellsView() {
    const { make, cellsText, iconButton, number } = parts();
    const text = make("textarea", {
      class: "form-control form-control-sm filter-paste",
      placeholder: "Paste cell IDs, one a line. Where samples share IDs: sample, a tab, the ID.",
      "aria-label": "Cell IDs",
      spellcheck: false,
    });
    const use = make("button", { class: "btn btn-outline-primary btn-sm", textContent: "Use these cells" });
    const report = make("p", { class: "filter-report numbers", role: "status" });
    const remove = iconButton("trash", "Remove this condition", () => {
      const own = mine();
      text.value = "";
      if (own) act({ do: "remove_filter", id: own.id });
    });
    const mine = () => {
      const own = state.filters.filter((filter) => filter.condition.is === "cells");
      return own.find((filter) => filter.id === shown.id) || own[0] || null;
    };
    const say = () => {
      const own = mine();
      remove.hidden = !own;
      if (!own) report.textContent = "";
      else {
        const { unmatched = 0, ambiguous = 0, first_unmatched: first = null } = own.report || {};
        const said = [own.problem || cellsText(own.count ?? 0)];
        if (unmatched) said.push(`${number(unmatched)} not in this study`);
        if (ambiguous) said.push(`${number(ambiguous)} in several samples: add the sample`);
        report.textContent = said.join("; ") + (first ? ` (first: ${first})` : "");
        report.classList.toggle("is-problem", Boolean(own.problem || unmatched || ambiguous));
      }
    };
    use.addEventListener("click", async () => {
      if (!text.value.trim()) {
        report.textContent = "Paste at least one cell ID.";
        text.focus();
        return;
      }
      const own = mine();
      const condition = { is: "cells", text: text.value };
      try {
        await iscan.selection.act({ do: "filter", ...(own ? { id: own.id } : {}), condition }, { quiet: true });
      } catch (error) {
        report.textContent = error.message;
        report.classList.add("is-problem");
        text.focus();
      }
    });
    // Of a long list the page has only the beginning, which must not take the place of the whole.
    const now = mine()?.condition;
    if (now && now.ref) text.placeholder = `${number(now.n)} IDs were pasted. Paste others in their place.`;
    else if (now) text.value = now.text;
    body.replaceChildren(
      make("div", { class: "filter-cells" }, text, make("div", { class: "filter-line" }, use, remove, report)),
    );
    say();
    return { follow: say };
  }

  function savedView() {
    const { make, words, iconButton, cellsText, ask } = parts();
    const counts = new Map(); // those that were asked for
    const countText = (count) => (count === undefined ? "" : count === null ? "not known" : cellsText(count));
    const draw = () => {
      if (!state.saved.length) {
        body.replaceChildren(
          hint("No saved selections yet. Select cells, then save them with the bookmark in the strip below."),
        );
        return;
      }
      const focused = body.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
      const row = (saved) => {
        const cell = (...children) => make("td", {}, ...children);
        const named = make("input", {
          class: "form-control form-control-sm",
          type: "text",
          value: saved.name,
          "aria-label": `Name of ${saved.name}`,
          "data-focus": `${saved.id} name`,
          maxLength: 200,
        });
        named.addEventListener("change", async () => {
          const name = named.value.trim();
          if (name && name !== saved.name) await act({ do: "rename_saved", id: saved.id, name });
          const now = state.saved.find(({ id }) => id === saved.id);
          if (now && named.isConnected) named.value = now.name;
        });
        const button = (text, title, action) =>
          make("button", {
            class: "btn btn-link btn-sm",
            textContent: text,
            title,
            "data-focus": `${saved.id} ${text}`,
            onclick: action,
          });
        const condition = (not) =>
          act({ do: "filter", condition: { is: "saved", id: saved.id, ...(not ? { not: true } : {}) } });
        return make(
          "tr",
          { "data-saved": saved.id },
          cell(named),
          make("td", { class: "number", textContent: countText(saved.count ?? counts.get(saved.id)) }),
          make("td", { class: "filter-saved-text", title: saved.text }, words(saved.text)),
          make(
            "td",
            { class: "actions" },
            button("Use", "Select these cells instead of those selected now", () => act({ do: "use_saved", id: saved.id })),
            button("Only in", "Keep of the selection what is in this one", () => condition(false)),
            button("Not in", "Keep of the selection what is not in this one", () => condition(true)),
            button("Colour", "Colour the plot by what is in it and what is not", () =>
              iscan.colourBy(`selection:${saved.id}`),
            ),
            iconButton("trash", `Delete ${saved.name}`, () => act({ do: "delete_saved", id: saved.id })),
          ),
        );
      };
      body.replaceChildren(
        make(
          "div",
          { class: "filter-saved" },
          make("table", { class: "plain-table" }, make("tbody", {}, ...state.saved.map(row))),
        ),
      );
      if (focused) body.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
    };
    let drawn = "";
    const follow = () => {
      const now = JSON.stringify(state.saved);
      if (now === drawn) return;
      drawn = now;
      draw();
      if (state.saved.some(({ count }) => count === null)) countAll();
    };
    /** Ask for the counts that are not known, which may take the server a while. */
    const countAll = async () => {
      const found = await ask("saved", {}).catch(() => null);
      for (const [id, count] of Object.entries(found ? found.counts : {})) {
        counts.set(id, count);
        const told = body.querySelector(`[data-saved="${CSS.escape(id)}"] .number`);
        if (told) told.textContent = countText(count);
      }
    };
    follow();
    return { follow };
  }

  function plotsView() {
    const { make, number, cellsText, problemText } = parts();
    const MODES = { union: "Union", intersection: "Intersection", custom: "Custom" };
    const modes = make("div", {
      class: "btn-group btn-group-sm",
      role: "radiogroup",
      "aria-label": "How plots go together",
    });
    for (const [mode, title] of Object.entries(MODES)) {
      const radio = make("input", {
        type: "radio",
        class: "btn-check",
        name: "cell-filter-mode",
        id: `cell-filter-mode-${mode}`,
        value: mode,
      });
      radio.addEventListener("change", () =>
        act(mode === "custom" && !state.custom ? { do: "custom", tree: firstTree() } : { do: "mode", mode }),
      );
      modes.append(radio, make("label", { class: "btn btn-outline-primary", htmlFor: radio.id, textContent: title }));
    }
    const tools = make(
      "div",
      { class: "filter-tools" },
      make("button", {
        class: "btn btn-link btn-sm",
        textContent: "Lasso (L)",
        title: "Draw around cells, on any plot",
        onclick: () => iscan.selection.tool("lasso"),
      }),
      make("button", {
        class: "btn btn-link btn-sm",
        textContent: "Box (B)",
        title: "Draw a box around cells, on any plot",
        onclick: () => iscan.selection.tool("box"),
      }),
    );
    const explain = make("p", { class: "muted filter-explain" });
    const areas = make("div", { class: "filter-areas" });
    const tree = iscan.queryBuilder.editor({
      state: () => state,
      columns: () => columns,
      send: (query) => act({ do: "custom", tree: query }),
    });
    const text = make("textarea", {
      class: "form-control form-control-sm filter-text",
      rows: 2,
      id: "cell-filter-text",
      spellcheck: false,
      "aria-describedby": "cell-filter-text-problem",
    });
    const problem = make("p", { class: "field-error", id: "cell-filter-text-problem", role: "alert" });
    const apply = make("button", {
      class: "btn btn-outline-primary btn-sm",
      textContent: "Apply text",
      id: "cell-filter-apply",
    });
    let given = "";
    const say = () => {
      // What somebody is writing stays.
      if (text.value === given || document.activeElement !== text) text.value = state.text;
      given = state.text;
    };
    apply.addEventListener("click", async () => {
      problem.textContent = "";
      try {
        const after = await iscan.selection.act({ do: "text", text: text.value }, { quiet: true });
        text.value = given = after.text;
      } catch (error) {
        problem.textContent = error.message;
        text.focus();
        problem.scrollIntoView({ block: "nearest" });
      }
    });
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        apply.click();
      }
    });

    /** The union of the plots as a tree to go on from. */
    function firstTree() {
      const plots = Object.keys(state.plots).map((plot) => ({ is: "plot", plot: Number(plot) }));
      return { is: state.mode === "intersection" ? "and" : "or", of: plots.length ? plots : [{ is: "unfinished" }] };
    }

    function areaRows() {
      const plots = Object.entries(state.plots);
      if (!plots.length)
        return [
          hint("Nothing is drawn: draw around cells with the lasso (L) or the box (B), Shift adds and Alt takes away."),
        ];
      return plots.map(([plot, { count, inverted }]) => {
        const n = state.areas.filter((area) => String(area.plot) === plot).length;
        return make(
          "div",
          { class: "filter-area", "data-plot": plot },
          make("b", { textContent: `Plot ${plot}` }),
          make("span", {
            class: "numbers",
            textContent: `${inverted ? "not in " : ""}${number(n)} ${n === 1 ? "area" : "areas"}: ${count === null ? "not known" : cellsText(count)}`,
          }),
          make("button", {
            class: "btn btn-link btn-sm",
            textContent: "Invert",
            "data-focus": `${plot} invert`,
            title: `Take the cells outside the areas of plot ${plot} (I)`,
            onclick: () => act({ do: "invert_plot", plot: Number(plot) }),
          }),
          make("button", {
            class: "btn btn-link btn-sm",
            textContent: "Clear",
            "data-focus": `${plot} clear`,
            title: `Delete the areas of plot ${plot}`,
            onclick: () => act({ do: "clear", what: "areas", plot: Number(plot) }),
          }),
        );
      });
    }

    const EXPLAIN = {
      union: "Cells in the areas of any plot.",
      intersection: "Cells in the areas of every plot that has some.",
      custom: "",
    };
    function follow() {
      for (const radio of modes.querySelectorAll("input")) radio.checked = radio.value === state.mode;
      const isCustom = state.mode === "custom";
      explain.textContent = EXPLAIN[state.mode];
      const focused = areas.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
      areas.hidden = isCustom;
      areas.replaceChildren(...areaRows());
      if (focused) areas.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
      tree.element.hidden = !isCustom;
      if (isCustom) tree.follow();
      say();
      whole.replaceChildren(
        ...(state.problem && !isCustom ? [problemText(`${state.problem.code} ${state.problem.text}`)] : []),
      );
    }
    const whole = make("div", {});
    body.replaceChildren(
      make(
        "div",
        { class: "filter-plots" },
        make("div", { class: "filter-line" }, modes, explain, tools),
        make("div", { class: "filter-query" }, areas, tree.element, whole),
        make("label", { htmlFor: text.id, textContent: "As text" }),
        make("div", { class: "filter-text-line" }, text, apply),
        problem,
      ),
    );
    follow();
    return { follow };
  }

  const VIEWS = { plots: plotsView, cells: cellsView, saved: savedView };

  function drawBody() {
    view = (VIEWS[shown.source] || (() => columnsView(shown.source)))();
    drawTabs();
  }

  // -- opening and closing -----------------------------------------------------------------------------------------

  const isOpen = () => root && !root.hidden;

  function setOpen(is) {
    root.hidden = !is;
    document.getElementById("selection-filter").setAttribute("aria-expanded", String(is));
    remember(OPEN, is ? "yes" : "");
    if (is && state) drawBody();
  }

  /** Open the panel at a source. */
  function show(source, about = {}) {
    shown = { source, kind: null, key: null, id: null, ...about };
    remember(LAST, source);
    setOpen(true);
    tabs.querySelector('[aria-selected="true"]')?.focus();
  }

  /** Open the panel where a filter was made. */
  function edit(filter) {
    const { condition, id } = filter;
    show(sourceOf(condition), { kind: condition.kind ?? null, key: condition.key ?? null, id });
  }

  function toggle() {
    if (isOpen()) setOpen(false);
    else show(recall(LAST) || "metadata");
  }

  /** Ask what conditions can be made of; what is being worked in is drawn anew only when something else is offered. */
  async function askColumns() {
    const own = () => JSON.stringify(columnsOf(shown.source));
    const before = own();
    try {
      ({ columns } = await parts().ask("columns", {}));
    } catch (error) {
      return body.replaceChildren(parts().problemText(error.message));
    }
    if (!isOpen() || !state) return;
    if (own() !== before) return drawBody();
    view.follow();
    view.reload?.();
  }

  /** Make the panel once its element is there. */
  function build(element) {
    const { make, iconButton, walk } = parts();
    root = element;
    tabs = make("div", {
      class: "filter-sources",
      role: "tablist",
      "aria-orientation": "vertical",
      "aria-label": "Sources of the filter",
    });
    for (const [source, title] of Object.entries(SOURCES)) {
      const tab = make(
        "button",
        {
          class: "filter-source",
          role: "tab",
          id: `cell-filter-tab-${source}`,
          "aria-controls": "cell-filter-body",
          "data-source": source,
        },
        make("span", { textContent: title }),
        make("span", { class: "number" }),
      );
      tab.addEventListener("click", () => {
        shown = { source, kind: null, key: null, id: null };
        remember(LAST, source);
        drawBody();
      });
      tabs.append(tab);
    }
    walk(tabs, ".filter-source");
    body = make("div", { class: "filter-body", id: "cell-filter-body", role: "tabpanel" });
    const head = make(
      "div",
      { class: "filter-head" },
      make("h2", { textContent: "Cell Filter" }),
      make("span", { class: "muted", textContent: "Conditions hold together: a cell is selected when it meets them all." }),
      iconButton("chevron-down", "Close the Cell Filter", () => close()),
    );
    const close = () => {
      setOpen(false);
      document.getElementById("selection-filter").focus();
    };
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || event.target.type === "search") return;
      event.stopPropagation();
      close();
    });
    root.replaceChildren(head, make("div", { class: "filter-main" }, tabs, body));
    shown.source = SOURCES[recall(LAST)] ? recall(LAST) : "metadata";
    root.hidden = !recall(OPEN);
    document.getElementById("selection-filter").setAttribute("aria-expanded", String(isOpen()));
  }

  /** Show a newer state of the selection. */
  function follow(newest) {
    const isFirst = state === null;
    state = newest;
    if (isFirst) askColumns();
    if (!isOpen()) return;
    if (isFirst || !view) drawBody();
    else {
      drawTabs();
      view.follow();
    }
  }

  /** The annotations changed: they may be offered under other names, with other labels. */
  function refresh(revision) {
    if (state) askColumns();
    return revision;
  }

  window.dash_clientside = Object.assign({}, window.dash_clientside, { cellFilter: { refresh } });
  iscan.cellFilter = { build, follow, show, edit, toggle };
})();
