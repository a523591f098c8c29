"""Tables of measurements: medians, ranges, ratios to the peers, and goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.claims import Claim, goal_text, markdown
from benchmarks.measure import Start
from benchmarks.servers import machine


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Parameters
    ----------
    title
        What was measured, with its unit.
    value
        Takes the figure out of one start; None when there is none.
    digits
        Decimals shown.
    """

    title: str
    value: Callable[[Start], float | None]
    digits: int = 2


def _mb(size: int | None) -> float | None:
    return None if size is None else size / 1e6


def interaction(name: str, factor: float = 1.0) -> Callable[[Start], float | None]:
    """Return what takes the figure of an interaction out of a start, times a factor."""

    def value(result: Start) -> float | None:
        found = result.interactions.get(name)
        return None if found is None else factor * found

    return value


READY = Row("start to first answer, s", lambda r: r.ready_s)
PAGE = Row("navigation to usable page, s", lambda r: r.visit.usable_s)
USABLE = Row("start to usable page, s", lambda r: r.usable_s)
MEMORY = Row("resident memory, MB", lambda r: _mb(r.memory.now), 0)
PEAK = Row("peak resident memory, MB", lambda r: _mb(r.memory.peak), 0)
AFTER = Row("peak after previews and pages, MB", lambda r: _mb(r.memory_after.peak) if r.interactions else None, 0)
PICTURE = Row("navigation to drawn plot, s", lambda r: r.visit.picture_s)
DRAWN = Row("data to drawn plot, s", lambda r: r.visit.drawn_s)
BYTES = Row("bytes sent, MB", lambda r: r.visit.received / 1e6)
REQUESTS = Row("answers they came in", lambda r: r.visit.requests, 0)
BUSY = Row("main thread of the page busy, s", lambda r: r.visit.busy_s)
ERRORS = Row("errors in the console", lambda r: len(r.visit.errors), 0)
OUTSIDE = Row("addresses asked outside the machine", lambda r: len(r.visit.outside), 0)
PREVIEW = Row("preview refresh, s", interaction("preview"), 3)
PREVIEW_SERVER = Row("preview refresh at the server, s", interaction("preview at the server"), 3)
GRID = Row("page of grid, s", interaction("grid"), 3)
START_ROWS = (
    READY,
    PAGE,
    USABLE,
    MEMORY,
    PEAK,
    PICTURE,
    DRAWN,
    BYTES,
    REQUESTS,
    BUSY,
    PREVIEW,
    PREVIEW_SERVER,
    GRID,
    AFTER,
    ERRORS,
    OUTSIDE,
)


def table(
    results: Mapping[str, Sequence[Start]],
    rows: Sequence[Row],
    goals: Mapping[str, float],
    least: Mapping[str, float] | None = None,
) -> str:
    """Return a Markdown table: a line for each row that has figures, a column for each program, ratios and goals.

    A cell is the median of the rounds with the range in brackets. A ratio is the peer's median over that of the first
    program: above 1, the first program needs less.

    Parameters
    ----------
    results
        The starts of each program, ours first.
    rows
        What to show.
    goals
        Most allowed for our program, by title of the row.
    least
        Least wanted of our program, by title of the row: where more is better.
    """
    least = least or {}
    ours, *peers = results
    head = ["", ours, *peers, *(f"{peer} / {ours}" for peer in peers), "goal"]
    lines: list[list[str]] = [head]
    for row in rows:
        values = {name: _values(row, starts) for name, starts in results.items()}
        if not any(values.values()):
            continue
        own = median(values[ours]) if values[ours] else None
        ratios = [f"{median(values[peer]) / own:.1f}x" if own and values[peer] else "" for peer in peers]
        shown = [_cell(values[name], row.digits) for name in results]
        if row.title in least:
            goal = goal_text(own, least[row.title], row.digits, is_least=True)
        else:
            goal = goal_text(own, goals.get(row.title), row.digits)
        lines.append([row.title, *shown, *ratios, goal])
    return markdown(lines)


def claims(
    data: str,
    results: Mapping[str, Sequence[Start]],
    rows: Sequence[Row],
    goals: Mapping[str, float],
    least: Mapping[str, float] | None = None,
) -> list[Claim]:
    """Return what `table` says of rows as claims, each beside the peer that does best.

    Parameters
    ----------
    data
        What was measured with.
    results, rows, goals, least
        As for `table`.
    """
    least = least or {}
    ours, *peers = results
    made = []
    for row in rows:
        own_values = _values(row, results[ours])
        if not own_values:
            continue
        own = median(own_values)
        is_least = row.title in least
        goal = goal_text(own, (least if is_least else goals).get(row.title), row.digits, is_least=is_least)
        found = {peer: median(values) for peer in peers if (values := _values(row, results[peer]))}
        best = (max if is_least else min)(found, key=found.__getitem__, default="")
        peer = f"{found[best]:,.{row.digits}f} ({best})" if best else ""
        ratio = f"{found[best] / own:.1f}x" if best and own else ""
        made.append(Claim(row.title, data, f"{own:,.{row.digits}f}", peer, ratio, goal))
    return made


def _values(row: Row, starts: Sequence[Start]) -> list[float]:
    return [value for value in map(row.value, starts) if value is not None]


def _cell(values: Sequence[float], digits: int) -> str:
    if not values:
        return ""
    low, middle, high = (f"{value:,.{digits}f}" for value in (min(values), median(values), max(values)))
    return middle if low == high else f"{middle} ({low}-{high})"


def conditions(results: Mapping[str, Sequence[Start]], threads: int) -> str:
    """Return the line above a table: the machine, the rounds, and how much else was going on.

    Parameters
    ----------
    results
        The starts of each program.
    threads
        Threads given to each.
    """
    starts = [start for each in results.values() for start in each]
    busy = sum(not start.quiet for start in starts)
    noise = f" {busy} of {len(starts)} starts began on a busy machine: trust no absolute time." if busy else ""
    rounds = len(starts) // len(results)
    return f"{machine()}, {threads} threads each; median (range) of {rounds} rounds in turns.{noise}"
