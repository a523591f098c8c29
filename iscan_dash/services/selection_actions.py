"""What a page may ask of a selection, checked before anything else sees it."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from iscan_dash.core.selection import (
    AllOf,
    AnyOf,
    Area,
    Cells,
    Filter,
    Labels,
    Not,
    PlotAreas,
    Query,
    Range,
    Saved,
    Selection,
    Shape,
    Unfinished,
)
from iscan_dash.core.selection.area import MOST_POINTS
from iscan_dash.core.selection.conditions import parse_ids
from iscan_dash.core.selection.query import MOST_CONDITIONS
from iscan_dash.core.selection.selection import MOST_AREAS, MOST_FILTERS, MOST_SHAPES
from iscan_dash.core.selection.text import LONGEST
from iscan_dash.errors import SelectionRefused

LARGEST_COORDINATE = 3e38
"""Positions are float32; products of these stay far from the end of double precision."""

MOST_VALUES = 10_000
"""Labels of one condition."""

SHOWN_TEXT = 4000
"""Characters of a list of ids that go to the page; all of a longer list is known by its digest."""

MOST_TEXT = 4_000_000
"""Characters of a list of pasted ids."""

MOST_IDS = 200_000
"""Cells of such a list."""

FindCells = Callable[[str], Cells | None]
"""Gives the list of cells of a digest."""

Name = Annotated[str, Field(max_length=1000)]
Id = Annotated[str, Field(min_length=1, max_length=64)]
Plot = Annotated[int, Field(ge=1, le=4)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Coordinate = Annotated[float, Field(ge=-LARGEST_COORDINATE, le=LARGEST_COORDINATE, allow_inf_nan=False)]
Points = Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(max_length=MOST_POINTS)]
ColumnKind = Literal["metadata", "cluster", "annotation", "sample"]
NumberKind = Literal["metadata", "cluster", "gene"]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, serialize_by_alias=True)


# -- conditions ------------------------------------------------------------------------------------------------------


class _Condition(_Form):
    negated: bool = Field(False, alias="not")

    def plain(self, find_cells: FindCells) -> Query:
        """Return the query that this is when it is not negated."""
        raise NotImplementedError

    def query(self, find_cells: FindCells) -> Query:
        """Return the query that this is."""
        plain = self.plain(find_cells)
        return Not(plain) if self.negated else plain


class LabelsForm(_Condition):
    """Cells that have one of some labels."""

    is_: Literal["labels"] = Field(alias="is")
    kind: ColumnKind
    key: Name = ""
    values: tuple[Name, ...] = Field((), max_length=MOST_VALUES)
    missing: bool = False

    def plain(self, _: FindCells) -> Query:
        """Return the query that this is when it is not negated."""
        key = "" if self.kind == "sample" else self.key
        return Labels(self.kind, key, tuple(dict.fromkeys(self.values)), self.missing)


class RangeForm(_Condition):
    """Cells whose number lies in a range."""

    is_: Literal["range"] = Field(alias="is")
    kind: NumberKind
    key: Name
    low: Number | None = None
    high: Number | None = None
    missing: bool = False

    def plain(self, _: FindCells) -> Query:
        """Return the query that this is when it is not negated."""
        return Range(self.kind, self.key, self.low, self.high, self.missing)


class CellsForm(_Condition):
    """Cells that were named: by their ids, or by the digest of a list that the server has."""

    is_: Literal["cells"] = Field(alias="is")
    text: str = Field("", max_length=MOST_TEXT)
    ref: str = Field("", max_length=64)

    def plain(self, find_cells: FindCells) -> Query:
        """Return the query that this is when it is not negated."""
        if self.ref:
            found = find_cells(self.ref)
            if found is None:
                # What the page has of the list is but its beginning.
                raise SelectionRefused("The server does not have this list of cells any more. Paste the cells again.")
            if self.text in {"", found.text[:SHOWN_TEXT]}:
                return found
        cells = Cells.of(parse_ids(self.text))
        if len(cells) > MOST_IDS:
            raise SelectionRefused(f"{MOST_IDS:,} cell IDs can be pasted at most. Paste fewer, or import a table.")
        return cells


class PlotForm(_Condition):
    """Cells within the areas of a plot."""

    is_: Literal["plot"] = Field(alias="is")
    plot: Plot
    removed: bool = False

    def plain(self, _: FindCells) -> Query:
        """Return the query that this is when it is not negated."""
        return PlotAreas(self.plot, self.removed)


class SavedForm(_Condition):
    """Cells of a saved selection."""

    is_: Literal["saved"] = Field(alias="is")
    id: Id

    def plain(self, _: FindCells) -> Query:
        """Return the query that this is when it is not negated."""
        return Saved(self.id)


class UnfinishedForm(_Condition):
    """A condition that is not chosen yet."""

    is_: Literal["unfinished"] = Field(alias="is")

    def plain(self, _: FindCells) -> Query:
        """Return the query that this is when it is not negated."""
        return Unfinished()


class GroupForm(_Condition):
    """Conditions of which all or any are to be met."""

    is_: Literal["and", "or"] = Field(alias="is")
    of: tuple["ConditionForm", ...] = Field((), max_length=MOST_CONDITIONS)

    def plain(self, find_cells: FindCells) -> Query:
        """Return the query that this is when it is not negated."""
        group = AllOf if self.is_ == "and" else AnyOf
        return group(tuple(part.query(find_cells) for part in self.of))


ConditionForm = Annotated[
    LabelsForm | RangeForm | CellsForm | PlotForm | SavedForm | UnfinishedForm | GroupForm, Field(discriminator="is_")
]


# -- whole selections ------------------------------------------------------------------------------------------------


class _ShapeForm(_Form):
    points: Points
    adds: bool = True


class _AreaForm(_Form):
    id: Id
    plot: Plot
    axes: Name
    name: Name
    shapes: tuple[_ShapeForm, ...] = Field(min_length=1, max_length=MOST_SHAPES)
    inverted: bool = False


class _FilterForm(_Form):
    id: Id
    condition: ConditionForm


class SelectionForm(_Form):
    """A selection as `Selection.to_json` writes it."""

    filters: tuple[_FilterForm, ...] = Field((), max_length=MOST_FILTERS)
    areas: tuple[_AreaForm, ...] = Field((), max_length=MOST_AREAS)
    inverted_plots: tuple[Plot, ...] = Field((), max_length=4)
    mode: Literal["union", "intersection", "custom"] = "union"
    custom: ConditionForm | None = None

    def selection(self, find_cells: FindCells) -> Selection:
        """Return the selection."""
        areas = tuple(
            Area(
                own.id,
                own.plot,
                own.axes,
                own.name,
                tuple(Shape(shape.points, shape.adds) for shape in own.shapes),
                own.inverted,
            )
            for own in self.areas
        )
        drawn = {area.plot for area in areas}
        return Selection(
            tuple(Filter(own.id, own.condition.query(find_cells)) for own in self.filters),
            areas,
            frozenset(self.inverted_plots) & drawn,
            self.mode,
            self.custom.query(find_cells) if self.custom is not None else None,
        ).checked()


class _SavedForm(SelectionForm):
    name: Name


class RecipeForm(SelectionForm):
    """A selection with those that it rests on, as `Selections.recipe` writes it."""

    saved: dict[Id, _SavedForm] = Field(default_factory=dict, max_length=200)


# -- actions ---------------------------------------------------------------------------------------------------------


class Draw(_Form):
    """Draw an outline on a plot."""

    do: Literal["draw"]
    plot: Plot
    axes: Name
    points: Points
    mode: Literal["new", "add", "subtract"] = "new"
    area: Id | None = None


class RenameArea(_Form):
    """Give an area another name."""

    do: Literal["rename_area"]
    id: Id
    name: Name


class OfArea(_Form):
    """Take an area away, or mean all other cells."""

    do: Literal["delete_area", "invert_area"]
    id: Id


class OfPlot(_Form):
    """Mean all cells but those in the areas of a plot."""

    do: Literal["invert_plot"]
    plot: Plot


class RemovePlots(_Form):
    """Say that plots were taken away."""

    do: Literal["remove_plots"]
    plots: tuple[Plot, ...] = Field(min_length=1, max_length=4)


class PutFilter(_Form):
    """Add a filter, or change one."""

    do: Literal["filter"]
    id: Id | None = None
    condition: ConditionForm


class RemoveFilter(_Form):
    """Take a filter away."""

    do: Literal["remove_filter"]
    id: Id


class Combine(_Form):
    """Combine plots in another way."""

    do: Literal["mode"]
    mode: Literal["union", "intersection", "custom"]


class Custom(_Form):
    """Combine plots by a query."""

    do: Literal["custom"]
    tree: ConditionForm


class FromText(_Form):
    """Select what a query in words means."""

    do: Literal["text"]
    text: str = Field(max_length=LONGEST)


class Clear(_Form):
    """Take away all that is chosen, or a part."""

    do: Literal["clear"]
    what: Literal["all", "areas", "filters"] = "all"
    plot: Plot | None = None


class Save(_Form):
    """Keep the selection under a name."""

    do: Literal["save"]
    name: Name


class UseSaved(_Form):
    """Select what was saved."""

    do: Literal["use_saved"]
    id: Id


class DeleteSaved(_Form):
    """Forget a saved selection."""

    do: Literal["delete_saved"]
    id: Id


class RenameSaved(_Form):
    """Give a saved selection another name."""

    do: Literal["rename_saved"]
    id: Id
    name: Name


class Load(_Form):
    """Select what a recipe of a selection says, such as one that a colleague sent."""

    do: Literal["load"]
    recipe: RecipeForm


class Back(_Form):
    """Select what was selected before."""

    do: Literal["back"]


Action = Annotated[
    Draw
    | RenameArea
    | OfArea
    | OfPlot
    | RemovePlots
    | PutFilter
    | RemoveFilter
    | Combine
    | Custom
    | FromText
    | Clear
    | Save
    | UseSaved
    | DeleteSaved
    | RenameSaved
    | Load
    | Back,
    Field(discriminator="do"),
]

ACTION: TypeAdapter[Any] = TypeAdapter(Action)
