"""What the page shows of cells before they get a label: what they are made of, and their marker genes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from iscan_dash.core import palette
from iscan_dash.core.composition import Composition
from iscan_dash.core.study.row_filter import OneOf
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.edit_table import EditTable, Target, View
from iscan_dash.services.inspection import Column, Inspection, MarkerReport
from iscan_dash.services.workspace import Source, Workspace
from iscan_dash.web.edit_table import Text, ViewForm, ticked

MOST_PARTS = 50
"""Labels listed one by one; the others are told together."""

GROUPS = {"cluster": "Clusters", "annotation": "Annotations", "metadata": "Metadata"}
"""What the kinds of columns are called."""


class CellsRequest(BaseModel):
    """Cells to look at: those that the Assign bar is set to."""

    target: Target
    view: ViewForm = Field(default_factory=ViewForm)

    def cells(self, table: EditTable) -> np.ndarray:
        """Return the cells; shape (n_cells,), bool."""
        return table.target(self.target, self.view.view())


class CompositionRequest(CellsRequest):
    """A column to count cells by, ``""`` for the usual one, and the annotation that they are to be labelled in."""

    by: Text = ""
    annotation: Text = ""


class MarkersRequest(CellsRequest):
    """A question for marker genes, of a page that may ask again before it has the answer."""

    page: str = Field(max_length=40)


class TrimRequest(BaseModel):
    """Ticks to be kept on the cells of one label alone."""

    by: Text
    label: Text


def composition(workspace: Workspace, inspection: Inspection, table: EditTable, asked: CompositionRequest) -> Any:
    """Return what cells are made of, and the columns that they can be counted by."""
    cells = asked.cells(table)
    columns = inspection.columns()
    by = chosen_column(columns, asked.by, asked.annotation)
    found = None
    if by is not None and cells.any():
        found = parts(inspection.composition(by.source, cells), workspace.colours(by.source))
    return {
        "n": int(np.count_nonzero(cells)),
        "of": len(cells),
        "by": _value(by.source) if by else "",
        "columns": [
            {"value": _value(column.source), "name": column.name, "group": GROUPS[column.source.kind]}
            for column in columns
        ],
        "composition": found,
    }


def _value(source: Source) -> str:
    return f"{source.kind}:{source.key}"


def _source(value: str) -> Source:
    kind, _, key = value.partition(":")
    return Source(kind, key)


def chosen_column(columns: Sequence[Column], wanted: str, edited: str) -> Column | None:
    """Return the column that is wanted, or the usual one when there is none such (any more).

    That is the first column of clusters, else the newest annotation but the one that is edited, else the first column
    there is: the annotation itself tells least of cells that are about to be labelled in it.
    """
    by_value = {_value(column.source): column for column in columns}
    if wanted in by_value:
        return by_value[wanted]
    others = [column for column in columns if column.source != Source("annotation", edited)]
    return next(iter(others or columns), None)


def parts(found: Composition, colours: dict[str, str]) -> dict[str, Any]:
    """Return the labels of a group of cells as the page lists them."""
    listed = found.parts[:MOST_PARTS]
    rest = found.parts[MOST_PARTS:]
    return {
        "parts": [
            {"label": part.label, "count": part.count, "total": part.total, "colour": colours[part.label]}
            for part in listed
        ],
        "n_more": len(rest),
        "more": sum(part.count for part in rest),
        "missing": found.n_missing,
        "greys": {"more": palette.OTHER, "missing": palette.MISSING},
        "on_dark": palette.ON_DARK,
    }


def markers(inspection: Inspection, table: EditTable, asked: MarkersRequest) -> dict[str, Any]:
    """Return the marker genes of cells, or how far the expression is read."""
    found = inspection.markers(asked.cells(table), asked.page)
    return {"progress": found} if isinstance(found, float) else _report(found)


def _report(found: MarkerReport) -> dict[str, Any]:
    sides = found.sides
    return {
        "markers": [vars(marker) for marker in found.markers],
        "inside": [sides.inside.n_cells, sides.n_inside],
        "outside": [sides.outside.n_cells, sides.n_outside],
        "is_whole": sides.is_whole,
        "matrix": found.matrix,
    }


def trim(workspace: Workspace, table: EditTable, asked: TrimRequest) -> dict[str, Any]:
    """Take the ticks of all cells away that have another label or none, and return what is `ticked` then.

    Raises
    ------
    UnknownColumn
        There is no such column of labels, or it has no such label.
    """
    labels = frozenset(workspace.labels(_source(asked.by)).labels)
    if asked.label not in labels:
        raise UnknownColumn(f'There is no label "{asked.label}" any more. The ticks are as they were.')
    others = labels - {asked.label}
    table.tick_all(View({asked.by: OneOf(others, missing=True)}, only_ticked=True), is_on=False)
    return ticked(table)
