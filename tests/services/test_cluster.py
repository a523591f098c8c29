"""A cluster of real processes: what it finds is what this machine finds, whatever happens to its parts."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import sparse

from iscan_dash import __version__
from iscan_dash.cli import main
from iscan_dash.core.engine import chunks
from iscan_dash.core.engine.control import Cancelled, Control
from iscan_dash.core.engine.query import Query
from iscan_dash.core.enrichment.method import Method
from iscan_dash.core.enrichment.scores import ARRAYS
from iscan_dash.core.enrichment.scoring import score_sets
from iscan_dash.core.enrichment.sets import MatchedSet
from iscan_dash.core.gene_sets import GeneSet
from iscan_dash.core.references import Registry
from iscan_dash.core.singler.classify import Classified, classify
from iscan_dash.core.singler.reference import Reference
from iscan_dash.core.singler.train import Trained, train
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.errors import ClusterError, PredictionRefused, SettingsConflict
from iscan_dash.services import cluster as module
from iscan_dash.services.cluster import on_cluster
from iscan_dash.services.enrichment import score_study
from iscan_dash.services.enrichment_parameters import EnrichmentParameters, plain_parameters
from iscan_dash.services.enrichments import Enrichments
from iscan_dash.services.job_table import Job, JobState
from iscan_dash.services.jobs import Jobs
from iscan_dash.services.prediction import Predictor
from iscan_dash.services.prediction_parameters import Parameters
from iscan_dash.services.workspace import Workspace
from iscan_dash.services.workspaces import Workspaces
from iscan_dash.settings import Settings
from tests.clusters import ROOT, Cluster, deadly, once_deadly, refuse, squared
from tests.conftest import Opener
from tests.core.singler.cases import workload
from tests.predictions import write_cells
from tests.references import write_profiles

pytest.importorskip("distributed")

N_CELLS = 300


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start a scheduler and two workers."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.add_worker()
    cluster.add_worker()
    yield cluster
    cluster.close()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Start schedulers, without workers, for tests that end them."""
    started: list[Cluster] = []

    def start(**environment: str) -> Cluster:
        started.append(Cluster(tmp_path / f"cluster-{len(started)}", **environment))
        return started[-1]

    yield start
    for own in started:
        own.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANSWER", "NO_WORKERS"):
        monkeypatch.setattr(module, name, 1.5)
    monkeypatch.setattr(module, "LOOK", 0.2)


GENES = [f"gene {number}" for number in range(300)]


def cells(is_dense: bool = False) -> Query:
    counts = workload(N_CELLS)[2].astype(np.float32)
    return Query.of(GENES, counts.toarray() if is_dense else counts, MatrixKind.COUNTS, "counts")


@pytest.fixture(scope="module")
def trained() -> Trained:
    profiles, labels, _ = workload(N_CELLS)
    return train(Reference(GENES, profiles, labels), GENES)


@pytest.fixture(scope="module")
def here(trained: Trained) -> Classified:
    return classify(trained, cells())


def same(a: Classified, b: Classified) -> bool:
    pairs = [
        (a.first.scores, b.first.scores),
        (a.first.label, b.first.label),
        (a.first.delta, b.first.delta),
        (a.first.detected, b.first.detected),
        (a.tuned.label, b.tuned.label),
        (a.tuned.delta, b.tuned.delta),
        (a.pruned.is_pruned, b.pruned.is_pruned),
    ]
    return all(own.dtype == other.dtype and own.tobytes() == other.tobytes() for own, other in pairs)


