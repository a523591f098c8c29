import gzip
import hashlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from iscan_dash.core.study.columns import CategoryColumn, Column, NumberColumn
from iscan_dash.core.study.dataset import Dataset, open_dataset
from iscan_dash.errors import DataError, UnknownColumn
from tests.studies import write_as_anndata_0_7, write_study

COLUMNS: dict[str, Any] = {
    "fate": pd.Categorical(["B", "A", None, "B"], categories=["unused", "B", "A"]),
    "dose": pd.Categorical(["high", "low", "mid", "low"], categories=["low", "mid", "high"], ordered=True),
    "leiden": pd.Categorical(["10", "2", "2", "0"], categories=["0", "10", "2"]),
    "level": pd.Categorical([2.5, 10.0, 2.5, np.nan]),
    "flag_level": pd.Categorical([True, False, True, True]),
    "kept": [True, False, True, True],
    "lane": np.array([2, 10, 2, -1], np.int64),
    "plate": np.array([1, 2, 2, 255], np.uint8),
    "score": np.array([0.1, np.nan, -0.0, np.inf], np.float32),
    "half": np.array([0.1, 1, 2, 3], np.float16),
    "wide": np.array([1e300, 0.1, np.nan, 3]),
    "n_lost": pd.array([1, None, 3, 4], dtype="Int32"),
    "maybe": pd.array([True, None, False, True], dtype="boolean"),
    "note": np.array(["x", "", "None", "x"], object),
    "text": pd.array(["b", None, "", "a"], dtype="string"),
    "day": np.array(["2026-01-02", "2026-01-01", "2026-01-02", ""], object),
}


@pytest.fixture
def open_file() -> Iterator[Callable[[Path], Dataset]]:
    opened: list[Dataset] = []

    def open_(path: Path) -> Dataset:
        opened.append(open_dataset(path))
        return opened[-1]

    yield open_
    for dataset in opened:
        dataset.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    path = tmp_path_factory.mktemp("study") / "mine.h5ad"
    dataset = open_dataset(write_study(path, COLUMNS, cells=["c1", "c2", "é", "c1"]))
    yield dataset
    dataset.close()


def values(column: Column) -> list[Any]:
    if isinstance(column, NumberColumn):
        return column.values.tolist()
    return [column.labels[code] if code >= 0 else None for code in column.codes.tolist()]


@pytest.mark.parametrize(
    ("name", "type_", "labels", "cells"),
    [
        ("fate", "category", ("B", "A"), ["B", "A", None, "B"]),
        ("dose", "category", ("low", "mid", "high"), ["high", "low", "mid", "low"]),
        ("leiden", "category", ("0", "2", "10"), ["10", "2", "2", "0"]),
        ("level", "category", ("2.5", "10"), ["2.5", "10", "2.5", None]),
        ("flag_level", "category", ("False", "True"), ["True", "False", "True", "True"]),
        ("kept", "bool", ("False", "True"), ["True", "False", "True", "True"]),
        ("maybe", "boolean", ("False", "True"), ["True", None, "False", "True"]),
        ("note", "text", ("None", "x"), ["x", None, "None", "x"]),
        ("text", "string", ("a", "b"), ["b", None, None, "a"]),
        ("day", "text", ("2026-01-01", "2026-01-02"), ["2026-01-02", "2026-01-01", "2026-01-02", None]),
    ],
)
def test_columns_of_labels(
    study: Dataset, name: str, type_: str, labels: tuple[str, ...], cells: list[str | None]
) -> None:
    column = study.column(name)

    assert study.column_type(name) == type_
    assert isinstance(column, CategoryColumn)
    assert column.name == name
    assert column.labels == labels
    assert values(column) == cells
    assert column.note == ""


@pytest.mark.parametrize(
    ("name", "type_", "dtype", "cells"),
    [
        ("lane", "int64", np.float64, [2, 10, 2, -1]),
        ("plate", "uint8", np.float32, [1, 2, 2, 255]),
        ("score", "float32", np.float32, [0.1, np.nan, -0.0, np.inf]),
        ("half", "float16", np.float16, [0.1, 1, 2, 3]),
        ("wide", "float64", np.float64, [1e300, 0.1, np.nan, 3]),
        ("n_lost", "integer", np.float64, [1, np.nan, 3, 4]),
    ],
)
def test_columns_of_numbers(study: Dataset, name: str, type_: str, dtype: type, cells: list[float]) -> None:
    column = study.column(name)

    assert study.column_type(name) == type_
    assert isinstance(column, NumberColumn)
    assert column.values.dtype == dtype
    np.testing.assert_array_equal(column.values, np.array(cells, dtype))


