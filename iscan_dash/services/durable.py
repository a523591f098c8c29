"""Make sure that what was written is on the disk."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    A file that was renamed is there under its new name only when its folder is synced. Windows does so by itself and
    opens no folders.

    Raises
    ------
    OSError
        They cannot be written.
    """
    is_folder = path.is_dir()
    if is_folder and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
