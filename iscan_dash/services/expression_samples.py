"""The expression that markers are looked for in: read in the background, once for all users."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iscan_dash.core.markers import Comparer
from iscan_dash.core.study import Study
from iscan_dash.core.study.expression import FileExpression, read_sample
from iscan_dash.errors import IscanError
from iscan_dash.services.study_query import ChosenMatrix, choose_matrices, gene_names, own_genes

KEPT = 2
"""Samples kept: that of the matrices as they were detected, and of those as a user says or chooses them."""

PATIENCE = 0.25
"""Seconds that the first question waits for a sample that is read quickly."""


class Stopped(Exception):
    """The server stops."""


@dataclass
class _Reading:
    """A sample that is being read, or was."""

    done: threading.Event = field(default_factory=threading.Event)
    progress: float = 0.0
    comparer: Comparer | None = None
    error: Exception | None = None


class ExpressionSamples:
    """Reads the expression of a study when it is first asked for, and keeps it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Any, _Reading] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def get(self, study: Study, gene_column: str | None = None, matrix: str | None = None) -> Comparer | float:
        """Return what compares groups of cells, or the part of the reading that is done.

        Parameters
        ----------
        study
            The study.
        gene_column
            The column with the names of the genes; found automatically when None.
        matrix
            Key of the matrix; the best one when None.

        Raises
        ------
        PredictionRefused
            The study has no matrix that tells of expression.
        IscanError
            A matrix cannot be read, or its genes have no such column.
        """
        chosen = choose_matrices(study, matrix, gene_column)
        # A matrix kept on another disk is another one; what users decided of it too.
        key = tuple(
            (dataset.path, *vars(matrix).values()) for dataset, matrix in zip(study.datasets, chosen, strict=True)
        )
        with self._lock:
            reading = self._kept.get(key)
            if reading is None:
                if self._thread is not None and self._thread.is_alive():
                    # One at a time: two would take each other's disk and memory.
                    return 0.0
                reading = self._kept[key] = _Reading()
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
                self._thread = threading.Thread(
                    target=self._read, args=(reading, study, chosen), name="expression", daemon=True
                )
                self._thread.start()
            self._kept.move_to_end(key)
        reading.done.wait(PATIENCE)
        if reading.error is not None:
            with self._lock:
                # Tried again when it is asked for again.
                self._kept.pop(key, None)
            raise reading.error
        return reading.comparer or reading.progress

    def _read(self, reading: _Reading, study: Study, chosen: Sequence[ChosenMatrix]) -> None:
        def tell(done: int, total: int) -> None:
            if self._is_closed:
                raise Stopped
            reading.progress = done / max(total, 1)

        try:
            files, genes = expression_files(study, chosen)
            comparer = Comparer(read_sample(files, genes, tell))
            comparer.compare(np.zeros(study.n_cells, bool))
            reading.comparer = comparer
        except Stopped:
            reading.error = IscanError("The server is being stopped.")
        except Exception as error:  # noqa: BLE001 - whoever asks is told
            reading.error = error
        finally:
            reading.done.set()

    def forget(self) -> None:
        """Let go of what is kept; it is read again when it is asked for."""
        with self._lock:
            for key in [key for key, reading in self._kept.items() if reading.done.is_set()]:
                del self._kept[key]

    def close(self) -> None:
        """Stop reading, so that the files can be closed."""
        self._is_closed = True
        if self._thread is not None:
            self._thread.join()


def expression_files(study: Study, chosen: Sequence[ChosenMatrix]) -> tuple[list[FileExpression], list[str]]:
    """Return the matrix of each file with the places of the genes that all files have, and the names of those.

    A name that repeats in a file stands for the first gene of that name.
    """
    own = [own_genes(dataset, matrix) for dataset, matrix in zip(study.datasets, chosen, strict=True)]
    first = [{name: place for place, name in reversed(list(enumerate(names)))} for names in own]
    genes = [name for name in dict.fromkeys(gene_names(study, chosen)) if name]
    files = [
        FileExpression(
            dataset.matrices[matrix.key], matrix.kind, int(start), np.array([places[name] for name in genes], np.int64)
        )
        for dataset, matrix, start, places in zip(study.datasets, chosen, study.offsets[:-1], first, strict=True)
    ]
    return files, genes
