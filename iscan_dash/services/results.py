"""What came of a prediction, as it is kept with its annotation: enough to look into it and to prune it anew."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from iscan_dash.core.annotations.annotation import DEFAULT
from iscan_dash.core.annotations.combine import Combined
from iscan_dash.core.annotations.names import check_label
from iscan_dash.core.singler.outcome import Outcome
from iscan_dash.core.singler.prune import Pruned, Spread, label_cutoffs, margin_spread
from iscan_dash.errors import StorageError
from iscan_dash.services.ledger import DEFAULT_LABEL
from iscan_dash.services.prediction_result import REASONS, Prediction, of_cells, reasons_of, summary

FORMAT = 1
"""Version of the file's layout; a newer one is refused rather than misread."""

_ARRAYS = {
    "rows": np.int32,
    "left_out": np.int8,
    "label": np.int32,
    "delta": np.float64,
    "margin": np.float64,
    "has_markers": np.bool_,
    "best": np.float32,
    "runner_up": np.int32,
}


@dataclass(frozen=True, eq=False)
class PredictionResult:
    """A prediction read from its file. Scores, which are large, are read when they are first asked for.

    A row is a cell, or a group of cells when groups were labelled.

    Parameters
    ----------
    path
        The file.
    recipe
        All that is needed to make it again, as plain values; its cutoffs are those that it is pruned by.
    warnings, summary
        What was said before and after, a sentence each.
    labels
        The labels that codes stand for.
    groups
        What the rows are when groups were labelled, else None.
    rows
        Row of each cell, -1 where it has none, shape (n_cells,), int32.
    left_out
        Why a cell has no row, as a number of `REASONS`, shape (n_cells,), int8.
    label
        Label of each row before pruning, shape (n_rows,), int32.
    delta
        By how much it was ahead in the last round, shape (n_rows,), float64, NaN with a single label.
    margin
        Its score less the median over all labels, shape (n_rows,), float64: not rounded, as pruning compares it.
    has_markers
        Whether any marker gene was found, shape (n_rows,), bool.
    best
        The highest score, shape (n_rows,), float32.
    runner_up
        The label with the highest score but the row's own, shape (n_rows,), int32.
    per_label
        Labels that are pruned by a cutoff of their own.
    """

    path: Path
    recipe: Mapping[str, Any]
    warnings: tuple[str, ...]
    summary: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None
    rows: np.ndarray
    left_out: np.ndarray
    label: np.ndarray
    delta: np.ndarray
    margin: np.ndarray
    has_markers: np.ndarray
    best: np.ndarray
    runner_up: np.ndarray
    per_label: Mapping[str, float | None] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "PredictionResult":
        """Read a file that `save_result` wrote.

        Raises
        ------
        StorageError
            It is gone, damaged, or of a newer iscan-dash.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                known = json.loads(str(file["known"]))
                if known["format"] > FORMAT:
                    raise StorageError(f"{path} was written by a newer iscan-dash. Update iscan-dash to open it.")
                arrays = {name: file[name].astype(dtype, copy=False) for name, dtype in _ARRAYS.items()}
            return cls(
                path,
                known["recipe"],
                tuple(known["warnings"]),
                tuple(known["summary"]),
                tuple(known["labels"]),
                None if known["groups"] is None else tuple(known["groups"]),
                **arrays,
            )
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error

    # -- pruning -------------------------------------------------------------------------------------------------

    def pruned_with(
        self, nmads: float | None, per_label: Mapping[str, float | None] | None = None
    ) -> "PredictionResult":
        """Return the same with other cutoffs; nothing is classified again.

        Parameters
        ----------
        nmads
            Deviations below the median from which a label is pruned; with None, or 100 and more, nothing is.
        per_label
            Labels with cutoffs of their own.
        """
        own = dict(per_label or {})
        recipe = {**self.recipe, "nmads": nmads, **({"nmads_of_labels": own} if own else {})}
        made = replace(self, recipe=recipe, per_label=own)
        # The medians do not depend on the cutoffs.
        made.__dict__["spread"] = self.spread
        return made

    @cached_property
    def spread(self) -> Spread:
        """How the margins of each label lie."""
        limit = self.recipe["min_diff_med"]
        limits = {} if limit is None else {"min_diff_med": limit}
        return margin_spread(self.margin, self.label, self.delta, len(self.labels), **limits)

    @cached_property
    def pruned(self) -> Pruned:
        """Which rows are pruned, and the least margin of each label."""
        return self.spread.pruned_with(label_cutoffs(self.labels, self.recipe["nmads"], self.per_label))

    # -- cells -----------------------------------------------------------------------------------------------------

    def assigned(self) -> np.ndarray:
        """Return the label of each cell, -1 for none, shape (n_cells,), int32."""
        return of_cells(self.rows, np.where(self.pruned.is_pruned | ~self.has_markers, np.int32(-1), self.label), -1)

    def before_pruning(self) -> np.ndarray:
        """Return the label of each cell before pruning, -1 for none, shape (n_cells,), int32."""
        return of_cells(self.rows, np.where(self.has_markers, self.label, np.int32(-1)), -1)

    def deltas(self) -> np.ndarray:
        """Return by how much each label was ahead in the last round, shape (n_cells,), float64, NaN for none."""
        return of_cells(self.rows, self.delta, np.nan)

    def best_score(self) -> np.ndarray:
        """Return the highest score of each cell, shape (n_cells,), float32, NaN for none."""
        return of_cells(self.rows, self.best, np.nan)

    def runners_up(self) -> np.ndarray:
        """Return the label with the highest score but the cell's own, -1 for none, shape (n_cells,), int32."""
        return of_cells(self.rows, np.where(self.has_markers, self.runner_up, np.int32(-1)), -1)

    def reasons(self) -> np.ndarray:
        """Return why each cell has no label, as a number of `REASONS`, shape (n_cells,), int8."""
        return reasons_of(self.rows, self.left_out, self.pruned.is_pruned, self.has_markers)

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the cells of each label in use, and those without one by their reason."""
        tally = np.bincount(self.assigned() + 1, minlength=len(self.labels) + 1)[1:].tolist()
        why = np.bincount(self.reasons(), minlength=len(REASONS)).tolist()
        return (
            {label: number for label, number in zip(self.labels, tally, strict=True) if number},
            {reason: number for reason, number in zip(REASONS, why, strict=True) if number and reason},
        )

    def combined(self) -> Combined:
        """Return the labels as those of an annotation: the default first, then those in use.

        A label of the reference that is called like the default is counted as such; the reasons tell them apart.

        Raises
        ------
        NameRefused
            A label breaks a rule.
        """
        codes = self.assigned()
        used = np.unique(codes[codes >= 0]).tolist()
        texts = {code: check_label(self.labels[code]) for code in used}
        labels = tuple(dict.fromkeys([DEFAULT_LABEL, *texts.values()]))
        place = {text: number for number, text in enumerate(labels)}
        # One more place, for the -1 of cells without a label.
        table = np.full(len(self.labels) + 1, DEFAULT, np.int32)
        table[used] = [place[text] for text in texts.values()]
        return Combined(labels, table[codes], ())

    # -- scores ----------------------------------------------------------------------------------------------------

    @cached_property
    def scores(self) -> np.ndarray:
        """First-pass scores, rounded to three digits, shape (n_rows, n_labels), float16.

        Raises
        ------
        StorageError
            The file is gone or damaged.
        """
        try:
            with np.load(self.path, allow_pickle=False) as file:
                scores: np.ndarray = file["scores"]
            return scores
        except _UNREADABLE as error:
            raise _unreadable(self.path, error) from error

    @cached_property
    def outcome(self) -> Outcome:
        """What is looked into afterwards."""
        return Outcome(
            labels=self.labels,
            scores=self.scores,
            label=self.label,
            delta=self.delta,
            margin=self.margin,
            has_markers=self.has_markers,
            rows=self.rows.astype(np.int64),
        )


def save_result(path: Path, prediction: Prediction) -> None:
    """Write what is kept of a prediction.

    Parameters
    ----------
    path
        A new file.
    prediction
        What was found.
    """
    classified = prediction.classified
    known = {
        "format": FORMAT,
        "recipe": prediction.recipe,
        "warnings": prediction.preflight.warnings,
        "summary": summary(prediction),
        "labels": prediction.labels,
        "groups": prediction.groups,
    }
    arrays = {
        "rows": prediction.rows,
        "left_out": prediction.left_out,
        "label": classified.tuned.label,
        "delta": classified.tuned.delta,
        "margin": classified.pruned.margin,
        "has_markers": classified.first.detected > 0,
        "best": prediction.best_of_rows(),
        "runner_up": prediction.second_of_rows(),
    }
    np.savez_compressed(
        path,
        allow_pickle=False,
        known=np.array(json.dumps(known, ensure_ascii=False)),
        scores=classified.first.scores.astype(np.float16),
        **{name: values.astype(_ARRAYS[name], copy=False) for name, values in arrays.items()},
    )


_UNREADABLE = (OSError, ValueError, LookupError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file raises."""


def _unreadable(path: Path, error: Exception) -> StorageError:
    reason = getattr(error, "strerror", None) or f"it is damaged ({error})"
    return StorageError(f"The scores in {path} cannot be read: {reason}. Run the prediction again.")
