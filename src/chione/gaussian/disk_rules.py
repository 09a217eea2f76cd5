"""Elementary functions of disks: each rule bounds how far f(z) is from f(c) on the disk."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from chione.base import EPS, Array
from chione.gaussian.disk_algebra import (
    LIBM,
    add,
    divide,
    exp,
    greater,
    log,
    multiply,
    power,
    where,
)
from chione.gaussian.disks import RULES, Book, Disk, lift

_HALF_PI = 0.5 * np.pi


def variable(h: Array, radius: Array, book: Book) -> Disk:
    """The independent variable: centres and nodes `h`, rounded once, on disks of these radii."""
    return Disk(h, radius, EPS * np.abs(h), book)


def _mapped(a: Disk, value: Array, steep: Array, radius: Array) -> Disk:
    """An outer function with its slope at the values and its radius."""
    return Disk(value, radius, np.abs(steep) * a.noise + LIBM * np.abs(value), a.book)


def sine(a: Disk) -> Disk:
    r""":math:`\sin(c + w) - \sin c = \cos c \sin w - \sin c\,(1 - \cos w)`."""
    value, other = np.sin(a.value), np.cos(a.value)
    return _mapped(a, value, other, _turned(a, value, other))


def cosine(a: Disk) -> Disk:
    r""":math:`\cos(c + w) - \cos c = -\sin c \sin w - \cos c\,(1 - \cos w)`."""
    value, other = np.cos(a.value), np.sin(a.value)
    return _mapped(a, value, other, _turned(a, value, other))


def hyperbolic_sine(a: Disk) -> Disk:
    """As the sine: |sinh w| and |cosh w - 1| have the same bounds."""
    value, other = np.sinh(a.value), np.cosh(a.value)
    return _mapped(a, value, other, _turned(a, value, other))


def hyperbolic_cosine(a: Disk) -> Disk:
    """As the cosine."""
    value, other = np.cosh(a.value), np.sinh(a.value)
    return _mapped(a, value, other, _turned(a, value, other))


def _turned(a: Disk, value: Array, other: Array) -> Array:
    p, half = a.radius.size, np.sinh(0.5 * a.radius)
    return np.asarray(np.abs(other[:p]) * np.sinh(a.radius) + np.abs(value[:p]) * 2.0 * half * half)


def tangent(a: Disk) -> Disk:
    """Sine over cosine."""
    out = divide(sine(a), cosine(a))
    return Disk(np.tan(a.value), out.radius, out.noise, a.book, out.log)


def hyperbolic_tangent(a: Disk) -> Disk:
    r"""The slope is :math:`1 / |\cosh z|^2`, where :math:`|\cosh|^2 = \sinh^2 x + \cos^2 y`."""
    value = np.tanh(a.value)
    near = np.maximum(np.abs(a.centre) - a.radius, 0.0)
    turn = np.where(a.radius < _HALF_PI, np.cos(np.minimum(a.radius, _HALF_PI)), 0.0)
    below = np.sinh(np.minimum(near, 350.0)) ** 2 + turn * turn
    return _mapped(a, value, 1.0 - value * value, a.radius / below)


def arc_tangent(a: Disk) -> Disk:
    r"""The slope is :math:`1 / (z - i)(z + i)`."""
    value = np.arctan(a.value)
    gap = np.hypot(1.0, a.centre) - a.radius
    radius = np.where(gap > 0.0, a.radius / (gap * gap), np.inf)
    return _mapped(a, value, 1.0 / (1.0 + a.value * a.value), radius)


def arc_sine_hyperbolic(a: Disk) -> Disk:
    r"""The slope is :math:`1 / \sqrt{(z - i)(z + i)}`."""
    value = np.arcsinh(a.value)
    gap = np.hypot(1.0, a.centre) - a.radius
    radius = np.where(gap > 0.0, a.radius / gap, np.inf)
    return _mapped(a, value, 1.0 / np.hypot(1.0, a.value), radius)


def error_function(a: Disk) -> Disk:
    r"""The slope is :math:`2 e^{-z^2} / \sqrt\pi`."""
    return _bell(a, special.erf(a.value), 1.0, 2.0 / np.sqrt(np.pi))


def complementary_error_function(a: Disk) -> Disk:
    """One minus the error function."""
    return _bell(a, special.erfc(a.value), 1.0, 2.0 / np.sqrt(np.pi))


def normal_distribution(a: Disk) -> Disk:
    r"""The slope is :math:`e^{-z^2/2} / \sqrt{2\pi}`."""
    return _bell(a, special.ndtr(a.value), 0.5, 1.0 / np.sqrt(2.0 * np.pi))


def _bell(a: Disk, value: Array, scale: float, height: float) -> Disk:
    c, r = np.abs(a.centre), a.radius
    # least real part of z^2 on the disk
    least = np.where(c < 2.0 * r, 0.5 * c * c - r * r, (c - r) ** 2)
    slope = height * np.exp(-scale * a.value * a.value)
    return _mapped(a, value, slope, r * height * np.exp(-scale * least))


def logistic(a: Disk) -> Disk:
    """One over 1 + exp(-x)."""
    out = divide(1.0, add(exp(multiply(a, -1.0)), 1.0))
    value = special.expit(a.value)
    return Disk(value, out.radius, value * a.noise + 2.0 * LIBM * value, a.book, out.log)


def log_of_sum(a: Any, b: Any) -> Disk:
    """The logarithm of exp(a) + exp(b)."""
    like = a if isinstance(a, Disk) else b
    a, b = lift(a, like), lift(b, like)
    out = log(add(exp(a), exp(b)))
    value = np.logaddexp(a.value, b.value)
    noise = np.maximum(a.noise, b.noise) + LIBM * np.abs(value)
    return Disk(value, out.radius, noise, like.book)


def log_above_one(a: Disk) -> Disk:
    """The logarithm of 1 + x."""
    value = np.log1p(a.value)
    out = log(add(a, 1.0), value)
    noise = a.noise / np.abs(1.0 + a.value) + LIBM * np.abs(value)
    return Disk(value, out.radius, noise, a.book)


def exp_below_one(a: Disk) -> Disk:
    """The exponential minus 1."""
    out = exp(a)
    value = np.expm1(a.value)
    return Disk(value, out.radius, out.value * a.noise + LIBM * np.abs(value), a.book)


def sign(a: Disk) -> Disk:
    """Minus one or one."""
    return where(greater(a, 0.0), 1.0, -1.0)


def step(a: Disk, middle: Any) -> Disk:
    """Zero or one; `middle` is the value at zero itself."""
    if not np.isfinite(middle):
        raise TypeError("no disk rule for this step")
    return where(greater(a, 0.0), 1.0, 0.0)


RULES.update(
    {
        np.sin: sine,
        np.cos: cosine,
        np.tan: tangent,
        np.sinh: hyperbolic_sine,
        np.cosh: hyperbolic_cosine,
        np.tanh: hyperbolic_tangent,
        np.arctan: arc_tangent,
        np.arcsinh: arc_sine_hyperbolic,
        np.log1p: log_above_one,
        np.expm1: exp_below_one,
        np.logaddexp: log_of_sum,
        np.exp2: lambda a: power(2.0, a),
        np.log2: lambda a: multiply(log(a), 1.0 / np.log(2.0)),
        np.log10: lambda a: multiply(log(a), 1.0 / np.log(10.0)),
        np.sqrt: lambda a: power(a, 0.5),
        np.reciprocal: lambda a: divide(1.0, a),
        np.sign: sign,
        np.heaviside: step,
        special.erf: error_function,
        special.erfc: complementary_error_function,
        special.ndtr: normal_distribution,
        special.expit: logistic,
    }
)
