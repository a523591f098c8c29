"""Predictions as jobs: what is kept equals what the engine said, and arrives as an annotation of its owner."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.references import Registry
from iscan_dash.core.singler.prune import prune
from iscan_dash.core.study import Study
from iscan_dash.errors import EditConflict, NameRefused, PredictionRefused, StorageError
from iscan_dash.services import result_files, results
from iscan_dash.services.job_table import Job, JobState
from iscan_dash.services.jobs import Jobs
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.prediction_parameters import Parameters, plain_parameters, read_parameters
from iscan_dash.services.prediction_result import Prediction
from iscan_dash.services.results import PredictionResult, save_result
from iscan_dash.services.trained_cache import TrainedCache
from iscan_dash.services.workspace import Workspace
from iscan_dash.services.workspaces import Workspaces
from tests.conftest import Opener
from tests.references import LABELS, gene_names, some_profiles, write_profiles
from tests.studies import write_study

N_CELLS = 120
NAMES = list(dict.fromkeys(LABELS))
TRUTH = [NAMES[place % 4] for place in range(N_CELLS)]
TEMPLATE = "{method}_{reference}_{granularity}"


def some_cells() -> np.ndarray:
    """Make counts of cells that are like the profiles, some less so; the last one has none. Shape (N_CELLS, 600)."""
    random = np.random.default_rng(1)
    values = some_profiles([*NAMES, *TRUTH], seed=1)[4:]
    # Every tenth cell looks like nothing, so that there is something to prune.
    values[::10] = values[::10].mean(axis=1, keepdims=True)
    counts = random.poisson(values / 3).astype(np.float32)
    counts[-1] = 0
    return counts


@pytest.fixture
def study(tmp_path: Path, open_files: Opener) -> Study:
    half = pd.Categorical(["one" if place % 2 else "two" for place in range(N_CELLS)])
    leiden = pd.Categorical([None if place in {0, 5} else TRUTH[place] for place in range(N_CELLS)])
    obs = {"leiden": leiden, "sample": half}
    return open_files(write_study(tmp_path / "cells.h5ad", obs, genes=gene_names(600), x=some_cells()))


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    (tmp_path / "shared").mkdir()
    write_profiles(tmp_path / "shared" / "gut.h5ad")
    return Predictor(Registry(tmp_path / "installed", tmp_path / "shared"), TrainedCache(tmp_path / "trained"))


@pytest.fixture
def workspaces(tmp_path: Path, study: Study) -> Iterator[Workspaces]:
    workspaces = Workspaces(study, annotations_dir=tmp_path / "drafts")
    yield workspaces
    workspaces.close()


@pytest.fixture
def ada(workspaces: Workspaces) -> Workspace:
    return workspaces.enter("a", "Ada")


@pytest.fixture
def jobs(tmp_path: Path, workspaces: Workspaces, predictor: Predictor) -> Iterator[Jobs]:
    options = {name: str(tmp_path / folder) for name, folder in PLACES.items()}
    jobs = Jobs(workspaces, tmp_path / "server", options=options)
    yield jobs
    jobs.close()


PLACES = {"references": "installed", "shared": "shared", "trained": "trained"}


def ended(jobs: Jobs, job: Job) -> Job:
    for _ in range(3000):
        if not jobs.get(job.id).is_active:
            return jobs.get(job.id)
        time.sleep(0.02)
    raise AssertionError("the job does not end")


def texts(labels: tuple[str, ...], codes: np.ndarray) -> list[str]:
    return [*np.array([*labels, "Unassigned"])[codes]]


def kept_of(prediction: Prediction, folder: Path) -> PredictionResult:
    path = folder / "kept.npz"
    path.unlink(missing_ok=True)
    save_result(path, prediction)
    return PredictionResult.load(path)


CASES = [
    {},
    {"by_cluster": "leiden"},
    {"samples": ["one"], "min_diff_med": 0.02},
    {"fine_tune": False, "nmads": None},
]


@pytest.mark.parametrize("changes", CASES)
def test_what_is_kept_is_what_was_found(
    predictor: Predictor, study: Study, tmp_path: Path, changes: dict[str, Any]
) -> None:
    prediction = predictor.predict(study, read_parameters({"reference": "gut", **changes}))
    kept = kept_of(prediction, tmp_path)
    pairs: list[tuple[Any, Any]] = [
        (kept.assigned(), prediction.assigned()),
        (kept.before_pruning(), prediction.before_pruning()),
        (kept.deltas(), prediction.deltas()),
        (kept.best_score(), prediction.best_score().astype(np.float32)),
        (kept.runners_up(), prediction.runners_up()),
        (kept.reasons(), prediction.reasons()),
        (kept.pruned.thresholds, prediction.classified.pruned.thresholds),
        (kept.scores, prediction.classified.first.scores.astype(np.float16)),
        (kept.outcome.margin, prediction.classified.pruned.margin),
    ]
    for own, found in pairs:
        assert own.dtype == found.dtype
        np.testing.assert_array_equal(own, found)
    assert (kept.labels, kept.groups) == (prediction.labels, prediction.groups)
    assert kept.recipe == prediction.recipe
    used, without = kept.counts()
    assert sum(used.values()) + sum(without.values()) == N_CELLS


@pytest.mark.parametrize("by_cluster", [None, "leiden"])
def test_another_cutoff_is_the_same_as_pruning_the_scores(
    predictor: Predictor, study: Study, tmp_path: Path, by_cluster: str | None
) -> None:
    prediction = predictor.predict(study, Parameters("gut", by_cluster=by_cluster))
    kept = kept_of(prediction, tmp_path)
    tuned, scores = prediction.classified.tuned, prediction.classified.first.scores
    pruned = []
    for nmads in [None, 100.0, *np.linspace(0, 6, 20)]:
        anew = kept.pruned_with(nmads)
        expected = prune(scores, tuned.label, tuned.delta, nmads=nmads)
        np.testing.assert_array_equal(anew.pruned.is_pruned, expected.is_pruned)
        np.testing.assert_array_equal(anew.assigned(), prediction.pruned_with(nmads).assigned())
        assert anew.recipe["nmads"] == nmads
        pruned.append(int(anew.pruned.is_pruned.sum()))
    assert pruned[:2] == [0, 0] and pruned[2:] == sorted(pruned[2:], reverse=True)
    if by_cluster is None:
        assert len(set(pruned)) > 5


def test_a_label_can_have_a_cutoff_of_its_own(predictor: Predictor, study: Study, tmp_path: Path) -> None:
    kept = kept_of(predictor.predict(study, Parameters("gut")), tmp_path)
    strict, loose = kept.pruned_with(0.5), kept.pruned_with(None)
    mixed = kept.pruned_with(None, {"T cell": 0.5})
    is_t = kept.label == kept.labels.index("T cell")
    np.testing.assert_array_equal(mixed.pruned.is_pruned, np.where(is_t, strict.pruned.is_pruned, False))
    assert loose.pruned.is_pruned.sum() == 0 < mixed.pruned.is_pruned.sum() < strict.pruned.is_pruned.sum()
    assert mixed.recipe["nmads_of_labels"] == {"T cell": 0.5} and "nmads_of_labels" not in kept.recipe


def test_a_label_called_like_the_default_is_told_apart_by_the_reasons(
    predictor: Predictor, study: Study, tmp_path: Path
) -> None:
    kept = kept_of(predictor.predict(study, Parameters("gut")), tmp_path)
    kept = replace(kept, labels=tuple("Unassigned" if label == "NK cell" else label for label in kept.labels))
    combined = kept.combined()
    assert combined.labels == ("Unassigned", "B cell", "Monocyte", "T cell")
    names = [combined.labels[code] for code in combined.codes]
    assert names == texts(kept.labels, kept.assigned())
    nk = kept.assigned() == kept.labels.index("Unassigned")
    assert nk.sum() > 5 and (kept.reasons()[nk] == 0).all()


def test_a_file_that_cannot_be_read_says_so(
    predictor: Predictor, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = kept_of(predictor.predict(study, Parameters("gut")), tmp_path)
    whole = kept.path.read_bytes()
    for content in (b"", whole[:-1000], whole[:200], b"PK" + whole[50:]):
        kept.path.write_bytes(content)
        with pytest.raises(StorageError, match=r"kept\.npz"):
            PredictionResult.load(kept.path).scores.sum()
    kept.path.write_bytes(whole)
    monkeypatch.setattr(results, "FORMAT", 0)
    with pytest.raises(StorageError, match="newer iscan-dash"):
        PredictionResult.load(kept.path)
    kept.path.unlink()
    with pytest.raises(StorageError, match="No such file"):
        _ = kept.scores


def test_parameters_are_read_back(tmp_path: Path) -> None:
    for parameters in (Parameters("gut"), Parameters("gut", samples=("one",), nmads=None, any_organism=True)):
        assert read_parameters(plain_parameters(parameters)) == parameters
    with pytest.raises(PredictionRefused, match="Choose a reference"):
        read_parameters({})
    with pytest.raises(PredictionRefused, match="no such parameter"):
        read_parameters({"reference": "gut", "speed": 9})


# -- jobs ------------------------------------------------------------------------------------------------------------


def test_a_prediction_arrives_as_an_annotation_of_its_owner(
    jobs: Jobs, ada: Workspace, predictor: Predictor, tmp_path: Path, study: Study
) -> None:
    job = jobs.submit("prediction", TEMPLATE, {"reference": "gut", "nmads": 2.5}, ada)
    assert job.name == "SingleR_gut_main"
    done = ended(jobs, job)
    assert done.state is JobState.FINISHED, done.message
    (made,) = ada.annotations()
    assert (made.id, made.live.name, made.live.origin, made.live.owner) == (
        done.result, "SingleR_gut_main", "prediction", "Ada",
    )  # fmt: skip
    expected = predictor.predict(study, Parameters("gut", nmads=2.5))
    assert texts(made.column.labels, made.column.codes) == texts(expected.labels, expected.assigned())
    assert made.live.recipe == expected.recipe and made.live.recipe["reference_checksum"]
    assert ada.history(made.id)[0].description == "Labelled by SingleR with gut (main)"
    n_labelled = int((expected.assigned() >= 0).sum())
    assert 0 < n_labelled < N_CELLS
    assert done.message == f"{n_labelled} of {N_CELLS} cells labelled with 4 labels."
    log = jobs.log(job.id)
    assert "marker genes found" in log and "train" in log and f"Finished. {n_labelled} of" in log

    path = ada.result_file(made.id)
    assert path and path.parent.name == f"cells-{ada.place.suffix}-results"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*path.parent.iterdir()] == [path]
    kept = PredictionResult.load(path)
    np.testing.assert_array_equal(kept.reasons(), expected.reasons())
    assert ada.result_file("../" * 3 + "x") is None and ada.result_file("0" * 32) is None


def test_a_name_that_is_taken_meanwhile_gets_a_number(jobs: Jobs, ada: Workspace) -> None:
    job = jobs.submit("prediction", TEMPLATE, {"reference": "gut"}, ada)
    ada.create_from_existing("SINGLER_gut_main", [], CombineRecipe("none"))
    done = ended(jobs, job)
    said = '"SingleR_gut_main" was taken meanwhile; the result is called "SingleR_gut_main (2)".'
    assert done.message.endswith(said) and said in jobs.log(job.id)
    assert ada.annotations()[0].live.name == "SingleR_gut_main (2)"


def test_two_users_and_groups(jobs: Jobs, workspaces: Workspaces, ada: Workspace) -> None:
    bob = workspaces.enter("b", "Bob")
    parameters = {"reference": "gut", "by_cluster": "leiden", "samples": ["one", "two"]}
    asked = [jobs.submit("prediction", "fates", parameters, who) for who in (ada, bob)]
    # The owner's new name is on what they get.
    workspaces.enter("b", "Robert")
    assert [ended(jobs, job).state for job in asked] == [JobState.FINISHED] * 2
    (own,), (others,) = ada.annotations(), bob.annotations()
    assert own.live.name == others.live.name == "fates" and others.live.owner == "Robert"
    np.testing.assert_array_equal(own.codes, others.codes)
    assert own.n_set == N_CELLS - 2
    path = ada.result_file(own.id)
    assert path and PredictionResult.load(path).groups == ("B cell", "Monocyte", "NK cell", "T cell")
    # Others can look into it too.
    assert bob.result_file(own.id) == path


def test_what_is_wrong_is_told_at_once_or_by_the_worker(jobs: Jobs, ada: Workspace) -> None:
    with pytest.raises(NameRefused, match=r"Unknown placeholder \{lab\}"):
        jobs.submit("prediction", "{lab}", {"reference": "gut"}, ada)
    with pytest.raises(PredictionRefused, match="Outlier cutoff"):
        jobs.submit("prediction", "x", {"reference": "gut", "nmads": -1}, ada)
    with pytest.raises(PredictionRefused, match="Choose a reference"):
        jobs.submit("prediction", "x", {}, ada)
    done = ended(jobs, jobs.submit("prediction", "x", {"reference": "moon"}, ada))
    assert done.state is JobState.FAILED and done.message.startswith('There is no reference "moon".')
    assert jobs.list() == [done] and ada.annotations() == []


def test_nothing_is_left_of_a_result_that_cannot_be_kept(
    jobs: Jobs, ada: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    def refused(*_: object, **__: object) -> None:
        raise EditConflict("cells.h5ad was changed on disk since it was opened.")

    breaks: list[tuple[Any, str, Callable[..., None], str]] = [
        (result_files.os, "fsync", full, "No space left on device"),
        (ada, "_apply", refused, "was changed on disk"),
    ]
    for where, name, what, reason in breaks:
        with monkeypatch.context() as patch:
            job = jobs.submit("prediction", "x", {"reference": "gut"}, ada)
            patch.setattr(where, name, what)
            done = ended(jobs, job)
        assert done.state is JobState.FAILED and reason in done.message
        assert ada.annotations() == []
        assert not list((tmp_path / "drafts").glob("*-results/*"))
        assert reason in jobs.log(job.id)


def test_results_follow_their_collection_to_another_name(jobs: Jobs, ada: Workspace, tmp_path: Path) -> None:
    job = ended(jobs, jobs.submit("prediction", "x", {"reference": "gut"}, ada))
    place = ada.name_collection("mine")
    assert ada.result_file(str(job.result)) == place.results / f"{job.result}.npz"
    assert place.results.name == f"mine-{place.suffix}-results"
    left = place.results / ".abc.part"
    left.touch()
    os.utime(left, (1, 1))
    ended(jobs, jobs.submit("prediction", "y", {"reference": "gut"}, ada))
    assert len(list(place.results.iterdir())) == 2
