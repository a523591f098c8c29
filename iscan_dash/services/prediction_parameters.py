"""What decides a prediction."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from iscan_dash.errors import NameRefused, PredictionRefused

METHOD = "SingleR"

QUANTILE = 0.8
"""Of the correlations with the profiles of a label, the one that is its score."""

GRANULARITIES = ("main", "fine")

MOST_THRESHOLD = 0.1
"""Fine-tuning with much more would switch itself off: it ends when no label is dropped in a round."""

MOST_CUTOFF = 1000
"""Cutoffs of 100 and more prune nothing."""

NAME_TEMPLATE = "{method}_{reference}_{granularity}"
"""What a prediction is called unless the user says otherwise."""


@dataclass(frozen=True)
class Parameters:
    """What decides a prediction.

    Parameters
    ----------
    reference
        Id of the reference.
    granularity
        ``"main"`` or ``"fine"``.
    samples
        Samples whose cells are labelled; all when None.
    by_cluster
        The column whose groups are labelled, instead of cells.
    fine_tune
        Whether the best labels are compared once more, with their own markers only.
    threshold
        Labels within this of the best score are compared again, 0 to 0.1.
    nmads
        Deviations below the median from which a label is pruned; with None, or 100 and more, nothing is.
    min_diff_med
        Least margin of a label's score above the median of all labels; None for no limit.
    matrix
        Key of the matrix; the best one when None.
    gene_column
        The column with the names of the genes, ``"_index"`` for the index; found automatically when None.
    any_organism
        Go on although the genes look like those of another organism than the reference's.
    """

    reference: str
    granularity: str = "main"
    samples: tuple[str, ...] | None = None
    by_cluster: str | None = None
    fine_tune: bool = True
    threshold: float = 0.05
    nmads: float | None = 3.0
    min_diff_med: float | None = None
    matrix: str | None = None
    gene_column: str | None = None
    any_organism: bool = False

    def check(self) -> None:
        """Refuse what cannot be.

        Raises
        ------
        PredictionRefused
            A value is not possible (E12, E17).

        Examples
        --------
        >>> Parameters("hao_pbmc", threshold=0.5).check()
        Traceback (most recent call last):
        iscan_dash.errors.PredictionRefused: Fine-tune threshold must be 0 to 0.1.
        """
        if self.granularity not in GRANULARITIES:
            raise PredictionRefused("Label granularity must be main or fine.")
        if self.samples is not None and not self.samples:
            raise PredictionRefused("Choose at least one sample.", "E12")
        if self.fine_tune and not 0 <= self.threshold <= MOST_THRESHOLD:
            raise PredictionRefused("Fine-tune threshold must be 0 to 0.1.", "E17")
        if self.nmads is not None and not self.nmads >= 0:
            raise PredictionRefused("Outlier cutoff must be a number of at least 0.", "E17")
        if self.min_diff_med is not None and np.isnan(self.min_diff_med):
            raise PredictionRefused("The least difference to the median must be a number.")


def plain_parameters(parameters: Parameters) -> dict[str, Any]:
    """Return parameters as plain values, which `read_parameters` reads back."""
    samples = parameters.samples
    return {**asdict(parameters), "samples": None if samples is None else list(samples)}


def read_parameters(values: Mapping[str, Any]) -> Parameters:
    """Read parameters from plain values; what is left out has its default.

    Raises
    ------
    PredictionRefused
        A value is not known, or no reference is named.

    Examples
    --------
    >>> read_parameters({"reference": "hao_pbmc", "samples": ["s1"]}).samples
    ('s1',)
    """
    if "reference" not in values or not set(values) <= {own.name for own in fields(Parameters)}:
        raise PredictionRefused("Choose a reference." if "reference" not in values else "There is no such parameter.")
    samples = values.get("samples")
    return Parameters(**{**values, "samples": None if samples is None else tuple(samples)})


def resolved_name(template: str, parameters: Parameters) -> str:
    """Fill the placeholders of an annotation's name.

    Raises
    ------
    NameRefused
        A placeholder is not known (E11).

    Examples
    --------
    >>> resolved_name("{method}_{reference}_{granularity}", Parameters("hao_pbmc"))
    'SingleR_hao_pbmc_main'
    >>> resolved_name("{lab}", Parameters("hao_pbmc"))
    Traceback (most recent call last):
    iscan_dash.errors.NameRefused: Unknown placeholder {lab}. Use {method}, {reference} or {granularity}.
    """
    known = {"method": METHOD, "reference": parameters.reference, "granularity": parameters.granularity}
    parts, rest = [], template
    while rest:
        before, brace, rest = rest.partition("{")
        parts.append(before)
        if not brace:
            break
        inside, closing, after = rest.partition("}")
        if not closing:
            parts.append(brace)
            continue
        if inside not in known:
            raise NameRefused(
                "E11", f"Unknown placeholder {{{inside}}}. Use {{method}}, {{reference}} or {{granularity}}."
            )
        parts.append(known[inside])
        rest = after
    return "".join(parts)
