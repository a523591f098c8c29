"""Export: tables that read back as they were, and copies of the data in which nothing else changed."""

import csv
import hashlib
import io
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from tests.browser.annotation_pages import ImportPanel, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.file_pages import ExportPage
from tests.browser.pages import Shell
from tests.browser.server import Draft, Server
from tests.browser.studies import N_CELLS, combined, small_study, small_values
from tests.studies import write_study

pytestmark = pytest.mark.browser

LABELS = combined([small_values("leiden")], "Unassigned", "_", "default")

HOSTILE = (
    "#1 T cell",
    "B, naive",
    'so called "NK"',
    "\u03b3\u03b4 T",
    "\U0001f9ec stem",
    "NA",
    "nan",
    "007",
    "1e5",
    "<b>x</b>",
    "=1+1",
    "+CD4",
    "two  spaces",
    "T;B\u2013T",
)
"""Labels that some program reads as something else."""

NAME = '=fate, "1st" #2'


def hostile(path: Path) -> list[str]:
    """Write a table with the hostile labels; return the label of each cell."""
    labels = [HOSTILE[cell % len(HOSTILE)] for cell in range(N_CELLS)]
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("index", NAME), *((f"cell{cell}", label) for cell, label in enumerate(labels))])
    return labels


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def imported(browser: Browser, path: Path) -> None:
    """Import a table as it is offered, and wait until it is there."""
    shell = Shell(browser)
    ImportPanel(browser).open().upload(path).run()
    browser.wait(lambda: any(text.endswith(f"imported from {path.name}.") for text in shell.toasts()), "the import")
    shell.close_toasts()


def made(browser: Browser, name: str) -> None:
    """Make an annotation of the clusters, whichever card is open."""
    Shell(browser).go_to("New Annotation")
    NewAnnotation(browser).kind("Use Existing Data").make(name)


