"""A table of cells that answers a page of rows at a time, filtered and sorted."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from iscan_dash.core.room import Room
from iscan_dash.core.study.columns import NumberColumn
from iscan_dash.core.study.row_filter import Condition, Contains, IdColumn, TableColumn, passes

__all__ = ["CellTable", "IdColumn", "RowMask", "TableColumn"]

ORDERS = 8
"""Filters and sorts whose row order is kept."""

ROOM = 1 << 28
"""Bytes of a table's own room for them."""

ROW = "i"
"""Id of the column of row numbers, which every table has."""


@dataclass(frozen=True, eq=False)
class RowMask:
    """Rows chosen otherwise than by a column, such as the ticked ones. Two masks are the same only if they are one.

    Parameters
    ----------
    values
        Which cells, shape (n_cells,), bool; never changed.
    """

    values: np.ndarray

    @cached_property
    def count(self) -> int:
        """Number of the cells."""
        return int(np.count_nonzero(self.values))

    @cached_property
    def digest(self) -> str:
        """A short text that tells these cells from any others, however many they are."""
        return blake2b(np.packbits(self.values).tobytes(), digest_size=16).hexdigest()


class CellTable:
    """Rows of cells, by the number of the cell.

    Parameters
    ----------
    n_cells
        Number of cells.
    columns
        The columns by the id the page uses for them.
    room
        Where the orders of rows are kept; room of its own when None.

    Examples
    --------
    >>> from iscan_dash.core.study.columns import CategoryColumn
    >>> fate = CategoryColumn("fate", np.array([1, 0, 1]), ("B", "T"))
    >>> table = CellTable(3, {"fate": fate})
    >>> table.page(0, 10, sort=[("fate", False)])
    ([{'i': 1, 'fate': 'B'}, {'i': 0, 'fate': 'T'}, {'i': 2, 'fate': 'T'}], 3)
    """

    def __init__(self, n_cells: int, columns: Mapping[str, TableColumn], room: Room | None = None) -> None:
        self.n_cells = n_cells
        self.columns = columns
        self._orders = (room or Room(ROOM)).shelf(ORDERS)
        self._lock = threading.Lock()

    def with_columns(self, columns: Mapping[str, TableColumn]) -> "CellTable":
        """Return a table of the same cells with other columns; the orders that do not concern these are kept."""
        other = CellTable(self.n_cells, columns)
        other._orders, other._lock = self._orders, self._lock
        return other

    def page(
        self,
        start: int,
        end: int,
        where: Mapping[str, Condition | str] | None = None,
        sort: Sequence[tuple[str, bool]] = (),
        within: Sequence[RowMask] = (),
    ) -> tuple[list[dict[str, Any]], int]:
        """Return some rows, and how many there are.

        Parameters
        ----------
        start, end
            First row wanted and the one after the last.
        where
            Conditions by column id; a text is one that the column must contain, ignoring case. No row meets one on a
            column that there is not.
        sort
            Column ids and whether they are sorted downwards, the most important first; ``"i"`` is the cell's number.
        within
            Masks of which every row has to be.

        Returns
        -------
        rows : list of dict
            For each row the cell's number ``"i"`` from 0, and the text or number of each column (None where missing).
        total : int
            Number of rows that pass the filter.
        """
        columns = self.columns
        order = self._order(columns, where, sort, within)
        total = self.n_cells if order is None else len(order)
        rows = np.arange(start, min(end, total)) if order is None else order[start:end]
        values = {ROW: rows.tolist()} | {key: _shown(column, rows) for key, column in columns.items()}
        return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)], total

    def order(
        self,
        where: Mapping[str, Condition | str] | None = None,
        sort: Sequence[tuple[str, bool]] = (),
        within: Sequence[RowMask] = (),
    ) -> np.ndarray:
        """Return the numbers of the cells that pass, in order; see `page`. Shape (n_rows,), int32, read-only."""
        order = self._order(self.columns, where, sort, within)
        return np.arange(self.n_cells, dtype=np.int32) if order is None else order

    def _order(
        self,
        columns: Mapping[str, TableColumn],
        where: Mapping[str, Condition | str] | None,
        sort: Sequence[tuple[str, bool]],
        within: Sequence[RowMask],
    ) -> np.ndarray | None:
        """Return the numbers of the cells that pass, in order; None for all cells as they come."""
        given = {key: Contains(one) if isinstance(one, str) else one for key, one in (where or {}).items()}
        conditions = {key: one for key, one in given.items() if one != Contains("")}
        keys = tuple((key, down) for key, down in sort if key in {*columns, ROW})
        # By the columns themselves, which tell their versions apart: an edit leaves the order of other columns alone.
        request = (
            frozenset((key, columns.get(key), one) for key, one in conditions.items()),
            tuple((key, columns.get(key), down) for key, down in keys),
            tuple(within),
        )
        if not conditions and not keys and not within:
            return None
        with self._lock:
            order: np.ndarray | None = self._orders.get(request)
            if order is None:
                order = self._find_order(columns, conditions, keys, within)
                # The masks may be those of ticks long gone.
                self._orders.put(request, order, order.nbytes + sum(one.values.nbytes for one in within))
            return order

    def forget(self) -> None:
        """Let go of the orders that are kept, those of `with_columns` too."""
        self._orders.forget()

    def _find_order(
        self,
        columns: Mapping[str, TableColumn],
        conditions: Mapping[str, Condition],
        sort: Sequence[tuple[str, bool]],
        within: Sequence[RowMask],
    ) -> np.ndarray:
        mask = np.ones(self.n_cells, bool)
        for one in within:
            mask &= one.values
        for key, condition in conditions.items():
            column = self._numbers() if key == ROW else columns.get(key)
            mask &= False if column is None else passes(column, condition)
        rows = np.flatnonzero(mask)
        for key, down in reversed(sort):
            keys = self._sort_keys(columns, key)[rows]
            # Stable in both directions: equal cells stay in the order of the file.
            order = np.argsort(keys[::-1], kind="stable")[::-1] if down else np.argsort(keys, kind="stable")
            rows = rows[len(rows) - 1 - order] if down else rows[order]
        # Half the bytes of what NumPy counts in: a study has fewer cells than that.
        rows = rows.astype(np.int32)
        rows.flags.writeable = False
        return rows

    def _sort_keys(self, columns: Mapping[str, TableColumn], key: str) -> np.ndarray:
        if key == ROW:
            return np.arange(self.n_cells)
        column = columns[key]
        if isinstance(column, NumberColumn):
            # Cells without a value come before all others, as they do among labels.
            return np.where(np.isfinite(column.values), column.values, -np.inf)
        return column.values if isinstance(column, IdColumn) else column.codes

    def _numbers(self) -> NumberColumn:
        """Return the row numbers as the page shows them, from 1."""
        return NumberColumn("#", np.arange(1, self.n_cells + 1, dtype=np.float64))


def _shown(column: TableColumn, rows: np.ndarray) -> list[Any]:
    if isinstance(column, IdColumn):
        return [value.decode("utf-8", "replace") for value in column.values[rows].tolist()]
    if isinstance(column, NumberColumn):
        values = column.values[rows]
        # As text, and back: 0.1 of four bytes is 0.1 and not 0.10000000149011612.
        texts = values.astype(str).tolist()
        return [float(text) if known else None for text, known in zip(texts, np.isfinite(values).tolist(), strict=True)]
    labels = (*column.labels, None)
    return [labels[code] for code in column.codes[rows].tolist()]
