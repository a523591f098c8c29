/**
 * The frame round a plot: its own elements, the colours of the page, and what stands there while cells load or when they do not.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});

  /** @returns {HTMLElement} the child of `parent` with that class, made when it is missing */
  function child(parent, tag, name) {
    const found = parent.querySelector(`:scope > .${name}`);
    if (found) return found;
    const element = document.createElement(tag);
    element.className = name;
    return parent.appendChild(element);
  }

  /**
   * The canvas of the cells, under everything else in the frame. Geometry belongs to the scripts, looks to the style sheet.
   * @param {HTMLElement} frame
   * @returns {HTMLCanvasElement}
   */
  function cellsCanvas(frame) {
    const canvas = child(frame, 'canvas', 'scatter-cells');
    frame.prepend(canvas);
    if (getComputedStyle(frame).position === 'static') frame.style.position = 'relative';
    frame.style.isolation = 'isolate'; // keeps the negative z-index inside
    Object.assign(canvas.style, { position: 'absolute', zIndex: -1, pointerEvents: 'none', width: '0', height: '0' });
    canvas.setAttribute('role', 'img');
    return canvas;
  }

  const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });

  /** Any CSS colour as [red, green, blue]; null when it is transparent or no colour. */
  function rgb(colour) {
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = 'rgba(0,0,0,0)';
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data;
    return a < 128 ? null : [r, g, b];
  }

  /**
   * Colours of the page round a frame.
   * @param {HTMLElement} frame
   * @returns {{text: number[], border: number[], background: number[]}} [red, green, blue] each
   */
  function theme(frame) {
    const root = getComputedStyle(document.documentElement);
    const variable = (name, otherwise) => rgb(root.getPropertyValue(name).trim()) || otherwise;
    let background = null;
    for (let at = frame; at && !background; at = at.parentElement) background = rgb(getComputedStyle(at).backgroundColor);
    return {
      text: variable('--bs-body-color', [33, 37, 41]),
      border: variable('--bs-border-color', [222, 226, 230]),
      background: background || variable('--bs-body-bg', [255, 255, 255]),
    };
  }

  /**
   * Progress and failure of loading.
   * @param {HTMLElement} frame
   * @param {function(): void} retry
   * @returns {{idle: function(): void, loading: function(): void, failed: function(string): void}}
   */
  function busy(frame, retry) {
    const box = child(frame, 'div', 'scatter-busy');
    box.setAttribute('role', 'status');
    Object.assign(box.style, { position: 'absolute', zIndex: 4 });
    let timer = 0;
    const set = (state, ...content) => {
      clearTimeout(timer);
      box.dataset.state = state;
      box.hidden = state === 'idle';
      box.replaceChildren(...content);
    };
    const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
    set('idle');
    return {
      idle: () => set('idle'),
      loading() {
        clearTimeout(timer);
        // a bar that comes and goes within a blink only unsettles
        timer = setTimeout(() => set('loading', make('div', 'scatter-progress', ''), make('span', 'visually-hidden', 'Loading the cells')), 150);
      },
      failed(message) {
        const button = make('button', 'scatter-retry btn btn-sm btn-outline-secondary', 'Retry');
        button.type = 'button';
        button.addEventListener('click', retry);
        set('failed', make('span', 'scatter-error', message), button);
      },
    };
  }

  iscan.scatterFrame = { child, cellsCanvas, theme, busy };
})();
