"""Where annotations are switched off, nothing is written, whatever a page or a program sends."""

import flask

from iscan_dash.web.security import SAFE_METHODS, refusal
from iscan_dash.web.sign_in import PAGE, SIGN_OUT

LOOKS = frozenset({"/_dash-update-component", "/api/v1/selection", "/api/v1/genes/searches/cancel", PAGE, SIGN_OUT})
"""What may be sent a body all the same: callbacks of the pages that are left, and what is kept in memory only."""

REFUSED = "Annotations are switched off on this server (--disable-annotations)."


def register(server: flask.Flask) -> None:
    """Refuse everything that is not known to be harmless; to be called when users are told apart."""

    @server.before_request
    def refuse_writing() -> flask.Response | None:
        rule = flask.request.url_rule
        if flask.request.method in SAFE_METHODS or (rule is not None and rule.rule in LOOKS):
            return None
        return refusal(REFUSED, 403)
