"""Score gene sets in cells: one pass over the matrix, piece by piece in several threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from iscan_dash.core.engine.chunks import MapChunks, chunks_of
from iscan_dash.core.engine.control import Control, in_order
from iscan_dash.core.engine.kernel import kernel
from iscan_dash.core.engine.query import Block, Query, prepared
from iscan_dash.core.enrichment.cell_ranks import NEGATIVE, UNSORTED, expressed, space_for, weigh
from iscan_dash.core.enrichment.competitive import N_KNOWN, Draws, describe, draws_of, tail
from iscan_dash.core.enrichment.linear import slope_t, ulm_weights
from iscan_dash.core.enrichment.method import RANKED, Method
from iscan_dash.core.enrichment.module import module_weights
from iscan_dash.core.enrichment.scores import ARRAYS, SetScores, room
from iscan_dash.core.enrichment.sets import Halves, Inverted, MatchedSet, halve, invert
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.errors import EnrichmentRefused

MAX_RANK = 1500
"""Rank from which on UCell gives a gene no weight."""

TOP_SHARE = 0.05
"""Share of the genes that AUCell looks at."""

TARGET_SUM = 1e4
"""Total of a cell's counts before they are logged."""

PIECE_VALUES = 400_000
PIECE_SUMS = 200_000
"""Values that one task looks at, and sums that it makes, at most."""

TILE = 32
"""Cells whose results are written together."""


class Scale(NamedTuple):
    """How values become log expression.

    Parameters
    ----------
    is_logged
        Whether they are taken as they are.
    target
        Total that the values of a cell are brought to before they are logged; 0 leaves them.
    """

    is_logged: bool
    target: float

    @classmethod
    def of(cls, kind: MatrixKind) -> "Scale":
        """Return the scale of a kind of values."""
        return cls(kind in (MatrixKind.LOG1P, MatrixKind.LOG), TARGET_SUM if kind is MatrixKind.COUNTS else 0.0)


@dataclass(frozen=True)
class Plan:
    """All that does not change from piece to piece.

    Parameters
    ----------
    method, sets, n_genes, max_rank
        As for `SetScores`.
    halves
        The genes for and against each set.
    linear
        Weights of genes in sets, for methods that sum expression; else without genes.
    is_scored
        Which sets get a score; shape (n_sets,), bool.
    highest
        Largest sum of weights that each half can have; shape (n_halves,), float64.
    draws
        The random sets that each set is compared with.
    scale
        How values become log expression.
    """

    method: Method
    sets: tuple[MatchedSet, ...]
    n_genes: int
    max_rank: int
    halves: Halves
    linear: Inverted
    is_scored: np.ndarray
    highest: np.ndarray
    draws: Draws
    scale: Scale


class Sums(NamedTuple):
    """Sums over the genes of some cells.

    Parameters
    ----------
    halves
        Of the genes of each half: rank weights, log expression, and how many are expressed; side by side, as they are
        added to together; shape (n_cells, n_halves, 3), float64.
    all_weights
        Of all genes: the weights, their squares and their cubes, shape (n_cells, 3), float64.
    all_expression
        Of all genes: log expression and its squares, shape (n_cells, 2), float64; only for methods that need it.
    dots
        Weighted log expression of each set, shape (n_cells, n_sets or 0), float64.
    """

    halves: np.ndarray
    all_weights: np.ndarray
    all_expression: np.ndarray
    dots: np.ndarray


