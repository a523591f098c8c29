"""Drafts: the annotations of a user as a CSV file that any tool reads, rewritten soon after each edit."""

import base64
import contextlib
import glob
import hashlib
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

from iscan_dash.core.study import Study
from iscan_dash.errors import IscanError, StorageError
from iscan_dash.services.durable import sync

log = logging.getLogger(__name__)

DELAY = 1.0
"""Seconds between an edit and the draft that holds it; further edits meanwhile share the same draft."""

RETRY = 3.0
"""Seconds between attempts while a draft cannot be written."""

BACKUPS = 10
"""Earlier versions of a draft that are kept."""

NAME_RULE = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a collection may be called; it becomes part of file names."""


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


@dataclass(frozen=True)
class DraftPlace:
    """Where the drafts of one user of one study are.

    Parameters
    ----------
    folder
        The folder of drafts.
    name
        What the user calls the collection.
    suffix
        Tells users and studies apart; see `draft_suffix`.
    file
        The draft when the server was given one file to keep; it gives the others their names too.
    """

    folder: Path
    name: str
    suffix: str
    file: Path | None = None

    @property
    def draft(self) -> Path:
        """The draft."""
        return self.file or self.folder / f"{self.name}-{self.suffix}.csv"

    @property
    def journal(self) -> Path:
        """The journal beside it."""
        return self.draft.with_suffix(".journal.db")

    @property
    def backups(self) -> Path:
        """The folder of its earlier versions."""
        return self.folder / f"{self.name}-backups"

    @property
    def results(self) -> Path:
        """The folder of results that are too large for the journal."""
        return self.draft.with_name(f"{self.draft.stem}-results")

    @property
    def lock(self) -> Path:
        """The file that only one process holds at a time; it does not depend on the collection's name."""
        return self.draft.with_name(f".{self.draft.name}.lock" if self.file else f".{self.suffix}.lock")


def find_place(folder: Path, suffix: str) -> DraftPlace | None:
    """Find the drafts of a user of a study by their suffix, whatever their name; None when there are none yet."""
    for ending in (".journal.db", ".csv"):
        for found in sorted(folder.glob(f"*-{suffix}{ending}")):
            return DraftPlace(folder, found.name.removesuffix(f"-{suffix}{ending}"), suffix)
    return None


def write_whole(
    path: Path,
    pieces: Iterable[str],
    *,
    before_replacing: Callable[[str], None] = lambda _: None,
) -> str:
    """Write a file so that a reader sees the old one or the new one, never a part, whenever the power fails.

    Parameters
    ----------
    path
        The file.
    pieces
        Its text.
    before_replacing
        Called with the digest of the new file, when that is on the disk and the old one still in place.

    Returns
    -------
    str
        The digest; see `file_digest`.

    Raises
    ------
    OSError
        The disk is full or the folder cannot be written; the old file is untouched.
    """
    temporary = _unfinished(path)
    digest = hashlib.blake2b(digest_size=16)
    try:
        with temporary.open("xb") as stream:
            for piece in pieces:
                block = piece.encode("utf-8", "backslashreplace")
                digest.update(block)
                stream.write(block)
            stream.flush()
            os.fsync(stream.fileno())
        before_replacing(digest.hexdigest())
        temporary.replace(path)
    except BaseException:
        # The folder itself may be gone.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the digest that tells whether a file is the one that was written: BLAKE2b, 16 bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def backup_versions(draft: Path, backups: Path) -> list[tuple[datetime, Path]]:
    """Return the earlier versions of a draft with the time when each was replaced, the oldest first."""
    found = backups.glob(f"{glob.escape(draft.stem)}-*.csv")
    return sorted((made, path) for path in found if (made := _read_stamp(path)))


