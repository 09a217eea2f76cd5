"""An engine of dask workers: a local cluster, SLURM, Kubernetes, or any other."""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

from chione.base.engines.blas import one_thread
from chione.base.engines.local_cluster import LocalCluster
from chione.base.engines.task import (
    IN_FLIGHT,
    LOST,
    AbstractEngine,
    Done,
    Failure,
    Window,
    answered,
    loaded,
    opened,
    packed,
    unusable,
)
from chione.base.errors import EngineError, MissingExtraError, SpecError

if TYPE_CHECKING:
    from distributed import Client, Future

_ANSWER = 5.0  # seconds in which a scheduler has to answer
_LOOK = 1.0  # seconds between looks at the scheduler while no task ends
_RECOUNT = 5.0  # seconds after which workers are counted again: clusters grow and shrink
_PATIENCE = 15.0  # seconds without any worker before the user is told what is waited for


class Dask(AbstractEngine):
    """Workers of a dask cluster.

    Parameters
    ----------
    which : str or distributed.Client
        ``"dask"`` for a cluster of its own on this machine, the address of a scheduler, the name
        of a scheduler file, or a client, which stays open when the engine closes.
    workers : int
        Processes of a cluster of its own; others are counted.

    Raises
    ------
    MissingExtraError
        If dask is not installed.
    EngineError
        If the scheduler does not answer.

    Notes
    -----
    A task whose worker dies is given to another one by the scheduler, and is lost after as many
    deaths as its ``distributed.scheduler.allowed-failures`` says (3). Functions of a script or
    notebook may be used: cloudpickle, which comes with dask, sends them by value.
    """

    def __init__(self, which: Any, *, workers: int) -> None:
        self._cluster: LocalCluster | None = None
        self._own = isinstance(which, str)
        if which == "dask":
            _import()
            self._cluster = LocalCluster(workers)
            which = self._cluster.address
        try:
            self._client: Client = _connected(which) if isinstance(which, str) else which
        except BaseException:
            if self._cluster is not None:
                self._cluster.close()
            raise
        if self._client.asynchronous:
            raise SpecError(
                "engine is an asynchronous client, whose answers have to be awaited; give one that "
                "was made without asynchronous=True."
            )
        self._levels = _hushed() if self._own else {}
        self._threads, self._counted = 0, -_RECOUNT
        self.workers = workers if self._cluster is not None else max(1, self._count())

    def __exit__(self, *_: object) -> None:
        if self._own:
            self._client.close()
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        if self._cluster is not None:
            self._cluster.close()

    def run(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], *, ahead: int | None = None
    ) -> Iterator[Done]:
        """See :class:`~chione.base.engines.task.AbstractEngine`."""
        from cloudpickle import dumps

        from chione import __version__

        body = packed("the function", function, dumps)
        # a result of the cluster, not data of its own: if the worker that holds it dies, it is
        # made again
        shared = self._client.submit(_kept, body, pure=False)
        window = Window(tasks, ahead)
        ended: SimpleQueue[Future] = SimpleQueue()
        flight: dict[Future, tuple[int, bytes]] = {}
        # dask counts a death against all tasks of a worker, those that only waited there too; so
        # each of them is tried once more, with no other beside it
        suspects: deque[tuple[int, bytes]] = deque()
        alone = False

        def submit(index: int, sent: bytes) -> None:
            future = self._client.submit(_call, __version__, shared, sent, pure=False)
            flight[future] = index, sent
            future.add_done_callback(ended.put)

        try:
            while True:
                while not alone and len(flight) < self._room() and window.open:
                    index, task = window.take()
                    submit(index, packed(f"task number {index}", task, dumps))
                if not flight:
                    alone = bool(suspects)
                    if not alone:
                        return
                    submit(*suspects.popleft())
                future = self._next(ended)
                index, sent = flight.pop(future)
                done = _done(index, future)
                if not alone and done.failure is not None and done.failure.kind == LOST:
                    suspects.append((index, sent))
                    continue
                alone = False
                window.end(index)
                yield done
        finally:
            if flight and self._client.status == "running":
                self._client.cancel(list(flight), force=True)

    def _room(self) -> int:
        """How many tasks may be in flight."""
        return IN_FLIGHT * max(1, self._count())

    def _count(self) -> int:
        """Threads of all workers, which may come and go."""
        if monotonic() - self._counted > _RECOUNT and self._client.status == "running":
            self._threads = sum(self._client.nthreads().values())
            self._counted = monotonic()
        return self._threads

    def _next(self, ended: SimpleQueue[Future]) -> Future:
        begun, told = monotonic(), False
        while True:
            try:
                return ended.get(timeout=_LOOK)
            except Empty:
                if self._client.status in ("closing", "closed"):
                    raise _gone() from None
                if not told and monotonic() - begun > _PATIENCE and self._count() == 0:
                    told = True
                    warnings.warn(
                        f"the dask scheduler at {self._client.scheduler.address} has no workers "
                        "yet, so the tasks wait; look at the queue of the cluster, or stop and "
                        "use engine='processes'.",
                        stacklevel=4,
                    )


