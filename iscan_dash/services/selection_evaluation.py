"""What a selection means: its cells, what is wrong with it, and what the page is told of its parts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from iscan_dash.core.selection import (
    Area,
    Cells,
    Filter,
    Labels,
    PlotAreas,
    Problem,
    Query,
    Range,
    Saved,
    Selection,
    Shape,
)
from iscan_dash.core.selection.mask_codec import decode, encode
from iscan_dash.core.selection.query import (
    REMOVED,
    UNFINISHED,
    Condition,
    conditions,
    evaluate,
    is_unfinished,
    problems,
    to_json,
)
from iscan_dash.core.selection.selection import CUSTOM
from iscan_dash.core.selection.text import to_text
from iscan_dash.core.study.axes import axes_title
from iscan_dash.core.words import counted
from iscan_dash.errors import GeneNotRead, IscanError, UnknownColumn
from iscan_dash.services.condition_masks import ConditionMasks
from iscan_dash.services.saved_selections import SavedSelections
from iscan_dash.services.selection_actions import SHOWN_TEXT
from iscan_dash.services.selection_names import WorkspaceNames
from iscan_dash.services.workspace import Workspace

GONE = "E44"
"""Code of a condition about something that is not there any more."""


class Broken(Exception):
    """A condition cannot be evaluated.

    Parameters
    ----------
    code, text
        Why.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True)
class Evaluated:
    """A selection evaluated.

    Parameters
    ----------
    packed
        The cells as `mask_codec` packs them; None when nothing is chosen, or the query is not finished.
    state
        What the page is told of the selection alone.
    """

    packed: bytes | None
    state: dict[str, Any]

    @property
    def count(self) -> int | None:
        """How many cells; None when the query is not finished, 0 when nothing is chosen."""
        count: int | None = self.state["count"]
        return count


