"""Which marker genes decided between two labels of some cells, and how they are expressed there and elsewhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from iscan_dash.core.cell_values import cell_values
from iscan_dash.core.markers import Comparer
from iscan_dash.core.study import Study
from iscan_dash.core.study.matrices import KIND_TEXT
from iscan_dash.errors import PredictionRefused
from iscan_dash.services.expression_samples import ExpressionSamples
from iscan_dash.services.prediction import Prepared
from iscan_dash.services.prepared_references import PreparedReferences, Waiting
from iscan_dash.services.study_query import choose_matrices
from iscan_dash.services.what_is_this import mean_profile

GENES = 12
"""Genes returned."""

CELLS = 500
"""Cells whose ranks are looked at, of a larger group."""


@dataclass(frozen=True)
class DecidingGene:
    """A marker gene of two labels in some cells.

    Parameters
    ----------
    gene
        Its name.
    is_up
        Whether it is a marker of the label, rather than of the other one.
    contribution
        By how much it puts the label ahead, as a part of the difference of the two scores; negative for the other one.
    here, elsewhere
        Mean log-normalised expression in the cells and in all others.
    here_share, elsewhere_share
        Share of these cells that express it.
    """

    gene: str
    is_up: bool
    contribution: float
    here: float
    elsewhere: float
    here_share: float
    elsewhere_share: float


@dataclass(frozen=True)
class Decision:
    """What decided between two labels of some cells.

    Parameters
    ----------
    label, other
        The two labels.
    genes
        The genes that decided most, in either direction, the strongest first.
    lead
        Score of the label less that of the other one, with the markers of the two alone: the sum of the contributions
        of all their genes.
    n_genes, n_missing
        Markers of the two that were looked at, and those that the matrix read here does not have.
    n_cells, n_ranked
        Cells that were asked about, and those whose ranks were looked at.
    n_here, n_elsewhere
        Cells whose expression was averaged.
    is_bulk
        Whether the cells were ranked by their mean, as the groups were that had been labelled.
    matrix
        The matrix that was read, and what it holds.
    """

    label: str
    other: str
    genes: tuple[DecidingGene, ...]
    lead: float
    n_genes: int
    n_missing: int
    n_cells: int
    n_ranked: int
    n_here: int
    n_elsewhere: int
    is_bulk: bool
    matrix: str


class Explainer:
    """Says which genes decided.

    Parameters
    ----------
    samples
        The expression of the study.
    references
        References that are ready.
    """

    def __init__(self, samples: ExpressionSamples, references: PreparedReferences) -> None:
        self._samples = samples
        self._references = references

    def decision(
        self,
        study: Study,
        recipe: Mapping[str, Any],
        mask: np.ndarray,
        label: str,
        other: str,
        check: Callable[[], None] = lambda: None,
    ) -> Decision | Waiting:
        """Find the marker genes that decided between two labels.

        Parameters
        ----------
        study
            The study.
        recipe
            That of the prediction.
        mask
            The cells: one, a selection, a cluster; shape (n_cells,), bool.
        label, other
            The two labels, such as the best and the runner-up of `why`.
        check
            Called before each piece of work; ends the work by raising.

        Raises
        ------
        PredictionRefused, UnknownColumn
            The reference cannot be used or is another one by now, or the matrices cannot; the message says why and what
            to do.
        """
        if not mask.any():
            raise PredictionRefused("Select cells first.")
        # Both are begun before either is waited for.
        # Predictions of before it could be chosen have none.
        names = recipe.get("gene_column")
        prepared = self._references.get(study, recipe["reference"], recipe["granularity"], recipe["matrix"], names)
        comparer = self._samples.get(study, names, recipe["matrix"])
        if isinstance(comparer, float):
            return Waiting("Reading the expression", comparer)
        if isinstance(prepared, Waiting):
            return prepared
        if prepared.reference.checksum != recipe["reference_checksum"]:
            raise PredictionRefused(
                f"{prepared.preflight.reference_name} was replaced since these cells were labelled, so its marker genes"
                " are not shown. Run the prediction again, or put the former reference back."
            )
        chosen = dict.fromkeys(
            f"{own.key} ({KIND_TEXT[own.kind]})" for own in choose_matrices(study, recipe["matrix"], names)
        )
        return _decide(prepared, comparer, recipe, mask, label, other, ", ".join(chosen), check)


def _decide(
    prepared: Prepared,
    comparer: Comparer,
    recipe: Mapping[str, Any],
    mask: np.ndarray,
    label: str,
    other: str,
    matrix: str,
    check: Callable[[], None],
) -> Decision:
    # Imported late: a server starts without Numba.
    from iscan_dash.core.singler.lead import contributions, pair_markers

    trained, sample = prepared.trained, comparer.sample
    for name in (label, other):
        if name not in trained.labels:
            raise PredictionRefused(f'The reference has no label "{name}". Choose one of its labels.')
    if label == other:
        raise PredictionRefused("Choose two labels that differ.")
    codes = trained.labels.index(label), trained.labels.index(other)
    pair = pair_markers(trained, *codes)
    place_of = {name: place for place, name in enumerate(sample.genes)}
    places = np.array([place_of.get(trained.genes[gene], -1) for gene in pair.genes.tolist()], np.int64)
    is_here = places >= 0
    genes, is_up, places = pair.genes[is_here], pair.is_up[is_here], places[is_here]
    sides = comparer.compare(mask, check)
    is_bulk = recipe["by_cluster"] is not None
    cells = mean_profile(sides.inside)[None, places] if is_bulk else cell_values(sample, mask, places, CELLS, check)
    share = contributions(trained, *codes, genes, cells, recipe["quantile"])
    inside, outside = sides.inside.of(places), sides.outside.of(places)
    strongest = np.argsort(-np.abs(share), kind="stable")[:GENES].tolist()
    return Decision(
        label,
        other,
        tuple(
            DecidingGene(
                gene=trained.genes[genes[place]],
                is_up=bool(is_up[place]),
                contribution=float(share[place]),
                here=float(inside.mean[place]),
                elsewhere=float(outside.mean[place]),
                here_share=float(inside.share[place]),
                elsewhere_share=float(outside.share[place]),
            )
            for place in strongest
            if share[place] != 0
        ),
        lead=float(share.sum()),
        n_genes=len(genes),
        n_missing=int((~is_here).sum()),
        n_cells=sides.n_inside,
        n_ranked=sides.inside.n_cells if is_bulk else len(cells),
        n_here=sides.inside.n_cells,
        n_elsewhere=sides.outside.n_cells,
        is_bulk=is_bulk,
        matrix=matrix,
    )
