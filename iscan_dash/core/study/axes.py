"""The two axes of a plot of cells: an embedding, the QC axes, or two genes."""

import re

import numpy as np

from iscan_dash.core.study.study import QC_AXES, Study
from iscan_dash.errors import UnknownColumn

GENE = "gene:"


def gene_axes(x: str, y: str) -> str:
    """Return the name of the axes of two genes.

    Examples
    --------
    >>> gene_axes("CD4", "CD8A")
    'gene:CD4|gene:CD8A'
    """
    return f"{GENE}{x}|{GENE}{y}"


def genes_of(study: Study, axes: str) -> tuple[str, str] | None:
    """Return the two genes that axes are made of, None when they are those of an embedding.

    Raises
    ------
    UnknownColumn
        They name genes that the study does not have.
    """
    if axes in study.embeddings or not axes.startswith(GENE):
        return None
    # A gene's name may hold a bar itself.
    splits = [(axes[len(GENE) : place.start()], axes[place.end() :]) for place in re.finditer(r"\|(?=gene:)", axes)]
    pairs = [(x, y.removeprefix(GENE)) for x, y in splits]
    for x, y in pairs:
        if x in study.genes and y in study.genes:
            return x, y
    absent = next((name for pair in pairs[:1] for name in pair if name not in study.genes), axes.removeprefix(GENE))
    raise UnknownColumn(f'This study has no gene "{absent}".')


def axes_positions(study: Study, axes: str) -> np.ndarray:
    """Return where all cells are on a plot; NaN in both axes for a cell that lacks a position.

    Parameters
    ----------
    study
        The study.
    axes
        An embedding's name, `QC_AXES`, or what `gene_axes` gives. Genes are logged as colours show them.

    Returns
    -------
    numpy.ndarray
        shape (2, n_cells), float32, C-contiguous.

    Raises
    ------
    UnknownColumn
        The study has no such embedding or gene.
    """
    pair = genes_of(study, axes)
    if pair is None:
        return study.embedding(axes)
    xy = np.stack([study.logged_gene(study.gene(name)).values for name in pair]).astype(np.float32, copy=False)
    xy[:, ~np.isfinite(xy).all(axis=0)] = np.nan
    return xy


def axes_title(study: Study, axes: str) -> str:
    """Say what the axes are.

    Raises
    ------
    UnknownColumn
        The study has no such embedding or gene.
    """
    pair = genes_of(study, axes)
    if pair is not None:
        return f"{pair[0]} x {pair[1]}"
    if axes not in (*study.embeddings, QC_AXES):
        raise UnknownColumn(f'This study has no embedding "{axes}".')
    return "counts x genes" if axes == QC_AXES else axes.removeprefix("X_")
