"""Merge annotations into a copy of the data: new obs columns, and proof that nothing else changed."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from iscan_dash import __version__
from iscan_dash.core import palette
from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.label_table import LabelTable, import_column
from iscan_dash.core.annotations.names import NAME_LENGTH, check_name, free_name
from iscan_dash.core.study import CategoryColumn, Study
from iscan_dash.core.study.damage import reading
from iscan_dash.core.study.dataset import Dataset
from iscan_dash.core.study.elements import n_values
from iscan_dash.core.study.fingerprint import file_sha256
from iscan_dash.core.words import counted
from iscan_dash.errors import DataError, NameRefused, StorageError
from iscan_dash.services.h5_compare import BLOCK, Compared, compare_files
from iscan_dash.services.new_file import new_file, refuse_existing

UNS = "iscan_annotations"
"""The part of ``uns`` that keeps how the columns were made: a JSON text for each column."""

SPARE = 2**20
"""Bytes that HDF5 may need besides the columns themselves."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class NewColumn:
    """A column to add to obs.

    Parameters
    ----------
    name
        Its name.
    column
        The labels of all cells of the study; cells may be missing.
    facts
        How it was made, as JSON values, for ``uns["iscan_annotations"]``.
    """

    name: str
    column: CategoryColumn
    facts: Mapping[str, Any]


def annotation_column(annotation: Annotation, name: str | None = None) -> NewColumn:
    """Make a column of an annotation, under another name if one is given."""
    header = annotation.live.to_json()
    facts = {"tool": f"iscan-dash {__version__}", "id": annotation.id, "version": annotation.version, **header}
    return NewColumn(name or annotation.live.name, annotation.column, facts)


def table_column(table: LabelTable, column: str, name: str, default: str) -> NewColumn:
    """Make a column of one of a table's; see `import_column` for its labels and the errors."""
    combined = import_column(table, column, default)
    colours = palette.label_colours(combined.labels[1:]) | {combined.labels[0]: palette.UNASSIGNED}
    facts = {
        "tool": f"iscan-dash {__version__}",
        "name": name,
        "labels": [{"text": text, "colour": colours[text]} for text in combined.labels],
        "origin": "import",
        "recipe": {"file": table.report.name, "column": column, "default": default},
    }
    return NewColumn(name, CategoryColumn(name, combined.codes, combined.labels), facts)


@dataclass(frozen=True)
class MergeReport:
    """What was written, and what was found when it was compared with the input.

    Parameters
    ----------
    source, output
        The input and the new file.
    n_cells
        Number of cells of both.
    columns
        The new obs columns.
    sha256
        Hash of the input, before and after.
    compared
        What else is the same in both.
    """

    source: Path
    output: Path
    n_cells: int
    columns: tuple[str, ...]
    sha256: str
    compared: Compared

    @property
    def statement(self) -> str:
        """What was done and checked, in sentences."""
        columns = ", ".join(self.columns)
        same = self.compared
        return (
            f"{self.output} was written: {self.source.name} with {counted(len(self.columns), 'new obs column')} "
            f"({columns}), which read back equal for all {self.n_cells:,} cells. "
            f"Every other object is identical: {counted(same.n_objects, 'group or array', 'groups and arrays')}, "
            f"{counted(same.n_attributes, 'attribute')}, {counted(same.n_bytes, 'byte')} of values. "
            f"{self.source.name} is unchanged (sha256 {self.sha256})."
        )


def output_paths(study: Study, out: Path) -> list[Path]:
    """Return the file that each file of a study is merged into: `out`, or with several files one name each.

    With several files ``merged.h5ad`` gives ``merged-<name of the file>.h5ad``.
    """
    if len(study.datasets) == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{name}{out.suffix}") for name in study.file_names]


