"""Cell type prediction in the words of its users: the form, Study Logs, and the references."""

from dataclasses import dataclass
from typing import Any

from tests.browser.pages import NamingDialog, Part

LONG = 120.0
"""Seconds that a prediction may take on a busy machine."""


class PredictionForm(Part):
    """The card and the form Cell type prediction."""

    def open(self) -> "PredictionForm":
        """Choose the card, and wait for the form."""
        browser = self.browser
        if not browser.is_shown("#new-kind"):
            browser.click("#shell-tab-annotate")
            browser.click("#annotate-tab-new")
        browser.click("#new-kind label[for$='_prediction']")
        return self.wait()

    def wait(self) -> "PredictionForm":
        """Wait until the form is there."""
        self.browser.wait(lambda: self.browser.is_shown("#predict-submit"), "the form of predictions")
        return self

    # -- filling it in -------------------------------------------------------------------------------------------

    def name(self, text: str) -> "PredictionForm":
        """Type the name."""
        self.browser.type("#predict-name", text)
        return self

    def resolved(self) -> str:
        """Return what is said of the name."""
        return self.browser.text("#predict-resolved")

    def references(self) -> dict[str, bool]:
        """Return the references by id, and whether each can be chosen."""
        found: dict[str, bool] = self.browser.js(
            """
            return Object.fromEntries([...document.querySelectorAll('.reference-card')].map(
              (card) => [card.dataset.reference, !card.querySelector('input').disabled]))"""
        )
        return found

    def how_to_add(self, reference: str) -> str:
        """Open ``Not installed - how to add`` of a reference, and return what it says."""
        card = f".reference-card[data-reference='{reference}']"
        assert self.browser.text(f"{card} summary") == "Not installed - how to add"
        self.browser.click(f"{card} summary")
        return self.browser.text(f"{card} details p")

    def choose(self, reference: str, granularity: str = "main") -> "PredictionForm":
        """Choose a reference and its granularity."""
        self.browser.click(f"#predict-reference-{reference}")
        self.granularity(granularity)
        return self

    def granularity(self, name: str) -> None:
        """Choose ``main`` or ``fine``."""
        self.browser.click(f"#predict-granularity-{name}")

    def is_granularity_off(self, name: str) -> str:
        """Return why a granularity cannot be chosen, ``""`` when it can."""
        return str(
            self.browser.js(
                """
                const field = document.getElementById(arguments[0]);
                return field.disabled ? field.parentElement.title : ''""",
                f"predict-granularity-{name}",
            )
        )

    def tick(self, what: str, on: bool = True) -> "PredictionForm":
        """Set a switch: ``by-cluster``, ``fine-tune``, ``no-pruning``, ``any-organism``, ``samples-all``, ``sample-0``."""
        if bool(self.browser.js("return document.getElementById(arguments[0]).checked", f"predict-{what}")) != on:
            self.browser.click(f"#predict-{what}")
        return self

    def by_cluster(self, column: str, source: str = "cluster") -> "PredictionForm":
        """Annotate by the groups of a column, of ``cluster`` or of ``metadata``."""
        self.tick("by-cluster")
        self.browser.click(f"#predict-source-{source}")
        self._select("predict-column", column)
        return self

    def matrix(self, key: str) -> "PredictionForm":
        """Choose a matrix."""
        self.advanced()
        self._select("predict-matrix", key)
        return self

    def genes(self, column: str) -> "PredictionForm":
        """Choose the gene id column."""
        self.advanced()
        self._select("predict-genes", column)
        return self

    def gene_columns(self) -> dict[str, str]:
        """Return the gene id columns that are offered, and what each says."""
        found: dict[str, str] = self.browser.js(
            """
            return Object.fromEntries([...document.getElementById('predict-genes').options].map(
              (option) => [option.value, option.textContent]))"""
        )
        return found

    def advanced(self) -> None:
        """Open Advanced."""
        if self.browser.attribute("#predict-advanced", "open") is None:
            self.browser.click("#predict-advanced > summary")

    def number(self, what: str, text: str) -> "PredictionForm":
        """Type ``threshold`` or ``nmads``."""
        self.advanced()
        self.browser.type(f"#predict-{what}", text)
        return self

    def slider(self, what: str) -> float:
        """Return where a slider is."""
        return float(self.browser.js("return document.getElementById(arguments[0]).value", f"predict-{what}-slider"))

    def _select(self, field: str, value: str) -> None:
        self.browser.js(
            """
            const field = document.getElementById(arguments[0]);
            field.value = arguments[1];
            field.dispatchEvent(new Event('change', {bubbles: true}));""",
            field,
            value,
        )

    def values(self) -> dict[str, Any]:
        """Return what is filled in."""
        found: dict[str, Any] = self.browser.js(
            """
            const by = (id) => document.getElementById(`predict-${id}`);
            const radio = (name) => document.querySelector(`input[name=predict-${name}]:checked`)?.id.split('-').pop();
            return {
              name: by('name').value,
              reference: document.querySelector('input[name=predict-reference]:checked')?.value ?? '',
              granularity: radio('granularity'),
              by_cluster: by('by-cluster').checked,
              column: by('by-cluster').checked ? by('column').value : '',
              fine_tune: by('fine-tune').checked,
              threshold: by('threshold').value,
              nmads: by('nmads').value,
              no_pruning: by('no-pruning').checked,
              matrix: by('matrix').value,
            }"""
        )
        return found

    # -- what it says --------------------------------------------------------------------------------------------

    def preflight(self) -> list[str]:
        """Return what the pre-flight card says, ``[]`` while it looks."""
        if self.browser.is_shown("#predict-preflight.is-busy"):
            return []
        return self.browser.texts("#predict-preflight .fact")

    def wait_for_preflight(self, text: str) -> list[str]:
        """Wait until the pre-flight card says something, and return all it says."""
        browser = self.browser
        browser.wait(
            lambda: any(text in line for line in self.preflight()), f'"{text}", not {self.preflight()}', seconds=60
        )
        return self.preflight()

    def wait_for_error(self, field: str, text: str) -> None:
        """Wait until a field says what is wrong with it."""
        self.browser.until(lambda: self.browser.text(f"#predict-{field}-error"), text, 60)

    def cannot_submit(self) -> bool:
        """Tell whether Submit says that it cannot be used."""
        return self.browser.attribute("#predict-submit", "aria-disabled") == "true"

    # -- submitting ----------------------------------------------------------------------------------------------

    def submit(self) -> str:
        """Submit, once the form is looked over, and return the id of the job."""
        browser = self.browser
        browser.wait(lambda: not self.cannot_submit() and self.preflight(), "the form to be in order", 60)
        before = set(self.jobs())
        with NamingDialog(browser).taken_as_offered(lambda: bool(set(self.jobs()) - before)):
            browser.click("#predict-submit")
        (job,) = browser.wait(lambda: set(self.jobs()) - before, "the job on the page", 30)
        return str(job)

    def jobs(self) -> dict[str, str]:
        """Return the predictions that the page lists, by id, and what it says of each."""
        found: dict[str, str] = self.browser.js(
            """
            return Object.fromEntries([...document.querySelectorAll('.predict-job')].map(
              (row) => [row.dataset.job, row.querySelector('.predict-job-says').textContent]))"""
        )
        return found

    def wait_until_done(self, job: str) -> str:
        """Wait until a job ended, and return what the page says of it."""
        browser = self.browser
        ended = "return !document.querySelector(`.predict-job[data-job='${arguments[0]}'] progress`)"
        browser.wait(lambda: job in self.jobs() and browser.js(ended, job), "the prediction to end", LONG)
        return self.jobs()[job]

    def cancel(self, job: str) -> None:
        """Click Cancel of a job."""
        self.browser.click(f".predict-job[data-job='{job}'] button")


