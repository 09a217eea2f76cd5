r"""The drop K(1) - K(c) from Hermite coefficients that serve a range of lengths.

.. math:: K(1) - K(c) = \sum_{n \ge 1} a_n(q)^2\,(1 - c^n), \qquad
   E\,\phi^2 = \sum_n a_n^2

Nothing cancels in the sum, and its end is known from the mean square: behind the last coefficient
all of :math:`c^n` is gone, or the coefficients are. Where two kinks are so close that neither this
nor :func:`~chione.theory.moments.near_drop.near_drop` holds, the slope of the compiled layer is
integrated, :math:`K(1) - K(c) = q \int_0^\theta R\,\sin\theta'\,d\theta'`.

One table serves all lengths between two powers of four, so that the many lengths of a trajectory
cost a fraction of a millisecond each.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError, CostError, Estimate, Status
from chione.theory.moments.layer_map import LayerMap, layer_map
from chione.theory.moments.moments import jump_error, moments
from chione.theory.moments.near_drop import near_drop
from chione.theory.moments.pair_kernels import kernel_at
from chione.theory.moments.row_table import RowTable, row_table

FEW, _MOST = 192, 1408  # coefficients
_SIZES = (FEW, 512, _MOST)
_ROUNDED = 4.0 * EPS  # of a coefficient, relative to the root of the mean square
_GONE = math.log(1e-5)  # of c^n, beside which the coefficients behind it are small as well
SHARP = 1e-12
"""Relative error up to which these drops are used."""
_RULES = (16, 24)  # nodes of the two rules in the angle
_LARGEST_GAP = 0.5
_WIDE = 0.01  # 1 - c from which on a double integral may be sharp
_CLOSE, _APART = 1e-26, 100.0  # 1 - c, and deviations between two kinks


def quick_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate | None:
    """K(1) - K(c) by whichever way is quick and sharp; None where none is."""
    smooth = not phi.kinks
    found = series_drop(phi, q, gap, FEW) if smooth else None
    found = near_drop(phi, q, gap) if found is None else found
    if smooth and found is None:
        found = series_drop(phi, q, gap)
    if found is None and gap > _WIDE:  # with kinks a double integral is cheaper than a table
        plain = plain_drop(phi, q, gap)
        found = plain if plain.error <= SHARP * plain.value else None
    if smooth or found is not None:
        return found
    found = series_drop(phi, q, gap)
    found = jump_drop(phi, q, gap) if found is None else found
    return slopes_drop(phi, q, gap) if found is None else found


def plain_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    """K(1) - K(c) as it stands."""
    top, rest = moments(phi).square(q), kernel_at(phi, q, gap)
    error = top.error + rest.error
    return Estimate(top.value - rest.value, error, max(top.status, rest.status))


def series_drop(
    phi: AbstractActivation, q: float, gap: float, most: int = _MOST
) -> Estimate | None:
    """K(1) - K(c) by the sum, of at most so many terms; None where it is not sharp."""
    c = 1.0 - gap
    log_c = math.log(abs(c)) if c != 0.0 else -math.inf
    for n in _SIZES:
        if n > most:
            return None
        # coefficients that have not died away by then leave it to c^n to end the sum
        if n * log_c > _GONE and (phi.kinks or n > FEW):
            continue
        table = _table(phi, *_range(q), n)
        found = None if table is None else _summed(phi, table, q, gap)
        if found is not None:
            return found
    return None


def jump_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate | None:
    r"""K(1) - K(c) of two inputs so close that a jump between them parts them, or their slopes do.

    .. math:: K(1) - K(c) = \sqrt{q (1 - c) / \pi} \sum_k D_k^2\,p_q(k) + q\,(1 - c)\,E\,\phi'^2

    The half distance y of the two has :math:`E |y| = \sqrt{q (1 - c) / \pi}`, and a jump lies
    between them with probability :math:`2 |y|\,p_q(k)`. What is left out are the slopes beside a
    jump, :math:`2 |y| (|\phi'_+| + |\phi'_-|) / D` of the first term, and the bend of the density.
    None where they matter.
    """
    m = moments(phi)
    if gap > _CLOSE or not m.has_jumps:
        return None
    root, deviation = math.sqrt(q), math.sqrt(q) * math.sqrt(gap)
    if len(phi.kinks) > 1 and float(np.diff(phi.kinks).min()) < _APART * deviation:
        return None
    value = error = 0.0
    for k, jump in m.jumps:
        power = 0.5 * (k / root) ** 2
        density = math.exp(-power) / (root * math.sqrt(2.0 * math.pi))
        term = jump * jump * density * deviation / math.sqrt(math.pi)
        tilt = 2.0 * sum(abs(s) for s in phi.one_sided(1, k)) / abs(jump)
        bend = deviation * (tilt + (abs(k) / root + 1.0) / root)
        blur = phi.kink_error(k) * abs(k) / q + 4.0 * EPS * power
        value += term
        error += term * (bend + blur + 2.0 * jump_error(phi, k) / abs(jump))
    slopes = q * gap * float(m.derivative_square_beside(q).value)
    return _sharp(value + slopes, error + 10.0 * math.sqrt(gap) * slopes)


def slopes_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate | None:
    """K(1) - K(c) from the slope of the compiled layer; None where it is not sharp."""
    layer = _layer(phi, *_range(q)) if gap <= _LARGEST_GAP else None
    if layer is None:
        return None
    theta = 2.0 * math.asin(math.sqrt(0.5 * gap))
    parts = [np.polynomial.legendre.leggauss(n) for n in _RULES]
    angles = [0.5 * theta * (x + 1.0) for x, _ in parts]
    gaps = 2.0 * np.sin(0.5 * np.concatenate(angles)) ** 2
    slope = layer.slope(np.full_like(gaps, q), np.full_like(gaps, q), gaps)
    if not np.all(np.isfinite(slope)):
        return None
    weights = [0.5 * theta * w * np.sin(t) * q for (_, w), t in zip(parts, angles, strict=True)]
    first = _RULES[0]
    coarse, value = float(weights[0] @ slope[:first]), float(weights[1] @ slope[first:])
    unit = _steep(layer.table, q) / q
    own = float(weights[1] @ layer.errors(gaps[first:])[1]) * unit
    return _sharp(value, abs(value - coarse) + own)


def _summed(phi: AbstractActivation, table: RowTable, q: float, gap: float) -> Estimate | None:
    a = table.at(np.array([q]), table.a)[:, 0]
    n = len(a)
    k = np.arange(1.0, n)
    squares = a[1:] ** 2
    shares = _shares(k, gap)
    steep = _steep(table, q)
    value = float(squares @ shares)
    own = min(gap, 1.0) * table.steep_error * steep
    square = moments(phi).square(q)
    if square.status != Status.OK:
        return None
    size = float(square.value)
    # small coefficients beside a large mean are rounded as the sums are that they come from
    own += 2.0 * _ROUNDED * math.sqrt(size) * float(np.abs(a[1:]) @ shares)
    rest = size - float(a @ a)  # of the mean square, known to the rounding of both
    rounding = square.error + table.error * size + 8.0 * EPS * size
    # coefficients that have died away leave nothing, whatever the rounding of the mean square
    behind = _geometric(squares)
    left = min(behind, gap * _geometric(squares * k))
    if abs(rest) <= rounding and left <= 0.1 * SHARP * value:
        return _sharp(value + 0.5 * left, own + 0.5 * left)
    rest = max(rest, 0.0)
    passed = abs(1.0 - gap) ** n  # of c^n behind the last
    return _sharp(value + rest, own + rounding + 2.0 * rest * passed)


def _shares(k: Array, gap: float) -> Array:
    """1 - c^k."""
    if gap < 1.0:
        return np.asarray(-np.expm1(k * math.log1p(-gap)))
    return np.asarray(1.0 - (1.0 - gap) ** k)


def _steep(table: RowTable, q: float) -> float:
    """The size q E phi'^2 against which slopes are exact; for jumps that of few coefficients."""
    return float(table.sizes(np.array([q]))[1][0])


