"""How long an edit takes until it is on the disk, alone and among fifty users, and what a draft costs.

python -m benchmarks.bench_edits --cells 100k --cells 1m
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import click
import numpy as np

from benchmarks.claims import Claim, goal_text
from benchmarks.servers import BenchmarkError, Command, machine, serve
from benchmarks.studies import study
from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.study import open_study
from iscan_dash.services.csv_text import table_lines
from iscan_dash.services.export import export_header
from iscan_dash.services.journal import read_events
from iscan_dash.services.workspace import Source, Workspace
from tests.services.page_client import PageClient

EDITS = 40
"""Relabels that are timed."""

GOAL = 0.3
"""Most seconds that 95 of 100 edits may take among fifty users."""

PAUSE = 1.0
"""Seconds that a user looks at the answer before the next edit."""

READY = 120.0
"""Seconds until every user has an annotation to edit."""

USER_HEADER = "X-Bench-User"


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that a part of the values does not exceed."""
    return float(np.quantile(values, part, method="higher"))


def durable(path: Path) -> tuple[str, Claim]:
    """Relabel a tenth of the cells again and again; return a line of the table, and what it claims.

    The cells of an edit are neighbours on the plot, as those of a lasso are, and so are scattered over the file.
    """
    opened = open_study([path])
    xy = opened.embedding(opened.embeddings[0])
    with tempfile.TemporaryDirectory(prefix="iscan-bench-") as folder:
        workspace = Workspace(opened, user="bench", folder=Path(folder))
        made = workspace.create_from_existing("labels", [Source("cluster", "leiden")], CombineRecipe("Unassigned"))
        seconds = []
        for number in range(EDITS):
            middle = xy[:, number * (opened.n_cells // EDITS)]
            distance = ((xy - middle[:, None]) ** 2).sum(axis=0)
            rows = distance <= np.partition(distance, opened.n_cells // 10)[opened.n_cells // 10]
            begun = time.perf_counter()
            made = workspace.assign(made.id, rows, f"label {number}", made.version)
            seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        n_bytes = sum(len(piece.encode()) for piece in table_lines(opened, [made], export_header(opened, [made])))
        draft = time.perf_counter() - begun
        journal = workspace.place.journal.stat().st_size / len(seconds)
        workspace.close()
        again = Workspace(opened, user="bench", folder=Path(folder))
        if not np.array_equal(again.annotation(made.id).codes, made.codes):
            raise BenchmarkError("What was read back is not what was acknowledged.")
        again.close()
    opened.close()
    line = (
        f"| {opened.n_cells:,} | {1e3 * median(seconds):.1f} | {1e3 * percentile(seconds, 0.95):.1f} | "
        f"{journal / 1e3:,.0f} | {draft:.2f} | {n_bytes / 1e6:.1f} |"
    )
    ours = f"{1e3 * median(seconds):.1f}"
    return line, Claim("label of a tenth of the cells to its commit on disk, ms", f"{opened.n_cells:,} cells", ours)


def crowd(path: Path, users: int, seconds: float) -> tuple[str, Claim]:
    """Let users edit at once through the page's own address, a second after each answer; say how long it took."""
    with tempfile.TemporaryDirectory(prefix="iscan-bench-") as state:
        folder = Path(state)
        argv = [sys.executable, "-m", "iscan_dash", "serve", str(path), "--port", "{port}", "--annotations-dir", state]
        command = Command(
            "iscan-dash",
            argv,
            {"ISCAN_USER_HEADER": USER_HEADER, "ISCAN_DATA_DIR": f"{state}/server"},
            # The page itself is only for users.
            page="/assets/theme.js",
        )
        took: list[float] = []
        acknowledged: dict[str, int] = {}
        problems: list[Exception] = []
        with serve(command) as server:
            port = urlsplit(server.url).port or 80

            all_ready = threading.Barrier(users)

            def work(name: str) -> None:
                try:
                    client = PageClient(port, {USER_HEADER: name})
                    annotation = _make(client)
                    all_ready.wait(READY)
                    acknowledged[name] = _edit_for(client, annotation, seconds, took)
                except (BenchmarkError, AssertionError, OSError, threading.BrokenBarrierError) as error:
                    problems.append(error)

            threads = [threading.Thread(target=work, args=(f"user {number}",)) for number in range(users)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if problems:
            raise BenchmarkError(f"{len(problems)} users met an error, the first: {problems[0]!r}")
        kept = sorted(sum(1 for _ in read_events(journal)) for journal in folder.glob("*.journal.db"))
        if kept != sorted(acknowledged.values()):
            raise BenchmarkError(
                f"The journals hold {sum(kept):,} edits, {sum(acknowledged.values()):,} were acknowledged."
            )
    p95 = percentile(took, 0.95)
    goal = goal_text(1e3 * p95, 1e3 * GOAL, 0)
    said = (
        f"{users} users at once, {sum(kept):,} edits in {seconds:.0f} s, none lost: "
        f"median {1e3 * median(took):.0f} ms, "
        f"p95 {1e3 * p95:.0f} ms (goal {goal}), longest {1e3 * max(took):.0f} ms."
    )
    return said, Claim("edit acknowledged, p95, ms", f"{users} users at once", f"{1e3 * p95:.0f}", goal=goal)


def _make(client: PageClient) -> str:
    """Make an annotation of the clusters and return its id."""
    form = {"seq": 1, "name": "mine", "default": "Unassigned", "copy_on": True, "cluster": ["leiden"]}
    revision, said = client.edit("new-create.n_clicks", 1, {"new-form": form})
    if revision is None:
        raise BenchmarkError(f"Nothing was made: {said}")
    by: str = said["actions"][0]["action"]["by"]
    return by.removeprefix("annotation:")


def _edit_for(client: PageClient, annotation: str, seconds: float, took: list[float]) -> int:
    """Describe an annotation again and again; return how many edits were acknowledged, its making included."""
    done = 1
    # Not all in the same moment of each second.
    time.sleep(random.random() * PAUSE)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        states = {"existing-versions": {annotation: done}}
        revision, said = client.edit("existing-description.value", f"text {done}", states, annotation=annotation)
        took.append(time.perf_counter() - begun)
        if revision is None:
            raise BenchmarkError(f"An edit was refused: {said}")
        done += 1
        time.sleep(PAUSE)
    client.close()
    return done


@click.command()
@click.option(
    "--cells", multiple=True, default=("100k", "1m"), show_default=True, help="A generated study; repeatable."
)
@click.option("--users", default=50, show_default=True, help="Users who edit the first study at once.")
@click.option("--seconds", default=20.0, show_default=True, help="How long they edit.")
def main(cells: tuple[str, ...], users: int, seconds: float) -> list[Claim]:
    """Time edits until they are on the disk, and users who edit at once."""
    claimed = []
    try:
        click.echo(f"\n## Edits\n\n{machine()}; {EDITS} relabels of a tenth of the cells.\n")
        click.echo("| cells | edit on disk, median ms | p95 ms | journal, kB an edit | draft, s | draft, MB |")
        click.echo("| ---: | ---: | ---: | ---: | ---: | ---: |")
        for name in cells:
            line, own = durable(study(name))
            click.echo(line)
            claimed.append(own)
        said, own = crowd(study(cells[0]), users, seconds)
        click.echo(f"\n{said}")
        claimed.append(own)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    return claimed


if __name__ == "__main__":
    main()
