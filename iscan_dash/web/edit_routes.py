"""Routes of the page Edit Annotation: rows, ticks and labels; its edits are callbacks."""

from collections.abc import Callable
from typing import Any

import flask

from iscan_dash.web import edit_table
from iscan_dash.web.services import Services

MOST_ROWS = 1000
"""Rows of the grid that one request may ask for."""

MOST_OF_SEARCH = 200
"""Characters of a search that are looked at."""


def add(routes: flask.Blueprint, services: Services, answer: Callable[[Any], flask.Response]) -> None:
    """Add the routes to a blueprint, which answers what is refused; `answer` makes JSON of a value."""

    @routes.post("/api/v1/edit/rows")
    def edit_rows() -> flask.Response:
        asked = edit_table.RowsRequest.model_validate_json(flask.request.get_data())
        return answer(edit_table.rows(services.edit_table, asked, MOST_ROWS))

    @routes.post("/api/v1/edit/ticks")
    def edit_ticks() -> flask.Response:
        asked = edit_table.TickRequest.model_validate_json(flask.request.get_data())
        return answer(edit_table.tick(services.edit_table, asked))

    @routes.get("/api/v1/edit/labels")
    def edit_labels() -> flask.Response:
        args = flask.request.args
        search = args.get("q", "")[:MOST_OF_SEARCH]
        return answer(edit_table.labels(services.workspace, args.get("annotation", ""), search))

    @routes.post("/api/v1/edit/split")
    def edit_split() -> flask.Response:
        asked = edit_table.SplitRequest.model_validate_json(flask.request.get_data())
        return answer(edit_table.split_preview(services.workspace, asked))

    @routes.post("/api/v1/edit/replace")
    def edit_replace() -> flask.Response:
        asked = edit_table.ReplaceRequest.model_validate_json(flask.request.get_data())
        return answer(edit_table.replace_preview(services.workspace, asked))
