"""What the page's callbacks work with."""

import threading
from dataclasses import dataclass

from iscan_dash.core.references import Registry
from iscan_dash.logs import tell
from iscan_dash.services.edit_table import EditTable
from iscan_dash.services.enrichments import Enrichments
from iscan_dash.services.explain import Explainer
from iscan_dash.services.expression_samples import ExpressionSamples
from iscan_dash.services.gene_indexing import GeneIndexing
from iscan_dash.services.gene_sets import GeneSetCollections
from iscan_dash.services.hashes import FileHashes
from iscan_dash.services.inspection import Inspection
from iscan_dash.services.jobs import Jobs
from iscan_dash.services.merge_run import MergeRun
from iscan_dash.services.opened_results import OpenedResults
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.preflights import Preflights
from iscan_dash.services.prepared_references import PreparedReferences
from iscan_dash.services.reviews import Reviews
from iscan_dash.services.selections import Selections
from iscan_dash.services.what_is_this import Namer
from iscan_dash.services.workspace import Workspace
from iscan_dash.services.workspaces import Workspaces
from iscan_dash.web.identity import current_user
from iscan_dash.web.imports import TableImports
from iscan_dash.web.offers import Offers
from iscan_dash.web.plots import Plots
from iscan_dash.web.preview import Previews


@dataclass(frozen=True)
class Desk:
    """What belongs to one user.

    Parameters
    ----------
    workspace
        The open study and the user's annotations.
    plots
        Arrays and specifications of plots.
    previews
        Previews of annotations being made.
    imports
        The table that was uploaded last.
    merge_run
        The merge that runs, or ran last.
    offers
        Old drafts that may be brought here.
    selections
        The cells that are selected.
    edit_table
        The grid in which labels are edited, with its ticks.
    inspection
        What cells are made of, and their marker genes.
    results
        Predictions that are looked into.
    reviews
        Review queues of predictions.
    enrichments
        Results of gene-set scoring.
    """

    workspace: Workspace
    plots: Plots
    previews: Previews
    imports: TableImports
    merge_run: MergeRun
    offers: Offers
    selections: Selections
    edit_table: EditTable
    inspection: Inspection
    results: OpenedResults
    reviews: Reviews
    enrichments: Enrichments


class Services:
    """The services of one application; what belongs to a user is that of the user who asks.

    Parameters
    ----------
    workspaces
        The open study and everyone's annotations.
    hashes
        SHA-256 of the files.
    jobs
        What takes longer than a request may; each job says whose it is.
    registry
        The references that cell types are predicted by.
    gene_sets
        The collections of gene sets.
    gene_indexing
        What makes genes of large matrices quick to read.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        hashes: FileHashes,
        jobs: Jobs,
        registry: Registry,
        gene_sets: GeneSetCollections,
        gene_indexing: GeneIndexing,
    ) -> None:
        self.workspaces = workspaces
        self.hashes = hashes
        self.jobs = jobs
        self.registry = registry
        self.gene_sets = gene_sets
        self.gene_indexing = gene_indexing
        predictor = Predictor(registry)
        self.preflights = Preflights(predictor)
        self._expression = ExpressionSamples()
        self._prepared = PreparedReferences(registry, predictor)
        self.namer = Namer(self._expression, self._prepared)
        self.explainer = Explainer(self._expression, self._prepared)
        self.is_closing = threading.Event()
        self.warm_up: threading.Thread | None = None
        self._lock = threading.Lock()
        self._desks: dict[str, Desk] = {}

    @property
    def workspace(self) -> Workspace:
        """The open study and the user's annotations."""
        return self._own().workspace

    @property
    def plots(self) -> Plots:
        """Arrays and specifications of plots."""
        return self._own().plots

    @property
    def previews(self) -> Previews:
        """Previews of annotations being made."""
        return self._own().previews

    @property
    def imports(self) -> TableImports:
        """The table that was uploaded last."""
        return self._own().imports

    @property
    def merge_run(self) -> MergeRun:
        """The merge that runs, or ran last."""
        return self._own().merge_run

    @property
    def offers(self) -> Offers:
        """Old drafts that may be brought here."""
        return self._own().offers

    @property
    def selections(self) -> Selections:
        """The cells that are selected."""
        return self._own().selections

    @property
    def edit_table(self) -> EditTable:
        """The grid in which labels are edited, with its ticks."""
        return self._own().edit_table

    @property
    def inspection(self) -> Inspection:
        """What cells are made of, and their marker genes."""
        return self._own().inspection

    @property
    def results(self) -> OpenedResults:
        """Predictions that are looked into."""
        return self._own().results

    @property
    def reviews(self) -> Reviews:
        """Review queues of predictions."""
        return self._own().reviews

    @property
    def enrichments(self) -> Enrichments:
        """Results of gene-set scoring."""
        return self._own().enrichments

    def _own(self) -> Desk:
        user = current_user()
        return self.desk(user.id, user.name)

    def desk(self, user: str, user_name: str) -> Desk:
        """Return what belongs to a user, given their id and what others call them now."""
        workspace = self.workspaces.of(user, user_name)
        with self._lock:
            if user not in self._desks:
                selections, results = Selections(workspace), OpenedResults(workspace)
                self._desks[user] = Desk(
                    workspace,
                    Plots(workspace, selections, results),
                    Previews(workspace, selections),
                    TableImports(workspace),
                    MergeRun(),
                    Offers(workspace),
                    selections,
                    EditTable(
                        workspace, selections.mask, selections.text, lambda: int(selections.state()["mask_version"])
                    ),
                    Inspection(workspace, self._expression),
                    results,
                    Reviews(workspace, results),
                    Enrichments(workspace),
                )
            return self._desks[user]

    def close(self) -> None:
        """Stop the background work, write what is unsaved and close the files."""
        self.is_closing.set()
        for desk in self._desks.values():
            desk.workspace.searches.close()
        if self.warm_up is not None:
            # HDF5 does not bear that a file is closed while somebody reads it.
            self.warm_up.join()
        self.jobs.close()
        self.preflights.close()
        self._prepared.close()
        self.hashes.close()
        self.gene_indexing.close()
        self._expression.close()
        for desk in self._desks.values():
            desk.merge_run.close()
        self.workspaces.close()
        tell("stopped")
