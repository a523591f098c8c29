"""The selection in the words of its users: the strip under the plots and the Cell Filter."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from selenium.webdriver.common.keys import Keys

from tests.browser.annotation_pages import NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.pages import Part

Box = tuple[float, float, float, float]
"""Left, right, bottom and top of a rectangle, in the coordinates of a plot's axes."""


class Selection(Part):
    """What is selected, as the page's scripts and the server's address say."""

    def act(self, **action: Any) -> None:
        """Change the selection as a script of the page does, and wait for the answer."""
        browser = self.browser
        browser.driver.set_script_timeout(20)
        done = """
            const [action, done] = arguments;
            window.iscan.selection.act(action).then(() => done(''), (error) => done(error.message))"""
        said = browser.driver.execute_async_script(done, action)
        assert not said, said

    def draw(self, plot: int, box: Box, mode: str = "new", axes: str = "X_umap") -> None:
        """Draw a rectangle on a plot."""
        left, right, bottom, top = box
        points = [[left, bottom], [right, bottom], [right, top], [left, top]]
        self.act(do="draw", plot=plot, axes=axes, points=points, mode=mode)

    def cells(self, n_cells: int) -> np.ndarray | None:
        """Return which cells are selected as the server says; None when nothing is chosen."""
        browser = self.browser
        browser.driver.set_script_timeout(20)
        script = """
            const done = arguments[0];
            fetch('/api/v1/selection', {cache: 'no-store'}).then((answer) => answer.arrayBuffer()).then((buffer) =>
              done(btoa(String.fromCharCode(...new Uint8Array(buffer)))))"""
        packed = base64.b64decode(browser.driver.execute_async_script(script))
        if not packed:
            return None
        return np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")[:n_cells].astype(bool)


class Strip(Part):
    """The strip under the plots."""

    def count(self) -> str:
        """Return how many cells it says are selected."""
        return self.browser.text("#selection-count")

    def wait_for(self, count: str) -> None:
        """Wait until it says a count."""
        self.browser.until(self.count, count)

    def hint(self) -> str:
        """Return the hint beside the count."""
        return self.browser.text("#selection-hint")

    def chips(self) -> dict[str, str]:
        """Return the chips with their counts, in order."""
        found: list[list[str]] = self.browser.js(
            """
            return [...document.querySelectorAll('#selection-chips .chip')].map((e) =>
              [e.querySelector('.chip-name').textContent, e.querySelector('.chip-count')?.textContent ?? ''])"""
        )
        return dict(found)

    def said_of(self, chip: str) -> str:
        """Return what a chip says to those who rest on it."""
        return self.browser.attribute(self._chip(chip), "title") or ""

    def _chip(self, name: str) -> str:
        find = """
            return [...document.querySelectorAll('#selection-chips .chip')].find(
              (e) => e.querySelector('.chip-name').textContent === arguments[0])?.dataset.chip"""
        key = self.browser.wait(lambda: self.browser.js(find, name), f"the chip {name}, not {self.chips()}")
        return f'#selection-chips [data-chip="{key}"] .chip-body'

    def click_chip(self, name: str) -> None:
        """Click a chip: an area opens its menu, a filter the panel."""
        self.browser.click(self._chip(name))

    def remove(self, name: str) -> None:
        """Click the cross of a chip."""
        self.browser.click(self._chip(name).replace(".chip-body", ".chip-remove"))

    def menu(self, chip: str, item: str) -> None:
        """Choose from the menu of an area: ``Invert``, ``Redraw`` or ``Delete``."""
        self.click_chip(chip)
        place = self.browser.wait(
            lambda: (
                self.browser.texts(".strip-menu button").index(item) + 1
                if item in self.browser.texts(".strip-menu button")
                else 0
            ),
            f"{item} in the menu of {chip}",
        )
        self.browser.click(f".strip-menu button:nth-child({place})")

    def rename(self, chip: str, name: str) -> None:
        """Rename an area."""
        self.click_chip(chip)
        self.browser.type(".strip-popover input", name)
        self.browser.press(Keys.ENTER)

    def clear(self) -> None:
        """Click Clear."""
        self.browser.click("#selection-clear")

    def back(self) -> None:
        """Click what brings the selection before this one back."""
        self.browser.click("#selection-back")

    def save_as(self, name: str) -> None:
        """Save the selection under a name."""
        self.browser.click("#selection-save")
        self.browser.type(".strip-popover input", name)
        self.browser.press(Keys.ENTER)

    def copied(self) -> str:
        """Open what shares selections, and copy this one where no script may write to the clipboard."""
        browser = self.browser
        browser.js(
            "navigator.clipboard && (navigator.clipboard.writeText = () => Promise.reject(new Error('not here')))"
        )
        browser.click("#selection-share")
        browser.click(".strip-popover .strip-menu button")
        value = "return document.querySelector('.strip-recipe').value"
        text: str = browser.wait(lambda: browser.js(value), "the copied text")
        browser.press(Keys.ESCAPE)
        return text

    def load(self, text: str) -> None:
        """Load a selection that was copied."""
        browser = self.browser
        if not browser.is_shown(".strip-recipe"):
            browser.click("#selection-share")
            browser.wait(lambda: browser.is_shown(".strip-recipe"), "the field of a copied selection")
        browser.js("document.querySelector('.strip-recipe').value = arguments[0]", text)
        browser.click(".strip-recipe + .strip-menu button")

    def popover_error(self) -> str:
        """Return what is wrong with the name that was typed."""
        return self.browser.text(".strip-popover .field-error")

    def is_off(self, button: str) -> str:
        """Return why ``clear``, ``back``, ``save`` or ``label`` cannot be used, ``""`` when it can."""
        css = f"#selection-{button}"
        if self.browser.attribute(css, "aria-disabled") != "true":
            return ""
        return (self.browser.attribute(css, "title") or "").partition(": ")[2]


