"""Start a web server as a user would, and measure how long it takes to answer and how much memory it holds."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

READY_TIMEOUT = 300.0
POLL = 0.01
QUIET_PERCENT = 20.0
PATIENCE = 20.0
MB = 1e6


class BenchmarkError(RuntimeError):
    """A measurement that could not be made; the message says which and what to do."""


@dataclass(frozen=True)
class Command:
    """How to start one of the programs compared.

    Parameters
    ----------
    name
        What tables call it.
    argv
        Command line; every ``{port}`` in it is replaced by the port.
    env
        Variables added to the environment of the benchmark.
    page
        Path of its page.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    page: str = "/"


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process and all its children, in bytes.

    The peak is the sum of the peaks of the processes (`VmHWM`), or None where the system does not tell.
    """

    now: int
    peak: int | None


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Parameters
    ----------
    name, url
        What it is and the address of its page.
    started
        `time.perf_counter` just before its process was started.
    ready_s
        Seconds from there to the first answer 200 for the page.
    """

    name: str
    url: str
    started: float
    ready_s: float
    process: psutil.Process

    def memory(self) -> Memory:
        """Return what the server and its children hold now."""
        now, peaks = 0, []
        for process in (self.process, *self.process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                now += process.memory_info().rss
                peaks.append(_peak(process.pid))
        known = [peak for peak in peaks if peak is not None]
        return Memory(now, sum(known) if len(known) == len(peaks) else None)


def _peak(pid: int) -> int | None:
    """Return the most resident memory one process ever had, in bytes; Linux only."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def threads_env(threads: int) -> dict[str, str]:
    """Return variables that give every numeric library the same number of threads."""
    names = ("OMP", "NUMBA", "OPENBLAS", "MKL", "NUMEXPR")
    return {f"{name}_NUM_THREADS": str(threads) for name in names}


def free_port() -> int:
    """Return a port nobody listens on; each server gets its own, so no browser cache knows its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def serve(command: Command) -> Iterator[Running]:
    """Start a server, wait until its page answers, and end it with all its children afterwards.

    Parameters
    ----------
    command
        What to start.

    Raises
    ------
    BenchmarkError
        When the program ends by itself or does not answer in time; the message has the end of its output.
    """
    port = free_port()
    argv = [part.format(port=port) for part in command.argv]
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = psutil.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **command.env}
        )
        try:
            ready_s = _wait(command, process, port, started, log)
            url = f"http://127.0.0.1:{port}{command.page}"
            yield Running(command.name, url, started, ready_s, psutil.Process(process.pid))
        except (BenchmarkError, psutil.NoSuchProcess, OSError) as error:
            if process.poll() is None:
                raise
            raise BenchmarkError(f"{command.name} ended with exit code {process.returncode}. {_tail(log)}") from error
        finally:
            _end(process)


def _wait(command: Command, process: psutil.Popen, port: int, started: float, log: IO[bytes]) -> float:
    """Return the seconds from `started` to the first answer 200."""
    while (now := time.perf_counter()) - started < READY_TIMEOUT:
        if process.poll() is not None:
            raise BenchmarkError(f"{command.name} ended before it answered.")
        if _answers(port, command.page):
            return time.perf_counter() - started
        time.sleep(max(0.0, POLL - (time.perf_counter() - now)))
    raise BenchmarkError(f"{command.name} did not answer in {READY_TIMEOUT:.0f} s. {_tail(log)}")


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return f"Its last output:\n{log.read().decode(errors='replace')[-2000:]}"


def _answers(port: int, page: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", page)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: psutil.Popen) -> None:
    """End a process and its children, politely first."""
    with suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(process.pid).children(recursive=True), process]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.terminate()
        _, alive = psutil.wait_procs(family, timeout=5)
        for member in alive:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(alive, timeout=5)


def wait_for_quiet() -> bool:
    """Wait until the machine has little else to do, `PATIENCE` seconds at most, and return whether it has."""
    end = time.monotonic() + PATIENCE
    while psutil.cpu_percent(interval=0.5) > QUIET_PERCENT:
        if time.monotonic() > end:
            return False
    return True


def machine() -> str:
    """Describe the machine in one line, as it is told above every table."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GB, {sys.platform}, Python {sys.version.split()[0]},"
        f" load {psutil.getloadavg()[0]:.1f}"
    )
