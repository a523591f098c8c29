"""A look at cells before they are labelled: what they are made of, and which genes tell them from the rest."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from iscan_dash.core.composition import Composition, composition
from iscan_dash.core.markers import Marker, Sides, rank_genes
from iscan_dash.core.study.matrices import KIND_TEXT
from iscan_dash.errors import PredictionRefused, UnknownColumn
from iscan_dash.services.expression_samples import ExpressionSamples
from iscan_dash.services.study_query import choose_matrices
from iscan_dash.services.workspace import Source, Workspace

MARKERS = 12
"""Genes returned."""

PAGES = 32
"""Pages of a user whose latest question is remembered."""


class Superseded(Exception):
    """The page has asked for something newer meanwhile."""


@dataclass(frozen=True)
class Column:
    """A column that cells can be inspected by.

    Parameters
    ----------
    source
        The column.
    name
        What it is called.
    """

    source: Source
    name: str


@dataclass(frozen=True)
class MarkerReport:
    """The genes that tell some cells from the rest.

    Parameters
    ----------
    markers
        The genes, the best first.
    sides
        What was looked at.
    matrix
        The matrix that was read, and what it holds.
    """

    markers: list[Marker]
    sides: Sides
    matrix: str


class Inspection:
    """Inspects cells for one user.

    Parameters
    ----------
    workspace
        The open study and the user's annotations.
    samples
        The expression of the study.
    """

    def __init__(self, workspace: Workspace, samples: ExpressionSamples) -> None:
        self._workspace = workspace
        self._samples = samples
        self._lock = threading.Lock()
        self._latest: OrderedDict[str, object] = OrderedDict()

    def columns(self) -> list[Column]:
        """Return the columns of labels: clusters, annotations with the newest first, metadata."""
        workspace = self._workspace
        infos = [info for info in workspace.study.columns.values() if info.treat_as == "category"]
        own = sorted(workspace.annotations(), key=lambda state: state.live.created, reverse=True)
        annotations = [(state, state.live.name) for state in own]
        annotations += [(state, f"{state.live.name} of {state.live.owner}") for state in workspace.others()]
        return [
            *(Column(Source("cluster", info.name), info.name) for info in infos if info.role == "cluster"),
            *(Column(Source("annotation", state.id), name) for state, name in annotations),
            *(Column(Source("metadata", info.name), info.name) for info in infos if info.role != "cluster"),
        ]

    def composition(self, source: Source, mask: np.ndarray) -> Composition:
        """Count the labels that cells have in a column.

        Raises
        ------
        UnknownColumn
            There is no such column, or it holds numbers.
        """
        info = self._workspace.study.columns.get(source.key)
        if source.kind != "annotation" and (info is None or info.treat_as != "category"):
            raise UnknownColumn(f'This study has no column of labels "{source.key}".')
        return composition(self._workspace.category(source), mask)

    def markers(self, mask: np.ndarray, page: str) -> MarkerReport | float:
        """Return the genes that tell cells from the rest, or the part of the expression that is read by now.

        Parameters
        ----------
        mask
            The cells; shape (n_cells,), bool.
        page
            Who asks: a later question of the same page ends this one.

        Raises
        ------
        Superseded
            The page asked again meanwhile.
        PredictionRefused
            No matrix tells of expression.
        """
        check = self.checker(page)
        study = self._workspace.study
        try:
            comparer = self._samples.get(study)
        except PredictionRefused as error:
            raise PredictionRefused(
                "Marker genes need a matrix of counts or log values, and this study has none (see the Data page)."
            ) from error
        if isinstance(comparer, float):
            return comparer
        sides = comparer.compare(mask, check)
        chosen = dict.fromkeys(f"{matrix.key} ({KIND_TEXT[matrix.kind]})" for matrix in choose_matrices(study))
        return MarkerReport(rank_genes(sides, comparer.sample.genes, MARKERS), sides, ", ".join(chosen))

    def checker(self, page: str) -> Callable[[], None]:
        """Return what raises `Superseded` once the same page has asked again."""
        own = object()
        with self._lock:
            self._latest[page] = own
            self._latest.move_to_end(page)
            while len(self._latest) > PAGES:
                self._latest.popitem(last=False)

        def check() -> None:
            if self._latest.get(page, own) is not own:
                raise Superseded

        return check
