/**
 * Labels on the middle of their cells: where they go, how they keep out of each other's way, and as Plotly annotations.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const SAMPLE = 50000; // cells looked at over all labels: the median moves by less than a dot's width
  const LONGEST = 28;
  const SIZE = 12; // of the font, pixels
  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif';

  let pen = null;

  /** Width of a text in pixels. */
  function measure(text, size, weight = 400) {
    pen = pen || document.createElement('canvas').getContext('2d');
    pen.font = `${weight} ${size}px ${FONT}`;
    return pen.measureText(text).width;
  }

  /**
   * Text as Plotly must show it: letter by letter. Plotly reads a subset of HTML in every text, and TeX between dollars.
   * Text with right-to-left letters is isolated, so that its own first letter decides its direction.
   * @param {string} text
   * @returns {string}
   */
  function inert(text) {
    const codes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', $: '&#36;' };
    const plain = String(text).replace(/[&<>$]/g, (c) => codes[c]);
    return /[\u0590-\u08ff\ufb1d-\ufefc]/.test(plain) ? `\u2068${plain}\u2069` : plain;
  }

  /** Cuts the middle out of a long text, whole characters at a time. */
  function shorten(text, longest = LONGEST) {
    const letters = Array.from(String(text));
    if (letters.length <= longest) return String(text);
    const head = Math.ceil((longest - 1) / 2);
    return letters.slice(0, head).join('') + '…' + letters.slice(letters.length - (longest - 1 - head)).join('');
  }

  /**
   * Median position of each label's cells.
   * @param {Object} points      see scatter_data.js: in random order
   * @param {Uint8Array} byRow   display codes by row
   * @param {number[]} codes     labels wanted
   * @returns {Map<number, {x: number, y: number}>} labels that have a cell with a position
   */
  function centroids({ rows, x, y }, byRow, codes) {
    const room = Math.max(200, Math.floor(SAMPLE / Math.max(1, codes.length)));
    const slot = new Int16Array(256).fill(-1);
    codes.forEach((code, k) => (slot[code] = k));
    const xs = codes.map(() => new Float32Array(room));
    const ys = codes.map(() => new Float32Array(room));
    const taken = new Uint32Array(codes.length);
    for (let i = 0, open = codes.length; open && i < rows.length; i++) {
      const k = slot[byRow[rows[i]]];
      if (k < 0 || taken[k] === room) continue;
      xs[k][taken[k]] = x[i];
      ys[k][taken[k]++] = y[i];
      if (taken[k] === room) open--;
    }
    const median = (values, m) => {
      const sorted = values.subarray(0, m).sort();
      return (sorted[(m - 1) >> 1] + sorted[m >> 1]) / 2;
    };
    const found = new Map();
    codes.forEach((code, k) => {
      if (taken[k]) found.set(code, { x: median(xs[k], taken[k]), y: median(ys[k], taken[k]) });
    });
    return found;
  }

  /** Places tried for a label, nearest first, in parts of its height up and down and of its width to the sides. */
  const STEPS = [[0, 0], [0, -0.6], [0, 0.6], [0, -1.1], [0, 1.1], [-0.3, 0], [0.3, 0], [-0.3, -0.8], [0.3, -0.8], [-0.3, 0.8], [0.3, 0.8]];

  /**
   * Finds places where boxes do not overlap, none far from its own: a label at a distance is read as another's.
   * @param {Array<{x: number, y: number, w: number, h: number}>} boxes  centres and sizes in pixels, the important ones first
   * @param {{width: number, height: number}} area                       boxes stay inside
   * @param {boolean} all                                                keep boxes without a free place where they are
   * @returns {Array<{dx: number, dy: number}|null>} shifts in pixels, y downwards; null: no place is free
   */
  function place(boxes, area, all) {
    const taken = [];
    const inside = (value, size, whole) => (size > whole ? whole / 2 : Math.min(whole - size / 2, Math.max(size / 2, value)));
    const isFree = (x, y, { w, h }) => taken.every((other) => Math.abs(other.x - x) >= (other.w + w) / 2 || Math.abs(other.y - y) >= (other.h + h) / 2);
    return boxes.map((box) => {
      const tries = STEPS.map(([right, down]) => ({
        x: inside(box.x + right * Math.min(box.w, 60), box.w, area.width), y: inside(box.y + down * box.h, box.h, area.height),
      }));
      const found = tries.find(({ x, y }) => isFree(x, y, box)) || (all ? tries[0] : null);
      if (!found) return null;
      taken.push({ ...box, ...found });
      return { dx: found.x - box.x, dy: found.y - box.y };
    });
  }

  /**
   * Labels as Plotly annotations. They stay fixed to their place in the data; only the shift that keeps them apart is in
   * pixels and belongs to one view.
   * @param {Array<{label: string, code: number, count: number, x: number, y: number}>} labels   positions in data units
   * @param {{x: number[], y: number[]}} view
   * @param {{width: number, height: number}} area                  plot area in CSS pixels
   * @param {{text: number[], background: number[]}} theme
   * @param {Object} [options]
   * @param {Set<number>|null} [options.only]  codes that are brought out: the other labels are left out
   * @param {boolean} [options.boxed=false]    a pale box instead of a halo, for viewers that know no text shadow (SVG files)
   * @returns {Object[]} one annotation per label that has a place; where cells are many, those of many cells go first
   */
  function annotations(labels, view, area, theme, { only = null, boxed = false } = {}) {
    const scaleX = area.width / (view.x[1] - view.x[0]);
    const scaleY = area.height / (view.y[1] - view.y[0]);
    const shown = labels.filter(({ code }) => !only || only.has(code)).sort((a, b) => b.count - a.count);
    const boxes = shown.map(({ label, x, y }) => ({
      x: (x - view.x[0]) * scaleX,
      y: (view.y[1] - y) * scaleY,
      w: measure(shorten(label), SIZE, 600) + 6,
      h: SIZE + 5,
    }));
    const seen = (b) => b.x >= 0 && b.x <= area.width && b.y >= 0 && b.y <= area.height;
    const shifts = place(boxes.filter(seen), area, only !== null);
    const paper = theme.background.join(',');
    const halo = [[1, 1, 0], [-1, 1, 0], [1, -1, 0], [-1, -1, 0], [0, 0, 4], [0, 0, 4]].map(([x, y, blur]) => `${x}px ${y}px ${blur}px rgb(${paper})`);
    return shown.flatMap(({ label, x, y }, k) => {
      // a label out of view comes along when the view is moved, and finds its place when it rests
      const shift = seen(boxes[k]) ? shifts.shift() : { dx: 0, dy: 0 };
      if (!shift) return [];
      return [{
        name: 'centroid', x, y, xref: 'x', yref: 'y', xshift: Math.round(shift.dx), yshift: -Math.round(shift.dy),
        text: inert(shorten(label)), showarrow: false, captureevents: false, borderpad: 1,
        font: { family: FONT, size: SIZE, weight: 600, color: `rgb(${theme.text.join(',')})`, shadow: boxed ? 'none' : halo.join(', ') },
        bgcolor: `rgba(${paper},${boxed ? 0.6 : 0})`,
      }];
    });
  }

  iscan.scatterLabels = { FONT, measure, inert, shorten, centroids, place, annotations };
})();
