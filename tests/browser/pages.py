"""The pages of iscan-dash in the words of their users: what they do, and what they read."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import Browser
from tests.browser.server import Server


def plain(text: str) -> str:
    """Take the marks away that keep a text from right to left apart."""
    return text.translate({0x2068: None, 0x2069: None}).strip()


class Part:
    """A part of the page.

    Parameters
    ----------
    browser
        The tab that shows it.
    """

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    def _pick(self, dropdown: str, option: str, search: str = "") -> None:
        """Choose an option of a dropdown by what it says, without what explains it: ``phase`` for ``phase (2 levels)``."""
        browser = self.browser
        if browser.attribute(f"#{dropdown}", "aria-expanded") != "true":
            browser.click(f"#{dropdown}")
        browser.wait(lambda: browser.is_shown(".dash-dropdown-content"), f"the options of {dropdown}")
        if search:
            browser.type(".dash-dropdown-search", search)

        def click() -> bool:
            place = browser.js(
                """
                const says = (text) => text.replace(/[\u2068\u2069]/g, '').trim();
                return [...document.querySelectorAll('.dash-dropdown-content .dash-dropdown-option')].findIndex((e) =>
                  [/$/, / \\([^(]*$/, / \u00b7 .*/].some((end) => says(e.innerText).replace(end, '') === arguments[0]));""",
                option,
            )
            if place < 0:
                return False
            browser.driver.find_elements("css selector", ".dash-dropdown-content .dash-dropdown-option")[place].click()
            return True

        browser.wait(click, f'"{option}" among the options of {dropdown}')

    def _close_dropdown(self) -> None:
        browser = self.browser
        if browser.is_shown(".dash-dropdown-content"):
            browser.press(Keys.ESCAPE)
            browser.wait(lambda: not browser.is_shown(".dash-dropdown-content"), "the dropdown to close")

    def _options(self, dropdown: str) -> list[str]:
        """Return what a dropdown offers."""
        browser = self.browser
        browser.click(f"#{dropdown}")
        browser.wait(lambda: browser.is_shown(".dash-dropdown-content"), f"the options of {dropdown}")
        offered = browser.texts(".dash-dropdown-content .dash-dropdown-option")
        self._close_dropdown()
        return [plain(text) for text in offered]


class Shell(Part):
    """The frame around the pages."""

    def open(self, server: Server, path: str = "/", *, as_other: bool = False, **query: str) -> "Shell":
        """Open a page of a server and wait until its plot is painted.

        Parameters
        ----------
        server
            The server.
        path
            The page.
        as_other
            Whether to be another user than the one whose page is open under the server's usual address.
        query
            What the address says besides.
        """
        url = server.url_for_others if as_other else server.url
        address = f"{url}{path}" + (f"?{urlencode(query)}" if query else "")
        self.browser.open(address)
        return self.wait_until_ready()

    def reload(self) -> "Shell":
        """Load the page again."""
        self.browser.js("document.documentElement.dataset.old = 'yes'; location.reload()")
        self.browser.wait(lambda: self.browser.js("return !document.documentElement.dataset.old"), "another page")
        return self.wait_until_ready()

    def wait_until_ready(self) -> "Shell":
        """Wait until the plot is painted and the panel is there."""
        ready = """
            return document.querySelector('#plot-1-frame[data-painted][data-view]') !== null
              && document.querySelector('button#plot-colour') !== null
              && Boolean(window.iscan.status)
              && document.querySelector('#_pages_content')?.childElementCount > 0"""
        self.browser.wait(lambda: self.browser.js(ready), "the painted page", 60)
        return self

    def go_to(self, tab: str) -> None:
        """Click a tab of the panel or of its page, such as ``Existing Annotations``."""
        place = {"Data": "/", "Cell Annotation": "/annotate", "New Annotation": "/annotate", "Export": "/export"}
        place["Existing Annotations"] = "/annotate/existing"
        browser = self.browser
        if tab in {"New Annotation", "Existing Annotations"} and not browser.is_shown("#annotate-tabs"):
            self.go_to("Cell Annotation")
        link = {"Data": "shell-tab-data", "Cell Annotation": "shell-tab-annotate", "Export": "shell-tab-export"}
        link["New Annotation"] = "annotate-tab-new"
        browser.click(f"#{link.get(tab, 'annotate-tab-existing')}")
        browser.until(lambda: browser.js("return `/${iscan.pageBelow('/')}`"), place[tab])

    def title(self) -> str:
        """Return the title of the study."""
        return self.browser.text(".study-title")

    def cells(self) -> str:
        """Return how many cells the top bar says there are."""
        return self.browser.text(".study-title + .numbers")

    def save_text(self) -> str:
        """Return what the top bar says of saving."""
        return self.browser.text("#shell-save-text")

    def wait_until_saved(self) -> None:
        """Wait until the draft holds every edit of this page."""
        # What the page says may be from before the edit; it asks every now and then.
        ask = "return fetch('/api/v1/status', {cache: 'no-store'}).then((answer) => answer.json()).then((own) => own.save)"
        self.browser.until(lambda: self.browser.js(ask), "saved")
        self.browser.until(self.save_text, "All saved")

    def banner(self) -> str:
        """Return the banner, ``""`` when there is none."""
        return self.browser.text("#shell-banner") if self.browser.is_shown("#shell-banner") else ""

    def toasts(self) -> list[str]:
        """Return the messages that are up."""
        return self.browser.texts(".toast-text")

    def wait_until_said(self, part: str) -> None:
        """Wait until a message of this page has contained a text, be it still up or not."""
        heard = "return (window.heard || []).some((text) => text.includes(arguments[0]))"
        self.browser.wait(lambda: self.browser.driver.execute_script(heard, part), f'a message with "{part}"')

    def wait_for_toast(self, text: str) -> None:
        """Wait until a message says something."""
        self.browser.wait(lambda: text in self.toasts(), f'the message "{text}", not {self.toasts()}')

    def answer_toast(self, text: str, action: str) -> None:
        """Click the button or the link of a message."""
        self.wait_for_toast(text)
        self.browser.js(
            """
            const toast = [...document.querySelectorAll('.toast-message')].find(
              (e) => e.querySelector('.toast-text').innerText === arguments[0]);
            [...toast.querySelectorAll('.toast-action')].find((e) => e.innerText === arguments[1]).click()""",
            text,
            action,
        )

    def close_toasts(self) -> None:
        """Close all messages."""
        self.browser.js("document.querySelectorAll('.toast-close').forEach((e) => e.click())")

    def undo_title(self) -> str:
        """Return what the undo button says."""
        return self.browser.attribute("#shell-undo", "title") or ""

    def redo_title(self) -> str:
        """Return what the redo button says."""
        return self.browser.attribute("#shell-redo", "title") or ""

    def undo(self) -> None:
        """Click Undo."""
        self.browser.click("#shell-undo:not([disabled])")

    def redo(self) -> None:
        """Click Redo."""
        self.browser.click("#shell-redo:not([disabled])")

    def theme(self) -> tuple[str, str]:
        """Return what the theme button says, and the theme that the page has."""
        shown = self.browser.js("return document.documentElement.dataset.bsTheme")
        return self.browser.attribute("#shell-theme", "title") or "", str(shown)

    def user(self) -> str:
        """Return who works here, as the top bar says."""
        return self.browser.text("#shell-user")

    def rename_user(self, name: str) -> None:
        """Open what the user's name opens, and type another one."""
        browser = self.browser
        if not browser.is_shown("#user-name"):
            browser.click("#user-open")
        browser.type("#user-name", name)
        browser.press(Keys.ENTER)

    def user_error(self) -> str:
        """Return what is wrong with the user's name."""
        return self.browser.text("#user-error")

    def draft_path(self) -> Path:
        """Return where the draft is, as the save text's tooltip says."""
        return Path((self.browser.attribute("#shell-save-text", "title") or "").removeprefix("Draft: "))

    def next_theme(self) -> None:
        """Click the theme button."""
        self.browser.click("#shell-theme")


@dataclass(frozen=True)
class ColourBar:
    """The legend of numbers."""

    title: str
    unit: str
    ticks: list[str]
    greys: list[str]


class PlotPanel(Part):
    """A plot with its controls and legend.

    Parameters
    ----------
    browser
        The tab that shows it.
    number
        Which plot.
    """

    def __init__(self, browser: Browser, number: int = 1) -> None:
        super().__init__(browser)
        self.number = number

    def part(self, name: str) -> str:
        """Return the id of a control of the plot, such as ``plot-2-colour``."""
        return f"plot-{name}" if self.number == 1 else f"plot-{self.number}-{name}"

    def selector(self, css: str) -> str:
        """Return a selector for this plot, given that for the first: ``#plot-1-frame`` or ``#plot-colour``."""
        css = css.replace("#plot-1-", f"#plot-{self.number}-")
        return re.sub(r"#plot-(?=[a-z])", f"#{self.part('')}", css)

    def _js(self, script: str, *values: Any) -> Any:
        """Run a script that is about the first plot, about this one."""
        return self.browser.js(self.selector(script), *values)

    def colour_by(self, name: str) -> None:
        """Colour by a column or an annotation, and wait until it is drawn."""
        self._pick(self.part("colour"), name, name)
        self.wait_for_title(name)

    def colour_options(self) -> list[str]:
        """Return what cells can be coloured by."""
        return self._options(self.part("colour"))

    def search_gene(self, gene: str, typed: str | None = None) -> None:
        """Type into the gene search, choose a gene, and wait until it is drawn."""
        self.ask_for_gene(gene, typed)
        self.wait_for_title(gene)

    def ask_for_gene(self, gene: str, typed: str | None = None) -> None:
        """Type into the gene search and choose a gene."""
        self._pick(self.part("gene"), gene, typed or gene)

    def clear_gene(self) -> None:
        """Take the gene away, so that the column colours the cells again."""
        self.browser.click(self.selector("#plot-gene .dash-dropdown-clear"))

    def gene(self) -> str:
        """Return the chosen gene, or the invitation to search one."""
        return self.browser.text(self.selector("#plot-gene-value"))

    def embedding(self, name: str) -> None:
        """Show another embedding, or counts and genes."""
        before = self.painted()
        view = self.view()
        self._pick(self.part("embedding"), name)
        self.browser.wait(lambda: self.view() != view and self.painted() == before, f"the view of {name}")

    def shown_embedding(self) -> str:
        """Return the embedding that is shown."""
        return self.browser.text(self.selector("#plot-embedding-value"))

    def shown_colour(self) -> str:
        """Return what the control says the cells are coloured by."""
        return plain(self.browser.text(self.selector("#plot-colour-value"))).rpartition(" \u00b7 ")[0]

    def painted(self) -> str:
        """Return the address of the colours that are on the canvas."""
        return self.browser.attribute(self.selector("#plot-1-frame"), "data-painted") or ""

    def wait_for_title(self, title: str) -> None:
        """Wait until the legend has a title, and the canvas what it explains."""
        self.browser.until(self.title, title)

    def title(self) -> str:
        """Return the title of the legend, without the unit."""
        title = self._js("return document.querySelector('#plot-1-legend .legend-title')?.firstChild.textContent")
        return title or ""

    def legend(self) -> dict[str, int]:
        """Return the rows of the legend in order: labels and their cells."""
        rows = self._js(
            """
            return [...document.querySelectorAll('#plot-1-legend .legend-row')].map(
              (e) => [e.querySelector('.legend-label').textContent, e.querySelector('.legend-count').textContent])"""
        )
        return {label: int(count.replace(",", "")) for label, count in rows}

    def legend_colours(self) -> dict[str, str]:
        """Return the colours of the legend's rows, as ``#rrggbb``."""
        rows = self._js(
            """
            return [...document.querySelectorAll('#plot-1-legend .legend-row')].map(
              (e) => [e.title, getComputedStyle(e.querySelector('.legend-swatch')).backgroundColor])"""
        )
        return {label: hex_colour(colour) for label, colour in rows}

    def colour_bar(self) -> ColourBar:
        """Return the legend of numbers."""
        browser = self.browser
        return ColourBar(
            self.title(),
            browser.text(self.selector("#plot-1-legend .legend-unit")),
            browser.texts(self.selector("#plot-1-legend .legend-tick")),
            browser.texts(self.selector("#plot-1-legend .legend-grey")),
        )

    def point_at(self, label: str | None) -> None:
        """Rest the mouse on a row of the legend, or leave it."""
        if label is None:
            self.browser.mouse("mouseMoved", 5, 5)
            return
        box = self._js(
            """
            const row = [...document.querySelectorAll('#plot-1-legend .legend-row')].find((e) => e.title === arguments[0]);
            row.scrollIntoView({block: 'nearest'});
            return row.getBoundingClientRect().toJSON()""",
            label,
        )
        self.browser.mouse("mouseMoved", box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def note(self) -> str:
        """Return the note under the plot."""
        return self.browser.text(self.selector("#plot-note"))

    def view(self) -> list[float]:
        """Return the ranges in view: x from and to, y from and to."""
        view = self.browser.attribute(self.selector("#plot-1-frame"), "data-view")
        return [float(value) for value in json.loads(view or "[]")]

    def axis_ranges(self) -> list[float]:
        """Return the ranges that Plotly's axes have."""
        layout = "document.querySelector('#plot-1-frame .js-plotly-plot').layout"
        ranges = self._js(f"return [...{layout}.xaxis.range, ...{layout}.yaxis.range]")
        return [float(value) for value in ranges]

    def box(self) -> dict[str, float]:
        """Return where the plot is in the window: x, y, width, height."""
        box: dict[str, float] = self._js(
            "return document.querySelector('#plot-1-frame canvas').getBoundingClientRect().toJSON()"
        )
        return box

    def middle(self) -> tuple[float, float]:
        """Return the middle of the plot, as a place of the window."""
        box = self.box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def places(self, xy: np.ndarray) -> np.ndarray:
        """Return where cells are on the plot, in pixels from its top left corner.

        Parameters
        ----------
        xy
            Coordinates, shape (2, n_cells).
        """
        left, right, bottom, top = self.view()
        box = self.box()
        x = (xy[0] - left) / (right - left) * box["width"]
        y = (top - xy[1]) / (top - bottom) * box["height"]
        return np.stack([x, y])

    def pixels(self) -> np.ndarray:
        """Return the picture of the cells; shape (height, width, 3), uint8."""
        found = self._js(
            """
            const canvas = document.querySelector('#plot-1-frame canvas');
            const {data, width, height} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let text = '';
            for (let i = 0; i < data.length; i += 32768) text += String.fromCharCode(...data.subarray(i, i + 32768));
            return [btoa(text), width, height]"""
        )
        return _image(found)

    def hover(self, x: float, y: float) -> dict[str, Any]:
        """Rest the mouse on a place of the plot, in pixels from its top left corner; return what the tooltip says."""
        box, browser = self.box(), self.browser

        def look() -> Any:
            browser.mouse("mouseMoved", box["x"] + x, box["y"] + y)
            if not browser.is_shown(".scatter-tip-id"):
                return None
            return browser.js(
                """
                const text = (css) => document.querySelector(css)?.textContent ?? '';
                const fields = [...document.querySelectorAll('.scatter-tip-fields dt')].map(
                  (dt) => [dt.textContent, dt.nextSibling.textContent]);
                return {id: text('.scatter-tip-id'), sample: text('.scatter-tip-sample'),
                        label: text('.scatter-tip-text'), fields: Object.fromEntries(fields)}"""
            )

        found: dict[str, Any] = browser.wait(look, "the tooltip of a cell")
        browser.mouse("mouseMoved", 5, 5)
        browser.wait(lambda: not browser.is_shown(".scatter-tip"), "the tooltip to go")
        return found

    def pan(self, right: float, down: float) -> None:
        """Drag the plot by some pixels."""
        x, y = self.middle()
        self._move_view(lambda: self.browser.drag((x, y), (x + right, y + down)))

    def wheel(self, turns: int) -> None:
        """Turn the wheel over the middle of the plot; upwards is nearer."""
        x, y = self.middle()
        self._move_view(lambda: self.browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-100 * turns))

    def zoom_into(self, right: float, down: float) -> None:
        """Draw a rectangle from the middle of the plot with the zoom tool, then take the pan tool again."""
        x, y = self.middle()
        self.browser.click("#plot-zoom")
        self._move_view(lambda: self.browser.drag((x, y), (x + right, y + down)))
        self.browser.click("#plot-pan")

    def show_all(self) -> None:
        """Click Show all."""
        self._move_view(lambda: self.browser.click("#plot-reset"))

    def wait_for_tools(self) -> None:
        """Wait until Plotly is there, which holds the tools and comes after the cells are painted."""
        self.browser.wait(
            lambda: self._js("return Boolean(document.querySelector('#plot-1-graph .js-plotly-plot .nsewdrag'))"),
            "the tools of the plot",
        )

    def _move_view(self, act: Callable[[], None]) -> None:
        self.wait_for_tools()
        before = self.view()
        act()
        self.browser.wait(lambda: self.view() != before, "the view to move")
        self.wait_until_still()

    def wait_until_still(self) -> None:
        """Wait until the view rests, and everything that follows it does."""

        def is_still() -> bool:
            self.browser.driver.set_script_timeout(10)
            two_looks = self.selector("""
                const done = arguments[0], frame = document.querySelector('#plot-1-frame'), first = frame.dataset.view;
                setTimeout(() => done(first === frame.dataset.view), 250)""")
            return bool(self.browser.driver.execute_async_script(two_looks)) and self.view() == self.axis_ranges()

        self.browser.wait(is_still, "the view to rest")

    def link(self) -> dict[str, str]:
        """Return what the address says of the plot."""
        query: dict[str, str] = self.browser.js("return Object.fromEntries(new URLSearchParams(location.search))")
        return query

    def wait_for_link(self) -> dict[str, str]:
        """Return what the address says of the plot, once it says the ranges in view."""

        def is_current() -> bool:
            parts = self.link().get("view", "").split("~")
            ranges = [float(value) for value in parts[2].split(",")] if len(parts) == 3 else []
            return np.allclose(ranges, self.view(), rtol=1e-3, atol=1e-3) if len(ranges) == 4 else False

        self.browser.wait(is_current, "the address to say the view")
        return self.link()

    def table(self) -> str:
        """Return the plot as a table, and close it."""
        browser = self.browser
        browser.click(self.selector("#plot-table"))
        browser.wait(lambda: browser.text(self.selector("#plot-table-body")), "the table")
        found = browser.text(self.selector("#plot-table-body"))
        browser.press(Keys.ESCAPE)
        browser.wait(lambda: not browser.is_shown(self.selector("#plot-table-body")), "the table to close")
        return found

    def save_as(self, format_: str) -> None:
        """Save the picture: ``png`` or ``svg``."""
        browser = self.browser
        if not browser.is_shown(self.selector("#plot-export-png")):
            browser.click(self.selector("#plot-export"))
        browser.click(self.selector(f"#plot-export-{format_}"))

    def layer(self, name: str) -> None:
        """Read genes from a layer."""
        self._pick(self.part("layer"), name)

    def two_genes(self, x: str, y: str) -> None:
        """Place the cells by two genes."""
        view = self.view()
        self._pick(self.part("embedding"), "Two genes")
        self._pick(self.part("gene-x"), x, x)
        self._pick(self.part("gene-y"), y, y)
        self.browser.wait(lambda: self.view() != view, f"the view of {x} and {y}")
        self.wait_until_still()

    # -- areas -----------------------------------------------------------------------------------------------------

    def draw(self, corners: Sequence[tuple[float, float]], tool: str = "lasso", mode: str = "new") -> int:
        """Draw with the lasso or the box; return how many cells the plot says are in the area.

        Parameters
        ----------
        corners
            Places in pixels from the plot's top left corner: the outline's corners, or two opposite ones of a box.
        tool
            ``"lasso"`` or ``"box"``.
        mode
            ``"new"``, ``"add"`` (Shift) or ``"subtract"`` (Alt).
        """
        browser, box = self.browser, self.box()
        browser.click(f"#plot-{tool}")
        keys = {"new": 0, "subtract": 1, "add": 8}[mode]
        places = [(box["x"] + x, box["y"] + y) for x, y in corners]
        self._js(
            """
            window.__drawn = null;
            document.querySelector('#plot-1-frame').addEventListener(
              'iscan:drawn', (event) => (window.__drawn = event.detail), {once: true})"""
        )
        browser.mouse("mouseMoved", *places[0])
        browser.mouse("mousePressed", *places[0], button="left", buttons=1, clickCount=1, modifiers=keys)
        for (x0, y0), (x1, y1) in pairwise(places):
            browser.mouse("mouseMoved", (x0 + x1) / 2, (y0 + y1) / 2, button="left", buttons=1, modifiers=keys)
            browser.mouse("mouseMoved", x1, y1, button="left", buttons=1, modifiers=keys)
        browser.mouse("mouseReleased", *places[-1], button="left", buttons=0, clickCount=1, modifiers=keys)
        browser.wait(lambda: browser.js("return window.__drawn"), "the area to be drawn")
        said = re.sub(r"[^0-9]", "", browser.text(self.selector("#plot-1-frame .scatter-count")))
        assert int(said) == browser.js("return window.__drawn.count")
        return int(said)

    def drawn(self) -> np.ndarray:
        """Return the outline drawn last as the page sent it; shape (n_points, 2)."""
        return np.array(self.browser.js("return window.__drawn.points"), np.float64)

    def outlines(self) -> int:
        """Return how many outlines the plot shows."""
        found: int = self._js("return document.querySelectorAll('#plot-1-frame .scatter-outline').length")
        return found

    def arrange(self, name: str) -> None:
        """Show ``1x1``, ``1x2`` or ``2x2`` plots, and wait until all are painted."""
        self.browser.click(f"#plots-{name}")
        count = {"1x1": 1, "1x2": 2, "2x2": 4}[name]

        def painted() -> bool:
            frames = [f"#plot-{number}-frame[data-painted][data-view]" for number in range(1, count + 1)]
            return all(self.browser.is_shown(frame) for frame in frames)

        self.browser.wait(painted, f"{count} painted plots")


def chosen_cells(browser: Browser) -> list[int] | None:
    """Return the rows of the cells that are selected, None when nothing is chosen."""
    browser.driver.set_script_timeout(20)
    found: list[int] | None = browser.driver.execute_async_script(
        """
        const done = arguments[0];
        iscan.selection.mask().then((mask) => done(mask && [...mask.keys()].filter((row) => mask[row])))"""
    )
    return found


def act_on_selection(browser: Browser, **action: Any) -> None:
    """Do something to the selection."""
    browser.driver.set_script_timeout(20)
    refused = browser.driver.execute_async_script(
        "const [action, done] = arguments; iscan.selection.act(action).then(() => done(''), (e) => done(String(e)))",
        action,
    )
    assert not refused


def clear_selection(browser: Browser) -> None:
    """Choose nothing."""
    act_on_selection(browser, do="mode", mode="union")
    act_on_selection(browser, do="clear", what="all")
    browser.until(lambda: chosen_cells(browser), None)


def hex_colour(css: str) -> str:
    """Turn ``rgb(1, 2, 3)`` into ``#010203``."""
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", css)[:3])


def _image(found: tuple[str, int, int]) -> np.ndarray:
    text, width, height = found
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[..., :3]


def picture_size(browser: Browser, data: bytes, mime: str) -> tuple[int, int, np.ndarray]:
    """Draw a picture file in the page; return its width, its height and its pixels."""
    browser.driver.set_script_timeout(20)
    found = browser.driver.execute_async_script(
        """
        const [address, done] = arguments, image = new Image();
        image.onerror = () => done(null);
        image.onload = () => {
          const canvas = Object.assign(document.createElement('canvas'), {width: image.width, height: image.height});
          const pen = canvas.getContext('2d');
          pen.drawImage(image, 0, 0);
          const {data} = pen.getImageData(0, 0, canvas.width, canvas.height);
          let text = '';
          for (let i = 0; i < data.length; i += 32768) text += String.fromCharCode(...data.subarray(i, i + 32768));
          done([btoa(text), image.width, image.height]);
        };
        image.src = address""",
        f"data:{mime};base64,{base64.b64encode(data).decode()}",
    )
    assert found, "the browser cannot draw the picture"
    return found[1], found[2], _image(found)


class Grid(Part):
    """A grid of the page.

    Parameters
    ----------
    browser
        The tab that shows it.
    grid_id
        Its id.
    """

    def __init__(self, browser: Browser, grid_id: str) -> None:
        super().__init__(browser)
        self.css = f"#{grid_id}"

    def header(self) -> list[str]:
        """Return the titles of the columns."""
        titles: list[str] = self.browser.js(
            """
            return [...document.querySelectorAll(`${arguments[0]} .ag-header-cell`)]
              .sort((a, b) => a.ariaColIndex - b.ariaColIndex)
              .map((e) => e.querySelector('.ag-header-cell-text').textContent)""",
            self.css,
        )
        return titles

    def rows(self) -> list[list[str]]:
        """Return the texts of the rows that are in view, in order."""
        rows: list[list[str]] = self.browser.js(
            """
            return [...document.querySelectorAll(`${arguments[0]} .ag-center-cols-container .ag-row`)]
              .filter((row) => row.querySelector('.ag-cell'))
              .sort((a, b) => a.getAttribute('row-index') - b.getAttribute('row-index'))
              .map((row) => [...row.querySelectorAll('.ag-cell')]
                .sort((a, b) => a.ariaColIndex - b.ariaColIndex).map((cell) => cell.textContent))""",
            self.css,
        )
        return rows

    def n_rows(self) -> int:
        """Return how many rows there are, in view or not."""
        count = self.browser.attribute(f"{self.css} [aria-rowcount]", "aria-rowcount") or "0"
        return int(count) - 1

    def sort(self, column: str) -> None:
        """Click the title of a column."""
        self.browser.click(f"{self.css} .ag-header-cell[col-id='{column}'] .ag-header-cell-text")

    def filter(self, column: str, text: str) -> None:
        """Ask for the rows whose column contains a text."""
        browser = self.browser
        browser.click(f"{self.css} .ag-header-cell[col-id='{column}'] .ag-header-cell-filter-button")
        browser.type(".ag-filter input.ag-text-field-input", text)
        browser.press(Keys.ESCAPE)
        browser.wait(lambda: not browser.is_shown(".ag-filter"), "the filter to close")

    def cell(self, row: str, column: str) -> str:
        """Return the selector of a cell, by the key of its row."""
        return f"{self.css} .ag-row[row-id='{row}'] .ag-cell[col-id='{column}']"

    def choose(self, row: str, column: str, value: str) -> None:
        """Click a cell, which opens its list, and choose."""
        browser = self.browser
        place_of = """
            const cell = document.querySelector(arguments[0]);
            cell.scrollIntoView({block: 'center', inline: 'center'});
            return cell.getBoundingClientRect().toJSON()"""
        box = browser.wait(lambda: browser.js(place_of, self.cell(row, column)), f"{row} of the grid")
        place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        browser.mouse("mousePressed", *place, button="left", clickCount=1)
        browser.mouse("mouseReleased", *place, button="left", clickCount=1)
        items = ".ag-select-list .ag-list-item"
        browser.wait(lambda: browser.texts(items), "the list of the cell")
        browser.driver.find_elements("css selector", items)[browser.texts(items).index(value)].click()


class NamingDialog(Part):
    """The dialog that asks what to call the drafts, before there are any."""

    def is_shown(self) -> bool:
        """Tell whether it is open."""
        return self.browser.is_shown("#naming-ok")

    def wait(self) -> "NamingDialog":
        """Wait until it asks, with the name that it offers marked."""
        marked = """
            const field = document.activeElement;
            return field.id === 'naming-name' && field.selectionEnd - field.selectionStart === field.value.length"""
        self.browser.wait(lambda: self.is_shown() and self.browser.js(marked), "the dialog that asks for a name")
        return self

    def name(self, text: str) -> "NamingDialog":
        """Type a name."""
        self.browser.type("#naming-name", text)
        return self

    def path(self) -> str:
        """Return the path that it says the draft will have."""
        return self.browser.text(".modal .path")

    def error(self) -> str:
        """Return what is wrong with the name."""
        return self.browser.text("#naming-error")

    def confirm(self) -> None:
        """Click Save under this name, and wait until it closes."""
        self.browser.click("#naming-ok")
        self.wait_until_closed()

    def cancel(self) -> None:
        """Click Cancel."""
        self.browser.click("#naming-cancel")
        self.wait_until_closed()

    def wait_until_closed(self) -> None:
        """Wait until the dialog is gone."""
        self.browser.wait(lambda: not self.browser.is_shown(".modal"), "the dialog to close")

    @contextmanager
    def taken_as_offered(self, is_refused: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Do what makes an annotation; when the name is asked for, take the one that is offered.

        Parameters
        ----------
        is_refused
            Tells whether it says that something is wrong instead.
        """
        is_asked = self.browser.js("return Boolean(window.iscan.status.needs_name)")
        yield
        if is_asked:
            self.browser.wait(lambda: self.is_shown() or is_refused(), "the dialog that asks for a name")
            if self.is_shown():
                self.confirm()


class NewAnnotation(Part):
    """The form New Annotation and its preview."""

    def __init__(self, browser: Browser) -> None:
        super().__init__(browser)
        self.grid = Grid(browser, "new-grid")

    def name(self, text: str) -> "NewAnnotation":
        """Type the name."""
        self.browser.type("#new-name", text)
        return self

    def default(self, text: str) -> "NewAnnotation":
        """Type the default value."""
        self.browser.type("#new-default", text)
        return self

    def kind(self, card: str) -> "NewAnnotation":
        """Choose ``Use Existing Data``, ``Import CSV`` or ``Empty``."""
        value = {"Use Existing Data": "existing", "Import CSV": "import", "Empty": "empty"}[card]
        self.browser.click(f"#new-kind label[for$='_{value}']")
        return self

    def copy_from(self, kind: str, *names: str) -> "NewAnnotation":
        """Copy from ``metadata``, ``cluster`` or ``annotation``."""
        self.copy()
        for name in names:
            self._pick(f"new-{kind}", name)
        self._close_dropdown()
        return self

    def copy(self) -> None:
        """Tick that values are copied."""
        self.browser.wait(lambda: self.browser.is_shown("#new-copy"), "the form")
        if not self.browser.find("#new-copy").is_selected():
            self.browser.click("#new-copy")

    def sources(self, kind: str) -> list[str]:
        """Return what can be copied from ``metadata``, ``cluster`` or ``annotation``."""
        self.copy()
        return self._options(f"new-{kind}")

    def chosen(self, kind: str) -> str:
        """Return what a list of sources says."""
        return self.browser.text(f"#new-{kind}-value")

    def delimiter(self, text: str) -> "NewAnnotation":
        """Type the delimiter."""
        self.browser.type("#new-delimiter", text)
        return self

    def missing(self, rule: str) -> "NewAnnotation":
        """Choose what becomes of missing parts, such as ``Leave the part out``."""
        labels = self.browser.driver.find_elements("css selector", "#new-missing label")
        next(label for label in labels if label.text == rule).click()
        return self

    def leave_name(self) -> None:
        """Put the focus into the name and take it out again."""
        self.browser.click("#new-name")
        self.browser.press(Keys.TAB)

    def summary(self) -> str:
        """Return the numbers of the preview."""
        return self.browser.text("#new-summary")

    def wait_for_summary(self, text: str) -> None:
        """Wait until the preview has some numbers."""
        self.browser.until(self.summary, text)

    def warnings(self) -> list[str]:
        """Return the warnings."""
        return self.browser.text("#new-warnings").splitlines()

    def name_error(self) -> str:
        """Return what is wrong with the name."""
        return self.browser.text("#new-name-error")

    def default_error(self) -> str:
        """Return what is wrong with the default value."""
        return self.browser.text("#new-default-error")

    def counts(self) -> list[tuple[str, str]]:
        """Return the rows of the counts table."""
        rows = self.browser.js(
            """
            return [...document.querySelectorAll('#new-counts tr')].map(
              (row) => [...row.cells].map((cell) => cell.textContent))"""
        )
        return [tuple(row) for row in rows]

    def search_counts(self, text: str) -> None:
        """Type into the search of the counts table."""
        self.browser.type("#new-counts-search", text)

    def create(self) -> None:
        """Click Create, and take the name that is offered for the drafts when it is asked for."""
        browser, naming = self.browser, NamingDialog(self.browser)
        with naming.taken_as_offered(lambda: bool(self.name_error() or self.default_error())):
            browser.click("#new-create")

    def make(self, name: str, *, cluster: str = "leiden") -> None:
        """Make an annotation of a cluster column, from the tab New Annotation, and close the message."""
        shell = Shell(self.browser)
        shell.go_to("New Annotation")
        self.copy_from("cluster", cluster).name(name)
        self.browser.until(lambda: self.grid.header()[-1:], [name])
        self.create()
        shell.wait_until_said(f'"{name}" was created')
        shell.close_toasts()


@dataclass(frozen=True)
class Row:
    """A row of the list of annotations."""

    name: str
    origin: str
    n_labels: int
    n_set: int
    owner: str
    version: int


class ExistingAnnotations(Part):
    """The list of annotations and its opened row."""

    def names(self) -> list[str]:
        """Return the names in order."""
        return self.browser.texts("#existing-table .annotation-name")

    def row(self, name: str) -> Row:
        """Return a row of the list, once it is there."""
        self.key(name)
        texts = self.browser.js(
            """
            const row = [...document.querySelectorAll('#existing-table tr[data-annotation]')].find(
              (e) => e.querySelector('.annotation-name').textContent === arguments[0]);
            return row && [...row.cells].map((cell) => cell.innerText.trim())""",
            name,
        )
        _, name, origin, n_labels, n_set, owner, _, _, version, _ = texts
        return Row(name, origin, int(n_labels), int(n_set), owner, int(version))

    def version(self, name: str) -> int:
        """Return the version of an annotation, 0 when it is not listed."""
        return self.row(name).version if name in self.names() else 0

    def key(self, name: str) -> str:
        """Return the id of an annotation."""
        find = """
            return [...document.querySelectorAll('#existing-table tr[data-annotation]')].find(
              (e) => e.querySelector('.annotation-name').textContent === arguments[0])?.dataset.annotation"""
        found: str = self.browser.wait(lambda: self.browser.js(find, name), f"{name} in the list")
        return found

    def _row(self, name: str) -> str:
        return f"#existing-table tr[data-annotation='{self.key(name)}']"

    def _button(self, name: str, action: str) -> str:
        return f"{self._row(name)} [id*='existing-{action}']"

    def _field(self, name: str, field: str) -> str:
        return f"input[id*='{self.key(name)}'][id*='\"existing-{field}\"']"

    def expand(self, name: str) -> None:
        """Open the row of an annotation."""
        button = self._button(name, "expand")
        if self.browser.attribute(button, "aria-expanded") != "true":
            self.browser.click(button)
        self.browser.wait(lambda: self.browser.is_shown(self._field(name, "name")), "the opened row")

    def _edit(self, name: str, field: str, text: str) -> None:
        self.expand(name)
        self.browser.type(self._field(name, field), text)
        self.browser.press(Keys.ENTER)

    def rename(self, name: str, new_name: str) -> None:
        """Give an annotation another name."""
        self._edit(name, "name", new_name)

    def describe(self, name: str, text: str) -> None:
        """Change the description of an annotation."""
        self._edit(name, "description", text)

    def description(self, name: str) -> str:
        """Return the description in the opened row."""
        return self._value(self._field(name, "description"))

    def fields(self, name: str) -> tuple[str, str, str]:
        """Return what the fields of an opened annotation hold: name, default label, description."""
        held = [self._value(self._field(name, field)) for field in ("name", "default", "description")]
        return held[0], held[1], held[2]

    def is_read_only(self, name: str) -> bool:
        """Tell whether nothing of an annotation can be changed, labels' colours included."""
        self.expand(name)
        changeable = "return document.querySelectorAll('#existing-details input:not(:disabled)').length"
        return bool(self.browser.js(changeable) == 0)

    def lock(self, name: str) -> str:
        """Return what the lock of an annotation says, ``""`` when it has none."""
        return self.browser.attribute(f"{self._row(name)} .lock", "aria-label") or ""

    def buttons(self, name: str) -> list[str]:
        """Return what the buttons of a row do."""
        titles: list[str] = self.browser.js(
            "return [...document.querySelectorAll(`${arguments[0]} .actions button`)].map((e) => e.title)",
            self._row(name),
        )
        return titles

    def focus(self, name: str, field: str) -> None:
        """Click into a field of an opened annotation, and mark what it holds."""
        self.expand(name)
        self.browser.click(self._field(name, field))
        self.browser.press(Keys.CONTROL + "a" + Keys.NULL)

    def set_default(self, name: str, text: str) -> None:
        """Change the default label of an annotation."""
        self._edit(name, "default", text)

    def _value(self, css: str) -> str:
        return str(self.browser.js("return document.querySelector(arguments[0])?.value ?? ''", css))

    def labels(self, name: str) -> dict[str, tuple[str, int]]:
        """Return the labels of the opened row: colour and cells."""
        self.expand(name)
        rows = self.browser.js(
            """
            return [...document.querySelectorAll('.labels-box tbody tr')].map((row) => [
              row.querySelector('bdi').textContent, row.querySelector('input').value, row.cells[2].textContent])"""
        )
        return {label: (colour, int(count.replace(",", ""))) for label, colour, count in rows}

    def recolour(self, name: str, label: str, colour: str) -> None:
        """Pick another colour for a label, then leave the field."""
        self.expand(name)
        self.browser.js(
            """
            const input = [...document.querySelectorAll('.labels-box tbody tr')].find(
              (row) => row.querySelector('bdi').textContent === arguments[0]).querySelector('input');
            input.focus();
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, arguments[1]);
            input.dispatchEvent(new Event('input', {bubbles: true}));
            input.dispatchEvent(new Event('change', {bubbles: true}));
            input.blur()""",
            label,
            colour,
        )

    def duplicate(self, name: str) -> None:
        """Click Duplicate."""
        self.browser.click(self._button(name, "duplicate"))

    def delete(self, name: str) -> None:
        """Click Delete."""
        self.browser.click(self._button(name, "delete"))

    def colour_plot(self, name: str) -> None:
        """Click Colour plot."""
        self.browser.click(self._button(name, "colour"))

    def recently_deleted(self) -> list[str]:
        """Return the names under Recently deleted."""
        names = self.browser.js(
            "return [...document.querySelectorAll('#existing-deleted li bdi')].map(e => e.textContent)"
        )
        return list(names)

    def restore(self, name: str) -> None:
        """Open Recently deleted and click Restore."""
        browser = self.browser
        browser.wait(lambda: name in self.recently_deleted(), f"{name} to be recently deleted")
        if browser.js("return !document.querySelector('#existing-deleted details').open"):
            browser.click("#existing-deleted summary")
        browser.click(f"#existing-deleted li:nth-child({self.recently_deleted().index(name) + 1}) button")

    def history(self, name: str) -> list[tuple[str, str]]:
        """Rest the mouse on History and return its entries, the newest first: description and first action."""
        self._open_history(name)
        rows = self.browser.js(
            """
            return [...document.querySelectorAll('.history-popover tbody tr')].map(
              (row) => [row.cells[1].textContent, row.cells[2].firstElementChild.textContent])"""
        )
        return [tuple(row) for row in rows]

    def _open_history(self, name: str) -> None:
        browser, button = self.browser, self._button(name, "history")

        def hover() -> bool:
            # From outside: a mouse that rests while the table is drawn anew enters nothing.
            browser.mouse("mouseMoved", 5, 5)
            box = browser.js("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", button)
            browser.mouse("mouseMoved", box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            browser.wait(lambda: browser.is_shown(".history-popover"), "the popover", 1)
            return True

        if not browser.is_shown(".history-popover"):
            browser.wait(lambda: self._tries(hover), "the history")

    @staticmethod
    def _tries(act: Callable[[], bool]) -> bool:
        try:
            return act()
        except AssertionError:
            return False

    def close_history(self) -> None:
        """Leave the history."""
        browser = self.browser
        browser.mouse("mouseMoved", 5, 5)
        browser.js("document.activeElement.blur()")
        browser.wait(lambda: not browser.is_shown(".history-popover"), "the history to close")

    def ask_to_revert(self, name: str, entry: int) -> str:
        """Click Revert of an entry (0 is the newest) and return what is asked."""
        self._open_history(name)
        browser = self.browser
        browser.click(f".history-popover tbody tr:nth-child({entry + 1}) button")
        browser.wait(lambda: browser.is_shown("#existing-revert-text"), "the question")
        return browser.text("#existing-revert-text")

    def confirm_revert(self) -> None:
        """Click Revert in the question."""
        self.browser.click("#existing-revert-confirm")
        self.browser.wait(lambda: not self.browser.is_shown("#existing-revert-text"), "the question to close")


@dataclass(frozen=True)
class TableColumn:
    """A column in the report of an uploaded table."""

    is_on: bool
    name: str
    n_labels: int
    n_without: int
    new_name: str
    notes: list[str]


class ImportPanel(Part):
    """Import CSV, a card of New Annotation."""

    def open(self) -> "ImportPanel":
        """Go to it."""
        Shell(self.browser).go_to("New Annotation")
        NewAnnotation(self.browser).kind("Import CSV")
        self.browser.wait(lambda: self.browser.find("#import-file"), "the drop zone")
        return self

    def upload(self, path: Path) -> "ImportPanel":
        """Choose a file, and wait for its report or its refusal."""
        before = self._answers()
        self.browser.find("#import-file").send_keys(str(path))
        self.browser.wait(lambda: self._answers() != before, f"the report of {path.name}")
        return self

    def _answers(self) -> Any:
        # The address of a table, or the moment of a refusal, is another one each time.
        loaded = "return window.dash_component_api.getLayout('import-loaded').props.data ?? null"
        shown = self.browser.js(
            "return [document.getElementById('import-report'), document.getElementById('import-error')].map((e) => e.innerHTML)"
        )
        return (self.browser.js(loaded), shown) if any(shown) else None

    def error(self) -> str:
        """Return why a file or a choice is refused."""
        return self.browser.text("#import-error")

    def facts(self) -> list[str]:
        """Return what became of the rows, a sentence each."""
        return self.browser.texts("#import-report .fact")

    def columns(self) -> list[TableColumn]:
        """Return the columns of the table."""
        rows = self.browser.js(
            """
            return [...document.querySelectorAll('.import-columns tbody tr')].map((row) => [
              row.querySelector('input[type=checkbox]').checked, row.querySelector('bdi').textContent,
              row.cells[2].textContent, row.cells[3].textContent, row.querySelector('input:not([type=checkbox])').value,
              [...row.cells[6].children].map((e) => e.textContent)])"""
        )
        return [
            TableColumn(on, name, int(levels), int(without), new, notes)
            for on, name, levels, without, new, notes in rows
        ]

    def _control(self, control: str, column: str) -> str:
        return f".import-columns [id*='\"import-{control}\"'][id*='\"column\":{json.dumps(column)}']"

    def tick(self, column: str) -> None:
        """Click the box of a column."""
        self.browser.click(self._control("on", column))

    def call(self, column: str, name: str) -> None:
        """Give a column another name."""
        self.browser.type(self._control("name", column), name)
        self.browser.press(Keys.TAB)

    def actions(self, column: str) -> list[str]:
        """Return what can be done with a column, nothing when that is not asked."""
        css = self._control("action", column)
        options = self.browser.texts(f"{css} option") if self.browser.is_shown(css) else []
        # Before them is the one that stands for nothing chosen yet.
        return [text for text in options if text]

    def act(self, column: str, action: str) -> None:
        """Choose what is done with a column."""
        css = self._control("action", column)
        place = self.browser.texts(f"{css} option").index(action)
        self.browser.click(f"{css} option:nth-child({place + 1})")

    def match_by(self, column: str) -> None:
        """Choose the column with the cell ids."""
        self._pick("import-id-column", column)

    def default(self, text: str) -> None:
        """Type the default value."""
        self.browser.type("#import-default", text)

    def run(self) -> None:
        """Click Import."""
        with NamingDialog(self.browser).taken_as_offered():
            self.browser.click("#import-run:not([disabled])")

    def refusal(self) -> str:
        """Return why nothing was imported."""
        return self.browser.text("#import-summary")


class ExportPage(Part):
    """The Export page."""

    def open(self) -> "ExportPage":
        """Go to it."""
        Shell(self.browser).go_to("Export")
        self.browser.wait(self.href, "the page Export")
        return self

    def offered(self) -> list[str]:
        """Return the annotations that can be exported."""
        return [plain(text) for text in self.browser.texts("#export-choice label")]

    def chosen(self) -> list[str]:
        """Return those that are ticked."""
        ticked = self.browser.js(
            """
            return [...document.querySelectorAll('#export-choice input:checked')].map(
              (e) => e.closest('.form-check').querySelector('label').innerText)"""
        )
        return [plain(text) for text in ticked]

    def tick(self, name: str) -> None:
        """Click an annotation."""
        place = next(place for place, text in enumerate(self.offered()) if text.startswith(f"{name} "))
        self.browser.click(f"#export-choice .form-check:nth-child({place + 1}) input")

    def href(self) -> str:
        """Return the address of the table."""
        return self.browser.attribute("#export-csv", "href") or ""

    def file_name(self) -> str:
        """Return the name that the table is saved under."""
        return self.browser.attribute("#export-csv", "download") or ""

    def download(self) -> str:
        """Fetch the table as a click on the link does, and return its text."""
        self.browser.driver.set_script_timeout(20)
        found = self.browser.driver.execute_async_script(
            """
            const [address, done] = arguments;
            fetch(address).then((answer) => answer.text()).then(done, (error) => done(null))""",
            self.href(),
        )
        assert found is not None, "the table cannot be fetched"
        return str(found)

    def for_cellxgene(self) -> None:
        """Click the switch cellxgene-compatible."""
        self.browser.click("#export-for-cellxgene")

    def warnings(self) -> str:
        """Return what is said of the table."""
        return self.browser.text("#export-warnings")

    def name(self, text: str) -> "ExportPage":
        """Type the name of the merged file."""
        self.browser.type("#export-name", text)
        return self

    def targets(self) -> str:
        """Return where the merged files go."""
        return self.browser.text("#export-targets")

    def write(self) -> None:
        """Click Write merged file."""
        self.browser.click("#export-merge:not([disabled])")

    def cancel(self) -> None:
        """Click Cancel as soon as it can be clicked."""
        self.browser.click("#export-cancel:not([disabled])")

    def error(self) -> str:
        """Return why no file is written."""
        return self.browser.text("#export-error")

    def state(self) -> str:
        """Return how the merge stands."""
        return self.browser.text("#export-state")

    def statement(self) -> str:
        """Wait until a file is written, and return what is said of it."""
        self.browser.wait(lambda: self.browser.is_shown(".merge-report a"), "the merged file", 60)
        return self.browser.text(".merge-report p")


class DataPage(Part):
    """The Data page."""

    def __init__(self, browser: Browser) -> None:
        super().__init__(browser)
        self.grid = Grid(browser, "data-columns")

    def wait_until_filled(self) -> None:
        """Wait until the page has its contents."""
        self.browser.wait(lambda: self.grid.rows() and self.browser.text("#data-findings"), "the health check")

    def findings(self) -> dict[str, str]:
        """Return the findings: code, and what was found."""
        rows = self.browser.js(
            """
            return [...document.querySelectorAll('#data-findings .finding')].map(
              (e) => [e.querySelector('code').textContent, e.querySelector(':scope > div > div').textContent])"""
        )
        return dict(rows)

    def columns(self) -> dict[str, dict[str, str]]:
        """Return the metadata columns."""
        keys = ("name", "type", "content", "missing", "treat_as", "role")
        rows = [dict(zip(keys, row, strict=True)) for row in self.grid.rows()]
        return {row["name"]: row for row in rows}

    def set_role(self, column: str, role: str) -> None:
        """Choose the role of a column."""
        self.grid.choose(column, "role", role)

    def treat_as(self, column: str, what: str) -> None:
        """Choose how a column is treated."""
        self.grid.choose(column, "treat_as", what)

    def samples(self) -> str:
        """Return the samples with their cells."""
        return self.browser.text("#data-sample-counts") or self.browser.js(
            "return document.querySelector('.data-page section:nth-of-type(3) p').innerText"
        )

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of the files, those that are known."""
        rows = self.browser.js(
            """
            return [...document.querySelectorAll('#data-files tbody tr')].map(
              (row) => [row.cells[0].textContent, row.querySelector('.sha code')?.title])"""
        )
        return {name: digest for name, digest in rows if digest}
