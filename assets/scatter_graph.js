/**
 * The wire to the dcc.Graph over the cells: hears where Plotly moves the view, tells it ranges, axes and labels.
 * Only public parts of Plotly are used: its events, `graph.layout` and `Plotly.relayout`.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});

  const sameRange = (a, b) => a[0] === b[0] && a[1] === b[1];

  /**
   * @typedef {Object} View  data ranges in view
   * @property {number[]} x
   * @property {number[]} y
   *
   * @typedef {Object} Wire
   * @property {Promise<void>} arrived   dcc.Graph has brought Plotly, which takes a moment after the first picture
   * @property {function(Object, View|null): void} tell    flat layout keys and ranges; what Plotly has already is left out
   * @property {function(Object): void} force         flat layout keys, told in any case
   * @property {function(): void} stop
   *
   * @param {HTMLElement} frame
   * @param {Object} on
   * @param {function(): void} on.ready              Plotly is there, or was drawn anew by dcc.Graph: time to tell it all
   * @param {function(View): void} on.moving         the view is being dragged or wheeled
   * @param {function(View): void} on.settled        Plotly has these ranges for good
   * @param {function(): void} on.reset              double click
   * @returns {Wire}
   */
  function connect(frame, on) {
    let graph = null;
    let told = {};
    let pressed = false; // inside the plot area
    let arrive;
    const arrived = new Promise((resolve) => (arrive = resolve));

    const ranges = () => ({ x: [...graph.layout.xaxis.range], y: [...graph.layout.yaxis.range] });

    function settled() {
      if (graph.layout.xaxis.range && graph.layout.yaxis.range) on.settled(ranges());
    }

    /**
     * dcc.Graph answers every relayout by copying the layout into its figure and drawing that again, in full, a moment
     * later: slow, and it undoes whatever was told in between. The view is kept in a store instead (scatter.js), so
     * this event is ours alone.
     */
    function ownRelayout() {
      graph.removeAllListeners('plotly_relayout');
      graph.on('plotly_relayout', settled);
    }

    /**
     * A drag with the zoom tool sends the ranges of the box being drawn, not of a moved view. Drags on the axes, outside
     * the plot area, do move it whatever the tool.
     */
    const boxing = () => pressed && graph.layout.dragmode === 'zoom';

    function pressedAt(event) {
      const { left, top, width, height } = frame.getBoundingClientRect();
      const { l, r, t, b } = graph ? graph.layout.margin : { l: 0, r: 0, t: 0, b: 0 };
      const x = event.clientX - left;
      const y = event.clientY - top;
      pressed = x >= l && x <= width - r && y >= t && y <= height - b;
    }

    /** @param {Object} change  the only public word of where the view is on its way: `graph.layout` follows when it rests */
    function moving(change) {
      if (boxing()) return;
      const view = ranges();
      for (const side of ['x', 'y']) {
        const range = [0, 1].map((k) => change && change[`${side}axis.range[${k}]`]);
        if (range.every(Number.isFinite)) view[side] = range;
      }
      on.moving(view);
    }

    function attach() {
      if (graph && graph.isConnected) return;
      const found = frame.querySelector('.js-plotly-plot');
      if (!found || !found.on || !found.layout || !found.layout.xaxis) return;
      graph = found;
      told = {};
      ownRelayout();
      graph.on('plotly_relayouting', moving);
      graph.on('plotly_doubleclick', () => setTimeout(on.reset)); // after Plotly's own answer, whatever it is configured to be
      graph.on('plotly_react', () => {
        told = {};
        on.ready();
      });
      on.ready();
      arrive();
    }

    function tell(keys, view) {
      if (!graph) return;
      const update = {};
      for (const [key, value] of Object.entries(keys)) {
        const text = JSON.stringify(value);
        if (told[key] === text) continue;
        told[key] = text;
        update[key] = value;
      }
      for (const side of view ? ['x', 'y'] : []) {
        const now = graph.layout[`${side}axis`].range;
        if (!now || !sameRange(now, view[side])) update[`${side}axis.range`] = [...view[side]];
      }
      if (!Object.keys(update).length) return;
      relayout(update);
    }

    function relayout(update) {
      ownRelayout(); // each time: dcc.Graph binds its events some time after its first drawing
      Plotly.relayout(graph, update);
    }

    // dcc.Graph brings plotly.js when it likes and may build its element anew
    const watching = new MutationObserver(attach);
    watching.observe(frame, { childList: true, subtree: true });
    queueMicrotask(attach);
    const listening = new AbortController();
    // capture: Plotly keeps these events to itself
    frame.addEventListener('pointerdown', pressedAt, { capture: true, signal: listening.signal });
    for (const end of ['pointerup', 'pointercancel']) {
      window.addEventListener(end, () => (pressed = false), { capture: true, signal: listening.signal });
    }
    return {
      arrived,
      tell,
      force: (update) => graph && relayout(update),
      stop() {
        watching.disconnect();
        listening.abort();
      },
    };
  }

  iscan.scatterGraph = { connect, sameRange };
})();
