"""What is this? Cells that somebody looks at, scored together against a reference while they wait."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from iscan_dash.core.engine.query import Query
from iscan_dash.core.markers import GeneSums
from iscan_dash.core.study import Study
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.errors import PredictionRefused
from iscan_dash.services.expression_samples import ExpressionSamples
from iscan_dash.services.prediction_parameters import QUANTILE
from iscan_dash.services.prepared_references import PreparedReferences, Waiting

LABELS = 5
"""Labels returned."""

ROUNDING = 1e-9
"""Means below this are what rounding left of 0."""


@dataclass(frozen=True)
class Candidate:
    """A label that cells may have.

    Parameters
    ----------
    label
        The label.
    score
        Its first-pass score.
    term
        Its Cell Ontology term, ``""`` for none.
    """

    label: str
    score: float
    term: str


@dataclass(frozen=True)
class WhatIsThis:
    """What some cells look like.

    Parameters
    ----------
    candidates
        The best label as fine-tuning leaves it, then the others by their scores.
    delta
        By how much the best one was ahead in the last round of fine-tuning; NaN with a single label.
    n_cells, n_read
        Cells that were asked about, and those of them that were looked at.
    reference_name
        What the reference is called.
    found_text
        How many marker genes were found, in words.
    warnings
        What to know, a sentence each.
    """

    candidates: tuple[Candidate, ...]
    delta: float
    n_cells: int
    n_read: int
    reference_name: str
    found_text: str
    warnings: tuple[str, ...]


class Namer:
    """Says what cells look like.

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

    def what_is(
        self,
        study: Study,
        mask: np.ndarray,
        reference: str,
        granularity: str = "main",
        check: Callable[[], None] = lambda: None,
    ) -> WhatIsThis | Waiting:
        """Score the mean expression of some cells against a reference.

        Of a large study a sample is looked at, the same every time; see `Comparer`.

        Parameters
        ----------
        study
            The study.
        mask
            The cells; shape (n_cells,), bool.
        reference, granularity
            The reference and which of its labels.
        check
            Called before each piece of work; ends the work by raising.

        Raises
        ------
        PredictionRefused, UnknownColumn
            It cannot be said; the message says why and what to do.
        """
        # Imported late: a server starts without Numba.
        from iscan_dash.core.singler.classify import classify

        if not mask.any():
            raise PredictionRefused("Select cells first.")
        # Both are begun before either is waited for.
        prepared = self._references.get(study, reference, granularity)
        comparer = self._samples.get(study)
        if isinstance(comparer, float):
            return Waiting("Reading the expression", comparer)
        if isinstance(prepared, Waiting):
            return prepared
        sides = comparer.compare(mask, check)
        profile = placed(mean_profile(sides.inside), comparer.sample.genes, prepared.genes)
        found = classify(
            prepared.trained, Query.of(prepared.genes, profile[None], MatrixKind.LOG), quantile=QUANTILE, nmads=None
        )
        if not found.first.detected[0]:
            raise PredictionRefused("These cells express none of the marker genes of the reference.")
        scores, best = found.first.scores[0], int(found.tuned.label[0])
        order = [best, *(code for code in np.argsort(-scores, kind="stable").tolist() if code != best)]
        terms = prepared.reference.terms
        return WhatIsThis(
            candidates=tuple(
                Candidate(label, float(scores[code]), terms.get(label, ""))
                for code, label in ((code, found.labels[code]) for code in order[:LABELS])
            ),
            delta=float(found.tuned.delta[0]),
            n_cells=sides.n_inside,
            n_read=sides.inside.n_cells,
            reference_name=prepared.preflight.reference_name,
            found_text=prepared.preflight.found_text,
            warnings=prepared.preflight.warnings,
        )


def mean_profile(sums: GeneSums) -> np.ndarray:
    """Return the mean expression of each gene, exactly 0 where no cell has any.

    Sums over the larger side of a comparison are differences, which leave some 1e-12 where 0 should be; ranks would be
    made of that.
    """
    mean = sums.mean
    return np.where((sums.detected == 0) & (np.abs(mean) < ROUNDING), 0.0, mean)


def placed(profile: np.ndarray, genes: tuple[str, ...], wanted: tuple[str | None, ...]) -> np.ndarray:
    """Bring the values of genes into another order; 0 for genes that have none, and where a name repeats.

    Examples
    --------
    >>> placed(np.array([1.0, 2.0]), ("A", "B"), ("B", None, "A", "B")).tolist()
    [2.0, 0.0, 1.0, 0.0]
    """
    values = dict(zip(genes, profile.tolist(), strict=True))
    # Each value is given once: the first gene of a name is the one that counts.
    return np.array([0.0 if name is None else values.pop(name, 0.0) for name in wanted])
