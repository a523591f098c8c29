"""Write gene sets as text that other programs, and `read_gene_sets`, read."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence

from iscan_dash.core.gene_sets.gene_set import GeneSet

CELLXGENE = ("gene_set_name", "gene_set_description", "gene_symbol", "gene_description")


def gmt_text(sets: Iterable[GeneSet]) -> str:
    r"""Write GMT: name, description and genes of a set in each line; genes that are low end with ``-``.

    Examples
    --------
    >>> gmt_text([GeneSet("T cell", ("CD3D", "CD3E"), ("CD19",))])
    'T cell\t\tCD3D\tCD3E\tCD19-\n'
    """
    return "".join("\t".join((own.name, own.description, *_signed(own))) + "\n" for own in sets)


def cellxgene_text(sets: Iterable[GeneSet]) -> str:
    r"""Write the CSV table that cellxgene reads and writes: a gene in each row.

    Examples
    --------
    >>> print(cellxgene_text([GeneSet("T cell", ("CD3D",), description="all of them")]), end="")
    gene_set_name,gene_set_description,gene_symbol,gene_description
    T cell,all of them,CD3D,
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CELLXGENE)
    for own in sets:
        genes = (*own.genes, *own.negative)
        writer.writerows(
            (own.name, own.description, signed, own.about.get(gene, ""))
            for gene, signed in zip(genes, _signed(own), strict=True)
        )
    return text.getvalue()


def json_text(name: str, description: str, organism: str, sets: Sequence[GeneSet]) -> str:
    """Write all that is known of a collection as JSON."""
    values = {
        "name": name,
        "description": description,
        "organism": organism,
        "sets": [own.to_json() for own in sets],
    }
    return json.dumps(values, ensure_ascii=False, indent=1) + "\n"


def _signed(own: GeneSet) -> Iterator[str]:
    yield from own.genes
    yield from (f"{gene}-" for gene in own.negative)