def merge(
    study: Study,
    columns: Sequence[NewColumn],
    outputs: Sequence[Path],
    *,
    progress: Progress = lambda _part, _what: None,
    is_cancelled: Callable[[], bool] = lambda: False,
    block: int = BLOCK,
) -> list[MergeReport] | None:
    """Write a copy of each file of a study with new obs columns, and check that nothing else changed.

    The columns become categories in obs, and how they were made goes to ``uns["iscan_annotations"]``. Only `block`
    bytes of the matrices are in memory at a time. A file appears under its name when it was checked.

    Parameters
    ----------
    study
        The study.
    columns
        The columns, one or more.
    outputs
        The new file for each file of the study, in their order; see `output_paths`.
    progress
        Called now and then with the part that is done (0 to 1) and what is being done.
    is_cancelled
        Asked between blocks; when it says yes the file being written is given up.
    block
        Bytes that are copied or compared at once.

    Returns
    -------
    list of MergeReport or None
        A report for each file, None when cancelled.

    Raises
    ------
    NameRefused
        A column's name breaks a rule or is in obs already (E02); the message suggests another.
    StorageError
        An output exists (E62) or cannot be written, the disk is too full, the input changed, or the copy differs.
    DataError
        An input cannot be read.
    """
    check_names(study, [column.name for column in columns])
    if len(set(outputs)) != len(study.datasets):
        raise StorageError(f"{len(study.datasets)} files need as many different output files. Name one for each.")
    for output in outputs:
        refuse_existing(output)
    total = sum(dataset.path.stat().st_size for dataset in study.datasets)
    _check_room(study, columns, outputs[0].parent, total)
    # Each byte is copied, compared and hashed again.
    work = _Work(3 * max(total, 1), progress, is_cancelled)
    reports = []
    try:
        for dataset, output, ends in zip(study.datasets, outputs, pairwise(study.offsets.tolist()), strict=True):
            own = [_part_of(column, slice(*ends)) for column in columns]
            reports.append(_merge_file(dataset, own, output, work, block))
    except _Cancelled:
        return None
    progress(1.0, "Done")
    return reports


def check_names(study: Study, names: Sequence[str]) -> None:
    """Refuse names that the files cannot take.

    Raises
    ------
    NameRefused
        A name breaks a rule, is used twice, or is in obs already (E02); the message suggests another.
    """
    if not names:
        raise NameRefused("E01", "Choose at least one annotation.")
    taken: dict[str, str] = {}
    for dataset in study.datasets:
        with reading(f"The names of columns of {dataset.path.name}"):
            taken |= dict.fromkeys(dataset.file["obs"], "metadata")
            recipes = dataset.file.get(f"uns/{UNS}")
            if isinstance(recipes, h5py.Group):
                # A name that an earlier merge used and somebody deleted from obs since.
                taken |= dict.fromkeys(recipes, "metadata")
    for name in names:
        try:
            kept = check_name(name, taken)
        except NameRefused as refused:
            if refused.code != "E02":
                raise
            other = free_name(f"{name[: NAME_LENGTH - 6]}_annot", taken)
            raise NameRefused(
                "E02", f'The data has a column "{name}" already. Use another name, e.g. "{other}".'
            ) from None
        if kept != name:
            raise NameRefused("E06", f'"{name}" cannot be a column. Write it as "{kept}".')
        taken[name] = "annotation"


class _Cancelled(Exception):
    """The user does not want the file any more."""


class _Work:
    """How much of the work is done."""

    def __init__(self, total: int, progress: Progress, is_cancelled: Callable[[], bool]) -> None:
        self._total = total
        self._done = 0
        self._progress = progress
        self.is_cancelled = is_cancelled

    def step(self, n_bytes: int, what: str) -> None:
        if self.is_cancelled():
            raise _Cancelled
        self._done += n_bytes
        # Objects that HDF5 stores twice or not at all make this a guess.
        self._progress(min(self._done / self._total, 0.99), what)


def _merge_file(dataset: Dataset, columns: Sequence[NewColumn], output: Path, work: _Work, block: int) -> MergeReport:
    source = dataset.path
    _check_unchanged(dataset)
    with new_file(output) as part:
        sha256 = _copy(source, part, work, block)
        before = dataset.file
        with reading(f"The part uns of {source.name}"):
            added = [*(f"/obs/{column.name}" for column in columns), *_added_to_uns(before, columns)]
        with _plain_hdf5(f"{output} cannot be written"), h5py.File(part, "r+") as after:
            _add(after, columns)
        with _plain_hdf5(f"{output} was written but cannot be read"), h5py.File(part, "r") as after:
            compared = compare_files(
                before,
                after,
                added=added,
                rewritten=[("/obs", "column-order")],
                block=block,
                step=lambda n_bytes: work.step(n_bytes, f"Comparing {output.name} with {source.name}"),
            )
            _check_columns(dataset, after, columns)
        work.step(0, f"Checking that {source.name} is unchanged")
        again = file_sha256(source, work.is_cancelled)
        if again is None:
            raise _Cancelled
        work.step(source.stat().st_size, f"Checking that {source.name} is unchanged")
        _check_unchanged(dataset)
        if again != sha256:
            raise StorageError(f"{source} changed while it was copied. Try again when nobody writes to it.")
    return MergeReport(source, output, dataset.n_cells, tuple(column.name for column in columns), sha256, compared)


