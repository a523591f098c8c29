"""Loops over the cells that groups are tested and summed with."""

import numpy as np

from iscan_dash.core.engine.kernel import kernel
from iscan_dash.core.enrichment.totals import DETECTED, EXPRESSION, OWN_P, RANK, SCORE


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


@kernel
def add_cells(
    codes: np.ndarray,
    ranks: np.ndarray,
    score: np.ndarray,
    expression: np.ndarray,
    detected: np.ndarray,
    minus_log10_p: np.ndarray,
    totals: np.ndarray,
) -> None:
    """Add what is known of each cell to the totals of its group, for one set.

    Parameters
    ----------
    codes
        Group of each cell, -1 for none, int64.
    ranks, score, expression, detected, minus_log10_p
        What is known of the cells, see `RankedScores` and `SetScores`.
    totals
        Changed, shape (1 + n_groups, N_TOTALS), float64.
    """
    for cell in range(len(codes)):
        own = totals[codes[cell] + 1]
        own[SCORE] += score[cell]
        own[RANK] += ranks[cell]
        own[EXPRESSION] += expression[cell]
        own[DETECTED] += detected[cell]
        own[OWN_P] += minus_log10_p[cell]
