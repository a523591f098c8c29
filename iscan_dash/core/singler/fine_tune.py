"""Fine-tuning: score each cell again among its best labels, with the markers of those labels only.

Cells do it level by level. All cells that consider the same set of labels are worked on together, since ranking the
reference within that set's markers costs more than the cells themselves.
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from iscan_dash.core.singler._kernel import kernel
from iscan_dash.core.singler.cells import RankedCells, joined
from iscan_dash.core.singler.control import Control, in_order
from iscan_dash.core.singler.first_pass import FirstPass, ranked
from iscan_dash.core.singler.gene_sets import n_words, unite, unpack
from iscan_dash.core.singler.order_statistics import LANES
from iscan_dash.core.singler.query import Query
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
        Row in `ranks` of each marker: -1 when it is in the set and not ranked yet, -2 when it is not in the set;
        shape (n_markers,), int32.
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
        np.full(n_markers, -2, np.int32),
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
        # Sets next to each other in this order differ in few labels, so the genes of profiles change little.
        active = active[np.lexsort(considered[active].T)]
        keys = considered[active]
        breaks = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
        starts = np.concatenate([[0], breaks, [len(active)]]).astype(np.int64)
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

        for _ in in_order(pool, threads, work, [(int(a), int(b)) for a, b in zip(cuts, cuts[1:], strict=False)]):
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
    n_kept, share = quantile.n_kept, quantile.share
    union_words = trained.pair_sets.shape[1]
    n_labels = len(trained.ends)
    n_profiles = len(trained.scales)
    profiles = trained.profiles
    row_of = space.row_of
    n_markers = len(row_of)
    new = np.empty(n_markers, np.uint16)
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
    rows = np.empty(n_markers, np.uint16)
    sizes = np.empty(n_markers, np.int64)
    weights = np.empty(n_markers, np.int64)
    correlations = np.zeros((n_profiles, LANES))
    kept = np.empty((n_kept.max(), LANES))
    passing = np.empty(LANES)
    scores = np.empty((n_labels, LANES))
    for entry in range(first, last):
        n_used = unpack(considered[active[starts[entry]]], labels)
        n_genes = unite(trained.pair_sets, labels, n_used, union)
        n_members = 0
        for used in range(n_used):
            start = trained.ends[labels[used] - 1] if labels[used] else 0
            for profile in range(start, trained.ends[labels[used]]):
                members[n_members] = profile
                n_members += 1
            ends[used] = n_members
        hold(union, labels, n_used, trained.ends, profiles, space.state)
        count_below(members, n_members, n_genes, space.state, below, equals)
        subset_scales(members, n_members, n_genes, space.state.in_tie, scales)
        unpack(union, genes)
        for place in range(n_genes):
            row_of[genes[place]] = -1
        width = (n_members + 31) // 32 * 32
        ranks = space.ranks[: (n_genes + 1) * width].reshape((n_genes + 1, width))
        ranks[0, :] = 0
        n_rows = 1
        for block in range(starts[entry], starts[entry + 1], LANES):
            n_lanes = min(LANES, starts[entry + 1] - block)
            for lane in range(n_lanes):
                cell = active[block + lane]
                place = cells.starts[cell]
                n_found = 0
                n_groups = 0
                n_negative = 0
                n_new = 0
                for group in range(cells.group_starts[cell], cells.group_starts[cell + 1]):
                    before = n_found
                    for _ in range(cells.sizes[group]):
                        gene = cells.genes[place]
                        place += 1
                        row = row_of[gene]
                        if row == -1:
                            row = n_rows + n_new
                            row_of[gene] = row
                            new[n_new] = gene
                            n_new += 1
                        if row > 0:
                            rows[n_found] = row
                            n_found += 1
                    if n_found > before:
                        sizes[n_groups] = n_found - before
                        n_groups += 1
                        n_negative += group - cells.group_starts[cell] < cells.n_negative[cell]
                # Genes that no cell of this set had before are ranked now, in all its profiles.
                if n_new:
                    ranks[n_rows : n_rows + n_new, n_members:] = 0
                    bits = space.state.bits
                    rank_genes(new, n_new, members, n_members, profiles, bits, below, equals, ranks, n_rows)
                    n_rows += n_new
                common, squares = weigh_groups(sizes, n_groups, n_negative, n_genes, weights)
                products(ranks, 0, rows, sizes, n_groups, weights, common, n_genes, width, plain, weighted, total)
                correlate(total, squares, scales, n_members, lane, correlations)
            label_scores(correlations, ends, n_used, n_kept, share, kept, passing, scores)
            for lane in range(n_lanes):
                cell = active[block + lane]
                best, delta[cell] = best_two(scores, n_used, lane)
                label[cell] = labels[best]
                considered[cell, :] = np.uint64(0)
                n_left = 0
                for used in range(n_used):
                    if scores[used, lane] >= scores[best, lane] - threshold:
                        considered[cell, labels[used] >> 6] |= np.uint64(1) << np.uint64(labels[used] & 63)
                        n_left += 1
                is_open[cell] = 1 < n_left < n_used
        for place in range(n_genes):
            row_of[genes[place]] = -2
