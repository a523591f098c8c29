"""Import CSV: a table of labels is uploaded, held against the study, and becomes annotations."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, dcc, get_relative_path, html, no_update

from iscan_dash.core.annotations.label_table import ColumnReport, LabelTable, TableReport, match_lines
from iscan_dash.errors import IscanError, NameRefused, UnknownColumn
from iscan_dash.services.ledger import DEFAULT_LABEL
from iscan_dash.services.workspace import ImportChoice
from iscan_dash.web.components import toast
from iscan_dash.web.forms import ColumnValue, ImportForm, Loaded
from iscan_dash.web.ids import Import, import_control
from iscan_dash.web.services import Services

NEW, REPLACE = "new", "replace"

NO_SAMPLES = "-"
"""Choice of a sample column that says there is none."""


def layout() -> html.Div:
    """Return the panel; its script fills the drop zone with the browser's own file field."""
    return html.Div(
        id=Import.PANEL,
        className="import-panel",
        hidden=True,
        children=[
            dcc.Store(id=Import.LOADED),
            dcc.Store(id=Import.SEEN),
            html.Div(id=Import.DROP, className="drop-zone"),
            html.Div(
                html.Progress(id=Import.PROGRESS, max="1", value="0"), id=Import.BUSY, className="upload", hidden=True
            ),
            html.Div(id=Import.ERROR, className="field-error", role="alert"),
            html.Div(
                id=Import.MATCHING,
                hidden=True,
                className="row-of-3",
                children=[
                    _field("Cell ID column", dcc.Dropdown(id=Import.ID_COLUMN, options=[], placeholder="The first")),
                    _field("Sample column", dcc.Dropdown(id=Import.SAMPLE_COLUMN, options=[], placeholder="Automatic")),
                    _field("Default Value", dbc.Input(id=Import.DEFAULT, value=DEFAULT_LABEL, size="sm")),
                ],
            ),
            html.Div(id=Import.REPORT, className="import-report"),
            html.Div(
                [
                    html.Div(id=Import.SUMMARY, className="summary numbers", role="status"),
                    dbc.Button("Import", id=Import.RUN, color="primary", size="sm", disabled=True),
                ],
                className="form-end",
            ),
        ],
    )


def _field(name: str, control: Any) -> html.Div:
    return html.Div([html.Label(name, htmlFor=control.id), control], className="field")


def report_view(report: TableReport, own: set[str]) -> list[Any]:
    """Return how a table fits the study: every row counted, then its columns to choose from.

    Parameters
    ----------
    report
        How it fits.
    own
        Names of the user's annotations, which may be replaced.
    """
    first, matched, *others = match_lines(report)
    facts = [
        html.P(first, className="fact"),
        html.P(matched, className="fact fact-good"),
        *(html.P(line, className="fact fact-warning") for line in others),
    ]
    titles = ("", "Column", "Labels", "Without", "Import as", "", "Notes")
    head = html.Tr([html.Th(title, className="number" if title in {"Labels", "Without"} else "") for title in titles])
    rows = [_column_row(place, column, own) for place, column in enumerate(report.columns)]
    return [*facts, html.Table([html.Thead(head), html.Tbody(rows)], className="plain-table import-columns")]


def _column_row(place: int, column: ColumnReport, own: set[str]) -> html.Tr:
    may_replace = column.name in own
    actions = [{"value": NEW, "label": "as a new annotation"}]
    if may_replace:
        actions.append({"value": REPLACE, "label": "replacing the labels of mine"})
    notes = [note for note in (column.problem or column.reason, *column.notices) if note]
    return html.Tr(
        [
            html.Td(
                dbc.Checkbox(
                    id=import_control("on", column.name),
                    value=column.is_on,
                    disabled=bool(column.problem),
                    label=html.Span(f"Import {column.name}", className="visually-hidden"),
                )
            ),
            html.Td(html.Bdi(column.name), title=column.name, className="import-name"),
            html.Td(f"{column.n_levels:,}", className="number"),
            html.Td(f"{column.n_missing:,}", className="number"),
            html.Td(
                dbc.Input(
                    id=import_control("name", column.name),
                    value=column.new_name,
                    size="sm",
                    maxLength=200,
                    autoComplete="off",
                    debounce=True,
                )
            ),
            html.Td(
                dbc.Select(id=import_control("action", column.name), options=actions, value=NEW, size="sm"),
                hidden=not may_replace,
            ),
            html.Td([html.Div(note) for note in notes], className="muted notes"),
        ],
        key=f"column-{place}",
    )


def choices_of(form: ImportForm, default: str) -> list[ImportChoice]:
    """Return what the form says to import, in the order of the columns.

    Raises
    ------
    UnknownColumn
        The page did not show the annotation that is to be replaced.
    """
    names, actions = _values(form.names), _values(form.actions)
    choices = []
    for column, is_on in _values(form.on).items():
        if is_on is not True:
            continue
        if actions.get(column) != REPLACE:
            choices.append(ImportChoice(column, str(names.get(column) or ""), default))
        elif column in form.seen:
            choices.append(ImportChoice(column, column, default, replaces=True, seen=form.seen[column]))
        else:
            raise UnknownColumn(f'You had no annotation "{column}" to replace. Choose the file again.')
    return choices


