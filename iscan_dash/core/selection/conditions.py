"""Conditions on one column: which cells have a label, a number in a range, or an id."""

import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from iscan_dash.core.study import CategoryColumn, NumberColumn

EXAMPLES = 5
"""Ids that are named when some did not match."""

CHUNK = 1 << 16
"""Cells whose ids are compared together."""


def labels_mask(column: CategoryColumn, values: Collection[str], *, missing: bool) -> np.ndarray:
    """Tell which cells have one of some labels.

    Parameters
    ----------
    column
        The labels.
    values
        Those wanted; one that the column does not have is that of no cell.
    missing
        Whether cells without a label are wanted too.

    Examples
    --------
    >>> fate = CategoryColumn("fate", np.array([0, 1, -1]), ("B", "T"))
    >>> labels_mask(fate, {"T", "X"}, missing=True).tolist()
    [False, True, True]
    """
    wanted = set(values)
    # The last entry serves the code -1.
    table = np.array([*(label in wanted for label in column.labels), missing])
    found: np.ndarray = table[column.codes]
    return found


def range_mask(column: NumberColumn, low: float | None, high: float | None, *, missing: bool) -> np.ndarray:
    """Tell which cells have a number in a range, both ends included.

    The ends are taken in the precision of the column: a number that is shown as 0.1 is not above 0.1.

    Parameters
    ----------
    column
        The numbers.
    low, high
        The ends; None for none.
    missing
        Whether cells without a number are wanted too.

    Examples
    --------
    >>> numbers = NumberColumn("n", np.array([0.1, 2, np.nan], np.float32))
    >>> range_mask(numbers, None, 0.1, missing=False).tolist()
    [True, False, False]
    """
    values = column.values
    # What is infinite is not a number either, as in plots and tables.
    found: np.ndarray = np.isfinite(values)
    is_missing = ~found
    with np.errstate(over="ignore"):
        if low is not None:
            found &= values >= values.dtype.type(low)
        if high is not None:
            found &= values <= values.dtype.type(high)
    return found | is_missing if missing else found


@dataclass(frozen=True, eq=False)
class NamedCells:
    """What a list of ids found. Each id is counted once.

    Parameters
    ----------
    mask
        The cells found, shape (n_cells,), bool.
    matched
        Ids of a cell; or of several cells of one sample, which cannot be told apart and are all found.
    unmatched
        Ids of no cell.
    ambiguous
        Ids that several samples have, given without one: their cells are not found.
    examples
        Some of the ids that found nothing.
    """

    mask: np.ndarray
    matched: int
    unmatched: int
    ambiguous: int
    examples: tuple[str, ...]


def parse_ids(text: str) -> tuple[tuple[str, str], ...]:
    r"""Read a list of cell ids: one a line, or parted by commas or semicolons; ``sample<TAB>id`` names the sample.

    Returns
    -------
    tuple of (str, str)
        Sample (``""`` when none is given) and id, each pair once, in the order given.

    Examples
    --------
    >>> parse_ids("AAAC-1, AAAG-1\ndonor 2\tAAAC-1\n")
    (('', 'AAAC-1'), ('', 'AAAG-1'), ('donor 2', 'AAAC-1'))
    """
    found: dict[tuple[str, str], None] = {}
    for line in re.split(r"[\r\n]+", text):
        fields = [part.strip(" \"'") for part in line.strip().split("\t")]
        if len(fields) > 1:
            # What else a table has on the line is not asked for.
            found[fields[0], fields[1]] = None
            continue
        for part in re.split(r"[,;]", line):
            if own := part.strip(" \"'\t"):
                found["", own] = None
    return tuple(found)


def named_cells(ids: Collection[tuple[str, str]], cell_ids: np.ndarray, samples: CategoryColumn) -> NamedCells:
    """Find cells by their ids.

    Parameters
    ----------
    ids
        Sample (``""`` for any) and id of each. An id with spaces in it that no cell has is taken as several.
    cell_ids
        The ids of the cells as UTF-8 bytes of fixed width, shape (n_cells,).
    samples
        The sample of each cell.
    """
    asked = dict.fromkeys(ids)
    apart = {own for own in asked if " " in own[1]}
    whole = _find(list(asked), cell_ids, samples)
    split = {own for own in apart if not len(whole[own])}
    if split:
        more = {(sample, part): None for sample, own in split for part in own.split()}
        asked = {own: None for own in asked if own not in split} | more
        whole |= _find([own for own in more if own not in whole], cell_ids, samples)
    mask = np.zeros(len(cell_ids), bool)
    n_matched = n_ambiguous = 0
    lost = []
    for own in asked:
        rows = whole[own]
        if len(rows) == 1 or (len(rows) and len(np.unique(samples.codes[rows])) == 1):
            mask[rows] = True
            n_matched += 1
            continue
        n_ambiguous += bool(len(rows))
        lost.append(own)
    examples = tuple(f"{sample} {cell}".strip() for sample, cell in lost[:EXAMPLES])
    return NamedCells(mask, n_matched, len(lost) - n_ambiguous, n_ambiguous, examples)


def _find(
    ids: list[tuple[str, str]], cell_ids: np.ndarray, samples: CategoryColumn
) -> dict[tuple[str, str], np.ndarray]:
    """Return the rows of the cells that each of some ids may mean."""
    nothing = np.empty(0, np.int64)
    found = dict.fromkeys(ids, nothing)
    keys = {own: own[1].encode() for own in ids}
    # A longer text is no id; nor is one that ends in zeros, which arrays of bytes do not tell from one that does not.
    known = sorted({key for key in keys.values() if key and len(key) <= cell_ids.itemsize and b"\0" not in key})
    if not known:
        return found
    wanted = np.array(known, cell_ids.dtype)
    hits, places = [], []
    for start in range(0, len(cell_ids), CHUNK):
        own = cell_ids[start : start + CHUNK]
        place = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
        rows = np.flatnonzero(wanted[place] == own)
        hits.append(rows + start)
        places.append(place[rows])
    rows, place = np.concatenate(hits), np.concatenate(places)
    order = np.argsort(place, kind="stable")
    rows = rows[order]
    ends = np.searchsorted(place[order], np.arange(len(wanted) + 1))
    of_key = {key: rows[ends[at] : ends[at + 1]] for at, key in enumerate(known)}
    sample_codes = {label: code for code, label in enumerate(samples.labels)}
    for asked in ids:
        cells = of_key.get(keys[asked], nothing)
        if asked[0]:
            cells = cells[samples.codes[cells] == sample_codes.get(asked[0], -2)]
        found[asked] = cells
    return found
