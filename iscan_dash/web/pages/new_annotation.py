"""New Annotation: from existing data, or empty, with a live preview of every cell."""

from typing import Any

import dash_ag_grid as dag
import dash_bootstrap_components as dbc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, get_relative_path, html, no_update
from pydantic import ValidationError

from iscan_dash.core.annotations.combine import DELIMITER_LENGTH, MissingParts
from iscan_dash.core.study import CategoryColumn
from iscan_dash.core.words import counted
from iscan_dash.errors import IscanError, NameRefused
from iscan_dash.services.workspace import Workspace
from iscan_dash.web.checked import was_clicked
from iscan_dash.web.components import toast
from iscan_dash.web.forms import CopyForm
from iscan_dash.web.ids import FromEnrichment, Import, New, Predict, Selection, Shell
from iscan_dash.web.pages import import_table
from iscan_dash.web.services import Services

KINDS = {
    "existing": ("Use Existing Data", "Copy or combine metadata, clusters and annotations"),
    "enrichment": ("From Enrichment", "Labels from enriched gene sets"),
    "prediction": ("Cell type prediction", "Labels from a reference (SingleR)"),
    "import": ("Import CSV", "Labels from a table, a draft or cellxgene"),
    "empty": ("Empty", "Every cell starts with the default label"),
}

MISSING_NAMES = {
    MissingParts.DEFAULT_PART: "Use the default value",
    MissingParts.LEAVE_OUT: "Leave the part out",
    MissingParts.WHOLE_LABEL: "Default for the whole label",
}

TYPING = 0.2
"""Seconds after the last key before the preview follows."""

MOST_COUNTS = 50
"""Labels listed beside the preview."""


def layout(services: Services, rerun: str | None = None, enrichment: dict[str, str] | None = None) -> html.Div:
    """Return the form with its preview.

    Parameters
    ----------
    services
        The services of the application.
    rerun
        The job whose parameters the form of predictions has.
    enrichment
        Result, kind and key of the column that cells are grouped by in From Enrichment, which is opened unless None.
    """
    chosen = "enrichment" if enrichment is not None else "existing" if rerun is None else "prediction"
    given = {f"data-{key}": value for key, value in (enrichment or {}).items()}
    return html.Div(
        className="new-annotation",
        children=[
            _cards(services, chosen),
            html.Div(
                id=New.MADE,
                className="made-here",
                children=[
                    html.Div(_form(services), className="form"),
                    html.Div(_preview(), className="preview"),
                    html.Div(
                        [
                            html.Div(id=New.SUMMARY, className="summary numbers", role="status"),
                            dbc.Button("Create", id=New.CREATE, color="primary", size="sm"),
                        ],
                        className="form-end",
                    ),
                ],
            ),
            html.Div(id=Predict.PANEL, className="predict-panel", hidden=True, **{"data-rerun": rerun or ""}),
            html.Div(
                html.Div(id=FromEnrichment.PAGE, className="from-enrichment", **given),
                id=FromEnrichment.PANEL,
                className="from-enrichment",
                hidden=True,
            ),
            import_table.layout(),
            dcc.Store(id=FromEnrichment.RESULTS),
            dcc.Store(id=New.FORM),
            dcc.Store(id=New.PREVIEW),
            dcc.Store(id=New.TOUCHED, data=False),
        ],
    )


def _cards(services: Services, chosen: str) -> dbc.RadioItems:
    return dbc.RadioItems(
        id=New.KIND,
        className="cards",
        inline=True,
        value=chosen,
        options=_card_options(services),
        persistence=get_relative_path("/"),
        persistence_type="session",
    )


def _card_options(services: Services) -> list[dict[str, Any]]:
    """Return the cards; that of enrichment results cannot be chosen while there is none."""
    has_results = bool(services.enrichments.list())
    options = []
    for kind, (name, text) in KINDS.items():
        is_off = kind == "enrichment" and not has_results
        says = dcc.Link("Run an enrichment first", href=get_relative_path("/enrichment")) if is_off else text
        label = html.Span([html.B(name), html.Small(says)], className="card-text")
        options.append({"value": kind, "label": label, "disabled": is_off})
    return options


