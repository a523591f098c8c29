"""Pseudo-bulk profiles: the mean log expression of each cluster of cells."""

from dataclasses import dataclass

import numpy as np

from iscan_dash.core.engine.control import Control
from iscan_dash.core.engine.kernel import kernel
from iscan_dash.core.engine.query import Query, prepared
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.errors import PredictionRefused

TARGET_SUM = 1e4
"""Total of a cell's counts before they are logged."""


@dataclass(frozen=True, eq=False)
class PseudoBulk:
    """Mean profiles of clusters.

    Parameters
    ----------
    query
        The clusters that have cells, as cells to be labelled.
    clusters
        Which cluster each of them is, ascending, shape (n_filled,), int64.
    sizes
        Cells of every cluster, empty ones included, shape (n_clusters,), int64.
    """

    query: Query
    clusters: np.ndarray
    sizes: np.ndarray


def pseudo_bulk(query: Query, codes: np.ndarray, n_clusters: int, control: Control | None = None) -> PseudoBulk:
    """Average the log expression of each cluster's cells.

    Counts become ``log1p(count / total of the cell * 10,000)`` and normalised values ``log1p(value)`` on the way; log
    values are taken as they are. Sums are added cell after cell, so they do not depend on the size of blocks.

    Parameters
    ----------
    query
        The cells.
    codes
        Cluster of each cell, -1 for none: such cells are left out; shape (n_cells,), integer.
    n_clusters
        Number of clusters; some may be empty.
    control
        Who is told of the progress and may cancel.

    Raises
    ------
    PredictionRefused
        The matrix is scaled or has missing values.

    Examples
    --------
    >>> query = Query.of(["CD3D", "LYZ"], np.array([[1.0, 0.0], [3.0, 2.0], [9.0, 9.0]]))
    >>> bulk = pseudo_bulk(query, np.array([1, 1, -1]), 3)
    >>> next(bulk.query.blocks()).tolist(), bulk.clusters.tolist(), bulk.sizes.tolist()
    ([[2.0, 1.0]], [1], [0, 2, 0])
    """
    query.refuse_scaled()
    control = control or Control()
    sums = np.zeros((n_clusters, len(query.genes)))
    codes = np.require(codes, np.int64, ["C", "W"])
    is_logged = query.kind in (MatrixKind.LOG1P, MatrixKind.LOG)
    target = TARGET_SUM if query.kind is MatrixKind.COUNTS else 0.0
    for first, block in prepared(query):
        if isinstance(block, np.ndarray):
            add_dense(block, codes[first:], is_logged, target, sums)
        else:
            add_sparse(block.data, block.indices, block.indptr, codes[first:], is_logged, target, sums)
        control.tell("average", first + block.shape[0], query.n_cells)
    if np.isnan(sums).any():
        raise PredictionRefused(f"{query.name} has missing values (NaN). Choose a matrix without them.")
    sizes = np.bincount(codes[codes >= 0], minlength=n_clusters)
    filled = np.flatnonzero(sizes)
    means = sums[filled] / sizes[filled, None]
    return PseudoBulk(Query.of(query.genes, means, MatrixKind.LOG, query.name), filled, sizes)


@kernel
def add_sparse(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    codes: np.ndarray,
    is_logged: bool,
    target: float,
    sums: np.ndarray,
) -> None:
    """Add the log expression of sparse cells to the sums of their clusters.

    Parameters
    ----------
    data, indices, indptr
        CSR matrix, cells x genes: float32 or float64, int32, int64.
    codes
        Cluster of each cell, -1 for none, shape (>= n_cells,), int64.
    is_logged
        Whether the values are added as they are.
    target
        Total that the values of a cell are brought to before they are logged; 0 leaves them.
    sums
        Changed, shape (n_clusters, n_genes), float64.
    """
    for cell in range(len(indptr) - 1):
        code = codes[cell]
        if code < 0:
            continue
        factor = 1.0
        if target > 0:
            total = 0.0
            for place in range(indptr[cell], indptr[cell + 1]):
                total += data[place]
            factor = target / total if total > 0 else 0.0
        for place in range(indptr[cell], indptr[cell + 1]):
            value = np.float64(data[place])
            sums[code, indices[place]] += value if is_logged else np.log1p(value * factor)


@kernel
def add_dense(values: np.ndarray, codes: np.ndarray, is_logged: bool, target: float, sums: np.ndarray) -> None:
    """Add the log expression of dense cells to the sums of their clusters; parameters as for `add_sparse`."""
    for cell in range(values.shape[0]):
        code = codes[cell]
        if code < 0:
            continue
        factor = 1.0
        if target > 0:
            total = 0.0
            for gene in range(values.shape[1]):
                total += values[cell, gene]
            factor = target / total if total > 0 else 0.0
        for gene in range(values.shape[1]):
            value = np.float64(values[cell, gene])
            sums[code, gene] += value if is_logged else np.log1p(value * factor)
