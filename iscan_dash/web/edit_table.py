"""What the page Edit Annotation asks for: rows, ticks, labels, and edits of them."""

from collections.abc import Container
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, FiniteFloat, TypeAdapter

from iscan_dash.core.annotations import Annotation, label_edits
from iscan_dash.core.annotations.names import check_label, label_notices
from iscan_dash.core.study import CategoryColumn
from iscan_dash.core.study.row_filter import Between, Condition, Contains, OneOf
from iscan_dash.core.words import counted
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.edit_table import SAMPLE, EditTable, Target, View
from iscan_dash.services.labelling import merged_by
from iscan_dash.services.opened_results import ORIGIN
from iscan_dash.services.selection_actions import MOST_VALUES
from iscan_dash.services.workspace import Source, Workspace
from iscan_dash.web.components import toast

MOST_CELLS = 2**53
"""No study has as many cells; larger numbers have no place in an array."""

MOST_LABELS = 2000
"""Labels that the page is told of at once; it asks for others by what they contain."""

MOST_CHANGES = 200
"""Labels that a preview of find and replace lists."""

MOST_GENES = 100_000
"""Genes that may be sent as markers: how many a label may have is said to who pasted too many."""

Place = Annotated[int, Field(ge=0, le=MOST_CELLS)]
Text = Annotated[str, Field(max_length=2000)]


# -- rows and ticks --------------------------------------------------------------------------------------------------


class LabelsForm(BaseModel):
    """Labels of a list."""

    kind: Literal["labels"] = Field(alias="is")
    values: list[Text] = Field(max_length=MOST_VALUES)
    missing: bool = False
    is_not: bool = Field(default=False, alias="not")

    def condition(self) -> Condition:
        """Return what rows have to meet."""
        return OneOf(frozenset(self.values), self.missing, self.is_not)


class RangeForm(BaseModel):
    """Numbers of a range."""

    kind: Literal["range"] = Field(alias="is")
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    numbers: bool = True
    missing: bool = False

    def condition(self) -> Condition:
        """Return what rows have to meet."""
        return Between(self.low, self.high, self.numbers, self.missing)


class TextForm(BaseModel):
    """A text that ids contain."""

    kind: Literal["text"] = Field(alias="is")
    text: str = Field(max_length=200)

    def condition(self) -> Condition:
        """Return what rows have to meet."""
        return Contains(self.text)


ConditionForm = Annotated[LabelsForm | RangeForm | TextForm, Field(discriminator="kind")]


class ViewForm(BaseModel):
    """Which rows are seen, and in which order."""

    where: dict[str, ConditionForm] = Field(default_factory=dict, max_length=64)
    sort: list[tuple[str, bool]] = Field(default_factory=list, max_length=16)
    only_ticked: bool = False
    only_selected: bool = False

    def view(self) -> View:
        """Return the view that was asked for."""
        where = {key: form.condition() for key, form in self.where.items()}
        return View(where, tuple(self.sort), self.only_ticked, self.only_selected)


class RowsRequest(BaseModel):
    """A page of the grid."""

    view: ViewForm
    columns: list[str] = Field(default_factory=list, max_length=200)
    start: Place
    end: Place


class TickRequest(BaseModel):
    """Ticks to set or to take away: of one cell, of rows between two cells, of all rows of a view, or all of them."""

    do: Literal["one", "between", "all", "clear"]
    row: Place = 0
    first: Place = 0
    last: Place = 0
    is_on: bool = True
    view: ViewForm = Field(default_factory=ViewForm)


def tick(table: EditTable, asked: TickRequest) -> dict[str, Any]:
    """Set ticks or take them away, and return `ticked` then."""
    if asked.do == "one":
        table.tick(asked.row, asked.is_on)
    elif asked.do == "between":
        table.tick_between(asked.view.view(), asked.first, asked.last, asked.is_on)
    elif asked.do == "all":
        table.tick_all(asked.view.view(), asked.is_on)
    else:
        table.clear_ticks()
    return ticked(table)


def ticked(table: EditTable) -> dict[str, Any]:
    """Return how many cells are ticked, and what tells them from others."""
    ticks = table.ticks
    return {"ticked": ticks.count, "ticks": ticks.digest}


def rows(table: EditTable, asked: RowsRequest, most: int) -> dict[str, Any]:
    """Return a page of the grid, how many rows there are, and what tells these from others."""
    view = asked.view.view()
    # Before the rows: an edit in between is refused rather than made of cells that nobody saw.
    known = {"filtered": table.filtered(view).digest, **ticked(table)}
    found, total = table.page(view, asked.columns, asked.start, min(asked.end, asked.start + most))
    return {"rows": found, "total": total, "problems": table.problems(view), **known}


# -- what the page shows ---------------------------------------------------------------------------------------------


