"""The frame: a top bar, the plots on the left, the Data and Analysis Panel on the right."""

import dash_bootstrap_components as dbc
from dash import dcc, get_relative_path, html, page_container

from iscan_dash.web import selections
from iscan_dash.web.components import cell_filter, history, naming, plot_grid, toast, topbar
from iscan_dash.web.ids import Shell
from iscan_dash.web.pages import edit_annotation
from iscan_dash.web.services import Services

TABS = (
    ("Data", "/", "exact"),
    ("Cell Annotation", "/annotate", "partial"),
    ("Enrichment", "/enrichment", "partial"),
    ("References", "/references", "exact"),
    ("Study Logs", "/logs", "exact"),
    ("Export", "/export", "exact"),
)
"""The pages of the panel in order, with the addresses that mark their tab; a page is listed when it works."""

INDEX = """<!DOCTYPE html>
<html lang="en" data-bs-theme="light">
<head>
{%metas%}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="iscan-study" content="STUDY">
<title>{%title%}</title>
<!-- first picture -->
{%favicon%}
<link rel="stylesheet" href="ROOT/bootstrap/css/bootstrap.min.css">
<link rel="stylesheet" href="ROOT/bootstrap/css/font/bootstrap-icons.min.css">
{%css%}
<link rel="stylesheet" href="STYLES">
<script src="ROOT/assets/theme.js"></script>
</head>
<body>
{%app_entry%}
<footer>{%config%}<script src="SCRIPTS"></script>{%scripts%}{%renderer%}</footer>
</body>
</html>
"""


def index(styles: str, scripts: str, study: str) -> str:
    """Return the template of the page, given the paths of our styles and scripts, and what names the study.

    The application is made by then.
    """
    places = {"ROOT/": "/", "STYLES": styles, "SCRIPTS": scripts}
    made = INDEX
    for mark, path in places.items():
        made = made.replace(mark, get_relative_path(path))
    return made.replace("STUDY", study)


def tabs(services: Services) -> tuple[tuple[str, str, str], ...]:
    """Return the pages that this server has: without annotations only the data is looked at."""
    return TABS[:1] if services.workspaces.is_closed else TABS


def trouble(sentence: str) -> html.Div:
    """Return the page that says why there is no other."""
    return html.Div([html.H2("This study cannot be shown"), html.P(sentence)], className="empty-state", role="alert")


def shell(services: Services) -> html.Div:
    """Return the page's frame as it is when a browser opens it."""
    return html.Div(
        className="shell",
        children=[
            dcc.Location(id=Shell.LOCATION, refresh="callback-nav"),
            dcc.Store(id=Shell.REVISION),
            dcc.Store(id=Shell.STATUS),
            *toast.stores(),
            *history.stores(),
            *edit_annotation.stores(),
            *naming.layout(services),
            *selections.stores(services),
            topbar.layout(services),
            html.Div(id=Shell.BANNER, className="banner", role="alert", hidden=True),
            html.Main(
                className="areas",
                children=[
                    html.Section(
                        [*plot_grid.layout(services), *cell_filter.layout(services)],
                        className="plots",
                        **{"aria-label": "Plots"},
                    ),
                    html.Div(
                        className="divider",
                        role="separator",
                        tabIndex=0,
                        **{"aria-label": "Width of the plots: arrow keys, Home, End", "aria-orientation": "vertical"},
                    ),
                    html.Section(
                        className="panel",
                        **{"aria-label": "Data and Analysis Panel"},
                        children=[
                            html.Nav(
                                [
                                    dbc.NavLink(
                                        name,
                                        href=get_relative_path(path),
                                        active=active,
                                        id=f"shell-tab-{path.strip('/') or 'data'}",
                                    )
                                    for name, path, active in tabs(services)
                                ],
                                id=Shell.TABS,
                                className="tabs",
                            ),
                            html.Div(page_container, className="page"),
                        ],
                    ),
                ],
            ),
            html.Div(id=Shell.TOASTS, className="toasts", **{"aria-live": "polite"}),
        ],
    )
