"""A plot: all cells on an embedding or on two genes, coloured by a column, an annotation or a gene."""

from itertools import pairwise
from typing import Any

import dash_bootstrap_components as dbc
import numpy as np
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update, set_props

from iscan_dash.core.study.axes import axes_title, gene_axes, genes_of
from iscan_dash.core.study.columns import number_text
from iscan_dash.core.study.study import QC_AXES, Study
from iscan_dash.core.words import counted
from iscan_dash.errors import GeneNotRead, UnknownColumn
from iscan_dash.web.components import toast
from iscan_dash.web.components.topbar import icon_button
from iscan_dash.web.forms import PlotStart
from iscan_dash.web.graph import cell_graph
from iscan_dash.web.ids import Plot, Selection, Shell, drawn_by_script, of_plot
from iscan_dash.web.plots import ColourBy
from iscan_dash.web.services import Desk, Services

MOST_GENES = 50
"""Genes offered at once."""

TABLE_BINS = 10
"""Ranges that a continuous scale is parted into where it is told as a table."""

GENES = "genes"
"""Choice of axes that are two genes, chosen beside it."""

NO_GENE = {"no_options_found": "No gene of this study found yet"}
"""What a search for genes says before anything is typed, and when nothing is like it."""

KIND_NAMES = {
    "annotation": "Annotation",
    "delta": "Prediction",
    "cluster": "Cluster",
    "metadata": "Metadata",
    "selection": "Saved selection",
}


def layout(services: Services, number: int = 1, start: PlotStart | None = None) -> list[Any]:
    """Return a plot with its controls and legend.

    Parameters
    ----------
    services
        The services of the application.
    number
        Which plot, 1 to 4.
    start
        What it shows at first; the usual when None, and where there is no such thing.
    """
    study, plots = services.workspace.study, services.plots
    axes, by = started(services, start or PlotStart())
    made, note = spec(services, axes, by, labels=True, size=None, opacity=1.0)
    # What a plot is coloured by below a gene, and when that is taken away again.
    column = str(by) if by.kind and by.kind != "gene" else str(plots.default_colour())
    genes = genes_of(study, axes)
    gene_x, gene_y = genes or (None, None)
    axes_choice = axes_options(services)

    def own(part: Plot) -> str:
        return of_plot(part, number)

    controls = [
        _field(
            "Axes",
            dcc.Dropdown(
                id=own(Plot.EMBEDDING),
                options=axes_choice,
                value=GENES if genes else axes,
                clearable=False,
                searchable=False,
            ),
            hidden=len(axes_choice) == 1,
        ),
        *(
            _field(
                f"{side} gene",
                dcc.Dropdown(
                    id=own(part),
                    placeholder="Search",
                    options=_chosen(name),
                    value=name,
                    clearable=False,
                    labels=NO_GENE,
                ),
                id=own(field),
                hidden=not genes,
            )
            for side, part, field, name in (
                ("x", Plot.GENE_X, Plot.GENE_X_FIELD, gene_x),
                ("y", Plot.GENE_Y, Plot.GENE_Y_FIELD, gene_y),
            )
        ),
        _field(
            "Colour by",
            dcc.Dropdown(
                id=own(Plot.COLOUR),
                options=colour_options(services),
                value=column or None,
                placeholder="Nothing",
                optionHeight=28,
                maxHeight=420,
            ),
        ),
        _field(
            "Gene",
            dcc.Dropdown(
                id=own(Plot.GENE),
                placeholder="Search ( / )",
                options=_chosen(by.key) if by.kind == "gene" else [],
                value=by.key if by.kind == "gene" else None,
                search_order="original",
                labels=NO_GENE,
            ),
            hidden=not any(study.shown_matrices),
        ),
        _field(
            "Layer",
            dcc.Dropdown(
                id=own(Plot.LAYER), options=layer_options(services), value=by.layer or None, placeholder="Automatic"
            ),
            id=own(Plot.LAYER_FIELD),
            hidden=by.kind != "gene" or len(study.matrix_keys) < 2,
        ),
        html.Div(
            className="plot-actions",
            children=[
                _display_menu(number),
                icon_button(own(Plot.TABLE), "table", "Show as table"),
                _export_menu(number),
                icon_button(own(Plot.WINDOW), "box-arrow-up-right", "Open in a window of its own"),
            ],
        ),
    ]
    return [
        html.Div(
            [html.Span(str(number), className="plot-number", title=f"Plot {number}"), *controls],
            className="plot-controls",
        ),
        html.Div(
            className="plot-body",
            children=[
                html.Div(
                    html.Div(id=drawn_by_script("overlay", number), className="scatter-overlay"),
                    id=drawn_by_script("frame", number),
                    className="scatter",
                ),
                html.Aside(id=drawn_by_script("legend", number), className="legend", **{"aria-label": "Legend"}),
            ],
        ),
        html.P(note, id=own(Plot.NOTE), className="plot-note muted", role="note"),
        # With the page itself, so that the first picture needs no further question.
        dcc.Store(id=own(Plot.SPEC), data=made),
        dcc.Store(id=drawn_by_script("view", number)),
        dcc.Store(id=own(Plot.GRAPH_WANTED)),
        dbc.Modal(
            [dbc.ModalHeader(dbc.ModalTitle("The plot as a table")), dbc.ModalBody(id=own(Plot.TABLE_BODY))],
            id=own(Plot.TABLE_DIALOG),
            scrollable=True,
        ),
    ]


