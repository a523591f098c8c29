"""What is refused before anything is done, and what every answer forbids the browser."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import flask
import orjson
from dash import Dash
from dash.exceptions import DependencyException
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Request, Response

from iscan_dash.core.study.long_searches import TooManySearches
from iscan_dash.errors import IscanError, ServerStopping
from iscan_dash.logs import tell
from iscan_dash.settings import LOOPBACK_HOSTS, Settings

F = TypeVar("F", bound=Callable[..., Any])

LARGEST_REQUEST = 4 << 20

LARGEST_UPLOAD = 200 << 20

STATIC = ("/assets/", "/bundle/", "/bootstrap/", "/_dash-component-suites/", "/_favicon.ico")
"""Where the addresses of files begin that are the same for everybody."""

ALIVE = "/healthz"
READY = "/readyz"
"""What a process manager asks for, by whatever name it knows the machine."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": with that a browser does not say either from where a form of ours comes.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def takes_body(largest: int) -> Callable[[F], F]:
    """Let a route take a body that need not be JSON, of so many bytes at most.

    ::

        @routes.post("/api/v1/import")
        @takes_body(LARGEST_UPLOAD)
        def import_csv() -> flask.Response: ...
    """

    def mark(view: F) -> F:
        view.largest_body = largest  # type: ignore[attr-defined]
        return view

    return mark


def refusal(sentence: str, status: int) -> flask.Response:
    """Return the answer that says why a request is refused."""
    tell("refused", status=status, reason=sentence)
    return flask.Response(
        orjson.dumps({"error": sentence}), status, mimetype="application/json", headers={"Cache-Control": "no-store"}
    )


def status_of(error: IscanError) -> int:
    """Return the status of an answer that explains an error."""
    return 503 if isinstance(error, ServerStopping | TooManySearches) else 400


def register(server: flask.Flask, app: Dash, settings: Settings) -> None:
    """Guard every route; to be called when all scripts of the page are known."""
    # Parts of a form other than files are held in memory.
    server.config.update(MAX_CONTENT_LENGTH=LARGEST_REQUEST, MAX_FORM_MEMORY_SIZE=64 << 10, MAX_FORM_PARTS=16)
    if settings.proxies:
        # Not their word on the host, by which requests from elsewhere are told.
        server.wsgi_app = ProxyFix(server.wsgi_app, settings.proxies, settings.proxies, 0)  # type: ignore[method-assign]
    policy = content_security_policy(app.csp_hashes())
    names = (*settings.allowed_hosts, *LOOPBACK_HOSTS) if settings.allowed_hosts else ()
    hosts = {host_name(name) for name in names}

    @server.before_request
    def refuse() -> flask.Response | None:
        # Flask's own list of trusted hosts knows no IPv6 addresses. Whoever probes asks for the address of the machine.
        is_probe = flask.request.path in {ALIVE, READY}
        if hosts and not is_probe and host_name(flask.request.headers.get("Host", "")) not in hosts:
            return refusal(
                "This server does not answer to that name. Whoever runs it can add it to ISCAN_ALLOWED_HOSTS.", 400
            )
        if flask.request.headers.get("Content-Encoding", "identity") != "identity":
            # A small body may unpack to one that fills the memory.
            return refusal("This server takes no compressed requests. Send the body as it is.", 415)
        if "Transfer-Encoding" in flask.request.headers and flask.request.content_length is None:
            # Of such a body everything past the limit would be left out without a word.
            return refusal("Send the body in one piece, with its Content-Length.", 411)
        if flask.request.method in SAFE_METHODS:
            return None
        return _refuse_write()

    @server.after_request
    def add(response: flask.Response) -> flask.Response:
        add_headers(response, flask.request, policy)
        return response

    @server.errorhandler(RequestEntityTooLarge)
    def too_large(_: RequestEntityTooLarge) -> flask.Response:
        limit = flask.request.max_content_length or LARGEST_REQUEST
        size = f"{limit >> 20} MB" if limit >= 1 << 20 else f"{limit:,} bytes"
        return refusal(f"The request is larger than the {size} that are taken here. Send less at a time.", 413)

    @server.errorhandler(DependencyException)
    def no_such_script(_: DependencyException) -> flask.Response:
        # Dash takes a wrong address for a mistake in its own packages.
        return refusal("There is nothing at this address.", 404)


