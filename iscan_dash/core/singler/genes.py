"""Which genes of a reference are genes of the query, by name."""

from collections.abc import Sequence

import numpy as np

from iscan_dash.core.singler.reference import Reference
from iscan_dash.errors import PredictionRefused


def match_genes(reference: Reference, genes: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Find the genes that both sides have.

    Names match exactly. Of repeated names the first counts on both sides; genes without a name, and genes of the
    reference with NaN in any profile, are left out.

    Parameters
    ----------
    reference
        The reference.
    genes
        Names of the query's genes, in the order of its columns.

    Returns
    -------
    rows : numpy.ndarray
        Positions in ``reference.genes``, ascending, shape (n_common,), int64.
    columns : numpy.ndarray
        Positions of the same genes in `genes`, shape (n_common,), int64.

    Raises
    ------
    PredictionRefused
        There are none.

    Examples
    --------
    >>> values = np.array([[1.0, 2.0, 3.0, np.nan]])
    >>> reference = Reference(["A", "B", "A", "C"], values, ["T cell"])
    >>> rows, columns = match_genes(reference, ["C", "A", None, "B", "A"])
    >>> rows.tolist(), columns.tolist()
    ([0, 1], [1, 3])
    """
    # Later names are put in first, so that the first of repeated ones is what stays.
    columns = dict(zip(reversed(genes), range(len(genes) - 1, -1, -1), strict=True))
    with np.errstate(invalid="ignore"):
        complete = np.isfinite(reference.values.sum(axis=0, dtype=np.float64))
    if not complete.all():
        # Infinite values make sums that are not finite, too; they are ranked like any other.
        suspects = np.flatnonzero(~complete)
        complete[suspects] = ~np.isnan(reference.values[:, suspects]).any(axis=0)
    pairs = []
    for row, (name, is_complete) in enumerate(zip(reference.genes, complete.tolist(), strict=True)):
        if is_complete and name is not None and (column := columns.pop(name, None)) is not None:
            pairs.append((row, column))
    if not pairs:
        here, there = (next((name for name in names if name is not None), "none") for names in (genes, reference.genes))
        raise PredictionRefused(
            f"The study and the reference have no gene in common. Check gene IDs ({here} here, {there} in the"
            " reference) or organism."
        )
    rows_, columns_ = np.array(pairs, np.int64).T
    return np.ascontiguousarray(rows_), np.ascontiguousarray(columns_)
