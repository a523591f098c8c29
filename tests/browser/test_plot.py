"""The plot: colours, legend, hover, view, links and pictures, compared with the file itself."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from iscan_dash.core import palette
from iscan_dash.settings import DEMO_STUDY
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel, hex_colour, picture_size
from tests.browser.server import Server
from tests.studies import some_counts, write_study

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def truth() -> ad.AnnData:
    """The demo study as AnnData reads it."""
    return ad.read_h5ad(DEMO_STUDY)


@pytest.fixture
def plot(browser: Browser, demo: Server) -> PlotPanel:
    """The plot of the demo study, in the light theme."""
    browser.prefer(prefers_color_scheme="light")
    Shell(browser).open(demo)
    return PlotPanel(browser)


def expression(truth: ad.AnnData, gene: str) -> np.ndarray:
    column = truth[:, gene].X
    return np.asarray(column.todense() if hasattr(column, "todense") else column, np.float64).ravel()


def three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"


def table_rows(plot: PlotPanel) -> list[list[str]]:
    return [line.split("\t") for line in plot.table().splitlines() if "\t" in line]


def test_a_gene_is_found_and_painted(plot: PlotPanel, truth: ad.AnnData) -> None:
    clusters = plot.pixels()
    plot.search_gene("CD3D", typed="cd3")
    values = expression(truth, "CD3D")
    bar = plot.colour_bar()
    assert (bar.title, bar.unit) == ("CD3D", "log1p counts")
    # From zero to the 99th percentile of the cells that have it at all; a few have more.
    ends = [bar.ticks[0], bar.ticks[-1]]
    assert ends == ["0", "\u2265 " + three_digits(np.percentile(np.log1p(values[values > 0]), 99))]
    assert bar.greys == ["0"]
    assert plot.legend() == {}
    assert (plot.pixels() != clusters).any(axis=2).mean() > 0.02
    assert plot.table().startswith("Axes: UMAP.")
    bins = {row: int(cells.replace(",", "")) for row, cells in table_rows(plot)[1:]}
    assert bins["0"] == (values == 0).sum()
    assert sum(bins.values()) == len(values)
    # Back to the clusters, pixel by pixel.
    plot.clear_gene()
    plot.wait_for_title("leiden_0.25")
    assert (plot.pixels() == clusters).all()


def test_the_legend_has_the_labels_and_counts_of_the_file(plot: PlotPanel, truth: ad.AnnData) -> None:
    # A column takes the place of a gene.
    plot.search_gene("LYZ")
    assert plot.shown_colour() == "leiden_0.25"
    for column in ("phase", "leiden_1.0", "leiden_0.25"):
        plot.colour_by(column)
        assert plot.gene() == "Search ( / )"
        counts = truth.obs[column].value_counts().to_dict()
        order = list(truth.obs[column].cat.categories)
        assert plot.legend() == {label: int(counts[label]) for label in order}
        assert list(plot.legend()) == order
        colours = plot.legend_colours()
        assert len(set(colours.values())) == len(order)
        assert table_rows(plot) == [[column, "Cells"], *([label, f"{counts[label]:,}"] for label in order)]
    plot.colour_by("percent_mt")
    low, high = np.percentile(truth.obs["percent_mt"].to_numpy(), [1, 99])
    bar = plot.colour_bar()
    assert [bar.ticks[0], bar.ticks[-1]] == [f"\u2264 {three_digits(low)}", f"\u2265 {three_digits(high)}"]
    assert (bar.unit, bar.greys) == ("", [])


def neighbour_distance(places: np.ndarray) -> np.ndarray:
    """Return how far each cell is from the nearest other one; `places` has shape (2, n_cells), in pixels."""
    distances: np.ndarray = cKDTree(places.T).query(places.T, k=2)[0][:, 1]
    return distances


def test_cells_are_where_and_what_they_are(plot: PlotPanel, truth: ad.AnnData) -> None:
    plot.colour_by("leiden_1.0")
    places = plot.places(truth.obsm["X_umap"].T)
    loneliest = np.argsort(-neighbour_distance(places))[:20]
    # The middle of a dot has the colour of its label.
    pixels, colours = plot.pixels(), plot.legend_colours()
    painted = {cell: hex_colour(str(pixels[int(places[1, cell]), int(places[0, cell])])) for cell in loneliest}
    assert painted == {cell: colours[truth.obs["leiden_1.0"].iloc[cell]] for cell in loneliest}
    # The mouse finds the cell under it, in a crowd one that is near.
    names = list(truth.obs_names)
    for cell in (10, 700, 2400, int(loneliest[0])):
        found = plot.hover(*places[:, cell].tolist())
        shown = names.index(found["id"])
        assert np.hypot(*(places[:, shown] - places[:, cell])) <= 8
        label = str(truth.obs["leiden_1.0"].iloc[shown])
        assert (found["label"], found["sample"], found["fields"]) == (label, "pbmc8k_2700", {"leiden_1.0": label})
    assert found["id"] == names[loneliest[0]]


def test_pointing_at_a_label_brings_its_cells_out(plot: PlotPanel, browser: Browser) -> None:
    usual = plot.pixels()
    colours = plot.legend_colours()
    plot.point_at("3")
    browser.wait(lambda: bool((plot.pixels() != usual).any()), "the other labels to be dimmed")
    highlighted = plot.pixels()

    def painted(pixels: np.ndarray, label: str) -> int:
        colour = np.array([int(colours[label][place : place + 2], 16) for place in (1, 3, 5)])
        return int((pixels == colour).all(axis=2).sum())

    assert painted(highlighted, "3") >= painted(usual, "3") > 100
    assert painted(usual, "0") > 100
    assert painted(highlighted, "0") < 10
    plot.point_at(None)
    browser.wait(lambda: bool((plot.pixels() == usual).all()), "all labels alike again")


def test_labels_on_the_plot_and_the_size_of_dots(plot: PlotPanel, browser: Browser) -> None:
    def labels() -> list[str]:
        return browser.texts("#plot-1-frame .annotation-text")

    browser.wait(labels, "labels on the plot")
    assert sorted(labels(), key=int) == [str(number) for number in range(10)]
    before = plot.pixels()
    browser.click("#plot-display")
    browser.click("#plot-labels")
    browser.wait(lambda: not labels(), "the labels to go")
    browser.js("document.querySelector('#plot-size [role=slider], [id*=plot-size] [role=slider]').focus()")
    browser.press("\ue014" * 12)  # arrow to the right
    ground = before[0, 0]
    browser.wait(
        lambda: bool((plot.pixels() != ground).any(axis=2).mean() > 1.3 * (before != ground).any(axis=2).mean()),
        "bigger dots",
    )


def test_pan_and_zoom_stay_when_the_colour_changes(plot: PlotPanel) -> None:
    whole = plot.view()
    plot.pan(120, 60)
    panned = plot.view()
    assert panned[1] - panned[0] == pytest.approx(whole[1] - whole[0])
    per_pixel = (whole[1] - whole[0]) / plot.box()["width"]
    assert whole[0] - panned[0] == pytest.approx(120 * per_pixel, rel=0.02)
    plot.wheel(3)
    near = plot.view()
    assert near[1] - near[0] < 0.95 * (panned[1] - panned[0])
    plot.colour_by("phase")
    assert plot.view() == near
    plot.search_gene("MS4A1")
    assert plot.view() == near
    plot.wait_until_still()
    assert plot.axis_ranges() == near
    plot.show_all()
    assert plot.view() == pytest.approx(whole)


def test_a_rectangle_is_zoomed_into(plot: PlotPanel) -> None:
    whole, box = plot.view(), plot.box()
    plot.zoom_into(150, 90)
    near = plot.view()
    unit = (whole[1] - whole[0]) / box["width"]
    middle = (whole[0] + whole[1]) / 2, (whole[2] + whole[3]) / 2
    # The side that is longer for its part of the plot fills it, the other has room on both sides.
    times = max(150 / box["width"], 90 / box["height"])
    assert near[1] - near[0] == pytest.approx(times * (whole[1] - whole[0]), rel=0.05)
    assert near[3] - near[2] == pytest.approx(times * (whole[3] - whole[2]), rel=0.05)
    # The drag began in the middle and went right and down.
    assert (near[0] + near[1]) / 2 == pytest.approx(middle[0] + 75 * unit, abs=3 * unit)
    assert (near[2] + near[3]) / 2 == pytest.approx(middle[1] - 45 * unit, abs=3 * unit)


def stretch(plot: PlotPanel) -> float:
    """Return how many times longer a unit is upwards than to the right."""
    left, right, bottom, top = plot.view()
    box = plot.box()
    return (box["height"] / (top - bottom)) / (box["width"] / (right - left))


def test_an_embedding_is_never_stretched(plot: PlotPanel, browser: Browser, truth: ad.AnnData) -> None:
    umap = truth.obsm["X_umap"]
    whole = plot.view()
    for size in ((1000, 700), (1700, 600), (1400, 1000)):
        before = plot.box()
        browser.resize(*size)
        browser.wait(lambda before=before: plot.box() != before, "another size of the plot")
        browser.wait(lambda: stretch(plot) == pytest.approx(1, abs=1e-4), "units of one length")
        plot.wait_until_still()
        # Every cell is in view, and the cells fill one side of it.
        left, right, bottom, top = plot.view()
        assert left < umap[:, 0].min() < umap[:, 0].max() < right
        assert bottom < umap[:, 1].min() < umap[:, 1].max() < top
        filled = max(np.ptp(umap[:, 0]) / (right - left), np.ptp(umap[:, 1]) / (top - bottom))
        assert filled == pytest.approx(1 / 1.06, rel=0.01)
    assert plot.view() == pytest.approx(whole)
    plot.wheel(3)
    plot.pan(40, -60)
    assert stretch(plot) == pytest.approx(1, abs=1e-4)
    plot.zoom_into(200, 40)
    assert stretch(plot) == pytest.approx(1, abs=1e-4)
    plot.show_all()
    assert plot.view() == pytest.approx(whole)


def test_a_link_from_a_plot_of_another_shape_shows_as_much(plot: PlotPanel, browser: Browser) -> None:
    plot.zoom_into(80, 60)
    seen = plot.view()
    browser.click("#selection-filter")
    browser.wait(lambda: plot.view() != pytest.approx(seen), "a lower plot")
    browser.wait(lambda: plot.link().get("view", "").count("~") == 2, "the address to say the view")
    address = browser.js("return location.href")
    browser.click("#selection-filter")
    browser.wait(lambda: plot.view() == pytest.approx(seen), "the plot as it was")
    browser.open("about:blank")
    browser.open(address)
    Shell(browser).wait_until_ready()
    browser.until(lambda: np.allclose(plot.view(), seen, rtol=1e-3), True)


def test_the_address_names_no_view_that_nobody_chose(plot: PlotPanel, browser: Browser) -> None:
    whole = plot.view()
    plot.zoom_into(80, 60)
    browser.wait(lambda: plot.link().get("view", "").count("~") == 2, "the address to say the view")
    plot.show_all()
    browser.wait(lambda: plot.link().get("view", "").count("~") == 1, "the address to say no view")
    browser.click("#selection-filter")
    browser.wait(lambda: plot.view() != pytest.approx(whole), "a lower plot")
    # Longer than it takes to note a view.
    time.sleep(0.6)
    assert plot.link()["view"].count("~") == 1


def test_a_link_restores_embedding_colour_and_view(plot: PlotPanel, browser: Browser, demo: Server) -> None:
    plot.embedding("PCA")
    plot.colour_by("phase")
    plot.wheel(4)
    plot.pan(40, -30)
    link = plot.wait_for_link()
    view = plot.view()
    assert link["view"].startswith("X_pca~metadata:phase~")
    picture = plot.pixels()
    address = browser.js("return location.href")
    browser.open("about:blank")
    browser.open(address)
    Shell(browser).wait_until_ready()
    plot.wait_for_title("phase")
    browser.until(lambda: np.allclose(plot.view(), view, rtol=1e-3), True)
    plot.wait_until_still()
    assert (plot.shown_embedding(), plot.shown_colour()) == ("PCA", "phase")
    assert plot.axis_ranges() == pytest.approx(view, rel=1e-3)
    assert (plot.pixels() == picture).all(axis=2).mean() > 0.98
    plot.search_gene("NKG7")
    assert plot.wait_for_link()["view"].startswith("X_pca~gene:NKG7~")
    Shell(browser).reload()
    plot.wait_for_title("NKG7")
    assert plot.gene() == "NKG7"
    assert plot.wait_for_link()["view"].startswith("X_pca~gene:NKG7~")


def test_a_link_to_a_gene_that_is_not_there_says_so(browser: Browser, demo: Server) -> None:
    shell = Shell(browser).open(demo, view="X_umap~gene:NOPE")
    shell.wait_for_toast(
        'The link names a gene that this study does not have, "NOPE"; the usual plot is shown instead.'
    )
    plot = PlotPanel(browser)
    plot.wait_for_title("leiden_0.25")
    browser.until(plot.gene, "Search ( / )")


def test_a_link_to_what_is_not_there_opens_the_usual_plot(browser: Browser, demo: Server) -> None:
    shell = Shell(browser).open(demo, view="X_nothing~metadata:nothing~1,2,x,4", annotation="0000")
    plot = PlotPanel(browser)
    plot.wait_for_title("leiden_0.25")
    assert (plot.shown_embedding(), plot.shown_colour()) == ("UMAP", "leiden_0.25")
    assert sum(plot.legend().values()) == 2700
    (said,) = shell.toasts()
    assert said.startswith("The link names something that this study does not have")


@pytest.fixture
def downloads(browser: Browser, tmp_path: Path) -> Callable[[str], bytes]:
    """Return the bytes of the next finished download of a kind."""
    browser.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path), eventsEnabled=False)

    def get(suffix: str) -> bytes:
        def finished() -> list[Path]:
            return [] if list(tmp_path.glob("*.crdownload")) else list(tmp_path.glob(f"*.{suffix}"))

        (path,) = browser.wait(finished, f"a downloaded {suffix}")
        return path.read_bytes()

    return get


def test_the_picture_is_saved_as_png_and_svg(
    plot: PlotPanel, browser: Browser, downloads: Callable[[str], bytes]
) -> None:
    box = plot.box()
    plot.save_as("svg")
    svg = downloads("svg").decode()
    size = re.match(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"', svg)
    assert size
    width, height = float(size[1]), float(size[2])
    # The plot, a title above it, a little room round it and the legend at its side.
    assert height == pytest.approx(box["height"] + 46, abs=1)
    assert box["width"] + 60 < width < box["width"] + 260
    assert "leiden_0.25" in svg
    plot.save_as("png")
    png = downloads("png")
    n_columns, n_rows, pixels = picture_size(browser, png, "image/png")
    assert (n_columns, n_rows) == (round(2 * width), round(2 * height))
    colours = plot.legend_colours()
    seen = {hex_colour(str(pixel)) for pixel in np.unique(pixels.reshape(-1, 3), axis=0)}
    assert set(colours.values()) <= seen
    # As many cells as on the page: the same picture, twice as fine.
    ink = (plot.pixels() != plot.pixels()[0, 0]).any(axis=2).mean()
    shown = (pixels[68 : 68 + int(2 * box["height"]), 24 : 24 + int(2 * box["width"])] != 255).any(axis=2).mean()
    assert shown == pytest.approx(ink, rel=0.15)


@pytest.fixture
def crowded(browser: Browser, serve: Serve, tmp_path: Path) -> PlotPanel:
    """The plot of sixty groups with long names that begin and end alike, much nearer to each other than names are long."""
    n_groups, n_cells = 60, 1830
    group = np.repeat(np.arange(n_groups), np.arange(1, n_groups + 1))
    labels = [
        f"small intestine | a very long kind of epithelial cell {number:02} | cluster 10" for number in range(n_groups)
    ]
    umap = np.stack([group % 10, group // 10], axis=1) + np.random.default_rng(0).normal(0, 0.1, (n_cells, 2))
    kind = pd.Categorical.from_codes(group, labels)
    file = write_study(tmp_path / "crowded.h5ad", {"kind": kind}, genes=["CD3D", "LYZ"], obsm={"X_umap": umap})
    Shell(browser).open(serve("serve", file, "--single-user"))
    panel = PlotPanel(browser)
    panel.wait_for_title("kind")
    return panel


def test_labels_that_find_no_place_are_left_out(crowded: PlotPanel, browser: Browser) -> None:
    def boxes() -> list[tuple[str, float, float, float, float]]:
        found: list[tuple[str, float, float, float, float]] = browser.js(
            """
            return [...document.querySelectorAll('#plot-1-frame .annotation-text')].map((e) => {
              const box = e.getBoundingClientRect();
              return [e.textContent, box.left, box.right, box.top, box.bottom]; })"""
        )
        return found

    browser.wait(boxes, "labels on the plot")
    placed = boxes()
    assert 5 < len(placed) < 60
    for place, (_, left, right, top, bottom) in enumerate(placed):
        for _, left_2, right_2, top_2, bottom_2 in placed[place + 1 :]:
            assert right <= left_2 or right_2 <= left or bottom <= top_2 + 2 or bottom_2 <= top + 2
    # One label alone when it is pointed at, also one that had no place.
    rows = list(crowded.legend())
    crowded.point_at(rows[0])
    browser.until(lambda: len(boxes()), 1)
    crowded.point_at(None)
    browser.until(lambda: len(boxes()), len(placed))


def test_long_labels_are_read_whole_in_the_legend(crowded: PlotPanel, browser: Browser) -> None:
    assert len(set(crowded.legend())) == 60
    cut, legend, body = browser.js(
        """
        const width = (css) => document.querySelector(css).getBoundingClientRect().width;
        return [[...document.querySelectorAll('.legend-label')].filter(
          (e) => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight).length,
          width('#plot-1-legend'), width('.plot-body')]"""
    )
    assert cut == 0
    assert legend == pytest.approx(0.4 * body, abs=2)


def test_missing_and_zero_look_different(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    umap = np.random.default_rng(0).normal(size=(40, 2))
    counts = some_counts(40, 2)
    # Beside each other: what is missing is painted below the rest.
    files = [
        write_study(tmp_path / f"{genes[0]}.h5ad", cells=40, genes=genes, x=counts, obsm={"X_umap": umap + shift})
        for genes, shift in ((["LYZ", "MS4A1"], 0), (["CD3D", "LYZ"], 5))
    ]
    browser.prefer(prefers_color_scheme="light")
    shell, plot = Shell(browser).open(serve("serve", *files, "--single-user")), PlotPanel(browser)
    plot.search_gene("MS4A1")

    def greys() -> list[str]:
        colours = browser.js(
            "return [...document.querySelectorAll('.legend-grey .legend-swatch')].map((e) => e.style.backgroundColor)"
        )
        return [hex_colour(colour) for colour in colours]

    assert plot.colour_bar().greys == ["0", "missing (40)"]
    assert greys() == [palette.ZERO, palette.MISSING]
    shell.next_theme()
    shell.next_theme()
    assert shell.theme() == ("Theme: dark", "dark")
    browser.until(greys, [palette.ON_DARK[palette.ZERO], palette.ON_DARK[palette.MISSING]])
    painted = {hex_colour(str(pixel)) for pixel in np.unique(plot.pixels().reshape(-1, 3), axis=0)}
    assert set(greys()) <= painted
