"""The plots side by side: one, two or four, their tools, and a window for one alone."""

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, dcc, html, no_update, register_page

from iscan_dash.web.components import plot_panel
from iscan_dash.web.components.topbar import icon_button
from iscan_dash.web.forms import PlotStart
from iscan_dash.web.ids import PLOTS, Plot, Plots, Shell, drawn_by_script, of_plot
from iscan_dash.web.services import Services

TOOLS = (
    (Plots.PAN, "arrows-move", "Pan (H)"),
    (Plots.ZOOM, "zoom-in", "Zoom into a rectangle (Z)"),
    (Plots.LASSO, "pentagon", "Lasso (L): draw round cells; Shift adds, Alt takes away"),
    (Plots.BOX, "bounding-box", "Box (B): drag over cells; Shift adds, Alt takes away"),
)

ARRANGEMENTS = (("1x1", "square", "One plot"), ("1x2", "layout-split", "Two plots"), ("2x2", "grid", "Four plots"))
"""How plots are arranged: the name in links, the icon and what it says."""


def layout(services: Services) -> list[Any]:
    """Return the tools and the first plot; the others are made when they are first shown."""
    tools = [
        icon_button(tool, icon, name, className="active" * is_taken, **{"aria-pressed": str(is_taken).lower()})
        for tool, icon, name in TOOLS
        for is_taken in (tool == Plots.PAN,)
    ]
    arrangements = [
        icon_button(
            f"plots-{name}", icon, text, **{"aria-pressed": str(name == "1x1").lower(), "data-arrangement": name}
        )
        for name, icon, text in ARRANGEMENTS
    ]
    return [
        html.Div(
            className="plots-bar",
            children=[
                html.Div(
                    [*tools, icon_button(Plots.RESET, "aspect-ratio", "Show all (0)")],
                    className="plot-tools",
                    role="toolbar",
                    **{"aria-label": "Plot tools"},
                ),
                html.Div(arrangements, className="plot-arrangements", role="group", **{"aria-label": "How many plots"}),
            ],
        ),
        html.Div(
            id=Plots.GRID,
            className="plot-grid",
            **{"data-arrangement": "1x1"},
            children=[
                html.Section(
                    plot_panel.layout(services) if number == 1 else [],
                    id=drawn_by_script("slot", number),
                    className="plot",
                    **{"aria-label": f"Plot {number}", "data-plot": str(number)},
                )
                for number in PLOTS
            ],
        ),
        *(dcc.Store(id=of_plot(Plot.START, number)) for number in PLOTS[1:]),
    ]


def register(app: Dash, services: Services) -> None:
    """Add the callbacks of all plots, and the page of one alone."""
    for number in PLOTS:
        plot_panel.register(app, services, number)
    for number in PLOTS[1:]:
        _make_when_shown(app, services, number)
    app.clientside_callback(ClientsideFunction("iscan", "keepLink"), Input(Shell.LOCATION, "pathname"))

    # Its script hides all but the plot.
    def title(number: str = "", **_: Any) -> str:
        return f"Plot {number} - {app.title}"

    register_page("plot-window", path_template="/window/plot/<number>", title=title, layout=_nothing)


def _make_when_shown(app: Dash, services: Services, number: int) -> None:
    @app.callback(
        Output(drawn_by_script("slot", number), "children"),
        Input(of_plot(Plot.START, number), "data"),
        prevent_initial_call=True,
    )
    def make(start: PlotStart | None) -> Any:
        return plot_panel.layout(services, number, start) if start else no_update


def _nothing(**_: Any) -> html.Div:
    return html.Div()
