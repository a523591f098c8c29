"""What the page hears of genes that take a long search, and of the indices that end it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dash import Dash
from dash.development.base_component import Component

from iscan_dash.core.study import gene_index, matrices
from iscan_dash.core.study.long_searches import MOST_WAITING
from iscan_dash.services.gene_indexing import IndexState, Progress
from iscan_dash.web.pages.data import index_notes, is_settled
from tests.web.conftest import MakeApp, asking, services_of, visitor
from tests.web.page import Page


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Hold searches at their first block until this is set."""
    go_on = threading.Event()
    gene = matrices.Matrix.gene

    def slow_gene(self: matrices.Matrix, column: int, tell: matrices.Tell) -> object:
        def tell_and_wait(part: float) -> None:
            tell(part)
            go_on.wait(10)

        return gene(self, column, tell_and_wait)

    monkeypatch.setattr(gene_index, "SMALLEST", 1)
    monkeypatch.setattr(matrices, "BLOCK", 100)
    monkeypatch.setattr(matrices.Matrix, "gene", slow_gene)
    return go_on


def test_a_search_is_told_to_who_waits_and_may_be_cancelled(
    make_app: MakeApp, small_file: Path, hold: threading.Event
) -> None:
    app = make_app(small_file, gene_index_gb=0)
    client, other = visitor(app), visitor(app)
    answers: list[tuple[int, str]] = []

    def ask() -> None:
        answer = client.get("/api/v1/codes?by=gene:CD3E")
        answers.append((answer.status_code, answer.get_json()["error"]))

    waiting = threading.Thread(target=ask)
    waiting.start()
    told = {"searches": []}
    end = time.monotonic() + 10
    while not told["searches"] or told["searches"][0]["part"] is None:
        told = client.get("/api/v1/genes/searches").get_json()
        assert time.monotonic() < end
    assert told == {"searches": [{"gene": "CD3E", "part": 0.0}], "index": None}
    # It is nobody else's.
    assert other.get("/api/v1/genes/searches").get_json()["searches"] == []
    assert other.post("/api/v1/genes/searches/cancel").status_code == 200
    assert len(client.get("/api/v1/genes/searches").get_json()["searches"]) == 1
    assert client.post("/api/v1/genes/searches/cancel").status_code == 200
    hold.set()
    waiting.join(10)
    assert answers == [(400, "CD3E was not read: the search was cancelled. Choose it again to read it.")]
    assert client.get("/api/v1/codes?by=gene:CD3E").status_code == 200


def test_more_searches_than_may_wait_are_put_off(make_app: MakeApp, small_file: Path, hold: threading.Event) -> None:
    app = make_app(small_file, gene_index_gb=0)
    genes = list(services_of(app).workspace.study.genes)[-2 - MOST_WAITING :]
    asked = [visitor(app) for _ in genes]
    with ThreadPoolExecutor(len(genes)) as threads:
        waiting = []
        for client, gene in zip(asked[1:], genes[1:], strict=True):
            waiting.append(threads.submit(client.get, f"/api/v1/codes?by=gene:{gene}"))
            end = time.monotonic() + 10
            while not client.get("/api/v1/genes/searches").get_json()["searches"]:
                assert time.monotonic() < end
        put_off = asked[0].get(f"/api/v1/codes?by=gene:{genes[0]}")
        condition = {"is": "range", "kind": "gene", "key": genes[0], "low": 1}
        refused = asked[0].post("/api/v1/selection", json={"do": "filter", "condition": condition})
        # What waits is let go at once, whoever it waits for.
        for client in asked[2:]:
            assert client.post("/api/v1/genes/searches/cancel").status_code == 200
        assert [own.result(5).status_code for own in waiting[1:]] == [400] * MOST_WAITING
        hold.set()
        assert waiting[0].result(10).status_code == 200
    assert put_off.status_code == refused.status_code == 503
    assert put_off.get_json()["error"].endswith("too many genes are searched for already. Try again in a moment.")
    assert asked[0].get(f"/api/v1/codes?by=gene:{genes[0]}").status_code == 200


