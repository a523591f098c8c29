"""Draw on the plots of iscan-dash and of cellxgene as a user does, and time what they wait for.

Both are driven with the same mouse events, in the same places of the embedding. A small script of the page notes when
the button was let go and the first frame in which the number of selected cells is on the page.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import h5py
import numpy as np

from benchmarks.browser import SETTLE, Browser, Page
from benchmarks.measure import Program
from benchmarks.servers import BenchmarkError

POINTS = 41
"""Corners of a lasso."""

MOST = 0.88
"""Part of the cells that the lasso goes around: what takes longest to count, test and paint."""

TENTH = 0.1
"""Part of the cells that get a label."""

WIDER = 0.006
"""By how much each lasso is wider than the one before, as a part of the largest: about 1.5 pixels."""

LASSOS = 3
"""Lassos drawn one after the other on a page; the median counts."""

EDGE = 4.0
"""Pixels that a lasso stays away from the edge of a plot."""

PAN_STEPS = 90
PAN_STEP = 3.0
"""Moves of a pan: 90 of 3 pixels, each as soon as the page has taken the one before."""

TOLERANCE = 0.01
"""By how much of all cells the counts of the programs may differ: their lassos are the same but for half a pixel."""

Corners = list[tuple[float, float]]

WATCH = """
  bench.paints = [];
  bench.watchCount = (count) => {
    const own = bench.lasso = {released: null, shown: null, count: null};
    const note = (event) => {
      own.released = event.timeStamp;
      const look = () => {
        own.count = count();
        if (own.count === null) requestAnimationFrame(look);
        else own.shown = performance.now();
      };
      requestAnimationFrame(look);
    };
    window.addEventListener('pointerup', note, {capture: true, once: true});
  };
  // The even-odd rule, edge by edge and cell by cell: what neither program computes like this.
  bench.evenOdd = (xs, ys, polygon) => {
    let found = 0;
    for (let i = 0; i < xs.length; i += 1) {
      let inside = false;
      for (let k = 0, j = polygon.length - 1; k < polygon.length; j = k, k += 1) {
        const [ax, ay] = polygon[k], [bx, by] = polygon[j];
        if ((ay > ys[i]) !== (by > ys[i]) && xs[i] < ((bx - ax) * (ys[i] - ay)) / (by - ay) + ax) inside = !inside;
      }
      if (inside) found += 1;
    }
    return found;
  };
