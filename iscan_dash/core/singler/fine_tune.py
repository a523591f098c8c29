"""Fine-tuning: score each cell again among its best labels, with the markers of those labels only.

Cells do it level by level. All cells that consider the same set of labels are worked on together, since ranking the
reference within that set's markers costs more than the cells themselves.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from iscan_dash.core.engine.control import Control, in_order
from iscan_dash.core.engine.kernel import kernel, popcount
from iscan_dash.core.engine.query import Query
from iscan_dash.core.singler.cells import RankedCells, joined
from iscan_dash.core.singler.first_pass import FirstPass, ranked
from iscan_dash.core.singler.gene_sets import n_words, unite, unpack
from iscan_dash.core.singler.order_statistics import LANES
from iscan_dash.core.singler.ranks import PROFILE_MULTIPLE
from iscan_dash.core.singler.scoring import (
    Quantile,
    best_two,
    correlate,
    label_scores,
    products,
    upper_quantile,
    weigh_groups,
)
from iscan_dash.core.singler.subset_ranks import (
    SubsetState,
    count_below,
    empty_state,
    hold,
    rank_genes,
    subset_scales,
)
from iscan_dash.core.singler.train import Trained, TrainedArrays
from iscan_dash.errors import PredictionRefused

POOL_BYTES = 64_000_000
"""Size of the cells that are fine-tuned together: the more there are, the more of them share a set of labels."""

_WINDOW = 512
"""Sets of labels among which the next one is looked for."""

PIECES = 8
"""Pieces of work for each thread and level."""


@dataclass(frozen=True, eq=False)
class Tuned:
    """Final labels.

    Parameters
    ----------
    label
        Label of each cell, shape (n_cells,), int32.
    delta
        Its score minus the highest of the other labels that were still considered, in the last round, shape
        (n_cells,), float64; NaN with a single label. Not comparable between cells.
    """

    label: np.ndarray
    delta: np.ndarray


class Workspace(NamedTuple):
    """Room for one thread.

    Parameters
    ----------
    state
        Sets of genes that profiles hold.
    ranks
        Ranks of genes within the set, flat, int16.
    row_of
        See `number_rows`.
    """

    state: SubsetState
    ranks: np.ndarray
    row_of: np.ndarray


def fine_tune(
    trained: Trained,
    query: Query,
    first: FirstPass,
    *,
    threshold: float = 0.05,
    threads: int = 1,
    control: Control | None = None,
) -> Tuned:
    """Fine-tune the labels of a first pass, which stays as it is, so that another threshold can be tried.

    Parameters
    ----------
    trained, query
        What the first pass was made with.
    first
        Its results.
    threshold
        Labels within this of the best score are considered again.
    threads
        Threads to use; the results are the same to the last bit for any number, and for any size of blocks.
    control
        Who is told of the progress and may cancel.

    Raises
    ------
    Cancelled
        It was cancelled.
    """
    tuned = Tuned(np.empty_like(first.label), np.empty_like(first.delta))
    with ThreadPoolExecutor(threads) as pool:
        cells = ranked(trained, query, pool, threads)
        tune_all(trained, cells, first, tuned, threshold, pool, threads, control or Control())
    return tuned


def tune_all(
    trained: Trained,
    pieces: Iterator[tuple[int, RankedCells]],
    first: FirstPass,
    tuned: Tuned,
    threshold: float,
    pool: Executor,
    threads: int,
    control: Control,
) -> None:
    """Fine-tune cells as they come, many at a time.

    Parameters
    ----------
    trained
        The reference.
    pieces
        Ranked cells in order, each piece with the number of its first cell; their first pass must be done.
    first, tuned
        Results of the first pass, and where those of fine-tuning go.
    threshold, pool, threads, control
        As in `fine_tune`.
    """
    if not threshold >= 0:
        raise PredictionRefused("Fine-tune threshold must be 0 to 0.1.")
    spaces: SimpleQueue[Workspace] = SimpleQueue()
    for _ in range(threads):
        spaces.put(_workspace(trained))
    waiting: list[RankedCells] = []
    start = size = n_cells = 0

    def tune_waiting() -> None:
        rows = slice(start, start + n_cells)
        labels, deltas = tuned.label[rows], tuned.delta[rows]
        labels[:], deltas[:] = first.label[rows], first.delta[rows]
        _tune_pool(
            trained,
            joined(waiting),
            first.scores[rows],
            first.quantile,
            labels,
            deltas,
            threshold,
            pool,
            threads,
            spaces,
            control,
        )
        control.tell("fine-tune", rows.stop, len(tuned.label))

    for place, cells in pieces:
        if not waiting:
            start, size, n_cells = place, 0, 0
        waiting.append(cells)
        n_cells += len(cells.n_negative)
        size += sum(array.nbytes for array in cells)
        if size >= POOL_BYTES:
            tune_waiting()
            waiting.clear()
    if waiting:
        tune_waiting()


def _workspace(trained: Trained) -> Workspace:
    profiles = trained.arrays.profiles
    n_markers = profiles.position.shape[1]
    return Workspace(
        empty_state(profiles, len(trained.labels)),
        np.zeros(profiles.ranks.size, np.int16),
        np.zeros(n_markers, np.uint16),
    )


def _tune_pool(
    trained: Trained,
    cells: RankedCells,
    scores: np.ndarray,
    quantile: float,
    label: np.ndarray,
    delta: np.ndarray,
    threshold: float,
    pool: Executor,
    threads: int,
    spaces: "SimpleQueue[Workspace]",
    control: Control,
) -> None:
    """Fine-tune some cells to the end; `label` and `delta` are changed."""
    n_labels = len(trained.labels)
    considered = np.zeros((len(label), n_words(n_labels)), np.uint64)
    open_ = np.zeros(len(label), np.bool_)
    near_best(scores, threshold, considered, open_)
    prepared = upper_quantile(quantile, int(trained.n_profiles.max()))
    while open_.any():
        active = np.flatnonzero(open_)
        active = active[np.lexsort(considered[active].T)]
        keys = considered[active]
        breaks = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
        starts = np.concatenate([[0], breaks, [len(active)]]).astype(np.int64)
        order = neighbours(keys[starts[:-1]])
        sizes = np.diff(starts)[order]
        active = active[np.repeat(starts[order] - np.cumsum(sizes) + sizes, sizes) + np.arange(len(active))]
        starts[1:] = np.cumsum(sizes)
        cuts = np.unique(np.linspace(0, len(starts) - 1, PIECES * threads + 1).astype(np.int64))

        def work(piece: tuple[int, int], active: np.ndarray = active, starts: np.ndarray = starts) -> None:
            control.check()
            space = spaces.get()
            try:
                tune_sets(
                    piece[0],
                    piece[1],
                    active,
                    starts,
                    cells,
                    trained.arrays,
                    prepared,
                    threshold,
                    space,
                    considered,
                    open_,
                    label,
                    delta,
                )
            finally:
                spaces.put(space)

        for _ in in_order(pool, threads, work, [(int(a), int(b)) for a, b in pairwise(cuts)]):
            pass


@kernel
def near_best(scores: np.ndarray, threshold: float, considered: np.ndarray, is_open: np.ndarray) -> None:
    """Find the labels within the threshold of each cell's best score, and the cells that are to be scored again.

    Parameters
    ----------
    scores
        shape (n_cells, n_labels), float64.
    threshold
        How far a score may be below the best.
    considered
        Filled with the labels as bits, shape (n_cells, n_words), uint64.
    is_open
        Filled: whether more than one but not all labels are left, shape (n_cells,), bool.
    """
    n_cells, n_labels = scores.shape
    for cell in range(n_cells):
        best = -np.inf
        for label in range(n_labels):
            best = max(best, scores[cell, label])
        n_left = 0
        for label in range(n_labels):
            if scores[cell, label] >= best - threshold:
                considered[cell, label >> 6] |= np.uint64(1) << np.uint64(label & 63)
                n_left += 1
        is_open[cell] = 1 < n_left < n_labels


@kernel
def neighbours(sets: np.ndarray) -> np.ndarray:
    """Order sets of labels so that those next to each other differ in few labels.

    Profiles then change little from one set to the next. From each set the order goes on to the most similar one that
    is left of the next few hundred.

    Parameters
    ----------
    sets
        Labels as bits, similar sets near each other already; shape (n_sets, n_words), uint64.

    Returns
    -------
    numpy.ndarray
        Numbers of the sets, shape (n_sets,), int64.
    """
    n_sets, n_words = sets.shape
    order = np.arange(n_sets)
    for place in range(1, n_sets):
        nearest = place
        least = 64 * n_words + 1
        for other in range(place, min(place + _WINDOW, n_sets)):
            n_differing = 0
            for word in range(n_words):
                n_differing += popcount(sets[order[place - 1], word] ^ sets[order[other], word])
            if n_differing < least:
                least = n_differing
                nearest = other
        chosen = order[nearest]
        order[place + 1 : nearest + 1] = order[place:nearest].copy()
        order[place] = chosen
    return order


@kernel
def list_profiles(
    labels: np.ndarray, n_labels: int, ends: np.ndarray, members: np.ndarray, own_ends: np.ndarray
) -> int:
    """List the profiles of some labels.

    Parameters
    ----------
    labels, n_labels
        Labels, and how many of them count.
    ends
        Where the profiles of each label end among all profiles, int64.
    members
        Filled with the profiles, label after label, int64.
    own_ends
        Filled with where those of each of the labels end in `members`, int64.

    Returns
    -------
    int
        How many profiles there are.
    """
    n_members = 0
    for entry in range(n_labels):
        label = labels[entry]
        for profile in range(ends[label - 1] if label else 0, ends[label]):
            members[n_members] = profile
            n_members += 1
        own_ends[entry] = n_members
    return n_members


@kernel
def number_rows(
    chosen: np.ndarray, cells: RankedCells, union: np.ndarray, row_of: np.ndarray, genes: np.ndarray
) -> int:
    """Give a row to each gene of a set that is not zero in one of the cells at least.

    Parameters
    ----------
    chosen
        Numbers of the cells, int64.
    cells
        All cells.
    union
        The set of genes as bits.
    row_of
        Filled with the row of each gene, from 1, and 0 for genes without one; shape (n_markers,), uint16.
    genes
        Filled with the genes of the rows, ascending, uint16; room for the whole set.

    Returns
    -------
    int
        How many rows there are.
    """
    row_of[:] = 0
    for entry in range(len(chosen)):
        for place in range(cells.starts[chosen[entry]], cells.starts[chosen[entry] + 1]):
            row_of[cells.genes[place]] = 1
    n_genes = unpack(union, genes)
    n_rows = 0
    for entry in range(n_genes):
        gene = genes[entry]
        if row_of[gene]:
            genes[n_rows] = gene
            n_rows += 1
    row_of[:] = 0
    for row in range(n_rows):
        row_of[genes[row]] = row + 1
    return n_rows


@kernel
def rows_of_cell(
    cell: int, cells: RankedCells, row_of: np.ndarray, rows: np.ndarray, sizes: np.ndarray
) -> tuple[int, int]:
    """List the rows of a cell's non-zero genes, group after group.

    Parameters
    ----------
    cell, cells
        Number of the cell, and all cells.
    row_of
        See `number_rows`.
    rows
        Filled, uint16.
    sizes
        Filled with the number of rows in each group that has some, int64.

    Returns
    -------
    n_groups, n_negative : int
        Such groups, and those of them below zero.
    """
    place = cells.starts[cell]
    n_rows = 0
    n_groups = 0
    n_negative = 0
    for group in range(cells.group_starts[cell], cells.group_starts[cell + 1]):
        before = n_rows
        end = place + cells.sizes[group]
        while place < end:
            row = row_of[cells.genes[place]]
            rows[n_rows] = row
            n_rows += row > 0
            place += 1
        if n_rows > before:
            sizes[n_groups] = n_rows - before
            n_groups += 1
            n_negative += group - cells.group_starts[cell] < cells.n_negative[cell]
    return n_groups, n_negative


@kernel
def keep_near(
    scores: np.ndarray, n_used: int, lane: int, limit: float, labels: np.ndarray, considered: np.ndarray
) -> int:
    """Keep the labels of a lane whose score reaches a limit.

    Parameters
    ----------
    scores, n_used, lane
        See `best_two`.
    limit
        Least score.
    labels
        The labels that the scores are of.
    considered
        Filled with those that are kept, as bits, shape (n_words,), uint64.

    Returns
    -------
    int
        How many are kept.
    """
    considered[:] = np.uint64(0)
    n_kept = 0
    for used in range(n_used):
        if scores[used, lane] >= limit:
            considered[labels[used] >> 6] |= np.uint64(1) << np.uint64(labels[used] & 63)
            n_kept += 1
    return n_kept


@kernel
def tune_sets(
    first: int,
    last: int,
    active: np.ndarray,
    starts: np.ndarray,
    cells: RankedCells,
    trained: TrainedArrays,
    quantile: Quantile,
    threshold: float,
    space: Workspace,
    considered: np.ndarray,
    is_open: np.ndarray,
    label: np.ndarray,
    delta: np.ndarray,
) -> None:
    """Do one round of fine-tuning for the cells of some sets of labels.

    Parameters
    ----------
    first, last
        Range of sets.
    active
        Cells, set after set, int64.
    starts
        Where each set begins in `active`, int64.
    cells
        All cells of the pool.
    trained
        The reference.
    quantile
        See `Quantile`.
    threshold
        How far a score may be below the best to be considered again.
    space
        Room to work.
    considered
        Labels considered by each cell, as bits, changed; shape (n_cells, n_words), uint64.
    is_open
        Whether a cell goes on, changed; shape (n_cells,), bool.
    label, delta
        Results so far, changed; shape (n_cells,), int32 and float64.
    """
    union_words = trained.pair_sets.shape[1]
    n_labels, n_profiles = len(trained.ends), len(trained.scales)
    profiles = trained.profiles
    row_of = space.row_of
    n_markers = len(row_of)
    below = np.empty((n_profiles, union_words), np.int16)
    equals = np.empty((n_profiles, profiles.n_ties + 1), np.int16)
    labels = np.empty(n_labels, np.int64)
    ends = np.empty(n_labels, np.int64)
    members = np.empty(n_profiles, np.int64)
    union = np.empty(union_words, np.uint64)
    genes = np.empty(n_markers, np.uint16)
    scales = np.empty(n_profiles)
    width = profiles.ranks.shape[1]
    plain = np.empty(width, np.int32)
    weighted = np.empty(width, np.int32)
    total = np.empty(width)
    rows = np.empty(n_markers + 1, np.uint16)
    sizes = np.empty(n_markers, np.int64)
    weights = np.empty(n_markers, np.int64)
    correlations = np.zeros((n_profiles, LANES))
    kept = np.empty((quantile.n_kept.max(), LANES))
    passing = np.empty(LANES)
    scores = np.empty((n_labels, LANES))
    for entry in range(first, last):
        chosen = active[starts[entry] : starts[entry + 1]]
        n_used = unpack(considered[chosen[0]], labels)
        n_genes = unite(trained.pair_sets, labels, n_used, union)
        n_members = list_profiles(labels, n_used, trained.ends, members, ends)
        hold(union, n_genes, labels, n_used, trained.ends, profiles, space.state)
        count_below(members, n_members, n_genes, space.state, below, equals)
        subset_scales(members, n_members, n_genes, space.state.in_tie, scales)
        n_rows = number_rows(chosen, cells, union, row_of, genes)
        width = (n_members + PROFILE_MULTIPLE - 1) // PROFILE_MULTIPLE * PROFILE_MULTIPLE
        ranks = space.ranks[: (n_rows + 1) * width].reshape((n_rows + 1, width))
        ranks[0, :] = 0
        ranks[:, n_members:] = 0
        rank_genes(genes, n_rows, members, n_members, profiles, space.state.bits, below, equals, ranks, 1)
        for block in range(0, len(chosen), LANES):
            n_lanes = min(LANES, len(chosen) - block)
            for lane in range(n_lanes):
                cell = chosen[block + lane]
                n_groups, n_negative = rows_of_cell(cell, cells, row_of, rows, sizes)
                common, squares = weigh_groups(sizes, n_groups, n_negative, n_genes, weights)
                products(ranks, 0, rows, sizes, n_groups, weights, common, n_genes, width, plain, weighted, total)
                correlate(total, squares, scales, n_members, lane, correlations)
            label_scores(correlations, ends, n_used, quantile.n_kept, quantile.share, kept, passing, scores)
            for lane in range(n_lanes):
                cell = chosen[block + lane]
                best, delta[cell] = best_two(scores, n_used, lane)
                label[cell] = labels[best]
                n_left = keep_near(scores, n_used, lane, scores[best, lane] - threshold, labels, considered[cell])
                is_open[cell] = 1 < n_left < n_used
