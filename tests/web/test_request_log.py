"""What servers log: every request and edit, and nothing of what was labelled."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.browser.studies import small_study
from tests.services.page_client import PageClient
from tests.web.host import Host

HEADER = "X-Who"
JSON = {"ISCAN_LOG_FORMAT": "json", "ISCAN_LOG_LEVEL": "INFO", "ISCAN_USER_HEADER": HEADER}

servers = pytest.mark.parametrize(
    "waitress",
    [
        pytest.param(True, id="waitress"),
        pytest.param(
            False, id="gunicorn", marks=pytest.mark.skipif(sys.platform == "win32", reason="Gunicorn needs fork")
        ),
    ],
)


@servers
def test_every_line_is_an_event(tmp_path: Path, waitress: bool) -> None:
    host = Host(small_study(tmp_path / "small.h5ad"), tmp_path, JSON, waitress=waitress).start()
    try:
        client = PageClient(host.port, {HEADER: "Ada"})
        form = {"seq": 1, "name": "secret name", "default": "secret label", "copy_on": True, "metadata": ["tissue"]}
        revision, said = client.edit("new-create.n_clicks", 1, {"new-form": form})
        assert revision == 1, said
        again, _ = client.edit("new-create.n_clicks", 1, {"new-form": form})
        assert again is None
        client.get("/api/v1/cells/7?by=metadata%3Atissue&token=secret")
        assert host.status("/api/v1/status") == 401
        for polled in ("jobs", "prediction/references"):
            assert host.status(f"/api/v1/{polled}", **{HEADER: "Ada"}) == 200
        assert host.status("/nowhere/secret%0Aforged", **{HEADER: "Ada"}) in {200, 404}
        client.close()
        host.stop()
    finally:
        host.close()

    events = host.events()
    told = Counter(event["event"] for event in events if event["logger"] == "iscan_dash")
    assert (told["started"], told["stopped"], told["edit"]) == (1, 1, 1)
    (edit,) = (event for event in events if event["event"] == "edit")
    assert (edit["user"], edit["verb"], edit["cells"], edit["seq"]) == ("Ada", "create", 51, 1)
    requests = [event for event in events if event["event"] == "request"]
    assert {"method": "POST", "route": "/_dash-update-component", "user": "Ada", "status": 200}.items() <= next(
        event for event in requests if event["method"] == "POST"
    ).items()
    routes = {event["route"] for event in requests}
    assert "/api/v1/cells/<int:row>" in routes
    # Pages ask for these again and again.
    assert not routes & {"/api/v1/status", "/api/v1/jobs", "/api/v1/prediction/references"}
    assert all(event["ms"] >= 0 for event in requests)
    refusals = [event for event in events if event["event"] == "refused"]
    assert [event.get("status") for event in refusals if event["logger"] == "iscan_dash"].count(401) == 1
    said = "\n".join(host.log_lines())
    # Neither what was labelled nor what was asked about.
    assert "secret" not in said and "forged" not in said


@servers
def test_only_what_went_wrong_is_told_unless_more_is_asked_for(tmp_path: Path, waitress: bool) -> None:
    host = Host(small_study(tmp_path / "small.h5ad"), tmp_path, {"ISCAN_SINGLE_USER": "1"}, waitress=waitress).start()
    try:
        assert host.status("/api/v1/cells/7?by=") == 200
        host.stop()
    finally:
        host.close()
    # Gunicorn says itself where it listens.
    assert [line for line in host.log_lines() if " gunicorn." not in line] == []