def test_a_table_reads_back_as_it_was(
    browser: Browser, open_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(browser).open(open_server, "/annotate")
    labels = hostile(tmp_path / "hostile.csv")
    imported(browser, tmp_path / "hostile.csv")
    made(browser, "clusters")
    page = ExportPage(browser).open()
    assert page.offered() == [
        f"clusters \u00b7 6 labels, {N_CELLS - LABELS.count('Unassigned')} cells set",
        f"{NAME} \u00b7 {len(HOSTILE)} labels, 60 cells set",
    ]
    assert page.chosen() == page.offered()
    assert page.file_name() == "small-annotations.csv"
    text = page.download()
    table = tmp_path / "small-annotations.csv"
    table.write_text(text, encoding="utf-8")
    draft = Draft.read(table)
    assert draft.columns == {
        "index": [f"cell{cell}" for cell in range(N_CELLS)],
        "sample": ["small"] * N_CELLS,
        "clusters": LABELS,
        # Two of the labels, and the name, would be formulas in a spreadsheet.
        f"'{NAME}": [{"=1+1": "'=1+1", "+CD4": "'+CD4"}.get(label, label) for label in labels],
    }
    assert draft.comments[1] == "# data: small.h5ad\n"
    # The way back, to another user who has nothing yet.
    shell.open(open_server, "/annotate", as_other=True)
    panel = ImportPanel(browser).open().upload(table)
    assert panel.facts()[1:] == ["60 rows match a cell."]
    assert [(column.name, column.is_on, column.new_name) for column in panel.columns()] == [
        ("clusters", True, "clusters"),
        (NAME, True, NAME),
    ]
    imported(browser, table)
    shell.wait_until_saved()
    back = Draft.read(shell.draft_path())
    assert (back.columns["clusters"], back.columns[NAME]) == (LABELS, labels)
    # And into Python, by the code that stands beside it.
    page.open()
    browser.click(".export-page summary")
    code = browser.text("#export-snippet")
    monkeypatch.chdir(tmp_path)
    names: dict[str, ad.AnnData] = {}
    exec(code, names)
    assert names["adata"].obs[NAME].tolist() == labels
    assert names["adata"].obs["clusters"].tolist() == LABELS


def test_what_is_ticked_is_exported(browser: Browser, open_server: Server) -> None:
    Shell(browser).open(open_server, "/annotate")
    NewAnnotation(browser).make("one")
    made(browser, "two")
    page = ExportPage(browser).open()
    page.tick("two")
    browser.until(lambda: [text.split(" ")[0] for text in page.chosen()], ["one"])
    browser.until(lambda: page.href().count("annotation="), 1)
    head = next(line for line in page.download().splitlines() if not line.startswith("# "))
    assert head == 'index,sample,"one"'
    page.tick("one")
    browser.until(page.warnings, "Choose at least one annotation.")
    page.write()
    browser.until(page.error, "Choose at least one annotation.")
    # Annotations of others are offered too, under their owner's name.
    owner = Shell(browser).user()
    Shell(browser).open(open_server, "/export", as_other=True)
    browser.wait(lambda: any(text.startswith(f"two of {owner}") for text in page.offered()), "the other's annotations")
    assert page.chosen() == []
    # Two columns cannot have one name: that of the other gets a number.
    made(browser, "two")
    page.open()
    browser.wait(lambda: page.chosen()[0].startswith("two \u00b7"), "the user's own annotation")
    page.tick(f"two of {owner}")
    browser.until(lambda: len(page.chosen()), 2)
    head = next(line for line in page.download().splitlines() if not line.startswith("# "))
    assert head == 'index,sample,"two","two (2)"'
    page.name("of both").write()
    browser.wait(lambda: "2 new obs columns (two, two (2))" in page.state(), "the merged file")
    assert page.error() == ""


def test_what_cellxgene_would_cut_is_said(browser: Browser, open_server: Server, tmp_path: Path) -> None:
    Shell(browser).open(open_server, "/annotate")
    labels = hostile(tmp_path / "hostile.csv")
    imported(browser, tmp_path / "hostile.csv")
    page = ExportPage(browser).open()
    assert page.warnings() == ""
    page.for_cellxgene()
    browser.until(
        page.warnings,
        'E61 1 label contains "#" and will be cut by cellxgene.\n'
        'E61 1 annotation name contains "#" and will be cut by cellxgene.',
    )
    lines = [line for line in page.download().splitlines(keepends=True) if not line.startswith("# ")]
    head, *rows = csv.reader(io.StringIO("".join(lines)), strict=True)
    assert head == ["index", NAME]
    assert rows == [[f"cell{cell}", label] for cell, label in enumerate(labels)]


def test_a_merged_file_has_the_annotations_and_is_otherwise_the_same(
    browser: Browser, open_server: Server, small_file: Path, tmp_path: Path
) -> None:
    before = sha256(small_file)
    shell = Shell(browser).open(open_server, "/annotate")
    labels = hostile(tmp_path / "hostile.csv")
    imported(browser, tmp_path / "hostile.csv")
    made(browser, "clusters")
    page = ExportPage(browser).open()
    page.name("sub/dir")
    browser.until(page.targets, "Enter a plain file name, without folders.")
    page.write()
    browser.until(page.error, "Enter a plain file name, without folders.")
    output = open_server.folder / "small merged.h5ad"
    page.name("small merged")
    browser.until(page.targets, str(output))
    page.write()
    statement = page.statement()
    assert page.error() == ""
    said = f"{output} was written: small.h5ad with 2 new obs columns (clusters, {NAME}), which read back equal for all"
    assert statement.startswith(f"{said} 60 cells. Every other object is identical: ")
    assert statement.endswith(f"small.h5ad is unchanged (sha256 {before}).")
    assert sha256(small_file) == before
    written, source = ad.read_h5ad(output), ad.read_h5ad(small_file)
    assert list(written.obs.columns) == [*source.obs.columns, "clusters", NAME]
    assert written.obs["clusters"].tolist() == LABELS
    assert written.obs[NAME].tolist() == labels
    assert written.obs[NAME].dtype.name == "category"
    assert written.obs[source.obs.columns].equals(source.obs)
    assert (written.X != source.X).sum() == 0
    assert np.array_equal(written.obsm["X_umap"], source.obsm["X_umap"])
    # What is downloaded is the file.
    fetched = browser.driver.execute_async_script(
        """
        const done = arguments[0], link = document.querySelector('.merge-report a');
        fetch(link.href).then((answer) => answer.arrayBuffer()).then((body) => crypto.subtle.digest('SHA-256', body))
          .then((hash) => done([link.download, ...new Uint8Array(hash)]))"""
    )
    assert (fetched[0], bytes(fetched[1:]).hex()) == (output.name, sha256(output))
    # Nothing is ever written over.
    page.write()
    browser.until(page.error, f"{output} exists. Choose another name.")
    assert shell.toasts() == []


def test_a_column_that_cannot_have_its_name_is_told(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    # An earlier merge left its recipe, and somebody deleted the column since.
    study = write_study(tmp_path / "small.h5ad", cells=9, uns={"iscan_annotations": {"fate": "{}"}})
    server = serve("serve", study)
    shell, form = Shell(browser).open(server, "/annotate"), NewAnnotation(browser)
    form.name("fate")
    browser.until(lambda: form.grid.header()[-1], "fate")
    form.create()
    shell.wait_for_toast('"fate" was created: 1 label, 0 cells set.')
    page = ExportPage(browser).open()
    page.write()
    browser.until(page.error, 'The data has a column "fate" already. Use another name, e.g. "fate_annot".')
    assert list(server.folder.glob("*.h5ad")) == []


def test_a_merge_that_is_cancelled_leaves_nothing(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    # As large as it takes to be asked in time.
    study = small_study(tmp_path / "large.h5ad", uns={"large": np.zeros(2**26)})
    server = serve("serve", study)
    Shell(browser).open(server, "/annotate")
    NewAnnotation(browser).make("fate")
    page = ExportPage(browser).open()
    assert page.state() == ""
    page.write()
    page.cancel()
    browser.until(page.state, "Cancelled; nothing was written.")
    assert [path.name for path in server.folder.iterdir() if path.suffix in {".h5ad", ".part"}] == []
    browser.wait(lambda: browser.find("#export-merge").is_enabled(), "another merge to be possible")
