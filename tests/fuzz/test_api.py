"""Whatever is sent to a route: an answer of ours in a moment, no error of the server, no traceback."""

import json
import logging
import time
import warnings
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from dash import Dash
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic.json_schema import PydanticJsonSchemaWarning

from iscan_dash.services.selection_actions import ACTION
from iscan_dash.web import (
    edit_table,
    enrichment,
    gene_sets,
    inspection,
    make_reference,
    predictions,
    results,
    review,
    routes,
    what_is_this,
)
from tests.fuzz.effort import FUZZ
from tests.predictions import add_prediction, write_cells
from tests.references import write_folder
from tests.web.conftest import MakeApp, make_app, plain_environment, services_of, visitor
from tests.web.page import Page
from tests.web.test_authorisation import API, each

__all__ = ["make_app", "plain_environment"]

GETS = [rule for _, rule in each("looks", of={rule: {"GET": "looks"} for rule in API if "GET" in API[rule]})]
POSTS = [rule for rule in API if "POST" in API[rule]]

PATIENCE = 20.0
"""Seconds that an answer may take on a busy machine; a whole study is looked through in a fraction of one."""

KEYS = [
    *(
        "a",
        "action",
        "annotation",
        "args",
        "axes",
        "by",
        "called",
        "cells",
        "cellxgene",
        "cluster",
        "collection",
        "column",
    ),
    *(
        "columns",
        "contains",
        "condition",
        "cutoff",
        "cutoffs",
        "data",
        "default",
        "delimiter",
        "description",
        "do",
        "end",
    ),
    *(
        "embedding",
        "exclude",
        "find",
        "first",
        "form",
        "former",
        "gene",
        "genes",
        "group",
        "groups",
        "high",
        "id",
        "ids",
    ),
    *(
        "include",
        "is",
        "is_on",
        "item",
        "join",
        "key",
        "kind",
        "label",
        "labels",
        "last",
        "low",
        "matrix",
        "method",
        "mode",
    ),
    *(
        "name",
        "names",
        "nmads",
        "not",
        "of",
        "offset",
        "on",
        "order",
        "other",
        "page",
        "per_label",
        "plot",
        "points",
        "q",
    ),
    *(
        "read_as",
        "reference",
        "regex",
        "repeated",
        "row",
        "samples",
        "saved",
        "search",
        "seen",
        "sets",
        "since",
        "sort",
    ),
    *(
        "stamp",
        "start",
        "substitute",
        "target",
        "text",
        "threshold",
        "top",
        "tree",
        "value",
        "values",
        "version",
        "view",
    ),
    *("where", "with_labels", "sources", "source", "main", "fine", "granularity", "fine_tune", "page", "selection"),
]
WORDS = [
    *(
        "",
        "x",
        "0",
        "-1",
        "1e999",
        "nan",
        "null",
        "a\0b",
        "\ud800",
        "\u202e",
        "<script>",
        "../../etc/passwd",
        "..",
        "%00",
        "'\"",
    ),
    *(
        "X",
        "X_umap",
        "leiden",
        "cluster:leiden",
        "metadata:leiden",
        "gene:GENE0",
        "annotation:x",
        "gene:a|gene:b",
        "gut",
    ),
    *(
        "labels",
        "range",
        "text",
        "filter",
        "draw",
        "custom",
        "all",
        "one",
        "between",
        "clear",
        "ticks",
        "assign",
        "union",
    ),
    *(
        "ticked",
        "filtered",
        "selection",
        "row",
        "ids",
        "group",
        "ucell",
        "main",
        "fine",
        "cluster",
        "metadata",
        "accept",
    ),
    *("(", "[", "(a+)+$", "a{1,99999}", "x" * 3000, "=1+1", "\u0130", "\U0001f469\u200d\U0001f52c", "\r\nX-Bad: 1"),
]
NUMBERS = [0, 1, -1, 2, 59, 60, 10**6, 2**31, 2**53, 2**63, 10**30, 0.5, -0.0, 1e308, float("inf"), float("nan")]

