"""The routes of the pages Enrichment and From Enrichment, without a browser."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
from dash import Dash
from flask.testing import FlaskClient

from tests.studies import log1p_cp10k, some_counts, write_study
from tests.web.conftest import MakeApp, visitor

N_CELLS = 40
GENES = ("CD3D", "CD3E", "MS4A1", "CD79A", "NKG7", "LYZ")
GMT = "T cell\tabout\tCD3D\tCD3E\nB cell\t\tMS4A1\tcd79a\tXYZ\nNothing\t\tXX1\n"
LEIDEN = [None if place == 0 else str(place % 2) for place in range(N_CELLS)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of references with a collection, and with a file that is none."""
    folder = tmp_path_factory.mktemp("references") / "gene_sets"
    folder.mkdir()
    (folder / "ours.gmt").write_text(GMT)
    (folder / "broken.json").write_text("{")
    return folder.parent


@pytest.fixture(scope="module")
def app(make_app: MakeApp, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Dash:
    counts = some_counts(N_CELLS, len(GENES))
    counts[::2, :2] += 5
    counts[1::2, 2:4] += 5
    obs = {"leiden": pd.Categorical(LEIDEN), "one": pd.Categorical(["=x+1"] * N_CELLS), "n": np.linspace(0, 1, N_CELLS)}
    x = log1p_cp10k(counts)
    path = write_study(tmp_path_factory.mktemp("cells") / "cells.h5ad", obs, genes=GENES, x=x, layers={"scaled": x - 2})
    return make_app(path, single_user=True, references=shared)


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


def ask(client: FlaskClient, path: str, status: int = 200, **body: Any) -> Any:
    response = client.post(f"/api/v1/{path}", json=body)
    assert response.status_code == status, response.data
    return response.get_json()


def send(client: FlaskClient, path: str, text: str, status: int = 200, **query: Any) -> Any:
    address = f"/api/v1/gene-sets/{path}?{urlencode(query)}"
    response = client.post(address, data=text.encode(), content_type="application/octet-stream")
    assert response.status_code == status, response.data
    return response.get_json()


def collection(client: FlaskClient, name: str, text: str = GMT) -> Any:
    """Return a collection of the user's, which is made when there is none."""
    for own in client.get("/api/v1/gene-sets").get_json()["collections"]:
        if (own["name"], own["origin"]) == (name, "own"):
            return own
    return send(client, "keep", text, called=name)["made"]


@pytest.fixture(scope="module")
def result(app: Dash) -> str:
    """The id of a result."""
    client = visitor(app)
    form = {"name": "First", "collection": collection(client, "Markers")["id"]}
    return score(client, **form)


def score(client: FlaskClient, **form: Any) -> str:
    """Submit an enrichment, wait for it, and return the id of its result."""
    job = ask(client, "enrichment", **form)["job"]
    for _ in range(1200):
        (job,) = [own for own in client.get("/api/v1/jobs").get_json()["jobs"] if own["id"] == job["id"]]
        if not job["active"]:
            break
        time.sleep(0.1)
    assert job["state"] == "Finished", job["message"]
    return str(job["result"])


def test_collections_are_listed(client: FlaskClient, shared: Path) -> None:
    listed = client.get("/api/v1/gene-sets").get_json()
    by_name = {own["name"]: own for own in listed["collections"]}
    assert by_name["ours"]["n_sets"] == 3 and not by_name["ours"]["editable"]
    assert by_name["broken"]["problem"]
    assert listed["folder"] == str(shared / "gene_sets")
    assert "gmt" in listed["formats"]


def test_what_was_read_is_held_against_the_study(client: FlaskClient) -> None:
    read = send(client, "read", GMT, name="mine.txt")
    assert (read["read_as"], read["title"], read["n_sets"]) == ("gmt", "GMT", 3)
    assert [(own["name"], own["found"], own["asked"]) for own in read["sets"]] == [
        ("T cell", 2, 2),
        ("B cell", 2, 3),
        ("Nothing", 0, 1),
    ]
    assert read["sets"][1]["missing"] == ["XYZ"]
    said = " ".join(read["report"])
    assert "Nothing" in said and "cd79a as CD79A" in said
    # A ranked table: the top of each group.
    table = "group,names,scores\n0,CD3D,5\n0,CD3E,4\n1,MS4A1,3\n"
    ranked = send(client, "read", table, name="de.csv", top=1)
    assert [(own["name"], own["genes"]) for own in ranked["sets"]] == [("0", ["CD3D"]), ("1", ["MS4A1"])]
    assert "empty" in send(client, "read", "")["refused"]
    assert "Choose one of" in send(client, "read", GMT, read_as="nothing")["refused"]
    assert "error" in send(client, "read", GMT, 400, top=0)


def test_a_collection_is_edited(client: FlaskClient) -> None:
    own = collection(client, "Edited")
    assert "already used" in send(client, "keep", GMT, called="edited")["refused"]
    assert "Enter a name" in send(client, "keep", GMT, called=" ")["refused"]
    # Names that are there already: it is asked what becomes of them.
    more = "T cell: LYZ\nNew: LYZ"
    to_it = {"collection": own["id"], "version": own["version"]}
    assert "same name already (T cell)" in send(client, "keep", more, **to_it)["repeated"]
    own = send(client, "keep", more, **to_it, repeated="merge")["made"]
    sets = one(client, own["id"])["sets"]
    assert [(each["name"], each["genes"]) for each in sets][::3] == [
        ("T cell", ["CD3D", "CD3E", "LYZ"]),
        ("New", ["LYZ"]),
    ]
    assert "Load the page again" in send(client, "keep", more, **to_it, repeated="merge")["refused"]
    twice = "A: CD3D\nA: LYZ"
    assert "1 name occurs several times" in send(client, "keep", twice, called="Twice")["repeated"]
    edit = {"id": own["id"], "version": own["version"], "former": "New", "name": "Newer", "genes": "LYZ CD3D-"}
    own = ask(client, "gene-sets/set", **edit)
    assert one(client, own["id"], q="newer")["sets"][0]["genes"] == ["LYZ", "CD3D-"]
    own = ask(client, "gene-sets/delete-sets", id=own["id"], version=own["version"], names=["Newer"])
    assert own["n_sets"] == 3
    renamed = {"id": own["id"], "version": own["version"], "name": "Other", "description": "about"}
    own = ask(client, "gene-sets/rename", **renamed)
    assert (own["name"], own["description"]) == ("Other", "about")
    copy = ask(client, "gene-sets/duplicate", id=own["id"], name="Copy")
    assert ask(client, "gene-sets/delete", id=copy["id"])["name"] == "Copy"
    assert "not there any more" in client.get(f"/api/v1/gene-sets/one?id={copy['id']}").get_json()["error"]
    assert ask(client, "gene-sets/restore", id=copy["id"])["name"] == "Copy"
    for kind in ("gmt", "csv", "json"):
        answer = client.get(f"/api/v1/gene-sets/export?{urlencode({'id': copy['id'], 'kind': kind})}")
        assert answer.headers["Content-Disposition"] == f"attachment; filename=Copy.{kind}"
        assert "CD3D" in answer.text
    greek = ask(client, "gene-sets/duplicate", id=copy["id"], name="γδ T")
    answer = client.get(f"/api/v1/gene-sets/export?id={greek['id']}&kind=gmt")
    # What servers send are headers of Latin-1.
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%CE%B3%CE%B4_T.gmt"
    assert "belongs to everybody" in ask(client, "gene-sets/delete", 400, id="shared:ours.gmt")["error"]


def one(client: FlaskClient, id_: str, **query: str) -> Any:
    return client.get(f"/api/v1/gene-sets/one?{urlencode({'id': id_, **query})}").get_json()


@pytest.mark.parametrize(
    ("form", "field", "sentence"),
    [
        ({"name": ""}, "name", "Enter a name."),
        ({"collection": ""}, "sets", "Choose a gene set collection."),
        ({"collection": "gone"}, "card", "not there any more"),
        ({"sets": []}, "sets", "Choose at least one gene set."),
        ({"sets": ["Nothing"]}, "sets", "None of the genes in the chosen sets are in this dataset."),
        ({"sets": ["Gone"]}, "sets", 'has no gene set "Gone" any more'),
        ({"matrix": "layers/scaled"}, "matrix", "Choose counts or log values. In this study: X."),
        ({"method": "gsva"}, "card", "There is no method"),
        ({"seed": -1}, "seed", "The seed must be"),
        ({"filtered": True}, "card", "No cells are filtered now"),
    ],
)
def test_what_the_form_refuses(client: FlaskClient, form: dict[str, Any], field: str, sentence: str) -> None:
    own = collection(client, "Markers")["id"]
    given = {"name": "New", "collection": own, **form}
    problems = ask(client, "enrichment/look", **given)["problems"]
    assert field in problems and sentence in problems[field][1], problems
    assert "error" in ask(client, "enrichment", 400, **given)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("enrichment/look", {"sets": "all"}),
        ("enrichment/look", {"name": "x" * 1001}),
        ("enrichment", {"seed": "1e999"}),
        ("gene-sets/set", {"id": "x"}),
        ("gene-sets/delete", {}),
        ("enrichments/x/labels", {"by": {"kind": "gene", "key": "CD3D"}}),
        ("enrichments/x/create", {"by": {"kind": "cluster", "key": "leiden"}, "groups": [{"group": 1}]}),
    ],
)
def test_hostile_forms(client: FlaskClient, path: str, form: dict[str, Any]) -> None:
    assert ask(client, path, 400, **form)["error"].startswith("The request is not understood")


