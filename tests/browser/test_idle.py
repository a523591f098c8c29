"""An open page goes on after a long pause, in which the server put away what was its user's."""

from pathlib import Path

import pytest

from tests.browser.annotation_pages import ExistingAnnotations, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import Shell
from tests.browser.studies import small_values

pytestmark = pytest.mark.browser

LEIDEN = {"is": "labels", "kind": "cluster", "key": "leiden", "values": ["1", "3"]}


def test_an_open_page_goes_on_after_lunch(browser: Browser, serve: Serve, small_file: Path) -> None:
    # A user is away after a second without a request of their own.
    server = serve("serve", small_file, "--single-user", ISCAN_IDLE_MINUTES="0.017")
    shell = Shell(browser).open(server, "/annotate")
    NewAnnotation(browser).make("before lunch")
    n_selected = sum(own in {"1", "3"} for own in small_values("leiden"))
    state = browser.js("return iscan.selection.act(arguments[0])", {"do": "filter", "condition": LEIDEN})
    assert state["count"] == n_selected
    shell.wait_until_saved()
    away = server.folder / "server" / "away"
    browser.wait(lambda: list(away.glob("*.json")), "the server to put the user away")

    # The page still asks how things stand, and brings nobody back.
    browser.js("iscan.pollStatus()")
    assert browser.js("return iscan.selection.state().count") == n_selected
    assert list(away.glob("*.json"))
    # An edit, what is selected, and undo.
    existing = ExistingAnnotations(browser)
    browser.click("a[href='/annotate/existing']")
    browser.wait(lambda: "before lunch" in existing.names(), "the annotation")
    existing.rename("before lunch", "after lunch")
    browser.wait(lambda: "after lunch" in existing.names(), "the new name")
    assert browser.js("return iscan.selection.mask().then((mask) => mask.filter(Boolean).length)") == n_selected
    assert shell.undo_title() == 'Undo: Renamed from "before lunch" to "after lunch" (Ctrl+Z)'
    shell.wait_until_saved()
    assert list(server.draft().columns) == ["index", "sample", "after lunch"]
