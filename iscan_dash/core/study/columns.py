"""Columns of a study: one value a cell, kept as codes and labels or as numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from natsort import natsorted

MISSING = -1
"""Code of a cell that has no value."""

CLUSTER_NAME = re.compile(r"leiden|louvain|cluster|seurat_clusters|kmeans|res\.", re.IGNORECASE)
"""Names of columns that hold clusters."""


@dataclass(frozen=True, eq=False)
class CategoryColumn:
    """A column of labels.

    Parameters
    ----------
    name
        The column's name.
    codes
        Position of each cell's label in `labels`, ``-1`` where missing; shape (n_cells,), the smallest signed
        integer type that holds them.
    labels
        The labels in display order, each used by at least one cell.
    note
        ``"mixed"`` or ``"datetime"`` when the values had to be turned into text (D07, D08), else ``""``.

    Examples
    --------
    >>> column = CategoryColumn("leiden", np.array([0, 1, 1, -1], np.int8), ("0", "1"))
    >>> column.counts.tolist(), column.n_missing
    ([1, 2], 1)
    """

    name: str
    codes: np.ndarray
    labels: tuple[str, ...]
    note: str = ""

    @cached_property
    def counts(self) -> np.ndarray:
        """Cells of each label, shape (n_labels,), int64."""
        return self._tally[1:]

    @property
    def n_missing(self) -> int:
        """Cells without a value."""
        return int(self._tally[0])

    @cached_property
    def _tally(self) -> np.ndarray:
        return np.bincount(self.codes.astype(np.intp) + 1, minlength=len(self.labels) + 1)

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, eq=False)
class NumberColumn:
    """A column of numbers.

    Parameters
    ----------
    name
        The column's name.
    values
        One number a cell, NaN where missing; shape (n_cells,), floating.
    """

    name: str
    values: np.ndarray

    @property
    def n_missing(self) -> int:
        """Cells without a value."""
        return int(np.isnan(self.values).sum())

    @cached_property
    def range(self) -> tuple[float, float] | None:
        """Smallest and largest finite value, None when there is none."""
        finite = self.values[np.isfinite(self.values)]
        return (float(finite.min()), float(finite.max())) if len(finite) else None

    @cached_property
    def is_integral(self) -> bool:
        """Whether every value present is a whole number."""
        finite = self.values[~np.isnan(self.values)]
        return bool(np.all(finite == np.floor(finite)) and np.all(np.isfinite(finite)))

    def as_category(self) -> CategoryColumn:
        """Turn the numbers into labels, in the order of the numbers.

        Examples
        --------
        >>> NumberColumn("x", np.array([10.0, 2.0, np.nan, 2.5])).as_category().labels
        ('2', '2.5', '10')
        """
        return category_from_values(self.name, self.values)

    def __len__(self) -> int:
        return len(self.values)


Column = CategoryColumn | NumberColumn


def number_text(value: float | np.floating[Any]) -> str:
    """Write a number the way a person would: whole numbers without a point, others in their shortest form.

    Examples
    --------
    >>> number_text(3.0), number_text(0.1), number_text(-0.0), number_text(np.float32(0.1))
    ('3', '0.1', '0', '0.1')
    """
    number = float(value)
    if number.is_integer() and abs(number) < 1e16:
        return str(int(value))
    # str() of a NumPy scalar is the shortest text that reads back as the same number of that precision.
    return str(value)


def value_text(value: Any) -> str | None:
    """Return the text of one value, None when it is missing (None, NaN, NaT, ``pd.NA`` or ``""``)."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, str):
        return value or None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace") or None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else number_text(value)
    text = str(value)
    return None if text in {"<NA>", "NaT"} else text


def code_type(n_labels: int) -> type[np.signedinteger[Any]]:
    """Return the smallest signed integer type that holds `n_labels` codes and ``-1``."""
    return np.int8 if n_labels <= 127 else np.int16 if n_labels <= 32767 else np.int32


def category_from_values(name: str, values: np.ndarray) -> CategoryColumn:
    """Make a category of an array of any values; labels are sorted naturally (2 before 10).

    Parameters
    ----------
    name
        The column's name.
    values
        One value a cell, shape (n_cells,), any dtype.
    """
    import pandas as pd

    codes, levels = pd.factorize(values, use_na_sentinel=True)
    return category_from_levels(name, codes, list(levels), ordered=False)