def test_a_result_is_grouped_and_labelled(client: FlaskClient, result: str) -> None:
    columns = client.get("/api/v1/enrichments/columns").get_json()["columns"]
    assert [(own["kind"], own["name"], own["groups"]) for own in columns] == [
        ("cluster", "leiden", 2),
        ("metadata", "one", 1),
    ]
    found = table(client, result, "cluster", "leiden")
    assert [group["label"] for group in found["groups"]] == ["0", "1", None]
    assert found["columns"]["score"][0][2] is None and found["best"][:2] == [0, 1]
    form = {
        "by": {"kind": "cluster", "key": "leiden"},
        "groups": [{"group": "0", "sets": ["B cell", "T cell"]}, {"group": "1", "custom": True}],
        "default": "none",
        "join": "+",
        "stamp": found["stamp"],
        "name": "",
    }
    said = ask(client, f"enrichments/{result}/labels", **form)
    assert said["problems"]["name"][0] == "E01"
    assert [row["label"] for row in said["labels"]["rows"]] == ["T cell+B cell", "", "none"]
    assert said["labels"]["rows"][1]["code"] == "E21" and said["labels"]["n_unlabelled"] == 1
    assert "Enter the custom label for group 1" in ask(client, f"enrichments/{result}/create", 400, **form)["error"]
    form["groups"][1]["text"] = "B"  # type: ignore[index]
    form["name"] = "Made"
    made = ask(client, f"enrichments/{result}/create", **form)
    assert made["text"].startswith('"Made" was created: 3 labels, ')
    # As an annotation it can be grouped by in turn.
    again = table(client, result, "annotation", made["id"])
    wanted = {"0": "T cell+B cell", "1": "B", None: "none"}
    counts = {group["label"]: group["n"] for group in again["groups"]}
    assert counts == {label: LEIDEN.count(value) for value, label in wanted.items()}
    assert (
        "Look at the labels again"
        in ask(client, f"enrichments/{result}/create", 400, **{**form, "name": "x", "stamp": "old"})["error"]
    )
    for key, value in (("default", ""), ("join", "x" * 17)):
        assert key in ask(client, f"enrichments/{result}/labels", **{**form, key: value})["problems"]
    text = client.get(f"/api/v1/enrichments/{result}/table.csv?kind=cluster&key=leiden").text
    assert sum(line.startswith(('"0",', '"1",', '"(missing)",')) for line in text.splitlines()) == 9
    # What a spreadsheet takes for a formula is marked.
    text = client.get(f"/api/v1/enrichments/{result}/table.csv?kind=metadata&key=one").text
    assert sum(line.startswith('"\'=x+1",') for line in text.splitlines()) == 3
    assert "error" in client.get(f"/api/v1/enrichments/{result}/table?kind=metadata&key=n").get_json()
    assert "error" in client.get("/api/v1/enrichments/none/table?kind=cluster&key=leiden").get_json()


