"""Code of a user's file inside a command: it cannot end the program, nor write into its answer."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from chione.base.cost import SECONDS, allowed


@contextmanager
def contained(path: Path) -> Iterator[None]:
    """Run what comes from `path`; whatever it raises becomes one sentence.

    Its output goes to stderr, its input is empty, and ``sys.exit``, ``os._exit`` or a
    KeyboardInterrupt of its own end the block, not the program. A loop without an end is stopped
    after the time that the effort allows. What this cannot hold is a crash of the interpreter, and
    a single call into compiled code that does not return; there Ctrl-C helps, which is passed on.

    Raises
    ------
    click.UsageError
        If the code raises anything, or takes longer than :data:`chione.base.cost.SECONDS` times
        the effort.
    KeyboardInterrupt
        If the user, not the code, interrupts.
    """
    pressed: list[int] = []
    try:
        with ExitStack() as stack:
            stack.enter_context(_streams())
            stack.enter_context(_timed(path, allowed() * SECONDS))
            stack.enter_context(_no_way_out())
            stack.enter_context(_listening(pressed))
            yield
    except (click.UsageError, MemoryError):
        raise
    except BaseException as err:
        if pressed:
            raise
        if isinstance(err, _TooLong):
            raise click.UsageError(str(err)) from None
        if isinstance(err, _Ended | SystemExit):
            said = f" and says: {err}" if str(err) not in ("", "0", "None") else ""
            raise click.UsageError(
                f"{str(path)!r} ends the program where a model was to be made{said}; guard that "
                "part with: if __name__ == '__main__'."
            ) from err
        raise click.UsageError(
            f"{str(path)!r} could not make the model ({type(err).__name__}: {err})."
        ) from err


class _Ended(BaseException):
    """What os._exit raises in here."""


class _TooLong(BaseException):
    """What the alarm raises."""


@contextmanager
def _timed(path: Path, seconds: float) -> Iterator[None]:
    """Raise in code that runs longer than that; end the program where it swallows that twice."""
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield
        return
    left, leave = 3, os._exit
    words = (
        f"{str(path)!r} was still running after {seconds:g} s: a loop without an end, or more "
        "work than was allowed; end it sooner, or raise the limit by --effort."
    )

    def late(number: int, frame: Any) -> None:
        nonlocal left
        left -= 1
        if left:
            raise _TooLong(words)
        os.write(2, f"Error: {words}\n".encode())
        leave(2)

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, 1e8), 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _streams() -> Iterator[None]:
    """Standard output goes to stderr and standard input is empty, for child processes as well."""
    with ExitStack() as stack, open(os.devnull, encoding="utf-8") as nothing:
        sys.stdout.flush()
        for fd, target in ((1, 2), (0, nothing.fileno())):
            with suppress(OSError):  # a stream that is closed needs no other place
                kept = os.dup(fd)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, fd)
                os.dup2(target, fd)
        stack.enter_context(redirect_stdout(sys.stderr))
        before, sys.stdin = sys.stdin, nothing
        stack.callback(setattr, sys, "stdin", before)
        yield


@contextmanager
def _no_way_out() -> Iterator[None]:
    """os._exit, which nothing can catch, raises instead."""

    def ended(status: int) -> NoReturn:
        raise _Ended(str(status))

    before = os._exit
    os._exit = ended
    try:
        yield
    finally:
        os._exit = before


@contextmanager
def _listening(pressed: list[int]) -> Iterator[None]:
    """Note a real Ctrl-C, so that it can be told from a KeyboardInterrupt that code raises."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not (
        threading.main_thread()
    ):
        yield
        return

    def note(number: int, frame: Any) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
