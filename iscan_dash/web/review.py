"""What the page shows of a review queue, and what it does with the groups."""

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.selection.mask_codec import encode
from iscan_dash.core.singler.explain import Why, why
from iscan_dash.errors import IscanError, UnknownColumn
from iscan_dash.services.inspection import Column, Inspection
from iscan_dash.services.review import LABEL, ReviewItem
from iscan_dash.services.reviews import OpenReview
from iscan_dash.services.workspace import Source, Workspace
from iscan_dash.web.components import toast
from iscan_dash.web.edit_table import Place, Text
from iscan_dash.web.inspection import GROUPS, parts
from iscan_dash.web.services import Services

BEST = 5
"""Labels whose scores are shown of a group."""


class ReviewForm(BaseModel):
    """A review: of an annotation (``""``: the newest prediction), by a column (``""``: the usual one)."""

    annotation: str = Field("", max_length=64)
    by: Text = ""
    with_labels: bool = False


class ItemRequest(ReviewForm):
    """A group of a review."""

    item: str = Field(max_length=64)


class ActRequest(ItemRequest):
    """What is done with a group.

    Parameters
    ----------
    text, version
        The label, and the version of the annotation that the page knows, where it is relabelled.
    column
        What it is split by; ``""`` for its labels before pruning.
    """

    do: Literal["accept", "skip", "reopen", "relabel", "split", "unite"]
    text: Text = ""
    version: Place = 0
    column: Text = ""


# -- the queue -------------------------------------------------------------------------------------------------------


def queue(services: Services, asked: ReviewForm) -> dict[str, Any]:
    """Return the groups of a review, and what else could be reviewed.

    Returns
    -------
    dict
        ``predictions`` and ``columns`` to choose from, the ``annotation`` and ``by`` that are reviewed, ``items``, how
        far the review is, and as ``problem`` why there are no groups.
    """
    predictions = _predictions(services)
    found: dict[str, Any] = {
        "predictions": [{"id": state.id, "name": state.live.name} for state in predictions],
        "annotation": None,
        "columns": [],
        "by": "",
        "with_labels": asked.with_labels,
        "labels": [],
        "items": [],
        "n_reviewed": 0,
        "n_skipped": 0,
        "first": None,
        "problem": "",
    }
    if not predictions and not asked.annotation:
        return found
    try:
        state = _annotation(services, asked)
        columns = services.inspection.columns()
        by = _column(columns, asked.by, state)
        found |= {
            "annotation": {"id": state.id, "name": state.live.name, "version": state.version},
            "columns": _offered(columns),
            "by": _value(by),
        }
        opened = services.reviews.get(state.id, by, with_labels=asked.with_labels)
    except IscanError as error:
        return {**found, "problem": str(error)}
    reviewed = opened.review.queue()
    first = opened.review.following()
    return {
        **found,
        "labels": list(opened.outcome.labels),
        "items": [_item(item, with_labels=asked.with_labels) for item in reviewed.items],
        "n_reviewed": reviewed.n_reviewed,
        "n_skipped": reviewed.n_skipped,
        "first": first.id if first else None,
    }


def _predictions(services: Services) -> list[Annotation]:
    """Return the predictions that the user may relabel, the newest first."""
    return [state for state in services.results.annotations() if services.workspace.is_own(state.id)]


def _annotation(services: Services, asked: ReviewForm) -> Annotation:
    if asked.annotation:
        return services.workspace.annotation(asked.annotation)
    for newest in _predictions(services):
        return newest
    raise UnknownColumn("There is no prediction of yours to review any more. Load the page again.")


def _column(columns: list[Column], wanted: str, state: Annotation) -> Source:
    """Return the column that is wanted; else the one that was predicted by, else the first that is another one."""
    sources = {_value(column.source): column.source for column in columns}
    if wanted in sources:
        return sources[wanted]
    by_cluster = state.live.recipe.get("by_cluster")
    others = [source for source in sources.values() if source != Source("annotation", state.id)]
    predicted_by = [source for source in others if source.kind != "annotation" and source.key == by_cluster]
    # A study without any column has the labels themselves.
    return next(iter([*predicted_by, *others]), Source("annotation", state.id))


def _offered(columns: list[Column]) -> list[dict[str, str]]:
    return [
        {"value": _value(column.source), "name": column.name, "group": GROUPS[column.source.kind]} for column in columns
    ]


