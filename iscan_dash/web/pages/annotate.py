"""The Cell Annotation page: New Annotation, Existing Annotations and Edit Annotation."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, html, register_page

from iscan_dash.web.ids import Annotate
from iscan_dash.web.pages import edit_annotation, existing_annotations, import_table, new_annotation
from iscan_dash.web.services import Services

VIEWS = {"": "New Annotation", "existing": "Existing Annotations", "edit": "Edit Annotation"}
"""The tabs of the page by the last part of their address."""


def layout(
    services: Services, view: str = "", open_annotation: str | None = None, rerun: str | None = None
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
    """
    tabs = [
        dbc.NavLink(name, href=f"/annotate/{key}".rstrip("/"), active="exact", id=f"annotate-tab-{key or 'new'}")
        for key, name in VIEWS.items()
    ]
    if view == "existing":
        body = existing_annotations.layout(open_annotation)
    elif view == "edit":
        body = edit_annotation.layout(open_annotation)
    else:
        body = new_annotation.layout(services, rerun)
    return html.Div(
        [html.Nav(tabs, id=Annotate.TABS, className="subtabs"), html.Div(body, id=Annotate.BODY)], className="annotate"
    )


def register(app: Dash, services: Services) -> None:
    """Add the page and the callbacks of its tabs."""

    def new(rerun: str | None = None, **_: Any) -> html.Div:
        return layout(services, rerun=rerun)

    def existing(open: str | None = None, **_: Any) -> html.Div:
        return layout(services, "existing", open)

    def edit(open: str | None = None, **_: Any) -> html.Div:
        return layout(services, "edit", open)

    register_page("annotate", path="/annotate", title=app.title, name="Cell Annotation", layout=new)
    register_page("existing", path="/annotate/existing", title=app.title, name="Existing", layout=existing)
    register_page("edit", path="/annotate/edit", title=app.title, name="Edit", layout=edit)
    new_annotation.register(app, services)
    import_table.register(app, services)
    existing_annotations.register(app, services)
    edit_annotation.register(app, services)
