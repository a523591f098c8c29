"""The Export page: annotations as CSV, and merged into a copy of the data."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import dash_bootstrap_components as dbc
from dash import Dash, Input, Output, State, ctx, dcc, get_relative_path, html, no_update, register_page

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.words import counted
from iscan_dash.errors import IscanError, NameRefused, StorageError
from iscan_dash.services.drafts import collection_name
from iscan_dash.services.export import cellxgene_warnings, distinct
from iscan_dash.services.merge import annotation_column, output_paths
from iscan_dash.services.merge_run import MergeState
from iscan_dash.services.snippet import pandas_snippet
from iscan_dash.web.ids import Export, Shell
from iscan_dash.web.services import Services

POLL = 400
"""Milliseconds between two looks at a running merge."""


def layout(services: Services) -> html.Div:
    """Return the page."""
    workspace = services.workspace
    title = collection_name(workspace.study.title)
    return html.Div(
        className="stack export-page",
        children=[
            html.Section(
                [
                    html.H2("Annotations"),
                    dbc.Checklist(
                        id=Export.CHOICE,
                        options=offered(services),
                        value=[state.id for state in workspace.annotations()],
                    ),
                ]
            ),
            html.Section(
                [
                    html.H2("Table"),
                    html.P(
                        "A row for each cell. Every label reads back as it is, here and in pandas.", className="muted"
                    ),
                    dbc.Switch(id=Export.FOR_CELLXGENE, label="cellxgene-compatible", value=False),
                    html.Div(id=Export.WARNINGS, className="warnings", role="status"),
                    html.A(
                        "Download CSV", id=Export.CSV, href="", download="", className="btn btn-sm btn-outline-primary"
                    ),
                    html.Details(
                        [
                            html.Summary("Read it in Python"),
                            html.Div(
                                [
                                    html.Pre(id=Export.SNIPPET, className="snippet", tabIndex=0),
                                    dcc.Clipboard(target_id=Export.SNIPPET, className="copy", title="Copy"),
                                ],
                                className="with-copy",
                            ),
                        ]
                    ),
                ]
            ),
            html.Section(
                [
                    html.H2("Merged h5ad"),
                    html.P(
                        "A copy of the data with the annotations as new obs columns. Your file stays as it is; "
                        "everything else in the copy is compared with it.",
                        className="muted",
                    ),
                    html.Div(
                        [
                            html.Label("File name", htmlFor=Export.NAME),
                            dbc.Input(
                                id=Export.NAME,
                                value=f"{title}-annotated",
                                maxLength=100,
                                size="sm",
                                autoComplete="off",
                                debounce=0.2,
                            ),
                        ],
                        className="field",
                    ),
                    html.Div(id=Export.TARGETS, className="muted path"),
                    html.Div(id=Export.ERROR, className="field-error", role="alert"),
                    html.Div(id=Export.STATE, className="merge-state", role="status"),
                    html.Div(
                        [
                            dbc.Button("Cancel", id=Export.CANCEL, color="secondary", outline=True, size="sm"),
                            dbc.Button("Write merged file", id=Export.MERGE, color="primary", size="sm"),
                        ],
                        className="buttons",
                    ),
                    dcc.Interval(id=Export.POLL, interval=POLL),
                ]
            ),
        ],
    )


def offered(services: Services) -> list[dict[str, Any]]:
    """Return the annotations that can be exported: the user's own, then those of others."""
    workspace = services.workspace
    own = [{"value": state.id, "label": _title(state)} for state in workspace.annotations()]
    return own + [{"value": state.id, "label": _title(state, of_other=True)} for state in workspace.others()]


def _title(state: Annotation, *, of_other: bool = False) -> str:
    owner = f" of {state.live.owner}" if of_other else ""
    counts = f"{counted(state.n_labels, 'label')}, {counted(state.n_set, 'cell')} set"
    return f"\u2068{state.live.name}\u2069{owner} \u00b7 {counts}"


def chosen(services: Services, ids: list[str] | None) -> list[Annotation]:
    """Return the annotations that are ticked, those deleted meanwhile left out, in the order of the list."""
    workspace = services.workspace
    listed = [*workspace.annotations(), *workspace.others()]
    return [state for state in listed if state.id in set(ids or [])]


def csv_link(services: Services, ids: list[str] | None, *, for_cellxgene: bool) -> tuple[str, str]:
    """Return the address of the table, and the name it is saved under."""
    query = [("annotation", state.id) for state in chosen(services, ids)]
    if for_cellxgene:
        query.append(("cellxgene", "1"))
    name = f"{collection_name(services.workspace.study.title)}-annotations.csv"
    return get_relative_path(f"/api/v1/export.csv?{urlencode(query)}"), name


