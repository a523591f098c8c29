/* Requests name the study that this page shows: a server that was started again with another one refuses them, and a page
 * that was left open does not become a mixture of both. What a proxy answers in place of the server is no answer. Below
 * again.js, which wraps it.
 */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const header = "X-Iscan-Study";
  const OF_PROXIES = new Set([502, 503, 504]); // when the server does not answer them
  const isJson = (response) => (response.headers.get("Content-Type") || "").startsWith("application/json");
  const { content: name } = document.querySelector('meta[name="iscan-study"]');
  const ask = window.fetch.bind(window);
  let refused = null; // the answer that told of another study

  // What the browser fetched ahead is taken by a request that is the same, without our header.
  const ahead = new Set(Array.from(document.querySelectorAll("link[rel=preload][as=fetch]"), ({ href }) => href));

  window.fetch = async (input, options) => {
    const { origin, href } = new URL(input && input.url ? input.url : input, document.baseURI);
    if (origin !== window.location.origin) return ask(input, options);
    // Nobody there knows of what this page shows.
    if (refused) return refused.clone();
    const headers = new Headers((options && options.headers) || (input && input.headers));
    if (!ahead.delete(href)) headers.set(header, name);
    const response = await ask(input, { ...options, headers });
    // The server's own refusals are JSON.
    if (OF_PROXIES.has(response.status) && !isJson(response)) throw new TypeError("The server does not answer.");
    if (response.status === 409 && response.headers.has(header)) tell(response);
    return response;
  };

  async function tell(response) {
    refused ??= response.clone();
    const { error } = await response.clone().json();
    const button = Object.assign(document.createElement("button"), { className: "btn btn-sm btn-primary", textContent: "Load the page" });
    button.addEventListener("click", () => window.location.reload());
    iscan.lasting.show(error, button);
  }

  iscan.study = { header, name, isOther: () => refused !== null };
})();
