"""Live re-pruning: other cutoffs for a prediction that was made, seen at once and taken over as a new version."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.singler.outcome import Outcome
from iscan_dash.core.singler.prune import NO_PRUNING, Pruned, label_cutoffs, margin_spread
from iscan_dash.core.words import counted
from iscan_dash.errors import PredictionRefused
from iscan_dash.services.workspace import Workspace

MOST_NAMED = 3
"""Labels with cutoffs of their own that a sentence names; of more it tells how many."""


@dataclass(frozen=True)
class Cutoffs:
    """From how many deviations below the median labels are pruned.

    Parameters
    ----------
    nmads
        The cutoff of all labels; with None, or 100 and more, nothing is pruned.
    per_label
        Labels with cutoffs of their own.
    """

    nmads: float | None = 3.0
    per_label: Mapping[str, float | None] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what cannot be.

        Raises
        ------
        PredictionRefused
            A cutoff is no number of at least 0 (E17).
        """
        for cutoff in (self.nmads, *self.per_label.values()):
            if cutoff is not None and not cutoff >= 0:
                raise PredictionRefused("Outlier cutoff must be a number of at least 0.")

    @classmethod
    def of(cls, recipe: Mapping[str, Any]) -> "Cutoffs":
        """Return the cutoffs that a recipe has."""
        return cls(recipe["nmads"], dict(recipe.get("nmads_of_labels") or {}))

    def to_json(self) -> dict[str, Any]:
        """Return them as a recipe keeps them."""
        return {"nmads": self.nmads, "nmads_of_labels": dict(self.per_label)}

    @property
    def text(self) -> str:
        """The cutoffs in words.

        Examples
        --------
        >>> Cutoffs(3, {"T": None, "B": 2.5}).text
        '3 MADs (T: no pruning, B: 2.5 MADs)'
        """
        own = [f"{label}: {_text(cutoff)}" for label, cutoff in self.per_label.items()]
        named = ", ".join(own) if len(own) <= MOST_NAMED else f"{counted(len(own), 'label')} by cutoffs of their own"
        return f"{_text(self.nmads)} ({named})" if own else _text(self.nmads)


def _text(cutoff: float | None) -> str:
    return "no pruning" if cutoff is None or cutoff >= NO_PRUNING else f"{cutoff:g} MADs"


@dataclass(frozen=True)
class LabelCount:
    """What a cutoff leaves of a label.

    Parameters
    ----------
    label
        The label.
    n_kept, n_pruned
        Cells that keep it, and those that lose it.
    threshold
        Least margin, -inf for none.
    """

    label: str
    n_kept: int
    n_pruned: int
    threshold: float


@dataclass(frozen=True, eq=False)
class PruningPreview:
    """What cutoffs would leave.

    Parameters
    ----------
    counts
        The labels that any cell has, in their order.
    codes
        Label of each cell, -1 for none, shape (n_cells,), int32.
    n_pruned, n_without
        Cells that were pruned, and those that have no label for other reasons.
    pruned
        What was pruned of the rows.
    """

    counts: tuple[LabelCount, ...]
    codes: np.ndarray
    n_pruned: int
    n_without: int
    pruned: Pruned


class Repruning:
    """Tries cutoffs on a prediction.

    Parameters
    ----------
    outcome
        What the prediction found.
    min_diff_med
        Least margin of any cell, as the prediction had it; None for no limit.
    """

    def __init__(self, outcome: Outcome, min_diff_med: float | None = None) -> None:
        self._outcome = outcome
        limit = -np.inf if min_diff_med is None else min_diff_med
        n_labels = len(outcome.labels)
        self._spread = margin_spread(outcome.margin, outcome.label, outcome.delta, n_labels, min_diff_med=limit)
        # Cells of each row that has a say.
        rows = outcome.cell_rows()
        self._n_cells = np.bincount(rows[rows >= 0], minlength=len(outcome.label))

    def pruned(self, cutoffs: Cutoffs) -> Pruned:
        """Prune the rows of the prediction.

        Raises
        ------
        PredictionRefused
            A cutoff is not possible (E17).
        """
        cutoffs.check()
        return self._spread.pruned_with(label_cutoffs(self._outcome.labels, cutoffs.nmads, cutoffs.per_label))

    def preview(self, cutoffs: Cutoffs) -> PruningPreview:
        """Say what cutoffs would leave; see `pruned` for the errors."""
        outcome, pruned = self._outcome, self.pruned(cutoffs)
        n_labels = len(outcome.labels)
        n_all = np.bincount(outcome.label, self._n_cells, n_labels).astype(np.int64)
        n_pruned = np.bincount(outcome.label, self._n_cells * pruned.is_pruned, n_labels).astype(np.int64)
        return PruningPreview(
            counts=tuple(
                LabelCount(label, int(n_all[code] - n_pruned[code]), int(n_pruned[code]), pruned.thresholds[code])
                for code, label in enumerate(outcome.labels)
                if n_all[code]
            ),
            codes=self._codes(pruned),
            n_pruned=int(n_pruned.sum()),
            n_without=len(outcome.rows) - int(n_all.sum()),
            pruned=pruned,
        )

    def accept(self, workspace: Workspace, annotation_id: str, cutoffs: Cutoffs, base_version: int) -> Annotation:
        """Make cutoffs those of the annotation that the prediction made, as a new version of it.

        Cells that were edited since keep their labels, which the history tells.

        Parameters
        ----------
        workspace
            The user's annotations.
        annotation_id
            The annotation.
        cutoffs
            The cutoffs.
        base_version
            The version the user saw.

        Raises
        ------
        PredictionRefused
            A cutoff is not possible (E17), or the annotation is not that of a prediction.
        EditConflict
            The annotation changed since, or is somebody else's.
        """
        after = self._codes(self.pruned(cutoffs))
        recipe = workspace.annotation(annotation_id).live.recipe
        if "nmads" not in recipe:
            raise PredictionRefused("This annotation was not made by a prediction, so it has no cutoff.")
        before = self._codes(self.pruned(Cutoffs.of(recipe)))
        kept = {**recipe, **cutoffs.to_json()}
        return workspace.prune_again(
            annotation_id, self._outcome.labels, before, after, kept, base_version, cutoffs.text
        )

    def _codes(self, pruned: Pruned) -> np.ndarray:
        """Return the label of each cell, -1 for none."""
        outcome = self._outcome
        own = np.where(pruned.is_pruned, np.int32(-1), outcome.label).astype(np.int32)
        rows = outcome.cell_rows()
        if not len(own):
            return np.full(len(rows), -1, np.int32)
        codes: np.ndarray = np.where(rows >= 0, own[rows], np.int32(-1))
        return codes
