/* The frame: divider, keyboard, state of the server, local times. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const byId = (id) => document.getElementById(id);
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);

  /** Keep a value for the next visit, if the browser lets us. */
  function remember(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch {
      // Storage refused: the value lasts as long as the page.
    }
  }
  function recall(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }

  /** Open another page of the panel without loading the whole page again; a window of its own shows one thing. */
  iscan.go = (href) => {
    if (document.documentElement.matches(".plot-window, .section-window")) return;
    window.history.pushState({}, "", href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  };

  // -- state of the server -------------------------------------------------------------------------------------

  /** Ask the server how things stand now, rather than when it is time. */
  iscan.pollStatus = () => ask();

  /** Wait until the server answers. */
  iscan.answering = () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      ask();
    });

  const waiting = [];
  const poll = { timer: null, failures: 0, revision: null, last: "" };

  async function ask() {
    clearTimeout(poll.timer);
    let status;
    try {
      const response = await fetch(iscan.address("/api/v1/status"), { cache: "no-store" });
      status = await response.json();
      if (iscan.study.isOther()) return;
      const signIn = response.headers.get("X-Iscan-Sign-In");
      showSignedOut(signIn);
      // How things stood is all that is known.
      if (signIn) status = poll.status || {};
      else if (!response.ok) status = { ...status, save: "failed", reason: status.error };
      poll.failures = 0;
      for (const resolve of waiting.splice(0)) resolve();
    } catch {
      poll.failures += 1;
      status = { ...(poll.status || {}), offline: poll.failures >= 2 };
    }
    poll.status = iscan.status = status;
    window.dispatchEvent(new CustomEvent("iscan:status"));
    for (const { id, text, actions } of status.notices || [])
      iscan.toast.show({ id, kind: "warning", text, actions, seconds: null, lasts: true });
    const text = JSON.stringify(status);
    if (text !== poll.last) {
      poll.last = text;
      setProps("shell-status", { data: status });
    }
    if (status.revision != null && status.revision !== poll.revision) {
      const known = poll.revision;
      poll.revision = status.revision;
      // Another tab edited: this one follows.
      if (known !== null) setProps("shell-revision", { data: status.revision });
    }
    const busy = status.save === "saving" || poll.failures > 0 || status.jobs_active > 0;
    clearTimeout(poll.timer);
    // A page that nobody sees asks for nothing; what it missed it hears when it is shown.
    poll.timer = document.hidden ? null : setTimeout(ask, busy ? 700 : 4000);
  }

  let isSignedOut = false;

  /** Say that nobody is signed in any more, and where to; in a tab of its own, as this page keeps what was typed. */
  function showSignedOut(place) {
    if (place) {
      const link = Object.assign(document.createElement("a"), { href: iscan.address(place), target: "_blank", rel: "noopener", className: "btn btn-sm btn-primary", textContent: "Sign in" });
      iscan.lasting.show("You were signed out. Sign in again to go on.", link);
    } else if (isSignedOut) iscan.lasting.hide();
    isSignedOut = Boolean(place);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && poll.status) ask();
  });

  const SAVE_TEXT = { saved: "All saved", saving: "Saving..." };

  function showStatus(status) {
    const none = window.dash_clientside.no_update;
    if (!status) return [none, none, none, none, none];
    const failed = status.save === "failed";
    const text = failed ? `Save failed - retrying (${status.reason})` : SAVE_TEXT[status.save] || "All saved";
    const changed = status.changed_files || [];
    let banner = "";
    if (status.offline) banner = "The server does not answer. Nothing is lost; this page goes on when it is back.";
    else if (changed.length)
      banner = `${changed.join(", ")} changed on disk since the study was opened. Edits stop until iscan-dash is restarted.`;
    return [text, `save-text save-${status.save}`, status.draft ? `Draft: ${status.draft}` : "", banner, !banner];
  }

  window.addEventListener("beforeunload", (event) => {
    if (poll.status && poll.status.save === "failed") event.preventDefault();
  });

  // -- divider -------------------------------------------------------------------------------------------------

  const SPLIT = iscan.own("iscan-split");
  const USUAL = 0.55;

  function split(fraction) {
    const areas = document.querySelector(".areas");
    areas.classList.toggle("no-plots", fraction < 0.12);
    areas.classList.toggle("no-panel", fraction > 0.88);
    const kept = fraction < 0.12 ? 0 : fraction > 0.88 ? 1 : fraction;
    areas.style.setProperty("--plots-part", `${100 * kept}fr`);
    areas.style.setProperty("--panel-part", `${100 * (1 - kept)}fr`);
    document.querySelector(".divider").setAttribute("aria-valuenow", Math.round(100 * kept));
    remember(SPLIT, kept);
  }

  function makeDivider() {
    const divider = document.querySelector(".divider");
    const areas = document.querySelector(".areas");
    const now = () => Number(divider.getAttribute("aria-valuenow")) / 100;
    divider.addEventListener("pointerdown", (event) => {
      divider.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    divider.addEventListener("pointermove", (event) => {
      if (!divider.hasPointerCapture(event.pointerId)) return;
      const box = areas.getBoundingClientRect();
      split((event.clientX - box.left) / box.width);
    });
    divider.addEventListener("dblclick", () => split(USUAL));
    divider.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: now() - 0.02, ArrowRight: now() + 0.02, Home: 0, End: 1, Enter: USUAL };
      if (!(event.key in moves)) return;
      split(moves[event.key]);
      event.preventDefault();
    });
    const kept = recall(SPLIT);
    split(kept === null ? USUAL : Number(kept));
  }

  // -- keyboard ------------------------------------------------------------------------------------------------

  const OPTIONS = ".dash-dropdown-content";
  const TYPING = `input, textarea, select, [contenteditable], [role=combobox], [role=listbox], ${OPTIONS}`;
  /** What takes no letters: these keep to Space and the arrows. Those of a dropdown's options search them. */
  const TICKING = `input:is([type=checkbox], [type=radio], [type=color]):not(${OPTIONS} *)`;
  /** A closed dropdown keeps the focus after a choice; one that is open searches for what is typed. */
  const isTyping = (element) =>
    !element.matches(TICKING) && element.closest(`${TYPING}, .dash-dropdown[aria-expanded=true]`);

  iscan.isTyping = isTyping;

  const KEYS = {
    "/": () => {
      byId(iscan.plots.currentPart("gene")).click();
      const search = () => document.querySelector(".dash-dropdown-search")?.focus();
      // Dash puts the focus into a list's search only when the list has options, and this one waits for a word.
      requestAnimationFrame(search);
      // And on the chosen gene, when there is one.
      setTimeout(search, 80);
    },
    h: () => iscan.plots.tool("pan"),
    z: () => iscan.plots.tool("zoom"),
    l: () => iscan.plots.tool("lasso"),
    b: () => iscan.plots.tool("box"),
    i: () => iscan.plots.invert(),
    c: () => {
      const column = document.activeElement.closest("[role=gridcell][col-id], [role=columnheader][col-id]");
      const by = column ? column.getAttribute("col-id") : "";
      if (!/^(annotation|cluster|metadata):/.test(by)) return false;
      iscan.colourBy(by);
      return true;
    },
    0: () => iscan.plots.reset(),
    "?": () => byId("shell-help").click(),
  };

  /** Esc belongs to what is open, pinned or focused before it belongs to the tools of the plots. */
  const isForPlots = (element) =>
    (element === document.body || element.closest(".plot, .plots-bar, .selection-strip")) &&
    !document.querySelector(".modal.show, .popover.show, .legend:focus-within .legend-pinned");

  /** With an option chosen the focus of an open dropdown is on it: letters go on in the search. */
  function searchOptions(event) {
    const options = event.target.closest(OPTIONS);
    const search = options && options.querySelector(".dash-dropdown-search");
    if (!search || search === event.target || event.key.length !== 1 || event.key === " ") return;
    if (!event.ctrlKey && !event.metaKey && !event.altKey) search.focus();
  }

  function actOn(event) {
    if (isTyping(event.target)) {
      searchOptions(event);
      return false;
    }
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && key === "z") byId(event.shiftKey ? "shell-redo" : "shell-undo").click();
    else if (key === "escape") return isForPlots(event.target) && iscan.plots.escape();
    else if (!event.ctrlKey && !event.metaKey && !event.altKey && KEYS[key]) return KEYS[key]() !== false;
    else return false;
    return true;
  }

  /** Keys that were acted on and are not up yet. */
  const held = new Set();

  // Before anything else hears of it: a cell of a grid would begin an edit, a closed dropdown (when the key is let go) a search.
  const before = { capture: true };
  document.addEventListener(
    "keydown",
    (event) => {
      if (!actOn(event)) return;
      held.add(event.code);
      event.preventDefault();
      event.stopPropagation();
    },
    before,
  );
  document.addEventListener("keyup", (event) => held.delete(event.code) && event.stopPropagation(), before);

  // -- theme ---------------------------------------------------------------------------------------------------

  function showTheme(choice) {
    const button = byId("shell-theme");
    button.title = `Theme: ${choice}`;
    button.setAttribute("aria-label", button.title);
    button.firstElementChild.className = `bi bi-${{ system: "circle-half", light: "sun", dark: "moon" }[choice]}`;
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[id]");
    if (button && button.id === "shell-theme") showTheme(iscan.theme.next());
  });

  // -- local times ---------------------------------------------------------------------------------------------

  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });
  const dayClock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  const hourClock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

  /** The hour of today, the day of another time: what tells rows of a narrow column apart. */
  function brief(moment) {
    return moment.toDateString() === new Date().toDateString() ? hourClock.format(moment) : dayClock.format(moment);
  }

  function localTimes(root) {
    for (const element of root.querySelectorAll("time.local-time")) {
      // An element whose time changes is written anew by React.
      if (element.dataset.local === element.dateTime) continue;
      element.dataset.local = element.dateTime;
      const moment = new Date(element.dateTime);
      element.textContent = element.classList.contains("brief") ? brief(moment) : clock.format(moment);
    }
  }

  // -- start ---------------------------------------------------------------------------------------------------

  function start() {
    makeDivider();
    showTheme(iscan.theme.choice());
    iscan.plots.start();
    ask();
    localTimes(document);
    new MutationObserver((changes) => {
      if (changes.some((change) => change.addedNodes.length)) localTimes(document);
    }).observe(document.body, { childList: true, subtree: true });
  }

  const building = new MutationObserver(() => {
    if (!document.querySelector(".divider") || !byId("shell-toasts")) return;
    building.disconnect();
    start();
  });
  building.observe(document.documentElement, { childList: true, subtree: true });

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    iscan: {
      showToast: (message) => iscan.toast.show(message),
      keepUndo: (steps) => void (steps && iscan.toast.keepUndoOf(steps.last)),
      showStatus,
      pollNow: (revision) => {
        if (revision == null) return;
        poll.revision = revision;
        ask();
      },
      colourPlot: (clicks) => {
        const [cause] = window.dash_clientside.callback_context.triggered;
        if (!cause || !cause.value) return;
        iscan.colourBy(`annotation:${JSON.parse(cause.prop_id.split(".n_clicks")[0]).annotation}`);
      },
      ...iscan.plots.callbacks,
      ...iscan.newAnnotation,
      ...iscan.naming,
      ...iscan.importTable,
      ...iscan.editTable,
      ...iscan.logsPage,
      ...iscan.referencesPage,
      ...iscan.enrichmentPage,
      ...iscan.fromEnrichmentPage,
      ...iscan.resultPage,
      ...iscan.reviewPage,
    },
  });
})();
