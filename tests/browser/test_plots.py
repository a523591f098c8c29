"""Several plots: one selection in all of them, links and reloads, windows of their own."""

from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from iscan_dash.settings import DEMO_STUDY
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel, act_on_selection, chosen_cells, clear_selection
from tests.browser.server import Server
from tests.browser.test_lasso import inside

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def truth() -> ad.AnnData:
    """The demo study as AnnData reads it."""
    return ad.read_h5ad(DEMO_STUDY)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the demo study."""
    running = Server("demo", "--single-user", folder=tmp_path_factory.mktemp("drafts")).start()
    yield running
    running.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Shell:
    """The page of the study, nothing selected."""
    browser.prefer(prefers_color_scheme="light")
    shell = Shell(browser).open(server)
    clear_selection(browser)
    return shell


def positions(truth: ad.AnnData, name: str) -> np.ndarray:
    return np.asarray(truth.obsm[name][:, :2], np.float32)


def left_half(plot: PlotPanel) -> list[tuple[float, float]]:
    box = plot.box()
    return [(3, 3), (0.72 * box["width"], box["height"] - 3)]


def upper_half(plot: PlotPanel) -> list[tuple[float, float]]:
    box = plot.box()
    return [(3, 3), (box["width"] - 3, 0.55 * box["height"])]


def test_areas_of_two_plots_are_united_and_intersected(page: Shell, browser: Browser, truth: ad.AnnData) -> None:
    first, second = PlotPanel(browser), PlotPanel(browser, 2)
    first.arrange("1x2")
    second.embedding("PCA")
    first.draw(left_half(first), "box")
    on_umap = inside(first.drawn(), positions(truth, "X_umap"))
    second.draw(upper_half(second), "box")
    on_pca = inside(second.drawn(), positions(truth, "X_pca"))
    assert 0 < (on_umap & on_pca).sum() < min(on_umap.sum(), on_pca.sum())
    browser.until(lambda: chosen_cells(browser), np.flatnonzero(on_umap | on_pca).tolist())
    act_on_selection(browser, do="mode", mode="intersection")
    browser.until(lambda: chosen_cells(browser), np.flatnonzero(on_umap & on_pca).tolist())
    tree = {"is": "and", "of": [{"is": "plot", "plot": 1}, {"is": "plot", "plot": 2, "not": True}]}
    act_on_selection(browser, do="custom", tree=tree)
    browser.until(lambda: chosen_cells(browser), np.flatnonzero(on_umap & ~on_pca).tolist())
    assert (first.outlines(), second.outlines()) == (1, 1)
    # An outline belongs to the axes that it was drawn on.
    second.embedding("UMAP")
    browser.until(second.outlines, 0)
    second.embedding("PCA")
    browser.until(second.outlines, 1)


def test_the_selection_is_brought_out_in_all_plots(page: Shell, browser: Browser) -> None:
    plots = [PlotPanel(browser, number) for number in range(1, 5)]
    plots[0].arrange("2x2")
    plots[1].colour_by("phase")
    plots[2].embedding("PCA")
    plots[3].search_gene("LYZ")
    before = [plot.pixels() for plot in plots]
    plots[2].draw(left_half(plots[2]), "box")
    browser.wait(lambda: chosen_cells(browser), "a selection")
    for plot, usual in zip(plots, before, strict=True):
        browser.wait(
            lambda plot=plot, usual=usual: bool((plot.pixels() != usual).any(axis=2).mean() > 0.01),
            f"the selection on plot {plot.number}",
        )
    assert [plot.outlines() for plot in plots] == [0, 0, 1, 0]
    clear_selection(browser)
    for plot, usual in zip(plots, before, strict=True):
        browser.wait(lambda plot=plot, usual=usual: bool((plot.pixels() == usual).all()), "all cells alike again")


def test_a_reload_keeps_the_arrangement(page: Shell, browser: Browser) -> None:
    plots = [PlotPanel(browser, number) for number in range(1, 5)]
    plots[0].arrange("2x2")
    plots[1].colour_by("phase")
    plots[2].embedding("PCA")
    plots[3].search_gene("LYZ")
    plots[1].wheel(3)
    plots[1].wait_until_still()
    view = plots[1].view()
    browser.wait(lambda: "view4" in plots[0].link() and plots[0].link()["view2"].count("~") == 2, "the whole link")
    link = plots[0].link()
    assert link["plots"] == "2x2"
    assert link["view4"].startswith("X_umap~gene:LYZ")
    page.reload()
    browser.until(plots[3].title, "LYZ")
    browser.until(plots[1].title, "phase")
    assert plots[2].shown_embedding() == "PCA"
    assert plots[3].gene() == "LYZ"
    browser.until(lambda: np.allclose(plots[1].view(), view, rtol=1e-3, atol=1e-3), True)
    # Fewer again: the others keep what they show for the next time.
    plots[0].arrange("1x1")
    assert not browser.is_shown("#plot-2-frame")
    assert "plots" not in plots[0].link()
    plots[0].arrange("1x2")
    assert plots[1].title() == "phase"


def test_cells_on_two_genes_and_on_counts(page: Shell, browser: Browser, truth: ad.AnnData) -> None:
    plot = PlotPanel(browser)
    plot.embedding("Counts and genes")
    assert browser.is_shown("#plot-1-frame .xtitle")
    plot.two_genes("CD3D", "LYZ")
    names = list(truth.var_names)
    columns = truth.X[:, [names.index("CD3D"), names.index("LYZ")]]
    values = np.log1p(np.asarray(columns.todense() if hasattr(columns, "todense") else columns, np.float64))
    plot.draw(upper_half(plot), "box")
    expected = inside(plot.drawn(), values.astype(np.float32))
    assert 0 < expected.sum() < len(values)
    browser.until(lambda: chosen_cells(browser), np.flatnonzero(expected).tolist())
    page.reload()
    browser.until(lambda: plot.view()[0] < 0 < plot.view()[1], True)
    browser.until(plot.outlines, 1)
    # Nobody moved it, so the address has no ranges.
    browser.until(lambda: plot.link()["view"].split("~")[0], "gene:CD3D|gene:LYZ")
    assert plot.link()["view"].count("~") == 1


def test_a_gene_is_coloured_by_the_layer_that_is_chosen(browser: Browser, serve: Serve, small_file: Path) -> None:
    shell, plot = Shell(browser).open(serve("serve", small_file, "--single-user")), PlotPanel(browser)
    assert not browser.is_shown("#plot-layer")
    plot.search_gene("LYZ")
    browser.until(lambda: plot.colour_bar().unit, "log1p")
    plot.layer("counts")
    browser.until(lambda: plot.colour_bar().unit, "log1p counts")
    # A plot that was never moved has no ranges in its link.
    browser.until(lambda: plot.link()["view"], "X_umap~gene|layers%252Fcounts:LYZ")
    shell.reload()
    browser.until(lambda: plot.colour_bar().unit, "log1p counts")


def test_a_window_of_one_plot_is_in_step(page: Shell, browser: Browser, truth: ad.AnnData) -> None:
    plot = PlotPanel(browser, 2)
    plot.arrange("1x2")
    plot.colour_by("phase")
    with browser.opened(lambda: browser.click("#plot-2-window")):
        alone = PlotPanel(browser)
        browser.until(alone.title, "phase")
        assert browser.driver.title.startswith("Plot 2 - ")
        assert not browser.is_shown(".panel")
        alone.draw(left_half(alone), "box")
        chosen = np.flatnonzero(inside(alone.drawn(), positions(truth, "X_umap"))).tolist()
        browser.until(lambda: chosen_cells(browser), chosen)
        alone.embedding("PCA")
    # What was drawn and chosen there is here too.
    browser.until(lambda: chosen_cells(browser), chosen)
    browser.until(plot.shown_embedding, "PCA")
    assert PlotPanel(browser).shown_embedding() == "UMAP"
    plot.embedding("UMAP")
    browser.until(plot.outlines, 1)


def test_areas_of_plots_that_are_taken_away_come_back(page: Shell, browser: Browser, truth: ad.AnnData) -> None:
    first, second = PlotPanel(browser), PlotPanel(browser, 2)
    first.arrange("1x2")
    second.draw(left_half(second), "box")
    chosen = np.flatnonzero(inside(second.drawn(), positions(truth, "X_umap"))).tolist()
    browser.until(lambda: chosen_cells(browser), chosen)
    first.arrange("1x1")
    page.wait_for_toast("1 area of plot 2 removed.")
    browser.until(lambda: chosen_cells(browser), None)
    page.answer_toast("1 area of plot 2 removed.", "Back")
    browser.until(lambda: chosen_cells(browser), chosen)
    browser.until(second.outlines, 1)
    # Another window that shows the plot keeps its areas.
    whole = browser.driver.current_window_handle
    with browser.opened(lambda: browser.click("#plot-2-window")):
        browser.wait(lambda: PlotPanel(browser).outlines() == 1, "the window")
        window = browser.look_at(whole)
        first.arrange("1x1")
        browser.js("return new Promise((resolve) => setTimeout(resolve, 600))")
        assert chosen_cells(browser) == chosen
        browser.look_at(window)
    assert page.toasts() == []


def test_a_worker_paints_what_the_page_would(page: Shell, browser: Browser) -> None:
    plot = PlotPanel(browser)
    plot.colour_by("phase")
    plot.draw(left_half(plot), "box")
    browser.wait(lambda: chosen_cells(browser), "a selection")
    by_page = plot.pixels()
    # From fewer cells on than usually; the next colours are handed over.
    browser.js("iscan.scatterRemote.large = 1000")
    plot.colour_by("leiden_1.0")
    browser.wait(lambda: browser.js("return iscan.scatterRemote.takes('plot-1')"), "the worker")
    plot.colour_by("phase")
    browser.until(lambda: bool((plot.pixels() == by_page).all()), True)
    browser.press("h")
    plot.pan(70, 30)
    moved = plot.pixels()
    assert (moved != by_page).any()
    browser.until(lambda: browser.js("return document.querySelector('#plot-1-frame canvas').style.transform"), "")
    clear_selection(browser)
    browser.wait(lambda: bool((plot.pixels() != moved).any()), "all cells alike again")
    # Where it fails, the page paints.
    browser.js("iscan.scatterRemote.large = 1e9")
    plot.colour_by("leiden_0.25")
    plot.colour_by("phase")
    assert not browser.js("return iscan.scatterRemote.takes('plot-1')")
    plot.show_all()
    plot.pixels()


def test_the_table_says_what_is_selected(page: Shell, browser: Browser, truth: ad.AnnData) -> None:
    plot = PlotPanel(browser)
    plot.draw(left_half(plot), "box")
    chosen = inside(plot.drawn(), positions(truth, "X_umap"))
    browser.until(lambda: chosen_cells(browser), np.flatnonzero(chosen).tolist())
    column = truth.obs["leiden_0.25"]
    counts, own = column.value_counts(), column[chosen].value_counts()
    rows = [line.split("\t") for line in plot.table().splitlines() if line]
    assert rows[0] == ["Axes: UMAP."]
    assert rows[1] == ["leiden_0.25", "Cells", "Selected"]
    assert rows[2:] == [[label, f"{counts[label]:,}", f"{own[label]:,}"] for label in column.cat.categories]
