"""The peer of the SingleR engine: PyPI ``singler`` (the C++ library behind R's), in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
from filelock import FileLock

from benchmarks.servers import BenchmarkError
from benchmarks.studies import cache_dir

REQUIREMENTS = ("singler==0.5.0", "scipy")


def peer_python() -> Path:
    """Return the interpreter of the peer's environment, making the environment when it is not there.

    Raises
    ------
    BenchmarkError
        When the packages cannot be installed.
    """
    home = cache_dir() / f"singler-0.5.0-py{sys.version_info[0]}.{sys.version_info[1]}"
    inside = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    done, wanted = home / "installed.txt", "\n".join(REQUIREMENTS)
    with FileLock(f"{home}.lock"):
        if not done.exists() or done.read_text() != wanted:
            click.echo(f"Installing {REQUIREMENTS[0]} into {home.name} ...", err=True)
            for argv in (
                [sys.executable, "-m", "venv", "--clear", str(home)],
                [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS],
            ):
                result = subprocess.run(argv, capture_output=True, text=True, check=False)
                if result.returncode:
                    raise BenchmarkError(f"`{' '.join(argv)}` failed:\n{result.stderr[-2000:]}")
            done.write_text(wanted)
    return inside
