"""Compile all kernels ahead of their first use, and know whether that was done."""

import hashlib
import platform
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
from scipy import sparse

from iscan_dash.core.engine.kernel import CACHE_FOLDER
from iscan_dash.core.engine.query import Query
from iscan_dash.core.enrichment.group_table import group_table
from iscan_dash.core.enrichment.method import Method
from iscan_dash.core.enrichment.scoring import score_sets
from iscan_dash.core.enrichment.sets import MatchedSet
from iscan_dash.core.study.matrices import MatrixKind


def is_warm() -> bool:
    """Tell whether the kernels are compiled, for this processor and these sources; if not, say "Preparing (once)"."""
    return _mark().exists()


def warm_up() -> None:
    """Compile every kernel for the types that blocks come in, or load it from the cache."""
    counts = np.random.default_rng(0).integers(0, 3, (8, 40))
    genes = [f"gene{number}" for number in range(40)]
    codes = np.arange(8) % 2
    for dtype in (np.float32, np.float64):
        query = Query.of(genes, sparse.csr_array(counts.astype(dtype)), MatrixKind.COUNTS)
        for method in (Method.UCELL, Method.MODULE):
            scores = score_sets(query, [MatchedSet("set", np.arange(5), 5)], method)
        group_table(scores, codes, 2)
    _mark().touch()


def _mark() -> Path:
    """Return the file whose presence says that the kernels are compiled."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    stamps = [f"{path.name} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in sources]
    versions = [numba.__version__, np.__version__, platform.python_version(), llvmlite.binding.get_host_cpu_name()]
    digest = hashlib.sha256("\n".join([str(Path(__file__).parent), *versions, *stamps]).encode()).hexdigest()
    return CACHE_FOLDER / f"enrichment-{digest[:16]}.ready"
