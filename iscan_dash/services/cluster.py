"""A cluster for compute: chunks of cells go to the workers of a Dask scheduler, which give what this machine would.

What is sent is self-contained, so workers need neither the files of a study nor the references. The scheduler keeps
each chunk until its result has arrived, and gives it to another worker when one is lost.
"""

import asyncio
import concurrent.futures
import importlib.metadata
import logging
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np

from iscan_dash import __version__
from iscan_dash.core.engine.chunks import MapChunks
from iscan_dash.core.engine.control import Control
from iscan_dash.errors import ClusterError

Shared = TypeVar("Shared")
Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

CONNECT = 10.0
"""Seconds that the scheduler has to take a connection, and as many again to say who it is."""

ANSWER = 30.0
"""Seconds that it has to answer when a result does not come, or to hand one over."""

NO_WORKERS = 60.0
"""Seconds without any worker after which a job gives up: one that was lost may be started again by then."""

POLL = 0.5
"""Seconds between two looks whether the job is to end."""

LOOK = 5.0
"""Seconds between two looks at the workers."""

AHEAD = 2
"""Chunks on their way for each thread of the workers."""

MOST_AHEAD = 64
"""Chunks on their way at most, which the scheduler has room for: about 1 GB. More are not read in the meantime."""

GOODBYE = 1.0
"""Seconds for leaving the cluster: a job that is cancelled has no more."""

TELL = "The computing cluster of this server did not answer; tell whoever runs it. "
"""How what is wrong with the cluster begins: whoever meets it has labels to give, and seldom runs the cluster."""

log = logging.getLogger(__name__)


@contextmanager
def on_cluster(address: str | None, control: Control) -> Iterator[MapChunks | None]:
    """Join a cluster for one job.

    Parameters
    ----------
    address
        Where its scheduler listens, such as ``"tcp://10.0.0.5:8786"``; None when there is none, and then None is given:
        all is done here.
    control
        Who is told (step ``"connect"``) and may cancel.

    Raises
    ------
    ClusterError
        The scheduler cannot be reached.
    """
    if address is None:
        yield None
        return
    control.tell("connect", 0, 1)
    import dask

    # Before a setting is changed for a while: what is set before Dask's own settings are there takes them along.
    import distributed  # noqa: F401

    # When the scheduler is lost it logs tracebacks; `ClusterError` says the same in a sentence.
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Chunks are meant to be large.
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}):
        client = _joined(address, control)
        try:
            yield _Cluster(client, address, control).map_chunks
        finally:
            # When the scheduler is gone there is nobody to say goodbye to.
            with suppress(TimeoutError, OSError, RuntimeError):
                client.close(timeout=GOODBYE)


def _joined(address: str, control: Control) -> Any:
    """Connect to a scheduler."""
    from distributed import Client

    made: SimpleQueue[Any] = SimpleQueue()

    def join() -> None:
        try:
            made.put(Client(address, timeout=CONNECT, name="iscan-dash"))
        except Exception as error:  # noqa: BLE001  raised again below
            made.put(error)

    # In a thread, as Dask waits for ever for the first word of one who takes a connection and says nothing.
    threading.Thread(target=join, daemon=True, name="join-cluster").start()
    end = time.monotonic() + 2 * CONNECT
    found: Any = TimeoutError(f"It said nothing for {2 * CONNECT:.0f} seconds")
    while time.monotonic() < end:
        control.check()
        with suppress(Empty):
            found = made.get(timeout=POLL)
            break
    if isinstance(found, OSError | ValueError | TypeError | RuntimeError):
        raise ClusterError(
            f"{TELL}The Dask scheduler {address} cannot be reached: {_first_line(found)}. Start it, or put its address "
            "right (ISCAN_DASK_SCHEDULER), and run the job again."
        ) from found
    if isinstance(found, Exception):
        raise found
    return found


class _Call:
    """A chunk on its way: a pickle that does it when it is loaded.

    So neither the scheduler nor a worker unpacks anything of ours before the task runs: a worker without iscan-dash
    answers with an error. Handed a function it does not know, it would end, and with it the work of others.
    """

    def __init__(self, chunk: object) -> None:
        self._chunk = pickle.dumps(chunk, pickle.HIGHEST_PROTOCOL)

    def __reduce__(self) -> tuple[Any, ...]:
        # The place of the job, which arrives on its own.
        return do_chunk, (pickle.PickleBuffer(b""), self._chunk, versions_here())

    def packed(self) -> np.ndarray:
        """Return the pickle."""
        return _as_array(pickle.dumps(self, pickle.HIGHEST_PROTOCOL, buffer_callback=lambda _: None))


