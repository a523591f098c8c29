"""How memory and waiting grow with the cells, and what the index of genes is worth for a large row-major matrix.

python -m benchmarks.bench_scale --cells 100k --cells 1m --cells 5m
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote, urlsplit

import click
import h5py
import numpy as np

from benchmarks.claims import Claim, goal_text, markdown
from benchmarks.servers import BenchmarkError, Command, Running, machine, serve, threads_env, wait_for_quiet
from benchmarks.studies import RECIPES, gene_names, study
from tests.services.page_client import PageClient

LIMIT = 8 << 30
"""Bytes of address space that the server may have: more than resident memory can ever be."""

CORNERS = 41
"""Of the lasso."""

GENES = 5
"""Genes that nobody asked for before."""

BACKED = "1m-30k"
GENE_GOAL = 0.1
"""Most seconds that a gene of the large matrix may take, once there is an index."""

INDEX_PATIENCE = 1800.0
QUIET = 1.0
"""Seconds that pass before the memory of an idle server is read."""

GB = 1e9
MB = 1e6


@dataclass
class Tour:
    """What a server cost that was opened and used.

    Parameters
    ----------
    cells
        Of the study.
    ready_s
        From the start of the process to the first answer.
    opened, peak
        Resident memory once the page and its plot were fetched, and the most there ever was; bytes.
    seconds
        What each step of the tour took.
    """

    cells: int
    ready_s: float
    opened: int = 0
    peak: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


class Client:
    """A page that asks one server, without a browser."""

    def __init__(self, url: str) -> None:
        self.port = urlsplit(url).port or 80
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)

    def get(self, path: str) -> bytes:
        """Fetch an address."""
        return self._ask("GET", path)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Send JSON and read the answer."""
        answer: dict[str, Any] = json.loads(self._ask("POST", path, json.dumps(body)))
        return answer

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        headers = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise BenchmarkError(f"{method} {path} answered {answer.status}: {content[:300]!r}")
        return content

    def gene(self, name: str) -> np.ndarray:
        """Colour by a gene; return the code of each cell."""
        return np.frombuffer(self.get(f"/api/v1/codes?by=gene:{quote(name)}"), np.uint8)


@contextmanager
def started(path: Path, state: Path, threads: int, index_gb: float = 0.0) -> Iterator[Running]:
    """Serve a study within the limit of memory; what the server keeps goes to a folder."""
    serve_it = [sys.executable, "-m", "iscan_dash", "serve", str(path), "--single-user", "--port", "{port}"]
    limited = ["sh", "-c", f'ulimit -v {LIMIT >> 10}; exec "$0" "$@"', *serve_it, "--annotations-dir", str(state)]
    env = {"ISCAN_DATA_DIR": str(state / "server"), "ISCAN_GENE_INDEX_GB": str(index_gb)}
    with serve(Command("iscan-dash", limited, threads_env(threads) | env)) as server:
        yield server


# -- cells -------------------------------------------------------------------------------------------------------------


