"""The product's server as a host runs it: under Gunicorn as the Procfile says, or with waitress."""

import http.client
import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.browser.server import plain_environment

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


class Host:
    """A server that is started, stopped, killed and started again on the same port.

    Parameters
    ----------
    study
        The file that it serves.
    folder
        Where its drafts, what it keeps itself and its log go.
    settings
        More variables of its environment.
    waitress
        Whether it is started with ``iscan-dash serve`` instead.
    """

    def __init__(self, study: Path, folder: Path, settings: Mapping[str, str], *, waitress: bool = False) -> None:
        self.drafts = folder / "drafts"
        self.port = _free_port()
        if waitress:
            self._command = f"iscan_dash serve {shlex.quote(str(study))} --port {self.port}"
        else:
            procfile = (ROOT / "Procfile").read_text().removeprefix("web: ")
            self._command = procfile.replace("0.0.0.0:$PORT", f"127.0.0.1:{self.port}")
        self._log = folder / "server.log"
        self._settings = {
            "ISCAN_DATA": str(study),
            "ISCAN_ANNOTATIONS_DIR": str(self.drafts),
            "ISCAN_DATA_DIR": str(folder / "server"),
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Host":
        """Start it, and wait until users may come."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *shlex.split(self._command)],
                cwd=ROOT,
                env=plain_environment() | self._settings,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, self._log.read_text()
            try:
                if self.status("/readyz") == 200:
                    return self
            except (ConnectionError, http.client.HTTPException):
                pass
            time.sleep(0.1)
        raise TimeoutError("The server is not ready.")

    def stop(self) -> int:
        """Stop it as a process manager does, and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Take it away at once with its workers, as a power cut does."""
        assert self.process is not None
        family = psutil.Process(self.process.pid).children(recursive=True)
        # First Gunicorn itself, which would start another worker.
        self._end(signal.SIGKILL)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=PATIENCE)

    def close(self) -> None:
        """End it if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def _end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def status(self, path: str, **headers: str) -> int:
        """Return the status of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def log_lines(self) -> list[str]:
        """Return what it logged so far."""
        return self._log.read_text("utf-8").splitlines()

    def events(self) -> list[dict[str, Any]]:
        """Return what it logged so far as JSON, every line of it."""
        return [json.loads(line) for line in self.log_lines()]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
