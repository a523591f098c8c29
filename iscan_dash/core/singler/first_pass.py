"""The first pass: rank the cells of a block and score them against every label with all markers."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from iscan_dash.core.engine.control import Control, in_order
from iscan_dash.core.engine.kernel import kernel
from iscan_dash.core.engine.query import Block, Query, prepared
from iscan_dash.core.singler.cells import (
    MISSING,
    REPEATED,
    RankedCells,
    group_sorted,
    group_sparse,
    sorted_order,
    spread,
    take_columns,
)
from iscan_dash.core.singler.order_statistics import LANES
from iscan_dash.core.singler.scoring import (
    Quantile,
    best_two,
    correlate,
    label_scores,
    products,
    upper_quantile,
    weigh_groups,
)
from iscan_dash.core.singler.train import Trained
from iscan_dash.errors import PredictionRefused

PIECE_VALUES = 1_000_000
"""Values that one task looks at."""

DENSE = 0.5
"""Share of values that are not zero from which cells are treated as dense ones."""


@dataclass(frozen=True, eq=False)
class FirstPass:
    """Scores with all markers, before fine-tuning.

    Parameters
    ----------
    scores
        Score of each cell for each label, shape (n_cells, n_labels), float64: correlations, -1 to 1.
    label
        First label with the highest score, shape (n_cells,), int32.
    delta
        Highest score minus the highest of the other labels, shape (n_cells,), float64; NaN with a single label.
    detected
        Number of marker genes that are not zero, shape (n_cells,), int32. With none of them a cell has no say: all its
        scores are equal, and the label is the first.
    quantile
        Quantile of the correlations with a label's profiles that is the label's score.
    """

    scores: np.ndarray
    label: np.ndarray
    delta: np.ndarray
    detected: np.ndarray
    quantile: float

    @classmethod
    def empty(cls, n_cells: int, n_labels: int, quantile: float, scores: np.ndarray | None = None) -> "FirstPass":
        """Return room for the results of some cells; `scores` may be given, such as a file mapped into memory."""
        if not 0 <= quantile <= 1:
            raise PredictionRefused("The quantile must be 0 to 1.")
        if scores is None:
            scores = np.empty((n_cells, n_labels))
        label, delta, detected = np.empty(n_cells, np.int32), np.empty(n_cells), np.empty(n_cells, np.int32)
        return cls(scores, label, delta, detected, quantile)


def first_pass(
    trained: Trained,
    query: Query,
    *,
    quantile: float = 0.8,
    threads: int = 1,
    control: Control | None = None,
    scores: np.ndarray | None = None,
) -> FirstPass:
    """Score every cell against every label with all markers.

    Parameters
    ----------
    trained
        The reference, trained for the query's genes.
    query
        The cells.
    quantile
        Quantile of the correlations with a label's profiles that is the label's score, 0 to 1.
    threads
        Threads to use; the results are the same to the last bit for any number, and for any size of blocks.
    control
        Who is told of the progress and may cancel.
    scores
        Where to write the scores, shape (n_cells, n_labels), float64; memory of our own when None.

    Raises
    ------
    PredictionRefused
        The matrix is scaled, has missing values or other genes.
    Cancelled
        It was cancelled.
    """
    result = FirstPass.empty(query.n_cells, len(trained.labels), quantile, scores)
    with ThreadPoolExecutor(threads) as pool:
        for _ in scored(trained, query, result, pool, threads, control or Control()):
            pass
    return result


def ranked(
    trained: Trained, query: Query, pool: Executor, threads: int, result: FirstPass | None = None
) -> Iterator[tuple[int, RankedCells]]:
    """Read the cells piece by piece as ranked marker genes, with the number of the first; score them if asked.

    Parameters
    ----------
    trained, query
        The reference and the cells.
    pool, threads
        Who does the work.
    result
        Where scores go; None when they are not needed.
    """
    query.refuse_scaled()
    if len(query.genes) != trained.n_genes_query:
        raise PredictionRefused(f"{query.name} does not have the genes that the reference was trained for.")
    marker_of = trained.marker_of()
    for first, block in prepared(query):

        def work(piece: tuple[int, int], first: int = first, block: Block = block) -> RankedCells:
            cells = rank_piece(block, piece, trained, marker_of, query.name)
            if result is not None:
                score_piece(cells, trained, result, first + piece[0])
            return cells

        for piece, cells in in_order(pool, threads, work, _pieces(block)):
            yield first + piece[0], cells


def scored(
    trained: Trained, query: Query, result: FirstPass, pool: Executor, threads: int, control: Control
) -> Iterator[tuple[int, RankedCells]]:
    """Score the cells, as `ranked`, and tell the progress."""
    control.tell("score", 0, query.n_cells)
    for first, cells in ranked(trained, query, pool, threads, result):
        control.tell("score", first + len(cells.n_negative), query.n_cells)
        yield first, cells


def _pieces(block: Block) -> list[tuple[int, int]]:
    """Cut a block into ranges of cells that are work for one task each."""
    n_cells, n_genes = block.shape
    each = n_genes // 4 if isinstance(block, np.ndarray) else block.nnz // max(1, n_cells)
    step = max(LANES, PIECE_VALUES // max(1, each) // LANES * LANES)
    return [(start, min(start + step, n_cells)) for start in range(0, n_cells, step)]


def rank_piece(block: Block, piece: tuple[int, int], trained: Trained, marker_of: np.ndarray, name: str) -> RankedCells:
    """Rank the marker genes of some cells of a block.

    Parameters
    ----------
    block
        Cells as `query.prepared` gives them.
    piece
        First cell of the block and the one after the last.
    trained, marker_of
        The reference, and the marker of each column, see `Trained.marker_of`.
    name
        What the matrix is called in messages.
    """
    start, end = piece
    if isinstance(block, np.ndarray):
        return _rank_dense(block[start:end], trained, name)
    if block.nnz > DENSE * block.shape[0] * block.shape[1]:
        return _rank_dense(block[start:end].toarray(), trained, name)
    data, indices, indptr = np.asarray(block.data), np.asarray(block.indices), np.asarray(block.indptr)
    n_markers = len(trained.columns)
    most = min((end - start) * n_markers, int(indptr[end] - indptr[start]))
    found = _room(end - start, most)
    state = group_sparse(data, indices, indptr, start, end, marker_of, n_markers, *found)
    if state == MISSING:
        raise PredictionRefused(f"{name} has missing values (NaN). Choose a matrix without them.")
    if state == REPEATED:
        tidy = block[start:end]
        tidy.sum_duplicates()
        return rank_piece(tidy, (0, end - start), trained, marker_of, name)
    return _cut(found)


def _rank_dense(block: np.ndarray, trained: Trained, name: str) -> RankedCells:
    values = np.empty((len(block), len(trained.columns)), block.dtype)
    if take_columns(block, trained.columns, values):
        raise PredictionRefused(f"{name} has missing values (NaN). Choose a matrix without them.")
    found = _room(len(block), values.size)
    group_sorted(values, sorted_order(values), *found)
    return _cut(found)


def _room(n_cells: int, most: int) -> RankedCells:
    """Return room for cells with up to `most` genes in all."""
    starts, group_starts = np.empty(n_cells + 1, np.int64), np.empty(n_cells + 1, np.int64)
    return RankedCells(
        np.empty(most, np.uint16), starts, np.empty(most, np.uint16), group_starts, np.empty(n_cells, np.int32)
    )


def _cut(cells: RankedCells) -> RankedCells:
    """Copy what was filled, so that the room for the most that could have been needed is given back."""
    genes, sizes = cells.genes[: cells.starts[-1]].copy(), cells.sizes[: cells.group_starts[-1]].copy()
    return cells._replace(genes=genes, sizes=sizes)


def score_piece(cells: RankedCells, trained: Trained, result: FirstPass, first: int) -> None:
    """Score ranked cells and write what is found of them into the results, from cell `first` on."""
    rows = slice(first, first + len(cells.n_negative))
    arrays = trained.arrays
    quantile = upper_quantile(result.quantile, int(trained.n_profiles.max()))
    found = result.scores[rows], result.label[rows], result.delta[rows]
    n_cells, n_markers = len(cells.n_negative), len(trained.columns)
    if len(cells.genes) > DENSE * n_cells * n_markers:
        # With hardly a zero and hardly an equal value, a plain product of matrices is quickest. It is exact, too.
        ranks, squares = np.empty((n_cells, n_markers)), np.empty(n_cells)
        spread(cells, ranks, squares)
        score_products(ranks @ trained.wide_ranks, squares, arrays.ends, arrays.scales, quantile, *found)
    else:
        score_cells(cells, arrays.profiles.ranks, arrays.ends, arrays.scales, quantile, *found)
    result.detected[rows] = np.diff(cells.starts)


@kernel
def write_lanes(
    block: np.ndarray, n_lanes: int, start: int, scores: np.ndarray, label: np.ndarray, delta: np.ndarray
) -> None:
    """Write the scores of some cells, lanes of a block, into the results.

    Parameters
    ----------
    block, n_lanes
        Scores, shape (n_labels, LANES), and how many lanes count.
    start
        Cell of the first lane.
    scores, label, delta
        Filled, see `FirstPass`.
    """
    n_labels = block.shape[0]
    for lane in range(n_lanes):
        cell = start + lane
        for column in range(n_labels):
            scores[cell, column] = block[column, lane]
        label[cell], delta[cell] = best_two(block, n_labels, lane)


@kernel
def score_products(
    totals: np.ndarray,
    squares: np.ndarray,
    ends: np.ndarray,
    scales: np.ndarray,
    quantile: Quantile,
    scores: np.ndarray,
    label: np.ndarray,
    delta: np.ndarray,
) -> None:
    """Score cells whose sums of products of ranks are known.

    Parameters
    ----------
    totals, squares
        Sums of products with each profile, shape (n_cells, >= n_profiles), and of squared ranks, shape (n_cells,),
        float64.
    ends, scales, quantile, scores, label, delta
        As for `score_cells`.
    """
    n_cells, n_profiles = len(totals), len(scales)
    n_labels = len(ends)
    correlations = np.zeros((n_profiles, LANES))
    kept, passing = np.empty((quantile.n_kept.max(), LANES)), np.empty(LANES)
    block = np.empty((n_labels, LANES))
    for start in range(0, n_cells, LANES):
        n_lanes = min(LANES, n_cells - start)
        for lane in range(n_lanes):
            cell = start + lane
            correlate(totals[cell], squares[cell], scales, n_profiles, lane, correlations)
        label_scores(correlations, ends, n_labels, quantile.n_kept, quantile.share, kept, passing, block)
        write_lanes(block, n_lanes, start, scores, label, delta)


@kernel
def score_cells(
    cells: RankedCells,
    ranks: np.ndarray,
    ends: np.ndarray,
    scales: np.ndarray,
    quantile: Quantile,
    scores: np.ndarray,
    label: np.ndarray,
    delta: np.ndarray,
) -> None:
    """Score cells against every label with all markers.

    Parameters
    ----------
    cells
        The cells.
    ranks, ends, scales
        The profiles, see `TrainedArrays`.
    quantile
        See `Quantile`; for labels of up to as many profiles as there are.
    scores, label, delta
        Filled, see `FirstPass`.
    """
    n_cells = len(cells.n_negative)
    n_markers = ranks.shape[0] - 1
    width = ranks.shape[1]
    n_profiles = len(scales)
    n_labels = len(ends)
    plain = np.empty(width, np.int32)
    weighted = np.empty(width, np.int32)
    total = np.empty(width)
    weights = np.empty(n_markers, np.int64)
    correlations = np.zeros((n_profiles, LANES))
    kept = np.empty((quantile.n_kept.max(), LANES))
    passing = np.empty(LANES)
    block = np.empty((n_labels, LANES))
    for start in range(0, n_cells, LANES):
        n_lanes = min(LANES, n_cells - start)
        for lane in range(n_lanes):
            cell = start + lane
            genes = cells.genes[cells.starts[cell] : cells.starts[cell + 1]]
            sizes = cells.sizes[cells.group_starts[cell] : cells.group_starts[cell + 1]]
            common, squares = weigh_groups(sizes, len(sizes), cells.n_negative[cell], n_markers, weights)
            products(
                ranks, n_markers, genes, sizes, len(sizes), weights, common, n_markers, width, plain, weighted, total
            )
            correlate(total, squares, scales, n_profiles, lane, correlations)
        label_scores(correlations, ends, n_labels, quantile.n_kept, quantile.share, kept, passing, block)
        write_lanes(block, n_lanes, start, scores, label, delta)
