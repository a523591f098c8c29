"""The history of an annotation: what happened when, and a way back to each version."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import ALL, MATCH, Dash, Input, Output, State, ctx, dcc, html, no_update

from iscan_dash.core.annotations.compare import Comparison
from iscan_dash.core.words import counted
from iscan_dash.services.workspace import Workspace
from iscan_dash.web.checked import triggered
from iscan_dash.web.components import toast
from iscan_dash.web.forms import Compare, OlderClick, RevertTarget, VersionClick
from iscan_dash.web.ids import Existing, Shell, older_button, version_button
from iscan_dash.web.services import Services

MOST_MOVED = 50
"""Differences that a comparison lists."""

SHOWN = 50
"""Entries of a history that its popover lists."""


def stores() -> list[Any]:
    """Return the store of the histories, and the dialog that asks before a revert."""
    return [
        dcc.Store(id=Existing.HISTORY, storage_type="memory"),
        # Apart from the history, which never goes back to the server.
        dcc.Store(id=Existing.VERSIONS, storage_type="memory"),
        dcc.Store(id=Existing.REVERT_TARGET),
        dbc.Modal(
            [
                dbc.ModalHeader(dbc.ModalTitle(id=Existing.REVERT_TITLE)),
                dbc.ModalBody(id=Existing.REVERT_TEXT),
                dbc.ModalFooter(
                    [
                        dbc.Button("Cancel", id=Existing.REVERT_CANCEL, color="secondary", outline=True, size="sm"),
                        dbc.Button("Revert", id=Existing.REVERT_CONFIRM, color="primary", size="sm"),
                    ]
                ),
            ],
            id=Existing.REVERT_DIALOG,
            centered=True,
            scrollable=True,
        ),
    ]


def local_time(moment: str, *, brief: bool = False) -> html.Time:
    """Return a time that the page writes in the reader's time zone, with UTC as its tooltip."""
    plain = moment[:19].replace("T", " ")
    return html.Time(
        plain, dateTime=moment, title=f"{plain} UTC", className=f"local-time numbers{' brief' if brief else ''}"
    )