@dataclass(frozen=True)
class LogRow:
    """A row of Study Logs."""

    key: str
    type: str
    name: str
    user: str
    state: str
    progress: str
    duration: str
    message: str
    actions: list[str]


class StudyLogs(Part):
    """The page Study Logs."""

    def open(self) -> "StudyLogs":
        """Go to the page by its tab."""
        self.browser.click("#shell-tab-logs")
        self.browser.wait(lambda: self.browser.is_shown("#logs-state"), "Study Logs")
        return self

    def rows(self) -> list[LogRow]:
        """Return the rows in order."""
        found: list[dict[str, Any]] = self.browser.js(
            """
            return [...document.querySelectorAll('.logs tbody tr')].map((row) => {
              const [, type, name, user, state, progress, duration, message] = [...row.cells].map((e) => e.textContent.trim());
              const actions = [...row.querySelectorAll('[data-act]')].map((e) => e.dataset.act);
              return {key: row.dataset.key, type, name, user, state, progress, duration, message, actions};
            })"""
        )
        return [LogRow(**row) for row in found]

    def job(self, job: str) -> LogRow:
        """Return the row of a job."""
        found = self.browser.wait(
            lambda: [row for row in self.rows() if row.key == f"job-{job}"], f"the job {job} in Study Logs"
        )
        return found[0]

    def wait_for_state(self, job: str, state: str) -> LogRow:
        """Wait until a job is in a state, and return its row."""
        self.browser.until(lambda: self.job(job).state, state, LONG)
        return self.job(job)

    def act(self, job: str, action: str) -> None:
        """Click ``open``, ``cancel``, ``rerun`` or ``log`` of a job."""
        self.browser.click(f".logs tr[data-key='job-{job}'] [data-act='{action}']")

    def log(self, job: str) -> str:
        """Return the log of a job."""
        self.act(job, "log")
        self.browser.wait(lambda: self.browser.text(".log-text") not in {"", "Reading..."}, "the log")
        said = self.browser.text(".log-text")
        self.browser.js("document.querySelector('.edit-popup').hidePopover()")
        return said

    def list_only(self, what: str) -> None:
        """List ``all``, ``jobs`` or ``edits``."""
        self.browser.click(f"label[for='logs-{what}']")

    def state(self, name: str) -> None:
        """List what is in a state, ``""`` for all."""
        self.browser.js(
            """
            const field = document.getElementById('logs-state');
            field.value = arguments[0];
            field.dispatchEvent(new Event('change'));""",
            name,
        )

    def search(self, text: str) -> None:
        """Type into the search."""
        self.browser.type("#logs-search", text)

    def count(self) -> str:
        """Return how many rows it says there are."""
        return self.browser.text(".log-count")


