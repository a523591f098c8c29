"""Small ``.h5ad`` files for the tests, written with AnnData."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

STORAGES = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}
"""How a matrix can be stored, and what makes one of it."""


def some_counts(n_cells: int, n_genes: int, seed: int = 0) -> np.ndarray:
    """Make counts of which about half are zero, at least one in each cell; shape (n_cells, n_genes), float32."""
    counts = np.random.default_rng(seed).poisson(0.8, (n_cells, n_genes)).astype(np.float32)
    counts[np.arange(n_cells), np.arange(n_cells) % n_genes] += 1
    return counts


def log1p_cp10k(counts: np.ndarray) -> np.ndarray:
    """Bring each cell to a total of 10,000, then take log1p."""
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)


def write_study(
    path: Path,
    obs: Mapping[str, Any] | None = None,
    *,
    cells: Sequence[str] | int | None = None,
    genes: Sequence[str] | int = 5,
    x: Any = None,
    raw: ad.AnnData | None = None,
    index_name: str | None = None,
    **parts: Any,
) -> Path:
    """Write an ``.h5ad`` file and return its path.

    Parameters
    ----------
    path
        The file.
    obs
        Its columns.
    cells, genes
        Ids, or how many; as many cells as `obs` has when None.
    x
        The matrix; counts when None.
    raw
        What to keep as ``raw``.
    index_name
        The name of the cell index.
    parts
        More parts of an AnnData: ``layers``, ``obsm``, ``uns`` and ``var``.
    """
    columns = dict(obs or {})
    if cells is None:
        cells = len(next(iter(columns.values()))) if columns else 4
    cell_ids = [f"cell{number}" for number in range(cells)] if isinstance(cells, int) else list(cells)
    gene_ids = [f"GENE{number}" for number in range(genes)] if isinstance(genes, int) else list(genes)
    var = pd.DataFrame(parts.pop("var", {}), index=gene_ids)
    obs_table = pd.DataFrame(columns, index=pd.Index(cell_ids, name=index_name))
    x = some_counts(len(cell_ids), len(gene_ids)) if x is None else x
    with warnings.catch_warnings(), ad.settings.override(allow_write_nullable_strings=True):
        warnings.filterwarnings("ignore", "(Observation|Variable) names are not unique")
        adata = ad.AnnData(x, obs=obs_table, var=var, **parts)
        if raw is not None:
            adata.raw = raw
        adata.write_h5ad(path, convert_strings_to_categoricals=False)
    return path


def write_as_anndata_0_7(path: Path) -> None:
    """Rewrite the categories of a file as AnnData 0.7 kept them: codes in the table, levels apart."""
    with h5py.File(path, "r+") as file:
        obs = file["obs"]
        obs.attrs["encoding-version"] = "0.1.0"
        kept = obs.create_group("__categories")
        for name in list(obs.attrs["column-order"]):
            element = obs[name]
            if element.attrs["encoding-type"] == "categorical":
                codes, levels, ordered = element["codes"][()], element["categories"][()], element.attrs["ordered"]
                del obs[name]
                kept[name] = levels
                kept[name].attrs["ordered"] = ordered
                obs[name] = codes
                obs[name].attrs["categories"] = kept[name].ref
            else:
                _forget_encoding(element)
        _forget_encoding(obs["_index"])


def _forget_encoding(element: h5py.Dataset) -> None:
    for attribute in ("encoding-type", "encoding-version"):
        del element.attrs[attribute]
