"""Write a file that is not there yet: whole or not at all, and never over another one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from iscan_dash.errors import StorageError
from iscan_dash.services.durable import sync


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give the path of an empty file to fill, which takes its real name when the block ends well.

    Until then nobody sees the real name, so a reader never meets a part; a file that takes the name meanwhile is kept
    too. When the block fails nothing is left.

    Parameters
    ----------
    path
        The name of the new file.

    Raises
    ------
    StorageError
        The name is taken (E62), or the file cannot be written.
    """
    refuse_existing(path)
    # In the same folder, as only there a file can take another name without being copied.
    part = path.with_name(f".iscan-{uuid4().hex}.part")
    try:
        part.touch(exist_ok=False)
        try:
            yield part
            sync(part)
            _take_name(part, path)
        finally:
            part.unlink(missing_ok=True)
        sync(path.parent)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"{path} cannot be written: {reason}. Choose another folder, or free the disk.") from error


def refuse_existing(path: Path) -> None:
    """Refuse a name that is taken, a broken link included.

    Raises
    ------
    StorageError
        E62.
    """
    if os.path.lexists(path):
        raise _exists(path)


def _exists(path: Path) -> StorageError:
    return StorageError(f"{path} exists. Choose another name.")


def _take_name(part: Path, path: Path) -> None:
    try:
        # Unlike a rename, a link fails when the name is taken, even if that happened a moment ago.
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems, those of USB sticks among them, know no links: take the name first, which fails as well.
        path.touch(exist_ok=False)
        part.replace(path)
