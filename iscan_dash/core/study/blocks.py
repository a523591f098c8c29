"""Read a matrix cell by cell, in blocks: a matrix of any size and storage passes through little memory."""

import tempfile
from collections.abc import Iterator
from typing import IO, Any

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
        self._turned: sparse.csr_array | None = None
        self._sorted: tuple[IO[bytes], np.ndarray] | None = None

    def __iter__(self) -> Iterator[Block]:
        """Read the cells in order, as many at a time as have about `block` stored values."""
        matrix = self._matrix
        if matrix.storage == "dense":
            step = max(1, self._block // max(1, matrix.shape[1]))
            for start in range(0, matrix.shape[0], step):
                yield matrix.element[start : start + step]
        elif matrix.storage == "csr":
            element, pointers = matrix.element, matrix.element["indptr"][:].astype(np.int64)
            yield from self._slices(element["data"], element["indices"], pointers)
        elif matrix.stored <= self._in_memory:
            if self._turned is None:
                element = matrix.element
                whole = tuple(element[part][:] for part in ("data", "indices", "indptr"))
                self._turned = sparse.csc_array(whole, matrix.shape).tocsr()
            turned = self._turned
            yield from self._slices(turned.data, turned.indices, turned.indptr.astype(np.int64))
        else:
            yield from self._from_file()

    def _slices(self, values: Any, genes: Any, pointers: np.ndarray) -> Iterator[Block]:
        """Cut the arrays of a CSR matrix, in memory or on disk, into blocks."""
        for start, end in self._ranges(pointers):
            first, last = int(pointers[start]), int(pointers[end])
            yield self._rows(values[first:last], genes[first:last], pointers[start : end + 1] - first)

    def _ranges(self, pointers: np.ndarray) -> Iterator[tuple[int, int]]:
        """Divide the cells into ranges of about `block` values; at least one cell, however many values it has."""
        start, n_cells = 0, len(pointers) - 1
        while start < n_cells:
            end = int(np.searchsorted(pointers, pointers[start] + self._block, side="right")) - 1
            yield start, max(start + 1, end)
            start = max(start + 1, end)

    def _rows(self, values: np.ndarray, genes: np.ndarray, pointers: np.ndarray) -> sparse.csr_array:
        rows = sparse.csr_array((len(pointers) - 1, self._matrix.shape[1]), dtype=values.dtype)
        # Set rather than given: the constructor would look at every value once more.
        rows.data, rows.indices, rows.indptr = values, genes.astype(np.int32, copy=False), pointers
        return rows

    def _from_file(self) -> Iterator[Block]:
        if self._sorted is None:
            self._sorted = self._sort()
        file, pointers = self._sorted
        record = self._record()
        for start, end in self._ranges(pointers):
            n_values = int(pointers[end] - pointers[start])
            file.seek(int(pointers[start]) * record.itemsize)
            found = np.frombuffer(file.read(n_values * record.itemsize), record)
            # Stable, so that a cell's genes stay in order.
            found = found[_order(found["cell"] - start, end - start)]
            yield self._rows(
                np.ascontiguousarray(found["value"]),
                np.ascontiguousarray(found["gene"]),
                pointers[start : end + 1] - pointers[start],
            )

    def _record(self) -> np.dtype:
        return np.dtype([("cell", np.int32), ("gene", np.int32), ("value", self._matrix.dtype)])

    def _sort(self) -> tuple[IO[bytes], np.ndarray]:
        """Write the values into a temporary file, range of cells by range; within one they are sorted when read."""
        element, stored, n_cells = self._matrix.element, self._matrix.stored, self._matrix.shape[0]
        pointers = np.zeros(n_cells + 1, np.int64)
        for start in range(0, stored, self._block):
            pointers[1:] += np.bincount(element["indices"][start : start + self._block], minlength=n_cells)
        np.cumsum(pointers, out=pointers)
        starts = np.array([start for start, _ in self._ranges(pointers)])
        free = pointers[starts]
        range_of = np.repeat(np.arange(len(starts)), np.diff([*starts, n_cells]))
        gene_ends = element["indptr"][1:].astype(np.int64)
        # Without a name: it is gone when nobody has it open any more.
        file = tempfile.TemporaryFile(prefix="iscan-cells-")  # noqa: SIM115
        for start in range(0, stored, self._block):
            cells = element["indices"][start : start + self._block]
            records = np.empty(len(cells), self._record())
            records["cell"], records["value"] = cells, element["data"][start : start + self._block]
            records["gene"] = np.searchsorted(gene_ends, np.arange(start, start + len(cells)), side="right")
            ranges = range_of[cells]
            records = records[_order(ranges, len(starts))]
            counts = np.bincount(ranges, minlength=len(starts))
            ends = np.cumsum(counts)
            for place in np.flatnonzero(counts):
                file.seek(int(free[place]) * records.itemsize)
                file.write(records[ends[place] - counts[place] : ends[place]].tobytes())
            free += counts
        return file, pointers

    def close(self) -> None:
        """Forget what was turned, and with it the temporary file."""
        self._turned = None
        if self._sorted is not None:
            self._sorted[0].close()
            self._sorted = None


def _order(numbers: np.ndarray, end: int) -> np.ndarray:
    """Return the stable order of numbers from 0 to `end`; 16 bits are sorted several times faster than more."""
    return np.argsort(numbers.astype(np.uint16 if end < 2**16 else np.int64, copy=False), kind="stable")
