"""What another program changed in a draft, as changes of the annotations that it holds."""

from collections.abc import Iterator, Mapping

import numpy as np

from iscan_dash.core.annotations import edits
from iscan_dash.core.annotations.annotation import Annotation
from iscan_dash.core.annotations.change import Change
from iscan_dash.core.annotations.combine import Combined
from iscan_dash.core.annotations.label_table import ColumnReport, LabelTable, import_column
from iscan_dash.core.study.columns import CategoryColumn


def column_of(combined: Combined, name: str) -> CategoryColumn:
    """Return labels as a column in which cells of the default label are missing."""
    codes = combined.codes.astype(np.int32) - 1
    return CategoryColumn(name, codes, tuple(combined.labels[1:]))


def outside_changes(
    table: LabelTable, written: Mapping[str, Annotation], now: Mapping[str, Annotation]
) -> Iterator[Change]:
    """Find what was changed in a draft since it was written.

    Only cells that differ from what was written count as changed, so that edits made here meanwhile stay.

    Parameters
    ----------
    table
        The draft as it is, matched to the study.
    written
        The annotations as they were written, by id.
    now
        The annotations as they are, by id.

    Yields
    ------
    Change
        A change for each annotation that differs.

    Raises
    ------
    NameRefused
        A label of the draft breaks a rule.
    """
    for state in written.values():
        current = now.get(state.id)
        if state.header is None or current is None or current.header is None or state.header.name not in table.columns:
            continue
        found = column_of(import_column(table, state.header.name, state.header.default.text), state.header.name)
        rows = (table.rows >= 0) & (_ids(found, state) != state.codes)
        change = edits.relabel(current, rows, found)
        if not change.is_empty:
            yield change


def _ids(column: CategoryColumn, state: Annotation) -> np.ndarray:
    """Return for each cell the id that its label has in an annotation, -1 where it has none; shape (n_cells,)."""
    by_text = {label.text: label.id for label in state.live.labels}
    ids: np.ndarray = np.array([*(by_text.get(label, -1) for label in column.labels), 0], np.int32)
    found: np.ndarray = ids[column.codes]
    return found


def new_columns(table: LabelTable, written: Mapping[str, Annotation]) -> list[ColumnReport]:
    """Return the columns of a draft that were not written with it."""
    names = {state.header.name for state in written.values() if state.header}
    return [column for column in table.report.columns if column.name not in names]
