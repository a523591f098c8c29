"""Our scripts and styles in one file each: a page asks for two files instead of forty."""

import hashlib
from pathlib import Path

import flask

ALONE = ("theme.js", "scatter_worker.js")
"""Scripts that are asked for by their own address: one that colours the page before it is seen, and one of a worker."""

FOLDER = "/bundle/"
"""Where both files are."""

YEAR = 31_536_000
"""Seconds that a file is kept, whose address changes when it does."""


def register(server: flask.Flask, folder: Path) -> tuple[str, str]:
    """Add the routes of both files.

    Parameters
    ----------
    server
        The server.
    folder
        Where the scripts and styles are; they are read once.

    Returns
    -------
    styles, scripts : str
        Their paths.
    """
    routes = flask.Blueprint("bundle", __name__)
    addresses = []
    for kind, mimetype in (("css", "text/css"), ("js", "text/javascript")):
        content = joined(folder, kind)
        address = f"{FOLDER}{hashlib.blake2b(content, digest_size=8).hexdigest()}.{kind}"

        def serve(content: bytes = content, mimetype: str = mimetype) -> flask.Response:
            response = flask.Response(content, mimetype=mimetype)
            response.cache_control.public = response.cache_control.immutable = True
            response.cache_control.max_age = YEAR
            return response

        routes.add_url_rule(address, kind, serve)
        addresses.append(address)
    server.register_blueprint(routes)
    return addresses[0], addresses[1]


def joined(folder: Path, kind: str) -> bytes:
    """Return all files of a kind (``"js"``, ``"css"``) in the order of their names, each under its name."""
    paths = (path for path in sorted(folder.glob(f"*.{kind}")) if path.name not in ALONE)
    return b"\n".join(b"/* %s */\n%s" % (path.name.encode(), path.read_bytes()) for path in paths)
