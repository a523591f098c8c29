"""The routes that make references of the open study, without a browser."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dash import Dash
from flask.testing import FlaskClient

from tests.references import LABELS, gene_names, some_profiles, write_folder
from tests.studies import write_study
from tests.web.conftest import MakeApp, visitor

N_CELLS = 80
NAMES = list(dict.fromkeys(LABELS))
TRUTH = ["unknown" if place == 0 else NAMES[place % 4] for place in range(N_CELLS)]
MAIN = {"kind": "metadata", "key": "kind"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("references")
    write_folder(folder / "gut")
    return folder


@pytest.fixture(scope="module")
def app(make_app: MakeApp, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Dash:
    values = some_profiles([NAMES[place % 4] for place in range(N_CELLS)], seed=1)
    x = np.random.default_rng(1).poisson(values / 2).astype(np.float32)
    obs = {
        "kind": pd.Categorical(TRUTH),
        "leiden": pd.Categorical([str(place % 4) for place in range(N_CELLS)]),
        "one": pd.Categorical(["x"] * N_CELLS),
        "score": np.linspace(0, 1, N_CELLS),
    }
    path = write_study(tmp_path_factory.mktemp("cells") / "cells.h5ad", obs, genes=gene_names(600), x=x)
    return make_app(path, single_user=True, references=shared)


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


def ask(client: FlaskClient, path: str, status: int = 200, **form: Any) -> Any:
    response = client.post(f"/api/v1/make-reference{path}", json=form)
    assert response.status_code == status, response.data
    return response.get_json()


def test_what_is_offered(client: FlaskClient, shared: Path) -> None:
    offer = client.get("/api/v1/make-reference").get_json()
    assert offer["folder"] == str(shared)
    assert [(source["kind"], source["name"], source["groups"]) for source in offer["sources"]] == [
        ("metadata", "kind", 5),
        ("cluster", "leiden", 4),
    ]


def test_what_would_be_made(client: FlaskClient) -> None:
    said = ask(client, "/look", main=MAIN, name="Our study", fine={"kind": "cluster", "key": "leiden"})
    assert (said["problems"], said["id"], said["looks"]) == ({}, "our_study", "human")
    assert said["labels"]["main"][-1] == {"name": "unknown", "count": 1, "usual": True}
    assert [label["usual"] for label in said["labels"]["fine"]] == [False] * 4
    assert said["plan"] == {
        "cells": N_CELLS - 1,
        "left_out": 1,
        "labels": {"main": 4, "fine": 4},
        "profiles": 4,
        "rare": 10,
        "few": [],
    }
    with_all = ask(client, "/look", main=MAIN, name="x", exclude=[], profiles=2)
    assert (with_all["plan"]["few"], with_all["plan"]["profiles"], with_all["plan"]["left_out"]) == (["unknown"], 5, 0)


@pytest.mark.parametrize(
    ("form", "field", "sentence"),
    [
        ({"name": ""}, "name", "Enter a name."),
        ({"main": None}, "main", "Choose a column of labels."),
        ({"id": "Our"}, "id", "An id has 1 to 64 small letters, digits and _."),
        ({"id": "gut"}, "id", 'There is a reference "gut" already. Choose another id.'),
        (
            {"organism": "mouse"},
            "organism",
            "The gene names look like human. A reference of another organism would be refused.",
        ),
        ({"profiles": None}, "profiles", "Profiles for each label must be 1 to 50."),
        (
            {"main": {"kind": "metadata", "key": "score"}},
            "main",
            '"score" holds no labels, or too many. Choose another column.',
        ),
        ({"main": {"kind": "metadata", "key": "none"}}, "main", ""),
        ({"main": {"kind": "annotation", "key": "none"}}, "main", ""),
        ({"main": {"kind": "metadata", "key": "one"}}, "main", ""),
        ({"exclude": NAMES}, "main", ""),
    ],
)
def test_what_is_wrong(client: FlaskClient, form: dict[str, Any], field: str, sentence: str) -> None:
    given = {"main": MAIN, "name": "New", **form}
    problems = ask(client, "/look", **given)["problems"]
    assert set(problems) == {field}
    assert problems[field] == (sentence or problems[field])
    assert ask(client, "", 400, **given) == {"error": problems[field]}


@pytest.mark.parametrize(
    "form", [{"main": {"kind": "x", "key": "kind"}}, {"profiles": "1e999"}, {"exclude": "all"}, {"name": "x" * 1001}]
)
def test_hostile_forms(client: FlaskClient, form: dict[str, Any]) -> None:
    for path in ("/look", ""):
        assert ask(client, path, 400, **form)["error"].startswith("The request is not understood")


def test_it_is_made_and_shown_with_its_test(client: FlaskClient) -> None:
    job = ask(client, "", main=MAIN, name="Our study")["job"]
    assert (job["type"], job["name"]) == ("Make a reference", "Our study")
    for _ in range(600):
        (job,) = [own for own in client.get("/api/v1/jobs").get_json()["jobs"] if own["id"] == job["id"]]
        if not job["active"]:
            break
        time.sleep(0.1)
    assert (job["state"], job["result"]) == ("Finished", "our_study"), job["message"]
    listed = client.get("/api/v1/references").get_json()["references"]
    assert ["our_study", "ready"] in [[own["id"], own["state"]] for own in listed]
    test = client.get("/api/v1/references/our_study").get_json()["test"]["main"]
    assert test["accuracy"] == 1.0 and test["text"].startswith("100.0 % of ")
    assert {own["label"] for own in test["labels"]} == set(NAMES)
    assert client.get("/api/v1/references/gut").get_json()["test"] is None
