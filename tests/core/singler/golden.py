"""Where the results of the peers are kept: beside the checkout, or beside the folder ``ISCAN_TEST_DATA`` names."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import sparse

from iscan_dash.core.engine.query import Query
from iscan_dash.core.singler.reference import Reference
from tests.browser.server import STUDY_FILES

DATA = Path(os.environ.get("ISCAN_TEST_DATA", STUDY_FILES))
GOLDEN = DATA.parent / "golden"
needs_golden = pytest.mark.skipif(not (GOLDEN / "singler").is_dir(), reason="the results of the peers are not here")


@cache
def load(name: str) -> dict[str, np.ndarray]:
    """Read one set of results."""
    with np.load(GOLDEN / "singler" / f"{name}.npz") as arrays:
        return dict(arrays)


def csr(arrays: dict[str, np.ndarray], prefix: str = "") -> sparse.csr_array:
    """Put a sparse matrix together."""
    parts = tuple(arrays[prefix + part] for part in ("data", "indices", "indptr"))
    return sparse.csr_array(parts, shape=tuple(arrays[f"{prefix}shape"]))


@cache
def pbmc68k() -> tuple[sparse.csr_array, dict[str, np.ndarray]]:
    """Cells and what is known of them."""
    with np.load(GOLDEN / "enrichment" / "pbmc_X.npz") as arrays:
        matrix = csr(dict(arrays))
    return matrix, load("pbmc68k_inputs")


def inputs(name: str) -> tuple[Reference, Query]:
    """Return the reference and the cells of one set of results."""
    if name.startswith("p68"):
        matrix, known = pbmc68k()
        genes = known["genes"].tolist()
        if name == "p68sc":
            values, labels = matrix[known["ref_index"]].toarray().astype(np.float64), known["ref_labels"]
        else:
            values, labels = np.ascontiguousarray(known["pb_X"].T), known["pb_labels"]
        return Reference(genes, values, labels.tolist()), Query.of(genes, matrix[known["query_index"]])
    if name.startswith("mini"):
        arrays = load("mini_bp_inputs")
        labels = arrays["label_main" if name.endswith("main") else "label_fine"].tolist()
        reference = Reference(arrays["genes"].tolist(), np.ascontiguousarray(arrays["X_milli"].T / 1000), labels)
        return reference, Query.of(arrays["q_genes"].tolist(), csr(arrays, "q_"))
    genes, values, columns = h5ad(DATA / "ref_novershtern_avg" / "ref_novershtern_avg.h5ad", ("label_fine",))
    query_genes, cells, _ = h5ad(DATA / "pbmc3k" / "pbmc3k.h5ad")
    dense = values.toarray() if sparse.issparse(values) else values
    return Reference(genes, dense, columns["label_fine"]), Query.of(query_genes, cells)


def h5ad(path: Path, columns: tuple[str, ...] = ()) -> tuple[list[str], Any, dict[str, list[str]]]:
    """Read genes, values and some columns of a file; skip the test when it is not there."""
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    from anndata.io import read_elem

    with h5py.File(path) as file:
        frame = read_elem(file["obs"])
        found = {column: frame[column].astype(str).tolist() for column in columns}
        matrix = read_elem(file["X"])
        return read_elem(file["var"]).index.tolist(), matrix, found
