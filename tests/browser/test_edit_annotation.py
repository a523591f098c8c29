"""Edit Annotation: ticks, the Assign bar, edits in the grid and of labels; each undone and redone."""

from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.annotation_pages import ExistingAnnotations, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.edit_pages import EditAnnotation
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel, act_on_selection, clear_selection
from tests.browser.server import Server
from tests.browser.studies import N_CELLS, small_values

pytestmark = pytest.mark.browser

TISSUE = [value or "none" for value in small_values("tissue")]


@pytest.fixture
def shell(browser: Browser, server: Server) -> Shell:
    return Shell(browser)


@pytest.fixture
def edit(browser: Browser, server: Server, shell: Shell, request: pytest.FixtureRequest) -> EditAnnotation:
    """The page, with an annotation of the test's own: tissues, ``none`` where there is none."""
    shell.open(server, "/annotate")
    form = NewAnnotation(browser)
    form.default("none").copy_from("metadata", "tissue").name(name_of(request))
    browser.until(lambda: form.grid.header()[-1:], [name_of(request)])
    form.create()
    shell.wait_until_said("was created")
    shell.close_toasts()
    page = EditAnnotation(browser).open()
    page.choose(name_of(request))
    # Those of other tests would leave no room for other columns.
    page.show("annotation", name_of(request))
    if page.count() != f"{N_CELLS} of {N_CELLS} cells, 0 ticked":
        page.clear_ticks()
    page.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 0 ticked")
    # A click on a box that still shows the tick would take that away.
    browser.until(page.ticked, [])
    return page


def name_of(request: pytest.FixtureRequest) -> str:
    # A test that is run again makes another annotation.
    return f"{str(request.node.name)[5:58]} {getattr(request.node, 'execution_count', 1)}"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return name_of(request)


def counts(labels: list[str]) -> dict[str, int]:
    return {label: labels.count(label) for label in dict.fromkeys(labels)}


def with_label(cells: list[int] | range, label: str, labels: list[str] = TISSUE) -> list[str]:
    return [label if cell in cells else own for cell, own in enumerate(labels)]


def shows(edit: EditAnnotation, labels: list[str]) -> None:
    """Check that the labels panel counts some labels, those without cells left aside."""
    edit.browser.until(lambda: {label: n for label, n in edit.labels().items() if n}, counts(labels))


def undone_and_redone(edit: EditAnnotation, shell: Shell, before: list[str], after: list[str], name: str) -> None:
    """Check that an edit can be taken back and made again, in the panel, in the grid and in the draft."""
    for act, labels in ((shell.undo, before), (shell.redo, after)):
        act()
        shows(edit, labels)
        edit.browser.until(
            lambda labels=labels: all(edit.values(name)[f"cell{cell}"] == labels[cell] for cell in range(5)), True
        )


def test_three_ticked_rows_get_a_label(edit: EditAnnotation, shell: Shell, server: Server, name: str) -> None:
    assert edit.is_off()
    edit.tick(1, 3, 4)
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 3 ticked")
    # A label is still to be chosen.
    assert edit.is_off()
    edit.assign("NK cell", "Assign to 3 cells")
    shell.wait_for_toast('3 cells set to "NK cell" (ticked cells).')
    after = with_label([1, 3, 4], "NK cell")
    shows(edit, after)
    edit.browser.until(lambda: edit.values(name)["cell3"], "NK cell")
    edit.browser.until(lambda: server.draft().columns[name], after)
    shell.answer_toast('3 cells set to "NK cell" (ticked cells).', "Undo")
    shows(edit, TISSUE)
    shell.redo()
    shows(edit, after)
    undone_and_redone(edit, shell, TISSUE, after, name)


