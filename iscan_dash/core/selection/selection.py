"""A selection: filters, and areas drawn on plots, and how they are combined; a value that edits give anew."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from iscan_dash.core.selection.area import Area, Shape
from iscan_dash.core.selection.query import (
    AllOf,
    AnyOf,
    Cells,
    Condition,
    Labels,
    Not,
    PlotAreas,
    Query,
    check_size,
    conditions,
    replace_conditions,
    simplified,
    to_json,
)
from iscan_dash.errors import SelectionRefused

UNION, INTERSECTION, CUSTOM = "union", "intersection", "custom"

MOST_FILTERS = 50
MOST_AREAS = 100
MOST_SHAPES = 50
MOST_POINTS = 20_000
"""Vertices of all areas together: they go to the page with every change."""

MOST_CHARACTERS = 5_000_000
"""Characters of all labels and ids of cells."""

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Filter:
    """A condition that every cell of a selection meets.

    Parameters
    ----------
    id
        Tells filters apart.
    query
        The condition.
    """

    id: str
    query: Query


@dataclass(frozen=True)
class Selection:
    """Which cells are meant: those that pass all filters and lie in the areas.

    Parameters
    ----------
    filters
        The filters.
    areas
        The areas of all plots, in the order they were drawn. Areas of one plot are united.
    inverted_plots
        Plots of which all cells but those in their areas are meant.
    mode
        How the plots with areas are combined: ``"union"``, ``"intersection"`` or ``"custom"``.
    custom
        The query that combines them when `mode` is ``"custom"``; it is kept while another one is used.
    """

    filters: tuple[Filter, ...] = ()
    areas: tuple[Area, ...] = ()
    inverted_plots: frozenset[int] = frozenset()
    mode: str = UNION
    custom: Query | None = None

    # -- looking -----------------------------------------------------------------------------------------------------

    def areas_of(self, plot: int) -> tuple[Area, ...]:
        """Return the areas of a plot in the order they were drawn."""
        return tuple(area for area in self.areas if area.plot == plot)

    @property
    def drawn(self) -> tuple[int, ...]:
        """The plots that have areas."""
        return tuple(sorted({area.plot for area in self.areas}))

    @property
    def plots_query(self) -> Query | None:
        """How the areas of the plots are combined; None when nothing is drawn."""
        if self.mode == CUSTOM and self.custom is not None:
            of_plots_only = all(isinstance(own, PlotAreas) and not own.removed for own in conditions(self.custom))
            # Nothing drawn means that nothing is asked of the plots, rather than that no cell will do.
            return None if of_plots_only and not self.areas else self.custom
        plots = tuple(PlotAreas(plot) for plot in self.drawn)
        if len(plots) < 2:
            return plots[0] if plots else None
        return AllOf(plots) if self.mode == INTERSECTION else AnyOf(plots)

    @property
    def query(self) -> Query | None:
        """The whole selection; None when nothing is chosen."""
        parts = [own.query for own in self.filters]
        plots = self.plots_query
        if plots is not None:
            parts += plots.of if self.mode == INTERSECTION and isinstance(plots, AllOf) else (plots,)
        if len(parts) < 2:
            return parts[0] if parts else None
        return AllOf(tuple(parts))

    def conditions(self) -> Iterator[Condition]:
        """Go through all conditions, those of a custom query among them whether it is used now or not."""
        for own in self.filters:
            yield from conditions(own.query)
        if self.custom is not None:
            yield from conditions(self.custom)

    def with_conditions(self, change: Callable[[Condition], Condition]) -> "Selection":
        """Return the selection with its conditions changed."""
        return replace(
            self,
            filters=tuple(replace(own, query=replace_conditions(own.query, change)) for own in self.filters),
            custom=replace_conditions(self.custom, change) if self.custom is not None else None,
        )

    def find_area(self, area_id: str) -> Area:
        """Return an area.

        Raises
        ------
        SelectionRefused
            There is none of this id.
        """
        for area in self.areas:
            if area.id == area_id:
                return area
        raise SelectionRefused("This area is not there any more. Draw it again.")

    # -- areas -------------------------------------------------------------------------------------------------------

    def draw(self, area_id: str, plot: int, axes: str, points: Points, mode: str = "new") -> "Selection":
        """Draw on a plot.

        Parameters
        ----------
        area_id
            Id of the area that this makes.
        plot
            Number of the plot.
        axes
            What it shows.
        points
            The outline.
        mode
            ``"new"`` starts the plot's areas anew, ``"add"`` adds an area, ``"subtract"`` takes the cells within the
            outline out of the last area. Of a plot that is inverted its cells are meant in the same way: an area that
            is added brings its cells in.

        Raises
        ------
        SelectionRefused
            There is nothing to take from, or there would be too much to keep.
        """
        own = self.areas_of(plot)
        is_inverted = plot in self.inverted_plots
        if mode == "subtract" and not own:
            raise SelectionRefused(
                f"Nothing is drawn on plot {plot} that cells could be taken from. Draw an area first."
            )
        if not own:
            is_inverted, mode = False, "new"
        if mode == "new":
            others = tuple(area for area in self.areas if area.plot != plot)
            area = Area(area_id, plot, axes, "area 1", (Shape(points),))
            made = replace(self, areas=(*others, area), inverted_plots=self.inverted_plots - {plot})
        elif (mode == "add") != is_inverted:
            area = Area(area_id, plot, axes, _free_area_name(own), (Shape(points),))
            made = replace(self, areas=(*self.areas, area))
        else:
            # Of an inverted plot cells come in where they are taken out of each of its areas.
            changed = {area.id: _same_axes(area, axes).without(points) for area in (own if is_inverted else own[-1:])}
            made = self._with_areas(changed.get(area.id, area) for area in self.areas)
        return made.checked()

    def redraw(self, area_id: str, axes: str, points: Points) -> "Selection":
        """Draw an area anew; it keeps its name."""
        found = self.find_area(area_id)
        return self._with_area(replace(found, axes=axes, shapes=(Shape(points),), inverted=False)).checked()

    def rename_area(self, area_id: str, name: str) -> "Selection":
        """Give an area another name."""
        return self._with_area(replace(self.find_area(area_id), name=name))

    def invert_area(self, area_id: str) -> "Selection":
        """Mean all cells but those in an area, or these again."""
        area = self.find_area(area_id)
        return self._with_area(replace(area, inverted=not area.inverted))

    def delete_area(self, area_id: str) -> "Selection":
        """Take an area away."""
        self.find_area(area_id)
        return self._with_areas(area for area in self.areas if area.id != area_id)

    def invert_plot(self, plot: int) -> "Selection":
        """Mean all cells but those in the areas of a plot, or these again."""
        if not self.areas_of(plot):
            raise SelectionRefused(f"Nothing is drawn on plot {plot} that could be inverted. Draw an area first.")
        return replace(self, inverted_plots=self.inverted_plots ^ {plot})

    def remove_plot(self, plot: int) -> "Selection":
        """Take a plot away with its areas; conditions that used it say so, rather than mean something else."""

        def break_(condition: Condition) -> Condition:
            is_it = isinstance(condition, PlotAreas) and condition.plot == plot
            return PlotAreas(plot, removed=True) if is_it else condition

        return self.clear_areas(plot).with_conditions(break_)

    def clear_areas(self, plot: int | None = None) -> "Selection":
        """Take the areas of a plot away, or those of all."""
        return self._with_areas(area for area in self.areas if plot is not None and area.plot != plot)

    def _with_area(self, changed: Area) -> "Selection":
        return self._with_areas(changed if area.id == changed.id else area for area in self.areas)

    def _with_areas(self, areas: Iterable[Area]) -> "Selection":
        kept = tuple(areas)
        return replace(self, areas=kept, inverted_plots=self.inverted_plots & {area.plot for area in kept})

    # -- filters and queries -----------------------------------------------------------------------------------------

    def put_filter(self, filter_id: str, query: Query) -> "Selection":
        """Add a filter, or change the one of that id."""
        changed = Filter(filter_id, query)
        if any(own.id == filter_id for own in self.filters):
            filters = tuple(changed if own.id == filter_id else own for own in self.filters)
        else:
            filters = (*self.filters, changed)
        return replace(self, filters=filters).checked()

    def remove_filter(self, filter_id: str) -> "Selection":
        """Take a filter away; one that is not there any more is no mistake."""
        return replace(self, filters=tuple(own for own in self.filters if own.id != filter_id))

    def combine(self, mode: str) -> "Selection":
        """Combine the plots in another way; a custom query begins as what was meant so far."""
        custom = self.custom
        if mode == CUSTOM and custom is None:
            plots = tuple(PlotAreas(plot) for plot in self.drawn)
            custom = AllOf(plots) if self.mode == INTERSECTION else AnyOf(plots)
        return replace(self, mode=mode, custom=custom)

    def with_custom(self, query: Query) -> "Selection":
        """Combine the plots by a query."""
        return replace(self, mode=CUSTOM, custom=_grouped(query)).checked()

    def with_query(self, query: Query | None, new_id: Callable[[], str]) -> "Selection":
        """Return the selection that means what a query does; the areas stay as they are drawn.

        Parameters
        ----------
        query
            What it is to mean; None for nothing chosen, which takes the areas away.
        new_id
            Gives ids for filters.
        """
        if query is None:
            return Selection()
        query = simplified(query)
        parts = query.of if isinstance(query, AllOf) else (query,)
        filters = list(dict.fromkeys(part for part in parts if _is_filter(part)))
        rest = tuple(part for part in parts if not _is_filter(part))
        if not rest and self.areas:
            # The areas would join in if the query did not say that they do not.
            filters, rest = [], parts
        known = {own.query: own.id for own in self.filters}
        made = replace(
            self,
            filters=tuple(Filter(known.pop(own, "") or new_id(), own) for own in filters),
            mode=UNION,
            custom=None,
        )
        if rest:
            wanted = simplified(AllOf(rest))
            if made.plots_query != wanted:
                both = replace(made, mode=INTERSECTION)
                made = both if both.plots_query == wanted else replace(made, mode=CUSTOM, custom=_grouped(wanted))
        return made.checked()

    def checked(self) -> "Selection":
        """Refuse what is too large to keep and to send."""
        if len(self.filters) > MOST_FILTERS:
            raise SelectionRefused(f"A selection can have {MOST_FILTERS} filters at most. Take some away first.")
        if len(self.areas) > MOST_AREAS:
            raise SelectionRefused(f"{MOST_AREAS} areas can be drawn at most. Take some away first.")
        n_points = sum(len(shape.points) for area in self.areas for shape in area.shapes)
        if n_points > MOST_POINTS or any(len(area.shapes) > MOST_SHAPES for area in self.areas):
            raise SelectionRefused("The areas have too many corners to keep. Take some away, or draw them anew.")
        query = self.query
        for own in (*(own.query for own in self.filters), *([self.custom] if self.custom is not None else [])):
            check_size(own)
        if characters([self]) > MOST_CHARACTERS:
            raise SelectionRefused("The selection names too many labels and cells to keep. Take some filters away.")
        if query is not None and sum(1 for _ in conditions(query)) > 4 * MOST_FILTERS:
            raise SelectionRefused("The selection has too many conditions. Save a part of it and use that.")
        return self

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "filters": [{"id": own.id, "condition": to_json(own.query)} for own in self.filters],
            "areas": [area.to_json() for area in self.areas],
            "inverted_plots": sorted(self.inverted_plots),
            "mode": self.mode,
            "custom": to_json(self.custom) if self.custom is not None else None,
        }


def characters(selections: Iterable[Selection]) -> int:
    """Count the characters of all labels and ids of cells that some selections name; what they share counts once."""
    held = {id(condition): condition for own in selections for condition in own.conditions()}
    return sum(map(_characters, held.values()))


def _characters(condition: Condition) -> int:
    if isinstance(condition, Labels):
        return sum(map(len, condition.values))
    return len(condition.text) if isinstance(condition, Cells) else 0


def _is_filter(query: Query) -> bool:
    own = query.of if isinstance(query, Not) else query
    return not isinstance(own, PlotAreas | AllOf | AnyOf)


def _grouped(query: Query) -> Query:
    """Put a single condition into a group, which can be added to."""
    own = query.of if isinstance(query, Not) else query
    return query if isinstance(own, AllOf | AnyOf) else AnyOf((query,))


def _same_axes(area: Area, axes: str) -> Area:
    if area.axes != axes:
        raise SelectionRefused(
            f"{area.name} of plot {area.plot} was drawn on other axes. Show those, or add an area instead."
        )
    return area


def _free_area_name(areas: Iterable[Area]) -> str:
    used = {area.name for area in areas}
    number = 1
    while f"area {number}" in used:
        number += 1
    return f"area {number}"
