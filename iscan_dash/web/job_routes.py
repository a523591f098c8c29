"""Routes of jobs: the form of predictions, and Study Logs."""

from collections.abc import Callable
from typing import Any

import flask

from iscan_dash.web import jobs, predictions
from iscan_dash.web.services import Services

LARGEST_VERSION = 2**53


def add(routes: flask.Blueprint, services: Services, answer: Callable[[Any], flask.Response]) -> None:
    """Add the routes to a blueprint, which answers what is refused; `answer` makes JSON of a value."""

    @routes.get("/api/v1/jobs")
    def list_jobs() -> flask.Response:
        since = flask.request.args.get("since", 0, type=int)
        return answer(jobs.changed_jobs(services, min(max(0, since), LARGEST_VERSION)))

    @routes.get("/api/v1/jobs/<job_id>/log")
    def job_log(job_id: str) -> flask.Response:
        return answer({"log": services.jobs.log(job_id)})

    @routes.post("/api/v1/jobs/<job_id>/cancel")
    def cancel_job(job_id: str) -> flask.Response:
        job = services.jobs.cancel(job_id, services.workspace.user)
        return answer({"job": jobs.job_row(services, job)})

    @routes.post("/api/v1/jobs/<job_id>/rerun")
    def rerun_job(job_id: str) -> flask.Response:
        return answer({"job": jobs.job_row(services, services.jobs.rerun(job_id, services.workspace))})

    @routes.get("/api/v1/edits")
    def list_edits() -> flask.Response:
        return answer({"edits": jobs.edits(services.workspace)})

    @routes.get("/api/v1/prediction")
    def offer() -> flask.Response:
        return answer(predictions.offer(services))

    @routes.get("/api/v1/prediction/references")
    def offered_references() -> flask.Response:
        return answer({"references": predictions.reference_cards(services)})

    @routes.get("/api/v1/prediction/form/<job_id>")
    def earlier_form(job_id: str) -> flask.Response:
        return answer(predictions.form_of(services.jobs.get(job_id), services.workspace.study))

    @routes.post("/api/v1/prediction/preflight")
    def preflight() -> flask.Response:
        form = predictions.PredictionForm.model_validate_json(flask.request.get_data())
        return answer(predictions.look(services, form))

    @routes.post("/api/v1/prediction")
    def submit() -> flask.Response:
        form = predictions.PredictionForm.model_validate_json(flask.request.get_data())
        return answer({"job": jobs.job_row(services, predictions.submit(services, form))})
