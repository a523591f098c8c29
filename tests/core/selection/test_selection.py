"""Selections as values: what drawing, filters and queries make of them, held against the algebra of sets."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.selection import (
    AllOf,
    AnyOf,
    Area,
    Labels,
    Not,
    PlotAreas,
    Query,
    Selection,
    Unfinished,
)
from iscan_dash.core.selection.query import conditions as all_conditions
from iscan_dash.core.selection.query import evaluate, problems, simplified
from iscan_dash.errors import SelectionRefused
from tests.core.selection.queries import trees

XY = np.random.default_rng(1).uniform(0, 10, (2, 60)).astype(np.float32)
XY[:, ::7] = np.nan
PLACED = np.isfinite(XY[0])
LEIDEN, FATE = Labels("cluster", "leiden", ("1",)), Labels("metadata", "fate", ("T",))


def box(left: float, right: float) -> tuple[tuple[float, float], ...]:
    """An upright stripe."""
    return ((left, -1.0), (right, -1.0), (right, 11.0), (left, 11.0))


def stripe(left: float, right: float) -> np.ndarray:
    """The cells in it."""
    found: np.ndarray = (XY[0] >= left) & (XY[0] <= right)
    return found


def of_plot(selection: Selection, plot: int) -> np.ndarray:
    """The cells of a plot's areas."""
    found = np.zeros(XY.shape[1], bool)
    for area in selection.areas_of(plot):
        found |= area.mask(lambda shape: shape.mask(XY))
    return ~found if plot in selection.inverted_plots else found


def mask(selection: Selection) -> list[bool] | None:
    """The cells that a selection of areas means."""
    query = selection.query
    if query is None:
        return None

    def mask_of(condition: Any) -> np.ndarray:
        if isinstance(condition, PlotAreas):
            return of_plot(selection, condition.plot)
        return XY[1] > (5 if condition == LEIDEN else 3)

    found: list[bool] = evaluate(query, mask_of).tolist()
    return found


def test_nothing_chosen_is_no_query() -> None:
    assert Selection().query is None
    for mode in ("union", "intersection", "custom"):
        assert Selection().combine(mode).query is None
    tree = Selection().with_custom(AllOf((PlotAreas(1), Not(PlotAreas(2)))))
    assert tree.query is None
    # What else it asks for is asked for all the same.
    assert tree.with_custom(AllOf((PlotAreas(1), LEIDEN))).query is not None


Step = tuple[str, int, float, float]
steps = st.lists(
    st.tuples(
        st.sampled_from(["new", "add", "subtract", "invert plot", "invert area"]),
        st.integers(1, 2),
        st.floats(0, 10),
        st.floats(0, 10),
    ),
    max_size=8,
)


@given(steps, st.sampled_from(["union", "intersection"]))
def test_drawing_is_the_algebra_of_sets(done: list[Step], mode: str) -> None:
    """Areas as sets: of a plot that is inverted, what is added comes in and what is taken away goes out."""
    selection, ids = Selection().combine(mode), count()
    areas: dict[int, list[np.ndarray]] = {1: [], 2: []}
    inverted = {1: False, 2: False}
    for verb, plot, one, other in done:
        own, (left, right) = areas[plot], sorted((one, other))
        shape = stripe(left, right)
        if verb == "invert area":
            if not own:
                continue
            selection = selection.invert_area(selection.areas_of(plot)[-1].id)
            own[-1] = ~own[-1]
        elif verb == "invert plot":
            if not own:
                with pytest.raises(SelectionRefused, match="Nothing is drawn"):
                    selection.invert_plot(plot)
                continue
            selection = selection.invert_plot(plot)
            inverted[plot] = not inverted[plot]
        elif verb == "subtract" and not own:
            with pytest.raises(SelectionRefused, match="Nothing is drawn"):
                selection.draw("a", plot, "umap", box(left, right), verb)
        else:
            selection = selection.draw(f"a{next(ids)}", plot, "umap", box(left, right), verb)
            if verb == "new":
                areas[plot], inverted[plot] = [shape], False
            elif inverted[plot]:
                # The cells outside of all areas: what comes in leaves each of them, what goes out is one more.
                areas[plot] = [area & ~shape for area in own] if verb == "add" and own else [*own, shape]
            elif verb == "add":
                own.append(shape)
            else:
                own[-1] = own[-1] & ~shape
    united = {plot: np.logical_or.reduce(own) for plot, own in areas.items() if own}
    plots = [~found if inverted[plot] else found for plot, found in united.items()]
    join: Callable[[Any], np.ndarray] = np.logical_or.reduce if mode == "union" else np.logical_and.reduce
    assert mask(selection) == (join(plots).tolist() if plots else None)


