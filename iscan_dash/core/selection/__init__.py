"""Which cells are meant: areas drawn on plots and conditions on columns, combined, evaluated and said in words."""

from iscan_dash.core.selection.area import Area, Shape
from iscan_dash.core.selection.query import (
    AllOf,
    AnyOf,
    Cells,
    Labels,
    Not,
    PlotAreas,
    Problem,
    Query,
    Range,
    Saved,
    Unfinished,
)
from iscan_dash.core.selection.selection import Filter, Selection

__all__ = [
    "AllOf",
    "AnyOf",
    "Area",
    "Cells",
    "Filter",
    "Labels",
    "Not",
    "PlotAreas",
    "Problem",
    "Query",
    "Range",
    "Saved",
    "Selection",
    "Shape",
    "Unfinished",
]
