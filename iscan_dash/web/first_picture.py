"""What a page asks for before its scripts run: its layout, and the arrays of the first plot."""

from html import escape

import flask
from dash import Dash, get_relative_path

from iscan_dash.errors import IscanError
from iscan_dash.web.components import plot_panel
from iscan_dash.web.services import Services

MARK = "<!-- first picture -->"
"""Where the page's template has what `links` returns."""


def links(services: Services) -> str:
    """Return the links of a page's head that let the browser fetch while it still reads scripts.

    A link that says what to show asks for other arrays, so none are fetched for it.
    """
    found = [(get_relative_path("/_dash-layout"), ""), (get_relative_path("/_dash-dependencies"), "")]
    if not flask.request.args:
        try:
            spec, _ = plot_panel.first_spec(services)
        except IscanError:
            return ""  # The page says why.
        found += [(spec["xy"], "points")]
        if spec["codes"]:
            found += [(spec["codes"], "codes")]
    return "\n".join(
        f'<link rel="preload" as="fetch" crossorigin href="{escape(address)}"{f" data-first={what!r}" if what else ""}>'
        for address, what in found
    )


def register(app: Dash, services: Services) -> None:
    """Put the links into every page."""
    interpolate = app.interpolate_index

    def with_links(**parts: str) -> str:
        page: str = interpolate(**parts)
        return page.replace(MARK, links(services))

    app.interpolate_index = with_links
