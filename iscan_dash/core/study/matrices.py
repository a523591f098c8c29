"""Expression matrices of a file: what is there, what kind of values they hold, and one gene at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import h5py
import numpy as np

from iscan_dash.core.study.damage import CheckedArray, CheckedSparse
from iscan_dash.core.study.elements import encoding
from iscan_dash.errors import DataError

SAMPLE_CELLS = 2000
"""Cells looked at to tell what kind of values a matrix holds."""

LOG_MAXIMUM = 24.0
"""No log value of a cell is larger: exp(24) is 2.6e10 molecules."""

BLOCK = 4_000_000
"""Stored values read at once."""

Tell = Callable[[float], None]
"""Is told the part that is done, 0 to 1; ends the work by raising."""


class MatrixKind(StrEnum):
    """What the values of a matrix are."""

    COUNTS = "counts"
    LOG1P = "log1p"
    LOG = "log"
    NORMALISED = "normalised"
    SCALED = "scaled"


KIND_TEXT = {
    MatrixKind.COUNTS: "counts",
    MatrixKind.LOG1P: "log1p, constant total per cell",
    MatrixKind.LOG: "log values (size factor unknown)",
    MatrixKind.NORMALISED: "normalised, not logged",
    MatrixKind.SCALED: "scaled",
}


SHOWN_TEXT = {
    MatrixKind.COUNTS: "log1p counts",
    MatrixKind.LOG1P: "log1p",
    MatrixKind.LOG: "log values",
    MatrixKind.NORMALISED: "log1p normalised",
    MatrixKind.SCALED: "scaled",
}
"""What the numbers are by which a gene colours the cells."""

LINEAR = frozenset({MatrixKind.COUNTS, MatrixKind.NORMALISED})
"""Kinds of values of which a gene is shown as log1p: a few cells would take the whole scale otherwise."""


@dataclass(frozen=True)
class Evidence:
    """What was seen in a sample of a matrix, and the kind that follows from it.

    Parameters
    ----------
    kind
        The kind of the values.
    description
        The kind in words, such as ``"log1p, 10,000 per cell"``.
    reason
        What was seen, such as ``"whole numbers, 0 to 419, in 2,000 cells"``.
    """

    kind: MatrixKind
    description: str
    reason: str


@dataclass(frozen=True, eq=False)
class Matrix:
    """One matrix of a file, on disk.

    Parameters
    ----------
    key
        ``"X"``, ``"raw/X"`` or ``"layers/<name>"``.
    element
        Its arrays, or its one array, on disk.
    storage
        ``"csr"``, ``"csc"`` or ``"dense"``.
    shape
        Cells and genes.
    """

    key: str
    element: Any
    storage: str
    shape: tuple[int, int]

    @property
    def stored(self) -> int:
        """Number of stored values."""
        return int(self.element["data"].shape[0]) if self.storage != "dense" else int(np.prod(self.shape))

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""
        dtype: np.dtype = (self.element if self.storage == "dense" else self.element["data"]).dtype
        return dtype

    def gene(self, column: int, tell: Tell = lambda _: None) -> np.ndarray:
        """Read one gene for all cells, without reading the matrix whole into memory.

        In a row-major matrix it is searched for from end to end; see `GeneIndex` for those that are large.

        Parameters
        ----------
        column
            The gene's column, 0 <= column < shape[1].
        tell
            Is told of the progress of a search, before each of its blocks.

        Returns
        -------
        numpy.ndarray
            shape (n_cells,), float32.
        """
        values = np.zeros(self.shape[0], np.float32)
        if self.storage == "dense":
            step = max(1, BLOCK // max(1, self.shape[1]))
            for start in range(0, self.shape[0], step):
                tell(start / self.shape[0])
                values[start : start + step] = self.element[start : start + step, column]
            return values
        pointers = self.element["indptr"]
        if self.storage == "csc":
            start, end = (int(pointer) for pointer in pointers[column : column + 2])
            values[self.element["indices"][start:end]] = self.element["data"][start:end]
            return values
        pointers = pointers[:]
        for start in range(0, self.stored, BLOCK):
            tell(start / self.stored)
            hits = np.flatnonzero(self.element["indices"][start : start + BLOCK] == column)
            if len(hits):
                rows = np.searchsorted(pointers, hits + start, side="right") - 1
                values[rows] = self.element["data"][start : start + BLOCK][hits]
        return values

    def rows(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Read the stored values of some cells of a row-major matrix.

        Parameters
        ----------
        start, end
            First cell and the one after the last.

        Returns
        -------
        values : numpy.ndarray
            The stored values, one cell after the other; shape (n_values,).
        lengths : numpy.ndarray
            How many of them belong to each cell; shape (end - start,), int64.
        """
        if self.storage == "dense":
            block = self.element[start:end]
            return block.ravel(), np.full(len(block), self.shape[1])
        pointers = self.element["indptr"][start : end + 1].astype(np.int64)
        return self.element["data"][pointers[0] : pointers[-1]], np.diff(pointers)

    def cell_totals(self) -> tuple[np.ndarray, np.ndarray]:
        """Sum the values and count the genes above zero of each cell, block by block.

        Returns
        -------
        totals : numpy.ndarray
            shape (n_cells,), float64.
        detected : numpy.ndarray
            shape (n_cells,), int64.
        """
        n_cells = self.shape[0]
        totals, detected = np.zeros(n_cells), np.zeros(n_cells, np.int64)
        if self.storage == "csc":
            for start in range(0, self.stored, BLOCK):
                cells = self.element["indices"][start : start + BLOCK]
                values = self.element["data"][start : start + BLOCK]
                totals += np.bincount(cells, values, n_cells)
                detected += np.bincount(cells, values > 0, n_cells).astype(np.int64)
            return totals, detected
        step = max(1, BLOCK * n_cells // max(1, self.stored))
        for start in range(0, n_cells, step):
            values, lengths = self.rows(start, min(start + step, n_cells))
            owner = np.repeat(np.arange(start, start + len(lengths)), lengths)
            totals += np.bincount(owner, values, n_cells)
            detected += np.bincount(owner, values > 0, n_cells).astype(np.int64)
        return totals, detected


def find_matrices(file: h5py.File) -> dict[str, Matrix]:
    """List the matrices of an open file: ``X``, ``raw/X`` and the layers, in this order."""
    layers = file.get("layers", {})
    keys = ["X", "raw/X", *(f"layers/{name}" for name in (layers if isinstance(layers, h5py.Group) else ()))]
    found = {}
    for key in keys:
        if key in file and (matrix := _as_matrix(key, file[key])):
            found[key] = matrix
    return found


def _as_matrix(key: str, element: h5py.Group | h5py.Dataset) -> Matrix | None:
    kind = encoding(element)
    path = element.file.filename
    if isinstance(element, h5py.Dataset):
        if len(element.shape or ()) != 2 or element.dtype.kind not in "biuf":
            return None
        return Matrix(key, CheckedArray(element, f"{key} of {path}"), "dense", element.shape)
    if kind not in {"csr_matrix", "csc_matrix"}:
        return None
    if not {"data", "indices", "indptr"} <= set(element) or "shape" not in element.attrs:
        raise DataError(f"{path} is damaged: parts of the sparse matrix {key} are missing.")
    n_cells, n_genes = (int(size) for size in element.attrs["shape"])
    data, indices, pointers = (element[part] for part in ("data", "indices", "indptr"))
    for part, kinds in ((data, "biuf"), (indices, "iu"), (pointers, "iu")):
        if not isinstance(part, h5py.Dataset) or len(part.shape or ()) != 1 or part.dtype.kind not in kinds:
            raise DataError(f"{path} is damaged: the sparse matrix {key} holds values of another kind.")
    n_major, n_minor = (n_cells, n_genes) if kind == "csr_matrix" else (n_genes, n_cells)
    if len(pointers) != n_major + 1 or len(data) != len(indices):
        raise DataError(f"{path} is damaged: the sparse matrix {key} is cut short.")
    return Matrix(key, CheckedSparse(element, f"{key} of {path}", n_minor), kind[:3], (n_cells, n_genes))


def detect_kind(matrix: Matrix) -> Evidence:
    """Tell what kind of values a matrix holds from a sample of at most 2,000 cells.

    Negative values mean scaled; whole numbers, counts (however small); values up to 24 whose ``expm1`` totals agree
    between cells (coefficient of variation below 1 %), log1p of that total; other values up to 24, log values; the
    rest, normalised but not logged.
    """
    values, totals, n_cells = _sample(matrix)
    values = values[np.isfinite(values)].astype(np.float64)
    seen = f"in {n_cells:,} cells"
    if not len(values):
        return Evidence(MatrixKind.COUNTS, KIND_TEXT[MatrixKind.COUNTS], f"only zeros {seen}")
    low, high = min(float(values.min()), 0.0), float(values.max())
    if low < 0:
        reason = f"negative values, {low:.3g} to {high:.3g}, {seen}"
        return Evidence(MatrixKind.SCALED, KIND_TEXT[MatrixKind.SCALED], reason)
    if np.all(values == np.floor(values)):
        return Evidence(MatrixKind.COUNTS, KIND_TEXT[MatrixKind.COUNTS], f"whole numbers, 0 to {high:,.0f}, {seen}")
    if high > LOG_MAXIMUM:
        reason = f"fractions up to {high:,.3g} {seen}"
        return Evidence(MatrixKind.NORMALISED, KIND_TEXT[MatrixKind.NORMALISED], reason)
    totals = totals[totals > 0]
    if len(totals) > 1 and totals.std() < 0.01 * totals.mean():
        total = float(np.median(totals))
        description = f"log1p, {round(total, -1) if total > 100 else round(total, 2):,.0f} per cell"
        return Evidence(MatrixKind.LOG1P, description, f"expm1 totals agree ({total:,.1f} per cell) {seen}")
    reason = f"fractions up to {high:.3g}, totals differ, {seen}"
    return Evidence(MatrixKind.LOG, KIND_TEXT[MatrixKind.LOG], reason)


def _sample(matrix: Matrix) -> tuple[np.ndarray, np.ndarray, int]:
    """Return stored values of a sample of cells, the cells' ``expm1`` totals, and the number of cells."""
    n_cells = matrix.shape[0]
    if matrix.storage == "csc":
        # A column-major file holds whole genes: look at the cells only when it is small enough to be read.
        values = matrix.element["data"][: 4 * BLOCK]
        if len(values) < matrix.stored:
            return values, np.zeros(0), n_cells
        cells = matrix.element["indices"][:]
        return values, np.bincount(cells, _expm1(values), n_cells), n_cells
    blocks = min(20, max(1, n_cells // 100))
    starts = np.linspace(0, max(0, n_cells - SAMPLE_CELLS // blocks), blocks).astype(int)
    pieces, totals, seen, last = [], [], 0, 0
    for wanted in starts:
        start = max(int(wanted), last)
        end = min(n_cells, start + SAMPLE_CELLS // blocks)
        if start >= end:
            continue
        values, lengths = matrix.rows(start, end)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        pieces.append(values)
        totals.append(np.bincount(owner, _expm1(values), len(lengths)))
        seen, last = seen + len(lengths), end
    if not pieces:
        return np.zeros(0), np.zeros(0), 0
    return np.concatenate(pieces), np.concatenate(totals), seen


def _expm1(values: np.ndarray) -> np.ndarray:
    """Undo log1p, leaving out values no log1p matrix has (they would overflow)."""
    return np.expm1(np.clip(values.astype(np.float64), 0, LOG_MAXIMUM))
