"""What the tab Result shows of a prediction, and what can be asked of it: why, other cutoffs, scores of groups."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import numpy as np
from dash import get_relative_path
from pydantic import BaseModel, Field

from iscan_dash.core import palette
from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.names import free_name
from iscan_dash.core.selection.conditions import named_cells, parse_ids
from iscan_dash.core.singler.explain import LabelScore, why
from iscan_dash.core.singler.outcome import group_scores
from iscan_dash.core.study import CategoryColumn
from iscan_dash.core.words import counted
from iscan_dash.errors import EditConflict, IscanError, PredictionRefused, UnknownColumn
from iscan_dash.figures.cells import CellColours, colour_by_category, colour_scale
from iscan_dash.services.explain import Decision
from iscan_dash.services.opened_results import OpenedResult
from iscan_dash.services.prediction_parameters import MOST_CUTOFF
from iscan_dash.services.prediction_result import REASONS, reasons_of
from iscan_dash.services.prediction_table import COLUMNS, table_lines
from iscan_dash.services.prepared_references import Waiting
from iscan_dash.services.repruning import Cutoffs
from iscan_dash.services.workspace import Source, Workspace
from iscan_dash.web.components import toast
from iscan_dash.web.inspection import GROUPS
from iscan_dash.web.plots import ColourBy
from iscan_dash.web.services import Services

MOST_ROWS = 200
"""Groups of cells whose scores are told, the largest."""

MOST_COLUMNS = 60
"""Labels whose scores of groups are told, those that score highest in any of them."""

SHADES = 64
"""Colours of the scale of scores."""

Cutoff = Annotated[float, Field(ge=0, le=MOST_CUTOFF, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=2000)]


class CutoffsForm(BaseModel):
    """Cutoffs; None prunes nothing."""

    nmads: Cutoff | None = 3.0
    per_label: dict[Name, Cutoff | None] = Field(default_factory=dict, max_length=10_000)

    def cutoffs(self, opened: OpenedResult) -> Cutoffs:
        """Return the cutoffs.

        Raises
        ------
        UnknownColumn
            One is of a label that the prediction does not have.
        """
        for label in self.per_label:
            if label not in opened.result.labels:
                raise UnknownColumn(f'This prediction has no label "{label}". Load the page again.')
        return Cutoffs(self.nmads, dict(self.per_label))


class AcceptForm(CutoffsForm):
    """Cutoffs to be those of an annotation, and the version of it that the user saw."""

    version: int


class OneCell(BaseModel):
    """A cell, by its number from 0 on."""

    kind: Literal["row"] = Field(alias="is")
    row: int = Field(ge=0, le=2**53)


class TypedCells(BaseModel):
    """Cells whose ids were typed or pasted."""

    kind: Literal["ids"] = Field(alias="is")
    text: str = Field(max_length=100_000)


class SelectedCells(BaseModel):
    """The cells that are selected."""

    kind: Literal["selection"] = Field(alias="is")


class CellsOfGroup(BaseModel):
    """The cells with a value in a column, those without one when it is None."""

    kind: Literal["group"] = Field(alias="is")
    by: Name
    value: Name | None


AnyCells = Annotated[OneCell | TypedCells | SelectedCells | CellsOfGroup, Field(discriminator="kind")]


class WhyForm(CutoffsForm):
    """Cells to be looked at."""

    cells: AnyCells


class GenesForm(BaseModel):
    """Cells, and two labels whose markers are looked at in them; the page may ask again before it has the answer."""

    cells: AnyCells
    label: Name
    other: Name
    page: str = Field(max_length=40)


# -- the prediction --------------------------------------------------------------------------------------------------


def listed(services: Services) -> dict[str, Any]:
    """Return the annotations that can be looked into."""
    workspace = services.workspace
    found = [
        {
            "id": state.id,
            "name": state.live.name,
            "owner": state.live.owner,
            "own": workspace.is_own(state.id),
            "version": state.version,
        }
        for state in services.results.annotations()
    ]
    return {"results": found}


def summary(services: Services, annotation_id: str) -> dict[str, Any]:
    """Return what is known of a prediction, and all that does not change with the cutoffs.

    Raises
    ------
    IscanError
        There is no such result, or it cannot be read.
    """
    workspace, opened = services.workspace, services.results.get(annotation_id)
    state, result = workspace.annotation(annotation_id), opened.result
    recipe = state.live.recipe
    columns = services.inspection.columns()
    values = [_value(column.source) for column in columns]
    by = recipe["by_cluster"]
    preferred = [f"cluster:{by}", f"metadata:{by}"] if by else []
    own = f"annotation:{state.id}"
    usual = next((value for value in (*preferred, *values) if value in values and value != own), own)
    # Whatever the cutoffs are.
    never = reasons_of(result.rows, result.left_out, np.zeros(len(result.label), bool), result.has_markers)
    reasons = np.bincount(never, minlength=len(REASONS)).tolist()
    histogram = opened.histogram
    used = np.bincount(result.label[result.has_markers], minlength=len(result.labels)) > 0
    return {
        "id": state.id,
        "name": state.live.name,
        "version": state.version,
        "own": workspace.is_own(state.id),
        "owner": state.live.owner,
        "created": state.live.created,
        "cells": workspace.study.n_cells,
        "by_cluster": by,
        "facts": facts(recipe, Cutoffs(result.recipe["nmads"])),
        "cutoffs": {"nmads": recipe["nmads"], "per_label": dict(recipe.get("nmads_of_labels") or {})},
        "edited": opened.n_edited(state),
        "reasons": [{"text": REASONS[place], "count": count} for place, count in enumerate(reasons) if count and place],
        "labels": [
            {"label": label, "used": bool(used[code]), **shown}
            for code, (label, shown) in enumerate(_as_shown(opened, state).items())
        ],
        "edges": histogram.edges.tolist(),
        "margins": {label: histogram.counts[code].tolist() for code, label in enumerate(result.labels) if used[code]},
        "columns": [
            {"value": value, "name": column.name, "group": GROUPS[column.source.kind]}
            for value, column in zip(values, columns, strict=True)
        ],
        "by": usual,
    }


def facts(recipe: Mapping[str, Any], run: Cutoffs) -> list[tuple[str, str]]:
    """Return how a prediction was made, what it is called and its value, in order."""
    version = f" version {recipe['reference_version']}" if recipe["reference_version"] else ""
    granularity = {"main": "Main (coarse)", "fine": "Fine (detailed)"}.get(recipe["granularity"], recipe["granularity"])
    samples = recipe["samples"]
    matrices = dict.fromkeys(f"{own['key']} ({own['kind']})" for own in recipe["matrices"].values())
    tuning = f"threshold {recipe['threshold']:g}" if recipe["fine_tune"] else "off"
    versions = ", ".join(f"{name} {number}" for name, number in recipe["versions"].items())
    share = recipe["markers_found"] / max(1, recipe["markers"])
    now = Cutoffs.of(recipe)
    cutoff = now.text if now == run else f"{now.text}; the run had {run.text}"
    limit = recipe["min_diff_med"]
    return [
        ("Reference", f"{recipe['reference_name']}{version}"),
        ("Granularity", granularity),
        ("Labelled", f"the groups of {recipe['by_cluster']}" if recipe["by_cluster"] else "each cell"),
        *([("Samples", ", ".join(samples))] if samples else []),
        ("Matrix", ", ".join(matrices)),
        *([("Gene names", recipe["gene_column"])] if recipe.get("gene_column") else []),
        ("Marker genes", f"{recipe['markers_found']:,} of {recipe['markers']:,} found ({share:.0%})"),
        ("Fine-tuning", tuning),
        ("Outlier cutoff", cutoff),
        *([("Least delta", f"{limit:g}")] if limit is not None else []),
        ("Method", f"{recipe['method']}, quantile {recipe['quantile']:g}"),
        ("Checksum", f"{recipe['reference_checksum'][:12]} (reference), {recipe['fingerprint'][:12]} (cells)"),
        ("Versions", versions),
    ]


def _value(source: Source) -> str:
    return f"{source.kind}:{source.key}"


def _as_shown(opened: OpenedResult, state: Annotation) -> dict[str, dict[str, str]]:
    """Return what the annotation calls each label of the prediction now, and its colour."""
    header = state.live
    labels = [header.by_id.get(own) for own in opened.ids(state)[:-1].tolist()]
    return {
        text: {"name": own.text if own else text, "colour": own.colour if own else palette.OTHER}
        for text, own in zip(opened.result.labels, labels, strict=True)
    }


def table(services: Services, annotation_id: str) -> Iterator[str]:
    """Write what the prediction found of each cell as CSV text, pruned by the cutoffs that hold.

    Raises
    ------
    IscanError
        There is no such result, or it cannot be read.
    """
    workspace, opened = services.workspace, services.results.get(annotation_id)
    header = workspace.annotation(annotation_id).live
    cutoffs = Cutoffs.of(header.recipe)
    pruned = opened.result.pruned_with(cutoffs.nmads, cutoffs.per_label)
    return table_lines(workspace.study, pruned, free_name(header.name, dict.fromkeys(COLUMNS, "table")))


# -- other cutoffs ---------------------------------------------------------------------------------------------------


def prune(services: Services, annotation_id: str, form: CutoffsForm) -> dict[str, Any]:
    """Return what cutoffs would leave, and how plots show it.

    Raises
    ------
    IscanError
        A cutoff is not possible, or there is no such result.
    """
    workspace, opened = services.workspace, services.results.get(annotation_id)
    state, cutoffs = workspace.annotation(annotation_id), form.cutoffs(opened)
    tried = opened.attempt(state, cutoffs)
    preview = tried.preview
    n_kept = sum(own.n_kept for own in preview.counts)
    return {
        "version": state.version,
        "text": cutoffs.text,
        "counts": [{**asdict(own), "threshold": _finite(own.threshold)} for own in preview.counts],
        "kept": n_kept,
        "pruned": preview.n_pruned,
        "without": preview.n_without,
        "changed": tried.n_changed,
        "edited": tried.n_edited,
        "plot": _plot(services, tried.state, state, cutoffs),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _plot(services: Services, after: Annotation, state: Annotation, cutoffs: Cutoffs) -> dict[str, Any]:
    """Return what a plot of the annotation shows differently, and the version of the colours that it is drawn by."""
    colours = _colours(after)
    asked = {"by": f"annotation:{state.id}", "cutoffs": json.dumps(cutoffs.to_json()), "v": state.version}
    return {
        "of": services.plots.version(ColourBy("annotation", state.id)),
        "codes": get_relative_path(f"/api/v1/results/{state.id}/codes?{urlencode(asked)}"),
        "title": f"Preview of {state.live.name}",
        "ink": list(colours.ink),
        "missing": colours.missing,
        "n_missing": colours.n_missing,
        "legend": [vars(row) for row in colours.legend],
    }


def _colours(state: Annotation) -> CellColours:
    return colour_by_category(state.column, {label.text: label.colour for label in state.live.labels})


def codes(services: Services, annotation_id: str, cutoffs: str) -> bytes:
    """Return the display code of each cell as cutoffs would have it, a byte each.

    Raises
    ------
    IscanError, ValidationError
        The cutoffs are not understood, or there is no such result.
    """
    form = CutoffsForm.model_validate(_plain(cutoffs))
    opened = services.results.get(annotation_id)
    tried = opened.attempt(services.workspace.annotation(annotation_id), form.cutoffs(opened))
    painted = _colours(tried.state).codes
    return b"" if painted is None else painted.tobytes()


def _plain(cutoffs: str) -> dict[str, Any]:
    try:
        found = json.loads(cutoffs)
        return {"nmads": found["nmads"], "per_label": found["nmads_of_labels"]}
    except (ValueError, LookupError, TypeError) as error:
        raise PredictionRefused("These cutoffs are not understood. Load the page again.") from error


def accept(services: Services, annotation_id: str, form: AcceptForm) -> dict[str, Any]:
    """Make cutoffs those of the annotation, as one event; return the message that says so, or why not."""
    workspace = services.workspace
    try:
        opened = services.results.get(annotation_id)
        state = opened.repruning.accept(workspace, annotation_id, form.cutoffs(opened), form.version)
    except EditConflict as error:
        return {"is_done": False, "message": toast.refusal(error)}
    if state.version == form.version:
        return {"is_done": True, "message": toast.message("warning", "Nothing was changed: it is so already.")}
    event = workspace.history(annotation_id)[0]
    said = toast.message("success", f"{event.description}.", toast.action("Undo", "undo", seq=event.seq))
    return {"is_done": True, "message": said}


# -- why -------------------------------------------------------------------------------------------------------------


def chosen(services: Services, asked: AnyCells) -> tuple[np.ndarray, str, str]:
    """Return the cells that were asked about, what they are called, and what to know of them.

    Raises
    ------
    PredictionRefused, UnknownColumn
        There are none; the message says why and what to do.
    """
    workspace = services.workspace
    study = workspace.study
    mask: np.ndarray = np.zeros(study.n_cells, bool)
    if isinstance(asked, OneCell):
        if asked.row >= study.n_cells:
            raise UnknownColumn(f"There is no cell {asked.row + 1:,}. Load the page again.")
        mask[asked.row] = True
        return mask, _cell_title(workspace, asked.row), ""
    if isinstance(asked, TypedCells):
        return _typed(workspace, asked.text)
    if isinstance(asked, SelectedCells):
        selected = services.selections.mask()
        if selected is None or not selected.any():
            raise PredictionRefused("No cells are selected. Draw an area on a plot, or use the Cell Filter.")
        return selected, f"{counted(int(selected.sum()), 'selected cell')}", ""
    column = _column(workspace, asked.by)
    if asked.value is not None and asked.value not in column.labels:
        raise UnknownColumn(f'{column.name} has no value "{asked.value}" any more. Choose another one.')
    mask = column.codes == (-1 if asked.value is None else column.labels.index(asked.value))
    if not mask.any():
        raise PredictionRefused(f"No cell of {column.name} has this value. Choose another one.")
    name = "without a value" if asked.value is None else asked.value
    return mask, f"{column.name} {name}: {counted(int(mask.sum()), 'cell')}", ""


def _cell_title(workspace: Workspace, row: int) -> str:
    study = workspace.study
    name = study.cell_ids[row].decode("utf-8", "replace")
    samples = study.samples
    return f"cell {name} of {samples.labels[samples.codes[row]]}" if len(samples.labels) > 1 else f"cell {name}"


def _cell_id(workspace: Workspace, row: int) -> str:
    """Return what a cell is found by when it is typed: its id, after its sample when there are several."""
    study = workspace.study
    name = study.cell_ids[row].decode("utf-8", "replace")
    samples = study.samples
    return f"{samples.labels[samples.codes[row]]}\t{name}" if len(samples.labels) > 1 else name


def _typed(workspace: Workspace, text: str) -> tuple[np.ndarray, str, str]:
    study = workspace.study
    ids = parse_ids(text)
    if not ids:
        raise PredictionRefused("Enter the ID of a cell, or click a cell on a plot.")
    found = named_cells(ids, study.cell_ids, study.samples)
    if not found.matched:
        if found.ambiguous:
            raise PredictionRefused(
                f'Several samples have a cell "{ids[0][1]}". Write the sample, a tab, and the ID, or click the cell on '
                "a plot."
            )
        raise PredictionRefused(f'No cell has the ID "{ids[0][1]}". Check the ID, or click the cell on a plot.')
    n_lost = found.unmatched + found.ambiguous
    note = f"{counted(n_lost, 'ID')} of {len(ids):,} left out: no cell, or several, have them." if n_lost else ""
    rows = np.flatnonzero(found.mask)
    title = _cell_title(workspace, int(rows[0])) if len(rows) == 1 else counted(len(rows), "cell")
    return found.mask, title, note


def _column(workspace: Workspace, by: str) -> CategoryColumn:
    kind, _, key = by.partition(":")
    return workspace.labels(Source(kind, key))


def explain(services: Services, annotation_id: str, form: WhyForm) -> dict[str, Any]:
    """Return why cells have their label.

    Raises
    ------
    IscanError
        There are no such cells, or no such result.
    """
    opened = services.results.get(annotation_id)
    state = services.workspace.annotation(annotation_id)
    mask, title, note = chosen(services, form.cells)
    found = why(opened.outcome, opened.repruning.pruned(form.cutoffs(opened)), mask)
    n_cells = int(mask.sum())
    told = {"title": title, "note": note, "n": n_cells, "cell": "", "why": None}
    if n_cells == 1:
        told["cell"] = _cell_id(services.workspace, int(mask.argmax()))
    if found is None:
        return told
    shown = _as_shown(opened, state)

    def plain(score: LabelScore | None) -> dict[str, Any] | None:
        return None if score is None else {**asdict(score), **shown[score.label]}

    return told | {
        "why": {
            "scores": [plain(score) for score in found.scores],
            "label": found.label.label,
            "runner_up": found.runner_up.label if found.runner_up else None,
            "margin": found.margin,
            "threshold": _finite(found.threshold),
            "delta": _finite(found.delta),
            "n_cells": found.n_cells,
            "n_without": found.n_without,
        }
    }


def genes(
    services: Services, annotation_id: str, form: GenesForm, check: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Return the genes that decided between two labels, or what is waited for: ``waiting`` and its ``part``.

    Raises
    ------
    IscanError
        They cannot be found out; the message says why and what to do.
    """
    opened = services.results.get(annotation_id)
    mask, _, _ = chosen(services, form.cells)
    has_scores = mask & (opened.outcome.cell_rows() >= 0)
    study, recipe = services.workspace.study, opened.result.recipe
    found = services.explainer.decision(study, recipe, has_scores, form.label, form.other, check)
    if isinstance(found, Waiting):
        return {"waiting": found.step, "part": found.part}
    return _plain_decision(found)


