"""An engine of processes on this machine that outlives the death of any of them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sized
from queue import Empty, SimpleQueue
from typing import Any, Self

from chione.base.engines.cores import cores
from chione.base.engines.task import (
    IN_FLIGHT,
    LOST,
    AbstractEngine,
    Done,
    Failure,
    Window,
    opened,
    packed,
    unusable,
)
from chione.base.engines.worker import Inbox, Worker
from chione.base.errors import EngineError

_FEW = 16  # processes that every machine may have, whatever its cores
_RETRIES = 2  # a task that has killed three workers is the reason itself
_STILLBORN = 3  # workers in a row that end before they could begin: the next one would too
_KILLED = 30  # the same where something kills them, which may have an end
_LOOK = 1.0  # seconds between looks whether workers that say nothing are there


class Pool(AbstractEngine):
    """Processes with one BLAS thread each, started as programs of their own.

    Parameters
    ----------
    workers : int
        Number of processes; there are never more than tasks, nor than four for each core.
    retries : int
        How often a task is given to another worker when the one that ran it died.

    Notes
    -----
    A worker that is killed is replaced, and its task tried again; one that has killed
    ``retries + 1`` workers is lost and takes no other along. Workers end with their parent, also
    when it is killed: the system closes their pipe.
    """

    def __init__(self, workers: int, *, retries: int = _RETRIES) -> None:
        self.workers = min(workers, max(_FEW, 4 * cores()))
        self._retries = retries
        self._inbox: Inbox = SimpleQueue()
        self._staff: list[Worker] = []
        self._stillborn = 0
        self._running = False

    def __enter__(self) -> Self:
        while len(self._staff) < min(self.workers, cores()) and self._hire():
            pass  # they start side by side while the caller prepares the tasks; more as needed
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._staff:
            worker.kill()
        for worker in self._staff:
            worker.close()
        self._staff.clear()

    @property
    def pids(self) -> tuple[int, ...]:
        """Numbers of the processes."""
        return tuple(worker.pid for worker in self._staff)

    def run(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], *, ahead: int | None = None
    ) -> Iterator[Done]:
        """See :class:`~chione.base.engines.task.AbstractEngine`."""
        if self._running:
            raise EngineError("this engine has a run that is not finished; finish it or close it.")
        self._running = True
        try:
            yield from self._run(packed("the function", function), _Supply(tasks, ahead))
        finally:  # an interrupt, or a caller who has seen enough, leaves tasks in flight
            self._running = False
            for worker in [worker for worker in self._staff if worker.flight]:
                self._staff.remove(worker)
                worker.close()

    def _run(self, function: bytes, supply: _Supply) -> Iterator[Done]:
        while True:
            self._hand_out(function, supply)
            if not any(worker.flight for worker in self._staff):
                return
            worker, message = self._next()
            if worker not in self._staff:
                continue
            if message is None:
                done = self._bury(worker, supply)
            else:
                done = self._heard(worker, *message)
            if done is not None:
                supply.end(done.index)
                yield done

    def _hire(self) -> bool:
        """Start one process more, if the machine allows it; the first one it must allow."""
        try:
            self._staff.append(Worker(self._inbox))
        except (OSError, RuntimeError) as err:
            if not self._staff:
                raise EngineError(
                    f"no worker process can be started ({err}); use engine='threads'."
                ) from err
            self.workers = len(self._staff)
            return False
        return True

    def _hand_out(self, function: bytes, supply: _Supply) -> None:
        for worker in self._staff:
            if not worker.flight and supply.open:
                worker.give(function, supply.take())
        while supply.open and len(self._staff) < self.workers and self._hire():
            self._staff[-1].give(function, supply.take())
        for worker in self._staff:
            # a second task waits for its worker only while there are enough for all others
            if len(worker.flight) < IN_FLIGHT and supply.open and supply.more_than(self.workers):
                worker.give(function, supply.take())

    def _next(self) -> tuple[Worker, tuple[str, Any, Any] | None]:
        while True:
            try:
                return self._inbox.get(timeout=_LOOK)
            except Empty:  # a process that a task has forked may hold a dead worker's pipe open
                for worker in self._staff:
                    if not worker.alive:
                        return worker, None

    def _heard(self, worker: Worker, word: str, index: int, body: Any) -> Done | None:
        if word == "ready":
            worker.ready, self._stillborn = True, 0
            return None
        worker.flight.popleft()
        if word == "unusable":
            raise unusable(body)
        return opened(index, body)

    def _bury(self, worker: Worker, supply: _Supply) -> Done | None:
        """Take a dead worker off the staff; its tasks go back, the one that ran if it may."""
        self._staff.remove(worker)
        status = worker.close()
        how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= (_KILLED if status < 0 else _STILLBORN):
                raise EngineError(
                    f"worker processes end before they begin, the last one {how}; use "
                    "engine='threads', or look at what they wrote to stderr."
                )
        for item in reversed(list(worker.flight)[1:]):
            supply.again(item)
        if not (worker.flight and worker.ready):
            for item in list(worker.flight)[:1]:
                supply.again(item)
            return None
        index, task = worker.flight[0]
        supply.deaths[index] += 1
        if supply.deaths[index] <= self._retries:
            supply.again((index, task))
            return None
        hint = " (if nobody sent it, the system did, for want of memory)" if status == -9 else ""
        count = supply.deaths[index]
        message = f"workers that died while they ran it: {count}, the last one {how}{hint}."
        return Done(index, failure=Failure(LOST, message))


class _Supply:
    """Tasks that wait, as bytes: first those that came back, then new ones."""

    def __init__(self, tasks: Iterable[Any], ahead: int | None) -> None:
        self._window = Window(tasks, ahead)
        self._returned: deque[tuple[int, bytes]] = deque()
        self._new = len(tasks) if isinstance(tasks, Sized) else None
        self.deaths: Counter[int] = Counter()
        self.end = self._window.end

    @property
    def open(self) -> bool:
        """Whether a task may begin now."""
        return bool(self._returned) or self._window.open

    def more_than(self, n: int) -> bool:
        """Whether more than `n` tasks wait, as far as that is known."""
        return self._new is None or self._new + len(self._returned) > n

    def take(self) -> tuple[int, bytes]:
        """The next task."""
        if self._returned:
            return self._returned.popleft()
        index, task = self._window.take()
        if self._new is not None:
            self._new -= 1
        return index, packed(f"task number {index}", task)

    def again(self, item: tuple[int, bytes]) -> None:
        """Put a task back, before all others."""
        self._returned.appendleft(item)