texts = st.sampled_from(WORDS) | st.text(max_size=5)
scalars = st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), texts)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def app(make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> Dash:
    folder = tmp_path_factory.mktemp("cells")
    write_folder(folder / "references" / "gut")
    made = make_app(write_cells(folder / "cells.h5ad"), single_user=True, references=folder / "references")
    workspace = services_of(made).workspace
    add_prediction(workspace, made.server.extensions["iscan"].registry, folder)
    return made


@pytest.fixture(scope="module")
def client(app: Dash) -> FlaskClient:
    return visitor(app)


@pytest.fixture(scope="module")
def known(app: Dash, client: FlaskClient) -> list[str]:
    """Ids of what is there."""
    made = client.post("/api/v1/gene-sets/keep?called=mine", data=b"T\t\tGENE0\n", content_type="text/plain").get_json()
    (own,) = services_of(app).workspace.annotations()
    return [own.id, made["made"]["id"], "gut", "leiden"]


def address(rule: str, parts: list[str]) -> str:
    """Fill in what varies of a rule."""
    given = iter(parts)

    def part(text: str) -> str:
        if not text.startswith("<"):
            return text
        if text.startswith("<any("):
            return text[5 : text.index(",")]
        return quote(next(given).encode("utf-8", "surrogatepass"), safe="") or "x"

    return "/".join(map(part, rule.replace(", ", ",").split("/")))


def check(answer: Any, began: float, caplog: pytest.LogCaptureFixture, what: object) -> None:
    assert time.monotonic() - began < PATIENCE, what
    assert answer.status_code < 500, what
    assert answer.status_code != 308, what
    if answer.mimetype == "application/json" and answer.data:
        body = json.loads(answer.data)
        if answer.status_code >= 400:
            assert body["error"].strip(), what
            assert "Traceback" not in body["error"], what
    assert [
        record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info
    ] == [], what
    assert "X-Bad" not in answer.headers, what


@FUZZ
@given(
    data=st.data(),
    rule=st.sampled_from(POSTS),
    body=st.dictionaries(st.sampled_from(KEYS), anything, max_size=7) | anything,
)
def test_bodies(
    client: FlaskClient, known: list[str], caplog: pytest.LogCaptureFixture, data: st.DataObject, rule: str, body: Any
) -> None:
    ids = st.sampled_from(known) | texts
    path = address(rule, data.draw(st.lists(ids, min_size=3, max_size=3)))
    if isinstance(body, dict):
        for key in ("id", "annotation", "reference", "collection"):
            if key in body and data.draw(st.booleans()):
                body[key] = data.draw(st.sampled_from(known))
    caplog.clear()
    began = time.monotonic()
    answer = client.post(path, data=json.dumps(body), content_type="application/json")
    check(answer, began, caplog, (path, body))


FORMS: dict[str, Any] = {
    "check/composition": inspection.CompositionRequest,
    "check/markers": inspection.MarkersRequest,
    "check/trim": inspection.TrimRequest,
    "check/what": what_is_this.WhatRequest,
    "edit/replace": edit_table.ReplaceRequest,
    "edit/rows": edit_table.RowsRequest,
    "edit/split": edit_table.SplitRequest,
    "edit/ticks": edit_table.TickRequest,
    "enrichment/look": enrichment.EnrichmentForm,
    "gene-sets/delete": gene_sets.Chosen,
    "gene-sets/duplicate": gene_sets.Chosen,
    "gene-sets/restore": gene_sets.Chosen,
    "gene-sets/delete-sets": gene_sets.SetNames,
    "gene-sets/rename": gene_sets.Renaming,
    "gene-sets/set": gene_sets.SetEdit,
    "make-reference/look": make_reference.MakeForm,
    "prediction/preflight": predictions.PredictionForm,
    "preview/rows": routes.RowsRequest,
    "results/KNOWN/accept": results.AcceptForm,
    "results/KNOWN/genes": results.GenesForm,
    "results/KNOWN/prune": results.CutoffsForm,
    "results/KNOWN/why": results.WhyForm,
    "review/act": review.ActRequest,
    "review/item": review.ItemRequest,
    "review/mask": review.ItemRequest,
    "review/queue": review.ReviewForm,
    "selection": ACTION,
}
"""The forms of routes, so that what is sent comes past the first check."""


def schema_of(form: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        # Of forms that hold each other pydantic says less.
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)
        schema: dict[str, Any] = form.json_schema() if isinstance(form, TypeAdapter) else form.model_json_schema()
    return schema


def fitting(schema: dict[str, Any], parts: dict[str, Any], known: list[str], depth: int = 0) -> st.SearchStrategy[Any]:  # noqa: PLR0912 - a kind of schema each
    """Return what a JSON schema allows, and now and then a little else."""
    if "$ref" in schema:
        return st.deferred(lambda: fitting(parts[schema["$ref"].rpartition("/")[2]], parts, known, depth + 1))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return st.one_of([fitting(option, parts, known, depth) for option in options])
    match schema.get("type"):
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "string":
            return st.sampled_from(known) | texts
        case "integer":
            return st.sampled_from([number for number in NUMBERS if isinstance(number, int)]) | st.integers(-2, 200)
        case "number":
            return st.sampled_from(NUMBERS) | st.floats(0, 10)
        case "array":
            if places := schema.get("prefixItems"):
                return st.tuples(*(fitting(place, parts, known, depth) for place in places)).map(list)
            inner = fitting(schema["items"], parts, known, depth) if schema.get("items") else anything
            return st.lists(inner, min_size=schema.get("minItems", 0), max_size=4 if depth < 4 else 1)
        case "object" if "properties" in schema:
            needed = set(schema.get("required", []))
            given = {key: fitting(part, parts, known, depth) for key, part in schema["properties"].items()}
            needs = {key: part for key, part in given.items() if key in needed}
            return st.fixed_dictionaries(needs, optional={key: given[key] for key in given.keys() - needed})
        case "object":
            more = schema.get("additionalProperties")
            inner = fitting(more, parts, known, depth) if isinstance(more, dict) else anything
            return st.dictionaries(st.sampled_from(known) | texts, inner, max_size=3)
    return anything


@FUZZ
@given(data=st.data(), path=st.sampled_from(sorted(FORMS)))
def test_forms(
    client: FlaskClient, known: list[str], caplog: pytest.LogCaptureFixture, data: st.DataObject, path: str
) -> None:
    schema = schema_of(FORMS[path])
    body = data.draw(fitting(schema, schema.get("$defs", {}), known))
    caplog.clear()
    began = time.monotonic()
    address = f"/api/v1/{path.replace('KNOWN', known[0])}"
    answer = client.post(address, data=json.dumps(body), content_type="application/json")
    check(answer, began, caplog, (path, body))


@FUZZ
@given(data=st.data())
def test_edits(
    app: Dash, client: FlaskClient, known: list[str], caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    """Edits of labels go through a callback."""
    schema = schema_of(edit_table.read_edit)
    edit = data.draw(fitting(schema, schema["$defs"], known))
    states = services_of(app).workspace.annotations()
    edit["annotation"] = data.draw(st.sampled_from([*(state.id for state in states), "x"]))
    edit["version"] = data.draw(st.sampled_from([*(state.version for state in states), 0]))
    page = Page(app, client)
    caplog.clear()
    (callback,) = [one for one in page.callbacks if "edit-answer.data" in one["output"]]
    began = time.monotonic()
    answer = page.ask(callback, "edit-action", "data", edit)
    check(answer, began, caplog, edit)


@FUZZ
@given(
    data=st.data(),
    rule=st.sampled_from(GETS),
    query=st.lists(st.tuples(st.sampled_from(KEYS), texts | st.sampled_from(NUMBERS).map(str)), max_size=5),
)
def test_queries(
    client: FlaskClient,
    known: list[str],
    caplog: pytest.LogCaptureFixture,
    data: st.DataObject,
    rule: str,
    query: list[tuple[str, str]],
) -> None:
    ids = st.sampled_from(known) | texts
    path = address(rule, data.draw(st.lists(ids, min_size=3, max_size=3)))
    query = [(key, data.draw(st.sampled_from(known)) if key in {"id", "annotation"} else value) for key, value in query]
    caplog.clear()
    began = time.monotonic()
    answer = client.get(f"{path}?{urlencode(query, errors='surrogatepass')}")
    check(answer, began, caplog, (path, query))


@FUZZ
@given(
    rule=st.sampled_from(["/", "/annotate", "/annotate/existing", "/enrichment", "/result", "/window/plot/2", "/x"]),
    query=st.lists(
        st.tuples(st.sampled_from([*KEYS, "plots", "open", "rerun", "dataset", "1", "2"]), texts), max_size=6
    ),
)
def test_deep_links(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, rule: str, query: list[tuple[str, str]]
) -> None:
    """A page and what its callback of the address makes of it."""
    search = f"?{urlencode(query, errors='surrogatepass')}"
    began = time.monotonic()
    caplog.clear()
    check(client.get(rule + search), began, caplog, (rule, search))
    outputs = [{"id": "_pages_content", "property": "children"}, {"id": "_pages_store", "property": "data"}]
    body = {
        "output": ".._pages_content.children..._pages_store.data..",
        "outputs": outputs,
        "inputs": [
            {"id": "_pages_location", "property": "pathname", "value": rule},
            {"id": "_pages_location", "property": "search", "value": search},
        ],
        "state": [],
        "changedPropIds": ["_pages_location.pathname"],
    }
    answer = client.post("/_dash-update-component", json=body)
    assert answer.status_code == 200
    check(answer, began, caplog, (rule, search))


names = st.sampled_from(
    [
        *("Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Content-Type", "Cookie", "Host", "Expect"),
        *("If-Modified-Since", "If-None-Match", "Origin", "Range", "Referer", "Sec-Fetch-Site", "Transfer-Encoding"),
        *("X-Forwarded-For", "X-Forwarded-Proto", "X-HTTP-Method-Override", "X-Request-Id", "Content-Encoding"),
    ]
)
latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=30)
headers = st.dictionaries(
    names, latin | st.sampled_from(["*", "W/", '"', "bytes=0-", "bytes=9-1", "gzip;q=x", "a=b; =", "x" * 9000])
)


@FUZZ
@given(
    headers=headers,
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "TRACE", "x"]),
    path=st.sampled_from(
        ["/", "/api/v1/status", "/api/v1/positions?embedding=X_umap", "/api/v1/preview/rows", "/healthz", "/sign-in"]
    )
    | st.sampled_from(
        ["/assets/theme.js", "/assets/../x", "//", "/api/v1/%2e%2e/x", "/_dash-update-component", "/%ff", "/a%00b"]
    ),
)
def test_headers_and_methods(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, headers: dict[str, str], method: str, path: str
) -> None:
    caplog.clear()
    began = time.monotonic()
    body = {"data": b"{}"} if method in {"POST", "PUT"} else {}
    answer = client.open(path, method=method, headers=headers, **body)
    assert answer.status_code < 500, (method, path, headers)
    check(answer, began, caplog, (method, path, headers)) if answer.status_code != 308 else None


