"""A study: the files a lab opens together, as one table of cells that never changes."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count, pairwise
from os.path import realpath
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from iscan_dash.core.room import Room
from iscan_dash.core.study.columns import (
    CLUSTER_NAME,
    CategoryColumn,
    Column,
    NumberColumn,
    concatenate,
    n_bytes,
)
from iscan_dash.core.study.dataset import CHUNK, UNREADABLE, Dataset, open_dataset
from iscan_dash.core.study.fingerprint import content_fingerprint
from iscan_dash.core.study.long_searches import LongSearches
from iscan_dash.core.study.matrices import LINEAR, Evidence, MatrixKind, Tell, detect_kind
from iscan_dash.core.study.row_filter import IdColumn
from iscan_dash.errors import DataError, UnknownColumn

SAMPLE_COLUMNS = ("sample", "sample_id", "Sample", "batch", "orig.ident", "library", "donor")
"""Columns taken as the sample when they have 2 to 500 levels, the first that fits."""

SAMPLE_LEVELS = range(2, 501)

EMBEDDING_ORDER = ("umap", "tsne", "draw_graph", "phate", "spatial", "pca")
"""What to show first when a study has several embeddings."""

QC_AXES = "qc"
"""Name of the fallback plot for studies without an embedding."""

QC_COLUMNS = (
    ("n_counts", "total_counts", "nCount_RNA", "n_umi", "nUMI"),
    ("n_genes", "n_genes_by_counts", "nFeature_RNA", "nGene"),
)

FILE_COLUMN = "Sample"
"""Name of the column that tells files apart, when no obs column tells samples."""

KIND_ORDER = (
    MatrixKind.LOG1P,
    MatrixKind.LOG,
    MatrixKind.COUNTS,
    MatrixKind.NORMALISED,
    MatrixKind.SCALED,
)
"""The kinds of values in the order they are preferred for showing a gene."""

ALIKE = (
    {MatrixKind.LOG1P},
    {MatrixKind.LOG},
    {MatrixKind.LOG1P, MatrixKind.LOG},
    *({kind} for kind in KIND_ORDER[2:]),
)
"""Kinds that files may show side by side, the best first: any log values rather than the counts of all."""

ROOM = 2 << 30
"""Bytes for columns and embeddings, unless the study's `room` is given other ones."""

T = TypeVar("T")


@dataclass(frozen=True)
class ColumnInfo:
    """What is known of an obs column without reading it.

    Parameters
    ----------
    name
        Its name.
    type
        Its type as the user knows it (``"category"``, ``"text"``, ``"float32"`` ...); ``"file"`` for the column that
        tells the files apart.
    treat_as
        ``"category"``, ``"number"`` or ``"ignore"``.
    role
        ``"sample"``, ``"cluster"`` or ``"metadata"``.
    n_files
        How many files of the study have it.
    """

    name: str
    type: str
    treat_as: str
    role: str
    n_files: int


@dataclass(frozen=True)
class Choices:
    """What the user decided about a study, where our guess was not right.

    Parameters
    ----------
    treat_as
        ``"category"``, ``"number"`` or ``"ignore"`` by column.
    roles
        ``"cluster"`` or ``"metadata"`` by column.
    sample_column
        The column that tells samples apart, ``""`` for none, None to choose it automatically.
    matrix_kinds
        Kind of values by ``"<file name>:<matrix key>"``.
    """

    treat_as: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    sample_column: str | None = None
    matrix_kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Gene:
    """Where a gene is found.

    Parameters
    ----------
    name
        Its name.
    in_x
        Whether any file has it in ``X``; otherwise it is only in ``raw``.
    n_files
        How many files have it.
    """

    name: str
    in_x: bool
    n_files: int


Watch = Callable[[float | None], None]
"""Is told the part of a search that is done, None while others go first; ends it by raising."""


def _nobody(_part: float | None) -> None:
    """Tell nobody."""


