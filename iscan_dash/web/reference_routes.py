"""Routes of the page References."""

from collections.abc import Callable
from typing import Any

import flask

from iscan_dash.web import jobs, make_reference, references
from iscan_dash.web.services import Services


def add(routes: flask.Blueprint, services: Services, answer: Callable[[Any], flask.Response]) -> None:
    """Add the routes to a blueprint, which answers what is refused; `answer` makes JSON of a value."""

    @routes.get("/api/v1/references")
    def list_references() -> flask.Response:
        return answer(references.listed(services))

    @routes.get("/api/v1/references/<key>")
    def reference_details(key: str) -> flask.Response:
        return answer(references.details(services, key))

    @routes.post("/api/v1/references/<reference>/install")
    def install_reference(reference: str) -> flask.Response:
        return answer({"job": jobs.job_row(services, references.start_install(services, reference))})

    @routes.get("/api/v1/make-reference")
    def what_references_are_made_of() -> flask.Response:
        return answer(make_reference.offer(services))

    @routes.post("/api/v1/make-reference/look")
    def look_at_reference() -> flask.Response:
        return answer(make_reference.look(services, _form()))

    @routes.post("/api/v1/make-reference")
    def start_making() -> flask.Response:
        return answer({"job": jobs.job_row(services, make_reference.submit(services, _form()))})


def _form() -> make_reference.MakeForm:
    return make_reference.MakeForm.model_validate_json(flask.request.get_data())