def test_an_area_added_to_an_inverted_plot_brings_its_cells_in() -> None:
    selection = Selection().draw("a", 1, "umap", box(2, 8)).invert_plot(1)
    assert mask(selection) == (~stripe(2, 8)).tolist()
    assert mask(selection.draw("b", 1, "umap", box(3, 4), "add")) == (~stripe(2, 8) | stripe(3, 4)).tolist()
    assert mask(selection.draw("b", 1, "umap", box(0, 3), "subtract")) == (~stripe(2, 8) & ~stripe(0, 3)).tolist()


def test_a_plain_drag_starts_the_areas_of_its_plot_anew() -> None:
    selection = Selection().draw("a", 1, "umap", box(0, 1)).draw("b", 1, "umap", box(2, 3), "add")
    selection = selection.draw("c", 2, "pca", box(4, 5)).invert_plot(1)
    assert [area.name for area in selection.areas] == ["area 1", "area 2", "area 1"]
    drawn = selection.draw("d", 1, "umap", box(6, 7))
    assert [(area.id, area.name) for area in drawn.areas] == [("c", "area 1"), ("d", "area 1")]
    assert not drawn.inverted_plots


def test_names_of_areas_are_free_ones() -> None:
    selection = Selection()
    for own in "abc":
        selection = selection.draw(own, 1, "umap", box(0, 1), "add")
    selection = selection.delete_area("b").draw("d", 1, "umap", box(0, 1), "add")
    assert [(area.id, area.name) for area in selection.areas] == [("a", "area 1"), ("c", "area 3"), ("d", "area 2")]


def test_an_area_drawn_anew_keeps_its_name_and_place() -> None:
    selection = Selection().draw("a", 1, "umap", box(0, 1)).draw("b", 1, "umap", box(2, 3), "add")
    selection = selection.rename_area("a", "tip").invert_area("a").redraw("a", "pca", box(4, 5))
    assert selection.areas[0] == Area("a", 1, "pca", "tip", selection.areas[0].shapes)
    assert mask(selection) == (stripe(4, 5) | stripe(2, 3)).tolist()


def test_cells_are_taken_out_of_an_area_only_on_its_own_axes() -> None:
    selection = Selection().draw("a", 1, "umap", box(0, 5))
    with pytest.raises(SelectionRefused, match="drawn on other axes"):
        selection.draw("b", 1, "pca", box(0, 1), "subtract")
    assert selection.draw("b", 1, "pca", box(0, 1), "add").areas[1].axes == "pca"


def test_a_plot_that_is_taken_away_breaks_what_used_it() -> None:
    selection = (
        Selection().draw("a", 1, "umap", box(0, 5)).draw("b", 2, "umap", box(0, 5)).put_filter("f", PlotAreas(2))
    )
    removed = selection.with_custom(AllOf((PlotAreas(1), Not(PlotAreas(2))))).remove_plot(2)
    assert removed.drawn == (1,)
    found = [(own.code, own.path) for own in problems(removed.query or PlotAreas(1), lambda _: None)]
    assert found == [("E43", (0,)), ("E43", (1, 1))]
    # Without a custom query only what is drawn is asked.
    assert selection.remove_filter("f").remove_plot(2).query == PlotAreas(1)


@pytest.mark.parametrize(
    "act",
    [
        lambda own: own.delete_area("x"),
        lambda own: own.invert_area("x"),
        lambda own: own.rename_area("x", "y"),
        lambda own: own.redraw("x", "umap", box(0, 1)),
    ],
)
def test_an_area_that_is_gone_is_refused(act: Callable[[Selection], Selection]) -> None:
    with pytest.raises(SelectionRefused, match="not there any more"):
        act(Selection().draw("a", 1, "umap", box(0, 1)))


