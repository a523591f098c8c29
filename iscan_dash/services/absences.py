"""What is kept of users who are away, beside their drafts: what they had selected and ticked."""

import base64
import binascii
import hashlib
import logging
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from iscan_dash.core.study import Study
from iscan_dash.services.private import write_private

KEPT_FOR = 7 * 86_400.0
"""Seconds for which it is kept."""

log = logging.getLogger(__name__)


class Absences:
    """Keeps plain values of users on the disk while they are away. All methods may be called from any thread.

    The folder is the server's own: beside the drafts, people who only look would leave files.

    Parameters
    ----------
    folder
        Where; made when first needed.
    study
        The open study: what was kept of other cells is not given back.
    place
        Where drafts go; another folder has other users.
    """

    def __init__(self, folder: Path, study: Study, place: Path) -> None:
        self._folder = folder
        self._study = study
        self._where = [str(place.absolute()), *(str(dataset.path.absolute()) for dataset in study.datasets)]

    def keep(self, user: str, values: Mapping[str, Any]) -> None:
        """Keep values (JSON) of a user until `forget`.

        Raises
        ------
        OSError
            They cannot be written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._path(user), orjson.dumps({"cells": self._cells(), **values}).decode())

    def read(self, user: str) -> dict[str, Any]:
        """Return what was kept of a user; empty when nothing was, or it does not fit any more."""
        path = self._path(user)
        try:
            values = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("What was kept in %s cannot be read: %s", path, type(error).__name__)
            return {}
        is_it = isinstance(values, dict) and values.get("cells") == self._cells()
        return values if is_it else {}

    def forget(self, user: str) -> None:
        """Forget what was kept of a user, who is back."""
        path = self._path(user)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s cannot be removed: %s", path, error.strerror)

    def forget_old(self) -> None:
        """Forget what was kept long ago."""
        oldest = time.time() - KEPT_FOR
        for path in self._folder.glob("*.json"):
            try:
                if path.stat().st_mtime < oldest:
                    path.unlink()
            except OSError as error:
                log.warning("%s cannot be removed: %s", path, error.strerror)

    def _path(self, user: str) -> Path:
        name = hashlib.blake2b(orjson.dumps([user, *self._where]), digest_size=16).hexdigest()
        return self._folder / f"{name}.json"

    def _cells(self) -> list[Any]:
        return [self._study.n_cells, *(list(map(str, dataset.stamp)) for dataset in self._study.datasets)]


def to_text(packed: bytes) -> str:
    """Write packed bits as text.

    Examples
    --------
    >>> from_text(to_text(bytes(1000))) == bytes(1000)
    True
    """
    return base64.b64encode(zlib.compress(packed, 1)).decode()


def from_text(text: str) -> bytes:
    """Read what `to_text` wrote.

    Raises
    ------
    ValueError
        It is something else.
    """
    try:
        return zlib.decompress(base64.b64decode(text, validate=True))
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"no packed bits: {error}") from error
