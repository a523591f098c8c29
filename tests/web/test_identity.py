"""Who asks: a browser of its own, one user for all, or whom a proxy names; never somebody else."""

import threading
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import flask
import pytest
from dash import Dash, html
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from iscan_dash.errors import UserRefused
from iscan_dash.services.secret import load_secret
from iscan_dash.settings import Settings
from iscan_dash.web import identity, security
from iscan_dash.web.identity import COOKIE, COOKIE_AGE, can_rename, can_sign_out, current_user, rename_user
from iscan_dash.web.security import cookie_name
from tests.web.conftest import SAME_ORIGIN, MakeApp

OPEN_FIRST = (
    "Open the page first: it gives this browser the cookie that tells users apart. "
    "If it is open, allow cookies and load it again."
)
CLOSED = (
    "/api/v1/status",
    "/api/v1/positions?embedding=X_umap",
    "/api/v1/codes",
    "/api/v1/cells/0",
    "/api/v1/none",
    "/_dash-layout",
    "/_dash-dependencies",
    "/_reload-hash",
)
FILES = ("/assets/theme.js", "/bootstrap/css/bootstrap.min.css", "/_favicon.ico")


@pytest.fixture(scope="module")
def app(make_app: MakeApp, small_file: Path) -> Dash:
    """An application that tells browsers apart."""
    return make_app(small_file)


def small_app(folder: Path, **settings: Any) -> FlaskClient:
    """Return a browser for a server that tells who asks, and takes names."""
    server = flask.Flask("small", static_folder=None)
    app = Dash("small", server=server)
    app.layout = html.Div()

    @server.get("/api/me")
    def me() -> dict[str, Any]:
        user = current_user()
        return {"id": user.id, "name": user.name, "can": [can_rename(), can_sign_out()]}

    @server.post("/api/name")
    def name() -> dict[str, str]:
        try:
            user = rename_user(flask.request.get_json())
        except UserRefused as error:
            return {"error": str(error)}
        assert user == current_user()
        return {"id": user.id, "name": user.name}

    asked = Settings(data_dir=folder, **settings)
    security.register(server, app, asked)
    identity.register(server, asked)
    return browser(server)


def browser(server: flask.Flask) -> FlaskClient:
    client = server.test_client()
    client.environ_base |= SAME_ORIGIN
    return client


def cookie_of(response: TestResponse) -> str | None:
    cookies = SimpleCookie(response.headers.get("Set-Cookie", ""))
    return next((cookie.value for name, cookie in cookies.items() if name.startswith(f"{COOKIE}-")), None)


