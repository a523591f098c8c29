"""Select and label: iscan-dash beside cellxgene 1.3.0, in one browser, on the same generated studies.

python -m benchmarks.bench_select --cells 100k --cells 1m --cells 5m --rounds 3
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from statistics import median

import click

from benchmarks import ours, peers, report
from benchmarks.browser import Browser, chromium
from benchmarks.claims import Claim
from benchmarks.drawing import CELLXGENE_CANVAS, ISCAN_CANVAS, TOLERANCE, Cells, drawing
from benchmarks.measure import Program, Start, in_turns
from benchmarks.relabelling import cellxgene_relabelling, iscan_relabelling
from benchmarks.report import Row, interaction
from benchmarks.servers import BenchmarkError
from benchmarks.studies import Truth, study, truth

PEER_CELLS = frozenset({"100k", "1m"})
"""Studies that cellxgene is run on: of five million cells it reads the matrix for minutes."""

PLOT = Row("navigation to the plot and its tools, s", lambda r: r.visit.usable_s)
PANNABLE = Row("navigation until the plot can be panned, s", interaction("pannable"))
COUNT = Row("lasso let go to its count, s", interaction("release to count"), 3)
LASSO_BUSY = Row("main thread of the page busy over the lasso, s", interaction("busy over the lasso"))
SENT = Row("sent up for the lasso, kB", interaction("sent up", 1e-3), 1)
FRAMES = Row("paintings a second while panning", interaction("frames"), 0)
SHARE = Row("part of the cells in the lasso, %", interaction("share", 100), 1)
LABEL = Row("label of a tenth of the cells to redrawn plot, s", interaction("label to redrawn"), 3)
LABEL_BUSY = Row("main thread of the page busy over it, s", interaction("busy over the label"))
LABELLED = Row("part of the cells labelled, %", interaction("labelled share", 100), 1)

DRAW_ROWS = (
    PLOT,
    PANNABLE,
    report.DRAWN,
    COUNT,
    LASSO_BUSY,
    SENT,
    FRAMES,
    SHARE,
    report.BYTES,
    report.BUSY,
    report.ERRORS,
)
LABEL_ROWS = (LABEL, LABEL_BUSY, LABELLED)
CLAIMED = (PLOT, COUNT, LASSO_BUSY, FRAMES, LABEL)

GOALS: dict[str, Mapping[str, float]] = {
    "100k": {COUNT.title: 0.1, LASSO_BUSY.title: 0.15, SENT.title: 10},
    "1m": {PLOT.title: 0.8, COUNT.title: 0.2, LASSO_BUSY.title: 0.2, SENT.title: 10, LABEL.title: 0.4},
    "5m": {COUNT.title: 0.5, LASSO_BUSY.title: 0.6, SENT.title: 10},
}
"""What the project wants at most."""

LEAST: dict[str, Mapping[str, float]] = {"1m": {FRAMES.title: 30}}
"""What the project wants at least."""


def alike(results: Mapping[str, Sequence[Start]], name: str) -> None:
    """Refuse results in which the programs selected other parts of the cells.

    Raises
    ------
    BenchmarkError
        They differ by more than `TOLERANCE`.
    """
    shares = {program: median(start.interactions[name] for start in starts) for program, starts in results.items()}
    if max(shares.values()) - min(shares.values()) > TOLERANCE:
        raise BenchmarkError(f"The programs did not select the same cells: {shares}.")


def run(cells: str, rounds: int, peer: bool, threads: int) -> tuple[str, list[Claim]]:
    """Measure one study; return the section of the report, and what it claims.

    Parameters
    ----------
    cells
        Name of the study.
    rounds
        Starts of each program to keep.
    peer
        Whether cellxgene runs beside it.
    threads
        Threads given to every program.
    """
    path = study(cells)
    found, where = truth(path), Cells.read(path)
    own = ours.iscan_dash(path, threads)
    drawn = [drawing(own, ISCAN_CANVAS, where)]
    labelled = [iscan_relabelling(own, where)]
    if peer and cells in PEER_CELLS:
        other = peers.cellxgene(path, threads)
        drawn.append(drawing(other, CELLXGENE_CANVAS, where))
        labelled.append(cellxgene_relabelling(other, path, where, threads))
    with chromium() as browser:
        parts = [
            _section(browser, drawn, found, rounds, "share", DRAW_ROWS, cells, threads),
            _section(browser, labelled, found, rounds, "labelled share", LABEL_ROWS, cells, threads),
        ]
    title = f"\n## Select and label, {found.cells:,} cells x {found.genes:,} genes\n"
    said = (
        "The same mouse events in the same places; every count equals that of an even-odd test of each cell against the"
        " polygon that the program used.\n"
    )
    return "\n".join([title, said, *(part for part, _ in parts)]), [own for _, claimed in parts for own in claimed]


def _section(
    browser: Browser,
    programs: Sequence[Program],
    found: Truth,
    rounds: int,
    share: str,
    rows: Sequence[Row],
    cells: str,
    threads: int,
) -> tuple[str, list[Claim]]:
    results = in_turns(programs, browser, found, rounds)
    alike(results, share)
    wanted = GOALS.get(cells, {}), LEAST.get(cells, {})
    table = report.table(results, rows, *wanted)
    claimed = [row for row in rows if row in CLAIMED]
    said = f"{report.conditions(results, threads)}\n\n{table}\n"
    return said, report.claims(f"{found.cells:,} cells", results, claimed, *wanted)


@click.command()
@click.option(
    "--cells", multiple=True, default=("100k", "1m", "5m"), show_default=True, help="A generated study; repeatable."
)
@click.option("--rounds", default=3, show_default=True, help="Starts of each program that count.")
@click.option("--peer/--no-peer", default=True, help="Run cellxgene beside it.")
@click.option("--threads", default=os.cpu_count() or 1, show_default=True, help="Threads of every program.")
def main(cells: tuple[str, ...], rounds: int, peer: bool, threads: int) -> list[Claim]:
    """Time lassos, panning and labels in the pages of iscan-dash and cellxgene, in turns."""
    claimed = []
    for name in cells:
        try:
            said, own = run(name, rounds, peer, threads)
        except BenchmarkError as error:
            raise click.ClickException(str(error)) from error
        click.echo(said)
        claimed += own
    return claimed


if __name__ == "__main__":
    main()