class _Shared:
    """What the views of one study share: values read from disk, each read once, or again when there was no room."""

    def __init__(self) -> None:
        self.room = Room(ROOM)
        self._columns = self.room.shelf()
        self._values: dict[Any, Any] = {}
        self._locks: dict[Any, threading.Lock] = {}
        self._guard = threading.Lock()
        self.searches = LongSearches()

    def get(self, key: Any, make: Callable[[], T]) -> T:
        """Return a value that is kept for good."""
        with self._guard:
            if key in self._values:
                value: T = self._values[key]
                return value
        with self._lock(key):
            if key not in self._values:
                self._values[key] = make()
            value = self._values[key]
            return value

    def get_large(self, key: Any, make: Callable[[], T], n_bytes: Callable[[T], int]) -> T:
        """Return a value that is kept while there is room."""
        value: T | None = self._columns.get(key)
        if value is None:
            with self._lock(key):
                value = self._columns.get(key)
                if value is None:
                    value = make()
                    self._columns.put(key, value, n_bytes(value))
        return value

    def _lock(self, key: Any) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())


@dataclass(frozen=True, eq=False)
class Study:
    """One or more ``.h5ad`` files opened together, read-only; everything is read when first asked for.

    Parameters
    ----------
    datasets
        The open files; their cells follow each other in this order.
    title
        What the study is called on the page.
    obs_names
        An obs column that holds the cell ids, instead of the index.
    choices
        What the user decided where our guess was not right.
    watch
        Is given the name of a gene that takes a long search, and gives what is told of its progress, which may end it.
    """

    datasets: tuple[Dataset, ...]
    title: str
    obs_names: str | None = None
    choices: Choices = field(default_factory=Choices)
    watch: Callable[[str], AbstractContextManager[Watch]] = field(default=lambda _: nullcontext(_nobody), repr=False)
    _shared: _Shared = field(default_factory=_Shared, repr=False)

    @property
    def room(self) -> Room:
        """Where columns and embeddings that were read are kept; those that there is no room for are read again."""
        return self._shared.room

    def with_choices(self, choices: Choices) -> "Study":
        """Return the same study seen with other choices; nothing is read again."""
        return replace(self, choices=choices)

    def watched(self, watch: Callable[[str], AbstractContextManager[Watch]]) -> "Study":
        """Return the same study whose long searches for genes are told to somebody else; see `watch`."""
        return replace(self, watch=watch)

    @property
    def n_cells(self) -> int:
        """Number of cells of all files."""
        return sum(dataset.n_cells for dataset in self.datasets)

    @cached_property
    def offsets(self) -> np.ndarray:
        """Row of the first cell of each file, and the number of cells; shape (n_files + 1,), int64."""
        return np.cumsum([0, *(dataset.n_cells for dataset in self.datasets)])

    # -- cells ---------------------------------------------------------------------------------------------------

    @property
    def cell_ids(self) -> np.ndarray:
        """The cell ids as UTF-8 bytes of fixed width; shape (n_cells,)."""

        def read() -> np.ndarray:
            pieces = [np.array(block) for dataset in self.datasets for block in dataset.cell_ids(self.obs_names)]
            return np.concatenate(pieces)

        return self._shared.get("cell ids", read)

    @property
    def fingerprint(self) -> str:
        """Hash of the ordered cells: the same for the same cells, wherever the files are."""

        def compute() -> str:
            ids, ends = self.cell_ids, self.offsets.tolist()
            files = [
                (end - start, (ids[row : min(row + CHUNK, end)].tolist() for row in range(start, end, CHUNK)))
                for start, end in pairwise(ends)
            ]
            return content_fingerprint(files)

        return self._shared.get("fingerprint", compute)

    @property
    def samples(self) -> CategoryColumn:
        """The sample of each cell."""
        return self._shared.get_large(("samples", self.sample_column), self._read_samples, n_bytes)

    @property
    def sample_column(self) -> str | None:
        """The obs column that tells the samples apart, None when each file is a sample."""
        if self.choices.sample_column is not None:
            return self.choices.sample_column or None
        return self._shared.get("sample column", self._find_sample_column)

    def _find_sample_column(self) -> str | None:
        for name in SAMPLE_COLUMNS:
            for dataset in self.datasets:
                if name in dataset.column_names and dataset.column_type(name) in {"category", "text", "string"}:
                    column = dataset.column(name)
                    if isinstance(column, CategoryColumn) and len(column.labels) in SAMPLE_LEVELS:
                        return name
        return None

    @cached_property
    def file_column(self) -> str | None:
        """Name of the column that tells the files apart; None when an obs column of all files tells the samples.

        It is in no file. A name that an obs column has already gets a number.
        """
        own = self.sample_column
        if len(self.datasets) < 2 or (own and all(own in dataset.column_names for dataset in self.datasets)):
            return None
        taken = {name.casefold() for dataset in self.datasets for name in dataset.column_names}
        names = (FILE_COLUMN, *(f"{FILE_COLUMN} ({number})" for number in range(2, len(taken) + 3)))
        return next(name for name in names if name.casefold() not in taken)

    def _read_samples(self) -> CategoryColumn:
        name, parts = self.sample_column, []
        file_names = self.file_names
        for dataset, file_name in zip(self.datasets, file_names, strict=True):
            whole_file = CategoryColumn("Sample", np.zeros(dataset.n_cells, np.int8), (file_name,))
            if name is None or name not in dataset.column_names:
                parts.append(whole_file)
                continue
            column = dataset.column(name)
            column = column if isinstance(column, CategoryColumn) else column.as_category()
            if column.n_missing:
                codes = np.where(column.codes < 0, len(column.labels), column.codes)
                column = CategoryColumn("Sample", codes, (*column.labels, f"{file_name} (no sample)"))
            parts.append(column)
        repeated = [
            label for label, times in Counter(label for part in parts for label in part.labels).items() if times > 1
        ]
        if repeated:
            # "1" of one file and "1" of another are different samples.
            parts = [
                CategoryColumn(part.name, part.codes, tuple(f"{file_name}:{label}" for label in part.labels))
                for part, file_name in zip(parts, file_names, strict=True)
            ]
        joined = concatenate("Sample", parts)
        assert isinstance(joined, CategoryColumn)
        return joined

    @property
    def id_column(self) -> IdColumn:
        """The cell ids as a column of a table, one for all tables."""
        return self._shared.get("id column", lambda: IdColumn("Cell ID", self.cell_ids))

    # -- columns -------------------------------------------------------------------------------------------------

    @cached_property
    def columns(self) -> dict[str, ColumnInfo]:
        """The obs columns by name, in the order of the files, nothing of them read; then `file_column`, if any."""
        found: dict[str, ColumnInfo] = {}
        names = dict.fromkeys(name for dataset in self.datasets for name in dataset.column_names)
        for name in names:
            types = [dataset.column_type(name) for dataset in self.datasets if name in dataset.column_names]
            found[name] = self._describe(name, types)
        if own := self.file_column:
            treat_as = self.choices.treat_as.get(own, "category")
            found[own] = ColumnInfo(own, "file", treat_as, "sample", len(self.datasets))
        return found

    def _describe(self, name: str, types: list[str]) -> ColumnInfo:
        is_number = all(type_.startswith(("int", "uint", "float")) for type_ in types)
        is_integer = is_number and not any(type_.startswith("float") for type_ in types)
        looks_like_cluster = bool(CLUSTER_NAME.search(name)) and (not is_number or is_integer)
        role = self.choices.roles.get(name, "cluster" if looks_like_cluster else "metadata")
        treat_as = "number" if is_number and role != "cluster" else "category"
        type_ = types[0] if len(set(types)) == 1 else "mixed"
        if name == self.sample_column:
            role, treat_as = "sample", "category"
        if UNREADABLE in types:
            return ColumnInfo(name, UNREADABLE, "ignore", "metadata", len(types))
        return ColumnInfo(name, type_, self.choices.treat_as.get(name, treat_as), role, len(types))

    def column(self, name: str) -> Column:
        """Read an obs column, joined over the files, as it is treated now.

        Raises
        ------
        UnknownColumn
            The study has no such column.
        """
        if name not in self.columns:
            raise UnknownColumn(f'This study has no metadata column "{name}".')
        if name == self.file_column:
            return replace(self.samples, name=name)

        def read() -> Column:
            parts: list[Column | int] = [
                dataset.column(name) if name in dataset.column_names else dataset.n_cells for dataset in self.datasets
            ]
            return concatenate(name, parts)

        column = self._shared.get_large(("column", name), read, n_bytes)
        if isinstance(column, NumberColumn) and self.columns[name].treat_as == "category":
            return self._shared.get_large(("category", name), column.as_category, n_bytes)
        return column

    def category(self, name: str) -> CategoryColumn:
        """Read an obs column as labels, whatever it holds."""
        column = self.column(name)
        if isinstance(column, CategoryColumn):
            return column
        return self._shared.get_large(("category", name), column.as_category, n_bytes)

    def copyable(self, name: str, max_levels: int) -> bool:
        """Tell whether a column's values may be copied into an annotation.

        Categories always; numbers only when they are whole and have at most `max_levels` different values.
        """
        info = self.columns[name]
        if info.treat_as == "ignore":
            return False
        column = self.column(name)
        if isinstance(column, CategoryColumn):
            return True
        return column.is_integral and len(np.unique(column.values[~np.isnan(column.values)])) <= max_levels

    def colours(self, name: str) -> dict[str, str]:
        """Return the colours that the files give to a column's labels; the first file that has one decides."""
        found: dict[str, str] = {}
        for dataset in reversed(self.datasets):
            if name in dataset.column_names:
                found |= dataset.colours(name)
        return found

    # -- embeddings ----------------------------------------------------------------------------------------------

    @cached_property
    def embeddings(self) -> tuple[str, ...]:
        """Names of the embeddings of any file, the most useful first; the QC axes when there is none."""
        names = dict.fromkeys(name for dataset in self.datasets for name in dataset.embeddings)
        if not names:
            return (QC_AXES,)
        return tuple(sorted(names, key=_embedding_rank))

    def embedding(self, name: str) -> np.ndarray:
        """Read an embedding's first two axes for all cells; NaN where a file lacks it or a value is not finite.

        Every study has the QC axes, whether they are among its `embeddings` or not.

        Returns
        -------
        numpy.ndarray
            shape (2, n_cells), float32, C-contiguous.
        """
        if name not in (*self.embeddings, QC_AXES):
            raise UnknownColumn(f'This study has no embedding "{name}".')

        def read() -> np.ndarray:
            if not any(name in dataset.embeddings for dataset in self.datasets):
                return self._qc_axes()
            xy = np.full((2, self.n_cells), np.nan, np.float32)
            for dataset, start in zip(self.datasets, self.offsets, strict=False):
                if name in dataset.embeddings:
                    xy[:, start : start + dataset.n_cells] = dataset.embedding(name).T
            xy[:, ~np.isfinite(xy).all(axis=0)] = np.nan
            return xy

        return self._shared.get_large(("embedding", name), read, lambda xy: xy.nbytes)

    def is_joint(self, name: str) -> bool:
        """Tell whether several files have this embedding, so that their coordinates may not be comparable."""
        return sum(name in dataset.embeddings for dataset in self.datasets) > 1

    def _qc_axes(self) -> np.ndarray:
        xy = np.full((2, self.n_cells), np.nan, np.float32)
        for dataset, start in zip(self.datasets, self.offsets, strict=False):
            names = [next((name for name in options if name in dataset.column_names), None) for options in QC_COLUMNS]
            columns = [dataset.column(name) if name else None for name in names]
            if all(isinstance(column, NumberColumn) for column in columns):
                values = [column.values for column in columns if isinstance(column, NumberColumn)]
            elif dataset.matrices:
                values = list(self._counts_matrix(dataset).cell_totals())
            else:
                continue
            xy[:, start : start + dataset.n_cells] = values
        xy[:, ~np.isfinite(xy).all(axis=0)] = np.nan
        return xy

    def _counts_matrix(self, dataset: Dataset) -> Any:
        kinds = {key: self.matrix_kind(dataset, key).kind for key in dataset.matrices}
        best = next((key for key, kind in kinds.items() if kind is MatrixKind.COUNTS), next(iter(kinds)))
        return dataset.matrices[best]

    # -- expression ----------------------------------------------------------------------------------------------

    @cached_property
    def file_names(self) -> tuple[str, ...]:
        """The files' names without their ending, numbered where they repeat."""
        return tuple(_distinct([dataset.name for dataset in self.datasets]))

    def matrix_name(self, dataset: Dataset, key: str) -> str:
        """Return what a matrix of a file is called in `Choices.matrix_kinds`."""
        return f"{self.file_names[self.datasets.index(dataset)]}:{key}"

    def matrix_kind(self, dataset: Dataset, key: str) -> Evidence:
        """Tell what kind of values a matrix of a file holds, as detected or as the user decided."""
        detected = self._shared.get(("kind", dataset.path, key), lambda: detect_kind(dataset.matrices[key]))
        chosen = self.choices.matrix_kinds.get(self.matrix_name(dataset, key))
        if chosen is None:
            return detected
        return Evidence(MatrixKind(chosen), f"{chosen} (chosen by you)", detected.reason)

    @cached_property
    def shown_matrices(self) -> tuple[str | None, ...]:
        """The matrix of each file that shows a gene: of the same kind in all files where that is possible."""
        kinds = [{key: self.matrix_kind(dataset, key).kind for key in dataset.matrices} for dataset in self.datasets]
        alike = next((some for some in ALIKE if all(some & set(found.values()) for found in kinds)), set(KIND_ORDER))
        order = [kind for kind in KIND_ORDER if kind in alike]
        return tuple(
            next((key for kind in order for key, own in found.items() if own is kind), None) for found in kinds
        )

    @property
    def genes(self) -> dict[str, Gene]:
        """The genes of all files by name: those of ``X`` first, then those that only ``raw`` has."""
        return self._shared.get("genes", self._read_genes)

    def _read_genes(self) -> dict[str, Gene]:
        in_x = [dict.fromkeys(dataset.gene_names()) for dataset in self.datasets]
        in_raw = [
            dict.fromkeys(dataset.gene_names("raw/X") if "raw/X" in dataset.matrices else ())
            for dataset in self.datasets
        ]
        n_files = Counter(name for own, raw in zip(in_x, in_raw, strict=True) for name in own | raw)
        first = dict.fromkeys(name for own in in_x for name in own)
        rest = dict.fromkeys(name for raw in in_raw for name in raw if name not in first)
        return {name: Gene(name, name in first, n_files[name]) for name in (*first, *rest) if name}

    @cached_property
    def matrix_keys(self) -> tuple[str, ...]:
        """Keys of the matrices of all files, such as ``"X"`` and ``"layers/counts"``."""
        return tuple(dict.fromkeys(key for dataset in self.datasets for key in dataset.matrices))

    def gene(self, name: str, matrix: str = "") -> NumberColumn:
        """Read a gene's values for all cells; NaN for the cells of files that lack it.

        Parameters
        ----------
        name
            The gene's name.
        matrix
            Key of the matrix to read; the one that suits each file best when empty.

        Raises
        ------
        UnknownColumn
            No file has a gene of that name, or a matrix of that key.
        GeneNotRead
            It takes a long search, and too many wait for theirs already, or whoever watches it ended it.
        """
        if name not in self.genes:
            raise UnknownColumn(f'This study has no gene "{name}".')
        keys = self.gene_matrices(name, matrix)
        if not any(key and dataset.is_searched(key) for dataset, key in zip(self.datasets, keys, strict=True)):
            return NumberColumn(name, self._read_gene(name, keys))
        with self.watch(name) as tell:
            find = partial(self._read_gene, name, keys, tell)
            return NumberColumn(name, self._shared.searches.search(name, keys, find, lambda: tell(None)))

    def _read_gene(self, name: str, keys: tuple[str | None, ...], tell: Tell = _nobody) -> np.ndarray:
        values = np.full(self.n_cells, np.nan, np.float32)
        for dataset, key, (start, end) in zip(self.datasets, keys, pairwise(self.offsets.tolist()), strict=True):

            def tell_all(part: float, start: int = start, end: int = end) -> None:
                tell((start + part * (end - start)) / self.n_cells)

            if key:
                place = self._gene_places(dataset, "raw/X" if key == "raw/X" else "X")[name]
                values[start:end] = dataset.gene(key, place, tell_all)
        # The same array is given to whoever asks for this gene next.
        values.flags.writeable = False
        return values

    def gene_matrices(self, name: str, matrix: str = "") -> tuple[str | None, ...]:
        """Return the matrix of each file that a gene is read from, None where the file lacks the gene; see `gene`."""
        if matrix and matrix not in self.matrix_keys:
            raise UnknownColumn(f'This study has no matrix "{matrix}".')
        found = []
        for dataset, shown in zip(self.datasets, self.shown_matrices, strict=True):
            keys = (key for key in ((matrix,) if matrix else (shown, "raw/X", "X")) if key in dataset.matrices)
            places = ((key, self._gene_places(dataset, "raw/X" if key == "raw/X" else "X")) for key in keys)
            found.append(next((key for key, place in places if name in place), None))
        return tuple(found)

    def gene_kinds(self, name: str, matrix: str = "") -> tuple[MatrixKind | None, ...]:
        """Return what a gene's values are in each file, None where the file lacks the gene; see `gene`."""
        return tuple(
            self.matrix_kind(dataset, key).kind if key else None
            for dataset, key in zip(self.datasets, self.gene_matrices(name, matrix), strict=True)
        )

    def logged_gene(self, gene: NumberColumn, matrix: str = "") -> NumberColumn:
        """Turn the values of a gene into what colours the cells: log1p of counts and of what else is not logged."""
        values = gene.values.copy()
        for kind, start, end in zip(self.gene_kinds(gene.name, matrix), self.offsets, self.offsets[1:], strict=False):
            if kind in LINEAR:
                own = values[start:end]
                # A matrix may be told to hold counts and have negative values all the same.
                values[start:end] = np.copysign(np.log1p(np.abs(own)), own)
        return NumberColumn(gene.name, values)

    def _gene_places(self, dataset: Dataset, matrix: str) -> dict[str, int]:
        def index() -> dict[str, int]:
            places: dict[str, int] = {}
            for position, name in enumerate(dataset.gene_names(matrix)):
                places.setdefault(name, position)
            return places

        return self._shared.get(("places", dataset.path, matrix), index)

    def close(self) -> None:
        """Close the files."""
        for dataset in self.datasets:
            dataset.close()


