"""The journal of edits: the truth about a user's annotations, on disk before an edit is acknowledged."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from iscan_dash.core.annotations import Change, Header
from iscan_dash.core.annotations.delta import CodesDelta
from iscan_dash.errors import StorageError

FORMAT = 1
"""Version of the journal's layout; a newer one is refused rather than misread."""

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
            self._db = sqlite3.connect(path, timeout=5, check_same_thread=False, isolation_level=None)
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
        self._db.execute("PRAGMA synchronous = FULL")
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
        try:
            with self._lock, self._db:
                self._db.execute("BEGIN IMMEDIATE")
                cursor = self._db.execute(f"INSERT INTO events ({_COLUMNS}) VALUES (?{', ?' * 10})", values)
        except sqlite3.Error as error:
            raise StorageError(
                f"The edit was not saved in {self.path}: {error}. Free the disk, then try again."
            ) from error
        assert cursor.lastrowid is not None
        return replace(event, seq=cursor.lastrowid)

    def replay(self) -> Iterator[tuple[Event, Change]]:
        """Read all events with their changes, in order.

        Raises
        ------
        StorageError
            The file is damaged.
        """
        try:
            for row in self._db.execute(f"SELECT seq, {_COLUMNS} FROM events ORDER BY seq"):
                event = Event(*row[:9])
                yield event, _read_change(event.annotation_id, *row[9:])
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
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
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StorageError:
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
        try:
            with self._lock, self._db:
                self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"setting:{key}", json.dumps(value)))
        except sqlite3.Error as error:
            raise StorageError(
                f"The setting was not saved in {self.path}: {error}. Free the disk, then try again."
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()


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
