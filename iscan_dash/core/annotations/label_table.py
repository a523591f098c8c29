"""Match a table of labels to the cells of a study, tell what was found, and take labels from it."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from iscan_dash.core.annotations.combine import Combined, CombineRecipe, combine_columns
from iscan_dash.core.annotations.csv_table import CsvTable, TableColumn
from iscan_dash.core.annotations.level_check import check_levels, shortened
from iscan_dash.core.annotations.names import (
    NAME_LENGTH,
    RESERVED,
    SAMPLE,
    check_label,
    check_name,
    free_name,
    plain_label,
)
from iscan_dash.core.study.columns import MISSING, category_from_levels
from iscan_dash.core.study.study import SAMPLE_COLUMNS, Study
from iscan_dash.core.words import counted
from iscan_dash.errors import DataError, NameRefused, UnknownColumn

FEW = 3
"""Ids that are named when some did not match."""


@dataclass(frozen=True)
class Tally:
    """How many rows are concerned, and which.

    Parameters
    ----------
    count
        Number of rows.
    first
        The cell ids of the first few, each once.
    """

    count: int
    first: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnReport:
    """What is known of a column of a table, as far as its rows match cells.

    Parameters
    ----------
    name
        What the table calls it; a name that repeats is numbered.
    n_levels
        Different labels.
    n_missing
        Matching rows without a label.
    is_numeric
        Whether every label is a number.
    is_on
        Whether it is imported unless the user says otherwise.
    reason
        Why not, ``""`` when it is.
    clash
        What uses the name already: ``"annotation"``, ``"metadata"``, ``"cluster"``, ``"cell ID"``, or ``"table"`` for
        a column before it; ``""`` if nothing.
    new_name
        A name that is free and legal; the column's own when that is.
    notices
        What the user may want to know of the labels, a sentence each.
    problem
        Why it cannot be imported as it is, ``""`` when it can.
    """

    name: str
    n_levels: int
    n_missing: int
    is_numeric: bool
    is_on: bool
    reason: str
    clash: str
    new_name: str
    notices: tuple[str, ...]
    problem: str


@dataclass(frozen=True)
class TableReport:
    """How a table fits a study. Every row is counted once: matched, unmatched, duplicated or ambiguous.

    Parameters
    ----------
    name
        The table's name.
    id_column, sample_column
        The columns that tell the cells apart; the second is None when there is none.
    n_rows
        Rows of the table.
    n_matched
        Rows that label a cell.
    unmatched
        Rows that no cell belongs to.
    duplicated
        Rows of a cell that an earlier row labels; the first wins.
    ambiguous
        Rows whose id belongs to several cells.
    n_unlabelled
        Cells of the study that no row labels.
    is_by_row
        Whether rows and cells are the same in the same order, so that each row labels the cell in its place.
    columns
        The other columns.
    """

    name: str
    id_column: str
    sample_column: str | None
    n_rows: int
    n_matched: int
    unmatched: Tally
    duplicated: Tally
    ambiguous: Tally
    n_unlabelled: int
    is_by_row: bool
    columns: tuple[ColumnReport, ...]


@dataclass(frozen=True, eq=False)
class LabelTable:
    """A table and the cells its rows belong to.

    Parameters
    ----------
    columns
        The columns with labels, by the names in the report.
    rows
        The row of each cell, ``-1`` where none is; shape (n_cells,), int64.
    max_items
        Labels above which a column is not imported by default.
    report
        How the table fits.
    """

    columns: dict[str, TableColumn]
    rows: np.ndarray
    max_items: int
    report: TableReport


def match_table(
    table: CsvTable,
    study: Study,
    taken: Mapping[str, str],
    *,
    id_column: str | None = None,
    sample_column: str | None = None,
    max_items: int = 1000,
) -> LabelTable:
    """Find the cells that the rows of a table belong to.

    Cells are told apart by sample and id where the table has a column of samples, else by id alone. When the rows
    are the cells in the same order they are matched in that order, which serves even cells that share their ids.

    Parameters
    ----------
    table
        The table.
    study
        The study.
    taken
        Names in use and what uses them; see `check_name`.
    id_column
        The column with cell ids; the first when None.
    sample_column
        The column with samples, ``""`` for none; found by its name and values when None.
    max_items
        Labels above which a column is not imported by default.

    Raises
    ------
    DataError
        No row matches a cell (E31), or all that do belong to several cells.
    UnknownColumn
        The table has no column of the name that was asked for.
    """
    ids = _place(table, id_column) if id_column else 0
    samples = _sample_place(table, study, ids, sample_column)
    keys = _keys(table, study, ids, samples)
    rows, kinds = _match(*keys)
    is_by_row = _is_in_order(*keys)
    _refuse_no_match(table, ids, kinds)
    chosen = {ids} if samples is None else {ids, samples}
    columns = _named([column for place, column in enumerate(table.columns) if place not in chosen])
    tallies = {kind: _tally(table.columns[ids], np.flatnonzero(kinds == kind)) for kind in (_NONE, _AGAIN, _SEVERAL)}
    matched = rows[rows >= 0]
    report = TableReport(
        table.name,
        _title(table, ids),
        None if samples is None else _title(table, samples),
        table.n_rows,
        len(matched),
        tallies[_NONE],
        tallies[_AGAIN],
        tallies[_SEVERAL],
        study.n_cells - len(matched),
        is_by_row,
        tuple(_column_reports(columns, matched, taken, max_items)),
    )
    return LabelTable(columns, rows, max_items, report)


def import_column(table: LabelTable, name: str, default: str) -> Combined:
    """Take the labels of one column for the cells of the study.

    Cells without row, and rows without text, get the default label; so do cells whose label is the default's text.

    Parameters
    ----------
    table
        The table, matched to the study.
    name
        The column, as the report calls it.
    default
        The default label.

    Returns
    -------
    Combined
        Labels, the default one first, and the label of each cell, ready for `edits.create`.

    Raises
    ------
    NameRefused
        A label, or the default, breaks a rule.
    UnknownColumn
        The table has no such column.
    """
    if name not in table.columns:
        raise UnknownColumn(f'{table.report.name} has no column "{shortened(name)}" with labels.')
    column = table.columns[name]
    is_matched = table.rows >= 0
    codes = np.full(len(table.rows), MISSING, np.int32)
    codes[is_matched] = column.codes[table.rows[is_matched]]
    used = np.unique(codes[is_matched])
    checked = check_levels([column.levels[code] for code in used])
    if checked.problem:
        raise NameRefused("E08", f'Column "{shortened(name)}" cannot be imported. {checked.problem}')
    labels: list[str | None] = [None] * len(column.levels)
    for code, label in zip(used, checked.labels, strict=True):
        labels[code] = label
    category = category_from_levels(name, codes, labels, ordered=False)
    recipe = CombineRecipe(check_label(default), max_items=table.max_items)
    return combine_columns([category], len(codes), recipe)


def report_lines(report: TableReport) -> list[str]:
    """Say a report in sentences, for the command line."""
    lines = match_lines(report)
    for column in report.columns:
        state = "on" if column.is_on else f"off: {column.reason}"
        lines.append(
            f"{column.name}: {counted(column.n_levels, 'label')}, {counted(column.n_missing, 'row')} without ({state})"
        )
        if column.clash:
            lines.append(f"  The name is used by {_user(column.clash)}; {column.new_name} is free.")
        elif column.new_name != column.name:
            lines.append(f"  The name cannot be used; {column.new_name} can.")
        lines += [f"  {notice}" for notice in column.notices]
    return lines


def match_lines(report: TableReport) -> list[str]:
    """Say what became of each row, in sentences; the first two are good news.

    Examples
    --------
    >>> report = TableReport("a.csv", "index", None, 3, 2, Tally(1, ("c9",)), Tally(0), Tally(0), 5, False, ())
    >>> for line in match_lines(report):
    ...     print(line)
    a.csv: 3 rows, matched by index.
    2 rows match a cell.
    1 row matches no cell: c9.
    5 cells of the study get no label.
    """
    how = " and ".join(column for column in (report.sample_column, report.id_column) if column)
    in_order = ", row by row, as the cells come in the same order" if report.is_by_row else ""
    lines = [
        f"{report.name}: {counted(report.n_rows, 'row')}, matched by {how}{in_order}.",
        f"{counted(report.n_matched, 'row')} {'matches' if report.n_matched == 1 else 'match'} a cell.",
    ]
    for tally, one, many in (
        (report.unmatched, "matches no cell", "match no cell"),
        (report.duplicated, "names a cell again; the first row counts", "name a cell again; the first row counts"),
        (
            report.ambiguous,
            "names an id that several cells have, and is left out",
            "name an id that several cells have, and are left out",
        ),
    ):
        if tally.count:
            more = " ..." if tally.count > len(tally.first) else ""
            names = ", ".join(tally.first)
            lines.append(f"{counted(tally.count, 'row')} {one if tally.count == 1 else many}: {names}{more}.")
    if report.n_unlabelled:
        gets = "gets" if report.n_unlabelled == 1 else "get"
        lines.append(f"{counted(report.n_unlabelled, 'cell')} of the study {gets} no label.")
    return lines


# -- cells -------------------------------------------------------------------------------------------------------

_NONE, _FIRST, _AGAIN, _SEVERAL = range(4)


def _title(table: CsvTable, place: int) -> str:
    name = shortened(plain_label(table.columns[place].name).strip(), NAME_LENGTH)
    return name or ("index" if place == 0 else f"column {place + 1}")


def _place(table: CsvTable, name: str) -> int:
    for place, column in enumerate(table.columns):
        if name in {column.name, _title(table, place)}:
            return place
    raise UnknownColumn(f'{table.name} has no column "{shortened(name)}".')


def _sample_place(table: CsvTable, study: Study, ids: int, asked: str | None) -> int | None:
    if asked is not None:
        return _place(table, asked) if asked else None
    usual = {name.casefold() for name in (*SAMPLE_COLUMNS, study.sample_column or "sample")}
    samples = set(study.samples.labels)
    for place, column in enumerate(table.columns):
        if place != ids and column.name.strip().casefold() in usual and not samples.isdisjoint(column.levels):
            return place
    return None


def _keys(table: CsvTable, study: Study, ids: int, samples: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Give numbers to the cells that the rows and the study name; ``-1`` where the other has no such cell.

    Returns
    -------
    of_rows, of_cells : numpy.ndarray
        shapes (n_rows,) and (n_cells,), int64.
    """
    column = table.columns[ids]
    place = {text: code for code, text in enumerate(column.levels)}
    cells = [place.get(cell.decode("utf-8", "replace"), -1) for cell in study.cell_ids.tolist()]
    of_cells, of_rows = np.array(cells, np.int64), column.codes.astype(np.int64)
    if samples is not None:
        labels = study.samples.labels
        code_of = {label: code for code, label in enumerate(labels)}
        of_sample = np.array([code_of.get(level, -1) for level in table.columns[samples].levels])
        sample = of_sample[table.columns[samples].codes]
        of_rows = np.where(sample < 0, -1, of_rows * len(labels) + sample)
        of_cells = np.where(of_cells < 0, -1, of_cells * len(labels) + study.samples.codes)
    return of_rows, of_cells


