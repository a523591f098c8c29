"""Label the cells of a study by a reference: what the page and the command line both do."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from iscan_dash import __version__
from iscan_dash.core.engine.chunks import MapChunks
from iscan_dash.core.engine.control import Control
from iscan_dash.core.references.load import LoadedReference, load_reference
from iscan_dash.core.references.registry import Registry
from iscan_dash.core.study import Study
from iscan_dash.core.study.columns import CategoryColumn
from iscan_dash.core.study.genes import inspect_genes
from iscan_dash.errors import PredictionRefused
from iscan_dash.services.prediction_parameters import METHOD, QUANTILE, Parameters, plain_parameters
from iscan_dash.services.prediction_result import NO_GROUP, NOT_CHOSEN, Prediction, Preflight, with_cutoffs
from iscan_dash.services.study_query import ChosenMatrix, choose_matrices, gene_names, study_query
from iscan_dash.services.trained_cache import TrainedCache

if TYPE_CHECKING:
    from iscan_dash.core.singler.train import Trained

LEAST_GENES = 250
LEAST_SHARE = 0.2
"""Of the marker genes of a reference, how many a study must have."""

FEW_SHARE = 0.5
"""Of these genes, with how many there is no warning."""

MANY_GROUPS = 5_000

IN_MEMORY = 64_000_000
"""Bytes of scores up to which they are in memory; more are in a temporary file."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a prediction works with."""

    parameters: Parameters
    reference: LoadedReference
    matrices: tuple[ChosenMatrix, ...]
    cells: np.ndarray | None
    groups: CategoryColumn | None
    preflight: Preflight


@dataclass(frozen=True, eq=False)
class Prepared:
    """A reference made ready for a study.

    Parameters
    ----------
    reference
        Labels, profiles, and where they come from.
    genes
        The genes of the study, in the order of columns that `trained` expects.
    trained
        The reference, trained for these genes.
    preflight
        What is known of it.
    """

    reference: LoadedReference
    genes: tuple[str | None, ...]
    trained: "Trained"
    preflight: Preflight


