import hashlib
import json
import shutil
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.annotations.csv_table import read_csv_table
from iscan_dash.core.annotations.label_table import match_table
from iscan_dash.core.study import Study
from iscan_dash.errors import DataError, NameRefused, StorageError
from iscan_dash.services import merge as module
from iscan_dash.services.merge import NewColumn, annotation_column, check_names, merge, output_paths, table_column
from tests.browser.server import real_data
from tests.services.test_export import annotation
from tests.studies import some_counts, write_as_anndata_0_7, write_study

Opener = Callable[..., Study]

LABELS = ["Unassigned", "T, #1 α/β", 'the "B"', "NA", "unused"]


def column(name: str, codes: Sequence[int]) -> NewColumn:
    return annotation_column(annotation(name, LABELS, codes))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(path: Path) -> ad.AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ad.read_h5ad(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    obs = {
        "fate": pd.Categorical(["a", None, "b", "a"], ["b", "a", "c"]),
        "n": [1.5, np.nan, 3, 4],
        "text": ["x", "y", "z", ""],
    }
    parts = {"uns": {"fate_colors": ["#111111"] * 3, "nested": {"x": 1}}, "obsm": {"X_umap": np.ones((4, 2))}}
    return write_study(tmp_path / "in.h5ad", obs, cells=["c1", "c2", "c3", "c4"], index_name="barcode", **parts)


@pytest.fixture
def study(path: Path, open_files: Opener) -> Study:
    return open_files(path)


def merged(study: Study, columns: Sequence[NewColumn], out: Path, **options: Any) -> ad.AnnData:
    reports = merge(study, columns, [out], **options)
    assert reports is not None
    return read(out)


class TestMerged:
    def test_only_the_columns_are_new(self, study: Study, path: Path, tmp_path: Path) -> None:
        before = sha256(path)
        out = tmp_path / "out.h5ad"
        reports = merge(study, [column("my fate", [3, 1, 2, 0]), column("#2", [1, 1, 1, 1])], [out])
        new, old = read(out), read(path)

        assert list(new.obs.columns) == ["fate", "n", "text", "my fate", "#2"]
        assert new.obs["my fate"].tolist() == ["NA", "T, #1 α/β", 'the "B"', "Unassigned"]
        assert list(new.obs["my fate"].cat.categories) == LABELS[:4]
        assert list(new.obs["#2"].cat.categories) == ["T, #1 α/β"]
        pd.testing.assert_frame_equal(new.obs[old.obs.columns], old.obs)
        assert new.obs.index.name == "barcode"
        np.testing.assert_array_equal(new.X, old.X)
        np.testing.assert_array_equal(new.obsm["X_umap"], old.obsm["X_umap"])
        assert set(new.uns) == {*old.uns, "iscan_annotations"}

        assert reports is not None
        (report,) = reports
        assert sha256(path) == before == report.sha256
        assert (report.n_cells, report.columns, report.output) == (4, ("my fate", "#2"), out)
        assert sorted(tmp_path.iterdir()) == [path, out]

    def test_how_it_was_made_is_kept(self, study: Study, tmp_path: Path) -> None:
        facts = json.loads(merged(study, [column("x", [0] * 4)], tmp_path / "o.h5ad").uns["iscan_annotations"]["x"])
        assert (facts["id"], facts["version"], facts["name"], facts["owner"]) == ("id of x", 3, "x", "ada")
        assert [label["text"] for label in facts["labels"]] == LABELS
        assert facts["labels"][0]["colour"] == "#000000"
        assert facts["tool"].startswith("iscan-dash ")

    def test_the_statement_is_exact(self, study: Study, path: Path, tmp_path: Path) -> None:
        reports = merge(study, [column("x", [0] * 4)], [tmp_path / "o.h5ad"])
        assert reports is not None
        same = reports[0].compared
        names: list[str] = []
        n_attributes, n_bytes = 0, 0
        with h5py.File(path) as file:
            file.visit(names.append)
            for name in ["/", *names]:
                # That of the columns' order has to change.
                n_attributes += len(file[name].attrs) - (name == "obs")
                n_bytes += file[name].nbytes if isinstance(file[name], h5py.Dataset) else 0
        assert (same.n_objects, same.n_attributes, same.n_bytes) == (len(names), n_attributes, n_bytes)
        assert reports[0].statement == (
            f"{tmp_path / 'o.h5ad'} was written: in.h5ad with 1 new obs column (x), which read back equal for all 4 "
            f"cells. Every other object is identical: {len(names)} groups and arrays, {n_attributes} attributes, "
            f"{n_bytes} bytes of values. in.h5ad is unchanged (sha256 {sha256(path)})."
        )

    def test_a_merged_file_can_be_merged_again(self, study: Study, open_files: Opener, tmp_path: Path) -> None:
        merged(study, [column("x", [0] * 4)], tmp_path / "one.h5ad")
        again = merged(open_files(tmp_path / "one.h5ad"), [column("y", [1] * 4)], tmp_path / "two.h5ad")
        assert list(again.obs.columns)[-2:] == ["x", "y"]
        assert set(again.uns["iscan_annotations"]) == {"x", "y"}

    def test_missing_cells_stay_missing(self, study: Study, tmp_path: Path) -> None:
        given = column("x", [1, 1, 2, 2])
        codes = np.array([-1, 2, -1, 1], np.int8)
        holey = NewColumn("x", type(given.column)("x", codes, given.column.labels), {})
        found = merged(study, [holey], tmp_path / "o.h5ad").obs["x"]
        assert found.isna().tolist() == [True, False, True, False]
        assert found.tolist()[1::2] == ['the "B"', "T, #1 α/β"]

    def test_a_file_without_uns(self, path: Path, open_files: Opener, tmp_path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file["uns"]
        assert list(merged(open_files(path), [column("x", [0] * 4)], tmp_path / "o.h5ad").uns) == ["iscan_annotations"]

    def test_a_file_of_anndata_0_7(self, open_files: Opener, tmp_path: Path) -> None:
        path = write_study(tmp_path / "old.h5ad", {"fate": pd.Categorical(["a", None, "b", "a"]), "n": [1, 2, 3, 4]})
        write_as_anndata_0_7(path)
        new = merged(open_files(path), [column("x", [1, 0, 0, 2])], tmp_path / "o.h5ad")
        assert new.obs["x"].tolist() == ["T, #1 α/β", "Unassigned", "Unassigned", 'the "B"']
        pd.testing.assert_frame_equal(new.obs.drop(columns="x"), read(path).obs)

    def test_several_files(self, open_files: Opener, tmp_path: Path) -> None:
        files = [write_study(tmp_path / f"{name}.h5ad", cells=n) for name, n in (("a", 2), ("b", 3))]
        study = open_files(*files)
        outputs = output_paths(study, tmp_path / "out.h5ad")
        assert [out.name for out in outputs] == ["out-a.h5ad", "out-b.h5ad"]
        reports = merge(study, [column("x", [0, 1, 2, 3, 2])], outputs)
        assert reports is not None
        assert [(report.source, report.output, report.n_cells) for report in reports] == [
            (files[0], outputs[0], 2),
            (files[1], outputs[1], 3),
        ]
        assert [read(out).obs["x"].tolist() for out in outputs] == [LABELS[:2], [LABELS[2], LABELS[3], LABELS[2]]]

    def test_of_a_table(self, study: Study, tmp_path: Path) -> None:
        with (tmp_path / "x.csv").open("wb+") as stream:
            stream.write(b"index,a\nc1,T\nc3,B\n")
            table = match_table(read_csv_table(stream, "x.csv"), study, {})
        new = merged(study, [table_column(table, "a", "b", "none")], tmp_path / "o.h5ad")
        assert new.obs["b"].tolist() == ["T", "none", "B", "none"]
        facts = json.loads(new.uns["iscan_annotations"]["b"])
        assert [label["text"] for label in facts["labels"]] == ["none", "B", "T"]
        assert facts["recipe"] == {"file": "x.csv", "column": "a", "default": "none"}

    def test_progress_grows_to_the_end(self, study: Study, tmp_path: Path) -> None:
        told: list[tuple[float, str]] = []
        merge(study, [column("x", [0] * 4)], [tmp_path / "o.h5ad"], progress=lambda *now: told.append(now), block=1000)
        parts = [part for part, _ in told]
        assert parts == sorted(parts)
        assert 0 < parts[0] < 0.2 and parts[-1] == 1
        assert {what for _, what in told} == {
            "Copying in.h5ad",
            "Comparing o.h5ad with in.h5ad",
            "Checking that in.h5ad is unchanged",
            "Done",
        }

    def test_memory_does_not_grow_with_the_matrix(self, open_files: Opener, tmp_path: Path) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", x=some_counts(2000, 2000), cells=2000, genes=2000))
        columns = [column("x", [1] * 2000)]
        merge(study, columns, [tmp_path / "warm.h5ad"])
        tracemalloc.start()
        merge(study, columns, [tmp_path / "o.h5ad"], block=2**18)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (tmp_path / "o.h5ad").stat().st_size > 16_000_000
        # Hashing reads 4 MB at a time, and holds two such blocks for a moment.
        assert peak < 10_000_000


class TestRefused:
    def test_a_file_that_exists(self, study: Study, path: Path) -> None:
        before = sha256(path)
        with pytest.raises(StorageError) as refused:
            merge(study, [column("x", [0] * 4)], [path])
        assert str(refused.value) == f"{path} exists. Choose another name."
        assert sha256(path) == before

    def test_a_file_that_appears_meanwhile(self, study: Study, tmp_path: Path) -> None:
        out = tmp_path / "o.h5ad"

        def progress(part: float, what: str) -> None:
            out.write_text("of somebody else")

        with pytest.raises(StorageError, match=r"o\.h5ad exists\. Choose another name\.$"):
            merge(study, [column("x", [0] * 4)], [out], progress=progress)
        assert out.read_text() == "of somebody else"
        assert len(list(tmp_path.iterdir())) == 2

    @pytest.mark.parametrize(
        ("names", "code", "said"),
        [
            (["fate"], "E02", 'The data has a column "fate" already. Use another name, e.g. "fate_annot".'),
            (["Fate"], "E02", 'The data has a column "Fate" already. Use another name, e.g. "Fate_annot".'),
            (["barcode"], "E02", 'The data has a column "barcode" already. Use another name, e.g. "barcode_annot".'),
            (["x", "x"], "E02", 'The data has a column "x" already. Use another name, e.g. "x_annot".'),
            (["x", "x_annot", "X"], "E02", 'The data has a column "X" already. Use another name, e.g. "X_annot (2)".'),
            (["a/b"], "E03", r"Names cannot contain / or \ because HDF5 uses them as separators."),
            (["_index"], "E04", '"_index" is reserved by AnnData.'),
            ([" x"], "E06", '" x" cannot be a column. Write it as "x".'),
            ([], "E01", "Choose at least one annotation."),
        ],
    )
    def test_names(self, study: Study, tmp_path: Path, names: list[str], code: str, said: str) -> None:
        for attempt in (
            lambda: check_names(study, names),
            lambda: merge(study, [column(name, [0] * 4) for name in names], [tmp_path / "o.h5ad"]),
        ):
            with pytest.raises(NameRefused) as refused:
                attempt()
            assert (refused.value.code, str(refused.value)) == (code, said)
        assert not (tmp_path / "o.h5ad").exists()

    def test_names_of_any_file(self, open_files: Opener, tmp_path: Path) -> None:
        files = [write_study(tmp_path / "a.h5ad", cells=2), write_study(tmp_path / "b.h5ad", {"x": [1, 2]})]
        with pytest.raises(NameRefused, match='has a column "x" already'):
            check_names(open_files(*files), ["x"])

    def test_a_name_whose_recipe_is_there_still(self, study: Study, open_files: Opener, tmp_path: Path) -> None:
        one = read_and_drop(merged(study, [column("x", [0] * 4)], tmp_path / "one.h5ad"), "x", tmp_path / "two.h5ad")
        with pytest.raises(NameRefused, match=r'e\.g\. "x_annot"'):
            merge(open_files(one), [column("x", [0] * 4)], [tmp_path / "o.h5ad"])

    def test_something_else_under_our_name_in_uns(self, open_files: Opener, tmp_path: Path) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", cells=4, uns={"iscan_annotations": np.arange(3)}))
        with pytest.raises(DataError, match=r"^a\.h5ad has something else in uns"):
            merge(study, [column("x", [0] * 4)], [tmp_path / "o.h5ad"])

    def test_a_disk_too_full(self, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 500_000))  # type: ignore[attr-defined]
        with pytest.raises(StorageError) as refused:
            merge(study, [column("x", [0] * 4)], [tmp_path / "o.h5ad"])
        assert str(refused.value) == (
            f"{tmp_path} has 0 MB left, and 1 MB are needed. Free some, or choose another folder."
        )

    def test_a_folder_that_is_not_there(self, study: Study, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=rf"^{tmp_path / 'x'} cannot be written: No such file"):
            merge(study, [column("x", [0] * 4)], [tmp_path / "x" / "o.h5ad"])

    def test_fewer_outputs_than_files(self, study: Study) -> None:
        with pytest.raises(StorageError, match="Name one for each"):
            merge(study, [column("x", [0] * 4)], [])

    def test_a_file_that_changed(self, study: Study, path: Path, tmp_path: Path) -> None:
        shutil.copy(path, tmp_path / "new")
        (tmp_path / "new").replace(path)
        with pytest.raises(StorageError, match=r"^in\.h5ad was changed on disk since it was opened\."):
            merge(study, [column("x", [0] * 4)], [tmp_path / "o.h5ad"])
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("spoil", ["other cell", "other column", "other order", "other recipe"])
    def test_a_copy_that_is_not_what_it_should_be(
        self, study: Study, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
    ) -> None:
        add = module._add

        def add_and_spoil(file: h5py.File, columns: Sequence[NewColumn]) -> None:
            add(file, columns)
            if spoil == "other cell":
                file["obs/barcode"][1] = "c9"
            elif spoil == "other column":
                file["obs/x/codes"][0] = 1
            elif spoil == "other order":
                file["obs"].attrs["column-order"] = ["x"]
            else:
                file["uns/iscan_annotations/x"][()] = "{}"

        monkeypatch.setattr(module, "_add", add_and_spoil)
        with pytest.raises(StorageError, match=r"Try again\.$"):
            merge(study, [column("x", [0, 1, 2, 3])], [tmp_path / "o.h5ad"])
        assert list(tmp_path.iterdir()) == [path]

    def test_what_hdf5_objects_to(
        self, study: Study, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("no room in the header\nand more")

        monkeypatch.setattr(module, "_add", fail)
        with pytest.raises(StorageError, match=r"cannot be written: no room in the header\. The file was removed\.$"):
            merge(study, [column("x", [0] * 4)], [tmp_path / "o.h5ad"])
        assert list(tmp_path.iterdir()) == [path]

    def test_cancelled_at_any_moment(self, study: Study, path: Path, tmp_path: Path) -> None:
        asked = 0

        def count() -> bool:
            nonlocal asked
            asked += 1
            return False

        merge(study, [column("x", [0] * 4)], [tmp_path / "o.h5ad"], is_cancelled=count)
        (tmp_path / "o.h5ad").unlink()
        assert asked > 20
        for last in range(asked):
            answers = chain(repeat(False, last), repeat(True)).__next__
            assert merge(study, [column("x", [0] * 4)], [tmp_path / "o.h5ad"], is_cancelled=answers) is None
            assert list(tmp_path.iterdir()) == [path]


def read_and_drop(adata: ad.AnnData, name: str, path: Path) -> Path:
    del adata.obs[name]
    adata.write_h5ad(path)
    return path


@pytest.mark.skipif(not real_data("pbmc3k", "hao_pbmc_1336"), reason="pbmc3k and hao_pbmc_1336 are not here")
def test_real_files(open_files: Opener, tmp_path: Path) -> None:
    files = real_data("pbmc3k", "hao_pbmc_1336")
    study = open_files(*files)
    codes = np.random.default_rng(0).integers(0, 4, study.n_cells)
    outputs = output_paths(study, tmp_path / "o.h5ad")
    before = [sha256(file) for file in files]
    reports = merge(study, [column("my labels", codes.tolist())], outputs)
    assert reports is not None
    assert [report.sha256 for report in reports] == before == [sha256(file) for file in files]
    found = []
    for file, out in zip(files, outputs, strict=True):
        old, new = read(file), read(out)
        pd.testing.assert_frame_equal(new.obs.drop(columns="my labels"), old.obs)
        assert (new.X != old.X).nnz == 0 if hasattr(new.X, "nnz") else np.array_equal(new.X, old.X)
        found += new.obs["my labels"].tolist()
    assert found == [LABELS[code] for code in codes]
