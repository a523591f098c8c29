"""What came of a prediction."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from iscan_dash.core.singler.prune import prune
from iscan_dash.core.words import counted
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.study_query import ChosenMatrix

if TYPE_CHECKING:
    from iscan_dash.core.singler.classify import Classified

REASONS = ("", "pruned", "no marker genes detected", "no group", "sample not chosen")
"""Why a cell has no label, by number."""

PRUNED, NO_MARKERS, NO_GROUP, NOT_CHOSEN = 1, 2, 3, 4

BLOCK = 1_000_000
"""Scores that are looked at at once."""


@dataclass(frozen=True)
class Preflight:
    """What can be said of a prediction before it is made.

    Parameters
    ----------
    reference_name
        What the reference is called.
    matrices
        The matrix of each file.
    n_cells, n_groups
        Cells that are labelled, and the groups they are labelled by; None without groups.
    n_labels
        Labels of the reference.
    n_markers, n_found
        Marker genes of the reference, and those that the study has.
    looks
        Whose genes the names of the study look like: ``"human"``, ``"mouse"`` or ``"unknown"``.
    warnings
        What to know, a sentence each.
    """

    reference_name: str
    matrices: tuple[ChosenMatrix, ...]
    n_cells: int
    n_groups: int | None
    n_labels: int
    n_markers: int
    n_found: int
    looks: str = "unknown"
    warnings: tuple[str, ...] = ()

    @property
    def found_text(self) -> str:
        """How many marker genes were found, in words."""
        share = self.n_found / max(1, self.n_markers)
        return f"{self.n_found:,} of {self.n_markers:,} reference marker genes found ({share:.0%})."


@dataclass(frozen=True, eq=False)
class Prediction:
    """Labels of the cells of a study.

    Arrays have one value a cell of the whole study, those without a result included.

    Parameters
    ----------
    parameters
        How it was made.
    preflight
        What was known before.
    recipe
        All that is needed to make it again, as plain values.
    rows
        Row of each cell in `classified`, -1 where it has none; shape (n_cells,), int64.
    left_out
        Why a cell has no row, as a number of `REASONS`; shape (n_cells,), int8.
    classified
        What the engine found, a row for each cell or group.
    groups
        What the rows are when groups were labelled, else None.
    """

    parameters: Parameters
    preflight: Preflight
    recipe: dict[str, Any]
    rows: np.ndarray
    left_out: np.ndarray
    classified: "Classified"
    groups: tuple[str, ...] | None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that codes stand for."""
        return self.classified.labels

    def assigned(self) -> np.ndarray:
        """Return the label of each cell, -1 for none, shape (n_cells,), int32."""
        return self._spread(self.classified.assigned(), -1)

    def before_pruning(self) -> np.ndarray:
        """Return the label of each cell before pruning, -1 for none, shape (n_cells,), int32."""
        label = np.where(self.classified.first.detected == 0, np.int32(-1), self.classified.tuned.label)
        return self._spread(label, -1)

    def deltas(self) -> np.ndarray:
        """Return by how much each label was ahead in the last round, shape (n_cells,), float64, NaN for none."""
        return self._spread(self.classified.tuned.delta, np.nan)

    def best_score(self) -> np.ndarray:
        """Return the highest score of each cell, over all markers, shape (n_cells,), float64, NaN for none."""
        return self._spread(self.best_of_rows(), np.nan)

    def best_of_rows(self) -> np.ndarray:
        """Return the highest score of each row, shape (n_rows,), float64."""
        return self._over_blocks(_highest, np.float64)

    def runners_up(self) -> np.ndarray:
        """Return the label with the highest score but the cell's own, over all markers, shape (n_cells,), int32."""
        found = self.second_of_rows()
        return self._spread(np.where(self.classified.first.detected == 0, np.int32(-1), found), -1)

    def second_of_rows(self) -> np.ndarray:
        """Return the label with the highest score but the row's own, shape (n_rows,), int32."""
        return self._over_blocks(_second, np.int32)

    def reasons(self) -> np.ndarray:
        """Return why each cell has no label, as a number of `REASONS`, shape (n_cells,), int8."""
        classified = self.classified
        return reasons_of(self.rows, self.left_out, classified.pruned.is_pruned, classified.first.detected > 0)

    def pruned_with(self, nmads: float | None, min_diff_med: float | None = None) -> "Prediction":
        """Return the same with another cutoff; nothing is classified again."""
        parameters = replace(self.parameters, nmads=nmads, min_diff_med=min_diff_med)
        parameters.check()
        recipe = {**self.recipe, "nmads": nmads, "min_diff_med": min_diff_med}
        return replace(self, parameters=parameters, recipe=recipe, classified=with_cutoffs(self.classified, parameters))

    def _spread(self, values: np.ndarray, missing: float) -> np.ndarray:
        return of_cells(self.rows, values, missing)

    def _over_blocks(self, of: Callable[[np.ndarray, np.ndarray], np.ndarray], dtype: type) -> np.ndarray:
        scores, label = self.classified.first.scores, self.classified.tuned.label
        found: np.ndarray = np.empty(len(label), dtype)
        step = max(1, BLOCK // max(1, scores.shape[1]))
        for start in range(0, len(label), step):
            found[start : start + step] = of(scores[start : start + step], label[start : start + step])
        return found


def of_cells(rows: np.ndarray, values: np.ndarray, missing: float) -> np.ndarray:
    """Give each cell the value of its row.

    Parameters
    ----------
    rows
        Row of each cell, -1 where it has none, shape (n_cells,), integer.
    values
        Value of each row, shape (n_rows,).
    missing
        What cells without a row get.
    """
    if not len(values):
        return np.full(len(rows), missing, values.dtype)
    found: np.ndarray = np.where(rows < 0, values.dtype.type(missing), values[rows])
    return found


def reasons_of(rows: np.ndarray, left_out: np.ndarray, is_pruned: np.ndarray, has_markers: np.ndarray) -> np.ndarray:
    """Return why each cell has no label, as a number of `REASONS`, shape (n_cells,), int8.

    Parameters
    ----------
    rows, left_out
        Row of each cell, and why it has none; see `Prediction`.
    is_pruned, has_markers
        Whether each row was pruned, and whether any marker gene was found in it, shape (n_rows,), bool.
    """
    own = np.where(is_pruned, np.int8(PRUNED), np.int8(0))
    own[~has_markers] = NO_MARKERS
    found: np.ndarray = np.where(rows < 0, left_out, of_cells(rows, own, 0))
    return found


def _highest(scores: np.ndarray, _label: np.ndarray) -> np.ndarray:
    highest: np.ndarray = scores.max(axis=1)
    return highest


def _second(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    others = scores.copy()
    np.put_along_axis(others, label[:, None].astype(np.int64), -np.inf, axis=1)
    second: np.ndarray = others.argmax(axis=1)
    return second


def with_cutoffs(classified: "Classified", parameters: Parameters) -> "Classified":
    """Prune by the cutoffs of some parameters."""
    limit = -np.inf if parameters.min_diff_med is None else parameters.min_diff_med
    first, tuned = classified.first, classified.tuned
    pruned = prune(first.scores, tuned.label, tuned.delta, nmads=parameters.nmads, min_diff_med=limit)
    return replace(classified, pruned=pruned)


def summary(prediction: Prediction) -> list[str]:
    """Say what came of a prediction, a sentence each."""
    preflight, reasons = prediction.preflight, prediction.reasons()
    counts = np.bincount(reasons, minlength=len(REASONS))
    used = np.bincount(prediction.assigned() + 1, minlength=len(prediction.labels) + 1)[1:]
    what = f"{counted(preflight.n_cells, 'cell')}"
    if preflight.n_groups is not None and prediction.groups is not None:
        what += f" in {counted(len(prediction.groups), 'group')}"
    lines = [
        f"{preflight.reference_name}, {counted(preflight.n_labels, 'label')}: {preflight.found_text}",
        f"{', '.join(f'{m.name}: {m.description}' for m in preflight.matrices)}.",
        f"{what}: {int(counts[0]):,} labelled with {counted(int((used > 0).sum()), 'label')}.",
    ]
    lines += [
        f"{counted(int(counts[place]), 'cell')} without: {REASONS[place]}." for place in np.flatnonzero(counts) if place
    ]
    return lines
