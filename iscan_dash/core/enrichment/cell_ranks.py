"""The weights of a cell's genes: how far each is above the last rank that counts.

A gene of rank r (1 is the highest) weighs ``M - r`` or nothing; genes that are not expressed weigh nothing. Only the
expressed genes of a cell are looked at. Cells of counted molecules have some dozens of different values, which are
told apart by a table; other cells are sorted.
"""

from typing import NamedTuple

import numpy as np

from iscan_dash.core.engine.kernel import kernel

OK, NEGATIVE, UNSORTED = 0, -1, -2
"""What the kernels say of the values they read."""

SLOTS_LOG = 10
"""Logarithm of the size of the table of different values."""

MOST = 256
"""Different values up to which they are told apart by a table."""

DIGIT = 11
"""Bits by which values are sorted at once."""

N_DIGITS = 6


@kernel
def expressed(data: np.ndarray, indices: np.ndarray, genes: np.ndarray, values: np.ndarray) -> tuple[int, int]:
    """Collect the expressed genes of a cell.

    Parameters
    ----------
    data, indices
        The cell's values, float32 or float64, and their columns, int32.
    genes, values
        Filled, int32 and float64; room for all values of the cell and one more.

    Returns
    -------
    n_found : int
        How many there are; `NEGATIVE` when a value is below zero, `UNSORTED` when the columns do not ascend.
    n_not_finite : int
        Values that are NaN or infinite, which are read as 0.
    """
    # Looked at in simple loops, which become instructions for many values at once.
    n_values = len(data)
    n_unsorted = 0
    for place in range(1, n_values):
        n_unsorted += indices[place] <= indices[place - 1]
    n_plain = 0
    for place in range(n_values):
        n_plain += (data[place] > 0) & (data[place] < np.inf)
    if n_plain == n_values and not n_unsorted:
        for place in range(n_values):
            genes[place] = indices[place]
            values[place] = data[place]
        return n_values, 0
    n_found = 0
    n_not_finite = 0
    n_negative = 0
    for place in range(n_values):
        value = np.float64(data[place])
        is_finite = value - value == 0.0
        n_negative += is_finite & (value < 0.0)
        n_not_finite += not is_finite
        genes[n_found] = indices[place]
        values[n_found] = value
        n_found += is_finite & (value > 0.0)
    if n_negative:
        return NEGATIVE, n_not_finite
    if n_unsorted:
        return UNSORTED, n_not_finite
    return n_found, n_not_finite


@kernel
def weight_of_ties(first: int, size: int, max_rank: int, is_expected: bool) -> float:
    """Return the weight of genes of equal value.

    Parameters
    ----------
    first, size
        The first of their ranks, from 1, and how many they are.
    max_rank
        The rank M from which on genes weigh nothing.
    is_expected
        Whether it is the mean of the weights that they have in any order, rather than the weight of their mean rank.
    """
    last = first + size - 1
    if first >= max_rank:
        return 0.0
    if last <= max_rank or not is_expected:
        return max(max_rank - 0.5 * (first + last), 0.0)
    return 0.5 * (max_rank - first) * (max_rank - first + 1) / size


@kernel
def number_values(
    bits: np.ndarray, n_values: int, slots: np.ndarray, slot_of: np.ndarray, group_of: np.ndarray, words: np.ndarray
) -> int:
    """Give a number to each different value of a cell, unless there are more than `MOST`.

    Parameters
    ----------
    bits, n_values
        The values as words, uint64, and how many of them count.
    slots, slot_of
        The table: -1 throughout, and left so; shape (2**SLOTS_LOG,), int32. Work space, shape (MOST,), int32.
    group_of
        Filled with the number of each value, int32.
    words
        Filled with the word of each number, uint64.

    Returns
    -------
    int
        How many different values there are, -1 when too many.
    """
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    shift = np.uint64(64 - SLOTS_LOG)
    n_groups = 0
    is_over = False
    for entry in range(n_values):
        word = bits[entry]
        slot = np.int64((word * multiplier) >> shift)
        group = slots[slot]
        while group >= 0 and words[group] != word:
            slot = (slot + 1) & ((1 << SLOTS_LOG) - 1)
            group = slots[slot]
        if group < 0:
            if n_groups == MOST:
                is_over = True
                break
            group = n_groups
            slots[slot] = group
            words[group] = word
            slot_of[group] = slot
            n_groups += 1
        group_of[entry] = group
    for group in range(n_groups):
        slots[slot_of[group]] = -1
    return -1 if is_over else n_groups


@kernel
def sort_words(bits: np.ndarray, n_values: int, order: np.ndarray, spare: np.ndarray, counts: np.ndarray) -> bool:
    """Find the order that sorts words, digit by digit from the lowest; digits that all words share are passed over.

    Parameters
    ----------
    bits, n_values
        The words, uint64, and how many of them count: at least one.
    order, spare
        Either is filled with the order, int32.
    counts
        Work space, shape (N_DIGITS, 2**DIGIT), int32.

    Returns
    -------
    bool
        Whether the order is in `spare`.
    """
    mask = np.uint64((1 << DIGIT) - 1)
    counts[:, :] = 0
    for entry in range(n_values):
        order[entry] = entry
        word = bits[entry]
        for digit in range(N_DIGITS):
            counts[digit, np.int64((word >> np.uint64(DIGIT * digit)) & mask)] += 1
    is_swapped = False
    for digit in range(N_DIGITS):
        shift = np.uint64(DIGIT * digit)
        if counts[digit, np.int64((bits[0] >> shift) & mask)] == n_values:
            continue
        place = 0
        for value in range(1 << DIGIT):
            n_own = counts[digit, value]
            counts[digit, value] = place
            place += n_own
        source, target = (spare, order) if is_swapped else (order, spare)
        for rank in range(n_values):
            entry = source[rank]
            own = np.int64((bits[entry] >> shift) & mask)
            target[counts[digit, own]] = entry
            counts[digit, own] += 1
        is_swapped = not is_swapped
    return is_swapped


