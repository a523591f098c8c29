"""What survives: kills, restarts, a server that is away for a while, a folder that is."""

import time
from pathlib import Path

import pytest

from iscan_dash.web.same_study import ANOTHER
from tests.browser.annotation_pages import ExistingAnnotations, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.edit_pages import EditAnnotation
from tests.browser.gateway import bad_gateway
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.studies import combined, small_study, small_values

pytestmark = pytest.mark.browser

LABELS = combined([small_values("leiden")], "Unassigned", "_", "default")

GONE = "The server does not answer. Nothing is lost; this page goes on when it is back."


def test_an_acknowledged_edit_survives_a_kill(browser: Browser, serve: Serve, small_file: Path) -> None:
    server = serve("serve", small_file, "--single-user")
    browser.expect_the_server_to_go()
    shell = Shell(browser).open(server, "/annotate")
    existing = ExistingAnnotations(browser)
    NewAnnotation(browser).make("kept")
    server.kill()
    # The autosave had no time; the journal has everything.
    assert list(server.folder.glob("*.csv")) == []
    server.start()
    shell.open(server, "/annotate/existing")
    browser.wait(lambda: "kept" in existing.names(), "the annotation")
    row = existing.row("kept")
    assert (row.n_labels, row.n_set, row.version) == (6, 60 - LABELS.count("Unassigned"), 1)
    # The draft is made good at once.
    shell.wait_until_saved()
    assert server.draft().columns["kept"] == LABELS
    existing.rename("kept", "kept on")
    browser.wait(lambda: "kept on" in existing.names(), "the new name")
    server.kill()
    assert list(server.draft().columns) == ["index", "sample", "kept"]
    server.start()
    shell.open(server, "/annotate/existing")
    browser.wait(lambda: "kept on" in existing.names(), "the annotation")
    assert existing.history("kept on") == [
        ('Renamed from "kept" to "kept on"', "now"),
        ("Created from leiden", "Revert"),
    ]
    existing.close_history()
    assert shell.undo_title() == 'Undo: Renamed from "kept" to "kept on" (Ctrl+Z)'
    assert {label: cells for label, (_, cells) in existing.labels("kept on").items()} == {
        label: LABELS.count(label) for label in set(LABELS)
    }
    shell.wait_until_saved()
    assert server.draft().columns["kept on"] == LABELS


def test_the_page_goes_on_when_the_server_is_back(browser: Browser, serve: Serve, small_file: Path) -> None:
    server = serve("serve", small_file, "--single-user")
    browser.expect_the_server_to_go()
    shell = Shell(browser).open(server, "/annotate")
    form = NewAnnotation(browser)
    form.wait_for_summary("1 label, 60 cells, 60 by default")
    assert shell.banner() == ""
    server.stop()
    browser.until(shell.banner, GONE)
    server.start()
    browser.until(shell.banner, "")
    # The same page, without a reload, works as before.
    form.default("anew")
    browser.until(form.counts, [("anew", "60")])
    form.default("Unassigned")
    form.make("after")
    PlotPanel(browser).colour_by("after")
    assert PlotPanel(browser).legend()["0"] == LABELS.count("0")


def test_an_edit_made_while_the_server_is_away_is_made_later(browser: Browser, serve: Serve, small_file: Path) -> None:
    server = serve("serve", small_file, "--single-user")
    browser.expect_the_server_to_go()
    shell, existing = Shell(browser).open(server, "/annotate"), ExistingAnnotations(browser)
    NewAnnotation(browser).make("before")
    shell.go_to("Existing Annotations")
    existing.expand("before")
    shell.wait_until_saved()
    server.stop()
    existing.rename("before", "typed while away")
    browser.until(shell.banner, GONE)
    assert existing.names() == ["before"]
    assert existing.fields("before")[0] == "typed while away"
    server.start()
    browser.until(existing.names, ["typed while away"])
    browser.until(shell.banner, "")
    shell.wait_until_saved()
    assert server.draft().columns["typed while away"] == LABELS
    # Once, and in no other way.
    assert existing.row("typed while away").version == 2
    assert shell.toasts() == []


def test_a_folder_that_is_away_is_said_and_made_good(browser: Browser, serve: Serve, small_file: Path) -> None:
    server = serve("serve", small_file, "--single-user")
    shell = Shell(browser).open(server, "/annotate")
    away = server.folder.with_name("away")
    NewAnnotation(browser).make("first")
    server.folder.rename(away)
    browser.until(shell.save_text, "Save failed - retrying (No such file or directory)")
    away.rename(server.folder)
    browser.until(shell.save_text, "All saved")
    assert server.draft().columns["first"] == LABELS
    assert [path.suffix for path in server.folder.iterdir() if path.name.startswith(".")] == [".lock"]
    # An edit that cannot be kept is refused, and none is lost.
    server.folder.rename(away)
    form = NewAnnotation(browser)
    form.copy_from("cluster", "leiden").name("second")
    browser.until(lambda: form.grid.header()[-1], "second")
    form.create()
    browser.wait(lambda: any("The edit was not saved in" in text for text in shell.toasts()), "the refusal")
    away.rename(server.folder)
    form.create()
    shell.wait_for_toast(f'"second" was created: 6 labels, {60 - LABELS.count("Unassigned")} cells set.')
    shell.wait_until_saved()
    assert server.draft().columns["first"] == server.draft().columns["second"] == LABELS


