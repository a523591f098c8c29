"""Small references and cells with everything that is awkward: ties, zeros, negative values, lone profiles."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

FEW = st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 3.0])
SIGNED = st.sampled_from([-1.5, 0.0, 0.0, 0.5, 2.0])
MANY = st.floats(-4, 8, width=32, allow_nan=False, allow_subnormal=False)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return profiles, their labels and cells, all with the same genes."""
    n_genes = draw(st.integers(2, 24))
    labels = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12))
    values = draw(st.sampled_from([FEW, SIGNED, MANY]))
    profiles = draw(arrays(np.float64, (len(labels), n_genes), elements=values))
    cells = draw(
        arrays(np.float32, (draw(st.integers(0, 6)), n_genes), elements=draw(st.sampled_from([FEW, SIGNED, MANY])))
    )
    if draw(st.booleans()) and len(cells):
        cells[0] = 0
    return profiles, labels, cells


def workload(
    n_cells: int, n_genes: int = 300, n_labels: int = 9, n_profiles: int = 40, seed: int = 0
) -> tuple[np.ndarray, list[str], sparse.csr_array]:
    """Return profiles, labels and sparse counts that need several rounds of fine-tuning."""
    rng = np.random.default_rng(seed)
    base = rng.gamma(1.0, 1.0, n_genes)
    kinds = base * rng.lognormal(0, 0.6, (n_labels, n_genes))
    kind = np.concatenate([np.arange(n_labels), rng.integers(0, n_labels, n_profiles - n_labels)])
    profiles = np.log1p(kinds[kind] * rng.lognormal(0, 0.2, (n_profiles, n_genes)) * 3).round(2)
    profiles[profiles < 0.3] = 0
    counts = rng.poisson(kinds[rng.integers(0, n_labels, n_cells)] * 0.4)
    return profiles, [f"label {code:02d}" for code in kind], sparse.csr_array(counts.astype(np.float32))
