"""Jobs with real processes: the queue, every end a job can have, and nothing left behind."""

import errno
import io
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import psutil
import pytest

from iscan_dash.core.study import Study
from iscan_dash.errors import JobRefused, PredictionRefused, StorageError
from iscan_dash.services import job_run, job_table
from iscan_dash.services import jobs as jobs_module
from iscan_dash.services.job_kinds import part_done
from iscan_dash.services.job_table import Job, JobState, JobTable
from iscan_dash.services.jobs import Jobs
from iscan_dash.services.workspaces import Workspaces
from tests.browser.server import plain_environment
from tests.conftest import Opener
from tests.services.job_kinds import KINDS
from tests.studies import write_study

CHECKOUT = Path(__file__).parents[2]

LONG: dict[str, Any] = {"to": 10_000, "pause": 0.01}


def until(is_so: Callable[[], bool], seconds: float = 40) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")


class Bench:
    """Jobs of a small study, opened as often as a test wants."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.workspaces = Workspaces(study, annotations_dir=folder / "drafts")
        self.folder = folder / "server"
        self.seen = folder
        self.opened: list[Jobs] = []
        self.ada, self.bob = self.workspaces.enter("a", "Ada"), self.workspaces.enter("b", "Bob")

    def jobs(self, **options: Any) -> Jobs:
        self.opened.append(Jobs(self.workspaces, self.folder, kinds=KINDS, options={"seen": str(self.seen)}, **options))
        return self.opened[-1]

    def pid(self, what: str) -> int:
        path = self.seen / f"{what}.pid"
        until(lambda: path.exists() and bool(path.read_text()))
        return int(path.read_text())

    def left(self) -> set[str]:
        """Return the kinds of files in the folder of jobs."""
        return {path.suffix for path in (self.folder / "jobs").iterdir()}


@pytest.fixture
def bench(tmp_path: Path, open_files: Opener) -> Iterator[Bench]:
    file = write_study(tmp_path / "few.h5ad", {"leiden": pd.Categorical(["0", "1", "0"]), "part": [0.5, 1.5, 2.5]})
    bench = Bench(open_files(file), tmp_path)
    yield bench
    for jobs in bench.opened:
        jobs.close()
    bench.workspaces.close()


def ended(jobs: Jobs, job: Job) -> Job:
    until(lambda: not jobs.get(job.id).is_active)
    return jobs.get(job.id)


def running(jobs: Jobs, job: Job) -> Job:
    until(lambda: jobs.get(job.id).progress > 0)
    assert jobs.get(job.id).state is JobState.RUNNING
    return jobs.get(job.id)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_job_is_done_by_a_process_and_its_owner_gets_the_result(bench: Bench) -> None:
    jobs = bench.jobs()
    before = jobs.version
    job = jobs.submit("count", "fates", {"to": 30, "pause": 0.05}, bench.ada)
    assert (job.user, job.user_name, job.name, jobs.title(job)) == ("a", "Ada", "fates", "Counting")
    steps = set()
    progress = [0]
    while jobs.get(job.id).is_active:
        now = jobs.get(job.id)
        steps.add(now.step)
        progress.append(now.progress)
        time.sleep(0.02)
    done = jobs.get(job.id)
    assert (done.state, done.progress, done.result) == (JobState.FINISHED, 100, "a fates")
    assert done.message == "3 cells, True, []"
    assert progress == sorted(progress) and len(set(progress)) > 3 and {"count"} <= steps
    assert done.started and done.ended and done.submitted <= done.started < done.ended
    assert 1 < (done.seconds or 0) < 30
    assert done.pid is None
    assert jobs.version > before
    assert jobs.list(since=jobs.version) == [] and jobs.list(since=before) == [done]
    assert "printed by some library" in jobs.log(job.id) and "Finished. 3 cells" in jobs.log(job.id)
    assert is_gone(bench.pid("count"))
    assert bench.left() == {".log", ".lock"}


def test_closing_waits_for_a_job_that_still_tidies_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # SQLite crashed when its file was closed under a thread that wrote.
    jobs = bench.jobs()
    forget_old, tidied = JobTable.forget_old, []

    def slowly(table: JobTable) -> None:
        time.sleep(0.5)
        forget_old(table)
        tidied.append(table)

    job = jobs.submit("count", "fates", {"to": 1, "pause": 0.0}, bench.ada)
    monkeypatch.setattr(JobTable, "forget_old", slowly)
    ended(jobs, job)
    jobs.close()
    assert len(tidied) == 1


def test_files_are_for_their_owner_only(bench: Bench) -> None:
    jobs = bench.jobs()
    job = jobs.submit("count", "fates", LONG, bench.ada)
    running(jobs, job)
    for path in [*bench.folder.iterdir(), *(bench.folder / "jobs").iterdir()]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert stat.S_IMODE(bench.folder.stat().st_mode) == 0o700


def test_a_log_that_takes_no_more_does_not_undo_what_was_made(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, room = bench.jobs(), Jobs._room

    def refuse(_text: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    @contextmanager
    def full(self: Jobs, job: Job) -> Iterator[tuple[Path, Any]]:
        with room(self, job) as (folder, stream):
            yield folder, SimpleNamespace(fileno=stream.fileno, write=refuse)

    monkeypatch.setattr(Jobs, "_room", full)
    job = ended(jobs, jobs.submit("count", "fates", {"to": 2}, bench.ada))
    assert (job.state, job.result is not None) == (JobState.FINISHED, True)


def test_the_study_is_seen_as_when_the_job_was_asked_for(bench: Bench) -> None:
    jobs = bench.jobs()
    first = jobs.submit("count", "first", {"to": 50, "pause": 0.01}, bench.ada)
    bench.ada.choose(treat_as={"part": "ignore"})
    second = jobs.submit("count", "second", {}, bench.ada)
    bench.ada.choose(treat_as={})
    assert ended(jobs, first).message == "3 cells, True, []"
    assert ended(jobs, second).message == "3 cells, True, ['part']"


def test_the_same_job_is_joined_rather_than_done_twice(bench: Bench) -> None:
    jobs = bench.jobs()
    one = jobs.submit("count", "fates", LONG, bench.ada)
    assert jobs.submit("count", "fates", LONG, bench.ada).id == one.id
    # What differs in anything is another job: name, parameters, user, how the study is seen.
    others = [
        jobs.submit("count", "other", LONG, bench.ada),
        jobs.submit("count", "fates", {**LONG, "to": 9_999}, bench.ada),
        jobs.submit("count", "fates", LONG, bench.bob),
    ]
    bench.ada.choose(treat_as={"part": "ignore"})
    others.append(jobs.submit("count", "fates", LONG, bench.ada))
    assert len({one.id, *(job.id for job in others)}) == 5
    for job in jobs.list():
        jobs.cancel(job.id, job.user)
    ended(jobs, one)
    # What is over is done anew.
    assert jobs.submit("count", "fates", LONG, bench.ada).id not in {one.id, *(job.id for job in others)}


def test_many_who_ask_at_once_get_one_job(bench: Bench) -> None:
    jobs = bench.jobs()
    ids = []
    threads = [
        threading.Thread(target=lambda: ids.append(jobs.submit("count", "fates", LONG, bench.ada).id)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8 and len(set(ids)) == 1


def test_jobs_of_two_users_are_done_in_the_order_they_were_asked_for(bench: Bench) -> None:
    jobs = bench.jobs()
    people = [bench.ada, bench.bob, bench.ada, bench.bob]
    asked = [jobs.submit("count", f"n{place}", {"to": 20, "pause": 0.01}, who) for place, who in enumerate(people)]
    assert [job.position for job in asked] == [0, 1, 2, 3]
    assert [job.id for job in jobs.list("b")] == [asked[3].id, asked[1].id]
    version = jobs.version
    last = asked[3].id
    places = [3]
    most = 0
    while jobs.get(last).is_active:
        places.append(jobs.get(last).position)
        most = max(most, sum(job.state is JobState.RUNNING for job in jobs.list()))
        time.sleep(0.01)
    assert list(dict.fromkeys(places)) == [3, 2, 1, 0] and most == 1
    done = [jobs.get(job.id) for job in asked]
    assert [job.result for job in done] == ["a n0", "b n1", "a n2", "b n3"]
    assert [job.started for job in done] == sorted(str(job.started) for job in done)
    # Whoever asks only for what changed hears that the queue moved.
    assert {job.id for job in jobs.list(since=version)} >= {job.id for job in asked[1:]}


def test_several_run_at_once_where_that_is_wanted(bench: Bench) -> None:
    jobs = bench.jobs(most_running=2)
    asked = [jobs.submit("count", f"n{place}", LONG, bench.ada) for place in range(3)]
    running(jobs, asked[0]), running(jobs, asked[1])
    assert jobs.get(asked[2].id).position == 1


@pytest.mark.parametrize("then", ["", "hang", "spawn"])
def test_a_job_that_runs_is_cancelled_and_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    if then == "hang":
        monkeypatch.setattr(job_run, "GRACE", 0.5)
    jobs = bench.jobs()
    job = jobs.submit("count", "fates", {**LONG, "then": then}, bench.ada)
    waiting = jobs.submit("count", "next", {}, bench.ada)
    running(jobs, job)
    pids = [bench.pid(then or "count"), *([bench.pid("child")] if then == "spawn" else [])]
    started = time.monotonic()
    jobs.cancel(job.id, "a")
    gone = ended(jobs, job)
    assert (gone.state, gone.message, gone.result) == (JobState.CANCELLED, "", None)
    assert time.monotonic() - started < 1.9
    until(lambda: all(map(is_gone, pids)), 2)
    assert ended(jobs, waiting).state is JobState.FINISHED
    assert bench.left() == {".log", ".lock"}
    with pytest.raises(JobRefused, match="cannot be cancelled any more"):
        jobs.cancel(job.id, "a")


def test_a_job_that_waits_is_cancelled(bench: Bench) -> None:
    jobs = bench.jobs()
    first, second, third = (jobs.submit("count", f"n{place}", LONG, bench.ada) for place in range(3))
    assert jobs.cancel(second.id, "a").state is JobState.CANCELLED
    assert jobs.get(third.id).position == 1
    with pytest.raises(JobRefused, match="belongs to Ada"):
        jobs.cancel(first.id, "b")
    with pytest.raises(JobRefused, match="no such job"):
        jobs.cancel("0" * 32, "a")


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("refuse", "^These cells cannot be counted.$"),
        ("unfinished", "^It cannot be kept.$"),
        ("fail", r"^Something went wrong \(ValueError\). The log has the details.$"),
        ("exhaust", r"^Memory ran out \(it used 0\.\d GB; this machine has [\d.]+ GB\). Choose fewer cells"),
        ("kill", r"^The worker was stopped by the system, perhaps for lack of memory \(it used 0\.\d GB; this "),
        ("crash", "^The worker ended unexpectedly by signal 11. The log has the details.$"),
        ("leave", "^The worker ended unexpectedly with code 7. The log has the details.$"),
    ],
)
def test_a_job_that_fails_says_why(bench: Bench, then: str, message: str) -> None:
    jobs = bench.jobs()
    job = ended(jobs, jobs.submit("count", "fates", {"then": then}, bench.ada))
    assert job.state is JobState.FAILED and job.result is None
    assert pd.Series([job.message]).str.contains(message).all(), job.message
    assert "Failed. " in jobs.log(job.id)
    if then == "fail":
        assert "ValueError: a bug" in jobs.log(job.id)
    if then == "crash":
        assert "Segmentation fault" in jobs.log(job.id)
    assert bench.left() == {".log", ".lock"}
    # The next one is none the worse.
    assert ended(jobs, jobs.submit("count", "fates", {}, bench.ada)).state is JobState.FINISHED


def test_a_worker_that_is_killed_from_outside_is_told(bench: Bench) -> None:
    jobs = bench.jobs()
    job = jobs.submit("count", "fates", LONG, bench.ada)
    running(jobs, job)
    os.kill(bench.pid("count"), signal.SIGKILL)
    assert "perhaps for lack of memory (it used 0." in ended(jobs, job).message


def test_what_cannot_be_is_refused_at_once(bench: Bench, tmp_path: Path) -> None:
    jobs = bench.jobs()
    with pytest.raises(PredictionRefused, match="Enter a name"):
        jobs.submit("count", "", {}, bench.ada)
    with pytest.raises(JobRefused, match='no kind of job "juggle"'):
        jobs.submit("juggle", "fates", {}, bench.ada)
    for place in range(50):
        jobs.submit("count", f"n{place}", LONG, bench.ada)
    with pytest.raises(JobRefused, match="50 jobs of yours wait already"):
        jobs.submit("count", "more", LONG, bench.ada)
    assert jobs.submit("count", "n7", LONG, bench.ada).name == "n7"
    jobs.submit("count", "more", LONG, bench.bob)
    file = tmp_path / "few.h5ad"
    os.utime(file, (1, 1))
    with pytest.raises(JobRefused, match=r"few\.h5ad was changed on disk"):
        jobs.submit("count", "late", LONG, bench.bob)
    assert len(jobs.list()) == 51


def test_a_job_is_asked_for_again(bench: Bench) -> None:
    jobs = bench.jobs()
    job = ended(jobs, jobs.submit("count", "fates", {"to": 2, "then": "fail"}, bench.ada))
    again = ended(jobs, jobs.rerun(job.id, bench.bob))
    assert again.id != job.id and (again.user, again.name) == ("b", "fates")
    assert dict(again.parameters) == {"to": 2, "pause": 0.0, "then": "fail"}


def test_a_server_that_ends_takes_its_workers_along_and_leaves_the_queue(bench: Bench) -> None:
    jobs = bench.jobs()
    job = jobs.submit("count", "fates", LONG, bench.ada)
    waiting = jobs.submit("count", "next", {"to": 3}, bench.bob)
    running(jobs, job)
    version = jobs.version
    jobs.close()
    assert is_gone(bench.pid("count"))
    assert bench.left() == {".log"}
    later = bench.jobs()
    later.recover()
    lost = later.get(job.id)
    assert (lost.state, lost.message) == (JobState.LOST, "The server restarted. Run again?")
    assert ended(later, waiting).result == "b next"
    assert later.version > version


SERVER = """
import sys, time
from pathlib import Path
from iscan_dash.core.study import open_study
from iscan_dash.services.jobs import Jobs
from iscan_dash.services.workspaces import Workspaces
from tests.services.job_kinds import KINDS
from tests.services.test_jobs import LONG