class References(Part):
    """The page References."""

    def open(self) -> "References":
        """Go to the page by its tab, and wait for the list."""
        self.browser.click("#shell-tab-references")
        self.browser.wait(self.rows, "the references")
        return self

    def rows(self) -> dict[str, str]:
        """Return the state of each reference by its id."""
        found: dict[str, str] = self.browser.js(
            """
            return Object.fromEntries([...document.querySelectorAll('.reference-row')].map(
              (row) => [row.dataset.reference, row.querySelector('.reference-state').textContent.trim()]))"""
        )
        return found

    def details(self, reference: str) -> str:
        """Open a reference, and return what is said of it."""
        row = f".reference-row[data-reference='{reference}']"
        if self.browser.attribute(f"{row} button", "aria-expanded") != "true":
            self.browser.click(f"{row} button")
        details = f".reference-details[data-reference='{reference}']"
        self.browser.wait(lambda: "Reading..." not in (self.browser.text(details) or "Reading..."), "the details")
        return self.browser.text(details)

    def test_of(self, reference: str, kind: str = "main") -> dict[str, tuple[str, str, str]]:
        """Return the rows of the test of an opened reference: left out, right, and taken for, by label."""
        found: dict[str, list[str]] = self.browser.js(
            """
            const rows = document.querySelectorAll(
              `.reference-details[data-reference="${arguments[0]}"] table[aria-label="Test by ${arguments[1]} labels"] tbody tr`);
            return Object.fromEntries([...rows].map((row) => {
              const [label, ...others] = [...row.cells].map((cell) => cell.textContent.trim());
              return [label, others];
            }))""",
            reference,
            kind,
        )
        return {label: (others[0], others[1], others[2]) for label, others in found.items()}


class MakeReference(Part):
    """The form Make reference from this dataset, on the page References."""

    def open(self) -> "MakeReference":
        """Open the form."""
        self.browser.click("#references-open-make")
        self.browser.wait(lambda: self.browser.is_shown("#make-submit"), "the form of references")
        return self

    def labels(self, main: str, fine: str = "") -> "MakeReference":
        """Choose the columns by what they are called."""
        for kind, name in (("main", main), ("fine", fine)):
            self.browser.js(
                """
                const field = document.getElementById(`make-${arguments[0]}`);
                const options = [...field.options];
                const found = options.find(({ textContent }) => textContent.startsWith(`${arguments[1]} (`));
                field.value = arguments[1] ? found.value : "";
                field.dispatchEvent(new Event("change", { bubbles: true }));""",
                kind,
                name,
            )
        return self

    def fill_in(self, **fields: str) -> "MakeReference":
        """Type ``name``, ``id`` or ``profiles``."""
        for field, text in fields.items():
            self.browser.type(f"#make-{field}", text)
        return self

    def ticked(self, kind: str = "main") -> dict[str, bool]:
        """Return the labels of a granularity, and whether each is used."""
        found: dict[str, bool] = self.browser.js(
            """
            return Object.fromEntries([...document.querySelectorAll(`#make-${arguments[0]}-labels input`)].map(
              (box) => [box.value, box.checked]))""",
            kind,
        )
        return found

    def tick(self, label: str) -> None:
        """Click the tick of a main label."""
        place = list(self.ticked()).index(label)
        self.browser.click(f"#make-main-label-{place}")

    def plan(self) -> list[str]:
        """Return what the card says, ``[]`` while it looks."""
        if self.browser.is_shown("#make-plan.is-busy"):
            return []
        return self.browser.texts("#make-plan .fact")

    def wait_for_plan(self, text: str) -> list[str]:
        """Wait until the card says something, and return all it says."""
        self.browser.wait(lambda: any(text in line for line in self.plan()), f'"{text}", not {self.plan()}', seconds=60)
        return self.plan()

    def wait_for_error(self, field: str, text: str) -> None:
        """Wait until a field says what is wrong with it."""
        self.browser.until(lambda: self.browser.text(f"#make-{field}-error"), text)

    def submit(self) -> None:
        """Submit, once the form is looked over."""
        allowed = "#make-submit[aria-disabled='false']"
        self.browser.wait(lambda: self.browser.is_shown(allowed), "the form to be in order")
        self.browser.click("#make-submit")
