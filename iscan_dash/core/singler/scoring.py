"""Scores of cells: Spearman's correlation with every profile, then a high quantile over the profiles of each label.

A cell's ranks are the same number ``z`` for all its zeros, and the ranks of a profile sum to 0, so
``sum(d_cell * d_profile)`` is the sum of ``(d_cell - z) * d_profile`` over the genes that are not zero. Of these, most
share a value with many others: their rows are added before they are multiplied.
"""

from typing import NamedTuple

import numpy as np

from iscan_dash.core.engine.kernel import kernel
from iscan_dash.core.singler.order_statistics import LANES, keep_largest

_MOST = 2**31 - 1
"""Sums of 32 bits are emptied into wider ones before they could pass this."""

_NARROW = 8193
"""Four ranks over fewer genes than this add up in 16 bits."""


class Quantile(NamedTuple):
    """How the correlations of a label's profiles become its score: R's quantile of type 7.

    Parameters
    ----------
    n_kept
        How many of the largest correlations matter, by number of profiles, int64.
    share
        How far the score lies from the last but one of them towards the last, by number of profiles, float64.
    """

    n_kept: np.ndarray
    share: np.ndarray


def upper_quantile(quantile: float, most_profiles: int) -> Quantile:
    """Prepare the quantile for labels of up to `most_profiles` profiles.

    With ``h = (n - 1) * (1 - quantile)``, the score lies between the largest values number ``floor(h)`` and
    ``ceil(h)``, counted from 0.

    Examples
    --------
    >>> prepared = upper_quantile(0.8, 4)
    >>> prepared.n_kept.tolist(), prepared.share.round(3).tolist()
    ([1, 1, 2, 2, 2], [1.0, 1.0, 0.2, 0.4, 0.6])
    """
    height = np.maximum(np.arange(most_profiles + 1) - 1, 0) * (1 - quantile)
    # 0.2 * 5 is 1.0000000000000002 in some roundings of 1 - 0.8; a whole number must stay one.
    height = np.where(np.abs(height - np.round(height)) < 1e-9, np.round(height), height)
    right = np.ceil(height)
    share = np.where(right > height, height - np.floor(height), 1.0)
    return Quantile((right + 1).astype(np.int64), share)


@kernel
def weigh_groups(
    sizes: np.ndarray, n_groups: int, n_negative: int, n_genes: int, weights: np.ndarray
) -> tuple[int, int]:
    """Find the weight of each group of equal non-zero values of a cell, and what was taken off all weights.

    A weight is ``d - z - common``, with ``d`` the group's doubled centred rank and ``z`` that of the zeros. Taking
    ``n_genes`` off all of them makes the weights of sparse cells small.

    Parameters
    ----------
    sizes
        Genes of each group, ascending by value, shape (>= n_groups,).
    n_groups, n_negative
        Number of groups, and of those below zero.
    n_genes
        Genes that are ranked, zeros included.
    weights
        Filled, shape (>= n_groups,), int64.

    Returns
    -------
    common : int
        What was taken off.
    squares : int
        Sum of the cell's squared ranks.
    """
    n_zeros = n_genes
    for group in range(n_groups):
        n_zeros -= sizes[group]
    below = 0
    squares = 0
    zero_rank = 0
    for group in range(n_groups + 1):
        if group == n_negative:
            zero_rank = 2 * below + n_zeros - n_genes
            squares += n_zeros * zero_rank * zero_rank
            below += n_zeros
        if group < n_groups:
            size = sizes[group]
            rank = 2 * below + size - n_genes
            squares += size * rank * rank
            below += size
            weights[group] = rank
    common = n_genes if n_negative == 0 else 0
    for group in range(n_groups):
        weights[group] -= zero_rank + common
    return common, squares