def test_columns_come_in_the_order_of_the_file(study: Dataset) -> None:
    assert study.column_names == tuple(COLUMNS)
    assert study.n_cells == 4
    assert study.name == "mine"


def test_a_missing_column_is_refused(study: Dataset) -> None:
    with pytest.raises(UnknownColumn, match=r'^mine\.h5ad has no obs column "_index"\.$'):
        study.column("_index")


def test_times_become_text(tmp_path: Path, open_file: Callable[[Path], Dataset]) -> None:
    path = write_study(tmp_path / "a.h5ad", {"when": [1, 2, 3]})
    times = np.array(["2026-01-02T03:04:05", "NaT", "2025-12-31"], "M8[ns]")
    with h5py.File(path, "r+") as file:
        del file["obs/when"]
        file["obs/when"] = times.astype(h5py.opaque_dtype(times.dtype))
    column = open_file(path).column("when")

    assert values(column) == ["2026-01-02 03:04:05", None, "2025-12-31 00:00:00"]
    assert isinstance(column, CategoryColumn)
    assert column.note == "datetime"


def test_categories_as_anndata_0_7_wrote_them(tmp_path: Path, open_file: Callable[[Path], Dataset]) -> None:
    names = ("fate", "dose", "leiden", "lane", "score", "note")
    uns = {"fate_colors": ["#000001", "#000002", "#000003"]}
    path = write_study(tmp_path / "old.h5ad", {name: COLUMNS[name] for name in names}, cells=list("abcd"), uns=uns)
    write_as_anndata_0_7(path)
    study = open_file(path)

    assert {name: study.column_type(name) for name in names} == {
        "fate": "category",
        "dose": "category",
        "leiden": "category",
        "lane": "int64",
        "score": "float32",
        "note": "text",
    }
    assert values(study.column("fate")) == ["B", "A", None, "B"]
    assert values(study.column("dose")) == ["high", "low", "mid", "low"]
    assert study.column("dose").labels == ("low", "mid", "high")
    assert values(study.column("leiden")) == ["10", "2", "2", "0"]
    assert values(study.column("lane")) == [2, 10, 2, -1]
    assert values(study.column("note")) == ["x", None, "None", "x"]
    assert study.colours("fate") == {"unused": "#000001", "B": "#000002", "A": "#000003"}
    assert list(study.cell_ids()) == [[b"a", b"b", b"c", b"d"]]


