"""Statistics of all groups of cells and all gene sets at once."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from iscan_dash.core.enrichment.rank_sums import RankedScores, rank_scores
from iscan_dash.core.enrichment.scores import SetScores
from iscan_dash.core.enrichment.totals import DETECTED, EXPRESSION, N_TOTALS, OWN_P, RANK, SCORE

FEWEST = 3
"""Cells that a group and its rest must have for a test."""

ALPHA = 0.05
"""Adjusted P up to which a suggestion is made."""

_LN10 = math.log(10.0)


@dataclass(frozen=True, eq=False)
class GroupTable:
    """Statistics of groups and sets; `method.COLUMN_TEXT` says what each is.

    All arrays but `n_cells` have the shape (n_groups, n_sets) and are float64; NaN where there is nothing to say: a
    set without genes, an empty group, no rest, or too few cells for a test.

    Parameters
    ----------
    n_cells
        Cells of each group, shape (n_groups,), int64.
    average_expression, average_percentage, score, difference, auc
        See `method.COLUMN_TEXT`; percentages are 0 to 100.
    minus_log10_p, minus_log10_adjusted
        -log10 of the P of the Mann-Whitney test, and of the one adjusted by Benjamini and Hochberg.
    average_minus_log10_p
        Mean of the cells' own -log10 P.
    """

    n_cells: np.ndarray
    average_expression: np.ndarray
    average_percentage: np.ndarray
    score: np.ndarray
    difference: np.ndarray
    minus_log10_p: np.ndarray
    minus_log10_adjusted: np.ndarray
    auc: np.ndarray
    average_minus_log10_p: np.ndarray

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.n_cells)

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return int(self.score.shape[1])

    @property
    def p(self) -> np.ndarray:
        """P of the test; 0 below the smallest number there is."""
        found: np.ndarray = 10.0**-self.minus_log10_p
        return found

    @property
    def adjusted_p(self) -> np.ndarray:
        """Adjusted P; 0 below the smallest number there is."""
        found: np.ndarray = 10.0**-self.minus_log10_adjusted
        return found


def group_table(
    scores: SetScores,
    codes: np.ndarray,
    n_groups: int,
    *,
    ranked: RankedScores | None = None,
    threads: int = 1,
) -> GroupTable:
    """Compute the statistics of all groups and sets.

    Parameters
    ----------
    scores
        The scores.
    codes
        Group of each cell, -1 for none: such cells are still part of everybody's rest; shape (n_cells,), integer.
    n_groups
        Number of groups; some may be empty.
    ranked
        The cells ranked by their scores, when they are kept from before; they do not depend on the groups.
    threads
        Threads to use.

    Examples
    --------
    >>> from iscan_dash.core.enrichment.scoring import score_sets
    >>> from iscan_dash.core.enrichment.sets import MatchedSet
    >>> from iscan_dash.core.engine.query import Query
    >>> values = np.array([[5.0, 0, 1], [4, 0, 1], [3, 0, 1], [0, 2, 1], [0, 3, 1], [0, 4, 1]])
    >>> query = Query.of(["CD3D", "LYZ", "ACTB"], values)
    >>> table = group_table(
    ...     score_sets(query, [MatchedSet("T cell", np.array([0]), 1)]), np.array([0, 0, 0, 1, 1, 1]), 2
    ... )
    >>> table.auc.ravel().tolist(), table.average_percentage.ravel().tolist()
    ([1.0, 0.0], [100.0, 0.0])
    >>> table.p.round(4).ravel().tolist()
    [0.0234, 0.9935]
    """
    codes = np.require(codes, np.int64, ["C", "W"])
    if codes.shape != (scores.n_cells,) or (len(codes) and not -1 <= codes.min() <= codes.max() < n_groups):
        raise ValueError(f"There must be a group from -1 to {n_groups - 1} for each of the {scores.n_cells} cells.")
    ranked = ranked or rank_scores(scores, threads=threads)
    sizes = np.bincount(codes + 1, minlength=n_groups + 1)[1:]
    n_own, n_rest = sizes[:, None].astype(np.float64), (len(codes) - sizes)[:, None].astype(np.float64)
    n_up = np.array([len(own.up) for own in scores.sets], np.float64)
    totals = _totals(scores, ranked.ranks, codes, n_groups, threads)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = totals[:, 1:] / n_own
        difference = means[SCORE] - _of_others(totals[SCORE]) / n_rest
        u = totals[RANK, 1:] / 2.0 - n_own * (n_own + 1.0) / 2.0
        has_test = (n_own >= FEWEST) & (n_rest >= FEWEST) & ~np.isnan(means[SCORE])
        minus_log10_p = np.where(has_test, _tested(u, n_own, n_rest, ranked.ties), np.nan)
        return GroupTable(
            n_cells=sizes,
            average_expression=means[EXPRESSION],
            average_percentage=100.0 * means[DETECTED] / n_up,
            score=means[SCORE],
            difference=difference,
            minus_log10_p=minus_log10_p,
            minus_log10_adjusted=adjust(minus_log10_p),
            auc=np.where(has_test, u / (n_own * n_rest), np.nan),
            average_minus_log10_p=means[OWN_P],
        )


def _totals(scores: SetScores, ranks: np.ndarray, codes: np.ndarray, n_groups: int, threads: int) -> np.ndarray:
    """Sum what is known of the cells over the groups, first those in none; shape (N_TOTALS, 1 + n_groups, n_sets)."""
    from iscan_dash.core.enrichment.group_kernels import add_cells

    totals = np.zeros((scores.n_sets, 1 + n_groups, N_TOTALS))

    def work(own: int) -> None:
        # Copied, as rows of files are of a type of their own.
        known = scores.score, scores.expression, scores.detected, scores.minus_log10_p
        score, expression, detected, minus_log10_p = (np.array(each[own]) for each in known)
        add_cells(codes, ranks[own], score, expression, detected, minus_log10_p, totals[own])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(scores.n_sets)))
    return np.ascontiguousarray(totals.transpose(2, 1, 0))


def _of_others(totals: np.ndarray) -> np.ndarray:
    """Return the total of all cells but those of each group.

    Added up rather than taken away from the whole, so that others with a score of 0 have a mean of 0.

    Parameters
    ----------
    totals
        Totals of the cells in no group, and of each group; shape (1 + n_groups, n_sets).
    """
    nothing = np.zeros((1, totals.shape[1]))
    before = np.cumsum(totals, axis=0)[:-1]
    after = np.concatenate([np.cumsum(totals[:1:-1], axis=0)[::-1], nothing])
    found: np.ndarray = before + after
    return found


def _tested(u: np.ndarray, n_own: np.ndarray, n_rest: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Return -log10 P of the Mann-Whitney test, corrected for ties and continuity; all tied is P = 1."""
    n_all = n_own + n_rest
    spread = n_all + 1.0 - ties / (n_all * (n_all - 1.0))
    spread = np.where(spread > 1e-9 * n_all, spread, 0.0)
    z = (u - n_own * n_rest / 2.0 - 0.5) / np.sqrt(n_own * n_rest / 12.0 * spread)
    # Imported here as a server starts without it.
    from scipy.special import log_ndtr

    found: np.ndarray = 0.0 - log_ndtr(-z) / _LN10
    return found


