"""Which genes tell a group of cells from the rest.

A gene's score is the difference of its means inside and outside the group in units of its spread there,

    (mean inside - mean outside) / sqrt((variance inside + variance outside) / 2 + 0.25^2),

all of log-normalised values: Cohen's d, both sides weighing alike however many cells they have, so that a few cells
which happen to have a rare gene do not make it a marker. The 0.25 (log units) keeps genes with next to no spread, and
groups of one cell, from taking the first places.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy import sparse

from iscan_dash.core.study.expression import SEED, ExpressionSample

FLOOR = 0.25
"""Spread that every gene has at least, in log units."""

ENOUGH = 500
"""Cells of a side that a sample holds, or they are read from the file; as many are taken of a larger side."""

PIECE = 1 << 20
"""Stored values looked at together, so that what is made of them stays near the processor."""


@dataclass(frozen=True, eq=False)
class GeneSums:
    """Sums over some cells, for each gene.

    Parameters
    ----------
    n_cells
        Number of cells.
    total, squares
        Sum of the values and of their squares; shape (n_genes,), float64.
    detected
        Cells in which the value is above zero; shape (n_genes,), float64.
    """

    n_cells: int
    total: np.ndarray
    squares: np.ndarray
    detected: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Mean of each gene."""
        return self.total / max(self.n_cells, 1)

    @property
    def variance(self) -> np.ndarray:
        """Variance of each gene over these cells."""
        # Rounding must not make it negative.
        variance: np.ndarray = np.maximum(self.squares / max(self.n_cells, 1) - self.mean**2, 0)
        return variance

    @property
    def share(self) -> np.ndarray:
        """Part of the cells in which each gene is above zero."""
        return self.detected / max(self.n_cells, 1)

    def __add__(self, other: "GeneSums") -> "GeneSums":
        return GeneSums(
            self.n_cells + other.n_cells,
            self.total + other.total,
            self.squares + other.squares,
            self.detected + other.detected,
        )

    def __sub__(self, other: "GeneSums") -> "GeneSums":
        return self + replace(
            other, n_cells=-other.n_cells, total=-other.total, squares=-other.squares, detected=-other.detected
        )

    def of(self, places: np.ndarray) -> "GeneSums":
        """Return the sums of some genes, in this order."""
        return GeneSums(self.n_cells, self.total[places], self.squares[places], self.detected[places])


@dataclass(frozen=True)
class Marker:
    """A gene that is higher in a group of cells than in the rest.

    Parameters
    ----------
    gene
        Its name.
    inside, outside
        Share of the cells inside and outside the group in which it is above zero.
    difference
        Mean inside less mean outside, of log-normalised values.
    score
        The difference in units of the gene's spread.
    """

    gene: str
    inside: float
    outside: float
    difference: float
    score: float


@dataclass(frozen=True, eq=False)
class Sides:
    """The sums of a group of cells and of the rest, and how many cells those are.

    Parameters
    ----------
    inside, outside
        Sums over the cells that were looked at.
    n_inside, n_outside
        Cells that there are.
    """

    inside: GeneSums
    outside: GeneSums
    n_inside: int
    n_outside: int

    @property
    def is_whole(self) -> bool:
        """Whether every cell was looked at."""
        return self.inside.n_cells == self.n_inside and self.outside.n_cells == self.n_outside


