/**
 * What the pointer is on: a ring round the nearest cell and a tooltip, its label at once and its details when they arrive.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const DELAY = 80; // ms the pointer has to rest on a cell before its details are asked for
  const KEPT = 200; // answers
  const STILL = 3; // pixels that a click may move
  const NEAR = 8; // pixels from the pointer to a cell it is on
  const answers = new Map(); // URL -> details, least recently used first

  function line(tag, name, text) {
    const element = document.createElement(tag);
    element.className = name;
    element.textContent = text; // labels and cell ids are the user's text: never markup
    element.dir = 'auto';
    return element;
  }

  function details(url, signal) {
    if (answers.has(url)) {
      const known = answers.get(url);
      answers.delete(url);
      answers.set(url, known);
      return Promise.resolve(known);
    }
    return fetch(url, { signal }).then(async (response) => {
      if (!response.ok) throw new Error(`The server answered ${response.status}.`);
      const answer = await response.json();
      answers.set(url, answer);
      if (answers.size > KEPT) answers.delete(answers.keys().next().value);
      return answer;
    });
  }

  /**
   * @typedef {Object} Hit  the cell under the pointer
   * @property {number} row                 the cell's number on the server
   * @property {number} left                centre of the cell in the frame, CSS pixels
   * @property {number} top
   * @property {number} radius              of its dot, CSS pixels
   * @property {string|null} label
   * @property {string} colour
   * @property {string|null} url            where its details are
   *
   * The cell of a plot near a place in its frame.
   * @param {Object} plot       see scatter.js
   * @param {{left: number, top: number, width: number, height: number}} area  of the cells in the frame
   * @param {number} left       CSS pixels in the frame
   * @param {number} top
   * @returns {Hit|null}
   */
  function pick(plot, area, left, top) {
    const { points, view, spec } = plot;
    if (!points.bins) {
      iscan.scatterBins.want(points, plot.stats);
      return null;
    }
    const right = left - area.left;
    const down = top - area.top;
    if (right < 0 || down < 0 || right > area.width || down > area.height) return null;
    const unitX = (view.x[1] - view.x[0]) / area.width;
    const unitY = (view.y[1] - view.y[0]) / area.height;
    const near = Math.max(NEAR, plot.dotRadius + 4);
    const i = iscan.scatterBins.nearest(points.bins, points.x, points.y, view.x[0] + right * unitX, view.y[1] - down * unitY,
      Math.abs(near * unitX), Math.abs(near * unitY));
    if (i < 0) return null;
    const row = points.rows[i];
    const code = plot.codes ? plot.codes[row] : 0;
    const entry = (spec.legend || []).find((e) => e.code === code);
    return {
      row,
      left: area.left + (points.x[i] - view.x[0]) / unitX,
      top: area.top + (view.y[1] - points.y[i]) / unitY,
      radius: plot.dotRadius,
      label: entry ? entry.label : code === spec.missing ? 'missing' : spec.title || null,
      colour: spec.ink[code] || '#999999',
      url: spec.hover ? spec.hover.replace('{row}', row) : null,
    };
  }

  /**
   * Follows the pointer over a frame.
   * @param {HTMLElement} frame
   * @param {function(number, number): (Hit|null)} pick  cell near a place in the frame, given in CSS pixels
   * @param {function(Hit): void} clicked                a cell was clicked, without a drag
   * @returns {{hide: function(): void, stop: function(): void}}
   */
  function follow(frame, pick, clicked) {
    const ring = iscan.scatterFrame.child(frame, 'div', 'scatter-ring');
    const tip = iscan.scatterFrame.child(frame, 'div', 'scatter-tip');
    tip.setAttribute('role', 'tooltip');
    ring.hidden = tip.hidden = true;
    for (const element of [ring, tip]) Object.assign(element.style, { position: 'absolute', pointerEvents: 'none', zIndex: 3 });
    let row = -1, timer = 0, request = null, next = null, frameAsked = 0;

    function forget() {
      clearTimeout(timer);
      if (request) request.abort();
      request = null;
      row = -1;
    }

    function hide() {
      forget();
      next = null;
      ring.hidden = tip.hidden = true;
    }

    function place(hit) {
      const gap = hit.radius + 10;
      const { offsetWidth: w, offsetHeight: h } = tip;
      const left = hit.left + gap + w <= frame.clientWidth ? hit.left + gap : hit.left - gap - w;
      const top = hit.top + gap + h <= frame.clientHeight ? hit.top + gap : hit.top - gap - h;
      tip.style.left = `${Math.max(2, Math.min(left, frame.clientWidth - w - 2))}px`;
      tip.style.top = `${Math.max(2, Math.min(top, frame.clientHeight - h - 2))}px`;
    }

    function fill(hit, answer) {
      const parts = [];
      if (hit.label !== null) {
        const label = line('div', 'scatter-tip-label', '');
        const swatch = document.createElement('span');
        swatch.className = 'scatter-tip-swatch';
        swatch.style.backgroundColor = hit.colour;
        label.append(swatch, line('span', 'scatter-tip-text', hit.label));
        parts.push(label);
      }
      if (answer) {
        parts.push(line('div', 'scatter-tip-id', answer.id));
        if (answer.sample) parts.push(line('div', 'scatter-tip-sample', answer.sample));
        if (answer.fields && answer.fields.length) {
          const list = document.createElement('dl');
          list.className = 'scatter-tip-fields';
          for (const [name, text] of answer.fields) list.append(line('dt', '', name), line('dd', '', text));
          parts.push(list);
        }
      }
      tip.replaceChildren(...parts);
      tip.hidden = parts.length === 0;
      place(hit);
    }

    function show(hit) {
      const size = 2 * hit.radius + 6;
      Object.assign(ring.style, { width: `${size}px`, height: `${size}px`, left: `${hit.left - size / 2}px`, top: `${hit.top - size / 2}px` });
      ring.hidden = false;
      if (hit.row === row) return;
      forget();
      row = hit.row;
      const known = hit.url && answers.get(hit.url);
      fill(hit, known);
      if (!hit.url || known) return;
      timer = setTimeout(() => {
        request = new AbortController();
        details(hit.url, request.signal).then(
          (answer) => row === hit.row && fill(hit, answer),
          () => {} // moved on, or no answer: the label stays, and resting on the cell again asks again
        );
      }, DELAY);
    }

    function moved(event) {
      if (event.buttons || event.pointerType === 'touch') return hide();
      next = event;
      if (frameAsked) return;
      frameAsked = requestAnimationFrame(() => {
        frameAsked = 0;
        if (!next) return;
        const hit = hitAt(next);
        if (hit) show(hit);
        else hide();
      });
    }

    function hitAt({ clientX, clientY }) {
      const box = frame.getBoundingClientRect();
      return pick(clientX - box.left - frame.clientLeft, clientY - box.top - frame.clientTop);
    }

    /** A press that ends where it began is a click; Plotly lays a cover over the page meanwhile, so the page is asked. */
    function pressed(event) {
      const hit = event.button === 0 && event.target.closest('.scatter') === frame ? hitAt(event) : null;
      hide();
      if (!hit) return;
      window.addEventListener('pointerup', (end) => {
        if (Math.hypot(end.clientX - event.clientX, end.clientY - event.clientY) <= STILL) clicked(hit);
      }, { capture: true, once: true, signal: listening.signal });
    }

    const listening = new AbortController();
    for (const [name, act] of [['pointermove', moved], ['pointerleave', hide], ['pointerdown', pressed], ['wheel', hide]]) {
      // capture: Plotly's drag layer may keep these events to itself
      frame.addEventListener(name, act, { capture: name !== 'pointerleave', passive: true, signal: listening.signal });
    }
    return {
      hide,
      stop() {
        hide();
        listening.abort();
      },
    };
  }

  iscan.scatterHover = { pick, follow };
})();
