"""A user's enrichment results: listed, grouped by any column at once, and turned into labels."""

import hashlib
import logging
import math
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.annotation import DEFAULT
from iscan_dash.core.annotations.combine import Combined
from iscan_dash.core.annotations.names import check_label, check_name, free_name
from iscan_dash.core.enrichment.group_table import GroupTable, group_table, p_text, pick_best
from iscan_dash.core.enrichment.method import COLUMN_TEXT
from iscan_dash.core.study import CategoryColumn, Study
from iscan_dash.core.words import counted
from iscan_dash.errors import EditConflict, EnrichmentRefused, NameRefused, StorageError, UnknownColumn
from iscan_dash.services.enrichment_parameters import METHODS
from iscan_dash.services.enrichment_result import EnrichmentResult
from iscan_dash.services.ledger import DEFAULT_LABEL, now
from iscan_dash.services.processes import processors
from iscan_dash.services.result_files import find_folder, put_folder
from iscan_dash.services.workspace import Source, Workspace

SETTING = "enrichments"
"""Where the list of results is kept among the settings of a user's drafts."""

KEEP_DELETED = 30 * 24 * 3600.0
"""Seconds for which a deleted result can be brought back."""

MOST_ROWS = 200_000
"""Rows of a table: groups times sets."""

MOST_ORDERED = 1000
"""Groups or sets up to which they are clustered."""

RESULTS, TABLES = 2, 8
"""Results and tables that are kept open."""

MISSING = "(missing)"
"""What the group of cells without a value is called."""

JOIN_LENGTH = 16

COLUMNS = (
    "average_expression",
    "average_percentage",
    "score",
    "difference",
    "minus_log10_p",
    "minus_log10_adjusted",
    "auc",
    "average_minus_log10_p",
)

log = logging.getLogger(__name__)

_CHANGING = threading.Lock()


@dataclass(frozen=True)
class EnrichmentEntry:
    """An enrichment result, as it is listed.

    Parameters
    ----------
    id
        Its id.
    name
        What the user calls it.
    created
        When it was made, ISO 8601 in UTC.
    n_cells, n_all
        Cells that were scored, and those of the study.
    n_sets, n_used
        Sets that were asked for, and those of which a gene was found.
    method
        A key of `METHODS`.
    matrix
        Which matrix was read.
    collection
        What the collection of sets was called.
    cells
        How the cells were selected, in words; ``""`` for all.
    deleted
        When it was deleted, seconds since 1970; None when it was not.
    """

    id: str
    name: str
    created: str
    n_cells: int
    n_all: int
    n_sets: int
    n_used: int
    method: str
    matrix: str
    collection: str
    cells: str = ""
    deleted: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "method_title": METHODS.get(self.method, self.method)}


@dataclass(frozen=True)
class Group:
    """Cells with one value in a column.

    Parameters
    ----------
    label
        The value, None for cells without one.
    n
        How many of the scored cells have it.
    """

    label: str | None
    n: int

    @property
    def title(self) -> str:
        """What people read."""
        return MISSING if self.label is None else self.label


