"""What a plot of cells shows: the specification that the page's script draws, and the arrays behind it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode

import numpy as np
from dash import get_relative_path

from iscan_dash.core import palette
from iscan_dash.core.selection.mask_codec import decode
from iscan_dash.core.study import CategoryColumn, NumberColumn
from iscan_dash.core.study.axes import axes_positions, genes_of
from iscan_dash.core.study.columns import Column, number_text
from iscan_dash.core.study.matrices import SHOWN_TEXT, MatrixKind
from iscan_dash.core.study.study import QC_AXES
from iscan_dash.errors import PredictionRefused, UnknownColumn
from iscan_dash.figures.cells import (
    CellColours,
    colour_by_category,
    colour_by_nothing,
    colour_by_number,
    range_text,
)
from iscan_dash.services.opened_results import OpenedResults
from iscan_dash.services.selections import Selections
from iscan_dash.services.workspace import Source, Workspace

RECENT = 12
"""Colourings kept, a byte a cell each."""

IN_OR_OUT = {"in": palette.SINGLE, "not in": palette.UNASSIGNED}
"""Colours of cells in a saved selection, and of the others."""

RECENT_AXES = 4
"""Positions on two genes that are kept, 8 bytes a cell each: as many as there are plots."""


@dataclass(frozen=True)
class ColourBy:
    """What cells are coloured by.

    Parameters
    ----------
    kind
        ``"metadata"``, ``"cluster"``, ``"annotation"``, ``"delta"`` (of a prediction), ``"gene"``, ``"selection"`` or
        ``""`` for nothing.
    key
        The column's or gene's name, or the id of the annotation or of the saved selection.
    layer
        The matrix that a gene is read from; the one that suits best when empty.
    """

    kind: str
    key: str
    layer: str = ""

    @classmethod
    def parse(cls, text: str | None) -> "ColourBy":
        """Read ``"kind:key"``, or ``"gene|layer:key"``; an unknown kind colours by nothing.

        Examples
        --------
        >>> ColourBy.parse("gene:HLA-DRA")
        ColourBy(kind='gene', key='HLA-DRA', layer='')
        >>> ColourBy.parse("gene|layers%2Fcounts:HLA-DRA").layer
        'layers/counts'
        """
        kind, _, key = (text or "").partition(":")
        kind, _, layer = kind.partition("|")
        if not key or kind not in {"metadata", "cluster", "annotation", "delta", "gene", "selection"}:
            return cls("", "")
        return cls(kind, key, unquote(layer) if kind == "gene" else "")

    def __str__(self) -> str:
        if not self.kind:
            return ""
        return f"{self.kind}|{quote(self.layer, '')}:{self.key}" if self.layer else f"{self.kind}:{self.key}"


class Plots:
    """Makes the arrays and specifications of the plots of a workspace, and keeps the recent ones.

    Parameters
    ----------
    workspace
        The open study and its annotations.
    selections
        The user's selections.
    results
        The predictions that the user looks into.
    """

    def __init__(self, workspace: Workspace, selections: Selections, results: OpenedResults) -> None:
        self._workspace = workspace
        self._selections = selections
        self._results = results
        self._recent = workspace.room.shelf(RECENT)
        self._axes = workspace.room.shelf(RECENT_AXES)
        self._genes = workspace.room.shelf(1)
        self._bounds: dict[tuple[str, str], tuple[float, float, float, float]] = {}
        stamps = [(str(dataset.path), dataset.stamp) for dataset in workspace.study.datasets]
        self.study_tag = hashlib.blake2b(repr(stamps).encode(), digest_size=6).hexdigest()

    # -- arrays --------------------------------------------------------------------------------------------------

    def positions(self, axes: str) -> bytes:
        """Return the x values of all cells, then the y values: float32, little-endian.

        Parameters
        ----------
        axes
            As `axes_positions` takes them.

        Raises
        ------
        UnknownColumn
            The study has no such embedding or gene.
        """
        return self._xy(axes).astype("<f4", copy=False).tobytes()

    def axes_version(self, axes: str) -> str:
        """Return what changes whenever the positions of the cells may.

        Raises
        ------
        UnknownColumn
            The axes name genes that the study does not have.
        """
        study = self._workspace.study
        if genes_of(study, axes) is None:
            return self.study_tag
        return f"{self.study_tag}-{_digest((study.shown_matrices, sorted(study.choices.matrix_kinds.items())))}"

    def _xy(self, axes: str) -> np.ndarray:
        study = self._workspace.study
        if genes_of(study, axes) is None:
            return study.embedding(axes)
        key = (axes, self.axes_version(axes))
        xy: np.ndarray | None = self._axes.get(key)
        if xy is None:
            xy = axes_positions(study, axes)
            self._axes.put(key, xy, xy.nbytes)
        return xy

    def colours(self, by: ColourBy) -> CellColours:
        """Return how to paint the cells.

        Raises
        ------
        UnknownColumn
            There is no such column, gene or annotation.
        """
        key = (by, self.version(by))
        colours: CellColours | None = self._recent.get(key)
        if colours is None:
            colours = self._make(by)
            self._recent.put(key, colours, 0 if colours.codes is None else colours.codes.nbytes)
        return colours

    def version(self, by: ColourBy) -> str:
        """Return what changes whenever the colours of the cells may."""
        if by.kind == "annotation":
            return f"{self.study_tag}-{by.key}-{self._workspace.annotation(by.key).version}"
        study = self._workspace.study
        if by.kind == "delta":
            # What a prediction found stays as it is.
            return f"{self.study_tag}-{by.key}-delta"
        if by.kind == "selection":
            return f"{self.study_tag}-{_digest(self._selections.saved_cells(by.key))}"
        if by.kind == "gene":
            seen: Any = (study.shown_matrices, sorted(study.choices.matrix_kinds.items()))
        else:
            seen = (study.columns.get(by.key), study.sample_column)
        return f"{self.study_tag}-{_digest(seen)}"

    def _make(self, by: ColourBy) -> CellColours:
        study = self._workspace.study
        if by.kind == "gene":
            gene = self._gene(by)
            kinds = study.gene_kinds(by.key, by.layer)
            # Zero of a scaled matrix is its mean, not "not seen".
            is_expression = MatrixKind.SCALED not in kinds
            return colour_by_number(study.logged_gene(gene, by.layer), is_expression=is_expression, unit=_unit(kinds))
        if by.kind == "annotation":
            source = Source(by.kind, by.key)
            return colour_by_category(self._workspace.category(source), self._workspace.colours(source))
        if by.kind == "delta":
            return colour_by_number(self._delta(by.key), is_expression=False)
        if by.kind == "selection":
            return colour_by_category(self._in_or_out(by.key), IN_OR_OUT)
        if not by.kind:
            return colour_by_nothing(study.n_cells)
        column = study.column(by.key)
        if isinstance(column, CategoryColumn):
            return colour_by_category(column, self._workspace.colours(Source(by.kind, by.key)))
        return colour_by_number(column, is_expression=False)

    def _in_or_out(self, saved_id: str) -> CategoryColumn:
        """Return which cells are in a saved selection, as labels."""
        name, packed = self._selections.saved_cells(saved_id)
        is_out = ~decode(packed, self._workspace.study.n_cells)
        return CategoryColumn(name, is_out.astype(np.int8), tuple(IN_OR_OUT))

    def _delta(self, annotation_id: str) -> NumberColumn:
        """Return how far the label of each cell is above the median of all labels, as pruning compares it.

        Raises
        ------
        UnknownColumn
            There is no such annotation, or no prediction made it.
        """
        name = self._workspace.annotation(annotation_id).live.name
        try:
            outcome = self._results.get(annotation_id).outcome
        except PredictionRefused as error:
            raise UnknownColumn(str(error)) from error
        rows = outcome.cell_rows()
        values = np.full(len(rows), np.nan)
        values[rows >= 0] = outcome.margin[rows[rows >= 0]]
        return NumberColumn(f"delta of {name}", values)

    def numbers(self, by: ColourBy) -> np.ndarray | None:
        """Return the numbers that cells are coloured by, as the scale shows them; None when they are labels.

        Raises
        ------
        UnknownColumn
            There is no such column, gene or annotation.
        """
        study = self._workspace.study
        if by.kind == "gene":
            return study.logged_gene(self._gene(by), by.layer).values
        if by.kind == "delta":
            return self._delta(by.key).values
        column = study.column(by.key) if by.kind in {"metadata", "cluster"} else None
        return column.values if isinstance(column, NumberColumn) else None

    def _gene(self, by: ColourBy) -> NumberColumn:
        """Return a gene's values as they are stored; those of the last one are kept, for the hover."""
        key = (by, self.version(by))
        gene: NumberColumn | None = self._genes.get(key)
        if gene is None:
            gene = self._workspace.study.gene(by.key, by.layer)
            self._genes.put(key, gene, gene.values.nbytes)
        return gene

    # -- specification -------------------------------------------------------------------------------------------

    def bounds(self, axes: str) -> tuple[float, float, float, float]:
        """Return the smallest and largest x and y of the cells that have a position."""
        key = (axes, self.axes_version(axes))
        if key not in self._bounds:
            self._bounds[key] = self._find_bounds(axes)
        return self._bounds[key]

    def _find_bounds(self, axes: str) -> tuple[float, float, float, float]:
        xy = self._xy(axes)
        placed = xy[:, np.isfinite(xy[0])]
        if not placed.shape[1]:
            return 0.0, 1.0, 0.0, 1.0
        left, bottom = (float(value) for value in placed.min(axis=1))
        right, top = (float(value) for value in placed.max(axis=1))
        return left, right if right > left else left + 1, bottom, top if top > bottom else bottom + 1

    def unplaced(self, axes: str) -> int:
        """Count the cells that have no position."""
        return int(np.isnan(self._xy(axes)[0]).sum())

    def axes(self, axes: str) -> dict[str, Any]:
        """Return the name of a plot's axes, their titles, whether they are drawn, and whether both have one unit.

        Raises
        ------
        UnknownColumn
            They name genes that the study does not have.
        """
        study = self._workspace.study
        genes = genes_of(study, axes)
        if genes is None:
            return {"name": axes, **axis_titles(axes)}
        x, y = (f"{gene} ({_unit(study.gene_kinds(gene))})" for gene in genes)
        return {"name": axes, "x": x, "y": y, "visible": True, "equal": False}

    def default_colour(self) -> ColourBy:
        """Return what to colour by at first: clusters, else any category, else nothing."""
        order = ("cluster", "metadata", "sample")
        columns = [info for info in self._workspace.study.columns.values() if info.treat_as == "category"]
        # Columns that all files have come first: half a study in grey tells little.
        for info in sorted(columns, key=lambda info: (-info.n_files, order.index(info.role))):
            if len(self._workspace.study.category(info.name).labels) > self._workspace.max_items:
                continue
            return ColourBy("cluster" if info.role == "cluster" else "metadata", info.name)
        return ColourBy("", "")

    def spec(
        self,
        axes: str,
        by: ColourBy,
        *,
        label_centroids: bool,
        point_size: float | None = None,
        opacity: float = 1.0,
    ) -> dict[str, Any]:
        """Return what the page's script needs to draw a plot.

        Parameters
        ----------
        axes
            Name of the axes.
        by
            What to colour by.
        label_centroids
            Write each label at the middle of its cells.
        point_size
            Radius of a dot in CSS pixels; chosen by the number of cells when None.
        opacity
            0 to 1.
        """
        study, colours = self._workspace.study, self.colours(by)
        query = urlencode({"by": str(by), "v": self.version(by)})
        api = get_relative_path("/api/v1")
        spec: dict[str, Any] = {
            "cells": study.n_cells,
            "by": str(by),
            "xy": f"{api}/positions?{urlencode({'embedding': axes, 'v': self.axes_version(axes)})}",
            "codes": f"{api}/codes?{query}" if colours.codes is not None else None,
            "hover": f"{api}/cells/{{row}}?{query}",
            "ink": list(colours.ink),
            "scale": colours.scale,
            "missing": colours.missing,
            "zero": colours.zero,
            "n_missing": colours.n_missing,
            "title": colours.title,
            "unit": colours.unit,
            "legend": [vars(row) for row in colours.legend],
            "bounds": self.bounds(axes),
            "on_dark": palette.ON_DARK,
            "axes": self.axes(axes),
            "label_centroids": label_centroids and bool(by.kind) and colours.scale == "categorical",
            "point_size": point_size,
            "opacity": opacity,
        }
        if colours.range:
            ends = {"range": list(colours.range), "ticks": list(range_text(colours)), "clipped": list(colours.clipped)}
            spec |= ends
        return spec

    def cell(self, row: int, by: ColourBy) -> dict[str, Any]:
        """Describe one cell, for the plot's hover.

        Raises
        ------
        IndexError
            There is no such cell.
        """
        study = self._workspace.study
        if not 0 <= row < study.n_cells:
            raise IndexError(f"there is no cell {row}")
        samples = study.samples
        fields = []
        if by.kind == "gene":
            value = self._gene(by).values[row]
            kind = study.gene_kinds(by.key, by.layer)[int(np.searchsorted(study.offsets, row, "right")) - 1]
            if kind and np.isfinite(value):
                fields.append([f"{by.key} {kind}", number_text(float(f"{value:.6g}"))])
        elif by.kind:
            if by.kind == "annotation":
                column: Column = self._workspace.category(Source(by.kind, by.key))
            elif by.kind == "delta":
                column = self._delta(by.key)
            else:
                column = self._in_or_out(by.key) if by.kind == "selection" else study.column(by.key)
            if isinstance(column, CategoryColumn):
                fields.append([column.name, (*column.labels, "missing")[column.codes[row]]])
            else:
                value = column.values[row]
                fields.append([column.name, number_text(value) if np.isfinite(value) else "missing"])
        return {
            "id": study.cell_ids[row].decode("utf-8", "replace"),
            "sample": samples.labels[samples.codes[row]],
            "fields": fields,
        }


def _digest(seen: Any) -> str:
    return hashlib.blake2b(repr(seen).encode(), digest_size=6).hexdigest()


def _unit(kinds: Iterable[MatrixKind | None]) -> str:
    """Say what the values are by which genes are shown, given the kinds of their matrices."""
    return ", ".join(SHOWN_TEXT[kind] for kind in sorted({kind for kind in kinds if kind}))


def axis_titles(embedding: str) -> dict[str, Any]:
    """Return the titles of an embedding's axes, whether they are drawn, and whether both have the same unit.

    Examples
    --------
    >>> axis_titles("X_umap")
    {'x': 'umap 1', 'y': 'umap 2', 'visible': False, 'equal': True}
    """
    if embedding == QC_AXES:
        return {"x": "counts per cell", "y": "genes per cell", "visible": True, "equal": False}
    name = embedding.removeprefix("X_")
    return {"x": f"{name} 1", "y": f"{name} 2", "visible": False, "equal": True}
