"""The top bar: what is open, whether it is saved, undo and redo, theme and help."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update

from iscan_dash.web.checked import was_clicked
from iscan_dash.web.components import toast, user
from iscan_dash.web.forms import Answer, Steps
from iscan_dash.web.ids import Shell
from iscan_dash.web.services import Services

SHORTCUTS = (
    ("Ctrl+Z", "Undo the last edit"),
    ("Ctrl+Shift+Z", "Redo it"),
    ("/", "Search a gene to colour by"),
    ("H", "Pan the plots"),
    ("Z", "Zoom into a rectangle"),
    ("0", "Show the whole plots"),
    ("L", "Lasso: draw round cells"),
    ("B", "Box: drag over cells"),
    ("Shift, Alt", "While drawing: add an area, take away from the last"),
    ("I", "Invert the plot's areas"),
    ("C", "Colour the plot by the column of the table that has the focus"),
    ("Esc", "Give up drawing; back to panning"),
    ("A", "Label cells: the field for the new value"),
    ("1-9", "A recent label, when cells are labelled; Enter assigns it"),
    ("A R S K U", "In Review: accept, relabel, split, skip, reopen a group"),
    ("J ] [", "In Review: the next group, or the one before"),
    ("?", "These shortcuts"),
)


VERBS = ("restore", "reattach", "leave", "undo")
"""What buttons of messages ask for."""


def icon_button(button_id: Any, icon: str, name: str, **more: Any) -> html.Button:
    """Return a button that shows an icon and says its name to readers and on hover."""
    return html.Button(
        html.I(className=f"bi bi-{icon}", **{"aria-hidden": "true"}),
        id=button_id,
        className=f"icon-button {more.pop('className', '')}".strip(),
        title=name,
        type="button",
        **{"aria-label": name},
        **more,
    )


def layout(services: Services) -> html.Header:
    """Return the top bar."""
    study = services.workspace.study
    files = "\n".join(str(dataset.path.name) for dataset in study.datasets)
    return html.Header(
        className="topbar",
        children=[
            dcc.Store(id=Shell.STEPS),
            html.Span("iscan-dash", className="brand"),
            html.Span(study.title, className="study-title", title=files, dir="auto"),
            html.Span(f"{study.n_cells:,} cells", className="muted numbers"),
            html.Span(className="space"),
            html.Span(id=Shell.JOBS, className="jobs-running", role="status"),
            html.Span("All saved", id=Shell.SAVE_TEXT, className="save-text", role="status"),
            icon_button(Shell.UNDO, "arrow-counterclockwise", "Nothing to undo", disabled=True),
            icon_button(Shell.REDO, "arrow-clockwise", "Nothing to redo", disabled=True),
            icon_button(Shell.HELP, "question-circle", "Keyboard shortcuts"),
            icon_button(Shell.THEME, "circle-half", "Theme: system"),
            *user.layout(),
            dbc.Modal(
                [
                    dbc.ModalHeader(dbc.ModalTitle("Keyboard shortcuts")),
                    dbc.ModalBody(
                        html.Table(
                            [html.Tr([html.Td(html.Kbd(keys)), html.Td(text)]) for keys, text in SHORTCUTS],
                            className="shortcuts",
                        )
                    ),
                ],
                id=Shell.HELP_DIALOG,
                centered=True,
            ),
        ],
    )


def undo_buttons(services: Services) -> tuple[bool, str, bool, str]:
    """Tell for undo and redo whether the button is off, and its name."""
    undoable, redoable = services.workspace.undoable(), services.workspace.redoable()
    return (
        undoable is None,
        f"Undo: {undoable.description} (Ctrl+Z)" if undoable else "Nothing to undo",
        redoable is None,
        f"Redo: {redoable.description} (Ctrl+Shift+Z)" if redoable else "Nothing to redo",
    )


def steps(services: Services) -> dict[str, int | None]:
    """Return the numbers of the events that undo and redo are about, as `Steps` has them, and that of the last one."""
    workspace = services.workspace
    undoable, redoable = workspace.undoable(), workspace.redoable()
    return {
        "undo": undoable.seq if undoable else None,
        "redo": redoable.seq if redoable else None,
        "last": max((event.seq for event in workspace.latest(1)), default=None),
    }


def undo(services: Services, seq: int | None) -> tuple[int, dict[str, Any]]:
    """Take back the edit that the button shows."""
    event = services.workspace.undo(0 if seq is None else seq)
    return services.workspace.revision, toast.message("success", f"Undone: {event.description}.")


def redo(services: Services, seq: int | None) -> tuple[int, dict[str, Any]]:
    """Make the undone edit again that the button shows."""
    event = services.workspace.redo(0 if seq is None else seq)
    return services.workspace.revision, toast.message("success", f"Redone: {event.description}.")


def answer(services: Services, given: Answer) -> tuple[Any, dict[str, Any]]:
    """Do what a button of a message asks for."""
    workspace = services.workspace
    if given.verb == "undo":
        return undo(services, given.seq)
    if given.verb == "restore":
        restored = workspace.restore(given.annotation)
        return workspace.revision, toast.message("success", f'"{restored.live.name}" is back.')
    old = services.offers.find(given.fingerprint)
    if given.verb == "leave":
        services.offers.close(old)
        return no_update, toast.message("success", f"{old.name} stays as it is.")
    names = ", ".join(f'"{state.live.name}"' for state in workspace.reattach(old))
    # Only now: what was refused may be tried again.
    services.offers.close(old)
    return workspace.revision, toast.message("success", f"{names}: back, for {old.n_matched:,} cells.")


def register(app: Dash, services: Services) -> None:
    """Add the callbacks of the top bar and of messages."""
    toast.register(app)
    user.register(app)

    @app.callback(
        Output(Shell.UNDO, "disabled"),
        Output(Shell.UNDO, "title"),
        Output(Shell.REDO, "disabled"),
        Output(Shell.REDO, "title"),
        Output(Shell.UNDO, "aria-label"),
        Output(Shell.REDO, "aria-label"),
        Output(Shell.STEPS, "data"),
        Input(Shell.REVISION, "data"),
    )
    def show_undo(_: int | None) -> tuple[bool, str, bool, str, str, str, dict[str, int | None]]:
        shown = undo_buttons(services)
        return (*shown, shown[1], shown[3], steps(services))

    @app.callback(
        *toast.outputs(),
        Output(Shell.STEPS, "data", allow_duplicate=True),
        Input(Shell.UNDO, "n_clicks"),
        Input(Shell.REDO, "n_clicks"),
        State(Shell.STEPS, "data"),
        prevent_initial_call=True,
        # A click before the answer would mean the event that is being taken back.
        running=[(Output(Shell.UNDO, "disabled"), True, False), (Output(Shell.REDO, "disabled"), True, False)],
    )
    def take_back(_undo: int | None, _redo: int | None, shown: Steps | None) -> tuple[Any, Any, Any]:
        if not was_clicked() or shown is None:
            return no_update, no_update, no_update
        is_undo = ctx.triggered_id == Shell.UNDO
        revision, said = toast.attempt(
            lambda: undo(services, shown.undo) if is_undo else redo(services, shown.redo),
        )
        return revision, said, steps(services)

    @app.callback(*toast.outputs(), Input(Shell.TOAST_ACTION, "data"), prevent_initial_call=True)
    def take_answer(given: dict[str, Any] | None) -> tuple[Any, Any]:
        if not given or given.get("verb") not in VERBS:
            return no_update, no_update
        form = Answer.model_validate(given)
        return toast.attempt(lambda: answer(services, form))

    @app.callback(
        Output(Shell.HELP_DIALOG, "is_open"),
        Input(Shell.HELP, "n_clicks"),
        State(Shell.HELP_DIALOG, "is_open"),
        prevent_initial_call=True,
    )
    def show_help(_: int | None, is_open: bool | None) -> bool:
        return not is_open

    app.clientside_callback(
        ClientsideFunction("iscan", "showStatus"),
        Output(Shell.SAVE_TEXT, "children"),
        Output(Shell.SAVE_TEXT, "className"),
        Output(Shell.SAVE_TEXT, "title"),
        Output(Shell.BANNER, "children"),
        Output(Shell.BANNER, "hidden"),
        Input(Shell.STATUS, "data"),
    )
    app.clientside_callback(ClientsideFunction("iscan", "pollNow"), Input(Shell.REVISION, "data"))
    app.clientside_callback(ClientsideFunction("iscan", "keepUndo"), Input(Shell.STEPS, "data"))
