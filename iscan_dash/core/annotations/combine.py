"""Make labels from columns that exist: copy one, or combine several."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from iscan_dash.core.annotations.annotation import DEFAULT
from iscan_dash.core.annotations.names import LABEL_LENGTH, plain_label
from iscan_dash.core.study.columns import CategoryColumn
from iscan_dash.errors import NameRefused

DELIMITER_LENGTH = 8

TABLE_LIMIT = 4_000_000
"""Combinations that are counted through a table rather than by sorting."""


class MissingParts(StrEnum):
    """What becomes of a cell that has no value in one of the sources."""

    DEFAULT_PART = "default"
    LEAVE_OUT = "leave_out"
    WHOLE_LABEL = "whole_label"


@dataclass(frozen=True)
class CombineRecipe:
    """How labels are made of existing columns.

    Parameters
    ----------
    default
        The default label.
    delimiter
        What stands between the parts.
    missing
        What a missing part becomes.
    max_items
        Labels above which the user is told that colours are grouped.
    """

    default: str
    delimiter: str = "_"
    missing: MissingParts = MissingParts.DEFAULT_PART
    max_items: int = 1000

    def to_json(self) -> dict[str, str]:
        """Return what decides the labels as plain values, to be kept with the annotation."""
        return {"default": self.default, "delimiter": self.delimiter, "missing": str(self.missing)}


@dataclass(frozen=True, eq=False)
class Combined:
    """Labels made of existing columns.

    Parameters
    ----------
    labels
        The labels; the first is the default, whether a cell has it or not.
    codes
        Position of each cell's label, shape (n_cells,), int32.
    warnings
        What the user should know, as (code, sentence), W1 to W5.
    """

    labels: tuple[str, ...]
    codes: np.ndarray
    warnings: tuple[tuple[str, str], ...]

    @property
    def n_default(self) -> int:
        """Cells that carry the default label."""
        return int((self.codes == DEFAULT).sum())

    @cached_property
    def counts(self) -> list[tuple[str, int]]:
        """The labels in use with their cells, most cells first."""
        tally = np.bincount(self.codes, minlength=len(self.labels))
        order = np.argsort(-tally, kind="stable")
        return [(self.labels[place], int(tally[place])) for place in order if tally[place]]


def combine_columns(
    sources: Sequence[CategoryColumn], n_cells: int, recipe: CombineRecipe, cells: np.ndarray | None = None
) -> Combined:
    """Combine the labels of existing columns into new ones, cell by cell.

    Parameters
    ----------
    sources
        The columns in the order of their parts; none gives every cell the default label.
    n_cells
        Number of cells.
    recipe
        Delimiter, default and what to do with missing parts. The default is taken as it is: check it before.
    cells
        Which cells are labelled, shape (n_cells,), bool; the others get the default. All when None.

    Raises
    ------
    NameRefused
        E07 when a combined label is longer than 128 characters.

    Examples
    --------
    >>> fate = CategoryColumn("fate", np.array([0, 1, -1]), ("B", "T"))
    >>> sample = CategoryColumn("sample", np.array([0, 0, 1]), ("s1", "s2"))
    >>> combined = combine_columns([sample, fate], 3, CombineRecipe("Unassigned"))
    >>> [combined.labels[code] for code in combined.codes]
    ['s1_B', 's1_T', 's2_Unassigned']
    """
    if not sources or (cells is not None and not cells.any()):
        return Combined((recipe.default,), np.zeros(n_cells, np.int32), ())
    if cells is not None:
        # Labels and warnings are about these cells alone.
        chosen = [CategoryColumn(column.name, column.codes[cells], column.labels) for column in sources]
        some = combine_columns(chosen, int(cells.sum()), recipe)
        codes = np.full(n_cells, DEFAULT, np.int32)
        codes[cells] = some.codes
        return Combined(some.labels, codes, some.warnings)
    combination, inverse = _combinations(sources, n_cells)
    texts = [_join(parts, recipe) for parts in combination]
    longest = max(texts, key=len)
    if len(longest) > LABEL_LENGTH:
        raise NameRefused(
            "E07",
            f"Combined labels get {len(longest)} characters long; the limit is {LABEL_LENGTH}. "
            + ("Choose fewer sources." if len(sources) > 1 else "Choose another column."),
        )
    labels = list(dict.fromkeys([recipe.default, *texts]))
    place = {text: position for position, text in enumerate(labels)}
    codes = np.array([place[text] for text in texts], np.int32)[inverse]
    combined = Combined(tuple(labels), codes, ())
    warnings = _warnings(sources, combination, texts, combined, recipe)
    own = [text == recipe.default and None not in parts for parts, text in zip(combination, texts, strict=True)]
    n_own = int(np.bincount(inverse, minlength=len(own))[own].sum())
    if n_own:
        # Counted on screen, as nothing is merged silently.
        warnings.append(
            ("W5", f'{n_own:,} cells have "{recipe.default}" as their own value; they are counted as default.')
        )
    return Combined(combined.labels, codes, tuple(warnings))


def _combinations(sources: Sequence[CategoryColumn], n_cells: int) -> tuple[list[tuple[str | None, ...]], np.ndarray]:
    """Return the distinct combinations of labels (None: missing) and the position of each cell's among them.

    The columns are joined one after the other, and only the combinations that occur are kept, so that the key of a
    combination stays a small number however many levels the columns have.
    """
    combinations: list[tuple[str | None, ...]] = [()]
    inverse = np.zeros(n_cells, np.int64)
    for column in sources:
        labels: list[str | None] = [None, *(plain_label(label) for label in column.labels)]
        present, inverse = _distinct(inverse * len(labels) + column.codes + 1, len(combinations) * len(labels))
        heads, tails = np.divmod(present, len(labels))
        combinations = [(*combinations[head], labels[tail]) for head, tail in zip(heads, tails, strict=True)]
    return combinations, inverse


def _distinct(keys: np.ndarray, n_keys: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys in use, sorted, and the position of each cell's among them."""
    if n_keys > TABLE_LIMIT:
        present, inverse = np.unique(keys, return_inverse=True)
        return present, inverse
    present = np.flatnonzero(np.bincount(keys, minlength=n_keys))
    table = np.zeros(n_keys, np.int64)
    table[present] = np.arange(len(present))
    return present, table[keys]


