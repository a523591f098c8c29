"""Earlier versions of a draft: what is in them, and the way back."""

import json
from dataclasses import dataclass
from pathlib import Path

from iscan_dash.core.annotations.csv_table import open_csv_table
from iscan_dash.core.annotations.label_table import LabelTable, match_table
from iscan_dash.core.study import Study
from iscan_dash.errors import DataError, StorageError
from iscan_dash.services.drafts import DraftPlace, backup_versions


@dataclass(frozen=True)
class BackupColumn:
    """An annotation in a backup.

    Parameters
    ----------
    name
        What it was called.
    n_labels
        Different labels of its cells.
    """

    name: str
    n_labels: int


@dataclass(frozen=True)
class Backup:
    """An earlier version of a draft.

    Parameters
    ----------
    name
        The file's name.
    time
        When it was replaced, ISO 8601 in UTC.
    columns
        Its annotations; empty when it cannot be read.
    """

    name: str
    time: str
    columns: tuple[BackupColumn, ...]


def list_backups(place: DraftPlace, study: Study) -> list[Backup]:
    """Return the earlier versions of a draft, the newest first.

    Parameters
    ----------
    place
        Where the draft is.
    study
        The study.
    """
    found = []
    for time, path in reversed(backup_versions(place.draft, place.backups)):
        try:
            report = match_table(open_csv_table(path), study, {}).report
            columns = tuple(BackupColumn(column.name, column.n_levels) for column in report.columns)
        except DataError:
            columns = ()
        found.append(Backup(path.name, time.isoformat(), columns))
    return found


def open_backup(place: DraftPlace, study: Study, name: str) -> tuple[LabelTable, dict[str, str]]:
    """Read an earlier version of a draft.

    Parameters
    ----------
    place
        Where the draft is.
    study
        The study.
    name
        The file's name, as `list_backups` has it.

    Returns
    -------
    LabelTable
        The table, matched to the study.
    dict
        The id of the annotation of each column, where the file tells.

    Raises
    ------
    StorageError
        There is no such version any more.
    DataError
        It cannot be read.
    """
    for _, path in backup_versions(place.draft, place.backups):
        if path.name == name:
            return match_table(open_csv_table(path), study, {}), _annotation_ids(path)
    raise StorageError("This version was rotated out of the backups meanwhile. Choose another one.")


def _annotation_ids(path: Path) -> dict[str, str]:
    """Return the annotations that the comment before the table names."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if not line.startswith("# "):
                return {}
            if line.startswith("# annotations: "):
                try:
                    return {entry["name"]: entry["id"] for entry in json.loads(line.removeprefix("# annotations: "))}
                except (ValueError, KeyError, TypeError):
                    return {}
    return {}