def _geometric(terms: Array) -> float:
    """What follows the last terms, if they go on to fall as they did."""
    n = len(terms)
    last, before = float(terms[3 * n // 4 :].sum()), float(terms[n // 2 : 3 * n // 4].sum())
    ratio = last / before if before > 0.0 else 0.0
    return last * min(ratio / (1.0 - min(ratio, 0.9)), 10.0)


def _sharp(value: float, error: float) -> Estimate | None:
    error += 8.0 * EPS * abs(value)
    good = math.isfinite(value) and value > 0.0 and error <= SHARP * value
    return Estimate(value, error, Status.OK) if good else None


def _range(q: float) -> tuple[float, float]:
    """The powers of four around a length: many lengths share a table."""
    exponent = (math.frexp(q)[1] - 1) // 2
    return math.ldexp(1.0, 2 * exponent), math.ldexp(1.0, 2 * exponent + 2)


@lru_cache(maxsize=128)
def _table(phi: AbstractActivation, low: float, high: float, n: int) -> RowTable | None:
    # always of the whole range: what a length was asked with must not show in its digits
    try:
        return row_table(phi, low, high, n)
    except (ConvergenceError, CostError):
        return None


@lru_cache(maxsize=64)
def _layer(phi: AbstractActivation, low: float, high: float) -> LayerMap | None:
    try:
        return layer_map(phi, low, high)
    except (ConvergenceError, CostError):
        return None
