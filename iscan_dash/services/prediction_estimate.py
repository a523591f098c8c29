"""How long a prediction takes, and how much memory: what a form says before it is asked for."""

from dataclasses import dataclass

import numpy as np

from iscan_dash.core.study import Study
from iscan_dash.services.prediction import IN_MEMORY
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.prediction_result import Preflight

# Measured on two processors with 54,000 cells of 76 million values, by 7 and by 11 labels: 3.1 and 3.5 s, 419 MB.

START = 2.0
"""Seconds that a worker takes to start, to read the reference and to save the result."""

READ = 80e6
"""Stored values read in a second."""

SCORE = 1.5e-9
"""Seconds of one processor for a cell, a label and a marker gene."""

TUNE = 1.5
"""Times as long with fine-tuning."""

BASE = 400 << 20
"""Bytes of a worker with its libraries, a reference and a block of cells."""


@dataclass(frozen=True)
class Estimate:
    """What a prediction is expected to take.

    Parameters
    ----------
    seconds
        Time once it runs, good to a factor of two or three.
    memory
        Bytes of its worker.
    """

    seconds: float
    memory: int


def estimate(study: Study, preflight: Preflight, parameters: Parameters, threads: int) -> Estimate:
    """Estimate time and memory of a prediction.

    Parameters
    ----------
    study, preflight, parameters
        What is labelled, what is known of it, and how.
    threads
        Processors that it may use.
    """
    n_values = sum(
        dataset.matrices[chosen.key].stored for dataset, chosen in zip(study.datasets, preflight.matrices, strict=True)
    )
    n_rows = preflight.n_cells if preflight.n_groups is None else preflight.n_groups
    scored = n_rows * preflight.n_labels * preflight.n_found * SCORE / max(1, threads)
    seconds = START + n_values / READ + scored * (TUNE if parameters.fine_tune else 1.0)
    scores = min(IN_MEMORY, n_rows * preflight.n_labels * np.dtype(np.float64).itemsize)
    # A few numbers are kept for each cell of the study, whichever are labelled.
    return Estimate(seconds, BASE + scores + 64 * study.n_cells)
