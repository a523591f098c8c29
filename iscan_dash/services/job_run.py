"""The worker of a job, as the server sees it: started, listened to, ended."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from iscan_dash.errors import JobRefused
from iscan_dash.services.job_table import JobState
from iscan_dash.services.processes import end_group, memory_text

GRACE = 2.0
"""Seconds that a worker has to clean up before it is killed."""

LOST = "The server restarted. Run again?"

_ROOT = Path(__file__).parents[2]

log = logging.getLogger(__name__)


class Run:
    """One job that has a worker, or is about to get one.

    Parameters
    ----------
    job_id
        Id of the job. The worker has it among its arguments, by which it is known again.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped: JobState | None = None
        self._is_done = False
        self._killer: threading.Timer | None = None
        self._memory = 0

    def work(
        self,
        order: Mapping[str, Any],
        stream: IO[bytes],
        begun: Callable[[int], None],
        told: Callable[[str, int, int], None],
    ) -> tuple[JobState, str]:
        """Have the worker do its job, and return how it ended and what there is to say.

        Parameters
        ----------
        order
            What to do; see `iscan_dash.services.worker`.
        stream
            Its log.
        begun
            Called with the number of its process.
        told
            Called with its progress; see `Control`.

        Raises
        ------
        JobRefused
            It could not be started.
        """
        process = self._start(Path(order["folder"]), stream)
        assert process.stdin
        assert process.stdout
        try:
            begun(process.pid)
            # When it is gone already, its exit code tells more.
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.flush()
            said = self._listen(process.stdout, told)
        except BaseException:
            end_group(process.pid, at_once=True)
            raise
        finally:
            process.wait()
            with self._lock:
                self._process = None
                if self._killer is not None:
                    self._killer.cancel()
            # It started nothing that should outlive it.
            end_group(process.pid, at_once=True)
            process.stdout.close()
            with suppress(BrokenPipeError):
                process.stdin.close()
        with self._lock:
            if self._stopped is not None:
                return self._stopped, LOST if self._stopped is JobState.LOST else ""
            if said.get("end") == "finished" and process.returncode == 0:
                self._is_done = True
                return JobState.FINISHED, ""
        return JobState.FAILED, str(said.get("message") or _why(process.returncode, self._memory))

    def stop(self, state: JobState) -> bool:
        """Have the worker end, at the latest after a while, whether it began or not.

        Parameters
        ----------
        state
            What becomes of the job.

        Returns
        -------
        bool
            False when the work is done already: it stays so.
        """
        with self._lock:
            if self._is_done:
                return False
            self._stopped = state
            if self._process is not None and self._killer is None:
                self._end(self._process)
            return True

    def _start(self, folder: Path, stream: IO[bytes]) -> subprocess.Popen[bytes]:
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            process = subprocess.Popen(
                # Without -P Python would look for our modules in the working directory first.
                [sys.executable, "-P", "-m", "iscan_dash.services.worker", self.job_id],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                cwd=folder,
                # What it writes in between is gone with its folder, however it ends.
                env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(paths)},
                # A group of its own, which is ended as a whole.
                start_new_session=True,
            )
        except OSError as error:
            raise JobRefused(f"No worker could be started: {error.strerror or error}. Try again later.") from error
        with self._lock:
            self._process = process
            if self._stopped is not None:
                self._end(process)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        end_group(process.pid)
        self._killer = threading.Timer(GRACE, self._kill)
        self._killer.daemon = True
        self._killer.start()

    def _kill(self) -> None:
        with self._lock:
            if self._process is not None:
                end_group(self._process.pid, at_once=True)

    def _listen(self, stream: IO[bytes], told: Callable[[str, int, int], None]) -> dict[str, Any]:
        """Pass the progress on until the worker says that it is over, or is gone; return the last it said then."""
        for line in stream:
            try:
                said: dict[str, Any] = json.loads(line)
            except ValueError:
                # It was killed while it wrote.
                break
            if "end" in said:
                return said
            self._memory = said["memory"]
            told(said["step"], said["done"], said["total"])
        return {}


def _why(code: int, memory: int) -> str:
    """Say why a worker ended without a word."""
    if code == -9:
        used = f" ({memory_text(memory)})" if memory else ""
        return (
            f"The worker was stopped by the system, perhaps for lack of memory{used}. Choose fewer cells, or a machine "
            "with more memory."
        )
    how = f"by signal {-code}" if code < 0 else f"with code {code}"
    return f"The worker ended unexpectedly {how}. The log has the details."
