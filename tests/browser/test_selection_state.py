"""The page's script of the selection: it asks the server, and hears of what other windows do."""

from typing import Any

import pytest

from tests.browser.chromium import Browser
from tests.browser.pages import Shell
from tests.browser.server import Server
from tests.browser.studies import small_values

pytestmark = pytest.mark.browser

LEIDEN = {"is": "labels", "kind": "cluster", "key": "leiden", "values": ["1", "3"]}
EXPECTED = [value in {"1", "3"} for value in small_values("leiden")]


def act(browser: Browser, action: dict[str, Any]) -> dict[str, Any]:
    """Change the selection as the page's scripts do, and return what they hear."""
    state: dict[str, Any] = browser.js("return iscan.selection.act(arguments[0])", action)
    return state


def mask(browser: Browser) -> list[bool] | None:
    found = browser.js("return iscan.selection.mask().then((mask) => mask && [...mask])")
    return None if found is None else [bool(own) for own in found]


def state(browser: Browser) -> dict[str, Any]:
    known: dict[str, Any] = browser.js("return iscan.selection.state()")
    return known


@pytest.fixture
def page(browser: Browser, open_server: Server) -> Browser:
    Shell(browser).open(open_server)
    return browser


def test_a_change_is_heard_by_every_script_and_callback(page: Browser) -> None:
    page.js("window.heard = []; iscan.selection.onChange((state) => heard.push([state.count, state.active]))")
    assert mask(page) is None
    assert act(page, {"do": "filter", "condition": LEIDEN})["count"] == sum(EXPECTED)
    assert page.js("return heard") == [[0, False], [sum(EXPECTED), True]]
    assert mask(page) == EXPECTED
    stored = "return dash_component_api.getLayout('selection-state').props.data.version"
    page.wait(lambda: page.js(stored) == state(page)["version"], "the store to follow")
    # What is asked for at once is done in that order.
    counts = page.js(
        """
        const filter = (values) => iscan.selection.act({ do: 'filter', id: 'f1', condition: { ...arguments[0], values } });
        return Promise.all([filter(['0']), filter(['0', '1']), filter([])]).then((all) => all.map((own) => own.count));""",
        LEIDEN,
    )
    labels = small_values("leiden")
    assert counts == [labels.count("0"), labels.count("0") + labels.count("1"), None]
    assert mask(page) is None


def test_a_selection_survives_a_reload(page: Browser, open_server: Server) -> None:
    act(page, {"do": "filter", "condition": LEIDEN})
    Shell(page).open(open_server)
    assert state(page)["text"] == "leiden in {1, 3}"
    assert mask(page) == EXPECTED


def test_another_tab_follows(page: Browser, open_server: Server) -> None:
    first = page.another_tab()
    Shell(page).open(open_server)
    version = state(page)["version"]
    second = page.look_at(first)
    act(page, {"do": "filter", "condition": LEIDEN})
    page.look_at(second)
    page.wait(lambda: state(page)["version"] > version, "the other tab to hear", 3)
    assert mask(page) == EXPECTED


def test_what_an_edit_changes_is_heard(page: Browser) -> None:
    """A page that knows no more than the version, as the state of the server tells it, asks for the rest."""
    act(page, {"do": "filter", "condition": LEIDEN})
    before = state(page)["version"]
    page.js(
        """
        return fetch('/api/v1/selection', { method: 'POST', headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ do: 'clear' }) }).then(() => null)"""
    )
    page.wait(lambda: state(page)["version"] > before, "the next look at the server")
    assert state(page)["active"] is False


def test_a_refusal_is_shown_or_thrown(page: Browser) -> None:
    page.expect_errors("status of 400")
    unchanged = state(page)
    assert act(page, {"do": "text", "text": "leiden in {1"}) == unchanged
    page.wait(lambda: "Character 13: expected , or }" in page.text("#shell-toasts"), "the message")
    thrown = page.js(
        """
        return iscan.selection.act({ do: 'text', text: 'leiden of' }, { quiet: true })
          .then(() => null, (error) => [error.message, error.position]);"""
    )
    assert thrown == ['Character 8: expected IN, NOT IN, IS, FROM, >= or <=, not "of".', 7]
    # What comes after it is done all the same.
    assert act(page, {"do": "filter", "condition": LEIDEN})["count"] == sum(EXPECTED)
