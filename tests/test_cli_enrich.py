"""The command enrich: tables of groups and of cells, collections by name, plain sentences."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from iscan_dash.cli import main
from iscan_dash.core.annotations.csv_table import open_csv_table
from tests.services.test_enrichments import GOLDEN, needs_golden, write_golden
from tests.studies import write_study

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("ISCAN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("ISCAN_REFERENCES", raising=False)

    def run_(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, ["enrich", *(str(argument) for argument in arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run_


@needs_golden
def test_a_table_of_groups(run: Run, tmp_path: Path) -> None:
    data, out = write_golden(tmp_path / "pbmc.h5ad"), tmp_path / "table.csv"
    result = run(data, "--gene-sets", GOLDEN / "sets.gmt", "--group-by", "bulk_labels", "-o", out)
    assert result.exit_code == 0, result.output
    assert "700 cells scored for 13 of 14 gene sets (X of pbmc)." in result.output
    table = pd.read_csv(out, comment="#", keep_default_na=False, na_values=[""])
    wanted = pd.read_csv(GOLDEN / "reco_table_bulk_labels.csv")
    both = table.merge(wanted, left_on=["group", "gene_set"], right_on=["group", "gene_set"], suffixes=("", "_wanted"))
    both = both[(both.gene_set != "edge_lower_case") & (both.n_genes_found_wanted > 0)]
    assert (
        len(both) > 80 and (both.n_cells == both.n_cells_wanted).all() and (both.n_genes == both.n_genes_wanted).all()
    )
    for own, name in (
        ("average_expression", "avg_expression"),
        ("average_percentage", "avg_percentage"),
        ("enrichment_score", "score_wanted" if "score_wanted" in both else "score"),
        ("enrichment_score_difference", "score_diff"),
        ("auc", "auc_wanted"),
    ):
        np.testing.assert_allclose(both[own], both[name], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(both.minus_log10_p_value, -np.log10(both.p), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(both.enrichment_p_value, both.p, rtol=2e-9)


@needs_golden
def test_a_table_of_cells(run: Run, tmp_path: Path) -> None:
    data, out = write_golden(tmp_path / "pbmc.h5ad"), tmp_path / "cells.csv"
    result = run(data, "--gene-sets", GOLDEN / "sets.gmt", "--set", "B cell", "--set", "NK", "-o", out)
    assert result.exit_code == 0, result.output
    with out.open() as stream:
        rows = list(csv.reader(line for line in stream if not line.startswith("#")))
    assert rows[0] == ["index", "sample", "B cell", "NK"]
    wanted = pd.read_csv(GOLDEN / "reco_ucell_scores.csv.gz", index_col=0)
    found = pd.DataFrame(rows[1:], columns=rows[0]).set_index("index")
    np.testing.assert_allclose(found["B cell"].astype(float), wanted["B cell"], rtol=1e-9, atol=1e-9)


def test_a_collection_that_comes_along(run: Run, tmp_path: Path) -> None:
    obs = {"leiden": pd.Categorical(["0", "1"] * 6), "sample": pd.Categorical(["s1"] * 6 + ["s2"] * 6)}
    data = write_study(tmp_path / "a.h5ad", obs, genes=["CD3D", "CD3E", "MS4A1", "CD79A", "LYZ", "NKG7"])
    out = tmp_path / "table.csv"
    result = run(
        data,
        "--gene-sets",
        "canonical_markers_human",
        "--group-by",
        "leiden",
        "--sample",
        "s1",
        "--method",
        "aucell",
        "-o",
        out,
    )
    assert result.exit_code == 0, result.output
    assert "6 cells scored for" in result.output and "warning: " in result.output
    table = pd.read_csv(out, comment="#")
    assert set(table.n_cells) == {3} and "T cell" in set(table.gene_set)


def test_groups_without_a_test_are_told_of(run: Run, tmp_path: Path) -> None:
    obs = {"leiden": pd.Categorical(["0"] * 4 + ["1"] * 2)}
    data, out, sets = (
        write_study(tmp_path / "a.h5ad", obs, genes=["CD3D", "LYZ"]),
        tmp_path / "t.csv",
        tmp_path / "s.txt",
    )
    sets.write_text("T: CD3D\n")
    result = run(data, "--gene-sets", sets, "--group-by", "leiden", "-o", out)
    assert "warning: 1 group has fewer than 3 cells and no P-value." in result.output
    assert pd.read_csv(out, comment="#").enrichment_p_value.isna().all()


def test_tables_have_no_formulas(run: Run, tmp_path: Path) -> None:
    obs = {"=by": pd.Categorical(["=0", "-1"] * 3), "sample": pd.Categorical(["@s", "@t"] * 3)}
    cells = [f"+c{place}" for place in range(6)]
    data = write_study(tmp_path / "a.h5ad", obs, cells=cells, genes=["CD3D", "LYZ", "NKG7"])
    sets = tmp_path / "sets.gmt"
    sets.write_text("=T\t\tCD3D\n'=T\t\tLYZ\n")
    for options in ((), ("--group-by", "=by")):
        result = run(data, "--gene-sets", sets, *options, "-o", tmp_path / f"{len(options)}.csv")
        assert result.exit_code == 0, result.output
    with (tmp_path / "0.csv").open(newline="") as stream:
        header, *rows = csv.reader(line for line in stream if not line.startswith("# "))
    assert header == ["index", "sample", "'=T", "''=T"]
    assert [row[:2] for row in rows] == [
        [f"'{cell}", f"'@{sample}"] for cell, sample in zip(cells, "st" * 3, strict=True)
    ]
    read = open_csv_table(tmp_path / "0.csv").unmarked()
    assert [column.name for column in read.columns] == ["index", "sample", "=T", "'=T"]
    assert list(read.columns[0].levels) == cells
    with (tmp_path / "2.csv").open(newline="") as stream:
        _, *rows = csv.reader(line for line in stream if not line.startswith("# "))
    assert {row[0] for row in rows} == {"'=0", "-1"} and {row[2] for row in rows} == {"'=T", "''=T"}


def test_what_is_refused(run: Run, tmp_path: Path) -> None:
    data = write_study(tmp_path / "a.h5ad", {"leiden": pd.Categorical(["0", "1"] * 3)}, genes=["CD3D", "LYZ"])
    sets = tmp_path / "sets.txt"
    sets.write_text("T: CD3D\nM: LYZ\nT: CD2\n")
    out = tmp_path / "out.csv"
    cases = [
        (("--gene-sets", sets), "different sets of the same name (T)"),
        (("--gene-sets", "nothing"), "no collection of gene sets"),
        (("--gene-sets", sets, "--merge", "--set", "B"), 'no gene set "B"'),
        (("--gene-sets", sets, "--merge", "--group-by", "fate"), 'no metadata column "fate"'),
        (("--gene-sets", sets, "--merge", "--sample", "s9"), 'no sample "s9"'),
        (("--gene-sets", "canonical_markers_mouse"), "mouse but gene names look like human"),
    ]
    for arguments, words in cases:
        result = run(data, *arguments, "-o", out)
        assert result.exit_code == 2 and words in result.output, result.output
        assert not out.exists()
    out.write_text("mine")
    result = run(data, "--gene-sets", sets, "--merge", "-o", out)
    assert "exists" in result.output and out.read_text() == "mine"
