"""Other cutoffs after a run: what a new run would have given, one event, and nothing that was edited is lost."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.combine import Combined
from iscan_dash.core.singler.outcome import Outcome
from iscan_dash.core.singler.prune import margins, prune
from iscan_dash.core.study import open_study
from iscan_dash.errors import EditConflict, PredictionRefused
from iscan_dash.services.repruning import Cutoffs, Repruning
from iscan_dash.services.workspace import Workspace
from tests.core.singler import plain
from tests.core.singler.golden import load, needs_golden
from tests.core.singler.test_prune import CUTOFFS
from tests.studies import write_study

N_CELLS = 80
LABELS = ("B cell", "NK cell", "T cell")
RECIPE = {"method": "SingleR", "nmads": 3.0, "min_diff_med": None}


@pytest.fixture
def outcome() -> Outcome:
    """Scores of which each cutoff leaves another part; a cell without markers and one without a row."""
    random = np.random.default_rng(0)
    scores = random.normal(0.5, 0.1, (N_CELLS, 3))
    label = scores.argmax(axis=1).astype(np.int32)
    has_markers = np.arange(N_CELLS) != 4
    rows = np.where(np.arange(N_CELLS) == 9, -1, np.arange(N_CELLS))
    return Outcome(LABELS, scores, label, np.full(N_CELLS, 0.1), margins(scores, label), has_markers, rows)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "drafts").mkdir()
    path = write_study(tmp_path / "mine.h5ad", cells=N_CELLS)
    made = Workspace(open_study([path]), user="ada", folder=tmp_path / "drafts")
    yield made
    made.close()
    made.study.close()


@pytest.fixture
def predicted(workspace: Workspace, outcome: Outcome) -> Annotation:
    """The annotation that the prediction made, with the ids 0 for Unassigned and 1 to 3."""
    codes = Repruning(outcome).preview(Cutoffs.of(RECIPE)).codes + 1
    combined = Combined(("Unassigned", *LABELS), codes, ())
    return workspace._create("SingleR", combined, "prediction", RECIPE, "Predicted")


def texts(annotation: Annotation) -> list[str]:
    return [annotation.live.by_id[code].text for code in annotation.codes.tolist()]


def wanted(outcome: Outcome, nmads: float | None) -> list[str]:
    """Return the labels that a run with a cutoff gives."""
    pruned = prune(outcome.scores, outcome.label, outcome.delta, nmads=nmads).is_pruned
    has_none = pruned | ~outcome.has_markers | (outcome.rows < 0)
    return ["Unassigned" if none else LABELS[code] for none, code in zip(has_none, outcome.label, strict=True)]


class TestPreview:
    @needs_golden
    @pytest.mark.parametrize("name", ["p68sc", "mini_bp_fine", "hpca_fine"])
    def test_counts_are_those_of_prune_scores_at_any_cutoff(self, name: str) -> None:
        golden = load(name)
        scores, label, delta = golden["scores_R"], golden["best_R"], golden["delta_R"]
        names = tuple(golden["labels"].tolist())
        every = np.ones(len(label), bool)
        # As kept on disk: scores of 16 bits, margins of 64.
        kept = scores.astype(np.float16)
        outcome = Outcome(names, kept, label, delta, margins(scores, label), every, np.arange(len(label)))
        repruning = Repruning(outcome)
        for nmads in CUTOFFS:
            pruned = plain.prune(scores, label, delta, nmads)
            found = repruning.preview(Cutoffs(nmads))
            np.testing.assert_array_equal(found.codes, np.where(pruned, -1, label))
            assert found.n_pruned == pruned.sum()
            for own in found.counts:
                code = names.index(own.label)
                assert own.n_kept == ((label == code) & ~pruned).sum()
                assert own.n_pruned == ((label == code) & pruned).sum()
        assert repruning.preview(Cutoffs(None)).n_pruned == 0

    def test_cells_without_a_say_are_counted_apart(self, outcome: Outcome) -> None:
        found = Repruning(outcome).preview(Cutoffs(1))
        assert found.n_without == 2
        assert sum(own.n_kept + own.n_pruned for own in found.counts) == N_CELLS - 2
        assert (found.codes == -1).sum() == found.n_pruned + 2 > 10

    def test_each_label_by_its_own_cutoff(self, outcome: Outcome) -> None:
        found = Repruning(outcome).preview(Cutoffs(1, {"T cell": None, "B cell": 0.5}))
        by_label = {own.label: own for own in found.counts}
        assert by_label["T cell"].n_pruned == 0
        assert by_label["T cell"].threshold == -np.inf
        one, half = (Repruning(outcome).preview(Cutoffs(nmads)).counts for nmads in (1, 0.5))
        assert by_label["NK cell"] == one[1]
        assert by_label["B cell"] == half[0]

    def test_groups_count_by_their_cells(self) -> None:
        scores = np.array([[0.5, 0.1], [0.4, 0.3], [0.5, 0.2]])
        label, every = np.zeros(3, np.int32), np.ones(3, bool)
        rows = np.array([0, 0, 0, 1, 1, 2, -1])
        outcome = Outcome(("B", "T"), scores, label, np.ones(3), margins(scores, label), every, rows)
        found = Repruning(outcome).preview(Cutoffs(0))
        assert [(own.label, own.n_kept, own.n_pruned) for own in found.counts] == [("B", 4, 2)]
        assert found.codes.tolist() == [0, 0, 0, -1, -1, 0, -1]

    def test_limits_of_the_prediction_stay(self, outcome: Outcome) -> None:
        found = Repruning(outcome, 0.1).preview(Cutoffs(3))
        direct = prune(outcome.scores, outcome.label, outcome.delta, min_diff_med=0.1).is_pruned
        np.testing.assert_array_equal(found.pruned.is_pruned, direct)

    @pytest.mark.parametrize("cutoffs", [Cutoffs(-1), Cutoffs(float("nan")), Cutoffs(3, {"T cell": -0.1})])
    def test_refusals(self, outcome: Outcome, cutoffs: Cutoffs) -> None:
        with pytest.raises(PredictionRefused, match="at least 0"):
            Repruning(outcome).preview(cutoffs)

    def test_no_cell_was_labelled(self) -> None:
        none = np.zeros(0, np.int32)
        outcome = Outcome(("B",), np.zeros((0, 1)), none, none * 1.0, none * 1.0, none > 0, np.full(3, -1))
        assert Repruning(outcome).preview(Cutoffs(3)).codes.tolist() == [-1] * 3


class TestAccept:
    def test_it_is_one_event_that_is_undone(
        self, workspace: Workspace, predicted: Annotation, outcome: Outcome
    ) -> None:
        assert texts(predicted) == wanted(outcome, 3)
        repruning = Repruning(outcome)
        for step, nmads in enumerate([1.0, 2.0, None, 0.5, 3.0]):
            state = workspace.annotation(predicted.id)
            state = repruning.accept(workspace, predicted.id, Cutoffs(nmads), state.version)
            assert state.version == step + 2
            assert texts(state) == wanted(outcome, nmads)
            assert state.live.recipe == {**RECIPE, "nmads": nmads, "nmads_of_labels": {}}
        workspace.undo()
        assert texts(workspace.annotation(predicted.id)) == wanted(outcome, 0.5)
        assert Cutoffs.of(workspace.annotation(predicted.id).live.recipe) == Cutoffs(0.5)
        workspace.revert(predicted.id, 2, workspace.annotation(predicted.id).version)
        assert texts(workspace.annotation(predicted.id)) == wanted(outcome, 1.0)
        assert workspace.history(predicted.id)[-2].description.startswith("Outlier cutoff 1 MADs: ")

    def test_a_cutoff_that_changes_no_cell_is_noted(
        self, workspace: Workspace, predicted: Annotation, outcome: Outcome
    ) -> None:
        state = Repruning(outcome).accept(workspace, predicted.id, Cutoffs(3.0, {"T cell": 3.0}), predicted.version)
        assert (state.version, texts(state)) == (2, texts(predicted))
        assert Cutoffs.of(state.live.recipe).per_label == {"T cell": 3.0}
        again = Repruning(outcome).accept(workspace, predicted.id, Cutoffs(3.0, {"T cell": 3.0}), state.version)
        assert again.version == 2

    def test_what_was_edited_stays(self, workspace: Workspace, predicted: Annotation, outcome: Outcome) -> None:
        gone = [place for place, text in enumerate(wanted(outcome, 0.5)) if text != texts(predicted)[place]]
        edited = np.isin(np.arange(N_CELLS), gone[:3])
        state = workspace.assign(predicted.id, edited, "mine", predicted.version)
        state = workspace.rename_label(predicted.id, 3, "CD3+", state.version)
        state = Repruning(outcome).accept(workspace, predicted.id, Cutoffs(0.5), state.version)
        expected = ["CD3+" if text == "T cell" else text for text in wanted(outcome, 0.5)]
        assert texts(state) == ["mine" if own else text for own, text in zip(edited, expected, strict=True)]
        assert workspace.history(predicted.id)[0].description.endswith("cells changed, 3 edited cells kept")
        # Cells that get their label back get it by its name of today.
        state = Repruning(outcome).accept(workspace, predicted.id, Cutoffs(None), state.version)
        expected = ["CD3+" if text == "T cell" else text for text in wanted(outcome, None)]
        assert texts(state) == ["mine" if own else text for own, text in zip(edited, expected, strict=True)]

    def test_a_label_that_was_taken_away_comes_back(
        self, workspace: Workspace, predicted: Annotation, outcome: Outcome
    ) -> None:
        state = Repruning(outcome).accept(workspace, predicted.id, Cutoffs(1.0), predicted.version)
        state = workspace.delete_label(predicted.id, 1, state.version)
        state = Repruning(outcome).accept(workspace, predicted.id, Cutoffs(None), state.version)
        new = np.array(wanted(outcome, 1.0)) != np.array(wanted(outcome, None))
        b_cells = np.array(wanted(outcome, None)) == "B cell"
        assert {text for text, own in zip(texts(state), new & b_cells, strict=True) if own} == {"B cell"}
        assert {text for text, own in zip(texts(state), ~new & b_cells, strict=True) if own} == {"Unassigned"}

    def test_a_label_that_is_called_like_the_default(self, workspace: Workspace, outcome: Outcome) -> None:
        outcome = replace(outcome, labels=("B cell", "Unassigned", "T cell"))
        codes = np.array([1, 0, 2, 0])[Repruning(outcome).preview(Cutoffs(3.0)).codes]
        combined = Combined(("Unassigned", "B cell", "T cell"), codes.astype(np.int32), ())
        made = workspace._create("SingleR", combined, "prediction", RECIPE, "Predicted")
        state = Repruning(outcome).accept(workspace, made.id, Cutoffs(0.5), made.version)
        assert "kept" not in workspace.history(made.id)[0].description
        assert texts(state) == ["Unassigned" if text == "NK cell" else text for text in wanted(outcome, 0.5)]

    def test_refusals(self, workspace: Workspace, predicted: Annotation, outcome: Outcome) -> None:
        repruning = Repruning(outcome)
        with pytest.raises(PredictionRefused, match="at least 0"):
            repruning.accept(workspace, predicted.id, Cutoffs(-1), predicted.version)
        copy = workspace.duplicate(predicted.id)
        with pytest.raises(PredictionRefused, match="not made by a prediction"):
            repruning.accept(workspace, copy.id, Cutoffs(1), copy.version)
        repruning.accept(workspace, predicted.id, Cutoffs(1), predicted.version)
        with pytest.raises(EditConflict):
            repruning.accept(workspace, predicted.id, Cutoffs(2), predicted.version)


def test_cutoffs_in_words() -> None:
    assert Cutoffs(100).text == "no pruning"
    assert Cutoffs(3, dict.fromkeys("abcd", 2.0)).text == "3 MADs (4 labels by cutoffs of their own)"
    assert Cutoffs.of({"nmads": 2}) == Cutoffs(2)
    assert replace(Cutoffs(2), nmads=None).to_json() == {"nmads": None, "nmads_of_labels": {}}
