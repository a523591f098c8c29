"""The product's server, started over and over: what takes long is imported once, each start is a fork of that.

``python -m tests.services.server_to_kill FOLDER FILE`` serves FILE with its drafts in FOLDER. It reads commands from its
standard input: ``start`` forks a server and says ``pid N``, and the server says itself when it is ready; ``reap N``
waits until that one is gone and says ``gone N``. Drafts are written without delay, so that a kill often hits one.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from tests.browser.server import READY, plain_environment

CHECKOUT = Path(__file__).parents[2]


class Starter:
    """The process that starts servers, one at a time.

    Parameters
    ----------
    folder
        Where drafts go.
    file
        The study.
    errors
        What the servers log comes here.
    """

    def __init__(self, folder: Path, file: Path, errors: IO[bytes]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.services.server_to_kill", str(folder), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=CHECKOUT,
            env=plain_environment(),
            text=True,
        )

    def start(self) -> int:
        """Begin a start and return the process id at once."""
        self._say("start")
        return int(self._read("pid "))

    def port(self) -> int | None:
        """Wait until the server is ready and return its port, None when it is gone before."""
        said = READY.search(self._read(""))
        return int(said[1].rpartition(":")[2]) if said else None

    def end(self, pid: int, how: signal.Signals) -> None:
        """Send a signal that ends a server, from any thread; `wait` for it afterwards."""
        os.kill(pid, how)
        self._say(f"reap {pid}")

    def wait(self) -> None:
        """Wait until the server that was ended is gone."""
        self._read("gone ")

    def close(self) -> None:
        """End the process, and with it the server that a failed test left."""
        self._process.communicate(timeout=30)

    def _say(self, command: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def _read(self, beginning: str) -> str:
        """Return the rest of the next line that begins in a certain way."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(beginning):
                return line.removeprefix(beginning)
        raise AssertionError("the process that starts servers ended")


def main(folder: Path, file: Path) -> None:
    """Start servers as told."""
    # What a start imports; none of these starts a thread, which a fork would not take along.
    import anndata  # noqa: F401
    import waitress.server  # noqa: F401

    from iscan_dash import cli
    from iscan_dash.services import drafts
    from iscan_dash.settings import Settings
    from iscan_dash.web import app  # noqa: F401

    drafts.DELAY = 0.0
    settings = Settings(data=(file,), annotations_dir=folder, single_user=True, port=0, data_dir=folder / "server")
    running: set[int] = set()
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        if command == "reap":
            os.waitpid(int(rest), 0)
            running.discard(int(rest))
            print(f"gone {rest}", flush=True)
            continue
        pid = os.fork()
        if pid:
            running.add(pid)
            print(f"pid {pid}", flush=True)
            continue
        try:
            cli._serve(settings)
        finally:
            sys.stderr.flush()
            os._exit(0)
    # What a test left that failed, or was stopped itself.
    for pid in running:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
