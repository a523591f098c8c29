import flask
import pytest
from flask_compress import Compress

from iscan_dash.web import compression


@pytest.fixture
def server() -> flask.Flask:
    server = flask.Flask(__name__, static_folder=None)
    compression.configure(server)
    Compress(server)
    content = iter(range(10))

    @server.get("/<path:name>")
    def anything(name: str) -> flask.Response:
        return flask.Response(f"{next(content)} of {name} " * 200, mimetype="text/javascript")

    return server


def ask(server: flask.Flask, path: str) -> bytes:
    answer = server.test_client().get(path, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    return answer.data


def test_files_are_compressed_once(server: flask.Flask) -> None:
    assert ask(server, "/assets/a.js") == ask(server, "/assets/a.js?made=up")
    assert ask(server, "/assets/a.js") != ask(server, "/assets/b.js")


def test_what_may_change_is_never_kept(server: flask.Flask) -> None:
    assert ask(server, "/api/v1/status") != ask(server, "/api/v1/status")
