"""Expression that is kept in memory is that of the file, log-normalised, whatever the storage."""

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from scipy import sparse

from iscan_dash.core.study import expression
from iscan_dash.core.study.expression import FileExpression, log_normalised, read_sample, spread
from iscan_dash.core.study.matrices import MatrixKind
from tests.conftest import Opener
from tests.studies import STORAGES, log1p_cp10k, some_counts, write_study


def of_file(open_files: Opener, path: Path, kind: MatrixKind = MatrixKind.LOG1P) -> FileExpression:
    matrix = open_files(path).datasets[0].matrices["X"]
    return FileExpression(matrix, kind, 0, np.arange(matrix.shape[1]))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(("gap", "block"), [(0, 1), (0, 50), (7, 11), (4096, 10**6)])
def test_cells_that_are_read(
    tmp_path: Path, open_files: Opener, monkeypatch: pytest.MonkeyPatch, storage: str, gap: int, block: int
) -> None:
    monkeypatch.setattr(expression, "GAP", gap)
    monkeypatch.setattr(expression, "BLOCK", block)
    values = log1p_cp10k(some_counts(40, 9))
    values[[3, 4, 39]] = 0
    file = of_file(open_files, write_study(tmp_path / "s.h5ad", cells=40, genes=9, x=STORAGES[storage](values)))
    for cells in ([], [0], [39], [3, 4], [0, 1, 2, 7, 8, 20, 39], list(range(40))):
        tell = Mock()
        read = file.read(np.array(cells, np.int64), tell)
        np.testing.assert_array_equal(read.toarray(), values[cells].reshape(len(cells), 9))
        assert (read.dtype, read.indices.dtype, read.indptr.dtype) == (np.float32, np.int32, np.int64)
        read.check_format(full_check=True)
        assert all(0 <= call.args[0] < call.args[1] for call in tell.call_args_list)


@pytest.mark.parametrize("storage", STORAGES)
def test_counts_are_brought_to_one_total(tmp_path: Path, open_files: Opener, storage: str) -> None:
    counts = some_counts(20, 6)
    counts[5] = 0
    path = write_study(tmp_path / "s.h5ad", cells=20, genes=6, x=STORAGES[storage](counts))
    read = of_file(open_files, path, MatrixKind.COUNTS).read(np.array([2, 5, 19]))
    expected = np.zeros((3, 6), np.float32)
    expected[[0, 2]] = log1p_cp10k(counts[[2, 19]])
    np.testing.assert_allclose(read.toarray(), expected, rtol=1e-6)


def test_values_that_make_no_sense_count_as_none() -> None:
    values, lengths = np.array([np.nan, np.inf, 2.0, -1.0, 3.0]), np.array([3, 2])
    assert log_normalised(values, lengths, MatrixKind.LOG).tolist() == [0, 0, 2, -1, 3]
    assert log_normalised(values, lengths, MatrixKind.COUNTS).tolist() == pytest.approx(
        [0, 0, np.log1p(1e4), 0, np.log1p(1e4)]
    )


@pytest.mark.parametrize("n_cells", [1, 3, 255, 256, 257, 1000, 10_007])
@pytest.mark.parametrize("part", [1e-9, 0.01, 0.3, 0.999, 1.0])
def test_a_sample_is_spread_over_the_file(n_cells: int, part: float) -> None:
    cells = spread(n_cells, part, np.random.default_rng(1))
    assert (np.diff(cells) > 0).all()
    assert cells[0] >= 0
    assert cells[-1] < n_cells
    wanted = max(1, round(part * n_cells))
    assert max(1, wanted - expression.RANGES) <= len(cells) <= wanted
    if len(cells) > expression.RANGES:
        # A cell of each tenth of the file is among them.
        assert (np.bincount(cells * 10 // n_cells, minlength=10) > 0).all()


def test_a_large_study_is_sampled_the_same_way_each_time(tmp_path: Path, open_files: Opener) -> None:
    counts = some_counts(900, 5)
    paths = [
        write_study(tmp_path / f"{name}.h5ad", cells=450, x=sparse.csr_matrix(part))
        for name, part in (("a", counts[:450]), ("b", counts[450:]))
    ]
    study = open_files(*paths)
    files = [
        FileExpression(dataset.matrices["X"], MatrixKind.COUNTS, start, np.arange(5))
        for dataset, start in zip(study.datasets, (0, 450), strict=True)
    ]
    said: list[tuple[int, int]] = []
    stored = int((counts > 0).sum())
    samples = [
        read_sample(files, "abcde", lambda *told: said.append(told), whole=stored - 1, sampled=2 * stored // 3)
        for _ in range(2)
    ]
    assert [done for done, _ in said[: len(said) // 2]] == sorted(done for done, _ in said[: len(said) // 2])
    for sample in samples:
        assert not sample.is_whole
        assert 512 <= sample.n_cells <= 600
        for cells, values in zip(sample.cells, sample.values, strict=True):
            np.testing.assert_allclose(values.toarray(), log1p_cp10k(counts[cells]), rtol=1e-5)
    assert all((one == other).all() for one, other in zip(samples[0].cells, samples[1].cells, strict=True))
    whole = read_sample(files, "abcde", whole=stored)
    assert whole.is_whole
    assert [len(own) for own in whole.cells] == [450, 450]
