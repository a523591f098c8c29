"""Results kept open: what they are read for, and when they go."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from iscan_dash.core.references import Registry
from iscan_dash.core.study import open_study
from iscan_dash.errors import EditConflict, PredictionRefused, UnknownColumn
from iscan_dash.services import opened_results as module
from iscan_dash.services.opened_results import OpenedResults
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.repruning import Cutoffs
from iscan_dash.services.results import PredictionResult, save_result
from iscan_dash.services.trained_cache import TrainedCache
from iscan_dash.services.workspace import Workspace
from iscan_dash.services.workspaces import Workspaces
from tests.references import gene_names, write_profiles
from tests.services.test_looking import N_CELLS, some_cells
from tests.studies import write_study


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "drafts").mkdir()
    path = write_study(tmp_path / "cells.h5ad", cells=N_CELLS, genes=gene_names(600), x=some_cells())
    made = Workspace(open_study([path]), user="ada", folder=tmp_path / "drafts")
    yield made
    made.close()
    made.study.close()


@pytest.fixture
def file(tmp_path: Path, workspace: Workspace) -> Path:
    (tmp_path / "shared").mkdir()
    write_profiles(tmp_path / "shared" / "gut.h5ad")
    predictor = Predictor(Registry(tmp_path / "installed", tmp_path / "shared"), TrainedCache(tmp_path / "cache"))
    save_result(tmp_path / "made.npz", predictor.predict(workspace.study, Parameters("gut")))
    return tmp_path / "made.npz"


def add(workspace: Workspace, file: Path, own: str) -> None:
    result = PredictionResult.load(file)
    workspace.add_result(own, file, "SingleR", result.combined(), "prediction", result.recipe, "Predicted")


def test_kept_until_others_come_or_the_annotation_goes(workspace: Workspace, file: Path) -> None:
    results = OpenedResults(workspace)
    assert not results.any() and not results.any_own()
    ids = [f"{place:032x}" for place in range(module.KEPT + 1)]
    for own in ids:
        add(workspace, file, own)
    assert results.any() and results.any_own()
    assert {state.id for state in results.annotations()} == set(ids)
    first = results.get(ids[0])
    assert results.get(ids[0]) is first
    for own in ids[1:]:
        results.get(own)
    assert sum(results._kept.get(own) is not None for own in ids) == module.KEPT
    assert results.get(ids[0]) is not first
    workspace.delete(ids[0], 1)
    results.get(ids[1])
    assert results._kept.get(ids[0]) is None
    with pytest.raises(UnknownColumn):
        results.get(ids[0])


def test_trying_changes_nothing(workspace: Workspace, file: Path) -> None:
    own = "a" * 32
    add(workspace, file, own)
    opened, state = OpenedResults(workspace).get(own), workspace.annotation(own)
    tried = opened.attempt(state, Cutoffs(0.5))
    assert tried.n_changed == np.count_nonzero(tried.state.codes != state.codes) > 0
    assert workspace.annotation(own) is state
    accepted = opened.repruning.accept(workspace, own, Cutoffs(0.5), state.version)
    np.testing.assert_array_equal(accepted.codes, tried.state.codes)
    assert accepted.live.labels == tried.state.live.labels
    assert opened.attempt(accepted, Cutoffs(0.5)).n_changed == 0


def test_a_result_of_other_cells(workspace: Workspace, file: Path) -> None:
    own = "b" * 32
    add(workspace, file, own)
    path = workspace.result_file(own)
    assert path is not None
    with np.load(path) as arrays:
        kept = dict(arrays)
    np.savez_compressed(
        path, allow_pickle=False, **{**kept, "rows": kept["rows"][1:], "left_out": kept["left_out"][1:]}
    )
    with pytest.raises(PredictionRefused, match="for other cells"):
        OpenedResults(workspace).get(own)
    path.unlink()
    with pytest.raises(PredictionRefused, match="not beside the drafts"):
        OpenedResults(workspace).get(own)
    assert workspace.study.n_cells == N_CELLS


def test_results_of_others_are_looked_into_and_not_changed(tmp_path: Path, file: Path, workspace: Workspace) -> None:
    own = "c" * 32
    workspaces = Workspaces(workspace.study, annotations_dir=tmp_path / "shared drafts")
    hers, his = workspaces.enter("ada", "Ada"), workspaces.enter("bob", "Bob")
    add(hers, file, own)
    results = OpenedResults(his)
    (state,) = results.annotations()
    assert results.any() and not results.any_own()
    opened = results.get(own)
    assert opened.n_edited(state) == 0
    tried = opened.attempt(state, Cutoffs(0.5))
    np.testing.assert_array_equal(tried.state.codes, opened.ids(tried.state)[tried.preview.codes])
    assert tried.n_changed
    with pytest.raises(EditConflict):
        opened.repruning.accept(his, own, Cutoffs(0.5), state.version)
    accepted = OpenedResults(hers).get(own).repruning.accept(hers, own, Cutoffs(0.5), state.version)
    np.testing.assert_array_equal(accepted.codes, tried.state.codes)
    workspaces.close()
