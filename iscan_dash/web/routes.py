"""Routes beside Dash's own: arrays in binary, pages of grids, the state of the server."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import flask
import orjson
from pydantic import BaseModel, Field, ValidationError

from iscan_dash.errors import IscanError
from iscan_dash.services.export import distinct, export_lines
from iscan_dash.web import (
    edit_routes,
    enrichment_routes,
    gene_routes,
    inspection_routes,
    job_routes,
    reference_routes,
    request_log,
    result_routes,
    review_routes,
)
from iscan_dash.web.forms import CopyForm
from iscan_dash.web.plots import ColourBy
from iscan_dash.web.security import LARGEST_UPLOAD, status_of, takes_body
from iscan_dash.web.services import Services

BOOTSTRAP = Path(str(find_spec("flask_bootstrap").origin)).parent / "static" / "bootstrap5"  # type: ignore[union-attr]
"""Bootstrap and its icons, as the package Bootstrap-Flask ships them (it need not be imported for that)."""

MOST_ROWS = 1000
"""Rows of a grid that one request may ask for."""

MOST_OF_NAME = 200
"""Characters of an uploaded file's name."""

MOST_CELLS = 2**53
"""No study has as many cells; larger numbers have no place in an array."""


class RowsRequest(BaseModel):
    """A page of the preview grid."""

    form: CopyForm
    start: int = Field(ge=0, le=MOST_CELLS)
    end: int = Field(ge=0, le=MOST_CELLS)
    contains: dict[str, str] = Field(default_factory=dict, max_length=16)
    sort: list[tuple[str, bool]] = Field(default_factory=list, max_length=16)


def register(server: flask.Flask, services: Services, study_name: str) -> None:
    """Add the routes to the server, which tells pages what names its study."""
    routes = flask.Blueprint("iscan", __name__)

    @routes.errorhandler(IscanError)
    def explain(error: IscanError) -> flask.Response:
        request_log.refused(error)
        return _json({"error": str(error)}, status_of(error))

    @routes.errorhandler(ValidationError)
    def refuse(error: ValidationError) -> flask.Response:
        return _json({"error": f"The request is not understood: {error.errors()[0]['msg']}."}, 400)

    @routes.get("/api/v1/positions")
    def positions() -> flask.Response:
        axes, plots = flask.request.args.get("embedding", ""), services.plots
        return _array(f"{plots.axes_version(axes)}-{axes}", lambda: plots.positions(axes))

    @routes.get("/api/v1/codes")
    def codes() -> flask.Response:
        by, plots = ColourBy.parse(flask.request.args.get("by")), services.plots

        def make() -> bytes:
            painted = plots.colours(by).codes
            return b"" if painted is None else painted.tobytes()

        return _array(f"{plots.version(by)}-{by}", make)

    @routes.get("/api/v1/cells/<int:row>")
    def cell(row: int) -> flask.Response:
        try:
            return _json(services.plots.cell(row, ColourBy.parse(flask.request.args.get("by"))))
        except IndexError as error:
            return _json({"error": str(error)}, 404)

    @routes.post("/api/v1/preview/rows")
    def preview_rows() -> flask.Response:
        asked = RowsRequest.model_validate_json(flask.request.get_data())
        end = min(asked.end, asked.start + MOST_ROWS)
        rows, total = services.previews.rows(asked.form, asked.start, end, asked.contains, asked.sort)
        return _json({"rows": rows, "total": total})

    edit_routes.add(routes, services, _json)
    enrichment_routes.add(routes, services, _json)
    gene_routes.add(routes, services, _json)
    inspection_routes.add(routes, services, _json)
    job_routes.add(routes, services, _json)
    reference_routes.add(routes, services, _json)
    result_routes.add(routes, services, _json, _array)
    review_routes.add(routes, services, _json)

    @routes.post("/api/v1/import")
    @takes_body(LARGEST_UPLOAD)
    def upload() -> flask.Response:
        name = flask.request.args.get("name", "")[:MOST_OF_NAME] or "table"
        return _json({"token": services.imports.load(flask.request.stream, name), "name": name})

    @routes.get("/api/v1/export.csv")
    def export_csv() -> flask.Response:
        workspace = services.workspace
        for_cellxgene = flask.request.args.get("cellxgene") == "1"
        states = [workspace.annotation(own) for own in flask.request.args.getlist("annotation")]
        if not states:
            return _json({"error": "Choose at least one annotation."}, 400)
        lines = export_lines(workspace.study, distinct(states), for_cellxgene=for_cellxgene)
        return flask.Response((line.encode("utf-8", "backslashreplace") for line in lines), mimetype="text/csv")

    @routes.get("/api/v1/merged/<int:place>")
    def merged(place: int) -> flask.Response:
        reports = services.merge_run.state.reports
        if place >= len(reports) or not reports[place].output.is_file():
            return _json({"error": "This file is not here any more. Write it again."}, 404)
        return flask.send_file(reports[place].output, as_attachment=True)

    @routes.get("/api/v1/status")
    def status() -> flask.Response:
        return _json({**services.status(), "study": study_name})

    @routes.route("/api/<path:name>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def unknown(name: str) -> flask.Response:
        # Otherwise Dash would answer with the page.
        return _json({"error": f"There is nothing at /api/{name} for {flask.request.method}."}, 404)

    @routes.get("/bootstrap/<path:name>")
    def bootstrap(name: str) -> flask.Response:
        return flask.send_from_directory(BOOTSTRAP, name, max_age=86_400)

    server.register_blueprint(routes)


def _json(value: Any, status: int = 200) -> flask.Response:
    return flask.Response(
        orjson.dumps(value), status, mimetype="application/json", headers={"Cache-Control": "no-store"}
    )


def _array(tag: str, make: Callable[[], bytes]) -> flask.Response:
    """Answer with an array, or with "not modified" without making it."""
    response = flask.Response(mimetype="application/octet-stream")
    etag = quote(tag)
    response.set_etag(etag)
    response.cache_control.private = True
    response.cache_control.no_cache = True
    if etag in flask.request.if_none_match:
        response.status_code = 304
        return response
    response.set_data(make())
    return response
