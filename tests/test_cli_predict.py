"""The commands references and predict: tables that import, plain sentences, exit codes."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from iscan_dash import __version__
from iscan_dash.cli import main
from iscan_dash.core.annotations.csv_table import open_csv_table
from iscan_dash.core.annotations.label_table import match_table
from iscan_dash.core.engine.query import Query
from iscan_dash.core.references import Registry
from iscan_dash.core.references.load import load_reference
from iscan_dash.core.references.registry import BUNDLED
from iscan_dash.core.singler.classify import classify
from iscan_dash.core.singler.train import train
from iscan_dash.core.study import open_study
from iscan_dash.settings import DEMO_STUDY
from tests.browser.server import real_data
from tests.references import LABELS, gene_names, some_profiles, write_folder, write_profiles
from tests.studies import write_study

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with all it keeps in a folder of the test; what it does not expect is a failure of the test."""
    for name, folder in {
        "ISCAN_DATA_DIR": "data",
        "ISCAN_ANNOTATIONS_DIR": "drafts",
        "XDG_CACHE_HOME": "cache",
    }.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.delenv("ISCAN_REFERENCES", raising=False)
    monkeypatch.delenv("ISCAN_USER", raising=False)

    def run_(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run_


def good(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [line for line in result.output.splitlines() if line != "Preparing (once)"]


def sentence(result: Result) -> str:
    assert result.exit_code == 2, result.output
    line = result.output.splitlines()[-1]
    assert line.startswith("iscan-dash: ")
    return line.removeprefix("iscan-dash: ")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("# ")))


