"""Looking into predictions of studies: which genes decided, what a selection is, and waiting for neither."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.markers import Comparer
from iscan_dash.core.references import Registry
from iscan_dash.core.singler.explain import why
from iscan_dash.core.study import Study
from iscan_dash.core.study import expression as expression_module
from iscan_dash.errors import IscanError, PredictionRefused
from iscan_dash.services import prepared_references as module
from iscan_dash.services.explain import Decision, Explainer
from iscan_dash.services.expression_samples import ExpressionSamples
from iscan_dash.services.prediction import Predictor, Prepared
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.prediction_result import Prediction
from iscan_dash.services.prepared_references import PreparedReferences, Waiting
from iscan_dash.services.repruning import Cutoffs, Repruning
from iscan_dash.services.results import PredictionResult, save_result
from iscan_dash.services.review import Review
from iscan_dash.services.trained_cache import TrainedCache
from iscan_dash.services.what_is_this import Namer, WhatIsThis
from iscan_dash.services.workspace import Source, Workspace
from tests.conftest import Opener
from tests.core.singler import plain
from tests.references import LABELS, N_MARKERS, gene_names, some_profiles, write_profiles
from tests.studies import log1p_cp10k, write_study

N_CELLS = 90
NAMES = list(dict.fromkeys(LABELS))
TRUTH = np.array([NAMES[place % 4] for place in range(N_CELLS)])


def some_cells() -> np.ndarray:
    """Make counts of cells that are like the profiles; the last one has none. Shape (N_CELLS, 600), float32."""
    random = np.random.default_rng(1)
    counts = random.poisson(some_profiles([*NAMES, *TRUTH], seed=1)[4:] / 3).astype(np.float32)
    counts[-1] = 0
    return counts


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "shared").mkdir()
    write_profiles(tmp_path / "shared" / "gut.h5ad")
    return Registry(tmp_path / "installed", tmp_path / "shared")


@pytest.fixture
def predictor(tmp_path: Path, registry: Registry) -> Predictor:
    return Predictor(registry, TrainedCache(tmp_path / "cache"))


@pytest.fixture
def references(registry: Registry, predictor: Predictor) -> Iterator[PreparedReferences]:
    made = PreparedReferences(registry, predictor)
    yield made
    made.close()


@pytest.fixture
def samples() -> Iterator[ExpressionSamples]:
    made = ExpressionSamples()
    yield made
    made.close()


@pytest.fixture
def explainer(samples: ExpressionSamples, references: PreparedReferences) -> Explainer:
    return Explainer(samples, references)


@pytest.fixture
def namer(samples: ExpressionSamples, references: PreparedReferences) -> Namer:
    return Namer(samples, references)


@pytest.fixture
def open_study(tmp_path: Path, open_files: Opener) -> Callable[..., Study]:
    def open_(x: np.ndarray | None = None, **parts: Any) -> Study:
        obs = {"leiden": pd.Categorical(TRUTH)}
        x = some_cells() if x is None else x
        return open_files(write_study(tmp_path / "cells.h5ad", obs, genes=gene_names(600), x=x, **parts))

    return open_


def ready(ask: Callable[[], Any]) -> Any:
    """Ask until the answer is there."""
    end = time.monotonic() + 60
    while isinstance(found := ask(), Waiting):
        assert found.part is None or 0 <= found.part <= 1
        assert time.monotonic() < end
    return found


def result_of(folder: Path, prediction: Prediction) -> PredictionResult:
    """Return a prediction as it comes back from its file."""
    save_result(folder / "made.npz", prediction)
    return PredictionResult.load(folder / "made.npz")


class TestDecision:
    @pytest.mark.parametrize("is_logged", [False, True])
    def test_the_genes_of_a_cluster(
        self,
        tmp_path: Path,
        predictor: Predictor,
        explainer: Explainer,
        open_study: Callable[..., Study],
        is_logged: bool,
    ) -> None:
        counts = some_cells()
        counts[-1, 0] = 1
        study = open_study(log1p_cp10k(counts) if is_logged else counts)
        prediction = predictor.predict(study, Parameters("gut"))
        outcome, mask = result_of(tmp_path, prediction).outcome, TRUTH == "NK cell"
        reason = why(outcome, prediction.classified.pruned, mask)
        assert reason is not None
        assert reason.label.label == "NK cell"
        assert reason.runner_up is not None
        runner_up = reason.runner_up.label
        found: Decision = ready(lambda: explainer.decision(study, prediction.recipe, mask, "NK cell", runner_up))

        # The twin: the score of every cell with the markers of the two labels, by the published description.
        profiles, labels = some_profiles(LABELS), np.array(LABELS)
        markers = plain.markers(profiles, labels)
        genes = sorted({*markers["NK cell", runner_up], *markers[runner_up, "NK cell"]})
        pairs = [plain.score(cell, profiles, labels, genes, ["NK cell", runner_up], 0.8) for cell in some_cells()[mask]]
        assert found.lead == pytest.approx(np.mean([one - two for one, two in pairs]), abs=1e-9)
        assert (found.n_genes, found.n_missing) == (len(genes), 0)
        assert (found.n_cells, found.n_ranked, found.n_here, found.n_elsewhere) == (22, 22, 22, 68)
        assert found.matrix.startswith("X (")
        assert not found.is_bulk

        sizes = [abs(gene.contribution) for gene in found.genes]
        assert sizes == sorted(sizes, reverse=True)
        assert len(found.genes) == 12
        logged = log1p_cp10k(counts)
        for gene in found.genes:
            place = int(gene.gene.removeprefix("GENE"))
            assert gene.is_up == (place in markers["NK cell", runner_up])
            assert gene.here == pytest.approx(logged[mask, place].mean(), rel=1e-4)
            assert gene.elsewhere == pytest.approx(logged[~mask, place].mean(), rel=1e-4)
            assert gene.here_share == pytest.approx((counts[mask, place] > 0).mean())
            assert gene.elsewhere_share == pytest.approx((counts[~mask, place] > 0).mean())
        # The label's own genes come before the others, and speak for it.
        own = range(NAMES.index("NK cell") * N_MARKERS, (NAMES.index("NK cell") + 1) * N_MARKERS)
        assert all(int(gene.gene.removeprefix("GENE")) in own for gene in found.genes if gene.is_up)
        assert all(gene.contribution > 0 for gene in found.genes)

    def test_one_cell(self, predictor: Predictor, explainer: Explainer, open_study: Callable[..., Study]) -> None:
        study = open_study()
        recipe = predictor.predict(study, Parameters("gut")).recipe
        mask = np.arange(N_CELLS) == 1
        found: Decision = ready(lambda: explainer.decision(study, recipe, mask, "Monocyte", "B cell"))
        assert (found.n_cells, found.n_ranked, found.n_here, found.n_elsewhere) == (1, 1, 1, 89)
        back: Decision = ready(lambda: explainer.decision(study, recipe, mask, "B cell", "Monocyte"))
        assert back.lead == pytest.approx(-found.lead)
        assert found.lead > 0

    def test_the_matrix_that_was_labelled_by_is_read(
        self, predictor: Predictor, explainer: Explainer, open_study: Callable[..., Study]
    ) -> None:
        other = np.random.default_rng(2).poisson(2, (N_CELLS, 600)).astype(np.float32)
        study, mask = open_study(other, layers={"real": some_cells()}), TRUTH == "NK cell"
        recipe = predictor.predict(study, Parameters("gut", matrix="layers/real")).recipe
        found: Decision = ready(lambda: explainer.decision(study, recipe, mask, "NK cell", "T cell"))
        assert found.matrix.startswith("layers/real")
        assert found.lead > 0.1
        assert all(gene.contribution > 0 for gene in found.genes)

    def test_groups_are_ranked_by_their_mean(
        self, predictor: Predictor, explainer: Explainer, open_study: Callable[..., Study]
    ) -> None:
        study = open_study()
        prediction = predictor.predict(study, Parameters("gut", by_cluster="leiden"))
        mask = TRUTH == "T cell"
        found: Decision = ready(lambda: explainer.decision(study, prediction.recipe, mask, "T cell", "B cell"))
        assert found.is_bulk
        # With so clear a lead the two were not scored again, so only the sign can be compared.
        assert found.lead > 0
        assert found.n_ranked == mask.sum()

    def test_genes_are_named_as_they_were_when_cells_were_labelled(
        self, tmp_path: Path, predictor: Predictor, explainer: Explainer, open_files: Opener
    ) -> None:
        ids = [f"id{place}" for place in range(600)]
        path = write_study(
            tmp_path / "ids.h5ad", genes=ids, cells=N_CELLS, x=some_cells(), var={"symbol": gene_names(600)}
        )
        study = open_files(path)
        recipe = predictor.predict(study, Parameters("gut", gene_column="symbol")).recipe
        found: Decision = ready(lambda: explainer.decision(study, recipe, TRUTH == "NK cell", "NK cell", "T cell"))
        assert found.n_missing == 0
        assert {own.gene for own in found.genes} <= set(gene_names(600))

    def test_refusals(
        self,
        tmp_path: Path,
        predictor: Predictor,
        explainer: Explainer,
        open_study: Callable[..., Study],
    ) -> None:
        study = open_study()
        recipe = predictor.predict(study, Parameters("gut")).recipe
        mask = TRUTH == "T cell"

        def refusal(*arguments: Any) -> str:
            with pytest.raises(IscanError) as refused:
                ready(lambda: explainer.decision(study, *arguments))
            return str(refused.value)

        assert refusal(recipe, mask & False, "T cell", "B cell") == "Select cells first."
        assert 'no label "x"' in refusal(recipe, mask, "T cell", "x")
        assert "differ" in refusal(recipe, mask, "T cell", "T cell")
        write_profiles(tmp_path / "shared" / "gut.h5ad", x=some_profiles(LABELS, seed=5))
        assert "was replaced" in refusal(recipe, mask, "T cell", "B cell")
        (tmp_path / "shared" / "gut.h5ad").unlink()
        assert 'no reference "gut"' in refusal(recipe, mask, "T cell", "B cell")


class TestWhatIsThis:
    @pytest.mark.parametrize("is_logged", [False, True])
    def test_it_is_what_a_prediction_of_the_group_says(
        self, predictor: Predictor, namer: Namer, open_study: Callable[..., Study], is_logged: bool
    ) -> None:
        counts = some_cells()
        counts[-1, 0] = 1
        study = open_study(log1p_cp10k(counts) if is_logged else counts)
        groups = predictor.predict(study, Parameters("gut", by_cluster="leiden", nmads=None))
        assert groups.groups is not None
        classified = groups.classified
        for group, label in enumerate(groups.groups):
            mask = np.isin(TRUTH, label)
            found: WhatIsThis = ready(partial(namer.what_is, study, mask, "gut"))
            assert found.candidates[0].label == label
            # Values of 32 bits put genes that are as good as equal in another order.
            assert found.delta == pytest.approx(classified.tuned.delta[group], abs=1e-4)
            scores = dict(zip(classified.labels, classified.first.scores[group].tolist(), strict=True))
            assert [own.score for own in found.candidates] == pytest.approx(
                [scores[own.label] for own in found.candidates], abs=1e-4
            )
            rest = [own.score for own in found.candidates[1:]]
            assert rest == sorted(rest, reverse=True)
            assert (found.n_cells, found.n_read) == (mask.sum(), mask.sum())
        assert found.reference_name == "gut"
        assert found.found_text.startswith("594 of 594")

    def test_most_cells_leave_no_noise_where_there_is_nothing(
        self, namer: Namer, open_study: Callable[..., Study]
    ) -> None:
        counts = some_cells()
        # Genes that only the few others have: the sums of the many are differences.
        counts[np.ix_(TRUTH != "B cell", np.arange(N_MARKERS))] = 0
        study = open_study(counts)
        found: WhatIsThis = ready(lambda: namer.what_is(study, TRUTH != "B cell", "gut"))
        logged = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4)
        mean = logged[TRUTH != "B cell"].mean(axis=0)
        profiles, labels = some_profiles(LABELS), np.array(LABELS)
        genes = sorted({gene for own in plain.markers(profiles, labels).values() for gene in own})
        wanted = plain.score(mean, profiles, labels, genes, NAMES, 0.8)
        scores = dict(zip(NAMES, wanted, strict=True))
        for own in found.candidates:
            assert own.score == pytest.approx(scores[own.label], abs=1e-4)

    def test_a_sample_of_many_cells(
        self,
        monkeypatch: pytest.MonkeyPatch,
        namer: Namer,
        open_study: Callable[..., Study],
    ) -> None:
        study = open_study()
        monkeypatch.setattr(expression_module.read_sample, "__kwdefaults__", {"whole": 0, "sampled": 9000, "seed": 1})
        monkeypatch.setattr(Comparer.__init__, "__defaults__", (4,))
        mask = np.isin(TRUTH, ["B cell", "T cell"])
        first: WhatIsThis = ready(lambda: namer.what_is(study, mask, "gut"))
        assert first.n_cells == mask.sum() > first.n_read > 3
        assert first == ready(lambda: namer.what_is(study, mask, "gut"))

    def test_refusals(self, namer: Namer, open_study: Callable[..., Study]) -> None:
        study = open_study()
        with pytest.raises(PredictionRefused, match="Select cells first"):
            namer.what_is(study, np.zeros(N_CELLS, bool), "gut")
        with pytest.raises(PredictionRefused, match="none of the marker genes"):
            ready(lambda: namer.what_is(study, np.arange(N_CELLS) == N_CELLS - 1, "gut"))
        with pytest.raises(PredictionRefused, match="no reference"):
            namer.what_is(study, TRUTH == "T cell", "skin")


class TestPreparedReferences:
    def test_a_reference_is_made_ready_once_and_those_used_last_are_kept(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        predictor: Predictor,
        references: PreparedReferences,
        open_study: Callable[..., Study],
    ) -> None:
        study = open_study()
        made: list[str] = []
        prepare = predictor.prepare

        def counting(study: Study, parameters: Parameters) -> Prepared:
            made.append(parameters.reference)
            return prepare(study, parameters)

        monkeypatch.setattr(predictor, "prepare", counting)
        for name in ("skin", "lung"):
            write_profiles(tmp_path / "shared" / f"{name}.h5ad")
        for name in ("gut", "skin", "gut", "lung", "gut", "skin"):
            found: Prepared = ready(partial(references.get, study, name, "main"))
            assert found.reference.entry.id == name
            assert found.genes == tuple(gene_names(600))
        assert made == ["gut", "skin", "lung", "skin"]

    def test_nobody_waits_long(
        self,
        monkeypatch: pytest.MonkeyPatch,
        predictor: Predictor,
        references: PreparedReferences,
        open_study: Callable[..., Study],
    ) -> None:
        study, prepare, go_on = open_study(), predictor.prepare, threading.Event()
        monkeypatch.setattr(module, "PATIENCE", 0.01)

        def slow(study: Study, parameters: Parameters) -> Prepared:
            assert go_on.wait(60)
            return prepare(study, parameters)

        monkeypatch.setattr(predictor, "prepare", slow)
        assert references.get(study, "gut", "main") == Waiting("Preparing the reference")
        go_on.set()
        assert isinstance(ready(lambda: references.get(study, "gut", "main")), Prepared)

    def test_a_failure_is_told_and_tried_again(
        self,
        monkeypatch: pytest.MonkeyPatch,
        predictor: Predictor,
        references: PreparedReferences,
        open_study: Callable[..., Study],
    ) -> None:
        study = open_study()

        def broken(study: Study, parameters: Parameters) -> Prepared:
            raise PredictionRefused("no")

        with monkeypatch.context() as patched:
            patched.setattr(predictor, "prepare", broken)
            with pytest.raises(PredictionRefused, match="no"):
                ready(lambda: references.get(study, "gut", "main"))
        assert isinstance(ready(lambda: references.get(study, "gut", "main")), Prepared)


def test_a_result_is_looked_into_and_its_cutoff_is_changed(
    tmp_path: Path, predictor: Predictor, explainer: Explainer, open_study: Callable[..., Study]
) -> None:
    study, own = open_study(), uuid4().hex
    (tmp_path / "drafts").mkdir()
    workspace = Workspace(study, user="ada", folder=tmp_path / "drafts")
    made = result_of(tmp_path, predictor.predict(study, Parameters("gut")))
    workspace.add_result(own, tmp_path / "made.npz", "SingleR", made.combined(), "prediction", made.recipe, "Predicted")
    kept = workspace.result_file(own)
    assert kept is not None
    result = PredictionResult.load(kept)
    recipe = workspace.annotation(own).live.recipe
    repruning = Repruning(result.outcome, recipe["min_diff_med"])

    state = workspace.annotation(own)
    for cutoffs in (Cutoffs(1.0), Cutoffs(0.5, {"T cell": None}), Cutoffs(None), Cutoffs(3.0)):
        other = result.pruned_with(cutoffs.nmads, cutoffs.per_label)
        np.testing.assert_array_equal(repruning.preview(cutoffs).codes, other.assigned())
        state = repruning.accept(workspace, own, cutoffs, state.version)
        texts = [state.live.by_id[code].text for code in state.codes.tolist()]
        assert texts == [[*result.labels, "Unassigned"][code] for code in other.assigned()]
        assert Cutoffs.of(state.live.recipe) == cutoffs
    anew = predictor.predict(study, Parameters("gut", nmads=0.5))
    np.testing.assert_array_equal(repruning.preview(Cutoffs(0.5)).codes, anew.assigned())

    mask = TRUTH == "NK cell"
    reason = why(result.outcome, repruning.pruned(Cutoffs.of(state.live.recipe)), mask)
    assert reason is not None
    assert reason.runner_up is not None
    labels = reason.label.label, reason.runner_up.label
    found: Decision = ready(lambda: explainer.decision(study, state.live.recipe, mask, *labels))
    assert found.label == "NK cell"
    queue = Review(workspace, own, result.outcome, repruning.pruned(Cutoffs(None)), Source("cluster", "leiden")).queue()
    # Each cluster is of one label here, and none is pruned: only the cell that has no marker gene is in doubt.
    assert [item.in_doubt for item in queue.items] == [1, 0, 0, 0]
    workspace.close()
