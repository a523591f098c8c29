"""Small studies that the browser tests serve, and what their labels should be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.studies import log1p_cp10k, some_counts, write_study

N_CELLS = 60
GENES = ("CD3D", "CD3E", "MS4A1", "NKG7", "LYZ", "PPBP")


def small_obs() -> dict[str, Any]:
    """Return the columns of `small_study`: 2 of metadata and 2 of clusters with missing values, and a number."""
    place = np.arange(N_CELLS)

    def category(codes: np.ndarray, levels: Sequence[str], missing: np.ndarray) -> pd.Categorical:
        return pd.Categorical.from_codes(np.where(missing, -1, codes), list(levels))

    return {
        "tissue": category(place % 3, ("gut", "lung", "skin"), place % 7 == 0),
        "phase": category(place % 2, ("G1", "S, early"), place % 5 == 1),
        "leiden": category(place // 12, "01234", place % 11 == 3),
        "leiden_fine": category(place // 6, "0123456789", place % 13 < 2),
        "score": np.linspace(0, 1, N_CELLS, dtype=np.float32),
    }


def small_study(path: Path, **parts: Any) -> Path:
    """Write a study of 60 cells with clusters and metadata, both with missing values, and a UMAP; see `write_study`."""
    counts = some_counts(N_CELLS, len(GENES))
    centres = np.array([[0, 0], [6, 0], [0, 6], [6, 6], [3, 10]])[np.arange(N_CELLS) // 12]
    spread = np.random.default_rng(1).normal(0, 0.6, (N_CELLS, 2))
    return write_study(
        path,
        small_obs(),
        genes=GENES,
        x=log1p_cp10k(counts),
        layers={"counts": counts},
        obsm={"X_umap": (centres + spread).astype(np.float32)},
        **parts,
    )


def small_values(column: str) -> list[str | None]:
    """Return a column of `small_study` as text, None where missing."""
    return [None if pd.isna(value) else str(value) for value in small_obs()[column]]


def combined(parts: Sequence[Sequence[str | None]], default: str, delimiter: str, missing: str) -> list[str]:
    """Combine columns cell by cell, the slow and plain way.

    Parameters
    ----------
    parts
        The columns, None where missing.
    default, delimiter
        The default label, and what stands between parts.
    missing
        ``"default"``, ``"leave_out"`` or ``"whole_label"``.
    """
    labels = []
    for cell in zip(*parts, strict=True):
        present = [part for part in cell if part is not None]
        if not present or (missing == "whole_label" and len(present) < len(cell)):
            labels.append(default)
        elif missing == "leave_out":
            labels.append(delimiter.join(present))
        else:
            labels.append(delimiter.join(default if part is None else part for part in cell))
    return labels


def troubled_study(path: Path) -> Path:
    """Write a study in which the health check finds much."""
    cells = ["a", "a", "b", *(f"c{number}" for number in range(9))]
    n_cells = len(cells)
    umap = np.random.default_rng(0).normal(size=(n_cells, 2)).astype(np.float32)
    umap[:2] = np.nan
    obs: dict[str, Any] = {
        "stage": pd.Categorical([f"stage {number}" for number in range(n_cells)]),
        "kept": np.arange(n_cells) % 2 == 0,
        "lane": np.arange(n_cells) % 3 + 0.5,
        "plate": np.arange(n_cells) % 2,
    }
    x = np.random.default_rng(1).normal(size=(n_cells, 4)).astype(np.float32)
    return write_study(path, obs, cells=cells, genes=["CD3D", "CD3D", "LYZ", "NKG7"], x=x, obsm={"X_umap": umap})
