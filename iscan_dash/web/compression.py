"""Keeps compressed what stays the same while the server runs: compressing Plotly takes longer than sending it."""

import flask

from iscan_dash.web.security import STATIC


class Compressed:
    """Compressed files by the key that `key` gives them; what has none is not kept."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """Return a file, None when it is not kept."""
        return self._kept.get(key)

    def set(self, key: str, content: bytes) -> None:
        """Keep a file."""
        if not key.endswith(";"):
            self._kept[key] = content


def key(request: flask.Request) -> str:
    """Return what tells a file apart that stays the same, else nothing.

    Its query does not count: whoever made one up for every request would fill the memory.
    """
    return request.path if request.path.startswith(STATIC) else ""


def configure(server: flask.Flask) -> None:
    """Have what is compressed kept; before Dash switches compression on."""
    server.config.update(COMPRESS_CACHE_BACKEND=Compressed, COMPRESS_CACHE_KEY=key)
