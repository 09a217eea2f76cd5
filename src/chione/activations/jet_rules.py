"""Derivatives of NumPy's and SciPy's elementwise functions, for the jets.

Each rule of `UNARY` maps the inner value v to (f, f', f''); each rule of `BINARY` maps (a, b) to
(f, f_a, f_b, f_aa, f_ab, f_bb). They hold almost everywhere; at a kink they take one side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from chione.activations.accurate import exp_minus_square, normal_density, sech_squared
from chione.base import Array

Three = tuple[Array, Array, Array]
Six = tuple[Any, Any, Any, Any, Any, Any]

TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)

# Functions whose result does not depend on the argument in a differentiable way.
PLAIN = frozenset(
    [
        *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
        *("isfinite", "isnan", "isinf", "signbit"),
        *("logical_and", "logical_or", "logical_not", "logical_xor"),
    ]
)
LOCALLY_CONSTANT = frozenset(
    ["sign", "floor", "ceil", "rint", "trunc", "floor_divide", "heaviside"]
)


def _exp(v: Array) -> Three:
    f = np.exp(v)
    return f, f, f


def _exp2(v: Array) -> Three:
    f = np.exp2(v)
    return f, math.log(2.0) * f, math.log(2.0) ** 2 * f


def _expm1(v: Array) -> Three:
    f = np.exp(v)
    return np.expm1(v), f, f


def _log(v: Array) -> Three:
    return np.log(v), 1.0 / v, -1.0 / v**2


def _log2(v: Array) -> Three:
    k = 1.0 / math.log(2.0)
    return np.log2(v), k / v, -k / v**2


def _log10(v: Array) -> Three:
    k = 1.0 / math.log(10.0)
    return np.log10(v), k / v, -k / v**2


def _log1p(v: Array) -> Three:
    return np.log1p(v), 1.0 / (1.0 + v), -1.0 / (1.0 + v) ** 2


def _sqrt(v: Array) -> Three:
    root = np.sqrt(v)
    return root, 0.5 / root, -0.25 / root / v


def _cbrt(v: Array) -> Three:
    root = np.cbrt(v)
    slope = np.where(v == 0.0, np.inf, root / v / 3.0)  # the square of the root would underflow
    return root, slope, -2.0 / 3.0 * slope / v


def _reciprocal(v: Array) -> Three:
    return 1.0 / v, -1.0 / v**2, 2.0 / v**3


def _tan(v: Array) -> Three:
    t = np.tan(v)
    return t, 1.0 + t**2, 2.0 * t * (1.0 + t**2)


def _arcsin(v: Array) -> Three:
    s = np.sqrt((1.0 - v) * (1.0 + v))
    return np.arcsin(v), 1.0 / s, v / s**3


def _arccos(v: Array) -> Three:
    s = np.sqrt((1.0 - v) * (1.0 + v))
    return np.arccos(v), -1.0 / s, -v / s**3


def _arctan(v: Array) -> Three:
    s = 1.0 / (1.0 + v * v)
    return np.arctan(v), s, -2.0 * v * s * s


def _tanh(v: Array) -> Three:
    t, s = np.tanh(v), sech_squared(v)
    return t, s, -2.0 * t * s


def _arcsinh(v: Array) -> Three:
    s = np.hypot(1.0, v)
    return np.arcsinh(v), 1.0 / s, -v / s**3


def _arccosh(v: Array) -> Three:
    s = np.sqrt((v - 1.0) * (v + 1.0))
    return np.arccosh(v), 1.0 / s, -v / s**3


def _arctanh(v: Array) -> Three:
    s = 1.0 / ((1.0 - v) * (1.0 + v))
    return np.arctanh(v), s, 2.0 * v * s * s


def _erf(v: Array) -> Three:
    bell = TWO_OVER_SQRT_PI * exp_minus_square(v)
    return special.erf(v), bell, -2.0 * v * bell


def _erfc(v: Array) -> Three:
    bell = TWO_OVER_SQRT_PI * exp_minus_square(v)
    return special.erfc(v), -bell, 2.0 * v * bell


def _erfcx(v: Array) -> Three:
    f = special.erfcx(v)
    first = 2.0 * v * f - TWO_OVER_SQRT_PI
    return f, first, 2.0 * f + 2.0 * v * first


def _expit(v: Array) -> Three:
    slope = special.expit(v) * special.expit(-v)
    return special.expit(v), slope, -slope * np.tanh(0.5 * v)


def _log_expit(v: Array) -> Three:
    slope = special.expit(-v)
    return special.log_expit(v), slope, -slope * special.expit(v)


def _logit(v: Array) -> Three:
    s = 1.0 / (v * (1.0 - v))
    return special.logit(v), s, (2.0 * v - 1.0) * s * s


def _ndtr(v: Array) -> Three:
    bell = normal_density(v)
    return special.ndtr(v), bell, -v * bell


def _log_ndtr(v: Array) -> Three:
    # Mills ratio through erfcx, so that the left tail does not become 0/0.
    left, right = np.minimum(v, 0.0), np.maximum(v, 0.0)
    mills = math.sqrt(2.0 / math.pi) / special.erfcx(-left / math.sqrt(2.0))
    ratio = np.where(v < 0.0, mills, normal_density(right) / special.ndtr(right))
    return special.log_ndtr(v), ratio, -ratio * (v + ratio)


def _absolute(v: Array) -> Three:
    return np.abs(v), np.where(v < 0.0, -1.0, 1.0), np.zeros_like(v)


def sinc(v: Array) -> Three:
    r"""NumPy's :math:`\sin(\pi v) / \pi v`; next to zero the derivatives from their series."""
    u = math.pi * v
    near = np.abs(u) < 1.0
    apart = np.where(near, 1.0, u)
    f = np.sinc(v)
    first = (np.cos(apart) - f) / apart
    second = -f - 2.0 * first / apart
    square = np.where(near, u, 0.0) ** 2
    # sin(u)/u = sum (-1)^k u^2k / (2k+1)!; twelve terms leave 1e-26 at |u| = 1
    slope, bend = np.zeros_like(u), np.zeros_like(u)
    for k in range(12, 0, -1):
        term = (-1.0) ** k * 2.0 * k / math.factorial(2 * k + 1)
        slope, bend = slope * square + term, bend * square + (2.0 * k - 1.0) * term
    first, second = np.where(near, slope * u, first), np.where(near, bend, second)
    return f, math.pi * first, math.pi**2 * second


