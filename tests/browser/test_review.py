"""The review queue by the keyboard, and What is this? beside the Assign bar."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.references import Registry
from iscan_dash.core.study import open_study
from iscan_dash.services.expression_samples import ExpressionSamples
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.prepared_references import PreparedReferences, Waiting
from iscan_dash.services.what_is_this import Namer
from iscan_dash.services.what_is_this import WhatIsThis as Found
from iscan_dash.services.workspace import Workspace
from tests.browser.chromium import Browser
from tests.browser.edit_pages import EditAnnotation
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.review_pages import ReviewPage, WhatIsThis
from tests.browser.selection_pages import Strip
from tests.browser.server import Server
from tests.predictions import CLUSTERS, N_CELLS, add_prediction, write_cells
from tests.references import write_folder

pytestmark = pytest.mark.browser

LEIDEN = np.array([None if place in {1, 2} else own for place, own in enumerate(CLUSTERS)])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    write_folder(folder / "references" / "gut")
    return write_cells(folder / "cells.h5ad")


@pytest.fixture
def predicted(study: Path, tmp_path: Path) -> Annotation:
    """A prediction among the drafts, and an annotation made by hand."""
    (tmp_path / "drafts").mkdir()
    (tmp_path / "made").mkdir()
    workspace = Workspace(open_study([study]), user="local", folder=tmp_path / "drafts")
    made = add_prediction(workspace, registry_of(study), tmp_path / "made")
    workspace.create_from_existing("by hand", [], CombineRecipe("Unassigned"))
    workspace.close()
    workspace.study.close()
    return made


@pytest.fixture
def server(study: Path, predicted: Annotation, tmp_path: Path, browser: Browser) -> Iterator[Server]:
    references = study.parent / "references"
    running = Server("serve", study, "--single-user", "--references", references, folder=tmp_path / "drafts").start()
    yield running
    browser.leave()
    running.close()


def registry_of(study: Path) -> Registry:
    return Registry(study.parent / "installed", study.parent / "references")


def labels_of(annotation: Annotation) -> np.ndarray:
    return np.array([annotation.live.by_id[code].text for code in annotation.codes.tolist()])


def draft(server: Server, browser: Browser, name: str = "SingleR") -> np.ndarray:
    """Return an annotation as the draft has it."""
    Shell(browser).wait_until_saved()
    return np.array(server.draft().columns[name])


@pytest.fixture
def review(browser: Browser, server: Server) -> ReviewPage:
    Shell(browser).open(server, "/annotate")
    return ReviewPage(browser).open()


def test_a_review_by_the_keyboard(review: ReviewPage, server: Server, predicted: Annotation) -> None:
    browser, shell = review.browser, Shell(review.browser)
    before = labels_of(predicted)
    titles = review.titles()
    assert set(titles) == {"0", "1", "2", "3", "missing"}
    assert review.progress() == "0 of 5 reviewed"
    assert review.current() == titles[0] == "0"
    # What the group is made of, and why.
    own = LEIDEN == "0"
    counts = Counter(before[own].tolist())
    browser.until(lambda: {label: int(count) for label, (count, _) in review.parts().items()}, dict(counts))
    assert review.why().startswith("B cell in ")
    assert next(iter(review.scores())) == "B cell"

    review.split()
    browser.until(lambda: review.progress().split(" of ")[0], "0")
    browser.wait(lambda: review.current().startswith("0 / "), "the first part")
    parts = [title for title in review.titles() if title.startswith("0 / ")]
    assert {"0 / B cell", "0 / T cell"} <= set(parts)
    review.wait()

    review.press("a")
    accepted = parts[0]
    browser.until(lambda: review.states()[accepted], "accepted")
    review.wait()
    second = review.current()
    review.press("k")
    browser.until(lambda: review.states()[second], "skipped")
    review.wait()
    third = review.current()
    assert len({accepted, second, third}) == 3
    (n_cells,) = [group.cells for group in review.groups() if group.title == third]
    review.relabel("my own label")
    browser.until(lambda: review.states()[third], "relabelled")
    shell.wait_until_said(f'{n_cells} cells set to "my own label" (review of {third})')
    # The keys go on with the next group, without a click.
    review.wait()
    assert review.current() not in {accepted, second, third}
    n_groups = len(review.groups())
    assert review.progress() == f"2 of {n_groups} reviewed, 1 skipped"
    after = draft(server, browser)
    mask = after == "my own label"
    assert mask.sum() == n_cells
    assert own[mask].all() or not third.startswith("0 ")
    np.testing.assert_array_equal(after[~mask], before[~mask])

    # Reload keeps what was noted.
    states, now = review.states(), review.current()
    shell.reload()
    review.wait()
    assert (review.states(), review.current()) == (states, now)
    assert review.progress() == f"2 of {n_groups} reviewed, 1 skipped"

    # Back to one that is done: undo takes its label back, and it is open again.
    review.click(third)
    review.wait_for(third)
    assert browser.text("#review-state") == "my own label"
    assert review.parts() == {"my own label": (str(mask.sum()), "100.0 %")}
    shell.undo()
    browser.until(lambda: review.states()[third], "open")
    browser.wait(lambda: "my own label" not in review.parts(), "the labels of before")
    np.testing.assert_array_equal(draft(server, browser), before)
    review.click(accepted)
    review.wait_for(accepted)
    review.press("u")
    browser.until(lambda: review.states()[accepted], "open")

    # The rest, to the end.
    while review.progress().split(" of ")[0] != str(n_groups):
        progress = review.progress()
        if not browser.is_shown("#review-title"):
            review.click(second)
            review.wait_for(second)
        review.wait()
        review.press("a")
        browser.wait(lambda progress=progress: review.progress() != progress, "the next group")
    browser.until(
        lambda: browser.text("#review-done"),
        f"Every group was looked at: {n_groups} reviewed. Choose one to look at it again.",
    )


def test_going_through_the_list(review: ReviewPage) -> None:
    browser = review.browser
    titles = review.titles()
    for key, at in (("j", 1), ("]", 2), (Keys.ARROW_DOWN, 3), (Keys.ARROW_UP, 2), ("[", 1), ("[", 0), ("[", 0)):
        review.press(key)
        review.wait_for(titles[at])
    plot = PlotPanel(browser)
    plot.wait_until_still()
    first = plot.pixels()
    review.click(titles[3])
    review.wait_for(titles[3])
    browser.wait(lambda: not np.array_equal(plot.pixels(), first), "other cells to be brought out")
    # Letters are letters where one types.
    review.press("r")
    browser.press("k")
    browser.until(lambda: browser.js("return document.querySelector('#review-label').value"), "k")
    browser.press(Keys.ESCAPE)
    browser.press(Keys.ESCAPE)
    assert set(review.states().values()) == {"open"}
    # Nor does A lead to the Assign bar here.
    review.press("a")
    browser.until(lambda: review.states()[titles[3]], "accepted")
    assert browser.js("return location.pathname") == "/annotate/review"
    browser.click("#review-open-only")
    browser.until(lambda: titles[3] in review.titles(), False)
    assert len(review.titles()) == len(titles) - 1
    # The selection is as it was, and the plots show it again elsewhere.
    EditAnnotation(browser).open()
    browser.until(lambda: browser.attribute("#plots-grid", "data-brought-out"), "")
    assert Strip(browser).count() == "No cells selected"


def test_other_groups_and_other_windows(review: ReviewPage, server: Server) -> None:
    browser = review.browser
    review.by("phase")
    browser.until(lambda: set(review.titles()), {"S", "G1"})
    browser.click("#review-with-labels")
    browser.wait(lambda: any(title.startswith("S / ") for title in review.titles()), "groups by label")
    titles = review.titles()
    review.wait()
    review.press("a")
    browser.until(lambda: review.states()[titles[0]], "accepted")
    # This way to review is remembered; the other one has progress of its own.
    Shell(browser).reload()
    review.wait()
    assert review.titles() == titles
    browser.click("#review-with-labels")
    review.by("leiden")
    browser.until(lambda: len(review.titles()), 5)
    assert review.progress() == "0 of 5 reviewed"
    # What cannot be split says so where it is asked.
    review.click("missing")
    review.wait_for("missing")
    browser.expect_errors("400 (BAD REQUEST)")
    review.split("phase (metadata)")
    browser.until(
        lambda: browser.text(".edit-popup .field-error"),
        "These cells have only one value of phase. Choose another column.",
    )
    browser.press(Keys.ESCAPE)
    browser.wait(lambda: not browser.is_shown(".edit-popup"), "the panel to close")
    assert review.current() == "missing"


def test_without_a_prediction(browser: Browser, small_file: Path, tmp_path: Path) -> None:
    server = Server("serve", small_file, "--single-user", folder=tmp_path).start()
    Shell(browser).open(server, "/annotate")
    assert not browser.is_shown("#annotate-tab-review")
    browser.js("iscan.go('/annotate/review')")
    browser.until(
        lambda: browser.texts("#review-page .empty-state > *"),
        ["No prediction of yours to review yet.", "Predict cell types"],
    )
    browser.leave()
    server.close()


# -- What is this? ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def what_is(study: Path) -> Iterator[Callable[[np.ndarray], Found]]:
    """Ask the service."""
    opened, samples = open_study([study]), ExpressionSamples()
    registry = registry_of(study)
    references = PreparedReferences(registry, Predictor(registry))
    namer = Namer(samples, references)

    def ask(mask: np.ndarray) -> Found:
        while isinstance(found := namer.what_is(opened, mask, "gut"), Waiting):
            pass
        return found

    yield ask
    references.close()
    samples.close()
    opened.close()


@pytest.fixture
def edit(browser: Browser, server: Server) -> EditAnnotation:
    Shell(browser).open(server, "/annotate")
    page = EditAnnotation(browser).open()
    page.choose("by hand")
    return page


def shown(found: Found) -> dict[str, str]:
    return {own.label: f"{own.score:#.3g}" for own in found.candidates}


def test_what_ticked_cells_are_and_one_click(
    edit: EditAnnotation, server: Server, what_is: Callable[[np.ndarray], Found]
) -> None:
    browser, shell = edit.browser, Shell(edit.browser)
    what = WhatIsThis(browser)
    browser.wait(lambda: "Main: Our gut" in what.references(), "the references")
    assert what.reference() == "Choose a reference"
    for row in (3, 7, 11):
        browser.js("return iscan.edit.tick({do: 'one', row: arguments[0], is_on: true})", row)
    edit.wait_for_count(f"{N_CELLS} of {N_CELLS} cells, 3 ticked")
    edit.apply_to("ticked")
    browser.until(what.said, "Choose what to score these cells against.")
    what.choose("Main: Our gut")
    mask = np.isin(np.arange(N_CELLS), [3, 7, 11])
    found = what_is(mask)
    browser.until(what.labels, shown(found), 120)
    assert what.said().startswith(f"ahead by {found.delta:#.3g}")
    best = found.candidates[0].label
    assert best == "T cell"
    what.apply(best)
    shell.wait_until_said('3 cells set to "T cell"')
    edit.wait_for_labels({"Unassigned": N_CELLS - 3, "T cell": 3})
    np.testing.assert_array_equal(draft(server, browser, "by hand") == "T cell", mask)
    # The reference is remembered.
    shell.reload()
    edit.wait().choose("by hand")
    browser.until(what.labels, shown(found), 120)
    assert what.reference() == "Main: Our gut"


def test_what_a_lasso_holds(edit: EditAnnotation, what_is: Callable[[np.ndarray], Found]) -> None:
    browser, plot = edit.browser, PlotPanel(edit.browser)
    what = WhatIsThis(browser)
    what.choose("Main: Our gut")
    edit.apply_to("selection")
    left, right, _, _ = plot.view()
    box = plot.box()
    # Round the cells of cluster 2, which lie about x = 8.
    edges = [(x - left) / (right - left) * box["width"] for x in (6.0, 10.0)]
    n_cells = plot.draw([(edges[0], 4), (edges[1], 4), (edges[1], box["height"] - 4), (edges[0], box["height"] - 4), (edges[0], 4)])  # fmt: skip
    mask = np.array(CLUSTERS) == "2"
    assert n_cells == mask.sum()
    found = what_is(mask)
    browser.until(what.labels, shown(found), 120)
    assert found.candidates[0].label == "NK cell"
    # Before most cells change it asks once, as the Assign bar does.
    edit.apply_to("filtered")
    browser.until(what.labels, shown(what_is(np.ones(N_CELLS, bool))), 120)
    what.apply("NK cell")
    browser.until(edit.button, f"Change {N_CELLS} of {N_CELLS} cells?")
    edit.press_button()
    edit.wait_for_labels({"Unassigned": 0, "NK cell": N_CELLS})


def test_no_cells_are_nothing(edit: EditAnnotation) -> None:
    what = WhatIsThis(edit.browser)
    what.choose("Main: Our gut")
    edit.apply_to("ticked")
    edit.tick(5)
    what.wait()
    edit.clear_ticks()
    edit.browser.until(lambda: (what.labels(), what.said()), ({}, ""))
