"""Short messages that come and go: success for 4 s, warnings for 8 s, errors until closed."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from dash import ClientsideFunction, Dash, Input, Output, dcc, no_update

from iscan_dash.errors import EditConflict, IscanError
from iscan_dash.web.ids import Shell


def stores() -> list[Any]:
    """Return the stores that carry a message to the page, and the answer to one back."""
    # Dash takes callbacks of the same inputs and outputs for one, so a retry has a store of its own.
    return [dcc.Store(id=Shell.TOAST), dcc.Store(id=Shell.TOAST_ACTION), dcc.Store(id=Shell.TOAST_RETRY)]


def message(kind: str, text: str, *actions: dict[str, Any], seconds: float | None = None) -> dict[str, Any]:
    """Return a message for the store `Shell.TOAST`.

    Parameters
    ----------
    kind
        ``"success"``, ``"warning"`` or ``"danger"``.
    text
        One sentence.
    actions
        Made by `link` or `action`.
    seconds
        How long it stays; by its kind when None.
    """
    return {"id": uuid4().hex, "kind": kind, "text": text, "actions": list(actions), "seconds": seconds}


def link(text: str, href: str) -> dict[str, Any]:
    """Return a link for a message."""
    return {"text": text, "href": href}


def action(text: str, verb: str, **values: Any) -> dict[str, Any]:
    """Return a button for a message; a click puts `verb` and `values` into the store `Shell.TOAST_ACTION`."""
    return {"text": text, "action": {"verb": verb, **values}}


def outputs() -> list[Output]:
    """Return the outputs of a callback that edits: the revision and a message."""
    return [
        Output(Shell.REVISION, "data", allow_duplicate=True),
        Output(Shell.TOAST, "data", allow_duplicate=True),
    ]


def attempt(edit: Callable[[], tuple[Any, Any]], retry: Callable[[], dict[str, Any]] | None = None) -> tuple[Any, Any]:
    """Run an edit; when it is refused, say why and change nothing.

    Parameters
    ----------
    edit
        Does the edit and returns the new revision and a message (or ``no_update``).
    retry
        Makes a button that keeps what was typed, for an edit of a version that is not the newest.
    """
    try:
        return edit()
    except IscanError as error:
        return no_update, refusal(error, retry)


def refusal(error: IscanError, retry: Callable[[], dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the message that says why an edit is refused, with the ways out; see `attempt`."""
    if not isinstance(error, EditConflict) or error.annotation_id is None:
        return message("danger", str(error))
    review = action("Review", "compare", annotation=error.annotation_id, version=error.version)
    return message("danger", str(error), action("Reload", "reload"), review, *([retry()] if retry else []))


def register(app: Dash) -> None:
    """Show each message that comes into the store."""
    app.clientside_callback(ClientsideFunction("iscan", "showToast"), Input(Shell.TOAST, "data"))
