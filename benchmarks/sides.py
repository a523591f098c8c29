"""The two sides of a benchmark: processes that do a step when they are told to, and say what it cost."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.servers import BenchmarkError, threads_env


@contextmanager
def side(python: Path, worker: Path, *arguments: str, threads: int) -> Iterator[subprocess.Popen[str]]:
    """Start one side and end it afterwards.

    Parameters
    ----------
    python
        The interpreter to run it with.
    worker
        Its program, which takes the arguments and then the number of threads.
    arguments
        What it is told at the start.
    threads
        Threads that it may use.
    """
    argv = [str(python), str(worker), *arguments, str(threads)]
    environment = {**os.environ, "PYTHONPATH": str(worker.parents[1]), **threads_env(threads)}
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # What peers warn of is of no use here.
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        yield process
        if process.stdin:
            process.stdin.close()


def ask(process: subprocess.Popen[str], command: dict[str, Any]) -> dict[str, Any]:
    """Send a command to one side and return its answer; what else it prints is passed over.

    Raises
    ------
    BenchmarkError
        It ended.
    """
    if not process.stdin or not process.stdout:
        raise BenchmarkError("A side of the benchmark has no pipes.")
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith('{"wall"'):
            answer: dict[str, Any] = json.loads(line)
            return answer
    raise BenchmarkError(f"A side of the benchmark ended while it was asked to {command['do']}.")
