"""The workspace: an open study, what is seen in it, and the annotations that a user makes of it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from iscan_dash.core import palette
from iscan_dash.core.annotations import Annotation, Change, edits
from iscan_dash.core.annotations.annotation import absent
from iscan_dash.core.annotations.combine import Combined, CombineRecipe, combine_columns
from iscan_dash.core.annotations.label_table import LabelTable, import_column
from iscan_dash.core.annotations.names import check_label, check_name, free_name
from iscan_dash.core.annotations.outside import column_of
from iscan_dash.core.study import CategoryColumn, Choices, Study
from iscan_dash.core.study.health import Finding, check_study
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.core.words import counted
from iscan_dash.errors import IscanError, StorageError, UnknownColumn
from iscan_dash.services.backups import Backup, list_backups, open_backup
from iscan_dash.services.gene_searches import GeneSearches
from iscan_dash.services.labelling import Labelling
from iscan_dash.services.ledger import DEFAULT_LABEL, now
from iscan_dash.services.reattach import OldDrafts, find_old_drafts
from iscan_dash.services.result_files import copy_to, find_result, put_in_place

PREVIEWS = 4
"""Previews kept, so that the pages of one grid are made once."""


@dataclass(frozen=True)
class Source:
    """Where a part of a combined label comes from.

    Parameters
    ----------
    kind
        ``"metadata"``, ``"cluster"`` or ``"annotation"``.
    key
        The column's name, or the annotation's id.
    """

    kind: str
    key: str


@dataclass(frozen=True)
class ChosenCells:
    """The cells that an annotation is made for; two are equal when they are the same cells.

    Parameters
    ----------
    mask
        Which cells they are, shape (n_cells,), bool.
    recipe
        How they were chosen, as plain values that are kept with the annotation.
    """

    mask: np.ndarray = field(compare=False)
    recipe: dict[str, Any] = field(compare=False)
    tag: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", hashlib.blake2b(np.packbits(self.mask).tobytes(), digest_size=16).digest())


@dataclass(frozen=True)
class ImportChoice:
    """What to do with a column of a table.

    Parameters
    ----------
    column
        The column, as the table's report calls it.
    name
        The annotation's name.
    default
        The label of cells that the table has none for.
    replaces
        Whether the labels of the user's annotation of that name are replaced, as a new version of it.
    seen
        Id and version of the annotation that the user chose to replace; None means whatever has the name now.
    """

    column: str
    name: str
    default: str = DEFAULT_LABEL
    replaces: bool = False
    seen: tuple[str, int] | None = None


def check_choices(study: Study, choices: Choices) -> None:
    """Refuse choices that do not fit a study, whatever the page sent.

    Raises
    ------
    UnknownColumn
        A choice is about a column that the study does not have, or is none of those on offer.
    """
    columns = set(study.columns)
    asked = [choices.sample_column] if choices.sample_column else []
    named = [*asked, *choices.treat_as, *choices.roles]
    offered = {"category", "number", "ignore", "cluster", "metadata"}
    values = [*choices.treat_as.values(), *choices.roles.values()]
    kinds = {str(kind) for kind in MatrixKind}
    if not all(isinstance(name, str) and name in columns for name in named):
        raise UnknownColumn("The study has no such column. Choose one from the list.")
    if not all(isinstance(value, str) and value in offered for value in values):
        raise UnknownColumn("A column cannot be used like that. Choose from the list.")
    if not all(isinstance(kind, str) and kind in kinds for kind in choices.matrix_kinds.values()):
        raise UnknownColumn("There is no such kind of matrix. Choose from the list.")


class Workspace(Labelling):
    """An open study and one user's annotations of it: what is seen, what is made, what is edited.

    See `Ledger` for the parameters.

    Attributes
    ----------
    searches
        The genes that the user waits for.
    """

    def __init__(self, study: Study, **options: Any) -> None:
        self.searches = GeneSearches()
        super().__init__(study.watched(self.searches.watch), **options)
        self._findings: tuple[str, list[Finding]] | None = None
        self._previews = self.room.shelf(PREVIEWS)

    # -- looking -----------------------------------------------------------------------------------------------------

    def findings(self) -> list[Finding]:
        """Return what the health check finds, as the study is seen now."""
        key = repr(self._study.choices)
        if self._findings is None or self._findings[0] != key:
            self._findings = (key, check_study(self._study, self.max_items))
        return self._findings[1]

    def category(self, source: Source) -> CategoryColumn:
        """Return the labels of a column or an annotation.

        Raises
        ------
        UnknownColumn
            There is no such column or annotation.
        """
        if source.kind == "annotation":
            return self.annotation(source.key).column
        return self._study.category(source.key)

    def labels(self, source: Source) -> CategoryColumn:
        """Return the labels of a column or an annotation; numbers, which may be millions, are not taken for labels.

        Raises
        ------
        UnknownColumn
            There is no such column or annotation, or it holds numbers.
        """
        if source.kind != "annotation" and not isinstance(self._study.column(source.key), CategoryColumn):
            raise UnknownColumn(
                f'"{source.key}" holds numbers and no labels. Choose a range, or treat it as a category (Data page).'
            )
        return self.category(source)

    def colours(self, source: Source) -> dict[str, str]:
        """Return the colour of each label of a column or an annotation."""
        if source.kind == "annotation":
            return {label.text: label.colour for label in self.annotation(source.key).live.labels}
        return palette.label_colours(self.category(source).labels, self._study.colours(source.key))

    # -- making annotations ------------------------------------------------------------------------------------------

    def preview(self, sources: Sequence[Source], recipe: CombineRecipe, cells: ChosenCells | None = None) -> Combined:
        """Combine columns the way `create_from_existing` does, without keeping the result; see there.

        Raises
        ------
        NameRefused
            The default value or a combined label breaks a rule.
        UnknownColumn
            A source does not exist.
        """
        recipe = replace(recipe, default=check_label(recipe.default), max_items=self.max_items)
        key = (tuple(sources), recipe, cells, tuple(self.version_of(source) for source in sources))
        known: Combined | None = self._previews.get(key)
        if known is not None:
            return known
        columns = [self.category(source) for source in sources]
        combined = combine_columns(columns, self._study.n_cells, recipe, None if cells is None else cells.mask)
        n_bytes = combined.codes.nbytes + (0 if cells is None else cells.mask.nbytes)
        self._previews.put(key, combined, n_bytes)
        return combined

    def version_of(self, source: Source) -> Any:
        """Return what changes when a column, or an annotation, has other labels.

        Raises
        ------
        UnknownColumn
            There is no such annotation.
        """
        if source.kind == "annotation":
            return self.annotation(source.key).version
        info = self._study.columns.get(source.key)
        return info.treat_as if info else None

    def create_from_existing(
        self, name: str, sources: Sequence[Source], recipe: CombineRecipe, cells: ChosenCells | None = None
    ) -> Annotation:
        """Make an annotation of existing columns, or with no source one in which every cell has the default label.

        Parameters
        ----------
        name
            Its name.
        sources
            The columns in the order of the parts.
        recipe
            How they are combined.
        cells
            Which cells are labelled; the others get the default. All when None.

        Raises
        ------
        NameRefused
            The name, the default value or a combined label breaks a rule.
        """
        combined = self.preview(sources, recipe, cells)
        titles = [self.category(source).name for source in sources]
        kept = {"sources": [asdict(source) for source in sources], "titles": titles, **recipe.to_json()}
        description = f"Created from {', '.join(titles)}" if titles else "Created empty"
        if cells is not None:
            kept["cells"] = cells.recipe
            description += f" for {counted(int(cells.mask.sum()), 'filtered cell')}"
        colours = self._inherited_colours(sources, combined.labels[1:])
        return self._create(name, combined, "existing" if sources else "empty", kept, description, colours)

    def create_labelled(
        self, name: str, combined: Combined, origin: str, recipe: Mapping[str, Any], description: str
    ) -> Annotation:
        """Make an annotation of labels that were worked out.

        Parameters
        ----------
        name
            Its name.
        combined
            The labels, the default first, and that of each cell.
        origin, recipe, description
            Where it comes from, how it can be made again, and what the history says.

        Raises
        ------
        NameRefused
            The name breaks a rule or is taken.
        EditConflict
            The study's files changed.
        StorageError
            It cannot be written.
        """
        self.open()
        return self._create(name, combined, origin, recipe, description)

    def _inherited_colours(self, sources: Sequence[Source], labels: Sequence[str]) -> dict[str, str]:
        """Let a plain copy keep the colours of its source; give other labels colours of their own."""
        given = self.colours(sources[0]) if len(sources) == 1 else {}
        return palette.label_colours(labels, {label: given[label] for label in labels if label in given})

    def duplicate(self, annotation_id: str) -> Annotation:
        """Make a copy of an annotation under a free name."""
        with self._lock:
            original = self.annotation(annotation_id)
            header = replace(
                original.live,
                name=free_name(f"{original.live.name[:57]} (copy)", self.taken_names()),
                owner=self.user_name,
                created=now(),
                origin="duplicate",
                recipe={"duplicate_of": original.live.name, "version": original.version},
            )
            state = absent(uuid4().hex, self._study.n_cells)
            return self._apply(
                edits.create(state, header, original.codes), "create", f"Copied from {original.live.name}"
            )

    # -- results ---------------------------------------------------------------------------------------------------

    def add_result(
        self,
        annotation_id: str,
        file: Path,
        name: str,
        combined: Combined,
        origin: str,
        recipe: Mapping[str, Any],
        description: str,
    ) -> Annotation:
        """Make an annotation of labels that were worked out, and keep what they rest on beside the drafts.

        Parameters
        ----------
        annotation_id
            The id that it gets; nothing has it yet.
        file
            What the labels rest on. It is copied; see `result_file`.
        name
            Its name; a number follows when it is taken.
        combined
            The labels, the default first, and that of each cell.
        origin, recipe, description
            Where it comes from, how it can be made again, and what the history says.

        Raises
        ------
        EditConflict
            The study's files changed.
        NameRefused
            The name breaks a rule.
        StorageError
            It cannot be written.
        """
        self.open()
        self._check_writable()
        kept = None
        try:
            # Large as it is, nobody's edit waits for it.
            part = copy_to(file, self.place)
            with self._lock:
                # The file comes first: an annotation without it could not be looked into, and nobody would know why.
                kept = put_in_place(part, self.place, annotation_id)
                free = free_name(name, self.taken_names())
                change = self._creation(free, combined, origin, recipe, annotation_id=annotation_id)
                return self._apply(change, "create", description)
        except OSError as error:
            raise StorageError(
                f"The result cannot be kept in {self.place.results}: {error.strerror or error}. Free the disk or bring "
                "the folder back, then try again."
            ) from error
        except IscanError:
            if kept is not None:
                kept.unlink(missing_ok=True)
            raise

    def result_file(self, annotation_id: str) -> Path | None:
        """Return the file with what the labels of an annotation rest on, None when there is none."""
        return find_result(self.place.folder, annotation_id)

    # -- tables ------------------------------------------------------------------------------------------------------

    def import_columns(self, table: LabelTable, chosen: Sequence[ImportChoice]) -> list[Annotation]:
        """Make annotations of columns of a table, or replace the labels of those that have their names.

        Parameters
        ----------
        table
            The table, matched to the study.
        chosen
            The columns, and what to do with each.

        Raises
        ------
        NameRefused
            A name or a label breaks a rule; no column is imported then.
        UnknownColumn
            There is no such column, or no annotation of the user to replace.
        EditConflict
            An annotation to replace changed since the user saw it.
        """
        file = table.report.name
        with self._lock:
            self.open()
            # All are looked at before the first is imported: all come, or none.
            ready = []
            taken = self.taken_names()
            for choice in chosen:
                combined = import_column(table, choice.column, choice.default)
                replaced = self._to_replace(choice) if choice.replaces else None
                if replaced is None:
                    taken[check_name(choice.name, taken)] = "annotation"
                ready.append((choice, combined, replaced))
            made = []
            for choice, combined, replaced in ready:
                if replaced is not None:
                    made.append(self._replace(replaced, combined, f"Replaced by {file}"))
                    continue
                recipe = {"file": file, "column": choice.column}
                made.append(self._create(choice.name, combined, "import", recipe, f"Read from {file}"))
            return made

    def _to_replace(self, choice: ImportChoice) -> Annotation:
        """Return the user's annotation that a column replaces."""
        if choice.seen is not None:
            return self._current(*choice.seen)
        name = choice.name
        for state in self.annotations():
            if state.live.name.casefold() == name.strip().casefold():
                return state
        raise UnknownColumn(f'You have no annotation "{name}" to replace. Import the column under a new name.')

    def _replace(self, state: Annotation, combined: Combined, description: str) -> Annotation:
        column = column_of(combined, state.live.name)
        return self._apply(edits.relabel(state, np.ones(len(state.codes), bool), column), "import", description)

    # -- backups -----------------------------------------------------------------------------------------------------

    def backups(self) -> list[Backup]:
        """Return the earlier versions of the draft, the newest first."""
        return list_backups(self.place, self._study)

    def preview_backup(self, name: str) -> list[tuple[str, int]]:
        """Return what a backup would bring back: each annotation, and how many of its cells would change.

        Raises
        ------
        StorageError
            There is no such backup any more.
        DataError
            It cannot be read.
        """
        return [(title, change.delta.n_cells) for title, change in self._backup_changes(name)]

    def restore_backup(self, name: str, seen: Mapping[str, int]) -> list[str]:
        """Make annotations what they were in a backup, as new versions.

        Parameters
        ----------
        name
            The backup's file name.
        seen
            The version of each annotation that the user saw, by its id.

        Returns
        -------
        list of str
            The annotations that changed.

        Raises
        ------
        EditConflict
            An annotation changed since; nothing is restored then.
        StorageError
            There is no such backup any more.
        DataError
            It cannot be read.
        """
        with self._lock:
            changes = [(title, change) for title, change in self._backup_changes(name) if not change.is_empty]
            for _, change in changes:
                if change.annotation_id in self._states:
                    self._current(change.annotation_id, seen.get(change.annotation_id, 0))
            for _, change in changes:
                self._apply(change, "restore", f"Restored from the backup {name}")
            return [title for title, _ in changes]

    def _backup_changes(self, name: str) -> list[tuple[str, Change]]:
        self.open()
        table, ids = open_backup(self.place, self._study, name)
        found: list[tuple[str, Change]] = []
        taken = self.taken_names()
        for column in table.report.columns:
            combined = import_column(table, column.name, DEFAULT_LABEL)
            state = self._states.get(ids.get(column.name, ""))
            if state is None or state.header is None:
                # It was deleted since: it comes back as a new one.
                new_name = free_name(column.new_name, taken)
                taken[new_name] = "annotation"
                found.append((new_name, self._creation(new_name, combined, "import", {"backup": name})))
            else:
                labels = column_of(combined, column.name)
                found.append((state.header.name, edits.relabel(state, table.rows >= 0, labels)))
        return found

    # -- drafts of data that changed since ---------------------------------------------------------------------------

    def old_drafts(self) -> list[OldDrafts]:
        """Return the user's drafts of other cells of which some are here, those that were attached left out."""
        self.open()
        if self._file is not None or self.is_closed:
            return []
        known = set(self._collection.setting("attached") or [])
        return list(find_old_drafts(self._folder, self.user, self._study, known))

    def reattach(self, old: OldDrafts) -> list[Annotation]:
        """Bring the annotations of old drafts here, cell by cell; cells that are new get the default label."""
        with self._lock:
            made = []
            for annotation in old.annotations:
                header = replace(
                    annotation.live,
                    name=free_name(annotation.live.name, self.taken_names()),
                    recipe={
                        **annotation.live.recipe,
                        "reattached_from": old.name,
                        "reattached_version": annotation.version,
                    },
                )
                state = absent(uuid4().hex, self._study.n_cells)
                change = edits.create(state, header, old.codes(annotation))
                made.append(self._apply(change, "create", f"Re-attached from {old.name}"))
            known = self._collection.setting("attached") or []
            self._collection.set_setting("attached", [*known, old.fingerprint])
            return made

    # -- editing -----------------------------------------------------------------------------------------------------

    def rename(self, annotation_id: str, name: str, base_version: int) -> Annotation:
        """Rename an annotation.

        Parameters
        ----------
        annotation_id
            The annotation.
        name
            Its new name.
        base_version
            The version the user saw.

        Raises
        ------
        EditConflict
            The annotation changed since.
        NameRefused
            The name breaks a rule or is taken.
        """
        with self._lock:
            state = self._current(annotation_id, base_version)
            change = edits.rename(state, name, self.taken_names())
            description = f'Renamed from "{state.live.name}" to "{change.after.name if change.after else ""}"'
            return self._apply(change, "rename", description)

    def describe(self, annotation_id: str, text: str, base_version: int) -> Annotation:
        """Change the free text of an annotation; see `rename` for the errors."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            return self._apply(edits.describe(state, text), "describe", "Description changed")

    # -- choices about the study -------------------------------------------------------------------------------------

    def choose(self, **changes: Any) -> None:
        """Keep decisions of the user about the study: fields of `Choices` with their new values.

        Raises
        ------
        UnknownColumn
            A choice is about a column that the study does not have, or is none of those on offer.
        """
        self.open()
        with self._lock:
            choices = replace(self._study.choices, **changes)
            check_choices(self._study, choices)
            if not self.is_closed:
                self._check_writable()
                self._collection.set_setting("choices", asdict(choices))
            self._study = self._study.with_choices(choices)
            self._previews.forget()
            self._n_choices += 1
            if self._events:
                # The draft names the sample of each cell.
                self._autosaver.request()
