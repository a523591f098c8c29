"""The genes of a row-major matrix one after the other, in a file of their own: a gene is one short read of it.

A matrix that holds whole cells (CSR, or dense rows) has to be read from end to end to find a gene. `write_gene_index`
turns it once, in little memory: blocks of cells are turned and laid aside in a temporary file, and then joined for some
genes at a time. Each gene's cells and values are compressed, and have a checksum.

The file is what `GeneIndex` reads: a mark, the genes, a table of where each one is, and a footer that tells which
matrix they are of and has a digest of the table.
"""

import hashlib
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from iscan_dash.core.study.matrices import Matrix, Tell
from iscan_dash.errors import DataError

if TYPE_CHECKING:
    from scipy import sparse

SMALLEST = 20_000_000
"""Stored values from which an index is worth its disk space: fewer are searched in less than a second."""

SKIPPED = 10
"""How many values of dense rows pass in the time of one of sparse rows: all but one of a row are skipped."""

BLOCK_VALUES = 4_000_000
"""Values turned at once; with what is made of them, some 200 MB."""

MARK = b"iscan genes 1\r\n\x00"

_FOOTER = struct.Struct("<32sqqq16s")
_GENE = np.dtype([("start", "<i8"), ("cells", "<i8"), ("values", "<i8"), ("check", "<u4")])

SAMPLES = 64
"""Places of a matrix that are looked at to tell it from others."""

SAMPLE_VALUES = 4096
"""Values looked at in each of them."""


class DamagedIndex(Exception):
    """An index is not what was written, or belongs to another matrix."""


@dataclass(frozen=True, eq=False)
class GeneIndex:
    """The genes of a matrix, in a file of their own; see `open_gene_index`.

    Parameters
    ----------
    path
        The file. It is opened for every read, so that it may be removed at any time.
    n_cells
        Cells of the matrix.
    size
        Bytes of the file.
    """

    path: Path
    n_cells: int
    size: int
    _genes: np.ndarray = field(repr=False)

    def gene(self, column: int) -> np.ndarray:
        """Read one gene for all cells: the same as `Matrix.gene` finds.

        Returns
        -------
        numpy.ndarray
            shape (n_cells,), float32.

        Raises
        ------
        DamagedIndex
            The file is not what was written.
        OSError
            It is gone, or cannot be read.
        """
        start, n_cells, n_values, check = self._genes[column].item()
        with self.path.open("rb") as file:
            file.seek(start)
            stored = file.read(n_cells + n_values)
        if len(stored) < n_cells + n_values or zlib.crc32(stored) != check:
            raise DamagedIndex(f"{self.path} is damaged")
        values = np.zeros(self.n_cells, np.float32)
        if stored:
            codec = _codec()
            cells = np.frombuffer(codec.decode(stored[:n_cells]), "<u4").cumsum(dtype=np.int64)
            values[cells] = np.frombuffer(codec.decode(stored[n_cells:]), "<f4")
        return values


@dataclass
class IndexShelf:
    """The indices of a file's matrices: put here when they are there, taken away when they are not any more.

    Parameters
    ----------
    ready
        Those that are there, by the key of the matrix.
    searched
        Is told the key of a matrix that has none, and is searched; and the column of a gene that is damaged in the one
        it had, if that is why.
    """

    ready: dict[str, GeneIndex] = field(default_factory=dict)
    searched: Callable[[str, int | None], None] = lambda _matrix, _column: None


def is_worth_indexing(matrix: Matrix) -> bool:
    """Tell whether finding a gene in a matrix takes so long that it should have an index."""
    searched = matrix.stored // SKIPPED if matrix.storage == "dense" else matrix.stored
    return matrix.storage != "csc" and searched >= SMALLEST


