"""Make the application: one study, one server."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pandas  # noqa: F401 - Plotly's JSON takes up a half-imported pandas when another thread imports it meanwhile
from dash import Dash, html, set_props
from dash.exceptions import UnsupportedRelativePath
from pydantic import ValidationError

from iscan_dash import __version__
from iscan_dash.core.references import Registry
from iscan_dash.core.study import open_study
from iscan_dash.errors import GeneNotRead, IscanError, ServerStopping
from iscan_dash.logs import tell
from iscan_dash.services.gene_indexing import GeneIndexing
from iscan_dash.services.gene_sets import GeneSetCollections
from iscan_dash.services.hashes import FileHashes
from iscan_dash.services.jobs import Jobs
from iscan_dash.services.workspaces import Workspaces
from iscan_dash.settings import Settings
from iscan_dash.web import (
    bundle,
    checked,
    compression,
    first_picture,
    identity,
    layout,
    once,
    probes,
    read_only,
    request_log,
    routes,
    same_study,
    security,
    selections,
)
from iscan_dash.web.below import Below
from iscan_dash.web.components import cell_filter, history, naming, plot_grid, plot_panel, toast, topbar
from iscan_dash.web.ids import Shell
from iscan_dash.web.pages import annotate, data, enrichment, export, references, study_logs
from iscan_dash.web.services import Desk, Services

PACKAGE = Path(__file__).parents[1]
ASSETS = next(folder for folder in (PACKAGE / "assets", PACKAGE.parent / "assets") if folder.is_dir())
"""Our scripts and styles: inside the package when installed from a wheel, beside it in a checkout."""

HASHING_DELAY = 3.0
"""Seconds left to the first page before the files are hashed."""

log = logging.getLogger(__name__)


def create_app(settings: Settings) -> Dash:
    """Open the study and make the application that serves it.

    Parameters
    ----------
    settings
        What to serve, and how.

    Returns
    -------
    Dash
        The application; ``.server`` is the WSGI application.

    Raises
    ------
    DataError
        The study cannot be opened.
    StorageError
        The drafts, the server's secret or the file of users cannot be read.
    """
    begun = time.perf_counter()
    # Dash would ask a public server whether there is a newer version.
    os.environ["DASH_DISABLE_VERSION_CHECK"] = "true"
    study = open_study(
        settings.data, title=settings.title, obs_names=settings.obs_names, sample_column=settings.sample_column
    )
    study.room.most = settings.study_memory_mb << 20
    workspaces = Workspaces(
        study,
        annotations_dir=settings.annotations_dir,
        annotations_file=settings.annotations_file,
        max_items=settings.max_category_items,
        is_closed=settings.disable_annotations,
        user_room=settings.user_memory_mb << 20,
    )
    server = flask.Flask(__name__, static_folder=None)
    request_log.register(server)
    compression.configure(server)
    app = checked.CheckedDash(
        __name__,
        server=server,
        title=f"{study.title} - iscan-dash",
        update_title=None,
        assets_folder=str(ASSETS),
        assets_ignore=".*",
        use_pages=True,
        pages_folder="",
        requests_pathname_prefix=settings.url_prefix,
        routes_pathname_prefix="/",
        suppress_callback_exceptions=True,
        serve_locally=True,
        enable_mcp=False,
        compress=True,
        on_error=_log_error,
    )
    study_name = same_study.name_of(study)
    app.index_string = layout.index(*bundle.register(server, ASSETS), study_name)
    hashes = FileHashes([dataset.path for dataset in study.datasets], HASHING_DELAY)
    # As the page finds references, so do workers.
    registry = Registry(
        (settings.data_dir / "references").absolute(), settings.references.absolute() if settings.references else None
    )
    options = {
        "references": str(registry.installed),
        "shared": str(registry.shared) if registry.shared else None,
        "dask_scheduler": settings.dask_scheduler,
    }
    jobs = Jobs(workspaces, settings.data_dir, options=options, most_running=settings.running_jobs)
    gene_sets = GeneSetCollections(settings.data_dir.absolute(), registry.shared)
    gene_indexing = GeneIndexing(
        study, settings.data_dir.absolute() / "gene-index", int(settings.gene_index_gb * 1_000_000_000)
    )
    away = settings.data_dir.absolute() / "away"
    services = Services(workspaces, hashes, jobs, registry, gene_sets, gene_indexing, away)
    server.extensions["iscan"] = services
    server.teardown_request(services.leave_request)
    routes.register(server, services, study_name)
    probes.register(server, services)
    selections.register_routes(server, services)
    # Without annotations there are no pages of them, at their addresses neither.
    pages = (data,) if workspaces.is_closed else (data, annotate, enrichment, references, study_logs, export)
    for part in (topbar, naming, plot_grid, cell_filter, history, *pages):
        part.register(app, services)
    selections.register(app)
    first_picture.register(app, services)
    _finish(app)
    app.layout = lambda: _layout(services)
    security.register(server, app, settings)
    same_study.register(server, study_name)
    identity.register(server, settings)
    if workspaces.is_closed:
        read_only.register(server)
    checked.register(server, app)
    once.register(server)
    if settings.url_prefix != "/":
        server.wsgi_app = Below(server.wsgi_app, settings.url_prefix)  # type: ignore[method-assign]
    services.warm_up = threading.Thread(
        target=_warm_up, args=(services, settings.fixed_user), name="warm-up", daemon=True
    )
    services.warm_up.start()
    services.watch(60 * settings.idle_minutes)
    tell(
        "started",
        version=__version__,
        pid=os.getpid(),
        files=[dataset.path.name for dataset in study.datasets],
        cells=study.n_cells,
        seconds=round(time.perf_counter() - begun, 2),
    )
    return app


def _finish(app: Dash) -> None:
    """Let Dash do now what it does before its first request, which may come from somebody unknown.

    It looks at the layout then, which belongs to a user, and adds the last scripts to the page.
    """
    app.layout = html.Div()
    with app.server.test_request_context():
        app.server.preprocess_request()


def _layout(services: Services) -> Any:
    """Return the page, or what keeps it from being shown."""
    try:
        services.workspace.open()
        return layout.shell(services)
    except IscanError as error:
        log.warning("%s", error)
        return layout.trouble(str(error))


def _warm_up(services: Services, fixed_user: str | None) -> None:
    """Do what the first page needs while the browser is still on its way."""
    # Whoever comes first shares what is read of the study; a user who is known already gets the rest too.
    with (
        contextlib.suppress(ServerStopping),
        services.at_desk(fixed_user or "", fixed_user or "nobody") as desk,
    ):
        _warm_up_at(desk, services, fixed_user)


def _warm_up_at(desk: Desk, services: Services, fixed_user: str | None) -> None:
    # A server that is stopped meanwhile waits for no more than one of these.
    steps: list[Callable[[], object]] = [
        lambda: plot_panel.first_spec(desk),
        lambda: desk.workspace.open() if fixed_user else None,
        lambda: desk.workspace.study.fingerprint,
        desk.workspace.findings,
        lambda: None if services.workspaces.is_closed else services.jobs.recover(),
        services.hashes.start,
        services.gene_indexing.start,
    ]
    for step in steps:
        if services.is_closing.is_set():
            return
        try:
            step()
        except IscanError as error:
            # Whoever needs it meets the same, and is told.
            log.warning("%s", error)


def _log_error(error: Exception) -> Any:
    """Say what happened on the page; keep the details of what nobody expected in the log."""
    # Who cancelled knows, and who came at a bad moment need not worry.
    kind = "warning" if isinstance(error, GeneNotRead) else "danger"
    if isinstance(error, IscanError):
        sentence = str(error)
        request_log.refused(error)
    elif isinstance(error, ValidationError | UnsupportedRelativePath):
        sentence = checked.NOT_UNDERSTOOD
    else:
        log.error("A callback failed.", exc_info=error)
        sentence = (
            f"Something went wrong ({type(error).__name__}). Nothing was changed; the server's log has the details."
        )
    set_props(Shell.TOAST, {"data": toast.message(kind, sentence)})
