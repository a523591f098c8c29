"""Matrices read cell by cell are what was written, whatever their storage and the size of blocks."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from iscan_dash.core.study.blocks import RowBlocks
from tests.conftest import Opener
from tests.studies import STORAGES, some_counts, write_study


def together(blocks: RowBlocks) -> np.ndarray:
    parts = [block.toarray() if sparse.issparse(block) else np.asarray(block) for block in blocks]
    return np.concatenate(parts)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("block", [1, 7, 64, 10**6])
@pytest.mark.parametrize("in_memory", [0, 10**6])
def test_all_cells_in_order(tmp_path: Path, open_files: Opener, storage: str, block: int, in_memory: int) -> None:
    counts = some_counts(40, 9)
    counts[[3, 4, 39]] = 0
    study = open_files(write_study(tmp_path / "s.h5ad", cells=40, genes=9, x=STORAGES[storage](counts)))
    matrix = study.datasets[0].matrices["X"]
    assert matrix.storage == storage
    blocks = RowBlocks(matrix, block, in_memory)
    for _ in range(2):
        np.testing.assert_array_equal(together(blocks), counts)
    for part in blocks:
        if sparse.issparse(part):
            assert (part.indices.dtype, part.indptr.dtype) == (np.int32, np.int64)
            part.check_format(full_check=True)
            assert part.has_sorted_indices
            assert part.nnz <= max(block, 9)
            assert part.data.flags.c_contiguous and part.indices.flags.c_contiguous
    blocks.close()


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.uint16])
def test_values_keep_their_type(tmp_path: Path, open_files: Opener, dtype: type) -> None:
    counts = sparse.csc_matrix(some_counts(10, 5).astype(dtype))
    study = open_files(write_study(tmp_path / "s.h5ad", cells=10, x=counts))
    (block,) = RowBlocks(study.datasets[0].matrices["X"], in_memory=0)
    assert block.dtype == dtype


def test_nothing_is_left_of_temporary_files(
    tmp_path: Path, open_files: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    study = open_files(write_study(tmp_path / "s.h5ad", cells=10, x=sparse.csc_matrix(some_counts(10, 5))))
    blocks = RowBlocks(study.datasets[0].matrices["X"], in_memory=0)
    first = next(iter(blocks))
    blocks.close()
    assert not list((tmp_path / "temporary").iterdir())
    # What was given out stays.
    np.testing.assert_array_equal(first.toarray(), some_counts(10, 5))
    np.testing.assert_array_equal(together(blocks), some_counts(10, 5))
    blocks.close()
