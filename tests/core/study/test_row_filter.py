"""Conditions of columns: each equals a plain look at every cell."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.study.columns import CategoryColumn, NumberColumn
from iscan_dash.core.study.row_filter import Between, Contains, IdColumn, OneOf, passes
from iscan_dash.core.study.table import CellTable, RowMask

LABELS = ("B cell", "T cell", "t CELL")
FATE = CategoryColumn("fate", np.array([1, -1, 0, 2], np.int8), LABELS)
SCORE = NumberColumn("score", np.array([0.1, 2.5, np.nan, np.inf], np.float32))
IDS = IdColumn("Cell ID", np.array([b"AAC-1", b"aat-1", b"C-2", b"AAC-2"]))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (OneOf(frozenset({"T cell"})), [0]),
        (OneOf(frozenset({"T cell", "gone"}), missing=True), [0, 1]),
        (OneOf(frozenset(), missing=True), [1]),
        (OneOf(frozenset()), []),
        (OneOf(frozenset({"T cell"}), is_not=True), [1, 2, 3]),
        (OneOf(frozenset({"T cell"}), missing=True, is_not=True), [2, 3]),
        (Contains("t cell"), [0, 3]),
        # What does not fit the column is met by no cell: a filter must not widen.
        (Between(0, 1), []),
    ],
)
def test_labels(condition: OneOf | Contains | Between, expected: list[int]) -> None:
    assert np.flatnonzero(passes(FATE, condition)).tolist() == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Between(), [0, 1]),
        (Between(low=0.1), [0, 1]),
        (Between(high=0.1), [0]),
        (Between(0.1, 0.1), [0]),
        (Between(3, 4), []),
        (Between(low=1, missing=True), [1, 2, 3]),
        (Between(numbers=False, missing=True), [2, 3]),
        (Between(numbers=False), []),
        (Between(-1e300, 1e300), [0, 1]),
        (OneOf(frozenset({"0.1"})), []),
        (OneOf(frozenset({"0.1"}), is_not=True), []),
    ],
)
def test_numbers(condition: Between | OneOf, expected: list[int]) -> None:
    assert np.flatnonzero(passes(SCORE, condition)).tolist() == expected


def test_ids() -> None:
    assert passes(IDS, Contains("AA")).tolist() == [True, True, False, True]
    assert not passes(IDS, OneOf(frozenset({"AAC-1"}))).any()


cells = st.lists(
    st.tuples(
        st.sampled_from([*LABELS, None]),
        st.one_of(st.none(), st.floats(-5, 5, width=32)),
        st.sampled_from(["a1", "A2", "b1"]),
    ),
    min_size=1,
    max_size=14,
)
labels = st.builds(
    OneOf, st.frozensets(st.sampled_from([*LABELS, "gone"])), missing=st.booleans(), is_not=st.booleans()
)
end = st.one_of(st.none(), st.floats(-6, 6, width=32))
ranges = st.builds(Between, end, end, numbers=st.booleans(), missing=st.booleans())
texts = st.builds(Contains, st.sampled_from(["", "A", "1", "z"]))


def meets(value: str | float | None, condition: OneOf | Between | Contains) -> bool:
    """Tell the plain way whether a value meets a condition."""
    if isinstance(condition, Contains):
        return condition.text.casefold() in str(value).casefold()
    if isinstance(condition, OneOf):
        found = condition.missing if value is None else value in condition.labels
        return found != condition.is_not
    if value is None:
        return condition.missing
    low = -math.inf if condition.low is None else condition.low
    high = math.inf if condition.high is None else condition.high
    return condition.numbers and low <= float(value) <= high


@given(
    cells=cells,
    fate=st.one_of(st.none(), labels),
    score=st.one_of(st.none(), ranges),
    ids=st.one_of(st.none(), texts),
    sort=st.lists(
        st.tuples(st.sampled_from(["i", "fate", "score", "id"]), st.booleans()), max_size=3, unique_by=lambda s: s[0]
    ),
    mask=st.one_of(st.none(), st.sets(st.integers(0, 13))),
)
def test_rows_are_those_of_a_plain_look(
    cells: list[tuple[str | None, float | None, str]],
    fate: OneOf | None,
    score: Between | None,
    ids: Contains | None,
    sort: list[tuple[str, bool]],
    mask: set[int] | None,
) -> None:
    codes = np.array([-1 if label is None else LABELS.index(label) for label, _, _ in cells], np.int8)
    numbers = np.array([np.nan if number is None else number for _, number, _ in cells], np.float32)
    table = CellTable(
        len(cells),
        {
            "fate": CategoryColumn("fate", codes, LABELS),
            "score": NumberColumn("score", numbers),
            "id": IdColumn("id", np.array([cell.encode() for _, _, cell in cells])),
        },
    )
    where = {
        key: condition for key, condition in (("fate", fate), ("score", score), ("id", ids)) if condition is not None
    }
    expected = [
        row
        for row, values in enumerate(cells)
        if all(meets(values[["fate", "score", "id"].index(key)], condition) for key, condition in where.items())
        and (mask is None or row in mask)
    ]
    keys = {
        "i": lambda row: row,
        "fate": lambda row: codes[row],
        "score": lambda row: -math.inf if cells[row][1] is None else cells[row][1],
        "id": lambda row: cells[row][2],
    }
    for key, down in reversed(sort):
        expected.sort(key=keys[key], reverse=down)
    within = [] if mask is None else [RowMask(np.isin(np.arange(len(cells)), list(mask)))]

    assert table.order(where, sort, within).tolist() == expected
    rows, total = table.page(0, 100, where, sort, within)
    assert total == len(expected)
    assert [(row["i"], row["fate"], row["score"], row["id"]) for row in rows] == [
        (row, cells[row][0], None if cells[row][1] is None else pytest.approx(cells[row][1]), cells[row][2])
        for row in expected
    ]


def test_numbers_are_shown_as_they_were_written() -> None:
    values = np.array([0.1, np.nan, 3, -0.25], np.float32)
    rows, _ = CellTable(4, {"n": NumberColumn("n", values)}).page(0, 4)

    assert [row["n"] for row in rows] == [0.1, None, 3, -0.25]


def test_rows_by_their_number() -> None:
    table = CellTable(5, {})

    assert table.order({"i": Between(2, 3)}).tolist() == [1, 2]
    assert table.order({"i": Between(low=4)}, [("i", True)]).tolist() == [4, 3]


def test_an_exchanged_column_has_an_order_of_its_own() -> None:
    def fate(*codes: int) -> CategoryColumn:
        return CategoryColumn("fate", np.array(codes, np.int8), ("B", "T"))

    table = CellTable(3, {"fate": fate(1, 0, 1), "score": NumberColumn("score", np.array([3.0, 1.0, 2.0]))})
    assert table.order(sort=[("fate", False)]).tolist() == [1, 0, 2]
    by_score = table.order(sort=[("score", False)])
    other = table.with_columns({**table.columns, "fate": fate(0, 1, 0)})
    assert other.order(sort=[("fate", False)]).tolist() == [0, 2, 1]
    # That of a column which stays is not found again.
    assert other.order(sort=[("score", False)]) is by_score


def test_a_mask_is_one_object() -> None:
    table = CellTable(3, {})
    first = RowMask(np.array([True, False, True]))
    assert table.order(within=[first]).tolist() == [0, 2]
    assert table.order(within=[RowMask(np.array([False, True, True]))]).tolist() == [1, 2]
    assert table.order(within=[first, RowMask(np.array([False, True, True]))]).tolist() == [2]