folder = Path(sys.argv[1])
workspaces = Workspaces(open_study([folder / "few.h5ad"]), annotations_dir=folder / "drafts")
jobs = Jobs(workspaces, folder / "server", kinds=KINDS, options={"seen": str(folder)})
ada = workspaces.enter("a", "Ada")
jobs.submit("count", "fates", {**LONG, "then": sys.argv[2]}, ada)
jobs.submit("count", "next", {"to": 3}, ada)
while not jobs.list()[1].progress:
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize("then", ["", "hang"])
def test_a_server_that_is_killed_loses_what_ran_and_keeps_the_queue(bench: Bench, tmp_path: Path, then: str) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path), then],
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
        env=plain_environment(),
        text=True,
    )
    assert server.stdout and server.stdout.readline() == "ready\n"
    # As long as it lives, others leave its jobs alone.
    other = bench.jobs()
    other.recover()
    job, waiting = reversed(other.list())
    assert (job.state, waiting.state) == (JobState.RUNNING, JobState.QUEUED)
    with pytest.raises(JobRefused, match="runs in another iscan-dash"):
        other.cancel(job.id, "a")
    other.close()
    server.kill()
    server.communicate()

    worker = bench.pid(then or "count")
    if then == "hang":
        assert not is_gone(worker)
    else:
        until(lambda: is_gone(worker), 3)
        assert not (bench.folder / "jobs" / job.id).exists()
    later = bench.jobs()
    later.recover()
    assert later.get(job.id).message == "The server restarted. Run again?"
    assert later.get(job.id).state is JobState.LOST
    until(lambda: is_gone(worker), 2)
    assert ended(later, waiting).result == "a next"
    later.close()
    assert bench.left() == {".log"}


