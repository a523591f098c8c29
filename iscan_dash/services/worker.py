"""A process that does one job: ``python -m iscan_dash.services.worker JOB``, started by the server.

It is told what to do by one line of JSON on its standard input, and tells how it goes by lines of JSON on its standard
output: ``{"step", "done", "total", "memory"}``, and in the end ``{"end": "finished" | "failed", "message"}``. Its
standard error is the job's log. It ends when it is terminated, and when its standard input ends: the server is gone.
"""

import faulthandler
import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, NoReturn

import psutil

from iscan_dash.core.engine.control import Control
from iscan_dash.core.study import Choices, open_study
from iscan_dash.errors import IscanError
from iscan_dash.services.job_kinds import Task, load_kind
from iscan_dash.services.processes import end_group, memory_text

BETWEEN = 0.1
"""Least seconds between two lines about the same step."""

PATIENCE = 5.0
"""Seconds that the work has to end by itself when the server is gone."""

NICENESS = 5
"""How far the work stands back behind the server, which people wait for."""

log = logging.getLogger("iscan_dash.worker")


class Report:
    """Tells the server how the work goes.

    Parameters
    ----------
    stream
        What the server reads.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._process = psutil.Process()
        self._step = ""
        self._said = 0.0

    def tell(self, step: str, done: int, total: int) -> None:
        """Tell the progress; see `Control`."""
        now = time.monotonic()
        if step == self._step and done < total and now - self._said < BETWEEN:
            return
        if step != self._step and total <= 1:
            log.info("%s", step)
        self._step, self._said = step, now
        self.say(step=step, done=int(done), total=int(total), memory=self.memory())

    def memory(self) -> int:
        """Return how many bytes of memory this process has."""
        return int(self._process.memory_info().rss)

    def say(self, **values: Any) -> None:
        """Write a line."""
        self._stream.write(f"{json.dumps(values)}\n")
        self._stream.flush()


def work(order: dict[str, Any], report: Report) -> None:
    """Do what the server asks for."""
    study = open_study([Path(path) for path in order["paths"]], title=order["title"], obs_names=order["obs_names"])
    try:
        task = Task(
            study.with_choices(Choices(**order["choices"])),
            order["parameters"],
            Path(order["folder"]),
            Control(report.tell),
            order["threads"],
            order["options"],
        )
        load_kind(order["kind"]).work(task)
    finally:
        study.close()


def main() -> int:
    """Read the order, work, and tell how it ended."""
    # What anything prints goes to the log: the server reads nothing but our lines.
    report = Report(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    faulthandler.enable()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("iscan_dash").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _stop)
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_watch_server, args=(order["folder"],), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    try:
        work(order, report)
    except SystemExit:
        shutil.rmtree(order["folder"], ignore_errors=True)
        raise
    except IscanError as error:
        log.warning("%s", error)
        report.say(end="failed", message=str(error))
        return 1
    except MemoryError:
        log.error("Memory ran out.", exc_info=True)
        what = f"Memory ran out ({memory_text(report.memory())}). Choose fewer cells, or a machine with more memory."
        report.say(end="failed", message=what)
        return 1
    except Exception as error:
        log.error("The job failed.", exc_info=True)
        report.say(end="failed", message=f"Something went wrong ({type(error).__name__}). The log has the details.")
        return 1
    report.say(end="finished", message="")
    return 0


def _stop(*_: object) -> NoReturn:
    # An exception, so that what is half done is cleaned up; not an ``Exception``, which might be caught as a failure.
    raise SystemExit(128 + signal.SIGTERM)


def _watch_server(folder: str) -> None:
    """End this process when the server is gone, which holds the other end of the standard input."""
    while os.read(0, 1):
        pass
    log.warning("The server is gone.")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    shutil.rmtree(folder, ignore_errors=True)
    end_group(os.getpid(), at_once=True)


if __name__ == "__main__":
    sys.exit(main())
