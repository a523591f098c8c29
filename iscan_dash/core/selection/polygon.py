"""Which points lie in a polygon: by the even-odd rule, edges and vertices included."""

import numpy as np

from iscan_dash.errors import SelectionRefused

GRID = 256
"""Bins on each side of the grid over a polygon."""

CHUNK = 1 << 18
"""Points that are looked at together; what they need fits the processor's cache."""

FEW = 4096
"""Points for which the grid is more work than it saves."""

MOST_TESTS = 200_000_000
"""Points held against edges, some two seconds; a line drawn by hand round five million cells needs a tenth of it."""


def inside(x: np.ndarray, y: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Tell which points lie in a polygon.

    For a point p and each edge from a to b, in double precision and in this order of operations, ::

        cross = (bx - ax) * (py - ay) - (by - ay) * (px - ax)

    The point is on the edge when `cross` is 0 and p lies in the box around a and b; then it is in. Otherwise the edge
    passes to the right of it when ``(ay > py) != (by > py)`` and ``(cross > 0) == (by > ay)``; the point is in when an
    odd number of edges do. The page's script has the same lines, so that both agree on every cell.

    Most points are decided by a grid over the polygon: a bin that no edge comes near lies in or out as a whole.

    Parameters
    ----------
    x, y
        The points, shape (n,), floating; a point with NaN or infinity is never in.
    vertices
        shape (k, 2), float64, finite; the last is joined to the first. Fewer than three enclose nothing.

    Returns
    -------
    numpy.ndarray
        shape (n,), bool.

    Raises
    ------
    SelectionRefused
        So many edges lie over so many points that it would take minutes.

    Examples
    --------
    >>> square = np.array([[0.0, 0.0], [2, 0], [2, 2], [0, 2]])
    >>> inside(np.array([1.0, 2, 3, np.nan]), np.array([1.0, 2, 1, 1]), square).tolist()
    [True, True, False, False]
    """
    found = np.zeros(len(x), bool)
    if len(vertices) < 3 or not len(x):
        return found
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    # Wider than the polygon: whatever may be near an edge is looked at exactly.
    margin = (high - low) / 64 + np.maximum(np.abs(low), np.abs(high)) * 1e-9
    low, high = low - margin, high + margin
    bins = _classify(vertices, low, high) if len(x) > FEW and np.all(high - low > 0) else None
    n_tests = 0
    for start in range(0, len(x), CHUNK):
        px, py = (axis[start : start + CHUNK].astype(np.float64) for axis in (x, y))
        near = np.flatnonzero((px >= low[0]) & (px <= high[0]) & (py >= low[1]) & (py <= high[1]))
        if not len(near):
            continue
        own = found[start : start + CHUNK]
        px, py = px[near], py[near]
        if bins is not None:
            scale = GRID / (high - low)
            column = np.minimum(((px - low[0]) * scale[0]).astype(np.int32), GRID - 1)
            row = np.minimum(((py - low[1]) * scale[1]).astype(np.int32), GRID - 1)
            kind = bins[row * GRID + column]
            own[near[kind == _IN]] = True
            doubtful = np.flatnonzero(kind == _DOUBTFUL)
            near, px, py = near[doubtful], px[doubtful], py[doubtful]
        order = np.argsort(py)
        spans = _spans(py[order], vertices)
        n_tests += int((spans[1] - spans[0]).sum())
        if n_tests > MOST_TESTS:
            raise SelectionRefused("This outline goes to and fro over too many cells. Draw a simpler one.")
        own[near[order]] = _exactly(px[order], py[order], vertices, spans)
    return found


_OUT, _IN, _DOUBTFUL = 0, 1, 2


def _spans(py: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each edge, the first and the end of the points (the lowest first) between its ends' heights."""
    ends = np.roll(vertices, -1, axis=0)
    first = np.searchsorted(py, np.minimum(vertices[:, 1], ends[:, 1]), "left")
    return first, np.searchsorted(py, np.maximum(vertices[:, 1], ends[:, 1]), "right")


def _exactly(px: np.ndarray, py: np.ndarray, vertices: np.ndarray, spans: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Tell which points, the lowest first, are in: edge by edge, each held only against its `_spans`."""
    odd, touched = np.zeros(len(px), bool), np.zeros(len(px), bool)
    ends = np.roll(vertices, -1, axis=0)
    edges = zip(vertices.tolist(), ends.tolist(), spans[0].tolist(), spans[1].tolist(), strict=True)
    for (ax, ay), (bx, by), start, end in edges:
        if start == end:
            continue
        qx, qy = px[start:end], py[start:end]
        cross = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax)
        touched[start:end] |= (cross == 0) & (qx >= min(ax, bx)) & (qx <= max(ax, bx))
        odd[start:end] ^= ((ay > qy) != (by > qy)) & ((cross > 0) == (by > ay))
    return odd | touched


def _classify(vertices: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Tell which bins lie in or out as a whole, and which an edge comes near; shape (GRID * GRID,), rows of equal y."""
    a = (vertices - low) * (GRID / (high - low))
    b = np.roll(a, -1, axis=0)
    up = np.where((a[:, 1] > b[:, 1])[:, None], np.hstack([b, a]), np.hstack([a, b]))
    x0, y0, x1, y1 = up.T
    # Each edge once for each row of bins that it comes near.
    bottom = np.clip(np.floor(y0).astype(np.int64) - 1, 0, GRID - 1)
    n_rows = np.clip(np.floor(y1).astype(np.int64) + 1, 0, GRID - 1) - bottom + 1
    edge = np.repeat(np.arange(len(a)), n_rows)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows) + bottom[edge]
    rise = np.where(y1 > y0, y1 - y0, 1.0)
    slope = np.where(y1 > y0, (x1 - x0) / rise, 0.0)

    def at(height: np.ndarray) -> np.ndarray:
        reached: np.ndarray = x0[edge] + (np.clip(height, y0[edge], y1[edge]) - y0[edge]) * slope[edge]
        return reached

    is_flat = (y1 <= y0)[edge]
    ends = np.stack([at(row - 1.0), np.where(is_flat, x1[edge], at(row + 2.0))])
    left = np.clip(np.floor(ends.min(axis=0)).astype(np.int64) - 1, 0, GRID - 1)
    right = np.clip(np.floor(ends.max(axis=0)).astype(np.int64) + 1, 0, GRID - 1)
    near = np.zeros((GRID, GRID + 1), np.int32)
    np.add.at(near, (row, left), 1)
    np.add.at(near, (row, right + 1), -1)
    # Bins that no edge is near are told by their middle: how many edges pass to the right of it.
    middle = row + 0.5
    crosses = (y0[edge] > middle) != (y1[edge] > middle)
    reached = np.clip(np.ceil(at(middle) - 0.5).astype(np.int64), 0, GRID)[crosses]
    passed = np.zeros((GRID, GRID + 1), np.int32)
    np.add.at(passed, (row[crosses], reached), 1)
    n_right = passed[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    is_near = near.cumsum(axis=1)[:, :GRID] > 0
    kinds: np.ndarray = np.where(is_near, _DOUBTFUL, n_right % 2).astype(np.uint8)
    return kinds.ravel()