def adjust(minus_log10_p: np.ndarray) -> np.ndarray:
    """Adjust P values by Benjamini and Hochberg, in logarithms so that none underflows.

    Parameters
    ----------
    minus_log10_p
        -log10 P, any shape; NaN is left out.

    Examples
    --------
    >>> adjust(np.array([2.0, np.nan, 400.0])).tolist()
    [2.0, nan, 399.69897000433605]
    """
    flat = np.asarray(minus_log10_p, np.float64).ravel()
    found = np.full(len(flat), np.nan)
    tested = np.flatnonzero(~np.isnan(flat))
    order = tested[np.argsort(-flat[tested], kind="stable")]
    raised = flat[order] - np.log10(len(order) / np.arange(1, len(order) + 1))
    found[order] = np.maximum(np.maximum.accumulate(raised[::-1])[::-1], 0.0)
    return found.reshape(np.shape(minus_log10_p))


def p_text(minus_log10_p: float) -> str:
    """Write a P for people, even when it is below the smallest number there is.

    Examples
    --------
    >>> [p_text(value) for value in (412.5086, 1.5086, 0.0, float("nan"))]
    ['3.1e-413', '0.031', '1', '']
    """
    if math.isnan(minus_log10_p):
        return ""
    if minus_log10_p < 3:
        return f"{10.0**-minus_log10_p:.2g}"
    exponent = math.ceil(minus_log10_p)
    digits = f"{10.0 ** (exponent - minus_log10_p):.1f}"
    return f"1.0e-{exponent - 1}" if digits == "10.0" else f"{digits}e-{exponent}"


def pick_best(table: GroupTable, allowed: np.ndarray) -> list[int | None]:
    """Suggest a set for each group: the largest difference that is sure of its sign; None when there is none or a tie.

    Raw scores are not compared, as those of different sets are not on one scale.

    Parameters
    ----------
    table
        The statistics.
    allowed
        The sets that may be suggested, shape (n_sets,), bool.
    """
    is_sure = allowed & (table.auc > 0.5) & (table.minus_log10_adjusted >= -math.log10(ALPHA))
    candidates = np.where(is_sure, table.difference, -np.inf)
    best = candidates.max(axis=1, initial=-np.inf)
    picked: list[int | None] = []
    for group in range(table.n_groups):
        places = np.flatnonzero((candidates[group] == best[group]) & np.isfinite(candidates[group]))
        picked.append(int(places[0]) if len(places) == 1 else None)
    return picked
