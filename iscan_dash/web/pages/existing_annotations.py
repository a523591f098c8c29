"""Existing Annotations: the list, and the row that is opened to rename, describe and recolour."""

import json
from typing import Any

import dash_bootstrap_components as dbc
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update

from iscan_dash.core.annotations import Annotation
from iscan_dash.services.workspace import Workspace
from iscan_dash.web.components import toast
from iscan_dash.web.components.history import entries, local_time, popover_body
from iscan_dash.web.components.topbar import icon_button
from iscan_dash.web.ids import Existing, label_control, row_action
from iscan_dash.web.services import Services

ORIGINS = {"existing": "existing data", "empty": "empty", "duplicate": "copy"}

MOST_LABELS = 200
"""Labels that an opened row lists."""

UNDO_SECONDS = 30


def layout(open_annotation: str | None) -> html.Div:
    """Return the page; its list is filled when the page is open."""
    return html.Div(
        className="stack existing",
        children=[
            dcc.Store(id=Existing.OPEN, data=open_annotation),
            html.Div(id=Existing.TABLE, className="table-box"),
            html.Div(id=Existing.DELETED),
        ],
    )


def table(workspace: Workspace, history: dict[str, list[dict[str, Any]]], open_id: str | None) -> Any:
    """Return the list of annotations, one of its rows opened."""
    states = [*workspace.annotations(), *workspace.others()]
    if not states:
        return html.Div(
            [
                html.P("No annotations yet."),
                dbc.Button("New Annotation", href="/annotate", color="primary", size="sm"),
            ],
            className="empty-state",
        )
    titles = ("", "Name", "Origin", "# Labels", "# Cells set", "Owner", "Created", "Modified", "Version", "Actions")
    head = html.Thead(
        html.Tr(
            [
                html.Th(title, className="number" if title in {"# Labels", "# Cells set", "Version"} else "")
                for title in titles
            ]
        )
    )
    body = []
    for state in states:
        is_open = state.id == open_id
        is_own = workspace.is_own(state.id)
        body.append(_row(state, history.get(state.id, []), is_open=is_open, is_own=is_own))
        if is_open:
            details = _details(state, is_own=is_own)
            body.append(html.Tr(html.Td(details, colSpan=len(titles)), className="details-row"))
    return html.Table([head, html.Tbody(body)], className="plain-table annotations")


def _row(state: Annotation, history: list[dict[str, Any]], *, is_open: bool, is_own: bool) -> html.Tr:
    header, own = state.live, state.id
    arrow = "chevron-down" if is_open else "chevron-right"
    return html.Tr(
        [
            html.Td(
                icon_button(
                    row_action("expand", own),
                    arrow,
                    "Close" if is_open else "Open",
                    **{"aria-expanded": str(is_open).lower()},
                )
            ),
            html.Td(html.Bdi(header.name, className="annotation-name"), title=header.description or header.name),
            html.Td(ORIGINS.get(header.origin, header.origin)),
            html.Td(f"{state.n_labels:,}", className="number"),
            html.Td(f"{state.n_set:,}", className="number"),
            html.Td([html.Bdi(header.owner), None if is_own else _lock(header.owner)]),
            html.Td(local_time(header.created, brief=True)),
            html.Td(local_time(state.modified, brief=True)),
            html.Td(str(state.version), className="number"),
            html.Td(_actions(own, history) if is_own else _actions_of_others(state), className="actions"),
        ],
        # Named, so that a row keeps its controls when others come, go or open.
        id=row_action("row", own),
        className="is-open" if is_open else "",
        **{"data-annotation": own},
    )


def _actions(own: str, history: list[dict[str, Any]]) -> list[Any]:
    history_id = row_action("history", own)
    return [
        icon_button(row_action("colour", own), "palette", "Colour plot"),
        icon_button(row_action("duplicate", own), "copy", "Duplicate"),
        icon_button(history_id, "clock-history", "History"),
        dbc.Popover(
            dbc.PopoverBody(popover_body(own, history)),
            id=row_action("popover", own),
            target=history_id,
            trigger="hover focus",
            autohide=False,
            placement="bottom-end",
            className="history-popover",
        ),
        icon_button(row_action("delete", own), "trash", "Delete", className="danger"),
    ]


