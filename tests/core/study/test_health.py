from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.study import Choices, Study
from iscan_dash.core.study.health import Severity, check_study
from tests.studies import log1p_cp10k, some_counts, write_study

Opener = Callable[..., Study]

CLEAN: dict[str, Any] = {
    "obs": {"sample": pd.Categorical(["s", "t", "s"]), "leiden": pd.Categorical(["0", "1", None]), "n": [1.5, 2, 3]},
    "genes": ["CD3D", "LYZ"],
    "obsm": {"X_umap": np.eye(3)},
}


@pytest.fixture
def check(tmp_path: Path, open_files: Opener) -> Callable[..., list[tuple[str, Severity, str]]]:
    """Write a study that is clean but for what is given, and check it."""

    def check_(max_category_items: int = 1000, **parts: Any) -> list[tuple[str, Severity, str]]:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.h5ad"
        study = open_files(write_study(path, **(CLEAN | parts)))
        findings = check_study(study, max_category_items)
        assert all(finding.advice.endswith(".") for finding in findings)
        return [(finding.code, finding.severity, finding.text) for finding in findings]

    return check_


Checker = Callable[..., list[tuple[str, Severity, str]]]


def test_a_clean_study_has_no_findings(check: Checker) -> None:
    assert check() == []


def test_d01_ids_that_repeat_between_samples(check: Checker) -> None:
    assert check(cells=["c1", "c1", "c2"]) == [
        (
            "D01",
            Severity.WARNING,
            "1 cell ID occurs more than once. Cells are told apart by sample and row; CSV exports include the sample.",
        )
    ]


def test_d02_ids_that_repeat_within_a_sample(check: Checker) -> None:
    found = check(
        obs={"sample": pd.Categorical(["s", "t", "s", "s", "t", "t", "t"])},
        cells=["a", "a", "a", "b", "b", "c", "c"],
        obsm={"X_umap": np.eye(7)},
    )
    assert found == [
        (
            "D01",
            Severity.WARNING,
            "3 cell IDs occur more than once. Cells are told apart by sample and row; CSV exports include the sample.",
        ),
        (
            "D02",
            Severity.WARNING,
            "4 cells share both sample and ID. Row numbers are used to tell them apart; files can only be "
            "re-imported for this exact dataset.",
        ),
    ]


def test_repeated_ids_are_counted_as_a_plain_count_would(tmp_path: Path, open_files: Opener) -> None:
    rng = np.random.default_rng(0)
    ids = [f"c{number}" for number in rng.integers(0, 60, 100)]
    samples = [f"s{number}" for number in rng.integers(0, 3, 100)]
    path = write_study(
        tmp_path / "a.h5ad",
        {"sample": pd.Categorical(samples)},
        cells=ids,
        genes=["CD3D"],
        obsm={"X_umap": np.eye(100)},
    )
    cells = pd.DataFrame({"id": ids, "sample": samples})
    n_ids = int((cells["id"].value_counts() > 1).sum())
    n_cells = int(cells.duplicated(["id", "sample"], keep=False).sum())

    texts = [finding.text for finding in check_study(open_files(path), 1000)]
    assert texts[0].startswith(f"{n_ids} cell IDs occur")
    assert texts[1].startswith(f"{n_cells} cells share")


def test_d03_no_embedding(check: Checker) -> None:
    assert check(obsm={"X_one": np.ones((3, 1))}) == [
        ("D03", Severity.INFO, "No embedding found. Plots use QC axes or two genes; every other feature works.")
    ]


def test_d04_cells_without_a_position(check: Checker) -> None:
    xy = np.array([[0, np.nan], [np.inf, 1], [2, 2]])
    assert check(obsm={"X_umap": xy, "X_tsne": np.eye(3)}) == [
        ("D04", Severity.INFO, "2 cells have no position in X_umap; they are never hit by a lasso.")
    ]


