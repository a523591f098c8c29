"""Chunks of cells, which can be worked on elsewhere: one by one, by anybody, with the same results."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np

from iscan_dash.core.engine.query import Block, Query, prepared

Shared = TypeVar("Shared")
Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

CHUNK_VALUES = 2_000_000
"""Values of a chunk at most: some 16 MB to send, and about a second of work."""

CHUNK_RESULTS = 1_000_000
"""Results of a chunk at most."""


class MapChunks(Protocol):
    """Somebody who works on chunks."""

    def __call__(
        self, work: Callable[[Shared, Chunk], Result], shared: Shared, chunks: Iterable[Chunk]
    ) -> Iterator[Result]:
        """Give what comes of each chunk, in their order.

        Parameters
        ----------
        work
            What is done with the second argument and a chunk: a function of a module. All can be pickled.
        shared
            What it needs besides.
        chunks
            The chunks. They are read as there is room for them, so that few are in memory at any time.
        """
        ...


def chunks_of(query: Query, n_results: int) -> Iterator[Block]:
    """Read the cells of a query in chunks.

    Parameters
    ----------
    query
        The cells.
    n_results
        How many results each cell has.

    Examples
    --------
    >>> query = Query.of(["CD3D", "LYZ"], np.ones((5, 2)))
    >>> [len(chunk) for chunk in chunks_of(query, CHUNK_RESULTS // 2)]
    [2, 2, 1]
    """
    for _, block in prepared(query):
        n_cells, n_genes = block.shape
        each = n_genes if isinstance(block, np.ndarray) else block.nnz // max(1, n_cells)
        step = max(1, min(CHUNK_VALUES // max(1, each), CHUNK_RESULTS // max(1, n_results)))
        for start in range(0, n_cells, step):
            yield block[start : start + step]
