"""The Cell Filter: conditions on columns, genes, ids and areas; their counts and cells compared with the file itself."""

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.annotation_pages import ExistingAnnotations, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.edit_pages import EditAnnotation
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.selection_pages import Box, CellFilter, FilteredAnnotation, Selection, Strip
from tests.browser.server import Server
from tests.browser.studies import N_CELLS, small_obs, small_values
from tests.studies import write_study

pytestmark = pytest.mark.browser

LOWER_LEFT: Box = (-2, 2, -2, 2)
LOWER_RIGHT: Box = (4, 8, -2, 2)
LEFT: Box = (-3, 3, -3, 9)


@pytest.fixture(scope="module")
def xy(small_file: Path) -> np.ndarray:
    """Where the cells are; shape (2, n_cells)."""
    return np.asarray(ad.read_h5ad(small_file).obsm["X_umap"], np.float64).T


@pytest.fixture
def shell(browser: Browser, open_server: Server) -> Shell:
    """A page of somebody new."""
    return Shell(browser).open(open_server)


@pytest.fixture
def strip(browser: Browser, shell: Shell) -> Strip:
    found = Strip(browser)
    found.wait_for("No cells selected")
    return found


@pytest.fixture
def selection(browser: Browser) -> Selection:
    return Selection(browser)


@pytest.fixture
def panel(browser: Browser, strip: Strip) -> CellFilter:
    return CellFilter(browser)


REFUSED = "/api/v1/selection - Failed to load resource: the server responded with a status of 400"
"""What the console says of an action that the server refuses."""


def values_in(column: str, *wanted: str | None) -> np.ndarray:
    """Tell which cells have one of some values, None for missing."""
    return np.array([value in wanted for value in small_values(column)])


def within(xy: np.ndarray, box: Box) -> np.ndarray:
    """Tell which cells are in a rectangle."""
    left, right, bottom, top = box
    return (xy[0] >= left) & (xy[0] <= right) & (xy[1] >= bottom) & (xy[1] <= top)


def said(cells: np.ndarray) -> str:
    """Return what the strip says of so many cells."""
    return f"{cells.sum()} of {N_CELLS} cells" if cells.any() else "No cells match"


def expect(strip: Strip, selection: Selection, cells: np.ndarray) -> None:
    """Wait until the strip says as many cells, and compare them one by one with what the server says."""
    strip.wait_for(said(cells))
    found = selection.cells(N_CELLS)
    assert found is not None
    assert found.tolist() == cells.tolist()


# -- values ----------------------------------------------------------------------------------------------------------


def test_nothing_is_selected_at_first(strip: Strip, selection: Selection) -> None:
    assert strip.hint() == "Draw with the lasso (L), or choose in Filter"
    assert strip.chips() == {}
    assert selection.cells(N_CELLS) is None
    assert strip.is_off("clear") == "no cells are selected"
    assert strip.is_off("save") == "no cells are selected"
    assert strip.is_off("label") == "no cells are selected"
    assert strip.is_off("back") == "there is no earlier selection"


def test_cells_are_selected_by_the_values_of_columns(strip: Strip, panel: CellFilter, selection: Selection) -> None:
    panel.open("Clusters", "leiden")
    leiden = small_values("leiden")
    panel.browser.until(
        panel.values, {"missing": leiden.count(None), **{label: leiden.count(label) for label in "01234"}}
    )
    # Clicks that come faster than the answers.
    panel.tick("1", "3", "4").tick("4")
    clusters = values_in("leiden", "1", "3")
    expect(strip, selection, clusters)
    assert panel.ticked() == ["1", "3"]
    assert panel.count() == f"{clusters.sum()} cells"
    assert panel.tallies() == {"Clusters": str(clusters.sum())}
    assert strip.chips() == {"leiden in {1, 3}": str(clusters.sum())}

    # Columns hold together; values of one column are one or the other, and missing is a value.
    panel.open("Metadata", "tissue").tick("gut", "missing")
    tissue = values_in("tissue", "gut", None)
    expect(strip, selection, clusters & tissue)
    panel.column("phase").tick("S, early")
    phase = values_in("phase", "S, early")
    expect(strip, selection, clusters & tissue & phase)
    assert strip.chips() == {
        "leiden in {1, 3}": str(clusters.sum()),
        "tissue in {gut, missing}": str(tissue.sum()),
        'phase in {"S, early"}': str(phase.sum()),
    }
    panel.browser.until(panel.tallies, {"Clusters": str(clusters.sum()), "Metadata": "2 \u00d7"})

    # All but these: the cells without a value are among the others.
    panel.column("tissue")
    panel.turn()
    expect(strip, selection, clusters & ~tissue & phase)
    panel.turn()
    expect(strip, selection, clusters & tissue & phase)

    # Nothing ticked is no condition, not no cells.
    panel.tick_none()
    expect(strip, selection, clusters & phase)
    assert panel.count() == "no condition"
    strip.remove("leiden in {1, 3}")
    expect(strip, selection, phase)
    panel.open("Metadata", "phase")
    panel.remove_condition()
    strip.wait_for("No cells selected")
    panel.browser.until(panel.ticked, [])
    assert selection.cells(N_CELLS) is None


