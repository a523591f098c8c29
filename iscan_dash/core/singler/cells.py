"""Cells as the engine keeps them: their non-zero marker genes in the order of their values.

Only the order of a cell's values matters, so this is all that scoring and fine-tuning need. A cell of 3,000 molecules
takes about 700 bytes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from iscan_dash.core.singler._kernel import kernel

OK, MISSING, REPEATED = 0, 1, 2
"""What the kernels say of the values they read."""


class RankedCells(NamedTuple):
    """The non-zero marker genes of some cells, grouped by equal value, groups ascending.

    Parameters
    ----------
    genes
        Marker genes, cell after cell and group after group, uint16.
    starts
        Where each cell begins in `genes`, shape (n_cells + 1,), int64.
    sizes
        Number of genes of each group, uint16.
    group_starts
        Where each cell begins in `sizes`, shape (n_cells + 1,), int64.
    n_negative
        Number of groups below zero of each cell, shape (n_cells,), int32.
    """

    genes: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    group_starts: np.ndarray
    n_negative: np.ndarray


def joined(parts: Sequence[RankedCells]) -> RankedCells:
    """Put the cells of several parts behind one another."""
    starts, group_starts = (
        np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part[field]) for part in parts]))]).astype(np.int64)
        for field in (1, 3)
    )
    genes, sizes, n_negative = (np.concatenate([part[field] for part in parts]) for field in (0, 2, 4))
    return RankedCells(genes, starts, sizes, group_starts, n_negative)


@kernel
def group_sparse(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    first: int,
    last: int,
    marker_of: np.ndarray,
    n_markers: int,
    genes: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    group_starts: np.ndarray,
    n_negative: np.ndarray,
) -> int:
    """Group the non-zero marker genes of sparse cells by value.

    Cells of counted molecules have some 20 different values, so a table of the values met takes the place of a sort.

    Parameters
    ----------
    data, indices, indptr
        CSR matrix, cells x genes: float32 or float64, int32, int64.
    first, last
        Cells to look at.
    marker_of
        Marker of each column, -1 for none, shape (n_genes,), int32.
    n_markers
        Number of markers.
    genes, starts, sizes, group_starts, n_negative
        Filled, see `RankedCells`.

    Returns
    -------
    int
        `OK`; `MISSING` when a value is NaN; `REPEATED` when a cell has two values for a gene.
    """
    n_slots = 64
    while n_slots < 2 * n_markers:
        n_slots *= 2
    shift = 64
    size = n_slots
    while size > 1:
        size //= 2
        shift -= 1
    slot_key = np.zeros(n_slots, np.uint64)
    slot_group = np.full(n_slots, -1, np.int32)
    found = np.empty(n_markers + 1, np.int32)
    value_of = np.empty(n_markers + 1)
    bits_of = value_of.view(np.uint64)
    group_of = np.empty(n_markers, np.int32)
    slot_of = np.empty(n_markers, np.int64)
    distinct = np.empty(n_markers)
    size_of = np.empty(n_markers, np.int64)
    rank_of = np.empty(n_markers, np.int64)
    next_of = np.empty(n_markers, np.int64)
    seen_in = np.full(n_markers, -1, np.int64)
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    shift_ = np.uint64(shift)
    n_genes = 0
    n_groups = 0
    missing = 0
    for place in range(indptr[first], indptr[last]):
        missing += data[place] != data[place]
    if missing:
        return MISSING
    starts[0] = 0
    group_starts[0] = 0
    for cell in range(first, last):
        n_found = 0
        for place in range(indptr[cell], indptr[cell + 1]):
            marker = marker_of[indices[place]]
            if n_found > n_markers:
                return REPEATED
            found[n_found] = marker
            value_of[n_found] = data[place]
            n_found += (marker >= 0) & (data[place] != 0)
        n_distinct = 0
        for entry in range(n_found):
            if seen_in[found[entry]] == cell:
                return REPEATED
            seen_in[found[entry]] = cell
            bits = bits_of[entry]
            slot = np.int64((bits * multiplier) >> shift_)
            while slot_group[slot] >= 0 and slot_key[slot] != bits:
                slot = (slot + 1) & (n_slots - 1)
            group = slot_group[slot]
            if group < 0:
                group = n_distinct
                slot_group[slot] = group
                slot_key[slot] = bits
                slot_of[group] = slot
                distinct[group] = value_of[entry]
                size_of[group] = 0
                n_distinct += 1
            group_of[entry] = group
            size_of[group] += 1
        negative = 0
        if n_distinct <= 48:
            for group in range(n_distinct):
                rank_of[group] = 0
                for other in range(n_distinct):
                    rank_of[group] += distinct[other] < distinct[group]
        else:
            order = np.argsort(distinct[:n_distinct])
            for place in range(n_distinct):
                rank_of[order[place]] = place
        for group in range(n_distinct):
            slot_group[slot_of[group]] = -1
            negative += distinct[group] < 0
            sizes[n_groups + rank_of[group]] = size_of[group]
        position = n_genes
        for rank in range(n_distinct):
            next_of[rank] = position
            position += sizes[n_groups + rank]
        for entry in range(n_found):
            rank = rank_of[group_of[entry]]
            genes[next_of[rank]] = found[entry]
            next_of[rank] += 1
        n_genes += n_found
        n_groups += n_distinct
        starts[cell - first + 1] = n_genes
        group_starts[cell - first + 1] = n_groups
        n_negative[cell - first] = negative
    return OK


@kernel
def group_sorted(
    values: np.ndarray,
    order: np.ndarray,
    genes: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    group_starts: np.ndarray,
    n_negative: np.ndarray,
) -> None:
    """Group the non-zero marker genes of cells that have been sorted.

    Parameters
    ----------
    values, order
        shape (n_cells, n_markers): values, float32 or float64, without NaN, and the positions that sort them,
        int64.
    genes, starts, sizes, group_starts, n_negative
        Filled, see `RankedCells`.
    """
    n_cells, n_markers = values.shape
    n_genes = 0
    n_groups = 0
    starts[0] = 0
    group_starts[0] = 0
    for cell in range(n_cells):
        negative = 0
        first = 0
        while first < n_markers:
            value = values[cell, order[cell, first]]
            last = first + 1
            while last < n_markers and values[cell, order[cell, last]] == value:
                last += 1
            if value != 0:
                negative += value < 0
                for place in range(first, last):
                    genes[n_genes + place - first] = order[cell, place]
                n_genes += last - first
                sizes[n_groups] = last - first
                n_groups += 1
            first = last
        starts[cell + 1] = n_genes
        group_starts[cell + 1] = n_groups
        n_negative[cell] = negative
