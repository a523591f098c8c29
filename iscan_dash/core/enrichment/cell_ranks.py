"""The weights of a cell's genes: how far each is above the last rank that counts.

A gene of rank r (1 is the highest) weighs ``M - r`` or nothing; genes that are not expressed weigh nothing. Only the
expressed genes of a cell are looked at. Cells of counted molecules have some dozens of different values, which are
told apart by a table; other cells are sorted.
"""

import numpy as np

from iscan_dash.core.singler._kernel import kernel

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
    n_found = 0
    n_not_finite = 0
    is_negative = False
    is_unsorted = False
    last = -1
    for place in range(len(data)):
        value = np.float64(data[place])
        column = indices[place]
        is_unsorted |= column <= last
        last = column
        is_finite = value - value == 0.0
        is_negative |= is_finite & (value < 0.0)
        n_not_finite += not is_finite
        genes[n_found] = column
        values[n_found] = value
        n_found += is_finite & (value > 0.0)
    if is_negative:
        return NEGATIVE, n_not_finite
    if is_unsorted:
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
    bits: np.ndarray,
    n_values: int,
    slots: np.ndarray,
    group_of: np.ndarray,
    words: np.ndarray,
    slot_of: np.ndarray,
    sizes: np.ndarray,
) -> int:
    """Give a number to each different value of a cell, unless there are more than `MOST`.

    Parameters
    ----------
    bits, n_values
        The values as words, uint64, and how many of them count.
    slots
        The table: -1 throughout, and left so; shape (2**SLOTS_LOG,), int32.
    group_of
        Filled with the number of each value, int32.
    words, slot_of, sizes
        Filled for each number with its word, its slot, and how many values have it; shape (MOST,); uint64, int32,
        int64.

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
            sizes[group] = 0
            n_groups += 1
        group_of[entry] = group
        sizes[group] += 1
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
def weigh_groups(
    bits: np.ndarray,
    n_values: int,
    max_rank: int,
    is_expected: bool,
    slots: np.ndarray,
    group_of: np.ndarray,
    weights: np.ndarray,
    sums: np.ndarray,
) -> bool:
    """Weigh the values of a cell that has few different ones.

    Parameters
    ----------
    bits, n_values, max_rank, is_expected, slots
        As for the kernels above.
    group_of
        Work space, int32, room for all values.
    weights
        Filled, float64.
    sums
        Filled with the sums of the weights, their squares and their cubes; shape (3,), float64.

    Returns
    -------
    bool
        Whether there were few enough; otherwise nothing is filled.
    """
    words = np.empty(MOST, np.uint64)
    slot_of = np.empty(MOST, np.int32)
    sizes = np.empty(MOST, np.int64)
    n_groups = number_values(bits, n_values, slots, group_of, words, slot_of, sizes)
    if n_groups < 0:
        return False
    order = np.argsort(words[:n_groups])
    of_group = np.empty(MOST)
    first = 1
    sums[:] = 0.0
    for place in range(n_groups - 1, -1, -1):
        group = order[place]
        weight = weight_of_ties(first, sizes[group], max_rank, is_expected)
        of_group[group] = weight
        first += sizes[group]
        sums[0] += sizes[group] * weight
        sums[1] += sizes[group] * weight * weight
        sums[2] += sizes[group] * weight * weight * weight
    for entry in range(n_values):
        weights[entry] = of_group[group_of[entry]]
    return True


@kernel
def weigh_sorted(
    bits: np.ndarray,
    n_values: int,
    order: np.ndarray,
    max_rank: int,
    is_expected: bool,
    weights: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Weigh the values of a cell whose ascending order is known.

    Parameters
    ----------
    bits, n_values, order, max_rank, is_expected
        As for the kernels above.
    weights, sums
        Filled, as by `weigh_groups`.
    """
    sums[:] = 0.0
    end = n_values
    while end > 0:
        start = end - 1
        word = bits[order[start]]
        while start > 0 and bits[order[start - 1]] == word:
            start -= 1
        weight = weight_of_ties(n_values - end + 1, end - start, max_rank, is_expected)
        for place in range(start, end):
            weights[order[place]] = weight
        sums[0] += (end - start) * weight
        sums[1] += (end - start) * weight * weight
        sums[2] += (end - start) * weight * weight * weight
        end = start


@kernel
def weigh(
    bits: np.ndarray,
    n_values: int,
    max_rank: int,
    is_expected: bool,
    slots: np.ndarray,
    work: np.ndarray,
    counts: np.ndarray,
    weights: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Weigh the expressed genes of a cell.

    Parameters
    ----------
    bits, n_values
        Their values as words, uint64: above zero, words ascend as the values do.
    max_rank, is_expected
        See `weight_of_ties`.
    slots, work, counts
        Work space, see `number_values` and `sort_words`; `work` has two rows of room for all values, int32.
    weights, sums
        Filled, as by `weigh_groups`.
    """
    if weigh_groups(bits, n_values, max_rank, is_expected, slots, work[0], weights, sums):
        return
    is_swapped = sort_words(bits, n_values, work[0], work[1], counts)
    weigh_sorted(bits, n_values, work[1] if is_swapped else work[0], max_rank, is_expected, weights, sums)