def _join(parts: tuple[str | None, ...], recipe: CombineRecipe) -> str:
    present = [part for part in parts if part is not None]
    if not present or (recipe.missing is MissingParts.WHOLE_LABEL and len(present) < len(parts)):
        return recipe.default
    if recipe.missing is MissingParts.LEAVE_OUT:
        return recipe.delimiter.join(present)
    return recipe.delimiter.join(recipe.default if part is None else part for part in parts)


def _warnings(
    sources: Sequence[CategoryColumn],
    combinations: list[tuple[str | None, ...]],
    texts: list[str],
    combined: Combined,
    recipe: CombineRecipe,
) -> list[tuple[str, str]]:
    found = []
    same = _same_label(combinations, texts, recipe)
    if same:
        reason, n_merged, first, second = same
        found.append(
            ("W1", f"{reason} {n_merged:,} different combinations become the same label, e.g. {first} and {second}.")
        )
    n_labels = len(combined.labels) if combined.n_default else len(combined.labels) - 1
    if n_labels > recipe.max_items:
        found.append(("W2", f"{n_labels:,} labels exceed {recipe.max_items:,}. Allowed, but colours are grouped."))
    if combined.n_default == len(combined.codes):
        found.append(("W3", "Every cell gets the default value."))
    for column in sources:
        twins = _twins(column)
        if twins:
            found.append(
                (
                    "W4",
                    f'{column.name}: "{twins[0]}" and "{twins[1]}" differ only by case or spaces; they are kept apart.',
                )
            )
    return found


def _same_label(
    combinations: list[tuple[str | None, ...]], texts: list[str], recipe: CombineRecipe
) -> tuple[str, int, str, str] | None:
    """Find different combinations of values that read the same: why, how many, and the first two."""
    by_text: dict[str, list[tuple[str | None, ...]]] = {}
    for parts, text in zip(combinations, texts, strict=True):
        # That combinations with missing parts read as the default is what was asked for.
        if recipe.missing is MissingParts.LEAVE_OUT or None not in parts:
            by_text.setdefault(text, []).append(parts)
    merged = [alike for alike in by_text.values() if len(alike) > 1]
    if not merged:
        return None
    first, second = ("+".join("missing" if part is None else f'"{part}"' for part in parts) for parts in merged[0][:2])
    if not recipe.delimiter:
        reason = "With no delimiter"
    elif any(part and recipe.delimiter in part for alike in merged for parts in alike for part in parts):
        reason = f'As "{recipe.delimiter}" occurs in values,'
    else:
        reason = "With missing parts left out,"
    return reason, sum(len(alike) for alike in merged), first, second


def _twins(column: CategoryColumn) -> tuple[str, str] | None:
    seen: dict[str, str] = {}
    for label in column.labels:
        key = label.strip().casefold()
        if key in seen:
            return seen[key], label
        seen[key] = label
    return None