def open_study(
    paths: Sequence[Path],
    *,
    title: str | None = None,
    obs_names: str | None = None,
    sample_column: str | None = None,
) -> Study:
    """Open files as one study, without reading more than their structure.

    Parameters
    ----------
    paths
        One or more ``.h5ad`` files; each is a sample unless it has a sample column.
    title
        What to call the study; the file's name when None.
    obs_names
        An obs column that holds the cell ids, instead of the index.
    sample_column
        The obs column that tells samples apart; chosen automatically when None.

    Raises
    ------
    DataError
        A file cannot be opened, is named twice, or lacks a column that was asked for.
    """
    if not paths:
        raise DataError("Name at least one .h5ad file.")
    twice = [path for path, times in Counter(realpath(path) for path in paths).items() if times > 1]
    if twice:
        raise DataError(f"{twice[0]} is named twice.")
    datasets: list[Dataset] = []
    try:
        for path in paths:
            datasets.append(open_dataset(path))
        if sample_column and not any(sample_column in dataset.column_names for dataset in datasets):
            raise DataError(f'No file has an obs column "{sample_column}" to tell samples apart.')
        if obs_names:
            missing = [dataset.path.name for dataset in datasets if obs_names not in dataset.column_names]
            if missing:
                raise DataError(f'{missing[0]} has no obs column "{obs_names}" to take the cell ids from.')
    except DataError:
        for dataset in datasets:
            dataset.close()
        raise
    default = datasets[0].name if len(datasets) == 1 else f"{datasets[0].name} + {len(datasets) - 1} more"
    return Study(tuple(datasets), title or default, obs_names, Choices(sample_column=sample_column))


def _embedding_rank(name: str) -> tuple[int, str]:
    lowered = name.lower()
    return next((place for place, word in enumerate(EMBEDDING_ORDER) if word in lowered), len(EMBEDDING_ORDER)), name


def _distinct(names: list[str]) -> list[str]:
    """Give a number to names that repeat, so that two files called the same stay two samples."""
    out: list[str] = []
    for name in names:
        free = (f"{name} ({number})" for number in count(2))
        out.append(name if name not in out else next(text for text in free if text not in {*out, *names}))
    return out
