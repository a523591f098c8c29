import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import spearmanr

from iscan_dash.core.engine.query import Query
from iscan_dash.core.singler.classify import classify
from iscan_dash.core.singler.fine_tune import fine_tune
from iscan_dash.core.singler.first_pass import first_pass
from iscan_dash.core.singler.reference import Reference
from iscan_dash.core.singler.train import train
from iscan_dash.core.study.matrices import MatrixKind
from tests.core.singler import plain
from tests.core.singler.cases import problems, workload

Problem = tuple[np.ndarray, list[str], np.ndarray]


def names(n_genes: int) -> list[str]:
    return [f"gene {number}" for number in range(n_genes)]


@settings(max_examples=150)
@given(
    problem=problems(),
    quantile=st.sampled_from([0.8, 0.8, 0.0, 0.5, 1.0]),
    threshold=st.sampled_from([0.05, 0.05, 0.0, 0.3, None]),
    n_markers=st.sampled_from([None, 1, 2, 3]),
    is_sparse=st.booleans(),
)
def test_the_engine_is_the_plain_algorithm_to_the_last_bit(
    problem: Problem, quantile: float, threshold: float | None, n_markers: int | None, is_sparse: bool
) -> None:
    profiles, labels, cells = problem
    genes = names(profiles.shape[1])
    query = Query.of(genes, sparse.csr_array(cells) if is_sparse else cells, MatrixKind.LOG)
    trained = train(Reference(genes, profiles, labels), genes, n_markers=n_markers)
    found = classify(trained, query, quantile=quantile, threshold=threshold)
    wanted = plain.classify(cells, profiles, np.array(labels), quantile, threshold, n_markers)

    assert found.labels == tuple(sorted(set(labels)))
    if len(cells):
        assert np.array_equal(found.first.scores, wanted["scores"])
        assert np.array_equal(found.first.delta, wanted["first_delta"], equal_nan=True)
        assert found.first.label.tolist() == wanted["first"].tolist()
        assert found.tuned.label.tolist() == wanted["label"].tolist()
        assert np.array_equal(found.tuned.delta, wanted["delta"], equal_nan=True)
    used = [genes.index(name) for name in trained.genes]
    assert found.first.detected.tolist() == (cells[:, used] != 0).sum(axis=1).tolist()
    pruned = plain.prune(found.first.scores, found.tuned.label, found.tuned.delta, 3)
    assert found.pruned.is_pruned.tolist() == pruned.tolist()


@pytest.mark.parametrize("is_sparse", [True, False])
def test_a_larger_one_with_several_rounds(is_sparse: bool) -> None:
    profiles, labels, counts = workload(25)
    genes = names(profiles.shape[1])
    matrix = counts if is_sparse else counts.toarray()
    trained = train(Reference(genes, profiles, labels), genes)
    query = Query.of(genes, matrix, MatrixKind.COUNTS)
    found = classify(trained, query, threshold=0.2)
    wanted = plain.classify(counts.toarray(), profiles, np.array(labels), threshold=0.2)

    assert np.array_equal(found.first.scores, wanted["scores"])
    assert found.tuned.label.tolist() == wanted["label"].tolist()
    assert np.array_equal(found.tuned.delta, wanted["delta"])
    assert (found.tuned.delta != found.first.delta).sum() > 8, "few cells were fine-tuned"


def test_the_plain_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = rng.integers(0, 6, (2, 30)).astype(float)
        assert abs(plain.correlation(a, b) - spearmanr(a, b).statistic) < 1e-14


@pytest.mark.parametrize("quantile", [0.0, 0.33, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("n_values", [1, 2, 3, 6, 11, 25])
def test_the_plain_quantile_is_numpys_linear_one(n_values: int, quantile: float) -> None:
    values = np.random.default_rng(n_values).random(n_values)

    assert abs(plain.upper_quantile(values.tolist(), quantile) - np.quantile(values, quantile)) < 1e-14


def test_a_cell_equal_to_a_profile_scores_one() -> None:
    profiles, labels, _ = workload(1)
    genes = names(profiles.shape[1])
    trained = train(Reference(genes, profiles, labels), genes)
    found = classify(trained, Query.of(genes, profiles), quantile=1.0)

    assert np.allclose(found.first.scores.max(axis=1), 1.0, rtol=0, atol=1e-15)
    assert [found.labels[code] for code in found.first.label] == labels


def test_any_rising_change_of_a_cells_values_leaves_its_results() -> None:
    profiles, labels, counts = workload(50)
    genes = names(profiles.shape[1])
    trained = train(Reference(genes, profiles, labels), genes)
    logged = counts.copy()
    logged.data = np.log1p(logged.data / 7).astype(np.float32)
    whole = counts.astype(np.int64)
    results = [
        classify(trained, Query.of(genes, matrix, kind))
        for matrix, kind in (
            (counts, MatrixKind.COUNTS),
            (logged, MatrixKind.LOG1P),
            (whole, MatrixKind.COUNTS),
            (counts.astype(np.float64).toarray(), MatrixKind.COUNTS),
            (np.asfortranarray(counts.toarray()), MatrixKind.COUNTS),
        )
    ]

    for other in results[1:]:
        assert np.array_equal(other.first.scores, results[0].first.scores)
        assert np.array_equal(other.tuned.label, results[0].tuned.label)
        assert np.array_equal(other.tuned.delta, results[0].tuned.delta)


def test_another_threshold_uses_the_same_first_pass() -> None:
    profiles, labels, counts = workload(80)
    genes = names(profiles.shape[1])
    query = Query.of(genes, counts)
    trained = train(Reference(genes, profiles, labels), genes)
    first = first_pass(trained, query)
    for threshold in (0.0, 0.02, 0.1, 1.0):
        tuned = fine_tune(trained, query, first, threshold=threshold)
        whole = classify(trained, query, threshold=threshold)
        assert np.array_equal(tuned.label, whole.tuned.label)
        assert np.array_equal(tuned.delta, whole.tuned.delta)
