"""A line in the log for each request that was answered, and for each that was refused."""

import logging
import time

import flask

from iscan_dash.errors import IscanError
from iscan_dash.logs import tell
from iscan_dash.web.security import ALIVE, READY, STATIC

STATUS = "/api/v1/status"

QUIET = (*STATIC, ALIVE, READY, STATUS)
"""Where the addresses begin that pages and process managers ask for by themselves."""

POLLED = {"/api/v1/jobs", "/api/v1/prediction/references"}
"""Addresses that pages ask for again and again while they are shown; others begin with them."""

NOT_FOUND = "(none)"
"""What an address that leads nowhere is called: it is whatever somebody wrote."""


def register(server: flask.Flask) -> None:
    """Log requests; to be called before anything else looks at them, so that the refused ones are logged, too."""

    @server.before_request
    def begin() -> None:
        flask.g.iscan_begun = time.perf_counter()

    @server.after_request
    def end(response: flask.Response) -> flask.Response:
        # The rule and not the address: what is asked about is nobody's business.
        rule = flask.request.url_rule.rule if flask.request.url_rule else NOT_FOUND
        user = flask.g.get("iscan_user")
        tell(
            "request",
            level=logging.DEBUG if _is_quiet(flask.request) else logging.INFO,
            method=flask.request.method if flask.request.method in _METHODS else "other",
            route=rule,
            status=response.status_code,
            ms=round(1e3 * (time.perf_counter() - flask.g.get("iscan_begun", time.perf_counter())), 1),
            user=user.id if user else None,
        )
        return response


def refused(error: IscanError) -> None:
    """Log that something was refused: which rule it broke and not its sentence, which may name labels and cells."""
    user = flask.g.get("iscan_user")
    tell(
        "refused", reason=type(error).__name__, code=getattr(error, "code", "") or None, user=user.id if user else None
    )


def _is_quiet(request: flask.Request) -> bool:
    is_polled = request.method == "GET" and request.path in POLLED
    return is_polled or request.path.startswith(QUIET)


_METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
