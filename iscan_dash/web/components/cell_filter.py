"""The strip of the selection under the plots, and the Cell Filter: both are drawn by their scripts."""

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, html

from iscan_dash.web.ids import Filter, Shell
from iscan_dash.web.services import Services


def layout(services: Services) -> list[Any]:
    """Return where ``cell_filter.js`` and ``selection_strip.js`` draw."""
    # Without annotations there is nothing to label.
    labels = "no" if services.workspaces.is_closed else "yes"
    return [
        html.Section(id=Filter.PANEL, className="cell-filter", hidden=True, **{"aria-label": "Cell Filter"}),
        html.Div(id=Filter.STRIP, className="selection-strip", **{"data-labels": labels}),
    ]


def register(app: Dash, services: Services) -> None:  # noqa: ARG001 - every component is registered alike
    """Let the panel follow the annotations: they are offered as conditions."""
    # With an output: Dash takes two callbacks without one, and with the same inputs, for the same.
    app.clientside_callback(
        ClientsideFunction("cellFilter", "refresh"),
        Output(Filter.STRIP, "data-revision"),
        Input(Shell.REVISION, "data"),
    )
