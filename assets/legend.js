/**
 * The legend beside a plot: label rows to search, point at and pin, or a colour bar.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const SEARCH_FROM = 13; // rows; fewer are seen at a glance
  const STOPS = 32; // colours of a bar's gradient
  const BESIDE = 56; // pixels of a row beside its label and its count
  const legends = new WeakMap(); // element -> what is pinned, searched and listened to

  const number = (value) => Number(value).toLocaleString('en-US');

  /** A tick value as text: three significant digits, no trailing zeros, a true minus. */
  function tickText(value) {
    const size = Math.abs(value);
    let text = String(Number(size.toPrecision(3)));
    if (size !== 0 && (size >= 1e5 || size < 1e-3)) text = size.toExponential(1);
    else if (size >= 1000) text = number(Math.round(size));
    return value < 0 ? `\u2212${text}` : text;
  }

  function make(tag, name, text) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  /**
   * Colours of the values of a scale, without the greys of zero and of the missing.
   * @param {Object} spec  see scatter.js
   * @returns {string[]}
   */
  function valueInk(spec) {
    return spec.ink.filter((colour, code) => code !== spec.missing && (!spec.zero || colour !== spec.zero));
  }

  /** Whether cells are painted in the colour of zero. */
  function hasZeros(spec, counts) {
    return Boolean(spec.zero) && spec.ink.some((colour, code) => colour === spec.zero && code !== spec.missing && counts[code] > 0);
  }

  /**
   * Ticks of a colour bar, its ends included; an end that values go beyond says so.
   * @param {Object} spec
   * @returns {Array<{at: number, text: string}>} at: 0..1 from left to right
   */
  function barTicks(spec) {
    const [lo, hi] = spec.range || [0, 1];
    const width = hi - lo || 1;
    const place = (value) => ({ at: (value - lo) / width, text: tickText(value) });
    const between = (spec.ticks || []).filter((v) => (v - lo) / width > 0.12 && (v - lo) / width < 0.88);
    if (!(hi > lo)) return [{ at: 0.5, text: tickText(lo) }];
    const marks = [lo, ...between, hi].map(place);
    const [below, above] = spec.clipped || [0, 0];
    if (below) marks[0].text = `\u2264 ${marks[0].text}`;
    if (above) marks[marks.length - 1].text = `\u2265 ${marks[marks.length - 1].text}`;
    return marks;
  }

  /** `k cells` in words. */
  const cellsText = (k) => `${number(k)} ${k === 1 ? 'cell' : 'cells'}`;

  function renderBar(root, spec, counts) {
    const title = make('div', 'legend-title', spec.title || '');
    if (spec.unit) title.append(make('span', 'legend-unit', spec.unit));
    title.dir = 'auto';
    title.title = title.textContent;
    const bar = make('div', 'legend-bar');
    const ink = valueInk(spec);
    const stops = Array.from({ length: Math.min(STOPS, ink.length) }, (_, k, m = Math.min(STOPS, ink.length)) =>
      ink[m > 1 ? Math.round((k / (m - 1)) * (ink.length - 1)) : 0]);
    const gradient = make('div', 'legend-gradient');
    gradient.style.backgroundImage = `linear-gradient(to right, ${stops.join(', ')}${stops.length === 1 ? `, ${stops[0]}` : ''})`;
    const ticks = make('div', 'legend-ticks');
    const marks = barTicks(spec);
    const [below, above] = spec.clipped || [0, 0];
    if (below || above) bar.title = `Values beyond its ends: ${number(below)} lower, ${number(above)} higher`;
    for (const { at, text } of marks) {
      const tick = make('span', 'legend-tick', text);
      tick.style.left = `${(100 * at).toFixed(2)}%`;
      if (at <= 0) tick.classList.add('legend-tick-first');
      if (at >= 1) tick.classList.add('legend-tick-last');
      ticks.append(tick);
    }
    bar.append(gradient, ticks);
    bar.setAttribute('role', 'img');
    bar.setAttribute('aria-label', `Colour scale of ${spec.title || 'the values'}${spec.unit ? ` (${spec.unit})` : ''}, ${marks[0].text} to ${marks[marks.length - 1].text}`);
    const greys = make('div', 'legend-greys');
    const grey = (colour, text) => {
      const item = make('span', 'legend-grey');
      const swatch = make('span', 'legend-swatch');
      swatch.style.backgroundColor = colour;
      item.append(swatch, text);
      greys.append(item);
    };
    if (hasZeros(spec, counts)) grey(spec.zero, '0');
    const missing = spec.missing === null || spec.missing === undefined ? 0 : counts[spec.missing];
    if (missing) grey(spec.ink[spec.missing], `missing (${number(missing)})`);
    root.append(title, bar);
    if (greys.childElementCount) root.append(greys);
  }

  function makeRow(entry) {
    const row = make('button', 'legend-row');
    row.type = 'button';
    row.dataset.code = entry.code;
    row.title = entry.label;
    row.setAttribute('aria-pressed', 'false');
    row.setAttribute('aria-label', `${entry.label}, ${cellsText(entry.count)}`);
    const swatch = make('span', 'legend-swatch');
    swatch.style.backgroundColor = entry.colour;
    const label = make('bdi', 'legend-label'); // bdi: a right-to-left label must not reorder the row
    label.dir = 'auto';
    label.textContent = entry.label; // whole: joined labels begin and end alike, and differ where one would cut
    row.append(swatch, label, make('span', 'legend-count', number(entry.count)));
    return row;
  }

  function renderRows(root, spec, state) {
    const entries = spec.legend || [];
    const rows = entries.map(makeRow);
    const list = make('div', 'legend-list');
    list.setAttribute('role', 'group');
    list.setAttribute('aria-label', spec.title ? `Labels of ${spec.title}` : 'Labels');
    list.append(...rows);
    const shown = () => rows.filter((row) => !row.hidden);
    const rove = (row) => rows.forEach((other) => (other.tabIndex = other === row ? 0 : -1)); // one tab stop for the whole list
    const code = (row) => Number(row.dataset.code);
    let pointed = null;
    const tell = () => {
      const codes = new Set(state.pins.keys());
      if (pointed !== null) codes.add(pointed);
      rows.forEach((row) => row.setAttribute('aria-pressed', String(state.pins.has(code(row)))));
      list.classList.toggle('legend-pinned', state.pins.size > 0);
      state.onHighlight(codes.size ? [...codes] : null);
    };
    const point = (value) => {
      if (pointed === value) return;
      pointed = value;
      tell();
    };
    state.clear = () => {
      state.pins.clear();
      pointed = null;
      tell();
    };
    const rowOf = (event) => event.target.closest('.legend-row');

    list.addEventListener('pointerover', (event) => rowOf(event) && point(code(rowOf(event))));
    list.addEventListener('pointerleave', () => point(null));
    list.addEventListener('focusin', (event) => {
      rove(rowOf(event));
      if (rowOf(event).matches(':focus-visible')) point(code(rowOf(event)));
    });
    list.addEventListener('focusout', () => point(null));
    list.addEventListener('click', (event) => {
      const row = rowOf(event);
      if (!row) return;
      if (!state.pins.delete(code(row))) state.pins.set(code(row), row.title);
      tell();
    });
    list.addEventListener('keydown', (event) => {
      const seen = shown();
      const at = seen.indexOf(rowOf(event));
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: seen.length - 1 }[event.key];
      if (to === undefined || !seen[to]) return;
      event.preventDefault();
      seen[to].focus();
    });

    if (spec.title) {
      const title = make('div', 'legend-title', spec.title);
      title.dir = 'auto';
      title.title = spec.title;
      root.append(title);
    }
    if (rows.length >= SEARCH_FROM) {
      const search = make('div', 'legend-search');
      const input = make('input', 'legend-search-input form-control form-control-sm');
      input.type = 'search';
      input.placeholder = 'Search labels';
      input.setAttribute('aria-label', 'Search labels');
      input.value = state.search;
      input.autocomplete = 'off';
      input.spellcheck = false;
      const found = make('span', 'legend-found');
      found.setAttribute('role', 'status');
      const filter = () => {
        state.search = input.value;
        const wanted = input.value.trim().toLocaleLowerCase();
        rows.forEach((row) => (row.hidden = !row.title.toLocaleLowerCase().includes(wanted)));
        const seen = shown();
        found.textContent = wanted ? `${number(seen.length)} of ${number(rows.length)}` : '';
        rove(seen[0] || rows[0]);
      };
      input.addEventListener('input', filter);
      input.addEventListener('keydown', (event) => {
        if (event.key === 'ArrowDown' && shown().length) {
          event.preventDefault();
          shown()[0].focus();
        } else if (event.key === 'Escape' && input.value) {
          event.stopPropagation();
          input.value = '';
          filter();
        }
      });
      search.append(input, found);
      root.append(search);
      filter();
    } else if (rows.length) {
      state.search = '';
      rove(rows[0]);
    }
    if (rows.length) root.append(list);
    tell();
  }

  /** Width at which no label of a legend is cut, for the style sheet, which has the last word. */
  function wish(entries) {
    const { measure } = iscan.scatterLabels;
    return Math.ceil(Math.max(0, ...entries.map(({ label, count }) => measure(label, 12) + measure(number(count), 12) + BESIDE)));
  }

  /**
   * Draws the legend of a plot into an element. What is pinned and searched survives a redraw of the same column.
   * @param {HTMLElement} root
   * @param {Object|null} spec                           see scatter.js; null empties the legend
   * @param {Object} info
   * @param {Uint32Array} info.counts                    cells per code
   * @param {number} info.unplaced                       cells without a position
   * @param {function(number[]|null): void} info.onHighlight  codes to bring out, null = all alike
   */
  function render(root, spec, { counts, unplaced, onHighlight }) {
    const key = spec && `${spec.scale}\n${spec.title || spec.codes}`;
    const old = legends.get(root);
    const state = { key, pins: new Map(), search: '', onHighlight, clear() {} };
    const focused = root.contains(document.activeElement) ? document.activeElement : null;
    if (old && old.key === key && spec.scale === 'categorical') {
      state.search = old.search;
      const pinned = new Set(old.pins.values());
      for (const { code, label } of spec.legend || []) if (pinned.has(label)) state.pins.set(code, label);
    }
    if (!old) {
      root.addEventListener('keydown', (event) => {
        const now = legends.get(root);
        if (event.key !== 'Escape' || !now.pins.size) return;
        event.stopPropagation();
        now.clear();
      });
    }
    legends.set(root, state);
    root.replaceChildren();
    root.parentElement.style.setProperty('--legend-wish', `${spec && spec.scale === 'categorical' ? wish(spec.legend || []) : 0}px`);
    root.classList.toggle('legend-continuous', Boolean(spec) && spec.scale !== 'categorical');
    if (!spec) return;
    if (spec.scale === 'categorical') {
      renderRows(root, spec, state);
    } else {
      onHighlight(null);
      renderBar(root, spec, counts);
    }
    if (unplaced) root.append(make('div', 'legend-note', `${cellsText(unplaced)} ${unplaced === 1 ? 'has' : 'have'} no position here`));
    if (focused) {
      const same = focused.matches('.legend-row')
        ? [...root.querySelectorAll('.legend-row')].find((row) => row.title === focused.title)
        : root.querySelector('.legend-search-input');
      if (same) same.focus({ preventScroll: true });
    }
  }

  /** Unpins everything, as Esc does. */
  function clear(root) {
    const state = legends.get(root);
    if (state) state.clear();
  }

  iscan.legend = { render, clear, barTicks, hasZeros, valueInk };
})();
