"""Drafts on disk: backups, what other programs do to them, and data that changes under them."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.browser.annotation_pages import ExistingAnnotations, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import NamingDialog, Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Draft, Server
from tests.browser.studies import combined, small_obs, small_study, small_values
from tests.studies import write_study

pytestmark = pytest.mark.browser

LABELS = combined([small_values("leiden")], "Unassigned", "_", "default")


def listed(shell: Shell, name: str) -> ExistingAnnotations:
    """Make an annotation of the clusters and show it in the list, once it is saved."""
    NewAnnotation(shell.browser).make(name)
    shell.go_to("Existing Annotations")
    existing = ExistingAnnotations(shell.browser)
    shell.browser.wait(lambda: name in existing.names(), f"{name} in the list")
    shell.wait_until_saved()
    return existing


def edit_outside(path: Path, column: str, change: Callable[[int, str], str]) -> None:
    """Change a column of a draft as a script would, which gets each cell's row and label."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    comments = [line for line in lines if line.startswith("# ")]
    head, *rows = csv.reader(io.StringIO("".join(lines[len(comments) :])), strict=True)
    place = head.index(column)
    for number, row in enumerate(rows):
        row[place] = change(number, row[place])
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([head, *rows])
    path.write_text("".join(comments) + written.getvalue(), encoding="utf-8")


def backups(server: Server) -> list[Path]:
    """Return the backups in the order of their names."""
    return sorted(server.folder.glob("*-backups/*.csv"))


def test_what_a_script_changes_in_the_draft_becomes_an_event(browser: Browser, serve: Serve, small_file: Path) -> None:
    server = serve("serve", small_file, "--single-user")
    shell, plot = Shell(browser).open(server, "/annotate"), PlotPanel(browser)
    existing = listed(shell, "fate")
    existing.colour_plot("fate")
    plot.wait_for_title("fate")
    edit_outside(server.draft_path(), "fate", lambda row, label: "by hand" if row < 7 else label)
    changed = ["by hand"] * 7 + LABELS[7:]
    name = server.draft_path().name
    shell.wait_for_toast(f"{name} was changed outside iscan-dash: 7 cells follow.")
    browser.wait(lambda: existing.version("fate") == 2, "the next version")
    assert existing.history("fate") == [("Edited outside", "now"), ("Created from leiden", "Revert")]
    existing.close_history()
    browser.until(lambda: plot.legend().get("by hand"), 7)
    assert existing.labels("fate")["by hand"][1] == 7
    shell.wait_until_saved()
    assert server.draft().columns["fate"] == changed
    # It is an edit like any other.
    shell.close_toasts()
    shell.undo()
    browser.wait(lambda: existing.version("fate") == 3, "the labels as they were")
    shell.wait_until_saved()
    assert server.draft().columns["fate"] == LABELS

    # What nobody can read is not lost, and neither are the annotations.
    broken = b'index,fate\n"cell0,no end\n'
    before = set(backups(server))
    server.draft_path().write_bytes(broken)
    browser.wait(lambda: any("could not be taken over" in text for text in shell.toasts()), "the message")
    (said,) = shell.toasts()[-1:]
    (kept,) = (path for path in set(backups(server)) - before if path.name.startswith("outside-"))
    assert said.startswith(f"{name} was changed outside iscan-dash: it could not be taken over: {name} is no CSV table")
    assert said.endswith(f"It is kept as {kept}.")
    assert kept.read_bytes() == broken
    shell.wait_until_saved()
    browser.until(lambda: server.draft_path().read_bytes() != broken, True)
    assert server.draft().columns["fate"] == LABELS
    assert existing.version("fate") == 3


def test_ten_backups_are_kept(browser: Browser, serve: Serve, small_file: Path) -> None:
    server = serve("serve", small_file, "--single-user")
    existing = listed(Shell(browser).open(server, "/annotate"), "fate")
    assert backups(server) == []
    written = [server.draft_path().read_bytes()]
    for number in range(1, 12):
        label = f"default {number}"
        existing.set_default("fate", label)
        browser.wait(lambda label=label: label.encode() in server.draft_path().read_bytes(), "the draft")
        written.append(server.draft_path().read_bytes())
    # Each is a draft as it was, whole; the first is the one that made room.
    assert [path.read_bytes() for path in backups(server)] == written[1:-1]
    assert len(backups(server)) == 10
    assert {path.parent.name for path in backups(server)} == {"small-backups"}
    assert len({path.name for path in backups(server)}) == 10


@pytest.fixture
def changing_file(tmp_path: Path) -> Path:
    """A study of 60 cells that a test changes."""
    return small_study(tmp_path / "small.h5ad")


def write_part(path: Path, cells: list[int], n_new: int) -> list[str]:
    """Write a study of some cells of the small one and a few new ones; return the ids."""
    obs = pd.DataFrame(small_obs()).iloc[cells + list(range(n_new))].reset_index(drop=True)
    ids = [f"cell{cell}" for cell in cells] + [f"new{number}" for number in range(n_new)]
    write_study(path, dict(obs), cells=ids, genes=6)
    return ids


