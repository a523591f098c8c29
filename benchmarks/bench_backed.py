"""A million cells and thirty thousand genes, left on disk: how fast it opens and in how much memory.

python -m benchmarks.bench_backed --rounds 3
"""

from __future__ import annotations

import os

import click

from benchmarks import ours, peers, report
from benchmarks.browser import chromium
from benchmarks.claims import Claim
from benchmarks.measure import in_turns
from benchmarks.servers import BenchmarkError
from benchmarks.studies import study, truth

STUDY = "1m-30k"
GOALS = {report.MEMORY.title: 1000, report.PEAK.title: 1000}
ROWS = (report.READY, report.PAGE, report.USABLE, report.MEMORY, report.PEAK, report.AFTER, report.BYTES)


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Starts of each program that count.")
@click.option("--peer/--no-peer", default=True, help="Run cellxgene beside it, with its --backed.")
@click.option("--threads", default=os.cpu_count() or 1, show_default=True, help="Threads of every program.")
def main(rounds: int, peer: bool, threads: int) -> list[Claim]:
    """Open 1M cells x 30k genes with iscan-dash and with cellxgene --backed, in turns."""
    path = study(STUDY)
    programs = [ours.iscan_dash(path, threads)]
    try:
        if peer:
            programs.append(peers.cellxgene(path, threads, backed=True))
        with chromium() as browser:
            results = in_turns(programs, browser, truth(path), rounds)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    found = truth(path)
    size = path.stat().st_size / 1e9
    click.echo(f"\n## Backed, {found.cells:,} cells x {found.genes:,} genes, a file of {size:.1f} GB\n")
    click.echo(f"{report.conditions(results, threads)}\n")
    click.echo(report.table(results, ROWS, GOALS))
    data = f"{found.cells:,} cells x {found.genes:,} genes, backed"
    return report.claims(data, results, (report.READY, report.MEMORY, report.PEAK), GOALS)


if __name__ == "__main__":
    main()
