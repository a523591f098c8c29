"""What to expect of predictions, looked up in the background: a page asks at each change of its form."""

import threading
from collections import OrderedDict
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace
from typing import Any

from iscan_dash.core.study import Study
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.prediction_result import Preflight
from iscan_dash.services.prepared_references import Waiting

PATIENCE = 1.0
"""Seconds that a question waits for its answer; a reference that was never trained here may take longer."""

MOST_WAITING = 4
"""Questions in the queue; older ones are about what a form said before."""


class Preflights:
    """Looks up one preflight after the other.

    Parameters
    ----------
    predictor
        Makes predictions.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Any, Future[Preflight]] = OrderedDict()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="preflight")

    def look(self, study: Study, parameters: Parameters) -> Preflight | Waiting:
        """Return what to expect of a prediction; ask again while it is `Waiting`.

        Raises
        ------
        PredictionRefused, UnknownColumn
            It cannot be made; the message says why and what to do.
        """
        # The cutoffs decide nothing here, and move while somebody drags them.
        parameters = replace(parameters, fine_tune=True, threshold=0.05, nmads=3.0)
        key = (parameters, repr(study.choices))
        with self._lock:
            asked = self._waiting.get(key)
            if asked is None:
                asked = self._waiting[key] = self._pool.submit(self._predictor.preflight, study, parameters)
            self._waiting.move_to_end(key)
            while len(self._waiting) > MOST_WAITING:
                self._waiting.popitem(last=False)[1].cancel()
        try:
            return asked.result(PATIENCE)
        except (CancelledError, NotYet):
            # Not there yet, or newer questions pushed it out.
            return Waiting("Preparing the reference")
        finally:
            if asked.done():
                with self._lock:
                    # What was found may change with the files of references: the next question is looked up anew.
                    self._waiting.pop(key, None)

    def close(self) -> None:
        """Stop what is looked up."""
        self._pool.shutdown(wait=True, cancel_futures=True)
