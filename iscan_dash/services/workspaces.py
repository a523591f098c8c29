"""The workspaces of everyone who works on one open study."""

import threading
from pathlib import Path

from iscan_dash.core.study import Study
from iscan_dash.services.drafts import annotations_folder
from iscan_dash.services.shared import SharedAnnotations
from iscan_dash.services.workspace import Workspace


class Workspaces:
    """Gives each user a workspace of their own on the same study.

    Parameters
    ----------
    study
        The open study, shared by all.
    annotations_dir
        Where drafts go; beside the first file when None.
    annotations_file
        The one draft to keep, on a server of one user.
    max_items
        Labels above which users are told that colours are grouped.
    is_closed
        Whether annotations are switched off.

    Attributes
    ----------
    folder
        Where drafts go.

    Raises
    ------
    StorageError
        The folder asked for cannot be made.
    """

    def __init__(
        self,
        study: Study,
        *,
        annotations_dir: Path | None = None,
        annotations_file: Path | None = None,
        max_items: int = 1000,
        is_closed: bool = False,
    ) -> None:
        self.study = study
        self.max_items = max_items
        self.is_closed = is_closed
        self._file = annotations_file.absolute() if annotations_file else None
        asked = self._file.parent if self._file else annotations_dir
        self.folder = annotations_folder(asked, study)
        self._lock = threading.Lock()
        self._of_user: dict[str, Workspace] = {}
        self._shared: SharedAnnotations | None = None

    def of(self, user: str, user_name: str) -> Workspace:
        """Return the workspace of a user.

        Parameters
        ----------
        user
            Id of the user.
        user_name
            What others call them now.
        """
        with self._lock:
            workspace = self._of_user.get(user)
            if workspace is None:
                workspace = self._of_user[user] = Workspace(
                    self.study,
                    user=user,
                    user_name=user_name,
                    folder=self.folder,
                    file=self._file,
                    shared=self.shared,
                    max_items=self.max_items,
                    is_closed=self.is_closed,
                )
        workspace.call_user(user_name)
        return workspace

    def name_of(self, user: str) -> str | None:
        """Return what others call a user now, None when the user was not here since the server started."""
        with self._lock:
            workspace = self._of_user.get(user)
        return workspace.user_name if workspace else None

    def shared(self) -> SharedAnnotations | None:
        """Return the annotations of all users, None where there is but one draft or none."""
        if self._file is not None or self.is_closed:
            return None
        if self._shared is None:
            self._shared = SharedAnnotations(self.folder, self.study.fingerprint, self.study.n_cells)
        return self._shared

    def close(self) -> None:
        """Write what is unsaved and close the files."""
        with self._lock:
            for workspace in self._of_user.values():
                workspace.close()
        self.study.close()