def tour(name: str, threads: int) -> Tour:
    """Open a study and do what a user does, each step checked against the file."""
    path, quiet = study(name), wait_for_quiet()
    if not quiet:
        click.echo("  (the machine is busy)", err=True)
    with tempfile.TemporaryDirectory(prefix="iscan-bench-") as folder, started(path, Path(folder), threads) as server:
        found = Tour(RECIPES[name].cells, server.ready_s)
        client = Client(server.url)

        def step(title: str, act: Callable[[], Any]) -> Any:
            begun = time.perf_counter()
            result = act()
            found.seconds[title] = time.perf_counter() - begun
            return result

        xy = step("plot", lambda: _open(client))
        with h5py.File(path) as file:
            if not np.array_equal(xy, file["obsm/X_umap"][:].T):
                raise BenchmarkError("The plot has other positions than the file.")
        time.sleep(QUIET)
        found.opened = server.memory().now
        step("by a category", lambda: client.get("/api/v1/codes?by=metadata:cell_type"))
        genes = _unseen(name, GENES)
        found.seconds["by a gene"] = median(_check_gene(client, path, own) for own in genes)
        corners = _lasso(xy)
        drawn = {"do": "draw", "plot": 1, "axes": "X_umap", "points": corners}
        state = step("lasso", lambda: client.post("/api/v1/selection", **drawn))
        _agree("the lasso", state["count"], int(even_odd(xy, corners).sum()))
        condition = {"is": "range", "kind": "metadata", "key": "n_counts", "low": 50}
        state = step("filter", lambda: client.post("/api/v1/selection", do="filter", condition=condition))
        with h5py.File(path) as file:
            passing = file["obs/n_counts"][:] >= 50
        _agree("lasso and filter", state["count"], int((even_odd(xy, corners) & passing).sum()))
        form = {"default": "none", "copy_on": True, "metadata": ["cell_type", "donor"], "cluster": ["leiden"]}
        step("preview", lambda: client.post("/api/v1/preview/rows", form=form, start=0, end=100))
        annotation, page = _annotate(client)
        step("label", lambda: _label(page, annotation, state))
        codes = np.frombuffer(client.get(f"/api/v1/codes?by=annotation:{annotation}"), np.uint8)
        labelled = even_odd(xy, corners) & passing
        if not np.array_equal(codes == codes[labelled][0], labelled):
            raise BenchmarkError("Other cells than the selected ones have the label.")
        page.close()
        memory = server.memory()
        if memory.peak is None:
            raise BenchmarkError("This system does not tell the most memory that a process ever had.")
        found.peak = memory.peak
    return found


def _open(client: Client) -> np.ndarray:
    """Fetch the page and what its first plot is painted of; return the positions."""
    client.get("/")
    client.get("/_dash-layout")
    client.get("/_dash-dependencies")
    positions = client.get("/api/v1/positions?embedding=X_umap")
    client.get("/api/v1/codes?by=cluster:leiden")
    return np.frombuffer(positions, "<f4").reshape(2, -1)


def _lasso(xy: np.ndarray) -> list[tuple[float, float]]:
    """Return corners of a star around the middle half of the cells."""
    (left, bottom), (right, top) = np.quantile(xy, 0.2, axis=1), np.quantile(xy, 0.8, axis=1)
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    reach = np.where(np.arange(CORNERS) % 2, 0.8, 1.1)
    x = (left + right) / 2 + (right - left) / 2 * reach * np.cos(angle)
    y = (bottom + top) / 2 + (top - bottom) / 2 * reach * np.sin(angle)
    return [(float(a), float(b)) for a, b in zip(x.astype(np.float32), y.astype(np.float32), strict=True)]


def even_odd(xy: np.ndarray, corners: Sequence[tuple[float, float]]) -> np.ndarray:
    """Tell which cells are in an outline, edge by edge: nothing that the program does.

    Examples
    --------
    >>> square = [(0, 0), (0, 2), (2, 2), (2, 0)]
    >>> even_odd(np.array([[1.0, 3.0], [1.0, 1.0]]), square).tolist()
    [True, False]
    """
    x, y = xy.astype(np.float64)
    inside = np.zeros(len(x), bool)
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return inside


def _annotate(client: Client) -> tuple[str, PageClient]:
    """Make an annotation in which no cell has a label."""
    page = PageClient(client.port)
    form = {"seq": 1, "name": "mine", "default": "none", "copy_on": False}
    revision, said = page.edit("new-create.n_clicks", 1, {"new-form": form})
    if revision is None:
        raise BenchmarkError(f"Nothing was made: {said}")
    return said["actions"][0]["action"]["by"].removeprefix("annotation:"), page


def _label(page: PageClient, annotation: str, selection: dict[str, Any]) -> None:
    """Give the selected cells a label."""
    edit = {"serial": 1, "annotation": annotation, "version": 1, "do": "assign", "value": "first"}
    edit |= {"target": "selection", "expected": selection["count"], "seen": str(selection["mask_version"])}
    revision, said = page.edit("edit-action.data", edit, {})
    if revision is None:
        raise BenchmarkError(f"The cells got no label: {said}")


