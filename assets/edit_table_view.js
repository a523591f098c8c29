/* What the grid of Edit Annotation shows: its columns, its filters, the count of its rows, and the ticks of all. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const SEARCH_FROM = 10; // columns; fewer are seen at a glance

  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);
  let bits = null;

  // -- tools above the grid --------------------------------------------------------------------------------------

  const GROUPS = {
    annotation: { title: "Annotations" },
    metadata: { title: "Metadata", show: "Show Metadata" },
    cluster: { title: "Clusters", show: "Show Clusters" },
  };

  function draw(root) {
    const { make, icon } = parts();
    const count = make("span", { id: "edit-count", class: "numbers", role: "status" });
    const failure = make("span", { id: "edit-failure", role: "alert", class: "field-error", hidden: true });
    const again = make("button", {
      id: "edit-again",
      class: "btn btn-link btn-sm",
      textContent: "Try again",
      hidden: true,
      onclick: () => iscan.edit.refresh("top"),
    });
    const all = make("button", {
      id: "edit-tick-all",
      class: "btn btn-link btn-sm numbers",
      onclick: () => iscan.edit.tick({ do: "all", is_on: true, view: iscan.edit.asked() }),
    });
    const none = make("button", {
      id: "edit-tick-none",
      class: "btn btn-link btn-sm",
      textContent: "Clear ticks",
      onclick: () => iscan.edit.tick({ do: "clear" }),
    });
    const toggle = (id, text, field) => {
      const box = make("input", { type: "checkbox", class: "form-check-input", id });
      box.addEventListener("change", () => iscan.edit.look({ [field]: box.checked }));
      return [box, make("label", { class: "form-check-label edit-switch" }, box, ` ${text}`)];
    };
    const [ticked, tickedLabel] = toggle("edit-only-ticked", "Only ticked", "only_ticked");
    const [selected, selectedLabel] = toggle("edit-only-selected", "Only selected", "only_selected");
    const groups = Object.entries(GROUPS).map(([group, { title, show }]) => {
      const box = show ? make("input", { type: "checkbox", class: "form-check-input", id: `edit-show-${group}`, title: show, "aria-label": show }) : null;
      if (box) box.addEventListener("change", () => switchGroup(group, box.checked));
      const button = make(
        "button",
        { class: "edit-columns", id: `edit-columns-${group}`, title: `Choose ${title.toLowerCase()}`, onclick: () => pick(button, group) },
        make("span", { class: "edit-columns-text" }),
        icon("chevron-down"),
      );
      return [group, { box, button, whole: make("span", { class: "edit-group" }, box, button) }];
    });
    const filters = make(
      "button",
      { class: "edit-columns", id: "edit-filter", title: "Filter by a column", onclick: () => chooseColumn(filters) },
      icon("funnel"),
      " Filter",
    );
    root.replaceChildren(
      make("div", { class: "edit-tools-row" }, count, failure, again, all, none, make("span", { class: "space" }), filters),
      make("div", { class: "edit-tools-row" }, ...groups.map(([, { whole }]) => whole), make("span", { class: "space" }), tickedLabel, selectedLabel),
    );
    bits = { count, failure, again, all, none, ticked, selected, selectedLabel, groups: Object.fromEntries(groups) };
  }

  function show() {
    const { page, view, offered, shownOf } = iscan.edit;
    const { number } = parts();
    const n = page.state.cells;
    const shown = page.total === null ? "..." : number(page.total);
    bits.count.textContent = `${shown} of ${number(n)} cells, ${number(page.ticked)} ticked`;
    bits.failure.textContent = page.failure && `The rows did not load. ${page.failure}`;
    for (const [part, isShown] of [[bits.failure, page.failure], [bits.again, page.failure], [bits.count, !page.failure], [bits.all, !page.failure]])
      part.hidden = !isShown;
    bits.all.textContent = `Select all ${shown} filtered`;
    bits.all.disabled = !page.total;
    bits.none.disabled = !page.ticked;
    bits.ticked.checked = view.only_ticked;
    bits.selected.checked = view.only_selected;
    const isSelected = Boolean(page.selection && page.selection.active);
    bits.selectedLabel.title = `Only selected cells${isSelected ? "" : ": nothing is selected now"}`;
    for (const [group, { box, button }] of Object.entries(bits.groups)) {
      const [all, some] = [offered(group).length, shownOf(group).length];
      button.querySelector(".edit-columns-text").textContent = `${GROUPS[group].title} ${some}/${all}`;
      button.disabled = !all;
      if (!box) continue;
      box.checked = view[group].on;
      box.disabled = !all;
    }
  }

  /** Show the columns of a group, or none; the first ones when none was picked yet. */
  function switchGroup(group, on) {
    const { view, offered, look } = iscan.edit;
    const keys = view[group].keys.length ? view[group].keys : offered(group).slice(0, 3).map((column) => column.key);
    look({ [group]: { on, keys } });
  }

  /** Let the user pick the columns of a group. */
  function pick(anchor, group) {
    const { make, words } = parts();
    const { offered, shownOf, look } = iscan.edit;
    iscan.editParts.popup(anchor, GROUPS[group].title, () => {
      const rows = offered(group).map(({ key, title }) => {
        const box = make("input", { type: "checkbox", class: "form-check-input", checked: shownOf(group).includes(key) });
        box.dataset.key = key;
        return make("label", { class: "edit-pick" }, box, words(title));
      });
      const list = make("div", { class: "edit-picks", role: "group", "aria-label": GROUPS[group].title }, ...rows);
      list.addEventListener("change", () => {
        const keys = [...list.querySelectorAll("input:checked")].map((box) => box.dataset.key);
        look({ [group]: group === "annotation" ? keys : { on: keys.length > 0, keys } });
      });
      parts().walk(list, "input");
      return [...searched(rows), list];
    });
  }

  /** A search above a long list of rows. */
  function searched(rows) {
    if (rows.length < SEARCH_FROM) return [];
    const { make } = parts();
    const search = make("input", { type: "search", class: "form-control form-control-sm", placeholder: "Search columns", "aria-label": "Search columns" });
    search.addEventListener("input", () => {
      const wanted = search.value.trim().toLocaleLowerCase();
      rows.forEach((row) => (row.hidden = !row.textContent.toLocaleLowerCase().includes(wanted)));
    });
    return [search];
  }

  // -- filters ---------------------------------------------------------------------------------------------------

  /** Let the user choose the column to filter by. */
  function chooseColumn(anchor) {
    const { make, words } = parts();
    const { FIXED, offered } = iscan.edit;
    iscan.editParts.popup(anchor, "Filter by", (close) => {
      const columns = [...FIXED, ...["annotation", "metadata", "cluster"].flatMap(offered)];
      const rows = columns.map(({ key, title }) =>
        make("button", { class: "edit-pick", onclick: () => (close(), editFilter(anchor, key)) }, words(title)),
      );
      const list = make("div", { class: "edit-picks" }, ...rows);
      parts().walk(list, "button");
      return [...searched(rows), list];
    });
  }

  /** Kind and key of a column as the Cell Filter names it. */
  const named = (key) => (key === "sample" ? ["sample", ""] : [key.slice(0, key.indexOf(":")), key.slice(key.indexOf(":") + 1)]);

  /** Open the filter of a column. */
  function editFilter(anchor, key) {
    const { column, view, filter } = iscan.edit;
    const about = column(key);
    if (!about) return;
    const [kind, name] = named(key);
    const condition = view.where[key] || {};
    const asked = { kind, key: name, title: about.title };
    iscan.editParts.popup(anchor, `Filter: ${about.title}`, (close) => {
      const clear = parts().make("button", {
        class: "btn btn-link btn-sm edit-filter-clear",
        textContent: "Clear this filter",
        onclick: () => (filter(key, null), close()),
      });
      if (about.kind === "text") return [textFilter(key, condition), clear];
      if (about.kind === "row") return [placesFilter(key, condition), clear];
      if (about.kind === "number") return [...numberFilter(key, asked, condition), clear];
      const onChange = (now) => filter(key, now.values.length || now.missing ? plain(now) : null);
      return [parts().valuesList({ ...asked, condition: { values: [], ...condition }, onChange }).element, clear];
    });
  }

  /** A condition without what the column says already. */
  const plain = ({ kind, key, ...condition }) => condition;

  function textFilter(key, condition) {
    const { make, later } = parts();
    const input = make("input", {
      type: "search",
      class: "form-control form-control-sm",
      placeholder: "Contains",
      "aria-label": "Contains",
      value: condition.text || "",
      maxLength: 200,
      autocomplete: "off",
      spellcheck: false,
    });
    const follow = () => iscan.edit.filter(key, input.value.trim() ? { is: "text", text: input.value.trim() } : null);
    input.addEventListener("input", later(follow));
    return input;
  }

  /** From one row number to another. */
  function placesFilter(key, condition) {
    const { make, later } = parts();
    const field = (text, value) =>
      make("input", { type: "number", min: 1, class: "form-control form-control-sm", placeholder: text, "aria-label": `${text} row`, value: value ?? "" });
    const [from, to] = [field("First", condition.low), field("Last", condition.high)];
    const read = (input) => (input.value === "" || !Number.isFinite(input.valueAsNumber) ? null : input.valueAsNumber);
    const follow = later(() => {
      const [low, high] = [read(from), read(to)];
      iscan.edit.filter(key, low === null && high === null ? null : { is: "range", low, high });
    });
    for (const input of [from, to]) input.addEventListener("input", follow);
    return make("div", { class: "filter-range" }, from, make("span", { class: "muted", textContent: "to" }), to);
  }

  function numberFilter(key, asked, condition) {
    const { make } = parts();
    const only = make("input", { type: "checkbox", class: "form-check-input", checked: condition.numbers === false });
    let now = condition;
    const follow = () => {
      const { low = null, high = null, missing = false } = now;
      if (only.checked) iscan.edit.filter(key, { is: "range", numbers: false, missing: true });
      else iscan.edit.filter(key, low === null && high === null ? null : { is: "range", low, high, missing });
      brush.element.hidden = only.checked;
    };
    const brush = parts().rangeBrush({ ...asked, condition, onChange: (other) => ((now = plain(other)), follow()) });
    brush.element.hidden = only.checked;
    only.addEventListener("change", follow);
    return [brush.element, make("label", { class: "form-check-label edit-switch" }, only, " Only cells without a value")];
  }

  /** What a condition says. */
  function said(condition) {
    const { shortest, number } = parts();
    if (condition.is === "text") return `contains ${condition.text}`;
    if (condition.is === "labels") {
      const values = [...condition.values, ...(condition.missing ? ["missing"] : [])];
      const named = values.slice(0, 2).join(", ") + (values.length > 2 ? ` and ${number(values.length - 2)} more` : "");
      return `${condition.not ? "not " : ""}${named}`;
    }
    if (condition.numbers === false) return "missing";
    const { low = null, high = null } = condition;
    const range = low === null ? `at most ${shortest(high)}` : high === null ? `at least ${shortest(low)}` : `${shortest(low)} to ${shortest(high)}`;
    return condition.missing ? `${range} or missing` : range;
  }

  let chipsShown = "";

  function showChips(root) {
    const { make, words, icon, iconButton } = parts();
    const { page, view, column, filter, look } = iscan.edit;
    const titleOf = ([key, condition]) => column(key)?.title ?? condition.title ?? key;
    const rows = Object.entries(view.where);
    const text = JSON.stringify([...rows.map((row) => [...row, titleOf(row)]), page.problems]);
    if (root.dataset.drawn && text === chipsShown) return;
    root.dataset.drawn = "yes";
    chipsShown = text;
    const chips = rows.map(([key, condition]) => {
      const title = titleOf([key, condition]);
      const what = `${title}: ${said(condition)}`;
      const problem = page.problems[key];
      const button = make(
        "button",
        { class: "edit-chip-text", title: problem || `${what} - change`, disabled: !column(key), onclick: () => editFilter(button, key) },
        words(what),
      );
      return make(
        "span",
        { class: `chip edit-filter-chip${problem ? " has-problem" : ""}`, title: problem || null },
        problem ? icon("exclamation-triangle") : null,
        problem ? make("span", { class: "visually-hidden", textContent: problem }) : null,
        button,
        iconButton("x", `Take the filter of ${title} away`, () => filter(key, null)),
      );
    });
    if (rows.length > 1) chips.push(make("button", { class: "btn btn-link btn-sm", textContent: "Clear filters", onclick: () => look({ where: {} }) }));
    root.replaceChildren(...chips);
  }

  // The button in the head of a column. It is drawn by the grid, which hears of clicks on its heads too.
  const headOf = (event) => event.target.closest && event.target.closest("#edit-grid .ag-header-cell");
  for (const kind of ["click", "pointerdown", "mousedown", "touchstart"])
    document.addEventListener(
      kind,
      (event) => {
        const button = event.target.closest && event.target.closest(".edit-filter-button");
        if (!button) return;
        event.stopPropagation();
        if (kind === "click") editFilter(button, headOf(event).getAttribute("col-id"));
      },
      { capture: true, passive: true },
    );
  document.addEventListener(
    "keydown",
    (event) => {
      const head = event.altKey && event.key === "ArrowDown" && headOf(event);
      if (!head || head.getAttribute("col-id") === "t") return;
      event.preventDefault();
      event.stopPropagation();
      editFilter(head, head.getAttribute("col-id"));
    },
    { capture: true },
  );

  iscan.edit.onChange(() => {
    const root = byId("edit-tools");
    if (!root.childElementCount) draw(root);
    show();
    showChips(byId("edit-chips"));
  });
})();