FILES = [
    *(
        b"",
        b"index,a\n",
        b"index,a\nc0,x\n",
        b'"',
        b'"a',
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"PK\x03\x04",
        b"\x1f\x8b\x08",
        b"{",
        b"[",
    ),
    *(
        b"#",
        b"#\n" * 50,
        b"\0",
        b",,,,\n",
        b"a\tb\tc\n",
        b"\r",
        b"\n\n\n",
        b"T: CD3D",
        b">set\nCD3D",
        b'{"a": ["GENE0"]}',
    ),
    *(
        b"[" * 3000,
        b'{"a":' * 3000,
        b"a," * 5000,
        b"=cmd|' /C calc'!A0,",
        b"name\tdesc\tGENE0\n" * 20,
        "\ud7ff,\u2028\n".encode(),
    ),
]
pieces = st.lists(st.sampled_from(FILES) | st.binary(max_size=20), max_size=5).map(b"".join)


@FUZZ
@given(
    path=st.sampled_from(["import", "gene-sets/read", "gene-sets/keep"]),
    body=pieces,
    query=st.dictionaries(
        st.sampled_from(["name", "read_as", "top", "called", "collection", "version", "repeated"]), texts
    ),
)
def test_uploads(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, path: str, body: bytes, query: dict[str, str]
) -> None:
    caplog.clear()
    began = time.monotonic()
    address = f"/api/v1/{path}?{urlencode(query, errors='surrogatepass')}"
    answer = client.post(address, data=body, content_type="application/octet-stream")
    check(answer, began, caplog, (address, body))
