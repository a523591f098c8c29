from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from iscan_dash.core.study import CategoryColumn, Choices, Column, NumberColumn, Study, open_study
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.core.study.study import QC_AXES
from iscan_dash.errors import DataError, UnknownColumn
from tests.studies import STORAGES, log1p_cp10k, some_counts, write_study

Opener = Callable[..., Study]


def texts(column: Column) -> list[str | None]:
    assert isinstance(column, CategoryColumn)
    return [column.labels[code] if code >= 0 else None for code in column.codes.tolist()]


def raw_of(x: np.ndarray, genes: list[str]) -> ad.AnnData:
    return ad.AnnData(
        x,
        obs=pd.DataFrame(index=[f"cell{number}" for number in range(x.shape[0])]),
        var=pd.DataFrame(index=genes),
    )


class TestOpening:
    def test_one_file(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "mine.h5ad", cells=3))

        assert study.title == "mine"
        assert study.n_cells == 3
        assert study.offsets.tolist() == [0, 3]
        assert study.cell_ids.tolist() == [b"cell0", b"cell1", b"cell2"]
        assert list(study.columns) == []

    def test_several_files(self, tmp_path: Path, open_files: Opener) -> None:
        paths = [write_study(tmp_path / f"{name}.h5ad", cells=[name, f"{name}longer"]) for name in "abc"]
        study = open_files(*paths)

        assert study.title == "a + 2 more"
        assert study.n_cells == 6
        assert study.offsets.tolist() == [0, 2, 4, 6]
        assert study.cell_ids.tolist() == [b"a", b"alonger", b"b", b"blonger", b"c", b"clonger"]

    def test_a_title_and_cell_ids_of_choice(self, tmp_path: Path, open_files: Opener) -> None:
        path = write_study(tmp_path / "a.h5ad", {"barcode": np.array(["x", "y"], object)})
        study = open_files(path, title="Mine", obs_names="barcode")

        assert study.title == "Mine"
        assert study.cell_ids.tolist() == [b"x", b"y"]

    def test_the_fingerprint_is_of_the_cells_and_not_of_the_files(self, tmp_path: Path, open_files: Opener) -> None:
        first = open_files(write_study(tmp_path / "a.h5ad", {"n": [1, 2]}, cells=["x", "y"]))
        moved = open_files(write_study(tmp_path / "b.h5ad", {"m": [3, 4]}, cells=["x", "y"], genes=2))
        other = open_files(write_study(tmp_path / "c.h5ad", cells=["y", "x"]))
        both = open_files(tmp_path / "a.h5ad", tmp_path / "c.h5ad")

        assert first.fingerprint == moved.fingerprint
        assert len({first.fingerprint, other.fingerprint, both.fingerprint}) == 3

    def test_what_cannot_be_opened_is_refused(self, tmp_path: Path) -> None:
        path = write_study(tmp_path / "a.h5ad", {"donor": pd.Categorical(["x", "y"])})
        other = write_study(tmp_path / "b.h5ad", cells=2)
        (tmp_path / "link.h5ad").symlink_to(path)

        for paths, options, sentence in [
            ([], {}, "Name at least one .h5ad file."),
            ([path, other, path], {}, f"{path} is named twice."),
            ([path, tmp_path / "link.h5ad"], {}, f"{path} is named twice."),
            ([path, tmp_path / "none.h5ad"], {}, f"{tmp_path}/none.h5ad does not exist. Check the path."),
            (
                [path, other],
                {"sample_column": "lane"},
                'No file has an obs column "lane" to tell samples apart.',
            ),
            (
                [path, other],
                {"obs_names": "donor"},
                'b.h5ad has no obs column "donor" to take the cell ids from.',
            ),
        ]:
            with pytest.raises(DataError) as refused:
                open_study(paths, **options)
            assert str(refused.value) == sentence
        # What was open before the error is closed again: it can be written.
        with h5py.File(path, "r+") as file:
            assert "obs" in file


