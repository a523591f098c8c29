"""Conditions that rows of a table have to meet, column by column."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from iscan_dash.core.study.columns import CategoryColumn, NumberColumn


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
            return np.char.find(self._lowered, text.lower().encode()) >= 0
        # NumPy knows the case of ASCII only.
        wanted = text.casefold()
        return np.array([wanted in value.decode("utf-8", "replace").casefold() for value in self.values.tolist()])

    @cached_property
    def _lowered(self) -> np.ndarray:
        """The ids in small letters: kept, because one search follows another while somebody types."""
        return np.char.lower(self.values)


TableColumn = CategoryColumn | IdColumn | NumberColumn


@dataclass(frozen=True)
class Contains:
    """Ids or labels that contain a text, ignoring case; an empty one is no condition.

    Parameters
    ----------
    text
        The text.
    """

    text: str


@dataclass(frozen=True)
class OneOf:
    """Labels of a list; those that the column does not have are left aside.

    Parameters
    ----------
    labels
        The labels.
    missing
        Whether cells without a value pass too.
    is_not
        Whether all other cells pass instead.
    """

    labels: frozenset[str]
    missing: bool = False
    is_not: bool = False


@dataclass(frozen=True)
class Between:
    """Numbers of a range, both ends included.

    Parameters
    ----------
    low, high
        The ends; None for no end.
    numbers
        Whether any number passes: off leaves the missing ones alone.
    missing
        Whether cells without a finite value pass.
    """

    low: float | None = None
    high: float | None = None
    numbers: bool = True
    missing: bool = False


Condition = Contains | OneOf | Between


def fits(column: TableColumn, condition: Condition) -> bool:
    """Tell whether a condition is about what a column holds: labels, numbers or ids."""
    if isinstance(condition, Between):
        return isinstance(column, NumberColumn)
    return isinstance(column, CategoryColumn) or (isinstance(column, IdColumn) and isinstance(condition, Contains))


def passes(column: TableColumn, condition: Condition) -> np.ndarray:
    """Tell which cells meet a condition; one that does not fit the column is met by none.

    Returns
    -------
    numpy.ndarray
        shape (n_cells,), bool.

    Examples
    --------
    >>> passes(NumberColumn("score", np.array([1.0, 2.5, np.nan])), Between(low=2)).tolist()
    [False, True, False]
    """
    if isinstance(column, NumberColumn) and isinstance(condition, Between):
        return _within(column.values, condition)
    if isinstance(column, CategoryColumn) and isinstance(condition, Contains | OneOf):
        return _labelled(column, condition)
    if isinstance(column, IdColumn) and isinstance(condition, Contains):
        return column.contains(condition.text)
    return np.zeros(len(column.values if isinstance(column, IdColumn) else column), bool)


def _labelled(column: CategoryColumn, condition: Contains | OneOf) -> np.ndarray:
    # The last entry serves the code of the missing.
    if isinstance(condition, Contains):
        text = condition.text.casefold()
        table = np.array([*(text in label.casefold() for label in column.labels), False])
    else:
        table = np.array([*(label in condition.labels for label in column.labels), condition.missing])
        table ^= condition.is_not
    return np.take(table, column.codes, mode="wrap")


def _within(values: np.ndarray, condition: Between) -> np.ndarray:
    is_number = np.isfinite(values)
    found = is_number if condition.numbers else np.zeros(len(values), bool)
    with np.errstate(over="ignore"):
        # In the type of the column: what is shown as 0.1 is found by 0.1, though four bytes hold a little more.
        if condition.low is not None:
            found = found & (values >= values.dtype.type(condition.low))
        if condition.high is not None:
            found = found & (values <= values.dtype.type(condition.high))
    return found | ~is_number if condition.missing else found
