"""The tab Result: reasons, other cutoffs with their preview, one event, and the way back."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from iscan_dash.core.singler.prune import prune
from iscan_dash.services.results import PredictionResult
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.prediction_pages import PredictionForm, StudyLogs
from tests.browser.result_pages import ResultPage
from tests.browser.server import Server
from tests.core.singler.test_prune import CUTOFFS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the demo for one user; the first test predicts."""
    running = Server("demo", "--single-user", folder=tmp_path_factory.mktemp("drafts")).start()
    yield running
    running.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> ResultPage:
    """The page of a prediction of the demo."""
    shell = Shell(browser).open(server, "/annotate")
    if not browser.is_shown("#annotate-tab-result"):
        form = PredictionForm(browser).open().choose("hao_pbmc")
        form.wait_until_done(form.submit())
        browser.wait(lambda: browser.is_shown("#annotate-tab-result"), "the tab Result")
        shell.wait_until_saved()
    return ResultPage(browser).open()


def result_of(server: Server) -> PredictionResult:
    (path,) = server.folder.glob("*-results/*.npz")
    return PredictionResult.load(path)


def pruned_anew(result: PredictionResult, nmads: float | None) -> dict[str, tuple[int, int]]:
    """Return what pruneScores keeps and prunes of each label, from the margins of the file."""
    # Scores of which the median is 0 and the label's is the margin: the file's own scores are rounded.
    n_labels = len(result.labels)
    scores = np.zeros((len(result.label), n_labels))
    scores[np.arange(len(result.label)), result.label] = result.margin
    is_pruned = prune(scores, result.label, result.delta, nmads=nmads).is_pruned
    counted = zip(result.label.tolist(), is_pruned.tolist(), strict=True)
    tally = Counter((result.labels[code], is_gone) for code, is_gone in counted)
    return {label: (tally[label, False], tally[label, True]) for label, _ in tally}


def wait_for_counts(page: ResultPage, wanted: dict[str, tuple[int, int]]) -> None:
    page.browser.until(lambda: page.counts() if page.said() else None, wanted)


def test_re_pruning_is_that_of_a_new_run_at_twenty_cutoffs(page: ResultPage, server: Server) -> None:
    result = result_of(server)
    for nmads in CUTOFFS:
        page.number(f"{nmads:g}")
        wait_for_counts(page, pruned_anew(result, nmads))
    page.no_pruning()
    wait_for_counts(page, pruned_anew(result, None))
    assert set(page.thresholds().values()) == {"none"}
    assert page.values() == (f"{CUTOFFS[-1]:g}", True, {})
    page.click("reset")
    wait_for_counts(page, pruned_anew(result, 3))
    assert page.values() == ("3", False, {})
    assert not page.can("accept")


def test_the_plot_follows_and_accepting_is_one_event(page: ResultPage, server: Server) -> None:
    browser, shell, plot = page.browser, Shell(page.browser), PlotPanel(page.browser)
    result = result_of(server)
    before = server.draft().columns["SingleR_hao_pbmc_main"]
    page.number("1")
    # It is coloured by the annotation by itself, as it would be.
    wanted = [[*result.labels, "Unassigned"][code] for code in result.pruned_with(1).assigned()]
    browser.until(plot.legend, dict(Counter(wanted)))
    browser.until(lambda: browser.text("#plot-1-legend .legend-title"), "Preview of SingleR_hao_pbmc_main")
    n_changed = sum(old != new for old, new in zip(before, wanted, strict=True))
    browser.until(page.changes, f"{n_changed:,} cells would change. Nothing is changed before you accept.")
    assert server.draft().columns["SingleR_hao_pbmc_main"] == before
    page.click("accept")
    shell.wait_until_said(f"Outlier cutoff 1 MADs: {n_changed:,} cells changed")
    browser.until(page.changes, "")
    browser.until(lambda: browser.text("#plot-1-legend .legend-title"), "SingleR_hao_pbmc_main")
    assert plot.legend() == dict(Counter(wanted))
    shell.wait_until_saved()
    assert server.draft().columns["SingleR_hao_pbmc_main"] == wanted
    assert page.facts()["Outlier cutoff"] == "1 MADs; the run had 3 MADs"
    assert not page.can("accept")
    # Undo brings back the labels, and the cutoff with them.
    browser.click("#shell-undo")
    browser.until(lambda: page.values()[0], "3")
    wait_for_counts(page, pruned_anew(result, 3))
    browser.until(plot.legend, dict(Counter(before)))
    shell.wait_until_saved()
    browser.until(lambda: server.draft().columns["SingleR_hao_pbmc_main"], before)