def state(workspace: Workspace, table: EditTable) -> dict[str, Any]:
    """Return what the page is built of: annotations, columns to choose from, and counts."""
    study = workspace.study
    own, others = workspace.annotations(), workspace.others()
    columns = [
        {
            "key": f"{'cluster' if info.role == 'cluster' else 'metadata'}:{info.name}",
            "title": info.name,
            "kind": "number" if info.treat_as == "number" else "category",
            "group": "cluster" if info.role == "cluster" else "metadata",
        }
        for info in study.columns.values()
        if info.treat_as in {"category", "number"}
    ]
    return {
        "cells": study.n_cells,
        **ticked(table),
        "annotations": [_annotation(one, is_own=True) for one in own] + [_annotation(one) for one in others],
        "columns": columns,
    }


def _annotation(one: Annotation, *, is_own: bool = False) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.live.name,
        "owner": one.live.owner,
        "created": one.live.created,
        "own": is_own,
        "version": one.version,
        "labels": len(one.live.labels),
        "predicted": one.live.origin == ORIGIN,
    }


def labels(workspace: Workspace, annotation_id: str, search: str = "") -> dict[str, Any]:
    """Return the labels of an annotation that contain a text, ignoring case, with all that is known of them."""
    one = workspace.annotation(annotation_id)
    wanted = search.casefold()
    found = [label for label in one.live.labels if wanted in label.text.casefold()]
    return {
        "annotation": one.id,
        "version": one.version,
        "own": workspace.is_own(one.id),
        "n_labels": len(one.live.labels),
        "n_found": len(found),
        "labels": [
            {
                "id": label.id,
                "text": label.text,
                "colour": label.colour,
                "count": one.counts[label.id],
                "description": label.description,
                "ontology": label.ontology,
                "markers": label.markers,
                "absent_markers": label.absent_markers,
            }
            for label in found[:MOST_LABELS]
        ],
        "twins": [[label.id for label in group] for group in label_edits.case_twins(one.live)][:MOST_CHANGES],
    }


class SplitRequest(BaseModel):
    """A label that may be split by a column."""

    annotation: str
    label: int
    column: str
    delimiter: str = Field("_", max_length=8)


def split_preview(workspace: Workspace, asked: SplitRequest) -> dict[str, Any]:
    """Return what would come of splitting a label by a column, and the version of the annotation that this is of.

    Raises
    ------
    NameRefused
        A label that would come of it breaks a rule, or there would be too many (E23).
    """
    column = _labels_of(workspace, asked.column)
    found = workspace.find_split(asked.annotation, asked.label, column, asked.delimiter)
    return {
        "version": found.version,
        "n_labels": len(found.counts),
        "labels": list(found.counts.items())[:MOST_CHANGES],
        "merged": len(found.merged),
        "missing": found.n_missing,
    }


class ReplaceRequest(BaseModel):
    """What to find in labels, and what to put in its place."""

    annotation: str
    find: str = Field(max_length=500)
    substitute: str = Field(max_length=500)
    is_pattern: bool = False
    ignore_case: bool = False


def replace_preview(workspace: Workspace, asked: ReplaceRequest) -> dict[str, Any]:
    """Return what find and replace would make of the labels, and the version of the annotation that this is of.

    Raises
    ------
    NameRefused
        The regular expression is none (E18), or what would come of a label breaks a rule.
    """
    # Before the labels: what changed in between makes the edit one of an old version.
    one = workspace.annotation(asked.annotation)
    texts = workspace.find_in_labels(
        asked.annotation, asked.find, asked.substitute, is_pattern=asked.is_pattern, ignore_case=asked.ignore_case
    )
    known = {own: text for own, text in texts.items() if own in one.live.by_id}
    changes = [[one.live.by_id[own].text, text, one.counts[own]] for own, text in known.items()]
    return {
        "version": one.version,
        "n_labels": len(known),
        "changes": changes[:MOST_CHANGES],
        "merged": merged_by(one, known),
    }


# -- edits -----------------------------------------------------------------------------------------------------------


class Edit(BaseModel):
    """An edit of an annotation, made on the version that the page showed; the answer carries its number."""

    serial: int
    annotation: str
    version: int


class Assign(Edit):
    """Give cells a label."""

    do: Literal["assign"]
    value: Text
    target: Target
    expected: Place
    seen: Text
    view: ViewForm = Field(default_factory=ViewForm)


class AssignOne(Edit):
    """Give one cell a label."""

    do: Literal["assign one"]
    value: Text
    row: Place


class AddLabel(Edit):
    """Add a label."""

    do: Literal["add"]
    text: Text


class RenameLabel(Edit):
    """Rename a label."""

    do: Literal["rename"]
    label: int
    text: Text


class RecolourLabel(Edit):
    """Give a label another colour."""

    do: Literal["recolour"]
    label: int
    colour: str = Field(max_length=16)


class MergeLabels(Edit):
    """Give the cells of some labels another one."""

    do: Literal["merge"]
    sources: list[int] = Field(max_length=MOST_LABELS)
    into: int


class DeleteLabel(Edit):
    """Take a label away."""

    do: Literal["delete"]
    label: int


