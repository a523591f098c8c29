"""Existing Annotations: the list, and the row that is opened to rename, describe and recolour."""

import json
from typing import Any

import dash_bootstrap_components as dbc
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, dcc, get_relative_path, html, no_update, set_props

from iscan_dash.core.annotations import Annotation, Header
from iscan_dash.core.words import counted
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.opened_results import ORIGIN
from iscan_dash.services.workspace import Workspace
from iscan_dash.web.checked import triggered
from iscan_dash.web.components import toast
from iscan_dash.web.components.history import entries, local_time, popover_body
from iscan_dash.web.components.topbar import icon_button
from iscan_dash.web.forms import BackupClick, Click, FieldEdit, Recolour, Retry
from iscan_dash.web.ids import Existing, Shell, backup_button, label_control, row_action
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
            dcc.Store(id=Existing.SHOWN),
            dcc.Store(id=Existing.REFUSED),
            html.Div(id=Existing.TABLE, className="table-box"),
            # Apart from the list: Dash draws anew whatever it is given, and here somebody may be typing.
            html.Div(id=Existing.DETAILS),
            html.Div(id=Existing.DELETED),
            html.Div(
                [
                    dbc.Button("Earlier drafts", id=Existing.SHOW_BACKUPS, color="link", size="sm", className="p-0"),
                    html.Div(id=Existing.BACKUP_LIST),
                ],
                id=Existing.BACKUPS,
            ),
        ],
    )


def backup_list(workspace: Workspace) -> Any:
    """Return the backups of the draft with what is in them, each with its Restore."""
    found = workspace.backups()
    if not found:
        return html.P("There are none yet: each draft that is replaced is kept, the newest ten.", className="muted")
    rows = []
    for backup in found:
        counts = ", ".join(f"{column.name} ({counted(column.n_labels, 'label')})" for column in backup.columns)
        button = dbc.Button("Restore", id=backup_button(backup.name), size="sm", color="link", disabled=not counts)
        rows.append(html.Tr([html.Td(local_time(backup.time)), html.Td(counts or "cannot be read"), html.Td(button)]))
    head = html.Thead(html.Tr([html.Th("Replaced"), html.Th("Annotations"), html.Th("Action")]))
    return html.Table([head, html.Tbody(rows)], className="plain-table")


def restore_backup(services: Services, name: str, versions: dict[str, int]) -> tuple[Any, Any]:
    """Bring annotations back from a backup, given the version of each that the page shows."""
    names = services.workspace.restore_backup(name, versions)
    if not names:
        return no_update, toast.message("success", "Nothing differs from this backup.")
    said = ", ".join(f'"{name}"' for name in names)
    undone = "Undo takes it back" if len(names) == 1 else "Undo takes them back one by one"
    return services.workspace.revision, toast.message("success", f"{said}: as in the backup. {undone}.")


def listed(workspace: Workspace) -> list[Annotation]:
    """Return what the list shows: the user's annotations, then those of others."""
    return [*workspace.annotations(), *workspace.others()]


def table(workspace: Workspace, history: dict[str, list[dict[str, Any]]], open_id: str | None) -> Any:
    """Return the list of annotations, one of its rows marked as open."""
    states = listed(workspace)
    if not states:
        return html.Div(
            [
                html.P("No annotations yet."),
                dbc.Button("New Annotation", href=get_relative_path("/annotate"), color="primary", size="sm"),
            ],
            className="empty-state",
        )
    # Short ones, so that all columns fit beside the plots; in full as tooltips.
    titles = {
        "": None,
        "Name": None,
        "Origin": None,
        "Labels": "# Labels",
        "Cells set": "# Cells set: those whose label is not the default",
        "Owner": None,
        "Created": None,
        "Modified": None,
        "Ver.": "Version",
        "Actions": None,
    }
    head = html.Thead(
        html.Tr([html.Th(text, title=says, className="number" if says else "") for text, says in titles.items()])
    )
    body = [
        html.Tr(
            row(workspace, state, history.get(state.id, []), is_open=state.id == open_id),
            id=row_action("row", state.id),
            className="is-open" if state.id == open_id else "",
            **{"data-annotation": state.id},
        )
        for state in states
    ]
    return html.Table([head, html.Tbody(body)], className="plain-table annotations")


