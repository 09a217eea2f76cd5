"""Engines inside this process: one task after another, or in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from chione.base.engines.blas import one_thread
from chione.base.engines.task import IN_FLIGHT, AbstractEngine, Done, Failure, Window, called


class Here(AbstractEngine):
    """One task after another in the thread that asks; a debugger stops in the function."""

    workers, kind = 1, "here"

    def run(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], *, ahead: int | None = None
    ) -> Iterator[Done]:
        """See :class:`~chione.base.engines.task.AbstractEngine`."""
        with one_thread():
            for index, task in enumerate(tasks):
                value, failure = called(function, task)
                yield Done(index, value, failure)

    def __exit__(self, *_: object) -> None:
        return None


class Threads(AbstractEngine):
    """Threads of this process, for functions that spend their time in NumPy.

    Parameters
    ----------
    workers : int
        Number of threads.
    """

    kind = "threads"

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], *, ahead: int | None = None
    ) -> Iterator[Done]:
        """See :class:`~chione.base.engines.task.AbstractEngine`."""
        window = Window(tasks, ahead)
        results: SimpleQueue[tuple[int, Any, Failure | None, BaseException | None]] = SimpleQueue()

        def work(index: int, task: Any) -> None:
            try:
                results.put((index, *called(function, task), None))
            except BaseException as err:  # an interrupt ends the run, in the thread that waits
                results.put((index, None, None, err))

        pool = ThreadPoolExecutor(self.workers)
        running = 0
        with one_thread():
            try:
                while True:
                    while running < IN_FLIGHT * self.workers and window.open:
                        pool.submit(work, *window.take())
                        running += 1
                    if not running:
                        return
                    index, value, failure, error = results.get()
                    running -= 1
                    if error is not None:
                        raise error
                    window.end(index)
                    yield Done(index, value, failure)
            finally:
                pool.shutdown(cancel_futures=True)

    def __exit__(self, *_: object) -> None:
        return None


class Borrowed(AbstractEngine):
    """An engine that somebody else has opened, and will close.

    Parameters
    ----------
    owned : AbstractEngine
        The engine.
    """

    def __init__(self, owned: AbstractEngine) -> None:
        self._owned = owned
        self.workers, self.kind = owned.workers, owned.kind

    def run(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], *, ahead: int | None = None
    ) -> Iterator[Done]:
        """See :class:`~chione.base.engines.task.AbstractEngine`."""
        return self._owned.run(function, tasks, ahead=ahead)

    def __exit__(self, *_: object) -> None:
        return None
