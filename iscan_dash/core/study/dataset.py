"""One ``.h5ad`` file, opened read-only."""

import logging
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from iscan_dash.core.study.columns import (
    Column,
    NumberColumn,
    category_from_levels,
    category_from_values,
    value_text,
)
from iscan_dash.core.study.damage import first_line, reading, refuse_harm
from iscan_dash.core.study.elements import encoding, n_values, read_element, read_levels, read_texts
from iscan_dash.core.study.gene_index import DamagedIndex, GeneIndex, IndexShelf, is_worth_indexing
from iscan_dash.core.study.gene_table import GeneTable
from iscan_dash.core.study.matrices import Matrix, Tell, find_matrices
from iscan_dash.errors import DataError, UnknownColumn

CHUNK = 65_536
"""Cell ids read at once."""

UNREADABLE = "unreadable"
"""Type of a column whose encoding we do not know; it is shown as such and ignored."""

READABLE = frozenset(
    {"", "array", "string-array", "categorical", "nullable-integer", "nullable-boolean", "nullable-string-array"}
)
"""Encodings of columns; the empty one is that of files written before AnnData 0.8."""

log = logging.getLogger(__name__)

COLOUR = re.compile(r"^#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?$")


@dataclass(frozen=True, eq=False)
class Dataset:
    """An open ``.h5ad`` file; nothing is read before it is asked for.

    Parameters
    ----------
    path
        Where the file is.
    file
        The open HDF5 file, read-only.
    n_cells
        Number of cells.
    matrices
        Its matrices by key (``"X"``, ``"raw/X"``, ``"layers/counts"``).
    stamp
        Time of the last change (nanoseconds) and size (bytes) when the file was opened.
    indices
        Where genes of its large row-major matrices are found quickly.
    """

    path: Path
    file: h5py.File
    n_cells: int
    matrices: dict[str, Matrix] = field(repr=False)
    stamp: tuple[int, int]
    indices: IndexShelf = field(default_factory=IndexShelf, repr=False)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem

    @property
    def index_name(self) -> str:
        """The name under which the file keeps the cell ids."""
        return _text(self.file["obs"].attrs["_index"])

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Names of the obs columns, in the file's order, without the index."""
        with reading(f"The table of cells of {self.path.name}"):
            obs = self.file["obs"]
            order = [_text(name) for name in np.ravel(obs.attrs.get("column-order", []))]
            return tuple(name for name in dict.fromkeys(order) if name in obs)

    def column_type(self, name: str) -> str:
        """Return the type of an obs column as the user knows it, without reading it."""
        try:
            element = self.file["obs"][name]
            kind = encoding(element)
        except Exception:  # noqa: BLE001 - whatever HDF5 objects to, the column cannot be used
            return UNREADABLE
        if kind == "categorical":
            return "category"
        if kind not in READABLE:
            return UNREADABLE
        if kind.startswith("nullable-"):
            return kind.removeprefix("nullable-").removesuffix("-array")
        if isinstance(element, h5py.Dataset):
            return "text" if element.dtype.kind in "OSU" else str(element.dtype)
        return kind or UNREADABLE

    def column(self, name: str) -> Column:
        """Read one obs column.

        Raises
        ------
        UnknownColumn
            The file has no such column.
        DataError
            The column cannot be read.
        """
        if name not in self.column_names:
            raise UnknownColumn(f'{self.path.name} has no obs column "{name}".')
        what = f'Column "{name}" of {self.path.name}'
        with reading(what):
            obs = self.file["obs"]
            if (size := n_values(obs[name])) != self.n_cells:
                raise DataError(f"{what} has {size:,} values for {self.n_cells:,} cells.")
            values = read_element(obs, name)
            if values.ndim != 1:
                raise DataError(f"{what} has several values for each cell.")
            return _as_column(name, values)

    def colours(self, name: str) -> dict[str, str]:
        """Return the colours that the file gives to a category's labels (``uns["<name>_colors"]``), or nothing."""
        try:
            element = self.file.get(f"uns/{name}_colors")
            if not isinstance(element, h5py.Dataset) or self.column_type(name) != "category":
                return {}
            colours = [_text(colour).lower() for colour in np.ravel(element[()])]
            labels = [value_text(level) for level in read_levels(self.file["obs"], name)]
        except Exception:  # noqa: BLE001 - whatever HDF5 objects to: there are other colours
            return {}
        if len(labels) != len(colours) or not all(COLOUR.match(colour) for colour in colours):
            return {}
        return {label: colour[:7] for label, colour in zip(labels, colours, strict=True) if label}

    def cell_ids(self, column: str | None = None) -> Iterator[list[bytes]]:
        """Read the cell ids in blocks, as UTF-8.

        Parameters
        ----------
        column
            An obs column to use instead of the index.
        """
        obs = self.file["obs"]
        key = column or self.index_name
        if key not in obs:
            raise UnknownColumn(f'{self.path.name} has no obs column "{key}" to take the cell ids from.')
        what = f"The cell ids of {self.path.name}"
        with reading(what):
            element = obs[key]
            is_plain = isinstance(element, h5py.Dataset) and element.dtype.kind == "O"
            is_plain = is_plain and h5py.check_string_dtype(element.dtype) is not None
            if not is_plain:
                texts = read_texts(obs, key)
        if not is_plain:
            yield [text.encode("utf-8", "backslashreplace") for text in texts]
            return
        for start in range(0, self.n_cells, CHUNK):
            with reading(what):
                ids = element[start : start + CHUNK].tolist()
            yield ids

    @cached_property
    def embeddings(self) -> tuple[str, ...]:
        """Names of the obsm arrays with two or more columns; those that cannot be read are left out."""
        found = []
        with reading(f"The part obsm of {self.path.name}"):
            obsm = self.file.get("obsm", {})
            names = list(obsm) if isinstance(obsm, h5py.Group) else []
        for name in names:
            with suppress(DataError), reading(name):
                element = obsm[name]
                is_table = isinstance(element, h5py.Dataset) and len(element.shape or ()) == 2
                is_of_cells = is_table and element.dtype.kind in "iuf" and element.shape[0] == self.n_cells
                if is_of_cells and element.shape[1] >= 2:
                    found.append(name)
        return tuple(found)

    def embedding(self, name: str) -> np.ndarray:
        """Read the first two columns of an embedding; shape (n_cells, 2), float32.

        Raises
        ------
        DataError
            It cannot be read.
        """
        with reading(f"The embedding {name} of {self.path.name}"), np.errstate(over="ignore"):
            xy: np.ndarray = self.file["obsm"][name][:, :2].astype(np.float32)
            return xy

    def genes(self, matrix: str = "X") -> GeneTable:
        """Return the table of genes of a matrix."""
        return self._raw_genes if matrix == "raw/X" else self._genes

    def gene_names(self, matrix: str = "X", column: str | None = None) -> tuple[str, ...]:
        """Return the gene names of a matrix, in a column of its table of genes; see `GeneTable.names`."""
        return self.genes(matrix).names(column)

    def is_searched(self, matrix: str) -> bool:
        """Tell whether a gene of a matrix is found by a long search, for want of an index."""
        return is_worth_indexing(self.matrices[matrix]) and self._index(matrix) is None

    def gene(self, matrix: str, column: int, tell: Tell = lambda _: None) -> np.ndarray:
        """Read one gene for all cells, by the index of the matrix when there is one; see `Matrix.gene`."""
        index, damaged = self._index(matrix), None
        if index is not None:
            try:
                return index.gene(column)
            except (DamagedIndex, OSError) as error:
                log.warning("%s: genes are searched for in %s until the index can be read.", error, self.path.name)
                self.indices.ready.pop(matrix, None)
                # Anything else, such as too many open files, says nothing about the index.
                damaged = column if isinstance(error, DamagedIndex) else None
        if self.is_searched(matrix):
            self.indices.searched(matrix, damaged)
        return self.matrices[matrix].gene(column, tell)

    def _index(self, matrix: str) -> GeneIndex | None:
        # Of a file that was changed it knows what that held before.
        return self.indices.ready.get(matrix) if self.is_unchanged() else None

    @cached_property
    def _genes(self) -> GeneTable:
        return GeneTable(self.file["var"], self.path.name)

    @cached_property
    def _raw_genes(self) -> GeneTable:
        return GeneTable(self.file["raw/var"], f"raw in {self.path.name}")

    def is_unchanged(self) -> bool:
        """Tell whether the file on disk is still the one that was opened, as far as its time and size show."""
        try:
            return _stamp(self.path) == self.stamp
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def open_dataset(path: Path) -> Dataset:
    """Open an ``.h5ad`` file read-only.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    DataError
        The file is missing, is not HDF5, is damaged, is not an AnnData file, or holds no cell. The message is one
        sentence for the user.
    """
    _refuse_other_formats(path)
    try:
        file = h5py.File(path, "r")
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: permission denied.") from error
    except OSError as error:
        if "unable to lock" in str(error):
            raise DataError(f"{path} is being written by another program. Close it there, then try again.") from error
        damage = "is cut short" if "truncated" in str(error) else "is damaged"
        raise DataError(f"{path} {damage} and cannot be opened as HDF5. Copy or download it again.") from error
    try:
        return _check(path, file)
    except DataError:
        file.close()
        raise
    except Exception as error:
        file.close()
        raise DataError(f"{path} is damaged: {first_line(error)}. Write or copy it again.") from error


