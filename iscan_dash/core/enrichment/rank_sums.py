"""Ranks of the cells by their scores of each set: what a test between groups is made of, whatever the groups are."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from iscan_dash.core.enrichment.scores import SetScores


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
    # Imported late: a server starts without Numba.
    from iscan_dash.core.enrichment.group_kernels import rank_ordered

    ranks = np.zeros((scores.n_sets, scores.n_cells), np.uint32)
    ties = np.zeros(scores.n_sets)

    def work(own: int) -> None:
        values = np.array(scores.score[own])
        if scores.n_cells and not np.isnan(values[0]):
            ties[own] = rank_ordered(values, np.argsort(values), ranks[own])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(scores.n_sets)))
    return RankedScores(ranks, ties)
