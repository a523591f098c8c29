"""Annotations of the other users of a study, read from the journals that lie in the same folder."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.annotation import absent
from iscan_dash.errors import StorageError, UnknownColumn
from iscan_dash.services.collection import journals_in
from iscan_dash.services.journal import JournalLabel, read_events, read_label

log = logging.getLogger(__name__)

LOOK_AGAIN = 1.0
"""Seconds between two looks into the folder."""


@dataclass(eq=False)
class _Read:
    """What was read of one journal so far."""

    label: JournalLabel
    stamp: tuple[int, int]
    states: dict[str, Annotation] = field(default_factory=dict)
    shown: dict[str, Annotation] = field(default_factory=dict)
    seq: int = 0


class SharedAnnotations:
    """Annotations of all users of a study, for the others to look at.

    The journals on disk are the truth, whoever writes them: users of this server, or of another one on the same folder.

    Parameters
    ----------
    folder
        The folder of drafts.
    fingerprint
        Fingerprint of the study; journals of other cells are left alone.
    n_cells
        Number of cells of the study.
    """

    def __init__(self, folder: Path, fingerprint: str, n_cells: int) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._n_cells = n_cells
        self._lock = threading.Lock()
        self._journals: dict[Path, _Read] = {}
        self._looked = float("-inf")

    def of_others(self, user: str) -> list[Annotation]:
        """Return the annotations of all users but one, deleted ones left out."""
        return [
            state
            for read in self._look().values()
            if read.label.user != user
            for state in reversed(read.shown.values())
        ]

    def of_user(self, user: str | None = None) -> list[Annotation]:
        """Return the annotations of a user, the newest first.

        Parameters
        ----------
        user
            Their id or name; the only one who has drafts here when None.

        Raises
        ------
        UnknownColumn
            The user has no drafts here, or several have and none is named.
        """
        reads = list(self._look().values())
        found = [read for read in reads if user in {None, read.label.user, read.label.user_name}]
        if not found and not (reads and user):
            return []
        if len(found) != 1:
            users = ", ".join(sorted(read.label.user_name or read.label.user for read in reads))
            raise UnknownColumn(f"Drafts of this study are kept here for: {users}. Name one of these users (--user).")
        return list(reversed(found[0].shown.values()))

    def find(self, annotation_id: str) -> Annotation | None:
        """Return an annotation of any user, None when there is none of this id or it is deleted."""
        for read in self._look().values():
            if annotation_id in read.shown:
                return read.shown[annotation_id]
        return None

    def name_of(self, user: str) -> str | None:
        """Return what a user is called, None when they have no drafts here."""
        return next((read.label.user_name for read in self._look().values() if read.label.user == user), None)

    def revision(self, user: str) -> int:
        """Return a number that grows with every edit of users but one."""
        return sum(read.seq for read in self._look().values() if read.label.user != user)

    def _look(self) -> Mapping[Path, _Read]:
        """Return what was read of each journal, after reading what was added since the last look."""
        # While somebody looks the others go on with what was seen before, rather than wait.
        if time.monotonic() - self._looked >= LOOK_AGAIN and self._lock.acquire(blocking=False):
            try:
                self._journals = self._read_all()
                self._looked = time.monotonic()
            finally:
                self._lock.release()
        return self._journals

    def _read_all(self) -> dict[Path, _Read]:
        found = {}
        for path in journals_in(self._folder):
            try:
                status = path.stat()
            except OSError:
                continue
            stamp = (status.st_size, status.st_mtime_ns)
            known = self._journals.get(path)
            if known is not None and known.stamp == stamp:
                found[path] = known
                continue
            label = read_label(path)
            if label is None or label.fingerprint != self._fingerprint:
                continue
            # Fewer events than before: it is another journal by now.
            if known is None or known.seq > label.n_events:
                known = _Read(label, stamp)
            is_renamed = known.label.user_name != label.user_name
            known.label, known.stamp = label, stamp
            try:
                if label.n_events > known.seq or is_renamed:
                    self._read(known)
            except (StorageError, ValueError) as error:
                log.warning("%s", error)
                continue
            found[path] = known
        return found

    def _read(self, read: _Read) -> None:
        for event, change in read_events(read.label.path, read.seq):
            state = read.states.get(event.annotation_id) or absent(event.annotation_id, self._n_cells)
            read.states[event.annotation_id] = change.apply(state, event.time)
            read.seq = event.seq
        read.shown = {
            state.id: replace(state, header=replace(state.header, owner=read.label.user_name or state.header.owner))
            for state in read.states.values()
            if state.header is not None
        }


def annotation_at(journal: Path, fingerprint: str, n_cells: int, annotation_id: str, version: int) -> Annotation:
    """Read an annotation as it was at one version, whatever became of it since.

    Parameters
    ----------
    journal
        The journal that it was in; others in the same folder are looked into when it has another name by now.
    fingerprint, n_cells
        The study.
    annotation_id, version
        The annotation, and its version.

    Raises
    ------
    UnknownColumn
        No journal has it.
    StorageError
        A journal cannot be read.
    """
    for path in dict.fromkeys((journal, *journals_in(journal.parent))):
        label = read_label(path) if path.is_file() else None
        if label is None or label.fingerprint != fingerprint:
            continue
        state = absent(annotation_id, n_cells)
        for event, change in read_events(path):
            if event.annotation_id == annotation_id:
                state = change.apply(state, event.time)
                if state.version == version and state.header is not None:
                    return state
    raise UnknownColumn("The annotation is not in the drafts any more. Choose another one.")
