"""Processes of ours: told from others that got the same number later, and ended with all they started."""

import contextlib
import os
import signal

import psutil

SAME_START = 2.0
"""Seconds by which the start of one process may seem to differ: it is reckoned from a clock that is put right."""


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_time(pid: int) -> float | None:
    """Return when a process began, seconds since 1970; None when there is none."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_ours(pid: int, started: float, mark: str) -> bool:
    """Tell whether a process is the one that was started then, and not another one that got its number.

    Parameters
    ----------
    pid
        The number of the process.
    started
        When it began; see `start_time`.
    mark
        An argument that it was started with and no other process has.
    """
    try:
        process = psutil.Process(pid)
        has_mark = mark in process.cmdline()
        return has_mark and abs(process.create_time() - started) <= SAME_START
    except psutil.Error:
        return False


def end_group(pid: int, *, at_once: bool = False) -> None:
    """End a process and all that it started, provided that it began a session of its own.

    Parameters
    ----------
    pid
        The number of the process; nothing happens when it is gone with all it started.
    at_once
        Whether they get no chance to clean up.
    """
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL if at_once else signal.SIGTERM)
        return
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (*process.children(recursive=True), process):
            one.kill()


def memory_text(used: int) -> str:
    """Say how much memory a process had used at most, and how much there is.

    Examples
    --------
    >>> memory_text(3_200_000_000).partition(";")[0]
    'it used 3.2 GB'
    """
    return f"it used {used / 1e9:.1f} GB; this machine has {psutil.virtual_memory().total / 1e9:.1f} GB"
