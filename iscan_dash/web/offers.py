"""Offers to bring back drafts of data that changed since."""

import logging
import threading
from collections.abc import Mapping
from typing import Any

from iscan_dash.errors import IscanError, UnknownColumn
from iscan_dash.services.reattach import OldDrafts
from iscan_dash.services.workspace import Workspace

log = logging.getLogger(__name__)


class Offers:
    """The old drafts that a user may bring here; they are looked for in the background, once.

    Parameters
    ----------
    workspace
        The open study and the user's annotations.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._closed: set[str] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._found: list[OldDrafts] = []

    def look(self) -> None:
        """Begin to look for old drafts; later calls do nothing."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="old-drafts", daemon=True)
                self._thread.start()

    def open(self) -> list[OldDrafts]:
        """Return the old drafts that were found so far and not dealt with."""
        with self._lock:
            return list(self._found)

    def find(self, fingerprint: str) -> OldDrafts:
        """Return an offer.

        Raises
        ------
        UnknownColumn
            It was dealt with before.
        """
        with self._lock:
            for old in self._found:
                if old.fingerprint == fingerprint:
                    return old
        raise UnknownColumn("These drafts were dealt with already.")

    def close(self, old: OldDrafts) -> None:
        """Do not make an offer again before the server is started anew."""
        with self._lock:
            self._closed.add(old.fingerprint)
            self._found = [other for other in self._found if other.fingerprint not in self._closed]

    @property
    def is_looking(self) -> bool:
        """Whether drafts are being looked for."""
        with self._lock:
            return self._thread is not None and self._thread.is_alive()

    def remember(self) -> dict[str, Any]:
        """Return which offers are not to be made again, as plain values for `recall`."""
        with self._lock:
            return {"offers": sorted(self._closed)} if self._closed else {}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """Make no offer again that was dealt with when `remember` was called."""
        with self._lock:
            self._closed.update(map(str, kept.get("offers", ())))

    def _look(self) -> None:
        try:
            found = self._workspace.old_drafts()
        except IscanError as error:
            log.warning("%s", error)
            return
        with self._lock:
            self._found = [old for old in found if old.fingerprint not in self._closed]
