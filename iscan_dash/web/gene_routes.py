"""Routes of genes that take a long search: how far they are, and an end to them."""

from collections.abc import Callable
from typing import Any

import flask

from iscan_dash.services.gene_indexing import IndexState
from iscan_dash.web.services import Services


def add(routes: flask.Blueprint, services: Services, answer: Callable[[Any], flask.Response]) -> None:
    """Add the routes to a blueprint; `answer` makes JSON of a value."""

    @routes.get("/api/v1/genes/searches")
    def searches() -> flask.Response:
        running = [{"gene": gene, "part": part} for gene, part in services.workspace.searches.running()]
        return answer({"searches": running, "index": index_part(services)})

    @routes.post("/api/v1/genes/searches/cancel")
    def cancel() -> flask.Response:
        services.workspace.searches.cancel()
        return answer({})


def index_part(services: Services) -> float | None:
    """Return how much of the indices that are wanted is made, None when none is under way."""
    wanted = [own for own in services.gene_indexing.progress() if own.state is not IndexState.FAILED]
    if all(own.state is IndexState.READY for own in wanted):
        return None
    return sum(own.part for own in wanted) / len(wanted)
