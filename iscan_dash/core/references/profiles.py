"""The profiles of a reference, read from its matrix."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from iscan_dash.core.annotations.level_check import check_levels
from iscan_dash.core.references.manifest import Manifest
from iscan_dash.core.study.blocks import RowBlocks
from iscan_dash.core.study.columns import CategoryColumn
from iscan_dash.core.study.dataset import Dataset, open_dataset
from iscan_dash.core.study.genes import GeneReport, inspect_genes
from iscan_dash.core.study.matrices import KIND_TEXT, MatrixKind, detect_kind
from iscan_dash.core.words import counted
from iscan_dash.errors import DataError, IscanError

LOG_KINDS = frozenset({MatrixKind.LOG, MatrixKind.LOG1P})
"""What the values of a reference may be: markers are chosen by differences of log values."""

MOST_VALUES = 10**9
"""Values of the largest reference: profiles by genes."""


@dataclass(frozen=True)
class Contents:
    """What the matrix of a reference holds, as far as it is worth knowing without its values.

    Parameters
    ----------
    n_profiles, n_genes
        Size.
    n_labels
        Number of labels by granularity.
    genes
        What the gene names look like.
    problems
        Why it cannot be used, a sentence each; empty when it can.
    """

    n_profiles: int
    n_genes: int
    n_labels: dict[str, int]
    genes: GeneReport
    problems: tuple[str, ...]


def guess_columns(path: Path) -> tuple[str, ...]:
    """Return which of the usual columns of labels a matrix has: ``label_main``, ``label_fine``.

    Raises
    ------
    DataError
        The file cannot be opened.
    """
    dataset = open_dataset(path)
    try:
        return tuple(name for name in ("label_main", "label_fine") if name in dataset.column_names)
    finally:
        dataset.close()


def inspect_profiles(path: Path, manifest: Manifest) -> Contents:
    """Look a matrix over, and compare it with its manifest.

    Parameters
    ----------
    path
        The matrix.
    manifest
        What is said of it.

    Raises
    ------
    DataError
        The file cannot be opened.
    """
    dataset = open_dataset(path)
    try:
        problems: list[str] = []
        n_labels = {}
        for granularity in manifest.granularities:
            column = manifest.column(granularity)
            try:
                labels = [label for label in read_labels(dataset, column) if label is not None]
            except IscanError as error:
                problems.append(str(error))
                continue
            n_labels[granularity] = len(set(labels))
            problems += _label_problems(labels, column, getattr(manifest.ontology, granularity))
        if n_labels and max(n_labels.values()) == 1:
            problems.append("It has only one label: there is nothing to tell apart.")
        # What those of celldex hold is known.
        is_trusted = manifest.celldex is not None
        problems += _matrix_problems(dataset, is_trusted=is_trusted)
        names = dataset.gene_names()
        genes = inspect_genes(names)
        n_profiles, n_genes = dataset.n_cells, len(names)
        for what, said, found in (
            ("profiles", manifest.n_profiles, n_profiles),
            ("genes", manifest.n_genes, n_genes),
            ("main labels", manifest.n_labels.main, n_labels.get("main")),
            ("fine labels", manifest.n_labels.fine, n_labels.get("fine")),
        ):
            if said is not None and found is not None and said != found:
                problems.append(f"It has {found:,} {what}; the manifest says {said:,}.")
        is_other = genes.species in {"human", "mouse"} and manifest.organism not in {genes.species, "unknown"}
        if is_other and not is_trusted:
            problems.append(f"The manifest says {manifest.organism} but gene names look like {genes.species}.")
        return Contents(n_profiles, n_genes, n_labels, genes, tuple(problems))
    finally:
        dataset.close()


def read_labels(dataset: Dataset, column: str) -> list[str | None]:
    """Read the labels of the profiles, None for a profile without one.

    Raises
    ------
    UnknownColumn
        The file has no such column.
    DataError
        It cannot be read, or holds numbers that are not whole.
    """
    found = dataset.column(column)
    if not isinstance(found, CategoryColumn):
        if not found.is_integral:
            raise DataError(f'Column "{column}" of {dataset.path.name} holds numbers that are no labels.')
        found = found.as_category()
    labels: list[str | None] = [*(label if label.strip() else None for label in found.labels), None]
    return [labels[code] for code in found.codes.tolist()]


def label_names(matrix: Path, column: str) -> tuple[str, ...]:
    """Return the different labels of a column, sorted."""
    dataset = open_dataset(matrix)
    try:
        return tuple(sorted({label for label in read_labels(dataset, column) if label is not None}))
    finally:
        dataset.close()


def read_values(dataset: Dataset) -> np.ndarray:
    """Read the matrix ``X`` whole; shape (n_profiles, n_genes), float32, or float64 where it is stored so."""
    matrix = dataset.matrices["X"]
    blocks = RowBlocks(matrix)
    dtype = np.float32 if np.can_cast(matrix.dtype, np.float32) else np.float64
    values = np.empty(matrix.shape, dtype)
    start = 0
    for block in blocks:
        values[start : start + block.shape[0]] = block.toarray() if sparse.issparse(block) else block
        start += block.shape[0]
    blocks.close()
    return values


def _label_problems(labels: list[str], column: str, terms: dict[str, str]) -> list[str]:
    if not labels:
        return [f'No profile has a label in the column "{column}".']
    different = dict.fromkeys(labels)
    if problem := check_levels(list(different)).problem:
        return [f'A label in the column "{column}" breaks a rule: {problem}']
    unknown = [label for label in terms if label not in different]
    if unknown:
        return [f'The manifest has a term for "{unknown[0]}", which is no label of the column "{column}".']
    return []


def _matrix_problems(dataset: Dataset, *, is_trusted: bool) -> list[str]:
    matrix = dataset.matrices.get("X")
    if matrix is None:
        return ["It has no matrix X."]
    if matrix.shape[0] * matrix.shape[1] > MOST_VALUES:
        return [
            f"It has {matrix.shape[0]:,} profiles of {matrix.shape[1]:,} genes, more than fit into memory. "
            "Pool its cells to profiles."
        ]
    if matrix.dtype.kind == "f" and not matrix.stored:
        return ["Its matrix X is empty."]
    evidence = detect_kind(matrix)
    # Log values of bulk samples may be negative: those of celldex are known to be log values.
    if evidence.kind in LOG_KINDS or (is_trusted and evidence.kind is MatrixKind.SCALED):
        return []
    what = "whole numbers, as counts are" if evidence.kind is MatrixKind.COUNTS else KIND_TEXT[evidence.kind]
    return [f"Its values are {what} ({evidence.reason}). A reference needs log-normalised values in X."]


def counted_labels(n_labels: dict[str, int]) -> str:
    """Return numbers of labels in words.

    Examples
    --------
    >>> counted_labels({"main": 7, "fine": 11})
    '7 main labels, 11 fine labels'
    """
    return ", ".join(counted(number, f"{kind} label") for kind, number in n_labels.items())
