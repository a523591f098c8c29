import contextlib
import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iscan_dash.core.annotations import csv_table
from iscan_dash.core.annotations.csv_table import CsvTable, open_csv_table, read_csv_table
from iscan_dash.core.formulas import NOTE
from iscan_dash.errors import DataError


def read(text: str | bytes) -> CsvTable:
    return read_csv_table(io.BytesIO(text if isinstance(text, bytes) else text.encode()), "x.csv")


def rows(table: CsvTable) -> list[list[str]]:
    columns = [column.texts(np.arange(table.n_rows)) for column in table.columns]
    return [[column.name for column in table.columns], *map(list, zip(*columns, strict=True))]


def refusal(text: str | bytes) -> str:
    with pytest.raises(DataError) as refused:
        read(text)
    sentence = str(refused.value)
    assert sentence.startswith(("x.csv ", "Row "))
    assert "\n" not in sentence
    return sentence


class TestReading:
    def test_comments_are_skipped_only_before_the_header(self) -> None:
        table = read('# made "by hand\n#\n\nindex,fate\n#1,T\n# no comment,B\n')
        assert rows(table) == [["index", "fate"], ["#1", "T"], ["# no comment", "B"]]

    def test_everything_is_text(self) -> None:
        table = read("index,fate\n1,NA\n2,nan\n3,007\n4,\n5,1e5\n")
        assert rows(table)[1:] == [["1", "NA"], ["2", "nan"], ["3", "007"], ["4", ""], ["5", "1e5"]]

    def test_quotes_hide_delimiters_quotes_and_line_breaks(self) -> None:
        table = read('index,"fa,te"\n"a","T, ""naive""\r\nor not"\nb,"x\n#y"\n')
        assert rows(table) == [["index", "fa,te"], ["a", 'T, "naive"\r\nor not'], ["b", "x\n#y"]]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
    def test_line_ends_and_byte_order_mark(self, end: str, start: bytes) -> None:
        table = read(start + end.join(["index,fate", "é,T", "", "b,β", ""]).encode())
        assert rows(table) == [["index", "fate"], ["é", "T"], ["b", "β"]]

    @pytest.mark.parametrize(
        ("text", "header"),
        [
            ("a,b\n1,2\n", ["a", "b"]),
            ("a\tb\n1,5\t2\n", ["a", "b"]),
            ("a;b\n1;2,5\n", ["a", "b"]),
            ("index,a;b;c\nc1,x\n", ["index", "a;b;c"]),
            ('index,"a;b;c"\nc1,"x;y;z"\n', ["index", "a;b;c"]),
            ("index;fate\nc1;T, naive\nc2;B, memory\n", ["index", "fate"]),
            ('"index";"fate"\n"c1";"T"\n', ["index", "fate"]),
            ("index\ta,b\nc1\tx\n", ["index", "a,b"]),
        ],
    )
    def test_the_delimiter_is_found(self, text: str, header: list[str]) -> None:
        assert rows(read(text))[0] == header

    def test_a_header_as_r_writes_it(self) -> None:
        assert rows(read("fate\tn\nc1\tT\t3\nc2\tB\t4\n")) == [["", "fate", "n"], ["c1", "T", "3"], ["c2", "B", "4"]]

    def test_rows_that_all_end_with_a_delimiter_are_not_of_r(self) -> None:
        assert refusal("index,fate\nc1,T,\nc2,B,\n").startswith("Row 1 of x.csv has 3 values where the header has 2.")

    @pytest.mark.parametrize("n_rows", [1, 2, 3, 1000])
    def test_blocks_of_rows_do_not_show(self, monkeypatch: pytest.MonkeyPatch, n_rows: int) -> None:
        monkeypatch.setattr(csv_table, "BLOCK", n_rows)
        monkeypatch.setattr(csv_table, "SAMPLE", 2)
        table = read("i,x\n" + "".join(f"c{row},{row % 3}\n\n" for row in range(7)))
        assert rows(table)[1:] == [[f"c{row}", str(row % 3)] for row in range(7)]
        assert table.columns[1].levels == ("0", "1", "2")
        assert table.columns[1].codes.dtype == np.int32

    @given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=3, max_size=3), min_size=1))
    @example([["#", '"', "\r"]])
    @example([["", "", ""]])
    def test_what_python_writes_reads_back(self, table: list[list[str]]) -> None:
        stream = io.StringIO(newline="")
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([["index", "b", "c"], *table])
        text = stream.getvalue()
        if "\0" in text:
            assert "not a text file" in refusal(text) or rows(read(text))[1:] == table
        else:
            assert rows(read(text))[1:] == table

    def test_what_cellxgene_writes(self) -> None:
        labels = pd.DataFrame({"fate": ["T, naive", "unassigned"]}, index=["c1", "c2"])
        text = f"# Annotations generated on x\n# v1\n{labels.to_csv()}"
        assert rows(read(text)) == [["", "fate"], ["c1", "T, naive"], ["c2", "unassigned"]]

    def test_marks_of_formulas_stay_until_they_are_taken_away(self) -> None:
        table = read("'=i,x\n'=c1,'=1\n''=c2,=1\n-1,'-1\nc4,'=1\n")
        assert table.columns[1].levels == ("'=1", "=1", "'-1")
        plain = table.unmarked()
        assert [column.name for column in plain.columns] == ["=i", "x"]
        assert rows(plain)[1:] == [["=c1", "=1"], ["'=c2", "=1"], ["-1", "'-1"], ["c4", "=1"]]
        # Each text is there once, as it is in every table.
        assert plain.columns[1].levels == ("=1", "'-1")

    @pytest.mark.parametrize(
        ("comment", "is_exact"),
        [
            ("# iscan-dash 1.2, 2026\n# data: a\n", True),
            (f"# iscan-dash 1.2, 2026\n# data: a\n# {NOTE}\n", False),
            # As a spreadsheet saves it.
            ('"# iscan-dash 1.2, 2026"\n', True),
            (f"# iscan-dash 1.2, 2026,\n\n# {NOTE},\n", False),
            ("# Annotations generated on x\n", False),
            ("", False),
        ],
    )
    def test_a_table_may_say_that_it_has_none(self, comment: str, is_exact: bool) -> None:
        table = read(f"{comment}i,x\nc1,'=1\n")
        assert table.is_exact is is_exact
        assert rows(table.unmarked())[1] == ["c1", "'=1" if is_exact else "=1"]

    def test_comments_that_a_spreadsheet_saved(self) -> None:
        written = [["# iscan-dash 1.2, 2026"], ['# annotations: [{"name": "x"', ' "id": "1"}]'], [f"# {NOTE}"]]
        stream = io.StringIO(newline="")
        csv.writer(stream).writerows([row + [""] * (2 - len(row)) for row in written])
        table = read(f"{stream.getvalue()}index,x\r\nc1,'=1\r\n")
        assert rows(table.unmarked()) == [["index", "x"], ["c1", "=1"]]

    def test_a_file_and_the_stream_stays_open(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tsv"
        path.write_text("index\tx\nc1\t1\n")
        assert open_csv_table(path).name == "a.tsv"
        with path.open("rb") as stream:
            read_csv_table(stream, "a")
            assert not stream.closed


class TestRefusing:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "x.csv is empty."),
            (b"\n\n", "x.csv has no header row."),
            (b"# only\n# comments\n", "x.csv has no header row."),
            (b"index,x\n", "x.csv has a header but no rows."),
            (b"index\nc1\n", "x.csv has only one column."),
            (b"a,b\n1,2\n1\n", "Row 2 of x.csv has 1 values where the header has 2."),
            (b"a,b\n1,2\n1,2,3\n", "Row 2 of x.csv has 3 values where the header has 2."),
            (b'a,b\n"1,2\n', "x.csv is no CSV table: a quote is not closed or is followed by text."),
            (b'a,b\n"1"x,2\n', "x.csv is no CSV table: a quote is not closed or is followed by text."),
            (b'a,b\n"' + b"x,\n" * 60_000, "x.csv is no CSV table: a value is too long."),
            (b"a,b\n1,\xe9\n", "x.csv is not UTF-8 text"),
            (b"a,b\n" + b"1,2\n" * 5000 + b"1,\xff\n", "x.csv is not UTF-8 text"),
            ("a,b\n1,2\n".encode("utf-16"), "x.csv is UTF-16 text."),
            ("a,b\n1,2\n".encode("utf-16-le"), "x.csv is not a text file."),
            (b"PK\x03\x04rest", "x.csv is an Excel workbook or a zip archive."),
            (b"\x1f\x8brest", "x.csv is compressed with gzip."),
            (b"\x89HDF\r\n\x1a\n\0\0", "x.csv is not a text file."),
            (b",".join(b"g%d" % gene for gene in range(1001)) + b"\n", "x.csv has 1,001 columns; the limit is 1,000."),
        ],
    )
    def test_in_one_sentence(self, content: bytes, said: str) -> None:
        assert refusal(content).startswith(said)

    def test_long_lines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(csv_table, "LINE_LIMIT", 10)
        assert rows(read("a,b\n1,2345678\n"))[1:] == [["1", "2345678"]]
        assert refusal("a,b\n1,234567890\n") == "x.csv is no table of labels: line 2 is longer than 10 characters."

    def test_large_files(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(csv_table, "FILE_LIMIT", 2**20)
        assert refusal(b"a,b\n" * 2**19) == "x.csv has 2 MB; the limit is 1 MB. Keep only the columns with labels."

    def test_files_that_are_not_there(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.csv", tmp_path):
            with pytest.raises(DataError, match=rf"^{path} cannot be read: .*\. Check the path\.$"):
                open_csv_table(path)

    @given(st.binary(max_size=200))
    def test_any_bytes_give_a_table_or_a_sentence(self, content: bytes) -> None:
        with contextlib.suppress(DataError):
            table = read(content)
            assert len(table.columns) >= 2 and table.n_rows >= 1