def _form(services: Services) -> list[Any]:
    kept = {"persistence": get_relative_path("/"), "persistence_type": "session"}
    workspace = services.workspace
    return [
        html.Div(
            className="row-of-2",
            children=[
                _field(
                    "Name",
                    dbc.Input(id=New.NAME, debounce=TYPING, autoComplete="off", size="sm", **kept),
                ),
                _field(
                    "Default Value",
                    dbc.Input(
                        id=New.DEFAULT, value="Unassigned", debounce=TYPING, autoComplete="off", size="sm", **kept
                    ),
                ),
            ],
        ),
        html.Div(
            [
                html.Span(id=New.NAME_ERROR, className="field-error", role="alert"),
                html.Span(id=New.DEFAULT_ERROR, className="field-error", role="alert"),
            ],
            className="field-errors",
        ),
        html.Div(
            dbc.Checkbox(id=New.COPY, label="Copy Default Value From Existing Categories", value=False, **kept),
            id="new-copy-box",
        ),
        html.Div(
            id=New.SOURCES,
            hidden=True,
            children=[
                html.Div(
                    className="row-of-3",
                    children=[
                        _sources(workspace, New.METADATA, "Copy From Metadata", "metadata"),
                        _sources(workspace, New.CLUSTER, "Copy From Cluster", "cluster"),
                        _sources(workspace, New.ANNOTATION, "Copy From Annotation", "annotation"),
                    ],
                ),
                html.Div(
                    className="joining",
                    children=[
                        html.Div(_delimiter(kept), id=New.JOINING, hidden=True),
                        html.Div(_missing_parts(kept), id=New.MISSING_BOX),
                    ],
                ),
                html.Div(
                    [
                        dbc.Switch(id=New.FILTERED, label="Only for filtered cells", value=False, **kept),
                        html.Span(id=New.FILTERED_NOTE, className="muted numbers", role="status"),
                    ],
                    className="only-filtered",
                ),
            ],
        ),
        html.Div(id=New.WARNINGS, className="warnings", role="status"),
    ]


def _delimiter(kept: dict[str, Any]) -> html.Div:
    field = dbc.Input(
        id=New.DELIMITER, value="_", maxLength=DELIMITER_LENGTH, debounce=TYPING, autoComplete="off", size="sm", **kept
    )
    return _field("Delimiter", field)


def _missing_parts(kept: dict[str, Any]) -> list[Any]:
    options = [{"value": str(rule), "label": name} for rule, name in MISSING_NAMES.items()]
    return [
        html.Label("Missing parts"),
        dbc.RadioItems(id=New.MISSING, inline=True, value=str(MissingParts.DEFAULT_PART), options=options, **kept),
    ]


def _field(name: str, control: Any, *more: Any) -> html.Div:
    return html.Div([html.Label(name, htmlFor=control.id), control, *more], className="field")


def _sources(workspace: Workspace, control_id: str, title: str, kind: str) -> html.Div:
    options = source_options(workspace, kind)
    empty = {
        "metadata": "No metadata columns to copy",
        "cluster": "No clusters in this dataset",
        "annotation": "No annotations yet",
    }[kind]
    return _field(
        title,
        dcc.Dropdown(
            id=control_id,
            options=options,
            multi=True,
            placeholder="None" if options else empty,
            disabled=not options,
            persistence=get_relative_path("/"),
            persistence_type="session",
            optionHeight=28,
        ),
    )


def source_options(workspace: Workspace, kind: str) -> list[dict[str, Any]]:
    """Return what a part of a label can be copied from, with its levels and missing cells."""
    study = workspace.study
    if kind == "annotation":
        own = [_option(state.id, state.column) for state in workspace.annotations()]
        return own + [_option(state.id, state.column, state.live.owner) for state in workspace.others()]
    infos = [info for info in study.columns.values() if (info.role == "cluster") == (kind == "cluster")]
    names = [info.name for info in infos if study.copyable(info.name, workspace.max_items)]
    return [_option(name, study.category(name)) for name in names]


def _option(value: str, column: CategoryColumn, owner: str = "") -> dict[str, Any]:
    missing = "all missing" if column.n_missing == len(column) else f"{column.n_missing:,} missing"
    detail = counted(len(column.labels), "level") + (f", {missing}" if column.n_missing else "")
    name = f"{column.name} of {owner}" if owner else column.name
    return {"value": value, "label": f"{name} ({detail})", "search": name}


