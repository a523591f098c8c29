"""The pages of iscan-dash in the words of their users: what they do, and what they read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

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