def keep_backup(draft: Path, backups: Path) -> None:
    """Keep the draft as it is under the time of day, and the newest 10 such versions.

    Parameters
    ----------
    draft
        The draft, which is about to be replaced; nothing happens when there is none.
    backups
        The folder of its earlier versions, made when needed.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    if not draft.exists():
        return
    backups.mkdir(exist_ok=True)
    versions = backup_versions(draft, backups)
    now = datetime.now(UTC)
    if versions:
        # The newest is the last by name, even when the clock was put back.
        now = max(now, versions[-1][0] + timedelta(microseconds=1))
    _link(draft, backups / f"{draft.stem}-{now.strftime(_STAMP)}.csv")
    for _, old in versions[: 1 - BACKUPS]:
        old.unlink(missing_ok=True)


def move_backups(old: DraftPlace, new: DraftPlace) -> None:
    """Let the earlier versions of a draft follow it to another name."""
    versions = backup_versions(old.draft, old.backups)
    if not versions:
        return
    new.backups.mkdir(exist_ok=True)
    for _, path in versions:
        path.rename(new.backups / path.name.replace(old.draft.stem, new.draft.stem, 1))
    with contextlib.suppress(OSError):
        # It may hold those of others.
        old.backups.rmdir()


def set_aside(draft: Path, backups: Path) -> Path:
    """Keep a draft that cannot be understood where no rotation reaches it, and return where."""
    backups.mkdir(exist_ok=True)
    kept = backups / f"outside-{draft.stem}-{datetime.now(UTC).strftime(_STAMP)}.csv"
    _link(draft, kept)
    return kept


def _link(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:
        # Some file systems, those of USB sticks among them, know no links.
        part = _unfinished(name)
        try:
            shutil.copy2(file, part)
            part.replace(name)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise


_STAMP = "%Y%m%dT%H%M%S.%fZ"


def _read_stamp(path: Path) -> datetime | None:
    """Return when a backup was made, as its name tells; None when it is no backup."""
    try:
        return datetime.strptime(path.stem.rpartition("-")[2], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _unfinished(path: Path) -> Path:
    """Return the name of a file until it is whole."""
    # Not by tempfile, whose files nobody else may read, while the folder may be a lab's.
    return path.with_name(f".{path.name}.{uuid4().hex}")


def clear_unfinished(draft: Path, backups: Path) -> None:
    """Remove what a process left that was killed while it wrote a draft or a backup; nobody may be writing one."""
    in_draft = draft.parent.glob(f".{glob.escape(draft.name)}.*")
    in_backups = backups.glob(f".{glob.escape(draft.stem)}-*.csv.*")
    for path in [*in_draft, *in_backups]:
        if re.search(r"\.[0-9a-f]{32}$", path.name):
            with contextlib.suppress(OSError):
                path.unlink()


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
    """Has a draft rewritten in a thread of its own, a moment after each edit, and again while that fails.

    Parameters
    ----------
    path
        The draft, for the status.
    save
        Writes it as of now; what it raises is the reason that is shown.
    """

    def __init__(self, path: Path, save: Callable[[], None]) -> None:
        self._save_draft = save
        self._wake = threading.Condition()
        self._wanted = self._done = 0
        self._stopping = False
        self._status = SaveStatus(SaveState.SAVED, "", str(path), "")
        # Begun with the first request: people who only look need none.
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> SaveStatus:
        """How the draft stands now."""
        with self._wake:
            return self._status

    def moved(self, path: Path) -> None:
        """Tell where the draft is by now."""
        with self._wake:
            self._status = replace(self._status, path=str(path))

    def request(self) -> None:
        """Ask for the draft to be written soon."""
        with self._wake:
            self._wanted += 1
            if self._status.state is SaveState.SAVED:
                self._set(SaveState.SAVING)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="autosave", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def flush(self, timeout: float = 30) -> bool:
        """Write now what is waiting, end the thread, and return whether all is saved."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
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
            self._save_draft()
        except Exception as error:
            if not isinstance(error, OSError | IscanError):
                log.error("The draft %s was not written.", self._status.path, exc_info=error)
            with self._wake:
                self._set(SaveState.FAILED, getattr(error, "strerror", None) or str(error))
            return
        with self._wake:
            self._done = goal
            saved_at = datetime.now(UTC).isoformat(timespec="seconds")
            self._set(SaveState.SAVING if self._wanted > goal else SaveState.SAVED, saved_at=saved_at)

    def _set(self, state: SaveState, reason: str = "", saved_at: str | None = None) -> None:
        kept = self._status
        self._status = SaveStatus(state, reason, kept.path, kept.saved_at if saved_at is None else saved_at)
