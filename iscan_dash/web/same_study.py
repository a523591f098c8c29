"""A page that was left open while the server was started again with another study is told so, and changes nothing."""

import hashlib

import flask

from iscan_dash.core.study import Study
from iscan_dash.web.security import refusal

HEADER = "X-Iscan-Study"
"""In which requests of a page name the study that it shows; those of programs need not."""

ANOTHER = "Another study is served here now. Load the page again."


def name_of(study: Study) -> str:
    """Return what tells a study as it was opened from others: the same when the same files are opened again.

    Nothing but the names, the sizes and the times of the files is asked for, as a page is named before cells are read.
    """
    files = [(dataset.path.name, *dataset.stamp) for dataset in study.datasets]
    return hashlib.blake2b(repr((study.obs_names, files)).encode(), digest_size=16).hexdigest()


def register(server: flask.Flask, name: str) -> None:
    """Refuse requests of pages that show another study; to be called before users are told apart.

    Whoever was known to the server of the other study may be nobody here.
    """

    @server.before_request
    def refuse_other() -> flask.Response | None:
        if flask.request.headers.get(HEADER, name) == name:
            return None
        answer = refusal(ANOTHER, 409)
        # By which the page knows that it is not any other conflict.
        answer.headers[HEADER] = name
        return answer
