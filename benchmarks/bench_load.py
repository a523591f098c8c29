"""Fifty users at once against one process, as the Procfile starts it, which is restarted and killed in the middle.

python -m benchmarks.bench_load --minutes 10 --users 50

Each user is one of a proxy's (a header says who) and does in turns what people do: draws a lasso and looks at the mask,
filters by a cluster, gives the selected cells a new label, looks at a page of the grid, and looks at the plot again;
with a pause after each. In the end every edit that was acknowledged has to be in the journals, once.
"""

from __future__ import annotations

import http.client
import json
import math
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import psutil

from benchmarks.bench_edits import percentile
from benchmarks.claims import Claim, goal_text
from benchmarks.servers import MB, BenchmarkError, machine
from benchmarks.studies import study
from iscan_dash.core.study import open_study
from iscan_dash.services.collection import journals_in
from iscan_dash.services.journal import read_events
from tests.services.page_client import PageClient
from tests.web.host import Host

HEADER = "X-Bench-User"

P95_GOAL_MS = {"edit": 300.0}
"""Most that 95 of 100 may take."""

GONE = (OSError, http.client.HTTPException)
"""What a user meets whose server is away."""

BACK = 60.0
"""Seconds within which a server that was restarted has to answer again."""

SETTLED = 3.0
"""Seconds after that in which requests are not taken for usual: all users ask at once, and everything is read anew."""

WARM = 0.4
"""The part of a server's life that is not looked at for growth: caches fill."""

T = TypeVar("T")


