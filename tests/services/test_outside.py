"""A draft that other programs change: nothing of it is lost, and nothing of it is overwritten silently."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.study import open_study
from iscan_dash.errors import StorageError
from iscan_dash.services import drafts, ledger
from iscan_dash.services.drafts import SaveState
from iscan_dash.services.workspace import Source, Workspace
from tests.studies import write_study

FATE = Source("metadata", "fate")
RECIPE = CombineRecipe("Unassigned")

Opener = Callable[..., Workspace]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "DELAY", 0.01)
    monkeypatch.setattr(drafts, "RETRY", 0.01)
    monkeypatch.setattr(ledger, "SETTLED", 0.0)


@pytest.fixture
def open_workspace(tmp_path: Path) -> Iterator[Opener]:
    study = write_study(tmp_path / "mine.h5ad", {"fate": pd.Categorical(["B", "T", None, "B"])})
    opened: list[Workspace] = []

    def open_(**options: object) -> Workspace:
        opened.append(Workspace(open_study([study]), **{"user": "ada", "folder": tmp_path} | options))
        return opened[-1]

    yield open_
    for workspace in opened:
        workspace.close()
        workspace.study.close()


def texts(annotation: Annotation) -> list[str]:
    return [annotation.live.by_id[code].text for code in annotation.codes.tolist()]


def until_saved(workspace: Workspace) -> Path:
    """Wait for the draft and return it."""
    for _ in range(2000):
        if workspace.save_status.state is SaveState.SAVED and workspace.place.draft.exists():
            return workspace.place.draft
        time.sleep(0.005)
    raise AssertionError(workspace.save_status)


def change(draft: Path, old: str, new: str) -> None:
    """Change a draft as an editor does."""
    text = draft.read_text()
    assert old in text
    draft.write_text(text.replace(old, new))


def versions(workspace: Workspace) -> dict[str, int]:
    """Return the version of each annotation as a page shows it now."""
    return {state.id: state.version for state in workspace.annotations()}


class TestBetweenTwoStarts:
    def test_changed_cells_become_an_event(self, open_workspace: Opener) -> None:
        first = open_workspace()
        made = first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        change(first.place.draft, '"cell1","mine","T"', '"cell1","mine","NK, new"')
        again = open_workspace()
        again.open()
        draft = until_saved(again)

        state = again.annotation(made.id)
        assert texts(state) == ["B", "NK, new", "Unassigned", "B"]
        assert [(event.description, event.n_cells) for event in again.history(made.id)] == [
            ("Edited outside", 1),
            ("Created from fate", 3),
        ]
        # Labels of before keep their ids and colours; the new one has its own.
        assert state.live.labels[:3] == made.live.labels
        assert state.live.labels[3].id == 3
        assert '"NK, new"' in draft.read_text()
        assert [notice.text for notice in again.notices()] == [
            f"{draft.name} was changed outside iscan-dash: 1 cell follows."
        ]
        again.undo()
        assert texts(again.annotation(made.id)) == texts(made)

    def test_an_emptied_value_becomes_the_default(self, open_workspace: Opener) -> None:
        first = open_workspace()
        made = first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        change(first.place.draft, '"cell0","mine","B"', "cell0,mine,")
        again = open_workspace()
        again.open()
        until_saved(again)
        assert texts(again.annotation(made.id)) == ["Unassigned", "T", "Unassigned", "B"]

    def test_rows_may_come_in_another_order_and_be_fewer(self, open_workspace: Opener) -> None:
        first = open_workspace()
        made = first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        first.place.draft.write_text("index,sample,mine\ncell3,mine,T\ncell1,mine,B\n")
        again = open_workspace()
        again.open()
        until_saved(again)
        assert texts(again.annotation(made.id)) == ["B", "B", "Unassigned", "T"]

    def test_a_new_column_becomes_an_annotation(self, open_workspace: Opener) -> None:
        first = open_workspace()
        first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        text = first.place.draft.read_text().replace('sample,"mine"', 'sample,"mine",theirs,score')
        lines = [f"{line},x{number},{number}.5" for number, line in enumerate(text.splitlines()[-4:])]
        first.place.draft.write_text("\n".join([*text.splitlines()[:-4], *lines]))
        again = open_workspace()
        again.open()
        draft = until_saved(again)

        assert [state.live.name for state in again.annotations()] == ["theirs", "mine"]
        assert texts(again.annotations()[0]) == ["x0", "x1", "x2", "x3"]
        (notice,) = again.notices()
        (kept,) = again.place.backups.glob("outside-*")
        assert notice.text == (
            f'{draft.name} was changed outside iscan-dash: "theirs" is new; '
            f'not taken over: column "score" (It holds numbers that are not whole); the file is kept as {kept}.'
        )
        assert ",score" in kept.read_text()

    def test_rows_that_name_no_cell_are_kept(self, open_workspace: Opener) -> None:
        first = open_workspace()
        first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        with first.place.draft.open("a") as stream:
            stream.write('"precious","mine","T"\n')
        again = open_workspace()
        again.open()
        until_saved(again)
        (kept,) = again.place.backups.glob("outside-*")
        assert "precious" in kept.read_text()
        (notice,) = again.notices()
        assert f"1 row name no cell, or one that has a row already; the file is kept as {kept}" in notice.text

    def test_a_column_of_a_name_that_cannot_be_used_gets_another(self, open_workspace: Opener) -> None:
        first = open_workspace()
        first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        text = first.place.draft.read_text().replace('sample,"mine"', 'sample,"mine",cell/type')
        lines = [f"{line},x" for line in text.splitlines()[-4:]]
        first.place.draft.write_text("\n".join([*text.splitlines()[:-4], *lines]))
        again = open_workspace()
        again.open()
        until_saved(again)
        assert [state.live.name for state in again.annotations()] == ["cell-type", "mine"]

    def test_is_taken_over_once_though_the_draft_cannot_be_written(self, open_workspace: Opener) -> None:
        first = open_workspace()
        made = first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        text = first.place.draft.read_text().replace('sample,"mine"', 'sample,"mine",theirs')
        lines = [f"{line},x" for line in text.splitlines()[-4:]]
        first.place.draft.write_text("\n".join([*text.splitlines()[:-4], *lines]).replace('"T"', '"NK"'))
        # A file where the folder of backups should be.
        first.place.backups.touch()
        again = open_workspace()
        again.open()
        for _ in range(2000):
            if again.save_status.state is SaveState.FAILED:
                break
            time.sleep(0.005)
        time.sleep(0.1)
        assert [state.live.name for state in again.annotations()] == ["theirs", "mine"]
        again.undo()
        again.undo()
        time.sleep(0.1)
        assert texts(again.annotation(made.id)) == texts(made)
        assert [state.live.name for state in again.annotations()] == ["mine"]
        first.place.backups.unlink()
        draft = until_saved(again)
        assert '"NK"' not in draft.read_text()

    def test_a_file_that_cannot_be_understood_is_kept(self, open_workspace: Opener) -> None:
        first = open_workspace()
        made = first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        first.place.draft.write_text("cells,labels\nother,T\n")
        again = open_workspace()
        again.open()
        until_saved(again)

        assert texts(again.annotation(made.id)) == texts(made)
        (kept,) = again.place.backups.glob("outside-*")
        assert kept.read_text() == "cells,labels\nother,T\n"
        (notice,) = again.notices()
        assert "None of the 1 rows match a cell of this dataset (first: other)." in notice.text
        assert str(kept) in notice.text

    def test_a_file_that_was_not_touched_makes_no_event(self, open_workspace: Opener) -> None:
        first = open_workspace()
        made = first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        before = first.place.draft.read_bytes()
        first.place.draft.touch()
        again = open_workspace()
        again.open()
        again.close()

        assert again.place.draft.read_bytes() == before
        assert len(again.history(made.id)) == 1
        assert again.notices() == []

    def test_a_draft_that_is_gone_is_written_anew(self, open_workspace: Opener) -> None:
        first = open_workspace()
        made = first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        first.place.draft.unlink()
        again = open_workspace()
        assert texts(again.annotation(made.id)) == texts(made)
        assert '"cell1","mine","T"' in until_saved(again).read_text()

    def test_work_comes_back_from_the_draft_alone(self, open_workspace: Opener) -> None:
        first = open_workspace()
        made = first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        first.place.journal.unlink()
        again = open_workspace()
        again.open()
        until_saved(again)
        assert [(state.live.name, texts(state)) for state in again.annotations()] == [("mine", texts(made))]


class TestWhileItRuns:
    def test_is_seen_without_an_edit_here(self, open_workspace: Opener) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        change(until_saved(workspace), '"cell1","mine","T"', '"cell1","mine","NK"')
        workspace.watch_draft()
        for _ in range(2000):
            if workspace.revision == 2:
                break
            time.sleep(0.005)
        assert texts(workspace.annotation(made.id)) == ["B", "NK", "Unassigned", "B"]

    def test_both_edits_are_kept(self, open_workspace: Opener) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        draft = until_saved(workspace)
        change(draft, '"cell1","mine","T"', '"cell1","mine","NK"')
        workspace.rename(made.id, "ours", 1)
        for _ in range(2000):
            if "NK" in [label.text for label in workspace.annotation(made.id).live.labels]:
                break
            time.sleep(0.005)
        until_saved(workspace)

        assert workspace.annotation(made.id).live.name == "ours"
        assert texts(workspace.annotation(made.id)) == ["B", "NK", "Unassigned", "B"]
        assert '"ours"' in draft.read_text()

    def test_just_before_the_draft_is_replaced_is_not_lost(
        self, open_workspace: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        draft = until_saved(workspace)
        plain = workspace._draft_text
        edits = iter([True])

        def slow(states: Mapping[str, Annotation]) -> Iterator[str]:
            yield from plain(states)
            # While it is being written.
            if next(edits, False):
                change(draft, '"cell1","mine","T"', '"cell1","mine","NK"')

        monkeypatch.setattr(workspace, "_draft_text", slow)
        workspace.rename(made.id, "ours", 1)
        for _ in range(2000):
            if workspace.annotation(made.id).version == 3:
                break
            time.sleep(0.005)
        until_saved(workspace)
        assert texts(workspace.annotation(made.id)) == ["B", "NK", "Unassigned", "B"]
        assert '"ours"' in draft.read_text()

    def test_a_name_given_while_it_is_written_moves_all_files(
        self, open_workspace: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        until_saved(workspace)
        plain = workspace._draft_text
        began, may_end = threading.Event(), threading.Event()

        def slow(states: Mapping[str, Annotation]) -> Iterator[str]:
            yield from plain(states)
            began.set()
            may_end.wait(5)

        monkeypatch.setattr(workspace, "_draft_text", slow)
        workspace.assign(made.id, np.array([True, False, False, False]), "EDITED", 1)
        assert began.wait(5)
        naming = threading.Thread(target=workspace.name_collection, args=("other",))
        naming.start()
        may_end.set()
        naming.join()
        workspace.close()

        assert sorted(path.name.split("-")[0] for path in tmp_path.glob("*.csv")) == ["other"]
        assert [path.name for path in tmp_path.glob("*-backups")] == ["other-backups"]
        assert len(list((tmp_path / "other-backups").iterdir())) == 1
        again = open_workspace()
        assert texts(again.annotation(made.id)) == ["EDITED", "T", "Unassigned", "B"]
        assert len(again.history(made.id)) == 2


class TestBackups:
    def test_each_draft_leaves_the_one_before(self, open_workspace: Opener) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        versions = [until_saved(workspace).read_bytes()]
        for number in range(1, 13):
            workspace.describe(made.id, f"text {number}", number)
            versions.append(until_saved(workspace).read_bytes())
        kept = sorted(workspace.place.backups.iterdir())

        assert workspace.place.backups == workspace.place.folder / "mine-backups"
        # The newest ten of those before the last.
        assert [path.read_bytes() for path in kept] == versions[-11:-1]

    def test_two_writes_leave_one(self, open_workspace: Opener) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        until_saved(workspace)
        assert not workspace.place.backups.exists()
        workspace.describe(made.id, "x", 1)
        until_saved(workspace)
        assert len(list(workspace.place.backups.iterdir())) == 1

    def test_are_listed_with_what_is_in_them_and_restored(self, open_workspace: Opener) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        until_saved(workspace)
        workspace.assign(made.id, np.array([True, True, False, False]), "NK", 1)
        until_saved(workspace)
        workspace.rename(made.id, "ours", 2)
        until_saved(workspace)
        newest, oldest = workspace.backups()

        assert newest.time > oldest.time
        assert [(column.name, column.n_labels) for column in oldest.columns] == [("mine", 3)]
        assert [(column.name, column.n_labels) for column in newest.columns] == [("mine", 3)]
        assert workspace.preview_backup(oldest.name) == [("ours", 2)]
        assert workspace.restore_backup(oldest.name, versions(workspace)) == ["ours"]
        restored = workspace.annotation(made.id)
        assert (restored.live.name, texts(restored), restored.version) == ("ours", texts(made), 4)
        assert workspace.restore_backup(oldest.name, versions(workspace)) == []
        workspace.undo()
        assert texts(workspace.annotation(made.id)) == ["NK", "NK", "Unassigned", "B"]

    def test_bring_back_what_was_deleted_as_a_new_annotation(self, open_workspace: Opener) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        until_saved(workspace)
        workspace.delete(made.id, workspace.annotation(made.id).version)
        until_saved(workspace)
        (backup,) = workspace.backups()
        assert workspace.restore_backup(backup.name, versions(workspace)) == ["mine"]
        (again,) = workspace.annotations()
        assert again.id != made.id
        assert texts(again) == texts(made)

    @pytest.mark.parametrize("name", ["", "../mine.h5ad", "mine.csv"])
    def test_of_another_name_are_refused(self, open_workspace: Opener, name: str) -> None:
        with pytest.raises(StorageError, match="rotated out"):
            open_workspace().restore_backup(name, {})


class TestAssign:
    def test_sets_cells_and_adds_the_label(self, open_workspace: Opener) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        after = workspace.assign(made.id, np.array([True, False, True, False]), " NK ", 1)
        assert texts(after) == ["NK", "T", "NK", "B"]
        assert workspace.history(made.id)[0].description == '2 cells set to "NK"'
        again = workspace.assign(made.id, np.array([False, True, False, False]), "NK", 2)
        assert [label.text for label in again.live.labels] == ["Unassigned", "B", "T", "NK"]

    def test_of_no_cell_is_no_event(self, open_workspace: Opener) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        assert workspace.assign(made.id, np.zeros(4, bool), "NK", 1).version == 1


class TestOneFile:
    def test_is_created_and_rewritten(self, open_workspace: Opener, tmp_path: Path) -> None:
        file = tmp_path / "labels.csv"
        workspace = open_workspace(file=file)
        assert not workspace.needs_name
        workspace.create_from_existing("mine", [FATE], RECIPE)
        until_saved(workspace)
        assert '"cell1","mine","T"' in file.read_text()
        assert (tmp_path / "labels.journal.db").exists()

    def test_is_read(self, open_workspace: Opener, tmp_path: Path) -> None:
        file = tmp_path / "labels.csv"
        file.write_text("# cellxgene\nindex,fate 2\ncell1,unassigned\ncell0,T\n")
        workspace = open_workspace(file=file)
        workspace.open()
        until_saved(workspace)
        for _ in range(2000):
            if workspace.annotations():
                break
            time.sleep(0.005)
        (state,) = workspace.annotations()
        assert (state.live.name, texts(state)) == ("fate 2", ["T", "unassigned", "Unassigned", "Unassigned"])

    def test_of_two_users_at_once_is_refused(self, open_workspace: Opener, tmp_path: Path) -> None:
        first = open_workspace(file=tmp_path / "labels.csv")
        first.create_from_existing("mine", [FATE], RECIPE)
        with pytest.raises(StorageError, match="open in another iscan-dash"):
            open_workspace(file=tmp_path / "labels.csv", user="bob").annotations()


class TestNaming:
    def test_is_done_once(self, open_workspace: Opener) -> None:
        workspace = open_workspace()
        workspace.name_collection("lab")
        with pytest.raises(ValueError, match="are kept in"):
            workspace.name_collection("other")

    def test_is_asked_for_once(self, open_workspace: Opener, tmp_path: Path) -> None:
        workspace = open_workspace()
        assert workspace.needs_name
        assert workspace.place.name == "mine"
        place = workspace.name_collection(" lab-1 ")

        assert not workspace.needs_name
        assert place.draft == tmp_path / f"lab-1-{place.suffix}.csv"
        workspace.create_from_existing("mine", [FATE], RECIPE)
        assert until_saved(workspace) == place.draft
        workspace.close()
        again = open_workspace()
        assert again.place == place
        assert not again.needs_name

    def test_takes_what_was_chosen_before_along(self, open_workspace: Opener, tmp_path: Path) -> None:
        workspace = open_workspace()
        workspace.choose(sample_column="fate")
        assert workspace.needs_name
        workspace.name_collection("lab")
        assert sorted(path.name for path in tmp_path.glob("*.db")) == [f"lab-{workspace.place.suffix}.journal.db"]
        workspace.close()
        assert open_workspace().place.name == "lab"

    @pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "x" * 65, "ä", "a.csv", "a\n"])
    def test_refuses_what_is_no_file_name(self, open_workspace: Opener, name: str, tmp_path: Path) -> None:
        workspace = open_workspace()
        if name.strip() in {"a"}:
            return
        with pytest.raises(ValueError, match="1 to 64 letters"):
            workspace.name_collection(name)
        assert list(tmp_path.glob("*.db")) == []
