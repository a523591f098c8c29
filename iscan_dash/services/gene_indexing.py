"""Makes gene indices in the background, one at a time and in a process of its own, and gives them to the study."""

import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from iscan_dash.core.study import Study
from iscan_dash.core.study.dataset import Dataset
from iscan_dash.core.study.gene_index import index_key, is_worth_indexing
from iscan_dash.errors import IscanError
from iscan_dash.logs import tell
from iscan_dash.services.gene_index_folder import IndexFolder

log = logging.getLogger(__name__)

_ROOT = Path(__file__).parents[2]

PATIENCE = 5.0
"""Seconds that a process has to end by itself."""

PAUSE = 300.0
"""Seconds after which what was given up is tried again, when a gene is searched for: the disk may have space then."""


class IndexState(StrEnum):
    """How far an index is."""

    WANTED = "wanted"
    WAITS = "waits"
    RUNS = "runs"
    READY = "ready"
    FAILED = "failed"


@dataclass
class Progress:
    """How far the index of a matrix is.

    Parameters
    ----------
    file
        Name of the file.
    matrix
        Key of the matrix.
    state
        Wanted, waiting for another server that makes one, being made, there, or given up.
    part
        The part that is done, 0 to 1.
    message
        Why it was given up.
    size
        Its bytes, once it is there.
    """

    file: str
    matrix: str
    state: IndexState = IndexState.WANTED
    part: float = 0.0
    message: str = ""
    size: int = 0


class GeneIndexing:
    """Gives the large row-major matrices of a study their indices: kept ones at once, others when they are made.

    Parameters
    ----------
    study
        The study.
    folder
        Where indices are kept.
    most
        Bytes that all of them take together; 0 means that there are none.
    """

    def __init__(self, study: Study, folder: Path, most: int) -> None:
        self._study = study
        self._folder = IndexFolder(folder, most)
        self._most = most
        self._wanted: queue.SimpleQueue[tuple[Dataset, str, int | None] | None] = queue.SimpleQueue()
        self._progress: dict[tuple[Path, str], Progress] = {}
        self._given_up: dict[tuple[Path, str], float] = {}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="gene-indices", daemon=True)

    def start(self) -> None:
        """Begin with the matrices that genes are read from."""
        datasets = self._study.datasets
        if not self._most or not any(is_worth_indexing(own) for data in datasets for own in data.matrices.values()):
            return
        self._folder.clean()
        for dataset, key in zip(datasets, self._study.shown_matrices, strict=True):
            # Others when a gene is searched for in them.
            dataset.indices.searched = partial(self._want, dataset)
            if key and is_worth_indexing(dataset.matrices[key]):
                self._want(dataset, key)
        self._thread.start()

    def progress(self) -> list[Progress]:
        """Return how far each index is that was wanted so far."""
        with self._lock:
            return list(self._progress.values())

    def close(self) -> None:
        """Give up what is not made yet."""
        with self._lock:
            self._is_closed = True
            process = self._process
        self._wanted.put(None)
        if process is not None:
            process.terminate()
            self._thread.join(PATIENCE)
            process.kill()
        if self._thread.is_alive():
            self._thread.join()

    def _want(self, dataset: Dataset, key: str, damaged: int | None = None) -> None:
        own = dataset.path, key
        with self._lock:
            known = self._progress.get(own)
            has_failed = known is not None and known.state is IndexState.FAILED
            if has_failed and time.monotonic() < self._given_up[own] + PAUSE:
                return
            # One that is ready and wanted all the same is damaged, gone, or of a file that was changed.
            if known is None or has_failed or known.state is IndexState.READY:
                self._progress[own] = Progress(dataset.path.name, key)
                self._wanted.put((dataset, key, damaged))

    def _run(self) -> None:
        while (wanted := self._wanted.get()) is not None and not self._is_closed:
            dataset, key, damaged = wanted
            progress = self._progress[dataset.path, key]
            try:
                self._give(dataset, key, progress, damaged)
            except (IscanError, OSError) as error:
                self._give_up(dataset, key, progress, str(error))
            except Exception as error:
                # Such as too little memory. Nobody else would see it, and this thread has more to do.
                log.exception("The gene index of %s in %s failed.", key, dataset.path.name)
                why = f"Something went wrong ({type(error).__name__}); the server's log has the details."
                self._give_up(dataset, key, progress, why)

    def _give_up(self, dataset: Dataset, key: str, progress: Progress, why: str) -> None:
        self._given_up[dataset.path, key] = time.monotonic()
        progress.message, progress.state = why, IndexState.FAILED
        if not self._is_closed:
            where = {"file": dataset.path.name, "matrix": key}
            tell("no gene index, genes are searched for", level=logging.WARNING, **where, why=why)

    def _give(self, dataset: Dataset, key: str, progress: Progress, damaged: int | None) -> None:
        if not dataset.is_unchanged():
            raise IscanError(f"{dataset.path} was changed after it was opened. Restart the server to read it anew.")
        matrix = dataset.matrices[key]
        digest = index_key(matrix, dataset.stamp)
        # What the worker finds damaged, under the lock of the folder, it makes again.
        index = self._folder.open(digest, matrix.shape) if damaged is None else None
        if index is None:
            order = {"path": str(dataset.path), "matrix": key, "key": digest, "damaged": damaged}
            self._make(order, progress)
            index = self._folder.open(digest, matrix.shape)
        if index is None:
            raise IscanError("The index was not there when it was made.")
        dataset.indices.ready[key] = index
        progress.size, progress.part, progress.state = index.size, 1.0, IndexState.READY
        tell("gene index ready", file=dataset.path.name, matrix=key, bytes=index.size)

    def _make(self, order: dict[str, Any], progress: Progress) -> None:
        order |= {"folder": str(self._folder.folder.absolute()), "most": self._most}
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with self._lock:
            if self._is_closed:
                raise IscanError("The server is being stopped.")
            # Without -P Python would look for our modules in the working directory first.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "iscan_dash.services.gene_index_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        # When it is left, the end of its standard input ends the process.
        with self._process as process:
            said = self._tell_and_listen(process, f"{json.dumps(order)}\n".encode(), progress)
        with self._lock:
            self._process = None
        if said.get("end") != "made":
            raise IscanError(said.get("message") or f"The process that made it ended with code {process.returncode}.")

    def _tell_and_listen(self, process: subprocess.Popen[bytes], order: bytes, progress: Progress) -> dict[str, Any]:
        """Give the order, and pass the progress on until the process says that it is over, or is gone."""
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(order)
            process.stdin.flush()
        for line in process.stdout:
            try:
                said: dict[str, Any] = json.loads(line)
            except ValueError:
                # It was killed while it wrote.
                break
            if "end" in said:
                return said
            progress.state = IndexState.WAITS if said.get("waits") else IndexState.RUNS
            progress.part = said.get("part", progress.part)
        return {}
