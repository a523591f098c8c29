"""Export annotations as CSV, for this program or for cellxgene.

Labels are written as they are. One that begins with ``=``, ``+``, ``-`` or ``@`` is a formula to a spreadsheet, but
``+`` also ends the names of cell types and no mark put before it would survive the way back; so a table from somebody
you do not trust should be opened in a spreadsheet as text (*Data > From text*), not by a double click. So it is of all
tables that are read again: drafts, exports, results of predictions, scores of cells, and gene sets. The statistics of
groups are for people to read, and have such texts marked.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from iscan_dash import __version__
from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.names import free_name
from iscan_dash.core.study import Study
from iscan_dash.core.words import counted
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.csv_text import table_lines
from iscan_dash.services.new_file import new_file


def export_csv(path: Path, study: Study, annotations: Sequence[Annotation], *, for_cellxgene: bool = False) -> None:
    """Write annotations to a new CSV file.

    Parameters
    ----------
    path
        The file, which must not exist.
    study
        The study.
    annotations
        The annotations, a column each.
    for_cellxgene
        Leave out the column of samples, which cellxgene would take for an annotation.

    Raises
    ------
    StorageError
        The file exists (E62) or cannot be written.
    """
    with new_file(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        stream.writelines(export_lines(study, annotations, for_cellxgene=for_cellxgene))


def named_annotations(annotations: Sequence[Annotation], names: Sequence[str] = ()) -> list[Annotation]:
    """Return the annotations of some names, in that order; all of them when no name is given.

    Raises
    ------
    UnknownColumn
        There is no annotation of a name, or none at all.
    """
    by_name = {annotation.live.name: annotation for annotation in annotations}
    if not by_name:
        raise UnknownColumn("There are no annotations to export. Check the user and the folder of drafts.")
    for name in names:
        if name not in by_name:
            raise UnknownColumn(f'There is no annotation "{name}". There are: {", ".join(by_name)}.')
    return [by_name[name] for name in dict.fromkeys(names)] or list(annotations)


def distinct(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Return annotations under names that differ, as columns of one table must.

    Those of several users may have the same name: the first keeps it, the others get a number.
    """
    taken: dict[str, str] = {}
    found = []
    for annotation in annotations:
        name = free_name(annotation.live.name, taken)
        taken[name] = "annotation"
        found.append(replace(annotation, header=replace(annotation.live, name=name)))
    return found


def export_lines(study: Study, annotations: Sequence[Annotation], *, for_cellxgene: bool = False) -> Iterator[str]:
    """Write annotations as CSV text, block by block: comments, then ``index``, ``sample`` and the annotations.

    All text is quoted, so every label reads back as it is. See `export_csv` for the parameters.
    """
    return table_lines(study, annotations, export_header(study, annotations), with_samples=not for_cellxgene)


def export_header(study: Study, annotations: Sequence[Annotation]) -> list[str]:
    """Return the comment that precedes the table, a line each, without ``# ``."""
    ids = [{"name": state.live.name, "id": state.id, "version": state.version} for state in annotations]
    lines = [
        f"iscan-dash {__version__}, {datetime.now(UTC).isoformat(timespec='seconds')}",
        f"data: {', '.join(dataset.path.name for dataset in study.datasets)}",
        f"fingerprint: {study.fingerprint}",
        f"annotations: {json.dumps(ids, ensure_ascii=False)}",
    ]
    # A file's name may have a line break in it, after which the header row would seem to come.
    return [" ".join(line.splitlines()) for line in lines]


def cellxgene_warnings(annotations: Sequence[Annotation]) -> list[tuple[str, str]]:
    """Tell what cellxgene will not keep, as (code, sentence).

    To cellxgene ``#`` begins a comment wherever it is outside quotes. It reads our quoted labels whole, but saves them
    without quotes, and from then on they are cut.
    """
    found = []
    labels = {
        (place, label.text)
        for place, annotation in enumerate(annotations)
        for label in annotation.live.labels
        if "#" in label.text and annotation.counts[label.id]
    }
    if labels:
        many = counted(len(labels), "label contains", "labels contain")
        found.append(("E61", f'{many} "#" and will be cut by cellxgene.'))
    names = [annotation.live.name for annotation in annotations if "#" in annotation.live.name]
    if names:
        many = counted(len(names), "annotation name contains", "annotation names contain")
        found.append(("E61", f'{many} "#" and will be cut by cellxgene.'))
    return found
