"""Gene indices are made in the background, and whatever happens meanwhile, genes are read as they are."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from iscan_dash.core.study import Study, gene_index
from iscan_dash.core.study.gene_index import index_key
from iscan_dash.errors import StorageError
from iscan_dash.services import gene_index_folder, gene_indexing
from iscan_dash.services.gene_index_folder import ENDING, IndexFolder
from iscan_dash.services.gene_indexing import GeneIndexing, IndexState, Progress
from tests.conftest import Opener
from tests.limits import no_more_files, posix
from tests.services.test_faults import small_disk
from tests.studies import some_counts, write_study

CHECKOUT = Path(__file__).parents[2]
MOST = 1_000_000_000
LARGE = (20_000, 400)

Indexing = Callable[..., GeneIndexing]


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gene_index, "SMALLEST", 1)
    monkeypatch.setattr(gene_index_folder, "SPARE", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gene-index"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_study(tmp_path / "small.h5ad", cells=60, genes=8, layers={"other": some_counts(60, 8, seed=1)})


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A matrix that takes a second to be turned: 8 million values that do not compress."""
    path = write_study(
        tmp_path_factory.mktemp("large") / "large.h5ad", cells=LARGE[0], genes=LARGE[1], x=np.zeros(LARGE)
    )
    with h5py.File(path, "r+") as stored:
        stored["X"][...] = np.random.default_rng(0).random(LARGE)
    return path


@pytest.fixture
def indexing(folder: Path) -> Iterator[Indexing]:
    """Begin to make indices for a study."""
    begun: list[GeneIndexing] = []

    def begin(study: Study, most: int = MOST) -> GeneIndexing:
        begun.append(GeneIndexing(study, folder, most))
        begun[-1].start()
        return begun[-1]

    yield begin
    for own in begun:
        own.close()