def header(path: Path) -> dict[str, str]:
    lines = [line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    assert lines[0].startswith(f"iscan-dash {__version__}, 20")
    return dict(line.split(": ", 1) for line in lines[1:])


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    write_profiles(tmp_path / "shared" / "gut.h5ad")
    return tmp_path / "shared"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = np.random.default_rng(3)
    truth = list(dict.fromkeys(LABELS)) * 10
    x = random.poisson(some_profiles(truth, seed=2) / 3).astype(np.float32)
    x[-1] = 0
    obs = {"leiden": pd.Categorical([*truth[:-1], None])}
    return write_study(tmp_path / "cells.h5ad", obs, genes=gene_names(600), x=x)


class TestDemo:
    """The study and the reference that come with the package, offline and end to end."""

    def test_prediction_to_draft(self, run: Run, tmp_path: Path) -> None:
        out, scores = tmp_path / "labels.csv", tmp_path / "scores.npz"
        lines = good(run("predict", DEMO_STUDY, "--reference", "hao_pbmc", "-o", out, "--scores", scores))
        assert lines[0].startswith("Human PBMC (Hao et al. 2021), 7 labels: 1,")
        assert lines[-2:] == [f"{out} was written.", f"{scores} was written."]
        study = open_study([DEMO_STUDY])
        try:
            ids = [cell.decode() for cell in study.cell_ids]
            # Read as any table, it is all labels.
            report = match_table(open_csv_table(out), study, {}).report
        finally:
            study.close()
        table = rows(out)
        assert [row["index"] for row in table] == ids
        assert list(table[0]) == [
            "index",
            "sample",
            "SingleR_hao_pbmc_main",
            "label before pruning",
            "delta",
            "runner-up",
            "best score",
            "reason",
        ]
        # The same as the engine by itself says.
        adata = ad.read_h5ad(DEMO_STUDY)
        profiles = load_reference(Registry(tmp_path / "none"), "hao_pbmc", "main").profiles
        direct = classify(train(profiles, list(adata.var_names)), Query.of(list(adata.var_names), adata.X))
        texts = np.array([*direct.labels, "Unassigned"])
        assert [row["SingleR_hao_pbmc_main"] for row in table] == texts[direct.assigned()].tolist()
        assert [row["label before pruning"] for row in table] == texts[direct.tuned.label].tolist()
        assert [row["reason"] for row in table] == [direct.reason(cell) for cell in range(len(ids))]
        np.testing.assert_allclose([float(row["delta"]) for row in table], direct.tuned.delta, rtol=1e-5)
        np.testing.assert_allclose(
            [float(row["best score"]) for row in table], direct.first.scores.max(axis=1), rtol=1e-5
        )
        with np.load(scores) as kept:
            assert kept["labels"].tolist() == list(direct.labels)
            assert kept["cells"].tolist() == ids
            assert kept["rows"].tolist() == list(range(len(ids)))
            np.testing.assert_allclose(kept["scores"], direct.first.scores, atol=1e-7)
            recipe = json.loads(str(kept["recipe"]))
        said = header(out)
        assert json.loads(said["recipe"]) == recipe
        assert said["fingerprint"] == recipe["fingerprint"]
        assert (
            recipe["reference_checksum"]
            == json.loads((BUNDLED / "hao_pbmc" / "reference.json").read_text())["checksum"]
        )
        assert (report.n_matched, report.n_unlabelled) == (len(ids), 0)
        on = {column.name: column.is_on for column in report.columns}
        assert on == {
            "SingleR_hao_pbmc_main": True,
            "label before pruning": True,
            "delta": False,
            "runner-up": True,
            "best score": False,
            "reason": True,
        }

    def test_it_imports_and_merges(self, run: Run, tmp_path: Path) -> None:
        out, name = tmp_path / "labels.csv", "SingleR_hao_pbmc_fine"
        good(run("predict", DEMO_STUDY, "--reference", "hao_pbmc", "--granularity", "fine", "-o", out))
        said = good(run("import", DEMO_STUDY, out, "--column", name))[-1]
        n_set = sum(row[name] != "Unassigned" for row in rows(out))
        assert said == f'"{name}" is new: {n_set:,} of 2,700 cells are set.'
        good(run("export", DEMO_STUDY, "-o", tmp_path / "draft.csv"))
        assert [row[name] for row in rows(tmp_path / "draft.csv")] == [row[name] for row in rows(out)]

    def test_threads_change_nothing(self, run: Run, tmp_path: Path) -> None:
        for threads in ("1", "2"):
            out = tmp_path / f"{threads}.csv"
            good(run("predict", DEMO_STUDY, "--reference", "hao_pbmc", "-o", out, "--threads", threads))
        assert rows(tmp_path / "1.csv") == rows(tmp_path / "2.csv")

    def test_clusters(self, run: Run, tmp_path: Path) -> None:
        study = open_study([DEMO_STUDY])
        column = next(name for name, info in study.columns.items() if info.role == "cluster")
        codes = study.category(column).codes.tolist()
        study.close()
        out = tmp_path / "labels.csv"
        options = ("--by-cluster", column, "--no-fine-tune", "--nmads", "100", "--name", "{reference} by cluster")
        lines = good(run("predict", DEMO_STUDY, "--reference", "hao_pbmc", *options, "-o", out))
        assert f"2,700 cells in {len(set(codes))} groups: 2,700 labelled" in lines[2]
        labels = [row["hao_pbmc by cluster"] for row in rows(out)]
        assert len(set(zip(codes, labels, strict=True))) == len(set(codes))


class TestPredict:
    def test_labels_of_any_text(self, run: Run, tmp_path: Path, data: Path) -> None:
        odd = {"B cell": 'T "naive", CD4+', "Monocyte": "#1 <b>", "NK cell": "Unassigned", "T cell": "=1+1"}
        (tmp_path / "own").mkdir()
        write_profiles(tmp_path / "own" / "odd.h5ad", [odd[label] for label in LABELS], some_profiles(LABELS))
        out = tmp_path / "labels.csv"
        good(run("predict", data, "--references", tmp_path / "own", "--reference", "odd", "-o", out, "--nmads", "100"))
        # What a spreadsheet takes for a formula is marked; importing takes the mark away.
        odd["T cell"] = "'=1+1"
        expected = [odd[label] for label in dict.fromkeys(LABELS)] * 10
        found = [(row["SingleR_odd_main"], row["reason"]) for row in rows(out)]
        assert found[:-1] == [(label, "") for label in expected[:-1]]
        # A cell without a label is told from those of a label that is called so.
        assert found[-1] == ("Unassigned", "no marker genes detected")
        assert (rows(out)[-1]["runner-up"], rows(out)[-1]["label before pruning"]) == ("", "Unassigned")
        good(run("import", data, out, "--column", "SingleR_odd_main"))

    def test_the_folder_of_the_environment(
        self, run: Run, tmp_path: Path, shared: Path, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ISCAN_REFERENCES", str(shared))
        good(run("predict", data, "--reference", "gut", "-o", tmp_path / "o.csv"))

    def test_warnings(self, run: Run, tmp_path: Path, shared: Path) -> None:
        x = np.random.default_rng(0).poisson(2, (30, 300)).astype(np.float32)
        few = write_study(tmp_path / "few.h5ad", cells=30, genes=gene_names(300), x=x)
        write_profiles(shared / "wide.h5ad", x=some_profiles(LABELS, n_genes=2400))
        result = run("predict", few, "--references", shared, "--reference", "wide", "-o", tmp_path / "o.csv")
        assert any(line.startswith("warning: Only 2") for line in good(result))

    def test_what_is_there_is_kept(self, run: Run, tmp_path: Path, shared: Path, data: Path) -> None:
        out = tmp_path / "labels.csv"
        start = ("predict", data, "--references", shared, "--reference", "gut", "-o", out)
        out.write_text("mine")
        assert sentence(run(*start)) == f"{out} exists. Choose another name."
        assert out.read_text() == "mine"
        out.unlink()
        (tmp_path / "scores.npz").write_text("mine")
        assert sentence(run(*start, "--scores", tmp_path / "scores.npz")).endswith(
            "scores.npz exists. Choose another name."
        )
        assert not out.exists()
        assert sentence(run(*start, "--scores", out)) == (
            "--scores and --out name the same file. Choose another name for one."
        )
        assert sentence(run(*start[:-1], tmp_path / "none" / "o.csv")).startswith(
            f"{tmp_path / 'none' / 'o.csv'} cannot be"
        )

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--reference", "none"), 'There is no reference "none". There are: '),
            (("--reference", "immgen"), "ImmGen cannot be used. It is not installed. To add it: "),
            (("--reference", "gut", "--granularity", "fine"), "gut has no fine labels. Choose main labels."),
            (("--reference", "gut", "--threshold", "0.2"), "Fine-tune threshold must be 0 to 0.1."),
            (("--reference", "gut", "--nmads", "-1"), "Outlier cutoff must be a number of at least 0."),
            (("--reference", "gut", "--by-cluster", "x"), 'This study has no metadata column "x".'),
            (("--reference", "gut", "--matrix", "raw/X"), 'cells.h5ad has no matrix "raw/X". It has: X.'),
            (("--reference", "gut", "--sample", "x"), 'There is no sample "x". There are: cells.'),
            (("--reference", "gut", "--name", "{lab}"), "Unknown placeholder {lab}. "),
            (("--reference", "gut", "--name", "a/b"), r"Names cannot contain / or \ because HDF5 uses them"),
            (("--reference", "gut", "--name", "Delta"), '"Delta" is already used by a table column.'),
            (("--reference", "gut", "--name", " "), "Enter a name."),
        ],
    )
    def test_refusals(
        self, run: Run, tmp_path: Path, shared: Path, data: Path, options: tuple[str, ...], said: str
    ) -> None:
        result = run("predict", data, "--references", shared, "-o", tmp_path / "o.csv", *options)
        assert sentence(result).startswith(said)
        assert not (tmp_path / "o.csv").exists()

    def test_a_folder_of_references_that_is_not_there(self, run: Run, tmp_path: Path, data: Path) -> None:
        options = ("--references", tmp_path / "none", "--reference", "hao_pbmc", "-o", tmp_path / "o.csv")
        assert sentence(run("predict", data, *options)) == (
            f"The folder of references {tmp_path / 'none'} does not exist. Check --references or ISCAN_REFERENCES."
        )