def run(services: Services, table: LabelTable, choices: list[ImportChoice]) -> tuple[int, dict[str, Any]]:
    """Import the chosen columns; return the new revision and a message."""
    made = services.workspace.import_columns(table, choices)
    services.imports.forget()
    names = ", ".join(f'"{state.live.name}"' for state in made[:3]) + (" ..." if len(made) > 3 else "")
    text = f"{names} {'was' if len(made) == 1 else 'were'} imported from {table.report.name}."
    view = toast.action("View", "colour", by=f"annotation:{made[0].id}")
    edit = toast.link("Edit", get_relative_path(f"/annotate/existing?open={made[0].id}"))
    return services.workspace.revision, toast.message("success", text, view, edit, seconds=8)


def _values(controls: list[ColumnValue]) -> dict[str, Any]:
    return {control.id.get("column", ""): control.value for control in controls}


def register(app: Dash, services: Services) -> None:
    """Add the callbacks of the panel."""

    @app.callback(
        Output(Import.REPORT, "children"),
        Output(Import.ERROR, "children"),
        Output(Import.MATCHING, "hidden"),
        Output(Import.ID_COLUMN, "options"),
        Output(Import.SAMPLE_COLUMN, "options"),
        Output(Import.RUN, "disabled"),
        Output(Import.SEEN, "data"),
        Input(Import.LOADED, "data"),
        Input(Import.ID_COLUMN, "value"),
        Input(Import.SAMPLE_COLUMN, "value"),
        prevent_initial_call=True,
    )
    def show(loaded: Loaded | None, ids: str | None, samples: str | None) -> tuple[Any, ...]:
        if loaded is None or loaded.error:
            return [], loaded.error if loaded else "", True, [], [], True, {}
        try:
            names = [column.name for column in services.imports.table(loaded.token).columns]
        except IscanError as error:
            return [], str(error), True, [], [], True, {}
        options = [{"value": name, "label": name} for name in dict.fromkeys(names) if name]
        sample_options = [{"value": NO_SAMPLES, "label": "None"}, *options]
        # A choice that was made for the table before means nothing for this one.
        is_new = ctx.triggered_id == Import.LOADED
        try:
            table = services.imports.matched(loaded.token, *((None, None) if is_new else _chosen(ids, samples)))
        except IscanError as error:
            return [], str(error), False, options, sample_options, True, {}
        seen = {state.live.name: (state.id, state.version) for state in services.workspace.annotations()}
        return report_view(table.report, set(seen)), "", False, options, sample_options, False, seen

    @app.callback(
        Output(Import.ID_COLUMN, "value"),
        Output(Import.SAMPLE_COLUMN, "value"),
        Input(Import.LOADED, "data"),
        prevent_initial_call=True,
    )
    def begin(_: Loaded | None) -> tuple[None, None]:
        return None, None

    @app.callback(
        *toast.outputs(),
        Output(Import.LOADED, "data"),
        Output(Import.SUMMARY, "children"),
        Input(Import.RUN, "n_clicks"),
        State(Import.LOADED, "data"),
        State(Import.ID_COLUMN, "value"),
        State(Import.SAMPLE_COLUMN, "value"),
        State(Import.DEFAULT, "value"),
        State(Import.SEEN, "data"),
        State({"type": "import-on", "column": ALL}, "value"),
        State({"type": "import-name", "column": ALL}, "value"),
        State({"type": "import-action", "column": ALL}, "value"),
        prevent_initial_call=True,
        running=[(Output(Import.RUN, "disabled"), True, False)],
    )
    def make(
        clicks: int | None,
        loaded: Loaded | None,
        ids: str | None,
        samples: str | None,
        default: str | None,
        seen: dict[str, tuple[str, int]] | None,
        *_: Any,
    ) -> tuple[Any, ...]:
        if not clicks or loaded is None:
            return (no_update,) * 4
        on, names, actions = ctx.states_list[5:]
        form = ImportForm(on=on, names=names, actions=actions, seen=seen or {})
        try:
            choices = choices_of(form, default or "")
            if not choices:
                return no_update, no_update, no_update, "Choose at least one column."
            table = services.imports.matched(loaded.token, *_chosen(ids, samples))
            return (*run(services, table, choices), None, "")
        except NameRefused as refused:
            return no_update, no_update, no_update, str(refused)
        except IscanError as error:
            return no_update, toast.refusal(error), no_update, ""

    app.clientside_callback(
        ClientsideFunction("iscan", "showDropZone"), Output(Import.PANEL, "className"), Input(Import.PANEL, "hidden")
    )


def _chosen(ids: str | None, samples: str | None) -> tuple[str | None, str | None]:
    """Return the columns that tell cells apart: None for what is found by itself, ``""`` for no samples."""
    return ids, "" if samples == NO_SAMPLES else samples
