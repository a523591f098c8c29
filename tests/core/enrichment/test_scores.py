"""Scores beside the plain definitions, the table of edge cases, and what scores must not depend on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from iscan_dash.core.engine.control import Cancelled, Control
from iscan_dash.core.engine.query import Query
from iscan_dash.core.enrichment.method import Method
from iscan_dash.core.enrichment.scores import ARRAYS, SetScores
from iscan_dash.core.enrichment.scoring import score_sets
from iscan_dash.core.enrichment.sets import MatchedSet
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.errors import EnrichmentRefused
from tests.core.enrichment import plain

SEEDS = st.integers(0, 10_000)
METHODS = list(Method)


def cells(seed: int, n_cells: int = 9, n_genes: int = 80) -> np.ndarray:
    """Log values with ties, and an empty cell."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.4, 2.0, n_genes), (n_cells, n_genes))
    counts[0] = 0
    return np.log1p(counts).astype(np.float32 if seed % 2 else np.float64)


def sets_of(seed: int, n_genes: int = 80, n_sets: int = 6) -> list[MatchedSet]:
    """Sets of all sizes: with genes that were not found, genes against them, and one without genes."""
    rng = np.random.default_rng(seed)
    found = [MatchedSet("none", np.zeros(0, np.int64), 3), MatchedSet("all", np.arange(n_genes), n_genes)]
    for number in range(n_sets):
        genes = rng.choice(n_genes, rng.integers(1, n_genes // 2), replace=False)
        signs = np.where(rng.random(len(genes)) < 0.3, -1.0, 1.0) if number % 3 == 0 else np.ones(len(genes))
        n_up, n_down = int((signs > 0).sum()), int((signs < 0).sum())
        found.append(MatchedSet(f"set {number}", genes, n_up + number, n_down + (n_down > 0), signs))
    return found


def query_of(values: np.ndarray, is_sparse: bool = True, kind: MatrixKind = MatrixKind.LOG1P) -> Query:
    names = [f"gene{number}" for number in range(values.shape[1])]
    return Query.of(names, sparse.csr_array(values) if is_sparse else values, kind)


def same(one: SetScores, other: SetScores) -> bool:
    """Whether all results are equal to the last bit."""
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in ARRAYS)


@given(seed=SEEDS, max_rank=st.sampled_from([2, 5, 30, 80, 1500]), is_sparse=st.booleans())
def test_ucell_is_the_plain_definition(seed: int, max_rank: int, is_sparse: bool) -> None:
    values, sets = cells(seed), sets_of(seed)
    scores = score_sets(query_of(values, is_sparse), sets, max_rank=max_rank)
    m = min(max_rank, values.shape[1])

    assert scores.max_rank == m
    for number, own in enumerate(sets):
        if own.is_empty:
            assert np.isnan(scores.score[number]).all()
            continue
        wanted = [plain.signed_score(cell, own, m) for cell in values]
        assert np.allclose(scores.score[number], wanted, rtol=1e-13, atol=1e-15)
        assert (scores.score[number] >= 0).all() and (scores.score[number] <= 1).all()
        if len(own.up):
            assert np.allclose(scores.expression[number], values[:, own.up].mean(axis=1), rtol=1e-6)
            assert scores.detected[number].tolist() == (values[:, own.up] > 0).sum(axis=1).tolist()
            p = [plain.competitive(cell, own.up.tolist(), m) for cell in values]
            assert np.allclose(scores.minus_log10_p[number], p, rtol=1e-5, atol=1e-5)


@given(seed=SEEDS)
def test_aucell_and_ulm_are_the_plain_definitions(seed: int) -> None:
    values, sets = cells(seed), sets_of(seed)[1:]
    aucell, ulm = (score_sets(query_of(values), sets, method) for method in (Method.AUCELL, Method.ULM))
    for number, own in enumerate(sets):
        if not own.n_down:
            wanted = [plain.rank_score(cell, own.columns, own.n_found, 4, True) for cell in values]
            assert np.allclose(aucell.score[number], wanted, rtol=1e-12)
        assert np.allclose(
            ulm.score[number], [plain.ulm(cell, own) for cell in values.astype(float)], rtol=1e-7, atol=1e-9
        )


@given(seed=SEEDS)
def test_module_scores_are_means_less_those_of_controls(seed: int) -> None:
    from iscan_dash.core.enrichment.module import bins_of, choose_controls

    values = cells(seed, n_genes=400).astype(float)
    sets = [own for own in sets_of(seed, 400) if not own.n_down and own.n_found < 390]
    scores = score_sets(query_of(values), sets, Method.MODULE, seed=seed)
    bins = bins_of(values.mean(axis=0))
    for number, own in enumerate(sets):
        if own.is_empty:
            assert np.isnan(scores.score[number]).all()
            continue
        controls = choose_controls(bins, own.columns, seed)
        wanted = values[:, own.columns].mean(axis=1) - values[:, controls].mean(axis=1)
        assert np.allclose(scores.score[number], wanted, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS)
def test_scores_do_not_depend_on_blocks_threads_storage_or_other_sets(method: Method, seed: int) -> None:
    values, sets = cells(seed, 60), sets_of(seed)
    whole = query_of(values)
    wanted = score_sets(whole, sets, method)
    ends = [*np.sort(np.random.default_rng(seed).integers(0, 60, 3)).tolist(), 60]

    def blocks() -> Iterator[sparse.csr_array]:
        for start, end in zip([0, *ends], ends, strict=False):
            yield sparse.csr_array(values[start:end])

    cut = Query(whole.genes, 60, blocks, whole.kind)
    assert same(score_sets(cut, sets, method, threads=3), wanted)
    assert same(score_sets(query_of(values, is_sparse=False), sets, method, threads=2), wanted)
    turned = score_sets(whole, sets[::-1], method)
    assert np.array_equal(turned.score[::-1], wanted.score, equal_nan=True)
    assert np.array_equal(turned.minus_log10_p[::-1], wanted.minus_log10_p, equal_nan=True)


@pytest.mark.parametrize("method", [Method.UCELL, Method.AUCELL, Method.ULM])
@given(seed=SEEDS)
def test_scores_of_a_cell_do_not_depend_on_other_cells(method: Method, seed: int) -> None:
    values, sets = cells(seed), sets_of(seed)
    wanted = score_sets(query_of(values), sets, method)
    few = score_sets(query_of(values[[4, 0, 7]]), sets, method)
    assert np.array_equal(few.score, wanted.score[:, [4, 0, 7]], equal_nan=True)
    assert np.array_equal(few.minus_log10_p, wanted.minus_log10_p[:, [4, 0, 7]], equal_nan=True)


@pytest.mark.parametrize("method", [Method.UCELL, Method.AUCELL])
@given(seed=SEEDS)
def test_scores_do_not_depend_on_the_order_of_genes(method: Method, seed: int) -> None:
    values, sets = cells(seed), sets_of(seed)
    order = np.random.default_rng(seed).permutation(values.shape[1])
    place = np.argsort(order)
    moved = [MatchedSet(own.name, place[own.columns], own.n_up, own.n_down, own.signs) for own in sets]
    one, other = score_sets(query_of(values), sets, method), score_sets(query_of(values[:, order]), moved, method)
    assert np.allclose(one.score, other.score, rtol=1e-12, equal_nan=True)
    assert np.array_equal(one.detected, other.detected)


@given(seed=SEEDS, gene=st.integers(0, 79))
def test_a_higher_gene_of_a_set_never_lowers_its_score(seed: int, gene: int) -> None:
    values = cells(seed).astype(float)
    own = [MatchedSet("set", np.unique([gene, 3, 50]), 4)]
    higher = values.copy()
    higher[:, gene] += 1.5
    for method in (Method.UCELL, Method.AUCELL):
        before, after = (score_sets(query_of(each), own, method).score for each in (values, higher))
        assert (after >= before - 1e-12).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint8])