class CellFilter(Part):
    """The panel above the strip."""

    def __init__(self, browser: Browser) -> None:
        super().__init__(browser)
        self.query = QueryBuilder(browser)

    def is_open(self) -> bool:
        """Tell whether it is shown."""
        return self.browser.is_shown("#cell-filter-body")

    def open(self, source: str = "", column: str = "") -> "CellFilter":
        """Open it, at a source and a column when they are given."""
        browser = self.browser
        browser.wait(lambda: browser.is_shown("#selection-filter"), "the strip")
        if not self.is_open():
            browser.click("#selection-filter")
        if source:
            place = browser.texts("#cell-filter .filter-source > span:first-child").index(source) + 1
            browser.click(f"#cell-filter .filter-source:nth-child({place})")
        if column:
            self.column(column)
        return self

    def close(self) -> None:
        """Close it."""
        if self.is_open():
            self.browser.click("#selection-filter")

    def tallies(self) -> dict[str, str]:
        """Return what the sources in use say beside their names."""
        rows: list[list[str]] = self.browser.js(
            """
            return [...document.querySelectorAll('#cell-filter .filter-source')].map(
              (e) => [e.firstChild.textContent, e.lastChild.textContent])"""
        )
        return {name: text for name, text in rows if text}

    def columns(self) -> list[str]:
        """Return the columns of the source."""
        return self.browser.texts("#cell-filter .filter-column:not([hidden]) .filter-label")

    def column(self, name: str) -> "CellFilter":
        """Choose a column of the source."""
        self.browser.wait(lambda: name in self.columns() or self.title() == name, f"{name} in {self.columns()}")
        if self.title() != name:
            place = self.browser.texts("#cell-filter .filter-column .filter-label").index(name)
            self.browser.driver.find_elements("css selector", "#cell-filter .filter-column")[place].click()
        self.browser.until(self.title, name)
        return self

    def title(self) -> str:
        """Return the column whose condition is shown."""
        return self.browser.text("#cell-filter .filter-title")

    def count(self) -> str:
        """Return what is said of the condition that is shown."""
        return self.browser.text("#cell-filter .filter-count")

    # -- values --------------------------------------------------------------------------------------------------

    def values(self) -> dict[str, int]:
        """Return the listed values with their cells; ``missing`` among them."""
        rows: list[list[str]] = self.browser.js(
            """
            return [...document.querySelectorAll('#cell-filter .filter-value')].map(
              (e) => [e.dataset.value ?? 'missing', e.lastChild.textContent])"""
        )
        return {label: int(count.replace(",", "")) for label, count in rows}

    def ticked(self) -> list[str]:
        """Return the ticked values."""
        found: list[str] = self.browser.js(
            """
            return [...document.querySelectorAll('#cell-filter .filter-value')].filter(
              (e) => e.firstChild.checked).map((e) => e.dataset.value ?? 'missing')"""
        )
        return found

    def tick(self, *values: str) -> "CellFilter":
        """Click the check boxes of values, one after the other without waiting."""
        for value in values:
            self.browser.wait(lambda value=value: value in self.values(), f"{value}, not {self.values()}")  # type: ignore[misc]
            place = list(self.values()).index(value)
            self.browser.driver.find_elements("css selector", "#cell-filter .filter-value input")[place].click()
        return self

    def tick_all(self) -> None:
        """Click All."""
        self.browser.click("#cell-filter .filter-values-head button:nth-of-type(1)")

    def tick_none(self) -> None:
        """Click None."""
        self.browser.click("#cell-filter .filter-values-head button:nth-of-type(2)")

    def turn(self) -> None:
        """Click ``All but these``."""
        self.browser.click("#cell-filter .filter-not input")

    def search(self, text: str) -> None:
        """Type into the search of the values."""
        self.browser.type("#cell-filter .filter-values-head input[type=search]", text)

    def status(self) -> str:
        """Return how many values are listed and ticked."""
        return self.browser.text("#cell-filter .filter-values-box > [role=status]")

    def remove_condition(self) -> None:
        """Click what removes the condition that is shown."""
        self.browser.click("#cell-filter .filter-detail-head .icon-button")

    # -- numbers and genes -------------------------------------------------------------------------------------------

    def brush(self, start: float, end: float) -> None:
        """Drag over the histogram, from one part of its width to another."""
        browser = self.browser
        browser.wait(lambda: browser.is_shown("#cell-filter .filter-histogram g rect"), "the histogram")
        box = browser.js(
            "return document.querySelector('#cell-filter .filter-canvas').getBoundingClientRect().toJSON()"
        )
        y = box["y"] + box["height"] / 2
        browser.drag((box["x"] + start * box["width"], y), (box["x"] + end * box["width"], y))

    def range(self) -> tuple[str, str]:
        """Return what the two fields say."""
        fields: list[str] = self.browser.js(
            "return [...document.querySelectorAll('#cell-filter .filter-range input[type=text]')].map((e) => e.value)"
        )
        return fields[0], fields[1]

    def type_range(self, low: str, high: str) -> None:
        """Type into the two fields, each left with the Tab key."""
        self.browser.wait(lambda: self.browser.is_shown("#cell-filter .filter-range"), "the fields of a range")
        for place, text in ((1, low), (2, high)):
            self.browser.type(f"#cell-filter .filter-range input[type=text]:nth-of-type({place})", text)
            self.browser.press(Keys.TAB)

    def range_error(self) -> str:
        """Return what is wrong with the range."""
        return self.browser.text("#cell-filter .filter-numbers > .field-error")

    def tick_missing(self) -> None:
        """Click the check box that adds the cells without a number."""
        self.browser.click("#cell-filter .filter-missing input")

    def gene(self, typed: str, name: str) -> "CellFilter":
        """Search a gene and choose it."""
        self.browser.type("#cell-filter .filter-gene input", typed)
        found = "#cell-filter .filter-gene .filter-column"
        self.browser.wait(lambda: name in self.browser.texts(found), f"{name} among the genes")
        self.browser.driver.find_elements("css selector", found)[self.browser.texts(found).index(name)].click()
        self.browser.until(self.title, name)
        return self

    # -- cell ids ----------------------------------------------------------------------------------------------------

    def paste(self, ids: Sequence[str]) -> None:
        """Fill the field of cell ids and use them."""
        self.browser.wait(lambda: self.browser.is_shown("#cell-filter .filter-paste"), "the field of cell ids")
        self.browser.js("document.querySelector('#cell-filter .filter-paste').value = arguments[0]", "\n".join(ids))
        self.browser.click("#cell-filter .filter-cells .btn")

    def report(self) -> str:
        """Return what became of the pasted ids."""
        return self.browser.text("#cell-filter .filter-report")

    # -- saved selections --------------------------------------------------------------------------------------------

    def saved(self) -> dict[str, str]:
        """Return the saved selections with what is said of their cells."""
        rows: list[list[str]] = self.browser.js(
            """
            return [...document.querySelectorAll('#cell-filter [data-saved]')].map(
              (e) => [e.querySelector('input').value, e.cells[1].textContent])"""
        )
        return dict(rows)

    def _saved(self, name: str) -> str:
        find = """
            return [...document.querySelectorAll('#cell-filter [data-saved]')].find(
              (e) => e.querySelector('input').value === arguments[0])?.dataset.saved"""
        key = self.browser.wait(lambda: self.browser.js(find, name), f"{name} among {self.saved()}")
        return f'#cell-filter [data-saved="{key}"]'

    def use(self, name: str, how: str = "Use") -> None:
        """Click ``Use``, ``Only in``, ``Not in`` or ``Colour`` of a saved selection."""
        place = ["Use", "Only in", "Not in", "Colour"].index(how) + 1
        self.browser.click(f"{self._saved(name)} .btn:nth-of-type({place})")

    def rename_saved(self, name: str, new: str) -> None:
        """Type another name for a saved selection."""
        self.browser.type(f"{self._saved(name)} input", new)
        self.browser.press(Keys.TAB)

    def delete_saved(self, name: str) -> None:
        """Delete a saved selection."""
        self.browser.click(f"{self._saved(name)} .icon-button")

    # -- plots and query ---------------------------------------------------------------------------------------------

    def mode(self, name: str) -> None:
        """Choose ``Union``, ``Intersection`` or ``Custom``."""
        self.browser.click(f"#cell-filter label[for='cell-filter-mode-{name.lower()}']")

    def shown_mode(self) -> str:
        """Return which of the three is chosen."""
        chosen = self.browser.js("return document.querySelector('#cell-filter .btn-check:checked')?.value ?? ''")
        return str(chosen).capitalize()

    def plots(self) -> dict[str, str]:
        """Return what is said of each plot that has areas."""
        rows: list[list[str]] = self.browser.js(
            "return [...document.querySelectorAll('#cell-filter .filter-area')].map((e) => [e.children[0].textContent, e.children[1].textContent])"
        )
        return dict(rows)

    def text(self) -> str:
        """Return the query as text."""
        return str(self.browser.js("return document.querySelector('#cell-filter-text')?.value ?? ''"))

    def write(self, text: str) -> None:
        """Replace the query's text and apply it."""
        self.browser.wait(lambda: self.browser.is_shown("#cell-filter-text"), "the text of the query")
        self.browser.type("#cell-filter-text", text)
        self.browser.click("#cell-filter-apply")

    def text_error(self) -> str:
        """Return what is wrong with the text."""
        return self.browser.text("#cell-filter-text-problem")


