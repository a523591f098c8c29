"""Expression of many genes in some cells, log-normalised and in memory: all cells of a small study, else a sample."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from iscan_dash.core.study.matrices import BLOCK, LINEAR, Matrix, MatrixKind

WHOLE = 20_000_000
"""Stored values up to which all cells are kept: 160 MB."""

SAMPLED = 8_000_000
"""Stored values kept, about, of a larger study."""

RANGES = 256
"""Places of the file that a sample is read from."""

GAP = 4096
"""Stored values that are read and left out rather than beginning another read."""

TOTAL = 1e4
"""Total that counts of a cell are brought to before their logarithm is taken."""

SEED = 20260101

Tell = Callable[[int, int], None]
"""Is told how much of how much is read; ends the reading by raising."""


def _nobody(_done: int, _total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, eq=False)
class FileExpression:
    """The matrix of one file, as a part of a study.

    Parameters
    ----------
    matrix
        The matrix, on disk.
    kind
        What its values are; anything but scaled.
    start
        Number of the file's first cell in the study.
    places
        The matrix' column of each gene; shape (n_genes,), integer.
    """

    matrix: Matrix
    kind: MatrixKind
    start: int
    places: np.ndarray

    @property
    def end(self) -> int:
        """Number of the cell after the file's last one."""
        return self.start + self.matrix.shape[0]

    def read(self, cells: np.ndarray, tell: Tell = _nobody) -> sparse.csr_array:
        """Read some cells, log-normalised.

        Parameters
        ----------
        cells
            Their numbers in the file, ascending; shape (n,), integer.
        tell
            Is told of the progress.

        Returns
        -------
        scipy.sparse.csr_array
            shape (n, genes of the matrix), float32.
        """
        read = _read_columns if self.matrix.storage == "csc" else _read_rows
        values, genes, lengths = read(self.matrix, cells, tell)
        values = log_normalised(values, lengths, self.kind)
        pointers = np.concatenate([[0], np.cumsum(lengths)])
        rows = sparse.csr_array((len(cells), self.matrix.shape[1]), dtype=values.dtype)
        # Set rather than given: the constructor would look at every value once more.
        rows.data, rows.indices, rows.indptr = values, genes, pointers.astype(np.int64)
        return rows


@dataclass(frozen=True, eq=False)
class ExpressionSample:
    """The expression of all or some cells of a study.

    Parameters
    ----------
    files
        The matrix of each file.
    genes
        The genes that are looked at: those that all files have.
    cells
        Numbers in the study of the cells that were read, of each file; ascending.
    values
        Their values, of each file with the columns of its own matrix.
    """

    files: tuple[FileExpression, ...]
    genes: tuple[str, ...]
    cells: tuple[np.ndarray, ...] = field(repr=False)
    values: tuple[sparse.csr_array, ...] = field(repr=False)

    @property
    def n_cells(self) -> int:
        """Cells that were read."""
        return sum(map(len, self.cells))

    @property
    def is_whole(self) -> bool:
        """Whether they are all cells of the study."""
        return self.n_cells == self.files[-1].end


def read_sample(
    files: Sequence[FileExpression],
    genes: Sequence[str],
    tell: Tell = _nobody,
    *,
    whole: int = WHOLE,
    sampled: int = SAMPLED,
    seed: int = SEED,
) -> ExpressionSample:
    """Read all cells when they have few enough values, else a sample of them.

    The sample is the same every time: ranges of neighbouring cells, evenly spread over the files, as single cells
    would take a read each and a compressed file would be unpacked whole.

    Parameters
    ----------
    files
        The matrix of each file, in the order of the study.
    genes
        The genes that are looked at.
    tell
        Is told how many of how many values are read.
    whole
        Stored values up to which all cells are read.
    sampled
        Stored values that are read about of a larger study.
    seed
        Chooses the sample.
    """
    stored = sum(file.matrix.stored for file in files)
    part = 1.0 if stored <= whole else sampled / stored
    generator = np.random.default_rng(seed)
    wanted = [spread(file.matrix.shape[0], part, generator) for file in files]
    total, before = max(1, round(part * stored)), 0
    cells, values = [], []
    for file, own in zip(files, wanted, strict=True):

        def tell_all(done: int, of: int, before: int = before, file: FileExpression = file) -> None:
            tell(before + round(part * file.matrix.stored * done / max(of, 1)), total)

        cells.append(own + file.start)
        values.append(file.read(own, tell_all))
        before += round(part * file.matrix.stored)
    return ExpressionSample(tuple(files), tuple(genes), tuple(cells), tuple(values))


def spread(n_cells: int, part: float, generator: np.random.Generator) -> np.ndarray:
    """Choose ranges of cells, one somewhere in each of equal stretches of a file.

    Parameters
    ----------
    n_cells
        Cells of the file.
    part
        The part of them that is wanted, 0 to 1.
    generator
        Chooses the place in each stretch.

    Returns
    -------
    numpy.ndarray
        Numbers of the cells, ascending; int64.

    Examples
    --------
    >>> spread(5, 1.0, np.random.default_rng(0))
    array([0, 1, 2, 3, 4])
    >>> len(spread(100_000, 0.1, np.random.default_rng(0)))
    9984
    """
    n_wanted = round(n_cells * part)
    if n_wanted >= n_cells:
        return np.arange(n_cells)
    if n_wanted <= RANGES:
        return np.sort(generator.choice(n_cells, max(n_wanted, min(n_cells, 1)), replace=False))
    length = n_wanted // RANGES
    edges = np.linspace(0, n_cells, RANGES + 1).astype(np.int64)
    starts = edges[:-1] + generator.integers(0, np.diff(edges) - length + 1)
    return (starts[:, None] + np.arange(length)).ravel()


