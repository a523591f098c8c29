/* What is this? The cells that the Assign bar is set to, scored against a reference; a click gives them the label.
 *
 * It is a part of "Check before you label" (edit_table_check.js), which says when to ask. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const KEPT = iscan.own("iscan-what-reference");
  const AGAIN = 300; // ms until the server is asked again while it still makes something ready
  const PAGE = Math.random().toString(36).slice(2); // tells this page from others of the same user

  // They are there when the first of them is needed, not when this script is read.
  const make = (...values) => iscan.filterParts.make(...values);
  const cellsText = (count) => iscan.filterParts.cellsText(count);
  const three = (value) => value.toPrecision(3);

  let bits = null; // elements of the part that is drawn
  let cards = null; // the references that there are; null: not known yet
  let refresh = () => {}; // asks anew
  let isCurrent = false; // whether the labels are of the cells that are chosen now

  let chosen = (() => {
    try {
      return localStorage.getItem(KEPT) || "";
    } catch {
      return "";
    }
  })();

  // -- references --------------------------------------------------------------------------------------------------

  /** The sets of labels that can be asked about: `id:granularity` and what it is called. */
  const choices = () =>
    (cards || [])
      .filter(({ ready }) => ready)
      .map(({ id, name, granularities }) => ({ name, sets: granularities.map((own) => [`${id}:${own}`, `${own === "fine" ? "Fine" : "Main"}: ${name}`]) }));

  const isChosen = () => choices().some(({ sets }) => sets.some(([value]) => value === chosen));

  async function loadReferences() {
    try {
      ({ references: cards } = await iscan.jobs.request("prediction/references"));
    } catch (error) {
      say(error.message);
      return;
    }
    const all = choices();
    bits.picker.replaceChildren(
      make("option", { value: "", textContent: all.length ? "Choose a reference" : "No reference is installed" }),
      ...all.map(({ name, sets }) =>
        make("optgroup", { label: name }, ...sets.map(([value, textContent]) => make("option", { value, textContent }))),
      ),
    );
    bits.picker.disabled = !all.length;
    bits.picker.value = isChosen() ? chosen : "";
    refresh();
  }

  function choose() {
    chosen = bits.picker.value;
    try {
      localStorage.setItem(KEPT, chosen);
    } catch {
      // Storage refused: it lasts as long as the page.
    }
    clear();
    refresh();
  }

  // -- drawing -----------------------------------------------------------------------------------------------------

  /**
   * Make the part.
   * @param {function(): void} again  called when something is to be asked anew
   * @returns {HTMLElement}
   */
  function draw(again) {
    refresh = again;
    bits = {
      picker: make("select", { id: "what-reference", class: "form-select form-select-sm", onchange: choose }),
      said: make("span", { id: "what-said", class: "what-said numbers", role: "status" }),
      progress: make("progress", { class: "what-progress", "aria-label": "What is this?", hidden: true }),
      labels: make("div", { id: "what-labels", class: "what-labels", role: "group", "aria-label": "Labels that these cells may have" }),
    };
    bits.root = make(
      "div",
      { id: "check-what", class: "what" },
      make("div", { class: "what-head" }, make("label", { for: "what-reference", textContent: "What is this?" }), bits.picker, bits.said, bits.progress),
      bits.labels,
    );
    loadReferences();
    return bits.root;
  }

  function say(text) {
    bits.said.textContent = text;
    bits.said.title = text;
  }

  /** Show no labels, and why. */
  function clear(text = "") {
    isCurrent = false;
    bits.labels.replaceChildren();
    setBusy(false);
    bits.progress.hidden = true;
    say(text);
  }

  /** The labels that are shown are of other cells by now: they stay, faint, so that nothing jumps. */
  function wait() {
    if (!bits) return;
    isCurrent = false;
    setBusy(true);
  }

  function setBusy(isBusy) {
    bits.labels.classList.toggle("is-busy", isBusy);
    bits.labels.setAttribute("aria-busy", String(isBusy));
  }

  function show(found) {
    const { candidates, delta, n_cells, n_read, reference, found: genes, warnings } = found;
    isCurrent = true;
    bits.progress.hidden = true;
    setBusy(false);
    const lead = delta === null ? "" : `ahead by ${three(delta)}`;
    const sample = n_read < n_cells ? `by a sample of ${iscan.filterParts.number(n_read)}` : "";
    say([lead, sample, ...warnings].filter(Boolean).join(" \u00b7 "));
    bits.said.title = [`${cellsText(n_cells)} scored together against ${reference}: ${genes}.`, lead && `The first label is ${lead} in the last round of fine-tuning.`, ...warnings]
      .filter(Boolean)
      .join("\n");
    bits.labels.replaceChildren(...candidates.map((candidate, place) => labelOf(candidate, place, n_cells)));
  }

  function labelOf({ label, score, term }, place, n_cells) {
    const known = [`score ${three(score)}`, term, place === 0 ? "the best after fine-tuning" : ""].filter(Boolean).join(", ");
    const said = `Assign "${label}" to ${cellsText(n_cells)} (${known})`;
    return make(
      "button",
      { class: `what-label${place === 0 ? " is-best" : ""}`, title: said, "aria-label": said, "data-label": label, onclick: () => assign(label) },
      make("bdi", { textContent: label }),
      make("span", { class: "number", textContent: three(score) }),
    );
  }

  /** Give the cells a label, by the Assign bar, which asks before most cells change. */
  async function assign(label) {
    if (!isCurrent) return;
    if (!iscan.edit.page.current) {
      say("You have no annotation to edit yet: make one under New Annotation.");
      return;
    }
    // A second click is not a second edit.
    wait();
    await iscan.edit.assign(label);
    refresh();
  }

  // -- asking ------------------------------------------------------------------------------------------------------

  /**
   * Ask what cells are.
   * @param {Object} asked         the cells, as the server wants them
   * @param {AbortSignal} signal   ends it
   */
  async function look(asked, signal) {
    if (!isChosen()) return clear(cards === null ? "" : choices().length ? "Choose what to score these cells against." : "Install a reference, or make one, under References.");
    const [reference, granularity] = chosen.split(":");
    wait();
    if (!bits.labels.firstChild) say("Scoring ...");
    try {
      while (!signal.aborted) {
        const found = await iscan.edit.ask("check/what", { ...asked, reference, granularity, page: PAGE }, signal);
        if (!found) return;
        if (found.waiting === undefined) return show(found);
        clear(`${found.waiting} ...`);
        bits.progress.hidden = false;
        if (found.part === null) bits.progress.removeAttribute("value");
        else bits.progress.value = found.part;
        await new Promise((resolve) => setTimeout(resolve, AGAIN));
      }
    } catch (error) {
      if (!signal.aborted) clear(error.message);
    }
  }

  // A reference that was made or installed meanwhile can be asked about.
  document.addEventListener("DOMContentLoaded", () =>
    iscan.jobs.onChange((changed) => {
      const isNew = changed.some(({ kind, state }) => kind !== "prediction" && state === "Finished");
      if (isNew && bits && bits.root.isConnected) loadReferences();
    }),
  );

  iscan.editWhat = { draw, look, clear, wait };
})();
