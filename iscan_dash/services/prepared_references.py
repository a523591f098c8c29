"""References made ready for a study in the background, for questions that are answered while somebody waits."""

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from iscan_dash.core.references import Registry
from iscan_dash.core.study import Study
from iscan_dash.services.prediction import Predictor, Prepared
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.study_query import choose_matrices

KEPT = 2
"""References kept in memory: tens of megabytes each."""

PATIENCE = 0.25
"""Seconds that a question waits for a reference that is ready soon."""


@dataclass(frozen=True)
class Waiting:
    """The answer is not there yet.

    Parameters
    ----------
    step
        What it waits for.
    part
        The part of that which is done, 0 to 1; None when it is not known.
    """

    step: str
    part: float | None = None


class PreparedReferences:
    """Makes references ready when they are first asked for, one after the other, and keeps those used last.

    Parameters
    ----------
    registry
        Where references are.
    predictor
        Makes them ready.
    """

    def __init__(self, registry: Registry, predictor: Predictor) -> None:
        self._registry = registry
        self._predictor = predictor
        self._lock = threading.Lock()
        self._kept: OrderedDict[Any, Future[Prepared]] = OrderedDict()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="reference")

    def get(
        self,
        study: Study,
        reference: str,
        granularity: str,
        matrix: str | None = None,
        gene_column: str | None = None,
    ) -> Prepared | Waiting:
        """Return a reference trained for the genes of a study.

        Parameters
        ----------
        study
            The study.
        reference, granularity
            The reference and which of its labels. One of another organism is taken, too; the preflight warns of it.
        matrix
            Key of the matrix; the best one when None.
        gene_column
            The column with the names of the genes; found automatically when None.

        Raises
        ------
        PredictionRefused, UnknownColumn
            It cannot be used; the message says why and what to do.
        """
        # A reference that was replaced is another one, and so is a matrix of which users decided something else.
        checksum = self._registry.checksum(self._registry.ready(reference))
        chosen = tuple(
            (dataset.path, *vars(own).values())
            for dataset, own in zip(study.datasets, choose_matrices(study, matrix, gene_column), strict=True)
        )
        key = (reference, granularity, checksum, chosen)
        with self._lock:
            future = self._kept.get(key)
            if future is None:
                parameters = Parameters(
                    reference, granularity, matrix=matrix, gene_column=gene_column, any_organism=True
                )
                future = self._kept[key] = self._pool.submit(self._predictor.prepare, study, parameters)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
        try:
            return future.result(PATIENCE)
        except TimeoutError:
            return Waiting("Preparing the reference")
        except Exception:
            with self._lock:
                # Tried again when it is asked for again.
                self._kept.pop(key, None)
            raise

    def close(self) -> None:
        """Stop, so that the files can be closed; what is being made ready is waited for."""
        self._pool.shutdown(cancel_futures=True)
