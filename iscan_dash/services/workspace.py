"""The workspace: an open study and a user's annotations of it, as they stand and as they came to be."""

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock, Timeout

from iscan_dash import __version__
from iscan_dash.core import palette
from iscan_dash.core.annotations import Annotation, Change, Header, Label, edits
from iscan_dash.core.annotations.annotation import DEFAULT, absent
from iscan_dash.core.annotations.combine import Combined, CombineRecipe, combine_columns
from iscan_dash.core.annotations.names import check_label, check_name, free_name
from iscan_dash.core.study import CategoryColumn, Choices, Study
from iscan_dash.core.study.health import Finding, check_study
from iscan_dash.errors import EditConflict, NothingToUndo, StorageError, UnknownColumn
from iscan_dash.services.drafts import (
    Autosaver,
    SaveStatus,
    annotations_folder,
    collection_name,
    draft_lines,
    draft_suffix,
)
from iscan_dash.services.journal import Event, Journal

UNDO_DEPTH = 200
KEEP_DELETED = timedelta(days=30)
PREVIEWS = 4
"""Previews kept, so that the pages of one grid are made once."""


@dataclass(frozen=True)
class Source:
    """Where a part of a combined label comes from.

    Parameters
    ----------
    kind
        ``"metadata"``, ``"cluster"`` or ``"annotation"``.
    key
        The column's name, or the annotation's id.
    """

    kind: str
    key: str


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


