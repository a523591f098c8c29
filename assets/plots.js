/*
 * The plots of the page: how many there are, what each shows, the tools, the areas drawn on them, and links to all of it.
 *
 * A plot has a number, by which the selection knows it, and a place on the page, from which its ids come. They differ only in
 * a window of one plot alone: there plot 3, say, is in the first place.
 */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const PLACES = [1, 2, 3, 4];
  const SIZES = { "1x1": 1, "1x2": 2, "2x2": 4 };
  const DRAWING = ["lasso", "box"];
  const GENES = "genes"; // what the axes' dropdown says of two genes, see plot_panel.py
  const byId = (id) => document.getElementById(id);
  const setProps = (id, props) => window.dash_clientside.set_props(id, props);

  /** The number of the plot that this window is for; null on the whole page. */
  const alone = Number((/^[1-4]$/.exec(iscan.pageBelow("/window/plot/")) || [])[0]) || null;
  if (alone) document.documentElement.classList.add("plot-window");

  const idOf = (place) => `plot-${place}`;
  const partOf = (place, part) => (place === 1 ? `plot-${part}` : `plot-${place}-${part}`);
  const numberOf = (place) => alone || place;
  const placeOf = (id) => Number(id.split("-")[1]);

  const choices = new Map(); // place -> {axes, by, view}: what its controls say
  const made = new Set([1]); // places whose plot is there, or on its way
  let current = 1; // the plot used last
  let tool = "pan";

  // -- what a plot shows, as text ------------------------------------------------------------------------------

  const genesOf = (axes) => /^gene:(.*?)\|gene:(.*)$/s.exec(axes || "");
  const axesOf = (embedding, x, y) => (embedding !== GENES ? embedding : x && y ? `gene:${x}|gene:${y}` : null);
  const byOf = (colour, gene, layer) => (gene ? `gene${layer ? `|${encodeURIComponent(layer)}` : ""}:${gene}` : colour || "");

  function geneOf(by) {
    const found = /^gene(?:\|([^:]*))?:(.+)$/s.exec(by || "");
    return found && { gene: found[2], layer: found[1] ? decodeURIComponent(found[1]) : null };
  }

  /** Choose in a dropdown what a link names, and tell whether it is offered. */
  function chooseOffered(id, value) {
    const { options } = window.dash_component_api.getLayout(id).props;
    const isOffered = options.some((option) => option.value === value);
    if (isOffered) setProps(id, { value });
    return isOffered;
  }

  /** Genes are offered only when searched for; Dash drops a value that is not among the options. */
  const chooseGene = (id, gene) => setProps(id, { options: [{ label: gene, value: gene }], value: gene });

  /**
   * Let a plot show something else, and tell whether there is such a thing.
   * @param {number} place
   * @param {{axes: string, by: string}} choice  what is empty stays as it is
   */
  function choose(place, { axes, by }) {
    const known = [];
    const pair = genesOf(axes);
    if (pair) {
      chooseGene(partOf(place, "gene-x"), pair[1]);
      chooseGene(partOf(place, "gene-y"), pair[2]);
    }
    if (axes) known.push(chooseOffered(partOf(place, "embedding"), pair ? GENES : axes));
    const found = geneOf(by);
    if (found) {
      if (found.layer) setProps(partOf(place, "layer"), { value: found.layer });
      chooseGene(partOf(place, "gene"), found.gene);
    } else if (by) {
      setProps(partOf(place, "gene"), { value: null });
      known.push(chooseOffered(partOf(place, "colour"), by));
    }
    return !known.includes(false);
  }

  /** Colour the plot used last by "kind:key"; a gene chosen before gives way. */
  iscan.colourBy = (by) => {
    setProps(partOf(current, "gene"), { value: null });
    setProps(partOf(current, "colour"), { value: by });
  };

  // -- links ---------------------------------------------------------------------------------------------------
  // ?plots=1x2&annotation=ID&view=AXES~KIND:KEY~x0,x1,y0,y1&view2=...; the annotation is that of the first plot

  const escaped = (text) => text.replace(/[%~]/g, encodeURIComponent).replaceAll("~", "%7E");

  function unescaped(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // typed by hand
    }
  }

  const nameOf = (place) => (place === 1 ? "view" : `view${place}`);

  function readLink(place) {
    const query = new URLSearchParams(window.location.search);
    const [axes, by, range] = (query.get(nameOf(place)) || "").split("~");
    const annotation = place === 1 && query.get("annotation");
    return { axes: unescaped(axes || ""), by: annotation ? `annotation:${annotation}` : unescaped(by || ""), ranges: (range || "").split(",").map(Number) };
  }

  /** The ranges of the link by place, until the plot of their axes is drawn. */
  const linked = new Map();
  for (const place of PLACES) {
    const { axes, ranges } = readLink(place);
    if (ranges.length === 4 && ranges.every(Number.isFinite)) linked.set(place, { axes, x: ranges.slice(0, 2), y: ranges.slice(2) });
  }

  function textOf({ axes, by, view }, separateAnnotation) {
    const ranges = view && view.x ? [...view.x, ...view.y].map((value) => Number(value.toPrecision(5))).join(",") : "";
    return [escaped(axes), separateAnnotation && by.startsWith("annotation:") ? "" : escaped(by), ranges].join("~").replace(/~+$/, "");
  }

  function writeLink() {
    const query = new URLSearchParams(window.location.search);
    for (const name of ["annotation", "plots", ...PLACES.map(nameOf)]) query.delete(name);
    if (shown() > 1) query.set("plots", arrangement());
    for (const place of PLACES.slice(0, shown())) {
      const choice = choices.get(place) || readLink(place);
      if (!choice.axes) continue;
      if (place === 1 && choice.by.startsWith("annotation:")) query.set("annotation", choice.by.slice(11));
      query.set(nameOf(place), textOf(choice, place === 1));
    }
    window.history.replaceState(window.history.state, "", `${window.location.pathname}?${query}`);
  }

  /** Dash tells that a plot's controls say something else, or that its view moved. */
  function keep(place, embedding, x, y, colour, gene, layer, view) {
    const axes = axesOf(embedding, x, y);
    if (!axes) return;
    const choice = { axes, by: byOf(colour, gene, layer), view };
    choices.set(place, choice);
    if (!linked.size) writeLink();
    tellWindows(place, choice);
  }

  // -- drawing -------------------------------------------------------------------------------------------------

  /** On a dark page light greys would shine: zero, missing and other have greys of their own there. */
  function themed(spec) {
    if (document.documentElement.dataset.bsTheme !== "dark") return spec;
    const grey = (colour) => spec.on_dark[colour] || colour;
    return {
      ...spec,
      ink: spec.ink.map(grey),
      zero: spec.zero && grey(spec.zero),
      legend: spec.legend.map((row) => ({ ...row, colour: grey(row.colour) })),
      onPaper: spec,
    };
  }

  /** What cells would look like with other labels, on plots of one annotation: {by, of, colours}; null for none. */
  let preview = null;

  const versionOf = (spec) => spec.codes && new URL(spec.codes, window.location.origin).searchParams.get("v");
  const isPreviewed = (spec) => preview !== null && spec.by === preview.by && versionOf(spec) === preview.of;
  const looks = (spec) => themed(isPreviewed(spec) ? { ...spec, ...preview.colours } : spec);

  const drawn = new Map(); // place -> its spec
  const showAgain = (which) => drawn.forEach((spec, place) => which(spec) && iscan.scatter.show(idOf(place), looks(spec)));
  new MutationObserver(() => showAgain(() => true)).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });

  /**
   * Show what an annotation would look like, on the plots that are coloured by it. Nothing is changed by that; once the
   * annotation has another version, plots show that.
   * @param {string} by            "annotation:ID"
   * @param {Object|null} colours  what differs in the plots' specs; null shows again what holds
   * @param {string|null} [of]     the version that this was found for; null: whichever
   */
  function showPreview(by, colours, of = null) {
    const before = preview;
    // That of an earlier version goes by itself, when the plots hear of the next one.
    if (!colours && (!before || (of !== null && before.of !== of))) return;
    preview = colours && { by, of, colours };
    showAgain((spec) => spec.by === by || (before && spec.by === before.by));
  }

  function draw(place, asked) {
    if (!asked) return;
    drawn.set(place, asked);
    const link = linked.get(place);
    let spec = looks(asked);
    if (link && (!link.axes || link.axes === asked.axes.name)) {
      linked.delete(place);
      spec = { ...spec, view: { x: link.x, y: link.y } };
    }
    iscan.scatter.show(idOf(place), spec);
    iscan.scatter.tool(idOf(place), tool);
    outline(place);
  }

  const AFTER_PICTURE = 100; // ms that the page beside the plots has to arrive before Plotly's scripts keep the browser busy
  const asked = new Set(); // places whose graph was asked for

  /** Plotly takes the browser half a second: it comes when the cells are seen, and brings panning, zooming and labels. */
  function askForGraph(place) {
    if (asked.has(place)) return;
    asked.add(place);
    const ask = () => setProps(partOf(place, "graph-wanted"), { data: true });
    setTimeout(() => (window.requestIdleCallback ? window.requestIdleCallback(ask, { timeout: 500 }) : ask()), AFTER_PICTURE);
  }
  document.addEventListener("iscan:painted", ({ detail }) => askForGraph(placeOf(detail.plot)), true);

  // -- arrangement ---------------------------------------------------------------------------------------------

  const arrangement = () => byId("plots-grid").dataset.arrangement;
  const shown = () => SIZES[arrangement()];

  /** Dash calls no callback without an output when its inputs come late: a plot that arrives is drawn from here. */
  function whenThere(place) {
    const valueOf = (part, prop = "value") => window.dash_component_api.getLayout(partOf(place, part)).props[prop];
    const arriving = new MutationObserver(() => {
      if (!byId(`${idOf(place)}-frame`)) return;
      arriving.disconnect();
      draw(place, valueOf("spec", "data"));
      keep(place, ...["embedding", "gene-x", "gene-y", "colour", "gene", "layer"].map((part) => valueOf(part)), null);
    });
    arriving.observe(byId(`${idOf(place)}-slot`), { childList: true, subtree: true });
  }

  /** Show so many plots; one that was not there yet begins as the first one is, or as the link says. */
  function arrange(name) {
    const [earlier, before] = [arrangement(), shown()];
    byId("plots-grid").dataset.arrangement = name;
    for (const button of document.querySelectorAll(".plot-arrangements [data-arrangement]")) {
      button.setAttribute("aria-pressed", String(button.dataset.arrangement === name));
    }
    for (const place of PLACES.slice(0, shown())) {
      if (made.has(place)) continue;
      made.add(place);
      const link = readLink(place);
      const first = choices.get(1) || readLink(1);
      whenThere(place);
      setProps(partOf(place, "start"), { data: { axes: link.axes || first.axes, by: link.by || first.by } });
    }
    const gone = PLACES.slice(shown(), before);
    for (const number of gone) linked.delete(number);
    if (gone.length) removePlots(gone, earlier);
    if (current > shown()) current = 1;
    if (!linked.size) writeLink();
  }

  /** The plots that windows and other tabs of the user show, by number; they are given a moment to say so. */
  function shownElsewhere() {
    const asked = String(Math.random());
    const found = new Set();
    const hear = ({ data }) => data.to === asked && data.shown.forEach((number) => found.add(number));
    present.addEventListener("message", hear);
    present.postMessage({ asked });
    return new Promise((resolve) =>
      setTimeout(() => {
        present.removeEventListener("message", hear);
        resolve(found);
      }, 150),
    );
  }

  const present = new BroadcastChannel(iscan.own("iscan-plots-shown"));
  present.addEventListener("message", ({ data }) => {
    if (data.asked) present.postMessage({ to: data.asked, shown: alone ? [alone] : PLACES.slice(0, shown()) });
  });

  /** Take plots away with their areas. What a query made of them it says itself, instead of meaning something else. */
  async function removePlots(numbers, earlier) {
    const isDrawnOn = (number) => selection && selection.plots[number];
    if (!numbers.some(isDrawnOn)) return;
    const elsewhere = await shownElsewhere();
    // Others may show them, and so may this page again.
    const gone = numbers.filter((number) => isDrawnOn(number) && number > shown() && !elsewhere.has(number));
    if (!gone.length) return;
    const areas = selection.areas.filter(({ plot }) => gone.includes(plot)).length;
    await act({ do: "remove_plots", plots: gone });
    const { version, plots } = iscan.selection.state();
    if (gone.some((number) => plots[number])) return;
    const back = () => {
      arrange(earlier);
      // What was chosen since then is not taken back with it.
      if (iscan.selection.state().version === version) act({ do: "back" });
    };
    iscan.toast.show({
      id: `plots-removed-${version}`,
      kind: "warning",
      text: `${areas} ${areas === 1 ? "area" : "areas"} of ${gone.length === 1 ? "plot" : "plots"} ${gone.join(", ")} removed.`,
      actions: [{ text: "Back", run: back }],
      seconds: 12,
    });
  }

  // -- tools ---------------------------------------------------------------------------------------------------

  /** @param {"pan"|"zoom"|"lasso"|"box"} name  what a drag does, on all plots */
  function take(name) {
    tool = name;
    if (!DRAWING.includes(name)) arm(null);
    for (const place of made) iscan.scatter.tool(idOf(place), name);
    for (const each of ["pan", "zoom", ...DRAWING]) {
      byId(`plot-${each}`).classList.toggle("active", each === name);
      byId(`plot-${each}`).setAttribute("aria-pressed", String(each === name));
    }
  }

  /** Give up what is being drawn, else put the tool away; tell whether there was something to do. */
  function escape() {
    for (const place of made) if (iscan.scatter.cancel(idOf(place))) return true;
    if (tool === "pan") return false;
    take("pan");
    return true;
  }

  function reset() {
    for (const place of made) iscan.scatter.reset(idOf(place));
  }

  for (const name of ["pointerover", "focusin"]) {
    document.addEventListener(name, (event) => {
      const plot = event.target.closest && event.target.closest(".plot");
      if (plot) current = Number(plot.dataset.plot);
    });
  }

  /** A file name that says what the picture shows. */
  function pictureName(place) {
    const parts = [document.querySelector(".study-title"), document.querySelector(`#${idOf(place)}-legend .legend-title`)];
    const words = parts.map((part) => (part ? part.textContent : "")).filter(Boolean);
    return words.join(" ").replace(/[^\p{L}\p{N}.+-]+/gu, "-") || "cells";
  }

  const save = (place, format) => iscan.scatter.exportImage(idOf(place), format, { scale: 2, filename: pictureName(place) });

  const CLICKS = new Map([
    ["plot-reset", reset],
    ...["pan", "zoom", ...DRAWING].map((name) => [`plot-${name}`, () => take(name)]),
    ...Object.keys(SIZES).map((name) => [`plots-${name}`, () => arrange(name)]),
    ...PLACES.flatMap((place) => [
      [partOf(place, "export-png"), () => save(place, "png")],
      [partOf(place, "export-svg"), () => save(place, "svg")],
      [partOf(place, "window"), () => openWindow(place)],
    ]),
  ]);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[id]");
    if (button && CLICKS.has(button.id)) CLICKS.get(button.id)();
  });

  // -- windows of their own ------------------------------------------------------------------------------------

  /** What ties this page and its windows together; a window begins with a copy of it. */
  function token() {
    const KEY = iscan.own("iscan-windows");
    try {
      if (!sessionStorage.getItem(KEY)) sessionStorage.setItem(KEY, String(Math.random()).slice(2));
      return sessionStorage.getItem(KEY);
    } catch {
      return ""; // storage refused: windows open, and are not kept in step
    }
  }

  const channel = token() ? new BroadcastChannel(`iscan-plots-${token()}`) : null;
  const following = new Map(); // place -> what another window said, until the controls here say it too

  function openWindow(place) {
    const query = new URLSearchParams({ view: textOf(choices.get(place), false) });
    window.open(iscan.address(`/window/plot/${numberOf(place)}?${query}`), `iscan-plot-${numberOf(place)}-${token()}`, "popup,width=900,height=760");
  }

  const sameAs = (a, b) => Boolean(a && b) && a.axes === b.axes && a.by === b.by;

  function tellWindows(place, { axes, by }) {
    const followed = following.get(place);
    const choice = { axes, by };
    if (followed && !sameAs(followed.choice, choice) && Date.now() < followed.until) return; // on the way there
    following.delete(place);
    if (channel && !(followed && sameAs(followed.choice, choice)) && !sameAs(told.get(place), choice)) {
      // The first word of a plot is where it begins, which is no news to anyone.
      if (told.has(place)) channel.postMessage({ plot: numberOf(place), ...choice });
    }
    told.set(place, choice);
  }
  const told = new Map();

  if (channel) {
    channel.addEventListener("message", ({ data }) => {
      const place = alone ? 1 : data.plot;
      if (numberOf(place) !== data.plot || !made.has(place) || sameAs(choices.get(place), data)) return;
      following.set(place, { choice: { axes: data.axes, by: data.by }, until: Date.now() + 3000 });
      choose(place, data);
    });
  }

  // -- areas and the selection ---------------------------------------------------------------------------------

  let selection = null; // its state as the server has it
  let mask = null; // its cells, as far as they are known
  let broughtOut = null; // cells that the panel brings out in their place; null: none
  let painted = null; // what the plots show of the two
  let redrawn = null; // the area that the next drag replaces

  /** Show the areas of a plot as the server has them. */
  function outline(place) {
    const areas = selection ? selection.areas.filter(({ plot }) => plot === numberOf(place)) : [];
    iscan.scatter.outlines(idOf(place), areas);
  }

  function isSame(a, b) {
    if (!a || !b || a.length !== b.length) return a === b;
    for (let row = 0; row < a.length; row++) if (a[row] !== b[row]) return false;
    return true;
  }

  function show(cells, isFirst = false) {
    if (isSame(cells, mask)) return;
    mask = cells;
    // Whoever selects cells wants to see them.
    if (isFirst) paint();
    else bringOut(null);
  }

  function paint() {
    const cells = broughtOut || mask;
    if (isSame(cells, painted)) return;
    painted = cells;
    iscan.scatter.select(cells);
  }

  /**
   * Bring cells out in place of the selection, which stays what it is.
   * @param {Uint8Array|null} cells  one byte by row; null: none
   * @param {string} [name]          what they are, for those who look whether they are there
   */
  function bringOut(cells, name = "") {
    broughtOut = cells;
    byId("plots-grid").dataset.broughtOut = name;
    paint();
  }

  /** The plots follow the selection, wherever it was changed. */
  async function follow(state) {
    const isFirst = selection === null;
    selection = state;
    if (redrawn && !state.areas.some(({ id }) => id === redrawn.id)) arm(null);
    for (const place of made) outline(place);
    let cells;
    try {
      cells = await iscan.selection.mask();
    } catch {
      return; // the plots stay as they are; the next change, or the next word from the server, asks again
    }
    if (selection !== state) return;
    show(cells, isFirst);
    byId("plots-grid").dataset.selection = state ? state.version : "";
  }

  async function act(action) {
    const before = selection;
    if ((await iscan.selection.act(action)) === before) follow(before); // refused, and said so: back to what is
  }

  /**
   * The selection as it will be with an area just drawn; undefined when that depends on what only the server knows.
   * @param {string} id       of the plot
   * @param {{points: number[][], mode: string}} area
   */
  function guess(id, { points, mode }) {
    if (selection && (selection.filters.length || selection.mode === "custom")) return undefined;
    const number = numberOf(placeOf(id));
    const areas = selection ? selection.areas : [];
    const own = areas.filter(({ plot }) => plot === number);
    if (areas.length > own.length || (selection && selection.plots[number] && selection.plots[number].inverted)) return undefined;
    if (mode === "new" || !own.length) return mode === "subtract" ? undefined : iscan.scatter.inside(id, points, null, 1);
    if (mode === "add") return iscan.scatter.inside(id, points, mask, 1);
    // Taken from the last area alone.
    return own.length === 1 && !own[0].inverted ? iscan.scatter.inside(id, points, mask, 0) : undefined;
  }

  document.addEventListener("iscan:drawn", ({ detail }) => {
    const { plot, axes, points, mode } = detail;
    const number = numberOf(placeOf(plot));
    const known = selection;
    const action = { do: "draw", plot: number, axes, points, mode };
    if (redrawn && redrawn.plot === number) action.area = redrawn.id;
    arm(null); // whatever else is drawn is drawn beside it
    act(action);
    if (action.area) return;
    // The count is on the page with the next frame; the cells follow.
    requestAnimationFrame(() =>
      setTimeout(() => {
        const cells = selection === known ? guess(plot, detail) : undefined;
        if (cells) show(cells);
      }),
    );
  });

  /** Say which area the next drawing replaces, null for none; the strip shows it. */
  function arm(area) {
    if (area === redrawn) return;
    redrawn = area;
    document.dispatchEvent(new CustomEvent("iscan:redraw", { detail: area }));
  }

  /** The next drag on its plot, which is shown, draws an area anew. @param {{id: string, plot: number}} area */
  function redraw(area) {
    if (area.plot > shown()) arrange(Object.keys(SIZES).find((name) => SIZES[name] >= area.plot));
    if (!DRAWING.includes(tool)) take("lasso");
    arm(area);
    byId(`${idOf(area.plot)}-slot`).scrollIntoView({ block: "nearest" });
  }

  /** Turn the areas of a plot round: of the one used last, or of the only one that has any. */
  function invert() {
    const numbers = selection ? Object.keys(selection.plots).map(Number) : [];
    const number = numbers.includes(numberOf(current)) ? numberOf(current) : numbers.length === 1 ? numbers[0] : null;
    if (number) act({ do: "invert_plot", plot: number });
  }

  // -- start ---------------------------------------------------------------------------------------------------

  function start() {
    const named = new URLSearchParams(window.location.search).get("plots");
    for (const place of PLACES.slice(alone ? 1 : SIZES[named] || 1)) linked.delete(place);
    const first = readLink(1); // before anything is written over it
    if (!alone && SIZES[named] > 1) arrange(named);
    if (!choose(1, first)) {
      const text = "The link names something that this study does not have (any more); the usual plot is shown instead.";
      iscan.toast.show({ id: "link", kind: "warning", text, actions: [], seconds: null });
    }
    iscan.selection.onChange(follow);
  }

  // What the strip and the Cell Filter use of the plots.
  iscan.selection = Object.assign(iscan.selection || {}, { tool: take, redraw });

  iscan.plots = {
    start,
    arrange,
    tool: take,
    escape,
    reset,
    bringOut,
    invert,
    preview: showPreview,
    /** Whether a plot that is shown is coloured by "kind:key". */
    isColouredBy: (by) => [...drawn].some(([place, spec]) => place <= shown() && spec.by === by),
    /** The id of a part of the plot used last. */
    currentPart: (part) => partOf(current, part),
    callbacks: {
      /** The panel shows another page: its address says nothing of the plots yet. */
      keepLink: () => void (choices.size && !linked.size && writeLink()),
      clearGene: (_, gene) => (gene ? null : window.dash_clientside.no_update),
      showFields: (embedding, gene, layers) => [embedding !== GENES, embedding !== GENES, !gene || layers.length < 2],
      ...Object.fromEntries(PLACES.flatMap((place) => [
        [`draw${place}`, (spec) => draw(place, spec)],
        [`keep${place}`, (...values) => keep(place, ...values)],
      ])),
    },
  };
})();
