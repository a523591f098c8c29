"""The journal of edits: the truth about a user's annotations, on disk before an edit is acknowledged."""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from iscan_dash.core.annotations import Change, Header
from iscan_dash.core.annotations.delta import CodesDelta
from iscan_dash.errors import StorageError

FORMAT = 1
"""Version of the journal's layout; a newer one is refused rather than misread."""

PATIENCE = 5.0
"""Seconds to wait while another program has the file locked."""

BATCH = 100
"""Events that are read at once."""

_SYNC = "PRAGMA synchronous = EXTRA"
"""A commit is on the disk when it returns, the removal of SQLite's own journal included."""

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    annotation_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    time TEXT NOT NULL,
    author TEXT NOT NULL,
    verb TEXT NOT NULL,
    description TEXT NOT NULL,
    n_cells INTEGER NOT NULL,
    undoes INTEGER,
    before TEXT,
    after TEXT,
    delta BLOB NOT NULL,
    UNIQUE (annotation_id, version)
);
"""

_COLUMNS = "annotation_id, version, time, author, verb, description, n_cells, undoes, before, after, delta"


@dataclass(frozen=True)
class JournalLabel:
    """What a journal says of itself.

    Parameters
    ----------
    path
        The file.
    fingerprint
        Fingerprint of the study whose cells it is about.
    user
        Id of the user whose annotations it holds, ``""`` when it does not tell.
    user_name
        What others call that user.
    n_events
        Number of its last event.
    drafts
        Digests of the drafts that were written of it, of which one is on disk.
    """

    path: Path
    fingerprint: str
    user: str
    user_name: str
    n_events: int
    drafts: frozenset[str]


@dataclass(frozen=True)
class Event:
    """One edit, as it happened; the change itself stays in the journal.

    Parameters
    ----------
    seq
        Its number in the journal, from 1; 0 before it is written.
    annotation_id
        The annotation that was edited.
    version
        The version of the annotation that it made.
    time
        ISO 8601 in UTC.
    author
        Who made it.
    verb
        ``"create"``, ``"rename"`` ..., or ``"undo"`` and ``"redo"``.
    description
        What happened, for the history list.
    n_cells
        How many cells changed their label.
    undoes
        For ``"undo"`` and ``"redo"``, the number of the event that is taken back or made again.
    """

    seq: int
    annotation_id: str
    version: int
    time: str
    author: str
    verb: str
    description: str
    n_cells: int
    undoes: int | None = None


class Journal:
    """A SQLite file with one row for each event.

    A rollback journal and not a write-ahead log, because labs keep their data on network drives, where the latter
    does not work; every commit is synced to the disk.

    Parameters
    ----------
    path
        The file; it is made when it does not exist.
    fingerprint
        Fingerprint of the study. A journal of other cells is refused.

    Raises
    ------
    StorageError
        The file cannot be opened or written, is no journal, or belongs to another study.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False, isolation_level=None)
            try:
                self._prepare(fingerprint)
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            raise StorageError(
                f"The journal {path} cannot be opened: {error}. Check the folder's permissions."
            ) from error

    def _prepare(self, fingerprint: str) -> None:
        self._db.execute(_SYNC)
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                rows = [("format", str(FORMAT)), ("fingerprint", fingerprint)]
                self._db.executemany("INSERT INTO meta VALUES (?, ?)", rows)
        has_meta = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall()) if has_meta else {}
        version = str(meta.get("format", ""))
        if not version.isdecimal():
            raise StorageError(f"{self.path} is no journal of iscan-dash. Move it away, or choose another folder.")
        if int(version) > FORMAT:
            raise StorageError(f"{self.path} was written by a newer iscan-dash. Update iscan-dash to open it.")
        if meta.get("fingerprint") != fingerprint:
            raise StorageError(f"{self.path} belongs to a study with other cells. Choose another annotations folder.")

    def append(self, event: Event, change: Change) -> Event:
        """Write an event; when this returns it is on the disk.

        Returns
        -------
        Event
            The event with its number.

        Raises
        ------
        StorageError
            It could not be written; nothing was.
        """
        values = (*astuple(event)[1:], _dump(change.before), _dump(change.after), change.delta.to_bytes())
        seq = self._write("edit", f"INSERT INTO events ({_COLUMNS}) VALUES (?{', ?' * 10})", values)
        return replace(event, seq=seq)

    def _write(self, what: str, statement: str, values: tuple[Any, ...]) -> int:
        """Write one row into a file that is there, and return its number."""
        try:
            with self._lock:
                if not self.path.exists():
                    self._write_anew()
                try:
                    return self._insert(statement, values)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorname != "SQLITE_READONLY_DBMOVED":
                        raise
                    self._write_anew()
                    return self._insert(statement, values)
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY":
                sentence = f"The {what} was not saved: another program uses {self.path}. Try again in a moment."
            else:
                sentence = (
                    f"The {what} was not saved in {self.path}: {_reason(error)}. Free the disk or bring the folder "
                    "back, then try again."
                )
            raise StorageError(sentence) from error

    def _insert(self, statement: str, values: tuple[Any, ...]) -> int:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            seq = self._db.execute(statement, values).lastrowid
        assert seq is not None
        return seq

    def _write_anew(self) -> None:
        """Write the file where it was, after it was removed or another one was put in its place.

        As long as this process holds it open it can still be read, though nobody else would find it again.
        """
        for ending in ("", "-journal"):
            # Most likely an older copy; it is kept nevertheless.
            other = self.path.with_name(self.path.name + ending)
            if other.exists():
                other.rename(other.with_name(f"{other.name}.{uuid4().hex}"))
        part = self.path.with_name(f".{self.path.name}.{uuid4().hex}")
        try:
            with closing(sqlite3.connect(part, isolation_level=None)) as copy:
                copy.execute(_SYNC)
                self._db.backup(copy)
            # Under its name only when it is whole: a part of a journal would pass for one.
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)
        self._db.close()
        self._db = sqlite3.connect(self.path, timeout=PATIENCE, check_same_thread=False, isolation_level=None)
        self._db.execute(_SYNC)

    def replay(self, after: int = 0) -> Iterator[tuple[Event, Change]]:
        """Read the events with their changes, in order.

        Parameters
        ----------
        after
            Number of the last event that is known already.

        Raises
        ------
        StorageError
            The file is damaged.
        """
        try:
            yield from _events(self._db, after)
        except _UNREADABLE as error:
            raise self._damaged(error) from error

    def change(self, event: Event) -> Change:
        """Read the change that an event made.

        Raises
        ------
        StorageError
            The file is damaged.
        """
        try:
            with self._lock:
                row = self._db.execute("SELECT before, after, delta FROM events WHERE seq = ?", (event.seq,)).fetchone()
            return _read_change(event.annotation_id, *row)
        except _UNREADABLE as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StorageError:
        if isinstance(error, sqlite3.OperationalError):
            # It is locked, or its disk is gone.
            return StorageError(f"The journal {self.path} cannot be read: {error}. Try again in a moment.")
        return StorageError(f"The journal {self.path} is damaged: {error}. Restore it from a backup.")

    def setting(self, key: str) -> Any:
        """Return a setting of this study (JSON values), None when it was never set.

        Raises
        ------
        StorageError
            The file is damaged.
        """
        try:
            with self._lock:
                row = self._db.execute("SELECT value FROM meta WHERE key = ?", (f"setting:{key}",)).fetchone()
            return json.loads(row[0]) if row else None
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(error) from error

    def set_setting(self, key: str, value: Any) -> None:
        """Keep a setting of this study (JSON values).

        Raises
        ------
        StorageError
            It could not be written.
        """
        row = (f"setting:{key}", json.dumps(value))
        self._write("setting", "INSERT OR REPLACE INTO meta VALUES (?, ?)", row)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def read_label(path: Path) -> JournalLabel | None:
    """Return what a journal says of itself without opening it for writing, None when it cannot be read.

    Parameters
    ----------
    path
        The file.
    """
    try:
        with closing(_connect_to_read(path)) as db:
            meta = dict(db.execute("SELECT key, value FROM meta").fetchall())
            (n_events,) = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        if int(meta["format"]) > FORMAT:
            return None
        user = json.loads(meta.get("setting:user", "{}"))
        drafts = frozenset(str(record["digest"]) for record in json.loads(meta.get("setting:drafts", "[]")))
        return JournalLabel(
            path, str(meta["fingerprint"]), str(user.get("id", "")), str(user.get("name", "")), n_events, drafts
        )
    except (AttributeError, *_UNREADABLE):
        return None


