"""The form of predictions: what it offers, what is wrong with what was filled in, and what comes of it."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from iscan_dash.core.annotations.names import check_name, free_name
from iscan_dash.core.references import Entry
from iscan_dash.core.references.registry import State
from iscan_dash.core.study import Study
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.errors import IscanError, NameRefused, PredictionRefused
from iscan_dash.services.job_table import Job
from iscan_dash.services.prediction import FEW_SHARE
from iscan_dash.services.prediction_estimate import estimate
from iscan_dash.services.prediction_parameters import (
    MOST_CUTOFF,
    MOST_THRESHOLD,
    NAME_TEMPLATE,
    Parameters,
    plain_parameters,
    read_parameters,
    resolved_name,
)
from iscan_dash.services.prediction_result import Preflight
from iscan_dash.services.prepared_references import Waiting
from iscan_dash.services.processes import processors
from iscan_dash.services.study_query import choose_matrices
from iscan_dash.services.workspace import Workspace
from iscan_dash.web.references import card
from iscan_dash.web.services import Services

MOST_TICKED = 20
"""Samples up to which all are ticked at first."""

FIELDS = {"E13": "card", "E14": "reference", "E15": "matrix", "E16": "column"}
"""The field that a refusal is about, by its code."""


class PredictionForm(BaseModel):
    """What was filled in; a number that is None is not understood."""

    name: str = Field(NAME_TEMPLATE, max_length=1000)
    samples: list[str] | None = Field(None, max_length=100_000)
    reference: str = Field("", max_length=64)
    granularity: Literal["main", "fine"] = "main"
    by_cluster: bool = False
    source: Literal["cluster", "metadata"] = "cluster"
    column: str = Field("", max_length=10_000)
    fine_tune: bool = True
    threshold: float | None = Field(0.05, allow_inf_nan=False)
    nmads: float | None = Field(3.0, allow_inf_nan=False)
    no_pruning: bool = False
    matrix: str = Field("", max_length=10_000)
    gene_column: str = Field("", max_length=10_000)
    any_organism: bool = False

    @property
    def parameters(self) -> Parameters:
        """What decides the prediction; numbers that are not understood have their defaults."""
        return Parameters(
            self.reference,
            self.granularity,
            samples=None if self.samples is None else tuple(self.samples),
            by_cluster=self.column if self.by_cluster else None,
            fine_tune=self.fine_tune,
            # Of a field that is hidden nothing counts.
            threshold=self.threshold if self.fine_tune and self.threshold is not None else 0.05,
            nmads=None if self.no_pruning else 3.0 if self.nmads is None else self.nmads,
            matrix=self.matrix or None,
            gene_column=self.gene_column or None,
            any_organism=self.any_organism,
        )


Problems = dict[str, tuple[str, str]]
"""Code and sentence by field."""


def offer(services: Services) -> dict[str, Any]:
    """Return what can be chosen, and what is chosen at first."""
    workspace = services.workspace
    study, samples = workspace.study, workspace.study.samples
    counts = np.bincount(samples.codes, minlength=len(samples.labels)).tolist()
    return {
        "samples": [{"name": name, "count": count} for name, count in zip(samples.labels, counts, strict=True)],
        "ticked": len(samples.labels) <= MOST_TICKED,
        "columns": {kind: labelled_columns(workspace, kind) for kind in ("cluster", "metadata")},
        "matrices": matrix_choices(study),
        "recommended": recommended_matrix(study),
        "gene_columns": _gene_columns(study),
        "references": reference_cards(services),
        "template": NAME_TEMPLATE,
    }


def reference_cards(services: Services) -> list[dict[str, Any]]:
    """Return the references; of those that are no reference at all the References page tells more."""
    return [card(entry) for entry in services.registry.entries() if _is_choice(entry)]


def _is_choice(entry: Entry) -> bool:
    return entry.state is not State.REFUSED


def labelled_columns(workspace: Workspace, kind: str) -> list[dict[str, Any]]:
    """Return the columns of labels, of ``"cluster"`` or ``"metadata"``, and how many labels they have."""
    study = workspace.study
    infos = [info for info in study.columns.values() if (info.role == "cluster") == (kind == "cluster")]
    found = []
    for info in infos:
        if study.copyable(info.name, workspace.max_items):
            column = study.category(info.name)
            found.append({"name": info.name, "groups": len(column.labels), "missing": column.n_missing})
    return found


def matrix_choices(study: Study) -> list[dict[str, Any]]:
    """Return the matrices that all files have, and what is in them."""
    keys = [key for key in study.datasets[0].matrices if all(key in dataset.matrices for dataset in study.datasets)]
    found = []
    for key in keys:
        kinds = [study.matrix_kind(dataset, key) for dataset in study.datasets]
        found.append(
            {
                "key": key,
                "kind": ", ".join(dict.fromkeys(evidence.description for evidence in kinds)),
                "scaled": any(evidence.kind is MatrixKind.SCALED for evidence in kinds),
            }
        )
    return found


def recommended_matrix(study: Study) -> str:
    """Return the matrices that are read unless another one is chosen, ``""`` when none tells of expression."""
    try:
        return ", ".join(dict.fromkeys(matrix.key for matrix in choose_matrices(study)))
    except IscanError:
        # The form says so where it matters.
        return ""


def _gene_columns(study: Study) -> list[dict[str, str]]:
    """Return the columns with names of genes that all files have, each with a name in it; first what is automatic."""
    try:
        genes = [
            dataset.genes(matrix.key) for dataset, matrix in zip(study.datasets, choose_matrices(study), strict=True)
        ]
    except IscanError:
        # The form says so where it matters.
        return []
    first = genes[0]
    automatic = ", ".join(dict.fromkeys(own.automatic for own in genes))
    found = [{"key": "", "name": automatic, "example": next(filter(None, first.names()), "")}]
    for key, example in first.columns.items():
        if all(own.has(key) for own in genes):
            found.append({"key": key, "name": key, "example": example})
    return found


def look(services: Services, form: PredictionForm) -> dict[str, Any]:
    """Return what is wrong with a form, by field, and what to expect of the prediction.

    Returns
    -------
    dict
        ``problems`` (code and sentence by field), ``name`` as it will be, once there is a reference, and ``name_note``;
        ``waiting`` (what for) or ``preflight`` (see `_plain`), None while something is missing.
    """
    workspace = services.workspace
    problems = check(form)
    name, note = "", ""
    try:
        # Which placeholders there are is known before what the reference is called.
        resolved = resolved_name(form.name, form.parameters)
        if form.reference:
            name = check_name(resolved, {})
            free = free_name(name, workspace.taken_names())
            if free != name:
                note = f'"{name}" is used already; the result will be called "{free}".'
    except NameRefused as error:
        problems["name"] = error.code, str(error)
    found: dict[str, Any] = {"problems": problems, "name": name, "name_note": note, "waiting": "", "preflight": None}
    if form.reference and not {"samples", "column"} & set(problems):
        try:
            preflight = services.preflights.look(workspace.study, form.parameters)
        except PredictionRefused as error:
            problems[FIELDS.get(error.code, "card")] = error.code, str(error)
        except IscanError as error:
            problems["card"] = "", str(error)
        else:
            if isinstance(preflight, Waiting):
                found["waiting"] = preflight.step
            else:
                found["preflight"] = _plain(workspace.study, preflight, form.parameters)
    return found


def check(form: PredictionForm) -> Problems:
    """Return what is wrong with a form as far as the study need not be asked, by field."""
    problems: Problems = {}
    if form.samples is not None and not form.samples:
        problems["samples"] = "E12", "Choose at least one sample."
    if form.by_cluster and not form.column.strip():
        problems["column"] = "E16", "Choose a column to group by."
    if form.fine_tune and (form.threshold is None or not 0 <= form.threshold <= MOST_THRESHOLD):
        problems["threshold"] = "E17", f"Fine-tune threshold must be 0 to {MOST_THRESHOLD}."
    if not form.no_pruning and (form.nmads is None or form.nmads < 0):
        problems["nmads"] = "E17", "Outlier cutoff must be a number of at least 0."
    elif not form.no_pruning and form.nmads is not None and form.nmads > MOST_CUTOFF:
        problems["nmads"] = "E17", f"Outlier cutoff can be {MOST_CUTOFF:,} at most; 100 and more prunes nothing."
    return problems


def _plain(study: Study, preflight: Preflight, parameters: Parameters) -> dict[str, Any]:
    expected = estimate(study, preflight, parameters, processors())
    return {
        "found": preflight.n_found,
        "markers": preflight.n_markers,
        "found_text": preflight.found_text,
        "is_few": preflight.n_found < FEW_SHARE * preflight.n_markers,
        "matrices": [
            {"file": matrix.file, "key": matrix.key, "kind": matrix.description} for matrix in preflight.matrices
        ],
        "cells": preflight.n_cells,
        "groups": preflight.n_groups,
        "labels": preflight.n_labels,
        "looks": preflight.looks,
        "warnings": list(preflight.warnings),
        "seconds": expected.seconds,
        "memory": expected.memory,
    }


def submit(services: Services, form: PredictionForm) -> Job:
    """Put a prediction into the queue, or return the same one that waits or runs.

    Raises
    ------
    IscanError
        Something is wrong with the form, or it cannot be done.
    """
    if not form.reference:
        raise PredictionRefused("Choose a reference.")
    for code, sentence in check(form).values():
        raise PredictionRefused(sentence, code)
    workspace = services.workspace
    # A job that cannot be done is no use in the queue; what takes longer to find out, it finds out itself.
    services.preflights.look(workspace.study, form.parameters)
    return services.jobs.submit("prediction", form.name, plain_parameters(form.parameters), workspace)


def form_of(job: Job, study: Study) -> dict[str, Any]:
    """Return the form that asks again for what a job did."""
    parameters = read_parameters(job.parameters)
    column = parameters.by_cluster or ""
    info = study.columns.get(column)
    is_metadata = info is not None and info.role != "cluster"
    form = PredictionForm(
        name=job.name,
        samples=None if parameters.samples is None else list(parameters.samples),
        reference=parameters.reference,
        granularity="fine" if parameters.granularity == "fine" else "main",
        by_cluster=parameters.by_cluster is not None,
        source="metadata" if is_metadata else "cluster",
        column=column,
        fine_tune=parameters.fine_tune,
        threshold=parameters.threshold,
        nmads=3.0 if parameters.nmads is None else parameters.nmads,
        no_pruning=parameters.nmads is None,
        matrix=parameters.matrix or "",
        gene_column=parameters.gene_column or "",
        any_organism=parameters.any_organism,
    )
    values: Mapping[str, Any] = form.model_dump()
    return dict(values)
