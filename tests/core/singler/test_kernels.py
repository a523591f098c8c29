"""Each kernel beside the same thing in plain numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from iscan_dash.core.singler import cells as grouping
from iscan_dash.core.singler.fine_tune import list_profiles, near_best, neighbours, number_rows, rows_of_cell
from iscan_dash.core.singler.gene_sets import n_words, set_bits, unite, unpack
from iscan_dash.core.singler.markers import bound_of_top, label_medians, list_from, top_differences
from iscan_dash.core.singler.order_statistics import LANES, keep_largest
from iscan_dash.core.singler.ranks import rank_profiles
from iscan_dash.core.singler.scoring import best_two, correlate, label_scores, products, upper_quantile, weigh_groups
from iscan_dash.core.singler.subset_ranks import count_below, empty_state, hold, rank_genes, subset_scales
from tests.core.singler.plain import centred_ranks

SEEDS = st.integers(0, 10_000)
FEW = st.sampled_from([-1.5, 0.0, 0.0, 0.0, 1.0, 2.5, 7.0])


def as_bits(genes: list[int], n_genes: int) -> np.ndarray:
    bits = np.zeros((1, n_words(n_genes)), np.uint64)
    set_bits(bits, np.zeros(len(genes), np.int64), np.array(genes, np.int64))
    return bits[0]


def grouped(values: np.ndarray) -> grouping.RankedCells:
    """Group cells by value, with numpy."""
    parts = []
    for cell in values:
        different, sizes = np.unique(cell[cell != 0], return_counts=True)
        genes = np.concatenate([np.flatnonzero(cell == value) for value in different] or [np.zeros(0, int)])
        parts.append((genes, sizes, (different < 0).sum()))
    starts, group_starts = (np.concatenate([[0], np.cumsum([len(part[k]) for part in parts])]) for k in (0, 1))
    genes, sizes = (np.concatenate([part[k] for part in parts]).astype(np.uint16) for k in (0, 1))
    return grouping.RankedCells(genes, starts, sizes, group_starts, np.array([part[2] for part in parts], np.int32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("is_sparse", [True, False])
@given(seed=SEEDS, n_values=st.sampled_from([2, 5, 200]))
def test_cells_are_grouped_by_value(is_sparse: bool, dtype: type, seed: int, n_values: int) -> None:
    rng = np.random.default_rng(seed)
    n_cells, n_markers = rng.integers(1, 6), rng.integers(1, 120)
    values = (rng.integers(-1, n_values, (n_cells, n_markers)) * (rng.random((n_cells, n_markers)) < 0.6)).astype(dtype)
    room = np.empty(values.size, np.uint16), np.empty(values.size, np.uint16)
    starts, group_starts = np.empty(n_cells + 1, np.int64), np.empty(n_cells + 1, np.int64)
    n_negative = np.empty(n_cells, np.int32)
    found = room[0], starts, room[1], group_starts, n_negative
    if is_sparse:
        columns = rng.permutation(n_markers + 7)[:n_markers]
        wide = np.full((n_cells, n_markers + 7), 3, dtype)
        wide[:, columns] = values
        marker_of = np.full(n_markers + 7, -1, np.int16)
        marker_of[columns] = np.arange(n_markers)
        matrix = sparse.csr_array(wide)
        parts = matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64)
        assert grouping.group_sparse(*parts, 0, n_cells, marker_of, n_markers, *found) == grouping.OK
    else:
        grouping.group_sorted(values, values.argsort(axis=1), *found)
    wanted = grouped(values)

    assert starts.tolist() == wanted.starts.tolist()
    assert group_starts.tolist() == wanted.group_starts.tolist()
    assert room[1][: group_starts[-1]].tolist() == wanted.sizes.tolist()
    assert n_negative.tolist() == wanted.n_negative.tolist()
    place = 0
    for size in wanted.sizes:
        assert set(room[0][place : place + size]) == set(wanted.genes[place : place + size])
        place += size


@given(seed=SEEDS, n_values=st.integers(1, 40), n_kept=st.integers(1, 40))
def test_the_largest_are_kept_in_order(seed: int, n_values: int, n_kept: int) -> None:
    n_kept = min(n_kept, n_values)
    values = np.random.default_rng(seed).integers(0, 9, (n_values + 3, LANES)).astype(float)
    kept = np.full((n_kept, LANES), np.nan)
    keep_largest(values, 2, 2 + n_values, n_kept, kept, np.empty(LANES))

    assert np.array_equal(kept, -np.sort(-values[2 : 2 + n_values], axis=0)[:n_kept])


@given(values=arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 40)), elements=FEW))
def test_ranks_of_profiles(values: np.ndarray) -> None:
    ranked = rank_profiles(values)
    n_profiles, n_markers = values.shape

    for profile, row in enumerate(values):
        wanted = centred_ranks(row)
        assert ranked.ranks[:n_markers, profile].tolist() == wanted.tolist()
        assert ranked.squares[profile] == (wanted**2).sum()
        assert sorted(ranked.position[profile]) == list(range(n_markers))
        assert ranked.lowest[profile].tolist() == [(row < value).sum() for value in row]
        alone = np.array([(row == value).sum() == 1 for value in row])
        assert np.array_equal(ranked.tie[profile] == 0, alone)
    assert not ranked.ranks[:, n_profiles:].any()
    assert not ranked.ranks[n_markers].any()


@pytest.mark.parametrize("n_markers", [30, 700, 9_000])
@pytest.mark.parametrize("share", [0.05, 1.0])
@given(seed=SEEDS)
def test_products_of_ranks_are_exact(n_markers: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    profiles = rng.integers(0, 50, (3, n_markers)).astype(float)
    ranked = rank_profiles(profiles)
    cell = rng.integers(-1 if seed % 2 else 0, seed % 60 + 2, n_markers) * (rng.random(n_markers) < share)
    cells = grouped(cell[None].astype(float))
    weights = np.empty(n_markers, np.int64)
    n_groups = len(cells.sizes)
    common, squares = weigh_groups(cells.sizes, n_groups, cells.n_negative[0], n_markers, weights)
    width = ranked.ranks.shape[1]
    total = np.empty(width)
    arguments = cells.genes, cells.sizes, n_groups, weights, common, n_markers, width
    products(ranked.ranks, n_markers, *arguments, np.empty(width, np.int32), np.empty(width, np.int32), total)
    order = np.sort(cell)
    wanted = np.searchsorted(order, cell) + np.searchsorted(order, cell, "right") - n_markers

    assert squares == (wanted**2).sum()
    assert total[:3].tolist() == (ranked.ranks[:n_markers, :3].astype(np.int64) * wanted[:, None]).sum(axis=0).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(values=arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 40)), elements=FEW))
def test_ranks_of_cells_are_spread_out(dtype: type, values: np.ndarray) -> None:
    cells = grouped(values)
    ranks, squares = np.empty(values.shape), np.empty(len(values))
    grouping.spread(cells, ranks, squares)
    wanted = np.array([centred_ranks(cell) for cell in values])

    assert ranks.tolist() == wanted.tolist()
    assert squares.tolist() == (wanted**2).sum(axis=1).tolist()
    order = grouping.sorted_order(values.astype(dtype))
    assert np.array_equal(np.take_along_axis(values, order, 1), np.sort(values, axis=1))


def test_correlations_without_variance() -> None:
    out = np.empty((2, LANES))
    correlate(np.array([6.0, 0.0]), 9.0, np.array([1 / 3, 0.0]), 2, 4, out)
    assert out[:, 4].tolist() == [6 / 9, 0.5]
    correlate(np.zeros(2), 0.0, np.array([1 / 3, 0.0]), 2, 4, out)
    assert out[:, 4].tolist() == [0.5, 1.0]
    correlate(np.array([10.0, -10.0]), 9.0, np.array([1 / 3, 1 / 3]), 2, 4, out)
    assert out[:, 4].tolist() == [1.0, -1.0]


@given(seed=SEEDS, quantile=st.sampled_from([0.0, 0.2, 0.5, 0.8, 0.93, 1.0]))
def test_scores_are_quantiles_of_correlations(seed: int, quantile: float) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 13, 5)
    ends = np.cumsum(sizes)
    correlations = rng.random((ends[-1], LANES)).round(1)
    prepared = upper_quantile(quantile, 12)
    scores = np.empty((5, LANES))
    kept = np.empty((prepared.n_kept.max(), LANES))
    label_scores(correlations, ends, 5, prepared.n_kept, prepared.share, kept, np.empty(LANES), scores)
    for label, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        assert np.allclose(scores[label], np.quantile(correlations[end - size : end], quantile, axis=0), atol=1e-15)
    place, delta = best_two(scores, 5, 3)
    assert place == scores[:, 3].argmax()
    assert delta == scores[place, 3] - np.delete(scores[:, 3], place).max()


@given(seed=SEEDS, n_values=st.integers(1, 300), wanted=st.integers(1, 30))
def test_markers_are_the_largest_differences(seed: int, n_values: int, wanted: int) -> None:
    rng = np.random.default_rng(seed)
    medians = rng.integers(0, rng.integers(2, 400), (3, n_values)).astype(float)
    wanted = min(wanted, n_values)
    difference = medians[0] - medians[1]
    bound = bound_of_top(difference, wanted, np.empty(64 if wanted <= 16 else 128))
    found = np.empty(n_values + 1, np.int32)
    n_found = list_from(difference, bound, found)
    assert 0 <= bound <= max(0.0, np.sort(difference)[-wanted])
    assert found[:n_found].tolist() == np.flatnonzero((difference >= bound) & (difference > 0)).tolist()

    best, counts = np.zeros((3, 3, wanted), np.int32), np.zeros((3, 3), np.int64)
    for piece in range(2):
        top_differences(medians, piece, 2, best, counts)
    for label in range(3):
        for other in range(3):
            gain = medians[label] - medians[other]
            order = [gene for gene in np.argsort(-gain, kind="stable") if gain[gene] > 0][:wanted]
            assert best[label, other, : counts[label, other]].tolist() == order


@given(seed=SEEDS)
def test_medians_of_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 9, (11, 37)).astype(np.float32)
    genes = np.sort(rng.choice(37, 21, replace=False))
    starts = np.array([0, 1, 5, 11])
    members = rng.permutation(11)
    medians = np.empty((3, 21))
    label_medians(values, genes, members, starts, 0, 10, medians)
    label_medians(values, genes, members, starts, 10, 21, medians)

    for label in range(3):
        own = values[members[starts[label] : starts[label + 1]]][:, genes]
        assert medians[label].tolist() == np.median(own.astype(float), axis=0).tolist()


@given(st.lists(st.integers(0, 199), unique=True).map(sorted))
def test_bits_are_packed_and_unpacked(genes: list[int]) -> None:
    places = np.empty(200, np.uint16)
    n_found = unpack(as_bits(genes, 200), places)

    assert places[:n_found].tolist() == genes


@given(seed=SEEDS)
def test_markers_of_all_pairs_are_united(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = {(low, high): rng.choice(90, 5).tolist() for high in range(4) for low in range(high + 1)}
    sets = np.array([as_bits(chosen[low, high], 90) for high in range(4) for low in range(high + 1)])
    labels = np.array([0, 2, 3])
    union = np.empty(2, np.uint64)
    wanted = sorted({gene for pair, genes in chosen.items() if 1 not in pair for gene in genes})

    assert unite(sets, labels, 3, union) == len(wanted)
    assert union.tolist() == as_bits(wanted, 90).tolist()


@given(seed=SEEDS, has_ties=st.booleans())
def test_ranks_within_sets_that_follow_one_another(seed: int, has_ties: bool) -> None:
    rng = np.random.default_rng(seed)
    n_markers, ends = 150, np.array([3, 4, 13])
    values = rng.integers(0, 6, (13, n_markers)).astype(float) if has_ties else rng.random((13, n_markers))
    profiles = rank_profiles(values)
    state = empty_state(profiles, 3)
    members, own_ends = np.empty(13, np.int64), np.empty(3, np.int64)
    below = np.empty((13, n_words(n_markers)), np.int16)
    equals = np.empty((13, profiles.n_ties + 1), np.int16)
    for _ in range(6):
        labels = np.sort(rng.choice(3, rng.integers(1, 4), replace=False))
        genes = np.sort(rng.choice(n_markers, rng.integers(1, n_markers), replace=False))
        wanted = genes[rng.random(len(genes)) < 0.7].astype(np.uint16)
        n_members = list_profiles(labels, len(labels), ends, members, own_ends)
        hold(as_bits(genes.tolist(), n_markers), len(genes), labels, len(labels), ends, profiles, state)
        count_below(members, n_members, len(genes), state, below, equals)
        ranks, scales = np.zeros((len(wanted) + 1, 32), np.int16), np.empty(13)
        rank_genes(wanted, len(wanted), members, n_members, profiles, state.bits, below, equals, ranks, 1)
        subset_scales(members, n_members, len(genes), state.in_tie, scales)
        for member in range(n_members):
            full = centred_ranks(values[members[member], genes])
            assert ranks[1:, member].tolist() == full[np.isin(genes, wanted)].tolist()
            squares = int((full**2).sum())
            assert scales[member] == (1 / np.sqrt(squares) if squares else 0)


@given(seed=SEEDS)
def test_rows_are_given_to_genes_that_cells_need(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(-1, 4, (6, 80)) * (rng.random((6, 80)) < 0.3)
    cells = grouped(values.astype(float))
    genes = np.sort(rng.choice(80, 40, replace=False))
    chosen = np.array([1, 4])
    row_of, listed = np.full(80, 7, np.uint16), np.empty(80, np.uint16)
    n_rows = number_rows(chosen, cells, as_bits(genes.tolist(), 80), row_of, listed)
    needed = [gene for gene in genes if values[chosen, gene].any()]

    assert listed[:n_rows].tolist() == needed
    assert row_of.tolist() == [needed.index(gene) + 1 if gene in needed else 0 for gene in range(80)]
    rows, sizes = np.empty(81, np.uint16), np.empty(80, np.int64)
    n_groups, n_negative = rows_of_cell(4, cells, row_of, rows, sizes)
    own = grouped(np.where(np.isin(np.arange(80), genes), values[4], 0)[None].astype(float))
    assert sizes[:n_groups].tolist() == own.sizes.tolist()
    assert n_negative == own.n_negative[0]
    assert [needed[row - 1] for row in rows[: sizes[:n_groups].sum()]] == own.genes.tolist()


@given(seed=SEEDS, threshold=st.sampled_from([0.0, 0.1, 0.5]))
def test_labels_near_the_best(seed: int, threshold: float) -> None:
    scores = np.random.default_rng(seed).random((4, 70)).round(1)
    bits, is_open = np.zeros((4, 2), np.uint64), np.zeros(4, bool)
    near_best(scores, threshold, bits, is_open)
    labels = np.empty(70, np.int64)
    for cell, row in enumerate(scores):
        near = np.flatnonzero(row >= row.max() - threshold).tolist()
        assert labels[: unpack(bits[cell], labels)].tolist() == near
        assert is_open[cell] == (1 < len(near) < 70)


def plain_neighbours(sets: list[set[int]]) -> list[int]:
    """Go on to the most similar set that is left, the first of several, with Python's sets."""
    left = list(range(1, len(sets)))
    order = [0]
    while left:
        order.append(min(left, key=lambda other: len(sets[order[-1]] ^ sets[other])))
        left.remove(order[-1])
    return order


