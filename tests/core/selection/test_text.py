import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.selection import AllOf, AnyOf, Cells, Labels, Not, PlotAreas, Query, Range, Saved, Unfinished
from iscan_dash.core.selection.query import MAX_DEPTH, depth, simplified
from iscan_dash.core.selection.text import parse, to_text
from iscan_dash.errors import SelectionRefused
from tests.core.selection.queries import SomeNames, named_queries, words

NAMES = SomeNames(
    {
        ("cluster", "leiden"): "leiden",
        ("metadata", "n_counts"): "n_counts",
        ("annotation", "id-1"): "my labels",
        ("metadata", "twin"): "twin",
        ("annotation", "id-2"): "twin",
        ("gene", "CD3E"): "CD3E",
        ("sample", ""): "Sample",
    },
    {"s1": "my T cells"},
)
LEIDEN = Labels("cluster", "leiden", ("3", "4"))


@given(named_queries())
def test_a_query_in_words_reads_back_as_the_same_query(made: tuple[Query, SomeNames]) -> None:
    query, names = made
    if depth(simplified(query)) <= MAX_DEPTH:
        assert parse(to_text(query, names), names) == simplified(query)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (AnyOf((AllOf((PlotAreas(1), Not(PlotAreas(2)))), LEIDEN)), "(Plot 1 AND NOT Plot 2) OR leiden in {3, 4}"),
        (Not(AnyOf((PlotAreas(1), PlotAreas(2)))), "NOT (Plot 1 OR Plot 2)"),
        (PlotAreas(3, removed=True), "Plot 3 (removed)"),
        (Range("metadata", "n_counts", 200.0, 2500.5), "n_counts from 200 to 2500.5"),
        (Range("gene", "CD3E", 1.5, None, missing=True), "gene:CD3E >= 1.5 or missing"),
        (Range("metadata", "n_counts", None, 1e300), "n_counts <= 1e+300"),
        (Range("metadata", "n_counts"), "n_counts is present"),
        (Not(Labels("annotation", "id-1", ("T, CD4+", "missing"), True)), '"my labels" not in {"T, CD4+", "missing", missing}'),
        (Labels("annotation", "id-2", ("a",)), "annotation:twin in {a}"),
        (Labels("annotation", "gone", ("a",)), "annotation:#gone in {a}"),
        (Labels("sample", "", ("donor 1",)), 'Sample in {"donor 1"}'),
        (Cells.of([("", "AAAC-1"), ("s 1", "AAAC-1")]), 'cell in {AAAC-1, "s 1"/AAAC-1}'),
        (Saved("s1"), 'saved "my T cells"'),
        (Saved("gone"), "saved #gone"),
        (Unfinished(), "?"),
        (AllOf(()), "()"),
    ],
)  # fmt: skip
def test_what_queries_are_in_words(query: Query, text: str) -> None:
    assert to_text(query, NAMES) == text
    assert parse(text, NAMES) == query


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", None),
        ("  \n ", None),
        ("plot 1 or plot 2 and plot 3", AnyOf((PlotAreas(1), AllOf((PlotAreas(2), PlotAreas(3)))))),
        ("not not plot 1", PlotAreas(1)),
        ("((((plot 1))))", PlotAreas(1)),
        ("leiden is missing", Labels("cluster", "leiden", (), missing=True)),
        ("leiden is not missing", Not(Labels("cluster", "leiden", (), missing=True))),
        ("n_counts>=-1.5e3", Range("metadata", "n_counts", -1500.0)),
        ("CD3E<=.5", None),
        ("metadata:n_counts is present OR missing", Range("metadata", "n_counts", missing=True)),
        ("n_counts >= 1 OR plot 1", AnyOf((Range("metadata", "n_counts", 1.0), PlotAreas(1)))),
        ("Cell IN{a/b,c}", Cells.of([("a", "b"), ("", "c")])),
    ],
)
def test_words_that_people_may_type(text: str, query: Query | None) -> None:
    if text.startswith("CD3E"):
        query = Range("gene", "CD3E", None, 0.5)
    assert parse(text, NAMES) == query


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("(", 1),
        ("plot", 4),
        ("plot 5", 5),
        ("plot 1 plot 2", 7),
        ("plot 1 and", 10),
        ("leiden", 6),
        ("leiden in", 9),
        ("leiden in {3", 12),
        ("leiden in {3 4}", 13),
        ("leiden in {,}", 11),
        ("nothing in {3}", 0),
        ("twin in {3}", 0),
        ("n_counts from 1", 15),
        ("n_counts >= nan", 12),
        ("n_counts >= 1e999", 12),
        ("n_counts >= 1_0", 12),
        ('saved "x"', 6),
        ("cell in list #00", 13),
        ("plot 1 & plot 2", 7),
        (r'cell in {"a\tb"}', 9),
        (r'cell in {b/"a\nb"}', 9),
        ('leiden in {"3}', 11),
        (r'leiden in {"\x"}', 11),
        ("missing in {3}", 0),
        ("(" * 100 + "plot 1" + ")" * 100, 41),
        ("(?)" * 2, 3),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, position: int) -> None:
    with pytest.raises(SelectionRefused, match=f"^Character {position + 1}: ") as refused:
        parse(text, NAMES)
    assert refused.value.position == position


def test_a_text_that_is_too_deep_or_too_long_is_refused() -> None:
    deep = "plot 1"
    for _ in range(4):
        deep = f"plot 1 and (plot 2 or ({deep}))"
    with pytest.raises(SelectionRefused, match="6 deep"):
        parse(deep, NAMES)
    with pytest.raises(SelectionRefused, match="200,000 characters"):
        parse(" " * 200_001, NAMES)
    with pytest.raises(SelectionRefused, match="200 conditions"):
        parse(" or ".join(["plot 1"] * 201), NAMES)


signs = st.sampled_from(["(", ")", "{", "}", ",", "/", "#", "?", ":", ">=", "and", "OR", "not", "in", "is", "plot", "1", "leiden", "saved", "cell", "list", '"', "\\", " "])  # fmt: skip


@given(st.lists(signs | words, max_size=30).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        query = parse(text, NAMES)
    except SelectionRefused:
        return
    if query is not None:
        lists = SomeNames(NAMES.columns, NAMES.saved)
        assert parse(to_text(query, lists), lists) == query