def score_sets(
    query: Query,
    sets: Sequence[MatchedSet],
    method: Method = Method.UCELL,
    *,
    max_rank: int = MAX_RANK,
    seed: int = 0,
    threads: int = 1,
    control: Control | None = None,
    folder: Path | None = None,
    map_chunks: MapChunks | None = None,
) -> SetScores:
    """Score every set in every cell.

    Parameters
    ----------
    query
        The cells: non-negative values. Where expression itself counts, counts and normalised values are logged on the
        way.
    sets
        The sets, matched to the genes of the query.
    method
        How to score.
    max_rank
        Rank from which on a gene weighs nothing, at most the number of genes; AUCell has its own for its scores.
    seed
        Seed of the draws of control genes (module score).
    threads
        Threads to use; results are the same to the last bit for any number, and for any size of blocks.
    control
        Who is told of the progress and may cancel.
    folder
        Where results are kept in files as they come; in memory when None.
    map_chunks
        Who scores chunks of cells, with the same results to the last bit; done here when None.

    Raises
    ------
    EnrichmentRefused
        The matrix has negative values, there is no set or none with a gene, or a setting is out of range.
    Cancelled
        It was cancelled.

    Examples
    --------
    >>> genes = ["CD3D", "CD3E", "LYZ", "ACTB"]
    >>> query = Query.of(genes, np.array([[3.0, 1.0, 0.0, 2.0], [0.0, 0.0, 5.0, 1.0]]))
    >>> scores = score_sets(query, [MatchedSet.of("T cell", ["CD3D", "CD3E"], genes)])
    >>> scores.score.tolist()
    [[0.8, 0.0]]
    """
    control = control or Control()
    _refuse(query, sets, max_rank)
    plan = _plan(query, tuple(sets), method, max_rank, seed, control)
    files = room(sets, query.n_cells, folder)
    # The kernels know plain arrays; what is written to them goes to the files.
    arrays = {name: np.asarray(array) for name, array in files.items()}
    control.tell("score", 0, query.n_cells)
    if map_chunks is None:
        n_not_finite = _score(query, plan, arrays, threads, control)
    else:
        n_not_finite = _score_chunks(map_chunks, query, plan, arrays, control)
    scores = SetScores(method, plan.sets, plan.n_genes, plan.max_rank, seed, n_not_finite, **arrays)
    if folder is not None:
        for array in files.values():
            array.flush()
        scores.write_head(folder)
    return scores


def _score(query: Query, plan: Plan, arrays: dict[str, np.ndarray], threads: int, control: Control) -> int:
    """Score cells here, and return how many values are not finite."""
    n_not_finite = 0
    with ThreadPoolExecutor(threads) as pool:
        for first, block in prepared(query):

            def work(piece: tuple[int, int], first: int = first, block: Block = block) -> int:
                sums, n_not_finite = sum_piece(block, piece, plan, query.name)
                write_piece(sums, plan, first + piece[0], arrays)
                return n_not_finite

            for piece, found in in_order(pool, threads, work, cell_ranges(block, plan.halves.n_halves)):
                n_not_finite += found
                control.tell("score", first + piece[1], query.n_cells)
    return n_not_finite


def _score_chunks(
    map_chunks: MapChunks, query: Query, plan: Plan, arrays: dict[str, np.ndarray], control: Control
) -> int:
    """Have chunks of cells scored elsewhere, and return how many values are not finite."""
    n_not_finite = end = 0
    chunks = chunks_of(query, len(ARRAYS) * len(plan.sets))
    for own, found in map_chunks(score_chunk, (plan, query.name), chunks):
        cells = slice(end, end + own[ARRAYS[0]].shape[1])
        for name, array in arrays.items():
            array[:, cells] = own[name]
        end = cells.stop
        n_not_finite += found
        control.tell("score", end, query.n_cells)
    return n_not_finite


def score_chunk(shared: tuple[Plan, str], chunk: Block) -> tuple[dict[str, np.ndarray], int]:
    """Score a chunk of cells.

    Parameters
    ----------
    shared
        What to score, and what the matrix is called.
    chunk
        The cells.

    Returns
    -------
    arrays : dict
        What was found, see `SetScores`.
    n_not_finite : int
        Values that are NaN or infinite.
    """
    plan, name = shared
    query = Query.of([None] * plan.n_genes, chunk, name=name)
    arrays = room(plan.sets, query.n_cells, None)
    return arrays, _score(query, plan, arrays, 1, Control())


def _refuse(query: Query, sets: Sequence[MatchedSet], max_rank: int) -> None:
    if query.kind is MatrixKind.SCALED:
        raise scaled_refused(query.name)
    if not sets:
        raise EnrichmentRefused("Choose at least one gene set.", "E51")
    if all(own.is_empty for own in sets):
        raise EnrichmentRefused("None of the genes in the chosen sets are in this dataset.", "E52")
    if not query.n_cells:
        raise EnrichmentRefused("There are no cells to score. Change the cell filter.")
    if max_rank < 2:
        raise EnrichmentRefused("The largest rank must be 2 or more.")


def scaled_refused(name: str) -> EnrichmentRefused:
    """Return the refusal of a matrix with values below zero."""
    return EnrichmentRefused(f"{name} looks scaled (negative values). Choose counts or log values.", "E15")


