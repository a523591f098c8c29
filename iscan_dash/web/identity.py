"""Who asks: every request that is not for a file belongs to a user."""

import uuid
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import flask
from dash import get_relative_path
from itsdangerous import BadData, URLSafeTimedSerializer

from iscan_dash.errors import UserRefused
from iscan_dash.services.accounts import Accounts, checked_name
from iscan_dash.services.secret import load_secret
from iscan_dash.settings import Settings
from iscan_dash.web import sign_in
from iscan_dash.web.security import ALIVE, READY, STATIC, cookie_name, refusal

COOKIE = "iscan-user"
"""How the cookie's name begins; see `cookie_name`."""

COOKIE_AGE = 400 * 86_400
"""The longest that browsers keep a cookie; each visit begins it anew."""

OPEN = (*STATIC, sign_in.PAGE, sign_in.SIGN_OUT, ALIVE, READY)
"""Where the addresses begin that anybody may ask for."""

SIGN_IN_HEADER = "X-Iscan-Sign-In"
"""In which a page that was left open is told where its user may sign in again."""

PAGES = ("/", "/<path:path>")
"""Dash's endpoints that answer with the page."""


@dataclass(frozen=True)
class User:
    """Who asks.

    Parameters
    ----------
    id
        What tells users apart; it never changes.
    name
        What others see.
    """

    id: str
    name: str


class Source(Protocol):
    """A way to know who asks."""

    def find(self) -> User | flask.Response:
        """Return who sent the request, or what to answer when that is not known."""


def current_user() -> User:
    """Return who sent the request that is being answered."""
    user: User = flask.g.iscan_user
    return user


def can_rename() -> bool:
    """Tell whether users of this server choose their names themselves."""
    return isinstance(_source(), CookieSource)


def can_sign_out() -> bool:
    """Tell whether users of this server sign in, and so may sign out with a POST to ``/sign-out``."""
    return isinstance(_source(), SignInSource)


def rename_user(name: str) -> User:
    """Give the user who asks another name, which the answer leaves in their browser.

    Raises
    ------
    UserRefused
        The name breaks a rule, or does not come from the user.
    """
    if not can_rename():
        raise UserRefused("Your name is set by whoever runs this server. Ask them for another one.")
    flask.g.iscan_user = replace(current_user(), name=checked_name(name))
    flask.g.iscan_new_cookie = True
    return current_user()


def register(server: flask.Flask, settings: Settings) -> None:
    """Find out who asks before each request; to be called after all other routes are registered."""
    source = make_source(server, settings)
    server.extensions["iscan-identity"] = source
    open_endpoints = {rule.endpoint for rule in server.url_map.iter_rules() if rule.rule.startswith(OPEN)}

    @server.before_request
    def identify() -> flask.Response | None:
        if flask.request.endpoint in open_endpoints:
            return None
        found = source.find()
        if not isinstance(found, User):
            return found
        flask.g.iscan_user = found
        return None

    @server.after_request
    def give_cookie(response: flask.Response) -> flask.Response:
        if isinstance(source, CookieSource) and flask.g.get("iscan_new_cookie"):
            source.give(response, current_user())
        return response


def make_source(server: flask.Flask, settings: Settings) -> Source:
    """Choose how users are told apart.

    Raises
    ------
    StorageError
        The server's secret or the file of users cannot be read.
    """
    if settings.fixed_user:
        return FixedSource(settings.fixed_user)
    if settings.user_header:
        return HeaderSource(settings.user_header)
    secret = load_secret(settings.data_dir)
    if settings.users:
        accounts = Accounts(settings.users)
        # A file that cannot be read is told at the start, not to the first who wants to sign in.
        accounts.names()
        sign_in.register(server, accounts, secret)
        return SignInSource()
    return CookieSource(secret)


class FixedSource:
    """One user for everybody."""

    def __init__(self, name: str) -> None:
        self._user = User(name, name)

    def find(self) -> User:
        """Return the one user."""
        return self._user


class HeaderSource:
    """The header in which a trusted proxy says who asks."""

    def __init__(self, header: str) -> None:
        self._header = header

    def find(self) -> User | flask.Response:
        """Return whom the proxy names."""
        try:
            # WSGI gives the bytes of a header as Latin-1.
            name = checked_name(flask.request.headers.get(self._header, "").encode("latin-1").decode())
        except (UnicodeError, UserRefused):
            return refusal(
                f"The header {self._header} does not say who you are. "
                "Open iscan-dash through the proxy that signs you in.",
                401,
            )
        return User(name, name)


class SignInSource:
    """Sessions of those who signed in."""

    def find(self) -> User | flask.Response:
        """Return who is signed in; show a person where to sign in, and tell a script."""
        name = sign_in.signed_in_name()
        if name:
            return User(name, name)
        if _asks_for_page():
            return sign_in.ask()
        answer = refusal("You are not signed in any more. Load the page again and sign in.", 401)
        answer.headers[SIGN_IN_HEADER] = sign_in.PAGE
        return answer


class CookieSource:
    """A signed cookie that makes each browser a user of its own."""

    def __init__(self, secret: bytes) -> None:
        self.cookie = cookie_name(COOKIE, secret)
        self._path = get_relative_path("/")
        self._serializer = URLSafeTimedSerializer(secret, salt=COOKIE)

    def find(self) -> User | flask.Response:
        """Return whose browser asks.

        Only the page makes a browser a user: what a page asks for at once, before the cookie is there, would otherwise
        make many.
        """
        user = self._read(flask.request.cookies.get(self.cookie, ""))
        if _asks_for_page():
            flask.g.iscan_new_cookie = True
            return user or new_user()
        return user or refusal(
            "Open the page first: it gives this browser the cookie that tells users apart. "
            "If it is open, allow cookies and load it again.",
            401,
        )

    def give(self, response: flask.Response, user: User) -> None:
        """Leave a user in their browser."""
        response.set_cookie(
            self.cookie,
            self._serializer.dumps(asdict(user)),
            max_age=COOKIE_AGE,
            path=self._path,
            secure=flask.request.is_secure,
            httponly=True,
            samesite="Lax",
        )

    def _read(self, cookie: str) -> User | None:
        try:
            return User(**self._serializer.loads(cookie, max_age=COOKIE_AGE))
        except (BadData, TypeError):
            return None


def new_user() -> User:
    """Return a user whom nobody knows yet."""
    user_id = uuid.uuid4().hex
    return User(user_id, f"user-{user_id[:4]}")


def _source() -> Source:
    source: Source = flask.current_app.extensions["iscan-identity"]
    return source


def _asks_for_page() -> bool:
    """Tell whether a browser opens the page, rather than a script or an image of some page."""
    request = flask.request
    is_shown = request.headers.get("Sec-Fetch-Dest", "document") == "document"
    return request.method in {"GET", "HEAD"} and request.endpoint in PAGES and is_shown
