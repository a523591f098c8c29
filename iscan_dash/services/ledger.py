"""The ledger: a user's annotations of a study as they stand, and the events that made them."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from iscan_dash.core import palette
from iscan_dash.core.annotations import Annotation, Change, Header, Label, edits
from iscan_dash.core.annotations.annotation import absent
from iscan_dash.core.annotations.combine import Combined
from iscan_dash.core.annotations.compare import Comparison, compare
from iscan_dash.core.annotations.csv_table import open_csv_table
from iscan_dash.core.annotations.label_table import ColumnReport, LabelTable, import_column, match_table
from iscan_dash.core.annotations.names import check_name, free_name
from iscan_dash.core.annotations.outside import new_columns, outside_changes
from iscan_dash.core.room import Room
from iscan_dash.core.study import Choices, Study
from iscan_dash.core.words import counted
from iscan_dash.errors import (
    DataError,
    EditConflict,
    IscanError,
    NameRefused,
    NothingToUndo,
    StorageError,
    UnknownColumn,
)
from iscan_dash.logs import tell
from iscan_dash.services.collection import Collection, DraftChanged
from iscan_dash.services.csv_text import table_lines
from iscan_dash.services.drafts import Autosaver, DraftPlace, SaveState, SaveStatus, collection_name, file_digest
from iscan_dash.services.export import export_header
from iscan_dash.services.journal import Event
from iscan_dash.services.shared import SharedAnnotations

TRIES = 3
"""Drafts of another program that may come in between before writing is given up for now."""

SETTLED = 1.0
"""Seconds after which a draft that another program writes is taken as complete."""

DEFAULT_LABEL = "Unassigned"
UNDO_DEPTH = 200
ROOM = 512 << 20
KEEP_DELETED = timedelta(days=30)
NEWER_EDITS = "There are newer edits. Use the history or the list of deleted annotations instead."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deleted:
    """A deleted annotation that can be brought back.

    Parameters
    ----------
    id
        Its id.
    name
        Its last name.
    time
        When it was deleted, ISO 8601 in UTC.
    """

    id: str
    name: str
    time: str


@dataclass(frozen=True)
class Notice:
    """Something the user should know that no edit of theirs brought about.

    Parameters
    ----------
    id
        Tells notices apart, so that each is shown once.
    text
        One or two sentences.
    """

    id: str
    text: str


class Ledger:
    """One user's annotations of an open study, and every event that made them.

    The journal is read when annotations are first asked for: until then the study's cell ids, which tell whose
    journal it is, need not be read. All methods may be called from any thread.

    Parameters
    ----------
    study
        The open study.
    user
        Id of who edits; the drafts' names come from it.
    user_name
        What others call them; the id when None.
    folder
        Where drafts go.
    file
        The draft, when the server was given one file to keep.
    shared
        Gives the annotations of other users; None when there are none to see.
    max_items
        Labels above which the user is told that colours are grouped.
    is_closed
        Whether annotations are switched off on this server.
    room
        Where what is worked out for the user is kept; `ROOM` bytes when None.
    """

    def __init__(
        self,
        study: Study,
        *,
        user: str,
        folder: Path,
        user_name: str | None = None,
        file: Path | None = None,
        shared: Callable[[], SharedAnnotations | None] = lambda: None,
        max_items: int = 1000,
        is_closed: bool = False,
        room: Room | None = None,
    ) -> None:
        self.user = user
        self.room = room or Room(ROOM)
        self.user_name = user_name or user
        self.max_items = max_items
        self.is_closed = is_closed
        self._study = study
        self._folder = folder
        self._file = file
        self._shared = shared
        self._lock = threading.RLock()
        self._opened = False
        self._states: dict[str, Annotation] = {}
        self._written: dict[str, Annotation] = {}
        self._events: list[Event] = []
        self._notices: list[Notice] = []
        self._n_choices = 0

    # -- opening -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Read the journal and replay it; later calls do nothing.

        Raises
        ------
        StorageError
            The journal cannot be opened.
        """
        with self._lock:
            if self._opened:
                return
            self._collection = Collection(
                self._folder,
                self.user,
                self._study.fingerprint,
                collection_name(self._study.title),
                self._file,
                is_closed=self.is_closed,
            )
            try:
                self._replay()
                self._see_as_chosen()
            except BaseException:
                self._collection.close()
                raise
            self._autosaver = Autosaver(self._collection.place.draft, self._save_draft)
            self._opened = True
            if self._collection.edited_outside() or self._collection.draft_is_behind(self._last_seq):
                self._autosaver.request()

    def _see_as_chosen(self) -> None:
        """See the study with the choices that the journal holds."""
        kept = self._collection.setting("choices")
        if not kept:
            return
        asked = self._study.choices.sample_column
        try:
            choices = Choices(**kept)
            # What was asked for at the start goes before what was chosen earlier.
            self._study = self._study.with_choices(choices if asked is None else replace(choices, sample_column=asked))
        except (IscanError, TypeError):
            self._notify("What you chose on the Data page does not fit this study any more; choose again.")

    @property
    def _last_seq(self) -> int:
        return self._events[-1].seq if self._events else 0

    def close(self) -> None:
        """Write what is unsaved and close the drafts."""
        if self._opened:
            # Without the lock, which the autosaver needs for its last draft.
            self._autosaver.flush()
            self._collection.close()

    # -- the collection ----------------------------------------------------------------------------------------------

    @property
    def place(self) -> DraftPlace:
        """Where the drafts are, or will be."""
        self.open()
        return self._collection.place

    @property
    def needs_name(self) -> bool:
        """Whether the user should be asked what to call the collection, before the first annotation is made."""
        self.open()
        return not self._events and not self._collection.is_named

    def name_collection(self, name: str) -> DraftPlace:
        """Give the drafts the name that the user chose; see `Collection.rename` for the errors."""
        self.open()
        with self._lock:
            self._check_writable()
            place = self._collection.rename(name.strip())
            self._collection.set_setting("user", {"id": self.user, "name": self.user_name})
            self._autosaver.moved(place.draft)
            return place

    def call_user(self, name: str) -> None:
        """Take note of what others call the user by now.

        A name that cannot be written is left for the next call: nobody is kept from looking by a full disk.
        """
        if name == self.user_name:
            return
        if self._opened and self._events:
            try:
                self._collection.set_setting("user", {"id": self.user, "name": name})
            except StorageError as error:
                log.warning("%s", error)
                return
        self.user_name = name

    def kept(self, key: str) -> Any:
        """Return what `keep` kept of the user's, None when nothing was."""
        self.open()
        return self._collection.setting(key)

    def keep(self, key: str, value: Any) -> None:
        """Keep something of the user's with their drafts (JSON values)."""
        self.open()
        with self._lock:
            self._check_writable()
            self._collection.set_setting(key, value)

    def watch_draft(self) -> None:
        """Have the draft looked at when another program changed it."""
        self.open()
        with self._lock:
            if self._collection.was_begun_elsewhere():
                # Nothing was made here yet: what was made there is read when next asked for.
                self._opened = False
            elif self._collection.edited_outside():
                self._autosaver.request()

    def notices(self) -> list[Notice]:
        """Return what the user should know that no edit of theirs brought about."""
        with self._lock:
            return list(self._notices)

    # -- being away --------------------------------------------------------------------------------------------------

    def remember(self) -> dict[str, Any]:
        """Return as plain values for `recall` what is not in the journal: notices, and choices where there is none."""
        with self._lock:
            if not self._notices and not self._n_choices:
                return {}
            notices = [asdict(notice) for notice in self._notices]
            choices = asdict(self._study.choices) if self.is_closed else None
            return {"notices": notices, "n_choices": self._n_choices, "choices": choices}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """Be as `remember` said.

        Raises
        ------
        TypeError, ValueError
            The values are something else.
        """
        notices = [Notice(**own) for own in kept.get("notices", ())]
        n_choices = int(kept.get("n_choices", 0))
        with self._lock:
            self._notices = [*notices, *self._notices]
            self._n_choices = n_choices
            if self.is_closed and kept.get("choices"):
                self._study = self._study.with_choices(Choices(**kept["choices"]))

    def _check_writable(self) -> None:
        if self.is_closed:
            raise StorageError("Annotations are switched off on this server (--disable-annotations).")
        if self._collection.was_begun_elsewhere():
            self._opened = False
            raise StorageError("Drafts of this study were begun elsewhere meanwhile. Load the page again to see them.")

    # -- looking -----------------------------------------------------------------------------------------------------

    @property
    def study(self) -> Study:
        """The study, seen with the user's choices."""
        return self._study

    @property
    def revision(self) -> int:
        """A number that grows with every edit and every choice."""
        shared = self._shared()
        return self.own_revision + (shared.revision(self.user) if shared else 0)

    @property
    def own_revision(self) -> int:
        """The user's own part of `revision`."""
        self.open()
        with self._lock:
            return self._last_seq + self._n_choices

    @property
    def save_status(self) -> SaveStatus:
        """How the draft stands."""
        self.open()
        return self._autosaver.status

    @property
    def is_opened(self) -> bool:
        """Whether the journal was read."""
        return self._opened

    @property
    def is_saved(self) -> bool:
        """Whether nothing is waiting to be written."""
        return not self._opened or self._autosaver.status.state is SaveState.SAVED

    def changed_files(self) -> list[str]:
        """Return the names of the study's files that were changed, replaced or removed since they were opened."""
        return [dataset.path.name for dataset in self._study.datasets if not dataset.is_unchanged()]

    def annotations(self) -> list[Annotation]:
        """Return the user's annotations that are not deleted, the newest first."""
        self.open()
        with self._lock:
            return [state for state in reversed(self._states.values()) if state.header is not None]

    def others(self) -> list[Annotation]:
        """Return the annotations of other users, which can be looked at and copied."""
        shared = self._shared()
        return shared.of_others(self.user) if shared else []

    def is_own(self, annotation_id: str) -> bool:
        """Tell whether the user may edit an annotation."""
        return annotation_id in self._states

    def annotation(self, annotation_id: str) -> Annotation:
        """Return an annotation of any user as it stands.

        Raises
        ------
        UnknownColumn
            It does not exist, or is deleted.
        """
        self.open()
        state = self._states.get(annotation_id)
        if state is None and (shared := self._shared()):
            state = shared.find(annotation_id)
        if state is None or state.header is None:
            raise UnknownColumn("This annotation was deleted. Choose another one, or undo.")
        return state

    def deleted(self) -> list[Deleted]:
        """Return the annotations deleted within the last 30 days, the latest first."""
        self.open()
        oldest = (datetime.now(UTC) - KEEP_DELETED).isoformat()
        with self._lock:
            gone = [event for state_id in self._states if (event := self._deletion(state_id)) and event.time >= oldest]
            found = []
            for event in sorted(gone, key=lambda event: event.seq, reverse=True):
                before = self._collection.change(event).before
                assert before is not None
                found.append(Deleted(event.annotation_id, before.name, event.time))
            return found

    def _deletion(self, annotation_id: str) -> Event | None:
        """Return the event that took an annotation away, None when it is there or its creation was undone."""
        state = self._states.get(annotation_id)
        if state is None or state.header is not None:
            return None
        last = self.history(annotation_id)[0]
        undone = next((event for event in self._events if event.seq == last.undoes), last)
        # Undoing a creation is no deletion: redo brings it back.
        return None if last.verb == "undo" and undone.verb == "create" else last

    def taken_names(self) -> dict[str, str]:
        """Return the names in use, and what uses them."""
        taken = {
            name: "cluster" if info.role == "cluster" else "metadata" for name, info in self._study.columns.items()
        }
        taken |= {dataset.index_name: "cell ID" for dataset in self._study.datasets}
        return taken | {state.live.name: "annotation" for state in self.annotations()}

    def history(self, annotation_id: str) -> list[Event]:
        """Return the events of an annotation, the newest first."""
        self.open()
        with self._lock:
            return [event for event in reversed(self._events) if event.annotation_id == annotation_id]

    def latest(self, most: int) -> list[Event]:
        """Return the user's edits of all annotations, the newest first."""
        self.open()
        with self._lock:
            return self._events[: -most - 1 : -1]

    # -- undo and history --------------------------------------------------------------------------------------------

    def undoable(self) -> Event | None:
        """Return the event that `undo` would take back."""
        return self._stacks()[0]

    def redoable(self) -> Event | None:
        """Return the event that `redo` would make again."""
        return self._stacks()[1]

    def undo(self, seq: int | None = None) -> Event:
        """Take back the user's last edit that still stands.

        Parameters
        ----------
        seq
            The event the user means; when another is on top by now nothing is undone.

        Raises
        ------
        NothingToUndo
            There is none, or it is not the one that was meant.
        """
        with self._lock:
            event = self.undoable()
            if event is None:
                raise NothingToUndo("There is nothing to undo.")
            if seq is not None and seq != event.seq:
                raise NothingToUndo(NEWER_EDITS)
            self._apply(self._collection.change(event).inverse(), "undo", f"Undone: {event.description}", event.seq)
            return event

    def redo(self, seq: int | None = None) -> Event:
        """Make the edit again that was undone last.

        Parameters
        ----------
        seq
            The event the user means; when another was undone last by now nothing is made again.

        Raises
        ------
        NothingToUndo
            There is none, or it is not the one that was meant.
        """
        with self._lock:
            event = self.redoable()
            if event is None:
                raise NothingToUndo("There is nothing to redo.")
            if seq is not None and seq != event.seq:
                raise NothingToUndo(NEWER_EDITS)
            self._apply(self._collection.change(event), "redo", f"Redone: {event.description}", event.seq)
            return event

    def _stacks(self) -> tuple[Event | None, Event | None]:
        self.open()
        with self._lock:
            by_seq = {event.seq: event for event in self._events}
            done: deque[Event] = deque(maxlen=UNDO_DEPTH)
            undone: list[Event] = []
            for event in self._events:
                if event.verb == "undo" and event.undoes:
                    done.pop()
                    undone.append(by_seq[event.undoes])
                elif event.verb == "redo" and event.undoes:
                    undone.pop()
                    done.append(by_seq[event.undoes])
                else:
                    done.append(event)
                    undone.clear()
            return (done[-1] if done else None), (undone[-1] if undone else None)

    def delete(self, annotation_id: str, base_version: int) -> Event:
        """Delete an annotation; `undo` with the event that is returned, or `restore`, brings it back.

        Parameters
        ----------
        annotation_id
            The annotation.
        base_version
            The version the user saw.

        Raises
        ------
        EditConflict
            The annotation changed since.
        """
        with self._lock:
            state = self._current(annotation_id, base_version)
            self._apply(edits.delete(state), "delete", f'Deleted "{state.live.name}"')
            return self._events[-1]

    def restore(self, annotation_id: str) -> Annotation:
        """Bring a deleted annotation back, under a free name if its own was taken meanwhile."""
        with self._lock:
            self.open()
            event = self._deletion(annotation_id)
            if event is None:
                raise NothingToUndo("This annotation is not deleted.")
            return self._apply(self._with_free_name(self._collection.change(event).inverse()), "restore", "Restored")

    def revert(self, annotation_id: str, version: int, base_version: int) -> Annotation:
        """Make an annotation what it was at an earlier version, as a new event.

        Parameters
        ----------
        annotation_id
            The annotation.
        version
            What it shall be again.
        base_version
            The version the user compared that with.

        Raises
        ------
        EditConflict
            The annotation changed since.
        UnknownColumn
            The annotation has no such version.
        """
        with self._lock:
            state = self._current(annotation_id, base_version)
            earlier, event = self._at(annotation_id, version)
            change = edits.revert(state, earlier)
            description = f"Reverted to version {version} ({event.description})"
            return self._apply(self._with_free_name(change), "revert", description)

    def compare(self, annotation_id: str, version: int) -> Comparison:
        """Compare one of the user's annotations with what it was at an earlier version.

        Raises
        ------
        UnknownColumn
            The annotation has no such version.
        """
        with self._lock:
            return compare(self._at(annotation_id, version)[0], self._own(annotation_id))

    def _at(self, annotation_id: str, version: int) -> tuple[Annotation, Event]:
        """Return an annotation as it was at an earlier version, and the event that made it so."""
        earlier = self._own(annotation_id)
        for event in self.history(annotation_id):
            if event.version == version and earlier.header is not None:
                return earlier, event
            back = self._collection.change(event).inverse()
            earlier = replace(back.apply(earlier, event.time), version=event.version - 1)
        raise UnknownColumn(f"This annotation has no version {version}.")

    # -- within ------------------------------------------------------------------------------------------------------

    def _create(
        self,
        name: str,
        combined: Combined,
        origin: str,
        recipe: Mapping[str, Any],
        description: str,
        colours: Mapping[str, str] | None = None,
    ) -> Annotation:
        """Make an annotation of labels, the first of which is the default."""
        with self._lock:
            change = self._creation(name, combined, origin, recipe, colours)
            return self._apply(change, "create", description)

    def _creation(
        self,
        name: str,
        combined: Combined,
        origin: str,
        recipe: Mapping[str, Any],
        colours: Mapping[str, str] | None = None,
        annotation_id: str | None = None,
    ) -> Change:
        """Return the change that brings an annotation of labels into being, under a new id unless one is given."""
        own = colours or palette.label_colours(combined.labels[1:])
        texts = enumerate(combined.labels)
        labels = tuple(Label(place, text, own[text] if place else palette.UNASSIGNED) for place, text in texts)
        kept = check_name(name, self.taken_names())
        header = Header(kept, labels, self.user_name, now(), origin, recipe)
        return edits.create(absent(annotation_id or uuid4().hex, self._study.n_cells), header, combined.codes)

    def _own(self, annotation_id: str) -> Annotation:
        """Return an annotation that the user may edit."""
        state = self.annotation(annotation_id)
        if not self.is_own(annotation_id):
            raise EditConflict(f'"{state.live.name}" belongs to {state.live.owner}. Duplicate it to edit it.')
        return state

    def _current(self, annotation_id: str, base_version: int) -> Annotation:
        state = self._own(annotation_id)
        if state.version != base_version:
            last = self.history(annotation_id)[0]
            minute = last.time[:16].replace("T", " ")
            sentence = f"{last.author} saved a newer version ({minute} UTC). Reload or review the differences."
            raise EditConflict(sentence, annotation_id, base_version)
        return state

    def _apply(self, change: Change, verb: str, description: str, undoes: int | None = None) -> Annotation:
        """Write a change to the journal, then make it; a change of nothing is no event."""
        self._check_writable()
        changed = self.changed_files()
        if changed:
            raise EditConflict(f"{changed[0]} was changed on disk since it was opened. Restart iscan-dash to go on.")
        state = self._states.get(change.annotation_id) or absent(change.annotation_id, self._study.n_cells)
        if change.is_empty:
            return state
        moment = now()
        after = change.apply(state, moment)
        event = Event(
            seq=0,
            annotation_id=change.annotation_id,
            version=after.version,
            time=moment,
            author=self.user_name,
            verb=verb,
            description=description,
            n_cells=change.delta.n_cells,
            undoes=undoes,
        )
        try:
            if not self._events:
                self._collection.set_setting("user", {"id": self.user, "name": self.user_name})
            self._events.append(self._collection.append(event, change))
        except StorageError:
            if self._events:
                # The draft cannot be written either as long as this lasts, which the top bar tells.
                self._autosaver.request()
            raise
        self._states[change.annotation_id] = after
        self._autosaver.request()
        tell(
            "edit",
            user=self.user,
            verb=verb,
            annotation=change.annotation_id,
            version=after.version,
            seq=self._last_seq,
            cells=change.delta.n_cells,
        )
        return after

    def _replay(self) -> None:
        """Make the changes that the journal holds."""
        self._states, self._events = {}, []
        written = self._collection.written_seq
        for event, change in self._collection.replay():
            state = self._states.get(event.annotation_id) or absent(event.annotation_id, self._study.n_cells)
            try:
                self._states[event.annotation_id] = change.apply(state, event.time)
            except ValueError as error:
                raise StorageError(
                    f"The journal {self._collection.place.journal} is damaged: {error}. Restore it from a backup."
                ) from error
            self._events.append(event)
            if event.seq == written:
                self._written = dict(self._states)

    def _with_free_name(self, change: Change) -> Change:
        """Let an annotation that comes back take another name when its own is in use by now."""
        if change.after is None:
            return change
        own = change.before.name if change.before else None
        taken = {name: user for name, user in self.taken_names().items() if name != own}
        return replace(change, after=replace(change.after, name=free_name(change.after.name, taken)))

    # -- the draft ---------------------------------------------------------------------------------------------------

    def _save_draft(self) -> None:
        """Take over what was edited outside, then write the draft as of now."""
        for _ in range(TRIES):
            self._take_over_outside()
            with self._lock:
                states, seq = dict(self._states), self._last_seq
            try:
                self._collection.write_draft(self._draft_text(states), seq)
            except DraftChanged:
                continue
            self._written = states
            return
        raise StorageError("Another program keeps changing the draft. Close it there.")

    def _draft_text(self, states: Mapping[str, Annotation]) -> Iterator[str]:
        annotations = [state for state in states.values() if state.header is not None]
        return table_lines(self._study, annotations, export_header(self._study, annotations, self.user_name))

    def _take_over_outside(self) -> None:
        """Make what another program changed in the draft into events; nothing of it is lost."""
        draft = self._collection.edited_outside()
        if draft is None:
            return
        # Whoever writes it may not be done.
        time.sleep(max(0.0, min(SETTLED, draft.stat().st_mtime + SETTLED - time.time())))
        digest = file_digest(draft)
        with self._lock:
            try:
                said = self._take_over(match_table(open_csv_table(draft), self._study, {}, max_items=self.max_items))
            except (DataError, NameRefused) as error:
                said = [f"it could not be taken over: {error} It is kept as {self._collection.set_draft_aside()}"]
            # Once: while the draft cannot be written it stays as it is, and undo must not be undone.
            self._collection.take_over(digest)
        if said:
            self._notify(f"{draft.name} was changed outside iscan-dash: {'; '.join(said).rstrip('.')}.")

    def _take_over(self, table: LabelTable) -> list[str]:
        """Make the differences of a draft into events, and tell what became of it."""
        changes = list(outside_changes(table, self._written, self._states))
        written = {change.annotation_id: change for change in outside_changes(table, self._written, self._written)}
        columns = new_columns(table, self._written)
        # From now on the draft of the other program is what was written last.
        self._written = {
            own: written[own].apply(state, state.modified) if own in written else state
            for own, state in self._written.items()
        }
        for change in changes:
            self._apply(change, "outside", "Edited outside")
        n_cells = sum(change.delta.n_cells for change in changes)
        said = [counted(n_cells, "cell follows", "cells follow")] if changes else []
        left_out = [self._take_over_column(table, column, said) for column in columns]
        report = table.report
        n_rows = report.unmatched.count + report.duplicated.count + report.ambiguous.count
        lost = [reason for reason in left_out if reason]
        if n_rows:
            lost.append(f"{counted(n_rows, 'row')} name no cell, or one that has a row already")
        if lost:
            said.append(f"not taken over: {', '.join(lost)}; the file is kept as {self._collection.set_draft_aside()}")
        return said

    def _take_over_column(self, table: LabelTable, column: ColumnReport, said: list[str]) -> str:
        """Make an annotation of a column that another program added; return why not, ``""`` when it was made."""
        if not column.is_on:
            return f'column "{column.name}" ({column.reason.rstrip(".")})'
        file = table.report.name
        combined = import_column(table, column.name, DEFAULT_LABEL)
        name = free_name(column.new_name, self.taken_names())
        made = self._create(name, combined, "import", {"file": file, "column": column.name}, f"Read from {file}")
        self._written[made.id] = replace(made, header=replace(made.live, name=column.name))
        said.append(f'"{made.live.name}" is new')
        return ""

    def _notify(self, text: str) -> None:
        self._notices = [*self._notices[-9:], Notice(uuid4().hex, text)]


def now() -> str:
    """Return the time as events have it: ISO 8601 in UTC, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
