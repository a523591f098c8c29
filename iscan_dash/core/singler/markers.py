"""Classic marker detection: for each pair of labels, the genes whose medians differ most."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from math import floor, log2

import numpy as np

from iscan_dash.core.engine.kernel import kernel
from iscan_dash.core.singler.order_statistics import LANES, keep_largest
from iscan_dash.errors import PredictionRefused

UserMarkers = Mapping[str, Sequence[str]] | Mapping[str, Mapping[str, Sequence[str]]]
"""Marker genes given by hand: for each label, or for each pair of labels."""


@dataclass(frozen=True, eq=False)
class Markers:
    """Marker genes of ordered pairs of labels.

    Parameters
    ----------
    n_labels
        Number of labels.
    starts
        Where the markers of label ``a`` against label ``b`` begin in `rows`, at position ``a * n_labels + b``;
        shape (n_labels**2 + 1,), int64.
    rows
        Genes, the strongest of a pair first, int64.
    """

    n_labels: int
    starts: np.ndarray
    rows: np.ndarray

    def of(self, label: int, other: int) -> np.ndarray:
        """Return the genes that tell a label from another one, strongest first."""
        pair = label * self.n_labels + other
        return self.rows[self.starts[pair] : self.starts[pair + 1]]


def markers_per_pair(n_labels: int) -> int:
    """Return how many genes each pair of labels gets: 500 * (2/3)^log2(n_labels), rounded half up.

    As R's ``SingleR::getClassicMarkers`` does, so that references with many labels do not use every gene.

    Examples
    --------
    >>> [markers_per_pair(n_labels) for n_labels in (2, 24, 43, 157)]
    [333, 78, 55, 26]
    """
    wanted: float = 500 * (2 / 3) ** log2(n_labels)
    return floor(wanted + 0.5)


def classic_markers(
    values: np.ndarray,
    genes: np.ndarray,
    profiles: Sequence[np.ndarray],
    n_markers: int | None,
    pool: Executor,
    n_pieces: int,
) -> Markers:
    """Find the genes that are higher in one label than in another, by the difference of their medians.

    Parameters
    ----------
    values
        The reference, shape (n_profiles, n_genes), float32 or float64, log scale.
    genes
        Genes to choose from, positions among the columns of `values`; equal differences go to the earlier one.
    profiles
        The rows of `values` of each label.
    n_markers
        Genes a pair; None for `markers_per_pair`.
    pool, n_pieces
        Who does the work, and in how many pieces.

    Returns
    -------
    Markers
        ``rows`` are positions in `genes`. The markers of a pair and those of its reverse never share a gene, and a
        label has none against itself.
    """
    n_labels = len(profiles)
    wanted = min(markers_per_pair(n_labels) if n_markers is None else n_markers, len(genes))
    medians = np.empty((n_labels, len(genes)))
    members = np.concatenate(profiles).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in profiles])]).astype(np.int64)
    cuts = np.linspace(0, len(genes), n_pieces + 1).astype(np.int64)
    list(pool.map(lambda a, b: label_medians(values, genes, members, starts, a, b, medians), cuts, cuts[1:]))
    best = np.empty((n_labels, n_labels, wanted), np.int32)
    counts = np.zeros((n_labels, n_labels), np.int64)
    list(pool.map(lambda piece: top_differences(medians, piece, n_pieces, best, counts), range(n_pieces)))
    lengths = counts.ravel()
    kept = np.arange(wanted) < lengths[:, None]
    return Markers(n_labels, _offsets(lengths), best.reshape(-1, wanted)[kept].astype(np.int64))


def user_markers(given: UserMarkers, names: Sequence[str], genes: Sequence[str]) -> Markers:
    """Arrange marker genes given by hand; those that are not among the genes are left out.

    Markers given for a label stand on the diagonal: they are used whenever the label is.

    Parameters
    ----------
    given
        Genes of each label, or of each label against each other one.
    names
        All labels, in order.
    genes
        Names to choose from.

    Raises
    ------
    PredictionRefused
        A label or a pair has no entry.

    Examples
    --------
    >>> markers = user_markers({"B": ["CD79A", "none"], "T": ["CD3D"]}, ["B", "T"], ["CD3D", "CD79A"])
    >>> markers.of(0, 0).tolist(), markers.of(0, 1).tolist()
    ([1], [])
    """
    place = {name: row for row, name in reversed(list(enumerate(genes)))}
    lists: list[list[int]] = []
    for label in names:
        own = given.get(label)
        if own is None:
            raise PredictionRefused(f'The markers have no entry for the label "{label}". Every label needs one.')
        for other in names:
            if not isinstance(own, Mapping):
                chosen: Sequence[str] = own if other == label else ()
            elif other in own:
                chosen = own[other]
            elif other == label:
                chosen = ()
            else:
                raise PredictionRefused(f'The markers have no entry for "{label}" against "{other}".')
            lists.append([place[name] for name in dict.fromkeys(chosen) if name in place])
    rows = np.array([row for chosen in lists for row in chosen], np.int64)
    return Markers(len(names), _offsets(np.array([len(chosen) for chosen in lists], np.int64)), rows)


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


@kernel
def label_medians(
    values: np.ndarray,
    genes: np.ndarray,
    members: np.ndarray,
    starts: np.ndarray,
    first: int,
    last: int,
    medians: np.ndarray,
) -> None:
    """Find the median of each label's profiles for a range of genes; of an even number, the mean of the middle two.

    Parameters
    ----------
    values
        shape (n_profiles, n_columns), float32 or float64.
    genes
        Columns of `values` to look at, int64.
    members, starts
        Rows of `values` label by label, and where each label begins, int64.
    first, last
        Range of `genes`.
    medians
        Filled, shape (n_labels, len(genes)), float64.
    """
    n_labels = len(starts) - 1
    longest = 0
    for label in range(n_labels):
        longest = max(longest, starts[label + 1] - starts[label])
    block = np.zeros((longest, LANES))
    kept = np.empty((longest // 2 + 1, LANES))
    passing = np.empty(LANES)
    for label in range(n_labels):
        n_members = starts[label + 1] - starts[label]
        middle = n_members // 2
        for start in range(first, last, LANES):
            n_lanes = min(LANES, last - start)
            for row in range(n_members):
                member = members[starts[label] + row]
                for lane in range(n_lanes):
                    block[row, lane] = values[member, genes[start + lane]]
            keep_largest(block, 0, n_members, middle + 1, kept, passing)
            for lane in range(n_lanes):
                if n_members % 2:
                    medians[label, start + lane] = kept[middle, lane]
                else:
                    medians[label, start + lane] = (kept[middle - 1, lane] + kept[middle, lane]) / 2


@kernel
def bound_of_top(values: np.ndarray, wanted: int, highest: np.ndarray) -> float:
    """Return a lower bound for the n-th largest value that few values reach, at least 0.

    Values are dealt out to classes. The n-th largest of the classes' maxima is such a bound.

    Parameters
    ----------
    values
        shape (n_values,), float64.
    wanted
        The n, at most the number of classes.
    highest
        Work space, one place a class, float64.
    """
    n_classes = len(highest)
    highest[:] = 0.0
    for start in range(0, len(values), n_classes):
        for place in range(min(n_classes, len(values) - start)):
            value = values[start + place]
            old = highest[place]
            highest[place] = value if value > old else old
    bound: float = np.partition(highest, n_classes - wanted)[n_classes - wanted]
    return bound


@kernel
def list_from(values: np.ndarray, bound: float, found: np.ndarray) -> int:
    """List the positive values that reach a bound, in order.

    Parameters
    ----------
    values
        shape (n_values,), float64.
    bound
        Least value.
    found
        Filled with their places, shape (>= n_values,), int32.

    Returns
    -------
    int
        How many there are.
    """
    n_found = 0
    for start in range(0, len(values), 64):
        stop = min(start + 64, len(values))
        n_hits = 0
        for place in range(start, stop):
            n_hits += values[place] >= bound
        # Most stretches have none, and counting them is done side by side.
        if n_hits:
            for place in range(start, stop):
                found[n_found] = place
                n_found += (values[place] >= bound) & (values[place] > 0.0)
    return n_found


@kernel
def top_differences(medians: np.ndarray, piece: int, n_pieces: int, best: np.ndarray, counts: np.ndarray) -> None:
    """Find the genes with the largest positive difference of medians for a share of the pairs of labels.

    Parameters
    ----------
    medians
        shape (n_labels, n_genes), float64.
    piece, n_pieces
        Labels ``piece``, ``piece + n_pieces``, ... are compared with all others.
    best
        Filled with genes, largest difference first, equal ones in order; shape (n_labels, n_labels, n_markers), int32.
    counts
        Filled with the number of them, shape (n_labels, n_labels), int64.
    """
    n_labels, n_genes = medians.shape
    wanted = best.shape[2]
    difference = np.empty(n_genes)
    highest = np.empty(max(64, 4 * wanted))
    found = np.empty(n_genes + 1, np.int32)
    for label in range(piece, n_labels, n_pieces):
        for other in range(n_labels):
            if other == label or wanted == 0:
                continue
            for gene in range(n_genes):
                difference[gene] = medians[label, gene] - medians[other, gene]
            n_found = list_from(difference, bound_of_top(difference, wanted, highest), found)
            order = np.argsort(-difference[found[:n_found]], kind="mergesort")
            counts[label, other] = min(n_found, wanted)
            for place in range(counts[label, other]):
                best[label, other, place] = found[order[place]]