@pytest.mark.parametrize("size", [(1400, 900), (1000, 700)])
def test_the_cells_are_there_without_an_annotation_of_ones_own(
    browser: Browser, serve: Serve, small_file: Path, size: tuple[int, int]
) -> None:
    browser.resize(*size)
    Shell(browser).open(serve("serve", small_file, "--single-user"), "/annotate/edit")
    EditAnnotation(browser).wait_for_count("60 of 60 cells, 0 ticked")
    height, width = browser.js(
        "const {height, width} = document.querySelector('#edit-grid').getBoundingClientRect(); return [height, width]"
    )
    # Three rows at least below the heads, and no room left beside them.
    assert height > 120
    assert width > 0.9 * browser.js("return document.querySelector('#edit-grid').closest('.edit-body').clientWidth")


def test_a_message_offers_no_undo_of_an_edit_that_was_undone(edit: EditAnnotation, shell: Shell) -> None:
    edit.tick(1)
    edit.assign("NK cell", "Assign to 1 cell")
    shell.wait_for_toast('1 cell set to "NK cell" (ticked cells).')
    shell.undo()
    undone = 'Undone: 1 cell set to "NK cell" (ticked cells).'
    shell.wait_for_toast(undone)
    edit.browser.until(shell.toasts, [undone])
    shows(edit, TISSUE)


def test_nothing_selected_means_nothing_happens(edit: EditAnnotation, shell: Shell) -> None:
    edit.value("NK cell")
    assert edit.button() == "Assign to 0 cells"
    assert edit.is_off()
    assert edit.note() == "Tick rows, or apply to the filtered rows or to the plot selection."
    edit.browser.press(Keys.ENTER)
    edit.apply_to("selection")
    assert edit.is_off()
    assert edit.note() == "Nothing is selected: draw a lasso on a plot, or use the Cell Filter."
    nobody = {"is": "labels", "kind": "metadata", "key": "tissue", "values": ["nowhere"]}
    act_on_selection(edit.browser, do="filter", condition=nobody)
    edit.browser.until(edit.note, "No cells match the selection.")
    act_on_selection(edit.browser, do="filter", condition={**nobody, "values": []})
    edit.browser.until(edit.note, "The query of the Cell Filter is not finished.")
    assert edit.is_off()
    clear_selection(edit.browser)
    edit.tick(1)
    edit.browser.until(edit.note, 'Nothing is selected. Ticked rows are another choice of "Apply to".')
    edit.clear_ticks()
    edit.filter_text("Cell ID", "no such cell")
    edit.wait_for_count(f"0 of {N_CELLS} cells, 0 ticked")
    edit.apply_to("filtered")
    assert edit.is_off()
    edit.clear_filters()
    shows(edit, TISSUE)
    assert not any("set to" in text for text in shell.toasts())


def test_only_selected_with_nothing_selected_is_no_cell(edit: EditAnnotation, shell: Shell) -> None:
    browser = edit.browser
    act_on_selection(browser, do="filter", id="f1", condition={"is": "cells", "text": "cell7\ncell8\ncell9"})
    edit.only_selected()
    edit.wait_for_count(f"3 of {N_CELLS} cells, 0 ticked")
    edit.apply_to("filtered").value("NK cell")
    browser.until(edit.button, "Assign to 3 cells")
    clear_selection(browser)
    edit.wait_for_count(f"0 of {N_CELLS} cells, 0 ticked")
    browser.until(edit.said_instead_of_rows, "Nothing is selected")
    assert (edit.button(), edit.is_off(), edit.note()) == ("Assign to 0 cells", True, "Nothing is selected.")
    act_on_selection(browser, do="filter", id="f1", condition={"is": "cells", "text": "cell7"})
    edit.wait_for_count(f"1 of {N_CELLS} cells, 0 ticked")
    clear_selection(browser)
    edit.only_selected()
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 0 ticked")


