from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.selection import AllOf, AnyOf, Cells, Labels, Not, PlotAreas, Query, Range, Unfinished
from iscan_dash.core.selection.query import (
    Problem,
    check_size,
    conditions,
    depth,
    evaluate,
    problems,
    simplified,
)
from iscan_dash.errors import SelectionRefused
from tests.core.selection.queries import queries, trees

N_CELLS = 40
MASKS = np.random.default_rng(0).random((4, N_CELLS)) < 0.5


def mask_of(condition: Any) -> np.ndarray:
    found: np.ndarray = MASKS[condition.plot - 1]
    return found


def meets(query: Any, cell: int) -> bool:
    """Tell whether one cell meets a query, as one would by hand."""
    match query:
        case Not():
            return not meets(query.of, cell)
        case AllOf():
            return all(meets(part, cell) for part in query.of)
        case AnyOf():
            return any(meets(part, cell) for part in query.of)
    return bool(MASKS[query.plot - 1][cell])


def is_whole(query: Query) -> bool:
    return not any(problem.code == "E41" for problem in problems(query, lambda _: None))


@given(trees(st.builds(PlotAreas, st.integers(1, 4))).filter(is_whole))
def test_evaluation_equals_asking_cell_by_cell(query: Query) -> None:
    before = MASKS.copy()
    expected = [meets(query, cell) for cell in range(N_CELLS)]
    assert evaluate(query, mask_of).tolist() == expected
    assert evaluate(simplified(query), mask_of).tolist() == expected
    np.testing.assert_array_equal(MASKS, before)


@given(queries)
def test_a_simplified_query_cannot_be_simplified_further(query: Query) -> None:
    once = simplified(query)
    assert simplified(once) == once
    assert depth(once) <= depth(query)
    assert list(conditions(once)) == list(conditions(query))


def test_problems_are_found_where_they_are() -> None:
    tree = AllOf(
        (
            PlotAreas(1),
            Not(AnyOf(())),
            AnyOf((Unfinished(), PlotAreas(2, removed=True), Labels("cluster", "leiden", ()), Cells(""))),
            Range("gene", "GONE"),
        )
    )
    gone = ("E44", "gone")
    found = list(problems(tree, lambda own: gone if isinstance(own, Range) else None))
    assert [(own.code, own.path) for own in found] == [
        ("E41", (1,)),
        ("E42", (2, 0)),
        ("E43", (2, 1)),
        ("E42", (2, 2)),
        ("E42", (2, 3)),
        ("E44", (3,)),
    ]
    texts = {own.code: own.text for own in found}
    assert texts["E41"] == "This group is empty."
    assert texts["E42"] == "Finish this condition."
    assert texts["E43"] == "This condition used a plot that was removed."
    assert list(problems(AnyOf(()), lambda _: None)) == [Problem("E41", "This group is empty.", ())]


def test_queries_have_an_end() -> None:
    query: Query = PlotAreas(1)
    for _ in range(6):
        query = Not(AnyOf((query,)))
    check_size(query)
    with pytest.raises(SelectionRefused, match="6 deep"):
        check_size(AllOf((query,)))
    with pytest.raises(SelectionRefused, match="200 conditions"):
        check_size(AllOf((PlotAreas(1),) * 201))
