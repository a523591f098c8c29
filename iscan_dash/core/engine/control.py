"""Progress, cancelling and sharing of work between threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 3
"""Pieces of work handed out before the first of them is asked for, per thread."""


class Cancelled(Exception):
    """Whoever asked for the work does not want it any more."""


@dataclass(frozen=True)
class Control:
    """Who is told of the progress and may cancel.

    Parameters
    ----------
    progress
        Called with the step (``"train"``, ``"score"``, ``"fine-tune"``), and how many of how many cells are done.
    is_cancelled
        Asked before each piece of work, some twenty times a second; true ends it with `Cancelled`.
    """

    progress: Callable[[str, int, int], None] = lambda _step, _done, _total: None
    is_cancelled: Callable[[], bool] = lambda: False

    def tell(self, step: str, done: int, total: int) -> None:
        """Report progress.

        Raises
        ------
        Cancelled
            The work is to end.
        """
        self.check()
        self.progress(step, done, total)

    def check(self) -> None:
        """Raise `Cancelled` when the work is to end."""
        if self.is_cancelled():
            raise Cancelled


def in_order(
    pool: Executor, threads: int, work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result]]:
    """Work on items in several threads and give the results in order, only a few of them waiting at any time."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > AHEAD * threads:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
