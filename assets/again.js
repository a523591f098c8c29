/* An edit made while the server is away is sent again when it is back.
 *
 * Dash asks the server with fetch and gives up when nobody answers: the page would show an edit that was never made. A
 * request carries an id of its own, by which the server answers one that did arrive before the line broke as it did the
 * first time. A server that was restarted has forgotten it; then the version that an edit was made on, or the event
 * that undo and redo mean, keeps the edit from being made twice (a copy of an annotation has neither).
 */
(() => {
  const PAUSE = 1000;
  const ask = window.fetch.bind(window);
  const isCallback = (input) => `${input && input.url ? input.url : input}`.includes("_dash-update-component");
  const page = Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("");
  let count = 0;

  window.fetch = async (input, options) => {
    if (!isCallback(input)) return ask(input, options);
    const headers = new Headers((options && options.headers) || (input && input.headers));
    headers.set("X-Request-Id", `${page}-${++count}`);
    for (;;) {
      try {
        return await ask(input, { ...options, headers });
      } catch (error) {
        // Not reached, or taken away: an answer, whatever it says, is no error here.
        if (error.name === "AbortError") throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  };

  /**
   * Ask for what changes nothing; while the server is away, once more when it is back.
   * @param {string} address
   * @param {Object} [options]  of fetch
   */
  window.iscan.read = async (address, options) => {
    try {
      return await window.fetch(address, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      await window.iscan.answering();
      return window.fetch(address, options);
    }
  };
})();
