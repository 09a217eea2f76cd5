"""What a call will cost, and a refusal before it begins where that is more than was allowed.

Each public function that can run long estimates its work and its memory from its arguments and
asks :func:`check`. The limits are those of a laptop; ``effort=10`` raises both tenfold.

What no argument tells, such as how finely a user's function has to be looked at, is found out on
the way: functions marked by :func:`ends` stop once the work in them, which calls :func:`tick`,
has taken as much as was allowed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

from chione.base import checks
from chione.base.errors import CostError

SECONDS = 60.0
"""Work that a call may take at effort 1, in CPU seconds."""
GIGABYTES = 4.0
"""Memory that a call may take at effort 1."""

P = ParamSpec("P")
R = TypeVar("R")

_PATIENCE = 0.8  # of the limit: what is stopped on the way has not overstepped it either
_allowed: ContextVar[float] = ContextVar("effort", default=1.0)
_begun: ContextVar[tuple[str, float] | None] = ContextVar("begun", default=None)


@contextmanager
def allowing(effort: float) -> Iterator[None]:
    """Let all that is called within cost `effort` times the limits, or more where more was allowed.

    Raises
    ------
    ValueError
        If `effort` is not a finite number above zero.
    """
    effort = checks.positive("effort", effort)
    token = _allowed.set(max(effort, _allowed.get()))
    try:
        yield
    finally:
        _allowed.reset(token)


def allowed(effort: float = 1.0) -> float:
    """How many times the limits a call may take: `effort`, or more where the surroundings do."""
    return max(checks.positive("effort", effort), _allowed.get())


def ends(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function end in a sentence where its integrals take more than was allowed.

    The outermost marked function counts: it looks at the CPU time of this process.
    """

    @wraps(function)
    def bounded(*args: P.args, **kwargs: P.kwargs) -> R:
        if _begun.get() is not None:
            return function(*args, **kwargs)
        token = _begun.set((function.__name__, time.process_time()))
        try:
            return function(*args, **kwargs)
        finally:
            _begun.reset(token)

    return bounded


def tick() -> None:
    """Called by long work now and then.

    Raises
    ------
    CostError
        If the outermost function marked by :func:`ends` has used what it may.
    """
    begun = _begun.get()
    if begun is None:
        return
    seconds = _PATIENCE * SECONDS * _allowed.get()
    if time.process_time() - begun[1] > seconds:
        raise CostError(
            f"{begun[0]} was stopped after {duration(seconds)} of work, when it was not done: the "
            "activation needs very many points at these lengths. Take one that changes less "
            "abruptly, fewer cells or layers, or more effort (effort=10 for ten times as long)."
        )


def check(
    what: str,
    *,
    seconds: float = 0.0,
    gigabytes: float = 0.0,
    fits: str = "",
    effort: float = 1.0,
    limit: float = SECONDS,
) -> None:
    """Refuse a call whose estimated cost is above what was allowed.

    Parameters
    ----------
    what : str
        The call in a reader's words, such as ``"simulating 50 networks of 10 layers"``.
    seconds, gigabytes : float
        The estimate; infinite where the arguments lead beyond all numbers.
    fits : str
        What would fit, such as ``"a depth of 20000 fits"``.
    effort : float
        How many times the limits this call may take; the surrounding :func:`allowing` counts too.
    limit : float
        Seconds that are allowed at effort 1: more only for work that keeps what it has done.

    Raises
    ------
    CostError
        With the estimate, the limit, what would fit, and the effort that would do.
    """
    effort = allowed(effort)
    needed = max(seconds / limit, gigabytes / GIGABYTES)
    if needed <= effort:
        return
    most = f"{duration(effort * limit)} and {size(effort * GIGABYTES)}"
    fit = f" {fits[0].upper()}{fits[1:].rstrip('.')}." if fits else ""
    raise CostError(
        f"{what} would take about {duration(seconds)} and {size(gigabytes)}, "
        f"above the limit of {most}.{fit}{_remedy(needed)}"
    )


def _remedy(needed: float) -> str:
    if not needed < 1e6:
        return ""
    digits = 10.0 ** (math.floor(math.log10(needed)) - 1)
    return f" To run it all the same: effort={math.ceil(needed / digits) * digits:g}."


def duration(seconds: float) -> str:
    """Seconds as people say them: ``0.2 s``, ``3 min``, ``5 h``, ``12 days``, ``4e+03 years``."""
    if not math.isfinite(seconds) or seconds > 1e12 * 3.15e7:
        return "longer than the universe is old"
    for unit, length, most in (
        ("s", 1.0, 120.0),
        ("min", 60.0, 7200.0),
        ("h", 3600.0, 172_800.0),
        ("days", 86_400.0, 6.3e7),
    ):
        if seconds < most:
            return (
                f"{seconds / length:.2g} {unit}"
                if seconds < 100 * length
                else (f"{seconds / length:.0f} {unit}")
            )
    return f"{seconds / 3.15576e7:.2g} years"


def size(gigabytes: float) -> str:
    """Memory as people say it: ``3 MB``, ``1.2 GB``, ``4e+06 TB``."""
    if not math.isfinite(gigabytes):
        return "more memory than there is"
    if gigabytes < 1.0:
        return (
            f"{1000.0 * gigabytes:.2g} MB"
            if gigabytes < 0.0995
            else (f"{1000.0 * gigabytes:.0f} MB")
        )
    if gigabytes < 1000.0:
        return f"{gigabytes:.2g} GB" if gigabytes < 99.5 else f"{gigabytes:.0f} GB"
    return f"{gigabytes / 1000.0:.2g} TB"
