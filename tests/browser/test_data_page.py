"""The Data page: what is found in the files, and what the user decides about them."""

import hashlib
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.annotation_pages import ExistingAnnotations, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.file_pages import DataPage
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Server, real_data
from tests.browser.studies import troubled_study

pytestmark = pytest.mark.browser


@pytest.fixture
def troubled(serve: Serve, tmp_path: Path) -> Server:
    """A server of a study with troubles."""
    file = troubled_study(tmp_path / "troubled.h5ad")
    return serve("serve", file, "--max-category-items", "5", "--title", "Troubled")


@pytest.fixture
def page(browser: Browser, troubled: Server) -> DataPage:
    """The Data page of a study with troubles."""
    Shell(browser).open(troubled)
    page = DataPage(browser)
    page.wait_until_filled()
    return page


def test_the_health_check_finds_what_is_wrong(page: DataPage, tmp_path: Path) -> None:
    assert Shell(page.browser).title() == "Troubled"
    assert page.findings() == {
        "D01": "1 cell ID occurs more than once. Cells are told apart by sample and row; CSV exports include the "
        "sample.",
        "D02": "2 cells share both sample and ID. Row numbers are used to tell them apart; files can only be "
        "re-imported for this exact dataset.",
        "D04": "2 cells have no position in X_umap; they are never hit by a lasso.",
        "D05": 'stage has 12 values (limit 5). Colours group the rare ones as "other"; data, filters and copies keep '
        "all values.",
        "D06": "All matrices look scaled. Prediction and averages need counts or log values.",
        "D09": "1 gene name repeats; the first one keeps the name; the others are ignored.",
    }
    seen = {name: tuple(row.values())[1:] for name, row in page.columns().items()}
    assert seen == {
        "stage": ("category", "12 levels", "0", "category", "metadata"),
        "kept": ("bool", "2 levels", "0", "category", "metadata"),
        "lane": ("float64", "0.5 to 2.5", "0", "number", "metadata"),
        "plate": ("int64", "0 to 1", "0", "number", "metadata"),
    }
    assert PlotPanel(page.browser).note() == "2 cells have no position here."
    digest = hashlib.sha256((tmp_path / "troubled.h5ad").read_bytes()).hexdigest()
    page.browser.until(page.hashes, {"troubled.h5ad": digest})


def test_choices_about_columns_are_kept(page: DataPage, troubled: Server) -> None:
    browser, shell, form = page.browser, Shell(page.browser), NewAnnotation(page.browser)
    shell.go_to("New Annotation")
    # Numbers are offered only when they are whole and few.
    assert [text.split(" (")[0] for text in form.sources("metadata")] == ["stage", "kept", "plate"]
    assert form.chosen("cluster") == "No clusters in this dataset"
    shell.go_to("Data")
    page.wait_until_filled()
    page.set_role("stage", "cluster")
    shell.wait_for_toast("stage is treated as category, role cluster.")
    page.treat_as("lane", "category")
    shell.wait_for_toast("lane is treated as category, role metadata.")
    page.treat_as("kept", "ignore")
    shell.wait_for_toast("kept is treated as ignore, role metadata.")
    browser.until(lambda: page.columns()["lane"]["content"], "3 levels")

    def check() -> None:
        shell.go_to("New Annotation")
        assert form.sources("cluster") == ["stage (12 levels)"]
        assert form.sources("metadata") == ["lane (3 levels)", "plate (2 levels)"]

    check()
    form.copy_from("metadata", "lane")
    browser.until(lambda: dict(form.counts()), {"0.5": "4", "1.5": "4", "2.5": "4"})
    shell.close_toasts()
    # Another start, the same choices.
    browser.open("about:blank")
    troubled.stop()
    troubled.start()
    shell.open(troubled)
    page.wait_until_filled()
    columns = page.columns()
    assert (columns["stage"]["role"], columns["lane"]["treat_as"], columns["kept"]["treat_as"]) == (
        "cluster",
        "category",
        "ignore",
    )
    check()
    assert PlotPanel(browser).colour_options() == [
        "stage \u00b7 Cluster",
        "lane \u00b7 Metadata",
        "plate \u00b7 Metadata",
    ]


