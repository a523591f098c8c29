"""The cells of a study as the engine reads them: any files, matrices and storages."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from iscan_dash.core.engine.query import Query
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.errors import PredictionRefused, UnknownColumn
from iscan_dash.services.study_query import choose_matrices, gene_names, study_query
from tests.conftest import Opener
from tests.studies import STORAGES, log1p_cp10k, some_counts, write_study


def values(query: Query) -> np.ndarray:
    blocks = [block.toarray() if sparse.issparse(block) else block for block in query.blocks()]
    return np.concatenate([np.zeros((0, len(query.genes))), *blocks])


def raw_of(x: np.ndarray) -> ad.AnnData:
    return ad.AnnData(x, var=pd.DataFrame(index=[f"GENE{place}" for place in range(x.shape[1])]))


class TestChoice:
    def test_the_most_genes_then_log_values(self, tmp_path: Path, open_files: Opener) -> None:
        counts = some_counts(30, 8)
        logged = log1p_cp10k(counts)
        same = open_files(write_study(tmp_path / "a.h5ad", cells=30, genes=8, x=logged, layers={"counts": counts}))
        assert [(chosen.key, chosen.kind) for chosen in choose_matrices(same)] == [("X", MatrixKind.LOG1P)]
        few = write_study(tmp_path / "b.h5ad", cells=30, genes=5, x=logged[:, :5], raw=raw_of(counts))
        assert choose_matrices(open_files(few))[0].key == "raw/X"
        scaled = write_study(tmp_path / "c.h5ad", cells=30, genes=8, x=logged - 1, layers={"counts": counts})
        assert choose_matrices(open_files(scaled))[0].key == "layers/counts"

    def test_refusals(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", cells=30, x=some_counts(30, 5) - 1))
        with pytest.raises(PredictionRefused) as scaled:
            choose_matrices(study)
        assert str(scaled.value) == "X looks scaled (negative values). Choose counts or log values."
        with pytest.raises(UnknownColumn) as unknown:
            choose_matrices(study, "layers/counts")
        assert str(unknown.value) == 'a.h5ad has no matrix "layers/counts". It has: X.'
        path = tmp_path / "b.h5ad"
        ad.AnnData(obs=pd.DataFrame(index=["c1"]), var=pd.DataFrame(index=["g"])).write_h5ad(path)
        with pytest.raises(PredictionRefused, match=r"^b\.h5ad has no expression matrix\.$"):
            choose_matrices(open_files(path))

    def test_the_kind_that_the_user_says(self, tmp_path: Path, open_files: Opener) -> None:
        from iscan_dash.core.study.study import Choices

        study = open_files(write_study(tmp_path / "a.h5ad", cells=30, x=some_counts(30, 5) - 1))
        told = study.with_choices(Choices(matrix_kinds={"a:X": "log"}))
        assert choose_matrices(told)[0].kind is MatrixKind.LOG


def test_names_of_genes_by_a_column(tmp_path: Path, open_files: Opener) -> None:
    counts = some_counts(6, 3)
    raw = ad.AnnData(some_counts(6, 5), var=pd.DataFrame(index=[f"R{place}" for place in range(5)]))
    one = write_study(tmp_path / "a.h5ad", cells=6, genes=3, x=counts, raw=raw, var={"symbol": ["C", "A", "B"]})
    two = write_study(tmp_path / "b.h5ad", cells=6, genes=3, x=counts, var={"symbol": ["A", "", "C"]})
    study = open_files(one, two)
    # Of raw, which has more genes, they have no such names.
    matrices = choose_matrices(study, gene_column="symbol")
    assert [(chosen.key, chosen.gene_column) for chosen in matrices] == [("X", "symbol"), ("X", "symbol")]
    with study_query(study, matrices) as query:
        assert list(query.genes) == ["C", "A"]
        np.testing.assert_array_equal(values(query), np.concatenate([counts[:, [0, 1]], counts[:, [2, 0]]]))
    assert gene_names(study, choose_matrices(study, "X", "_index")) == ["GENE0", "GENE1", "GENE2"]
    for key, column in (("raw/X", "symbol"), (None, "none")):
        with pytest.raises(UnknownColumn, match=f'have no column of names "{column}"'):
            choose_matrices(open_files(one), key, column)


@pytest.mark.parametrize("storage", STORAGES)
def test_one_file(tmp_path: Path, open_files: Opener, storage: str) -> None:
    counts = some_counts(20, 6)
    study = open_files(write_study(tmp_path / "a.h5ad", cells=20, genes=6, x=STORAGES[storage](counts)))
    matrices = choose_matrices(study)
    with study_query(study, matrices) as query:
        assert (query.n_cells, query.kind, query.name) == (20, MatrixKind.COUNTS, "X")
        assert list(query.genes) == [f"GENE{place}" for place in range(6)]
        np.testing.assert_array_equal(values(query), counts)
    wanted = np.arange(20) % 3 == 1
    with study_query(study, matrices, wanted) as query:
        assert query.n_cells == wanted.sum()
        np.testing.assert_array_equal(values(query), counts[wanted])
    with study_query(study, matrices, np.zeros(20, bool)) as query:
        assert (query.n_cells, len(values(query))) == (0, 0)


def test_genes_that_repeat_or_have_no_name(tmp_path: Path, open_files: Opener) -> None:
    study = open_files(write_study(tmp_path / "a.h5ad", cells=3, genes=["A", "", "A"], x=some_counts(3, 3)))
    assert gene_names(study, choose_matrices(study)) == ["A", None, "A"]


@pytest.mark.parametrize("first", STORAGES)
@pytest.mark.parametrize("second", STORAGES)
def test_files_with_other_genes(tmp_path: Path, open_files: Opener, first: str, second: str) -> None:
    ours, theirs = ["A", "B", "C", "D"], ["D", "X", "B", "", "B", "A"]
    one, two = some_counts(5, 4), some_counts(7, 6, seed=1)
    study = open_files(
        write_study(tmp_path / "a.h5ad", cells=5, genes=ours, x=STORAGES[first](one)),
        write_study(tmp_path / "b.h5ad", cells=7, genes=theirs, x=STORAGES[second](two)),
    )
    with study_query(study, choose_matrices(study)) as query:
        assert list(query.genes) == ["A", "B", "D"]
        expected = np.concatenate([one[:, [0, 1, 3]], two[:, [5, 2, 0]]])
        np.testing.assert_array_equal(values(query), expected)
        # It can be read again.
        np.testing.assert_array_equal(values(query), expected)


@pytest.mark.parametrize("storage", STORAGES)
def test_counts_beside_log_values_become_log_values(tmp_path: Path, open_files: Opener, storage: str) -> None:
    counts, logged = some_counts(20, 6), log1p_cp10k(some_counts(30, 6, seed=1))
    study = open_files(
        write_study(tmp_path / "a.h5ad", cells=20, genes=6, x=STORAGES[storage](counts)),
        write_study(tmp_path / "b.h5ad", cells=30, genes=6, x=STORAGES[storage](logged)),
    )
    with study_query(study, choose_matrices(study)) as query:
        assert query.kind is MatrixKind.LOG
        np.testing.assert_allclose(values(query), np.concatenate([log1p_cp10k(counts), logged]), rtol=1e-5)