def test_leaving_the_page_ends_the_preview_and_keeps_what_was_tried(page: ResultPage) -> None:
    browser, plot = page.browser, PlotPanel(page.browser)
    before = plot.legend() if "SingleR" in browser.text("#plot-1-legend .legend-title") else None
    page.number("0.5").own_number("B cells", "100")
    browser.until(lambda: browser.text("#plot-1-legend .legend-title"), "Preview of SingleR_hao_pbmc_main")
    Shell(browser).go_to("Existing Annotations")
    browser.until(lambda: browser.text("#plot-1-legend .legend-title"), "SingleR_hao_pbmc_main")
    assert before is None or plot.legend() == before
    page.open()
    browser.until(page.values, ("0.5", False, {"B cells": "100"}))
    browser.until(lambda: page.thresholds().get("B cells"), "none")
    assert page.counts()["B cells"][1] == 0
    page.number("-1")
    browser.wait(lambda: "at least 0" in page.problem(), "the problem")
    assert not page.can("accept")
    page.number("2").own_number("B cells", "")
    browser.until(page.problem, "")
    browser.until(page.values, ("2", False, {}))
    page.click("reset")


def test_reasons_are_those_of_the_service(page: ResultPage, server: Server) -> None:
    browser = page.browser
    column = str(browser.js("return document.getElementById('result-why-by').value"))
    cell = json.loads(server.get("/api/v1/cells/5"))["id"]
    name = column.partition(":")[2]
    for asked, title, cells in (
        (lambda: page.why_group(column, "2"), f"{name} 2:", {"is": "group", "by": column, "value": "2"}),
        (lambda: page.why_cell(cell), cell, {"is": "ids", "text": cell}),
    ):
        asked()
        said = page.wait_for_reasons(title)
        told: dict[str, Any] = page.ask(server, "why", cells=cells)["why"]
        assert page.scores() == [(one["label"], one["score"]) for one in told["scores"]]
        assert any(f"elta {told['margin']:.3f}, threshold {told['threshold']:.3f}" in line for line in said)
        assert any(line.startswith(f"Runner-up: {told['runner_up']},") for line in said)
        rows = page.genes()
        found = page.ask(server, "genes", cells=cells, label=told["label"], other=told["runner_up"], page="test")
        assert [row[0] for row in rows] == [gene["gene"] for gene in found["genes"]]
        for row, gene in zip(rows, found["genes"], strict=True):
            sign = "+" if gene["contribution"] > 0 else "\u2212"
            assert row[3] == f"{sign}{abs(gene['contribution']):.4f}"
            assert (row[5], row[8]) == (f"{gene['here']:.2f}", f"{gene['elsewhere']:.2f}")
        assert f"Lead {found['lead']:.3f} by " in page.genes_note()
    other = told["scores"][3]["label"]
    page.against(other)
    browser.wait(lambda: any(row[1] == other for row in page.genes()), "the genes against another label")
    page.why_cell("nobody")
    browser.until(page.nothing, 'No cell has the ID "nobody". Check the ID, or click the cell on a plot.')
    page.why_selection()
    browser.until(page.nothing, "No cells are selected. Draw an area on a plot, or use the Cell Filter.")


def test_a_click_on_the_plot_asks_why(page: ResultPage) -> None:
    browser = page.browser
    # The bins by which cells are found are made when the mouse is over the plot.
    box = browser.js(
        "const b = document.getElementById('plot-1-frame').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]"
    )
    spot = """
        const {x, y, width, height} = document.querySelector('.scatter-ring:not([hidden])')?.getBoundingClientRect() ?? {};
        return x === undefined ? null : [x + width / 2, y + height / 2]"""
    found = None
    for part in np.linspace(0.2, 0.8, 40):
        browser.mouse("mouseMoved", box[0] + part * box[2], box[1] + part * box[3])
        browser.js("return new Promise((done) => setTimeout(done, 60))")
        found = browser.js(spot) if part > 0.25 else None
        if found:
            break
    assert found
    for kind in ("mousePressed", "mouseReleased"):
        browser.mouse(kind, *found, button="left", clickCount=1)
    browser.until(lambda: browser.js("return document.getElementById('result-mode-cell').checked"), True)
    (first, *_) = page.wait_for_reasons("cell ")
    assert first == f"cell {browser.js('return document.getElementById(`result-cell`).value')}"


