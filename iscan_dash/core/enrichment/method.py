"""The ways to score a gene set in a cell, in words."""

from enum import StrEnum


class Method(StrEnum):
    """How a cell's score of a gene set is computed."""

    UCELL = "ucell"
    AUCELL = "aucell"
    MODULE = "module"
    ULM = "ulm"


METHOD_TEXT = {
    Method.UCELL: "UCell (ranks within each cell, 0 to 1)",
    Method.AUCELL: "AUCell (the same among a cell's top 5 % of genes, 0 to 1)",
    Method.MODULE: "Module score (mean above control genes of like expression)",
    Method.ULM: "ULM (t of a linear model of the cell's expression on the set)",
}

RANKED = frozenset({Method.UCELL, Method.AUCELL})
"""Methods whose score is a sum over ranks, which is the same for counts and for their logarithms."""

COLUMN_TEXT = {
    "n_cells": "Cells of the group.",
    "average_expression": "Mean log expression over the group's cells and the genes found, zeros included.",
    "average_percentage": "Percent of the group's cells that express a gene, averaged over the genes found.",
    "score": "Mean score of the group's cells.",
    "difference": "Mean score of the group's cells less that of all other cells.",
    "minus_log10_p": (
        "Mann-Whitney test that the group's cells score higher than all others (one-sided, corrected for ties and"
        " continuity). It ranks and does not prove: the groups come from the same data, and cells are no replicates."
    ),
    "minus_log10_adjusted": "The same after Benjamini and Hochberg, over all groups and gene sets.",
    "auc": "Chance that a cell of the group scores higher than another cell; 0.5 is none.",
    "average_minus_log10_p": (
        "Mean per-cell -log10 P: how rarely as many genes, drawn at random, rank as high in the cell."
    ),
}
"""What the columns of a group table are, by the names of its fields."""
