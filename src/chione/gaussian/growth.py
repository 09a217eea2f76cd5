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
_PLACES = np.linspace(0.5, 1.0, 9)  # fractions of the limit at which log|f| is read
# Below this growth of log|f| over the outer half f is a power of h, or a constant (whose
# logarithms differ by rounding alone), and it is an exp on the way to it that overflows.
_EXPONENTIAL = 8.0
_FITS = 1e-7  # of the growth: rounding leaves 1e-12 there, exp(h^2.05) 1e-6
_NO_SQUARE = 1e-5  # of the growth


@dataclass(frozen=True)
class Growth:
    r"""Growth of log|f(h)| on one side, as far as float64 can follow it.

    Parameters
    ----------
    order : float
        Exponent r of :math:`\log|f| \sim a |h|^r`; zero where f never overflows, or where it is
        not itself that grows exponentially.
    coefficient : float
        The coefficient a if the order is 2; NaN where the order is zero.
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
    r"""Growth of `f` towards +inf (`side` = 1) or -inf (`side` = -1).

    Notes
    -----
    log|f| is read over the outer half of the range in which f is finite. Where
    :math:`a h^2 + b h + c \log h + d` fits it, the order is 2 (or, without a, at most 1): so
    a factor, a shift and a power of h in front change nothing. Elsewhere the order is that of the
    second differences, provided that they grow steadily.
    """
    return _kept(f, side) if is_unchanging(f) else _measured(f, side)


@lru_cache(maxsize=256)
def _kept(f: Callable[[Array], Array], side: int) -> Growth:
    return _measured(f, side)


def _measured(f: Callable[[Array], Array], side: int) -> Growth:
    limit = _last_finite(f, side)
    none = Growth(0.0, float("nan"), limit)
    if not np.isfinite(limit):
        return none
    with np.errstate(all="ignore"):
        log_f = np.log(np.abs(f(side * limit * _PLACES)))
    if not np.all(np.isfinite(log_f)) or log_f[-1] - log_f[0] < _EXPONENTIAL:
        return none
    rise = float(log_f[-1] - log_f[0])
    basis = np.stack([_PLACES**2, _PLACES, np.log(_PLACES), np.ones_like(_PLACES)], axis=1)
    fit = np.linalg.lstsq(basis, log_f, rcond=None)[0]
    if np.abs(basis @ fit - log_f).max() <= _FITS * rise:
        if fit[0] <= _NO_SQUARE * rise:
            return Growth(1.0, float("nan"), limit)
        return Growth(2.0, float(fit[0]) / limit**2, limit)
    bend = np.diff(log_f, 2)
    if not (np.all(bend > 0.0) and np.all(np.diff(bend) > 0.0)):
        return none  # it oscillates, or grows more slowly than a Gaussian
    # (log f)'' ~ h^(r - 2), between the middles of the first and of the last three places
    stretch = np.log(_PLACES[-2] / _PLACES[1])
    order = 2.0 + float(np.log(bend[-1] / bend[0]) / stretch)
    return Growth(order, rise / (limit**2 - (0.5 * limit) ** 2), limit)


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
