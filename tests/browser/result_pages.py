"""The tab Result in the words of its users."""

import json
from typing import Any
from urllib.request import Request, urlopen

from tests.browser.pages import Part
from tests.browser.server import Server

SECONDS = 60.0
"""Until the expression is read and a reference is ready, on a busy machine."""


class ResultPage(Part):
    """What a prediction found, why cells have their label, and other cutoffs."""

    def open(self) -> "ResultPage":
        """Go to the page by its tab."""
        if not self.browser.is_shown("#annotate-tabs"):
            self.browser.click("#shell-tab-annotate")
        self.browser.click("#annotate-tab-result")
        return self.wait()

    def wait(self) -> "ResultPage":
        """Wait until the page says what the prediction found."""
        self.browser.wait(self.said, "the numbers of the result")
        return self

    def id(self) -> str:
        """Return the id of the annotation."""
        return str(self.browser.attribute(".result-body", "data-result"))

    def name(self) -> str:
        """Return the name of the prediction."""
        return self.browser.text(".result-name")

    def facts(self) -> dict[str, str]:
        """Open how the prediction was made, and return it."""
        if self.browser.attribute(".result-facts", "open") is None:
            self.browser.click(".result-facts summary")
        found: dict[str, str] = self.browser.js(
            """
            const texts = (tag) => [...document.querySelectorAll(`.result-facts ${tag}`)].map((own) => own.textContent);
            const values = texts('dd');
            return Object.fromEntries(texts('dt').map((name, k) => [name, values[k]]))"""
        )
        return found

    # -- cutoffs -------------------------------------------------------------------------------------------------

    def said(self) -> str:
        """Return how many cells are labelled, ``""`` while it is found out."""
        if self.browser.is_shown("#result-prune-title") and self.browser.attribute("#result-said", "id"):
            return "" if self._is_busy() else self.browser.text("#result-said")
        return ""

    def _is_busy(self) -> bool:
        return bool(self.browser.js("return Boolean(document.querySelector('.result-section.is-busy'))"))

    def changes(self) -> str:
        """Return what would change."""
        return "" if self._is_busy() else self.browser.text("#result-changes")

    def number(self, text: str) -> "ResultPage":
        """Type the cutoff of all labels."""
        self.browser.type("#result-nmads", text)
        return self

    def own_number(self, label: str, text: str) -> "ResultPage":
        """Type the cutoff of one label, ``""`` for that of all."""
        self.browser.type(f".result-labels tr[data-label='{label}'] input", text)
        return self

    def no_pruning(self) -> "ResultPage":
        """Click the switch."""
        self.browser.click("#result-off")
        return self

    def values(self) -> tuple[str, bool, dict[str, str]]:
        """Return the cutoff, whether pruning is off, and the cutoffs of labels of their own."""
        found: list[Any] = self.browser.js(
            """
            const own = [...document.querySelectorAll('.result-labels tr[data-label]')].map(
              (row) => [row.dataset.label, row.querySelector('input').value]);
            const by = (id) => document.getElementById(id);
            return [by('result-nmads').value, by('result-off').checked, Object.fromEntries(own.filter(([, value]) => value))]"""
        )
        return found[0], found[1], found[2]

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the cells that each label keeps, and those it loses."""
        found: dict[str, list[str]] = self.browser.js(
            """
            return Object.fromEntries([...document.querySelectorAll('.result-labels tr[data-label]')].map(
              (row) => [row.dataset.label, [...row.cells].slice(2, 4).map((cell) => cell.textContent.replaceAll(',', ''))]))"""
        )
        return {label: (int(kept), int(pruned)) for label, (kept, pruned) in found.items()}

    def thresholds(self) -> dict[str, str]:
        """Return the least delta of each label."""
        found: dict[str, str] = self.browser.js(
            """
            return Object.fromEntries([...document.querySelectorAll('.result-labels tr[data-label]')].map(
              (row) => [row.dataset.label, row.cells[4].textContent]))"""
        )
        return found

    def problem(self) -> str:
        """Return what is wrong with the cutoffs."""
        return self.browser.text("#result-problem")

    def can(self, what: str) -> bool:
        """Tell whether ``accept`` or ``reset`` can be clicked."""
        return self.browser.attribute(f"#result-{what}", "aria-disabled") == "false"

    def click(self, what: str) -> None:
        """Click ``accept`` or ``reset`` once it can be."""
        self.browser.wait(lambda: self.can(what), f"{what} to be allowed")
        self.browser.click(f"#result-{what}")

    # -- why -----------------------------------------------------------------------------------------------------

    def why_cell(self, text: str) -> "ResultPage":
        """Ask about a cell by its id."""
        self.browser.click("label[for='result-mode-cell']")
        self.browser.type("#result-cell", text)
        self.browser.press("\ue007")
        return self

    def why_selection(self) -> "ResultPage":
        """Ask about the selection."""
        self.browser.click("label[for='result-mode-selection']")
        return self

    def why_group(self, column: str, value: str) -> "ResultPage":
        """Ask about a group of a column, such as ``cluster:leiden``."""
        browser = self.browser
        browser.click("label[for='result-mode-group']")
        if browser.js("return document.getElementById('result-why-by').value") != column:
            self._select("result-why-by", column)
        option = (
            "return [...document.getElementById('result-why-value').options].some((own) => own.value === arguments[0])"
        )
        browser.wait(lambda: browser.js(option, json.dumps(value)), f"{value} among the groups")
        self._select("result-why-value", json.dumps(value))
        return self

    def against(self, label: str) -> "ResultPage":
        """Compare with another label than the runner-up."""
        self._select("result-why-other", label)
        return self

    def _select(self, field: str, value: str) -> None:
        self.browser.js(
            """
            const field = document.getElementById(arguments[0]);
            field.value = arguments[1];
            field.dispatchEvent(new Event('change', {bubbles: true}));""",
            field,
            value,
        )

    def reasons(self) -> list[str]:
        """Return what is said of the cells, a sentence each; ``[]`` while it is found out."""
        if self.browser.is_shown(".result-answer.is-busy"):
            return []
        return self.browser.texts("#result-why-facts p")

    def wait_for_reasons(self, title: str) -> list[str]:
        """Wait until the reasons of some cells are there, and return them."""
        self.browser.wait(lambda: [line for line in self.reasons()[:1] if title in line], f"the reasons of {title}")
        return self.reasons()

    def nothing(self) -> str:
        """Return what is said instead of reasons."""
        return self.browser.text(".result-answer > p") if self.browser.is_shown(".result-answer > p") else ""

    def scores(self) -> list[tuple[str, float]]:
        """Return the labels and their scores in order."""
        found: list[list[Any]] = self.browser.js(
            """
            return [...document.querySelectorAll('.result-bar')].map((row) => [row.dataset.label, Number(row.dataset.score)])"""
        )
        return [(label, score) for label, score in found]

    def genes(self) -> list[list[str]]:
        """Wait for the genes that decided, and return their rows."""
        look = """
            if (document.querySelector('.result-decided.is-busy') || document.querySelector('.result-answer.is-busy')) return [];
            return [...document.querySelectorAll('.result-genes tbody tr')].map(
              (row) => [...row.cells].map((cell) => cell.textContent.trim()))"""
        found: list[list[str]] = self.browser.wait(lambda: self.browser.js(look), "the genes that decided", SECONDS)
        return found

    def genes_note(self) -> str:
        """Return what is said below the genes."""
        return self.browser.text(".result-decided > p")

    # -- scores of groups ----------------------------------------------------------------------------------------

    def heat(self) -> dict[str, list[float]]:
        """Return the mean scores of the groups, ``{}`` while they are found out."""
        found: dict[str, list[float]] = self.browser.js(
            """
            if (document.querySelector('.result-heat.is-busy')) return {};
            return Object.fromEntries([...document.querySelectorAll('.result-scores tbody tr')].map(
              (row) => [row.dataset.value, [...row.querySelectorAll('.result-score')].map((cell) => Number(cell.textContent))]))"""
        )
        return found

    def ask(self, server: Server, path: str, **body: Any) -> Any:
        """Ask the server what the page asks it."""
        request = Request(
            f"{server.url}/api/v1/results/{self.id()}/{path}",
            json.dumps(body).encode() if body else None,
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)