def test_depth_does_not_change_ucell(dtype: type) -> None:
    """Counts, normalised and log values give the same scores."""
    counts = np.random.default_rng(0).poisson(1.0, (7, 60)).astype(dtype)
    sets = sets_of(1, 60)
    wanted = score_sets(query_of(counts, kind=MatrixKind.COUNTS), sets)
    total = counts.sum(axis=1, keepdims=True)
    normalised = counts / total * 1e4
    for values, kind in ((normalised, MatrixKind.NORMALISED), (np.log1p(normalised), MatrixKind.LOG1P)):
        found = score_sets(query_of(values, kind=kind), sets)
        assert np.array_equal(found.score, wanted.score, equal_nan=True)
        assert np.array_equal(found.minus_log10_p, wanted.minus_log10_p, equal_nan=True)
        assert np.allclose(found.expression, wanted.expression, rtol=1e-6, equal_nan=True)


def test_more_genes_than_ranks_stay_in_bounds() -> None:
    values = np.linspace(1, 9, 50)[None]
    scores = score_sets(query_of(values), [MatchedSet("wide", np.arange(50), 90)], max_rank=10)
    assert scores.score.tolist() == [[1.0]]


def test_single_genes_and_small_matrices() -> None:
    for n_genes in (1, 2, 3):
        values = np.ones((2, n_genes))
        for method in METHODS:
            scores = score_sets(query_of(values), [MatchedSet("one", np.array([0]), 1)], method)
            assert not np.isinf(scores.score).any()
            assert (np.nan_to_num(scores.score) <= 1).all()