def test_the_columns_fit_and_their_choices_open_at_once(page: DataPage) -> None:
    browser = page.browser
    browser.resize(1400, 900)
    cells = "[...document.querySelectorAll('#data-columns .ag-cell')]"
    browser.wait(
        lambda: browser.js(f"return {cells}.every((e) => e.scrollWidth <= e.clientWidth)"),
        "every cell to be read whole",
    )
    grid, last = (
        browser.js("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", css)
        for css in ("#data-columns", "#data-columns .ag-row[row-index='3']")
    )
    # Nothing to the right that one has to scroll to, and nothing below the last row.
    assert not browser.is_shown("#data-columns .ag-body-horizontal-scroll-viewport")
    assert grid["bottom"] - last["bottom"] < 8
    assert not browser.js(
        "return [...document.querySelectorAll('.data-page select')].some((e) => e.scrollWidth > e.clientWidth)"
    )
    items = ".ag-select-list .ag-list-item"
    browser.click(page.grid.cell("plate", "treat_as"))
    browser.until(lambda: browser.texts(items), ["category", "number", "ignore"])
    browser.press(Keys.ESCAPE)
    browser.until(lambda: browser.texts(items), [])
    # The same from the keyboard, and keys of the plot do not begin an edit.
    browser.press("z")
    assert browser.texts(items) == []
    browser.press(Keys.ENTER)
    browser.until(lambda: browser.texts(items), ["category", "number", "ignore"])
    browser.press(Keys.ARROW_UP, Keys.ENTER)
    Shell(browser).wait_for_toast("plate is treated as category, role metadata.")


@pytest.mark.skipif(not real_data("pbmc3k", "hao_pbmc_1336"), reason="pbmc3k and hao_pbmc_1336 are not here")
def test_two_real_files_are_one_study_of_two_samples(browser: Browser, serve: Serve) -> None:
    files = real_data("pbmc3k", "hao_pbmc_1336")
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    server = serve("serve", *files)
    shell, page, plot = Shell(browser).open(server), DataPage(browser), PlotPanel(browser)
    page.wait_until_filled()
    assert shell.title() == "pbmc3k + 1 more"
    assert shell.cells() == "3,974 cells"
    assert page.samples() == "pbmc3k: 2,638, hao_pbmc_1336: 1,336"
    assert plot.note() == "The files' coordinates are drawn together; distances between files may mean nothing."
    assert list(page.findings()) == ["D10", "D11", "D12"]
    assert page.findings()["D10"].startswith("3,915 of 16,088 genes are in all 2 files;")
    assert page.columns()["seurat_clusters"]["content"] == "9 levels, 1 of 2 files"
    assert page.columns()["seurat_clusters"]["missing"] == "1,336"
    # No obs column tells the files apart, so the study does.
    plot.colour_by("Sample")
    assert plot.legend() == {"pbmc3k": 2638, "hao_pbmc_1336": 1336}
    browser.until(page.hashes, digests)
    plot.colour_by("label_main")
    assert sum(plot.legend().values()) == 3974
    # A label of both files at once, with the cells that have none.
    form, existing = NewAnnotation(browser), ExistingAnnotations(browser)
    shell.go_to("New Annotation")
    assert "Sample (2 levels)" in form.sources("metadata")
    form.copy_from("cluster", "seurat_clusters", "leiden").missing("Leave the part out").name("any cluster")
    browser.until(lambda: form.grid.header()[-1], "any cluster")
    form.wait_for_summary("10 labels, 3,974 cells, 0 by default")
    # Clusters of different files that are called alike become one label, and that is said.
    assert form.warnings()[0].startswith("W1 With missing parts left out, 18 different combinations become the same")
    form.create()
    shell.wait_for_toast('"any cluster" was created: 10 labels, 3,974 cells set.')
    plot.colour_by("any cluster")
    shell.wait_until_saved()
    draft = server.draft()
    samples = draft.columns["sample"]
    assert (samples[:2638], samples[2638:]) == (["pbmc3k"] * 2638, ["hao_pbmc_1336"] * 1336)
    counts = {label: count for label, count in plot.legend().items() if count}
    assert counts == {label: draft.columns["any cluster"].count(label) for label in set(draft.columns["any cluster"])}
    shell.go_to("Existing Annotations")
    browser.wait(lambda: existing.names() == ["any cluster"], "the annotation")
    existing.rename("any cluster", "some cluster")
    browser.wait(lambda: existing.names() == ["some cluster"], "the new name")
    server.stop()
    browser.expect_the_server_to_go()
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files} == digests
