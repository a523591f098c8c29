/**
 * A grid of 256 x 256 bins over the cells of one embedding: finds cells by place without looking at all of them.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const SIDE = 256;

  /**
   * @typedef {Object} Bins  bin (r, c) holds the points order[start[b]] .. order[start[b + 1] - 1], b = 256 r + c
   * @property {number} x0             left edge of column 0
   * @property {number} y0             lower edge of row 0
   * @property {number} sx             columns per unit of x
   * @property {number} sy             rows per unit of y
   * @property {Uint32Array} start     65,537 offsets into order
   * @property {Uint32Array} order     point indices by bin
   */

  /**
   * Sorts points into bins by counting, two passes over the arrays.
   * @param {Float32Array} x  finite
   * @param {Float32Array} y  finite
   * @returns {Bins}
   */
  function make(x, y) {
    const n = x.length;
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
    for (let i = 0; i < n; i++) {
      if (x[i] < x0) x0 = x[i];
      if (x[i] > x1) x1 = x[i];
      if (y[i] < y0) y0 = y[i];
      if (y[i] > y1) y1 = y[i];
    }
    // a hair less than SIDE, so that the greatest value falls into the last bin and not one beyond it
    const sx = x1 > x0 ? (SIDE * 0.999999) / (x1 - x0) : 0;
    const sy = y1 > y0 ? (SIDE * 0.999999) / (y1 - y0) : 0;
    const start = new Uint32Array(SIDE * SIDE + 1);
    const bin = new Uint16Array(n);
    for (let i = 0; i < n; i++) {
      const b = (((y[i] - y0) * sy) | 0) * SIDE + (((x[i] - x0) * sx) | 0);
      bin[i] = b;
      start[b + 1]++;
    }
    for (let b = 0; b < SIDE * SIDE; b++) start[b + 1] += start[b];
    const fill = start.slice(0, -1);
    const order = new Uint32Array(n);
    for (let i = 0; i < n; i++) order[fill[bin[i]]++] = i;
    return { x0, y0, sx, sy, start, order };
  }

  /**
   * The point nearest to (px, py) inside an ellipse with half axes rx and ry (a circle on screen, given in data units).
   * Bins are visited in rings round the pointer until no unvisited ring can hold a nearer point.
   * @param {Bins} bins
   * @param {Float32Array} x
   * @param {Float32Array} y
   * @param {number} px
   * @param {number} py
   * @param {number} rx  > 0
   * @param {number} ry  > 0
   * @returns {number} point index, -1 when none is near enough
   */
  function nearest(bins, x, y, px, py, rx, ry) {
    if (!x.length) return -1;
    const { x0, y0, sx, sy, start, order } = bins;
    const column = Math.floor((px - x0) * sx);
    const row = Math.floor((py - y0) * sy);
    // width of a bin in units of the ellipse; a flat extent (scale 0) has one bin of any width
    const step = Math.min(sx ? 1 / (sx * rx) : Infinity, sy ? 1 / (sy * ry) : Infinity);
    let found = -1;
    let best = 1;
    const look = (r, c) => {
      if (c < 0 || c >= SIDE) return;
      const b = r * SIDE + c;
      for (let k = start[b]; k < start[b + 1]; k++) {
        const i = order[k];
        const dx = (x[i] - px) / rx;
        const dy = (y[i] - py) / ry;
        const d = dx * dx + dy * dy;
        if (d <= best) {
          best = d;
          found = i;
        }
      }
    };
    // rings that touch the grid: the pointer may be far outside
    const first = Math.max(0, -column, column - SIDE + 1, -row, row - SIDE + 1);
    const last = Math.max(column, SIDE - 1 - column, row, SIDE - 1 - row);
    for (let ring = first; ring <= last && (ring <= 1 || (ring - 1) * step <= Math.sqrt(best)); ring++) {
      const top = Math.min(SIDE - 1, row + ring);
      for (let r = Math.max(0, row - ring); r <= top; r++) {
        if (Math.abs(r - row) === ring) {
          const end = Math.min(SIDE - 1, column + ring);
          for (let c = Math.max(0, column - ring); c <= end; c++) look(r, c);
        } else {
          look(r, column - ring);
          look(r, column + ring);
        }
      }
    }
    return found;
  }

  /**
   * The bins of an embedding's points, made when they are first needed.
   * @param {Object} points      see scatter_data.js
   * @param {Object} stats       of the plot that asks: binMs is noted
   */
  function of(points, stats) {
    if (!points.bins) {
      const start = performance.now();
      points.bins = make(points.x, points.y);
      stats.binMs = performance.now() - start;
    }
    return points.bins;
  }

  /**
   * Makes the bins of a plot's points when the page has nothing better to do.
   * @param {Object} points
   * @param {Object} stats
   */
  function want(points, stats) {
    if (points.binsAsked) return;
    points.binsAsked = true;
    const idle = window.requestIdleCallback || ((act) => setTimeout(act, 50));
    idle(() => of(points, stats), { timeout: 500 });
  }

  iscan.scatterBins = { SIDE, make, of, want, nearest };
})();
