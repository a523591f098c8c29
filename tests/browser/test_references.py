"""The page References: what there is, why some cannot be used, and how to get others."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from iscan_dash.services.install_job import NO_CELLDEX, can_install
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import Shell
from tests.browser.prediction_pages import PredictionForm, References
from tests.browser.server import Server
from tests.references import write_folder, write_profiles

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