class Predictor:
    """Labels the cells of studies.

    Parameters
    ----------
    registry
        Where references are.
    cache
        Where trained references are kept; the user's cache when None.
    """

    def __init__(self, registry: Registry, cache: TrainedCache | None = None) -> None:
        self._registry = registry
        self._cache = cache or TrainedCache()
        # A page asks for the preflight at each change of the form.
        self._load = lru_cache(maxsize=1)(self._load_reference)

    def preflight(self, study: Study, parameters: Parameters) -> Preflight:
        """Look whether a prediction can be made, and what to expect.

        Raises
        ------
        PredictionRefused, UnknownColumn
            It cannot be made; the message says why and what to do.
        """
        return self._plan(study, parameters, 1).preflight

    def prepare(self, study: Study, parameters: Parameters) -> Prepared:
        """Make a reference ready for a study, for questions of a few cells.

        Raises
        ------
        PredictionRefused, UnknownColumn
            A prediction could not be made; the message says why and what to do.
        """
        plan = self._plan(study, parameters, 1)
        genes = gene_names(study, plan.matrices)
        return Prepared(plan.reference, tuple(genes), self._trained(plan.reference, genes, 1), plan.preflight)

    def predict(
        self,
        study: Study,
        parameters: Parameters,
        *,
        threads: int = 1,
        control: Control | None = None,
        map_chunks: MapChunks | None = None,
    ) -> Prediction:
        """Label the cells of a study.

        Parameters
        ----------
        study
            The study.
        parameters
            What decides the prediction.
        threads
            Threads to use; the result is the same for any number.
        control
            Who is told of the progress and may cancel. The steps are ``"Preparing (once)"``, ``"load"``,
            ``"match genes"``, ``"train"``, ``"average"`` (groups only), ``"score"``, ``"fine-tune"`` and ``"prune"``.
        map_chunks
            Who labels chunks of cells; done here when None. Groups are averaged here in any case.

        Raises
        ------
        PredictionRefused, UnknownColumn
            It cannot be made; the message says why and what to do.
        Cancelled
            It was cancelled; nothing is left behind.
        """
        # Numba takes a quarter of a second to import, and a server starts without it.
        from iscan_dash.core.singler.classify import classify
        from iscan_dash.core.singler.pseudo_bulk import pseudo_bulk

        if threads < 1:
            raise PredictionRefused("The number of threads must be at least 1.")
        control = control or Control()
        parameters.check()
        control.tell("load", 0, 1)
        plan = self._plan(study, parameters, threads, control)
        with study_query(study, plan.matrices, plan.cells) as cells:
            query = cells
            control.tell("train", 0, 1)
            trained = self._trained(plan.reference, cells.genes, threads)
            rows, left_out = _rows(study, plan)
            names = None
            if plan.groups is not None:
                codes = plan.groups.codes if plan.cells is None else plan.groups.codes[plan.cells]
                bulk = pseudo_bulk(cells, codes, len(plan.groups.labels), control)
                query = bulk.query
                names = tuple(plan.groups.labels[group] for group in bulk.clusters)
                rows = _renumbered(rows, bulk.clusters, len(plan.groups.labels))
            with _room(query.n_cells, len(trained.labels)) as scores:
                classified = classify(
                    trained,
                    query,
                    quantile=QUANTILE,
                    threshold=parameters.threshold if parameters.fine_tune else None,
                    nmads=None,
                    threads=threads,
                    control=control,
                    scores=scores,
                    map_chunks=map_chunks,
                )
        classified = with_cutoffs(classified, parameters)
        return Prediction(parameters, plan.preflight, _recipe(study, plan), rows, left_out, classified, names)

    def _plan(self, study: Study, parameters: Parameters, threads: int, control: Control | None = None) -> _Plan:
        from iscan_dash.core.singler.warm_up import is_warm, warm_up

        parameters.check()
        # Found anew each time: a reference may have been replaced meanwhile.
        entry = self._registry.ready(parameters.reference)
        reference = self._load(parameters.reference, parameters.granularity, self._registry.checksum(entry))
        reference = replace(reference, entry=entry)
        name, labels = entry.name, reference.profiles.names
        if len(labels) < 2:
            raise PredictionRefused(
                f"{name} has only one {parameters.granularity} label: there is nothing to tell apart."
            )
        matrices = choose_matrices(study, parameters.matrix, parameters.gene_column)
        cells = _chosen_cells(study, parameters.samples)
        groups = None if parameters.by_cluster is None else _groups(study, parameters.by_cluster, matrices)
        if control:
            control.tell("match genes", 0, 1)
        genes = gene_names(study, matrices)
        named = [gene for gene in genes if gene]
        if not named:
            raise PredictionRefused("The files of this study have no gene in common.")
        organism = entry.manifest.organism if entry.manifest else "unknown"
        looks = inspect_genes(named).species
        is_other = organism != "unknown" and looks not in {"unknown", organism}
        if is_other and not parameters.any_organism:
            raise PredictionRefused(f"{name} is {organism} but gene names look like {looks}.", "E14")
        if not is_warm():
            if control:
                control.tell("Preparing (once)", 0, 1)
            warm_up()
        markers = self._trained(reference, reference.profiles.genes, threads).genes
        found = len(set(named) & set(markers))
        if found < min(LEAST_GENES, len(markers)) or found < LEAST_SHARE * len(markers):
            there = next(iter(markers), "none")
            raise PredictionRefused(
                f"Only {found:,} of {len(markers):,} marker genes were found. "
                f"Check gene IDs ({named[0]} here, {there} in the reference) or organism.",
                "E13",
            )
        n_cells = study.n_cells if cells is None else int(cells.sum())
        n_groups = None
        if groups is not None:
            own = groups.codes if cells is None else groups.codes[cells]
            n_groups = int(np.count_nonzero(np.bincount(own[own >= 0])))
        preflight = Preflight(name, matrices, n_cells, n_groups, len(labels), len(markers), found, looks)
        warnings = list(_warnings(preflight, is_other=is_other, looks=looks, organism=organism))
        return _Plan(parameters, reference, matrices, cells, groups, replace(preflight, warnings=tuple(warnings)))

    def _load_reference(self, id_: str, granularity: str, _checksum: str) -> LoadedReference:
        return load_reference(self._registry, id_, granularity)

    def _trained(self, reference: LoadedReference, genes: Sequence[str | None], threads: int) -> "Trained":
        from iscan_dash.core.singler.train import train

        key = [reference.checksum, reference.granularity, *map(str, reference.profiles.names), None, *genes]
        return self._cache.get(key, lambda: train(reference.profiles, genes, threads=threads))


