/* Review, drawn: what is reviewed, the group that is looked at, and the list of all groups. Fields stay as they are drawn
 * first, so that nobody loses what is being typed; texts are only ever set as text. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const MORE = 200; // groups listed at once
  const ICONS = { open: "circle", accepted: "check-circle-fill", relabelled: "tag-fill", skipped: "skip-forward" };

  const make = (...values) => iscan.filterParts.make(...values);
  const words = (...values) => iscan.filterParts.words(...values);
  const icon = (name) => iscan.filterParts.icon(name);
  const number = (value) => iscan.filterParts.number(value);
  const cellsText = (count) => iscan.filterParts.cellsText(count);
  const percent = (count, of) => iscan.checkParts.percent(count, of);
  const three = (value) => value.toPrecision(3);

  let bits = null; // elements that are drawn
  let shown = MORE;

  // -- the frame ---------------------------------------------------------------------------------------------------

  /** Draw the page, empty. */
  function draw(root, page) {
    shown = MORE;
    const select = (id, onchange) => make("select", { id, class: "form-select form-select-sm", onchange });
    const field = (id, title, control) => make("div", { class: "field" }, make("label", { for: id, textContent: title }), control);
    bits = {
      annotation: select("review-annotation", () => iscan.review.review({ annotation: bits.annotation.value })),
      by: select("review-by", () => iscan.review.review({ by: bits.by.value })),
      withLabels: make("input", { id: "review-with-labels", type: "checkbox", class: "form-check-input", onchange: () => iscan.review.review({ with_labels: bits.withLabels.checked }) }),
      openOnly: make("input", { id: "review-open-only", type: "checkbox", class: "form-check-input", onchange: () => iscan.review.listOpenOnly(bits.openOnly.checked) }),
      progress: make("progress", { class: "review-progress", "aria-label": "Groups reviewed" }),
      text: make("span", { id: "review-text", class: "numbers", role: "status" }),
      said: make("span", { class: "visually-hidden", role: "status" }),
      problem: make("p", { id: "review-problem", class: "field-error", role: "alert", hidden: true }),
      none: make("div", { class: "empty-state", hidden: true }),
      colour: iscan.filterParts.iconButton("palette", "Colour the plot by this annotation", () => iscan.colourBy(`annotation:${page.form.annotation}`)),
    };
    const tick = (input, text, title) => make("label", { class: "form-check-label edit-switch", title }, input, ` ${text}`);
    bits.head = make(
      "div",
      { class: "review-head" },
      field("review-annotation", "Annotation", bits.annotation),
      field("review-by", "Groups of", bits.by),
      tick(bits.withLabels, "by label, too", "Review the cells of each predicted label within a group apart"),
      bits.colour,
    );
    bits.body = make("div", { class: "review-body" }, drawItem(), drawList(tick));
    root.replaceChildren(bits.head, bits.problem, bits.none, bits.body, bits.said);
    show(root, page, true);
  }

  function drawItem() {
    const button = (id, key, text, onclick, title) =>
      make("button", { id: `review-${id}`, class: `btn btn-sm ${id === "accept" ? "btn-primary" : "btn-outline-secondary"}`, title, onclick }, text, make("kbd", { textContent: key }));
    const { act, reopen } = { act: (what) => iscan.review.act(what), reopen: () => iscan.review.reopen() };
    Object.assign(bits, {
      title: make("h2", { id: "review-title" }),
      facts: make("span", { id: "review-facts", class: "muted numbers" }),
      state: make("span", { id: "review-state", class: "review-state" }),
      accept: button("accept", "A", "Accept", () => act("accept"), "Its labels are right: on to the next group"),
      skip: button("skip", "K", "Skip", () => act("skip"), "Put it off: on to the next group"),
      split: button("split", "S", "Split...", split, "Review its parts instead, by the values of a column"),
      reopen: button("reopen", "U", "Reopen", reopen, "Look at it again: take back what was noted of it"),
      unite: make("button", { id: "review-unite", class: "btn btn-sm btn-link", textContent: "Take the split back", hidden: true, onclick: () => act("unite") }),
      label: make("input", { id: "review-label", type: "text", class: "form-control form-control-sm", placeholder: "A label, old or new", "aria-label": "New label of this group", maxLength: 400, dir: "auto" }),
      relabel: make("button", { id: "review-relabel", class: "btn btn-sm btn-outline-secondary numbers", onclick: give }, "Relabel", make("kbd", { textContent: "R" })),
      bar: make("div", { class: "check-bar", role: "img" }),
      parts: make("ul", { class: "check-list", tabIndex: 0, "aria-label": "Labels that these cells have now" }),
      why: make("p", { id: "review-why", class: "review-why" }),
      scores: make("ul", { class: "check-list review-scores", tabIndex: 0, "aria-label": "Scores of the best labels" }),
    });
    iscan.editParts.labelBox(bits.label, { labels: offer, newText: () => `"${bits.label.value.trim()}" will be a new label` });
    bits.label.addEventListener("input", () => allowRelabel());
    bits.label.addEventListener("keydown", (event) => {
      if (event.key === "Enter") give();
      else if (event.key === "Escape") bits.label.blur();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    const column = (title, ...rest) => make("div", { class: "check-composition" }, make("h3", { textContent: title }), ...rest);
    bits.item = make(
      "section",
      { class: "review-item", "aria-label": "The group that is looked at" },
      make("div", { class: "review-line" }, bits.title, bits.state, bits.facts),
      make("div", { class: "review-line review-actions" }, bits.accept, bits.split, bits.skip, bits.reopen, bits.unite, make("span", { class: "review-give" }, bits.label, bits.relabel)),
      make("div", { class: "review-sides" }, column("Labels now", bits.bar, bits.parts), column("Why", bits.why, bits.scores)),
    );
    bits.done = make("p", { id: "review-done", class: "review-done", hidden: true });
    return make("div", { class: "review-top" }, bits.item, bits.done);
  }

  const COLUMNS = [
    ["", "State"],
    ["Group"],
    ["Predicted", "The label that most of its cells were predicted to have"],
    ["Cells", null, "number"],
    ["Doubt", "Mean doubt of its cells: 100 % for those that were pruned, or have another label than most of their group; less for those undecided between labels", "number"],
    ["In doubt", "Doubt x cells: the list goes by this", "number"],
  ];

  function drawList(tick) {
    const head = COLUMNS.map(([text, title, name]) => make("th", { scope: "col", class: name || "", title, textContent: text, "aria-label": text ? null : title }));
    bits.rows = make("tbody");
    bits.rows.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row) iscan.review.choose(row.dataset.item);
    });
    bits.empty = make("p", { class: "muted review-empty", textContent: "No group is open.", hidden: true });
    bits.more = make("button", { class: "btn btn-link btn-sm log-more", textContent: "Show more", hidden: true, onclick: () => ((shown += MORE), fillList()) });
    bits.box = make("div", { class: "review-box", tabIndex: 0, role: "region", "aria-label": "Groups, most cells in doubt first" }, make("table", { class: "plain-table review-list" }, make("thead", {}, make("tr", {}, ...head)), bits.rows), bits.empty, bits.more);
    return make("section", { class: "review-queue", "aria-label": "Queue" }, make("div", { class: "review-line" }, bits.text, bits.progress, make("span", { class: "space" }), make("span", { class: "muted review-keys", textContent: "J next \u00b7 [ ] and arrows through the list" }), tick(bits.openOnly, "Only open", "List the groups that are still to be reviewed")), bits.box);
  }

  // -- what is shown -----------------------------------------------------------------------------------------------

  /**
   * Show the page as it is now.
   * @param {HTMLElement} root
   * @param {Object} page     see review.js
   * @param {boolean} isOther whether another group is looked at than before
   */
  function show(root, page, isOther) {
    if (!bits || !root.contains(bits.head)) return;
    const { queue, failure } = page;
    const problem = failure || (queue && queue.problem) || "";
    const isNone = Boolean(queue) && !queue.annotation && !problem;
    bits.problem.hidden = !problem;
    bits.problem.textContent = problem;
    bits.head.hidden = isNone;
    bits.body.hidden = !queue || isNone || !queue.items.length;
    bits.none.hidden = !isNone && Boolean(queue || failure);
    if (!bits.none.hidden) fillNone(queue);
    if (!queue) return;
    fillHead(page);
    if (bits.body.hidden) return;
    bits.said.textContent = page.said;
    fillItem(page, isOther);
    fillList(isOther);
  }

  function fillNone(queue) {
    const text = queue ? "No prediction of yours to review yet." : "Reading the prediction...";
    if (bits.none.firstChild && bits.none.firstChild.textContent === text) return;
    const go = make("a", {
      class: "btn btn-primary btn-sm",
      href: iscan.address("/annotate"),
      textContent: "Predict cell types",
      onclick: (event) => {
        event.preventDefault();
        iscan.go(iscan.address("/annotate"));
      },
    });
    bits.none.replaceChildren(make("p", { textContent: text }), ...(queue ? [go] : []));
  }

  function fillHead({ queue, form, openOnly }) {
    const known = queue.predictions.some(({ id }) => id === form.annotation) || !queue.annotation;
    const named = known ? queue.predictions : [queue.annotation, ...queue.predictions];
    const all = queue.annotation ? named : [{ id: form.annotation, name: "Choose a prediction" }, ...named];
    for (const control of [bits.by, bits.withLabels, bits.colour]) control.disabled = !queue.annotation;
    options(bits.annotation, all.map(({ id, name }) => make("option", { value: id, textContent: name })), JSON.stringify(all.map(({ id, name }) => [id, name])), form.annotation);
    const groups = new Map();
    for (const { value, name, group } of queue.columns) {
      if (!groups.has(group)) groups.set(group, make("optgroup", { label: group }));
      groups.get(group).append(make("option", { value, textContent: name }));
    }
    options(bits.by, [...groups.values()], JSON.stringify(queue.columns), form.by);
    bits.withLabels.checked = form.with_labels;
    bits.openOnly.checked = openOnly;
    const { n_reviewed, n_skipped, items } = queue;
    bits.text.textContent = `${number(n_reviewed)} of ${number(items.length)} reviewed${n_skipped ? `, ${number(n_skipped)} skipped` : ""}`;
    bits.progress.max = items.length || 1;
    bits.progress.value = n_reviewed;
  }

  function options(select, elements, text, value) {
    if (select.dataset.options !== text) {
      select.dataset.options = text;
      select.replaceChildren(...elements);
    }
    select.value = value;
  }

  function fillItem({ queue, details, isBusy }, isOther) {
    const item = iscan.review.item();
    bits.item.hidden = !item;
    bits.done.hidden = Boolean(item);
    if (!item) {
      const skipped = queue.n_skipped ? `, ${number(queue.n_skipped)} skipped` : "";
      bits.done.textContent = `Every group was looked at: ${number(queue.n_reviewed)} reviewed${skipped}. Choose one to look at it again.`;
      return;
    }
    bits.title.replaceChildren(words(item.title));
    bits.facts.textContent = `${cellsText(item.n)} \u00b7 doubt ${percent(Math.round(item.uncertainty * 1e6), 1e6)}`;
    bits.state.hidden = item.state === "open";
    bits.state.className = `review-state is-${item.state}`;
    bits.state.replaceChildren(icon(ICONS[item.state]), item.state === "relabelled" ? ` ${item.text}` : ` ${item.state}`);
    for (const name of ["accept", "skip", "split"]) bits[name].disabled = isBusy;
    bits.reopen.disabled = isBusy || item.state === "open";
    bits.unite.hidden = !item.is_part;
    if (isOther) bits.label.value = "";
    allowRelabel(isBusy);
    bits.item.classList.toggle("is-busy", !details);
    if (details) fillDetails(item, details);
  }

  function allowRelabel(isBusy = iscan.review.page.isBusy) {
    const item = iscan.review.item();
    bits.relabel.firstChild.textContent = item ? `Relabel ${cellsText(item.n)}` : "Relabel";
    bits.relabel.disabled = isBusy || !bits.label.value.trim();
    bits.relabel.title = bits.label.value.trim() ? "" : "Type a label first";
  }

  function fillDetails(item, { n, composition, why }) {
    const { rowsOf, stripeOf, partOf } = iscan.checkParts;
    const rows = rowsOf(composition);
    bits.bar.replaceChildren(...rows.map((row) => stripeOf(row, n)));
    bits.bar.setAttribute("aria-label", rows.map(({ label, count }) => `${label}: ${percent(count, n)}`).join(", "));
    bits.parts.replaceChildren(...rows.map((row) => partOf(row, n)));
    bits.why.replaceChildren(...whyText(why));
    const most = Math.max(...(why ? why.scores.map(({ score }) => score) : []), 1e-9);
    bits.scores.replaceChildren(...(why ? why.scores.map((score) => scoreOf(score, most, why)) : []));
  }

  function whyText(why) {
    if (!why) return ["None of these cells has scores."];
    const quoted = (text) => make("strong", {}, words(text));
    const facts = [
      why.n_pruned ? `${number(why.n_pruned)} pruned` : "",
      why.n_without ? `${number(why.n_without)} without a marker gene` : "",
    ].filter(Boolean);
    return [
      quoted(why.label),
      why.n_label === why.n_cells ? ` in all ${cellsText(why.n_cells)}` : ` in ${number(why.n_label)} of ${cellsText(why.n_cells)}`,
      ...(why.runner_up ? [", runner-up ", quoted(why.runner_up)] : []),
      facts.length ? `; ${facts.join(", ")}.` : ".",
    ];
  }

  function scoreOf({ label, score, n }, most, why) {
    const filled = make("span");
    filled.style.width = `${(100 * Math.max(score, 0)) / most}%`;
    const kind = label === why.label ? " is-own" : "";
    return make(
      "li",
      { class: `review-score${kind}`, title: `${label}: mean score ${three(score)}; ${cellsText(n)} predicted to be this` },
      words(label, "check-name"),
      make("span", { class: `check-share${kind ? "" : " is-rest"}` }, filled),
      make("span", { class: "number", textContent: three(score) }),
      make("span", { class: "number muted", textContent: number(n) }),
    );
  }

  function fillList(isOther = false) {
    const { page, listed } = iscan.review;
    const all = listed();
    const at = all.findIndex(({ id }) => id === page.current);
    if (at >= shown) shown = at + 1;
    const focused = bits.rows.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.item : null;
    bits.rows.replaceChildren(...all.slice(0, shown).map((item) => rowOf(item, item.id === page.current)));
    bits.more.hidden = all.length <= shown;
    bits.empty.hidden = all.length > 0;
    const row = bits.rows.querySelector(".is-current");
    if (focused !== null) (row || bits.rows.firstChild)?.querySelector("button").focus({ preventScroll: true });
    if (row && isOther) bringIntoView(row);
  }

  /** Scrolls the list alone: the page stays put, where it is narrow and as a whole would move the plots away. */
  function bringIntoView(row) {
    const { box } = bits;
    const head = box.querySelector("thead").offsetHeight;
    const least = row.offsetTop + row.offsetHeight - box.clientHeight;
    box.scrollTop = Math.max(Math.min(box.scrollTop, row.offsetTop - head), least);
  }

  function rowOf({ id, title, state, text, n, uncertainty, in_doubt, label, n_label }, isCurrent) {
    const mark = icon(ICONS[state]);
    const filled = make("span");
    filled.style.width = `${100 * uncertainty}%`;
    const given = state === "relabelled" ? make("span", { class: "review-given" }, "\u2192 ", words(text)) : null;
    const share = label && n_label < n ? make("span", { class: "muted", textContent: ` ${percent(n_label, n)}` }) : null;
    const row = make(
      "tr",
      { class: `is-${state}${isCurrent ? " is-current" : ""}`, "data-item": id, "aria-current": isCurrent ? "true" : null },
      make("td", { class: "review-mark", title: state }, mark, make("span", { class: "visually-hidden", textContent: state })),
      make("td", { class: "review-group" }, make("button", { class: "review-open" }, words(title))),
      make("td", { class: "review-predicted" }, words(label || "none"), share, given),
      make("td", { class: "number", textContent: number(n) }),
      make("td", { class: "number review-doubt" }, make("span", { class: "check-share" }, filled), make("span", { class: "number", textContent: percent(Math.round(uncertainty * 1e6), 1e6) })),
      make("td", { class: "number", textContent: in_doubt < 10 ? in_doubt.toFixed(1) : number(Math.round(in_doubt)) }),
    );
    return row;
  }

  // -- acting ------------------------------------------------------------------------------------------------------

  /** What the field offers: the labels of the annotation, then those of the reference that it does not have. */
  async function offer(typed) {
    const { form, queue } = iscan.review.page;
    const wanted = typed.trim();
    let known = [];
    try {
      ({ labels: known } = await iscan.jobs.request(`edit/labels?${new URLSearchParams({ annotation: form.annotation, q: wanted })}`));
    } catch {
      // Then those of the reference.
    }
    const texts = new Set(known.map(({ text }) => text));
    const others = queue.labels.filter((text) => !texts.has(text)).map((text) => ({ text, colour: "transparent", count: 0, hint: "reference" }));
    return [...iscan.editParts.ranked(known, wanted), ...iscan.editParts.ranked(others, wanted)];
  }

  /** Go to the field for a label. */
  function relabel() {
    if (iscan.review.item()) bits.label.select();
  }

  /** Give the group the label that was typed. */
  async function give() {
    const text = bits.label.value.trim();
    if (!text || iscan.review.page.isBusy) return;
    const hadFocus = [bits.label, bits.relabel].includes(document.activeElement);
    // The keys go on with the next group.
    if ((await iscan.review.act("relabel", { text })) && hadFocus) document.activeElement.blur();
  }

  /** Ask by which column the group is split. */
  function split() {
    const item = iscan.review.item();
    if (!item) return;
    const { columns, by } = iscan.review.page.queue;
    iscan.editParts.popup(bits.split, `Split ${item.title}`, (close) => {
      const picker = make("select", { id: "review-split-by", class: "form-select form-select-sm", "aria-label": "Column to split by" }, make("option", { value: "", textContent: "Predicted label" }));
      picker.append(...columns.filter(({ value }) => value !== by).map(({ value, name, group }) => make("option", { value, textContent: `${name} (${group.toLowerCase()})` })));
      const problem = make("p", { class: "field-error", role: "alert" });
      const go = async () => {
        problem.textContent = "";
        try {
          if (await iscan.review.act("split", { column: picker.value, item: item.id, quiet: true })) close();
        } catch (error) {
          problem.textContent = error.message;
        }
      };
      picker.addEventListener("keydown", (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        go();
      });
      const end = make(
        "div",
        { class: "edit-popup-end" },
        make("button", { class: "btn btn-link btn-sm", textContent: "Cancel", onclick: close }),
        make("button", { id: "review-split-go", class: "btn btn-primary btn-sm", textContent: "Split", onclick: go }),
      );
      return [make("p", { class: "muted", textContent: `Its parts come into the queue instead of these ${cellsText(item.n)}.` }), picker, problem, end];
    });
  }

  iscan.reviewView = { draw, show, relabel, split };
})();
