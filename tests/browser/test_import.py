"""Import CSV: every row of a table is accounted for before anything is made of it, and what is made is what it says."""

import gzip
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.annotation_pages import ExistingAnnotations, ImportPanel, NewAnnotation, TableColumn
from tests.browser.chromium import Browser
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Draft, Server
from tests.browser.studies import N_CELLS, combined, small_values

pytestmark = pytest.mark.browser

LABELS = combined([small_values("leiden")], "Unassigned", "_", "default")


@pytest.fixture
def panel(browser: Browser, open_server: Server) -> ImportPanel:
    """The empty panel, of a user who has nothing yet."""
    Shell(browser).open(open_server, "/annotate")
    return ImportPanel(browser).open()


def write_table(path: Path, head: str, rows: list[str]) -> Path:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def labels_of(shell: Shell, name: str) -> list[str]:
    """Return the labels of an annotation as the saved draft has them."""
    shell.wait_until_saved()
    return Draft.read(shell.draft_path()).columns[name]


def test_every_row_is_accounted_for(panel: ImportPanel, tmp_path: Path) -> None:
    browser, shell = panel.browser, Shell(panel.browser)
    # 40 cells, 3 of them once more with another label, 2 that the study does not have; 5 cells have no label.
    rows = [
        f"cell{cell},{'' if cell < 5 else 'T cell' if cell % 2 else 'B cell'},{cell / 7:.3f},{cell % 3}"
        for cell in range(40)
    ]
    rows += [f"cell{cell},again,0.5,1" for cell in (1, 2, 39)] + ["cell60,nobody,0.5,1", "doublet,nobody,0.5,1"]
    panel.upload(write_table(tmp_path / "fates.csv", "barcode,tissue,quality,lane", rows))
    assert panel.facts() == [
        "fates.csv: 45 rows, matched by barcode.",
        "40 rows match a cell.",
        "2 rows match no cell: cell60, doublet.",
        "3 rows name a cell again; the first row counts: cell1, cell2, cell39.",
        "20 cells of the study get no label.",
    ]
    assert panel.columns() == [
        TableColumn(True, "tissue", 2, 5, "tissue (2)", []),
        TableColumn(False, "quality", 40, 0, "quality", ["It holds numbers that are not whole."]),
        TableColumn(True, "lane", 3, 0, "lane", []),
    ]
    assert panel.actions("tissue") == []
    panel.tick("lane")
    panel.call("tissue", "fate, imported")
    panel.default("no row")
    panel.run()
    shell.wait_for_toast('"fate, imported" was imported from fates.csv.')
    fates = ["no row" if cell < 5 or cell >= 40 else "T cell" if cell % 2 else "B cell" for cell in range(N_CELLS)]
    assert labels_of(shell, "fate, imported") == fates
    assert list(Draft.read(shell.draft_path()).columns)[2:] == ["fate, imported"]
    # The panel is ready for another table.
    browser.until(panel.facts, [])
    shell.answer_toast('"fate, imported" was imported from fates.csv.', "View")
    PlotPanel(browser).wait_for_title("fate, imported")
    assert PlotPanel(browser).legend() == {label: fates.count(label) for label in ("no row", "B cell", "T cell")}
    shell.go_to("Existing Annotations")
    row = ExistingAnnotations(browser).row("fate, imported")
    assert (row.n_labels, row.n_set, row.version) == (3, N_CELLS - fates.count("no row"), 1)


def test_labels_are_replaced_and_come_back(panel: ImportPanel, tmp_path: Path) -> None:
    browser, shell, existing = panel.browser, Shell(panel.browser), ExistingAnnotations(panel.browser)
    NewAnnotation(browser).kind("Use Existing Data")
    NewAnnotation(browser).make("fate")
    others = ["east" if cell < 30 else "west" for cell in range(N_CELLS)]
    table = write_table(
        tmp_path / "sides.tsv", "index\tfate", [f"cell{cell}\t{label}" for cell, label in enumerate(others)]
    )
    panel.open().upload(table)
    assert panel.facts() == [
        "sides.tsv: 60 rows, matched by index, row by row, as the cells come in the same order.",
        "60 rows match a cell.",
    ]
    assert panel.columns() == [TableColumn(True, "fate", 2, 0, "fate (2)", [])]
    assert panel.actions("fate") == ["as a new annotation", "replacing the labels of mine"]
    panel.act("fate", "replacing the labels of mine")
    panel.run()
    shell.wait_for_toast('"fate" was imported from sides.tsv.')
    assert labels_of(shell, "fate") == others
    shell.go_to("Existing Annotations")
    browser.wait(lambda: existing.version("fate") == 2, "the next version")
    assert [name for name in existing.names() if not existing.lock(name)] == ["fate"]
    shell.undo()
    browser.wait(lambda: existing.version("fate") == 3, "the labels as they were")
    assert labels_of(shell, "fate") == LABELS


