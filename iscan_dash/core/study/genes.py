"""Genes of a data set: their names, what kind of identifiers those are, and which species they look like."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

ENSEMBL = re.compile(r"^ENS([A-Z]{3,4})?G\d{11}(\.\d+)?$")
SYMBOL_COLUMNS = ("feature_name", "gene_symbols", "gene_symbol", "gene_name", "gene_names", "symbol")
"""Columns of ``var`` that may hold symbols when the index holds Ensembl ids."""


@dataclass(frozen=True)
class GeneReport:
    """What the gene names of a matrix look like.

    Parameters
    ----------
    identifiers
        ``"symbol"``, ``"Ensembl"`` or ``"other"``.
    species
        ``"human"``, ``"mouse"`` or ``"unknown"``.
    n_genes
        Names in the index.
    n_duplicates
        Names that occurred before in the same index.
    examples
        The first few names.
    """

    identifiers: str
    species: str
    n_genes: int
    n_duplicates: int
    examples: tuple[str, ...]


def inspect_genes(names: Sequence[str]) -> GeneReport:
    """Tell what kind of identifiers gene names are, the species they suggest, and how many repeat.

    Human symbols are written in capitals (``CD3D``), those of the mouse with one capital (``Cd3d``).

    Examples
    --------
    >>> report = inspect_genes(["CD3D", "MS4A1", "LYZ", "LYZ"])
    >>> report.identifiers, report.species, report.n_duplicates
    ('symbol', 'human', 1)
    >>> inspect_genes(["ENSMUSG00000051951"]).species
    'mouse'
    """
    sample = names[:5000]
    duplicates = len(names) - len(set(names))
    examples = tuple(names[:5])
    prefixes = [match.group(1) or "" for name in sample if (match := ENSEMBL.match(name))]
    if sample and len(prefixes) > len(sample) / 2:
        mouse = sum(prefix == "MUS" for prefix in prefixes)
        human = sum(prefix == "" for prefix in prefixes)
        species = "human" if human > len(prefixes) / 2 else "mouse" if mouse > len(prefixes) / 2 else "unknown"
        return GeneReport("Ensembl", species, len(names), duplicates, examples)
    words = [name for name in sample if re.match(r"^[A-Za-z][A-Za-z0-9.\-]*[A-Za-z0-9]$", name)]
    letters = [name for name in words if sum(character.isalpha() for character in name) >= 2]
    if not sample or len(words) < len(sample) / 2 or not letters:
        return GeneReport("other", "unknown", len(names), duplicates, examples)
    capitals = sum(name == name.upper() for name in letters) / len(letters)
    titles = sum(name[0].isupper() and name[1:] == name[1:].lower() for name in letters) / len(letters)
    species = "human" if capitals > 0.6 else "mouse" if titles > 0.6 else "unknown"
    return GeneReport("symbol", species, len(names), duplicates, examples)
