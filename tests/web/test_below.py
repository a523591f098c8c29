"""Below a path of a host: what is answered where, cookies, and that no address is written without the path."""

import ast
import json
import re
from pathlib import Path

import pytest
from dash import Dash
from flask.testing import FlaskClient

import iscan_dash.web
from iscan_dash.services.accounts import Accounts
from iscan_dash.web.app import ASSETS
from iscan_dash.web.security import HEADERS
from tests.web.conftest import SAME_ORIGIN, MakeApp

WEB = Path(iscan_dash.web.__file__).parent

FROM_PROXY = SAME_ORIGIN | {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_FOR": "10.0.0.7"}


@pytest.fixture(scope="module")
def app(make_app: MakeApp, small_file: Path) -> Dash:
    return make_app(small_file, url_prefix="/cells/", proxies=1)


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    app.server.extensions["iscan"].warm_up.join()
    made = app.server.test_client()
    made.environ_base |= FROM_PROXY
    return made


def test_what_is_where(client: FlaskClient) -> None:
    moved = client.get("/cells?annotation=a%20b")
    assert (moved.status_code, moved.headers["Location"]) == (308, "/cells/?annotation=a%20b")
    for path in (
        "/",
        "/annotate",
        "/api/v1/status",
        "/assets/theme.js",
        "/cellsx/",
        "//cells/",
        "/cell",
        "/_dash-layout",
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.text) == (404, "There is nothing here. iscan-dash is at /cells/\n"), path
    for path in ("/cells/", "/cells/annotate", "/cells/healthz", "/healthz", "/readyz", "/cells/_dash-layout"):
        assert client.get(path).status_code == 200, path
    assert client.get("/cells/api/v1/nothing").json == {"error": "There is nothing at /api/v1/nothing for GET."}


def test_what_is_elsewhere_has_the_headers_of_all_answers_and_is_logged(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    here = client.get("/cells/healthz").headers
    with caplog.at_level("INFO", "iscan_dash"):
        for path in ("/cells", "/secret"):
            elsewhere = client.get(path).headers
            for name in {*HEADERS, "Cache-Control", "Cross-Origin-Opener-Policy"}:
                assert elsewhere[name] == here[name], (path, name)
            assert elsewhere["Content-Security-Policy"].startswith("default-src 'self'; script-src 'self';")
    (refused,) = (record for record in caplog.records if record.getMessage() == "refused")
    assert refused.fields == {  # type: ignore[attr-defined]
        "status": 404,
        "reason": "There is nothing here. iscan-dash is at /cells/",
    }


def test_the_page_names_no_address_elsewhere(client: FlaskClient) -> None:
    page = client.get("/cells/").text
    named = re.findall(r'(?:href|src|action)="([^"]*)"', page)
    assert len(named) > 10
    layout = json.dumps(client.get("/cells/_dash-layout").json)
    named += (given := re.findall(r'"(?:href|action|xy|codes|hover)": "([^"]*)"', layout))
    assert len(given) > 8
    assert [address for address in named if not address.startswith("/cells/")] == []
    assert client.get("/cells/").headers["Content-Security-Policy"].startswith("default-src 'self';")


def test_the_cookie_of_a_browser(client: FlaskClient) -> None:
    (cookie,) = client.get("/cells/").headers.getlist("Set-Cookie")
    assert re.match(r"iscan-user-[0-9a-f]{8}=", cookie)
    assert {"Path=/cells/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


def test_signing_in_stays_below_the_path(make_app: MakeApp, small_file: Path, tmp_path: Path) -> None:
    Accounts(tmp_path / "users.txt").add("ada", "correct horse")
    app = make_app(small_file, url_prefix="/cells/", proxies=1, users=tmp_path / "users.txt")
    client = app.server.test_client()
    client.environ_base |= FROM_PROXY
    asked = client.get("/cells/annotate?open=x")
    assert (asked.status_code, asked.headers["Location"]) == (303, "/cells/sign-in")
    form = client.get("/cells/sign-in").text
    assert re.findall(r'(?:href|src|action)="((?!/cells/)[^"]*)"', form) == []
    # A host that a visitor may have made up leads nowhere else.
    answer = client.post(
        "/cells/sign-in",
        data={"name": "ada", "password": "correct horse"},
        headers={"X-Forwarded-Host": "evil.example"},
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/cells/annotate?open=x")
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert {"Path=/cells/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert client.get("/cells/annotate").status_code == 200
    assert client.post("/cells/sign-out").headers["Location"] == "/cells/sign-in"


def test_two_servers_of_one_host_keep_their_users_apart(make_app: MakeApp, small_file: Path, tmp_path: Path) -> None:
    # Even with the same secret, of which the names of cookies are made.
    apps = [
        make_app(
            small_file, url_prefix=prefix, data_dir=tmp_path / "server", annotations_dir=tmp_path / prefix.strip("/")
        )
        for prefix in ("/a/", "/b/")
    ]
    cookies = {}
    for app, prefix in zip(apps, ("/a/", "/b/"), strict=True):
        (cookie,) = app.server.test_client().get(prefix).headers.getlist("Set-Cookie")
        cookies[prefix] = cookie.partition("=")[0], f"Path={prefix}" in cookie.split("; ")
    assert cookies["/a/"] == cookies["/b/"] == (cookies["/a/"][0], True)


# What is made from here on needs no application: Dash's function makes addresses of the one that was made last.

ADDRESS = re.compile(r"""(?<!iscan\.address\()(?<!iscan\.pageBelow\()["'`]/[a-z_]""")
"""What begins as an address does, and is not given to what puts the path before it."""


def test_scripts_make_addresses_in_one_way() -> None:
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted(ASSETS.glob("*.js"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if ADDRESS.search(line) and not line.lstrip().startswith(("*", "/*", "//"))
    ]
    assert found == []


def test_scripts_keep_nothing_under_a_name_of_the_whole_host() -> None:
    # The theme is the user's, not the study's.
    own = re.compile(
        r"""(?:const \w+ = |Storage\.\w+\(|new BroadcastChannel\()["'`]iscan-(?!theme"|[a-z]+-\$\{token)"""
    )
    found = [f"{path.name}: {text}" for path in ASSETS.glob("*.js") for text in own.findall(path.read_text("utf-8"))]
    assert found == []


TAKES_PATHS = {"get_relative_path", "get", "post", "route", "register_page", "Blueprint"}
"""What is given paths as the server itself knows them: what puts the path before them, and what routes are made with."""


def test_pages_make_addresses_in_one_way() -> None:
    found = []
    for path in sorted(WEB.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        given: set[ast.AST] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in TAKES_PATHS:
                given.update(ast.walk(node))
            elif isinstance(node, ast.JoinedStr):
                given.update(node.values)  # not where it begins, or looked at with the whole of it
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda))
        for node in {part for function in functions for part in ast.walk(function)} - given:
            if isinstance(node, ast.Constant | ast.JoinedStr) and re.match(r"f?[\"']/[a-z_]", ast.unparse(node)):
                found.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    assert found == []