def test_values_are_searched(strip: Strip, panel: CellFilter, selection: Selection) -> None:
    panel.open("Clusters", "leiden_fine")
    panel.browser.until(panel.status, "10 values, 0 ticked")
    panel.search("7")
    panel.browser.until(panel.status, "1 of 10 values listed, 0 ticked")
    panel.tick_all()
    expect(strip, selection, values_in("leiden_fine", "7"))
    # What is ticked and not listed stays.
    panel.search("miss")
    panel.browser.until(lambda: list(panel.values()), ["missing"])
    panel.tick("missing")
    expect(strip, selection, values_in("leiden_fine", "7", None))
    panel.search("nothing like that")
    panel.browser.until(panel.values, {})
    panel.search("")
    panel.browser.until(panel.ticked, ["missing", "7"])
    panel.tick_all()
    expect(strip, selection, np.ones(N_CELLS, bool))


def test_annotations_are_conditions_that_follow_their_edits(
    shell: Shell, strip: Strip, panel: CellFilter, selection: Selection
) -> None:
    panel.open("Annotations")
    assert "No annotations yet." in panel.browser.text("#cell-filter-body")
    NewAnnotation(panel.browser).make("fate", cluster="leiden")
    panel.open("Annotations", "fate").tick("2")
    expect(strip, selection, values_in("leiden", "2"))
    shell.undo()
    panel.browser.until(lambda: strip.said_of(next(iter(strip.chips()))).partition(": ")[2] != "12 cells", True)
    assert "2" not in strip.count()
    shell.redo()
    expect(strip, selection, values_in("leiden", "2"))


# -- numbers and genes -----------------------------------------------------------------------------------------------


def test_all_but_these_can_be_ticked_first(strip: Strip, panel: CellFilter, selection: Selection) -> None:
    panel.open("Metadata", "tissue")
    panel.turn()
    is_turned = "return document.querySelector('#cell-filter .filter-not input').checked"
    assert panel.browser.js(is_turned)
    panel.tick("gut")
    expect(strip, selection, ~values_in("tissue", "gut"))
    assert panel.browser.js(is_turned)
    # Another column begins anew, and so does this one without its condition.
    panel.remove_condition()
    strip.wait_for("No cells selected")
    panel.browser.until(lambda: panel.browser.js(is_turned), False)


def test_a_range_of_numbers_is_brushed(strip: Strip, panel: CellFilter, selection: Selection) -> None:
    score = small_obs()["score"].astype(np.float64)
    panel.open("Numbers", "score")
    panel.brush(0.25, 0.75)
    panel.browser.wait(lambda: all(panel.range()), "the fields to follow")
    low, high = map(float, panel.range())
    assert abs(low - 0.25) < 0.01 and abs(high - 0.75) < 0.01
    expect(strip, selection, (score >= low) & (score <= high))
    # Over either edge: open at that end, whatever the last digits are.
    panel.brush(0.3, 1.1)
    panel.browser.until(lambda: panel.range()[1], "")
    expect(strip, selection, score >= float(panel.range()[0]))
    panel.brush(0.5, -0.1)
    panel.browser.until(lambda: panel.range()[0], "")
    expect(strip, selection, score <= float(panel.range()[1]))
    # Numbers that are typed are taken as they are.
    panel.type_range("0.1", "0.3")
    expect(strip, selection, (score >= 0.1) & (score <= 0.3))
    panel.type_range("0.3", "0.1")
    assert panel.range_error() == "The lowest value is above the highest one."
    for text in ("a few", "0,4"):
        panel.type_range("0.2", text)
        assert panel.range_error() == "Enter a number, such as 1.5, or leave the field empty."
    panel.type_range("0.2", "1,000")
    expect(strip, selection, score >= 0.2)
    panel.type_range("0.2", "0.4")
    expect(strip, selection, (score >= 0.2) & (score <= 0.4))
    assert panel.range_error() == ""
    # From the keyboard: a hundredth of the width a step.
    panel.browser.js("document.querySelector('#cell-filter .filter-handle[data-side=high]').focus()")
    panel.browser.type_slowly(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.PAGE_DOWN)
    panel.browser.until(lambda: panel.range()[1], "0.28")
    expect(strip, selection, (score >= 0.2) & (score <= 0.28))
    panel.browser.click("#cell-filter .filter-range .btn")
    strip.wait_for("No cells selected")


