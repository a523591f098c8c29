"""Who may ask for what: every route and every callback, for each way to tell users apart."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from iscan_dash.services.accounts import Accounts
from iscan_dash.web.read_only import REFUSED
from tests.predictions import add_prediction, write_cells
from tests.references import write_folder
from tests.web.conftest import SAME_ORIGIN, MakeApp, services_of
from tests.web.page import Page

PUBLIC, PAGE, LOOKS, WRITES = "public", "page", "looks", "writes"
"""For anybody; the page, which a person is sent on from; for users, and nothing is kept; for users, and it is."""

API = {
    "/api/<path:name>": {"GET": LOOKS, "POST": WRITES, "PUT": WRITES, "PATCH": WRITES, "DELETE": WRITES},
    "/api/v1/cells/<int:row>": {"GET": LOOKS},
    "/api/v1/check/composition": {"POST": LOOKS},
    "/api/v1/check/markers": {"POST": LOOKS},
    "/api/v1/check/trim": {"POST": LOOKS},
    "/api/v1/check/what": {"POST": LOOKS},
    "/api/v1/codes": {"GET": LOOKS},
    "/api/v1/edit/labels": {"GET": LOOKS},
    "/api/v1/edit/replace": {"POST": LOOKS},
    "/api/v1/edit/rows": {"POST": LOOKS},
    "/api/v1/edit/split": {"POST": LOOKS},
    "/api/v1/edit/ticks": {"POST": LOOKS},
    "/api/v1/edits": {"GET": LOOKS},
    "/api/v1/enrichment": {"GET": LOOKS, "POST": WRITES},
    "/api/v1/enrichment/form/<job_id>": {"GET": LOOKS},
    "/api/v1/enrichment/look": {"POST": LOOKS},
    "/api/v1/enrichments": {"GET": LOOKS},
    "/api/v1/enrichments/<any(delete, restore, rename):what>": {"POST": WRITES},
    "/api/v1/enrichments/<result_id>/create": {"POST": WRITES},
    "/api/v1/enrichments/<result_id>/labels": {"POST": LOOKS},
    "/api/v1/enrichments/<result_id>/table": {"GET": LOOKS},
    "/api/v1/enrichments/<result_id>/table.csv": {"GET": LOOKS},
    "/api/v1/enrichments/columns": {"GET": LOOKS},
    "/api/v1/export.csv": {"GET": LOOKS},
    "/api/v1/filter/columns": {"GET": LOOKS},
    "/api/v1/filter/genes": {"GET": LOOKS},
    "/api/v1/filter/histogram": {"GET": LOOKS},
    "/api/v1/filter/saved": {"GET": LOOKS},
    "/api/v1/filter/values": {"GET": LOOKS},
    "/api/v1/gene-sets": {"GET": LOOKS},
    "/api/v1/gene-sets/<any(delete, restore, duplicate):what>": {"POST": WRITES},
    "/api/v1/gene-sets/delete-sets": {"POST": WRITES},
    "/api/v1/gene-sets/export": {"GET": LOOKS},
    "/api/v1/gene-sets/keep": {"POST": WRITES},
    "/api/v1/gene-sets/one": {"GET": LOOKS},
    "/api/v1/gene-sets/read": {"POST": LOOKS},
    "/api/v1/gene-sets/rename": {"POST": WRITES},
    "/api/v1/gene-sets/set": {"POST": WRITES},
    "/api/v1/genes/searches": {"GET": LOOKS},
    "/api/v1/genes/searches/cancel": {"POST": LOOKS},
    "/api/v1/import": {"POST": WRITES},
    "/api/v1/jobs": {"GET": LOOKS},
    "/api/v1/jobs/<job_id>/cancel": {"POST": WRITES},
    "/api/v1/jobs/<job_id>/log": {"GET": LOOKS},
    "/api/v1/jobs/<job_id>/rerun": {"POST": WRITES},
    "/api/v1/make-reference": {"GET": LOOKS, "POST": WRITES},
    "/api/v1/make-reference/look": {"POST": LOOKS},
    "/api/v1/merged/<int:place>": {"GET": LOOKS},
    "/api/v1/positions": {"GET": LOOKS},
    "/api/v1/prediction": {"GET": LOOKS, "POST": WRITES},
    "/api/v1/prediction/form/<job_id>": {"GET": LOOKS},
    "/api/v1/prediction/preflight": {"POST": LOOKS},
    "/api/v1/prediction/references": {"GET": LOOKS},
    "/api/v1/preview/rows": {"POST": LOOKS},
    "/api/v1/references": {"GET": LOOKS},
    "/api/v1/references/<key>": {"GET": LOOKS},
    "/api/v1/references/<reference>/install": {"POST": WRITES},
    "/api/v1/results": {"GET": LOOKS},
    "/api/v1/results/<annotation_id>": {"GET": LOOKS},
    "/api/v1/results/<annotation_id>/accept": {"POST": WRITES},
    "/api/v1/results/<annotation_id>/codes": {"GET": LOOKS},
    "/api/v1/results/<annotation_id>/genes": {"POST": LOOKS},
    "/api/v1/results/<annotation_id>/prune": {"POST": LOOKS},
    "/api/v1/results/<annotation_id>/scores": {"GET": LOOKS},
    "/api/v1/results/<annotation_id>/table.csv": {"GET": LOOKS},
    "/api/v1/results/<annotation_id>/why": {"POST": LOOKS},
    "/api/v1/review/act": {"POST": WRITES},
    "/api/v1/review/item": {"POST": LOOKS},
    "/api/v1/review/mask": {"POST": LOOKS},
    "/api/v1/review/queue": {"POST": LOOKS},
    "/api/v1/selection": {"GET": LOOKS, "POST": LOOKS},
    "/api/v1/selection/recipe": {"GET": LOOKS},
    "/api/v1/selection/state": {"GET": LOOKS},
    "/api/v1/status": {"GET": LOOKS},
}
"""Every route of ours. A new one is written down here, and so is met by all tests below."""

DASH = {
    "/": {"GET": PAGE},
    "/<path:path>": {"GET": PAGE},
    "/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>": {"GET": PUBLIC},
    "/_dash-dependencies": {"GET": LOOKS},
    "/_dash-layout": {"GET": LOOKS},
    # Whether a callback writes is for the tests of callbacks.
    "/_dash-update-component": {"POST": LOOKS},
    "/_favicon.ico": {"GET": PUBLIC},
    "/_reload-hash": {"GET": LOOKS},
    "/assets/<path:filename>": {"GET": PUBLIC},
}
FILES = {
    "/bootstrap/<path:name>": {"GET": PUBLIC},
    "/bundle/HASH.css": {"GET": PUBLIC},
    "/bundle/HASH.js": {"GET": PUBLIC},
    "/healthz": {"GET": PUBLIC},
    "/readyz": {"GET": PUBLIC},
}
SIGNING_IN = {"/sign-in": {"GET": PUBLIC, "POST": PUBLIC}, "/sign-out": {"POST": PUBLIC}}

RULES = API | DASH | FILES

PASSWORD = "correct horse"
BY = {"HTTP_X_USER": "ada"}


def each(*wanted: str, of: dict[str, dict[str, str]] = RULES) -> list[tuple[str, str]]:
    """Return method and rule of all routes of some classes."""
    return [(method, rule) for rule, methods in of.items() for method, own in methods.items() if own in wanted]


def address(rule: str) -> str:
    """Return an address of a rule."""
    for part, value in (
        ("<any(delete, restore, rename):what>", "delete"),
        ("<any(delete, restore, duplicate):what>", "delete"),
        ("<int:row>", "0"),
        ("<int:place>", "0"),
        ("<path:path>", "annotate"),
        ("<path:name>", "v1/nothing"),
    ):
        rule = rule.replace(part, value)
    return "/".join("x" if part.startswith("<") else part for part in rule.split("/"))


def send(client: FlaskClient, method: str, rule: str, **options: Any) -> TestResponse:
    """Ask for an address of a rule, with a body of JSON where one is taken."""
    body = {} if method == "GET" else {"json": {}}
    return client.open(address(rule), method=method, **body, **options)


@pytest.fixture(scope="module")
def users_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users.txt"
    for name in ("ada", "bob"):
        Accounts(path).add(name, PASSWORD)
    return path


@pytest.fixture(scope="module", params=["single user", "cookie", "header", "accounts"])
def way(request: pytest.FixtureRequest) -> str:
    """A way to tell users apart."""
    return str(request.param)


@pytest.fixture(scope="module")
def settings(way: str, users_file: Path) -> dict[str, Any]:
    ways: dict[str, dict[str, Any]] = {
        "single user": {"single_user": True},
        "cookie": {},
        "header": {"user_header": "X-User"},
        "accounts": {"users": users_file},
    }
    return ways[way]


@pytest.fixture(scope="module")
def app(make_app: MakeApp, small_file: Path, settings: dict[str, Any]) -> Dash:
    return make_app(small_file, **settings)


Enter = Callable[..., FlaskClient]


def enter(app: Dash, way: str, name: str = "ada") -> FlaskClient:
    """Return a browser of a user."""
    client = app.server.test_client()
    client.environ_base |= SAME_ORIGIN
    if way == "header":
        client.environ_base["HTTP_X_USER"] = name
    if way == "accounts":
        assert client.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
    assert client.get("/").status_code == 200
    return client


# -- every route -----------------------------------------------------------------------------------------------------


def test_every_route_is_written_down_here(app: Dash, way: str) -> None:
    known = RULES | (SIGNING_IN if way == "accounts" else {})
    wanted = {(rule, method) for rule, methods in known.items() for method in methods}
    found = set()
    for rule in app.server.url_map.iter_rules():
        path = rule.rule
        if path.startswith("/bundle/"):
            path = f"/bundle/HASH.{path.rpartition('.')[2]}"
        found |= {(path, method) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert found == wanted


def test_nobody_in_particular_learns_and_does_nothing(app: Dash, way: str) -> None:
    if way == "single user":
        pytest.skip("Everybody is the same user.")
    for method, rule in each(LOOKS, WRITES):
        stranger = app.server.test_client()
        stranger.environ_base |= SAME_ORIGIN
        answer = send(stranger, method, rule)
        assert (answer.status_code, list(answer.get_json())) == (401, ["error"]), (method, rule)
        assert "Set-Cookie" not in answer.headers
    for method, rule in each(PAGE):
        answer = send(app.server.test_client(), method, rule)
        wanted = {"cookie": (200, True), "header": (401, False), "accounts": (303, True)}[way]
        assert (answer.status_code, "Set-Cookie" in answer.headers) == wanted, rule
        assert answer.headers.get("Location", "/sign-in") == "/sign-in"


def test_other_methods_are_for_nobody_either(app: Dash, way: str) -> None:
    """What a route does not take says nothing to somebody unknown but that."""
    for rule, methods in RULES.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(methods):
            stranger = app.server.test_client()
            stranger.environ_base |= SAME_ORIGIN
            answer = send(stranger, method, rule)
            allowed = {404, 405} if way == "single user" else {401, 404, 405}
            if method == "GET" and way == "cookie":
                allowed |= {200}  # The frame of the page, which is all that Dash has at such an address.
            if method == "GET" and way == "accounts":
                allowed |= {303}
            if method == "GET" and way == "single user":
                allowed |= {200}
            assert answer.status_code in allowed, (method, rule)


def test_another_site_writes_nothing(app: Dash, way: str) -> None:
    client = enter(app, way)
    client.environ_base["HTTP_SEC_FETCH_SITE"] = "cross-site"
    asked = [(method, rule) for method, rule in each(PUBLIC, PAGE, LOOKS, WRITES) if method != "GET"]
    asked += [("POST", "/sign-in"), ("POST", "/sign-out")]
    for method, rule in asked:
        answer = send(client, method, rule)
        assert answer.status_code == 403, (method, rule)
        assert "another site" in answer.get_json()["error"]


def test_who_is_known_is_answered(app: Dash, way: str) -> None:
    """The same requests that are refused of others reach their routes."""
    client = enter(app, way)
    for method, rule in each(LOOKS, WRITES):
        assert send(client, method, rule).status_code not in {401, 403, 405, 500}, (method, rule)


# -- where annotations are switched off ------------------------------------------------------------------------------


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def closed(
    make_app: MakeApp, small_file: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Dash, Path]:
    folder = tmp_path_factory.mktemp("closed")
    app = make_app(small_file, disable_annotations=True, data_dir=folder / "server", **settings)
    # What is read of the study, and who asks, is known from now on.
    app.server.extensions["iscan"].warm_up.join()
    return app, folder


def test_where_annotations_are_off_every_route_that_writes_is_refused(
    closed: tuple[Dash, Path], way: str, small_file: Path
) -> None:
    app, folder = closed
    client = enter(app, way)
    before = files(folder) | files(small_file.parent)
    for method, rule in each(WRITES):
        answer = send(client, method, rule)
        assert (answer.status_code, answer.get_json()) == (403, {"error": REFUSED}), (method, rule)
    kept = client.post("/api/v1/gene-sets/keep?called=x", data=b"T\t\tCD3D\n", content_type="text/plain")
    assert (kept.status_code, kept.get_json()) == (403, {"error": REFUSED})
    for method, rule in each(LOOKS, PAGE):
        assert send(client, method, rule).status_code not in {401, 405, 500}, (method, rule)
    assert client.post("/api/v1/selection", json={"do": "clear"}).status_code == 200
    assert files(folder) | files(small_file.parent) == before


def test_where_annotations_are_off_no_callback_writes(closed: tuple[Dash, Path], way: str, small_file: Path) -> None:
    app, folder = closed
    page = Page(app, enter(app, way))
    page.callbacks = [one for one in page.callbacks if "_pages_location" not in str(one["inputs"])]
    before = files(folder) | files(small_file.parent)
    outputs = " ".join(callback["output"] for callback in page.callbacks)
    assert not any(f"{name}-" in outputs for name in ("new", "edit", "import", "export", "enrichment"))
    for callback in page.callbacks:
        for changed, inputs, states in calls(callback, "x" * 32):
            assert page.send(callback, changed, inputs, states).status_code in {200, 204}
    assert files(folder) | files(small_file.parent) == before


# -- what belongs to somebody else -----------------------------------------------------------------------------------


def calls(callback: dict[str, Any], annotation: str) -> Iterator[tuple[str, list[Any], list[Any]]]:
    """Yield what a callback is sent when each of its controls is used, those of an annotation for this one."""

    def control(asked: dict[str, Any]) -> tuple[Any, str]:
        own, prop = asked["id"], asked["property"]
        value: Any = (
            1 if prop == "n_clicks" else {"annotation": annotation, "version": 1, "base_version": 1, "id": annotation}
        )
        if prop == "value":
            value = "#112233" if "colour" in own else "taken over"
        if not own.startswith("{"):
            return {"id": own, "property": prop, "value": value}, own
        wild: dict[str, Any] = {"annotation": annotation, "version": 1, "label": 0, "shown": 50, "name": annotation}
        made = {key: given if isinstance(given, str) else wild.get(key, 1) for key, given in json.loads(own).items()}
        text = json.dumps(made, sort_keys=True, separators=(",", ":"))
        return [{"id": made, "property": prop, "value": value}], text

    states = [control(asked)[0] for asked in callback["state"]]
    inputs = [control(asked) for asked in callback["inputs"]]
    for asked, (_, text) in zip(callback["inputs"], inputs, strict=True):
        yield f"{text}.{asked['property']}", [made for made, _ in inputs], states


@pytest.fixture(scope="module")
def two(make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dash, FlaskClient, FlaskClient]:
    """A server, ada who made things there, and bob."""
    folder = tmp_path_factory.mktemp("cells")
    write_folder(folder / "references" / "gut")
    app = make_app(write_cells(folder / "cells.h5ad"), user_header="X-User", references=folder / "references")
    return app, enter(app, "header", "ada"), enter(app, "header", "bob")


@pytest.fixture(scope="module")
def predicted(two: tuple[Dash, FlaskClient, FlaskClient], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of an annotation of ada's, made by a prediction."""
    app, _, _ = two
    services = app.server.extensions["iscan"]
    workspace = services_of(app, "ada").workspace
    return add_prediction(workspace, services.registry, tmp_path_factory.mktemp("made")).id


