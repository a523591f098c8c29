"""Mean expression of single genes in groups of cells, and the share of the cells that express them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iscan_dash.core.enrichment.cell_ranks import expressed
from iscan_dash.core.enrichment.scoring import Reader, Scale, cell_ranges, log_factor, read_cells
from iscan_dash.core.singler._kernel import kernel
from iscan_dash.core.singler.control import Control
from iscan_dash.core.singler.query import Query, prepared


@dataclass(frozen=True, eq=False)
class GeneAverages:
    """Averages of genes in groups; NaN for a group without cells.

    Parameters
    ----------
    n_cells
        Cells of each group, shape (n_groups,), int64.
    expression
        Mean log expression, zeros included; shape (n_groups, n_columns), float64.
    percentage
        Percent of the cells that express the gene, same shape.
    """

    n_cells: np.ndarray
    expression: np.ndarray
    percentage: np.ndarray


def average_genes(
    query: Query, columns: Sequence[int], codes: np.ndarray, n_groups: int, *, control: Control | None = None
) -> GeneAverages:
    """Average genes over the cells of each group, in one pass over the cells.

    Parameters
    ----------
    query
        The cells.
    columns
        Columns of the genes, each once.
    codes
        Group of each cell, -1 for none; shape (n_cells,), integer.
    n_groups
        Number of groups.
    control
        Who is told of the progress and may cancel.

    Examples
    --------
    >>> query = Query.of(["CD3D", "LYZ"], np.array([[1.0, 0.0], [3.0, 2.0]]))
    >>> found = average_genes(query, [1], np.array([0, 0]), 1)
    >>> found.expression.tolist(), found.percentage.tolist()
    ([[1.0]], [[50.0]])
    """
    control = control or Control()
    codes = np.require(codes, np.int64, ["C", "W"])
    place_of = np.full(len(query.genes), -1, np.int32)
    place_of[np.asarray(columns, np.int64)] = np.arange(len(columns), dtype=np.int32)
    totals, counts = np.zeros((n_groups, len(columns))), np.zeros((n_groups, len(columns)), np.int64)
    scale = Scale.of(query.kind)
    control.tell("average", 0, query.n_cells)
    for first, block in prepared(query):
        for start, end in cell_ranges(block):
            own = codes[first + start : first + end]
            read_cells(block, (start, end), query.name, Reader(add_genes, (own, place_of, *scale, totals, counts)))
            control.tell("average", first + end, query.n_cells)
    sizes = np.bincount(codes + 1, minlength=n_groups + 1)[1:]
    with np.errstate(invalid="ignore"):
        return GeneAverages(sizes, totals / sizes[:, None], 100.0 * counts / sizes[:, None])


@kernel
def add_genes(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    start: int,
    end: int,
    codes: np.ndarray,
    place_of: np.ndarray,
    is_logged: bool,
    target: float,
    totals: np.ndarray,
    counts: np.ndarray,
) -> int:
    """Add the log expression of some genes to the totals of the cells' groups.

    Parameters
    ----------
    data, indices, indptr, start, end, is_logged, target
        As for `scoring.sum_cells`.
    codes
        Group of each of these cells, -1 for none, int64.
    place_of
        Place of each gene in the totals, -1 for none, int32.
    totals, counts
        Changed, once all cells are known to be read: sums, float64, and how many cells express the gene, int64; shape
        (n_groups, n_columns).

    Returns
    -------
    int
        As by `scoring.sum_cells`.
    """
    longest = 1
    for cell in range(start, end):
        longest = max(longest, indptr[cell + 1] - indptr[cell])
    genes, values = np.empty(longest + 1, np.int32), np.empty(longest + 1)
    n_not_finite = 0
    for is_checked in (False, True):
        for cell in range(start, end):
            own = data[indptr[cell] : indptr[cell + 1]]
            n_found, n_other = expressed(own, indices[indptr[cell] : indptr[cell + 1]], genes, values)
            if n_found < 0:
                return n_found
            group = codes[cell - start]
            if not is_checked:
                n_not_finite += n_other
                continue
            if group < 0:
                continue
            factor = log_factor(own, target)
            for entry in range(n_found):
                place = place_of[genes[entry]]
                if place >= 0:
                    value = values[entry]
                    totals[group, place] += value if is_logged else np.log1p(value * factor)
                    counts[group, place] += 1
    return n_not_finite
