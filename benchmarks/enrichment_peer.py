"""The peers of the enrichment engine: pyucell, decoupler and Scanpy, in an environment of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
from filelock import FileLock

from benchmarks.servers import BenchmarkError
from benchmarks.studies import cache_dir

REQUIREMENTS = ("pyucell==0.8.0", "decoupler==2.2.0", "scanpy==1.11.5", "psutil")


def peer_python() -> Path:
    """Return the interpreter of the peers' environment, making the environment when it is not there.

    Raises
    ------
    BenchmarkError
        When the packages cannot be installed.
    """
    home = cache_dir() / f"enrichment-peers-py{sys.version_info[0]}.{sys.version_info[1]}"
    inside = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    done, wanted = home / "installed.txt", "\n".join(REQUIREMENTS)
    with FileLock(f"{home}.lock"):
        if not done.exists() or done.read_text() != wanted:
            click.echo(f"Installing {', '.join(REQUIREMENTS[:3])} into {home.name} ...", err=True)
            for argv in (
                [sys.executable, "-m", "venv", "--clear", str(home)],
                [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS],
            ):
                result = subprocess.run(argv, capture_output=True, text=True, check=False)
                if result.returncode:
                    raise BenchmarkError(f"`{' '.join(argv)}` failed:\n{result.stderr[-2000:]}")
            done.write_text(wanted)
    return inside
