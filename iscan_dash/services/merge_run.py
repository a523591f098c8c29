"""A merge that runs while its user does other things, and can be watched and cancelled."""

import logging
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from iscan_dash.core.study import Study
from iscan_dash.errors import IscanError, StorageError
from iscan_dash.services.merge import MergeReport, NewColumn, check_names, merge
from iscan_dash.services.new_file import refuse_existing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MergeState:
    """How a merge stands.

    Parameters
    ----------
    is_running
        Whether it goes on.
    part
        How much is done, 0 to 1.
    message
        What is being done, or why it ended.
    has_failed
        Whether it ended with an error.
    reports
        What was written, once it is done.
    """

    is_running: bool = False
    part: float = 0.0
    message: str = ""
    has_failed: bool = False
    reports: tuple[MergeReport, ...] = ()


RESERVE = 2**30
"""Bytes of the disk, or a twentieth of it where that is less, that a merge leaves free: drafts lie there too."""

_TURN = threading.Lock()
"""Held by the merge that runs: one at a time for all users of the server."""


class MergeRun:
    """The merges of one user, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = MergeState()

    @property
    def state(self) -> MergeState:
        """How the merge stands, or how the last one ended."""
        with self._lock:
            return self._state

    def start(self, study: Study, columns: Sequence[NewColumn], outputs: Sequence[Path]) -> None:
        """Begin a merge; what is wrong with the names is told at once.

        Raises
        ------
        StorageError
            One runs already, or an output exists (E62).
        NameRefused
            A column cannot have its name.
        """
        check_names(study, [column.name for column in columns])
        for output in outputs:
            refuse_existing(output)
        _check_reserve(study, outputs)
        with self._lock:
            if self._state.is_running:
                raise StorageError("A merge is running already. Wait for it, or cancel it.")
            if not _TURN.acquire(blocking=False):
                raise StorageError("Another user's merge is running. Try again when it is done.")
            self._cancelled.clear()
            self._state = MergeState(is_running=True, message="Starting")
        self._thread = threading.Thread(target=self._run, args=(study, columns, outputs), name="merge", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Give the merge up; nothing of it is left."""
        self._cancelled.set()

    def close(self) -> None:
        """Give the merge up and wait until its files are gone."""
        self.cancel()
        if self._thread is not None:
            self._thread.join()

    def _run(self, study: Study, columns: Sequence[NewColumn], outputs: Sequence[Path]) -> None:
        try:
            reports = merge(study, columns, outputs, progress=self._tell, is_cancelled=self._cancelled.is_set)
        except IscanError as error:
            ended = MergeState(message=str(error), has_failed=True)
        except Exception as error:
            log.error("A merge failed.", exc_info=error)
            ended = MergeState(
                message=f"Something went wrong ({type(error).__name__}); the server's log has the details.",
                has_failed=True,
            )
        else:
            ended = (
                MergeState(message="Cancelled; nothing was written.")
                if reports is None
                else MergeState(part=1.0, message="Done", reports=tuple(reports))
            )
        finally:
            _TURN.release()
        with self._lock:
            self._state = ended

    def _tell(self, part: float, message: str) -> None:
        with self._lock:
            self._state = replace(self._state, part=part, message=message)


def _check_reserve(study: Study, outputs: Sequence[Path]) -> None:
    """Refuse a merge after which the disk would be so full that nobody's edits could be kept."""
    try:
        usage = shutil.disk_usage(outputs[0].parent)
    except OSError:
        # A folder that is not there is told by the merge itself.
        return
    needed = sum(dataset.path.stat().st_size for dataset in study.datasets)
    if usage.free - needed < min(RESERVE, usage.total // 20):
        raise StorageError("The disk is too full for a merged file: edits need the room that is left. Free some first.")