def test_the_bar_goes_to_no_other_cells_by_itself(edit: EditAnnotation, shell: Shell, name: str) -> None:
    browser = edit.browser
    edit.tick(1, 2)
    edit.value("NK cell")
    browser.until(edit.button, "Assign to 2 cells")
    act_on_selection(browser, do="filter", id="f1", condition={"is": "cells", "text": "cell7\ncell8\ncell9"})
    browser.until(lambda: browser.texts("#edit-target option")[-1], "Plot selection (3)")
    edit.clear_ticks()
    browser.until(edit.button, "Assign to 0 cells")
    assert (edit.target(), edit.is_off()) == ("ticked", True)
    assert edit.note() == "Tick rows, or apply to the filtered rows or to the plot selection."
    browser.click("#edit-value")
    browser.press(Keys.ENTER)
    shows(edit, TISSUE)
    # A page that is opened begins with the cells there are.
    shell.reload()
    edit.wait()
    browser.until(edit.button, "Assign to 3 cells")
    assert edit.target() == "selection"
    clear_selection(browser)
    browser.until(edit.button, "Assign to 0 cells")
    assert edit.target() == "selection"


def test_rows_that_do_not_load_are_not_taken_for_none(edit: EditAnnotation, shell: Shell) -> None:
    browser = edit.browser
    edit.apply_to("filtered").value("x")
    browser.until(edit.button, f"Assign to {N_CELLS} cells")
    browser.js(
        """
        window.__fetch = window.fetch;
        window.fetch = (address, options) => String(address).includes('/api/v1/edit/rows')
          ? Promise.reject(new TypeError('away')) : window.__fetch(address, options);
        iscan.edit.refresh('top')"""
    )
    browser.until(
        lambda: browser.text("#edit-failure"),
        "The rows did not load. The server does not answer. Try again when it is back.",
    )
    assert edit.is_off()
    assert not edit.said_instead_of_rows()
    browser.js("window.fetch = window.__fetch")
    browser.click("#edit-again")
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 0 ticked")
    browser.until(edit.button, f"Assign to {N_CELLS} cells")
    assert edit.ids()


def test_ticks_survive_paging_sorting_filtering_and_reload(edit: EditAnnotation, shell: Shell, name: str) -> None:
    browser = edit.browser
    edit.tick(2)
    edit.scroll_to(N_CELLS - 3)
    edit.tick(N_CELLS - 2)
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 2 ticked")
    edit.sort("Cell ID")
    edit.scroll_to(0)
    # As texts: cell10 comes before cell2.
    browser.until(lambda: edit.ids()[:3], ["cell0", "cell1", "cell10"])
    edit.filter_text("Cell ID", "cell2")
    edit.wait_for_count(f"11 of {N_CELLS} cells, 2 ticked")
    browser.until(edit.ticked, ["cell2"])
    shell.reload()
    edit.wait()
    # The filter is still there, as is what was ticked.
    assert edit.chips() == ["Cell ID: contains cell2"]
    edit.wait_for_count(f"11 of {N_CELLS} cells, 2 ticked")
    edit.clear_filters()
    edit.only_ticked()
    edit.wait_for_count(f"2 of {N_CELLS} cells, 2 ticked")
    browser.until(edit.ticked, ["cell2", f"cell{N_CELLS - 2}"])
    edit.only_ticked()
    edit.clear_ticks()
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 0 ticked")


def test_a_click_with_shift_ticks_a_range(edit: EditAnnotation) -> None:
    edit.tick(2)
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 1 ticked")
    edit.tick(6, with_shift=True)
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 5 ticked")
    edit.browser.until(edit.ticked, [f"cell{cell}" for cell in range(2, 7)])
    # It begins at the cell, wherever its row is by now.
    edit.clear_ticks()
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 0 ticked")
    edit.browser.until(edit.ticked, [])
    edit.tick(2)
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 1 ticked")
    edit.filter_text("Cell ID", "cell2")
    edit.wait_for_count(f"11 of {N_CELLS} cells, 1 ticked")
    edit.tick(21, with_shift=True)
    edit.wait_for_count(f"11 of {N_CELLS} cells, 3 ticked")
    edit.browser.until(edit.ticked, ["cell2", "cell20", "cell21"])
    edit.clear_filters()
    edit.clear_ticks()


