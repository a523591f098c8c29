"""Make a reference of the cells of a study: mean profiles of each label, and a test on cells that were left out."""

import re
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from iscan_dash import __version__
from iscan_dash.core.annotations.level_check import check_levels
from iscan_dash.core.engine.control import Control
from iscan_dash.core.references.convert import write_reference
from iscan_dash.core.references.manifest import SLUG, LabelColumns, LabelTerms, Manifest
from iscan_dash.core.references.pooling import RARE_CELLS, Pools, deal
from iscan_dash.core.references.registry import Registry, printable
from iscan_dash.core.references.self_test import FILE, GranularityTest, SelfTest, compare
from iscan_dash.core.references.verify import verify
from iscan_dash.core.singler.reference import Reference
from iscan_dash.core.study import CategoryColumn, Study
from iscan_dash.core.study.genes import inspect_genes
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.core.words import counted
from iscan_dash.errors import PredictionRefused, StorageError
from iscan_dash.services.install import WASTE, alone
from iscan_dash.services.prediction_parameters import QUANTILE
from iscan_dash.services.study_query import ChosenMatrix, choose_matrices, gene_names, study_query

MOST_PROFILES = 50
"""Profiles that a label may be asked to have."""

MOST_VALUES = 30_000_000
"""Values of the largest reference that is made, profiles by genes: a gigabyte while it is made."""

MOST_TESTED = 10_000
"""Cells of the test; of more a sample is taken."""

NO_LABELS = frozenset({"unassigned", "unknown", "unlabelled", "unlabeled", "undefined", "nan", "na", "none", "n/a"})
"""What is written where there is no label; left out unless somebody says otherwise."""

VALUES = {
    MatrixKind.COUNTS: "means of log1p(counts per 10,000)",
    MatrixKind.NORMALISED: "means of log1p(normalised values)",
    MatrixKind.LOG1P: "means of log1p values",
    MatrixKind.LOG: "means of log values",
}


class Wanted(BaseModel):
    """The reference that is wanted."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(max_length=200)
    name: str = Field(max_length=1000)
    organism: Literal["human", "mouse", "unknown"]
    exclude: tuple[str, ...] | None = Field(None, max_length=10_000)
    """Labels, main or fine, whose cells are left out; those of `NO_LABELS` when None."""

    profiles: int = 10
    """Profiles of each label, where it has enough cells."""

    matrix: str | None = Field(None, max_length=10_000)
    gene_column: str | None = Field(None, max_length=10_000)


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels that a reference is made of.

    Parameters
    ----------
    column
        The label of each cell.
    terms
        The Cell Ontology terms of labels that have one.
    """

    column: CategoryColumn
    terms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Grouped:
    """Cells by the labels that are kept.

    Parameters
    ----------
    groups
        Group of each cell, -1 for none, shape (n_cells,), int64. With fine labels a group has one of each kind.
    labels
        Labels of each group, by granularity.
    n_left_out
        Cells without a label, or with one that is left out.
    """

    groups: np.ndarray
    labels: dict[str, tuple[str, ...]]
    n_left_out: int

    @property
    def sizes(self) -> np.ndarray:
        """Cells of each group, shape (n_groups,), int64."""
        return np.bincount(self.groups[self.groups >= 0], minlength=len(self.labels["main"]))

    def few(self, granularity: str) -> list[str]:
        """Return the labels that are so rare that a reference of them is not to be trusted."""
        totals: dict[str, int] = {}
        for label, size in zip(self.labels[granularity], self.sizes.tolist(), strict=True):
            totals[label] = totals.get(label, 0) + size
        return [label for label, size in totals.items() if size < RARE_CELLS]


@dataclass(frozen=True, eq=False)
class MadeReference:
    """A reference that was made.

    Parameters
    ----------
    manifest
        What it says of itself.
    test
        How well it labels cells that were left out.
    n_cells
        Cells that it is made of.
    """

    manifest: Manifest
    test: SelfTest
    n_cells: int

    @property
    def summary(self) -> list[str]:
        """What to say of it, a sentence each."""
        counts = self.manifest.n_labels
        labels = counted(counts.main or 0, "label")
        if counts.fine:
            labels = f"{counts.main:,} main and {counted(counts.fine, 'fine label')}"
        size = f"{labels}, {counted(self.manifest.n_profiles or 0, 'profile')} of {counted(self.n_cells, 'cell')}."
        tests = self.test.granularities
        return [size, *(f"Test by {kind} labels: {test.text}." for kind, test in tests.items())]


