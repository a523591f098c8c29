"""Edits of labels: one event each, described, undone and redone, and none on an old version."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.study import open_study
from iscan_dash.errors import EditConflict, NameRefused
from iscan_dash.services import patterns
from iscan_dash.services.labelling import merged_by
from iscan_dash.services.workspace import Source, Workspace
from tests.studies import write_study

FATE = ["B", "T", None, "B", "t", "T"]
PHASE = ["G1", "S", "S", None, "G1", "G1"]

Edit = Callable[[Workspace, str], Annotation]


@pytest.fixture
def open_workspace(tmp_path: Path) -> Iterator[Callable[[], Workspace]]:
    obs = {"fate": pd.Categorical(FATE), "phase": pd.Categorical(PHASE)}
    path = write_study(tmp_path / "mine.h5ad", obs)
    (tmp_path / "drafts").mkdir()
    opened: list[Workspace] = []

    def open_() -> Workspace:
        opened.append(Workspace(open_study([path]), user="ada", folder=tmp_path / "drafts"))
        return opened[-1]

    yield open_
    for workspace in opened:
        workspace.close()
        workspace.study.close()


@pytest.fixture
def workspace(open_workspace: Callable[[], Workspace]) -> Workspace:
    return open_workspace()


@pytest.fixture
def fate(workspace: Workspace) -> Annotation:
    """Labels: Unassigned 0, B 1, T 2, t 3."""
    return workspace.create_from_existing("fate 2", [Source("metadata", "fate")], CombineRecipe("Unassigned"))


def texts(annotation: Annotation) -> list[str]:
    return [annotation.live.by_id[code].text for code in annotation.codes.tolist()]


def listed(annotation: Annotation) -> list[str]:
    return [label.text for label in annotation.live.labels]


def label_id(annotation: Annotation, text: str) -> int:
    return next(label.id for label in annotation.live.labels if label.text == text)


EDITS: dict[str, tuple[Edit, str, list[str]]] = {
    "assign": (
        lambda own, key: own.assign(key, np.array([True, True, False, False, False, False]), "NK", 1, "ticked cells"),
        '2 cells set to "NK" (ticked cells)',
        ["NK", "NK", "Unassigned", "B", "t", "T"],
    ),
    "add": (
        lambda own, key: own.add_label(key, " NK ", 1),
        'Label "NK" added',
        ["B", "T", "Unassigned", "B", "t", "T"],
    ),
    "rename": (
        lambda own, key: own.rename_label(key, 1, "B cell", 1),
        'Label "B" renamed to "B cell"',
        ["B cell", "T", "Unassigned", "B cell", "t", "T"],
    ),
    "merge": (
        lambda own, key: own.merge_labels(key, [3, 1], 2, 1),
        '"t", "B" merged into "T"',
        ["T", "T", "Unassigned", "T", "T", "T"],
    ),
    "delete": (
        lambda own, key: own.delete_label(key, 2, 1),
        'Label "T" deleted, 2 cells set to "Unassigned"',
        ["B", "Unassigned", "Unassigned", "B", "t", "Unassigned"],
    ),
    "split": (
        lambda own, key: own.split_label(key, 2, own.study.category("phase"), "_", 1),
        'Label "T" split by phase',
        ["B", "T_S", "Unassigned", "B", "t", "T_G1"],
    ),
    "replace": (
        lambda own, key: own.replace_in_labels(key, "t", "T", 1, is_pattern=False, ignore_case=False),
        '"t" replaced by "T" in 1 label',
        ["B", "T", "Unassigned", "B", "T", "T"],
    ),
    "replace a pattern": (
        lambda own, key: own.replace_in_labels(key, r"^(t)$", r"\1 cell", 1, is_pattern=True, ignore_case=True),
        r'"^(t)$" replaced by "\1 cell" in 2 labels',
        ["B", "T cell", "Unassigned", "B", "t cell", "T cell"],
    ),
    "describe": (
        lambda own, key: own.detail_label(
            key, 1, 1, description="bright", ontology="CL:0000236", markers=["MS4A1"], absent_markers=["CD3D"]
        ),
        'Label "B" described',
        ["B", "T", "Unassigned", "B", "t", "T"],
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_one_event_that_is_undone_and_redone(
    workspace: Workspace, fate: Annotation, open_workspace: Callable[[], Workspace], name: str
) -> None:
    edit, description, expected = EDITS[name]
    made = edit(workspace, fate.id)
    assert (made.version, texts(made)) == (2, expected)
    (event, _) = workspace.history(fate.id)
    assert event.description == description
    assert event.n_cells == sum(before != after for before, after in zip(fate.codes, made.codes, strict=True))
    workspace.undo()
    back = workspace.annotation(fate.id)
    assert (back.header, back.codes.tolist()) == (fate.header, fate.codes.tolist())
    workspace.redo()
    again = workspace.annotation(fate.id)
    assert (again.header, again.codes.tolist()) == (made.header, made.codes.tolist())
    # And after a restart.
    workspace.close()
    reopened = open_workspace().annotation(fate.id)
    assert (reopened.header, reopened.codes.tolist()) == (made.header, made.codes.tolist())


@pytest.mark.parametrize("name", EDITS)
def test_no_edit_of_an_old_version(workspace: Workspace, fate: Annotation, name: str) -> None:
    workspace.describe(fate.id, "newer", 1)
    with pytest.raises(EditConflict, match="saved a newer version") as conflict:
        EDITS[name][0](workspace, fate.id)
    assert (conflict.value.annotation_id, conflict.value.version) == (fate.id, 1)
    assert workspace.annotation(fate.id).version == 2


def test_what_changes_nothing_is_no_event(workspace: Workspace, fate: Annotation) -> None:
    workspace.assign(fate.id, np.zeros(6, bool), "B", 1)
    workspace.assign(fate.id, np.array([True, False, False, True, False, False]), "B", 1)
    workspace.merge_labels(fate.id, [1], 1, 1)
    workspace.rename_label(fate.id, 1, "B", 1)
    workspace.replace_in_labels(fate.id, "nothing", "x", 1, is_pattern=False, ignore_case=False)
    workspace.detail_label(fate.id, 1, 1, description="", ontology="", markers=[], absent_markers=[])
    assert workspace.annotation(fate.id).version == 1
    assert len(workspace.history(fate.id)) == 1


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda own, key: own.assign(key, np.ones(6, bool), " ", 1), "E10"),
        (lambda own, key: own.add_label(key, "B", 1), "E09"),
        (lambda own, key: own.rename_label(key, 1, "T", 1), "E09"),
        (lambda own, key: own.rename_label(key, 1, " ", 1), "E10"),
        (lambda own, key: own.delete_label(key, 0, 1), "E19"),
        (lambda own, key: own.merge_labels(key, [0], 1, 1), "E19"),
        (lambda own, key: own.replace_in_labels(key, "(", "x", 1, is_pattern=True, ignore_case=False), "E18"),
        (lambda own, key: own.replace_in_labels(key, "B", "", 1, is_pattern=False, ignore_case=False), "E10"),
    ],
)
def test_refusals(workspace: Workspace, fate: Annotation, edit: Edit, code: str) -> None:
    with pytest.raises(NameRefused) as refused:
        edit(workspace, fate.id)
    assert refused.value.code == code
    assert workspace.annotation(fate.id).version == 1


def test_cells_that_have_the_label_already_are_told_apart(workspace: Workspace, fate: Annotation) -> None:
    """Cells that were chosen are counted, as the button did."""
    rows = np.array([True, True, False, True, False, False])
    workspace.assign(fate.id, rows, "B", 1, "ticked cells")
    assert workspace.history(fate.id)[0].description == '3 cells set to "B", 1 of them changed (ticked cells)'


def test_too_many_values_to_split_by(workspace: Workspace, fate: Annotation) -> None:
    workspace.max_items = 1
    with pytest.raises(NameRefused) as refused:
        workspace.split_label(fate.id, 2, workspace.study.category("phase"), "_", 1)
    assert str(refused.value) == '"phase" has 2 values there; at most 1 labels are made.'


def test_what_splitting_would_find(workspace: Workspace, fate: Annotation) -> None:
    phase = workspace.study.category("phase")
    found = workspace.find_split(fate.id, 1, phase, "_")
    assert (found.counts, found.merged, found.n_missing, found.version) == ({"B_G1": 1}, [], 1, 1)
    found = workspace.find_split(fate.id, 2, phase, "_")
    assert (found.counts, found.merged, found.n_missing) == ({"T_G1": 1, "T_S": 1}, [], 0)


def test_labels_that_would_be_merged(fate: Annotation) -> None:
    assert merged_by(fate, {3: "T"}) == 1
    assert merged_by(fate, {3: "NK"}) == 0


class TestPatterns:
    def test_groups_and_case(self) -> None:
        assert patterns.substitute(["CD4 T", "cd8 t"], r"cd(\d)", r"CD\1+", ignore_case=True) == ["CD4+ T", "CD8+ t"]
        assert patterns.substitute(["a\udc80"], "b", "c") == ["a\udc80"]

    @pytest.mark.parametrize(("pattern", "replacement"), [("(", ""), ("a", r"\9"), ("a", "\\"), ("a{99999999999}", "")])
    def test_what_is_no_expression(self, pattern: str, replacement: str) -> None:
        with pytest.raises(NameRefused, match="This is no regular expression: ") as refused:
            patterns.substitute(["a"], pattern, replacement)
        assert refused.value.code == "E18"

    def test_one_that_takes_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(patterns, "PATIENCE", 0.5)
        with pytest.raises(NameRefused, match="takes too long for 1 label"):
            patterns.substitute(["a" * 60 + "!"], "(a+)+$", "")

    def test_one_that_takes_too_much_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A text of a gigabyte on the way to the thousand characters that are kept.
        monkeypatch.setattr(patterns, "MEMORY", 128 * 1024**2)
        with pytest.raises(NameRefused, match="cannot be used"):
            patterns.substitute(["a" * 100_000], "a", "y" * 10_000)

    def test_users_take_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(patterns, "PATIENCE", 0.05)
        ada, bob, eve = (threading.Lock() for _ in range(3))
        with patterns.turn(ada):
            with pytest.raises(NameRefused, match="busy") as refused, patterns.turn(ada):
                pass
            assert refused.value.code == "E18"
            with patterns.turn(bob):
                with pytest.raises(NameRefused, match="busy"), patterns.turn(eve):
                    pass
                assert not eve.locked()
            with patterns.turn(eve):
                pass

    def test_texts_that_grow(self) -> None:
        assert patterns.substitute(["x" * 128], "", "y" * 500) == [f"{'y' * 500}x{'y' * 499}"]
