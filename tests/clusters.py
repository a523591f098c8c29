"""A Dask scheduler and workers of this machine, each a process of its own, for tests."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iscan_dash.errors import PredictionRefused

ROOT = Path(__file__).parents[1]
LOCAL = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")


class Cluster:
    """A scheduler that listens on the loopback, and its workers.

    All end by themselves: the scheduler when nobody asks for anything, the workers when it is gone.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        place = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--port", "0", "--scheduler-file", str(place), "--idle-timeout", "3 minutes", **environment
        )
        self.address = str(_waited(lambda: json.loads(place.read_text())["address"] if place.exists() else None))

    def add_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker with one thread."""
        name = f"worker-{len(self.workers)}"
        self.workers.append(
            self._start(
                "worker",
                self.address,
                *("--nworkers", "1", "--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--death-timeout", "30"),
                *("--name", name, "--local-directory", str(self.folder / name)),
                **environment,
            )
        )
        return self.workers[-1]

    def close(self) -> None:
        """End all."""
        for process in (self.scheduler, *self.workers):
            process.kill()
            process.wait()

    def _start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        paths = [environment.pop("PYTHONPATH", ""), str(ROOT), os.environ.get("PYTHONPATH", "")]
        own: Mapping[str, str] = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment}
        with (self.folder / f"{arguments[0]}-{len(self.workers)}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, *LOCAL], env=own, stdout=log, stderr=log, cwd=self.folder
            )


def squared(factor: int, number: int) -> int:
    """Work on a chunk that is a number."""
    return factor * number * number


def once_deadly(marker: Path, number: int) -> int:
    """End the process that does the fifth chunk, the first time."""
    if number == 5 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def deadly(_nothing: None, _number: int) -> None:
    """End the process that does a chunk."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(sentence: str, _number: int) -> None:
    """Refuse a chunk as an engine does."""
    raise PredictionRefused(sentence, "E15")


def _waited(what: Any) -> Any:
    for _ in range(600):
        try:
            if found := what():
                return found
        except ValueError:
            # The file is being written.
            pass
        time.sleep(0.05)
    raise AssertionError("it does not happen")