def test_all_that_is_filtered_is_ticked_and_labelled(
    edit: EditAnnotation, shell: Shell, server: Server, name: str
) -> None:
    edit.show("metadata", "phase", "score")
    edit.filter_labels("phase", "G1", "missing")
    edit.filter_range("score", "0.1", "0.6")
    scores = np.linspace(0, 1, N_CELLS, dtype=np.float32)
    cells = [
        cell for cell, phase in enumerate(small_values("phase")) if phase in {"G1", None} and 0.1 <= scores[cell] <= 0.6
    ]
    k = len(cells)
    edit.wait_for_count(f"{k} of {N_CELLS} cells, 0 ticked")
    assert edit.chips() == ["phase: G1, missing", "score: 0.1 to 0.6"]
    edit.browser.until(lambda: set(edit.values("phase").values()), {"G1", "missing"})
    edit.select_all()
    edit.wait_for_count(f"{k} of {N_CELLS} cells, {k} ticked")
    head = f"#edit-grid .ag-header-cell[col-id='{edit.column('phase')}']"
    edit.browser.wait(lambda: edit.browser.is_shown(f"{head}.is-read-only.is-filtered"), "a head that says both")
    edit.clear_filters()
    edit.browser.wait(lambda: edit.browser.is_shown(f"{head}.is-read-only:not(.is-filtered)"), "a head that says one")
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, {k} ticked")
    edit.assign("early", f"Assign to {k} cells")
    after = with_label(cells, "early")
    shows(edit, after)
    edit.browser.until(lambda: server.draft().columns[name], after)
    undone_and_redone(edit, shell, TISSUE, after, name)


def test_all_filtered_rows_at_once(edit: EditAnnotation, shell: Shell) -> None:
    edit.filter_text("Cell ID", "cell5")
    edit.wait_for_count(f"11 of {N_CELLS} cells, 0 ticked")
    edit.apply_to("filtered").assign("fifties", "Assign to 11 cells")
    shows(edit, with_label([5, *range(50, 60)], "fifties"))
    edit.browser.until(shell.undo_title, 'Undo: 11 cells set to "fifties" (filtered rows) (Ctrl+Z)')
    assert edit.count().endswith("0 ticked")


def test_more_than_half_of_all_cells_is_asked_about(edit: EditAnnotation, shell: Shell) -> None:
    edit.select_all()
    edit.assign("all", f"Assign to {N_CELLS} cells")
    edit.browser.until(edit.button, f"Change {N_CELLS} of {N_CELLS} cells?")
    shows(edit, TISSUE)
    # Whoever does something else did not say yes.
    edit.browser.press(Keys.ESCAPE)
    edit.browser.until(edit.button, f"Assign to {N_CELLS} cells")
    edit.press_button()
    edit.browser.until(edit.button, f"Change {N_CELLS} of {N_CELLS} cells?")
    edit.press_button()
    shell.wait_for_toast(f'{N_CELLS} cells set to "all" (ticked cells).')
    shows(edit, ["all"] * N_CELLS)


def test_the_page_may_be_left_before_an_edit_is_answered(edit: EditAnnotation, shell: Shell, name: str) -> None:
    edit.tick(1, 2)
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 2 ticked")
    edit.value("first")
    edit.browser.until(edit.button, "Assign to 2 cells")
    with edit.browser.held_back("url.includes('_dash-update-component') && body.includes('edit-action')") as release:
        edit.press_button()
        edit.browser.wait(lambda: edit.browser.js("return __held.n"), "the edit to be sent")
        shell.go_to("Existing Annotations")
        edit.browser.wait(lambda: not edit.browser.is_shown("#edit-assign"), "the page to go")
        release()
    edit.open()
    edit.choose(name)
    shows(edit, with_label([1, 2], "first"))
    # The next edit does not wait for the one before.
    edit.assign("second", "Assign to 2 cells")
    shows(edit, with_label([1, 2], "second"))