def _plan(
    query: Query, sets: tuple[MatchedSet, ...], method: Method, max_rank: int, seed: int, control: Control
) -> Plan:
    n_genes, scale = len(query.genes), Scale.of(query.kind)
    halves = halve(sets, n_genes)
    linear = invert([], [], n_genes)
    is_scored = np.array([not own.is_empty for own in sets])
    if method is Method.MODULE:
        linear, is_scored = module_weights(sets, mean_expression(query, control), seed)
    elif method is Method.ULM:
        linear = ulm_weights(sets, n_genes)
    max_rank = max(2, min(max_rank, n_genes))
    if method is Method.AUCELL:
        max_rank = max(2, int(np.ceil(TOP_SHARE * n_genes)))
    counted = np.minimum(halves.sizes if method is Method.AUCELL else halves.requested, max_rank - 1)
    highest = counted * max_rank - counted * (counted + 1) / 2
    draws = draws_of(halves.sizes[: len(sets)], n_genes)
    return Plan(method, sets, n_genes, max_rank, halves, linear, is_scored, np.maximum(highest, 1.0), draws, scale)


def mean_expression(query: Query, control: Control | None = None) -> np.ndarray:
    """Return the mean log expression of each gene over all cells, shape (n_genes,), float64."""
    control = control or Control()
    totals, scale = np.zeros(len(query.genes)), Scale.of(query.kind)
    control.tell("average", 0, query.n_cells)
    for first, block in prepared(query):
        for start, end in cell_ranges(block):
            read_cells(block, (start, end), query.name, Reader(add_expression, (*scale, totals)))
            control.tell("average", first + end, query.n_cells)
    means: np.ndarray = totals / query.n_cells
    return means


class Reader(NamedTuple):
    """A kernel that reads cells.

    Parameters
    ----------
    kernel
        Takes the data, indices and pointers of a CSR matrix, the first cell and the one after the last, and more. It
        answers how many values are not finite; before it has added anything to what it is given, `NEGATIVE` or
        `UNSORTED`, see `expressed`.
    options
        What more it takes.
    """

    kernel: Callable[..., int]
    options: tuple[Any, ...]


def read_cells(block: Block, piece: tuple[int, int], name: str, reader: Reader) -> int:
    """Let a kernel read some cells of a block; when it does not know their form, once more in one that it knows.

    Parameters
    ----------
    block
        Cells as `query.prepared` gives them.
    piece
        First cell of the block and the one after the last.
    name
        What the matrix is called in messages.
    reader
        The kernel.

    Returns
    -------
    int
        What it answers: values that are NaN or infinite.

    Raises
    ------
    EnrichmentRefused
        A value is negative (E15).
    """
    start, end = piece
    if isinstance(block, np.ndarray):
        found = reader.kernel(*tidy_rows(block[start:end]), 0, end - start, *reader.options)
    else:
        found = reader.kernel(block.data, block.indices, block.indptr, start, end, *reader.options)
        if found == UNSORTED:
            found = reader.kernel(*tidy_rows(rows_of(block, start, end)), 0, end - start, *reader.options)
    if found == NEGATIVE:
        raise scaled_refused(name)
    return found


