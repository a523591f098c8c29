"""The Data page: what was opened, what is in it, and what to know before labelling."""

from typing import Any

import dash_ag_grid as dag
import dash_bootstrap_components as dbc
import numpy as np
from dash import ALL, Dash, Input, Output, dcc, html, no_update, register_page

from iscan_dash.core.study import CategoryColumn, ColumnInfo, Study
from iscan_dash.core.study.columns import number_text
from iscan_dash.core.study.dataset import UNREADABLE
from iscan_dash.core.study.genes import inspect_genes
from iscan_dash.core.study.health import Finding, Severity
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.core.study.study import QC_AXES
from iscan_dash.core.words import counted
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.gene_indexing import IndexState
from iscan_dash.web.checked import triggered
from iscan_dash.web.components import toast
from iscan_dash.web.components.plot_panel import embedding_title
from iscan_dash.web.forms import DETECTED, ColumnChoice, KindChoice
from iscan_dash.web.ids import Data, Shell
from iscan_dash.web.services import Services

ICONS = {Severity.WARNING: "exclamation-triangle-fill", Severity.INFO: "info-circle"}


def layout(services: Services) -> html.Div:
    """Return the page."""
    study = services.workspace.study
    return html.Div(
        className="stack data-page",
        children=[
            html.Section([html.H2("Health check"), html.Div(id=Data.FINDINGS, className="findings")]),
            html.Section(
                [
                    html.H2("Metadata columns"),
                    html.P(
                        "Imported metadata never changes. Tell here how a column is used when our guess is wrong.",
                        className="muted",
                    ),
                    _columns_grid(),
                ]
            ),
            html.Section([html.H2("Samples"), *_sample_choice(study)]),
            html.Section(
                [
                    html.H2("Matrices, genes and embeddings"),
                    html.Div(id=Data.MATRICES),
                    html.Div(index_notes(services), id=Data.INDICES),
                ]
            ),
            html.Section([html.H2("Files"), html.Div(files_table(services), id=Data.FILES)]),
            dcc.Interval(id=Data.REFRESH, interval=1000),
        ],
    )


def _columns_grid() -> dag.AgGrid:
    choice = {"cellEditor": "agSelectCellEditor", "headerTooltip": "Click to change, or press Enter"}
    return dag.AgGrid(
        id=Data.COLUMNS,
        className="grid columns-grid",
        columnDefs=[
            # So wide that all of them fit beside the plots in a window of 1400 pixels.
            {"field": "name", "headerName": "Name", "flex": 5, "minWidth": 80, "tooltipField": "name"},
            {"field": "type", "headerName": "Type", "width": 72},
            {"field": "content", "headerName": "Levels / range", "flex": 7, "minWidth": 100, "tooltipField": "content"},
            {"field": "missing", "headerName": "Missing", "type": "numericColumn", "width": 66},
            {
                **choice,
                "field": "treat_as",
                "headerName": "Treat as",
                "width": 84,
                "editable": {"function": "params.data.choices.length > 1"},
                "cellClassRules": {"cell-choice": "params.data.choices.length > 1"},
                "cellEditorParams": {"function": "({values: params.data.choices})"},
            },
            {
                **choice,
                "field": "role",
                "headerName": "Role",
                "width": 90,
                "cellEditorParams": {"values": ["metadata", "cluster"]},
                "editable": {"function": "params.data.role !== 'sample'"},
                "cellClassRules": {"cell-choice": "params.data.role !== 'sample'"},
            },
        ],
        defaultColDef={"sortable": True, "resizable": True, "suppressHeaderMenuButton": True},
        dashGridOptions={
            "rowHeight": 28,
            "headerHeight": 28,
            "domLayout": "autoHeight",
            "singleClickEdit": True,
            "stopEditingWhenCellsLoseFocus": True,
            "localeText": {"noRowsToShow": "No metadata columns in these files"},
            # Tab leaves the grid; the arrow keys move within it.
            "tabToNextCell": {"function": "false"},
            "animateRows": False,
        },
        getRowId="params.data.name",
        eventListeners={"cellEditingStarted": ["openChoice(params)"]},
    )


