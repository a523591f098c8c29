"""The grid of all cells that labels are edited in: its columns, its rows, and the ticks of one user."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from iscan_dash.core.annotations.level_check import shortened
from iscan_dash.core.selection.mask_codec import decode, encode
from iscan_dash.core.study import CategoryColumn
from iscan_dash.core.study.row_filter import Condition, OneOf, fits
from iscan_dash.core.study.table import ROW, CellTable, RowMask, TableColumn
from iscan_dash.core.words import counted
from iscan_dash.errors import EditConflict, UnknownColumn
from iscan_dash.services.absences import from_text, to_text
from iscan_dash.services.workspace import Source, Workspace

SAMPLE, CELL_ID, TICK = "sample", "id", "t"
"""Ids of the columns that are always there, besides the row number."""

KINDS = ("annotation", "metadata", "cluster")
"""What a column of a grid can be: its id is ``"<kind>:<key>"``."""

MOST_NAMED = 3
"""Labels that a sentence names; of more it tells how many."""

LONGEST_WORDS = 200
"""Characters of how cells were chosen that the history keeps."""

Target = Literal["ticked", "filtered", "selection"]
"""Which cells a label is for."""


@dataclass(frozen=True)
class View:
    """Which rows are seen, and in which order.

    Parameters
    ----------
    where
        Conditions by column id.
    sort
        Column ids and whether they are sorted downwards, the most important first.
    only_ticked
        Whether to show the ticked cells alone.
    only_selected
        Whether to show the cells alone that are selected on the plots or by the Cell Filter; none when nothing is.
    """

    where: Mapping[str, Condition] = field(default_factory=dict)
    sort: Sequence[tuple[str, bool]] = ()
    only_ticked: bool = False
    only_selected: bool = False


class EditTable:
    """All cells as rows, and which of them a user ticked. All methods may be called from any thread.

    Parameters
    ----------
    workspace
        The open study and the user's annotations.
    selected
        Gives the cells that are selected on the plots or by the Cell Filter, None when nothing is chosen there.
    selected_by
        Says in words how they were chosen.
    selected_version
        Gives a number that grows whenever they are others.
    """

    def __init__(
        self,
        workspace: Workspace,
        selected: Callable[[], np.ndarray | None] = lambda: None,
        selected_by: Callable[[], str] = lambda: "",
        selected_version: Callable[[], int] = lambda: 0,
    ) -> None:
        self._workspace = workspace
        self._selected = selected
        self._selected_by = selected_by
        self._selected_version = selected_version
        self._lock = threading.Lock()
        self._ticks = self._selection = self._none = RowMask(np.zeros(workspace.study.n_cells, bool))
        self._table = CellTable(workspace.study.n_cells, {}, workspace.room)
        self._filtered: tuple[np.ndarray, RowMask] | None = None

    @cached_property
    def _every(self) -> RowMask:
        return RowMask(np.ones(self._workspace.study.n_cells, bool))

    # -- columns -----------------------------------------------------------------------------------------------------

    def column(self, key: str) -> TableColumn:
        """Return a column of the grid.

        Raises
        ------
        UnknownColumn
            There is no such column, or no such annotation any more.
        """
        study = self._workspace.study
        if key == SAMPLE:
            return study.samples
        if key == CELL_ID:
            # Not before the grid is looked at: reading the ids takes a while.
            return study.id_column
        kind, _, name = key.partition(":")
        if kind == "annotation":
            return self._workspace.category(Source(kind, name))
        if kind not in KINDS:
            raise UnknownColumn("The grid has no such column. Load the page again.")
        return study.column(name)

    # -- rows --------------------------------------------------------------------------------------------------------

    def page(self, view: View, columns: Sequence[str], start: int, end: int) -> tuple[list[dict[str, Any]], int]:
        """Return some rows and how many there are; see `CellTable.page`.

        Each row has besides ``"t"``, whether it is ticked. Columns that are not there any more are left out; conditions
        on them are met by no row, see `problems`.
        """
        with self._lock:
            table, within = self._at(view, columns), self._within(view)
            ticks = self._ticks.values
        shown = [SAMPLE, CELL_ID, *columns]
        rows, total = table.page(start, end, view.where, view.sort, within)
        return [
            {key: row[key] for key in ("i", *shown) if key in row} | {TICK: bool(ticks[row["i"]])} for row in rows
        ], total

    def problems(self, view: View) -> dict[str, str]:
        """Say what is wrong with conditions, by column id: they are about what is not there any more."""
        with self._lock:
            columns = self._at(view).columns
        said = {key: _problem(columns.get(key), one) for key, one in view.where.items() if key != ROW}
        return {key: sentence for key, sentence in said.items() if sentence}

    def filtered(self, view: View) -> RowMask:
        """Return the cells that a view shows."""
        with self._lock:
            return self._rows(view)

    def _rows(self, view: View) -> RowMask:
        within = self._within(view)
        if not view.where and not within:
            return self._every
        order = self._at(view).order(view.where, view.sort, within)
        # The table keeps the orders of what is looked at: while somebody scrolls it is the same.
        if self._filtered is None or self._filtered[0] is not order:
            cells = np.zeros(self._workspace.study.n_cells, bool)
            cells[order] = True
            self._filtered = (order, RowMask(cells))
        return self._filtered[1]

    def _at(self, view: View, columns: Sequence[str] = ()) -> CellTable:
        """Return the table with the columns that a view is about, as they are now."""
        wanted = dict.fromkeys([SAMPLE, CELL_ID, *columns, *view.where, *(key for key, _ in view.sort)])
        found: dict[str, TableColumn] = {}
        for key in wanted:
            try:
                found[key] = self.column(key)
            except UnknownColumn:
                # It was deleted; the page follows.
                continue
        self._table = self._table.with_columns(found)
        return self._table

    def _within(self, view: View) -> list[RowMask]:
        masks = [self._ticks] if view.only_ticked else []
        return [*masks, self._selection_mask()] if view.only_selected else masks

    def _selection_mask(self) -> RowMask:
        """Return the selected cells, none when nothing is chosen; the same object as long as they are the same."""
        selected = self._selected()
        if selected is None:
            return self._none
        if not np.array_equal(self._selection.values, selected):
            self._selection = RowMask(selected)
        return self._selection

    # -- ticks -------------------------------------------------------------------------------------------------------

    @property
    def ticks(self) -> RowMask:
        """The ticked cells."""
        return self._ticks

    @property
    def n_ticked(self) -> int:
        """Number of ticked cells."""
        return self._ticks.count

    def tick(self, row: int, is_on: bool) -> None:
        """Tick one cell, or take its tick away.

        Raises
        ------
        UnknownColumn
            The study has no such cell.
        """
        if not 0 <= row < self._workspace.study.n_cells:
            raise UnknownColumn("This study has no such cell. Load the page again.")
        self._set_ticks(np.array([row]), is_on)

    def tick_between(self, view: View, first: int, last: int, is_on: bool) -> None:
        """Tick the rows from one cell to another as a view has them, both included, or take their ticks away.

        It is the last one alone when one of them is not in view (any more).

        Raises
        ------
        UnknownColumn
            The study has no such cell.
        """
        with self._lock:
            order = self._at(view).order(view.where, view.sort, self._within(view))
        places = [int(found[0]) for cell in (first, last) if len(found := np.flatnonzero(order == cell))]
        if len(places) < 2:
            self.tick(last, is_on)
        else:
            self._set_ticks(order[min(places) : max(places) + 1], is_on)

    def tick_all(self, view: View, is_on: bool) -> None:
        """Tick all rows of a view, or take their ticks away; other rows stay as they are."""
        with self._lock:
            rows = self._at(view).order(view.where, (), self._within(view))
        self._set_ticks(rows, is_on)

    def clear_ticks(self) -> None:
        """Take all ticks away."""
        with self._lock:
            self._ticks = RowMask(np.zeros(self._workspace.study.n_cells, bool))

    def remember(self) -> dict[str, Any]:
        """Return the ticks as plain values for `recall`, nothing when there are none."""
        return {"ticks": to_text(encode(self._ticks.values))} if self.n_ticked else {}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """Tick the cells that were ticked when `remember` was called.

        Raises
        ------
        ValueError, TypeError
            The values are of other cells, or of something else.
        """
        if "ticks" in kept:
            ticks = RowMask(decode(from_text(kept["ticks"]), self._workspace.study.n_cells))
            with self._lock:
                self._ticks = ticks

    def _set_ticks(self, rows: np.ndarray, is_on: bool) -> None:
        with self._lock:
            values = self._ticks.values.copy()
            values[rows] = is_on
            self._ticks = RowMask(values)

    # -- targets -----------------------------------------------------------------------------------------------------

    def target(self, target: Target, view: View) -> np.ndarray:
        """Return the cells that a label is for; none when nothing is selected.

        Returns
        -------
        numpy.ndarray
            shape (n_cells,), bool, not to be changed.
        """
        with self._lock:
            if target == "ticked":
                return self._ticks.values
            if target == "selection":
                return self._selection_mask().values
            return self._rows(view).values

    def chosen_by(self, target: Target) -> str:
        """Say how the cells that a label is for were chosen, for the history."""
        if target == "ticked":
            return "ticked cells"
        if target == "filtered":
            return "filtered rows"
        return shortened(self._selected_by(), LONGEST_WORDS) or "selection"

    def expected_target(self, target: Target, view: View, expected: int, seen: str) -> np.ndarray:
        """Return the cells that a label is for, if they are those that the user saw.

        Parameters
        ----------
        target, view
            Which cells.
        expected
            How many there were.
        seen
            Which ones: the digest of the ticked or filtered cells, the version of the selection.

        Raises
        ------
        EditConflict
            There are more, or fewer, or others by now.
        """
        cells = self.target(target, view)
        n_cells = int(np.count_nonzero(cells))
        if n_cells != expected:
            found = f"{counted(n_cells, 'cell is', 'cells are')} chosen, not {expected:,}"
        elif seen != self._stamp(target, cells):
            found = f"{counted(n_cells, 'other cell is', 'other cells are')} chosen"
        else:
            return cells
        raise EditConflict(
            f"By now {found}: they were chosen anew in another window. Nothing was changed; look at them and try again."
        )

    def _stamp(self, target: Target, cells: np.ndarray) -> str:
        # The number is looked at after the cells: when it is that of the page still, so were they.
        return str(self._selected_version()) if target == "selection" else RowMask(cells).digest


def _problem(column: TableColumn | None, condition: Condition) -> str:
    """Say what a condition asks of a column that is not there any more, ``""`` when nothing."""
    if column is None:
        return "This column is not there any more, so no row is shown. Take the filter away."
    if not fits(column, condition):
        return "This column holds something else by now, so no row is shown. Take the filter away."
    if not isinstance(condition, OneOf) or not isinstance(column, CategoryColumn):
        return ""
    gone = sorted(condition.labels.difference(column.labels))
    if len(gone) > MOST_NAMED:
        return f"{len(gone):,} of its values are not there any more."
    named = ", ".join(f'"{label}"' for label in gone)
    return f"{named} {'is' if len(gone) == 1 else 'are'} not there any more." if gone else ""
