"""What runs in a worker process: takes tasks from a pipe, sends results into another.

It is started as a program of its own (``python -c "..."``), not by :mod:`multiprocessing`: so the
script, notebook or terminal that uses the engine is never run a second time in a worker, with a
``__main__`` guard or without. A worker ends when the pipe from its parent ends, which the system
sees to also when the parent is killed.
"""

from __future__ import annotations

import os
import signal
import time
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

from chione.base.engines import frames
from chione.base.engines.task import Failure, answered, loaded

_LOOK = 1.0  # seconds between looks at the parent, should another process hold its pipe open


def main() -> None:
    """Serve until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    inbound, outbound = pipes()
    inbox: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
    Thread(target=_read, args=(inbound, inbox), daemon=True).start()
    if os.name == "posix":
        Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    _tell(outbound, "ready", os.getpid(), None)
    function: Any = None
    unusable: Failure | None = None
    while True:
        word, index, body = inbox.get()
        if word == "function":
            function, unusable = loaded(body)
            continue
        task, spoilt = loaded(body)
        why = unusable or spoilt
        if why is None:
            _tell(outbound, "done", index, answered(function, task))
        else:
            _tell(outbound, "unusable", index, why)


def _tell(pipe: BinaryIO, *message: Any) -> None:
    try:
        frames.send(pipe, message)
    except OSError:  # nobody is there to hear it
        os._exit(0)


def pipes() -> tuple[BinaryIO, BinaryIO]:
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
