"""The health check as text."""

from collections.abc import Sequence

from iscan_dash.core.study.genes import inspect_genes
from iscan_dash.core.study.health import Finding
from iscan_dash.core.study.study import Study
from iscan_dash.core.words import counted


def report_text(study: Study, findings: Sequence[Finding]) -> str:
    """Describe a study and what was found in it, for a terminal.

    Parameters
    ----------
    study
        The open study.
    findings
        What the health check found.
    """
    samples = study.samples
    lines = [f"{study.title}: {counted(study.n_cells, 'cell')} in {counted(len(samples.labels), 'sample')}"]
    for dataset in study.datasets:
        lines.append(f"{dataset.path.name}: {dataset.n_cells:,} cells")
        for key, matrix in dataset.matrices.items():
            kind = study.matrix_kind(dataset, key)
            lines.append(f"  {key}: {matrix.shape[1]:,} genes, {matrix.storage}, {kind.description} ({kind.reason})")
        genes = inspect_genes(dataset.gene_names())
        lines.append(f"  genes: {genes.identifiers} names, species {genes.species}, e.g. {', '.join(genes.examples)}")
    lines.append(f"embeddings: {', '.join(study.embeddings)}")
    lines.append(f"columns: {', '.join(f'{info.name} ({info.role})' for info in study.columns.values())}")
    if not findings:
        lines.append("Nothing to worry about.")
    for finding in findings:
        lines.append(f"{finding.code} {finding.severity.name.lower()}: {finding.text} {finding.advice}")
    return "\n".join(lines)
