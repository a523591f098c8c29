"""Jobs: what takes longer than a request may, done by one process each, in the order they were asked for."""

import hashlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from filelock import FileLock, Timeout

from iscan_dash.errors import IscanError, JobRefused, StorageError
from iscan_dash.logs import tell
from iscan_dash.services.job_kinds import KINDS, load_kind, part_done
from iscan_dash.services.job_run import LOST, Run
from iscan_dash.services.job_table import Job, JobState, JobTable
from iscan_dash.services.private import only_one
from iscan_dash.services.processes import end_group, is_ours, processors, start_time
from iscan_dash.services.workspace import Workspace
from iscan_dash.services.workspaces import Workspaces

log = logging.getLogger(__name__)

MOST_ACTIVE = 50
"""Jobs that one user may have waiting and running."""

BETWEEN = 0.3
"""Least seconds between two notes of the progress within a step."""

TRY_AGAIN = 1.0
"""Seconds between attempts to note that a job ended."""

LOG_SHOWN = 200_000
"""Bytes of a log that are shown, the last."""


class Jobs:
    """The jobs of everyone who works on one open study.

    The table on disk is the truth: it outlives pages and the server. Jobs that waited when the server ended go on
    waiting in the next one; those that ran are lost. All methods may be called from any thread.

    Parameters
    ----------
    workspaces
        The open study and everyone's annotations, which results are added to.
    folder
        The server's own folder. The table is ``jobs.db`` in it; logs and what is not finished are in ``jobs``. Servers
        of other studies may use the same one.
    kinds
        Where each kind of job is found; see `load_kind`.
    options
        What every job is told: plain values, such as the folders of references.
    most_running
        Jobs that run at once.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        folder: Path,
        *,
        kinds: Mapping[str, str] = KINDS,
        options: Mapping[str, Any] | None = None,
        most_running: int = 1,
    ) -> None:
        self._workspaces = workspaces
        # Workers have a working directory of their own.
        self._path = folder.absolute() / "jobs.db"
        self._folder = folder.absolute() / "jobs"
        self._kinds = kinds
        self._kind = cache(lambda kind: load_kind(kinds[kind]))
        self._options = dict(options or {})
        self._most_running = most_running
        self._id = uuid4().hex
        self._guard = FileLock(self._folder / f".{self._id}.lock", timeout=0, mode=0o600)
        self._lock = threading.RLock()
        self._opening = threading.Lock()
        self._closing = threading.Event()
        self._opened: JobTable | None = None
        self._runs: dict[str, Run] = {}
        self._threads: set[threading.Thread] = set()

    # -- asking ----------------------------------------------------------------------------------------------------

    def submit(self, kind: str, name: str, parameters: Mapping[str, Any], workspace: Workspace) -> Job:
        """Put a job into the queue, unless the same one waits or runs already: then that one is returned.

        Parameters
        ----------
        kind
            What is to be done, one of the kinds.
        name
            What the result is to be called.
        parameters
            What decides the result (plain values).
        workspace
            Who asks, and the study as they see it.

        Raises
        ------
        IscanError
            It cannot be done; the message says why and what to do.
        """
        if self._workspaces.is_closed:
            raise JobRefused("Annotations are switched off on this server (--disable-annotations).")
        if kind not in self._kinds:
            raise JobRefused(f'There is no kind of job "{kind}".')
        if changed := workspace.changed_files():
            raise JobRefused(f"{changed[0]} was changed on disk since it was opened. Restart iscan-dash to go on.")
        name, kept = self._kind(kind).prepare(name, parameters)
        choices = asdict(workspace.study.choices)
        decisive = [kind, name, kept, choices, workspace.user, self._fingerprint]
        key = hashlib.blake2b(json.dumps(decisive, sort_keys=True).encode(), digest_size=16).hexdigest()
        own = [job for job in self._table.active(self._fingerprint) if job.user == workspace.user and job.key != key]
        if len(own) >= MOST_ACTIVE:
            raise JobRefused(f"{MOST_ACTIVE} jobs of yours wait already. Wait for some of them, or cancel them.")
        job = Job(
            id=uuid4().hex,
            kind=kind,
            key=key,
            user=workspace.user,
            user_name=workspace.user_name,
            name=name,
            parameters=kept,
            choices=choices,
            fingerprint=self._fingerprint,
            server=self._id,
            submitted=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        found = self._table.attach_or_add(job)
        if self._is_orphan(found):
            self._take_over(self._table)
            found = self._table.attach_or_add(job)
        self._start_waiting()
        return self.get(found.id)

    def rerun(self, id_: str, workspace: Workspace) -> Job:
        """Ask again for what a job did, for whoever asks now and with the study as they see it; see `submit`."""
        job = self.get(id_)
        return self.submit(job.kind, job.name, job.parameters, workspace)

    def cancel(self, id_: str, user: str) -> Job:
        """Give a job up; nothing of it is left but its row and its log.

        A job that runs is over a moment later.

        Raises
        ------
        JobRefused
            It is somebody else's, or over already.
        """
        job = self.get(id_)
        if job.user != user:
            raise JobRefused(f"This job belongs to {job.user_name}. Ask them to cancel it.")
        with self._lock:
            if self._table.end(id_, JobState.QUEUED, JobState.CANCELLED, ""):
                return self.get(id_)
            run = self._runs.get(id_)
            if run is None:
                elsewhere = self.get(id_).state is JobState.RUNNING
                where = "It runs in another iscan-dash. Cancel it there." if elsewhere else "Load the page again."
                raise JobRefused(f"This job cannot be cancelled any more. {where}")
            if not run.stop(JobState.CANCELLED):
                raise JobRefused("This job is done, and its result is being saved. Delete the result instead.")
        return self.get(id_)

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """A number that grows with every change of a job, over restarts too."""
        return self._table.changed if self._is_there else 0

    def list(self, user: str | None = None, since: int = 0) -> list[Job]:
        """Return the jobs of this study, the newest first.

        Parameters
        ----------
        user
            Whose jobs; everybody's when None.
        since
            Only those that changed after this `version`.
        """
        return self._table.of_study(self._fingerprint, user, since) if self._is_there else []

    def n_active(self) -> int:
        """Return how many jobs of this study wait or run."""
        return len(self._table.active(self._fingerprint)) if self._is_there else 0

    def get(self, id_: str) -> Job:
        """Return a job of this study.

        Raises
        ------
        JobRefused
            There is none, or it was long ago.
        """
        job = self._table.find(id_) if self._is_there else None
        if job is None or job.fingerprint != self._fingerprint:
            raise JobRefused("There is no such job any more. Load the page again.")
        return job

    def title(self, job: Job) -> str:
        """Return what people call the kind of a job."""
        return self._kind(job.kind).title if job.kind in self._kinds else job.kind

    def log(self, id_: str) -> str:
        """Return what a job logged, the end of it when it is long."""
        job = self.get(id_)
        try:
            with self._log_path(job).open("rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - LOG_SHOWN))
                return stream.read().decode("utf-8", "replace")
        except OSError:
            return ""

    # -- starting and ending -----------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Take over what an earlier server left: what ran is lost, what waited goes on. Later calls do nothing.

        Raises
        ------
        StorageError
            The table cannot be opened.
        """
        if self._is_there:
            self._start_waiting()

    def close(self) -> None:
        """End what runs, and give the files back. What waits is for the next server."""
        with self._lock:
            self._closing.set()
            for run in self._runs.values():
                run.stop(JobState.LOST)
            threads = list(self._threads)
        # Also those whose job has ended: they still tidy the table.
        for thread in threads:
            thread.join()
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._guard.release()
                Path(self._guard.lock_file).unlink(missing_ok=True)

    @property
    def _fingerprint(self) -> str:
        return self._workspaces.study.fingerprint

    @property
    def _is_there(self) -> bool:
        """Whether there was ever a job: those who only look leave no files behind."""
        return self._opened is not None or self._path.exists()

    @property
    def _table(self) -> JobTable:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> JobTable:
        table = JobTable(self._path)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            # Whether a server lives is told by the lock it holds; nobody looks while one takes its own.
            with only_one(self._path):
                self._guard.acquire()
                for path in self._folder.glob(".*.lock"):
                    self._is_alive(path.name[1 : -len(".lock")])
            self._take_over(table)
            self._forget_old(table)
        except (OSError, Timeout) as error:
            table.close()
            reason = getattr(error, "strerror", None) or error
            raise StorageError(
                f"The folder of jobs {self._folder} cannot be written: {reason}. Name another with ISCAN_DATA_DIR."
            ) from error
        return table

    def _take_over(self, table: JobTable) -> None:
        """Give up what servers ran that are gone, and go on with what waited for one of this study."""
        for job in filter(self._is_orphan, table.active()):
            if job.state is JobState.RUNNING:
                self._give_up(table, job)
            elif job.fingerprint == self._fingerprint:
                table.adopt(job.id, job.server, self._id)

    def _is_orphan(self, job: Job) -> bool:
        return job.is_active and not self._is_alive(job.server)

    def _is_alive(self, server: str) -> bool:
        """Tell whether a server lives; what it locked is removed when it does not."""
        path = self._folder / f".{server}.lock"
        if server == self._id:
            return True
        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=0):
                path.unlink(missing_ok=True)
        except Timeout:
            return True
        return False

    def _give_up(self, table: JobTable, job: Job) -> None:
        """End what is left of a job whose server is gone."""
        if job.pid and job.pid_started and is_ours(job.pid, job.pid_started, job.id):
            end_group(job.pid, at_once=True)
        shutil.rmtree(self._work_folder(job), ignore_errors=True)
        table.end(job.id, JobState.RUNNING, JobState.LOST, LOST)

    def _forget_old(self, table: JobTable) -> None:
        table.forget_old()
        known = table.ids()
        for path in self._folder.glob("*.log"):
            if path.stem not in known:
                path.unlink(missing_ok=True)

    # -- running -----------------------------------------------------------------------------------------------------

    def _start_waiting(self) -> None:
        """Start jobs as long as there is room for them."""
        with self._lock:
            while not self._closing.is_set() and len(self._runs) < self._most_running:
                job = self._table.take_next(self._id)
                if job is None:
                    return
                run = self._runs[job.id] = Run(job.id)
                thread = threading.Thread(target=self._run, args=(run, job), name=f"job-{job.id[:8]}", daemon=True)
                self._threads.add(thread)
                thread.start()

    def _run(self, run: Run, job: Job) -> None:
        try:
            self._do(run, job)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _do(self, run: Run, job: Job) -> None:
        begun = time.monotonic()
        tell("job started", job=job.id, kind=job.kind, user=job.user)
        try:
            with self._room(job) as (folder, stream):
                state, message, values = self._end_of(run, job, folder, stream)
                # What was made is made, though a full disk does not even take this line.
                with suppress(OSError):
                    stream.write(f"{state}. {message}".strip().encode() + b"\n")
        except OSError as error:
            state, values = JobState.FAILED, {}
            message = f"{self._folder} cannot be written: {error.strerror or error}."
        while not self._note_end(job, state, message, values) and not self._closing.wait(TRY_AGAIN):
            pass
        seconds = round(time.monotonic() - begun, 1)
        tell("job ended", job=job.id, kind=job.kind, user=job.user, state=str(state), seconds=seconds)
        with self._lock:
            del self._runs[job.id]
        try:
            self._start_waiting()
            self._forget_old(self._table)
        except (StorageError, OSError) as error:
            log.error("%s", error)

    def _end_of(self, run: Run, job: Job, folder: Path, stream: IO[bytes]) -> tuple[JobState, str, dict[str, Any]]:
        """Do a job, and return how it ended, what there is to say, and what else is to be noted."""
        try:
            state, message = self._work(run, job, folder, stream)
            if state is not JobState.FINISHED:
                return state, message, {}
            # Under the name that the owner has now, who may be away.
            name = self._workspaces.name_of(job.user) or job.user_name
            with self._workspaces.using(job.user, name) as workspace:
                made = self._kind(job.kind).finish(workspace, self.get(job.id), folder)
            return state, made.message, {"result": made.result, "progress": 100}
        except IscanError as error:
            return JobState.FAILED, str(error), {}
        except Exception as error:
            log.error("The job %s failed.", job.id, exc_info=error)
            what = f"Something went wrong ({type(error).__name__}); the server's log has the details."
            return JobState.FAILED, what, {}

    def _note_end(self, job: Job, state: JobState, message: str, values: dict[str, Any]) -> bool:
        try:
            self._table.end(job.id, JobState.RUNNING, state, message, **values)
        except StorageError as error:
            log.error("%s", error)
            return False
        return True

    def _work(self, run: Run, job: Job, folder: Path, stream: IO[bytes]) -> tuple[JobState, str]:
        """Have a worker do a job, and tell how it ended."""
        steps = self._kind(job.kind).steps(job.parameters)
        heard: dict[str, tuple[int, int]] = {}
        noted, progress, last = 0.0, 0, ""

        def begun(pid: int) -> None:
            self._table.update(job.id, JobState.RUNNING, pid=pid, pid_started=start_time(pid))

        def told(step: str, done: int, total: int) -> None:
            nonlocal noted, progress, last
            heard[step] = (done, total)
            now = time.monotonic()
            if step == last and done < total and now - noted < BETWEEN:
                return
            # The last percent is for saving; and no bar goes back.
            progress = max(progress, int(99 * part_done(steps, heard)))
            noted, last = now, step
            try:
                self._table.update(job.id, JobState.RUNNING, progress=progress, step=step, done=done, total=total)
            except StorageError as error:
                # It is only the bar that stands still.
                log.warning("%s", error)

        return run.work(self._order(job, folder), stream, begun, told)

    def _order(self, job: Job, folder: Path) -> dict[str, Any]:
        study = self._workspaces.study
        return {
            "kind": self._kinds[job.kind],
            "paths": [str(dataset.path.absolute()) for dataset in study.datasets],
            "title": study.title,
            "obs_names": study.obs_names,
            "choices": job.choices,
            "parameters": job.parameters,
            "folder": str(folder),
            "threads": processors(),
            "options": self._options,
        }

    @contextmanager
    def _room(self, job: Job) -> Iterator[tuple[Path, IO[bytes]]]:
        """Make the folder and the log of a job; the folder is gone in the end."""
        folder = self._work_folder(job)
        folder.mkdir(mode=0o700)
        try:
            handle = os.open(self._log_path(job), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(handle, "ab", buffering=0) as stream:
                yield folder, stream
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _work_folder(self, job: Job) -> Path:
        return self._folder / job.id

    def _log_path(self, job: Job) -> Path:
        return self._folder / f"{job.id}.log"
