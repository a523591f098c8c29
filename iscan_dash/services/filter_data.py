"""What conditions can be made of: columns, their values with counts, and how numbers are distributed."""

from typing import Any

import numpy as np

from iscan_dash.core import palette
from iscan_dash.core.study import CategoryColumn
from iscan_dash.core.study.matrices import SHOWN_TEXT
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.condition_masks import numbers
from iscan_dash.services.selection_names import SAMPLE
from iscan_dash.services.workspace import Source, Workspace

PAGE = 200
"""Values told at once."""

BARS = 64
"""Bars of a histogram."""

MOST_GENES = 50
"""Genes told at once."""


def filter_columns(workspace: Workspace) -> list[dict[str, Any]]:
    """Return what conditions can be made of; no column is read for it.

    Returns
    -------
    list of dict
        ``is`` (``"labels"`` or ``"range"``), ``kind``, ``key`` and ``title`` of each.
    """
    found = [{"is": "labels", "kind": "sample", "key": "", "title": SAMPLE}]
    for info in workspace.study.columns.values():
        if info.treat_as == "ignore":
            continue
        kind = "cluster" if info.role == "cluster" else "metadata"
        found.append(
            {
                "is": "range" if info.treat_as == "number" else "labels",
                "kind": kind,
                "key": info.name,
                "title": info.name,
            }
        )
    for state in workspace.annotations():
        found.append({"is": "labels", "kind": "annotation", "key": state.id, "title": state.live.name})
    for state in workspace.others():
        title = f"{state.live.name} ({state.live.owner})"
        found.append({"is": "labels", "kind": "annotation", "key": state.id, "title": title})
    return found


def filter_values(workspace: Workspace, kind: str, key: str, contains: str = "", offset: int = 0) -> dict[str, Any]:
    """Return values of a column with their counts, in display order.

    Parameters
    ----------
    workspace
        The study and its annotations.
    kind, key
        The column, as `Labels` names it.
    contains
        Only values that contain this, ignoring case.
    offset
        Values to leave out at the beginning.

    Returns
    -------
    dict
        ``values`` (``label``, ``count`` and ``colour`` of each), ``n_found`` of all those that contain the text,
        ``n_levels`` of the column, and ``missing`` cells.

    Raises
    ------
    UnknownColumn
        There is no such column or annotation, or it holds numbers.
    """
    column, colours = _labels(workspace, kind, key)
    wanted = contains.casefold()
    found = [place for place, label in enumerate(column.labels) if wanted in label.casefold()]
    values = [
        {
            "label": column.labels[place],
            "count": int(column.counts[place]),
            "colour": colours.get(column.labels[place]),
        }
        for place in found[offset : offset + PAGE]
    ]
    return {
        "values": values,
        "n_found": len(found),
        "n_levels": len(column.labels),
        "missing": column.n_missing,
    }


def _labels(workspace: Workspace, kind: str, key: str) -> tuple[CategoryColumn, dict[str, str]]:
    if kind == "sample":
        samples = workspace.study.samples
        return samples, palette.label_colours(samples.labels)
    if kind not in {"metadata", "cluster", "annotation"}:
        raise UnknownColumn("There is no such kind of column. Load the page again.")
    source = Source(kind, key)
    return workspace.labels(source), workspace.colours(source)


def filter_histogram(workspace: Workspace, kind: str, key: str) -> dict[str, Any]:
    """Return how the numbers of a column or a gene are distributed.

    Returns
    -------
    dict
        ``counts`` of the cells between ``edges``, one more of these; the finite numbers' ``low`` and ``high`` ends;
        ``missing`` cells; ``unit``; and whether all are whole numbers (``integral``).

    Raises
    ------
    UnknownColumn
        There is no such column or gene, or it holds no numbers.
    """
    study = workspace.study
    column = numbers(study, kind, key)
    finite = column.values[np.isfinite(column.values)].astype(np.float64)
    low, high = column.range or (0.0, 0.0)
    is_integral = column.is_integral
    if is_integral and high - low < BARS:
        # A bar for each number, in its middle.
        edges = np.arange(low - 0.5, high + 1)
    else:
        edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    counts = np.histogram(finite, edges)[0]
    unit = ""
    if kind == "gene":
        unit = ", ".join(sorted({SHOWN_TEXT[own] for own in study.gene_kinds(key) if own}))
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "low": low,
        "high": high,
        "missing": len(column.values) - len(finite),
        "unit": unit,
        "integral": is_integral,
    }


def filter_genes(workspace: Workspace, contains: str) -> list[str]:
    """Return genes whose names contain a text, ignoring case: those that begin with it first, short before long."""
    wanted = contains.strip().casefold()
    if not wanted:
        return []
    found = [(name.casefold().find(wanted), len(name), name) for name in workspace.study.genes]
    best = sorted((place > 0, length, name) for place, length, name in found if place >= 0)
    return [name for _, _, name in best[:MOST_GENES]]
