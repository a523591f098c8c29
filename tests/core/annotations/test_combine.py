from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.annotations import combine
from iscan_dash.core.annotations.combine import Combined, CombineRecipe, MissingParts, combine_columns
from iscan_dash.core.study.columns import CategoryColumn, code_type
from iscan_dash.errors import NameRefused


def column(values: list[str | None], name: str = "c") -> CategoryColumn:
    labels = sorted({value for value in values if value is not None})
    codes = np.array([labels.index(value) if value is not None else -1 for value in values], code_type(len(labels)))
    return CategoryColumn(name, codes, tuple(labels))


def texts(combined: Combined) -> list[str]:
    return [combined.labels[code] for code in combined.codes.tolist()]


def warnings(combined: Combined) -> dict[str, str]:
    assert len(dict(combined.warnings)) == len(combined.warnings)
    return dict(combined.warnings)


def naive(values: list[str | None], recipe: CombineRecipe) -> str:
    """Combine the values of one cell, the way the rules say it."""
    if all(value is None for value in values):
        return recipe.default
    if recipe.missing == "whole_label" and None in values:
        return recipe.default
    if recipe.missing == "leave_out":
        return recipe.delimiter.join(value for value in values if value is not None)
    return recipe.delimiter.join(recipe.default if value is None else value for value in values)


