"""The selection on the page: its store, the routes that change and tell it, and what conditions can be made of."""

from typing import Any

import flask
import orjson
from dash import ClientsideFunction, Dash, Input, dcc
from pydantic import BaseModel, Field, ValidationError

from iscan_dash.errors import IscanError, SelectionRefused
from iscan_dash.services.filter_data import filter_columns, filter_genes, filter_histogram, filter_values
from iscan_dash.services.selection_actions import ACTION
from iscan_dash.web.ids import Selection, Shell
from iscan_dash.web.security import status_of
from iscan_dash.web.services import Services


class _Asked(BaseModel):
    """What is asked of a column."""

    kind: str = Field("", max_length=20)
    key: str = Field("", max_length=1000)
    q: str = Field("", max_length=200)
    offset: int = Field(0, ge=0, le=2**31)


def stores(services: Services) -> list[Any]:
    """Return the stores that tell the page's scripts and callbacks of the selection; they are written by its script."""
    state = services.selections.state()
    # What the saved ones are called apart: callbacks that offer them need not hear of every change.
    return [dcc.Store(id=Selection.STATE, data=state), dcc.Store(id=Selection.SAVED, data=saved_names(state))]


def saved_names(state: dict[str, Any]) -> list[list[str]]:
    """Return ids and names of the saved selections of a state."""
    return [[own["id"], own["name"]] for own in state["saved"]]


def register(app: Dash) -> None:
    """Let the page's script hear of the selection, and of changes that other windows made."""
    app.clientside_callback(ClientsideFunction("iscanSelection", "state"), Input(Selection.STATE, "data"))
    app.clientside_callback(ClientsideFunction("iscanSelection", "status"), Input(Shell.STATUS, "data"))


def register_routes(server: flask.Flask, services: Services) -> None:
    """Add the routes of the selection."""
    routes = flask.Blueprint("iscan-selection", __name__, url_prefix="/api/v1")

    @routes.errorhandler(IscanError)
    def explain(error: IscanError) -> flask.Response:
        position = error.position if isinstance(error, SelectionRefused) else None
        return _json(
            {"error": str(error), "code": getattr(error, "code", None), "position": position}, status_of(error)
        )

    @routes.errorhandler(ValidationError)
    def refuse(error: ValidationError) -> flask.Response:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return _json({"error": f"The request is not understood: {first['msg']}."}, 400)

    @routes.post("/selection")
    def change() -> flask.Response:
        action = ACTION.validate_json(flask.request.get_data())
        return _json(services.selections.apply(action))

    @routes.get("/selection/state")
    def state() -> flask.Response:
        return _json(services.selections.state())

    @routes.get("/selection/recipe")
    def recipe() -> flask.Response:
        return _json(services.selections.recipe())

    @routes.get("/selection")
    def mask() -> flask.Response:
        selections = services.selections
        response = flask.Response(selections.packed() or b"", mimetype="application/octet-stream")
        response.add_etag()
        response.cache_control.private = True
        response.cache_control.no_cache = True
        response.make_conditional(flask.request)
        return response

    @routes.get("/filter/columns")
    def columns() -> flask.Response:
        return _json({"columns": filter_columns(services.workspace)})

    @routes.get("/filter/values")
    def values() -> flask.Response:
        asked = _asked()
        return _json(filter_values(services.workspace, asked.kind, asked.key, asked.q, asked.offset))

    @routes.get("/filter/histogram")
    def histogram() -> flask.Response:
        asked = _asked()
        return _json(filter_histogram(services.workspace, asked.kind, asked.key))

    @routes.get("/filter/genes")
    def genes() -> flask.Response:
        return _json({"genes": filter_genes(services.workspace, _asked().q)})

    @routes.get("/filter/saved")
    def saved() -> flask.Response:
        return _json({"counts": services.selections.saved_counts()})

    server.register_blueprint(routes)


def _asked() -> _Asked:
    return _Asked.model_validate(flask.request.args.to_dict())


def _json(value: Any, status: int = 200) -> flask.Response:
    return flask.Response(
        orjson.dumps(value), status, mimetype="application/json", headers={"Cache-Control": "no-store"}
    )
