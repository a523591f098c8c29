"""A request that the page sends again, because no answer came, is not done twice."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

import flask

from iscan_dash.web.identity import current_user
from iscan_dash.web.ids import Shell

HEADER = "X-Request-Id"

LONGEST_ID = 64

KEPT_FOR = 600.0
"""Seconds that an answer is kept; by then the page has it, or was closed."""

MOST_KEPT = 1000
"""Answers kept at most, of all users together."""

PATIENCE = 60.0
"""Seconds that a repeated request waits for the answer to the first."""


@dataclass
class Answer:
    """What was answered to a request, once it was."""

    begun: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)
    status: int = 0
    body: bytes = b""
    mimetype: str = ""


class Answers:
    """The answers to the latest requests that may edit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Answer] = OrderedDict()

    def begin(self, key: tuple[str, str]) -> tuple[Answer, bool]:
        """Return the answer to a request, which may be still to come, and whether the request is new."""
        with self._lock:
            oldest = time.monotonic() - KEPT_FOR
            while self._kept and (len(self._kept) >= MOST_KEPT or next(iter(self._kept.values())).begun < oldest):
                self._kept.popitem(last=False)
            known = self._kept.get(key)
            if known is not None:
                return known, False
            made = self._kept[key] = Answer()
            return made, True


def register(server: flask.Flask) -> None:
    """Answer a repeated request as the first one was; to be called when users are told apart."""
    answers = Answers()

    @server.before_request
    def repeat() -> flask.Response | None:
        key = _key()
        if key is None:
            return None
        answer, is_new = answers.begin(key)
        if is_new:
            flask.g.iscan_answer = answer
            return None
        if not answer.done.wait(PATIENCE):
            return flask.Response("The first request is not answered yet.", 503)
        return flask.Response(answer.body, answer.status, mimetype=answer.mimetype)

    @server.after_request
    def remember(response: flask.Response) -> flask.Response:
        answer = flask.g.pop("iscan_answer", None)
        if answer is not None:
            answer.status, answer.body, answer.mimetype = response.status_code, response.get_data(), response.mimetype
            answer.done.set()
        return response


def _key() -> tuple[str, str] | None:
    """Return whose request it is and what the page calls it; None for one that edits nothing."""
    request = flask.request
    request_id = request.headers.get(HEADER, "")
    if request.method != "POST" or not 0 < len(request_id) <= LONGEST_ID or not request.is_json:
        return None
    asked = request.get_json(silent=True)
    output = asked.get("output") if isinstance(asked, dict) else None
    if not isinstance(output, str) or f"{Shell.REVISION}.data" not in output:
        return None
    return current_user().id, request_id
