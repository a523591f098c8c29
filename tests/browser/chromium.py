"""One Chromium for all tests, and the tab a test looks at."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    JavascriptException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

T = TypeVar("T")

HEAR = """
window.heard = [];
new MutationObserver((changes) => {
  for (const { addedNodes } of changes) for (const node of addedNodes) {
    const text = node.querySelector && node.querySelector(".toast-text");
    if (text && node.classList.contains("toast-message")) window.heard.push(text.textContent);
  }
}).observe(document, { childList: true, subtree: true });
"""
"""Notes every message of a page: on a busy machine one may be gone before anybody looks."""

PATIENCE = 40.0
"""Seconds until something that should happen is taken as not happening."""

POLL = 0.05
"""Seconds between two looks."""

ABSENT = re.compile(r"Cannot (read|set) properties of (null|undefined)")
"""What a script says that looks for something of the page too early."""

NOT_YET = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
"""What the driver says of an element that is not there yet, or is being drawn anew."""

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
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",
    "--force-device-scale-factor=1",
    "--lang=en-US",
    # A page that calls out gets an error, which fails its test.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def start() -> Chrome:
    """Start a headless Chromium."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert binary and driver, "Chromium and its driver are needed: apt-get install chromium chromium-driver"
    options = ChromeOptions()
    options.binary_location = binary
    # The page says itself when it is ready.
    options.page_load_strategy = "none"
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    options.add_experimental_option("perfLoggingPrefs", {"enableNetwork": True, "enablePage": False})
    for argument in ARGUMENTS:
        options.add_argument(argument)
    return Chrome(service=Service(driver), options=options)


