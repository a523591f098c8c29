"""Cells as the engine keeps them: their non-zero marker genes in the order of their values.

Only the order of a cell's values matters, so this is all that scoring and fine-tuning need. A cell of 3,000 molecules
takes about 700 bytes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from iscan_dash.core.engine.kernel import kernel

OK, MISSING, REPEATED = 0, -1, -2
"""What the kernels say of the values they read."""

_FEW = 48
"""Different values up to which each is compared with each rather than sorted."""


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
def collect(
    data: np.ndarray,
    indices: np.ndarray,
    marker_of: np.ndarray,
    seen: np.ndarray,
    markers: np.ndarray,
    values: np.ndarray,
) -> int:
    """Collect the non-zero marker genes of a sparse cell.

    Parameters
    ----------
    data, indices
        The cell's values and their columns, float32 or float64, and int32.
    marker_of
        Marker of each column, -1 for none, shape (n_genes,), int16.
    seen
        All zero, and left so; shape (n_markers,), uint8.
    markers, values
        Filled, int16 and float64; room for all values of the cell.

    Returns
    -------
    int
        How many there are; `MISSING` when a value is NaN, `REPEATED` when a gene has two.
    """
    n_missing = 0
    for place in range(len(data)):
        n_missing += data[place] != data[place]
    if n_missing:
        return MISSING
    n_found = 0
    for place in range(len(data)):
        marker = marker_of[indices[place]]
        markers[n_found] = marker
        values[n_found] = data[place]
        n_found += (marker >= 0) & (data[place] != 0)
    n_repeated = 0
    for entry in range(n_found):
        n_repeated += seen[markers[entry]]
        seen[markers[entry]] = 1
    for entry in range(n_found):
        seen[markers[entry]] = 0
    return REPEATED if n_repeated else n_found


@kernel
def number_groups(
    bits: np.ndarray,
    n_values: int,
    slots: np.ndarray,
    shift: int,
    group_of: np.ndarray,
    first_of: np.ndarray,
    slot_of: np.ndarray,
    size_of: np.ndarray,
) -> int:
    """Give a number to each different value of a cell, by means of a table of those met.

    Cells of counted molecules have some 15 different values among their markers, so this is quicker than sorting.

    Parameters
    ----------
    bits, n_values
        The values as words, uint64, and how many of them count.
    slots
        The table: -1 throughout, and left so; its size is a power of two above n_values; int32.
    shift
        64 less the logarithm of that size.
    group_of
        Filled with the number of each value, int32.
    first_of, slot_of, size_of
        Filled for each number with the first value that has it, its slot, and how many have it; int64.

    Returns
    -------
    int
        How many different values there are.
    """
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    last_slot = len(slots) - 1
    n_groups = 0
    for entry in range(n_values):
        word = bits[entry]
        slot = np.int64((word * multiplier) >> np.uint64(shift))
        while slots[slot] >= 0 and bits[first_of[slots[slot]]] != word:
            slot = (slot + 1) & last_slot
        group = slots[slot]
        if group < 0:
            group = n_groups
            slots[slot] = group
            first_of[group] = entry
            slot_of[group] = slot
            size_of[group] = 0
            n_groups += 1
        group_of[entry] = group
        size_of[group] += 1
    for group in range(n_groups):
        slots[slot_of[group]] = -1
    return n_groups


@kernel
def rank_groups(values: np.ndarray, first_of: np.ndarray, n_groups: int, rank_of: np.ndarray) -> int:
    """Rank the different values of a cell.

    Parameters
    ----------
    values
        Values of the cell, float64.
    first_of, n_groups
        One place of each different value, and how many there are.
    rank_of
        Filled with the rank of each, from 0, int64.

    Returns
    -------
    int
        How many are negative.
    """
    n_negative = 0
    if n_groups <= _FEW:
        for group in range(n_groups):
            value = values[first_of[group]]
            n_negative += value < 0
            rank = 0
            for other in range(n_groups):
                rank += values[first_of[other]] < value
            rank_of[group] = rank
        return n_negative
    different = np.empty(n_groups)
    for group in range(n_groups):
        different[group] = values[first_of[group]]
        n_negative += different[group] < 0
    order = np.argsort(different)
    for rank in range(n_groups):
        rank_of[order[rank]] = rank
    return n_negative


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

    Parameters
    ----------
    data, indices, indptr
        CSR matrix, cells x genes: float32 or float64, int32, int64.
    first, last
        Cells to look at.
    marker_of
        Marker of each column, -1 for none, shape (n_genes,), int16.
    n_markers
        Number of markers.
    genes, starts, sizes, group_starts, n_negative
        Filled, see `RankedCells`.

    Returns
    -------
    int
        `OK`; `MISSING` when a value is NaN; `REPEATED` when a cell has two values for a gene.
    """
    longest = 1
    for cell in range(first, last):
        longest = max(longest, indptr[cell + 1] - indptr[cell])
    shift = 58
    while 1 << (64 - shift) < 2 * min(longest, n_markers):
        shift -= 1
    slots = np.full(1 << (64 - shift), -1, np.int32)
    seen = np.zeros(n_markers, np.uint8)
    markers = np.empty(longest + 1, np.int16)
    values = np.empty(longest + 1)
    bits = values.view(np.uint64)
    group_of = np.empty(longest, np.int32)
    first_of, slot_of, size_of = np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.int64)
    rank_of, next_of = np.empty(longest, np.int64), np.empty(longest, np.int64)
    n_genes = 0
    n_groups = 0
    starts[0] = 0
    group_starts[0] = 0
    for cell in range(first, last):
        start, end = indptr[cell], indptr[cell + 1]
        n_found = collect(data[start:end], indices[start:end], marker_of, seen, markers, values)
        if n_found < 0:
            return n_found
        n_own = number_groups(bits, n_found, slots, shift, group_of, first_of, slot_of, size_of)
        n_negative[cell - first] = rank_groups(values, first_of, n_own, rank_of)
        for group in range(n_own):
            sizes[n_groups + rank_of[group]] = size_of[group]
        place = n_genes
        for rank in range(n_own):
            next_of[rank] = place
            place += sizes[n_groups + rank]
        for entry in range(n_found):
            rank = rank_of[group_of[entry]]
            genes[next_of[rank]] = markers[entry]
            next_of[rank] += 1
        n_genes += n_found
        n_groups += n_own
        starts[cell - first + 1] = n_genes
        group_starts[cell - first + 1] = n_groups
    return OK


