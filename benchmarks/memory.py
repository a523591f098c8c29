"""The most memory of this process over a while; for environments that have nothing but numpy."""

from __future__ import annotations

from pathlib import Path


def peak() -> int:
    """Return the most resident memory since `forget_peak`, in bytes; Linux only, else 0."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


def forget_peak() -> int:
    """Let the peak begin anew and return what is resident now, in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return peak()
