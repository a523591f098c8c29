"""The largest few of many values, for many columns side by side."""

import numpy as np

from iscan_dash.core.engine.kernel import kernel

LANES = 16
"""Columns that are worked on side by side: two registers of AVX-512, four of AVX2."""


@kernel
def keep_largest(values: np.ndarray, first: int, last: int, n_kept: int, kept: np.ndarray, passing: np.ndarray) -> None:
    """Find the largest values of each lane by insertion without branches.

    Every value walks down the list of those kept: the larger of the two stays, the smaller goes on.

    Parameters
    ----------
    values
        shape (n, LANES), float64.
    first, last
        Rows looked at, first <= row < last.
    n_kept
        How many of the largest to keep, at most last - first.
    kept
        Filled with them, largest first, shape (>= n_kept, LANES), float64.
    passing
        Work space, shape (LANES,), float64.
    """
    for row in range(first, last):
        for lane in range(LANES):
            passing[lane] = values[row, lane]
        filled = min(row - first, n_kept)
        for place in range(filled):
            for lane in range(LANES):
                old = kept[place, lane]
                new = passing[lane]
                is_larger = new > old
                kept[place, lane] = new if is_larger else old
                passing[lane] = old if is_larger else new
        if filled < n_kept:
            for lane in range(LANES):
                kept[filled, lane] = passing[lane]
