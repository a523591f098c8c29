"""Markers against plain NumPy on the whole matrix."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from iscan_dash.core import markers as module
from iscan_dash.core.markers import FLOOR, Comparer, GeneSums, Sides, rank_genes, sum_genes
from iscan_dash.core.study.expression import FileExpression, read_sample
from iscan_dash.core.study.matrices import MatrixKind
from tests.conftest import Opener
from tests.studies import STORAGES, log1p_cp10k, some_counts, write_study

GENES = [f"GENE{number}" for number in range(7)]
N_CELLS = 600


def plain_score(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Score every gene the way the formula says it."""
    inside, outside = values[mask].astype(np.float64), values[~mask].astype(np.float64)
    spread = np.sqrt((inside.var(axis=0) + outside.var(axis=0)) / 2 + FLOOR**2)
    score: np.ndarray = (inside.mean(axis=0) - outside.mean(axis=0)) / spread
    return score


def comparer_of(open_files: Opener, *paths: Path, kind: MatrixKind, enough: int = 1000, **limits: int) -> Comparer:
    study = open_files(*paths)
    files = [
        FileExpression(dataset.matrices["X"], kind, int(start), np.arange(len(GENES)))
        for dataset, start in zip(study.datasets, study.offsets[:-1], strict=True)
    ]
    return Comparer(read_sample(files, GENES, **limits), enough)


