"""Generated cells and gene sets for the enrichment benchmark, made once and kept in the user's cache.

Cells are sparse counts of 18,000 genes drawn from twelve groups, some 2,400 expressed each, as log1p of counts per
10,000. Of the sets, some are markers of a group and the rest are random genes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from filelock import FileLock
from scipy import sparse

from benchmarks.studies import cache_dir

RECIPE_VERSION = 1
"""Part of every file's name: raise it whenever a change below would give other bytes."""

N_GENES = 18_000
N_GROUPS = 12
BLOCK_CELLS = 2_000
MARKED = 60
"""Sets that are markers of a group."""


def workload(n_cells: int, n_sets: int) -> Path:
    """Return the path of cells with gene sets, making the file first when it is not there.

    Parameters
    ----------
    n_cells, n_sets
        How many.
    """
    path = cache_dir() / f"enrichment-{n_cells}-{n_sets}-v{RECIPE_VERSION}.npz"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            part = path.with_suffix(".part.npz")
            np.savez(part, **_make(n_cells, n_sets))
            part.replace(path)
    return path


def _make(n_cells: int, n_sets: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([11, n_cells])
    level = rng.normal(0, 1.9, N_GENES)
    is_marker = rng.random((N_GROUPS, N_GENES)) < 0.02
    rates = np.exp(level + is_marker * rng.uniform(1, 3, (N_GROUPS, N_GENES)))
    sums = np.cumsum(rates / rates.sum(axis=1, keepdims=True), axis=1)
    # One search finds gene and group: the sums of group g lie between g and g + 1.
    table = (sums / sums[:, -1:] + np.arange(N_GROUPS)[:, None]).ravel()
    codes = rng.integers(0, N_GROUPS, n_cells)
    blocks = []
    for start in range(0, n_cells, BLOCK_CELLS):
        own = codes[start : start + BLOCK_CELLS]
        depth = np.clip(rng.lognormal(np.log(5500), 0.4, len(own)), 800, 40_000).astype(np.int64)
        cell = np.repeat(np.arange(len(own)), depth)
        gene = np.minimum(np.searchsorted(table, own[cell] + rng.random(len(cell))), table.size - 1) % N_GENES
        counts = sparse.coo_array((np.ones(len(cell)), (cell, gene)), shape=(len(own), N_GENES)).tocsr()
        counts.data = np.log1p(counts.data * np.repeat(1e4 / depth, np.diff(counts.indptr)))
        blocks.append(counts.astype(np.float32))
    matrix = sparse.csr_array(sparse.vstack(blocks, format="csr"))
    matrix.sort_indices()
    sizes = rng.integers(8, 80, n_sets)
    members = [
        rng.choice(np.flatnonzero(is_marker[number % N_GROUPS]) if number < MARKED else N_GENES, size, replace=False)
        for number, size in enumerate(sizes)
    ]
    return {
        "data": matrix.data,
        "indices": matrix.indices.astype(np.int32),
        "indptr": matrix.indptr.astype(np.int64),
        "genes": np.array([f"G{number:05d}" for number in range(N_GENES)]),
        "codes": codes,
        "members": np.concatenate(members),
        "sizes": sizes,
    }