def category_from_levels(name: str, codes: np.ndarray, levels: Sequence[Any], *, ordered: bool) -> CategoryColumn:
    """Make a category of codes and levels of any type.

    Levels with the same text become one label, empty levels become missing, unused levels are dropped. The order
    of the levels is kept when `ordered`, unless all are numbers: then they are sorted as numbers.

    Parameters
    ----------
    name
        The column's name.
    codes
        Position of each cell's level, negative where missing; shape (n_cells,), integer.
    levels
        The levels, any hashable values.
    ordered
        Keep the order of `levels` rather than sorting them naturally.
    """
    texts = [value_text(level) for level in levels]
    used = np.bincount(codes[codes >= 0].astype(np.intp), minlength=len(levels)) > 0
    seen = dict.fromkeys(text for text, is_used in zip(texts, used, strict=True) if is_used and text is not None)
    labels = list(seen)
    if not ordered or all(_is_number(label) for label in labels):
        labels = _in_natural_order(labels)
    place = {label: position for position, label in enumerate(labels)}
    dtype = code_type(len(labels))
    # The last entry serves the code -1.
    table = np.array([place.get(text, MISSING) if text is not None else MISSING for text in texts] + [MISSING], dtype)
    return CategoryColumn(name, table[codes], tuple(labels), _note(levels))


def concatenate(name: str, parts: Sequence[Column | int]) -> Column:
    """Join the columns of several files, one below the other.

    Parameters
    ----------
    name
        The column's name.
    parts
        The column of each file, or the number of cells of a file that lacks it (all missing).

    Returns
    -------
    Column
        Numbers when every part is numeric, else labels: those of the first file first.
    """
    columns = [part for part in parts if not isinstance(part, int)]
    if len(columns) == 1 and len(parts) == 1:
        return columns[0]
    numbers = [column for column in columns if isinstance(column, NumberColumn)]
    if len(numbers) == len(columns):
        # The type of the files and no wider one, in which the same numbers would read differently.
        dtype = np.result_type(*(column.values for column in numbers))
        given = iter(numbers)
        arrays = [np.full(part, np.nan, dtype) if isinstance(part, int) else next(given).values for part in parts]
        return NumberColumn(name, np.concatenate(arrays))
    categories = [part if isinstance(part, int | CategoryColumn) else part.as_category() for part in parts]
    levels = list(dict.fromkeys(label for part in categories if not isinstance(part, int) for label in part.labels))
    place = {label: position for position, label in enumerate(levels)}
    pieces = []
    for part in categories:
        if isinstance(part, int):
            pieces.append(np.full(part, MISSING, np.int32))
        else:
            pieces.append(np.array([place[label] for label in part.labels] + [MISSING], np.int32)[part.codes])
    notes = [part.note for part in categories if not isinstance(part, int) and part.note]
    joined = category_from_levels(name, np.concatenate(pieces), levels, ordered=True)
    # A file in which the column is empty says nothing of its type.
    mixed = len({type(column) for column in columns if column.n_missing < len(column)}) > 1
    return CategoryColumn(name, joined.codes, joined.labels, "mixed" if mixed else next(iter(notes), ""))


def _is_number(text: str) -> bool:
    try:
        # Python reads "1_2" as 12, which is no number to anyone else.
        return "_" not in text and not np.isnan(float(text))
    except ValueError:
        return False


def _in_natural_order(labels: list[str]) -> list[str]:
    if all(_is_number(label) for label in labels):
        return sorted(labels, key=float)
    return natsorted(labels, key=str.casefold)


def _note(levels: Sequence[Any]) -> str:
    kinds = {_kind(level) for level in levels} - {"missing"}
    return "datetime" if "datetime" in kinds else "mixed" if len(kinds) > 1 else ""


def _kind(level: Any) -> str:
    if value_text(level) is None:
        return "missing"
    if isinstance(level, bool | np.bool_):
        return "bool"
    if isinstance(level, int | float | np.number):
        return "number"
    return "text" if isinstance(level, str | bytes) else "datetime"


def n_bytes(column: Column) -> int:
    """Return about how much memory a column takes.

    Examples
    --------
    >>> n_bytes(NumberColumn("n", np.zeros(1000, np.float32)))
    4000
    """
    if isinstance(column, NumberColumn):
        return column.values.nbytes
    return column.codes.nbytes + sum(map(len, column.labels)) + 60 * len(column.labels)
