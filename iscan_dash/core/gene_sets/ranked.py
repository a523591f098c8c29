"""Tables of differential expression, as Scanpy and Seurat write them, read as the top genes of each group."""

import math
from collections.abc import Sequence

from iscan_dash.core.words import counted

SCORE_COLUMNS = ("scores", "score", "statistic", "stat", "auc", "myauc", "power")
SIGNED_COLUMNS = ("scores", "statistic", "stat")
"""Scores below 0 are those of genes that are lower."""

FOLD_COLUMNS = ("logfoldchanges", "logfoldchange", "avg_log2fc", "avg_logfc", "log2fc", "logfc", "log2foldchange")
P_COLUMNS = ("pvals_adj", "p_val_adj", "padj", "adj_p_val", "fdr", "q_value", "qval")

RANKED_COLUMNS = ("scores", *FOLD_COLUMNS, *P_COLUMNS, "pvals", "p_val")
"""Columns by which such a table is known."""

MOST_P = 0.05


def ranked_rows(
    header: Sequence[str], rows: list[list[str]], gene_at: int, set_at: int | None, top: int, notes: list[str]
) -> list[list[str]]:
    """Choose the rows of the genes that are higher in a group, the best first, at most `top` of each group.

    Parameters
    ----------
    header
        Names of the columns, in small letters.
    rows
        The rows.
    gene_at, set_at
        Where genes and groups are; without groups all rows are of one.
    top
        Genes of each group.
    notes
        What was done is added here.
    """
    score_at, fold_at, p_at = (_place(header, names) for names in (SCORE_COLUMNS, FOLD_COLUMNS, P_COLUMNS))
    by = score_at if score_at is not None else fold_at if fold_at is not None else p_at
    order = 1.0 if by == p_at else -1.0
    sign_at = fold_at if fold_at is not None else _place(header, SIGNED_COLUMNS)
    groups: dict[str, list[tuple[float, list[str]]]] = {}
    n_low = n_weak = 0
    for row in rows:
        direction = _value(row, sign_at)
        if direction is not None and direction <= 0:
            n_low += 1
            continue
        p = _value(row, p_at)
        if p is not None and p > MOST_P:
            n_weak += 1
            continue
        value = _value(row, by)
        name = row[set_at] if set_at is not None and set_at < len(row) else ""
        if gene_at < len(row) and row[gene_at].strip():
            groups.setdefault(name, []).append((order * value if value is not None else float("inf"), row))
    chosen: list[list[str]] = []
    n_more = 0
    for own in groups.values():
        own.sort(key=lambda pair: pair[0])
        chosen.extend(row for _, row in own[:top])
        n_more += max(0, len(own) - top)
    ranked_by = f" by {header[by]}" if by is not None else ""
    notes.append(f"The top {top} genes of each group were taken{ranked_by}.")
    for number, why in (
        (n_low, "lower in their group"),
        (n_weak, f"above an adjusted P of {MOST_P}"),
        (n_more, f"below the top {top}"),
    ):
        if number:
            notes.append(f"{counted(number, 'row was', 'rows were')} left out: {why}.")
    return chosen


def _place(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _value(row: Sequence[str], place: int | None) -> float | None:
    if place is None or place >= len(row):
        return None
    try:
        value = float(row[place])
    except ValueError:
        return None
    # Not a number.
    return None if math.isnan(value) else value
