import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core import palette
from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.combine import CombineRecipe, MissingParts
from iscan_dash.core.study import open_study
from iscan_dash.errors import EditConflict, NameRefused, NothingToUndo, StorageError, UnknownColumn
from iscan_dash.services import ledger as module
from iscan_dash.services.drafts import SaveState
from iscan_dash.services.workspace import Source, Workspace
from tests.studies import write_study

FATE, LEIDEN = Source("metadata", "fate"), Source("cluster", "leiden")
RECIPE = CombineRecipe("Unassigned")

Opener = Callable[..., Workspace]


@pytest.fixture
def study_path(tmp_path: Path) -> Path:
    obs = {
        "fate": pd.Categorical(["B", "T", None, "B"]),
        "leiden": pd.Categorical(["0", "10", "2", "2"]),
        "n_counts": [1.5, 2, 3, 4],
    }
    return write_study(tmp_path / "mine.h5ad", obs, index_name="barcode", uns={"fate_colors": ["#112233", "#445566"]})


@pytest.fixture
def open_workspace(tmp_path: Path, study_path: Path) -> Iterator[Opener]:
    opened: list[Workspace] = []

    def open_(path: Path = study_path, **options: Any) -> Workspace:
        options = {"user": "ada", "folder": tmp_path / "drafts"} | options
        options["folder"].mkdir(exist_ok=True)
        opened.append(Workspace(open_study([path]), **options))
        return opened[-1]

    yield open_
    for workspace in opened:
        workspace.close()
        workspace.study.close()


@pytest.fixture
def workspace(open_workspace: Opener) -> Workspace:
    return open_workspace()


def texts(annotation: Annotation) -> list[str]:
    return [annotation.live.by_id[code].text for code in annotation.codes.tolist()]


def descriptions(workspace: Workspace, annotation: Annotation) -> list[str]:
    return [event.description for event in workspace.history(annotation.id)]


def now() -> str:
    return datetime.now(UTC).isoformat()


