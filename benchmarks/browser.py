"""Open pages in headless Chromium and measure what a user would wait for.

A small script goes into every page before the page's own: it looks once a frame whether the page is usable and notes
the time since navigation began. Bytes and console messages come from the DevTools protocol. Names outside the machine
do not resolve, so that a page that calls out is neither slowed nor hidden: the addresses it asked for are reported.
"""

# selenium 4.2 is only half annotated:
# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from benchmarks.servers import BenchmarkError

USABLE_TIMEOUT = 60.0
SETTLE = 1.0
"""Seconds a usable page is left alone, so that work it put off is counted too."""

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--enable-unsafe-swiftshader",
    "--window-size=1400,1000",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WATCH = """
(() => {
  const bench = window.__bench = {usable: null, drawn: undefined, cells: 0, fetched: []};
  // What the browser fetches ahead, before a script could use it, is not asked for yet.
  const fetch = window.fetch;
  window.fetch = (...asked) => {
    bench.fetched.push([String(asked[0]?.url ?? asked[0]), performance.now()]);
    return fetch.apply(window, asked);
  };
  %s
  const usable = () => { try { return %s } catch { return false } };
  const look = () => { if (usable()) bench.usable = performance.now(); else requestAnimationFrame(look); };
  requestAnimationFrame(look);
})();
"""

REACTION = """
const done = arguments[arguments.length - 1], begun = performance.now();
const text = () => document.querySelector('%s')?.textContent, before = text();
const look = () => { if (text() !== before) done(performance.now() - begun); else requestAnimationFrame(look); };
%s;
requestAnimationFrame(look);
"""

SCRIPT = """
const done = arguments[arguments.length - 1];
const run = async (...values) => { %s };
run(...arguments[0]).then((value) => done({value}), (error) => done({error: String(error && error.stack || error)}));
"""


@dataclass(frozen=True)
class Page:
    """How to tell that a page can be used, and what it shows.

    Parameters
    ----------
    usable
        JavaScript expression, true once the plot is drawn and the controls are there.
    shown
        JavaScript expression for ``{cells, pictureMs, drawnMs, labels}``: how many cells the plot drew, the
        milliseconds from navigation, and from the page's script asking for their coordinates, until they were drawn,
        and the cells of each label (null where the page does not tell).
    prepare
        JavaScript run before the page's own scripts: notes in ``bench.drawn`` when the cells were drawn, and may keep
        what `usable` and `shown` ask for there.
    """

    usable: str
    shown: str
    prepare: str = ""


_SHOWN = """
(cells, data, labels) => {
  const bench = window.__bench, asked = bench.fetched.filter(([name]) => data.test(name)).map(([, start]) => start);
  return {cells, pictureMs: bench.drawn, drawnMs: bench.drawn - Math.min(...asked), labels};
}"""
NOT_LOOKED = "({cells: 0, pictureMs: 0, drawnMs: 0, labels: null})"
"""What a page shows whose picture is not what is measured."""

_LEGEND = """Object.fromEntries([...document.querySelectorAll('#plot-1-legend .legend-row')].map(
  row => [row.title, Number(row.querySelector('.legend-count').textContent.replaceAll(',', ''))]))"""
ISCAN_DASH = Page(
    # Its script marks the frame of a plot once the plot is painted.
    prepare="""
      new MutationObserver(() => { bench.drawn ??= performance.now(); })
        .observe(document, {subtree: true, attributes: true, attributeFilter: ['data-painted']});""",
    usable=(
        "document.querySelector('#plot-1-frame[data-painted]') && document.querySelector('#shell-tabs')"
        " && document.querySelector('#_pages_content').childElementCount > 0"
    ),
    shown=f"({_SHOWN})(window.iscan.scatter.stats('plot-1').painted, /api.v1.(positions|codes)/, {_LEGEND})",
)
CELLXGENE = Page(
    # Its canvas is WebGL: count the points of its biggest draw call, and note when that call was first made.
    prepare="""
      const draw = WebGLRenderingContext.prototype.drawArrays;
      WebGLRenderingContext.prototype.drawArrays = function (mode, first, count) {
        if (this.canvas.dataset.testid === 'layout-graph' && count > bench.cells) {
          bench.cells = count;
          bench.drawn = performance.now();
        }
        return draw.call(this, mode, first, count);
      };""",
    usable="bench.cells > 0 && document.querySelector('[data-testid$=\":category-label\"]') !== null",
    shown=f"({_SHOWN})(window.__bench.cells, /layout.obs/, null)",
)


