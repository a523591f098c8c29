"""Result: what a prediction found, why cells have their label, and other cutoffs after the run."""

from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from iscan_dash.web.ids import Result
from iscan_dash.web.services import Services


def layout(open_annotation: str | None = None) -> html.Div:
    """Return the page's frame; its scripts fill it (``assets/result_*.js``).

    Parameters
    ----------
    open_annotation
        The annotation whose prediction is looked into; the newest one when None.
    """
    return html.Div([dcc.Store(id=Result.OPEN, data=open_annotation or ""), html.Div(id=Result.PAGE)])


def register(app: Dash, _services: Services) -> None:
    """Add the callback of the page."""
    # Dash runs what has an output when a page is opened, and nothing else.
    app.clientside_callback(
        ClientsideFunction("iscan", "showResult"), Output(Result.PAGE, "className"), Input(Result.OPEN, "data")
    )
