"""The routes of the selection: what they tell, what they refuse, and whose selection it is."""

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dash import Dash
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from iscan_dash.core.selection.mask_codec import decode
from iscan_dash.settings import Settings
from iscan_dash.web.app import create_app
from tests.browser.studies import N_CELLS, small_values
from tests.web.conftest import MakeApp, services_of, visitor

ACT = "/api/v1/selection"
LEIDEN = {"is": "labels", "kind": "cluster", "key": "leiden", "values": ["1", "3"]}
SQUARE = [[-3, -3], [3, -3], [3, 3], [-3, 3]]
DRAW = {"do": "draw", "plot": 1, "axes": "X_umap", "points": SQUARE}


@pytest.fixture
def client(app: Dash) -> Iterator[FlaskClient]:
    """The browser of the one user, with nothing selected."""
    client = visitor(app)
    assert client.post(ACT, json={"do": "clear"}).status_code == 200
    yield client
    client.post(ACT, json={"do": "clear"})


def put(client: FlaskClient, condition: Any) -> TestResponse:
    return client.post(ACT, json={"do": "filter", "condition": condition})


def mask_of(client: FlaskClient) -> list[bool]:
    return decode(client.get(ACT).data, N_CELLS).tolist()  # type: ignore[no-any-return]


def said(response: TestResponse) -> str:
    assert response.status_code == 400, response.text
    sentence: str = response.get_json()["error"]
    return sentence


# -- what is told ----------------------------------------------------------------------------------------------------


def test_a_change_is_answered_with_the_state_and_the_mask_follows(client: FlaskClient) -> None:
    state = put(client, LEIDEN).get_json()
    expected = [own in {"1", "3"} for own in small_values("leiden")]
    assert (state["count"], state["text"], state["active"]) == (sum(expected), "leiden in {1, 3}", True)
    assert mask_of(client) == expected
    assert client.get(f"{ACT}/state").get_json() == state
    assert client.get("/api/v1/status").get_json()["selection"] == state["version"]
    recipe = client.get(f"{ACT}/recipe").get_json()
    assert recipe["filters"][0]["condition"]["values"] == ["1", "3"]
    client.post(ACT, json={"do": "clear"})
    assert client.post(ACT, json={"do": "load", "recipe": recipe}).get_json()["count"] == sum(expected)


def test_nothing_selected_is_an_empty_body(client: FlaskClient) -> None:
    response = client.get(ACT)
    assert (response.status_code, response.data, response.mimetype) == (200, b"", "application/octet-stream")
    put(client, {"is": "unfinished"})
    assert client.get(ACT).data == b""
    assert client.get(f"{ACT}/state").get_json()["count"] is None


