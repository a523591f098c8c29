"""A user's selection of cells: changed by actions, evaluated here, told to every page of the user."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import numpy as np
from pydantic import ValidationError

from iscan_dash.core.annotations.names import check_label, check_name
from iscan_dash.core.selection import Area, Cells, Filter, Labels, PlotAreas, Problem, Query, Range, Saved, Selection
from iscan_dash.core.selection.mask_codec import decode, encode
from iscan_dash.core.selection.query import (
    MAX_DEPTH,
    REMOVED,
    UNFINISHED,
    Condition,
    conditions,
    evaluate,
    is_unfinished,
    problems,
    to_json,
)
from iscan_dash.core.selection.text import parse, to_text
from iscan_dash.core.study.axes import axes_title
from iscan_dash.errors import IscanError, SelectionRefused
from iscan_dash.services import selection_actions as actions
from iscan_dash.services.condition_masks import ConditionMasks
from iscan_dash.services.selection_names import WorkspaceNames
from iscan_dash.services.workspace import Workspace

STEPS_BACK = 20
"""Selections that can be gone back to."""

MOST_SAVED = 200

SETTING = "selections"
"""What saved selections are kept as among the settings of a user's drafts."""

GONE = "E44"
"""Code of a condition about something that is not there any more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SavedSelection:
    """A selection under a name.

    Parameters
    ----------
    id
        Its id.
    name
        What the user calls it.
    selection
        What it was when it was saved; it does not change.
    """

    id: str
    name: str
    selection: Selection


class _Broken(Exception):
    """A condition cannot be evaluated: code and text of the reason."""


@dataclass(frozen=True)
class _Result:
    """A selection evaluated.

    Parameters
    ----------
    stamp
        What it depends on, as it was then.
    packed
        The cells as bits; None when there is no query, or one that is not finished.
    state
        What the page is told, but for the version.
    """

    stamp: Any
    packed: bytes | None
    state: dict[str, Any]


class Selections:
    """The selection of one user. All methods may be called from any thread.

    Parameters
    ----------
    workspace
        The study and the user's annotations.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.RLock()
        self._masks = ConditionMasks(workspace)
        self._selection = Selection()
        self._earlier: deque[Selection] = deque(maxlen=STEPS_BACK)
        self._saved: dict[str, SavedSelection] | None = None
        self._unreadable: list[Any] = []
        self._counts: dict[str, tuple[Any, int | None]] = {}
        self._n_ids = 0
        # Larger than any that a page knows from before the server was started.
        self._version = self._mask_version = time.time_ns() // 1_000_000
        self._result: _Result | None = None

    # -- looking -----------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """A number that grows whenever the selection, or which cells it means, may have changed."""
        with self._lock:
            self._evaluated()
            return self._version

    @property
    def mask_version(self) -> int:
        """The version at which the selected cells changed last."""
        with self._lock:
            self._evaluated()
            return self._mask_version

    def mask(self) -> np.ndarray | None:
        """Tell which cells are selected.

        Returns
        -------
        numpy.ndarray or None
            shape (n_cells,), bool; None when nothing is chosen, or when the query is not finished.
        """
        packed = self.packed()
        return None if packed is None else decode(packed, self._workspace.study.n_cells)

    def packed(self) -> bytes | None:
        """Return the mask as `mask_codec.encode` packs it."""
        with self._lock:
            return self._evaluated().packed

    @property
    def count(self) -> int | None:
        """How many cells are selected; None when the query is not finished, 0 when nothing is chosen."""
        with self._lock:
            count: int | None = self._evaluated().state["count"]
            return count

    def text(self) -> str:
        """Say the selection in words, ``""`` when nothing is chosen."""
        with self._lock:
            text: str = self._evaluated().state["text"]
            return text

    def state(self) -> dict[str, Any]:
        """Return what the page is told of the selection."""
        with self._lock:
            result = self._evaluated()
            saved = [
                {"id": own.id, "name": own.name, "text": self._text(own.selection), "count": self._known_count(own.id)}
                for own in self._known().values()
            ]
            return {
                **result.state,
                "version": self._version,
                "mask_version": self._mask_version,
                "saved": saved,
                "can_go_back": bool(self._earlier),
            }

    def recipe(self) -> dict[str, Any]:
        """Return all that is needed to select the same cells again, as plain values."""
        with self._lock:
            query = self._selection.query
            used = dict.fromkeys(self._used(query)) if query is not None else {}
            keys = {own.key for own in used if isinstance(own, Labels) and own.kind == "annotation"}
            annotations = {
                key: {"name": state.live.name, "version": state.version}
                for key in sorted(keys)
                if (state := self._annotation(key)) is not None
            }
            known = self._known()
            saved = {own.id: known[own.id] for own in used if isinstance(own, Saved) and own.id in known}
            return {
                "text": self.text(),
                "count": self.count,
                **self._selection.to_json(),
                "annotations": annotations,
                "saved": {own.id: {"name": own.name, **own.selection.to_json()} for own in saved.values()},
            }

    def saved_counts(self) -> dict[str, int | None]:
        """Count the cells of every saved selection; None for one that cannot be evaluated any more."""
        with self._lock:
            for own in self._known():
                self._count(own)
            return {own: self._known_count(own) for own in self._known()}

    def find_cells(self, digest: str) -> Cells | None:
        """Return a list of cells that a selection of the user has, by its digest."""
        with self._lock:
            selections = (self._selection, *self._earlier, *(own.selection for own in self._known().values()))
            for selection in selections:
                queries = [own.query for own in selection.filters] + [own for own in (selection.custom,) if own]
                for query in queries:
                    for own in conditions(query):
                        if isinstance(own, Cells) and own.digest == digest:
                            return own
        return None

    # -- changing ----------------------------------------------------------------------------------------------------

    def apply(self, action: Any) -> dict[str, Any]:
        """Change the selection.

        Parameters
        ----------
        action
            One of `selection_actions.Action`, or its plain values.

        Returns
        -------
        dict
            The new state; see `state`.

        Raises
        ------
        IscanError
            The action is refused; nothing changed.
        pydantic.ValidationError
            The values are no action.
        """
        asked = actions.ACTION.validate_python(action) if isinstance(action, Mapping) else action
        with self._lock:
            if isinstance(asked, actions.Save):
                self._save(asked.name)
            elif isinstance(asked, actions.RenameSaved):
                self._rename_saved(asked.id, asked.name)
            elif isinstance(asked, actions.OfSaved) and asked.do == "delete_saved":
                self._delete_saved(asked.id)
            elif isinstance(asked, actions.Back):
                self._go_back()
            else:
                changed = self._changed(asked)
                self._become(changed, remember=not isinstance(asked, actions.RenameArea))
            return self.state()

    def _changed(self, asked: Any) -> Selection:
        """Return what the selection becomes."""
        now = self._selection
        match asked:
            case actions.PutFilter():
                known = {own.id for own in now.filters}
                own_id = asked.id if asked.id in known else self._new_id("f")
                return now.put_filter(own_id, asked.condition.query(self.find_cells))
            case actions.RemoveFilter():
                return now.remove_filter(asked.id)
            case actions.Combine():
                return now.combine(asked.mode)
            case actions.Custom():
                return now.with_custom(asked.tree.query(self.find_cells))
            case actions.FromText():
                return now.with_query(parse(asked.text, self._names()), lambda: self._new_id("f"))
            case actions.Clear():
                if asked.what == "all":
                    return Selection()
                return now.clear_areas(asked.plot) if asked.what == "areas" else replace(now, filters=())
            case actions.OfSaved():
                return self._renumbered(self._find_saved(asked.id).selection)
            case actions.Load():
                return self._renumbered(asked.recipe.selection(self.find_cells))
        return self._drawn(asked)

    def _drawn(self, asked: Any) -> Selection:
        """Return what the selection becomes when an area is drawn or changed."""
        now = self._selection
        match asked:
            case actions.Draw():
                # Areas on axes that are not there would be of no use.
                axes_title(self._masks.study, asked.axes)
                if asked.area is not None:
                    return now.redraw(asked.area, asked.axes, asked.points)
                return now.draw(self._new_id("a"), asked.plot, asked.axes, asked.points, asked.mode)
            case actions.RenameArea():
                return now.rename_area(asked.id, check_label(asked.name))
            case actions.OfArea():
                return now.invert_area(asked.id) if asked.do == "invert_area" else now.delete_area(asked.id)
            case actions.OfPlot():
                return now.invert_plot(asked.plot) if asked.do == "invert_plot" else now.remove_plot(asked.plot)
        raise SelectionRefused("This cannot be done to a selection.")

    def _become(self, changed: Selection, *, remember: bool = True) -> None:
        if changed == self._selection:
            return
        before = self._selection
        self._selection = changed
        try:
            self._evaluated()
        except BaseException:
            self._selection = before
            raise
        if remember:
            self._earlier.append(before)

    def _go_back(self) -> None:
        if not self._earlier:
            raise SelectionRefused("There is no earlier selection to go back to.")
        self._become(self._earlier[-1], remember=False)
        self._earlier.pop()

    def _new_id(self, letter: str) -> str:
        self._n_ids += 1
        return f"{letter}{self._n_ids}"

    def _renumbered(self, selection: Selection) -> Selection:
        """Give filters and areas ids of their own, so that none means two."""
        return replace(
            selection,
            filters=tuple(Filter(self._new_id("f"), own.query) for own in selection.filters),
            areas=tuple(replace(area, id=self._new_id("a")) for area in selection.areas),
        )

    # -- saved selections --------------------------------------------------------------------------------------------

    def _known(self) -> dict[str, SavedSelection]:
        if self._saved is None:
            self._saved = {}
            for record in self._workspace.kept(SETTING) or []:
                try:
                    form = actions.SelectionForm.model_validate(record["selection"])
                    own = SavedSelection(str(record["id"]), str(record["name"]), form.selection(lambda _: None))
                except (ValidationError, IscanError, KeyError, TypeError) as error:
                    # It stays where it is: a newer version may have written it.
                    log.warning("A saved selection cannot be read: %s", error)
                    self._unreadable.append(record)
                    continue
                self._saved[own.id] = own
        return self._saved

    def _find_saved(self, saved_id: str) -> SavedSelection:
        found = self._known().get(saved_id)
        if found is None:
            raise SelectionRefused("This saved selection was deleted. Choose another one.")
        return found

    def _save(self, name: str) -> None:
        result = self._evaluated()
        if self._selection.query is None:
            raise SelectionRefused("Nothing is selected. Select cells, then save the selection.")
        if result.packed is None:
            raise SelectionRefused("The query is not finished. Finish it, then save the selection.")
        if len(self._known()) >= MOST_SAVED:
            raise SelectionRefused(f"{MOST_SAVED} selections can be saved at most. Delete one first.")
        if self._levels(self._selection) >= MAX_DEPTH:
            raise SelectionRefused(f"Saved selections can rest on each other {MAX_DEPTH} deep at most.")
        own = SavedSelection(uuid4().hex, self._free_name(name), self._selection)
        self._keep({**self._known(), own.id: own})

    def _rename_saved(self, saved_id: str, name: str) -> None:
        own = self._find_saved(saved_id)
        self._keep({**self._known(), saved_id: replace(own, name=self._free_name(name, own.name))})

    def _delete_saved(self, saved_id: str) -> None:
        self._find_saved(saved_id)
        self._keep({own_id: own for own_id, own in self._known().items() if own_id != saved_id})

    def _free_name(self, name: str, own: str | None = None) -> str:
        saved = {known.name: "selection" for known in self._known().values() if known.name != own}
        return check_name(name, self._workspace.taken_names() | saved)

    def _keep(self, saved: dict[str, SavedSelection]) -> None:
        if not self._workspace.is_closed:
            records = [{"id": own.id, "name": own.name, "selection": own.selection.to_json()} for own in saved.values()]
            self._workspace.keep(SETTING, [*records, *self._unreadable])
        self._saved = saved
        self._version += 1

    def _levels(self, selection: Selection) -> int:
        """Count saved selections that rest on others, one upon the other."""
        query = selection.query
        inner = [own.id for own in conditions(query) if isinstance(own, Saved)] if query is not None else []
        known = [self._known()[own].selection for own in inner if own in self._known()]
        return 1 + max((self._levels(own) for own in known), default=0) if inner else 0

    def _count(self, saved_id: str) -> None:
        """Count the cells of a saved selection, if that was not done since what it rests on changed."""
        selection = self._find_saved(saved_id).selection
        stamp = self._stamp(selection.query)
        if self._counts.get(saved_id, (None, None))[0] != stamp:
            try:
                count = int(np.count_nonzero(self._saved_mask(saved_id)))
            except _Broken:
                self._counts[saved_id] = (stamp, None)
            else:
                self._counts[saved_id] = (stamp, count)

    def _known_count(self, saved_id: str) -> int | None:
        """Return how many cells a saved selection has if that is known; counting may take a while."""
        stamp, count = self._counts.get(saved_id, (None, None))
        own = self._known().get(saved_id)
        return count if own is not None and stamp == self._stamp(own.selection.query) else None

    # -- evaluating --------------------------------------------------------------------------------------------------

    def _evaluated(self) -> _Result:
        """Return the selection evaluated, again if it or what it rests on changed."""
        stamp = (self._selection, self._stamp(self._selection.query))
        before = self._result
        if before is None or before.stamp != stamp:
            self._result = self._evaluate(stamp)
            if before is not None:
                self._version += 1
                if before.packed != self._result.packed:
                    self._mask_version = self._version
        assert self._result is not None
        return self._result

    def _stamp(self, query: Query | None) -> Any:
        """Return what changes whenever the cells of a query, or what its conditions are called, may."""
        stamps: list[Any] = [self._masks.study_version]
        for own in self._used(query) if query is not None else ():
            if isinstance(own, Labels) and own.kind == "annotation":
                state = self._annotation(own.key)
                stamps.append((own.key, state.version if state else None))
            elif isinstance(own, Saved):
                known = self._known().get(own.id)
                stamps.append((own.id, known.name if known else None))
        return tuple(stamps)

    def _annotation(self, key: str) -> Any:
        try:
            return self._workspace.annotation(key)
        except IscanError:
            return None

    def _used(self, query: Query) -> Iterator[Condition]:
        """Go through the conditions of a query and of the saved selections in it."""
        for own in conditions(query):
            yield own
            known = self._known().get(own.id) if isinstance(own, Saved) else None
            if known is not None and known.selection.query is not None:
                yield from self._used(known.selection.query)

    def _evaluate(self, stamp: Any) -> _Result:
        now = self._selection
        query, plots_query = now.query, now.plots_query
        is_custom = now.mode == "custom"
        found = [replace_path(problem, None) for own in now.filters for problem in self._problems(own.query, now)]
        if plots_query is not None:
            in_tree = list(self._problems(plots_query, now))
            found += in_tree if is_custom else [replace_path(problem, None) for problem in in_tree]
        packed, count = None, 0 if query is None else None
        if query is not None and not found:
            mask = evaluate(query, lambda own: self._mask(own, now))
            packed, count = encode(mask), int(np.count_nonzero(mask))
        drawn = {plot: self._count_plot(plot, now) for plot in now.drawn}
        state = {
            "n_cells": self._workspace.study.n_cells,
            "active": query is not None,
            "count": count,
            "filters": [self._filter_state(own) for own in now.filters],
            "areas": [self._area_state(area) for area in now.areas],
            "plots": {str(plot): {"count": own, "inverted": plot in now.inverted_plots} for plot, own in drawn.items()},
            "mode": now.mode,
            "custom": page_json(now.custom) if now.custom is not None else None,
            "problem": found[0] if found else None,
            "problems": found,
            "text": self._text(now),
        }
        return _Result(stamp, packed, state)

    def _problems(self, query: Query, selection: Selection) -> Iterator[dict[str, Any]]:
        def broken(condition: Condition) -> tuple[str, str] | None:
            try:
                self._mask(condition, selection)
            except _Broken as reason:
                return reason.args[0], reason.args[1]
            return None

        for own in problems(query, broken):
            yield problem_json(own)

    def _filter_state(self, own: Filter) -> dict[str, Any]:
        names = self._names()
        problem = next(self._problems(own.query, self._selection), None)
        count = None
        if problem is None:
            mask = evaluate(own.query, lambda condition: self._mask(condition, self._selection))
            count = int(np.count_nonzero(mask))
        told = {
            "id": own.id,
            "condition": page_json(own.query),
            "title": names.what(own.query),
            "text": to_text(own.query, names),
            "count": count,
            "problem": problem["text"] if problem else None,
        }
        cells = next((part for part in conditions(own.query) if isinstance(part, Cells) and part.ids), None)
        if cells is not None:
            named = self._masks.named(cells)
            told["report"] = {
                "matched": named.matched,
                "unmatched": named.unmatched,
                "ambiguous": named.ambiguous,
                "first_unmatched": named.examples[0] if named.examples else None,
            }
        return told

    def _area_state(self, area: Area) -> dict[str, Any]:
        count = problem = None
        title = area.axes
        try:
            title = axes_title(self._masks.study, area.axes)
            count = int(np.count_nonzero(self._masks.of_area(area)))
        except IscanError as error:
            problem = str(error)
        return {**area.to_json(), "axes_title": title, "count": count, "problem": problem}

    def _count_plot(self, plot: int, selection: Selection) -> int | None:
        try:
            return int(np.count_nonzero(self._mask(PlotAreas(plot), selection)))
        except _Broken:
            return None

    def _mask(self, condition: Condition, selection: Selection) -> np.ndarray:
        """Tell which cells meet a condition of a selection.

        Raises
        ------
        _Broken
            Nobody can tell.
        """
        if is_unfinished(condition):
            raise _Broken(*UNFINISHED)
        try:
            match condition:
                case Labels():
                    return self._masks.of_labels(condition)
                case Range():
                    return self._masks.of_range(condition)
                case Cells():
                    return self._masks.of_cells(condition)
                case Saved():
                    return self._saved_mask(condition.id)
                case PlotAreas():
                    return self._plot_mask(condition, selection)
        except IscanError as error:
            raise _Broken(GONE, str(error)) from error
        raise _Broken(*UNFINISHED)

    def _plot_mask(self, condition: PlotAreas, selection: Selection) -> np.ndarray:
        areas = selection.areas_of(condition.plot)
        if condition.removed:
            raise _Broken(*REMOVED)
        if not areas:
            raise _Broken(*UNFINISHED)
        found = self._masks.of_area(areas[0])
        for area in areas[1:]:
            found = found | self._masks.of_area(area)
        return ~found if condition.plot in selection.inverted_plots else found

    def _saved_mask(self, saved_id: str) -> np.ndarray:
        known = self._known().get(saved_id)
        if known is None:
            raise _Broken(GONE, "This condition used a saved selection that was deleted.")
        query, selection = known.selection.query, known.selection
        if query is None:
            raise _Broken(*UNFINISHED)
        wrong = next(self._problems(query, selection), None)
        if wrong is not None:
            raise _Broken(GONE, f'"{known.name}": {wrong["text"]}')
        return evaluate(query, lambda own: self._mask(own, selection))

    def _names(self) -> WorkspaceNames:
        return WorkspaceNames(self._workspace, {own.id: own.name for own in self._known().values()}, self.find_cells)

    def _text(self, selection: Selection) -> str:
        query = selection.query
        return "" if query is None else to_text(query, self._names())


def problem_json(problem: Problem) -> dict[str, Any]:
    """Return plain values."""
    return {"code": problem.code, "text": problem.text, "path": list(problem.path)}


def replace_path(problem: dict[str, Any], path: list[int] | None) -> dict[str, Any]:
    """Say that a problem is elsewhere, or at no place of the custom query."""
    return {**problem, "path": path}


def page_json(query: Query) -> dict[str, Any]:
    """Return plain values for the page, which gets the beginnings of long lists of cells, and what they are called."""
    lists = (own for own in conditions(query) if isinstance(own, Cells))

    def cut(value: dict[str, Any]) -> dict[str, Any]:
        if "of" in value:
            return {**value, "of": [cut(part) for part in value["of"]]}
        if value["is"] != "cells":
            return value
        cells = next(lists)
        if len(value["text"]) <= actions.SHOWN_TEXT:
            return value
        return {**value, "text": value["text"][: actions.SHOWN_TEXT], "ref": cells.digest, "n": len(cells.ids)}

    return cut(to_json(query))
