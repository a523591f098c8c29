"""Making a reference as a job: it reads all cells of the study."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from iscan_dash.core.references import Registry
from iscan_dash.core.study import Study
from iscan_dash.errors import PredictionRefused
from iscan_dash.services.job_kinds import Made, Task
from iscan_dash.services.job_table import Job
from iscan_dash.services.make_reference import Labels, Wanted, check, keep_reference, make_reference
from iscan_dash.services.shared import annotation_at
from iscan_dash.services.workspace import Source, Workspace

STEPS = {"load": 2.0, "Preparing (once)": 0.0, "average": 60.0, "test": 25.0, "write": 8.0, "verify": 5.0}

SAID = "said.txt"

log = logging.getLogger(__name__)


class LabelSource(BaseModel):
    """Where labels come from, as it was when the job was asked for."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["annotation", "cluster", "metadata"]
    key: str = Field(min_length=1, max_length=10_000)
    """The column's name, or the annotation's id."""

    version: int = 0
    """Version of the annotation."""

    journal: str = ""
    """The journal that the annotation is in."""

    def read(self, study: Study) -> Labels:
        """Return the labels.

        Raises
        ------
        UnknownColumn
            They are gone.
        """
        if self.kind != "annotation":
            return Labels(study.category(self.key))
        state = annotation_at(Path(self.journal), study.fingerprint, study.n_cells, self.key, self.version)
        return Labels(state.column, {label.text: label.ontology for label in state.live.labels if label.ontology})


class MakeReference(Wanted):
    """The parameters of the job."""

    main: LabelSource
    fine: LabelSource | None = None


def label_source(workspace: Workspace, source: Source) -> LabelSource:
    """Return where labels come from as they are now, for a job that reads them later.

    Raises
    ------
    UnknownColumn
        There is no such annotation.
    """
    if source.kind != "annotation":
        kind: Literal["cluster", "metadata"] = "cluster" if source.kind == "cluster" else "metadata"
        return LabelSource(kind=kind, key=source.key)
    version = workspace.annotation(source.key).version
    return LabelSource(
        kind="annotation", key=source.key, version=version, journal=str(workspace.place.journal.absolute())
    )


class MakeReferenceJob:
    """Makes a reference of the labelled cells; the server's options say where references are."""

    title = "Make a reference"

    def prepare(self, name: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Refuse what cannot be made."""
        wanted = MakeReference.model_validate({**parameters, "name": name})
        for problem in check(wanted).values():
            raise PredictionRefused(problem)
        return wanted.name.strip(), wanted.model_dump(mode="json")

    def steps(self, parameters: Mapping[str, Any]) -> Mapping[str, float]:
        """Return the steps, as `make_reference` tells them."""
        return STEPS if parameters else {}

    def work(self, task: Task) -> None:
        """Make the reference and put it among the others; it is there only once it is whole."""
        wanted = MakeReference.model_validate(task.parameters)
        shared = task.options.get("shared")
        registry = Registry(Path(task.options["references"]), Path(shared) if shared else None)
        main = wanted.main.read(task.study)
        fine = None if wanted.fine is None else wanted.fine.read(task.study)
        folder = task.folder / wanted.id
        made = make_reference(task.study, wanted, main, fine, folder, threads=task.threads, control=task.control)
        place = keep_reference(registry, folder)
        for line in (*made.summary, f"It was written to {place}."):
            log.info("%s", line)
        (task.folder / SAID).write_text(" ".join(made.summary), encoding="utf-8")

    def finish(self, _workspace: Workspace, job: Job, folder: Path) -> Made:
        """Say what was made."""
        said = (folder / SAID).read_text(encoding="utf-8")
        return Made(job.parameters["id"], f"It can be chosen now. {said}")
