"""The review queue, and "What is this?", in the words of their users."""

from dataclasses import dataclass

from selenium.webdriver.common.keys import Keys

from tests.browser.pages import Part


@dataclass(frozen=True)
class Group:
    """A row of the queue."""

    title: str
    state: str
    predicted: str
    cells: int


class ReviewPage(Part):
    """The tab Review."""

    def open(self) -> "ReviewPage":
        """Go to the page by its tab, and wait until a group is looked at."""
        browser = self.browser
        if not browser.is_shown("#annotate-tabs"):
            browser.click("#shell-tab-annotate")
        browser.click("#annotate-tab-review")
        return self.wait()

    def wait(self) -> "ReviewPage":
        """Wait until a group is looked at, and brought out in the plots."""
        browser = self.browser
        browser.wait(lambda: self.groups() and self.is_settled(), "the queue")
        return self

    def is_settled(self) -> bool:
        """Tell whether all is shown of the group that is looked at."""
        return bool(
            self.browser.js(
                """
                const row = document.querySelector('.review-list tr.is-current');
                return row && !document.querySelector('.review-item.is-busy') && !iscan.review.page.isBusy
                  && document.querySelector('#plots-grid').dataset.broughtOut === row.dataset.item;"""
            )
        )

    def groups(self) -> list[Group]:
        """Return the groups of the list in order."""
        rows: list[list[str]] = self.browser.js(
            """
            return [...document.querySelectorAll('.review-list tbody tr')].map((row) => [
              row.querySelector('.review-group').textContent,
              row.querySelector('.review-mark').textContent,
              row.querySelector('.review-predicted').textContent,
              row.cells[3].textContent,
            ])"""
        )
        return [Group(title, state, predicted, int(cells.replace(",", ""))) for title, state, predicted, cells in rows]

    def states(self) -> dict[str, str]:
        """Return the state of each group by its title."""
        return {group.title: group.state for group in self.groups()}

    def titles(self) -> list[str]:
        """Return the groups' titles in order."""
        return [group.title for group in self.groups()]

    def current(self) -> str:
        """Return the group that is looked at."""
        return self.browser.text("#review-title")

    def wait_for(self, title: str) -> None:
        """Wait until a group is looked at."""
        self.browser.until(lambda: self.current() if self.is_settled() else "", title)

    def progress(self) -> str:
        """Return how far the review is."""
        return self.browser.text("#review-text")

    def parts(self) -> dict[str, tuple[str, str]]:
        """Return count and percentage of the labels that the group has now."""
        rows: list[list[str]] = self.browser.js(
            """
            return [...document.querySelectorAll('.review-item .check-part')].map(
              (row) => [...row.children].slice(1).map((e) => e.textContent))"""
        )
        return {label: (count, percent) for label, count, percent in rows}

    def why(self) -> str:
        """Return why it has its labels, in short."""
        return self.browser.text("#review-why")

    def scores(self) -> dict[str, str]:
        """Return the scores of the best labels."""
        rows: list[list[str]] = self.browser.js(
            """
            return [...document.querySelectorAll('.review-score')].map(
              (row) => [row.querySelector('.check-name').textContent, row.querySelector('.number').textContent])"""
        )
        return dict(rows)

    def press(self, key: str) -> None:
        """Press a key of the page."""
        self.browser.press(key)

    def relabel(self, text: str) -> None:
        """Give the group a label, by the keyboard alone."""
        self.press("r")
        self.browser.wait(lambda: self.browser.js("return document.activeElement.id") == "review-label", "the field")
        self.browser.type("#review-label", text)
        self.browser.press(Keys.ENTER)

    def split(self, column: str = "Predicted label") -> None:
        """Split the group, by the keyboard alone."""
        browser = self.browser
        self.press("s")
        browser.wait(lambda: browser.js("return document.activeElement.id") == "review-split-by", "the columns")
        browser.press(column)
        browser.until(lambda: browser.js("return document.activeElement.selectedOptions[0].textContent"), column)
        browser.press(Keys.ENTER)

    def click(self, title: str) -> None:
        """Click a group of the list."""
        self.browser.js(
            """
            [...document.querySelectorAll('.review-list tbody tr')].find(
              (row) => row.querySelector('.review-group').textContent === arguments[0]).click()""",
            title,
        )

    def by(self, column: str) -> None:
        """Choose the column whose groups are reviewed."""
        self.browser.js(
            """
            const field = document.getElementById('review-by');
            field.value = [...field.options].find((option) => option.textContent === arguments[0]).value;
            field.dispatchEvent(new Event('change'));""",
            column,
        )


class WhatIsThis(Part):
    """The labels that the chosen cells are most like, under the Assign bar."""

    def references(self) -> list[str]:
        """Return what can be asked about."""
        return self.browser.texts("#what-reference option")

    def reference(self) -> str:
        """Return the one that is chosen."""
        return str(self.browser.js("return document.querySelector('#what-reference').selectedOptions[0].textContent"))

    def choose(self, name: str) -> None:
        """Choose a reference with its labels, such as ``Main: Our gut``."""
        browser = self.browser
        browser.wait(lambda: name in self.references(), f"{name} among {self.references()}")
        browser.js(
            """
            const field = document.getElementById('what-reference');
            field.value = [...field.options].find((option) => option.textContent === arguments[0]).value;
            field.dispatchEvent(new Event('change'));""",
            name,
        )

    def said(self) -> str:
        """Return what is said beside the reference."""
        return self.browser.text("#what-said")

    def labels(self) -> dict[str, str]:
        """Return the labels with their scores, the best first; none while they are of other cells."""
        rows: list[list[str]] = self.browser.js(
            """
            if (document.querySelector('#what-labels.is-busy')) return [];
            return [...document.querySelectorAll('.what-label')].map(
              (e) => [e.dataset.label, e.querySelector('.number').textContent])"""
        )
        return dict(rows)

    def wait(self) -> dict[str, str]:
        """Return the labels as soon as they are there."""
        return self.browser.wait(self.labels, "the labels", 120)

    def apply(self, label: str) -> None:
        """Click a label."""
        self.browser.click(f".what-label[data-label='{label}']")
