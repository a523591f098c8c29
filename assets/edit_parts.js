/* Parts of Edit Annotation: a panel that opens at a button, and a field that offers labels while one types. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const MOST = 60; // labels offered at once; typing finds the others
  const EDGE = 8; // pixels left between a panel and the window

  const parts = () => iscan.filterParts;

  /** Place a panel under what it belongs to, or above where there is more room. */
  function place(panel, anchor, width) {
    const box = anchor.getBoundingClientRect();
    if (width) panel.style.width = `${Math.max(width, box.width)}px`;
    const { offsetWidth } = panel;
    // All of it, also what the height of the window hides now.
    const offsetHeight = panel.scrollHeight + 2;
    const left = Math.max(EDGE, Math.min(box.left, window.innerWidth - offsetWidth - EDGE));
    const isBelow = box.bottom + offsetHeight + EDGE <= window.innerHeight || box.top < window.innerHeight - box.bottom;
    const top = isBelow ? box.bottom + 2 : Math.max(EDGE, box.top - offsetHeight - 2);
    Object.assign(panel.style, { left: `${left}px`, top: `${top}px` });
    panel.style.maxHeight = `${isBelow ? window.innerHeight - top - EDGE : box.top - EDGE - 2}px`;
  }

  /**
   * Open a panel at an element; Esc or a click elsewhere closes it.
   * @param {HTMLElement} anchor
   * @param {string} title                      what it is, said to readers and shown on top
   * @param {function(function(): void): Node[]} fill  given what closes the panel, returns what is in it
   * @returns {HTMLElement}
   */
  function popup(anchor, title, fill) {
    const { make, iconButton } = parts();
    document.querySelectorAll(".edit-popup").forEach((other) => other.hidePopover());
    const panel = make("div", { class: "edit-popup", role: "dialog", "aria-label": title });
    panel.setAttribute("popover", "auto");
    const close = () => panel.isConnected && panel.hidePopover();
    const head = make(
      "div",
      { class: "edit-popup-head" },
      make("b", { textContent: title, dir: "auto", title }),
      iconButton("x-lg", "Close", close),
    );
    panel.append(head, ...fill(close));
    document.body.append(panel);
    // Esc would clear the tool of a plot besides.
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.stopPropagation();
      // A search field would be emptied besides, and what it filters by with it.
      event.preventDefault();
      close();
    });
    panel.addEventListener("toggle", (event) => {
      if (event.newState !== "closed") return;
      const hadFocus = panel.contains(document.activeElement) || document.activeElement === document.body;
      panel.remove();
      if (hadFocus && anchor.isConnected) anchor.focus({ preventScroll: true });
    });
    panel.showPopover();
    place(panel, anchor);
    // What it shows may come later, and may be wider or longer.
    new ResizeObserver(() => panel.isConnected && place(panel, anchor)).observe(panel);
    const first = panel.querySelector("[autofocus], input:not([type=checkbox]), select");
    if (first) first.focus();
    return panel;
  }

  /** Labels that contain what was typed, those that begin with it first. */
  function ranked(labels, typed) {
    const wanted = typed.trim().toLocaleLowerCase();
    if (!wanted) return labels;
    const found = labels.filter(({ text }) => text.toLocaleLowerCase().includes(wanted));
    const begins = ({ text }) => (text.toLocaleLowerCase().startsWith(wanted) ? 0 : 1);
    return found.map((label, k) => [begins(label), k, label]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((row) => row[2]);
  }

  /**
   * Let a text field offer labels while one types; a label that is not among them may be typed all the same.
   * @param {HTMLInputElement} input
   * @param {Object} asked
   * @param {function(string): Promise<Object[]>} asked.labels   labels for what was typed: {text, colour, count, hint}
   * @param {function(string): void} [asked.onChoose]            the text that was chosen from the list
   * @param {function(): string} [asked.newText]                 what is said of a text that is no label yet; "" for nothing
   * @returns {{close: function(): void}}
   */
  function labelBox(input, { labels, onChoose, newText = () => "" }) {
    const { make, words, number } = parts();
    const id = `${input.id || "edit-label"}-list-${Math.random().toString(36).slice(2, 8)}`;
    let list = null;
    let at = -1; // the row that the arrow keys are on
    let asking = 0;
    Object.assign(input, { autocomplete: "off", spellcheck: false });
    for (const [name, value] of Object.entries({
      role: "combobox",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": id,
    }))
      input.setAttribute(name, value);

    const rows = () => (list ? [...list.querySelectorAll(".edit-option")] : []);

    function close() {
      asking += 1;
      if (list) list.remove();
      list = null;
      at = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    }

    function choose(text) {
      input.value = text;
      // Whoever listens to the field hears of it, the editor of a grid too.
      input.dispatchEvent(new Event("input", { bubbles: true }));
      close();
      if (onChoose) onChoose(text);
    }

    function option({ text, colour, count, hint }, k) {
      const swatch = make("span", { class: "legend-swatch" });
      swatch.style.backgroundColor = colour;
      const row = make(
        "div",
        { class: "edit-option", role: "option", id: `${id}-${k}`, "aria-selected": "false" },
        swatch,
        words(text, "edit-option-text"),
        hint ? make("span", { class: "muted", textContent: hint }) : null,
        make("span", { class: "muted number", textContent: number(count) }),
      );
      row.dataset.text = text;
      return row;
    }

    async function open() {
      const mine = ++asking;
      const typed = input.value;
      const found = await labels(typed);
      if (mine !== asking || document.activeElement !== input) return;
      const isNew = typed.trim() && !found.some(({ text }) => text === typed.trim());
      const said = isNew ? newText() : "";
      if (!list) {
        list = make("div", { class: "edit-options", role: "listbox", id, "aria-label": "Labels" });
        list.setAttribute("popover", "manual");
        // Within the page's own panel, so that a click on it does not close that.
        (input.closest(".edit-popup") || document.body).append(list);
        list.showPopover();
        // The field keeps the focus.
        list.addEventListener("pointerdown", (event) => event.preventDefault());
        list.addEventListener("click", (event) => {
          const row = event.target.closest(".edit-option");
          if (row) choose(row.dataset.text);
        });
      }
      at = -1;
      list.replaceChildren(...found.slice(0, MOST).map(option));
      if (found.length > MOST)
        list.append(make("div", { class: "edit-option-note muted", textContent: `and ${number(found.length - MOST)} more; type to find them` }));
      if (said) list.append(make("div", { class: "edit-option-note muted", textContent: said }));
      if (!list.childElementCount) return close();
      place(list, input, 220);
      input.setAttribute("aria-expanded", "true");
    }

    function go(to) {
      const all = rows();
      if (!all.length) return;
      at = (to + all.length) % all.length;
      all.forEach((row, k) => row.setAttribute("aria-selected", String(k === at)));
      all[at].scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", all[at].id);
    }

    input.addEventListener("input", () => document.activeElement === input && open());
    input.addEventListener("focus", open);
    input.addEventListener("click", () => list || open());
    input.addEventListener("blur", close);
    // Before the grid hears of it: Enter takes the marked label first.
    input.addEventListener(
      "keydown",
      (event) => {
        if (event.key === "ArrowDown" || event.key === "ArrowUp") {
          event.preventDefault();
          event.stopPropagation();
          if (list) go(event.key === "ArrowDown" ? at + 1 : at < 0 ? -1 : at - 1);
          else open();
        } else if (event.key === "Enter" && list && at >= 0) {
          choose(rows()[at].dataset.text);
          // A second Enter makes the edit, except in a grid, where one does both.
          if (!input.closest(".ag-cell")) {
            event.preventDefault();
            event.stopPropagation();
          }
        } else if (event.key === "Escape" && list) {
          event.preventDefault();
          event.stopPropagation();
          close();
        } else if (event.key === "Enter" || event.key === "Tab") close();
      },
      { capture: true },
    );
    return { close };
  }

  iscan.editParts = { popup, labelBox, ranked };
})();
