"""Signing in and out: a page of its own that works without scripts, and a session cookie."""

import math
import time
from urllib.parse import quote

import flask
import flask_login
from dash import get_relative_path
from flask.sessions import SecureCookieSessionInterface
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from iscan_dash.services.accounts import LONGEST_NAME, LONGEST_PASSWORD, Accounts
from iscan_dash.web.security import cookie_name, takes_body

PAGE = "/sign-in"

SIGN_OUT = "/sign-out"

LARGEST_FORM = 16 << 10

TRIES_PER_NAME = parse("10 per 5 minutes")
"""For one name from one address: a stranger elsewhere cannot lock a user out."""

TRIES_PER_ADDRESS = parse("60 per 5 minutes")
"""For all names together; a lab may share an address."""

WRONG = "The name or the password is wrong. Try again."

TEMPLATE = """<!DOCTYPE html>
<html lang="en" data-bs-theme="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in - iscan-dash</title>
<link rel="icon" href="{{ root }}_favicon.ico">
<link rel="stylesheet" href="{{ root }}bootstrap/css/bootstrap.min.css">
<link rel="stylesheet" href="{{ root }}assets/theme.css">
<script src="{{ root }}assets/theme.js"></script>
</head>
<body class="d-flex overflow-auto p-3">
<main class="m-auto w-100" style="max-width: 20rem">
<h1 class="h5 brand mb-3">iscan-dash</h1>
{% if problem %}<p class="alert alert-danger p-2" id="problem" role="alert">{{ problem }}</p>{% endif %}
<form method="post" action="{{ root }}sign-in">
<label for="name" class="form-label">Name</label>
<input id="name" name="name" class="form-control mb-3" value="{{ name }}" maxlength="{{ longest_name }}"
  autocomplete="username" autocapitalize="none" spellcheck="false" required{% if not name %} autofocus{% endif %}>
<label for="password" class="form-label">Password</label>
<input id="password" name="password" type="password" class="form-control mb-3" maxlength="{{ longest_password }}"
  autocomplete="current-password" required{% if name %} autofocus{% endif %}>
<button class="btn btn-primary w-100">Sign in</button>
</form>
</main>
</body>
</html>
"""


class Throttle:
    """Counts tries to sign in, in memory."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def seconds_to_wait(self, name: str, address: str) -> int:
        """Count a try, and return how long to wait before it is answered; 0 when it may be answered now."""
        for limit, keys in self._keys(name, address):
            # Counted before the password is checked: otherwise many at once would all be answered.
            if not self._limiter.hit(limit, *keys):
                return max(1, math.ceil(self._limiter.get_window_stats(limit, *keys).reset_time - time.time()))
        return 0

    def forget(self, name: str, address: str) -> None:
        """Count the tries for a name anew, after the right password."""
        limit, keys = self._keys(name, address)[1]
        self._limiter.clear(limit, *keys)

    @staticmethod
    def _keys(name: str, address: str) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
        return [(TRIES_PER_ADDRESS, (address,)), (TRIES_PER_NAME, (address, name.strip()[:LONGEST_NAME]))]


class SignedIn(flask_login.UserMixin):  # type: ignore[misc]
    """Who is signed in, as the session cookie keeps it.

    Parameters
    ----------
    name
        The account.
    version
        What changes with its password: another password ends the sessions of the old one.
    """

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version

    def get_id(self) -> str:
        """Return what the cookie holds."""
        return f"{self.version}:{self.name}"


class _Sessions(SecureCookieSessionInterface):
    """Session cookies that a browser sends back by https only when they came by https."""

    def get_cookie_secure(self, app: flask.Flask) -> bool:  # noqa: ARG002 - Flask's signature
        return flask.request.is_secure


def register(server: flask.Flask, accounts: Accounts, secret: bytes) -> None:
    """Add the page, and sessions signed with a secret."""
    server.secret_key = secret
    server.session_interface = _Sessions()
    server.config.update(
        SESSION_COOKIE_NAME=cookie_name("iscan-session", secret),
        SESSION_COOKIE_PATH=get_relative_path("/"),
        SESSION_COOKIE_SAMESITE="Lax",
    )
    manager = flask_login.LoginManager(server)
    throttle = Throttle()

    @manager.user_loader
    def load(session_id: str) -> SignedIn | None:
        version, _, name = session_id.partition(":")
        return SignedIn(name, version) if accounts.version(name) == version else None

    @server.get(PAGE)
    def sign_in_page() -> flask.Response | str:
        if flask_login.current_user.is_authenticated:
            return _see_other("/")
        return _page()

    @server.post(PAGE)
    @takes_body(LARGEST_FORM)
    def sign_in() -> flask.Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
        name = flask.request.form.get("name", "")
        address = flask.request.remote_addr or ""
        wait = throttle.seconds_to_wait(name, address)
        if wait:
            minutes = math.ceil(wait / 60)
            problem = f"There were too many tries. Try again in {minutes} {'minute' if minutes == 1 else 'minutes'}."
            return _page(name, problem), 429, {"Retry-After": str(wait)}
        account = accounts.find(name, flask.request.form.get("password", ""))
        if account is None:
            return _page(name, WRONG), 401
        throttle.forget(name, address)
        wanted = flask.session.get("wanted", "/")
        flask.session.clear()
        flask_login.login_user(SignedIn(*account))
        return _see_other(wanted)

    @server.post(SIGN_OUT)
    @takes_body(LARGEST_FORM)
    def sign_out() -> flask.Response:
        flask_login.logout_user()
        flask.session.clear()
        return _see_other(PAGE)


def signed_in_name() -> str | None:
    """Return who is signed in, None when nobody is."""
    user = flask_login.current_user
    return user.name if user.is_authenticated else None


def ask() -> flask.Response:
    """Send the browser to the sign-in page, and remember what it wanted to see."""
    # A path that a browser could take for another server begins with more than one slash.
    path = "/" + quote(flask.request.path.lstrip("/\\"))
    query = flask.request.query_string.decode("ascii", "ignore")
    wanted = f"{path}?{query}" if query else path
    if len(wanted) <= 2000:
        flask.session["wanted"] = wanted
    return _see_other(PAGE)


def _page(name: str = "", problem: str = "") -> str:
    return flask.render_template_string(
        TEMPLATE,
        root=get_relative_path("/"),
        name=name,
        problem=problem,
        longest_name=LONGEST_NAME,
        longest_password=LONGEST_PASSWORD,
    )


def _see_other(path: str) -> flask.Response:
    return flask.Response(status=303, headers={"Location": get_relative_path(path)})