@dataclass(frozen=True, eq=False)
class GroupedScores:
    """The statistics of a result, grouped by a column.

    Parameters
    ----------
    result
        The result.
    by
        The column.
    title
        What it is called.
    stamp
        Changes when the column has other labels.
    groups
        The groups that have scored cells, in the order of the column.
    codes
        Group of each scored cell, shape (n scored cells,), int64.
    table
        The statistics, a row for each group and a column for each set.
    n_empty
        Values of the column that no scored cell has.
    """

    result: EnrichmentResult
    by: Source
    title: str
    stamp: str
    groups: tuple[Group, ...]
    codes: np.ndarray = field(repr=False)
    table: GroupTable = field(repr=False)
    n_empty: int

    @property
    def warnings(self) -> list[str]:
        """What is odd, a sentence each."""
        said = list(self.result.warnings)
        if self.n_empty:
            said.append(f"{counted(self.n_empty, 'value')} of {self.title} without a scored cell: left out here.")
        if len(self.groups) == 1:
            said.append(f"{self.title} has only one group here, so there is nothing to compare it with.")
        small = sum(group.n < 3 for group in self.groups)
        if small:
            said.append(f"{counted(small, 'group has', 'groups have')} fewer than 3 cells and no P-value.")
        return said

    @cached_property
    def best(self) -> list[int | None]:
        """The set that is suggested for each group; never one of which too few genes were found to stand for it."""
        allowed = [not own["few"] for own in self.result.sets]
        return pick_best(self.table, np.array(allowed, bool))

    def to_json(self) -> dict[str, Any]:
        """Return everything that a page shows, as plain values."""
        table = self.table
        return {
            "result": self.result.folder.name,
            "by": {"kind": self.by.kind, "key": self.by.key, "title": self.title},
            "stamp": self.stamp,
            "n_cells": self.result.n_cells,
            "n_all": self.result.n_all,
            "method": self.result.recipe["method"],
            "groups": [{"label": group.label, "n": group.n} for group in self.groups],
            "sets": [dict(own) for own in self.result.sets],
            "columns": {name: [list(map(_plain, row)) for row in getattr(table, name).tolist()] for name in COLUMNS},
            "p": _texts(table.minus_log10_p),
            "adjusted_p": _texts(table.minus_log10_adjusted),
            "best": self.best,
            "definitions": dict(COLUMN_TEXT),
            "warnings": self.warnings,
            "order_groups": _clustered(table.score),
            "order_sets": _clustered(table.score.T),
        }


@dataclass(frozen=True)
class GroupChoice:
    """What a user chose for a group.

    Parameters
    ----------
    group
        Its label, None for cells without one.
    sets
        Names of the sets that are ticked.
    custom
        Whether `text` is taken rather than the names of sets.
    text
        The user's own label.
    """

    group: str | None
    sets: tuple[str, ...] = ()
    custom: bool = False
    text: str = ""


@dataclass(frozen=True)
class LabelChoice:
    """How labels are made of a grouped result.

    Parameters
    ----------
    by
        The column of groups.
    groups
        What was chosen; groups that are not named have nothing ticked.
    default
        Label of cells of groups without one, and of those that were not scored.
    join
        What stands between the names of several sets.
    stamp
        That of the table that the user saw; ``""`` for whatever is there now.
    """

    by: Source
    groups: tuple[GroupChoice, ...]
    default: str = DEFAULT_LABEL
    join: str = " / "
    stamp: str = ""


