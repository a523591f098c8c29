"""Statistics of groups beside SciPy, and the table of edge cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from iscan_dash.core.enrichment.group_table import GroupTable, adjust, group_table, p_text, pick_best
from iscan_dash.core.enrichment.method import COLUMN_TEXT, Method
from iscan_dash.core.enrichment.rank_sums import rank_scores
from iscan_dash.core.enrichment.scores import SetScores
from iscan_dash.core.enrichment.scoring import score_sets
from iscan_dash.core.enrichment.sets import MatchedSet
from tests.core.enrichment import plain
from tests.core.enrichment.test_scores import cells, query_of, sets_of

SEEDS = st.integers(0, 10_000)


def scores_of(score: np.ndarray) -> SetScores:
    """Scores as given, for sets of one gene each."""
    score = np.atleast_2d(np.asarray(score, np.float64))
    sets = tuple(MatchedSet(str(number), np.array([number]), 1) for number in range(len(score)))
    rest = np.zeros(score.shape, np.float32), np.zeros(score.shape, np.uint16), np.zeros(score.shape, np.float32)
    return SetScores(Method.UCELL, sets, len(score), 2, 0, 0, score, *rest)


@pytest.mark.parametrize("threads", [1, 3])
@given(seed=SEEDS)
def test_the_table_is_the_brute_force_one(threads: int, seed: int) -> None:
    values = cells(seed, 40).astype(float)
    sets = [own for own in sets_of(seed) if not own.n_down]
    scores = score_sets(query_of(values), sets)
    codes = np.random.default_rng(seed).integers(0, 4, 40)
    codes[:4] = range(4)
    table = group_table(scores, codes, 4, threads=threads)
    wanted = plain.table(scores.score, values, [own.columns for own in sets], codes)
    for key in wanted[0]:
        found = getattr(table, key).ravel()
        assert np.allclose(found, [row[key] for row in wanted], rtol=1e-6, atol=1e-7, equal_nan=True), key
    for group in range(4):
        own = scores.minus_log10_p[:, codes == group].mean(axis=1)
        assert np.allclose(table.average_minus_log10_p[group], own, rtol=1e-5, equal_nan=True)


@given(seed=SEEDS, n_values=st.sampled_from([1, 2, 5, 1000]), shift=st.floats(-2, 2))
def test_the_test_is_that_of_scipy(seed: int, n_values: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, rng.integers(8, 400))
    values = rng.integers(0, n_values, len(codes)) / n_values + shift * codes * (n_values > 1)
    table = group_table(scores_of(values), codes, 2)
    own, rest = values[codes == 0], values[codes == 1]
    if len(own) < 3 or len(rest) < 3:
        assert np.isnan(table.minus_log10_p).all()
        return
    if np.ptp(values) == 0:
        assert table.p.tolist() == [[1.0], [1.0]]
        assert table.auc.tolist() == [[0.5], [0.5]]
        return
    wanted = stats.mannwhitneyu(own, rest, alternative="greater", method="asymptotic")
    assert table.p[0, 0] == pytest.approx(wanted.pvalue, rel=1e-10)
    assert table.auc[0, 0] == pytest.approx(wanted.statistic / len(own) / len(rest), rel=1e-12)
    assert table.auc.sum() == pytest.approx(1.0)
    if n_values > 1:
        assert table.difference[0, 0] == pytest.approx(own.mean() - rest.mean(), abs=1e-12)


def test_p_never_underflows() -> None:
    codes = (np.arange(30_000) < 9_000).astype(int)
    table = group_table(scores_of(codes + np.linspace(0, 0.5, 30_000)), codes, 2)
    n1, n2 = 9_000.0, 21_000.0
    z = (n1 * n2 / 2 - 0.5) / math.sqrt(n1 * n2 / 12 * 30_001)
    assert table.minus_log10_p[1, 0] == pytest.approx(-stats.norm.logsf(z) / math.log(10), rel=1e-12)
    assert table.p[1, 0] == 0
    assert table.minus_log10_p[1, 0] > 400
    assert table.minus_log10_p[0, 0] == 0


@given(st.lists(st.one_of(st.floats(0, 1, exclude_min=True), st.just(math.nan)), max_size=30))
def test_adjusted_p_is_that_of_scipy(values: list[float]) -> None:
    p = np.array(values, np.float64)
    found = 10 ** -adjust(-np.log10(p))
    tested = ~np.isnan(p)
    assert np.isnan(found[~tested]).all()
    if tested.any():
        assert np.allclose(found[tested], stats.false_discovery_control(p[tested]), rtol=1e-9)
    order = np.argsort(p[tested], kind="stable")
    assert (np.diff(found[tested][order]) >= -1e-15).all()
    assert (found[tested] >= p[tested] * (1 - 1e-12)).all()


@pytest.mark.parametrize(
    ("sizes", "has_test", "has_difference"),
    [((3, 3), True, True), ((2, 9), False, True), ((9, 2), False, True), ((1, 9), False, True), ((9, 0), False, False)],
)
def test_small_groups(sizes: tuple[int, int], has_test: bool, has_difference: bool) -> None:
    codes = np.repeat([0, 1], sizes)
    table = group_table(scores_of(np.arange(len(codes)) / 10), codes, 2)
    assert table.n_cells.tolist() == list(sizes)
    assert table.score[0, 0] == pytest.approx(np.arange(sizes[0]).mean() / 10)
    for array in (table.minus_log10_p, table.minus_log10_adjusted, table.auc):
        assert np.isnan(array[0, 0]) != has_test
    assert np.isnan(table.difference[0, 0]) != has_difference


def test_groups_without_cells_and_cells_without_group() -> None:
    codes = np.array([-1, -1, -1, 0, 0, 0, 2])
    table = group_table(scores_of(np.arange(7.0)), codes, 3)
    assert table.n_cells.tolist() == [3, 0, 1]
    assert table.difference[0, 0] == pytest.approx(4 - (0 + 1 + 2 + 6) / 4)
    assert np.isnan([table.score[1, 0], table.difference[1, 0], table.minus_log10_p[1, 0], table.auc[1, 0]]).all()
    wanted = stats.mannwhitneyu([3, 4, 5], [0, 1, 2, 6], alternative="greater", method="asymptotic")
    assert table.p[0, 0] == pytest.approx(wanted.pvalue, rel=1e-12)
    none = group_table(scores_of(np.arange(7.0)), np.full(7, -1), 0)
    assert none.score.shape == (0, 1)
    assert pick_best(none, np.array([True])) == []


def test_sets_without_genes_have_blank_rows_and_do_not_count() -> None:
    values = cells(1, 30).astype(float)
    sets = sets_of(1)
    with_empty = group_table(score_sets(query_of(values), sets), np.arange(30) % 2, 2)
    without = group_table(score_sets(query_of(values), sets[1:]), np.arange(30) % 2, 2)
    for name in COLUMN_TEXT:
        if name != "n_cells":
            assert np.isnan(getattr(with_empty, name)[:, 0]).all(), name
            assert np.array_equal(getattr(with_empty, name)[:, 1:], getattr(without, name), equal_nan=True), name


def test_the_order_of_cells_and_the_names_of_groups_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    score, codes = rng.integers(0, 9, (3, 50)) / 9, rng.integers(0, 3, 50)
    order, names = rng.permutation(50), np.array([2, 0, 1])
    wanted = group_table(scores_of(score), codes, 3)
    scores = scores_of(score[:, order])
    found = group_table(scores, names[codes][order], 3, ranked=rank_scores(scores, threads=2))
    for name in COLUMN_TEXT:
        assert np.allclose(getattr(found, name)[names], getattr(wanted, name), equal_nan=True), name


def test_codes_that_do_not_fit_are_refused() -> None:
    for codes in (np.zeros(6, int), np.array([0, 1, 2]), np.array([0, 0, -2])):
        with pytest.raises(ValueError, match="must be a group from -1 to 1"):
            group_table(scores_of(np.arange(3.0)), codes, 2)


def table_of(**columns: list[list[float]]) -> GroupTable:
    shape = np.shape(next(iter(columns.values())))
    blank = {name: np.full(shape, np.nan) for name in COLUMN_TEXT if name != "n_cells"}
    return GroupTable(
        n_cells=np.ones(shape[0], int), **blank | {name: np.array(value) for name, value in columns.items()}
    )


def test_the_best_set_is_sure_and_alone() -> None:
    nan = math.nan
    table = table_of(
        difference=[[0.1, 0.3, nan], [0.4, 0.4, 0.1], [0.2, 0.5, 0.1], [-0.2, -0.1, -0.3], [nan, nan, nan]],
        auc=[[0.6, 0.7, nan], [0.9, 0.9, 0.6], [0.8, 0.5, 0.6], [0.6, 0.4, 0.3], [nan, nan, nan]],
        minus_log10_adjusted=[[2.0, 1.4, nan], [9, 9, 9], [1.31, 9, 1.2], [1.2, 9, 9], [nan, nan, nan]],
    )
    assert pick_best(table, np.array([True, True, True])) == [1, None, 0, None, None]
    # The next best takes the place of a set that is not to be suggested, and a tie with it is none.
    assert pick_best(table, np.array([True, False, True])) == [0, 0, 0, None, None]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "1"),
        (0.30103, "0.5"),
        (2.9, "0.0013"),
        (3.0, "1.0e-3"),
        (5.0, "1.0e-5"),
        (5.00001, "1.0e-5"),
        (1e4 + 0.3, "5.0e-10001"),
        (math.nan, ""),
    ],
)
def test_p_in_words(value: float, text: str) -> None:
    assert p_text(value) == text
