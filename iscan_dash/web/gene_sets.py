"""Gene set collections as pages show them, and what pages ask of them."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from iscan_dash.core.gene_sets import GeneSet, read_gene_sets
from iscan_dash.core.gene_sets.match import match_warnings
from iscan_dash.core.gene_sets.read import FORMATS, MOST_BYTES, ReadSets
from iscan_dash.core.words import counted
from iscan_dash.errors import EnrichmentRefused, IscanError
from iscan_dash.services.enrichment import gene_index, match_genes
from iscan_dash.services.enrichment_parameters import EnrichmentParameters
from iscan_dash.services.gene_sets import GeneSetCollection
from iscan_dash.services.study_query import choose_matrices
from iscan_dash.web.services import Services

MOST_LISTED = 1000
"""Sets of a collection that a page lists, and that are looked for in the study."""

MOST_GENES = 500
"""Genes of a set that a page lists; longer sets are not edited there."""

LARGEST_FILE = MOST_BYTES

Id = Field(max_length=500)
Name = Field(max_length=1000)
Version = Field(ge=0, le=2**53)


class Reading(BaseModel):
    """How a file or pasted text is to be read."""

    name: str = Field("", max_length=500)
    """The file's name, empty for what was pasted."""

    read_as: str = Field("", max_length=20)
    top: int = Field(50, ge=1, le=10_000)


class Making(Reading):
    """What becomes of what was read: a new collection, or more sets of one that is there."""

    collection: str = Field("", max_length=500)
    """Empty for a new one."""

    called: str = Field("", max_length=1000)
    version: int = Field(0, ge=0, le=2**53)
    repeated: Literal["refuse", "merge", "replace"] = "refuse"
    """What becomes of sets of one name."""


class Renaming(BaseModel):
    """Another name and description of a collection."""

    id: str = Id
    name: str = Name
    description: str = Field("", max_length=10_000)
    version: int = Version


class SetEdit(BaseModel):
    """A set, new or in the place of another one."""

    id: str = Id
    version: int = Version
    former: str = Field("", max_length=1000)
    name: str = Name
    genes: str = Field(max_length=1_000_000)


class SetNames(BaseModel):
    """Sets of a collection."""

    id: str = Id
    version: int = Version
    names: list[str] = Field(max_length=100_000)


class Chosen(BaseModel):
    """A collection, and a name for what comes of it."""

    id: str = Id
    name: str = Field("", max_length=1000)


def listed(services: Services) -> dict[str, Any]:
    """Return the collections that the user can choose from, and where one's own files are looked for."""
    collections = services.gene_sets.list(services.workspace.user)
    shared = services.registry.shared
    return {
        "collections": [own.to_json() for own in collections],
        "folder": str(shared / "gene_sets") if shared else "",
        "formats": FORMATS,
    }


def details(services: Services, id_: str, matrix: str = "", wanted: str = "") -> dict[str, Any]:
    """Return a collection with its sets, those whose name or genes contain a text, and which genes the study has."""
    collection = services.gene_sets.get(services.workspace.user, id_)
    text = wanted.strip().casefold()
    sets = [own for own in collection.sets if text in own.name.casefold() or text.upper() in own.genes]
    found = _with_report(services, sets, matrix)
    return {**collection.to_json(), **found, "n_sets": len(collection.sets), "n_matching": len(sets)}


def read(services: Services, data: bytes, asked: Reading) -> dict[str, Any]:
    """Return what a file or pasted text holds, without keeping it, and which of its genes the study has."""
    found = _read(data, asked)
    values = {**found.to_json(), **_with_report(services, found.merged().sets)}
    return {**values, "title": FORMATS.get(found.read_as, found.format)}


def keep(services: Services, data: bytes, asked: Making) -> GeneSetCollection:
    """Make a collection of a file or pasted text, or add its sets to one.

    Raises
    ------
    IscanError
        It cannot be read or kept; sets of one name are refused with the code E53 until it is said what becomes of them.
    """
    found = _read(data, asked)
    if found.repeated and asked.repeated == "refuse":
        raise EnrichmentRefused(
            f"{counted(len(found.repeated), 'name occurs', 'names occur')} several times with different genes "
            f"({', '.join(found.repeated[:5])}). Unite them, or rename them in the file.",
            "E53",
        )
    sets, user = found.merged().sets, services.workspace.user
    if asked.collection:
        return services.gene_sets.add(user, asked.collection, sets, asked.version, asked.repeated)
    return services.gene_sets.create(user, asked.called, sets, found.description)


def put(services: Services, asked: SetEdit) -> GeneSetCollection:
    """Add a set to a collection, or put it in the place of another one."""
    # A name and a colon would make another set of it.
    found = read_gene_sets(asked.genes, "", read_as="list").sets[0]
    new = GeneSet(asked.name, found.genes, found.negative)
    user = services.workspace.user
    for old in services.gene_sets.get(user, asked.id).sets:
        if asked.former and old.name == asked.former:
            new = GeneSet(asked.name, found.genes, found.negative, old.description, old.about)
    return services.gene_sets.put_set(user, asked.id, new, asked.version, asked.former)


def _read(data: bytes, asked: Reading) -> ReadSets:
    # What was pasted is text already.
    given = data if asked.name else data.decode("utf-8", "replace")
    return read_gene_sets(given, asked.name, read_as=asked.read_as or None, top=asked.top)


def _with_report(services: Services, sets: Sequence[GeneSet], matrix: str = "") -> dict[str, Any]:
    """Return sets as they are listed, with what was found of each; the numbers are left out when none can be found."""
    some = tuple(sets[:MOST_LISTED])
    rows = [_row(own) for own in some]
    said: dict[str, Any] = {"sets": rows, "n_sets": len(sets), "report": [], "problem": ""}
    study = services.workspace.study
    try:
        parameters = EnrichmentParameters(some, matrix=matrix or None)
        matched = match_genes(study, parameters)
        index = gene_index(study, choose_matrices(study, parameters.matrix))
    except IscanError as error:
        said["problem"] = str(error)
        return said
    said["sets"] = [{**row, **own.to_json()} for row, own in zip(rows, matched, strict=True)]
    said["report"] = match_warnings(matched, index)
    return said


def _row(own: GeneSet) -> dict[str, Any]:
    genes = [*own.genes, *(f"{gene}-" for gene in own.negative)]
    return {
        "name": own.name,
        "description": own.description,
        "genes": genes[:MOST_GENES],
        "asked": own.n_genes,
        "n_genes": own.n_genes,
    }
