"""The commands that take labels in and out: exit codes, reports and plain sentences."""

import csv
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from iscan_dash.cli import main
from tests.browser.server import real_data
from tests.studies import write_study

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with its drafts in a folder of their own; what it does not expect is a failure of the test."""
    monkeypatch.setenv("ISCAN_ANNOTATIONS_DIR", str(tmp_path / "drafts"))
    monkeypatch.delenv("ISCAN_USER", raising=False)

    def run_(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run_


@pytest.fixture
def data(tmp_path: Path) -> Path:
    obs = {"fate": pd.Categorical(["a", "b", "a"])}
    return write_study(tmp_path / "in.h5ad", obs, cells=["c1", "c2", "c3"])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text('index,mine,fate,score\nc1,"T, #1",x,0.5\nc3,NA,y,1\nc9,B,y,2\n')
    return path


def good(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def sentence(result: Result) -> str:
    """Return the sentence that a refusal says last."""
    assert result.exit_code == 2
    line = result.output.splitlines()[-1]
    assert line.startswith("iscan-dash: ")
    return line.removeprefix("iscan-dash: ")


REPORT = [
    "table.csv: 3 rows, matched by index.",
    "2 rows match a cell.",
    "1 row matches no cell: c9.",
    "1 cell of the study gets no label.",
    "mine: 2 labels, 0 rows without (on)",
    '  Many tools read "NA" as missing.',
    "fate: 2 labels, 0 rows without (on)",
    "  The name is used by a metadata column; fate (2) is free.",
    "score: 2 labels, 0 rows without (off: It holds numbers that are not whole.)",
]


def exported(run: Run, data: Path, *options: str) -> list[list[str]]:
    out = data.with_name("exported.csv")
    out.unlink(missing_ok=True)
    good(run("export", data, "-o", out, *options))
    with out.open(newline="") as stream:
        return [row for row in csv.reader(stream) if not row[0].startswith("# ")]


class TestImport:
    def test_the_columns_that_look_right(self, run: Run, data: Path, table: Path) -> None:
        assert good(run("import", data, table)) == [
            *REPORT,
            '"mine" is new: 2 of 3 cells are set.',
            '"fate (2)" is new: 2 of 3 cells are set.',
        ]
        assert exported(run, data) == [
            ["index", "sample", "mine", "fate (2)"],
            ["c1", "in", "T, #1", "x"],
            ["c2", "in", "Unassigned", "Unassigned"],
            ["c3", "in", "NA", "y"],
        ]

    def test_a_dry_run_changes_nothing(self, run: Run, data: Path, table: Path, tmp_path: Path) -> None:
        assert good(run("import", data, table, "--dry-run")) == [*REPORT, "Nothing was imported (--dry-run)."]
        assert sentence(run("export", data, "-o", tmp_path / "o.csv")).startswith("There are no annotations to export.")
        assert not (tmp_path / "o.csv").exists()

    def test_chosen_columns(self, run: Run, data: Path, table: Path) -> None:
        good(run("import", data, table, "--column", "score", "--default", "none"))
        assert [row[2:] for row in exported(run, data)] == [["score"], ["0.5"], ["none"], ["1"]]

    def test_again_under_another_name_or_replacing(self, run: Run, data: Path, table: Path) -> None:
        good(run("import", data, table, "--column", "mine"))
        table.write_text("index,mine\nc2,NK\nc1,B\n")
        assert good(run("import", data, table))[-1] == '"mine (2)" is new: 2 of 3 cells are set.'
        assert good(run("import", data, table, "--replace"))[-1] == '"mine" is replaced: 2 of 3 cells are set.'
        assert [row[2:] for row in exported(run, data)] == [
            ["mine", "mine (2)"],
            ["B", "B"],
            ["NK", "NK"],
            ["Unassigned", "Unassigned"],
        ]

    def test_for_one_user_in_one_folder(self, run: Run, data: Path, table: Path, tmp_path: Path) -> None:
        options = ("--user", "ada", "--annotations-dir", str(tmp_path / "hers"))
        good(run("import", data, table, "--column", "mine", *options))
        assert exported(run, data, *options)[0][2:] == ["mine"]
        # Nobody else has drafts in that folder.
        assert exported(run, data, *options[2:])[0][2:] == ["mine"]
        assert run("export", data, "-o", tmp_path / "o.csv", *options[:2]).exit_code == 2

    def test_other_columns_of_ids_and_samples(self, run: Run, tmp_path: Path) -> None:
        data = write_study(tmp_path / "a.h5ad", {"sample": pd.Categorical(["s1", "s2"])}, cells=["c", "c"])
        (tmp_path / "t.tsv").write_text("n\tbarcode\tlane\tfate\n1\tc\ts2\tT\n")
        options = ("--id-column", "barcode", "--table-sample-column", "lane", "--column", "fate")
        assert (
            good(run("import", data, tmp_path / "t.tsv", *options))[0] == "t.tsv: 1 row, matched by lane and barcode."
        )
        assert exported(run, data)[1:] == [["c", "s1", "Unassigned"], ["c", "s2", "T"]]

    def test_refusals(self, run: Run, data: Path, table: Path, tmp_path: Path) -> None:
        none = tmp_path / "none.csv"
        assert sentence(run("import", data, none)) == (
            f"{none} cannot be read: No such file or directory. Check the path."
        )
        assert sentence(run("import", none, table)) == f"{none} does not exist. Check the path."
        assert sentence(run("import", data, table, "--column", "x")) == (
            'table.csv has no column "x" with labels. It has: mine, fate, score.'
        )
        assert sentence(run("import", data, data)) == (
            "in.h5ad is not a text file. Save the table as CSV with the encoding UTF-8."
        )
        table.write_text("index,mine\nx1,T\nx2,T\n")
        assert sentence(run("import", data, table)) == ("None of the 2 rows match a cell of this dataset (first: x1).")


class TestExport:
    def test_chosen_annotations(self, run: Run, data: Path, table: Path) -> None:
        good(run("import", data, table))
        assert exported(run, data, "--annotation", "fate (2)", "--annotation", "mine")[0] == [
            "index",
            "sample",
            "fate (2)",
            "mine",
        ]
        assert sentence(run("export", data, "-o", data.with_name("o.csv"), "--annotation", "x")) == (
            'There is no annotation "x". There are: mine, fate (2).'
        )

    def test_for_cellxgene(self, run: Run, data: Path, table: Path, tmp_path: Path) -> None:
        good(run("import", data, table))
        result = run("export", data, "-o", tmp_path / "o.csv", "--cellxgene")
        assert good(result) == [
            f"{tmp_path / 'o.csv'} was written: mine, fate (2).",
            'E61 warning: 1 label contains "#" and will be cut by cellxgene.',
        ]
        assert exported(run, data, "--cellxgene")[0] == ["index", "mine", "fate (2)"]

    def test_never_over_a_file(self, run: Run, data: Path, table: Path) -> None:
        good(run("import", data, table))
        before = table.read_bytes()
        assert sentence(run("export", data, "-o", table)) == f"{table} exists. Choose another name."
        assert table.read_bytes() == before


class TestMerge:
    def test_a_table(self, run: Run, data: Path, table: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.h5ad"
        lines = good(run("merge", data, table, "-o", out, "--rename", "fate=fate_annot"))
        # Names are held against the file's when it is written.
        assert lines[:-1] == [line for line in REPORT if "The name" not in line]
        assert lines[-1].startswith(
            f"{out} was written: in.h5ad with 2 new obs columns (mine, fate_annot), which read back equal for all 3 "
            "cells. Every other object is identical: "
        )
        obs = ad.read_h5ad(out).obs
        assert {name: obs[name].tolist() for name in obs} == {
            "fate": ["a", "b", "a"],
            "mine": ["T, #1", "Unassigned", "NA"],
            "fate_annot": ["x", "Unassigned", "y"],
        }

    def test_an_exported_draft(self, run: Run, data: Path, table: Path, tmp_path: Path) -> None:
        good(run("import", data, table, "--column", "mine"))
        exported(run, data)
        good(run("merge", data, tmp_path / "exported.csv", "-o", tmp_path / "out.h5ad"))
        assert ad.read_h5ad(tmp_path / "out.h5ad").obs["mine"].tolist() == ["T, #1", "Unassigned", "NA"]

    def test_marks_of_formulas_are_for_spreadsheets_only(self, run: Run, tmp_path: Path) -> None:
        ids, labels = ["=c1", "'=c2", "c3"], ["=1+1", "'=1+1", "-1"]
        data = write_study(tmp_path / "in.h5ad", cells=ids)
        by_hand = tmp_path / "hand.csv"
        by_hand.write_text("index,'=mine\n'=c1,'=1+1\n''=c2,''=1+1\nc3,-1\n")
        assert good(run("import", data, by_hand))[-1] == '"=mine" is new: 3 of 3 cells are set.'
        table = exported(run, data)
        assert table == [
            ["index", "sample", "'=mine"],
            ["'=c1", "in", "'=1+1"],
            ["''=c2", "in", "''=1+1"],
            ["c3", "in", "-1"],
        ]
        assert [row[1] for row in exported(run, data, "--cellxgene")] == ["=mine", *labels]
        plain = tmp_path / "exported.csv"
        (draft,) = (tmp_path / "drafts").glob("*.csv")
        with draft.open(newline="") as stream:
            assert [row[2] for row in csv.reader(stream) if not row[0].startswith("# ")] == ["=mine", *labels]
        good(run("export", data, "-o", tmp_path / "marked.csv"))
        for number, file in enumerate((plain, draft, tmp_path / "marked.csv", by_hand)):
            good(run("merge", data, file, "-o", tmp_path / f"{number}.h5ad"))
            assert ad.read_h5ad(tmp_path / f"{number}.h5ad").obs["=mine"].tolist() == labels
        good(run("import", data, tmp_path / "marked.csv"))
        assert {tuple(row[2:]) for row in exported(run, data)[1:]} == {("'=1+1",) * 2, ("''=1+1",) * 2, ("-1",) * 2}

    def test_several_files(self, run: Run, tmp_path: Path) -> None:
        files = [write_study(tmp_path / f"{name}.h5ad", cells=["c1"]) for name in ("a", "b")]
        (tmp_path / "t.csv").write_text("index,sample,x\nc1,b,T\nc1,a,B\n")
        lines = good(run("merge", *files, tmp_path / "t.csv", "-o", tmp_path / "o.h5ad"))
        assert [line.split(" was written")[0] for line in lines[-2:]] == [
            str(tmp_path / "o-a.h5ad"),
            str(tmp_path / "o-b.h5ad"),
        ]
        assert [ad.read_h5ad(tmp_path / f"o-{name}.h5ad").obs["x"].tolist() for name in "ab"] == [["B"], ["T"]]

    def test_refusals(self, run: Run, data: Path, table: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.h5ad"
        assert sentence(run("merge", data, table, "-o", out)) == (
            'The data has a column "fate" already. Use another name, e.g. "fate_annot".'
        )
        assert sentence(run("merge", data, table, "-o", data, "--column", "mine")) == (
            f"{data} exists. Choose another name."
        )
        assert sentence(run("merge", data, table, "-o", out, "--rename", "x=y")) == (
            'There is no column "x" to rename. There are: mine, fate.'
        )
        result = run("merge", data, table, "-o", out, "--rename", "x")
        assert result.exit_code == 2
        assert '--rename wants OLD=NEW, not "x".' in result.output
        assert not out.exists()


@pytest.mark.parametrize("command", ["import", "export", "merge"])
def test_help(run: Run, command: str) -> None:
    assert "Usage: " in run(command, "-h").output


@pytest.mark.skipif(not real_data("pbmc3k"), reason="pbmc3k is not here")
def test_real_data_there_and_back(run: Run, tmp_path: Path) -> None:
    (file,) = real_data("pbmc3k")
    obs = ad.read_h5ad(file, backed="r").obs
    labels = [f"#{place % 7}, NA" for place in range(len(obs))]
    pd.DataFrame({"mine": labels}, index=obs.index).to_csv(tmp_path / "t.csv")
    good(run("import", file, tmp_path / "t.csv"))
    good(run("export", file, "-o", tmp_path / "draft.csv"))
    good(run("merge", file, tmp_path / "draft.csv", "-o", tmp_path / "o.h5ad"))
    assert ad.read_h5ad(tmp_path / "o.h5ad", backed="r").obs["mine"].tolist() == labels
