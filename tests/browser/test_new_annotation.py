"""New Annotation: a live preview of every cell, and the annotation that is then made, which is the same."""

from collections import Counter
from dataclasses import dataclass

import pytest

from tests.browser.annotation_pages import ExistingAnnotations, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.pages import Shell
from tests.browser.server import Server
from tests.browser.studies import N_CELLS, combined, small_values

pytestmark = pytest.mark.browser

RULES = {
    "default": "Use the default value",
    "leave_out": "Leave the part out",
    "whole_label": "Default for the whole label",
}


@pytest.fixture
def form(browser: Browser, server: Server) -> NewAnnotation:
    """The empty form."""
    Shell(browser).open(server, "/annotate")
    form = NewAnnotation(browser)
    form.wait_for_summary("1 label, 60 cells, 60 by default")
    return form


def grid_rows(labels: list[str], cells: list[int] | range = range(N_CELLS)) -> list[list[str]]:
    return [[str(cell + 1), "small", f"cell{cell}", labels[cell]] for cell in cells]


def counts_of(labels: list[str]) -> Counter[tuple[str, str]]:
    return Counter((label, str(times)) for label, times in Counter(labels).items())


def shows(form: NewAnnotation, labels: list[str], default: str) -> None:
    """Check that the whole preview shows some labels."""
    n_default = labels.count(default)
    n_labels = len(set(labels))
    form.wait_for_summary(f"{n_labels} label{'s' * (n_labels > 1)}, {N_CELLS} cells, {n_default} by default")
    form.browser.until(lambda: (rows := form.grid.rows()) == grid_rows(labels)[: len(rows)] and len(rows) > 5, True)
    assert form.grid.n_rows() == N_CELLS
    assert Counter(form.counts()) == counts_of(labels)


def test_the_preview_follows_every_field(form: NewAnnotation) -> None:
    browser = form.browser
    assert form.grid.header() == ["#", "Sample", "Cell ID", "Annotation"]
    shows(form, ["Unassigned"] * N_CELLS, "Unassigned")
    form.name("fate, 1st #try")
    browser.until(lambda: form.grid.header()[-1], "fate, 1st #try")
    form.default("?")
    shows(form, ["?"] * N_CELLS, "?")
    assert not browser.is_shown("#new-sources")
    form.copy_from("cluster", "leiden")
    assert not browser.is_shown("#new-delimiter")
    clusters = small_values("leiden")
    shows(form, combined([clusters], "?", "_", "default"), "?")
    # Metadata comes before clusters, whatever was picked first.
    form.copy_from("metadata", "phase")
    phases = small_values("phase")
    shows(form, combined([phases, clusters], "?", "_", "default"), "?")
    assert browser.is_shown("#new-delimiter")
    form.delimiter(" / ")
    shows(form, combined([phases, clusters], "?", " / ", "default"), "?")
    for rule in ("whole_label", "leave_out"):
        form.missing(RULES[rule])
        shows(form, combined([phases, clusters], "?", " / ", rule), "?")
    # The copy switched off is as good as no source.
    browser.click("#new-copy")
    shows(form, ["?"] * N_CELLS, "?")


@dataclass(frozen=True)
class Making:
    """An annotation to be made."""

    name: str
    metadata: tuple[str, ...]
    cluster: tuple[str, ...]
    with_annotation: bool
    delimiter: str
    missing: str


MAKINGS = (
    Making("two parts", ("tissue",), ("leiden",), False, "-", "leave_out"),
    Making("four parts", ("phase", "tissue"), ("leiden_fine",), True, "+", "whole_label"),
)