@kernel
def add_weight(size: int, weight: float, sums: np.ndarray) -> None:
    """Add the weight of genes of equal value, its square and its cube to their sums."""
    sums[0] += size * weight
    sums[1] += size * weight * weight
    sums[2] += size * weight * weight * weight


@kernel
def weigh_few(
    group_of: np.ndarray,
    n_values: int,
    words: np.ndarray,
    n_groups: int,
    max_rank: int,
    is_expected: bool,
    weights: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Weigh the different values of a cell that has few of them.

    Parameters
    ----------
    group_of, n_values, words, n_groups
        The different values as `number_values` gives them.
    max_rank, is_expected
        See `weight_of_ties`.
    weights
        Filled with the weight of each different value, float64.
    sums
        Filled with the sums over all values of the weights, their squares and their cubes; shape (3,), float64.
    """
    # Counted in turns: a processor waits when it adds to the same number again at once.
    counts = np.zeros((4, n_groups), np.int64)
    for entry in range(n_values):
        counts[entry & 3, group_of[entry]] += 1
    order = np.argsort(words[:n_groups])
    first = 1
    sums[:] = 0.0
    for place in range(n_groups - 1, -1, -1):
        group = order[place]
        size = counts[0, group] + counts[1, group] + counts[2, group] + counts[3, group]
        weights[group] = weight_of_ties(first, size, max_rank, is_expected)
        add_weight(size, weights[group], sums)
        first += size


@kernel
def weigh_sorted(
    bits: np.ndarray,
    n_values: int,
    order: np.ndarray,
    max_rank: int,
    is_expected: bool,
    group_of: np.ndarray,
    words: np.ndarray,
    weights: np.ndarray,
    sums: np.ndarray,
) -> int:
    """Tell the different values of a cell apart and weigh them, when their ascending order is known.

    Parameters
    ----------
    bits, n_values, order
        The values as words, uint64, how many of them count, and the order that sorts them.
    max_rank, is_expected
        See `weight_of_ties`.
    group_of, words, weights, sums
        Filled, as by `number_values` and `weigh_few`.

    Returns
    -------
    int
        How many different values there are.
    """
    sums[:] = 0.0
    n_groups = 0
    end = n_values
    while end > 0:
        start = end - 1
        word = bits[order[start]]
        while start > 0 and bits[order[start - 1]] == word:
            start -= 1
        words[n_groups] = word
        weights[n_groups] = weight_of_ties(n_values - end + 1, end - start, max_rank, is_expected)
        for place in range(start, end):
            group_of[order[place]] = n_groups
        add_weight(end - start, weights[n_groups], sums)
        n_groups += 1
        end = start
    return n_groups


class Space(NamedTuple):
    """Work space for one thread, and what is found in a cell.

    Parameters
    ----------
    slots, slot_of
        See `number_values`.
    order, spare, counts
        See `sort_words`.
    group_of
        Number of the value of each gene, int32.
    words
        The value of each number as a word, uint64.
    weights
        The weight of each number, float64.
    """

    slots: np.ndarray
    slot_of: np.ndarray
    order: np.ndarray
    spare: np.ndarray
    counts: np.ndarray
    group_of: np.ndarray
    words: np.ndarray
    weights: np.ndarray


@kernel
def space_for(n_values: int) -> Space:
    """Return work space for cells of up to so many values."""
    return Space(
        np.full(1 << SLOTS_LOG, -1, np.int32),
        np.empty(MOST, np.int32),
        np.empty(n_values, np.int32),
        np.empty(n_values, np.int32),
        np.empty((N_DIGITS, 1 << DIGIT), np.int32),
        np.empty(n_values, np.int32),
        np.empty(max(n_values, MOST), np.uint64),
        np.empty(max(n_values, MOST)),
    )


@kernel
def weigh(bits: np.ndarray, n_values: int, max_rank: int, is_expected: bool, space: Space, sums: np.ndarray) -> int:
    """Tell the different values of a cell's expressed genes apart and weigh them.

    Parameters
    ----------
    bits, n_values
        The values as words, uint64, and how many of them count: above zero, words ascend as the values do.
    max_rank, is_expected
        See `weight_of_ties`.
    space
        Filled: `group_of`, `words` and `weights`.
    sums
        Filled, see `weigh_few`.

    Returns
    -------
    int
        How many different values there are.
    """
    n_groups = number_values(bits, n_values, space.slots, space.slot_of, space.group_of, space.words)
    if n_groups >= 0:
        weigh_few(space.group_of, n_values, space.words, n_groups, max_rank, is_expected, space.weights, sums)
        return n_groups
    is_swapped = sort_words(bits, n_values, space.order, space.spare, space.counts)
    order = space.spare if is_swapped else space.order
    return weigh_sorted(bits, n_values, order, max_rank, is_expected, space.group_of, space.words, space.weights, sums)