def test_a_page_that_is_come_back_to_shows_what_was_made_meanwhile(
    browser: Browser, open_server: Server, shell: Shell
) -> None:
    shell.open(open_server, "/annotate/edit")
    edit = EditAnnotation(browser)
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 0 ticked")
    NewAnnotation(browser).make("groups")
    labels = {"is": "labels", "kind": "metadata", "key": "tissue", "values": [], "missing": True}
    act_on_selection(browser, do="filter", condition=labels)
    with browser.held_back("url.includes('_dash-update-component') && body.includes('edit-state')") as release:
        browser.click("#selection-label:not([aria-disabled='true'])")
        browser.wait(lambda: browser.is_shown("#edit-grid .ag-row"), "the grid")
        release()
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 0 ticked")
    edit.browser.until(lambda: "missing" in edit.values("groups").values(), False)
    # What is typed goes to where the label belongs.
    browser.until(lambda: browser.js("return document.activeElement.id"), "edit-value")


def test_a_double_click_edits_one_cell(edit: EditAnnotation, shell: Shell, name: str) -> None:
    edit.edit_cell(2, name, "B cell")
    shell.wait_for_toast('1 cell set to "B cell".')
    after = with_label([2], "B cell")
    shows(edit, after)
    edit.browser.until(lambda: edit.values(name)["cell2"], "B cell")
    undone_and_redone(edit, shell, TISSUE, after, name)
    # What is no label is refused, and the cell shows what holds.
    edit.edit_cell(2, name, " ")
    shell.wait_for_toast("Enter a label.")
    edit.browser.until(lambda: edit.values(name)["cell2"], "B cell")


def test_recent_labels_come_first_and_have_keys(edit: EditAnnotation, shell: Shell, name: str) -> None:
    browser = edit.browser
    for cell, label in ((1, "first"), (2, "second")):
        edit.tick(cell)
        edit.assign(label, "Assign to 1 cell")
        shell.wait_for_toast(f'1 cell set to "{label}" (ticked cells).')
        edit.clear_ticks()
    edit.value("")
    # Why nothing can be assigned stands beside them.
    assert "Tick rows" in edit.note()
    assert browser.js("const e = document.getElementById('edit-note'); return e.clientWidth > 100")
    browser.until(lambda: edit.offered()[:2], ["second", "first"])
    edit.value("fir")
    browser.until(edit.offered, ["first"])
    browser.press(Keys.ESCAPE)
    edit.value("")
    edit.tick(3)
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 1 ticked")
    # Away from the field a digit chooses, and Enter applies.
    browser.js("document.activeElement.blur()")
    browser.press("2")
    browser.until(lambda: browser.js("return document.activeElement.id"), "edit-apply")
    browser.press(Keys.ENTER)
    shows(edit, with_label([1, 3], "first", with_label([2], "second")))
    browser.js("document.activeElement.blur()")
    browser.press("a")
    browser.until(lambda: browser.js("return document.activeElement.id"), "edit-value")


def test_labels_are_left_alone_while_others_are_read(edit: EditAnnotation, shell: Shell, name: str) -> None:
    browser = edit.browser
    NewAnnotation(browser).make(f"{name} 2")
    edit.open()
    edit.choose(name)
    with browser.held_back("url.includes('/api/v1/edit/labels')") as release:
        edit.begin_to_choose(f"{name} 2")
        row = browser.js("return document.querySelector('.edit-label').getBoundingClientRect().toJSON()")
        browser.mouse("mouseMoved", row["x"] + 60, row["y"] + row["height"] / 2)
        browser.click(".edit-label .edit-label-filter")
        release()
    browser.until(lambda: browser.text("#edit-labels-title"), f"Labels of {name} 2")
    assert edit.count() == f"{N_CELLS} of {N_CELLS} cells, 0 ticked"


def test_a_label_is_added_renamed_and_deleted(edit: EditAnnotation, shell: Shell, name: str) -> None:
    edit.add("empty")
    edit.wait_for_labels({**edit.labels(), "empty": 0})
    shell.undo()
    edit.browser.wait(lambda: "empty" not in edit.labels(), "the label to go")
    shell.redo()
    edit.browser.wait(lambda: edit.labels().get("empty") == 0, "the label")

    edit.rename("gut", "bowel, small #1")
    after = ["bowel, small #1" if label == "gut" else label for label in TISSUE]
    shows(edit, after)
    undone_and_redone(edit, shell, TISSUE, after, name)

    edit.menu("lung", "Delete")
    gone = ["none" if label == "lung" else label for label in after]
    shows(edit, gone)
    undone_and_redone(edit, shell, after, gone, name)
    # The default label stays, under any name.
    assert edit.menu_items("none")["Delete"] is False
    edit.rename("none", "to do")
    shows(edit, ["to do" if label == "none" else label for label in gone])


