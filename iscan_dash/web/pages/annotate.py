"""The Cell Annotation page: New Annotation, Existing Annotations and Edit Annotation."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, get_relative_path, html, register_page

from iscan_dash.web.ids import Annotate, Shell
from iscan_dash.web.pages import (
    edit_annotation,
    existing_annotations,
    from_enrichment,
    import_table,
    new_annotation,
    result,
    review,
)
from iscan_dash.web.services import Services

VIEWS = {
    "": "New Annotation",
    "existing": "Existing Annotations",
    "edit": "Edit Annotation",
    "result": "Result",
    "review": "Review",
}
"""The tabs of the page by the last part of their address."""

SHOWN_FOR = {"result": "of-predictions", "review": "of-own-predictions"}
"""Tabs that are shown once there is an annotation that a prediction made, and once there is one of the user's own."""


def layout(
    services: Services,
    view: str = "",
    open_annotation: str | None = None,
    rerun: str | None = None,
    enrichment: dict[str, str] | None = None,
) -> html.Div:
    """Return the page with one of its tabs open.

    Parameters
    ----------
    services
        The services of the application.
    view
        A key of `VIEWS`.
    open_annotation
        The annotation whose row is expanded, or which is edited.
    rerun
        The job that is to be asked for again.
    enrichment
        What labels are made of in From Enrichment, which is opened then; see `new_annotation.layout`.
    """
    tabs = [
        dbc.NavLink(
            name,
            href=get_relative_path(f"/annotate/{key}".rstrip("/")),
            # From Enrichment has an address of its own.
            active=True if not key and enrichment is not None else "exact",
            id=f"annotate-tab-{key or 'new'}",
            className=SHOWN_FOR.get(key, ""),
        )
        for key, name in VIEWS.items()
    ]
    if view == "existing":
        body = existing_annotations.layout(open_annotation)
    elif view == "edit":
        body = edit_annotation.layout(open_annotation)
    elif view == "result":
        body = result.layout(open_annotation)
    elif view == "review":
        body = review.layout(open_annotation)
    else:
        body = new_annotation.layout(services, rerun, enrichment)
    nav = html.Nav(tabs, id=Annotate.TABS, className=tabs_class(services))
    return html.Div([nav, html.Div(body, id=Annotate.BODY)], className="annotate")


def tabs_class(services: Services) -> str:
    """Return the class of the tabs, by which those of predictions are shown or not."""
    if services.results.any_own():
        return "subtabs has-predictions has-own-predictions"
    return "subtabs has-predictions" if services.results.any() else "subtabs"


def register(app: Dash, services: Services) -> None:
    """Add the page and the callbacks of its tabs."""

    def new(rerun: str | None = None, **_: Any) -> html.Div:
        return layout(services, rerun=rerun)

    def enriched(**given: Any) -> html.Div:
        return layout(services, enrichment={key: str(given.get(key) or "") for key in ("result", "kind", "key")})

    def existing(open: str | None = None, **_: Any) -> html.Div:
        return layout(services, "existing", open)

    def edit(open: str | None = None, **_: Any) -> html.Div:
        return layout(services, "edit", open)

    def show_result(open: str | None = None, **_: Any) -> html.Div:
        return layout(services, "result", open)

    def show_review(open: str | None = None, **_: Any) -> html.Div:
        return layout(services, "review", open)

    register_page("annotate", path="/annotate", title=app.title, name="Cell Annotation", layout=new)
    register_page("enriched", path="/annotate/enrichment", title=app.title, name="From Enrichment", layout=enriched)
    register_page("existing", path="/annotate/existing", title=app.title, name="Existing", layout=existing)
    register_page("edit", path="/annotate/edit", title=app.title, name="Edit", layout=edit)
    register_page("result", path="/annotate/result", title=app.title, name="Result", layout=show_result)
    register_page("review", path="/annotate/review", title=app.title, name="Review", layout=show_review)

    @app.callback(Output(Annotate.TABS, "className"), Input(Shell.REVISION, "data"))
    def show_tabs(_: int | None) -> str:
        return tabs_class(services)

    new_annotation.register(app, services)
    from_enrichment.register(app, services)
    import_table.register(app, services)
    existing_annotations.register(app, services)
    edit_annotation.register(app, services)
    result.register(app, services)
    review.register(app, services)
