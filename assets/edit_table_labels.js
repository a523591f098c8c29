/* The labels of the annotation that is edited: counts, colours, and all that can be done with a label. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const SHOWN = 300; // rows at once; a search finds the others
  const POINTED = 60; // ms that the mouse rests on a row before the plots follow

  const parts = () => iscan.filterParts;
  const byId = (id) => document.getElementById(id);
  const act = (action) => iscan.edit.act(action);
  let bits = null;
  let found = null; // labels that the server found, where not all are known here
  let shownText = "";

  // -- the list --------------------------------------------------------------------------------------------------

  function draw(root) {
    const { make, icon, iconButton, later } = parts();
    const title = make("h2", { id: "edit-labels-title", dir: "auto" });
    const search = make("input", {
      id: "edit-labels-search",
      type: "search",
      class: "form-control form-control-sm",
      placeholder: "Search labels",
      "aria-label": "Search labels",
      autocomplete: "off",
    });
    search.addEventListener("input", later(show, 120));
    const add = make("button", { id: "edit-add", class: "edit-columns", onclick: () => addLabel(add) }, icon("plus-lg"), " Add label");
    const replace = make(
      "button",
      { id: "edit-replace", class: "edit-columns", onclick: () => findAndReplace(replace) },
      icon("input-cursor-text"),
      " Find & replace",
    );
    const why = make("button", { id: "edit-why", class: "edit-columns", title: "Why cells have their label, and other cutoffs", onclick: () => iscan.go(iscan.address(`/annotate/result?open=${iscan.edit.page.current}`)) }, icon("question-circle"), " Why?");
    const warnings = make("div", { class: "edit-twins", role: "status" });
    const list = make("div", { class: "edit-label-list", role: "list", tabIndex: -1 });
    root.replaceChildren(make("div", { class: "edit-labels-head" }, title, search, add, replace, why), warnings, list);
    bits = { root, title, search, add, replace, why, warnings, list };
    shownText = "";

    list.addEventListener("pointerover", (event) => point(event.target.closest(".edit-label")));
    list.addEventListener("pointerleave", () => point(null));
    list.addEventListener("focusin", (event) => point(event.target.closest(".edit-label")));
    list.addEventListener("focusout", () => point(null));
    list.addEventListener("click", clicked);
    list.addEventListener("change", recoloured);
    list.addEventListener("dblclick", (event) => {
      const row = event.target.closest(".edit-label-text") && event.target.closest(".edit-label");
      if (row) rename(labelOf(row), row);
    });
    parts().walk(list, ".edit-label-menu");
  }

  const labelOf = (row) => {
    const id = Number(row.dataset.label);
    const { labels } = iscan.edit.page;
    // While those of another annotation are read, the rows of the one before are still there.
    return labels?.labels.find((label) => label.id === id) || (labels && found && found.labels.find((label) => label.id === id));
  };

  /** The annotation whose labels are listed, at the version that they were read at: an edit of these is made on it. */
  const seen = () => ({ annotation: iscan.edit.page.labels.annotation, version: iscan.edit.page.labels.version });

  const isOwn = () => Boolean(iscan.edit.page.labels && iscan.edit.page.labels.own);

  function row(label, isFiltered) {
    const { make, words, icon, iconButton, number, cellsText } = parts();
    const colour = make("input", {
      type: "color",
      class: "form-control form-control-color colour-input",
      value: label.colour,
      disabled: !isOwn(),
      title: `Colour of ${label.text}`,
      "aria-label": `Colour of ${label.text}`,
    });
    const notes = [label.description, label.ontology, marks(label)].filter(Boolean).join("\n");
    const filter = iconButton(isFiltered ? "funnel-fill" : "funnel", `Show only the rows of ${label.text}`, null, "edit-label-filter");
    filter.setAttribute("aria-pressed", String(isFiltered));
    return make(
      "div",
      { class: "edit-label", role: "listitem", "data-label": label.id },
      colour,
      make(
        "span",
        { class: "edit-label-text", title: notes ? `${label.text}\n${notes}` : label.text },
        words(label.text),
        label.id === 0 ? make("small", { class: "muted", textContent: " default" }) : null,
        label.ontology ? make("small", { class: "muted", textContent: ` ${label.ontology}` }) : null,
        notes ? icon("card-text") : null,
      ),
      make("span", { class: "number edit-label-count", textContent: number(label.count), title: cellsText(label.count) }),
      filter,
      isOwn() ? iconButton("three-dots", `What to do with ${label.text}`, null, "edit-label-menu") : null,
    );
  }

  /** Marker genes as biologists write them. */
  const marks = (label) => [...label.markers.map((gene) => `${gene}+`), ...label.absent_markers.map((gene) => `${gene}-`)].join(" ");

  let asking = 0;
  async function show() {
    const { page, view } = iscan.edit;
    const { make, words, number } = parts();
    const { labels } = page;
    const one = iscan.edit.annotation(page.current);
    bits.root.hidden = !one;
    if (!one || !labels) return;
    const typed = bits.search.value.trim();
    const mine = ++asking;
    let rows = iscan.editParts.ranked(labels.labels, typed);
    found = null;
    if (typed && labels.labels.length < labels.n_labels) {
      const answer = await iscan.edit.ask(`edit/labels?${new URLSearchParams({ annotation: page.current, q: typed })}`).catch(() => null);
      if (mine !== asking) return;
      if (answer) {
        found = answer;
        rows = answer.labels;
      }
    }
    const key = `annotation:${page.current}`;
    const condition = view.where[key] || {};
    const filtered = new Set(condition.not ? [] : condition.values || []);
    const text = JSON.stringify([rows, [...filtered], one.name, labels.n_labels, typed, labels.twins]);
    if (text === shownText) return;
    shownText = text;
    bits.why.hidden = !one.predicted;
    bits.title.textContent = `Labels of ${one.name}`;
    bits.title.title = `${one.name}: ${number(labels.n_labels)} labels`;
    bits.search.hidden = labels.n_labels < 8;
    const focused = bits.list.contains(document.activeElement) ? document.activeElement : null;
    const focusedLabel = focused && focused.closest(".edit-label").dataset.label;
    const focusedClass = focused && [...focused.classList].find((name) => name.startsWith("edit-label-") || name === "colour-input");
    bits.list.replaceChildren(...rows.slice(0, SHOWN).map((label) => row(label, filtered.has(label.text))));
    const more = (typed ? rows.length : labels.n_labels) - SHOWN;
    if (more > 0) bits.list.append(make("p", { class: "muted", textContent: `and ${number(more)} more; search to find them` }));
    if (!rows.length) bits.list.append(make("p", { class: "muted", textContent: "No label matches" }));
    if (focusedLabel) bits.list.querySelector(`[data-label="${focusedLabel}"] .${focusedClass}`)?.focus({ preventScroll: true });
    const byLabel = new Map(labels.labels.map((label) => [label.id, label]));
    const twins = labels.twins.filter((group) => group.every((id) => byLabel.has(id))).slice(0, 3);
    bits.warnings.replaceChildren(
      ...twins.map((group) => {
        const [first, ...others] = group.map((id) => byLabel.get(id));
        const said = make("span", {}, words(`"${first.text}" and "${others[0].text}" differ only in case.`));
        const merge = make("button", {
          class: "btn btn-link btn-sm",
          textContent: "Merge",
          onclick: (event) => mergeInto(event.target, others[0], first),
        });
        return make("p", { class: "edit-twin" }, said, isOwn() ? merge : null);
      }),
    );
  }

  // -- pointing: the plots that this annotation colours bring the label out ----------------------------------------

  let pointed = null;
  let pointTimer = null;

  function point(element) {
    const text = element ? labelOf(element)?.text : null;
    if (text === pointed) return;
    pointed = text;
    clearTimeout(pointTimer);
    pointTimer = setTimeout(() => highlight(pointed), POINTED);
  }

  /** Bring a label out on the plots that this annotation colours; null lets all be alike. */
  function highlight(text) {
    for (const [id, spec] of specs()) {
      const by = spec.codes && new URL(spec.codes, window.location.origin).searchParams.get("by");
      if (by !== `annotation:${iscan.edit.page.current}`) continue;
      const entry = text === null ? null : spec.legend.find(({ label }) => label === text);
      iscan.scatter.highlight(id, entry ? [entry.code] : null);
    }
  }

  /** What the plots of the page show, by their ids. */
  function specs() {
    const made = [1, 2, 3, 4].filter((number) => byId(`plot-${number}-frame`));
    return made.flatMap((number) => {
      const { data } = window.dash_component_api.getLayout(number === 1 ? "plot-spec" : `plot-${number}-spec`).props;
      return data ? [[`plot-${number}`, data]] : [];
    });
  }

  // -- what is done with a label -----------------------------------------------------------------------------------

  function clicked(event) {
    const element = event.target.closest(".edit-label");
    if (!element) return;
    const label = labelOf(element);
    if (!label) return;
    if (event.target.closest(".edit-label-filter")) toggleFilter(label);
    const button = event.target.closest(".edit-label-menu");
    if (button) menu(button, label, element);
  }

  function recoloured(event) {
    const element = event.target.closest(".edit-label");
    const label = labelOf(element);
    if (label && event.target.matches("input[type=color]")) act({ do: "recolour", label: label.id, colour: event.target.value });
  }

  /** Show only the rows of a label, or of all again. */
  function toggleFilter({ text }) {
    const { page, view, filter } = iscan.edit;
    const key = `annotation:${page.current}`;
    const values = (view.where[key] && !view.where[key].not && view.where[key].values) || [];
    const kept = values.includes(text) ? values.filter((other) => other !== text) : [...values, text];
    filter(key, kept.length ? { is: "labels", values: kept, missing: false } : null);
  }

  function menu(anchor, label, element) {
    const { make, icon } = parts();
    iscan.editParts.popup(anchor, label.text, (close) => {
      const item = (name, text, onclick, reason) =>
        make(
          "button",
          { class: "edit-pick edit-menu-item", disabled: Boolean(reason), title: reason || "", onclick: () => (close(), onclick()) },
          icon(name),
          ` ${text}`,
        );
      const isDefault = label.id === 0;
      const stays = isDefault ? "The default label can be renamed, but not taken away" : "";
      const list = make(
        "div",
        { class: "edit-picks" },
        item("pencil", "Rename", () => rename(label, element)),
        item("sign-merge-right", "Merge into...", () => mergeInto(anchor, label, null), stays),
        item("signpost-split", "Split by column...", () => splitBy(anchor, label), label.count ? "" : "It has no cells"),
        item("card-text", "Describe...", () => describe(anchor, label)),
        item("trash", "Delete", () => act({ do: "delete", label: label.id }), stays),
      );
      parts().walk(list, ".edit-menu-item");
      setTimeout(() => list.querySelector("button").focus());
      return [list];
    });
  }

  /** Let the label be typed anew in its row. */
  function rename(label, element) {
    if (!isOwn() || !element.isConnected) return;
    const { make } = parts();
    const place = element.querySelector(".edit-label-text");
    const input = make("input", { type: "text", class: "form-control form-control-sm edit-rename", value: label.text, maxLength: 400, "aria-label": `New text of ${label.text}`, dir: "auto" });
    const at = seen();
    let isOver = false;
    const end = async (keeps) => {
      if (isOver) return;
      isOver = true;
      input.replaceWith(place);
      if (!keeps || input.value === label.text) return;
      place.textContent = input.value;
      const answer = await act({ do: "rename", label: label.id, text: input.value, ...at });
      if (answer.is_done) return;
      shownText = "";
      await show();
      const again = bits.list.querySelector(`[data-label="${label.id}"] .edit-label-text`);
      if (answer.question) askMerge(again || bits.title, label, { id: answer.question.label, ...answer.question });
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") end(true);
      else if (event.key === "Escape") end(false);
    });
    input.addEventListener("blur", () => end(true));
    place.replaceWith(input);
    input.select();
  }

  /** Ask before two labels become one. */
  function askMerge(anchor, label, into) {
    const { make, number } = parts();
    const at = seen();
    iscan.editParts.popup(anchor, "Merge labels", (close) => [
      make("p", { dir: "auto", textContent: `"${into.text}" exists: merge ${number(label.count)} + ${number(into.count)} cells?` }),
      buttons(close, "Merge", () => act({ do: "merge", sources: [label.id], into: into.id, ...at })),
    ]);
  }

  function buttons(close, name, action, problem) {
    const { make } = parts();
    const yes = make("button", { class: "btn btn-primary btn-sm edit-yes", textContent: name });
    yes.addEventListener("click", async () => {
      if (yes.getAttribute("aria-disabled") === "true") return;
      const answer = await action();
      if (!answer || answer.is_done) close();
    });
    return make("div", { class: "edit-popup-end" }, problem || null, make("button", { class: "btn btn-link btn-sm", textContent: "Cancel", onclick: close }), yes);
  }

  /** Merge a label into another one, which is chosen unless it is known. */
  function mergeInto(anchor, label, into) {
    if (into) return askMerge(anchor, label, into);
    const { make, number, cellsText } = parts();
    const { labelsLike } = iscan.edit;
    const at = seen();
    return iscan.editParts.popup(anchor, `Merge "${label.text}" into`, (close) => {
      const input = make("input", { id: "edit-merge", type: "text", class: "form-control form-control-sm", placeholder: "Choose a label", "aria-label": "Label to merge into", dir: "auto" });
      const said = make("p", { class: "muted edit-said", role: "status", textContent: `${cellsText(label.count)} of "${label.text}" will get the other label.` });
      let target = null;
      const end = buttons(close, "Merge", () => act({ do: "merge", sources: [label.id], into: target.id, ...at }));
      const yes = end.querySelector(".edit-yes");
      const follow = async () => {
        const mine = input.value;
        const all = await labelsLike(at.annotation, mine);
        if (mine !== input.value) return;
        target = all.find(({ text, id }) => text === mine.trim() && id !== label.id) || null;
        yes.disabled = !target;
        said.textContent = target
          ? `Merge ${number(label.count)} + ${number(target.count)} cells into "${target.text}"?`
          : `${cellsText(label.count)} of "${label.text}" will get the other label.`;
      };
      yes.disabled = true;
      input.addEventListener("input", follow);
      input.addEventListener("keydown", (event) => event.key === "Enter" && yes.click());
      iscan.editParts.labelBox(input, {
        labels: async (typed) => (await labelsLike(at.annotation, typed)).filter(({ id }) => id !== label.id),
        newText: () => "No label of this text",
      });
      return [input, said, end];
    });
  }

  /** Split a label by the values of another column. */
  function splitBy(anchor, label) {
    const { make, number, later, problemText } = parts();
    const { page, offered, ask } = iscan.edit;
    iscan.editParts.popup(anchor, `Split "${label.text}"`, (close) => {
      const groups = ["cluster", "metadata", "annotation"].flatMap((group) =>
        offered(group).filter(({ key, kind }) => kind === "category" && key !== `annotation:${page.current}`),
      );
      const column = make("select", { id: "edit-split-column", class: "form-select form-select-sm", "aria-label": "Column to split by" }, ...groups.map(({ key, title }) => make("option", { value: key, textContent: title })));
      const sample = make("option", { value: "sample:", textContent: "Sample" });
      column.append(sample);
      const delimiter = make("input", { type: "text", class: "form-control form-control-sm edit-delimiter", value: "_", maxLength: 8, "aria-label": "Delimiter" });
      const preview = make("div", { class: "edit-preview", role: "status" });
      const own = page.current;
      let version = null; // that of the preview
      const end = buttons(close, "Split", () =>
        act({ do: "split", label: label.id, column: column.value, delimiter: delimiter.value, annotation: own, version }),
      );
      const yes = end.querySelector(".edit-yes");
      let asked = 0;
      const follow = async () => {
        const mine = ++asked;
        yes.disabled = true;
        try {
          const answer = await ask("edit/split", { annotation: own, label: label.id, column: column.value, delimiter: delimiter.value });
          if (mine !== asked) return;
          version = answer.version;
          const rest = answer.missing ? [[label.text, answer.missing]] : [];
          const merged = answer.merged
            ? make("p", { class: "edit-merged", textContent: `${number(answer.merged)} of these labels ${answer.merged === 1 ? "exists" : "exist"} already and will have these cells besides.` })
            : "";
          preview.replaceChildren(merged, table(["Label", "Cells"], [...answer.labels, ...rest], answer.n_labels - answer.labels.length));
          yes.disabled = !answer.n_labels;
          if (!answer.n_labels) preview.replaceChildren(make("p", { class: "muted", textContent: "No cell of this label has a value there." }));
        } catch (error) {
          if (mine === asked) preview.replaceChildren(problemText(error.message));
        }
      };
      column.addEventListener("change", follow);
      const soon = later(follow, 120);
      delimiter.addEventListener("input", () => ((yes.disabled = true), soon()));
      follow();
      return [make("div", { class: "row-of-2" }, column, delimiter), preview, end];
    });
  }

  function table(titles, rows, more) {
    const { make, words, number } = parts();
    const cell = (value) => (typeof value === "number" ? make("td", { class: "number", textContent: number(value) }) : make("td", {}, words(value)));
    const body = make("tbody", {}, ...rows.map((values) => make("tr", {}, ...values.map(cell))));
    if (more > 0) body.append(make("tr", {}, make("td", { class: "muted", colSpan: titles.length, textContent: `and ${number(more)} more` })));
    const head = make("thead", {}, make("tr", {}, ...titles.map((title, k) => make("th", { class: k === titles.length - 1 ? "number" : "", textContent: title }))));
    return make("table", { class: "plain-table" }, head, body);
  }

  // -- labels as a whole -------------------------------------------------------------------------------------------

  function addLabel(anchor) {
    const { make } = parts();
    iscan.editParts.popup(anchor, "Add label", (close) => {
      const input = make("input", { id: "edit-new-label", type: "text", class: "form-control form-control-sm", placeholder: "Text of the label", "aria-label": "Text of the label", maxLength: 400, dir: "auto" });
      const end = buttons(close, "Add", () => act({ do: "add", text: input.value }));
      input.addEventListener("keydown", (event) => event.key === "Enter" && end.querySelector(".edit-yes").click());
      return [input, end];
    });
  }

  /** Find and replace in all labels, with what would come of it. */
  function findAndReplace(anchor) {
    const { make, later, problemText, number } = parts();
    const { page, ask } = iscan.edit;
    iscan.editParts.popup(anchor, "Find & replace in labels", (close) => {
      const field = (id, text) => make("input", { id, type: "text", class: "form-control form-control-sm", placeholder: text, "aria-label": text, maxLength: 500, autocomplete: "off", spellcheck: false, dir: "auto" });
      const [find, substitute] = [field("edit-find", "Find"), field("edit-substitute", "Replace with")];
      const box = (id, text) => {
        const input = make("input", { id, type: "checkbox", class: "form-check-input" });
        return [input, make("label", { class: "form-check-label edit-switch" }, input, ` ${text}`)];
      };
      const [pattern, patternLabel] = box("edit-pattern", "Regular expression");
      const [ignore, ignoreLabel] = box("edit-ignore-case", "Ignore case");
      const preview = make("div", { class: "edit-preview", role: "status" });
      const own = page.current;
      let version = null; // that of the preview
      const asked = () => ({ annotation: own, find: find.value, substitute: substitute.value, is_pattern: pattern.checked, ignore_case: ignore.checked });
      const end = buttons(close, "Replace", () => act({ do: "replace", ...asked(), version }));
      const yes = end.querySelector(".edit-yes");
      yes.disabled = true;
      let serial = 0;
      const follow = async () => {
        const mine = ++serial;
        yes.disabled = true;
        if (!find.value) return preview.replaceChildren();
        try {
          const answer = await ask("edit/replace", asked());
          if (mine !== serial) return;
          version = answer.version;
          yes.disabled = !answer.n_labels;
          yes.textContent = answer.n_labels ? `Replace in ${number(answer.n_labels)} ${answer.n_labels === 1 ? "label" : "labels"}` : "Replace";
          const merged = answer.merged ? make("p", { class: "edit-merged", textContent: `${number(answer.merged)} ${answer.merged === 1 ? "label becomes" : "labels become"} the same as another one and will be merged.` }) : "";
          preview.replaceChildren(
            ...(answer.n_labels ? [merged, table(["Now", "Then", "Cells"], answer.changes, answer.n_labels - answer.changes.length)] : [make("p", { class: "muted", textContent: "No label contains it." })]),
          );
        } catch (error) {
          if (mine === serial) preview.replaceChildren(problemText(error.message));
        }
      };
      const soon = later(follow, 200);
      for (const input of [find, substitute]) {
        input.addEventListener("input", () => ((yes.disabled = true), soon()));
        input.addEventListener("keydown", (event) => event.key === "Enter" && !yes.disabled && yes.click());
      }
      for (const input of [pattern, ignore]) input.addEventListener("change", follow);
      return [make("div", { class: "row-of-2" }, find, substitute), make("div", { class: "edit-switches" }, patternLabel, ignoreLabel), preview, end];
    });
  }

  /** Description, ontology term and marker genes of a label. */
  function describe(anchor, label) {
    const { make } = parts();
    iscan.editParts.popup(anchor, `Describe "${label.text}"`, (close) => {
      const field = (text, control, help) => make("label", { class: "field" }, text, control, help ? make("small", { class: "muted", textContent: help }) : null);
      const line = (id, value, placeholder) => make("input", { id, type: "text", class: "form-control form-control-sm", value, placeholder, autocomplete: "off", spellcheck: false });
      const description = make("textarea", { id: "edit-description", class: "form-control form-control-sm", rows: 3, value: label.description, maxLength: 2000, dir: "auto", autofocus: true });
      const ontology = line("edit-ontology", label.ontology, "CL:0000084");
      const markers = line("edit-markers", label.markers.join(", "), "CD3D, CD3E");
      const absent = line("edit-absent-markers", label.absent_markers.join(", "), "MS4A1");
      const at = seen();
      const genes = (input) => input.value.split(/[,;\s]+/).filter(Boolean);
      const end = buttons(close, "Save", () =>
        act({
          do: "detail",
          label: label.id,
          description: description.value,
          ontology: ontology.value,
          markers: genes(markers),
          absent_markers: genes(absent),
          ...at,
        }),
      );
      return [
        field("Description", description),
        field("Ontology term", ontology),
        field("Markers", markers, "Genes that its cells express, with commas between"),
        field("Absent markers", absent, "Genes that they do not express"),
        end,
      ];
    });
  }

  iscan.edit.onChange(() => {
    const root = byId("edit-labels");
    if (!root.childElementCount) draw(root);
    show();
  });
})();
