"""The grid of all cells: rows, ticks and targets, through edits and selections."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.study import open_study
from iscan_dash.core.study.row_filter import Between, Contains, OneOf
from iscan_dash.errors import EditConflict, UnknownColumn
from iscan_dash.services.edit_table import EditTable, View
from iscan_dash.services.workspace import Source, Workspace
from tests.browser.studies import N_CELLS, small_study, small_values

TISSUE = "metadata:tissue"


class Selected:
    """What a selection of cells gives."""

    def __init__(self) -> None:
        self.cells: list[int] | None = None
        self.version = 1

    def mask(self) -> np.ndarray | None:
        return None if self.cells is None else np.isin(np.arange(N_CELLS), self.cells)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    study = open_study([small_study(tmp_path / "small.h5ad")])
    (tmp_path / "drafts").mkdir()
    opened = Workspace(study, user="ada", folder=tmp_path / "drafts")
    yield opened
    opened.close()
    study.close()


@pytest.fixture
def selected() -> Selected:
    return Selected()


@pytest.fixture
def table(workspace: Workspace, selected: Selected) -> EditTable:
    return EditTable(workspace, selected.mask, lambda: "Plot 1", lambda: selected.version)


def is_in(*tissues: str) -> View:
    """Return a view of the cells of some tissues."""
    return View({TISSUE: OneOf(frozenset(tissues))})


def of_tissue(tissue: str | None) -> list[int]:
    return [row for row, value in enumerate(small_values("tissue")) if value == tissue]


def ticked(table: EditTable) -> list[int]:
    return np.flatnonzero(table.target("ticked", View())).tolist()


def test_rows_have_the_columns_that_are_asked_for(workspace: Workspace, table: EditTable) -> None:
    own = workspace.create_from_existing("mine", [Source("cluster", "leiden")], CombineRecipe("none"))
    key = f"annotation:{own.id}"
    rows, total = table.page(View(), [key, TISSUE, "metadata:score"], 0, 4)
    assert total == N_CELLS
    assert [list(row) for row in rows] == [["i", "sample", "id", key, TISSUE, "metadata:score", "t"]] * 4
    assert rows[3] == {
        "i": 3, "sample": "small", "id": "cell3", key: "none", TISSUE: "gut", "metadata:score": pytest.approx(3 / 59), "t": False,
    }  # fmt: skip
    # A condition on a column that is not shown counts all the same; the column itself is not sent.
    rows, total = table.page(is_in("gut"), [], 0, 3)
    assert total == len(of_tissue("gut"))
    assert set(rows[0]) == {"i", "sample", "id", "t"}


def test_columns_that_are_gone_are_left_out(workspace: Workspace, table: EditTable) -> None:
    own = workspace.create_from_existing("mine", [], CombineRecipe("none"))
    key = f"annotation:{own.id}"
    view = View({key: OneOf(frozenset({"T"}))}, ((key, True),))
    assert table.page(view, [key], 0, 5)[1] == 0
    workspace.delete(own.id, 1)
    rows, total = table.page(View(sort=((key, True),)), [key, "nonsense", "metadata:gone"], 0, 1)
    assert (total, set(rows[0])) == (N_CELLS, {"i", "sample", "id", "t"})


def test_conditions_that_fit_nothing_any_more_widen_no_filter(workspace: Workspace, table: EditTable) -> None:
    own = workspace.create_from_existing("mine", [Source("metadata", "tissue")], CombineRecipe("none"))
    key = f"annotation:{own.id}"
    view = View({key: OneOf(frozenset({"gut", "lung"}))})
    assert table.problems(view) == {}
    n_gut = len(of_tissue("gut"))
    own = workspace.rename_label(own.id, 2, "lungs", 1)
    # Values that are gone are told, as they may be under another name.
    assert table.page(view, [], 0, 1)[1] == n_gut
    assert table.problems(view) == {key: '"lung" is not there any more.'}
    workspace.delete(own.id, own.version)
    assert table.page(view, [], 0, 1)[1] == 0
    assert not table.target("filtered", view).any()
    assert table.problems(view)[key].startswith("This column is not there any more")
    view = View({"metadata:score": OneOf(frozenset({"0.5"}), is_not=True), "i": Between(low=3)})
    assert not table.target("filtered", view).any()
    assert [*table.problems(view)] == ["metadata:score"]


def test_an_edit_is_seen_at_once(workspace: Workspace, table: EditTable) -> None:
    own = workspace.create_from_existing("mine", [], CombineRecipe("none"))
    key = f"annotation:{own.id}"
    view = View({key: OneOf(frozenset({"T"}))})
    assert table.page(view, [key], 0, 9)[1] == 0
    workspace.assign(own.id, np.isin(np.arange(N_CELLS), [5, 7]), "T", 1)
    rows, total = table.page(view, [key], 0, 9)
    assert (total, [(row["i"], row[key]) for row in rows]) == (2, [(5, "T"), (7, "T")])


class TestTicks:
    def test_one_by_one(self, table: EditTable) -> None:
        for row in (3, 5, 3):
            table.tick(row, True)
        table.tick(4, True)
        table.tick(5, False)
        assert (ticked(table), table.n_ticked) == ([3, 4], 2)
        rows, _ = table.page(View(), [], 2, 6)
        assert [row["t"] for row in rows] == [False, True, True, False]

    @pytest.mark.parametrize("row", [-1, N_CELLS, 2**53])
    def test_no_such_cell(self, table: EditTable, row: int) -> None:
        with pytest.raises(UnknownColumn):
            table.tick(row, True)

    def test_they_survive_filters_and_sorts(self, table: EditTable) -> None:
        table.tick(3, True)
        rows, _ = table.page(is_in("skin"), [], 0, 60)
        assert not any(row["t"] for row in rows)
        rows, _ = table.page(View(sort=(("id", True),)), [], 0, 60)
        assert [row["i"] for row in rows if row["t"]] == [3]

    def test_rows_between_two_cells_of_what_is_seen(self, table: EditTable) -> None:
        view = View({TISSUE: OneOf(frozenset({"gut"}))}, (("i", True),))
        rows = [row["i"] for row in table.page(view, [], 0, 60)[0]]
        table.tick_between(view, rows[4], rows[2], True)
        assert ticked(table) == sorted(rows[2:5])
        table.tick_between(view, rows[0], rows[3], False)
        assert ticked(table) == [rows[4]]
        # The cell where it began is not in view any more: it is the other one alone.
        table.tick_between(is_in("skin"), rows[4], of_tissue("skin")[2], True)
        assert ticked(table) == sorted([rows[4], of_tissue("skin")[2]])
        with pytest.raises(UnknownColumn):
            table.tick_between(view, rows[0], 10**15, True)

    def test_all_that_pass_and_no_others(self, table: EditTable) -> None:
        table.tick(1, True)
        table.tick_all(is_in("gut"), True)
        assert ticked(table) == sorted({1, *of_tissue("gut")})
        table.tick_all(is_in("gut"), False)
        assert ticked(table) == [1]
        table.tick_all(View(), True)
        assert table.n_ticked == N_CELLS
        table.clear_ticks()
        assert table.n_ticked == 0

    def test_only_the_ticked(self, table: EditTable) -> None:
        table.tick(3, True)
        table.tick(8, True)
        view = View(only_ticked=True)
        assert [row["i"] for row in table.page(view, [], 0, 9)[0]] == [3, 8]
        table.tick(3, False)
        assert [row["i"] for row in table.page(view, [], 0, 9)[0]] == [8]


class TestTargets:
    def test_nothing_is_no_cell(self, table: EditTable) -> None:
        assert not table.target("ticked", View()).any()
        assert not table.target("selection", View()).any()
        assert not table.target("filtered", is_in("brain")).any()

    def test_filtered_is_what_is_seen(self, table: EditTable) -> None:
        assert np.flatnonzero(table.target("filtered", is_in("gut"))).tolist() == of_tissue("gut")
        assert table.target("filtered", View()).all()
        view = View({"id": Contains("CELL1"), "metadata:score": Between(high=0.2)})
        assert np.flatnonzero(table.target("filtered", view)).tolist() == [1, 10, 11]

    def test_selection(self, table: EditTable, selected: Selected) -> None:
        selected.cells = [3, 4, 5]
        assert np.flatnonzero(table.target("selection", is_in("brain"))).tolist() == [3, 4, 5]
        view = View({"i": Between(low=5)}, only_selected=True)
        assert np.flatnonzero(table.target("filtered", view)).tolist() == [4, 5]
        selected.cells = [30]
        assert np.flatnonzero(table.target("filtered", view)).tolist() == [30]
        selected.cells = []
        assert not table.target("filtered", view).any()
        # With nothing chosen, or a query that is not finished, no cell is: never all of them.
        selected.cells = None
        assert not table.target("filtered", view).any()
        assert table.page(View(only_selected=True), [], 0, 9) == ([], 0)
        assert not table.target("filtered", View(only_selected=True)).any()

    def test_only_as_many_as_the_user_saw(self, table: EditTable) -> None:
        table.tick(3, True)
        seen = table.ticks.digest
        assert np.flatnonzero(table.expected_target("ticked", View(), 1, seen)).tolist() == [3]
        table.tick(4, True)
        with pytest.raises(EditConflict, match="By now 2 cells are chosen, not 1"):
            table.expected_target("ticked", View(), 1, seen)

    def test_only_those_that_the_user_saw(self, table: EditTable, selected: Selected) -> None:
        """As many other cells are refused, whatever they were chosen by."""
        table.tick(3, True)
        seen = table.ticks.digest
        table.tick(3, False)
        table.tick(4, True)
        with pytest.raises(EditConflict, match="By now 1 other cell is chosen"):
            table.expected_target("ticked", View(), 1, seen)

        view = View(only_ticked=True)
        seen = table.filtered(view).digest
        assert np.flatnonzero(table.expected_target("filtered", view, 1, seen)).tolist() == [4]
        by_name = View(sort=(("id", True),), only_ticked=True)
        assert table.filtered(by_name).digest == seen
        table.tick(4, False)
        table.tick(5, True)
        with pytest.raises(EditConflict, match="By now 1 other cell is chosen"):
            table.expected_target("filtered", view, 1, seen)

        selected.cells = [7, 8]
        assert np.flatnonzero(table.expected_target("selection", View(), 2, "1")).tolist() == [7, 8]
        selected.cells, selected.version = [7, 9], 2
        with pytest.raises(EditConflict, match="By now 2 other cells are chosen"):
            table.expected_target("selection", View(), 2, "1")

    def test_a_target_stays_what_it_was(self, table: EditTable) -> None:
        table.tick(3, True)
        before = table.target("ticked", View())
        table.tick(4, True)
        assert np.flatnonzero(before).tolist() == [3]

    def test_how_they_were_chosen(self, workspace: Workspace, table: EditTable) -> None:
        assert [table.chosen_by(target) for target in ("ticked", "filtered", "selection")] == [
            "ticked cells",
            "filtered rows",
            "Plot 1",
        ]
        assert EditTable(workspace).chosen_by("selection") == "selection"
