"""Each kernel beside the same thing in plain numpy and scipy."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special, stats

from iscan_dash.core.enrichment import cell_ranks
from iscan_dash.core.enrichment.cell_ranks import DIGIT, MOST, N_DIGITS, NEGATIVE, UNSORTED, expressed, weigh
from iscan_dash.core.enrichment.competitive import (
    N_KNOWN,
    describe,
    log_lower,
    log_upper,
    log_upper_normal,
    minus_log10_tail,
    most_surprising,
    tail,
    tail_table,
)
from iscan_dash.core.enrichment.group_kernels import rank_ordered
from iscan_dash.core.enrichment.module import bins_of, choose_controls
from tests.core.enrichment import plain

SEEDS = st.integers(0, 10_000)


def cell_of(seed: int, n_genes: int, n_values: int) -> np.ndarray:
    """A cell with many zeros and about so many different values."""
    rng = np.random.default_rng(seed)
    values = np.log1p(rng.integers(1, n_values + 1, n_genes))
    return np.where(rng.random(n_genes) < rng.random(), values, 0.0)


def weighed(cell: np.ndarray, max_rank: int, is_expected: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weights and their sums as the kernels give them."""
    on = np.flatnonzero(cell)
    space, values, sums = cell_ranks.space_for(len(on) + 1), cell[on], np.full(3, np.nan)
    n_groups = weigh(values.view(np.uint64), len(on), max_rank, is_expected, space, sums)
    group_of = space.group_of[: len(on)]
    assert (space.slots == -1).all()
    assert n_groups == len(np.unique(values))
    assert np.array_equal(space.words.view(np.float64)[group_of], values)
    everywhere = np.zeros(len(cell))
    everywhere[on] = space.weights[group_of]
    return everywhere, sums


def minus_log10_p(total: float, size: int, n_genes: int, sums: np.ndarray, most: float) -> float:
    """The competitive P as the kernels give it."""
    known = np.full(N_KNOWN, np.nan)
    describe(size, n_genes, sums, known)
    return tail(total, known, tail_table(), most)


@given(
    seed=SEEDS, n_values=st.sampled_from([1, 9, 200, 10**6]), max_rank=st.integers(2, 1200), is_expected=st.booleans()
)
def test_weights_of_genes(seed: int, n_values: int, max_rank: int, is_expected: bool) -> None:
    cell = cell_of(seed, 900, n_values)
    found, sums = weighed(cell, max_rank, is_expected)
    wanted = plain.weights(cell, max_rank, is_expected)

    assert np.allclose(found, wanted, rtol=1e-13, atol=0)
    assert np.allclose(sums, [(wanted**power).sum() for power in (1, 2, 3)], rtol=1e-12)


