"""What is this? as the page asks it: of what the Assign bar is set to, against a reference that is made ready."""

import time
from typing import Any

import numpy as np
import pytest
from dash import Dash
from flask.testing import FlaskClient

from iscan_dash.errors import PredictionRefused
from iscan_dash.services.inspection import Superseded
from iscan_dash.services.prepared_references import Waiting
from iscan_dash.services.what_is_this import Namer
from tests.predictions import CLUSTERS, write_cells
from tests.references import write_folder
from tests.web.conftest import MakeApp, services_of, visitor

OF_CLUSTER = {"target": "filtered", "view": {"where": {"cluster:leiden": {"is": "labels", "values": ["3"]}}}}
GUT = {"reference": "gut", "page": "a"}


@pytest.fixture(scope="module")
def app(make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> Dash:
    folder = tmp_path_factory.mktemp("cells")
    write_folder(folder / "references" / "gut")
    return make_app(write_cells(folder / "cells.h5ad"), single_user=True, references=folder / "references")


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


def ask(client: FlaskClient, status: int = 200, **asked: Any) -> Any:
    """Ask until the answer is there; what is compiled first takes its time."""
    end = time.monotonic() + 240
    while True:
        response = client.post("/api/v1/check/what", json=asked)
        found = response.get_json() if response.status_code != 204 else None
        if not (found and "waiting" in found):
            assert response.status_code == status, response.data
            return found
        assert found["part"] is None or 0 <= found["part"] <= 1
        assert time.monotonic() < end


def test_it_is_what_the_service_says(app: Dash, client: FlaskClient) -> None:
    found = ask(client, **OF_CLUSTER, **GUT)
    mask = np.array(CLUSTERS) == "3"
    study = services_of(app).workspace.study
    wanted = app.server.extensions["iscan"].namer.what_is(study, mask, "gut")
    assert [own["label"] for own in found["candidates"]] == [own.label for own in wanted.candidates]
    assert found["candidates"][0]["label"] == "T cell"
    assert found["candidates"][0]["score"] == wanted.candidates[0].score
    assert (found["delta"], found["n_cells"], found["n_read"]) == (wanted.delta, mask.sum(), mask.sum())
    assert (found["reference"], found["found"], found["warnings"]) == (
        "Our gut",
        wanted.found_text,
        list(wanted.warnings),
    )


def test_refusals(client: FlaskClient) -> None:
    assert ask(client, 400, target="ticked", **GUT)["error"] == "Select cells first."
    assert 'no reference "skin"' in ask(client, 400, **OF_CLUSTER, reference="skin", page="a")["error"]
    assert "fine" in ask(client, 400, **OF_CLUSTER, **GUT, granularity="fine")["error"]
    assert "not understood" in ask(client, 400, **OF_CLUSTER, **GUT, granularity="x")["error"]
    assert "not understood" in ask(client, 400, **OF_CLUSTER, reference="x" * 100, page="a")["error"]


def test_waiting_and_newer_questions(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Namer, "what_is", lambda *_: Waiting("Reading the expression", 0.5))
    told = client.post("/api/v1/check/what", json={**OF_CLUSTER, **GUT}).get_json()
    assert told == {"waiting": "Reading the expression", "part": 0.5}

    def superseded(*_: Any) -> Any:
        raise Superseded

    monkeypatch.setattr(Namer, "what_is", superseded)
    assert ask(client, 204, **OF_CLUSTER, **GUT) is None

    def refused(*_: Any) -> Any:
        raise PredictionRefused("no")

    monkeypatch.setattr(Namer, "what_is", refused)
    assert ask(client, 400, **OF_CLUSTER, **GUT)["error"] == "no"
