from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest
from scipy import sparse

from iscan_dash.core.study import matrices
from iscan_dash.core.study.matrices import Matrix, MatrixKind, detect_kind, find_matrices
from tests.studies import STORAGES, log1p_cp10k, some_counts, write_study

Finder = Callable[..., dict[str, Matrix]]

N_CELLS, N_GENES = 30, 7


@pytest.fixture
def find(tmp_path: Path) -> Iterator[Finder]:
    """Write matrices to a file and find them there."""
    opened: list[h5py.File] = []

    def find_(x: Any = None, **parts: Any) -> dict[str, Matrix]:
        path = write_study(tmp_path / f"{len(opened)}.h5ad", cells=N_CELLS, genes=N_GENES, x=x, **parts)
        opened.append(h5py.File(path, "r"))
        return find_matrices(opened[-1])

    yield find_
    for file in opened:
        file.close()


@pytest.fixture(params=[4_000_000, 11], ids=["at once", "in blocks"])
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "BLOCK", request.param)


def counts_with_empty_rows() -> np.ndarray:
    counts = some_counts(N_CELLS, N_GENES)
    counts[[0, 4, 5, N_CELLS - 1]] = 0
    counts[:, 3] = 0
    return counts


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.usefixtures("_block")
class TestReading:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint8, bool])
    def test_a_gene_is_what_anndata_reads(self, find: Finder, storage: str, dtype: type) -> None:
        matrix = find(STORAGES[storage](counts_with_empty_rows().astype(dtype)))["X"]
        adata = ad.read_h5ad(matrix.element.file.filename)

        for place in range(N_GENES):
            expected = adata[:, place].X
            expected = expected.toarray() if sparse.issparse(expected) else np.asarray(expected)
            gene = matrix.gene(place)
            assert gene.dtype == np.float32
            np.testing.assert_array_equal(gene, expected.ravel().astype(np.float32))

    def test_totals_are_those_of_the_cells(self, find: Finder, storage: str) -> None:
        x = counts_with_empty_rows()
        x[2, 2] = -3
        totals, detected = find(STORAGES[storage](x))["X"].cell_totals()

        np.testing.assert_array_equal(totals, x.sum(axis=1))
        np.testing.assert_array_equal(detected, (x > 0).sum(axis=1))
        assert (totals.dtype, detected.dtype) == (np.float64, np.int64)

    def test_an_empty_matrix_reads_as_zeros(self, find: Finder, storage: str) -> None:
        matrix = find(STORAGES[storage](np.zeros((N_CELLS, N_GENES), np.float32)))["X"]

        assert matrix.gene(N_GENES - 1).tolist() == [0] * N_CELLS
        assert [part.tolist() for part in matrix.cell_totals()] == [[0] * N_CELLS] * 2


@pytest.mark.parametrize(("storage", "stored"), [("csr", 70), ("csc", 70), ("dense", N_CELLS * N_GENES)])
def test_what_is_known_of_a_matrix(find: Finder, storage: str, stored: int) -> None:
    x = np.zeros((N_CELLS, N_GENES), np.int16)
    x.flat[:70] = 1
    matrix = find(STORAGES[storage](x))["X"]

    assert matrix.key == "X"
    assert matrix.storage == storage
    assert matrix.shape == (N_CELLS, N_GENES)
    assert matrix.stored == stored
    assert matrix.dtype == np.int16


@pytest.mark.parametrize("storage", ["csr", "dense"])
def test_rows(find: Finder, storage: str) -> None:
    x = counts_with_empty_rows()
    values, lengths = find(STORAGES[storage](x))["X"].rows(3, 7)

    kept = x[3:7] if storage == "dense" else x[3:7][x[3:7] != 0]
    assert values.tolist() == kept.ravel().tolist()
    assert lengths.tolist() == ([N_GENES] * 4 if storage == "dense" else (x[3:7] != 0).sum(axis=1).tolist())


def test_all_matrices_of_a_file_are_found(find: Finder) -> None:
    counts = some_counts(N_CELLS, N_GENES)
    raw = ad.AnnData(sparse.csc_matrix(some_counts(N_CELLS, 9)))
    raw.obs_names = [f"cell{number}" for number in range(N_CELLS)]
    layers = {"counts": sparse.csr_matrix(counts), "b": counts}
    found = find(sparse.csr_matrix(log1p_cp10k(counts)), raw=raw, layers=layers)

    assert list(found) == ["X", "raw/X", "layers/b", "layers/counts"]
    assert [matrix.storage for matrix in found.values()] == ["csr", "csc", "dense", "csr"]
    assert [matrix.shape[1] for matrix in found.values()] == [N_GENES, 9, N_GENES, N_GENES]
    np.testing.assert_array_equal(found["layers/b"].gene(2), counts[:, 2])
    np.testing.assert_array_equal(found["raw/X"].gene(8), some_counts(N_CELLS, 9)[:, 8])