def _chosen_cells(study: Study, samples: tuple[str, ...] | None) -> np.ndarray | None:
    """Return which cells are of the samples, shape (n_cells,), bool; None for all."""
    if samples is None:
        return None
    column = study.samples
    for sample in samples:
        if sample not in column.labels:
            raise PredictionRefused(f'There is no sample "{sample}". There are: {", ".join(column.labels)}.')
    wanted = [place for place, label in enumerate(column.labels) if label in samples]
    return np.isin(column.codes, wanted)


def _groups(study: Study, name: str, matrices: Sequence[ChosenMatrix]) -> CategoryColumn:
    if not name.strip():
        raise PredictionRefused("Choose a column to group by.", "E16")
    column = study.column(name)
    if not isinstance(column, CategoryColumn):
        if not column.is_integral:
            raise PredictionRefused(f"{name} holds numbers that are not whole. Choose a column of groups.", "E16")
        column = study.category(name)
    if len(column.labels) < 2:
        raise PredictionRefused(f"{name} has only one group." if column.labels else f"{name} has no group.", "E16")
    if len({matrix.kind for matrix in matrices}) > 1:
        kinds = ", ".join(f"{matrix.name}: {matrix.kind}" for matrix in matrices)
        raise PredictionRefused(
            f"Groups across files need values of one kind, but there are several ({kinds}). Choose a matrix that is of "
            "the same kind in all of them."
        )
    return column


def _warnings(preflight: Preflight, *, is_other: bool, looks: str, organism: str) -> Iterator[str]:
    if is_other:
        yield f"{preflight.reference_name} is {organism} but gene names look like {looks}; it is used anyway."
    if preflight.n_found < FEW_SHARE * preflight.n_markers:
        yield f"Only {preflight.found_text[0].lower()}{preflight.found_text[1:]} Labels may be less certain."
    if preflight.n_groups is not None and preflight.n_groups > MANY_GROUPS:
        yield f"{preflight.n_groups:,} groups are many: is the column one of clusters?"


def _rows(study: Study, plan: _Plan) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each cell among those that are labelled, or of its group, and why one has none."""
    left_out = np.zeros(study.n_cells, np.int8)
    if plan.groups is not None:
        rows = plan.groups.codes.astype(np.int64)
        left_out[rows < 0] = NO_GROUP
    elif plan.cells is None:
        rows = np.arange(study.n_cells)
    else:
        rows = np.cumsum(plan.cells) - 1
    if plan.cells is not None:
        rows[~plan.cells], left_out[~plan.cells] = -1, NOT_CHOSEN
    return rows, left_out


def _renumbered(rows: np.ndarray, groups: np.ndarray, n_groups: int) -> np.ndarray:
    """Give the numbers of groups to their rows: those without a cell have none."""
    # One more place, for the -1 of cells without a group.
    row_of = np.full(n_groups + 1, -1, np.int64)
    row_of[groups] = np.arange(len(groups))
    numbered: np.ndarray = row_of[rows]
    return numbered


@contextlib.contextmanager
def _room(n_rows: int, n_labels: int) -> Iterator[np.ndarray | None]:
    """Give room for large scores in a temporary file, which is gone when nobody uses them any more."""
    if n_rows * n_labels * 8 <= IN_MEMORY:
        yield None
        return
    with tempfile.TemporaryFile(prefix="iscan-scores-") as file:
        # The mapping keeps the file open; without a name it takes no room once both are gone.
        yield np.memmap(file, np.float64, "w+", shape=(n_rows, n_labels))


def _recipe(study: Study, plan: _Plan) -> dict[str, Any]:
    manifest = plan.reference.entry.manifest
    assert manifest is not None
    matrices = {matrix.file: {"key": matrix.key, "kind": str(matrix.kind)} for matrix in plan.matrices}
    return {
        "method": METHOD,
        **plain_parameters(plan.parameters),
        "quantile": QUANTILE,
        "matrices": matrices,
        "reference_name": manifest.name,
        "reference_version": manifest.version,
        "reference_checksum": plan.reference.checksum,
        "markers_found": plan.preflight.n_found,
        "markers": plan.preflight.n_markers,
        "fingerprint": study.fingerprint,
        "versions": {"iscan-dash": __version__, "numba": version("numba"), "numpy": np.__version__},
    }
