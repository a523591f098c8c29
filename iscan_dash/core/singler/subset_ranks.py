"""Ranks of profiles within a set of genes, without sorting.

Every profile knows the place of each gene in its own sorted order. A set of genes is then a row of bits over these
places, and the rank of a gene is the number of bits below its place: a prefix sum over words and one count of bits.
Genes of equal value are counted apiece. When the next set is asked for, only the bits of genes that differ change.
"""

from typing import NamedTuple

import numpy as np

from iscan_dash.core.engine.kernel import kernel, popcount
from iscan_dash.core.singler.gene_sets import n_words, unpack
from iscan_dash.core.singler.ranks import ProfileRanks

_ABREAST = 4
"""Profiles whose sets are changed side by side: alone, each change of a word would wait for the one before it."""

_TURNED = 8
"""Profiles that are turned from rows into columns together."""


class SubsetState(NamedTuple):
    """The set of genes that each profile holds at the moment; the profiles of a label always hold the same.

    Parameters
    ----------
    bits
        The set over the places of each profile's sorted order, shape (n_profiles, n_words), uint64.
    in_tie
        Genes of the set in each group of equal values, shape (n_profiles, n_ties + 1), int32; the first column counts
        those with a value of their own.
    held
        The set by gene, for each label, shape (n_labels, n_words), uint64.
    """

    bits: np.ndarray
    in_tie: np.ndarray
    held: np.ndarray


def empty_state(profiles: ProfileRanks, n_labels: int) -> SubsetState:
    """Return the state in which every profile holds the empty set."""
    n_profiles, n_markers = profiles.position.shape
    words = n_words(n_markers)
    return SubsetState(
        np.zeros((n_profiles, words), np.uint64),
        np.zeros((n_profiles, profiles.n_ties + 1), np.int32),
        np.zeros((n_labels, words), np.uint64),
    )


@kernel
def toggle(genes: np.ndarray, n_genes: int, first: int, last: int, position: np.ndarray, bits: np.ndarray) -> None:
    """Put genes into the set of some profiles, or take them away: each is turned over.

    Parameters
    ----------
    genes, n_genes
        Marker genes, uint16, and how many of them count.
    first, last
        Range of profiles.
    position
        See `ProfileRanks`.
    bits
        Changed, see `SubsetState`.
    """
    one = np.uint64(1)
    together = first + (last - first) // _ABREAST * _ABREAST
    for start in range(first, together, _ABREAST):
        for entry in range(n_genes):
            gene = genes[entry]
            for profile in range(start, start + _ABREAST):
                place = np.uint64(position[profile, gene])
                bits[profile, np.int64(place >> np.uint64(6))] ^= one << (place & np.uint64(63))
    for profile in range(together, last):
        for entry in range(n_genes):
            place = np.uint64(position[profile, genes[entry]])
            bits[profile, np.int64(place >> np.uint64(6))] ^= one << (place & np.uint64(63))


@kernel
def count_ties(
    genes: np.ndarray, n_genes: int, first: int, last: int, step: int, tie: np.ndarray, in_tie: np.ndarray
) -> None:
    """Count genes that come into the set of some profiles, or leave it, in their groups of equal values.

    Parameters
    ----------
    genes, n_genes
        Marker genes, uint16, and how many of them count.
    first, last
        Range of profiles.
    step
        1 for genes that come, -1 for genes that leave.
    tie
        See `ProfileRanks`.
    in_tie
        Changed, see `SubsetState`.
    """
    together = first + (last - first) // _ABREAST * _ABREAST
    for start in range(first, together, _ABREAST):
        for entry in range(n_genes):
            gene = genes[entry]
            for profile in range(start, start + _ABREAST):
                in_tie[profile, tie[profile, gene]] += step
    for profile in range(together, last):
        for entry in range(n_genes):
            in_tie[profile, tie[profile, genes[entry]]] += step


@kernel
def hold(
    wanted: np.ndarray,
    n_wanted: int,
    labels: np.ndarray,
    n_labels: int,
    ends: np.ndarray,
    profiles: ProfileRanks,
    state: SubsetState,
) -> None:
    """Make the profiles of some labels hold a set of genes.

    Parameters
    ----------
    wanted, n_wanted
        The set by gene, shape (n_words,), uint64, and how many genes it has.
    labels, n_labels
        Labels, and how many of them count.
    ends
        Where the profiles of each label end.
    profiles
        Ranks of the profiles.
    state
        Changed.
    """
    bits, in_tie, held = state.bits, state.in_tie, state.held
    n_words = len(wanted)
    come, leave = np.empty(n_words, np.uint64), np.empty(n_words, np.uint64)
    before = np.zeros(n_words, np.uint64)
    changed = np.empty(profiles.position.shape[1], np.uint16)
    n_come = n_changed = -1
    is_new = False
    for entry in range(n_labels):
        label = labels[entry]
        # Most labels hold what the one before them held, and so miss the same genes.
        is_same = n_come >= 0
        for word in range(n_words):
            is_same &= held[label, word] == before[word]
        if not is_same:
            for word in range(n_words):
                before[word] = held[label, word]
                come[word] = wanted[word] & ~before[word]
                leave[word] = before[word] & ~wanted[word]
            n_come = unpack(come, changed)
            n_changed = n_come + unpack(leave, changed[n_come:])
            is_new = n_changed > n_wanted
            if is_new:
                n_come = n_changed = unpack(wanted, changed)
        first = ends[label - 1] if label else 0
        last = ends[label]
        if is_new:
            # Little is left of the set held before: it is quicker to begin with an empty one.
            bits[first:last] = np.uint64(0)
            in_tie[first:last] = 0
        toggle(changed, n_changed, first, last, profiles.position, bits)
        if profiles.n_ties:
            count_ties(changed, n_come, first, last, 1, profiles.tie, in_tie)
            count_ties(changed[n_come:], n_changed - n_come, first, last, -1, profiles.tie, in_tie)
        for word in range(n_words):
            held[label, word] = wanted[word]