def test_a_custom_query_begins_as_what_was_meant() -> None:
    selection = Selection().draw("a", 1, "umap", box(0, 5)).draw("b", 2, "umap", box(3, 8))
    assert selection.combine("custom").custom == AnyOf((PlotAreas(1), PlotAreas(2)))
    both = selection.combine("intersection")
    assert both.combine("custom").custom == AllOf((PlotAreas(1), PlotAreas(2)))
    # It is kept while another mode is tried.
    custom = both.with_custom(Not(PlotAreas(2)))
    assert custom.custom == AnyOf((Not(PlotAreas(2)),))
    assert custom.combine("union").combine("custom").custom == custom.custom


conditions = st.sampled_from([PlotAreas(1), PlotAreas(2), PlotAreas(3), LEIDEN, FATE])


def is_whole(query: Query) -> bool:
    return not any(problems(query, lambda _: None))


@given(trees(conditions).filter(is_whole), st.sampled_from([(), (1,), (1, 2), (1, 2, 3)]))
def test_a_query_that_is_typed_is_what_is_selected(query: Query, drawn: tuple[int, ...]) -> None:
    selection = Selection()
    for plot in drawn:
        selection = selection.draw(f"a{plot}", plot, "umap", box(plot, plot + 3))
    ids = count()
    made = selection.with_query(query, lambda: f"f{next(ids)}")
    assert made.areas == selection.areas
    wanted = parts(simplified(query))
    found = parts(simplified(made.query)) if made.query is not None else set()
    if not drawn:
        # What asks for nothing but plots waits until something is drawn.
        assert all(isinstance(own, PlotAreas) for part in wanted - found for own in all_conditions(part))
        wanted &= found
    assert found == wanted
    if made.query is not None and drawn:
        assert made.with_query(made.query, lambda: f"f{next(ids)}") == made


def parts(query: Query) -> set[Query]:
    """The queries that all have to be met, flat: their order and brackets mean nothing."""
    if isinstance(query, AllOf):
        return {own for part in query.of for own in parts(part)}
    return {query}


def test_a_query_that_is_typed_is_told_apart_into_filters_and_plots() -> None:
    selection = Selection().draw("a", 1, "umap", box(0, 5)).draw("b", 2, "umap", box(3, 8)).put_filter("f", LEIDEN)
    plots = (PlotAreas(1), PlotAreas(2))

    def typed(query: Query) -> tuple[str, list[tuple[str, Query]], Query | None]:
        made = selection.with_query(query, lambda: "new")
        return made.mode, [(own.id, own.query) for own in made.filters], made.custom

    assert typed(AllOf((FATE, LEIDEN, AnyOf(plots)))) == ("union", [("new", FATE), ("f", LEIDEN)], None)
    assert typed(AllOf((LEIDEN, *plots))) == ("intersection", [("f", LEIDEN)], None)
    assert typed(AllOf((LEIDEN, PlotAreas(1)))) == ("custom", [("f", LEIDEN)], AnyOf((PlotAreas(1),)))
    # The areas would join in otherwise.
    assert typed(LEIDEN) == ("custom", [], AnyOf((LEIDEN,)))
    assert selection.with_query(None, lambda: "new") == Selection()


def test_there_is_an_end_to_what_is_kept() -> None:
    full = Selection()
    for number in range(50):
        full = full.put_filter(f"f{number}", LEIDEN)
    with pytest.raises(SelectionRefused, match="50 filters"):
        full.put_filter("g", LEIDEN)
    for number in range(100):
        full = full.draw(f"a{number}", 1, "umap", box(0, 1), "add")
    with pytest.raises(SelectionRefused, match="100 areas"):
        full.draw("b", 2, "umap", box(0, 1))
    long = ((0.0, 0.0),) * 2000
    detailed = Selection()
    for number in range(10):
        detailed = detailed.draw(f"a{number}", 1, "umap", long, "add")
    with pytest.raises(SelectionRefused, match="too many corners"):
        detailed.draw("b", 2, "umap", long)
    carved = Selection().draw("a", 1, "umap", box(0, 1))
    for _ in range(49):
        carved = carved.draw("b", 1, "umap", box(0, 1), "subtract")
    with pytest.raises(SelectionRefused, match="too many corners"):
        carved.draw("b", 1, "umap", box(0, 1), "subtract")


def test_an_unfinished_condition_stays_where_it_was_typed() -> None:
    made = Selection().with_query(AllOf((LEIDEN, Unfinished())), lambda: "f")
    assert [own.query for own in made.filters] == [LEIDEN, Unfinished()]