def log_normalised(values: np.ndarray, lengths: np.ndarray, kind: MatrixKind) -> np.ndarray:
    """Bring counts to a total of 10,000 a cell and take log1p; leave log values as they are.

    Parameters
    ----------
    values
        The stored values, one cell after the other; shape (n_values,).
    lengths
        How many of them belong to each cell; shape (n_cells,).
    kind
        What they are.

    Returns
    -------
    numpy.ndarray
        shape (n_values,), float32; 0 for what is not finite.
    """
    values = values.astype(np.float32)
    is_finite = np.isfinite(values)
    if not is_finite.all():
        values[~is_finite] = 0
    if kind in LINEAR:
        # What is told to be counts may have negative values all the same; they count as none.
        np.maximum(values, 0, out=values)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        totals = np.bincount(owner, values, len(lengths))
        factors = np.divide(TOTAL, totals, out=np.zeros(len(lengths)), where=totals > 0).astype(np.float32)
        values *= factors[owner]
        np.log1p(values, out=values)
    return values


Stored = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Values and their genes, one cell after the other, and how many each cell has."""


def _read_rows(matrix: Matrix, cells: np.ndarray, tell: Tell) -> Stored:
    """Read some cells of a row-major matrix, neighbours at once."""
    n_cells, n_genes = matrix.shape
    is_dense = matrix.storage == "dense"
    pointers = (
        np.arange(n_cells + 1, dtype=np.int64) * n_genes if is_dense else matrix.element["indptr"][:].astype(np.int64)
    )
    # Looked up once: there may be a read for every cell.
    stored = [] if is_dense else [matrix.element[part] for part in ("data", "indices")]
    pieces: list[Stored] = []
    for first, last in _runs(pointers, cells):
        tell(first, len(cells))
        own = cells[first:last]
        start, end = int(own[0]), int(own[-1]) + 1
        if is_dense:
            block = matrix.element[start:end][own - start]
            found, genes = np.nonzero(block)
            pieces.append((block[found, genes], genes.astype(np.int32), np.bincount(found, minlength=len(own))))
            continue
        place, stop = int(pointers[start]), int(pointers[end])
        values, genes = (part[place:stop] for part in stored)
        lengths = np.diff(pointers[start : end + 1])
        if len(own) < end - start:
            is_wanted = np.zeros(end - start, bool)
            is_wanted[own - start] = True
            of_wanted = np.repeat(is_wanted, lengths)
            values, genes, lengths = values[of_wanted], genes[of_wanted], lengths[is_wanted]
        pieces.append((values, genes.astype(np.int32, copy=False), lengths))
    return _joined(pieces, matrix.dtype)


def _runs(pointers: np.ndarray, cells: np.ndarray) -> list[tuple[int, int]]:
    """Divide cells into those read at once: near each other, and of about a block of values."""
    if not len(cells):
        return []
    is_far = pointers[cells[1:]] - pointers[cells[:-1] + 1] > GAP
    block = (pointers[cells] - pointers[cells[0]]) // BLOCK
    breaks = np.flatnonzero(is_far | (block[1:] > block[:-1])) + 1
    edges = [0, *breaks.tolist(), len(cells)]
    return list(pairwise(edges))


def _read_columns(matrix: Matrix, cells: np.ndarray, tell: Tell) -> Stored:
    """Read some cells of a column-major matrix, which takes one look at every value of it."""
    element, stored = matrix.element, matrix.stored
    row = np.full(matrix.shape[0], -1, np.int32)
    row[cells] = np.arange(len(cells), dtype=np.int32)
    gene_ends = element["indptr"][1:].astype(np.int64)
    pieces: list[tuple[Any, ...]] = []
    for start in range(0, stored, BLOCK):
        tell(start, stored)
        owner = row[element["indices"][start : start + BLOCK]]
        wanted = np.flatnonzero(owner >= 0)
        values = element["data"][start : start + BLOCK][wanted]
        pieces.append((values, np.searchsorted(gene_ends, wanted + start, side="right"), owner[wanted]))
    if not pieces:
        return np.zeros(0, matrix.dtype), np.zeros(0, np.int32), np.zeros(len(cells), np.int64)
    values, genes, owners = (np.concatenate(part) for part in zip(*pieces, strict=True))
    order = np.argsort(owners, kind="stable")
    return values[order], genes[order].astype(np.int32), np.bincount(owners, minlength=len(cells))


def _joined(pieces: Sequence[Stored], dtype: np.dtype) -> Stored:
    if not pieces:
        return np.zeros(0, dtype), np.zeros(0, np.int32), np.zeros(0, np.int64)
    values, genes, lengths = (np.concatenate(part) for part in zip(*pieces, strict=True))
    return values, genes, lengths
