"""Looking into results against plain NumPy: scores of groups, margins, and the genes that put a label ahead."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from iscan_dash.core.singler import outcome as outcome_module
from iscan_dash.core.singler.classify import classify
from iscan_dash.core.singler.explain import why
from iscan_dash.core.singler.lead import contributions, pair_markers
from iscan_dash.core.singler.outcome import Outcome, group_scores, margin_histogram
from iscan_dash.core.singler.prune import margins, prune
from iscan_dash.core.singler.pseudo_bulk import pseudo_bulk
from iscan_dash.core.singler.reference import Reference
from iscan_dash.core.singler.train import train
from tests.core.singler import plain
from tests.core.singler.cases import workload
from tests.core.singler.golden import inputs, load, needs_golden

N_CELLS = 60
LABELS = ("a", "b", "c", "d")


def some_outcome(seed: int = 0, n_rows: int = N_CELLS) -> Outcome:
    """Make a result in which one cell has no marker gene."""
    random = np.random.default_rng(seed)
    scores = random.random((n_rows, len(LABELS)))
    label = random.integers(0, len(LABELS) - 1, n_rows).astype(np.int32)
    has_markers = np.ones(n_rows, bool)
    has_markers[3] = False
    return Outcome(LABELS, scores, label, random.random(n_rows), margins(scores, label), has_markers, np.arange(n_rows))


@pytest.mark.parametrize("block", [1, 40, 1_000_000])
def test_mean_scores_of_clusters(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(outcome_module, "BLOCK", block)
    outcome = some_outcome()
    codes = np.random.default_rng(1).integers(-1, 5, N_CELLS).astype(np.int8)
    codes[codes == 4] = 0
    found = group_scores(outcome, codes, 5)
    for group in range(4):
        own = (codes == group) & outcome.has_markers
        assert found.sizes[group] == own.sum()
        np.testing.assert_allclose(found.means[group], outcome.scores[own].mean(axis=0))
    assert found.sizes[4] == 0
    assert np.isnan(found.means[4]).all()


def test_groups_that_were_labelled_count_by_their_cells() -> None:
    outcome = some_outcome(n_rows=5)
    rows = np.array([0, 0, 0, 1, 2, 3, -1, 4])
    outcome = replace(outcome, rows=rows)
    codes = np.array([0, 0, 0, 0, 1, 1, 0, 1])
    found = group_scores(outcome, codes, 2)
    # Row 3 has no marker gene, and one cell has no row.
    np.testing.assert_allclose(found.means[0], (3 * outcome.scores[0] + outcome.scores[1]) / 4)
    np.testing.assert_allclose(found.means[1], (outcome.scores[2] + outcome.scores[4]) / 2)
    assert found.sizes.tolist() == [4, 2]


def test_why_a_selection_has_its_label() -> None:
    outcome = some_outcome()
    pruned = prune(outcome.scores, outcome.label, outcome.delta, nmads=0.5)
    mask = np.random.default_rng(2).random(N_CELLS) < 0.5
    mask[3] = True
    found = why(outcome, pruned, mask)
    assert found is not None
    own = mask & outcome.has_markers
    means = outcome.scores[own].mean(axis=0)
    counts = np.bincount(outcome.label[own], minlength=4)
    assert [score.code for score in found.scores] == np.argsort(-means).tolist()
    np.testing.assert_allclose([score.score for score in found.scores], np.sort(means)[::-1])
    assert [score.n_cells for score in found.scores] == [counts[score.code] for score in found.scores]
    assert found.label.code == counts.argmax()
    assert found.label.n_pruned == (own & pruned.is_pruned & (outcome.label == counts.argmax())).sum()
    others = [code for code in np.argsort(-means).tolist() if code != found.label.code]
    assert found.runner_up is not None
    assert found.runner_up.code == others[0]
    with_label = own & (outcome.label == found.label.code)
    assert found.margin == pytest.approx(outcome.margin[with_label].mean())
    assert found.delta == pytest.approx(outcome.delta[with_label].mean())
    assert found.threshold == pruned.thresholds[found.label.code]
    assert (found.n_cells, found.n_without) == (own.sum(), 1)


def test_why_one_cell_and_none() -> None:
    outcome = some_outcome()
    pruned = prune(outcome.scores, outcome.label, outcome.delta)
    found = why(outcome, pruned, np.arange(N_CELLS) == 7)
    assert found is not None
    assert found.label.code == outcome.label[7]
    assert (found.margin, found.delta) == (outcome.margin[7], outcome.delta[7])
    assert why(outcome, pruned, np.arange(N_CELLS) == 3) is None
    assert why(outcome, pruned, np.zeros(N_CELLS, bool)) is None


def test_a_single_label_has_no_runner_up() -> None:
    one = np.ones(2)
    outcome = Outcome(("a",), np.ones((2, 1)), np.zeros(2, int), one * np.nan, one * 0, one > 0, np.arange(2))
    found = why(outcome, prune(outcome.scores, outcome.label, outcome.delta), one > 0)
    assert found is not None
    assert found.runner_up is None


def test_margins_are_counted_by_label() -> None:
    outcome = some_outcome()
    found = margin_histogram(outcome, 7)
    own = outcome.margin[outcome.has_markers]
    assert (found.edges[0], found.edges[-1]) == (own.min(), own.max())
    for code in range(4):
        with_label = outcome.margin[outcome.has_markers & (outcome.label == code)]
        np.testing.assert_array_equal(found.counts[code], np.histogram(with_label, found.edges)[0])
    none = np.zeros(0, int)
    empty = Outcome(LABELS, np.zeros((0, 4)), none, none, none, none > 0, np.full(3, -1))
    assert margin_histogram(empty).counts.sum() == 0
    assert why(empty, prune(empty.scores, empty.label, empty.delta), np.ones(3, bool)) is None


class TestLead:
    @pytest.mark.parametrize("quantile", [0.0, 0.5, 0.8, 1.0])
    @pytest.mark.parametrize("is_logged", [True, False])
    def test_contributions_add_up_to_the_difference_of_the_scores(self, quantile: float, is_logged: bool) -> None:
        profiles, labels, counts = workload(12)
        names = [f"G{gene}" for gene in range(profiles.shape[1])]
        trained = train(Reference(names, profiles, labels), names)
        cells = counts.toarray()
        if is_logged:
            cells = np.log1p(cells / cells.sum(axis=1, keepdims=True) * 1e4)
        for label, other in ((0, 1), (5, 2), (8, 3)):
            pair = pair_markers(trained, label, other)
            chosen = [names.index(trained.genes[gene]) for gene in pair.genes]
            wanted = []
            for cell in cells:
                both = [trained.labels[label], trained.labels[other]]
                one, two = plain.score(cell, profiles, np.array(labels), chosen, both, quantile)
                wanted.append(one - two)
            for cell, difference in zip(cells, wanted, strict=True):
                found = contributions(trained, label, other, pair.genes, cell[None, chosen], quantile)
                assert found.sum() == pytest.approx(difference, abs=1e-12)
            together = contributions(trained, label, other, pair.genes, cells[:, chosen], quantile)
            assert together.sum() == pytest.approx(np.mean(wanted), abs=1e-12)
            back = contributions(trained, other, label, pair.genes, cells[:, chosen], quantile)
            np.testing.assert_allclose(back, -together, atol=1e-15)

    def test_markers_are_those_of_both_directions(self) -> None:
        profiles, labels, _ = workload(1)
        names = [f"G{gene}" for gene in range(profiles.shape[1])]
        trained = train(Reference(names, profiles, labels), names)
        pair = pair_markers(trained, 2, 4)
        assert pair.genes[pair.is_up].tolist() == trained.markers.of(2, 4).tolist()
        assert pair.genes[~pair.is_up].tolist() == trained.markers.of(4, 2).tolist()
        twice = train(Reference(names, profiles, labels), names, markers=dict.fromkeys(trained.labels, names[:3]))
        assert pair_markers(twice, 0, 1).genes.tolist() == [0, 1, 2]

    def test_what_does_not_vary_decides_nothing(self) -> None:
        profiles, labels, _ = workload(1)
        names = [f"G{gene}" for gene in range(profiles.shape[1])]
        trained = train(Reference(names, profiles, labels), names)
        genes = pair_markers(trained, 0, 1).genes
        assert not contributions(trained, 0, 1, genes, np.zeros((2, len(genes)))).any()
        assert contributions(trained, 0, 1, genes[:0], np.zeros((2, 0))).tolist() == []
        assert not contributions(trained, 0, 1, genes, np.zeros((0, len(genes)))).any()


@needs_golden
@pytest.mark.parametrize("name", ["p68pb", "mini_bp_main"])
def test_where_two_labels_were_left_the_contributions_are_singlers_delta(name: str) -> None:
    reference, query = inputs(name)
    wanted = load(name)
    trained = train(reference, query.genes)
    found = classify(trained, query)
    first = found.first.scores
    column = [found.labels.index(label) for label in wanted["labels"]]
    matrix = next(query.blocks())
    # Exactly two labels within the threshold of the best: fine-tuning had one round, with these two.
    two = np.flatnonzero((first >= first.max(axis=1, keepdims=True) - 0.05).sum(axis=1) == 2)
    assert len(two) > 3
    for cell in two[:40]:
        label = column[wanted["best_R"][cell]]
        other = next(code for code in np.argsort(-first[cell])[:2].tolist() if code != label)
        genes = pair_markers(trained, label, other).genes
        values = sparse.csr_array(matrix[[int(cell)]]).toarray()[:, trained.columns[genes]]
        lead = contributions(trained, label, other, genes, values).sum()
        assert lead == pytest.approx(wanted["delta_R"][cell], abs=1e-12)


@needs_golden
def test_clusters_are_explained_by_their_mean_profile() -> None:
    reference, query = inputs("p68pb")
    wanted = load("p68pb")
    codes = np.random.default_rng(0).integers(0, 3, query.n_cells)
    bulk = pseudo_bulk(query, codes, 3)
    found = classify(train(reference, query.genes), bulk.query)
    first, tuned = found.first, found.tuned
    margin = margins(first.scores, tuned.label)
    outcome = Outcome(found.labels, first.scores, tuned.label, tuned.delta, margin, first.detected > 0, codes)
    assert set(found.labels) == set(wanted["labels"])
    for group in range(3):
        reason = why(outcome, found.pruned, codes == group)
        assert reason is not None
        assert reason.label.code == tuned.label[group]
        assert reason.margin == pytest.approx(margin[group])
        np.testing.assert_allclose([own.score for own in reason.scores], np.sort(first.scores[group])[::-1])
