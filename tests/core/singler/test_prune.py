"""Pruning by other cutoffs: what a new run would prune, for all labels alike or each by its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from iscan_dash.core.singler.prune import label_cutoffs, margin_spread, margins, prune
from tests.core.singler import plain
from tests.core.singler.golden import load, needs_golden

CUTOFFS = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 5, 6, 10, 50, 99.5]
SETS = ["p68sc", "p68pb", "mini_bp_main", "mini_bp_fine", "pbmc3k_hema", "bp_main", "bp_fine", "hpca_main", "hpca_fine"]

Results = tuple[np.ndarray, np.ndarray, np.ndarray]


@needs_golden
@pytest.mark.parametrize("name", SETS)
def test_any_cutoff_afterwards_is_that_of_a_new_run(name: str) -> None:
    wanted = load(name)
    scores, label, delta = wanted["scores_R"], wanted["best_R"], wanted["delta_R"]
    n_labels = scores.shape[1]
    spread = margin_spread(margins(scores, label), label, delta, n_labels)
    for nmads in CUTOFFS:
        again = spread.pruned_with(np.full(n_labels, nmads, float))
        np.testing.assert_array_equal(again.is_pruned, plain.prune(scores, label, delta, nmads))
        np.testing.assert_array_equal(again.is_pruned, prune(scores, label, delta, nmads=nmads).is_pruned)
    for nmads in (2, 3, 5, 100):
        np.testing.assert_array_equal(
            spread.pruned_with(np.full(n_labels, nmads, float)).is_pruned, wanted[f"pruned{nmads}"]
        )


@st.composite
def results(draw: st.DrawFn) -> Results:
    """Return scores, labels and deltas of some cells."""
    shape = draw(st.tuples(st.integers(0, 30), st.integers(1, 5)))
    values = st.sampled_from([-0.5, 0.0, 0.125, 0.25, 0.5, 0.75])
    scores = draw(arrays(np.float64, shape, elements=values))
    label = draw(arrays(np.int32, shape[0], elements=st.integers(0, shape[1] - 1)))
    delta = draw(arrays(np.float64, shape[0], elements=st.sampled_from([-0.1, 0.0, 0.1, np.nan])))
    return scores, label, delta


@given(
    found=results(), cutoffs=st.lists(st.sampled_from([0, 1, 2.5, 3, 99.9, 100, 1000, None]), min_size=5, max_size=5)
)
def test_each_label_is_pruned_as_if_its_cutoff_were_that_of_all(found: Results, cutoffs: list[float | None]) -> None:
    scores, label, delta = found
    n_labels = scores.shape[1]
    names = [f"label {place}" for place in range(n_labels)]
    per_label = dict(zip(names, cutoffs, strict=False))
    spread = margin_spread(margins(scores, label), label, delta, n_labels)
    pruned = spread.pruned_with(label_cutoffs(names, 7.0, per_label))
    for place, name in enumerate(names):
        alone = prune(scores, label, delta, nmads=per_label[name])
        own = label == place
        np.testing.assert_array_equal(pruned.is_pruned[own], alone.is_pruned[own])
        assert pruned.thresholds[place] == alone.thresholds[place]


def test_limits_of_all_labels() -> None:
    scores = np.array([[0.5, 0.1, 0.1], [0.3, 0.2, 0.2], [0.6, 0.1, 0.1], [0.1, 0.6, 0.1]])
    label, delta = np.array([0, 0, 0, 1]), np.array([0.1, 0.2, 0.01, 0.1])
    spread = margin_spread(margins(scores, label), label, delta, 3, min_diff_med=0.2, min_diff_next=0.05)
    assert spread.stands_out.tolist() == [True, False, False, True]
    assert spread.pruned_with(np.full(3, 3.0)).is_pruned.tolist() == [False, True, True, False]
    assert not spread.pruned_with(np.array([np.inf, 3.0, 3.0])).is_pruned.any()
