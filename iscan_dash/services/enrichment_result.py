"""What came of an enrichment analysis, as it is kept beside the drafts: a folder with scores and what they are of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from iscan_dash.core.enrichment.rank_sums import RankedScores, rank_scores
from iscan_dash.core.enrichment.scores import SetScores
from iscan_dash.core.selection.mask_codec import decode, encode
from iscan_dash.errors import StorageError
from iscan_dash.services.enrichment import Scored
from iscan_dash.services.processes import processors

FORMAT = 1
"""Version of the folder's layout; a newer one is refused rather than misread."""

KNOWN, CELLS, RANKS, TIES = "result.json", "cells.bin", "ranks.npy", "ties.npy"


@dataclass(frozen=True, eq=False)
class EnrichmentResult:
    """An enrichment analysis read from its folder; the scores are read as they are needed.

    Parameters
    ----------
    folder
        The folder.
    recipe
        All that is needed to do it again, but for the mask of the cells.
    warnings
        What is odd, a sentence each.
    sets
        What was found of each set; see `FoundSet.to_json`.
    n_all
        Cells of the study.
    packed
        The cells that were scored, as `mask_codec.encode` packs them; all when None.
    """

    folder: Path
    recipe: Mapping[str, Any]
    warnings: tuple[str, ...]
    sets: tuple[Mapping[str, Any], ...]
    n_all: int
    packed: bytes | None

    @classmethod
    def load(cls, folder: Path) -> "EnrichmentResult":
        """Read a folder that `save_result` completed.

        Raises
        ------
        StorageError
            It is gone, damaged, or of a newer iscan-dash.
        """
        try:
            known = json.loads((folder / KNOWN).read_text("utf-8"))
            if known["format"] > FORMAT:
                raise StorageError(f"{folder} was written by a newer iscan-dash. Update iscan-dash to open it.")
            packed = (folder / CELLS).read_bytes() if known["has_cells"] else None
            if packed is not None:
                decode(packed, known["n_all"])
            return cls(folder, known["recipe"], tuple(known["warnings"]), tuple(known["sets"]), known["n_all"], packed)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise _unreadable(folder, error) from error

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sets."""
        return tuple(own["name"] for own in self.sets)

    @property
    def cells(self) -> np.ndarray | None:
        """Which cells were scored, shape (n_all,), bool; all when None."""
        return None if self.packed is None else decode(self.packed, self.n_all)

    @property
    def n_cells(self) -> int:
        """Cells that were scored."""
        return int(self.recipe["n_cells"])

    @cached_property
    def scores(self) -> SetScores:
        """What the engine found.

        Raises
        ------
        StorageError
            The folder is gone or damaged.
        """
        try:
            return SetScores.open(self.folder)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise _unreadable(self.folder, error) from error

    @cached_property
    def ranked(self) -> RankedScores:
        """The cells ranked by their scores, which no grouping changes; ranked anew where that was not kept.

        Raises
        ------
        StorageError
            The folder is gone or damaged.
        """
        try:
            # Mapped, and as plain arrays that might be written to: kernels know no others.
            ranks, ties = (np.asarray(np.load(self.folder / name, mmap_mode="c")) for name in (RANKS, TIES))
        except (OSError, ValueError):
            return rank_scores(self.scores, threads=processors())
        if ranks.shape != self.scores.score.shape:
            return rank_scores(self.scores, threads=processors())
        return RankedScores(ranks, ties)


def save_result(folder: Path, scored: Scored, ranked: RankedScores | None = None) -> None:
    """Complete a folder that has the scores already with what else is kept.

    Parameters
    ----------
    folder
        The folder that cells were scored into.
    scored
        What was found.
    ranked
        The cells ranked by their scores; with them the first look at groups takes no time.
    """
    if ranked is not None:
        np.save(folder / RANKS, ranked.ranks)
        np.save(folder / TIES, ranked.ties)
    known = {
        "format": FORMAT,
        "recipe": scored.recipe,
        "warnings": scored.warnings,
        "sets": [own.to_json() for own in scored.preflight.matched],
        "n_all": scored.preflight.n_all,
        "has_cells": scored.cells is not None,
    }
    if scored.cells is not None:
        (folder / CELLS).write_bytes(encode(scored.cells))
    (folder / KNOWN).write_text(json.dumps(known, ensure_ascii=False), "utf-8")


def _unreadable(folder: Path, error: Exception) -> StorageError:
    reason = getattr(error, "strerror", None) or f"it is damaged ({error})"
    return StorageError(f"The scores in {folder} cannot be read: {reason}. Run the analysis again.")
