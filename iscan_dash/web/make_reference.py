"""The form that makes a reference of the open study: what it offers, and what is wrong with what was filled in."""

from collections import Counter
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from iscan_dash.core.references.pooling import RARE_CELLS, profiles_of
from iscan_dash.core.study import CategoryColumn
from iscan_dash.errors import IscanError, PredictionRefused, UnknownColumn
from iscan_dash.services.job_table import Job
from iscan_dash.services.make_reference import (
    MOST_PROFILES,
    MOST_VALUES,
    Grouped,
    Wanted,
    check,
    group_cells,
    is_no_label,
    organism_of,
    slug,
    target_of,
)
from iscan_dash.services.make_reference_job import MakeReference, label_source
from iscan_dash.services.study_query import choose_matrices, gene_names
from iscan_dash.services.workspace import Source, Workspace
from iscan_dash.web.predictions import labelled_columns
from iscan_dash.web.services import Services

MOST_LISTED = 2_000
"""Labels of a column that can be ticked; a reference of more is none."""


class ChosenLabels(BaseModel):
    """A column or annotation with labels."""

    kind: Literal["annotation", "cluster", "metadata"]
    key: str = Field(max_length=10_000)


class MakeForm(BaseModel):
    """What was filled in; a number that is None is not understood."""

    name: str = Field("", max_length=1000)
    id: str | None = Field(None, max_length=200)
    """None follows the name."""

    organism: Literal["", "human", "mouse", "unknown"] = ""
    """Empty follows the names of the genes."""

    main: ChosenLabels | None = None
    fine: ChosenLabels | None = None
    exclude: list[str] | None = Field(None, max_length=2 * MOST_LISTED)
    """Labels that are left out; those that mean none when None."""

    profiles: int | None = 10


def offer(services: Services) -> dict[str, Any]:
    """Return what a reference can be made of."""
    workspace = services.workspace
    annotations = [
        {
            "kind": "annotation",
            "key": state.id,
            "name": state.live.name,
            "groups": len(state.column.labels),
            "owner": "" if workspace.is_own(state.id) else state.live.owner,
        }
        for state in (*workspace.annotations(), *workspace.others())
        if len(state.column.labels) > 1
    ]
    columns = [
        {"kind": kind, "key": column["name"], "name": column["name"], "groups": column["groups"], "owner": ""}
        for kind in ("metadata", "cluster")
        for column in labelled_columns(workspace, kind)
        if 1 < column["groups"] <= MOST_LISTED
    ]
    return {
        "sources": [*annotations, *columns],
        "folder": str(target_of(services.registry)),
        "most_profiles": MOST_PROFILES,
    }


def look(services: Services, form: MakeForm) -> dict[str, Any]:
    """Return what is wrong with a form, by field, and what would be made.

    Returns
    -------
    dict
        ``problems`` (sentence by field), ``id``, ``looks`` (whose genes they seem to be), ``labels`` (name, cells and
        whether it is usually left out, by granularity), and ``plan`` (cells, profiles, labels with few cells), None
        while something is missing.
    """
    workspace = services.workspace
    problems: dict[str, str] = {}
    found: dict[str, Any] = {"problems": problems, "id": _id(form), "looks": "unknown", "labels": {}, "plan": None}
    try:
        found["looks"] = organism_of(workspace.study)
        columns = {kind: _column(workspace, own) for kind, own in (("main", form.main), ("fine", form.fine)) if own}
    except IscanError as error:
        problems["main"] = str(error)
        return found
    found["labels"] = {kind: _labels(column) for kind, column in columns.items()}
    wanted = _wanted(form, found["looks"])
    problems |= check(wanted, services.registry)
    if not form.name.strip():
        # Its id follows.
        problems.pop("id", None)
    if form.organism and {form.organism, found["looks"]} == {"human", "mouse"}:
        problems["organism"] = (
            f"The gene names look like {found['looks']}. A reference of another organism would be refused."
        )
    if "main" not in columns:
        problems["main"] = "Choose a column of labels."
        return found
    try:
        cells = group_cells(wanted, columns["main"], columns.get("fine"))
        n_genes = len(gene_names(workspace.study, choose_matrices(workspace.study)))
    except IscanError as error:
        problems["main"] = str(error)
        return found
    if "profiles" in problems:
        return found
    n_profiles = int(profiles_of(cells.sizes, wanted.profiles).sum())
    if n_profiles * n_genes > MOST_VALUES:
        problems["profiles"] = f"{n_profiles:,} profiles are too many. Choose fewer for each label."
    found["plan"] = _plan(cells, n_profiles)
    return found


def submit(services: Services, form: MakeForm) -> Job:
    """Put the making of a reference into the queue.

    Raises
    ------
    IscanError
        Something is wrong with the form.
    """
    said = look(services, form)
    for problem in said["problems"].values():
        raise PredictionRefused(problem)
    assert form.main
    workspace = services.workspace
    sources = {kind: own and label_source(workspace, Source(own.kind, own.key)) for kind, own in _sources(form)}
    wanted = MakeReference(**_wanted(form, said["looks"]).model_dump(), **sources)
    return services.jobs.submit("reference", wanted.name, wanted.model_dump(mode="json"), workspace)


def _sources(form: MakeForm) -> tuple[tuple[str, ChosenLabels | None], ...]:
    return ("main", form.main), ("fine", form.fine)


def _id(form: MakeForm) -> str:
    return slug(form.name) if form.id is None else form.id


def _wanted(form: MakeForm, looks: str) -> Wanted:
    return Wanted(
        id=_id(form),
        name=form.name,
        organism=form.organism or looks,
        exclude=None if form.exclude is None else tuple(form.exclude),
        profiles=0 if form.profiles is None else form.profiles,
    )


def _column(workspace: Workspace, chosen: ChosenLabels) -> CategoryColumn:
    study = workspace.study
    if chosen.kind != "annotation" and chosen.key in study.columns and not study.copyable(chosen.key, MOST_LISTED):
        raise UnknownColumn(f'"{chosen.key}" holds no labels, or too many. Choose another column.')
    return workspace.category(Source(chosen.kind, chosen.key))


def _labels(column: CategoryColumn) -> list[dict[str, Any]]:
    counts = column.counts.tolist()
    return [
        {"name": label, "count": count, "usual": is_no_label(label)}
        for label, count in zip(column.labels[:MOST_LISTED], counts, strict=False)
    ]


def _plan(cells: Grouped, n_profiles: int) -> dict[str, Any]:
    labels = {kind: len(Counter(names)) for kind, names in cells.labels.items()}
    few = {kind: cells.few(kind) for kind in cells.labels}
    return {
        "cells": int(np.count_nonzero(cells.groups >= 0)),
        "left_out": cells.n_left_out,
        "labels": labels,
        "profiles": n_profiles,
        "rare": RARE_CELLS,
        "few": list(dict.fromkeys(label for own in few.values() for label in own)),
    }