@pytest.mark.parametrize("making", MAKINGS, ids=lambda making: making.name)
def test_the_preview_is_what_is_made(form: NewAnnotation, server: Server, making: Making) -> None:
    browser, shell = form.browser, Shell(form.browser)
    source = f"source of {making.name}"
    parts = [small_values(name) for name in (*making.metadata, *making.cluster)]
    if making.with_annotation:
        form.make(source, cluster="leiden")
        # In an annotation no cell is missing: those without a cluster have its default label.
        parts.append(combined([small_values("leiden")], "Unassigned", "_", "default"))
    form.copy_from("metadata", *making.metadata).copy_from("cluster", *making.cluster)
    if making.with_annotation:
        form.copy_from("annotation", source)
    form.delimiter(making.delimiter).missing(RULES[making.missing]).name(making.name)
    labels = combined(parts, "Unassigned", making.delimiter, making.missing)
    shows(form, labels, "Unassigned")
    browser.until(lambda: form.grid.header()[-1], making.name)
    previewed = [row[-1] for row in form.grid.rows()]
    counts = form.counts()
    form.create()
    n_set = N_CELLS - labels.count("Unassigned")
    n_labels = len({*labels, "Unassigned"})
    shell.wait_for_toast(f'"{making.name}" was created: {n_labels} labels, {n_set} cells set.')
    shell.wait_until_saved()
    draft = server.draft()
    made = draft.columns[making.name]
    assert made == labels
    assert made[: len(previewed)] == previewed
    assert Counter(counts) == counts_of(made)
    assert draft.columns["index"] == [f"cell{cell}" for cell in range(N_CELLS)]
    assert draft.columns["sample"] == ["small"] * N_CELLS
    # The form begins anew, except for the delimiter.
    browser.until(lambda: form.grid.header()[-1], "Annotation")
    shows(form, ["Unassigned"] * N_CELLS, "Unassigned")
    assert not browser.find("#new-copy").is_selected()
    form.copy_from("metadata", "tissue", "phase")
    assert browser.js("return document.querySelector('#new-delimiter').value") == making.delimiter
    # Its row says the same.
    shell.answer_toast(f'"{making.name}" was created: {n_labels} labels, {n_set} cells set.', "Edit")
    existing = ExistingAnnotations(browser)
    browser.wait(lambda: making.name in existing.names(), "the row of the annotation")
    row = existing.row(making.name)
    assert (row.origin, row.n_labels, row.n_set, row.owner, row.version) == (
        "existing data",
        n_labels,
        n_set,
        "local",
        1,
    )
    shown = {label: cells for label, (_, cells) in existing.labels(making.name).items()}
    assert shown == {"Unassigned": N_CELLS - n_set, **Counter(labels)}


def test_an_older_answer_never_replaces_a_newer_one(form: NewAnnotation) -> None:
    older = "url.includes('_dash-update-component') && body.includes('new-preview.data') && body.includes('older')"
    with form.browser.held_back(older) as release:
        form.default("older")
        form.browser.wait(lambda: form.browser.js("return __held.waiting.length > 0"), "the older answer")
        form.default("newer").name("newer name")
        shows(form, ["newer"] * N_CELLS, "newer")
        release()
        shows(form, ["newer"] * N_CELLS, "newer")
    # However the answers come, one to another state of the form is left alone.
    stays = """
        const {showPreview} = window.dash_clientside.iscan, none = window.dash_clientside.no_update;
        const old = {seq: 0, labels: 9, cells: 9, by_default: 9, counts: [], warnings: [['W9', 'old']]};
        return showPreview(old, true, {seq: 0}).every((value) => value === none)"""
    assert form.browser.js(stays)


def test_older_rows_never_replace_newer_ones(form: NewAnnotation) -> None:
    with form.browser.held_back("url.includes('/api/v1/preview/rows') && body.includes('older')") as release:
        form.default("older")
        form.browser.wait(lambda: form.browser.js("return __held.waiting.length > 0"), "the older rows")
        form.default("newer")
        form.wait_for_summary("1 label, 60 cells, 60 by default")
        form.browser.until(form.counts, [("newer", "60")])
        release()
        shows(form, ["newer"] * N_CELLS, "newer")


def test_a_missing_name_is_asked_for_in_place(form: NewAnnotation) -> None:
    browser, shell = form.browser, Shell(form.browser)
    assert form.name_error() == ""
    form.leave_name()
    browser.until(form.name_error, "Enter a name.")
    form.name("a name")
    browser.until(form.name_error, "")
    form.name("   ")
    browser.until(form.name_error, "Enter a name.")
    assert browser.find("#new-create").is_enabled()
    form.create()
    browser.until(lambda: browser.js("return document.activeElement.id"), "new-name")
    assert form.name_error() == "Enter a name."
    # Typing goes on at once.
    browser.press("a name")
    browser.until(lambda: form.grid.header()[-1], "a name")
    browser.until(form.name_error, "")
    assert not any("was created" in text for text in shell.toasts())


def test_names_and_defaults_are_checked_while_typing(form: NewAnnotation) -> None:
    browser = form.browser
    form.make("taken")
    cases = {
        "Leiden": '"Leiden" is already used by a cluster column. Choose another name.',
        "tissue": '"tissue" is already used by a metadata column. Choose another name.',
        "TAKEN": '"TAKEN" is already used by an annotation. Choose another name.',
        "T/B cells": r"Names cannot contain / or \ because HDF5 uses them as separators.",
        "_index": '"_index" is reserved by AnnData.',
        "x" * 65: "Name is 65 characters long; the limit is 64.",
        "T, B # (CD8+)": "",
    }
    for name, sentence in cases.items():
        form.name(name)
        browser.until(form.name_error, sentence)
    form.default("")
    browser.until(form.default_error, "Enter a default value.")
    assert form.summary() == ""
    form.default("NA")
    browser.until(form.default_error, "")
    browser.until(form.warnings, ['Many tools read "NA" as missing.'])