def _preview() -> list[Any]:
    return [
        dag.AgGrid(
            id=New.GRID,
            className="grid preview-grid",
            rowModelType="infinite",
            columnDefs=[
                {
                    "field": "i",
                    "headerName": "#",
                    "valueFormatter": {"function": "rowNumber(params.value)"},
                    "width": 64,
                    "type": "numericColumn",
                },
                {"field": "sample", "headerName": "Sample", "filter": "agTextColumnFilter", "flex": 2, "minWidth": 70},
                {"field": "id", "headerName": "Cell ID", "filter": "agTextColumnFilter", "flex": 3, "minWidth": 80},
                {
                    "field": "label",
                    "headerValueGetter": {"function": "annotationHeader()"},
                    "filter": "agTextColumnFilter",
                    "flex": 4,
                    "minWidth": 110,
                    "tooltipField": "label",
                },
            ],
            defaultColDef={
                "sortable": True,
                "resizable": True,
                "suppressHeaderMenuButton": True,
                "floatingFilter": False,
                "filterParams": {"filterOptions": ["contains"], "maxNumConditions": 1, "debounceMs": 200},
            },
            dashGridOptions={
                "rowHeight": 28,
                "headerHeight": 28,
                "cacheBlockSize": 100,
                "maxConcurrentDatasourceRequests": 1,
                "infiniteInitialRowCount": 1,
                "animateRows": False,
                "suppressMultiSort": False,
                "localeText": {"noRowsToShow": "No cells match"},
                # Tab leaves the grid; the arrow keys move within it.
                "tabToNextCell": {"function": "false"},
            },
            getRowId="params.data.key",
        ),
        html.Div(
            [
                dbc.Input(id=New.COUNTS_SEARCH, placeholder="Search labels", size="sm", debounce=TYPING, type="search"),
                html.Div(id=New.COUNTS, className="counts", tabIndex=0),
            ],
            className="counts-box",
        ),
    ]


