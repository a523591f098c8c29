"""Drafts of data that changed since: which there are, how many of their cells are still here, and their labels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.annotation import absent
from iscan_dash.core.annotations.csv_table import open_csv_table
from iscan_dash.core.annotations.label_table import match_table
from iscan_dash.core.study import Study
from iscan_dash.errors import DataError, StorageError
from iscan_dash.services.collection import journals_in
from iscan_dash.services.drafts import file_digest
from iscan_dash.services.journal import read_events, read_label


@dataclass(frozen=True, eq=False)
class OldDrafts:
    """Drafts of a user about other cells than those of the study, some of which are here too.

    Parameters
    ----------
    name
        The draft's file name.
    fingerprint
        Fingerprint of the study they were made on.
    annotations
        The annotations as they were left.
    rows
        Row in the old study of each cell of this one, ``-1`` where it had none; shape (n_cells,), int64.
    """

    name: str
    fingerprint: str
    annotations: tuple[Annotation, ...]
    rows: np.ndarray

    @property
    def n_old(self) -> int:
        """Cells of the study they were made on."""
        return len(self.annotations[0].codes)

    @property
    def n_matched(self) -> int:
        """Cells of this study that they have labels for."""
        return int((self.rows >= 0).sum())

    def codes(self, annotation: Annotation) -> np.ndarray:
        """Return the label id of each cell of this study, 0 where the old one did not have it; shape (n_cells,)."""
        return np.where(self.rows >= 0, annotation.codes[self.rows], 0).astype(np.int32)


def find_old_drafts(folder: Path, user: str, study: Study, known: set[str]) -> Iterator[OldDrafts]:
    """Find a user's drafts in a folder that were made on other cells, and share some with the study.

    Parameters
    ----------
    folder
        The folder of drafts.
    user
        Id of the user.
    study
        The study.
    known
        Fingerprints to pass over: those that were attached or refused before.
    """
    for path in journals_in(folder):
        label = read_label(path)
        if label is None or label.user != user or label.fingerprint in known | {study.fingerprint}:
            continue
        draft = path.with_name(path.name.removesuffix(".journal.db") + ".csv")
        try:
            # The draft tells which cells the journal's rows are, unless another program sorted it meanwhile.
            if file_digest(draft) not in label.drafts:
                continue
            table = match_table(open_csv_table(draft), study, {})
            annotations = _last_states(path, table.report.n_rows)
        except (DataError, StorageError, OSError, ValueError):
            # None of its cells is here, or it cannot be read: there is nothing to offer.
            continue
        if annotations:
            yield OldDrafts(draft.name, label.fingerprint, annotations, table.rows)


def _last_states(path: Path, n_cells: int) -> tuple[Annotation, ...]:
    states: dict[str, Annotation] = {}
    for event, change in read_events(path):
        state = states.get(event.annotation_id) or absent(event.annotation_id, n_cells)
        states[event.annotation_id] = replace(change.apply(state, event.time), version=event.version)
    return tuple(state for state in states.values() if state.header is not None)
