"""Who works here: the name others see, and signing out."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, State, get_relative_path, html, no_update

from iscan_dash.errors import IscanError
from iscan_dash.web import identity
from iscan_dash.web.components import toast
from iscan_dash.web.ids import Shell, User


def layout() -> list[Any]:
    """Return the button with the user's name, and what it opens."""
    name = identity.current_user().name
    button = html.Button(
        [html.I(className="bi bi-person", **{"aria-hidden": "true"}), html.Bdi(name, id=Shell.USER)],
        id=User.OPEN,
        type="button",
        className="user-button",
        title="Who you are",
    )
    return [button, dbc.Popover(dbc.PopoverBody(_body(name)), target=User.OPEN, trigger="legacy", placement="bottom")]


def _body(name: str) -> list[Any]:
    found: list[Any] = []
    if identity.can_rename():
        found = [
            html.Label("Your name", htmlFor=User.NAME),
            dbc.Input(id=User.NAME, value=name, maxLength=64, debounce=True, size="sm", autoComplete="off"),
            html.Span(id=User.ERROR, className="field-error", role="alert"),
            html.P("Others see it beside your annotations. Only this browser can edit them.", className="muted help"),
        ]
    elif identity.can_sign_out():
        found = [
            html.P(["Signed in as ", html.Bdi(name), "."]),
            html.Form(
                html.Button("Sign out", className="btn btn-sm btn-outline-secondary"),
                action=get_relative_path("/sign-out"),
                method="POST",
            ),
        ]
    else:
        found = [html.P("Everyone who opens this server works as this user.", className="muted help")]
    return found


def rename(name: str | None) -> tuple[Any, str, Any]:
    """Give the user another name; return what the bar shows, what is wrong, and a message."""
    try:
        user = identity.rename_user(name or "")
    except IscanError as error:
        return no_update, str(error), no_update
    return user.name, "", toast.message("success", f"New annotations carry the name {user.name}.")


def register(app: Dash) -> None:
    """Add the callback of the name."""

    @app.callback(
        Output(Shell.USER, "children"),
        Output(User.ERROR, "children"),
        Output(Shell.TOAST, "data", allow_duplicate=True),
        Input(User.NAME, "value"),
        State(Shell.USER, "children"),
        prevent_initial_call=True,
    )
    def renamed(name: str | None, shown: str | None) -> tuple[Any, str, Any]:
        if name is None or name == shown:
            return no_update, "", no_update
        return rename(name)