def test_an_annotation_of_another_user_is_seen_and_not_changed(
    two: tuple[Dash, FlaskClient, FlaskClient], predicted: str
) -> None:
    app, _, bob = two
    hers = services_of(app, "ada").workspace
    before = hers.annotation(predicted)
    assert bob.get(f"/api/v1/results/{predicted}").status_code == 200
    page = Page(app, bob)
    page.callbacks = [one for one in page.callbacks if "_pages_location" not in str(one["inputs"])]
    used = 0
    for callback in page.callbacks:
        for changed, inputs, states in calls(callback, predicted):
            assert page.send(callback, changed, inputs, states).status_code in {200, 204}
            used += "existing-" in changed
    assert used > 10
    edits = [
        {"do": "add", "text": "mine"},
        {"do": "rename", "label": 1, "text": "mine"},
        {"do": "delete", "label": 1},
        {"do": "recolour", "label": 1, "colour": "#112233"},
        {"do": "merge", "sources": [1], "target": 2},
    ]
    for serial, edit in enumerate(edits, 1):
        answer = page.edit("edit-action.data", {"serial": serial, "annotation": predicted, "version": 1, **edit})
        assert not answer["edit-answer.data"]["is_done"], edit
    accepted = bob.post(f"/api/v1/results/{predicted}/accept", json={"nmads": 1.0, "version": before.version})
    assert not accepted.get_json()["is_done"]
    for path, body in (
        ("review/act", {"annotation": predicted, "do": "accept", "item": "x"}),
        ("review/act", {"annotation": predicted, "do": "relabel", "item": "x", "text": "mine", "version": 1}),
    ):
        assert bob.post(f"/api/v1/{path}", json=body).status_code == 400, path
    after = hers.annotation(predicted)
    assert (after.version, after.live, after.codes.tolist()) == (before.version, before.live, before.codes.tolist())


