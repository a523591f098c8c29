"""SingleR: labels of cells, beside the C++ library that R's SingleR is built on.

python -m benchmarks.bench_singler --rounds 3

Both sides load the same reference and cells, and work in turns, with the same number of threads; their labels are
compared. Ratios are of processor time and of wall time, the peer's over ours.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import click

from benchmarks.claims import Claim, goal_text
from benchmarks.servers import machine
from benchmarks.sides import ask, side
from benchmarks.singler_peer import peer_python
from benchmarks.singler_workload import workload

WORKER = Path(__file__).with_name("singler_worker.py")
REFERENCES = (("bp", "main"), ("bp", "fine"), ("hpca", "main"), ("hpca", "fine"))
STEPS = {
    "train": {"do": "train"},
    "first pass": {"do": "classify", "tune": False},
    "fine-tuned": {"do": "classify", "tune": True},
    "dense, first pass": {"do": "dense_classify", "tune": False},
    "dense, fine-tuned": {"do": "dense_classify", "tune": True},
}

MEMORY_GOAL = 400.0
"""Most MB beyond inputs and results."""


def wanted(name: str, granularity: str, threads: int, step: str) -> float:
    """Return the least ratio of processor time that the project wants."""
    is_large = (name, granularity) == ("hpca", "fine")
    if step == "train":
        return 30 if is_large else 7
    if step.startswith("dense"):
        return 10
    least = 60 if threads == 1 else 50
    return least - 5 if is_large and step == "fine-tuned" else least


@dataclass
class Measured:
    """What one step cost on each side, round by round, and the labels that differ but for exact ties."""

    ours: list[dict[str, Any]] = field(default_factory=list)
    peer: list[dict[str, Any]] = field(default_factory=list)
    differing: int = 0

    @property
    def cpu(self) -> float:
        """Our median processor time, seconds."""
        return median(run["cpu"] for run in self.ours)

    @property
    def extra(self) -> float:
        """Our peak of memory beyond inputs and results, MB."""
        return max(run["extra"] for run in self.ours) / 1e6

    def claim(self, title: str, goal: float) -> Claim:
        """Return the claim that our processor time is so many times less than the peer's."""
        peer = median(run["cpu"] for run in self.peer)
        ratio = peer / self.cpu
        return Claim(
            "SingleR, CPU s",
            title,
            f"{self.cpu:.3f}",
            f"{peer:.2f} (singler 0.5.0, C++)",
            f"{ratio:.1f}x",
            goal_text(ratio, goal, 0, is_least=True),
        )

    def row(self, title: str) -> str:
        """Return a line of the table."""
        cpu, extra, wall = self.cpu, self.extra, median(run["wall"] for run in self.ours)
        cells = [title, f"{cpu:.3f}", f"{wall:.3f}", f"{extra:.0f}"]
        if self.peer:
            their_cpu, their_wall = (median(run[kind] for run in self.peer) for kind in ("cpu", "wall"))
            cells += [f"{their_cpu:.2f}", f"{their_cpu / cpu:.1f}x", f"{their_wall / wall:.1f}x", str(self.differing)]
        else:
            cells += [""] * 4
        return "| " + " | ".join(cells) + " |"


def worker(name: str, path: Path, granularity: str, threads: int) -> AbstractContextManager[subprocess.Popen[str]]:
    """Start one side, to be ended afterwards."""
    python = Path(sys.executable) if name == "ours" else peer_python()
    return side(python, WORKER, name, str(path), granularity, threads=threads)


def measure(
    path: Path, granularity: str, threads: int, rounds: int, steps: Sequence[str], with_peer: bool
) -> dict[str, Measured]:
    """Let both sides do the steps in turns; the first run of ours that counts comes after one that does not."""
    results = {step: Measured() for step in steps}
    with worker("ours", path, granularity, threads) as ours:
        ask(ours, STEPS["train"])
        ask(ours, STEPS["fine-tuned"])
        if not with_peer:
            for _ in range(rounds):
                for step in steps:
                    results[step].ours.append(ask(ours, STEPS[step]))
            return results
        with worker("peer", path, granularity, threads) as peer:
            ask(peer, STEPS["train"])
            for _ in range(rounds):
                for step in steps:
                    found = results[step]
                    found.ours += [ask(ours, STEPS[step]) for _ in range(3)]
                    found.peer.append(ask(peer, STEPS[step]))
                    if found.peer[-1]["labels"]:
                        ties = set(found.peer[-1]["ties"])
                        pairs = enumerate(zip(found.ours[-1]["labels"], found.peer[-1]["labels"], strict=True))
                        found.differing = sum(a != b and cell not in ties for cell, (a, b) in pairs)
    return results


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds of both sides.")
@click.option("--cells", multiple=True, type=int, default=(5_000, 20_000, 100_000), show_default=True, help="Cells.")
@click.option("--peer-cells", default=5_000, show_default=True, help="Most cells that the peer is given.")
@click.option("--threads", multiple=True, type=int, default=(1, 2), show_default=True, help="Threads of each side.")
@click.option("--peer/--no-peer", default=True, help="Run the peer beside it.")
@click.option("--million/--no-million", default=True, help="Measure the memory of a million cells, too.")
def main(
    rounds: int, cells: Sequence[int], peer_cells: int, threads: Sequence[int], peer: bool, million: bool
) -> list[Claim]:
    """Train and classify with both sides, in turns."""
    claimed: list[Claim] = []
    click.echo(f"\n## SingleR beside PyPI singler 0.5.0 (C++)\n\n{machine()}; medians of {rounds} rounds in turns.\n")
    click.echo("Seconds of processor time and wall time; extra memory in MB is the peak beyond inputs and results;")
    click.echo("`differ`: labels that are not the same, exact ties aside.\n")
    click.echo("| | ours, CPU s | ours, wall s | extra MB | peer, CPU s | CPU ratio | wall ratio | differ |")
    click.echo("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, granularity in REFERENCES:
        for n_cells in cells:
            path = workload(name, n_cells)
            for n_threads in threads:
                with_peer = peer and n_cells <= peer_cells
                steps = list(STEPS)[:3]
                if n_threads == 1 and n_cells == min(cells) and (name, granularity) == ("bp", "main"):
                    steps = list(STEPS)
                found = measure(path, granularity, n_threads, rounds, steps, with_peer)
                for step, result in found.items():
                    title = (
                        f"{name} {granularity}, {n_cells:,} cells, {n_threads} thread{'s' * (n_threads > 1)}: {step}"
                    )
                    click.echo(result.row(title))
                    if result.peer:
                        claimed.append(result.claim(title, wanted(name, granularity, n_threads, step)))
    if million:
        with worker("ours", workload("bp", max(cells)), "main", max(threads)) as ours:
            ask(ours, STEPS["train"])
            repeat = max(1, 1_000_000 // max(cells))
            result = Measured([ask(ours, {"do": "classify", "tune": True, "repeat": repeat})])
            title = f"bp main, {repeat * max(cells):,} cells, {max(threads)} threads: fine-tuned"
            click.echo(result.row(title))
            claimed.append(
                Claim(
                    "SingleR, extra memory, MB",
                    title,
                    f"{result.extra:,.0f}",
                    goal=goal_text(result.extra, MEMORY_GOAL, 0),
                )
            )
    return claimed


if __name__ == "__main__":
    main()
