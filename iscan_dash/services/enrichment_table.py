"""Enrichment analyses as CSV files: a row for each group and set, or a row for each cell."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from iscan_dash.core.formulas import NOTE, inert_json
from iscan_dash.core.study import Study
from iscan_dash.services.csv_text import ROWS, header_lines, quote_marked, row_heads
from iscan_dash.services.enrichment_result import EnrichmentResult
from iscan_dash.services.grouped_scores import GroupedScores
from iscan_dash.services.new_file import new_file

GROUP_COLUMNS = (
    *("group", "n_cells", "gene_set", "n_genes", "n_genes_found", "average_expression", "average_percentage"),
    *("enrichment_score", "enrichment_score_difference", "enrichment_p_value", "adjusted_p_value"),
    *("minus_log10_p_value", "auc", "average_minus_log10_p_value"),
)

CELLS_AT_ONCE = 4096

SMALLEST = 300.0
"""-log10 of the smallest P that is written as any other number."""


def write_group_table(path: Path, study: Study, grouped: GroupedScores) -> None:
    """Write the statistics of groups to a new CSV file.

    Raises
    ------
    StorageError
        The file exists (E62) or cannot be written.
    """
    with new_file(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        stream.writelines(group_lines(study, grouped))


def write_cell_table(path: Path, study: Study, result: EnrichmentResult) -> None:
    """Write the scores of cells to a new CSV file; cells that were not scored are left out.

    Raises
    ------
    StorageError
        The file exists (E62) or cannot be written.
    """
    with new_file(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        stream.writelines(cell_lines(study, result))


def group_lines(study: Study, grouped: GroupedScores) -> Iterator[str]:
    """Write the statistics of groups as CSV text: comments, then a row for each group and set."""
    yield from _comments(study, grouped.result, f"groups: {inert_json(grouped.title)[1:-1]}")
    yield ",".join(GROUP_COLUMNS) + "\n"
    table, sets = grouped.table, grouped.result.sets
    columns = (table.average_expression, table.average_percentage, table.score, table.difference)
    for place, group in enumerate(grouped.groups):
        for number, own in enumerate(sets):
            cells = [
                quote_marked(group.title),
                str(group.n),
                quote_marked(own["name"]),
                str(own["asked"]),
                str(own["found"]),
                *(_number(column[place, number]) for column in columns),
                p_number(float(table.minus_log10_p[place, number])),
                p_number(float(table.minus_log10_adjusted[place, number])),
                _number(table.minus_log10_p[place, number]),
                _number(table.auc[place, number]),
                _number(table.average_minus_log10_p[place, number]),
            ]
            yield ",".join(cells) + "\n"


def cell_lines(study: Study, result: EnrichmentResult) -> Iterator[str]:
    """Write the scores of cells as CSV text: comments, then ``index``, ``sample`` and a column for each set."""
    yield from _comments(study, result)
    yield ",".join(["index", "sample", *map(quote_marked, result.names)]) + "\n"
    mask = result.cells
    scores = result.scores.score
    done = 0
    for start in range(0, study.n_cells, ROWS):
        block = slice(start, start + ROWS)
        heads: Sequence[str] = row_heads(study, block, quote_marked)
        if mask is not None:
            heads = [head for head, is_in in zip(heads, mask[block].tolist(), strict=True) if is_in]
        for first in range(0, len(heads), CELLS_AT_ONCE):
            some = heads[first : first + CELLS_AT_ONCE]
            values = np.array(scores[:, done : done + len(some)]).T.tolist()
            done += len(some)
            yield "".join(f"{head},{','.join(map(_number, row))}\n" for head, row in zip(some, values, strict=True))


def p_number(minus_log10_p: float) -> str:
    """Write a P with ten digits that count, also when it is below the smallest number there is.

    Examples
    --------
    >>> [p_number(value) for value in (1.5, 412.25, float("nan"))]
    ['0.0316227766', '5.623413252e-413', '']
    """
    if not minus_log10_p > SMALLEST:
        return _number(10.0**-minus_log10_p)
    exponent = math.ceil(minus_log10_p)
    return f"{10.0 ** (exponent - minus_log10_p):.9f}e-{exponent}"


def _comments(study: Study, result: EnrichmentResult, *more: str) -> Iterator[str]:
    recipe = {key: value for key, value in result.recipe.items() if key not in {"sets", "cells"}}
    for line in header_lines(study, *more, f"recipe: {inert_json(recipe)}", NOTE):
        yield f"# {line}\n"


def _number(value: float) -> str:
    """Write a number with ten digits that count; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:.10g}"
