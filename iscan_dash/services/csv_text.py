"""Annotations as CSV text, quickly: most of a table is the same each time it is written."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from operator import add
from weakref import WeakKeyDictionary

import numpy as np

from iscan_dash import __version__
from iscan_dash.core.annotations import Annotation
from iscan_dash.core.formulas import inert_json, marked
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


def quote_marked(text: str) -> str:
    """Quote a text of a table that people open in spreadsheets, marked if it would be a formula there.

    Examples
    --------
    >>> print(quote_marked("=1+1"), quote_marked("T cell"))
    "'=1+1" "T cell"
    """
    return quote(marked(text))


def header_lines(study: Study, *more: str) -> list[str]:
    """Return the comment that precedes a table, a line each, without ``# ``: who wrote it, of what, and `more`."""
    lines = [
        f"iscan-dash {__version__}, {datetime.now(UTC).isoformat(timespec='seconds')}",
        f"data: {', '.join(inert_json(dataset.path.name)[1:-1] for dataset in study.datasets)}",
        f"fingerprint: {study.fingerprint}",
        *more,
    ]
    # A text may have a line break that JSON does not escape, after which the header row would seem to come.
    return [" ".join(line.splitlines()) for line in lines]


def table_lines(
    study: Study,
    annotations: Sequence[Annotation],
    header: Sequence[str],
    *,
    with_samples: bool = True,
    quoted: Callable[[str], str] = quote,
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
    quoted
        How texts are written: `quote` or `quote_marked`.
    """
    yield "".join(f"# {line}\n" for line in header)
    names = ["index", *(["sample"] if with_samples else []), *(quoted(state.live.name) for state in annotations)]
    yield ",".join(names) + "\n"
    tails, codes = _tails(annotations, study.n_cells, quoted)
    for start in range(0, study.n_cells, ROWS):
        block = slice(start, start + ROWS)
        heads = row_heads(study, block, quoted) if with_samples else _cells(study, block, quoted)
        yield "".join(map(add, heads, map(tails.__getitem__, codes[block].tolist())))


def _tails(
    annotations: Sequence[Annotation], n_cells: int, quoted: Callable[[str], str]
) -> tuple[list[str], np.ndarray]:
    """Return the different endings of rows, and the one of each cell, shape (n_cells,): few texts serve all cells."""
    texts, codes = [""], np.zeros(n_cells, np.int64)
    for annotation in annotations:
        column = annotation.column
        ends = [f",{quoted(label)}" for label in column.labels]
        pairs = codes * len(ends) + column.codes
        kinds, codes = _factorise(pairs, len(texts) * len(ends))
        texts = [texts[kind // len(ends)] + ends[kind % len(ends)] for kind in kinds.tolist()]
    return [f"{text}\n" for text in texts], codes


def _factorise(values: np.ndarray, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the different values below `end`, sorted, and the place of each among them."""
    if end > 4 * len(values) + 1000:
        kinds, places = np.unique(values, return_inverse=True)
        return kinds, places
    is_used = np.zeros(end, bool)
    is_used[values] = True
    return np.flatnonzero(is_used), (np.cumsum(is_used) - 1)[values]


def row_heads(study: Study, block: slice, quoted: Callable[[str], str]) -> list[str]:
    """Return the beginnings of some rows: cell id and sample, written by `quote` or `quote_marked`."""
    samples = study.samples
    # Only drafts, whose texts have no marks, are written again and again.
    if study.n_cells > MOST_KEPT or quoted is not quote:
        return _make_heads(study, samples, block, quoted)
    if samples not in _HEADS:
        _HEADS[samples] = _make_heads(study, samples, slice(0, study.n_cells), quoted)
    return _HEADS[samples][block]


def _make_heads(study: Study, samples: CategoryColumn, block: slice, quoted: Callable[[str], str]) -> list[str]:
    ends = [f",{quoted(label)}" for label in samples.labels]
    return list(map(add, _cells(study, block, quoted), map(ends.__getitem__, samples.codes[block].tolist())))


def _cells(study: Study, block: slice, quoted: Callable[[str], str]) -> list[str]:
    return [quoted(cell.decode("utf-8", "replace")) for cell in study.cell_ids[block].tolist()]
