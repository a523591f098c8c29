import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iscan_dash.core.annotations import Annotation, Header, Label
from iscan_dash.core.annotations.combine import Combined
from iscan_dash.core.annotations.csv_table import read_csv_table
from iscan_dash.core.annotations.label_table import LabelTable, Tally, import_column, match_table, report_lines
from iscan_dash.core.annotations.names import check_label
from iscan_dash.core.study import Study, open_study
from iscan_dash.errors import DataError, NameRefused, UnknownColumn
from iscan_dash.services.csv_text import table_lines
from tests.studies import write_study

Opener = Callable[..., Study]


@pytest.fixture
def study(tmp_path: Path, open_files: Opener) -> Study:
    return open_files(write_study(tmp_path / "a.h5ad", cells=["c1", "c2", "c3", "c4"]))


@pytest.fixture
def two_samples(tmp_path: Path, open_files: Opener) -> Study:
    """Cells c1 and c2 of s1, c1 and c3 of s2: c1 occurs twice."""
    obs = {"sample": pd.Categorical(["s1", "s1", "s2", "s2"])}
    return open_files(write_study(tmp_path / "two.h5ad", obs, cells=["c1", "c2", "c1", "c3"]))


def match(text: str, study: Study, taken: dict[str, str] | None = None, **options: object) -> LabelTable:
    table = read_csv_table(io.BytesIO(text.encode()), "x.csv")
    return match_table(table, study, taken or {}, **options)


def texts(combined: Combined) -> list[str]:
    return [combined.labels[code] for code in combined.codes.tolist()]


def counted(table: LabelTable) -> tuple[int, ...]:
    """Return the numbers of rows, matched, unmatched, duplicated and ambiguous ones, and cells without label."""
    report = table.report
    numbers = report.n_matched, report.unmatched.count, report.duplicated.count, report.ambiguous.count
    assert sum(numbers) == report.n_rows
    assert report.n_matched == (table.rows >= 0).sum() == len(table.rows) - report.n_unlabelled
    return report.n_rows, *numbers, report.n_unlabelled


class TestMatching:
    def test_by_id_in_any_order(self, study: Study) -> None:
        table = match("index,fate\nc3,T\nc1,B\nx1,T\nc4,\n", study)
        assert table.rows.tolist() == [1, -1, 0, 3]
        assert counted(table) == (4, 3, 1, 0, 0, 1)
        assert table.report.unmatched == Tally(1, ("x1",))
        assert (table.report.id_column, table.report.sample_column, table.report.is_by_row) == ("index", None, False)

    def test_the_first_of_several_rows_of_a_cell_wins(self, study: Study) -> None:
        table = match("index,fate\nc2,T\nc1,B\nc2,B\nc2,NK\n", study)
        assert counted(table) == (4, 2, 0, 2, 0, 2)
        assert table.report.duplicated == Tally(2, ("c2",))
        assert texts(import_column(table, "fate", "none")) == ["B", "T", "none", "none"]

    def test_only_a_few_ids_are_named(self, study: Study) -> None:
        table = match("index,x\nc1,1\n" + "".join(f"x{row},1\n" for row in range(9)), study)
        assert table.report.unmatched == Tally(9, ("x0", "x1", "x2"))

    def test_by_a_chosen_column(self, study: Study) -> None:
        text = ",barcode,fate\n0,c2,T\n1,c1,B\n"
        table = match(text, study, id_column="barcode")
        assert table.rows.tolist() == [1, 0, -1, -1]
        assert [column.name for column in table.report.columns] == ["unnamed 1", "fate"]
        with pytest.raises(UnknownColumn, match=r'^x\.csv has no column "cell"\.$'):
            match(text, study, id_column="cell")

    def test_nothing_matches(self, study: Study) -> None:
        with pytest.raises(DataError) as refused:
            match("index,fate\nAAC-1,T\nAAG-1,B\n", study)
        assert str(refused.value) == "None of the 2 rows match a cell of this dataset (first: AAC-1)."

    def test_ids_are_compared_as_they_are(self, study: Study) -> None:
        assert counted(match("index,fate\n c1,T\nC2,T\nc3,T\n", study)) == (3, 1, 2, 0, 0, 3)


