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
   * @param {{x: Float32Array, y: Float32Array, codes: Uint8Array}} layer  cells of a label in random order
   * @param {number[]} codes   labels wanted
   * @returns {Map<number, {x: number, y: number}>} labels that have a cell with a position
   */
  function centroids(layer, codes) {
    const room = Math.max(200, Math.floor(SAMPLE / Math.max(1, codes.length)));
    const slot = new Int16Array(256).fill(-1);
    codes.forEach((code, k) => (slot[code] = k));
    const xs = codes.map(() => new Float32Array(room));
    const ys = codes.map(() => new Float32Array(room));
    const taken = new Uint32Array(codes.length);
    for (let i = 0, open = codes.length; open && i < layer.codes.length; i++) {
      const k = slot[layer.codes[i]];
      if (k < 0 || taken[k] === room) continue;
      xs[k][taken[k]] = layer.x[i];
      ys[k][taken[k]++] = layer.y[i];
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

  /**
   * Pushes boxes apart until none overlap or nothing more helps. Boxes move as little as they can, mostly up and down.
   * @param {Array<{x: number, y: number, w: number, h: number}>} boxes  centres and sizes in pixels
   * @returns {Array<{dx: number, dy: number}>} shifts in pixels, y downwards
   */
  function spread(boxes) {
    const at = boxes.map((b) => ({ ...b }));
    const reach = 48; // a label farther from its cells than this would be read as another's
    const near = (value, home) => Math.min(home + reach, Math.max(home - reach, value));
    for (let round = 0, moved = true; moved && round < 80; round++) {
      moved = false;
      for (let i = 0; i < at.length; i++) {
        for (let j = i + 1; j < at.length; j++) {
          const a = at[i], b = at[j];
          const overX = (a.w + b.w) / 2 - Math.abs(a.x - b.x);
          const overY = (a.h + b.h) / 2 - Math.abs(a.y - b.y);
          if (overX <= 0 || overY <= 0) continue;
          moved = true;
          if (overY <= overX) {
            const push = (overY / 2 + 0.5) * (a.y < b.y || (a.y === b.y && i < j) ? -1 : 1);
            a.y = near(a.y + push, boxes[i].y);
            b.y = near(b.y - push, boxes[j].y);
          } else {
            const push = (overX / 2 + 0.5) * (a.x < b.x ? -1 : 1);
            a.x = near(a.x + push, boxes[i].x);
            b.x = near(b.x - push, boxes[j].x);
          }
        }
      }
    }
    return at.map((b, k) => ({ dx: Math.round(b.x - boxes[k].x), dy: Math.round(b.y - boxes[k].y) }));
  }

  /**
   * Labels as Plotly annotations. They stay fixed to their place in the data; only the shift that keeps them apart is in
   * pixels and belongs to one view.
   * @param {Array<{label: string, x: number, y: number}>} labels   positions in data units
   * @param {{x: number[], y: number[]}} view
   * @param {{width: number, height: number}} area                  plot area in CSS pixels
   * @param {{text: number[], background: number[]}} theme
   * @param {boolean} [boxed=false]  a pale box instead of a halo, for viewers that know no text shadow (SVG files)
   * @returns {Object[]} one annotation per label
   */
  function annotations(labels, view, area, theme, boxed = false) {
    const scaleX = area.width / (view.x[1] - view.x[0]);
    const scaleY = area.height / (view.y[1] - view.y[0]);
    const boxes = labels.map(({ label, x, y }) => ({
      x: (x - view.x[0]) * scaleX,
      y: (view.y[1] - y) * scaleY,
      w: measure(shorten(label), SIZE, 600) + 6,
      h: SIZE + 5,
    }));
    const seen = boxes.map((b) => b.x >= 0 && b.x <= area.width && b.y >= 0 && b.y <= area.height);
    const inView = boxes.filter((_, k) => seen[k]);
    const shifts = spread(inView);
    const paper = theme.background.join(',');
    const halo = [[1, 1, 0], [-1, 1, 0], [1, -1, 0], [-1, -1, 0], [0, 0, 4], [0, 0, 4]].map(([x, y, blur]) => `${x}px ${y}px ${blur}px rgb(${paper})`);
    return labels.map(({ label, x, y }, k) => {
      let dx = 0, dy = 0;
      if (seen[k]) {
        const box = boxes[k];
        ({ dx, dy } = shifts.shift());
        // inside the frame as long as the cells themselves are
        dx += Math.max(0, box.w / 2 - box.x - dx) - Math.max(0, box.x + dx + box.w / 2 - area.width);
        dy += Math.max(0, box.h / 2 - box.y - dy) - Math.max(0, box.y + dy + box.h / 2 - area.height);
      }
      return {
        name: 'centroid', x, y, xref: 'x', yref: 'y', xshift: Math.round(dx), yshift: -Math.round(dy),
        text: inert(shorten(label)), showarrow: false, captureevents: false, borderpad: 1,
        font: { family: FONT, size: SIZE, weight: 600, color: `rgb(${theme.text.join(',')})`, shadow: boxed ? 'none' : halo.join(', ') },
        bgcolor: `rgba(${paper},${boxed ? 0.6 : 0})`,
      };
    });
  }

  iscan.scatterLabels = { FONT, measure, inert, shorten, centroids, spread, annotations };
})();
