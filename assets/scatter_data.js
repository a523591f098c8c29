/**
 * The cells of a scatter plot as typed arrays: fetched once by URL, put into a fair painting order, sorted for painting.
 *
 * Three orders of the same cells meet here, and each has its name:
 * - *row*: the cell's number on the server, 0..n-1;
 * - *point*: the cells that have a position, in a fixed random order (`Points`). Drawing in this order favours no sample and
 *   no cluster, and the first k points are a random sample of all of them;
 * - *paint*: the points as one layer draws them (`Layer`), the missing first and high values last.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});

  /**
   * @typedef {Object} Points  positions of one embedding, shared by all plots that show it
   * @property {number} cells          cells on the server, with and without a position
   * @property {Uint32Array} rows      row of each point
   * @property {Float32Array} x
   * @property {Float32Array} y
   * @property {number} readMs         time it took to read them
   * @property {number} readAt         and when that was done, on the page's clock
   * @property {Object|null} bins      grid for finding cells, made on first use (scatter_bins.js)
   * @property {boolean} binsAsked      it is being made
   *
   * @typedef {Object} Layer  what painting reads, cells in painting order
   * @property {Float32Array} x
   * @property {Float32Array} y
   * @property {Uint16Array} codes     display code, and CHOSEN when the cell is in the selection
   * @property {Uint32Array|null} rows  row of each cell; made when the selection first changes
   */

  const BUCKETS = 256;
  const CHOSEN = 256;

  /** xorshift32, seeded alike on every call, so that a picture looks the same every time it is drawn. */
  function randomness() {
    let s = 0x9e3779b9 | 0;
    return () => {
      s ^= s << 13;
      s ^= s >>> 17;
      s ^= s << 5;
      return s >>> 0;
    };
  }

  /**
   * Reads coordinates: n float32 x-values, then n y-values. Cells without a finite position are left out here, once, so that
   * nothing later can paint, hit or count them.
   *
   * The random order is made by throwing cells into buckets and shuffling each: the same as one great shuffle, but the
   * memory touched at a time fits the processor's cache, which at millions of cells is most of the time.
   * @param {ArrayBuffer} buffer
   * @returns {Points}
   */
  function readPoints(buffer) {
    const began = performance.now();
    const values = new Float32Array(buffer);
    const cells = values.length >>> 1;
    // v - v is 0 for every finite number and NaN otherwise: the quickest test for both NaN and infinity
    const located = (row) => values[row] - values[row] === 0 && values[cells + row] - values[cells + row] === 0;
    const start = new Uint32Array(BUCKETS + 1);
    let random = randomness();
    for (let row = 0; row < cells; row++) if (located(row)) start[(random() >>> 24) + 1]++;
    for (let b = 0; b < BUCKETS; b++) start[b + 1] += start[b];
    const m = start[BUCKETS];
    const rows = new Uint32Array(m);
    const x = new Float32Array(m);
    const y = new Float32Array(m);
    const fill = start.slice();
    random = randomness();
    for (let row = 0; row < cells; row++) {
      if (!located(row)) continue;
      const at = fill[random() >>> 24]++;
      rows[at] = row;
      x[at] = values[row];
      y[at] = values[cells + row];
    }
    for (let b = 0; b < BUCKETS; b++) {
      const first = start[b];
      for (let i = start[b + 1] - 1; i > first; i--) {
        const j = first + Math.floor((random() / 4294967296) * (i - first + 1));
        const row = rows[i], px = x[i], py = y[i];
        rows[i] = rows[j]; x[i] = x[j]; y[i] = y[j];
        rows[j] = row; x[j] = px; y[j] = py;
      }
    }
    const readAt = performance.now();
    return { cells, rows, x, y, bins: null, binsAsked: false, readMs: readAt - began, readAt };
  }

  /**
   * Cells per code, those without a position included.
   * @param {Uint8Array} codes  by row
   * @returns {Uint32Array} 256 counts
   */
  function count(codes) {
    const counts = new Uint32Array(256);
    for (let row = 0; row < codes.length; row++) counts[codes[row]]++;
    return counts;
  }

  /**
   * Painting rank of each display code: what is painted later covers what was painted before. The missing come first; after
   * them labels are equal, values rise, and differences rise with their distance from the middle of the scale.
   * @param {'categorical'|'sequential'|'diverging'} scale
   * @param {number} colours         display codes in use (the length of the ink table)
   * @param {number|null} missing    code of the missing
   * @returns {Uint16Array} 256 ranks, 0..256
   */
  function ranks(scale, colours, missing) {
    const rank = new Uint16Array(256).fill(1);
    const values = colours - (missing === colours - 1 ? 1 : 0);
    for (let code = 0; code < 256; code++) {
      if (scale === 'sequential') rank[code] = code + 1;
      else if (scale === 'diverging') rank[code] = 1 + Math.floor(Math.abs(code - (values - 1) / 2));
    }
    if (missing !== null && missing !== undefined) rank[missing] = 0;
    return rank;
  }

  /** Display codes of the points, in their order. */
  function gather(points, codes) {
    const own = new Uint16Array(points.rows.length);
    for (let i = 0; i < own.length; i++) own[i] = codes[points.rows[i]];
    return own;
  }

  /** Where cells of each rank begin in painting order, or null when all have the same. */
  function starts(own, rank) {
    const start = new Uint32Array(258);
    for (let i = 0; i < own.length; i++) start[rank[own[i]] + 1]++;
    if (start.includes(own.length)) return null;
    for (let r = 0; r < 257; r++) start[r + 1] += start[r];
    return start;
  }

  /**
   * The points in painting order: a counting sort by rank, stable, so that equals stay in random order.
   * @param {Points} points
   * @param {Uint8Array} codes     by row
   * @param {Uint16Array} rank     by code
   * @returns {Layer} shares the arrays of `points` when no two ranks occur
   */
  function arrange(points, codes, rank) {
    const own = gather(points, codes);
    const start = starts(own, rank);
    if (!start) return { x: points.x, y: points.y, codes: own, rows: points.rows };
    const m = own.length;
    const layer = { x: new Float32Array(m), y: new Float32Array(m), codes: new Uint16Array(m), rows: null };
    for (let i = 0; i < m; i++) {
      const at = start[rank[own[i]]]++;
      layer.x[at] = points.x[i];
      layer.y[at] = points.y[i];
      layer.codes[at] = own[i];
    }
    return layer;
  }

  /**
   * Marks the cells of the selection in a layer.
   * @param {Layer} layer      changed
   * @param {Points} points    what it was arranged from, and how
   * @param {Uint8Array} codes
   * @param {Uint16Array} rank
   * @param {Uint8Array|null} mask   the selection by row; null: none
   */
  function mark(layer, points, codes, rank, mask) {
    const own = layer.codes;
    if (!mask) {
      for (let i = 0; i < own.length; i++) own[i] &= CHOSEN - 1;
      return;
    }
    if (!layer.rows) {
      const inOrder = gather(points, codes);
      const start = starts(inOrder, rank);
      layer.rows = new Uint32Array(own.length);
      for (let i = 0; i < own.length; i++) layer.rows[start[rank[inOrder[i]]]++] = points.rows[i];
    }
    const { rows } = layer;
    for (let i = 0; i < own.length; i++) own[i] = (own[i] & (CHOSEN - 1)) | (mask[rows[i]] << 8);
  }

  /**
   * A small cache of fetched things by URL, least recently used out first. Callers that want the same URL at the same time
   * share one request, which is aborted only when all of them have lost interest.
   * @template T
   * @param {number} limit                        finished entries kept
   * @param {function(ArrayBuffer): T} read
   * @param {string} what                         for messages: "coordinates"
   * @returns {function(string, AbortSignal): Promise<T>}
   */
  function fetched(limit, read, what) {
    const entries = new Map();

    async function request(url, signal) {
      let response;
      try {
        response = await fetch(url, { signal });
      } catch (error) {
        if (error.name === 'AbortError') throw error;
        throw new Error(`The ${what} did not load: the server cannot be reached.`);
      }
      if (!response.ok) throw new Error(`The ${what} did not load: the server answered ${response.status}.`);
      return read(await response.arrayBuffer());
    }

    function enter(url) {
      const controller = new AbortController();
      const entry = { waiting: 0, done: false, controller, promise: request(url, controller.signal) };
      entries.set(url, entry);
      entry.promise.then(
        () => {
          entry.done = true;
          const done = [...entries].filter(([, e]) => e.done);
          for (const [old] of done.slice(0, Math.max(0, done.length - limit))) entries.delete(old);
        },
        () => entries.get(url) === entry && entries.delete(url) // a failure is not remembered: Retry asks again
      );
      return entry;
    }

    return function get(url, signal) {
      const entry = entries.get(url) || enter(url);
      entries.delete(url); // to the young end
      entries.set(url, entry);
      entry.waiting++;
      return new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => {
          if (--entry.waiting === 0 && !entry.done) {
            entries.delete(url);
            entry.controller.abort();
          }
          reject(new DOMException('No longer wanted', 'AbortError'));
        });
        entry.promise.then(resolve, reject);
      });
    };
  }

  iscan.scatterData = {
    readPoints,
    count,
    ranks,
    arrange,
    mark,
    CHOSEN,
    fetched,
    /** @type {function(string, AbortSignal): Promise<Points>} */
    points: fetched(4, readPoints, 'coordinates'),
    /** @type {function(string, AbortSignal): Promise<Uint8Array>} */
    codes: fetched(8, (buffer) => new Uint8Array(buffer), 'colours'),
  };
})();
