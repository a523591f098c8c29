"""Gene sets as the engine sees them: columns of a matrix, and which sets a gene is in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from iscan_dash.errors import EnrichmentRefused


@dataclass(frozen=True, eq=False)
class MatchedSet:
    """A gene set whose genes have been looked up in a matrix.

    Parameters
    ----------
    name
        What it is called.
    columns
        Columns of the distinct genes that were found; integer, may be empty.
    n_up, n_down
        Distinct genes asked for, found or not: those whose expression counts for the set, and those against it.
    weights
        Weight of each gene found: below zero for one that counts against the set. How large it is matters to ULM only.
        All 1 when None.

    Examples
    --------
    >>> tcell = MatchedSet.of("T cell", ["CD3D", "CD3D", "CD3E"], ["LYZ", "CD3D"])
    >>> tcell.columns.tolist(), tcell.n_requested, tcell.n_found
    ([1], 2, 1)
    """

    name: str
    columns: np.ndarray
    n_up: int
    n_down: int = 0
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        columns = np.require(self.columns, np.int64, ["C"])
        weights = np.ones(len(columns)) if self.weights is None else np.require(self.weights, np.float64, ["C"])
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "weights", weights)
        if columns.ndim != 1 or columns.shape != weights.shape or not np.isfinite(weights).all():
            raise ValueError(f"The genes and weights of {self.name} do not go together.")
        if len(np.unique(columns)) != len(columns):
            raise ValueError(f"A gene of {self.name} was given twice.")
        if (weights >= 0).sum() > self.n_up or (weights < 0).sum() > self.n_down:
            raise ValueError(f"More genes of {self.name} were found than were asked for.")

    @classmethod
    def of(cls, name: str, genes: Sequence[str], names: Sequence[str | None]) -> "MatchedSet":
        """Look genes up by their exact names; of repeated names the first counts.

        Parameters
        ----------
        name
            What the set is called.
        genes
            Its genes.
        names
            The genes of the matrix.
        """
        column_of: dict[str | None, int] = {}
        for column, gene in enumerate(names):
            column_of.setdefault(gene, column)
        distinct = list(dict.fromkeys(genes))
        found = [column_of[gene] for gene in distinct if gene in column_of]
        return cls(name, np.array(found, np.int64), len(distinct))

    @property
    def up(self) -> np.ndarray:
        """Columns of the genes found that count for the set."""
        return self.columns[self.signs >= 0]

    @property
    def down(self) -> np.ndarray:
        """Columns of the genes found that count against the set."""
        return self.columns[self.signs < 0]

    @property
    def signs(self) -> np.ndarray:
        """The weights, which are there once the set is made."""
        return np.ones(len(self.columns)) if self.weights is None else self.weights

    @property
    def n_requested(self) -> int:
        """Distinct genes asked for."""
        return self.n_up + self.n_down

    @property
    def n_found(self) -> int:
        """Distinct genes found."""
        return len(self.columns)

    @property
    def is_empty(self) -> bool:
        """Whether none was found."""
        return not len(self.columns)

    @property
    def coverage(self) -> float:
        """Share of the genes that were found."""
        return self.n_found / self.n_requested if self.n_requested else 0.0


class Inverted(NamedTuple):
    """The sets that each gene is in.

    Parameters
    ----------
    starts
        Where each gene begins in `sets`; shape (n_genes + 1,), int64.
    sets
        Numbers of sets, gene after gene; int32.
    weights
        The gene's weight in each, float64.
    """

    starts: np.ndarray
    sets: np.ndarray
    weights: np.ndarray


def invert(members: Sequence[np.ndarray], weights: Sequence[np.ndarray], n_genes: int) -> Inverted:
    """List the sets of each gene.

    Parameters
    ----------
    members, weights
        Columns of the genes of each set, and their weights.
    n_genes
        Genes of the matrix.

    Examples
    --------
    >>> found = invert([np.array([2, 0]), np.array([2])], [np.ones(2), np.ones(1)], 3)
    >>> found.starts.tolist(), found.sets.tolist()
    ([0, 1, 1, 3], [0, 0, 1])
    """
    genes = np.concatenate([np.zeros(0, np.int64), *members])
    if len(genes) and not 0 <= genes.min() <= genes.max() < n_genes:
        raise EnrichmentRefused("A gene set has a gene that the matrix does not have.")
    numbers = np.repeat(np.arange(len(members), dtype=np.int32), [len(own) for own in members])
    order = np.argsort(genes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(genes, minlength=n_genes))]).astype(np.int64)
    return Inverted(starts, numbers[order], np.concatenate([np.zeros(0), *weights])[order])


class Halves(NamedTuple):
    """The parts of sets that are summed on their own: the genes for a set, and behind them those against it.

    Parameters
    ----------
    genes
        The halves that each gene is in; the weights are all 1.
    down
        The half of the genes against each set, -1 for none; shape (n_sets,), int64. Those for it are the half of the
        set's own number.
    n_halves
        How many there are.
    sizes, requested
        Genes found and asked for of each half; shape (n_halves,), int64.
    """

    genes: Inverted
    down: np.ndarray
    n_halves: int
    sizes: np.ndarray
    requested: np.ndarray


def halve(sets: Sequence[MatchedSet], n_genes: int) -> Halves:
    """Part the sets into genes for and genes against them."""
    signed = [number for number, own in enumerate(sets) if own.n_down]
    members = [own.up for own in sets] + [sets[number].down for number in signed]
    down = np.full(len(sets), -1, np.int64)
    down[signed] = len(sets) + np.arange(len(signed))
    sizes = np.array([len(own) for own in members], np.int64)
    requested = np.array([own.n_up for own in sets] + [sets[number].n_down for number in signed], np.int64)
    return Halves(
        invert(members, [np.ones(len(own)) for own in members], n_genes), down, len(members), sizes, requested
    )
