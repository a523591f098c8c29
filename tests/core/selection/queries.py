"""Queries of any kind for Hypothesis, and names that stand for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import strategies as st

from iscan_dash.core.selection import (
    AllOf,
    AnyOf,
    Cells,
    Labels,
    Not,
    PlotAreas,
    Query,
    Range,
    Saved,
    Unfinished,
)
from iscan_dash.core.selection.query import conditions

KINDS = ("metadata", "cluster", "annotation", "sample", "gene")

words = st.one_of(
    st.sampled_from(
        [
            "leiden",
            "T",
            "3",
            "-1.5",
            "missing",
            "and",
            "Not",
            "plot",
            "in",
            "?",
            "",
            " ",
            '"',
            "\\",
            "a b",
            "{x}",
            "Plot 1",
            "gene:x",
            "ſaved",
            "a,b",
            "()",
            "CD4+ T",
            "#1",
            "\n\t",
            "β/γ",
            "from",
            "e5",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
labels = st.builds(
    Labels,
    st.sampled_from(["metadata", "cluster", "annotation"]),
    words,
    st.lists(words, max_size=4, unique=True).map(tuple),
    st.booleans(),
)
samples = st.builds(Labels, st.just("sample"), st.just(""), st.lists(words, max_size=3, unique=True).map(tuple))
ranges = st.builds(
    Range,
    st.sampled_from(["metadata", "cluster", "gene"]),
    words,
    st.none() | numbers,
    st.none() | numbers,
    st.booleans(),
)
ids = words.filter(lambda text: not set(text) & set("\t\r\n"))
cells = st.lists(st.tuples(ids, ids), max_size=60, unique=True).map(Cells.of)
leaves = st.one_of(
    labels,
    samples,
    ranges,
    cells,
    st.builds(PlotAreas, st.integers(1, 4), st.booleans()),
    st.builds(Saved, words.filter(bool)),
    st.just(Unfinished()),
)


def trees(leaf: st.SearchStrategy[Query], most: int = 12) -> st.SearchStrategy[Query]:
    """Make queries of conditions."""
    return st.recursive(
        leaf,
        lambda part: st.one_of(
            st.builds(AllOf, st.lists(part, max_size=3).map(tuple)),
            st.builds(AnyOf, st.lists(part, max_size=3).map(tuple)),
            st.builds(Not, part),
        ),
        max_leaves=most,
    )


queries = trees(leaves)


@dataclass(frozen=True)
class SomeNames:
    """Names of some things; keys and names are far from being each other's."""

    columns: Mapping[tuple[str, str], str] = field(default_factory=dict)
    saved: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Cells] = field(default_factory=dict)

    def title(self, kind: str, key: str) -> str | None:
        return self.columns.get((kind, key))

    def find(self, kind: str | None, name: str) -> tuple[str, str] | None:
        found = [own for own, title in self.columns.items() if title == name and kind in {None, own[0]}]
        return found[0] if len(found) == 1 else None

    def saved_name(self, saved_id: str) -> str | None:
        return self.saved.get(saved_id)

    def find_saved(self, name: str) -> str | None:
        return next((own for own, title in self.saved.items() if title == name), None)

    def find_cells(self, digest: str) -> Cells | None:
        return self.lists.get(digest)


@st.composite
def named_queries(draw: st.DrawFn) -> tuple[Query, SomeNames]:
    """Make a query and names of some of what it is about: others are not there any more, or share their names."""
    query = draw(queries)
    leaves = list(conditions(query))
    keys = sorted({(own.kind, own.key) for own in leaves if isinstance(own, Labels | Range)})
    there = draw(st.lists(st.sampled_from(keys), unique=True)) if keys else []
    columns = {own: draw(words) for own in there}
    ids = sorted({own.id for own in leaves if isinstance(own, Saved)})
    kept = draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
    saved = {own: draw(words) for own in kept}
    return query, SomeNames(columns, saved, {own.digest: own for own in leaves if isinstance(own, Cells)})
