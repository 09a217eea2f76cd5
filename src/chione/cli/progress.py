"""Progress on stderr where that is a terminal, and nothing elsewhere. The one place with rich."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, int], None]
"""Takes (done, in total)."""


@contextmanager
def counting(words: str, total: int) -> Iterator[Advance | None]:
    """A bar that counts to `total`; the block gets a function to move it, or None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=total)
        yield lambda done, _: bar.update(task, completed=done)


CountDown = Callable[[int, int, float], None]
"""Takes (done, in total, seconds left; NaN while nobody knows)."""


@contextmanager
def counting_down(words: str, total: int) -> Iterator[CountDown | None]:
    """As :func:`counting`, with the time that is left."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from chione.base.cost import duration

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn(), TextColumn("{task.fields[left]}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=total, left="")

        def tell(done: int, total: int, left: float) -> None:
            rest = f"about {duration(left)} left" if math.isfinite(left) else ""
            bar.update(task, completed=done, total=total, left=rest)

        yield tell


@contextmanager
def running(words: str) -> Iterator[None]:
    """A sign of life, and the seconds so far, for work whose parts cannot be counted."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as sign:
        sign.add_task(words, total=None)
        yield


@contextmanager
def parts() -> Iterator[Callable[[str, float, float], None] | None]:
    """A bar for each part of a piece of work, which names itself; None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = {}

        def told(words: str, done: float, total: float) -> None:
            if words not in tasks:
                tasks[words] = bar.add_task(words)
            bar.update(tasks[words], completed=done, total=total)

        yield told