def _part_of(column: NewColumn, cells: slice) -> NewColumn:
    """Return the cells of one file, with the labels that they use."""
    codes = column.column.codes[cells]
    used = np.bincount(codes[codes >= 0].astype(np.intp), minlength=len(column.column.labels)) > 0
    # The last entry serves the code -1.
    table = np.append(np.where(used, np.cumsum(used) - 1, -1), -1)
    labels = tuple(label for label, is_used in zip(column.column.labels, used, strict=True) if is_used)
    return NewColumn(column.name, CategoryColumn(column.name, table[codes], labels), column.facts)


def _check_unchanged(dataset: Dataset) -> None:
    if not dataset.is_unchanged():
        raise StorageError(f"{dataset.path.name} was changed on disk since it was opened. Restart iscan-dash to go on.")


def _check_room(study: Study, columns: Sequence[NewColumn], folder: Path, total: int) -> None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}. Choose another folder.") from error
    texts = sum(len(label.encode()) + 16 for column in columns for label in column.column.labels)
    needed = total + 4 * study.n_cells * len(columns) + len(study.datasets) * (2 * texts + SPARE)
    if needed > free:
        raise StorageError(
            f"{folder} has {free / 2**20:,.0f} MB left, and {needed / 2**20:,.0f} MB are needed. Free some, or choose "
            "another folder."
        )


def _copy(source: Path, part: Path, work: _Work, block: int) -> str:
    """Copy a file block by block; return its SHA-256."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, part.open("r+b") as writer:
        while data := reader.read(block):
            digest.update(data)
            writer.write(data)
            work.step(len(data), f"Copying {source.name}")
    return digest.hexdigest()


@contextmanager
def _plain_hdf5(problem: str) -> Iterator[None]:
    """Say what HDF5 and AnnData object to in a sentence."""
    try:
        yield
    except (StorageError, DataError, _Cancelled):
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StorageError(f"{problem}: {reason}. The file was removed.") from error


def _added_to_uns(file: h5py.File, columns: Sequence[NewColumn]) -> list[str]:
    """Return the paths of what is added to uns."""
    if "uns" not in file:
        return ["/uns"]
    if UNS not in file["uns"]:
        return [f"/uns/{UNS}"]
    if not isinstance(file[f"uns/{UNS}"], h5py.Group):
        raise DataError(f'{Path(file.filename).name} has something else in uns["{UNS}"]. Remove it first.')
    return [f"/uns/{UNS}/{column.name}" for column in columns]


def _add(file: h5py.File, columns: Sequence[NewColumn]) -> None:
    import pandas as pd
    from anndata.io import write_elem

    obs = file["obs"]
    for column in columns:
        labels = pd.Index(column.column.labels, dtype=object)
        write_elem(obs, column.name, pd.Categorical.from_codes(column.column.codes, labels))
    order = [*obs.attrs.get("column-order", ()), *(column.name for column in columns)]
    obs.attrs["column-order"] = np.array(order, h5py.string_dtype())
    if "uns" not in file:
        write_elem(file, "uns", {})
    if UNS not in file["uns"]:
        write_elem(file["uns"], UNS, {})
    for column in columns:
        write_elem(file[f"uns/{UNS}"], column.name, json.dumps(column.facts, ensure_ascii=False))


def _check_columns(dataset: Dataset, file: h5py.File, columns: Sequence[NewColumn]) -> None:
    """Refuse a copy whose cells, column order or new columns are not what they should be."""
    # As whoever opens the copy does.
    from anndata.io import read_elem

    obs = file["obs"]
    order = list(obs.attrs["column-order"])
    wanted = [*dataset.file["obs"].attrs.get("column-order", ()), *(column.name for column in columns)]
    if order != wanted or n_values(obs[dataset.index_name]) != dataset.n_cells:
        raise StorageError(f"The copy of {dataset.path.name} has other cells or columns. Try again.")
    for column in columns:
        back = read_elem(obs[column.name])
        is_same = list(back.categories) == list(column.column.labels) and np.array_equal(
            back.codes, column.column.codes
        )
        facts = file[f"uns/{UNS}/{column.name}"].asstr()[()]
        if not is_same or facts != json.dumps(column.facts, ensure_ascii=False):
            raise StorageError(f'The new column "{column.name}" does not read back as it was written. Try again.')