@dataclass(frozen=True)
class GroupLabel:
    """The label that a group gets.

    Parameters
    ----------
    group, n
        The group, None for cells without a value, and its scored cells.
    label
        The label, that of the default when nothing was chosen.
    is_default
        Whether nothing was chosen.
    code, problem
        Why it cannot be, ``""`` when it can.
    """

    group: str | None
    n: int
    label: str
    is_default: bool
    code: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Labelled:
    """The labels that groups get.

    Parameters
    ----------
    rows
        The label of each group, in the order of the table.
    default
        The default label.
    n_left_out
        Cells of the study that were not scored; they get the default.
    """

    rows: tuple[GroupLabel, ...]
    default: str
    n_left_out: int

    @property
    def n_unlabelled(self) -> int:
        """Groups without a label."""
        return sum(row.is_default for row in self.rows)

    @property
    def merged(self) -> dict[str, list[str]]:
        """Labels that several groups get, with these groups."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            if not row.is_default and not row.problem:
                found.setdefault(row.label, []).append(MISSING if row.group is None else row.group)
        return {label: groups for label, groups in found.items() if len(groups) > 1}

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "default": self.default,
            "n_unlabelled": self.n_unlabelled,
            "n_left_out": self.n_left_out,
            "merged": [[label, groups] for label, groups in self.merged.items()],
            "n_problems": sum(bool(row.problem) for row in self.rows),
        }


class Enrichments:
    """The enrichment results of one user. All methods may be called from any thread.

    Parameters
    ----------
    workspace
        The study and the user's annotations.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.RLock()
        self._results: OrderedDict[str, tuple[Path, EnrichmentResult]] = OrderedDict()
        self._tables = workspace.room.shelf(TABLES)

    # -- the list ----------------------------------------------------------------------------------------------------

    def list(self) -> list[EnrichmentEntry]:
        """Return the results that are not deleted, the newest first."""
        return [entry for entry in reversed(_kept(self._workspace)) if entry.deleted is None]

    @property
    def version(self) -> str:
        """A text that changes when the list does."""
        seen = [(entry.id, entry.name, entry.deleted) for entry in _kept(self._workspace)]
        return hashlib.blake2b(repr(seen).encode(), digest_size=8).hexdigest()

    def entry(self, result_id: str) -> EnrichmentEntry:
        """Return what is listed of a result.

        Raises
        ------
        UnknownColumn
            There is none of this id, or it was deleted.
        """
        for entry in self.list():
            if entry.id == result_id:
                return entry
        raise UnknownColumn("This enrichment result was deleted. Choose another one.")

    def rename(self, result_id: str, name: str) -> EnrichmentEntry:
        """Give a result another name.

        Raises
        ------
        NameRefused
            The name breaks a rule, or another result has it.
        UnknownColumn
            There is no such result.
        """
        with _CHANGING:
            self.entry(result_id)
            taken = {entry.name.casefold() for entry in self.list() if entry.id != result_id}
            kept = check_name(name, {})
            if kept.casefold() in taken:
                raise NameRefused("E02", f'"{kept}" is the name of another enrichment result. Choose another name.')
            return self._change(result_id, name=kept)

    def delete(self, result_id: str) -> EnrichmentEntry:
        """Delete a result; for a month `restore` brings it back. Annotations made of it stay.

        Raises
        ------
        UnknownColumn
            There is no such result.
        """
        with _CHANGING:
            self.entry(result_id)
            self._forget(result_id)
            return self._change(result_id, deleted=time.time())

    def restore(self, result_id: str) -> EnrichmentEntry:
        """Bring a deleted result back.

        Raises
        ------
        UnknownColumn
            It was deleted long ago.
        """
        with _CHANGING:
            if find_folder(self._workspace.place, result_id) is None:
                raise UnknownColumn("This enrichment result was deleted long ago and cannot be brought back.")
            return self._change(result_id, deleted=None)

    def _change(self, result_id: str, **changes: Any) -> EnrichmentEntry:
        entries = _kept(self._workspace)
        if result_id not in {entry.id for entry in entries}:
            raise UnknownColumn("There is no such enrichment result any more.")
        changed = [replace(entry, **changes) if entry.id == result_id else entry for entry in entries]
        _keep(self._workspace, changed)
        return next(entry for entry in changed if entry.id == result_id)

    def _forget(self, result_id: str) -> None:
        with self._lock:
            self._results.pop(result_id, None)
            self._tables.forget(lambda key: key[0] == result_id)

    # -- looking -----------------------------------------------------------------------------------------------------

    def result(self, result_id: str) -> EnrichmentResult:
        """Return a result.

        Raises
        ------
        UnknownColumn
            There is none of this id, or it was deleted.
        StorageError
            Its files are gone or damaged.
        """
        self.entry(result_id)
        folder = find_folder(self._workspace.place, result_id)
        if folder is None:
            raise StorageError(
                f"The scores of this result are not in {self._workspace.place.results} any more. "
                "Run the analysis again."
            )
        with self._lock:
            known = self._results.get(result_id)
            # The drafts may have been given another name meanwhile.
            if known is None or known[0] != folder:
                result = EnrichmentResult.load(folder)
                if result.n_all != self._workspace.study.n_cells:
                    raise StorageError(f"The scores in {folder} are of another study. Run the analysis again.")
                known = self._results[result_id] = folder, result
                while len(self._results) > RESULTS:
                    self._results.popitem(last=False)
            self._results.move_to_end(result_id)
            return known[1]

    def table(self, result_id: str, by: Source) -> GroupedScores:
        """Return the statistics of a result for the groups of a column; the first look takes longest.

        Parameters
        ----------
        result_id
            The result.
        by
            A cluster or metadata column, or an annotation of any user.

        Raises
        ------
        EnrichmentRefused
            The column has no groups, or too many (E16).
        UnknownColumn
            There is no such result, column or annotation.
        StorageError
            The scores are gone or damaged.
        """
        result = self.result(result_id)
        # Of before the labels are read: a table that an edit came into is not shown again.
        version = self._workspace.version_of(by) if by.key else None
        column = self._groups(by)
        seen = repr((result_id, by, version, column.labels)).encode()
        stamp = hashlib.blake2b(seen, digest_size=8).hexdigest()
        key = result_id, by, stamp
        with self._lock:
            # Of two that ask for the same, one waits: both would need all processors.
            grouped: GroupedScores | None = self._tables.get(key)
            if grouped is None:
                grouped = group_scores(result, by, column, stamp)
                self._tables.put(key, grouped, grouped.codes.nbytes + len(COLUMNS) * grouped.table.score.nbytes)
            return grouped

    def _groups(self, by: Source) -> CategoryColumn:
        if not by.key:
            raise EnrichmentRefused("Choose a column to group by.", "E16")
        if by.kind == "annotation":
            return self._workspace.category(by)
        return groups_of(self._workspace.study, by.key, self._workspace.max_items)

    # -- labels ------------------------------------------------------------------------------------------------------

    def labels(self, result_id: str, choice: LabelChoice) -> Labelled:
        """Return the label that each group would get, with what is wrong about it.

        Raises
        ------
        NameRefused
            The default label breaks a rule (E10).
        EnrichmentRefused, UnknownColumn, StorageError
            See `table`; or what stands between the names is too long.
        """
        grouped = self.table(result_id, choice.by)
        return labels_of(grouped, choice)

    def create(self, result_id: str, choice: LabelChoice, name: str) -> Annotation:
        """Make an annotation of the labels of groups.

        Parameters
        ----------
        result_id
            The result.
        choice
            What was chosen.
        name
            What the annotation is to be called.

        Raises
        ------
        NameRefused
            The name, the default or a label breaks a rule (E01, E02, E10, E21 ...).
        EditConflict
            The groups changed since the user saw them.
        EnrichmentRefused, UnknownColumn, StorageError
            See `table`.
        """
        entry, grouped = self.entry(result_id), self.table(result_id, choice.by)
        if choice.stamp and choice.stamp != grouped.stamp:
            raise EditConflict(f"The groups of {grouped.title} changed meanwhile. Look at the labels again.")
        labelled = labels_of(grouped, choice)
        for row in labelled.rows:
            if row.problem:
                raise NameRefused(row.code, row.problem)
        texts = list(dict.fromkeys([labelled.default, *(row.label for row in labelled.rows)]))
        place = {text: number for number, text in enumerate(texts)}
        of_group = np.array([place[row.label] for row in labelled.rows], np.int32)
        codes = np.full(grouped.result.n_all, DEFAULT, np.int32)
        mask = grouped.result.cells
        codes[slice(None) if mask is None else mask] = of_group[grouped.codes]
        recipe = _provenance(entry, grouped, choice, labelled)
        description = (
            f"Labelled by {METHODS.get(entry.method, entry.method)} of {entry.collection or 'gene sets'} ({entry.name})"
        )
        return self._workspace.create_labelled(
            name, Combined(tuple(texts), codes, ()), "enrichment", recipe, description
        )


