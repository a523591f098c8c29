"""SHA-256 of the study's files, computed in the background so that nobody waits for them."""

import threading
from pathlib import Path

from iscan_dash.core.study.fingerprint import file_sha256


class FileHashes:
    """Hashes files one after the other in a thread of its own.

    Parameters
    ----------
    paths
        The files.
    delay
        Seconds to wait before the first, so that hashing a large file does not slow the first page down.
    """

    def __init__(self, paths: list[Path], delay: float = 0) -> None:
        self._paths = paths
        self._delay = delay
        self._found: dict[Path, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def get(self, path: Path) -> str | None:
        """Return a file's hash, None while it is not known."""
        return self._found.get(path)

    def close(self) -> None:
        """Give up what is not hashed yet."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        if self._stop.wait(self._delay):
            return
        for path in self._paths:
            try:
                digest = file_sha256(path, self._stop.is_set)
            except OSError as error:
                digest = f"cannot be read: {error.strerror}"
            if digest is None:
                return
            self._found[path] = digest
