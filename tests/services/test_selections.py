"""The selection of one user: what actions make of it, and what it follows."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.selection.mask_codec import encode
from iscan_dash.core.selection.polygon import inside
from iscan_dash.core.study import open_study
from iscan_dash.errors import IscanError, NameRefused, SelectionRefused, UnknownColumn
from iscan_dash.services.filter_data import filter_columns, filter_genes, filter_histogram, filter_values
from iscan_dash.services.selections import STEPS_BACK, Selections
from iscan_dash.services.workspace import Source, Workspace
from tests.studies import log1p_cp10k, some_counts, write_study

N = 200
RANDOM = np.random.default_rng(5)
UMAP = RANDOM.uniform(0, 10, (N, 2)).astype(np.float32)
UMAP[::9] = np.nan
PCA = RANDOM.uniform(-1, 1, (N, 2)).astype(np.float32)
LEIDEN = [str(number % 4) for number in range(N)]
FATE = [None if number % 10 == 0 else "TB"[number % 2] for number in range(N)]
DEPTH = RANDOM.uniform(0, 100, N).astype(np.float32)
DEPTH[5] = np.nan
COUNTS = some_counts(N, 3)
SAMPLE = ["s1" if number < N // 2 else "s2" for number in range(N)]
CELL_IDS = [f"cell{number % 150}" for number in range(N)]

Opener = Callable[..., Workspace]


@pytest.fixture(scope="module")
def study_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    obs = {
        "leiden": pd.Categorical(LEIDEN),
        "fate": pd.Categorical(FATE),
        "depth": DEPTH,
        "sample": pd.Categorical(SAMPLE),
    }
    return write_study(
        tmp_path_factory.mktemp("study") / "mine.h5ad",
        obs,
        cells=CELL_IDS,
        genes=["CD3E", "LYZ", "leiden"],
        x=log1p_cp10k(COUNTS),
        layers={"counts": COUNTS},
        obsm={"X_umap": UMAP, "X_pca": PCA},
    )


@pytest.fixture
def open_workspace(tmp_path: Path, study_path: Path) -> Iterator[Opener]:
    opened: list[Workspace] = []

    def open_(**options: Any) -> Workspace:
        options = {"user": "ada", "folder": tmp_path / "drafts"} | options
        options["folder"].mkdir(exist_ok=True)
        opened.append(Workspace(open_study([study_path]), **options))
        return opened[-1]

    yield open_
    for workspace in opened:
        workspace.close()
        workspace.study.close()


@pytest.fixture
def workspace(open_workspace: Opener) -> Workspace:
    return open_workspace()


@pytest.fixture
def selections(workspace: Workspace) -> Selections:
    return Selections(workspace)


def box(left: float, right: float, bottom: float = -1, top: float = 11) -> list[list[float]]:
    return [[left, bottom], [right, bottom], [right, top], [left, top]]


def draw(points: Any, plot: int = 1, axes: str = "X_umap", **more: Any) -> dict[str, Any]:
    return {"do": "draw", "plot": plot, "axes": axes, "points": points, **more}


def labels(key: str, *values: str, kind: str = "metadata", **more: Any) -> dict[str, Any]:
    return {"is": "labels", "kind": kind, "key": key, "values": list(values), **more}


def rows(selections: Selections) -> list[int]:
    mask = selections.mask()
    assert mask is not None
    assert selections.count == mask.sum() == selections.state()["count"]
    return np.flatnonzero(mask).tolist()


def where(mask: Any) -> list[int]:
    return np.flatnonzero(mask).tolist()


def is_leiden(*values: str) -> np.ndarray:
    return np.isin(LEIDEN, values)


def in_box(left: float, right: float) -> np.ndarray:
    return (UMAP[:, 0] >= left) & (UMAP[:, 0] <= right)


# -- nothing ---------------------------------------------------------------------------------------------------------


def test_nothing_chosen_is_neither_all_nor_none(selections: Selections) -> None:
    state = selections.state()
    assert (state["active"], state["count"], state["text"], state["problem"]) == (False, 0, "", None)
    assert selections.mask() is None and selections.packed() is None
    assert state["n_cells"] == N and not state["can_go_back"]
    assert json.loads(json.dumps(state)) == state


def test_looking_leaves_no_files_behind(workspace: Workspace, selections: Selections) -> None:
    selections.apply(draw(box(2, 5)))
    selections.apply({"do": "filter", "condition": labels("leiden", "1", kind="cluster")})
    assert not list(workspace.place.draft.parent.iterdir())


# -- conditions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (labels("leiden", "1", "3", kind="cluster"), is_leiden("1", "3")),
        (labels("leiden", "1", kind="metadata", **{"not": True}), ~is_leiden("1")),
        (labels("leiden", "17"), np.zeros(N, bool)),
        (labels("fate", "T", missing=True), [own in {None, "T"} for own in FATE]),
        (labels("fate", missing=True), [own is None for own in FATE]),
        (labels("", "s2", kind="sample"), [own == "s2" for own in SAMPLE]),
        (labels("depth", missing=True), np.isnan(DEPTH)),
        ({"is": "range", "kind": "metadata", "key": "depth", "low": 20, "high": 70}, (DEPTH >= 20) & (DEPTH <= 70)),
        ({"is": "range", "kind": "metadata", "key": "depth", "low": 20, "missing": True}, ~(DEPTH < 20)),
        ({"is": "range", "kind": "metadata", "key": "depth"}, ~np.isnan(DEPTH)),
        ({"is": "range", "kind": "metadata", "key": "depth", "low": 20, "not": True}, ~(DEPTH >= 20)),
        ({"is": "range", "kind": "gene", "key": "CD3E", "low": 1}, log1p_cp10k(COUNTS)[:, 0] >= 1),
        ({"is": "cells", "text": "s1\tcell1\ncell120, nobody\ncell2"}, [number in {1, 120} for number in range(N)]),
    ],
)  # fmt: skip
def test_conditions(selections: Selections, condition: dict[str, Any], expected: Any) -> None:
    state = selections.apply({"do": "filter", "condition": condition})
    assert rows(selections) == where(expected)
    assert state["filters"][0]["count"] == np.sum(expected)
    # What the page was told it can send back.
    again = selections.apply({"do": "filter", "id": "f1", "condition": state["filters"][0]["condition"]})
    assert again == state


@pytest.mark.parametrize(
    ("condition", "code", "said"),
    [
        (labels("leiden"), "E42", "Finish this condition."),
        ({"is": "unfinished"}, "E42", "Finish this condition."),
        ({"is": "plot", "plot": 2}, "E42", "Finish this condition."),
        ({"is": "plot", "plot": 2, "removed": True}, "E43", "This condition used a plot that was removed."),
        ({"is": "and", "of": []}, "E41", "This group is empty."),
        (labels("gone", "x"), "E44", 'no metadata column "gone"'),
        (labels("gone", "x", kind="annotation"), "E44", "This annotation was deleted"),
        ({"is": "saved", "id": "gone"}, "E44", "a saved selection that was deleted"),
        ({"is": "range", "kind": "metadata", "key": "fate"}, "E44", "holds labels and no numbers"),
        ({"is": "range", "kind": "gene", "key": "GONE"}, "E44", 'no gene "GONE"'),
    ],
)
def test_what_cannot_be_evaluated_is_told_and_selects_nothing(
    selections: Selections, condition: dict[str, Any], code: str, said: str
) -> None:
    selections.apply(draw(box(0, 5)))
    state = selections.apply({"do": "filter", "condition": condition})
    assert state["problem"]["code"] == code and said in state["problem"]["text"]
    assert state["problem"]["path"] is None
    assert said in state["filters"][0]["problem"]
    assert (state["active"], state["count"], state["filters"][0]["count"]) == (True, None, None)
    assert selections.mask() is None
    assert selections.apply({"do": "remove_filter", "id": state["filters"][0]["id"]})["count"] is not None


def test_pasted_cells_are_reported(selections: Selections) -> None:
    text = "cell1\ns2\tcell1\ncell149\nnobody\ncell120"
    told = selections.apply({"do": "filter", "condition": {"is": "cells", "text": text}})["filters"][0]
    # Of 200 cells the last 50 share the ids of the first 50, in the other sample.
    assert told["report"] == {"matched": 3, "unmatched": 1, "ambiguous": 1, "first_unmatched": "cell1"}
    assert rows(selections) == [120, 149, 151]
    assert told["title"] == "Cell IDs"
    with pytest.raises(SelectionRefused, match="no cell ID"):
        selections.apply({"do": "filter", "condition": {"is": "cells", "text": ",, ;\n"}})


def test_long_lists_of_cells_stay_on_the_server(selections: Selections) -> None:
    text = "\n".join([*(f"{SAMPLE[number]}\t{own}" for number, own in enumerate(CELL_IDS)), "x", "y" * 4000])
    state = selections.apply({"do": "filter", "condition": {"is": "cells", "text": text}})
    condition = state["filters"][0]["condition"]
    assert len(condition["text"]) == 4000 and condition["n"] == N + 2
    assert selections.count == N
    assert state["text"] == f"cell in list #{condition['ref']}"
    # It comes back by its digest: as it is, negated, in a tree, or in words.
    for action in (
        {"do": "filter", "id": "f1", "condition": {**condition, "not": True}},
        {"do": "text", "text": f"cell not in list #{condition['ref']}"},
        {"do": "custom", "tree": {"is": "and", "of": [{"is": "cells", "ref": condition["ref"]}]}},
    ):
        selections.apply(action)
        assert selections.count == 0
    # Another text is another list, whatever list it began as.
    selections.apply({"do": "clear"})
    assert selections.apply({"do": "filter", "condition": {**condition, "text": "cell120"}})["count"] == 1
    # A list that the server does not have any more is not cut down to the beginning that the page has of it.
    for unknown in ({"is": "cells", "ref": "0123"}, {"is": "cells", "ref": "0123", "text": "cell120\ncell121"}):
        with pytest.raises(SelectionRefused, match="Paste the cells again"):
            selections.apply({"do": "filter", "condition": unknown})


# -- areas and plots -------------------------------------------------------------------------------------------------


def test_areas_of_plots_are_united_or_intersected(selections: Selections) -> None:
    one, two = in_box(0, 6), (PCA[:, 0] >= 0) & (PCA[:, 0] <= 1)
    selections.apply(draw(box(0, 6)))
    assert rows(selections) == where(one)
    state = selections.apply(draw(box(0, 1), 2, "X_pca"))
    assert rows(selections) == where(one | two) and state["text"] == "Plot 1 OR Plot 2"
    assert state["plots"] == {
        "1": {"count": one.sum(), "inverted": False},
        "2": {"count": two.sum(), "inverted": False},
    }
    assert selections.apply({"do": "mode", "mode": "intersection"})["text"] == "Plot 1 AND Plot 2"
    assert rows(selections) == where(one & two)
    tree = {"is": "and", "of": [{"is": "plot", "plot": 1}, {"is": "plot", "plot": 2, "not": True}]}
    assert selections.apply({"do": "custom", "tree": tree})["text"] == "Plot 1 AND NOT Plot 2"
    assert rows(selections) == where(one & ~two)
    selections.apply({"do": "filter", "condition": labels("leiden", "2", kind="cluster")})
    assert rows(selections) == where(one & ~two & is_leiden("2"))
    selections.apply({"do": "mode", "mode": "union"})
    assert rows(selections) == where((one | two) & is_leiden("2"))


def test_areas_on_two_genes_and_on_qc_axes(selections: Selections) -> None:
    logged = log1p_cp10k(COUNTS)
    state = selections.apply(draw(box(1, 20, 1, 20), axes="gene:CD3E|gene:LYZ"))
    assert rows(selections) == where((logged[:, 0] >= 1) & (logged[:, 1] >= 1))
    assert state["areas"][0]["axes_title"] == "CD3E x LYZ"
    state = selections.apply(draw(box(0, 1000, 2.5, 9), axes="qc"))
    assert rows(selections) == where((COUNTS > 0).sum(axis=1) >= 3)
    with pytest.raises(UnknownColumn, match="no embedding"):
        selections.apply(draw(box(0, 1), axes="X_tsne"))
    with pytest.raises(UnknownColumn, match="no gene"):
        selections.apply(draw(box(0, 1), axes="gene:CD3E|gene:GONE"))
    assert selections.state()["areas"] == state["areas"]


def test_areas_can_be_changed_one_by_one(selections: Selections) -> None:
    selections.apply(draw(box(0, 2)))
    first, second = selections.apply(draw(box(4, 6), mode="add"))["areas"]
    assert [(own["name"], own["count"]) for own in (first, second)] == [
        ("area 1", in_box(0, 2).sum()),
        ("area 2", in_box(4, 6).sum()),
    ]
    state = selections.apply({"do": "rename_area", "id": first["id"], "name": "  the tip "})
    assert state["areas"][0]["name"] == "the tip"
    selections.apply(draw(box(5, 6), mode="subtract"))
    assert rows(selections) == where(in_box(0, 2) | (in_box(4, 6) & ~in_box(5, 6)))
    selections.apply({"do": "invert_area", "id": second["id"]})
    assert rows(selections) == where(in_box(0, 2) | ~(in_box(4, 6) & ~in_box(5, 6)))
    selections.apply({"do": "delete_area", "id": second["id"]})
    selections.apply({"do": "invert_plot", "plot": 1})
    assert rows(selections) == where(~in_box(0, 2))
    state = selections.apply(draw(box(8, 9), area=first["id"]))
    assert [(own["id"], own["name"]) for own in state["areas"]] == [(first["id"], "the tip")]
    assert rows(selections) == where(~in_box(8, 9))
    assert not selections.apply({"do": "clear", "what": "areas"})["active"]


def test_an_area_without_cells_stays_and_says_so(selections: Selections) -> None:
    state = selections.apply(draw([[0, 0], [1, 1]]))
    assert (state["active"], state["count"], state["areas"][0]["count"]) == (True, 0, 0)
    assert rows(selections) == []


def test_a_plot_that_is_removed_breaks_its_conditions(selections: Selections) -> None:
    selections.apply(draw(box(0, 5)))
    selections.apply(draw(box(0, 1), 2, "X_pca"))
    tree = {"is": "or", "of": [{"is": "plot", "plot": 1}, {"is": "and", "of": [{"is": "plot", "plot": 2}]}]}
    selections.apply({"do": "custom", "tree": tree})
    state = selections.apply({"do": "remove_plots", "plots": [2]})
    problem = {"code": "E43", "text": "This condition used a plot that was removed.", "path": [1, 0]}
    assert state["problem"] == problem and state["count"] is None and list(state["plots"]) == ["1"]
    assert state["text"] == "Plot 1 OR Plot 2 (removed)"
    # Drawing on a plot of that number mends nothing: it may show something else.
    assert selections.apply(draw(box(0, 1), 2, "X_pca"))["problem"] == problem


# -- words -----------------------------------------------------------------------------------------------------------


def test_words_select(selections: Selections, workspace: Workspace) -> None:
    made = workspace.create_from_existing("My labels", [Source("cluster", "leiden")], CombineRecipe("none"))
    selections.apply(draw(box(0, 6)))
    text = '"My labels" in {1, 2} AND Sample in {s1} AND (Plot 1 OR depth >= 50)'
    state = selections.apply({"do": "text", "text": text})
    sample = np.array(SAMPLE) == "s1"
    assert rows(selections) == where(is_leiden("1", "2") & sample & (in_box(0, 6) | (DEPTH >= 50)))
    assert state["text"] == text and state["mode"] == "custom"
    assert state["filters"][0]["condition"]["key"] == made.id
    # A gene of a column's name needs its kind; others may stand alone.
    assert selections.apply({"do": "text", "text": "gene:leiden >= 1 and LYZ >= 1"})["text"] == (
        "gene:leiden >= 1 AND gene:LYZ >= 1"
    )
    with pytest.raises(SelectionRefused, match="Character 1:") as refused:
        selections.apply({"do": "text", "text": "nothing in {1}"})
    assert refused.value.position == 0
    assert not selections.apply({"do": "text", "text": "  "})["active"]
    assert selections.apply({"do": "back"})["text"] == "gene:leiden >= 1 AND gene:LYZ >= 1"


# -- versions --------------------------------------------------------------------------------------------------------


def test_samples_of_several_files_are_called_sample(tmp_path: Path) -> None:
    paths = [write_study(tmp_path / f"{name}.h5ad", {}, cells=[f"{name}1", f"{name}2"]) for name in ("one", "two")]
    workspace = Workspace(open_study(paths), user="ada", folder=tmp_path)
    selections = Selections(workspace)
    condition = labels("", "two", kind="sample")
    assert selections.apply({"do": "filter", "condition": condition})["text"] == "Sample in {two}"
    assert rows(selections) == [2, 3]
    state = selections.apply({"do": "text", "text": "Sample in {one}"})
    assert state["filters"][0]["condition"]["kind"] == "sample" and rows(selections) == [0, 1]
    workspace.close()
    workspace.study.close()


def test_an_annotation_is_followed(selections: Selections, workspace: Workspace) -> None:
    made = workspace.create_from_existing("mine", [Source("cluster", "leiden")], CombineRecipe("none"))
    state = selections.apply({"do": "filter", "condition": labels(made.id, "1", kind="annotation")})
    assert rows(selections) == where(is_leiden("1"))
    moved = np.zeros(N, bool)
    moved[[0, 2, 4]] = True
    workspace.assign(made.id, moved, "1", made.version)
    later = selections.state()
    assert later["version"] > state["version"] and later["mask_version"] == later["version"]
    assert rows(selections) == where(is_leiden("1") | moved)
    # A name changes what the page is told, but not the cells.
    workspace.rename(made.id, "yours", workspace.annotation(made.id).version)
    renamed = selections.state()
    assert renamed["text"] == "yours in {1}" and renamed["version"] > later["version"] == renamed["mask_version"]
    workspace.delete(made.id, workspace.annotation(made.id).version)
    assert selections.state()["problem"]["code"] == "E44" and selections.mask() is None
    workspace.undo()
    assert rows(selections) == where(is_leiden("1") | moved)


def test_labels_that_are_not_there_are_told(selections: Selections, workspace: Workspace) -> None:
    own = workspace.create_from_existing("mine", [Source("cluster", "leiden")], CombineRecipe("none")).id
    state = selections.apply({"do": "text", "text": "mine not in {1}"})
    assert (state["count"], state["notice"]) == (N - LEIDEN.count("1"), "")
    # All cells, rather than all but those of the label.
    label = next(label.id for label in workspace.annotation(own).live.labels if label.text == "1")
    workspace.rename_label(own, label, "T cell", 1)
    assert (selections.state()["count"], selections.state()["notice"]) == (N, 'mine has no "1"')
    state = selections.apply({"do": "text", "text": "leiden in {1, 44, 55} AND sample in {s1}"})
    assert state["notice"] == 'leiden has no "44" and 1 other'
    assert selections.apply({"do": "text", "text": "fate is missing"})["notice"] == ""


def test_choices_about_columns_are_followed(selections: Selections, workspace: Workspace) -> None:
    state = selections.apply({"do": "text", "text": "depth >= 50"})
    workspace.choose(treat_as={"depth": "category"})
    assert selections.state()["problem"]["code"] == "E44"
    assert selections.version > state["version"]
    workspace.choose(treat_as={"depth": "number"})
    assert selections.state()["count"] == state["count"]


def test_the_version_grows_with_every_change_and_only_then(selections: Selections) -> None:
    seen = [selections.version]
    for action in (
        draw(box(0, 5)),
        {"do": "rename_area", "id": "a1", "name": "x"},
        {"do": "save", "name": "kept"},
        {"do": "filter", "condition": labels("leiden", "1")},
        {"do": "back"},
        {"do": "clear"},
    ):
        state = selections.apply(action)
        assert state["version"] == selections.version == selections.state()["version"]
        seen.append(state["version"])
    assert seen == sorted(set(seen))
    for action in ({"do": "clear"}, {"do": "mode", "mode": "union"}, {"do": "remove_filter", "id": "f9"}):
        assert selections.apply(action)["version"] == seen[-1]
    # After a restart none is given out twice.
    assert Selections(selections._workspace).version != seen[0]


def test_a_refused_action_changes_nothing(selections: Selections) -> None:
    before = selections.apply(draw(box(0, 5)))
    refused: list[Any] = [
        draw(box(0, 1), axes="gone"),
        draw(box(0, 1), plot=2, mode="subtract"),
        draw(box(0, 1), area="gone"),
        {"do": "delete_area", "id": "gone"},
        {"do": "rename_area", "id": "a1", "name": " "},
        {"do": "rename_area", "id": "a1", "name": "a" * 200},
        {"do": "invert_plot", "plot": 3},
        {"do": "text", "text": "("},
        {"do": "use_saved", "id": "gone"},
        {"do": "rename_saved", "id": "gone", "name": "x"},
        {"do": "delete_saved", "id": "gone"},
        {"do": "save", "name": "a/b"},
        {"do": "save", "name": "leiden"},
    ]
    for action in refused:
        with pytest.raises(IscanError):
            selections.apply(action)
    for action in ({}, {"do": "?"}, draw("x"), draw([[0, float("nan")]]), draw([[0, 1e39]]), draw(box(0, 1), plot=5)):
        with pytest.raises(ValidationError):
            selections.apply(action)
    assert selections.state() == before


def test_back_goes_twenty_steps(selections: Selections) -> None:
    with pytest.raises(SelectionRefused, match="no earlier selection"):
        selections.apply({"do": "back"})
    for number in range(STEPS_BACK + 5):
        selections.apply(draw(box(0, number / 5)))
    counts = []
    while selections.state()["can_go_back"]:
        counts.append(selections.apply({"do": "back"})["count"])
    assert counts == [in_box(0, number / 5).sum() for number in range(STEPS_BACK + 3, 3, -1)]


# -- saved selections ------------------------------------------------------------------------------------------------


def test_saved_selections_outlive_the_server(open_workspace: Opener) -> None:
    workspace = open_workspace()
    first = Selections(workspace)
    first.apply(draw(box(0, 5)))
    first.apply({"do": "filter", "condition": labels("leiden", "1", kind="cluster")})
    state = first.apply({"do": "save", "name": " mine "})
    assert [(own["name"], own["text"], own["count"]) for own in state["saved"]] == [
        ("mine", "leiden in {1} AND Plot 1", state["count"])
    ]
    expected = rows(first)
    workspace.close()

    again = Selections(open_workspace())
    assert again.mask() is None
    (saved,) = again.state()["saved"]
    # Pages do not wait for the counts.
    assert saved == {**state["saved"][0], "count": None}
    assert again.saved_counts() == {saved["id"]: len(expected)}
    assert again.state()["saved"][0]["count"] == len(expected)
    state = again.apply({"do": "use_saved", "id": saved["id"]})
    assert rows(again) == expected and len(state["areas"]) == 1
    again.apply({"do": "rename_saved", "id": saved["id"], "name": "Mine"})
    with pytest.raises(NameRefused, match="already used by a saved selection"):
        again.apply({"do": "save", "name": "mine"})
    assert again.apply({"do": "delete_saved", "id": saved["id"]})["saved"] == []


def test_saved_selections_are_conditions(selections: Selections) -> None:
    selections.apply(draw(box(0, 5)))
    saved = selections.apply({"do": "save", "name": "left"})["saved"][0]["id"]
    selections.apply({"do": "clear"})
    state = selections.apply({"do": "filter", "condition": {"is": "saved", "id": saved, "not": True}})
    assert state["text"] == "NOT saved left" and rows(selections) == where(~in_box(0, 5))
    # It means what was saved, whatever is drawn now.
    selections.apply(draw(box(6, 7)))
    assert rows(selections) == where(in_box(6, 7))
    assert selections.apply({"do": "rename_saved", "id": saved, "name": "west"})["text"] == "NOT saved west AND Plot 1"
    state = selections.apply({"do": "delete_saved", "id": saved})
    assert state["problem"]["text"] == "This condition used a saved selection that was deleted."
    assert state["text"] == f"NOT saved #{saved} AND Plot 1"


def test_only_what_selects_can_be_saved(selections: Selections) -> None:
    with pytest.raises(SelectionRefused, match="Nothing is selected"):
        selections.apply({"do": "save", "name": "x"})
    selections.apply({"do": "filter", "condition": {"is": "unfinished"}})
    with pytest.raises(SelectionRefused, match="not finished"):
        selections.apply({"do": "save", "name": "x"})


def test_saved_selections_rest_on_each_other_only_so_deep(selections: Selections) -> None:
    selections.apply({"do": "filter", "condition": labels("leiden", "1")})
    for number in range(6):
        saved = selections.apply({"do": "save", "name": f"s{number}"})["saved"][-1]["id"]
        selections.apply({"do": "filter", "id": "f1", "condition": {"is": "saved", "id": saved}})
        assert rows(selections) == where(is_leiden("1"))
    with pytest.raises(SelectionRefused, match="6 deep"):
        selections.apply({"do": "save", "name": "deeper"})


def test_saved_selections_that_cannot_be_read_are_kept(open_workspace: Opener, caplog: Any) -> None:
    workspace = open_workspace()
    strange = [{"id": "x", "name": "of a newer version", "selection": {"mode": "fuzzy"}}, 5]
    workspace.keep("selections", strange)
    selections = Selections(workspace)
    assert selections.state()["saved"] == [] and "cannot be read" in caplog.text
    selections.apply(draw(box(0, 5)))
    selections.apply({"do": "save", "name": "mine"})
    assert workspace.kept("selections")[1:] == strange


def test_where_annotations_are_off_saved_selections_last_as_long_as_the_server(open_workspace: Opener) -> None:
    workspace = open_workspace(is_closed=True)
    selections = Selections(workspace)
    selections.apply(draw(box(0, 5)))
    assert selections.apply({"do": "save", "name": "mine"})["saved"][0]["name"] == "mine"
    assert not list(workspace.place.draft.parent.iterdir())


def test_a_recipe_selects_the_same_cells_again(selections: Selections, workspace: Workspace) -> None:
    made = workspace.create_from_existing("mine", [Source("cluster", "leiden")], CombineRecipe("none"))
    selections.apply(draw(box(0, 8)))
    selections.apply(draw(box(4, 5), mode="subtract"))
    saved = selections.apply({"do": "save", "name": "west"})["saved"][0]["id"]
    selections.apply({"do": "filter", "condition": labels(made.id, "1", "2", kind="annotation")})
    selections.apply({"do": "filter", "condition": {"is": "saved", "id": saved}})
    selections.apply(draw(box(-1, 0.5), 2, "X_pca"))
    selections.apply({"do": "invert_plot", "plot": 2})
    recipe = json.loads(json.dumps(selections.recipe()))
    assert recipe["count"] == len(rows(selections)) and recipe["text"] == selections.text()
    assert recipe["annotations"] == {made.id: {"name": "mine", "version": 1}}
    assert recipe["saved"][saved]["name"] == "west"
    expected = rows(selections)
    other = Selections(workspace)
    other.apply({"do": "load", "recipe": recipe})
    assert rows(other) == expected
    assert [own["name"] for own in other.state()["areas"]] == ["area 1", "area 1"]


def test_a_recipe_brings_what_it_rests_on_to_another_user(open_workspace: Opener) -> None:
    ada, bob = Selections(open_workspace()), Selections(open_workspace(user="bob"))
    ada.apply(draw(box(0, 8)))
    west = ada.apply({"do": "save", "name": "west"})["saved"][0]["id"]
    ada.apply({"do": "text", "text": "NOT saved west AND leiden in {1, 2}"})
    far = ada.apply({"do": "save", "name": "far"})["saved"][1]["id"]
    ada.apply({"do": "filter", "condition": {"is": "saved", "id": far}})
    recipe = json.loads(json.dumps(ada.recipe()))
    assert set(recipe["saved"]) == {far, west}

    bob.apply({"do": "filter", "condition": labels("leiden", "3")})
    bob.apply({"do": "save", "name": "West"})
    state = bob.apply({"do": "load", "recipe": recipe})
    assert rows(bob) == rows(ada) and len(rows(bob))
    assert [own["name"] for own in state["saved"]] == ["West", "west (2)", "far"]
    assert not {own["id"] for own in state["saved"]} & {west, far}
    # What one knows oneself is not kept twice, nor is what was loaded before.
    assert len(ada.apply({"do": "load", "recipe": recipe})["saved"]) == 2
    assert bob.apply({"do": "load", "recipe": recipe})["saved"] == state["saved"]


def test_a_recipe_that_rests_on_itself_is_refused(selections: Selections) -> None:
    def on(*ids: str) -> dict[str, Any]:
        return {"name": "x", "filters": [{"id": "f", "condition": {"is": "saved", "id": own}} for own in ids]}

    alone = {"name": "alone", "filters": [{"id": "f", "condition": labels("leiden", "1")}]}
    for saved in ({"a": on("a")}, {"a": on("b", "c"), "b": on("a"), "c": alone}):
        with pytest.raises(SelectionRefused, match="in a circle"):
            selections.apply({"do": "load", "recipe": {"saved": saved}})
    chain = {f"s{number}": on(f"s{number - 1}") for number in range(1, 9)} | {"s0": alone}
    with pytest.raises(SelectionRefused, match="6 deep"):
        selections.apply({"do": "load", "recipe": {"saved": chain}})
    with pytest.raises(NameRefused):
        selections.apply({"do": "load", "recipe": {"saved": {"a": alone, "b": {**on("a"), "name": "x/y"}}}})
    assert selections.state()["saved"] == []
    # One that rests on what nobody knows waits for ever.
    state = selections.apply({"do": "load", "recipe": {**on("a"), "saved": {"a": on("z")}}})
    assert state["problem"]["code"] == "E44" and len(state["saved"]) == 1


def test_there_is_an_end_to_what_is_named(selections: Selections) -> None:
    text = "\n".join(map(str, range(200_001)))
    with pytest.raises(SelectionRefused, match="200,000 cell IDs"):
        selections.apply({"do": "filter", "condition": {"is": "cells", "text": text}})
    long = labels("leiden", *(f"{number}{'x' * 990}" for number in range(1800)))
    selections.apply({"do": "filter", "condition": long})
    selections.apply({"do": "filter", "condition": long})
    with pytest.raises(SelectionRefused, match="too many labels and cells"):
        selections.apply({"do": "filter", "condition": long})


def test_there_is_an_end_to_what_is_saved_and_to_what_can_be_gone_back_to(selections: Selections) -> None:
    for number in range(3):
        long = [labels("leiden", *(f"{number}.{part}.{k}{'x' * 990}" for k in range(1600))) for part in range(3)]
        selections.apply({"do": "custom", "tree": {"is": "or", "of": long}})
        if number < 2:
            selections.apply({"do": "save", "name": f"long {number}"})
    with pytest.raises(SelectionRefused, match="too many labels and cells to keep"):
        selections.apply({"do": "save", "name": "long 2"})
    # What was selected before is forgotten rather than held without end.
    selections.apply({"do": "clear"})
    steps = 0
    while selections.state()["can_go_back"]:
        steps += 1
        selections.apply({"do": "back"})
    assert 1 <= steps <= 2


def test_many_saved_selections_that_rest_on_each_other_are_looked_up_once(selections: Selections) -> None:
    ids = []
    selections.apply({"do": "filter", "condition": labels("leiden", "1")})
    for level in range(5):
        ids.append([])
        for number in range(12):
            saved = selections.apply({"do": "save", "name": f"{level} {number}"})["saved"][-1]
            ids[-1].append(saved["id"])
        selections.apply({"do": "custom", "tree": {"is": "or", "of": [{"is": "saved", "id": own} for own in ids[-1]]}})
        # 12 ** 5 ways lead down from the last one.
        selections.apply({"do": "clear", "what": "filters"})
    assert rows(selections) == where(is_leiden("1"))
    assert set(selections.saved_counts().values()) == {is_leiden("1").sum()}
    assert len(selections.recipe()["saved"]) == 60


def test_a_saved_selection_is_written_once(open_workspace: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = open_workspace()
    first = Selections(workspace)
    first.apply(draw(box(0, 5)))
    one = first.apply({"do": "save", "name": "one"})["saved"][0]["id"]
    kept: list[str] = []
    monkeypatch.setattr(workspace, "keep", lambda key, value, keep=workspace.keep: kept.append(key) or keep(key, value))
    first.apply({"do": "rename_saved", "id": one, "name": "west"})
    assert kept == ["selections"]
    first.apply({"do": "delete_saved", "id": one})
    assert workspace.kept(f"selections/{one}") is None


def test_saved_selections_of_earlier_versions_are_read(open_workspace: Opener) -> None:
    workspace = open_workspace()
    query = {"filters": [{"id": "f1", "condition": labels("leiden", "1")}]}
    workspace.keep("selections", [{"id": "old", "name": "from before", "selection": query}])
    selections = Selections(workspace)
    assert selections.saved_counts() == {"old": is_leiden("1").sum()}
    selections.apply({"do": "rename_saved", "id": "old", "name": "renamed"})
    again = Selections(workspace)
    assert [own["name"] for own in again.state()["saved"]] == ["renamed"]
    again.apply({"do": "use_saved", "id": "old"})
    assert rows(again) == where(is_leiden("1"))


def test_an_outline_that_goes_to_and_fro_over_all_cells_is_refused(
    selections: Selections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iscan_dash.core.selection.polygon.MOST_TESTS", 10_000)
    before = selections.apply(draw(box(0, 5)))
    zigzag = [[number / 40, 11 * (number % 2)] for number in range(400)]
    with pytest.raises(SelectionRefused, match="Draw a simpler one"):
        selections.apply(draw(zigzag))
    assert selections.state() == before
    with pytest.raises(ValidationError):
        selections.apply(draw([*zigzag, [0, 0]]))


# -- everything together ---------------------------------------------------------------------------------------------

values = st.sampled_from([0.0, 2.5, 5.0, 7.5, 10.0])
outlines = st.lists(st.tuples(values, values), min_size=3, max_size=6)
leaf = st.sampled_from(
    [
        labels("leiden", "1", "2"),
        labels("fate", "T", missing=True),
        {"is": "plot", "plot": 1},
        {"is": "plot", "plot": 2},
    ]
)
trees = st.recursive(
    leaf,
    lambda part: st.builds(
        lambda word, of, no: {"is": word, "of": of, "not": no},
        st.sampled_from(["and", "or"]),
        st.lists(part, min_size=1, max_size=3),
        st.booleans(),
    ),
    max_leaves=6,
)
many_actions = st.lists(
    st.one_of(
        st.builds(lambda plot, points, mode: draw(points, plot, mode=mode), st.integers(1, 2), outlines, st.sampled_from(["new", "add", "subtract"])),
        st.builds(lambda mode: {"do": "mode", "mode": mode}, st.sampled_from(["union", "intersection", "custom"])),
        st.builds(lambda tree: {"do": "custom", "tree": {"is": "or", "of": [tree]}}, trees),
        st.builds(lambda tree: {"do": "filter", "condition": tree}, leaf),
        st.builds(lambda what: {"do": "clear", "what": what}, st.sampled_from(["areas", "filters"])),
        st.builds(lambda plot: {"do": "invert_plot", "plot": plot}, st.integers(1, 2)),
        st.just({"do": "back"}),
    ),
    max_size=10,
)  # fmt: skip


def meets(node: dict[str, Any], cell: int, plots: dict[int, list[bool]]) -> bool:
    if "of" in node:
        found = (all if node["is"] == "and" else any)([meets(part, cell, plots) for part in node["of"]])
    elif node["is"] == "plot":
        found = plots[node["plot"]][cell]
    else:
        value = (LEIDEN if node["key"] == "leiden" else FATE)[cell]
        found = node.get("missing", False) if value is None else value in node["values"]
    return bool(found) != node.get("not", False)


@settings(max_examples=60)
@given(done=many_actions)
def test_whatever_is_done_the_mask_is_what_the_state_says(shared: Workspace, done: list[dict[str, Any]]) -> None:
    selections = Selections(shared)
    for action in done:
        try:
            selections.apply(action)
        except SelectionRefused:
            continue
        # Nothing that was kept from before says otherwise.
        fresh = selections.state()
        mask = selections.mask()
        if mask is None:
            assert not fresh["active"] or fresh["problem"]
            continue
        plots = {}
        for plot, told in fresh["plots"].items():
            united = np.zeros(N, bool)
            for area in fresh["areas"]:
                if area["plot"] == int(plot):
                    own = np.zeros(N, bool)
                    for shape in area["shapes"]:
                        within = inside(UMAP[:, 0], UMAP[:, 1], np.array(shape["points"]))
                        own = own | within if shape["adds"] else own & ~within
                    united |= ~own if area["inverted"] else own
            plots[int(plot)] = (~united if told["inverted"] else united).tolist()
            assert told["count"] == sum(plots[int(plot)])
        words = [own["condition"] for own in fresh["filters"]]
        drawn = [{"is": "plot", "plot": plot} for plot in plots]
        if fresh["mode"] == "custom":
            words += [fresh["custom"]] if plots or "labels" in json.dumps(fresh["custom"]) else []
        elif drawn:
            words.append({"is": "or" if fresh["mode"] == "union" else "and", "of": drawn})
        expected = [all(meets(own, cell, plots) for own in words) for cell in range(N)]
        assert mask.tolist() == expected
        assert selections.packed() == encode(mask)
        # What it says of itself in words selects the same cells.
        again = Selections(shared)
        again.apply({"do": "load", "recipe": selections.recipe()})
        again.apply({"do": "text", "text": fresh["text"]})
        if again.mask() is not None:
            np.testing.assert_array_equal(again.mask(), mask)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, study_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(open_study([study_path]), user="ada", folder=tmp_path_factory.mktemp("drafts"))
    yield workspace
    workspace.close()
    workspace.study.close()


def test_many_threads_at_once(selections: Selections) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(30):
                state = selections.apply(draw(box(number, number + step / 10), plot=1 + number % 4))
                assert state["count"] is not None
                mask = selections.mask()
                assert mask is not None and mask.shape == (N,)
                selections.state()
        except BaseException as error:  # noqa: BLE001 - told in the test's thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# -- what conditions are made of -------------------------------------------------------------------------------------


def test_columns_to_choose_from(workspace: Workspace) -> None:
    made = workspace.create_from_existing("mine", [], CombineRecipe("none"))
    workspace.choose(treat_as={"fate": "ignore"})
    assert [(own["is"], own["kind"], own["key"], own["title"]) for own in filter_columns(workspace)] == [
        ("labels", "sample", "", "Sample"),
        ("labels", "cluster", "leiden", "leiden"),
        ("range", "metadata", "depth", "depth"),
        ("labels", "metadata", "sample", "sample"),
        ("labels", "annotation", made.id, "mine"),
    ]


def test_values_of_a_column(workspace: Workspace) -> None:
    told = filter_values(workspace, "metadata", "fate")
    assert (told["n_levels"], told["n_found"], told["missing"]) == (2, 2, FATE.count(None))
    assert [(own["label"], own["count"]) for own in told["values"]] == [("B", FATE.count("B")), ("T", FATE.count("T"))]
    assert filter_values(workspace, "cluster", "leiden", offset=3)["values"][0]["label"] == "3"
    assert filter_values(workspace, "metadata", "fate", "t")["n_found"] == 1
    assert [own["label"] for own in filter_values(workspace, "sample", "")["values"]] == ["s1", "s2"]
    for kind, key in (("metadata", "gone"), ("annotation", "gone"), ("gene", "CD3E")):
        with pytest.raises(UnknownColumn):
            filter_values(workspace, kind, key)


def test_histograms(workspace: Workspace) -> None:
    told = filter_histogram(workspace, "metadata", "depth")
    finite = DEPTH[~np.isnan(DEPTH)]
    assert (told["low"], told["high"], told["missing"]) == (finite.min(), finite.max(), 1)
    assert len(told["edges"]) == len(told["counts"]) + 1 == 65 and sum(told["counts"]) == len(finite)
    gene = filter_histogram(workspace, "gene", "CD3E")
    assert gene["unit"] and sum(gene["counts"]) == N
    assert filter_genes(workspace, "l") == ["LYZ", "leiden"]
    assert filter_genes(workspace, " ") == []