def _agree(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise BenchmarkError(f"{what}: {found:,} cells, and {expected:,} by our own count.")


# -- genes -------------------------------------------------------------------------------------------------------------


def _unseen(name: str, n_genes: int, seed: int = 0) -> list[str]:
    names = gene_names(RECIPES[name].genes)
    return [str(own) for own in np.random.default_rng(seed).choice(names, n_genes, replace=False)]


def _check_gene(client: Client, path: Path, name: str) -> float:
    """Colour by a gene; return the seconds, after a look whether as many cells have it as in the file."""
    begun = time.perf_counter()
    codes = client.gene(name)
    seconds = time.perf_counter() - begun
    with h5py.File(path) as file:
        place = file["var/gene"].asstr()[:].tolist().index(name)
        indices, n_cells = file["X/indices"], 0
        for start in range(0, len(indices), 1 << 24):
            n_cells += int((indices[start : start + (1 << 24)] == place).sum())
    # Most cells lack it.
    _agree(f"cells that have {name}", len(codes) - int(np.bincount(codes).max()), n_cells)
    return seconds


def forget(*paths: Path) -> None:
    """Take files out of the system's disk cache, so that the disk itself is measured."""
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@dataclass
class Backed:
    """What genes of a large matrix cost without an index and with one.

    Parameters
    ----------
    file, index
        Sizes; bytes.
    made_s
        From the start of the server until the index was there.
    worker, server
        Most memory that the process that made it had, and the server; bytes.
    seconds
        Medians of genes that nobody asked for before, by what was so.
    """

    file: int
    index: int = 0
    made_s: float = 0.0
    worker: int = 0
    server: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


def backed(threads: int) -> Backed:
    """Fetch genes of a million cells and thirty thousand genes, before and after there is an index."""
    path = study(BACKED)
    found = Backed(path.stat().st_size)
    genes = iter(_unseen(BACKED, 5 * GENES, seed=1))

    def some(client: Client, what: str, *forgotten: Path) -> None:
        took = []
        for _ in range(GENES):
            own = next(genes)
            forget(*forgotten)
            begun = time.perf_counter()
            client.gene(own)
            took.append(time.perf_counter() - begun)
        found.seconds[what] = median(took)

    wait_for_quiet()
    with tempfile.TemporaryDirectory(prefix="iscan-bench-") as folder:
        with started(path, Path(folder), threads) as server:
            client = Client(server.url)
            _open(client)
            some(client, "searched, from the disk", path)
            client.gene(next(genes))
            some(client, "searched, in the disk cache")
        with started(path, Path(folder), threads, index_gb=20) as server:
            client = Client(server.url)
            _open(client)
            _until_indexed(client, server, found)
            (index,) = (Path(folder) / "server" / "gene-index").glob("*.genes")
            found.index = index.stat().st_size
            some(client, "by the index, from the disk", path, index)
            some(client, "by the index, in the disk cache")
            _check_gene(client, path, next(genes))
            found.server = server.memory().peak or 0
    return found


def _until_indexed(client: Client, server: Running, found: Backed) -> None:
    """Wait until the index is there, and note what the process that makes it needs."""
    begun = False
    while True:
        part = json.loads(client.get("/api/v1/genes/searches"))["index"]
        begun = begun or part is not None
        for child in server.process.children(recursive=True):
            found.worker = max(found.worker, _peak(child.pid))
        now = time.perf_counter() - server.started
        if begun and part is None:
            found.made_s = now
            return
        if now > INDEX_PATIENCE:
            raise BenchmarkError(f"There was no index after {INDEX_PATIENCE:.0f} s.")
        time.sleep(0.1)


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


# -- report ------------------------------------------------------------------------------------------------------------


def tours_table(tours: Sequence[Tour]) -> str:
    """Return what each size cost, and what another million cells costs beyond the smallest size."""
    steps = list(tours[0].seconds)
    head = ["cells", "first answer, s", "after opening, MB", "peak, MB", *(f"{title}, s" for title in steps)]
    rows = [
        [
            f"{own.cells:,}",
            f"{own.ready_s:.2f}",
            f"{own.opened / MB:,.0f}",
            f"{own.peak / MB:,.0f}",
            *(f"{own.seconds[title]:.2f}" for title in steps),
        ]
        for own in tours
    ]
    return markdown([head, *rows], n_left=0)


def growth(tours: Sequence[Tour], what: Callable[[Tour], int]) -> float:
    """Return how many bytes a million cells more cost, between the smallest and the largest study."""
    small, large = tours[0], tours[-1]
    return (what(large) - what(small)) / (large.cells - small.cells) * 1e6


def tour_claims(tours: Sequence[Tour]) -> list[Claim]:
    """Return what is claimed of starting and of memory."""
    claimed = [
        Claim("start to first answer, without an index of genes, s", f"{own.cells:,} cells", f"{own.ready_s:.2f}")
        for own in tours
    ]
    claimed += [Claim("peak of a tour, MB", f"{own.cells:,} cells", f"{own.peak / MB:,.0f}") for own in tours]
    if len(tours) > 1:
        data = f"{tours[0].cells:,} to {tours[-1].cells:,} cells"
        grown = growth(tours, lambda own: own.peak)
        claimed.append(Claim("growth of the peak per million cells, MB", data, f"{grown / MB:,.0f}"))
    return claimed


def backed_table(found: Backed) -> str:
    """Return what genes cost."""
    rows = [["a gene that nobody asked for before", "median, ms"]]
    rows += [[what, f"{1e3 * seconds:,.1f}"] for what, seconds in found.seconds.items()]
    return markdown(rows)


@click.command()
@click.option(
    "--cells", multiple=True, default=("100k", "1m", "5m"), show_default=True, help="A generated study; repeatable."
)
@click.option("--rounds", default=3, show_default=True, help="Tours of each study; the median one counts.")
@click.option("--genes/--no-genes", default=True, help="Measure the index of genes, too.")
@click.option("--threads", default=os.cpu_count() or 1, show_default=True, help="Threads of the server.")
def main(cells: tuple[str, ...], rounds: int, genes: bool, threads: int) -> list[Claim]:
    """Measure memory and waiting as cells grow, and genes of a large row-major matrix."""
    claimed: list[Claim] = []
    try:
        tours = []
        for name in cells:
            own = sorted((tour(name, threads) for _ in range(rounds)), key=lambda one: one.peak)
            steps = {title: median(one.seconds[title] for one in own) for title in own[0].seconds}
            ready = median(one.ready_s for one in own)
            tours.append(replace(own[len(own) // 2], seconds=steps, ready_s=ready))
        click.echo(f"\n## Scale\n\n{machine()}; {rounds} tours of each; at most {LIMIT / 2**30:.0f} GB of addresses.\n")
        click.echo(tours_table(tours))
        if len(tours) > 1:
            grown = (growth(tours, lambda own: own.opened), growth(tours, lambda own: own.peak))
            opened, peak = (f"{one / MB:,.0f} MB" for one in grown)
            click.echo(f"\nA million cells more: {opened} after opening, {peak} at the peak.")
        claimed += tour_claims(tours)
        if genes:
            found, recipe = backed(threads), RECIPES[BACKED]
            click.echo(
                f"\n### Genes of {recipe.cells:,} cells x {recipe.genes:,} genes, row-major, left on disk\n\n"
                f"The file has {found.file / GB:.1f} GB, the index {found.index / GB:.2f} GB. It was there "
                f"{found.made_s:.0f} s after the start of the server, made in {found.worker / MB:,.0f} MB; the server "
                f"had {found.server / MB:,.0f} MB at most.\n\n{backed_table(found)}"
            )
            searched = found.seconds["searched, from the disk"]
            own_s = found.seconds["by the index, from the disk"]
            claimed.append(
                Claim(
                    "colour by a gene, from the disk, s",
                    f"{recipe.cells:,} cells x {recipe.genes:,} genes, backed",
                    f"{own_s:.3f}",
                    f"{searched:.2f} (without the index)",
                    f"{searched / own_s:.0f}x",
                    goal_text(own_s, GENE_GOAL, 1),
                )
            )
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from error
    return claimed


if __name__ == "__main__":
    main()