def do_chunk(job: memoryview, chunk: bytes, versions: dict[str, str]) -> Any:
    """Do a chunk of a job, on a worker.

    Parameters
    ----------
    job, chunk
        A function and its first argument, and its second. They are pickled in themselves, which makes arrays that can
        be written: the kernels are compiled for those.
    versions
        Those of the job, see `versions_here`: with others the results might be others.
    """
    own = versions_here()
    if own != versions:
        from distributed import get_worker

        differ = (f"{name} {own[name]} (here: {version})" for name, version in versions.items() if own[name] != version)
        raise ClusterError(
            f"The Dask worker {get_worker().address} has other versions: {', '.join(differ)}. Install the same "
            "everywhere, start it again, and run the job again."
        )
    work, shared = pickle.loads(job)
    return work(shared, pickle.loads(chunk))


@cache
def versions_here() -> dict[str, str]:
    """Return the versions of all that decides results."""
    return {
        "iscan-dash": __version__,
        **{name: importlib.metadata.version(name) for name in ("numba", "numpy", "scipy")},
    }


class _Cluster:
    """A cluster that a job has joined."""

    def __init__(self, client: Any, address: str, control: Control) -> None:
        self._client = client
        self._address = address
        self._control = control
        self._n_threads = 0
        self._looked = -LOOK
        self._no_workers_since: float | None = None

    def map_chunks(
        self, work: Callable[[Shared, Chunk], Result], shared: Shared, chunks: Iterable[Chunk]
    ) -> Iterator[Result]:
        """Work on chunks and give the results in order; see `MapChunks`.

        Raises
        ------
        ClusterError
            The scheduler or all workers are gone, or a worker is of another version.
        """
        # A task, not data: when all who had it are lost, the scheduler makes it again.
        job = self._submit(np.asarray, _as_array(pickle.dumps((work, shared), pickle.HIGHEST_PROTOCOL)))
        waiting: deque[Any] = deque()
        for chunk in chunks:
            self._look()
            waiting.append(self._submit(pickle.loads, _Call(chunk).packed(), buffers=[job]))
            while len(waiting) >= max(1, min(AHEAD * self._n_threads, MOST_AHEAD)):
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def _submit(self, *call: Any, **arguments: Any) -> Any:
        from distributed.comm import CommClosedError

        try:
            return self._client.submit(*call, **arguments, key=f"iscan-dash-{uuid4().hex}", pure=False)
        except CommClosedError as error:
            raise self._gone() from error

    def _result(self, future: Any) -> Any:
        """Wait for a chunk; what is not awaited any more is taken back when its future goes."""
        from distributed import KilledWorker, wait
        from distributed.comm import CommClosedError

        try:
            while True:
                self._control.check()
                with suppress(TimeoutError):
                    wait(future, timeout=POLL)
                    return future.result(timeout=ANSWER)
                self._look()
        except KilledWorker as error:
            raise ClusterError(
                f"Several workers of {self._address} ended while they did the same chunk of cells "
                f"({error.last_worker.address} was the last), perhaps for lack of memory. Give each more memory or "
                "fewer threads (--memory-limit, --nthreads), and run the job again."
            ) from error
        except MemoryError as error:
            raise ClusterError(
                f"A worker of {self._address} ran out of memory. Give each more memory or fewer threads "
                "(--memory-limit, --nthreads), and run the job again."
            ) from error
        except ModuleNotFoundError as error:
            raise ClusterError(
                f"A worker of {self._address} lacks {error.name}. Install iscan-dash[dask] {__version__} wherever "
                "workers run, start them again, and run the job again."
            ) from error
        except (CommClosedError, asyncio.CancelledError, concurrent.futures.CancelledError) as error:
            # Which of them it is depends on what was under way when it was lost.
            raise self._gone() from error

    def _look(self) -> None:
        """Look now and then whether the scheduler answers, and how many threads the workers have."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._n_threads = sum(self._ask(self._client.scheduler.ncores).values())
        self._looked = time.monotonic()
        if self._n_threads:
            self._no_workers_since = None
            return
        if self._no_workers_since is None:
            self._no_workers_since = now
        if now - self._no_workers_since > NO_WORKERS:
            raise ClusterError(
                f"{TELL}The Dask scheduler {self._address} has had no workers for {NO_WORKERS:.0f} seconds. Start some "
                f"(dask worker {self._address}), and run the job again."
            )
        log.info("%s has no workers at the moment.", self._address)

    def _ask(self, question: Callable[..., Any]) -> dict[str, Any]:
        """Ask the scheduler."""
        try:
            answer: dict[str, Any] = self._client.sync(question, callback_timeout=ANSWER)
        except TimeoutError as error:
            raise ClusterError(
                f"{TELL}The Dask scheduler {self._address} does not answer (waited {ANSWER:.0f} seconds). Start it "
                "again, and run the job again."
            ) from error
        except (OSError, RuntimeError, asyncio.CancelledError, concurrent.futures.CancelledError) as error:
            raise self._gone() from error
        return answer

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"{TELL}The Dask scheduler {self._address} was lost while the job ran: it ended, or the network "
            "failed. Start it and its workers again, and run the job again."
        )


def _as_array(text: bytes) -> np.ndarray:
    """Return bytes as an array, which Dask sends six times as fast: it copies plain bytes into its messages."""
    return np.frombuffer(text, np.uint8)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
