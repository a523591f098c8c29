"""Callbacks are called with what they are annotated to take, or not at all."""

from collections.abc import Callable
from typing import Any, TypeVar

from dash import Dash, ctx
from pydantic import BaseModel, validate_call

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
