"""The routes of predictions, jobs and references, without a browser."""

import threading
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dash import Dash
from flask.testing import FlaskClient

from iscan_dash.errors import PredictionRefused
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.preflights import Preflights
from iscan_dash.services.prepared_references import Waiting
from tests.references import LABELS, gene_names, some_profiles, write_folder
from tests.studies import write_study
from tests.web.conftest import MakeApp, visitor

N_CELLS = 60


@pytest.fixture(scope="module")
def app(make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> Dash:
    folder = tmp_path_factory.mktemp("cells")
    write_folder(folder / "references" / "gut")
    names = list(dict.fromkeys(LABELS))
    values = some_profiles([names[place % 4] for place in range(N_CELLS)], seed=1)
    x = np.random.default_rng(1).poisson(values / 3).astype(np.float32)
    obs = {"leiden": pd.Categorical([str(place % 4) for place in range(N_CELLS)])}
    var = {"id": [f"id{place}" for place in range(600)], "chromosome": pd.Categorical(["1", "2"] * 300)}
    path = write_study(folder / "cells.h5ad", obs, genes=gene_names(600), x=x, layers={"scaled": x - 1}, var=var)
    return make_app(path, single_user=True, references=folder / "references")


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


def ask(client: FlaskClient, path: str, status: int = 200, **body: Any) -> Any:
    response = client.post(f"/api/v1/{path}", json=body)
    assert response.status_code == status, response.data
    return response.get_json()


def look(client: FlaskClient, **form: Any) -> Any:
    for _ in range(300):
        found = ask(client, "prediction/preflight", **form)
        if not found["waiting"]:
            return found
        time.sleep(0.1)
    raise AssertionError("the preflight does not come")


def test_what_is_offered(client: FlaskClient) -> None:
    offer = client.get("/api/v1/prediction").get_json()
    assert offer["gene_columns"] == [
        {"key": "", "name": "_index", "example": "GENE0"},
        {"key": "_index", "name": "_index", "example": "GENE0"},
        {"key": "id", "name": "id", "example": "id0"},
    ]
    assert offer["samples"] == [{"name": "cells", "count": N_CELLS}]
    assert offer["columns"] == {"cluster": [{"name": "leiden", "groups": 4, "missing": 0}], "metadata": []}
    assert [(matrix["key"], matrix["scaled"]) for matrix in offer["matrices"]] == [
        ("X", False),
        ("layers/scaled", True),
    ]
    assert offer["recommended"] == "X"
    ready = [entry["id"] for entry in offer["references"] if entry["ready"]]
    assert ready == ["hao_pbmc", "gut"]


def test_what_to_expect(client: FlaskClient) -> None:
    found = look(client, reference="gut", by_cluster=True, column="leiden")
    assert (found["problems"], found["name"], found["name_note"]) == ({}, "SingleR_gut_main", "")
    told = found["preflight"]
    assert (told["cells"], told["groups"], told["labels"], told["is_few"]) == (N_CELLS, 4, 4, False)
    assert told["found"] == told["markers"] > 0
    assert told["seconds"] > 0
    assert told["memory"] > 0


@pytest.mark.parametrize(
    ("form", "field", "code"),
    [
        ({"name": "{x}"}, "name", "E11"),
        ({"name": " "}, "name", "E01"),
        ({"samples": []}, "samples", "E12"),
        ({"reference": "hao_pbmc"}, "card", "E13"),
        ({"matrix": "layers/scaled"}, "matrix", "E15"),
        ({"by_cluster": True}, "column", "E16"),
        ({"by_cluster": True, "column": "none"}, "card", ""),
        ({"samples": ["none"]}, "card", ""),
        ({"reference": "none"}, "card", ""),
        ({"reference": "hpca"}, "card", ""),
        ({"granularity": "fine"}, "card", ""),
        ({"gene_column": "id"}, "card", "E13"),
        ({"gene_column": "none"}, "card", ""),
        ({"threshold": 0.11}, "threshold", "E17"),
        ({"threshold": None}, "threshold", "E17"),
        ({"nmads": -0.1}, "nmads", "E17"),
        ({"nmads": None}, "nmads", "E17"),
        ({"nmads": 1001}, "nmads", "E17"),
    ],
)
def test_what_is_wrong(client: FlaskClient, form: dict[str, Any], field: str, code: str) -> None:
    given = {"reference": "gut", **form}
    problems = look(client, **given)["problems"]
    assert {key: said[0] for key, said in problems.items()} == {field: code}
    refused = ask(client, "prediction", 400, **given)
    assert refused == {"error": problems[field][1]}


def test_before_a_reference_is_chosen(client: FlaskClient) -> None:
    found = look(client)
    assert (found["problems"], found["name"], found["preflight"]) == ({}, "", None)
    assert look(client, name="{lab}")["problems"]["name"][0] == "E11"


def test_of_what_is_hidden_nothing_counts(client: FlaskClient) -> None:
    form = {"reference": "gut", "threshold": 9, "fine_tune": False, "nmads": -1, "no_pruning": True}
    assert look(client, **form)["problems"] == {}


@pytest.mark.parametrize(
    "form",
    [{"granularity": "x"}, {"samples": "all"}, {"name": "x" * 1001}, {"nmads": "1e999"}, {"reference": "r" * 65}],
)
def test_hostile_forms(client: FlaskClient, form: dict[str, Any]) -> None:
    for path in ("prediction/preflight", "prediction"):
        assert ask(client, path, 400, **form)["error"].startswith("The request is not understood")


def test_a_job_and_the_form_that_asks_again(client: FlaskClient) -> None:
    form = {"reference": "gut", "name": "again", "nmads": 4.5, "matrix": "X", "by_cluster": True, "column": "leiden"}
    job = ask(client, "prediction", **form)["job"]
    assert (job["name"], job["type"], job["mine"]) == ("again", "Cell type prediction", True)
    earlier = client.get(f"/api/v1/prediction/form/{job['id']}").get_json()
    assert {key: earlier[key] for key in form} == form
    for _ in range(600):
        listed = client.get("/api/v1/jobs").get_json()
        (row,) = [row for row in listed["jobs"] if row["id"] == job["id"]]
        if not row["active"]:
            break
        time.sleep(0.1)
    assert (row["state"], row["progress"], row["result"] is not None) == ("Finished", 100, True)
    assert client.get(f"/api/v1/jobs?since={listed['version']}").get_json()["jobs"] == []
    # A page of a list that is gone gets everything.
    later = client.get("/api/v1/jobs?since=999999999999999999999999").get_json()
    assert later["all"] is True
    assert later["jobs"]
    assert "4 labels" in client.get(f"/api/v1/jobs/{job['id']}/log").get_json()["log"]
    assert client.get("/api/v1/edits").get_json()["edits"][0]["name"] == "again"
    assert "cannot be cancelled" in ask(client, f"jobs/{job['id']}/cancel", 400)["error"]
    again = [ask(client, f"jobs/{job['id']}/rerun")["job"] for _ in range(2)]
    assert {(row["id"], row["name"]) for row in again} == {(again[0]["id"], "again")}
    assert again[0]["id"] != job["id"]


def test_jobs_that_are_not_there(client: FlaskClient) -> None:
    for path in ("jobs/none/log", "prediction/form/none"):
        assert "no such job" in client.get(f"/api/v1/{path}").get_json()["error"]
    for what in ("cancel", "rerun"):
        assert "no such job" in ask(client, f"jobs/none/{what}", 400)["error"]


def test_references(client: FlaskClient) -> None:
    listed = client.get("/api/v1/references").get_json()
    assert {entry["key"]: entry["state"] for entry in listed["references"]}["gut"] == "ready"
    details = client.get("/api/v1/references/gut").get_json()
    assert [name for name, _ in details["labels"]["main"]] == sorted(set(LABELS))
    assert "no such reference" in client.get("/api/v1/references/none").get_json()["error"]
    for id_ in ("gut", "none", "hao_pbmc"):
        assert "none that can be" in ask(client, f"references/{id_}/install", 400)["error"]


class SlowPredictor:
    """Takes its time, and refuses what is called bad."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def preflight(self, _study: Any, parameters: Parameters) -> Any:
        self.go.wait(20)
        if parameters.reference == "bad":
            raise PredictionRefused("It is bad.", "E13")
        return parameters.reference


class SomeStudy:
    choices = ()


def test_preflights_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iscan_dash.services.preflights.PATIENCE", 0.05)
    predictor: Any = SlowPredictor()
    study: Any = SomeStudy()
    preflights = Preflights(predictor)
    try:
        for number in range(9):
            assert isinstance(preflights.look(study, Parameters(f"r{number}")), Waiting)
        assert isinstance(preflights.look(study, Parameters("bad")), Waiting)
        predictor.go.set()
        monkeypatch.setattr("iscan_dash.services.preflights.PATIENCE", 10.0)
        assert preflights.look(study, Parameters("r8", nmads=7.0)) == "r8"
        with pytest.raises(PredictionRefused, match="It is bad"):
            preflights.look(study, Parameters("bad"))
        # What was pushed out of the queue is asked anew.
        assert preflights.look(study, Parameters("r1")) == "r1"
    finally:
        preflights.close()
