"""Compare labels with PyPI singler on real data, label by label.

python -m benchmarks.singler_agreement

The data lie beside the checkout, or where ``ISCAN_TEST_DATA`` says; see `tests/core/singler/golden.py`.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click
import h5py
import numpy as np
from anndata.io import read_elem
from scipy import sparse

from benchmarks.bench_singler import worker
from benchmarks.sides import ask

DATA = Path(os.environ.get("ISCAN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
PAIRS = (
    ("pbmc3k", "ref_novershtern_avg"),
    ("pbmc3k", "hao_pbmc_1336"),
    ("mca_stomach_intestine_1871", "ref_mouse_rnaseq_avg"),
)


def real(query: str, reference: str, folder: Path) -> Path:
    """Write cells and a reference as a workload; counts of a reference become log1p of counts per 10,000."""
    with h5py.File(DATA / query / f"{query}.h5ad") as cells, h5py.File(DATA / reference / f"{reference}.h5ad") as known:
        matrix, values = sparse.csr_array(read_elem(cells["X"])), read_elem(known["X"])
        labels = read_elem(known["obs"])
        genes, cell_genes = (read_elem(file["var"]).index.astype(str).to_numpy(str) for file in (known, cells))
    values = np.asarray(values.toarray() if sparse.issparse(values) else values, np.float64)
    if np.array_equal(values, np.floor(values)):
        values = np.log1p(values / values.sum(axis=1, keepdims=True) * 1e4)
    path = folder / f"{query}-{reference}.npz"
    np.savez(
        path,
        values=values,
        genes=genes,
        main=labels["label_main"].to_numpy(str),
        fine=labels["label_fine"].to_numpy(str),
        data=matrix.data.astype(np.float32),
        indices=matrix.indices,
        indptr=matrix.indptr,
        cell_genes=cell_genes,
    )
    return path


@click.command()
def main() -> None:
    """Label real cells with both sides and count the labels that differ."""
    click.echo("| cells | reference | labels | cells | first pass differ | tuned differ | exact ties | CPU ratio |")
    click.echo("|---|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for query, reference in PAIRS:
            path = real(query, reference, Path(folder))
            for granularity in ("main", "fine"):
                answers = {}
                for name in ("ours", "peer"):
                    with worker(name, path, granularity, 1) as process:
                        ask(process, {"do": "train"})
                        if name == "ours":
                            ask(process, {"do": "classify", "tune": True})
                        answers[name] = [ask(process, {"do": "classify", "tune": tune}) for tune in (False, True)]
                differ = []
                for ours, peer in zip(answers["ours"], answers["peer"], strict=True):
                    ties = set(peer["ties"])
                    pairs = enumerate(zip(ours["labels"], peer["labels"], strict=True))
                    differ.append(sum(a != b and cell not in ties for cell, (a, b) in pairs))
                ratio = answers["peer"][1]["cpu"] / answers["ours"][1]["cpu"]
                cells = len(answers["peer"][1]["labels"])
                n_ties = len(answers["peer"][1]["ties"])
                columns = [query, reference, granularity, f"{cells:,}", *map(str, differ), str(n_ties), f"{ratio:.1f}x"]
                click.echo("| " + " | ".join(columns) + " |")


if __name__ == "__main__":
    main()