def _sample_choice(study: Study) -> list[Any]:
    options = [{"value": "", "label": "Each file is a sample"}]
    options += [
        {"value": info.name, "label": info.name}
        for info in study.columns.values()
        if info.treat_as == "category" and info.name != study.file_column
    ]
    samples = study.samples
    counts = [f"{label}: {count:,}" for label, count in zip(samples.labels, samples.counts, strict=True)]
    shown = ", ".join(counts[:8]) + (f" and {len(counts) - 8:,} more" if len(counts) > 8 else "")
    return [
        html.Label("Sample column", htmlFor=Data.SAMPLE),
        dcc.Dropdown(id=Data.SAMPLE, options=options, value=study.sample_column or "", clearable=False),
        html.P(shown, className="muted numbers", dir="auto"),
    ]


def column_rows(study: Study) -> list[dict[str, Any]]:
    """Return a row for each obs column."""
    return [_column_row(study, info) for info in study.columns.values()]


def _column_row(study: Study, info: ColumnInfo) -> dict[str, Any]:
    if info.type == UNREADABLE:
        return {
            **{"name": info.name, "type": info.type, "treat_as": "ignore", "role": info.role},
            **{"choices": ["ignore"], "content": "written in a way we do not know", "missing": ""},
        }
    column = study.column(info.name)
    is_text = not info.type.startswith(("int", "uint", "float"))
    row: dict[str, Any] = {"name": info.name, "type": info.type, "treat_as": info.treat_as, "role": info.role}
    row["choices"] = ["category", "ignore"] if is_text else ["category", "number", "ignore"]
    if isinstance(column, CategoryColumn):
        content = counted(len(column.labels), "level") if column.labels else "all missing"
    else:
        ends = [end if column.is_integral else float(f"{end:.4g}") for end in column.range or ()]
        content = " to ".join(number_text(end) for end in ends) or "all missing"
    if info.n_files < len(study.datasets):
        content += f", {info.n_files} of {len(study.datasets)} files"
    return row | {"content": content, "missing": f"{column.n_missing:,}"}


def finding_list(findings: list[Finding]) -> list[Any]:
    """Return the findings of the health check, or that there is none."""
    if not findings:
        text = "Nothing to worry about: cell IDs, genes, matrices and embedding are as they should be."
        return [html.P([html.I(className="bi bi-check-circle-fill text-success"), " ", text])]
    return [
        html.Div(
            className=f"finding finding-{finding.severity.name.lower()}",
            children=[
                html.I(className=f"bi bi-{ICONS[finding.severity]}", title=finding.severity.name.lower()),
                html.Code(finding.code),
                html.Div([html.Div(finding.text), html.Div(finding.advice, className="muted")]),
            ],
        )
        for finding in findings
    ]


def inventory(study: Study) -> list[Any]:
    """Return the matrices, embeddings and gene names of the files as tables."""
    matrices = []
    for dataset, shown in zip(study.datasets, study.shown_matrices, strict=True):
        file = [html.Div(html.Bdi(dataset.name), className="muted")] if len(study.datasets) > 1 else []
        for key, matrix in dataset.matrices.items():
            evidence = study.matrix_kind(dataset, key)
            name = study.matrix_name(dataset, key)
            chosen = study.choices.matrix_kinds.get(name, DETECTED)
            options = [{"value": DETECTED, "label": "as detected"}] + [
                {"value": str(kind), "label": str(kind)} for kind in MatrixKind
            ]
            matrices.append(
                html.Tr(
                    [
                        html.Td([*file, html.Code(key)], title=str(dataset.path), className="file-name"),
                        html.Td(f"{matrix.shape[1]:,}", className="number"),
                        html.Td([evidence.description, html.Div(evidence.reason, className="muted")]),
                        html.Td("genes" if key == shown else ""),
                        html.Td(
                            dbc.Select(
                                id={"type": "data-kind", "matrix": name},
                                options=options,
                                value=chosen,
                                size="sm",
                            )
                        ),
                    ]
                )
            )
    titles = ["Matrix", "Genes", "Values", "Used for", "Kind"]
    head = html.Thead(html.Tr([html.Th(title, className="number" if title == "Genes" else "") for title in titles]))
    return [
        html.Table([head, html.Tbody(matrices)], className="plain-table")
        if matrices
        else html.P("No matrix: genes cannot be shown."),
        html.P(_genes_text(study)),
        html.P(_embeddings_text(study)),
    ]