def read_events(path: Path, after: int = 0) -> Iterator[tuple[Event, Change]]:
    """Read the events of a journal that another process or user may be writing.

    Parameters
    ----------
    path
        The file.
    after
        Number of the last event that is known already.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    try:
        with closing(_connect_to_read(path)) as db:
            # Its writer was ended, or is about to go on, before the first commit: the file is there and empty.
            if db.execute("SELECT 1 FROM sqlite_master").fetchone():
                yield from _events(db, after)
    except _UNREADABLE as error:
        raise StorageError(f"The journal {path} cannot be read: {error}.") from error


_UNREADABLE = (sqlite3.Error, ValueError, KeyError, TypeError)
"""What reading a damaged journal raises."""


def _connect_to_read(path: Path) -> sqlite3.Connection:
    # "rw" and not "ro": after a crash of its writer SQLite has to roll the last edit back before it can read.
    mode = "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=PATIENCE, isolation_level=None)


def _events(db: sqlite3.Connection, after: int) -> Iterator[tuple[Event, Change]]:
    # In batches: as long as somebody reads, the writer has to wait.
    asked = f"SELECT seq, {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT {BATCH}"
    while rows := db.execute(asked, (after,)).fetchall():
        for row in rows:
            event = Event(*row[:9])
            yield event, _read_change(event.annotation_id, *row[9:])
        after = rows[-1][0]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _dump(header: Header | None) -> str | None:
    return None if header is None else json.dumps(header.to_json(), ensure_ascii=False)


def _load(text: str | None) -> Header | None:
    if text is None:
        return None
    values: Mapping[str, Any] = json.loads(text)
    return Header.from_json(values)


def _read_change(annotation_id: str, before: str | None, after: str | None, delta: object) -> Change:
    if not isinstance(delta, bytes):
        raise TypeError("an event has no cells")
    return Change(annotation_id, _load(before), _load(after), CodesDelta.from_bytes(delta))
