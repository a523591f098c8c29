from pathlib import Path

import flask
import pytest

from iscan_dash.web import bundle
from iscan_dash.web.app import ASSETS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"b.js": "b();", "a.js": "a();", "theme.js": "alone();", "a.css": "a {}"}.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def test_files_are_joined_in_the_order_of_their_names(folder: Path) -> None:
    assert bundle.joined(folder, "js") == b"/* a.js */\na();\n/* b.js */\nb();"
    assert bundle.joined(folder, "css") == b"/* a.css */\na {}"


def test_the_address_changes_with_the_content_and_is_kept(folder: Path) -> None:
    server = flask.Flask("first")
    styles, scripts = bundle.register(server, folder)
    answer = server.test_client().get(scripts)
    assert answer.data == bundle.joined(folder, "js")
    assert answer.mimetype == "text/javascript"
    assert answer.headers["Cache-Control"] == "public, immutable, max-age=31536000"
    assert server.test_client().get(styles).mimetype == "text/css"
    (folder / "b.js").write_text("b(1);")
    changed = bundle.register(flask.Flask("second"), folder)
    assert changed[0] == styles
    assert changed[1] != scripts


def test_no_script_changes_what_the_next_one_means() -> None:
    # A file that ends without a semicolon would call what follows it.
    for path in ASSETS.glob("*.js"):
        text = path.read_text().rstrip()
        assert text.endswith((";", "}")), path.name