def test_nobody_joins_a_job_whose_server_is_gone(bench: Bench) -> None:
    gone = bench.jobs()
    job = gone.submit("count", "fates", LONG, bench.ada)
    running(gone, job)
    jobs = bench.jobs()
    jobs.recover()
    gone.close()
    with sqlite3.connect(bench.folder / "jobs.db") as db:
        db.execute("UPDATE jobs SET state = 'Running' WHERE id = ?", (job.id,))
    db.close()
    again = jobs.submit("count", "fates", LONG, bench.ada)
    assert again.id != job.id and jobs.get(job.id).state is JobState.LOST
    running(jobs, again)


def test_a_line_that_was_not_written_to_its_end_is_no_progress() -> None:
    heard = []
    lines = b'{"step": "load", "done": 0, "total": 1, "memory": 5}\n{"step": "co'
    said = job_run.Run("0" * 32)._listen(io.BytesIO(lines), lambda *told: heard.append(told))
    assert said == {} and heard == [("load", 0, 1)]


def test_a_table_that_cannot_be_written_for_a_while_gets_the_end_of_a_job_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "TRY_AGAIN", 0.05)
    jobs = bench.jobs()
    job = jobs.submit("count", "fates", {"to": 50, "pause": 0.02}, bench.ada)
    waiting = jobs.submit("count", "next", {}, bench.ada)
    running(jobs, job)

    def full(*_: object, **__: object) -> bool:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(JobTable, "_write", full)
        worker = bench.pid("count")
        until(lambda: is_gone(worker))
        time.sleep(0.3)
        assert jobs.get(job.id).state is JobState.RUNNING
    assert ended(jobs, job).state is JobState.FINISHED
    assert ended(jobs, waiting).state is JobState.FINISHED


