/**
 * Paints large plots beside the page, which stays free for the pointer. A worker of scatter_remote.js, not a script of the page.
 */
'use strict';
self.window = self; // what the parts hang themselves on
importScripts('scatter_data.js', 'scatter_paint.js');

(() => {
  const { scatterData, scatterPaint } = self.iscan;
  const embeddings = new Map(); // URL -> Points
  const plots = new Map(); // id -> {points, codes, ranks, layer, marked, scratch, canvas}
  let selection = null;

  const ACTS = {
    /** The cells of an embedding. */
    points({ key, points }) {
      const used = new Set([...plots.values()].map((plot) => plot.points));
      for (const [old, held] of embeddings) if (!used.has(held)) embeddings.delete(old);
      embeddings.set(key, points);
    },

    /** What a plot shows of them. */
    layer({ id, key, codes, ranks }) {
      const points = embeddings.get(key);
      const old = plots.get(id);
      const byRow = codes || new Uint8Array(points.cells);
      const layer = scatterData.arrange(points, byRow, ranks);
      plots.set(id, { points, codes: byRow, ranks, layer, marked: null, scratch: old ? old.scratch : {}, canvas: old ? old.canvas : new OffscreenCanvas(1, 1) });
      postMessage({ id, ready: key });
    },

    selection({ mask }) {
      selection = mask;
    },

    forget({ id }) {
      plots.delete(id);
    },

    paint({ id, serial, width, height, view, ink, only, selected, dot, background, step }) {
      const plot = plots.get(id);
      const began = performance.now();
      if (plot.marked !== selection) {
        scatterData.mark(plot.layer, plot.points, plot.codes, plot.ranks, selection);
        plot.marked = selection;
      }
      const { canvas, scratch } = plot;
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
      const passes = scatterPaint.passes(plot.layer, ink, only, selected);
      const painted = scatterPaint.paint(canvas, view, passes, scatterPaint.dot(...dot), background, { step, scratch });
      const image = canvas.transferToImageBitmap();
      postMessage({ id, serial, image, painted, ms: performance.now() - began }, [image]);
    },
  };

  onmessage = ({ data }) => ACTS[data.act](data);
})();
