"""Cells dealt out to profiles: all of them, evenly, samples together, the same each time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.references.pooling import LEAST_CELLS, TESTED, deal, profiles_of


@given(
    groups=st.lists(st.integers(-1, 4), max_size=300),
    n_samples=st.integers(1, 4),
    most=st.integers(1, 12),
    seed=st.integers(0, 5),
)
def test_every_cell_has_its_place(groups: list[int], n_samples: int, most: int, seed: int) -> None:
    codes = np.array(groups, int)
    samples = np.arange(len(codes)) % n_samples
    pools = deal(codes, samples, most, seed)
    again = deal(codes, samples, most, seed)
    assert np.array_equal(pools.profile, again.profile) and np.array_equal(pools.is_held, again.is_held)
    assert np.array_equal(pools.profile < 0, codes < 0)
    assert not pools.is_held[codes < 0].any()
    is_in = codes >= 0
    assert np.array_equal(pools.group[pools.profile[is_in]], codes[is_in])
    sizes = np.bincount(codes[is_in], minlength=5)
    assert np.array_equal(np.bincount(pools.group, minlength=5)[: len(sizes)], profiles_of(sizes, most))
    members = np.bincount(pools.profile[is_in], minlength=pools.n_profiles)
    held = np.bincount(pools.profile[pools.is_held], minlength=pools.n_profiles)
    # A profile always keeps cells, and about a fifth of them is left out.
    assert np.array_equal(held, members // TESTED)
    for group in range(5):
        own = members[pools.group == group]
        assert not len(own) or own.max() - own.min() <= 1
        assert len(own) < 2 or own.min() >= LEAST_CELLS


def test_cells_of_a_sample_stay_together() -> None:
    samples = np.arange(120) % 2
    pools = deal(np.zeros(120, int), samples, 10)
    assert pools.n_profiles == 6
    for profile in range(6):
        assert len(set(samples[pools.profile == profile])) == 1


def test_no_cell_has_a_group() -> None:
    for groups in (np.zeros(0, int), np.full(3, -1)):
        pools = deal(groups, np.zeros(len(groups), int), 10)
        assert pools.n_profiles == 0 and not pools.is_held.any()