def _field(name: str, control: Any, **more: Any) -> html.Div:
    return html.Div([html.Label(name, htmlFor=control.id), control], className="field", **more)


def _chosen(gene: str | None) -> list[dict[str, str]]:
    """Return the options of a search that nobody has typed into: Dash drops a value that is not among them."""
    return [{"value": gene, "label": gene}] if gene else []


def _display_menu(number: int) -> Any:
    def own(part: Plot) -> str:
        return of_plot(part, number)

    return html.Div(
        [
            icon_button(own(Plot.DISPLAY), "sliders", "Dots and labels"),
            dbc.Popover(
                dbc.PopoverBody(
                    [
                        dbc.Switch(id=own(Plot.LABELS), label="Labels on the plot", value=True),
                        html.Label("Dot size (0: automatic)", htmlFor=own(Plot.SIZE)),
                        dcc.Slider(0, 8, 0.5, value=0, marks=None, id=own(Plot.SIZE)),
                        html.Label("Opacity", htmlFor=own(Plot.OPACITY)),
                        dcc.Slider(0.1, 1, 0.1, value=1, marks=None, id=own(Plot.OPACITY)),
                    ]
                ),
                target=own(Plot.DISPLAY),
                trigger="legacy",
                placement="bottom",
            ),
        ]
    )


def _export_menu(number: int) -> Any:
    def own(part: Plot) -> str:
        return of_plot(part, number)

    return html.Div(
        [
            icon_button(own(Plot.EXPORT), "download", "Save the picture"),
            dbc.Popover(
                dbc.PopoverBody(
                    [
                        dbc.Button("Save as PNG", id=own(Plot.EXPORT_PNG), color="link", size="sm"),
                        dbc.Button("Save as SVG", id=own(Plot.EXPORT_SVG), color="link", size="sm"),
                    ],
                    className="menu",
                ),
                target=own(Plot.EXPORT),
                trigger="legacy",
                placement="bottom",
            ),
        ]
    )


def started(services: Services | Desk, start: PlotStart) -> tuple[str, ColourBy]:
    """Return the axes and the colours that a plot begins with; the usual ones for what there is not (any more)."""
    study, plots = services.workspace.study, services.plots
    by = ColourBy.parse(start.by)
    try:
        plots.colours(by)
    except UnknownColumn:
        by = ColourBy("", "")
    return known_axes(study, start.axes), by if by.kind else plots.default_colour()


def known_axes(study: Study, axes: str) -> str:
    """Return the axes when the study has them, else those of its first embedding."""
    try:
        genes = genes_of(study, axes)
    except UnknownColumn:
        return study.embeddings[0]
    return axes if genes or axes in (*study.embeddings, QC_AXES) else study.embeddings[0]