"""


@dataclass(frozen=True)
class Canvas:
    """How to draw on the page of a program.

    Parameters
    ----------
    prepare
        JavaScript run before the page's own scripts; adds the time of each painting to ``bench.paints``.
    lasso, pan
        JavaScript statements that choose the tool; the former also forgets the selection that was.
    place
        JavaScript expression: a function from coordinates of the embedding to those of the page, ``(x, y) => [x, y]``.
        It may use `low`, `high`: the least and greatest coordinates, each ``[x, y]``.
    box
        JavaScript expression: where the plot is, ``{left, top, right, bottom}``.
    count
        JavaScript expression: how many cells are selected, null when that is not shown, or was before the last `lasso`.
    recount
        JavaScript that returns how many cells are in the polygon that the program used, by ``bench.evenOdd``.
    """

    prepare: str
    lasso: str
    pan: str
    place: str
    box: str
    count: str
    recount: str


ISCAN_CANVAS = Canvas(
    prepare="""
      document.addEventListener('iscan:painted', () => bench.paints.push(performance.now()), true);
      document.addEventListener('iscan:drawn', (event) => { bench.polygon = event.detail.points; }, true);
      bench.pannable = null;
      const seesPlotly = new MutationObserver(() => {
        if (!document.querySelector('#plot-1-frame .nsewdrag')) return;
        bench.pannable = performance.now();
        seesPlotly.disconnect();
      });
      seesPlotly.observe(document, {subtree: true, childList: true});
      bench.canvas = () => document.querySelector('#plot-1-frame canvas');""",
    lasso="iscan.scatter.tool('plot-1', 'lasso')",
    pan="iscan.scatter.tool('plot-1', 'pan')",
    place="""(x, y) => {
        const box = bench.canvas().getBoundingClientRect();
        const [x0, x1, y0, y1] = JSON.parse(document.querySelector('#plot-1-frame').dataset.view);
        return [box.left + (x - x0) / (x1 - x0) * box.width, box.top + (y1 - y) / (y1 - y0) * box.height];
      }""",
    box="bench.canvas().getBoundingClientRect()",
    count="""(() => {
        const note = document.querySelector('#plot-1-frame .scatter-count:not([hidden])');
        return note && note.textContent ? Number(note.textContent.replace(/[^0-9]/g, '')) : null;
      })()""",
    recount="""
        const bytes = await (await fetch('/api/v1/positions?embedding=X_umap')).arrayBuffer();
        const all = new Float32Array(bytes), half = all.length / 2;
        return bench.evenOdd(all.subarray(0, half), all.subarray(half), bench.polygon);""",
)
CELLXGENE_CANVAS = Canvas(
    # Its parts are found where React keeps them: in the fibers of its elements.
    prepare="""
      const plain = WebGLRenderingContext.prototype.drawArrays;
      WebGLRenderingContext.prototype.drawArrays = function (mode, first, count) {
        const told = plain.call(this, mode, first, count);
        if (this.canvas.dataset.testid === 'layout-graph' && count > 0) bench.paints.push(performance.now());
        return told;
      };
      for (const name of ['bufferData', 'bufferSubData']) {
        const own = WebGLRenderingContext.prototype[name];
        WebGLRenderingContext.prototype[name] = function (...values) {
          if (this.canvas.dataset.testid === 'layout-graph') bench.uploadedAt = performance.now();
          return own.apply(this, values);
        };
      }
      bench.canvas = () => document.querySelector('[data-testid="layout-graph"]');
      bench.fiber = (wanted) => {
        const canvas = bench.canvas();
        let fiber = canvas[Object.keys(canvas).find((name) => name.startsWith('__reactFiber$'))];
        while (fiber && !wanted(fiber)) fiber = fiber.return;
        return fiber;
      };
      bench.count = () => {
        const said = [...document.querySelectorAll('[data-testid="layout-choice"]')].map((e) => e.textContent);
        const found = /: (\\d+) out of/.exec(said.join());
        return found && Number(found[1]);
      };
      bench.graph = () => bench.fiber((one) => one.stateNode && one.stateNode.mapPointToScreen).stateNode;
      bench.store = () => bench.fiber((one) => one.memoizedProps && one.memoizedProps.store).memoizedProps.store;""",
    lasso="""bench.before = bench.count();
      document.querySelector('[data-testid="mode-lasso"]').click()""",
    pan="""document.querySelector('[data-testid="mode-pan-zoom"]').click()""",
    place="""(() => {
        // Its server brings the longer side to 0..1 and the other to the middle.
        const size = [high[0] - low[0], high[1] - low[1]], scale = Math.max(...size);
        const shift = size.map((own) => 0.5 - own / scale / 2);
        const box = bench.canvas().getBoundingClientRect(), graph = bench.graph();
        return (x, y) => {
          const [px, py] = graph.mapPointToScreen([(x - low[0]) / scale + shift[0], (y - low[1]) / scale + shift[1]]);
          return [box.left + px, box.top + py];
        };
      })()""",
    box="bench.canvas().getBoundingClientRect()",
    # No two lassos are the same, so that the number changes.
    count="bench.count() === bench.before ? null : bench.count()",
    recount="""
        const {annoMatrix, layoutChoice, graphSelection} = bench.store().getState();
        const layout = await annoMatrix.fetch('emb', layoutChoice.current);
        const [xs, ys] = layoutChoice.currentDimNames.map((name) => layout.col(name).asArray());
        return bench.evenOdd(xs, ys, graphSelection.selection.polygon);""",
)


@dataclass(frozen=True)
class Cells:
    """Where the cells of a study are, as far as drawing is concerned.

    Parameters
    ----------
    low, high
        The least and greatest coordinates.
    middle, spread
        Median and standard deviation of each axis.
    reach
        Radius, in units of `spread`, within which a part of the cells lies, by that part.
    count
        Number of cells.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    middle: tuple[float, float]
    spread: tuple[float, float]
    reach: dict[float, float]
    count: int

    @classmethod
    def read(cls, path: Path) -> Cells:
        """Look at the embedding of a study."""
        with h5py.File(path, "r") as file:
            xy = file["obsm/X_umap"][:].astype(np.float64)
        middle, spread = np.median(xy, axis=0), xy.std(axis=0)
        distance = np.sqrt((((xy - middle) / spread) ** 2).sum(axis=1))
        reach = {part: float(np.quantile(distance, part)) for part in (MOST, TENTH)}
        low, high = xy.min(axis=0), xy.max(axis=0)
        return cls(_pair(low), _pair(high), _pair(middle), _pair(spread), reach, len(xy))

    def lasso(self, part: float, number: int) -> Corners:
        """Return the corners of a lasso around a part of the cells, closed but for the last step.

        Parameters
        ----------
        part
            One of the parts in `reach`.
        number
            How many were drawn before: each begins outside the one before it, on which cellxgene begins no other.
        """
        angles = [2 * math.pi * k / POINTS for k in range(POINTS)]
        radius = self.reach[part] + WIDER * number * self.reach[MOST]
        return [
            (
                self.middle[0] + radius * self.spread[0] * math.cos(angle),
                self.middle[1] + radius * self.spread[1] * math.sin(angle),
            )
            for angle in angles
        ]


