"""Callbacks are called with what they are annotated to take, or not at all."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import flask
from dash import Dash, ctx
from pydantic import BaseModel, Field, ValidationError, validate_call

from iscan_dash.web.security import refusal

NOT_UNDERSTOOD = "The request is not understood. Load the page again."

F = TypeVar("F", bound=BaseModel)


class CheckedDash(Dash):  # type: ignore[misc]
    """Dash, but a callback's arguments are held against its annotations before it is called.

    What a browser sends may be anything. `pydantic.ValidationError` is raised for what does not fit.
    """

    def callback(self, *dependencies: Any, **options: Any) -> Callable[..., Any]:
        """Add a callback, as `dash.Dash.callback` does."""
        add = super().callback(*dependencies, **options)
        return lambda function: add(validate_call(function))


def triggered(form: type[F]) -> F | None:
    """Return which of many controls was used, and its value as `value`; None when none was.

    A control without a value was only drawn; a button counts its clicks from 1.

    Parameters
    ----------
    form
        What the control's id and value have to be.
    """
    target = ctx.triggered_id
    if not isinstance(target, dict) or ctx.triggered[0]["value"] is None:
        return None
    return form.model_validate({**target, "value": ctx.triggered[0]["value"]})


def was_clicked() -> bool:
    """Tell whether a button was clicked, rather than drawn."""
    return bool(ctx.triggered and ctx.triggered[0]["value"])


class _Control(BaseModel):
    """A property of a component, and what it holds."""

    id: str | dict[str, str | int | float | bool]
    property: str
    value: Any = None


class _Asked(BaseModel):
    """What a page sends to have a callback called."""

    output: str
    outputs: _Control | list[_Control | list[_Control]] = []
    inputs: list[_Control | list[_Control]]
    state: list[_Control | list[_Control]] = []
    changed: list[str] = Field(default=[], alias="changedPropIds")

    def fits(self, callback: Mapping[str, Any]) -> bool:
        """Tell whether this is how a callback is called, as `dash.Dash.callback_map` has it."""
        if "callback" not in callback:
            return False  # It is one of the page's scripts.
        declared = [*callback["inputs"], *callback["state"]]
        given = [*self.inputs, *self.state]
        if (len(self.inputs), len(given)) != (len(callback["inputs"]), len(declared)):
            return False
        if any(
            isinstance(own, list) is not _is_many(wanted["id"]) for own, wanted in zip(given, declared, strict=True)
        ):
            return False
        if callback.get("no_output"):
            return True
        wanted = callback["output"]
        if not isinstance(wanted, list):
            return isinstance(self.outputs, _Control)
        return isinstance(self.outputs, list) and len(self.outputs) == len(wanted)


def _is_many(component: Any) -> bool:
    """Tell whether an id stands for any number of components."""
    return isinstance(component, str) and component.startswith("{") and '["ALL' in component


def register(server: flask.Flask, app: Dash) -> None:
    """Refuse calls of callbacks that Dash would fail at; to be called when users are told apart."""
    path = f"{app.config.routes_pathname_prefix}_dash-update-component"

    @server.before_request
    def refuse_nonsense() -> flask.Response | None:
        rule = flask.request.url_rule
        if rule is None or rule.rule != path:
            return None
        try:
            asked = _Asked.model_validate_json(flask.request.get_data())
        except ValidationError:
            return refusal(NOT_UNDERSTOOD, 400)
        if not asked.fits(app.callback_map.get(asked.output, {})):
            return refusal(NOT_UNDERSTOOD, 400)
        return None