def test_the_same_file_again_makes_another_annotation(panel: ImportPanel, tmp_path: Path) -> None:
    shell = Shell(panel.browser)
    table = write_table(tmp_path / "twice.csv", "index,side", [f"cell{cell},{cell % 2}" for cell in range(N_CELLS)])
    panel.upload(table).run()
    shell.wait_for_toast('"side" was imported from twice.csv.')
    panel.browser.until(panel.facts, [])
    panel.upload(table)
    assert panel.columns() == [TableColumn(True, "side", 2, 0, "side (2)", [])]
    panel.call("side", "side")
    panel.run()
    panel.browser.until(panel.refusal, '"side" is already used by an annotation. Choose another name.')
    panel.call("side", "side again")
    panel.run()
    shell.wait_for_toast('"side again" was imported from twice.csv.')
    sides = [str(cell % 2) for cell in range(N_CELLS)]
    assert labels_of(shell, "side") == labels_of(shell, "side again") == sides


def test_a_draft_of_cellxgene_comes_unchanged(panel: ImportPanel, tmp_path: Path) -> None:
    shell = Shell(panel.browser)
    labels = ["unassigned" if cell % 4 else f"T, CD{cell}+" for cell in range(N_CELLS)]
    table = tmp_path / "lab-K1AW4TN5.csv"
    table.write_text(
        "# Annotations generated on 2024-05-01 12:00:00 using cellxgene version 1.2.0\n"
        "# Input data file was /data/small.h5ad, which was last modified on 2024-04-30 09:00:00\n"
        "index,my_types\n" + "".join(f'cell{cell},"{label}"\n' for cell, label in enumerate(labels))
    )
    panel.upload(table)
    assert panel.columns() == [TableColumn(True, "my_types", len(set(labels)), 0, "my_types", [])]
    panel.run()
    shell.wait_for_toast('"my_types" was imported from lab-K1AW4TN5.csv.')
    assert labels_of(shell, "my_types") == labels
    shell.go_to("Existing Annotations")
    # A label like any other: its cells are set.
    assert ExistingAnnotations(panel.browser).row("my_types").n_set == N_CELLS


def test_what_is_no_table_of_these_cells_is_refused_in_a_sentence(
    panel: ImportPanel, small_file: Path, tmp_path: Path
) -> None:
    browser, shell = panel.browser, Shell(panel.browser)
    # The answers count as errors of the page.
    browser.expect_errors("400 (BAD REQUEST)")
    good = write_table(tmp_path / "good.csv", "index,side", [f"cell{cell},a" for cell in range(N_CELLS)])
    zipped, empty, bare, latin = (tmp_path / name for name in ("labels.csv.gz", "empty.csv", "bare.csv", "latin.csv"))
    zipped.write_bytes(gzip.compress(good.read_bytes()))
    empty.write_bytes(b"")
    bare.write_bytes(b"# nothing but a comment\n")
    latin.write_bytes("index,fate\ncell0,Zoë\n".encode("latin-1"))
    cases = {
        write_table(tmp_path / "others.csv", "index,side", ["AAAC-1,a", "AAAG-1,b"]): (
            "None of the 2 rows match a cell of this dataset (first: AAAC-1)."
        ),
        small_file: "small.h5ad is not a text file. Save the table as CSV with the encoding UTF-8.",
        zipped: "labels.csv.gz is compressed with gzip. Unpack it first (gunzip).",
        empty: "empty.csv is empty. Choose another file.",
        bare: "bare.csv has no header row. Its first row must name the columns.",
        latin: "latin.csv is not UTF-8 text (invalid continuation byte). Save it as CSV with the encoding UTF-8.",
        write_table(tmp_path / "head.csv", "index,side", []): "head.csv has a header but no rows. Choose another file.",
        write_table(tmp_path / "ids.csv", "index", ["cell0"]): (
            "ids.csv has only one column. It needs one with cell ids and one or more with labels."
        ),
        write_table(tmp_path / "torn.csv", "index,side", ["cell0,a", "cell1,a,b", "cell2,a"]): (
            "Row 2 of torn.csv has 3 values where the header has 2. Put values that contain the delimiter in quotes."
        ),
    }
    for path, sentence in cases.items():
        # Each takes the place of a good one.
        panel.upload(good)
        browser.until(panel.error, "")
        assert len(panel.columns()) == 1
        panel.upload(path)
        browser.until(panel.error, sentence)
        assert panel.facts() == []
        assert not browser.find("#import-run").is_enabled()
    assert shell.toasts() == []


