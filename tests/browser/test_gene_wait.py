"""Who waits for a gene of a large matrix sees how far the search is, and may cancel it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Browser
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Server

ASSETS = Path(__file__).parents[2] / "assets"

pytestmark = pytest.mark.browser


@pytest.fixture
def slow(small_file: Path, tmp_path: Path) -> Iterator[Server]:
    running = Server(
        "serve", small_file, "--single-user", folder=tmp_path / "drafts", module="tests.browser.slow_disk"
    ).start()
    yield running
    running.close()


def test_progress_is_shown_and_a_search_can_be_cancelled(browser: Browser, slow: Server) -> None:
    shell, plot = Shell(browser).open(slow), PlotPanel(browser)
    before = plot.title(), plot.gene()
    plot.ask_for_gene("CD3E")
    parts: list[float] = []

    def progress() -> bool:
        parts.append(float(browser.attribute(".gene-wait-bar", "value") or 0))
        return parts[-1] > max(parts[0], 0.1)

    browser.wait(lambda: browser.is_shown(".gene-wait"), "the progress")
    assert browser.text(".gene-wait-what") == "Searching for CD3E"
    browser.wait(progress, f"more progress than {parts}")
    browser.click(".gene-wait .toast-action")
    shell.wait_for_toast("CD3E was not read: the search was cancelled. Choose it again to read it.")
    browser.until(lambda: browser.is_shown(".gene-wait"), False)
    # What is shown is what the fields say, and no edit begins the search again.
    browser.until(lambda: (plot.title(), plot.gene()), before)

    plot.ask_for_gene("CD3E")
    browser.wait(lambda: browser.is_shown(".gene-wait"), "the progress")
    browser.wait(lambda: plot.colour_bar().title == "CD3E", "the colours of CD3E", 30)
    browser.until(lambda: browser.is_shown(".gene-wait"), False)


ANSWERS = """
window.asked = { codes: [], searches: [] };
window.iscan = { address: (path) => path };
window.fetch = (path) => new Promise((answer) => {
  const found = { ok: true, json: async () => ({ searches: [], index: null }) };
  asked[path.split("/").pop()].push(() => answer(found));
});
"""


def test_nobody_is_asked_any_more_when_a_look_ends_between_two_waits(browser: Browser) -> None:
    browser.open("about:blank")
    browser.js(ANSWERS)
    browser.js((ASSETS / "gene_wait.js").read_text())
    browser.js("fetch('/api/v1/codes')")
    browser.wait(lambda: browser.js("return asked.searches.length") == 1, "a look")
    browser.js("asked.codes[0]()")
    # Somebody else waits when the look ends that was for the first, and not for long.
    browser.js("fetch('/api/v1/codes'); asked.searches[0]()")
    browser.js("asked.codes[1]()")
    time.sleep(1)
    assert browser.js("return asked.searches.length") == 1