def slug(name: str) -> str:
    """Return an id like a name.

    Examples
    --------
    >>> slug("Our gut, T cells (2026)")
    'our_gut_t_cells_2026'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:64]


def check(wanted: Wanted, registry: Registry | None = None) -> dict[str, str]:
    """Return what is wrong with what is wanted, by field, as far as the study need not be asked.

    Parameters
    ----------
    wanted
        What is wanted.
    registry
        The references that there are, when their ids count.
    """
    problems = {}
    if not wanted.name.strip():
        problems["name"] = "Enter a name."
    elif len(wanted.name) > 200 or not wanted.name.strip().isprintable():
        problems["name"] = "A name has up to 200 characters on one line."
    if not SLUG.fullmatch(wanted.id):
        problems["id"] = "An id has 1 to 64 small letters, digits and _."
    elif registry is not None and is_taken(registry, wanted.id):
        problems["id"] = f'There is a reference "{wanted.id}" already. Choose another id.'
    if not 1 <= wanted.profiles <= MOST_PROFILES:
        problems["profiles"] = f"Profiles for each label must be 1 to {MOST_PROFILES}."
    return problems


def is_taken(registry: Registry, id_: str) -> bool:
    """Tell whether a reference has an id already, usable or not."""
    return any(entry.id == id_ for entry in registry.entries()) or (target_of(registry) / id_).exists()


def target_of(registry: Registry) -> Path:
    """Return where references that are made go: into one's own folder, else beside the installed ones."""
    return registry.shared or registry.installed


def organism_of(study: Study, matrix: str | None = None, gene_column: str | None = None) -> str:
    """Return whose genes a study seems to have: ``"human"``, ``"mouse"`` or ``"unknown"``.

    Raises
    ------
    PredictionRefused, UnknownColumn
        There is no matrix to make a reference of, or no such column.
    """
    names = gene_names(study, choose_matrices(study, matrix, gene_column))
    return inspect_genes([name for name in names if name]).species


def is_no_label(label: str) -> bool:
    """Tell whether a label says that there is none."""
    return label.strip().casefold() in NO_LABELS