def axes_options(services: Services) -> list[dict[str, Any]]:
    """Return what cells can be placed by: embeddings, counts and genes, two genes."""
    study = services.workspace.study
    names = dict.fromkeys([*study.embeddings, *([QC_AXES] if any(study.shown_matrices) else [])])
    options = [{"value": name, "label": embedding_title(name)} for name in names]
    return options + ([{"value": GENES, "label": "Two genes"}] if study.genes else [])


def chosen_axes(embedding: str, gene_x: str | None, gene_y: str | None) -> str | None:
    """Return the axes that the controls say, None as long as a gene is to be chosen."""
    if embedding != GENES:
        return embedding
    return gene_axes(gene_x, gene_y) if gene_x and gene_y else None


def layer_options(services: Services) -> list[dict[str, Any]]:
    """Return the matrices that a gene can be read from."""
    study = services.workspace.study
    return [{"value": key, "label": key.removeprefix("layers/")} for key in study.matrix_keys]


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
    """Return what cells can be coloured by: annotations, clusters, metadata, saved selections."""
    workspace = services.workspace
    found = [("annotation", state.id, state.live.name) for state in workspace.annotations()]
    found += [("annotation", state.id, f"{state.live.name} of {state.live.owner}") for state in workspace.others()]
    found += [("delta", state.id, f"delta of {state.live.name}") for state in services.results.annotations()]
    columns = [info for info in workspace.study.columns.values() if info.treat_as != "ignore"]
    found += [("cluster", info.name, info.name) for info in columns if info.role == "cluster"]
    found += [("metadata", info.name, info.name) for info in columns if info.role != "cluster"]
    found += [("selection", key, name) for key, name in services.selections.saved_names().items()]
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


def chosen_colour(colour: str | None, gene: str | None, layer: str | None = None) -> ColourBy:
    """Return what the controls say to colour by: a gene as long as one is chosen."""
    return ColourBy("gene", gene, layer or "") if gene else ColourBy.parse(colour)


def spec(
    services: Services | Desk, axes: str, by: ColourBy, *, labels: bool, size: float | None, opacity: float
) -> tuple[dict[str, Any], str]:
    """Return what the plot shows and the note under it; what was deleted meanwhile is not coloured by any more."""
    study, plots = services.workspace.study, services.plots
    notes = []
    axes = known_axes(study, axes)
    try:
        plots.colours(by)
    except UnknownColumn as error:
        notes.append(str(error))
        by = plots.default_colour()
    made = plots.spec(axes, by, label_centroids=labels, point_size=size or None, opacity=opacity)
    if study.embeddings == (QC_AXES,) and axes == QC_AXES:
        notes.append("This study has no embedding: cells are placed by their counts and genes.")
    elif study.is_joint(axes):
        notes.append("The files' coordinates are drawn together; distances between files may mean nothing.")
    unplaced = plots.unplaced(axes)
    if unplaced:
        notes.append(f"{counted(unplaced, 'cell has', 'cells have')} no position here.")
    if by.kind == "gene":
        absent = study.gene_matrices(by.key, by.layer).count(None)
        if absent:
            notes.append(f"{by.key} is missing in {absent} of {len(study.datasets)} files.")
    return made, " ".join(notes)


def first_spec(services: Services | Desk) -> tuple[dict[str, Any], str]:
    """Return what the plot shows when the page opens."""
    axes, by = started(services, PlotStart())
    return spec(services, axes, by, labels=True, size=None, opacity=1.0)