def _genes_text(study: Study) -> str:
    parts = []
    for dataset in study.datasets:
        report = inspect_genes(dataset.gene_names())
        where = f"{dataset.name}: " if len(study.datasets) > 1 else ""
        parts.append(
            f"{where}{report.n_genes:,} genes, {report.identifiers} names ({', '.join(report.examples[:3])}), "
            f"looks like {report.species}, {report.n_duplicates:,} duplicated."
        )
    if len(study.datasets) > 1:
        shared = sum(gene.n_files == len(study.datasets) for gene in study.genes.values())
        parts.append(f"{shared:,} of {len(study.genes):,} genes are in all files.")
    return " ".join(parts)


def _embeddings_text(study: Study) -> str:
    if study.embeddings == (QC_AXES,):
        return "No embedding: plots use counts and genes per cell."
    parts = []
    for name in study.embeddings:
        unplaced = int(np.isnan(study.embedding(name)[0]).sum())
        parts.append(f"{embedding_title(name)} ({unplaced:,} cells without a position)")
    return f"Embeddings: {', '.join(parts)}."


def index_notes(services: Services) -> list[Any]:
    """Say how genes of large matrices are found; nothing where they are quick to read anyhow."""
    notes = []
    for own in services.gene_indexing.progress():
        match own.state:
            case IndexState.READY:
                how = f"genes are read by an index ({own.size / 1e6:,.0f} MB on the server's disk)."
            case IndexState.FAILED:
                how = f"genes are searched for in the file, which takes longer. {own.message}"
            case IndexState.WAITS:
                how = "genes are searched for in the file, until another server has made an index."
            case _:
                how = f"an index of the genes is being made ({own.part:.0%}); they are searched for until then."
        notes.append(html.P([html.Bdi(own.file), " ", html.Code(own.matrix), f": {how}"], className="muted"))
    return notes


def files_table(services: Services) -> Any:
    """Return the files of the study with their size and hash."""
    rows = []
    for dataset in services.workspace.study.datasets:
        digest = services.hashes.get(dataset.path)
        rows.append(
            html.Tr(
                [
                    html.Td(html.Bdi(dataset.path.name), title=str(dataset.path), className="file-name"),
                    html.Td(f"{dataset.n_cells:,}", className="number"),
                    html.Td(f"{dataset.stamp[1] / 1e6:,.1f} MB", className="number"),
                    html.Td(
                        html.Code(f"{digest[:16]}...", title=digest) if digest else "computing...", className="sha"
                    ),
                ]
            )
        )
    head = html.Thead(
        html.Tr(
            [
                html.Th("File"),
                html.Th("Cells", className="number"),
                html.Th("Size", className="number"),
                html.Th("SHA-256"),
            ]
        )
    )
    return html.Table([head, html.Tbody(rows)], className="plain-table")


def is_settled(services: Services) -> bool:
    """Tell whether every file's hash is known, and no index is under way."""
    hashed = all(services.hashes.get(dataset.path) for dataset in services.workspace.study.datasets)
    settled = {IndexState.READY, IndexState.FAILED}
    return hashed and all(own.state in settled for own in services.gene_indexing.progress())


