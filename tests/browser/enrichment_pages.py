"""Enrichment in the words of its users: gene sets, analyses, and labels from what is enriched."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.browser.pages import NamingDialog, Part
from tests.browser.server import Server

LONG = 120.0
"""Seconds that an analysis may take on a busy machine: kernels are compiled once."""


class GeneSetsPage(Part):
    """The tab Gene sets."""

    def open(self) -> "GeneSetsPage":
        """Go there by its tabs."""
        if not self.browser.is_shown("#enrichment-tab-sets"):
            self.browser.click("#shell-tab-enrichment")
        self.browser.click("#enrichment-tab-sets")
        self.browser.wait(lambda: self.browser.is_shown("#gene-sets-new"), "the collections")
        return self

    def collections(self) -> dict[str, str]:
        """Return the collections by name, and where each is from."""
        found: dict[str, str] = self.browser.js(
            """
            return Object.fromEntries([...document.querySelectorAll('.gene-collections tbody tr')].map(
              (row) => [row.querySelector('bdi').textContent, row.cells[1].textContent]))"""
        )
        return found

    def paste(self, text: str, name: str = "") -> "GeneSetsPage":
        """Paste gene sets, into a new collection when a name is given, and wait until they are read."""
        if name:
            self.browser.click("#gene-sets-new")
            self.browser.type("#gene-sets-called", name)
        self.browser.wait(lambda: self.browser.is_shown("#gene-sets-text"), "the field to paste into")
        self.browser.js(
            """
            const field = document.getElementById('gene-sets-text');
            field.value = arguments[0];
            field.dispatchEvent(new Event('input', {bubbles: true}))""",
            text,
        )
        self.browser.wait(lambda: self.browser.is_shown("#gene-sets-read .fact-good"), "the gene sets to be read")
        return self

    def read(self) -> dict[str, str]:
        """Return the sets that were read, and how many genes of each were found."""
        return self._sets("#gene-sets-read")

    def sets(self) -> dict[str, str]:
        """Return the sets of the open collection, and how many genes of each were found."""
        return self._sets("#gene-sets-table")

    def _sets(self, place: str) -> dict[str, str]:
        found: dict[str, str] = self.browser.js(
            """
            return Object.fromEntries([...document.querySelectorAll(`${arguments[0]} tr[data-set]`)].map(
              (row) => [row.dataset.set, row.querySelector('.coverage').textContent]))""",
            place,
        )
        return found

    def facts(self, place: str = "#gene-sets-read") -> list[str]:
        """Return what is said of what was read."""
        return self.browser.texts(f"{place} .fact")

    def keep(self) -> "GeneSetsPage":
        """Create the collection, or add the sets; wait until it is shown."""
        self.browser.click("#gene-sets-keep")
        self.browser.wait(lambda: self.browser.is_shown("#gene-sets-table"), "the collection")
        return self

    def edit_set(self, name: str, genes: str, new_name: str = "") -> None:
        """Change the genes of a set, and its name."""
        self.browser.click(f"[aria-label='Edit {name}']")
        self.browser.type("#gene-set-genes", genes)
        if new_name:
            self.browser.type("#gene-set-name", new_name)
        self.browser.click("#gene-set-save")
        self.browser.wait(
            lambda: (new_name or name) in self.sets() and not self.browser.is_shown("#gene-set-save"), "the set"
        )

    def act(self, label: str) -> None:
        """Click what is named so."""
        self.browser.click(f"#enrichment-page [aria-label='{label}']")


class EnrichmentForm(Part):
    """The tab New analysis."""

    def open(self) -> "EnrichmentForm":
        """Go there by its tabs."""
        if not self.browser.is_shown("#enrichment-tab-new"):
            self.browser.click("#shell-tab-enrichment")
        self.browser.click("#enrichment-tab-new")
        return self.wait()

    def wait(self) -> "EnrichmentForm":
        """Wait until the form is there."""
        self.browser.wait(lambda: self.browser.is_shown("#enrichment-run"), "the form of analyses")
        return self

    def choose(self, collection: str) -> "EnrichmentForm":
        """Choose a collection by its name, and wait for its sets."""
        value = self.browser.wait(
            lambda: self.browser.js(
                """
                return [...document.getElementById('enrichment-collection').options].find(
                  (option) => option.textContent.startsWith(arguments[0]))?.value""",
                collection,
            ),
            f"{collection} among the collections",
        )
        self.select("collection", value)
        self.browser.wait(self.sets, "the sets of the collection")
        return self

    def select(self, field: str, value: str) -> None:
        """Choose an option of ``collection``, ``matrix`` or ``method``."""
        self.browser.js(
            """
            const field = document.getElementById(`enrichment-${arguments[0]}`);
            field.value = arguments[1];
            field.dispatchEvent(new Event('change', {bubbles: true}))""",
            field,
            value,
        )

    def sets(self) -> dict[str, tuple[bool, str]]:
        """Return the sets: whether each is chosen, and how many of its genes were found."""
        found: dict[str, list[Any]] = self.browser.js(
            """
            return Object.fromEntries([...document.querySelectorAll('.enrichment-set')].map((row) => {
              const box = row.querySelector('input');
              return [box.value, [box.checked, row.querySelector('.coverage').textContent]]}))"""
        )
        return {name: (bool(is_in), text) for name, (is_in, text) in found.items()}

    def tick(self, name: str) -> None:
        """Choose a set, or leave it out."""
        self.browser.click(f".enrichment-set input[value='{name}']")

    def name(self, text: str) -> "EnrichmentForm":
        """Type the name."""
        self.browser.type("#enrichment-name", text)
        return self

    def facts(self) -> list[str]:
        """Return what to expect, ``[]`` while it is asked for."""
        if self.browser.is_shown("#enrichment-preflight.is-busy"):
            return []
        return self.browser.texts("#enrichment-preflight .fact")

    def is_allowed(self) -> bool:
        """Tell whether Run can be clicked."""
        return self.browser.attribute("#enrichment-run", "aria-disabled") == "false" and bool(self.facts())

    def run(self) -> str:
        """Click Run once it can be, name the drafts where that is asked for, and return the id of the job."""
        browser = self.browser
        browser.wait(self.is_allowed, "Run to be allowed")
        before = set(self.jobs())
        with NamingDialog(browser).taken_as_offered(lambda: bool(set(self.jobs()) - before)):
            browser.click("#enrichment-run")
        (job,) = browser.wait(lambda: set(self.jobs()) - before, "the job on the page", 30)
        return str(job)

    def jobs(self) -> dict[str, str]:
        """Return the listed jobs by id, and what is said of each."""
        found: dict[str, str] = self.browser.js(
            """
            return Object.fromEntries([...document.querySelectorAll('#enrichment-jobs [data-job]')].map(
              (row) => [row.dataset.job, row.querySelector('.predict-job-says').textContent]))"""
        )
        return found

    def wait_until_done(self, job: str) -> str:
        """Wait until a job ended, and return what is said of it."""
        done = f"#enrichment-jobs [data-job='{job}'] progress"
        self.browser.wait(lambda: job in self.jobs() and not self.browser.is_shown(done), "the analysis to end", LONG)
        return self.jobs()[job]


class FromEnrichment(Part):
    """From Enrichment, as a card of New Annotation or in windows."""

    def open(self) -> "FromEnrichment":
        """Choose the card, and wait for the statistics."""
        if not self.browser.is_shown("#new-kind"):
            self.browser.click("#shell-tab-annotate")
            self.browser.click("#annotate-tab-new")
        self.browser.click("#new-kind label[for$='_enrichment']")
        return self.wait()

    def wait(self) -> "FromEnrichment":
        """Wait for the statistics."""
        shown = "return Boolean(document.querySelector('#from-enrichment-body .enrichment-row, .enrichment-dot'))"
        self.browser.wait(lambda: self.browser.js(shown), "the statistics")
        self.browser.wait(lambda: not self.browser.is_shown(".from-enrichment-body.is-busy"), "the newest statistics")
        return self

    def group_by(self, kind: str, key: str) -> "FromEnrichment":
        """Group cells by a column."""
        if self.browser.js("return document.getElementById('from-enrichment-kind').value") != kind:
            self.select("kind", kind)
        self.select("key", key)
        wanted = "return iscan.fromEnrichment.table()?.by.key === arguments[0]"
        self.browser.wait(lambda: self.browser.js(wanted, key), f"the groups of {key}")
        return self.wait()

    def select(self, field: str, value: str) -> None:
        """Choose ``result``, ``kind``, ``key`` or ``order``."""
        self.browser.js(
            """
            const field = document.getElementById(`from-enrichment-${arguments[0]}`);
            field.value = arguments[1];
            field.dispatchEvent(new Event('change', {bubbles: true}))""",
            field,
            value,
        )

    def columns(self) -> list[str]:
        """Return the titles of the grid."""
        return self.browser.texts(".enrichment-table thead th")

    def _collect(self, script: str) -> list[Any]:
        """Return what a script finds in the grid, of which only the rows in sight are drawn, from its top to its end."""
        scroll = """
            const box = document.getElementById('from-enrichment-table');
            box.scrollTop = arguments[0];
            return [box.scrollHeight, box.clientHeight]"""
        found: list[Any] = []
        top, height = 0, 1
        while top < height:
            height, step = self.browser.js(scroll, top)
            drawn = "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
            self.browser.js(drawn)
            found += [row for row in self.browser.js(script) if row not in found]
            top += step
        self.browser.js(scroll, 0)
        return found

    def rows(self) -> dict[tuple[str | None, str], list[str]]:
        """Return what the rows of the grid say by group and set: genes found, then the numbers."""
        found = self._collect(
            """
            return [...document.querySelectorAll('.enrichment-row')].map((row) => [
              row.dataset.group, row.dataset.set, [...row.cells].slice(1).map((cell) => cell.textContent)])"""
        )
        return {(group[1:] if group else None, name): cells for group, name, cells in found}

    def sizes(self) -> dict[str | None, str]:
        """Return how many cells the groups are said to have."""
        found = self._collect(
            """
            return [...document.querySelectorAll('.enrichment-group')].map((row) => [
              row.dataset.group, row.querySelector('.enrichment-group-name .numbers').textContent])"""
        )
        return {group[1:] if group else None: text for group, text in found}

    def tick(self, group: str | None, name: str) -> "FromEnrichment":
        """Tick a set of a group, or take the tick away."""
        self.browser.click(f"{self._group('enrichment-row', group)}[data-set='{name}'] input")
        return self

    def ticked(self) -> set[tuple[str | None, str]]:
        """Return the ticks."""
        found = self._collect(
            """
            return [...document.querySelectorAll('.enrichment-row')].filter((row) => row.querySelector('input').checked).map(
              (row) => [row.dataset.group, row.dataset.set])"""
        )
        return {(group[1:] if group else None, name) for group, name in found}

    def custom(self, group: str | None, text: str = "") -> "FromEnrichment":
        """Switch Custom of a group, and type its label."""
        own = self._group("enrichment-group", group)
        self.browser.click(f"{own} [role=switch]")
        if text:
            self.browser.type(f"{own} .enrichment-custom", text)
        return self

    def previews(self) -> dict[str | None, str]:
        """Return the labels that groups would get."""
        found = self._collect(
            """
            return [...document.querySelectorAll('.enrichment-group')].map((row) => {
              const text = row.querySelector('.enrichment-custom');
              return [row.dataset.group, text.hidden ? row.querySelector('.enrichment-preview bdi').textContent : text.value]})"""
        )
        return {group[1:] if group else None: text for group, text in found}

    @staticmethod
    def _group(row: str, group: str | None) -> str:
        value = "" if group is None else f"={group}"
        return f".{row}[data-group='{value}']"

    def said(self) -> str:
        """Return how many groups have no label, and what else is said of the labels."""
        return self.browser.text("#from-enrichment-count")

    def problem(self) -> str:
        """Return what is wrong with the labels."""
        return self.browser.text("#from-enrichment-problem")

    def click(self, what: str) -> "FromEnrichment":
        """Click ``best``, ``clear`` or ``create``."""
        self.browser.click(f"#from-enrichment-{what}")
        return self

    def fill(self, field: str, text: str) -> "FromEnrichment":
        """Type ``name``, ``default``, ``join`` or ``search``."""
        self.browser.type(f"#from-enrichment-{field}", text)
        return self

    def dots(self, plot: str) -> dict[tuple[str | None, str], dict[str, Any]]:
        """Return the dots of a plot by group and set: their radius, fill, and the numbers that they stand for."""
        self.browser.js("document.getElementById(arguments[0]).scrollIntoView()", f"from-enrichment-{plot}")
        box = f"#from-enrichment-dots-{plot}"
        self.browser.wait(lambda: self.browser.js("return document.querySelector(arguments[0])", f"{box} svg"), plot)
        found: list[Any] = self.browser.js(
            """
            return [...document.querySelectorAll(`${arguments[0]} .enrichment-dot`)].map((dot) => [dot.dataset.group, dot.dataset.set, {
              r: Number(dot.getAttribute('r')), fill: dot.getAttribute('fill'), value: Number(dot.dataset.value),
              size: Number(dot.dataset.size), ticked: dot.getAttribute('aria-checked') === 'true'}])""",
            box,
        )
        return {(group[1:] if group else None, name): dot for group, name, dot in found}

    def click_dot(self, plot: str, group: str, name: str) -> None:
        """Click a dot."""
        self.browser.js(
            """
            document.querySelector(`#from-enrichment-dots-${arguments[0]} [data-group="=${arguments[1]}"][data-set="${arguments[2]}"]`)
              .dispatchEvent(new MouseEvent('click', {bubbles: true}))""",
            plot,
            group,
            name,
        )

    def window_of(self, section: str) -> Callable[[], None]:
        """Return what opens the window of a section."""
        return lambda: self.browser.click(f"#from-enrichment-{section} .section-window-button")

    def table(self, server: Server) -> Any:
        """Ask the server for the statistics that are shown."""
        state = self.browser.js("const {result, kind, key} = iscan.fromEnrichment.state(); return {result, kind, key}")
        query = urlencode({"kind": state["kind"], "key": state["key"]})
        with urlopen(f"{server.url}/api/v1/enrichments/{state['result']}/table?{query}", timeout=60) as answer:
            return json.load(answer)