@kernel
def take_columns(block: np.ndarray, columns: np.ndarray, values: np.ndarray) -> bool:
    """Take some columns of dense cells, and tell whether any value of the cells is missing.

    Both in one go, as each row comes from memory once.

    Parameters
    ----------
    block
        shape (n_cells, n_genes), float32 or float64.
    columns
        Columns to take, int64.
    values
        Filled, shape (n_cells, n_columns).
    """
    is_missing = False
    for cell in range(block.shape[0]):
        row = block[cell]
        n_missing = 0
        for gene in range(block.shape[1]):
            n_missing += row[gene] != row[gene]
        is_missing |= n_missing > 0
        for entry in range(len(columns)):
            values[cell, entry] = row[columns[entry]]
    return is_missing


def sorted_order(values: np.ndarray) -> np.ndarray:
    """Return the positions that sort each row, shape (n_cells, n_markers), int64.

    Values of 32 bits are sorted as whole numbers that carry their position in the lowest 16 bits: NumPy sorts those
    three times as fast as it finds positions.

    Parameters
    ----------
    values
        shape (n_cells, n_markers), float32 or float64, without NaN; fewer than 2**16 markers.

    Examples
    --------
    >>> sorted_order(np.array([[3.0, -1.0, 0.0]], np.float32)).tolist()
    [[1, 2, 0]]
    """
    if values.dtype != np.float32:
        return np.argsort(values, axis=1)
    # Adding 0 makes -0 a 0. The bits of negative numbers fall as the number rises, so they are turned over.
    bits = (values + np.float32(0)).view(np.int32)
    keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)
    keys <<= 16
    keys |= np.arange(values.shape[1])
    keys.sort(axis=1)
    keys &= 0xFFFF
    return keys


@kernel
def spread(cells: RankedCells, ranks: np.ndarray, squares: np.ndarray) -> None:
    """Write the doubled centred ranks of all markers of each cell.

    Parameters
    ----------
    cells
        The cells.
    ranks
        Filled, shape (n_cells, n_markers), float64: whole numbers.
    squares
        Filled with the sum of each cell's squared ranks, shape (n_cells,), float64.
    """
    n_cells, n_markers = ranks.shape
    for cell in range(n_cells):
        place = cells.starts[cell]
        n_zeros = n_markers - (cells.starts[cell + 1] - place)
        start, end = cells.group_starts[cell], cells.group_starts[cell + 1]
        below = 0
        for group in range(start, start + cells.n_negative[cell]):
            below += cells.sizes[group]
        zero_rank = 2 * below + n_zeros - n_markers
        total = n_zeros * zero_rank * zero_rank
        ranks[cell, :] = zero_rank
        below = 0
        for group in range(start, end):
            if group == start + cells.n_negative[cell]:
                below += n_zeros
            size = cells.sizes[group]
            rank = 2 * below + size - n_markers
            total += size * rank * rank
            for entry in range(place, place + size):
                ranks[cell, cells.genes[entry]] = rank
            below += size
            place += size
        squares[cell] = total


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