def _hushed() -> dict[str, int]:
    """Keep what a client logs of lost connections out of stderr, where one sentence will stand."""
    before = {}
    for name in ("distributed.client", "distributed.batched", "distributed.core"):
        before[name] = logging.getLogger(name).level
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return before


def _import() -> Any:
    try:
        import distributed
    except ImportError:
        raise MissingExtraError("distributed", "sweeps", "engine='dask'") from None
    return distributed


def _connected(address: str) -> Client:
    client = _import().Client
    where = {"address": address}
    if address.endswith(".json"):
        where = {"scheduler_file": address}
        address = _named_in(address)
    # a client that cannot connect leaves threads behind, so somebody asks before it is made
    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has a running event loop in this one
            thread.submit(asyncio.run, asyncio.wait_for(_ask(address), _ANSWER)).result()
        return client(**where, timeout=_ANSWER, set_as_default=False)
    except Exception as err:  # what answers may be no scheduler at all, and its answer anything
        reason = " ".join(str(err).split()) or type(err).__name__
        raise EngineError(
            f"no dask scheduler answers at {address!r} ({reason}); start one with 'dask "
            "scheduler', or use engine='processes' on this machine."
        ) from err


def _named_in(file: str) -> str:
    """The address in a scheduler file."""
    try:
        return str(json.loads(Path(file).read_text(encoding="utf-8"))["address"])
    except FileNotFoundError:
        raise SpecError(
            f"there is no scheduler file {file!r}; see 'dask scheduler --help'."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise SpecError(f"{file!r} is no scheduler file of dask ({err}).") from err


async def _ask(address: str) -> None:
    """Ask a scheduler for its name."""
    from distributed.core import connect
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    comm = await connect(address, timeout=_ANSWER - 1.0, **arguments)
    try:
        await comm.write({"op": "identity", "reply": True})
        answer = await comm.read()
    finally:
        comm.abort()
    if not isinstance(answer, dict) or answer.get("type") != "Scheduler":
        raise ValueError("what answers there is something else")


def _gone() -> EngineError:
    return EngineError(
        "the dask scheduler has gone away or has cancelled the tasks; what was finished before is "
        "not affected, so start again when the cluster is back."
    )


def _done(index: int, future: Future) -> Done:
    """What a future came to."""
    from distributed import CancelledError, KilledWorker

    try:
        word, body = future.result()
    except (CancelledError, OSError):  # what a task itself raises comes as its value
        raise _gone() from None
    except KilledWorker as err:
        died = f"workers that died while they ran it: {err.allowed_failures + 1}, the last one was "
        return Done(index, failure=Failure(LOST, f"{died}{err.last_worker.address}."))
    except Exception as err:
        raise EngineError(
            f"the dask workers cannot run tasks of chione ({type(err).__name__}: {err}); they need "
            "the same packages as this process."
        ) from err
    if word == "version":
        raise EngineError(body)
    if word == "unusable":
        raise unusable(body)
    return opened(index, body)


# ---- on the workers --------------------------------------------------------------------------


def _kept(body: bytes) -> bytes:
    return body


def _call(version: str, function: bytes, task: bytes) -> tuple[str, Any]:
    """Runs on a worker."""
    from chione import __version__

    if version != __version__:
        return "version", (
            f"a dask worker has chione {__version__}, this process {version}; install one version "
            "everywhere."
        )
    made, spoilt = _function(function)
    if spoilt is None:
        wanted, spoilt = loaded(task)
    if spoilt is not None:
        return "unusable", spoilt
    with one_thread():
        return "done", answered(made, wanted)


@lru_cache(maxsize=2)
def _function(body: bytes) -> tuple[Any, Failure | None]:
    return loaded(body)
