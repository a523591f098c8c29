"""Prepare a reference for a query: common genes, marker genes, ranks."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from iscan_dash.core.singler.gene_sets import pair_sets
from iscan_dash.core.singler.genes import match_genes
from iscan_dash.core.singler.markers import Markers, UserMarkers, classic_markers, user_markers
from iscan_dash.core.singler.ranks import ProfileRanks, rank_profiles
from iscan_dash.core.singler.reference import Reference
from iscan_dash.errors import PredictionRefused

MOST_MARKERS = 2**15 - 1
"""Ranks are kept in 16 bits."""


class TrainedArrays(NamedTuple):
    """What the kernels read of a trained reference; profiles are in the order of their labels.

    Parameters
    ----------
    profiles
        Ranks of the profiles over all markers.
    ends
        Where the profiles of each label end, shape (n_labels,), int64.
    scales
        One over the root of each profile's sum of squared ranks, 0 without variance, shape (n_profiles,), float64.
    pair_sets
        Markers of each pair of labels as bits, see `gene_sets.pair_sets`.
    """

    profiles: ProfileRanks
    ends: np.ndarray
    scales: np.ndarray
    pair_sets: np.ndarray


@dataclass(frozen=True, eq=False)
class Trained:
    """A reference made ready for the genes of a query.

    Parameters
    ----------
    labels
        The labels, sorted; columns of scores are in this order.
    genes
        Names of all marker genes, in the order of the reference.
    columns
        Where these genes are in the query, shape (n_markers,), int64.
    markers
        Marker genes of each pair of labels, as positions in `genes`.
    n_common
        Genes that the reference and the query share.
    n_genes_query
        Genes of the query.
    n_profiles
        Profiles of each label.
    arrays
        What the kernels read.
    """

    labels: tuple[str, ...]
    genes: tuple[str, ...]
    columns: np.ndarray
    markers: Markers
    n_common: int
    n_genes_query: int
    n_profiles: np.ndarray
    arrays: TrainedArrays

    @cached_property
    def wide_ranks(self) -> np.ndarray:
        """Ranks of the profiles for products of matrices, shape (n_markers, n_profiles and some zeros), float64."""
        return self.arrays.profiles.ranks[:-1].astype(np.float64)

    def marker_of(self) -> np.ndarray:
        """Return the marker of each column of the query, -1 for none, shape (n_genes_query,), int16."""
        table = np.full(self.n_genes_query, -1, np.int16)
        table[self.columns] = np.arange(len(self.columns))
        return table


def train(
    reference: Reference,
    genes: Sequence[str | None],
    *,
    n_markers: int | None = None,
    markers: UserMarkers | None = None,
    threads: int = 1,
) -> Trained:
    """Prepare a reference for a query: match genes, choose markers among them, rank the profiles.

    Parameters
    ----------
    reference
        The reference.
    genes
        Names of the query's genes, in the order of its columns.
    n_markers
        Marker genes a pair of labels; None for SingleR's rule, see `markers_per_pair`.
    markers
        Marker genes to use instead of choosing them.
    threads
        Threads to use; the outcome is the same for any number.

    Raises
    ------
    PredictionRefused
        There are no common genes, or more than 32,767 markers.

    Examples
    --------
    >>> values = np.array([[5.0, 0.0, 1.0], [0.5, 7.0, 1.0]])
    >>> trained = train(Reference(["CD3D", "LYZ", "ACTB"], values, ["T cell", "Monocyte"]), ["LYZ", "CD3D"])
    >>> trained.labels, trained.genes, trained.columns.tolist()
    (('Monocyte', 'T cell'), ('CD3D', 'LYZ'), [1, 0])
    """
    rows, columns = match_genes(reference, genes)
    n_common = len(rows)
    values = np.require(reference.values, requirements=["C", "W"])
    names = reference.names
    place = {name: position for position, name in enumerate(names)}
    code = np.array([-1 if label is None else place[label] for label in reference.labels])
    profiles = [np.flatnonzero(code == position) for position in range(len(names))]
    if markers is not None:
        found = user_markers(markers, names, [reference.genes[row] or "" for row in rows])
    else:
        with ThreadPoolExecutor(threads) as pool:
            found = classic_markers(values, rows, profiles, n_markers, pool, 4 * threads)
    used, compact = np.unique(found.rows, return_inverse=True)
    if len(used) > MOST_MARKERS:
        raise PredictionRefused(f"The reference has {len(used):,} marker genes; at most {MOST_MARKERS:,} can be used.")
    rows, columns = rows[used], columns[used]
    found = Markers(found.n_labels, found.starts, compact)
    sizes = np.array([len(members) for members in profiles])
    ranked = rank_profiles(values[np.ix_(np.concatenate(profiles), rows)])
    with np.errstate(divide="ignore"):
        scales = np.where(ranked.squares > 0, 1 / np.sqrt(ranked.squares), 0.0)
    arrays = TrainedArrays(ranked, np.cumsum(sizes).astype(np.int64), scales, pair_sets(found, len(rows)))
    marker_names = tuple(str(reference.genes[row]) for row in rows)
    return Trained(names, marker_names, columns, found, n_common, len(genes), sizes, arrays)