def test_empty_cells_and_stored_zeros_score_nothing() -> None:
    matrix = sparse.csr_array(np.array([[1.0, 1, 1], [0, 0, 0], [2, 1, 0]]))
    matrix.data[:3] = 0
    for method in (Method.UCELL, Method.AUCELL, Method.ULM):
        scores = score_sets(Query.of(["a", "b", "c"], matrix), [MatchedSet("set", np.array([0, 1]), 2)], method)
        assert scores.score[0, :2].tolist() == [0, 0]
        assert scores.detected.tolist() == [[0, 0, 2]]
        assert scores.minus_log10_p[0, :2].tolist() == [0, 0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("is_sparse", [True, False])
def test_missing_values_are_read_as_zeros_and_counted(method: Method, is_sparse: bool) -> None:
    values, sets = cells(3, n_genes=90).astype(float), sets_of(3, 90)
    broken = values.copy()
    broken[1, 5], broken[2, 6], broken[8, 80] = np.nan, np.inf, -np.inf
    values[1, 5], values[2, 6], values[8, 80] = 0, 0, 0
    found = score_sets(query_of(broken, is_sparse), sets, method)

    assert found.n_not_finite == 3
    assert same(found, score_sets(query_of(values, is_sparse), sets, method))


@pytest.mark.parametrize("method", METHODS)
def test_negative_values_are_refused(method: Method) -> None:
    values = cells(2)
    values[4, 7] = -0.5
    sets = sets_of(2)
    for query in (query_of(values), query_of(values, False), query_of(cells(2), kind=MatrixKind.SCALED)):
        with pytest.raises(EnrichmentRefused, match=r"looks scaled \(negative values\)") as caught:
            score_sets(query, sets, method)
        assert caught.value.code == "E15"


def test_settings_that_make_no_sense_are_refused() -> None:
    query, some = query_of(cells(1)), sets_of(1)
    for sets, options, code in (([], {}, "E51"), (some[:1], {}, "E52"), (some, {"max_rank": 1}, "")):
        with pytest.raises(EnrichmentRefused) as caught:
            score_sets(query, sets, **options)
        assert caught.value.code == code
    with pytest.raises(EnrichmentRefused, match="no cells"):
        score_sets(query_of(np.zeros((0, 80))), some)
    with pytest.raises(EnrichmentRefused, match="does not have"):
        score_sets(query, [MatchedSet("far", np.array([80]), 1)])
    for columns, n_up in (([1, 1], 2), ([1, 2], 1)):
        with pytest.raises(ValueError, match=r"gene|genes"):
            MatchedSet("set", np.array(columns), n_up)


def test_repeated_and_unsorted_entries_are_their_sum() -> None:
    data, columns = np.array([1.0, 2, 3, 4]), np.array([2, 0, 2, 1])
    matrix = sparse.csr_array((data, columns, np.array([0, 4])), shape=(1, 4))
    sets = [MatchedSet("set", np.array([2, 3]), 2)]
    found = score_sets(Query.of(list("abcd"), matrix), sets)
    assert same(found, score_sets(query_of(np.array([[2.0, 4, 4, 0]])), sets))
    assert matrix.nnz == 4


def test_names_are_matched_exactly_and_the_first_counts() -> None:
    own = MatchedSet.of("set", ["B", "B", "x", "A"], ["A", "B", "A", None])
    assert (own.columns.tolist(), own.n_requested, own.n_found, own.is_empty) == ([1, 0], 3, 2, False)
    assert own.coverage == pytest.approx(2 / 3)


@pytest.mark.parametrize("method", METHODS)
def test_results_are_kept_in_a_folder(tmp_path: Path, method: Method) -> None:
    query, sets = query_of(cells(5)), sets_of(5)
    wanted = score_sets(query, sets, method, seed=4)
    written = score_sets(query, sets, method, seed=4, folder=tmp_path / "a" / "b")
    wanted.save(tmp_path / "c")
    for folder in (tmp_path / "a" / "b", tmp_path / "c"):
        found = SetScores.open(folder)
        assert same(found, wanted) and same(written, wanted)
        assert (found.method, found.n_genes, found.max_rank, found.seed) == (method, 80, wanted.max_rank, 4)
        assert [(own.name, own.n_up, own.n_down) for own in found.sets] == [
            (own.name, own.n_up, own.n_down) for own in sets
        ]
        assert all(np.array_equal(one.columns, other.columns) for one, other in zip(found.sets, sets, strict=True))
        assert all(np.array_equal(one.signs, other.signs) for one, other in zip(found.sets, sets, strict=True))


def test_what_was_cancelled_leaves_no_results(tmp_path: Path) -> None:
    score_sets(query_of(cells(5)), sets_of(5), folder=tmp_path)
    with pytest.raises(Cancelled):
        score_sets(query_of(cells(5)), sets_of(5), folder=tmp_path, control=Control(is_cancelled=lambda: True))
    with pytest.raises(FileNotFoundError):
        SetScores.open(tmp_path)


def test_progress_is_told_in_order() -> None:
    told: list[tuple[str, int, int]] = []
    control = Control(progress=lambda *step: told.append(step))
    score_sets(query_of(cells(1, 50)), sets_of(1), Method.MODULE, control=control)
    assert told[0] == ("average", 0, 50)
    assert told[-1] == ("score", 50, 50)
    for name in ("average", "score"):
        done = [step[1] for step in told if step[0] == name]
        assert done == sorted(done)
