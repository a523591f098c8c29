"""Read a reference for a prediction."""

from dataclasses import dataclass

from iscan_dash.core.references.profiles import read_labels, read_values
from iscan_dash.core.references.registry import Entry, Registry
from iscan_dash.core.singler.reference import Reference
from iscan_dash.core.study.dataset import open_dataset


@dataclass(frozen=True, eq=False)
class LoadedReference:
    """A reference with the labels of one granularity.

    Parameters
    ----------
    entry
        Where it comes from.
    granularity
        ``"main"`` or ``"fine"``.
    checksum
        The checksum of its matrix.
    profiles
        Genes, values and labels.
    terms
        The Cell Ontology term of each label that has one.
    """

    entry: Entry
    granularity: str
    checksum: str
    profiles: Reference
    terms: dict[str, str]


def load_reference(registry: Registry, id_: str, granularity: str) -> LoadedReference:
    """Read the profiles of a reference, after comparing them with their checksum.

    Parameters
    ----------
    registry
        Where to look for it.
    id_
        Its id.
    granularity
        ``"main"`` or ``"fine"``.

    Raises
    ------
    PredictionRefused
        There is no such reference, it cannot be used, has no such labels, or is not what its manifest says.
    """
    entry = registry.ready(id_)
    assert entry.manifest is not None
    assert entry.matrix is not None
    column = entry.manifest.column(granularity)
    checksum = registry.checksum(entry)
    dataset = open_dataset(entry.matrix)
    try:
        # A gene without a name matches no other.
        genes = [name or None for name in dataset.gene_names()]
        profiles = Reference(genes, read_values(dataset), read_labels(dataset, column))
    finally:
        dataset.close()
    terms = entry.manifest.ontology.main if granularity == "main" else entry.manifest.ontology.fine
    return LoadedReference(entry, granularity, checksum, profiles, dict(terms))
