"""Routes of the review queue."""

from collections.abc import Callable
from typing import Any

import flask

from iscan_dash.web import review
from iscan_dash.web.services import Services


def add(routes: flask.Blueprint, services: Services, answer: Callable[[Any], flask.Response]) -> None:
    """Add the routes to a blueprint, which answers what is refused; `answer` makes JSON of a value."""

    @routes.post("/api/v1/review/queue")
    def review_queue() -> flask.Response:
        return answer(review.queue(services, review.ReviewForm.model_validate_json(flask.request.get_data())))

    @routes.post("/api/v1/review/item")
    def review_item() -> flask.Response:
        return answer(review.details(services, review.ItemRequest.model_validate_json(flask.request.get_data())))

    @routes.post("/api/v1/review/mask")
    def review_mask() -> flask.Response:
        bits = review.mask(services, review.ItemRequest.model_validate_json(flask.request.get_data()))
        return flask.Response(bits, mimetype="application/octet-stream", headers={"Cache-Control": "no-store"})

    @routes.post("/api/v1/review/act")
    def review_act() -> flask.Response:
        return answer(review.act(services, review.ActRequest.model_validate_json(flask.request.get_data())))