@pytest.fixture
def counts() -> np.ndarray:
    counts = some_counts(N_CELLS, len(GENES))
    # A gene of the first hundred cells, and one of all but them.
    counts[:100, 2] += 9
    counts[100:, 5] += 9
    return counts


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("is_logged", [True, False])
@pytest.mark.parametrize("piece", [5, 1 << 20])
def test_all_cells_are_compared_exactly(
    tmp_path: Path,
    open_files: Opener,
    monkeypatch: pytest.MonkeyPatch,
    counts: np.ndarray,
    storage: str,
    is_logged: bool,
    piece: int,
) -> None:
    monkeypatch.setattr(module, "PIECE", piece)
    logged = log1p_cp10k(counts)
    path = write_study(
        tmp_path / "s.h5ad", cells=N_CELLS, genes=GENES, x=STORAGES[storage](logged if is_logged else counts)
    )
    comparer = comparer_of(open_files, path, kind=MatrixKind.LOG1P if is_logged else MatrixKind.COUNTS)
    generator = np.random.default_rng(1)
    first = np.arange(N_CELLS) < 100
    for mask in (first, ~first, generator.random(N_CELLS) < 0.3, np.arange(N_CELLS) == 7):
        sides = comparer.compare(mask)
        assert sides.is_whole
        assert (sides.n_inside, sides.n_outside) == (mask.sum(), (~mask).sum())
        np.testing.assert_allclose(sides.inside.mean, logged[mask].mean(axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(sides.inside.detected, (counts[mask] > 0).sum(axis=0))
        np.testing.assert_array_equal(sides.outside.detected, (counts[~mask] > 0).sum(axis=0))
        score = plain_score(logged, mask)
        found = rank_genes(sides, GENES, 3)
        best = [GENES[place] for place in np.argsort(-score) if score[place] > 0][:3]
        assert [marker.gene for marker in found] == best
        for marker in found:
            place = GENES.index(marker.gene)
            assert marker.score == pytest.approx(score[place], rel=1e-3)
            assert marker.inside == pytest.approx((counts[mask, place] > 0).mean())
            assert marker.outside == pytest.approx((counts[~mask, place] > 0).mean())
    assert rank_genes(comparer.compare(first), GENES, 1)[0].gene == "GENE2"
    assert rank_genes(comparer.compare(~first), GENES, 1)[0].gene == "GENE5"


def test_no_cells_and_all_cells_have_no_markers(tmp_path: Path, open_files: Opener, counts: np.ndarray) -> None:
    path = write_study(tmp_path / "s.h5ad", cells=N_CELLS, genes=GENES, x=counts)
    comparer = comparer_of(open_files, path, kind=MatrixKind.COUNTS)
    for mask in (np.zeros(N_CELLS, bool), np.ones(N_CELLS, bool)):
        assert rank_genes(comparer.compare(mask), GENES, 9) == []


@pytest.mark.parametrize("storage", STORAGES)
def test_samples_of_both_sides(tmp_path: Path, open_files: Opener, counts: np.ndarray, storage: str) -> None:
    paths = [
        write_study(tmp_path / f"{name}.h5ad", cells=300, genes=GENES, x=STORAGES[storage](part))
        for name, part in (("a", counts[:300]), ("b", counts[300:]))
    ]
    stored = counts.size if storage == "dense" else int((counts > 0).sum())
    comparer = comparer_of(open_files, *paths, kind=MatrixKind.COUNTS, enough=80, whole=0, sampled=round(0.4 * stored))
    n_sampled = comparer.sample.n_cells
    assert 200 <= n_sampled <= 240
    logged = log1p_cp10k(counts)
    cells = np.concatenate(comparer.sample.cells)
    half = np.arange(N_CELLS) % 2 == 0
    sides = comparer.compare(half)
    assert not sides.is_whole
    assert sides.inside.n_cells == half[cells].sum()
    np.testing.assert_allclose(sides.inside.total, logged[cells[half[cells]]].sum(axis=0), rtol=1e-4)
    # A side of which the sample has few is read from the file: whole when it is small, else as many cells as are enough.
    few, many = np.isin(np.arange(N_CELLS), [1, 2, 3, 299, 300, 598]), np.arange(N_CELLS) >= 480
    for mask, expected in ((few, 6), (~few, n_sampled - few[cells].sum()), (many, 80)):
        sides = comparer.compare(mask)
        assert sides.inside.n_cells == expected
        assert (sides.n_inside, sides.n_outside) == (mask.sum(), N_CELLS - mask.sum())
    np.testing.assert_allclose(comparer.compare(few).inside.total, logged[few].sum(axis=0), rtol=1e-4)
    np.testing.assert_allclose(comparer.compare(~few).outside.total, logged[few].sum(axis=0), rtol=1e-4)
    again = comparer.compare(many)
    assert (again.inside.total == comparer.compare(many).inside.total).all()


def test_a_comparison_nobody_wants_any_more_ends(tmp_path: Path, open_files: Opener, counts: np.ndarray) -> None:
    path = write_study(tmp_path / "s.h5ad", cells=N_CELLS, genes=GENES, x=counts)
    comparer = comparer_of(open_files, path, kind=MatrixKind.COUNTS)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        comparer.compare(np.arange(N_CELLS) < 9, stop)


@given(
    values=st.lists(st.lists(st.sampled_from([0, 0, 0.5, 2, -1]), min_size=3, max_size=3), min_size=1, max_size=9),
    wanted=st.sets(st.integers(0, 8)),
)
def test_sums_are_those_of_the_rows(values: list[list[float]], wanted: set[int]) -> None:
    rows = np.array(sorted(row for row in wanted if row < len(values)), np.intp)
    sums = sum_genes(sparse.csr_array(np.array(values, np.float32)), rows)
    dense = np.array(values)[rows]
    assert sums.n_cells == len(rows)
    np.testing.assert_allclose(sums.total, dense.sum(axis=0))
    np.testing.assert_allclose(sums.squares, (dense**2).sum(axis=0))
    np.testing.assert_array_equal(sums.detected, (dense > 0).sum(axis=0))


def test_a_gene_that_a_few_cells_happen_to_have_is_no_marker() -> None:
    """Ten cells of a thousand: one gene is in all ten and in a third of the rest, another in one of the ten alone."""
    rng = np.random.default_rng(0)
    inside, outside = np.zeros((10, 2)), np.zeros((990, 2))
    inside[:, 0] = rng.normal(3, 0.3, 10)
    inside[0, 1] = 2
    outside[:330, 0] = rng.normal(2, 0.3, 330)
    sums = [
        GeneSums(len(side), side.sum(axis=0), (side**2).sum(axis=0), (side > 0).sum(axis=0).astype(float))
        for side in (inside, outside)
    ]
    found = rank_genes(Sides(*sums, 10, 990), ["wide", "lucky"], 2)
    assert [marker.gene for marker in found] == ["wide", "lucky"]