def test_drafts_of_changed_data_are_offered_and_follow_their_cells(
    browser: Browser, serve: Serve, changing_file: Path
) -> None:
    server = serve("serve", changing_file, "--single-user")
    shell = Shell(browser).open(server, "/annotate")
    listed(shell, "fate")
    first_draft = shell.draft_path()
    first_bytes = first_draft.read_bytes()
    browser.leave()
    server.stop()
    # 10 cells are gone, the others come in another order, 5 are new.
    ids = write_part(changing_file, [*range(59, 9, -1)], 5)
    server = serve("serve", changing_file, "--single-user")
    shell.open(server, "/annotate/existing")
    existing = ExistingAnnotations(browser)
    offer = f"{first_draft.name} holds your annotations of other cells: 50 of 55 cells match by sample and ID."
    shell.answer_toast(offer, "Re-attach")
    NamingDialog(browser).wait().confirm()
    shell.wait_for_toast('"fate": back, for 50 cells.')
    browser.wait(lambda: "fate" in existing.names(), "the annotation")
    brought = [LABELS[int(own[4:])] if own.startswith("cell") else "Unassigned" for own in ids]
    assert existing.row("fate").n_set == 55 - brought.count("Unassigned")
    shell.wait_until_saved()
    second_draft = shell.draft_path()
    assert second_draft != first_draft
    draft = Draft.read(second_draft)
    assert (draft.columns["index"], draft.columns["fate"]) == (ids, brought)
    assert {label: cells for label, (_, cells) in existing.labels("fate").items()} == {
        label: brought.count(label) for label in {*LABELS}
    }
    # The old drafts stay as they are, for the data as it was.
    assert first_draft.read_bytes() == first_bytes
    shell.close_toasts()
    browser.leave()
    server.stop()

    # To each of the drafts another answer: those that are not wanted now are offered at the next start.
    write_part(changing_file, [*range(30)], 0)
    server = serve("serve", changing_file, "--single-user")
    shell.open(server, "/annotate/existing")
    of_first = f"{first_draft.name} holds your annotations of other cells: 30 of 30 cells match by sample and ID."
    of_second = f"{second_draft.name} holds your annotations of other cells: 20 of 30 cells match by sample and ID."
    shell.wait_for_toast(of_second)
    shell.answer_toast(of_first, "Not now")
    shell.wait_for_toast(f"{first_draft.name} stays as it is.")
    browser.leave()
    server.stop()
    server = serve("serve", changing_file, "--single-user")
    shell.open(server, "/annotate/existing")
    shell.wait_for_toast(of_second)
    shell.wait_for_toast(of_first)
    assert first_draft.read_bytes() == first_bytes


def test_a_draft_moved_away_with_its_study_comes_back(browser: Browser, serve: Serve, changing_file: Path) -> None:
    server = serve("serve", changing_file, "--single-user")
    shell = Shell(browser).open(server, "/annotate")
    existing = listed(shell, "fate")
    existing.rename("fate", "fate, 2nd")
    browser.wait(lambda: "fate, 2nd" in existing.names(), "the new name")
    browser.leave()
    server.stop()
    moved = changing_file.parent / "elsewhere" / "another name.h5ad"
    moved.parent.mkdir()
    changing_file.rename(moved)
    server = serve("serve", moved, "--single-user")
    shell.open(server, "/annotate/existing")
    browser.until(existing.names, ["fate, 2nd"])
    assert existing.row("fate, 2nd").version == 2
    assert shell.undo_title() == 'Undo: Renamed from "fate" to "fate, 2nd" (Ctrl+Z)'
    existing.describe("fate, 2nd", "goes on")
    browser.wait(lambda: existing.version("fate, 2nd") == 3, "the next edit")
    shell.wait_until_saved()
    assert server.draft().columns["fate, 2nd"] == LABELS


def test_without_annotations_there_is_only_the_data(browser: Browser, serve: Serve, small_file: Path) -> None:
    server = serve("serve", small_file, "--disable-annotations")
    shell = Shell(browser).open(server)
    assert browser.texts("#shell-tabs a") == ["Data"]
    assert sum(PlotPanel(browser).legend().values()) == 60
    # Also for those who know the addresses.
    for path in ("/annotate", "/annotate/existing", "/export"):
        shell.open(server, path)
        assert "404" in browser.text("#_pages_content")
    assert list(small_file.parent.iterdir()) == [small_file]


def test_one_file_of_annotations_is_read_and_rewritten(
    browser: Browser, serve: Serve, small_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.csv"
    rows = [f'cell{cell},"{"left, outer" if cell % 2 else "right"}"' for cell in range(60)]
    file.write_text("index,side\n" + "\n".join(rows) + "\n")
    sides = ["left, outer" if cell % 2 else "right" for cell in range(60)]
    server = serve("serve", small_file, "--single-user", "--annotations-file", file)
    shell, existing = Shell(browser).open(server, "/annotate/existing"), ExistingAnnotations(browser)
    browser.until(existing.names, ["side"])
    assert shell.draft_path() == file
    # It has its name already.
    NewAnnotation(browser).make("added")
    shell.wait_until_saved()
    draft = Draft.read(file)
    assert (draft.columns["side"], draft.columns["added"]) == (sides, LABELS)
    browser.leave()
    server.stop()
    server.start()
    shell.open(server, "/annotate/existing")
    browser.until(existing.names, ["added", "side"])
