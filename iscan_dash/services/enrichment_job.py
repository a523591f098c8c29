"""Enrichment analyses as jobs: a worker scores the cells, and the server keeps the scores with its owner's drafts."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iscan_dash.core.annotations.names import check_name
from iscan_dash.core.enrichment.rank_sums import rank_scores
from iscan_dash.core.words import counted
from iscan_dash.services.cluster import on_cluster
from iscan_dash.services.enrichment import score_study
from iscan_dash.services.enrichment_parameters import plain_parameters, read_parameters
from iscan_dash.services.enrichment_result import EnrichmentResult, save_result
from iscan_dash.services.enrichments import keep_result
from iscan_dash.services.job_kinds import Made, Task
from iscan_dash.services.job_table import Job
from iscan_dash.services.workspace import Workspace

FOLDER = "result"

log = logging.getLogger(__name__)


class EnrichmentJob:
    """Scores cells for gene sets."""

    title = "Enrichment"

    def prepare(self, name: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Check the parameters and the name."""
        read = read_parameters(parameters)
        read.check()
        return check_name(name, {}), plain_parameters(read)

    def steps(self, parameters: Mapping[str, Any]) -> Mapping[str, float]:
        """Return the steps, as `score_study` tells them."""
        average = 40 if parameters["method"] == "module" else 0
        return {
            "connect": 0,
            "load": 1,
            "match genes": 2,
            "Preparing (once)": 3,
            "average": average,
            "score": 70,
            "rank": 10,
            "save": 5,
        }

    def work(self, task: Task) -> None:
        """Score the cells and write what was found."""
        folder = task.folder / FOLDER
        folder.mkdir()
        parameters = read_parameters(task.parameters)
        with on_cluster(task.options.get("dask_scheduler"), task.control) as map_chunks:
            task.control.tell("load", 0, 1)
            scored = score_study(
                task.study,
                parameters,
                threads=task.threads,
                control=task.control,
                folder=folder,
                map_chunks=map_chunks,
            )
        task.control.tell("rank", 0, 1)
        ranked = rank_scores(scored.scores, threads=task.threads)
        task.control.tell("save", 0, 1)
        save_result(folder, scored, ranked)
        for text in scored.warnings:
            log.info("warning: %s", text)

    def finish(self, workspace: Workspace, job: Job, folder: Path) -> Made:
        """Keep the scores, under another name when that was taken meanwhile."""
        result = EnrichmentResult.load(folder / FOLDER)
        entry = keep_result(workspace, job.id, job.name, folder / FOLDER)
        n_sets = sum(own["found"] > 0 for own in result.sets)
        message = f"{counted(result.n_cells, 'cell')} scored for {counted(n_sets, 'gene set')}."
        if skipped := [own["name"] for own in result.sets if not own["found"]]:
            names = ", ".join(skipped[:5]) + (f" and {len(skipped) - 5:,} more" if len(skipped) > 5 else "")
            message += f" Without a gene in this study: {names}."
        if entry.name != job.name:
            message += f' "{job.name}" is the name of an earlier result; this one is called "{entry.name}".'
        return Made(entry.id, message)
