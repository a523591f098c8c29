"""One side of the enrichment benchmark: a process that scores sets when it is told to, and says what it cost.

    python enrichment_worker.py ours|peer WORKLOAD.npz THREADS

Commands come as lines of standard input, answers go as lines of JSON. It runs in our environment and in the peers'.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np
import psutil
from scipy import sparse

from benchmarks.memory import forget_peak, peak


def processor_time() -> float:
    """Return the processor time of this process and of those it started that still run, in seconds."""
    me = psutil.Process()
    return sum(sum(each.cpu_times()[:2]) for each in (me, *me.children(recursive=True)))


def cells(load: dict[str, np.ndarray]) -> sparse.csr_matrix:
    """Return the cells of a workload, one a row."""
    shape = (len(load["indptr"]) - 1, len(load["genes"]))
    return sparse.csr_matrix((load["data"], load["indices"], load["indptr"]), shape=shape)


def members(load: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Return the columns of the genes of each set."""
    return np.split(load["members"], np.cumsum(load["sizes"])[:-1])


class Ours:
    """iscan-dash."""

    def __init__(self, load: dict[str, np.ndarray], threads: int) -> None:
        from iscan_dash.core.engine.query import Query
        from iscan_dash.core.enrichment.sets import MatchedSet
        from iscan_dash.core.enrichment.warm_up import warm_up

        warm_up()
        self.threads = threads
        self.genes, self.codes = load["genes"].tolist(), load["codes"]
        self.matrix = cells(load)
        self.sets = [MatchedSet(f"set {number}", columns, len(columns)) for number, columns in enumerate(members(load))]
        self.query = Query.of(self.genes, self.matrix)
        self.scores: Any = None
        self.ranked: Any = None

    def score(self, method: str, n_cells: int) -> np.ndarray:
        """Score all sets; this includes averages, percentages and per-cell P values."""
        from iscan_dash.core.engine.query import Query
        from iscan_dash.core.enrichment.method import Method
        from iscan_dash.core.enrichment.scoring import score_sets

        whole = n_cells == self.matrix.shape[0]
        query = self.query if whole else Query.of(self.genes, self.matrix[:n_cells])
        self.scores = self.ranked = None
        self.scores = score_sets(query, self.sets, Method(method), threads=self.threads)
        return self.scores.score.T

    def many(self, repeat: int) -> None:
        """Make scores of several times the cells: for those that follow, other sets stand in."""
        from dataclasses import replace

        from iscan_dash.core.enrichment.method import Method
        from iscan_dash.core.enrichment.scoring import score_sets
        from iscan_dash.core.enrichment.sets import MatchedSet

        rng = np.random.default_rng(1)
        n_genes = self.matrix.shape[1]
        more = [
            MatchedSet("", rng.choice(n_genes, own.n_up, replace=False), own.n_up)
            for own in self.sets
            for _ in range(repeat - 1)
        ]
        sets = [
            each for number, own in enumerate(self.sets) for each in (own, *more[number * (repeat - 1) :][: repeat - 1])
        ]
        found = score_sets(self.query, sets, Method.UCELL, threads=self.threads)
        arrays = {
            name: getattr(found, name).reshape(len(self.sets), -1)
            for name in ("score", "expression", "detected", "minus_log10_p")
        }
        self.scores = replace(found, sets=tuple(self.sets), **arrays)

    def table(self) -> np.ndarray:
        """Make the statistics of all groups and sets."""
        from iscan_dash.core.enrichment.group_table import group_table
        from iscan_dash.core.enrichment.rank_sums import rank_scores

        codes = np.resize(self.codes, self.scores.n_cells)
        self.ranked = rank_scores(self.scores, threads=self.threads)
        return group_table(self.scores, codes, 12, ranked=self.ranked, threads=self.threads).minus_log10_p

    def regroup(self) -> np.ndarray:
        """Make them for another grouping, with the ranks that are there."""
        from iscan_dash.core.enrichment.group_table import group_table

        codes = np.resize(self.codes[::-1], self.scores.n_cells)
        return group_table(self.scores, codes, 12, ranked=self.ranked, threads=self.threads).minus_log10_p


class Peer:
    """pyucell, decoupler and Scanpy, and SciPy's Mann-Whitney test."""

    def __init__(self, load: dict[str, np.ndarray], threads: int) -> None:
        import anndata
        import pandas as pd

        self.threads = threads
        genes, self.codes = load["genes"], load["codes"]
        names = pd.Index(genes)
        obs = pd.DataFrame(index=[f"c{number}" for number in range(len(load["indptr"]) - 1)])
        self.data = anndata.AnnData(cells(load), obs=obs, var=pd.DataFrame(index=names))
        self.sets = {f"set {number}": genes[own].tolist() for number, own in enumerate(members(load))}
        pairs = [(name, gene) for name, own in self.sets.items() for gene in own]
        self.net = pd.DataFrame(pairs, columns=["source", "target"])
        self.scores: Any = None
        for method in ("ucell", "aucell", "ulm"):
            self.score(method, 200)

    def score(self, method: str, n_cells: int) -> np.ndarray:
        """Score all sets."""
        data = self.data if n_cells == self.data.n_obs else self.data[:n_cells].copy()
        names = list(self.sets)
        if method == "ucell":
            import pyucell

            pyucell.compute_ucell_scores(data, signatures=self.sets, max_rank=1500, n_jobs=self.threads)
            self.scores = data.obs[[f"{name}_UCell" for name in names]].to_numpy()
            data.obs = data.obs[[]]
        elif method == "module":
            import scanpy

            for name in names:
                scanpy.tl.score_genes(data, self.sets[name], score_name=name, use_raw=False)
            self.scores = data.obs[names].to_numpy()
            data.obs = data.obs[[]]
        else:
            import decoupler

            getattr(decoupler.mt, method)(data=data, net=self.net, tmin=1, empty=False)
            self.scores = data.obsm[f"score_{method}"][names].to_numpy()
            data.obsm.clear()
        return self.scores

    def use(self, scores: str) -> None:
        """Take our scores for the test, since those of pyucell are rounded, which breaks ties."""
        self.scores = np.load(scores)

    def table(self) -> np.ndarray:
        """Test all groups and sets against the rest."""
        from scipy.stats import mannwhitneyu

        found = []
        for group in range(12):
            own = self.codes == group
            test = mannwhitneyu(self.scores[own], self.scores[~own], alternative="greater", method="asymptotic")
            found.append(test.pvalue)
        with np.errstate(divide="ignore"):
            return -np.log10(np.array(found))


def main() -> None:
    """Answer commands until the input ends."""
    side, path, threads = sys.argv[1:]
    with np.load(path) as arrays:
        load = dict(arrays)
    worker = (Ours if side == "ours" else Peer)(load, int(threads))
    for line in sys.stdin:
        command = json.loads(line)
        name, out = command.pop("do"), command.pop("out", None)
        if name == "score":
            worker.scores = None
        before = forget_peak()
        wall, cpu = time.perf_counter(), processor_time()
        found = getattr(worker, name)(**command)
        answer = {
            "wall": time.perf_counter() - wall,
            "cpu": processor_time() - cpu,
            "extra": max(0, peak() - before),
        }
        if out:
            np.save(out, found)
        print(json.dumps(answer), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