def test_a_file_replaced_meanwhile_stops_edits(
    browser: Browser, serve: Serve, tmp_path: Path, small_file: Path
) -> None:
    copy = tmp_path / "copy.h5ad"
    copy.write_bytes(small_file.read_bytes())
    shell = Shell(browser).open(serve("serve", copy, "--single-user"), "/annotate")
    NewAnnotation(browser).make("before")
    shell.wait_until_saved()
    copy.write_bytes(small_file.read_bytes()[:-1] + b"\0")
    browser.until(
        shell.banner,
        "copy.h5ad changed on disk since the study was opened. Edits stop until iscan-dash is restarted.",
    )
    form = NewAnnotation(browser)
    form.name("after")
    browser.until(lambda: form.grid.header()[-1], "after")
    form.create()
    shell.wait_for_toast("copy.h5ad was changed on disk since it was opened. Restart iscan-dash to go on.")
    shell.go_to("Existing Annotations")
    browser.until(ExistingAnnotations(browser).names, ["before"])


def test_drafts_follow_the_cells_not_the_file(browser: Browser, serve: Serve, tmp_path: Path, small_file: Path) -> None:
    first = serve("serve", small_file, "--single-user")
    Shell(browser).open(first, "/annotate")
    NewAnnotation(browser).make("moved along")
    first.stop()
    moved = tmp_path / "renamed.h5ad"
    moved.write_bytes(small_file.read_bytes())
    Shell(browser).open(serve("serve", moved, "--single-user"), "/annotate/existing")
    browser.wait(lambda: "moved along" in ExistingAnnotations(browser).names(), "the annotation")
    browser.expect_the_server_to_go()


def test_a_page_of_another_study_stops(browser: Browser, serve: Serve, tmp_path: Path, small_file: Path) -> None:
    first = serve("serve", small_file, "--single-user")
    shell = Shell(browser).open(first, "/annotate")
    form = NewAnnotation(browser)
    form.wait_for_summary("1 label, 60 cells, 60 by default")
    first.stop()
    browser.expect_the_server_to_go()
    # Dash logs a callback that was refused as an object, and whether one asks before the rest does is left to time.
    browser.expect_errors("409 (CONFLICT)", "the server did not respond", "dash_renderer")
    other = small_study(tmp_path / "other.h5ad")
    second = serve("serve", other, "--single-user")
    browser.until(lambda: browser.texts(".banner.lasting > span"), [ANOTHER])
    assert shell.banner() == ""
    # It asks for nothing any more, and nothing of it can be used.
    assert browser.js("return document.querySelector('.areas').inert") is True
    browser.requests()
    assert browser.js("return fetch('/api/v1/status').then((answer) => answer.status)") == 409
    time.sleep(1)
    assert browser.requests() == []
    browser.click(".banner.lasting button")
    browser.until(shell.title, "other")
    shell.wait_until_ready().go_to("Existing Annotations")
    assert ExistingAnnotations(browser).names() == []
    assert browser.texts(".banner.lasting") == []
    # The same study again: the page goes on.
    PlotPanel(browser).wait_for_tools()
    second.stop()
    browser.until(shell.banner, GONE)
    second.start()
    browser.until(shell.banner, "")
    assert browser.texts(".banner.lasting") == []


def test_behind_a_proxy_a_page_goes_on_too(browser: Browser, serve: Serve, small_file: Path) -> None:
    server = serve("serve", small_file, "--single-user")
    browser.expect_the_server_to_go()
    browser.expect_errors("502 (Bad Gateway)")
    shell, edit = Shell(browser).open(server, "/annotate"), EditAnnotation(browser)
    NewAnnotation(browser).make("kept")
    edit.open().choose("kept")
    edit.wait_for_count("60 of 60 cells, 0 ticked")
    shell.wait_until_saved()
    server.stop()
    with bad_gateway(server.url):
        browser.until(shell.banner, GONE)
        # Rows, and a page, that are asked for meanwhile.
        browser.js("iscan.edit.refresh('top')")
        time.sleep(1)
        assert browser.text("#edit-failure") == ""
    server.start()
    browser.until(shell.banner, "")
    edit.wait_for_count("60 of 60 cells, 0 ticked")
    assert edit.ids()
    server.stop()
    with bad_gateway(server.url):
        shell.go_to("Export")
        browser.until(shell.banner, GONE)
    server.start()
    browser.until(lambda: browser.is_shown("#export-page, [id^=export]"), True)
    browser.until(shell.banner, "")
    assert shell.toasts() == []
