"""References: what cell types can be predicted by, why some cannot be used, and how to add others."""

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, dcc, html, register_page

from iscan_dash.web.ids import References
from iscan_dash.web.services import Services


def layout() -> html.Div:
    """Return the page's frame; scripts fill it (``assets/references_page.js`` and ``make_reference.js``)."""
    views = [
        html.Div(id=References.LIST, className="references-list"),
        html.Div(id=References.MAKE, className="predict-panel", hidden=True),
    ]
    return html.Div(
        [dcc.Store(id=References.OPENED, data=True), html.Div(views, id=References.PAGE, className="references-page")]
    )


def register(app: Dash, _services: Services) -> None:
    """Add the page."""

    def page(**_: Any) -> html.Div:
        return layout()

    register_page("references", path="/references", title=app.title, name="References", layout=page)
    # Dash runs what has an output when a page is opened, and nothing else.
    app.clientside_callback(
        ClientsideFunction("iscan", "showReferences"),
        Output(References.PAGE, "className"),
        Input(References.OPENED, "data"),
    )