class TestSamples:
    def test_without_a_sample_column_a_file_is_a_sample(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", {"fate": pd.Categorical(["x", "y"])}))

        assert study.sample_column is None
        assert texts(study.samples) == ["a", "a"]

    @pytest.mark.parametrize(
        ("columns", "chosen"),
        [
            (["donor", "sample"], "sample"),
            (["donor", "orig.ident", "batch"], "batch"),
            (["donor"], "donor"),
            (["patient"], None),
        ],
    )
    def test_the_first_name_of_the_list_is_chosen(
        self, tmp_path: Path, open_files: Opener, columns: list[str], chosen: str | None
    ) -> None:
        path = write_study(tmp_path / "a.h5ad", {name: pd.Categorical([f"{name}1", f"{name}2"]) for name in columns})
        study = open_files(path)

        assert study.sample_column == chosen
        assert texts(study.samples) == ([f"{chosen}1", f"{chosen}2"] if chosen else ["a", "a"])
        assert [info.name for info in study.columns.values() if info.role == "sample"] == ([chosen] if chosen else [])

    @pytest.mark.parametrize(
        ("sample", "is_chosen"),
        [
            (np.array(["x", "y"] * 300, object), True),
            (pd.array(["x", "y"] * 300, dtype="string"), True),
            (pd.Categorical(["x"] * 600), False),
            (pd.Categorical([str(number % 500) for number in range(600)]), True),
            (pd.Categorical([str(number % 501) for number in range(600)]), False),
            (np.arange(600) % 2, False),
            (pd.Categorical(["x", None] * 300), False),
        ],
        ids=["text", "string", "one level", "500 levels", "501 levels", "numbers", "one level and missing"],
    )
    def test_a_sample_column_has_2_to_500_labels(
        self, tmp_path: Path, open_files: Opener, sample: Any, is_chosen: bool
    ) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", {"sample": sample}, genes=1))
        assert study.sample_column == ("sample" if is_chosen else None)

    def test_the_user_may_choose(self, tmp_path: Path, open_files: Opener) -> None:
        obs = {"sample": pd.Categorical(["s", "t", "t"]), "lane": [10, 2, 2]}
        path = write_study(tmp_path / "a.h5ad", obs)
        study = open_files(path, sample_column="lane")

        assert texts(study.samples) == ["10", "2", "2"]
        assert study.samples.labels == ("2", "10")
        assert (study.columns["lane"].role, study.columns["lane"].treat_as) == ("sample", "category")
        assert study.columns["sample"].role == "metadata"

        none = study.with_choices(Choices(sample_column=""))
        assert none.sample_column is None
        assert texts(none.samples) == ["a", "a", "a"]
        automatic = study.with_choices(Choices())
        assert texts(automatic.samples) == ["s", "t", "t"]

    def test_cells_without_a_sample_are_one_of_their_own(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", {"sample": pd.Categorical(["t", None, "s"])}))

        assert texts(study.samples) == ["t", "a (no sample)", "s"]
        assert study.samples.n_missing == 0

    def test_each_file_is_a_sample(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(*(write_study(tmp_path / f"{name}.h5ad", cells=2) for name in ("b", "a", "10", "9")))

        assert texts(study.samples) == ["b", "b", "a", "a", "10", "10", "9", "9"]

    def test_files_of_the_same_name_are_told_apart(self, tmp_path: Path, open_files: Opener) -> None:
        paths = [tmp_path / folder / f"{name}.h5ad" for folder, name in [("1", "a"), ("2", "a (2)"), ("3", "a")]]
        for path in paths:
            path.parent.mkdir()
            write_study(path, cells=1)
        study = open_files(*paths)

        assert texts(study.samples) == ["a", "a (2)", "a (3)"]

    def test_samples_of_the_same_name_in_two_files_are_told_apart(self, tmp_path: Path, open_files: Opener) -> None:
        first = write_study(tmp_path / "a.h5ad", {"sample": pd.Categorical(["1", "2"])})
        second = write_study(tmp_path / "b.h5ad", {"sample": pd.Categorical(["1", "3"])})
        study = open_files(first, second)

        assert texts(study.samples) == ["a:1", "a:2", "b:1", "b:3"]

    def test_samples_of_different_names_keep_them(self, tmp_path: Path, open_files: Opener) -> None:
        first = write_study(tmp_path / "a.h5ad", {"sample": pd.Categorical(["1", "2"])})
        second = write_study(tmp_path / "b.h5ad", cells=2)
        study = open_files(first, second)

        assert texts(study.samples) == ["1", "2", "b", "b"]
        assert study.columns["sample"].n_files == 1


class TestColumns:
    def test_what_is_known_of_them(self, tmp_path: Path, open_files: Opener) -> None:
        obs = {
            "fate": pd.Categorical(["x", "y"]),
            "score": np.array([0.5, 1], np.float32),
            "lane": np.array([1, 2], np.int32),
            "lost": pd.array([1, None], dtype="Int64"),
            "is_doublet": [True, False],
            "note": np.array(["x", ""], object),
            "leiden_0.5": pd.Categorical(["0", "1"]),
            "seurat_clusters": np.array([0, 1]),
            "RNA_snn_res.1": pd.Categorical(["0", "1"]),
            "cluster_score": [0.1, 0.2],
        }
        study = open_files(write_study(tmp_path / "a.h5ad", obs))

        assert [(info.name, info.type, info.treat_as, info.role) for info in study.columns.values()] == [
            ("fate", "category", "category", "metadata"),
            ("score", "float32", "number", "metadata"),
            ("lane", "int32", "number", "metadata"),
            ("lost", "integer", "number", "metadata"),
            ("is_doublet", "bool", "category", "metadata"),
            ("note", "text", "category", "metadata"),
            ("leiden_0.5", "category", "category", "cluster"),
            ("seurat_clusters", "int64", "category", "cluster"),
            ("RNA_snn_res.1", "category", "category", "cluster"),
            ("cluster_score", "float64", "number", "metadata"),
        ]

    def test_the_user_decides_how_they_are_treated(self, tmp_path: Path, open_files: Opener) -> None:
        obs = {"lane": [10, 2, 2], "leiden": [0, 1, 1], "dose": [0.5, 1, np.nan], "stage": [3, 1, 2]}
        study = open_files(write_study(tmp_path / "a.h5ad", obs))
        chosen = study.with_choices(
            Choices(treat_as={"lane": "category", "dose": "ignore"}, roles={"leiden": "metadata", "stage": "cluster"})
        )

        assert isinstance(study.column("lane"), NumberColumn)
        assert texts(chosen.column("lane")) == ["10", "2", "2"]
        assert chosen.columns["dose"].treat_as == "ignore"
        assert (study.columns["leiden"].role, study.columns["leiden"].treat_as) == ("cluster", "category")
        assert (chosen.columns["leiden"].role, chosen.columns["leiden"].treat_as) == ("metadata", "number")
        assert (chosen.columns["stage"].role, chosen.columns["stage"].treat_as) == ("cluster", "category")
        assert texts(chosen.column("stage")) == ["3", "1", "2"]
        assert isinstance(study.column("stage"), NumberColumn)

    def test_any_column_can_be_read_as_labels(self, tmp_path: Path, open_files: Opener) -> None:
        obs = {"dose": [0.5, -0.0, np.nan], "fate": pd.Categorical(["b", "a", None])}
        study = open_files(write_study(tmp_path / "a.h5ad", obs))

        assert texts(study.category("dose")) == ["0.5", "0", None]
        assert texts(study.category("fate")) == ["b", "a", None]

    @pytest.mark.parametrize(
        ("values", "may_be_copied"),
        [
            (pd.Categorical(["x", "y", "z"]), True),
            ([1.0, 2.0, np.nan], True),
            ([1, 2, 3], False),
            ([1.5, 1.5, 1.5], False),
            ([1.0, np.inf, 1.0], False),
            ([np.nan, np.nan, np.nan], True),
        ],
    )
    def test_what_may_be_copied(self, tmp_path: Path, open_files: Opener, values: Any, may_be_copied: bool) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", {"c": values}))

        assert study.copyable("c", max_levels=2) is may_be_copied
        assert study.with_choices(Choices(treat_as={"c": "category"})).copyable("c", max_levels=2)
        assert not study.with_choices(Choices(treat_as={"c": "ignore"})).copyable("c", max_levels=2)

    def test_columns_of_several_files_are_joined(self, tmp_path: Path, open_files: Opener) -> None:
        first = {
            "fate": pd.Categorical(["B", "A"], categories=["B", "A"]),
            "score": np.array([0.5, np.nan], np.float32),
            "only_first": ["x", "y"],
            "lane": [1, 2],
        }
        second = {
            "lane": pd.Categorical(["x", "1"]),
            "only_second": [1.5, 2],
            "fate": pd.Categorical(["C", "A"]),
            "score": np.array([1, 2], np.float32),
        }
        study = open_files(write_study(tmp_path / "a.h5ad", first), write_study(tmp_path / "b.h5ad", second))

        assert [(info.name, info.type, info.treat_as, info.n_files) for info in study.columns.values()] == [
            ("fate", "category", "category", 2),
            ("score", "float32", "number", 2),
            ("only_first", "text", "category", 1),
            ("lane", "mixed", "category", 2),
            ("only_second", "float64", "number", 1),
            ("Sample", "file", "category", 2),
        ]
        assert texts(study.column("fate")) == ["B", "A", "C", "A"]
        assert study.column("fate").labels == ("B", "A", "C")
        assert texts(study.column("only_first")) == ["x", "y", None, None]
        assert texts(study.column("lane")) == ["1", "2", "x", "1"]
        score, only_second = study.column("score"), study.column("only_second")
        assert isinstance(score, NumberColumn)
        assert isinstance(only_second, NumberColumn)
        np.testing.assert_array_equal(score.values, [0.5, np.nan, 1, 2])
        np.testing.assert_array_equal(only_second.values, [np.nan, np.nan, 1.5, 2])

    def test_files_are_told_apart_by_a_column_when_no_other_does(self, tmp_path: Path, open_files: Opener) -> None:
        names = pd.Categorical(["x", "y"])
        a, b, c, d = (
            write_study(tmp_path / f"{name}.h5ad", obs, cells=2)
            for name, obs in [
                ("a", {}),
                ("b", {"sample": names}),
                ("c", {"sample": names}),
                ("d", {"Sample (2)": names}),
            ]
        )
        info = open_files(a, d).columns["Sample"]

        assert (info.type, info.treat_as, info.role, info.n_files) == ("file", "category", "sample", 2)
        assert texts(open_files(a, d).column("Sample")) == ["a", "a", "d", "d"]
        assert texts(open_files(a, d).category("Sample")) == ["a", "a", "d", "d"]
        assert open_files(a, d).copyable("Sample", max_levels=1)
        # One file, or samples in all files: nothing is missing.
        assert (open_files(a).file_column, open_files(b, c).file_column) == (None, None)
        # Samples in some files only, and a column that is called like this one: both stay what they are.
        study = open_files(a, b, d)
        assert list(study.columns) == ["sample", "Sample (2)", "Sample (3)"]
        assert [info.role for info in study.columns.values()] == ["sample", "metadata", "sample"]
        column = study.column("Sample (3)")
        assert (column.name, texts(column)) == ("Sample (3)", ["a", "a", "x", "y", "d", "d"])
        ignored = open_files(a, d).with_choices(Choices(treat_as={"Sample": "ignore"}))
        assert (ignored.columns["Sample"].treat_as, ignored.copyable("Sample", 9)) == ("ignore", False)
        chosen = open_files(a, b).with_choices(Choices(sample_column=""))
        assert (chosen.columns["sample"].role, texts(chosen.column("Sample (2)"))) == ("metadata", ["a", "a", "b", "b"])

    def test_a_missing_column_is_refused(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad"))
        with pytest.raises(UnknownColumn) as refused:
            study.column("fate")
        assert str(refused.value) == 'This study has no metadata column "fate".'

    def test_the_first_file_decides_on_a_colour(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(
            write_study(
                tmp_path / "a.h5ad",
                {"fate": pd.Categorical(["A", "B"])},
                uns={"fate_colors": ["#000001", "#000002"]},
            ),
            write_study(
                tmp_path / "b.h5ad",
                {"fate": pd.Categorical(["A", "C"])},
                uns={"fate_colors": ["#000003", "#000004"]},
            ),
        )
        assert study.colours("fate") == {"A": "#000001", "B": "#000002", "C": "#000004"}
        assert study.colours("nothing") == {}

    def test_a_column_is_read_once(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", {"fate": pd.Categorical(["A", "B"])}))

        assert study.column("fate") is study.column("fate")
        assert study.with_choices(Choices(sample_column="fate")).column("fate") is study.column("fate")


class TestEmbeddings:
    XY = np.arange(8, dtype=np.float32).reshape(4, 2)

    def test_the_most_useful_comes_first(self, tmp_path: Path, open_files: Opener) -> None:
        names = ["X_zzz", "X_pca", "spatial", "X_tsne", "X_umap", "X_aaa", "X_draw_graph_fa", "umap_harmony"]
        study = open_files(write_study(tmp_path / "a.h5ad", cells=4, obsm=dict.fromkeys(names, self.XY)))

        assert study.embeddings == (
            "X_umap",
            "umap_harmony",
            "X_tsne",
            "X_draw_graph_fa",
            "spatial",
            "X_pca",
            "X_aaa",
            "X_zzz",
        )

    def test_values_that_are_not_finite_take_the_cell_out(self, tmp_path: Path, open_files: Opener) -> None:
        xy = self.XY.astype(np.float64).copy()
        xy[1, 0], xy[2, 1] = np.nan, -np.inf
        study = open_files(write_study(tmp_path / "a.h5ad", cells=4, obsm={"X_umap": xy}))
        found = study.embedding("X_umap")

        np.testing.assert_array_equal(found, [[0, np.nan, np.nan, 6], [1, np.nan, np.nan, 7]])
        assert found.dtype == np.float32
        assert found.flags.c_contiguous

    def test_one_that_only_some_files_have(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(
            write_study(tmp_path / "a.h5ad", cells=2),
            write_study(tmp_path / "b.h5ad", cells=4, obsm={"X_umap": self.XY, "X_pca": self.XY}),
            write_study(tmp_path / "c.h5ad", cells=4, obsm={"X_pca": self.XY + 10}),
        )

        assert study.embeddings == ("X_umap", "X_pca")
        assert (study.is_joint("X_umap"), study.is_joint("X_pca")) == (False, True)
        nan = [np.nan] * 2
        np.testing.assert_array_equal(study.embedding("X_umap")[0], [*nan, 0, 2, 4, 6, *nan, *nan])
        np.testing.assert_array_equal(study.embedding("X_pca")[1], [*nan, 1, 3, 5, 7, 11, 13, 15, 17])

    def test_a_missing_one_is_refused(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", cells=4, obsm={"X_umap": self.XY}))
        with pytest.raises(UnknownColumn) as refused:
            study.embedding("X_tsne")
        assert str(refused.value) == 'This study has no embedding "X_tsne".'


class TestQcAxes:
    @pytest.mark.parametrize("storage", STORAGES)
    def test_are_the_totals_and_genes_of_the_counts(self, tmp_path: Path, open_files: Opener, storage: str) -> None:
        counts = some_counts(6, 5)
        make = STORAGES[storage]
        path = write_study(tmp_path / "a.h5ad", cells=6, x=make(log1p_cp10k(counts)), layers={"counts": make(counts)})
        study = open_files(path)

        assert study.embeddings == (QC_AXES,)
        np.testing.assert_array_equal(study.embedding(QC_AXES), [counts.sum(axis=1), (counts > 0).sum(axis=1)])

    @pytest.mark.parametrize(
        "names", [("n_counts", "n_genes"), ("nCount_RNA", "nFeature_RNA"), ("total_counts", "n_genes_by_counts")]
    )
    def test_are_columns_where_there_are_any(self, tmp_path: Path, open_files: Opener, names: tuple[str, str]) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", {names[0]: [100.0, 7, np.inf], names[1]: [5, 6, 7]}))
        np.testing.assert_array_equal(study.embedding(QC_AXES), [[100, 7, np.nan], [5, 6, np.nan]])

    def test_of_log_values_when_there_are_no_counts(self, tmp_path: Path, open_files: Opener) -> None:
        x = log1p_cp10k(some_counts(4, 5))
        found = open_files(write_study(tmp_path / "a.h5ad", x=x, cells=4)).embedding(QC_AXES)

        np.testing.assert_allclose(found, [x.sum(axis=1), (x > 0).sum(axis=1)], rtol=1e-6)

    def test_of_a_file_without_numbers_are_missing(self, tmp_path: Path, open_files: Opener) -> None:
        first = write_study(tmp_path / "a.h5ad", {"n_counts": ["x", "y"], "n_genes": [1, 2]})
        with h5py.File(first, "r+") as file:
            del file["X"]
        second = write_study(tmp_path / "b.h5ad", {"n_counts": [3, 4], "n_genes": [1, 2]})

        np.testing.assert_array_equal(
            open_files(first, second).embedding(QC_AXES), [[np.nan, np.nan, 3, 4], [np.nan, np.nan, 1, 2]]
        )


class TestGenes:
    def test_those_of_x_come_first_then_those_of_raw(self, tmp_path: Path, open_files: Opener) -> None:
        raw = raw_of(some_counts(4, 3), ["R1", "B", "R2"])
        study = open_files(
            write_study(tmp_path / "a.h5ad", cells=4, genes=["B", "A"], raw=raw),
            write_study(tmp_path / "b.h5ad", cells=4, genes=["A", "C", ""]),
        )

        assert [(gene.name, gene.in_x, gene.n_files) for gene in study.genes.values()] == [
            ("B", True, 1),
            ("A", True, 2),
            ("C", True, 1),
            ("R1", False, 1),
            ("R2", False, 1),
        ]
        assert list(study.genes) == ["B", "A", "C", "R1", "R2"]

    @pytest.mark.parametrize("storage", STORAGES)
    def test_one_gene_is_what_anndata_reads(self, tmp_path: Path, open_files: Opener, storage: str) -> None:
        make = STORAGES[storage]
        raw = raw_of(make(some_counts(9, 6, seed=1)), [f"GENE{number}" for number in range(6)])
        path = write_study(tmp_path / "a.h5ad", cells=9, genes=4, x=make(some_counts(9, 4)), raw=raw)
        study, adata = open_files(path), ad.read_h5ad(path)

        assert study.shown_matrices == ("X",)
        for name in ("GENE0", "GENE3"):
            expected = adata[:, name].X
            expected = expected.toarray() if sparse.issparse(expected) else np.asarray(expected)
            np.testing.assert_array_equal(study.gene(name).values, expected.ravel())
        expected = adata.raw[:, "GENE5"].X
        expected = expected.toarray() if sparse.issparse(expected) else np.asarray(expected)
        np.testing.assert_array_equal(study.gene("GENE5").values, expected.ravel())
        assert study.gene("GENE5").name == "GENE5"

    def test_a_file_without_the_gene_is_missing_it(self, tmp_path: Path, open_files: Opener) -> None:
        counts = some_counts(3, 2)
        study = open_files(
            write_study(tmp_path / "a.h5ad", cells=3, genes=["A", "B"], x=counts),
            write_study(tmp_path / "b.h5ad", cells=2, genes=["C"]),
        )
        np.testing.assert_array_equal(study.gene("B").values, [*counts[:, 1], np.nan, np.nan])
        assert study.gene_matrices("B") == ("X", None)
        assert study.gene_kinds("B") == (MatrixKind.COUNTS, None)

    def test_a_gene_that_one_file_has_in_raw_only_is_in_both(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(
            write_study(tmp_path / "a.h5ad", cells=2, genes=["A", "B"]),
            write_study(tmp_path / "b.h5ad", cells=2, genes=["B"], raw=raw_of(some_counts(2, 2), ["A", "B"])),
        )
        assert [(gene.name, gene.in_x, gene.n_files) for gene in study.genes.values()] == [
            ("A", True, 2),
            ("B", True, 2),
        ]

    def test_what_is_not_logged_is_shown_as_log1p(self, tmp_path: Path, open_files: Opener) -> None:
        counts = some_counts(6, 3)
        halves = counts + 0.5
        halves[0] = 30.5
        values = {"a": counts, "b": log1p_cp10k(counts), "c": halves, "d": log1p_cp10k(counts) - 1}
        study = open_files(
            *(write_study(tmp_path / f"{name}.h5ad", cells=6, genes=3, x=x) for name, x in values.items())
        )
        gene = study.gene("GENE1")

        kinds = (MatrixKind.COUNTS, MatrixKind.LOG1P, MatrixKind.NORMALISED, MatrixKind.SCALED)
        assert study.gene_kinds("GENE1") == kinds
        np.testing.assert_array_equal(
            gene.values, np.concatenate([x[:, 1] for x in values.values()]).astype(np.float32)
        )
        shown = study.logged_gene(gene)
        wanted = [np.log1p(values["a"]), values["b"], np.log1p(values["c"]), values["d"]]
        np.testing.assert_allclose(shown.values, np.concatenate([x[:, 1] for x in wanted]), rtol=1e-6)
        # A user may call counts what has negative values.
        chosen = study.with_choices(Choices(matrix_kinds={"d:X": "counts"}))
        odd = values["d"][:, 1].astype(np.float32)
        wanted_odd = np.sign(odd) * np.log1p(np.abs(odd))
        np.testing.assert_allclose(chosen.logged_gene(gene).values[18:], wanted_odd, rtol=1e-6)

    def test_the_first_of_equal_names_is_read(self, tmp_path: Path, open_files: Opener) -> None:
        counts = some_counts(3, 3)
        study = open_files(write_study(tmp_path / "a.h5ad", cells=3, genes=["A", "B", "A"], x=counts))

        np.testing.assert_array_equal(study.gene("A").values, counts[:, 0])
        assert study.genes["A"].n_files == 1

    def test_a_missing_gene_is_refused(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", cells=2))
        with pytest.raises(UnknownColumn) as refused:
            study.gene("CD3D")
        assert str(refused.value) == 'This study has no gene "CD3D".'

    def test_a_gene_that_only_x_has_is_read_when_raw_is_shown(self, tmp_path: Path, open_files: Opener) -> None:
        counts = some_counts(4, 2)
        raw = raw_of(log1p_cp10k(some_counts(4, 2, seed=1)), ["B", "C"])
        study = open_files(write_study(tmp_path / "a.h5ad", cells=4, genes=["A", "B"], x=counts, raw=raw))

        assert study.shown_matrices == ("raw/X",)
        np.testing.assert_array_equal(study.gene("A").values, counts[:, 0])
        np.testing.assert_array_equal(study.gene("B").values, log1p_cp10k(some_counts(4, 2, seed=1))[:, 0])

    def test_a_study_without_matrices_has_genes_without_values(self, tmp_path: Path, open_files: Opener) -> None:
        path = write_study(tmp_path / "a.h5ad", cells=2, genes=["A"])
        with h5py.File(path, "r+") as file:
            del file["X"]
        study = open_files(path)

        assert study.shown_matrices == (None,)
        np.testing.assert_array_equal(study.gene("A").values, [np.nan, np.nan])


class TestShownMatrix:
    COUNTS = some_counts(8, 5)
    LOGGED = log1p_cp10k(COUNTS)
    SCALED = LOGGED - LOGGED.mean(axis=0)
    GENES = tuple(f"GENE{number}" for number in range(5))

    def write(self, path: Path, x: np.ndarray, raw: np.ndarray | None = None, **layers: np.ndarray) -> Path:
        raw_part = None if raw is None else raw_of(raw, list(self.GENES))
        return write_study(path, cells=8, x=x, raw=raw_part, layers=layers)

    def test_log_values_are_preferred_to_counts_and_these_to_scaled_ones(
        self, tmp_path: Path, open_files: Opener
    ) -> None:
        for number, (path, shown) in enumerate(
            [
                (self.write(tmp_path / "0.h5ad", self.COUNTS, lognorm=self.LOGGED), "layers/lognorm"),
                (self.write(tmp_path / "1.h5ad", self.SCALED, self.LOGGED, counts=self.COUNTS), "raw/X"),
                (self.write(tmp_path / "2.h5ad", self.SCALED, self.COUNTS), "raw/X"),
                (self.write(tmp_path / "3.h5ad", self.SCALED), "X"),
                (self.write(tmp_path / "4.h5ad", np.log1p(self.COUNTS), counts=self.COUNTS), "X"),
                (self.write(tmp_path / "5.h5ad", np.expm1(self.LOGGED), counts=self.COUNTS), "layers/counts"),
            ]
        ):
            assert open_files(path).shown_matrices == (shown,), number

    def test_files_show_the_same_kind_where_they_can(self, tmp_path: Path, open_files: Opener) -> None:
        logged = self.write(tmp_path / "a.h5ad", self.LOGGED, counts=self.COUNTS)
        counts = self.write(tmp_path / "b.h5ad", self.COUNTS)
        scaled = self.write(tmp_path / "c.h5ad", self.SCALED)

        assert open_files(logged, counts).shown_matrices == ("layers/counts", "X")
        assert open_files(logged, counts, scaled).shown_matrices == ("X", "X", "X")

    def test_log_values_of_two_kinds_are_preferred_to_the_counts_of_both(
        self, tmp_path: Path, open_files: Opener
    ) -> None:
        one = self.write(tmp_path / "a.h5ad", self.LOGGED, counts=self.COUNTS)
        other = self.write(tmp_path / "b.h5ad", self.COUNTS, logged=np.log1p(self.COUNTS))
        both = self.write(tmp_path / "c.h5ad", self.LOGGED, log=np.log1p(self.COUNTS))

        assert open_files(one, other).shown_matrices == ("X", "layers/logged")
        # The very same kind first.
        assert open_files(other, both).shown_matrices == ("layers/logged", "layers/log")
        assert open_files(one, both).shown_matrices == ("X", "X")

    def test_the_user_may_say_what_a_matrix_holds(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(self.write(tmp_path / "a.h5ad", self.COUNTS, lognorm=self.LOGGED))
        chosen = study.with_choices(Choices(matrix_kinds={"a:layers/lognorm": "scaled"}))

        assert study.shown_matrices == ("layers/lognorm",)
        assert chosen.shown_matrices == ("X",)
        evidence = chosen.matrix_kind(chosen.datasets[0], "layers/lognorm")
        assert evidence.kind is MatrixKind.SCALED
        assert evidence.description == "scaled (chosen by you)"
        assert evidence.reason == study.matrix_kind(study.datasets[0], "layers/lognorm").reason
