"""The review queue as the page sees it: groups, what is known of one, and what is done with it."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dash import Dash
from flask.testing import FlaskClient

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.selection.mask_codec import decode
from iscan_dash.core.singler.explain import why
from iscan_dash.services.repruning import Cutoffs
from iscan_dash.services.workspace import Source
from tests.predictions import N_CELLS, add_prediction, write_cells
from tests.references import write_folder
from tests.web.conftest import MakeApp, services_of, visitor

BY = Source("cluster", "leiden")


@pytest.fixture(scope="module")
def app(make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> Dash:
    folder = tmp_path_factory.mktemp("cells")
    write_folder(folder / "references" / "gut")
    return make_app(write_cells(folder / "cells.h5ad"), single_user=True, references=folder / "references")


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


@pytest.fixture
def desk(app: Dash) -> Any:
    return services_of(app)


@pytest.fixture
def annotation(app: Dash, client: FlaskClient, desk: Any, tmp_path: Path) -> Annotation:
    return add_prediction(desk.workspace, app.server.extensions["iscan"].registry, tmp_path)


def ask(client: FlaskClient, what: str, status: int = 200, **asked: Any) -> Any:
    response = client.post(f"/api/v1/review/{what}", json=asked)
    assert response.status_code == status, response.data
    return response.get_json()


def act(client: FlaskClient, annotation: Annotation, do: str, item: str, status: int = 200, **more: Any) -> Any:
    return ask(client, "act", status, annotation=annotation.id, do=do, item=item, **more)


def by_title(queue: Any) -> dict[str, Any]:
    return {item["title"]: item for item in queue["items"]}


def states(queue: Any) -> dict[str, str]:
    return {item["title"]: item["state"] for item in queue["items"]}


class TestQueue:
    def test_without_a_prediction(self, make_app: MakeApp, small_file: Path) -> None:
        client = visitor(make_app(small_file, single_user=True))
        queue = ask(client, "queue")
        assert (queue["predictions"], queue["annotation"], queue["items"], queue["problem"]) == ([], None, [], "")
        # A page may still ask about the last one, which was deleted meanwhile.
        for what in ("item", "mask", "act"):
            assert "no prediction" in ask(client, what, 400, item="gone", do="accept")["error"]

    def test_the_newest_prediction_by_clusters(self, client: FlaskClient, annotation: Annotation, desk: Any) -> None:
        queue = ask(client, "queue")
        assert queue["annotation"] == {"id": annotation.id, "name": annotation.live.name, "version": 1}
        assert queue["predictions"][0]["id"] == annotation.id
        assert queue["by"] == "cluster:leiden"
        assert {column["value"] for column in queue["columns"]} >= {"cluster:leiden", "metadata:phase"}
        review = desk.reviews.get(annotation.id, BY).review
        wanted = review.queue()
        assert [item["id"] for item in queue["items"]] == [item.id for item in wanted.items]
        assert [item["in_doubt"] for item in queue["items"]] == [item.in_doubt for item in wanted.items]
        assert set(states(queue)) == {"0", "1", "2", "3", "missing"}
        assert queue["items"][0]["in_doubt"] > 0
        assert queue["first"] == queue["items"][0]["id"]
        assert queue["labels"] == ["B cell", "Monocyte", "NK cell", "T cell"]

    def test_by_another_column_and_by_labels(self, client: FlaskClient, annotation: Annotation) -> None:
        queue = ask(client, "queue", annotation=annotation.id, by="metadata:phase")
        assert set(states(queue)) == {"S", "G1"}
        queue = ask(client, "queue", with_labels=True)
        assert {"0 / B cell", "0 / T cell"} <= set(states(queue))
        assert not any(item["is_part"] for item in queue["items"])
        # A column that is gone gives way to the usual one.
        assert ask(client, "queue", by="metadata:x")["by"] == "cluster:leiden"

    def test_groups_that_were_predicted_by(self, app: Dash, client: FlaskClient, desk: Any, tmp_path: Path) -> None:
        registry = app.server.extensions["iscan"].registry
        own = add_prediction(desk.workspace, registry, tmp_path, "by phase", by_cluster="phase")
        queue = ask(client, "queue", annotation=own.id)
        assert queue["by"] == "metadata:phase"
        assert set(states(queue)) == {"S", "G1"}

    def test_what_cannot_be_reviewed(self, client: FlaskClient, annotation: Annotation, desk: Any) -> None:
        empty = desk.workspace.create_from_existing("by hand", [], CombineRecipe("Unassigned"))
        queue = ask(client, "queue", annotation=empty.id)
        assert "was not made by a prediction" in queue["problem"]
        assert (queue["items"], queue["predictions"][0]["id"]) == ([], annotation.id)
        assert "was deleted" in ask(client, "queue", annotation="x")["problem"]
        ask(client, "queue", 400, annotation="x" * 100)

    def test_a_review_is_made_anew_when_its_cutoff_or_its_groups_change(
        self, annotation: Annotation, desk: Any
    ) -> None:
        workspace, reviews = desk.workspace, desk.reviews
        first = reviews.get(annotation.id, BY)
        copy = workspace.create_from_existing("copy", [BY], CombineRecipe("Unassigned"))
        by_copy = Source("annotation", copy.id)
        other = reviews.get(annotation.id, by_copy)
        rows = np.arange(N_CELLS) < 7
        workspace.assign(annotation.id, rows, "mine", annotation.version)
        assert reviews.get(annotation.id, BY) is first
        assert reviews.get(annotation.id, by_copy) is other
        workspace.assign(copy.id, rows, "seven", copy.version)
        assert reviews.get(annotation.id, BY) is first
        assert "seven" in [item.title for item in reviews.get(annotation.id, by_copy).review.queue().items]
        opened = desk.results.get(annotation.id)
        version = workspace.annotation(annotation.id).version
        opened.repruning.accept(workspace, annotation.id, Cutoffs(0.0), version)
        again = reviews.get(annotation.id, BY)
        assert again is not first
        assert again.pruned.is_pruned.sum() > first.pruned.is_pruned.sum()
        before, after = (sum(item.in_doubt for item in own.review.queue().items) for own in (first, again))
        assert after > before


class TestItem:
    def test_what_is_known_of_a_group(self, client: FlaskClient, annotation: Annotation, desk: Any) -> None:
        queue = ask(client, "queue", annotation=annotation.id)
        item = by_title(queue)["0"]
        found = ask(client, "item", annotation=annotation.id, item=item["id"])
        response = client.post("/api/v1/review/mask", json={"annotation": annotation.id, "item": item["id"]})
        mask = decode(response.data, N_CELLS)
        leiden = desk.workspace.category(BY)
        assert mask.tolist() == (leiden.codes == leiden.labels.index("0")).tolist()
        assert found["n"] == item["n"] == mask.sum()
        texts = [annotation.live.by_id[code].text for code in annotation.codes[mask].tolist()]
        assert {part["label"]: part["count"] for part in found["composition"]["parts"]} == Counter(texts)
        opened = desk.reviews.get(annotation.id, BY)
        wanted = why(opened.outcome, opened.pruned, mask)
        assert wanted is not None
        assert wanted.runner_up is not None
        assert found["why"]["label"] == wanted.label.label == "B cell"
        assert found["why"]["runner_up"] == wanted.runner_up.label
        assert [own["label"] for own in found["why"]["scores"]] == [own.label for own in wanted.scores]
        assert found["why"]["n_pruned"] == sum(own.n_pruned for own in wanted.scores)

    @pytest.mark.parametrize("what", ["item", "mask"])
    def test_a_group_that_is_gone(self, client: FlaskClient, annotation: Annotation, what: str) -> None:
        assert "Load the page again" in ask(client, what, 400, annotation=annotation.id, item="x")["error"]


class TestActing:
    def test_one_after_the_other(self, client: FlaskClient, annotation: Annotation) -> None:
        queue = ask(client, "queue", annotation=annotation.id)
        first, second, third = [item["id"] for item in queue["items"][:3]]
        done = act(client, annotation, "accept", first)
        assert (done["current"], done["message"], done["queue"]["n_reviewed"]) == (second, None, 1)
        done = act(client, annotation, "skip", second)
        assert (done["current"], done["queue"]["n_reviewed"], done["queue"]["n_skipped"]) == (third, 1, 1)
        done = act(client, annotation, "reopen", first)
        assert (done["current"], done["queue"]["n_reviewed"], done["queue"]["first"]) == (first, 0, first)
        for item in queue["items"]:
            done = act(client, annotation, "accept", item["id"])
        assert (done["current"], done["queue"]["first"], done["queue"]["n_reviewed"]) == (None, None, 5)
        # As another page finds it.
        assert ask(client, "queue", annotation=annotation.id)["n_reviewed"] == 5

    def test_a_label(self, client: FlaskClient, annotation: Annotation, desk: Any) -> None:
        queue = ask(client, "queue", annotation=annotation.id)
        item = by_title(queue)["1"]
        done = act(client, annotation, "relabel", item["id"], text=" mono ", version=1)
        state = desk.workspace.annotation(annotation.id)
        leiden = desk.workspace.category(BY)
        mask = leiden.codes == leiden.labels.index("1")
        assert {state.live.by_id[code].text for code in state.codes[mask].tolist()} == {"mono"}
        assert done["queue"]["annotation"]["version"] == state.version == 2
        assert by_title(done["queue"])["1"]["text"] == "mono"
        assert done["message"]["text"].endswith('set to "mono" (review of 1).')
        assert done["message"]["actions"][0]["text"] == "Undo"
        done = act(client, annotation, "relabel", item["id"], text="mono", version=2)
        assert "already" in done["message"]["text"]
        # Somebody edited it since; nothing is noted of the group.
        other = by_title(queue)["2"]
        assert "newer" in act(client, annotation, "relabel", other["id"], 400, text="x", version=1)["error"]
        assert act(client, annotation, "relabel", other["id"], 400, text=" ", version=2)["error"] == "Enter a label."
        assert states(ask(client, "queue", annotation=annotation.id))["2"] == "open"

    def test_labels_that_are_the_groups(self, client: FlaskClient, annotation: Annotation) -> None:
        by = f"annotation:{annotation.id}"
        queue = ask(client, "queue", annotation=annotation.id, by=by)
        item = by_title(queue)["Monocyte"]
        done = act(client, annotation, "relabel", item["id"], text="mono", version=1, by=by)
        assert "Monocyte" not in states(done["queue"])
        assert done["current"] in {item["id"] for item in done["queue"]["items"]}

    def test_a_group_is_split_and_whole_again(self, client: FlaskClient, annotation: Annotation) -> None:
        queue = ask(client, "queue", annotation=annotation.id)
        item = by_title(queue)["0"]
        done = act(client, annotation, "split", item["id"])
        parts = {title: own for title, own in by_title(done["queue"]).items() if title.startswith("0 / ")}
        assert {"0 / B cell", "0 / T cell"} <= set(parts)
        assert all(part["is_part"] for part in parts.values())
        assert sum(part["n"] for part in parts.values()) == item["n"]
        assert done["current"] in {part["id"] for part in parts.values()}
        assert "only one value" in act(client, annotation, "split", parts["0 / B cell"]["id"], 400)["error"]
        done = act(client, annotation, "split", parts["0 / B cell"]["id"], column="metadata:phase")
        assert {"0 / B cell / S", "0 / B cell / G1"} <= set(states(done["queue"]))
        part = by_title(done["queue"])["0 / T cell"]
        done = act(client, annotation, "unite", part["id"])
        assert done["current"] == item["id"]
        assert set(states(done["queue"])) == {"0", "1", "2", "3", "missing"}
        assert "not split" in act(client, annotation, "unite", item["id"], 400)["error"]


@pytest.mark.parametrize("what", ["queue", "item", "mask", "act"])
def test_whatever_a_browser_sends_is_answered(client: FlaskClient, annotation: Annotation, what: str) -> None:
    item = ask(client, "queue", annotation=annotation.id)["first"]
    usual = {"annotation": annotation.id, "by": "", "item": item, "do": "relabel", "text": "x", "version": 1}
    usual |= {"with_labels": False, "column": ""}
    for field in usual:
        for odd in (None, -1, 10**18, True, "", "x", "\ud800", "a\0b", "cluster:\ud800", [], [[]], {}, {"a": 1}):
            response = client.post(f"/api/v1/review/{what}", json={**usual, field: odd})
            assert response.status_code in {200, 400}, (field, odd, response.data)
            if response.status_code == 400:
                assert response.get_json()["error"]
    for body in (b"", b"[]", b"null", b"{", b'"x"'):
        response = client.post(f"/api/v1/review/{what}", data=body, content_type="application/json")
        assert response.status_code == 400