def test_a_set_of_which_few_genes_were_found_is_never_suggested(client: FlaskClient) -> None:
    text = "Of seven\t\tCD3E\tXA\tXB\tXC\tXD\tXE\tXF\n"
    made = score(client, name="Few", collection=collection(client, "Few", text)["id"])
    grouped = table(client, made, "cluster", "leiden")
    columns = grouped["columns"]
    # All else speaks for it.
    assert columns["auc"][0][0] > 0.5 and columns["minus_log10_adjusted"][0][0] > 1.4
    assert grouped["best"][0] is None


def table(client: FlaskClient, result: str, kind: str, key: str) -> Any:
    return client.get(f"/api/v1/enrichments/{result}/table?{urlencode({'kind': kind, 'key': key})}").get_json()


def test_filtered_cells_are_scored_and_asked_for_again(client: FlaskClient, result: str) -> None:
    condition = {"is": "labels", "kind": "cluster", "key": "leiden", "values": ["0"]}
    state = ask(client, "selection", do="filter", condition=condition)
    form = {"name": "Some", "collection": collection(client, "Markers")["id"], "sets": ["T cell"], "filtered": True}
    look = ask(client, "enrichment/look", **form)
    assert look["preflight"]["n_cells"] == LEIDEN.count("0")
    # The cells that the page shows, and no others.
    assert "Cell Filter changed" in ask(client, "enrichment", 400, **form, selection=1)["error"]
    job = ask(client, "enrichment", **form, selection=state["mask_version"])["job"]
    again = client.get(f"/api/v1/enrichment/form/{job['id']}").get_json()
    assert {key: again["form"][key] for key in form} == form
    assert again["cells"]["count"] == LEIDEN.count("0")
    ask(client, "selection", do="clear", what="all")


def test_results_are_listed_renamed_and_deleted(client: FlaskClient, result: str) -> None:
    def names() -> list[str]:
        return [own["name"] for own in client.get("/api/v1/enrichments").get_json()["results"] if own["id"] == result]

    assert names() == ["First"]
    assert ask(client, "enrichments/rename", id=result, name="Again")["name"] == "Again"
    ask(client, "enrichments/delete", id=result)
    assert names() == []
    jobs = client.get("/api/v1/jobs").get_json()["jobs"]
    assert [job["result"] for job in jobs if job["name"] == "First"] == [None]
    ask(client, "enrichments/restore", id=result)
    assert names() == ["Again"]


@pytest.mark.parametrize(
    "path", ["/enrichment", "/enrichment/sets", "/annotate/enrichment", "/window/enrichment/score"]
)
def test_pages_are_there(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 200
