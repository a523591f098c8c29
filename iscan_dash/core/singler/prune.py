"""Pruning: which labels are not to be trusted, by how far their score stands out."""

from collections.abc import Mapping, Sequence
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
        when nothing of it is pruned.
    """

    is_pruned: np.ndarray
    margin: np.ndarray
    thresholds: np.ndarray


@dataclass(frozen=True, eq=False)
class Spread:
    """How the margins of each label lie: all that cutoffs are measured by, so that any number can be tried at once.

    Parameters
    ----------
    margin, label
        Margin and final label of each cell, shape (n_cells,), float64 and integer.
    stands_out
        Whether a cell is above the limits that are the same for all labels, shape (n_cells,), bool.
    middle, deviation
        Median of the margins of each label, and the median of their distances from it, of the cells that stand out;
        shape (n_labels,), float64, NaN where there are none.
    """

    margin: np.ndarray
    label: np.ndarray
    stands_out: np.ndarray
    middle: np.ndarray
    deviation: np.ndarray

    def pruned_with(self, cutoffs: np.ndarray) -> Pruned:
        """Prune by a cutoff for each label.

        Parameters
        ----------
        cutoffs
            Deviations below the median, shape (n_labels,), float64; from `NO_PRUNING` on nothing of the label is
            pruned. See `label_cutoffs`.
        """
        is_limited = cutoffs < NO_PRUNING
        has_limit = is_limited & ~np.isnan(self.middle)
        limits = self.middle - np.where(is_limited, cutoffs, 0.0) * MAD_SCALE * self.deviation
        thresholds = np.where(has_limit, limits, -np.inf)
        is_pruned = ~self.stands_out | (self.margin < thresholds[self.label])
        if not is_limited.all():
            is_pruned &= is_limited[self.label]
        return Pruned(is_pruned, self.margin, thresholds)


def label_cutoffs(
    labels: Sequence[str], nmads: float | None, per_label: Mapping[str, float | None] | None = None
) -> np.ndarray:
    """Return the cutoff of each label: its own, else the one of all.

    Parameters
    ----------
    labels
        All labels.
    nmads
        Deviations below the median from which a label is pruned; None for no pruning.
    per_label
        Labels with cutoffs of their own; what is no label is passed over.

    Examples
    --------
    >>> label_cutoffs(["B", "NK", "T"], 3, {"T": 2.5, "B": None}).tolist()
    [inf, 3.0, 2.5]
    """
    own = [(per_label or {}).get(label, nmads) for label in labels]
    return np.array([np.inf if cutoff is None else cutoff for cutoff in own], np.float64)


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
    limits = {"min_diff_med": min_diff_med, "min_diff_next": min_diff_next}
    spread = margin_spread(margins(scores, label), label, delta, scores.shape[1], **limits)
    return spread.pruned_with(label_cutoffs([""] * scores.shape[1], nmads))


def margin_spread(
    margin: np.ndarray,
    label: np.ndarray,
    delta: np.ndarray,
    n_labels: int,
    *,
    min_diff_med: float = -np.inf,
    min_diff_next: float = 0.0,
) -> Spread:
    """Find how the margins of each label lie; for the parameters see `margins` and `prune`.

    Examples
    --------
    >>> spread = margin_spread(np.array([0.4, 0.5, 0.3, 0.1]), np.array([0, 0, 0, 2]), np.zeros(4), 3)
    >>> spread.middle.tolist(), spread.deviation.round(3).tolist()
    ([0.4, nan, 0.1], [0.1, nan, 0.0])
    """
    stands_out = (margin >= min_diff_med) & ~(delta < min_diff_next)
    own, codes = margin[stands_out], label[stands_out]
    by_label = own[np.argsort(codes, kind="stable")]
    ends = np.cumsum(np.bincount(codes, minlength=n_labels))
    middle, deviation = np.full(n_labels, np.nan), np.full(n_labels, np.nan)
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        if end > start:
            middle[number] = np.median(by_label[start:end])
            deviation[number] = np.median(np.abs(by_label[start:end] - middle[number]))
    return Spread(margin, label, stands_out, middle, deviation)