@dataclass
class Tally:
    """What all users together met.

    Parameters
    ----------
    seconds, waited
        How long each request of a kind of action took; apart those that met a server that was away or just back.
    away
        How often the server did not answer at all.
    problems
        What ended a user's work.
    acknowledged, unanswered
        Edits that users were told of, and those whose answer never came.
    ends
        When the server was ended and when it could be used again, a pair each time.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    waited: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    away: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)
    ends: list[list[float]] = field(default_factory=list)

    def add(self, name: str, begun: float) -> None:
        """Write down an action that was just done."""
        now = time.perf_counter()
        # Whoever waited comes at once when the server is back.
        is_late = any(end <= now and begun <= (back[0] + SETTLED if back else now) for end, *back in self.ends)
        (self.waited if is_late else self.seconds)[name].append(now - begun)


@dataclass(frozen=True)
class Plan:
    """What is done.

    Parameters
    ----------
    users, seconds
        How many, and how long.
    pause
        Seconds between two requests of a user, on average.
    column
        The obs column that is filtered by.
    """

    users: int
    seconds: float
    pause: float = 2.0
    column: str = "leiden"


@dataclass(frozen=True)
class Cells:
    """What a user sees of a study."""

    axes: str
    xy: np.ndarray = field(repr=False)
    labels: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, column: str) -> Cells:
        """Read them from the file."""
        opened = open_study([path])
        axes = opened.embeddings[0]
        xy, labels = opened.embedding(axes), opened.category(column).labels
        opened.close()
        return cls(axes, xy, labels)


class User:
    """One user at a page.

    Parameters
    ----------
    name
        Who.
    port
        Where the server listens.
    plan, cells
        What is done, and to what.
    tally
        Where it is written down.
    """

    def __init__(self, name: str, port: int, plan: Plan, cells: Cells, tally: Tally) -> None:
        self.name = name
        self._port = port
        self._plan = plan
        self._cells = cells
        self._tally = tally
        self._chance = random.Random(name)
        self._client: PageClient | None = None
        self._annotation = ""
        self._version = 0
        self._n_edits = 0
        self._state: dict[str, Any] = {}

    def run(self, ends: float) -> None:
        """Work until then."""
        try:
            self._do("open", self._open)
            turns = (self._lasso, self._edit, self._page, self._filter, self._edit, self._page, self._plot)
            while True:
                for turn in turns:
                    self._rest()
                    if time.perf_counter() > ends:
                        return
                    self._do(turn.__name__.strip("_"), turn)
                    self._do("status", lambda: self._page_client().get("/api/v1/status"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has failed
            self._tally.problems.append(f"{self.name}: {error!r}")

    def _do(self, name: str, act: Callable[[], object]) -> None:
        """Do something; while the server is away, try again as the page does. What says False was not done."""
        ends = time.perf_counter() + BACK
        while True:
            begun = time.perf_counter()
            try:
                is_done = act() is not False
            except GONE as error:
                self._tally.away[name] += 1
                self._client = None
                if time.perf_counter() > ends:
                    raise BenchmarkError(f"The server did not come back within {BACK:.0f} s: {error!r}") from error
                time.sleep(0.3)
                continue
            if is_done:
                self._tally.add(name, begun)
            return

    def _rest(self) -> None:
        time.sleep(self._plan.pause * (0.5 + self._chance.random()))

    def _page_client(self) -> PageClient:
        if self._client is None:
            self._client = PageClient(self._port, {HEADER: self.name})
        # Gunicorn hangs up after two seconds, and a request into such a connection would be lost.
        self._client.close()
        return self._client

    # -- what users do -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        client = self._page_client()
        client.read("/")
        client.read(f"/api/v1/positions?embedding={self._cells.axes}")
        if self._annotation:
            return
        form = {"seq": 1, "name": "mine", "default": "Unassigned", "copy_on": True, "cluster": [self._plan.column]}
        revision, said = client.edit("new-create.n_clicks", 1, {"new-form": form})
        if revision is None:
            raise BenchmarkError(f"nothing was made: {said}")
        by: str = said["actions"][0]["action"]["by"]
        self._annotation, self._version = by.removeprefix("annotation:"), 1
        self._tally.acknowledged.add(f"{self.name}: mine")

    def _lasso(self) -> None:
        """Draw around some cells of the plot, in place of what was selected before."""
        xy = self._cells.xy
        x, y = xy[:, self._chance.randrange(xy.shape[1])].tolist()
        size = 0.08 * float(np.ptp(xy[0]))
        turns = [2 * math.pi * step / 40 for step in range(40)]
        points = [
            [x + size * math.cos(turn) * (1 + 0.2 * math.sin(5 * turn)), y + size * math.sin(turn)] for turn in turns
        ]
        self._page_client().post("/api/v1/selection", {"do": "clear"})
        self._select({"do": "draw", "plot": 1, "axes": self._cells.axes, "points": points})

    def _filter(self) -> None:
        """Choose some clusters, in place of those before."""
        values = self._chance.sample(self._cells.labels, 3)
        condition = {"is": "labels", "kind": "cluster", "key": self._plan.column, "values": values}
        self._page_client().post("/api/v1/selection", {"do": "clear"})
        self._select({"do": "filter", "condition": condition})

    def _select(self, action: dict[str, Any]) -> None:
        self._state = self._page_client().post("/api/v1/selection", action)
        packed = np.frombuffer(self._page_client().read("/api/v1/selection"), np.uint8)
        n_cells = int(np.unpackbits(packed).sum())
        if n_cells != self._state["count"]:
            raise BenchmarkError(f"the mask has {n_cells} cells, {self._state['count']} were told")

    def _edit(self) -> bool:
        """Give the selected cells a label of their own; tell whether there were any."""
        self._n_edits += 1
        state = self._page_client().get("/api/v1/selection/state")
        if not state["count"]:
            # The server was killed, and the selection with it.
            return False
        label = f"label {self._n_edits} of {self.name}"
        edit = {
            "serial": self._n_edits,
            "annotation": self._annotation,
            "do": "assign",
            "value": label,
            "target": "selection",
            "expected": state["count"],
            "seen": str(state["mask_version"]),
        }
        # An edit that was not answered may have been made, and the next one is made on that.
        for version in (self._version, self._version + 1):
            self._tally.unanswered.add(label)
            revision, said = self._page_client().edit("edit-action.data", edit | {"version": version}, {})
            self._tally.unanswered.discard(label)
            if revision is not None:
                self._tally.acknowledged.add(label)
                self._version = int(self._page_client_told()["version"])
                return True
        raise BenchmarkError(f"an edit was refused: {said}")

    def _page_client_told(self) -> dict[str, Any]:
        assert self._client is not None
        told: dict[str, Any] = self._client.told["edit-answer"]
        return told

    def _page(self) -> None:
        """Look at rows of the grid, at times of the selected cells alone, sorted by the label."""
        key = f"annotation:{self._annotation}"
        view = {
            "only_selected": self._chance.random() < 0.5,
            "sort": [[key, False]] if self._chance.random() < 0.3 else [],
        }
        start = self._chance.randrange(0, self._cells.xy.shape[1], 100)
        self._page_client().post(
            "/api/v1/edit/rows", {"view": view, "columns": [key], "start": start, "end": start + 100}
        )

    def _plot(self) -> None:
        """Colour the cells by the annotation."""
        self._page_client().read(f"/api/v1/codes?by=annotation%3A{self._annotation}")


@dataclass(frozen=True)
class Sample:
    """Resident memory of the server at a time."""

    life: int
    seconds: float
    rss: int


class Watcher:
    """Takes samples of a server's memory while it lives.

    Parameters
    ----------
    host
        The server.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.life = 0
        self.samples: list[Sample] = []

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        begun = time.perf_counter()
        while not self._stop.wait(1.0):
            process = self._host.process
            try:
                if process is not None:
                    family = psutil.Process(process.pid)
                    rss = sum(own.memory_info().rss for own in (family, *family.children(recursive=True)))
                    self.samples.append(Sample(self.life, time.perf_counter() - begun, rss))
            except psutil.Error:
                continue


