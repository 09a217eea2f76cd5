"""What runs in a worker process: takes tasks from a pipe, sends results into another.

It is started as a program of its own (``python -c "..."``), not by :mod:`multiprocessing`: so the
script, notebook or terminal that uses the engine is never run a second time in a worker, with a
``__main__`` guard or without. A worker ends when the pipe from its parent ends, which the system
sees to also when the parent is killed.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

from chione.base.engines import frames
from chione.base.engines.task import FAILED, Failure, failure, portable

_LOOK = 1.0  # seconds between looks at the parent, should another process hold its pipe open


def main() -> None:
    """Serve until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    inbound, outbound = _pipes()
    inbox: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
    Thread(target=_read, args=(inbound, inbox), daemon=True).start()
    if os.name == "posix":
        Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    frames.send(outbound, ("ready", os.getpid(), None))
    function: Any = None
    unusable: Failure | None = None
    while True:
        word, index, body = inbox.get()
        if word == "function":
            function, unusable = _unpacked(body)
            continue
        task, spoilt = _unpacked(body)
        if unusable is not None or spoilt is not None:
            frames.send(outbound, ("unusable", index, portable(unusable or spoilt)))  # type: ignore[arg-type]  # one of them is there
            continue
        frames.send(outbound, ("done", index, _result(function, task)))


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the parent; what functions print goes to stderr, and they have no stdin."""
    inbound, outbound = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return inbound, outbound


def _read(pipe: BinaryIO, inbox: SimpleQueue[tuple[Any, ...]]) -> None:
    try:
        while True:
            inbox.put(frames.receive(pipe))
    except (EOFError, OSError):
        os._exit(0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(0)


def _unpacked(body: bytes) -> tuple[Any, Failure | None]:
    try:
        return pickle.loads(body), None
    except BaseException as err:  # an import of the user's own module may do anything
        return None, failure(err)


def _result(function: Any, task: Any) -> bytes:
    """The value and the failure of a task as one pickle."""
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


if __name__ == "__main__":
    sys.exit("This module is started by chione.base.engines.")
