"""How things stand for a user: what every page asks for again and again."""

from typing import TYPE_CHECKING, Any

from iscan_dash.web.components import toast

if TYPE_CHECKING:
    from iscan_dash.web.services import Desk


def own_status(desk: "Desk") -> dict[str, Any]:
    """Return what the pages of a user are told of what is theirs; `revision` is their part of it."""
    workspace = desk.workspace
    save = workspace.save_status
    return {
        "revision": workspace.own_revision,
        "save": save.state,
        "reason": save.reason,
        "draft": save.path,
        "saved_at": save.saved_at,
        "changed_files": workspace.changed_files(),
        "selection": desk.selections.version,
        "ticks": desk.edit_table.ticks.digest,
        "needs_name": workspace.needs_name and not workspace.is_closed,
        "notices": notices(desk),
    }


def notices(desk: "Desk") -> list[dict[str, Any]]:
    """Return what the page tells a user once: what happened to the draft, and which old drafts they may bring here."""
    workspace = desk.workspace
    found: list[dict[str, Any]] = [
        {"id": notice.id, "text": notice.text, "actions": []} for notice in workspace.notices()
    ]
    n_cells = workspace.study.n_cells
    for old in desk.offers.open():
        text = (
            f"{old.name} holds your annotations of other cells: {old.n_matched:,} of {n_cells:,} cells match by sample "
            "and ID."
        )
        actions: list[dict[str, Any]] = [
            toast.action("Re-attach", "reattach", fingerprint=old.fingerprint),
            toast.action("Not now", "leave", fingerprint=old.fingerprint),
        ]
        found.append({"id": old.fingerprint, "text": text, "actions": actions})
    return found
