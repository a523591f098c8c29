"""The page References: what there is, why some cannot be used, and how to get others."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iscan_dash.services.install_job import NO_CELLDEX, can_install
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import Shell
from tests.browser.prediction_pages import MakeReference, PredictionForm, References
from tests.browser.server import Server
from tests.references import LABELS, gene_names, some_profiles, write_folder, write_profiles
from tests.studies import write_study

pytestmark = pytest.mark.browser

BUILT_IN = ("blueprint_encode", "hpca", "immgen", "monaco_immune", "mouse_rnaseq")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("references")


@pytest.fixture(scope="module")
def own(shared: Path, small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("drafts")
    running = Server("serve", small_file, "--single-user", "--references", shared, folder=folder).start()
    yield running
    running.close()


def test_what_comes_with_iscan_dash(browser: Browser, own: Server) -> None:
    Shell(browser).open(own)
    references = References(browser).open()
    expected = dict.fromkeys(BUILT_IN, "not installed") | {"hao_pbmc": "readycomes with iscan-dash"}
    assert {key: references.rows()[key] for key in expected} == expected
    said = references.details("hao_pbmc")
    assert "(matches the matrix)" in said and "Main labels (7)" in said and "Fine labels (11)" in said
    assert "113 profiles, 5,284 genes" in said and "doi:10.1016/j.cell.2021.04.048" in said
    said = references.details("hpca")
    assert "iscan-dash references install hpca" in said


@pytest.mark.skipif(can_install(), reason="celldex is here")
def test_without_celldex_nothing_can_be_installed_from_the_page(browser: Browser, own: Server) -> None:
    Shell(browser).open(own)
    References(browser).open()
    assert browser.text("#references-no-install") == NO_CELLDEX
    assert not browser.is_shown("[data-act='install']")


def test_what_is_put_into_the_folder_appears_with_what_is_wrong(browser: Browser, own: Server, shared: Path) -> None:
    Shell(browser).open(own)
    references = References(browser).open()
    assert "gut" not in references.rows()
    write_folder(shared / "gut")
    browser.wait(lambda: references.rows().get("gut") == "readyyour folder", "the new reference")
    assert "Main labels (4)" in references.details("gut")
    # The manifest of another matrix.
    write_folder(shared / "torn", checksum=f"sha256:{'0' * 64}")
    (shared / "bad").mkdir()
    (shared / "bad" / "reference.json").write_text(json.dumps({"id": "bad"}))
    write_profiles(shared / "hao_pbmc.h5ad")
    browser.wait(lambda: {"torn", "bad", "hao_pbmc~2"} <= set(references.rows()), "the broken ones")
    assert references.rows()["bad"].startswith("refused")
    assert 'reference.json has no field "name".' in references.details("bad")
    assert "its SHA-256 differs" in references.details("torn")
    assert 'The id "hao_pbmc" is that of another reference' in references.details("hao_pbmc~2")
    # The form offers what can be used alone.
    form = PredictionForm(browser).open()
    assert form.references()["gut"] is True
    assert "bad" not in form.references()


def test_a_missing_folder_is_said(browser: Browser, serve: Serve, small_file: Path, tmp_path: Path) -> None:
    server = serve("serve", small_file, "--single-user", "--references", tmp_path / "nowhere")
    Shell(browser).open(server)
    References(browser).open()
    assert "nowhere does not exist" in browser.text(".references-page .field-error")


@pytest.fixture(scope="module")
def labelled(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of 240 cells whose kinds are known."""
    names = list(dict.fromkeys(LABELS))
    truth = [names[place % 4] for place in range(240)]
    x = np.random.default_rng(1).poisson(some_profiles(truth, seed=1) / 2).astype(np.float32)
    obs = {
        "kind": pd.Categorical(["Unknown" if place < 3 else label for place, label in enumerate(truth)]),
        "subkind": pd.Categorical([f"{label} {'ab'[place % 8 // 4]}" for place, label in enumerate(truth)]),
    }
    folder = tmp_path_factory.mktemp("labelled")
    path = write_study(folder / "cells.h5ad", obs, genes=gene_names(600), x=x)
    running = Server("serve", path, "--single-user", "--references", shared, folder=folder / "drafts").start()
    yield running
    running.close()


def test_a_reference_is_made_of_the_dataset(browser: Browser, labelled: Server, shared: Path) -> None:
    # Of an earlier attempt, when the test is repeated: its name would be taken.
    shutil.rmtree(shared / "our_own_cells", ignore_errors=True)
    shell = Shell(browser).open(labelled)
    references = References(browser).open()
    form = MakeReference(browser).open()
    assert form.plan() == ["Choose labels to see what would be made."]
    form.labels("kind", "subkind").fill_in(name="Our own cells")
    said = form.wait_for_plan("from 237 cells.")
    assert said[0] == "8 profiles of 4 main and 8 fine labels, from 237 cells."
    assert said[1] == "3 cells without one of these labels are not used."
    assert str(shared) in said[-1]
    assert form.ticked() == {name: name != "Unknown" for name in (*dict.fromkeys(LABELS), "Unknown")}
    assert browser.js("return document.getElementById('make-id').value") == "our_own_cells"
    form.submit()
    # Looked for at once: the message goes away by itself.
    shell.wait_until_said("Our own cells: It can be chosen now. 4 main and 8 fine labels, ")
    # The list comes back by itself, with what was made.
    browser.wait(lambda: references.rows().get("our_own_cells") == "readyyour folder", "the new reference", 60)
    said = references.details("our_own_cells")
    assert "Test by main labels" in said and "100.0 % of" in said and "Main labels (4)" in said
    assert "Made with iscan-dash" in said and "labelled by kind and subkind" in said
    rows = references.test_of("our_own_cells")
    assert set(rows) == set(LABELS) and {right for _, right, _ in rows.values()} == {"100.0 %"}
    # Nobody can tell the halves of a kind apart: they are taken for each other.
    fine = references.test_of("our_own_cells", "fine")
    assert any("T cell b" in taken for _, _, taken in fine.values())
    prediction = PredictionForm(browser).open().choose("our_own_cells").name("by our own")
    prediction.wait_for_preflight("reference marker genes found (100%).")
    assert " labelled with 4 labels." in prediction.wait_until_done(prediction.submit())


def test_what_cannot_be_made_is_said(browser: Browser, labelled: Server) -> None:
    Shell(browser).open(labelled)
    References(browser).open()
    form = MakeReference(browser).open()
    # Nobody is told off before they came to a field.
    assert browser.text("#make-main-error") == browser.text("#make-name-error") == ""
    form.labels("kind").fill_in(name="HPCA")
    form.wait_for_error("id", 'There is a reference "hpca" already. Choose another id.')
    form.fill_in(id="Mine!")
    form.wait_for_error("id", "An id has 1 to 64 small letters, digits and _.")
    form.fill_in(id="mine", profiles="99")
    form.wait_for_error("profiles", "Profiles for each label must be 1 to 50.")
    form.fill_in(profiles="5")
    form.wait_for_error("profiles", "")
    for label in ("B cell", "Monocyte", "NK cell"):
        form.tick(label)
    browser.wait(lambda: "there is only T cell" in browser.text("#make-main-error"), "the refusal")
    browser.click("#make-back")
    assert References(browser).rows()
