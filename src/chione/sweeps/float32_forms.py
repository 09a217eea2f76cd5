r"""The common activations in float32, written for few passes over a layer.

NumPy's float32 tanh, exp and products run on vector instructions (0.05 to 0.3 ns an entry), its
erf does not (5 to 10 ns). So the logistic function is :math:`(1 + \tanh(x/2))/2`, and

.. math:: \mathrm{erf}(x / \sqrt 2) = \tanh(x P(x^2))

with a polynomial P of degree 9 that was fitted to :math:`\mathrm{artanh}(\mathrm{erf})` on
:math:`x^2 \le 28` by reweighted least squares: 8.6e-9 relative in exact numbers, beyond it the
tanh is 1 to all digits of float32.
"""

# ruff: noqa: D102  (the method is documented once, in Pointwise)

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chione.activations import AbstractActivation, activation
from chione.activations import Affine as AffineActivation
from chione.sweeps.pointwise import Affine, FloatArray, Formula, Pointwise, formula_dtype

_ERF = (
    *(7.97884567e-01, 3.63354727e-02, -3.66017873e-05, -5.25495187e-05, 3.03247229e-06),
    *(3.66576535e-08, -1.51929495e-08, 9.30121178e-10, -2.58246241e-11, 2.81446264e-13),
)
_ERF_REACH = 28.0


class Tanh(Pointwise):
    """The hyperbolic tangent; its derivative is 1 - tanh^2."""

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        np.tanh(h, out=out)
        if slope:
            np.multiply(out, out, out=h)
            np.subtract(1.0, h, out=h)


class Relu(Pointwise):
    """max(x, 0); its derivative at 0 is 0, as in PyTorch."""

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        np.maximum(h, 0.0, out=out)
        if slope:
            np.greater(h, 0.0, out=h, casting="unsafe")


class LeakyRelu(Pointwise):
    """x above 0, a multiple of it below."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self._slope = slope

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        d = self.scratch(h)
        np.greater(h, 0.0, out=d, casting="unsafe")
        d *= d.dtype.type(1.0 - self._slope)
        d += d.dtype.type(self._slope)
        np.multiply(h, d, out=out)
        if slope:
            h[...] = d


class Sigmoid(Pointwise):
    """The logistic function."""

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        _logistic(h, 1.0, out)
        if slope:
            np.multiply(out, out, out=h)
            np.subtract(out, h, out=h)


class Silu(Pointwise):
    """x times the logistic function of a multiple of x: SiLU, Swish, quick GELU."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self._beta = beta

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        s = self.scratch(h)
        _logistic(h, self._beta, s)
        np.multiply(h, s, out=out)
        if slope:  # s + beta x s (1 - s)
            np.multiply(out, s, out=h)
            np.subtract(out, h, out=h)
            h *= h.dtype.type(self._beta)
            h += s


class Erf(Pointwise):
    """The error function of a multiple of x."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self._scale = scale

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        h *= h.dtype.type(self._scale * math.sqrt(2.0))
        _erf(h, self.scratch(h), out)
        if slope:
            _bell(h, 2.0 * self._scale / math.sqrt(math.pi), h)


class Gaussian(Pointwise):
    r""":math:`e^{-(s x)^2}`."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self._scale = scale

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        h *= h.dtype.type(self._scale * math.sqrt(2.0))
        _bell(h, 1.0, out)
        if slope:
            h *= out
            h *= h.dtype.type(-self._scale * math.sqrt(2.0))


class Gelu(Pointwise):
    """x times the distribution function of the normal law."""

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        s = self.scratch(h)
        _erf(h, out, s)
        s *= s.dtype.type(0.5)
        s += s.dtype.type(0.5)
        np.multiply(h, s, out=out)
        if slope:
            density = self.scratch(h, 1)
            _bell(h, 1.0 / math.sqrt(2.0 * math.pi), density)
            h *= density
            h += s


class GeluTanh(Pointwise):
    r""":math:`x\,(1 + \tanh v)/2 = x\, s` with :math:`v = \sqrt{2/\pi}\,(x + 0.044715 x^3)`."""

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        s, u, number = self.scratch(h), self.scratch(h, 1), h.dtype.type
        root = -2.0 * math.sqrt(2.0 / math.pi)
        np.multiply(h, h, out=u)
        np.multiply(u, number(0.044715 * root), out=out)
        out += number(root)
        out *= h
        # 1 - s = s exp(-2 v) keeps its digits, and is multiplied by as much as x^3
        np.minimum(out, number(80.0), out=out)
        np.exp(out, out=out)
        np.add(out, number(1.0), out=s)
        np.reciprocal(s, out=s)
        if slope:
            complement = np.multiply(out, s, out=self.scratch(h, 2))
        np.multiply(h, s, out=out)
        if slope:  # s + x s (1 - s) 2 v'(x)
            u *= number(-3.0 * 0.044715 * root)
            u += number(-root)
            u *= complement
            np.multiply(out, u, out=h)
            h += s


