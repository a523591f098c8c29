"""Results of predictions that somebody looks into, kept open, and other cutoffs tried on them."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from iscan_dash.core.annotations import Annotation, Header
from iscan_dash.core.annotations.prune_again import prune_again, result_ids
from iscan_dash.core.singler.outcome import MarginHistogram, Outcome, margin_histogram
from iscan_dash.errors import PredictionRefused
from iscan_dash.services.repruning import Cutoffs, PruningPreview, Repruning
from iscan_dash.services.results import PredictionResult
from iscan_dash.services.workspace import Workspace

KEPT = 2
"""Results kept open, up to two hundred megabytes each."""

OF_ROW, OF_CELL = 60, 60
"""Bytes of a row beside its scores, two bytes a label each; and of a cell: labels by the cutoffs that were tried."""

ORIGIN = "prediction"


@dataclass(frozen=True, eq=False)
class Tried:
    """What cutoffs would make of an annotation.

    Parameters
    ----------
    preview
        What they leave of the prediction.
    state
        The annotation as it would be.
    n_changed
        Cells that would get another label.
    n_edited
        Cells that the cutoffs have another label for, but that stay as they were edited.
    """

    preview: PruningPreview
    state: Annotation
    n_changed: int
    n_edited: int


class OpenedResult:
    """The result of a prediction, and the annotation that it made.

    Parameters
    ----------
    result
        The result.
    origin
        What the annotation was when it was made.
    """

    def __init__(self, result: PredictionResult, origin: Header) -> None:
        self.result = result
        self.repruning = Repruning(result.outcome, result.recipe["min_diff_med"])
        self._origin = origin
        self._lock = threading.Lock()
        self._tried: OrderedDict[tuple[int, str], Tried] = OrderedDict()

    @property
    def n_bytes(self) -> int:
        """About how much memory it takes once all of it is looked into."""
        result = self.result
        return len(result.label) * (2 * len(result.labels) + OF_ROW) + len(result.rows) * OF_CELL

    @property
    def outcome(self) -> Outcome:
        """What the prediction found."""
        return self.result.outcome

    @cached_property
    def histogram(self) -> MarginHistogram:
        """How the margins of each label lie."""
        return margin_histogram(self.outcome)

    def ids(self, state: Annotation) -> np.ndarray:
        """Return the ids of the prediction's labels in its annotation; see `result_ids`."""
        return result_ids(state.live, self._origin, self.result.labels)

    def n_edited(self, state: Annotation) -> int:
        """Count the cells that have another label than the prediction and its cutoffs gave them."""
        codes = self.repruning.preview(Cutoffs.of(state.live.recipe)).codes
        return int(np.count_nonzero(state.codes != self.ids(state)[codes]))

    def attempt(self, state: Annotation, cutoffs: Cutoffs) -> Tried:
        """Say what cutoffs would make of the annotation; nothing is changed.

        Raises
        ------
        PredictionRefused
            A cutoff is not possible (E17).
        """
        key = (state.version, repr(cutoffs.to_json()))
        with self._lock:
            if key in self._tried:
                self._tried.move_to_end(key)
                return self._tried[key]
        preview = self.repruning.preview(cutoffs)
        before = self.repruning.preview(Cutoffs.of(state.live.recipe)).codes
        recipe = {**state.live.recipe, **cutoffs.to_json()}
        change, n_edited = prune_again(state, self._origin, self.result.labels, before, preview.codes, recipe)
        tried = Tried(preview, change.apply(state, state.modified), change.delta.n_cells, n_edited)
        with self._lock:
            self._tried[key] = tried
            if len(self._tried) > KEPT:
                self._tried.popitem(last=False)
        return tried


class OpenedResults:
    """The results that one user looks into.

    Parameters
    ----------
    workspace
        The study and the user's annotations.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._kept = workspace.room.shelf(KEPT)

    def annotations(self) -> list[Annotation]:
        """Return the annotations that can be looked into, the user's newest first, then those of others."""
        workspace = self._workspace
        own = sorted(workspace.annotations(), key=lambda state: state.live.created, reverse=True)
        return [state for state in (*own, *workspace.others()) if self._has_result(state)]

    def any(self) -> bool:
        """Tell whether there is one."""
        workspace = self._workspace
        return any(map(self._has_result, (*workspace.annotations(), *workspace.others())))

    def any_own(self) -> bool:
        """Tell whether there is one of the user's own."""
        return any(map(self._has_result, self._workspace.annotations()))

    def _has_result(self, state: Annotation) -> bool:
        # A copy has no result of its own: its labels are no longer those of the prediction.
        return state.live.origin == ORIGIN and self._workspace.result_file(state.id) is not None

    def get(self, annotation_id: str) -> OpenedResult:
        """Return the result that an annotation was made from.

        Raises
        ------
        UnknownColumn
            There is no such annotation (any more).
        PredictionRefused
            It was not made by a prediction, or its result is gone or of other cells.
        StorageError
            The result cannot be read.
        """
        state = self._workspace.annotation(annotation_id)
        if state.live.origin != ORIGIN:
            raise PredictionRefused(
                f'"{state.live.name}" was not made by a prediction, so there are no scores to look into.'
            )
        with self._lock:
            there = {own.id for own in (*self._workspace.annotations(), *self._workspace.others())}
            self._kept.forget(lambda own: own not in there)
            opened: OpenedResult | None = self._kept.get(annotation_id)
            if opened is None:
                opened = self._open(state)
                self._kept.put(annotation_id, opened, opened.n_bytes)
            return opened

    def _open(self, state: Annotation) -> OpenedResult:
        path = self._workspace.result_file(state.id)
        if path is None:
            raise PredictionRefused(
                f'The scores of "{state.live.name}" are not beside the drafts any more. Run the prediction again.'
            )
        result = PredictionResult.load(path)
        if len(result.rows) != self._workspace.study.n_cells:
            raise PredictionRefused(
                f'"{state.live.name}" was predicted for other cells than this study has. Run the prediction again.'
            )
        return OpenedResult(result, self._workspace.origin(state.id))
