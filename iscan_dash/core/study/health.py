"""The health check: what a user should know of a study before labelling it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from iscan_dash.core.study.columns import CategoryColumn
from iscan_dash.core.study.genes import inspect_genes
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.core.study.study import QC_AXES, Study
from iscan_dash.core.words import counted


class Severity(IntEnum):
    """How much a finding matters; also the exit code of ``iscan-dash check`` (0, or 1 from a warning up)."""

    INFO = 0
    WARNING = 1


@dataclass(frozen=True)
class Finding:
    """One finding of the health check.

    Parameters
    ----------
    code
        Stable code, ``"D01"`` to ``"D12"``.
    severity
        How much it matters.
    text
        What was found.
    advice
        What to do about it.
    """

    code: str
    severity: Severity
    text: str
    advice: str


def check_study(study: Study, max_category_items: int) -> list[Finding]:
    """Look a study over; the findings come in the order of their codes.

    Parameters
    ----------
    study
        The open study.
    max_category_items
        Levels above which the colours of a category are grouped.
    """
    return [
        *_check_cells(study),
        *_check_embeddings(study),
        *_check_columns(study, max_category_items),
        *_check_matrices(study),
        *_check_columns_as_text(study),
        *_check_genes(study),
        *_check_files_together(study),
    ]


def _check_cells(study: Study) -> list[Finding]:
    found = []
    repeated, repeated_in_sample = _repeated_cells(study)
    if repeated:
        found.append(
            Finding(
                "D01",
                Severity.WARNING,
                f"{counted(repeated, 'cell ID occurs', 'cell IDs occur')} more than once. Cells are told apart by "
                "sample and row; CSV exports include the sample.",
                "Make the IDs unique (for example with the sample as a prefix) if other tools will read the labels.",
            )
        )
    if repeated_in_sample:
        found.append(
            Finding(
                "D02",
                Severity.WARNING,
                f"{repeated_in_sample:,} cells share both sample and ID. Row numbers are used to tell them apart; "
                "files can only be re-imported for this exact dataset.",
                "Check that no sample was added twice.",
            )
        )
    return found


def _repeated_cells(study: Study) -> tuple[int, int]:
    """Count ids that occur more than once, and cells that share sample and id with another."""
    ids = study.cell_ids
    if _surely_distinct(ids):
        return 0, 0
    order = np.argsort(ids, kind="stable")
    same = ids[order][1:] == ids[order][:-1]
    if not same.any():
        return 0, 0
    starts = same & ~np.concatenate([[False], same[:-1]])
    inside = np.concatenate([[False], same]) | np.concatenate([same, [False]])
    rows = order[inside]
    _, ids_inside = np.unique(ids[rows], return_inverse=True)
    pairs = ids_inside.astype(np.int64) * len(study.samples.labels) + study.samples.codes[rows]
    _, times = np.unique(pairs, return_counts=True)
    return int(starts.sum()), int(times[times > 1].sum())


def _surely_distinct(ids: np.ndarray) -> bool:
    """Tell whether all ids differ, from a hash of each: ten times as fast as sorting a million ids."""
    words = -(-ids.itemsize // 8)
    columns = ids.astype(f"S{8 * words}").view(np.uint64).reshape(len(ids), words)
    hashes = np.zeros(len(ids), np.uint64)
    for column in columns.T:
        # FNV-1a's step, eight bytes at a time; its shift carries high bits down to where the next step spreads them.
        hashes = (hashes ^ column) * np.uint64(0x100000001B3)
        hashes ^= hashes >> np.uint64(29)
    hashes.sort()
    return not np.any(hashes[1:] == hashes[:-1])


def _check_embeddings(study: Study) -> list[Finding]:
    if study.embeddings == (QC_AXES,):
        return [
            Finding(
                "D03",
                Severity.INFO,
                "No embedding found. Plots use QC axes or two genes; every other feature works.",
                'Compute one, for example with scanpy.tl.umap, and keep it in obsm["X_umap"].',
            )
        ]
    found = []
    for name in study.embeddings:
        missing = int(np.isnan(study.embedding(name)[0]).sum())
        if missing:
            cells, they_are = (counted(missing, "cell has", "cells have"), "it is" if missing == 1 else "they are")
            text = f"{cells} no position in {name}; {they_are} never hit by a lasso."
            found.append(Finding("D04", Severity.INFO, text, "Label them by a column."))
    return found


def _check_columns(study: Study, max_category_items: int) -> list[Finding]:
    found = []
    for name, info in study.columns.items():
        if info.treat_as != "category":
            continue
        column = study.category(name)
        if len(column.labels) > max_category_items:
            text = (
                f"{name} has {len(column.labels):,} values (limit {max_category_items:,}). Colours group the rare "
                'ones as "other"; data, filters and copies keep all values.'
            )
            found.append(Finding("D05", Severity.INFO, text, "Treat it as ignore if it is an identifier."))
    return found


def _check_matrices(study: Study) -> list[Finding]:
    for dataset in study.datasets:
        kinds = [study.matrix_kind(dataset, key).kind for key in dataset.matrices]
        if kinds and all(kind is MatrixKind.SCALED for kind in kinds):
            text = "All matrices look scaled. Prediction and averages need counts or log values."
            where = f" ({dataset.path.name})" if len(study.datasets) > 1 else ""
            advice = 'Keep counts in layers["counts"] or the log values in raw, and open the file again.'
            return [Finding("D06", Severity.WARNING, text + where, advice)]
    return []


def _check_columns_as_text(study: Study) -> list[Finding]:
    found = []
    for name, info in study.columns.items():
        column = study.column(name) if info.treat_as != "ignore" else None
        note = column.note if isinstance(column, CategoryColumn) else ""
        if note == "mixed":
            text = f"{name} mixes text and numbers; values are shown as text."
            found.append(Finding("D07", Severity.INFO, text, "Nothing, unless a value was mistyped."))
        elif note == "datetime":
            text = f"{name} holds dates or times; values are shown as text and can be copied."
            found.append(Finding("D08", Severity.INFO, text, "Nothing."))
    return sorted(found, key=lambda finding: finding.code)


def _check_genes(study: Study) -> list[Finding]:
    duplicates = sum(inspect_genes(dataset.gene_names()).n_duplicates for dataset in study.datasets)
    if not duplicates:
        return []
    repeated = counted(duplicates, "gene name repeats", "gene names repeat")
    text = f"{repeated}; the first one keeps the name; the others are ignored."
    return [Finding("D09", Severity.WARNING, text, "Use adata.var_names_make_unique() if you need all of them.")]


def _check_files_together(study: Study) -> list[Finding]:
    if len(study.datasets) < 2:
        return []
    return [*_check_shared_genes(study), *_check_shown_kinds(study), *_check_joint_embeddings(study)]


def _check_shared_genes(study: Study) -> list[Finding]:
    n_files, n_genes = len(study.datasets), len(study.genes)
    shared = sum(gene.n_files == n_files for gene in study.genes.values())
    if shared == n_genes:
        return []
    text = (
        f"{shared:,} of {counted(n_genes, 'gene')} are in all {n_files:,} files; the others are missing in the cells "
        "of some file."
    )
    advice = (
        "Compare the files by shared genes only. If few are shared, see whether the files name genes alike and were "
        "filtered alike."
    )
    return [Finding("D10", Severity.WARNING if shared < n_genes / 2 else Severity.INFO, text, advice)]


def _check_shown_kinds(study: Study) -> list[Finding]:
    def kinds(keys: Sequence[str | None]) -> list[MatrixKind]:
        files = zip(study.datasets, keys, strict=True)
        return [study.matrix_kind(dataset, key).kind for dataset, key in files if key in dataset.matrices]

    def listed(keys: Sequence[str | None]) -> str:
        files = zip(study.file_names, study.datasets, keys, strict=True)
        return ", ".join(
            f"{study.matrix_kind(dataset, key).kind} ({name} {key})"
            for name, dataset, key in files
            if key in dataset.matrices
        )

    shown, first = study.shown_matrices, ["X"] * len(study.datasets)
    if len(set(kinds(shown))) > 1:
        text = f"Genes are shown by values of different kinds: {listed(shown)}. They cannot be compared between files."
        advice = (
            "Open files that hold the same kind of values, or tell below what the matrices hold if we guessed wrong."
        )
        return [Finding("D11", Severity.WARNING, text, advice)]
    if len(set(kinds(first))) > 1:
        text = (
            f"X holds values of different kinds: {listed(first)}. Genes are shown by what the files share: "
            f"{listed(shown)}."
        )
        advice = "Nothing, unless we guessed wrong: then tell below what the matrices hold."
        return [Finding("D11", Severity.INFO, text, advice)]
    return []


def _check_joint_embeddings(study: Study) -> list[Finding]:
    joint = [name for name in study.embeddings if study.is_joint(name)]
    if not joint:
        return []
    text = (
        f"The files' coordinates are drawn together ({', '.join(joint)}). Unless they were computed on all files at "
        "once, distances between files mean nothing."
    )
    advice = "Colour by sample to see which cells are from which file, or compute one embedding of all cells."
    return [Finding("D12", Severity.INFO, text, advice)]