UNARY: dict[str, Callable[[Array], Three]] = {
    "exp": _exp,
    "exp2": _exp2,
    "expm1": _expm1,
    "log": _log,
    "log2": _log2,
    "log10": _log10,
    "log1p": _log1p,
    "sqrt": _sqrt,
    "cbrt": _cbrt,
    "square": lambda v: (v * v, 2.0 * v, np.full_like(v, 2.0)),
    "reciprocal": _reciprocal,
    "sin": lambda v: (np.sin(v), np.cos(v), -np.sin(v)),
    "cos": lambda v: (np.cos(v), -np.sin(v), -np.cos(v)),
    "tan": _tan,
    "arcsin": _arcsin,
    "arccos": _arccos,
    "arctan": _arctan,
    "sinh": lambda v: (np.sinh(v), np.cosh(v), np.sinh(v)),
    "cosh": lambda v: (np.cosh(v), np.sinh(v), np.cosh(v)),
    "tanh": _tanh,
    "arcsinh": _arcsinh,
    "arccosh": _arccosh,
    "arctanh": _arctanh,
    "absolute": _absolute,
    "fabs": _absolute,
    "negative": lambda v: (-v, -np.ones_like(v), np.zeros_like(v)),
    "positive": lambda v: (+v, np.ones_like(v), np.zeros_like(v)),
    "erf": _erf,
    "erfc": _erfc,
    "erfcx": _erfcx,
    "expit": _expit,
    "log_expit": _log_expit,
    "logit": _logit,
    "ndtr": _ndtr,
    "log_ndtr": _log_ndtr,
}


def _divide(a: Array, b: Array) -> Six:
    f = a / b
    return f, 1.0 / b, -f / b, 0.0, -1.0 / (b * b), 2.0 * f / (b * b)


def _power(a: Array, b: Array) -> Six:
    f, log_a = np.power(a, b), np.log(a)
    fa = b * np.power(a, b - 1.0)
    faa = b * (b - 1.0) * np.power(a, b - 2.0)
    fab = np.power(a, b - 1.0) * (1.0 + b * log_a)
    return f, fa, f * log_a, faa, fab, f * log_a**2


def _maximum(a: Array, b: Array) -> Six:
    first = np.where(a >= b, 1.0, 0.0)
    return np.maximum(a, b), first, 1.0 - first, 0.0, 0.0, 0.0


def _minimum(a: Array, b: Array) -> Six:
    first = np.where(a <= b, 1.0, 0.0)
    return np.minimum(a, b), first, 1.0 - first, 0.0, 0.0, 0.0


def _logaddexp(a: Array, b: Array) -> Six:
    pa, pb = special.expit(a - b), special.expit(b - a)
    return np.logaddexp(a, b), pa, pb, pa * pb, -pa * pb, pa * pb


def _hypot(a: Array, b: Array) -> Six:
    f = np.hypot(a, b)
    x, y = a / f, b / f
    return f, x, y, y * y / f, -x * y / f, x * x / f


def _arctan2(a: Array, b: Array) -> Six:
    s = a * a + b * b
    ab = 2.0 * a * b / s**2
    return np.arctan2(a, b), b / s, -a / s, -ab, (a * a - b * b) / s**2, ab


def _copysign(a: Array, b: Array) -> Six:
    sign = np.where(np.signbit(a) == np.signbit(b), 1.0, -1.0)
    return np.copysign(a, b), sign, 0.0, 0.0, 0.0, 0.0


def _remainder(a: Array, b: Array) -> Six:
    return np.remainder(a, b), 1.0, -np.floor(a / b), 0.0, 0.0, 0.0


BINARY: dict[str, Callable[[Array, Array], Six]] = {
    "add": lambda a, b: (a + b, 1.0, 1.0, 0.0, 0.0, 0.0),
    "subtract": lambda a, b: (a - b, 1.0, -1.0, 0.0, 0.0, 0.0),
    "multiply": lambda a, b: (a * b, b, a, 0.0, 1.0, 0.0),
    "divide": _divide,
    "power": _power,
    "float_power": _power,
    "maximum": _maximum,
    "minimum": _minimum,
    "fmax": _maximum,
    "fmin": _minimum,
    "logaddexp": _logaddexp,
    "hypot": _hypot,
    "arctan2": _arctan2,
    "copysign": _copysign,
    "remainder": _remainder,
}
