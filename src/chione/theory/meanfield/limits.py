r"""Limits and leading powers of functions known at a few small arguments.

Neville's scheme through :math:`x_k = x_0\,2^{-k}` takes the polynomial in x to x = 0; the distance
of its last two columns, and what the errors of the values become, bound its error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chione.base import Array, Estimate, Status, missing

_FULL = (0.5, 1.0, 2.0)  # powers that the classes of activations lead to


def limit(x: Array, values: Estimate) -> Estimate:
    """Value at x = 0 from those at falling x.

    The error is what the last three of them changed: where the function is no series in x, as
    with logarithms, the scheme does not settle, and that shows it.
    """
    value, error = np.asarray(values.value, float), np.asarray(values.error, float)
    best, room = _neville(x, value, error)
    before, more = _neville(x[:-3], value[:-3], error[:-3])
    return Estimate(best, abs(best - before) + room + more)


def _neville(x: Array, table: Array, noise: Array) -> tuple[float, float]:
    """The entry of the scheme that its neighbours change least, and how much they do."""
    if len(x) == 1:
        return float(table[-1]), float(noise[-1])
    best, error = float(table[-1]), np.inf
    for column in range(1, len(x)):
        one, two = x[:-column], x[column:]
        weight = one / (one - two)
        finer = weight * table[1:] + (1.0 - weight) * table[:-1]
        grown = np.abs(weight) * noise[1:] + np.abs(1.0 - weight) * noise[:-1]
        for at, was, own in ((finer, table, grown), (table[1:], table, noise[1:])):
            gap = np.maximum(np.abs(at - was[1:]), np.abs(at - was[:-1])) + own
            k = int(np.argmin(gap))
            if gap[k] < error:
                best, error = float(at[k]), float(gap[k])
        table, noise = finer, grown
    return best, error


def bounded_limit(q: Array, x: Array, values: Estimate) -> Estimate:
    """The limit of a positive factor; infinite where it grows as a power of large lengths q."""
    if len(q) == 1:
        return values[0]
    value = np.asarray(values.value)
    if not np.all(np.isfinite(value)):
        return missing(Status.INFINITE)
    steep = float(local_power(q, value)[-1])
    return missing(Status.INFINITE) if q[-1] > 1.0 and steep > 0.05 else limit(x, values)


def local_power(x: Array, values: Array) -> Array:
    """Slopes of log values over log x between neighbours."""
    with np.errstate(all="ignore"):
        return np.asarray(np.diff(np.log(np.abs(values))) / np.diff(np.log(x)))


def leading_power(of: Callable[[Array], Estimate], x: Array) -> tuple[float, Estimate] | None:
    r"""Exponent and coefficient of :math:`\kappa\,x^{1 + 1/p}`, returned as p and kappa.

    Parameters
    ----------
    of : callable
        The function, positive where it counts.
    x : ndarray
        Falling arguments, each a quarter of the one before.

    Returns
    -------
    tuple or None
        None where the function is not told from zero, or has no such power.
    """
    values = of(x)
    value, error = np.asarray(values.value), np.asarray(values.error)
    if not np.all(value > 4.0 * error):
        return None
    power = float(local_power(x, value)[-1]) - 1.0
    p = min(_FULL, key=lambda full: abs(1.0 / full - power))
    if abs(1.0 / p - power) > 0.15:
        return None
    scale = x ** (1.0 + 1.0 / p)
    kappa = limit(np.sqrt(x), Estimate(value / scale, error / scale, values.status))
    return p, kappa
