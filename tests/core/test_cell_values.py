"""Values of genes in some cells, from the sample or the files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iscan_dash.core.cell_values import cell_values
from iscan_dash.core.study.expression import FileExpression, read_sample
from iscan_dash.core.study.matrices import MatrixKind
from tests.conftest import Opener
from tests.studies import STORAGES, log1p_cp10k, some_counts, write_study

GENES = [f"GENE{number}" for number in range(7)]


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("is_whole", [True, False])
def test_values_of_the_cells_that_were_asked_for(
    tmp_path: Path, open_files: Opener, storage: str, is_whole: bool
) -> None:
    counts = some_counts(600, len(GENES))
    logged = log1p_cp10k(counts)
    turned = np.arange(len(GENES))[::-1]
    stored_as: Any = STORAGES[storage]
    # The second file has its genes the other way round.
    paths = [
        write_study(tmp_path / "a.h5ad", cells=300, genes=GENES, x=stored_as(counts[:300])),
        write_study(tmp_path / "b.h5ad", cells=300, genes=GENES[::-1], x=stored_as(counts[300:, turned])),
    ]
    study = open_files(*paths)
    places = (np.arange(len(GENES)), turned)
    files = [
        FileExpression(dataset.matrices["X"], MatrixKind.COUNTS, start, own)
        for dataset, start, own in zip(study.datasets, (0, 300), places, strict=True)
    ]
    stored = counts.size if storage == "dense" else int((counts > 0).sum())
    sample = read_sample(files, GENES, whole=stored if is_whole else 0, sampled=round(0.4 * stored))
    assert sample.is_whole == is_whole
    genes = np.array([5, 0, 3])
    few = np.isin(np.arange(600), [2, 17, 299, 300, 431, 599])
    np.testing.assert_allclose(cell_values(sample, few, genes, 10), logged[np.ix_(few, genes)], rtol=1e-5)
    assert cell_values(sample, np.zeros(600, bool), genes, 10).shape == (0, 3)
    assert cell_values(sample, few, genes[:0], 10).shape == (6, 0)
    # Of many cells as many as were wanted, all of the group, and the same again.
    half = np.arange(600) % 2 == 0
    found = cell_values(sample, half, genes, 50)
    assert found.shape == (50, 3)
    np.testing.assert_array_equal(found, cell_values(sample, half, genes, 50))
    known = {tuple(row) for row in logged[np.ix_(half, genes)].round(3).tolist()}
    assert {tuple(row) for row in found.round(3).tolist()} <= known