def _actions_of_others(state: Annotation) -> list[Any]:
    return [
        icon_button(row_action("colour", state.id), "palette", "Colour plot"),
        icon_button(row_action("duplicate", state.id), "copy", "Duplicate to edit"),
    ]


def _lock(owner: str) -> html.I:
    says = f"Only {owner} can edit this one; duplicate it to edit a copy"
    return html.I(className="bi bi-lock-fill lock", title=says, role="img", **{"aria-label": says})


def _details(state: Annotation, *, is_own: bool) -> html.Div:
    header, own = state.live, state.id
    return html.Div(
        className="details",
        children=[
            html.Div(
                className="row-of-2",
                children=[
                    _input("Name", row_action("name", own), header.name, maxLength=200, disabled=not is_own),
                    _input(
                        "Default label",
                        row_action("default", own),
                        header.default.text,
                        maxLength=400,
                        disabled=not is_own,
                    ),
                ],
            ),
            _input(
                "Description", row_action("description", own), header.description, maxLength=2000, disabled=not is_own
            ),
            _labels(state, is_own=is_own),
            html.Details(
                [html.Summary("Recipe"), html.Pre(json.dumps(dict(header.recipe), indent=2, ensure_ascii=False))]
            ),
        ],
    )


def _input(name: str, control_id: dict[str, str], value: str, **more: Any) -> html.Label:
    # Enter or leaving the field ends the edit.
    field = dbc.Input(id=control_id, value=value, debounce=True, size="sm", autoComplete="off", **more)
    return html.Label([name, field], className="field")


def _labels(state: Annotation, *, is_own: bool) -> html.Div:
    header = state.live
    rows = [
        html.Tr(
            [
                html.Td(
                    html.Label(
                        [
                            html.Span(f"Colour of {label.text}", className="visually-hidden"),
                            dbc.Input(
                                type="color",
                                id=label_control("colour", state.id, label.id),
                                value=label.colour,
                                debounce=True,
                                disabled=not is_own,
                                className="colour-input",
                            ),
                        ]
                    )
                ),
                html.Td(
                    [
                        html.Bdi(label.text),
                        html.Small(" default", className="muted") if label is header.default else None,
                    ],
                    title=label.text,
                ),
                html.Td(f"{state.counts[label.id]:,}", className="number"),
            ]
        )
        for label in header.labels[:MOST_LABELS]
    ]
    more = len(header.labels) - MOST_LABELS
    if more > 0:
        rows.append(html.Tr(html.Td(f"and {more:,} more labels", colSpan=3, className="muted")))
    head = html.Thead(html.Tr([html.Th("Colour"), html.Th("Label"), html.Th("Cells", className="number")]))
    return html.Div(html.Table([head, html.Tbody(rows)], className="plain-table"), className="labels-box", tabIndex=0)


def deleted_list(workspace: Workspace) -> Any:
    """Return the annotations that were deleted lately, each with its Restore."""
    gone = workspace.deleted()
    if not gone:
        return None
    rows = [
        html.Li(
            [
                html.Bdi(item.name),
                " ",
                html.Span(["deleted ", local_time(item.time)], className="muted"),
                " ",
                dbc.Button("Restore", id=row_action("restore", item.id), size="sm", color="link"),
            ]
        )
        for item in gone
    ]
    return html.Details([html.Summary(f"Recently deleted ({len(gone):,}), kept for 30 days"), html.Ul(rows)])


def act(services: Services, target: dict[str, str]) -> tuple[int, Any]:
    """Do what a button of a row says."""
    workspace, own = services.workspace, target["annotation"]
    verb = target["type"].removeprefix("existing-")
    if verb == "duplicate":
        made = workspace.duplicate(own)
        said = toast.message("success", f'"{made.live.name}" was created.')
    elif verb == "delete":
        name = workspace.annotation(own).live.name
        workspace.delete(own)
        undo = toast.action("Undo", "restore", annotation=own)
        said = toast.message("success", f'"{name}" was deleted.', undo, seconds=UNDO_SECONDS)
    else:
        said = toast.message("success", f'"{workspace.restore(own).live.name}" is back.')
    return workspace.revision, said


