/**
 * A plot as a picture file: the cells painted anew at the wanted resolution under Plotly's vector axes, labels and legend,
 * on white whatever the theme. A figure of its own is drawn; the plot on the page is not touched.
 */
(function () {
  'use strict';
  const iscan = (window.iscan = window.iscan || {});
  const PAPER = { text: [33, 37, 41], background: [255, 255, 255], border: [134, 142, 150] };
  const ROW = 20; // height of a legend row, pixels
  const TITLE = 34; // room for the title

  /** Flat keys ("xaxis.title.text") as the nested object a new figure takes. */
  function nest(flat) {
    const root = {};
    for (const [key, value] of Object.entries(flat)) {
      const path = key.split('.');
      const last = path.pop();
      path.reduce((at, name) => (at[name] = at[name] || {}), root)[last] = value;
    }
    return root;
  }

  /** A trace that draws nothing and puts one row into a legend. */
  function legendRow(name, colour, legend) {
    return {
      type: 'scatter', mode: 'markers', x: [null], y: [null], name, legend, showlegend: true, hoverinfo: 'skip',
      marker: { color: colour, size: 9 },
    };
  }

  /** Legend in columns as high as the plot, from left to right. */
  function labelLegend(spec, area) {
    const { inert, shorten, measure } = iscan.scatterLabels;
    const rows = spec.legend || [];
    const deep = Math.max(1, Math.floor((area.height - 8) / ROW));
    const traces = [];
    const layout = {};
    let width = 0;
    for (let from = 0, k = 1; from < rows.length; from += deep, k++) {
      const part = rows.slice(from, from + deep);
      const name = k === 1 ? 'legend' : `legend${k}`;
      const widest = Math.max(...part.map((row) => measure(shorten(row.label, 40), 12)));
      layout[name] = {
        x: 1 + (width + 14) / area.width, y: 1, xanchor: 'left', yanchor: 'top', font: { size: 12 }, itemsizing: 'constant', borderwidth: 0,
        bgcolor: 'rgba(0,0,0,0)', traceorder: 'normal', itemwidth: 30, maxheight: area.height + ROW,
      };
      part.forEach((row) => traces.push(legendRow(inert(shorten(row.label, 40)), row.colour, name)));
      width += Math.ceil(widest) + 58;
    }
    return { traces, layout, width: width ? width + 14 : 0 };
  }

  /** Colour bar, and rows for zero and for the missing under it. */
  function valueLegend(spec, area, counts) {
    const ink = iscan.legend.valueInk(spec);
    const [lo, hi] = spec.range || [0, 1];
    const top = hi > lo ? hi : lo + 1;
    const steps = ink.length > 1 ? ink : [ink[0] || '#999999', ink[0] || '#999999'];
    const marks = iscan.legend.barTicks(spec);
    const traces = [{
      type: 'scatter', mode: 'markers', x: [null], y: [null], showlegend: false, hoverinfo: 'skip',
      marker: {
        color: [lo], cmin: lo, cmax: top, showscale: true, colorscale: steps.map((colour, k) => [k / (steps.length - 1), colour]),
        colorbar: {
          len: 0.55, y: 1, yanchor: 'top', x: 1, xpad: 14, thickness: 14, outlinewidth: 0, tickfont: { size: 11 },
          tickvals: marks.map((m) => lo + m.at * (top - lo)), ticktext: marks.map((m) => m.text),
        },
      },
    }];
    const missing = spec.missing === null || spec.missing === undefined ? 0 : counts[spec.missing];
    if (iscan.legend.hasZeros(spec, counts)) traces.push(legendRow('0', spec.zero, 'legend'));
    if (missing) traces.push(legendRow(`missing (${missing.toLocaleString('en-US')})`, spec.ink[spec.missing], 'legend'));
    const layout = { legend: { x: 1 + 8 / area.width, y: 0.4, xanchor: 'left', yanchor: 'top', font: { size: 12 }, itemsizing: 'constant', bgcolor: 'rgba(0,0,0,0)' } };
    return { traces, layout, width: 150 };
  }

  /**
   * @typedef {Object} Picture  what the plot shows now
   * @property {Object} spec
   * @property {{x: number[], y: number[]}} view
   * @property {{x: number[], y: number[]}} whole
   * @property {{width: number, height: number}} area     plot area in CSS pixels
   * @property {Object[]} labels                           on centroids, none when switched off (scatter_labels.js)
   * @property {Set<number>|null} only                     codes that are brought out
   * @property {Uint32Array} counts                       cells by display code
   * @property {function(HTMLCanvasElement, number, number[]): void} paint  cells onto a canvas, at a scale, on a background
   *
   * The detached figure.
   * @param {Picture} picture
   * @param {'png'|'svg'} format
   * @param {number} scale   canvas pixels per CSS pixel
   * @returns {{data: Object[], layout: Object}}
   */
  function figure(picture, format, scale) {
    const { spec, view, whole, area, labels } = picture;
    const canvas = document.createElement('canvas');
    canvas.width = Math.round(area.width * scale);
    canvas.height = Math.round(area.height * scale);
    picture.paint(canvas, scale, PAPER.background);
    const legend = spec.scale === 'categorical' ? labelLegend(spec, area) : valueLegend(spec, area, picture.counts);
    const title = (spec.title || '') + (spec.unit ? ` (${spec.unit})` : '');
    const layout = nest(iscan.scatterAxes.layout(spec, whole, PAPER));
    const margin = { l: Math.max(12, layout.margin.l), b: Math.max(12, layout.margin.b), t: title ? TITLE : 12, r: 12 + legend.width, pad: 0 };
    Object.assign(layout, legend.layout, {
      margin, autosize: false, width: area.width + margin.l + margin.r, height: area.height + margin.t + margin.b,
      paper_bgcolor: '#ffffff', plot_bgcolor: 'rgba(0,0,0,0)', showlegend: true,
      title: { text: iscan.scatterLabels.inert(title), x: margin.l / (area.width + margin.l + margin.r), xanchor: 'left', y: 1, yanchor: 'top', pad: { t: 10 }, font: { size: 15 } },
      annotations: iscan.scatterLabels.annotations(labels, view, area, PAPER, { only: picture.only, boxed: format === 'svg' }),
      images: [{ source: canvas.toDataURL('image/png'), xref: 'paper', yref: 'paper', x: 0, y: 1, sizex: 1, sizey: 1, sizing: 'stretch', layer: 'below' }],
    });
    layout.xaxis.range = view.x;
    layout.yaxis.range = view.y;
    const blank = { type: 'scatter', mode: 'markers', x: view.x, y: view.y, marker: { opacity: 0 }, showlegend: false, hoverinfo: 'skip' };
    return { data: [blank, ...legend.traces], layout };
  }

  /** The bytes behind a data URL. */
  function blob(url) {
    const comma = url.indexOf(',');
    const head = url.slice(5, comma);
    const body = url.slice(comma + 1);
    if (!head.endsWith(';base64')) return new Blob([decodeURIComponent(body)], { type: head });
    return new Blob([Uint8Array.from(atob(body), (c) => c.charCodeAt(0))], { type: head.slice(0, -7) });
  }

  /**
   * Draws the picture and hands it to the browser as a download.
   * @param {Picture} picture
   * @param {'png'|'svg'} format
   * @param {{filename: string, scale: number}} options
   * @returns {Promise<Blob>}
   */
  async function save(picture, format, { filename, scale }) {
    const { data, layout } = figure(picture, format, scale);
    const url = await Plotly.toImage({ data, layout }, { format, width: layout.width, height: layout.height, scale: format === 'png' ? scale : 1 });
    const file = blob(url);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(file);
    link.download = `${filename}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    return file;
  }

  iscan.scatterExport = { figure, save };
})();
