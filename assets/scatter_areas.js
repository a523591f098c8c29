/**
 * What lies over the cells of a plot: the outlines of the areas drawn on it, the one being drawn, and the count of the last.
 * Outlines are kept in data units; panning and zooming only changes the transformation they are seen through.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const SVG = 'http://www.w3.org/2000/svg';
  const SHOWN = 4000; // ms a count stands beside its area
  const SIGNS = { new: '', add: '+ ', subtract: '\u2212 ' };

  function make(tag, name, parent) {
    const element = document.createElementNS(SVG, tag);
    element.setAttribute('class', name);
    return parent.appendChild(element);
  }

  const pathOf = (points) => (points.length ? `M${points.map(([x, y]) => `${x} ${y}`).join('L')}Z` : '');

  /**
   * @typedef {Object} Overlay
   * @property {function(Array<{id: string, name: string, shapes: Array<{points: number[][], adds: boolean}>}>): void} show
   * @property {function({x: number[], y: number[]}, {left: number, top: number, width: number, height: number}): void} move
   * @property {function(number[][]|null): void} draft     the outline being drawn, in pixels of the plot area
   * @property {function(number, string, number[][]): void} say   the count of an outline just drawn
   *
   * @param {HTMLElement} frame
   * @returns {Overlay}
   */
  function over(frame) {
    let svg = frame.querySelector(':scope > .scatter-over');
    if (svg) svg.remove();
    svg = make('svg', 'scatter-over', frame);
    svg.setAttribute('aria-hidden', 'true');
    const shapes = make('g', 'scatter-areas', svg);
    const draft = make('path', 'scatter-draft', svg);
    const note = iscan.scatterFrame.child(frame, 'div', 'scatter-count');
    note.setAttribute('role', 'status');
    note.hidden = true;
    let timer = 0;
    let shown = '';
    let box = { left: 0, top: 0, width: 0, height: 0 };

    function show(areas) {
      const key = JSON.stringify(areas.map(({ id, shapes: own }) => [id, own]));
      if (key === shown) return;
      shown = key;
      shapes.replaceChildren();
      for (const area of areas) {
        const group = make('g', 'scatter-area', shapes);
        group.dataset.area = area.id;
        for (const { points, adds } of area.shapes) {
          make('path', `scatter-outline${adds ? '' : ' scatter-outline-away'}`, group).setAttribute('d', pathOf(points));
        }
      }
    }

    function move(view, area) {
      if (area.width !== box.width || area.height !== box.height) note.hidden = true; // it stood somewhere else
      box = area;
      Object.assign(svg.style, { left: `${area.left}px`, top: `${area.top}px`, width: `${area.width}px`, height: `${area.height}px` });
      const kx = area.width / (view.x[1] - view.x[0]);
      const ky = area.height / (view.y[1] - view.y[0]);
      if (!Number.isFinite(kx) || !Number.isFinite(ky)) return;
      shapes.setAttribute('transform', `matrix(${kx} 0 0 ${-ky} ${-view.x[0] * kx} ${view.y[1] * ky})`);
    }

    function say(count, mode, outline) {
      const text = `${SIGNS[mode]}${count.toLocaleString('en-US')} ${count === 1 ? 'cell' : 'cells'}`;
      note.textContent = text;
      note.hidden = false;
      // Its size is reckoned: asking the browser for it would lay out the page before the number is seen.
      const width = iscan.scatterLabels.measure(text, 12, 600) + 18;
      const right = Math.max(...outline.map(([x]) => x));
      const top = Math.min(...outline.map(([, y]) => y));
      note.style.left = `${box.left + Math.max(4, Math.min(right + 8, box.width - width))}px`;
      note.style.top = `${box.top + Math.max(4, Math.min(top, box.height - 26))}px`;
      clearTimeout(timer);
      timer = setTimeout(() => (note.hidden = true), SHOWN);
    }

    return {
      show,
      move,
      draft(points) {
        draft.setAttribute('d', points ? pathOf(points) : '');
        if (points) note.hidden = true;
      },
      say,
    };
  }

  iscan.scatterAreas = { over };
})();