def row(workspace: Workspace, state: Annotation, history: list[dict[str, Any]], *, is_open: bool) -> list[html.Td]:
    """Return the cells of an annotation's row."""
    header, own, is_own = state.live, state.id, workspace.is_own(state.id)
    arrow = icon_button(
        row_action("expand", own),
        "chevron-down" if is_open else "chevron-right",
        "Close" if is_open else "Open",
        **{"aria-expanded": str(is_open).lower()},
    )
    owner = workspace.user_name if is_own else header.owner
    return [
        html.Td(arrow),
        html.Td(html.Bdi(header.name, className="annotation-name"), title=header.description or header.name),
        html.Td(ORIGINS.get(header.origin, header.origin)),
        html.Td(f"{state.n_labels:,}", className="number"),
        html.Td(f"{state.n_set:,}", className="number"),
        html.Td(
            [html.Bdi(owner, className="annotation-owner"), None if is_own else _lock(owner)],
            title=owner,
            className="annotation-of",
        ),
        html.Td(local_time(header.created, brief=True)),
        html.Td(local_time(state.modified, brief=True)),
        html.Td(str(state.version), className="number"),
        html.Td(_actions(own, history) if is_own else _actions_of_others(state), className="actions"),
    ]


def _actions(own: str, history: list[dict[str, Any]]) -> list[Any]:
    history_id = row_action("history", own)
    return [
        dcc.Link(
            html.I(className="bi bi-pencil", **{"aria-hidden": "true"}),
            href=get_relative_path(f"/annotate/edit?open={own}"),
            className="icon-button",
            title="Edit its labels",
        ),
        icon_button(row_action("colour", own), "palette", "Colour plot"),
        icon_button(row_action("duplicate", own), "copy", "Duplicate"),
        icon_button(history_id, "clock-history", "History"),
        dbc.Popover(
            dbc.PopoverBody(html.Div(popover_body(own, history), id=row_action("list", own))),
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


def details(workspace: Workspace, state: Annotation) -> html.Div:
    """Return the fields of an annotation, which its owner can change."""
    header, own = state.live, state.id
    is_locked = not workspace.is_own(own)
    says = f"Only {header.owner} can edit this annotation. Duplicate it to edit a copy." if is_locked else ""
    return html.Div(
        className="details",
        **{"data-annotation": own},
        children=[
            html.P([_lock(header.owner), " ", says], className="muted") if is_locked else None,
            html.P(
                [
                    html.Span(
                        ["Created ", local_time(header.created), " by ", html.Bdi(header.owner)], className="muted"
                    ),
                    *_result_link(state),
                ]
            ),
            html.Div(
                className="row-of-2",
                children=[
                    _input("Name", row_action("name", own), header.name, maxLength=200, disabled=is_locked),
                    _input(
                        "Default label",
                        row_action("default", own),
                        header.default.text,
                        maxLength=400,
                        disabled=is_locked,
                    ),
                ],
            ),
            _input(
                "Description", row_action("description", own), header.description, maxLength=2000, disabled=is_locked
            ),
            html.Div(labels(workspace, state), id=row_action("labels", own), className="labels-box", tabIndex=0),
            html.Details([html.Summary("Recipe"), html.Pre(_recipe(header), id=row_action("recipe", own))]),
        ],
    )


def _result_link(state: Annotation) -> list[Any]:
    """Return the way to what a prediction found."""
    if state.live.origin != ORIGIN:
        return []
    return [
        " ",
        dcc.Link("Why these labels, and other cutoffs", href=get_relative_path(f"/annotate/result?open={state.id}")),
    ]


def _recipe(header: Header) -> str:
    return json.dumps(dict(header.recipe), indent=2, ensure_ascii=False)


def update(workspace: Workspace, state: Annotation) -> None:
    """Let the fields that are open follow an annotation; what is being typed stays."""
    header, own = state.live, state.id
    set_props(row_action("name", own), {"value": header.name})
    set_props(row_action("default", own), {"value": header.default.text})
    set_props(row_action("description", own), {"value": header.description})
    set_props(row_action("labels", own), {"children": labels(workspace, state)})
    set_props(row_action("recipe", own), {"children": _recipe(header)})


def _input(name: str, control_id: dict[str, str], value: str, **more: Any) -> html.Label:
    # Enter or leaving the field ends the edit.
    field = dbc.Input(id=control_id, value=value, debounce=True, size="sm", autoComplete="off", **more)
    return html.Label([name, field], className="field")


def labels(workspace: Workspace, state: Annotation) -> html.Table:
    """Return the labels of an annotation with their colours and counts."""
    header, is_own = state.live, workspace.is_own(state.id)
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
    return html.Table([head, html.Tbody(rows)], className="plain-table")


def follow(workspace: Workspace, open_id: str | None, shown: dict[str, Any] | None) -> tuple[Any, ...]:
    """Bring the page up to date, drawing anew as little as possible.

    Parameters
    ----------
    workspace
        The open study and the user's annotations.
    open_id
        The annotation whose fields are open.
    shown
        What the page shows: ``{"open": id or None, "rows": [[id, version], ...]}``; None when it shows nothing yet.

    Returns
    -------
    tuple
        The list, the fields, the deleted annotations, and what the page shows then; ``no_update`` for what stays.
    """
    states = listed(workspace)
    by_id = {state.id: state for state in states}
    opened = by_id.get(open_id or "")
    now_open = opened.id if opened else None
    history = entries(workspace)
    was_open = shown["open"] if shown else None
    versions: dict[str, int] = dict(shown["rows"]) if shown else {}
    same_rows = shown is not None and list(versions) == list(by_id) and was_open == now_open
    if same_rows:
        for state in states:
            if versions[state.id] != state.version:
                cells = row(workspace, state, history.get(state.id, []), is_open=state is opened)
                set_props(row_action("row", state.id), {"children": cells})
    fields: Any = details(workspace, opened) if opened else None
    if opened is not None and was_open == opened.id:
        update(workspace, opened)
        fields = no_update
    return (
        no_update if same_rows else table(workspace, history, now_open),
        fields,
        deleted_list(workspace),
        {"open": now_open, "rows": [[state.id, state.version] for state in states]},
    )


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


def act(services: Services, click: Click, versions: dict[str, int]) -> tuple[int, Any]:
    """Do what a button of a row says."""
    workspace, own = services.workspace, click.annotation
    verb = click.type.removeprefix("existing-")
    if verb == "duplicate":
        made = workspace.duplicate(own)
        said = toast.message("success", f'"{made.live.name}" was created.')
    elif verb == "delete":
        name = workspace.annotation(own).live.name
        workspace.delete(own, shown_version(versions, own))
        undo = toast.action("Undo", "restore", annotation=own)
        said = toast.message("success", f'"{name}" was deleted.', undo, seconds=UNDO_SECONDS)
    else:
        said = toast.message("success", f'"{workspace.restore(own).live.name}" is back.')
    return workspace.revision, said


def shown_version(versions: dict[str, int], annotation_id: str) -> int:
    """Return the version of an annotation that the page shows.

    Raises
    ------
    UnknownColumn
        The page does not show it, as it is another user's or quite new.
    """
    if annotation_id not in versions:
        raise UnknownColumn("This page does not know the annotation as yours yet. Load the page again to edit it.")
    return versions[annotation_id]


def edit_field(services: Services, edit: FieldEdit, versions: dict[str, int]) -> tuple[Any, Any]:
    """Keep what was typed into a field of an opened row."""
    workspace, own, text = services.workspace, edit.annotation, edit.value
    before = workspace.revision
    field = edit.type.removeprefix("existing-")
    header = workspace.annotation(own).live
    if text == {"name": header.name, "default": header.default.text, "description": header.description}[field]:
        # Nobody typed it: the page wrote what holds into the field, perhaps before it knew the version.
        return no_update, no_update
    base_version = shown_version(versions, own)
    if field == "name":
        workspace.rename(own, text, base_version)
    elif field == "default":
        workspace.rename_label(own, 0, text, base_version)
    else:
        workspace.describe(own, text, base_version)
    return (workspace.revision if workspace.revision != before else no_update), no_update


def try_again(services: Services, edit: FieldEdit) -> dict[str, Any]:
    """Return the button that makes a refused edit on top of what came between, so that nothing is typed twice."""
    version = services.workspace.annotation(edit.annotation).version
    return toast.action("Keep mine", "retry", field=edit.model_dump(), version=version)


def recolour(services: Services, edit: Recolour, versions: dict[str, int]) -> tuple[Any, Any]:
    """Give a label another colour."""
    workspace, own = services.workspace, edit.annotation
    before = workspace.revision
    if edit.value == workspace.annotation(own).live.label(edit.label).colour:
        # As with fields.
        return no_update, no_update
    workspace.recolour_label(own, edit.label, edit.value, shown_version(versions, own))
    return (workspace.revision if workspace.revision != before else no_update), no_update


def register(app: Dash, services: Services) -> None:
    """Add the callbacks of the list."""

    @app.callback(
        Output(Existing.TABLE, "children"),
        Output(Existing.DETAILS, "children"),
        Output(Existing.DELETED, "children"),
        Output(Existing.SHOWN, "data"),
        Input(Existing.VERSIONS, "data"),
        Input(Existing.OPEN, "data"),
        Input(Existing.REFUSED, "data"),
        State(Existing.SHOWN, "data"),
    )
    def show(
        versions: dict[str, int] | None, open_id: str | None, _: str | None, shown: dict[str, Any] | None
    ) -> tuple[Any, ...]:
        if versions is None:
            return (no_update,) * 4
        return follow(services.workspace, open_id, shown)

    @app.callback(
        Output(Existing.OPEN, "data"),
        Input({"type": "existing-expand", "annotation": ALL}, "n_clicks"),
        State(Existing.OPEN, "data"),
        prevent_initial_call=True,
    )
    def expand(_: list[int | None], open_id: str | None) -> Any:
        click = triggered(Click)
        if not click or not click.value:
            return no_update
        return None if click.annotation == open_id else click.annotation

    @app.callback(
        *toast.outputs(),
        Input({"type": "existing-duplicate", "annotation": ALL}, "n_clicks"),
        Input({"type": "existing-delete", "annotation": ALL}, "n_clicks"),
        Input({"type": "existing-restore", "annotation": ALL}, "n_clicks"),
        State(Existing.VERSIONS, "data"),
        prevent_initial_call=True,
    )
    def clicked(
        _duplicates: list[int | None],
        _deletes: list[int | None],
        _restores: list[int | None],
        versions: dict[str, int] | None,
    ) -> tuple[Any, Any]:
        click = triggered(Click)
        if not click or not click.value:
            return no_update, no_update
        return toast.attempt(lambda: act(services, click, versions or {}))

    @app.callback(
        *toast.outputs(),
        Output(Existing.REFUSED, "data"),
        Input({"type": "existing-name", "annotation": ALL}, "value"),
        Input({"type": "existing-default", "annotation": ALL}, "value"),
        Input({"type": "existing-description", "annotation": ALL}, "value"),
        State(Existing.VERSIONS, "data"),
        prevent_initial_call=True,
    )
    def typed(
        _names: list[str | None],
        _defaults: list[str | None],
        _texts: list[str | None],
        versions: dict[str, int] | None,
    ) -> tuple[Any, Any, Any]:
        edit = triggered(FieldEdit)
        if edit is None:
            return no_update, no_update, no_update
        revision, said = toast.attempt(
            lambda: edit_field(services, edit, versions or {}), lambda: try_again(services, edit)
        )
        # A field that was refused shows again what holds.
        return revision, said, no_update if said is no_update else said["id"]

    @app.callback(
        *toast.outputs(),
        Input({"type": "existing-label-colour", "annotation": ALL, "label": ALL}, "value"),
        State(Existing.VERSIONS, "data"),
        prevent_initial_call=True,
    )
    def recoloured(_: list[str | None], versions: dict[str, int] | None) -> tuple[Any, Any]:
        edit = triggered(Recolour)
        if edit is None:
            return no_update, no_update
        return toast.attempt(lambda: recolour(services, edit, versions or {}))

    @app.callback(*toast.outputs(), Input(Shell.TOAST_RETRY, "data"), prevent_initial_call=True)
    def retried(again: Retry | None) -> tuple[Any, Any]:
        if again is None:
            return no_update, no_update
        return toast.attempt(
            lambda: edit_field(services, again.field, {again.field.annotation: again.version}),
            lambda: try_again(services, again.field),
        )

    @app.callback(
        Output(Existing.BACKUP_LIST, "children"), Input(Existing.SHOW_BACKUPS, "n_clicks"), prevent_initial_call=True
    )
    def show_backups(clicks: int | None) -> Any:
        return backup_list(services.workspace) if (clicks or 0) % 2 else None

    @app.callback(
        *toast.outputs(),
        Input({"type": "existing-backup", "name": ALL}, "n_clicks"),
        State(Existing.VERSIONS, "data"),
        prevent_initial_call=True,
    )
    def restored(_: list[int | None], versions: dict[str, int] | None) -> tuple[Any, Any]:
        click = triggered(BackupClick)
        if not click or not click.value:
            return no_update, no_update
        return toast.attempt(lambda: restore_backup(services, click.name.replace("|", "."), versions or {}))

    app.clientside_callback(
        ClientsideFunction("iscan", "colourPlot"),
        Input({"type": "existing-colour", "annotation": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
