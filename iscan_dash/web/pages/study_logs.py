"""Study Logs: every job and every edit, as they come."""

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, dcc, html, register_page

from iscan_dash.web.ids import Logs
from iscan_dash.web.services import Services


def layout() -> html.Div:
    """Return the page's frame; its script fills it (``assets/logs_page.js``)."""
    return html.Div([dcc.Store(id=Logs.OPENED, data=True), html.Div(id=Logs.PAGE, className="logs-page")])


def register(app: Dash, _services: Services) -> None:
    """Add the page."""

    def page(**_: Any) -> html.Div:
        return layout()

    register_page("logs", path="/logs", title=app.title, name="Study Logs", layout=page)
    # Dash runs what has an output when a page is opened, and nothing else.
    app.clientside_callback(
        ClientsideFunction("iscan", "showLogs"), Output(Logs.PAGE, "className"), Input(Logs.OPENED, "data")
    )
