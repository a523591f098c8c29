"""What cells are made of, against counting them one by one."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core import composition as module
from iscan_dash.core.composition import Part, composition
from iscan_dash.core.study import CategoryColumn

CELLS = st.lists(st.tuples(st.integers(-1, 3), st.booleans()), max_size=40)


@pytest.mark.parametrize("block", [3, 1 << 18])
@given(cells=CELLS)
def test_counts_are_those_of_the_cells(cells: list[tuple[int, bool]], block: int) -> None:
    codes, mask = np.array([code for code, _ in cells], np.int8), np.array([own for _, own in cells], bool)
    labels = ("b", "a", "d", "c")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        found = composition(CategoryColumn("fate", codes, labels), mask)
    inside = Counter(labels[code] for code, own in cells if own and code >= 0)
    everywhere = Counter(labels[code] for code, _ in cells if code >= 0)
    assert {part.label: part.count for part in found.parts} == dict(inside)
    assert all(part.total == everywhere[part.label] for part in found.parts)
    assert found.n_cells == int(mask.sum())
    assert found.n_missing + sum(inside.values()) == found.n_cells
    # Most cells first; of equally many, as the column has them.
    assert [(-part.count, labels.index(part.label)) for part in found.parts] == sorted(
        (-count, labels.index(label)) for label, count in inside.items()
    )
    assert found.purity == (max(inside.values()) / found.n_cells if inside else None)


def test_cells_without_a_label_do_not_agree() -> None:
    column = CategoryColumn("fate", np.array([0, 0, 0, 1, -1], np.int8), ("T", "B"))
    assert composition(column, np.ones(5, bool)).purity == 0.6
    nothing = composition(column, np.array([False, False, False, False, True]))
    assert (nothing.n_missing, nothing.parts, nothing.purity) == (1, (), None)


def test_labels_that_no_cell_has_are_left_out() -> None:
    column = CategoryColumn("fate", np.array([2, 2], np.int8), ("T", "B", "NK"))
    assert composition(column, np.array([True, False])).parts == (Part("NK", 1, 2),)
