"""What tells a process manager how the server is: whether it lives, and whether it can be used."""

import os
from pathlib import Path

import flask
import orjson

from iscan_dash.web.security import ALIVE, READY
from iscan_dash.web.services import Services


def register(server: flask.Flask, services: Services) -> None:
    """Add the routes, which anybody may ask for: they tell nothing of the study."""

    @server.get(ALIVE)
    def alive() -> flask.Response:
        return flask.Response("ok\n", mimetype="text/plain")

    @server.get(READY)
    def ready() -> flask.Response:
        reasons = not_ready(services)
        return flask.Response(
            orjson.dumps({"ready": not reasons, "reasons": reasons}),
            503 if reasons else 200,
            mimetype="application/json",
        )


def not_ready(services: Services) -> list[str]:
    """Return why no more users should be sent here, a sentence each."""
    reasons = []
    if services.is_closing.is_set():
        reasons.append("The server is stopping.")
    if services.warm_up is not None and services.warm_up.is_alive():
        reasons.append("The study is being read.")
    workspaces = services.workspaces
    if not workspaces.is_closed and not _is_writable(workspaces.folder):
        reasons.append("The folder of drafts cannot be written.")
    return reasons


def _is_writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK)
