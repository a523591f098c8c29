"""Write a reference in our format: a matrix and its manifest."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from iscan_dash.core.references.manifest import MANIFEST, LabelColumns, LabelCounts, LabelTerms, Manifest
from iscan_dash.core.references.profiles import read_labels, read_values
from iscan_dash.core.references.verify import checksum_of
from iscan_dash.core.study.dataset import open_dataset
from iscan_dash.core.study.genes import inspect_genes
from iscan_dash.errors import PredictionRefused

ASSAY = "logcounts"
"""The matrix that celldex has in each of its references."""


class Experiment(Protocol):
    """What we use of a ``SummarizedExperiment``: genes in rows, profiles in columns."""

    def get_assay_names(self) -> Sequence[str]:
        """Return the names of the matrices."""

    def assay(self, assay: str) -> Any:
        """Return a matrix, shape (n_genes, n_profiles)."""

    def get_row_names(self) -> Sequence[str | None] | None:
        """Return the names of the genes."""

    def get_column_names(self) -> Sequence[str | None] | None:
        """Return the names of the profiles."""

    def get_column_data(self) -> Any:
        """Return the table of the profiles."""


def from_experiment(experiment: Experiment, manifest: Manifest, folder: Path) -> Manifest:
    """Write a reference of celldex.

    Parameters
    ----------
    experiment
        The reference as celldex gives it, its matrix in memory.
    manifest
        What is known of it; sizes, terms and the checksum are filled in.
    folder
        Where to write it; an empty folder.

    Returns
    -------
    Manifest
        The manifest as it was written.

    Raises
    ------
    PredictionRefused
        A part is missing.
    """
    if ASSAY not in list(experiment.get_assay_names()):
        raise PredictionRefused(f"{manifest.name} has no matrix {ASSAY}.")
    genes = experiment.get_row_names()
    if genes is None:
        raise PredictionRefused(f"{manifest.name} has no gene names.")
    table = experiment.get_column_data()
    present = [str(name) for name in table.get_column_names()]
    wanted = {kind: column for kind, column in manifest.labels.model_dump().items() if column}
    missing = [column for kind, column in wanted.items() if column not in present and kind != "ontology"]
    if missing:
        raise PredictionRefused(
            f'{manifest.name} has no column "{missing[0]}" of labels. It has: {", ".join(present) or "none"}.'
        )
    columns = {column: _texts(table.get_column(column)) for column in wanted.values() if column in present}
    matrix = experiment.assay(ASSAY)
    values = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix).T
    names = experiment.get_column_names()
    return write_reference(folder, manifest, _texts(genes), values, columns, None if names is None else _texts(names))


def from_h5ad(path: Path, manifest: Manifest, folder: Path) -> Manifest:
    """Write a reference from an ``.h5ad`` file that has its labels in ``obs``; see `from_experiment`."""
    dataset = open_dataset(path)
    try:
        wanted = [column for column in manifest.labels.model_dump().values() if column]
        columns = {column: read_labels(dataset, column) for column in wanted}
        return write_reference(folder, manifest, dataset.gene_names(), read_values(dataset), columns)
    finally:
        dataset.close()


def write_reference(
    folder: Path,
    manifest: Manifest,
    genes: Sequence[str | None],
    values: np.ndarray,
    columns: Mapping[str, Sequence[str | None]],
    names: Sequence[str | None] | None = None,
) -> Manifest:
    """Write matrix and manifest.

    Parameters
    ----------
    folder
        Where to; an empty folder.
    manifest
        What is known of the reference; sizes, terms and the checksum are filled in.
    genes
        Names of the genes.
    values
        Log values, shape (n_profiles, n_genes). They are kept as float64 unless float32 holds them exactly, since
        scores of rounded values differ from those of SingleR.
    columns
        Columns of the profiles, those with labels among them.
    names
        Names of the profiles; numbers when None.
    """
    import anndata as ad
    import pandas as pd

    small = values.astype(np.float32)
    x = small if np.array_equal(small, values, equal_nan=True) else values.astype(np.float64, copy=False)
    labels = [str(number) for number in range(1, len(x) + 1)] if names is None else [name or "" for name in names]
    obs = pd.DataFrame({name: pd.Categorical(list(column)) for name, column in columns.items()}, index=labels)
    var = pd.DataFrame(index=[name or "" for name in genes])
    matrix = folder / manifest.matrix
    adata = ad.AnnData(np.ascontiguousarray(x), obs=obs, var=var)
    adata.write_h5ad(matrix, compression="gzip")
    ontology = columns.get(manifest.labels.ontology or "")
    terms = manifest.ontology
    if ontology is not None and manifest.labels.fine:
        terms = LabelTerms(main=terms.main, fine={**_terms(columns[manifest.labels.fine], ontology), **terms.fine})
    counts = {kind: len({*columns[manifest.column(kind)]} - {None}) for kind in manifest.granularities}
    written = manifest.model_copy(
        update={
            "checksum": checksum_of(matrix),
            "n_profiles": x.shape[0],
            "n_genes": x.shape[1],
            "n_labels": LabelCounts(**counts),
            "ontology": terms,
            "labels": LabelColumns(**{k: v for k, v in manifest.labels.model_dump().items() if v in columns}),
            "gene_ids": manifest.gene_ids or inspect_genes([name for name in genes if name]).identifiers.lower(),
        }
    )
    (folder / MANIFEST).write_text(written.to_json(), encoding="utf-8")
    return written


def _terms(labels: Sequence[str | None], terms: Sequence[str | None]) -> dict[str, str]:
    """Return the term of each label; a label whose profiles have different ones has none."""
    found: dict[str, set[str]] = {}
    for label, term in zip(labels, terms, strict=True):
        if label and term:
            found.setdefault(label, set()).add(term)
    return {label: own.pop() for label, own in sorted(found.items()) if len(own) == 1}


def _texts(values: Any) -> list[str | None]:
    """Read a column of texts, None where one is missing."""
    return [None if value is np.ma.masked or pd.isna(value) else str(value) for value in values]
