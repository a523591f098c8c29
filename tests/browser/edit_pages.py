"""Edit Annotation in the words of its users: the grid, the Assign bar and the labels."""

from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import Browser
from tests.browser.pages import Grid, Part


class EditAnnotation(Part):
    """The page Edit Annotation."""

    def __init__(self, browser: Browser) -> None:
        super().__init__(browser)
        self.grid = Grid(browser, "edit-grid")

    def open(self) -> "EditAnnotation":
        """Go to the page by its tab, and wait until it has its rows."""
        browser = self.browser
        if not browser.is_shown("#annotate-tabs"):
            browser.click("#shell-tab-annotate")
        browser.click("#annotate-tab-edit")
        return self.wait()

    def wait(self) -> "EditAnnotation":
        """Wait until rows and labels are there."""
        self.browser.wait(lambda: self.grid.rows() and self.labels() and "..." not in self.count(), "the rows")
        return self

    # -- the grid ------------------------------------------------------------------------------------------------

    def count(self) -> str:
        """Return what is said above the grid, such as ``60 of 60 cells, 3 ticked``."""
        return self.browser.text("#edit-count")

    def wait_for_count(self, text: str) -> None:
        """Wait until the count above the grid says something."""
        self.browser.until(self.count, text)

    def column(self, title: str) -> str:
        """Return the id of a column, by its title."""
        found: str = self.browser.wait(
            lambda: self.browser.js(
                """
                return [...document.querySelectorAll('#edit-grid .ag-header-cell')]
                  .find((e) => e.querySelector('.ag-header-cell-text').textContent === arguments[0])?.getAttribute('col-id')""",
                title,
            ),
            f"the column {title}",
        )
        return found

    def columns(self) -> list[str]:
        """Return the titles of the columns that are in view."""
        return [title for title in self.grid.header() if title]

    def values(self, title: str) -> dict[str, str]:
        """Return a column's texts by cell id, as far as rows are in view."""
        rows: list[list[str]] = self.browser.js(
            """
            const text = (row, column) =>
              document.querySelector(`#edit-grid .ag-row[row-index="${row}"] .ag-cell[col-id="${column}"]`)?.textContent;
            return [...document.querySelectorAll('#edit-grid .ag-center-cols-container .ag-row')]
              .map((row) => row.getAttribute('row-index'))
              .sort((a, b) => a - b)
              .map((row) => [text(row, 'id'), text(row, arguments[0])])""",
            self.column(title),
        )
        return {cell: value for cell, value in rows if cell}

    def ids(self) -> list[str]:
        """Return the cell ids of the rows in view."""
        return list(self.values("Cell ID"))

    def scroll_to(self, row: int) -> None:
        """Scroll until a row of the grid is in view, and filled."""
        browser = self.browser
        browser.js("dash_ag_grid.getApi('edit-grid').ensureIndexVisible(arguments[0], 'top')", row)
        css = f"#edit-grid .ag-row[row-index='{row}'] .ag-cell[col-id='id']"
        browser.wait(lambda: browser.text(css), f"row {row}")

    def tick(self, *cells: int, with_shift: bool = False) -> None:
        """Click the check boxes of cells, by their numbers from 0."""
        for cell in cells:
            css = f"#edit-grid .ag-row[row-id='{cell}'] .ag-cell[col-id='t'] input"
            box = self.browser.wait(
                lambda css=css: self.browser.js("return document.querySelector(arguments[0])?.getBoundingClientRect().toJSON()", css),
                f"the check box of cell {cell}",
            )  # fmt: skip
            place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
            modifiers = 8 if with_shift else 0
            self.browser.mouse("mousePressed", *place, button="left", clickCount=1, modifiers=modifiers)
            self.browser.mouse("mouseReleased", *place, button="left", clickCount=1, modifiers=modifiers)

    def ticked(self) -> list[str]:
        """Return the cell ids of ticked rows that are in view."""
        found: list[str] = self.browser.js(
            """
            return [...document.querySelectorAll('#edit-grid .ag-row')]
              .filter((row) => row.querySelector('.ag-cell[col-id="t"] input')?.checked)
              .map((row) => row.getAttribute('row-index'))
              .map((row) => document.querySelector(`#edit-grid .ag-row[row-index="${row}"] .ag-cell[col-id="id"]`).textContent)"""
        )
        return sorted(found)

    def select_all(self) -> None:
        """Click ``Select all {k} filtered``."""
        self.browser.click("#edit-tick-all:not([disabled])")

    def clear_ticks(self) -> None:
        """Click Clear ticks."""
        self.browser.click("#edit-tick-none:not([disabled])")

    def only_ticked(self) -> None:
        """Click Only ticked."""
        self.browser.click("#edit-only-ticked")

    def only_selected(self) -> None:
        """Click Only selected."""
        self.browser.click("#edit-only-selected")

    def said_instead_of_rows(self) -> str:
        """Return what the grid says where it has no rows."""
        return self.browser.text("#edit-grid .ag-overlay-no-rows-center")

    def sort(self, title: str) -> None:
        """Click the title of a column."""
        self.grid.sort(self.column(title))

    def show(self, group: str, *titles: str) -> None:
        """Choose the columns of ``annotation``, ``metadata`` or ``cluster`` that are shown."""
        browser = self.browser
        browser.click(f"#edit-columns-{group}")
        browser.wait(lambda: browser.is_shown(".edit-picks"), "the columns to choose from")
        browser.js(
            """
            for (const row of document.querySelectorAll('.edit-picks .edit-pick')) {
              const box = row.querySelector('input');
              if (box.checked !== arguments[0].includes(row.textContent)) box.click();
            }""",
            list(titles),
        )
        self.close_popup()

    def open_filter(self, title: str) -> None:
        """Open the filter of a column by the button in its head."""
        column = self.column(title)
        self.browser.js(
            "document.querySelector(`#edit-grid .ag-header-cell[col-id='${arguments[0]}'] .edit-filter-button`).click()",
            column,
        )
        self.browser.wait(lambda: self.browser.is_shown(".edit-popup"), "the filter")

    def filter_labels(self, title: str, *labels: str) -> None:
        """Ask for the rows with some labels of a column; ``missing`` is one of them."""
        browser = self.browser
        self.open_filter(title)
        for label in labels:
            css = "[data-missing]" if label == "missing" else f"[data-value='{label}']"
            browser.click(f".edit-popup .filter-value{css} input")
        self.close_popup()

    def filter_range(self, title: str, low: str, high: str) -> None:
        """Ask for the rows whose number lies between two others."""
        self.open_filter(title)
        for css, value in (("Lowest", low), ("Highest", high)):
            self.browser.type(f".edit-popup .filter-range input[aria-label^='{css}']", value)
            self.browser.press(Keys.ENTER)
        self.close_popup()

    def filter_text(self, title: str, text: str) -> None:
        """Ask for the rows whose id contains a text."""
        self.open_filter(title)
        self.browser.type(".edit-popup input[type=search]", text)
        self.browser.wait(lambda: bool(self.chips()) == bool(text), "the filter to be taken over")
        self.close_popup()

    def chips(self) -> list[str]:
        """Return what the filters say."""
        return self.browser.texts("#edit-chips .edit-chip-text")

    def clear_filters(self) -> None:
        """Take all filters away."""
        browser = self.browser
        while self.chips():
            n_chips = len(self.chips())
            browser.click("#edit-chips .chip .icon-button")
            browser.wait(lambda n_chips=n_chips: len(self.chips()) < n_chips, "the filter to go")

    def close_popup(self) -> None:
        """Close the panel that is open."""
        self.browser.press(Keys.ESCAPE)
        self.browser.wait(lambda: not self.browser.is_shown(".edit-popup"), "the panel to close")

    def edit_cell(self, cell: int, title: str, text: str) -> None:
        """Double click a cell of an annotation, by the number of its row's cell from 0, and type a label."""
        browser = self.browser
        css = self.grid.cell(str(cell), self.column(title))
        box = browser.wait(
            lambda: browser.js("return document.querySelector(arguments[0])?.getBoundingClientRect().toJSON()", css),
            f"cell {cell}",
        )
        place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for count in (1, 2):
            browser.mouse("mousePressed", *place, button="left", clickCount=count)
            browser.mouse("mouseReleased", *place, button="left", clickCount=count)
        browser.wait(lambda: browser.is_shown("#edit-cell"), "the editor")
        browser.type("#edit-cell", text)
        browser.press(Keys.ENTER)

    # -- the Assign bar ------------------------------------------------------------------------------------------

    def choose(self, name: str) -> None:
        """Choose the annotation that is edited."""
        self.begin_to_choose(name)
        self.browser.until(lambda: self.browser.text("#edit-labels-title"), f"Labels of {name}")

    def begin_to_choose(self, name: str) -> None:
        """Choose the annotation that is edited, and do not wait for its labels."""
        self._choose("#edit-annotation", name)

    def annotations(self) -> list[str]:
        """Return the annotations that can be edited."""
        return self.browser.texts("#edit-annotation option")

    def value(self, text: str) -> "EditAnnotation":
        """Type the new value."""
        self.browser.type("#edit-value", text)
        return self

    def offered(self) -> list[str]:
        """Return the labels that are offered for what is typed."""
        return self.browser.texts(".edit-option .edit-option-text")

    def apply_to(self, target: str) -> "EditAnnotation":
        """Choose ``ticked``, ``filtered`` or ``selection``."""
        self.browser.js(
            """
            const field = document.querySelector('#edit-target');
            field.value = arguments[0];
            field.dispatchEvent(new Event('change', {bubbles: true}))""",
            target,
        )
        return self

    def target(self) -> str:
        """Return which cells the label is for."""
        return str(self.browser.js("return document.querySelector('#edit-target').value"))

    def button(self) -> str:
        """Return what the button says."""
        return self.browser.text("#edit-apply")

    def is_off(self) -> bool:
        """Tell whether the button can not be used."""
        return not self.browser.find("#edit-apply").is_enabled()

    def note(self) -> str:
        """Return why the button can not be used."""
        return self.browser.text("#edit-note")

    def assign(self, text: str, button: str) -> None:
        """Type a label and click the button, once it says what it should."""
        self.value(text)
        self.browser.until(self.button, button)
        self.press_button()

    def press_button(self) -> None:
        """Click the button."""
        self.browser.click("#edit-apply:not([disabled])")

    def _choose(self, css: str, text: str) -> None:
        def pick() -> bool:
            options = self.browser.driver.find_elements("css selector", f"{css} option")
            next(option for option in options if option.text == text).click()
            return True

        self.browser.wait(lambda: text in self.browser.texts(f"{css} option") and pick(), f"{text} in {css}")

    # -- labels --------------------------------------------------------------------------------------------------

    def labels(self) -> dict[str, int]:
        """Return the labels in their order with their cells."""
        rows = self.browser.js(
            """
            return [...document.querySelectorAll('.edit-label')].map((e) =>
              [e.querySelector('.edit-label-text bdi')?.textContent, e.querySelector('.edit-label-count').textContent])"""
        )
        return {label: int(count.replace(",", "")) for label, count in rows if label}

    def wait_for_labels(self, labels: dict[str, int]) -> None:
        """Wait until the labels with their cells are some, in any order."""
        self.browser.until(self.labels, labels)

    def twins(self) -> list[str]:
        """Return what is said of labels that differ only in case."""
        return self.browser.texts(".edit-twin bdi")

    def label(self, text: str) -> str:
        """Return the selector of a label's row."""
        place = self.browser.wait(
            lambda: [*self.labels()].index(text) + 1 if text in self.labels() else 0, f"the label {text}"
        )
        return f".edit-label:nth-child({place})"

    def menu(self, label: str, item: str) -> None:
        """Open the menu of a label and choose, such as ``Rename``."""
        browser = self.browser
        browser.click(f"{self.label(label)} .edit-label-menu")
        browser.wait(lambda: browser.is_shown(".edit-menu-item"), "the menu")
        items = browser.driver.find_elements("css selector", ".edit-menu-item")
        next(element for element in items if element.text.strip() == item).click()

    def menu_items(self, label: str) -> dict[str, bool]:
        """Return what can be done with a label, and whether it can be chosen now."""
        browser = self.browser
        browser.click(f"{self.label(label)} .edit-label-menu")
        browser.wait(lambda: browser.is_shown(".edit-menu-item"), "the menu")
        found = {
            element.text.strip(): element.is_enabled()
            for element in browser.driver.find_elements("css selector", ".edit-menu-item")
        }
        self.close_popup()
        return found

    def columns_to_split_by(self) -> list[str]:
        """Return the columns that the open panel offers to split a label by."""
        return self.browser.texts("#edit-split-column option")

    def rename(self, label: str, text: str) -> None:
        """Rename a label in its row."""
        self.menu(label, "Rename")
        self.browser.wait(lambda: self.browser.is_shown(".edit-rename"), "the field")
        self.browser.type(".edit-rename", text)
        self.browser.press(Keys.ENTER)

    def add(self, text: str) -> None:
        """Add a label."""
        self.browser.click("#edit-add")
        self.browser.type("#edit-new-label", text)
        self.confirm()

    def merge(self, label: str, into: str) -> None:
        """Merge a label into another one."""
        self.menu(label, "Merge into...")
        self.browser.type("#edit-merge", into)
        self.browser.wait(lambda: "Merge" in self.said(), "the question")
        self.confirm()

    def said(self) -> str:
        """Return what the open panel says."""
        return self.browser.text(".edit-popup .edit-said") or self.browser.text(".edit-popup p")

    def confirm(self) -> None:
        """Click the button of the open panel that makes the edit, and wait until it closes."""
        self.browser.click(".edit-popup .edit-yes:not([disabled])")
        self.browser.wait(lambda: not self.browser.is_shown(".edit-popup"), "the panel to close")

    def preview(self) -> list[list[str]]:
        """Return the rows of the preview in the open panel."""
        rows: list[list[str]] = self.browser.js(
            """
            return [...document.querySelectorAll('.edit-preview tbody tr')].map((row) =>
              [...row.cells].map((cell) => cell.textContent))"""
        )
        return rows
