"""Drafts: the annotations of a user as a CSV file that any tool reads, rewritten soon after each edit."""

import base64
import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

import numpy as np

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.study import Study
from iscan_dash.errors import IscanError, StorageError

log = logging.getLogger(__name__)

DELAY = 1.0
"""Seconds between an edit and the draft that holds it; further edits meanwhile share the same draft."""

RETRY = 3.0
"""Seconds between attempts while a draft cannot be written."""

ROWS = 50_000
"""Cells written at once."""


def draft_suffix(user: str, fingerprint: str) -> str:
    """Return the 8 characters that tell the drafts of users and studies apart.

    They come from the content of the study, so a moved or renamed file keeps its work.

    Examples
    --------
    >>> draft_suffix("ada", "00")
    'lrgub7qu'
    """
    digest = hashlib.blake2b(f"{user}\n{fingerprint}".encode(), digest_size=5).digest()
    return base64.b32encode(digest).decode().lower()


def collection_name(title: str) -> str:
    """Turn a study's title into the name of its drafts: letters, digits, ``_`` and ``-``, at most 64.

    Examples
    --------
    >>> collection_name("PBMC 8k (demo).h5ad")
    'PBMC-8k-demo-h5ad'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", title).strip("-")[:64] or "annotations"


def annotations_folder(asked: Path | None, study: Study) -> Path:
    """Choose where drafts go: the folder asked for, else that of the first file if it can be written, else here.

    Raises
    ------
    StorageError
        The folder asked for cannot be made.
    """
    if asked is not None:
        try:
            asked.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(f"The folder {asked} cannot be made: {reason}. Choose another one.") from error
        return asked.resolve()
    beside = study.datasets[0].path.parent
    return beside if os.access(beside, os.W_OK) else Path.cwd()


def quote(text: str) -> str:
    """Quote a text for CSV as RFC 4180 has it.

    Examples
    --------
    >>> print(quote('T cell, "naive" or not'))
    "T cell, ""naive"" or not"
    """
    return '"' + text.replace('"', '""') + '"'


def draft_lines(study: Study, annotations: Sequence[Annotation], header: Sequence[str]) -> Iterator[str]:
    """Write annotations as CSV text, block by block.

    Parameters
    ----------
    study
        The study.
    annotations
        The annotations, a column each.
    header
        Lines of comment before the table, without their ``# ``.
    """
    ids, samples = study.cell_ids, study.samples
    yield "".join(f"# {line}\n" for line in header)
    yield ",".join(["index", "sample", *(quote(annotation.live.name) for annotation in annotations)]) + "\n"
    sample_texts = np.array([quote(label) for label in samples.labels], object)
    columns = [annotation.column for annotation in annotations]
    label_texts = [np.array([quote(label) for label in column.labels], object) for column in columns]
    for start in range(0, study.n_cells, ROWS):
        block = slice(start, start + ROWS)
        cells = [quote(cell.decode("utf-8", "replace")) for cell in ids[block].tolist()]
        parts = [texts[column.codes[block]].tolist() for texts, column in zip(label_texts, columns, strict=True)]
        rows = zip(cells, sample_texts[samples.codes[block]].tolist(), *parts, strict=True)
        yield "\n".join(map(",".join, rows)) + "\n"


def write_whole(path: Path, pieces: Iterator[str]) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part, whenever the power fails.

    Raises
    ------
    OSError
        The disk is full or the folder cannot be written; the old file is untouched.
    """
    # Not by tempfile, whose files nobody else may read, while the folder may be a lab's.
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with temporary.open("x", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            for piece in pieces:
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        # The rename itself is on disk only when the folder is.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class SaveState(StrEnum):
    """What the top bar says."""

    SAVED = "saved"
    SAVING = "saving"
    FAILED = "failed"


@dataclass(frozen=True)
class SaveStatus:
    """How the draft stands.

    Parameters
    ----------
    state
        Saved, being saved, or failed and tried again.
    reason
        Why it failed.
    path
        The draft.
    saved_at
        When it was last written, ISO 8601 in UTC; ``""`` when it never was.
    """

    state: SaveState
    reason: str
    path: str
    saved_at: str


class Autosaver:
    """Rewrites a draft in a thread of its own, a moment after each edit, and tries again while that fails.

    Parameters
    ----------
    path
        The draft.
    write
        Gives the draft's text, block by block, as of now.
    """

    def __init__(self, path: Path, write: Callable[[], Iterator[str]]) -> None:
        self.path = path
        self._write = write
        self._wake = threading.Condition()
        self._wanted = self._done = 0
        self._stopping = False
        self._status = SaveStatus(SaveState.SAVED, "", str(path), "")
        self._thread = threading.Thread(target=self._run, name="autosave", daemon=True)
        self._thread.start()

    @property
    def status(self) -> SaveStatus:
        """How the draft stands now."""
        with self._wake:
            return self._status

    def request(self) -> None:
        """Ask for the draft to be written soon."""
        with self._wake:
            self._wanted += 1
            if self._status.state is SaveState.SAVED:
                self._set(SaveState.SAVING)
            self._wake.notify_all()

    def flush(self, timeout: float = 30) -> bool:
        """Write now what is waiting; return whether all is saved."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._thread.join(timeout)
        return self._done == self._wanted

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._wanted > self._done)
                failed = self._status.state is SaveState.FAILED
                self._wake.wait_for(lambda: self._stopping, timeout=RETRY if failed else DELAY)
                goal, stopping = self._wanted, self._stopping
            if goal > self._done:
                self._save(goal)
            if stopping:
                return

    def _save(self, goal: int) -> None:
        try:
            write_whole(self.path, self._write())
        except Exception as error:
            if not isinstance(error, OSError | IscanError):
                log.error("The draft %s was not written.", self.path, exc_info=error)
            with self._wake:
                self._set(SaveState.FAILED, getattr(error, "strerror", None) or str(error))
            return
        with self._wake:
            self._done = goal
            saved_at = datetime.now(UTC).isoformat(timespec="seconds")
            self._set(SaveState.SAVING if self._wanted > goal else SaveState.SAVED, saved_at=saved_at)

    def _set(self, state: SaveState, reason: str = "", saved_at: str | None = None) -> None:
        self._status = SaveStatus(
            state, reason, str(self.path), self._status.saved_at if saved_at is None else saved_at
        )
