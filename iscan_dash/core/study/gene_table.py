"""The table of genes of a matrix: which of its columns hold names, and the names in one of them."""

from contextlib import suppress
from functools import cached_property

import h5py
import numpy as np

from iscan_dash.core.study.damage import reading
from iscan_dash.core.study.elements import encoding, n_values, read_texts
from iscan_dash.core.study.genes import SYMBOL_COLUMNS, inspect_genes
from iscan_dash.errors import DataError, UnknownColumn

INDEX = "_index"
"""Stands for the index of the table; AnnData lets no column be called so."""

TEXTS = frozenset({"", "array", "string-array", "categorical", "nullable-string-array"})
"""Encodings of columns that may hold text; the empty one is that of files written before AnnData 0.8."""


class GeneTable:
    """The genes of a matrix (``var`` or ``raw/var``), by any of their names.

    Parameters
    ----------
    table
        The open table.
    where
        What its matrix is called in messages.
    """

    def __init__(self, table: h5py.Group, where: str) -> None:
        self._table = table
        self._where = where
        self._names: dict[str, tuple[str, ...]] = {}

    def names(self, column: str | None = None) -> tuple[str, ...]:
        """Return the name of each gene, ``""`` where there is none.

        Parameters
        ----------
        column
            The column that holds them, or `INDEX`. When None it is `automatic`, and a gene that has no symbol there
            keeps its id.

        Raises
        ------
        UnknownColumn
            There is no such column, or it holds no names.
        """
        if column is None:
            return self._automatic_names
        if not self.has(column):
            others = ", ".join(name for name in self.columns if name != INDEX) or "none"
            raise UnknownColumn(
                f'The genes of {self._where} have no column of names "{column}". There are: {others}. '
                "Without one, their index is used."
            )
        return self._texts(column)

    def has(self, column: str | None) -> bool:
        """Tell whether there is a column that may hold names; None stands for the one chosen automatically."""
        if column is None or column == INDEX:
            return True
        with reading(f'The column "{column}" of the genes of {self._where}'):
            return column in self._table and column != self._index and self._is_text(column)

    @cached_property
    def _automatic_names(self) -> tuple[str, ...]:
        ids = self._texts(INDEX)
        if self.automatic == INDEX:
            return ids
        symbols = self._texts(self.automatic)
        return tuple(symbol or name for symbol, name in zip(symbols, ids, strict=True))

    @cached_property
    def automatic(self) -> str:
        """The column that is used unless somebody says otherwise: the index, or symbols when that holds Ensembl ids."""
        if inspect_genes(self._texts(INDEX)).identifiers == "Ensembl":
            for column in SYMBOL_COLUMNS:
                with suppress(DataError):
                    if self.has(column) and self._texts(column):
                        return column
        return INDEX

    @cached_property
    def columns(self) -> dict[str, str]:
        """The columns that may hold names, the index first, each with the first name in it.

        Those in which most values repeat, such as chromosomes and kinds of genes, are left out, and those that cannot
        be read.
        """
        found = {}
        with reading(f"The table of genes of {self._where}"):
            order = [_text(name) for name in np.ravel(self._table.attrs.get("column-order", []))]
        for column in (INDEX, *order):
            try:
                if column != INDEX and not self.has(column):
                    continue
                names = [name for name in self._texts(column) if name]
            except DataError:
                if column == INDEX:
                    raise
                continue
            if column == INDEX or 2 * len(set(names)) > len(self._texts(INDEX)):
                found[column] = next(iter(names), "")
        return found

    @property
    def _index(self) -> str:
        return _text(self._table.attrs["_index"])

    def _is_text(self, column: str) -> bool:
        element = self._table[column]
        if encoding(element) not in TEXTS:
            return False
        return isinstance(element, h5py.Group) or encoding(element) == "categorical" or element.dtype.kind in "OSU"

    def _texts(self, column: str) -> tuple[str, ...]:
        if column not in self._names:
            what = f"The names of genes of {self._where}"
            with reading(what):
                key = self._index if column == INDEX else column
                if (size := n_values(self._table[key])) != (wanted := n_values(self._table[self._index])):
                    raise DataError(f'{what} in "{key}" are {size:,} for {wanted:,} genes. Write the file again.')
                self._names[column] = tuple(read_texts(self._table, key))
        return self._names[column]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
