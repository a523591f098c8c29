"""Review: the groups of a prediction's cells, those with most cells in doubt first."""

from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from iscan_dash.web.ids import Review
from iscan_dash.web.services import Services


def layout(open_annotation: str | None = None) -> html.Div:
    """Return the page's frame; its scripts fill it (``assets/review*.js``).

    Parameters
    ----------
    open_annotation
        The annotation that is reviewed; the newest prediction when None.
    """
    return html.Div(
        [dcc.Store(id=Review.OPEN, data=open_annotation or ""), html.Div(id=Review.PAGE)], className="review-frame"
    )


def register(app: Dash, _services: Services) -> None:
    """Add the callback of the page."""
    # Dash runs what has an output when a page is opened, and nothing else.
    app.clientside_callback(
        ClientsideFunction("iscan", "showReview"), Output(Review.PAGE, "className"), Input(Review.OPEN, "data")
    )