class Evaluation:
    """Evaluates selections of a workspace; not to be used by two threads at once.

    Parameters
    ----------
    workspace
        The study and its annotations.
    saved
        The saved selections.
    names
        What things are called.
    """

    def __init__(self, workspace: Workspace, saved: SavedSelections, names: WorkspaceNames) -> None:
        self._workspace = workspace
        self._saved = saved
        self._names = names
        self._masks = ConditionMasks(workspace)
        self._saved_masks = workspace.room.shelf()
        self._broken: dict[str, Broken] = {}
        self._saved_masks_of: Any = None

    def stamp(self, selection: Selection) -> Any:
        """Return what changes whenever the cells of a selection, or what its conditions are called, may."""
        query = selection.query
        used = list(conditions(query)) if query is not None else []
        keys = [own.key for own in used if isinstance(own, Labels) and own.kind == "annotation"]
        rests = self._saved_stamp() if any(isinstance(own, Saved) for own in used) else None
        return (selection, self._masks.study_version, rests, *map(self.annotation_version, keys))

    def _saved_stamp(self) -> Any:
        """Return what changes whenever the cells of a saved selection may."""
        versions = [self.annotation_version(key) for key in self._saved.annotations]
        return (self._saved.version, self._masks.study_version, *versions)

    def annotation_version(self, key: str) -> int | None:
        """Return the version of an annotation, None when it is not there."""
        try:
            return self._workspace.annotation(key).version
        except UnknownColumn:
            return None

    def conditions(self, selection: Selection) -> Iterator[Condition]:
        """Go through the conditions of a selection and of those that it rests on, of each of these once."""
        waiting, seen = [selection], set[str]()
        while waiting:
            next_one = waiting.pop()
            if next_one.query is not None:
                yield from conditions(next_one.query)
            for own in self._saved.used_by(next_one):
                if own.id not in seen:
                    seen.add(own.id)
                    waiting.append(own.selection)

    # -- cells -------------------------------------------------------------------------------------------------------

    def mask(self, query: Query, selection: Selection) -> np.ndarray:
        """Tell which cells meet a query of a selection.

        Raises
        ------
        Broken
            Nobody can tell.
        """
        return evaluate(query, lambda own: self._condition(own, selection))

    def count_shape(self, axes: str, shape: Shape) -> int:
        """Count the cells within an outline.

        Raises
        ------
        IscanError
            Nobody can tell.
        """
        return int(np.count_nonzero(self._masks.of_shape(axes, shape)))

    def pack_saved(self, saved_id: str) -> bytes | None:
        """Return the cells of a saved selection as `mask_codec` packs them; None when nobody can tell."""
        try:
            return encode(self._saved_mask(saved_id))
        except Broken:
            return None

    def count_saved(self, saved_id: str) -> int | None:
        """Count the cells of a saved selection; None when nobody can tell."""
        try:
            return int(np.count_nonzero(self._saved_mask(saved_id)))
        except Broken:
            return None

    def _condition(self, condition: Condition, selection: Selection) -> np.ndarray:
        if is_unfinished(condition):
            raise Broken(*UNFINISHED)
        try:
            match condition:
                case Labels():
                    return self._masks.of_labels(condition)
                case Range():
                    return self._masks.of_range(condition)
                case Cells():
                    return self._masks.named(condition).mask
                case Saved():
                    return self._saved_mask(condition.id)
                case PlotAreas():
                    return self._plot_mask(condition, selection)
        except GeneNotRead:
            # Nothing is wrong with the condition.
            raise
        except IscanError as error:
            raise Broken(GONE, str(error)) from error
        raise Broken(*UNFINISHED)

    def _plot_mask(self, condition: PlotAreas, selection: Selection) -> np.ndarray:
        if condition.removed:
            raise Broken(*REMOVED)
        areas = selection.areas_of(condition.plot)
        if not areas:
            raise Broken(*UNFINISHED)
        found = self._masks.of_area(areas[0])
        for area in areas[1:]:
            found = found | self._masks.of_area(area)
        return ~found if condition.plot in selection.inverted_plots else found

    def _saved_mask(self, saved_id: str) -> np.ndarray:
        """Return the cells of a saved selection, found once until something changes: many may rest on it."""
        stamp = self._saved_stamp()
        if stamp != self._saved_masks_of:
            self._saved_masks.forget()
            self._broken.clear()
            self._saved_masks_of = stamp
        packed = self._saved_masks.get(saved_id)
        if packed is None and saved_id not in self._broken:
            # One that rests on itself, which only a damaged journal can hold, ends here.
            self._broken[saved_id] = Broken(GONE, "This saved selection rests on itself.")
            try:
                packed = encode(self._find_saved_mask(saved_id))
            except Broken as reason:
                self._broken[saved_id] = reason
            except GeneNotRead:
                del self._broken[saved_id]
                raise
            else:
                del self._broken[saved_id]
                self._saved_masks.put(saved_id, packed, len(packed))
        if packed is None:
            why = self._broken[saved_id]
            raise Broken(why.code, why.text)
        return decode(packed, self._workspace.study.n_cells)

    def _find_saved_mask(self, saved_id: str) -> np.ndarray:
        known = self._saved.all().get(saved_id)
        if known is None:
            raise Broken(GONE, "This condition used a saved selection that was deleted.")
        query = known.selection.query
        if query is None:
            raise Broken(*UNFINISHED)
        wrong = next(self._problems(query, known.selection), None)
        if wrong is not None:
            raise Broken(GONE, f'Saved selection "{known.name}": {wrong.text}')
        return self.mask(query, known.selection)

    def _problems(self, query: Query, selection: Selection) -> Iterator[Problem]:
        def broken(condition: Condition) -> tuple[str, str] | None:
            try:
                self._condition(condition, selection)
            except Broken as reason:
                return reason.code, reason.text
            return None

        return problems(query, broken)

    # -- what the page is told ---------------------------------------------------------------------------------------

    def evaluate(self, selection: Selection) -> Evaluated:
        """Find the cells of a selection, and what is wrong with it."""
        query, plots_query = selection.query, selection.plots_query
        found = [_problem(own, None) for part in selection.filters for own in self._problems(part.query, selection)]
        if plots_query is not None:
            is_custom = selection.mode == CUSTOM
            found += [_problem(own, own.path if is_custom else None) for own in self._problems(plots_query, selection)]
        packed, count = None, 0 if query is None else None
        if query is not None and not found:
            mask = self.mask(query, selection)
            packed, count = encode(mask), int(np.count_nonzero(mask))
        state = {
            "n_cells": self._workspace.study.n_cells,
            "active": query is not None,
            "count": count,
            "filters": [self._filter(own, selection) for own in selection.filters],
            "areas": [self._area(area) for area in selection.areas],
            "plots": {str(plot): self._plot(plot, selection) for plot in selection.drawn},
            "mode": selection.mode,
            "custom": page_json(selection.custom) if selection.custom is not None else None,
            "problem": found[0] if found else None,
            "problems": found,
            "notice": self._notice(query) if query is not None and not found else "",
            "text": self.text(selection),
        }
        return Evaluated(packed, state)

    def _notice(self, query: Query) -> str:
        """Say which labels a query names that are not there; such a condition means other cells than it seems."""
        for part in conditions(query):
            strange = self._masks.strange(part) if isinstance(part, Labels) else []
            if strange:
                more = f" and {counted(len(strange) - 1, 'other', 'others')}" if len(strange) > 1 else ""
                return f'{self._names.what(part)} has no "{strange[0]}"{more}'
        return ""

    def text(self, selection: Selection) -> str:
        """Say a selection in words, ``""`` when nothing is chosen."""
        query = selection.query
        return "" if query is None else to_text(query, self._names)

    def _filter(self, own: Filter, selection: Selection) -> dict[str, Any]:
        problem = next(self._problems(own.query, selection), None)
        told = {
            "id": own.id,
            "condition": page_json(own.query),
            "title": self._names.what(own.query),
            "text": to_text(own.query, self._names),
            "count": int(np.count_nonzero(self.mask(own.query, selection))) if problem is None else None,
            "problem": problem.text if problem else None,
        }
        cells = next((part for part in conditions(own.query) if isinstance(part, Cells) and part.text), None)
        if cells is not None:
            named = self._masks.named(cells)
            told["report"] = {
                "matched": named.matched,
                "unmatched": named.unmatched,
                "ambiguous": named.ambiguous,
                "first_unmatched": named.examples[0] if named.examples else None,
            }
        return told

    def _area(self, area: Area) -> dict[str, Any]:
        count = problem = None
        title = area.axes
        try:
            title = axes_title(self._masks.study, area.axes)
            count = int(np.count_nonzero(self._masks.of_area(area)))
        except GeneNotRead:
            raise
        except IscanError as error:
            problem = str(error)
        return {**area.to_json(), "axes_title": title, "count": count, "problem": problem}

    def _plot(self, plot: int, selection: Selection) -> dict[str, Any]:
        try:
            count = int(np.count_nonzero(self.mask(PlotAreas(plot), selection)))
        except Broken:
            count = None
        return {"count": count, "inverted": plot in selection.inverted_plots}


def _problem(problem: Problem, path: tuple[int, ...] | None) -> dict[str, Any]:
    """Return a problem as plain values; the path is that in the custom query, None when it is elsewhere."""
    return {"code": problem.code, "text": problem.text, "path": None if path is None else list(path)}


def page_json(query: Query) -> dict[str, Any]:
    """Return a query as plain values for the page, which gets but the beginnings of long lists of cells."""
    lists = (own for own in conditions(query) if isinstance(own, Cells))

    def cut(value: dict[str, Any]) -> dict[str, Any]:
        if "of" in value:
            return {**value, "of": [cut(part) for part in value["of"]]}
        if value["is"] != "cells":
            return value
        cells = next(lists)
        if len(value["text"]) <= SHOWN_TEXT:
            return value
        return {**value, "text": value["text"][:SHOWN_TEXT], "ref": cells.digest, "n": len(cells)}

    return cut(to_json(query))
