"""iscan-dash itself, as the benchmarks start it and ask it.

Everything here that depends on its command line, its settings or its routes is in one function each.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.browser import ISCAN_DASH, NOT_LOOKED, Browser, Page
from benchmarks.measure import Program
from benchmarks.servers import BenchmarkError, Command, threads_env

METADATA_IN_TURN = (["donor"], ["cell_type"], ["cell_type", "donor"], ["sample"], ["sample", "cell_type"])
"""Each gives another number of labels beside the clusters, so that the summary is another one."""

REPEATS = 5


def iscan_dash(study: Path, threads: int) -> Program:
    """Return the iscan-dash of the running environment, to be started on a study.

    Every start gets an empty folder for journals and drafts: the user's own are not touched, and nothing is warm.

    Parameters
    ----------
    study
        File to open.
    threads
        Threads of numeric libraries.
    """

    def command(state: Path) -> Command:
        argv = [sys.executable, "-m", "iscan_dash", "serve", str(study), "--single-user"]
        # No index of genes is made in the background: bench_scale measures that.
        env = threads_env(threads) | {"ISCAN_DATA_DIR": str(state / "server"), "ISCAN_GENE_INDEX_GB": "0"}
        return Command("iscan-dash", [*argv, "--port", "{port}", "--annotations-dir", str(state)], env)

    return Program("iscan-dash", command, ISCAN_DASH, interactions=iscan_dash_interactions)


def iscan_dash_interactions(url: str, browser: Browser) -> Mapping[str, float]:
    """Time what a user does next: change the sources of a label and see the preview, and turn pages of the grid.

    Each is done `REPEATS` times, every time with something new, so that no answer comes from a cache; the median is
    returned. The refresh is timed in the page, from the change of the form to the drawn summary, and again at the
    server alone, for whom it is joining the columns and sending the first rows.

    Parameters
    ----------
    url
        Address of the page.
    browser
        Browser to do it in.
    """
    return {
        "preview": _preview_in_page(url, browser),
        "preview at the server": _median_s(lambda k: _preview_rows(url, 0, "-" * (k + 1))),
        "grid": _median_s(lambda k: _preview_rows(url, 1000 + 7000 * k, "-" * REPEATS)),
    }


def _preview_in_page(url: str, browser: Browser) -> float:
    """Return the median seconds of a refresh of the preview in the page of New Annotation."""
    browser.visit(f"{url}annotate", Page("document.querySelector('#new-summary')", NOT_LOOKED))
    values = {"new-copy": True, "new-cluster": ["leiden"], "new-default": "Unassigned"}
    first = ";".join(f"dash_clientside.set_props('{k}', {{value: {json.dumps(v)}}})" for k, v in values.items())
    browser.reaction(first, "#new-summary")
    return median(
        browser.reaction(f"dash_clientside.set_props('new-metadata', {{value: {json.dumps(sources)}}})", "#new-summary")
        for sources in METADATA_IN_TURN
    )


def _median_s(call: Callable[[int], object]) -> float:
    seconds = []
    for k in range(REPEATS):
        begun = time.perf_counter()
        call(k)
        seconds.append(time.perf_counter() - begun)
    return median(seconds)


def _preview_rows(url: str, start: int, delimiter: str) -> dict[str, Any]:
    """Ask for 100 rows of the preview of a label joined from three columns.

    With a delimiter that was not used before, the server joins the columns anew.
    """
    form = {
        "default": "Unassigned",
        "copy_on": True,
        "metadata": ["cell_type", "donor"],
        "cluster": ["leiden"],
        "delimiter": delimiter,
    }
    return _post(url, "api/v1/preview/rows", {"form": form, "start": start, "end": start + 100})


def _post(url: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            result: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        raise BenchmarkError(f"POST {path} answered {error.code}: {error.read()[:500]!r}") from error
    return result
