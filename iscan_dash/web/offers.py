"""Offers to bring back drafts of data that changed since."""

import logging
import threading

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
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._found: list[OldDrafts] = []

    def open(self) -> list[OldDrafts]:
        """Return the old drafts that were found so far and not dealt with."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="old-drafts", daemon=True)
                self._thread.start()
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
            self._found = [other for other in self._found if other.fingerprint != old.fingerprint]

    def _look(self) -> None:
        try:
            found = self._workspace.old_drafts()
        except IscanError as error:
            log.warning("%s", error)
            return
        with self._lock:
            self._found = found
