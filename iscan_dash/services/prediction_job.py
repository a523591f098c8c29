"""Predictions as jobs: a worker labels the cells, and the server makes an annotation of them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iscan_dash.core.annotations.names import check_name
from iscan_dash.core.references.registry import Registry
from iscan_dash.core.words import counted
from iscan_dash.services.cluster import on_cluster
from iscan_dash.services.job_kinds import Made, Task
from iscan_dash.services.job_table import Job
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.prediction_parameters import (
    METHOD,
    plain_parameters,
    read_parameters,
    resolved_name,
)
from iscan_dash.services.results import PredictionResult, save_result
from iscan_dash.services.trained_cache import TrainedCache
from iscan_dash.services.workspace import Workspace

RESULT = "result.npz"

log = logging.getLogger(__name__)


class PredictionJob:
    """Labels cells by a reference; the server's options say where references are.

    They are ``"references"``, the folder of installed ones, ``"shared"``, that of one's own or None, and ``"trained"``,
    the cache of trained ones or None for the user's. ``"dask_scheduler"`` is the address of a cluster, if there is one.
    """

    title = "Cell type prediction"

    def prepare(self, name: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Check the parameters and fill the placeholders of the name."""
        read = read_parameters(parameters)
        read.check()
        return check_name(resolved_name(name, read), {}), plain_parameters(read)

    def steps(self, parameters: Mapping[str, Any]) -> Mapping[str, float]:
        """Return the steps, as `Predictor.predict` tells them."""
        # Groups are averaged while the cells are read, and are few then.
        average, score = (80, 5) if parameters["by_cluster"] is not None else (0, 45)
        return {
            "connect": 0,
            "load": 2,
            "match genes": 2,
            "Preparing (once)": 0,
            "train": 4,
            "average": average,
            "score": score,
            "fine-tune": score if parameters["fine_tune"] else 0,
            "prune": 1,
            "save": 3,
        }

    def work(self, task: Task) -> None:
        """Label the cells and write what was found."""
        shared, trained = task.options.get("shared"), task.options.get("trained")
        registry = Registry(Path(task.options["references"]), Path(shared) if shared else None)
        predictor = Predictor(registry, TrainedCache(Path(trained)) if trained else None)
        parameters = read_parameters(task.parameters)
        with on_cluster(task.options.get("dask_scheduler"), task.control) as map_chunks:
            prediction = predictor.predict(
                task.study, parameters, threads=task.threads, control=task.control, map_chunks=map_chunks
            )
        task.control.tell("save", 0, 1)
        path = task.folder / RESULT
        save_result(path, prediction)
        for line in (
            *(f"warning: {text}" for text in prediction.preflight.warnings),
            *PredictionResult.load(path).summary,
        ):
            log.info("%s", line)

    def finish(self, workspace: Workspace, job: Job, folder: Path) -> Made:
        """Make an annotation of the labels, under another name when that was taken meanwhile."""
        path = folder / RESULT
        result = PredictionResult.load(path)
        reference = result.recipe["reference_name"]
        description = f"Labelled by {METHOD} with {reference} ({job.parameters['granularity']})"
        combined = result.combined()
        made = workspace.add_result(job.id, path, job.name, combined, "prediction", result.recipe, description)
        n_labelled = len(combined.codes) - int((result.reasons() > 0).sum())
        used = len(result.counts()[0])
        message = f"{n_labelled:,} of {counted(len(combined.codes), 'cell')} labelled with {counted(used, 'label')}."
        if made.live.name != job.name:
            message += f' "{job.name}" was taken meanwhile; the result is called "{made.live.name}".'
        return Made(made.id, message)
