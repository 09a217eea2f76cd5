"""Sums, products, powers, exponentials and choices of disks."""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import EPS, Array
from chione.gaussian.disks import FUNCTIONS, RULES, Choice, Disk, lift, number

LIBM = 2.0 * EPS  # rounding of a function of the library: four ulp


def add(a: Any, b: Any) -> Disk:
    """The sum."""
    if isinstance(b, Choice):
        b = b.disk()
    if not isinstance(a, Disk):
        a, b = b, a
    if not isinstance(b, Disk):
        c = number(b)
        value = a.value + c
        noise = a.noise + EPS * np.abs(value)
        log = None if a.log is None else _log_of_sum(a, lift(c, a), value)
        return Disk(value, a.radius, noise, a.book, log)
    value, radius = a.value + b.value, a.radius + b.radius
    noise = a.noise + b.noise + EPS * np.abs(value)
    log = None if a.log is None and b.log is None else _log_of_sum(a, b, value)
    return Disk(value, radius, noise, a.book, log)


def _log_of_sum(a: Disk, b: Disk, value: Array) -> Array:
    r"""L of a + b.

    Three bounds: from R; where one term dominates,
    :math:`\log(a + b) = \log a + \log(1 + b / a)`; and for terms of one sign with L up to 1 the
    larger L, since the image of such a disk under exp is convex and holds their mean.
    """
    p = a.radius.size
    la, lb, va, vb = a.logarithm(), b.logarithm(), np.abs(a.centre), np.abs(b.centre)
    size = np.abs(value[:p])
    share = (a.radius + b.radius) / size
    best = np.where(share < 1.0, -np.log1p(-np.minimum(share, 1.0)), np.inf)
    upper = (np.minimum(va + a.radius, va * np.exp(la)), np.minimum(vb + b.radius, vb * np.exp(lb)))
    for mine, low, other in ((la, va, upper[1]), (lb, vb, upper[0])):
        part = other / (low * np.exp(-mine))
        gone = np.where(part < 1.0, mine - 2.0 * np.log1p(-np.minimum(part, 1.0)), np.inf)
        best = np.fmin(best, gone)
    larger = np.maximum(la, lb)
    convex = (larger <= 1.0) & (a.centre * b.centre > 0.0)
    return np.asarray(np.where(convex, np.fmin(best, larger), best))


def negative(a: Disk) -> Disk:
    """The opposite."""
    return Disk(-a.value, a.radius, a.noise, a.book, a.log)


def subtract(a: Any, b: Any) -> Disk:
    """The difference."""
    if isinstance(b, Choice):
        b = b.disk()
    return add(a, negative(b) if isinstance(b, Disk) else -number(b))


def multiply(a: Any, b: Any) -> Disk:
    """The product."""
    if isinstance(b, Choice):
        b = b.disk()
    if not isinstance(a, Disk):
        a, b = b, a
    if a is b:
        return square(a)
    if not isinstance(b, Disk):
        c = number(b)
        value = a.value * c
        noise = abs(c) * a.noise + EPS * np.abs(value)
        radius = abs(c) * a.radius if c else np.where(np.isfinite(a.radius), 0.0, np.inf)
        return Disk(value, radius, noise, a.book, a.log if c else None)
    return _product(a, b, a.value * b.value)


def _product(a: Disk, b: Disk, value: Array) -> Disk:
    va, vb = np.abs(a.value), np.abs(b.value)
    p = a.radius.size
    radius = va[:p] * b.radius + (vb[:p] + b.radius) * a.radius
    noise = va * b.noise + vb * a.noise + EPS * np.abs(value)
    if a.log is None and b.log is None:
        return Disk(value, radius, noise, a.book)
    log = a.logarithm() + b.logarithm()
    radius = np.fmin(radius, np.abs(value[:p]) * np.expm1(log))
    return Disk(value, radius, noise, a.book, log)


def square(a: Disk) -> Disk:
    """The square."""
    p = a.radius.size
    size = np.abs(a.value)
    value = a.value * a.value
    radius = a.radius * (2.0 * size[:p] + a.radius)
    noise = 2.0 * size * a.noise + EPS * value
    if a.log is None:
        return Disk(value, radius, noise, a.book)
    log = 2.0 * a.log
    return Disk(value, np.fmin(radius, value[:p] * np.expm1(log)), noise, a.book, log)


def divide(a: Any, b: Any) -> Disk:
    """The quotient."""
    if not isinstance(b, Disk):
        c = number(b)
        size = 1.0 / abs(c)
        value = a.value / c
        return Disk(value, size * a.radius, size * a.noise + EPS * np.abs(value), a.book, a.log)
    p = b.radius.size
    log = b.logarithm()
    inverse = 1.0 / b.value
    noise = b.noise * inverse * inverse + EPS * np.abs(inverse)
    below = Disk(inverse, np.abs(inverse[:p]) * np.expm1(log), noise, b.book, log)
    if isinstance(a, Disk):
        return _product(a, below, a.value / b.value)
    return multiply(below, a)