def test_a_rename_to_a_label_that_exists_asks_to_merge(edit: EditAnnotation, shell: Shell, name: str) -> None:
    n_gut, n_lung = TISSUE.count("gut"), TISSUE.count("lung")
    edit.rename("gut", "lung")
    edit.browser.until(edit.said, f'"lung" exists: merge {n_gut} + {n_lung} cells?')
    edit.close_popup()
    shows(edit, TISSUE)
    edit.rename("gut", "lung")
    edit.browser.until(edit.said, f'"lung" exists: merge {n_gut} + {n_lung} cells?')
    edit.confirm()
    after = ["lung" if label == "gut" else label for label in TISSUE]
    shows(edit, after)
    undone_and_redone(edit, shell, TISSUE, after, name)


def test_labels_are_merged(edit: EditAnnotation, shell: Shell, name: str) -> None:
    edit.merge("skin", "gut")
    after = ["gut" if label == "skin" else label for label in TISSUE]
    shows(edit, after)
    assert "skin" not in edit.labels()
    undone_and_redone(edit, shell, TISSUE, after, name)


def test_labels_that_differ_only_in_case_are_pointed_out(edit: EditAnnotation, name: str) -> None:
    edit.tick(1, 2)
    edit.assign("Gut", "Assign to 2 cells")
    edit.browser.until(edit.twins, ['"gut" and "Gut" differ only in case.'])
    edit.browser.click(".edit-twin .btn")
    edit.confirm()
    shows(edit, with_label([1, 2], "gut"))
    edit.browser.until(edit.twins, [])


def test_a_label_is_split_by_a_column(edit: EditAnnotation, shell: Shell, name: str) -> None:
    edit.menu("gut", "Split by column...")
    offered = edit.columns_to_split_by()
    assert {"phase", "leiden", "Sample"} <= set(offered)
    assert "score" not in offered
    edit._choose("#edit-split-column", "Sample")
    edit.browser.until(edit.preview, [["gut_small", str(TISSUE.count("gut"))]])
    edit._choose("#edit-split-column", "phase")
    phases = small_values("phase")
    after = [f"gut_{phase}" if label == "gut" and phase else label for label, phase in zip(TISSUE, phases, strict=True)]
    rows = [[label, str(n)] for label, n in sorted(counts(after).items()) if label.startswith("gut_")]
    edit.browser.until(lambda: sorted(edit.preview()), sorted([*rows, ["gut", str(after.count("gut"))]]))
    edit.confirm()
    shows(edit, after)
    undone_and_redone(edit, shell, TISSUE, after, name)


def test_find_and_replace_shows_what_would_come_of_it(edit: EditAnnotation, shell: Shell, name: str) -> None:
    browser = edit.browser
    browser.click("#edit-replace")
    browser.type("#edit-find", "u")
    browser.type("#edit-substitute", "U")
    n = counts(TISSUE)
    browser.until(edit.preview, [["gut", "gUt", str(n["gut"])], ["lung", "lUng", str(n["lung"])]])
    # As a pattern, with a merge that is said before.
    browser.click("#edit-pattern")
    browser.type("#edit-find", "^(gut|lung)$")
    browser.type("#edit-substitute", "inside")
    browser.until(edit.preview, [["gut", "inside", str(n["gut"])], ["lung", "inside", str(n["lung"])]])
    browser.until(lambda: browser.text(".edit-merged"), "1 label becomes the same as another one and will be merged.")
    browser.type("#edit-find", "(")
    browser.wait(
        lambda: browser.text(".edit-preview .field-error").startswith("This is no regular expression"), "what is wrong"
    )
    # Of the server's refusal the console tells too.
    browser.expect_errors("/api/v1/edit/replace")
    browser.type("#edit-find", "gut|lung")
    browser.until(lambda: len(edit.preview()), 2)
    edit.confirm()
    after = ["inside" if label in {"gut", "lung"} else label for label in TISSUE]
    shows(edit, after)
    undone_and_redone(edit, shell, TISSUE, after, name)


