import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iscan_dash.core import palette
from iscan_dash.core.study.columns import CategoryColumn, NumberColumn
from iscan_dash.figures.cells import (
    FIRST_STEP,
    MISSING_CODE,
    MOST_LABELS,
    STEPS,
    ZERO_CODE,
    CellColours,
    LegendRow,
    colour_by_category,
    colour_by_nothing,
    colour_by_number,
    colour_scale,
    range_text,
)

LAST_STEP = FIRST_STEP + STEPS - 1


def codes(colours: CellColours) -> list[int]:
    assert colours.codes is not None
    assert colours.codes.dtype == np.uint8
    return colours.codes.tolist()


def number(values: list[float] | np.ndarray, *, is_expression: bool = False) -> CellColours:
    return colour_by_number(NumberColumn("n", np.asarray(values, np.float32)), is_expression=is_expression)


def test_by_nothing() -> None:
    colours = colour_by_nothing(7)

    assert colours.codes is None
    assert colours.ink == (palette.SINGLE,)
    assert colours.legend == (LegendRow(0, "All cells", 7, palette.SINGLE),)


class TestByCategory:
    def test_each_label_has_its_code_and_colour(self) -> None:
        column = CategoryColumn("fate", np.array([2, 0, 1, 2], np.int8), ("B", "T", "NK"))
        colours = colour_by_category(column, {"NK": "#000003", "T": "#000002", "B": "#000001", "gone": "#000004"})

        assert codes(colours) == [2, 0, 1, 2]
        assert (colours.title, colours.scale, colours.missing, colours.n_missing) == ("fate", "categorical", None, 0)
        assert colours.ink == ("#000001", "#000002", "#000003")
        assert colours.legend == (
            LegendRow(0, "B", 1, "#000001"),
            LegendRow(1, "T", 1, "#000002"),
            LegendRow(2, "NK", 2, "#000003"),
        )

    def test_missing_comes_last(self) -> None:
        column = CategoryColumn("fate", np.array([-1, 0, -1], np.int8), ("B", "unused"))
        colours = colour_by_category(column, {"B": "#000001", "unused": "#000002"})

        assert codes(colours) == [2, 0, 2]
        assert (colours.missing, colours.n_missing) == (2, 2)
        assert colours.legend[1:] == (
            LegendRow(1, "unused", 0, "#000002"),
            LegendRow(2, "missing", 2, palette.MISSING, is_label=False),
        )

    def test_a_column_of_nothing(self) -> None:
        colours = colour_by_category(CategoryColumn("fate", np.array([-1, -1], np.int8), ()), {})

        assert codes(colours) == [0, 0]
        assert colours.missing == 0
        assert colours.ink == (palette.MISSING,)
        assert colours.legend == (LegendRow(0, "missing", 2, palette.MISSING, is_label=False),)

    @pytest.mark.parametrize("n_labels", [1, 59, 60, 61, 300, 40_000])
    @pytest.mark.parametrize("n_missing", [0, 3])
    def test_codes_agree_with_the_legend(self, n_labels: int, n_missing: int) -> None:
        # The label in the middle of the list has most cells, those at the ends fewest.
        times = np.minimum(np.arange(n_labels), np.arange(n_labels)[::-1]) + 1 if n_labels <= 300 else np.ones(n_labels)
        values = np.concatenate([np.repeat(np.arange(n_labels), times.astype(int)), np.full(n_missing, -1)])
        np.random.default_rng(0).shuffle(values)
        labels = tuple(f"label {place}" for place in range(n_labels))
        given_colours = {label: f"#{place:06x}" for place, label in enumerate(labels)}
        colours = colour_by_category(CategoryColumn("c", values.astype(np.int32), labels), given_colours)

        rows = {row.code: row for row in colours.legend}
        shown = {row.label for row in colours.legend if row.is_label}
        seen = codes(colours)
        assert len(shown) == (n_labels if n_labels <= MOST_LABELS else MOST_LABELS - 1)
        assert [row.code for row in colours.legend] == list(range(len(colours.legend)))
        assert colours.ink == tuple(row.colour for row in colours.legend)
        assert [row.count for row in colours.legend] == np.bincount(seen, minlength=len(rows)).tolist()
        for value, code in zip(values.tolist(), seen, strict=True):
            label = labels[value] if value >= 0 else None
            if label is None:
                expected = ("missing", palette.MISSING)
            elif label in shown:
                expected = (label, given_colours[label])
            else:
                expected = (f"other ({n_labels - 59:,} labels)", palette.OTHER)
            assert (rows[code].label, rows[code].colour) == expected

    def test_of_more_than_60_labels_the_59_with_most_cells_are_shown(self) -> None:
        n_cells = np.array([1] * 5 + [2] * 3 + [3] * 58)
        values = np.repeat(np.arange(66), n_cells)
        labels = tuple(f"{place:02}" for place in range(66))
        colours = colour_by_category(CategoryColumn("c", values, labels), dict.fromkeys(labels, "#000000"))

        # Of equal ones the first; in the order of the labels.
        assert [row.label for row in colours.legend] == [labels[5], *labels[8:], "other (7 labels)"]
        assert colours.legend[-1] == LegendRow(59, "other (7 labels)", 9, palette.OTHER, is_label=False)


