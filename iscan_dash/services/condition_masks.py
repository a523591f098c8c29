"""Which cells meet a condition: found once, and again only when what it is about changes."""

from collections.abc import Callable, Hashable

import numpy as np

from iscan_dash.core.selection import Area, Cells, Labels, Range, Shape
from iscan_dash.core.selection.conditions import NamedCells, labels_mask, named_cells, range_mask
from iscan_dash.core.selection.mask_codec import decode, encode
from iscan_dash.core.study import NumberColumn, Study
from iscan_dash.core.study.axes import axes_positions
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.workspace import Source, Workspace

KEPT_MASKS = 128
"""Masks kept, a bit a cell each."""

KEPT_POSITIONS = 2
"""Pairs of genes whose values are kept; embeddings are kept by the study."""

KEPT_NAMED = 3
"""Lists of ids whose cells are kept."""

POINT = 120
"""Bytes of a corner of an outline."""


class ConditionMasks:
    """Finds the cells that meet conditions on columns, and those within areas; not to be used by two threads at once.

    Parameters
    ----------
    workspace
        The study and its annotations.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._study = workspace.study
        self._n_studies = 0
        self._masks = workspace.room.shelf(KEPT_MASKS)
        self._positions = workspace.room.shelf(KEPT_POSITIONS)
        self._named = workspace.room.shelf(KEPT_NAMED)

    @property
    def study(self) -> Study:
        """The study as the user sees it now."""
        study = self._workspace.study
        if study is not self._study:
            # Columns may be treated in another way, and genes be taken from another matrix.
            self._study = study
            self._n_studies += 1
            for shelf in (self._masks, self._positions, self._named):
                shelf.forget()
        return study

    @property
    def study_version(self) -> int:
        """A number that grows whenever the user chooses to see the study in another way."""
        _ = self.study
        return self._n_studies

    def of_area(self, area: Area) -> np.ndarray:
        """Tell which cells are in an area.

        Raises
        ------
        UnknownColumn
            Its axes are not there any more.
        """
        return area.mask(lambda shape: self.of_shape(area.axes, shape))

    def of_shape(self, axes: str, shape: Shape) -> np.ndarray:
        """Tell which cells lie within an outline.

        Raises
        ------
        UnknownColumn
            Its axes are not there any more.
        SelectionRefused
            It is too much to look up.
        """
        study = self.study
        corners = POINT * len(shape.points)
        return self._kept((axes, shape.points), lambda: shape.mask(self._xy(study, axes)), corners)

    def strange(self, labels: Labels) -> list[str]:
        """Return those of some labels that their column does not have: misspelt, or renamed since."""
        if not labels.values:
            return []
        if labels.kind == "sample":
            column = self.study.samples
        elif labels.kind == "annotation":
            column = self._workspace.annotation(labels.key).column
        else:
            column = self._workspace.labels(Source(labels.kind, labels.key))
        return sorted(set(labels.values).difference(column.labels))

    def of_labels(self, labels: Labels) -> np.ndarray:
        """Tell which cells have one of some labels.

        Raises
        ------
        UnknownColumn
            There is no such column or annotation.
        """
        study = self.study
        if labels.kind == "annotation":
            annotation = self._workspace.annotation(labels.key)
            key: Hashable = (labels, annotation.version)
            return self._kept(key, lambda: labels_mask(annotation.column, labels.values, missing=labels.missing))

        def find() -> np.ndarray:
            if labels.kind == "sample":
                return labels_mask(study.samples, labels.values, missing=labels.missing)
            column = study.column(labels.key)
            if isinstance(column, NumberColumn) and not labels.values:
                is_missing: np.ndarray = ~np.isfinite(column.values)
                return is_missing
            category = self._workspace.labels(Source(labels.kind, labels.key))
            return labels_mask(category, labels.values, missing=labels.missing)

        return self._kept(labels, find)

    def of_range(self, asked: Range) -> np.ndarray:
        """Tell which cells have a number in a range.

        Raises
        ------
        UnknownColumn
            There is no such column or gene, or it holds no numbers.
        """
        study = self.study

        def find() -> np.ndarray:
            return range_mask(numbers(study, asked.kind, asked.key), asked.low, asked.high, missing=asked.missing)

        return self._kept(asked, find)

    def named(self, cells: Cells) -> NamedCells:
        """Tell what a list of ids found."""
        study = self.study
        known: NamedCells | None = self._named.get(cells)
        if known is None:
            known = named_cells(cells.ids, study.cell_ids, study.samples)
            self._named.put(cells, known, known.mask.nbytes + len(cells.text))
        return known

    def _xy(self, study: Study, axes: str) -> np.ndarray:
        xy: np.ndarray | None = self._positions.get(axes)
        if xy is None:
            xy = axes_positions(study, axes)
            if axes not in study.embeddings:
                self._positions.put(axes, xy, xy.nbytes)
        return xy

    def _kept(self, key: Hashable, find: Callable[[], np.ndarray], key_bytes: int = 0) -> np.ndarray:
        packed = self._masks.get(key)
        if packed is not None:
            return decode(packed, self._study.n_cells)
        mask = find()
        packed = encode(mask)
        self._masks.put(key, packed, len(packed) + key_bytes)
        return mask


def numbers(study: Study, kind: str, key: str) -> NumberColumn:
    """Return a column of numbers, or a gene as its colours show it.

    Raises
    ------
    UnknownColumn
        There is no such column or gene, or it holds no numbers.
    """
    if kind == "gene":
        return study.logged_gene(study.gene(key))
    column = study.column(key)
    if not isinstance(column, NumberColumn):
        raise UnknownColumn(f'"{key}" holds labels and no numbers. Choose values of it, or treat it as numbers.')
    return column
