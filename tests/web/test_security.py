"""What is refused: other sites, other names, bodies of the wrong kind or size; what every answer forbids."""

import base64
import hashlib
import io
import re
from pathlib import Path

import flask
import pytest
from dash import Dash, html
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from iscan_dash.settings import Settings
from iscan_dash.web import security
from iscan_dash.web.security import LARGEST_REQUEST, takes_body
from tests.web.conftest import MakeApp, visitor

ROWS = "/api/v1/preview/rows"
ASKED = {"form": {"default": "none"}, "start": 0, "end": 1}
ANOTHER_SITE = (
    "This request comes from another site, or does not say from where. Use the page of this server; a proxy in front "
    "of it has to pass the Host header on."
)


@pytest.fixture(scope="module")
def app(make_app: MakeApp, small_file: Path) -> Dash:
    """An application that tells browsers apart."""
    return make_app(small_file)


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


@pytest.fixture
def bare(client: FlaskClient) -> FlaskClient:
    """The same browser, which says nothing of where its requests come from."""
    del client.environ_base["HTTP_SEC_FETCH_SITE"]
    return client


def small_server(**settings: object) -> FlaskClient:
    """Return a client of a server that takes what it is sent."""
    server = flask.Flask("small", static_folder=None)
    app = Dash("small", server=server)
    app.layout = html.Div()

    @server.post("/api/size")
    def size() -> dict[str, int]:
        return {"size": len(flask.request.get_data())}

    @server.post("/api/upload")
    @takes_body(2 * LARGEST_REQUEST)
    def upload() -> dict[str, int]:
        return {"size": sum(len(file.read()) for file in flask.request.files.values()) or len(flask.request.get_data())}

    @server.get("/api/who")
    def who() -> dict[str, object]:
        return {"address": flask.request.remote_addr, "secure": flask.request.is_secure, "host": flask.request.host}

    security.register(server, app, Settings(**settings))
    return server.test_client()


def refused(response: TestResponse, status: int) -> str:
    assert (response.status_code, response.mimetype) == (status, "application/json")
    return str(response.get_json()["error"])


# -- other sites ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ROWS, "/_dash-update-component", "/api/v1/none", "/"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_another_site_writes_nothing(bare: FlaskClient, path: str, method: str) -> None:
    for said in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://evil.example/localhost"},
        {"Origin": "http://localhost:8050"},
        {"Origin": "http://localhost@evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[", "Host": "["},
        {"Origin": "http://localhost:x"},
        # A browser with a cookie that does not say where the request comes from.
        {},
    ):
        assert refused(bare.open(path, method=method, json=ASKED, headers=said), 403) == ANOTHER_SITE


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("localhost", {"Sec-Fetch-Site": "same-origin"}),
        ("localhost", {"Sec-Fetch-Site": "none"}),
        ("localhost", {"Origin": "http://localhost"}),
        ("localhost", {"Origin": "HTTP://LOCALHOST:80"}),
        # A proxy in front that speaks https.
        ("localhost", {"Origin": "https://localhost"}),
        ("localhost:8050", {"Origin": "http://localhost:8050"}),
        ("[::1]:8050", {"Origin": "http://[::1]:8050"}),
    ],
)
def test_the_servers_own_page_writes(bare: FlaskClient, host: str, said: dict[str, str]) -> None:
    (cookie,) = bare._cookies.values()
    assert cookie.key.startswith("iscan-user-")
    response = bare.application.test_client(use_cookies=False).post(
        ROWS, json=ASKED, headers={"Host": host, "Cookie": f"{cookie.key}={cookie.value}", **said}
    )
    assert response.status_code == 200


def test_a_program_without_cookies_is_no_browser() -> None:
    assert small_server().post("/api/size", json=1).get_json() == {"size": 1}
    client = small_server()
    client.set_cookie("any", "x")
    assert refused(client.post("/api/size", json=1), 403) == ANOTHER_SITE


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None, "x"])
def test_only_json_is_read(client: FlaskClient, kind: str | None) -> None:
    for path in (ROWS, "/_dash-update-component"):
        said = refused(client.post(path, data=b"{}", content_type=kind), 415)
        assert said == "The body has to be JSON, with the content type application/json."
    answer = client.post(ROWS, json=ASKED, content_type="application/json; charset=utf-8")
    assert answer.status_code == 200


