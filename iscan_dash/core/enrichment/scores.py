"""Scores of gene sets in cells: in memory, or in files that are looked into."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iscan_dash.core.enrichment.method import Method
from iscan_dash.core.enrichment.sets import MatchedSet

ARRAYS = ("score", "expression", "detected", "minus_log10_p")
HEAD = "scores.json"
"""Written last: a folder without it holds nothing."""


@dataclass(frozen=True, eq=False)
class SetScores:
    """What was found of gene sets in cells. All arrays have the shape (n_sets, n_cells).

    Parameters
    ----------
    method
        How the scores were computed.
    sets
        The sets, in the order of rows.
    n_genes
        Genes of the matrix (N).
    max_rank
        Rank from which on a gene weighs nothing (M).
    seed
        Seed of the draws of control genes (module score).
    n_not_finite
        Values of the matrix that are NaN or infinite and were read as 0.
    score
        Score, float64; NaN throughout for a set without genes in the matrix (or, for module scores, without controls).
    expression
        Mean log expression of the set's genes, zeros included, float32. Only those that count for the set are meant
        here and below.
    detected
        How many of the set's genes are expressed, uint16 (or uint32).
    minus_log10_p
        How rarely random genes weigh as much, -log10 P, float32.
    """

    method: Method
    sets: tuple[MatchedSet, ...]
    n_genes: int
    max_rank: int
    seed: int
    n_not_finite: int
    score: np.ndarray
    expression: np.ndarray
    detected: np.ndarray
    minus_log10_p: np.ndarray

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return len(self.sets)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.score.shape[1])

    def save(self, folder: Path) -> None:
        """Write everything into a folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / HEAD).unlink(missing_ok=True)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        self.write_head(folder)

    def write_head(self, folder: Path) -> None:
        """Write what is not in the arrays, and with it say that they are complete."""
        head: dict[str, Any] = {
            "method": self.method.value,
            "n_genes": self.n_genes,
            "max_rank": self.max_rank,
            "seed": self.seed,
            "n_not_finite": self.n_not_finite,
            "sets": [
                {
                    "name": own.name,
                    "columns": own.columns.tolist(),
                    "weights": own.signs.tolist(),
                    "n_up": own.n_up,
                    "n_down": own.n_down,
                }
                for own in self.sets
            ],
        }
        part = folder / f"{HEAD}.part"
        with part.open("w", encoding="utf-8") as file:
            json.dump(head, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / HEAD)

    @classmethod
    def open(cls, folder: Path) -> "SetScores":
        """Look into a folder; arrays are mapped, so that only what is used is read.

        Raises
        ------
        FileNotFoundError
            The folder holds no scores, or they were not finished.
        """
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        sets = tuple(
            MatchedSet(
                own["name"], np.array(own["columns"], np.int64), own["n_up"], own["n_down"], np.array(own["weights"])
            )
            for own in head.pop("sets")
        )
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        return cls(method=Method(head.pop("method")), sets=sets, **head, **arrays)


def room(sets: Sequence[MatchedSet], n_cells: int, folder: Path | None) -> dict[str, Any]:
    """Return the arrays of results to be filled, in memory or mapped to files of a folder."""
    largest = max((len(own.up) for own in sets), default=0)
    dtypes = dict(
        zip(ARRAYS, (np.float64, np.float32, np.uint16 if largest < 2**16 else np.uint32, np.float32), strict=True)
    )
    shape = (len(sets), n_cells)
    if folder is None:
        return {name: np.empty(shape, dtype) for name, dtype in dtypes.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HEAD).unlink(missing_ok=True)
    return {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape) for name, dtype in dtypes.items()
    }
