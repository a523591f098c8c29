"""Measure how programs start on a study: in turns, from nothing to a page that can be used."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from benchmarks.browser import Browser, Page, Visit
from benchmarks.servers import BenchmarkError, Command, Memory, serve, wait_for_quiet
from benchmarks.studies import Truth


@dataclass(frozen=True)
class Program:
    """One of the programs compared.

    Parameters
    ----------
    name
        What tables call it.
    command
        How to start it, given an empty folder for its state.
    page
        How to tell that its page can be used.
    counts
        Asks a running program, given its address and an obs column, how many cells each label has; None when its page
        tells them by itself.
    interactions
        Times what a user does next, given the address and the browser that shows the page: a name and seconds for each.
    """

    name: str
    command: Callable[[Path], Command]
    page: Page
    counts: Callable[[str, str], Mapping[str, int]] | None = None
    interactions: Callable[[str, Browser], Mapping[str, float]] | None = None


@dataclass(frozen=True)
class Start:
    """What one start of one program cost.

    Parameters
    ----------
    ready_s
        From the start of the process to the first answer 200 for the page.
    visit
        What the first visit of the page cost.
    memory, memory_after
        What the program held once the page had settled, and after the interactions.
    quiet
        Whether the machine had little else to do when the program was started.
    interactions
        Seconds of what was done next, by name.
    """

    ready_s: float
    visit: Visit
    memory: Memory
    memory_after: Memory
    quiet: bool
    interactions: Mapping[str, float] = field(default_factory=dict)

    @property
    def usable_s(self) -> float:
        """Seconds from the start of the process to the usable page, but for the poll between the two."""
        return self.ready_s + self.visit.usable_s


def start(program: Program, browser: Browser, truth: Truth, column: str = "leiden") -> Start:
    """Start a program once the machine is quiet, open its page, check what it shows, and end it.

    Memory is read once the page has settled, before the program is asked anything else.

    Parameters
    ----------
    program, browser
        What to start and where to look at it.
    truth
        What the study holds.
    column
        The obs column whose labels are compared: the one that iscan-dash colours by at first.

    Raises
    ------
    BenchmarkError
        When the program does not draw all cells or does not count the labels as the file does.
    """
    quiet = wait_for_quiet()
    with tempfile.TemporaryDirectory(prefix="iscan-bench-") as state, serve(program.command(Path(state))) as server:
        visit = browser.visit(server.url, program.page)
        memory = server.memory()
        if visit.cells != truth.cells:
            raise BenchmarkError(f"{program.name} draws {visit.cells:,} cells; the study has {truth.cells:,}.")
        counts = program.counts(server.url, column) if program.counts else visit.labels
        if counts != truth.labels:
            raise BenchmarkError(f"{program.name} counts the labels of {column} otherwise than the file: {counts}")
        interactions = program.interactions(server.url, browser) if program.interactions else {}
        return Start(server.ready_s, visit, memory, server.memory(), quiet, interactions)


def in_turns(programs: Sequence[Program], browser: Browser, truth: Truth, rounds: int) -> dict[str, list[Start]]:
    """Start every program once a round and return what each start cost, by program.

    The order is turned round every time, and a first round is thrown away: it fills the disk cache and the compilers'
    caches of all of them.

    Parameters
    ----------
    programs, browser, truth
        As for `start`.
    rounds
        How many starts of each to keep.
    """
    kept: dict[str, list[Start]] = {program.name: [] for program in programs}
    for number in range(rounds + 1):
        for program in programs if number % 2 else reversed(programs):
            result = start(program, browser, truth)
            label = f"round {number}" if number else "warm-up"
            click.echo(f"  {label}: {program.name} {result.usable_s:.2f} s, {result.memory.now / 1e6:.0f} MB", err=True)
            if number:
                kept[program.name].append(result)
    return kept
