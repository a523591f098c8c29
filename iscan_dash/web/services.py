"""What the page's callbacks work with."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import flask

from iscan_dash.core.references import Registry
from iscan_dash.errors import GeneNotRead, IscanError, ServerStopping, StorageError
from iscan_dash.logs import tell
from iscan_dash.services.absences import Absences
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
from iscan_dash.web.status import own_status

LOOK = 60.0
"""Most seconds between two looks at who is away."""

MOST_TOLD = 1000
"""Users of whom it is known that they are away, and their last status if their drafts were open."""

_DESK, _BY_ITSELF = "iscan_desk", "iscan_by_itself"

_NOT_KEPT = "What %s had selected cannot be kept: %s"

log = logging.getLogger(__name__)


class Remembering(Protocol):
    """A part of a desk that holds what is nowhere else."""

    def remember(self) -> dict[str, Any]:
        """Return plain values for `recall`; nothing when nothing is worth it."""

    def recall(self, kept: Mapping[str, Any]) -> None:
        """Be as `remember` said, given the values of all parts."""


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

    @property
    def remembering(self) -> tuple[Remembering, ...]:
        """The parts that hold what is nowhere else, in the order in which they come back."""
        return self.workspace, self.offers, self.selections, self.edit_table


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
    folder
        Where it is kept what users who are away had selected.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        hashes: FileHashes,
        jobs: Jobs,
        registry: Registry,
        gene_sets: GeneSetCollections,
        gene_indexing: GeneIndexing,
        folder: Path,
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
        self._opening: dict[str, threading.Lock] = {}
        self._merge_runs: dict[str, MergeRun] = {}
        self._told: OrderedDict[str, dict[str, Any] | None] = OrderedDict()
        self._absences = Absences(folder, workspaces.study, workspaces.folder)
        self._watch: threading.Thread | None = None
        workspaces.before_leaving = self._leave_desk

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
        desk: Desk | None = flask.g.get(_DESK)
        if desk is None:
            desk = self.enter(user.id, user.name)
            setattr(flask.g, _DESK, desk)
        # A request may give the user another name.
        desk.workspace.call_user(user.name)
        return desk

    def leave_request(self, _error: BaseException | None = None) -> None:
        """Say that a request is over: what belongs to the user may be put away some time from now."""
        desk: Desk | None = flask.g.pop(_DESK, None)
        if desk is not None:
            self.leave(desk, as_used=not flask.g.get(_BY_ITSELF, False))

    # -- desks -------------------------------------------------------------------------------------------------------

    @contextmanager
    def at_desk(self, user: str, user_name: str) -> Iterator[Desk]:
        """Use what belongs to a user; see `enter` for the parameters."""
        with self.workspaces.using(user, user_name) as workspace:
            yield self._desk(workspace)

    def enter(self, user: str, user_name: str) -> Desk:
        """Return what belongs to a user, which is there until `leave` is called as often.

        Parameters
        ----------
        user
            Id of the user.
        user_name
            What others call them now.

        Raises
        ------
        ServerStopping
            Nobody is let in any more.
        """
        workspace = self.workspaces.enter(user, user_name)
        try:
            return self._desk(workspace)
        except BaseException:
            self.workspaces.leave(user)
            raise

    def leave(self, desk: Desk, *, as_used: bool = True) -> None:
        """Say that a desk is not used any more; see `Workspaces.leave`."""
        self.workspaces.leave(desk.workspace.user, as_used=as_used)

    def _desk(self, workspace: Workspace) -> Desk:
        user = workspace.user
        with self._lock:
            opening = self._opening.setdefault(user, threading.Lock())
        # One that comes back is made ready first, which takes as long as evaluating what was selected.
        with opening:
            if self.is_closing.is_set():
                raise ServerStopping("The server is stopping. What you did is kept; load the page again in a moment.")
            desk = self._desks.get(user)
            if desk is None:
                desk = self._made(workspace)
                with self._lock:
                    self._desks[user] = desk
                    self._told.pop(user, None)
            return desk

    def _made(self, workspace: Workspace) -> Desk:
        selections, results = Selections(workspace), OpenedResults(workspace)
        with self._lock:
            merge_run = self._merge_runs.setdefault(workspace.user, MergeRun())
        desk = Desk(
            workspace,
            Plots(workspace, selections, results),
            Previews(workspace, selections),
            TableImports(workspace),
            merge_run,
            Offers(workspace),
            selections,
            EditTable(workspace, selections.mask, selections.text, lambda: int(selections.state()["mask_version"])),
            Inspection(workspace, self._expression),
            results,
            Reviews(workspace, results),
            Enrichments(workspace),
        )
        kept = self._absences.read(workspace.user)
        try:
            for part in desk.remembering:
                part.recall(kept)
        except (StorageError, GeneNotRead):
            # The drafts cannot be opened now, or a gene was not read: the server stops, or is busy. The user is told,
            # and the next request tries again.
            raise
        except (ValueError, LookupError, TypeError, IscanError) as error:
            log.warning("What was kept of a user who was away does not fit: %s", type(error).__name__)
        if kept:
            self._absences.forget(workspace.user)
        with self._lock:
            was_away = workspace.user in self._told
        # What was kept may be from before a restart.
        if kept or was_away:
            tell("back", user=workspace.user)
        return desk

    # -- users who are away --------------------------------------------------------------------------------------------

    def put_idle_away(self, seconds: float) -> list[str]:
        """Put away what belongs to users who asked for nothing so long, and return who they are.

        Drafts are on the disk already; what was selected and ticked goes there, too, and is there again with the next
        request.
        """
        gone = self.workspaces.put_idle_away(seconds)
        if gone and not self.workspaces.here():
            self._expression.forget()
            self.workspaces.study.room.clear()
        return gone

    def watch(self, seconds: float) -> None:
        """Put away what belongs to users who are away, again and again, until the server stops; nobody for 0.

        What was kept long ago is forgotten in any case: selections are kept at a stop, too.
        """
        self._absences.forget_old()
        if not seconds:
            return

        def look() -> None:
            while not self.is_closing.wait(min(seconds / 4, LOOK)):
                self.put_idle_away(seconds)

        self._watch = threading.Thread(target=look, name="idle", daemon=True)
        self._watch.start()

    def status(self) -> dict[str, Any]:
        """Return how things stand for the user who asks.

        Pages ask for it again and again, which does not mean that anybody sits before them: it keeps no user here, and
        brings none back. Those who are away are told what was so when they left; jobs, and what others do, as it is.
        """
        user = current_user().id
        with self._lock:
            own = self._told.get(user)
        if own is None or self.workspaces.is_here(user):
            setattr(flask.g, _BY_ITSELF, True)
            self.workspace.watch_draft()
            self.offers.look()
            own = own_status(self._own())
        shared = self.workspaces.shared()
        return {
            **own,
            "revision": own["revision"] + (shared.revision(user) if shared else 0),
            "jobs": self.jobs.version,
            "jobs_active": self.jobs.n_active(),
        }

    def _leave_desk(self, user: str, workspace: Workspace) -> bool:
        """Keep what is to be found again when a workspace is put away; object while something goes on in it."""
        with self._lock:
            desk = self._desks.get(user)
        if desk is None:
            return True
        merge_run = desk.merge_run.state
        if merge_run.is_running or desk.imports.is_here or desk.offers.is_looking:
            return False
        try:
            told = own_status(desk) if workspace.is_opened else None
            self._remember(workspace, desk.remembering)
        except (OSError, IscanError) as error:
            log.warning(_NOT_KEPT, workspace.user_name, error)
            return False
        with self._lock:
            self._told[user] = told
            while len(self._told) > MOST_TOLD:
                self._told.popitem(last=False)
            del self._desks[user]
            self._opening.pop(user, None)
            if not merge_run.message:
                # None was begun; of others the page offers the files.
                del self._merge_runs[user]
        tell("away", user=user)
        return True

    def _remember(self, workspace: Workspace, parts: Iterable[Remembering]) -> None:
        kept: dict[str, Any] = {}
        for part in parts:
            kept |= part.remember()
        if kept:
            self._absences.keep(workspace.user, kept)

    def close(self) -> None:
        """Stop the background work, write what is unsaved and close the files."""
        self.is_closing.set()
        for workspace in self.workspaces.here().values():
            workspace.searches.close()
        with self._lock:
            openings = list(self._opening.values())
        for opening in openings:
            # Whoever was let in before has their desk now, and nobody gets one from here on.
            with opening:
                pass
        # HDF5 does not bear that a file is closed while somebody reads it.
        for thread in (self.warm_up, self._watch):
            if thread is not None:
                thread.join()
        with self._lock:
            desks, merge_runs = list(self._desks.values()), list(self._merge_runs.values())
        for stop in (
            self.jobs.close,
            self.preflights.close,
            self._prepared.close,
            self.hashes.close,
            self.gene_indexing.close,
            self._expression.close,
            *(merge_run.close for merge_run in merge_runs),
        ):
            try:
                stop()
            except Exception as error:
                # What is unsaved is written all the same.
                log.error("%s failed.", stop.__qualname__, exc_info=error)
        for desk in desks:
            workspace = desk.workspace
            try:
                # The rest is about this run of the server.
                self._remember(workspace, (desk.selections, desk.edit_table))
            except Exception as error:
                is_known = isinstance(error, OSError | IscanError)
                log.warning(_NOT_KEPT, workspace.user_name, error, exc_info=not is_known)
        self.workspaces.close()
        tell("stopped")
