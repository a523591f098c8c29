"""A process that makes one gene index: ``python -m iscan_dash.services.gene_index_worker``, started by the server.

It is told what to do by one line of JSON on its standard input, and tells how it goes by lines of JSON on its standard
output: ``{"part": 0.5}``, ``{"waits": true}``, and in the end ``{"end": "made" | "failed", "message"}``. It ends when
it is terminated, and when its standard input ends: the server is gone.
"""

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import psutil

from iscan_dash.core.study.dataset import open_dataset
from iscan_dash.core.study.gene_index import index_key
from iscan_dash.errors import DataError, IscanError
from iscan_dash.services.gene_index_folder import IndexFolder

BETWEEN = 0.2
"""Least seconds between two lines."""

NICENESS = 19
"""Everything else goes first."""

PATIENCE = 5.0
"""Seconds that the work has to end by itself when the server is gone."""


def make(order: dict[str, Any]) -> None:
    """Make the index that the server asks for."""
    said = 0.0

    def tell(part: float) -> None:
        nonlocal said
        if time.monotonic() - said >= BETWEEN:
            said = time.monotonic()
            _say(part=round(part, 4))

    dataset = open_dataset(Path(order["path"]))
    try:
        matrix = dataset.matrices.get(order["matrix"])
        if matrix is None or index_key(matrix, dataset.stamp) != order["key"]:
            raise DataError(f"{dataset.path} was changed after it was opened. Restart the server to read it anew.")
        folder = IndexFolder(Path(order["folder"]), order["most"])
        folder.make(dataset, matrix.key, order["key"], tell, lambda: _say(waits=True), damaged=order["damaged"])
    finally:
        dataset.close()


def main() -> int:
    """Read the order, make the index, and tell how it ended."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, _stop)
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_watch_server, daemon=True).start()
    _stand_back()
    try:
        make(order)
    except IscanError as error:
        _say(end="failed", message=str(error))
        return 1
    except MemoryError:
        _say(end="failed", message="Memory ran out.")
        return 1
    # It ends by itself from here on; a server that stops now would interrupt what Python does last.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _say(end="made", message="")
    return 0


def _say(**values: Any) -> None:
    sys.stdout.write(f"{json.dumps(values)}\n")
    sys.stdout.flush()


def _stand_back() -> None:
    process = psutil.Process()
    with contextlib.suppress(psutil.Error, OSError, AttributeError):
        process.nice(NICENESS if os.name == "posix" else psutil.IDLE_PRIORITY_CLASS)
    with contextlib.suppress(psutil.Error, OSError, AttributeError, ValueError):
        process.ionice(psutil.IOPRIO_CLASS_IDLE if sys.platform == "linux" else psutil.IOPRIO_VERYLOW)


def _stop(*_: object) -> NoReturn:
    # An exception, so that what is half done is removed.
    raise SystemExit(128 + signal.SIGTERM)


def _watch_server() -> None:
    """End this process when the server is gone, which holds the other end of the standard input."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