def until(own: GeneIndexing, state: IndexState, n_matrices: int = 1) -> Progress:
    """Wait until all that is wanted has come so far; return the last."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = own.progress()
        if len(found) == n_matrices and all(one.state is state for one in found):
            return found[-1]
        time.sleep(0.005)
    raise AssertionError(f"not {state}: {own.progress()}")


def until_last(own: GeneIndexing, state: IndexState) -> Progress:
    """Wait until the one that was wanted last has come so far, whatever became of the others."""
    end = time.monotonic() + 60
    while (found := own.progress()[-1]).state is not state:
        assert time.monotonic() < end
        time.sleep(0.005)
    return found


def until_begun(folder: Path) -> None:
    end = time.monotonic() + 30
    while not list(folder.glob("*.part")):
        assert time.monotonic() < end, "no index was begun"
        time.sleep(0.002)


def check_genes(study: Study) -> None:
    """Compare every gene with the matrix as it is stored."""
    dataset = study.datasets[0]
    whole = dataset.file["X"][:]
    for place, name in enumerate(dataset.gene_names()):
        np.testing.assert_array_equal(study.gene(name).values, whole[:, place].astype(np.float32))


def workers() -> list[psutil.Process]:
    return [own for own in psutil.Process().children(recursive=True) if is_worker(own)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return "iscan_dash.services.gene_index_worker" in process.cmdline()
    except psutil.Error:
        # It has ended.
        return False


def held(folder: Path) -> psutil.Process:
    """Hold the process that makes an index as soon as it has begun."""
    until_begun(folder)
    (worker,) = workers()
    worker.suspend()
    assert list(folder.glob("*.part")), "the index was made before its process was held"
    return worker


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


@posix
def test_a_process_that_is_done_ends_in_silence(file: Path, folder: Path, open_files: Opener) -> None:
    (dataset,) = open_files(file).datasets
    digest = index_key(dataset.matrices["X"], dataset.stamp)
    order = {"path": str(file), "matrix": "X", "key": digest, "damaged": None, "folder": str(folder), "most": MOST}
    worker = subprocess.Popen(
        [sys.executable, "-m", "iscan_dash.services.gene_index_worker"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with worker:
        assert worker.stdin and worker.stdout and worker.stderr
        worker.stdin.write(f"{json.dumps(order)}\n".encode())
        worker.stdin.flush()
        while json.loads(worker.stdout.readline()).get("end") != "made":
            pass
        # The server stops at this moment.
        worker.terminate()
        assert (worker.wait(30), worker.stderr.read()) == (0, b"")


def test_an_index_is_made_and_used_and_found_by_the_next_server(
    file: Path, folder: Path, open_files: Opener, indexing: Indexing
) -> None:
    study = open_files(file)
    before = file.read_bytes()
    ready = until(indexing(study), IndexState.READY)
    (made,) = folder.glob(f"*{ENDING}")
    assert (ready.file, ready.matrix, ready.part, ready.size) == ("small.h5ad", "X", 1, made.stat().st_size)
    assert not study.datasets[0].is_searched("X")
    check_genes(study)
    assert file.read_bytes() == before

    os.utime(made, (0, 0))
    until(indexing(open_files(file)), IndexState.READY)
    assert kept(folder) == [made.name]
    # So that what is used is kept.
    assert made.stat().st_mtime > 0


def test_another_matrix_gets_one_when_a_gene_is_searched_for_in_it(
    file: Path, open_files: Opener, indexing: Indexing
) -> None:
    study = open_files(file)
    own = indexing(study)
    until(own, IndexState.READY)
    values = study.gene("GENE3", "layers/other").values
    assert until(own, IndexState.READY, 2).matrix == "layers/other"
    np.testing.assert_array_equal(study.gene("GENE3", "layers/other").values, values)
    np.testing.assert_array_equal(values, some_counts(60, 8, seed=1)[:, 3])


def test_small_studies_and_those_of_whole_genes_need_none(
    file: Path, folder: Path, open_files: Opener, indexing: Indexing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gene_index, "SMALLEST", 1000)
    assert indexing(open_files(file)).progress() == []
    assert not folder.exists()


def test_there_are_none_when_they_are_switched_off(
    file: Path, folder: Path, open_files: Opener, indexing: Indexing
) -> None:
    study = open_files(file)
    own = indexing(study, most=0)
    check_genes(study)
    assert own.progress() == []
    assert not folder.exists()


class TestAgain:
    """What was given up is tried again when a gene is searched for after a pause."""

    def test_after_a_fault_that_is_over(
        self, file: Path, folder: Path, open_files: Opener, indexing: Indexing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder.write_text("a file")
        study = open_files(file)
        own = indexing(study)
        until(own, IndexState.FAILED)
        folder.unlink()
        study.gene("GENE1")
        assert [one.state for one in own.progress()] == [IndexState.FAILED]
        monkeypatch.setattr(gene_indexing, "PAUSE", 0)
        study.gene("GENE2")
        until(own, IndexState.READY)
        check_genes(study)

    @posix
    def test_what_cannot_be_read_for_a_while_is_not_made_again(
        self, file: Path, folder: Path, open_files: Opener, indexing: Indexing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        study = open_files(file)
        own = indexing(study)
        until(own, IndexState.READY)
        (made,) = folder.glob(f"*{ENDING}")
        before = made.stat()
        with no_more_files():
            values = study.gene("GENE1").values
            assert "cannot be read: Too many open files." in until(own, IndexState.FAILED).message
        np.testing.assert_array_equal(values, some_counts(60, 8)[:, 1])
        monkeypatch.setattr(gene_indexing, "PAUSE", 0)
        study.gene("GENE2")
        until(own, IndexState.READY)
        after = made.stat()
        assert (after.st_ino, after.st_ctime_ns > before.st_ctime_ns) == (before.st_ino, True)
        assert after.st_size == before.st_size

    def test_what_nobody_expected_ends_one_index_and_not_those_to_come(
        self, file: Path, open_files: Opener, indexing: Indexing, caplog: pytest.LogCaptureFixture
    ) -> None:
        study = open_files(file)
        own = indexing(study)
        until(own, IndexState.READY)
        study.datasets[0].indices.searched("layers/none", None)
        assert (
            until_last(own, IndexState.FAILED).message
            == "Something went wrong (KeyError); the server's log has the details."
        )
        assert "KeyError: 'layers/none'" in caplog.text
        study.gene("GENE3", "layers/other")
        assert until_last(own, IndexState.READY).matrix == "layers/other"


class TestDamage:
    def test_one_that_was_cut_short_is_made_again(
        self, file: Path, folder: Path, open_files: Opener, indexing: Indexing
    ) -> None:
        until(indexing(open_files(file)), IndexState.READY)
        (made,) = folder.glob(f"*{ENDING}")
        whole = made.read_bytes()
        made.write_bytes(whole[:-20])
        study = open_files(file)
        until(indexing(study), IndexState.READY)
        assert made.read_bytes() == whole
        check_genes(study)

    def test_a_byte_that_flips_while_it_is_used_is_noticed_and_it_is_made_again(
        self, file: Path, folder: Path, open_files: Opener, indexing: Indexing
    ) -> None:
        study = open_files(file)
        own = indexing(study)
        until(own, IndexState.READY)
        (made,) = folder.glob(f"*{ENDING}")
        whole = made.read_bytes()
        made.write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
        check_genes(study)
        until(own, IndexState.READY)
        assert made.read_bytes() == whole
        check_genes(study)

    def test_one_that_another_server_has_made_again_is_kept(self, file: Path, folder: Path, open_files: Opener) -> None:
        dataset = open_files(file).datasets[0]
        key = index_key(dataset.matrices["X"], dataset.stamp)

        def make(damaged: int | None) -> tuple[int, bytes]:
            IndexFolder(folder, MOST).make(dataset, "X", key, lambda _: None, lambda: None, damaged=damaged)
            return made.stat().st_ino, made.read_bytes()

        made = folder / f"{key}{ENDING}"
        whole = make(None)
        # Held open, so that no other file gets its number.
        with made.open("r+b") as stored:
            assert make(3) == whole
            stored.seek(20)
            stored.write(bytes([whole[1][20] ^ 1]))
            stored.flush()
            assert make(7)[0] == whole[0]
            again = make(0)
        assert again[0] != whole[0]
        assert again[1] == whole[1]

    def test_that_of_a_file_that_was_exchanged_is_not_used(
        self, file: Path, folder: Path, open_files: Opener, indexing: Indexing
    ) -> None:
        until(indexing(open_files(file)), IndexState.READY)
        times, size = file.stat(), file.stat().st_size
        file.unlink()
        write_study(
            file, cells=60, genes=8, x=some_counts(60, 8)[::-1].copy(), layers={"other": some_counts(60, 8, seed=1)}
        )
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert file.stat().st_size == size
        study = open_files(file)
        until(indexing(study), IndexState.READY)
        check_genes(study)
        assert len(kept(folder)) == 2

    def test_a_file_that_is_changed_before_the_index_is_made(
        self, file: Path, folder: Path, open_files: Opener, indexing: Indexing
    ) -> None:
        study = open_files(file)
        file.touch()
        failed = until(indexing(study), IndexState.FAILED)
        assert "was changed after it was opened" in failed.message
        assert not folder.exists()

    def test_one_of_a_file_that_is_changed_while_it_is_used_is_kept_and_not_used(
        self, file: Path, folder: Path, open_files: Opener, indexing: Indexing
    ) -> None:
        study = open_files(file)
        own = indexing(study)
        until(own, IndexState.READY)
        names = kept(folder)
        file.touch()
        check_genes(study)
        assert "was changed after it was opened" in until(own, IndexState.FAILED).message
        assert kept(folder) == names


@posix
class TestKilled:
    def test_the_process_that_makes_it(
        self, large_file: Path, folder: Path, open_files: Opener, indexing: Indexing
    ) -> None:
        study = open_files(large_file)
        own = indexing(study)
        held(folder).kill()
        assert "ended with code -9" in until(own, IndexState.FAILED).message
        assert [Path(name).suffix for name in kept(folder)] == [".part"]
        assert study.gene("GENE7").values.tolist() == study.datasets[0].file["X"][:, 7].astype("f4").tolist()

        # The next server clears up and makes it.
        study = open_files(large_file)
        until(indexing(study), IndexState.READY)
        assert [Path(name).suffix for name in kept(folder)] == [ENDING]
        np.testing.assert_array_equal(study.gene("GENE7").values, study.datasets[0].file["X"][:, 7].astype("f4"))

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
    def test_the_server(self, large_file: Path, folder: Path, how: signal.Signals) -> None:
        serve = (
            "import sys, time; from pathlib import Path; from iscan_dash.core.study import gene_index, open_study\n"
            "from iscan_dash.services.gene_indexing import GeneIndexing\n"
            "gene_index.SMALLEST = 1\n"
            f"GeneIndexing(open_study([Path({str(large_file)!r})]), Path({str(folder)!r}), {MOST}).start()\n"
            "time.sleep(60)"
        )
        server = subprocess.Popen([sys.executable, "-c", serve], cwd=CHECKOUT)
        worker = held(folder)
        server.send_signal(how)
        server.wait(10)
        assert kept(folder) != []
        worker.resume()
        worker.wait(10)
        assert kept(folder) == []

    def test_a_server_that_stops_leaves_nothing(
        self, large_file: Path, folder: Path, open_files: Opener, indexing: Indexing
    ) -> None:
        own = indexing(open_files(large_file))
        worker = held(folder)
        begun = time.monotonic()
        threading.Timer(0.2, worker.resume).start()
        own.close()
        assert time.monotonic() - begun < 4
        assert kept(folder) == []
        assert workers() == []


def test_two_servers_make_it_once(large_file: Path, folder: Path, open_files: Opener, indexing: Indexing) -> None:
    studies = [open_files(large_file) for _ in range(2)]
    first = indexing(studies[0])
    worker = held(folder)
    second = indexing(studies[1])
    until(second, IndexState.WAITS)
    worker.resume()
    made = until(first, IndexState.READY)
    assert until(second, IndexState.READY).size == made.size
    assert [Path(name).suffix for name in kept(folder)] == [ENDING]
    np.testing.assert_array_equal(studies[0].gene("GENE9").values, studies[1].gene("GENE9").values)


class TestDisk:
    def test_too_little_space_is_told_before(
        self, file: Path, folder: Path, indexing: Indexing, open_files: Opener
    ) -> None:
        folder.mkdir()
        with small_disk(folder, "1m"):
            study = open_files(file)
            failed = until(indexing(study), IndexState.FAILED)
            check_genes(study)
            assert kept(folder) == []
        assert "0.0 GB are free. Make space there" in failed.message

    def test_it_is_full_while_the_index_is_written(self, large_file: Path, folder: Path, open_files: Opener) -> None:
        folder.mkdir()
        dataset = open_files(large_file).datasets[0]
        key = index_key(dataset.matrices["X"], dataset.stamp)
        with small_disk(folder, "40m"):
            disk = gene_index_folder.shutil.disk_usage(folder)
            assert disk.free < 8 * dataset.matrices["X"].stored
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(gene_index_folder, "SPARE", -MOST)
                with pytest.raises(StorageError, match="No space left on device"):
                    IndexFolder(folder, MOST).make(dataset, "X", key, lambda _: None, lambda: None)
            assert kept(folder) == []
            # Nothing is left open that takes space.
            assert gene_index_folder.shutil.disk_usage(folder).free == disk.free

    def test_one_larger_than_all_may_be_is_not_made(
        self, file: Path, folder: Path, open_files: Opener, indexing: Indexing
    ) -> None:
        failed = until(indexing(open_files(file), most=1000), IndexState.FAILED)
        assert "ISCAN_GENE_INDEX_GB" in failed.message
        assert kept(folder) == []

    def test_a_folder_that_cannot_be_made(
        self, file: Path, folder: Path, open_files: Opener, indexing: Indexing
    ) -> None:
        folder.write_text("a file")
        study = open_files(file)
        assert "cannot be written" in until(indexing(study), IndexState.FAILED).message
        check_genes(study)

    def test_those_that_were_used_longest_ago_make_room(self, file: Path, folder: Path, open_files: Opener) -> None:
        dataset = open_files(file).datasets[0]
        key = index_key(dataset.matrices["X"], dataset.stamp)
        folder.mkdir()
        for age in range(1, 5):
            other = folder / f"{age}{ENDING}"
            other.write_bytes(bytes(1000))
            os.utime(other, (time.time() - age, time.time() - age))
        IndexFolder(folder, 4200).make(dataset, "X", key, lambda _: None, lambda: None)
        size = (folder / f"{key}{ENDING}").stat().st_size
        n_kept = int((4200 - size) // 1000)
        assert 0 < n_kept < 4
        assert kept(folder) == sorted([*(f"{age}{ENDING}" for age in range(1, n_kept + 1)), f"{key}{ENDING}"])