class TestByNumber:
    def test_values_lie_evenly_between_the_ends(self) -> None:
        colours = number(np.arange(1001))

        assert colours.range == (10, 990)
        assert codes(colours)[:11] == [FIRST_STEP] * 11
        assert codes(colours)[-11:] == [LAST_STEP] * 11
        assert codes(colours)[500] == FIRST_STEP + (STEPS - 1) // 2
        assert set(codes(colours)) == set(range(FIRST_STEP, LAST_STEP + 1))
        assert codes(colours) == sorted(codes(colours))
        assert (colours.title, colours.scale) == ("n", "sequential")
        assert (colours.missing, colours.zero, colours.n_missing, colours.legend) == (MISSING_CODE, None, 0, ())

    def test_each_code_has_its_ink(self) -> None:
        for is_expression in (False, True):
            colours = number([0, 1], is_expression=is_expression)
            scale = colour_scale("Viridis", STEPS)
            assert len(colours.ink) == LAST_STEP + 1 == 255
            assert colours.ink[MISSING_CODE] == palette.MISSING
            assert colours.ink[ZERO_CODE] == (palette.ZERO if is_expression else scale[0])
            assert colours.ink[FIRST_STEP:] == scale
            assert colours.zero == (palette.ZERO if is_expression else None)

    def test_extremes_are_clipped(self) -> None:
        colours = number([-1e6, *np.linspace(0, 1, 998), 1e6])

        assert colours.range is not None
        assert colours.range == (pytest.approx(0.01, abs=2e-3), pytest.approx(0.99, abs=2e-3))
        assert (codes(colours)[0], codes(colours)[-1]) == (FIRST_STEP, LAST_STEP)
        # A legend has to say that its ends are not those of the values.
        assert colours.clipped == (10, 10)
        assert number(np.zeros(5)).clipped == (0, 0)

    def test_values_that_are_not_finite_are_missing(self) -> None:
        colours = number([np.nan, 0, np.inf, 1, -np.inf])

        assert codes(colours) == [MISSING_CODE, FIRST_STEP, MISSING_CODE, LAST_STEP, MISSING_CODE]
        assert colours.n_missing == 3

    @pytest.mark.parametrize("is_expression", [False, True])
    def test_only_missing_values(self, is_expression: bool) -> None:
        colours = number([np.nan, np.inf], is_expression=is_expression)

        assert codes(colours) == [MISSING_CODE] * 2
        assert colours.range == (0.0, 1.0)
        assert colours.n_missing == 2

    @pytest.mark.parametrize("value", [5.0, 0.0, -3.5, 1e20, -1e20])
    def test_a_constant_column(self, value: float) -> None:
        colours = number([value, value, np.nan])

        assert codes(colours) == [FIRST_STEP, FIRST_STEP, MISSING_CODE]
        assert colours.range is not None
        assert colours.range[0] == pytest.approx(value)
        assert colours.range[1] > colours.range[0]

    def test_a_column_that_is_constant_but_for_extremes_keeps_these(self) -> None:
        colours = number([0.0] * 1000 + [7.0])

        assert colours.range == (0.0, 7.0)
        assert codes(colours)[-2:] == [FIRST_STEP, LAST_STEP]

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_any_precision_gives_the_same_codes(self, dtype: type) -> None:
        values = (np.arange(11) / 1024).astype(dtype)
        colours = colour_by_number(NumberColumn("n", values), is_expression=False)

        low, high = np.percentile(np.arange(11) / 1024, [1, 99])
        expected = np.clip((np.arange(11) / 1024 - low) / (high - low), 0, 1) * (STEPS - 1) + FIRST_STEP
        assert np.abs(np.array(codes(colours)) - expected).max() <= 0.51

    @given(
        hnp.arrays(
            np.float32,
            st.integers(1, 40),
            elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False) | st.just(np.nan),
        ),
        st.booleans(),
    )
    def test_codes_rise_with_the_values(self, values: np.ndarray, is_expression: bool) -> None:
        colours = number(values, is_expression=is_expression)
        seen = np.array(codes(colours))
        present = ~np.isnan(values)
        order = np.argsort(values[present], kind="stable")
        ranked = seen[present][order]
        if is_expression:
            zero = values[present][order] == 0
            assert set(ranked[zero]) <= {ZERO_CODE}
            ranked = ranked[~zero]

        assert set(seen[~present]) <= {MISSING_CODE}
        assert np.all(ranked >= FIRST_STEP)
        assert np.all(ranked <= LAST_STEP)
        assert np.all(np.diff(ranked) >= 0)
        assert colours.range is not None
        assert colours.range[0] < colours.range[1]