def test_d04_an_embedding_of_one_file_only(tmp_path: Path, open_files: Opener) -> None:
    first = write_study(tmp_path / "a.h5ad", cells=["a"], genes=["CD3D"], obsm={"X_umap": np.ones((1, 2))})
    second = write_study(tmp_path / "b.h5ad", cells=["b", "c"], genes=["CD3D"])
    findings = check_study(open_files(first, second), 1000)

    assert [finding.text for finding in findings] == [
        "2 cells have no position in X_umap; they are never hit by a lasso."
    ]


def test_d05_more_labels_than_colours(check: Checker) -> None:
    obs = {"barcode": pd.Categorical(["x", "y", "z"]), "two": pd.Categorical(["x", "y", "y"]), "n": [1.5, 2.5, 3.5]}
    assert check(max_category_items=2, obs=obs) == [
        (
            "D05",
            Severity.INFO,
            'barcode has 3 values (limit 2). Colours group the rare ones as "other"; data, filters and copies keep '
            "all values.",
        )
    ]


def test_d05_not_for_what_is_ignored_and_for_numbers_treated_as_category(tmp_path: Path, open_files: Opener) -> None:
    obs = {"barcode": pd.Categorical(["x", "y", "z"]), "n": [1.5, 2.5, 3.5]}
    study = open_files(write_study(tmp_path / "a.h5ad", obs, genes=["CD3D"], obsm={"X_umap": np.eye(3)}))
    chosen = study.with_choices(Choices(treat_as={"barcode": "ignore", "n": "category"}))

    assert [finding.text.split()[0] for finding in check_study(study, 2)] == ["barcode"]
    assert [finding.text.split()[0] for finding in check_study(chosen, 2)] == ["n"]


def test_d06_only_scaled_values(check: Checker) -> None:
    scaled = some_counts(3, 2) - 0.5
    assert check(x=scaled) == [
        ("D06", Severity.WARNING, "All matrices look scaled. Prediction and averages need counts or log values.")
    ]
    assert check(x=scaled, layers={"counts": some_counts(3, 2)}) == []


def test_d06_names_the_file(tmp_path: Path, open_files: Opener) -> None:
    first = write_study(tmp_path / "a.h5ad", cells=["a"], genes=["CD3D"], obsm={"X_umap": np.ones((1, 2))})
    second = write_study(
        tmp_path / "b.h5ad", cells=["b"], genes=["CD3D"], obsm={"X_umap": np.ones((1, 2))}, x=np.array([[-1.5]])
    )
    found = {finding.code: finding.text for finding in check_study(open_files(first, second), 1000)}
    assert found["D06"] == "All matrices look scaled. Prediction and averages need counts or log values. (b.h5ad)"


def test_d07_text_and_numbers(tmp_path: Path, open_files: Opener) -> None:
    first = write_study(
        tmp_path / "a.h5ad",
        {"dose": [1.5, 2], "batch_note": pd.Categorical(["x", "y"])},
        cells=["a", "b"],
        genes=["CD3D"],
        obsm={"X_umap": np.eye(2)},
    )
    second = write_study(
        tmp_path / "b.h5ad",
        {"dose": pd.Categorical(["low", "1.5"]), "batch_note": [np.nan, np.nan]},
        cells=["c", "d"],
        genes=["CD3D"],
        obsm={"X_umap": np.eye(2)},
    )
    findings = check_study(open_files(first, second), 1000)

    assert [(finding.code, finding.severity, finding.text) for finding in findings if finding.code < "D10"] == [
        ("D07", Severity.INFO, "dose mixes text and numbers; values are shown as text.")
    ]


def test_d08_dates(tmp_path: Path, open_files: Opener) -> None:
    path = write_study(tmp_path / "a.h5ad", **(CLEAN | {"obs": {"day": [1, 2, 3]}}))
    days = np.array(["2026-01-02", "2026-01-01", "NaT"], "M8[D]")
    with h5py.File(path, "r+") as file:
        del file["obs/day"]
        file["obs/day"] = days.astype(h5py.opaque_dtype(days.dtype))
    findings = check_study(open_files(path), 1000)

    assert [(finding.code, finding.severity, finding.text) for finding in findings] == [
        ("D08", Severity.INFO, "day holds dates or times; values are shown as text and can be copied.")
    ]


