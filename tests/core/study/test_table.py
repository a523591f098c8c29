from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.room import OVERHEAD, Room
from iscan_dash.core.study.columns import CategoryColumn, NumberColumn
from iscan_dash.core.study.table import CellTable, IdColumn

IDS = ("AAC-1", "aat-1", "GÄG-2", "AAC-2")
LABELS = ("T cell", None, "B cell", "T cell")


def table(ids: Sequence[str] = IDS, labels: Sequence[str | None] = LABELS) -> CellTable:
    texts = sorted({label for label in labels if label is not None})
    codes = np.array([texts.index(label) if label is not None else -1 for label in labels], np.int8)
    return CellTable(
        len(ids),
        {
            "id": IdColumn("Cell ID", np.array([cell.encode() for cell in ids])),
            "fate": CategoryColumn("fate", codes, tuple(texts)),
        },
    )


def test_a_page_of_rows() -> None:
    rows, total = table().page(1, 3)

    assert rows == [{"i": 1, "id": "aat-1", "fate": None}, {"i": 2, "id": "GÄG-2", "fate": "B cell"}]
    assert total == 4


@pytest.mark.parametrize(("start", "end", "numbers"), [(0, 100, [0, 1, 2, 3]), (3, 5, [3]), (4, 9, []), (2, 2, [])])
def test_a_page_ends_where_the_cells_do(start: int, end: int, numbers: list[int]) -> None:
    for sort in ((), (("i", False),)):
        rows, total = table().page(start, end, sort=sort)
        assert [row["i"] for row in rows] == numbers
        assert total == 4


@pytest.mark.parametrize(
    ("contains", "numbers"),
    [
        ({"id": "aa"}, [0, 1, 3]),
        ({"id": "AAC"}, [0, 3]),
        ({"id": "gÄ"}, [2]),
        ({"id": "ä"}, [2]),
        ({"id": "-2"}, [2, 3]),
        ({"fate": "t CELL"}, [0, 3]),
        ({"fate": "cell"}, [0, 2, 3]),
        ({"fate": "T", "id": "2"}, [3]),
        ({"fate": ""}, [0, 1, 2, 3]),
        ({"gone": "x"}, []),
        ({"gone": ""}, [0, 1, 2, 3]),
        ({"fate": "x"}, []),
    ],
)
def test_a_filter(contains: dict[str, str], numbers: list[int]) -> None:
    rows, total = table().page(0, 10, contains)

    assert [row["i"] for row in rows] == numbers
    assert total == len(numbers)


@given(
    cells=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["x", "y", None])), min_size=1, max_size=12
    ),
    sort=st.lists(st.tuples(st.sampled_from(["i", "id", "fate"]), st.booleans()), max_size=3, unique_by=lambda s: s[0]),
)
def test_sorting_is_that_of_python(cells: list[tuple[str, str | None]], sort: list[tuple[str, bool]]) -> None:
    ids, labels = [cell for cell, _ in cells], [label for _, label in cells]
    expected = list(range(len(cells)))
    keys = {"i": lambda row: row, "id": lambda row: ids[row], "fate": lambda row: labels[row] or ""}
    for key, down in reversed(sort):
        expected.sort(key=keys[key], reverse=down)
    rows, _ = table(ids, labels).page(0, 100, sort=sort)

    assert [row["i"] for row in rows] == expected


def test_the_order_of_labels_and_not_of_their_text_sorts() -> None:
    column = CategoryColumn("n", np.array([1, 0, -1]), ("2", "10"))
    rows, _ = CellTable(3, {"n": column}).page(0, 3, sort=[("n", False)])

    assert [row["n"] for row in rows] == [None, "2", "10"]


def test_more_orders_than_are_kept() -> None:
    cells = table()
    for _ in range(2):
        for text in "abcdefgt-12":
            rows, _ = cells.page(0, 10, {"id": text})
            assert [row["id"] for row in rows] == [cell for cell in IDS if text in cell.lower()]


def test_an_order_takes_four_bytes_a_cell() -> None:
    room = Room(1 << 20)
    cells = CellTable(1000, {"n": NumberColumn("n", np.arange(1000.0))}, room)

    order = cells.order(sort=[("n", True)])

    assert order.tolist() == list(range(999, -1, -1))
    assert order.nbytes == 4000 and room.held == 4000 + OVERHEAD
