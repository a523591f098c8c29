"""The cells of a study as the engine reads them: one matrix of several files, block by block."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from iscan_dash.core.engine.query import Query
from iscan_dash.core.study import Study
from iscan_dash.core.study.blocks import Block, RowBlocks
from iscan_dash.core.study.dataset import Dataset
from iscan_dash.core.study.expression import TOTAL
from iscan_dash.core.study.matrices import LINEAR, MatrixKind
from iscan_dash.core.study.study import KIND_ORDER
from iscan_dash.errors import PredictionRefused, UnknownColumn


@dataclass(frozen=True)
class ChosenMatrix:
    """The matrix of a file that is read.

    Parameters
    ----------
    file
        The file's name without its ending.
    key
        ``"X"``, ``"raw/X"`` or ``"layers/<name>"``.
    kind
        What its values are.
    description
        The same in words.
    gene_column
        The column with the names of its genes; see `GeneTable.names`.
    """

    file: str
    key: str
    kind: MatrixKind
    description: str
    gene_column: str | None = None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.key} of {self.file}"


def choose_matrices(study: Study, key: str | None = None, gene_column: str | None = None) -> tuple[ChosenMatrix, ...]:
    """Choose the matrix of each file that cells are labelled by.

    The one asked for; else the one with the most genes, of those the best for showing a gene (log values, then
    counts). Per cell they all give the same labels, as only the order of a cell's genes matters. Scaled values never
    do: scaling changes that order.

    Parameters
    ----------
    study
        The study.
    key
        The matrix asked for.
    gene_column
        The column with the names of the genes, where it is not to be found automatically; only matrices whose genes
        have it are taken.

    Raises
    ------
    UnknownColumn
        A file has no such matrix, or no such column of names.
    PredictionRefused
        The matrix of a file is scaled (E15), or it has none.
    """
    chosen = []
    for dataset, file in zip(study.datasets, study.file_names, strict=True):
        if key is not None and key not in dataset.matrices:
            has = ", ".join(dataset.matrices) or "none"
            raise UnknownColumn(f'{dataset.path.name} has no matrix "{key}". It has: {has}.')
        if not dataset.matrices:
            raise PredictionRefused(f"{dataset.path.name} has no expression matrix.")

        named = [name for name in dataset.matrices if dataset.genes(name).has(gene_column)]

        def preference(name: str, dataset: Dataset = dataset) -> tuple[bool, int, int]:
            kind = study.matrix_kind(dataset, name).kind
            return kind is MatrixKind.SCALED, -dataset.matrices[name].shape[1], KIND_ORDER.index(kind)

        own = key or min(named or dataset.matrices, key=preference)
        if own not in named:
            # It says which columns there are.
            dataset.gene_names(own, gene_column)
        evidence = study.matrix_kind(dataset, own)
        if evidence.kind is MatrixKind.SCALED:
            raise PredictionRefused(f"{own} looks scaled (negative values). Choose counts or log values.", "E15")
        chosen.append(ChosenMatrix(file, own, evidence.kind, evidence.description, gene_column))
    return tuple(chosen)


def gene_names(study: Study, matrices: Sequence[ChosenMatrix]) -> list[str | None]:
    """Return the genes that all files have, in the order of the first; all of one file, as they are."""
    names = [own_genes(dataset, matrix) for dataset, matrix in zip(study.datasets, matrices, strict=True)]
    if len(set(names)) == 1:
        return [name or None for name in names[0]]
    everywhere = set.intersection(*map(set, names)) - {""}
    return [name for name in dict.fromkeys(names[0]) if name in everywhere]


def own_genes(dataset: Dataset, matrix: ChosenMatrix) -> tuple[str, ...]:
    """Return the names of the genes of a file's matrix, in the order of its columns, ``""`` where there is none."""
    return dataset.gene_names(matrix.key, matrix.gene_column)


@contextlib.contextmanager
def study_query(study: Study, matrices: Sequence[ChosenMatrix], cells: np.ndarray | None = None) -> Iterator[Query]:
    """Open the cells of a study for the engine.

    Parameters
    ----------
    study
        The study.
    matrices
        The matrix of each file.
    cells
        Which cells, shape (n_cells,), bool; all when None.
    """
    genes = gene_names(study, matrices)
    readers = [
        RowBlocks(dataset.matrices[matrix.key]) for dataset, matrix in zip(study.datasets, matrices, strict=True)
    ]
    columns = [
        _columns(own_genes(dataset, matrix), genes) for dataset, matrix in zip(study.datasets, matrices, strict=True)
    ]

    # Log values are what all kinds can become; the order within a cell stays as it is.
    is_mixed = len({matrix.kind for matrix in matrices}) > 1

    def blocks() -> Iterator[Block]:
        row = 0
        for reader, matrix, places in zip(readers, matrices, columns, strict=True):
            for block in reader:
                end = row + block.shape[0]
                wanted = None if cells is None else cells[row:end]
                row = end
                if wanted is not None and not wanted.any():
                    continue
                own = block if wanted is None or wanted.all() else block[wanted]
                own = _logged(own) if is_mixed and matrix.kind in LINEAR else own
                yield own if places is None else _with_columns(own, places, len(genes))

    kind = MatrixKind.LOG if is_mixed else matrices[0].kind
    n_cells = study.n_cells if cells is None else int(cells.sum())
    try:
        yield Query(genes, n_cells, blocks, kind, matrices[0].key)
    finally:
        for reader in readers:
            reader.close()


def _logged(block: Block) -> Block:
    """Bring the values of each cell to a total of 10,000 and take log1p; what is negative or not finite stays so."""
    values = (block.data if sparse.issparse(block) else block.ravel()).astype(np.float64)
    n_cells, n_genes = block.shape
    owner = np.repeat(np.arange(n_cells), np.diff(block.indptr) if sparse.issparse(block) else n_genes)
    totals = np.bincount(owner, np.where(np.isfinite(values), values, 0), n_cells)
    factors = np.divide(TOTAL, totals, out=np.zeros(n_cells), where=totals > 0)
    is_above = values > 0
    with np.errstate(invalid="ignore"):
        np.log1p(values * factors[owner], out=values, where=is_above)
    if not sparse.issparse(block):
        return values.reshape(block.shape)
    logged = sparse.csr_array(block.shape, dtype=values.dtype)
    logged.data, logged.indices, logged.indptr = values, block.indices, block.indptr
    return logged


def _columns(names: Sequence[str], genes: Sequence[str | None]) -> np.ndarray | None:
    """Return where each gene is in a file, None where all genes are in their places."""
    if len(names) == len(genes) and all((own or None) == gene for own, gene in zip(names, genes, strict=True)):
        return None
    first: dict[str, int] = {}
    for place, name in enumerate(names):
        first.setdefault(name, place)
    return np.array([first[gene or ""] for gene in genes], np.int64)


def _with_columns(block: Block, places: np.ndarray, n_genes: int) -> Block:
    if not sparse.issparse(block):
        return np.ascontiguousarray(block[:, places])
    table = np.full(block.shape[1], -1, np.int32)
    table[places] = np.arange(n_genes, dtype=np.int32)
    moved = table[block.indices]
    is_kept = moved >= 0
    kept = sparse.csr_array((block.shape[0], n_genes), dtype=block.dtype)
    kept.data, kept.indices = block.data[is_kept], moved[is_kept]
    kept.indptr = np.concatenate([[0], np.cumsum(is_kept)])[block.indptr].astype(np.int64)
    return kept
