/**
 * Scatter plots of cells: the cells are pixels of our own canvas, Plotly lies over it and holds axes, tools and labels.
 *
 * One plot per frame in the page. `show` takes a new spec, fetches what is new in it and paints; Plotly's ranges decide what
 * is in view from then on.
 *
 * The parts: scatter_data.js (arrays, order), scatter_paint.js (pixels), scatter_bins.js (finding cells), scatter_graph.js
 * (the wire to Plotly), scatter_remote.js and scatter_worker.js (painting beside the page), scatter_axes.js and scatter_labels.js (what it is told), scatter_draw.js, scatter_polygon.js and
 * scatter_areas.js (areas), scatter_frame.js, scatter_hover.js, scatter_export.js, legend.js.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const DIM = 0.2; // strength of what is not highlighted
  const SOFT_PIXELS = 3e6; // soft dots cost about 7 ns a pixel: so many take some 20 ms
  const MOVING_CELLS = 1.5e6; // cells painted while the view moves; all of them as soon as it rests
  const REST = 140; // ms without a move until the view rests
  const DRAWS = new Set(['lasso', 'box']); // tools whose drags are ours, not Plotly's
  const HAND_OVER = 400; // ms after the first picture until a large plot's cells go to the worker
  const LABELS_REST = 40; // ms without another label pointed at until those on the plot follow
  const plots = new Map();
  let selection = null; // the cells that are chosen, one byte by row; null: nothing is chosen

  /**
   * @typedef {Object} Spec  what a plot shows; JSON from the server
   * @property {number} cells
   * @property {string} xy                 URL: float32, n x-values then n y-values, NaN = no position
   * @property {string|null} codes         URL: uint8 display code per cell; null = all code 0
   * @property {string[]} ink              #rrggbb by display code
   * @property {'categorical'|'sequential'|'diverging'} scale
   * @property {number|null} missing       code painted first, in grey
   * @property {Array<{code: number, label: string, count: number, colour: string, is_label: boolean}>} legend
   *   is_label: false for the grouped rare labels and for the missing, which get no label on the plot
   * @property {number[]} [range]          [lo, hi] of a continuous scale
   * @property {number[]} [ticks]
   * @property {string|null} [zero]        colour of exactly zero, when that is none of the scale's
   * @property {string} [title]
   * @property {string} [unit]
   * @property {number[]} [clipped]        values below the range, and above it
   * @property {{name: string, x: string, y: string, visible: boolean, equal: boolean}} axes   equal: a unit is as long on both
   * @property {number[]} bounds           [x0, x1, y0, y1] of the cells with a position
   * @property {{x: number[], y: number[]}} [view]  ranges to start from, for a deep link; else everything
   * @property {boolean} label_centroids
   * @property {Object} [onPaper]          this spec in the colours of a light page, when it is in those of a dark one
   * @property {number|null} point_size    radius in CSS pixels, null = automatic
   * @property {number} opacity            0..1
   * @property {string|null} hover         URL with {row} in it -> {id, sample, fields: [[name, text], ...]}
   *
   * @typedef {Object} Stats
   * @property {number} loadMs     from the call of show to the painted plot, fetching included
   * @property {number} workMs     of that, spent in scripts here
   * @property {number} paintMs    last painting
   * @property {number} binMs      making the bins; 0 = not made yet
   * @property {number} cells      cells in the study
   * @property {number} painted    cells in view at the last painting
   * @property {number} count      cells in the area drawn last
   * @property {number} countMs    counting them
   * @property {number} releaseToCountMs   from letting go until their number was on the page
   */

  // ---- a plot -------------------------------------------------------------------------------------------------------

  function create(id, frame) {
    const { cellsCanvas, theme, busy } = iscan.scatterFrame;
    const plot = {
      id, frame, canvas: cellsCanvas(frame), asked: null, spec: null, serial: 0, abort: null,
      points: null, codes: null, ranks: null, counts: null, layer: null, marked: null, pictured: null, labels: [], highlighted: null, areas: [],
      // `wanted` and `home` are ranges that have to be seen; `view` is what is seen, as wide as the frame makes it
      view: null, wanted: null, home: null, moving: false, restTimer: 0, viewTimer: 0, labelTimer: 0, handTimer: 0, frameAsked: 0,
      theme: theme(frame), inks: null, scratch: {}, dotRadius: 1, tool: 'pan',
      stats: { loadMs: 0, workMs: 0, paintMs: 0, binMs: 0, cells: 0, painted: 0, count: 0, countMs: 0, releaseToCountMs: 0 },
    };
    plot.busy = busy(frame, () => show(id, plot.asked));
    plot.hover = iscan.scatterHover.follow(
      frame,
      (left, top) => (plot.points && !plot.moving ? iscan.scatterHover.pick(plot, areaOf(plot), left, top) : null),
      ({ row }) => DRAWS.has(plot.tool) || frame.dispatchEvent(new CustomEvent('iscan:cell', { bubbles: true, detail: { plot: id, row } })),
    );
    plot.wire = iscan.scatterGraph.connect(frame, {
      ready: () => tell(plot),
      moving: (view) => moving(plot, view),
      settled: (view) => settled(plot, view),
      reset: () => reset(id),
    });
    plot.over = iscan.scatterAreas.over(frame);
    plot.drawing = iscan.scatterDraw.follow(frame, {
      tool: () => (plot.points && DRAWS.has(plot.tool) ? plot.tool : null),
      area: () => areaOf(plot),
      draft: (outline) => plot.over.draft(outline),
      drawn: (outline, mode, event) => drawn(plot, outline, mode, event),
    });
    plot.resized = new ResizeObserver(() => resize(plot));
    plot.resized.observe(frame);
    return plot;
  }

  function dispose(plot) {
    if (plot.abort) plot.abort.abort();
    plot.serial++;
    plot.resized.disconnect();
    plot.wire.stop();
    plot.hover.stop();
    plot.drawing.stop();
    iscan.scatterRemote.forget(plot.id);
    clearTimeout(plot.handTimer);
    cancelAnimationFrame(plot.frameAsked);
    clearTimeout(plot.restTimer);
    clearTimeout(plot.viewTimer);
    clearTimeout(plot.labelTimer);
    if (plots.get(plot.id) === plot) plots.delete(plot.id);
  }

  function plotOf(id) {
    for (const plot of plots.values()) if (!plot.frame.isConnected) dispose(plot);
    const frame = document.getElementById(`${id}-frame`);
    if (!frame) return null;
    if (plots.has(id) && plots.get(id).frame !== frame) dispose(plots.get(id));
    if (!plots.has(id)) plots.set(id, create(id, frame));
    return plots.get(id);
  }

  /** Plot area inside the frame: what the margins leave. */
  function areaOf(plot) {
    const margin = iscan.scatterAxes.margins(plot.spec);
    const { clientWidth, clientHeight } = plot.frame;
    return {
      left: margin.l, top: margin.t,
      width: Math.max(0, clientWidth - margin.l - margin.r),
      height: Math.max(0, clientHeight - margin.t - margin.b),
    };
  }

  const density = () => Math.min(window.devicePixelRatio || 1, 3);

  // ---- painting -----------------------------------------------------------------------------------------------------

  /** How many cells are in view, from the first few thousand points: they are a random sample. */
  function inView(points, view) {
    const m = Math.min(points.x.length, 4096);
    let seen = 0;
    for (let i = 0; i < m; i++) {
      if (points.x[i] >= view.x[0] && points.x[i] <= view.x[1] && points.y[i] >= view.y[0] && points.y[i] <= view.y[1]) seen++;
    }
    return m ? (seen / m) * points.x.length : 0;
  }

  function radiusOf(plot, area) {
    if (plot.spec.point_size) return plot.spec.point_size;
    const span = (view) => (view.x[1] - view.x[0]) * (view.y[1] - view.y[0]);
    const zoom = Math.sqrt(Math.abs(span(fitted(plot, plot.home)) / span(plot.view)));
    return iscan.scatterPaint.radius(plot.points.x.length, zoom, Math.min(area.width, area.height));
  }

  function inksOf(spec, background) {
    const { inks } = iscan.scatterPaint;
    return { full: inks(spec.ink, background, 1), dim: inks(spec.ink, background, DIM) };
  }

  /** How the plot's cells are to look on a canvas with so many device pixels per CSS pixel: radius, opacity, soft. */
  function dotOf(plot, area, scale) {
    plot.dotRadius = radiusOf(plot, area);
    const r = Math.max(0.5, plot.dotRadius * scale);
    const soft = r > 0.75 && inView(plot.points, plot.view) * (2 * r + 2) ** 2 <= SOFT_PIXELS * Math.max(1, scale);
    const { opacity } = plot.spec;
    return [r, opacity === null || opacity === undefined ? 1 : opacity, soft];
  }

  /** The cells in painting order, the chosen ones marked. Where a worker paints, they are seldom needed here. */
  function layerOf(plot) {
    const { arrange, mark } = iscan.scatterData;
    const { points, ranks } = plot;
    const byRow = plot.codes || new Uint8Array(points.cells);
    if (!plot.layer) {
      plot.layer = arrange(points, byRow, ranks);
      plot.marked = null;
    }
    if (plot.marked !== selection) mark(plot.layer, points, byRow, ranks, selection);
    plot.marked = selection;
    return plot.layer;
  }

  /** Paints the plot's cells on any canvas; `scale` is device pixels per CSS pixel. */
  function paintOn(plot, canvas, area, scale, background, inks, step, scratch) {
    const { passes, dot, paint: run } = iscan.scatterPaint;
    const all = passes(layerOf(plot), inks, plot.highlighted, selection !== null);
    return run(canvas, plot.view, all, dot(...dotOf(plot, area, scale)), background, { step, scratch });
  }

  function setSize(canvas, width, height) {
    if (canvas.width !== width) canvas.width = width; // setting it clears the canvas, so only when it changes
    if (canvas.height !== height) canvas.height = height;
  }

  /** Lets the worker paint, and shows its picture when it comes; until then the one before moves along. */
  async function paintBeside(plot, area, scale, width, height, step) {
    const { view, theme } = plot;
    follow(plot, area);
    const picture = await iscan.scatterRemote.paint(plot.id, {
      width, height, view, ink: plot.inks, only: plot.highlighted, selected: selection !== null, dot: dotOf(plot, area, scale),
      background: theme.background, step,
    });
    if (!picture) return null;
    setSize(plot.canvas, width, height);
    plot.canvas.getContext('2d', { alpha: false }).drawImage(picture.image, 0, 0);
    picture.image.close();
    plot.pictured = view;
    follow(plot, area);
    return picture;
  }

  /** Puts the picture of an earlier view where its cells are in the present one. */
  function follow(plot, area) {
    const { pictured, view, canvas } = plot;
    if (!pictured || same(pictured, view) || plot.spec.axes.visible) {
      canvas.style.transform = '';
      return;
    }
    const scaleX = (pictured.x[1] - pictured.x[0]) / (view.x[1] - view.x[0]);
    const scaleY = (pictured.y[1] - pictured.y[0]) / (view.y[1] - view.y[0]);
    const left = ((pictured.x[0] - view.x[0]) / (view.x[1] - view.x[0])) * area.width;
    const top = ((view.y[1] - pictured.y[1]) / (view.y[1] - view.y[0])) * area.height;
    canvas.style.transform = `matrix(${scaleX}, 0, 0, ${scaleY}, ${left}, ${top})`;
  }

  function painted(plot, cells, ms) {
    plot.stats.painted = cells;
    plot.stats.paintMs = ms;
    plot.frame.dataset.painted = plot.spec.codes || 'none';
    plot.frame.dispatchEvent(new CustomEvent('iscan:painted', { detail: { plot: plot.id, cells, ms } }));
  }

  /** @returns {Promise<void>|undefined} when a worker paints: that it has */
  function paint(plot) {
    cancelAnimationFrame(plot.frameAsked);
    plot.frameAsked = 0;
    if (!plot.points) return undefined;
    const area = areaOf(plot);
    if (!area.width || !area.height) return undefined; // hidden: the observer paints when the frame has a size again
    const start = performance.now();
    const { canvas } = plot;
    const scale = density();
    const width = Math.round(area.width * scale);
    const height = Math.round(area.height * scale);
    Object.assign(canvas.style, { left: `${area.left}px`, top: `${area.top}px`, width: `${area.width}px`, height: `${area.height}px` });
    plot.over.move(plot.view, area);
    const step = plot.moving ? Math.max(1, Math.ceil(plot.points.x.length / MOVING_CELLS)) : 1;
    if (iscan.scatterRemote.takes(plot.id)) {
      const { spec } = plot;
      return paintBeside(plot, area, scale, width, height, step).then((picture) => {
        if (picture && plot.spec === spec) painted(plot, picture.painted, picture.ms);
        if (!picture && plot.points && !iscan.scatterRemote.takes(plot.id)) askPaint(plot); // the worker gave up
      });
    }
    setSize(canvas, width, height);
    const cells = paintOn(plot, canvas, area, scale, plot.theme.background, plot.inks, step, plot.scratch);
    plot.pictured = plot.view;
    canvas.style.transform = '';
    painted(plot, cells, performance.now() - start);
    return undefined;
  }

  function askPaint(plot) {
    if (!plot.frameAsked) plot.frameAsked = requestAnimationFrame(() => paint(plot));
  }

  // ---- view ---------------------------------------------------------------------------------------------------------

  /** A view as the frame can show it: axes with one unit are not stretched. */
  function fitted(plot, view) {
    return plot.spec && plot.spec.axes.equal ? iscan.scatterAxes.fit(view, areaOf(plot)) : view;
  }

  /** Takes over a view. What was asked for is kept, so that a frame that shrinks and grows again shows the same. */
  function look(plot, wanted) {
    plot.wanted = wanted;
    plot.view = fitted(plot, wanted);
  }

  const same = (a, b) => iscan.scatterGraph.sameRange(a.x, b.x) && iscan.scatterGraph.sameRange(a.y, b.y);

  /** Brings Plotly in line: ranges, axes, labels. What it has already it is not told again, so nothing goes round in circles. */
  function tell(plot) {
    const { spec, view, labels, theme } = plot;
    if (!spec) return;
    const area = areaOf(plot);
    const keys = iscan.scatterAxes.layout(spec, plot.home, theme);
    keys.dragmode = dragmodeOf(plot);
    if (area.width && area.height) keys.annotations = iscan.scatterLabels.annotations(labels, view, area, theme, { only: plot.highlighted });
    plot.wire.tell(keys, view);
  }

  /** What Plotly is to do with a drag; areas are drawn by us, and never reach it. */
  const dragmodeOf = (plot) => (DRAWS.has(plot.tool) ? false : plot.tool);

  /** The view moves under the pointer: Plotly says where to, the canvas follows. */
  function moving(plot, view) {
    plot.hover.hide();
    if (!plot.view || same(view, plot.view)) return;
    plot.view = plot.wanted = view;
    plot.moving = true;
    askPaint(plot);
    clearTimeout(plot.restTimer);
    plot.restTimer = setTimeout(() => rest(plot), REST);
  }

  function rest(plot) {
    clearTimeout(plot.restTimer);
    plot.moving = false;
    askPaint(plot);
  }

  /** Plotly has these ranges for good, or says so after something we told it ourselves: then nothing differs. */
  function settled(plot, view) {
    if (!plot.view) return;
    const changed = !same(view, plot.view);
    if (changed || plot.moving) look(plot, view); // a rectangle is shown whole, with room on two sides
    if (plot.moving || changed) rest(plot);
    tell(plot); // labels keep apart differently in a new view
    noteView(plot);
  }

  /** Leaves word of the view: in the frame for anyone who looks, in a store for links. */
  function noteView(plot) {
    const { x, y } = plot.view;
    const text = JSON.stringify([...x, ...y]);
    const before = plot.frame.dataset.view;
    plot.frame.dataset.view = text;
    if (before === text || (before === undefined && same(plot.view, fitted(plot, plot.home)))) return; // where a plot starts is no news to the store
    clearTimeout(plot.viewTimer);
    plot.viewTimer = setTimeout(() => {
      try {
        // What was asked for: a frame of another shape, here or in a link, makes its own view of it. All cells is nothing to ask for.
        const { x, y } = plot.wanted;
        window.dash_clientside.set_props(`${plot.id}-view`, { data: same(plot.wanted, plot.home) ? null : { x, y } });
      } catch (error) {
        console.debug(`No store keeps the view of ${plot.id}.`, error);
      }
    }, 300);
  }

  function setView(plot, view) {
    look(plot, view);
    askPaint(plot);
    tell(plot);
    noteView(plot);
  }

  function resize(plot) {
    if (!plot.spec || !plot.frame.clientWidth || !plot.frame.clientHeight) return;
    // both at once, before the browser draws the next picture
    look(plot, plot.wanted);
    plot.wire.force({ autosize: true });
    paint(plot);
    tell(plot);
    noteView(plot);
  }

  // ---- specs --------------------------------------------------------------------------------------------------------

  /** Labels that stand on the plot, with their places. */
  function labelsOf(plot) {
    const { spec } = plot;
    if (!spec.label_centroids || spec.scale !== 'categorical') return [];
    const entries = (spec.legend || []).filter((entry) => entry.is_label !== false && entry.code !== spec.missing);
    const middle = iscan.scatterLabels.centroids(plot.points, plot.codes, entries.map((entry) => entry.code));
    return entries
      .filter((entry) => middle.has(entry.code))
      .map(({ label, code, count }) => ({ label, code, count, ...middle.get(code) }));
  }

  function check(spec, points, codes) {
    const k = (value) => value.toLocaleString('en-US');
    if (points.cells !== spec.cells) throw new Error(`The server sent ${k(points.cells)} positions for ${k(spec.cells)} cells. Reload the page.`);
    if (codes && codes.length !== spec.cells) throw new Error(`The server sent ${k(codes.length)} colours for ${k(spec.cells)} cells. Reload the page.`);
  }

  /** Takes over a spec with its arrays; what has not changed since the last one is kept. */
  function adopt(plot, spec, points, codes) {
    const old = plot.spec;
    const newPlace = !old || old.xy !== spec.xy;
    const newCodes = newPlace || plot.codes !== codes || old.scale !== spec.scale || old.missing !== spec.missing || old.ink.length !== spec.ink.length;
    plot.spec = spec;
    plot.points = points;
    plot.codes = codes;
    plot.home = iscan.scatterAxes.home(spec.bounds);
    plot.stats.cells = spec.cells;
    if (newPlace) look(plot, spec.view || plot.home);
    if (newCodes) {
      const { count, ranks } = iscan.scatterData;
      plot.ranks = ranks(spec.scale, spec.ink.length, spec.missing);
      plot.layer = null;
      plot.counts = count(codes || new Uint8Array(spec.cells));
      if (iscan.scatterRemote.takes(plot.id)) iscan.scatterRemote.hand(plot);
      plot.highlighted = null;
    }
    plot.inks = inksOf(plot.spec, plot.theme.background);
    if (newPlace) outline(plot);
    plot.canvas.setAttribute('aria-label', `${spec.cells.toLocaleString('en-US')} cells on ${spec.axes.x} and ${spec.axes.y}` +
      (spec.title ? `, coloured by ${spec.title}` : ''));
  }

  function drawLegend(plot) {
    const root = document.getElementById(`${plot.id}-legend`);
    if (!root) return;
    iscan.legend.render(root, plot.spec, {
      counts: plot.counts,
      unplaced: plot.spec ? plot.spec.cells - plot.points.rows.length : 0,
      onHighlight: (codes) => highlight(plot.id, codes),
    });
  }

  function clear(plot) {
    plot.spec = plot.layer = plot.points = plot.codes = plot.pictured = null;
    iscan.scatterRemote.forget(plot.id);
    plot.canvas.width = 0;
    plot.labels = [];
    plot.over.show([]);
    plot.busy.idle();
    delete plot.frame.dataset.painted;
    drawLegend(plot);
    plot.wire.tell({ annotations: [], 'xaxis.visible': false, 'yaxis.visible': false }, null);
  }

  /**
   * Shows a spec: fetches what is new in it, paints, and brings legend, axes and labels in line. Of several calls in flight
   * the newest wins. A new embedding shows everything; any other change keeps the view.
   * @param {string} id           prefix of the plot's elements, "plot-1"
   * @param {Spec|null} spec      null empties the plot
   * @returns {Promise<Stats|null>} after painting; null when a newer call took over, or loading failed (the frame says why)
   */
  async function show(id, spec) {
    const started = performance.now();
    const plot = plotOf(id);
    if (!plot) return null;
    const serial = ++plot.serial;
    plot.asked = spec;
    if (plot.abort) plot.abort.abort();
    if (!spec) {
      clear(plot);
      return null;
    }
    plot.abort = new AbortController();
    const { signal } = plot.abort;
    plot.busy.loading();
    try {
      const [points, codes] = await Promise.all([
        iscan.scatterData.points(spec.xy, signal),
        spec.codes ? iscan.scatterData.codes(spec.codes, signal) : null,
      ]);
      if (serial !== plot.serial) return null;
      check(spec, points, codes);
      const working = performance.now() - (points.readAt > started ? points.readMs : 0);
      adopt(plot, spec, points, codes);
      drawLegend(plot); // before painting: it knows which labels are pinned, and leaves the plot its room
      look(plot, plot.wanted);
      await paint(plot);
      if (serial !== plot.serial) return null;
      plot.stats.workMs = performance.now() - working;
    } catch (error) {
      if (serial === plot.serial && error.name !== 'AbortError') plot.busy.failed(error.message);
      return null;
    }
    plot.stats.loadMs = performance.now() - started;
    plot.busy.idle();
    // labels need a pass over the cells and a redraw by Plotly: after the cells are on the screen
    setTimeout(() => {
      if (serial !== plot.serial) return;
      plot.labels = labelsOf(plot);
      tell(plot);
      noteView(plot);
      clearTimeout(plot.handTimer);
      if (!iscan.scatterRemote.takes(plot.id)) plot.handTimer = setTimeout(() => iscan.scatterRemote.hand(plot), HAND_OVER);
    });
    return { ...plot.stats };
  }

  /**
   * Brings some labels out: the others are dimmed, these are painted last in full colour.
   * @param {string} id
   * @param {number[]|null} codes   display codes; null = all alike
   */
  function highlight(id, codes) {
    const plot = plots.get(id);
    if (!plot) return;
    const next = codes ? new Set(codes) : null;
    const key = (set) => (set ? [...set].sort().join() : '');
    if (key(next) === key(plot.highlighted)) return;
    plot.highlighted = next;
    askPaint(plot);
    // the labels of the others step back too; not for each row that the pointer crosses
    clearTimeout(plot.labelTimer);
    plot.labelTimer = setTimeout(() => tell(plot), LABELS_REST);
  }

  /** What a drag does. @param {string} id @param {'pan'|'zoom'|'lasso'|'box'} name */
  function tool(id, name) {
    const plot = plots.get(id);
    if (!plot || plot.tool === name) return;
    plot.drawing.cancel();
    plot.tool = plot.frame.dataset.tool = name;
    tell(plot);
    if (DRAWS.has(name) && plot.points) iscan.scatterBins.want(plot.points, plot.stats);
  }

  /** Gives up the area being drawn. @param {string} id @returns {boolean} whether there was one */
  function cancel(id) {
    const plot = plots.get(id);
    return Boolean(plot) && plot.drawing.cancel();
  }

  // ---- areas and the selection --------------------------------------------------------------------------------------

  /**
   * An area was drawn: says at once how many cells are in it, and hands it over ("iscan:drawn"). What becomes of the
   * selection is for others to say.
   */
  function drawn(plot, pixels, mode, event) {
    const { points, view, stats } = plot;
    const area = areaOf(plot);
    const { simplify, rounded, count } = iscan.scatterPolygon;
    const unitX = (view.x[1] - view.x[0]) / area.width;
    const unitY = (view.y[1] - view.y[0]) / area.height;
    const outline = simplify(pixels).map(([x, y]) => [rounded(view.x[0] + x * unitX, unitX), rounded(view.y[1] - y * unitY, unitY)]);
    iscan.scatterBins.of(points, stats);
    const start = performance.now();
    stats.count = count(points, outline);
    stats.countMs = performance.now() - start;
    plot.over.say(stats.count, mode, pixels);
    stats.releaseToCountMs = performance.now() - event.timeStamp;
    const known = mode === 'new' ? [] : shownAreas(plot);
    plot.over.show([...known, { id: '', shapes: [{ points: outline, adds: mode !== 'subtract' }] }]); // until the server's word
    const detail = { plot: plot.id, axes: plot.spec.axes.name, points: outline, mode, count: stats.count };
    plot.frame.dispatchEvent(new CustomEvent('iscan:drawn', { bubbles: true, detail }));
  }

  /**
   * The cells inside an outline on a plot, added to a mask or taken away from it.
   * @param {string} id
   * @param {number[][]} outline
   * @param {Uint8Array|null} mask   by row, left as it is; null: none
   * @param {0|1} value
   * @returns {Uint8Array|null} by row; null when the plot shows nothing
   */
  function inside(id, outline, mask, value) {
    const plot = plots.get(id);
    if (!plot || !plot.points) return null;
    const found = mask ? mask.slice() : new Uint8Array(plot.points.cells);
    iscan.scatterBins.of(plot.points, plot.stats);
    iscan.scatterPolygon.fill(plot.points, outline, found, value);
    return found;
  }

  /**
   * Brings out the chosen cells in all plots: the others are dimmed.
   * @param {Uint8Array|null} mask   one byte by row; null: nothing is chosen, all cells are alike
   */
  function select(mask) {
    if (mask === selection) return;
    selection = mask;
    iscan.scatterRemote.select(mask);
    for (const plot of plots.values()) if (plot.points) askPaint(plot);
  }

  /** The areas that were drawn on the axes that are shown. */
  const shownAreas = (plot) => (plot.spec ? plot.areas.filter(({ axes }) => axes === plot.spec.axes.name) : []);

  const outline = (plot) => plot.over.show(shownAreas(plot));

  /**
   * Shows the outlines of areas on a plot, those of its present axes.
   * @param {string} id
   * @param {Array<{id: string, name: string, axes: string, shapes: Array<{points: number[][], adds: boolean}>}>} areas
   */
  function outlines(id, areas) {
    const plot = plotOf(id);
    if (!plot) return;
    plot.areas = areas;
    outline(plot);
  }

  /** Magnifies about the middle of the view. @param {string} id @param {number} factor  > 1 goes nearer */
  function zoom(id, factor) {
    const plot = plots.get(id);
    if (!plot || !plot.view) return;
    const range = ([lo, hi]) => [(lo + hi) / 2 - (hi - lo) / 2 / factor, (lo + hi) / 2 + (hi - lo) / 2 / factor];
    setView(plot, { x: range(plot.view.x), y: range(plot.view.y) });
  }

  /**
   * Goes to a view, from a link for instance.
   * @param {string} id
   * @param {number[]} x   [from, to] in data units
   * @param {number[]} y
   */
  function view(id, x, y) {
    const plot = plots.get(id);
    if (plot && plot.spec) setView(plot, { x: [...x], y: [...y] });
  }

  /** Shows everything again. @param {string} id */
  function reset(id) {
    const plot = plots.get(id);
    if (plot && plot.home) setView(plot, plot.home);
  }

  /**
   * Saves the plot, as it is in view, as a file.
   * @param {string} id
   * @param {'png'|'svg'} format
   * @param {{filename?: string, scale?: number}} [options]  scale: pixels per CSS pixel
   * @returns {Promise<Blob|null>}
   */
  async function exportImage(id, format, { filename = id, scale = 2 } = {}) {
    const plot = plots.get(id);
    const area = plot && plot.points ? areaOf(plot) : null;
    if (!area || !area.width || !area.height) return null;
    await plot.wire.arrived; // Plotly makes the file
    return iscan.scatterExport.save({
      spec: plot.spec.onPaper || plot.spec, view: plot.view, whole: plot.home, area, labels: plot.labels, only: plot.highlighted,
      counts: plot.counts,
      paint: (canvas, times, background) => paintOn(plot, canvas, area, times, background, inksOf(plot.spec.onPaper || plot.spec, background), 1, {}),
    }, format, { filename, scale });
  }

  /** @param {string} id @returns {Stats|null} */
  function stats(id) {
    const plot = plots.get(id);
    return plot ? { ...plot.stats } : null;
  }

  // One observer for the theme and one for the density of the screen serve all plots.
  new MutationObserver(() => {
    for (const plot of plots.values()) {
      plot.theme = iscan.scatterFrame.theme(plot.frame);
      if (!plot.spec) continue;
      plot.inks = inksOf(plot.spec, plot.theme.background);
      paint(plot);
      tell(plot);
    }
  }).observe(document.documentElement, { attributes: true, attributeFilter: ['data-bs-theme'] });
  window.addEventListener('resize', () => plots.forEach(askPaint));

  iscan.scatter = { show, highlight, tool, cancel, view, zoom, reset, inside, select, outlines, exportImage, stats };
})();