def test_a_range_of_a_gene_is_chosen(strip: Strip, panel: CellFilter, selection: Selection, small_file: Path) -> None:
    values = np.asarray(ad.read_h5ad(small_file)[:, "CD3D"].X, np.float64).ravel()
    panel.open("Genes").gene("cd3", "CD3D")
    middle = float(f"{np.median(values[values > 0]):.3f}")
    panel.type_range(str(middle), "")
    expect(strip, selection, values >= middle)
    assert list(strip.chips()) == [f"gene:CD3D >= {middle!r}"]
    panel.brush(0.0, 0.5)
    panel.browser.until(lambda: panel.range()[0], "")
    expect(strip, selection, values <= float(panel.range()[1]))
    # The gene is listed as long as it is a condition.
    panel.open("Clusters").open("Genes")
    panel.browser.until(panel.title, "CD3D")
    strip.clear()
    strip.wait_for("No cells selected")


# -- ids -------------------------------------------------------------------------------------------------------------


def test_pasted_ids_are_reported(strip: Strip, panel: CellFilter, selection: Selection) -> None:
    panel.open("Cell IDs")
    panel.paste(["cell7", "cell3", "cell7", "nobody", " cell59 ", ""])
    expect(strip, selection, np.isin(np.arange(N_CELLS), [3, 7, 59]))
    assert panel.report() == "3 cells; 1 not in this study (first: nobody)"
    panel.paste(["cell1"])
    expect(strip, selection, np.arange(N_CELLS) == 1)
    assert panel.report() == "1 cell"
    assert len(strip.chips()) == 1


def test_a_list_without_ids_is_refused(shell: Shell, strip: Strip, panel: CellFilter) -> None:
    panel.open("Cell IDs")
    panel.browser.expect_errors(REFUSED)
    panel.paste([",,"])
    panel.browser.until(panel.report, "There is no cell ID in this list. Paste at least one.")
    assert strip.chips() == {}
    # What was typed as text may well be an empty list; it breaks nothing here.
    panel.open("Plots and query").write("cell in {}")
    strip.wait_for("Not finished")
    shell.reload()
    strip.wait_for("Not finished")
    panel.open("Cell IDs")
    panel.browser.until(panel.report, "Finish this condition.")