# -- the same results ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "is_dense", "n_chunks"), [(900, False, 34), (20_000, False, 2), (9_000, True, 10), (10**9, True, 1)]
)
def test_labels_are_the_same_to_the_last_bit(
    cluster: Cluster,
    trained: Trained,
    here: Classified,
    monkeypatch: pytest.MonkeyPatch,
    values: int,
    is_dense: bool,
    n_chunks: int,
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_VALUES", values)
    heard: dict[str, list[int]] = {}
    control = Control(lambda step, done, _total: heard.setdefault(step, []).append(done))
    with on_cluster(cluster.address, control) as map_chunks:
        there = classify(trained, cells(is_dense), control=control, map_chunks=map_chunks)
        plain = classify(trained, cells(is_dense), threshold=None, nmads=1.0, map_chunks=map_chunks)
    assert same(there, here)
    assert same(plain, classify(trained, cells(), threshold=None, nmads=1.0))
    assert heard["score"] == sorted(heard["score"]) and heard["score"][-1] == heard["fine-tune"][-1] == N_CELLS
    assert len(heard["score"]) - 1 == len(heard["fine-tune"]) == n_chunks


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("n_results", [90, 10**9])
def test_scores_are_the_same_to_the_last_bit(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Method, n_results: int
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_RESULTS", n_results)
    counts = workload(60)[2].astype(np.float64)
    counts.data[::50] = np.nan
    query = Query.of(GENES, sparse.csr_array(counts), MatrixKind.COUNTS)
    sets = [
        MatchedSet("up and down", np.array([3, 9, 20]), 2, 2, np.array([1.0, 1.0, -1.0])),
        MatchedSet("large", np.arange(40, 120), 90),
        MatchedSet("without genes", np.array([], np.int64), 3),
    ]
    scores = score_sets(query, sets, method, threads=2)
    with on_cluster(cluster.address, Control()) as map_chunks:
        there = score_sets(query, sets, method, folder=tmp_path, map_chunks=map_chunks)
    assert there.n_not_finite == scores.n_not_finite > 0
    for name in ARRAYS:
        own, other = getattr(scores, name), getattr(there, name)
        assert own.dtype == other.dtype and own.tobytes() == other.tobytes(), name


def test_what_an_engine_refuses_is_refused_in_its_words(cluster: Cluster, trained: Trained) -> None:
    counts = workload(20)[2].astype(np.float32)
    counts.data[-1] = np.nan
    query = Query.of(GENES, counts, MatrixKind.COUNTS, "layers/counts")
    with on_cluster(cluster.address, Control()) as map_chunks:
        with pytest.raises(PredictionRefused, match="layers/counts has missing values"):
            classify(trained, query, map_chunks=map_chunks)
        with pytest.raises(PredictionRefused, match="not so") as refused:
            list(map_chunks(refuse, "not so", [1, 2, 3]))
        with pytest.raises(ClusterError, match=r"ran out of memory.*--memory-limit"):
            list(map_chunks(np.empty, 2**60, [np.uint8]))
        assert refused.value.code == "E15"
        with pytest.raises(PredictionRefused, match="looks scaled"):
            classify(trained, Query.of(GENES, counts, MatrixKind.SCALED), map_chunks=map_chunks)


def test_few_chunks_are_read_ahead(cluster: Cluster) -> None:
    read = 0

    def numbers() -> Iterator[int]:
        nonlocal read
        for number in range(1, 41):
            read = number
            yield number

    with on_cluster(cluster.address, Control()) as map_chunks:
        for place, found in enumerate(map_chunks(squared, 3, numbers()), start=1):
            assert found == 3 * place * place
            assert read - place <= module.AHEAD * 2
    assert read == 40


def test_a_job_that_is_not_wanted_any_more_ends(cluster: Cluster, trained: Trained) -> None:
    done = 0

    def tell(_step: str, own: int, _total: int) -> None:
        nonlocal done
        done = own

    control = Control(tell, lambda: done > 0)
    with pytest.raises(Cancelled), on_cluster(cluster.address, control) as map_chunks:
        classify(trained, cells(), control=control, map_chunks=map_chunks)


# -- what gets lost --------------------------------------------------------------------------------------------------


def test_the_chunks_of_a_lost_worker_are_done_again(
    cluster: Cluster, trained: Trained, here: Classified, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_VALUES", 900)
    lost = cluster.workers[0]

    def tell(step: str, done: int, _total: int) -> None:
        if step == "score" and done > N_CELLS // 3 and lost.poll() is None:
            os.kill(lost.pid, signal.SIGKILL)
            lost.wait()

    control = Control(tell)
    with on_cluster(cluster.address, control) as map_chunks:
        assert same(classify(trained, cells(), control=control, map_chunks=map_chunks), here)
        assert lost.returncode == -signal.SIGKILL
        # A chunk that is being done goes to another worker, and so does what all chunks need.
        cluster.add_worker()
        assert list(map_chunks(once_deadly, tmp_path / "marker", range(20))) == [*range(20)]
        assert (tmp_path / "marker").exists()
    cluster.add_worker()


def test_a_chunk_that_ends_its_workers_is_given_up(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    cluster.add_worker()
    with (
        pytest.raises(ClusterError, match=r"ended while .* same chunk of cells .*lack of memory.*--memory-limit"),
        on_cluster(cluster.address, Control()) as map_chunks,
    ):
        list(map_chunks(deadly, None, [1]))


def test_a_scheduler_that_is_gone_ends_the_job(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster()
    cluster.add_worker()
    with on_cluster(cluster.address, Control()) as map_chunks:
        found = map_chunks(squared, 1, range(10_000))
        assert [next(found) for _ in range(4)] == [0, 1, 4, 9]
        cluster.scheduler.kill()
        begun = time.monotonic()
        with pytest.raises(
            ClusterError, match=rf"^{module.TELL}.*scheduler {cluster.address} was lost .*Start it .* run the job again"
        ):
            list(found)
    assert time.monotonic() - begun < 10
    # Its workers end without it.
    assert cluster.workers[0].wait(30) is not None


def test_a_scheduler_that_hangs_ends_the_job(cluster: Cluster, hasty: None) -> None:
    try:
        with on_cluster(cluster.address, Control()) as map_chunks:
            found = map_chunks(squared, 1, range(10_000))
            assert next(found) == 0
            cluster.scheduler.send_signal(signal.SIGSTOP)
            with pytest.raises(ClusterError, match=rf"{cluster.address} does not answer \(waited 2 seconds\)"):
                list(found)
    finally:
        cluster.scheduler.send_signal(signal.SIGCONT)


def run_alone(code: str) -> str:
    """Run a program in a process of its own, as jobs are, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", JOIN + code], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    return done.stdout.strip()


JOIN = """
from iscan_dash.core.engine.control import Control
from iscan_dash.errors import ClusterError
from iscan_dash.services import cluster
from tests.clusters import squared
"""


def test_a_scheduler_that_cannot_be_reached_is_named() -> None:
    def said(address: str) -> str:
        return run_alone(
            f"""
cluster.CONNECT = 0.7
try:
    with cluster.on_cluster("{address}", Control()):
        pass
except ClusterError as error:
    print(error)
"""
        )

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        what = f"{module.TELL}The Dask scheduler {address} cannot be reached: "
        todo = ". Start it, or put its address right (ISCAN_DASK_SCHEDULER), and run the job again."
        # There is somebody who says nothing; then there is nobody.
        assert said(address) == f"{what}It said nothing for 1 seconds{todo}"
    assert said(address).startswith(what) and said(address).endswith(todo)
    # Without certificates.
    begins = f"{module.TELL}The Dask scheduler tls://127.0.0.1:1 cannot be reached: TLS expects"
    assert said("tls://127.0.0.1:1").startswith(begins)


def test_a_scheduler_that_is_lost_is_told_in_a_sentence(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster()
    cluster.add_worker()
    code = f"""
import os, signal, sys
try:
    with cluster.on_cluster("{cluster.address}", Control()) as map_chunks:
        found = map_chunks(squared, 1, range(10_000))
        next(found)
        os.kill({cluster.scheduler.pid}, signal.SIGKILL)
        list(found)
except ClusterError as error:
    print("said:", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", JOIN + code], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.startswith(f"said: {module.TELL}")


def test_a_process_can_join_twice(cluster: Cluster) -> None:
    # Dask is new to it.
    found = run_alone(
        f"""
for factor in (2, 3):
    with cluster.on_cluster("{cluster.address}", Control()) as map_chunks:
        print(*map_chunks(squared, factor, range(4)))
"""
    )
    assert found == "0 2 8 18\n0 3 12 27"


def other_version(folder: Path, line: str) -> str:
    """Make a folder that, on Python's path, changes iscan-dash."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(line, encoding="utf-8")
    return str(folder)


def test_workers_that_are_not_there_or_differ_are_named(
    own_cluster: Callable[..., Cluster], hasty: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = other_version(tmp_path / "older", "import iscan_dash; iscan_dash.__version__ = '0.0.1'")
    without = other_version(tmp_path / "without", "import sys; sys.modules['iscan_dash'] = None")
    # A scheduler needs no iscan-dash.
    cluster = own_cluster(PYTHONPATH=without)

    def refused() -> str:
        with pytest.raises(ClusterError) as error, on_cluster(cluster.address, Control()) as map_chunks:
            list(map_chunks(squared, 1, [1, 2]))
        return str(error.value)

    said = refused()
    assert f"{cluster.address} has had no workers for 2 seconds" in said and "dask worker" in said
    # Workers take their time to start.
    for name in ("ANSWER", "NO_WORKERS"):
        monkeypatch.setattr(module, name, 60.0)
    worker = cluster.add_worker(PYTHONPATH=older)
    said = refused()
    assert said.startswith("The Dask worker tcp://127.0.0.1:")
    assert f"has other versions: iscan-dash 0.0.1 (here: {__version__}). Install the same everywhere" in said
    worker.kill()
    worker.wait()
    worker = cluster.add_worker(PYTHONPATH=without)
    assert f"lacks iscan_dash.services. Install iscan-dash[dask] {__version__}" in refused()
    # It may do the work of others.
    assert worker.poll() is None


# -- jobs and commands -----------------------------------------------------------------------------------------------

SETS = EnrichmentParameters((GeneSet("some", ("GENE1", "GENE2", "GENE70")), GeneSet("others", ("GENE400",))), "Mine")


@pytest.fixture
def workspaces(tmp_path: Path, open_files: Opener) -> Iterator[Workspaces]:
    (tmp_path / "shared").mkdir()
    write_profiles(tmp_path / "shared" / "gut.h5ad")
    workspaces = Workspaces(open_files(write_cells(tmp_path / "cells.h5ad")), annotations_dir=tmp_path / "drafts")
    yield workspaces
    workspaces.close()


@pytest.fixture
def ada(workspaces: Workspaces) -> Workspace:
    return workspaces.enter("a", "Ada")


Asker = Callable[[str], Jobs]


@pytest.fixture
def jobs_on(tmp_path: Path, workspaces: Workspaces) -> Iterator[Asker]:
    """Open the jobs of a server with a cluster."""
    opened: list[Jobs] = []

    def open_(address: str) -> Jobs:
        options = {
            "references": str(tmp_path / "installed"),
            "shared": str(tmp_path / "shared"),
            "trained": str(tmp_path / "trained"),
            "dask_scheduler": address,
        }
        opened.append(Jobs(workspaces, tmp_path / "server", options=options))
        return opened[-1]

    yield open_
    for jobs in opened:
        jobs.close()


def waited(jobs: Jobs, job: Job, is_so: Callable[[Job], bool] = lambda job: not job.is_active) -> Job:
    for _ in range(3000):
        if is_so(jobs.get(job.id)):
            return jobs.get(job.id)
        time.sleep(0.02)
    raise AssertionError("it does not happen")


def test_jobs_find_what_they_find_here(cluster: Cluster, jobs_on: Asker, ada: Workspace, tmp_path: Path) -> None:
    jobs = jobs_on(cluster.address)
    asked = [
        jobs.submit("prediction", "cells", {"reference": "gut"}, ada),
        jobs.submit("prediction", "groups", {"reference": "gut", "by_cluster": "leiden"}, ada),
        jobs.submit("enrichment", "sets", plain_parameters(SETS), ada),
    ]
    for job in asked:
        done = waited(jobs, job)
        assert (done.state, done.progress) == (JobState.FINISHED, 100), done.message
        assert "connect" in jobs.log(job.id)
    predictor = Predictor(Registry(tmp_path / "installed", tmp_path / "shared"))
    by_name = {annotation.live.name: annotation for annotation in ada.annotations()}
    for name, by_cluster in (("cells", None), ("groups", "leiden")):
        expected = predictor.predict(ada.study, Parameters("gut", by_cluster=by_cluster))
        assigned = [*np.array([*expected.labels, "Unassigned"])[expected.assigned()]]
        assert [by_name[name].column.labels[code] for code in by_name[name].codes] == assigned
        assert by_name[name].live.recipe == expected.recipe
    result = Enrichments(ada).result(str(jobs.get(asked[2].id).result))
    np.testing.assert_array_equal(result.scores.score, score_study(ada.study, SETS).scores.score)


def test_study_logs_say_that_the_scheduler_is_not_there(jobs_on: Asker, ada: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        jobs = jobs_on(address)
        job = jobs.submit("prediction", "x", {"reference": "gut"}, ada)
        waited(jobs, job, lambda job: job.step == "connect")
        # Nobody answers yet; a job that waits can be cancelled as any other.
        begun = time.monotonic()
        jobs.cancel(job.id, "a")
        assert waited(jobs, job).state is JobState.CANCELLED and time.monotonic() - begun < 5
    done = waited(jobs, jobs.submit("enrichment", "x", plain_parameters(SETS), ada))
    assert done.state is JobState.FAILED
    assert done.message.startswith(f"{module.TELL}The Dask scheduler {address} cannot be reached: ")
    assert done.message in jobs.log(done.id)


def test_commands_use_the_cluster(
    cluster: Cluster, ada: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISCAN_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "sets.gmt").write_text("some\t\tGENE1\tGENE2\nothers\t\tGENE400\n", encoding="utf-8")
    commands = (
        ["predict", "--references", tmp_path / "shared", "--reference", "gut"],
        ["enrich", "--gene-sets", tmp_path / "sets.gmt"],
    )
    for place, (command, *options) in enumerate(commands):
        tables = []
        for address in ("", cluster.address):
            monkeypatch.setenv("ISCAN_DASK_SCHEDULER", address)
            out = tmp_path / f"{place}-{bool(address)}.csv"
            arguments = [command, tmp_path / "cells.h5ad", *options, "-o", out]
            result = CliRunner().invoke(main, [*map(str, arguments)])
            assert result.exit_code == 0, result.output
            # The first line has the time.
            tables.append(out.read_text(encoding="utf-8").splitlines()[1:])
        assert tables[0] == tables[1] and len(tables[0]) > 100


def test_the_setting_is_checked_when_the_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings(dask_scheduler="tcp://10.0.0.5:8786").dask_scheduler == "tcp://10.0.0.5:8786"
    assert Settings(dask_scheduler="").dask_scheduler is None
    for wrong in ("10.0.0.5:8786", "http://cells:8786", "tcp://cells", "tcp://a b:1", "tcp://cells:8786/x"):
        with pytest.raises(SettingsConflict, match=r"such as tcp://10\.0\.0\.5:8786, not"):
            Settings(dask_scheduler=wrong)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsConflict, match=r"pip install '\.\[dask\]' in a checkout"):
        Settings(dask_scheduler="tcp://10.0.0.5:8786")
    assert Settings().dask_scheduler is None
