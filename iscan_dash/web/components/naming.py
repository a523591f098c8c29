"""The dialog that asks, before the first annotation is made, what to call the user's drafts."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from iscan_dash.errors import IscanError
from iscan_dash.web.checked import was_clicked
from iscan_dash.web.ids import Naming
from iscan_dash.web.services import Services


def layout(services: Services) -> list[Any]:
    """Return the dialog, and the store that tells the page when the drafts have their name."""
    place = services.workspace.place
    return [
        dcc.Store(id=Naming.DONE),
        dbc.Modal(
            [
                dbc.ModalHeader(dbc.ModalTitle("Name your drafts")),
                dbc.ModalBody(
                    [
                        html.P("Your annotations are saved by themselves, in a file of this name."),
                        html.Label("Name", htmlFor=Naming.NAME),
                        dbc.Input(id=Naming.NAME, value=place.name, maxLength=64, autoComplete="off", size="sm"),
                        html.Span(id=Naming.ERROR, className="field-error", role="alert"),
                        html.P(
                            [
                                html.Span(f"{place.folder}/"),
                                html.B(place.name, id=Naming.SHOWN),
                                html.Span(f"-{place.suffix}.csv"),
                            ],
                            className="muted path",
                        ),
                    ]
                ),
                dbc.ModalFooter(
                    [
                        dbc.Button("Cancel", id=Naming.CANCEL, color="secondary", outline=True, size="sm"),
                        dbc.Button("Save under this name", id=Naming.OK, color="primary", size="sm"),
                    ]
                ),
            ],
            id=Naming.DIALOG,
            centered=True,
        ),
    ]


def name_drafts(services: Services, name: str | None) -> tuple[str, Any]:
    """Give the drafts their name; return what is wrong with it, and the path of the draft when nothing is."""
    try:
        place = services.workspace.name_collection(name or "")
    except IscanError as error:
        return str(error), no_update
    return "", str(place.draft)


def register(app: Dash, services: Services) -> None:
    """Add the callbacks of the dialog; its script opens it and goes on with what the user began."""

    @app.callback(
        Output(Naming.ERROR, "children"),
        Output(Naming.DONE, "data"),
        Input(Naming.OK, "n_clicks"),
        Input(Naming.NAME, "n_submit"),
        State(Naming.NAME, "value"),
        prevent_initial_call=True,
    )
    def confirm(_clicks: int | None, _enters: int | None, name: str | None) -> tuple[Any, Any]:
        if not was_clicked():
            return no_update, no_update
        return name_drafts(services, name)

    app.clientside_callback(
        ClientsideFunction("iscan", "namedDrafts"),
        Output(Naming.DIALOG, "is_open"),
        Input(Naming.DONE, "data"),
        Input(Naming.CANCEL, "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("iscan", "showDraftName"), Output(Naming.SHOWN, "children"), Input(Naming.NAME, "value")
    )
