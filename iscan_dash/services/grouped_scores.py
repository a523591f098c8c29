"""The statistics of an enrichment result for the groups of a column."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from iscan_dash.core.enrichment.group_table import GroupTable, group_table, p_text, pick_best
from iscan_dash.core.enrichment.method import COLUMN_TEXT
from iscan_dash.core.study import CategoryColumn, Study
from iscan_dash.core.words import counted
from iscan_dash.errors import EnrichmentRefused
from iscan_dash.services.enrichment_result import EnrichmentResult
from iscan_dash.services.processes import processors
from iscan_dash.services.workspace import Source

MOST_ROWS = 200_000
"""Rows of a table: groups times sets."""

MOST_ORDERED = 1000
"""Groups or sets up to which they are clustered."""

MISSING = "(missing)"
"""What the group of cells without a value is called."""

COLUMNS = (
    "average_expression",
    "average_percentage",
    "score",
    "difference",
    "minus_log10_p",
    "minus_log10_adjusted",
    "auc",
    "average_minus_log10_p",
)


@dataclass(frozen=True)
class Group:
    """Cells with one value in a column.

    Parameters
    ----------
    label
        The value, None for cells without one.
    n
        How many of the scored cells have it.
    """

    label: str | None
    n: int

    @property
    def title(self) -> str:
        """What people read."""
        return MISSING if self.label is None else self.label


@dataclass(frozen=True, eq=False)
class GroupedScores:
    """The statistics of a result, grouped by a column.

    Parameters
    ----------
    result
        The result.
    by
        The column.
    title
        What it is called.
    stamp
        Changes when the column has other labels.
    groups
        The groups that have scored cells, in the order of the column.
    codes
        Group of each scored cell, shape (n scored cells,), int64.
    table
        The statistics, a row for each group and a column for each set.
    n_empty
        Values of the column that no scored cell has.
    """

    result: EnrichmentResult
    by: Source
    title: str
    stamp: str
    groups: tuple[Group, ...]
    codes: np.ndarray = field(repr=False)
    table: GroupTable = field(repr=False)
    n_empty: int

    @property
    def warnings(self) -> list[str]:
        """What is odd, a sentence each."""
        said = list(self.result.warnings)
        if self.n_empty:
            said.append(f"{counted(self.n_empty, 'value')} of {self.title} without a scored cell: left out here.")
        if len(self.groups) == 1:
            said.append(f"{self.title} has only one group here, so there is nothing to compare it with.")
        small = sum(group.n < 3 for group in self.groups)
        if small:
            said.append(f"{counted(small, 'group has', 'groups have')} fewer than 3 cells and no P-value.")
        return said

    @cached_property
    def best(self) -> list[int | None]:
        """The set that is suggested for each group; never one of which too few genes were found to stand for it."""
        allowed = [not own["few"] for own in self.result.sets]
        return pick_best(self.table, np.array(allowed, bool))

    def to_json(self) -> dict[str, Any]:
        """Return everything that a page shows, as plain values."""
        table = self.table
        return {
            "result": self.result.folder.name,
            "by": {"kind": self.by.kind, "key": self.by.key, "title": self.title},
            "stamp": self.stamp,
            "n_cells": self.result.n_cells,
            "n_all": self.result.n_all,
            "method": self.result.recipe["method"],
            "groups": [{"label": group.label, "n": group.n} for group in self.groups],
            "sets": [dict(own) for own in self.result.sets],
            "columns": {name: [list(map(plain, row)) for row in getattr(table, name).tolist()] for name in COLUMNS},
            "p": _texts(table.minus_log10_p),
            "adjusted_p": _texts(table.minus_log10_adjusted),
            "best": self.best,
            "definitions": dict(COLUMN_TEXT),
            "warnings": self.warnings,
            "order_groups": _clustered(table.score),
            "order_sets": _clustered(table.score.T),
        }


def groups_of(study: Study, name: str, max_items: int) -> CategoryColumn:
    """Return the groups of a column.

    Parameters
    ----------
    study
        The study.
    name
        The column.
    max_items
        Different whole numbers up to which they are taken for groups.

    Raises
    ------
    EnrichmentRefused
        It holds numbers that are no groups (E16).
    UnknownColumn
        There is no such column.
    """
    column = study.column(name)
    if not isinstance(column, CategoryColumn) and not study.copyable(name, max_items):
        raise EnrichmentRefused(f"{name} holds numbers that are no groups. Choose a column of groups.", "E16")
    return study.category(name)


def group_scores(
    result: EnrichmentResult,
    by: Source,
    column: CategoryColumn,
    stamp: str = "",
) -> GroupedScores:
    """Compute the statistics of a result for the groups of a column.

    Parameters
    ----------
    result
        The result.
    by, column, stamp
        The column, and what changes when it does.

    Raises
    ------
    EnrichmentRefused
        There are too many groups (E16).
    """
    mask = result.cells
    codes = column.codes if mask is None else column.codes[mask]
    tally = np.bincount(codes.astype(np.int64) + 1, minlength=len(column.labels) + 1)
    present = np.flatnonzero(tally[1:])
    if (len(present) + 1) * len(result.sets) > MOST_ROWS:
        raise EnrichmentRefused(
            f"{column.name} has {len(present):,} groups; with {counted(len(result.sets), 'set')} "
            f"{MOST_ROWS // len(result.sets):,} are possible. Choose another column.",
            "E16",
        )
    groups = [Group(column.labels[place], int(tally[place + 1])) for place in present.tolist()]
    number_of = np.full(len(column.labels) + 1, -1, np.int64)
    number_of[present] = np.arange(len(present))
    if tally[0]:
        # The last entry serves the code -1.
        number_of[-1] = len(groups)
        groups.append(Group(None, int(tally[0])))
    own = number_of[codes]
    table = group_table(result.scores, own, len(groups), ranked=result.ranked, threads=processors())
    n_empty = len(column.labels) - len(present)
    return GroupedScores(result, by, column.name, stamp, tuple(groups), own, table, n_empty)


def plain(value: float) -> float | None:
    """Return a number as JSON can say it: None when there is none."""
    return value if math.isfinite(value) else None


def _texts(values: np.ndarray) -> list[list[str]]:
    return [[p_text(value) for value in row] for row in values.tolist()]


def _clustered(values: np.ndarray) -> list[int]:
    """Return an order of rows in which similar ones are neighbours."""
    n_rows = len(values)
    plain = np.nan_to_num(np.array(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if n_rows < 3 or n_rows > MOST_ORDERED or not plain.size:
        return list(range(n_rows))
    from scipy.cluster import hierarchy

    spread = plain.std(axis=0)
    scaled = (plain - plain.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    tree = hierarchy.linkage(scaled, "average", optimal_ordering=n_rows <= 100)
    order: list[int] = hierarchy.leaves_list(tree).tolist()
    return order