def test_gene_sets_of_another_user_are_not_there(two: tuple[Dash, FlaskClient, FlaskClient]) -> None:
    _, ada, bob = two
    body = {"data": b"T cell\tsecret\tCD3D\tCD3E\n", "content_type": "text/plain"}
    made = ada.post("/api/v1/gene-sets/keep?called=hers", **body).get_json()["made"]
    own, version = made["id"], made["version"]
    assert own not in bob.get("/api/v1/gene-sets").text
    answers = [
        bob.get(f"/api/v1/gene-sets/one?id={own}"),
        bob.get(f"/api/v1/gene-sets/export?id={own}"),
        bob.post("/api/v1/gene-sets/rename", json={"id": own, "name": "his", "version": version}),
        bob.post("/api/v1/gene-sets/set", json={"id": own, "name": "x", "genes": "CD3D", "version": version}),
        bob.post("/api/v1/gene-sets/delete-sets", json={"id": own, "names": ["T cell"], "version": version}),
        *(
            bob.post(f"/api/v1/gene-sets/{what}", json={"id": own, "name": "x"})
            for what in ("delete", "restore", "duplicate")
        ),
        bob.post("/api/v1/enrichment", json={"name": "x", "collection": own}),
    ]
    assert [answer.status_code for answer in answers] == [400] * len(answers)
    added = bob.post(f"/api/v1/gene-sets/keep?collection={own}&version={version}", **body).get_json()
    assert list(added) == ["refused"]
    look = bob.post("/api/v1/enrichment/look", json={"collection": own})
    assert "secret" not in "".join(answer.text for answer in (*answers, look))
    (kept,) = [one for one in ada.get("/api/v1/gene-sets").get_json()["collections"] if one["id"] == own]
    assert kept == made


