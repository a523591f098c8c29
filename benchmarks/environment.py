"""Virtual environments of the peers, made once in the user's cache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from filelock import FileLock

from benchmarks.servers import BenchmarkError
from benchmarks.studies import cache_dir

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def python_with(name: str, *steps: Sequence[str], python: str = sys.executable, version: str = PYTHON) -> Path:
    """Return the interpreter of an environment, making the environment when it is not there.

    Parameters
    ----------
    name
        What to call it.
    steps
        Requirements, and options of pip, installed one list after the other.
    python, version
        The interpreter it is made with, and its version.

    Raises
    ------
    BenchmarkError
        The packages cannot be installed.
    """
    home = cache_dir() / f"{name}-py{version}"
    inside = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    done, wanted = (
        home / "installed.txt",
        "\n".join(each for step in steps for each in step if not each.startswith("-")),
    )
    with FileLock(f"{home}.lock"):
        if not done.exists() or done.read_text() != wanted:
            click.echo(f"Installing {steps[0][0]} into {home.name} ...", err=True)
            _run([python, "-m", "venv", "--clear", str(home)])
            for step in steps:
                _run([str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *step])
            done.write_text(wanted)
    return inside


def _run(argv: Sequence[str]) -> None:
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchmarkError(f"`{' '.join(argv)}` failed:\n{result.stderr[-2000:]}")
