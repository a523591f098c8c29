"""An area drawn on a plot: shapes one over the other, in the coordinates of the plot's axes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from iscan_dash.core.selection.polygon import inside

MOST_POINTS = 400
"""Vertices of one shape: as many as the page keeps of a line drawn by hand."""


@dataclass(frozen=True)
class Shape:
    """A closed outline.

    Parameters
    ----------
    points
        Its vertices; the last is joined to the first.
    adds
        Whether its cells are taken into the area, rather than out of it.
    """

    points: tuple[tuple[float, float], ...]
    adds: bool = True

    @cached_property
    def vertices(self) -> np.ndarray:
        """The vertices, shape (k, 2), float64."""
        return np.array(self.points, np.float64).reshape(-1, 2)

    def mask(self, xy: np.ndarray) -> np.ndarray:
        """Tell which cells lie within the outline.

        Parameters
        ----------
        xy
            Positions of the cells, shape (2, n_cells), float32.
        """
        return inside(xy[0], xy[1], self.vertices)


@dataclass(frozen=True)
class Area:
    """An area of a plot.

    Parameters
    ----------
    id
        Tells areas apart.
    plot
        Number of the plot, 1 to 4.
    axes
        What the plot showed, as `core.study.axes` names it.
    name
        What the user calls it.
    shapes
        The first takes cells in; each later one takes more in, or some out.
    inverted
        Whether all other cells are meant, those without a position among them.
    """

    id: str
    plot: int
    axes: str
    name: str
    shapes: tuple[Shape, ...]
    inverted: bool = False

    def mask(self, mask_of: Callable[[Shape], np.ndarray]) -> np.ndarray:
        """Tell which cells are in the area, given those within each of its shapes."""
        found = np.zeros_like(mask_of(self.shapes[0]))
        for shape in self.shapes:
            within = mask_of(shape)
            found = found | within if shape.adds else found & ~within
        return ~found if self.inverted else found

    def without(self, points: tuple[tuple[float, float], ...]) -> "Area":
        """Return the area with the cells within an outline taken out of it."""
        # What is taken out of all other cells is one of the cells that are left out.
        return replace(self, shapes=(*self.shapes, Shape(points, adds=self.inverted)))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        shapes = [{"points": [list(point) for point in shape.points], "adds": shape.adds} for shape in self.shapes]
        return {
            "id": self.id,
            "plot": self.plot,
            "axes": self.axes,
            "name": self.name,
            "shapes": shapes,
            "inverted": self.inverted,
        }