class TestReferences:
    def test_list(self, run: Run, shared: Path) -> None:
        write_profiles(shared / "hpca.h5ad")
        lines = good(run("references", "list", "--references", shared))
        found = {line.split()[0]: line for line in lines if line[0] != " "}
        assert (
            "  ready          human  Human PBMC (Hao et al. 2021) (7 main labels, 11 fine labels)" in found["hao_pbmc"]
        )
        assert "  not installed  mouse  ImmGen (20 main labels, 253 fine labels)" in found["immgen"]
        assert "  ready          human  gut (4 main labels)" in found["gut"]
        assert lines[-2:] == [
            f'  The id "hpca" is that of another reference ({BUNDLED / "hpca"}). Rename this one.',
            "To add one that is not installed: iscan-dash references install ID",
        ]

    def test_show(self, run: Run, shared: Path) -> None:
        write_folder(shared / "skin", name="<b>Skin</b>", ontology={"main": {"T cell": "CL:0000084"}}, licence="CC0")
        lines = good(run("references", "show", "skin", "--references", shared))
        assert lines[:5] == [
            "skin: <b>Skin</b>",
            "state: ready",
            f"where: {shared / 'skin'} (shared)",
            "organism: human",
            "version: 1",
        ]
        assert "size: 12 profiles, 600 genes, 4 main labels" in lines
        assert "licence: CC0" in lines
        assert lines[-5:] == ["main labels:", "  B cell", "  Monocyte", "  NK cell", "  T cell (CL:0000084)"]
        lines = good(run("references", "show", "hpca"))
        assert "  It is not installed. To add it: iscan-dash references install hpca" in lines
        assert "size: 713 profiles, 19,363 genes, 36 main labels, 157 fine labels" in lines
        assert sentence(run("references", "show", "none")).startswith('There is no reference "none".')

    def test_check(self, run: Run, shared: Path) -> None:
        lines = good(run("references", "check", shared / "gut.h5ad"))
        assert lines == [
            "gut: gut, human",
            "12 profiles, 600 genes (symbol), 4 main labels",
            "It can be used.",
        ]
        assert good(run("references", "check", BUNDLED / "hao_pbmc"))[-1] == "It can be used."
        folder = write_folder(shared / "skin", n_genes=5, matrix="reference.h5ad", organism="mouse")
        result = run("references", "check", folder)
        assert result.exit_code == 1
        assert result.output.splitlines()[2:] == [
            "problem: It has 600 genes; the manifest says 5.",
            "problem: The manifest says mouse but gene names look like human.",
            "It cannot be used.",
        ]
        result = run("references", "check", shared / "none.h5ad")
        assert (result.exit_code, result.output.splitlines()[-1]) == (1, "It cannot be used.")

    def test_install(self, run: Run) -> None:
        for arguments in ((), ("hpca", "--all")):
            result = run("references", "install", *arguments)
            assert (result.exit_code, "Name references to install, or say --all." in result.output) == (2, True)
        assert sentence(run("references", "install", "hao_pbmc")).startswith('"hao_pbmc" is no reference that can be')

    def test_install_and_predict(self, run: Run, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from iscan_dash.services import install
        from tests.services.test_install import fetch

        monkeypatch.setattr(install, "fetch_with_celldex", fetch)
        where = tmp_path / "data" / "references"
        assert good(run("references", "install", "hpca")) == [f"hpca is installed: {where / 'hpca'}"]
        assert good(run("references", "install", "--all"))[1] == f"hpca is already installed: {where / 'hpca'}"
        assert "not installed" not in "".join(good(run("references", "list")))
        out = tmp_path / "o.csv"
        good(run("predict", data, "--reference", "hpca", "--granularity", "fine", "-o", out))
        assert {row["SingleR_hpca_fine"].split(":")[0] for row in rows(out)} <= {
            "B cells",
            "Monocytes",
            "T cells",
            "Unassigned",
        }


@pytest.mark.parametrize("command", [["predict"], ["references"], ["references", "install"], ["references", "check"]])
def test_help(run: Run, command: list[str]) -> None:
    assert "Usage: " in run(*command, "-h").output


@pytest.mark.skipif(not real_data("pbmc3k"), reason="pbmc3k is not here")
def test_real_data(run: Run, tmp_path: Path) -> None:
    (file,) = real_data("pbmc3k")
    out = tmp_path / "labels.csv"
    good(run("predict", file, "--reference", "hao_pbmc", "-o", out))
    truth = ad.read_h5ad(file, backed="r").obs
    main = next(truth[name].astype(str) for name in truth if truth[name].nunique() == 6)
    found = pd.Series([row["SingleR_hao_pbmc_main"] for row in rows(out)], index=truth.index)
    table = pd.crosstab(found, main)
    assert table.max(axis=1).sum() > 0.9 * len(found)


class TestMakeReference:
    def test_it_labels_other_cells(self, run: Run, tmp_path: Path, data: Path) -> None:
        lines = good(
            run("references", "make", data, "--main", "leiden", "--id", "mine", "--references", tmp_path / "own")
        )
        assert lines[0] == "4 labels, 4 profiles of 39 cells."
        assert lines[1].startswith("Test by main labels: ") and "  Monocyte: 2 of 2" in lines
        assert lines[-1] == f"{tmp_path / 'own' / 'mine'} was written."
        assert good(run("references", "check", tmp_path / "own" / "mine"))[-1] == "It can be used."
        out = tmp_path / "labels.csv"
        good(run("predict", data, "--references", tmp_path / "own", "--reference", "mine", "-o", out, "--nmads", "100"))
        truth = list(dict.fromkeys(LABELS)) * 10
        assert [row["SingleR_mine_main"] for row in rows(out)][:-1] == truth[:-1]
        again = run("references", "make", data, "--main", "leiden", "--id", "mine", "--references", tmp_path / "own")
        assert sentence(again) == 'There is a reference "mine" already. Choose another id.'

    def test_it_goes_to_the_installed_ones_without_a_folder(self, run: Run, tmp_path: Path, data: Path) -> None:
        good(
            run(
                "references", "make", data, "--main", "leiden", "--id", "mine", "--exclude", "B cell", "--profiles", "2"
            )
        )
        shown = good(run("references", "show", "mine"))
        assert f"where: {tmp_path / 'data' / 'references' / 'mine'} (installed)" in shown
        assert shown[shown.index("main labels:") + 1 :] == ["  Monocyte", "  NK cell", "  T cell"]
        assert "organism: human" in shown

    def test_what_is_refused(self, run: Run, data: Path) -> None:
        assert "has no metadata column" in sentence(run("references", "make", data, "--main", "none", "--id", "x"))
        assert sentence(run("references", "make", data, "--main", "leiden", "--id", "X")).startswith("An id has")


def test_names_of_genes_by_a_column(run: Run, tmp_path: Path, shared: Path) -> None:
    truth = list(dict.fromkeys(LABELS)) * 10
    x = np.random.default_rng(3).poisson(some_profiles(truth, seed=2) / 3).astype(np.float32)
    ids = [f"id{place}" for place in range(600)]
    path = write_study(tmp_path / "ids.h5ad", cells=len(truth), genes=ids, x=x, var={"symbol": gene_names(600)})
    out = tmp_path / "labels.csv"
    command = ("predict", path, "--references", shared, "--reference", "gut", "-o", out, "--nmads", "100")
    assert sentence(run(*command)).startswith("Only 0 of ")
    good(run(*command, "--gene-column", "symbol"))
    assert [row["SingleR_gut_main"] for row in rows(out)] == truth
    assert json.loads(header(out)["recipe"])["gene_column"] == "symbol"
    out.unlink()
    assert 'have no column of names "none". There are: symbol.' in sentence(run(*command, "--gene-column", "none"))
