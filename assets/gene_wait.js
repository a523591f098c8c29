/* While the server searches a large matrix for a gene: how far it is, and an end to it.
 *
 * Many requests read genes, those of plots as well as filters. One that takes long is reason to ask the server whether it
 * searches for a gene; what waits for something else shows nothing here.
 */
(() => {
  const READS = /_dash-(layout|update-component)|\/api\/v1\/(codes|positions|cells|filter|selection)/;
  const PATIENCE = 700; // ms; an index or a small matrix answers long before
  const EVERY = 500;
  const ask = window.fetch;
  let waiting = 0;
  let turn = 0; // goes up when nobody waits any more: a look that was under way then is over
  let timer = null;
  let box = null;

  window.fetch = (input, options) => {
    const answer = ask(input, options);
    if (!READS.test(`${input && input.url ? input.url : input}`)) return answer;
    waiting++;
    timer = timer ?? setTimeout(look, PATIENCE);
    const done = () => {
      waiting--;
      if (!waiting) stop();
    };
    answer.then(done, done);
    return answer;
  };

  function stop() {
    turn++;
    clearTimeout(timer);
    timer = null;
    hide();
  }

  async function look() {
    const own = turn;
    let found = { searches: [] };
    try {
      const response = await ask(window.iscan.address("/api/v1/genes/searches"));
      if (response.ok) found = await response.json();
    } catch {
      // The server is away: whoever asked it hears of that.
    }
    if (own !== turn) return;
    if (found.searches.length) show(found);
    else hide();
    timer = setTimeout(look, EVERY);
  }

  function hide() {
    box?.element.remove();
    box = null;
  }

  const make = (tag, name) => Object.assign(document.createElement(tag), { className: name });
  const percent = (part) => `${Math.floor(100 * part)} %`;

  function show({ searches, index }) {
    box = box ?? build();
    const [{ gene, part }] = searches;
    const others = searches.length > 1 ? ` and ${searches.length - 1} more` : "";
    box.what.textContent = `Searching for ${gene}${others}`;
    if (part === null) box.bar.removeAttribute("value");
    else box.bar.value = part;
    box.part.textContent = part === null ? "waiting" : percent(part);
    box.index.hidden = index === null;
    box.index.textContent = index === null ? "" : `An index that makes genes quick is being made: ${percent(index)}`;
  }

  function build() {
    const element = make("div", "toast-message gene-wait");
    element.setAttribute("role", "status");
    const what = make("span", "gene-wait-what");
    what.dir = "auto";
    const part = make("span", "numbers");
    const index = make("div", "muted");
    // What changes all the time is not read out.
    part.ariaHidden = index.ariaHidden = "true";
    const bar = make("progress", "gene-wait-bar");
    bar.ariaLabel = "Progress of the search";
    const line = make("div", "gene-wait-line");
    line.append(what, part);
    const texts = make("div", "toast-text");
    texts.append(line, bar, index);
    const cancel = Object.assign(make("button", "toast-action"), { type: "button", textContent: "Cancel" });
    cancel.addEventListener("click", () => {
      cancel.disabled = true;
      ask(window.iscan.address("/api/v1/genes/searches/cancel"), { method: "POST" }).catch(() => (cancel.disabled = false));
    });
    element.append(texts, cancel);
    // The page itself may wait for a gene, which its address names.
    const messages = document.getElementById("shell-toasts") || document.body.appendChild(make("div", "toasts"));
    messages.append(element);
    return { element, what, part, bar, index };
  }
})();
