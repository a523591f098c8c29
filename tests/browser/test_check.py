"""Check before you label: what the panel says of cells is what the file says of them."""

from collections.abc import Iterator
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from iscan_dash.settings import DEMO_STUDY
from tests.browser.chromium import Browser
from tests.browser.pages import Part, Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Server
from tests.studies import log1p_cp10k

pytestmark = pytest.mark.browser

COARSE, FINE = "leiden_0.25", "leiden_1.0"


class Check(Part):
    """The panel under the Assign bar."""

    def select(self, **condition: Any) -> None:
        """Select the cells that meet a condition alone; all selected cells are forgotten when there is none."""
        self.browser.js("return iscan.selection.act({do: 'clear', what: 'all'})")
        if condition:
            self.browser.js("return iscan.selection.act({do: 'filter', condition: arguments[0]})", condition)

    def target(self, name: str) -> None:
        """Set the Assign bar to ``ticked``, ``filtered`` or ``selection``."""
        self.browser.js(
            """
            const field = document.getElementById('edit-target');
            field.value = arguments[0];
            field.dispatchEvent(new Event('change', {bubbles: true}));""",
            name,
        )

    def by(self, column: str) -> None:
        """Choose the column whose labels are counted, once the server has said which there are."""
        chosen = self.browser.wait(
            lambda: self.browser.js(
                "return [...document.getElementById('check-by').options].find((one) => one.textContent === arguments[0])?.value",
                column,
            ),
            f"the choice {column}",
        )
        self.browser.js(
            """
            const field = document.getElementById('check-by');
            field.value = arguments[0];
            field.dispatchEvent(new Event('change', {bubbles: true}));""",
            chosen,
        )

    def said(self) -> str:
        """Return the sentence beside the title."""
        return self.browser.text("#edit-check .check-said")

    def parts(self) -> dict[str, tuple[str, str]]:
        """Return count and percentage by label."""
        rows: list[list[str]] = self.browser.js(
            "return [...document.querySelectorAll('.check-part')].map((row) => [...row.children].slice(1).map((e) => e.textContent))"
        )
        return {label: (count, percent) for label, count, percent in rows}

    def genes(self) -> dict[str, tuple[str, str]]:
        """Return the marker genes with how many cells express them, here and elsewhere."""
        rows: list[list[str]] = self.browser.js(
            """
            if (document.querySelector('.check-markers.is-busy')) return [];
            return [...document.querySelectorAll('.check-gene')].map((row) =>
              [row.dataset.gene, ...[...row.querySelectorAll('.number')].map((e) => e.textContent)]);"""
        )
        return {gene: (here, elsewhere) for gene, here, elsewhere in rows}

    def wait_for_genes(self) -> list[str]:
        """Return the marker genes as soon as they are there."""
        self.browser.wait(lambda: bool(self.genes()), "the marker genes")
        return list(self.genes())


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the demo whose selection the tests of this module change."""
    running = Server("demo", "--single-user", folder=tmp_path_factory.mktemp("check")).start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def truth() -> ad.AnnData:
    return ad.read_h5ad(DEMO_STUDY)


@pytest.fixture
def check(browser: Browser, own: Server) -> Check:
    Shell(browser).open(own, "/annotate/edit")
    panel = Check(browser)
    browser.wait(lambda: browser.is_shown("#edit-check .check-head"), "the panel")
    panel.select()
    panel.target("selection")
    return panel


def labels_in(column: str, *values: str, kind: str = "cluster") -> dict[str, Any]:
    return {"is": "labels", "kind": kind, "key": column, "values": list(values), "missing": False, "not": False}


def percent(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %"


def expected_parts(labels: pd.Series, mask: np.ndarray) -> dict[str, tuple[str, str]]:
    counts = labels[mask].value_counts()
    return {str(label): (f"{n:,}", percent(int(n), int(mask.sum()))) for label, n in counts.items() if n}


def test_composition_of_a_selection(check: Check, truth: ad.AnnData) -> None:
    browser = check.browser
    browser.until(check.said, "Select cells on a plot to see what they are.")
    assert browser.text("#check-body").startswith("What the chosen cells are made of")
    check.select(**labels_in(COARSE, "0", "2"))
    mask = truth.obs[COARSE].isin(["0", "2"]).to_numpy()
    coarse = expected_parts(truth.obs[COARSE], mask)
    browser.until(check.parts, coarse)
    largest, (_, share) = next(iter(coarse.items()))
    assert check.said() == f'{mask.sum():,} cells, {share} agree on "{largest}"'
    check.by(FINE)
    browser.until(check.parts, expected_parts(truth.obs[FINE], mask))
    check.by("phase")
    browser.until(check.parts, expected_parts(truth.obs["phase"], mask))
    check.select()
    browser.until(check.said, "Select cells on a plot to see what they are.")


def test_marker_genes_and_a_click_on_one(check: Check, truth: ad.AnnData) -> None:
    browser = check.browser
    label = next(iter(truth.obs[COARSE].cat.categories))
    check.select(**labels_in(COARSE, label))
    genes = check.wait_for_genes()
    mask = (truth.obs[COARSE] == label).to_numpy()
    counts = np.asarray(truth.X.todense() if hasattr(truth.X, "todense") else truth.X, np.float64)
    logged = log1p_cp10k(counts).astype(np.float64)
    inside, outside = logged[mask], logged[~mask]
    spread = np.sqrt((inside.var(axis=0) + outside.var(axis=0)) / 2 + 0.25**2)
    score = (inside.mean(axis=0) - outside.mean(axis=0)) / spread
    assert genes == list(truth.var_names[np.argsort(-score, kind="stable")[: len(genes)]])
    for gene, (here, elsewhere) in check.genes().items():
        column = counts[:, truth.var_names.get_loc(gene)] > 0
        for text, share in ((here, column[mask].mean()), (elsewhere, column[~mask].mean())):
            if text[0] not in "<>":
                assert text == f"{100 * share:.0f} %"
    browser.click(f".check-gene[data-gene='{genes[0]}']")
    plot = PlotPanel(browser)
    plot.wait_for_title(genes[0])
    plot.clear_gene()


def test_trimming_to_the_cells_that_agree(check: Check, truth: ad.AnnData) -> None:
    browser = check.browser
    check.select(**labels_in(COARSE, "0", "2"))
    check.by(FINE)
    mask = truth.obs[COARSE].isin(["0", "2"]).to_numpy()
    counts = truth.obs[FINE][mask].value_counts()
    largest, n = str(counts.index[0]), int(counts.iloc[0])
    share = percent(n, int(mask.sum()))
    browser.until(lambda: browser.text("#check-trim"), f"Trim to the {share} that agree")
    browser.click("#check-trim")
    browser.until(check.said, f'{n:,} cells, all agree on "{largest}"')
    browser.wait(lambda: not browser.is_shown("#check-trim"), "nothing left to trim")
    assert browser.js("return document.getElementById('edit-target').value") == "selection"


def test_filtered_rows_and_all_cells(check: Check, truth: ad.AnnData) -> None:
    browser = check.browser
    check.target("filtered")
    check.by(FINE)
    everything = np.ones(truth.n_obs, bool)
    browser.until(check.parts, expected_parts(truth.obs[FINE], everything))
    browser.until(lambda: browser.text(".check-note"), "These are all cells: there are no others to compare them with.")
    counts = truth.obs[FINE].value_counts()
    largest, n = str(counts.index[0]), int(counts.iloc[0])
    browser.click("#check-trim")
    browser.until(check.said, f'{n:,} cells, all agree on "{largest}"')
    browser.js("iscan.edit.look({where: {}})")
    browser.until(check.parts, expected_parts(truth.obs[FINE], everything))


def test_ticked_rows_trimmed(check: Check, truth: ad.AnnData) -> None:
    browser = check.browser
    check.target("ticked")
    browser.js("iscan.edit.tick({do: 'all', is_on: true, view: iscan.edit.asked()})")
    check.target("ticked")
    check.by(COARSE)
    browser.until(check.parts, expected_parts(truth.obs[COARSE], np.ones(truth.n_obs, bool)))
    counts = truth.obs[COARSE].value_counts()
    largest, n = str(counts.index[0]), int(counts.iloc[0])
    browser.click("#check-trim")
    browser.until(check.said, f'{n:,} cells, all agree on "{largest}"')
    browser.until(lambda: browser.js("return iscan.edit.page.ticked"), n)
    browser.js("iscan.edit.tick({do: 'clear'})")
    browser.until(check.said, "Tick rows to see what they are.")


def test_the_panel_folds_and_stays_folded(check: Check) -> None:
    browser = check.browser
    check.select(**labels_in(COARSE, "0"))
    check.wait_for_genes()
    browser.click(".check-fold")
    browser.wait(lambda: not browser.is_shown("#check-body"), "the folded panel")
    Shell(browser).reload()
    browser.wait(lambda: browser.is_shown("#edit-check .check-head"), "the panel")
    assert browser.attribute(".check-fold", "aria-expanded") == "false"
    browser.click(".check-fold")
    check.target("selection")
    check.wait_for_genes()
