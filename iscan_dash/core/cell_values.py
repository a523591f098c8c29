"""The values of some genes in some cells of a group."""

from collections.abc import Callable

import numpy as np

from iscan_dash.core.study.expression import SEED, ExpressionSample


def cell_values(
    sample: ExpressionSample, mask: np.ndarray, genes: np.ndarray, most: int, check: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Return the log-normalised values of genes in the cells of a group, or in some of them when they are many.

    The cells are those of the sample if these are enough, else they are read from the files. The same question has the
    same answer every time.

    Parameters
    ----------
    sample
        The expression of the study.
    mask
        The group; shape (n_cells of the study,), bool.
    genes
        Places of the genes among those of the sample; shape (n_genes,), integer.
    most
        Cells that are looked at at most.
    check
        Called before each piece of work; ends the work by raising.

    Returns
    -------
    numpy.ndarray
        shape (n, n_genes), float32; n is `most` or the size of the group.
    """
    n_wanted = min(int(np.count_nonzero(mask)), most)
    sampled = np.concatenate([own[mask[own]] for own in sample.cells])
    is_sampled = len(sampled) >= n_wanted
    cells = sampled if is_sampled else np.flatnonzero(mask)
    if len(cells) > n_wanted:
        cells = np.sort(np.random.default_rng(SEED).choice(cells, n_wanted, replace=False))
    parts = []
    for file, own, values in zip(sample.files, sample.cells, sample.values, strict=True):
        check()
        wanted = cells[np.searchsorted(cells, file.start) : np.searchsorted(cells, file.end)]
        if is_sampled:
            rows = values[np.searchsorted(own, wanted)]
        else:
            rows = file.read(wanted - file.start, lambda _done, _total: check())
        parts.append(rows[:, file.places[genes]].toarray())
    found: np.ndarray = np.concatenate(parts)
    return found
