"""From nothing to a usable page: iscan-dash beside cellxgene 1.3.0, on the same generated studies.

python -m benchmarks.bench_start --cells 100k --cells 1m --rounds 5
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

import click

from benchmarks import ours, peers, report
from benchmarks.browser import chromium
from benchmarks.claims import Claim
from benchmarks.measure import in_turns
from benchmarks.servers import BenchmarkError
from benchmarks.studies import study, truth

Goals = Mapping[str, float]
GOALS: dict[str, Goals] = {
    "100k": {
        report.READY.title: 1.2,
        report.USABLE.title: 1.2,
        report.MEMORY.title: 300,
        report.DRAWN.title: 0.3,
        report.PREVIEW.title: 0.3,
    },
    "1m": {
        report.READY.title: 1.8,
        report.USABLE.title: 1.8,
        report.MEMORY.title: 450,
        report.DRAWN.title: 0.8,
        report.PREVIEW.title: 1.0,
    },
}
"""What the project wants at most. "Start" is shown both ways it can be read: to the first answer and to the page."""

CLAIMED = (report.READY, report.USABLE, report.MEMORY, report.PICTURE, report.DRAWN, report.PREVIEW, report.BYTES)

PeerMode = Literal["memory", "backed"]


def run(cells: str, rounds: int, modes: tuple[PeerMode, ...], threads: int) -> tuple[str, list[Claim]]:
    """Measure one study; return the section of the report, and what it claims.

    Parameters
    ----------
    cells
        Name of the study.
    rounds
        Starts of each program to keep.
    modes
        How cellxgene is started; none leaves it out.
    threads
        Threads given to every program.
    """
    path = study(cells)
    programs = [ours.iscan_dash(path, threads)]
    programs += [peers.cellxgene(path, threads, backed=mode == "backed") for mode in modes]
    found = truth(path)
    with chromium() as browser:
        results = in_turns(programs, browser, found, rounds)
    said = (
        f"\n## Start, {found.cells:,} cells x {found.genes:,} genes, {len(found.labels)} clusters\n\n"
        f"{report.conditions(results, threads)}\n"
        "All programs draw every cell and agree with the file on the labels and their counts.\n\n"
        f"{report.table(results, report.START_ROWS, GOALS.get(cells, {}))}"
    )
    return said, report.claims(f"{found.cells:,} cells", results, CLAIMED, GOALS.get(cells, {}))


@click.command()
@click.option(
    "--cells", multiple=True, default=("100k", "1m"), show_default=True, help="A generated study; repeatable."
)
@click.option("--rounds", default=5, show_default=True, help="Starts of each program that count.")
@click.option("--peer/--no-peer", default=True, help="Run cellxgene beside it.")
@click.option("--threads", default=os.cpu_count() or 1, show_default=True, help="Threads of every program.")
def main(cells: tuple[str, ...], rounds: int, peer: bool, threads: int) -> list[Claim]:
    """Time the start, memory, bytes and first interactions of iscan-dash and cellxgene, in turns."""
    modes: tuple[PeerMode, ...] = ("memory", "backed") if peer else ()
    claimed = []
    for name in cells:
        try:
            said, own = run(name, rounds, modes, threads)
        except BenchmarkError as error:
            raise click.ClickException(str(error)) from error
        click.echo(said)
        claimed += own
    return claimed


if __name__ == "__main__":
    main()
