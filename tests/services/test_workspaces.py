"""Several users on one study: each edits their own, and sees what the others have."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.study import open_study
from iscan_dash.errors import EditConflict, StorageError, UnknownColumn
from iscan_dash.services import drafts, shared
from iscan_dash.services.workspace import Source, Workspace
from iscan_dash.services.workspaces import Workspaces
from tests.studies import write_study

FATE = Source("metadata", "fate")
RECIPE = CombineRecipe("Unassigned")


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "LOOK_AGAIN", 0.0)


@pytest.fixture
def study_path(tmp_path: Path) -> Path:
    return write_study(tmp_path / "mine.h5ad", {"fate": pd.Categorical(["B", "T", None, "B"])})


def open_all(study_path: Path, **options: object) -> Workspaces:
    return Workspaces(open_study([study_path]), **{"annotations_dir": study_path.parent / "drafts"} | options)


@pytest.fixture
def workspaces(study_path: Path) -> Iterator[Workspaces]:
    made = open_all(study_path)
    yield made
    made.close()


@pytest.fixture
def ada(workspaces: Workspaces) -> Workspace:
    return workspaces.enter("ada-id", "Ada")


@pytest.fixture
def bob(workspaces: Workspaces) -> Workspace:
    return workspaces.enter("bob-id", "Bob")


def names(workspace: Workspace) -> tuple[list[str], list[str]]:
    """Return the names of a user's own annotations, and of those of others."""
    own = [state.live.name for state in workspace.annotations()]
    return own, [state.live.name for state in workspace.others()]


class TestTwoUsers:
    def test_have_drafts_of_their_own(self, ada: Workspace, bob: Workspace) -> None:
        ada.create_from_existing("hers", [FATE], RECIPE)
        bob.create_from_existing("his", [], RECIPE)

        assert names(ada) == (["hers"], ["his"])
        assert names(bob) == (["his"], ["hers"])
        assert ada.place.folder == bob.place.folder
        assert ada.place.draft != bob.place.draft

    def test_may_take_the_same_name(self, ada: Workspace, bob: Workspace) -> None:
        ada.create_from_existing("fate 2", [FATE], RECIPE)
        bob.create_from_existing("fate 2", [], RECIPE)
        assert names(ada) == (["fate 2"], ["fate 2"])

    def test_see_edits_of_the_other(self, ada: Workspace, bob: Workspace) -> None:
        made = ada.create_from_existing("hers", [FATE], RECIPE)
        before = bob.revision
        ada.rename(made.id, "ours", 1)

        assert bob.revision == before + 1
        assert bob.annotation(made.id).live.name == "ours"
        assert bob.annotation(made.id).codes.tolist() == made.codes.tolist()
        assert bob.annotation(made.id).live.owner == "Ada"
        ada.delete(made.id, ada.annotation(made.id).version)
        assert names(bob) == ([], [])
        with pytest.raises(UnknownColumn):
            bob.annotation(made.id)

    def test_cannot_edit_what_belongs_to_the_other(self, ada: Workspace, bob: Workspace) -> None:
        made = ada.create_from_existing("hers", [FATE], RECIPE)
        edits = [
            lambda: bob.rename(made.id, "mine", 1),
            lambda: bob.describe(made.id, "x", 1),
            lambda: bob.rename_label(made.id, 0, "x", 1),
            lambda: bob.recolour_label(made.id, 0, "#000000", 1),
            lambda: bob.delete(made.id, bob.annotation(made.id).version),
            lambda: bob.revert(made.id, 1, bob.annotation(made.id).version),
        ]
        for edit in edits:
            with pytest.raises(EditConflict, match='"hers" belongs to Ada'):
                edit()
        assert ada.annotation(made.id) is made

    def test_copy_and_colour_by_what_belongs_to_the_other(self, ada: Workspace, bob: Workspace) -> None:
        made = ada.create_from_existing("hers", [FATE], RECIPE)
        source = Source("annotation", made.id)
        copy = bob.duplicate(made.id)
        joined = bob.create_from_existing("joined", [source], RECIPE)

        assert (copy.live.name, copy.live.owner, copy.codes.tolist()) == ("hers (copy)", "Bob", made.codes.tolist())
        assert [joined.live.by_id[code].text for code in joined.codes.tolist()] == ["B", "T", "Unassigned", "B"]
        assert bob.colours(source) == {label.text: label.colour for label in made.live.labels}
        assert names(bob) == (["joined", "hers (copy)"], ["hers"])

    def test_undo_only_their_own(self, ada: Workspace, bob: Workspace) -> None:
        ada.create_from_existing("hers", [FATE], RECIPE)
        bob.create_from_existing("his", [], RECIPE)
        assert bob.undo().description == "Created empty"
        assert bob.undoable() is None
        assert names(ada) == (["hers"], [])

    def test_whose_name_cannot_be_written_look_on_and_have_it_later(
        self, workspaces: Workspaces, ada: Workspace, bob: Workspace, caplog: pytest.LogCaptureFixture
    ) -> None:
        ada.create_from_existing("hers", [FATE], RECIPE)
        folder = ada.place.folder
        folder.rename(folder.with_name("away"))
        with workspaces.using("ada-id", "Ada L.") as looking:
            assert names(looking) == (["hers"], [])
        assert "The setting was not saved" in caplog.text
        folder.with_name("away").rename(folder)
        assert bob.others()[0].live.owner == "Ada"
        workspaces.enter("ada-id", "Ada L.")
        assert bob.others()[0].live.owner == "Ada L."

    def test_keep_their_work_under_another_name_of_theirs(self, workspaces: Workspaces, ada: Workspace) -> None:
        made = ada.create_from_existing("hers", [FATE], RECIPE)
        renamed = workspaces.enter("ada-id", "Ada L.")
        renamed.describe(made.id, "x", 1)

        assert renamed is ada
        (seen,) = workspaces.enter("bob-id", "Bob").others()
        assert (seen.live.name, seen.live.owner) == ("hers", "Ada L.")
        assert [event.author for event in ada.history(made.id)] == ["Ada L.", "Ada"]
        assert ada.undo().description == "Description changed"


