"""One side of the SingleR benchmark: a process that trains and classifies when it is told to, and says what it cost.

    python singler_worker.py ours|peer WORKLOAD.npz main|fine THREADS

Commands come as lines of standard input, answers go as lines of JSON. It runs in our environment and in the peer's.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.memory import forget_peak, peak


class Ours:
    """iscan-dash."""

    def __init__(self, load: dict[str, np.ndarray], granularity: str, threads: int) -> None:
        from iscan_dash.core.engine.query import Query
        from iscan_dash.core.singler.reference import Reference
        from iscan_dash.core.singler.warm_up import warm_up

        warm_up()
        self.threads = threads
        self.reference = Reference(load["genes"].tolist(), load["values"], load[granularity].tolist())
        self.matrix = cells(load)
        self.dense: np.ndarray | None = None
        self.query = Query.of(load["cell_genes"].tolist(), self.matrix)
        self.trained: Any = None

    def train(self) -> None:
        """Prepare the reference."""
        from iscan_dash.core.singler.train import train

        self.trained = train(self.reference, self.query.genes, threads=self.threads)

    def classify(self, tune: bool, repeat: int = 1) -> list[str]:
        """Label the cells, several times over if asked."""
        from iscan_dash.core.engine.query import Query
        from iscan_dash.core.singler.classify import classify

        query = self.query
        if repeat > 1:
            blocks = lambda: iter([self.matrix] * repeat)  # noqa: E731
            query = Query(query.genes, query.n_cells * repeat, blocks, query.kind)
        found = classify(self.trained, query, threshold=0.05 if tune else None, nmads=None, threads=self.threads)
        self.result_bytes = found.first.scores.nbytes + 2 * query.n_cells * 16
        return [found.labels[code] for code in found.tuned.label[: self.query.n_cells]]

    def dense_classify(self, tune: bool) -> list[str]:
        """Label dense cells."""
        from iscan_dash.core.engine.query import Query
        from iscan_dash.core.singler.classify import classify

        query = Query.of(self.query.genes, self.dense)
        found = classify(self.trained, query, threshold=0.05 if tune else None, nmads=None, threads=self.threads)
        return [found.labels[code] for code in found.tuned.label]


class Peer:
    """PyPI ``singler`` (C++)."""

    def __init__(self, load: dict[str, np.ndarray], granularity: str, threads: int) -> None:
        self.threads = threads
        self.values = np.asfortranarray(load["values"].T)
        self.genes, self.labels = load["genes"].tolist(), load[granularity].tolist()
        self.cell_genes = load["cell_genes"].tolist()
        self.matrix = cells(load).T.tocsc()
        self.dense: np.ndarray | None = None
        self.built: Any = None
        self.result_bytes = 0

    def train(self) -> None:
        """Prepare the reference."""
        import singler

        options = {"test_features": self.cell_genes, "num_threads": self.threads}
        self.built = singler.train_single(self.values, self.labels, self.genes, **options)

    def classify(self, tune: bool) -> list[str]:
        """Label the cells."""
        return self._labels(self.matrix, tune)

    def dense_classify(self, tune: bool) -> list[str]:
        """Label dense cells."""
        return self._labels(self.dense.T, tune)

    def _labels(self, matrix: Any, tune: bool) -> list[str]:
        import singler

        found = singler.classify_single(matrix, self.built, use_fine_tune=tune, num_threads=self.threads)
        self.delta = np.asarray(found.column("delta"))
        return [str(label) for label in found.column("best")]


def cells(load: dict[str, np.ndarray]) -> sparse.csr_matrix:
    """Return the cells of a workload, one a row."""
    shape = (len(load["indptr"]) - 1, len(load["cell_genes"]))
    return sparse.csr_matrix((load["data"], load["indices"], load["indptr"]), shape=shape)


def continuous(n_cells: int, n_genes: int) -> np.ndarray:
    """Return dense values that are all different, as imputed data are."""
    return np.random.default_rng(5).normal(0, 1, (n_cells, n_genes)).astype(np.float32)


def main() -> None:
    """Answer commands until the input ends."""
    side, path, granularity, threads = sys.argv[1:]
    with np.load(path) as arrays:
        load = dict(arrays)
    worker = (Ours if side == "ours" else Peer)(load, granularity, int(threads))
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        if name == "dense_classify" and worker.dense is None:
            worker.dense = continuous(500, len(load["cell_genes"]))
            if side == "ours":
                worker.dense_classify(False)
        before = forget_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        labels = getattr(worker, name)(**command)
        answer = {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "extra": max(0, peak() - before - (0 if name == "train" else worker.result_bytes)),
            "labels": labels,
            "ties": np.flatnonzero(worker.delta < 1e-12).tolist() if side == "peer" and labels else [],
        }
        print(json.dumps(answer), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
