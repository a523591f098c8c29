"""Results beside the drafts, too large for the journal: a file for each annotation that has some, or a folder."""

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from iscan_dash.services.drafts import DraftPlace
from iscan_dash.services.durable import sync

ABANDONED = 24 * 3600.0
"""Seconds after which a file that was not copied to its end is taken as left by a process that is gone."""


def copy_to(source: Path, place: DraftPlace) -> Path:
    """Copy a result beside the drafts, under a name by which nobody finds it yet; see `put_in_place`.

    Raises
    ------
    OSError
        The disk is full or the folder cannot be written; nothing is left there.
    """
    place.results.mkdir(mode=0o700, exist_ok=True)
    for old in place.results.glob(".*.part"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > ABANDONED:
                old.unlink()
    part = place.results / f".{uuid4().hex}.part"
    try:
        # For the eyes of the server's owner only, from the first moment on.
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
            with source.open("rb") as stream:
                shutil.copyfileobj(stream, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return part


def put_in_place(part: Path, place: DraftPlace, annotation_id: str) -> Path:
    """Make a copied file the result of an annotation; when this returns it is on the disk.

    Raises
    ------
    OSError
        It cannot be; the copy is gone.
    """
    # The collection may have been renamed meanwhile, and its folder with it.
    part = place.results / part.name
    path = place.results / f"{annotation_id}.npz"
    try:
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync(path.parent)
    return path


def find_result(folder: Path, annotation_id: str) -> Path | None:
    """Return the file with the result of an annotation of any user, None when it has none.

    Parameters
    ----------
    folder
        The folder of drafts.
    annotation_id
        Its id, whoever says so.
    """
    if not re.fullmatch(r"[0-9a-f]{32}", annotation_id):
        return None
    return next(folder.glob(f"*-results/{annotation_id}.npz"), None)


def put_folder(source: Path, place: DraftPlace, result_id: str) -> Path:
    """Put a folder of plain files beside the drafts; when this returns it is on the disk, whole.

    Parameters
    ----------
    source
        The folder. Its files are moved where that is possible, else copied.
    place
        Where the drafts are.
    result_id
        What it is called; nothing is called so yet.

    Raises
    ------
    OSError
        The disk is full or the folder cannot be written; nothing is left there.
    """
    place.results.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in place.results.glob(".*.folder"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > ABANDONED:
                shutil.rmtree(old)
    part = place.results / f".{uuid4().hex}.folder"
    try:
        part.mkdir(mode=0o700)
        for file in source.iterdir():
            moved = part / file.name
            try:
                file.replace(moved)
            except OSError:
                # On another disk.
                shutil.copyfile(file, moved)
            moved.chmod(0o600)
            sync(moved)
        sync(part)
        path = place.results / result_id
        part.replace(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync(path.parent)
    return path


def find_folder(place: DraftPlace, result_id: str) -> Path | None:
    """Return the folder of a result of a user, None when there is none.

    Parameters
    ----------
    place
        Where the user's drafts are.
    result_id
        Its id, whoever says so.
    """
    if not re.fullmatch(r"[0-9a-f]{32}", result_id):
        return None
    path = place.results / result_id
    return path if path.is_dir() else None
