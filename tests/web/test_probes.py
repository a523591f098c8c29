"""What a process manager is told."""

import shutil
from pathlib import Path

from tests.web.conftest import MakeApp

ADDRESS = "http://10.0.0.7:8050"
"""The address of the machine, under which a process manager asks; it has no cookie."""


def test_a_server_that_runs_lives_and_is_ready_for_anybody(make_app: MakeApp, small_file: Path) -> None:
    app = make_app(small_file, allowed_hosts=("lab.example",))
    app.server.extensions["iscan"].warm_up.join()
    client = app.server.test_client()

    assert client.get("/healthz", base_url=ADDRESS).text == "ok\n"
    assert client.get("/readyz", base_url=ADDRESS).json == {"ready": True, "reasons": []}
    # Nothing else is told under that name.
    assert client.get("/", base_url=ADDRESS).status_code == 400


def test_why_a_server_is_not_ready(make_app: MakeApp, small_file: Path, tmp_path: Path) -> None:
    app = make_app(small_file, annotations_dir=tmp_path / "drafts", data_dir=tmp_path / "server")
    services = app.server.extensions["iscan"]
    services.warm_up.join()
    shutil.rmtree(tmp_path / "drafts")
    services.is_closing.set()
    client = app.server.test_client()

    answer = client.get("/readyz", base_url=ADDRESS)

    assert answer.status_code == 503
    assert answer.json == {
        "ready": False,
        "reasons": ["The server is stopping.", "The folder of drafts cannot be written."],
    }
    assert client.get("/healthz").status_code == 200
