"""Generated references and cells for the SingleR benchmark, made once and kept in the user's cache.

References have the shapes of BlueprintEncode (bulk RNA-seq: many exact zeros) and HPCA (microarrays: a floor of
background, no ties). Cells are sparse counts drawn from their labels, a tenth of them hard: doublets, ambient, shallow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from scipy import sparse

from benchmarks.studies import cache_dir

RECIPE_VERSION = 2
"""Part of every file's name: raise it whenever a change below would give other bytes."""

BLOCK_CELLS = 2_000
OWN_GENES = 1_800
"""Genes of the cells that the reference lacks."""

STATES = 5
"""Variants of each label among the cells."""


@dataclass(frozen=True)
class Shape:
    """Size of a reference, and how far its labels are apart.

    Parameters
    ----------
    genes, profiles, main, fine
        Numbers of genes, profiles, coarse and fine labels.
    spread
        Factors on how many genes differ between lineages, coarse and fine labels. They are chosen so that as many
        labels lie within 0.05 of a cell's best score as in real data (pbmc3k by 38 blood cells: a fifth).
    is_array
        Whether it is a microarray.
    """

    genes: int
    profiles: int
    main: int
    fine: int
    spread: tuple[float, float, float]
    is_array: bool


SHAPES = {
    "bp": Shape(19_859, 259, 24, 43, (1.0, 0.55, 0.7), False),
    "hpca": Shape(19_363, 713, 36, 157, (1.9, 1.25, 0.75), True),
}


def workload(name: str, n_cells: int) -> Path:
    """Return the path of a reference with cells, making the file first when it is not there.

    Parameters
    ----------
    name
        ``"bp"`` or ``"hpca"``.
    n_cells
        Number of cells.
    """
    path = cache_dir() / f"singler-{name}-{n_cells}-v{RECIPE_VERSION}.npz"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            part = path.with_suffix(".part.npz")
            np.savez(part, **_make(SHAPES[name], n_cells))
            part.replace(path)
    return path


def _dealt(rng: np.random.Generator, n_items: int, n_hands: int) -> np.ndarray:
    """Deal items to hands unevenly, at least one to each; return the hand of each item, ascending."""
    weight = rng.gamma(1.0, size=n_hands)
    more = rng.multinomial(n_items - n_hands, weight / weight.sum())
    return np.repeat(np.arange(n_hands), more + 1)


def _make(shape: Shape, n_cells: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([7, shape.profiles])
    main_of = _dealt(rng, shape.fine, shape.main)
    fine_of = _dealt(rng, shape.profiles, shape.fine)
    lineage_of = rng.integers(0, shape.main // 4, shape.main)
    is_on = rng.random(shape.genes) < 0.6
    level = np.where(is_on, rng.normal(4, 2.4, shape.genes), -5.0)

    def effects(n: int, share: float, size: float) -> np.ndarray:
        shift = rng.normal(0, size, (n, shape.genes)) * (rng.random((n, shape.genes)) < share)
        switched_on = (rng.random((n, shape.genes)) < share / 5) * rng.uniform(6, 12, (n, shape.genes))
        return np.where(is_on, shift, switched_on)

    by_lineage, by_main, by_fine = shape.spread
    labels = level + effects(shape.main // 4, 0.15 * by_lineage, 1.6)[lineage_of[main_of]]
    labels += effects(shape.main, 0.06 * by_main, 1.3)[main_of] + effects(shape.fine, 0.03 * by_fine, 0.9)
    profiles = labels[fine_of] + rng.normal(0, 0.3, (shape.profiles, shape.genes))
    if shape.is_array:
        values = np.log2(8 + 2 ** (profiles + 1.5)) + rng.normal(0, 0.08, profiles.shape)
    else:
        values = np.log2(1 + 2**profiles)
        values = np.where(values < 0.15, 0, values).round(3)
    order = rng.permutation(shape.profiles)
    names = np.array([f"Gene{number:05d}" for number in range(shape.genes)])
    shared = rng.permutation(shape.genes)[:16_200]
    genes = np.concatenate([names[shared], [f"Other{number:05d}" for number in range(OWN_GENES)]])
    bias = rng.normal(0, 2.2, len(shared))
    own = np.broadcast_to(rng.normal(-3, 3, OWN_GENES), (shape.fine, OWN_GENES))
    rates = np.repeat(np.hstack([labels[:, shared] + bias, own]), STATES, axis=0)
    rates = 2.0 ** np.minimum(rates + rng.normal(0, 0.5, rates.shape), 14)
    matrix = _cells(np.random.default_rng([8, shape.profiles, n_cells]), rates, n_cells)
    shuffled = rng.permutation(len(genes))
    matrix = matrix[:, shuffled]
    matrix.sort_indices()
    return {
        "values": values[order],
        "genes": names,
        "main": np.array([f"Main {code:02d}" for code in main_of[fine_of][order]]),
        "fine": np.array([f"Fine {code:03d}" for code in fine_of[order]]),
        "data": matrix.data,
        "indices": matrix.indices,
        "indptr": matrix.indptr.astype(np.int64),
        "cell_genes": genes[shuffled],
    }


def _cells(rng: np.random.Generator, rates: np.ndarray, n_cells: int) -> sparse.csr_array:
    """Draw cells as log1p of counts per 10,000, block by block."""
    n_states, n_genes = rates.shape
    sums = np.cumsum(np.vstack([rates / rates.sum(axis=1, keepdims=True), (rates / rates.sum()).sum(axis=0)]), axis=1)
    sums /= sums[:, -1:]
    # One search finds gene and state: the sums of state s lie between s and s + 1.
    table = (sums + np.arange(n_states + 1)[:, None]).ravel()
    blocks = []
    for start in range(0, n_cells, BLOCK_CELLS):
        n = min(BLOCK_CELLS, n_cells - start)
        depth = np.clip(rng.lognormal(np.log(2800), 0.45, n), 600, 40_000).astype(np.int64)
        kind = rng.choice(4, n, p=[0.9, 0.04, 0.03, 0.03])
        depth[kind == 3] = rng.integers(150, 500, (kind == 3).sum())
        state, other = rng.integers(0, n_states, (2, n))
        other[kind == 0] = np.clip(state + rng.integers(-STATES, STATES + 1, n), 0, n_states - 1)[kind == 0]
        other[kind == 2] = n_states
        mix = np.choose(kind, [rng.beta(1, 3, n) * 0.5, 0.5, 0.8, 0.0])
        cell = np.repeat(np.arange(n), depth)
        drawn = np.where(rng.random(len(cell)) < mix[cell], other[cell], state[cell])
        place = np.minimum(np.searchsorted(table, drawn + rng.random(len(cell))), table.size - 1)
        counts = sparse.coo_array((np.ones(len(cell)), (cell, place % n_genes)), shape=(n, n_genes)).tocsr()
        counts.data = np.log1p(counts.data * np.repeat(1e4 / depth, np.diff(counts.indptr)))
        blocks.append(counts.astype(np.float32))
    return sparse.csr_array(sparse.vstack(blocks, format="csr"))
