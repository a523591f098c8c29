"""A study in which every name is a script: it is shown as it is written, on every page, and nothing of it runs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.references.verify import checksum_of
from tests.browser.chromium import Browser
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Server
from tests.predictions import CLUSTERS, N_CELLS, TRUTH
from tests.references import LABELS, gene_names, some_profiles, write_profiles
from tests.studies import write_study

pytestmark = pytest.mark.browser

BAD = "<img src=x onerror=window.hit=1>"
WORSE = f"'\"`{{{{7*7}}}}${{7*7}}{BAD}"
"""What ends attributes and templates of other kinds."""

SECONDS = 120.0

HARMED = """
    return [window.hit ?? null, document.querySelectorAll('img[src=x], svg image[href=x]').length,
            document.documentElement.outerHTML.includes('49$49')]"""


def hostile_study(path: Path) -> Path:
    """Write counts of cells, all of whose names are hostile."""
    values = some_profiles([*dict.fromkeys(LABELS), *TRUTH], seed=1)[4:]
    x = np.random.default_rng(1).poisson(values / 3).astype(np.float32)
    genes = [*gene_names(599), f"G{BAD}"]
    obs: dict[str, Any] = {
        f"leiden{WORSE}": pd.Categorical([f"{own}{WORSE}" for own in CLUSTERS]),
        f"C{BAD}": pd.Categorical([f"v{place % 3}{BAD}" for place in range(N_CELLS)]),
        f"N{BAD}": np.linspace(0, 1, N_CELLS),
        "sample": pd.Categorical([f"s{place % 2}{BAD}" for place in range(N_CELLS)]),
    }
    umap = np.random.default_rng(2).normal(0, 0.5, (N_CELLS, 2)) + np.array([[int(own) * 4, 0] for own in CLUSTERS])
    return write_study(
        path,
        obs,
        cells=[f"c{place}{BAD}" for place in range(N_CELLS)],
        genes=genes,
        x=x,
        layers={f"L{BAD}": x},
        obsm={f"X_umap{BAD}": umap.astype(np.float32)},
        uns={f"C{BAD}_colors": np.array([BAD, "url(x)", "red;}"], dtype=object)},
        var={f"names{BAD}": [f"{gene}{BAD}" for gene in genes]},
    )


def hostile_references(folder: Path) -> Path:
    """Write a reference and gene sets with hostile names."""
    own = folder / "bad"
    own.mkdir(parents=True)
    matrix = write_profiles(own / "reference.h5ad", [f"{label}{BAD}" for label in LABELS], some_profiles(LABELS))
    texts = ("name", "version", "description", "source", "licence", "citation", "values")
    manifest: dict[str, Any] = {key: f"{key}{BAD}" for key in texts} | {
        "id": "bad",
        "organism": "human",
        "matrix": matrix.name,
        "checksum": checksum_of(matrix),
        "labels": {"main": "label_main"},
    }
    (own / "reference.json").write_text(json.dumps(manifest))
    (folder / "gene_sets").mkdir()
    (folder / "gene_sets" / f"F{BAD}.gmt").write_text(f"S{BAD}\tabout{BAD}\tGENE0\tGENE1\tX{BAD}\n")
    (folder / "gene_sets" / f"broken{BAD}.json").write_text(BAD)
    return folder


def ask(server: Server, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{server.url}/api/v1/{path}", data, {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)


def wait_for(server: Server, job: Any) -> str:
    """Return the result of a job."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        (found,) = [own for own in ask(server, "jobs")["jobs"] if own["id"] == job["job"]["id"]]
        if not found["active"]:
            assert found["state"] == "Finished", found["message"]
            return str(found["result"])
        time.sleep(0.2)
    raise AssertionError("the job takes too long")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("hostile")
    path = hostile_study(folder / f"{BAD}.h5ad")
    references = hostile_references(folder / "references")
    options = ("--references", references, "--title", f"T{BAD}", "--user", f"U{BAD}")
    running = Server("serve", path, *options, folder=folder / "drafts").start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def made(server: Server) -> dict[str, str]:
    """Ids of a prediction, a collection and an analysis with hostile names."""
    prediction = wait_for(server, ask(server, "prediction", {"name": f"P{BAD}", "reference": "bad", "nmads": 2}))
    request = Request(
        f"{server.url}/api/v1/gene-sets/keep?{urlencode({'called': f'M{BAD}'})}",
        f"S{BAD}\tabout{BAD}\tGENE0\tGENE1\nother\t\tGENE70\tGENE71\n".encode(),
        {"Content-Type": "text/plain"},
    )
    with urlopen(request, timeout=60) as answer:
        collection = json.load(answer)["made"]["id"]
    analysis = wait_for(server, ask(server, "enrichment", {"name": f"E{BAD}", "collection": collection}))
    return {"prediction": prediction, "collection": collection, "analysis": analysis}


def texts(browser: Browser) -> str:
    """Return all text of the page, that of fields and of titles too."""
    found: str = browser.js(
        """
        const shown = [document.body.textContent];
        for (const own of document.querySelectorAll('input, textarea')) shown.push(own.value);
        for (const own of document.querySelectorAll('[title]')) shown.push(own.title);
        return shown.join('\\n')"""
    )
    return found


PAGES = {
    "/": (f"C{BAD}", f"leiden{WORSE}", f"L{BAD}", f"X_umap{BAD}".removeprefix("X_")),
    "/annotate": (f"T{BAD}", f"U{BAD}"),
    "/annotate/existing": (f"P{BAD}",),
    "/annotate/edit": (f"c0{BAD}", f"s0{BAD}", f"P{BAD}"),
    "/annotate/result": (f"P{BAD}", f"B cell{BAD}", f"name{BAD}"),
    "/annotate/review": (f"P{BAD}", f"0{WORSE}"),
    "/annotate/enrichment": (f"E{BAD}", f"S{BAD}", f"0{WORSE}"),
    "/enrichment": (f"M{BAD}",),
    "/enrichment/results": (f"E{BAD}",),
    "/enrichment/sets": (f"M{BAD}", f"F{BAD}"),
    "/references": (f"name{BAD}",),
    "/logs": (f"P{BAD}", f"E{BAD}", f"U{BAD}"),
    "/export": (f"P{BAD}",),
}


@pytest.mark.parametrize("path", PAGES)
def test_every_page_shows_it_and_runs_none_of_it(
    browser: Browser, server: Server, made: dict[str, str], path: str
) -> None:
    Shell(browser).open(server, path)
    for wanted in PAGES[path]:
        browser.wait(lambda wanted=wanted: wanted in texts(browser), f"{wanted} on {path}", 30)  # type: ignore[misc]
    assert browser.js(HARMED) == [None, 0, False]


def test_plots_show_it_and_run_none_of_it(browser: Browser, server: Server, made: dict[str, str]) -> None:
    Shell(browser).open(server, "/")
    plot = PlotPanel(browser)
    for name, label in ((f"C{BAD}", f"v0{BAD}"), (f"leiden{WORSE}", f"0{WORSE}"), (f"P{BAD}", f"B cell{BAD}")):
        plot.colour_by(name)
        browser.wait(lambda label=label: label in plot.legend(), "the legend")  # type: ignore[misc]
        assert name in plot.table()
        assert browser.js(HARMED) == [None, 0, False]
    plot.search_gene(f"G{BAD}")
    browser.wait(lambda: f"G{BAD}" in texts(browser), "the gene")
    x, y = plot.middle()
    browser.mouse("mouseMoved", x, y)
    time.sleep(0.5)
    assert browser.js(HARMED) == [None, 0, False]
