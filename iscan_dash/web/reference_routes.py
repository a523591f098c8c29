"""Routes of the page References."""

from collections.abc import Callable
from typing import Any

import flask

from iscan_dash.web import jobs, references
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
