"""Any sequence of edits keeps a workspace, its journal and its draft equal to a simple model."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.combine import CombineRecipe, MissingParts
from iscan_dash.core.study import open_study
from iscan_dash.errors import EditConflict, NameRefused, NothingToUndo, UnknownColumn
from iscan_dash.services.workspace import Source, Workspace
from tests.studies import write_study

FATE = ["B", "T, naïve", None, "B", '"NK" #1', None]
LEIDEN = ["0", "2", "10", None, "2", "0"]
N_CELLS = len(FATE)
TAKEN = {"fate", "leiden", "_index"}

NAMES = st.sampled_from(["a", "A", "b", "c", "A (2)", "a (copy)", 'é, "x" #', "d ", "fate", "index", "a/b", ""])
LABELS = st.sampled_from(["B", "b", "Unassigned", "T, naïve", '# "x", ', "NA", "α\tβ", ""])
COLOURS = st.sampled_from(["#112233", "#AABBCC", "red"])
PICK = st.integers(0, 10)


@dataclass(frozen=True)
class State:
    """An annotation as the model has it."""

    name: str
    description: str
    labels: tuple[tuple[int, str, str], ...]
    codes: tuple[int, ...]

    @property
    def texts(self) -> list[str]:
        by_id = {label_id: text for label_id, text, _ in self.labels}
        return [by_id[code] for code in self.codes]


@dataclass(frozen=True)
class Step:
    """An event as the model has it."""

    id: str
    verb: str
    before: State | None
    after: State | None
    undoes: int | None


def state_of(annotation: Annotation) -> State:
    header = annotation.live
    labels = tuple((label.id, label.text, label.colour) for label in header.labels)
    return State(header.name, header.description, labels, tuple(annotation.codes.tolist()))


def changed_cells(before: State | None, after: State | None) -> int:
    nothing = (0,) * N_CELLS
    pairs = zip(before.codes if before else nothing, after.codes if after else nothing, strict=True)
    return sum(old != new for old, new in pairs)


class Histories(RuleBasedStateMachine):
    """Edits of one user, made to a workspace and to a model."""

    def __init__(self, study: Path) -> None:
        super().__init__()
        self.study = study
        self.folder = Path(tempfile.mkdtemp())
        self.steps: list[Step] = []
        self.done: list[int] = []
        self.undone: list[int] = []
        self.workspace = self.open()

    def open(self) -> Workspace:
        return Workspace(open_study([self.study]), user="ada", folder=self.folder)

    def teardown(self) -> None:
        self.workspace.close()
        self.check_draft()
        shutil.rmtree(self.folder)

    # -- the model -----------------------------------------------------------------------------------------------

    def versions(self, annotation_id: str) -> list[State | None]:
        return [None, *(step.after for step in self.steps if step.id == annotation_id)]

    def all_ids(self) -> list[str]:
        return list(dict.fromkeys(step.id for step in self.steps))

    def live(self) -> dict[str, State]:
        newest = {annotation_id: self.versions(annotation_id)[-1] for annotation_id in self.all_ids()}
        return {annotation_id: state for annotation_id, state in newest.items() if state is not None}

    def deleted(self) -> list[str]:
        last = {step.id: (place, step) for place, step in enumerate(self.steps)}
        gone = [(place, step) for place, step in last.values() if step.after is None]
        return [
            step.id
            for _, step in sorted(gone, key=lambda one: -one[0])
            if step.undoes is None or step.verb == "redo" or self.steps[step.undoes - 1].verb != "create"
        ]

    def taken(self, besides: str | None = None) -> set[str]:
        others = {state.name for annotation_id, state in self.live().items() if annotation_id != besides}
        return {name.casefold() for name in TAKEN | others}

    def is_refused(self, name: str, besides: str | None = None) -> bool:
        return name in {"", "a/b", "index"} or name.strip().casefold() in self.taken(besides)

    def free(self, wanted: str, besides: str | None = None) -> str:
        names = [wanted, *(f"{wanted} ({number})" for number in range(2, 100))]
        return next(name for name in names if name.casefold() not in self.taken(besides))

    def record(self, annotation_id: str, verb: str, after: State | None, undoes: int | None = None) -> None:
        before = self.versions(annotation_id)[-1]
        if before == after:
            return
        self.steps.append(Step(annotation_id, verb, before, after, undoes))
        if undoes is None:
            self.done.append(len(self.steps))
            self.undone.clear()

    def pick(self, number: int) -> tuple[str, State, int]:
        annotation_id, state = list(self.live().items())[number % len(self.live())]
        return annotation_id, state, len(self.versions(annotation_id)) - 1

    # -- edits ---------------------------------------------------------------------------------------------------

    @initialize()
    def create_first(self) -> None:
        self.create("first", ["fate", "leiden"], 0, MissingParts.DEFAULT_PART, "_", "Unassigned")

    @rule(
        name=NAMES,
        kinds=st.lists(st.sampled_from(["fate", "leiden", "annotation"]), max_size=3),
        number=PICK,
        missing=st.sampled_from(MissingParts),
        delimiter=st.sampled_from(["_", "", " / "]),
        default=LABELS,
    )
    def create(
        self, name: str, kinds: list[str], number: int, missing: MissingParts, delimiter: str, default: str
    ) -> None:
        kinds = [kind for kind in kinds if kind != "annotation" or self.live()]
        columns: list[list[str | None]] = []
        sources = []
        for kind in kinds:
            if kind == "annotation":
                annotation_id, state, _ = self.pick(number)
                sources.append(Source("annotation", annotation_id))
                columns.append(list(state.texts))
            else:
                sources.append(Source("cluster" if kind == "leiden" else "metadata", kind))
                columns.append(list(FATE if kind == "fate" else LEIDEN))
        recipe = CombineRecipe(default, delimiter, missing)
        kept = default.replace("\t", " ").strip()
        if self.is_refused(name) or not kept:
            with pytest.raises(NameRefused):
                self.workspace.create_from_existing(name, sources, recipe)
            return
        state = state_of(self.workspace.create_from_existing(name, sources, recipe))
        rows = zip(*columns, strict=True) if columns else [()] * N_CELLS

        assert state.name == name.strip()
        assert state.texts == [self.combined(values, kept, recipe) for values in rows]
        assert [label_id for label_id, _, _ in state.labels] == list(range(len(state.labels)))
        assert state.labels[0][1] == kept
        assert {text for _, text, _ in state.labels} == {kept, *state.texts}
        self.record(self.workspace.annotations()[0].id, "create", state)

    def combined(self, values: tuple[str | None, ...], default: str, recipe: CombineRecipe) -> str:
        present = [value for value in values if value is not None]
        if not present or (recipe.missing == "whole_label" and len(present) < len(values)):
            return default
        if recipe.missing == "leave_out":
            return recipe.delimiter.join(present)
        return recipe.delimiter.join(default if value is None else value for value in values)

    @precondition(lambda self: self.live())
    @rule(number=PICK, name=NAMES)
    def rename(self, number: int, name: str) -> None:
        annotation_id, state, version = self.pick(number)
        if self.is_refused(name, annotation_id):
            with pytest.raises(NameRefused):
                self.workspace.rename(annotation_id, name, version)
            return
        self.workspace.rename(annotation_id, name, version)
        self.record(annotation_id, "rename", replace(state, name=name.strip()))

    @precondition(lambda self: self.live())
    @rule(number=PICK, text=st.sampled_from(["", "of today", " of\ntomorrow "]))
    def describe(self, number: int, text: str) -> None:
        annotation_id, state, version = self.pick(number)
        self.workspace.describe(annotation_id, text, version)
        self.record(annotation_id, "describe", replace(state, description=text.strip()))

    @precondition(lambda self: self.live())
    @rule(number=PICK, label=PICK, text=LABELS)
    def rename_label(self, number: int, label: int, text: str) -> None:
        annotation_id, state, version = self.pick(number)
        label_id = label % len(state.labels)
        kept = text.replace("\t", " ").strip()
        others = {other for other_id, other, _ in state.labels if other_id != label_id}
        if not kept or kept in others:
            with pytest.raises(NameRefused):
                self.workspace.rename_label(annotation_id, label_id, text, version)
            return
        labels = tuple((own, kept if own == label_id else old, colour) for own, old, colour in state.labels)
        self.workspace.rename_label(annotation_id, label_id, text, version)
        self.record(annotation_id, "rename label", replace(state, labels=labels))

    @precondition(lambda self: self.live())
    @rule(number=PICK, label=PICK, colour=COLOURS)
    def recolour(self, number: int, label: int, colour: str) -> None:
        annotation_id, state, version = self.pick(number)
        label_id = label % len(state.labels)
        labels = tuple((own, text, colour.lower() if own == label_id else old) for own, text, old in state.labels)
        if colour == "red":
            with pytest.raises(NameRefused):
                self.workspace.recolour_label(annotation_id, label_id, colour, version)
            return
        self.workspace.recolour_label(annotation_id, label_id, colour, version)
        self.record(annotation_id, "recolour", replace(state, labels=labels))

    @precondition(lambda self: self.live())
    @rule(number=PICK)
    def duplicate(self, number: int) -> None:
        annotation_id, state, _ = self.pick(number)
        copy = self.workspace.duplicate(annotation_id)
        self.record(copy.id, "create", replace(state, name=self.free(f"{state.name} (copy)")))

    @precondition(lambda self: self.live())
    @rule(number=PICK)
    def delete(self, number: int) -> None:
        annotation_id, _, _ = self.pick(number)
        event = self.workspace.delete(annotation_id, self.workspace.annotation(annotation_id).version)
        self.record(annotation_id, "delete", None)
        assert event.seq == len(self.steps)

    @precondition(lambda self: self.deleted())
    @rule(number=PICK)
    def restore(self, number: int) -> None:
        annotation_id = self.deleted()[number % len(self.deleted())]
        last = self.versions(annotation_id)[-2]
        assert last is not None
        self.workspace.restore(annotation_id)
        self.record(annotation_id, "restore", replace(last, name=self.free(last.name)))

    @precondition(lambda self: self.live())
    @rule(number=PICK, back=PICK)
    def revert(self, number: int, back: int) -> None:
        annotation_id, state, version = self.pick(number)
        wanted = version - back % (version + 1)
        earlier = self.versions(annotation_id)[wanted]
        if earlier is None:
            with pytest.raises(UnknownColumn):
                self.workspace.revert(annotation_id, wanted, self.workspace.annotation(annotation_id).version)
            return
        assert self.workspace.compare(annotation_id, wanted).n_cells == changed_cells(state, earlier)
        self.workspace.revert(annotation_id, wanted, self.workspace.annotation(annotation_id).version)
        self.record(annotation_id, "revert", replace(earlier, name=self.free(earlier.name, annotation_id)))

    @precondition(lambda self: self.live())
    @rule(number=PICK, text=st.sampled_from(["x", "y"]))
    def edit_an_older_version(self, number: int, text: str) -> None:
        annotation_id, _, version = self.pick(number)
        with pytest.raises(EditConflict):
            self.workspace.describe(annotation_id, text, version - 1)

    @rule()
    def undo(self) -> None:
        if not self.done:
            with pytest.raises(NothingToUndo):
                self.workspace.undo()
            return
        seq = self.done.pop()
        assert self.workspace.undo().seq == seq
        self.undone.append(seq)
        self.record(self.steps[seq - 1].id, "undo", self.steps[seq - 1].before, seq)

    @rule()
    def redo(self) -> None:
        if not self.undone:
            with pytest.raises(NothingToUndo):
                self.workspace.redo()
            return
        seq = self.undone.pop()
        assert self.workspace.redo().seq == seq
        self.done.append(seq)
        self.record(self.steps[seq - 1].id, "redo", self.steps[seq - 1].after, seq)

    @precondition(lambda self: self.done)
    @rule()
    def undo_and_redo(self) -> None:
        before = [state_of(annotation) for annotation in self.workspace.annotations()]
        self.undo()
        self.redo()
        assert [state_of(annotation) for annotation in self.workspace.annotations()] == before

    @rule()
    def reopen(self) -> None:
        before = self.everything()
        self.workspace.close()
        self.check_draft()
        self.workspace = self.open()
        assert self.everything() == before

    # -- what must hold ------------------------------------------------------------------------------------------

    def everything(self) -> list[Any]:
        annotations = self.workspace.annotations()
        return [
            [(annotation.id, annotation.header, annotation.codes.tolist()) for annotation in annotations],
            [(annotation.version, annotation.modified) for annotation in annotations],
            [self.workspace.history(annotation_id) for annotation_id in self.all_ids()],
            self.workspace.deleted(),
            (self.workspace.undoable(), self.workspace.redoable()),
        ]

    @invariant()
    def annotations_are_those_of_the_model(self) -> None:
        annotations = self.workspace.annotations()

        assert [annotation.id for annotation in annotations] == list(reversed(self.live()))
        for annotation in annotations:
            versions = self.versions(annotation.id)
            assert state_of(annotation) == versions[-1]
            assert annotation.version == len(versions) - 1
            assert sum(annotation.counts.values()) == N_CELLS

    @invariant()
    def history_is_that_of_the_model(self) -> None:
        assert self.workspace.revision == len(self.steps)
        for annotation_id in self.all_ids():
            expected = [(place, step) for place, step in enumerate(self.steps, 1) if step.id == annotation_id]
            assert [
                (event.seq, event.verb, event.version, event.n_cells, event.undoes)
                for event in reversed(self.workspace.history(annotation_id))
            ] == [
                (place, step.verb, version, changed_cells(step.before, step.after), step.undoes)
                for version, (place, step) in enumerate(expected, 1)
            ]

    @invariant()
    def what_can_be_undone_and_restored_is_that_of_the_model(self) -> None:
        undoable, redoable = self.workspace.undoable(), self.workspace.redoable()

        assert (undoable.seq if undoable else None) == (self.done[-1] if self.done else None)
        assert (redoable.seq if redoable else None) == (self.undone[-1] if self.undone else None)
        assert [deleted.id for deleted in self.workspace.deleted()] == self.deleted()

    def check_draft(self) -> None:
        """See that the draft on the disk, read by pandas, holds every annotation."""
        drafts = list(self.folder.glob("*.csv"))
        assert len(drafts) == bool(self.steps)
        assert len(list(self.folder.glob("[!.]*.*"))) == len(drafts) + 1
        for path in drafts:
            lines = path.read_text(encoding="utf-8").splitlines()
            n_comments = next(place for place, line in enumerate(lines) if not line.startswith("#"))
            table = pd.read_csv(path, skiprows=n_comments, dtype=str, keep_default_na=False)
            assert table.to_dict("list") == {
                "index": [f"cell{row}" for row in range(N_CELLS)],
                "sample": ["mine"] * N_CELLS,
                **{state.name: state.texts for state in self.live().values()},
            }
            assert list(table.columns[2:]) == [state.name for state in self.live().values()]


def test_any_sequence_of_edits(tmp_path: Path) -> None:
    obs = {"fate": pd.Categorical(FATE), "leiden": pd.Categorical(LEIDEN)}
    study = write_study(tmp_path / "mine.h5ad", obs)
    run_state_machine_as_test(
        lambda: Histories(study), settings=settings(max_examples=50, stateful_step_count=30, deadline=None)
    )