def targets(services: Services, name: str | None) -> list[Path]:
    """Return where the merged files go: into the folder of the drafts.

    Raises
    ------
    StorageError
        The name is no file name.
    """
    bare = (name or "").strip().removesuffix(".h5ad")
    is_plain = bare.isprintable() and not set(bare) & set('/\\:*?"<>|') and not bare.startswith(".")
    if not bare or not is_plain or len(f"{bare}.h5ad".encode()) > 200:
        raise StorageError("Enter a plain file name, without folders.")
    folder = services.workspace.place.folder
    return output_paths(services.workspace.study, folder / f"{bare}.h5ad")


def start(services: Services, ids: list[str] | None, name: str | None) -> str:
    """Begin to merge; return what is wrong, ``""`` when it runs."""
    workspace = services.workspace
    states = chosen(services, ids)
    try:
        services.merge_run.start(
            workspace.study, [annotation_column(state) for state in distinct(states)], targets(services, name)
        )
    except NameRefused as refused:
        return "Choose at least one annotation." if not states else str(refused)
    except IscanError as error:
        return str(error)
    return ""


def state_view(state: MergeState) -> Any:
    """Return how a merge stands."""
    if state.is_running:
        return [html.Progress(value=str(state.part), max="1"), html.P(f"{state.message} ({state.part:.0%})")]
    if state.reports:
        return [
            html.Div(
                [
                    html.P(report.statement),
                    html.A(
                        "Download",
                        href=get_relative_path(f"/api/v1/merged/{place}"),
                        download=report.output.name,
                        className="btn btn-sm btn-outline-primary",
                    ),
                ],
                className="merge-report",
            )
            for place, report in enumerate(state.reports)
        ]
    if state.has_failed:
        return html.Div(state.message, className="field-error")
    return html.P(state.message, className="muted") if state.message else None


def register(app: Dash, services: Services) -> None:
    """Add the page and its callbacks."""

    def page(**_: Any) -> html.Div:
        return layout(services)

    register_page("export", path="/export", title=app.title, name="Export", layout=page)

    @app.callback(Output(Export.CHOICE, "options"), Input(Shell.REVISION, "data"), prevent_initial_call=True)
    def offer(_: int | None) -> list[dict[str, Any]]:
        return offered(services)

    @app.callback(
        Output(Export.CSV, "href"),
        Output(Export.CSV, "download"),
        Output(Export.CSV, "className"),
        Output(Export.WARNINGS, "children"),
        Output(Export.SNIPPET, "children"),
        Input(Export.CHOICE, "value"),
        Input(Export.FOR_CELLXGENE, "value"),
    )
    def show_table(ids: list[str] | None, for_cellxgene: bool) -> tuple[str, str, str, str, str]:
        states = chosen(services, ids)
        href, name = csv_link(services, ids, for_cellxgene=for_cellxgene)
        warnings = [f"{code} {text}" for code, text in cellxgene_warnings(states)] if for_cellxgene else []
        study = services.workspace.study
        snippets = [
            pandas_snippet(study, name, file=file, for_cellxgene=for_cellxgene) for file in range(len(study.datasets))
        ]
        snippet = "\n\n".join(snippets)
        look = "btn btn-sm btn-outline-primary" + ("" if states else " disabled")
        said = "\n".join(warnings) if states else "Choose at least one annotation."
        return href, name, look, said, snippet

    @app.callback(Output(Export.TARGETS, "children"), Input(Export.NAME, "value"))
    def show_targets(name: str | None) -> Any:
        try:
            return [html.Div(str(path)) for path in targets(services, name)]
        except IscanError as error:
            return str(error)

    @app.callback(
        Output(Export.ERROR, "children"),
        Output(Export.POLL, "disabled"),
        Input(Export.MERGE, "n_clicks"),
        State(Export.CHOICE, "value"),
        State(Export.NAME, "value"),
        prevent_initial_call=True,
    )
    def begin(_: int | None, ids: list[str] | None, name: str | None) -> tuple[str, bool]:
        return start(services, ids, name), False

    @app.callback(Input(Export.CANCEL, "n_clicks"), prevent_initial_call=True)
    def cancel(_: int | None) -> None:
        services.merge_run.cancel()

    @app.callback(
        Output(Export.STATE, "children"),
        Output(Export.CANCEL, "disabled"),
        Output(Export.MERGE, "disabled"),
        Output(Export.POLL, "disabled", allow_duplicate=True),
        Input(Export.POLL, "n_intervals"),
        prevent_initial_call="initial_duplicate",
    )
    def watch(_: int | None) -> tuple[Any, bool, bool, Any]:
        state = services.merge_run.state
        stops = not state.is_running and ctx.triggered_id == Export.POLL
        return state_view(state), not state.is_running, state.is_running, True if stops else no_update