# -- other names ---------------------------------------------------------------------------------------------------


def test_a_server_on_loopback_answers_to_its_names_only(make_app: MakeApp, small_file: Path) -> None:
    app = make_app(small_file, allowed_hosts=Settings().with_loopback_hosts().allowed_hosts)
    client = app.server.test_client()
    for host in ("localhost", "LOCALHOST:8050", "127.0.0.1:8050", "[::1]", "[::1]:8050", "127.0.0.1"):
        assert client.get("/", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "evil.example:8050", "localhost.evil.example", "127.0.0.2", "[::2]", "", "["):
        for path in ("/", "/api/v1/status", "/assets/theme.js", "/none"):
            answer = client.get(path, headers={"Host": host})
            said = refused(answer, 400)
            assert (
                said == "This server does not answer to that name. Whoever runs it can add it to ISCAN_ALLOWED_HOSTS."
            )
            assert "Set-Cookie" not in answer.headers


def test_names_for_proxies() -> None:
    client = small_server(allowed_hosts="lab.example, Other.example:8443,[fd00::1]")
    for host in ("lab.example", "lab.example:443", "other.example", "[fd00::1]:80", "localhost:8050"):
        assert client.get("/api/who", headers={"Host": host}).status_code == 200
    for host in ("a.lab.example", "example", "[fd00::2]"):
        assert client.get("/api/who", headers={"Host": host}).status_code == 400
    # Otherwise the server does not know its name.
    assert small_server().get("/api/who", headers={"Host": "lab.example"}).status_code == 200


def test_only_trusted_proxies_are_believed() -> None:
    said = {"X-Forwarded-For": "10.9.9.9, 10.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    assert small_server().get("/api/who", headers=said).get_json() == {
        "address": "127.0.0.1",
        "secure": False,
        "host": "localhost",
    }
    assert small_server(proxies=1).get("/api/who", headers=said).get_json() == {
        "address": "10.0.0.1",
        "secure": True,
        "host": "localhost",
    }


# -- size ----------------------------------------------------------------------------------------------------------

TOO_LARGE = "The request is larger than the {} that are taken here. Send less at a time."


def test_a_large_body_is_refused() -> None:
    client = small_server()
    for size in (1, LARGEST_REQUEST):
        answer = client.post("/api/size", data=b"1".rjust(size), content_type="application/json")
        assert answer.get_json() == {"size": size}
    for size in (LARGEST_REQUEST + 1, 5 * LARGEST_REQUEST):
        answer = client.post("/api/size", data=b"1".rjust(size), content_type="application/json")
        assert refused(answer, 413) == TOO_LARGE.format("4 MB")


def test_a_route_may_take_more() -> None:
    client = small_server()
    size = 2 * LARGEST_REQUEST
    assert client.post("/api/upload", data=b"1" * size, content_type="text/csv").get_json() == {"size": size}
    answer = client.post("/api/upload", data=b"1" * (size + 1), content_type="text/csv")
    assert refused(answer, 413) == TOO_LARGE.format("8 MB")
    file = client.post("/api/upload", data={"file": (io.BytesIO(b"1" * LARGEST_REQUEST), "a.csv")})
    assert file.get_json() == {"size": LARGEST_REQUEST}
    # The parts of a form that are no files are held in memory.
    assert client.post("/api/upload", data={"text": "x" * 100_000, "file": (io.BytesIO(b"1"), "a")}).status_code == 413
    many = {f"file{number}": (io.BytesIO(b"1"), "a.csv") for number in range(17)}
    assert client.post("/api/upload", data=many).status_code == 413


