"""A prediction as files: a table that imports as annotations, and all scores."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from iscan_dash.core.formulas import NOTE, inert_json
from iscan_dash.core.study import Study
from iscan_dash.services.csv_text import ROWS, header_lines, quote_marked, row_heads
from iscan_dash.services.new_file import new_file
from iscan_dash.services.prediction_result import REASONS, Prediction
from iscan_dash.services.results import PredictionResult

UNASSIGNED = "Unassigned"
"""Label of cells without one; the column of reasons tells it from a label of the reference that is called so."""

COLUMNS = ("label before pruning", "delta", "runner-up", "best score", "reason")
"""What follows the labels."""


def write_table(path: Path, study: Study, prediction: Prediction, name: str) -> None:
    """Write a prediction to a new CSV file.

    Parameters
    ----------
    path
        The file, which must not exist.
    study, prediction
        The cells, and their labels.
    name
        What the column of labels is called.

    Raises
    ------
    StorageError
        The file exists (E62) or cannot be written.
    """
    with new_file(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        stream.writelines(table_lines(study, prediction, name))


def table_lines(study: Study, prediction: Prediction | PredictionResult, name: str) -> Iterator[str]:
    """Write a prediction as CSV text, block by block: comments, then ``index``, ``sample``, labels and `COLUMNS`."""
    for line in header_lines(study, f"recipe: {inert_json(prediction.recipe)}", NOTE):
        yield f"# {line}\n"
    yield ",".join(["index", "sample", *map(quote_marked, (name, *COLUMNS))]) + "\n"
    texts = [f",{quote_marked(label)}" for label in prediction.labels]
    or_unassigned, or_nothing = [*texts, f",{quote_marked(UNASSIGNED)}"], [*texts, ","]
    why = [f",{quote_marked(reason)}" if reason else "," for reason in REASONS]
    assigned, before, runner_up = prediction.assigned(), prediction.before_pruning(), prediction.runners_up()
    reasons = prediction.reasons()
    delta, best = prediction.deltas(), prediction.best_score()
    for start in range(0, study.n_cells, ROWS):
        block = slice(start, start + ROWS)
        columns = (
            row_heads(study, block, quote_marked),
            _texts(assigned[block], or_unassigned),
            _texts(before[block], or_unassigned),
            _numbers(delta[block]),
            _texts(runner_up[block], or_nothing),
            _numbers(best[block]),
            _texts(reasons[block], why),
        )
        yield "".join("".join(row) + "\n" for row in zip(*columns, strict=True))


def write_scores(path: Path, study: Study, prediction: Prediction) -> None:
    """Write all scores to a new ``.npz`` file: over all markers, before fine-tuning.

    It has ``scores`` (float32, a row for each cell or group and a column for each label), ``labels``, ``rows`` (the row
    of each cell, -1 for none), ``cells``, ``samples``, ``groups`` (empty without groups) and ``recipe`` (JSON text).

    Raises
    ------
    StorageError
        The file exists (E62) or cannot be written.
    """
    samples = study.samples
    with new_file(path) as part, part.open("wb") as stream:
        np.savez_compressed(
            stream,
            allow_pickle=False,
            scores=prediction.classified.first.scores.astype(np.float32),
            labels=np.array(prediction.labels, dtype=str),
            rows=prediction.rows,
            cells=np.char.decode(study.cell_ids, "utf-8", "replace"),
            samples=np.array(samples.labels, dtype=str)[samples.codes],
            groups=np.array(prediction.groups or (), dtype=str),
            recipe=np.array(json.dumps(prediction.recipe, ensure_ascii=False)),
        )


def _texts(codes: np.ndarray, texts: Sequence[str]) -> Iterator[str]:
    """Return the text of each code; a code of -1 is the last text."""
    return map(texts.__getitem__, codes.tolist())


def _numbers(values: np.ndarray) -> Iterator[str]:
    """Write numbers with six digits that count; nothing for NaN."""
    return ("," if math.isnan(value) else f",{value:.6g}" for value in values.tolist())
