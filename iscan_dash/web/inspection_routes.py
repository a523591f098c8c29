"""Routes of "Check before you label"."""

from collections.abc import Callable
from typing import Any

import flask

from iscan_dash.services.inspection import Superseded
from iscan_dash.web import inspection, what_is_this
from iscan_dash.web.services import Services


def add(routes: flask.Blueprint, services: Services, answer: Callable[[Any], flask.Response]) -> None:
    """Add the routes to a blueprint, which answers what is refused; `answer` makes JSON of a value."""

    @routes.post("/api/v1/check/composition")
    def check_composition() -> flask.Response:
        asked = inspection.CompositionRequest.model_validate_json(flask.request.get_data())
        return answer(inspection.composition(services.workspace, services.inspection, services.edit_table, asked))

    @routes.post("/api/v1/check/markers")
    def check_markers() -> flask.Response:
        asked = inspection.MarkersRequest.model_validate_json(flask.request.get_data())
        try:
            return answer(inspection.markers(services.inspection, services.edit_table, asked))
        except Superseded:
            # Nobody waits for it any more.
            return flask.Response(status=204)

    @routes.post("/api/v1/check/what")
    def check_what() -> flask.Response:
        asked = what_is_this.WhatRequest.model_validate_json(flask.request.get_data())
        try:
            return answer(what_is_this.what_is_this(services, asked))
        except Superseded:
            return flask.Response(status=204)

    @routes.post("/api/v1/check/trim")
    def check_trim() -> flask.Response:
        asked = inspection.TrimRequest.model_validate_json(flask.request.get_data())
        return answer(inspection.trim(services.workspace, services.edit_table, asked))