def test_a_process_that_only_has_the_number_of_a_worker_is_left_alone(bench: Bench) -> None:
    jobs = bench.jobs()
    job = jobs.submit("count", "fates", LONG, bench.ada)
    running(jobs, job)
    jobs.close()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    with sqlite3.connect(bench.folder / "jobs.db") as db:
        values = (stranger.pid, psutil.Process(stranger.pid).create_time(), job.id)
        db.execute("UPDATE jobs SET state = 'Running', pid = ?, pid_started = ? WHERE id = ?", values)
    db.close()
    bench.jobs().recover()
    assert stranger.poll() is None
    stranger.kill()
    stranger.communicate()


def test_servers_of_other_studies_share_the_table(bench: Bench, tmp_path: Path, open_files: Opener) -> None:
    jobs = bench.jobs()
    job = jobs.submit("count", "fates", LONG, bench.ada)
    waiting = jobs.submit("count", "next", LONG, bench.ada)
    running(jobs, job)
    jobs.close()
    others = Workspaces(open_files(write_study(tmp_path / "more.h5ad", cells=7)), annotations_dir=tmp_path / "drafts")
    elsewhere = Jobs(others, bench.folder, kinds=KINDS, options={"seen": str(tmp_path)})
    elsewhere.recover()
    assert elsewhere.list() == []
    with pytest.raises(JobRefused, match="no such job"):
        elsewhere.get(job.id)
    own = elsewhere.submit("count", "seven", {}, others.enter("a", "Ada"))
    assert ended(elsewhere, own).message.startswith("7 cells")
    elsewhere.close()
    others.close()
    # What waited for the first study still does.
    later = bench.jobs()
    later.recover()
    assert [entry.id for entry in later.list()] == [waiting.id, job.id]
    running(later, waiting)


