"""A table of cells that answers a page of rows at a time, filtered and sorted."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iscan_dash.core.study.columns import CategoryColumn

ORDERS = 8
"""Filters and sorts whose row order is kept."""


class IdColumn:
    """Cell ids as a column of a table.

    Parameters
    ----------
    name
        The column's name.
    values
        UTF-8 bytes of fixed width, shape (n_cells,).
    """

    def __init__(self, name: str, values: np.ndarray) -> None:
        self.name = name
        self.values = values

    def contains(self, text: str) -> np.ndarray:
        """Tell which ids contain a text, ignoring case; shape (n_cells,), bool."""
        if text.isascii():
            return np.char.find(np.char.lower(self.values), text.lower().encode()) >= 0
        # NumPy knows the case of ASCII only.
        wanted = text.casefold()
        return np.array([wanted in value.decode("utf-8", "replace").casefold() for value in self.values.tolist()])


TableColumn = CategoryColumn | IdColumn


class CellTable:
    """Rows of cells, by the number of the cell.

    Parameters
    ----------
    n_cells
        Number of cells.
    columns
        The columns by the id the page uses for them.

    Examples
    --------
    >>> fate = CategoryColumn("fate", np.array([1, 0, 1]), ("B", "T"))
    >>> table = CellTable(3, {"fate": fate})
    >>> table.page(0, 10, sort=[("fate", False)])
    ([{'i': 1, 'fate': 'B'}, {'i': 0, 'fate': 'T'}, {'i': 2, 'fate': 'T'}], 3)
    """

    def __init__(self, n_cells: int, columns: Mapping[str, TableColumn]) -> None:
        self.n_cells = n_cells
        self.columns = columns
        self._orders: OrderedDict[Any, np.ndarray | None] = OrderedDict()
        self._lock = threading.Lock()

    def page(
        self,
        start: int,
        end: int,
        contains: Mapping[str, str] | None = None,
        sort: Sequence[tuple[str, bool]] = (),
    ) -> tuple[list[dict[str, Any]], int]:
        """Return some rows, and how many there are.

        Parameters
        ----------
        start, end
            First row wanted and the one after the last.
        contains
            Texts that columns must contain, ignoring case, by column id.
        sort
            Column ids and whether they are sorted downwards, the most important first; ``"i"`` is the cell's number.

        Returns
        -------
        rows : list of dict
            For each row the cell's number ``"i"`` from 0, and the text of each column (None where missing).
        total : int
            Number of rows that pass the filter.
        """
        order = self._order(dict(contains or {}), tuple(sort))
        total = self.n_cells if order is None else len(order)
        rows = np.arange(start, min(end, total)) if order is None else order[start:end]
        texts: dict[str, list[Any]] = {"i": rows.tolist()}
        for key, column in self.columns.items():
            if isinstance(column, IdColumn):
                texts[key] = [value.decode("utf-8", "replace") for value in column.values[rows].tolist()]
            else:
                labels = (*column.labels, None)
                texts[key] = [labels[code] for code in column.codes[rows].tolist()]
        return [dict(zip(texts, values, strict=True)) for values in zip(*texts.values(), strict=True)], total

    def _order(self, contains: dict[str, str], sort: tuple[tuple[str, bool], ...]) -> np.ndarray | None:
        """Return the numbers of the cells that pass, in order; None for all cells as they come."""
        contains = {key: text for key, text in contains.items() if text and key in self.columns}
        sort = tuple((key, down) for key, down in sort if key in self.columns or key == "i")
        request = (tuple(sorted(contains.items())), sort)
        with self._lock:
            if request not in self._orders:
                self._orders[request] = self._find_order(contains, sort)
                if len(self._orders) > ORDERS:
                    self._orders.popitem(last=False)
            return self._orders[request]

    def _find_order(self, contains: dict[str, str], sort: tuple[tuple[str, bool], ...]) -> np.ndarray | None:
        if not contains and not sort:
            return None
        mask = np.ones(self.n_cells, bool)
        for key, text in contains.items():
            column = self.columns[key]
            if isinstance(column, IdColumn):
                mask &= column.contains(text)
            else:
                wanted = [text.casefold() in label.casefold() for label in column.labels]
                mask &= np.array([*wanted, False])[column.codes]
        rows = np.flatnonzero(mask)
        for key, down in reversed(sort):
            keys = self._sort_keys(key)[rows]
            # Stable in both directions: equal cells stay in the order of the file.
            order = np.argsort(keys[::-1], kind="stable")[::-1] if down else np.argsort(keys, kind="stable")
            rows = rows[len(rows) - 1 - order] if down else rows[order]
        return rows

    def _sort_keys(self, key: str) -> np.ndarray:
        if key == "i":
            return np.arange(self.n_cells)
        column = self.columns[key]
        return column.values if isinstance(column, IdColumn) else column.codes
