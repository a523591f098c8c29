"""Enrichment: how strongly gene sets are expressed in cells, and statistics of that for groups of cells.

``score_sets`` reads a `Query` once and scores every `MatchedSet` in every cell; ``group_table`` makes all statistics
of any grouping from the scores, without another look at the matrix. docs/enrichment.md says what each number is.
"""
