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
from iscan_dash.core.singler.classify import classify
from iscan_dash.core.singler.pseudo_bulk import pseudo_bulk
from iscan_dash.core.singler.reference import Reference
from iscan_dash.core.singler.train import train
from iscan_dash.core.study.matrices import MatrixKind


def is_warm() -> bool:
    """Tell whether the kernels are compiled, for this processor and these sources; if not, say "Preparing (once)"."""
    return _mark().exists()


def warm_up() -> None:
    """Compile every kernel for the types that blocks come in, or load it from the cache.

    It takes some fifteen seconds once, and less than one from the cache. References and cells of float32 and float64,
    sparse and dense cells are all met.
    """
    rng = np.random.default_rng(0)
    genes = [f"gene{number}" for number in range(40)]
    values = rng.integers(0, 9, (8, 40)).astype(np.float64)
    labels = ["a", "a", "b", "b", "c", "d", "d", "d"]
    counts = rng.integers(0, 3, (20, 40))
    for dtype in (np.float32, np.float64):
        trained = train(Reference(genes, values.astype(dtype), labels), genes)
        for matrix in (counts.astype(dtype), sparse.csr_array(counts.astype(dtype))):
            query = Query.of(genes, matrix, MatrixKind.COUNTS)
            classify(trained, query, threshold=0.1)
            pseudo_bulk(query, np.zeros(20, np.int64), 1)
    _mark().touch()


def _mark() -> Path:
    """Return the file whose presence says that the kernels are compiled."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    stamps = [f"{path.name} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in sources]
    versions = [numba.__version__, np.__version__, platform.python_version(), llvmlite.binding.get_host_cpu_name()]
    digest = hashlib.sha256("\n".join([str(Path(__file__).parent), *versions, *stamps]).encode()).hexdigest()
    return CACHE_FOLDER / f"singler-{digest[:16]}.ready"
