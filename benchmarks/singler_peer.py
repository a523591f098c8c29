"""The peer of the SingleR engine: PyPI ``singler`` (the C++ library behind R's), in an environment of its own."""

from __future__ import annotations

from pathlib import Path

from benchmarks.environment import python_with

REQUIREMENTS = ("singler==0.5.0", "scipy")


def peer_python() -> Path:
    """Return the interpreter of the peer's environment, making the environment when it is not there.

    Raises
    ------
    BenchmarkError
        When the packages cannot be installed.
    """
    return python_with("singler-0.5.0", REQUIREMENTS)
