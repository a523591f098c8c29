"""From a lasso to labels on a real study: every number as it can be counted without the page, and all the way back."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from matplotlib.path import Path as Outline

from tests.browser.annotation_pages import NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.edit_pages import EditAnnotation
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel, clear_selection
from tests.browser.server import Server, real_data

pytestmark = pytest.mark.browser

NAME, LABEL = "by lasso", "drawn by hand"


@pytest.fixture(scope="module")
def file() -> Path:
    """pbmc3k; without it there is nothing to see here."""
    found = real_data("pbmc3k")
    if not found:
        pytest.skip("pbmc3k is not here; ISCAN_TEST_DATA says where")
    return found[0]


@pytest.fixture(scope="module")
def truth(file: Path) -> ad.AnnData:
    return ad.read_h5ad(file)


@pytest.fixture(scope="module")
def server(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the study."""
    running = Server("serve", file, "--single-user", folder=tmp_path_factory.mktemp("drafts")).start()
    yield running
    running.close()


def test_lasso_assign_undo_redo_and_reload(browser: Browser, server: Server, truth: ad.AnnData) -> None:
    shell, plot, edit = Shell(browser), PlotPanel(browser), EditAnnotation(browser)
    shell.open(server, "/annotate")
    clear_selection(browser)
    NewAnnotation(browser).make(NAME, cluster="seurat_clusters")
    before = truth.obs["seurat_clusters"].astype(str).to_numpy()

    box = plot.box()
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = min(box["width"], box["height"]) / 3 * (1 + 0.3 * np.cos(5 * turns))
    around = np.stack([box["width"] / 2 + radius * np.cos(turns), box["height"] / 2 + radius * np.sin(turns)], axis=1)
    n_drawn = plot.draw([(float(x), float(y)) for x, y in around])
    outline, xy = plot.drawn(), np.asarray(truth.obsm["X_umap"], np.float32).astype(np.float64)
    cells = np.asarray(Outline(np.vstack([outline, outline[:1]])).contains_points(xy))
    assert n_drawn == np.count_nonzero(cells)
    # A part of several labels, and less than what is asked about.
    assert 0 < n_drawn < len(cells) / 2
    assert len({*before[cells]}) > 1
    after = np.where(cells, LABEL, before)

    edit.open()
    edit.choose(NAME)
    # The page begins with the cells that are selected.
    assert edit.target() == "selection"
    edit.assign(LABEL, f"Assign to {n_drawn:,} cells")

    def is_as(labels: np.ndarray) -> None:
        counts = Counter(labels.tolist())
        browser.until(lambda: {label: n for label, n in edit.labels().items() if n}, dict(counts))
        browser.until(lambda: server.draft().columns[NAME], labels.tolist())

    is_as(after)
    shell.undo()
    is_as(before)
    shell.redo()
    is_as(after)
    shell.reload()
    edit.wait()
    is_as(after)
    assert edit.target() == "selection"
    browser.until(edit.button, f"Assign to {n_drawn:,} cells")
    plot.colour_by(NAME)
    browser.until(lambda: plot.legend().get(LABEL), n_drawn)
