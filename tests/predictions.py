"""A small study that a small reference fits, and predictions of it, without jobs."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.references import Registry
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.results import PredictionResult, save_result
from iscan_dash.services.workspace import Workspace
from tests.references import LABELS, gene_names, some_profiles
from tests.studies import write_study

N_CELLS = 120
NAMES = list(dict.fromkeys(LABELS))
TRUTH = [NAMES[place % 4] for place in range(N_CELLS)]
CLUSTERS = [str(place % 4) for place in range(N_CELLS)]


def write_cells(path: Path, **parts: Any) -> Path:
    """Write counts of cells that are like the profiles of `write_folder`, every tenth less so; clusters have one type each.

    The first three cells of cluster 0 are of another type, and two cells are in no cluster.
    """
    truth = ["T cell" if place in {4, 8, 12} else label for place, label in enumerate(TRUTH)]
    values = some_profiles([*NAMES, *truth], seed=1)[4:]
    values[::10] = values[::10].mean(axis=1, keepdims=True)
    x = np.random.default_rng(1).poisson(values / 3).astype(np.float32)
    clusters = [None if place in {1, 2} else own for place, own in enumerate(CLUSTERS)]
    obs = {
        "leiden": pd.Categorical(clusters),
        "phase": pd.Categorical(["S" if place % 3 else "G1" for place in range(N_CELLS)]),
    }
    umap = np.random.default_rng(2).normal(0, 0.5, (N_CELLS, 2)) + np.array([[int(own) * 4, 0] for own in CLUSTERS])
    return write_study(path, obs, genes=gene_names(600), x=x, obsm={"X_umap": umap.astype(np.float32)}, **parts)


def add_prediction(
    workspace: Workspace, registry: Registry, folder: Path, name: str = "SingleR", **parameters: Any
) -> Annotation:
    """Predict the cells of a study as a job does, and add the annotation with its result."""
    prediction = Predictor(registry).predict(workspace.study, Parameters("gut", **parameters))
    own = uuid4().hex
    path = folder / f"{own}.npz"
    save_result(path, prediction)
    made = PredictionResult.load(path)
    return workspace.add_result(own, path, name, made.combined(), "prediction", made.recipe, "Predicted")
