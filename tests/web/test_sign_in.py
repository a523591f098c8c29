"""Signing in: nothing before it, the same answer to every wrong try, and an end to guessing."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from dash import Dash
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from iscan_dash.services.accounts import Accounts
from iscan_dash.web import sign_in
from iscan_dash.web.sign_in import WRONG, Throttle
from tests.web.conftest import SAME_ORIGIN, MakeApp
from tests.web.test_identity import CLOSED, FILES

PASSWORD = "correct horse"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(tmp_path / "users.txt")
    made.add("ada", PASSWORD)
    return made


@pytest.fixture
def app(make_app: MakeApp, small_file: Path, accounts: Accounts) -> Dash:
    return make_app(small_file, users=accounts.path)


Visit = Callable[[], FlaskClient]


@pytest.fixture
def visit(app: Dash) -> Visit:
    def visit_() -> FlaskClient:
        client = app.server.test_client()
        client.environ_base |= SAME_ORIGIN
        return client

    return visit_


def enter(client: FlaskClient, name: str = "ada", password: str = PASSWORD, address: str = "10.0.0.1") -> TestResponse:
    return client.post(
        "/sign-in", data={"name": name, "password": password}, environ_overrides={"REMOTE_ADDR": address}
    )


def problem(response: TestResponse) -> str:
    found = re.search(r'id="problem"[^>]*>([^<]*)<', response.get_data(as_text=True))
    assert found
    return found[1]


def test_nothing_is_told_before(visit: Visit) -> None:
    for path in CLOSED:
        answer = visit().get(path)
        assert answer.status_code == 401
        assert answer.get_json() == {"error": "You are not signed in any more. Load the page again and sign in."}
        assert answer.headers["X-Iscan-Sign-In"] == "/sign-in"
    for path in ("/_dash-update-component", "/api/v1/preview/rows"):
        assert visit().post(path, json={}).status_code == 401
    for path in ("/", "/annotate", "/assets/", "/none"):
        answer = visit().get(path)
        assert (answer.status_code, answer.headers["Location"], answer.data) == (303, "/sign-in", b"")
    for path in FILES:
        assert visit().get(path).status_code == 200


def test_the_page_to_sign_in_needs_no_scripts_and_nothing_from_elsewhere(visit: Visit) -> None:
    page = visit().get("/sign-in")
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    html = page.get_data(as_text=True)
    assert '<form method="post" action="/sign-in">' in html
    assert "small" not in html
    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(addresses) == 4
    for address in addresses:
        assert visit().get(address).status_code == 200


def test_signing_in_and_out(visit: Visit) -> None:
    client = visit()
    client.get("/annotate?view=X_umap")
    entered = enter(client)
    assert (entered.status_code, entered.headers["Location"]) == (303, "/annotate?view=X_umap")
    cookie = entered.headers["Set-Cookie"]
    assert re.match(r"iscan-session-[0-9a-f]{8}=", cookie)
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    assert client.get("/api/v1/status").status_code == 200
    assert client.get("/_dash-layout").status_code == 200
    assert client.get("/sign-in").headers["Location"] == "/"
    left = client.post("/sign-out")
    assert (left.status_code, left.headers["Location"]) == (303, "/sign-in")
    assert client.get("/api/v1/status").status_code == 401
    assert client.get("/sign-out").status_code in {303, 405}


def test_a_cookie_by_https_stays_on_https(app: Dash) -> None:
    answer = app.server.test_client().post(
        "/sign-in", data={"name": "ada", "password": PASSWORD}, base_url="https://lab.example"
    )
    assert answer.status_code == 303
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "/%5Cevil.example", "/%09/evil.example", "/%0d%0aX: y"]
)
def test_nobody_is_sent_elsewhere(visit: Visit, path: str) -> None:
    client = visit()
    client.get(path)
    location = enter(client).headers["Location"]
    assert re.fullmatch(r"/([^/\\\s].*)?", location)
    assert client.get(location).status_code == 200


def test_a_wrong_try_learns_nothing(visit: Visit) -> None:
    client = visit()
    for name, password in [("ada", "wrong"), ("eve", PASSWORD), ("", ""), ("x" * 1000, "y" * 5000)]:
        answer = enter(client, name, password)
        assert (answer.status_code, problem(answer)) == (401, WRONG)
    assert enter(client, "<script>alert(1)</script>", "x").get_data(as_text=True).count("<script") == 1
    assert client.get("/api/v1/status").status_code == 401


def test_guessing_comes_to_an_end(visit: Visit) -> None:
    client = visit()
    for _ in range(10):
        assert enter(client, password="guess").status_code == 401
    # Now not even the right one opens, so guesses learn nothing more.
    for password in ("guess", PASSWORD):
        answer = enter(client, password=password)
        assert answer.status_code == 429
        assert re.fullmatch(r"There were too many tries\. Try again in [1-5] minutes?\.", problem(answer))
        assert 0 < int(answer.headers["Retry-After"]) <= 300
    # A stranger elsewhere has not locked the user out.
    assert enter(visit(), address="10.0.0.2").status_code == 303


def test_a_right_try_is_no_guess(visit: Visit) -> None:
    for _ in range(3):
        for _ in range(6):
            enter(visit(), password="guess")
        assert enter(visit()).status_code == 303


def test_many_names_from_one_address_are_guesses_too() -> None:
    throttle = Throttle()
    waits = [throttle.seconds_to_wait(f"user{number}", "10.0.0.1") for number in range(61)]
    assert (waits[:60], waits[60] > 0) == ([0] * 60, True)
    assert throttle.seconds_to_wait("ada", "10.0.0.2") == 0


@pytest.mark.parametrize("change", [lambda a: a.add("ada", "another one"), lambda a: a.remove("ada")])
def test_another_password_ends_what_the_old_one_began(
    visit: Visit, accounts: Accounts, change: Callable[[Accounts], object]
) -> None:
    client = visit()
    enter(client)
    assert client.get("/api/v1/status").status_code == 200
    change(accounts)
    assert client.get("/api/v1/status").status_code == 401


def test_a_session_of_another_server_opens_nothing(
    visit: Visit, make_app: MakeApp, small_file: Path, accounts: Accounts
) -> None:
    other = make_app(small_file, users=accounts.path).server.test_client()
    other.environ_base |= SAME_ORIGIN
    enter(other)
    session = other.get_cookie(str(other.application.config["SESSION_COOKIE_NAME"]))
    assert session
    client = visit()
    client.set_cookie(str(client.application.config["SESSION_COOKIE_NAME"]), session.value)
    assert other.get("/api/v1/status").status_code == 200
    assert client.get("/api/v1/status").status_code == 401


def test_another_site_cannot_sign_a_user_in_or_out(visit: Visit) -> None:
    client = visit()
    enter(client)
    client.environ_base["HTTP_SEC_FETCH_SITE"] = "cross-site"
    assert enter(client).status_code == 403
    assert client.post("/sign-out").status_code == 403
    assert client.get("/api/v1/status").status_code == 200


def test_a_large_form_is_refused(visit: Visit) -> None:
    assert enter(visit(), password="x" * sign_in.LARGEST_FORM).status_code == 413
