/**
 * The page's side of scatter_worker.js: plots of very many cells are painted there. One worker serves all plots.
 *
 * The first picture of a plot is painted here, which is sooner than handing its cells over. They follow when the page rests;
 * from then on a picture is asked for and comes a moment later. Of several asked for at once only the newest is made.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const source = iscan.address('/assets/scatter_worker.js');
  const sent = new Set(); // URLs of embeddings that the worker has
  const plots = new Map(); // id -> {plot, ready, wanted, busy, serial}
  let worker = null;
  let broken = typeof OffscreenCanvas === 'undefined' || !('transferToImageBitmap' in OffscreenCanvas.prototype);
  let selection = null;

  const say = (message) => worker.postMessage(message);

  function heard({ data }) {
    const known = plots.get(data.id);
    if (!known) {
      if (data.image) data.image.close();
      return;
    }
    if (data.ready) {
      known.ready = data.ready === known.key;
      return;
    }
    known.busy = false;
    const { done } = known.asked;
    if (known.wanted) ask(known);
    done(data);
  }

  /** The worker does not work here (any more): the page paints, as it did at first. */
  function failed(event) {
    event.preventDefault();
    broken = true;
    worker.terminate();
    worker = null;
    sent.clear();
    const waiting = [...plots.values()];
    plots.clear();
    for (const { asked, wanted } of waiting) for (const each of new Set([asked, wanted])) if (each) each.done(null);
  }

  function start() {
    worker = new Worker(source);
    worker.onmessage = heard;
    worker.onerror = failed;
    if (selection) say({ act: 'selection', mask: selection });
  }

  function ask(known) {
    known.busy = true;
    known.asked = known.wanted;
    known.wanted = null;
    say({ act: 'paint', id: known.id, ...known.asked.request });
  }

  /**
   * Hands a plot's cells to the worker, or what they are coloured by now.
   * @param {Object} plot   see scatter.js
   */
  function hand(plot) {
    if (broken || plot.points.x.length < remote.large) return forget(plot.id);
    if (!worker) start();
    const key = plot.spec.xy;
    const { cells, rows, x, y } = plot.points;
    if (!sent.has(key)) {
      sent.clear(); // the worker keeps what its plots show; anything else is sent again
      for (const known of plots.values()) sent.add(known.key);
      sent.add(key);
      say({ act: 'points', key, points: { cells, rows, x, y } });
    }
    const known = plots.get(plot.id) || { id: plot.id, busy: false, asked: null, wanted: null };
    known.ready = known.ready && known.key === key; // until then the page can paint it itself
    known.key = key;
    plots.set(plot.id, known);
    say({ act: 'layer', id: plot.id, key, codes: plot.codes, ranks: plot.ranks });
  }

  /** @param {string} id  of a plot that is gone, or small now */
  function forget(id) {
    if (!plots.has(id)) return;
    const { asked, busy, wanted } = plots.get(id);
    plots.delete(id);
    if (worker) say({ act: 'forget', id });
    for (const each of [busy && asked, wanted]) if (each) each.done(null);
  }

  /** Whether the worker paints a plot. @param {string} id */
  const takes = (id) => Boolean(plots.get(id)?.ready);

  /**
   * Asks for a picture.
   * @param {string} id
   * @param {Object} request    as the worker takes it
   * @returns {Promise<{image: ImageBitmap, painted: number, ms: number}|null>} null: another one was asked for since
   */
  function paint(id, request) {
    const known = plots.get(id);
    if (known.wanted) known.wanted.done(null);
    return new Promise((done) => {
      known.wanted = { request, done };
      if (!known.busy) ask(known);
    });
  }

  /** @param {Uint8Array|null} mask  the selection by row */
  function select(mask) {
    selection = mask;
    if (worker) say({ act: 'selection', mask });
  }

  const remote = (iscan.scatterRemote = {
    /** Cells from which on the worker is worth its copy of them. */
    large: 1e6,
    hand,
    forget,
    takes,
    paint,
    select,
  });
})();
