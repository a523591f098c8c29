"""Give a tenth of the cells a label on the pages of iscan-dash and of cellxgene, and time the redrawn plot.

Both begin alike: an annotation exists, the plot is coloured by it, a lasso is drawn around a tenth of the cells, and
the button that gives them a label is in sight. What is timed runs from the click to the frame in which the plot shows
the label: for iscan-dash that includes the server, which has the edit on its disk before it answers; cellxgene changes
its own copy in the page and sends it later.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from urllib.parse import urlencode, urlsplit

import h5py

from benchmarks.browser import NOT_LOOKED, SETTLE, Browser, Page
from benchmarks.drawing import CELLXGENE_CANVAS, ISCAN_CANVAS, TENTH, Canvas, Cells, check_count, lasso, watched
from benchmarks.measure import Program
from benchmarks.peers import cellxgene_python
from benchmarks.servers import BenchmarkError, Command, threads_env
from tests.services.page_client import PageClient

NAME = "mine"
"""The annotation."""

LABELS = ("first", "second", "third")
"""Labels given one after the other; the median counts."""

TIMED = """
    const bench = window.__bench, [label] = values;
    return new Promise((resolve) => {
      const begun = performance.now();
      %s;
      const look = () => {
        const at = %s;
        if (at) resolve((at - begun) / 1e3);
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
"""


def timed(browser: Browser, click: str, drawn: str, label: str) -> float:
    """Click, and return the seconds until what follows is drawn.

    Parameters
    ----------
    browser
        The page.
    click
        JavaScript statement. It may use `label`.
    drawn
        JavaScript expression, looked at once a frame: when it was drawn, in ms of `performance.now`, null before. It
        may use `label`, and `begun`, the time of the click.
    label
        The label that is given.
    """
    seconds: float = browser.js(TIMED % (click, drawn), label)
    return seconds


NAMED = """
    const rows = document.querySelectorAll(`[data-testid="category-${values[0]}"] [data-testclass="categorical-row"]`);
    return Object.fromEntries([...rows].map((row) => [
      row.querySelector('[data-testclass="categorical-value"]').getAttribute('aria-label'),
      row.querySelector('[data-testclass="categorical-value-count"]').textContent]));
"""
"""The cells of each label, as cellxgene lists them."""


# -- iscan-dash --------------------------------------------------------------------------------------------------------

_ROW = """[...document.querySelectorAll('#plot-1-legend .legend-row')].find((row) => row.title === label)"""
_COUNT = f"Number(({_ROW})?.querySelector('.legend-count').textContent.replaceAll(',', '') || 0)"


def iscan_relabelling(program: Program, cells: Cells) -> Program:
    """Return iscan-dash, whose interactions are labels given on the page Edit Annotation."""

    def relabel(url: str, browser: Browser) -> dict[str, float]:
        annotation = _make_annotation(url)
        query = urlencode({"annotation": annotation, "open": annotation})
        page = watched(Page("document.querySelector('#edit-apply')", NOT_LOOKED), ISCAN_CANVAS)
        browser.visit(f"{url}annotate/edit?{query}", page)
        browser.wait_for("document.querySelector('#plot-1-frame').dataset.painted.includes('annotation')")
        return _relabel(browser, ISCAN_CANVAS, cells, _iscan_label)

    return replace(program, interactions=relabel)


def _make_annotation(url: str) -> str:
    """Make an annotation in which no cell has a label, and return its id."""
    client = PageClient(urlsplit(url).port or 80)
    form = {"seq": 1, "name": NAME, "default": "Unassigned", "copy_on": False}
    revision, said = client.edit("new-create.n_clicks", 1, {"new-form": form})
    client.close()
    if revision is None:
        raise BenchmarkError(f"Nothing was made: {said}")
    by: str = said["actions"][0]["action"]["by"]
    return by.removeprefix("annotation:")


def _iscan_label(browser: Browser, label: str, count: int) -> float:
    """Give the selected cells a label in the Assign bar."""
    browser.js(
        """
        const choose = (id, value, name) => {
          const field = document.getElementById(id);
          const own = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), 'value');
          own.set.call(field, value);
          field.dispatchEvent(new Event(name, {bubbles: true}));
        };
        choose('edit-target', 'selection', 'change');
        choose('edit-value', values[0], 'input');""",
        label,
    )
    browser.wait_for("!document.getElementById('edit-apply').disabled")
    click = "document.getElementById('edit-apply').click()"
    # The legend has the label when its colours are there; the next painting shows them.
    drawn = f"({_COUNT} === {count} && bench.paints.find((at) => at > begun)) ? bench.paints.at(-1) : null"
    return timed(browser, click, drawn, label)


# -- cellxgene ---------------------------------------------------------------------------------------------------------


def cellxgene_relabelling(program: Program, study: Path, cells: Cells, threads: int) -> Program:
    """Return cellxgene, started with a file of annotations, whose interactions are labels given by its menu.

    The file has the category and its labels already, each on one cell: it opens without the dialogs that make them.
    """
    executable = str(cellxgene_python().with_name("cellxgene"))

    def command(state: Path) -> Command:
        path = state / "labels.csv"
        write_labels(study, path)
        argv = [
            executable,
            "--no-upgrade-check",
            "launch",
            str(study),
            "--port",
            "{port}",
            "--annotations-file",
            str(path),
        ]
        return Command("cellxgene", [*argv, "--disable-gene-sets-save"], threads_env(threads))

    def relabel(_url: str, browser: Browser) -> dict[str, float]:
        for part in ("category-expand", None):
            wanted = f"{NAME}:{part}" if part else f"colorby-{NAME}"
            browser.wait_for(f"""document.querySelector('[data-testid="{wanted}"]')""")
            browser.js(f"""document.querySelector('[data-testid="{wanted}"]').click()""")
        time.sleep(SETTLE)
        return _relabel(browser, CELLXGENE_CANVAS, cells, _cellxgene_label)

    return replace(program, command=command, page=watched(program.page, CELLXGENE_CANVAS), interactions=relabel)


def write_labels(study: Path, path: Path) -> None:
    """Write a file of annotations in which the first cells have one of the labels each, the others none."""
    with h5py.File(study, "r") as file:
        ids = file["obs/_index"].asstr()[:]
    labels = [*LABELS, *["unassigned"] * (len(ids) - len(LABELS))]
    with path.open("w") as file:
        file.write(f"index,{NAME}\n")
        file.writelines(f"{cell},{label}\n" for cell, label in zip(ids, labels, strict=True))


def _cellxgene_label(browser: Browser, label: str, count: int) -> float:
    """Give the selected cells a label by the menu beside it, which opens under the pointer.

    Raises
    ------
    BenchmarkError
        The label has another number of cells then.
    """
    more = f"""document.querySelector('[data-testid="{NAME}:{label}:see-actions"]')"""
    item = f"""document.querySelector('[data-testid="{NAME}:{label}:add-current-selection-to-this-label"]')"""
    browser.wait_for(more)
    browser.js(f"{more}.scrollIntoView({{block: 'center'}})")
    x, y = browser.js(f"const box = {more}.getBoundingClientRect(); return [box.left + box.width / 2, box.top + 4]")
    browser.hover(x, y)
    browser.wait_for(item)
    # New colours go to the graphics card; the painting after that shows them.
    click = f"bench.uploadedAt = 0; {item}.click()"
    drawn = "bench.uploadedAt > begun && bench.paints.find((at) => at >= bench.uploadedAt) || null"
    seconds = timed(browser, click, drawn, label)
    time.sleep(SETTLE)
    named: dict[str, str] = browser.js(NAMED, NAME)
    # The cell that had it from the start may lie elsewhere.
    if int(named[label]) not in {count, count + 1}:
        raise BenchmarkError(f'cellxgene has {named[label]} cells of "{label}", {count:,} were selected.')
    return seconds


def _relabel(
    browser: Browser, canvas: Canvas, cells: Cells, give: Callable[[Browser, str, int], float]
) -> dict[str, float]:
    """Select cells and give them a label, again and again; return what that cost, by name."""
    times, busy, counts = [], [], []
    for number, label in enumerate(LABELS):
        _, count = lasso(browser, canvas, cells, TENTH, number)
        time.sleep(SETTLE)
        check_count(browser, canvas, count)
        before = browser.busy_s()
        times.append(give(browser, label, count))
        time.sleep(SETTLE)
        busy.append(browser.busy_s() - before)
        counts.append(count)
    return {
        "label to redrawn": median(times),
        "busy over the label": median(busy),
        "labelled": median(counts),
        "labelled share": median(counts) / cells.count,
    }
