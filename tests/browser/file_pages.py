"""The Data page and the Export page."""

from tests.browser.chromium import Browser
from tests.browser.pages import Grid, Part, Shell, plain


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
