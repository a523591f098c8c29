"""The plot: an embedding of all cells, coloured by a column, an annotation or a gene."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from iscan_dash.core.study.study import QC_AXES
from iscan_dash.core.words import counted
from iscan_dash.errors import UnknownColumn
from iscan_dash.web.components import toast
from iscan_dash.web.components.topbar import icon_button
from iscan_dash.web.graph import cell_graph
from iscan_dash.web.ids import PLOT, Plot, Shell
from iscan_dash.web.plots import ColourBy
from iscan_dash.web.services import Desk, Services

MOST_GENES = 50
"""Genes offered at once."""

KIND_NAMES = {"annotation": "Annotation", "cluster": "Cluster", "metadata": "Metadata"}


def layout(services: Services) -> list[Any]:
    """Return the plot with its controls and legend."""
    study, plots = services.workspace.study, services.plots
    embedding = study.embeddings[0]
    bounds = plots.bounds(embedding)
    first, note = first_spec(services)
    return [
        html.Div(
            className="plot-controls",
            children=[
                _field(
                    "Embedding",
                    dcc.Dropdown(
                        id=Plot.EMBEDDING,
                        options=[{"value": name, "label": embedding_title(name)} for name in study.embeddings],
                        value=embedding,
                        clearable=False,
                        searchable=False,
                    ),
                    hidden=len(study.embeddings) == 1,
                ),
                _field(
                    "Colour by",
                    dcc.Dropdown(
                        id=Plot.COLOUR,
                        options=colour_options(services),
                        value=str(plots.default_colour()) or None,
                        placeholder="Nothing",
                        optionHeight=28,
                        maxHeight=420,
                    ),
                ),
                _field(
                    "Gene",
                    dcc.Dropdown(id=Plot.GENE, placeholder="Search ( / )", options=[], search_order="original"),
                    hidden=not study.shown_matrices[0] and not any(study.shown_matrices),
                ),
                html.Div(
                    className="plot-tools",
                    role="toolbar",
                    **{"aria-label": "Plot tools"},
                    children=[
                        icon_button(Plot.PAN, "arrows-move", "Pan (H)", className="active"),
                        icon_button(Plot.ZOOM, "zoom-in", "Zoom into a rectangle (Z)"),
                        icon_button(Plot.RESET, "aspect-ratio", "Show all (0)"),
                        _display_menu(),
                        icon_button(Plot.TABLE, "table", "Show as table"),
                        _export_menu(),
                    ],
                ),
            ],
        ),
        html.Div(
            className="plot-body",
            children=[
                html.Div(
                    cell_graph(f"{PLOT}-graph", bounds),
                    id=f"{PLOT}-frame",
                    className="scatter",
                ),
                html.Aside(id=f"{PLOT}-legend", className="legend", **{"aria-label": "Legend"}),
            ],
        ),
        html.P(note, id=Plot.NOTE, className="plot-note muted", role="note"),
        # With the page itself, so that the first picture needs no further question.
        dcc.Store(id=Plot.SPEC, data=first),
        dcc.Store(id=f"{PLOT}-view"),
        dbc.Modal(
            [dbc.ModalHeader(dbc.ModalTitle("The plot as a table")), dbc.ModalBody(id=Plot.TABLE_BODY)],
            id=Plot.TABLE_DIALOG,
            scrollable=True,
        ),
    ]


def _field(name: str, control: Any, *, hidden: bool = False) -> html.Div:
    return html.Div([html.Label(name, htmlFor=control.id), control], className="field", hidden=hidden)


def _display_menu() -> Any:
    return html.Div(
        [
            icon_button("plot-display", "sliders", "Dots and labels"),
            dbc.Popover(
                dbc.PopoverBody(
                    [
                        dbc.Switch(id=Plot.LABELS, label="Labels on the plot", value=True),
                        html.Label("Dot size (0: automatic)", htmlFor=Plot.SIZE),
                        dcc.Slider(0, 8, 0.5, value=0, marks=None, id=Plot.SIZE),
                        html.Label("Opacity", htmlFor=Plot.OPACITY),
                        dcc.Slider(0.1, 1, 0.1, value=1, marks=None, id=Plot.OPACITY),
                    ]
                ),
                target="plot-display",
                trigger="legacy",
                placement="bottom",
            ),
        ]
    )


def _export_menu() -> Any:
    return html.Div(
        [
            icon_button("plot-export", "download", "Save the picture"),
            dbc.Popover(
                dbc.PopoverBody(
                    [
                        dbc.Button("Save as PNG", id=Plot.EXPORT_PNG, color="link", size="sm"),
                        dbc.Button("Save as SVG", id=Plot.EXPORT_SVG, color="link", size="sm"),
                    ],
                    className="menu",
                ),
                target="plot-export",
                trigger="legacy",
                placement="bottom",
            ),
        ]
    )


def embedding_title(name: str) -> str:
    """Return an embedding's name as people say it.

    Examples
    --------
    >>> embedding_title("X_umap"), embedding_title("qc")
    ('UMAP', 'Counts and genes')
    """
    if name == QC_AXES:
        return "Counts and genes"
    bare = name.removeprefix("X_")
    return {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}.get(bare.lower(), bare)


def colour_options(services: Services) -> list[dict[str, Any]]:
    """Return what cells can be coloured by: annotations, clusters, metadata."""
    workspace = services.workspace
    found = [("annotation", state.id, state.live.name) for state in workspace.annotations()]
    found += [("annotation", state.id, f"{state.live.name} of {state.live.owner}") for state in workspace.others()]
    columns = [info for info in workspace.study.columns.values() if info.treat_as != "ignore"]
    found += [("cluster", info.name, info.name) for info in columns if info.role == "cluster"]
    found += [("metadata", info.name, info.name) for info in columns if info.role != "cluster"]
    return [
        {
            "value": f"{kind}:{key}",
            # Plain text: Dash loses its way in options made of components when an option is added later. The marks
            # round the name keep one that is written from right to left from moving the rest.
            "label": f"\u2068{name}\u2069 \u00b7 {KIND_NAMES[kind]}",
            "search": f"{name} {KIND_NAMES[kind]}",
        }
        for kind, key, name in found
    ]


def gene_options(services: Services, typed: str | None, chosen: str | None) -> list[dict[str, Any]]:
    """Return the genes whose name begins with, then those whose name contains, what was typed."""
    wanted = (typed or "").strip().casefold()
    names = services.workspace.study.genes
    exact, begins, contains = [], [], []
    for name in names if wanted else ():
        folded = name.casefold()
        if folded == wanted:
            exact.append(name)
        elif folded.startswith(wanted):
            begins.append(name)
        elif wanted in folded:
            contains.append(name)
    found = [*exact, *sorted(begins, key=len), *contains][:MOST_GENES]
    if chosen and chosen in names and chosen not in found:
        found.append(chosen)
    return [{"value": name, "label": name if names[name].in_x else f"{name} (raw only)"} for name in found]


def unknown_gene(services: Services | Desk, gene: str | None) -> dict[str, Any] | None:
    """Return a message when a gene is in no file, else None."""
    if not gene or gene in services.workspace.study.genes:
        return None
    text = f'The link names a gene that this study does not have, "{gene}"; the usual plot is shown instead.'
    return toast.message("warning", text)


def chosen_colour(colour: str | None, gene: str | None) -> ColourBy:
    """Return what the controls say to colour by: a gene as long as one is chosen."""
    return ColourBy("gene", gene) if gene else ColourBy.parse(colour)


def spec(
    services: Services | Desk, embedding: str, by: ColourBy, *, labels: bool, size: float | None, opacity: float
) -> tuple[dict[str, Any], str]:
    """Return what the plot shows and the note under it; what was deleted meanwhile is not coloured by any more."""
    study, plots = services.workspace.study, services.plots
    notes = []
    embedding = embedding if embedding in study.embeddings else study.embeddings[0]
    try:
        plots.colours(by)
    except UnknownColumn as error:
        notes.append(str(error))
        by = plots.default_colour()
    made = plots.spec(embedding, by, label_centroids=labels, point_size=size or None, opacity=opacity)
    if embedding == QC_AXES:
        notes.append("This study has no embedding: cells are placed by their counts and genes.")
    elif study.is_joint(embedding):
        notes.append("The files' coordinates are drawn together; distances between files may mean nothing.")
    unplaced = plots.unplaced(embedding)
    if unplaced:
        notes.append(f"{counted(unplaced, 'cell has', 'cells have')} no position here.")
    if by.kind == "gene":
        absent = len(study.datasets) - study.genes[by.key].n_files
        if absent:
            notes.append(f"{by.key} is missing in {absent} of {len(study.datasets)} files.")
    return made, " ".join(notes)


def first_spec(services: Services | Desk) -> tuple[dict[str, Any], str]:
    """Return what the plot shows when the page opens."""
    study = services.workspace.study
    by = services.plots.default_colour()
    return spec(services, study.embeddings[0], by, labels=True, size=None, opacity=1.0)


def as_table(made: dict[str, Any] | None) -> Any:
    """Return the numbers behind a plot as a table."""
    if not made:
        return "Nothing is drawn yet."
    if made["scale"] != "categorical":
        low, high = made["ticks"]
        n_missing = made["n_missing"]
        shown = made["cells"] - n_missing
        what = f"{made['title']} ({made['unit']})" if made["unit"] else made["title"]
        text = f"{what}: the scale runs from {low} to {high}; {shown:,} cells have a value, {n_missing:,} none."
        n_beyond = sum(made["clipped"])
        return text + (f" {counted(n_beyond, 'value lies', 'values lie')} beyond its ends." if n_beyond else "")
    rows = [
        html.Tr([html.Td(html.Bdi(row["label"])), html.Td(f"{row['count']:,}", className="number")])
        for row in made["legend"]
    ]
    head = html.Thead(html.Tr([html.Th(made["title"] or "Cells"), html.Th("Cells", className="number")]))
    return html.Table([head, html.Tbody(rows)], className="plain-table")


def register(app: Dash, services: Services) -> None:
    """Add the callbacks of the plot."""

    @app.callback(
        Output(Plot.COLOUR, "options"),
        Input(Shell.REVISION, "data"),
        prevent_initial_call=True,
    )
    def offer_colours(_: int | None) -> list[dict[str, Any]]:
        return colour_options(services)

    @app.callback(
        Output(Plot.GENE, "options"),
        Input(Plot.GENE, "search_value"),
        Input(Plot.GENE, "value"),
        prevent_initial_call=True,
    )
    def offer_genes(typed: str | None, chosen: str | None) -> Any:
        return gene_options(services, typed, chosen) if typed or chosen else no_update

    @app.callback(
        Output(Shell.TOAST, "data", allow_duplicate=True),
        Input(Plot.GENE, "value"),
        prevent_initial_call=True,
    )
    def name_unknown_gene(gene: str | None) -> Any:
        # Only a link can ask for one.
        return unknown_gene(services, gene) or no_update

    @app.callback(
        Output(Plot.SPEC, "data"),
        Output(Plot.NOTE, "children"),
        Input(Plot.EMBEDDING, "value"),
        Input(Plot.COLOUR, "value"),
        Input(Plot.GENE, "value"),
        Input(Plot.LABELS, "value"),
        Input(Plot.SIZE, "value"),
        Input(Plot.OPACITY, "value"),
        Input(Shell.REVISION, "data"),
        prevent_initial_call=True,
        running=[(Output(f"{PLOT}-frame", "className"), "scatter is-busy", "scatter")],
    )
    def show(
        embedding: str, colour: str | None, gene: str | None, labels: bool, size: float, opacity: float, _: int | None
    ) -> tuple[dict[str, Any], str]:
        by = chosen_colour(colour, gene)
        return spec(services, embedding, by, labels=labels, size=size, opacity=opacity)

    @app.callback(
        Output(Plot.TABLE_DIALOG, "is_open"),
        Output(Plot.TABLE_BODY, "children"),
        Input(Plot.TABLE, "n_clicks"),
        State(Plot.SPEC, "data"),
        prevent_initial_call=True,
    )
    def show_table(_: int | None, made: dict[str, Any] | None) -> tuple[bool, Any]:
        return True, as_table(made)

    app.clientside_callback(ClientsideFunction("iscan", "draw"), Input(Plot.SPEC, "data"))
    app.clientside_callback(
        ClientsideFunction("iscan", "clearGene"),
        Output(Plot.GENE, "value"),
        Input(Plot.COLOUR, "value"),
        State(Plot.GENE, "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("iscan", "keepLink"),
        Input(Plot.EMBEDDING, "value"),
        Input(Plot.COLOUR, "value"),
        Input(Plot.GENE, "value"),
        Input(f"{PLOT}-view", "data"),
        Input(Shell.LOCATION, "pathname"),
    )