class Workspace:
    """An open study and one user's annotations of it.

    The journal is read when annotations are first asked for: until then the study's cell ids, which tell whose
    journal it is, need not be read. All methods may be called from any thread.

    Parameters
    ----------
    study
        The open study.
    user
        Who edits.
    annotations_dir
        Where drafts go; beside the first file when None.
    max_items
        Labels above which the user is told that colours are grouped.
    """

    def __init__(self, study: Study, *, user: str, annotations_dir: Path | None = None, max_items: int = 1000) -> None:
        self.user = user
        self.max_items = max_items
        self._study = study
        self._folder = annotations_folder(annotations_dir, study)
        self._lock = threading.RLock()
        self._opened = False
        self._states: dict[str, Annotation] = {}
        self._events: list[Event] = []
        self._findings: tuple[str, list[Finding]] | None = None
        self._n_choices = 0
        self._previews: OrderedDict[Any, Combined] = OrderedDict()

    # -- opening -------------------------------------------------------------------------------------------------

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
            suffix = draft_suffix(self.user, self._study.fingerprint)
            stem = self._stem(suffix)
            self._guard = self._sole_use(stem)
            try:
                self._journal = Journal(self._folder / f"{stem}.journal.db", self._study.fingerprint)
                try:
                    self._replay()
                    choices = self._journal.setting("choices")
                except StorageError:
                    self._journal.close()
                    raise
            except StorageError:
                self._guard.release()
                raise
            if choices:
                kept = Choices(**choices)
                # What was asked for at the start goes before what was chosen earlier.
                asked = self._study.choices.sample_column
                self._study = self._study.with_choices(kept if asked is None else replace(kept, sample_column=asked))
            draft = self._folder / f"{stem}.csv"
            self._autosaver = Autosaver(draft, self._draft)
            self._opened = True
            if self._is_behind(draft):
                self._autosaver.request()

    def _sole_use(self, stem: str) -> FileLock:
        """Keep other processes from editing the same drafts; the lock ends with the process, however it ends."""
        guard = FileLock(self._folder / f".{stem}.lock", timeout=0)
        try:
            guard.acquire()
        except Timeout as error:
            raise StorageError(
                f"The drafts of this study in {self._folder} are open in another iscan-dash. Close it, or choose "
                "another --annotations-dir."
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(
                f"{self._folder} cannot be written: {reason}. Choose another --annotations-dir."
            ) from error
        return guard

    def _is_behind(self, draft: Path) -> bool:
        """Tell whether the draft lacks edits that the journal has, as it may after a crash."""
        if not self._events:
            return False
        try:
            return draft.stat().st_mtime < datetime.fromisoformat(self._events[-1].time).timestamp()
        except OSError:
            return True

    def _stem(self, suffix: str) -> str:
        """Return the drafts' name: that of a journal found for these cells, else one made of the title."""
        found = sorted(self._folder.glob(f"*-{suffix}.journal.db"))
        return found[0].name.removesuffix(".journal.db") if found else f"{collection_name(self._study.title)}-{suffix}"

    def close(self) -> None:
        """Write what is unsaved and close the files."""
        if self._opened:
            # Without the lock, which the autosaver needs for its last draft.
            self._autosaver.flush()
            self._journal.close()
            self._guard.release()
        self._study.close()

    # -- looking -------------------------------------------------------------------------------------------------

    @property
    def study(self) -> Study:
        """The study, seen with the user's choices."""
        return self._study

    @property
    def revision(self) -> int:
        """A number that grows with every edit and every choice."""
        self.open()
        with self._lock:
            return (self._events[-1].seq if self._events else 0) + self._n_choices

    @property
    def save_status(self) -> SaveStatus:
        """How the draft stands."""
        self.open()
        return self._autosaver.status

    def findings(self) -> list[Finding]:
        """Return what the health check finds, as the study is seen now."""
        key = repr(self._study.choices)
        if self._findings is None or self._findings[0] != key:
            self._findings = (key, check_study(self._study, self.max_items))
        return self._findings[1]

    def changed_files(self) -> list[str]:
        """Return the names of the study's files that were changed, replaced or removed since they were opened."""
        return [dataset.path.name for dataset in self._study.datasets if not dataset.is_unchanged()]

    def annotations(self) -> list[Annotation]:
        """Return the annotations that are not deleted, the newest first."""
        self.open()
        with self._lock:
            return [state for state in reversed(self._states.values()) if state.header is not None]

    def annotation(self, annotation_id: str) -> Annotation:
        """Return an annotation as it stands.

        Raises
        ------
        UnknownColumn
            It does not exist, or is deleted.
        """
        self.open()
        state = self._states.get(annotation_id)
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
                before = self._journal.change(event).before
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

    def category(self, source: Source) -> CategoryColumn:
        """Return the labels of a column or an annotation.

        Raises
        ------
        UnknownColumn
            There is no such column or annotation.
        """
        if source.kind == "annotation":
            return self.annotation(source.key).column
        return self._study.category(source.key)

    def colours(self, source: Source) -> dict[str, str]:
        """Return the colour of each label of a column or an annotation."""
        if source.kind == "annotation":
            return {label.text: label.colour for label in self.annotation(source.key).live.labels}
        return palette.label_colours(self.category(source).labels, self._study.colours(source.key))

    # -- making annotations --------------------------------------------------------------------------------------

    def preview(self, sources: Sequence[Source], recipe: CombineRecipe) -> Combined:
        """Combine columns the way `create_from_existing` does, without keeping the result.

        Raises
        ------
        NameRefused
            The default value or a combined label breaks a rule.
        UnknownColumn
            A source does not exist.
        """
        recipe = replace(recipe, default=check_label(recipe.default), max_items=self.max_items)
        key = (tuple(sources), recipe, tuple(self._version(source) for source in sources))
        with self._lock:
            if key in self._previews:
                self._previews.move_to_end(key)
                return self._previews[key]
        combined = combine_columns([self.category(source) for source in sources], self._study.n_cells, recipe)
        with self._lock:
            self._previews[key] = combined
            if len(self._previews) > PREVIEWS:
                self._previews.popitem(last=False)
        return combined

    def _version(self, source: Source) -> Any:
        if source.kind == "annotation":
            return self.annotation(source.key).version
        info = self._study.columns.get(source.key)
        return info.treat_as if info else None

    def create_from_existing(self, name: str, sources: Sequence[Source], recipe: CombineRecipe) -> Annotation:
        """Make an annotation of existing columns, or with no source one in which every cell has the default label.

        Parameters
        ----------
        name
            Its name.
        sources
            The columns in the order of the parts.
        recipe
            How they are combined.

        Raises
        ------
        NameRefused
            The name, the default value or a combined label breaks a rule.
        """
        combined = self.preview(sources, recipe)
        titles = [self.category(source).name for source in sources]
        colours = self._inherited_colours(sources, combined.labels[1:])
        texts = enumerate(combined.labels)
        labels = tuple(Label(place, text, colours[text] if place else palette.UNASSIGNED) for place, text in texts)
        with self._lock:
            header = Header(
                check_name(name, self.taken_names()),
                labels,
                self.user,
                _now(),
                "existing" if sources else "empty",
                {"sources": [asdict(source) for source in sources], "titles": titles, **recipe.to_json()},
            )
            state = absent(uuid4().hex, self._study.n_cells)
            description = f"Created from {', '.join(titles)}" if titles else "Created empty"
            return self._apply(edits.create(state, header, combined.codes), "create", description)

    def _inherited_colours(self, sources: Sequence[Source], labels: Sequence[str]) -> dict[str, str]:
        """Let a plain copy keep the colours of its source; give other labels colours of their own."""
        given = self.colours(sources[0]) if len(sources) == 1 else {}
        return palette.label_colours(labels, {label: given[label] for label in labels if label in given})

    def duplicate(self, annotation_id: str) -> Annotation:
        """Make a copy of an annotation under a free name."""
        with self._lock:
            original = self.annotation(annotation_id)
            header = replace(
                original.live,
                name=free_name(f"{original.live.name[:57]} (copy)", self.taken_names()),
                owner=self.user,
                created=_now(),
                origin="duplicate",
                recipe={"duplicate_of": original.live.name, "version": original.version},
            )
            state = absent(uuid4().hex, self._study.n_cells)
            return self._apply(
                edits.create(state, header, original.codes), "create", f"Copied from {original.live.name}"
            )

    # -- editing -------------------------------------------------------------------------------------------------

    def rename(self, annotation_id: str, name: str, base_version: int) -> Annotation:
        """Rename an annotation.

        Parameters
        ----------
        annotation_id
            The annotation.
        name
            Its new name.
        base_version
            The version the user saw.

        Raises
        ------
        EditConflict
            The annotation changed since.
        NameRefused
            The name breaks a rule or is taken.
        """
        with self._lock:
            state = self._current(annotation_id, base_version)
            change = edits.rename(state, name, self.taken_names())
            description = f'Renamed from "{state.live.name}" to "{change.after.name if change.after else ""}"'
            return self._apply(change, "rename", description)

    def describe(self, annotation_id: str, text: str, base_version: int) -> Annotation:
        """Change the free text of an annotation; see `rename` for the errors."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            return self._apply(edits.describe(state, text), "describe", "Description changed")

    def rename_label(self, annotation_id: str, label_id: int, text: str, base_version: int) -> Annotation:
        """Rename a label; see `rename` for the errors."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            change = edits.rename_label(state, label_id, text)
            what = "Default label" if label_id == DEFAULT else "Label"
            after = change.after.by_id[label_id].text if change.after else ""
            description = f'{what} "{state.live.by_id[label_id].text}" renamed to "{after}"'
            return self._apply(change, "rename label", description)

    def recolour_label(self, annotation_id: str, label_id: int, colour: str, base_version: int) -> Annotation:
        """Give a label another colour; see `rename` for the errors."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            description = f'Colour of "{state.live.by_id[label_id].text}" changed'
            return self._apply(edits.recolour_label(state, label_id, colour), "recolour", description)

    def delete(self, annotation_id: str) -> Event:
        """Delete an annotation; `undo` with the event that is returned, or `restore`, brings it back."""
        with self._lock:
            state = self.annotation(annotation_id)
            self._apply(edits.delete(state), "delete", f'Deleted "{state.live.name}"')
            return self._events[-1]

    def restore(self, annotation_id: str) -> Annotation:
        """Bring a deleted annotation back, under a free name if its own was taken meanwhile."""
        with self._lock:
            self.open()
            event = self._deletion(annotation_id)
            if event is None:
                raise NothingToUndo("This annotation is not deleted.")
            return self._apply(self._with_free_name(self._journal.change(event).inverse()), "restore", "Restored")

    def revert(self, annotation_id: str, version: int) -> Annotation:
        """Make an annotation what it was at an earlier version, as a new event.

        Raises
        ------
        UnknownColumn
            The annotation has no such version.
        """
        with self._lock:
            change, event = self._revert_change(annotation_id, version)
            description = f"Reverted to version {version} ({event.description})"
            return self._apply(self._with_free_name(change), "revert", description)

    def cells_to_revert(self, annotation_id: str, version: int) -> int:
        """Count the cells whose label would change if an annotation were reverted."""
        with self._lock:
            return self._revert_change(annotation_id, version)[0].delta.n_cells

    def _revert_change(self, annotation_id: str, version: int) -> tuple[Change, Event]:
        now = earlier = self.annotation(annotation_id)
        for event in self.history(annotation_id):
            if event.version == version and earlier.header is not None:
                return edits.revert(now, earlier), event
            back = self._journal.change(event).inverse()
            earlier = replace(back.apply(earlier, event.time), version=event.version - 1)
        raise UnknownColumn(f"This annotation has no version {version}.")

    # -- undo ----------------------------------------------------------------------------------------------------

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
                raise NothingToUndo(
                    "There are newer edits. Use the history or the list of deleted annotations instead."
                )
            self._apply(self._journal.change(event).inverse(), "undo", f"Undone: {event.description}", event.seq)
            return event

    def redo(self) -> Event:
        """Make the edit again that was undone last.

        Raises
        ------
        NothingToUndo
            There is none.
        """
        with self._lock:
            event = self.redoable()
            if event is None:
                raise NothingToUndo("There is nothing to redo.")
            self._apply(self._journal.change(event), "redo", f"Redone: {event.description}", event.seq)
            return event

    def _stacks(self) -> tuple[Event | None, Event | None]:
        self.open()
        with self._lock:
            by_seq = {event.seq: event for event in self._events}
            done: deque[Event] = deque(maxlen=UNDO_DEPTH)
            undone: list[Event] = []
            for event in self._events:
                if event.author != self.user:
                    continue
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

    # -- choices about the study ---------------------------------------------------------------------------------

    def choose(self, **changes: Any) -> None:
        """Keep decisions of the user about the study: fields of `Choices` with their new values."""
        self.open()
        with self._lock:
            choices = replace(self._study.choices, **changes)
            self._journal.set_setting("choices", asdict(choices))
            self._study = self._study.with_choices(choices)
            self._previews.clear()
            self._n_choices += 1
            if self._events:
                # The draft names the sample of each cell.
                self._autosaver.request()

    # -- within --------------------------------------------------------------------------------------------------

    def _current(self, annotation_id: str, base_version: int) -> Annotation:
        state = self.annotation(annotation_id)
        if state.version != base_version:
            last = self.history(annotation_id)[0]
            raise EditConflict(f"{last.author} saved a newer version ({last.time}). Reload or review the differences.")
        return state

    def _apply(self, change: Change, verb: str, description: str, undoes: int | None = None) -> Annotation:
        """Write a change to the journal, then make it; a change of nothing is no event."""
        changed = self.changed_files()
        if changed:
            raise EditConflict(f"{changed[0]} was changed on disk since it was opened. Restart iscan-dash to go on.")
        state = self._states.get(change.annotation_id) or absent(change.annotation_id, self._study.n_cells)
        if change.is_empty:
            return state
        time = _now()
        after = change.apply(state, time)
        event = Event(
            0, change.annotation_id, after.version, time, self.user, verb, description, change.delta.n_cells, undoes
        )
        self._events.append(self._journal.append(event, change))
        self._states[change.annotation_id] = after
        self._autosaver.request()
        return after

    def _replay(self) -> None:
        """Make the changes that the journal holds."""
        self._states, self._events = {}, []
        for event, change in self._journal.replay():
            state = self._states.get(event.annotation_id) or absent(event.annotation_id, self._study.n_cells)
            try:
                self._states[event.annotation_id] = change.apply(state, event.time)
            except ValueError as error:
                raise StorageError(
                    f"The journal {self._journal.path} is damaged: {error}. Restore it from a backup."
                ) from error
            self._events.append(event)

    def _with_free_name(self, change: Change) -> Change:
        """Let an annotation that comes back take another name when its own is in use by now."""
        if change.after is None:
            return change
        own = change.before.name if change.before else None
        taken = {name: user for name, user in self.taken_names().items() if name != own}
        return replace(change, after=replace(change.after, name=free_name(change.after.name, taken)))

    def _draft(self) -> Any:
        """Return the draft's text as of now; the annotations do not change while it is written."""
        annotations = list(reversed(self.annotations()))
        ids = ", ".join(f"{state.live.name} = {state.id} v{state.version}" for state in annotations)
        header = [
            f"iscan-dash {__version__}, {_now()}",
            f"data: {', '.join(dataset.path.name for dataset in self._study.datasets)}",
            f"fingerprint: {self._study.fingerprint}",
            f"annotations: {ids}",
        ]
        return draft_lines(self._study, annotations, header)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