def test_a_mask_that_is_known_is_not_sent_again(client: FlaskClient) -> None:
    put(client, LEIDEN)
    first = client.get(ACT)
    again = client.get(f"{ACT}?v=5", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert "private" in first.headers["Cache-Control"] and "no-cache" in first.headers["Cache-Control"]
    client.post(ACT, json=DRAW)
    assert client.get(ACT, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_the_page_is_told_the_selection_as_it_opens(client: FlaskClient, app: Dash) -> None:
    state = put(client, LEIDEN).get_json()
    layout = client.get("/_dash-layout").get_json()
    (found,) = [part["props"] for part in layout["props"]["children"] if part["props"].get("id") == "selection-state"]
    assert found["data"] == state
    np.testing.assert_array_equal(services_of(app).selections.mask(), mask_of(client))


def test_what_conditions_are_made_of(client: FlaskClient) -> None:
    columns = client.get("/api/v1/filter/columns").get_json()["columns"]
    assert {"is": "range", "kind": "metadata", "key": "score", "title": "score"} in columns
    values = client.get("/api/v1/filter/values?kind=metadata&key=phase&q=early").get_json()
    assert [(own["label"], own["count"]) for own in values["values"]] == [
        ("S, early", small_values("phase").count("S, early"))
    ]
    assert (values["n_levels"], values["missing"]) == (2, small_values("phase").count(None))
    assert sum(client.get("/api/v1/filter/histogram?kind=metadata&key=score").get_json()["counts"]) == N_CELLS
    assert client.get("/api/v1/filter/genes?q=cd3").get_json() == {"genes": ["CD3D", "CD3E"]}
    assert client.get("/api/v1/filter/saved").get_json() == {"counts": {}}


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (DRAW | {"axes": "X_tsne"}, 'This study has no embedding "X_tsne".'),
        ({"do": "text", "text": "leiden in {1"}, "Character 13: expected , or }, not the end."),
        ({"do": "save", "name": "x"}, "Nothing is selected. Select cells, then save the selection."),
        ({"do": "back", "steps": 3} | {"do": "use_saved", "id": "x"}, "This saved selection was deleted. Choose another one."),
        ({"do": "explode"}, "The request is not understood: Input tag 'explode' found using 'do' does not match any"),
        (DRAW | {"points": [[0, 0]] * 2001}, "The request is not understood: "),
        (DRAW | {"points": [[0, "x"]]}, "The request is not understood: "),
        (DRAW | {"points": [[0, 1e300]]}, "The request is not understood: "),
        (DRAW | {"points": [[0, None]]}, "The request is not understood: "),
        (DRAW | {"points": [[0, 0, 0]]}, "The request is not understood: "),
        (DRAW | {"plot": 0}, "The request is not understood: "),
        (DRAW | {"plot": 2**70}, "The request is not understood: "),
        (DRAW | {"axes": "x" * 1001}, "The request is not understood: "),
        ([], "The request is not understood: "),
        (None, "The request is not understood: "),
        ("clear", "The request is not understood: "),
    ],
)  # fmt: skip
def test_what_is_refused_is_told(client: FlaskClient, action: Any, sentence: str) -> None:
    before = client.get(f"{ACT}/state").get_json()
    assert said(client.post(ACT, json=action)).startswith(sentence)
    assert client.get(f"{ACT}/state").get_json() == before


def test_the_place_in_a_text_and_the_rule_of_a_name_are_told(client: FlaskClient) -> None:
    assert client.post(ACT, json={"do": "text", "text": "leiden of"}).get_json()["position"] == 7
    put(client, LEIDEN)
    assert client.post(ACT, json={"do": "save", "name": "leiden"}).get_json()["code"] == "E02"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"do": "draw", "plot": 1, "axes": "X_umap", "points": [[NaN, 0]]}',
        b'{"do": "draw", "plot": 1, "axes": "X_umap", "points": [[1e999, 0]]}',
        b'{"do": "custom", "tree": ' + b'{"is": "and", "of": [' * 3000 + b"]}" * 3000 + b"}",
        b'{"do": "text", "text": "' + b"(" * 150_000 + b'"}',
        b'{"do": "text", "text": "' + b"not " * 40_000 + b'plot"}',
        b"[" * 100_000,
        b'{"do": "filter", "condition": {"is": "labels", "kind": "cluster", "key": "leiden", "values": ["'
        + b'","'.join(b"%d" % number for number in range(10_001))
        + b'"]}}',
        b'{"do": "filter", "condition": {"is": "range", "kind": "gene", "key": "LYZ", "low": -Infinity}}',
    ],
    ids=["nothing", "broken", "NaN", "huge", "deep", "brackets", "nots", "lists", "values", "infinity"],
)
def test_hostile_bodies_are_refused(client: FlaskClient, body: bytes) -> None:
    response = client.post(ACT, data=body, content_type="application/json")
    assert response.status_code == 400
    assert len(said(response)) < 1000
    assert not client.get(f"{ACT}/state").get_json()["active"]


def test_groups_that_are_nested_too_deep_are_refused(client: FlaskClient) -> None:
    tree: Any = {"is": "plot", "plot": 1}
    for _ in range(7):
        tree = {"is": "and", "of": [tree]}
    assert "6 deep" in said(client.post(ACT, json={"do": "custom", "tree": tree}))
    assert client.post(ACT, json={"do": "custom", "tree": tree["of"][0]}).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "values?kind=metadata&key=gone",
        "values?kind=gene&key=LYZ",
        "values?kind=metadata&key=phase&offset=-1",
        "values?kind=metadata&key=phase&offset=x",
        f"values?kind=metadata&key={'x' * 2000}",
        "values",
        "histogram?kind=metadata&key=phase",
        "histogram?kind=gene&key=GONE",
    ],
)
def test_columns_that_are_not_there_are_refused(client: FlaskClient, query: str) -> None:
    assert said(client.get(f"/api/v1/filter/{query}"))


