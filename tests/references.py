"""Small references for the tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from iscan_dash.core.references.verify import checksum_of

N_MARKERS = 60
"""Genes by which each label of `some_profiles` stands out."""


def gene_names(n_genes: int) -> list[str]:
    return [f"GENE{number}" for number in range(n_genes)]


def some_profiles(labels: Sequence[str], n_genes: int = 600, seed: int = 0) -> np.ndarray:
    """Make log values of profiles; each label has genes of its own. Shape (n_profiles, n_genes), float32."""
    random = np.random.default_rng(seed)
    values = random.gamma(1.0, 0.5, (len(labels), n_genes))
    for place, label in enumerate(dict.fromkeys(labels)):
        rows = np.flatnonzero(np.array(labels) == label)
        values[np.ix_(rows, np.arange(place * N_MARKERS, (place + 1) * N_MARKERS))] += 4
    return np.minimum(values, 12).astype(np.float32)


LABELS = [name for name in ("B cell", "Monocyte", "NK cell", "T cell") for _ in range(3)]


def write_profiles(path: Path, labels: Sequence[str | None] = LABELS, x: Any = None, **obs: Any) -> Path:
    """Write an ``.h5ad`` file with a column ``label_main``, and others if they are given."""
    x = some_profiles([label or "" for label in labels]) if x is None else x
    table = pd.DataFrame(
        {"label_main": pd.Categorical(list(labels)), **obs}, index=[f"p{place}" for place in range(len(labels))]
    )
    var = pd.DataFrame(index=gene_names(x.shape[1]))
    with ad.settings.override(allow_write_nullable_strings=True):
        ad.AnnData(x, obs=table, var=var).write_h5ad(path)
    return path


def write_folder(folder: Path, **changes: Any) -> Path:
    """Write a reference as a folder of manifest and matrix; `changes` replace fields of the manifest (None: no field)."""
    folder.mkdir(parents=True)
    matrix = write_profiles(folder / "reference.h5ad")
    fields = {
        "id": folder.name,
        "name": "Our gut",
        "organism": "human",
        "version": "1",
        "matrix": "reference.h5ad",
        "checksum": checksum_of(matrix),
        "labels": {"main": "label_main"},
        **changes,
    }
    text = json.dumps({name: value for name, value in fields.items() if value is not None})
    (folder / "reference.json").write_text(text, encoding="utf-8")
    return folder
