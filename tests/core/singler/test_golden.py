import gzip
import json

import numpy as np
import pytest

from iscan_dash.core.engine.query import Query
from iscan_dash.core.singler.classify import classify
from iscan_dash.core.singler.prune import prune
from iscan_dash.core.singler.pseudo_bulk import pseudo_bulk
from iscan_dash.core.singler.train import train
from iscan_dash.core.study.matrices import MatrixKind
from tests.core.singler.golden import GOLDEN, inputs, load, needs_golden, pbmc68k

pytestmark = needs_golden

SETS = ["p68sc", "p68pb", "mini_bp_main", "mini_bp_fine", "pbmc3k_hema"]
NEAR_TIE = 1e-12


def by_name(labels: tuple[str, ...], wanted: np.ndarray) -> np.ndarray:
    """Columns of the peer in our order of labels."""
    return np.array([wanted.tolist().index(label) for label in labels])


@pytest.mark.parametrize("name", SETS)
def test_results_are_those_of_singler(name: str) -> None:
    reference, query = inputs(name)
    wanted = load(name)
    trained = train(reference, query.genes)
    found = classify(trained, query, nmads=None)
    names = np.array(found.labels)
    column = by_name(found.labels, wanted["labels"])
    # This set was made from values of 64 bits; the file beside it holds 32.
    tolerance = 3e-6 if name == "pbmc3k_hema" else 1e-12

    assert set(trained.genes) == set(wanted["markers"])
    assert np.abs(found.first.scores - wanted["scores_R"][:, column]).max() <= tolerance
    assert np.abs(found.first.delta - wanted["delta_first_py"]).max() <= 2 * tolerance
    assert np.abs(found.tuned.delta - wanted["delta_R"]).max() <= (1e-3 if name == "pbmc3k_hema" else tolerance)
    first_differs = names[found.first.label] != wanted["labels"][wanted["first"]]
    assert not (first_differs & (wanted["delta_first_py"] > NEAR_TIE)).any()
    differs = names[found.tuned.label] != wanted["labels"][wanted["best_R"]]
    assert not (differs & ~wanted["tie"]).any()
    assert differs.sum() <= 4, "no more than the exact ties of pbmc3k"
    for nmads in (2, 3, 5, 100):
        pruned = found.pruned_with(nmads).pruned.is_pruned
        assert (pruned != wanted[f"pruned{nmads}"]).sum() <= differs.sum()


@pytest.mark.parametrize("name", [name for name in SETS if name.startswith(("p68", "mini"))])
def test_markers_are_those_of_singler_in_their_order(name: str) -> None:
    reference, query = inputs(name)
    trained = train(reference, query.genes)
    path = GOLDEN / "singler" / f"{name}.markers.tsv.gz"
    lists = {}
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        label, other, *genes = line.split("\t")
        lists[label, other] = genes[0].split(",") if genes and genes[0] else []

    for row, label in enumerate(trained.labels):
        for column, other in enumerate(trained.labels):
            found = [trained.genes[gene] for gene in trained.markers.of(row, column)]
            assert found == lists.get((label, other), []), (label, other)


@pytest.mark.parametrize("name", SETS)
def test_pruning_of_the_peers_labels_is_that_of_singler(name: str) -> None:
    wanted = load(name)
    pruned = prune(wanted["scores_R"], wanted["best_R"], wanted["delta_R"])

    assert np.abs(pruned.margin - wanted["delta_med_R"]).max() <= 1e-12
    limits = dict(zip(wanted["labels"], pruned.thresholds, strict=True))
    assert all(
        abs(limits[label] - limit) <= 1e-12 for label, limit in zip(wanted["thr3_labels"], wanted["thr3"], strict=True)
    )
    for nmads in (2, 3, 5, 100):
        again = prune(wanted["scores_R"], wanted["best_R"], wanted["delta_R"], nmads=nmads)
        assert np.array_equal(again.is_pruned, wanted[f"pruned{nmads}"])


