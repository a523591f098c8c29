"""The list of a user's enrichment results, kept among the settings of the user's drafts."""

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from iscan_dash.services.enrichment_parameters import METHODS
from iscan_dash.services.result_files import find_folder
from iscan_dash.services.workspace import Workspace

SETTING = "enrichments"
"""Where the list of results is kept among the settings of a user's drafts."""

KEEP_DELETED = 30 * 24 * 3600.0
"""Seconds for which a deleted result can be brought back."""

log = logging.getLogger(__name__)


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


def read_list(workspace: Workspace) -> list[EnrichmentEntry]:
    """Return the results that a user has or deleted, the oldest first."""
    known = {own.name for own in fields(EnrichmentEntry)}
    found = []
    for values in workspace.kept(SETTING) or []:
        try:
            # What a newer version added is nothing to this one.
            found.append(EnrichmentEntry(**{key: value for key, value in values.items() if key in known}))
        except (TypeError, AttributeError) as error:
            log.warning("An enrichment result cannot be read: %s", error)
    return found


def write_list(workspace: Workspace, entries: Sequence[EnrichmentEntry]) -> None:
    """Keep another list.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    workspace.keep(SETTING, [asdict(entry) for entry in entries])


def without_long_deleted(workspace: Workspace, entries: Sequence[EnrichmentEntry]) -> list[EnrichmentEntry]:
    """Return a list without results that were deleted long ago, and remove their files."""
    kept = []
    for entry in entries:
        if entry.deleted is not None and time.time() - entry.deleted > KEEP_DELETED:
            folder = find_folder(workspace.place, entry.id)
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            continue
        kept.append(entry)
    return kept
