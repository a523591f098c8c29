"""Run all benchmarks: what `make bench` calls."""

from __future__ import annotations

import click

from benchmarks import bench_backed, bench_edits, bench_select, bench_start


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Rounds of each benchmark.")
@click.option("--peer/--no-peer", default=True, help="Run the peers beside it.")
@click.pass_context
def main(context: click.Context, rounds: int, peer: bool) -> None:
    """Run every benchmark and print its table."""
    context.invoke(bench_start.main, rounds=rounds, peer=peer)
    context.invoke(bench_backed.main, rounds=min(rounds, 3), peer=peer)
    context.invoke(bench_select.main, rounds=min(rounds, 3), peer=peer)
    context.invoke(bench_edits.main)


if __name__ == "__main__":
    main()