def _plain_decision(found: Decision) -> dict[str, Any]:
    return {**vars(found), "genes": [vars(gene) for gene in found.genes]}


# -- scores of groups ------------------------------------------------------------------------------------------------


def scores(services: Services, annotation_id: str, by: str) -> dict[str, Any]:
    """Return the mean scores of the groups of a column.

    Raises
    ------
    IscanError
        There is no such column of labels, or no such result.
    """
    opened = services.results.get(annotation_id)
    column = _column(services.workspace, by)
    n_labels = len(column.labels)
    # Cells without a value are a group as well.
    groups = np.where(column.codes < 0, n_labels, column.codes)
    found = group_scores(opened.outcome, groups, n_labels + 1)
    sizes = np.bincount(groups, minlength=n_labels + 1)
    there = np.flatnonzero(found.sizes)
    largest = np.sort(there[np.argsort(-found.sizes[there], kind="stable")[:MOST_ROWS]])
    means = found.means[largest]
    best = means.max(axis=0) if len(largest) else np.zeros(means.shape[1])
    kept = np.sort(np.argsort(-best, kind="stable")[:MOST_COLUMNS])
    shown = list(_as_shown(opened, services.workspace.annotation(annotation_id)).items())
    values = means[:, kept]
    return {
        "by": by,
        "name": column.name,
        "labels": [{"label": shown[code][0], **shown[code][1]} for code in kept.tolist()],
        "groups": [
            {
                "value": column.labels[place] if place < n_labels else None,
                "size": int(sizes[place]),
                "scored": int(found.sizes[place]),
                "means": [round(value, 4) for value in row],
            }
            for place, row in zip(largest.tolist(), values.tolist(), strict=True)
        ],
        "n_groups": len(there),
        "n_labels": len(opened.result.labels),
        "range": [float(values.min()), float(values.max())] if values.size else [0.0, 1.0],
        "scale": list(colour_scale("Viridis", SHADES)),
    }


def attempt(answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return an answer, or the sentence that says why there is none: it is shown in its place, and is no failure."""
    try:
        return answer()
    except IscanError as error:
        return {"problem": str(error)}
