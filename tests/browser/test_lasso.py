"""Lasso and box: the cells inside, counted by the page, the server and matplotlib; and what the selection outlives."""

from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from matplotlib.path import Path as Outline
from selenium.webdriver.common.keys import Keys

from iscan_dash.settings import DEMO_STUDY
from tests.browser.chromium import Browser
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel, chosen_cells, clear_selection
from tests.browser.server import Server, real_data

pytestmark = pytest.mark.browser

N_POLYGONS = 20


@pytest.fixture(scope="module", params=real_data("pbmc3k") or [DEMO_STUDY], ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    """pbmc3k, or the demo study where that is not to be had; the names of the tests say which."""
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def umap(file: Path) -> np.ndarray:
    """Where its cells are, as they are drawn; shape (n_cells, 2)."""
    return np.asarray(ad.read_h5ad(file).obsm["X_umap"], np.float32)


@pytest.fixture(scope="module")
def server(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the study."""
    running = Server("serve", file, "--single-user", folder=tmp_path_factory.mktemp("drafts")).start()
    yield running
    running.close()


@pytest.fixture
def plot(browser: Browser, server: Server) -> PlotPanel:
    """The plot of the study, nothing selected."""
    browser.prefer(prefers_color_scheme="light")
    Shell(browser).open(server)
    clear_selection(browser)
    return PlotPanel(browser)


def inside(outline: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Tell which points matplotlib says are in an outline."""
    return np.asarray(Outline(np.vstack([outline, outline[:1]])).contains_points(xy.astype(np.float64)))


def some_outline(plot: PlotPanel, seed: int) -> list[tuple[float, float]]:
    """Return corners on the plot, in pixels: plain outlines, stars and tangles by turns."""
    random = np.random.default_rng(seed)
    box = plot.box()
    n_corners = int(random.integers(3, 40))
    middle = random.uniform(0.3, 0.7, 2) * (box["width"], box["height"])
    if seed % 3 == 2:
        # Any corners in any order: the outline crosses itself many times.
        corners = random.uniform(0.05, 0.95, (min(n_corners, 12), 2)) * (box["width"], box["height"])
    else:
        turns = np.linspace(0, 2 * np.pi * (1 if seed % 3 == 0 else 2), n_corners, endpoint=False)
        radius = random.uniform(0.1, 0.45, n_corners) * min(box["width"], box["height"])
        corners = middle + radius[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return [(float(x), float(y)) for x, y in np.clip(corners, 1, (box["width"] - 1, box["height"] - 1))]


def test_a_lasso_counts_the_cells_that_are_inside(plot: PlotPanel, browser: Browser, umap: np.ndarray) -> None:
    counts = []
    for seed in range(N_POLYGONS):
        said = plot.draw(some_outline(plot, seed))
        truth = inside(plot.drawn(), umap)
        assert said == truth.sum(), f"outline {seed}"
        # The server agrees, cell by cell.
        browser.until(lambda: chosen_cells(browser), np.flatnonzero(truth).tolist())
        counts.append(said)
    assert len(set(counts)) > N_POLYGONS / 2
    assert max(counts) > 0.3 * len(umap)


def test_a_box_and_how_areas_are_added_and_taken_away(plot: PlotPanel, browser: Browser, umap: np.ndarray) -> None:
    box = plot.box()
    width, height = box["width"], box["height"]

    def draw(left: float, top: float, right: float, bottom: float, mode: str = "new") -> np.ndarray:
        said = plot.draw([(left * width, top * height), (right * width, bottom * height)], "box", mode)
        found = inside(plot.drawn(), umap)
        assert said == found.sum()
        return found

    def wait_for(expected: np.ndarray) -> None:
        browser.until(lambda: chosen_cells(browser), np.flatnonzero(expected).tolist())

    first = draw(0.1, 0.1, 0.6, 0.6)
    assert 0 < first.sum() < len(umap)
    wait_for(first)
    second = draw(0.5, 0.5, 0.9, 0.95, "add")
    wait_for(first | second)
    assert plot.outlines() == 2
    hole = draw(0.55, 0.55, 0.8, 0.8, "subtract")
    # From the last area alone.
    wait_for(first | (second & ~hole))
    assert plot.outlines() == 3
    browser.press("i")
    wait_for(~(first | (second & ~hole)))
    again = draw(0.2, 0.2, 0.5, 0.5)
    wait_for(again)
    assert plot.outlines() == 1


def test_the_rest_of_the_cells_is_dimmed(plot: PlotPanel, browser: Browser, umap: np.ndarray) -> None:
    usual = plot.pixels()
    colours = set(plot.legend_colours().values())

    def in_full_colour(pixels: np.ndarray) -> int:
        wanted = [[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in colours]
        return int(sum((pixels == colour).all(axis=2).sum() for colour in wanted))

    plot.draw([(5, 5), (plot.box()["width"] / 2, plot.box()["height"] - 5)], "box")
    chosen = inside(plot.drawn(), umap)
    browser.until(lambda: chosen_cells(browser), np.flatnonzero(chosen).tolist())
    browser.wait(lambda: in_full_colour(plot.pixels()) < 0.97 * in_full_colour(usual), "the others to be dimmed")
    dimmed = plot.pixels()
    middle = int(plot.box()["width"] / 2)
    left, right = dimmed[:, : middle - 8], dimmed[:, middle + 8 :]
    # The chosen half is as it was; nothing of the other has its colour.
    assert (left == usual[:, : middle - 8]).all(axis=2).mean() > 0.99
    assert in_full_colour(right) < 0.02 * in_full_colour(usual[:, middle + 8 :])
    # With the legend's highlight only what is both.
    plot.point_at(next(iter(plot.legend())))
    browser.wait(lambda: in_full_colour(plot.pixels()) < in_full_colour(dimmed), "other labels to be dimmed too")
    plot.point_at(None)
    browser.wait(lambda: bool((plot.pixels() == dimmed).all()), "all labels alike again")
    clear_selection(browser)
    browser.wait(lambda: bool((plot.pixels() == usual).all()), "all cells alike again")
    assert plot.outlines() == 0


def test_the_selection_outlives_what_is_done_to_the_plot(plot: PlotPanel, browser: Browser, umap: np.ndarray) -> None:
    plot.draw(some_outline(plot, 3))
    drawn = plot.drawn()
    chosen = np.flatnonzero(inside(drawn, umap)).tolist()
    browser.until(lambda: chosen_cells(browser), chosen)
    browser.press("h")
    for act in (
        lambda: plot.pan(90, 40),
        lambda: plot.wheel(3),
        lambda: plot.colour_by("percent_mt"),
        lambda: browser.press("l"),
        lambda: browser.press("b"),
        lambda: browser.press(Keys.ESCAPE),
        lambda: Shell(browser).next_theme(),
        plot.show_all,
        lambda: Shell(browser).reload(),
    ):
        act()
        browser.until(lambda: chosen_cells(browser), chosen)
        browser.until(plot.outlines, 1)
    # Drawn in the data's own units: it lies where it was drawn.
    left, right, bottom, top = plot.view()
    box, outline = plot.box(), outline_box(browser)
    expected = box["x"] + (drawn[:, 0].min() - left) / (right - left) * box["width"]
    assert outline["x"] == pytest.approx(expected, abs=2)
    expected = box["y"] + (top - drawn[:, 1].max()) / (top - bottom) * box["height"]
    assert outline["y"] == pytest.approx(expected, abs=2)


def outline_box(browser: Browser) -> dict[str, float]:
    found: dict[str, float] = browser.js(
        "return document.querySelector('.scatter-outline').getBoundingClientRect().toJSON()"
    )
    return found


def test_a_click_and_a_drawing_given_up_choose_nothing(plot: PlotPanel, browser: Browser) -> None:
    x, y = plot.middle()
    browser.press("l")
    browser.drag((x, y), (x + 1, y + 1))
    browser.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
    browser.mouse("mouseMoved", x + 100, y, button="left", buttons=1)
    browser.mouse("mouseMoved", x + 100, y + 100, button="left", buttons=1)
    browser.wait(lambda: browser.attribute(".scatter-draft", "d"), "the outline")
    browser.press(Keys.ESCAPE)
    browser.until(lambda: browser.attribute(".scatter-draft", "d"), "")
    browser.mouse("mouseReleased", x + 100, y + 100, button="left", buttons=0, clickCount=1)
    assert chosen_cells(browser) is None
    assert plot.outlines() == 0
    # Esc once more puts the tool away, and a drag moves the view again.
    browser.press(Keys.ESCAPE)
    plot.pan(50, 20)
    assert chosen_cells(browser) is None


def test_little_is_sent(plot: PlotPanel, browser: Browser, umap: np.ndarray) -> None:
    """However long a lasso is, its outline is short, and the page knows no more of it than the server."""
    box = plot.box()
    turns = np.linspace(0, 40 * np.pi, 700)
    radius = np.linspace(0.05, 0.45, 700) * min(box["width"], box["height"])
    spiral = np.stack([box["width"] / 2 + radius * np.cos(turns), box["height"] / 2 + radius * np.sin(turns)], axis=1)
    said = plot.draw([(float(x), float(y)) for x, y in spiral])
    assert len(plot.drawn()) <= 400
    assert len(browser.js("return JSON.stringify(window.__drawn.points)")) < 10_000
    truth = inside(plot.drawn(), umap)
    assert said == truth.sum()
    browser.until(lambda: chosen_cells(browser), np.flatnonzero(truth).tolist())


def test_cells_on_an_edge_are_inside_here_and_on_the_server(plot: PlotPanel, browser: Browser) -> None:
    """The page's test of a cell and the server's are the same, also for cells on edges and corners."""
    from iscan_dash.core.selection.polygon import inside as by_server

    random = np.random.default_rng(0)
    for _ in range(30):
        xy = random.integers(0, 9, (2, 200)).astype(np.float32)
        outline = random.integers(-1, 10, (int(random.integers(3, 12)), 2)).astype(np.float64)
        found = browser.js(
            """
            const [xs, ys, outline] = arguments;
            const points = {cells: xs.length, rows: Uint32Array.from(xs, (_, i) => i), x: Float32Array.from(xs), y: Float32Array.from(ys)};
            points.bins = iscan.scatterBins.make(points.x, points.y);
            const mask = new Uint8Array(xs.length);
            iscan.scatterPolygon.fill(points, outline, mask, 1);
            return [[...mask], iscan.scatterPolygon.count(points, outline)]""",
            xy[0].tolist(),
            xy[1].tolist(),
            outline.tolist(),
        )
        expected = by_server(xy[0], xy[1], outline)
        assert found == [expected.astype(int).tolist(), int(expected.sum())]
