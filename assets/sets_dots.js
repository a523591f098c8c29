/* Dot plots of groups and gene sets: the size of a dot is the percentage of cells that express the genes, its colour another number
 * of the grid. A click ticks the row of the grid. Drawn as SVG, which can be saved as it is. */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  const SVG = "http://www.w3.org/2000/svg";
  const MOST_GROUPS = 60; // and more are scrolled
  const MOST_SETS = 40;
  const MOST_DOTS = 5000; // drawn at once
  const CELL = { least: 17, most: 28, height: 22 };
  const VIRIDIS = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
  const DIVERGING = ["#2166ac", "#67a9cf", "#d1e5f0", "#ffffff", "#fddbc7", "#ef8a62", "#b2182b"];
  const ZERO = "#d3d7dc"; // expression of nothing
  const SIZES = [0, 25, 50, 75, 100];
  const parts = () => iscan.filterParts;
  const own = () => iscan.fromEnrichment;
  const make = (...given) => parts().make(...given);

  const PLOTS = [
    { id: "average_expression", title: "Average Expression", unit: "mean log expression", zero: true },
    { id: "average_minus_log10_p", title: "Average -log10(P-Value)", unit: "mean per-cell -log10 P" },
    { id: "score", title: "Average Enrichment Score", unit: "mean score" },
    { id: "difference", title: "Average Enrichment Score Difference", unit: "difference of mean scores", diverging: true },
  ];

  const hex = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

  /** The colour of a part of a scale, 0 to 1. */
  function mixed(stops, part) {
    const at = Math.min(1, Math.max(0, part)) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(at));
    const [a, b] = [hex(stops[low]), hex(stops[low + 1])];
    return `#${a.map((value, k) => Math.round(value + (b[k] - value) * (at - low)).toString(16).padStart(2, "0")).join("")}`;
  }

  /** How a number is coloured: its range, and the colour of each value. */
  function scaleOf({ id, zero, diverging }, table) {
    const values = table.columns[id].flat().filter((value) => value !== null);
    if (diverging) {
      const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-12);
      return { low: -most, high: most, stops: DIVERGING, colour: (value) => mixed(DIVERGING, (value + most) / (2 * most)) };
    }
    const high = values.length ? values.reduce((a, b) => Math.max(a, b)) : 1;
    const least = values.length ? values.reduce((a, b) => Math.min(a, b)) : 0;
    const low = Math.min(0, least);
    const span = high - low || 1;
    return { low, high, stops: VIRIDIS, colour: (value) => (zero && value === 0 ? ZERO : mixed(VIRIDIS, (value - low) / span)) };
  }

  const radius = (percentage, most) => most * Math.sqrt(percentage / 100);

  function svg(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** A text that fits, with its middle left out; the whole of it is what is pointed at. */
  function fitting(text, most) {
    if (text.length <= most) return text;
    const half = Math.floor((most - 1) / 2);
    return `${text.slice(0, most - 1 - half)}\u2026${text.slice(text.length - half)}`;
  }

  let ruler = null;

  /** How many pixels the widest of some texts takes. */
  function widest(texts) {
    ruler ??= make("canvas").getContext("2d");
    ruler.font = "12px system-ui, sans-serif";
    return texts.reduce((most, text) => Math.max(most, ruler.measureText(text).width), 16);
  }

  function label(text, most, attributes) {
    return svg("text", attributes, fitting(text, most), svg("title", {}, text));
  }

  /** The order in which groups or sets are drawn; by name, cells without a value come last. */
  function ordered(names, clustered, missing = -1) {
    const { order } = own().state();
    if (order === "cluster") return clustered;
    const places = names.map((_, k) => k);
    if (order === "name") places.sort((a, b) => (a === missing) - (b === missing) || names[a].localeCompare(names[b], "en", { numeric: true, sensitivity: "base" }) || a - b);
    return places;
  }

  function inks(isPaper) {
    if (isPaper) return { ink: "#1d232b", muted: "#59636f", line: "#dfe3e8", paper: "#ffffff" };
    const style = getComputedStyle(document.documentElement);
    const value = (name) => style.getPropertyValue(name).trim();
    return { ink: value("--bs-body-color"), muted: value("--muted"), line: value("--line"), paper: "none" };
  }

  /** What is drawn: groups and sets in their order, those that are searched for. */
  function chosen(table) {
    const { title } = iscan.enrichmentNumbers;
    const wanted = own().state().search.trim().toLocaleLowerCase();
    const groups = ordered(table.groups.map((group) => title(group.label)), table.order_groups, table.groups.findIndex((group) => group.label === null));
    const all = ordered(table.sets.map(({ name }) => name), table.order_sets).filter((s) => !wanted || table.sets[s].name.toLocaleLowerCase().includes(wanted));
    const sets = all.slice(0, Math.max(1, Math.floor(MOST_DOTS / groups.length)));
    return { groups: groups.slice(0, MOST_DOTS), sets, left: all.length - sets.length, leftGroups: Math.max(0, groups.length - MOST_DOTS) };
  }

  function legends(plot, scale, { ink, muted }, left, most) {
    const { short } = iscan.enrichmentNumbers;
    const small = { "font-size": 11, fill: muted };
    const gradient = `from-enrichment-gradient-${plot.id}`;
    const stops = scale.stops.map((colour, k) => svg("stop", { offset: k / (scale.stops.length - 1), "stop-color": colour }));
    const bar = svg("g", { class: "enrichment-colours", "data-low": scale.low, "data-high": scale.high }, svg("linearGradient", { id: gradient }, ...stops), svg("text", { x: left, y: 11, ...small }, plot.unit), svg("rect", { x: left, y: 16, width: 130, height: 10, fill: `url(#${gradient})`, stroke: muted, "stroke-width": 0.5 }), svg("text", { x: left, y: 38, ...small }, short(scale.low)), svg("text", { x: left + 130, y: 38, "text-anchor": "end", ...small }, short(scale.high)));
    if (plot.diverging) bar.append(svg("text", { x: left + 65, y: 38, "text-anchor": "middle", ...small }, "0"));
    const dots = svg("g", { class: "enrichment-sizes" }, svg("text", { x: left + 160, y: 11, ...small }, "cells that express, %"));
    SIZES.forEach((size, k) => {
      const x = left + 172 + 30 * k;
      if (size) dots.append(svg("circle", { cx: x, cy: 22, r: radius(size, most), fill: "none", stroke: ink, "data-size": size }));
      dots.append(svg("text", { x, y: 43, "text-anchor": "middle", ...small }, String(size)));
    });
    return [bar, dots];
  }

  /**
   * Draw a plot.
   * @param {Object} plot       one of PLOTS
   * @param {Object} table      the statistics
   * @param {number} width      what there is room for
   * @param {boolean} isPaper   dark on white, to be saved
   */
  function drawing(plot, table, width, isPaper = false) {
    const { title, attribute } = iscan.enrichmentNumbers;
    const colours = inks(isPaper);
    const { groups, sets } = chosen(table);
    const scale = scaleOf(plot, table);
    const left = Math.ceil(20 + widest(groups.map((g) => fitting(title(table.groups[g].label), 24))));
    const slant = Math.ceil(14 + widest(sets.map((s) => fitting(table.sets[s].name, 26))) * Math.SQRT1_2);
    const top = 52 + slant;
    const step = Math.min(CELL.most, Math.max(CELL.least, (width - left - slant - 8) / Math.max(1, sets.length)));
    const most = Math.min(step, CELL.height) / 2 - 1;
    const full = Math.ceil(Math.max(left + step * sets.length + slant, left + 340));
    const height = Math.ceil(top + CELL.height * groups.length + 8);
    const root = svg("svg", { xmlns: SVG, width: full, height, viewBox: `0 0 ${full} ${height}`, "font-family": "system-ui, sans-serif", class: "enrichment-dots-svg", role: "group", "aria-label": `${plot.title}: dots of groups and gene sets` });
    if (colours.paper !== "none") root.append(svg("rect", { width: full, height, fill: colours.paper }));
    root.append(...legends(plot, scale, colours, 12, most));
    const right = left + step * sets.length;
    groups.forEach((g, row) => {
      const y = top + CELL.height * (row + 0.5);
      root.append(svg("line", { x1: left, x2: right, y1: y, y2: y, stroke: colours.line }), label(title(table.groups[g].label), 24, { x: left - 8, y: y + 4, "text-anchor": "end", "font-size": 12, fill: colours.ink }));
    });
    sets.forEach((s, column) => {
      const x = left + step * (column + 0.5);
      root.append(svg("line", { x1: x, x2: x, y1: top, y2: height - 8, stroke: colours.line }), label(table.sets[s].name, 26, { transform: `translate(${x + 3} ${top - 6}) rotate(-45)`, "font-size": 12, fill: table.sets[s].found ? colours.ink : colours.muted }));
    });
    const values = table.columns[plot.id];
    groups.forEach((g, row) => {
      sets.forEach((s, column) => {
        const value = values[g][s];
        const size = table.columns.average_percentage[g][s];
        // Nothing to say, no dot.
        if (value === null || size === null) return;
        const r = radius(size, most);
        const dot = svg("circle", { cx: left + step * (column + 0.5), cy: top + CELL.height * (row + 0.5), r, fill: scale.colour(value), stroke: "#808a96", "stroke-width": 0.5, "data-g": g, "data-s": s, "data-row": row, "data-column": column, "data-value": value, "data-size": size });
        if (!isPaper) {
          const group = table.groups[g].label;
          Object.entries({ class: "enrichment-dot", role: "checkbox", tabindex: -1, "data-group": attribute(group), "data-set": table.sets[s].name, "aria-label": `${title(group)}, ${table.sets[s].name}: ${iscan.enrichmentNumbers.short(value)}, ${size.toFixed(1)} % of cells` }).forEach(([name, text]) => dot.setAttribute(name, text));
        }
        root.append(dot);
      });
    });
    return root;
  }

  // -- what is pointed at ------------------------------------------------------------------------------------------------

  let tip = null;

  function showTip(dot, table) {
    const { short, percent, title } = iscan.enrichmentNumbers;
    const [g, s] = [Number(dot.dataset.g), Number(dot.dataset.s)];
    const { columns } = table;
    const lines = [
      ["Cells", parts().number(table.groups[g].n)],
      ["Genes found", `${table.sets[s].found}/${table.sets[s].asked}`],
      ["Average Percentage", `${percent(columns.average_percentage[g][s])} %`],
      ...PLOTS.map(({ id, title: name }) => [name, short(columns[id][g][s])]),
      ["Enrichment P-Value", table.p[g][s]],
      ["AUC", short(columns.auc[g][s])],
    ];
    hideTip();
    tip = make("div", { class: "enrichment-tip", role: "tooltip" }, make("b", {}, make("bdi", { textContent: title(table.groups[g].label) }), " \u00b7 ", make("bdi", { textContent: table.sets[s].name })), make("dl", {}, ...lines.flatMap(([name, text]) => [make("dt", { textContent: name }), make("dd", { textContent: text || "-" })])), make("span", { class: "muted", textContent: dot.getAttribute("aria-checked") === "true" ? "Click to take the tick away" : "Click to tick it" }));
    document.body.append(tip);
    const at = dot.getBoundingClientRect();
    const { offsetWidth, offsetHeight } = tip;
    tip.style.left = `${Math.max(4, Math.min(at.right + 8, window.innerWidth - offsetWidth - 4))}px`;
    tip.style.top = `${at.bottom + 8 + offsetHeight < window.innerHeight ? at.bottom + 8 : Math.max(4, at.top - offsetHeight - 8)}px`;
  }

  function hideTip() {
    if (tip) tip.remove();
    tip = null;
  }

  // -- saving ------------------------------------------------------------------------------------------------------------

  function save(blob, name) {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  const nameOf = (plot, table, ending) => `${[table.name, table.by.title, plot.id].join("_").replace(/[^\p{L}\p{N}_.-]+/gu, "_")}.${ending}`;

  function svgBlob(plot, table, width) {
    return new Blob([new XMLSerializer().serializeToString(drawing(plot, table, width, true))], { type: "image/svg+xml" });
  }

  function savePng(plot, table, width) {
    const image = new Image();
    const address = URL.createObjectURL(svgBlob(plot, table, width));
    image.onload = () => {
      const canvas = make("canvas");
      // As sharp as print needs, as far as browsers go.
      const times = Math.min(3, 8000 / Math.max(image.width, image.height));
      [canvas.width, canvas.height] = [image.width * times, image.height * times];
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(blob, nameOf(plot, table, "png")), "image/png");
      URL.revokeObjectURL(address);
    };
    image.onerror = () => iscan.enrichment.complain(new Error("The picture could not be made. Save it as SVG."));
    image.src = address;
  }

  // -- sections ----------------------------------------------------------------------------------------------------------

  function dots(plot) {
    let box = null;
    let note = null;
    let table = null;
    let isDue = false; // whether it is to be drawn when it comes into sight
    let watch = null;

    function render() {
      if (!table || !box || !box.isConnected) return;
      isDue = false;
      const { groups, sets, left, leftGroups } = chosen(table);
      const focused = box.contains(document.activeElement) ? document.activeElement.dataset : null;
      const { scrollLeft, scrollTop } = box;
      box.style.minHeight = "";
      box.replaceChildren(drawing(plot, table, box.clientWidth));
      [box.scrollLeft, box.scrollTop] = [scrollLeft, scrollTop];
      const says = [];
      if (table.groups.length > MOST_GROUPS || table.sets.length > MOST_SETS) says.push(`${parts().number(groups.length)} groups and ${parts().number(sets.length)} sets: scroll to see all${own().alone ? "" : ", or open it in its own window"}.`);
      if (left || leftGroups) says.push(`${parts().number(left || leftGroups)} more ${left ? "sets" : "groups"} are not drawn; search sets to choose.`);
      if (plot.id === "average_minus_log10_p") says.push(table.definitions[plot.id]);
      if (!box.querySelector(".enrichment-dot")) says.push(`No group has a number of this kind${own().state().search ? " for the sets that match" : ""}.`);
      note.textContent = says.join(" ");
      const first = (focused && box.querySelector(`[data-g="${focused.g}"][data-s="${focused.s}"]`)) || box.querySelector(".enrichment-dot");
      if (first) first.setAttribute("tabindex", 0);
      if (focused && first) first.focus({ preventScroll: true });
      pick();
    }

    function pick() {
      // What is out of sight may still show other groups.
      if (!table || !box || isDue) return;
      const ticks = table.groups.map(({ label: group }) => new Set(own().pickOf(group).sets));
      for (const dot of box.querySelectorAll(".enrichment-dot")) dot.setAttribute("aria-checked", String(ticks[dot.dataset.g].has(dot.dataset.set)));
    }

    const dotOf = (event) => event.target.closest && event.target.closest(".enrichment-dot");

    function toggle(dot) {
      own().toggle(table.groups[dot.dataset.g].label, dot.dataset.set);
      showTip(dot, table);
    }

    function onKey(event) {
      const dot = dotOf(event);
      if (!dot) return;
      if (event.key === " " || event.key === "Enter") {
        event.preventDefault();
        toggle(dot);
        return;
      }
      const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      if (!(event.key in moves)) return;
      event.preventDefault();
      const [down, along] = moves[event.key];
      let [row, column] = [Number(dot.dataset.row), Number(dot.dataset.column)];
      // Places without a dot are passed over.
      for (let k = 0; k < 1000; k++) {
        row += down;
        column += along;
        const next = box.querySelector(`.enrichment-dot[data-row="${row}"][data-column="${column}"]`);
        if (next) {
          dot.setAttribute("tabindex", -1);
          next.setAttribute("tabindex", 0);
          next.focus();
          return;
        }
        if (row < 0 || column < 0 || row > table.groups.length || column > table.sets.length) return;
      }
    }

    function draw(section) {
      const { iconButton } = parts();
      const width = () => box.clientWidth;
      box = make("div", { class: "enrichment-dots", id: `from-enrichment-dots-${plot.id}` });
      note = make("p", { class: "muted", role: "status" });
      for (const kind of ["pointerover", "focusin"]) box.addEventListener(kind, (event) => dotOf(event) && showTip(dotOf(event), table));
      for (const kind of ["pointerout", "focusout"]) box.addEventListener(kind, hideTip);
      box.addEventListener("scroll", hideTip);
      box.addEventListener("click", (event) => dotOf(event) && toggle(dotOf(event)));
      box.addEventListener("keydown", onKey);
      watch?.disconnect();
      watch = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && isDue && render(), { rootMargin: "200px" });
      watch.observe(box);
      let last = 0;
      new ResizeObserver(() => {
        if (!box || box.clientWidth === last) return;
        last = box.clientWidth;
        if (table && box.firstChild) render();
      }).observe(box);
      const element = section(
        view,
        iconButton("filetype-png", `${plot.title} as PNG`, () => table && savePng(plot, table, width())),
        iconButton("filetype-svg", `${plot.title} as SVG`, () => table && save(svgBlob(plot, table, width()), nameOf(plot, table, "svg"))),
      );
      element.append(box, note);
      table = null;
      return element;
    }

    function follow(next) {
      table = next;
      isDue = true;
      hideTip();
      if (!box) return;
      const at = box.getBoundingClientRect();
      if (at.top < window.innerHeight + 200 && at.bottom > -200) render();
      // It keeps its place until it is scrolled to.
      else if (!box.firstChild) box.style.minHeight = "240px";
    }

    const view = { id: plot.id, title: plot.title, draw, follow, pick };
    return view;
  }

  iscan.fromEnrichmentDots = PLOTS.map(dots);
})();
