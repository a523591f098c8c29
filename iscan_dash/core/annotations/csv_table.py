"""Read a table of labels from CSV text: everything as text, nothing guessed, and a sentence for whatever is wrong."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from iscan_dash.core.formulas import NOTE, unmarked
from iscan_dash.errors import DataError

FILE_LIMIT = 200 * 2**20
"""Bytes of the largest file that is read."""

LINE_LIMIT = 2**20
"""Characters of the longest line; more is no table of labels."""

COLUMN_LIMIT = 1000
"""Columns of the widest table; more is likely a matrix of counts."""

TEXT_LIMIT = 2_000_000
"""Different texts outside the first column, all columns together; more are measurements, and would fill the memory."""

DELIMITERS = ",\t;"
"""What may stand between values; the first that fits as well as another is taken."""

SAMPLE = 200
"""Lines that are looked at to find the delimiter."""

BLOCK = 1000
"""Rows that are held as text at once; twice as fast as 20,000, which no processor cache holds."""


@dataclass(frozen=True, eq=False)
class TableColumn:
    """A column of a table, each different text kept once.

    Parameters
    ----------
    name
        What the header calls it, as it stands there.
    levels
        The different texts in the order they first occur; ``""`` is one of them when a row has no value.
    codes
        Position of each row's text in `levels`, shape (n_rows,), int32.

    Examples
    --------
    >>> column = TableColumn("fate", ("T", "B"), np.array([0, 1, 0], np.int32))
    >>> column.texts(np.array([2, 1]))
    ['T', 'B']
    """

    name: str
    levels: tuple[str, ...]
    codes: np.ndarray

    def texts(self, rows: np.ndarray) -> list[str]:
        """Return the texts of some rows, given by their numbers."""
        return [self.levels[code] for code in self.codes[rows].tolist()]

    def unmarked(self) -> "TableColumn":
        """Return the same without the marks of formulas."""
        texts = list(map(unmarked, self.levels))
        # By hand somebody may have written one text with the mark and without.
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        codes = np.array([places[text] for text in texts], np.int32)[self.codes]
        return TableColumn(unmarked(self.name), tuple(places), codes)


@dataclass(frozen=True, eq=False)
class CsvTable:
    """A table as it was read.

    Parameters
    ----------
    name
        What to call it in messages, usually the file's name.
    columns
        Its columns, two or more, all of the same length.
    is_exact
        Whether it says that its texts are what they stand for, as drafts do: none has the mark of a formula.
    """

    name: str
    columns: tuple[TableColumn, ...]
    is_exact: bool = False

    @property
    def n_rows(self) -> int:
        """Number of rows, without the header."""
        return len(self.columns[0].codes)

    def unmarked(self) -> "CsvTable":
        """Return the table without the marks that keep its texts from being formulas; see `core.formulas`.

        Exports have them, and tables made by hand for a spreadsheet. A table that this program wrote without marks
        stays as it is, so that a label which begins with an apostrophe of its own keeps it.
        """
        return self if self.is_exact else replace(self, columns=tuple(column.unmarked() for column in self.columns))


def open_csv_table(path: Path) -> CsvTable:
    """Read a table from a file.

    Raises
    ------
    DataError
        The file cannot be read, or see `read_csv_table`.
    """
    try:
        with path.open("rb") as stream:
            return read_csv_table(stream, path.name)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. Check the path.") from error


def read_csv_table(stream: BinaryIO, name: str) -> CsvTable:
    r"""Read a table of UTF-8 text with commas, tabs or semicolons between its values, quoted as RFC 4180 has it.

    Lines that begin with ``#`` are comments only before the header: further down they are rows, as a cell or a label
    may begin so. A header with one name less than the rows have values, as R writes it, leaves out the first. Marks of
    formulas stay; see `CsvTable.unmarked`.

    Parameters
    ----------
    stream
        The file's bytes, at their start; it can be searched (`seek`).
    name
        What to call it in messages.

    Raises
    ------
    DataError
        The text is too large, is not UTF-8, or is no table. The message is one sentence for the user.

    Examples
    --------
    >>> text = "# made by hand\nindex;fate\nc1;\"T; naive\"\n#2;NA\n"
    >>> table = read_csv_table(io.BytesIO(text.encode()), "labels.csv")
    >>> [(column.name, column.texts(np.arange(2))) for column in table.columns]
    [('index', ['c1', '#2']), ('fate', ['T; naive', 'NA'])]
    """
    _refuse_other_formats(stream, name)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        return _parse(_lines(text, name), name)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8 text ({error.reason}). Save it as CSV with the encoding UTF-8."
        ) from error
    except csv.Error as error:
        problem = "a value is too long" if "limit" in str(error) else "a quote is not closed or is followed by text"
        raise DataError(f"{name} is no CSV table: {problem}. Check its quotes.") from error
    finally:
        # The stream belongs to the caller, who closes it.
        text.detach()


def _refuse_other_formats(stream: BinaryIO, name: str) -> None:
    size = stream.seek(0, io.SEEK_END)
    if size > FILE_LIMIT:
        raise DataError(
            f"{name} has {size / 2**20:,.0f} MB; the limit is {FILE_LIMIT >> 20} MB. Keep only the columns with labels."
        )
    stream.seek(0)
    start = stream.read(4096)
    stream.seek(0)
    if not start:
        raise DataError(f"{name} is empty. Choose another file.")
    if start[:2] == b"PK":
        raise DataError(f"{name} is an Excel workbook or a zip archive. Save the sheet as CSV with the encoding UTF-8.")
    if start[:2] == b"\x1f\x8b":
        raise DataError(f"{name} is compressed with gzip. Unpack it first (gunzip).")
    if start[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise DataError(f"{name} is UTF-16 text. Save it as CSV with the encoding UTF-8.")
    if b"\0" in start:
        raise DataError(f"{name} is not a text file. Save the table as CSV with the encoding UTF-8.")


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    number = 0
    while line := text.readline(LINE_LIMIT + 1):
        number += 1
        if len(line) > LINE_LIMIT:
            raise DataError(f"{name} is no table of labels: line {number:,} is longer than {LINE_LIMIT:,} characters.")
        yield line


def _parse(lines: Iterator[str], name: str) -> CsvTable:
    is_exact, table = _after_comments(lines)
    sample = list(islice(table, SAMPLE))
    if not sample:
        raise DataError(f"{name} has no header row. Its first row must name the columns.")
    delimiter, width = _shape(sample, name)
    if width > COLUMN_LIMIT:
        raise DataError(f"{name} has {width:,} columns; the limit is {COLUMN_LIMIT:,}. Is it a table of labels?")
    reader = csv.reader(chain(sample, table), delimiter=delimiter, strict=True)
    header = next(reader)
    names = [*[""] * (width - len(header)), *header]
    # A dictionary that gives each new text the next number finds levels and codes in one go.
    levels: list[dict[str, int]] = [defaultdict(count().__next__) for _ in names]
    codes: list[list[np.ndarray]] = [[np.zeros(0, np.int32)] for _ in names]
    n_rows = 0
    while block := list(islice(reader, BLOCK)):
        rows = [row for row in block if row]
        if set(map(len, rows)) - {width}:
            number, row = next((number, row) for number, row in enumerate(rows, n_rows + 1) if len(row) != width)
            raise DataError(
                f"Row {number:,} of {name} has {len(row)} values where the header has {width}. "
                "Put values that contain the delimiter in quotes."
            )
        n_rows += len(rows)
        for known, parts, values in zip(levels, codes, zip(*rows, strict=True), strict=False):
            parts.append(np.fromiter(map(known.__getitem__, values), np.int32, len(rows)))
        if sum(map(len, levels[1:])) > TEXT_LIMIT:
            raise DataError(f"{name} has more than {TEXT_LIMIT:,} different values. Keep only the columns with labels.")
    if not n_rows:
        raise DataError(f"{name} has a header but no rows. Choose another file.")
    columns = zip(names, levels, codes, strict=True)
    read = tuple(TableColumn(own, tuple(known), np.concatenate(parts)) for own, known, parts in columns)
    return CsvTable(name, read, is_exact)


def _after_comments(lines: Iterator[str]) -> tuple[bool, Iterator[str]]:
    """Return whether the comments tell of texts without marks, and the lines from the header on."""
    is_ours = is_marked = False
    for line in lines:
        # A spreadsheet puts a comment that has quotes into quotes.
        if line.strip() and not line.startswith(("#", '"# ')):
            return is_ours and not is_marked, chain([line], lines)
        comment = line.removeprefix('"')
        is_ours |= comment.startswith("# iscan-dash ")
        is_marked |= comment.startswith(f"# {NOTE}")
    return False, iter(())


def _shape(sample: list[str], name: str) -> tuple[str, int]:
    """Find what stands between the values, and how many values a row has."""
    found = []
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(sample, delimiter=delimiter) if row]
        except csv.Error:
            continue
        if len(sample) == SAMPLE and len(rows) > 2:
            # It may be cut in the middle.
            rows.pop()
        width = len(rows[0])
        widths = {len(row) for row in rows[1:]}
        fit = 2 if width > 1 and widths <= {width} else 0
        if widths == {width + 1} and any(row[-1] for row in rows[1:]):
            # As R writes it, unless every row just ends with a delimiter.
            fit, width = 1, width + 1
        # A delimiter from within quotes tears them apart.
        n_torn = sum(value.count('"') % 2 for row in rows for value in row)
        if width > 1:
            found.append((fit, -n_torn, width, delimiter))
    if not found:
        raise DataError(f"{name} has only one column. It needs one with cell ids and one or more with labels.")
    *_, width, delimiter = max(found, key=lambda shape: shape[:3])
    return delimiter, width
