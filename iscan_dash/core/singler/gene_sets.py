"""Sets of marker genes as bits: 64 genes a word."""

import numpy as np

from iscan_dash.core.engine.kernel import kernel, popcount
from iscan_dash.core.singler.markers import Markers

WORD = 64


def n_words(n_items: int) -> int:
    """Return the words that hold so many bits, at least one.

    Examples
    --------
    >>> n_words(0), n_words(64), n_words(65)
    (1, 1, 2)
    """
    return max(1, -(-n_items // WORD))


def pair_sets(markers: Markers, n_markers: int) -> np.ndarray:
    """Write the markers of every pair of labels, both directions together, as bits.

    Parameters
    ----------
    markers
        Markers of ordered pairs.
    n_markers
        Number of marker genes.

    Returns
    -------
    numpy.ndarray
        shape (n_labels * (n_labels + 1) / 2, n_words), uint64; the pair a <= b stands in row ``b * (b + 1) / 2 + a``.

    Examples
    --------
    >>> markers = Markers(2, np.array([0, 0, 1, 3, 3]), np.array([0, 1, 2]))
    >>> pair_sets(markers, 3).tolist()
    [[0], [7], [0]]
    """
    n_labels = markers.n_labels
    pair = np.repeat(np.arange(n_labels**2), np.diff(markers.starts))
    label, other = np.divmod(pair, n_labels)
    low, high = np.minimum(label, other), np.maximum(label, other)
    row = high * (high + 1) // 2 + low
    bits = np.zeros((n_labels * (n_labels + 1) // 2, n_words(n_markers)), np.uint64)
    set_bits(bits, row, markers.rows)
    return bits


@kernel
def set_bits(bits: np.ndarray, rows: np.ndarray, places: np.ndarray) -> None:
    """Set one bit for each entry of `rows` and `places`.

    Parameters
    ----------
    bits
        Changed, shape (n_rows, n_words), uint64.
    rows, places
        Which row and which bit of it, shape (n_entries,), int64.
    """
    for entry in range(len(rows)):
        place = np.uint64(places[entry])
        bits[rows[entry], np.int64(place >> np.uint64(6))] |= np.uint64(1) << (place & np.uint64(63))


@kernel
def unpack(bits: np.ndarray, places: np.ndarray) -> int:
    """List the bits that are set, ascending.

    Parameters
    ----------
    bits
        shape (n_words,), uint64.
    places
        Filled, shape (>= number of bits set,), integer.

    Returns
    -------
    int
        How many there are.
    """
    n_found = 0
    for word in range(len(bits)):
        left = bits[word]
        while left != np.uint64(0):
            lowest = left & (~left + np.uint64(1))
            places[n_found] = 64 * word + popcount(lowest - np.uint64(1))
            n_found += 1
            left ^= lowest
    return n_found


@kernel
def unite(sets: np.ndarray, labels: np.ndarray, n_labels: int, union: np.ndarray) -> int:
    """Unite the markers of all pairs of some labels.

    Parameters
    ----------
    sets
        See `pair_sets`.
    labels, n_labels
        Labels, ascending, and how many of them count.
    union
        Filled, shape (n_words,), uint64.

    Returns
    -------
    int
        Number of genes in the union.
    """
    union[:] = np.uint64(0)
    for high in range(n_labels):
        start = labels[high] * (labels[high] + 1) // 2
        for low in range(high + 1):
            pair = sets[start + labels[low]]
            for word in range(len(union)):
                union[word] |= pair[word]
    n_genes = 0
    for word in range(len(union)):
        n_genes += popcount(union[word])
    return n_genes