@dataclass(frozen=True)
class Visit:
    """What one visit to a page cost.

    Parameters
    ----------
    usable_s
        From navigation to the frame in which the page was usable.
    picture_s
        From navigation until the cells were drawn.
    drawn_s
        From the page's script asking for the cells' coordinates until the cells were drawn.
    cells
        How many cells the plot drew.
    labels
        Cells of each label as the page tells them; None when it does not.
    received
        Bytes that came over the wire, headers included, until the page had settled. What a worker of the page fetches
        by itself is not seen; neither program lets one fetch.
    requests
        Number of answers they came in.
    busy_s
        Time the page's main thread was busy, until the page had settled.
    errors
        Errors in the page's console.
    outside
        Addresses outside the server that the page asked for.
    """

    usable_s: float
    picture_s: float
    drawn_s: float
    cells: int
    labels: dict[str, int] | None
    received: int
    requests: int
    busy_s: float
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


class Browser:
    """A Chromium that is already running; every visit starts with an empty cache.

    Parameters
    ----------
    driver
        A Chromium driver that keeps `performance` and `browser` logs.
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        for domain in ("Network", "Page", "Performance"):
            self._cdp(f"{domain}.enable")

    def visit(self, url: str, page: Page) -> Visit:
        """Open a page, wait until it is usable and settled, and return what that cost.

        Parameters
        ----------
        url
            Address of the page.
        page
            How to tell that it is usable.

        Raises
        ------
        BenchmarkError
            When the page is not usable in time; the message has its console errors.
        """
        self.driver.get("about:blank")
        self._cdp("Network.clearBrowserCache")
        self._cdp("Network.clearBrowserCookies")
        self._logs("performance"), self._logs("browser")
        watch = WATCH % (page.prepare, page.usable)
        script = self._cdp("Page.addScriptToEvaluateOnNewDocument", source=watch)
        try:
            self.driver.get(url)
            usable_ms = self._wait(url)
        finally:
            self._cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
        time.sleep(SETTLE)
        shown: dict[str, Any] = self.driver.execute_script(f"return {page.shown}")
        metrics = {m["name"]: m["value"] for m in self._cdp("Performance.getMetrics")["metrics"]}
        received, requests, outside = _traffic(self._logs("performance"), url)
        return Visit(
            usable_s=usable_ms / 1e3,
            picture_s=shown["pictureMs"] / 1e3,
            drawn_s=shown["drawnMs"] / 1e3,
            cells=int(shown["cells"]),
            labels=shown["labels"],
            received=received,
            requests=requests,
            busy_s=metrics["TaskDuration"],
            errors=self._errors(),
            outside=outside,
        )

    def reaction(self, action: str, selector: str) -> float:
        """Do something in the page and return the seconds until the text of an element has changed and is drawn.

        Parameters
        ----------
        action
            JavaScript statement.
        selector
            CSS selector of the element.

        Raises
        ------
        BenchmarkError
            When the text does not change in time.
        """
        self.driver.set_script_timeout(USABLE_TIMEOUT)
        try:
            milliseconds: float = self.driver.execute_async_script(REACTION % (selector, action))
        except TimeoutException as error:
            raise BenchmarkError(f"The text of {selector} did not change after `{action}`.") from error
        return milliseconds / 1e3

    def js(self, script: str, *values: Any) -> Any:
        """Run a script in the page and return what it returns; of a promise, what comes of it.

        Raises
        ------
        BenchmarkError
            When it throws, or gives no answer in time.
        """
        self.driver.set_script_timeout(USABLE_TIMEOUT)
        try:
            told = self.driver.execute_async_script(SCRIPT % script, list(values))
        except TimeoutException as error:
            raise BenchmarkError(f"The page did not answer `{script}`.") from error
        if "error" in told:
            raise BenchmarkError(f"The page failed at `{script}`: {told['error']}")
        return told["value"]

    def wait_for(self, condition: str, *values: Any) -> Any:
        """Wait until a JavaScript expression is true and return its value."""
        end = time.monotonic() + USABLE_TIMEOUT
        while time.monotonic() < end:
            found = self.js(f"return ({condition})", *values)
            if found:
                return found
            time.sleep(0.05)
        raise BenchmarkError(f"`{condition}` did not come true. {self._errors()}")

    def drag(self, points: Sequence[tuple[float, float]]) -> float:
        """Press the left button at the first point, move through the others, let go at the last.

        Parameters
        ----------
        points
            Places in the page, CSS pixels.

        Returns
        -------
        float
            Seconds from the first move to the last.
        """
        (x, y), *others = points
        self._mouse("mouseMoved", x, y, 0)
        self._mouse("mousePressed", x, y, 1)
        begun = time.perf_counter()
        for x, y in others:
            self._mouse("mouseMoved", x, y, 1)
        took = time.perf_counter() - begun
        self._mouse("mouseReleased", x, y, 0)
        return took

    def hover(self, x: float, y: float) -> None:
        """Move the pointer to a place in the page."""
        self._mouse("mouseMoved", x, y, 0)

    def _mouse(self, kind: str, x: float, y: float, buttons: int) -> None:
        button = "none" if kind == "mouseMoved" and not buttons else "left"
        self._cdp("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=1)

    def busy_s(self) -> float:
        """Return how long the main thread of the page was busy by now, in seconds."""
        metrics = {m["name"]: m["value"] for m in self._cdp("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    def uploaded(self) -> int:
        """Return the bytes of the bodies of all requests since this was last asked, or the page was opened."""
        sizes = 0
        for entry in self._logs("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSentExtraInfo":
                headers = {name.lower(): value for name, value in event["params"]["headers"].items()}
                sizes += int(headers.get("content-length", 0))
        return sizes

    def _wait(self, url: str) -> float:
        """Return the milliseconds from navigation to the usable page."""
        end = time.monotonic() + USABLE_TIMEOUT
        while time.monotonic() < end:
            usable: float | None = self.driver.execute_script("return window.__bench?.usable ?? null")
            if usable is not None:
                return usable
            time.sleep(0.05)
        problems = "\n".join(self._errors()) or "Its console has no error."
        raise BenchmarkError(f"{url} was not usable after {USABLE_TIMEOUT:.0f} s. {problems}")

    def _cdp(self, method: str, **params: Any) -> dict[str, Any]:
        result: dict[str, Any] = self.driver.execute_cdp_cmd(method, params)
        return result

    def _logs(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)
        return entries

    def _errors(self) -> list[str]:
        """Return the errors of the console, each once, those about addresses outside left out."""
        severe = [entry["message"] for entry in self._logs("browser") if entry["level"] == "SEVERE"]
        return list(dict.fromkeys(message for message in severe if "ERR_NAME_NOT_RESOLVED" not in message))


def _traffic(log: list[dict[str, Any]], url: str) -> tuple[int, int, list[str]]:
    """Return bytes received, number of answers, and the addresses outside the server, from a performance log."""
    received = requests = 0
    outside = []
    for entry in log:
        event = json.loads(entry["message"])["message"]
        if event["method"] == "Network.loadingFinished":
            received += int(event["params"]["encodedDataLength"])
            requests += 1
        elif event["method"] == "Network.requestWillBeSent":
            asked = urlsplit(event["params"]["request"]["url"])
            if asked.scheme in ("http", "https") and asked.netloc != urlsplit(url).netloc:
                outside.append(asked.geturl())
    return received, requests, outside


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless Chromium, and end it afterwards.

    Raises
    ------
    BenchmarkError
        When Chromium or its driver is not installed.
    """
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver_path = shutil.which("chromedriver")
    if binary is None or driver_path is None:
        raise BenchmarkError("Chromium and chromedriver are needed: `apt-get install chromium chromium-driver`.")
    options = ChromeOptions()
    options.binary_location = binary
    options.page_load_strategy = "none"
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    for argument in ARGUMENTS:
        options.add_argument(argument)
    driver = Chrome(service=Service(driver_path), options=options)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
