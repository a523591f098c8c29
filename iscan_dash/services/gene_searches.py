"""Genes that one user waits for: how far the search for each is, and an end to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from iscan_dash.core.study.study import Watch
from iscan_dash.errors import GeneNotRead


class SearchCancelled(GeneNotRead):
    """A gene was not read, because whoever asked for it did not want to wait any more.

    Parameters
    ----------
    gene
        Its name.
    """

    def __init__(self, gene: str) -> None:
        super().__init__(f"{gene} was not read: the search was cancelled. Choose it again to read it.", gene)


@dataclass(eq=False)
class Search:
    """A search for a gene through a large matrix.

    Parameters
    ----------
    gene
        Its name.
    part
        How much is done, 0 to 1; None while another search goes first.
    is_cancelled
        Whether it is to end.
    """

    gene: str
    part: float | None = None
    is_cancelled: bool = False


class GeneSearches:
    """The searches of one user.

    Examples
    --------
    >>> searches = GeneSearches()
    >>> with searches.watch("CD3D") as tell:
    ...     tell(0.5)
    ...     searches.running()
    [('CD3D', 0.5)]
    >>> searches.running()
    []
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[Search] = []
        self._is_closed = False

    @contextmanager
    def watch(self, gene: str) -> Iterator[Watch]:
        """Give what is told of the progress of a search; it raises `SearchCancelled` to end it."""
        search = Search(gene)

        def tell(part: float | None) -> None:
            if search.is_cancelled or self._is_closed:
                raise SearchCancelled(gene)
            search.part = part

        with self._lock:
            self._running.append(search)
        try:
            yield tell
        finally:
            with self._lock:
                self._running.remove(search)

    def running(self) -> list[tuple[str, float | None]]:
        """Return the genes that are searched for and how much of each search is done, the oldest first."""
        with self._lock:
            return [(search.gene, search.part) for search in self._running if not search.is_cancelled]

    def cancel(self) -> None:
        """End all searches."""
        with self._lock:
            for search in self._running:
                search.is_cancelled = True

    def close(self) -> None:
        """End all searches, and those that come yet."""
        self._is_closed = True
