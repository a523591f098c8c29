import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iscan_dash.core.study.columns import (
    CategoryColumn,
    NumberColumn,
    category_from_levels,
    category_from_values,
    code_type,
    concatenate,
    number_text,
    value_text,
)


def texts(column: CategoryColumn) -> list[str | None]:
    """Write a column out, cell by cell."""
    return [column.labels[code] if code >= 0 else None for code in column.codes.tolist()]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3, "3"),
        (3.0, "3"),
        (-3.0, "-3"),
        (0.0, "0"),
        (-0.0, "0"),
        (np.float32(-0.0), "0"),
        (2.5, "2.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.1), "0.1"),
        (np.float16(0.1), "0.1"),
        (np.float32(16777216), "16777216"),
        (9007199254740993, "9007199254740993"),
        (1e15, "1000000000000000"),
        (1e16, "1e+16"),
        (1e-7, "1e-07"),
        (float("inf"), "inf"),
        (np.float32("-inf"), "-inf"),
    ],
)
def test_number_text(number: float, text: str) -> None:
    assert number_text(number) == text


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(data=st.data())
def test_number_text_reads_back_as_the_same_number(dtype: type, data: st.DataObject) -> None:
    value = data.draw(hnp.from_dtype(np.dtype(dtype), allow_nan=False))
    assert dtype(number_text(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int8(-3), "-3"),
        (2**62 + 1, "4611686018427387905"),
        (True, "True"),
        (np.bool_(False), "False"),
        ("", None),
        (" ", " "),
        ("nan", "nan"),
        ("NA", "NA"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff", "\ufffd"),
        (b"", None),
        (None, None),
        (float("nan"), None),
        (np.float32("nan"), None),
        (np.datetime64("NaT"), None),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (np.ma.masked, None),
    ],
)
def test_value_text(value: object, text: str | None) -> None:
    assert value_text(value) == text


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.text(alphabet="ab12_ ", max_size=3),
            st.integers(2, 30),
            st.sampled_from([2.5, float("nan"), -0.5]),
        ),
        max_size=30,
    )
)
def test_a_category_holds_the_text_of_each_value(values: list[object]) -> None:
    column = category_from_values("mine", np.array(values, object))

    assert texts(column) == [value_text(value) for value in values]
    assert column.n_missing == sum(value_text(value) is None for value in values)
    assert len(set(column.labels)) == len(column.labels)
    assert dict(zip(column.labels, column.counts.tolist(), strict=True)) == {
        label: texts(column).count(label) for label in column.labels
    }
    assert 0 not in column.counts
    assert len(column) == len(values)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["10", "2", "1"], ("1", "2", "10")),
        (["-1", "-2", "0.5"], ("-2", "-1", "0.5")),
        (["c10", "C2", "c1"], ("c1", "C2", "c10")),
        (["2", "1_10", "1_2", "0"], ("0", "1_2", "1_10", "2")),
        (["nan", "b", "A"], ("A", "b", "nan")),
    ],
)
def test_values_are_sorted_as_a_person_would(values: list[str], labels: tuple[str, ...]) -> None:
    assert category_from_values("mine", np.array(values, object)).labels == labels


def test_the_order_of_levels_is_kept_unless_they_are_numbers() -> None:
    codes = np.array([0, 1, 2])
    assert category_from_levels("c", codes, ["low", "10", "high"], ordered=True).labels == ("low", "10", "high")
    assert category_from_levels("c", codes, ["1_2", "1_1", "0"], ordered=True).labels == ("1_2", "1_1", "0")
    assert category_from_levels("c", codes, ["10", "9", "1e1"], ordered=True).labels == ("9", "10", "1e1")
    assert category_from_levels("c", codes, ["b", "c", "a"], ordered=False).labels == ("a", "b", "c")


def test_levels_of_the_same_text_are_one_label_and_empty_or_unused_ones_none() -> None:
    column = category_from_levels("c", np.array([0, 1, 2, 3, -1]), ["1", 1, "", "x", "unused"], ordered=True)

    assert column.labels == ("1", "x")
    assert column.codes.tolist() == [0, 0, -1, 1, -1]
    assert column.counts.tolist() == [2, 1]
    assert column.n_missing == 2


def test_a_column_of_nothing_has_no_labels() -> None:
    column = category_from_values("c", np.array([None, np.nan, ""], object))

    assert column.labels == ()
    assert column.codes.tolist() == [-1, -1, -1]
    assert column.n_missing == 3


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["a", "b", None], ""),
        ([1, 2.5, np.nan], ""),
        ([True, False, None], ""),
        (["a", 1], "mixed"),
        ([True, "a"], "mixed"),
        ([np.datetime64("2026-01-02"), "a"], "datetime"),
    ],
)
def test_values_that_became_text_are_noted(values: list[object], note: str) -> None:
    assert category_from_values("c", np.array(values, object)).note == note