def test_d09_genes_that_repeat(check: Checker) -> None:
    assert check(genes=["CD3D", "LYZ", "CD3D", "CD3D"]) == [
        ("D09", Severity.WARNING, "2 gene names repeat; the first one keeps the name; the others are ignored.")
    ]


class TestFilesTogether:
    COUNTS = some_counts(3, 2)

    def found(self, *files: Path, open_files: Opener) -> list[tuple[str, Severity, str]]:
        findings = check_study(open_files(*files), 1000)
        assert all(finding.advice.endswith(".") for finding in findings)
        return [(finding.code, finding.severity, finding.text) for finding in findings]

    def write(self, path: Path, genes: list[str], **parts: Any) -> Path:
        cells = [f"{path.stem}{number}" for number in range(3)]
        return write_study(path, cells=cells, genes=genes, **parts)

    @pytest.mark.parametrize(
        ("others", "severity", "text"),
        [
            (["A", "B"], None, ""),
            (["B", "C"], Severity.WARNING, "1 of 3 genes are in all 2 files"),
            (["A", "B", "C"], Severity.INFO, "2 of 3 genes are in all 2 files"),
            (["C", "D"], Severity.WARNING, "0 of 4 genes are in all 2 files"),
        ],
    )
    def test_d10_genes_that_are_not_in_all_files(
        self, tmp_path: Path, open_files: Opener, others: list[str], severity: Severity | None, text: str
    ) -> None:
        files = self.write(tmp_path / "a.h5ad", ["A", "B"]), self.write(tmp_path / "b.h5ad", others)
        found = [finding for finding in self.found(*files, open_files=open_files) if finding[0] == "D10"]
        wanted = [("D10", severity, f"{text}; the others are missing in the cells of some file.")] if text else []
        assert found == wanted

    def test_d11_values_of_different_kinds(self, tmp_path: Path, open_files: Opener) -> None:
        logged = self.write(tmp_path / "a.h5ad", ["A", "B"], x=log1p_cp10k(self.COUNTS))
        counts = self.write(tmp_path / "b.h5ad", ["A", "B"], x=self.COUNTS)
        assert self.found(logged, counts, open_files=open_files)[-1] == (
            "D11",
            Severity.WARNING,
            "Genes are shown by values of different kinds: log1p (a X), counts (b X). They cannot be compared between "
            "files.",
        )

    def test_d11_x_of_different_kinds_beside_a_matrix_that_both_have(self, tmp_path: Path, open_files: Opener) -> None:
        layers = {"counts": self.COUNTS}
        logged = self.write(tmp_path / "a.h5ad", ["A", "B"], x=log1p_cp10k(self.COUNTS), layers=layers)
        counts = self.write(tmp_path / "b.h5ad", ["A", "B"], x=self.COUNTS)
        assert self.found(logged, counts, open_files=open_files)[-1] == (
            "D11",
            Severity.INFO,
            "X holds values of different kinds: log1p (a X), counts (b X). Genes are shown by what the files share: "
            "counts (a layers/counts), counts (b X).",
        )

    def test_d12_an_embedding_of_several_files(self, tmp_path: Path, open_files: Opener) -> None:
        files = [
            self.write(tmp_path / f"{name}.h5ad", ["A", "B"], obsm={"X_umap": np.eye(3), f"X_{name}": np.eye(3)})
            for name in "ab"
        ]
        assert self.found(files[0], open_files=open_files) == []
        assert self.found(*files, open_files=open_files)[-1] == (
            "D12",
            Severity.INFO,
            "The files' coordinates are drawn together (X_umap). Unless they were computed on all files at once, "
            "distances between files mean nothing.",
        )


def test_findings_come_in_the_order_of_their_codes(check: Checker) -> None:
    found = check(
        max_category_items=1,
        obs={"sample": pd.Categorical(["s", "s", "t"])},
        cells=["a", "a", "b"],
        genes=["CD3D", "CD3D"],
        x=some_counts(3, 2) - 0.5,
        obsm={},
    )
    assert [code for code, _, _ in found] == ["D01", "D02", "D03", "D05", "D06", "D09"]
