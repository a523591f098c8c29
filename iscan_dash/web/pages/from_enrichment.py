"""From Enrichment: labels of groups from the gene sets that are enriched in them, and windows of its sections."""

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, dcc, html, register_page

from iscan_dash.web.ids import FromEnrichment
from iscan_dash.web.services import Services

SECTIONS = {
    "grid": "Statistics",
    "average_expression": "Average Expression",
    "average_minus_log10_p": "Average -log10(P-Value)",
    "score": "Average Enrichment Score",
    "difference": "Average Enrichment Score Difference",
}
"""What has a window of its own, by the last part of its address."""


def layout(result: str | None = None, kind: str | None = None, key: str | None = None, section: str = "") -> html.Div:
    """Return the page's frame; its scripts fill it (``assets/sets_*.js``).

    Parameters
    ----------
    result
        The result that is opened; the newest one when None.
    kind, key
        The column that cells are grouped by.
    section
        A key of `SECTIONS` in a window of its own, empty for the whole page.
    """
    opened = {"result": result or "", "kind": kind or "", "key": key or "", "section": section}
    return html.Div(
        [
            dcc.Store(id=FromEnrichment.OPENED, data=opened),
            html.Div(id=FromEnrichment.PAGE, className="from-enrichment"),
        ],
        id=FromEnrichment.WINDOW,
        className="from-enrichment-frame",
    )


def register(app: Dash, _services: Services) -> None:
    """Add the windows of sections and the callback of the page."""

    def window(section: str = "", **given: Any) -> html.Div:
        own = section if section in SECTIONS else "grid"
        return layout(given.get("result"), given.get("kind"), given.get("key"), own)

    def title(section: str = "", **_: Any) -> str:
        return f"{SECTIONS.get(section, 'Statistics')} - {app.title}"

    register_page("enrichment-window", path_template="/window/enrichment/<section>", title=title, layout=window)
    # Dash runs what has an output when a page is opened, and nothing else.
    app.clientside_callback(
        ClientsideFunction("iscan", "showFromEnrichment"),
        Output(FromEnrichment.WINDOW, "className"),
        Input(FromEnrichment.OPENED, "data"),
    )
