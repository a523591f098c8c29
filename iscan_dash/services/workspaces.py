"""The workspaces of everyone who works on one open study."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from iscan_dash.core.room import Room
from iscan_dash.core.study import Study
from iscan_dash.services.drafts import annotations_folder
from iscan_dash.services.ledger import ROOM
from iscan_dash.services.shared import SharedAnnotations
from iscan_dash.services.while_used import WhileUsed
from iscan_dash.services.workspace import Workspace

log = logging.getLogger(__name__)


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
    user_room
        Bytes for what is worked out for each user and kept.

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
        user_room: int = ROOM,
    ) -> None:
        self.study = study
        self.max_items = max_items
        self.is_closed = is_closed
        self._user_room = user_room
        self._file = annotations_file.absolute() if annotations_file else None
        asked = self._file.parent if self._file else annotations_dir
        self.folder = annotations_folder(asked, study)
        self._of_user = WhileUsed(self._make, self._put_away)
        self._shared: SharedAnnotations | None = None
        self.before_leaving: Callable[[str, Workspace], bool] = lambda _user, _workspace: True
        """Is told whose workspace is about to be put away, and may object."""

    @contextmanager
    def using(self, user: str, user_name: str) -> Iterator[Workspace]:
        """Use the workspace of a user, which is not put away meanwhile; see `enter` for the parameters."""
        with self._of_user.using(user) as workspace:
            workspace.call_user(user_name)
            yield workspace

    def enter(self, user: str, user_name: str) -> Workspace:
        """Return the workspace of a user, which is there until `leave` is called as often.

        Parameters
        ----------
        user
            Id of the user.
        user_name
            What others call them now.
        """
        workspace = self._of_user.enter(user)
        try:
            workspace.call_user(user_name)
        except BaseException:
            self.leave(user)
            raise
        return workspace

    def leave(self, user: str, *, as_used: bool = True) -> None:
        """Say that a workspace is not used any more; `as_used` is False for what pages ask for by themselves."""
        self._of_user.leave(user, as_used=as_used)

    def is_here(self, user: str) -> bool:
        """Tell whether a user has a workspace now."""
        return self._of_user.find(user) is not None

    def here(self) -> dict[str, Workspace]:
        """Return the workspaces that there are now, by their users."""
        return self._of_user.all()

    def put_idle_away(self, seconds: float) -> list[str]:
        """Close the workspaces that nobody used for so long; the next use finds their drafts on the disk."""
        return self._of_user.put_idle_away(seconds)

    def name_of(self, user: str) -> str | None:
        """Return what others call a user, None when that is not known."""
        workspace = self._of_user.find(user)
        if workspace is not None:
            return workspace.user_name
        shared = self.shared()
        return shared.name_of(user) if shared else None

    def shared(self) -> SharedAnnotations | None:
        """Return the annotations of all users, None where there is but one draft or none."""
        if self._file is not None or self.is_closed:
            return None
        if self._shared is None:
            self._shared = SharedAnnotations(self.folder, self.study.fingerprint, self.study.n_cells)
        return self._shared

    def close(self) -> None:
        """Write what is unsaved and close the files."""
        for workspace in self.here().values():
            _close(workspace)
        self.study.close()

    def _make(self, user: str) -> Workspace:
        return Workspace(
            self.study,
            user=user,
            folder=self.folder,
            file=self._file,
            shared=self.shared,
            max_items=self.max_items,
            is_closed=self.is_closed,
            room=Room(self._user_room),
        )

    def _put_away(self, user: str, workspace: Workspace) -> bool:
        if not workspace.is_saved or not self.before_leaving(user, workspace):
            return False
        _close(workspace)
        return True


def _close(workspace: Workspace) -> None:
    """Close a workspace, which nobody uses from here on even if that fails; others do not wait for it."""
    try:
        workspace.close()
    except Exception as error:
        log.error("The drafts of %s were not closed as they should be.", workspace.user_name, exc_info=error)
