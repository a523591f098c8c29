"""Enrichment: gene sets are pasted, cells scored, groups labelled by what is enriched in them."""

import math
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import Browser
from tests.browser.enrichment_pages import EnrichmentForm, FromEnrichment, GeneSetsPage
from tests.browser.pages import Shell
from tests.browser.server import Server
from tests.browser.studies import GENES, N_CELLS, small_obs
from tests.studies import log1p_cp10k, some_counts, write_study

pytestmark = pytest.mark.browser

PASTED = "T cell: CD3D, CD3E\nB cell: MS4A1, CD79A\nNK: nkg7\nNothing: XYZ1, XYZ2\n"

PLOTS = ("average_expression", "average_minus_log10_p", "score", "difference")

VIRIDIS = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"]
DIVERGING = ["#2166ac", "#67a9cf", "#d1e5f0", "#ffffff", "#fddbc7", "#ef8a62", "#b2182b"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a study in which gene sets are enriched, with a group of one cell and a column of one group."""
    folder = tmp_path_factory.mktemp("enrichment")
    place = np.arange(N_CELLS)
    counts = some_counts(N_CELLS, len(GENES))
    # Each cluster of 12 cells has genes of its own.
    for cluster, genes in enumerate(([0, 1], [2], [3], [4], [5])):
        counts[np.ix_(place // 12 == cluster, genes)] += 6
    obs = {
        **small_obs(),
        "single": pd.Categorical(np.where(place == 0, "one", "others")),
        "whole": pd.Categorical(["all"] * N_CELLS),
    }
    umap = np.random.default_rng(1).normal(0, 1, (N_CELLS, 2)).astype(np.float32)
    path = write_study(folder / "cells.h5ad", obs, genes=GENES, x=log1p_cp10k(counts), obsm={"X_umap": umap})
    running = Server("serve", path, "--single-user", folder=folder).start()
    yield running
    running.close()


def open_result(browser: Browser, server: Server) -> FromEnrichment:
    """Open From Enrichment; the first test makes the collection and runs the analysis."""
    Shell(browser).open(server, "/annotate")
    if not browser.js("return document.querySelector('#new-kind input[value=enrichment]').disabled"):
        return FromEnrichment(browser).open()
    assert browser.text("#new-kind label[for$='_enrichment'] a") == "Run an enrichment first"
    browser.click("#new-kind label[for$='_enrichment'] a")
    EnrichmentForm(browser).wait()
    sets = GeneSetsPage(browser).open().paste(PASTED, "Markers")
    assert sets.read() == {"T cell": "2/2", "B cell": "1/2", "NK": "1/1", "Nothing": "0/2"}
    facts = " ".join(sets.facts())
    assert "4 sets read as text with a set in each line" in facts
    assert "no gene in this study: Nothing" in facts
    assert "ignoring case: nkg7 as NKG7" in facts
    sets.keep()
    form = EnrichmentForm(browser).open().choose("Markers")
    assert form.sets() == {name: (True, text) for name, text in sets_of(PASTED).items()}
    browser.wait(lambda: [fact for fact in form.facts() if "3 of 4 gene sets can be scored" in fact], "what to expect")
    said = form.wait_until_done(form.run())
    assert said == "60 cells scored for 3 gene sets. Without a gene in this study: Nothing."
    return FromEnrichment(browser).open()


def sets_of(text: str) -> dict[str, str]:
    known = {gene.casefold() for gene in GENES}
    rows = [line.split(": ") for line in text.strip().split("\n")]
    genes = {name: given.split(", ") for name, given in rows}
    return {name: f"{sum(gene.casefold() in known for gene in own)}/{len(own)}" for name, own in genes.items()}


def test_labels_are_those_of_the_previews(browser: Browser, server: Server) -> None:
    page = open_result(browser, server).group_by("cluster", "leiden")
    assert page.columns() == [
        "leiden, Gene Set",
        "# Cells, genes found",
        "Average Expression",
        "Average Percentage",
        "Enrichment Score",
        "Enrichment Score Difference",
        "Enrichment P-Value",
        "Adjusted P-Value",
        "AUC",
    ]
    groups = [*"01234", None]
    assert list(page.previews()) == groups
    browser.until(page.said, "6 groups have no label")
    # A set without a gene is there, without numbers, and cannot be ticked.
    assert page.rows()["0", "Nothing"] == ["0/2", *[""] * 7]
    assert browser.js("return document.querySelector('.enrichment-row[data-set=Nothing] input').disabled")
    page.tick("0", "B cell").tick("0", "T cell").custom("1", "B (mine)").tick("2", "NK").tick("3", "NK")
    page.tick("1", "NK")
    browser.until(page.said, '2 groups have no label \u00b7 2 groups become "NK"')
    # In the order of the grid, whichever was ticked first; what is typed wins.
    wanted = {"0": "T cell / B cell", "1": "B (mine)", "2": "NK", "3": "NK", "4": "rest", None: "rest"}
    page.fill("default", "rest")
    browser.until(page.previews, wanted)
    page.fill("join", " + ")
    wanted["0"] = "T cell + B cell"
    browser.until(page.previews, wanted)
    page.click("create")
    browser.until(lambda: browser.text("#from-enrichment-name-error"), "Enter a name.")
    page.fill("name", "From sets")
    page.click("create")
    shell = Shell(browser)
    shell.wait_until_said('"From sets" was created')
    shell.wait_until_saved()
    values = [None if pd.isna(value) else str(value) for value in small_obs()["leiden"]]
    browser.until(lambda: server.draft().columns.get("From sets"), [wanted[value] for value in values])
    # Its ticks stay; grouped by another column there are others.
    assert page.ticked() == {("0", "T cell"), ("0", "B cell"), ("1", "NK"), ("2", "NK"), ("3", "NK")}
    page.group_by("metadata", "phase")
    browser.until(page.ticked, set())
    page.group_by("cluster", "leiden")
    browser.until(lambda: page.previews()["0"], "T cell + B cell")
    page.click("clear")
    browser.until(lambda: set(page.previews().values()), {"rest"})
    shell.answer_toast("All ticks and custom labels were taken away.", "Undo")
    browser.until(page.previews, wanted)
    # Pick best leaves what was typed.
    page.click("best")
    browser.until(lambda: (page.previews()["0"], page.previews()["1"]), ("T cell", "B (mine)"))


def test_custom_without_a_label_is_refused(browser: Browser, server: Server) -> None:
    page = open_result(browser, server).group_by("cluster", "leiden")
    page.click("clear").custom("2").fill("name", "Not yet")
    page.click("create")
    browser.until(page.problem, "Enter the custom label for group 2, or switch Custom off.")
    assert browser.js("return document.activeElement.id") == "from-enrichment-group-2-text"
    page.custom("2")
    browser.until(page.problem, "")
    page.fill("name", "leiden")
    browser.wait(lambda: "already used" in browser.text("#from-enrichment-name-error"), "why the name is refused")
    assert browser.attribute("#from-enrichment-create", "aria-disabled") == "true"


def test_pick_best_ticks_what_is_enriched(browser: Browser, server: Server) -> None:
    page = open_result(browser, server).group_by("cluster", "leiden")
    page.click("clear").click("best")
    table = page.table(server)
    best = {group["label"]: place for group, place in zip(table["groups"], table["best"], strict=True)}
    names = [own["name"] for own in table["sets"]]
    wanted = {(label, names[place]) for label, place in best.items() if place is not None}
    assert {("0", "T cell"), ("1", "B cell"), ("2", "NK")} <= wanted
    browser.until(page.ticked, wanted)
    assert page.previews()["0"] == "T cell"


def mixed(stops: list[str], part: float) -> str:
    """Return a colour between those of a scale, the plain way."""
    at = part * (len(stops) - 1)
    low = min(len(stops) - 2, math.floor(at))
    pair = [[int(stop[k : k + 2], 16) for k in (1, 3, 5)] for stop in stops[low : low + 2]]
    return "#" + "".join(f"{math.floor(a + (b - a) * (at - low) + 0.5):02x}" for a, b in zip(*pair, strict=True))


@pytest.mark.parametrize("plot", PLOTS)
def test_size_and_colour_of_dots_are_those_of_the_grid(browser: Browser, server: Server, plot: str) -> None:
    page = open_result(browser, server).group_by("cluster", "leiden")
    table = page.table(server)
    dots = page.dots(plot)
    values: list[list[float | None]] = table["columns"][plot]
    sizes = table["columns"]["average_percentage"]
    known = [value for row in values for value in row if value is not None]
    high, low = (max(map(abs, known)), -max(map(abs, known))) if plot == "difference" else (max(known), min(0, *known))
    stops = DIVERGING if plot == "difference" else VIRIDIS
    wanted: dict[Any, Any] = {}
    for g, group in enumerate(table["groups"]):
        for s, own in enumerate(table["sets"]):
            if (value := values[g][s]) is not None:
                wanted[group["label"], own["name"]] = value, sizes[g][s], mixed(stops, (value - low) / (high - low))
    assert {name for _, name in wanted} == {"T cell", "B cell", "NK"}
    assert dots.keys() == wanted.keys()
    scale = max(dot["r"] / math.sqrt(dot["size"]) for dot in dots.values())
    rows = page.rows()
    for key, (value, size, colour) in wanted.items():
        assert (dots[key]["value"], dots[key]["size"]) == (pytest.approx(value), pytest.approx(size))
        assert dots[key]["r"] == pytest.approx(scale * math.sqrt(size))
        assert dots[key]["fill"] == colour or (plot == "average_expression" and value == 0)
        assert float(rows[key][2]) == pytest.approx(size, abs=0.051)


def test_a_click_on_a_dot_ticks_the_row(browser: Browser, server: Server) -> None:
    page = open_result(browser, server).group_by("cluster", "leiden")
    page.click("clear")
    page.dots("score")
    page.click_dot("score", "3", "NK")
    browser.until(page.ticked, {("3", "NK")})
    assert page.dots("score")["3", "NK"]["ticked"]
    assert page.dots("difference")["3", "NK"]["ticked"]
    page.click_dot("difference", "3", "NK")
    browser.until(page.ticked, set())


def test_windows_stay_in_step(browser: Browser, server: Server) -> None:
    page = open_result(browser, server).group_by("cluster", "leiden")
    page.click("clear").tick("0", "T cell")
    browser.until(lambda: page.previews()["0"], "T cell")
    first = browser.driver.current_window_handle
    with browser.opened(page.window_of("score")):
        page.wait()
        assert not browser.is_shown(".topbar") and not browser.is_shown(".enrichment-grid")
        browser.until(lambda: page.dots("score")["0", "T cell"]["ticked"], True)
        page.click_dot("score", "1", "B cell")
        window = browser.look_at(first)
        browser.until(page.ticked, {("0", "T cell"), ("1", "B cell")})
        page.tick("0", "T cell").tick("2", "NK")
        browser.look_at(window)
        wanted = {("1", "B cell"), ("2", "NK")}
        browser.until(lambda: {key for key, dot in page.dots("score").items() if dot["ticked"]}, wanted)
        # The column too.
        browser.look_at(first)
        page.group_by("metadata", "phase")
        browser.look_at(window)
        browser.until(lambda: {group for group, _ in page.dots("score")}, {"G1", "S, early", None})
    with browser.opened(page.window_of("grid")):
        page.wait().tick("G1", "NK")
        window = browser.look_at(first)
        browser.until(lambda: page.previews()["G1"], "NK")
        browser.look_at(window)


def test_dots_are_reached_by_keys_and_saved(browser: Browser, server: Server) -> None:
    page = open_result(browser, server).group_by("cluster", "leiden")
    page.click("clear")
    n_dots = len(page.dots("score"))
    place = "return [document.activeElement.dataset.group, document.activeElement.dataset.set]"
    browser.js("document.querySelector('#from-enrichment-dots-score [tabindex=\"0\"]').focus()")
    assert browser.js(place) == ["=0", "T cell"]
    browser.press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert browser.js(place) == ["=1", "B cell"]
    # What is pointed at has its numbers told.
    assert "Enrichment P-Value" in browser.text(".enrichment-tip")
    browser.press(" ")
    browser.until(page.ticked, {("1", "B cell")})
    browser.js("""
        window.saved = [];
        const made = URL.createObjectURL.bind(URL);
        URL.createObjectURL = (blob) => (saved.push(blob), made(blob));
        HTMLAnchorElement.prototype.click = () => {}; // nothing is downloaded""")
    browser.click("#from-enrichment-score [aria-label='Average Enrichment Score as SVG']")
    look = "return new Promise((done) => saved.length ? saved[0].text().then(done) : setTimeout(() => done(''), 50))"
    text = browser.wait(lambda: browser.js(look), "the picture")
    root = ElementTree.fromstring(text)
    assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == n_dots
    browser.click("#from-enrichment-score [aria-label='Average Enrichment Score as PNG']")
    look = """const picture = saved.find(({type}) => type === 'image/png');
        return new Promise((done) => picture ? createImageBitmap(picture).then(({width, height}) => done([width, height]))
            : setTimeout(() => done(null), 50))"""
    size = browser.wait(lambda: browser.js(look), "the other picture")
    assert size == [3 * int(root.attrib["width"]), 3 * int(root.attrib["height"])]


def test_sets_are_searched_and_sorted(browser: Browser, server: Server) -> None:
    page = open_result(browser, server).group_by("cluster", "leiden")
    page.fill("search", "cell")
    browser.until(lambda: {name for _, name in page.rows()}, {"T cell", "B cell"})
    browser.until(lambda: {name for _, name in page.dots("score")}, {"T cell", "B cell"})
    page.fill("search", "")
    browser.until(lambda: len(page.rows()), 6 * 4)

    def first() -> list[str]:
        return [name for group, name in page.rows() if group == "1"]

    assert first() == ["T cell", "B cell", "NK", "Nothing"]
    browser.click(".enrichment-table th[data-key=difference] button")
    # The best on top; what has no number at the end.
    browser.until(lambda: (first()[0], first()[-1]), ("B cell", "Nothing"))
    assert browser.attribute(".enrichment-table th[data-key=difference]", "aria-sort") == "descending"
    browser.click(".enrichment-table th[data-key=difference] button")
    browser.until(lambda: (first()[2], first()[-1]), ("B cell", "Nothing"))
    browser.click(".enrichment-table th[data-key=difference] button")
    browser.until(first, ["T cell", "B cell", "NK", "Nothing"])
    # The plots have an order of their own.
    page.select("order", "name")
    browser.until(lambda: list(page.dots("score"))[:3], [("0", "B cell"), ("0", "NK"), ("0", "T cell")])


def test_groups_without_a_test(browser: Browser, server: Server) -> None:
    page = open_result(browser, server).group_by("metadata", "single")
    rows = page.rows()
    assert page.sizes() == {"one": "1 cell", "others": "59 cells"}
    # A group of one cell has a score and a difference, and so do all but one; neither has a test.
    for group in ("one", "others"):
        assert all(rows[group, "T cell"][:5]) and rows[group, "T cell"][5:] == [""] * 3
    browser.wait(lambda: "fewer than 3 cells" in browser.text("#from-enrichment-warnings"), "what is said of few cells")
    page.group_by("metadata", "whole")
    assert page.sizes() == {"all": "60 cells"}
    assert all(page.rows()["all", "T cell"][:4]) and page.rows()["all", "T cell"][4:] == [""] * 4
    assert page.dots("difference") == {}
    page.click("best")
    browser.until(page.said, "1 group has no label")
    # Cells without a value are a group.
    page.group_by("metadata", "tissue")
    n_missing = sum(pd.isna(value) for value in small_obs()["tissue"])
    assert page.sizes()[None] == f"{n_missing} cells"


def test_a_collection_is_edited_and_deleted(browser: Browser, server: Server) -> None:
    Shell(browser).open(server, "/enrichment/sets")
    page = GeneSetsPage(browser)
    browser.wait(lambda: browser.is_shown("#gene-sets-new"), "the collections")
    page.paste("CD3D\nCD3E\nCD3D", "Short").keep()
    assert page.sets() == {"Gene set": "2/2"}
    page.edit_set("Gene set", "CD3D, CD79A, LYZ-", "T")
    assert page.sets() == {"T": "2/3"}
    browser.click("#gene-sets-add")
    page.paste("T: MS4A1\nB: MS4A1")
    browser.click("#gene-sets-keep")
    browser.wait(lambda: browser.is_shown("#gene-sets-again"), "what is said of repeated names")
    assert "of the same name already (T)" in browser.text("#gene-sets-problem")
    browser.click("#gene-sets-again button")
    browser.until(page.sets, {"T": "3/4", "B": "1/1"})
    page.act("Delete B")
    browser.until(page.sets, {"T": "3/4"})
    page.act("All collections")
    browser.wait(lambda: "Short" in page.collections(), "the collection in the list")
    page.act("Duplicate Short")
    browser.wait(lambda: browser.text(".gene-sets-head .result-name") == "Short (copy)", "the copy")
    page.act("All collections")
    browser.wait(lambda: "Short (copy)" in page.collections(), "the copy in the list")
    page.act("Delete Short")
    browser.wait(lambda: "Short" not in page.collections(), "the collection to go")
    browser.click(".toast-message:last-child .toast-action")
    browser.wait(lambda: "Short" in page.collections(), "the collection to come back")


def test_what_the_form_refuses(browser: Browser, server: Server) -> None:
    open_result(browser, server)
    form = EnrichmentForm(browser).open().choose("Markers")
    for name in ("T cell", "B cell", "NK"):
        form.tick(name)
    browser.until(
        lambda: browser.text("#enrichment-sets-error"),
        "None of the genes in the chosen sets are in this dataset.",
    )
    form.tick("Nothing")
    browser.until(lambda: browser.text("#enrichment-sets-error"), "Choose at least one gene set.")
    assert not form.is_allowed()
    form.tick("T cell")
    browser.wait(form.is_allowed, "Run to be allowed")
    form.name("a/b")
    browser.wait(lambda: browser.text("#enrichment-name-error"), "why the name is refused")
    browser.click("#enrichment-cells-filtered")
    browser.wait(lambda: "No cells are filtered now" in " ".join(form.facts()), "what is said of no cells")


def test_results_are_renamed_deleted_and_come_back(browser: Browser, server: Server) -> None:
    open_result(browser, server)
    browser.click("#shell-tab-enrichment")
    browser.click("#enrichment-tab-results")

    def names() -> list[str]:
        return browser.texts(".enrichment-results .enrichment-name")

    browser.until(names, ["Markers"])
    browser.click("[aria-label='Rename Markers']")
    browser.type("#enrichment-rename", "Mine")
    browser.press("\ue007")
    browser.until(names, ["Mine"])
    browser.click("[aria-label='Delete Mine']")
    browser.until(names, [])
    browser.click(".toast-message:last-child .toast-action")
    browser.until(names, ["Mine"])
    browser.click(".enrichment-name")
    FromEnrichment(browser).wait()
    assert browser.js("return location.pathname") == "/annotate/enrichment"
