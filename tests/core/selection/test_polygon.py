"""Which points lie in a polygon: held against the rule point by point, and against Matplotlib."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path

from iscan_dash.core.selection import polygon
from iscan_dash.core.selection.polygon import inside
from iscan_dash.errors import SelectionRefused

RANDOM = np.random.default_rng(0)


def is_inside(px: float, py: float, vertices: np.ndarray) -> bool:
    """Say the rule for one point."""
    odd = False
    for (ax, ay), (bx, by) in zip(vertices.tolist(), np.roll(vertices, -1, axis=0).tolist(), strict=True):
        cross = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
        if cross == 0 and min(ax, bx) <= px <= max(ax, bx) and min(ay, by) <= py <= max(ay, by):
            return True
        odd ^= (ay > py) != (by > py) and (cross > 0) == (by > ay)
    return odd


def by_hand(x: np.ndarray, y: np.ndarray, vertices: np.ndarray) -> list[bool]:
    return [is_inside(px, py, vertices) for px, py in zip(x.tolist(), y.tolist(), strict=True)]


coarse = st.integers(-4, 4).map(lambda value: value / 2)
fine = st.floats(-3, 3, width=32)


@pytest.mark.parametrize("few", [0, 10**9], ids=["by bins", "edge by edge"])
@given(
    vertices=st.lists(st.tuples(coarse, coarse), min_size=3, max_size=9)
    | st.lists(st.tuples(fine, fine), min_size=3, max_size=9),
    points=st.lists(st.tuples(coarse, coarse) | st.tuples(fine, fine), max_size=60),
)
def test_the_rule_holds_for_every_point(
    few: int, vertices: list[tuple[float, float]], points: list[tuple[float, float]]
) -> None:
    outline = np.array(vertices)
    # Vertices and the middles of edges are on the outline, and thereby in.
    points = [*points, *vertices]
    x, y = np.array(points, np.float32).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polygon, "FEW", few)
        assert inside(x, y, outline).tolist() == by_hand(x, y, outline)


def crossing(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2))


def lasso(n: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, n))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * random.uniform(0.5, 2, (n, 1))


@pytest.mark.parametrize(
    "vertices",
    [*(crossing(n, n) for n in (3, 4, 7, 40, 300)), *(lasso(n, n) for n in (3, 9, 41, 2000))],
    ids=lambda vertices: f"{len(vertices)} corners",
)
def test_many_points_agree_with_matplotlib(vertices: np.ndarray) -> None:
    xy = RANDOM.normal(size=(2, 300_000)).astype(np.float32)
    found = inside(xy[0], xy[1], vertices)
    expected = Path(np.vstack([vertices, vertices[:1]])).contains_points(xy.T.astype(np.float64))
    differs = np.flatnonzero(found != expected)
    # Matplotlib says nothing certain of points on an edge.
    assert all(distance_to_edges(xy[:, row].astype(np.float64), vertices) < 1e-6 for row in differs)
    assert 0 < found.sum() < len(found)


def distance_to_edges(point: np.ndarray, vertices: np.ndarray) -> float:
    a, b = vertices, np.roll(vertices, -1, axis=0)
    along = np.clip(((point - a) * (b - a)).sum(1) / np.maximum(((b - a) ** 2).sum(1), 1e-300), 0, 1)
    return float(np.hypot(*(point - (a + along[:, None] * (b - a))).T).min())


def test_edges_without_end_over_points_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    xy = RANDOM.uniform(size=(2, 300_000)).astype(np.float32)
    zigzag = np.array([[number / 399, number % 2] for number in range(400)], float)
    monkeypatch.setattr(polygon, "MOST_TESTS", 3_000_000)
    with pytest.raises(SelectionRefused, match="simpler"):
        inside(xy[0], xy[1], zigzag)
    # What a hand draws is nowhere near it.
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    assert inside(xy[0], xy[1], np.stack([np.cos(angle), np.sin(angle)], axis=1) / 4 + 0.5).any()


def test_a_point_does_not_depend_on_the_others() -> None:
    vertices = crossing(30, 1)
    xy = RANDOM.normal(size=(2, polygon.CHUNK + 5000)).astype(np.float32)
    whole = inside(xy[0], xy[1], vertices)
    for start in (0, polygon.CHUNK - 50, polygon.CHUNK + 4000):
        own = slice(start, start + 100)
        np.testing.assert_array_equal(inside(xy[0, own], xy[1, own], vertices), whole[own])
        assert whole[own].tolist() == by_hand(xy[0, own], xy[1, own], vertices)


@pytest.mark.parametrize("turn", [1, -1], ids=["anticlockwise", "clockwise"])
def test_edges_and_corners_are_in(turn: int) -> None:
    square = np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])[::turn]
    x, y = (axis.ravel().astype(np.float32) for axis in np.meshgrid(np.arange(-1, 4), np.arange(-1, 4)))
    assert inside(x, y, square).tolist() == [0 <= px <= 2 and 0 <= py <= 2 for px, py in zip(x, y, strict=True)]


def test_what_is_enclosed_twice_is_out_but_for_its_edges() -> None:
    star = np.array([[0, 3], [1.8, -2.4], [-2.9, 0.9], [2.9, 0.9], [-1.8, -2.4]])
    x, y = np.array([[0, 0], [0, 2], [0, 0.9], [0, -1.2]], np.float32).T
    assert inside(x, y, star).tolist()[:2] == [False, True]
    # Twice around the same square takes everything out again but the edge itself.
    twice = np.tile([[0.0, 0], [2, 0], [2, 2], [0, 2]], (2, 1))
    assert inside(np.array([1.0, 2, 3]), np.array([1.0, 1, 1]), twice).tolist() == [False, True, False]


def test_cells_without_a_position_are_never_in() -> None:
    square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    values = [0, np.nan, np.inf, -np.inf]
    x, y = (axis.ravel().astype(np.float32) for axis in np.meshgrid(values, values))
    for points in (1, 1000):
        found = inside(np.tile(x, points), np.tile(y, points), square)
        assert found.reshape(points, -1).sum(axis=1).tolist() == [1] * points
        assert found[0]


@pytest.mark.parametrize(
    "vertices",
    [[], [[0, 0]], [[0, 0], [1, 1]], [[5, 5]] * 3],
    ids=["nothing", "a point", "a line", "a point thrice"],
)
def test_fewer_than_three_corners_enclose_nothing(vertices: list[list[float]]) -> None:
    x = y = np.zeros(5000, np.float32)
    assert not inside(x, y, np.array(vertices, np.float64).reshape(-1, 2)).any()


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1, 1e6, 1e30])
@pytest.mark.parametrize("shift", [0, 1e6])
def test_outlines_of_any_size(scale: float, shift: float) -> None:
    outline = (lasso(41, 3) + shift) * scale
    xy = (RANDOM.normal(size=(2, 20_000)) + shift).astype(np.float32) * np.float32(scale)
    sample = RANDOM.choice(20_000, 300, replace=False)
    found = inside(xy[0], xy[1], outline)
    assert found[sample].tolist() == by_hand(xy[0, sample], xy[1, sample], outline)


def test_outlines_as_thin_as_lines() -> None:
    x = RANDOM.integers(-3, 4, 10_000).astype(np.float32)
    y = RANDOM.integers(-3, 4, 10_000).astype(np.float32)
    for outline in ([[-2, 0], [2, 0], [0, 0]], [[0, -2], [0, 2], [0, 1]], [[-2, -2], [2, 2], [1, 1]], [[0, 0]] * 4):
        vertices = np.array(outline, np.float64)
        assert inside(x, y, vertices).tolist() == by_hand(x, y, vertices)
