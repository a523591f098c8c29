/**
 * Lasso and box: an outline follows the pointer over a plot and is handed over when the button comes up.
 *
 * The drags never reach Plotly. It would keep outlines of its own, join them by rules of its own while Shift or Alt is held,
 * and look at every one of its points at each move.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const LEAST = 4; // pixels: a shorter drag is a click, and chooses nothing

  /**
   * @typedef {Object} Drawing
   * @property {function(): boolean} cancel   gives up the outline being drawn; whether there was one
   * @property {function(): void} stop
   *
   * @param {HTMLElement} frame
   * @param {Object} on
   * @param {function(): ('lasso'|'box'|null)} on.tool
   * @param {function(): {left: number, top: number, width: number, height: number}} on.area   plot area in the frame
   * @param {function(number[][]|null): void} on.draft     the outline as it grows, in pixels of the area; null: gone
   * @param {function(number[][], 'new'|'add'|'subtract', PointerEvent): void} on.drawn
   * @returns {Drawing}
   */
  function follow(frame, on) {
    let path = null; // while drawing
    let mode = 'new';
    let tool = null;
    let pointer = -1;
    let area = null;
    let frameAsked = 0;

    /** The plot area in the window: looked up once a drag, as each look makes the browser lay out the page. */
    function areaNow() {
      const { left, top } = frame.getBoundingClientRect();
      const area = on.area();
      return { left: left + frame.clientLeft + area.left, top: top + frame.clientTop + area.top, width: area.width, height: area.height };
    }

    /** Where the pointer is in the plot area, kept inside it. */
    function place({ clientX, clientY }) {
      return [Math.max(0, Math.min(area.width, clientX - area.left)), Math.max(0, Math.min(area.height, clientY - area.top))];
    }

    function isOver({ clientX: x, clientY: y }) {
      return x >= area.left && y >= area.top && x <= area.left + area.width && y <= area.top + area.height;
    }

    function outline() {
      if (tool === 'lasso') return path;
      const [[x0, y0], [x1, y1]] = [path[0], path[path.length - 1]];
      return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
    }

    function show() {
      frameAsked = 0;
      if (path) on.draft(outline());
    }

    function end() {
      cancelAnimationFrame(frameAsked);
      frameAsked = 0;
      path = null;
      if (frame.hasPointerCapture(pointer)) frame.releasePointerCapture(pointer);
      pointer = -1;
      on.draft(null);
    }

    function pressed(event) {
      tool = on.tool();
      if (!tool || path || event.button !== 0 || !event.isPrimary || event.target.closest('button, a')) return;
      area = areaNow();
      if (!isOver(event)) return;
      event.preventDefault(); // no mouse events follow, which are what Plotly listens to
      event.stopPropagation();
      if (document.activeElement) document.activeElement.blur();
      mode = event.shiftKey ? 'add' : event.altKey ? 'subtract' : 'new';
      pointer = event.pointerId;
      frame.setPointerCapture(pointer);
      path = [place(event)];
    }

    function moved(event) {
      if (!path || event.pointerId !== pointer) return;
      const passed = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const each of passed.length ? passed : [event]) path.push(place(each));
      if (!frameAsked) frameAsked = requestAnimationFrame(show);
    }

    function released(event) {
      if (!path || event.pointerId !== pointer) return;
      path.push(place(event));
      const drawn = outline();
      const xs = drawn.map(([x]) => x);
      const ys = drawn.map(([, y]) => y);
      const isClick = Math.max(...xs) - Math.min(...xs) < LEAST && Math.max(...ys) - Math.min(...ys) < LEAST;
      end();
      if (!isClick) on.drawn(drawn, mode, event);
    }

    function cancel() {
      const was = path !== null;
      if (was) end();
      return was;
    }

    const listening = new AbortController();
    const { signal } = listening;
    frame.addEventListener('pointerdown', pressed, { capture: true, signal });
    frame.addEventListener('pointermove', moved, { signal });
    frame.addEventListener('pointerup', released, { signal });
    frame.addEventListener('pointercancel', (event) => event.pointerId === pointer && cancel(), { signal });
    return {
      cancel,
      stop() {
        cancel();
        listening.abort();
      },
    };
  }

  iscan.scatterDraw = { follow };
})();