class Browser:
    """A tab of Chromium with nothing remembered from before, and waits for what its user would wait for.

    Parameters
    ----------
    driver
        A running Chromium.
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self._expected: list[str] = []
        self._before: list[str] = []
        self.driver.switch_to.new_window("tab")
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=HEAR)
        self.resize(1400, 1000)
        self.prefer()
        self.forget_users()
        self.requests()
        self.errors()

    # -- pages ---------------------------------------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Go to an address; what the page before it says while it is left, with requests on their way, does not count."""
        self._before += self.errors()
        self.driver.get("about:blank")
        self.errors()
        self.driver.get(url)

    def resize(self, width: int, height: int) -> None:
        """Give the page another size, in CSS pixels."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, **media: str) -> None:
        """Let the user prefer something, such as ``prefers_color_scheme="dark"``; always that nothing moves."""
        wanted = {"prefers_reduced_motion": "reduce", **media}
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in wanted.items()]
        self.cdp("Emulation.setEmulatedMedia", features=features)

    def forget_users(self) -> None:
        """Forget all cookies, as another browser would not have them."""
        self.cdp("Network.clearBrowserCookies")

    def another_tab(self) -> str:
        """Open a second tab, look at it, and return the name of the first."""
        first: str = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        self.resize(1400, 1000)
        return first

    @contextmanager
    def opened(self, act: Callable[[], None]) -> Iterator[None]:
        """Look at the window that something opens, and close it again."""
        before = self.driver.window_handles
        first = self.driver.current_window_handle
        act()
        (window,) = self.wait(lambda: set(self.driver.window_handles) - set(before), "another window")
        self.look_at(window)
        try:
            yield
        finally:
            self._before += self.errors()
            self.driver.close()
            self.driver.switch_to.window(first)

    def look_at(self, tab: str) -> str:
        """Look at another tab and return the name of the one looked at before."""
        before: str = self.driver.current_window_handle
        self.driver.switch_to.window(tab)
        return before

    def close(self) -> None:
        """Close the tabs; an error in the console of any is a failure."""
        errors = [*self._before, *self.errors()]
        self._clear_storage()
        blank, *opened = self.driver.window_handles
        for tab in opened:
            self.driver.switch_to.window(tab)
            # Nothing of the page may keep it from closing.
            self.driver.execute_script("window.onbeforeunload = null")
            self.driver.close()
        self.driver.switch_to.window(blank)
        unexpected = [error for error in errors if not any(part in error for part in self._expected)]
        assert unexpected == [], f"the console of the browser has errors: {unexpected}"

    def leave(self) -> None:
        """Leave the page before its server goes: what it says while it is left does not count."""
        self._before += self.errors()
        self._clear_storage()
        self.driver.get("about:blank")
        self.errors()

    def _clear_storage(self) -> None:
        origin = self.js("return location.origin")
        if str(origin).startswith("http"):
            self.cdp("Storage.clearDataForOrigin", origin=origin, storageTypes="local_storage,indexeddb,websql")

    # -- what went on --------------------------------------------------------------------------------------------

    def errors(self) -> list[str]:
        """Return the errors of the console since this was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def expect_errors(self, *parts: str) -> None:
        """Accept errors in the console that contain one of some texts, from now on."""
        self._expected += parts

    def expect_the_server_to_go(self) -> None:
        """Accept from now on what the console says of a server that does not answer."""
        self.expect_errors(
            "the server did not respond",
            "Failed to fetch",
            "ERR_CONTENT_LENGTH_MISMATCH",
            "ERR_CONNECTION_REFUSED",
            "ERR_EMPTY_RESPONSE",
            "ERR_CONNECTION_RESET",
        )

    def requests(self) -> list[str]:
        """Return the addresses that pages asked for since this was last asked, data made by the page left out."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        urls = [str(params["request"]["url"]) for params in asked]
        return [url for url in urls if urlsplit(url).scheme not in {"data", "blob", "about", "chrome"}]

    def cdp(self, method: str, **params: Any) -> Any:
        """Say something to Chromium itself."""
        return self.driver.execute_cdp_cmd(method, params)

    # -- looking -------------------------------------------------------------------------------------------------

    def js(self, script: str, *values: Any) -> Any:
        """Run a script in the page and return what it returns; again while something in it is not there yet."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.driver.execute_script(script, *values)
            except JavascriptException as error:
                if not ABSENT.search(error.msg or "") or time.monotonic() > end:
                    raise
            time.sleep(POLL)

    def find(self, css: str) -> WebElement:
        """Return the element of a selector, which must be there."""
        return self.driver.find_element("css selector", css)

    def text(self, css: str) -> str:
        """Return the text of an element, ``""`` when it is not there."""
        found = self.js("return document.querySelector(arguments[0])?.innerText ?? ''", css)
        return str(found).strip()

    def texts(self, css: str) -> list[str]:
        """Return the texts of all elements of a selector."""
        found = self.js(
            "return [...document.querySelectorAll(arguments[0])].map(e => (e.innerText ?? e.textContent).trim())", css
        )
        return list(found)

    def attribute(self, css: str, name: str) -> str | None:
        """Return an attribute of an element, None when it is not there."""
        found: str | None = self.js(
            "return document.querySelector(arguments[0])?.getAttribute(arguments[1])", css, name
        )
        return found

    def is_shown(self, css: str) -> bool:
        """Tell whether an element is there and can be seen."""
        return bool(
            self.js(
                "return Boolean(document.querySelector(arguments[0])?.checkVisibility({checkVisibilityCSS: true}))", css
            )
        )

    # -- waiting -------------------------------------------------------------------------------------------------

    def wait(self, look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """Look until something is seen, and return it."""
        waiting = WebDriverWait(self.driver, seconds, POLL, NOT_YET)
        try:
            return waiting.until(lambda _: look())
        except TimeoutException:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}; console: {self.errors()}") from None

    def until(self, look: Callable[[], T], expected: T, seconds: float = PATIENCE) -> None:
        """Look until what is seen is what was expected; otherwise show how they differ."""
        waiting = WebDriverWait(self.driver, seconds, POLL, NOT_YET)
        try:
            waiting.until(lambda _: look() == expected)
        except TimeoutException:
            seen = look()
            assert seen == expected, f"{seen!r} is not {expected!r} after {seconds:g} s; console: {self.errors()}"

    # -- acting --------------------------------------------------------------------------------------------------

    def click(self, css: str) -> None:
        """Click an element as soon as it can be clicked."""

        def attempt() -> bool:
            self.find(css).click()
            return True

        self.wait(attempt, f"{css} to be clickable")

    def type(self, css: str, text: str) -> None:
        """Replace what is in a text field."""

        def attempt() -> bool:
            self.find(css).send_keys(Keys.CONTROL + "a" + Keys.NULL, text or Keys.BACKSPACE)
            return True

        self.wait(attempt, f"{css} to take text")

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def type_slowly(self, *keys: str, pause: float = 0.1) -> None:
        """Press keys one after the other as a person does, wherever the focus is."""
        typing = ActionChains(self.driver)
        for key in keys:
            typing.send_keys(key).pause(pause)
        typing.perform()

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Move, press or release the mouse at a place of the window."""
        self.cdp("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 6) -> None:
        """Drag from a place of the window to another."""
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
        for step in range(1, steps + 1):
            place = [begin + (finish - begin) * step / steps for begin, finish in zip(start, end, strict=True)]
            self.mouse("mouseMoved", *place, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", buttons=0, clickCount=1)

    @contextmanager
    def held_back(self, script: str) -> Iterator[Callable[[], None]]:
        """Keep the answers to some requests from the page until they are released.

        Parameters
        ----------
        script
            JavaScript expression of ``url`` and ``body`` (text) that tells which.

        Yields
        ------
        release
            Lets the answers go, and waits until the page has dealt with them.
        """
        self.js(
            """
            const wanted = new Function('url', 'body', `return ${arguments[0]}`);
            const held = (window.__held = {n: 0, waiting: [], done: 0, fetch: window.fetch});
            window.fetch = async (resource, options) => {
              const body = typeof options?.body === 'string' ? options.body : '';
              if (!wanted(String(resource.url || resource), body)) return held.fetch.call(window, resource, options);
              held.n += 1;
              const answer = await held.fetch.call(window, resource, options);
              await new Promise((resolve) => held.waiting.push(resolve));
              // After the page had a few turns with the answer.
              setTimeout(() => requestAnimationFrame(() => setTimeout(() => (held.done += 1), 50)), 50);
              return answer;
            };""",
            script,
        )

        def release() -> None:
            self.wait(lambda: self.js("return __held.waiting.length === __held.n"), "the answers to arrive")
            self.js("__held.waiting.splice(0).forEach((go) => go())")
            self.wait(lambda: self.js("return __held.done === __held.n"), "the answers to be dealt with")

        try:
            yield release
        finally:
            self.js("window.fetch = __held.fetch; __held.waiting.splice(0).forEach((go) => go())")
