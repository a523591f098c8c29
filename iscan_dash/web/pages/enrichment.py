"""The page Enrichment: new analyses, their results, and gene set collections."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import ClientsideFunction, Dash, Input, Output, dcc, get_relative_path, html, register_page

from iscan_dash.web.ids import Enrichment
from iscan_dash.web.services import Services

VIEWS = {"": "New analysis", "results": "Results", "sets": "Gene sets"}
"""The tabs of the page by the last part of their address."""


def layout(view: str = "", rerun: str | None = None, open_collection: str | None = None) -> html.Div:
    """Return the page's frame with one of its tabs open; its scripts fill it (``assets/sets_*.js``).

    Parameters
    ----------
    view
        A key of `VIEWS`.
    rerun
        The job that is to be asked for again.
    open_collection
        The collection that is opened.
    """
    tabs = [
        dbc.NavLink(
            name,
            href=get_relative_path(f"/enrichment/{key}".rstrip("/")),
            active="exact",
            id=f"enrichment-tab-{key or 'new'}",
        )
        for key, name in VIEWS.items()
    ]
    opened = {"view": view or "new", "rerun": rerun or "", "open": open_collection or ""}
    return html.Div(
        [
            html.Nav(tabs, className="subtabs"),
            dcc.Store(id=Enrichment.OPENED, data=opened),
            html.Div(id=Enrichment.PAGE, className="enrichment-page"),
        ],
        className="annotate",
    )


def register(app: Dash, _services: Services) -> None:
    """Add the page and its tabs."""

    def new(rerun: str | None = None, **_: Any) -> html.Div:
        return layout("", rerun)

    def results(**_: Any) -> html.Div:
        return layout("results")

    def sets(open: str | None = None, **_: Any) -> html.Div:
        return layout("sets", None, open)

    register_page("enrichment", path="/enrichment", title=app.title, name="Enrichment", layout=new)
    register_page("enrichment-results", path="/enrichment/results", title=app.title, name="Results", layout=results)
    register_page("enrichment-sets", path="/enrichment/sets", title=app.title, name="Gene sets", layout=sets)
    # Dash runs what has an output when a page is opened, and nothing else.
    app.clientside_callback(
        ClientsideFunction("iscan", "showEnrichment"),
        Output(Enrichment.PAGE, "className"),
        Input(Enrichment.OPENED, "data"),
    )
