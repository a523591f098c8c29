"""Read a matrix cell by cell, in blocks: a matrix of any size and storage passes through little memory."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import sparse

from iscan_dash.core.study.matrices import BLOCK, Matrix

Block = np.ndarray | sparse.csr_array

IN_MEMORY = 32_000_000
"""Stored values up to which a column-major matrix is turned in memory."""


class RowBlocks:
    """Some cells after the other of a matrix on disk.

    A column-major (CSC) matrix holds whole genes; it is turned once, in memory or, when it is large, in a temporary
    file that goes away with this object.

    Parameters
    ----------
    matrix
        The matrix.
    block
        Stored values read at once.
    in_memory
        Stored values up to which a column-major matrix is turned in memory.

    Examples
    --------
    >>> import h5py
    >>> with h5py.File("blocks", "w", driver="core", backing_store=False) as file:
    ...     x = file.create_dataset("X", data=np.arange(6.0).reshape(3, 2))
    ...     blocks = RowBlocks(Matrix("X", x, "dense", (3, 2)), block=4)
    ...     [block.tolist() for block in blocks]
    [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0]]]
    """

    def __init__(self, matrix: Matrix, block: int = BLOCK, in_memory: int = IN_MEMORY) -> None:
        self._matrix = matrix
        self._block = block
        self._in_memory = in_memory
        self._turned: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __iter__(self) -> Iterator[Block]:
        """Read the cells in order, as many at a time as have about `block` stored values."""
        matrix = self._matrix
        if matrix.storage == "dense":
            step = max(1, self._block // max(1, matrix.shape[1]))
            for start in range(0, matrix.shape[0], step):
                yield matrix.element[start : start + step]
            return
        values, genes, pointers = self._rows()
        start = 0
        while start < matrix.shape[0]:
            # At least one cell, however many values it has.
            end = max(start + 1, int(np.searchsorted(pointers, pointers[start] + self._block, side="right")) - 1)
            first, last = int(pointers[start]), int(pointers[end])
            block = sparse.csr_array((end - start, matrix.shape[1]), dtype=values.dtype)
            # Set rather than given: the constructor would look at every value once more.
            block.data = np.asarray(values[first:last])
            block.indices = np.asarray(genes[first:last]).astype(np.int32, copy=False)
            block.indptr = (pointers[start : end + 1] - first).astype(np.int64, copy=False)
            yield block
            start = end

    def _rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what can be sliced like the three arrays of a CSR matrix."""
        element = self._matrix.element
        if self._matrix.storage == "csr":
            return element["data"], element["indices"], element["indptr"][:].astype(np.int64)
        if self._turned is None:
            self._turned = self._turn()
        return self._turned

    def _turn(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        element, n_cells, stored = self._matrix.element, self._matrix.shape[0], self._matrix.stored
        pointers = np.zeros(n_cells + 1, np.int64)
        for start in range(0, stored, self._block):
            pointers[1:] += np.bincount(element["indices"][start : start + self._block], minlength=n_cells)
        np.cumsum(pointers, out=pointers)
        values, genes = self._room("values", element["data"].dtype), self._room("genes", np.dtype(np.int32))
        gene_ends = element["indptr"][1:].astype(np.int64)
        free = pointers[:-1].copy()
        for start in range(0, stored, self._block):
            cells = element["indices"][start : start + self._block]
            # Stable, so that a cell's genes stay in order.
            order = np.argsort(cells, kind="stable")
            sorted_cells = cells[order]
            counts = np.bincount(sorted_cells, minlength=n_cells)
            nth = np.arange(len(cells)) - np.repeat(np.cumsum(counts) - counts, counts)
            places = free[sorted_cells] + nth
            values[places] = element["data"][start : start + self._block][order]
            genes[places] = np.searchsorted(gene_ends, start + order, side="right")
            free += counts
        return values, genes, pointers

    def _room(self, name: str, dtype: np.dtype) -> np.ndarray:
        stored = self._matrix.stored
        if stored <= self._in_memory:
            return np.empty(stored, dtype)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="iscan-")
        return np.memmap(Path(self._folder.name) / name, dtype, "w+", shape=(stored,))

    def close(self) -> None:
        """Forget what was turned, and remove its file."""
        self._turned = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
