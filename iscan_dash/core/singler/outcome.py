"""What a prediction found, as far as it is looked into afterwards: groups of its cells, and how its margins lie."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

BLOCK = 1_000_000
"""Scores looked at together."""

BINS = 48


@dataclass(frozen=True, eq=False)
class Outcome:
    """Scores and labels of the rows of a prediction, and which row each cell of the study has.

    A row is a cell, or a group of cells when groups were labelled.

    Parameters
    ----------
    labels
        The labels that columns and codes stand for.
    scores
        First-pass scores, shape (n_rows, n_labels), floating.
    label
        Final label of each row before pruning, shape (n_rows,), int32.
    delta
        By how much it was ahead in the last round, shape (n_rows,), float64; NaN with a single label.
    margin
        Score of the label less the median over all labels, shape (n_rows,), float64. Kept beside the scores, which may
        have been rounded: pruning compares it.
    has_markers
        Whether any marker gene was found in the row, shape (n_rows,), bool. Rows without one have no say.
    rows
        Row of each cell, -1 where it has none, shape (n_cells,), int64.
    """

    labels: tuple[str, ...]
    scores: np.ndarray
    label: np.ndarray
    delta: np.ndarray
    margin: np.ndarray
    has_markers: np.ndarray
    rows: np.ndarray

    def cell_rows(self) -> np.ndarray:
        """Return the row of each cell, -1 also where no marker gene was found, shape (n_cells,), int64."""
        if not len(self.has_markers):
            return self.rows
        found: np.ndarray = np.where((self.rows >= 0) & self.has_markers[self.rows], self.rows, -1)
        return found


@dataclass(frozen=True, eq=False)
class GroupScores:
    """Mean scores of groups of cells.

    Parameters
    ----------
    means
        shape (n_groups, n_labels), float64; NaN where no cell of a group has scores.
    sizes
        Cells of each group that have scores, shape (n_groups,), int64.
    """

    means: np.ndarray
    sizes: np.ndarray


def group_scores(outcome: Outcome, codes: np.ndarray, n_groups: int) -> GroupScores:
    """Average the scores of the cells of each group.

    Parameters
    ----------
    outcome
        What was found.
    codes
        Group of each cell, -1 for none, shape (n_cells,), integer.
    n_groups
        Number of groups; some may be empty.

    Examples
    --------
    >>> scores = np.array([[0.5, 0.1], [0.3, 0.2], [0.1, 0.9]])
    >>> one = np.ones(3)
    >>> outcome = Outcome(("B", "T"), scores, np.array([0, 0, 1]), one, one, one > 0, np.array([0, 1, 2, -1]))
    >>> found = group_scores(outcome, np.array([0, 0, -1, 1]), 2)
    >>> found.means.tolist(), found.sizes.tolist()
    ([[0.4, 0.15000000000000002], [nan, nan]], [2, 0])
    """
    rows = outcome.cell_rows()
    has_both = (rows >= 0) & (codes >= 0)
    own_rows, own_codes = rows[has_both], codes[has_both].astype(np.int64)
    n_rows, n_labels = outcome.scores.shape
    sizes = np.bincount(own_codes, minlength=n_groups)
    # How many cells of each group have each row; a few rows have many cells when groups were labelled.
    cells = sparse.csc_array((np.ones(len(own_rows)), (own_codes, own_rows)), shape=(n_groups, n_rows))
    sums = np.zeros((n_groups, n_labels))
    step = max(1, BLOCK // max(1, n_labels))
    used = np.flatnonzero(np.diff(cells.indptr))
    for start in range(0, len(used), step):
        part = used[start : start + step]
        sums += cells[:, part] @ outcome.scores[part].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return GroupScores(sums / np.where(sizes, sizes, np.nan)[:, None], sizes)


@dataclass(frozen=True, eq=False)
class MarginHistogram:
    """How many rows of each label have which margin.

    Parameters
    ----------
    edges
        Of the bins, shape (n_bins + 1,), float64.
    counts
        Rows of each label in each bin, shape (n_labels, n_bins), int64.
    """

    edges: np.ndarray
    counts: np.ndarray


def margin_histogram(outcome: Outcome, n_bins: int = BINS) -> MarginHistogram:
    """Count the rows of each label by their margin, all labels in the same bins.

    Rows without a marker gene are left out; the last bin has its upper edge.

    Examples
    --------
    >>> zero = np.zeros(4)
    >>> label, margin = np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 0.4, 0.6])
    >>> outcome = Outcome(("B", "T"), np.zeros((4, 2)), label, zero, margin, zero == 0, np.arange(4))
    >>> found = margin_histogram(outcome, 2)
    >>> found.edges.tolist(), found.counts.tolist()
    ([0.0, 0.5, 1.0], [[1, 1], [1, 1]])
    """
    margin, label = outcome.margin[outcome.has_markers], outcome.label[outcome.has_markers]
    low, high = (float(margin.min()), float(margin.max())) if len(margin) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, n_bins + 1)
    places = np.clip(np.searchsorted(edges, margin, side="right") - 1, 0, n_bins - 1)
    tally = np.bincount(label.astype(np.int64) * n_bins + places, minlength=len(outcome.labels) * n_bins)
    return MarginHistogram(edges, tally.reshape(len(outcome.labels), n_bins))
