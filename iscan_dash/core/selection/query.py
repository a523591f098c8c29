"""Queries: which cells are meant, as a value that can be evaluated, sent and said in words.

::

    Labels | Range | Cells | PlotAreas | Saved | Unfinished      conditions
    AllOf | AnyOf | Not                                          how they are combined
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from iscan_dash.errors import SelectionRefused

MAX_DEPTH = 6
"""Groups within groups."""

MOST_CONDITIONS = 200
"""Conditions of one query."""


@dataclass(frozen=True)
class Labels:
    """Cells that have one of some labels.

    Parameters
    ----------
    kind
        ``"metadata"``, ``"cluster"``, ``"annotation"`` or ``"sample"``.
    key
        The column's name, or the annotation's id; ``""`` for samples.
    values
        The labels.
    missing
        Whether cells without a label are meant too.
    """

    kind: str
    key: str
    values: tuple[str, ...]
    missing: bool = False


@dataclass(frozen=True)
class Range:
    """Cells whose number lies between two others, both included.

    Parameters
    ----------
    kind
        ``"metadata"``, ``"cluster"`` or ``"gene"``.
    key
        The column's or gene's name.
    low, high
        The ends; None for none.
    missing
        Whether cells without a number are meant too.
    """

    kind: str
    key: str
    low: float | None = None
    high: float | None = None
    missing: bool = False


@dataclass(frozen=True)
class Cells:
    r"""Cells that were named, made by `of`.

    Parameters
    ----------
    text
        Their ids, one a line, each with its sample and a tab before it where one was given.

    Examples
    --------
    >>> Cells.of([("", "AAAC-1"), ("donor 2", "AAAC-1")])
    Cells(text='AAAC-1\ndonor 2\tAAAC-1')
    """

    # One text rather than a tuple of many, which would take ten times the memory.
    text: str

    @classmethod
    def of(cls, ids: Iterable[tuple[str, str]]) -> "Cells":
        """Name cells by sample (``""`` for any) and id; a name given twice counts once."""
        lines = (f"{sample}\t{cell}" if sample else cell for sample, cell in ids)
        return cls("\n".join(dict.fromkeys(line for line in lines if line)))

    @property
    def ids(self) -> list[tuple[str, str]]:
        """Sample (``""`` for any) and id of each."""
        parts = (line.partition("\t") for line in self.text.split("\n") if line)
        return [(first, last) if tab else ("", first) for first, tab, last in parts]

    def __len__(self) -> int:
        return self.text.count("\n") + 1 if self.text else 0

    @cached_property
    def digest(self) -> str:
        """What tells this list from others."""
        return hashlib.blake2b(self.text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


@dataclass(frozen=True)
class PlotAreas:
    """Cells within the areas of a plot.

    Parameters
    ----------
    plot
        Its number.
    removed
        Whether the plot was taken away since: the condition waits for another one.
    """

    plot: int
    removed: bool = False


@dataclass(frozen=True)
class Saved:
    """Cells of a saved selection.

    Parameters
    ----------
    id
        Its id.
    """

    id: str


@dataclass(frozen=True)
class Unfinished:
    """A condition that the user has not chosen yet."""


@dataclass(frozen=True)
class AllOf:
    """Cells that meet all of some queries."""

    of: tuple["Query", ...]


@dataclass(frozen=True)
class AnyOf:
    """Cells that meet at least one of some queries."""

    of: tuple["Query", ...]


@dataclass(frozen=True)
class Not:
    """Cells that do not meet a query, those among them that lack a value or a position."""

    of: "Query"


Condition = Labels | Range | Cells | PlotAreas | Saved | Unfinished
Query = Condition | AllOf | AnyOf | Not


@dataclass(frozen=True)
class Problem:
    """What keeps a query from being evaluated.

    Parameters
    ----------
    code
        ``"E41"`` to ``"E44"``.
    text
        What is wrong, shown as it is.
    path
        Where: the place in the outermost group, the place in the group there, and so on.
    """

    code: str
    text: str
    path: tuple[int, ...] = ()


EMPTY = ("E41", "This group is empty.")
UNFINISHED = ("E42", "Finish this condition.")
REMOVED = ("E43", "This condition used a plot that was removed.")


def conditions(query: Query) -> Iterator[Condition]:
    """Go through the conditions of a query."""
    if isinstance(query, Not):
        yield from conditions(query.of)
    elif isinstance(query, AllOf | AnyOf):
        for part in query.of:
            yield from conditions(part)
    else:
        yield query


def depth(query: Query) -> int:
    """Count groups within groups.

    Examples
    --------
    >>> depth(AllOf((PlotAreas(1), Not(AnyOf((PlotAreas(2),))))))
    2
    """
    if isinstance(query, Not):
        return depth(query.of)
    if isinstance(query, AllOf | AnyOf):
        return 1 + max((depth(part) for part in query.of), default=0)
    return 0


def check_size(query: Query) -> None:
    """Refuse a query that is larger than anybody could read.

    Raises
    ------
    SelectionRefused
        Its groups are nested too deep, or it has too many conditions.
    """
    if depth(query) > MAX_DEPTH:
        raise SelectionRefused(
            f"Groups can be nested {MAX_DEPTH} deep at most. Save a part as a selection and use that."
        )
    if sum(1 for _ in conditions(query)) > MOST_CONDITIONS:
        raise SelectionRefused(f"A query can have {MOST_CONDITIONS} conditions at most. Save a part and use that.")


def simplified(query: Query) -> Query:
    """Return a query that means the same, without groups of one and without "not not".

    Examples
    --------
    >>> simplified(AnyOf((Not(Not(PlotAreas(1))),)))
    PlotAreas(plot=1, removed=False)
    """
    if isinstance(query, Not):
        inner = simplified(query.of)
        return inner.of if isinstance(inner, Not) else Not(inner)
    if isinstance(query, AllOf | AnyOf):
        parts = tuple(simplified(part) for part in query.of)
        if len(parts) == 1:
            return parts[0]
        return type(query)(parts) if parts else AllOf(())
    return query


def replace_conditions(query: Query, change: Callable[[Condition], Condition]) -> Query:
    """Return a query with its conditions changed."""
    if isinstance(query, Not):
        return Not(replace_conditions(query.of, change))
    if isinstance(query, AllOf | AnyOf):
        return replace(query, of=tuple(replace_conditions(part, change) for part in query.of))
    return change(query)


def problems(
    query: Query, broken: Callable[[Condition], tuple[str, str] | None], path: tuple[int, ...] = ()
) -> Iterator[Problem]:
    """Find what keeps a query from being evaluated.

    Parameters
    ----------
    query
        The query.
    broken
        Gives code and text of what else is wrong with a condition, None when nothing is.
    path
        Where the query is in a larger one.
    """
    if isinstance(query, Not):
        yield from problems(query.of, broken, path)
    elif isinstance(query, AllOf | AnyOf):
        if not query.of:
            yield Problem(*EMPTY, path)
        for place, part in enumerate(query.of):
            yield from problems(part, broken, (*path, place))
    elif is_unfinished(query):
        yield Problem(*UNFINISHED, path)
    elif isinstance(query, PlotAreas) and query.removed:
        yield Problem(*REMOVED, path)
    elif wrong := broken(query):
        yield Problem(*wrong, path)


def is_unfinished(condition: Condition) -> bool:
    """Tell whether a condition lacks what makes it one."""
    if isinstance(condition, Labels):
        return not condition.values and not condition.missing
    return isinstance(condition, Unfinished) or condition == Cells("")


def evaluate(query: Query, mask_of: Callable[[Condition], np.ndarray]) -> np.ndarray:
    """Tell which cells meet a query that has no problems.

    Parameters
    ----------
    query
        The query.
    mask_of
        Tells which cells meet a condition; shape (n_cells,), bool. What it gives is not changed.

    Returns
    -------
    numpy.ndarray
        shape (n_cells,), bool.
    """
    if isinstance(query, Not):
        return ~evaluate(query.of, mask_of)
    if isinstance(query, AllOf | AnyOf):
        join = np.logical_and if isinstance(query, AllOf) else np.logical_or
        found = evaluate(query.of[0], mask_of)
        for part in query.of[1:]:
            found = join(found, evaluate(part, mask_of))
        return found
    return mask_of(query)


def to_json(query: Query) -> dict[str, Any]:
    """Return plain values.

    Examples
    --------
    >>> to_json(AllOf((PlotAreas(1), Not(Labels("cluster", "leiden", ("3", "4"))))))["of"][1]
    {'is': 'labels', 'kind': 'cluster', 'key': 'leiden', 'values': ['3', '4'], 'missing': False, 'not': True}
    """
    if isinstance(query, Not):
        inner = to_json(query.of)
        return {**inner, "not": not inner.get("not", False)}
    if isinstance(query, AllOf | AnyOf):
        return {"is": "and" if isinstance(query, AllOf) else "or", "of": [to_json(part) for part in query.of]}
    if isinstance(query, Labels):
        own = {"kind": query.kind, "key": query.key, "values": list(query.values), "missing": query.missing}
        return {"is": "labels", **own}
    if isinstance(query, Range):
        return {"is": "range", **vars(query)}
    if isinstance(query, Cells):
        return {"is": "cells", "text": query.text}
    if isinstance(query, PlotAreas):
        return {"is": "plot", "plot": query.plot, **({"removed": True} if query.removed else {})}
    if isinstance(query, Saved):
        return {"is": "saved", "id": query.id}
    return {"is": "unfinished"}
