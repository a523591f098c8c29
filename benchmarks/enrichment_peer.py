"""The peers of the enrichment engine: pyucell, decoupler and Scanpy, in an environment of their own."""

from __future__ import annotations

from pathlib import Path

from benchmarks.environment import python_with

REQUIREMENTS = ("pyucell==0.8.0", "decoupler==2.2.0", "scanpy==1.11.5", "psutil")


def peer_python() -> Path:
    """Return the interpreter of the peers' environment, making the environment when it is not there.

    Raises
    ------
    BenchmarkError
        When the packages cannot be installed.
    """
    return python_with("enrichment-peers", REQUIREMENTS)
