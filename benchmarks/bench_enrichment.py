"""Enrichment: scores of gene sets beside pyucell, decoupler and Scanpy, and statistics of groups beside SciPy.

python -m benchmarks.bench_enrichment --rounds 3

Both sides load the same cells and sets, and work in turns, with the same number of threads; their results are
compared. Ratios are of processor time and of wall time, the peer's over ours. Our time includes what the peers do not
compute: averages, percentages, and each cell's own P.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from benchmarks.claims import Claim, goal_text
from benchmarks.enrichment_peer import REQUIREMENTS, peer_python
from benchmarks.enrichment_workload import workload
from benchmarks.servers import BenchmarkError, machine
from benchmarks.sides import ask, side

WORKER = Path(__file__).with_name("enrichment_worker.py")
PEERS = {"ucell": "pyucell", "aucell": "decoupler AUCell", "module": "scanpy score_genes", "ulm": "decoupler ULM"}
GOALS = {"ucell": 8.0, "aucell": 10.0, "module": 10.0, "ulm": 10.0}
"""Least ratios of processor time."""

METHODS = ("ulm", "module", "aucell")

APART = {"ucell": 1e-6, "module": 1e-5, "ulm": 1e-4, "table": 1e-6}
"""Most that results may be apart: scanpy computes in 32 bits, and decoupler's t are as large as 100."""

LEAST_R = 0.98
"""Least correlation with AUCell, whose ties are broken at random."""

TABLE_GOAL_S = {20_000: 0.5, 100_000: 3.0}
MEMORY_GOAL = 400e6


@dataclass
class Measured:
    """What one step cost on each side, round by round, and how far the results are apart."""

    ours: list[dict[str, float]] = field(default_factory=list)
    peer: list[dict[str, float]] = field(default_factory=list)
    difference: str = ""

    def row(self, title: str, goal: str, is_met: bool | None) -> str:
        """Return a line of the table."""
        cpu, wall = self.ours_s("cpu"), self.ours_s("wall")
        cells = [title, f"{cpu:.2f}", f"{wall:.2f}", f"{self.extra / 1e6:.0f}"]
        if self.peer:
            their_cpu, their_wall = (median(run[kind] for run in self.peer) for kind in ("cpu", "wall"))
            cells += [f"{their_cpu:.2f}", f"{their_cpu / cpu:.1f}x", f"{their_wall / wall:.1f}x", self.difference]
        else:
            cells += [""] * 4
        cells.append("" if is_met is None else f"{goal} {'met' if is_met else 'MISSED'}")
        return "| " + " | ".join(cells) + " |"

    def claim(self, step: str, data: str) -> Claim:
        """Return the claim that our processor time is so many times less than the peer's."""
        cpu, peer = self.ours_s("cpu"), median(run["cpu"] for run in self.peer)
        goal = goal_text(peer / cpu, GOALS[step], 0, is_least=True)
        return Claim(
            f"enrichment {step}, CPU s", data, f"{cpu:.2f}", f"{peer:.2f} ({PEERS[step]})", f"{peer / cpu:.1f}x", goal
        )

    def ours_s(self, kind: str) -> float:
        """Return our median time."""
        return median(run[kind] for run in self.ours)

    @property
    def ratio(self) -> float | None:
        """The peer's processor time over ours."""
        return median(run["cpu"] for run in self.peer) / self.ours_s("cpu") if self.peer else None

    @property
    def extra(self) -> float:
        """Our peak of memory beyond what was there before, in bytes."""
        return max(run["extra"] for run in self.ours)


def worker(name: str, path: Path, threads: int) -> AbstractContextManager[subprocess.Popen[str]]:
    """Start one side, to be ended afterwards."""
    python = Path(sys.executable) if name == "ours" else peer_python()
    return side(python, WORKER, name, str(path), threads=threads)


def compare(title: str, ours: Path, peer: Path) -> str:
    """Say how far two results are apart.

    Raises
    ------
    BenchmarkError
        They are further apart than rounding makes them.
    """
    one, other = np.load(ours), np.load(peer)
    if title == "aucell":
        correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        if not correlation >= LEAST_R:
            raise BenchmarkError(f"Scores of AUCell correlate by {correlation:.4f} only.")
        return f"r {correlation:.4f} (its ties are random)"
    # The peer's P underflows; ours does not.
    shown = np.isfinite(other) & (other < 290) if title == "table" else np.isfinite(other)
    apart = float(np.abs(one[shown] - other[shown]).max())
    if not apart <= APART[title]:
        raise BenchmarkError(f"The results of {title} are {apart:.0e} apart.")
    return f"{apart:.0e} (-log10 P)" if title == "table" else f"{apart:.0e}"