def cell_ranges(block: Block, n_sums: int = 1) -> list[tuple[int, int]]:
    """Cut a block into ranges of cells that are work for one task each.

    Parameters
    ----------
    block
        The cells.
    n_sums
        How many sums are made of each cell.
    """
    n_cells, n_genes = block.shape
    each = n_genes if isinstance(block, np.ndarray) else block.nnz // max(1, n_cells)
    step = max(16, min(PIECE_VALUES // max(1, each), PIECE_SUMS // max(1, n_sums)))
    return [(start, min(start + step, n_cells)) for start in range(0, n_cells, step)]


def rows_of(block: sparse.csr_matrix | sparse.csr_array, start: int, end: int) -> sparse.csr_array:
    """Copy some cells of a block; SciPy would look at all of its indices each time."""
    first, last = block.indptr[start], block.indptr[end]
    parts = block.data[first:last].copy(), block.indices[first:last].copy(), block.indptr[start : end + 1] - first
    return sparse.csr_array(parts, shape=(end - start, block.shape[1]))


def tidy_rows(rows: np.ndarray | sparse.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cells as CSR arrays with their genes in order, each once, in types the kernels know."""
    tidy = sparse.csr_array(rows)
    tidy.sum_duplicates()
    return tidy.data, tidy.indices.astype(np.int32), tidy.indptr.astype(np.int64)


def sum_piece(block: Block, piece: tuple[int, int], plan: Plan, name: str = "X") -> tuple[Sums, int]:
    """Sum what the scores of some cells of a block are made of.

    Parameters
    ----------
    block
        Cells as `query.prepared` gives them.
    piece
        First cell of the block and the one after the last.
    plan
        What to sum.
    name
        What the matrix is called in messages.

    Returns
    -------
    sums : Sums
        The sums.
    n_not_finite : int
        Values that are NaN or infinite.

    Raises
    ------
    EnrichmentRefused
        A value is negative (E15).
    """
    n_cells, n_halves = piece[1] - piece[0], plan.halves.n_halves
    n_linear = len(plan.sets) if plan.method not in RANKED else 0
    sums = Sums(
        np.empty((n_cells, n_halves, 3)),
        np.empty((n_cells, 3)),
        np.empty((n_cells, 2)),
        np.empty((n_cells, n_linear)),
    )
    options = plan.max_rank, plan.method is Method.AUCELL, *plan.scale, plan.halves.genes, plan.linear, sums
    return sums, read_cells(block, piece, name, Reader(sum_cells, options))


def write_piece(sums: Sums, plan: Plan, first: int, arrays: dict[str, np.ndarray]) -> None:
    """Turn the sums of some cells into results, and write them from cell `first` on."""
    sets, halves = plan.sets, plan.halves
    cells = slice(first, first + len(sums.halves))
    is_ranked = plan.method in RANKED
    write_cells(
        sums.halves,
        sums.all_weights,
        halves.down,
        halves.sizes,
        plan.highest,
        plan.draws,
        plan.n_genes,
        is_ranked,
        first,
        *arrays.values(),
    )
    if plan.method is Method.MODULE:
        arrays["score"][:, cells] = sums.dots.T
    elif plan.method is Method.ULM:
        arrays["score"][:, cells] = slope_t(sums.dots, sums.all_expression, sets, plan.n_genes).T
    arrays["score"][~plan.is_scored, cells] = np.nan


@kernel
def log_factor(data: np.ndarray, target: float) -> float:
    """Return what the values of a cell are multiplied by before they are logged."""
    if target <= 0.0:
        return 1.0
    total = 0.0
    for place in range(len(data)):
        value = np.float64(data[place])
        total += value if value - value == 0.0 else 0.0
    return target / total if total > 0.0 else 0.0


@kernel
def keep_members(starts: np.ndarray, genes: np.ndarray, n_genes: int, kept: np.ndarray) -> int:
    """List those of a cell's genes that are in a set, without a branch that a processor would often guess wrong.

    Parameters
    ----------
    starts
        See `Inverted`.
    genes, n_genes
        The genes, int32, and how many of them count.
    kept
        Filled with their places, int32; room for one more.

    Returns
    -------
    int
        How many there are.
    """
    n_kept = 0
    for entry in range(n_genes):
        kept[n_kept] = entry
        n_kept += starts[genes[entry] + 1] > starts[genes[entry]]
    return n_kept


@kernel
def sum_cells(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    start: int,
    end: int,
    max_rank: int,
    is_expected: bool,
    is_logged: bool,
    target: float,
    halves: Inverted,
    linear: Inverted,
    sums: Sums,
) -> int:
    """Sum over the genes of some cells.

    Parameters
    ----------
    data, indices, indptr
        CSR matrix, cells x genes: float32 or float64, int32, int64.
    start, end
        First cell, and the one after the last.
    max_rank, is_expected
        See `weight_of_ties`.
    is_logged, target
        See `Scale`.
    halves, linear
        Halves that each gene is in; sets in which it has a weight.
    sums
        Filled.

    Returns
    -------
    int
        How many values were not finite; `NEGATIVE` or `UNSORTED` as by `expressed`.
    """
    longest = 1
    for cell in range(start, end):
        longest = max(longest, indptr[cell + 1] - indptr[cell])
    genes, values = np.empty(longest + 1, np.int32), np.empty(longest + 1)
    bits, kept = values.view(np.uint64), np.empty(longest + 1, np.int32)
    space = space_for(longest)
    different, logs = space.words.view(np.float64), np.empty(len(space.words))
    is_linear = sums.dots.shape[1] > 0
    n_not_finite = 0
    for cell in range(start, end):
        row = cell - start
        own = data[indptr[cell] : indptr[cell + 1]]
        n_found, n_other = expressed(own, indices[indptr[cell] : indptr[cell + 1]], genes, values)
        if n_found < 0:
            return n_found
        n_not_finite += n_other
        n_groups = weigh(bits, n_found, max_rank, is_expected, space, sums.all_weights[row])
        factor = log_factor(own, target)
        for group in range(n_groups):
            logs[group] = different[group] if is_logged else np.log1p(different[group] * factor)
        of_halves, dots = sums.halves[row], sums.dots[row]
        of_halves[:, :], dots[:] = 0.0, 0.0
        for number in range(keep_members(halves.starts, genes, n_found, kept)):
            entry = kept[number]
            gene, group = genes[entry], space.group_of[entry]
            weight, value = space.weights[group], logs[group]
            place, last = halves.starts[gene], halves.starts[gene + 1]
            while True:
                half = halves.sets[place]
                of_halves[half, 0] += weight
                of_halves[half, 1] += value
                of_halves[half, 2] += 1.0
                place += 1
                if place == last:
                    break
        if not is_linear:
            continue
        total, square = 0.0, 0.0
        for entry in range(n_found):
            value = logs[space.group_of[entry]]
            total += value
            square += value * value
        sums.all_expression[row, 0], sums.all_expression[row, 1] = total, square
        for number in range(keep_members(linear.starts, genes, n_found, kept)):
            entry = kept[number]
            gene, value = genes[entry], logs[space.group_of[entry]]
            for place in range(linear.starts[gene], linear.starts[gene + 1]):
                dots[linear.sets[place]] += linear.weights[place] * value
    return n_not_finite


@kernel
def write_cells(
    sums: np.ndarray,
    all_weights: np.ndarray,
    down: np.ndarray,
    sizes: np.ndarray,
    highest: np.ndarray,
    draws: Draws,
    n_genes: int,
    is_ranked: bool,
    first: int,
    score: np.ndarray,
    mean: np.ndarray,
    n_detected: np.ndarray,
    minus_log10_p: np.ndarray,
) -> None:
    """Turn the sums of some cells into results.

    Parameters
    ----------
    sums, all_weights
        `halves` and `all_weights` of `Sums`.
    down, sizes
        See `Halves`.
    highest, draws, n_genes
        See `Plan`.
    is_ranked
        Whether the score is made of the weights; otherwise it is left alone.
    first
        Cell of the results that the first one is.
    score, mean, n_detected, minus_log10_p
        Filled for these cells, see `SetScores`.
    """
    known = np.empty((len(draws.sizes), TILE, N_KNOWN))
    for start in range(0, len(sums), TILE):
        end = min(start + TILE, len(sums))
        for number in range(len(draws.sizes)):
            for row in range(start, end):
                describe(draws.sizes[number], n_genes, all_weights[row], known[number, row - start])
        for own in range(len(down)):
            other, size, number = down[own], sizes[own], draws.number[own]
            for row in range(start, end):
                cell = first + row
                if is_ranked:
                    value = sums[row, own, 0] / highest[own]
                    if other >= 0:
                        value = max(0.0, value - sums[row, other, 0] / highest[other])
                    score[own, cell] = value
                n_detected[own, cell] = sums[row, own, 2]
                if size:
                    mean[own, cell] = sums[row, own, 1] / size
                    minus_log10_p[own, cell] = tail(
                        sums[row, own, 0], known[number, row - start], draws.table, draws.most[number]
                    )
                else:
                    mean[own, cell] = np.nan
                    minus_log10_p[own, cell] = np.nan


@kernel
def add_expression(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    start: int,
    end: int,
    is_logged: bool,
    target: float,
    totals: np.ndarray,
) -> int:
    """Add the log expression of some cells to the totals of their genes.

    Parameters
    ----------
    data, indices, indptr, start, end, is_logged, target
        As for `sum_cells`.
    totals
        Changed, shape (n_genes,), float64; only once all cells are known to be read.

    Returns
    -------
    int
        As by `sum_cells`.
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
            if not is_checked:
                n_not_finite += n_other
                continue
            factor = log_factor(own, target)
            for entry in range(n_found):
                value = values[entry]
                totals[genes[entry]] += value if is_logged else np.log1p(value * factor)
    return n_not_finite
