"""Drafts of data that changed since: their labels come along, cell by cell."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.study import open_study
from iscan_dash.services import drafts
from iscan_dash.services.drafts import SaveState
from iscan_dash.services.workspace import Source, Workspace
from tests.studies import write_study

FATE = Source("metadata", "fate")
RECIPE = CombineRecipe("Unassigned")

CELLS = ["c1", "c2", "c3", "c4"]
FATES = ["B", "T", None, "NK"]

Opener = Callable[..., Workspace]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "DELAY", 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drafts").mkdir()
    return tmp_path / "drafts"


@pytest.fixture
def open_workspace(tmp_path: Path, folder: Path) -> Iterator[Opener]:
    opened: list[Workspace] = []

    def open_(cells: list[str], fates: list[Any] | None = None, user: str = "ada", **options: Any) -> Workspace:
        """Write data of some cells in the place of what was there, and open it."""
        (tmp_path / "mine.h5ad").unlink(missing_ok=True)
        obs: dict[str, Any] = {"fate": pd.Categorical(fates or ["x"] * len(cells))}
        if "samples" in options:
            obs["sample"] = pd.Categorical(options.pop("samples"))
        study = open_study([write_study(tmp_path / "mine.h5ad", obs, cells=cells)])
        opened.append(Workspace(study, user=user, **{"folder": folder} | options))
        return opened[-1]

    yield open_
    for workspace in opened:
        workspace.close()
        workspace.study.close()


@pytest.fixture
def old(open_workspace: Opener) -> Annotation:
    """An annotation of four cells with a colour and labels of its own; its workspace is closed."""
    workspace = open_workspace(CELLS, FATES)
    made = workspace.create_from_existing("mine", [FATE], RECIPE)
    workspace.rename_label(made.id, 0, "none yet", 1)
    workspace.recolour_label(made.id, 2, "#123456", 2)
    made = workspace.describe(made.id, "by hand", 3)
    workspace.close()
    return made


def texts(annotation: Annotation) -> list[str]:
    return [annotation.live.by_id[code].text for code in annotation.codes.tolist()]


def until_saved(workspace: Workspace) -> None:
    for _ in range(2000):
        if workspace.save_status.state is SaveState.SAVED:
            return
        time.sleep(0.005)
    raise AssertionError(workspace.save_status)


@pytest.mark.parametrize(
    ("cells", "n_matched", "labels"),
    [
        pytest.param(["c1", "c2", "c4"], 3, ["B", "T", "NK"], id="removed"),
        pytest.param(["c0", *CELLS, "c5"], 4, ["none yet", "B", "T", "none yet", "NK", "none yet"], id="added"),
        pytest.param(["c4", "c2", "c1", "c3"], 4, ["NK", "T", "B", "none yet"], id="reordered"),
        pytest.param(["c9", "c4", "c8", "c1"], 2, ["none yet", "NK", "none yet", "B"], id="all of these"),
        pytest.param(["c2"], 1, ["T"], id="one left"),
    ],
)
def test_labels_come_cell_by_cell(
    open_workspace: Opener, old: Annotation, folder: Path, cells: list[str], n_matched: int, labels: list[str]
) -> None:
    workspace = open_workspace(cells)
    assert workspace.annotations() == []
    (offer,) = workspace.old_drafts()
    (draft,) = folder.glob("*.csv")
    assert (offer.name, offer.n_matched, offer.n_old) == (draft.name, n_matched, 4)
    before = draft.read_bytes()

    (made,) = workspace.reattach(offer)
    assert texts(made) == labels
    assert made.live.labels == old.live.labels
    assert [label.id for label in made.live.labels] == [0, 1, 2, 3]
    assert (made.live.name, made.live.owner, made.live.description) == ("mine", "ada", "by hand")
    assert (made.live.origin, made.live.created) == ("existing", old.live.created)
    assert made.live.recipe == {**old.live.recipe, "reattached_from": draft.name, "reattached_version": 4}
    assert (made.id != old.id, made.version) == (True, 1)
    (event,) = workspace.history(made.id)
    assert (event.verb, event.description) == ("create", f"Re-attached from {draft.name}")
    assert event.n_cells == sum(label != "none yet" for label in labels)

    # The new draft is beside the old one, which stays as it is.
    until_saved(workspace)
    table = pd.read_csv(workspace.place.draft, comment="#", dtype=str)
    assert table["mine"].tolist() == labels
    assert workspace.place.draft != draft
    assert draft.read_bytes() == before


def test_is_one_edit_that_undo_takes_back(open_workspace: Opener, old: Annotation) -> None:
    workspace = open_workspace(CELLS[:3])
    workspace.reattach(*workspace.old_drafts())
    workspace.undo()
    assert workspace.annotations() == []
    workspace.redo()
    assert [texts(state) for state in workspace.annotations()] == [["B", "T", "none yet"]]


def test_is_offered_until_it_is_attached(open_workspace: Opener, old: Annotation) -> None:
    workspace = open_workspace(CELLS[:3])
    for _ in range(2):
        (offer,) = workspace.old_drafts()
    workspace.reattach(offer)
    assert workspace.old_drafts() == []
    workspace.close()
    again = open_workspace(CELLS[:3])
    assert again.old_drafts() == []
    assert len(again.annotations()) == 1
    again.close()
    # Data that changed once more is another matter.
    later = open_workspace(CELLS[:2])
    offers = sorted((offer.n_matched, offer.n_old) for offer in later.old_drafts())
    assert offers == [(2, 3), (2, 4)]


def test_the_same_data_under_another_name_keeps_its_drafts(
    open_workspace: Opener, old: Annotation, tmp_path: Path, folder: Path
) -> None:
    study = open_study([write_study(tmp_path / "other.h5ad", {"fate": pd.Categorical(FATES)}, cells=CELLS)])
    workspace = Workspace(study, user="ada", folder=folder)
    assert [state.id for state in workspace.annotations()] == [old.id]
    assert workspace.old_drafts() == []
    workspace.close()
    study.close()


def test_a_name_that_is_taken_becomes_a_free_one(open_workspace: Opener, old: Annotation) -> None:
    workspace = open_workspace(CELLS[:3])
    workspace.create_from_existing("Mine", [], RECIPE)
    (made,) = workspace.reattach(*workspace.old_drafts())
    assert made.live.name == "mine (2)"
    assert [state.live.name for state in workspace.annotations()] == ["mine (2)", "Mine"]


def test_several_annotations_come_in_their_order(open_workspace: Opener) -> None:
    first = open_workspace(CELLS, FATES)
    made = first.create_from_existing("a", [FATE], RECIPE)
    first.duplicate(made.id)
    gone = first.create_from_existing("gone", [FATE], RECIPE)
    first.delete(gone.id, first.annotation(gone.id).version)
    first.create_from_existing("b", [], CombineRecipe("to do"))
    first.close()
    workspace = open_workspace(CELLS[1:])
    workspace.reattach(*workspace.old_drafts())
    assert [(state.live.name, texts(state)) for state in workspace.annotations()] == [
        ("b", ["to do"] * 3),
        ("a (copy)", ["T", "Unassigned", "NK"]),
        ("a", ["T", "Unassigned", "NK"]),
    ]
    # Where a copy came from is told as before.
    copy = workspace.annotations()[1]
    assert (copy.live.recipe["duplicate_of"], copy.live.recipe["version"]) == ("a", 1)


class TestSamples:
    CELLS = ("c1", "c2", "c1", "c2")
    SAMPLES = ("s1", "s1", "s2", "s2")

    @pytest.fixture
    def two(self, open_workspace: Opener) -> None:
        """An annotation of two samples with cells of the same ids."""
        workspace = open_workspace(list(self.CELLS), ["B", "T", "NK", "M"], samples=self.SAMPLES)
        workspace.create_from_existing("mine", [FATE], RECIPE)
        workspace.close()

    @pytest.mark.usefixtures("two")
    def test_tell_cells_apart(self, open_workspace: Opener) -> None:
        workspace = open_workspace(["c2", "c1", "c2"], samples=["s2", "s2", "s1"])
        (offer,) = workspace.old_drafts()
        assert (offer.n_matched, offer.n_old) == (3, 4)
        assert texts(*workspace.reattach(offer)) == ["M", "NK", "T"]

    @pytest.mark.usefixtures("two")
    def test_one_of_them_renamed(self, open_workspace: Opener) -> None:
        workspace = open_workspace([*self.CELLS, "c3"], samples=["s1", "s1", "s9", "s9", "s9"])
        (offer,) = workspace.old_drafts()
        assert (offer.n_matched, offer.n_old) == (2, 4)
        assert texts(*workspace.reattach(offer)) == ["B", "T", "Unassigned", "Unassigned", "Unassigned"]

    @pytest.mark.usefixtures("two")
    def test_all_of_them_renamed_and_the_ids_ambiguous(self, open_workspace: Opener) -> None:
        # No cell can be told, so none gets a label that may be another's.
        workspace = open_workspace([*self.CELLS, "c1"], samples=["x", "x", "y", "y", "z"])
        assert workspace.old_drafts() == []

    def test_renamed_where_ids_tell_cells_apart(self, open_workspace: Opener) -> None:
        first = open_workspace(CELLS, FATES, samples=["s1", "s1", "s2", "s2"])
        first.create_from_existing("mine", [FATE], RECIPE)
        first.close()
        workspace = open_workspace(CELLS[:3], samples=["a", "a", "b"])
        (offer,) = workspace.old_drafts()
        assert (offer.n_matched, offer.n_old) == (3, 4)
        assert texts(*workspace.reattach(offer)) == ["B", "T", "Unassigned"]


class TestIsNotOffered:
    @pytest.mark.usefixtures("old")
    def test_what_is_of_another_user(self, open_workspace: Opener) -> None:
        assert open_workspace(CELLS[:3], user="bob").old_drafts() == []
        assert len(open_workspace(CELLS[:3], user="ada").old_drafts()) == 1

    @pytest.mark.usefixtures("old")
    def test_what_nobody_is_known_to_own(self, open_workspace: Opener, folder: Path) -> None:
        (journal,) = folder.glob("*.db")
        with closing(sqlite3.connect(journal)) as database, database:
            database.execute("DELETE FROM meta WHERE key = 'setting:user'")
        assert open_workspace(CELLS[:3]).old_drafts() == []

    @pytest.mark.usefixtures("old")
    def test_what_shares_no_cell(self, open_workspace: Opener) -> None:
        assert open_workspace(["d1", "d2"]).old_drafts() == []

    @pytest.mark.usefixtures("old")
    def test_where_annotations_are_off_or_in_one_file(self, open_workspace: Opener, folder: Path) -> None:
        assert open_workspace(CELLS[:3], is_closed=True).old_drafts() == []
        assert open_workspace(CELLS[:3], file=folder / "one.csv").old_drafts() == []

    def test_what_was_deleted(self, open_workspace: Opener) -> None:
        first = open_workspace(CELLS, FATES)
        first.delete(first.create_from_existing("mine", [FATE], RECIPE).id, 1)
        first.close()
        assert open_workspace(CELLS[:3]).old_drafts() == []

    @pytest.mark.usefixtures("old")
    @pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe", b"no table", b"index,sample,mine\n", b"a,b\n1,2,3\n"])
    def test_a_draft_that_cannot_be_read(self, open_workspace: Opener, folder: Path, content: bytes) -> None:
        (draft,) = folder.glob("*.csv")
        draft.write_bytes(content)
        assert open_workspace(CELLS[:3]).old_drafts() == []

    @pytest.mark.usefixtures("old")
    def test_a_draft_that_is_gone(self, open_workspace: Opener, folder: Path) -> None:
        (draft,) = folder.glob("*.csv")
        draft.unlink()
        assert open_workspace(CELLS[:3]).old_drafts() == []

    @pytest.mark.usefixtures("old")
    def test_a_draft_whose_rows_were_sorted_by_another_program(self, open_workspace: Opener, folder: Path) -> None:
        # The journal's labels belong to the rows as they were: here they would come to other cells.
        (draft,) = folder.glob("*.csv")
        *head, c1, c2, c3, c4 = draft.read_text().splitlines()
        draft.write_text("\n".join([*head, c4, c3, c2, c1]))
        assert open_workspace(CELLS[:3]).old_drafts() == []

    @pytest.mark.usefixtures("old")
    @pytest.mark.parametrize("n_bytes", [0, 100, 5000])
    def test_a_damaged_journal(self, open_workspace: Opener, folder: Path, n_bytes: int) -> None:
        (journal,) = folder.glob("*.db")
        os.truncate(journal, n_bytes)
        assert open_workspace(CELLS[:3]).old_drafts() == []

    @pytest.mark.usefixtures("old")
    def test_one_that_cannot_be_read_does_not_hide_the_others(self, open_workspace: Opener, folder: Path) -> None:
        (broken,) = folder.glob("*.csv")
        other = open_workspace([*CELLS, "c5"], [*FATES, "B"])
        other.create_from_existing("other", [FATE], RECIPE)
        other.close()
        broken.write_text("no table")
        (offer,) = open_workspace(CELLS[:3]).old_drafts()
        assert [state.live.name for state in offer.annotations] == ["other"]