def test_what_else_is_ones_own(two: tuple[Dash, FlaskClient, FlaskClient]) -> None:
    app, ada, bob = two
    # A table that was uploaded.
    token = ada.post("/api/v1/import?name=t", data=b"index,fate\nc0,secret\n", content_type="text/csv").get_json()[
        "token"
    ]
    imports = services_of(app, "bob").imports
    assert services_of(app, "ada").imports.table(token).n_rows == 1
    with pytest.raises(Exception, match="not here any more"):
        imports.table(token)
    # Selections and ticks.
    saved = {"do": "filter", "condition": {"is": "labels", "kind": "cluster", "key": "leiden", "values": ["0"]}}
    assert ada.post("/api/v1/selection", json=saved).status_code == 200
    assert ada.post("/api/v1/selection", json={"do": "save", "name": "hers"}).status_code == 200
    assert ada.post("/api/v1/edit/ticks", json={"do": "one", "row": 1}).status_code == 200
    state = bob.get("/api/v1/selection/state").get_json()
    assert (state["saved"], state["count"]) == ([], 0)
    assert bob.post("/api/v1/selection", json={"do": "load", "id": saved_id(ada)}).status_code == 400
    assert bob.get("/api/v1/status").get_json()["ticks"] != ada.get("/api/v1/status").get_json()["ticks"]
    # What is listed to all of edits and results is listed by whose they are.
    assert bob.get("/api/v1/edits").get_json() == {"edits": []}
    assert bob.get("/api/v1/enrichments").get_json()["results"] == []
    assert bob.get("/api/v1/merged/0").status_code == 404


def saved_id(client: FlaskClient) -> str:
    (saved,) = client.get("/api/v1/selection/state").get_json()["saved"]
    return str(saved["id"])
