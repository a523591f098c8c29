"""The server's secret: it signs the cookies by which browsers say who uses them."""

import logging
import os
import secrets
from pathlib import Path

from iscan_dash.errors import StorageError
from iscan_dash.services.private import only_one, write_private

log = logging.getLogger(__name__)

N_BYTES = 32

OTHERS = 0o077
"""The bits of a file's mode that let anybody but its owner do something."""


def load_secret(folder: Path) -> bytes:
    """Return the server's secret, which is made when there is none.

    Parameters
    ----------
    folder
        Where it is kept; made when absent.

    Raises
    ------
    StorageError
        It cannot be read or made, is damaged, or can be read by others, which cannot be changed.
    """
    path = folder / "secret"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with only_one(path):
            if not path.exists():
                write_private(path, f"{secrets.token_hex(N_BYTES)}\n")
        _hide(path)
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(
            f"The server's secret {path} cannot be read or made: {reason}. Name another folder with ISCAN_DATA_DIR."
        ) from error
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) < N_BYTES:
        raise StorageError(
            f"The server's secret {path} is damaged. Put it back from a backup, or delete it: a new one is made, and "
            "every browser becomes a new user."
        )
    return secret


def _hide(path: Path) -> None:
    """Take a file from the eyes of others, and say that they may have seen it."""
    if os.name != "posix" or not path.stat().st_mode & OTHERS:
        return
    path.chmod(0o600)
    log.warning(
        "Others could read the server's secret %s until now. If they are not trusted, stop the server and delete it: "
        "a new one is made, and every browser becomes a new user.",
        path,
    )