def test_what_was_previewed_is_not_made_of_newer_labels(
    edit: EditAnnotation, shell: Shell, server: Server, name: str
) -> None:
    browser = edit.browser
    browser.click("#edit-replace")
    browser.type("#edit-find", "u")
    browser.type("#edit-substitute", "U")
    browser.until(lambda: len(edit.preview()), 2)
    first = browser.another_tab()
    shell.open(server, "/annotate/edit")
    other = EditAnnotation(browser).wait()
    other.choose(name)
    other.rename("skin", "uvula")
    browser.until(lambda: "uvula" in other.labels(), True)
    browser.look_at(first)
    # This tab has heard of it, and lists the new label; the preview is of the old ones.
    browser.until(lambda: "uvula" in edit.labels(), True)
    browser.click(".edit-popup .edit-yes:not([disabled])")
    browser.wait(lambda: any("saved a newer version" in text for text in shell.toasts()), "the refusal")
    shows(edit, ["uvula" if label == "skin" else label for label in TISSUE])


def test_a_label_is_not_left_in_the_bar_for_another_annotation(
    edit: EditAnnotation, shell: Shell, server: Server, name: str
) -> None:
    browser = edit.browser
    edit.tick(1)
    edit.value("only for this one")
    first = browser.another_tab()
    shell.open(server, "/annotate/existing")
    ExistingAnnotations(browser).delete(name)
    browser.look_at(first)
    browser.wait(lambda: name not in edit.annotations(), "the annotation to go")
    browser.until(lambda: browser.js("return document.querySelector('#edit-value').value"), "")
    assert edit.is_off()


def test_what_is_noted_of_a_label_is_kept(edit: EditAnnotation, shell: Shell) -> None:
    browser = edit.browser
    edit.menu("gut", "Describe...")
    browser.type("#edit-description", "From the small bowel")
    browser.type("#edit-ontology", "UBERON:0000160")
    browser.type("#edit-markers", "CD3D, LYZ")
    browser.type("#edit-absent-markers", "MS4A1")
    edit.confirm()
    shell.wait_for_toast('Label "gut" described.')
    shell.reload()
    edit.wait()
    edit.menu("gut", "Describe...")
    fields = [
        browser.js("return document.getElementById(arguments[0]).value", f"edit-{field}")
        for field in ("description", "ontology", "markers", "absent-markers")
    ]
    assert fields == ["From the small bowel", "UBERON:0000160", "CD3D, LYZ", "MS4A1"]
    edit.close_popup()


def test_a_label_of_the_panel_filters_the_rows(edit: EditAnnotation, name: str) -> None:
    edit.browser.click(f"{edit.label('gut')} .edit-label-filter")
    edit.wait_for_count(f"{TISSUE.count('gut')} of {N_CELLS} cells, 0 ticked")
    edit.browser.until(lambda: set(edit.values(name).values()), {"gut"})
    edit.browser.click(f"{edit.label('gut')} .edit-label-filter")
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 0 ticked")


def test_a_filter_of_what_is_gone_stays_and_shows_no_rows(edit: EditAnnotation, shell: Shell, name: str) -> None:
    browser, other = edit.browser, NewAnnotation(edit.browser)
    shell.go_to("New Annotation")
    other.make("to be deleted")
    edit.open()
    edit.choose(name)
    edit.show("annotation", name, "to be deleted")
    edit.filter_labels("to be deleted", "0", "1")
    n_cells = len([1 for value in small_values("leiden") if value in {"0", "1"}])
    edit.wait_for_count(f"{n_cells} of {N_CELLS} cells, 0 ticked")
    edit.apply_to("filtered").value("x")
    shell.go_to("Existing Annotations")
    ExistingAnnotations(browser).delete("to be deleted")
    browser.click("#annotate-tab-edit")
    edit.wait_for_count(f"0 of {N_CELLS} cells, 0 ticked")
    assert edit.chips() == ["to be deleted: 0, 1"]
    assert "not there any more" in browser.attribute(".edit-filter-chip.has-problem", "title")
    assert edit.is_off()
    edit.clear_filters()
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 0 ticked")
    # A value that is gone is told of, too.
    edit.show("annotation", name)
    edit.filter_labels(name, "gut")
    edit.rename("gut", "bowel")
    browser.until(lambda: browser.attribute(".edit-filter-chip", "title"), '"gut" is not there any more.')
    edit.clear_filters()