@pytest.mark.parametrize(("n_labels", "dtype"), [(0, np.int8), (127, np.int8), (128, np.int16), (32768, np.int32)])
def test_codes_are_as_small_as_they_can_be(n_labels: int, dtype: type) -> None:
    assert code_type(n_labels) is dtype
    if n_labels:
        column = category_from_values("c", np.arange(n_labels).astype(str).astype(object))
        assert column.codes.dtype == dtype
        assert column.codes.tolist() == list(range(n_labels))


class TestNumbers:
    def test_what_is_known_of_a_column(self) -> None:
        column = NumberColumn("n", np.array([3.0, np.nan, -1.0, np.inf]))

        assert len(column) == 4
        assert column.n_missing == 1
        assert column.range == (-1.0, 3.0)
        assert not column.is_integral

    def test_a_column_of_nan(self) -> None:
        column = NumberColumn("n", np.full(3, np.nan))

        assert column.range is None
        assert column.n_missing == 3
        assert column.as_category().labels == ()
        assert column.as_category().codes.tolist() == [-1, -1, -1]

    @pytest.mark.parametrize(
        ("values", "expected"), [([1, 2, np.nan], True), ([1.5], False), ([-0.0, 7], True), ([1, -np.inf], False)]
    )
    def test_is_integral(self, values: list[float], expected: bool) -> None:
        assert NumberColumn("n", np.array(values, float)).is_integral is expected

    def test_as_category_is_in_the_order_of_the_numbers(self) -> None:
        column = NumberColumn("n", np.array([10, 2.5, np.nan, -1, -0.0, 0.0, np.inf, -2])).as_category()

        assert column.name == "n"
        assert column.labels == ("-2", "-1", "0", "2.5", "10", "inf")
        assert texts(column) == ["10", "2.5", None, "-1", "0", "0", "inf", "-2"]
        assert column.note == ""


class TestConcatenate:
    def test_numbers_stay_numbers(self) -> None:
        joined = concatenate("n", [NumberColumn("n", np.array([1.0, 2.0])), 2, NumberColumn("n", np.array([np.nan]))])

        assert isinstance(joined, NumberColumn)
        assert joined.name == "n"
        np.testing.assert_array_equal(joined.values, [1, 2, np.nan, np.nan, np.nan])

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_numbers_keep_their_type_so_that_they_read_the_same(self, dtype: type) -> None:
        joined = concatenate("n", [1, NumberColumn("n", np.array([0.1], dtype))])

        assert isinstance(joined, NumberColumn)
        assert joined.values.dtype == dtype
        assert joined.as_category().labels == ("0.1",)

    def test_labels_of_the_first_file_come_first(self) -> None:
        first = CategoryColumn("c", np.array([1, 0, -1], np.int8), ("z", "b"))
        second = CategoryColumn("c", np.array([0, 1], np.int8), ("a", "b"))
        joined = concatenate("c", [2, first, second])

        assert isinstance(joined, CategoryColumn)
        assert joined.labels == ("z", "b", "a")
        assert texts(joined) == [None, None, "b", "z", None, "a", "b"]
        assert joined.note == ""

    def test_labels_that_are_numbers_are_sorted_as_numbers(self) -> None:
        first = CategoryColumn("c", np.array([0, 1], np.int8), ("2", "10"))
        joined = concatenate("c", [first, CategoryColumn("c", np.array([0], np.int8), ("3",))])

        assert isinstance(joined, CategoryColumn)
        assert joined.labels == ("2", "3", "10")
        assert texts(joined) == ["2", "10", "3"]

    def test_numbers_and_text_become_text_and_are_noted(self) -> None:
        text = CategoryColumn("c", np.array([0, 1], np.int8), ("x", "1"))
        joined = concatenate("c", [text, NumberColumn("c", np.array([1.0, 2.5]))])

        assert isinstance(joined, CategoryColumn)
        assert texts(joined) == ["x", "1", "1", "2.5"]
        assert joined.note == "mixed"

    def test_a_file_in_which_the_column_is_empty_mixes_nothing(self) -> None:
        text = CategoryColumn("c", np.array([0, 0], np.int8), ("x",))
        joined = concatenate("c", [text, NumberColumn("c", np.array([np.nan, np.nan]))])

        assert isinstance(joined, CategoryColumn)
        assert texts(joined) == ["x", "x", None, None]
        assert joined.note == ""

    def test_the_note_of_a_file_is_kept(self) -> None:
        dates = CategoryColumn("c", np.array([0], np.int8), ("2026",), "datetime")
        joined = concatenate("c", [1, dates])

        assert isinstance(joined, CategoryColumn)
        assert joined.note == "datetime"

    def test_many_labels_need_wider_codes(self) -> None:
        parts = [
            category_from_values("c", np.array([f"{prefix}{number}" for number in range(100)], object))
            for prefix in "ab"
        ]
        joined = concatenate("c", parts)

        assert isinstance(joined, CategoryColumn)
        assert joined.codes.dtype == np.int16
        assert texts(joined) == [f"{prefix}{number}" for prefix in "ab" for number in range(100)]
