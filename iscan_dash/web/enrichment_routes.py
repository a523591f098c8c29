"""Routes of the pages Enrichment and From Enrichment."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import flask

from iscan_dash.errors import IscanError
from iscan_dash.services.enrichment_table import group_lines
from iscan_dash.web import enrichment, from_enrichment, gene_sets, jobs
from iscan_dash.web.security import takes_body
from iscan_dash.web.services import Services

REPEATED = "E53"

TYPES = {"gmt": "text/tab-separated-values", "csv": "text/csv", "json": "application/json"}


def add(routes: flask.Blueprint, services: Services, answer: Callable[[Any], flask.Response]) -> None:
    """Add the routes to a blueprint, which answers what is refused; `answer` makes JSON of a value."""
    _add_collections(routes, services, answer)
    _add_analyses(routes, services, answer)
    _add_labels(routes, services, answer)


def _add_collections(routes: flask.Blueprint, services: Services, answer: Callable[[Any], flask.Response]) -> None:
    @routes.get("/api/v1/gene-sets")
    def list_gene_sets() -> flask.Response:
        return answer(gene_sets.listed(services))

    @routes.get("/api/v1/gene-sets/one")
    def one_collection() -> flask.Response:
        args = flask.request.args
        return answer(gene_sets.details(services, args.get("id", ""), args.get("matrix", ""), args.get("q", "")))

    @routes.post("/api/v1/gene-sets/read")
    @takes_body(gene_sets.LARGEST_FILE)
    def read_gene_sets() -> flask.Response:
        asked = gene_sets.Reading.model_validate(flask.request.args.to_dict())
        try:
            return answer(gene_sets.read(services, flask.request.get_data(), asked))
        except IscanError as error:
            # Asked while somebody types: what is not finished yet is no mistake.
            return answer({"refused": str(error)})

    @routes.post("/api/v1/gene-sets/keep")
    @takes_body(gene_sets.LARGEST_FILE)
    def keep_gene_sets() -> flask.Response:
        asked = gene_sets.Making.model_validate(flask.request.args.to_dict())
        try:
            return answer({"made": gene_sets.keep(services, flask.request.get_data(), asked).to_json()})
        except IscanError as error:
            # Of sets of one name it can be said what becomes of them.
            can_be_said = getattr(error, "code", "") == REPEATED and asked.repeated == "refuse"
            return answer({"repeated" if can_be_said else "refused": str(error)})

    @routes.post("/api/v1/gene-sets/rename")
    def rename_collection() -> flask.Response:
        asked = gene_sets.Renaming.model_validate_json(flask.request.get_data())
        user = services.workspace.user
        return answer(services.gene_sets.rename(user, asked.id, asked.name, asked.version, asked.description).to_json())

    @routes.post("/api/v1/gene-sets/set")
    def put_gene_set() -> flask.Response:
        asked = gene_sets.SetEdit.model_validate_json(flask.request.get_data())
        return answer(gene_sets.put(services, asked).to_json())

    @routes.post("/api/v1/gene-sets/delete-sets")
    def delete_gene_sets() -> flask.Response:
        asked = gene_sets.SetNames.model_validate_json(flask.request.get_data())
        user = services.workspace.user
        return answer(services.gene_sets.delete_sets(user, asked.id, asked.names, asked.version).to_json())

    @routes.post("/api/v1/gene-sets/<any(delete, restore, duplicate):what>")
    def change_collection(what: str) -> flask.Response:
        asked = gene_sets.Chosen.model_validate_json(flask.request.get_data())
        collections, user = services.gene_sets, services.workspace.user
        if what == "delete":
            made = collections.delete(user, asked.id)
        elif what == "restore":
            made = collections.restore(user, asked.id)
        else:
            made = collections.duplicate(user, asked.id, asked.name)
        return answer(made.to_json())

    @routes.get("/api/v1/gene-sets/export")
    def export_collection() -> flask.Response:
        args = flask.request.args
        kind = args.get("kind", "gmt")
        collection = services.gene_sets.get(services.workspace.user, args.get("id", ""))
        name, text = services.gene_sets.export(collection, kind if kind in TYPES else "gmt")
        response = flask.Response(text.encode("utf-8", "backslashreplace"), mimetype=TYPES.get(kind, TYPES["gmt"]))
        # Headers are Latin-1: other names are written as RFC 6266 has them.
        named = {"filename": name} if name.isascii() else {"filename*": f"UTF-8''{quote(name)}"}
        response.headers.set("Content-Disposition", "attachment", **named)
        return response


def _add_analyses(routes: flask.Blueprint, services: Services, answer: Callable[[Any], flask.Response]) -> None:
    @routes.get("/api/v1/enrichment")
    def enrichment_offer() -> flask.Response:
        return answer(enrichment.offer(services))

    @routes.get("/api/v1/enrichment/form/<job_id>")
    def earlier_analysis(job_id: str) -> flask.Response:
        return answer(enrichment.form_of(services, services.jobs.get(job_id)))

    @routes.post("/api/v1/enrichment/look")
    def enrichment_look() -> flask.Response:
        form = enrichment.EnrichmentForm.model_validate_json(flask.request.get_data())
        return answer(enrichment.look(services, form))

    @routes.post("/api/v1/enrichment")
    def enrichment_submit() -> flask.Response:
        form = enrichment.EnrichmentForm.model_validate_json(flask.request.get_data())
        return answer({"job": jobs.job_row(services, enrichment.submit(services, form))})

    @routes.get("/api/v1/enrichments")
    def list_enrichments() -> flask.Response:
        return answer(enrichment.listed(services))

    @routes.post("/api/v1/enrichments/<any(delete, restore, rename):what>")
    def change_enrichment(what: str) -> flask.Response:
        asked = gene_sets.Chosen.model_validate_json(flask.request.get_data())
        results = services.enrichments
        if what == "delete":
            entry = results.delete(asked.id)
        elif what == "restore":
            entry = results.restore(asked.id)
        else:
            entry = results.rename(asked.id, asked.name)
        return answer(entry.to_json())


def _add_labels(routes: flask.Blueprint, services: Services, answer: Callable[[Any], flask.Response]) -> None:
    @routes.get("/api/v1/enrichments/columns")
    def enrichment_columns() -> flask.Response:
        return answer(from_enrichment.columns(services))

    @routes.get("/api/v1/enrichments/<result_id>/table")
    def enrichment_table(result_id: str) -> flask.Response:
        by = from_enrichment.By.model_validate(flask.request.args.to_dict())
        return answer(from_enrichment.table(services, result_id, by))

    @routes.get("/api/v1/enrichments/<result_id>/table.csv")
    def enrichment_csv(result_id: str) -> flask.Response:
        by = from_enrichment.By.model_validate(flask.request.args.to_dict())
        grouped = services.enrichments.table(result_id, by.source)
        lines = group_lines(services.workspace.study, grouped)
        response = flask.Response((line.encode("utf-8", "backslashreplace") for line in lines), mimetype="text/csv")
        response.headers.set("Content-Disposition", "attachment", filename="enrichment.csv")
        return response

    @routes.post("/api/v1/enrichments/<result_id>/labels")
    def enrichment_labels(result_id: str) -> flask.Response:
        form = from_enrichment.LabelForm.model_validate_json(flask.request.get_data())
        return answer(from_enrichment.labels(services, result_id, form))

    @routes.post("/api/v1/enrichments/<result_id>/create")
    def enrichment_create(result_id: str) -> flask.Response:
        form = from_enrichment.LabelForm.model_validate_json(flask.request.get_data())
        return answer(from_enrichment.create(services, result_id, form))