@given(st.lists(st.sets(st.integers(0, 150), max_size=6), min_size=1, max_size=30))
def test_similar_sets_are_put_next_to_each_other(sets: list[set[int]]) -> None:
    bits = np.concatenate([as_bits(sorted(own), 151)[None] for own in sets])

    assert neighbours(bits).tolist() == plain_neighbours(sets)


@given(st.integers(2, 5000), SEEDS)
def test_every_set_keeps_a_place_when_there_are_more_than_are_looked_at(n_sets: int, seed: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2**62, (n_sets, 1), np.int64).astype(np.uint64)

    assert sorted(neighbours(bits).tolist()) == list(range(n_sets))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=SEEDS, n_missing=st.integers(0, 2))
def test_columns_are_taken_and_missing_values_seen(dtype: type, seed: int, n_missing: int) -> None:
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(rng.integers(1, 6), rng.integers(1, 40))).astype(dtype)
    block.flat[rng.integers(0, block.size, n_missing)] = np.nan
    columns = rng.integers(0, block.shape[1], rng.integers(0, 50))
    values = np.empty((len(block), len(columns)), dtype)

    is_missing = grouping.take_columns(block, columns, values)

    assert is_missing == bool(n_missing)
    np.testing.assert_array_equal(values, block[:, columns])