def test_ids_of_several_samples_need_the_sample(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    paths = []
    for name in ("one", "two"):
        cells = [f"c{number}" for number in range(5)]
        obs = {"kept": pd.Categorical(["yes", "no", "yes", "no", "yes"])}
        umap = {"X_umap": np.zeros((5, 2), np.float32)}
        paths.append(write_study(tmp_path / f"{name}.h5ad", obs, cells=cells, obsm=umap))
    Shell(browser).open(serve("serve", *paths, "--single-user"))
    strip, panel, selection = Strip(browser), CellFilter(browser), Selection(browser)
    panel.open("Cell IDs")
    panel.paste(["c1", "two\tc3", "c9"])
    strip.wait_for("1 of 10 cells")
    assert panel.report() == "1 cell; 1 not in this study; 1 in several samples: add the sample (first: c1)"
    found = selection.cells(10)
    assert found is not None and np.flatnonzero(found).tolist() == [8]
    strip.clear()
    panel.open("Sample")
    browser.until(panel.values, {"one": 5, "two": 5})
    panel.tick("two")
    strip.wait_for("5 of 10 cells")
    assert [chip.removeprefix("sample:") for chip in strip.chips()] == ["Sample in {two}"]


def test_a_column_of_very_many_values(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    n_cells = 700
    names = [f"clone {number:03}" for number in range(n_cells)]
    umap = {"X_umap": np.zeros((n_cells, 2), np.float32)}
    path = write_study(tmp_path / "many.h5ad", {"clone": pd.Categorical(names)}, obsm=umap)
    Shell(browser).open(serve("serve", path, "--single-user"))
    strip, panel = Strip(browser), CellFilter(browser)
    panel.open("Metadata", "clone")
    browser.until(panel.status, "700 values, 0 ticked")
    n_first = len(panel.values())
    assert n_first < n_cells
    # More come as one scrolls; all are meant by All, seen or not.
    browser.js("const list = document.querySelector('.filter-values'); list.scrollTop = list.scrollHeight")
    browser.wait(lambda: len(panel.values()) > n_first, "more values")
    panel.search("clone 1")
    browser.until(panel.status, "100 of 700 values listed, 0 ticked")
    panel.tick_all()
    strip.wait_for("100 of 700 cells")
    panel.search("")
    browser.until(panel.status, "700 values, 100 ticked")
    panel.tick_all()
    strip.wait_for("700 of 700 cells")
    panel.tick("clone 000")
    strip.wait_for("699 of 700 cells")


# -- areas and queries -----------------------------------------------------------------------------------------------


def test_areas_of_plots_are_combined(strip: Strip, panel: CellFilter, selection: Selection, xy: np.ndarray) -> None:
    left, lower_left, lower_right = (within(xy, box) for box in (LEFT, LOWER_LEFT, LOWER_RIGHT))
    selection.draw(1, LOWER_LEFT)
    expect(strip, selection, lower_left)
    selection.draw(1, LOWER_RIGHT, "add")
    expect(strip, selection, lower_left | lower_right)
    selection.draw(2, LEFT)
    one = lower_left | lower_right
    panel.open("Plots and query")
    assert panel.shown_mode() == "Union"
    expect(strip, selection, one | left)
    panel.mode("Intersection")
    expect(strip, selection, one & left)
    assert panel.plots() == {"Plot 1": f"2 areas: {one.sum()} cells", "Plot 2": f"1 area: {left.sum()} cells"}
    assert strip.chips() == {
        "Intersection of plots": "",
        "Plot 1 - area 1": str(lower_left.sum()),
        "Plot 1 - area 2": str(lower_right.sum()),
        "Plot 2 - area 1": str(left.sum()),
    }
    # With a filter besides.
    panel.open("Metadata", "tissue").tick("gut")
    expect(strip, selection, one & left & values_in("tissue", "gut"))
    strip.remove("tissue in {gut}")
    panel.open("Plots and query")

    # A custom query begins as what was meant.
    query = panel.query
    panel.mode("Custom")
    expect(strip, selection, one & left)
    panel.browser.until(lambda: [query.chosen("0"), query.chosen("1")], ["Plot 1", "Plot 2"])
    assert query.chosen("", "kind") == "All of these"
    query.choose("1", "not", "not in")
    expect(strip, selection, one & ~left)
    query.choose("", "kind", "Any of these")
    expect(strip, selection, one | ~left)
    query.negate()
    expect(strip, selection, ~(one | ~left))
    query.negate()
    query.choose("", "kind", "All of these")
    # Groups within groups, with conditions on columns.
    query.add_group()
    panel.browser.until(query.errors, ["E42 Finish this condition."])
    assert query.error("2.0") == "E42 Finish this condition."
    strip.wait_for("Not finished")
    assert strip.is_off("save") == "the query is not finished"
    query.choose("2.0", "what", "leiden")
    assert query.error("2.0") == "E42 Finish this condition."
    panel.tick("0", "missing")
    zero = values_in("leiden", "0", None)
    expect(strip, selection, one & ~left & zero)
    query.add_condition("2")
    query.choose("2.1", "what", "score")
    panel.type_range("0.4", "")
    score = small_obs()["score"].astype(np.float64) >= 0.4
    expect(strip, selection, one & ~left & (zero | score))
    query.choose("2.1", "not", "not in")
    expect(strip, selection, one & ~left & (zero | ~score))
    query.negate("2")
    expect(strip, selection, one & ~left & ~(zero | ~score))
    panel.browser.until(panel.text, "Plot 1 AND NOT Plot 2 AND NOT (leiden in {0, missing} OR NOT score >= 0.4)")
    # The other modes are a click away, and the tree is kept.
    panel.mode("Union")
    expect(strip, selection, one | left)
    panel.mode("Custom")
    expect(strip, selection, one & ~left & ~(zero | ~score))
    query.remove("2")
    expect(strip, selection, one & ~left)


def test_what_is_wrong_with_a_query_is_said_in_its_place(
    strip: Strip, panel: CellFilter, selection: Selection, xy: np.ndarray
) -> None:
    selection.draw(1, LOWER_LEFT)
    selection.draw(2, LEFT)
    panel.open("Plots and query")
    panel.mode("Custom")
    query = panel.query
    query.add_group()
    query.remove("2.0")
    panel.browser.until(query.errors, ["E41 This group is empty."])
    assert query.error("2") == "E41 This group is empty."
    assert (strip.count(), strip.hint()) == ("Not finished", "This group is empty.")
    assert strip.said_of("Custom query") == "Custom query: This group is empty."
    assert selection.cells(N_CELLS) is None
    query.remove("2")
    expect(strip, selection, within(xy, LOWER_LEFT) | within(xy, LEFT))
    selection.act(do="remove_plots", plots=[2])
    panel.browser.until(query.errors, ["E43 This condition used a plot that was removed."])
    assert query.error("1") == "E43 This condition used a plot that was removed."
    assert query.chosen("1") == "Plot 2 (removed)"
    assert strip.count() == "Not finished"
    # Another plot of that number is not what was meant.
    selection.draw(2, LOWER_RIGHT)
    assert query.error("1") == "E43 This condition used a plot that was removed."
    query.choose("1", "what", "Plot 2")
    expect(strip, selection, within(xy, LOWER_LEFT) | within(xy, LOWER_RIGHT))
    # Six groups deep, not seven.
    path = ""
    for level in range(5):
        query.add_group(path)
        path = f"{path}.1" if level else "2"
        panel.browser.until(lambda path=path: query.error(f"{path}.0"), "E42 Finish this condition.")  # type: ignore[misc]
    assert query.why_no_group(path) == "Groups go 6 deep at most"


def test_a_new_range_of_a_query_is_chosen_before_it_counts(
    strip: Strip, panel: CellFilter, selection: Selection
) -> None:
    score = small_obs()["score"].astype(np.float64)
    panel.open("Plots and query")
    panel.mode("Custom")
    query, browser = panel.query, panel.browser
    query.choose("0", "what", "score")
    browser.until(lambda: query.error("0"), "E42 Finish this condition.")
    assert browser.text('#cell-filter [data-focus="0 open"]') == "Choose a range"
    assert strip.count() == "Not finished"
    browser.click("#cell-filter .query-details .filter-range .btn")
    expect(strip, selection, np.isfinite(score))
    assert browser.text('#cell-filter [data-focus="0 open"]') == "any value"
    browser.type("#cell-filter .query-details .filter-range input[type=text]", "0.5")
    browser.press(Keys.TAB)
    expect(strip, selection, score >= 0.5)
    assert not any(query.errors())


def test_a_query_is_edited_as_text(strip: Strip, panel: CellFilter, selection: Selection, xy: np.ndarray) -> None:
    selection.draw(1, LOWER_LEFT)
    selection.draw(2, LEFT)
    panel.open("Plots and query")
    panel.browser.until(panel.text, "Plot 1 OR Plot 2")
    panel.write("(Plot 2 AND NOT Plot 1) OR leiden in {3, 4}")
    wanted = (within(xy, LEFT) & ~within(xy, LOWER_LEFT)) | values_in("leiden", "3", "4")
    expect(strip, selection, wanted)
    assert panel.shown_mode() == "Custom"
    assert panel.query.chosen("0.0") == "Plot 2"
    assert panel.query.chosen("1") == "leiden"
    panel.browser.expect_errors(REFUSED)
    panel.write("Plot 2 AND AND Plot 1")
    panel.browser.wait(panel.text_error, "what is wrong")
    assert panel.text_error() == 'Character 12: expected a condition, not "AND".'
    # What was written stays to be corrected, and the selection as it was.
    assert panel.text() == "Plot 2 AND AND Plot 1"
    expect(strip, selection, wanted)
    panel.write("Plot 2 AND Plot 1")
    expect(strip, selection, within(xy, LEFT) & within(xy, LOWER_LEFT))
    assert panel.text_error() == ""
    # Conditions at the top are filters. Areas that are not named are not used.
    panel.write('tissue in {gut} AND score >= 0.5 AND phase not in {"S, early"}')
    score = small_obs()["score"].astype(np.float64) >= 0.5
    expect(strip, selection, values_in("tissue", "gut") & score & ~values_in("phase", "S, early"))
    # Nothing written, nothing chosen.
    panel.write("")
    strip.wait_for("No cells selected")


# -- saved selections ------------------------------------------------------------------------------------------------


def test_selections_are_saved_used_renamed_and_deleted(
    shell: Shell, strip: Strip, panel: CellFilter, selection: Selection
) -> None:
    gut, late = values_in("tissue", "gut"), values_in("leiden", "3", "4")
    panel.open("Metadata", "tissue").tick("gut")
    expect(strip, selection, gut)
    strip.save_as("in the gut")
    panel.open("Saved selections")
    panel.browser.until(panel.saved, {"in the gut": f"{gut.sum()} cells"})
    panel.browser.expect_errors(REFUSED)
    strip.save_as("In The Gut")
    panel.browser.until(strip.popover_error, '"In The Gut" is already used by a saved selection. Choose another name.')
    panel.browser.press(Keys.ESCAPE)
    strip.clear()
    panel.open("Clusters", "leiden").tick("3", "4")
    expect(strip, selection, late)
    panel.open("Saved selections")
    panel.use("in the gut", "Not in")
    expect(strip, selection, late & ~gut)
    strip.save_as("late, elsewhere")
    panel.browser.until(
        panel.saved, {"in the gut": f"{gut.sum()} cells", "late, elsewhere": f"{(late & ~gut).sum()} cells"}
    )
    panel.use("in the gut")
    expect(strip, selection, gut)
    panel.rename_saved("in the gut", "gut")
    panel.browser.until(lambda: "gut" in panel.saved(), True)
    # In a custom query.
    panel.open("Plots and query")
    panel.write('saved gut OR saved "late, elsewhere"')
    expect(strip, selection, gut | (late & ~gut))
    # They outlast the page.
    shell.reload()
    strip.wait_for(said(gut | (late & ~gut)))
    panel.open("Saved selections")
    panel.delete_saved("late, elsewhere")
    panel.browser.until(lambda: list(panel.saved()), ["gut"])
    panel.use("gut")
    expect(strip, selection, gut)


def test_a_plot_is_coloured_by_a_saved_selection(strip: Strip, panel: CellFilter) -> None:
    plot, gut = PlotPanel(strip.browser), values_in("tissue", "gut")
    panel.open("Metadata", "tissue").tick("gut")
    strip.wait_for(said(gut))
    strip.save_as("of the gut")
    panel.open("Saved selections")
    strip.browser.until(lambda: list(panel.saved()), ["of the gut"])
    # All of its buttons are in view.
    assert strip.browser.js("const e = document.querySelector('.filter-body'); return e.scrollWidth <= e.clientWidth")
    panel.use("of the gut", "Colour")
    plot.wait_for_title("of the gut")
    strip.browser.until(plot.legend, {"in": int(gut.sum()), "not in": int((~gut).sum())})
    assert plot.shown_colour().startswith("of the gut")


def test_a_selection_is_copied_and_loaded_by_somebody_else(
    browser: Browser, open_server: Server, strip: Strip, panel: CellFilter, selection: Selection, xy: np.ndarray
) -> None:
    gut = values_in("tissue", "gut")
    panel.open("Metadata", "tissue").tick("gut")
    strip.wait_for(said(gut))
    strip.save_as("in the gut")
    panel.open("Saved selections")
    browser.until(panel.saved, {"in the gut": f"{gut.sum()} cells"})
    panel.use("in the gut", "Only in")
    selection.draw(1, LEFT)
    wanted = gut & within(xy, LEFT)
    expect(strip, selection, wanted)
    text = strip.copied()

    Shell(browser).open(open_server, as_other=True)
    strip.wait_for("No cells selected")
    strip.load("{}")
    browser.until(
        strip.popover_error, "This is no selection that was copied here. Copy it again, and paste all of the text."
    )
    for _ in range(2):
        strip.load(text)
        expect(strip, selection, wanted)
        strip.clear()
        strip.wait_for("No cells selected")
    panel.open("Saved selections")
    browser.until(lambda: list(panel.saved()), ["in the gut"])


# -- the strip -------------------------------------------------------------------------------------------------------


def test_areas_are_renamed_inverted_and_deleted(strip: Strip, selection: Selection, xy: np.ndarray) -> None:
    first, second = within(xy, LOWER_LEFT), within(xy, LOWER_RIGHT)
    selection.draw(1, LOWER_LEFT)
    selection.draw(1, LOWER_RIGHT, "add")
    expect(strip, selection, first | second)
    strip.rename("Plot 1 - area 1", "the dense one")
    strip.browser.until(lambda: list(strip.chips()), ["Plot 1 - the dense one", "Plot 1 - area 2"])
    strip.menu("Plot 1 - area 2", "Invert")
    expect(strip, selection, first | ~second)
    assert strip.chips()["Plot 1 - area 2"] == str((~second).sum())
    assert strip.said_of("Plot 1 - area 2") == f"Not in Plot 1 - area 2: {(~second).sum()} cells"
    strip.menu("Plot 1 - the dense one", "Delete")
    expect(strip, selection, ~second)
    strip.back()
    expect(strip, selection, first | ~second)
    strip.remove("Plot 1 - area 2")
    expect(strip, selection, first)
    strip.clear()
    strip.wait_for("No cells selected")
    strip.back()
    expect(strip, selection, first)


def test_the_strip_says_that_a_plot_is_turned_round(strip: Strip, selection: Selection, xy: np.ndarray) -> None:
    first = within(xy, LOWER_LEFT)
    selection.draw(1, LOWER_LEFT)
    strip.browser.press("i")
    expect(strip, selection, ~first)
    assert strip.chips() == {"Plot 1": str((~first).sum()), "Plot 1 - area 1": str(first.sum())}
    assert strip.said_of("Plot 1") == f"Not in the areas of Plot 1: {(~first).sum()} cells"
    strip.remove("Plot 1")
    expect(strip, selection, first)
    assert list(strip.chips()) == ["Plot 1 - area 1"]


def test_an_area_is_drawn_anew(strip: Strip, selection: Selection, xy: np.ndarray) -> None:
    plot = PlotPanel(strip.browser)
    selection.draw(1, LOWER_LEFT)
    selection.draw(1, LEFT, "add")
    strip.rename("Plot 1 - area 1", "one")
    strip.wait_for(said(within(xy, LEFT)))
    strip.menu("Plot 1 - one", "Redraw")
    # The lasso is taken up; a drag round the cells at the lower right replaces the area, which keeps its name.
    # What lies beyond the edge of the plot is drawn along the edge.
    corners = np.array([[4, 8, 8, 4, 4], [2, 2, -2, -2, 2]], float)
    strip.browser.until(lambda: strip.browser.attribute("#plot-lasso", "aria-pressed"), "true")
    plot.draw([(x, y) for x, y in plot.places(corners).T.tolist()])
    expect(strip, selection, within(xy, LEFT) | within(xy, LOWER_RIGHT))
    assert strip.chips() == {
        "Plot 1 - one": str(within(xy, LOWER_RIGHT).sum()),
        "Plot 1 - area 2": str(within(xy, LEFT).sum()),
    }


def test_what_is_drawn_elsewhere_replaces_no_area(strip: Strip, selection: Selection, xy: np.ndarray) -> None:
    browser = strip.browser
    selection.draw(2, LOWER_LEFT)
    strip.menu("Plot 2 - area 1", "Redraw")
    # Its plot is shown, and the strip says what the next drawing does.
    browser.wait(lambda: browser.is_shown("#plot-2-frame"), "the second plot")
    assert strip.hint() == "Draw Plot 2 - area 1 anew, or press Esc"
    browser.press(Keys.ESCAPE)
    browser.until(strip.hint, "")
    strip.menu("Plot 2 - area 1", "Redraw")
    first = PlotPanel(browser)
    first.wait_until_still()
    box = first.box()
    first.draw([(3, 3), (box["width"] - 3, box["height"] - 3)], "box")
    browser.until(lambda: list(strip.chips()), ["Union of plots", "Plot 2 - area 1", "Plot 1 - area 1"])
    assert strip.hint() == ""
    second = PlotPanel(browser, 2)
    second.draw([(3, 3), (40, 40)], "box")
    browser.wait(lambda: strip.chips()["Plot 2 - area 1"] != str(within(xy, LOWER_LEFT).sum()), "an area of its own")
    # An area that is deleted is not waited for.
    strip.menu("Plot 2 - area 1", "Redraw")
    browser.until(strip.hint, "Draw Plot 2 - area 1 anew, or press Esc")
    strip.remove("Plot 2 - area 1")
    browser.until(strip.hint, "")


def test_an_area_without_cells_stays(strip: Strip, selection: Selection) -> None:
    selection.draw(1, (50, 51, 50, 51))
    expect(strip, selection, np.zeros(N_CELLS, bool))
    assert (strip.count(), strip.hint()) == ("No cells match", "0 of 60 cells")
    assert strip.chips() == {"Plot 1 - area 1": "0"}
    assert strip.is_off("label") == "no cells match"


def test_a_reload_keeps_everything(
    shell: Shell, strip: Strip, panel: CellFilter, selection: Selection, xy: np.ndarray
) -> None:
    selection.draw(1, LOWER_LEFT)
    selection.draw(2, LEFT)
    panel.open("Metadata", "tissue").tick("gut")
    panel.open("Plots and query")
    panel.mode("Intersection")
    wanted = within(xy, LOWER_LEFT) & within(xy, LEFT) & values_in("tissue", "gut")
    expect(strip, selection, wanted)
    chips = strip.chips()
    shell.reload()
    expect(strip, selection, wanted)
    assert strip.chips() == chips
    # The panel is open where it was.
    panel.browser.until(panel.shown_mode, "Intersection")


def test_tabs_of_one_user_are_in_step(
    browser: Browser, open_server: Server, strip: Strip, selection: Selection, xy: np.ndarray
) -> None:
    first = browser.another_tab()
    Shell(browser).open(open_server)
    selection.draw(1, LOWER_LEFT)
    expect(strip, selection, within(xy, LOWER_LEFT))
    browser.look_at(first)
    expect(strip, selection, within(xy, LOWER_LEFT))


def test_users_have_selections_of_their_own(
    browser: Browser, open_server: Server, strip: Strip, selection: Selection, xy: np.ndarray
) -> None:
    selection.draw(1, LOWER_LEFT)
    strip.wait_for(said(within(xy, LOWER_LEFT)))
    Shell(browser).open(open_server, as_other=True)
    strip.wait_for("No cells selected")


def test_everything_is_reached_from_the_keyboard(
    browser: Browser, strip: Strip, panel: CellFilter, selection: Selection
) -> None:
    browser.js("document.querySelector('#selection-filter').focus()")
    browser.press(Keys.ENTER)
    browser.wait(panel.is_open, "the panel")
    # The sources: one tab stop, arrows between them.
    browser.type_slowly(Keys.HOME, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    browser.wait(lambda: "leiden" in panel.columns(), "the cluster columns")
    focused: Callable[[], str] = lambda: browser.js("return document.activeElement.innerText.trim()")  # noqa: E731
    browser.until(focused, "Clusters")
    browser.press(Keys.TAB)
    browser.until(focused, "leiden")
    browser.type_slowly(Keys.ARROW_DOWN, Keys.ENTER)
    browser.until(panel.title, "leiden_fine")
    # From the search into the list, and a tick.
    browser.js("document.querySelector('#cell-filter .filter-values-head input').focus()")
    browser.wait(lambda: "3" in panel.values(), "the values")
    browser.type_slowly(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.SPACE)
    expect(strip, selection, values_in("leiden_fine", "0"))
    browser.press(Keys.ESCAPE)
    browser.wait(lambda: not panel.is_open(), "the panel to close")
    browser.until(lambda: browser.js("return document.activeElement.id"), "selection-filter")
    # A chip that goes leaves the focus in the strip.
    browser.js("document.querySelector('#selection-chips .chip-remove').focus()")
    browser.press(Keys.ENTER)
    strip.wait_for("No cells selected")
    # A button that is off says why, and does nothing.
    browser.js("document.querySelector('#selection-clear').focus()")
    assert browser.js("return document.activeElement.id") == "selection-clear"
    browser.press(Keys.ENTER)
    assert strip.count() == "No cells selected"


def test_plots_give_way_to_the_panel_and_keep_their_view(browser: Browser, panel: CellFilter, strip: Strip) -> None:
    plot = PlotPanel(browser)
    tall = plot.box()["height"]
    panel.open("Metadata")
    browser.wait(lambda: plot.box()["height"] < tall - 100, "a smaller plot")
    plot.wait_until_still()
    panel.close()
    browser.until(lambda: plot.box()["height"], tall)


def test_four_plots_and_the_panel_leave_plots_of_use(browser: Browser, panel: CellFilter, strip: Strip) -> None:
    browser.resize(1000, 700)
    plot = PlotPanel(browser, 4)
    PlotPanel(browser).arrange("2x2")
    panel.open("Metadata")
    for width, height in ((1000, 700), (1400, 700)):
        browser.resize(width, height)
        browser.wait(lambda: plot.box()["height"] > 110, f"a plot of use at {width} x {height}")
    assert browser.is_shown("#selection-count")


def test_selected_cells_are_labelled(shell: Shell, strip: Strip, panel: CellFilter, selection: Selection) -> None:
    browser, edit = panel.browser, EditAnnotation(panel.browser)
    NewAnnotation(browser).make("fate", cluster="leiden")
    edit.open().tick(7)
    edit.apply_to("ticked")
    shell.go_to("Data")
    panel.open("Metadata", "tissue").tick("gut", "missing")
    chosen = values_in("tissue", "gut", None)
    strip.wait_for(said(chosen))
    browser.click("#selection-label")
    browser.until(lambda: browser.js("return document.activeElement.id"), "edit-value")
    # The row that is ticked is not what this button means.
    browser.until(edit.target, "selection")
    edit.assign("of the gut", f"Assign to {chosen.sum()} cells")
    leiden = small_values("leiden")
    labels = [
        "of the gut" if is_chosen else value or "Unassigned" for value, is_chosen in zip(leiden, chosen, strict=True)
    ]
    edit.wait_for_labels({label: labels.count(label) for label in ["Unassigned", *"01234", "of the gut"]})
    # The selection is of the study, not of the annotation: it stays.
    expect(strip, selection, chosen)


# -- New Annotation --------------------------------------------------------------------------------------------------


def test_an_annotation_is_made_for_the_filtered_cells(
    shell: Shell, strip: Strip, panel: CellFilter, selection: Selection
) -> None:
    browser = panel.browser
    shell.go_to("New Annotation")
    form = FilteredAnnotation(browser)
    form.copy_from("cluster", "leiden").name("only gut")
    form.only_filtered()
    # Nothing selected is never "all".
    browser.until(form.warnings, ["No cells are filtered. Choose some in the Cell Filter, or switch this off."])
    form.create()
    shell.wait_for_toast("No cells are filtered. Choose some in the Cell Filter, or switch this off.")
    shell.close_toasts()
    panel.open("Metadata", "tissue").tick("gut")
    gut = values_in("tissue", "gut")
    strip.wait_for(said(gut))
    labels = [
        value if chosen and value is not None else "Unassigned"
        for value, chosen in zip(small_values("leiden"), gut, strict=True)
    ]
    counts = {label: labels.count(label) for label in dict.fromkeys(labels)}
    form.wait_for_summary(f"{len(counts)} labels, 60 cells, {counts['Unassigned']} by default")
    assert form.filtered_note() == f"{gut.sum()} of 60 cells; the others get the default value"
    # The preview follows the selection.
    panel.tick("skin")
    chosen = values_in("tissue", "gut", "skin")
    labels = [
        value if is_chosen and value is not None else "Unassigned"
        for value, is_chosen in zip(small_values("leiden"), chosen, strict=True)
    ]
    counts = {label: labels.count(label) for label in dict.fromkeys(labels)}
    form.wait_for_summary(f"{len(counts)} labels, 60 cells, {counts['Unassigned']} by default")
    browser.until(lambda: [row[3] for row in form.grid.rows()][:12], labels[:12])
    form.create()
    browser.wait(lambda: any('"only gut" was created' in text for text in shell.toasts()), "it to be made")
    shell.answer_toast(shell.toasts()[0], "View")
    plot = PlotPanel(browser)
    plot.wait_for_title("only gut")
    assert plot.legend() == counts
    shell.go_to("Existing Annotations")
    assert ExistingAnnotations(browser).row("only gut").n_set == N_CELLS - counts["Unassigned"]