class TestCreate:
    def test_a_copy_keeps_labels_and_colours(self, workspace: Workspace) -> None:
        before = now()
        made = workspace.create_from_existing(" Fate 2 ", [FATE], RECIPE)

        assert texts(made) == ["B", "T", "Unassigned", "B"]
        assert [(label.id, label.text, label.colour) for label in made.live.labels] == [
            (0, "Unassigned", palette.UNASSIGNED),
            (1, "B", "#112233"),
            (2, "T", "#445566"),
        ]
        assert (made.live.name, made.live.owner, made.live.origin) == ("Fate 2", "ada", "existing")
        assert made.live.recipe == {
            "sources": [{"kind": "metadata", "key": "fate"}],
            "titles": ["fate"],
            "default": "Unassigned",
            "delimiter": "_",
            "missing": "default",
        }
        assert made.version == 1
        assert before <= made.live.created <= made.modified <= now()
        assert workspace.annotations() == [made]
        (event,) = workspace.history(made.id)
        assert (event.seq, event.annotation_id, event.version, event.verb) == (1, made.id, 1, "create")
        assert (event.author, event.description, event.n_cells) == ("ada", "Created from fate", 3)
        assert event.time == made.modified

    def test_a_combination_has_colours_of_its_own(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("both", [LEIDEN, FATE], RECIPE)

        assert texts(made) == ["0_B", "10_T", "2_Unassigned", "2_B"]
        assert {label.text: label.colour for label in made.live.labels} == {
            "Unassigned": palette.UNASSIGNED,
            "0_B": palette.LABELS[0],
            "2_B": palette.LABELS[1],
            "2_Unassigned": palette.LABELS[2],
            "10_T": palette.LABELS[3],
        }
        assert descriptions(workspace, made) == ["Created from leiden, fate"]

    def test_of_an_annotation(self, workspace: Workspace) -> None:
        first = workspace.create_from_existing("first", [FATE], RECIPE)
        first = workspace.recolour_label(first.id, 0, "#010101", first.version)
        first = workspace.rename_label(first.id, 2, "NK", first.version)
        recipe = CombineRecipe("none", missing=MissingParts.LEAVE_OUT)
        made = workspace.create_from_existing("second", [Source("annotation", first.id)], recipe)

        assert texts(made) == ["B", "NK", "Unassigned", "B"]
        assert {label.text: label.colour for label in made.live.labels} == {
            "none": palette.UNASSIGNED,
            "B": "#112233",
            "NK": "#445566",
            "Unassigned": "#010101",
        }
        assert descriptions(workspace, made) == ["Created from first"]

    def test_empty(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [], CombineRecipe(" to\tdo "))

        assert texts(made) == ["to do"] * 4
        assert made.live.origin == "empty"
        assert descriptions(workspace, made) == ["Created empty"]
        assert workspace.history(made.id)[0].n_cells == 0

    def test_the_newest_comes_first(self, workspace: Workspace) -> None:
        for name in ("a", "b", "c"):
            workspace.create_from_existing(name, [], RECIPE)
        assert [annotation.live.name for annotation in workspace.annotations()] == ["c", "b", "a"]

    @pytest.mark.parametrize(
        ("name", "recipe", "code"),
        [
            ("", RECIPE, "E01"),
            ("FATE", RECIPE, "E02"),
            ("leiden", RECIPE, "E02"),
            ("Barcode", RECIPE, "E02"),
            ("mine", CombineRecipe(" "), "E10"),
            ("mine", CombineRecipe("x" * 129), "E07"),
        ],
    )
    def test_that_breaks_a_rule_leaves_nothing(
        self, workspace: Workspace, name: str, recipe: CombineRecipe, code: str
    ) -> None:
        with pytest.raises(NameRefused) as refused:
            workspace.create_from_existing(name, [FATE], recipe)
        assert refused.value.code == code
        assert workspace.annotations() == []
        assert workspace.revision == 0

    @pytest.mark.parametrize("source", [Source("metadata", "none"), Source("annotation", "none")])
    def test_of_what_is_not_there_leaves_nothing(self, workspace: Workspace, source: Source) -> None:
        with pytest.raises(UnknownColumn):
            workspace.create_from_existing("mine", [source], RECIPE)
        assert workspace.revision == 0

    def test_names_in_use(self, workspace: Workspace) -> None:
        workspace.create_from_existing("mine", [], RECIPE)
        assert workspace.taken_names() == {
            "fate": "metadata",
            "leiden": "cluster",
            "n_counts": "metadata",
            "barcode": "cell ID",
            "mine": "annotation",
        }


class TestPreview:
    @pytest.mark.parametrize("missing", MissingParts)
    @pytest.mark.parametrize("sources", [[], [FATE], [LEIDEN, FATE], [FATE, LEIDEN, FATE]])
    def test_is_what_is_created(self, workspace: Workspace, sources: list[Source], missing: MissingParts) -> None:
        recipe = CombineRecipe("Unassigned", "/", missing)
        preview = workspace.preview(sources, recipe)
        made = workspace.create_from_existing("mine", sources, recipe)

        assert [preview.labels[code] for code in preview.codes.tolist()] == texts(made)
        assert [label.text for label in made.live.labels] == list(preview.labels)

    def test_is_kept_until_what_it_is_made_of_changes(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        source = Source("annotation", made.id)
        first = workspace.preview([source], RECIPE)
        assert workspace.preview([source], CombineRecipe(" Unassigned ")) is first

        workspace.rename_label(made.id, 1, "B cell", made.version)
        assert [label for label, _ in workspace.preview([source], RECIPE).counts] == ["B cell", "Unassigned", "T"]

    def test_follows_the_choices_about_the_study(self, workspace: Workspace) -> None:
        source = Source("metadata", "n_counts")
        assert workspace.preview([source], RECIPE).labels == ("Unassigned", "1.5", "2", "3", "4")
        workspace.choose(treat_as={"n_counts": "category"})
        assert workspace.preview([source], RECIPE).labels == ("Unassigned", "1.5", "2", "3", "4")

    def test_warns_of_more_labels_than_colours(self, open_workspace: Opener) -> None:
        found = open_workspace(max_items=2).preview([LEIDEN], RECIPE)
        assert found.warnings == (("W2", "3 labels exceed 2. Allowed, but colours are grouped."),)


class TestEdits:
    @pytest.fixture
    def made(self, workspace: Workspace) -> Annotation:
        return workspace.create_from_existing("mine", [FATE], RECIPE)

    def test_each_is_an_event(self, workspace: Workspace, made: Annotation) -> None:
        workspace.rename(made.id, "yours", 1)
        workspace.describe(made.id, " of today ", 2)
        workspace.rename_label(made.id, 1, "B cell", 3)
        workspace.rename_label(made.id, 0, "unknown", 4)
        last = workspace.recolour_label(made.id, 1, "#ABCDEF", 5)

        assert workspace.annotation(made.id) == last
        assert (last.version, last.live.name, last.live.description) == (6, "yours", "of today")
        assert [(label.text, label.colour) for label in last.live.labels] == [
            ("unknown", palette.UNASSIGNED),
            ("B cell", "#abcdef"),
            ("T", "#445566"),
        ]
        assert texts(last) == ["B cell", "T", "unknown", "B cell"]
        assert [(event.version, event.verb, event.description) for event in workspace.history(made.id)] == [
            (6, "recolour", 'Colour of "B cell" changed'),
            (5, "rename label", 'Default label "Unassigned" renamed to "unknown"'),
            (4, "rename label", 'Label "B" renamed to "B cell"'),
            (3, "describe", "Description changed"),
            (2, "rename", 'Renamed from "mine" to "yours"'),
            (1, "create", "Created from fate"),
        ]

    def test_one_of_nothing_is_none(self, workspace: Workspace, made: Annotation) -> None:
        for again in (
            workspace.rename(made.id, " mine ", 1),
            workspace.describe(made.id, "", 1),
            workspace.rename_label(made.id, 1, "B", 1),
            workspace.recolour_label(made.id, 1, "#112233", 1),
            workspace.revert(made.id, 1, workspace.annotation(made.id).version),
        ):
            assert again == made
        assert workspace.revision == 1

    def test_one_of_an_older_version_is_refused(self, workspace: Workspace, made: Annotation) -> None:
        newest = workspace.rename(made.id, "yours", 1)
        for edit in (
            lambda: workspace.rename(made.id, "theirs", 1),
            lambda: workspace.describe(made.id, "x", 1),
            lambda: workspace.rename_label(made.id, 1, "x", 1),
            lambda: workspace.recolour_label(made.id, 1, "#000000", 3),
            lambda: workspace.delete(made.id, 1),
            lambda: workspace.revert(made.id, 1, 1),
        ):
            with pytest.raises(EditConflict) as refused:
                edit()
            assert str(refused.value) == (
                f"ada saved a newer version ({newest.modified[:16].replace('T', ' ')} UTC). "
                "Reload or review the differences."
            )
        assert workspace.annotation(made.id) == newest

    def test_one_of_a_deleted_annotation_is_refused(self, workspace: Workspace, made: Annotation) -> None:
        event = workspace.delete(made.id, workspace.annotation(made.id).version)

        assert (event.verb, event.description, event.n_cells, event.version) == ("delete", 'Deleted "mine"', 3, 2)
        for edit in (
            lambda: workspace.rename(made.id, "x", 2),
            lambda: workspace.duplicate(made.id),
            lambda: workspace.delete(made.id, 1),
            lambda: workspace.revert(made.id, 1, 1),
            lambda: workspace.colours(Source("annotation", made.id)),
        ):
            with pytest.raises(UnknownColumn) as refused:
                edit()
            assert str(refused.value) == "This annotation was deleted. Choose another one, or undo."

    def test_none_is_made_when_the_file_on_disk_has_changed(
        self, workspace: Workspace, made: Annotation, study_path: Path, tmp_path: Path
    ) -> None:
        write_study(tmp_path / "other.h5ad").replace(study_path)

        assert workspace.changed_files() == ["mine.h5ad"]
        with pytest.raises(EditConflict) as refused:
            workspace.rename(made.id, "x", 1)
        assert str(refused.value) == ("mine.h5ad was changed on disk since it was opened. Restart iscan-dash to go on.")
        assert workspace.revision == 1

    def test_none_is_made_while_the_folder_is_gone(self, workspace: Workspace, made: Annotation) -> None:
        folder = workspace.place.folder
        shutil.rmtree(folder)
        with pytest.raises(StorageError, match=r"The edit was not saved .* bring the folder back"):
            workspace.rename(made.id, "x", 1)
        assert workspace.annotation(made.id) == made
        assert workspace.revision == 1

        folder.mkdir()
        workspace.rename(made.id, "x", 1)
        assert [event.description for event in workspace.history(made.id)] == [
            'Renamed from "mine" to "x"',
            "Created from fate",
        ]

    def test_made_before_and_after_the_folder_was_gone_are_kept(
        self, open_workspace: Opener, workspace: Workspace, made: Annotation
    ) -> None:
        shutil.rmtree(workspace.place.folder)
        workspace.place.folder.mkdir()
        workspace.rename(made.id, "x", 1)
        workspace.close()
        again = open_workspace()

        assert [annotation.live.name for annotation in again.annotations()] == ["x"]
        assert texts(again.annotation(made.id)) == texts(made)
        assert [event.version for event in again.history(made.id)] == [2, 1]


class TestDuplicate:
    def test_is_equal_but_for_its_name(self, workspace: Workspace) -> None:
        original = workspace.create_from_existing("mine", [FATE], RECIPE)
        original = workspace.describe(original.id, "of today", 1)
        copy = workspace.duplicate(original.id)

        assert copy.id != original.id
        assert (
            replace(
                copy.live,
                name="mine",
                created=original.live.created,
                origin="existing",
                recipe=original.live.recipe,
            )
            == original.live
        )
        assert (copy.live.name, copy.live.origin, copy.version) == ("mine (copy)", "duplicate", 1)
        assert copy.live.recipe == {"duplicate_of": "mine", "version": 2}
        assert texts(copy) == texts(original)
        assert descriptions(workspace, copy) == ["Copied from mine"]
        assert workspace.duplicate(original.id).live.name == "mine (copy) (2)"
        assert workspace.duplicate(copy.id).live.name == "mine (copy) (copy)"

    def test_of_a_long_name(self, workspace: Workspace) -> None:
        original = workspace.create_from_existing("x" * 64, [], RECIPE)

        assert workspace.duplicate(original.id).live.name == "x" * 57 + " (copy)"
        assert workspace.duplicate(original.id).live.name == "x" * 57 + " (c (2)"

    def test_is_edited_on_its_own(self, workspace: Workspace) -> None:
        original = workspace.create_from_existing("mine", [FATE], RECIPE)
        copy = workspace.duplicate(original.id)
        workspace.rename_label(copy.id, 1, "other", 1)
        workspace.delete(copy.id, workspace.annotation(copy.id).version)

        assert workspace.annotation(original.id) == original


class TestDeleteAndRestore:
    def test_brings_back_what_was_deleted(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        before = now()
        workspace.delete(made.id, workspace.annotation(made.id).version)
        (deleted,) = workspace.deleted()
        restored = workspace.restore(made.id)

        assert (deleted.id, deleted.name) == (made.id, "mine")
        assert before <= deleted.time <= now()
        assert restored.live == made.live
        assert texts(restored) == texts(made)
        assert restored.version == 3
        assert workspace.deleted() == []
        assert descriptions(workspace, made) == ["Restored", 'Deleted "mine"', "Created from fate"]

    def test_under_a_free_name(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        workspace.delete(made.id, workspace.annotation(made.id).version)
        workspace.create_from_existing("MINE", [], RECIPE)

        assert workspace.restore(made.id).live.name == "mine (2)"

    def test_what_is_not_deleted_is_refused(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        for annotation_id in (made.id, "none"):
            with pytest.raises(NothingToUndo) as refused:
                workspace.restore(annotation_id)
            assert str(refused.value) == "This annotation is not deleted."

    def test_the_latest_comes_first(self, workspace: Workspace) -> None:
        ids = {name: workspace.create_from_existing(name, [], RECIPE).id for name in "abc"}
        for name in "bac":
            workspace.delete(ids[name], workspace.annotation(ids[name]).version)
        workspace.restore(ids["a"])

        assert [deleted.name for deleted in workspace.deleted()] == ["c", "b"]

    def test_an_undone_creation_is_no_deletion(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        workspace.undo()

        assert workspace.deleted() == []
        with pytest.raises(NothingToUndo):
            workspace.restore(made.id)

    @pytest.mark.parametrize("steps", [["delete", "undo", "redo"], ["delete", "restore", "undo"]])
    def test_what_undo_and_redo_deleted_can_be_restored(self, workspace: Workspace, steps: list[str]) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        for step in steps:
            getattr(workspace, step)(*{"delete": [made.id, 1], "restore": [made.id]}.get(step, []))

        assert [deleted.name for deleted in workspace.deleted()] == ["mine"]
        assert workspace.restore(made.id).live == made.live

    def test_what_was_last_there_is_restored(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        workspace.delete(made.id, workspace.annotation(made.id).version)
        workspace.restore(made.id)
        workspace.rename(made.id, "renamed", 3)
        workspace.delete(made.id, workspace.annotation(made.id).version)
        for _ in range(3):
            workspace.undo()

        assert [deleted.name for deleted in workspace.deleted()] == ["mine"]
        assert workspace.restore(made.id).live.name == "mine"

    def test_after_30_days_it_is_not_offered(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        monkeypatch.setattr(module, "now", lambda: "2026-01-01T00:00:00.000000+00:00")
        workspace.delete(made.id, workspace.annotation(made.id).version)

        assert datetime.now(UTC) - datetime(2026, 1, 1, tzinfo=UTC) > module.KEEP_DELETED
        assert workspace.deleted() == []


class TestRevert:
    def test_makes_it_what_it_was(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        workspace.rename(made.id, "yours", 1)
        renamed = workspace.rename_label(made.id, 1, "B cell", 2)
        workspace.delete(made.id, workspace.annotation(made.id).version)
        workspace.restore(made.id)

        assert workspace.compare(made.id, 1).n_cells == 0
        back = workspace.revert(made.id, 1, workspace.annotation(made.id).version)
        assert back.live == made.live
        assert back.version == 6
        assert descriptions(workspace, made)[0] == "Reverted to version 1 (Created from fate)"
        forth = workspace.revert(made.id, 5, workspace.annotation(made.id).version)
        assert forth.live == renamed.live
        assert descriptions(workspace, made)[0] == "Reverted to version 5 (Restored)"

    @pytest.mark.parametrize("version", [-1, 0, 2, 5])
    def test_to_a_version_without_annotation_is_refused(self, workspace: Workspace, version: int) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        workspace.delete(made.id, workspace.annotation(made.id).version)
        workspace.restore(made.id)
        for look in (lambda: workspace.revert(made.id, version, 3), lambda: workspace.compare(made.id, version)):
            with pytest.raises(UnknownColumn) as refused:
                look()
            assert str(refused.value) == f"This annotation has no version {version}."

    def test_to_a_name_that_is_taken_by_now(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        workspace.rename(made.id, "yours", 1)
        workspace.create_from_existing("mine", [], RECIPE)

        assert workspace.revert(made.id, 1, workspace.annotation(made.id).version).live.name == "mine (2)"
        assert workspace.revert(made.id, 2, workspace.annotation(made.id).version).live.name == "yours"


class TestUndo:
    def test_there_and_back(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        renamed = workspace.rename(made.id, "yours", 1)

        assert workspace.undo().verb == "rename"
        assert workspace.annotation(made.id).live == made.live
        assert workspace.redo().verb == "rename"
        assert workspace.annotation(made.id).live == renamed.live
        assert workspace.undo().verb == "rename"
        assert workspace.undo().verb == "create"
        assert workspace.annotations() == []
        assert [(event.verb, event.description, event.undoes) for event in workspace.history(made.id)] == [
            ("undo", "Undone: Created from fate", 1),
            ("undo", 'Undone: Renamed from "mine" to "yours"', 2),
            ("redo", 'Redone: Renamed from "mine" to "yours"', 2),
            ("undo", 'Undone: Renamed from "mine" to "yours"', 2),
            ("rename", 'Renamed from "mine" to "yours"', None),
            ("create", "Created from fate", None),
        ]

    def test_nothing_is_left(self, workspace: Workspace) -> None:
        for step, sentence in (
            (workspace.undo, "There is nothing to undo."),
            (workspace.redo, "There is nothing to redo."),
        ):
            with pytest.raises(NothingToUndo) as refused:
                step()
            assert str(refused.value) == sentence
        assert (workspace.undoable(), workspace.redoable()) == (None, None)

    def test_a_new_edit_ends_redo(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        workspace.rename(made.id, "yours", 1)
        workspace.undo()
        assert workspace.redoable() == workspace.history(made.id)[1]
        workspace.describe(made.id, "x", 3)

        with pytest.raises(NothingToUndo):
            workspace.redo()

    def test_only_the_event_that_was_meant(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        event = workspace.delete(made.id, workspace.annotation(made.id).version)
        workspace.create_from_existing("other", [], RECIPE)
        with pytest.raises(NothingToUndo) as refused:
            workspace.undo(event.seq)
        assert str(refused.value) == (
            "There are newer edits. Use the history or the list of deleted annotations instead."
        )
        workspace.undo()
        assert workspace.undo(event.seq) == event
        assert [annotation.live.name for annotation in workspace.annotations()] == ["mine"]

    def test_is_only_so_deep(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        assert module.UNDO_DEPTH == 200
        monkeypatch.setattr(module, "UNDO_DEPTH", 3)
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        for version in range(1, 6):
            workspace.describe(made.id, f"text {version}", version)
        for _ in range(3):
            workspace.undo()
        assert workspace.annotation(made.id).live.description == "text 2"
        with pytest.raises(NothingToUndo):
            workspace.undo()
        for _ in range(3):
            workspace.redo()
        assert workspace.annotation(made.id).live.description == "text 5"
        assert workspace.redoable() is None


class TestOpening:
    def test_reads_no_journal_before_it_is_needed(self, workspace: Workspace, tmp_path: Path) -> None:
        assert list((tmp_path / "drafts").iterdir()) == []
        assert workspace.revision == 0
        assert workspace.save_status.state is SaveState.SAVED
        # People who only look leave nothing behind.
        assert list((tmp_path / "drafts").iterdir()) == []

    def test_finds_the_work_again_though_the_file_was_moved(
        self, open_workspace: Opener, study_path: Path, tmp_path: Path
    ) -> None:
        first = open_workspace()
        made = first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        moved = study_path.rename(tmp_path / "renamed.h5ad")
        again = open_workspace(moved)

        assert [annotation.live for annotation in again.annotations()] == [made.live]
        names = sorted(path.name for path in (tmp_path / "drafts").glob("[!.]*"))
        assert [name.split("-")[0] for name in names] == ["mine", "mine"]
        assert again.save_status.path == str(tmp_path / "drafts" / names[0])

    def test_of_users_are_apart(self, open_workspace: Opener) -> None:
        open_workspace().create_from_existing("mine", [FATE], RECIPE)
        assert open_workspace(user="bob").annotations() == []

    def test_choices_are_kept(self, open_workspace: Opener) -> None:
        first = open_workspace()
        first.choose(sample_column="fate", roles={"leiden": "metadata"})
        first.choose(treat_as={"n_counts": "ignore"})
        assert first.study.sample_column == "fate"
        first.close()
        again = open_workspace()
        again.open()

        assert again.study.choices == first.study.choices
        assert again.study.columns["leiden"].role == "metadata"
        assert again.study.columns["n_counts"].treat_as == "ignore"
        assert again.taken_names()["leiden"] == "metadata"

    def test_a_choice_of_sample_is_seen_in_the_draft(self, open_workspace: Opener, tmp_path: Path) -> None:
        workspace = open_workspace()
        workspace.create_from_existing("mine", [], RECIPE)
        workspace.choose(sample_column="leiden")
        workspace.close()
        (draft,) = (tmp_path / "drafts").glob("*.csv")

        assert draft.read_text().splitlines()[-4:] == [
            '"cell0","0","Unassigned"',
            '"cell1","10","Unassigned"',
            '"cell2","2","Unassigned"',
            '"cell3","2","Unassigned"',
        ]

    def test_a_damaged_journal_is_refused_each_time(self, open_workspace: Opener, tmp_path: Path) -> None:
        first = open_workspace()
        made = first.create_from_existing("mine", [FATE], RECIPE)
        first.rename(made.id, "yours", 1)
        first.describe(made.id, "of today", 2)
        first.close()
        (path,) = (tmp_path / "drafts").glob("*.db")
        with closing(sqlite3.connect(path)) as db, db:
            kept = db.execute("SELECT * FROM events WHERE seq = 2").fetchone()
            db.execute("DELETE FROM events WHERE seq = 2")
        again = open_workspace()

        for _ in range(2):
            with pytest.raises(StorageError) as refused:
                again.annotations()
            assert str(refused.value) == (
                f"The journal {path} is damaged: the change starts from another state of the annotation. "
                "Restore it from a backup."
            )
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(f"INSERT INTO events VALUES (?{', ?' * 11})", kept)
        assert [annotation.live.name for annotation in again.annotations()] == ["yours"]

    def test_closing_writes_the_draft(self, open_workspace: Opener, tmp_path: Path) -> None:
        workspace = open_workspace()
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        workspace.close()
        assert workspace.save_status.state is SaveState.SAVED
        (draft,) = (tmp_path / "drafts").glob("*.csv")
        lines = draft.read_text().splitlines()

        assert lines[0].startswith("# iscan-dash ")
        assert lines[1:3] == ["# data: mine.h5ad", f"# fingerprint: {workspace.study.fingerprint}"]
        assert lines[3:] == [
            f"# user: {workspace.user_name}",
            f'# annotations: [{{"name": "mine", "id": "{made.id}", "version": 1}}]',
            'index,sample,"mine"',
            '"cell0","mine","B"',
            '"cell1","mine","T"',
            '"cell2","mine","Unassigned"',
            '"cell3","mine","B"',
        ]

    def test_a_draft_that_a_crash_lost_is_written_on_the_next_start(
        self, open_workspace: Opener, tmp_path: Path
    ) -> None:
        first = open_workspace()
        first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        (draft,) = (tmp_path / "drafts").glob("*.csv")
        content = draft.read_text().splitlines()[1:]
        draft.unlink()
        again = open_workspace()
        again.open()
        again.close()

        assert draft.read_text().splitlines()[1:] == content

    def test_the_study_is_left_as_it_was(self, workspace: Workspace, study_path: Path) -> None:
        before = hashlib.sha256(study_path.read_bytes()).hexdigest()
        made = workspace.create_from_existing("mine", [FATE, LEIDEN], RECIPE)
        workspace.rename_label(made.id, 1, "x", 1)
        workspace.delete(made.id, workspace.annotation(made.id).version)
        workspace.restore(made.id)
        workspace.close()

        assert hashlib.sha256(study_path.read_bytes()).hexdigest() == before


class TestLooking:
    def test_columns_and_their_colours(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)

        assert workspace.category(LEIDEN).labels == ("0", "2", "10")
        assert workspace.category(Source("annotation", made.id)).labels == ("Unassigned", "B", "T")
        assert workspace.colours(FATE) == {"B": "#112233", "T": "#445566"}
        assert workspace.colours(LEIDEN) == dict(zip(["0", "2", "10"], palette.LABELS[:3], strict=True))
        assert workspace.colours(Source("annotation", made.id))["Unassigned"] == palette.UNASSIGNED

    def test_codes_cannot_be_changed_in_place(self, workspace: Workspace) -> None:
        made = workspace.create_from_existing("mine", [FATE], RECIPE)
        with pytest.raises(ValueError, match="read-only"):
            made.codes[0] = 1
        assert np.array_equal(made.codes, [1, 2, 0, 1])
