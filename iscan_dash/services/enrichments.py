"""A user's enrichment results: listed, grouped by any column at once, and turned into labels."""

import hashlib
import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.names import check_name, free_name
from iscan_dash.core.study import CategoryColumn
from iscan_dash.errors import EditConflict, EnrichmentRefused, NameRefused, StorageError, UnknownColumn
from iscan_dash.services.enrichment_labels import LabelChoice, Labelled, cell_labels, labels_of, provenance
from iscan_dash.services.enrichment_list import EnrichmentEntry, read_list, without_long_deleted, write_list
from iscan_dash.services.enrichment_parameters import METHODS
from iscan_dash.services.enrichment_result import EnrichmentResult
from iscan_dash.services.grouped_scores import COLUMNS, GroupedScores, group_scores, groups_of
from iscan_dash.services.ledger import now
from iscan_dash.services.result_files import find_folder, put_folder
from iscan_dash.services.workspace import Source, Workspace

RESULTS, TABLES = 2, 8
"""Results and tables that are kept open."""

_CHANGING = threading.Lock()


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
        return [entry for entry in reversed(read_list(self._workspace)) if entry.deleted is None]

    @property
    def version(self) -> str:
        """A text that changes when the list does."""
        seen = [(entry.id, entry.name, entry.deleted) for entry in read_list(self._workspace)]
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
        entries = read_list(self._workspace)
        if result_id not in {entry.id for entry in entries}:
            raise UnknownColumn("There is no such enrichment result any more.")
        changed = [replace(entry, **changes) if entry.id == result_id else entry for entry in entries]
        write_list(self._workspace, changed)
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
        recipe = provenance(entry, grouped, choice, labelled)
        description = (
            f"Labelled by {METHODS.get(entry.method, entry.method)} of {entry.collection or 'gene sets'} ({entry.name})"
        )
        made = cell_labels(grouped, labelled)
        return self._workspace.create_labelled(name, made, "enrichment", recipe, description)


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
        entries = without_long_deleted(workspace, read_list(workspace))
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
            write_list(workspace, [*entries, entry])
        except StorageError:
            # Nobody would ever find it.
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return entry
