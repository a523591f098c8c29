/**
 * The selection of cells: which ones, is for the server to say. This script sends what is to change, keeps what was
 * answered, tells everyone on the page, and follows what other windows of the same user do.
 */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const ADDRESS = iscan.address("/api/v1/selection");
  const STORE = "selection-state";

  /**
   * @typedef {Object} State  see `Selections.state` on the server
   * @property {number} version         grows with every change
   * @property {number} mask_version    the version at which the selected cells changed last
   * @property {boolean} active         whether anything is chosen
   * @property {number|null} count      selected cells; null when the query is not finished
   */

  /** @type {State|null} */
  let state = null;
  let saved = ""; // ids and names of the saved selections
  const listeners = new Set();
  let queue = Promise.resolve();
  let masks = { version: null, promise: null };
  const others = "BroadcastChannel" in window ? new BroadcastChannel(iscan.own("iscan-selection")) : null;

  class Refused extends Error {
    /** @param {{error: string, code: ?string, position: ?number}} answer */
    constructor(answer) {
      super(answer.error);
      this.code = answer.code ?? null;
      this.position = answer.position ?? null;
    }
  }

  async function ask(address, options) {
    let response;
    try {
      response = await fetch(address, { cache: "no-store", ...options });
    } catch {
      throw new Refused({ error: "The server does not answer. The selection is as it was; try again when it is back." });
    }
    const answer = await response
      .json()
      .catch(() => ({ error: "The server's answer is not understood. Load the page again." }));
    if (!response.ok) throw new Refused(answer);
    return answer;
  }

  /** Take a state over, unless a newer one is known. */
  function take(next) {
    if (!next || (state && next.version <= state.version)) return;
    const names = JSON.stringify(next.saved.map(({ id, name }) => [id, name]));
    if (state && names !== saved) window.dash_clientside.set_props("selection-saved", { data: JSON.parse(names) });
    saved = names;
    state = next;
    for (const listener of listeners) tell(listener);
  }

  function tell(listener) {
    try {
      listener(state);
    } catch (error) {
      // One that fails must not keep the others from hearing.
      console.error(error);
    }
  }

  /** Let callbacks hear too. */
  function spread(next) {
    take(next);
    window.dash_clientside.set_props(STORE, { data: next });
  }

  /** Hear what was changed elsewhere. */
  const refresh = () =>
    ask(`${ADDRESS}/state`).then(
      (next) => (!state || next.version > state.version) && spread(next),
      () => {} // the state of the server is told by the top bar
    );

  /** A version that is known elsewhere. */
  const heard = (version) => version && state && version > state.version && refresh();

  /**
   * Change the selection. Changes are made one after the other, in the order they are asked for.
   * @param {Object} action              see `selection_actions.py` on the server
   * @param {{quiet: boolean}} [options]  quiet: a refusal is thrown rather than shown, with `code` and `position`
   * @returns {Promise<State>}           the new state; the unchanged one when it was refused
   */
  function act(action, { quiet = false } = {}) {
    const made = queue.then(async () => {
      try {
        const next = await ask(ADDRESS, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(action),
        });
        spread(next);
        others?.postMessage(next.version);
      } catch (error) {
        if (quiet) throw error;
        iscan.toast.show({ id: `selection-${Date.now()}`, kind: "danger", text: error.message, actions: [], seconds: null });
      }
      return state;
    });
    queue = made.catch(() => {});
    return made;
  }

  /**
   * Hear of the selection: now, if it is known, and whenever it changes.
   * @param {function(State): void} listener
   * @returns {function(): void} ends it
   */
  function onChange(listener) {
    listeners.add(listener);
    if (state) tell(listener);
    return () => listeners.delete(listener);
  }

  async function fetchMask(version, cells) {
    const response = await fetch(`${ADDRESS}?v=${version}`);
    if (!response.ok) throw new Error(`The selection did not load: the server answered ${response.status}.`);
    const packed = new Uint8Array(await response.arrayBuffer());
    return packed.length ? unpack(packed, cells) : null;
  }

  /**
   * Cells that the server sent as bits, a byte each.
   * @param {Uint8Array} packed  the first cell is the lowest bit of the first byte
   * @param {number} cells       how many there are
   */
  function unpack(packed, cells) {
    const mask = new Uint8Array(cells);
    for (let row = 0, at = 0; row < cells; at++) {
      const bits = packed[at];
      const end = Math.min(cells, row + 8);
      for (let bit = 0; row < end; row++, bit++) mask[row] = (bits >> bit) & 1;
    }
    return mask;
  }

  /**
   * The selected cells, a byte each; null when nothing is chosen or the query is not finished. Not to be changed.
   * @returns {Promise<Uint8Array|null>}
   */
  function mask() {
    if (!state || !state.active || state.count === null) return Promise.resolve(null);
    const version = state.mask_version;
    if (masks.version !== version) {
      const promise = fetchMask(version, state.n_cells);
      const entry = (masks = { version, promise });
      // A failure is not remembered.
      promise.catch(() => masks === entry && (masks = { version: null, promise: null }));
    }
    return masks.promise;
  }

  /** All that is needed to select the same cells again, as `{do: "load"}` takes it. */
  const recipe = () => ask(`${ADDRESS}/recipe`);

  if (others) others.addEventListener("message", ({ data }) => heard(data));
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    iscanSelection: {
      state: (next) => take(next),
      status: (status) => void (status && heard(status.selection)),
    },
  });
  // The plots add `tool`, which takes up a tool on every plot.
  iscan.selection = Object.assign(iscan.selection || {}, { act, onChange, mask, recipe, refresh, unpack, state: () => state });
})();