def group_cells(wanted: Wanted, main: CategoryColumn, fine: CategoryColumn | None) -> Grouped:
    """Group the cells by their labels.

    Raises
    ------
    PredictionRefused
        Too few labels are left, or one breaks a rule.
    """
    columns = {"main": main} if fine is None else {"main": main, "fine": fine}
    codes = {}
    for kind, column in columns.items():
        is_out = np.array([*(_is_out(wanted, label) for label in column.labels), True])
        codes[kind] = np.where(is_out[column.codes], -1, column.codes.astype(np.int64))
    is_in = np.logical_and.reduce([own >= 0 for own in codes.values()])
    pairs = codes["main"] if fine is None else codes["main"] * len(fine.labels) + codes["fine"]
    used, numbers = np.unique(pairs[is_in], return_inverse=True)
    groups = np.full(len(main), -1, np.int64)
    groups[is_in] = numbers
    width = 1 if fine is None else len(fine.labels)
    labels = {"main": tuple(main.labels[code] for code in (used // width).tolist())}
    if fine is not None:
        labels["fine"] = tuple(fine.labels[code] for code in (used % width).tolist())
    for kind, names in labels.items():
        different = list(dict.fromkeys(names))
        if problem := check_levels(different).problem:
            raise PredictionRefused(f"A label of {columns[kind].name} cannot be one of a reference: {problem}")
        if len(different) < 2:
            left = f"only {different[0]}" if different else "none"
            raise PredictionRefused(
                f"A reference needs two {kind} labels to tell apart; of {columns[kind].name} there is {left}. Choose "
                "another column, or leave fewer labels out."
            )
    return Grouped(groups, labels, int((~is_in).sum()))


def _is_out(wanted: Wanted, label: str) -> bool:
    return is_no_label(label) if wanted.exclude is None else label in wanted.exclude


def make_reference(
    study: Study,
    wanted: Wanted,
    main: Labels,
    fine: Labels | None,
    folder: Path,
    *,
    threads: int = 1,
    control: Control | None = None,
) -> MadeReference:
    """Make a reference of the labelled cells of a study, and test it.

    Each label gets several profiles, each the mean log expression of some of its cells; see `deal`. For the test a
    reference is made without a fifth of the cells, and labels these.

    Parameters
    ----------
    study
        The study.
    wanted
        What is wanted.
    main, fine
        The labels of the cells; without fine ones None.
    folder
        Where to write it: a folder that is named by the id, and does not exist.
    threads
        Threads to use; the result is the same for any number.
    control
        Who is told of the progress and may cancel. The steps are ``"Preparing (once)"``, ``"load"``, ``"average"``,
        ``"test"``, ``"write"`` and ``"verify"``.

    Raises
    ------
    PredictionRefused, UnknownColumn
        It cannot be made; the message says why and what to do.
    Cancelled
        It was cancelled.
    """
    # Imported late: a server starts without Numba.
    from iscan_dash.core.singler.pseudo_bulk import pseudo_bulk
    from iscan_dash.core.singler.warm_up import is_warm, warm_up

    control = control or Control()
    for problem in check(wanted).values():
        raise PredictionRefused(problem)
    control.tell("load", 0, 1)
    matrices = choose_matrices(study, wanted.matrix, wanted.gene_column)
    kinds = {matrix.kind for matrix in matrices}
    if len(kinds) > 1:
        said = ", ".join(f"{matrix.name}: {matrix.kind}" for matrix in matrices)
        raise PredictionRefused(
            f"The files have values of several kinds ({said}). Choose a matrix that is of the same kind in all of them."
        )
    cells = group_cells(wanted, main.column, None if fine is None else fine.column)
    pools = deal(cells.groups, study.samples.codes, wanted.profiles)
    if not is_warm():
        control.tell("Preparing (once)", 0, 1)
        warm_up()
    is_in = pools.profile >= 0
    with study_query(study, matrices, None if is_in.all() else is_in) as query:
        genes = list(query.genes)
        if pools.n_profiles * len(genes) > MOST_VALUES:
            raise PredictionRefused(
                f"{pools.n_profiles:,} profiles of {len(genes):,} genes are too many. Choose fewer profiles for each "
                "label."
            )
        # The cells that are left out are averaged apart, so that one pass makes both references.
        codes = (2 * pools.profile + pools.is_held)[is_in]
        bulk = pseudo_bulk(query, codes, 2 * pools.n_profiles, control)
    means = np.asarray(next(bulk.query.blocks()), np.float64)
    values = _whole(means, bulk.clusters, bulk.sizes)
    labels = {kind: [names[group] for group in pools.group] for kind, names in cells.labels.items()}
    trained_on = means[bulk.clusters % 2 == 0].astype(np.float32)
    references = {kind: Reference(genes, trained_on, names) for kind, names in labels.items()}
    tests = _test(study, matrices, references, cells, _tested(pools), threads, control)
    control.tell("write", 0, 1)
    test = SelfTest(granularities=tests)
    manifest = _manifest(study, wanted, main, fine, labels, int(is_in.sum()), VALUES[kinds.pop()])
    folder.mkdir(parents=True)
    columns = {f"label_{kind}": names for kind, names in labels.items()}
    written = write_reference(folder, manifest, genes, values, columns)
    (folder / FILE).write_text(test.model_dump_json(indent=1), encoding="utf-8")
    control.tell("verify", 0, 1)
    if problems := verify(folder).problems:
        raise PredictionRefused(f"What was made cannot be used as a reference. {' '.join(problems)}")
    return MadeReference(written, test, int(is_in.sum()))


def _test(
    study: Study,
    matrices: Sequence[ChosenMatrix],
    references: Mapping[str, Reference],
    cells: Grouped,
    tested: np.ndarray,
    threads: int,
    control: Control,
) -> dict[str, GranularityTest]:
    """Label the cells that were left out, by granularity."""
    from iscan_dash.core.singler.classify import classify
    from iscan_dash.core.singler.train import train

    total = int(tested.sum())
    if not total:
        return {kind: GranularityTest(labels=()) for kind in references}
    tests = {}
    with study_query(study, matrices, tested) as query:
        for place, (kind, reference) in enumerate(references.items()):

            def tell(step: str, done: int, _total: int, before: int = place * total) -> None:
                if step == "score":
                    control.tell("test", before + done, len(references) * total)

            trained = train(reference, query.genes, threads=threads)
            own = Control(tell, control.is_cancelled)
            found = classify(trained, query, quantile=QUANTILE, nmads=None, threads=threads, control=own)
            code_of = {name: code for code, name in enumerate(found.labels)}
            truth = np.array([code_of[name] for name in cells.labels[kind]])[cells.groups[tested]]
            tests[kind] = compare(found.labels, truth, found.assigned())
    return tests


def _whole(means: np.ndarray, clusters: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Join the two parts of each profile; shape (n_profiles, n_genes), float32."""
    values = np.zeros((len(sizes) // 2, means.shape[1]), np.float32)
    n_cells = sizes[0::2] + sizes[1::2]
    for mean, cluster in zip(means, clusters.tolist(), strict=True):
        values[cluster // 2] += (mean * (sizes[cluster] / n_cells[cluster // 2])).astype(np.float32)
    return values


def _tested(pools: Pools) -> np.ndarray:
    """Return the cells that are tested, a sample of those left out where they are many; shape (n_cells,), bool."""
    held = np.flatnonzero(pools.is_held)
    if len(held) > MOST_TESTED:
        held = np.random.default_rng(len(held)).choice(held, MOST_TESTED, replace=False)
    tested = np.zeros(len(pools.is_held), bool)
    tested[held] = True
    return tested


def _manifest(
    study: Study,
    wanted: Wanted,
    main: Labels,
    fine: Labels | None,
    labels: Mapping[str, Sequence[str]],
    n_cells: int,
    values: str,
) -> Manifest:
    columns = [own.column.name for own in (main, fine) if own is not None]
    terms = {
        # What a manifest would write otherwise would be no label.
        kind: {name: own.terms[name] for name in sorted(set(labels[kind])) if own.terms.get(name) and _is_plain(name)}
        for kind, own in (("main", main), ("fine", fine))
        if own is not None
    }
    return Manifest(
        id=wanted.id,
        name=wanted.name.strip(),
        organism=wanted.organism,
        version="1",
        labels=LabelColumns(**{kind: f"label_{kind}" for kind in labels}),
        description=printable(
            f"Made with iscan-dash {__version__} of {counted(n_cells, 'cell')} labelled by {' and '.join(columns)}."
        ),
        source=printable(f"{study.title} ({', '.join(study.file_names)}; fingerprint {study.fingerprint})"),
        values=values,
        ontology=LabelTerms(**terms),
    )


def _is_plain(text: str) -> bool:
    return text.isprintable() and " ".join(text.split()) == text


def keep_reference(registry: Registry, made: Path) -> Path:
    """Put a reference that was made among the others, whole or not at all.

    Parameters
    ----------
    registry
        Says where; see `target_of`.
    made
        Its folder, which is named by the id. It is copied.

    Raises
    ------
    PredictionRefused
        Another reference took the id meanwhile.
    StorageError
        It cannot be written.
    """
    target = target_of(registry)
    with alone(target, "Name another folder of references."):
        if is_taken(registry, made.name):
            raise PredictionRefused(f'A reference "{made.name}" was added meanwhile. Choose another id.')
        waste = target / f"{WASTE}{uuid4().hex}"
        try:
            shutil.copytree(made, waste / made.name)
            (waste / made.name).rename(target / made.name)
        except OSError as error:
            raise StorageError(
                f"{target} cannot be written: {error.strerror or error}. Free the disk, or name another folder of "
                "references."
            ) from error
        finally:
            shutil.rmtree(waste, ignore_errors=True)
    return target / made.name