def read_form(values: dict[str, Any] | None) -> CopyForm:
    """Check what the page sent.

    Raises
    ------
    NameRefused
        A field is too long.
    """
    given = {key: value for key, value in (values or {}).items() if value is not None}
    try:
        return CopyForm(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        raise NameRefused("E05", f"{problem['loc'][-1]}: {problem['msg']}.") from error


def preview(services: Services, values: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of the annotation that the form would make, under the form's number."""
    return {**services.previews.summary(read_form(values)), "seq": values.get("seq")}


def counts_table(services: Services, values: dict[str, Any], wanted: str | None) -> Any:
    """Return the labels with most cells, those that contain a text when one is given."""
    try:
        matching = services.previews.counts(read_form(values), wanted or "")
    except IscanError:
        # The form says what is wrong in its place.
        matching = []
    rows = [
        html.Tr([html.Td(html.Bdi(label), title=label), html.Td(f"{count:,}", className="number")])
        for label, count in matching[:MOST_COUNTS]
    ]
    more = len(matching) - MOST_COUNTS
    if more > 0:
        rows.append(html.Tr(html.Td(f"and {more:,} more labels", colSpan=2, className="muted")))
    if not rows:
        rows.append(html.Tr(html.Td("No label matches" if wanted else "No labels", colSpan=2, className="muted")))
    return html.Table(html.Tbody(rows), className="plain-table")


def create(services: Services, values: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Make the annotation and return the new revision and a message."""
    form = read_form(values)
    cells = services.previews.cells(form)
    made = services.workspace.create_from_existing(form.name, form.sources, form.recipe, cells)
    address = get_relative_path(f"/annotate/existing?open={made.id}")
    counts = f"{counted(made.n_labels, 'label')}, {counted(made.n_set, 'cell')} set"
    text = f'"{made.live.name}" was created: {counts}.'
    view = toast.action("View", "colour", by=f"annotation:{made.id}")
    return services.workspace.revision, toast.message("success", text, view, toast.link("Edit", address), seconds=8)


def register(app: Dash, services: Services) -> None:
    """Add the callbacks of the form."""
    app.clientside_callback(
        ClientsideFunction("iscan", "readForm"),
        Output(New.FORM, "data"),
        Output(New.SOURCES, "hidden"),
        Output(New.JOINING, "hidden"),
        Output("new-copy-box", "hidden"),
        Output(New.MADE, "hidden"),
        Output(Import.PANEL, "hidden"),
        Output(Predict.PANEL, "hidden"),
        Output(FromEnrichment.PANEL, "hidden"),
        Output(New.FILTERED_NOTE, "children"),
        Input(New.KIND, "value"),
        Input(New.NAME, "value"),
        Input(New.DEFAULT, "value"),
        Input(New.COPY, "value"),
        Input(New.METADATA, "value"),
        Input(New.CLUSTER, "value"),
        Input(New.ANNOTATION, "value"),
        Input(New.DELIMITER, "value"),
        Input(New.MISSING, "value"),
        Input(New.FILTERED, "value"),
        Input(Shell.REVISION, "data"),
        Input(Selection.STATE, "data"),
    )

    @app.callback(Output(New.KIND, "options"), Input(FromEnrichment.RESULTS, "data"), prevent_initial_call=True)
    def offer_cards(_: Any) -> list[dict[str, Any]]:
        return _card_options(services)

    @app.callback(Output(New.PREVIEW, "data"), Input(New.FORM, "data"))
    def follow(values: dict[str, Any] | None) -> Any:
        if not values:
            return no_update
        try:
            return preview(services, values)
        except IscanError as error:
            return {"seq": values.get("seq"), "error": str(error), "warnings": []}

    @app.callback(
        Output(New.COUNTS, "children"),
        Input(New.PREVIEW, "data"),
        Input(New.COUNTS_SEARCH, "value"),
        State(New.FORM, "data"),
        prevent_initial_call=True,
    )
    def list_counts(_: dict[str, Any] | None, wanted: str | None, values: dict[str, Any] | None) -> Any:
        return counts_table(services, values, wanted) if values else no_update

    app.clientside_callback(
        ClientsideFunction("iscan", "showPreview"),
        Output(New.SUMMARY, "children"),
        Output(New.WARNINGS, "children"),
        Output(New.NAME_ERROR, "children"),
        Output(New.DEFAULT_ERROR, "children"),
        Input(New.PREVIEW, "data"),
        Input(New.TOUCHED, "data"),
        State(New.FORM, "data"),
    )
    app.clientside_callback(
        ClientsideFunction("iscan", "rows"),
        Output(New.GRID, "getRowsResponse"),
        Input(New.GRID, "getRowsRequest"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("iscan", "touched"),
        Output(New.TOUCHED, "data"),
        Input(New.NAME, "n_blur"),
        Input(New.CREATE, "n_clicks"),
        Input(New.NAME, "n_submit"),
        State(New.NAME, "value"),
        prevent_initial_call=True,
    )

    @app.callback(
        *toast.outputs(),
        Output(New.NAME, "value"),
        Output(New.METADATA, "value"),
        Output(New.CLUSTER, "value"),
        Output(New.ANNOTATION, "value"),
        Output(New.COPY, "value"),
        Output(New.DEFAULT, "value"),
        Output(New.MISSING, "value"),
        Output(New.FILTERED, "value"),
        Output(New.TOUCHED, "data", allow_duplicate=True),
        Input(New.CREATE, "n_clicks"),
        Input(New.NAME, "n_submit"),
        State(New.FORM, "data"),
        prevent_initial_call=True,
        running=[(Output(New.CREATE, "disabled"), True, False)],
    )
    def make(_clicks: int | None, _enters: int | None, values: dict[str, Any] | None) -> tuple[Any, ...]:
        stay = (no_update,) * 9
        if not was_clicked() or not values:
            return (no_update, no_update, *stay)
        try:
            revision, said = create(services, values)
        except NameRefused:
            # The form says what is wrong in its place.
            return (no_update, no_update, *stay)
        except IscanError as error:
            return (no_update, toast.message("danger", str(error)), *stay)
        return (revision, said, "", [], [], [], False, "Unassigned", str(MissingParts.DEFAULT_PART), False, False)

    @app.callback(
        Output(New.ANNOTATION, "options"),
        Output(New.ANNOTATION, "disabled"),
        Input(Shell.REVISION, "data"),
        prevent_initial_call=True,
    )
    def offer_annotations(_: int | None) -> tuple[list[dict[str, Any]], bool]:
        options = source_options(services.workspace, "annotation")
        return options, not options