@kernel
def add_equal(
    ranks: np.ndarray, rows: np.ndarray, first: int, weight: int, width: int, plain: np.ndarray, weighted: np.ndarray
) -> None:
    """Add eight rows of ranks, all of one weight, to the sum of rows and to the weighted sum.

    Parameters
    ----------
    ranks
        shape (n_rows, >= width), int16; four ranks must add up in 16 bits.
    rows
        Rows to add are ``rows[first : first + 8]``.
    weight
        Their weight.
    width
        Number of profiles, padded.
    plain, weighted
        Sums, changed; shape (>= width,), int32.
    """
    a, b, c, d = rows[first], rows[first + 1], rows[first + 2], rows[first + 3]
    e, f, g, h = rows[first + 4], rows[first + 5], rows[first + 6], rows[first + 7]
    factor = np.int32(weight)
    for profile in range(width):
        low = np.int16(ranks[a, profile] + ranks[b, profile] + ranks[c, profile] + ranks[d, profile])
        high = np.int16(ranks[e, profile] + ranks[f, profile] + ranks[g, profile] + ranks[h, profile])
        total = np.int32(low) + np.int32(high)
        plain[profile] = np.int32(plain[profile] + total)
        weighted[profile] = np.int32(weighted[profile] + np.int32(total) * factor)


@kernel
def add_weighted(
    ranks: np.ndarray, rows: np.ndarray, weights: np.ndarray, width: int, plain: np.ndarray, weighted: np.ndarray
) -> None:
    """Add four rows of ranks, each with its own weight, to the sum of rows and to the weighted sum.

    Parameters
    ----------
    ranks
        shape (n_rows, >= width), int16.
    rows, weights
        Rows to add and their weights, shape (4,), int64 and int32.
    width
        Number of profiles, padded.
    plain, weighted
        Sums, changed; shape (>= width,), int32.
    """
    a, b, c, d = rows[0], rows[1], rows[2], rows[3]
    i, j, k, m = weights[0], weights[1], weights[2], weights[3]
    for profile in range(width):
        w, x = np.int32(ranks[a, profile]), np.int32(ranks[b, profile])
        y, z = np.int32(ranks[c, profile]), np.int32(ranks[d, profile])
        plain[profile] = np.int32(plain[profile] + w + x + y + z)
        # Each product is brought back to 32 bits: left at 64 it takes an instruction that is ten times slower.
        low = np.int32(np.int32(w * i) + np.int32(x * j))
        high = np.int32(np.int32(y * k) + np.int32(z * m))
        weighted[profile] = np.int32(weighted[profile] + low + high)


@kernel
def empty_sums(width: int, weighted: np.ndarray, total: np.ndarray) -> None:
    """Move the weighted sums of 32 bits into the wide ones; shapes (>= width,), int32 and float64."""
    for profile in range(width):
        total[profile] += weighted[profile]
        weighted[profile] = 0


@kernel
def products(
    ranks: np.ndarray,
    blank: int,
    rows: np.ndarray,
    sizes: np.ndarray,
    n_groups: int,
    weights: np.ndarray,
    common: int,
    n_genes: int,
    width: int,
    plain: np.ndarray,
    weighted: np.ndarray,
    total: np.ndarray,
) -> None:
    """Find the sum of products of a cell's ranks with those of every profile, exactly.

    Parameters
    ----------
    ranks
        Ranks of the profiles, shape (n_rows, >= width), int16.
    blank
        A row of zeros in it.
    rows
        Rows of the cell's non-zero genes, group after group.
    sizes, n_groups, weights, common
        The groups, see `weigh_groups`.
    n_genes
        Genes that were ranked: no rank is n_genes or more.
    width
        Number of profiles, padded.
    plain, weighted
        Work space, shape (>= width,), int32.
    total
        Filled, shape (>= width,), float64: whole numbers below 2**53.
    """
    plain[:width] = 0
    weighted[:width] = 0
    total[:width] = 0.0
    waiting = np.full(4, blank, np.int64)
    waiting_weights = np.zeros(4, np.int32)
    n_waiting = 0
    room = _MOST
    place = 0
    for group in range(n_groups):
        weight = weights[group]
        end = place + sizes[group]
        while place < end:
            step = 8 if n_genes < _NARROW and place + 8 <= end else 1
            cost = step * abs(weight) * n_genes
            if cost > room:
                # Rows that wait were counted already, so they belong to the sums that are emptied now.
                add_weighted(ranks, waiting, waiting_weights, width, plain, weighted)
                waiting[:] = blank
                n_waiting = 0
                empty_sums(width, weighted, total)
                room = _MOST
            room -= cost
            if step == 8:
                add_equal(ranks, rows, place, weight, width, plain, weighted)
            else:
                waiting[n_waiting] = rows[place]
                waiting_weights[n_waiting] = weight
                n_waiting += 1
                if n_waiting == 4:
                    add_weighted(ranks, waiting, waiting_weights, width, plain, weighted)
                    waiting[:] = blank
                    n_waiting = 0
            place += step
    add_weighted(ranks, waiting, waiting_weights, width, plain, weighted)
    for profile in range(width):
        total[profile] += np.int64(weighted[profile]) + common * np.int64(plain[profile])