def me(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/me").get_json()
    return found


# -- a browser of its own ------------------------------------------------------------------------------------------


def test_the_page_makes_a_browser_a_user(tmp_path: Path) -> None:
    client = small_app(tmp_path)
    first = client.get("/")
    (said,) = first.headers.getlist("Set-Cookie")
    parts = {part.strip() for part in said.split(";")[1:]}
    assert {"HttpOnly", "SameSite=Lax", f"Max-Age={COOKIE_AGE}", "Path=/"} <= parts
    assert "Secure" not in parts
    user = me(client)
    assert (len(user["id"]), user["name"]) == (32, f"user-{user['id'][:4]}")
    assert user["can"] == [True, False]
    # Each visit begins the cookie's time anew, for the same user.
    assert cookie_of(client.get("/annotate"))
    assert me(client) == user
    assert me(small_app(tmp_path)).get("error") == OPEN_FIRST
    other = browser(client.application)
    other.get("/")
    assert me(other)["id"] != user["id"]


def test_a_page_that_came_by_https_has_a_cookie_for_https(tmp_path: Path) -> None:
    client = small_app(tmp_path)
    assert "Secure" in client.get("/", base_url="https://lab.example").headers["Set-Cookie"]


def test_what_a_page_asks_for_at_once_makes_no_user(tmp_path: Path) -> None:
    client = small_app(tmp_path)
    start = threading.Barrier(8)

    def ask(path: str) -> TestResponse:
        start.wait(10)
        return browser(client.application).get(path, headers={"Sec-Fetch-Dest": "empty"})

    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(ask, ["/api/me", "/_dash-layout", "/_dash-dependencies", "/"] * 2):
            assert (answer.status_code, answer.get_json()) == (401, {"error": OPEN_FIRST})
            assert "Set-Cookie" not in answer.headers
    for kind in ("image", "script", "iframe", "style"):
        answer = client.get("/favicon.png", headers={"Sec-Fetch-Dest": kind})
        assert (answer.status_code, cookie_of(answer)) == (401, None)
    assert client.post("/").status_code == 401


def test_a_forged_cookie_makes_a_new_user(tmp_path: Path) -> None:
    client = small_app(tmp_path / "server")
    signed = cookie_of(client.get("/"))
    assert signed
    user = me(client)
    payload, rest = signed.split(".", 1)
    secret = load_secret(tmp_path / "server")
    forged = [
        "",
        "x",
        "." * 50,
        "\u00e9\U0001f4a5",
        # Not the last character, of which only some bits count.
        signed[:-2] + ("A" if signed[-2] != "A" else "B") + signed[-1],
        payload + "AA." + rest,
        signed[: len(signed) // 2],
        signed + signed,
        URLSafeTimedSerializer(load_secret(tmp_path / "other"), salt=COOKIE).dumps({"id": user["id"], "name": "eve"}),
        URLSafeTimedSerializer(secret, salt="other").dumps({"id": user["id"], "name": "eve"}),
        URLSafeTimedSerializer(b"", salt=COOKIE).dumps({"id": user["id"], "name": "eve"}),
        # Signed, but by another version.
        URLSafeTimedSerializer(secret, salt=COOKIE).dumps({"id": user["id"]}),
        URLSafeTimedSerializer(secret, salt=COOKIE).dumps([user["id"]]),
        URLSafeTimedSerializer(secret, salt=COOKIE).dumps(None),
    ]
    for cookie in forged:
        eve = browser(client.application)
        eve.set_cookie(cookie_name(COOKIE, secret), cookie)
        assert eve.get("/api/me").get_json() == {"error": OPEN_FIRST}
        assert eve.get("/").status_code == 200
        assert me(eve)["id"] != user["id"]


def test_two_servers_of_one_host_keep_their_cookies(tmp_path: Path) -> None:
    """Browsers send a cookie to every port of a host."""
    first, second = small_app(tmp_path / "first"), small_app(tmp_path / "second")
    shared = browser(second.application)
    first.get("/")
    known = me(first)
    given = first.get_cookie(cookie_name(COOKIE, load_secret(tmp_path / "first")))
    assert given
    shared.set_cookie(given.key, given.value)
    shared.get("/")
    kept = shared.get_cookie(given.key)
    assert kept and kept.value == given.value
    assert me(shared)["id"] != known["id"]


def test_an_old_cookie_makes_a_new_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = small_app(tmp_path)
    client.get("/")
    first = me(client)
    monkeypatch.setattr(identity, "COOKIE_AGE", -1)
    assert client.get("/api/me").status_code == 401
    monkeypatch.undo()
    assert me(client) == first


def test_a_user_has_the_name_they_choose(tmp_path: Path) -> None:
    client = small_app(tmp_path)
    client.get("/")
    user = me(client)["id"]
    answer = client.post("/api/name", json="  Ada L\u00f6velace ")
    assert answer.get_json() == {"id": user, "name": "Ada L\u00f6velace"}
    assert cookie_of(answer)
    # Also after the next visit, and after a restart.
    client.get("/")
    again = small_app(tmp_path)
    name = cookie_name(COOKIE, load_secret(tmp_path))
    cookie = client.get_cookie(name)
    assert cookie
    again.set_cookie(name, cookie.value)
    assert (me(again)["id"], me(again)["name"]) == (user, "Ada L\u00f6velace")


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb", "a\u202eb", "\u0000"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    client = small_app(tmp_path)
    client.get("/")
    user = me(client)
    answer = client.post("/api/name", json=name)
    assert answer.get_json()["error"].endswith(".")
    assert cookie_of(answer) is None
    assert me(client) == user


# -- one user, a proxy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "name"), [({"single_user": True}, "local"), ({"user": "ada"}, "ada")])
def test_one_user_for_everybody(tmp_path: Path, settings: dict[str, Any], name: str) -> None:
    client = small_app(tmp_path / "server", **settings)
    assert me(client) == {"id": name, "name": name, "can": [False, False]}
    assert "Set-Cookie" not in client.get("/").headers
    refused = client.post("/api/name", json="eve").get_json()["error"]
    assert refused == "Your name is set by whoever runs this server. Ask them for another one."
    assert me(client)["name"] == name
    # No cookies are signed, so there is no secret.
    assert not (tmp_path / "server").exists()


def test_a_proxy_says_who_asks(tmp_path: Path) -> None:
    client = small_app(tmp_path, user_header="X-Remote-User")
    for said, name in [("ada", "ada"), (" ada ", "ada"), ("J\u00f6rg".encode().decode("latin-1"), "J\u00f6rg")]:
        answer = client.get("/api/me", headers={"X-Remote-User": said})
        assert (answer.status_code, answer.get_json()["id"]) == (200, name)
    for bad in ("", "  ", "x" * 65, "a\tb", "\u00ff", "a\u200b".encode().decode("latin-1")):
        for path in ("/", "/api/me"):
            answer = client.get(path, headers={"X-Remote-User": bad})
            assert answer.status_code == 401
            assert answer.get_json()["error"] == (
                "The header X-Remote-User does not say who you are. "
                "Open iscan-dash through the proxy that signs you in."
            )
    # A cookie that another server gave says nothing here.
    cookie = small_app(tmp_path).get("/").headers["Set-Cookie"]
    assert client.get("/api/me", headers={"Cookie": cookie}).status_code == 401


# -- the product ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CLOSED)
def test_nothing_is_told_to_somebody_unknown(app: Dash, path: str) -> None:
    answer = browser(app.server).get(path)
    assert (answer.status_code, answer.get_json()) == (401, {"error": OPEN_FIRST})


def test_nothing_is_done_for_somebody_unknown(app: Dash) -> None:
    for path in ("/_dash-update-component", "/api/v1/preview/rows", "/api/v1/none", "/none"):
        answer = browser(app.server).post(path, json={})
        assert (answer.status_code, answer.get_json()) == (401, {"error": OPEN_FIRST})


@pytest.mark.parametrize("path", FILES)
def test_files_are_for_everybody(app: Dash, path: str) -> None:
    answer = browser(app.server).get(path)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_a_first_request_of_somebody_unknown_breaks_nothing(make_app: MakeApp, small_file: Path) -> None:
    app = make_app(small_file)
    stranger = browser(app.server)
    assert stranger.get("/_dash-layout").status_code == 401
    client = browser(app.server)
    assert b"react-entry-point" in client.get("/").data
    assert "shell-location" in client.get("/_dash-layout").get_data(as_text=True)
