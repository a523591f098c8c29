"""The pages of new, existing and imported annotations."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import Browser
from tests.browser.pages import Grid, NamingDialog, Part, Shell


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