@kernel
def correlate(
    total: np.ndarray, squares: float, scales: np.ndarray, n_profiles: int, lane: int, out: np.ndarray
) -> None:
    """Turn sums of products into correlations, in one lane of `out`.

    When one side has no variance the correlation is 0.5, when both have none it is 1, as in SingleR.

    Parameters
    ----------
    total
        Sums of products, shape (>= n_profiles,), float64.
    squares
        Sum of the cell's squared ranks.
    scales
        One over the root of each profile's sum of squared ranks, 0 without variance, shape (>= n_profiles,), float64.
    n_profiles
        Number of profiles.
    lane
        Column of `out` to fill.
    out
        shape (>= n_profiles, LANES), float64.
    """
    if squares > 0:
        scale = 1 / np.sqrt(squares)
        for profile in range(n_profiles):
            value = total[profile] * scales[profile] * scale
            value = 1.0 if value > 1.0 else value
            value = -1.0 if value < -1.0 else value
            out[profile, lane] = value if scales[profile] > 0.0 else 0.5
    else:
        for profile in range(n_profiles):
            out[profile, lane] = 0.5 if scales[profile] > 0.0 else 1.0


@kernel
def label_scores(
    correlations: np.ndarray,
    ends: np.ndarray,
    n_labels: int,
    n_kept: np.ndarray,
    share: np.ndarray,
    kept: np.ndarray,
    passing: np.ndarray,
    scores: np.ndarray,
) -> None:
    """Take the quantile of the correlations with each label's profiles, for `LANES` cells.

    Parameters
    ----------
    correlations
        shape (n_profiles, LANES), float64.
    ends
        Where the profiles of each label end, shape (>= n_labels,), int64.
    n_labels
        Number of labels.
    n_kept, share
        See `Quantile`.
    kept, passing
        Work space, see `keep_largest`.
    scores
        Filled, shape (>= n_labels, LANES), float64.
    """
    first = 0
    for label in range(n_labels):
        last = ends[label]
        n = n_kept[last - first]
        keep_largest(correlations, first, last, n, kept, passing)
        part = share[last - first]
        for lane in range(LANES):
            right = kept[n - 1, lane]
            if n > 1:
                left = kept[n - 2, lane]
                right = left + (right - left) * part if part < 1.0 else right
            scores[label, lane] = right
        first = last


@kernel
def best_two(scores: np.ndarray, n_labels: int, lane: int) -> tuple[int, float]:
    """Return the first label with the highest score of a lane, and how far it is above all others (NaN if alone).

    Parameters
    ----------
    scores
        shape (>= n_labels, LANES), float64.
    n_labels, lane
        What to look at.
    """
    best = 0
    second = -np.inf
    for label in range(1, n_labels):
        value = scores[label, lane]
        if value > scores[best, lane]:
            second = scores[best, lane]
            best = label
        elif value > second:
            second = value
    return best, scores[best, lane] - second if n_labels > 1 else np.nan
