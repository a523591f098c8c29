"""The table of jobs: what was asked for and what became of it, on disk, so that it outlives the server."""

import json
import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from iscan_dash.errors import StorageError

FORMAT = 1
"""Version of the table's layout; a newer one is refused rather than misread."""

KEPT_FOR = timedelta(days=90)
MOST_KEPT = 1_000
"""Jobs that ended are kept for this long, and the newest of them."""

PATIENCE = 10.0
"""Seconds to wait while another server has the file locked."""

_SCHEMA = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    user TEXT NOT NULL,
    user_name TEXT NOT NULL,
    name TEXT NOT NULL,
    parameters TEXT NOT NULL,
    choices TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    server TEXT NOT NULL,
    submitted TEXT NOT NULL,
    state TEXT NOT NULL,
    progress INTEGER NOT NULL DEFAULT 0,
    step TEXT NOT NULL DEFAULT '',
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    started TEXT,
    ended TEXT,
    result TEXT,
    pid INTEGER,
    pid_started REAL,
    changed INTEGER NOT NULL
);
CREATE UNIQUE INDEX active ON jobs (key) WHERE state IN ('Queued', 'Running');
"""


class JobState(StrEnum):
    """How a job stands."""

    QUEUED = "Queued"
    RUNNING = "Running"
    FINISHED = "Finished"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    LOST = "Lost"


@dataclass(frozen=True)
class Job:
    """One job, as it stood when it was looked at.

    Parameters
    ----------
    id
        Its identity, never used again.
    kind
        What is done, such as ``"prediction"``.
    key
        Jobs of the same key do the same for the same user.
    user, user_name
        Who asked for it: their id, and what others called them then.
    name
        What the result is to be called.
    parameters
        What decides the result, as plain values.
    choices
        How the study was seen when the job was asked for, as plain values of `Choices`.
    fingerprint
        Fingerprint of the study.
    server
        The server that has it in its queue, or had.
    submitted, started, ended
        When, ISO 8601 in UTC; None where it did not happen yet.
    state
        How it stands.
    progress
        How much of it is done, 0 to 100.
    step, done, total
        What is being done now, and how many of how many of it are done.
    message
        What there is to say: a question in the queue, or why it ended.
    result
        Id of what came of it.
    pid, pid_started
        The worker's process id, and when that process began, seconds since 1970.
    changed
        Number of the last change; it grows with every change of any job of the server.
    position
        Place in the queue, from 1; 0 when it does not wait.
    """

    id: str
    kind: str
    key: str
    user: str
    user_name: str
    name: str
    parameters: Mapping[str, Any]
    choices: Mapping[str, Any]
    fingerprint: str
    server: str
    submitted: str
    state: JobState = JobState.QUEUED
    progress: int = 0
    step: str = ""
    done: int = 0
    total: int = 0
    message: str = ""
    started: str | None = None
    ended: str | None = None
    result: str | None = None
    pid: int | None = None
    pid_started: float | None = None
    changed: int = 0
    position: int = field(default=0, compare=False)

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in {JobState.QUEUED, JobState.RUNNING}

    @property
    def seconds(self) -> float | None:
        """How long it ran, or has been running; None when it never began."""
        if self.started is None:
            return None
        end = datetime.fromisoformat(self.ended) if self.ended else datetime.now(UTC)
        return max(0.0, (end - datetime.fromisoformat(self.started)).total_seconds())


_COLUMNS = tuple(name for name in Job.__dataclass_fields__ if name != "position")

_POSITION = """CASE WHEN state = 'Queued' THEN
    (SELECT count(*) FROM jobs AS other WHERE other.state = 'Queued' AND other.server = jobs.server
     AND other.seq <= jobs.seq) ELSE 0 END"""

_SELECT = f"SELECT {', '.join(_COLUMNS)}, {_POSITION} FROM jobs"


class JobTable:
    """A SQLite file with one row for each job, for its owner's eyes only.

    It belongs to whoever runs the server. Several servers may use it at once; each row says to which of them it
    belongs. All methods may be called from any thread.

    Parameters
    ----------
    path
        The file; it is made when it does not exist.

    Raises
    ------
    StorageError
        The file cannot be opened or written, or is no table of jobs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Never readable by others, not even for a moment; SQLite gives its own journal the same mode.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        except (sqlite3.Error, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StorageError(
                f"The list of jobs {path} cannot be opened: {reason}. Move it away if it is damaged, or name another "
                "folder with ISCAN_DATA_DIR."
            ) from error
        (self._changed,) = self._db.execute("SELECT coalesce(max(changed), 0) FROM jobs").fetchone()

    def _prepare(self) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {FORMAT}")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > FORMAT:
            raise StorageError(f"{self.path} was written by a newer iscan-dash. Update iscan-dash to open it.")
        if version < FORMAT:
            raise StorageError(f"{self.path} is no list of jobs of iscan-dash. Move it away.")

    def close(self) -> None:
        """Close the file, once nobody reads or writes it: SQLite does not bear to be closed meanwhile."""
        with self._lock:
            self._db.close()

    @property
    def changed(self) -> int:
        """Number of the last change that this server made."""
        return int(self._changed)

    # -- looking -------------------------------------------------------------------------------------------------

    def find(self, id_: str) -> Job | None:
        """Return a job, None when there is none of this id."""
        found = self._select("WHERE id = ?", (id_,))
        return found[0] if found else None

    def of_study(self, fingerprint: str, user: str | None = None, since: int = 0) -> list[Job]:
        """Return the jobs of a study, the newest first.

        Parameters
        ----------
        fingerprint
            Fingerprint of the study.
        user
            Whose jobs; everybody's when None.
        since
            Only those that changed after this number.
        """
        where, values = "WHERE fingerprint = ? AND changed > ?", [fingerprint, since]
        if user is not None:
            where, values = f"{where} AND user = ?", [*values, user]
        return self._select(f"{where} ORDER BY seq DESC", values)

    def active(self, fingerprint: str | None = None) -> list[Job]:
        """Return the jobs that wait or run, of all servers, the oldest first."""
        return [
            job
            for job in self._select("WHERE state IN ('Queued', 'Running') ORDER BY seq", ())
            if fingerprint in {None, job.fingerprint}
        ]

    def ids(self) -> set[str]:
        """Return the ids of all jobs that are kept."""
        return {job.id for job in self._select("", ())}

    def _select(self, where: str, values: Sequence[object]) -> list[Job]:
        try:
            with self._lock:
                return [_job(row) for row in self._db.execute(f"{_SELECT} {where}", values).fetchall()]
        except (sqlite3.Error, ValueError) as error:
            raise StorageError(
                f"The list of jobs {self.path} cannot be read: {error}. Try again in a moment."
            ) from error

    # -- writing -------------------------------------------------------------------------------------------------

    def attach_or_add(self, job: Job) -> Job:
        """Return the job of the same key that waits or runs, else add one at the end of the queue.

        Raises
        ------
        StorageError
            It cannot be written.
        """
        self._write(
            "INSERT OR IGNORE INTO jobs (id, kind, key, user, user_name, name, parameters, choices, fingerprint, "
            "server, submitted, state, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'Queued', :number)",
            (
                job.id,
                job.kind,
                job.key,
                job.user,
                job.user_name,
                job.name,
                _dump(job.parameters),
                _dump(job.choices),
                job.fingerprint,
                job.server,
                job.submitted,
            ),
        )
        active = "key = ? AND state IN ('Queued', 'Running')"
        found = self._select(f"WHERE id = ? OR {active} ORDER BY id = ? DESC", (job.id, job.key, job.id))
        # None when the other one ended just now.
        return found[0] if found else self.attach_or_add(job)

    def take_next(self, server: str) -> Job | None:
        """Start the job of a server that has waited longest, None when none waits."""
        while True:
            waiting = self._select("WHERE server = ? AND state = 'Queued' ORDER BY seq LIMIT 1", (server,))
            if not waiting:
                return None
            if self.update(waiting[0].id, JobState.QUEUED, state=JobState.RUNNING, started=_now(), message=""):
                # Those behind it have moved up.
                self._write("UPDATE jobs SET changed = :number WHERE server = ? AND state = 'Queued'", (server,))
                return self.find(waiting[0].id)

    def update(self, id_: str, expected: JobState, **values: Any) -> bool:
        """Change some fields of a job, provided that it is in a certain state.

        Returns
        -------
        bool
            Whether it was in that state, and is changed now.
        """
        assert set(values) <= set(_COLUMNS), values
        names = ", ".join(f"{name} = ?" for name in values)
        statement = f"UPDATE jobs SET changed = :number, {names} WHERE id = ? AND state = ?"
        return self._write(statement, (*values.values(), id_, str(expected))) > 0

    def end(self, id_: str, expected: JobState, state: JobState, message: str, **values: Any) -> bool:
        """End a job that is in a certain state; see `update`."""
        own = {"state": str(state), "message": message, "ended": _now(), "pid": None, "pid_started": None, **values}
        return self.update(id_, expected, **own)

    def adopt(self, id_: str, old: str, new: str) -> None:
        """Put a waiting job of a server that is gone into the queue of another one."""
        self._write(
            "UPDATE jobs SET changed = :number, server = ? WHERE id = ? AND state = 'Queued' AND server = ?",
            (new, id_, old),
        )

    def forget_old(self) -> None:
        """Drop the jobs that ended long ago, and the oldest where there are many."""
        oldest = (datetime.now(UTC) - KEPT_FOR).isoformat()
        ended = "state NOT IN ('Queued', 'Running')"
        newest = f"SELECT seq FROM jobs WHERE {ended} ORDER BY seq DESC LIMIT {MOST_KEPT}"
        self._write(
            f"DELETE FROM jobs WHERE {ended} AND (coalesce(ended, submitted) < ? OR seq NOT IN ({newest}))", (oldest,)
        )

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        """Run a statement, in which ``:number`` is that of the change; return how many rows changed."""
        try:
            with self._lock, closing(self._db.cursor()) as cursor:
                number = self._changed + 1
                cursor.execute(statement.replace(":number", str(number)), values)
                if cursor.rowcount > 0:
                    self._changed = number
                return int(cursor.rowcount)
        except sqlite3.Error as error:
            raise StorageError(
                f"The list of jobs {self.path} cannot be written: {error}. Free the disk or bring the folder back, "
                "then try again."
            ) from error


def _job(row: Sequence[Any]) -> Job:
    values = dict(zip(_COLUMNS, row, strict=False))
    values["parameters"], values["choices"] = json.loads(values["parameters"]), json.loads(values["choices"])
    return Job(**{**values, "state": JobState(values["state"])}, position=row[-1])


def _dump(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
