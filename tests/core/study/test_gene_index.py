"""A gene read by its index is the gene that is found in the matrix, and a file that is not what was written is told."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from iscan_dash.core.study import gene_index
from iscan_dash.core.study.dataset import Dataset, open_dataset
from iscan_dash.core.study.gene_index import (
    DamagedIndex,
    GeneIndex,
    index_key,
    is_worth_indexing,
    open_gene_index,
    write_gene_index,
)
from iscan_dash.core.study.matrices import Matrix, find_matrices
from iscan_dash.errors import DataError
from tests.limits import no_more_files, posix
from tests.studies import STORAGES, some_counts, write_study

KEY = "k" * 32
DTYPES = ("f2", "f4", "f8", "i1", "i4", "i8", "u1", "u2", "?")


def in_memory(name: str) -> h5py.File:
    return h5py.File(name, "w", driver="core", backing_store=False)


def as_matrix(file: h5py.File, values: np.ndarray, storage: str, index_dtype: str = "i4") -> Matrix:
    """Store values as AnnData does; the data types that SciPy does not know, too."""
    if storage == "dense":
        file["X"] = values
        file["X"].attrs["encoding-type"] = "array"
    else:
        rows, genes = np.nonzero(values)
        group = file.create_group("X")
        group.attrs.update({"encoding-type": f"{storage}_matrix", "shape": values.shape})
        group["data"], group["indices"] = values[rows, genes], genes.astype(index_dtype)
        group["indptr"] = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(values)))]).astype(index_dtype)
    return find_matrices(file)["X"]


def write(matrix: Matrix, path: Path, **options: Any) -> GeneIndex:
    with path.open("wb") as file:
        write_gene_index(matrix, file, KEY, **options)
    return open_gene_index(path, KEY, matrix.shape)


def read_all(path: Path, matrix: Matrix) -> list[np.ndarray]:
    index = open_gene_index(path, KEY, matrix.shape)
    return [index.gene(place) for place in range(matrix.shape[1])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("indices")


@given(data=st.data())
def test_each_gene_is_what_is_found_in_the_matrix(folder: Path, data: st.DataObject) -> None:
    n_cells, n_genes = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 9))
    dtype, storage = data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from(["csr", "dense"]))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    values = random.integers(0, 3, (n_cells, n_genes)).astype(dtype)
    if values.dtype.kind == "f":
        values *= random.choice([1, -1.25, 1 / 3, 2e4, np.nan], values.shape).astype(dtype)
    # Cells and genes without a value.
    values[random.random(n_cells) < 0.2] = 0
    values[:, random.random(n_genes) < 0.2] = 0
    with in_memory("given") as file:
        matrix = as_matrix(file, values, storage, data.draw(st.sampled_from(["i4", "i8"])))
        index = write(matrix, folder / "given", block=data.draw(st.integers(1, 80)))
        for gene in range(n_genes):
            found = index.gene(gene)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, values[:, gene].astype(np.float32))
            np.testing.assert_array_equal(found, matrix.gene(gene))


def test_a_gene_that_a_cell_has_twice_is_read_as_it_is_found(tmp_path: Path) -> None:
    with in_memory("twice") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "shape": (3, 2)})
        # Out of order, twice, and a zero that is stored.
        group["data"], group["indices"] = np.array([1, 2, 3, 0, 5], "f4"), np.array([1, 0, 1, 0, 0])
        group["indptr"] = np.array([0, 3, 4, 5])
        matrix = find_matrices(file)["X"]
        index = write(matrix, tmp_path / "twice")
        assert index.gene(0).tolist() == matrix.gene(0).tolist() == [2, 0, 5]
        assert index.gene(1).tolist() == matrix.gene(1).tolist() == [3, 0, 0]


@pytest.fixture
def matrix() -> Any:
    with in_memory("matrix") as file:
        yield as_matrix(file, some_counts(60, 8), "csr")


def test_progress_rises_to_all(matrix: Matrix, tmp_path: Path) -> None:
    told: list[float] = []
    write(matrix, tmp_path / "told", tell=told.append, block=50)
    assert len(told) > 8 and told == sorted(told) and told[-1] == 1


def test_what_is_told_may_end_the_work_and_nothing_else_is_left(matrix: Matrix, tmp_path: Path) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(matrix, tmp_path / "stopped", tell=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["stopped"]


def test_little_memory_is_needed_for_many_values(tmp_path: Path) -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    with in_memory("many") as file:
        dense = rng.random((3000, 200)).astype("f4")
        matrix = as_matrix(file, dense, "csr")
        write(matrix, tmp_path / "warm", block=20_000)
        tracemalloc.start()
        write(matrix, tmp_path / "many", block=20_000)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # The values and their places take 4.8 MB, a block of them 160 kB.
    assert peak < 2_000_000


def test_many_blocks_need_no_more_memory_than_few(tmp_path: Path) -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    n_cells, n_genes = 600, 20_000
    peaks = []
    with in_memory("blocks") as file:
        dense = np.zeros((n_cells, n_genes), "f4")
        dense[np.repeat(np.arange(n_cells), 10), rng.integers(0, n_genes, 10 * n_cells)] = 1
        matrix = as_matrix(file, dense, "csr")
        write(matrix, tmp_path / "warm")
        for block in (2000, 100):
            tracemalloc.start()
            index = write(matrix, tmp_path / "blocks", block=block)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    np.testing.assert_array_equal(index.gene(7), dense[:, 7])
    # Where the genes of a block begin takes 80 kB: 5 MB for 60 blocks.
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("place", ["mark", "gene", "table", "footer"])
def test_a_flipped_byte_is_noticed(matrix: Matrix, tmp_path: Path, place: str) -> None:
    path = tmp_path / "flipped"
    size = write(matrix, path).size
    at = {"mark": 3, "gene": 40, "table": size - 150, "footer": size - 5}[place]
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedIndex):
        read_all(path, matrix)


@given(length=st.integers(0, 10_000))
def test_a_file_that_was_cut_short_is_noticed(folder: Path, length: int) -> None:
    with in_memory("short") as file:
        matrix = as_matrix(file, some_counts(60, 8), "csr")
        path = folder / "short"
        whole = write(matrix, path).size
        path.write_bytes(path.read_bytes()[: min(length, whole - 1)])
        with pytest.raises(DamagedIndex):
            open_gene_index(path, KEY, matrix.shape)


def test_a_file_that_is_cut_short_or_goes_after_it_was_opened(matrix: Matrix, tmp_path: Path) -> None:
    path = tmp_path / "later"
    index = write(matrix, path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DamagedIndex):
        index.gene(7)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        index.gene(7)


def test_an_index_of_another_matrix_is_refused(matrix: Matrix, tmp_path: Path) -> None:
    path = tmp_path / "other"
    write(matrix, path)
    for key, shape in (("x" * 32, matrix.shape), (KEY, (matrix.shape[0] + 1, 8)), (KEY, (60, 7))):
        with pytest.raises(DamagedIndex):
            open_gene_index(path, key, shape)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("indices", [0, 8]),
        ("indices", [0, -1]),
        ("indptr", [0, 2, 1, 2]),
        ("indptr", [1, 1, 1, 2]),
        ("indptr", [0, 1, 1, 3]),
    ],
)
def test_a_damaged_matrix_is_told(tmp_path: Path, part: str, values: list[int]) -> None:
    with in_memory("damaged") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "shape": (3, 8)})
        parts = {"data": [1.0, 2.0], "indices": [0, 7], "indptr": [0, 1, 1, 2]} | {part: values}
        for name, own in parts.items():
            group[name] = np.array(own)
        with pytest.raises(DataError, match="is damaged"):
            write(find_matrices(file)["X"], tmp_path / "damaged")


@pytest.mark.parametrize("storage", ["csr", "dense"])
def test_the_key_is_of_the_content_and_not_of_the_place(tmp_path: Path, storage: str) -> None:
    counts = some_counts(60, 8)

    def key(name: str, values: np.ndarray, stamp: tuple[int, int] = (1, 2)) -> str:
        path = write_study(tmp_path / name, cells=60, genes=8, x=STORAGES[storage](values))
        with h5py.File(path) as file:
            return index_key(find_matrices(file)["X"], stamp)

    other = counts.copy()
    other[30, np.flatnonzero(counts[30])[0]] += 1
    own = key("a", counts)
    assert own == key("b", counts)
    assert len({own, key("c", other), key("d", counts, (1, 3)), key("e", counts.astype("f8"))}) == 4


def test_only_large_row_major_matrices_are_worth_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for storage, make in STORAGES.items():
        dataset = open_dataset(write_study(tmp_path / storage, cells=60, genes=8, x=make(some_counts(60, 8))))
        matrix = dataset.matrices["X"]
        with monkeypatch.context() as patch:
            smallest = 48 if storage == "dense" else matrix.stored
            patch.setattr(gene_index, "SMALLEST", smallest)
            assert is_worth_indexing(matrix) == (storage != "csc")
            patch.setattr(gene_index, "SMALLEST", smallest + 1)
            assert not is_worth_indexing(matrix)
        assert not is_worth_indexing(matrix)
        dataset.close()


class TestDataset:
    @pytest.fixture
    def dataset(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr(gene_index, "SMALLEST", 1)
        x = sparse.csr_matrix(some_counts(60, 8))
        dataset = open_dataset(write_study(tmp_path / "study.h5ad", cells=60, genes=8, x=x))
        yield dataset
        dataset.close()

    @pytest.fixture
    def searched(self, dataset: Dataset) -> list[tuple[str, int | None]]:
        """Give the data set an index of other values, so that it is seen where genes come from."""
        searched: list[tuple[str, int | None]] = []
        with in_memory("ones") as file:
            index = write(as_matrix(file, np.ones((60, 8), "f4"), "csr"), dataset.path.with_suffix(".index"))
        dataset.indices.ready["X"] = index
        dataset.indices.searched = lambda matrix, damaged: searched.append((matrix, damaged))
        return searched

    def test_a_gene_comes_from_the_index(self, dataset: Dataset, searched: list[tuple[str, int | None]]) -> None:
        assert not dataset.is_searched("X")
        assert dataset.gene("X", 3).tolist() == [1] * 60
        assert searched == []

    @pytest.mark.parametrize(("harm", "damaged"), [("cut", 3), ("gone", None), pytest.param("busy", None, marks=posix)])
    def test_one_that_cannot_be_read_is_wanted_anew(
        self, dataset: Dataset, searched: list[tuple[str, int | None]], harm: str, damaged: int | None
    ) -> None:
        path = dataset.indices.ready["X"].path
        if harm == "cut":
            path.write_bytes(path.read_bytes()[:30])
        elif harm == "gone":
            path.unlink()
        with no_more_files() if harm == "busy" else nullcontext():
            found = dataset.gene("X", 3)
        np.testing.assert_array_equal(found, some_counts(60, 8)[:, 3])
        assert dataset.is_searched("X") and searched == [("X", damaged)] and not dataset.indices.ready

    def test_that_of_a_file_that_was_changed_is_not_used(
        self, dataset: Dataset, searched: list[tuple[str, int | None]]
    ) -> None:
        dataset.path.touch()
        assert dataset.is_searched("X")
        np.testing.assert_array_equal(dataset.gene("X", 3), some_counts(60, 8)[:, 3])
        assert searched == [("X", None)]