def measure(
    path: Path, n_cells: int, ulm_cells: int, threads: int, rounds: int, methods: Sequence[str], with_peer: bool
) -> dict[str, Measured]:
    """Let both sides do the steps in turns, one run of ours that does not count ahead."""
    steps: dict[str, dict[str, Any]] = {
        method: {"do": "score", "method": method, "n_cells": ulm_cells if method == "ulm" else n_cells}
        for method in methods
    }
    # After UCell, whose scores it is made of.
    steps["ucell"] = {"do": "score", "method": "ucell", "n_cells": n_cells}
    steps["table"] = {"do": "table"}
    results = {step: Measured() for step in steps}
    peer_side = worker("peer", path, threads) if with_peer else nullcontext()
    with tempfile.TemporaryDirectory() as folder, worker("ours", path, threads) as ours, peer_side as peer:
        ask(ours, steps["ucell"])
        for _ in range(rounds):
            for step, command in steps.items():
                found, files = results[step], (Path(folder) / f"{step}.npy", Path(folder) / "peer.npy")
                for _ in range(3):
                    found.ours.append(ask(ours, {**command, "out": str(files[0])}))
                if peer is not None:
                    if step == "table":
                        ask(peer, {"do": "use", "scores": f"{folder}/ucell.npy"})
                    found.peer.append(ask(peer, {**command, "out": str(files[1])}))
                    found.difference = compare(step, *files)
        for title, repeat in (("regroup", 1), ("table, 5 x the cells", 5), ("regroup, 5 x the cells", 5)):
            if repeat > 1 and title.startswith("table"):
                ask(ours, {"do": "many", "repeat": repeat})
            command = {"do": title.split(",", maxsplit=1)[0]}
            results[title] = Measured([ask(ours, command) for _ in range(rounds)])
    return results


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds of both sides.")
@click.option("--cells", default=20_000, show_default=True, help="Cells.")
@click.option(
    "--ulm-cells", default=8_000, show_default=True, help="Cells for ULM, of which decoupler makes dense ones."
)
@click.option("--sets", default=200, show_default=True, help="Gene sets.")
@click.option("--threads", multiple=True, type=int, default=(1, 2), show_default=True, help="Threads of each side.")
@click.option("--method", multiple=True, type=click.Choice(METHODS), default=METHODS, help="Methods beside UCell.")
@click.option("--peer/--no-peer", default=True, help="Run the peers beside it.")
def main(
    rounds: int, cells: int, ulm_cells: int, sets: int, threads: Sequence[int], method: Sequence[str], peer: bool
) -> list[Claim]:
    """Score gene sets and test groups with both sides, in turns."""
    click.echo(f"\n## Enrichment beside {', '.join(REQUIREMENTS[:3])} and SciPy\n")
    click.echo(
        f"{machine()}; medians of {rounds} rounds in turns; {cells:,} cells, 18,000 genes, {sets} sets, 12 groups.\n"
    )
    click.echo(
        "Seconds of processor time and wall time; extra memory in MB is our peak beyond the loaded matrix, results"
    )
    click.echo("included; `apart`: largest difference of results.\n")
    click.echo("| | ours, CPU s | ours, wall s | extra MB | peer, CPU s | CPU ratio | wall ratio | apart | goal |")
    click.echo("|---|---:|---:|---:|---:|---:|---:|---|---|")
    path = workload(cells, sets)
    claimed = []
    for n_threads in threads:
        for step, found in measure(path, cells, ulm_cells, n_threads, rounds, method, peer).items():
            suffix = f", {n_threads} thread{'s' * (n_threads > 1)}"
            if step in PEERS:
                ratio = found.ratio
                is_met = None if ratio is None else ratio >= GOALS[step] and found.extra <= MEMORY_GOAL
                n_cells = ulm_cells if step == "ulm" else cells
                title = f"{PEERS[step]}{f' ({n_cells:,} cells)' if n_cells != cells else ''}{suffix}"
                click.echo(found.row(title, f">= {GOALS[step]:.0f}x, <= 400 MB", is_met))
                if ratio is not None:
                    claimed.append(found.claim(step, f"{n_cells:,} cells, {sets} sets{suffix}"))
                continue
            n_cells = cells * (5 if "5 x" in step else 1)
            goal, wall = TABLE_GOAL_S.get(n_cells), found.ours_s("wall")
            click.echo(found.row(f"{step}{suffix}", f"<= {goal} s wall", None if goal is None else wall <= goal))
            data = f"{n_cells:,} cells, {sets} sets{suffix}"
            claimed.append(
                Claim(f"enrichment {step.split(',')[0]}, s", data, f"{wall:.2f}", goal=goal_text(wall, goal, 1))
            )
    return claimed


if __name__ == "__main__":
    main()
