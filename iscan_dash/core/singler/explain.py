"""Why cells have their label: how all labels scored, the runner-up, and the margin beside the label's threshold."""

from dataclasses import dataclass

import numpy as np

from iscan_dash.core.singler.outcome import Outcome, group_scores
from iscan_dash.core.singler.prune import Pruned


@dataclass(frozen=True)
class LabelScore:
    """How a label scored in some cells.

    Parameters
    ----------
    code, label
        The label.
    score
        Mean first-pass score over the cells.
    n_cells, n_pruned
        Cells whose final label it is, and how many of these were pruned.
    """

    code: int
    label: str
    score: float
    n_cells: int
    n_pruned: int


@dataclass(frozen=True)
class Why:
    """Why some cells have their label.

    Parameters
    ----------
    scores
        All labels, the highest mean score first.
    label
        Label that most of the cells have (of equally many, the one with the higher score). After fine-tuning this need
        not be the one with the highest score.
    runner_up
        The label with the highest mean score of the others; None when there is no other.
    margin
        Mean over the cells that have the label: its score less the median over all labels.
    threshold
        Least margin of the label, below which a cell is pruned; -inf for none.
    delta
        Mean over the same cells: by how much the label was ahead in the last round of fine-tuning.
    n_cells
        Cells that have scores.
    n_without
        Cells that have none: of no group, of a sample that was not chosen, or without a marker gene.
    """

    scores: tuple[LabelScore, ...]
    label: LabelScore
    runner_up: LabelScore | None
    margin: float
    threshold: float
    delta: float
    n_cells: int
    n_without: int


def why(outcome: Outcome, pruned: Pruned, mask: np.ndarray) -> Why | None:
    """Look why cells have their label.

    Parameters
    ----------
    outcome, pruned
        What was found, and what was pruned of it.
    mask
        The cells: one, a selection, a cluster; shape (n_cells,), bool.

    Returns
    -------
    Why or None
        None when none of the cells has scores.

    Examples
    --------
    >>> from iscan_dash.core.singler.prune import margins, prune
    >>> scores, label = np.array([[0.5, 0.1, 0.3], [0.4, 0.2, 0.3]]), np.array([0, 0])
    >>> delta, both = np.full(2, 0.1), np.ones(2, bool)
    >>> outcome = Outcome(("B", "NK", "T"), scores, label, delta, margins(scores, label), both, np.arange(2))
    >>> found = why(outcome, prune(scores, label, delta), both)
    >>> [(own.label, own.score, own.n_cells) for own in found.scores], found.runner_up.label
    ([('B', 0.45, 2), ('T', 0.3, 0), ('NK', 0.15000000000000002, 0)], 'T')
    """
    cells = outcome.cell_rows()[mask]
    rows = cells[cells >= 0]
    if not len(rows):
        return None
    n_labels = len(outcome.labels)
    means = group_scores(outcome, np.where(mask, 0, -1), 1).means[0]
    own = outcome.label[rows]
    n_cells = np.bincount(own, minlength=n_labels)
    n_pruned = np.bincount(own[pruned.is_pruned[rows]], minlength=n_labels)
    scores = [
        LabelScore(code, outcome.labels[code], float(means[code]), int(n_cells[code]), int(n_pruned[code]))
        for code in np.argsort(-means, kind="stable").tolist()
    ]
    label = max(scores, key=lambda score: score.n_cells)
    with_label = rows[own == label.code]
    return Why(
        scores=tuple(scores),
        label=label,
        runner_up=next((score for score in scores if score is not label), None),
        margin=float(outcome.margin[with_label].mean()),
        threshold=float(pruned.thresholds[label.code]),
        delta=float(outcome.delta[with_label].mean()),
        n_cells=len(rows),
        n_without=len(cells) - len(rows),
    )
