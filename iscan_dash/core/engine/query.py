"""Cells to be labelled: blocks of an expression matrix, read one after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.errors import PredictionRefused

Block = np.ndarray | sparse.csr_matrix | sparse.csr_array
"""Some cells, one a row, and all genes: dense or CSR."""


@dataclass(frozen=True, eq=False)
class Query:
    """An expression matrix whose cells are to be labelled.

    Parameters
    ----------
    genes
        Names of its genes, in the order of columns; None for a gene without a name.
    n_cells
        Number of cells.
    blocks
        Starts reading: gives the cells block by block, in order. It is called once for each pass over the cells, and
        nothing keeps a block once the next one is asked for.
    kind
        What the values are. Counts and log values give the same labels, since only a cell's order of genes matters.
    name
        What the matrix is called in messages.
    """

    genes: Sequence[str | None]
    n_cells: int
    blocks: Callable[[], Iterator[Block]]
    kind: MatrixKind
    name: str = "X"

    @classmethod
    def of(
        cls, genes: Sequence[str | None], matrix: Block, kind: MatrixKind = MatrixKind.LOG1P, name: str = "X"
    ) -> "Query":
        """Take a matrix in memory as a query.

        Examples
        --------
        >>> query = Query.of(["CD3D", "LYZ"], np.array([[1.0, 0.0]]))
        >>> query.n_cells, [block.shape for block in query.blocks()]
        (1, [(1, 2)])
        """
        return cls(genes, matrix.shape[0], lambda: iter((matrix,)), kind, name)

    def refuse_scaled(self) -> None:
        """Refuse scaled values: scaling changes the order of a cell's genes.

        Raises
        ------
        PredictionRefused
            The values are scaled (E15).
        """
        if self.kind is MatrixKind.SCALED:
            raise PredictionRefused(f"{self.name} looks scaled (negative values). Choose counts or log values.")


def prepared(query: Query) -> Iterator[tuple[int, Block]]:
    """Read the blocks of a query with the number of their first cell, in types the kernels know.

    Values become float32 when that keeps them apart (float32 and small integers), else float64.

    Raises
    ------
    PredictionRefused
        A block does not have the query's genes, or the number of cells is not as announced.
    """
    first = 0
    for block in query.blocks():
        if block.ndim != 2 or block.shape[1] != len(query.genes):
            raise PredictionRefused(f"{query.name} does not have the {len(query.genes):,} genes it was said to have.")
        dtype = np.float32 if np.can_cast(block.dtype, np.float32) else np.float64
        if isinstance(block, np.ndarray):
            yield first, np.require(block, dtype, ["C", "W"])
        else:
            # The arrays are exchanged rather than cast in place: the caller's block stays what it is.
            parts = (
                np.require(block.data, dtype, ["C", "W"]),
                np.require(block.indices, np.int32, ["C", "W"]),
                np.require(block.indptr, np.int64, ["C", "W"]),
            )
            plain = sparse.csr_array(block.shape, dtype=dtype)
            plain.data, plain.indices, plain.indptr = parts
            yield first, plain
        first += block.shape[0]
    if first != query.n_cells:
        raise PredictionRefused(f"{query.name} has {first:,} cells; {query.n_cells:,} were announced.")
