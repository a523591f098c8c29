"""References: expression profiles whose cell types are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iscan_dash.errors import PredictionRefused


@dataclass(frozen=True, eq=False)
class Reference:
    """Labelled expression profiles, one row a profile, as in AnnData.

    Parameters
    ----------
    genes
        Name of each gene; a gene without a name (None) is never used. Of repeated names the first counts.
    values
        Log expression, shape (n_profiles, n_genes), float32 or float64. A gene that has NaN in any profile is not used.
    labels
        Label of each profile; profiles without one (None) are not used.

    Raises
    ------
    PredictionRefused
        The parts do not fit together, or no profile has a label.

    Examples
    --------
    >>> reference = Reference(["CD3D", "LYZ"], np.array([[5.0, 0.0], [0.5, 7.0]]), ["T cell", "Monocyte"])
    >>> reference.names
    ('Monocyte', 'T cell')
    """

    genes: Sequence[str | None]
    values: np.ndarray
    labels: Sequence[str | None]

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        if self.values.shape != (len(self.labels), len(self.genes)):
            raise PredictionRefused(
                f"The reference does not fit together: {len(self.labels):,} labels and {len(self.genes):,} gene names"
                f" for a matrix of {' x '.join(map(str, self.values.shape))}."
            )
        if self.values.dtype not in (np.float32, np.float64):
            raise PredictionRefused(
                f"The reference holds values of type {self.values.dtype}; it needs log values (float32 or float64)."
            )
        if not self.names:
            raise PredictionRefused("No profile of the reference has a label.")

    @property
    def names(self) -> tuple[str, ...]:
        """The labels in the order of scores: sorted by code point, so that it is the same everywhere."""
        return tuple(sorted({label for label in self.labels if label is not None}))
