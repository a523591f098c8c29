"""Calls of callbacks that no page makes: a sentence, no traceback."""

import logging
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iscan_dash.web.checked import NOT_UNDERSTOOD
from tests.web.conftest import visitor

CALL = "/_dash-update-component"

NAMES = {"output": "export-targets.children", "outputs": {"id": "export-targets", "property": "children"}}
INPUT = {"id": "export-name", "property": "value", "value": "x"}
WHOLE = {**NAMES, "inputs": [INPUT], "state": [], "changedPropIds": ["export-name.value"]}
MANY = {
    "output": "existing-open.data",
    "outputs": {"id": "existing-open", "property": "data"},
    "inputs": [[{"id": {"annotation": "x", "type": "existing-expand"}, "property": "n_clicks", "value": 1}]],
    "state": [{"id": "existing-open", "property": "data", "value": None}],
    "changedPropIds": [],
}
CLIENTSIDE = "plot-gene.value"


@pytest.fixture(scope="module")
def client(app: Dash) -> FlaskClient:
    return visitor(app)


def test_what_pages_send_is_answered(client: FlaskClient) -> None:
    for body in (WHOLE, MANY, {**WHOLE, "more": 1}):
        assert client.post(CALL, json=body).status_code in {200, 204}


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "x",
        {},
        {"output": None},
        {"output": "nothing.data"},
        {**WHOLE, "output": CLIENTSIDE},
        {**WHOLE, "output": ["export-targets.children"]},
        {**WHOLE, "outputs": []},
        {**WHOLE, "outputs": [NAMES["outputs"]]},
        {**WHOLE, "outputs": {"id": "export-targets"}},
        {**WHOLE, "inputs": []},
        {**WHOLE, "inputs": [INPUT, INPUT]},
        {**WHOLE, "inputs": [[INPUT]]},
        {**WHOLE, "inputs": [{**INPUT, "id": None}]},
        {**WHOLE, "inputs": [{**INPUT, "id": {"a": [1]}}]},
        {**WHOLE, "inputs": {"0": INPUT}},
        {**WHOLE, "state": [INPUT]},
        {**WHOLE, "state": None},
        {**WHOLE, "changedPropIds": [1]},
        {**WHOLE, "changedPropIds": "export-name.value"},
        {**MANY, "inputs": [INPUT]},
        {**MANY, "state": []},
    ],
    ids=ascii,
)
def test_what_pages_never_send(client: FlaskClient, body: Any, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.post(CALL, json=body)
    assert (answer.status_code, answer.get_json()) == (400, {"error": NOT_UNDERSTOOD})
    assert caplog.records == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 5000, b'{"output": 1e999}', b"NaN"], ids=ascii)
def test_what_is_no_json(client: FlaskClient, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.post(CALL, data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()) == (400, {"error": NOT_UNDERSTOOD})
    assert caplog.records == []


odd = st.recursive(
    st.sampled_from([None, True, 0, -1, 10**30, 1.5, "", "x", "a\0b", [], {}, INPUT, NAMES["outputs"], MANY["inputs"]]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "property", "value", "type", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=150, suppress_health_check=list(HealthCheck), derandomize=True)
@given(base=st.sampled_from([WHOLE, MANY]), more=st.dictionaries(st.sampled_from(list(WHOLE)), odd, min_size=1))
def test_calls_with_odd_parts(
    client: FlaskClient, base: dict[str, Any], more: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.post(CALL, json=base | more)
    assert answer.status_code in {200, 204, 400}
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