def growth(samples: list[Sample]) -> float:
    """Return how many bytes a minute a server grew by once it was warm: the slope of a line through the samples.

    Examples
    --------
    >>> round(growth([Sample(0, float(second), 1000 * second) for second in range(100)]))
    60000
    """
    late = [
        own for own in samples if own.seconds >= samples[0].seconds + WARM * (samples[-1].seconds - samples[0].seconds)
    ]
    slope = np.polyfit([own.seconds for own in late], [own.rss for own in late], 1)[0]
    return float(60 * slope)


def run(path: Path, folder: Path, plan: Plan) -> tuple[Tally, list[Sample]]:
    """Let users work, with the server stopped after a quarter of the time and killed after half of it.

    Parameters
    ----------
    path
        The study.
    folder
        Where drafts and the server's own files go.
    plan
        What is done.

    Raises
    ------
    BenchmarkError
        Somebody met a problem, or an edit was lost or made twice.
    """
    tally, cells = Tally(), Cells.of(path, plan.column)
    host = Host(path, folder, {"ISCAN_USER_HEADER": HEADER})
    host.start()
    try:
        ends = time.perf_counter() + plan.seconds
        users = [User(f"user {number}", host.port, plan, cells, tally) for number in range(plan.users)]
        threads = [threading.Thread(target=user.run, args=(ends,)) for user in users]
        with Watcher(host) as watcher:
            for thread in threads:
                thread.start()
            for part, end in ((0.25, host.stop), (0.5, host.kill)):
                time.sleep(max(0.0, ends - (1 - part) * plan.seconds - time.perf_counter()))
                tally.ends.append([time.perf_counter()])
                end()
                watcher.life += 1
                host.start()
                tally.ends[-1].append(time.perf_counter())
            for thread in threads:
                thread.join()
        if host.stop() != 0:
            raise BenchmarkError("The server did not end well.")
    finally:
        host.close()
    if tally.problems:
        raise BenchmarkError(f"{len(tally.problems)} users met a problem, the first: {tally.problems[0]}")
    check_journals(folder, tally)
    said = [line for line in host.log_lines() if " gunicorn." not in line]
    if said:
        raise BenchmarkError(f"The server complained: {said[0]}")
    return tally, watcher.samples


