"""Neither the server, nor the processes it starts, nor its pages ask for anything outside."""

from pathlib import Path

import pytest

from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import Shell
from tests.browser.prediction_pages import PredictionForm
from tests.network import attempts, without_network

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/annotate",
    "/annotate/existing",
    "/annotate/edit",
    "/annotate/enrichment",
    "/annotate/review",
    "/enrichment",
    "/enrichment/results",
    "/enrichment/sets",
    "/references",
    "/logs",
    "/export",
)


def test_nothing_is_asked_of_the_network(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    record = tmp_path / "record"
    # Of the browser no name is looked up but that of this machine; see `chromium.OPTIONS`.
    server = serve("demo", "--single-user", **without_network(record))
    shell = Shell(browser)
    browser.requests()
    asked: list[str] = []
    for path in PAGES:
        shell.open(server, path)
        asked += browser.requests()
    shell.open(server, "/annotate")
    # A job is a process of its own.
    form = PredictionForm(browser).open()
    form.choose("hao_pbmc")
    form.wait_until_done(form.submit())
    shell.wait_until_saved()
    asked += browser.requests()
    assert len(asked) > 50
    assert [url for url in asked if not url.startswith(f"{server.url}/")] == []
    assert attempts(record) == []