class FilteredAnnotation(NewAnnotation):
    """The form New Annotation with its switch for the selected cells."""

    def only_filtered(self) -> None:
        """Click ``Only for filtered cells``."""
        self.browser.click("#new-filtered")

    def filtered_note(self) -> str:
        """Return how many cells the switch says it means."""
        return self.browser.text("#new-filtered-note")


class QueryBuilder(Part):
    """The tree of a custom query; places are paths such as ``""`` (the outermost group) or ``"1.0"``."""

    def _at(self, path: str, what: str) -> str:
        return f'#cell-filter .query-tree [data-focus="{path} {what}"]'

    def choose(self, path: str, what: str, option: str) -> None:
        """Choose in a list of a place: ``what`` (the condition), ``not`` (in, not in) or ``kind`` (of a group)."""

        def attempt() -> bool:
            return bool(
                self.browser.js(
                    """
                    const list = document.querySelector(arguments[0]);
                    const option = [...(list?.options ?? [])].find((e) => e.textContent === arguments[1]);
                    if (!option) return false;
                    list.value = option.value;
                    list.dispatchEvent(new Event('change', {bubbles: true}));
                    return true""",
                    self._at(path, what),
                    option,
                )
            )

        self.browser.wait(attempt, f"{option} in the list {path} {what}")

    def chosen(self, path: str, what: str = "what") -> str:
        """Return what a list of a place says."""
        found = self.browser.js(
            "return document.querySelector(arguments[0])?.selectedOptions[0].textContent ?? ''", self._at(path, what)
        )
        return str(found)

    def negate(self, path: str = "") -> None:
        """Click Not of a group."""
        self.browser.click(self._at(path, "not"))

    def add_condition(self, path: str = "") -> None:
        """Click Add condition of a group."""
        self.browser.click(self._at(path, "add"))

    def add_group(self, path: str = "") -> None:
        """Click Add group of a group."""
        self.browser.click(self._at(path, "group"))

    def why_no_group(self, path: str) -> str:
        """Return why no group can be added to a group."""
        return self.browser.attribute(f"{self._at(path, 'group')}:disabled", "title") or ""

    def remove(self, path: str) -> None:
        """Click the cross of a place."""
        self.browser.click(f'#cell-filter .query-tree [data-path="{path}"] > .query-line > .icon-button')

    def error(self, path: str) -> str:
        """Return what is said to be wrong at a place."""
        return self.browser.text(f'#cell-filter .query-tree [data-path="{path}"] > .field-error')

    def errors(self) -> list[str]:
        """Return everything that is said to be wrong."""
        return self.browser.texts("#cell-filter .query-tree .field-error")