def test_a_callback_whose_search_was_cancelled_warns(
    make_app: MakeApp, small_file: Path, hold: threading.Event
) -> None:
    app = make_app(small_file, single_user=True, gene_index_gb=0)
    page = Page(app)
    services_of(app).workspace.searches.close()
    hold.set()
    shows = next(own for own in page.callbacks if "plot-spec.data" in own["output"])
    page.values |= {"plot-embedding.value": "X_umap", "plot-labels.value": True}
    page.values |= {"plot-size.value": 2.0, "plot-opacity.value": 1.0}
    answer = page.ask(shows, "plot-gene", "value", "CD3E")
    changed = answer.get_json()["sideUpdate"]
    assert changed["plot-gene"] == {"value": None}
    assert not {"plot-gene-x", "plot-gene-y"} & set(changed)
    said = changed["shell-toast"]["data"]
    assert (said["kind"], said["text"]) == (
        "warning",
        "CD3E was not read: the search was cancelled. Choose it again to read it.",
    )


def test_a_filter_whose_search_was_cancelled_is_refused_and_may_be_made_again(
    make_app: MakeApp, small_file: Path, hold: threading.Event
) -> None:
    app = make_app(small_file, single_user=True, gene_index_gb=0)
    client, searches = visitor(app), services_of(app).workspace.searches
    hold.set()
    saved = {"filters": [{"id": "f", "condition": {"is": "range", "kind": "gene", "key": "CD3E", "low": 1}}]}
    rests = {"is": "saved", "id": "kept"}
    recipe = {"filters": [{"id": "g", "condition": rests}], "saved": {"kept": {"name": "with CD3E", **saved}}}
    actions = [{"do": "filter", "condition": saved["filters"][0]["condition"]}, {"do": "load", "recipe": recipe}]
    for action in actions:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(searches, "_is_closed", True)
            refused = client.post("/api/v1/selection", json=action)
            assert (refused.status_code, refused.get_json()["error"][:17]) == (400, "CD3E was not read")
        assert client.get("/api/v1/selection/state").get_json()["active"] is False
    states = [client.post("/api/v1/selection", json=action).get_json() for action in actions]
    assert states[0]["problems"] == states[1]["problems"] == []
    assert states[0]["count"] == states[1]["count"] > 0


def text(parts: list[Component]) -> str:
    """Return what is read on the page."""

    def words(part: object) -> str:
        if isinstance(part, str):
            return part
        inner = getattr(part, "children", None)
        return "".join(map(words, inner if isinstance(inner, list) else [inner] if inner else []))

    return " | ".join(map(words, parts))


@pytest.mark.parametrize(
    ("progress", "said", "part"),
    [
        (Progress("a.h5ad", "X"), "a.h5ad X: an index of the genes is being made (0%)", 0),
        (
            Progress("a.h5ad", "X", IndexState.RUNS, 0.426),
            "is being made (43%); they are searched for until then.",
            0.426,
        ),
        (Progress("a.h5ad", "X", IndexState.WAITS), "until another server has made an index.", 0),
        (Progress("a.h5ad", "X", IndexState.READY, 1, size=12_345_678), "read by an index (12 MB", None),
        (Progress("a.h5ad", "X", IndexState.FAILED, 0.3, "The disk is full."), "longer. The disk is full.", None),
    ],
)
def test_the_data_page_says_how_genes_are_found(
    app: Dash, monkeypatch: pytest.MonkeyPatch, progress: Progress, said: str, part: float | None
) -> None:
    services = app.server.extensions["iscan"]
    with asking(app):
        assert index_notes(services) == []
        monkeypatch.setattr(services.gene_indexing, "_progress", {"one": progress})
        monkeypatch.setattr(services.hashes, "get", lambda _: "digest")
        assert said in text(index_notes(services))
        assert is_settled(services) == (part is None)
        page = visitor(app)
    assert page.get("/api/v1/genes/searches").get_json()["index"] == part
