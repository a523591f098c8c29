"""Decide which columns of a table are imported, and under which names."""

from collections.abc import Sequence

from iscan_dash.core.annotations.label_table import TableReport
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.workspace import ImportChoice


def chosen_columns(report: TableReport, names: Sequence[str] = ()) -> list[str]:
    """Return the columns that are asked for, or those that are on by default when none are.

    Parameters
    ----------
    report
        How the table fits the study.
    names
        The columns that are asked for.

    Raises
    ------
    UnknownColumn
        The table has no such column, or none is on.
    """
    known = {column.name: column for column in report.columns}
    for name in names:
        if name not in known:
            raise UnknownColumn(
                f'{report.name} has no column "{name}" with labels. It has: {", ".join(known) or "none"}.'
            )
    chosen = list(dict.fromkeys(names)) or [column.name for column in report.columns if column.is_on]
    if not chosen:
        raise UnknownColumn(f"{report.name} has no column that is imported by itself. Name one.")
    return chosen


def import_choices(
    report: TableReport, names: Sequence[str] = (), *, default: str, replaces: bool = False
) -> list[ImportChoice]:
    """Choose the columns to import, each under its own name or one like it that is free.

    Parameters
    ----------
    report
        How the table fits the study.
    names
        The columns; those that are on by default when empty.
    default
        The label of cells that the table has none for.
    replaces
        Whether a column that has the name of an annotation replaces its labels, rather than taking another name.
    """
    columns = {column.name: column for column in report.columns}
    choices = []
    for name in chosen_columns(report, names):
        is_replacing = replaces and columns[name].clash == "annotation"
        free = name if is_replacing else columns[name].new_name
        choices.append(ImportChoice(name, free, default, is_replacing))
    return choices
