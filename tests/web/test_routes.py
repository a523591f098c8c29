"""The routes beside Dash's own: exact bytes, and a sentence for whatever is asked wrongly."""

import json
import re
from typing import Any
from urllib.parse import quote

import anndata as ad
import numpy as np
import pytest
from dash import Dash
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.services.workspace import Source
from iscan_dash.web.security import LARGEST_REQUEST
from tests.browser.studies import N_CELLS, small_obs, small_values
from tests.web.conftest import services_of, visitor

ROWS = "/api/v1/preview/rows"


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


@pytest.fixture(scope="module")
def truth(small_file: Any) -> ad.AnnData:
    return ad.read_h5ad(small_file)


def sentence(response: TestResponse) -> str:
    """Return the sentence of a refusal."""
    assert response.mimetype == "application/json"
    (error,) = response.get_json().values()
    assert error[0].isupper() or error[0] in "\"'"
    assert "Traceback" not in error
    return str(error)


# -- arrays --------------------------------------------------------------------------------------------------------


def test_positions_are_the_files_own(client: FlaskClient, truth: ad.AnnData) -> None:
    response = client.get("/api/v1/positions?embedding=X_umap")
    assert (response.status_code, response.mimetype) == (200, "application/octet-stream")
    xy = np.frombuffer(response.data, "<f4").reshape(2, N_CELLS)
    assert (xy == truth.obsm["X_umap"].T).all()


def test_codes_of_a_category_are_its_labels(client: FlaskClient) -> None:
    response = client.get("/api/v1/codes?by=cluster%3Aleiden")
    codes = np.frombuffer(response.data, np.uint8)
    values = small_values("leiden")
    assert codes.tolist() == [5 if value is None else int(value) for value in values]


def test_codes_of_a_number_rise_with_it(client: FlaskClient) -> None:
    codes = np.frombuffer(client.get("/api/v1/codes?by=metadata%3Ascore").data, np.uint8)
    assert (np.diff(codes.astype(int)) >= 0).all()
    low, high = np.percentile(small_obs()["score"], [1, 99])
    steps = np.round((np.clip(small_obs()["score"], low, high) - low) / (high - low) * 252)
    assert np.abs(codes - 2 - steps).max() <= 1


def test_codes_of_a_gene_tell_zero_apart(client: FlaskClient, truth: ad.AnnData) -> None:
    codes = np.frombuffer(client.get("/api/v1/codes?by=gene%3ACD3D").data, np.uint8)
    values = np.asarray(truth[:, "CD3D"].X).ravel()
    assert ((codes == 1) == (values == 0)).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(codes[order].astype(int)) >= 0).all()


def test_no_colour_has_no_codes(client: FlaskClient) -> None:
    assert client.get("/api/v1/codes").data == b""


@pytest.mark.parametrize("path", ["/api/v1/positions?embedding=X_umap", "/api/v1/codes?by=cluster%3Aleiden"])
def test_what_is_known_is_not_sent_again(client: FlaskClient, path: str) -> None:
    first = client.get(path, headers={"Accept-Encoding": "gzip, br"})
    assert "no-cache" in first.headers["Cache-Control"]
    again = client.get(path, headers={"Accept-Encoding": "gzip, br", "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = client.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.data) == (200, first.data)


def test_codes_are_sent_again_when_the_annotation_changed(client: FlaskClient, app: Dash) -> None:
    workspace = services_of(app).workspace
    made = workspace.create_from_existing("changing", [Source("cluster", "leiden")], CombineRecipe("none"))
    path = f"/api/v1/codes?by={quote(f'annotation:{made.id}')}"
    first = client.get(path)
    codes = np.frombuffer(first.data, np.uint8)
    assert codes.tolist() == [0 if value is None else int(value) + 1 for value in small_values("leiden")]
    workspace.rename(made.id, "changed", 1)
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (200, first.data)
    workspace.delete(made.id, workspace.annotation(made.id).version)
    gone = client.get(path)
    assert gone.status_code == 400
    assert sentence(gone) == "This annotation was deleted. Choose another one, or undo."


# -- cells ---------------------------------------------------------------------------------------------------------


def test_a_cell_says_what_it_is(client: FlaskClient) -> None:
    cell = client.get("/api/v1/cells/4?by=metadata%3Atissue").get_json()
    assert cell == {"id": "cell4", "sample": "small", "fields": [["tissue", "lung"]]}
    missing = client.get("/api/v1/cells/0?by=metadata%3Atissue").get_json()
    assert missing["fields"] == [["tissue", "missing"]]
    number = client.get("/api/v1/cells/59?by=metadata%3Ascore").get_json()
    assert number["fields"] == [["score", "1"]]


@pytest.mark.parametrize("row", ["60", "99999999999999999999"])
def test_a_cell_that_is_not_there(client: FlaskClient, row: str) -> None:
    response = client.get(f"/api/v1/cells/{row}")
    assert response.status_code == 404
    assert response.get_json()["error"]


@pytest.mark.parametrize("row", ["-1", "x", "1.5", ""])
def test_what_is_no_cell(client: FlaskClient, row: str) -> None:
    response = client.get(f"/api/v1/cells/{row}")
    assert (response.status_code, sentence(response)) == (404, f"There is nothing at /api/v1/cells/{row} for GET.")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/v1/positions?embedding=X_none", 'This study has no embedding "X_none".'),
        ("/api/v1/positions", 'This study has no embedding "".'),
        ("/api/v1/positions?embedding=..%2F..%2Fetc", 'This study has no embedding "../../etc".'),
        ("/api/v1/codes?by=metadata%3Anone", 'This study has no metadata column "none".'),
        ("/api/v1/codes?by=gene%3ANONE", 'This study has no gene "NONE".'),
        ("/api/v1/codes?by=annotation%3A0", "This annotation was deleted. Choose another one, or undo."),
        ("/api/v1/cells/0?by=metadata%3Anone", 'This study has no metadata column "none".'),
        ("/api/v1/cells/0?by=annotation%3A0", "This annotation was deleted. Choose another one, or undo."),
    ],
)
def test_what_is_not_there_is_named(client: FlaskClient, path: str, said: str) -> None:
    response = client.get(path)
    assert (response.status_code, sentence(response)) == (400, said)