def index_key(matrix: Matrix, stamp: tuple[int, int]) -> str:
    """Return what tells a matrix from all others, wherever its file is: 32 hexadecimal digits.

    It is made of the file's time and size, how the matrix is kept, how many values each cell has, and a sample of the
    values.

    Parameters
    ----------
    matrix
        The matrix.
    stamp
        Time of the last change and size of its file.
    """
    described = (MARK, stamp, matrix.key, matrix.storage, matrix.shape, matrix.stored, str(matrix.dtype))
    digest = hashlib.blake2b(repr(described).encode(), digest_size=16)
    if matrix.storage == "dense":
        n_rows = max(1, SAMPLE_VALUES // max(1, matrix.shape[1]))
        for start in _places(matrix.shape[0], n_rows):
            digest.update(np.ascontiguousarray(matrix.element[start : start + n_rows]).tobytes())
        return digest.hexdigest()
    digest.update(matrix.element["indptr"][:].tobytes())
    for start in _places(matrix.stored, SAMPLE_VALUES):
        for part in ("indices", "data"):
            digest.update(matrix.element[part][start : start + SAMPLE_VALUES].tobytes())
    return digest.hexdigest()


def _places(total: int, at_once: int) -> list[int]:
    places: list[int] = np.unique(np.linspace(0, max(0, total - at_once), SAMPLES).astype(np.int64)).tolist()
    return places


def open_gene_index(path: Path, key: str, shape: tuple[int, int]) -> GeneIndex:
    """Open an index, reading no more of it than where each gene is.

    Parameters
    ----------
    path
        The file.
    key
        Of which matrix it should be; see `index_key`.
    shape
        Cells and genes of the matrix.

    Raises
    ------
    FileNotFoundError
        There is none.
    DamagedIndex
        It is not what was written, or belongs to another matrix.
    OSError
        It cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        table_size = shape[1] * _GENE.itemsize
        start = size - table_size - _FOOTER.size
        file.seek(0)
        if start < len(MARK) or file.read(len(MARK)) != MARK:
            raise DamagedIndex(f"{path} is no gene index, or was cut short")
        file.seek(start)
        table = file.read(table_size)
        footer = file.read(_FOOTER.size)
    if footer != _footer(key, shape, start, table):
        raise DamagedIndex(f"{path} is damaged, or belongs to another matrix")
    return GeneIndex(path, shape[0], size, np.frombuffer(table, _GENE))


def write_gene_index(
    matrix: Matrix, file: IO[bytes], key: str, tell: Tell = lambda _: None, *, block: int = BLOCK_VALUES
) -> None:
    """Write the index of a row-major matrix.

    Parameters
    ----------
    matrix
        The matrix.
    file
        Where to, opened for writing; some eight bytes a value are needed in the same folder meanwhile.
    key
        What tells the matrix from others; see `index_key`.
    tell
        Is told of the progress.
    block
        Values turned, and joined, at once. They bound the memory that is used, besides some ten bytes a cell, some
        hundred bytes a gene, and what the largest single cell and gene take.

    Raises
    ------
    DataError
        The matrix is damaged.
    OSError
        The disk is full, or the file cannot be written.
    """
    # Without a name: it is gone when this process is, however it ends.
    with tempfile.TemporaryFile(prefix=".turned-", dir=Path(file.name).parent) as laid_aside:
        blocks = _Blocks(laid_aside, matrix.shape[1])
        n_cells = matrix.shape[0]
        for start, end, run in _turned(matrix, block):
            blocks.add(run, start)
            tell(0.5 * end / n_cells)
        table = np.zeros(matrix.shape[1], _GENE)
        file.write(MARK)
        place, codec = len(MARK), _codec()
        for first, last in _ranges(np.cumsum(blocks.totals), block):
            cells, values, starts = blocks.join(first, last)
            for gene, (begin, end) in enumerate(pairwise(starts), first):
                if begin < end:
                    packed = codec.encode(np.diff(cells[begin:end], prepend=np.uint32(0)))
                    more = codec.encode(values[begin:end])
                    table[gene] = place, len(packed), len(more), zlib.crc32(more, zlib.crc32(packed))
                    file.write(packed)
                    file.write(more)
                    place += len(packed) + len(more)
            tell(0.5 + 0.5 * last / matrix.shape[1])
        file.write(table.tobytes())
        file.write(_footer(key, matrix.shape, place, table.tobytes()))


class _Blocks:
    """Blocks of cells, turned and laid aside in a file.

    Each is where its genes begin and the last ends, then all cells, then all values, gene by gene. Where genes begin is
    not kept in memory: for thousands of blocks that would be hundreds of megabytes.
    """

    def __init__(self, file: IO[bytes], n_genes: int) -> None:
        self._file = file
        self._starts: list[tuple[int, int]] = []
        self._end = 0
        self.totals = np.zeros(n_genes, np.int64)

    def add(self, run: "sparse.csc_array", first_cell: int) -> None:
        """Lay a block aside that begins with this cell."""
        self._file.write(run.indptr.astype("<u4").data)
        self._file.write((run.indices + np.uint32(first_cell)).astype("<u4", copy=False).data)
        self._file.write(run.data.astype("<f4", copy=False).data)
        self._starts.append((self._end, len(run.data)))
        self._end += 4 * len(run.indptr) + 8 * len(run.data)
        self.totals += np.diff(run.indptr)

    def join(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Return the cells and values of some genes, gene after gene, and where each gene begins and the last ends."""
        starts = np.concatenate([[0], np.cumsum(self.totals[first:last])])
        cells, values = np.empty(starts[-1], "<u4"), np.empty(starts[-1], "<f4")
        free = starts[:-1].copy()
        for place, n_values in self._starts:
            own = self._read(place + 4 * first, last + 1 - first, "<u4").astype(np.int64)
            begin, end = int(own[0]), int(own[-1])
            if begin == end:
                continue
            lengths = np.diff(own)
            # Blocks follow each other as their cells do, so a gene's cells stay in order.
            to = np.repeat(free - (own[:-1] - begin), lengths) + np.arange(end - begin)
            stored = place + 4 * (len(self.totals) + 1)
            cells[to] = self._read(stored + 4 * begin, end - begin, "<u4")
            values[to] = self._read(stored + 4 * (n_values + begin), end - begin, "<f4")
            free += lengths
        return cells, values, starts.tolist()

    def _read(self, place: int, length: int, dtype: str) -> np.ndarray:
        self._file.seek(place)
        return np.frombuffer(self._file.read(4 * length), dtype)


def _turned(matrix: Matrix, block: int) -> "Iterator[tuple[int, int, sparse.csc_array]]":
    """Yield ranges of cells, each turned, with its first cell and the one after its last."""
    # Imported here because the server needs it for nothing else.
    from scipy import sparse

    n_cells, n_genes = matrix.shape
    if matrix.storage == "dense":
        step = max(1, block // max(1, n_genes))
        for start in range(0, n_cells, step):
            with np.errstate(over="ignore"):
                rows = matrix.element[start : start + step].astype(np.float32)
            yield start, start + len(rows), sparse.csr_array(rows).tocsc()
        return
    damaged = DataError(f"{matrix.element.file.filename} is damaged: {matrix.key} names genes that are not there.")
    pointers = matrix.element["indptr"][:].astype(np.int64)
    lengths = np.diff(pointers)
    # SciPy takes all of this on trust.
    if pointers[0] != 0 or pointers[-1] != matrix.stored or (lengths < 0).any():
        raise damaged
    del lengths
    for start, end in _ranges(pointers[1:], block):
        first, last = int(pointers[start]), int(pointers[end])
        genes = matrix.element["indices"][first:last]
        if len(genes) and (genes.min() < 0 or genes.max() >= n_genes):
            raise damaged
        with np.errstate(over="ignore"):
            values = matrix.element["data"][first:last].astype(np.float32, copy=False)
        run = sparse.csr_array((end - start, n_genes), dtype=np.float32)
        # Set rather than given: the constructor would look at every value once more.
        run.data, run.indices = values, genes.astype(np.int32, copy=False)
        run.indptr = (pointers[start : end + 1] - first).astype(np.int32)
        yield start, end, run.tocsc()


def _ranges(ends: np.ndarray, block: int) -> Iterator[tuple[int, int]]:
    """Divide what ends after so many values into ranges of about a block; at least one, however many values it has."""
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + block, side="right")))
        yield start, end
        start = end


def _footer(key: str, shape: tuple[int, int], table_start: int, table: bytes) -> bytes:
    digest = hashlib.blake2b(repr((MARK, key, shape, table_start)).encode() + table, digest_size=16).digest()
    return _FOOTER.pack(key.encode(), *shape, table_start, digest)


def _codec() -> Any:
    # Imported here because few studies are so large.
    from numcodecs.blosc import Blosc

    return Blosc("zstd", clevel=1, shuffle=Blosc.SHUFFLE)
