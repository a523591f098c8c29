"""How much of a group of cells is in doubt: what a person should look at first.

The doubt of a cell is

* 1 when it was pruned, when it has no marker gene, or when its label is not the most frequent one of its cluster,
* otherwise ``1 - delta / threshold``, at least 0: *delta* is by how much its label was ahead in the last round of
  fine-tuning, *threshold* is what SingleR takes for undecided (0.05). A label that was further ahead is not in doubt.

The uncertainty of a group is the mean doubt of its cells, and groups are reviewed by uncertainty x size: the number of
cells in doubt. It adds up: the parts of a group that is split have as many as the group had.
"""

from dataclasses import dataclass

import numpy as np

from iscan_dash.core.singler.outcome import Outcome
from iscan_dash.core.singler.prune import Pruned


def cell_doubts(outcome: Outcome, pruned: Pruned, clusters: np.ndarray, threshold: float = 0.05) -> np.ndarray:
    """Return the doubt of each cell.

    Parameters
    ----------
    outcome, pruned
        What a prediction found, and what was pruned of it.
    clusters
        Cluster of each cell, -1 for none, shape (n_cells,), integer. Cells of no cluster agree with theirs.
    threshold
        Lead from which a label is not in doubt, above 0.

    Returns
    -------
    numpy.ndarray
        shape (n_cells,), float64, 0 to 1; NaN for cells that were not to be labelled.

    Examples
    --------
    >>> from iscan_dash.core.singler.prune import margins, prune
    >>> scores, label = np.array([[0.5, 0.1], [0.5, 0.1], [0.5, 0.1], [0.1, 0.5]]), np.array([0, 0, 0, 1])
    >>> delta, every = np.array([0.2, 0.01, 0.05, 0.2]), np.ones(4, bool)
    >>> outcome = Outcome(("B", "T"), scores, label, delta, margins(scores, label), every, np.arange(4))
    >>> cell_doubts(outcome, prune(scores, label, delta), np.zeros(4, int)).round(3).tolist()
    [0.0, 0.8, 0.0, 1.0]
    """
    if not len(outcome.label):
        return np.full(len(outcome.rows), np.nan)
    # A single label has no delta, and nothing to be doubted for.
    own = 1 - np.clip(np.nan_to_num(outcome.delta, nan=threshold) / threshold, 0, 1)
    own[pruned.is_pruned | ~outcome.has_markers] = 1
    rows = outcome.rows
    doubts: np.ndarray = np.where(rows >= 0, own[rows], np.nan)
    labels = cell_labels(outcome)
    # One more place, for the -1 of cells of no cluster.
    usual = np.append(usual_labels(clusters, labels, len(outcome.labels)), -1)
    differs = (rows >= 0) & (clusters >= 0) & (labels != usual[clusters])
    doubts[differs] = 1
    return doubts


def cell_labels(outcome: Outcome) -> np.ndarray:
    """Return the label of each cell before pruning, -1 for none, shape (n_cells,), int32."""
    rows = outcome.cell_rows()
    if not len(outcome.label):
        return np.full(len(rows), -1, np.int32)
    labels: np.ndarray = np.where(rows >= 0, outcome.label[rows], -1).astype(np.int32)
    return labels


def usual_labels(groups: np.ndarray, labels: np.ndarray, n_labels: int) -> np.ndarray:
    """Return the most frequent label of each group, the first of equally frequent ones; -1 where no cell has any.

    Parameters
    ----------
    groups, labels
        Group and label of each cell, -1 for none, shape (n_cells,), integer.
    n_labels
        Number of labels.

    Examples
    --------
    >>> usual_labels(np.array([0, 0, 0, 2, -1]), np.array([1, 1, 0, -1, 0]), 2).tolist()
    [1, -1, -1]
    """
    n_groups = int(groups.max(initial=-1)) + 1
    has_both = (groups >= 0) & (labels >= 0)
    pairs = groups[has_both].astype(np.int64) * n_labels + labels[has_both]
    tally = np.bincount(pairs, minlength=n_groups * n_labels).reshape(n_groups, n_labels)
    usual: np.ndarray = np.where(tally.any(axis=1), tally.argmax(axis=1), -1)
    return usual


@dataclass(frozen=True, eq=False)
class GroupDoubts:
    """How much of each group is in doubt.

    Parameters
    ----------
    sizes
        Cells of each group that were to be labelled, shape (n_groups,), int64.
    in_doubt
        Sum of their doubts: uncertainty x size, shape (n_groups,), float64.
    order
        The groups, most cells in doubt first, of equally many the larger one; those without cells are left out.
    """

    sizes: np.ndarray
    in_doubt: np.ndarray
    order: np.ndarray

    @property
    def uncertainty(self) -> np.ndarray:
        """Mean doubt of each group, shape (n_groups,), float64."""
        uncertainty: np.ndarray = self.in_doubt / np.maximum(self.sizes, 1)
        return uncertainty


def group_doubts(groups: np.ndarray, doubts: np.ndarray, n_groups: int) -> GroupDoubts:
    """Count the cells in doubt of each group.

    Parameters
    ----------
    groups
        Group of each cell, -1 for none, shape (n_cells,), integer.
    doubts
        Doubt of each cell, see `cell_doubts`.
    n_groups
        Number of groups.

    Examples
    --------
    >>> found = group_doubts(np.array([0, 0, 1, 1, 2]), np.array([0.0, 0.5, 1.0, 0.25, np.nan]), 3)
    >>> found.order.tolist(), found.in_doubt.tolist(), found.uncertainty.tolist()
    ([1, 0], [0.5, 1.25, 0.0], [0.25, 0.625, 0.0])
    """
    counts = (groups >= 0) & ~np.isnan(doubts)
    own = groups[counts].astype(np.int64)
    sizes = np.bincount(own, minlength=n_groups)
    in_doubt = np.bincount(own, doubts[counts], n_groups)
    # What rounding adds must not decide the order.
    order = np.lexsort((-sizes, -np.round(in_doubt, 6)))
    return GroupDoubts(sizes, in_doubt, order[sizes[order] > 0])
