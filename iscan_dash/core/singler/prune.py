"""Pruning: which labels are not to be trusted, by how far their score stands out."""

from dataclasses import dataclass

import numpy as np

MAD_SCALE = 1.4826
"""Makes the median absolute deviation of normal values their standard deviation."""

NO_PRUNING = 100.0
"""From this many deviations on nothing is pruned, whatever the formula says: a deviation can be 0."""


@dataclass(frozen=True, eq=False)
class Pruned:
    """What was pruned, and why.

    Parameters
    ----------
    is_pruned
        Whether a cell's label is not to be trusted, shape (n_cells,), bool.
    margin
        Score of the cell's label minus the median of its scores for all labels, shape (n_cells,), float64.
    thresholds
        Least margin of each label, shape (n_labels,), float64; -inf where no cell carries it, and
        when nothing is pruned.
    """

    is_pruned: np.ndarray
    margin: np.ndarray
    thresholds: np.ndarray


def margins(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return how far the score of each cell's label is above the median of its scores for all labels.

    Parameters
    ----------
    scores
        First-pass scores, shape (n_cells, n_labels), float64.
    label
        Final label of each cell, shape (n_cells,), integer.

    Returns
    -------
    numpy.ndarray
        shape (n_cells,), float64. Negative when fine-tuning chose a label of a low score.

    Examples
    --------
    >>> margins(np.array([[0.5, 0.2, 0.1]]), np.array([0])).round(3).tolist()
    [0.3]
    """
    found = np.empty(len(label))
    # In blocks, since the median needs a copy.
    step = max(1, 1_000_000 // max(1, scores.shape[1]))
    for start in range(0, len(label), step):
        part = scores[start : start + step]
        own = np.take_along_axis(part, label[start : start + step, None].astype(np.int64), axis=1)[:, 0]
        found[start : start + step] = own - np.median(part, axis=1)
    return found


def prune(
    scores: np.ndarray,
    label: np.ndarray,
    delta: np.ndarray,
    *,
    nmads: float | None = 3.0,
    min_diff_med: float = -np.inf,
    min_diff_next: float = 0.0,
) -> Pruned:
    """Mark labels whose score does not stand out, as R's ``SingleR::pruneScores`` does.

    For each final label, cells whose margin is more than `nmads` median absolute deviations below the median of the
    label's cells are pruned. The cells that fall below the two fixed limits are pruned as well, and left out of those
    medians. This needs no more than the results, so another cutoff can be tried at once.

    Parameters
    ----------
    scores
        First-pass scores, shape (n_cells, n_labels), float64.
    label
        Final label of each cell, shape (n_cells,), integer.
    delta
        Final difference to the next label, shape (n_cells,), float64.
    nmads
        Deviations below the median; with None, or 100 and more, nothing at all is pruned.
    min_diff_med
        Least margin of any cell.
    min_diff_next
        Least delta of any cell. A delta of NaN (a reference with a single label) passes.

    Examples
    --------
    >>> scores = np.array([[0.5, 0.1], [0.52, 0.1], [0.48, 0.1], [0.51, 0.1], [0.2, 0.19]])
    >>> pruned = prune(scores, np.zeros(5, int), np.full(5, 0.1))
    >>> pruned.is_pruned.tolist()
    [False, False, False, False, True]
    """
    n_labels = scores.shape[1]
    margin = margins(scores, label)
    thresholds = np.full(n_labels, -np.inf)
    if nmads is None or nmads >= NO_PRUNING:
        return Pruned(np.zeros(len(label), bool), margin, thresholds)
    stands_out = (margin >= min_diff_med) & ~(delta < min_diff_next)
    for number in range(n_labels):
        own = margin[stands_out & (label == number)]
        if len(own):
            middle = np.median(own)
            thresholds[number] = middle - nmads * MAD_SCALE * np.median(np.abs(own - middle))
    return Pruned(~stands_out | (margin < thresholds[label]), margin, thresholds)
