"""Ranks of the cells by their scores of each set: what a test between groups is made of, whatever the groups are."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from iscan_dash.core.enrichment.scores import SetScores
from iscan_dash.core.singler._kernel import kernel


@dataclass(frozen=True, eq=False)
class RankedScores:
    """The cells ranked by their scores, each set on its own.

    Parameters
    ----------
    ranks
        Twice the rank of each cell, from 1 for the lowest, equal scores sharing the mean; shape (n_sets, n_cells),
        uint32. All 0 for a set without scores.
    ties
        Sum of t**3 - t over the groups of t equal scores, shape (n_sets,), float64.
    """

    ranks: np.ndarray
    ties: np.ndarray


def rank_scores(scores: SetScores, *, threads: int = 1) -> RankedScores:
    """Rank the cells by their scores of each set.

    Parameters
    ----------
    scores
        The scores.
    threads
        Threads to use.
    """
    ranks = np.zeros((scores.n_sets, scores.n_cells), np.uint32)
    ties = np.zeros(scores.n_sets)

    def work(own: int) -> None:
        values = np.array(scores.score[own])
        if scores.n_cells and not np.isnan(values[0]):
            ties[own] = rank_ordered(values, np.argsort(values), ranks[own])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(scores.n_sets)))
    return RankedScores(ranks, ties)


@kernel
def rank_ordered(values: np.ndarray, order: np.ndarray, ranks: np.ndarray) -> float:
    """Rank values whose order is known.

    Parameters
    ----------
    values, order
        The values, float64, and the positions that sort them, int64.
    ranks
        Filled with twice the rank of each, uint32.

    Returns
    -------
    float
        Sum of t**3 - t over the groups of t equal values.
    """
    n_values = len(values)
    ties = 0.0
    start = 0
    while start < n_values:
        value = values[order[start]]
        end = start + 1
        while end < n_values and values[order[end]] == value:
            end += 1
        for place in range(start, end):
            ranks[order[place]] = start + end + 1
        size = np.float64(end - start)
        ties += size * size * size - size
        start = end
    return ties
