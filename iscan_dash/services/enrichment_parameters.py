"""What decides how gene sets are scored."""

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from iscan_dash.core.gene_sets import GeneSet
from iscan_dash.core.words import counted
from iscan_dash.errors import EnrichmentRefused

METHODS = {
    "ucell": "UCell",
    "aucell": "AUCell",
    "module": "Module score",
    "ulm": "ULM t",
}
"""How cells can be scored, and what people call it; the first is the default."""

MAX_RANK = 1500

MOST_SETS = 1000
"""Sets of one analysis."""

MOST_GENES = 500_000
"""Genes of these sets together; they are kept with the job and with its result."""

MOST_PACKED = 2**23
"""Bytes of a mask of cells."""


@dataclass(frozen=True)
class EnrichmentParameters:
    """What decides an enrichment analysis.

    Parameters
    ----------
    sets
        The gene sets, of different names.
    collection
        What the collection is called that they are of.
    method
        A key of `METHODS`.
    matrix
        Key of the matrix; the best one when None.
    cells
        Which cells, as `mask_codec.encode` packs them; all when None.
    cells_recipe
        How these were selected, as plain values.
    seed
        Chooses the genes that the module score compares with.
    max_rank
        Genes of a cell whose rank counts, for UCell.
    any_organism
        Go on although the sets look like those of another organism than the study's.
    """

    sets: tuple[GeneSet, ...]
    collection: str = ""
    method: str = "ucell"
    matrix: str | None = None
    cells: bytes | None = field(default=None, repr=False)
    cells_recipe: Mapping[str, Any] | None = field(default=None, hash=False)
    seed: int = 0
    max_rank: int = MAX_RANK
    any_organism: bool = False

    def check(self) -> None:
        """Refuse what cannot be.

        Raises
        ------
        EnrichmentRefused
            A value is not possible (E51, E53).

        Examples
        --------
        >>> EnrichmentParameters(()).check()
        Traceback (most recent call last):
        iscan_dash.errors.EnrichmentRefused: Choose at least one gene set.
        """
        if not self.sets:
            raise EnrichmentRefused("Choose at least one gene set.", "E51")
        if len(self.sets) > MOST_SETS:
            raise EnrichmentRefused(
                f"{counted(len(self.sets), 'gene set')} are too many; {MOST_SETS:,} can be scored at once.", "E51"
            )
        if sum(own.n_genes for own in self.sets) > MOST_GENES:
            raise EnrichmentRefused(
                f"The chosen sets have more than {MOST_GENES:,} genes together. Choose fewer.", "E51"
            )
        names = [own.name for own in self.sets]
        if len(set(names)) < len(names):
            raise EnrichmentRefused("Two of the gene sets have the same name. Rename one, or unite them.", "E53")
        if self.method not in METHODS:
            raise EnrichmentRefused(f"There is no method {self.method!r}. Choose one of: {', '.join(METHODS)}.")
        if not 2 <= self.max_rank <= 100_000:
            raise EnrichmentRefused("The number of ranks that count must be 2 to 100,000.")
        if not 0 <= self.seed < 2**32:
            raise EnrichmentRefused("The seed must be 0 to 4,294,967,295.")


def plain_parameters(parameters: EnrichmentParameters) -> dict[str, Any]:
    """Return parameters as plain values, which `read_parameters` reads back."""
    packed = parameters.cells
    return {
        "sets": [own.to_json() for own in parameters.sets],
        "collection": parameters.collection,
        "method": parameters.method,
        "matrix": parameters.matrix,
        "cells": None if packed is None else base64.b64encode(zlib.compress(packed)).decode(),
        "cells_recipe": None if parameters.cells_recipe is None else dict(parameters.cells_recipe),
        "seed": parameters.seed,
        "max_rank": parameters.max_rank,
        "any_organism": parameters.any_organism,
    }


def read_parameters(values: Mapping[str, Any]) -> EnrichmentParameters:
    r"""Read parameters from plain values; what is left out has its default.

    Raises
    ------
    EnrichmentRefused
        A value is not known, or is no such value at all.

    Examples
    --------
    >>> made = EnrichmentParameters((GeneSet("T", ("CD3D",)),), cells=b"\x03")
    >>> read_parameters(plain_parameters(made)) == made
    True
    """
    if not set(values) <= {own.name for own in fields(EnrichmentParameters)}:
        raise EnrichmentRefused("There is no such parameter of an enrichment analysis.")
    try:
        sets = tuple(GeneSet.from_json(own) for own in values["sets"])
        packed = values.get("cells")
        cells = None if packed is None else _unpacked(packed)
    except (LookupError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise EnrichmentRefused(
            "The parameters of this enrichment analysis cannot be read. Start a new one."
        ) from error
    return EnrichmentParameters(**{**values, "sets": sets, "cells": cells})


def _unpacked(text: str) -> bytes:
    unpacking = zlib.decompressobj()
    packed = unpacking.decompress(base64.b64decode(text, validate=True), MOST_PACKED)
    if not unpacking.eof:
        raise ValueError("more than a mask")
    return packed