def test_a_label_that_is_pointed_at_stands_out_on_the_plot(edit: EditAnnotation, name: str) -> None:
    browser, plot = edit.browser, PlotPanel(edit.browser)
    plot.colour_by(name)
    whole = plot.pixels()
    box = browser.js("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", edit.label("gut"))
    browser.mouse("mouseMoved", box["x"] + 60, box["y"] + box["height"] / 2)
    browser.wait(lambda: not np.array_equal(plot.pixels(), whole), "the others to step back")
    browser.mouse("mouseMoved", 5, 5)
    browser.wait(lambda: np.array_equal(plot.pixels(), whole), "all to be alike")


def test_two_tabs_and_a_stale_write(edit: EditAnnotation, shell: Shell, server: Server, name: str) -> None:
    browser = edit.browser
    edit.tick(1)
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 1 ticked")
    edit.value("of the first tab")
    # This tab hears no more of the server's newer versions.
    browser.js(
        """
        const ask = window.fetch;
        window.fetch = (address, options) => String(address).includes('/api/v1/status')
          ? Promise.resolve(new Response(JSON.stringify(window.iscan.status))) : ask(address, options)"""
    )
    first = browser.another_tab()
    shell.open(server, "/annotate/edit")
    other = EditAnnotation(browser).wait()
    other.choose(name)
    # Ticks are those of the user, whatever the tab.
    other.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 1 ticked")
    other.assign("of the second tab", "Assign to 1 cell")
    after = with_label([1], "of the second tab")
    shows(other, after)
    second = browser.look_at(first)
    edit.press_button()
    browser.wait(lambda: any("saved a newer version" in text for text in shell.toasts()), "the refusal")
    browser.look_at(second)
    shows(other, after)


def test_the_list_of_annotations_leads_here(edit: EditAnnotation, shell: Shell, name: str) -> None:
    browser = edit.browser
    newer = NewAnnotation(browser)
    shell.go_to("New Annotation")
    newer.make(f"newer than {name}"[:60])
    edit.open()
    edit.choose(f"newer than {name}"[:60])
    shell.go_to("Existing Annotations")
    row = browser.wait(
        lambda: browser.js(
            """
            const row = [...document.querySelectorAll('.annotations tr')].find(
              (e) => e.querySelector('.annotation-name')?.textContent === arguments[0]);
            return row?.dataset.annotation""",
            name,
        ),
        "the row",
    )
    browser.click(f"tr[data-annotation='{row}'] a.icon-button")
    browser.until(lambda: browser.text("#edit-labels-title"), f"Labels of {name}")


def test_other_annotations_and_metadata_are_read_only(edit: EditAnnotation, name: str) -> None:
    edit.show("metadata", "phase")
    edit.show("cluster", "leiden")
    edit.browser.until(lambda: {"phase", "leiden", name} <= set(edit.columns()), True)
    css = edit.grid.cell("2", edit.column("phase"))
    box = edit.browser.js("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", css)
    for count in (1, 2):
        edit.browser.mouse("mousePressed", box["x"] + 9, box["y"] + 9, button="left", clickCount=count)
        edit.browser.mouse("mouseReleased", box["x"] + 9, box["y"] + 9, button="left", clickCount=count)
    assert not edit.browser.is_shown("#edit-cell")
    edit.show("metadata")
    edit.show("cluster")
    edit.browser.until(lambda: {"phase", "leiden"} & set(edit.columns()), set())
