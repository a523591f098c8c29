"""Making a reference: its profiles are means of the cells, it labels them, and what cannot be is refused in words."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.engine.control import Cancelled, Control
from iscan_dash.core.references import Registry
from iscan_dash.core.references.load import load_reference
from iscan_dash.core.references.pooling import deal
from iscan_dash.core.references.registry import State
from iscan_dash.core.references.self_test import read_self_test
from iscan_dash.core.references.verify import verify
from iscan_dash.core.study import Study
from iscan_dash.errors import PredictionRefused, StorageError, UnknownColumn
from iscan_dash.services import make_reference as module
from iscan_dash.services.install import alone
from iscan_dash.services.job_kinds import KINDS, load_kind
from iscan_dash.services.job_table import JobState
from iscan_dash.services.jobs import Jobs
from iscan_dash.services.make_reference import (
    Labels,
    MadeReference,
    Wanted,
    check,
    group_cells,
    keep_reference,
    make_reference,
    organism_of,
    slug,
)
from iscan_dash.services.make_reference_job import LabelSource, MakeReference, MakeReferenceJob, label_source
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.shared import annotation_at
from iscan_dash.services.trained_cache import TrainedCache
from iscan_dash.services.workspace import Source, Workspace
from iscan_dash.services.workspaces import Workspaces
from tests.conftest import Opener
from tests.references import LABELS, gene_names, some_profiles, write_folder
from tests.studies import log1p_cp10k, write_study

NAMES = list(dict.fromkeys(LABELS))
N_CELLS = 240
TRUTH = [NAMES[place % 4] for place in range(N_CELLS)]
FINE = [f"{name} {'a' if place % 8 < 4 else 'b'}" for place, name in enumerate(TRUTH)]
GUT = Wanted(id="gut", name="Our gut", organism="human")


def some_counts() -> np.ndarray:
    values = some_profiles([*NAMES, *TRUTH], seed=1)[4:]
    counts: np.ndarray = np.random.default_rng(1).poisson(values / 2).astype(np.float32)
    return counts


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    return some_counts()


@pytest.fixture
def path(tmp_path: Path, counts: np.ndarray) -> Path:
    obs = {
        "kind": pd.Categorical(["Unknown" if place in {0, 5} else own for place, own in enumerate(TRUTH)]),
        "subkind": pd.Categorical([None if place == 7 else own for place, own in enumerate(FINE)]),
        "same": pd.Categorical(["one"] * N_CELLS),
        "sample": pd.Categorical(["s1" if place % 3 else "s2" for place in range(N_CELLS)]),
        "leiden": pd.Categorical([str(place % 4) for place in range(N_CELLS)]),
    }
    return write_study(tmp_path / "cells.h5ad", obs, genes=gene_names(600), x=counts)


@pytest.fixture
def study(path: Path, open_files: Opener) -> Study:
    return open_files(path)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "shared").mkdir()
    return Registry(tmp_path / "installed", tmp_path / "shared")


def made_of(study: Study, folder: Path, fine: str | None = None, **changes: Any) -> MadeReference:
    wanted = GUT.model_copy(update=changes)
    labels = None if fine is None else Labels(study.category(fine))
    return make_reference(study, wanted, Labels(study.category("kind")), labels, folder / wanted.id)


def test_profiles_are_means_of_log_values(study: Study, tmp_path: Path, counts: np.ndarray) -> None:
    made = made_of(study, tmp_path)
    adata = ad.read_h5ad(tmp_path / "gut" / "reference.h5ad")
    cells = group_cells(GUT, study.category("kind"), None)
    pools = deal(cells.groups, study.samples.codes, 10)
    logged = log1p_cp10k(counts).astype(np.float64)
    expected = np.array([logged[pools.profile == profile].mean(axis=0) for profile in range(pools.n_profiles)])
    np.testing.assert_allclose(adata.X, expected, rtol=1e-5, atol=1e-6)
    assert list(adata.obs["label_main"]) == [cells.labels["main"][group] for group in pools.group]
    assert list(adata.var_names) == gene_names(600)
    assert (made.n_cells, made.manifest.n_profiles, made.manifest.n_labels.main) == (N_CELLS - 2, 10, 4)
    assert made.summary[0] == "4 labels, 10 profiles of 238 cells."
    assert verify(tmp_path / "gut").problems == ()
    assert read_self_test(tmp_path / "gut") == made.test


def test_it_labels_the_cells_left_out_and_others(
    study: Study, tmp_path: Path, registry: Registry, counts: np.ndarray
) -> None:
    made = made_of(study, tmp_path, "subkind")
    main, fine = made.test.granularities["main"], made.test.granularities["fine"]
    assert main.tested == fine.tested > 30
    assert main.accuracy == 1.0
    # The two halves of a label do not differ at all: half of the guesses are right.
    assert fine.accuracy is not None and 0.2 < fine.accuracy < 0.8
    keep_reference(registry, tmp_path / "gut")
    entry = registry.ready("gut")
    assert (entry.name, entry.n_labels, entry.origin) == ("Our gut", {"main": 4, "fine": 8}, "shared")
    found = Predictor(registry, TrainedCache(tmp_path / "trained")).predict(study, Parameters("gut", nmads=None))
    assert [found.labels[code] for code in found.assigned()] == TRUTH


def test_it_is_the_same_for_any_threads(study: Study, tmp_path: Path) -> None:
    values = []
    for threads in (1, 3):
        folder = tmp_path / str(threads) / "gut"
        make_reference(study, GUT, Labels(study.category("kind")), None, folder, threads=threads)
        values.append((ad.read_h5ad(folder / "reference.h5ad").X, read_self_test(folder)))
    assert np.array_equal(values[0][0], values[1][0]) and values[0][1] == values[1][1]


def test_labels_are_left_out(study: Study, tmp_path: Path) -> None:
    made = made_of(study, tmp_path, exclude=("T cell",), id="without")
    labels = {own.label for own in made.test.granularities["main"].labels}
    # What means no label is left out only as long as nobody says what is.
    assert labels == {"B cell", "Monocyte", "NK cell", "Unknown"}
    entry = Registry(tmp_path / "installed", tmp_path).find("without")
    assert entry.state is State.READY


def test_rare_labels_have_a_profile_and_no_test(study: Study, tmp_path: Path) -> None:
    made = made_of(study, tmp_path, exclude=())
    (unknown,) = [own for own in made.test.granularities["main"].labels if own.label == "Unknown"]
    assert unknown.tested == 0
    assert group_cells(GUT.model_copy(update={"exclude": ()}), study.category("kind"), None).few("main") == ["Unknown"]


def test_terms_come_along(study: Study, tmp_path: Path) -> None:
    terms = {"T cell": "CL:0000084", "gone": "CL:1", "Unknown": "CL:2"}
    made = make_reference(study, GUT, Labels(study.category("kind"), terms), None, tmp_path / "gut")
    assert made.manifest.ontology.main == {"T cell": "CL:0000084"}
    registry = Registry(tmp_path / "installed", tmp_path)
    assert load_reference(registry, "gut", "main").terms == {"T cell": "CL:0000084"}


@pytest.mark.parametrize("kind", ["log", "csc"])
def test_other_matrices(tmp_path: Path, open_files: Opener, counts: np.ndarray, kind: str) -> None:
    from scipy import sparse

    x = log1p_cp10k(counts) if kind == "log" else sparse.csc_matrix(counts)
    obs = {"kind": pd.Categorical(TRUTH)}
    study = open_files(write_study(tmp_path / "other.h5ad", obs, genes=gene_names(600), x=x))
    made = make_reference(study, GUT, Labels(study.category("kind")), None, tmp_path / "gut")
    assert made.test.granularities["main"].accuracy == 1.0
    assert made.manifest.values == ("means of log1p values" if kind == "log" else "means of log1p(counts per 10,000)")


def test_what_is_refused(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(**changes: Any) -> str:
        with pytest.raises(PredictionRefused) as refused:
            made_of(study, tmp_path, **changes)
        assert not (tmp_path / "gut").exists()
        return str(refused.value)

    assert refusal(id="Our gut") == "An id has 1 to 64 small letters, digits and _."
    assert refusal(name=" ") == "Enter a name."
    assert refusal(name="a\nb") == "A name has up to 200 characters on one line."
    assert refusal(profiles=0) == refusal(profiles=51) == "Profiles for each label must be 1 to 50."
    only = refusal(exclude=("B cell", "Monocyte", "NK cell", "Unknown"))
    assert only.startswith("A reference needs two main labels to tell apart; of kind there is only T cell.")
    assert " there is none." in refusal(exclude=(*NAMES, "Unknown"))
    assert "two fine labels" in refusal(fine="same")
    with pytest.raises(UnknownColumn):
        made_of(study, tmp_path, matrix="layers/none")
    monkeypatch.setattr(module, "MOST_VALUES", 100)
    assert refusal() == "10 profiles of 600 genes are too many. Choose fewer profiles for each label."


def test_files_of_several_kinds_are_refused(tmp_path: Path, open_files: Opener, counts: np.ndarray) -> None:
    obs = {"kind": pd.Categorical(TRUTH)}
    one = write_study(tmp_path / "one.h5ad", obs, genes=gene_names(600), x=counts)
    two = write_study(tmp_path / "two.h5ad", obs, genes=gene_names(600), x=log1p_cp10k(counts))
    study = open_files(one, two)
    with pytest.raises(
        PredictionRefused, match=r"^The files have values of several kinds \(X of one: counts, X of two"
    ):
        make_reference(study, GUT, Labels(study.category("kind")), None, tmp_path / "gut")


def test_it_can_be_cancelled(study: Study, tmp_path: Path) -> None:
    for left in range(3):
        calls = iter([False] * left)
        control = Control(is_cancelled=lambda calls=calls: next(calls, True))
        with pytest.raises(Cancelled):
            make_reference(study, GUT, Labels(study.category("kind")), None, tmp_path / "gut", control=control)
        assert not (tmp_path / "gut").exists()


def test_it_is_kept_once(study: Study, tmp_path: Path, registry: Registry) -> None:
    made_of(study, tmp_path)
    assert check(GUT, registry) == {}
    assert keep_reference(registry, tmp_path / "gut") == tmp_path / "shared" / "gut"
    assert check(GUT, registry) == {"id": 'There is a reference "gut" already. Choose another id.'}
    assert set(check(GUT.model_copy(update={"id": "hpca"}), registry)) == {"id"}
    with pytest.raises(PredictionRefused, match="was added meanwhile"):
        keep_reference(registry, tmp_path / "gut")
    with alone(tmp_path / "shared", ""), pytest.raises(StorageError, match=r"^Another program is installing"):
        keep_reference(registry, tmp_path / "gut")
    assert [path.name for path in (tmp_path / "shared").iterdir() if not path.name.startswith(".")] == ["gut"]


def test_without_a_folder_of_ones_own_it_is_among_the_installed(study: Study, tmp_path: Path) -> None:
    made_of(study, tmp_path)
    registry = Registry(tmp_path / "installed")
    assert keep_reference(registry, tmp_path / "gut") == tmp_path / "installed" / "gut"
    assert registry.ready("gut").origin == "installed"


def test_small_words(study: Study) -> None:
    assert [slug(text) for text in ("Our Gut!", "Ä b", "___", "细胞", "x" * 70)] == ["our_gut", "a_b", "", "", "x" * 64]
    assert organism_of(study) == "human"


class TestJob:
    @pytest.fixture
    def workspaces(self, tmp_path: Path, study: Study) -> Iterator[Workspaces]:
        workspaces = Workspaces(study, annotations_dir=tmp_path / "drafts")
        yield workspaces
        workspaces.close()

    @pytest.fixture
    def ada(self, workspaces: Workspaces) -> Workspace:
        return workspaces.enter("a", "Ada")

    def test_it_is_a_kind_of_job(self) -> None:
        assert isinstance(load_kind(KINDS["reference"]), MakeReferenceJob)

    def test_an_annotation_is_read_as_it_was(self, ada: Workspace, study: Study) -> None:
        made = ada.create_from_existing("mine", [Source("metadata", "kind")], CombineRecipe("Unassigned"))
        source = label_source(ada, Source("annotation", made.id))
        ada.delete(made.id, made.version)
        labels = source.read(study)
        assert labels.column.labels == ("Unassigned", *study.category("kind").labels)
        # Drafts may be called otherwise by the time that the job begins.
        moved = source.model_copy(update={"journal": str(Path(source.journal).with_name("other.journal.db"))})
        assert np.array_equal(moved.read(study).column.codes, labels.column.codes)
        with pytest.raises(UnknownColumn):
            annotation_at(Path(source.journal), study.fingerprint, study.n_cells, made.id, 9)
        with pytest.raises(UnknownColumn):
            annotation_at(Path(source.journal), "other", study.n_cells, made.id, 1)

    def test_it_makes_a_reference(
        self, tmp_path: Path, workspaces: Workspaces, ada: Workspace, registry: Registry
    ) -> None:
        made = ada.create_from_existing("mine", [Source("metadata", "kind")], CombineRecipe("Unassigned"))
        options = {"references": str(tmp_path / "installed"), "shared": str(tmp_path / "shared")}
        jobs = Jobs(workspaces, tmp_path / "server", options=options)
        fine = LabelSource(kind="metadata", key="subkind")
        wanted = MakeReference(**GUT.model_dump(), main=label_source(ada, Source("annotation", made.id)), fine=fine)
        job = jobs.submit("reference", " Our gut ", wanted.model_dump(mode="json"), ada)
        for _ in range(3000):
            if not jobs.get(job.id).is_active:
                break
            time.sleep(0.02)
        job = jobs.get(job.id)
        log = jobs.log(job.id)
        jobs.close()
        assert job.state is JobState.FINISHED, job.message + log
        assert (job.name, job.result) == ("Our gut", "gut")
        assert job.message.startswith("It can be chosen now. 4 main and 8 fine labels, ")
        assert "Test by main labels: 100.0 % of " in job.message
        assert f"It was written to {tmp_path / 'shared' / 'gut'}." in log
        assert registry.ready("gut").n_labels == {"main": 4, "fine": 8}

    def test_what_cannot_be_is_refused_at_once(self, tmp_path: Path) -> None:
        write_folder(tmp_path / "gut")
        with pytest.raises(PredictionRefused, match=r"^An id has"):
            MakeReferenceJob().prepare(
                "x", {**GUT.model_dump(), "id": "../x", "main": {"kind": "metadata", "key": "kind"}}
            )
