"""The routes of "Check before you label"."""

import time
from typing import Any

import numpy as np
import pytest
from dash import Dash
from flask.testing import FlaskClient

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.services.edit_table import View
from iscan_dash.services.inspection import Column, Superseded
from iscan_dash.services.workspace import Source
from iscan_dash.web.inspection import chosen_column
from tests.browser.studies import N_CELLS, small_values
from tests.web.conftest import services_of, visitor


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


@pytest.fixture
def desk(app: Dash) -> Any:
    desk = services_of(app)
    desk.edit_table.clear_ticks()
    return desk


def ask(client: FlaskClient, what: str, status: int = 200, **asked: Any) -> Any:
    response = client.post(f"/api/v1/check/{what}", json=asked)
    assert response.status_code == status, response.data
    return response.get_json()


def counts(values: list[str | None]) -> dict[str, int]:
    return {value: values.count(value) for value in values if value is not None}


def test_nothing_is_said_of_no_cells(client: FlaskClient, desk: Any) -> None:
    for target in ("ticked", "selection"):
        found = ask(client, "composition", target=target)
        assert (found["n"], found["of"], found["composition"]) == (0, N_CELLS, None)
        assert found["by"] == "cluster:leiden"


def test_composition_of_rows(client: FlaskClient, desk: Any) -> None:
    found = ask(client, "composition", target="filtered")
    values = small_values("leiden")
    assert {part["label"]: part["count"] for part in found["composition"]["parts"]} == counts(values)
    assert found["composition"]["missing"] == values.count(None)
    where = {"cluster:leiden": {"is": "labels", "values": ["1"]}}
    found = ask(client, "composition", target="filtered", view={"where": where}, by="cluster:leiden")
    total = values.count("1")
    assert [(part["label"], part["count"], part["total"]) for part in found["composition"]["parts"]] == [
        ("1", total, total)
    ]
    for row in range(7):
        desk.edit_table.tick(row, is_on=True)
    found = ask(client, "composition", target="ticked")
    assert found["n"] == 7
    assert {part["label"]: part["count"] for part in found["composition"]["parts"]} == counts(values[:7])


def test_a_column_that_is_gone_gives_way_to_the_usual_one(client: FlaskClient, desk: Any) -> None:
    for by in ("annotation:gone", "nonsense", "", "metadata:score"):
        assert ask(client, "composition", target="filtered", by=by)["by"] == "cluster:leiden"


def test_the_annotation_that_is_edited_is_the_last_to_be_counted_by() -> None:
    mine, other = (Column(Source("annotation", key), key) for key in ("mine", "other"))
    fate = Column(Source("metadata", "fate"), "fate")
    assert chosen_column([mine, other, fate], "", "mine") is other
    assert chosen_column([mine, fate], "", "mine") is fate
    assert chosen_column([mine], "", "mine") is mine
    assert chosen_column([mine, fate], "annotation:mine", "mine") is mine
    assert chosen_column([], "", "") is None


def test_many_labels_are_told_together(client: FlaskClient, desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iscan_dash.web.inspection.MOST_PARTS", 2)
    found = ask(client, "composition", target="filtered")["composition"]
    assert len(found["parts"]) == 2
    n_cells = sum(part["count"] for part in found["parts"]) + found["more"] + found["missing"]
    assert n_cells == N_CELLS
    assert found["n_more"] == len(counts(small_values("leiden"))) - 2


def test_markers(client: FlaskClient, desk: Any) -> None:
    for row in range(20):
        desk.edit_table.tick(row, is_on=True)
    end = time.monotonic() + 20
    while "progress" in (found := ask(client, "markers", target="ticked", page="p")):
        assert time.monotonic() < end
    assert (found["inside"], found["outside"], found["is_whole"]) == ([20, 20], [N_CELLS - 20, N_CELLS - 20], True)
    assert found["matrix"].startswith("X (")
    for marker in found["markers"]:
        assert set(marker) == {"gene", "inside", "outside", "difference", "score"}


def test_an_answer_nobody_waits_for_is_empty(client: FlaskClient, desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def superseded(*_: Any) -> Any:
        raise Superseded

    monkeypatch.setattr(desk.inspection, "markers", superseded)
    assert client.post("/api/v1/check/markers", json={"target": "filtered", "page": "p"}).status_code == 204


def test_trimming_ticks(client: FlaskClient, desk: Any) -> None:
    desk.edit_table.tick_all(View(), is_on=True)
    values = small_values("leiden")
    assert ask(client, "trim", by="cluster:leiden", label="1")["ticked"] == values.count("1")
    ticked = desk.edit_table.target("ticked", View())
    np.testing.assert_array_equal(ticked, np.array([value == "1" for value in values]))
    # By an annotation, too.
    made = desk.workspace.create_from_existing("two", [Source("cluster", "leiden")], CombineRecipe("Unassigned"))
    desk.edit_table.tick_all(View(), is_on=True)
    assert ask(client, "trim", by=f"annotation:{made.id}", label="2")["ticked"] == values.count("2")
    desk.workspace.delete(made.id, made.version)


@pytest.mark.parametrize(
    ("what", "asked"),
    [
        ("composition", {}),
        ("composition", {"target": "everything"}),
        ("composition", {"target": "ticked", "by": "x" * 9999}),
        ("composition", {"target": "filtered", "view": {"where": {"cluster:leiden": {"is": "magic"}}}}),
        ("markers", {"target": "ticked"}),
        ("markers", {"target": "ticked", "page": "x" * 99}),
        ("trim", {"by": "cluster:leiden"}),
        ("trim", {"by": "cluster:gone", "label": "1"}),
        ("trim", {"by": "annotation:gone", "label": "1"}),
        ("trim", {"by": "nonsense", "label": "1"}),
    ],
)
def test_what_makes_no_sense_is_refused(client: FlaskClient, desk: Any, what: str, asked: dict[str, Any]) -> None:
    assert ask(client, what, 400, **asked)["error"]