def test_what_is_no_matrix_of_numbers_is_passed_over(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        file["X"] = h5py.Empty("f4")
        file["layers/text"] = np.array([[b"a"]])
        file["layers/flat"] = np.ones(3)
        file["layers/flags"] = np.ones((2, 2), bool)
        file.create_group("layers/group").attrs["encoding-type"] = "dataframe"
        assert list(find_matrices(file)) == ["layers/flags"]


def test_a_file_without_a_matrix(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        assert find_matrices(file) == {}


COUNTS = some_counts(N_CELLS, N_GENES)
BIG_COUNTS = COUNTS * 100
CP10K = COUNTS / COUNTS.sum(axis=1, keepdims=True) * 1e4


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(
    ("x", "kind", "description", "reason"),
    [
        (BIG_COUNTS, MatrixKind.COUNTS, "counts", f"whole numbers, 0 to {BIG_COUNTS.max():.0f}, in 30 cells"),
        (COUNTS, MatrixKind.COUNTS, "counts", f"whole numbers, 0 to {COUNTS.max():.0f}, in 30 cells"),
        (COUNTS.astype(np.int64), MatrixKind.COUNTS, "counts", f"whole numbers, 0 to {COUNTS.max():.0f}, in 30 cells"),
        (np.zeros_like(COUNTS), MatrixKind.COUNTS, "counts", None),
        (
            np.log1p(CP10K).astype(np.float32),
            MatrixKind.LOG1P,
            "log1p, 10,000 per cell",
            "expm1 totals agree (10,000.0 per cell) in 30 cells",
        ),
        (
            np.log1p(CP10K / 1e4),
            MatrixKind.LOG1P,
            "log1p, 1 per cell",
            "expm1 totals agree (1.0 per cell) in 30 cells",
        ),
        (
            np.log1p(COUNTS),
            MatrixKind.LOG,
            "log values (size factor unknown)",
            f"fractions up to {np.log1p(COUNTS).max():.3g}, totals differ, in 30 cells",
        ),
        (
            np.log1p(CP10K * np.linspace(1, 1.1, N_CELLS)[:, None]),
            MatrixKind.LOG,
            "log values (size factor unknown)",
            None,
        ),
        (CP10K, MatrixKind.NORMALISED, "normalised, not logged", None),
        (COUNTS - 0.5, MatrixKind.SCALED, "scaled", None),
        (np.where(COUNTS > 3, -1, COUNTS), MatrixKind.SCALED, "scaled", "negative values, -1 to 3, in 30 cells"),
    ],
    ids=[
        "counts",
        "small counts",
        "integers",
        "zeros",
        "log1p of 10k",
        "log1p of 1",
        "log1p",
        "log1p of 10 % more",
        "of 10k",
        "scaled",
        "one negative",
    ],
)
def test_the_kind_of_values(
    find: Finder, x: np.ndarray, kind: MatrixKind, description: str, reason: str | None, storage: str
) -> None:
    evidence = detect_kind(find(STORAGES[storage](x))["X"])

    assert evidence.kind is kind
    assert evidence.description == description
    if reason:
        assert evidence.reason == reason


@pytest.mark.parametrize(("storage", "reason"), [("csr", "only zeros"), ("csc", "only zeros"), ("dense", "whole")])
def test_a_matrix_of_zeros_is_told(find: Finder, storage: str, reason: str) -> None:
    evidence = detect_kind(find(STORAGES[storage](np.zeros_like(COUNTS)))["X"])

    assert evidence.reason.startswith(reason)
    assert evidence.reason.endswith("in 30 cells")


@pytest.mark.parametrize("storage", STORAGES)
def test_values_that_are_not_finite_do_not_change_the_kind(find: Finder, storage: str) -> None:
    logged, counts = np.log1p(CP10K), COUNTS.copy()
    logged[3, 1] = counts[3, 1] = np.nan
    counts[4, 2] = np.inf
    assert detect_kind(find(STORAGES[storage](logged))["X"]).kind is MatrixKind.LOG1P
    assert detect_kind(find(STORAGES[storage](counts))["X"]).kind is MatrixKind.COUNTS


@pytest.mark.parametrize("storage", STORAGES)
def test_a_value_of_24_may_be_a_log_value_and_more_may_not(find: Finder, storage: str) -> None:
    x = np.full_like(COUNTS, 0.5)
    x[0, 0] = 24
    assert detect_kind(find(STORAGES[storage](x))["X"]).kind is MatrixKind.LOG
    x[0, 0] = 24.5
    assert detect_kind(find(STORAGES[storage](x))["X"]).kind is MatrixKind.NORMALISED


def test_cells_without_counts_do_not_hide_the_total_of_the_others(find: Finder) -> None:
    x = np.log1p(CP10K)
    x[5:9] = 0
    assert detect_kind(find(sparse.csr_matrix(x))["X"]).description == "log1p, 10,000 per cell"


@pytest.mark.parametrize("storage", ["csr", "dense"])
def test_the_cells_looked_at_are_spread_over_a_large_matrix(tmp_path: Path, storage: str) -> None:
    x = np.ones((12_000, 1), np.float32)
    # The last tenth is scaled.
    x[-1_200:] = -1
    path = write_study(tmp_path / "a.h5ad", cells=12_000, genes=1, x=STORAGES[storage](x))
    with h5py.File(path, "r") as file:
        evidence = detect_kind(find_matrices(file)["X"])

    assert evidence.kind is MatrixKind.SCALED
    assert evidence.reason == "negative values, -1 to 1, in 2,000 cells"


def test_a_large_column_major_matrix_is_judged_by_its_first_genes(
    find: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrices, "BLOCK", 3)
    evidence = detect_kind(find(sparse.csc_matrix(np.log1p(CP10K)))["X"])

    assert evidence.kind is MatrixKind.LOG