def entries(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    """Return the newest 50 entries of each annotation's history, the newest first, without the cells."""
    return {state.id: entries_of(workspace, state.id) for state in workspace.annotations()}


def entries_of(workspace: Workspace, annotation_id: str, most: int = SHOWN) -> list[dict[str, Any]]:
    """Return the newest entries of one annotation's history."""
    return [
        {
            "version": event.version,
            "time": event.time,
            "description": event.description,
            "cells": event.n_cells,
            "author": event.author,
        }
        for event in workspace.history(annotation_id)[:most]
    ]


def popover_body(annotation_id: str, history: list[dict[str, Any]]) -> Any:
    """Return the list of an annotation's versions, each but the newest with its Revert."""
    rows = []
    for place, entry in enumerate(history):
        version = entry["version"]
        buttons = [
            dbc.Button(
                "Revert",
                id=version_button("revert", annotation_id, version),
                size="sm",
                color="link",
                title=f"Make the annotation what it was at version {version}",
            ),
            dbc.Button(
                "Compare",
                id=version_button("compare", annotation_id, version),
                size="sm",
                color="link",
                title=f"Compare version {version} with now",
            ),
        ]
        rows.append(
            html.Tr(
                [
                    html.Td(local_time(entry["time"])),
                    html.Td(html.Bdi(entry["description"])),
                    html.Td(buttons if place else html.Span("now", className="muted"), className="versions"),
                ]
            )
        )
    head = html.Thead(html.Tr([html.Th("Timestamp"), html.Th("Description"), html.Th("Action")]))
    older = history[-1]["version"] - 1 if history else 0
    more = dbc.Button(f"Show older ({older:,})", id=older_button(annotation_id, len(history)), size="sm", color="link")
    return [html.Table([head, html.Tbody(rows)], className="plain-table"), more if older else None]


def comparison_view(found: Comparison, question: str = "") -> list[Any]:
    """Return what differs between a version and now, after the question whether to go back."""
    rows = [
        html.Tr(
            [
                html.Td(html.Bdi(moved.before)),
                html.Td(html.Bdi(moved.after)),
                html.Td(f"{moved.n_cells:,}", className="number"),
            ]
        )
        for moved in found.moved[:MOST_MOVED]
    ]
    more = len(found.moved) - MOST_MOVED
    if more > 0:
        rows.append(html.Tr(html.Td(f"and {more:,} more pairs of labels", colSpan=3, className="muted")))
    head = html.Thead(html.Tr([html.Th("Then"), html.Th("Now"), html.Th("Cells", className="number")]))
    said = question or (
        f"{counted(found.n_cells, 'cell')} changed since." if found.n_cells else "No cell changed since."
    )
    return [
        html.P(said),
        html.Ul([html.Li(change) for change in found.changes[:MOST_MOVED]]) if found.changes else None,
        html.Table([head, html.Tbody(rows)], className="plain-table") if rows else None,
    ]


def ask(services: Services, annotation_id: str, version: int) -> tuple[str, list[Any]]:
    """Return the title and the text of the question to put before a revert."""
    workspace = services.workspace
    state = workspace.annotation(annotation_id)
    found = workspace.compare(annotation_id, version)
    cells = counted(found.n_cells, "cell") if found.n_cells else "No cell"
    question = f'{cells} of "{state.live.name}" will change. The revert itself can be undone.'
    return f"Revert to version {version}", comparison_view(found, question)


def show_difference(services: Services, annotation_id: str, version: int) -> tuple[str, list[Any]]:
    """Return the title and the text of a comparison of a version with now."""
    return f"Version {version} and now", comparison_view(services.workspace.compare(annotation_id, version))


def revert(services: Services, target: RevertTarget) -> tuple[int, dict[str, Any]]:
    """Make an annotation what it was."""
    workspace, version = services.workspace, target.version
    state = workspace.revert(target.annotation, version, target.base_version)
    return workspace.revision, toast.message("success", f'"{state.live.name}" is at version {version} again.')


def register(app: Dash, services: Services) -> None:
    """Add the callbacks of histories."""

    @app.callback(Output(Existing.HISTORY, "data"), Output(Existing.VERSIONS, "data"), Input(Shell.REVISION, "data"))
    def refill(_: int | None) -> tuple[dict[str, list[dict[str, Any]]], dict[str, int]]:
        found = entries(services.workspace)
        return found, {own: history[0]["version"] for own, history in found.items()}

    @app.callback(
        Output(Existing.REVERT_DIALOG, "is_open"),
        Output(Existing.REVERT_TITLE, "children"),
        Output(Existing.REVERT_TEXT, "children"),
        Output(Existing.REVERT_TARGET, "data"),
        Output(Existing.REVERT_CONFIRM, "style"),
        Input({"type": "existing-revert", "annotation": ALL, "version": ALL}, "n_clicks"),
        Input({"type": "existing-compare", "annotation": ALL, "version": ALL}, "n_clicks"),
        Input(Shell.TOAST_ACTION, "data"),
        Input(Existing.REVERT_CANCEL, "n_clicks"),
        Input(Existing.REVERT_CONFIRM, "n_clicks"),
        prevent_initial_call=True,
    )
    def ask_first(
        _reverts: list[int | None],
        _compares: list[int | None],
        asked: dict[str, Any] | None,
        _cancel: int | None,
        _confirm: int | None,
    ) -> tuple[Any, ...]:
        stay = (no_update,) * 5
        if ctx.triggered_id in (Existing.REVERT_CANCEL, Existing.REVERT_CONFIRM):
            return False, *(no_update,) * 4
        if ctx.triggered_id == Shell.TOAST_ACTION:
            if not asked or asked.get("verb") != "compare":
                return stay
            wanted, reverts = Compare.model_validate(asked), False
        else:
            click = triggered(VersionClick)
            if not click or not click.value:
                return stay
            wanted, reverts = (
                Compare(annotation=click.annotation, version=click.version),
                click.type == "existing-revert",
            )
        # Before the comparison: what is edited meanwhile makes the answer one to an older version.
        base_version = services.workspace.annotation(wanted.annotation).version
        title, text = (ask if reverts else show_difference)(services, wanted.annotation, wanted.version)
        target = RevertTarget(annotation=wanted.annotation, version=wanted.version, base_version=base_version)
        return True, title, text, target.model_dump(), {} if reverts else {"display": "none"}

    @app.callback(
        *toast.outputs(),
        Input(Existing.REVERT_CONFIRM, "n_clicks"),
        State(Existing.REVERT_TARGET, "data"),
        prevent_initial_call=True,
    )
    def go_back(clicks: int | None, target: RevertTarget | None) -> tuple[Any, Any]:
        if not clicks or target is None:
            return no_update, no_update
        return toast.attempt(lambda: revert(services, target))

    @app.callback(
        Output({"type": "existing-list", "annotation": MATCH}, "children"),
        Input({"type": "existing-older", "annotation": MATCH, "shown": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def show_older(_: list[int | None]) -> Any:
        click = triggered(OlderClick)
        if not click or not click.value:
            return no_update
        own = click.annotation
        return popover_body(own, entries_of(services.workspace, own, max(0, click.shown) + SHOWN))