def test_another_column_may_name_the_cells(panel: ImportPanel, tmp_path: Path) -> None:
    browser, shell = panel.browser, Shell(panel.browser)
    rows = [f"{cell},cell{cell},{'a' if cell % 2 else 'b'}" for cell in range(N_CELLS)]
    panel.upload(write_table(tmp_path / "numbered.csv", "number,cell,side", rows))
    browser.until(panel.error, "None of the 60 rows match a cell of this dataset (first: 0).")
    panel.match_by("cell")
    browser.until(panel.error, "")
    browser.wait(panel.facts, "the report")
    assert panel.facts()[1] == "60 rows match a cell."
    assert [(column.name, column.is_on) for column in panel.columns()] == [("number", True), ("side", True)]
    panel.tick("number")
    panel.tick("side")
    panel.run()
    browser.until(panel.refusal, "Choose at least one column.")
    panel.tick("side")
    panel.run()
    shell.wait_for_toast('"side" was imported from numbered.csv.')
    assert labels_of(shell, "side") == ["a" if cell % 2 else "b" for cell in range(N_CELLS)]


def test_the_drop_zone_is_reached_by_keyboard(panel: ImportPanel) -> None:
    browser = panel.browser
    browser.find("#new-kind input:checked").send_keys("")
    # The cards that follow are on the way.
    reached = []
    while "import-file" not in reached:
        assert len(reached) < 4
        browser.press(Keys.TAB)
        reached.append(browser.js("return document.activeElement.id"))
    # It shows where the focus is, though the field itself cannot be seen.
    outlined = """
        const look = getComputedStyle(document.getElementById('import-drop'));
        return look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 1"""
    own = outlined.replace("'import-drop')", "'import-file').nextElementSibling")
    assert browser.js(outlined) or browser.js(own)


def test_a_table_is_dropped(panel: ImportPanel) -> None:
    browser = panel.browser
    browser.js(
        """
        const files = new DataTransfer();
        const rows = Array.from({length: 60}, (_, cell) => `cell${cell};a`);
        files.items.add(new File([['index;side', ...rows].join('\\n')], 'dropped.csv', {type: 'text/csv'}));
        const zone = document.getElementById('import-drop');
        zone.dispatchEvent(new DragEvent('drop', {dataTransfer: files, bubbles: true, cancelable: true}))"""
    )
    browser.wait(panel.facts, "the report")
    assert panel.facts()[0].startswith("dropped.csv: 60 rows, matched by index")
    assert panel.columns() == [TableColumn(True, "side", 1, 0, "side", [])]


def test_labels_and_columns_that_are_html_stay_text(panel: ImportPanel, tmp_path: Path) -> None:
    browser, shell = panel.browser, Shell(panel.browser)
    bad = "<img src=x onerror=window.hit=1>"
    rows = [f'cell{cell},"{bad}{cell % 2}"' for cell in range(N_CELLS)] + [f'"{bad}",x']
    panel.upload(write_table(tmp_path / "<img src=x onerror=window.hit=1>.csv", f'index,"{bad}"', rows))
    assert panel.facts()[2] == f"1 row matches no cell: {bad}."
    assert panel.columns() == [TableColumn(True, bad, 2, 0, bad, [])]
    panel.run()
    shell.wait_for_toast(f'"{bad}" was imported from {bad}.csv.')
    assert labels_of(shell, bad) == [f"{bad}{cell % 2}" for cell in range(N_CELLS)]
    assert browser.js("return [window.hit ?? null, document.querySelectorAll('img[src=x]').length]") == [None, 0]
