"""Selections that a user keeps under names, with their drafts."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from iscan_dash.core.annotations.names import check_name, free_name
from iscan_dash.core.selection import Saved, Selection
from iscan_dash.core.selection.query import MAX_DEPTH, conditions
from iscan_dash.errors import IscanError, SelectionRefused
from iscan_dash.services.selection_actions import SelectionForm
from iscan_dash.services.workspace import Workspace

MOST_SAVED = 200

SETTING = "selections"
"""What they are kept as among the settings of a user's drafts."""

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

    def all(self) -> dict[str, SavedSelection]:
        """Return them by their ids, the oldest first."""
        if self._own is None:
            self._own = {}
            for record in self._workspace.kept(SETTING) or []:
                try:
                    form = SelectionForm.model_validate(record["selection"])
                    own = SavedSelection(str(record["id"]), str(record["name"]), form.selection(lambda _: None))
                except (ValidationError, IscanError, KeyError, TypeError) as error:
                    # It stays where it is: a newer version may have written it.
                    log.warning("A saved selection cannot be read: %s", error)
                    self._unreadable.append(record)
                    continue
                self._own[own.id] = own
        return self._own

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
            There are too many, or it rests on others too many levels deep.
        StorageError
            It cannot be written; it is not kept.
        """
        if len(self.all()) >= MOST_SAVED:
            raise SelectionRefused(f"{MOST_SAVED} selections can be saved at most. Delete one first.")
        if self._levels(selection) >= MAX_DEPTH:
            raise SelectionRefused(f"Saved selections can rest on each other {MAX_DEPTH} deep at most.")
        own = SavedSelection(uuid4().hex, self._checked(name), selection)
        self._keep([*self.all().values(), own])
        return own

    def adopt(self, given: Mapping[str, tuple[str, Selection]]) -> dict[str, str]:
        """Keep selections that somebody else saved, under free names; all or none. See `add` for the errors.

        Parameters
        ----------
        given
            Name and selection of each, by the ids that conditions have of them. Those that are known are left alone.

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
                    moved[own] = self.add(free_name(name, self._taken()), follow(selection, moved)).id
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

    def _checked(self, name: str, own: str | None = None) -> str:
        return check_name(name, {taken: user for taken, user in self._taken().items() if taken != own})

    def _taken(self) -> dict[str, str]:
        return self._workspace.taken_names() | {own.name: "selection" for own in self.all().values()}

    def _levels(self, selection: Selection) -> int:
        """Count selections that rest on each other, one upon the other."""
        return max((1 + self._levels(own.selection) for own in self.used_by(selection)), default=0)

    def _keep(self, changed: Iterable[SavedSelection]) -> None:
        kept = {own.id: own for own in changed}
        if not self._workspace.is_closed:
            records = [{"id": own.id, "name": own.name, "selection": own.selection.to_json()} for own in kept.values()]
            self._workspace.keep(SETTING, [*records, *self._unreadable])
        self._own = kept


def follow(selection: Selection, moved: Mapping[str, str]) -> Selection:
    """Let the conditions of a selection name saved selections by their new ids."""
    return selection.with_conditions(
        lambda own: Saved(moved.get(own.id, own.id)) if isinstance(own, Saved) else own,
    )


def _rests_on(selection: Selection) -> set[str]:
    return {own.id for own in selection.conditions() if isinstance(own, Saved)}