def _pair(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def watched(page: Page, canvas: Canvas) -> Page:
    """Return a page that notes besides what drawing on it asks for."""
    return replace(page, prepare=f"{page.prepare}\n{WATCH}\n{canvas.prepare}")


def in_page(browser: Browser, canvas: Canvas, cells: Cells, corners: Corners) -> Corners:
    """Return where corners of the embedding are in the page, kept within the plot."""
    script = f"""
        const [corners, low, high] = values, bench = window.__bench;
        const place = {canvas.place};
        const {{left, top, right, bottom}} = {canvas.box};
        return [corners.map(([x, y]) => place(x, y)), [left, top, right, bottom]];"""
    places, (left, top, right, bottom) = browser.js(script, corners, cells.low, cells.high)
    return [(min(max(x, left + EDGE), right - EDGE), min(max(y, top + EDGE), bottom - EDGE)) for x, y in places]


def lasso(browser: Browser, canvas: Canvas, cells: Cells, part: float, number: int) -> tuple[float, int]:
    """Draw a lasso; return the seconds from letting go to the count, and the count.

    Raises
    ------
    BenchmarkError
        When no count comes, or it is not that of the polygon.
    """
    browser.js(f"const bench = window.__bench; {canvas.lasso}")
    places = in_page(browser, canvas, cells, cells.lasso(part, number))
    browser.js(f"const bench = window.__bench; bench.watchCount(() => {canvas.count})")
    browser.drag(places)
    found = browser.wait_for("window.__bench.lasso.shown !== null && window.__bench.lasso")
    return (found["shown"] - found["released"]) / 1e3, int(found["count"])


def check_count(browser: Browser, canvas: Canvas, counted: int) -> None:
    """Hold a count against the cells that are inside the polygon by another computation.

    Raises
    ------
    BenchmarkError
        They differ.
    """
    inside = browser.js(f"const bench = window.__bench; {canvas.recount}")
    if inside != counted:
        raise BenchmarkError(f"The page counts {counted:,} cells, the polygon holds {inside:,}.")


def draw(browser: Browser, canvas: Canvas, cells: Cells) -> dict[str, float]:
    """Draw lassos around most cells, then pan; return what that cost, by name."""
    times, busy, sent, counts = [], [], [], []
    # What brings panning to iscan-dash comes after the picture; cellxgene has it with the picture.
    moment = browser.js("return window.__bench.pannable ?? null")
    pannable = {} if moment is None else {"pannable": moment / 1e3}
    for number in range(LASSOS):
        browser.uploaded()
        before = browser.busy_s()
        seconds, count = lasso(browser, canvas, cells, MOST, number)
        time.sleep(SETTLE)
        busy.append(browser.busy_s() - before)
        sent.append(browser.uploaded())
        times.append(seconds)
        counts.append(count)
        check_count(browser, canvas, count)
    return {
        "release to count": median(times),
        "busy over the lasso": median(busy),
        "sent up": median(sent),
        "cells": median(counts),
        "share": median(counts) / cells.count,
        "frames": pan(browser, canvas, cells),
        **pannable,
    }


def pan(browser: Browser, canvas: Canvas, cells: Cells) -> float:
    """Drag the view to and fro and return how often a second the cells were painted meanwhile."""
    browser.js(f"const bench = window.__bench; {canvas.pan}")
    ((x, y),) = in_page(browser, canvas, cells, [cells.middle])
    way = [(x + PAN_STEP * min(k % 30, 30 - k % 30), y) for k in range(PAN_STEPS)]
    browser.js("window.__bench.paints.length = 0")
    seconds = browser.drag(way)
    painted: int = browser.js("return window.__bench.paints.length")
    return painted / seconds


def drawing(program: Program, canvas: Canvas, cells: Cells) -> Program:
    """Return a program whose interactions are lassos and a pan."""
    return replace(
        program,
        page=watched(program.page, canvas),
        interactions=lambda _url, browser: draw(browser, canvas, cells),
    )
