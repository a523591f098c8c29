"""The routes of the tab Result, without a browser."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
from dash import Dash
from flask.testing import FlaskClient

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.singler.explain import why
from iscan_dash.core.singler.outcome import group_scores
from iscan_dash.core.singler.prune import prune
from iscan_dash.core.study.columns import number_text
from iscan_dash.services.explain import Decision
from iscan_dash.services.opened_results import OpenedResults
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.prediction_result import REASONS
from iscan_dash.services.prediction_table import COLUMNS
from iscan_dash.services.repruning import Cutoffs, Repruning
from iscan_dash.services.results import PredictionResult, save_result
from iscan_dash.services.workspace import Workspace
from iscan_dash.web.components import plot_panel
from iscan_dash.web.plots import ColourBy
from tests.references import LABELS, gene_names, some_profiles, write_folder
from tests.studies import write_study
from tests.web.conftest import MakeApp, services_of, visitor

N_CELLS = 120
NAMES = list(dict.fromkeys(LABELS))
TRUTH = [NAMES[place % 4] for place in range(N_CELLS)]
SAMPLES = ["one" if place < 100 else "two" for place in range(N_CELLS)]
# The last cells of both samples have the same ids.
CELLS = [f"c{place}" if place < 110 else f"c{place - 20}" for place in range(N_CELLS)]


@pytest.fixture(scope="module")
def app(make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> Dash:
    folder = tmp_path_factory.mktemp("cells")
    write_folder(folder / "references" / "gut")
    values = some_profiles([*NAMES, *TRUTH], seed=1)[4:]
    values[::10] = values[::10].mean(axis=1, keepdims=True)
    x = np.random.default_rng(1).poisson(values / 3).astype(np.float32)
    x[7] = 0
    obs = {
        "leiden": pd.Categorical([None if place == 3 else str(place % 4) for place in range(N_CELLS)]),
        "sample": pd.Categorical(SAMPLES),
    }
    path = write_study(folder / "cells.h5ad", obs, cells=CELLS, genes=gene_names(600), x=x)
    return make_app(path, single_user=True, references=folder / "references")


@pytest.fixture
def workspace(app: Dash) -> Workspace:
    own: Workspace = services_of(app).workspace
    return own


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


def make_result(app: Dash, workspace: Workspace, folder: Path, **parameters: Any) -> str:
    """Predict the cells, and return the id of the annotation."""
    predictor = Predictor(app.server.extensions["iscan"].registry)
    prediction = predictor.predict(workspace.study, Parameters("gut", **parameters))
    path = folder / "made.npz"
    save_result(path, prediction)
    result = PredictionResult.load(path)
    made = workspace.add_result(
        uuid4().hex, path, "SingleR", result.combined(), "prediction", result.recipe, "Predicted"
    )
    return made.id


@pytest.fixture
def own(app: Dash, workspace: Workspace, tmp_path: Path) -> Iterator[str]:
    """The id of a prediction of the cells."""
    made = make_result(app, workspace, tmp_path)
    yield made
    if any(state.id == made for state in workspace.annotations()):
        workspace.delete(made, workspace.annotation(made).version)


def result_of(workspace: Workspace, own: str) -> PredictionResult:
    path = workspace.result_file(own)
    assert path is not None
    return PredictionResult.load(path)


def get(client: FlaskClient, path: str, status: int = 200, **query: str) -> Any:
    response = client.get(f"/api/v1/results{path}", query_string=query)
    assert response.status_code == status, response.data
    return response.get_json()


def post(client: FlaskClient, path: str, status: int = 200, **body: Any) -> Any:
    response = client.post(f"/api/v1/results/{path}", json=body)
    assert response.status_code == status, response.data
    return response.get_json()


def reasons(client: FlaskClient, own: str, cells: dict[str, Any], **cutoffs: Any) -> Any:
    return post(client, f"{own}/why", cells=cells, **cutoffs)


class TestSummary:
    def test_what_is_known(self, client: FlaskClient, workspace: Workspace, own: str) -> None:
        (listed,) = get(client, "")["results"]
        assert (listed["id"], listed["name"], listed["own"], listed["version"]) == (own, "SingleR", True, 1)
        told = get(client, f"/{own}")
        facts = dict(told["facts"])
        assert facts["Reference"] == "Our gut version 1"
        assert facts["Granularity"] == "Main (coarse)"
        assert facts["Labelled"] == "each cell"
        assert facts["Outlier cutoff"] == "3 MADs"
        assert facts["Matrix"] == "X (counts)"
        assert "Samples" not in facts
        assert told["cutoffs"] == {"nmads": 3.0, "per_label": {}}
        assert told["reasons"] == [{"text": "no marker genes detected", "count": 1}]
        assert told["edited"] == 0
        assert [label["label"] for label in told["labels"]] == NAMES
        header = workspace.annotation(own).live
        colours = {label.text: label.colour for label in header.labels}
        assert all(label["colour"] == colours[label["name"]] for label in told["labels"])
        result = result_of(workspace, own)
        for code, label in enumerate(NAMES):
            assert sum(told["margins"][label]) == int(((result.label == code) & result.has_markers).sum())
        assert told["by"] == "cluster:leiden"
        assert {"value": f"annotation:{own}", "name": "SingleR", "group": "Annotations"} in told["columns"]

    def test_edits_are_counted_and_labels_shown_as_they_are_called_now(
        self, client: FlaskClient, workspace: Workspace, own: str
    ) -> None:
        state = workspace.annotation(own)
        (t_cell,) = (label for label in state.live.labels if label.text == "T cell")
        state = workspace.rename_label(own, t_cell.id, "T lymphocyte", state.version)
        workspace.assign(own, np.arange(N_CELLS) < 5, "other", state.version)
        told = get(client, f"/{own}")
        assert told["edited"] == 5
        shown = {label["label"]: label["name"] for label in told["labels"]}
        assert shown["T cell"] == "T lymphocyte"
        assert shown["B cell"] == "B cell"

    def test_what_has_no_result(self, client: FlaskClient, workspace: Workspace, own: str) -> None:
        copy = workspace.duplicate(own)
        assert "was not made by a prediction" in get(client, f"/{copy.id}")["problem"]
        assert [listed["id"] for listed in get(client, "")["results"]] == [own]
        workspace.delete(copy.id, copy.version)
        assert get(client, "/none")["problem"]
        path = workspace.result_file(own)
        assert path is not None
        path.rename(path.with_suffix(".away"))
        assert "not beside the drafts any more" in get(client, f"/{own}")["problem"]
        path.with_suffix(".away").rename(path)
        assert "problem" not in get(client, f"/{own}")


class TestOtherCutoffs:
    @pytest.mark.parametrize("nmads", [0, 0.5, 1, 2, 2.5, 3, 5, 50, 100, None])
    def test_what_they_leave(self, client: FlaskClient, workspace: Workspace, own: str, nmads: float | None) -> None:
        result = result_of(workspace, own)
        wanted = result.pruned_with(nmads)
        told = post(client, f"{own}/prune", nmads=nmads)
        counts, missing = wanted.counts()
        assert {row["label"]: row["n_kept"] for row in told["counts"] if row["n_kept"]} == counts
        assert told["pruned"] == missing.get("pruned", 0)
        assert told["without"] == 1
        assert told["kept"] + told["pruned"] + told["without"] == N_CELLS
        before = workspace.annotation(own).column
        labels = [*NAMES, "Unassigned"]
        after = [labels[code] for code in wanted.assigned()]
        assert told["changed"] == sum(
            before.labels[code] != text for code, text in zip(before.codes, after, strict=True)
        )
        # What the plot shows.
        legend = {row["code"]: row["label"] for row in told["plot"]["legend"]}
        codes = client.get(told["plot"]["codes"]).data
        assert [legend[code] for code in codes] == after
        assert sum(row["count"] for row in told["plot"]["legend"]) == N_CELLS

    def test_labels_have_cutoffs_of_their_own(self, client: FlaskClient, workspace: Workspace, own: str) -> None:
        told = post(client, f"{own}/prune", nmads=3, per_label={"T cell": 0, "B cell": 100})
        opened = Repruning(result_of(workspace, own).outcome)
        wanted = opened.preview(Cutoffs(3.0, {"T cell": 0.0, "B cell": 100.0}))
        assert [(row["n_kept"], row["n_pruned"]) for row in told["counts"]] == [
            (row.n_kept, row.n_pruned) for row in wanted.counts
        ]
        thresholds = {row["label"]: row["threshold"] for row in told["counts"]}
        assert thresholds["B cell"] is None
        assert thresholds["T cell"] is not None
        assert told["text"] == "3 MADs (B cell: no pruning, T cell: 0 MADs)"

    def test_accepting_is_one_event(self, client: FlaskClient, workspace: Workspace, own: str) -> None:
        before = workspace.annotation(own)
        told = post(client, f"{own}/accept", nmads=0.5, version=1)
        assert told["is_done"]
        state = workspace.annotation(own)
        assert (state.version, state.live.recipe["nmads"]) == (2, 0.5)
        event = workspace.history(own)[0]
        assert event.description.startswith("Outlier cutoff 0.5 MADs: ")
        assert told["message"]["text"] == f"{event.description}."
        wanted = [*NAMES, "Unassigned"]
        after = [wanted[code] for code in result_of(workspace, own).pruned_with(0.5).assigned()]
        assert [state.column.labels[code] for code in state.column.codes] == after
        assert get(client, f"/{own}")["cutoffs"] == {"nmads": 0.5, "per_label": {}}
        assert dict(get(client, f"/{own}")["facts"])["Outlier cutoff"] == "0.5 MADs; the run had 3 MADs"
        # A page that did not hear of it.
        told = post(client, f"{own}/accept", nmads=1, version=1)
        assert not told["is_done"]
        assert told["message"]["kind"] == "danger"
        # To and fro: a label that was pruned whole, or came back, is no edit.
        post(client, f"{own}/accept", nmads=100, version=2)
        post(client, f"{own}/accept", nmads=3, version=3)
        state = workspace.annotation(own)
        assert get(client, f"/{own}")["edited"] == 0
        np.testing.assert_array_equal(state.codes, before.codes)

    def test_what_cannot_be(self, client: FlaskClient, own: str) -> None:
        for nmads in (-1, 1001, "x"):
            post(client, f"{own}/prune", 400, nmads=nmads)
        assert "no label" in post(client, f"{own}/prune", 400, nmads=3, per_label={"none": 3})["error"]
        get(client, f"/{own}/codes", 400, cutoffs="x")
        get(client, f"/{own}/codes", 400, cutoffs=json.dumps({"nmads": -1, "nmads_of_labels": {}}))
        get(client, "/none/codes", 400, cutoffs="{}")


def test_a_label_that_comes_with_a_cutoff_goes_with_another(
    app: Dash, client: FlaskClient, workspace: Workspace, tmp_path: Path
) -> None:
    # At first no cell has a label.
    own = make_result(app, workspace, tmp_path, nmads=0.0, min_diff_med=0.6)
    first = workspace.annotation(own)
    assert len(first.live.labels) < 5
    opened = result_of(workspace, own)
    for version, nmads in enumerate((100.0, 0.0, 2.0), start=1):
        post(client, f"{own}/accept", nmads=nmads, version=version)
        state = workspace.annotation(own)
        wanted = [[*NAMES, "Unassigned"][code] for code in opened.pruned_with(nmads).assigned()]
        assert [state.column.labels[code] for code in state.column.codes] == wanted
        assert "kept" not in workspace.history(own)[0].description
    workspace.delete(own, state.version)


class TestWhy:
    def test_as_the_engine_has_it(self, client: FlaskClient, workspace: Workspace, own: str) -> None:
        result = result_of(workspace, own)
        scores = result.outcome.scores.astype(np.float64)
        pruned = prune(scores, result.label, result.delta, nmads=1.0)
        for cells, mask in (
            ({"is": "row", "row": 10}, np.arange(N_CELLS) == 10),
            ({"is": "ids", "text": "c12, c13"}, np.isin(np.arange(N_CELLS), [12, 13])),
            ({"is": "group", "by": "cluster:leiden", "value": "2"}, np.arange(N_CELLS) % 4 == 2),
            ({"is": "group", "by": "cluster:leiden", "value": None}, np.arange(N_CELLS) == 3),
        ):
            told = reasons(client, own, cells, nmads=1.0)
            wanted = why(result.outcome, Repruning(result.outcome).pruned(Cutoffs(1.0)), mask)
            assert wanted is not None
            found = told["why"]
            assert told["n"] == mask.sum()
            assert [(one["label"], one["score"], one["n_cells"], one["n_pruned"]) for one in found["scores"]] == [
                (one.label, one.score, one.n_cells, one.n_pruned) for one in wanted.scores
            ]
            assert found["label"] == wanted.label.label
            assert wanted.runner_up is not None
            assert found["runner_up"] == wanted.runner_up.label
            assert (found["margin"], found["threshold"], found["delta"]) == (
                wanted.margin,
                wanted.threshold,
                wanted.delta,
            )
            assert found["n_cells"] + found["n_without"] == mask.sum()
        code = NAMES.index(found["label"])
        assert found["threshold"] == pytest.approx(pruned.thresholds[code], abs=1e-3)

    def test_what_cells_are_called(self, client: FlaskClient, own: str) -> None:
        told = reasons(client, own, {"is": "row", "row": 11})
        assert (told["title"], told["cell"]) == ("cell c11 of one", "one\tc11")
        assert reasons(client, own, {"is": "ids", "text": told["cell"]})["title"] == "cell c11 of one"
        told = reasons(client, own, {"is": "ids", "text": "c11, none, c95"})
        assert (told["n"], told["note"]) == (1, "2 IDs of 3 left out: no cell, or several, have them.")
        assert reasons(client, own, {"is": "group", "by": "metadata:sample", "value": "two"})["title"].startswith(
            "sample two: 20 cells"
        )

    def test_cells_without_scores(self, client: FlaskClient, own: str) -> None:
        told = reasons(client, own, {"is": "row", "row": 7})
        assert (told["n"], told["why"]) == (1, None)

    @pytest.mark.parametrize(
        ("cells", "sentence"),
        [
            ({"is": "ids", "text": " "}, "Enter the ID of a cell"),
            ({"is": "ids", "text": "nobody"}, 'No cell has the ID "nobody"'),
            ({"is": "ids", "text": "c95"}, 'Several samples have a cell "c95"'),
            ({"is": "row", "row": 1000}, "There is no cell 1,001"),
            ({"is": "selection"}, "No cells are selected"),
            ({"is": "group", "by": "cluster:leiden", "value": "9"}, 'leiden has no value "9"'),
            ({"is": "group", "by": "cluster:none", "value": "9"}, "none"),
        ],
    )
    def test_what_cannot_be_asked(self, client: FlaskClient, own: str, cells: dict[str, Any], sentence: str) -> None:
        assert sentence in reasons(client, own, cells)["problem"]

    def test_of_the_selection(self, client: FlaskClient, own: str) -> None:
        condition = {"is": "labels", "kind": "cluster", "key": "leiden", "values": ["1"], "missing": False}
        made = client.post("/api/v1/selection", json={"do": "filter", "condition": condition})
        assert made.status_code == 200, made.data
        told = reasons(client, own, {"is": "selection"})
        assert told["title"] == "30 selected cells"
        client.post("/api/v1/selection", json={"do": "clear", "what": "all"})

    def test_genes_that_decided(self, app: Dash, client: FlaskClient, workspace: Workspace, own: str) -> None:
        asked = {"cells": {"is": "group", "by": "cluster:leiden", "value": "1"}, "page": "p"}
        asked |= {"label": "Monocyte", "other": "T cell"}
        for _ in range(300):
            told = post(client, f"{own}/genes", **asked)
            if "waiting" not in told:
                break
            time.sleep(0.1)
        explainer = app.server.extensions["iscan"].explainer
        outcome = result_of(workspace, own).outcome
        mask = (np.arange(N_CELLS) % 4 == 1) & (outcome.cell_rows() >= 0)
        recipe = workspace.annotation(own).live.recipe
        wanted = explainer.decision(workspace.study, recipe, mask, "Monocyte", "T cell")
        assert isinstance(wanted, Decision)
        assert told["lead"] == wanted.lead
        assert [gene["gene"] for gene in told["genes"]] == [gene.gene for gene in wanted.genes]
        assert told["genes"][0] == vars(wanted.genes[0])
        assert "Choose two labels" in post(client, f"{own}/genes", **asked | {"other": "Monocyte"})["problem"]
        assert 'no label "none"' in post(client, f"{own}/genes", **asked | {"other": "none"})["problem"]


def test_scores_of_groups(client: FlaskClient, workspace: Workspace, own: str) -> None:
    told = get(client, f"/{own}/scores", by="cluster:leiden")
    assert [group["value"] for group in told["groups"]] == ["0", "1", "2", "3", None]
    assert [group["size"] for group in told["groups"]] == [30, 30, 30, 29, 1]
    assert [group["scored"] for group in told["groups"]] == [30, 30, 30, 28, 1]
    assert [label["label"] for label in told["labels"]] == NAMES
    groups = np.where(np.arange(N_CELLS) == 3, 4, np.arange(N_CELLS) % 4)
    wanted = group_scores(result_of(workspace, own).outcome, groups, 5).means
    np.testing.assert_allclose([group["means"] for group in told["groups"]], wanted, atol=5e-5)
    assert told["range"] == pytest.approx([wanted.min(), wanted.max()])
    assert (told["n_groups"], told["n_labels"], len(told["scale"])) == (5, 4, 64)
    assert "problem" in get(client, f"/{own}/scores", by="cluster:none")
    assert get(client, f"/{own}/scores", by=f"annotation:{own}")["name"] == "SingleR"


def test_the_table_has_what_was_found_of_each_cell(client: FlaskClient, workspace: Workspace, own: str) -> None:
    post(client, f"{own}/accept", nmads=0.5, version=1)
    result = result_of(workspace, own).pruned_with(0.5)
    response = client.get(f"/api/v1/results/{own}/table.csv")
    assert (response.status_code, response.mimetype) == (200, "text/csv")
    found = pd.read_csv(io.BytesIO(response.data), comment="#", keep_default_na=False)
    assert [*found] == ["index", "sample", "SingleR", *COLUMNS]
    assert [*found["index"]] == CELLS
    texts = np.array([*NAMES, "Unassigned"])
    assert [*found["SingleR"]] == [*texts[result.assigned()]]
    assert [*found["label before pruning"]] == [*texts[result.before_pruning()]]
    assert [*found["reason"]] == [REASONS[code] for code in result.reasons()]
    np.testing.assert_allclose(pd.to_numeric(found["delta"]), result.deltas(), rtol=1e-5)
    assert client.get("/api/v1/results/none/table.csv").status_code == 400


def test_groups_that_were_labelled(app: Dash, client: FlaskClient, workspace: Workspace, tmp_path: Path) -> None:
    own = make_result(app, workspace, tmp_path, by_cluster="leiden")
    told = get(client, f"/{own}")
    assert (told["by_cluster"], told["by"]) == ("leiden", "cluster:leiden")
    assert dict(told["facts"])["Labelled"] == "the groups of leiden"
    assert told["reasons"] == [{"text": "no group", "count": 1}]
    assert sum(map(sum, told["margins"].values())) == 4
    pruned = post(client, f"{own}/prune", nmads=3)
    assert pruned["kept"] + pruned["pruned"] == N_CELLS - 1
    assert reasons(client, own, {"is": "row", "row": 5})["why"]["n_cells"] == 1
    workspace.delete(own, 1)


def test_cells_are_coloured_by_delta(app: Dash, client: FlaskClient, workspace: Workspace, tmp_path: Path) -> None:
    own = make_result(app, workspace, tmp_path, by_cluster="leiden")
    outcome = OpenedResults(workspace).get(own).outcome
    by = ColourBy.parse(f"delta:{own}")
    plots = services_of(app).plots

    wanted = np.where(outcome.rows >= 0, outcome.margin[outcome.rows], np.nan)
    np.testing.assert_array_equal(plots.numbers(by), wanted)
    # A cell of no cluster has no delta; the others are on one scale, the clusters' ends at its ends.
    codes = np.frombuffer(client.get(f"/api/v1/codes?by={by}").data, np.uint8)
    assert codes[3] == plots.colours(by).missing
    assert len(set(codes.tolist())) == len(set(np.unique(outcome.margin).tolist())) + 1
    assert client.get(f"/api/v1/cells/5?by={by}").json["fields"] == [
        [f"delta of {workspace.annotation(own).live.name}", number_text(wanted[5])]
    ]
    with app.server.test_request_context("/"):
        app.server.preprocess_request()
        offered = [option["value"] for option in plot_panel.colour_options(app.server.extensions["iscan"])]
    assert str(by) in offered

    made = workspace.create_from_existing("by hand", [], CombineRecipe("none"))
    assert "was not made by a prediction" in client.get(f"/api/v1/codes?by=delta:{made.id}").json["error"]
    for state in (workspace.annotation(own), made):
        workspace.delete(state.id, state.version)