def _refuse_other_formats(path: Path) -> None:
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder. Name the .h5ad files in it.")
        with path.open("rb") as stream:
            magic = stream.read(8)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist. Check the path.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not magic:
        raise DataError(f"{path} is empty. Copy or download it again.")
    if magic[:2] == b"\x1f\x8b":
        raise DataError(f"{path} is compressed with gzip. Unpack it first (gunzip), then open the .h5ad file.")
    if magic[:2] == b"PK" and zipfile.is_zipfile(path):
        raise DataError(f"{path} is a zip archive. Unpack it first, then open the .h5ad file.")
    if not h5py.is_hdf5(path):
        raise DataError(f"{path} is not an HDF5 file, so it is no .h5ad file. Choose a file written by AnnData.")


def _check(path: Path, file: h5py.File) -> Dataset:
    """Tell an AnnData file from other HDF5 files, and look at the parts we rely on."""
    refuse_harm(file)
    if "obs" not in file or "var" not in file:
        what = " (it looks like a 10x Genomics matrix)" if "matrix" in file else ""
        raise DataError(f"{path} is HDF5 but not AnnData{what}: it has no obs and var. Convert it with scanpy first.")
    obs, var = file["obs"], file["var"]
    if any(isinstance(table, h5py.Dataset) or "_index" not in table.attrs for table in (obs, var)):
        raise DataError(
            f"{path} was written by an AnnData older than 0.7. Open it with anndata and write it again, then try anew."
        )
    n_cells = _n_rows(path, obs, "cell")
    if n_cells == 0:
        raise DataError(f"{path} holds no cells.")
    matrices = find_matrices(file)
    for matrix in matrices.values():
        n_genes = _n_rows(path, file["raw/var"] if matrix.key == "raw/X" else var, "gene")
        if matrix.shape[0] != n_cells:
            raise DataError(f"{path} is damaged: {matrix.key} has {matrix.shape[0]:,} rows for {n_cells:,} cells.")
        if matrix.shape[1] != n_genes:
            raise DataError(f"{path} is damaged: {matrix.key} has {matrix.shape[1]:,} columns for {n_genes:,} genes.")
    return Dataset(path.resolve(), file, n_cells, matrices, _stamp(path))


def _n_rows(path: Path, table: h5py.Group, what: str) -> int:
    index = _text(table.attrs["_index"])
    if index not in table:
        raise DataError(f"{path} is damaged: its {what} index ({index}) is missing. Write it again.")
    return n_values(table[index])


def _as_column(name: str, values: Any) -> Column:
    import pandas as pd

    if isinstance(values, pd.Categorical):
        return category_from_levels(name, np.asarray(values.codes), list(values.categories), ordered=True)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        floats = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
        return NumberColumn(name, values if values.dtype.kind == "f" else floats)
    if pd.api.types.is_integer_dtype(values) or pd.api.types.is_float_dtype(values):
        return NumberColumn(name, values.to_numpy(dtype=np.float64, na_value=np.nan))
    if isinstance(values, np.ndarray) and values.dtype.kind in "mM":
        # Of finer times than microseconds Python makes whole numbers.
        values = values.astype(f"{values.dtype.kind}8[us]")
    return category_from_values(name, np.asarray(values, dtype=object))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
