"""Searches that each take seconds and the whole disk: one at a time, few wait, and what was found is kept a while."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np

from iscan_dash.errors import GeneNotRead

FOUND_BYTES = 64_000_000
"""Genes that were found by a long search are kept up to so many bytes, and the last one in any case."""

MOST_WAITING = 4
"""So many searches may wait for their turn: each takes a thread of the server, of which it has eight."""

STEP = 0.1
"""Seconds between looks whether a search that waits is still wanted."""


class TooManySearches(GeneNotRead):
    """A gene was not read, because too many others are searched for already."""

    def __init__(self, gene: str) -> None:
        super().__init__(f"{gene} was not read: too many genes are searched for already. Try again in a moment.", gene)


class LongSearches:
    """Searches for genes, in the order in which they were asked for.

    Examples
    --------
    >>> searches = LongSearches()
    >>> found = searches.search("CD3D", "X", lambda: np.ones(3, np.float32), lambda: None)
    >>> searches.search("CD3D", "X", lambda: 1 / 0, lambda: None) is found
    True
    """

    def __init__(self) -> None:
        self._found: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        # The first one runs, the others wait.
        self._queue: list[object] = []
        self._changed = threading.Condition()

    def search(
        self, gene: str, where: Hashable, find: Callable[[], np.ndarray], check: Callable[[], None]
    ) -> np.ndarray:
        """Return what a search finds, or found a while ago.

        Parameters
        ----------
        gene
            Name of the gene.
        where
            What tells it from genes of that name in other matrices.
        find
            Searches for it.
        check
            Is called again and again while others go first; ends the waiting by raising.

        Raises
        ------
        TooManySearches
            Too many wait already.
        """
        key, own = (gene, where), object()
        with self._changed:
            if (values := self._recall(key)) is not None:
                return values
            if len(self._queue) > MOST_WAITING:
                raise TooManySearches(gene)
            self._queue.append(own)
        try:
            with self._changed:
                while self._queue[0] is not own and key not in self._found:
                    check()
                    self._changed.wait(STEP)
                # Whoever went first may have looked for the same.
                if (values := self._recall(key)) is not None:
                    return values
            values = find()
            with self._changed:
                self._keep(key, values)
            return values
        finally:
            with self._changed:
                self._queue.remove(own)
                self._changed.notify_all()

    def _recall(self, key: Hashable) -> np.ndarray | None:
        values = self._found.get(key)
        if values is not None:
            self._found.move_to_end(key)
        return values

    def _keep(self, key: Hashable, values: np.ndarray) -> None:
        self._found[key] = values
        while len(self._found) > 1 and sum(own.nbytes for own in self._found.values()) > FOUND_BYTES:
            self._found.popitem(last=False)