def test_scores_of_groups_lead_to_their_reasons(page: ResultPage, server: Server) -> None:
    browser = page.browser
    column = str(browser.js("return document.getElementById('result-by').value"))
    wanted = page.ask(server, f"scores?{urlencode({'by': column})}")
    browser.until(
        page.heat, {group["value"]: [float(f"{mean:.2f}") for mean in group["means"]] for group in wanted["groups"]}
    )
    browser.click(".result-scores tr[data-value='3'] button")
    page.wait_for_reasons(f"{wanted['name']} 3:")
    assert page.genes()


def test_of_the_selection_and_of_a_label(page: ResultPage, server: Server) -> None:
    browser = page.browser
    column = str(browser.js("return document.getElementById('result-by').value"))
    name = column.partition(":")[2]
    condition = {"is": "labels", "kind": "cluster", "key": name, "values": ["4"], "missing": False, "not": False}
    page.why_selection()
    browser.until(page.nothing, "No cells are selected. Draw an area on a plot, or use the Cell Filter.")
    browser.js("return iscan.selection.act({do: 'filter', condition: arguments[0]}).then(() => null)", condition)
    count = int(browser.js("return iscan.selection.state().count"))
    page.wait_for_reasons(f"{count:,} selected cells")
    asked = {"is": "group", "by": column, "value": "4"}
    assert page.scores() == [
        (one["label"], one["score"]) for one in page.ask(server, "why", cells=asked)["why"]["scores"]
    ]
    browser.js("return iscan.selection.act({do: 'clear', what: 'all'}).then(() => null)")
    browser.until(page.nothing, "No cells are selected. Draw an area on a plot, or use the Cell Filter.")
    browser.click(".result-labels tr[data-label='Monocytes'] button")
    page.wait_for_reasons("SingleR_hao_pbmc_main Monocytes:")
    browser.wait(lambda: "Monocytes" in page.heat(), "the labels as groups")
    assert browser.js("return document.getElementById('result-why-value').value") == '"Monocytes"'
    browser.click(".result-scores tr[data-value='B cells'] td.result-score")
    page.wait_for_reasons("SingleR_hao_pbmc_main B cells:")


def test_ways_to_the_page(page: ResultPage) -> None:
    browser, shell = page.browser, Shell(page.browser)
    own = page.id()
    shell.go_to("Existing Annotations")
    browser.click(f"tr[data-annotation='{own}'] .icon-button")
    browser.wait(lambda: browser.is_shown(f"a[href='/annotate/result?open={own}']"), "the link to the result")
    browser.click(f"a[href='/annotate/result?open={own}']")
    page.wait()
    assert page.id() == own
    logs = StudyLogs(browser).open()
    (job,) = [row for row in logs.rows() if "open" in row.actions and row.type == "Cell type prediction"]
    logs.act(job.key.removeprefix("job-"), "open")
    page.wait()
    browser.click(".result-head a[href^='/annotate/edit']")
    browser.click("#edit-why")
    page.wait()
    browser.click(f".result-head a[href='/annotate/review?open={own}']")
    browser.until(lambda: browser.js("return location.pathname"), "/annotate/review")
    page.open()
    assert page.id() == own


def test_before_there_is_a_prediction(browser: Browser, serve: Serve, small_file: Path) -> None:
    server = serve("serve", small_file, "--single-user")
    Shell(browser).open(server, "/annotate/result")
    browser.wait(lambda: "No cell types were predicted yet." in browser.text("#result-page"), "the empty page")
    assert not browser.is_shown("#annotate-tab-result")
    browser.click("#result-page button")
    browser.until(lambda: browser.js("return location.pathname"), "/annotate")


def test_the_result_of_somebody_else(browser: Browser, serve: Serve) -> None:
    server = serve("demo")
    shell = Shell(browser).open(server, "/annotate")
    form = PredictionForm(browser).open().choose("hao_pbmc")
    form.wait_until_done(form.submit())
    browser.wait(lambda: browser.is_shown("#annotate-tab-result"), "the tab Result")
    own = ResultPage(browser).open().id()
    shell.wait_until_saved()
    shell.open(server, "/annotate/result", as_other=True, open=own)
    page = ResultPage(browser).wait()
    before = page.said()
    page.number("0.5")
    browser.wait(lambda: page.said() not in {"", before}, "the numbers of another cutoff")
    assert not page.can("accept")
    assert "duplicate it to edit a copy" in str(browser.attribute("#result-accept", "title"))
    assert page.genes()
