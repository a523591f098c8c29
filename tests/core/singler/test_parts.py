from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from iscan_dash.core.engine.query import Query
from iscan_dash.core.singler.classify import classify
from iscan_dash.core.singler.genes import match_genes
from iscan_dash.core.singler.prune import prune
from iscan_dash.core.singler.pseudo_bulk import pseudo_bulk
from iscan_dash.core.singler.reference import Reference
from iscan_dash.core.singler.train import train
from iscan_dash.core.singler.warm_up import is_warm, warm_up
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.errors import IscanError
from tests.core.singler import plain
from tests.core.singler.cases import workload


def reference(genes: list[str | None], values: object = None) -> Reference:
    table = np.arange(2.0 * len(genes)).reshape(2, -1) if values is None else np.array(values, float)
    return Reference(genes, table, ["a", "b"])


def test_the_first_of_repeated_names_counts_on_both_sides() -> None:
    rows, columns = match_genes(reference(["A", "B", "A", None, "C"]), ["C", None, "B", "A", "B", "a"])

    assert rows.tolist() == [0, 1, 4]
    assert columns.tolist() == [3, 2, 0]


def test_a_gene_with_nan_is_dropped_and_its_second_row_takes_its_place() -> None:
    rows, _ = match_genes(reference(["A", "B", "A"], [[np.nan, 1, 2], [0, np.inf, 2]]), ["A", "B"])

    assert rows.tolist() == [1, 2]


def test_no_common_genes_are_refused_with_examples_of_both() -> None:
    with pytest.raises(IscanError, match=r"no gene in common.*\(ENSG1 here, CD3D in the reference\)"):
        train(reference([None, "CD3D"]), ["ENSG1", None])


@pytest.mark.parametrize(
    ("values", "labels", "reason"),
    [
        (np.zeros((2, 3)), ["a"], "does not fit together: 1 labels and 3 gene names for a matrix of 2 x 3"),
        (np.zeros((2, 3), int), ["a", "b"], "values of type int64"),
        (np.zeros((2, 3)), [None, None], "No profile of the reference has a label"),
    ],
)
def test_references_that_do_not_fit_are_refused(values: np.ndarray, labels: list[str], reason: str) -> None:
    with pytest.raises(IscanError, match=reason):
        Reference(["A", "B", "C"], values, labels)


def test_profiles_without_a_label_are_not_used() -> None:
    values = np.array([[1.0, 0], [0, 1], [9, 9]])
    with_, without = (
        train(Reference(["A", "B"], values[:n], labels), ["A", "B"])
        for n, labels in ((3, ["a", "b", None]), (2, ["a", "b"]))
    )

    assert with_.labels == ("a", "b")
    assert np.array_equal(with_.arrays.profiles.ranks, without.arrays.profiles.ranks)


@pytest.mark.parametrize("markers", [{"a": ["A"]}, {"a": {"b": ["A"]}, "b": {}}])
def test_markers_must_be_given_for_every_label_and_pair(markers: dict) -> None:
    with pytest.raises(IscanError, match="no entry"):
        train(reference(["A", "B"]), ["A", "B"], markers=markers)


def test_cells_without_a_marker_have_a_reason() -> None:
    profiles, labels, counts = workload(30)
    genes = [f"gene {number}" for number in range(counts.shape[1])]
    counts = sparse.csr_array(sparse.vstack([counts, sparse.csr_array((1, counts.shape[1]), dtype=np.float32)]))
    found = classify(train(Reference(genes, profiles, labels), genes), Query.of(genes, counts))

    assert found.first.detected[-1] == 0
    assert (found.first.scores[-1] == 0.5).all()
    assert found.tuned.delta[-1] == 0
    assert found.assigned()[-1] == -1
    assert found.reason(30) == "no marker genes detected"
    assert {found.reason(cell) for cell in np.flatnonzero(found.assigned() >= 0)} == {""}


def test_a_cutoff_of_a_hundred_prunes_nothing_even_where_the_formula_would() -> None:
    scores = np.zeros((6, 3))
    scores[:, 0] = [0.5, 0.5, 0.5, 0.5, 0.49, 0.2]
    arguments = scores, np.zeros(6, int), np.full(6, 0.1)

    assert prune(*arguments, nmads=99.9).is_pruned.tolist() == [False] * 4 + [True] * 2
    for nmads in (100, 1000, np.inf, None):
        assert not prune(*arguments, nmads=nmads).is_pruned.any()


def test_a_label_with_one_cell_is_never_pruned_but_by_the_fixed_limits() -> None:
    scores = np.array([[0.1, 0.9, 0.9], [0.8, 0.1, 0.1]])
    arguments = scores, np.array([0, 0]), np.array([0.0, 0.2])

    assert not prune(scores[:1], np.array([0]), np.array([0.0])).is_pruned.any()
    assert prune(*arguments, min_diff_med=0.0).is_pruned.tolist() == [True, False]
    assert prune(*arguments, min_diff_next=0.1).is_pruned.tolist() == [True, False]


@given(seed=st.integers(0, 1000), nmads=st.sampled_from([0, 1, 2, 3.5]))
def test_pruning_is_the_plain_formula(seed: int, nmads: float) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random((rng.integers(0, 30), 4)).round(1)
    label, delta = rng.integers(0, 4, len(scores)), rng.random(len(scores))

    assert (
        prune(scores, label, delta, nmads=nmads).is_pruned.tolist() == plain.prune(scores, label, delta, nmads).tolist()
    )


@pytest.mark.parametrize("kind", [MatrixKind.COUNTS, MatrixKind.LOG1P, MatrixKind.NORMALISED])
@pytest.mark.parametrize("is_sparse", [True, False])
def test_clusters_are_means_of_log_values(kind: MatrixKind, is_sparse: bool) -> None:
    counts = workload(40)[2]
    counts = sparse.csr_array(sparse.vstack([counts, sparse.csr_array((1, 300), dtype=np.float32)]))
    dense = counts.toarray().astype(np.float64)
    codes = np.random.default_rng(0).integers(-1, 4, 41)
    codes[codes == 2] = 0
    genes = [f"gene {number}" for number in range(300)]
    given_ = counts if is_sparse else counts.toarray()

    def blocks():
        return iter([given_[:7], given_[7:]])

    bulk = pseudo_bulk(Query(genes, 41, blocks, kind), codes, 6)
    if kind is MatrixKind.COUNTS:
        dense = np.log1p(dense / np.maximum(dense.sum(axis=1, keepdims=True), 1) * 1e4)
    elif kind is MatrixKind.NORMALISED:
        dense = np.log1p(dense)
    wanted = np.array([dense[codes == cluster].mean(axis=0) for cluster in (0, 1, 3)])

    assert bulk.clusters.tolist() == [0, 1, 3]
    assert bulk.sizes.tolist() == [(codes == cluster).sum() for cluster in range(6)]
    assert np.allclose(next(bulk.query.blocks()), wanted, rtol=1e-6)


def test_clusters_of_scaled_or_missing_values_are_refused() -> None:
    with pytest.raises(IscanError, match="looks scaled"):
        pseudo_bulk(Query.of(["A"], np.ones((2, 1)), MatrixKind.SCALED), np.zeros(2, int), 1)
    with pytest.raises(IscanError, match="missing values"):
        pseudo_bulk(Query.of(["A"], np.array([[np.nan]])), np.zeros(1, int), 1)


def test_warming_up_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    monkeypatch.setattr(import_module("iscan_dash.core.singler.warm_up"), "CACHE_FOLDER", tmp_path)
    assert not is_warm()
    warm_up()
    assert is_warm()