def test_old_jobs_are_forgotten_with_their_logs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_table, "MOST_KEPT", 3)
    jobs = bench.jobs()
    made = [ended(jobs, jobs.submit("count", f"n{place}", {}, bench.ada)) for place in range(2)]
    jobs.close()
    long_ago = (datetime.now(UTC) - timedelta(days=91)).isoformat()
    with sqlite3.connect(bench.folder / "jobs.db") as db:
        db.execute("UPDATE jobs SET ended = ? WHERE id = ?", (long_ago, made[0].id))
    db.close()
    later = bench.jobs()
    assert [job.id for job in later.list()] == [made[1].id]
    for place in range(3):
        ended(later, later.submit("count", f"m{place}", {}, bench.ada))
    until(lambda: [job.name for job in later.list()] == ["m2", "m1", "m0"])
    until(lambda: len(list((bench.folder / "jobs").glob("*.log"))) == 3)
    assert later.log(later.list()[0].id)


def test_who_only_looks_leaves_no_files(bench: Bench) -> None:
    jobs = bench.jobs()
    jobs.recover()
    assert jobs.list() == [] and jobs.version == 0 and not bench.folder.exists()
    with pytest.raises(JobRefused, match="no such job"):
        jobs.get("0" * 32)


def test_a_table_that_is_none_is_refused_with_a_reason(bench: Bench) -> None:
    bench.folder.mkdir()
    path = bench.folder / "jobs.db"
    path.write_text("what is this" * 100)
    with pytest.raises(StorageError, match="cannot be opened: file is not a database"):
        bench.jobs().list()
    path.unlink()
    JobTable(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(StorageError, match="newer iscan-dash"):
        bench.jobs().recover()


def test_steps_that_run_abreast_make_one_bar() -> None:
    steps = {"load": 10, "average": 10, "score": 40, "tune": 40}
    assert part_done(steps, {}) == 0
    assert part_done(steps, {"load": (0, 1)}) == 0
    # A step that was never heard of is not done in this job.
    assert part_done(steps, {"load": (0, 1), "score": (5, 10)}) == pytest.approx(0.4)
    assert part_done(steps, {"load": (0, 1), "score": (5, 10), "tune": (2, 10)}) == pytest.approx(0.48)
    assert part_done(steps, {"score": (10, 10), "tune": (10, 10)}) == pytest.approx(1)
    assert part_done(steps, {"juggle": (1, 2)}) == 0
