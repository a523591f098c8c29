"""The kinds of jobs: what a worker does, and what the server makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from iscan_dash.core.engine.control import Control
from iscan_dash.core.study import Study
from iscan_dash.services.job_table import Job
from iscan_dash.services.workspace import Workspace

KINDS: Mapping[str, str] = {
    "prediction": "iscan_dash.services.prediction_job:PredictionJob",
    "enrichment": "iscan_dash.services.enrichment_job:EnrichmentJob",
    "install": "iscan_dash.services.install_job:InstallJob",
    "reference": "iscan_dash.services.make_reference_job:MakeReferenceJob",
}
"""Where each kind of job is found, as ``"module:class"``: a worker imports only what its job needs."""


@dataclass(frozen=True)
class Task:
    """What a worker has to do.

    Parameters
    ----------
    study
        The study, seen as it was when the job was asked for.
    parameters
        What decides the result, as `JobKind.prepare` gave it.
    folder
        Where the result goes. It is empty, and gone after the job.
    control
        Who is told of the progress.
    threads
        Threads to use.
    options
        What the server says to every job: its folders, as plain values.
    """

    study: Study
    parameters: Mapping[str, Any]
    folder: Path
    control: Control
    threads: int
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """What came of a job.

    Parameters
    ----------
    result
        Id of what was made.
    message
        What to say of it, in a sentence or two.
    """

    result: str
    message: str


class JobKind(Protocol):
    """What is done in a job of a kind. Problems that the user can understand are raised as `IscanError`."""

    title: str
    """What people call it."""

    def prepare(self, name: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Check what was asked for, in the server; return name and parameters (plain values) as they are kept."""
        ...

    def steps(self, parameters: Mapping[str, Any]) -> Mapping[str, float]:
        """Return the steps in their order, and about which share of the time each takes."""
        ...

    def work(self, task: Task) -> None:
        """Do it, in a process of its own, and write the result to the task's folder."""
        ...

    def finish(self, workspace: Workspace, job: Job, folder: Path) -> Made:
        """Make what the worker wrote part of the owner's work, in the server."""
        ...


def load_kind(place: str) -> JobKind:
    """Import a kind of job.

    Parameters
    ----------
    place
        ``"module:class"``.
    """
    module, _, name = place.partition(":")
    kind: JobKind = getattr(import_module(module), name)()
    return kind


def part_done(steps: Mapping[str, float], heard: Mapping[str, tuple[int, int]]) -> float:
    """Return how much of a job is done, 0 to 1.

    A step that only says that it began is over when a later one begins; those that count what they do may run abreast.

    Parameters
    ----------
    steps
        The steps in their order, and about which share of the time each takes.
    heard
        The last that was heard of each step: how many of how many are done.

    Examples
    --------
    >>> part_done({"load": 1, "score": 2, "tune": 1}, {"load": (0, 1), "score": (5, 10)})
    0.5
    """
    order = list(steps)
    furthest = max((order.index(step) for step in heard if step in steps), default=-1)
    done = 0.0
    for place, (step, share) in enumerate(steps.items()):
        n_done, total = heard.get(step, (0, 0))
        if total > 1:
            done += share * min(1.0, n_done / total)
        elif place < furthest or (total and n_done >= total):
            done += share
    return done / (sum(steps.values()) or 1)
