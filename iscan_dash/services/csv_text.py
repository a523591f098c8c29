"""Annotations as CSV text, quickly: most of a table is the same each time it is written."""

from collections.abc import Iterator, Sequence
from operator import add
from weakref import WeakKeyDictionary

import numpy as np

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.study import CategoryColumn, Study

ROWS = 50_000
"""Cells written at once."""

MOST_KEPT = 300_000
"""Cells of the largest study whose rows' beginnings are kept; they take about 100 bytes each."""

_HEADS: WeakKeyDictionary[CategoryColumn, list[str]] = WeakKeyDictionary()
"""The beginnings of all rows, by the column of samples that they hold."""


def quote(text: str) -> str:
    """Quote a text for CSV as RFC 4180 has it.

    Examples
    --------
    >>> print(quote('T cell, "naive" or not'))
    "T cell, ""naive"" or not"
    """
    return '"' + text.replace('"', '""') + '"'


FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What a text begins with that a spreadsheet takes for a formula, wide letters among them."""


def quote_for_reading(text: str) -> str:
    """Quote a text of a table that is read by people and never comes back: no spreadsheet takes it for a formula.

    Examples
    --------
    >>> print(quote_for_reading("=1+1"), quote_for_reading("T cell"))
    "'=1+1" "T cell"
    """
    return quote(f"'{text}" if text[:1] in FORMULA else text)


def table_lines(
    study: Study, annotations: Sequence[Annotation], header: Sequence[str], *, with_samples: bool = True
) -> Iterator[str]:
    """Write annotations as CSV text, block by block; all text is quoted.

    Parameters
    ----------
    study
        The study.
    annotations
        The annotations, a column each.
    header
        Lines of comment before the table, without their ``# ``.
    with_samples
        Whether a column of samples follows the cell ids.
    """
    yield "".join(f"# {line}\n" for line in header)
    names = ["index", *(["sample"] if with_samples else []), *(quote(state.live.name) for state in annotations)]
    yield ",".join(names) + "\n"
    tails, codes = _tails(annotations, study.n_cells)
    for start in range(0, study.n_cells, ROWS):
        block = slice(start, start + ROWS)
        heads = row_heads(study, block) if with_samples else _cells(study, block)
        yield "".join(map(add, heads, map(tails.__getitem__, codes[block].tolist())))


def _tails(annotations: Sequence[Annotation], n_cells: int) -> tuple[list[str], np.ndarray]:
    """Return the different endings of rows, and the one of each cell, shape (n_cells,): few texts serve all cells."""
    texts, codes = [""], np.zeros(n_cells, np.int64)
    for annotation in annotations:
        column = annotation.column
        quoted = [f",{quote(label)}" for label in column.labels]
        pairs = codes * len(quoted) + column.codes
        kinds, codes = _factorise(pairs, len(texts) * len(quoted))
        texts = [texts[kind // len(quoted)] + quoted[kind % len(quoted)] for kind in kinds.tolist()]
    return [f"{text}\n" for text in texts], codes


def _factorise(values: np.ndarray, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the different values below `end`, sorted, and the place of each among them."""
    if end > 4 * len(values) + 1000:
        kinds, places = np.unique(values, return_inverse=True)
        return kinds, places
    is_used = np.zeros(end, bool)
    is_used[values] = True
    return np.flatnonzero(is_used), (np.cumsum(is_used) - 1)[values]


def row_heads(study: Study, block: slice) -> list[str]:
    """Return the beginnings of some rows: cell id and sample."""
    samples = study.samples
    if study.n_cells > MOST_KEPT:
        return _make_heads(study, samples, block)
    if samples not in _HEADS:
        _HEADS[samples] = _make_heads(study, samples, slice(0, study.n_cells))
    return _HEADS[samples][block]


def _make_heads(study: Study, samples: CategoryColumn, block: slice) -> list[str]:
    quoted = [f",{quote(label)}" for label in samples.labels]
    return list(map(add, _cells(study, block), map(quoted.__getitem__, samples.codes[block].tolist())))


def _cells(study: Study, block: slice) -> list[str]:
    return [quote(cell.decode("utf-8", "replace")) for cell in study.cell_ids[block].tolist()]