def power(a: Any, b: Any) -> Disk:
    """A power with a constant exponent, or of a constant base."""
    if not isinstance(a, Disk):
        base = number(a)
        if base <= 0.0:
            raise TypeError("no disk rule for powers of what is not positive")
        return exp(multiply(b, np.log(base)), np.power(base, b.value))
    n = number(b)
    if n == 2.0:
        return square(a)
    p = a.radius.size
    size = np.abs(a.value)
    value = a.value**n
    with np.errstate(all="ignore"):
        steep = np.where(value == 0.0, 0.0, np.abs(n) * size ** (n - 1.0))
    noise = steep * a.noise + LIBM * np.abs(value)
    if n == int(n) and n >= 0.0:
        radius = (size[:p] + a.radius) ** n - size[:p] ** n
        if a.log is None:
            return Disk(value, radius, noise, a.book)
        log = n * a.log
        return Disk(value, np.fmin(radius, np.abs(value[:p]) * np.expm1(log)), noise, a.book, log)
    log = abs(n) * a.logarithm()
    if n != int(n):
        log = np.where(a.centre > 0.0, log, np.inf)
    return Disk(value, np.abs(value[:p]) * np.expm1(log), noise, a.book, log)


def exp(a: Disk, value: Array | None = None) -> Disk:
    """The exponential, whose logarithm is what it is made of."""
    p = a.radius.size
    value = np.exp(a.value) if value is None else value
    # e^(c + R) - e^c, also where e^c is zero in float64
    radius = -np.exp(a.centre + a.radius) * np.expm1(-a.radius)
    return Disk(value[:], radius, value * a.noise + LIBM * value, a.book, a.radius[:p])


def log(a: Disk, value: Array | None = None) -> Disk:
    """The natural logarithm, where f is positive and has no zero."""
    value = np.log(a.value) if value is None else value
    radius = np.where(a.centre > 0.0, a.logarithm(), np.inf)
    return Disk(value, radius, a.noise / np.abs(a.value) + LIBM * np.abs(value), a.book)


def clip(a: Any, low: Any = None, high: Any = None) -> Disk:
    """Nothing below `low`, nothing above `high`."""
    a = a if low is None else larger(a, low, 1.0)
    return a if high is None else larger(a, high, -1.0)


def absolute(a: Disk) -> Disk:
    """The absolute value: the function or its opposite, where it keeps its sign."""
    known = a.decided()
    radius = a.radius if known.all() else np.where(known, a.radius, np.inf)
    return Disk(np.abs(a.value), radius, a.noise, a.book, a.log)


def larger(a: Any, b: Any, sign: float = 1.0) -> Disk:
    """The larger of the two (the smaller with `sign` -1)."""
    over = greater(a, b) if sign > 0.0 else greater(b, a)
    return where(over, a, b)


def greater(a: Any, b: Any) -> Choice:
    """Whether a is above b."""
    d = subtract(a, b)
    return Choice(d.value > 0.0, d.decided(), d.book)


def where(condition: Any, a: Any, b: Any) -> Disk:
    """One of two functions, by a condition that holds on whole panels."""
    if not isinstance(condition, Choice):
        raise TypeError("no disk rule for this condition")
    like = condition.disk()
    a, b = lift(a, like), lift(b, like)
    p, mask = like.radius.size, condition.mask
    radius = np.where(mask[:p], a.radius, b.radius)
    log = None
    if a.log is not None or b.log is not None:
        log = np.where(mask[:p], a.logarithm(), b.logarithm())
        log = np.where(condition.known, log, np.inf)
    return Disk(
        np.where(mask, a.value, b.value),
        np.where(condition.known, radius, np.inf),
        np.where(mask, a.noise, b.noise),
        like.book,
        log,
    )


FUNCTIONS.update(
    {
        np.where: where,
        np.clip: clip,
        np.zeros_like: lambda x: lift(0.0, x),
        np.ones_like: lambda x: lift(1.0, x),
        np.full_like: lambda x, fill: lift(fill, x),
        np.copy: lambda x: x,
    }
)
RULES.update(
    {
        np.add: add,
        np.subtract: subtract,
        np.multiply: multiply,
        np.divide: divide,
        np.negative: negative,
        np.positive: lambda a: a,
        np.power: power,
        np.float_power: power,
        np.square: square,
        np.exp: exp,
        np.log: log,
        np.absolute: absolute,
        np.fabs: absolute,
        np.maximum: larger,
        np.fmax: larger,
        np.minimum: lambda a, b: larger(a, b, -1.0),
        np.fmin: lambda a, b: larger(a, b, -1.0),
        np.greater: greater,
        np.greater_equal: greater,
        np.less: lambda a, b: greater(b, a),
        np.less_equal: lambda a, b: greater(b, a),
    }
)
