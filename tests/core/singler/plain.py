"""The whole algorithm again, slow and literal: the oracle of the engine.

It follows the published description cell by cell and shares no code with the engine. Ranks are whole numbers here too,
and the few roundings come in the same order, so the engine must agree to the last bit.
"""

from collections.abc import Sequence
from math import ceil, floor, log2

import numpy as np


def centred_ranks(values: np.ndarray) -> np.ndarray:
    """Number of values below minus the number above, for each value."""
    return np.array([(values < value).sum() - (values > value).sum() for value in values], dtype=np.int64)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of two vectors."""
    ranks_a, ranks_b = centred_ranks(a), centred_ranks(b)
    squares_a, squares_b = int((ranks_a**2).sum()), int((ranks_b**2).sum())
    if not squares_a or not squares_b:
        return 1.0 if squares_a == squares_b else 0.5
    value = float((ranks_a * ranks_b).sum()) * (1 / np.sqrt(squares_b)) * (1 / np.sqrt(squares_a))
    return float(min(1.0, max(-1.0, value)))


def upper_quantile(values: Sequence[float], quantile: float) -> float:
    """R's quantile of type 7, counted from the largest value."""
    ordered = sorted(values, reverse=True)
    height = (len(ordered) - 1) * (1 - quantile)
    if abs(height - round(height)) < 1e-9:
        height = float(round(height))
    left, right = ordered[floor(height)], ordered[ceil(height)]
    return right if height == ceil(height) else left + (right - left) * (height - floor(height))


def markers(values: np.ndarray, labels: np.ndarray, n_markers: int | None = None) -> dict[tuple[str, str], list[int]]:
    """Genes with the largest positive difference of medians, for each ordered pair of labels."""
    names = sorted(set(labels))
    wanted = floor(500 * (2 / 3) ** log2(len(names)) + 0.5) if n_markers is None else n_markers
    medians = {name: np.median(values[labels == name].astype(np.float64), axis=0) for name in names}
    found = {}
    for name in names:
        for other in names:
            difference = medians[name] - medians[other]
            order = np.argsort(-difference, kind="stable")
            found[name, other] = [int(gene) for gene in order if difference[gene] > 0][:wanted]
    return found


def score(
    cell: np.ndarray, values: np.ndarray, labels: np.ndarray, genes: list[int], names: list[str], quantile: float
) -> list[float]:
    """Score of a cell for some labels with some genes."""
    return [
        upper_quantile([correlation(cell[genes], row[genes]) for row in values[labels == name]], quantile)
        for name in names
    ]


def best(scores: list[float]) -> tuple[int, float]:
    """First label with the highest score, and how far it is above the others."""
    place = scores.index(max(scores))
    rest = scores[:place] + scores[place + 1 :]
    return place, scores[place] - max(rest) if rest else np.nan


def classify(
    cells: np.ndarray,
    values: np.ndarray,
    labels: np.ndarray,
    quantile: float = 0.8,
    threshold: float | None = 0.05,
    n_markers: int | None = None,
) -> dict[str, np.ndarray]:
    """Scores, first labels and final labels; cells and profiles have the same genes."""
    pairs = markers(values, labels, n_markers)
    names = sorted(set(labels))
    union = sorted({gene for genes in pairs.values() for gene in genes})
    result: dict[str, list[object]] = {key: [] for key in ("scores", "first", "first_delta", "label", "delta")}
    for cell in cells:
        current = score(cell, values, labels, union, names, quantile)
        place, delta = best(current)
        result["scores"].append(current)
        result["first"].append(place)
        result["first_delta"].append(delta)
        used = names
        while threshold is not None:
            left = [name for name, value in zip(used, current, strict=True) if value >= max(current) - threshold]
            if len(left) in (1, len(used)):
                break
            used = left
            genes = sorted({gene for a in used for b in used for gene in pairs[a, b]})
            current = score(cell, values, labels, genes, used, quantile)
            place, delta = best(current)
        result["label"].append(names.index(used[place]))
        result["delta"].append(delta)
    return {key: np.array(found) for key, found in result.items()}


def prune(scores: np.ndarray, label: np.ndarray, delta: np.ndarray, nmads: float) -> np.ndarray:
    """R's pruneScores with its defaults."""
    margin = np.array([row[own] - np.median(row) for row, own in zip(scores, label, strict=True)])
    pruned = np.zeros(len(label), bool)
    for name in set(label.tolist()):
        own = (label == name) & ~(delta < 0)
        if own.any():
            middle = np.median(margin[own])
            limit = middle - nmads * 1.4826 * np.median(np.abs(margin[own] - middle))
            pruned[label == name] = margin[label == name] < limit
    return pruned | (delta < 0)