class TestCellIds:
    def test_of_the_index(self, study: Dataset) -> None:
        assert list(study.cell_ids()) == [[b"c1", b"c2", "é".encode(), b"c1"]]
        assert study.index_name == "_index"

    @pytest.mark.parametrize(
        ("column", "ids"),
        [
            ("note", [b"x", b"", b"None", b"x"]),
            ("lane", [b"2", b"10", b"2", b"-1"]),
            ("fate", [b"B", b"A", b"", b"B"]),
            ("text", [b"b", b"", b"", b"a"]),
            ("plate", [b"1", b"2", b"2", b"255"]),
        ],
    )
    def test_of_a_column(self, study: Dataset, column: str, ids: list[bytes]) -> None:
        assert list(study.cell_ids(column)) == [ids]

    def test_of_a_missing_column(self, study: Dataset) -> None:
        with pytest.raises(UnknownColumn, match='no obs column "barcode" to take the cell ids from'):
            list(study.cell_ids("barcode"))

    def test_of_a_named_index(self, tmp_path: Path, open_file: Callable[[Path], Dataset]) -> None:
        dataset = open_file(write_study(tmp_path / "a.h5ad", cells=["a", "b"], index_name="barcode"))

        assert dataset.index_name == "barcode"
        assert list(dataset.cell_ids()) == [[b"a", b"b"]]

    def test_of_fixed_width_as_other_tools_write_them(
        self, tmp_path: Path, open_file: Callable[[Path], Dataset]
    ) -> None:
        path = write_study(tmp_path / "a.h5ad", cells=["a", "b"], genes=["g", "h"])
        with h5py.File(path, "r+") as file:
            for table, ids in (("obs", [b"AAC", b"T"]), ("var", [b"CD3D", b"LYZ"])):
                del file[table]["_index"]
                file[table]["_index"] = np.array(ids)
        dataset = open_file(path)

        assert list(dataset.cell_ids()) == [[b"AAC", b"T"]]
        assert dataset.gene_names() == ("CD3D", "LYZ")

    def test_of_a_nullable_index(self, tmp_path: Path, open_file: Callable[[Path], Dataset]) -> None:
        path = write_study(tmp_path / "a.h5ad", {"ids": pd.array(["a", "b", "c"], dtype="string")})
        with h5py.File(path, "r+") as file:
            del file["obs/_index"]
            file["obs"].move("ids", "_index")
            file["obs"].attrs["column-order"] = np.array([], h5py.string_dtype())
        dataset = open_file(path)

        assert dataset.n_cells == 3
        assert list(dataset.cell_ids()) == [[b"a", b"b", b"c"]]

    def test_of_many_cells_come_in_blocks(
        self, tmp_path: Path, open_file: Callable[[Path], Dataset], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("iscan_dash.core.study.dataset.CHUNK", 2)
        dataset = open_file(write_study(tmp_path / "a.h5ad", cells=["a", "b", "c"]))

        assert list(dataset.cell_ids()) == [[b"a", b"b"], [b"c"]]


class TestColours:
    def write(self, path: Path, colours: Any) -> Path:
        obs = {"c": pd.Categorical([2.0, 10.0], categories=[2.0, 3.0, 10.0]), "n": [1, 2]}
        return write_study(path, obs, uns={"c_colors": colours, "n_colors": ["#000000", "#111111"]})

    @pytest.mark.parametrize(
        ("colours", "expected"),
        [
            (["#AABBCC", "#000000", "#11223344"], {"2": "#aabbcc", "3": "#000000", "10": "#112233"}),
            (["#aabbcc", "#000000"], {}),
            (["red", "green", "blue"], {}),
            (["#aabbcc", "#00000", "#112233"], {}),
            (np.eye(3), {}),
            ({"2": "#aabbcc"}, {}),
        ],
    )
    def test_of_a_category(
        self, tmp_path: Path, open_file: Callable[[Path], Dataset], colours: Any, expected: dict[str, str]
    ) -> None:
        assert open_file(self.write(tmp_path / "a.h5ad", colours)).colours("c") == expected

    def test_of_other_columns(self, tmp_path: Path, open_file: Callable[[Path], Dataset]) -> None:
        dataset = open_file(self.write(tmp_path / "a.h5ad", ["#000000"] * 3))

        assert dataset.colours("n") == {}
        assert dataset.colours("nothing") == {}


def test_embeddings_are_tables_of_two_or_more_columns(tmp_path: Path, open_file: Callable[[Path], Dataset]) -> None:
    xyz = np.arange(12, dtype=float).reshape(4, 3)
    obsm = {
        "X_pca": xyz,
        "X_one": xyz[:, :1],
        "X_int": xyz[:, :2].astype(int),
        "frame": pd.DataFrame(xyz, index=[f"cell{number}" for number in range(4)], columns=list("abc")),
    }
    dataset = open_file(write_study(tmp_path / "a.h5ad", cells=4, obsm=obsm))

    assert sorted(dataset.embeddings) == ["X_int", "X_pca"]
    assert dataset.embedding("X_pca").tolist() == [[0, 1], [3, 4], [6, 7], [9, 10]]
    assert dataset.embedding("X_pca").dtype == np.float32


class TestGeneNames:
    ENSEMBL = ("ENSG00000000001", "ENSG00000000002", "ENSG00000000003")

    def test_of_the_index(self, tmp_path: Path, open_file: Callable[[Path], Dataset]) -> None:
        path = write_study(tmp_path / "a.h5ad", genes=["CD3D", "LYZ"], var={"feature_name": ["X1", "X2"]})
        assert open_file(path).gene_names() == ("CD3D", "LYZ")

    @pytest.mark.parametrize("column", ["feature_name", "gene_symbols", "symbol"])
    @pytest.mark.parametrize(
        "symbols",
        [
            np.array(["CD3D", "", "LYZ"], object),
            pd.Categorical(["CD3D", None, "LYZ"]),
            pd.array(["CD3D", None, "LYZ"], dtype="string"),
        ],
        ids=["text", "category", "string"],
    )
    def test_are_symbols_where_the_index_holds_ensembl_ids(
        self, tmp_path: Path, open_file: Callable[[Path], Dataset], column: str, symbols: Any
    ) -> None:
        path = write_study(tmp_path / "a.h5ad", genes=self.ENSEMBL, var={"n": [1, 2, 3], column: symbols})
        assert open_file(path).gene_names() == ("CD3D", self.ENSEMBL[1], "LYZ")

    def test_stay_ensembl_ids_without_symbols(self, tmp_path: Path, open_file: Callable[[Path], Dataset]) -> None:
        path = write_study(tmp_path / "a.h5ad", genes=self.ENSEMBL, var={"other": ["a", "b", "c"]})
        assert open_file(path).gene_names() == self.ENSEMBL


def make_missing(path: Path) -> None:
    path.unlink()


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes()))


