"""Tables that a user uploaded: read once, matched as often as the user asks."""

import shutil
import tempfile
import threading
from typing import IO
from uuid import uuid4

from iscan_dash.core.annotations.csv_table import CsvTable, read_csv_table
from iscan_dash.core.annotations.label_table import LabelTable, match_table
from iscan_dash.errors import DataError
from iscan_dash.services.workspace import Workspace

IN_MEMORY = 8 << 20
"""Bytes of an upload that are held in memory; more go to a file that has no name."""


IDLE = 900.0
"""Seconds after which a table that nobody asked for is let go."""

PATIENCE = 20.0
"""Seconds that an upload waits for its turn to be read."""

_READING = threading.Lock()
"""One table is read at a time: it may take twenty times its size in memory."""


class TableImports:
    """The table that a user uploaded last.

    Parameters
    ----------
    workspace
        The open study and the user's annotations.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._loaded: tuple[str, CsvTable] | None = None
        self._timer: threading.Timer | None = None

    def load(self, body: IO[bytes], name: str) -> str:
        """Read an uploaded table in place of the one before, and return its token.

        Raises
        ------
        DataError
            It is no table; see `read_csv_table`.
        """
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as stream:
            shutil.copyfileobj(body, stream)
            stream.seek(0)
            if not _READING.acquire(timeout=PATIENCE):
                raise DataError("Other tables are being read. Try again in a moment.")
            try:
                table = read_csv_table(stream, name).unmarked()  # type: ignore[arg-type]
            finally:
                _READING.release()
        with self._lock:
            self._loaded = (uuid4().hex, table)
            self._forget_later()
            return self._loaded[0]

    def table(self, token: str) -> CsvTable:
        """Return an uploaded table.

        Raises
        ------
        DataError
            Another one was uploaded since, or the server was restarted.
        """
        with self._lock:
            if self._loaded is None or self._loaded[0] != token:
                raise DataError("This table is not here any more. Choose the file again.")
            self._forget_later()
            return self._loaded[1]

    @property
    def is_here(self) -> bool:
        """Whether there is a table."""
        with self._lock:
            return self._loaded is not None

    def _forget_later(self) -> None:
        """Let the table go when nobody asks for it any more; to be called with the lock."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(IDLE, self.forget)
        self._timer.daemon = True
        self._timer.start()

    def matched(self, token: str, id_column: str | None, sample_column: str | None) -> LabelTable:
        """Match an uploaded table to the study; see `match_table` for the parameters and errors."""
        workspace = self._workspace
        return match_table(
            self.table(token),
            workspace.study,
            workspace.taken_names(),
            id_column=id_column,
            sample_column=sample_column,
            max_items=workspace.max_items,
        )

    def forget(self) -> None:
        """Let the table go."""
        with self._lock:
            self._loaded = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
