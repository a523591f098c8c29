"""ULM: the t of the slope when a cell's expression is fitted by the weights of a set."""

from collections.abc import Sequence

import numpy as np

from iscan_dash.core.enrichment.sets import Inverted, MatchedSet, invert

TINY = 2.2e-16
"""Keeps t finite where the fit is perfect, as in decoupler."""


def ulm_weights(sets: Sequence[MatchedSet], n_genes: int) -> Inverted:
    """Return the weights of genes in sets."""
    return invert([own.columns for own in sets], [own.signs for own in sets], n_genes)


def slope_t(dots: np.ndarray, sums: np.ndarray, sets: Sequence[MatchedSet], n_genes: int) -> np.ndarray:
    """Return the t of each cell and set, over all genes of the matrix.

    Parameters
    ----------
    dots
        Sums of expression times weight, shape (n_cells, n_sets), float64.
    sums
        Sum of each cell's expression, and of its squares; shape (n_cells, 2), float64.
    sets, n_genes
        The sets, and how many genes the matrix has.

    Returns
    -------
    numpy.ndarray
        shape (n_cells, n_sets), float64; 0 where cell or weights do not vary.
    """
    total = np.array([own.signs.sum() for own in sets])
    squares = np.array([np.square(own.signs).sum() for own in sets])
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = dots - sums[:, :1] * total / n_genes
        varies = sums[:, 1] - sums[:, 0] ** 2 / n_genes
        spread = np.sqrt(varies[:, None] * (squares - total**2 / n_genes))
        r = np.clip(covariance / spread, -1.0, 1.0)
        t = r * np.sqrt((n_genes - 2) / ((1.0 - r + TINY) * (1.0 + r + TINY)))
    is_flat = (varies[:, None] <= 1e-12 * sums[:, 1:]) | (squares - total**2 / n_genes <= 1e-12 * squares)
    return np.where(is_flat, 0.0, t)
