"""Cells are inspected by the columns there are, in the expression of any study, read once for all users."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.markers import Comparer
from iscan_dash.core.study import open_study
from iscan_dash.errors import IscanError, PredictionRefused, UnknownColumn
from iscan_dash.services import expression_samples as module
from iscan_dash.services.expression_samples import ExpressionSamples
from iscan_dash.services.inspection import Inspection, MarkerReport, Superseded
from iscan_dash.services.workspace import Source, Workspace
from tests.studies import log1p_cp10k, some_counts, write_study

N_CELLS = 60
FIRST = np.arange(N_CELLS) < 20

Inspect = Callable[..., Inspection]


@pytest.fixture
def samples() -> Iterator[ExpressionSamples]:
    made = ExpressionSamples()
    yield made
    made.close()


@pytest.fixture
def inspect(tmp_path: Path, samples: ExpressionSamples) -> Iterator[Inspect]:
    opened: list[Workspace] = []

    def open_(*paths: Path) -> Inspection:
        (tmp_path / "drafts").mkdir(exist_ok=True)
        opened.append(Workspace(open_study(paths), user="ada", folder=tmp_path / "drafts"))
        return Inspection(opened[-1], samples)

    yield open_
    samples.close()
    for workspace in opened:
        workspace.close()
        workspace.study.close()


def counts_with_markers() -> np.ndarray:
    counts = some_counts(N_CELLS, 6)
    counts[:20, 3] += 8
    return counts


def study_path(folder: Path, name: str = "s", **parts: Any) -> Path:
    obs = {
        "fate": pd.Categorical(["T"] * 15 + ["B"] * 5 + [None] * 40),
        "leiden": pd.Categorical(["0"] * 30 + ["1"] * 30),
        "score": np.linspace(0, 1, N_CELLS),
    }
    parts = {"genes": 6, "x": counts_with_markers(), **parts}
    return write_study(folder / f"{name}.h5ad", obs, **parts)


def report(inspection: Inspection, mask: np.ndarray) -> MarkerReport:
    """Return the markers, as soon as the expression is read."""
    end = time.monotonic() + 10
    while isinstance(found := inspection.markers(mask, "page"), float):
        assert 0 <= found <= 1
        assert time.monotonic() < end
    return found


def test_columns_clusters_first_then_the_newest_annotation(tmp_path: Path, inspect: Inspect) -> None:
    inspection = inspect(study_path(tmp_path))
    workspace = inspection._workspace
    made = [workspace.create_from_existing(name, [], CombineRecipe("Unassigned")) for name in ("old", "new")]
    assert [(column.source, column.name) for column in inspection.columns()] == [
        (Source("cluster", "leiden"), "leiden"),
        (Source("annotation", made[1].id), "new"),
        (Source("annotation", made[0].id), "old"),
        (Source("metadata", "fate"), "fate"),
    ]
    for column in inspection.columns():
        assert inspection.composition(column.source, FIRST).n_cells == 20


def test_composition(tmp_path: Path, inspect: Inspect) -> None:
    inspection = inspect(study_path(tmp_path))
    found = inspection.composition(Source("metadata", "fate"), FIRST)
    assert [(part.label, part.count, part.total) for part in found.parts] == [("T", 15, 15), ("B", 5, 5)]
    assert (found.purity, found.n_missing) == (0.75, 0)
    for source in (Source("metadata", "score"), Source("metadata", "none"), Source("annotation", "none")):
        with pytest.raises(UnknownColumn):
            inspection.composition(source, FIRST)


@pytest.mark.parametrize("is_logged", [True, False])
def test_markers(tmp_path: Path, inspect: Inspect, is_logged: bool) -> None:
    counts = counts_with_markers()
    inspection = inspect(study_path(tmp_path, x=log1p_cp10k(counts) if is_logged else counts))
    found = report(inspection, FIRST)
    assert found.markers[0].gene == "GENE3"
    assert found.markers[0].inside == 1.0
    assert found.markers[0].outside == (counts[20:, 3] > 0).mean()
    assert found.sides.is_whole
    assert found.matrix == ("X (log1p, constant total per cell)" if is_logged else "X (counts)")
    # The same whichever way the values are kept.
    logged = log1p_cp10k(counts)
    assert found.markers[0].difference == pytest.approx(logged[:20, 3].mean() - logged[20:, 3].mean(), rel=1e-4)


def test_genes_that_all_files_have(tmp_path: Path, inspect: Inspect) -> None:
    counts = counts_with_markers()
    genes = [f"GENE{number}" for number in range(6)]
    other = [4, 3, 1, 0]
    paths = [
        study_path(tmp_path, "a", genes=genes, x=counts),
        study_path(tmp_path, "b", genes=[genes[place] for place in other], x=log1p_cp10k(counts)[:, other]),
    ]
    found = report(inspect(*paths), np.concatenate([FIRST, FIRST]))
    assert found.markers[0].gene == "GENE3"
    assert {marker.gene for marker in found.markers} <= {"GENE0", "GENE1", "GENE3", "GENE4"}
    assert (found.sides.n_inside, found.sides.n_outside) == (40, 80)
    assert found.matrix == "X (counts), X (log values (size factor unknown))"


def test_names_that_repeat_stand_for_the_first(tmp_path: Path, inspect: Inspect) -> None:
    counts = counts_with_markers()
    found = report(inspect(study_path(tmp_path, genes=["A", "", "C", "D", "A", "C"], x=counts)), FIRST)
    assert found.markers[0].gene == "D"
    assert {marker.gene for marker in found.markers} <= {"A", "C", "D"}


def test_scaled_values_tell_nothing_of_expression(tmp_path: Path, inspect: Inspect) -> None:
    inspection = inspect(study_path(tmp_path, x=log1p_cp10k(counts_with_markers()) - 1))
    with pytest.raises(PredictionRefused, match=r"^Marker genes need a matrix of counts or log values"):
        inspection.markers(FIRST, "page")


def test_the_expression_is_read_once_for_all_users(
    tmp_path: Path, inspect: Inspect, samples: ExpressionSamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, times = module.read_sample, []
    monkeypatch.setattr(module, "read_sample", lambda *values: times.append(1) or read(*values))
    path = study_path(tmp_path)
    one = inspect(path)
    report(one, FIRST)
    report(one, ~FIRST)
    study = one._workspace.study
    assert samples.get(study.with_choices(study.choices)) is samples.get(study)
    assert len(times) == 1
    # What a user says that the matrix holds is another reading; the first is kept beside it.
    one._workspace.choose(matrix_kinds={"s:X": "log"})
    assert report(one, FIRST).matrix == "X (log values (size factor unknown))"
    assert isinstance(samples.get(study), Comparer)
    assert len(times) == 2


def test_a_reading_that_fails_is_told_and_tried_again(
    tmp_path: Path, inspect: Inspect, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspection = inspect(study_path(tmp_path))
    read = module.read_sample

    def fail(*_: Any) -> Any:
        raise OSError("disk on fire")

    monkeypatch.setattr(module, "read_sample", fail)
    with pytest.raises(OSError, match="disk on fire"):
        report(inspection, FIRST)
    monkeypatch.setattr(module, "read_sample", read)
    assert report(inspection, FIRST).markers


def test_closing_ends_a_reading(tmp_path: Path, inspect: Inspect, monkeypatch: pytest.MonkeyPatch) -> None:
    inspection = inspect(study_path(tmp_path))
    begun = threading.Event()

    def read(_files: Any, _genes: Any, tell: Callable[[int, int], None]) -> Any:
        begun.set()
        while True:
            tell(1, 4)
            time.sleep(0.005)

    monkeypatch.setattr(module, "read_sample", read)
    assert inspection.markers(FIRST, "page") == 0.25
    assert begun.is_set()
    inspection._samples.close()
    with pytest.raises(IscanError, match="being stopped"):
        inspection.markers(FIRST, "page")


def test_a_newer_question_of_the_same_page_ends_the_older(tmp_path: Path, inspect: Inspect) -> None:
    inspection = inspect(study_path(tmp_path))
    report(inspection, FIRST)
    older, other = inspection.checker("page"), inspection.checker("another page")
    older()
    inspection.markers(FIRST, "page")
    with pytest.raises(Superseded):
        older()
    other()
