"""Which marker genes put a label ahead of another one, to the last bit of the score.

When two labels are left, SingleR scores them with their own markers only: those of each against the other. A score is
Spearman's correlation, a sum over genes of a rank in the cell times a rank in a profile (both centred, of unit length),
and then a quantile over the profiles of the label, which is a weighted mean of at most two of them. So the difference
of the two scores is a sum over genes as well: each contributes its rank in the cell times the difference of its
weighted ranks in the profiles. A gene that the cell lacks contributes too: for the label that lacks it.
"""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from iscan_dash.core.singler.train import Trained


@dataclass(frozen=True, eq=False)
class PairMarkers:
    """The markers that tell two labels apart.

    Parameters
    ----------
    genes
        Positions in the genes of the trained reference; shape (n_genes,), int64.
    is_up
        Whether a gene is higher in the label, rather than in the other one; shape (n_genes,), bool.
    """

    genes: np.ndarray
    is_up: np.ndarray


def pair_markers(trained: Trained, label: int, other: int) -> PairMarkers:
    """Return the markers of a label against another one and those of the other against it, the strongest first."""
    up, down = trained.markers.of(label, other), trained.markers.of(other, label)
    # Markers given by hand for a label stand on the diagonal, and may be those of several.
    up = np.concatenate([up, trained.markers.of(label, label)])
    down = np.concatenate([down, trained.markers.of(other, other)])
    genes, first = np.unique(np.concatenate([up, down]), return_index=True)
    order = np.argsort(first)
    return PairMarkers(genes[order], first[order] < len(up))


def contributions(
    trained: Trained, label: int, other: int, genes: np.ndarray, cells: np.ndarray, quantile: float = 0.8
) -> np.ndarray:
    """Return by how much each gene puts a label ahead of another one, the mean over some cells.

    Parameters
    ----------
    trained
        The reference.
    label, other
        The two labels.
    genes
        Genes to compare with, see `pair_markers`.
    cells
        Values of these genes, shape (n_cells, n_genes), floating; only their order within a cell counts.
    quantile
        Quantile of the correlations with a label's profiles that is the label's score.

    Returns
    -------
    numpy.ndarray
        shape (n_genes,), float64. Their sum is the mean difference of the two scores. Cells and profiles in which all
        genes are equal contribute nothing.

    Examples
    --------
    >>> from iscan_dash.core.singler.reference import Reference
    >>> from iscan_dash.core.singler.train import train
    >>> values = np.array([[5.0, 0.0, 1.0], [0.5, 7.0, 1.0]])
    >>> trained = train(Reference(["CD3D", "LYZ", "ACTB"], values, ["T cell", "Monocyte"]), ["CD3D", "LYZ", "ACTB"])
    >>> genes = pair_markers(trained, 1, 0).genes
    >>> [trained.genes[gene] for gene in genes]
    ['CD3D', 'LYZ']
    >>> contributions(trained, 1, 0, genes, np.array([[3.0, 0.0]])).round(3).tolist()
    [1.0, 1.0]
    """
    if not len(genes) or not len(cells):
        return np.zeros(len(genes))
    own = _unit_ranks(cells)
    difference = _weighted(trained, label, genes, own, quantile) - _weighted(trained, other, genes, own, quantile)
    mean: np.ndarray = (own * difference).mean(axis=0)
    return mean


def _unit_ranks(values: np.ndarray) -> np.ndarray:
    """Rank each row, centre the ranks and bring them to unit length; 0 where all values are equal."""
    # Takes a third of a second, which a server that starts is spared.
    from scipy.stats import rankdata

    ranks = 2 * rankdata(values, axis=1) - (values.shape[1] + 1)
    length = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    unit: np.ndarray = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    return unit


def _weighted(trained: Trained, label: int, genes: np.ndarray, cells: np.ndarray, quantile: float) -> np.ndarray:
    """Return the ranks in the profiles of a label as each cell's score weighs them, shape (n_cells, n_genes)."""
    ends = trained.arrays.ends
    start, end = int(ends[label - 1]) if label else 0, int(ends[label])
    # Ranks over all markers are in the order of the values.
    profiles = _unit_ranks(trained.arrays.profiles.ranks[genes, start:end].T)
    order = np.argsort(-(cells @ profiles.T), axis=1, kind="stable")
    height = (end - start - 1) * (1 - quantile)
    # 0.2 * 5 is 1.0000000000000002 in some roundings of 1 - 0.8; a whole number must stay one.
    height = round(height) if abs(height - round(height)) < 1e-9 else height
    share = height - floor(height)
    weighted: np.ndarray = (1 - share) * profiles[order[:, floor(height)]] + share * profiles[order[:, ceil(height)]]
    return weighted
