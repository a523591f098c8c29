"""Ranks of reference profiles over the marker genes, as whole numbers.

A *rank* here is doubled and centred: the number of genes below minus the number of genes above,
``d = 2 * rank - (n_genes - 1)`` for average ranks from 0. Spearman's correlation of two vectors is then
``sum(d1 * d2) / sqrt(sum(d1**2) * sum(d2**2))``, and all three sums are whole numbers below 2**53: they are exact
whatever the order they are summed in, so ties between labels are real ties, and results do not depend on threads.
"""

from typing import NamedTuple

import numpy as np

from iscan_dash.core.engine.kernel import kernel

PROFILE_MULTIPLE = 32
"""Rows of ranks are padded to a multiple of this: one register of AVX-512 holds 32 of them."""


class ProfileRanks(NamedTuple):
    """Ranks of all profiles over all marker genes.

    Parameters
    ----------
    ranks
        Doubled centred ranks, shape (n_markers + 1, n_padded), int16: genes are rows, since scoring adds rows. Zero in
        padded columns and in the last row.
    position
        Place of each gene in the sorted order of a profile, all different, shape (n_profiles, n_markers), uint16.
    lowest
        Smallest place among the genes of equal value, same shape, uint16.
    tie
        Number of the group of equal values, from 1; 0 for a value of its own; same shape, uint16.
    n_ties
        Largest number of such groups in a profile.
    squares
        Sum of squared ranks of each profile, shape (n_profiles,), float64.
    """

    ranks: np.ndarray
    position: np.ndarray
    lowest: np.ndarray
    tie: np.ndarray
    n_ties: int
    squares: np.ndarray


def rank_profiles(values: np.ndarray) -> ProfileRanks:
    """Rank the marker genes of each profile.

    Parameters
    ----------
    values
        shape (n_profiles, n_markers), float32 or float64, without NaN; n_markers < 2**15.

    Examples
    --------
    >>> ranked = rank_profiles(np.array([[0.0, 3.0, 0.0, 1.0]]))
    >>> ranked.ranks[:4, 0].tolist(), ranked.squares.tolist()
    ([-2, 3, -2, 1], [18.0])
    """
    n_profiles, n_markers = values.shape
    n_padded = -(-n_profiles // PROFILE_MULTIPLE) * PROFILE_MULTIPLE
    ranks = np.zeros((n_markers + 1, n_padded), np.int16)
    position, lowest, tie = (np.zeros((n_profiles, n_markers), np.uint16) for _ in range(3))
    squares = np.zeros(n_profiles)
    order = np.argsort(values, axis=1)
    n_ties = rank_sorted(values.astype(np.float64, copy=False), order, ranks, position, lowest, tie, squares)
    # Without ties they are the same: one array takes half the room in the caches.
    return ProfileRanks(ranks, position, lowest if n_ties else position, tie, n_ties, squares)


@kernel
def rank_sorted(
    values: np.ndarray,
    order: np.ndarray,
    ranks: np.ndarray,
    position: np.ndarray,
    lowest: np.ndarray,
    tie: np.ndarray,
    squares: np.ndarray,
) -> int:
    """Turn sorted orders into ranks; see `ProfileRanks` for what is filled.

    Parameters
    ----------
    values, order
        shape (n_profiles, n_markers): values, float64, and the positions that sort them, int64.
    ranks, position, lowest, tie, squares
        Filled.

    Returns
    -------
    int
        Largest number of groups of equal values in a profile.
    """
    n_profiles, n_markers = values.shape
    most = 0
    for profile in range(n_profiles):
        n_groups = 0
        first = 0
        total = 0
        while first < n_markers:
            value = values[profile, order[profile, first]]
            last = first + 1
            while last < n_markers and values[profile, order[profile, last]] == value:
                last += 1
            if last - first > 1:
                n_groups += 1
            rank = first + last - n_markers
            total += (last - first) * rank * rank
            for place in range(first, last):
                gene = order[profile, place]
                ranks[gene, profile] = rank
                position[profile, gene] = place
                lowest[profile, gene] = first
                tie[profile, gene] = n_groups if last - first > 1 else 0
            first = last
        squares[profile] = total
        most = max(most, n_groups)
    return most
