"""The one configuration that every graph of the page uses."""

from typing import Any

from dash import dcc

GRAPH_CONFIG: dict[str, Any] = {
    # Plotly would offer to upload the figure's data to a public server.
    "showSendToCloud": False,
    "displayModeBar": False,
    "displaylogo": False,
    "scrollZoom": True,
    # The script of the plot answers a double click, and Plotly need not explain it.
    "doubleClick": False,
    "showTips": False,
    "responsive": True,
}


def cell_graph(graph_id: str) -> dcc.Graph:
    """Return the graph that holds a plot's axes and tools; the cells are painted under it.

    Its script says which ranges it shows.

    Parameters
    ----------
    graph_id
        Its id.
    """
    invisible = {"marker": {"opacity": 0}}
    corners = {
        "type": "scatter",
        "mode": "markers",
        "x": [0, 1],
        "y": [0, 1],
        "hoverinfo": "skip",
        "marker": {"opacity": 0},
        "selected": invisible,
        "unselected": invisible,
    }
    layout = {
        "dragmode": "pan",
        "uirevision": "cells",
        "showlegend": False,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": False,
        "xaxis": {"visible": False, "range": [0, 1], "automargin": False},
        "yaxis": {"visible": False, "range": [0, 1], "automargin": False},
    }
    return dcc.Graph(
        id=graph_id, className="cell-graph", config=GRAPH_CONFIG, figure={"data": [corners], "layout": layout}
    )