def test_create_makes_nothing_of_a_refused_form(form: NewAnnotation) -> None:
    browser, shell = form.browser, Shell(form.browser)
    form.name("Phase")
    browser.wait(form.name_error, "what is wrong with the name")
    form.create()
    browser.until(lambda: browser.js("return document.activeElement.id"), "new-name")
    form.name("good").default("")
    browser.until(form.default_error, "Enter a default value.")
    form.create()
    browser.until(lambda: browser.js("return document.activeElement.id"), "new-default")
    browser.until(form.grid.rows, [])
    form.default("x" * 129)
    browser.until(form.default_error, "Label is 129 characters long; the limit is 128.")
    assert shell.toasts() == []
    shell.go_to("Existing Annotations")
    browser.wait(lambda: browser.is_shown("#existing-table > *"), "the list")
    assert not {"Phase", "good"} & set(ExistingAnnotations(browser).names())


def test_warnings_name_what_becomes_the_same(form: NewAnnotation) -> None:
    form.copy_from("cluster", "leiden", "leiden_fine").delimiter("").missing(RULES["leave_out"])
    form.browser.wait(form.warnings, "a warning")
    (warning,) = form.warnings()
    assert warning.startswith("W1 With no delimiter ")
    assert "different combinations become the same label" in warning


def test_the_grid_is_filtered_and_sorted(form: NewAnnotation) -> None:
    browser = form.browser
    form.copy_from("cluster", "leiden")
    labels = combined([small_values("leiden")], "Unassigned", "_", "default")
    shows(form, labels, "Unassigned")
    form.grid.filter("id", "CELL4")
    cells = [4, *range(40, 50)]
    browser.until(form.grid.n_rows, len(cells))
    browser.until(form.grid.rows, grid_rows(labels, cells))
    # Upwards, downwards; cells that are alike stay in their order.
    places = ["Unassigned", "0", "1", "2", "3", "4"]
    upwards = sorted(cells, key=lambda cell: places.index(labels[cell]))
    form.grid.sort("label")
    browser.until(form.grid.rows, grid_rows(labels, upwards))
    downwards = sorted(cells, key=lambda cell: -places.index(labels[cell]))
    form.grid.sort("label")
    browser.until(form.grid.rows, grid_rows(labels, downwards))
    form.grid.filter("id", "no such cell")
    browser.until(form.grid.rows, [])
    form.grid.filter("id", "")
    browser.until(form.grid.n_rows, N_CELLS)


def test_the_counts_are_searched(form: NewAnnotation) -> None:
    form.copy_from("metadata", "tissue", "phase")
    labels = combined([small_values("tissue"), small_values("phase")], "Unassigned", "_", "default")
    shows(form, labels, "Unassigned")
    form.search_counts("EARLY")
    early = [label for label in labels if "early" in label]
    form.browser.until(lambda: Counter(form.counts()), counts_of(early))
    form.search_counts("nothing like it")
    form.browser.until(form.counts, [("No label matches",)])


def test_an_empty_annotation_has_the_default_label_everywhere(form: NewAnnotation, server: Server) -> None:
    browser, shell = form.browser, Shell(form.browser)
    form.copy_from("cluster", "leiden")
    form.kind("Empty").name("blank").default("to do")
    shows(form, ["to do"] * N_CELLS, "to do")
    assert not browser.is_shown("#new-sources")
    assert not browser.is_shown("#new-copy")
    form.create()
    shell.wait_for_toast('"blank" was created: 1 label, 0 cells set.')
    shell.wait_until_saved()
    assert server.draft().columns["blank"] == ["to do"] * N_CELLS
    shell.go_to("Existing Annotations")
    existing = ExistingAnnotations(browser)
    browser.wait(lambda: "blank" in existing.names(), "the row of the annotation")
    assert existing.row("blank").origin == "empty"


def test_the_form_is_kept_while_one_looks_elsewhere(form: NewAnnotation) -> None:
    browser, shell = form.browser, Shell(form.browser)
    form.copy_from("metadata", "tissue").name("kept").default("none yet").missing(RULES["whole_label"])
    labels = combined([small_values("tissue")], "none yet", "_", "whole_label")
    shows(form, labels, "none yet")
    shell.go_to("Data")
    shell.go_to("Cell Annotation")
    shows(form, labels, "none yet")
    assert form.grid.header()[-1] == "kept"
    shell.reload()
    shows(form, labels, "none yet")
    browser.until(lambda: form.grid.header()[-1], "kept")


def test_only_what_can_be_copied_is_offered(form: NewAnnotation) -> None:
    n_missing = {name: small_values(name).count(None) for name in ("tissue", "phase", "leiden", "leiden_fine")}
    assert form.sources("metadata") == [
        f"tissue (3 levels, {n_missing['tissue']} missing)",
        f"phase (2 levels, {n_missing['phase']} missing)",
    ]
    assert form.sources("cluster") == [
        f"leiden (5 levels, {n_missing['leiden']} missing)",
        f"leiden_fine (10 levels, {n_missing['leiden_fine']} missing)",
    ]
