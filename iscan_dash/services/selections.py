"""A user's selection of cells: changed by actions, evaluated here, told to every page of the user."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import orjson

from iscan_dash.core.annotations.names import check_label
from iscan_dash.core.selection import Cells, Filter, Labels, Not, Saved, Selection, Shape
from iscan_dash.core.selection.mask_codec import decode
from iscan_dash.core.selection.selection import MOST_CHARACTERS, characters
from iscan_dash.core.selection.text import parse
from iscan_dash.core.study.axes import axes_title
from iscan_dash.errors import SelectionRefused, UnknownColumn
from iscan_dash.services import selection_actions as actions
from iscan_dash.services.saved_selections import SavedSelection, SavedSelections, follow
from iscan_dash.services.selection_actions import SelectionForm
from iscan_dash.services.selection_evaluation import Evaluated, Evaluation
from iscan_dash.services.selection_names import WorkspaceNames
from iscan_dash.services.workspace import Workspace

STEPS_BACK = 20
"""Selections that can be gone back to; fewer where they name very many labels and cells."""

SHOWN_TEXT = 1000
"""Characters of the text of a saved selection that go to the page."""


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
        self._saved = SavedSelections(workspace)
        self._names = WorkspaceNames(workspace, self._saved, self.find_cells)
        self._evaluation = Evaluation(workspace, self._saved, self._names)
        self._selection = Selection()
        self._earlier: deque[Selection] = deque(maxlen=STEPS_BACK)
        self._evaluated: tuple[Any, Evaluated] | None = None
        self._counts: dict[str, tuple[Any, int | None]] = {}
        self._texts: dict[str, tuple[Any, str]] = {}
        self._n_ids = 0
        # Larger than any that a page knows from before the server was started.
        self._version = self._mask_version = time.time_ns() // 1_000_000

    # -- looking -----------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """A number that grows whenever the selection, or which cells it means, may have changed."""
        with self._lock:
            self._evaluate()
            return self._version

    @property
    def count(self) -> int | None:
        """How many cells are selected; None when the query is not finished, 0 when nothing is chosen."""
        with self._lock:
            return self._evaluate().count

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
            return self._evaluate().packed

    def text(self) -> str:
        """Say the selection in words, ``""`` when nothing is chosen."""
        with self._lock:
            text: str = self._evaluate().state["text"]
            return text

    def state(self) -> dict[str, Any]:
        """Return what the page is told of the selection: see docs/selection.md."""
        with self._lock:
            evaluated = self._evaluate()
            saved = [
                {
                    "id": own.id,
                    "name": own.name,
                    "text": self._saved_text(own),
                    "count": self._known_count(own.id),
                }
                for own in self._saved.all().values()
            ]
            return {
                **evaluated.state,
                "version": self._version,
                "mask_version": self._mask_version,
                "saved": saved,
                "can_go_back": bool(self._earlier),
            }

    def recipe(self) -> dict[str, Any]:
        """Return all that is needed to select the same cells again, as plain values."""
        with self._lock:
            used = dict.fromkeys(self._evaluation.conditions(self._selection))
            keys = dict.fromkeys(own.key for own in used if isinstance(own, Labels) and own.kind == "annotation")
            versions = {key: self._evaluation.annotation_version(key) for key in keys}
            known = self._saved.all()
            saved = [known[own.id] for own in used if isinstance(own, Saved) and own.id in known]
            return {
                "text": self.text(),
                "count": self.count,
                **self._selection.to_json(),
                "annotations": {
                    key: {"name": self._names.title("annotation", key), "version": version}
                    for key, version in versions.items()
                },
                "saved": {own.id: {"name": own.name, **own.selection.to_json()} for own in saved},
            }

    def saved_names(self) -> dict[str, str]:
        """Return the names of the saved selections by their ids, the oldest first."""
        with self._lock:
            return {own.id: own.name for own in self._saved.all().values()}

    def saved_cells(self, saved_id: str) -> tuple[str, bytes]:
        """Return the name of a saved selection, and its mask as `mask_codec.encode` packs it.

        Raises
        ------
        UnknownColumn
            It was deleted, or rests on something that is not there any more.
        """
        with self._lock:
            known = self._saved.all().get(saved_id)
            packed = self._evaluation.pack_saved(saved_id) if known else None
            if known is None or packed is None:
                raise UnknownColumn("There is no such saved selection any more, or what it rests on is gone.")
            return known.name, packed

    def saved_counts(self) -> dict[str, int | None]:
        """Count the cells of every saved selection, which may take a while; None where nobody can tell."""
        with self._lock:
            for own in self._saved.all().values():
                stamp = self._evaluation.stamp(own.selection)
                if self._counts.get(own.id, (None, None))[0] != stamp:
                    self._counts[own.id] = (stamp, self._evaluation.count_saved(own.id))
            return {own: self._known_count(own) for own in self._saved.all()}

    def find_cells(self, digest: str) -> Cells | None:
        """Return a list of cells that a selection of the user has, by its digest."""
        with self._lock:
            saved = (own.selection for own in self._saved.all().values())
            for selection in (self._selection, *self._earlier, *saved):
                for own in selection.conditions():
                    if isinstance(own, Cells) and own.digest == digest:
                        return own
        return None

    # -- being away --------------------------------------------------------------------------------------------------

    def remember(self) -> dict[str, Any]:
        """Return the selection and those before it as plain values for `recall`, nothing when there is none."""
        with self._lock:
            saved = self._saved.remember()
            if self._selection == Selection() and not self._earlier and not saved:
                return {}
            return {
                "selection": self._selection.to_json(),
                "earlier": [own.to_json() for own in self._earlier],
                "saved": saved,
                "n_ids": self._n_ids,
                "version": self._version,
                "mask_version": self._mask_version,
                "told": _told(self._evaluate()),
            }

    def recall(self, kept: Mapping[str, Any]) -> None:
        """Select what was selected when `remember` was called; its cells have the version that pages know them by.

        Raises
        ------
        pydantic.ValidationError, IscanError, LookupError, TypeError, ValueError
            The values are something else; nothing is restored.
        """
        if "selection" not in kept:
            return
        known, *earlier = (
            SelectionForm.model_validate(own).selection(lambda _: None)
            for own in (kept["selection"], *kept["earlier"][-STEPS_BACK:])
        )
        n_ids, version, mask_version = (int(kept[key]) for key in ("n_ids", "version", "mask_version"))
        is_told, are_told = map(str, kept["told"])
        with self._lock:
            self._saved.recall(kept["saved"])
            now, self._selection = self._version, known
            self._earlier.extend(earlier)
            self._n_ids = n_ids
            told = _told(self._evaluate())
            # What it rests on may have changed meanwhile; the time is larger than any version before.
            self._version = version if told[0] == is_told else now
            self._mask_version = mask_version if told[1] == are_told else now

    def _evaluate(self) -> Evaluated:
        """Return the selection evaluated, anew when it or what it rests on changed."""
        stamp, before = self._evaluation.stamp(self._selection), self._evaluated
        if before is not None and before[0] == stamp:
            return before[1]
        evaluated = self._evaluation.evaluate(self._selection)
        self._evaluated = (stamp, evaluated)
        if before is not None:
            self._version += 1
            if before[1].packed != evaluated.packed:
                self._mask_version = self._version
        return evaluated

    def _saved_text(self, own: SavedSelection) -> str:
        """Return a saved selection in words, written once until something is called otherwise."""
        stamp = self._evaluation.stamp(own.selection)
        if self._texts.get(own.id, (None, ""))[0] != stamp:
            text = self._evaluation.text(own.selection)
            self._texts[own.id] = (stamp, text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}...")
        return self._texts[own.id][1]

    def _known_count(self, saved_id: str) -> int | None:
        """Return how many cells a saved selection has, None when they are yet to be counted."""
        stamp, count = self._counts.get(saved_id, (None, None))
        is_new = stamp is not None and stamp == self._evaluation.stamp(self._saved.find(saved_id).selection)
        return count if is_new else None

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
            match asked:
                case actions.Save():
                    self._save(asked.name)
                case actions.RenameSaved():
                    self._saved.rename(asked.id, asked.name)
                    self._version += 1
                case actions.DeleteSaved():
                    self._saved.delete(asked.id)
                    self._counts.pop(asked.id, None)
                    self._texts.pop(asked.id, None)
                    self._version += 1
                case actions.Back():
                    self._go_back()
                case actions.RenameArea():
                    self._become(self._selection.rename_area(asked.id, check_label(asked.name)), remember=False)
                case _:
                    self._become(self._changed(asked))
            return self.state()

    def _changed(self, asked: Any) -> Selection:
        """Return what an action makes of the selection."""
        now = self._selection
        match asked:
            case actions.PutFilter():
                known = next((own.id for own in now.filters if own.id == asked.id), None)
                query = asked.condition.query(self.find_cells)
                if query in (Cells(""), Not(Cells(""))):
                    raise SelectionRefused("There is no cell ID in this list. Paste at least one.")
                return now.put_filter(known or self._new_id("f"), query)
            case actions.RemoveFilter():
                return now.remove_filter(asked.id)
            case actions.Combine():
                return now.combine(asked.mode)
            case actions.Custom():
                return now.with_custom(asked.tree.query(self.find_cells))
            case actions.FromText():
                return now.with_query(parse(asked.text, self._names), lambda: self._new_id("f"))
            case actions.Clear():
                if asked.what == "all":
                    return Selection()
                return now.clear_areas(asked.plot) if asked.what == "areas" else replace(now, filters=())
            case actions.UseSaved():
                return self._renumbered(self._saved.find(asked.id).selection)
            case actions.Load():
                return self._renumbered(self._loaded(asked.recipe))
        return self._drawn(asked)

    def _drawn(self, asked: Any) -> Selection:
        """Return what an action on areas makes of the selection."""
        now = self._selection
        match asked:
            case actions.Draw():
                # An area on axes that are not there, or of an outline that cannot be looked up, would be of no use.
                axes_title(self._workspace.study, asked.axes)
                self._evaluation.count_shape(asked.axes, Shape(asked.points))
                if asked.area is not None:
                    return now.redraw(asked.area, asked.axes, asked.points)
                return now.draw(self._new_id("a"), asked.plot, asked.axes, asked.points, asked.mode)
            case actions.OfArea():
                return now.invert_area(asked.id) if asked.do == "invert_area" else now.delete_area(asked.id)
            case actions.OfPlot():
                return now.invert_plot(asked.plot)
            case actions.RemovePlots():
                for plot in asked.plots:
                    now = now.remove_plot(plot)
                return now
        raise SelectionRefused("This cannot be done to a selection. Load the page again.")

    def _become(self, changed: Selection, *, remember: bool = True) -> None:
        before = self._selection
        if changed == before:
            return
        self._selection = changed
        try:
            self._evaluate()
        except BaseException:
            self._selection = before
            raise
        if remember:
            self._earlier.append(before)
            while len(self._earlier) > 1 and characters(self._earlier) > 2 * MOST_CHARACTERS:
                self._earlier.popleft()

    def _go_back(self) -> None:
        if not self._earlier:
            raise SelectionRefused("There is no earlier selection to go back to.")
        self._become(self._earlier[-1], remember=False)
        self._earlier.pop()

    def _save(self, name: str) -> None:
        evaluated = self._evaluate()
        if not evaluated.state["active"]:
            raise SelectionRefused("Nothing is selected. Select cells, then save the selection.")
        if evaluated.packed is None:
            raise SelectionRefused("The query is not finished. Finish it, then save the selection.")
        saved = self._saved.add(name, self._selection)
        self._counts[saved.id] = (self._evaluation.stamp(saved.selection), evaluated.count)
        self._version += 1

    def _loaded(self, recipe: actions.RecipeForm) -> Selection:
        """Return the selection of a recipe, after keeping those that it rests on."""
        selection = recipe.selection(self.find_cells)
        given = {own: (form.name, form.selection(self.find_cells)) for own, form in recipe.saved.items()}
        return follow(selection, self._saved.adopt(given))

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


def _told(evaluated: Evaluated) -> list[str]:
    """Return short texts that change when what the page is told does, and when the cells do."""
    state, cells = orjson.dumps(evaluated.state), evaluated.packed or b""
    return [hashlib.blake2b(own, digest_size=16).hexdigest() for own in (state + cells, cells)]
