"""Routes of the tab Result."""

from collections.abc import Callable
from typing import Any

import flask

from iscan_dash.services.inspection import Superseded
from iscan_dash.web import results
from iscan_dash.web.services import Services


def add(
    routes: flask.Blueprint,
    services: Services,
    answer: Callable[[Any], flask.Response],
    array: Callable[[str, Callable[[], bytes]], flask.Response],
) -> None:
    """Add the routes to a blueprint, which answers what is refused; `answer` makes JSON of a value.

    `array` answers with bytes, given what tells them from others, and how they are made.
    """

    @routes.get("/api/v1/results")
    def list_results() -> flask.Response:
        return answer(results.listed(services))

    @routes.get("/api/v1/results/<annotation_id>")
    def result(annotation_id: str) -> flask.Response:
        return answer(results.attempt(lambda: results.summary(services, annotation_id)))

    @routes.get("/api/v1/results/<annotation_id>/table.csv")
    def result_table(annotation_id: str) -> flask.Response:
        lines = results.table(services, annotation_id)
        return flask.Response((line.encode("utf-8", "backslashreplace") for line in lines), mimetype="text/csv")

    @routes.post("/api/v1/results/<annotation_id>/prune")
    def prune_result(annotation_id: str) -> flask.Response:
        form = results.CutoffsForm.model_validate_json(flask.request.get_data())
        return answer(results.prune(services, annotation_id, form))

    @routes.get("/api/v1/results/<annotation_id>/codes")
    def pruned_codes(annotation_id: str) -> flask.Response:
        cutoffs = flask.request.args.get("cutoffs", "")
        version = services.workspace.annotation(annotation_id).version
        return array(
            f"{services.plots.study_tag}-{annotation_id}-{version}-{cutoffs}",
            lambda: results.codes(services, annotation_id, cutoffs),
        )

    @routes.post("/api/v1/results/<annotation_id>/accept")
    def accept_cutoffs(annotation_id: str) -> flask.Response:
        form = results.AcceptForm.model_validate_json(flask.request.get_data())
        return answer(results.accept(services, annotation_id, form))

    @routes.post("/api/v1/results/<annotation_id>/why")
    def why(annotation_id: str) -> flask.Response:
        form = results.WhyForm.model_validate_json(flask.request.get_data())
        return answer(results.attempt(lambda: results.explain(services, annotation_id, form)))

    @routes.post("/api/v1/results/<annotation_id>/genes")
    def deciding_genes(annotation_id: str) -> flask.Response:
        form = results.GenesForm.model_validate_json(flask.request.get_data())
        check = services.inspection.checker(f"why {form.page}")
        try:
            return answer(results.attempt(lambda: results.genes(services, annotation_id, form, check)))
        except Superseded:
            # Nobody waits for it any more.
            return flask.Response(status=204)

    @routes.get("/api/v1/results/<annotation_id>/scores")
    def group_scores(annotation_id: str) -> flask.Response:
        by = flask.request.args.get("by", "")
        return answer(results.attempt(lambda: results.scores(services, annotation_id, by)))
