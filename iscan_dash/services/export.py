"""Export annotations as CSV, for this program or for cellxgene.

A label that begins with ``=``, ``+``, ``-`` or ``@`` is a formula to a spreadsheet, so all texts are marked (see
`core.formulas`), and importing takes the marks away. Texts for cellxgene are written as they are: it knows no marks,
and would show them. So are drafts, which this program and others read again and again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.names import free_name
from iscan_dash.core.formulas import NOTE, inert_json
from iscan_dash.core.study import Study
from iscan_dash.core.words import counted
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.csv_text import header_lines, quote_marked, table_lines
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
        Leave out the column of samples, which cellxgene would take for an annotation, and the marks of formulas.

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

    All text is quoted and marked, so every label reads back as it is. See `export_csv` for the parameters.
    """
    header = export_header(study, annotations)
    if for_cellxgene:
        return table_lines(study, annotations, header, with_samples=False)
    return table_lines(study, annotations, [*header, NOTE], quoted=quote_marked)


def export_header(study: Study, annotations: Sequence[Annotation], user: str | None = None) -> list[str]:
    """Return the comment that precedes the table of a draft or an export, a line each, without ``# ``.

    A draft says whose it is, by the name that others see: its file's name does not tell.
    """
    ids = [{"name": state.live.name, "id": state.id, "version": state.version} for state in annotations]
    whose = [] if user is None else [f"user: {inert_json(user)[1:-1]}"]
    return header_lines(study, *whose, f"annotations: {inert_json(ids)}")


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