@given(seed=SEEDS, is_narrow=st.booleans())
def test_sorting_and_telling_apart_agree(seed: int, is_narrow: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.lognormal(0, 3, 500)
    if is_narrow:
        values = values.astype(np.float32).astype(np.float64)
    bits, order, spare = values.view(np.uint64), np.empty(500, np.int32), np.empty(500, np.int32)
    is_swapped = cell_ranks.sort_words(bits, 500, order, spare, np.empty((N_DIGITS, 1 << DIGIT), np.int32))
    assert (spare if is_swapped else order).tolist() == np.argsort(values, kind="stable").tolist()

    few = values[rng.integers(0, MOST - 1, 500)]
    sums, others = np.empty(3), np.empty(3)
    space, more = cell_ranks.space_for(500), cell_ranks.space_for(500)
    words = few.view(np.uint64)
    n_groups = cell_ranks.weigh(words, 500, 300, False, space, sums)
    by_table = space.weights[space.group_of]
    order = np.argsort(few).astype(np.int32)
    parts = more.group_of, more.words, more.weights
    assert cell_ranks.weigh_sorted(words, 500, order, 300, False, *parts, others) == n_groups
    by_order = more.weights[more.group_of]
    assert by_table.tolist() == by_order.tolist()
    assert sums.tolist() == others.tolist()


def test_expressed_genes_are_told_from_the_rest() -> None:
    genes, values = np.empty(7, np.int32), np.empty(7)
    data = np.array([1, 0, np.nan, 2, np.inf, -np.inf], np.float32)
    assert expressed(data, np.arange(6, dtype=np.int32), genes, values) == (2, 3)
    assert genes[:2].tolist() == [0, 3] and values[:2].tolist() == [1, 2]
    assert expressed(-data, np.arange(6, dtype=np.int32), genes, values)[0] == NEGATIVE
    for columns in ([0, 2, 1], [0, 1, 1]):
        assert expressed(data[:3], np.array(columns, np.int32), genes, values)[0] == UNSORTED


@given(
    shape=st.floats(-3.5, 7).map(lambda power: 10**power),
    z=st.floats(-6, 40),
)
@example(shape=1000.0, z=-5.0)
def test_tails_of_the_gamma_distribution(shape: float, z: float) -> None:
    x = shape + z * math.sqrt(shape)
    if x <= 0:
        assert log_upper(shape, x) == 0.0
        return
    upper, lower = special.gammaincc(shape, x), special.gammainc(shape, x)
    if upper > 1e-290:
        assert log_upper(shape, x) == pytest.approx(math.log(upper), rel=1e-6, abs=1e-6)
    else:
        assert log_upper(shape, x) < math.log(1e-280)
    # So far below a large mean SciPy ends its series early: -15.109 for 10**7 and -5, where all of it adds to -15.078.
    if lower > 1e-290 and not (shape > 200 and z < -4.5):
        assert log_lower(shape, x) == pytest.approx(math.log(lower), rel=1e-6, abs=1e-6)


@given(z=st.floats(-30, 500))
def test_tail_of_the_normal_distribution(z: float) -> None:
    assert log_upper_normal(z) == pytest.approx(stats.norm.logsf(z), rel=1e-9, abs=1e-300)


def test_tails_fall_without_a_step() -> None:
    """Where one way to compute them ends and another begins there is no jump."""
    for shape in (0.01, 0.8, 5.0, 199.0, 201.0, 1e4):
        x = np.linspace(1e-6, shape + 60 * math.sqrt(shape) + 60, 4000)
        tails = np.array([log_upper(shape, float(value)) for value in x])
        assert (np.diff(tails) < 1e-6).all()
        assert tails[-1] < -50


@given(
    seed=SEEDS,
    size=st.integers(1, 120),
    n_values=st.sampled_from([2, 30, 10**6]),
    max_rank=st.sampled_from([20, 120, 400]),
)
def test_competitive_p_is_that_of_pearson_3(seed: int, size: int, n_values: int, max_rank: int) -> None:
    cell = cell_of(seed, 120, n_values)
    rng = np.random.default_rng(seed)
    genes = rng.choice(120, size, replace=False)
    found, sums = weighed(cell, max_rank, False)
    most = most_surprising(np.array([size]), 120)[0]
    wanted = plain.competitive(cell, genes.tolist(), max_rank)

    assert minus_log10_p(found[genes].sum(), size, 120, sums, most) == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    assert most == pytest.approx(math.log10(math.comb(120, size)), rel=1e-9, abs=1e-9)


def test_competitive_p_is_near_what_random_sets_show() -> None:
    """The chance by drawing sets: the approximation is of the right size where such draws can tell."""
    rng = np.random.default_rng(3)
    cell = np.log1p(rng.negative_binomial(0.3, 0.1, 2000)).astype(float)
    found, sums = weighed(cell, 300, False)
    totals = np.array([found[rng.choice(2000, 20, replace=False)].sum() for _ in range(20_000)])
    for share in (0.5, 0.9, 0.99, 0.999):
        total = np.quantile(totals, share)
        wanted = -math.log10((totals >= total).mean())
        assert minus_log10_p(total, 20, 2000, sums, 99.0) == pytest.approx(wanted, abs=0.1 + 0.05 * wanted)


@given(z=st.floats(-6, 15), skewness=st.floats(0.05, 2.2))
def test_tails_between_those_of_the_table(z: float, skewness: float) -> None:
    """What is taken from the table is what stands between its places."""
    n, known = 10**6, np.zeros(N_KNOWN)
    # One of these weights has mean 0, deviation 1 and the skewness.
    describe(1, n, np.array([0.0, n, n * skewness]), known)
    assert known[:3] == pytest.approx([0, 1, skewness], rel=1e-5)
    # Sums are above zero.
    known[0] = 100.0
    found = tail(100.0 + z, known, tail_table(), math.inf)
    assert found == pytest.approx(max(0.0, minus_log10_tail(z, known[2])), rel=2e-5, abs=2e-6)


@given(seed=SEEDS, n_values=st.integers(1, 60))
def test_ranks_and_ties(seed: int, n_values: int) -> None:
    values = np.random.default_rng(seed).integers(0, n_values, 50) / 7
    ranks = np.empty(50, np.uint32)
    ties = rank_ordered(values, np.argsort(values), ranks)
    _, sizes = np.unique(values, return_counts=True)

    assert (ranks / 2).tolist() == stats.rankdata(values).tolist()
    assert ties == (sizes**3 - sizes).sum()


@given(seed=SEEDS)
def test_controls_are_of_the_bins_of_the_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    means = rng.random(3000).round(2)
    bins = bins_of(means)
    genes = rng.choice(3000, 7, replace=False)
    controls = choose_controls(bins, genes, seed)

    assert set(bins[controls]) <= set(bins[genes])
    assert not set(controls) & set(genes)
    assert len(controls) <= 50 * len(set(bins[genes]))
    assert controls.tolist() == choose_controls(bins, genes[::-1], seed).tolist()
    assert (np.diff(bins[np.argsort(means, kind="stable")]) >= 0).all()