# -- who asks --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_app(make_app: MakeApp, small_file: Any) -> Dash:
    """An application that tells browsers apart."""
    return make_app(small_file)


def test_each_user_has_a_selection(open_app: Dash) -> None:
    one, other = visitor(open_app), visitor(open_app)
    put(one, LEIDEN)
    one.post(ACT, json={"do": "save", "name": "mine"})
    state = other.get(f"{ACT}/state").get_json()
    assert (state["active"], state["saved"], other.get(ACT).data) == (False, [], b"")
    saved = one.get(f"{ACT}/state").get_json()["saved"][0]["id"]
    assert said(other.post(ACT, json={"do": "use_saved", "id": saved})).startswith("This saved selection was deleted")
    other.post(ACT, json=DRAW)
    assert one.get(f"{ACT}/state").get_json()["text"] == "leiden in {1, 3}"


@pytest.mark.parametrize(
    ("headers", "content_type", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, "application/json", 403),
        ({"Sec-Fetch-Site": "same-site"}, "application/json", 403),
        ({"Sec-Fetch-Site": "same-origin"}, "text/plain", 415),
        ({"Sec-Fetch-Site": "same-origin"}, "application/x-www-form-urlencoded", 415),
    ],
)
def test_other_sites_cannot_change_a_selection(
    open_app: Dash, headers: dict[str, str], content_type: str, status: int
) -> None:
    client = visitor(open_app)
    put(client, LEIDEN)
    response = client.post(ACT, data=json.dumps({"do": "clear"}), content_type=content_type, headers=headers)
    assert response.status_code == status
    assert client.get(f"{ACT}/state").get_json()["active"]


def test_nobody_in_particular_has_no_selection(open_app: Dash) -> None:
    stranger = open_app.server.test_client()
    for address in (ACT, f"{ACT}/state", "/api/v1/filter/columns"):
        assert stranger.get(address).status_code == 401
    assert stranger.post(ACT, json={"do": "clear"}).status_code == 401


def test_a_selection_works_where_annotations_are_off(small_file: Any, tmp_path: Any) -> None:
    app = create_app(Settings(data=(small_file,), disable_annotations=True, single_user=True, data_dir=tmp_path))
    client = visitor(app)
    assert put(client, LEIDEN).get_json()["count"] == mask_of(client).count(True) > 0
    assert client.post(ACT, json={"do": "save", "name": "mine"}).get_json()["saved"][0]["name"] == "mine"
    for thread in threading.enumerate():
        if thread.name == "warm-up":
            thread.join()
    app.server.extensions["iscan"].close()


# -- whatever is sent ------------------------------------------------------------------------------------------------

odd = st.sampled_from([None, 0, 1, -1, 1.5, True, 10**18, "", "x", "\ud800", "a\0b", [], [1], [[]], {}])
keys = st.sampled_from(["do", "id", "is", "of", "key", "kind", "text", "tree", "plot", "axes", "mode", "values", "points", "condition", "recipe", "low"])  # fmt: skip
verbs = st.sampled_from(["draw", "filter", "custom", "text", "load", "save", "clear", "back", "mode", "labels", "range", "cells", "and", "plot", "cluster", "leiden", "X_umap", "unfinished", "union"])  # fmt: skip
anything = st.recursive(
    odd | verbs,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=15,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(action=st.dictionaries(keys, anything, max_size=6) | anything)
def test_whatever_is_sent_there_is_an_answer(client: FlaskClient, caplog: Any, action: Any) -> None:
    caplog.set_level(logging.ERROR)
    response = client.post(ACT, json=action)
    assert response.status_code in {200, 400}
    assert response.get_json()
    state = client.get(f"{ACT}/state").get_json()
    assert state["n_cells"] == N_CELLS
    assert len(client.get(ACT).data) in {0, (N_CELLS + 7) // 8}
    assert not caplog.records
