"""The peers: how cellxgene 1.3.0 is installed, started and asked.

It lives in a virtual environment of its own, made once in the user's cache. It asks for Flask 3, with which its
binary routes answer nothing; Flask and Werkzeug 2.0.3, installed over it in a second step, make it work.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from benchmarks.browser import CELLXGENE
from benchmarks.environment import python_with
from benchmarks.measure import Program
from benchmarks.servers import BenchmarkError, Command, threads_env

REQUIREMENT = "cellxgene==1.3.0"
CONSTRAINTS = ("anndata<0.13", "h5py<4", "numba<0.69", "numpy==2.0.1", "pandas<3", "scipy<1.18", "zarr<4")
"""What cellxgene is installed with; numpy is its own pin, the others keep a later release from changing the figures."""

OVERRIDES = ("Flask==2.0.3", "Werkzeug==2.0.3")
PYTHONS = ((3, 12), (3, 11), (3, 10))
"""Versions for which numpy 2.0.1 has wheels and cellxgene 1.3.0 is released."""


def cellxgene(study: Path, threads: int, *, backed: bool = False) -> Program:
    """Return cellxgene, installed when needed, to be started on a study.

    Its check for a newer release is off, since that is a call to the network.

    Parameters
    ----------
    study
        File to open.
    threads
        Threads of numeric libraries.
    backed
        Leave the matrix on disk. cellxgene asks to be told the kind of values then.
    """
    name = "cellxgene --backed" if backed else "cellxgene"
    program = str(cellxgene_python().with_name("cellxgene"))
    options = ["--disable-annotations", "--disable-gene-sets-save"]
    if backed:
        options += ["--backed", "--X-approximate-distribution", "normal"]

    def command(_: Path) -> Command:
        argv = [program, "--no-upgrade-check", "launch", str(study), "--port", "{port}", *options]
        return Command(name, argv, threads_env(threads))

    return Program(name, command, CELLXGENE, cellxgene_counts)


@cache
def cellxgene_python() -> Path:
    """Return the interpreter of cellxgene's environment, making the environment when it is not there.

    Raises
    ------
    BenchmarkError
        When no fitting Python is found or the packages cannot be installed.
    """
    python, version = _base_python()
    name = REQUIREMENT.replace("==", "-")
    return python_with(name, (REQUIREMENT, *CONSTRAINTS), ("--no-deps", *OVERRIDES), python=python, version=version)


def _base_python() -> tuple[str, str]:
    """Return a Python that cellxgene supports and its version, the running one first."""
    running = sys.version_info[:2]
    if running in PYTHONS:
        return sys.executable, f"{running[0]}.{running[1]}"
    for major, minor in PYTHONS:
        found = shutil.which(f"python{major}.{minor}")
        works = found and subprocess.run([found, "-c", "import venv"], capture_output=True, check=False)
        if found and works and works.returncode == 0:
            return found, f"{major}.{minor}"
    wanted = ", ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    raise BenchmarkError(
        f"{REQUIREMENT} needs Python {wanted} (its numpy 2.0.1 has no wheels for others) and the benchmarks run on"
        f" {running[0]}.{running[1]}. Put one of those on the PATH, or pass --no-peer."
    )


_DECODE = """
import json, sys, urllib.request
from server.common.fbs.matrix import decode_matrix_fbs
url, column = sys.argv[1:]
address = url + "api/v0.2/annotations/obs?annotation-name=" + column
request = urllib.request.Request(address, headers={"Accept": "application/octet-stream"})
frame = decode_matrix_fbs(urllib.request.urlopen(request).read())
print(json.dumps({str(k): int(n) for k, n in frame[column].value_counts().items()}))
"""


def cellxgene_counts(url: str, column: str) -> Mapping[str, int]:
    """Ask a running cellxgene how many cells every label of a column has.

    The answer is in its own binary form and is read with its own code.

    Parameters
    ----------
    url
        Address of the page.
    column
        A categorical obs column.
    """
    result = subprocess.run(
        [str(cellxgene_python()), "-c", _DECODE, url, column], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise BenchmarkError(f"cellxgene did not tell the labels of {column}:\n{result.stderr[-2000:]}")
    counts: dict[str, int] = json.loads(result.stdout)
    return counts
