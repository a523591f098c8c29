/**
 * The axes as Plotly is told them, and the part of the frame they leave to the cells.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});

  /**
   * @param {Object} spec  see scatter.js
   * @returns {{l: number, r: number, t: number, b: number, pad: number}} CSS pixels
   */
  function margins(spec) {
    return spec.axes && spec.axes.visible ? { l: 58, r: 12, t: 10, b: 46, pad: 0 } : { l: 0, r: 0, t: 0, b: 0, pad: 0 };
  }

  /**
   * Ranges that show everything: the data's extent and a little room on each side.
   * @param {number[]|null} bounds   [x0, x1, y0, y1]; null or not finite when no cell has a position
   * @returns {{x: number[], y: number[]}}
   */
  function home(bounds) {
    const range = (lo, hi) => {
      if (!Number.isFinite(lo) || !Number.isFinite(hi)) return [0, 1];
      const room = hi > lo ? (hi - lo) * 0.03 : Math.abs(lo) * 0.05 || 1;
      return [lo - room, hi + room];
    };
    const [x0, x1, y0, y1] = bounds || [];
    return { x: range(x0, x1), y: range(y0, y1) };
  }

  /**
   * The smallest view round another in which a unit is as long on one axis as on the other.
   * @param {{x: number[], y: number[]}} view
   * @param {{width: number, height: number}} area   CSS pixels
   * @returns {{x: number[], y: number[]}} `view` itself when it fits, or nothing is to be seen of it
   */
  function fit(view, area) {
    const width = view.x[1] - view.x[0];
    const height = view.y[1] - view.y[0];
    if (!(area.width > 0 && area.height > 0 && width > 0 && height > 0)) return view;
    const stretch = width / area.width / (height / area.height);
    if (Math.abs(stretch - 1) < 1e-6) return view; // what Plotly's own sums leave is no reason to tell it new ranges
    const wider = ([lo, hi], factor) => [(lo + hi) / 2 - ((hi - lo) / 2) * factor, (lo + hi) / 2 + ((hi - lo) / 2) * factor];
    return stretch > 1 ? { x: view.x, y: wider(view.y, stretch) } : { x: wider(view.x, 1 / stretch), y: view.y };
  }

  /**
   * Layout of the axes as flat Plotly keys, ranges left out.
   * @param {Object} spec
   * @param {{x: number[], y: number[]}} whole    ranges of the whole picture, for the form of the numbers
   * @param {{text: number[], border: number[]}} theme
   * @returns {Object<string, *>}
   */
  function layout(spec, whole, theme) {
    const visible = Boolean(spec.axes && spec.axes.visible);
    const text = `rgb(${theme.text.join(',')})`;
    const border = `rgb(${theme.border.join(',')})`;
    const { FONT, inert } = iscan.scatterLabels;
    const keys = { margin: margins(spec), 'font.family': FONT, 'font.color': text, showlegend: false };
    for (const side of ['x', 'y']) {
      const axis = {
        visible, color: text, 'title.text': visible ? inert(spec.axes[side] || '') : '', 'title.font.size': 12, 'title.standoff': 8,
        'tickfont.size': 11, ticks: 'outside', ticklen: 4, tickcolor: border, showline: true, linecolor: border,
        showgrid: false, zeroline: false, automargin: false, nticks: 8,
        // long numbers do not fit a fixed margin: 120k, not 120000
        tickformat: Math.max(...whole[side].map(Math.abs)) >= 10000 ? '~s' : '',
      };
      for (const [key, value] of Object.entries(axis)) keys[`${side}axis.${key}`] = value;
    }
    return keys;
  }

  iscan.scatterAxes = { margins, home, fit, layout };
})();
