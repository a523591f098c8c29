"""The reviews of one user, each kept until what it rests on changes."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iscan_dash.core.singler.outcome import Outcome
from iscan_dash.core.singler.prune import Pruned
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.opened_results import OpenedResults
from iscan_dash.services.repruning import Cutoffs
from iscan_dash.services.review import Review
from iscan_dash.services.workspace import Source, Workspace

KEPT = 2
"""Reviews kept: that of the page, and the one that somebody changes to and fro with."""

OF_CELL = 40
"""Bytes that a review takes of a cell."""


@dataclass(frozen=True, eq=False)
class OpenReview:
    """A review, and the prediction that it is of.

    Parameters
    ----------
    review
        The review.
    outcome, pruned
        What the prediction found, and what is pruned of it now.
    """

    review: Review
    outcome: Outcome
    pruned: Pruned


class Reviews:
    """Opens reviews for one user.

    Parameters
    ----------
    workspace
        The study and the user's annotations.
    results
        The predictions that the user looks into.
    """

    def __init__(self, workspace: Workspace, results: OpenedResults) -> None:
        self._workspace = workspace
        self._results = results
        self._lock = threading.Lock()
        self._kept = workspace.room.shelf(KEPT)

    def get(self, annotation_id: str, by: Source, *, with_labels: bool = False) -> OpenReview:
        """Return the review of an annotation; see `Review` for the parameters.

        Raises
        ------
        UnknownColumn
            There is no such annotation or column.
        PredictionRefused
            No prediction made the annotation, or there are too many groups.
        StorageError
            What the prediction found cannot be read.
        """
        key = (annotation_id, by, with_labels)
        with self._lock:
            opened = self._results.get(annotation_id)
            recipe = self._workspace.annotation(annotation_id).live.recipe
            cutoffs = Cutoffs.of(recipe)
            stamp, kept = self._kept.get(key) or (None, None)
            if kept is None or kept.outcome is not opened.outcome or self._stamp(cutoffs, kept) != stamp:
                pruned = opened.repruning.pruned(cutoffs)
                threshold = recipe["threshold"] if recipe["fine_tune"] else 0.0
                review = Review(
                    self._workspace,
                    annotation_id,
                    opened.outcome,
                    pruned,
                    by,
                    with_labels=with_labels,
                    threshold=threshold,
                )
                kept = OpenReview(review, opened.outcome, pruned)
                self._kept.put(key, (self._stamp(cutoffs, kept), kept), OF_CELL * self._workspace.study.n_cells)
            return kept

    def _stamp(self, cutoffs: Cutoffs, opened: OpenReview) -> Any:
        """Return what changes when the groups or the doubts of a review do."""
        return cutoffs.to_json(), self._versions(opened.review.sources)

    def _versions(self, sources: Sequence[Source]) -> list[Any]:
        found = []
        for source in sources:
            try:
                found.append((source, self._workspace.version_of(source)))
            except UnknownColumn:
                found.append((source, None))
        return found