def keep_result(workspace: Workspace, result_id: str, name: str, source: Path) -> EnrichmentEntry:
    """Keep what a worker wrote with the drafts of its owner, and list it; a number follows a name that is taken.

    Parameters
    ----------
    workspace
        The owner's.
    result_id
        The id that it gets; nothing has it yet.
    name
        What to call it.
    source
        The folder that `save_result` completed; its files may be moved away.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    result = EnrichmentResult.load(source)
    recipe = result.recipe
    try:
        folder = put_folder(source, workspace.place, result_id)
    except OSError as error:
        raise StorageError(
            f"The result cannot be kept in {workspace.place.results}: {error.strerror or error}. Free the disk or "
            "bring the folder back, then try again."
        ) from error
    with _CHANGING:
        entries = _tidied(workspace, _kept(workspace))
        taken = {entry.name: "enrichment" for entry in entries if entry.deleted is None}
        entry = EnrichmentEntry(
            id=result_id,
            name=free_name(name, taken),
            created=now(),
            n_cells=result.n_cells,
            n_all=result.n_all,
            n_sets=len(result.sets),
            n_used=sum(own["found"] > 0 for own in result.sets),
            method=recipe["method_key"],
            matrix=", ".join(dict.fromkeys(own["key"] for own in recipe["matrices"].values())),
            collection=recipe["collection"],
            cells="" if recipe["cells"] is None else str(recipe["cells"].get("text", "")),
        )
        try:
            _keep(workspace, [*entries, entry])
        except StorageError:
            # Nobody would ever find it.
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return entry


def groups_of(study: Study, name: str, max_items: int) -> CategoryColumn:
    """Return the groups of a column.

    Parameters
    ----------
    study
        The study.
    name
        The column.
    max_items
        Different whole numbers up to which they are taken for groups.

    Raises
    ------
    EnrichmentRefused
        It holds numbers that are no groups (E16).
    UnknownColumn
        There is no such column.
    """
    column = study.column(name)
    if not isinstance(column, CategoryColumn) and not study.copyable(name, max_items):
        raise EnrichmentRefused(f"{name} holds numbers that are no groups. Choose a column of groups.", "E16")
    return study.category(name)


def group_scores(
    result: EnrichmentResult,
    by: Source,
    column: CategoryColumn,
    stamp: str = "",
) -> GroupedScores:
    """Compute the statistics of a result for the groups of a column.

    Parameters
    ----------
    result
        The result.
    by, column, stamp
        The column, and what changes when it does.

    Raises
    ------
    EnrichmentRefused
        There are too many groups (E16).
    """
    mask = result.cells
    codes = column.codes if mask is None else column.codes[mask]
    tally = np.bincount(codes.astype(np.int64) + 1, minlength=len(column.labels) + 1)
    present = np.flatnonzero(tally[1:])
    if (len(present) + 1) * len(result.sets) > MOST_ROWS:
        raise EnrichmentRefused(
            f"{column.name} has {len(present):,} groups; with {counted(len(result.sets), 'set')} "
            f"{MOST_ROWS // len(result.sets):,} are possible. Choose another column.",
            "E16",
        )
    groups = [Group(column.labels[place], int(tally[place + 1])) for place in present.tolist()]
    number_of = np.full(len(column.labels) + 1, -1, np.int64)
    number_of[present] = np.arange(len(present))
    if tally[0]:
        # The last entry serves the code -1.
        number_of[-1] = len(groups)
        groups.append(Group(None, int(tally[0])))
    own = number_of[codes]
    table = group_table(result.scores, own, len(groups), ranked=result.ranked, threads=processors())
    n_empty = len(column.labels) - len(present)
    return GroupedScores(result, by, column.name, stamp, tuple(groups), own, table, n_empty)


def labels_of(grouped: GroupedScores, choice: LabelChoice) -> Labelled:
    """Return the label that each group would get; see `Enrichments.labels`."""
    default = check_label(choice.default)
    if len(choice.join) > JOIN_LENGTH:
        raise EnrichmentRefused(f"What stands between labels can have {JOIN_LENGTH} characters at most.")
    chosen = {own.group: own for own in choice.groups}
    known = {group.label for group in grouped.groups}
    if gone := [own for own in chosen if own not in known]:
        raise UnknownColumn(f'{grouped.title} has no group "{gone[0]}" any more. Look at the groups again.')
    rows = tuple(
        _label_of(group, chosen.get(group.label), grouped.result.names, default, choice.join)
        for group in grouped.groups
    )
    return Labelled(rows, default, grouped.result.n_all - grouped.result.n_cells)


def _label_of(group: Group, chosen: GroupChoice | None, names: Sequence[str], default: str, join: str) -> GroupLabel:
    if chosen is None or not (chosen.custom or chosen.sets):
        return GroupLabel(group.label, group.n, default, is_default=True)
    if chosen.custom:
        text = chosen.text
        if not text.strip():
            sentence = f"Enter the custom label for group {group.title}, or switch Custom off."
            return GroupLabel(group.label, group.n, "", is_default=False, code="E21", problem=sentence)
    else:
        ticked = set(chosen.sets)
        if gone := ticked.difference(names):
            raise UnknownColumn(f'This result has no gene set "{sorted(gone)[0]}". Look at the labels again.')
        text = join.join(name for name in names if name in ticked)
    try:
        return GroupLabel(group.label, group.n, check_label(text), is_default=False)
    except NameRefused as error:
        sentence = (
            f"Group {group.title}: {error} Switch Custom on to write a shorter one."
            if error.code == "E07"
            else str(error)
        )
        return GroupLabel(group.label, group.n, text, is_default=False, code=error.code, problem=sentence)


def _provenance(
    entry: EnrichmentEntry, grouped: GroupedScores, choice: LabelChoice, labelled: Labelled
) -> dict[str, Any]:
    """Return where labels come from: the analysis, the groups, what was ticked and its numbers, and the genes."""
    recipe = dict(grouped.result.recipe)
    sets = {own["name"]: own for own in recipe.pop("sets")}
    chosen = {own.group: own for own in choice.groups}
    number = {name: place for place, name in enumerate(grouped.result.names)}
    used: dict[str, Any] = {}
    rows = []
    for place, (group, label) in enumerate(zip(grouped.groups, labelled.rows, strict=True)):
        own = chosen.get(group.label)
        ticked = [] if own is None else [name for name in number if name in own.sets]
        used |= {name: sets[name] for name in ticked}
        rows.append(
            {
                "group": group.label,
                "cells": group.n,
                "label": label.label,
                "custom": own is not None and own.custom,
                "sets": {
                    name: {
                        column: _plain(float(getattr(grouped.table, column)[place, number[name]])) for column in COLUMNS
                    }
                    for name in ticked
                },
            }
        )
    return {
        **recipe,
        "result": entry.id,
        "result_name": entry.name,
        "group_by": {"kind": choice.by.kind, "key": choice.by.key, "title": grouped.title},
        "default": labelled.default,
        "join": choice.join,
        "groups": rows,
        "sets": list(used.values()),
    }


def _kept(workspace: Workspace) -> list[EnrichmentEntry]:
    known = {own.name for own in fields(EnrichmentEntry)}
    found = []
    for values in workspace.kept(SETTING) or []:
        try:
            # What a newer version added is nothing to this one.
            found.append(EnrichmentEntry(**{key: value for key, value in values.items() if key in known}))
        except (TypeError, AttributeError) as error:
            log.warning("An enrichment result cannot be read: %s", error)
    return found


def _keep(workspace: Workspace, entries: Sequence[EnrichmentEntry]) -> None:
    workspace.keep(SETTING, [asdict(entry) for entry in entries])


def _tidied(workspace: Workspace, entries: Sequence[EnrichmentEntry]) -> list[EnrichmentEntry]:
    """Forget results that were deleted long ago."""
    kept = []
    for entry in entries:
        if entry.deleted is not None and time.time() - entry.deleted > KEEP_DELETED:
            folder = find_folder(workspace.place, entry.id)
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            continue
        kept.append(entry)
    return kept


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _texts(values: np.ndarray) -> list[list[str]]:
    return [[p_text(value) for value in row] for row in values.tolist()]


def _clustered(values: np.ndarray) -> list[int]:
    """Return an order of rows in which similar ones are neighbours."""
    n_rows = len(values)
    plain = np.nan_to_num(np.array(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if n_rows < 3 or n_rows > MOST_ORDERED or not plain.size:
        return list(range(n_rows))
    from scipy.cluster import hierarchy

    spread = plain.std(axis=0)
    scaled = (plain - plain.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    tree = hierarchy.linkage(scaled, "average", optimal_ordering=n_rows <= 100)
    order: list[int] = hierarchy.leaves_list(tree).tolist()
    return order