@kernel
def count_below(
    members: np.ndarray, n_members: int, n_genes: int, state: SubsetState, below: np.ndarray, equals: np.ndarray
) -> None:
    """Prepare the ranking of single genes in some profiles.

    Parameters
    ----------
    members, n_members
        Profiles, and how many of them count.
    n_genes
        Genes in the set.
    state
        What the profiles hold.
    below
        Filled with the rank that a gene on the first place of each word would have if it were in the set, shape
        (>= n_members, n_words), int16.
    equals
        Filled with what a gene's rank gains by its equals, by group, shape (>= n_members, n_ties + 1), int16.
    """
    bits, in_tie = state.bits, state.in_tie
    for member in range(n_members):
        profile = members[member]
        rank = 1 - n_genes
        for word in range(bits.shape[1]):
            below[member, word] = rank
            rank += 2 * popcount(bits[profile, word])
        equals[member, 0] = 0
        for group in range(1, in_tie.shape[1]):
            equals[member, group] = in_tie[profile, group] - 1


@kernel
def subset_scales(members: np.ndarray, n_members: int, n_genes: int, in_tie: np.ndarray, scales: np.ndarray) -> None:
    """Find one over the root of the sum of squared ranks within the set that profiles hold; 0 without variance.

    The sum is ``(m**3 - m) / 3`` for m genes of different values, less ``(t**3 - t) / 3`` for each group of t equal
    ones.

    Parameters
    ----------
    members, n_members
        Profiles, and how many of them count.
    n_genes
        Genes in the set.
    in_tie
        See `SubsetState`.
    scales
        Filled, shape (>= n_members,), float64.
    """
    for member in range(n_members):
        profile = members[member]
        lost = 0
        for group in range(1, in_tie.shape[1]):
            lost += in_tie[profile, group] * (in_tie[profile, group] ** 2 - 1)
        squares = (n_genes**3 - n_genes - lost) // 3
        scales[member] = 1 / np.sqrt(squares) if squares > 0 else 0.0


@kernel
def rank_genes(
    genes: np.ndarray,
    n_genes: int,
    members: np.ndarray,
    n_members: int,
    profiles: ProfileRanks,
    bits: np.ndarray,
    below: np.ndarray,
    equals: np.ndarray,
    ranks: np.ndarray,
    first_row: int,
) -> None:
    """Rank genes of the set in some profiles that hold it.

    Parameters
    ----------
    genes, n_genes
        Marker genes in the set, uint16, and how many of them count.
    members, n_members
        Profiles, and how many of them count.
    profiles
        Ranks of the profiles.
    bits
        See `SubsetState`.
    below, equals
        See `count_below`.
    ranks
        Filled with doubled centred ranks from row `first_row` on, shape (n_rows, >= n_members), int16.
    first_row
        Row of the first gene.
    """
    # Some profiles at a time: each is ranked along its own sorted order, and then they are turned into columns.
    columns = np.empty((_TURNED, n_genes), np.int16)
    for start in range(0, n_members, _TURNED):
        stop = min(start + _TURNED, n_members)
        for member in range(start, stop):
            column = member - start
            rank_along(genes, n_genes, profiles.lowest, members[member], bits, below, member, columns, column)
            if profiles.n_ties:
                add_equals(genes, n_genes, profiles.tie, members[member], equals, member, columns, column)
        if stop == start + _TURNED:
            for gene in range(n_genes):
                for column in range(_TURNED):
                    ranks[first_row + gene, start + column] = columns[column, gene]
        else:
            for gene in range(n_genes):
                for column in range(stop - start):
                    ranks[first_row + gene, start + column] = columns[column, gene]


@kernel
def rank_along(
    genes: np.ndarray,
    n_genes: int,
    lowest: np.ndarray,
    profile: int,
    bits: np.ndarray,
    below: np.ndarray,
    member: int,
    columns: np.ndarray,
    column: int,
) -> None:
    """Rank genes of the set in one profile, as if each were the lowest of its equals.

    Parameters
    ----------
    genes, n_genes, bits, below
        As for `rank_genes`.
    lowest
        See `ProfileRanks`.
    profile, member
        The profile, and its row in `below`.
    columns, column
        Where the ranks go, shape (_TURNED, >= n_genes), int16, and the row of it.
    """
    one = np.uint64(1)
    for gene in range(n_genes):
        place = np.uint64(lowest[profile, genes[gene]])
        word = place >> np.uint64(6)
        inside = bits[profile, word] & ((one << (place & np.uint64(63))) - one)
        columns[column, gene] = below[member, word] + np.int16(2 * popcount(inside))


@kernel
def add_equals(
    genes: np.ndarray,
    n_genes: int,
    tie: np.ndarray,
    profile: int,
    equals: np.ndarray,
    member: int,
    columns: np.ndarray,
    column: int,
) -> None:
    """Lift the ranks of genes in one profile to the mean of their equals.

    Parameters
    ----------
    genes, n_genes, profile, member, columns, column
        As for `rank_along`.
    tie
        See `ProfileRanks`.
    equals
        See `count_below`.
    """
    for gene in range(n_genes):
        columns[column, gene] += equals[member, tie[profile, genes[gene]]]