def edit_field(services: Services, target: dict[str, str], text: str, base_version: int) -> tuple[Any, Any]:
    """Keep what was typed into a field of an opened row."""
    workspace, own = services.workspace, target["annotation"]
    before = workspace.revision
    field = target["type"].removeprefix("existing-")
    if field == "name":
        workspace.rename(own, text, base_version)
    elif field == "default":
        workspace.rename_label(own, 0, text, base_version)
    else:
        workspace.describe(own, text, base_version)
    return (workspace.revision if workspace.revision != before else no_update), no_update


def recolour(services: Services, target: dict[str, Any], colour: str, base_version: int) -> tuple[Any, Any]:
    """Give a label another colour."""
    before = services.workspace.revision
    services.workspace.recolour_label(target["annotation"], target["label"], colour, base_version)
    return (services.workspace.revision if services.workspace.revision != before else no_update), no_update


def register(app: Dash, services: Services) -> None:
    """Add the callbacks of the list."""

    @app.callback(
        Output(Existing.TABLE, "children"),
        Output(Existing.DELETED, "children"),
        Input(Existing.VERSIONS, "data"),
        Input(Existing.OPEN, "data"),
    )
    def show(versions: dict[str, int] | None, open_id: str | None) -> tuple[Any, Any]:
        if versions is None:
            return no_update, no_update
        return table(services.workspace, entries(services.workspace), open_id), deleted_list(services.workspace)

    @app.callback(
        Output(Existing.OPEN, "data"),
        Input({"type": "existing-expand", "annotation": ALL}, "n_clicks"),
        State(Existing.OPEN, "data"),
        prevent_initial_call=True,
    )
    def expand(_: list[int | None], open_id: str | None) -> Any:
        if not ctx.triggered_id or not ctx.triggered[0]["value"]:
            return no_update
        wanted = ctx.triggered_id["annotation"]
        return None if wanted == open_id else wanted

    @app.callback(
        *toast.outputs(),
        Input({"type": "existing-duplicate", "annotation": ALL}, "n_clicks"),
        Input({"type": "existing-delete", "annotation": ALL}, "n_clicks"),
        Input({"type": "existing-restore", "annotation": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def clicked(*_: list[int | None]) -> tuple[Any, Any]:
        if not ctx.triggered_id or not ctx.triggered[0]["value"]:
            return no_update, no_update
        return toast.attempt(lambda: act(services, ctx.triggered_id))

    @app.callback(
        *toast.outputs(),
        Input({"type": "existing-name", "annotation": ALL}, "value"),
        Input({"type": "existing-default", "annotation": ALL}, "value"),
        Input({"type": "existing-description", "annotation": ALL}, "value"),
        State(Existing.VERSIONS, "data"),
        prevent_initial_call=True,
    )
    def typed(_names: list[str], _defaults: list[str], _texts: list[str], versions: dict[str, int]) -> tuple[Any, Any]:
        target = ctx.triggered_id
        if not target or target["annotation"] not in versions:
            return no_update, no_update
        text, version = ctx.triggered[0]["value"] or "", versions[target["annotation"]]
        return toast.attempt(lambda: edit_field(services, target, text, version))

    @app.callback(
        *toast.outputs(),
        Input({"type": "existing-label-colour", "annotation": ALL, "label": ALL}, "value"),
        State(Existing.VERSIONS, "data"),
        prevent_initial_call=True,
    )
    def recoloured(_: list[str], versions: dict[str, int]) -> tuple[Any, Any]:
        target = ctx.triggered_id
        if not target or target["annotation"] not in versions:
            return no_update, no_update
        version = versions[target["annotation"]]
        return toast.attempt(lambda: recolour(services, target, ctx.triggered[0]["value"], version))

    app.clientside_callback(
        ClientsideFunction("iscan", "colourPlot"),
        Input({"type": "existing-colour", "annotation": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
