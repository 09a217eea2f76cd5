"""What a call will cost, and a refusal before it begins where that is more than was allowed.

Each public function that can run long estimates its work and its memory from its arguments and
asks :func:`check`. The limits are those of a laptop; ``effort=10`` raises both tenfold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from chione.base import checks
from chione.base.errors import CostError

SECONDS = 60.0
"""Work that a call may take at effort 1, in CPU seconds."""
GIGABYTES = 4.0
"""Memory that a call may take at effort 1."""

_allowed: ContextVar[float] = ContextVar("effort", default=1.0)


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


def check(
    what: str, *, seconds: float = 0.0, gigabytes: float = 0.0, fits: str = "", effort: float = 1.0
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

    Raises
    ------
    CostError
        With the estimate, the limit, what would fit, and the effort that would do.
    """
    effort = allowed(effort)
    needed = max(seconds / SECONDS, gigabytes / GIGABYTES)
    if needed <= effort:
        return
    limit = f"{duration(effort * SECONDS)} and {size(effort * GIGABYTES)}"
    fit = f" {fits[0].upper()}{fits[1:].rstrip('.')}." if fits else ""
    raise CostError(
        f"{what} would take about {duration(seconds)} and {size(gigabytes)}, "
        f"above the limit of {limit}.{fit}{_remedy(needed)}"
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
