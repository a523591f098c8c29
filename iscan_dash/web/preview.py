"""The live preview of an annotation that is being made: numbers, warnings and rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from iscan_dash.core.annotations.combine import Combined
from iscan_dash.core.annotations.names import check_name, label_notices
from iscan_dash.core.study import CategoryColumn
from iscan_dash.core.study.table import CellTable, TableColumn
from iscan_dash.errors import IscanError, NameRefused, SelectionRefused
from iscan_dash.services.selections import Selections
from iscan_dash.services.workspace import ChosenCells, Workspace
from iscan_dash.web.forms import CopyForm

LABEL = "label"
"""Column id of the label that is previewed."""


class Previews:
    """Previews of a workspace; the last table is kept for the pages of its grid.

    Parameters
    ----------
    workspace
        The open study and its annotations.
    selections
        The user's selection, for annotations that are made for its cells alone.
    """

    def __init__(self, workspace: Workspace, selections: Selections) -> None:
        self._workspace = workspace
        self._selections = selections
        self._last: tuple[Combined, CellTable] | None = None

    def summary(self, form: CopyForm) -> dict[str, Any]:
        """Return what the form shows beside the grid: counts, warnings, and what is wrong.

        Returns
        -------
        dict
            ``labels``, ``cells``, ``by_default`` (numbers), ``warnings`` (code, sentence),
            ``name_error`` and ``default_error`` ((code, sentence) or None), ``error`` (sentence or None).
        """
        found: dict[str, Any] = {
            "labels": 0,
            "cells": self._workspace.study.n_cells,
            "by_default": 0,
            "warnings": [],
            "name_error": self._name_error(form.name),
            "default_error": None,
            "error": None,
        }
        try:
            combined = self._combined(form)
        except NameRefused as refused:
            where = "error" if refused.code == "E07" and form.sources else "default_error"
            found[where] = str(refused) if where == "error" else (refused.code, str(refused))
            return found
        except IscanError as error:
            return found | {"error": str(error)}
        notices = [("", notice) for notice in label_notices(form.default, combined.labels[0])]
        return found | {
            "labels": len(combined.counts),
            "by_default": combined.n_default,
            "warnings": [*combined.warnings, *notices],
        }

    def counts(self, form: CopyForm, wanted: str) -> list[tuple[str, int]]:
        """Return the labels that contain a text, ignoring case, with their cells, most cells first."""
        folded = wanted.casefold()
        combined = self._combined(form)
        return [(label, count) for label, count in combined.counts if folded in label.casefold()]

    def rows(
        self, form: CopyForm, start: int, end: int, contains: Mapping[str, str], sort: Sequence[tuple[str, bool]]
    ) -> tuple[list[dict[str, Any]], int]:
        """Return a page of the preview grid and the number of rows; see `CellTable.page`."""
        combined = self._combined(form)
        return self._table(combined).page(start, end, contains, sort)

    def _combined(self, form: CopyForm) -> Combined:
        return self._workspace.preview(form.sources, form.recipe, self.cells(form))

    def cells(self, form: CopyForm) -> ChosenCells | None:
        """Return the cells that an annotation is made for, None for all.

        Raises
        ------
        SelectionRefused
            No cells are selected, or others than the page says.
        """
        if not form.filtered or not form.sources:
            return None
        selections = self._selections
        state = selections.state()
        mask, recipe = selections.mask(), selections.recipe()
        if not state["active"]:
            raise SelectionRefused("No cells are filtered. Choose some in the Cell Filter, or switch this off.")
        if state["count"] is None:
            raise SelectionRefused("The query of the Cell Filter is not finished. Finish it, or switch this off.")
        if not state["count"]:
            raise SelectionRefused("No cells match the Cell Filter. Choose others, or switch this off.")
        # The page tells which cells it shows; another window may have chosen others since, even just now.
        versions = {form.selection, state["mask_version"], selections.state()["mask_version"]}
        if len(versions) > 1 or mask is None:
            raise SelectionRefused("The filtered cells changed meanwhile. Look at the preview, then try again.")
        return ChosenCells(mask, recipe)

    def _table(self, combined: Combined) -> CellTable:
        last = self._last
        if last is None or last[0] is not combined:
            study = self._workspace.study
            columns: dict[str, TableColumn] = {
                "sample": study.samples,
                "id": study.id_column,
                LABEL: CategoryColumn("label", combined.codes, combined.labels),
            }
            if last is not None:
                last[1].forget()
            last = self._last = (combined, CellTable(study.n_cells, columns, self._workspace.room))
        return last[1]

    def _name_error(self, name: str) -> tuple[str, str] | None:
        try:
            check_name(name, self._workspace.taken_names())
        except NameRefused as refused:
            return refused.code, str(refused)
        return None
