"""Enrichment: how strongly gene sets are expressed in cells, and statistics of that for groups of cells.

``score_sets`` reads a `Query` once and scores every `MatchedSet` in every cell; ``group_table`` makes all statistics
of any grouping from the scores, without another look at the matrix. docs/enrichment.md says what each number is.
"""

from iscan_dash.core.enrichment.group_table import GroupTable, adjust, group_table, p_text, pick_best
from iscan_dash.core.enrichment.method import COLUMN_TEXT, METHOD_TEXT, Method
from iscan_dash.core.enrichment.rank_sums import RankedScores, rank_scores
from iscan_dash.core.enrichment.scores import SetScores
from iscan_dash.core.enrichment.scoring import score_sets
from iscan_dash.core.enrichment.sets import MatchedSet
from iscan_dash.core.enrichment.warm_up import is_warm, warm_up

__all__ = [
    "COLUMN_TEXT",
    "METHOD_TEXT",
    "GroupTable",
    "MatchedSet",
    "Method",
    "RankedScores",
    "SetScores",
    "adjust",
    "group_table",
    "is_warm",
    "p_text",
    "pick_best",
    "rank_scores",
    "score_sets",
    "warm_up",
]
