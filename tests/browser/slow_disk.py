"""``python -m tests.browser.slow_disk`` is ``python -m iscan_dash`` on a disk so slow that a gene takes seconds to find."""

import os
import time

from iscan_dash.cli import main
from iscan_dash.core.study import gene_index, matrices

BLOCK_SECONDS = 0.15
"""What a block of the file takes."""


def gene(self: matrices.Matrix, column: int, tell: matrices.Tell = lambda _: None) -> object:
    """Find a gene, waiting for each block."""

    def tell_slowly(part: float) -> None:
        tell(part)
        time.sleep(BLOCK_SECONDS)

    return quick_gene(self, column, tell_slowly)


if __name__ == "__main__":
    os.environ["ISCAN_GENE_INDEX_GB"] = "0"
    gene_index.SMALLEST = 1
    matrices.BLOCK = 12
    quick_gene, matrices.Matrix.gene = matrices.Matrix.gene, gene  # type: ignore[assignment]
    main()