@pytest.fixture(params=[4_000_000, 0], ids=["table", "sorting"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count combinations through a table, or by sorting."""
    monkeypatch.setattr(combine, "TABLE_LIMIT", request.param)


VALUES = st.one_of(st.none(), st.sampled_from(["1", "11", "a", "A", "a_a", " a", "Unassigned", "1_1"]))


@pytest.mark.usefixtures("_way")
@given(
    rows=st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(VALUES, min_size=n, max_size=n), min_size=1, max_size=15)
    ),
    missing=st.sampled_from(MissingParts),
    delimiter=st.sampled_from(["_", "", " / ", "1", "-+-+-+-+"]),
    default=st.sampled_from(["Unassigned", "a", "None of them"]),
)
def test_each_cell_gets_the_label_that_the_rules_say(
    rows: list[list[str | None]], missing: MissingParts, delimiter: str, default: str
) -> None:
    recipe = CombineRecipe(default, delimiter, missing)
    combined = combine_columns([column(list(values)) for values in zip(*rows, strict=True)], len(rows), recipe)
    expected = [naive(values, recipe) for values in rows]

    assert texts(combined) == expected
    assert combined.codes.dtype == np.int32
    assert combined.labels[0] == default
    assert len(set(combined.labels)) == len(combined.labels)
    assert set(combined.labels) == {default, *expected}
    assert combined.n_default == expected.count(default)
    assert dict(combined.counts) == {label: expected.count(label) for label in set(expected)}
    numbers = [number for _, number in combined.counts]
    assert numbers == sorted(numbers, reverse=True)
    check_warnings(combined, rows, recipe, expected)


def check_warnings(
    combined: Combined, rows: list[list[str | None]], recipe: CombineRecipe, expected: list[str]
) -> None:
    """See that W1, W3, W4 and W5 come exactly when a plain count says so."""
    by_text: dict[str, set[tuple[str | None, ...]]] = {}
    for values, text in zip(rows, expected, strict=True):
        if recipe.missing == "leave_out" or None not in values:
            by_text.setdefault(text, set()).add(tuple(values))
    n_merged = sum(len(alike) for alike in by_text.values() if len(alike) > 1)
    columns = [set(values) - {None} for values in zip(*rows, strict=True)]
    n_twins = sum(len({value.strip().lower() for value in values if value}) < len(values) for values in columns)
    codes = [code for code, _ in combined.warnings]
    n_own = sum(None not in row and label == recipe.default for row, label in zip(rows, expected, strict=True))
    first = dict(combined.warnings).get("W1", "")

    assert codes == ["W1"] * (n_merged > 0) + ["W3"] * (set(expected) == {recipe.default}) + ["W4"] * n_twins + [
        "W5"
    ] * (n_own > 0)
    if n_merged:
        assert f" {n_merged} different combinations become the same label, e.g. " in first


@given(
    rows=st.lists(st.tuples(VALUES, VALUES, st.booleans()), min_size=1, max_size=15),
    missing=st.sampled_from(MissingParts),
)
def test_cells_that_are_not_chosen_get_the_default(
    rows: list[tuple[str | None, str | None, bool]], missing: MissingParts
) -> None:
    recipe = CombineRecipe("none", "_", missing)
    columns = [column([row[place] for row in rows]) for place in (0, 1)]
    chosen = np.array([row[2] for row in rows])
    combined = combine_columns(columns, len(rows), recipe, chosen)
    expected = [naive(list(row[:2]), recipe) if row[2] else "none" for row in rows]
    assert texts(combined) == expected
    # No labels and no warnings of cells that are not meant.
    assert set(combined.labels) == {"none", *expected}
    meant = [list(row[:2]) for row in rows if row[2]]
    if meant:
        alone = combine_columns([column(list(values)) for values in zip(*meant, strict=True)], len(meant), recipe)
        # Two columns may each have such twins.
        assert {code for code, _ in combined.warnings} - {"W4"} == {code for code, _ in alone.warnings} - {"W4"}


def test_no_source_gives_every_cell_the_default() -> None:
    combined = combine_columns([], 3, CombineRecipe("Unassigned"))

    assert combined.labels == ("Unassigned",)
    assert combined.codes.tolist() == [0, 0, 0]
    assert combined.counts == [("Unassigned", 3)]
    assert combined.warnings == ()


def test_labels_follow_the_order_of_the_columns() -> None:
    first = CategoryColumn("first", np.array([2, 0, 1, 0]), ("z", "y", "x"))
    second = CategoryColumn("second", np.array([0, 1, 0, 0]), ("2", "10"))

    combined = combine_columns([first, second], 4, CombineRecipe("Unassigned"))
    assert combined.labels == ("Unassigned", "z_2", "z_10", "y_2", "x_2")
    assert combined.codes.tolist() == [4, 2, 3, 1]


def test_tabs_and_line_breaks_of_values_become_spaces() -> None:
    combined = combine_columns([column(["a\tb", "c\r\nd"])], 2, CombineRecipe("Unassigned"))
    assert texts(combined) == ["a b", "c d"]


def test_unused_levels_make_no_labels() -> None:
    unused = CategoryColumn("c", np.array([1, 1]), ("a", "b", "c"))
    assert combine_columns([unused], 2, CombineRecipe("Unassigned")).labels == ("Unassigned", "b")


@pytest.mark.usefixtures("_way")
def test_columns_of_very_many_labels_do_not_overflow() -> None:
    n_cells = 3000
    rng = np.random.default_rng(0)
    columns = [
        CategoryColumn(
            f"c{place}", rng.permutation(n_cells).astype(np.int32), tuple(f"{row}" for row in range(n_cells))
        )
        for place in range(7)
    ]
    # The key of seven columns taken at once would need 3000^7 > 2^63 numbers.
    combined = combine_columns(columns, n_cells, CombineRecipe("Unassigned"))

    assert texts(combined) == ["_".join(str(one.codes[row]) for one in columns) for row in range(n_cells)]
    assert warnings(combined) == {"W2": "3,000 labels exceed 1,000. Allowed, but colours are grouped."}


def test_a_column_of_more_labels_than_cells() -> None:
    labels = tuple(f"level {number}" for number in range(40_000))
    wide = CategoryColumn("c", np.array([39_999, 32_768, -1], np.int32), labels)
    combined = combine_columns([wide, wide], 3, CombineRecipe("Unassigned", missing=MissingParts.WHOLE_LABEL))

    assert texts(combined) == ["level 39999_level 39999", "level 32768_level 32768", "Unassigned"]


@pytest.mark.parametrize(
    ("rows", "delimiter", "missing", "sentence"),
    [
        (
            [["1", "11"], ["11", "1"]],
            "",
            MissingParts.DEFAULT_PART,
            'With no delimiter 2 different combinations become the same label, e.g. "1"+"11" and "11"+"1".',
        ),
        (
            [["a_b", "c"], ["a", "b_c"], ["a", "b"]],
            "_",
            MissingParts.DEFAULT_PART,
            'As "_" occurs in values, 2 different combinations become the same label, e.g. "a"+"b_c" and "a_b"+"c".',
        ),
        (
            [["a", None], [None, "a"], ["b", None]],
            "_",
            MissingParts.LEAVE_OUT,
            'With missing parts left out, 2 different combinations become the same label, e.g. missing+"a" and '
            '"a"+missing.',
        ),
        (
            [["1", "11", "2"], ["11", "1", "2"], ["1", "1", "12"], ["1", "11", "2"]],
            "",
            MissingParts.DEFAULT_PART,
            'With no delimiter 3 different combinations become the same label, e.g. "1"+"1"+"12" and "1"+"11"+"2".',
        ),
    ],
)
def test_w1_different_values_that_read_the_same(
    rows: list[list[str | None]], delimiter: str, missing: MissingParts, sentence: str
) -> None:
    columns = [column(list(values)) for values in zip(*rows, strict=True)]
    combined = combine_columns(columns, len(rows), CombineRecipe("Unassigned", delimiter, missing))

    assert warnings(combined) == {"W1": sentence}


@pytest.mark.parametrize(
    ("rows", "delimiter"), [([["1", "11"], ["1", "1"]], ""), ([["a_b", "c"], ["a", "b"]], "_"), ([["a", "b"]] * 3, "_")]
)
def test_no_w1_while_all_labels_differ(rows: list[list[str | None]], delimiter: str) -> None:
    columns = [column(list(values)) for values in zip(*rows, strict=True)]
    assert combine_columns(columns, len(rows), CombineRecipe("Unassigned", delimiter)).warnings == ()


@pytest.mark.parametrize(
    ("values", "max_items", "sentence"),
    [
        (["a", "b", "c"], 3, None),
        (["a", "b", "c"], 2, "3 labels exceed 2. Allowed, but colours are grouped."),
        (["a", "b", None], 2, "3 labels exceed 2. Allowed, but colours are grouped."),
        (["a", "b", None], 3, None),
    ],
)
def test_w2_more_labels_than_colours(values: list[str | None], max_items: int, sentence: str | None) -> None:
    combined = combine_columns([column(values)], 3, CombineRecipe("Unassigned", max_items=max_items))
    assert warnings(combined) == ({"W2": sentence} if sentence else {})


@pytest.mark.parametrize("missing", MissingParts)
def test_w3_every_cell_by_default(missing: MissingParts) -> None:
    nothing = column([None, None])
    combined = combine_columns([nothing, nothing], 2, CombineRecipe("Unassigned", missing=missing))

    assert texts(combined) == ["Unassigned", "Unassigned"]
    assert warnings(combined) == {"W3": "Every cell gets the default value."}


def test_w4_labels_that_differ_by_case_or_spaces_are_kept_apart() -> None:
    twins = column(["T cell", "t cell ", "B", "T cell"], "fate")
    combined = combine_columns([twins], 4, CombineRecipe("Unassigned"))

    assert texts(combined) == ["T cell", "t cell ", "B", "T cell"]
    assert warnings(combined) == {
        "W4": 'fate: "T cell" and "t cell " differ only by case or spaces; they are kept apart.'
    }


def test_a_label_may_have_128_characters() -> None:
    columns = [column(["x" * 63]), column(["y" * 64])]
    assert texts(combine_columns(columns, 1, CombineRecipe("Unassigned"))) == ["x" * 63 + "_" + "y" * 64]


def test_e07_a_label_that_gets_too_long() -> None:
    columns = [column(["x" * 64]), column(["y" * 64])]
    with pytest.raises(NameRefused) as refused:
        combine_columns(columns, 1, CombineRecipe("Unassigned"))
    assert refused.value.code == "E07"
    assert str(refused.value) == "Combined labels get 129 characters long; the limit is 128. Choose fewer sources."


def test_the_recipe_as_plain_values() -> None:
    expected: dict[str, Any] = {"default": "x", "delimiter": "-", "missing": "leave_out"}
    assert CombineRecipe("x", "-", MissingParts.LEAVE_OUT).to_json() == expected


def test_own_values_equal_to_the_default_are_counted() -> None:
    column = CategoryColumn("fate", np.array([0, 1, -1, 1], np.int8), ("B", "Unassigned"))
    combined = combine_columns([column], 4, CombineRecipe("Unassigned"))
    assert combined.n_default == 3
    assert combined.warnings == (("W5", '2 cells have "Unassigned" as their own value; they are counted as default.'),)
