"""What differs between two states of an annotation."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.annotations import Annotation, Header, Label
from iscan_dash.core.annotations.compare import Moved, compare

LABELS = tuple(Label(number, text, f"#00000{number}") for number, text in enumerate(["none", "T", "B", "NK"]))
HEADER = Header("fate", LABELS, "ada", "2026-01-01T00:00:00+00:00", "empty")


def state(codes: list[int], header: Header = HEADER) -> Annotation:
    return Annotation("a", header, np.array(codes, np.int32), 1, "")


def test_cells_by_their_labels_most_first() -> None:
    found = compare(state([0, 0, 0, 1, 2]), state([1, 1, 2, 1, 3]))
    assert found.moved[0] == Moved("none", "T", 2)
    assert set(found.moved[1:]) == {Moved("none", "B", 1), Moved("B", "NK", 1)}
    assert found.n_cells == 4
    assert found.changes == ()


def test_a_renamed_label_moves_no_cell() -> None:
    renamed = HEADER.with_label(replace(LABELS[1], text="T cell"))
    found = compare(state([1, 1]), state([1, 1], renamed))
    assert found.moved == ()
    assert found.changes == ('Label "T cell" was called "T".',)


def test_all_that_is_not_a_cell() -> None:
    now = replace(
        HEADER,
        name="lineage",
        description="new",
        labels=(LABELS[0], replace(LABELS[1], colour="#ffffff"), LABELS[2], Label(4, "DC", "#123456")),
    )
    assert compare(state([0]), state([0], now)).changes == (
        'It was called "fate".',
        "It had no description.",
        'Label "T" had another colour.',
        'Label "DC" is new.',
        'Label "NK" is gone.',
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_counts_are_those_of_a_loop(pairs: list[tuple[int, int]]) -> None:
    found = compare(state([old for old, _ in pairs]), state([new for _, new in pairs]))
    wanted: dict[tuple[str, str], int] = {}
    for old, new in pairs:
        if old != new:
            key = (LABELS[old].text, LABELS[new].text)
            wanted[key] = wanted.get(key, 0) + 1
    assert {(moved.before, moved.after): moved.n_cells for moved in found.moved} == wanted
    counts = [moved.n_cells for moved in found.moved]
    assert counts == sorted(counts, reverse=True)
