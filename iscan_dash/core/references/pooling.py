"""Deal the cells of a study out to the profiles of a reference, some of them left out to test it with."""

from dataclasses import dataclass

import numpy as np

LEAST_CELLS = 20
"""Cells of a profile, where a label has enough of them.

In three labelled studies means of 20 cells and more labelled the others best: rare labels suffer from profiles of 6
cells, and k-means within labels, which R's package has for this, did worse than dealing by chance.
"""

RARE_CELLS = 10
"""Cells of a label from which it is no longer told to be rare."""

TESTED = 5
"""One of so many cells of a profile is left out for the test."""

SEED = 20260101


@dataclass(frozen=True, eq=False)
class Pools:
    """Which cells make which profile.

    Parameters
    ----------
    profile
        Profile of each cell, -1 for none, shape (n_cells,), int64.
    is_held
        Whether a cell is left out for the test, shape (n_cells,), bool.
    group
        Group of each profile, ascending, shape (n_profiles,), int64.
    """

    profile: np.ndarray
    is_held: np.ndarray
    group: np.ndarray

    @property
    def n_profiles(self) -> int:
        """How many profiles there are."""
        return len(self.group)


def profiles_of(n_cells: np.ndarray, most: int) -> np.ndarray:
    """Return how many profiles groups of some numbers of cells get.

    Examples
    --------
    >>> profiles_of(np.array([0, 3, 60, 1000]), 10).tolist()
    [0, 1, 3, 10]
    """
    found: np.ndarray = np.where(n_cells > 0, np.clip(n_cells // LEAST_CELLS, 1, most), 0)
    return found


def deal(groups: np.ndarray, samples: np.ndarray, most: int, seed: int = SEED) -> Pools:
    """Deal the cells of each group out to profiles of about equally many cells.

    Cells of one sample stay together as far as that goes, so that profiles differ as samples do; within a sample they
    are dealt out by chance, the same each time. Of each profile a fifth of the cells is left out for a test, none where
    it has fewer than five.

    Parameters
    ----------
    groups
        Group of each cell, -1 for none, shape (n_cells,), integer.
    samples
        Sample of each cell, shape (n_cells,), integer.
    most
        Profiles of a group, where it has enough cells.
    seed
        Decides what is left to chance.

    Examples
    --------
    >>> pools = deal(np.array([0] * 40 + [1, -1]), np.zeros(42, int), 2)
    >>> pools.group.tolist(), np.bincount(pools.profile[:-1]).tolist(), int(pools.is_held.sum())
    ([0, 0, 1], [20, 20, 1], 8)
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(groups)), samples, groups))
    order = order[np.searchsorted(groups[order], 0) :]
    sizes = np.bincount(groups[order]) if len(order) else np.zeros(0, np.int64)
    counts = profiles_of(sizes, most)
    own = groups[order]
    place = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[own]
    part = place * counts[own] // np.maximum(sizes[own], 1)
    profile = np.full(len(groups), -1, np.int64)
    profile[order] = (np.cumsum(counts) - counts)[own] + part
    is_held = np.zeros(len(groups), bool)
    numbers = profile[order]
    in_profile = np.bincount(numbers, minlength=int(counts.sum()))
    within = np.arange(len(order)) - (np.cumsum(in_profile) - in_profile)[numbers]
    is_held[order] = within % TESTED == TESTED - 1
    return Pools(profile, is_held, np.repeat(np.arange(len(counts)), counts))
