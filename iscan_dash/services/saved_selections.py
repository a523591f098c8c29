"""Selections that a user keeps under names, with their drafts."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from iscan_dash.core.annotations.names import check_name, free_name
from iscan_dash.core.selection import Filter, Labels, Saved, Selection
from iscan_dash.core.selection.query import MAX_DEPTH, conditions
from iscan_dash.core.selection.selection import characters
from iscan_dash.errors import IscanError, SelectionRefused
from iscan_dash.services.selection_actions import SelectionForm
from iscan_dash.services.workspace import Workspace

MOST_SAVED = 200

MOST_CHARACTERS = 10_000_000
"""Characters of all labels and ids of cells that they name together."""

SETTING = "selections"
"""Where their ids and names are kept among the settings of a user's drafts; each has a setting of its own beside it."""

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


class SavedSelections:
    """The saved selections of one user; not to be used by two threads at once.

    They are read when first asked for. Where annotations are switched off they last as long as the server runs.

    Parameters
    ----------
    workspace
        The study and the user's annotations.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._own: dict[str, SavedSelection] | None = None
        self._unreadable: list[Any] = []
        self._stored: set[str] = set()
        self._annotations: tuple[str, ...] = ()
        self.version = 0
        """A number that grows with every change."""

    def all(self) -> dict[str, SavedSelection]:
        """Return them by their ids, the oldest first."""
        if self._own is None:
            self._own = {}
            for record in self._workspace.kept(SETTING) or []:
                try:
                    kept = self._workspace.kept(_setting(record["id"]))
                    # An earlier version kept all in one.
                    form = SelectionForm.model_validate(record["selection"] if kept is None else kept)
                    own = SavedSelection(str(record["id"]), str(record["name"]), form.selection(lambda _: None))
                    self._stored |= set() if kept is None else {own.id}
                except (ValidationError, IscanError, KeyError, TypeError) as error:
                    # It stays where it is: a newer version may have written it.
                    # What is wrong with it may name labels and cells.
                    log.warning("A saved selection cannot be read: %s", type(error).__name__)
                    self._unreadable.append(record)
                    continue
                self._own[own.id] = own
            self._changed(self._own)
        return self._own

    @property
    def annotations(self) -> tuple[str, ...]:
        """Ids of the annotations whose labels they name."""
        self.all()
        return self._annotations

    def find(self, saved_id: str) -> SavedSelection:
        """Return one of them.

        Raises
        ------
        SelectionRefused
            There is none of this id any more.
        """
        found = self.all().get(saved_id)
        if found is None:
            raise SelectionRefused("This saved selection was deleted. Choose another one.")
        return found

    def used_by(self, selection: Selection) -> list[SavedSelection]:
        """Return those that a selection rests on, and that are there."""
        query = selection.query
        ids = dict.fromkeys(own.id for own in conditions(query) if isinstance(own, Saved)) if query is not None else {}
        return [self.all()[own] for own in ids if own in self.all()]

    def add(self, name: str, selection: Selection) -> SavedSelection:
        """Keep a selection.

        Raises
        ------
        NameRefused
            The name breaks a rule or is taken.
        SelectionRefused
            There are too many, they name too much, or it rests on others too many levels deep.
        StorageError
            It cannot be written; it is not kept.
        """
        if len(self.all()) >= MOST_SAVED:
            raise SelectionRefused(f"{MOST_SAVED} selections can be saved at most. Delete one first.")
        if self._levels(selection, {}) >= MAX_DEPTH:
            raise SelectionRefused(f"Saved selections can rest on each other {MAX_DEPTH} deep at most.")
        if characters([*(own.selection for own in self.all().values()), selection]) > MOST_CHARACTERS:
            raise SelectionRefused("The saved selections name too many labels and cells to keep. Delete one first.")
        own = SavedSelection(uuid4().hex, self._checked(name), selection)
        self._keep([*self.all().values(), own])
        return own

    def adopt(self, given: Mapping[str, tuple[str, Selection]]) -> dict[str, str]:
        """Keep selections that somebody else saved, under free names; all or none. See `add` for the errors.

        Parameters
        ----------
        given
            Name and selection of each, by the ids that conditions have of them. Those that are known are left alone;
            of one that is kept already, under whatever name, the kept one is taken.

        Returns
        -------
        dict of str
            The new ids by the given ones, for `follow`.
        """
        waiting = {own: pair for own, pair in given.items() if own not in self.all()}
        before, moved = self.all(), dict[str, str]()
        try:
            while waiting:
                # Each after those that it rests on, under a new id: none can come to rest on itself.
                ready = [own for own, (_, selection) in waiting.items() if not waiting.keys() & _rests_on(selection)]
                if not ready:
                    raise SelectionRefused("The saved selections of this recipe rest on each other in a circle.")
                for own in ready:
                    name, selection = waiting.pop(own)
                    selection = follow(selection, moved)
                    known = self._like(selection) or self.add(free_name(name, self._taken()), selection)
                    moved[own] = known.id
        except IscanError:
            if moved:
                self._keep(before.values())
            raise
        return moved

    def rename(self, saved_id: str, name: str) -> None:
        """Give one of them another name; see `add` for the errors."""
        before = self.find(saved_id)
        changed = replace(before, name=self._checked(name, before.name))
        self._keep(changed if own.id == saved_id else own for own in self.all().values())

    def delete(self, saved_id: str) -> None:
        """Forget one of them; see `add` for the errors."""
        self.find(saved_id)
        self._keep(own for own in self.all().values() if own.id != saved_id)

    def remember(self) -> list[dict[str, Any]]:
        """Return as plain values what no journal keeps: all of them where annotations are switched off."""
        if not self._workspace.is_closed or self._own is None:
            return []
        return [{"id": own.id, "name": own.name, "selection": own.selection.to_json()} for own in self._own.values()]

    def recall(self, records: Iterable[Any]) -> None:
        """Have again what `remember` returned; see `Selections.recall` for the errors."""
        forms = [(str(own["id"]), str(own["name"]), SelectionForm.model_validate(own["selection"])) for own in records]
        if forms:
            self._changed({own: SavedSelection(own, name, form.selection(lambda _: None)) for own, name, form in forms})

    def _checked(self, name: str, own: str | None = None) -> str:
        return check_name(name, {taken: user for taken, user in self._taken().items() if taken != own})

    def _taken(self) -> dict[str, str]:
        return self._workspace.taken_names() | {own.name: "selection" for own in self.all().values()}

    def _like(self, selection: Selection) -> SavedSelection | None:
        """Return the one that means the same in the same way, if there is one."""
        wanted = _without_ids(selection)
        return next((own for own in self.all().values() if _without_ids(own.selection) == wanted), None)

    def _levels(self, selection: Selection, known: dict[str, int]) -> int:
        """Count selections that rest on each other, one upon the other; `known` holds what was counted already."""
        deepest = 0
        for own in self.used_by(selection):
            if own.id not in known:
                # One that rests on itself, which only a damaged journal can hold, ends here.
                known[own.id] = MAX_DEPTH
                known[own.id] = 1 + self._levels(own.selection, known)
            deepest = max(deepest, known[own.id])
        return deepest

    def _keep(self, changed: Iterable[SavedSelection]) -> None:
        kept = {own.id: own for own in changed}
        if not self._workspace.is_closed:
            # What they mean never changes: it is written once, before the list that names it.
            for own in kept.values():
                if own.id not in self._stored:
                    self._workspace.keep(_setting(own.id), own.selection.to_json())
                    self._stored.add(own.id)
            records = [{"id": own.id, "name": own.name} for own in kept.values()]
            self._workspace.keep(SETTING, [*records, *self._unreadable])
        self._changed(kept)
        for gone in self._stored - kept.keys():
            self._stored.discard(gone)
            self._workspace.keep(_setting(gone), None)

    def _changed(self, kept: dict[str, SavedSelection]) -> None:
        self._own = kept
        self.version += 1
        named = (condition for own in kept.values() for condition in own.selection.conditions())
        self._annotations = tuple(
            dict.fromkeys(own.key for own in named if isinstance(own, Labels) and own.kind == "annotation")
        )


def _setting(saved_id: str) -> str:
    return f"{SETTING}/{saved_id}"


def follow(selection: Selection, moved: Mapping[str, str]) -> Selection:
    """Let the conditions of a selection name saved selections by their new ids."""
    return selection.with_conditions(
        lambda own: Saved(moved.get(own.id, own.id)) if isinstance(own, Saved) else own,
    )


def _without_ids(selection: Selection) -> Selection:
    return replace(
        selection,
        filters=tuple(Filter("", own.query) for own in selection.filters),
        areas=tuple(replace(area, id="") for area in selection.areas),
    )


def _rests_on(selection: Selection) -> set[str]:
    return {own.id for own in selection.conditions() if isinstance(own, Saved)}
