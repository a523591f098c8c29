"""Plots of cells, their colours and what is selected on them."""

import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import Browser
from tests.browser.pages import Part, plain


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
