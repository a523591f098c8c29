"""Trained references on disk: what was prepared for the genes of a study once need not be prepared again.

Files are ``.npz`` archives of plain arrays, named by what they were made from. A file that cannot be read is no loss:
it is made again.
"""

import contextlib
import hashlib
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
from platformdirs import user_cache_path

from iscan_dash import __version__

if TYPE_CHECKING:
    from iscan_dash.core.singler.train import Trained

log = logging.getLogger(__name__)

MOST_FILES = 32
"""Trained references that are kept, the newest."""


class TrainedCache:
    """Keeps trained references.

    Parameters
    ----------
    folder
        Where; in the user's cache when None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or user_cache_path("iscan-dash") / "trained"

    def get(self, key: Sequence[str | None], make: Callable[[], "Trained"]) -> "Trained":
        """Return what is kept under a key, else make and keep it.

        Parameters
        ----------
        key
            All it is made from: the checksum of the reference, its column of labels, the genes of the study.
        make
            Makes it.
        """
        path = self._folder / f"{_digest(key)}.npz"
        trained = _read(path)
        if trained is None:
            trained = make()
            try:
                _write(path, trained)
            except OSError as error:
                # A cache that cannot be written only costs time.
                log.info("The trained reference is not kept: %s", error)
        return trained


def _digest(key: Sequence[str | None]) -> str:
    # Imported late: a server starts without Numba.
    from iscan_dash.core.singler.train import Trained

    digest = hashlib.blake2b(f"{__version__}\n{sorted(_fields(Trained))}\n".encode(), digest_size=16)
    for part in key:
        # Lengths keep ["ab", "c"] and ["a", "bc"] apart.
        text = b"-" if part is None else part.encode("utf-8", "surrogatepass")
        digest.update(f"{len(text)}:".encode() + text + (b"" if part is None else b"."))
    return digest.hexdigest()


def _read(path: Path) -> "Trained | None":
    from iscan_dash.core.singler.train import Trained

    try:
        with np.load(path, allow_pickle=False) as arrays:
            trained: Trained = _unpack(Trained, arrays, "")
        with contextlib.suppress(OSError):
            # So that what is used is kept.
            os.utime(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        log.info("%s is made again: %s", path, error)
        return None
    return trained


def _write(path: Path, trained: "Trained") -> None:
    arrays: dict[str, np.ndarray] = {}
    _pack(trained, arrays, "")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    files = sorted(path.parent.glob("*.npz"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for old in files[MOST_FILES:]:
        old.unlink(missing_ok=True)


def _is_record(kind: Any) -> bool:
    return is_dataclass(kind) or hasattr(kind, "_fields")


def _fields(kind: Any, prefix: str = "") -> Mapping[str, Any]:
    """Return the types of a record's fields by name, records within it included."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        found |= _fields(hint, f"{prefix}{name}.") if _is_record(hint) else {f"{prefix}{name}": hint}
    return found


def _pack(record: Any, arrays: dict[str, np.ndarray], prefix: str) -> None:
    for name, hint in get_type_hints(type(record)).items():
        value = getattr(record, name)
        if _is_record(hint):
            _pack(value, arrays, f"{prefix}{name}.")
        else:
            arrays[prefix + name] = np.array(value, dtype=str) if hint == tuple[str, ...] else np.asarray(value)


def _unpack(kind: Any, arrays: Mapping[str, np.ndarray], prefix: str) -> Any:
    parts: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        if _is_record(hint):
            parts[name] = _unpack(hint, arrays, f"{prefix}{name}.")
        else:
            value = arrays[prefix + name]
            parts[name] = tuple(value.tolist()) if hint == tuple[str, ...] else int(value) if hint is int else value
    return kind(**parts)
