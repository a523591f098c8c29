"""Doubts of cells against the plain definition, and what they add up to."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.review import cell_doubts, cell_labels, group_doubts, usual_labels
from iscan_dash.core.singler.outcome import Outcome
from iscan_dash.core.singler.prune import margins, prune

LABELS = ("a", "b", "c")


def some_outcome(random: np.random.Generator, n_rows: int, n_cells: int) -> Outcome:
    scores = random.normal(0.5, 0.1, (n_rows, 3))
    label = scores.argmax(axis=1).astype(np.int32)
    delta = np.abs(random.normal(0.04, 0.03, n_rows))
    rows = random.integers(-1, n_rows, n_cells)
    return Outcome(LABELS, scores, label, delta, margins(scores, label), random.random(n_rows) < 0.9, rows)


@given(seed=st.integers(0, 10_000), n_rows=st.integers(1, 30), n_cells=st.integers(0, 60))
def test_doubts_are_as_defined(seed: int, n_rows: int, n_cells: int) -> None:
    random = np.random.default_rng(seed)
    outcome = some_outcome(random, n_rows, n_cells)
    pruned = prune(outcome.scores, outcome.label, outcome.delta, nmads=1)
    clusters = random.integers(-1, 4, n_cells).astype(np.int8)
    labels = cell_labels(outcome)
    doubts = cell_doubts(outcome, pruned, clusters)
    for cell, row in enumerate(outcome.rows.tolist()):
        if row < 0:
            assert np.isnan(doubts[cell])
            assert labels[cell] == -1
            continue
        assert labels[cell] == (outcome.label[row] if outcome.has_markers[row] else -1)
        own = [labels[other] for other in np.flatnonzero(clusters == clusters[cell]) if labels[other] >= 0]
        usual = max(range(3), key=own.count) if own else -1
        differs = clusters[cell] >= 0 and labels[cell] != usual
        if pruned.is_pruned[row] or not outcome.has_markers[row] or differs:
            assert doubts[cell] == 1
        else:
            assert doubts[cell] == max(0, 1 - outcome.delta[row] / 0.05)

    found = group_doubts(clusters, doubts, 5)
    for cluster in range(5):
        own_doubts = doubts[(clusters == cluster) & ~np.isnan(doubts)]
        assert found.sizes[cluster] == len(own_doubts)
        np.testing.assert_allclose(found.in_doubt[cluster], own_doubts.sum(), atol=1e-9)
    assert sorted(found.order.tolist()) == np.flatnonzero(found.sizes).tolist()
    assert (np.diff(found.in_doubt[found.order]) <= 1e-6).all()


def test_a_single_label_is_in_no_doubt() -> None:
    one = np.ones(2)
    outcome = Outcome(("a",), np.ones((2, 1)), np.zeros(2, int), one * np.nan, one * 0, one > 0, np.arange(2))
    pruned = prune(outcome.scores, outcome.label, outcome.delta)
    assert cell_doubts(outcome, pruned, np.array([0, -1])).tolist() == [0, 0]


def test_no_cell_was_labelled() -> None:
    none = np.zeros(0, np.int32)
    outcome = Outcome(("a",), np.zeros((0, 1)), none, none * 1.0, none * 1.0, none > 0, np.full(3, -1))
    pruned = prune(outcome.scores, outcome.label, outcome.delta)
    assert np.isnan(cell_doubts(outcome, pruned, np.zeros(3, int))).all()
    assert cell_labels(outcome).tolist() == [-1] * 3
    assert group_doubts(np.zeros(3, int), np.full(3, np.nan), 1).order.tolist() == []
    assert usual_labels(np.full(3, -1), np.zeros(3, int), 2).tolist() == []