class TestSamples:
    def test_found_by_name_and_values(self, two_samples: Study) -> None:
        table = match("index,Sample,fate\nc1,s2,T\nc1,s1,B\nc3,s1,NK\nc9,s9,NK\n", two_samples)
        assert table.report.sample_column == "Sample"
        assert table.rows.tolist() == [1, -1, 0, -1]
        assert counted(table) == (4, 2, 2, 0, 0, 2)
        assert [column.name for column in table.report.columns] == ["fate"]

    def test_a_column_of_other_values_is_one_of_labels(self, two_samples: Study) -> None:
        table = match("index,sample,fate\nc2,x,T\nc1,y,B\n", two_samples)
        assert table.report.sample_column is None
        assert [column.name for column in table.report.columns] == ["sample", "fate"]
        assert counted(table) == (2, 1, 0, 0, 1, 3)

    def test_ids_of_several_cells_are_ambiguous_without(self, two_samples: Study) -> None:
        table = match("index,fate\nc1,T\nc2,B\nc1,NK\n", two_samples)
        assert counted(table) == (3, 1, 0, 0, 2, 3)
        assert table.report.ambiguous == Tally(2, ("c1",))
        with pytest.raises(DataError) as refused:
            match("index,fate\nc1,T\n", two_samples)
        assert str(refused.value) == (
            "x.csv cannot be matched: 1 row have ids that several cells of this dataset share (first: c1). "
            "Choose a column that holds their samples."
        )

    def test_chosen_or_switched_off(self, two_samples: Study) -> None:
        text = "index,sample,lane\nc1,s1,s2\nc3,s1,s2\n"
        assert match(text, two_samples).rows.tolist() == [0, -1, -1, -1]
        assert match(text, two_samples, sample_column="lane").rows.tolist() == [-1, -1, 0, 1]
        off = match(text, two_samples, sample_column="")
        assert off.rows.tolist() == [-1, -1, -1, 1]
        assert [column.name for column in off.report.columns] == ["sample", "lane"]

    def test_the_same_rows_in_the_same_order(self, two_samples: Study) -> None:
        table = match("index,fate\nc1,a\nc2,b\nc1,c\nc3,d\n", two_samples)
        assert table.report.is_by_row
        assert counted(table) == (4, 4, 0, 0, 0, 0)
        assert texts(import_column(table, "fate", "none")) == ["a", "b", "c", "d"]

    def test_cells_that_share_sample_and_id(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", cells=["c1", "c1", "c2"]))
        assert texts(import_column(match("index,fate\nc1,a\nc1,b\nc2,c\n", study), "fate", "-")) == ["a", "b", "c"]
        # In another order nobody can tell them apart.
        table = match("index,fate\nc2,c\nc1,a\nc1,b\n", study)
        assert counted(table) == (3, 1, 0, 0, 2, 2)

    def test_rows_of_no_sample_are_not_taken_for_cells_of_no_row(self, two_samples: Study) -> None:
        table = match("index,sample,fate\nc1,s1,a\nx,s1,b\nc1,s9,c\nx,s2,d\n", two_samples)
        assert table.rows.tolist() == [0, -1, -1, -1]


class TestColumns:
    TAKEN = {"leiden": "cluster", "Fate": "annotation", "barcode": "cell ID"}  # noqa: RUF012

    def test_are_described(self, study: Study) -> None:
        text = "index,a,n,f,empty\nc1,T,1,0.5,\nc2,T ,02,1, \nc3,,3,2,\nx9,ignored,x,x,x\n"
        table = match(text, study)
        described = [
            (column.name, column.n_levels, column.n_missing, column.is_numeric, column.is_on, column.reason)
            for column in table.report.columns
        ]
        assert described == [
            ("a", 1, 1, False, True, ""),
            ("n", 3, 0, True, True, ""),
            ("f", 3, 0, True, False, "It holds numbers that are not whole."),
            ("empty", 0, 3, False, False, "It has no labels."),
        ]

    def test_too_many_labels(self, study: Study) -> None:
        text = "index,a\n" + "".join(f"c{row},l{row}\n" for row in range(1, 5))
        (column,) = match(text, study, max_items=3).report.columns
        assert (column.is_on, column.reason) == (False, "4 labels exceed 3.")
        assert match(text, study, max_items=4).report.columns[0].is_on

    @pytest.mark.parametrize(
        ("name", "clash", "new_name"),
        [
            ("new", "", "new"),
            ("fate", "annotation", "fate (2)"),
            ("leiden", "cluster", "leiden (2)"),
            ("barcode", "cell ID", "barcode (2)"),
            ("T/B", "", "T-B"),
            ("_index", "", "labels _index"),
            ("x" * 70, "", "x" * 63 + "…"),
            ("", "", "unnamed 1"),
        ],
    )
    def test_names(self, study: Study, name: str, clash: str, new_name: str) -> None:
        (column,) = match(f"index,{name}\nc1,T\n", study, self.TAKEN).report.columns
        assert (column.clash, column.new_name) == (clash, new_name)

    def test_names_that_repeat(self, study: Study) -> None:
        table = match("index,a,A,a\nc1,x,y,z\n", study)
        assert [(column.name, column.clash, column.new_name) for column in table.report.columns] == [
            ("a", "", "a"),
            ("A", "table", "A (2)"),
            ("a (2)", "table", "a (2) (2)"),
        ]
        assert texts(import_column(table, "a (2)", "-")) == ["z", "-", "-", "-"]

    def test_a_label_that_breaks_a_rule(self, study: Study) -> None:
        table = match(f"index,a,b\nc1,{'x' * 129},{'y' * 128}\nc2,T,\nx9,T,{'z' * 129}\n", study)
        a, b = table.report.columns
        assert (a.is_on, a.n_levels, b.is_on) == (False, 2, True)
        assert a.reason == a.problem == f'"{"x" * 59}…": Label is 129 characters long; the limit is 128.'
        with pytest.raises(NameRefused, match=r'^Column "a" cannot be imported\.'):
            import_column(table, "a", "-")
        assert texts(import_column(table, "b", "-")) == ["y" * 128, "-", "-", "-"]


class TestImporting:
    def test_labels_and_codes(self, study: Study) -> None:
        combined = import_column(match("index,a\nc3,10\nc1,2\nc2,\n", study), "a", " Unassigned ")
        assert combined.labels == ("Unassigned", "2", "10")
        assert combined.codes.tolist() == [1, 0, 2, 0]
        assert combined.codes.dtype == np.int32

    def test_the_default_among_the_labels(self, study: Study) -> None:
        combined = import_column(match("index,a\nc1,none\nc2,T\nc3,no\n", study), "a", "none")
        assert combined.labels == ("none", "no", "T")
        assert texts(combined) == ["none", "T", "no", "none"]
        assert combined.warnings == (("W5", '1 cells have "none" as their own value; they are counted as default.'),)

    def test_a_table_of_cellxgene(self, study: Study) -> None:
        labels = pd.DataFrame({"fate": ["T", "unassigned", "T, 1", "B"]}, index=["c1", "c2", "c3", "c4"])
        table = match(f"# Annotations generated on 2026\n{labels.to_csv()}", study)
        assert table.report.id_column == "index"
        combined = import_column(table, "fate", "Unassigned")
        assert texts(combined) == ["T", "unassigned", "T, 1", "B"]
        assert combined.n_default == 0

    def test_what_is_not_there(self, study: Study) -> None:
        table = match("index,a\nc1,x\n", study)
        for name in ("b", "index"):
            with pytest.raises(UnknownColumn, match=f'^x.csv has no column "{name}" with labels.$'):
                import_column(table, name, "-")
        with pytest.raises(NameRefused, match="Enter a default value"):
            import_column(table, "a", " ")


def legal(text: str) -> bool:
    try:
        return check_label(text) == text
    except NameRefused:
        return False


def kept(text: str) -> str:
    try:
        return check_label(text)
    except NameRefused:
        return "?"


LABELS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).map(kept)
HARD = [
    "#1",
    "a,b",
    'the "T"',
    "Th1 α/β",
    "🧬👩‍🔬",
    "NA",
    "nan",
    "None",
    "007",
    "1e5",
    "=1+1",
    "a;b",
    "'",
    "a\\",
    "x  y",
]


