"""Run all benchmarks and print one table of all claims: what `make bench` calls."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from benchmarks import (
    bench_backed,
    bench_edits,
    bench_enrichment,
    bench_load,
    bench_scale,
    bench_select,
    bench_singler,
    bench_start,
)
from benchmarks.claims import Claim, claims_table
from benchmarks.servers import machine


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Rounds of each benchmark.")
@click.option("--peer/--no-peer", default=True, help="Run the peers beside it.")
@click.option("--write", type=click.Path(path_type=Path), help="Write the table of all claims to a file, too.")
@click.pass_context
def main(context: click.Context, rounds: int, peer: bool, write: Path | None) -> None:
    """Run every benchmark, print its own table, and at last all claims in one."""
    few = min(rounds, 3)
    claimed: list[Claim] = [
        *context.invoke(bench_start.main, rounds=rounds, peer=peer),
        *context.invoke(bench_backed.main, rounds=few, peer=peer),
        *context.invoke(bench_select.main, rounds=few, peer=peer),
        *context.invoke(bench_edits.main),
        *context.invoke(bench_load.main),
        *context.invoke(bench_scale.main, rounds=few),
        *context.invoke(bench_singler.main, rounds=few, peer=peer, cells=(5_000, 100_000)),
        *context.invoke(bench_enrichment.main, rounds=few, peer=peer),
    ]
    said = f"{machine()}; {date.today():%d %B %Y}; medians, both sides in turns.\n\n{claims_table(claimed)}\n"
    click.echo(f"\n## All claims\n\n{said}")
    if write:
        write.write_text(said, encoding="utf-8")


if __name__ == "__main__":
    main()
