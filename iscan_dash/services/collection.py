"""A collection: the drafts of one user of one study on disk, as a journal, a CSV file and its backups."""

import contextlib
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from iscan_dash.core.annotations import Change
from iscan_dash.errors import NameRefused, StorageError
from iscan_dash.services.drafts import (
    NAME_RULE,
    DraftPlace,
    clear_unfinished,
    draft_suffix,
    file_digest,
    find_place,
    keep_backup,
    move_backups,
    set_aside,
    write_whole,
)
from iscan_dash.services.journal import Event, Journal

_DRAFTS = "drafts"
"""Journal setting: the digest and last event of the draft on disk, last in a list.

While a draft is replaced the new one stands before it; after a crash just then either may be on disk.
"""

_TAKEN_OVER = "taken over"
"""Journal setting: the digest of the draft of another program that was taken over last."""

_WRITING = threading.Lock()


class DraftChanged(Exception):
    """Another program changed the draft just before it was replaced."""


class Collection:
    """The drafts of one user of one study on disk.

    Nothing is written before there is something to keep, so that people who only look leave no files behind.

    Parameters
    ----------
    folder
        Where drafts go.
    user
        Id of the user.
    fingerprint
        Fingerprint of the study.
    suggested_name
        The name until the user gives one.
    file
        The draft, when the server was given one file to keep.
    is_closed
        Whether the files are left alone.

    Raises
    ------
    StorageError
        The journal cannot be opened, or another process has it.
    """

    def __init__(
        self,
        folder: Path,
        user: str,
        fingerprint: str,
        suggested_name: str,
        file: Path | None = None,
        *,
        is_closed: bool = False,
    ) -> None:
        self._lock = threading.RLock()
        # Held while files are written or renamed, so that each sees the other's work whole.
        self._files = threading.RLock()
        self._fingerprint = fingerprint
        self._suffix = draft_suffix(user, fingerprint)
        self._folder = folder
        self._guard: FileLock | None = None
        self._journal: Journal | None = None
        self._written_as: tuple[int, int, int] | None = None
        if file is not None:
            self._place: DraftPlace = DraftPlace(file.parent, file.stem, self._suffix, file)
            is_there = file.exists() or self._place.journal.exists()
        else:
            found = find_place(folder, self._suffix)
            is_there = found is not None
            self._place = found or DraftPlace(folder, suggested_name, self._suffix)
        if is_there and not is_closed:
            self._begin()
            self._settle()

    @property
    def place(self) -> DraftPlace:
        """Where its files are, or will be."""
        return self._place

    @property
    def is_named(self) -> bool:
        """Whether the user chose the name, or may not."""
        return self._place.file is not None or bool(self.setting("named"))

    def was_begun_elsewhere(self) -> bool:
        """Tell whether another process began drafts of this user since this one found none."""
        return self._guard is None and self._place.file is None and find_place(self._folder, self._suffix) is not None

    def close(self) -> None:
        """Close the files and let others have them."""
        with self._lock:
            journal, guard, self._journal, self._guard = self._journal, self._guard, None, None
            try:
                if journal is not None:
                    journal.close()
            finally:
                if guard is not None:
                    guard.release()

    # -- journal -------------------------------------------------------------------------------------------------

    def _begin(self) -> Journal:
        """Open the journal, which is made when there is none."""
        if self._journal is None:
            guard = self._guard or self._sole_use()
            try:
                self._journal = Journal(self._place.journal, self._fingerprint)
            except StorageError:
                if self._guard is None:
                    guard.release()
                raise
            if self._guard is None:
                self._guard = guard
                clear_unfinished(self._place.draft, self._place.backups)
        return self._journal

    def _sole_use(self) -> FileLock:
        """Keep other processes from editing the same drafts; the lock ends with the process, however it ends."""
        guard = FileLock(self._place.lock, timeout=0)
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

    def replay(self) -> Iterator[tuple[Event, Change]]:
        """Read all events with their changes, in order."""
        if self._journal is not None:
            yield from self._journal.replay()

    def append(self, event: Event, change: Change) -> Event:
        """Write an event; see `Journal.append`."""
        with self._lock:
            return self._begin().append(event, change)

    def change(self, event: Event) -> Change:
        """Read the change that an event made; see `Journal.change`."""
        with self._lock:
            return self._begin().change(event)

    def setting(self, key: str) -> Any:
        """Return a setting, None when it was never set."""
        with self._lock:
            return None if self._journal is None else self._journal.setting(key)

    def set_setting(self, key: str, value: Any) -> None:
        """Keep a setting (JSON values)."""
        with self._lock:
            self._begin().set_setting(key, value)

    # -- name ----------------------------------------------------------------------------------------------------

    def rename(self, name: str) -> DraftPlace:
        """Give the collection the name that the user chose; its files take it.

        Parameters
        ----------
        name
            1 to 64 letters, digits, ``_`` and ``-``.

        Returns
        -------
        DraftPlace
            Where the files are from now on.

        Raises
        ------
        NameRefused
            The name breaks the rule (E06).
        StorageError
            The files cannot be renamed.
        """
        if not NAME_RULE.fullmatch(name):
            raise NameRefused("E06", "Use 1 to 64 letters, digits, _ and -; the name becomes part of a file name.")
        with self._files, self._lock:
            if self.is_named:
                raise NameRefused("E06", f"Your annotations are kept in {self._place.draft} already.")
            new = DraftPlace(self._folder, name, self._suffix)
            if self._journal is None:
                self._place = new
            elif name != self._place.name:
                # A journal that cannot be written now keeps its name.
                self.set_setting("named", self.is_named)
                self._move(new)
            self.set_setting("named", True)
            return new

    def _move(self, new: DraftPlace) -> None:
        """Rename the files; when one cannot be, all keep their names."""
        assert self._journal is not None
        old = self._place
        self._journal.close()
        try:
            old.journal.rename(new.journal)
            try:
                if old.draft.exists():
                    old.draft.rename(new.draft)
                self._place = new
                move_backups(old, new)
                if old.results.exists():
                    old.results.rename(new.results)
            except OSError:
                new.journal.rename(old.journal)
                raise
        except OSError as error:
            raise StorageError(
                f"The drafts in {self._folder} cannot be renamed: {error.strerror}. Check the folder's permissions."
            ) from error
        finally:
            # When it cannot be opened now, the next edit tries again.
            self._journal = None
            self._begin()

    # -- draft ---------------------------------------------------------------------------------------------------

    def write_draft(self, pieces: Iterable[str], seq: int) -> None:
        """Replace the draft, and keep what it was among the backups.

        Parameters
        ----------
        pieces
            Its text.
        seq
            Number of the last event that is in it.

        Raises
        ------
        OSError
            It cannot be written; the old one is untouched.
        StorageError
            The journal cannot be written.
        DraftChanged
            Another program changed the draft meanwhile; what it wrote is untouched.
        """
        # One at a time: the drafts of many users would only slow each other and everything else.
        with _WRITING, self._files:
            place = self._place

            def note(digest: str) -> None:
                if self.edited_outside():
                    raise DraftChanged(f"{place.draft.name} was changed by another program meanwhile")
                # Before the draft is replaced: after a crash in between, the one on disk is known all the same.
                self.set_setting(_DRAFTS, [{"digest": digest, "seq": seq}, *self._records()[-1:]])
                keep_backup(place.draft, place.backups)

            digest = write_whole(place.draft, pieces, before_replacing=note)
            self._written_as = _look(place.draft)
            self.set_setting(_DRAFTS, [{"digest": digest, "seq": seq}])

    def _records(self) -> list[dict[str, Any]]:
        return self.setting(_DRAFTS) or []

    def _settle(self) -> None:
        """Find out which draft is on disk after a crash that may have kept it from being replaced."""
        records = self._records()
        if len(records) > 1:
            with contextlib.suppress(OSError):
                digest = file_digest(self._place.draft)
                self.set_setting(_DRAFTS, [record for record in records if record["digest"] == digest][:1] or records)

    @property
    def written_seq(self) -> int:
        """Number of the last event that is in the draft on disk; 0 when none was written."""
        records = self._records()
        return int(records[-1]["seq"]) if records else 0

    def draft_is_behind(self, seq: int) -> bool:
        """Tell whether the draft on disk lacks events up to a number, as it may after a crash."""
        if seq == 0:
            return False
        known = {record["digest"]: record["seq"] for record in self._records()}
        try:
            return bool(known.get(file_digest(self._place.draft), 0) < seq)
        except OSError:
            return True

    def edited_outside(self) -> Path | None:
        """Return the draft when it is not as this program left it or took it over, None when it is or there is none."""
        if self._journal is None:
            return None
        draft = self._place.draft
        try:
            if _look(draft) == self._written_as:
                return None
            digest = file_digest(draft)
        except FileNotFoundError:
            return None
        known = {record["digest"] for record in self._records()} | {self.setting(_TAKEN_OVER)}
        if digest in known:
            self._written_as = _look(draft)
            return None
        return draft

    def take_over(self, digest: str) -> None:
        """Take note of what another program wrote: it is part of the ledger from now on."""
        self.set_setting(_TAKEN_OVER, digest)

    def set_draft_aside(self) -> Path:
        """Keep a draft that cannot be understood among the backups, and return where."""
        return set_aside(self._place.draft, self._place.backups)


def _look(path: Path) -> tuple[int, int, int]:
    seen = path.stat()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def journals_in(folder: Path) -> list[Path]:
    """Return the journals in a folder of drafts, in the order of their names."""
    return sorted(path for path in folder.glob("*.journal.db") if re.search(r"-[a-z2-7]{8}\.journal\.db$", path.name))
