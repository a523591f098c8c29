/* The strip under the plots: how many cells are selected, what the selection is made of, and what to do with it. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);
  let state = null;
  let bits = null; // the elements of the strip
  let popover = null; // what is open above a chip or a button
  let redrawn = null; // the area that the next drawing replaces

  const act = (action, options) => iscan.selection.act(action, options);

  // -- popovers ----------------------------------------------------------------------------------------------------

  /**
   * Open a small box above a button; Escape and a click elsewhere close it, and the focus goes back.
   * @param {HTMLElement} anchor
   * @param {string} label
   * @param {...Node} children
   */
  function open(anchor, label, ...children) {
    close();
    popover = parts().make("div", { class: "strip-popover", role: "dialog", "aria-label": label }, ...children);
    popover.setAttribute("popover", "auto");
    popover.dataset.anchor = anchor.dataset.focus || anchor.id;
    popover.addEventListener("toggle", (event) => event.newState === "closed" && event.target.remove());
    document.body.append(popover);
    popover.showPopover();
    const box = anchor.getBoundingClientRect();
    const left = Math.min(box.left, window.innerWidth - popover.offsetWidth - 8);
    popover.style.left = `${Math.max(8, left)}px`;
    popover.style.top = `${Math.max(8, box.top - popover.offsetHeight - 4)}px`;
    popover.querySelector("input, button")?.focus();
  }

  function close() {
    if (popover?.isConnected) popover.hidePopover();
    popover = null;
  }

  /** A name to type, with a button; what is wrong with it is said below. */
  function nameForm({ label, value, button, action }) {
    const { make } = parts();
    const field = make("input", {
      class: "form-control form-control-sm",
      type: "text",
      value,
      "aria-label": label,
      maxLength: 200,
      autocomplete: "off",
    });
    const problem = make("p", { class: "field-error", role: "alert" });
    const form = make(
      "form",
      { class: "strip-name" },
      field,
      make("button", { class: "btn btn-primary btn-sm", type: "submit", textContent: button }),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const name = field.value.trim();
      if (!name) {
        problem.textContent = "Enter a name.";
        field.focus();
        return;
      }
      try {
        await act({ ...action, name }, { quiet: true });
        close();
      } catch (error) {
        problem.textContent = error.message;
      }
    });
    field.select();
    return make("div", {}, form, problem);
  }

  // -- chips -------------------------------------------------------------------------------------------------------

  /** Refocus what had the focus before a redraw, by what it is about. */
  function keepFocus(root, redraw) {
    const focused = root.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    redraw();
    if (focused) (root.querySelector(`[data-focus="${CSS.escape(focused)}"]`) || root.querySelector("button"))?.focus();
  }

  function chip({ key, name, detail, title, problem, isInverted, isRedrawn = false, onOpen, onRemove }) {
    const { make, words, icon } = parts();
    const marks = problem
      ? icon("exclamation-triangle")
      : isInverted
        ? make("span", { class: "chip-not", textContent: "not" })
        : null;
    const body = make(
      "button",
      { class: "chip-body", title, "aria-label": title, "data-focus": `${key} body`, onclick: () => onOpen(body) },
      marks,
      words(name, "chip-name"),
      detail === null ? null : make("span", { class: "chip-count numbers", textContent: detail }),
    );
    const remove = make(
      "button",
      {
        class: "chip-remove",
        title: `Remove ${name}`,
        "aria-label": `Remove ${name}`,
        "data-focus": `${key} remove`,
        onclick: onRemove,
      },
      "\u00d7",
    );
    const marked = `${problem ? " has-problem" : ""}${isRedrawn ? " is-redrawn" : ""}`;
    return make("li", { class: `chip${marked}`, "data-chip": key }, body, remove);
  }

  const countText = (count) => (count === null || count === undefined ? "not known" : parts().cellsText(count));

  function areaMenu(anchor, area) {
    const { make } = parts();
    const item = (text, action) =>
      make("button", {
        class: "btn btn-link btn-sm",
        textContent: text,
        onclick: () => {
          close();
          action();
        },
      });
    const rename = nameForm({
      label: `Name of ${fullName(area)}`,
      value: area.name,
      button: "Rename",
      action: { do: "rename_area", id: area.id },
    });
    open(
      anchor,
      fullName(area),
      rename,
      make(
        "div",
        { class: "strip-menu" },
        item(area.inverted ? "Take its inside" : "Invert", () => act({ do: "invert_area", id: area.id })),
        item("Redraw", () => iscan.selection.redraw(area)),
        item("Delete", () => act({ do: "delete_area", id: area.id })),
      ),
      make("p", { class: "muted", textContent: `Drawn on ${area.axes_title}` }),
    );
  }

  const fullName = (area) => `Plot ${area.plot} - ${area.name}`;

  function areaChip(area) {
    return chip({
      key: `area ${area.id}`,
      name: fullName(area),
      detail: area.count === null ? null : parts().number(area.count),
      title: `${area.inverted ? "Not in " : ""}${fullName(area)}: ${area.problem || countText(area.count)}`,
      problem: area.problem,
      isInverted: area.inverted,
      isRedrawn: Boolean(redrawn) && redrawn.id === area.id,
      onOpen: (anchor) => areaMenu(anchor, area),
      onRemove: () => act({ do: "delete_area", id: area.id }),
    });
  }

  function filterChip(filter) {
    return chip({
      key: `filter ${filter.id}`,
      name: filter.text || filter.title,
      detail: filter.count === null ? null : parts().number(filter.count),
      title: `${filter.text || filter.title}: ${filter.problem || countText(filter.count)}`,
      problem: filter.problem,
      isInverted: false,
      onOpen: () => iscan.cellFilter.edit(filter),
      onRemove: () => act({ do: "remove_filter", id: filter.id }),
    });
  }

  /** How the areas of several plots go together, when it is not plain. */
  function queryChip() {
    const { make } = parts();
    const isCustom = state.mode === "custom";
    if (!isCustom && Object.keys(state.plots).length < 2) return null;
    const text = isCustom ? "Custom query" : state.mode === "union" ? "Union of plots" : "Intersection of plots";
    const problem = state.problem ? state.problem.text : "";
    const title = `${text}: ${problem || "open the query builder"}`;
    const body = make(
      "button",
      {
        class: "chip-body",
        title,
        "aria-label": title,
        "data-focus": "query",
        onclick: () => iscan.cellFilter.show("plots"),
      },
      problem ? parts().icon("exclamation-triangle") : null,
      make("span", { class: "chip-name", textContent: text }),
    );
    return make("li", { class: `chip chip-query${problem ? " has-problem" : ""}`, "data-chip": "query" }, body);
  }

  /** That a plot is turned round: its areas have other counts than the selection. */
  function invertedChip([plot, { count }]) {
    return chip({
      key: `plot ${plot}`,
      name: `Plot ${plot}`,
      detail: count === null ? null : parts().number(count),
      title: `Not in the areas of Plot ${plot}: ${countText(count)}`,
      problem: null,
      isInverted: true,
      onOpen: () => iscan.cellFilter.show("plots"),
      onRemove: () => act({ do: "invert_plot", plot: Number(plot) }),
    });
  }

  // -- the strip ---------------------------------------------------------------------------------------------------

  function countLine() {
    const [count, hint] = countOf();
    return redrawn ? [count, `Draw ${fullName(redrawn)} anew, or press Esc`] : [count, hint];
  }

  function countOf() {
    const { number } = parts();
    if (!state.active) return ["No cells selected", "Draw with the lasso (L), or choose in Filter"];
    if (state.count === null) return ["Not finished", state.problem ? state.problem.text : "Finish the query."];
    if (!state.count) return ["No cells match", state.notice || `0 of ${number(state.n_cells)} cells`];
    return [`${number(state.count)} of ${number(state.n_cells)} cells`, state.notice];
  }

  function draw() {
    const { allow } = parts();
    const [count, hint] = countLine();
    if (bits.count.textContent !== count) bits.count.textContent = count;
    bits.count.classList.toggle("is-problem", state.active && state.count === null);
    bits.hint.textContent = bits.hint.title = hint;
    bits.hint.classList.toggle("is-problem", Boolean(state.notice) && hint === state.notice);
    keepFocus(bits.chips, () =>
      bits.chips.replaceChildren(
        ...[
          queryChip(),
          ...Object.entries(state.plots).filter(([, plot]) => plot.inverted).map(invertedChip),
          ...state.areas.map(areaChip),
          ...state.filters.map(filterChip),
        ].filter(Boolean),
      ),
    );
    bits.hint.hidden = !hint;
    const nothing = state.active ? null : "no cells are selected";
    allow(bits.clear, nothing);
    allow(bits.back, state.can_go_back ? null : "there is no earlier selection");
    const unusable = nothing || (state.count === null ? "the query is not finished" : null);
    allow(bits.save, unusable);
    if (bits.label) allow(bits.label, unusable || (state.count ? null : "no cells match"));
  }

  /** Go to where cells are labelled: the selected ones, with the focus where the label is typed. */
  function labelThem() {
    if (window.location.pathname !== iscan.address("/annotate/edit")) iscan.go(iscan.address("/annotate/edit"));
    const until = Date.now() + 8000;
    const look = () => {
      const [target, value, none] = [byId("edit-target"), byId("edit-value"), document.querySelector(".edit-none a")];
      if (value && value.checkVisibility()) {
        // Rows that were ticked before are not what this button means.
        target.value = "selection";
        target.dispatchEvent(new Event("change"));
        value.focus();
      } else if (none && none.checkVisibility()) none.focus();
      else if (Date.now() < until) setTimeout(look, 50);
    };
    look();
  }

  function saveForm() {
    const { make } = parts();
    const names = state.saved.map(({ name }) => name);
    const free = (k) => (names.includes(`Selection ${k}`) ? free(k + 1) : `Selection ${k}`);
    const form = nameForm({
      label: "Name of the selection",
      value: free(names.length + 1),
      button: "Save",
      action: { do: "save" },
    });
    open(bits.save, "Save the selection", make("p", { class: "strip-title", textContent: "Save selection as" }), form);
  }

  /** Copy the selection as text that somebody else, or a later session, can load. */
  async function copy(field) {
    let recipe;
    try {
      recipe = JSON.stringify(await iscan.selection.recipe());
    } catch (error) {
      return error.message;
    }
    try {
      await navigator.clipboard.writeText(recipe);
      return "Copied. It can be pasted and loaded by anyone who has this study.";
    } catch {
      // Browsers give scripts the clipboard only over HTTPS and on the same machine.
      field.value = recipe;
      field.select();
      return "Press Ctrl+C to copy this text.";
    }
  }

  /** Select what somebody copied; returns what is wrong with the text. */
  async function load(text) {
    let recipe;
    try {
      recipe = JSON.parse(text);
    } catch {
      recipe = null;
    }
    if (!recipe || !Array.isArray(recipe.filters) || !Array.isArray(recipe.areas))
      return "This is no selection that was copied here. Copy it again, and paste all of the text.";
    try {
      await act({ do: "load", recipe }, { quiet: true });
      return "";
    } catch (error) {
      return error.message;
    }
  }

  function shareForm() {
    const { make, allow, isAllowed } = parts();
    const said = make("p", { class: "muted", role: "status" });
    const problem = make("p", { class: "field-error", role: "alert" });
    const field = make("textarea", {
      class: "form-control form-control-sm strip-recipe",
      rows: 3,
      placeholder: "Paste a selection that was copied",
      "aria-label": "A selection that was copied",
      spellcheck: false,
    });
    const button = (text, action, style = "btn-outline-primary") =>
      make("button", { class: `btn ${style} btn-sm`, textContent: text, onclick: action });
    const copying = button("Copy this selection", async () => {
      if (!isAllowed(copying)) return;
      problem.textContent = "";
      said.textContent = await copy(field);
    });
    allow(copying, state.active ? null : "no cells are selected");
    const loading = button("Load", async () => {
      said.textContent = "";
      problem.textContent = await load(field.value);
      if (problem.textContent) field.focus();
      else close();
    });
    open(
      bits.share,
      "Copy or load a selection",
      make("p", { class: "strip-title", textContent: "Copy or load a selection" }),
      make("div", { class: "strip-menu" }, copying),
      field,
      make("div", { class: "strip-menu" }, loading),
      said,
      problem,
    );
  }

  function build(root) {
    const { make, iconButton, icon, isAllowed } = parts();
    const when = (button, action) => {
      button.addEventListener("click", () => isAllowed(button) && action());
      return button;
    };
    const named = (id, button) => Object.assign(button, { id });
    bits = {
      count: make("span", { id: "selection-count", class: "selection-count numbers", role: "status" }),
      hint: make("span", { id: "selection-hint", class: "selection-hint muted" }),
      chips: make("ul", { id: "selection-chips", class: "chips", "aria-label": "What the selection is made of" }),
      back: named(
        "selection-back",
        when(iconButton("arrow-counterclockwise", "The selection before this one"), () => act({ do: "back" })),
      ),
      clear: named(
        "selection-clear",
        when(iconButton("x-lg", "Clear the selection"), () => act({ do: "clear", what: "all" })),
      ),
      save: named("selection-save", when(iconButton("bookmark-plus", "Save selection as..."), saveForm)),
      share: named("selection-share", when(iconButton("share", "Copy or load a selection"), shareForm)),
      label: null,
      filter: make(
        "button",
        {
          id: "selection-filter",
          class: "btn btn-outline-primary btn-sm",
          "aria-expanded": "false",
          "aria-controls": "cell-filter",
          title: "Open the Cell Filter",
        },
        icon("funnel"),
        " Filter",
      ),
    };
    bits.filter.addEventListener("click", () => iscan.cellFilter.toggle());
    if (root.dataset.labels === "yes") {
      const label = make("button", {
        id: "selection-label",
        class: "btn btn-outline-primary btn-sm",
        title: "Give the selected cells a label",
        textContent: "Label them",
      });
      bits.label = when(label, labelThem);
    }
    const actions = make(
      "div",
      { class: "selection-actions", role: "toolbar", "aria-label": "Selection" },
      bits.back,
      bits.clear,
      bits.save,
      bits.share,
      ...(bits.label ? [bits.label] : []),
      bits.filter,
    );
    root.replaceChildren(make("div", { class: "selection-numbers" }, bits.count, bits.hint), bits.chips, actions);
    // A wheel turns the chips on where there are more than fit.
    bits.chips.addEventListener(
      "wheel",
      (event) => {
        if (event.deltaX || bits.chips.scrollWidth <= bits.chips.clientWidth) return;
        bits.chips.scrollLeft += event.deltaY;
        event.preventDefault();
      },
      { passive: false },
    );
  }

  document.addEventListener("iscan:redraw", ({ detail }) => {
    redrawn = detail;
    if (state) draw();
  });

  const waiting = new MutationObserver(() => {
    const root = byId("selection-strip");
    if (!root) return;
    waiting.disconnect();
    build(root);
    iscan.cellFilter.build(byId("cell-filter"));
    iscan.selection.onChange((newest) => {
      state = newest;
      draw();
      iscan.cellFilter.follow(newest);
    });
  });
  waiting.observe(document.documentElement, { childList: true, subtree: true });
})();