def test_odd_letters_do_no_harm(client: FlaskClient) -> None:
    for text in ('"; drop', "\u0000", "\u202e", "\n\r\nX-Header: 1", "é" * 300, "💥"):
        for path in ("/api/v1/positions?embedding=", "/api/v1/codes?by=metadata%3A", "/api/v1/codes?by=gene%3A"):
            response = client.get(path + quote(text))
            assert response.status_code == 400
            assert text.strip() in sentence(response)
            assert "X-Header" not in response.headers


# -- rows of the preview -------------------------------------------------------------------------------------------


def ask(client: FlaskClient, **asked: Any) -> TestResponse:
    return client.post(ROWS, json={"form": {"default": "none"}, "start": 0, "end": 3, **asked})


def test_rows_are_the_cells(client: FlaskClient) -> None:
    form = {"default": "none", "copy_on": True, "cluster": ["leiden"], "metadata": ["phase"], "delimiter": " "}
    answer = ask(client, form=form, start=1, end=4).get_json()
    assert answer == {
        "total": N_CELLS,
        "rows": [
            {"i": 1, "sample": "small", "id": "cell1", "label": "none 0"},
            {"i": 2, "sample": "small", "id": "cell2", "label": "G1 0"},
            {"i": 3, "sample": "small", "id": "cell3", "label": "S, early none"},
        ],
    }


def test_rows_are_filtered_and_sorted(client: FlaskClient) -> None:
    form = {"default": "none", "copy_on": True, "cluster": ["leiden"]}
    answer = ask(client, form=form, end=100, contains={"id": "CELL1"}, sort=[["label", True], ["i", True]]).get_json()
    values = small_values("leiden")
    cells = [1, *range(10, 20)]
    wanted = sorted(
        cells, key=lambda cell: (-1 if values[cell] is None else int(str(values[cell])), cell), reverse=True
    )
    assert answer["total"] == len(cells)
    assert [row["i"] for row in answer["rows"]] == wanted
    # By what the grid has no column for nothing is sorted, and nothing found.
    answer = ask(client, sort=[["none", False]]).get_json()
    assert (answer["total"], len(answer["rows"])) == (N_CELLS, 3)
    assert ask(client, contains={"none": "x"}).get_json()["total"] == 0


@pytest.mark.parametrize(
    ("start", "end", "n_rows"),
    [(58, 100, 2), (60, 70, 0), (5, 5, 0), (9, 3, 0), (0, 10**12, 60), (10**12, 2 * 10**12, 0), (0, 2**53, 60)],
)
def test_any_range_of_rows_is_answered(client: FlaskClient, start: int, end: int, n_rows: int) -> None:
    response = ask(client, start=start, end=end)
    assert response.status_code == 200
    assert (len(response.get_json()["rows"]), response.get_json()["total"]) == (n_rows, N_CELLS)