def as_table(services: Services | Desk, axes: str, by: ColourBy) -> list[Any]:
    """Return the numbers behind a plot as a table, with those of the selected cells when there are any.

    Parameters
    ----------
    services
        The services of the application.
    axes, by
        What the plot shows; what was deleted meanwhile is not what it is coloured by any more.
    """
    study, plots = services.workspace.study, services.plots
    axes = known_axes(study, axes)
    made, note = spec(services, axes, by, labels=False, size=None, opacity=1.0)
    by = ColourBy.parse(made["by"])
    mask = services.selections.mask()
    numbers = plots.numbers(by)
    if numbers is None:
        codes = plots.colours(by).codes
        lines = [(row["label"], row["count"]) for row in made["legend"]]
        selected = np.zeros(256, int)
        if mask is not None:
            selected = np.bincount(np.zeros(mask.sum(), np.uint8) if codes is None else codes[mask], minlength=256)
        chosen = [int(selected[row["code"]]) for row in made["legend"]]
    else:
        places, names = _binned(made, numbers)
        lines = list(zip(names, np.bincount(places, minlength=len(names)).tolist(), strict=True))
        chosen = np.bincount(places if mask is None else places[mask], minlength=len(names)).tolist()

    def line(name: Any, cells: Any, n_chosen: Any, cell: Any) -> Any:
        shown = [cells] if mask is None else [cells, n_chosen]
        return html.Tr([cell(name), *(cell(number, className="number") for number in shown)])

    rows = [
        line(html.Bdi(name), f"{count:,}", f"{n_chosen:,}", html.Td)
        for (name, count), n_chosen in zip(lines, chosen, strict=True)
    ]
    title = f"{made['title']} ({made['unit']})" if made["unit"] else made["title"] or "Cells"
    place = embedding_title(axes) if genes_of(study, axes) is None else axes_title(study, axes)
    return [
        html.P(f"Axes: {place}. {note}".strip(), className="muted"),
        html.Table([html.Thead(line(title, "Cells", "Selected", html.Th)), html.Tbody(rows)], className="plain-table"),
    ]