class TestExpression:
    def test_zero_is_not_seen_and_the_scale_starts_there(self) -> None:
        colours = number([0, 0.5, 1, np.nan, -0.0], is_expression=True)

        assert colours.range == (0.0, pytest.approx(0.995))
        assert codes(colours) == [ZERO_CODE, FIRST_STEP + 127, LAST_STEP, MISSING_CODE, ZERO_CODE]
        assert colours.clipped == (0, 1)

    def test_a_gene_that_is_nowhere_seen(self) -> None:
        colours = number([0, 0], is_expression=True)

        assert codes(colours) == [ZERO_CODE, ZERO_CODE]
        assert colours.range == (0.0, 1.0)

    def test_a_rare_gene_spans_the_scale(self) -> None:
        colours = number([0.0] * 1000 + [2.0, 4.0], is_expression=True)

        assert colours.range == (0.0, pytest.approx(3.98))
        assert codes(colours)[-2:] == [FIRST_STEP + 127, LAST_STEP]

    def test_negative_values_lie_at_the_start_of_the_scale(self) -> None:
        colours = number([-2, -1, 1], is_expression=True)

        assert codes(colours) == [FIRST_STEP, FIRST_STEP, LAST_STEP]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.0, 1.0, ("0", "1")), (-0.0, 1234.5, ("0", "1230")), (0.00123456, 1e6, ("0.00123", "1000000"))],
)
def test_range_text(low: float, high: float, text: tuple[str, str]) -> None:
    assert range_text(CellColours("n", None, (), range=(low, high))) == text


@pytest.mark.parametrize("name", ["Viridis", "Cividis", "RdBu_r"])
def test_a_scale_is_sampled_from_end_to_end(name: str) -> None:
    scale = colour_scale(name, STEPS)

    assert len(scale) == STEPS
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in scale)
    assert len(set(scale)) > 200


def test_the_ends_of_viridis() -> None:
    scale = colour_scale("Viridis", 3)
    assert (scale[0], scale[-1]) == ("#440154", "#fde725")