def choose_column(services: Services, row: ColumnChoice) -> tuple[int, Any]:
    """Keep how a column is treated, and its role."""
    workspace, name = services.workspace, row.name
    if name not in workspace.study.columns:
        raise UnknownColumn(f'The study has no column "{name}".')
    choices, info = workspace.study.choices, workspace.study.columns[name]
    if row.treat_as != info.treat_as and row.treat_as in {"category", "number", "ignore"}:
        workspace.choose(treat_as={**choices.treat_as, name: row.treat_as})
    if row.role != info.role and row.role in {"cluster", "metadata"}:
        treat_as = {**choices.treat_as, name: "category"} if row.role == "cluster" else choices.treat_as
        workspace.choose(roles={**choices.roles, name: row.role}, treat_as=treat_as)
    now = workspace.study.columns[name]
    return workspace.revision, toast.message("success", f"{name} is treated as {now.treat_as}, role {now.role}.")


def choose_sample(services: Services, column: str) -> tuple[int, Any]:
    """Keep which column tells the samples apart; ``""`` is none."""
    if column and column not in services.workspace.study.columns:
        raise UnknownColumn(f'The study has no column "{column}".')
    services.workspace.choose(sample_column=column)
    n_samples = counted(len(services.workspace.study.samples.labels), "sample")
    return services.workspace.revision, toast.message("success", f"The study has {n_samples} now.")


def choose_kind(services: Services, matrix: str, kind: str) -> tuple[int, Any]:
    """Keep what kind of values a matrix holds."""
    study = services.workspace.study
    if matrix not in {study.matrix_name(dataset, key) for dataset in study.datasets for key in dataset.matrices}:
        raise UnknownColumn(f'The study has no matrix "{matrix}".')
    kinds = {name: own for name, own in study.choices.matrix_kinds.items() if name != matrix}
    services.workspace.choose(matrix_kinds=kinds if kind == DETECTED else {**kinds, matrix: MatrixKind(kind)})
    return services.workspace.revision, toast.message("success", f"{matrix} is taken as {kind}.")


def register(app: Dash, services: Services) -> None:
    """Add the page and its callbacks."""
    register_page("data", path="/", title=app.title, name="Data", layout=lambda **_: layout(services))

    @app.callback(
        Output(Data.COLUMNS, "rowData"),
        Output(Data.FINDINGS, "children"),
        Output(Data.MATRICES, "children"),
        Input(Shell.REVISION, "data"),
    )
    def show(_: int | None) -> tuple[list[dict[str, Any]], list[Any], list[Any]]:
        study = services.workspace.study
        return column_rows(study), finding_list(services.workspace.findings()), inventory(study)

    @app.callback(
        Output(Data.FILES, "children"),
        Output(Data.INDICES, "children"),
        Output(Data.REFRESH, "disabled"),
        Input(Data.REFRESH, "n_intervals"),
    )
    def show_background_work(_: int | None) -> tuple[Any, Any, bool]:
        return files_table(services), index_notes(services), is_settled(services)

    @app.callback(*toast.outputs(), Input(Data.COLUMNS, "cellValueChanged"), prevent_initial_call=True)
    def column_chosen(changed: list[dict[str, Any]] | None) -> tuple[Any, Any]:
        if not changed:
            return no_update, no_update
        chosen = ColumnChoice.model_validate(changed[0].get("data"))
        return toast.attempt(lambda: choose_column(services, chosen))

    @app.callback(*toast.outputs(), Input(Data.SAMPLE, "value"), prevent_initial_call=True)
    def sample_chosen(column: str | None) -> tuple[Any, Any]:
        if column is None or column == (services.workspace.study.sample_column or ""):
            return no_update, no_update
        return toast.attempt(lambda: choose_sample(services, column))

    @app.callback(
        *toast.outputs(),
        Input({"type": "data-kind", "matrix": ALL}, "value"),
        prevent_initial_call=True,
    )
    def kind_chosen(_: list[str | None]) -> tuple[Any, Any]:
        chosen = triggered(KindChoice)
        known = services.workspace.study.choices.matrix_kinds
        if chosen is None or chosen.value == known.get(chosen.matrix, DETECTED):
            return no_update, no_update
        return toast.attempt(lambda: choose_kind(services, chosen.matrix, chosen.value))