def check_journals(folder: Path, tally: Tally) -> None:
    """Hold the journals against what users were told.

    Raises
    ------
    BenchmarkError
        An edit that was acknowledged is not there, or is there twice, or one that nobody made is there.
    """
    made: Counter[str] = Counter()
    for journal in journals_in(folder / "drafts"):
        for event, change in read_events(journal):
            if event.verb == "create":
                made[f"{event.author}: mine"] += 1
                continue
            before = {label.text for label in change.before.labels} if change.before else set()
            made.update(
                label.text for label in (change.after.labels if change.after else ()) if label.text not in before
            )
    lost, twice = tally.acknowledged - made.keys(), [name for name, times in made.items() if times > 1]
    strange = made.keys() - tally.acknowledged - tally.unanswered
    if lost or twice or strange:
        raise BenchmarkError(
            f"{len(lost)} edits were lost, {len(twice)} made twice, {len(strange)} made by nobody: "
            f"{json.dumps([sorted(lost)[:3], twice[:3], sorted(strange)[:3]])}"
        )


def report(tally: Tally, samples: list[Sample], plan: Plan) -> list[str]:
    """Return the lines of the report."""
    lines = [
        "| action | times | p50, ms | p95, ms | longest, ms | with a restart | longest, s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, usual in tally.seconds.items():
        p50, p95 = (1e3 * percentile(usual, part) for part in (0.5, 0.95))
        longest = 1e3 * max(usual)
        late = tally.waited[name]
        most = max(late, default=0.0)
        lines.append(f"| {name} | {len(usual):,} | {p50:.0f} | {p95:.0f} | {longest:.0f} | {len(late)} | {most:.1f} |")
    lines += [
        "",
        "| server | s | MB, first | MB, last | MB, most | growth, MB a minute |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for life, name in enumerate(("started", "after SIGTERM", "after kill -9")):
        own = [sample for sample in samples if sample.life == life]
        if len(own) < 3:
            continue
        first, last, most = own[0].rss / MB, own[-1].rss / MB, max(sample.rss for sample in own) / MB
        spent = own[-1].seconds - own[0].seconds
        lines.append(f"| {name} | {spent:.0f} | {first:.0f} | {last:.0f} | {most:.0f} | {growth(own) / MB:+.1f} |")
    unanswered = f"; {len(tally.unanswered)} were not answered" if tally.unanswered else ""
    lines += [
        "",
        f"{plan.users} users for {plan.seconds:.0f} s, the server stopped once and killed once: all of "
        f"{len(tally.acknowledged):,} acknowledged edits are in the journals, each once{unanswered}.",
    ]
    return lines


def claims(tally: Tally, samples: list[Sample], data: str) -> list[Claim]:
    """Return what is claimed: how long actions take, and that memory stays flat."""
    made = []
    for name, usual in tally.seconds.items():
        p95 = 1e3 * percentile(usual, 0.95)
        made.append(Claim(f"{name}, p95, ms", data, f"{p95:.0f}", goal=goal_text(p95, P95_GOAL_MS.get(name), 0)))
    last = [sample for sample in samples if sample.life == samples[-1].life]
    made.append(Claim("server, most memory, MB", data, f"{max(sample.rss for sample in samples) / MB:,.0f}"))
    if len(last) >= 3:
        made.append(Claim("server, growth after warming up, MB a minute", data, f"{growth(last) / MB:+.1f}"))
    return made


@click.command()
@click.option("--cells", default="100k", show_default=True, help="A generated study.")
@click.option("--users", default=50, show_default=True, help="Users at once.")
@click.option("--minutes", default=10.0, show_default=True, help="How long they work.")
@click.option("--pause", default=2.0, show_default=True, help="Seconds between two requests of a user.")
def main(cells: str, users: int, minutes: float, pause: float) -> list[Claim]:
    """Let many users work at once while the server is stopped and killed."""
    plan = Plan(users, 60 * minutes, pause)
    with tempfile.TemporaryDirectory(prefix="iscan-bench-") as folder:
        try:
            tally, samples = run(study(cells), Path(folder), plan)
        except BenchmarkError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"\n## Load\n\n{machine()}; {cells} cells, users and server on one machine.\n")
    click.echo("\n".join(report(tally, samples, plan)))
    return claims(tally, samples, f"{users} users, {cells} cells")


if __name__ == "__main__":
    main()
