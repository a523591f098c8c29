"""Module scores: the control genes that a set's mean is compared with.

The choice is that of Scanpy's ``score_genes`` with its defaults, down to the random generator, so that the scores are
the same: genes are put into bins by their mean over the cells, and from each bin that has a gene of the set some
genes are drawn.
"""

from collections.abc import Sequence

import numpy as np

from iscan_dash.core.enrichment.sets import Inverted, MatchedSet, invert

N_BINS = 25
N_CONTROLS = 50
"""Genes drawn from each bin."""


def bins_of(means: np.ndarray) -> np.ndarray:
    """Return the bin of each gene by its mean; shape (n_genes,), float64.

    Examples
    --------
    >>> bins_of(np.arange(48.0))[[0, 1, 47]].tolist()
    [0.0, 1.0, 24.0]
    """
    each = max(1, round(len(means) / (N_BINS - 1)))
    ranks = np.searchsorted(np.sort(means), means) + 1.0
    bins: np.ndarray = ranks // each
    return bins


def choose_controls(bins: np.ndarray, columns: np.ndarray, seed: int) -> np.ndarray:
    """Draw the control genes of a set.

    Parameters
    ----------
    bins
        The bin of each gene.
    columns
        The set's genes.
    seed
        Seed of the draw; each set is drawn on its own, so its score does not depend on other sets.

    Returns
    -------
    numpy.ndarray
        Their columns, ascending, int64; may be empty.
    """
    # Scanpy draws with NumPy's old generator.
    generator = np.random.RandomState(seed)
    drawn = [np.zeros(0, np.int64)]
    for own in np.unique(bins[columns]):
        genes = np.flatnonzero(bins == own)
        if len(genes) > N_CONTROLS:
            genes = genes[generator.choice(len(genes), N_CONTROLS, replace=False)]
        drawn.append(genes)
    controls: np.ndarray = np.setdiff1d(np.concatenate(drawn), columns)
    return controls


def module_weights(sets: Sequence[MatchedSet], means: np.ndarray, seed: int) -> tuple[Inverted, np.ndarray]:
    """Weigh genes such that a cell's weighted sum is its module score.

    Parameters
    ----------
    sets
        The sets.
    means
        Mean expression of each gene over the cells; shape (n_genes,), float64.
    seed
        Seed of the draws.

    Returns
    -------
    weights : Inverted
        The weights of genes in sets.
    is_scored : numpy.ndarray
        Which sets have genes and controls; shape (n_sets,), bool.
    """
    bins = bins_of(means)
    members, weights, is_scored = [], [], np.ones(len(sets), bool)
    for number, own in enumerate(sets):
        parts, values = [np.zeros(0, np.int64)], [np.zeros(0)]
        for columns, sign in ((own.up, 1.0), (own.down, -1.0)):
            if not len(columns):
                continue
            controls = choose_controls(bins, columns, seed)
            is_scored[number] &= len(controls) > 0
            parts += [columns, controls]
            values += [
                np.full(len(columns), sign / len(columns)),
                np.full(len(controls), -sign / max(1, len(controls))),
            ]
        is_scored[number] &= not own.is_empty
        members.append(np.concatenate(parts))
        weights.append(np.concatenate(values))
    return invert(members, weights, len(means)), is_scored