class Mish(Pointwise):
    r""":math:`x \tanh(\ln(1 + e^x)) = x n / (n + 2)` with :math:`n = e^x (e^x + 2)`."""

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        e, n, number = self.scratch(h), self.scratch(h, 1), h.dtype.type
        np.minimum(h, number(20.0), out=e)  # n / (n + 2) is 1 from there on
        np.exp(e, out=e)
        np.add(e, number(2.0), out=n)
        n *= e
        np.add(n, number(2.0), out=out)
        np.divide(n, out, out=n)
        if slope:  # n / (n + 2) + 4 x e^x (e^x + 1) / (n + 2)^2
            out *= out
            h_e = self.scratch(h, 2)
            np.add(e, number(1.0), out=h_e)
            h_e *= e
            h_e /= out
            h_e *= number(4.0)
        np.multiply(h, n, out=out)
        if slope:
            h *= self.scratch(h, 2)
            h += n


class Elu(Pointwise):
    r""":math:`s\,x` above 0, :math:`s\,\alpha (e^{x/a} - 1)` below: ELU, CELU and SELU."""

    def __init__(self, alpha: float, width: float, scale: float) -> None:
        super().__init__()
        self._alpha, self._width, self._scale = alpha, width, scale

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        below, number = self.scratch(h), h.dtype.type
        np.minimum(h, 0.0, out=below)
        if self._width != 1.0:
            below *= number(1.0 / self._width)
        np.expm1(below, out=below)
        np.maximum(h, 0.0, out=out)
        if slope:
            above = h > 0.0
            np.add(below, number(1.0), out=h)
            h *= number(self._scale * self._alpha / self._width)
            np.copyto(h, number(self._scale), where=above)
        below *= number(self._alpha)
        out += below
        if self._scale != 1.0:
            out *= number(self._scale)


class Softplus(Pointwise):
    r""":math:`\ln(1 + e^x)`."""

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        t = self.scratch(h)
        np.abs(h, out=t)
        np.negative(t, out=t)
        np.exp(t, out=t)
        np.log1p(t, out=t)
        np.maximum(h, 0.0, out=out)
        out += t
        if slope:
            _logistic(h, 1.0, h)


class Softsign(Pointwise):
    r""":math:`x / (1 + |x|)`."""

    def apply(self, h: FloatArray, out: FloatArray, slope: bool) -> None:
        t = self.scratch(h)
        np.abs(h, out=t)
        t += t.dtype.type(1.0)
        np.divide(h, t, out=out)
        if slope:
            np.multiply(t, t, out=h)
            np.reciprocal(h, out=h)


def _logistic(x: FloatArray, beta: float, out: FloatArray) -> None:
    half = out.dtype.type(0.5)
    np.multiply(x, out.dtype.type(0.5 * beta), out=out)
    np.tanh(out, out=out)
    out *= half
    out += half


def _erf(x: FloatArray, u: FloatArray, out: FloatArray) -> None:
    """erf(x / sqrt(2)) by its polynomial; `u` is overwritten."""
    number = out.dtype.type
    np.multiply(x, x, out=u)
    np.minimum(u, number(_ERF_REACH), out=u)
    np.multiply(u, number(_ERF[-1]), out=out)
    out += number(_ERF[-2])
    for a in _ERF[-3::-1]:
        out *= u
        out += number(a)
    out *= x
    np.tanh(out, out=out)


def _bell(x: FloatArray, height: float, out: FloatArray) -> None:
    """Height * exp(-x^2 / 2)."""
    np.multiply(x, x, out=out)
    out *= out.dtype.type(-0.5)
    np.exp(out, out=out)
    out *= out.dtype.type(height)


_SELU = activation("selu").one_sided(1, 0.0)
_FORMS: dict[str, Callable[[Any], Pointwise]] = {
    "Tanh": lambda a: Tanh(),
    "ReLU": lambda a: Relu(),
    "LeakyReLU": lambda a: LeakyRelu(a.slope),
    "PReLU": lambda a: LeakyRelu(a.slope),
    "Sigmoid": lambda a: Sigmoid(),
    "SiLU": lambda a: Silu(a.beta),
    "QuickGELU": lambda a: Silu(1.702),
    "Erf": lambda a: Erf(a.scale),
    "ErfScaled": lambda a: Erf(0.5 * math.sqrt(math.pi)),
    "Gaussian": lambda a: Gaussian(a.scale),
    "GELU": lambda a: Gelu(),
    "GELUTanh": lambda a: GeluTanh(),
    "Mish": lambda a: Mish(),
    "ELU": lambda a: Elu(a.alpha, 1.0, 1.0),
    "CELU": lambda a: Elu(a.alpha, a.alpha, 1.0),
    "SELU": lambda a: Elu(_SELU[0] / _SELU[1], 1.0, _SELU[1]),
    "Softplus": lambda a: Softplus(),
    "Softsign": lambda a: Softsign(),
}


def pointwise(act: AbstractActivation, dtype: Any) -> Pointwise:
    """The form of an activation in which networks of that dtype are trained."""
    name = type(act).__name__
    if np.dtype(dtype) == np.float64:
        return _FORMS[name](act) if name in ("Tanh", "ReLU") else Formula(act, np.float64)
    if isinstance(act, AffineActivation):
        return Affine(pointwise(act.activation, dtype), act.scale, act.shift, act.offset)
    if name in _FORMS:
        return _FORMS[name](act)
    return Formula(act, formula_dtype(act))
