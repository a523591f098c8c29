"""Jobs and edits as Study Logs shows them."""

from typing import Any

from iscan_dash.services.job_table import Job
from iscan_dash.services.workspace import Workspace
from iscan_dash.web.services import Services

MOST_EDITS = 1000
"""Edits that are listed, the newest."""


def changed_jobs(services: Services, since: int) -> dict[str, Any]:
    """Return the jobs that changed after a version, and the version they lead to."""
    jobs = services.jobs
    # Looked at first: what changes in between is then told twice rather than never.
    version = jobs.version
    # A page of an earlier server, whose list is gone, asks for everything.
    found = jobs.list(since=since if since <= version else 0)
    workspace = services.workspace
    own = {state.id for state in (*workspace.annotations(), *workspace.others())}
    own |= {entry.id for entry in services.enrichments.list()}
    return {"version": version, "jobs": [job_row(services, job, own) for job in found], "all": since > version}


def job_row(services: Services, job: Job, known: set[str] | None = None) -> dict[str, Any]:
    """Return what is shown of a job; an annotation or scores that it made only when they are known to be there."""
    is_there = job.kind not in {"prediction", "enrichment"} or known is None or job.result in known
    return {
        "id": job.id,
        "kind": job.kind,
        "type": services.jobs.title(job),
        "name": job.name,
        "user": job.user_name,
        "mine": job.user == services.workspace.user,
        "state": str(job.state),
        "active": job.is_active,
        "progress": job.progress,
        "step": job.step,
        "done": job.done,
        "total": job.total,
        "message": job.message,
        "submitted": job.submitted,
        "started": job.started,
        "seconds": job.seconds,
        "position": job.position,
        "result": job.result if is_there else None,
    }


def edits(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the user's edits, the newest first."""
    names = {state.id: state.live.name for state in workspace.annotations()}
    there = set(names)
    names |= {gone.id: gone.name for gone in workspace.deleted()}
    return [
        {
            "seq": event.seq,
            "time": event.time,
            "user": event.author,
            "verb": event.verb,
            "annotation": event.annotation_id if event.annotation_id in there else None,
            "name": names.get(event.annotation_id, ""),
            "description": event.description,
            "cells": event.n_cells,
        }
        for event in workspace.latest(MOST_EDITS)
    ]
