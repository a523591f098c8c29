/**
 * Paints cells straight into the pixels of a canvas: one pass over typed arrays, no WebGL, no drawing calls.
 *
 * The picture is opaque: it starts as the page's background and every dot is a plain write or a blend of three channels, so
 * nothing has to be divided by an alpha at the end. Colours are packed as the canvas keeps them, 0xAABBGGRR.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const PHASES = 4; // positions inside a pixel, per axis, that a soft dot tells apart

  /**
   * Radius of a dot in CSS pixels when the user sets none: 3.2 at 2,700 cells, 2 at 20,000, 1 at 200,000.
   * @param {number} cells
   * @param {number} zoom   linear magnification, 1 = everything in view
   * @param {number} side   shorter side of the plot in CSS pixels
   * @returns {number}
   */
  function radius(cells, zoom, side) {
    const full = Math.min(4, Math.max(0.4, 3.2 * Math.pow(2700 / Math.max(cells, 1), 0.27)));
    const room = Math.min(1.15, Math.max(0.7, Math.sqrt(side / 700)));
    const grown = Math.min(4, Math.max(0.5, Math.pow(zoom, 0.35)));
    return Math.min(6, full * room * grown);
  }

  /**
   * @typedef {Object} Dot  shape of a cell's mark
   * @property {number} size       side of the square it lies in, pixels
   * @property {number} shift      from a cell's position to the left (upper) pixel of the square
   * @property {number} phases     1, or PHASES: then table (PHASES * py + px) is for positions that far inside a pixel
   * @property {boolean} solid     every pixel is simply overwritten
   * @property {Array<{dx: Int32Array, dy: Int32Array, cover: Int32Array}>} tables  pixels and their cover, 1..256
   */

  /**
   * @param {number} r          radius in device pixels
   * @param {number} opacity    0..1
   * @param {boolean} soft      antialiased edge and sub-pixel position; else whole pixels
   * @returns {Dot}
   */
  function dot(r, opacity, soft) {
    const phases = soft ? PHASES : 1;
    const width = Math.max(1, Math.round(2 * r));
    const size = soft ? Math.ceil(2 * r) + 2 : width;
    const shift = soft ? -r - 0.5 : 0.5 - width / 2;
    const tables = [];
    for (let py = 0; py < phases; py++) {
      for (let px = 0; px < phases; px++) {
        // the dot's centre, counted from the middle of the square's first pixel
        const cx = soft ? (px + 0.5) / phases - shift - 0.5 : (width - 1) / 2;
        const cy = soft ? (py + 0.5) / phases - shift - 0.5 : (width - 1) / 2;
        const table = { dx: [], dy: [], cover: [] };
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            const distance = Math.hypot(x - cx, y - cy);
            const part = soft ? Math.min(1, Math.max(0, r + 0.5 - distance)) : width < 4 || distance <= width * 0.49 ? 1 : 0;
            const cover = Math.round(256 * part * opacity);
            if (cover > 0) {
              table.dx.push(x);
              table.dy.push(y);
              table.cover.push(cover);
            }
          }
        }
        tables.push({ dx: Int32Array.from(table.dx), dy: Int32Array.from(table.dy), cover: Int32Array.from(table.cover) });
      }
    }
    return { size, shift, phases, solid: !soft && opacity >= 1, tables };
  }

  /**
   * `#rgb` or `#rrggbb` as [red, green, blue]; anything else is a middle grey, so a bad colour never stops a plot.
   * @param {string} hex
   * @returns {number[]}
   */
  function channels(hex) {
    const digits = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(hex || '');
    if (!digits) return [153, 153, 153];
    const h = digits[1].length === 3 ? digits[1].replace(/./g, '$&$&') : digits[1];
    return [0, 2, 4].map((k) => parseInt(h.slice(k, k + 2), 16));
  }

  /** @param {number[]} rgb @returns {number} packed, never 0 */
  function pack(rgb) {
    return ((255 << 24) | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0]) >>> 0;
  }

  /**
   * Packed colours by code.
   * @param {string[]} hexes
   * @param {number[]} background    [red, green, blue]
   * @param {number} strength        1 = full colour, 0.2 = mostly background
   * @returns {Uint32Array} 256 entries; codes without a colour of their own are grey
   */
  function inks(hexes, background, strength) {
    return Uint32Array.from({ length: 256 }, (_, code) =>
      pack(channels(hexes[code]).map((v, k) => Math.round(background[k] + (v - background[k]) * strength)))
    );
  }

  /**
   * The passes that paint a layer: all of it, or first dimmed what is not brought out and then the rest over it.
   * @param {Layer} layer                      see scatter_data.js
   * @param {{full: Uint32Array, dim: Uint32Array}} ink   packed colours by code
   * @param {Set<number>|null} codes           codes that are brought out; null: all
   * @param {boolean} selected                 whether only cells of the selection are brought out
   * @returns {Pass[]}
   */
  function passes(layer, ink, codes, selected) {
    const { CHOSEN } = iscan.scatterData;
    const isOut = (style) => (!codes || codes.has(style % CHOSEN)) && (!selected || style >= CHOSEN);
    const table = (colours, keep) => Uint32Array.from({ length: 2 * CHOSEN }, (_, style) => (keep(style) ? colours[style % CHOSEN] : 0));
    if (!codes && !selected) return [{ layer, ink: table(ink.full, () => true) }];
    return [
      { layer, ink: table(ink.dim, (style) => !isOut(style)) },
      { layer, ink: table(ink.full, isOut) },
    ];
  }

  /**
   * @typedef {Object} Pass  one run over a layer
   * @property {{x: Float32Array, y: Float32Array, codes: Uint16Array}} layer
   * @property {Uint32Array} ink    packed colour by code, those of the selection after the others; 0 = leave out
   *
   * @typedef {Object} View  data ranges at the edges of the canvas
   * @property {number[]} x
   * @property {number[]} y
   */

  /** Paints one pass into `pixels` (rows of `stride`, with a rim as wide as a dot round the picture); returns how many cells fell inside. */
  function run(pixels, stride, height, pass, map, shape, step) {
    const { x, y, codes } = pass.layer;
    const { ink } = pass;
    const { kx, ky, ox, oy } = map;
    const right = stride - shape.size;
    const bottom = height - shape.size;
    const n = codes.length;
    const shapes = shape.tables.map((t) => ({ at: t.dx.map((dx, k) => t.dy[k] * stride + dx), cover: t.cover }));
    let painted = 0;
    if (shape.solid) {
      const { at } = shapes[0];
      const dots = at.length;
      for (let i = 0; i < n; i += step) {
        const colour = ink[codes[i]];
        if (colour === 0) continue;
        const fx = x[i] * kx + ox;
        const fy = y[i] * ky + oy;
        if (!(fx >= 0 && fx < right && fy >= 0 && fy < bottom)) continue;
        painted++;
        const p = (fy | 0) * stride + (fx | 0);
        for (let k = 0; k < dots; k++) pixels[p + at[k]] = colour;
      }
      return painted;
    }
    const { phases } = shape;
    for (let i = 0; i < n; i += step) {
      const colour = ink[codes[i]];
      if (colour === 0) continue;
      const fx = x[i] * kx + ox;
      const fy = y[i] * ky + oy;
      if (!(fx >= 0 && fx < right && fy >= 0 && fy < bottom)) continue;
      painted++;
      const column = fx | 0;
      const row = fy | 0;
      const p = row * stride + column;
      const { at, cover } = shapes[(((fy - row) * phases) | 0) * phases + (((fx - column) * phases) | 0)];
      const redBlue = colour & 0xff00ff;
      const green = colour & 0x00ff00;
      for (let k = 0; k < at.length; k++) {
        const a = cover[k];
        const q = p + at[k];
        if (a === 256) {
          pixels[q] = colour;
          continue;
        }
        // two channels at a time; each product stays inside its own 16 bits, so nothing carries over
        const old = pixels[q];
        const rb = ((Math.imul(old & 0xff00ff, 256 - a) + Math.imul(redBlue, a) + 0x800080) >>> 8) & 0xff00ff;
        const g = ((Math.imul(old & 0x00ff00, 256 - a) + Math.imul(green, a) + 0x8000) >>> 8) & 0x00ff00;
        pixels[q] = (0xff000000 | rb | g) >>> 0;
      }
    }
    return painted;
  }

  /**
   * Paints passes, one over the other, onto a canvas of the size it has.
   * @param {HTMLCanvasElement} canvas
   * @param {View} view
   * @param {Pass[]} passes
   * @param {Dot} shape
   * @param {number[]} background       [red, green, blue]
   * @param {Object} [options]
   * @param {number} [options.step=1]   paint every step-th cell only (while the view moves)
   * @param {Object} [options.scratch]  an object that keeps the pixel buffer from one call to the next
   * @returns {number} cells painted
   */
  function paint(canvas, view, passes, shape, background, { step = 1, scratch = {} } = {}) {
    const { width, height } = canvas;
    if (!width || !height) return 0;
    const rim = shape.size + 1; // a dot whose centre is just outside still shows its edge; the rim spares a test per pixel
    const stride = width + 2 * rim;
    const tall = height + 2 * rim;
    if (!scratch.image || scratch.image.width !== stride || scratch.image.height !== tall) {
      scratch.image = new ImageData(stride, tall);
      scratch.pixels = new Uint32Array(scratch.image.data.buffer);
    }
    scratch.pixels.fill(pack(background));
    const kx = width / (view.x[1] - view.x[0]);
    const ky = height / (view.y[1] - view.y[0]);
    const map = { kx, ky: -ky, ox: rim + shape.shift - view.x[0] * kx, oy: rim + shape.shift + view.y[1] * ky };
    let painted = 0;
    for (const pass of passes) painted += run(scratch.pixels, stride, tall, pass, map, shape, step);
    canvas.getContext('2d', { alpha: false }).putImageData(scratch.image, -rim, -rim);
    return painted;
  }

  iscan.scatterPaint = { radius, dot, channels, inks, passes, paint };
})();
