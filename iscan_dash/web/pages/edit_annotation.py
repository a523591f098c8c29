"""Edit Annotation: all cells in a grid, an Assign bar above it, the labels of an annotation beside it."""

from typing import Any

import dash_ag_grid as dag
from dash import ClientsideFunction, Dash, Input, Output, dcc, html, no_update, set_props

from iscan_dash.errors import IscanError
from iscan_dash.web import edit_table
from iscan_dash.web.components import toast
from iscan_dash.web.ids import Edit, Shell
from iscan_dash.web.services import Services


def stores() -> list[dcc.Store]:
    """Return the stores that carry edits to the server and their answers back.

    They belong to the frame: somebody may go to another page while an edit is on its way.
    """
    return [dcc.Store(id=Edit.ACTION), dcc.Store(id=Edit.ANSWER)]


def layout(open_annotation: str | None = None) -> html.Div:
    """Return the page's frame; its scripts fill it (``assets/edit_*.js``).

    Parameters
    ----------
    open_annotation
        The annotation to edit; the newest one when None.
    """
    return html.Div(
        className="edit-page",
        children=[
            dcc.Store(id=Edit.STATE),
            dcc.Store(id=Edit.OPEN, data=open_annotation),
            html.Section(id=Edit.ASSIGN, className="edit-assign", **{"aria-label": "Assign a label"}),
            html.Div(id=Edit.CHECK),
            html.Div(
                className="edit-body",
                children=[
                    html.Section(
                        className="edit-cells",
                        **{"aria-label": "Cells"},
                        children=[
                            html.Div(id=Edit.TOOLS, className="edit-tools"),
                            html.Div(id=Edit.CHIPS, className="edit-chips"),
                            _grid(),
                        ],
                    ),
                    html.Section(id=Edit.LABELS, className="edit-labels", **{"aria-label": "Labels"}),
                ],
            ),
        ],
    )


def _grid() -> dag.AgGrid:
    return dag.AgGrid(
        id=Edit.GRID,
        className="grid edit-grid",
        rowModelType="infinite",
        columnDefs=[],
        defaultColDef={"sortable": True, "resizable": True, "suppressHeaderMenuButton": True, "minWidth": 70},
        dashGridOptions={
            "rowHeight": 28,
            "headerHeight": 28,
            "cacheBlockSize": 100,
            "maxConcurrentDatasourceRequests": 1,
            "infiniteInitialRowCount": 1,
            "animateRows": False,
            "localeText": {"noRowsToShow": "No cells match"},
            # Column names may hold points.
            "suppressFieldDotNotation": True,
            "stopEditingWhenCellsLoseFocus": True,
            # Tab leaves the grid; the arrow keys move within it.
            "tabToNextCell": {"function": "false"},
        },
        getRowId="params.data.key",
    )


def register(app: Dash, services: Services) -> None:
    """Add the callbacks of the page."""

    @app.callback(Output(Edit.STATE, "data"), Input(Shell.REVISION, "data"))
    def follow(_: int | None) -> dict[str, Any]:
        return edit_table.state(services.workspace, services.edit_table)

    app.clientside_callback(
        ClientsideFunction("iscan", "editFollow"), Input(Edit.STATE, "data"), Input(Edit.OPEN, "data")
    )
    app.clientside_callback(
        ClientsideFunction("iscan", "editRows"),
        Output(Edit.GRID, "getRowsResponse"),
        Input(Edit.GRID, "getRowsRequest"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("iscan", "editCell"), Input(Edit.GRID, "cellValueChanged"), prevent_initial_call=True
    )
    # One for both: Dash takes callbacks without an output for the same when their inputs are.
    app.clientside_callback(
        ClientsideFunction("iscan", "editHear"), Input(Edit.ANSWER, "data"), Input(Shell.STATUS, "data")
    )

    @app.callback(*toast.outputs(), Output(Edit.ANSWER, "data"), Input(Edit.ACTION, "data"), prevent_initial_call=True)
    def act(given: dict[str, Any] | None) -> tuple[Any, Any, Any]:
        if not given:
            return no_update, no_update, no_update
        try:
            return answer(services, given)
        except Exception as error:
            # The page is told as of any other callback; its script waits for an answer before it sends the next edit.
            set_props(Edit.ANSWER, {"data": {"serial": given.get("serial"), "is_done": False, "error": str(error)}})
            raise


def answer(services: Services, given: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Make an edit that the page asks for.

    Returns
    -------
    tuple
        The new revision, a message, and the answer to the script: ``serial``, ``is_done``, and the ``version`` that
        came of it, ``question`` when there is one (see `edit_table.perform`), or ``error``.
    """
    edit = edit_table.read_edit.validate_python(given)
    workspace = services.workspace
    try:
        known = {label.text for label in workspace.annotation(edit.annotation).live.labels}
        question = edit_table.perform(workspace, services.edit_table, edit)
    except IscanError as error:
        return no_update, toast.refusal(error), {"serial": edit.serial, "is_done": False, "error": str(error)}
    if question is not None:
        return no_update, no_update, {"serial": edit.serial, "is_done": False, "question": question}
    message = edit_table.said(workspace, edit, known)
    version = workspace.annotation(edit.annotation).version
    return workspace.revision, message, {"serial": edit.serial, "is_done": True, "version": version}
