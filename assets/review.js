/* Review: the groups of a prediction's cells, those with most cells in doubt first, worked off one by one from the
 * keyboard. This script knows what is reviewed, asks the server and hears the keys; review_view.js draws. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const KEPT = iscan.own("iscan-review");
  const REST = 60; // ms at a group until the server is asked about it: arrow keys may be held down

  const page = {
    form: { annotation: "", by: "", with_labels: false },
    queue: null, // the groups, as the server has them; null: not known yet
    current: null, // id of the group that is looked at
    details: null, // what it is made of, and why; null: not known yet
    failure: "", // why the server did not say
    openOnly: false, // whether only groups that are still open are listed
    isBusy: false, // whether something is being done with a group
    said: "", // what was done last
  };
  let last = null; // id of the group that something was done with last
  let asking = 0; // number of the newest question for the queue
  let choosing = 0; // and of that for a group
  let revision = null; // of the annotations that the queue is of

  let from = null; // the annotation of the page that this one was come from

  const root = () => document.getElementById("review-page");
  const items = () => (page.queue ? page.queue.items : []);
  const item = (id = page.current) => items().find((own) => own.id === id) || null;
  /** The groups that are listed; the one that is looked at is, whatever became of it. */
  const listed = () => items().filter(({ id, state }) => !page.openOnly || state === "open" || id === page.current);

  // -- what is kept in this tab ------------------------------------------------------------------------------------

  function recall() {
    try {
      return JSON.parse(sessionStorage.getItem(KEPT)) || {};
    } catch {
      return {};
    }
  }

  function keep() {
    const { form, openOnly, current } = page;
    const { annotation, by, with_labels } = form;
    try {
      const ways = { ...recall().ways, [annotation]: { by, with_labels, current } };
      sessionStorage.setItem(KEPT, JSON.stringify({ annotation, openOnly, ways }));
    } catch {
      // Storage refused: it lasts as long as the page.
    }
  }

  // -- asking ------------------------------------------------------------------------------------------------------

  const request = (what, more) => iscan.jobs.request(`review/${what}`, { ...page.form, ...more });

  function complain(error) {
    iscan.toast.show({ id: `review-${Date.now()}`, kind: "danger", text: error.message, actions: [], seconds: null });
  }

  /** Ask for the groups. @param {string} [wanted]  the one to look at, if it is there */
  async function load(wanted = page.current) {
    const mine = ++asking;
    try {
      const queue = await request("queue");
      if (mine === asking && root()) take(queue, wanted);
    } catch (error) {
      if (mine !== asking || !root()) return;
      page.failure = error.message;
      show();
    }
  }

  /** Take over the groups, and look at one: the one that is wanted, else the first that is open. */
  function take(queue, wanted) {
    asking++;
    page.queue = queue;
    page.failure = "";
    if (queue.annotation) Object.assign(page.form, { annotation: queue.annotation.id, by: queue.by });
    choose(item(wanted) ? wanted : queue.first);
  }

  /** Look at a group; null at none. */
  async function choose(id) {
    const mine = ++choosing;
    const isOther = id !== page.current;
    page.current = id;
    if (isOther) page.details = null;
    keep();
    show(isOther);
    if (id === null) return iscan.plots.bringOut(null);
    if (isOther) await new Promise((resolve) => setTimeout(resolve, REST));
    if (mine !== choosing) return;
    try {
      const [details, cells] = await Promise.all([request("item", { item: id }), cellsOf(id)]);
      if (mine !== choosing || !root()) return;
      page.details = details;
      iscan.plots.bringOut(cells, id);
    } catch (error) {
      if (mine !== choosing || !root()) return;
      page.failure = error.message;
    }
    show();
  }

  async function cellsOf(id) {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...page.form, item: id }) };
    const response = await fetch(iscan.address("/api/v1/review/mask"), options).catch(() => null);
    // What is wrong is told by the other question.
    if (!response || !response.ok) return null;
    return iscan.selection.unpack(new Uint8Array(await response.arrayBuffer()), iscan.selection.state().n_cells);
  }

  const DONE = { accept: "accepted", skip: "skipped", reopen: "open again", relabel: "relabelled", split: "split", unite: "whole again" };

  /**
   * Do something with the group that is looked at, then look at the next.
   * @param {string} what   see `ActRequest` on the server
   * @param {Object} [more] what it takes besides
   * @returns {Promise<boolean>} whether it was done; a refusal is thrown when `more.quiet`
   */
  async function act(what, { quiet = false, ...more } = {}) {
    const before = item(more.item);
    if (!before || page.isBusy) return false;
    page.isBusy = true;
    show();
    try {
      const { version } = page.queue.annotation;
      const { queue, current, message } = await request("act", { item: before.id, version, ...more, do: what });
      last = before.id;
      page.isBusy = false;
      page.said = `${before.title}: ${DONE[what]}.`;
      take(queue, current);
      if (message) iscan.toast.show(message);
      if (what === "relabel") iscan.pollStatus();
      return true;
    } catch (error) {
      page.isBusy = false;
      if (quiet) {
        show();
        throw error;
      }
      complain(error);
      // It may rest on something that changed elsewhere.
      load();
      return false;
    }
  }

  /** Open the group that is looked at again, or else the one that something was done with last. */
  function reopen() {
    const now = item();
    const wanted = now && now.state !== "open" ? now : item(last);
    if (wanted && wanted.state !== "open") act("reopen", { item: wanted.id });
  }

  /** Go to the next group of the list, or back. */
  function step(by) {
    const ids = listed().map(({ id }) => id);
    if (!ids.length) return;
    const at = ids.indexOf(page.current);
    choose(ids[at < 0 ? 0 : Math.min(Math.max(at + by, 0), ids.length - 1)]);
  }

  /** Review something else. @param {Object} change  fields of the form */
  function review(change) {
    Object.assign(page.form, change);
    if (change.annotation) {
      const kept = (recall().ways || {})[change.annotation] || {};
      Object.assign(page.form, { by: kept.by || "", with_labels: kept.with_labels || false });
    }
    Object.assign(page, { queue: null, current: null, details: null, said: "" });
    last = null;
    iscan.plots.bringOut(null);
    show(true);
    load(null);
  }

  function listOpenOnly(isOn) {
    page.openOnly = isOn;
    keep();
    show();
  }

  // -- start -------------------------------------------------------------------------------------------------------

  const show = (isOther = false) => root() && iscan.reviewView.show(root(), page, isOther);

  /** The page was opened. @param {string} open  the annotation to review, "" for the one reviewed last */
  function showReview(open) {
    const element = root();
    if (element && !element.firstChild) {
      const kept = recall();
      const annotation = open || from || kept.annotation || "";
      const way = (kept.ways || {})[annotation] || {};
      Object.assign(page, { form: { annotation, by: way.by || "", with_labels: way.with_labels || false }, queue: null, current: null, details: null, failure: "", openOnly: Boolean(kept.openOnly), isBusy: false, said: "" });
      last = null;
      iscan.reviewView.draw(element, page);
      // What was kept may be gone: then the newest prediction is reviewed.
      load(way.current || null).then(() => !open && page.queue && page.queue.problem && page.queue.predictions.length && review({ annotation: page.queue.predictions[0].id }));
      leaving(element);
    }
    return "review-page";
  }

  /** The plots show the selection again once the page is left. */
  function leaving(element) {
    const watching = new MutationObserver(() => {
      if (element.isConnected) return;
      watching.disconnect();
      choosing++;
      if (!root()) iscan.plots.bringOut(null);
    });
    watching.observe(document.getElementById("_pages_content"), { childList: true, subtree: true });
  }

  // From a result to its review.
  document.addEventListener(
    "click",
    (event) => {
      if (!event.target.closest || !event.target.closest("#annotate-tab-review")) return;
      from = window.location.pathname === iscan.address("/annotate/result") ? new URLSearchParams(window.location.search).get("open") : null;
    },
    { capture: true },
  );

  // Edits made elsewhere, and undo.
  window.addEventListener("iscan:status", () => {
    const known = revision;
    revision = iscan.status.revision;
    if (known !== null && revision !== known && root() && page.queue && !page.isBusy) load();
  });

  const KEYS = {
    a: () => act("accept"),
    k: () => act("skip"),
    r: () => iscan.reviewView.relabel(),
    s: () => iscan.reviewView.split(),
    u: reopen,
    j: () => step(1),
    "]": () => step(1),
    "[": () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
  };

  // On the window: before the keys of the other pages, of which A is one.
  window.addEventListener(
    "keydown",
    (event) => {
      const element = root();
      if (!element || !page.queue || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      if (!event.target.closest || iscan.isTyping(event.target) || event.target.closest("[popover]") || document.querySelector(".modal.show")) return;
      const isArrow = event.key.startsWith("Arrow");
      // Arrows move what has the focus elsewhere, such as the divider.
      if (isArrow && event.target !== document.body && !element.contains(event.target)) return;
      const key = KEYS[isArrow ? event.key : event.key.toLowerCase()];
      if (!key) return;
      event.preventDefault();
      event.stopPropagation();
      // A key that is held down walks through the list; it does not accept group after group unseen.
      if (!event.repeat || key === KEYS.j || key === KEYS["]"] || key === KEYS["["] || isArrow) key();
    },
    { capture: true },
  );

  iscan.review = { page, item, listed, act, reopen, choose, review, step, listOpenOnly };
  iscan.reviewPage = { showReview };
})();