@pytest.mark.parametrize("name", ["p68sc", "p68pb"])
def test_clusters_are_labelled_as_singler_does(name: str) -> None:
    reference, query = inputs(name)
    wanted = load(name)
    _, known = pbmc68k()
    clusters = wanted["cl_names"].tolist()
    codes = np.array([clusters.index(cluster) for cluster in known["query_louvain"]])
    bulk = pseudo_bulk(query, codes, len(clusters))
    found = classify(train(reference, query.genes), bulk.query)
    column = by_name(found.labels, wanted["labels"])

    assert np.abs(found.first.scores - wanted["cl_scores"][:, column]).max() <= 1e-12
    assert np.abs(found.tuned.delta - wanted["cl_delta"]).max() <= 1e-12
    assert [found.labels[code] for code in found.tuned.label] == wanted["cl_best"].tolist()
    assert np.array_equal(found.pruned.is_pruned, wanted["cl_pruned"] == "NA")


def r_arguments(text: str) -> dict[str, object]:
    """Read the arguments of a call in R."""
    python = text.replace("tune.thresh", "tune").replace("de.n", "n").replace("fine.tune", "is_tuned")
    python = python.replace("character(0)", "c()").replace("1000L", "1000").replace("FALSE", "False")
    names = {"list": lambda **items: items, "c": lambda *items: list(items), "False": False}
    return dict(eval(python, {"__builtins__": {}}, names))


def edge_cases() -> list[dict[str, object]]:
    path = GOLDEN / "singler" / "edge_cases_R.json.gz"
    return json.loads(gzip.decompress(path.read_bytes())) if path.is_file() else []


@pytest.mark.parametrize("case", edge_cases(), ids=lambda case: case["name"])
def test_edge_cases_are_those_of_singler(case: dict) -> None:
    from iscan_dash.core.singler.reference import Reference

    arguments = r_arguments(case["args"])
    values = np.array(case["ref"], float)
    genes = case["genes_ref"]
    if "restrict" in arguments:
        keep = np.isin(genes, arguments["restrict"])
        values, genes = values[keep], [gene for gene, is_kept in zip(genes, keep, strict=True) if is_kept]
    reference = Reference(genes, np.ascontiguousarray(values.T), case["labels"])
    n_cells = len(case["test"][0])
    cells = np.array(case["test"], float).reshape(len(case["test"]), n_cells).T
    query = Query.of(case["genes_test"], np.ascontiguousarray(cells), MatrixKind.LOG)
    trained = train(reference, query.genes, n_markers=arguments.get("n"), markers=arguments.get("genes"))
    threshold = arguments.get("tune", 0.05) if arguments.get("is_tuned", True) else None
    found = classify(trained, query, quantile=arguments.get("quantile", 0.8), threshold=threshold, nmads=case["nmads"])

    assert set(trained.genes) == set(case["markers"])
    assert found.labels == tuple(sorted(case["cols"]))
    if not n_cells:
        assert found.first.scores.shape == (0, len(found.labels))
        return
    column = by_name(found.labels, np.array(case["cols"]))
    delta = np.array(case["delta"], float)
    assert np.abs(found.first.scores - np.array(case["scores"], float)[:, column]).max() <= 1e-12
    assert np.allclose(found.tuned.delta, delta, rtol=0, atol=1e-12, equal_nan=True)
    assert np.allclose(found.first.delta, np.array(case["delta_first"], float), rtol=0, atol=1e-12, equal_nan=True)
    ours = np.array(found.labels)
    differs = ours[found.tuned.label] != np.array(case["best"])
    assert not (differs & (delta > NEAR_TIE)).any()
    assert differs.sum() <= 3, "no more than the cells without variance"
    first_differs = ours[found.first.label] != np.array(case["first"])
    assert not (first_differs & (np.array(case["delta_first"], float) > NEAR_TIE)).any()
    if not differs.any() and case["pruned"][0] is not None:
        assert found.pruned.is_pruned.tolist() == case["pruned"]