def make_zip(path: Path) -> None:
    content = path.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.h5ad", content)


def cut(share: float) -> Callable[[Path], None]:
    def cut_file(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return cut_file


def edited(edit: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def edit_file(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            edit(file)

    return edit_file


def without(*keys: str) -> Callable[[Path], None]:
    def remove(file: h5py.File) -> None:
        for key in keys:
            del file[key]

    return edited(remove)


def make_10x(file: h5py.File) -> None:
    for key in list(file):
        del file[key]
    file["matrix/data"] = [1, 2]


def make_old(file: h5py.File) -> None:
    del file["obs"], file["var"]
    table = np.array([(b"cell0", 1)], [("index", "S5"), ("n", "i4")])
    file["obs"], file["var"] = table, table


def forget_index(table: str) -> Callable[[Path], None]:
    def forget(file: h5py.File) -> None:
        del file[table].attrs["_index"]

    return edited(forget)


def make_empty(file: h5py.File) -> None:
    for key in ("obs/_index", "X"):
        del file[key]
    file["obs/_index"] = np.zeros(0, "S1")


def replace_x(x: np.ndarray) -> Callable[[Path], None]:
    def replace(file: h5py.File) -> None:
        del file["X"]
        file["X"] = x

    return edited(replace)


def cut_pointers(file: h5py.File) -> None:
    del file["layers/counts/indptr"]
    file["layers/counts/indptr"] = [0, 1]


def make_index_a_number(file: h5py.File) -> None:
    del file["obs/_index"]
    file["obs/_index"] = 7


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (make_missing, "{path} does not exist. Check the path."),
        (make_folder, "{path} is a folder. Name the .h5ad files in it."),
        (lambda path: path.write_bytes(b""), "{path} is empty. Copy or download it again."),
        (
            lambda path: path.write_text("index,fate\nc1,B\n"),
            "{path} is not an HDF5 file, so it is no .h5ad file. Choose a file written by AnnData.",
        ),
        (
            lambda path: path.write_bytes(b"PK but no zip"),
            "{path} is not an HDF5 file, so it is no .h5ad file. Choose a file written by AnnData.",
        ),
        (make_gzip, "{path} is compressed with gzip. Unpack it first (gunzip), then open the .h5ad file."),
        (make_zip, "{path} is a zip archive. Unpack it first, then open the .h5ad file."),
        (cut(0.5), "{path} is cut short and cannot be opened as HDF5. Copy or download it again."),
        (cut(0.99), "{path} is cut short and cannot be opened as HDF5. Copy or download it again."),
        (
            without("obs", "var"),
            "{path} is HDF5 but not AnnData: it has no obs and var. Convert it with scanpy first.",
        ),
        (
            edited(make_10x),
            "{path} is HDF5 but not AnnData (it looks like a 10x Genomics matrix): it has no obs and var. "
            "Convert it with scanpy first.",
        ),
        (
            edited(make_old),
            "{path} was written by an AnnData older than 0.7. Open it with anndata and write it again, then try anew.",
        ),
        (
            forget_index("obs"),
            "{path} was written by an AnnData older than 0.7. Open it with anndata and write it again, then try anew.",
        ),
        (
            forget_index("var"),
            "{path} was written by an AnnData older than 0.7. Open it with anndata and write it again, then try anew.",
        ),
        (without("obs/_index"), "{path} is damaged: its cell index (_index) is missing. Write it again."),
        (without("var/_index"), "{path} is damaged: its gene index (_index) is missing. Write it again."),
        (edited(make_empty), "{path} holds no cells."),
        (replace_x(np.ones((3, 5))), "{path} is damaged: X has 3 rows for 4 cells."),
        (replace_x(np.ones((4, 6))), "{path} is damaged: X has 6 columns for 5 genes."),
        (
            without("layers/counts/indices"),
            "{path} is damaged: parts of the sparse matrix layers/counts are missing.",
        ),
        (edited(cut_pointers), "{path} is damaged: the sparse matrix layers/counts is cut short."),
        (edited(make_index_a_number), "{path} is damaged: tuple index out of range. Write or copy it again."),
    ],
)
def test_a_file_that_cannot_be_opened(tmp_path: Path, damage: Callable[[Path], None], sentence: str) -> None:
    path = write_study(tmp_path / "a.h5ad", {"n": [1, 2, 3, 4]}, layers={"counts": sparse.eye(4, 5, format="csr")})
    damage(path)

    with pytest.raises(DataError) as refused:
        open_dataset(path)
    assert str(refused.value) == sentence.format(path=path)
    if path.is_file() and h5py.is_hdf5(path) and "cut short and" not in sentence:
        # It is closed again, or HDF5 would not let it be written.
        h5py.File(path, "r+").close()


def test_a_file_with_a_hole_anywhere_opens_or_gives_a_sentence(tmp_path: Path) -> None:
    path = write_study(tmp_path / "a.h5ad", {"c": pd.Categorical(list("abca"))}, obsm={"X_umap": np.eye(4)})
    content = path.read_bytes()
    # A hole in its heap of texts sets HDF5 itself on an endless loop.
    heap = content.index(b"GCOL")
    holes = [start for start in range(0, len(content), 256) if not heap < start < heap + 4096]
    refused = {}
    for start in holes:
        path.write_bytes(content[:start] + bytes(256) + content[start + 256 :])
        try:
            open_dataset(path).close()
        except DataError as error:
            refused[start] = str(error)
    assert len(refused) > 10
    assert refused[0] == f"{path} is not an HDF5 file, so it is no .h5ad file. Choose a file written by AnnData."
    for sentence in refused.values():
        assert sentence.startswith(f"{path} ")
        assert sentence.endswith(".")
        assert "\n" not in sentence


def test_a_file_cut_anywhere_gives_a_sentence(tmp_path: Path) -> None:
    path = write_study(tmp_path / "a.h5ad")
    content = path.read_bytes()
    for length in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"(is empty|is not an HDF5 file|is cut short).*\.$"):
            open_dataset(path)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda obs: obs["c/codes"].__setitem__(0, 7), "codes need to be between"),
        (lambda obs: obs.__delitem__("c/categories"), "categories"),
    ],
)
def test_a_damaged_column_is_refused_alone(
    tmp_path: Path, open_file: Callable[[Path], Dataset], edit: Callable[[h5py.Group], None], reason: str
) -> None:
    path = write_study(tmp_path / "a.h5ad", {"c": pd.Categorical(list("abca")), "n": [1, 2, 3, 4]})
    with h5py.File(path, "r+") as file:
        edit(file["obs"])
    dataset = open_file(path)

    with pytest.raises(DataError, match=rf'^Column "c" of a\.h5ad cannot be read: .*{reason}'):
        dataset.column("c")
    assert values(dataset.column("n")) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (np.ones(3), 'Column "n" of a.h5ad has 3 values for 4 cells.'),
        (np.ones((4, 2), bool), 'Column "n" of a.h5ad has several values for each cell.'),
    ],
)
def test_a_column_of_another_shape_is_refused(
    tmp_path: Path, open_file: Callable[[Path], Dataset], x: np.ndarray, sentence: str
) -> None:
    path = write_study(tmp_path / "a.h5ad", {"n": [1, 2, 3, 4]})
    with h5py.File(path, "r+") as file:
        del file["obs/n"]
        file["obs/n"] = x

    with pytest.raises(DataError) as refused:
        open_file(path).column("n")
    assert str(refused.value).startswith(sentence)


def test_reading_leaves_the_file_as_it_was(tmp_path: Path, open_file: Callable[[Path], Dataset]) -> None:
    path = write_study(tmp_path / "a.h5ad", COLUMNS, obsm={"X_umap": np.eye(4)})
    before, changed = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
    dataset = open_file(path)
    for name in dataset.column_names:
        dataset.column(name)
        dataset.colours(name)
    dataset.embedding("X_umap")
    list(dataset.cell_ids())
    dataset.matrices["X"].gene(0)
    dataset.close()

    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert path.stat().st_mtime_ns == changed


def test_a_file_that_changed_on_disk_is_noticed(tmp_path: Path, open_file: Callable[[Path], Dataset]) -> None:
    path = write_study(tmp_path / "a.h5ad", {"n": [1, 2, 3, 4]})
    dataset = open_file(path)
    assert dataset.is_unchanged()

    replacement = write_study(tmp_path / "b.h5ad", {"n": [1, 2, 3, 4], "m": [1, 2, 3, 4]})
    replacement.replace(path)
    assert not dataset.is_unchanged()

    path.unlink()
    assert not dataset.is_unchanged()
