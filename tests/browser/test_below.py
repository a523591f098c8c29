"""The whole program below a path of its host: nothing that the page asks for, opens, links to or keeps is elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.annotation_pages import NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.enrichment_pages import EnrichmentForm, FromEnrichment, GeneSetsPage
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Server

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/annotate",
    "/annotate/enrichment",
    "/annotate/existing",
    "/annotate/edit",
    "/annotate/result",
    "/annotate/review",
    "/enrichment",
    "/enrichment/results",
    "/enrichment/sets",
    "/references",
    "/logs",
    "/export",
)

GO = """
document.querySelector('#_pages_content').firstElementChild.dataset.old = 'yes';
iscan.go(iscan.address(arguments[0]));
"""
IS_THERE = """
const page = document.querySelector('#_pages_content').firstElementChild;
return Boolean(page?.textContent) && !page.dataset.old;
"""


@pytest.fixture(scope="module")
def server(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the small study below a path."""
    folder = tmp_path_factory.mktemp("below")
    running = Server("serve", small_file, "--single-user", "--url-prefix", "/lab/cells", folder=folder).start()
    yield running
    running.close()


def test_the_address_that_is_printed_has_the_path(server: Server) -> None:
    assert urlsplit(server.url).path == "/lab/cells"
    assert server.get("/healthz") == b"ok\n"


def test_nothing_is_elsewhere(server: Server, browser: Browser) -> None:
    shell, inside = Shell(browser), f"{server.url}/"
    shell.open(server, "/annotate")
    new = NewAnnotation(browser)
    new.make("kinds")
    shell.undo()
    shell.redo()
    GeneSetsPage(browser).open().paste("T cell: CD3D, CD3E\nB cell: MS4A1, CD79A\n", "Markers").keep()
    form = EnrichmentForm(browser).open().choose("Markers")
    assert form.wait_until_done(form.run()).startswith("60 cells scored for 2 gene sets")
    # By the link of a message.
    shell.answer_toast("Markers: 60 cells scored for 2 gene sets.", "Study Logs")
    browser.until(lambda: browser.js("return iscan.pageBelow('/')"), "logs")
    for path in PAGES:
        browser.js(GO, path)
        browser.wait(lambda: browser.js(IS_THERE), path)
        assert browser.text("#_pages_content") != "404 - Page not found", path
        links = browser.js("return [...document.querySelectorAll('a[href], form')].map((it) => it.href || it.action)")
        assert [link for link in links if not link.startswith(inside)] == []
    shell.reload()
    # The page that is open is marked.
    assert browser.texts("#shell-tabs .active") == ["Export"]
    browser.js("iscan.scatterRemote.large = 10")
    PlotPanel(browser).colour_by("phase")
    browser.wait(lambda: browser.js("return iscan.scatterRemote.takes('plot-1')"), "the worker")
    with browser.opened(lambda: browser.click("#plot-window")):
        browser.wait(lambda: PlotPanel(browser).title(), "the window")
        assert browser.js("return location.href").startswith(f"{inside}window/plot/1?")
        assert not browser.is_shown(".panel")
    FromEnrichment(browser).open()
    kept = browser.js("return [...Object.keys(localStorage), ...Object.keys(sessionStorage)]")
    assert len(kept) > 3
    assert [name for name in kept if "/lab/cells" not in name and name != "iscan-theme"] == []
    asked = browser.requests()
    assert f"{inside}assets/scatter_worker.js" in asked
    assert [url for url in asked if not url.startswith(inside)] == []
