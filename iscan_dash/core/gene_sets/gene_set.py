"""A gene set, and what its name and its genes may be."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iscan_dash.core.annotations.names import is_printable, plain_label
from iscan_dash.core.study.genes import inspect_genes
from iscan_dash.errors import NameRefused

NAME_LENGTH = 200
"""Characters of the longest name; those of public collections have up to some hundred."""

GENE_LENGTH = 64

DESCRIPTION_LENGTH = 2000

VERSIONED = re.compile(r"(ENS[A-Z]*G\d{11})\.\d+")
"""An Ensembl id with the version that other releases do not have."""

MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
MANGLED = re.compile(
    rf"(?:(\d{{1,2}})[-/ ]({MONTHS})|({MONTHS})[-/ ](\d{{1,2}})|\d{{4}}-(\d{{2}})-(\d{{2}})(?: 00:00:00)?"
    r"|\d[.,]\d+E\+\d+)",
    re.IGNORECASE,
)
"""Dates and numbers that Excel makes of gene names such as MARCH1 and 2310009E13."""

DATED = {"mar": "MARCHF", "sep": "SEPTIN", "dec": "DELEC", "oct": "POU5F", "apr": "APR", "nov": "NOV"}
"""What genes were called that Excel takes for dates: their names of today, by month."""

_EDGES = " \t\r\n\v\f\u00a0\u200b\u200c\u200d\u2060\ufeff"
_QUOTES = "\"'`"
MOST_QUOTES = 4
"""Quotes within quotes that are taken off: each time takes as long as the text, and hostile ones have millions."""


@dataclass(frozen=True)
class GeneSet:
    """Some genes under a name.

    Parameters
    ----------
    name
        What it is called; labels are made of it.
    genes
        Genes that are high, each once, in the order they were given.
    negative
        Genes that are low in what the set stands for; often none.
    description
        What it is about.
    about
        What is known of single genes, by gene.

    Examples
    --------
    >>> GeneSet("T cell", ("CD3D", "CD3E"), ("CD19",)).n_genes
    3
    """

    name: str
    genes: tuple[str, ...]
    negative: tuple[str, ...] = ()
    description: str = ""
    about: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def n_genes(self) -> int:
        """Genes it names."""
        return len(self.genes) + len(self.negative)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, which `from_json` reads back; what is empty is left out."""
        rest = {
            "negative": list(self.negative),
            "description": self.description,
            "about": dict(self.about),
        }
        return {"name": self.name, "genes": list(self.genes), **{key: value for key, value in rest.items() if value}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "GeneSet":
        """Read what `to_json` wrote.

        Raises
        ------
        LookupError, TypeError, ValueError
            It is something else.
        """
        texts = [values["name"], values.get("description", "")]
        genes, negative, about = values["genes"], values.get("negative", []), values.get("about", {})
        if not isinstance(genes, list) or not isinstance(negative, list) or not isinstance(about, dict):
            raise TypeError("genes are a list")
        if not all(isinstance(text, str) for text in (*texts, *genes, *negative, *about, *about.values())):
            raise TypeError("names are texts")
        return cls(texts[0], tuple(genes), tuple(negative), texts[1], about)


def check_set_name(text: str) -> str:
    """Return the name of a set or a collection as it will be kept: trimmed, composed, on one line.

    Raises
    ------
    NameRefused
        With the code E01 (empty), E05 (too long) or E06 (control characters).

    Examples
    --------
    >>> check_set_name(" T cell,  CD4+ ")
    'T cell,  CD4+'
    """
    kept = _bare(plain_label(unicodedata.normalize("NFC", text)))
    if not kept:
        raise NameRefused("E01", "Enter a name.")
    if len(kept) > NAME_LENGTH:
        raise NameRefused("E05", f"Name is {len(kept)} characters long; the limit is {NAME_LENGTH}.")
    if not is_printable(kept):
        raise NameRefused("E06", "Names cannot contain control characters. Type the name again.")
    return kept


def clean_gene(text: str) -> str:
    """Return a gene as it is kept: without spaces and quotes at its ends, and without an Ensembl version.

    Examples
    --------
    >>> clean_gene(' "CD3D" '), clean_gene("ENSG00000167286.9"), clean_gene("AC004556.1")
    ('CD3D', 'ENSG00000167286', 'AC004556.1')
    """
    kept = _bare(unicodedata.normalize("NFC", text))
    versioned = VERSIONED.fullmatch(kept)
    return versioned.group(1) if versioned else kept


def _bare(text: str) -> str:
    """Take spaces off the ends of a text, and quotes around it."""
    kept = text.strip(_EDGES)
    for _ in range(MOST_QUOTES):
        if len(kept) < 2 or kept[0] != kept[-1] or kept[0] not in _QUOTES:
            break
        kept = kept[1:-1].strip(_EDGES)
    return kept.strip('"')


def is_gene(text: str) -> bool:
    """Tell whether a text can be the name of a gene at all."""
    return 0 < len(text) <= GENE_LENGTH and is_printable(text)


def mangled(text: str) -> str | None:
    """Tell whether Excel made a date or a number of a gene.

    Returns
    -------
    str or None
        What it was, as far as that can be known, else ``""``; None when nothing was done to it.

    Examples
    --------
    >>> mangled("1-Mar"), mangled("Sep-07"), mangled("2.31E+13"), mangled("CD3D")
    ('MARCHF1', 'SEPTIN7', '', None)
    """
    found = MANGLED.fullmatch(text)
    if found is None:
        return None
    day, month, second_month, second_day, number, of_number = found.groups()
    word = (month or second_month or "").lower()
    if number:
        # As 2023-03-01: the month stands for the family, the day for the member.
        word = {"03": "mar", "09": "sep", "12": "dec", "10": "oct"}.get(number, "")
        day = of_number
    own = DATED.get(word, "")
    which = (day or second_day or "").lstrip("0")
    return f"{own}{which}" if own and which else ""


def species_of(sets: Iterable[GeneSet]) -> str:
    """Return which species the genes of some sets look like: ``"human"``, ``"mouse"`` or ``"unknown"``."""
    genes: dict[str, None] = {}
    for own in sets:
        genes |= dict.fromkeys((*own.genes, *own.negative))
        if len(genes) > 5000:
            break
    return inspect_genes(list(genes)).species


def merged(sets: Sequence[GeneSet]) -> tuple[GeneSet, ...]:
    """Unite sets of the same name; the first one has the say where they differ.

    Examples
    --------
    >>> merged([GeneSet("T", ("CD3D",)), GeneSet("B", ("CD19",)), GeneSet("T", ("CD3E", "CD3D"))])[0].genes
    ('CD3D', 'CD3E')
    """
    found: dict[str, GeneSet] = {}
    for own in sets:
        known = found.get(own.name)
        if known is None:
            found[own.name] = own
            continue
        genes = tuple(dict.fromkeys((*known.genes, *(gene for gene in own.genes if gene not in known.negative))))
        negative = (*known.negative, *(gene for gene in own.negative if gene not in genes))
        found[own.name] = GeneSet(
            own.name,
            genes,
            tuple(dict.fromkeys(negative)),
            known.description or own.description,
            {**own.about, **known.about},
        )
    return tuple(found.values())
