"""The definitions of the enrichment, as plainly as they can be written: dense, one cell and one set at a time."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special, stats

from iscan_dash.core.enrichment.sets import MatchedSet


def weights(cell: np.ndarray, max_rank: int, is_expected: bool = False) -> np.ndarray:
    """Weight of each gene: M - r above zero, ties sharing their mean rank, or the mean weight of any order."""
    found = np.zeros(len(cell))
    is_on = np.isfinite(cell) & (cell > 0)
    if is_expected:
        by_rank = np.maximum(max_rank - np.arange(1, len(cell) + 1.0), 0)
        lowest, highest = (stats.rankdata(-cell[is_on], method).astype(int) for method in ("min", "max"))
        found[is_on] = [by_rank[low - 1 : high].mean() for low, high in zip(lowest, highest, strict=True)]
    else:
        found[is_on] = np.maximum(max_rank - stats.rankdata(-cell[is_on]), 0)
    return found


def rank_score(cell: np.ndarray, genes: Sequence[int], n: int, max_rank: int, is_expected: bool = False) -> float:
    """Sum of the weights of some genes over the largest that n genes can have."""
    m = min(n, max_rank - 1)
    return float(weights(cell, max_rank, is_expected)[list(genes)].sum() / (m * max_rank - m * (m + 1) / 2))


def signed_score(cell: np.ndarray, own: MatchedSet, max_rank: int) -> float:
    """UCell score of a set with genes for and against it."""
    up = rank_score(cell, own.up, own.n_up, max_rank) if own.n_up else 0.0
    down = rank_score(cell, own.down, own.n_down, max_rank) if own.n_down else 0.0
    return max(0.0, up - down) if own.n_down else up


def ulm(cell: np.ndarray, own: MatchedSet) -> float:
    """The t of the slope of an ordinary linear fit."""
    x = np.zeros(len(cell))
    x[own.columns] = own.signs
    if np.ptp(x) == 0 or np.ptp(cell) == 0:
        return 0.0
    r = np.clip(np.corrcoef(x, cell)[0, 1], -1, 1)
    return float(r * np.sqrt((len(cell) - 2) / ((1 - r + 2.2e-16) * (1 + r + 2.2e-16))))


def competitive(cell: np.ndarray, genes: Sequence[int], max_rank: int) -> float:
    """-log10 P of as much weight by as many random genes, by SciPy's Pearson III distribution."""
    w = weights(cell, max_rank)
    n, k = len(w), len(genes)
    total = w[list(genes)].sum()
    variance = k * (n - k) / (n - 1) * w.var()
    if total == 0 or k >= n or variance <= 1e-12 * (k * w.mean()) ** 2:
        return 0.0
    third = k * (n - k) * (n - 2 * k) / ((n - 1) * (n - 2)) * ((w - w.mean()) ** 3).mean()
    skewness = third / variance**1.5
    z = (total - k * w.mean()) / math.sqrt(variance)
    log_p = stats.norm.logsf(z) if abs(skewness) < 1e-7 else gamma_tail(z, skewness)
    most = math.log(math.comb(n, k))
    return min(max(-log_p, 0.0), most) / math.log(10)


def gamma_tail(z: float, skewness: float) -> float:
    """Log of the upper tail of the standardised Pearson III distribution."""
    shape = 4 / skewness**2
    x = shape + math.copysign(1, skewness) * z * math.sqrt(shape)
    if x <= 0:
        return 0.0 if skewness > 0 else -math.inf
    tail = special.gammaincc(shape, x) if skewness > 0 else special.gammainc(shape, x)
    return math.log(tail) if tail > 0 else -math.inf


def table(scores: np.ndarray, values: np.ndarray, genes: Sequence[Sequence[int]], codes: np.ndarray) -> list[dict]:
    """Statistics of groups (codes from 0) and sets, by brute force."""
    rows = []
    for group in range(codes.max() + 1):
        own = codes == group
        for number, columns in enumerate(genes):
            g, r = scores[number, own], scores[number, ~own]
            row = {
                "average_expression": values[own][:, columns].mean() if len(columns) else np.nan,
                "average_percentage": 100 * (values[own][:, columns] > 0).mean() if len(columns) else np.nan,
                "score": g.mean(),
                "difference": g.mean() - r.mean() if len(r) else np.nan,
                "auc": np.nan,
                "minus_log10_p": np.nan,
            }
            if len(g) >= 3 and len(r) >= 3 and not np.isnan(g[0]):
                if np.ptp(scores[number]) == 0:
                    row |= {"auc": 0.5, "minus_log10_p": 0.0}
                else:
                    test = stats.mannwhitneyu(g, r, alternative="greater", method="asymptotic")
                    row |= {"auc": test.statistic / len(g) / len(r), "minus_log10_p": -np.log10(test.pvalue)}
            rows.append(row)
    return rows
