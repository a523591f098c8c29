import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.selection.conditions import labels_mask, named_cells, parse_ids, range_mask
from iscan_dash.core.study import CategoryColumn, NumberColumn

LABELS = ("B", "NK", "T", "missing")


@given(
    st.lists(st.integers(-1, 3), min_size=1, max_size=30),
    st.sets(st.sampled_from([*LABELS, "X", ""])),
    st.booleans(),
)
def test_labels(codes: list[int], values: set[str], missing: bool) -> None:
    column = CategoryColumn("fate", np.array(codes, np.int8), LABELS)
    expected = [missing if code < 0 else LABELS[code] in values for code in codes]
    assert labels_mask(column, values, missing=missing).tolist() == expected


numbers = st.floats(-5, 5, width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0])
ends = st.none() | st.floats(-6, 6, width=32) | st.sampled_from([1e300, -1e300, 0.0])


@given(st.lists(numbers, min_size=1, max_size=30), ends, ends, st.booleans())
def test_ranges(values: list[float], low: float | None, high: float | None, missing: bool) -> None:
    column = NumberColumn("n", np.array(values, np.float64))
    expected = [
        missing if not np.isfinite(value) else (low is None or value >= low) and (high is None or value <= high)
        for value in values
    ]
    assert range_mask(column, low, high, missing=missing).tolist() == expected


def test_the_ends_of_a_range_have_the_precision_of_the_numbers() -> None:
    column = NumberColumn("n", np.array([0.1, 0.2, 0.3], np.float32))
    assert range_mask(column, 0.1, 0.2, missing=False).tolist() == [True, True, False]
    assert range_mask(column, -1e300, 1e300, missing=False).all()


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        (" \n\n,;", []),
        ("a", [("", "a")]),
        ("a\r\nb\rc\n", [("", "a"), ("", "b"), ("", "c")]),
        ("a, b;c", [("", "a"), ("", "b"), ("", "c")]),
        ("'a',\"b\"", [("", "a"), ("", "b")]),
        ("s1\ta", [("s1", "a")]),
        ("s, 1\ta, b", [("s, 1", "a, b")]),
        ("s1\ta\tT cell\tx", [("s1", "a")]),
        ("a\t", [("", "a")]),
        ("a\na\n a ", [("", "a")]),
        ("a b", [("", "a b")]),
    ],
)
def test_lists_of_ids(text: str, ids: list[tuple[str, str]]) -> None:
    assert parse_ids(text) == tuple(ids)


IDS = np.array(["a", "b", "c", "a", "d", "d", "cell 1", "é"], object)
CELLS = np.array([own.encode() for own in IDS])
SAMPLES = CategoryColumn("Sample", np.array([0, 0, 0, 1, 1, 1, 0, 1], np.int8), ("s1", "s2"))


@pytest.mark.parametrize(
    ("text", "rows", "counts"),
    [
        ("b\nc", [1, 2], (2, 0, 0)),
        ("a", [], (0, 0, 1)),
        ("s1\ta", [0], (1, 0, 0)),
        ("s2\ta\ns1\ta", [0, 3], (2, 0, 0)),
        ("s3\ta\ns2\tb", [], (0, 2, 0)),
        ("d", [4, 5], (1, 0, 0)),
        ("cell 1", [6], (1, 0, 0)),
        ("b c x", [1, 2], (2, 1, 0)),
        ("b, b c", [1, 2], (2, 0, 0)),
        ("é", [7], (1, 0, 0)),
        ("\x00", [], (0, 1, 0)),
        ("b\x00", [], (0, 1, 0)),
        ("x" * 1000, [], (0, 1, 0)),
        ("B", [], (0, 1, 0)),
    ],
)
def test_cells_are_found_by_their_ids(text: str, rows: list[int], counts: tuple[int, int, int]) -> None:
    found = named_cells(parse_ids(text), CELLS, SAMPLES)
    assert np.flatnonzero(found.mask).tolist() == rows
    assert (found.matched, found.unmatched, found.ambiguous) == counts
    assert bool(found.examples) == (counts[1] + counts[2] > 0)


@given(st.lists(st.tuples(st.sampled_from(["", "s1", "s2"]), st.sampled_from("abcdxy")), max_size=8, unique=True))
def test_cells_are_found_as_one_would_by_hand(ids: list[tuple[str, str]]) -> None:
    samples = [SAMPLES.labels[code] for code in SAMPLES.codes]
    expected, matched, ambiguous = np.zeros(len(IDS), bool), 0, 0
    for sample, own in ids:
        rows = [row for row in range(len(IDS)) if IDS[row] == own and sample in {"", samples[row]}]
        if len({samples[row] for row in rows}) == 1:
            expected[rows] = True
            matched += 1
        ambiguous += len({samples[row] for row in rows}) > 1
    found = named_cells(ids, CELLS, SAMPLES)
    assert found.mask.tolist() == expected.tolist()
    assert (found.matched, found.ambiguous, found.unmatched) == (matched, ambiguous, len(ids) - matched - ambiguous)
