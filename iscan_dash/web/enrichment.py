"""The page Enrichment: the form of analyses, and their results."""

from typing import Any

from pydantic import BaseModel, Field

from iscan_dash.core.annotations.names import check_name, free_name
from iscan_dash.core.enrichment.method import METHOD_TEXT, Method
from iscan_dash.core.gene_sets import GeneSet
from iscan_dash.errors import EnrichmentRefused, IscanError, NameRefused
from iscan_dash.services.enrichment import enrichment_preflight
from iscan_dash.services.enrichment_parameters import METHODS, EnrichmentParameters, plain_parameters, read_parameters
from iscan_dash.services.job_table import Job
from iscan_dash.web.predictions import matrix_choices, recommended_matrix
from iscan_dash.web.services import Services

FIELDS = {"E14": "collection", "E15": "matrix", "E51": "sets", "E52": "sets", "E53": "sets"}
"""The field that a refusal is about, by its code."""


class EnrichmentForm(BaseModel):
    """What was filled in."""

    name: str = Field("", max_length=1000)
    collection: str = Field("", max_length=500)
    sets: list[str] | None = Field(None, max_length=20_000)
    """Names of the chosen sets; all of the collection when None."""

    filtered: bool = False
    selection: int | None = None
    """Version of the selection that the page shows."""

    matrix: str = Field("", max_length=10_000)
    method: str = Field("ucell", max_length=20)
    seed: int | None = 0
    any_organism: bool = False


Problems = dict[str, tuple[str, str]]
"""Code and sentence by field."""


def offer(services: Services) -> dict[str, Any]:
    """Return what can be chosen."""
    study = services.workspace.study
    collections = services.gene_sets.list(services.workspace.user)
    return {
        "collections": [own.to_json() for own in collections],
        "matrices": matrix_choices(study),
        "recommended": recommended_matrix(study),
        "methods": [
            {"key": key, "title": title, "text": _explained(METHOD_TEXT[Method(key)])} for key, title in METHODS.items()
        ],
        "n_cells": study.n_cells,
    }


def _explained(text: str) -> str:
    """Return what is in brackets behind the title of a method: ``"Ranks within each cell, 0 to 1"``."""
    rest = text.partition(" (")[2].removesuffix(")")
    return rest[:1].upper() + rest[1:]


def look(services: Services, form: EnrichmentForm) -> dict[str, Any]:
    """Return what is wrong with a form, by field, and what to expect of the analysis.

    Returns
    -------
    dict
        ``problems`` (code and sentence by field), ``name_note``, and ``preflight``, None while something is missing.
    """
    problems: Problems = {}
    found: dict[str, Any] = {"problems": problems, "name_note": "", "preflight": None}
    try:
        name = check_name(form.name, {})
        taken = {entry.name: "enrichment" for entry in services.enrichments.list()}
        if (free := free_name(name, taken)) != name:
            found["name_note"] = f'The result will be called "{free}": there is one of that name.'
    except NameRefused as error:
        problems["name"] = error.code, str(error)
    if form.seed is None or not 0 <= form.seed < 2**32:
        problems["seed"] = "", "The seed must be a whole number from 0 to 4,294,967,295."
    try:
        parameters = _parameters(services, form)
        found["preflight"] = enrichment_preflight(services.workspace.study, parameters).to_json()
    except IscanError as error:
        code = str(getattr(error, "code", ""))
        problems[FIELDS.get(code, "card")] = code, str(error)
    return found


def submit(services: Services, form: EnrichmentForm) -> Job:
    """Put an analysis into the queue, or return the same one that waits or runs.

    Raises
    ------
    IscanError
        Something is wrong with the form, or it cannot be done.
    """
    for code, sentence in look(services, form)["problems"].values():
        raise EnrichmentRefused(sentence, code)
    if form.filtered and form.selection != services.selections.state()["mask_version"]:
        raise EnrichmentRefused("The Cell Filter changed since this form was shown. Look at the number of cells again.")
    parameters = plain_parameters(_parameters(services, form))
    return services.jobs.submit("enrichment", form.name, parameters, services.workspace)


def form_of(services: Services, job: Job) -> dict[str, Any]:
    """Return the form that asks again for what a job did, with the recipe of its cells.

    Raises
    ------
    EnrichmentRefused
        Its collection is gone.
    """
    parameters = read_parameters(job.parameters)
    names = [own.name for own in parameters.sets]
    for own in services.gene_sets.list(services.workspace.user):
        if own.name == parameters.collection and set(names) <= {known.name for known in own.sets}:
            collection = own
            break
    else:
        raise EnrichmentRefused(f'The collection "{parameters.collection}" of this analysis is not there any more.')
    form = EnrichmentForm(
        name=job.name,
        collection=collection.id,
        sets=None if len(names) == len(collection.sets) else names,
        filtered=parameters.cells is not None,
        matrix=parameters.matrix or "",
        method=parameters.method,
        seed=parameters.seed,
        any_organism=parameters.any_organism,
    )
    return {"form": form.model_dump(), "cells": parameters.cells_recipe}


def listed(services: Services) -> dict[str, Any]:
    """Return the user's results, the newest first."""
    return {"results": [entry.to_json() for entry in services.enrichments.list()]}


def _parameters(services: Services, form: EnrichmentForm) -> EnrichmentParameters:
    """Return what decides the scores.

    Raises
    ------
    IscanError
        The collection or one of its sets is gone, or no cells are selected.
    """
    name, sets = _sets(services, form)
    cells, recipe = None, None
    if form.filtered:
        cells, recipe = services.selections.packed(), services.selections.recipe()
        if cells is None:
            raise EnrichmentRefused("No cells are filtered now. Choose cells in the Cell Filter, or score all cells.")
    return EnrichmentParameters(
        sets,
        collection=name,
        method=form.method,
        matrix=form.matrix or None,
        cells=cells,
        cells_recipe=recipe,
        seed=form.seed or 0,
        any_organism=form.any_organism,
    )


def _sets(services: Services, form: EnrichmentForm) -> tuple[str, tuple[GeneSet, ...]]:
    if not form.collection:
        raise EnrichmentRefused("Choose a gene set collection.", "E51")
    collection = services.gene_sets.get(services.workspace.user, form.collection)
    return collection.name, collection.sets if form.sets is None else collection.chosen(form.sets)
