"""What an engine does with one task, and what comes back."""

from __future__ import annotations

import pickle
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Self

from chione.base.errors import ChioneError, EngineError, SpecError

FAILED, LOST = "failed", "lost"

IN_FLIGHT = 2
"""Tasks that a worker has at most: one that runs, and one for when it is done."""


@dataclass(frozen=True)
class Failure:
    """Why a task has no value.

    Parameters
    ----------
    kind : {"failed", "lost"}
        Its function raised an error; or each worker that tried it died.
    message : str
        One sentence.
    trace : str
        The traceback where the error arose, empty for lost tasks.
    error : BaseException or None
        The error itself, where it can travel between processes.
    """

    kind: str
    message: str
    trace: str = ""
    error: BaseException | None = None

    def throw(self) -> NoReturn:
        """Raise the error here, as if the function had been called in this process."""
        if self.error is not None:
            if self.error.__traceback__ is None:  # it comes from another process
                self.error.add_note(f"In a worker:\n{self.trace}")
            raise self.error
        raise EngineError(self.message)


@dataclass(frozen=True)
class Done:
    """A task that has come to its end.

    Parameters
    ----------
    index : int
        Its place among the tasks, from 0.
    value : object
        What the function returned; None if it failed.
    failure : Failure or None
        Why there is no value.
    """

    index: int
    value: Any = None
    failure: Failure | None = None


class AbstractEngine(ABC):
    """What runs a function on many tasks; made by :func:`chione.base.engines.engine`."""

    workers: int
    """How many tasks run at a time."""

    kind: str = "processes"
    """Whether tasks stay ``"here"``, go to ``"threads"``, or to other ``"processes"``."""

    @abstractmethod
    def run(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], *, ahead: int | None = None
    ) -> Iterator[Done]:
        """Call `function` on each task; results come as they are completed.

        Parameters
        ----------
        function : callable
            Takes one task. For other processes it stands at module level, or is a
            ``functools.partial`` of such a function, whose data then travel to each worker once.
        tasks : iterable
            Taken one by one as workers become free.
        ahead : int, optional
            Begin no task that is this many places behind the oldest one unfinished, so that
            who needs results in order has few of them waiting.

        Yields
        ------
        Done
            One for each task, in the order in which they end. A task that fails is one of them
            and takes no other along.

        Raises
        ------
        SpecError
            If the function or a task cannot be brought to a worker.
        EngineError
            If no worker is left that could do anything.
        """

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """End the workers."""


def called(function: Callable[[Any], Any], task: Any) -> tuple[Any, Failure | None]:
    """The value of ``function(task)``, or why there is none; only an interrupt goes through."""
    try:
        return function(task), None
    except KeyboardInterrupt:
        raise
    except Exception as err:
        return None, failure(err)


def failure(err: BaseException) -> Failure:
    """An error as plain data."""
    text = " ".join(str(err).split())
    message = text if isinstance(err, ChioneError) and text else f"{type(err).__name__}: {text}"
    return Failure(FAILED, message, "".join(traceback.format_exception(err)), err)


def portable(why: Failure) -> Failure:
    """The same without an error that pickle cannot bring to another process and back."""
    try:
        pickle.loads(pickle.dumps(why))
    except Exception:
        return Failure(why.kind, why.message, why.trace)
    return why


def answered(function: Callable[[Any], Any], task: Any) -> bytes:
    """The value of ``function(task)`` and why there is none, as one pickle for the parent."""
    answer: tuple[Any, Failure | None]
    try:
        answer = (function(task), None)
    except BaseException as err:  # SystemExit too: the worker goes on
        answer = (None, portable(failure(err)))
    try:
        return pickle.dumps(answer, protocol=5)
    except BaseException as err:
        why = Failure(FAILED, f"its result cannot be sent back ({type(err).__name__}: {err})")
        return pickle.dumps((None, why), protocol=5)


def opened(index: int, body: bytes) -> Done:
    """What :func:`answered` packed, of the task at that place."""
    found, unreadable = loaded(body)
    if unreadable is not None:
        message = f"its result cannot be read here ({unreadable.message})"
        return Done(index, failure=Failure(FAILED, message, unreadable.trace))
    return Done(index, *found)


def loaded(body: bytes) -> tuple[Any, Failure | None]:
    """What was packed, or why that cannot be known here."""
    try:
        return pickle.loads(body), None
    except BaseException as err:  # an import of the user's own module may do anything
        return None, portable(failure(err))


def packed(what: str, thing: Any, dumps: Callable[[Any], bytes] = pickle.dumps) -> bytes:
    """The thing as bytes for another process.

    Raises
    ------
    SpecError
        If pickle cannot do it.
    """
    try:
        return dumps(thing)
    except Exception as err:  # pickle raises errors of any kind here
        raise SpecError(
            f"{what} cannot be sent to another process ({type(err).__name__}: {err}); give an "
            "activation by its name or as a formula, define functions and classes at the top "
            "level of a module, or stay in this process (engine='threads')."
        ) from err


def unusable(why: Failure) -> SpecError:
    """What to say of a function or task that a worker cannot make sense of."""
    if "__main__" in why.message:
        return SpecError(
            f"a worker process cannot find something that the running script or notebook itself "
            f"defines ({why.message}); move it into a module (a file that can be imported), or "
            "stay in this process (engine='threads')."
        )
    return SpecError(f"a worker process cannot read its task: {why.message}")


class Window:
    """Counts tasks that have begun and ended, to keep the distance that `ahead` allows."""

    def __init__(self, tasks: Iterable[Any], ahead: int | None) -> None:
        self._tasks = enumerate(tasks)
        self._ahead = ahead
        self._next: tuple[int, Any] | None = None
        self._ended: set[int] = set()
        self._oldest = 0
        self._step()

    def _step(self) -> None:
        self._next = next(self._tasks, None)

    @property
    def open(self) -> bool:
        """Whether a task is there that may begin now."""
        if self._next is None:
            return False
        return self._ahead is None or self._next[0] < self._oldest + self._ahead

    def take(self) -> tuple[int, Any]:
        """The next task with its place."""
        assert self._next is not None
        taken = self._next
        self._step()
        return taken

    def end(self, index: int) -> None:
        """Note that a task has come to its end."""
        self._ended.add(index)
        while self._oldest in self._ended:
            self._ended.remove(self._oldest)
            self._oldest += 1


def in_order(results: Iterable[Done]) -> Iterator[Done]:
    """The same results in the order of their tasks."""
    waiting: dict[int, Done] = {}
    oldest = 0
    for done in results:
        waiting[done.index] = done
        while oldest in waiting:
            yield waiting.pop(oldest)
            oldest += 1