def add_headers(response: Response, request: Request, policy: str) -> None:
    """Forbid the browser what no answer is for.

    Parameters
    ----------
    response
        The answer.
    request
        What it answers.
    policy
        What the page may load and run; see `content_security_policy`.
    """
    response.headers.update(HEADERS)
    response.headers["Content-Security-Policy"] = policy
    if request.is_secure or host_name(request.host) in _LOOPBACK:
        # Elsewhere browsers ignore it with a complaint.
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if not request.path.startswith(STATIC):
        response.headers.setdefault("Cache-Control", "no-store")


def content_security_policy(scripts: list[str]) -> str:
    """Return what the page may load and run.

    Parameters
    ----------
    scripts
        The hashes of the scripts that stand in the page itself.
    """
    return "; ".join(
        [
            "default-src 'self'",
            " ".join(["script-src 'self'", *scripts]),
            # React, Plotly and AG Grid set styles on elements.
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "connect-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ]
    )


def cookie_name(name: str, secret: bytes) -> str:
    """Return the name of a cookie of this server alone, such as ``"iscan-user-0a1b2c3d"``.

    Browsers do not tell the ports of a host apart: two servers of one name would take each other's cookies away.
    """
    return f"{name}-{hashlib.sha256(b'cookie name' + secret).hexdigest()[:8]}"


def host_name(host: str) -> str:
    """Return the name or address in a ``Host`` header, ``""`` when there is none.

    Examples
    --------
    >>> host_name("Lab.example:8050"), host_name("[::1]:8050"), host_name("[")
    ('lab.example', '::1', '')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


_LOOPBACK = {host_name(name) for name in LOOPBACK_HOSTS}


def _refuse_write() -> flask.Response | None:
    """Refuse a write that another site made the browser send, or whose body is of a kind not asked for."""
    request = flask.request
    if not _is_from_here():
        return refusal(
            "This request comes from another site, or does not say from where. Use the page of this server; a proxy "
            "in front of it has to pass the Host header on.",
            403,
        )
    view = flask.current_app.view_functions.get(request.endpoint or "")
    largest = getattr(view, "largest_body", None)
    if largest is not None:
        request.max_content_length = largest
        return None
    if (request.content_type or request.content_length) and not request.is_json:
        return refusal("The body has to be JSON, with the content type application/json.", 415)
    if problem := _beyond_json(request.get_data()):
        return refusal(f"The request is not understood: it holds {problem}.", 400)
    return None


def _beyond_json(body: bytes) -> str:
    """Say what JSON holds that no answer could: lone surrogates, which no file could either, and very large numbers."""
    if rb"\ud" not in body.lower() and not _LARGE.search(body):
        return ""
    try:
        json.dumps(json.loads(body, parse_int=_checked_number), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "halves of characters"
    except OverflowError:
        return "numbers that are too large"
    except (ValueError, RecursionError):
        # Whoever reads it says that it is no JSON.
        return ""
    return ""


_LARGE = re.compile(rb"[0-9]{19}")


def _checked_number(digits: str) -> int:
    # Python itself refuses to read thousands of digits.
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise OverflowError
    return int(digits)


def _is_from_here() -> bool:
    """Tell whether a page of this server sent the request, or a program that no other site can make send it."""
    headers = flask.request.headers
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site is not None:
        return site in {"same-origin", "none"}
    if origin is not None:
        # Browsers say the former only to https and loopback addresses. The scheme is that of the proxy in front.
        place = _place(origin)
        return place is not None and place == _place(f"//{headers.get('Host', '')}")
    return not flask.request.cookies


def _place(address: str) -> tuple[str, int | None] | None:
    """Return host and port of an origin, None when it names none."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname, None if port in {80, 443} else port
