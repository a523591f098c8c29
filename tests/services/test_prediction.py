"""Predictions of studies: what the engine says, refusals before the work, and nothing left behind."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.annotations.csv_table import open_csv_table
from iscan_dash.core.engine.control import Cancelled, Control
from iscan_dash.core.engine.query import Query
from iscan_dash.core.references import Registry
from iscan_dash.core.references.load import load_reference
from iscan_dash.core.singler.classify import classify
from iscan_dash.core.singler.prune import prune
from iscan_dash.core.singler.train import train
from iscan_dash.core.study import Study
from iscan_dash.errors import IscanError, NameRefused, PredictionRefused
from iscan_dash.services import prediction as prediction_module
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.prediction_parameters import Parameters, resolved_name
from iscan_dash.services.prediction_result import REASONS, Prediction, summary
from iscan_dash.services.prediction_table import COLUMNS, write_table
from iscan_dash.services.trained_cache import TrainedCache
from tests.conftest import Opener
from tests.references import LABELS, gene_names, some_profiles, write_profiles
from tests.studies import STORAGES, write_study

N_CELLS = 90
TRUTH = [list(dict.fromkeys(LABELS))[place % 4] for place in range(N_CELLS)]
FINE = [f"{label} {place % 2}" for place, label in enumerate(LABELS)]


def some_cells(seed: int = 1) -> np.ndarray:
    """Make counts of cells that are like the profiles; the last one has none. Shape (N_CELLS, 600), float32."""
    random = np.random.default_rng(seed)
    # Each label stands out by the genes that it has in the reference, so they are made in its order.
    order = [*dict.fromkeys(LABELS), *TRUTH]
    counts = random.poisson(some_profiles(order, seed=seed)[4:] / 3).astype(np.float32)
    counts[-1] = 0
    return counts


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "shared").mkdir()
    write_profiles(tmp_path / "shared" / "gut.h5ad")
    write_profiles(tmp_path / "shared" / "skin.h5ad", label_fine=FINE)
    return Registry(tmp_path / "installed", tmp_path / "shared")


@pytest.fixture
def predictor(tmp_path: Path, registry: Registry) -> Predictor:
    return Predictor(registry, TrainedCache(tmp_path / "cache"))


@pytest.fixture
def study(tmp_path: Path, open_files: Opener) -> Study:
    half = pd.Categorical(["one" if place % 2 else "two" for place in range(N_CELLS)])
    leiden = pd.Categorical([None if place in {0, 5} else TRUTH[place] for place in range(N_CELLS)])
    obs = {"leiden": leiden, "sample": half, "all": pd.Categorical(["x"] * N_CELLS), "part": np.arange(N_CELLS) / 7}
    return open_files(write_study(tmp_path / "cells.h5ad", obs, cells=N_CELLS, genes=gene_names(600), x=some_cells()))


def refusal(predictor: Predictor, study: Study, parameters: Parameters) -> str:
    with pytest.raises(IscanError) as predicted:
        predictor.predict(study, parameters)
    with pytest.raises(IscanError) as looked:
        predictor.preflight(study, parameters)
    assert str(looked.value) == str(predicted.value)
    return str(predicted.value)


def names(prediction: Prediction, codes: np.ndarray) -> list[str]:
    return [*np.array([*prediction.labels, ""])[codes]]


def same(one: Prediction, other: Prediction) -> bool:
    pairs = (
        (of(one), of(other))
        for of in (
            Prediction.assigned,
            Prediction.before_pruning,
            Prediction.deltas,
            Prediction.best_score,
            Prediction.runners_up,
            Prediction.reasons,
        )
    )
    return all(np.array_equal(own, theirs, equal_nan=own.dtype.kind == "f") for own, theirs in pairs)


def test_its_table_has_no_formulas_and_comes_back(tmp_path: Path, predictor: Predictor, open_files: Opener) -> None:
    wild = dict(zip(dict.fromkeys(LABELS), ("=B", "'=B", "-1", "@T"), strict=True))
    write_profiles(tmp_path / "shared" / "gut.h5ad", label_fine=[wild[label] for label in LABELS])
    ids = [f"={place}" for place in range(N_CELLS)]
    study = open_files(write_study(tmp_path / "cells.h5ad", cells=ids, genes=gene_names(600), x=some_cells()))
    prediction = predictor.predict(study, Parameters("gut", "fine"))
    out = tmp_path / "out.csv"
    write_table(out, study, prediction, "=mine")
    with out.open(newline="") as stream:
        header, *rows = csv.reader(line for line in stream if not line.startswith("# "))
    assert header == ["index", "sample", "'=mine", *COLUMNS]
    assert [row[0] for row in rows] == [f"'{own}" for own in ids]
    assert {row[place] for row in rows for place in (2, 3, 5)} == {"'=B", "''=B", "-1", "'@T", "Unassigned", ""}
    table = open_csv_table(out).unmarked()
    assert [table.columns[place].name for place in (0, 2)] == ["index", "=mine"]
    every = np.arange(N_CELLS)
    assert table.columns[0].texts(every) == ids
    assert table.columns[2].texts(every) == [own or "Unassigned" for own in names(prediction, prediction.assigned())]


class TestCells:
    def test_it_is_what_the_engine_says(self, registry: Registry, predictor: Predictor, study: Study) -> None:
        found = predictor.predict(study, Parameters("gut"))
        profiles = load_reference(registry, "gut", "main").profiles
        query = Query.of(gene_names(600), some_cells())
        direct = classify(train(profiles, query.genes), query)
        assert found.labels == direct.labels
        np.testing.assert_array_equal(found.assigned(), direct.assigned())
        np.testing.assert_array_equal(found.deltas(), direct.tuned.delta)
        np.testing.assert_array_equal(found.best_score(), direct.first.scores.max(axis=1))
        np.testing.assert_array_equal(found.classified.first.scores, direct.first.scores)
        assert [REASONS[code] for code in found.reasons()] == [direct.reason(cell) for cell in range(N_CELLS)]
        assert names(found, found.before_pruning())[:-1] == TRUTH[:-1]

    def test_the_runner_up_is_the_best_of_the_others(self, predictor: Predictor, study: Study) -> None:
        found = predictor.predict(study, Parameters("gut"))
        scores, before = found.classified.first.scores, found.before_pruning()
        for cell, second in enumerate(found.runners_up().tolist()[:-1]):
            others = [place for place in range(4) if place != before[cell]]
            assert second == max(others, key=lambda place: scores[cell, place])
        assert found.runners_up()[-1] == -1

    def test_a_cell_without_marker_genes(self, predictor: Predictor, study: Study) -> None:
        found = predictor.predict(study, Parameters("gut", nmads=None))
        assert (found.assigned()[-1], found.before_pruning()[-1]) == (-1, -1)
        assert REASONS[found.reasons()[-1]] == "no marker genes detected"
        assert not found.reasons()[:-1].any()

    @pytest.mark.parametrize("storage", STORAGES)
    @pytest.mark.parametrize("threads", [1, 2])
    def test_any_storage_and_threads(
        self, predictor: Predictor, study: Study, tmp_path: Path, open_files: Opener, storage: str, threads: int
    ) -> None:
        x = STORAGES[storage](some_cells())
        other = open_files(write_study(tmp_path / "o.h5ad", cells=N_CELLS, genes=gene_names(600), x=x))
        assert same(
            predictor.predict(study, Parameters("gut")), predictor.predict(other, Parameters("gut"), threads=threads)
        )

    def test_counts_and_log_values_give_the_same(
        self, predictor: Predictor, study: Study, tmp_path: Path, open_files: Opener
    ) -> None:
        counts = some_cells()
        logged = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4)
        path = write_study(
            tmp_path / "o.h5ad", cells=N_CELLS, genes=gene_names(600), x=logged, layers={"counts": counts}
        )
        other = open_files(path)
        found = predictor.predict(other, Parameters("gut"))
        assert found.preflight.matrices[0].key == "X"
        assert same(found, predictor.predict(study, Parameters("gut")))
        assert same(found, predictor.predict(other, Parameters("gut", matrix="layers/counts")))

    def test_many_scores_are_in_a_temporary_file(
        self, predictor: Predictor, study: Study, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = predictor.predict(study, Parameters("gut"))
        monkeypatch.setattr(prediction_module, "IN_MEMORY", 0)
        found = predictor.predict(study, Parameters("gut"))
        assert isinstance(found.classified.first.scores, np.memmap)
        assert same(found, before)

    def test_fine_labels(self, predictor: Predictor, study: Study) -> None:
        found = predictor.predict(study, Parameters("skin", "fine"))
        assert len(found.labels) == 8
        assert [name[:-2] for name in names(found, found.before_pruning())[:-1]] == TRUTH[:-1]

    def test_without_fine_tuning(self, predictor: Predictor, study: Study) -> None:
        found = predictor.predict(study, Parameters("skin", "fine", fine_tune=False))
        np.testing.assert_array_equal(found.before_pruning()[:-1], found.classified.first.label[:-1])
        tuned = predictor.predict(study, Parameters("skin", "fine", threshold=0.1))
        np.testing.assert_array_equal(found.classified.first.scores, tuned.classified.first.scores)

    def test_samples(self, predictor: Predictor, study: Study, tmp_path: Path, open_files: Opener) -> None:
        found = predictor.predict(study, Parameters("gut", samples=("two",)))
        is_two = np.arange(N_CELLS) % 2 == 0
        assert found.preflight.n_cells == is_two.sum()
        assert {REASONS[code] for code in found.reasons()[~is_two]} == {"sample not chosen"}
        assert (found.assigned()[~is_two] == -1).all() and np.isnan(found.deltas()[~is_two]).all()
        x = some_cells()[is_two]
        alone = open_files(write_study(tmp_path / "two.h5ad", cells=len(x), genes=gene_names(600), x=x))
        np.testing.assert_array_equal(found.assigned()[is_two], predictor.predict(alone, Parameters("gut")).assigned())

    def test_several_files(self, predictor: Predictor, tmp_path: Path, open_files: Opener) -> None:
        x, order = some_cells(), np.random.default_rng(0).permutation(500)
        genes = np.array(gene_names(600))
        both = open_files(
            write_study(tmp_path / "a.h5ad", cells=40, genes=gene_names(600), x=x[:40]),
            write_study(tmp_path / "b.h5ad", cells=50, genes=[*genes[order]], x=x[40:][:, order]),
        )
        few = open_files(write_study(tmp_path / "c.h5ad", cells=90, genes=[*genes[:500]], x=x[:, :500]))
        assert same(predictor.predict(both, Parameters("gut")), predictor.predict(few, Parameters("gut")))


class TestGroups:
    def test_each_group_gets_one_label(self, predictor: Predictor, study: Study) -> None:
        found = predictor.predict(study, Parameters("gut", by_cluster="leiden"))
        assert found.groups == ("B cell", "Monocyte", "NK cell", "T cell")
        assigned = names(found, found.assigned())
        assert [label for place, label in enumerate(assigned) if place not in {0, 5}] == [
            label for place, label in enumerate(TRUTH) if place not in {0, 5}
        ]
        assert [REASONS[code] for code in found.reasons()[[0, 5, 6]]] == ["no group", "no group", ""]
        assert (found.assigned()[[0, 5]] == -1).all()
        assert len(found.classified.first.scores) == 4

    def test_groups_of_some_samples(self, predictor: Predictor, study: Study) -> None:
        # Even cells are of two of the four labels only.
        found = predictor.predict(study, Parameters("gut", by_cluster="leiden", samples=("two",)))
        assert found.groups == ("B cell", "NK cell")
        assert found.preflight.n_groups == 2
        assert names(found, found.assigned())[2::4] == ["NK cell"] * 22
        reasons = [REASONS[code] for code in found.reasons()]
        assert (reasons[0], reasons[1], reasons[2]) == ("no group", "sample not chosen", "")

    def test_refusals(self, predictor: Predictor, study: Study) -> None:
        for column, said in {
            " ": "Choose a column to group by.",
            "all": "all has only one group.",
            "part": "part holds numbers that are not whole. Choose a column of groups.",
            "none": 'This study has no metadata column "none".',
        }.items():
            assert refusal(predictor, study, Parameters("gut", by_cluster=column)) == said

    def test_files_of_other_kinds(self, predictor: Predictor, tmp_path: Path, open_files: Opener) -> None:
        x, obs = some_cells(), {"leiden": pd.Categorical(["a", "b"] * 45)}
        both = open_files(
            write_study(tmp_path / "a.h5ad", obs, cells=90, genes=gene_names(600), x=x),
            write_study(tmp_path / "b.h5ad", obs, cells=90, genes=gene_names(600), x=np.log1p(x)),
        )
        assert refusal(predictor, both, Parameters("gut", by_cluster="leiden")).startswith(
            "Groups across files need values of one kind, but there are several (X of a: counts, X of b: log"
        )


class TestPruning:
    def test_another_cutoff_is_what_a_new_run_gives(self, predictor: Predictor, study: Study) -> None:
        found = predictor.predict(study, Parameters("gut"))
        n_pruned = []
        for nmads in (0.5, 2.0, 5.0, 100.0, None):
            again = predictor.predict(study, Parameters("gut", nmads=nmads))
            assert same(found.pruned_with(nmads), again)
            assert found.pruned_with(nmads).recipe == again.recipe
            n_pruned.append(int((again.reasons() == 1).sum()))
        assert n_pruned == sorted(n_pruned, reverse=True)
        assert n_pruned[0] > 0 == n_pruned[-1] == n_pruned[-2]

    def test_least_lead(self, predictor: Predictor, study: Study) -> None:
        found = predictor.predict(study, Parameters("gut", min_diff_med=0.4))
        first, tuned = found.classified.first, found.classified.tuned
        direct = prune(first.scores, tuned.label, tuned.delta, min_diff_med=0.4)
        np.testing.assert_array_equal(found.classified.pruned.is_pruned, direct.is_pruned)
        assert direct.is_pruned.any()
        assert same(found, predictor.predict(study, Parameters("gut")).pruned_with(3.0, 0.4))


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"threshold": 0.11}, "Fine-tune threshold must be 0 to 0.1."),
            ({"threshold": -1}, "Fine-tune threshold must be 0 to 0.1."),
            ({"threshold": float("nan")}, "Fine-tune threshold must be 0 to 0.1."),
            ({"nmads": -0.1}, "Outlier cutoff must be a number of at least 0."),
            ({"nmads": float("nan")}, "Outlier cutoff must be a number of at least 0."),
            ({"min_diff_med": float("nan")}, "The least difference to the median must be a number."),
            ({"granularity": "both"}, "Label granularity must be main or fine."),
            ({"granularity": "fine"}, "gut has no fine labels. Choose main labels."),
            ({"samples": ()}, "Choose at least one sample."),
            ({"samples": ("three",)}, 'There is no sample "three". There are: one, two.'),
            ({"matrix": "raw/X"}, 'cells.h5ad has no matrix "raw/X". It has: X.'),
            (
                {"reference": "hpca"},
                "Human Primary Cell Atlas cannot be used. It is not installed. To add it: iscan-dash references install "
                "hpca",
            ),
        ],
    )
    def test_what_cannot_be(self, predictor: Predictor, study: Study, changes: dict[str, Any], said: str) -> None:
        assert refusal(predictor, study, replace(Parameters("gut"), **changes)) == said

    def test_unknown_reference(self, predictor: Predictor, study: Study) -> None:
        assert refusal(predictor, study, Parameters("none")).startswith('There is no reference "none". There are: ')

    def test_threads(self, predictor: Predictor, study: Study) -> None:
        with pytest.raises(PredictionRefused, match=r"^The number of threads must be at least 1\.$"):
            predictor.predict(study, Parameters("gut"), threads=0)

    def test_a_single_label(self, registry: Registry, predictor: Predictor, study: Study) -> None:
        assert registry.shared
        write_profiles(registry.shared / "one.h5ad", ["T"] * 12, some_profiles(LABELS), label_fine=FINE)
        assert refusal(predictor, study, Parameters("one")) == (
            "one has only one main label: there is nothing to tell apart."
        )
        assert predictor.predict(study, Parameters("one", "fine")).preflight.n_labels == 8

    def test_scaled(self, predictor: Predictor, tmp_path: Path, open_files: Opener) -> None:
        path = write_study(tmp_path / "s.h5ad", cells=N_CELLS, genes=gene_names(600), x=some_cells() - 1)
        said = "X looks scaled (negative values). Choose counts or log values."
        assert refusal(predictor, open_files(path), Parameters("gut")) == said

    def test_missing_values(self, predictor: Predictor, tmp_path: Path, open_files: Opener) -> None:
        x = some_cells()
        x[3, 4] = np.nan
        study = open_files(write_study(tmp_path / "s.h5ad", cells=N_CELLS, genes=gene_names(600), x=x))
        with pytest.raises(PredictionRefused, match="missing values"):
            predictor.predict(study, Parameters("gut"))

    def test_another_organism(self, predictor: Predictor, tmp_path: Path, open_files: Opener) -> None:
        mouse = [name.title() for name in gene_names(600)]
        study = open_files(write_study(tmp_path / "m.h5ad", cells=N_CELLS, genes=mouse, x=some_cells()))
        assert refusal(predictor, study, Parameters("gut")) == "gut is human but gene names look like mouse."
        # Then there is the next thing in the way.
        assert refusal(predictor, study, Parameters("gut", any_organism=True)).startswith("Only 0 of ")

    @pytest.mark.parametrize(("n_genes", "is_enough"), [(600, True), (260, True), (249, False)])
    def test_few_genes(
        self, predictor: Predictor, tmp_path: Path, open_files: Opener, n_genes: int, is_enough: bool
    ) -> None:
        x = some_cells()[:, :n_genes]
        study = open_files(write_study(tmp_path / "f.h5ad", cells=N_CELLS, genes=gene_names(n_genes), x=x))
        if not is_enough:
            n_markers = predictor.preflight(
                open_files(write_study(tmp_path / "g.h5ad", cells=N_CELLS, genes=gene_names(600), x=some_cells())),
                Parameters("gut"),
            ).n_markers
            said = refusal(predictor, study, Parameters("gut"))
            assert said.startswith("Only 2") and f" of {n_markers:,} marker genes were found. Check gene IDs (" in said
            return
        preflight = predictor.predict(study, Parameters("gut")).preflight
        assert preflight.n_found <= n_genes
        assert bool(preflight.warnings) == (preflight.n_found < preflight.n_markers / 2)
        if preflight.warnings:
            assert preflight.warnings == (f"Only {preflight.found_text} Labels may be less certain.",)

    def test_other_identifiers(self, predictor: Predictor, tmp_path: Path, open_files: Opener) -> None:
        ensembl = [f"ENSG{place:011d}" for place in range(600)]
        study = open_files(write_study(tmp_path / "e.h5ad", cells=N_CELLS, genes=ensembl, x=some_cells()))
        said = refusal(predictor, study, Parameters("gut"))
        assert said.startswith("Only 0 of ")
        assert "(ENSG00000000000 here, GENE" in said


class TestRun:
    def test_steps_are_told_in_order(self, predictor: Predictor, study: Study) -> None:
        told: list[str] = []
        predictor.predict(study, Parameters("gut"), control=Control(lambda step, *_: told.append(step)))
        steps = [step for step in dict.fromkeys(told) if step != "Preparing (once)"]
        assert steps == ["load", "match genes", "train", "score", "fine-tune", "prune"]

    def test_it_can_be_cancelled_at_any_time(
        self, predictor: Predictor, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "temporary").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
        monkeypatch.setattr(prediction_module, "IN_MEMORY", 0)
        n_asked = 0
        while n_asked < 100:
            left = iter([False] * n_asked)
            try:
                predictor.predict(
                    study, Parameters("gut"), control=Control(is_cancelled=lambda left=left: next(left, True))
                )
            except Cancelled:
                assert not list((tmp_path / "temporary").iterdir())
                n_asked += 1
                continue
            break
        assert n_asked >= 5

    def test_trained_references_are_kept(
        self, predictor: Predictor, study: Study, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = predictor.predict(study, Parameters("gut"))

        def never(*_: Any, **__: Any) -> None:
            raise AssertionError("it is kept")

        monkeypatch.setattr("iscan_dash.core.singler.train.train", never)
        assert same(predictor.predict(study, Parameters("gut")), before)

    def test_a_reference_that_is_replaced_meanwhile(
        self, registry: Registry, predictor: Predictor, study: Study
    ) -> None:
        assert registry.shared
        before = predictor.predict(study, Parameters("gut"))
        write_profiles(registry.shared / "gut.h5ad", x=some_profiles(LABELS, seed=7))
        after = predictor.predict(study, Parameters("gut"))
        assert before.recipe["reference_checksum"] != after.recipe["reference_checksum"]
        assert not np.array_equal(before.best_score(), after.best_score())

    def test_the_recipe_is_plain(self, predictor: Predictor, study: Study) -> None:
        found = predictor.predict(study, Parameters("gut", samples=("one",), by_cluster="leiden"))
        recipe = json.loads(json.dumps(found.recipe))
        assert recipe == found.recipe
        assert {name: recipe[name] for name in ("method", "reference", "samples", "by_cluster", "matrices")} == {
            "method": "SingleR",
            "reference": "gut",
            "samples": ["one"],
            "by_cluster": "leiden",
            "matrices": {"cells": {"key": "X", "kind": "counts"}},
        }
        assert recipe["reference_checksum"].startswith("sha256:")
        assert set(recipe["versions"]) == {"iscan-dash", "numba", "numpy"}

    def test_summary(self, predictor: Predictor, study: Study) -> None:
        lines = summary(predictor.predict(study, Parameters("gut", nmads=None)))
        assert lines[1:] == [
            "X of cells: counts.",
            "90 cells: 89 labelled with 4 labels.",
            "1 cell without: no marker genes detected.",
        ]
        assert lines[0].startswith("gut, 4 labels: ") and lines[0].endswith("reference marker genes found (100%).")


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{method}_{reference}_{granularity}", "SingleR_gut_fine"),
        ("mine", "mine"),
        ("a } b {", "a } b {"),
        ("", ""),
    ],
)
def test_names(template: str, name: str) -> None:
    assert resolved_name(template, Parameters("gut", "fine")) == name


@pytest.mark.parametrize("inside", ["", "lab", "reference.x", "0", "Method"])
def test_unknown_placeholders(inside: str) -> None:
    with pytest.raises(NameRefused) as caught:
        resolved_name(f"x {{{inside}}}", Parameters("gut"))
    assert caught.value.code == "E11"
    assert str(caught.value) == f"Unknown placeholder {{{inside}}}. Use {{method}}, {{reference}} or {{granularity}}."