class Comparer:
    """Compares groups of cells with the rest, in a sample of the study or all of it.

    Parameters
    ----------
    sample
        The expression of all or some cells.
    enough
        Cells of a side that are looked at when it has as many, though the sample has fewer.
    """

    def __init__(self, sample: ExpressionSample, enough: int = ENOUGH) -> None:
        self.sample = sample
        self._enough = enough

    @cached_property
    def _all(self) -> GeneSums:
        """The sums over the whole sample: the larger side of a comparison is the rest of it."""
        return self._sums([np.ones(len(own), bool) for own in self.sample.cells], _nothing)

    def compare(self, mask: np.ndarray, check: Callable[[], None] = lambda: None) -> Sides:
        """Sum every gene over a group of cells and over the rest.

        Parameters
        ----------
        mask
            The group; shape (n_cells of the study,), bool.
        check
            Called before each piece of work, some hundred times a second; ends the work by raising.
        """
        check()
        n_inside = int(np.count_nonzero(mask))
        n_outside = len(mask) - n_inside
        is_inside = [mask[own] for own in self.sample.cells]
        n_sampled = sum(int(own.sum()) for own in is_inside)
        if 2 * n_sampled <= self.sample.n_cells:
            inside = self._sums(is_inside, check)
            outside = self._all - inside
        else:
            outside = self._sums([~own for own in is_inside], check)
            inside = self._all - outside
        if inside.n_cells < min(n_inside, self._enough):
            inside = self._from_files(mask, check)
        if outside.n_cells < min(n_outside, self._enough):
            outside = self._from_files(~mask, check)
        return Sides(inside, outside, n_inside, n_outside)

    def _sums(self, wanted: Sequence[np.ndarray], check: Callable[[], None]) -> GeneSums:
        """Sum over cells of the sample, given as a mask for each file."""
        parts = [
            sum_genes(values, np.flatnonzero(own), check).of(file.places)
            for file, values, own in zip(self.sample.files, self.sample.values, wanted, strict=True)
        ]
        return sum(parts[1:], parts[0])

    def _from_files(self, mask: np.ndarray, check: Callable[[], None]) -> GeneSums:
        """Sum over cells of a side of which the sample has too few, read for this."""
        cells = np.flatnonzero(mask)
        if len(cells) > self._enough:
            cells = np.sort(np.random.default_rng(SEED).choice(cells, self._enough, replace=False))
        parts = []
        for file in self.sample.files:
            own = cells[np.searchsorted(cells, file.start) : np.searchsorted(cells, file.end)] - file.start
            values = file.read(own, lambda _done, _total: check())
            parts.append(sum_genes(values, np.arange(len(own)), check).of(file.places))
        return sum(parts[1:], parts[0])


def _nothing() -> None:
    """Check nothing."""


def sum_genes(values: sparse.csr_array, rows: np.ndarray, check: Callable[[], None] = _nothing) -> GeneSums:
    """Sum every gene over some cells.

    Parameters
    ----------
    values
        The cells; shape (n_cells, n_genes), float32.
    rows
        Which of them, ascending.
    check
        Called before each piece of work.

    Examples
    --------
    >>> sums = sum_genes(sparse.csr_array([[1.0, 0.0], [3.0, 2.0], [0.0, 5.0]]), np.array([0, 1]))
    >>> sums.total.tolist(), sums.squares.tolist(), sums.detected.tolist()
    ([4.0, 2.0], [10.0, 4.0], [2.0, 1.0])
    """
    n_genes = values.shape[1]
    total, squares, detected = np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes)
    starts, ends = values.indptr[:-1][rows], values.indptr[1:][rows]
    piece = np.cumsum(ends - starts) // PIECE
    edges = [0, *(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(rows)]
    for first, last in pairwise(edges):
        check()
        own = values[rows[first:last]]
        genes, numbers = own.indices.astype(np.intp), own.data.astype(np.float64)
        total += np.bincount(genes, numbers, n_genes)
        squares += np.bincount(genes, numbers * numbers, n_genes)
        detected += np.bincount(genes, numbers > 0, n_genes)
    return GeneSums(len(rows), total, squares, detected)


def rank_genes(sides: Sides, genes: Sequence[str], most: int) -> list[Marker]:
    """Return the genes that are highest in a group of cells compared with the rest, the best first.

    Parameters
    ----------
    sides
        The sums of both.
    genes
        Names of the genes.
    most
        How many to return at most; genes that are not higher inside are never returned, and none when a side has no
        cell.
    """
    inside, outside = sides.inside, sides.outside
    if not (inside.n_cells and outside.n_cells):
        return []
    difference = inside.mean - outside.mean
    score = difference / np.sqrt((inside.variance + outside.variance) / 2 + FLOOR**2)
    best = np.argsort(-score, kind="stable")[:most]
    here, elsewhere = inside.share, outside.share
    return [
        Marker(
            genes[place],
            inside=float(here[place]),
            outside=float(elsewhere[place]),
            difference=float(difference[place]),
            score=float(score[place]),
        )
        for place in best.tolist()
        if difference[place] > 0
    ]