class TestRoundTrip:
    @pytest.fixture(scope="class")
    def studies(self, tmp_path_factory: pytest.TempPathFactory) -> list[Study]:
        """Return studies with plain cells, cells told apart by sample, and cells that share sample and id."""
        folder = tmp_path_factory.mktemp("studies")
        cells = ["c1", "c2", "#c3", '"c4",']
        obs = {"sample": pd.Categorical(["s1", "s 2,", "s1", "s 2,"])}
        return [
            open_study([write_study(folder / "a.h5ad", cells=cells)]),
            open_study([write_study(folder / "b.h5ad", obs, cells=["c", "c", "#", "#"])]),
            open_study([write_study(folder / "c.h5ad", cells=["c", "c", "c", "d\n1"])]),
        ]

    @given(st.lists(LABELS, min_size=4, max_size=4), LABELS, st.sampled_from([0, 1, 2]))
    @example(HARD[:4], "NA", 0)
    @example(HARD[4:8], "nan", 1)
    @example(HARD[8:12], "", 2)
    @example([*HARD[12:], "#"], "#", 0)
    @example([kept("a\nb"), kept("a\tb"), "a b", "a b "], "b", 0)
    @settings(max_examples=60)
    def test_a_draft_comes_back_as_it_was(
        self, studies: list[Study], labels: list[str], default: str, place: int
    ) -> None:
        study, default, labels = studies[place], kept(default), [kept(label) for label in labels]
        assert all(map(legal, labels))
        known = list(dict.fromkeys([default, *labels]))
        header = Header("sample", tuple(Label(i, t, "#000000") for i, t in enumerate(known)), "ada", "", "empty")
        codes = np.array([known.index(label) for label in labels], np.int32)
        comment = ["iscan-dash", 'annotations: "x, #', "data: a.h5ad"]
        text = "".join(table_lines(study, [Annotation("1", header, codes, 1, "")], comment))
        table = match(text, study)
        assert table.report.n_matched == 4
        combined = import_column(table, "sample", default)
        assert texts(combined) == labels
        assert combined.labels[0] == default

    def test_the_names_of_columns_too(self, studies: list[Study]) -> None:
        names = ["#fate", "a,b", 'x "y"', "Sample", "👩‍🔬", "=1"]
        made = [
            Annotation(
                name, Header(name, (Label(0, "T", "#000000"),), "ada", "", "empty"), np.zeros(4, np.int32), 1, ""
            )
            for name in names
        ]
        table = match("".join(table_lines(studies[0], made, [])), studies[0])
        assert [(column.name, column.new_name, column.clash) for column in table.report.columns] == [
            (name, name, "") for name in names
        ]


def test_the_report_in_sentences(two_samples: Study) -> None:
    text = 'index,sample,fate,score,T/B\nc1,s1,"T ",0.5,x\nc1,s1,T,1,x\nc2,s1,NA,2,x\nc9,s1,T,3,x\nc8,s1,T,3,x\n'
    lines = report_lines(match(text, two_samples, {"Fate": "metadata"}).report)
    assert lines == [
        "x.csv: 5 rows, matched by sample and index.",
        "2 rows match a cell.",
        "2 rows match no cell: c9, c8.",
        "1 row names a cell again; the first row counts: c1.",
        "2 cells of the study get no label.",
        "fate: 2 labels, 0 rows without (on)",
        "  The name is used by a metadata column; fate (2) is free.",
        '  1 label had spaces at its ends, which are removed (first: "T").',
        '  Many tools read "NA" as missing.',
        "score: 2 labels, 0 rows without (off: It holds numbers that are not whole.)",
        "T/B: 1 label, 0 rows without (on)",
        "  The name cannot be used; T-B can.",
    ]