def _value(source: Source) -> str:
    return f"{source.kind}:{source.key}"


def _source(value: str) -> Source:
    kind, _, key = value.partition(":")
    return Source(kind, key)


def _item(item: ReviewItem, *, with_labels: bool) -> dict[str, Any]:
    return {
        "id": item.id,
        "title": item.title,
        "state": item.state,
        "text": item.text,
        "n": item.n_cells,
        "uncertainty": item.uncertainty,
        "in_doubt": item.in_doubt,
        "label": item.label,
        "n_label": item.n_label,
        # Groups that are split by their labels from the beginning were not split by anybody.
        "is_part": len(item.path) > (2 if with_labels else 1),
    }


# -- a group ---------------------------------------------------------------------------------------------------------


def _opened(services: Services, asked: ReviewForm) -> tuple[Annotation, OpenReview]:
    state = _annotation(services, asked)
    by = _column(services.inspection.columns(), asked.by, state)
    return state, services.reviews.get(state.id, by, with_labels=asked.with_labels)


def details(services: Services, asked: ItemRequest) -> dict[str, Any]:
    """Return what a group is made of now, and why the prediction gave it its labels.

    Returns
    -------
    dict
        ``composition`` by the labels of the annotation (see `inspection.parts`) and ``why``, None when no cell of the
        group has scores.

    Raises
    ------
    UnknownColumn
        There is no such group any more.
    """
    state, opened = _opened(services, asked)
    mask = opened.review.mask(asked.item)
    found = why(opened.outcome, opened.pruned, mask)
    return {
        "n": int(mask.sum()),
        "composition": _composition(services.workspace, services.inspection, state, mask),
        "why": _why(found) if found else None,
    }


def _composition(workspace: Workspace, inspection: Inspection, state: Annotation, mask: np.ndarray) -> dict[str, Any]:
    source = Source("annotation", state.id)
    return parts(inspection.composition(source, mask), workspace.colours(source))


def _why(found: Why) -> dict[str, Any]:
    shown = [*found.scores[:BEST], *(score for score in found.scores[BEST:] if score is found.label)]
    return {
        "label": found.label.label,
        "n_label": found.label.n_cells,
        "runner_up": found.runner_up.label if found.runner_up else "",
        "scores": [{"label": own.label, "score": own.score, "n": own.n_cells} for own in shown],
        "n_pruned": sum(own.n_pruned for own in found.scores),
        "n_cells": found.n_cells,
        "n_without": found.n_without,
    }


def mask(services: Services, asked: ItemRequest) -> bytes:
    """Return the cells of a group as bits; see `details` for the errors."""
    return encode(_opened(services, asked)[1].review.mask(asked.item))


# -- reviewing -------------------------------------------------------------------------------------------------------


def act(services: Services, asked: ActRequest) -> dict[str, Any]:
    """Do something with a group.

    Returns
    -------
    dict
        The ``queue`` then, the group to look at next as ``current`` (None when none is open), and a ``message``.

    Raises
    ------
    IscanError
        It cannot be done; nothing changed.
    """
    state, opened = _opened(services, asked)
    review = opened.review
    current: str | None = None
    message: dict[str, Any] | None = None
    match asked.do:
        case "accept":
            review.accept(asked.item)
        case "skip":
            review.skip(asked.item)
        case "reopen":
            review.reopen(asked.item)
            current = asked.item
        case "relabel":
            message = _relabelled(services, review.relabel(asked.item, asked.text, asked.version), asked)
        case "split":
            current = review.split(asked.item, _source(asked.column) if asked.column else LABEL)[0]
        case "unite":
            path = next((item.path for item in review.queue().items if item.id == asked.item), ())
            current = review.unite(path[:-1])
    if current is None:
        # Other labels may have made other groups.
        following = _opened(services, asked)[1].review.following(asked.item)
        current = following.id if following else None
    asked = asked.model_copy(update={"annotation": state.id})
    return {"queue": queue(services, asked), "current": current, "message": message}


def _relabelled(services: Services, state: Annotation, asked: ActRequest) -> dict[str, Any]:
    if state.version == asked.version:
        return toast.message(
            "success", f'These cells are "{asked.text.strip()}" already; the group counts as reviewed.'
        )
    event = services.workspace.history(state.id)[0]
    return toast.message("success", f"{event.description}.", toast.action("Undo", "undo", seq=event.seq))
