import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iscan_dash.core.annotations import Annotation, Header, Label
from iscan_dash.core.annotations.csv_table import read_csv_table
from iscan_dash.core.study import Study, open_study
from iscan_dash.errors import StorageError, UnknownColumn
from iscan_dash.services.csv_text import table_lines
from iscan_dash.services.export import (
    cellxgene_warnings,
    distinct,
    export_csv,
    export_header,
    export_lines,
    named_annotations,
)
from tests.studies import write_study

Opener = Callable[..., Study]


def annotation(name: str, labels: Sequence[str], codes: Sequence[int]) -> Annotation:
    header = Header(name, tuple(Label(place, text, "#000000") for place, text in enumerate(labels)), "ada", "", "empty")
    return Annotation(f"id of {name}", header, np.array(codes, np.int32), 3, "")


@pytest.fixture
def study(tmp_path: Path, open_files: Opener) -> Study:
    return open_files(write_study(tmp_path / "a.h5ad", {"sample": pd.Categorical(["s", "t"])}, cells=["c1", "#2"]))


def table_of(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("# "))


def test_the_table(study: Study) -> None:
    made = [annotation("fate", ["T, #1", "=B"], [0, 1]), annotation("x#", ["NA"], [0, 0])]
    assert table_of("".join(export_lines(study, made))) == (
        'index,sample,"fate","x#"\n"c1","s","T, #1","NA"\n"#2","t","\'=B","NA"\n'
    )
    assert table_of("".join(export_lines(study, made, for_cellxgene=True))) == (
        'index,"fate","x#"\n"c1","T, #1","NA"\n"#2","=B","NA"\n'
    )


HARD = ["=1", "'=1", "''=1", "-1", "'-1", "+T", "@x", "'", "''", "T"]


@given(st.lists(st.sampled_from(HARD) | st.text("'=+-@1T").map(str.strip).filter(bool), min_size=2, unique=True))
@example(HARD)
def test_importing_takes_the_marks_away(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    n = len(texts)
    obs = {"sample": pd.Categorical(texts)}
    study = open_study([write_study(tmp_path_factory.mktemp("x") / "a.h5ad", obs, cells=texts)])
    made = [annotation("'=fate", texts, list(range(n))), annotation("=fate", texts, list(range(n))[::-1])]
    draft = table_lines(study, made, export_header(study, made))
    try:
        for lines in (export_lines(study, made), export_lines(study, made, for_cellxgene=True), draft):
            read = read_csv_table(io.BytesIO("".join(lines).encode()), "x.csv").unmarked()
            columns = {column.name: column.texts(np.arange(n)) for column in read.columns}
            assert columns.pop("sample", texts) == texts
            assert columns == {"index": texts, "'=fate": texts, "=fate": texts[::-1]}
    finally:
        study.close()


def test_no_cell_of_an_export_is_a_formula(tmp_path: Path, open_files: Opener) -> None:
    obs = {"sample": pd.Categorical(["=s", "@t"])}
    study = open_files(write_study(tmp_path / "a,=1.h5ad", obs, cells=["=c1", "-c2"]))
    text = "".join(export_lines(study, [annotation("a,=2", ["=x", "-1"], [0, 1]), annotation("=3", ["+y"], [0, 0])]))
    cells = [cell for row in csv.reader(io.StringIO(text), skipinitialspace=True) for cell in row]
    assert [cell for cell in cells if cell.startswith(tuple("=+-@"))] == ["-1"]
    assert {"'=s", "'@t", "'=c1", "'-c2", "'=3", "'=x", "'+y", "a,=2"} <= set(cells)


def test_the_comment(tmp_path: Path, open_files: Opener) -> None:
    study = open_files(write_study(tmp_path / "a\nb.h5ad", cells=2))
    lines = export_header(study, [annotation("fate", ["T"], [0, 0]), annotation("x", ["T"], [0, 0])])
    assert lines[0].startswith("iscan-dash ")
    assert lines[1:] == [
        "data: a\\nb.h5ad",
        f"fingerprint: {study.fingerprint}",
        'annotations: [{"name": "fate", "id": "id of fate", "version": 3}, {"name": "x", "id": "id of x", "version": 3}]',
    ]
    of_whom = export_header(study, [], "Ada\n# annotations: []\u2028\x1b=1")
    assert of_whom[3:] == ["user: Ada\\n# annotations: [] \\u001b=1", "annotations: []"]


def test_equal_names_are_told_apart() -> None:
    made = [annotation("fate", ["T"], [0, 0]), annotation("Fate", ["B"], [0, 0]), annotation("x", ["T"], [0, 0])]
    assert [state.live.name for state in distinct(made)] == ["fate", "Fate (2)", "x"]
    assert [state.codes.tolist() for state in distinct(made)] == [[0, 0]] * 3


def test_a_file_is_written_once(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    export_csv(path, study, [annotation("fate", ["T"], [0, 0])])
    text = path.read_text()
    assert table_of(text) == 'index,sample,"fate"\n"c1","s","T"\n"#2","t","T"\n'
    with pytest.raises(StorageError, match=r"out\.csv exists\. Choose another name\.$"):
        export_csv(path, study, [])
    assert path.read_text() == text


def test_what_cellxgene_will_cut() -> None:
    made = [annotation("a", ["x#1", "#", "y", "unused #"], [0, 1, 2]), annotation("b", ["x#1"], [0, 0, 0])]
    assert cellxgene_warnings(made) == [("E61", '3 labels contain "#" and will be cut by cellxgene.')]
    assert cellxgene_warnings([annotation("a#", ["x"], [0])]) == [
        ("E61", '1 annotation name contains "#" and will be cut by cellxgene.')
    ]
    assert cellxgene_warnings([annotation("a", ["x", "#"], [0])]) == []


def test_cellxgene_reads_it_and_cuts_what_it_saved_itself(study: Study) -> None:
    def as_cellxgene(text: str) -> pd.DataFrame:
        return pd.read_csv(
            io.StringIO(text), dtype="category", index_col=0, header=0, comment="#", keep_default_na=False
        )

    made = [annotation('fate "1"', ["T, naive", "B #2"], [0, 1]), annotation("x", ["NA"], [0, 0])]
    read = as_cellxgene("".join(export_lines(study, made, for_cellxgene=True)))
    assert read.index.tolist() == ["c1", "#2"]
    assert {name: read[name].tolist() for name in read} == {'fate "1"': ["T, naive", "B #2"], "x": ["NA", "NA"]}
    again = as_cellxgene(read[:1].assign(fate=["B #2"]).to_csv())
    assert again["fate"].tolist() == ["B "]


def test_names() -> None:
    a, b = annotation("a", ["x"], [0]), annotation("b", ["x"], [0])
    assert named_annotations([a, b]) == [a, b]
    assert named_annotations([a, b], ["b", "a", "b"]) == [b, a]
    with pytest.raises(UnknownColumn, match=r'^There is no annotation "c"\. There are: a, b\.$'):
        named_annotations([a, b], ["c"])
    with pytest.raises(UnknownColumn, match=r"^There are no annotations to export\."):
        named_annotations([])
