"""Read files in a process of its own, which may end, hang or ask for too much memory without harm to the tests.

Run as a program it takes the path of a file in each line, does with it what the server does with a study, and answers
with a line of JSON: ``read``, or ``refused`` with the sentence, or ``failed`` with a traceback.
"""

import json
import resource
import select
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

MEMORY = 3 << 30
"""Bytes of addresses that reading a file may take; the libraries alone have a third of it."""

PATIENCE = 20.0
"""Seconds that reading a small file may take."""


class Reader:
    """The process; it is started again when it ended.

    Parameters
    ----------
    what
        The module of the program, and what it is told.
    """

    def __init__(self, *what: str) -> None:
        self._what = what or ("tests.fuzz.reader",)
        self._process: subprocess.Popen[str] | None = None

    def look(self, path: Path) -> tuple[str, str]:
        """Return what became of a file, and what was said of it; ``crashed`` and ``hung`` are possible, too."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._what],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            self._line(60.0)
        assert self._process.stdin
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        answer = self._line(PATIENCE)
        if answer is None:
            code = self._process.poll()
            self.close()
            return ("hung", "") if code is None else ("crashed", f"exit code {code}")
        outcome, said = json.loads(answer)
        return outcome, said

    def _line(self, patience: float) -> str | None:
        """Wait for a line, None when there is none in time or the process ended."""
        assert self._process and self._process.stdout
        end = time.monotonic() + patience
        while time.monotonic() < end:
            ready, _, _ = select.select([self._process.stdout], [], [], 0.5)
            if ready:
                line = self._process.stdout.readline()
                if not line:
                    self._process.wait(10)
                return line or None
        return None

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def read_everything(path: Path) -> None:
    """Do with a file what the pages do with a study, one thing after the other; errors of ours end only their part."""
    from iscan_dash.core.study import open_study
    from iscan_dash.core.study.axes import axes_positions, gene_axes
    from iscan_dash.core.study.blocks import RowBlocks
    from iscan_dash.core.study.expression import FileExpression, read_sample
    from iscan_dash.core.study.health import check_study
    from iscan_dash.core.study.matrices import MatrixKind
    from iscan_dash.core.study.report import report_text
    from iscan_dash.errors import IscanError

    study = open_study([path])
    refused: list[IscanError] = []

    def attempt(make: Any) -> Any:
        try:
            return make()
        except IscanError as error:
            if not str(error).strip() or "\n" in str(error):
                raise ValueError(f"not a sentence: {error!r}") from error
            refused.append(error)
            return None

    try:
        (dataset,) = study.datasets
        attempt(lambda: study.fingerprint)
        attempt(lambda: study.samples)
        attempt(lambda: report_text(study, check_study(study, 100)))
        for name in attempt(lambda: study.columns) or ():
            attempt(lambda name=name: study.category(name))
            attempt(lambda name=name: study.copyable(name, 100))
            attempt(lambda name=name: study.colours(name))
        for name in (*(attempt(lambda: study.embeddings) or ()), "qc"):
            attempt(lambda name=name: study.embedding(name))
        genes = list(attempt(lambda: study.genes) or ())
        for gene in genes[:1] + genes[-1:]:
            for key in ("", *study.matrix_keys):
                attempt(lambda gene=gene, key=key: study.logged_gene(study.gene(gene, key), key))
        if genes:
            attempt(lambda: axes_positions(study, gene_axes(genes[0], genes[-1])))
        for matrix in dataset.matrices.values():
            attempt(lambda key=matrix.key: dataset.genes(key).columns)
            attempt(matrix.cell_totals)
            for in_memory in (0, 10**9):
                blocks = RowBlocks(matrix, block=7, in_memory=in_memory)
                attempt(lambda blocks=blocks: [block.sum(axis=0) for block in blocks])
                blocks.close()
            for kind in (MatrixKind.COUNTS, MatrixKind.LOG):
                files = [FileExpression(matrix, kind, 0, range(matrix.shape[1]))]  # type: ignore[arg-type]
                for whole in (0, 10**9):
                    sample = attempt(lambda files=files, whole=whole: read_sample(files, genes, whole=whole, sampled=9))
                    if sample is not None:
                        sample.values[0].sum(axis=0)
        merged = path.with_suffix(".merged")
        attempt(lambda: merge_one(study, merged))
        merged.unlink(missing_ok=True)
    finally:
        study.close()
    if refused:
        raise refused[0]


def merge_one(study: Any, output: Path) -> None:
    """Write a copy of a study with another column."""
    import numpy as np

    from iscan_dash.core.study import CategoryColumn
    from iscan_dash.services.merge import NewColumn, merge

    column = CategoryColumn("new", np.zeros(study.n_cells, np.int8), ("x",))
    merge(study, [NewColumn("new", column, {})], [output], block=4096)


def main(read: Any) -> None:
    """Answer for each line of the standard input."""
    import warnings

    from iscan_dash.errors import IscanError

    warnings.simplefilter("ignore")
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            read(Path(line.removesuffix("\n")))
            said = "read", ""
        except IscanError as error:
            said = "refused", str(error)
        except Exception:  # noqa: BLE001 - that is what is looked for
            said = "failed", traceback.format_exc()
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    import anndata  # noqa: F401 - what is loaded now is no part of what a file takes
    import pandas  # noqa: F401
    import scipy.sparse  # noqa: F401

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    main(read_everything)
