"""Files for the eyes of their owner only: the server's secret, the hashes of passwords."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from iscan_dash.services.durable import sync

PATIENCE = 10.0
"""Seconds to wait for another process that changes the same file."""


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Keep other processes from changing a file meanwhile.

    Raises
    ------
    OSError
        The folder cannot be written, or another process does not come to an end (``filelock.Timeout``).
    """
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=PATIENCE, mode=0o600):
        yield


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; whoever looks sees the old one or the new one, never a part.

    Raises
    ------
    OSError
        The disk is full or the folder cannot be written; the old file is untouched.
    """
    # Such a file is never readable by others, not even for a moment.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)
