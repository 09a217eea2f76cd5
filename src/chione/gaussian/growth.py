"""How fast a function grows: decides whether a Gaussian expectation is finite at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chione.base import Array
from chione.gaussian.kept import is_unchanging

# A function whose logarithm grows with a power between these two is a Gaussian, exp(a h^2).
_GAUSSIAN_ORDER = (1.98, 2.02)
# Of log|f| over one doubling of h: below this f grows like a power of h, at most the 28th, and
# what overflows at the limit is an exponential inside its formula, not f itself.
_LEAST_RISE = 20.0


@dataclass(frozen=True)
class Growth:
    r"""Growth of log|f(h)| on one side, as far as float64 can follow it.

    Parameters
    ----------
    order : float
        Exponent r of :math:`\log|f| \sim a |h|^r`; zero where f never overflows.
    coefficient : float
        The coefficient a if the order is 2; NaN where f never overflows.
    limit : float
        Largest \|h\| at which f is finite in float64; ``inf`` where it never overflows.
    """

    order: float
    coefficient: float
    limit: float

    def infinite_from(self, power: int) -> float:
        r"""Smallest variance q at which :math:`E f^p` is infinite; ``inf`` where it never is.

        The integrand is :math:`\exp(p a h^2 - h^2 / 2 q)`, so the limit is :math:`1 / (2 p a)`.
        """
        if self.order > _GAUSSIAN_ORDER[1]:
            return 0.0
        if self.order > _GAUSSIAN_ORDER[0] and self.coefficient > 0.0:
            return 1.0 / (2.0 * power * self.coefficient)
        return float("inf")


def growth(f: Callable[[Array], Array], side: int) -> Growth:
    """Growth of `f` towards +inf (`side` = 1) or -inf (`side` = -1).

    The order is read off log|f| at the largest finite points, between h / 2 and h. It is 0 where
    log|f| hardly rises there: differences of logarithms of a constant are rounding noise.
    """
    return _kept(f, side) if is_unchanging(f) else _measured(f, side)


@lru_cache(maxsize=256)
def _kept(f: Callable[[Array], Array], side: int) -> Growth:
    return _measured(f, side)


def _measured(f: Callable[[Array], Array], side: int) -> Growth:
    limit = _last_finite(f, side)
    if not np.isfinite(limit):
        return Growth(0.0, float("nan"), limit)
    h = side * limit * np.array([0.25, 0.5, 1.0])
    with np.errstate(all="ignore"):
        log_f = np.log(np.abs(f(h)))
    if not np.all(np.isfinite(log_f)) or not log_f[2] - log_f[1] > _LEAST_RISE:
        return Growth(0.0, float("nan"), limit)
    # Differences cancel a constant factor; a power of h in front only shifts the order slightly.
    order = float(np.log2((log_f[2] - log_f[1]) / (log_f[1] - log_f[0])))
    coefficient = float((log_f[2] - log_f[1]) / (h[2] ** 2 - h[1] ** 2))
    return Growth(order, coefficient, limit)


def _last_finite(f: Callable[[Array], Array], side: int) -> float:
    """Largest |h| below 2^60 at which f is finite, or inf where it is finite up to there."""
    with np.errstate(all="ignore"):
        grid = 2.0 ** np.arange(-4.0, 61.0)
        bad = np.flatnonzero(~np.isfinite(f(side * grid)))
        if bad.size == 0 or bad[0] == 0:
            return float("inf")
        low, high = grid[bad[0] - 1], grid[bad[0]]
        for _ in range(40):
            middle = 0.5 * (low + high)
            if np.isfinite(f(np.array([side * middle]))[0]):
                low = middle
            else:
                high = middle
    return float(low)
