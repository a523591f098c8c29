/* Short messages. Their text comes from labels and names that anyone may have typed: it is only ever set as text. */
(() => {
  const SECONDS = { success: 4, warning: 8, danger: null };
  const LEAST_SEEN = 120; // px of the plots up to which there is no room for messages on them
  const MARGIN = 8;
  const ICONS = { success: "check-circle", warning: "exclamation-triangle", danger: "x-octagon" };
  const shown = new Set();
  const undoing = new Map(); // event that a message offers to undo -> closes the message
  const CLOSED = window.iscan.own("iscan-closed");

  /** Ids of lasting messages that were closed in this tab; the page is told of them again whenever it is loaded. */
  function closed() {
    try {
      return JSON.parse(sessionStorage.getItem(CLOSED)) || [];
    } catch {
      return [];
    }
  }
  function rememberClosed(id) {
    try {
      sessionStorage.setItem(CLOSED, JSON.stringify([...closed(), id].slice(-100)));
    } catch {
      // Storage refused: it comes again with the next page.
    }
  }

  function button(action, close) {
    const element = document.createElement(action.href ? "a" : "button");
    element.className = "toast-action";
    element.textContent = action.text;
    if (action.href) {
      element.href = action.href;
      element.addEventListener("click", (event) => {
        event.preventDefault();
        window.iscan.go(action.href);
        close();
      });
    } else {
      element.type = "button";
      // Asks first what to call the drafts, where that is not known.
      if (action.action?.verb === "reattach") element.dataset.makes = "";
      element.addEventListener("click", () => {
        if (action.run) action.run();
        else if (action.action.verb === "colour") window.iscan.colourBy(action.action.by);
        else if (action.action.verb === "reload") window.location.reload();
        else window.dash_clientside.set_props(`shell-toast-${action.action.verb === "retry" ? "retry" : "action"}`, { data: { ...action.action, at: Date.now() } });
        close();
      });
    }
    return element;
  }

  /**
   * Show a message; the same one is shown once however often the page is drawn.
   * @param {{id: string, kind: string, text: string, actions: object[], seconds: number|null}|null} message
   */
  function show(message) {
    if (!message || shown.has(message.id) || (message.lasts && closed().includes(message.id))) return;
    shown.add(message.id);
    const element = document.createElement("div");
    element.className = `toast-message toast-${message.kind}`;
    element.setAttribute("role", message.kind === "danger" ? "alert" : "status");
    const icon = document.createElement("i");
    icon.className = `bi bi-${ICONS[message.kind]}`;
    const text = document.createElement("span");
    text.className = "toast-text";
    text.dir = "auto";
    text.textContent = message.text;
    let timer = null;
    const undoes = message.actions.find(({ action }) => action?.verb === "undo")?.action.seq;
    const close = () => {
      clearTimeout(timer);
      undoing.delete(undoes);
      element.remove();
    };
    if (undoes !== undefined) undoing.set(undoes, close);
    const shut = document.createElement("button");
    shut.type = "button";
    shut.className = "toast-close";
    shut.setAttribute("aria-label", "Close");
    shut.textContent = "\u00d7";
    shut.addEventListener("click", () => {
      if (message.lasts) rememberClosed(message.id);
      close();
    });
    element.append(icon, text, ...message.actions.map((action) => button(action, close)), shut);
    document.getElementById("shell-toasts").append(element);
    place();
    const seconds = message.seconds ?? SECONDS[message.kind];
    const wait = () => {
      if (seconds) timer = setTimeout(close, 1000 * seconds);
    };
    element.addEventListener("mouseenter", () => clearTimeout(timer));
    element.addEventListener("mouseleave", wait);
    wait();
  }

  /** Close what offers to undo another edit than the last one: it would be refused. */
  function keepUndoOf(last) {
    for (const [event, close] of [...undoing]) if (event < last) close();
  }

  /** Where the panel is under the plots, say where messages cover nothing of it: at the foot of what is seen of the plots. */
  function place() {
    const box = document.getElementById("shell-toasts");
    // The strip under the plots is left free: its count is what people look at after an edit.
    const strip = document.querySelector(".selection-strip");
    if (!box || !strip) return;
    const foot = strip.getBoundingClientRect().top;
    const isSeen = foot > LEAST_SEEN;
    box.style.setProperty("--toasts-bottom", isSeen ? `${Math.max(0, window.innerHeight - foot) + MARGIN}px` : "auto");
    box.style.setProperty("--toasts-top", isSeen ? "auto" : "4px");
  }
  window.addEventListener("scroll", place, { passive: true });
  window.addEventListener("resize", place);

  (window.iscan = window.iscan || {}).toast = { show, keepUndoOf };
})();