@pytest.mark.parametrize("path", ["/api/size", "/api/upload", "/api/none"])
@pytest.mark.parametrize("size", [0, 1, 4 * LARGEST_REQUEST])
def test_a_body_of_unknown_length_is_refused(path: str, size: int) -> None:
    answer = small_server().post(
        path,
        input_stream=io.BytesIO(b"1" * size),
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert refused(answer, 411) == "Send the body in one piece, with its Content-Length."


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "gzip, identity", "x"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_compressed_body_is_refused(client: FlaskClient, encoding: str, method: str) -> None:
    response = client.open(ROWS, method=method, json=ASKED, headers={"Content-Encoding": encoding})
    assert refused(response, 415) == "This server takes no compressed requests. Send the body as it is."


def test_a_body_that_says_it_is_not_compressed(client: FlaskClient) -> None:
    assert client.post(ROWS, json=ASKED, headers={"Content-Encoding": "identity"}).status_code == 200


@pytest.mark.parametrize(
    ("number", "status"),
    [
        ("9" * 19, 200),
        (str(2**64), 400),
        (f"-{2**64}", 400),
        ("9" * 5000, 400),
        (f'"{"9" * 50}"', 200),
        ("0." + "9" * 50, 200),
    ],
)
def test_numbers_that_no_answer_could_hold(number: str, status: int) -> None:
    answer = small_server().post("/api/size", data=f"[{number}]".encode(), content_type="application/json")
    assert answer.status_code == status
    if status == 400:
        assert answer.get_json() == {"error": "The request is not understood: it holds numbers that are too large."}


# -- what answers forbid -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/annotate"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/none"),
        ("GET", "/api/v1/codes"),
        ("GET", "/_dash-layout"),
        ("GET", "/assets/theme.js"),
        ("GET", "/assets/none"),
        ("POST", "/"),
        ("POST", ROWS),
        ("POST", "/_dash-update-component"),
    ],
)
def test_every_answer_carries_the_headers(client: FlaskClient, method: str, path: str) -> None:
    headers = client.open(path, method=method).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert re.fullmatch(r"'self'( 'sha256-[A-Za-z0-9+/]{43}=')+", policy["script-src"])
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


def test_the_scripts_of_the_page_are_those_that_may_run(client: FlaskClient) -> None:
    page = client.get("/")
    inline = [
        script
        for kind, script in re.findall(r"<script([^>]*)>(.*?)</script>", page.get_data(as_text=True), re.DOTALL)
        if script and "application/json" not in kind
    ]
    assert inline
    allowed = page.headers["Content-Security-Policy"]
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in allowed
    assert "unsafe-eval" not in allowed
    assert re.search(r" on\w+=|javascript:", page.get_data(as_text=True)) is None


def test_data_is_not_stored(client: FlaskClient) -> None:
    for path in ("/", "/_dash-layout", "/_dash-dependencies", "/api/v1/status", "/api/v1/none"):
        assert client.get(path).headers["Cache-Control"] == "no-store"
    arrays = client.get("/api/v1/codes?by=cluster%3Aleiden")
    assert "no-store" not in arrays.headers["Cache-Control"]
    assert arrays.headers["ETag"]
    page = client.get("/").get_data(as_text=True)
    for address in re.findall(r'<(?:script|link rel="stylesheet")[^>]* (?:src|href)="([^"]+)"', page):
        assert "no-store" not in client.get(address).headers.get("Cache-Control", "")


def test_a_server_elsewhere_has_no_opener_policy() -> None:
    # Browsers complain of it where the address is not trustworthy.
    client = small_server()
    assert "Cross-Origin-Opener-Policy" not in client.get("/api/who", base_url="http://lab.example").headers
    assert "Cross-Origin-Opener-Policy" in client.get("/api/who", base_url="https://lab.example").headers


@pytest.mark.parametrize(
    "path",
    [
        "/assets/..%2f..%2fpyproject.toml",
        "/assets/%2e%2e/pyproject.toml",
        "/assets//etc/passwd",
        "/bootstrap/../__init__.py",
        "/bootstrap/..%2f..%2f__init__.py",
        "/_dash-component-suites/dash/../flask/app.py",
        "/_dash-component-suites/iscan_dash/settings.py",
        "/_dash-component-suites/dash/dash.py",
        "/_dash-component-suites/os/path",
        "/_dash-component-suites/dash/%2e%2e/%2e%2e/x.js",
    ],
)
def test_files_of_others_are_not_served(client: FlaskClient, path: str, caplog: pytest.LogCaptureFixture) -> None:
    response = client.get(path, follow_redirects=True)
    assert response.status_code in {200, 404}
    assert b"import " not in response.data
    assert b"[project]" not in response.data
    assert b"root:" not in response.data
    if response.status_code == 200:
        # Dash answers any page with its frame.
        assert b"react-entry-point" in response.data
    assert caplog.records == []
