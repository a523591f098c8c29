"""Processes whose network is off, and what they tried to ask it."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

OFFLINE = Path(__file__).parent / "offline"


def without_network(record: Path) -> dict[str, str]:
    """Return variables for a Python process, and all that it starts, to have no network.

    Parameters
    ----------
    record
        The file in which each attempt becomes a line; none is made when there is none.
    """
    paths = [str(OFFLINE), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OFFLINE_RECORD": str(record)}


def attempts(record: Path) -> list[str]:
    """Return what was tried."""
    return record.read_text("utf-8").splitlines() if record.exists() else []


@cache
def apart() -> tuple[str, ...]:
    """Return the beginning of a command that is to run where there is no network at all, nothing where that is refused.

    It keeps away what does not go through Python's sockets, too.
    """
    command = ("unshare", "--map-root-user", "--net")
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    return () if tried.returncode else command
