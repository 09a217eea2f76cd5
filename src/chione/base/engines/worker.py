"""A worker process as its parent sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any

from chione.base.engines import frames
from chione.base.errors import EngineError

_BLAS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)
"""What linear algebra libraries read when they are loaded, so it has to be there before."""

# arguments: the file of this folder that is run, how many words it takes, the words, then the path
_PROGRAM = """
import sys
name, n = sys.argv[1], int(sys.argv[2])
sys.path[:], sys.argv[1:] = sys.argv[3 + n :], sys.argv[3 : 3 + n]
from importlib import import_module
import_module(f"chione.base.engines.{name}").main()
"""

Inbox = SimpleQueue[tuple["Worker", tuple[str, Any, Any] | None]]
"""Pairs of a worker and its message, or None when it is gone."""


class Worker:
    """One process and the tasks it has.

    Parameters
    ----------
    inbox : SimpleQueue
        Where its messages go, read by the thread that runs the engine.
    program : str
        File of this folder whose ``main`` it runs.
    *words : str
        What that finds in ``sys.argv``.
    """

    def __init__(self, inbox: Inbox, program: str = "child", *words: str) -> None:
        self.flight: deque[tuple[int, bytes]] = deque()  # the first one is running
        self.ready = False
        self._function: bytes | None = None
        self._process = _started(program, *words)
        self._reader = Thread(target=self._read, args=(inbox,), daemon=True)
        try:
            self._reader.start()
        except RuntimeError:  # no more threads
            self.kill()
            raise

    def give(self, function: bytes, task: tuple[int, bytes]) -> None:
        """Hand over a task, and the function where it is another one than before."""
        if self._function is not function:
            self._function = function
            self.send("function", 0, function)
        self.flight.append(task)
        self.send("task", *task)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def send(self, word: str, index: int, body: bytes) -> None:
        """Hand something over; a worker that is gone says so through the inbox."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # broken pipe
            frames.send(self._process.stdin, (word, index, body))  # type: ignore[arg-type]  # typeshed: IO[bytes]

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def close(self, patience: float = 0.0) -> int:
        """End the process, by itself if it can in time, and give back its exit status."""
        assert self._process.stdin is not None
        if patience > 0.0:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self._process.stdin.close()
                self._process.wait(patience)
        self._process.kill()
        status = self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not flushed has nobody to go to
                pipe.close()
        return status

    def _read(self, inbox: Inbox) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                inbox.put((self, frames.receive(self._process.stdout)))  # type: ignore[arg-type]  # typeshed: IO[bytes]
        except Exception:  # the end of the pipe, or something that cannot be understood
            inbox.put((self, None))


def _started(program: str, *words: str) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise EngineError(
            "worker processes need a Python to start, but sys.executable is empty here; "
            "use engine='threads'."
        )
    path = [entry for entry in sys.path if isinstance(entry, str)]
    windows = 0x200 if os.name == "nt" else 0  # CREATE_NEW_PROCESS_GROUP
    with _no_interrupt():
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, program, str(len(words)), *words, *path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(_BLAS, "1")},
            creationflags=windows,
        )


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Start a process that never sees Ctrl-C, which goes to all processes of a terminal.

    It inherits the mask of signals; in the moment before it could refuse them by itself, Python
    would print a traceback for each worker.
    """
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
