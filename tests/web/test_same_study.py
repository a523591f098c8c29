"""Pages of another study are refused; the same study, opened again, is known."""

import os
import re
import shutil
from pathlib import Path

import pytest
from dash import Dash
from flask.testing import FlaskClient

from iscan_dash.core.study import open_study
from iscan_dash.web.same_study import ANOTHER, HEADER, name_of
from tests.browser.studies import small_study
from tests.web.conftest import MakeApp, visitor


@pytest.fixture(scope="module")
def app(make_app: MakeApp, small_file: Path) -> Dash:
    return make_app(small_file)


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


def test_the_page_and_the_status_name_the_study(client: FlaskClient, small_file: Path) -> None:
    name = name_of(open_study([small_file]))
    found = re.search(r'<meta name="iscan-study" content="(\w+)">', client.get("/annotate").get_data(as_text=True))
    assert found and found[1] == name
    assert client.get("/api/v1/status").get_json()["study"] == name


def test_pages_of_another_study_are_refused(app: Dash, client: FlaskClient) -> None:
    name = client.get("/api/v1/status").get_json()["study"]
    # Also where the server of the other study knew the user, and this one does not.
    for asks in (client, app.server.test_client()):
        for path in ("/api/v1/status", "/_dash-layout", "/api/v1/nothing"):
            answer = asks.get(path, headers={HEADER: "another"})
            assert (answer.status_code, answer.get_json(), answer.headers[HEADER]) == (409, {"error": ANOTHER}, name)
    answer = client.post("/_dash-update-component", json={}, headers={HEADER: ""})
    assert (answer.status_code, answer.get_json()) == (409, {"error": ANOTHER})
    assert client.get("/api/v1/status", headers={HEADER: name}).status_code == 200


def test_the_name_is_that_of_the_files(tmp_path: Path, small_file: Path) -> None:
    name = name_of(open_study([small_file]))
    assert name_of(open_study([small_file], title="Other", sample_column="tissue")) == name
    assert name_of(open_study([small_file], obs_names="tissue")) != name
    moved = shutil.copy2(small_file, tmp_path / small_file.name)
    assert name_of(open_study([moved])) == name
    os.utime(moved, ns=(1, 1))
    assert name_of(open_study([moved])) != name
    assert name_of(open_study([small_study(tmp_path / "other.h5ad")])) != name