def _is_in_order(of_rows: np.ndarray, of_cells: np.ndarray) -> bool:
    return bool(np.array_equal(of_rows, of_cells) and (of_rows >= 0).all())


def _match(of_rows: np.ndarray, of_cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of each cell (-1: none), and what becomes of each row."""
    if _is_in_order(of_rows, of_cells):
        return np.arange(len(of_cells)), np.full(len(of_rows), _FIRST)
    rows, kinds = np.full(len(of_cells), -1, np.int64), np.full(len(of_rows), _NONE)
    known = np.flatnonzero(of_cells >= 0)
    keys, first_cell, n_cells = np.unique(of_cells[known], return_index=True, return_counts=True)
    if not len(keys):
        return rows, kinds
    spot = np.minimum(np.searchsorted(keys, of_rows), len(keys) - 1)
    hits = keys[spot] == of_rows
    is_several = n_cells[spot] > 1
    kinds[hits & is_several] = _SEVERAL
    labelling = np.flatnonzero(hits & ~is_several)
    kinds[labelling] = _AGAIN
    spots, first = np.unique(spot[labelling], return_index=True)
    kinds[labelling[first]] = _FIRST
    rows[known[first_cell[spots]]] = labelling[first]
    return rows, kinds


def _refuse_no_match(table: CsvTable, ids: int, kinds: np.ndarray) -> None:
    if (kinds == _FIRST).any():
        return
    column = table.columns[ids]
    several = np.flatnonzero(kinds == _SEVERAL)
    if len(several):
        example = shortened(column.texts(several[:1])[0])
        raise DataError(
            f"{table.name} cannot be matched: {counted(len(several), 'row')} have ids that several cells of this "
            f"dataset share (first: {example}). Choose a column that holds their samples."
        )
    example = shortened(column.texts(np.array([0]))[0])
    raise DataError(f"None of the {table.n_rows:,} rows match a cell of this dataset (first: {example}).")


def _tally(column: TableColumn, rows: np.ndarray) -> Tally:
    # Enough rows to find a few different ids, unless one is repeated very often.
    first = dict.fromkeys(shortened(text) for text in column.texts(rows[: 100 * FEW]))
    return Tally(len(rows), tuple(first)[:FEW])


# -- columns -----------------------------------------------------------------------------------------------------


def _named(columns: list[TableColumn]) -> dict[str, TableColumn]:
    """Give each column a name of its own, its own wherever possible."""
    named: dict[str, TableColumn] = {}
    for place, column in enumerate(columns, 1):
        own = name = column.name.strip() or f"unnamed {place}"
        if len(own) > NAME_LENGTH:
            own = name = shortened(own, NAME_LENGTH)
        number = 1
        while name in named:
            number += 1
            name = f"{own} ({number})"
        named[name] = column
    return named


def _column_reports(
    columns: Mapping[str, TableColumn], matched: np.ndarray, taken: Mapping[str, str], max_items: int
) -> Iterator[ColumnReport]:
    in_use = dict(taken)
    for name, column in columns.items():
        used = np.bincount(column.codes[matched], minlength=len(column.levels))
        levels = [column.levels[code] for code in np.flatnonzero(used)]
        checked = check_levels(levels)
        is_missing = np.array([not level.strip() for level in column.levels])
        texts = set(checked.labels) - {"", None}
        # Labels that break a rule are labels all the same.
        n_levels = len(texts) + checked.labels.count(None)
        numbers = [_number(level) for level in levels if level.strip()]
        is_numeric = bool(numbers) and None not in numbers
        is_whole = all(number is not None and number.is_integer() for number in numbers)
        reason = checked.problem or _reason(n_levels, max_items, is_numeric and not is_whole)
        clash = _clash(name, in_use)
        new_name = _usable_name(name, in_use)
        in_use[new_name] = "table"
        yield ColumnReport(
            name,
            n_levels,
            int(used[is_missing].sum()),
            is_numeric,
            not reason,
            reason,
            clash,
            new_name,
            checked.notices,
            checked.problem,
        )


def _reason(n_levels: int, max_items: int, is_measured: bool) -> str:
    if n_levels > max_items:
        return f"{n_levels:,} labels exceed {max_items:,}."
    if not n_levels:
        return "It has no labels."
    if is_measured:
        return "It holds numbers that are not whole."
    return ""


def _number(text: str) -> float | None:
    try:
        # Python reads "1_2" as 12, which is no number to anyone else.
        number = None if "_" in text else float(text)
    except ValueError:
        return None
    return None if number is None or np.isnan(number) else number


def _clash(name: str, taken: Mapping[str, str]) -> str:
    used = {unicodedata.normalize("NFC", other).casefold(): user for other, user in taken.items()}
    return used.get(unicodedata.normalize("NFC", name).casefold(), "")


def _usable_name(name: str, taken: Mapping[str, str]) -> str:
    """Return the name if it may be used, else one like it that may."""
    try:
        return check_name(name, taken)
    except NameRefused:
        legal = unicodedata.normalize("NFC", plain_label(name)).replace("/", "-").replace("\\", "-")
        legal = "".join(character for character in legal if character.isprintable() or character == " ")
        legal = legal.strip()[:NAME_LENGTH].strip()
        if not legal or legal in {*RESERVED, SAMPLE} or legal.startswith("_index"):
            legal = f"labels {legal}".strip()[:NAME_LENGTH]
        return free_name(legal, {unicodedata.normalize("NFC", other): user for other, user in taken.items()})


def _user(clash: str) -> str:
    return {"annotation": "an annotation", "table": "a column before it"}.get(clash, f"a {clash} column")