class SplitLabel(Edit):
    """Split a label by a column."""

    do: Literal["split"]
    label: int
    column: str
    delimiter: str = Field("_", max_length=8)


class ReplaceInLabels(Edit, ReplaceRequest):
    """Find and replace in labels."""

    do: Literal["replace"]


class DetailLabel(Edit):
    """Note something of a label."""

    do: Literal["detail"]
    label: int
    description: str = Field("", max_length=10_000)
    ontology: Text = ""
    markers: list[Text] = Field(default_factory=list, max_length=MOST_GENES)
    absent_markers: list[Text] = Field(default_factory=list, max_length=MOST_GENES)


AnyEdit = Annotated[
    Assign
    | AssignOne
    | AddLabel
    | RenameLabel
    | RecolourLabel
    | MergeLabels
    | DeleteLabel
    | SplitLabel
    | ReplaceInLabels
    | DetailLabel,
    Field(discriminator="do"),
]

read_edit: TypeAdapter[AnyEdit] = TypeAdapter(AnyEdit)


def perform(workspace: Workspace, table: EditTable, edit: AnyEdit) -> dict[str, Any] | None:
    """Make an edit, and return what to ask the user instead when there is a question.

    Returns
    -------
    dict or None
        For a label that would be renamed to another one's text, that one: ``label``, ``text``, ``count``.
    """
    own, version = edit.annotation, edit.version
    match edit:
        case Assign():
            # The words first: when the cells are still those of the page, so were the words.
            words = table.chosen_by(edit.target)
            cells = table.expected_target(edit.target, edit.view.view(), edit.expected, edit.seen)
            workspace.assign(own, cells, edit.value, version, words)
        case AssignOne():
            cells = np.zeros(workspace.study.n_cells, bool)
            if edit.row >= len(cells):
                raise UnknownColumn("This study has no such cell. Load the page again.")
            cells[edit.row] = True
            workspace.assign(own, cells, edit.value, version)
        case AddLabel():
            workspace.add_label(own, edit.text, version)
        case RenameLabel():
            one = workspace.annotation(own)
            known = label_edits.label_of(one.live, check_label(edit.text)) if edit.text.strip() else None
            if known is not None and known.id != edit.label and one.version == version:
                return {"label": known.id, "text": known.text, "count": one.counts[known.id]}
            workspace.rename_label(own, edit.label, edit.text, version)
        case RecolourLabel():
            workspace.recolour_label(own, edit.label, edit.colour, version)
        case MergeLabels():
            workspace.merge_labels(own, edit.sources, edit.into, version)
        case DeleteLabel():
            workspace.delete_label(own, edit.label, version)
        case SplitLabel():
            workspace.split_label(own, edit.label, _labels_of(workspace, edit.column), edit.delimiter, version)
        case ReplaceInLabels():
            workspace.replace_in_labels(
                own,
                edit.find,
                edit.substitute,
                version,
                is_pattern=edit.is_pattern,
                ignore_case=edit.ignore_case,
            )
        case DetailLabel():
            workspace.detail_label(
                own,
                edit.label,
                version,
                description=edit.description,
                ontology=edit.ontology,
                markers=edit.markers,
                absent_markers=edit.absent_markers,
            )
    return None


def said(workspace: Workspace, edit: AnyEdit, known: Container[str]) -> dict[str, Any]:
    """Return the message after an edit: what happened, with the way back; `known` are the labels that were there."""
    one = workspace.annotation(edit.annotation)
    if one.version == edit.version:
        return toast.message("warning", _nothing(one, edit))
    event = workspace.history(edit.annotation)[0]
    undo = toast.action("Undo", "undo", seq=event.seq)
    notices = _notices(edit, known)
    return toast.message("warning" if notices else "success", " ".join([f"{event.description}.", *notices]), undo)


def _notices(edit: AnyEdit, known: Container[str]) -> list[str]:
    """Tell what somebody may want to know of a new label."""
    match edit:
        case Assign(value=typed) | AssignOne(value=typed) | AddLabel(text=typed) | RenameLabel(text=typed):
            kept = check_label(typed)
            return [] if kept in known else label_notices(typed, kept)
    return []


def _nothing(one: Annotation, edit: AnyEdit) -> str:
    """Say why an edit changed nothing."""
    if isinstance(edit, Assign) and edit.expected == 0:
        return "No cells are chosen, so nothing was changed."
    if isinstance(edit, Assign):
        return f"{counted(edit.expected, 'cell has', 'cells have')} this label already; nothing was changed."
    if isinstance(edit, SplitLabel) and edit.label in one.live.by_id:
        return f'No cell of "{one.live.label(edit.label).text}" has a value there; nothing was changed.'
    return "Nothing was changed: it is so already."


def _labels_of(workspace: Workspace, key: str) -> CategoryColumn:
    """Return a column of labels by the id that the page has for it."""
    kind, _, name = key.partition(":")
    return workspace.study.samples if kind == SAMPLE else workspace.labels(Source(kind, name))
