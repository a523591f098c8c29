"""A kind of job for the tests: it counts, and ends in the ways that jobs end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iscan_dash.errors import PredictionRefused
from iscan_dash.services.job_kinds import Made, Task
from iscan_dash.services.job_table import Job
from iscan_dash.services.workspace import Workspace

KINDS = {"count": "tests.services.job_kinds:Count"}


class Count:
    """Counts to ``to``, then does what ``then`` says, and writes what it saw to the folder that the server names."""

    title = "Counting"

    def prepare(self, name: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        if not name:
            raise PredictionRefused("Enter a name.")
        return name, {"to": 1, "pause": 0.0, "then": "", **parameters}

    def steps(self, parameters: Mapping[str, Any]) -> Mapping[str, float]:
        return {"load": 1, "count": 9 if parameters else 0}

    def work(self, task: Task) -> None:
        task.control.tell("load", 0, 1)
        # For the test that looks whether it is gone.
        Path(task.options["seen"], f"{task.parameters['then'] or 'count'}.pid").write_text(str(os.getpid()))
        if task.parameters["then"] == "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if task.parameters["then"] == "spawn":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
            Path(task.options["seen"], "child.pid").write_text(str(child.pid))
        (task.folder / "half done").write_text("x")
        print("printed by some library")
        total = task.parameters["to"]
        for number in range(total):
            task.control.tell("count", number, total)
            time.sleep(task.parameters["pause"])
        task.control.tell("count", total, total)
        match task.parameters["then"]:
            case "refuse":
                raise PredictionRefused("These cells cannot be counted.")
            case "fail":
                raise ValueError("a bug")
            case "exhaust":
                raise MemoryError
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "leave":
                os._exit(7)
        ignored = [name for name, how in task.study.choices.treat_as.items() if how == "ignore"]
        (task.folder / "result.txt").write_text(f"{task.study.n_cells} cells, {task.threads > 0}, {ignored}")

    def finish(self, workspace: Workspace, job: Job, folder: Path) -> Made:
        if job.parameters["then"] == "unfinished":
            raise PredictionRefused("It cannot be kept.")
        said = (folder / "result.txt").read_text()
        return Made(f"{workspace.user} {job.name}", said)