class TestAway:
    @pytest.fixture
    def left(
        self, workspaces: Workspaces, ada: Workspace, bob: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> Workspaces:
        """The workspaces of two users with saved drafts, who may be put away."""
        monkeypatch.setattr(drafts, "DELAY", 0.01)
        for workspace, name in ((ada, "hers"), (bob, "his")):
            workspace.create_from_existing(name, [FATE], RECIPE)
            for _ in range(2000):
                if workspace.is_saved:
                    break
                time.sleep(0.005)
            workspaces.leave(workspace.user)
        return workspaces

    def test_who_could_not_come_in_can_be_put_away(self, left: Workspaces) -> None:
        with pytest.raises(TypeError, match="not JSON serializable"):
            left.enter("ada-id", b"Ada L.")  # type: ignore[arg-type]
        assert sorted(left.put_idle_away(0)) == ["ada-id", "bob-id"]

    @pytest.mark.skipif(os.name != "posix", reason="descriptors as POSIX has them")
    @pytest.mark.parametrize("how", ["put away", "close"])
    def test_what_fails_at_closing_is_used_no_more(
        self, left: Workspaces, ada: Workspace, bob: Workspace, how: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        # The lock cannot be given back.
        os.close(ada._collection._guard._context.lock_file_fd)  # type: ignore[union-attr, arg-type]
        if how == "put away":
            assert sorted(left.put_idle_away(0)) == ["ada-id", "bob-id"]
            assert left.here() == {}
        else:
            left.close()
        assert "The drafts of Ada were not closed as they should be." in caplog.text
        # Others may have all drafts now.
        again = open_all(bob.study.datasets[0].path)
        assert names(again.enter("bob-id", "Bob")) == (["his"], ["hers"])
        again.enter("ada-id", "Ada").create_from_existing("hers too", [FATE], RECIPE)
        again.close()


class TestOfUser:
    def test_by_name_or_id_or_the_only_one(self, workspaces: Workspaces, ada: Workspace, bob: Workspace) -> None:
        seen = workspaces.shared()
        assert seen is not None
        assert seen.of_user() == []
        ada.create_from_existing("hers", [FATE], RECIPE)
        ada.create_from_existing("hers too", [], RECIPE)
        assert [state.live.name for state in seen.of_user()] == ["hers too", "hers"]
        bob.create_from_existing("his", [FATE], RECIPE)
        assert [state.live.name for state in seen.of_user("Bob")] == ["his"]
        assert [state.live.name for state in seen.of_user("ada-id")] == ["hers too", "hers"]
        for user in (None, "Cleo"):
            with pytest.raises(UnknownColumn, match=r"are kept here for: Ada, Bob\."):
                seen.of_user(user)


class TestServers:
    def test_on_one_folder_see_each_other(self, study_path: Path, ada: Workspace) -> None:
        ada.create_from_existing("hers", [FATE], RECIPE)
        elsewhere = open_all(study_path)
        bob = elsewhere.enter("bob-id", "Bob")
        assert names(bob) == ([], ["hers"])
        bob.create_from_existing("his", [], RECIPE)
        assert names(ada) == (["hers"], ["his"])
        elsewhere.close()

    def test_do_not_edit_the_drafts_of_one_user_at_once(self, study_path: Path, ada: Workspace) -> None:
        ada.create_from_existing("hers", [FATE], RECIPE)
        elsewhere = open_all(study_path)
        with pytest.raises(StorageError, match="are open in another iscan-dash"):
            elsewhere.enter("ada-id", "Ada").annotations()
        elsewhere.close()

    def test_that_both_saw_no_drafts_do_not_both_begin_some(self, study_path: Path, ada: Workspace) -> None:
        elsewhere = open_all(study_path)
        late = elsewhere.enter("ada-id", "Ada")
        assert late.annotations() == []
        ada.create_from_existing("hers", [FATE], RECIPE)
        with pytest.raises(StorageError, match="Load the page again"):
            late.create_from_existing("too late", [FATE], RECIPE)
        with pytest.raises(StorageError, match="are open in another iscan-dash"):
            late.create_from_existing("too late", [FATE], RECIPE)
        elsewhere.close()

    def test_that_come_later_do_not_begin_a_second_journal(self, study_path: Path) -> None:
        first, second = open_all(study_path), open_all(study_path)
        late = second.enter("ada-id", "Ada")
        assert late.annotations() == []
        first.enter("ada-id", "Ada").create_from_existing("hers", [FATE], RECIPE)
        first.close()
        with pytest.raises(StorageError, match="Load the page again"):
            late.create_from_existing("too late", [FATE], RECIPE)
        assert names(late) == (["hers"], [])
        second.close()

    def test_leave_journals_of_other_cells_alone(self, ada: Workspace, tmp_path: Path) -> None:
        other = write_study(tmp_path / "other.h5ad", {"fate": pd.Categorical(["B", "T"])})
        elsewhere = open_all(other)
        elsewhere.enter("bob-id", "Bob").create_from_existing("his", [FATE], RECIPE)
        assert names(ada) == ([], [])
        elsewhere.close()

    def test_pass_over_a_damaged_journal(self, ada: Workspace, bob: Workspace) -> None:
        ada.create_from_existing("hers", [FATE], RECIPE)
        (ada.place.folder / "x-aaaaaaaa.journal.db").write_bytes(b"no journal" * 100)
        assert names(bob) == ([], ["hers"])

    def test_take_up_what_was_begun_elsewhere(self, study_path: Path, ada: Workspace) -> None:
        elsewhere = open_all(study_path)
        late = elsewhere.enter("ada-id", "Ada")
        assert late.annotations() == []
        ada.create_from_existing("hers", [FATE], RECIPE)
        ada.close()
        draft = ada.place.draft.read_bytes()
        # As the page asks every few seconds.
        late.watch_draft()
        assert names(late) == (["hers"], [])
        elsewhere.close()
        assert ada.place.draft.read_bytes() == draft


class TestChoices:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"sample_column": "nonsense"},
            {"sample_column": 5},
            {"sample_column": ["fate"]},
            {"roles": {"fate": "x"}},
            {"roles": {"none": "cluster"}},
            {"treat_as": {"fate": 1}},
            {"matrix_kinds": {"mine:X": "x"}},
        ],
    )
    def test_that_do_not_fit_are_refused_before_they_are_kept(self, ada: Workspace, wrong: dict[str, object]) -> None:
        with pytest.raises(UnknownColumn, match="list"):
            ada.choose(**wrong)
        assert ada.study.choices.sample_column is None
        assert list(ada.place.folder.glob("*.db")) == []


class TestClosedServer:
    def test_leaves_drafts_alone(self, study_path: Path, ada: Workspace) -> None:
        ada.create_from_existing("hers", [FATE], RECIPE)
        ada.close()
        ada.place.draft.unlink()
        closed = open_all(study_path, is_closed=True)
        looking = closed.enter("ada-id", "Ada")
        assert looking.annotations() == []
        looking.watch_draft()
        closed.close()
        assert not ada.place.draft.exists()
        editing = open_all(study_path)
        assert names(editing.enter("ada-id", "Ada")) == (["hers"], [])
        editing.close()

    def test_shows_and_makes_no_annotations(self, study_path: Path, ada: Workspace) -> None:
        ada.create_from_existing("hers", [FATE], RECIPE)
        closed = open_all(study_path, is_closed=True)
        bob = closed.enter("bob-id", "Bob")
        assert names(bob) == ([], [])
        with pytest.raises(StorageError, match="--disable-annotations"):
            bob.create_from_existing("his", [FATE], RECIPE)
        with pytest.raises(StorageError, match="--disable-annotations"):
            bob.name_collection("x")
        closed.close()


def test_a_folder_that_cannot_be_made_is_refused(study_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be made"):
        open_all(study_path, annotations_dir=study_path)
