r"""The correlation c* of one chaotic cell, by few integrals of full accuracy.

With :math:`x = \sqrt{1 - c}` the function

.. math:: y(x) = \frac{1}{\sigma_w^2 A(c)}, \qquad A(c) = \frac{K(1) - K(c)}{q\,(1 - c)}

rises from :math:`1 / \chi_\perp` at c = 1 (from 0 where the slope has no mean square) to
:math:`q / \sigma_w^2 (E\,\phi^2 - (E\,\phi)^2)` at c = 0, both of which are moments; c* is where
it is 1. Next to c = 1 it is a straight line in x for kinks and jumps, a parabola for smooth
activations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Estimate, Status
from chione.theory.moments.kernel_drop import kernel_drop
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_kernels import kernel, slope_at

_NEAREST = 5e-8  # sqrt(1 - c) below which a pair counts as one input
_NEAREST_SINGULAR = 1.4e-3  # the same where K(1) - K(c) is a plain difference
_STEPS = 60
_POINTS = 4  # of the inverse interpolation
_MOVED = 1e-3  # relative step in q with which the change of A is taken
_CLEAR = 1e-10  # distance of y from 1 at c = 0 that needs no better value


@dataclass(frozen=True)
class SingleCorrelation:
    """c*, 1 - c* and the slope of the correlation map there, with their errors.

    Parameters
    ----------
    gap : float
        1 - c*.
    error : float
        Of c* and of 1 - c*.
    slope, slope_error : float
        Slope of the correlation map at c*; NaN where c* = 1 to within what can be seen.
    """

    gap: float
    error: float
    slope: float
    slope_error: float


NOT_SEEN = SingleCorrelation(0.0, 0.0, float("nan"), float("nan"))


def single_correlation(
    act: AbstractActivation, q: float, q_error: float, w2: float, chi: Estimate
) -> SingleCorrelation:
    """Where the correlation of two inputs settles in a chaotic network.

    This is the slow careful path, of full accuracy at any q; many cells of one diagram share the
    compiled kernels of :mod:`.stable_correlations`.

    Parameters
    ----------
    act : AbstractActivation
        The activation.
    q, q_error : float
        The length, above zero, and its error.
    w2 : float
        Variance of the weights.
    chi : Estimate
        chi_perp, above 1; of status ``INFINITE`` where the slope has no mean square.
    """
    average = _average(act, q)
    # phi' of |x|^(1/2) and the like is not square integrable: Price's integral is of no use then
    singular = chi.status != Status.OK and not moments(act).has_jumps
    if singular:
        average = _plain_average(act, q)
    found = _root(act, q, w2, chi, average, _NEAREST_SINGULAR if singular else _NEAREST)
    if found is None:
        return NOT_SEEN
    gap, there = found
    here = slope_at(act, q, gap, 2.0 - gap)
    slope = w2 * here.value
    own = there.error / there.value
    # what an error of q does to A; where it cannot matter it is not asked for
    share = q_error / q
    steep = 2.0
    if 100.0 * share > own:
        beside = (_plain_average if singular else _average)(act, q * (1.0 + _MOVED))(gap)
        steep = max(steep, abs(beside.value / there.value - 1.0) / _MOVED)
    off = abs(w2 * there.value - 1.0) if gap < 1.0 else 0.0
    noise = own + off + steep * share + 8.0 * EPS
    # C(c) = c: an error of the map moves c by itself over 1 - C'
    error = noise * gap / max(1.0 - slope, EPS) + 4.0 * EPS * gap
    # R is a power series in c with coefficients above 0, so R' (1 - c) <= 2 (A - R)
    bend = 2.0 * max(1.0 - slope, 0.0) / gap
    slope_error = w2 * here.error + noise * max(abs(slope), 1.0) + bend * error
    return SingleCorrelation(gap, error, slope, slope_error)


Average = Callable[[float], Estimate]


def _average(act: AbstractActivation, q: float) -> Average:
    """A as a function of 1 - c."""
    return lambda gap: kernel_drop(act, q, gap) / (q * gap)


def _plain_average(act: AbstractActivation, q: float) -> Average:
    """The same as a plain difference of kernels."""
    top = moments(act).square(q)
    return lambda gap: (top - kernel(act, q, q, 1.0 - gap)) / (q * gap)


def _root(
    act: AbstractActivation, q: float, w2: float, chi: Estimate, average: Average, nearest: float
) -> tuple[float, Estimate] | None:
    """1 - c* and A there; None where it is below what can be seen."""
    m = moments(act)
    square, mean = m.square(q), m.mean(q)
    last = (square - mean * mean) / q
    clear = w2 * (last.value + 4.0 * last.error) < 1.0 - _CLEAR
    if not (clear and last.value > 4.0 * last.error):
        last = average(1.0)
        if not w2 * last.value - 1.0 < -(w2 * last.error + 8.0 * EPS):
            return 1.0, last  # c = 0, which only an even kernel without biases keeps
    first = 1.0 / chi.value if chi.status == Status.OK else 0.0
    known = [(first, 0.0), (1.0 / max(w2 * float(last.value), 1e-300), 1.0)]
    low, high = 0.0, 1.0
    part = (1.0 - known[0][0]) / (known[1][0] - known[0][0])
    x = np.sqrt(part) if not act.kinks and chi.value < 2.0 else part
    for _ in range(_STEPS):
        x = max(float(x), nearest)
        there = average(x * x)
        excess = float(w2 * there.value - 1.0)
        if x == nearest and excess <= 0.0:
            return None
        if abs(excess) <= max(0.1 * w2 * there.error, 4.0 * EPS):
            break
        low, high = (x, high) if excess > 0.0 else (low, x)
        known.append((1.0 / (1.0 + excess), x))
        new = _inverse(known[-_POINTS:])
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - x) <= 4.0 * EPS * x:
            break
        x = new
    return x * x, there


def _inverse(points: list[tuple[float, float]]) -> float:
    """The polynomial x(y) through the points (y, x), at y = 1."""
    y, x = np.array(points).T
    others = y[:, None] - y
    np.fill_diagonal(others, 1.0)
    to_one = np.where(np.eye(y.size, dtype=bool), 1.0, 1.0 - y)
    with np.errstate(all="ignore"):
        return float(x @ (to_one / others).prod(axis=1))