def _binned(made: dict[str, Any], numbers: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Part a continuous scale into ranges.

    Returns
    -------
    numpy.ndarray
        The range of each cell, shape (n_cells,).
    list of str
        What the ranges are: zero where the scale tells it apart, those of equal width, the missing ones.
    """
    low, high = made["range"]
    edges = np.linspace(low, high, TABLE_BINS + 1)
    places = np.digitize(numbers, edges[1:-1])
    ends = [number_text(float(f"{edge:.3g}")) for edge in edges]
    names = [f"{start} to {end}" for start, end in pairwise(ends)]
    below, above = made["clipped"]
    names[0] = f"up to {ends[1]}" if below else names[0]
    names[-1] = f"{ends[-2]} or more" if above else names[-1]
    if made["zero"] is not None:
        names[0] = names[0] if below else f"above {ends[0]} to {ends[1]}"
        names, places = ["0", *names], np.where(numbers == 0, 0, places + 1)
    is_missing = ~np.isfinite(numbers)
    if is_missing.any():
        places = np.where(is_missing, len(names), places)
        names = [*names, "missing"]
    return places, names


def register(app: Dash, services: Services, number: int) -> None:
    """Add the callbacks of a plot."""

    def own(part: Plot) -> str:
        return of_plot(part, number)

    frame, view = drawn_by_script("frame", number), drawn_by_script("view", number)

    @app.callback(
        Output(drawn_by_script("overlay", number), "children"),
        Input(own(Plot.GRAPH_WANTED), "data"),
        prevent_initial_call=True,
    )
    def bring_graph(is_wanted: bool | None) -> Any:
        return cell_graph(drawn_by_script("graph", number)) if is_wanted else no_update

    @app.callback(
        Output(own(Plot.COLOUR), "options"),
        Input(Shell.REVISION, "data"),
        Input(Selection.SAVED, "data"),
        prevent_initial_call=True,
    )
    def offer_colours(*_: Any) -> list[dict[str, Any]]:
        return colour_options(services)

    def offer_genes(typed: str | None, chosen: str | None) -> Any:
        return gene_options(services, typed, chosen) if typed or chosen else no_update

    for search in (Plot.GENE, Plot.GENE_X, Plot.GENE_Y):
        app.callback(
            Output(own(search), "options"),
            Input(own(search), "search_value"),
            Input(own(search), "value"),
            prevent_initial_call=True,
        )(offer_genes)

    @app.callback(
        Output(Shell.TOAST, "data", allow_duplicate=True),
        Input(own(Plot.GENE), "value"),
        prevent_initial_call=True,
    )
    def name_unknown_gene(gene: str | None) -> Any:
        # Only a link can ask for one.
        return unknown_gene(services, gene) or no_update

    @app.callback(
        Output(own(Plot.SPEC), "data"),
        Output(own(Plot.NOTE), "children"),
        Input(own(Plot.EMBEDDING), "value"),
        Input(own(Plot.GENE_X), "value"),
        Input(own(Plot.GENE_Y), "value"),
        Input(own(Plot.COLOUR), "value"),
        Input(own(Plot.GENE), "value"),
        Input(own(Plot.LAYER), "value"),
        Input(own(Plot.LABELS), "value"),
        Input(own(Plot.SIZE), "value"),
        Input(own(Plot.OPACITY), "value"),
        Input(Shell.REVISION, "data"),
        prevent_initial_call=True,
        running=[(Output(frame, "className"), "scatter is-busy", "scatter")],
    )
    def show(
        embedding: str,
        gene_x: str | None,
        gene_y: str | None,
        colour: str | None,
        gene: str | None,
        layer: str | None,
        labels: bool,
        size: float,
        opacity: float,
        _: int | None,
    ) -> tuple[Any, Any]:
        axes = chosen_axes(embedding, gene_x, gene_y)
        if axes is None:
            return no_update, "Choose a gene for each axis."
        by = chosen_colour(colour, gene, layer)
        try:
            return spec(services, axes, by, labels=labels, size=size, opacity=opacity)
        except GeneNotRead as error:
            # Otherwise whatever changes next would begin the search anew.
            for field, chosen in ((Plot.GENE, gene), (Plot.GENE_X, gene_x), (Plot.GENE_Y, gene_y)):
                if chosen == error.gene:
                    set_props(own(field), {"value": None})
            raise

    @app.callback(
        Output(own(Plot.TABLE_DIALOG), "is_open"),
        Output(own(Plot.TABLE_BODY), "children"),
        Input(own(Plot.TABLE), "n_clicks"),
        State(own(Plot.EMBEDDING), "value"),
        State(own(Plot.GENE_X), "value"),
        State(own(Plot.GENE_Y), "value"),
        State(own(Plot.COLOUR), "value"),
        State(own(Plot.GENE), "value"),
        State(own(Plot.LAYER), "value"),
        prevent_initial_call=True,
    )
    def show_table(
        _: int | None,
        embedding: str,
        gene_x: str | None,
        gene_y: str | None,
        colour: str | None,
        gene: str | None,
        layer: str | None,
    ) -> tuple[bool, Any]:
        axes = chosen_axes(embedding, gene_x, gene_y) or services.workspace.study.embeddings[0]
        return True, as_table(services, axes, chosen_colour(colour, gene, layer))

    app.clientside_callback(ClientsideFunction("iscan", f"draw{number}"), Input(own(Plot.SPEC), "data"))
    app.clientside_callback(
        ClientsideFunction("iscan", "clearGene"),
        Output(own(Plot.GENE), "value"),
        Input(own(Plot.COLOUR), "value"),
        State(own(Plot.GENE), "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("iscan", "showFields"),
        Output(own(Plot.GENE_X_FIELD), "hidden"),
        Output(own(Plot.GENE_Y_FIELD), "hidden"),
        Output(own(Plot.LAYER_FIELD), "hidden"),
        Input(own(Plot.EMBEDDING), "value"),
        Input(own(Plot.GENE), "value"),
        State(own(Plot.LAYER), "options"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("iscan", f"keep{number}"),
        Input(own(Plot.EMBEDDING), "value"),
        Input(own(Plot.GENE_X), "value"),
        Input(own(Plot.GENE_Y), "value"),
        Input(own(Plot.COLOUR), "value"),
        Input(own(Plot.GENE), "value"),
        Input(own(Plot.LAYER), "value"),
        Input(view, "data"),
    )