@pytest.mark.parametrize(
    "asked",
    [
        {"start": -1},
        {"end": -5},
        {"start": "many"},
        {"start": 1.5},
        {"end": None},
        {"start": 10**30, "end": 10**31},
        {"end": 2**63},
        {"form": None},
        {"form": []},
        {"form": {"default": 7}},
        {"form": {"default": "none", "metadata": "phase"}},
        {"form": {"default": "none", "metadata": ["phase"] * 17}},
        {"form": {"default": "none", "missing": "whatever"}},
        {"form": {"default": "none", "delimiter": "123456789"}},
        {"form": {"default": "x" * 1001}},
        {"form": {"default": "none", "name": "x" * 1001}},
        {"contains": {"id": 5}},
        {"contains": {str(number): "" for number in range(17)}},
        {"sort": [["id"]]},
        {"sort": [["id", False]] * 17},
        {"sort": {"id": "desc"}},
    ],
    ids=lambda asked: str(asked)[:40],
)
def test_requests_that_make_no_sense_are_refused(client: FlaskClient, asked: dict[str, Any]) -> None:
    response = ask(client, **asked)
    assert response.status_code == 400
    assert sentence(response).startswith("The request is not understood: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"form"',
        b"{",
        b"{}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"form": {"default": "\\ud800"}, "start": 0, "end": 1}',
        b'{"form": {"default": "x"}, "start": NaN, "end": 1}',
        b'{"form": {"default": "x"}, "start": ' + b"9" * 5000 + b', "end": 1}',
        json.dumps({"form": {"default": "x"}, "start": 0, "end": 1}).encode("utf-16"),
    ],
    ids=lambda body: repr(body)[:30],
)
def test_bodies_that_are_no_request_are_refused(client: FlaskClient, body: bytes) -> None:
    response = client.post(ROWS, data=body, content_type="application/json")
    assert response.status_code == 400
    assert sentence(response).startswith("The request is not understood: ")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"metadata": ["none"]}, 'This study has no metadata column "none".'),
        ({"annotation": ["0"]}, "This annotation was deleted. Choose another one, or undo."),
        ({"default": " "}, "Enter a default value."),
        ({"default": "a\u0007"}, "Labels cannot contain control characters. Type the label again."),
    ],
)
def test_forms_that_cannot_be_shown_say_why(client: FlaskClient, form: dict[str, Any], said: str) -> None:
    response = ask(client, form={"default": "none", "copy_on": True, **form})
    assert (response.status_code, sentence(response)) == (400, said)


def test_filters_take_any_text(client: FlaskClient) -> None:
    for text in ("\u0000", "💥", ".*", "%", "'", "é" * 1000):
        answer = ask(client, contains={"id": text, "label": text, "sample": text})
        assert (answer.status_code, answer.get_json()["total"]) == (200, 0)


def test_a_request_over_4_megabytes_is_refused(client: FlaskClient) -> None:
    form = {"default": "none"}
    body = json.dumps({"form": form, "start": 0, "end": 1, "more": "x" * LARGEST_REQUEST}).encode()
    assert len(body) > LARGEST_REQUEST
    for path in (ROWS, "/_dash-update-component"):
        assert client.post(path, data=body, content_type="application/json").status_code == 413
    small = json.dumps({"form": form, "start": 0, "end": 1, "more": "x" * (LARGEST_REQUEST // 2)}).encode()
    assert client.post(ROWS, data=small, content_type="application/json").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ROWS),
        ("POST", "/api/v1/status"),
        ("DELETE", "/api/v1/codes"),
        ("GET", "/api/v1/none"),
        ("GET", "/api/v2/"),
    ],
)
def test_routes_take_only_what_they_are_for(client: FlaskClient, method: str, path: str) -> None:
    response = client.open(path, method=method)
    assert (response.status_code, sentence(response)) == (404, f"There is nothing at {path} for {method}.")


# -- state and files -----------------------------------------------------------------------------------------------


def test_the_state_of_the_server(client: FlaskClient, app: Dash) -> None:
    response = client.get("/api/v1/status")
    assert response.headers["Cache-Control"] == "no-store"
    status = response.get_json()
    told = {"revision", "save", "reason", "draft", "saved_at", "changed_files", "needs_name", "notices", "selection"}
    told |= {"ticks", "jobs", "jobs_active", "study"}
    assert set(status) == told
    assert status["revision"] == services_of(app).workspace.revision
    assert status["changed_files"] == []


def test_bootstrap_comes_from_here(client: FlaskClient) -> None:
    styles = client.get("/bootstrap/css/bootstrap.min.css")
    assert (styles.status_code, styles.mimetype) == (200, "text/css")
    assert b"Bootstrap" in styles.data[:200]
    icons = client.get("/bootstrap/css/font/bootstrap-icons.min.css")
    assert icons.status_code == 200
    assert client.get("/bootstrap/none.css").status_code == 404
    page = client.get("/").get_data(as_text=True)
    loaded = re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="([^"]+)"', page)
    assert len(loaded) > 10
    assert [address for address in loaded if not re.match(r"/(?!/)", address)] == []
    for address in loaded:
        assert client.get(address).status_code == 200


STEPS = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..\\", "..%5c", "....//", "/")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("root", ["/bootstrap/", "/assets/", "/_dash-component-suites/dash/", "/bootstrap/css/"])
def test_no_path_leads_out_of_the_folders(client: FlaskClient, root: str, step: str) -> None:
    for depth in range(1, 9):
        for target in ("etc/passwd", "pyproject.toml", "iscan_dash/settings.py"):
            response = client.get(f"{root}{step * depth}{target}")
            assert b"root:" not in response.data
            assert b"[project]" not in response.data
            assert b"BaseSettings" not in response.data
            assert response.status_code in {200, 301, 308, 400, 404}
            if response.status_code == 200:
                # Dash answers any page with its frame.
                assert b"react-entry-point" in response.data
