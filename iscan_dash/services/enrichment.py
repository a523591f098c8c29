"""Score the cells of a study for gene sets: what the page, the job and the command line do alike."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from iscan_dash import __version__
from iscan_dash.core.engine.chunks import MapChunks
from iscan_dash.core.engine.control import Control
from iscan_dash.core.enrichment.method import Method
from iscan_dash.core.enrichment.scores import SetScores
from iscan_dash.core.enrichment.sets import MatchedSet
from iscan_dash.core.gene_sets.gene_set import GeneSet, species_of
from iscan_dash.core.gene_sets.match import FoundSet, GeneIndex, match_set, match_warnings
from iscan_dash.core.selection.mask_codec import decode
from iscan_dash.core.study import Study
from iscan_dash.core.study.dataset import Dataset
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.core.words import counted
from iscan_dash.errors import EnrichmentRefused, PredictionRefused
from iscan_dash.services.enrichment_parameters import METHODS, EnrichmentParameters
from iscan_dash.services.study_query import ChosenMatrix, choose_matrices, gene_names, own_genes, study_query

MOST_SCORES = 200_000_000
"""Scores of one analysis: 3.6 GB on the disk."""

_INDEXES: WeakKeyDictionary[Dataset, dict[Any, GeneIndex]] = WeakKeyDictionary()
"""Genes of studies by all that they are called, by the first file and the matrices that are read."""


@dataclass(frozen=True, eq=False)
class EnrichmentPreflight:
    """What is known before cells are scored.

    Parameters
    ----------
    n_cells, n_all
        Cells that are scored, and those of the study.
    matrices
        The matrix of each file.
    n_genes
        Genes that all files have.
    matched
        What was found of each set, in their order.
    species_of_sets, species
        Which species the sets and the study look like.
    warnings
        What is odd, a sentence each.
    """

    n_cells: int
    n_all: int
    matrices: tuple[ChosenMatrix, ...]
    n_genes: int
    matched: tuple[FoundSet, ...]
    species_of_sets: str
    species: str
    warnings: tuple[str, ...]

    @property
    def n_usable(self) -> int:
        """Sets of which a gene was found."""
        return sum(own.n_found > 0 for own in self.matched)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "n_cells": self.n_cells,
            "n_all": self.n_all,
            "matrices": [{"file": own.file, "key": own.key, "kind": own.description} for own in self.matrices],
            "n_genes": self.n_genes,
            "sets": [own.to_json() for own in self.matched],
            "n_usable": self.n_usable,
            "species_sets": self.species_of_sets,
            "species_study": self.species,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, eq=False)
class Scored:
    """Cells scored for gene sets.

    Parameters
    ----------
    parameters
        How it was done.
    preflight
        What was known before.
    recipe
        All that is needed to do it again, as plain values, but for the mask of the cells.
    scores
        What the engine found, of each set and each cell that was scored.
    cells
        Which cells these are, shape (n_cells of the study,), bool; all when None.
    warnings
        What is odd, a sentence each.
    """

    parameters: EnrichmentParameters
    preflight: EnrichmentPreflight
    recipe: dict[str, Any]
    scores: SetScores
    cells: np.ndarray | None
    warnings: tuple[str, ...]


def match_genes(study: Study, parameters: EnrichmentParameters) -> tuple[FoundSet, ...]:
    """Find the genes of sets in a study, whether they can be scored or not.

    Raises
    ------
    PredictionRefused, UnknownColumn
        The study has no matrix that tells of expression.
    """
    return _matched(gene_index(study, choose_matrices(study, parameters.matrix)), parameters.sets)


def enrichment_preflight(study: Study, parameters: EnrichmentParameters) -> EnrichmentPreflight:
    """Look whether sets can be scored, and what to expect.

    Raises
    ------
    EnrichmentRefused
        There is no set (E51) or no gene of any (E52), they are of another organism (E14), or there are no cells.
    PredictionRefused, UnknownColumn
        There is no such matrix, or it is scaled (E15).
    """
    parameters.check()
    matrices = _matrices(study, parameters.matrix)
    cells = chosen_cells(study, parameters)
    n_cells = study.n_cells if cells is None else int(cells.sum())
    if not n_cells:
        raise EnrichmentRefused("No cells match. Change the Cell Filter, or clear it.")
    index = gene_index(study, matrices)
    matched = _matched(index, parameters.sets)
    asked, found = species_of(parameters.sets), index.species
    differs = asked != found and "unknown" not in {asked, found}
    what = parameters.collection or "The collection"
    if differs and not parameters.any_organism:
        raise EnrichmentRefused(f"{what} is {asked} but gene names look like {found}.", "E14")
    if not any(own.n_found for own in matched):
        raise EnrichmentRefused("None of the genes in the chosen sets are in this dataset.", "E52")
    if n_cells * len(matched) > MOST_SCORES:
        raise EnrichmentRefused(
            f"{counted(len(matched), 'set')} for {counted(n_cells, 'cell')} are too many scores. "
            f"Choose {MOST_SCORES // n_cells:,} sets at most, or fewer cells."
        )
    warnings = match_warnings(matched, index)
    if differs:
        warnings.insert(0, f"{what} is {asked} but gene names look like {found}; it is used anyway.")
    return EnrichmentPreflight(
        n_cells, study.n_cells, matrices, len(index.names), matched, asked, found, tuple(warnings)
    )


def score_study(
    study: Study,
    parameters: EnrichmentParameters,
    *,
    threads: int = 1,
    control: Control | None = None,
    folder: Path | None = None,
    map_chunks: MapChunks | None = None,
) -> Scored:
    """Score the cells of a study.

    Parameters
    ----------
    study
        The study.
    parameters
        What decides the scores.
    threads
        Threads to use.
    control
        Who is told of the progress and may cancel. The steps are ``"match genes"``, ``"Preparing (once)"``,
        ``"average"`` (module score only) and ``"score"``.
    folder
        Where the scores are written as they come; in memory when None.
    map_chunks
        Who scores chunks of cells; done here when None.

    Raises
    ------
    EnrichmentRefused, PredictionRefused, UnknownColumn
        It cannot be done; the message says why and what to do.
    Cancelled
        It was cancelled.
    """
    # Imported late: a server starts without Numba.
    from iscan_dash.core.enrichment.scoring import score_sets
    from iscan_dash.core.enrichment.warm_up import is_warm, warm_up

    control = control or Control()
    control.tell("match genes", 0, 1)
    preflight = enrichment_preflight(study, parameters)
    if not is_warm():
        control.tell("Preparing (once)", 0, 1)
        warm_up()
    cells = chosen_cells(study, parameters)
    with study_query(study, preflight.matrices, cells) as query:
        scores = score_sets(
            query,
            [_for_engine(own) for own in preflight.matched],
            Method(parameters.method),
            max_rank=parameters.max_rank,
            seed=parameters.seed,
            threads=threads,
            control=control,
            folder=folder,
            map_chunks=map_chunks,
        )
    warnings = list(preflight.warnings)
    if scores.n_not_finite:
        n = scores.n_not_finite
        warnings.append(f"{counted(n, 'value is', 'values are')} not finite (NaN or infinite) and taken as 0.")
    recipe = _recipe(study, parameters, preflight, scores)
    return Scored(parameters, preflight, recipe, scores, cells, tuple(warnings))


def chosen_cells(study: Study, parameters: EnrichmentParameters) -> np.ndarray | None:
    """Return which cells are scored, shape (n_cells,), bool; None for all.

    Raises
    ------
    EnrichmentRefused
        The mask is of another study.
    """
    if parameters.cells is None:
        return None
    try:
        mask = decode(parameters.cells, study.n_cells)
    except ValueError as error:
        raise EnrichmentRefused("The chosen cells are those of another study. Choose them again.") from error
    return None if mask.all() else mask


def gene_index(study: Study, matrices: Sequence[ChosenMatrix]) -> GeneIndex:
    """Return the genes that all files have, by all that they are called in any column of the files."""
    known = _INDEXES.setdefault(study.datasets[0], {})
    key = (tuple(dataset.path for dataset in study.datasets), tuple((own.key, own.gene_column) for own in matrices))
    if key not in known:
        known[key] = _gene_index(study, matrices)
    return known[key]


@lru_cache(maxsize=8)
def _matched(index: GeneIndex, sets: tuple[GeneSet, ...]) -> tuple[FoundSet, ...]:
    """Find the genes of sets; a page asks for those of a whole collection at each change of its form."""
    return tuple(match_set(own, index) for own in sets)


def _matrices(study: Study, key: str | None) -> tuple[ChosenMatrix, ...]:
    """Choose the matrices; where one is scaled, the refusal names those that serve."""
    try:
        return choose_matrices(study, key)
    except PredictionRefused as error:
        serve = [
            name
            for name in study.datasets[0].matrices
            if all(
                name in own.matrices and study.matrix_kind(own, name).kind is not MatrixKind.SCALED
                for own in study.datasets
            )
        ]
        if error.code != "E15" or not serve:
            raise
        raise PredictionRefused(f"{error} In this study: {', '.join(serve)}.", "E15") from error


def _gene_index(study: Study, matrices: Sequence[ChosenMatrix]) -> GeneIndex:
    names = gene_names(study, matrices)
    place_of = {name: place for place, name in reversed(list(enumerate(names))) if name}
    more = []
    for dataset, matrix in zip(study.datasets, matrices, strict=True):
        own = own_genes(dataset, matrix)
        table = dataset.genes(matrix.key)
        same = len(own) == len(names) and all((mine or None) == name for mine, name in zip(own, names, strict=True))
        for column in table.columns:
            texts = table.names(column)
            if not same:
                moved = [""] * len(names)
                for mine, text in zip(own, texts, strict=True):
                    if mine in place_of and not moved[place_of[mine]]:
                        moved[place_of[mine]] = text
                texts = tuple(moved)
            more.append(texts)
    return GeneIndex.of(names, more)


def _for_engine(own: FoundSet) -> MatchedSet:
    columns = np.concatenate([own.high, own.low])
    weights = np.repeat([1.0, -1.0], [len(own.high), len(own.low)]) if own.n_low else None
    return MatchedSet(own.name, columns, own.n_high, own.n_low, weights)


def _recipe(
    study: Study, parameters: EnrichmentParameters, preflight: EnrichmentPreflight, scores: SetScores
) -> dict[str, Any]:
    known = replace(parameters, cells=None)
    return {
        "method": METHODS[parameters.method],
        "method_key": parameters.method,
        "max_rank": scores.max_rank,
        "seed": known.seed,
        "collection": known.collection,
        "any_organism": known.any_organism,
        "sets": [own.to_json() for own in known.sets],
        "cells": None if known.cells_recipe is None else dict(known.cells_recipe),
        "n_cells": preflight.n_cells,
        "n_genes": scores.n_genes,
        "matrix": known.matrix,
        "matrices": {own.file: {"key": own.key, "kind": str(own.kind)} for own in preflight.matrices},
        "fingerprint": study.fingerprint,
        "versions": {"iscan-dash": __version__, "numpy": np.__version__},
    }
