/**
 * Outlines drawn on a plot, and the cells inside them.
 *
 * The server has the last word on which cells are in an area. So that its word never differs, the test of a cell here is that
 * of core/selection/polygon.py, operation by operation, on the same numbers: an outline is rounded before it is counted, and
 * what is counted is what is sent.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const MOST_POINTS = 400; // of an outline: some 8 kB of JSON
  const TOLERANCE = 0.5; // pixels an outline may be off where points are left out
  const ROOM = 1e-3; // of a bin: an edge so near to a bin counts as touching it, whatever rounding does

  /** Squared distance of a point to a segment. */
  function apart([px, py], [ax, ay], [bx, by]) {
    const dx = bx - ax;
    const dy = by - ay;
    const length = dx * dx + dy * dy;
    const t = length ? Math.min(1, Math.max(0, ((px - ax) * dx + (py - ay) * dy) / length)) : 0;
    return (px - ax - t * dx) ** 2 + (py - ay - t * dy) ** 2;
  }

  /** Leaves out points that are nearer than `tolerance` to the line through those that stay (Douglas and Peucker). */
  function thinned(points, tolerance) {
    const kept = new Uint8Array(points.length);
    kept[0] = kept[points.length - 1] = 1;
    const spans = [[0, points.length - 1]];
    while (spans.length) {
      const [from, to] = spans.pop();
      let far = 0;
      let at = -1;
      for (let k = from + 1; k < to; k++) {
        const d = apart(points[k], points[from], points[to]);
        if (d > far) {
          far = d;
          at = k;
        }
      }
      if (far <= tolerance * tolerance) continue;
      kept[at] = 1;
      spans.push([from, at], [at, to]);
    }
    return points.filter((_, k) => kept[k]);
  }

  /**
   * An outline with as few points as look the same.
   * @param {number[][]} points   in pixels
   * @returns {number[][]} at most MOST_POINTS of them
   */
  function simplify(points) {
    let tolerance = TOLERANCE;
    let found = points.length > 2 ? thinned(points, tolerance) : points;
    while (found.length > MOST_POINTS) found = thinned(points, (tolerance *= 1.5));
    return found;
  }

  /**
   * A number with the digits that tell a twentieth of a pixel apart, and no more.
   * @param {number} value
   * @param {number} unit    data units per pixel
   */
  function rounded(value, unit) {
    return Number(value.toFixed(Math.min(20, Math.max(0, Math.ceil(-Math.log10(unit / 20))))));
  }

  /**
   * Whether a point is inside an outline: even-odd rule, a point on an edge is inside.
   * @param {number} px
   * @param {number} py
   * @param {Float64Array} edges     ax, ay, bx, by of each edge
   * @param {Int32Array} touching    places in `edges` of those that reach the point's height
   * @param {number} from            first one in `touching`
   * @param {number} to              and the end of them
   */
  function inside(px, py, edges, touching, from, to) {
    let odd = false;
    for (let k = from; k < to; k++) {
      const e = touching[k];
      const ay = edges[e + 1];
      const by = edges[e + 3];
      if ((py < ay && py < by) || (py > ay && py > by)) continue;
      const ax = edges[e];
      const bx = edges[e + 2];
      const cross = (bx - ax) * (py - ay) - (by - ay) * (px - ax);
      if (cross === 0 && px >= Math.min(ax, bx) && px <= Math.max(ax, bx)) return true;
      if (ay > py !== by > py && cross > 0 === by > ay) odd = !odd;
    }
    return odd;
  }

  /** The edges of a closed outline, and for each row of bins those that touch it. */
  function edgesOf(outline, { y0, sy }, side) {
    const m = outline.length;
    const edges = new Float64Array(4 * m);
    const rows = new Int32Array(2 * m);
    const start = new Int32Array(side + 1);
    for (let k = 0, j = m - 1; k < m; j = k++) {
      edges.set([outline[j][0], outline[j][1], outline[k][0], outline[k][1]], 4 * k);
      const low = (Math.min(outline[j][1], outline[k][1]) - y0) * sy - ROOM;
      const high = (Math.max(outline[j][1], outline[k][1]) - y0) * sy + ROOM;
      rows[2 * k] = Math.max(0, Math.min(side, Math.floor(low)));
      rows[2 * k + 1] = Math.min(side - 1, Math.max(-1, Math.floor(high)));
      for (let r = rows[2 * k]; r <= rows[2 * k + 1]; r++) start[r + 1]++;
    }
    for (let r = 0; r < side; r++) start[r + 1] += start[r];
    const fill = start.slice(0, side);
    const touching = new Int32Array(start[side]);
    for (let k = 0; k < m; k++) for (let r = rows[2 * k]; r <= rows[2 * k + 1]; r++) touching[fill[r]++] = 4 * k;
    return { edges, start, touching };
  }

  /**
   * Goes through the bins that an outline reaches, a row at a time. Bins that no edge touches are wholly inside or wholly
   * outside, and their cells need no test.
   * @param {Object} bins       see scatter_bins.js
   * @param {number[][]} outline
   * @param {function(number, number): void} whole        cells order[from..to] are inside
   * @param {function(number, number, function(number, number): boolean): void} part   cells order[from..to] are to be tested
   */
  function walk(bins, outline, whole, part) {
    if (outline.length < 3) return;
    const side = iscan.scatterBins.SIDE;
    const { x0, y0, sx, sy, start } = bins;
    const { edges, start: first, touching } = edgesOf(outline, bins, side);
    const crossed = new Uint8Array(side);
    for (let r = 0; r < side; r++) {
      const from = first[r];
      const to = first[r + 1];
      if (from === to || start[r * side] === start[(r + 1) * side]) continue;
      const test = (px, py) => inside(px, py, edges, touching, from, to);
      if (!sx || !sy) {
        part(start[r * side], start[(r + 1) * side], test); // cells on one line have no bins to speak of
        continue;
      }
      crossed.fill(0);
      const cuts = [];
      const lower = y0 + (r - ROOM) / sy;
      const upper = y0 + (r + 1 + ROOM) / sy;
      const middle = y0 + (r + 0.5) / sy;
      for (let k = from; k < to; k++) {
        const e = touching[k];
        const ax = edges[e], ay = edges[e + 1], bx = edges[e + 2], by = edges[e + 3];
        const at = (y) => ax + ((bx - ax) * (y - ay)) / (by - ay);
        // where the edge enters and leaves the row
        const p = ay === by ? ax : at(Math.max(lower, Math.min(upper, ay)));
        const q = ay === by ? bx : at(Math.max(lower, Math.min(upper, by)));
        const left = Math.max(0, Math.floor((Math.min(p, q) - x0) * sx - ROOM));
        const right = Math.min(side - 1, Math.floor((Math.max(p, q) - x0) * sx + ROOM));
        if (right >= left) crossed.fill(1, left, right + 1);
        if (ay > middle !== by > middle) cuts.push(at(middle));
      }
      cuts.sort((a, b) => a - b);
      let cut = 0;
      let run = -1; // first bin of the run of whole bins that is open
      const close = (c) => {
        if (run >= 0) whole(start[r * side + run], start[r * side + c]);
        run = -1;
      };
      for (let c = 0; c < side; c++) {
        if (crossed[c]) {
          close(c);
          const b = r * side + c;
          if (start[b] < start[b + 1]) part(start[b], start[b + 1], test);
          continue;
        }
        const x = x0 + (c + 0.5) / sx;
        while (cut < cuts.length && cuts[cut] < x) cut++;
        if (cut & 1) {
          if (run < 0) run = c;
        } else close(c);
      }
      close(side);
    }
  }

  /**
   * How many cells are inside an outline.
   * @param {Object} points        see scatter_data.js; with their bins
   * @param {number[][]} outline   in data units
   * @returns {number}
   */
  function count({ x, y, bins }, outline) {
    const { order } = bins;
    let n = 0;
    walk(bins, outline, (from, to) => (n += to - from), (from, to, test) => {
      for (let i = from; i < to; i++) if (test(x[order[i]], y[order[i]])) n++;
    });
    return n;
  }

  /**
   * Marks the cells inside an outline.
   * @param {Object} points
   * @param {number[][]} outline
   * @param {Uint8Array} mask     by row; changed
   * @param {0|1} value
   */
  function fill({ x, y, rows, bins }, outline, mask, value) {
    const { order } = bins;
    walk(bins, outline, (from, to) => {
      for (let i = from; i < to; i++) mask[rows[order[i]]] = value;
    }, (from, to, test) => {
      for (let i = from; i < to; i++) if (test(x[order[i]], y[order[i]])) mask[rows[order[i]]] = value;
    });
  }

  iscan.scatterPolygon = { simplify, rounded, count, fill };
})();
