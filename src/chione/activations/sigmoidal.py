"""Smooth or continuous activations that saturate, and two close relatives."""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from scipy import special

from chione.activations import forms_gaussian as forms
from chione.activations.accurate import exp_minus_square, sech_squared
from chione.activations.naming import spell
from chione.activations.protocol import AbstractActivation, ClosedForms
from chione.base import Array, checks

SQRT_PI = math.sqrt(math.pi)
HALF_SQRT_PI = 0.5 * SQRT_PI
HALF_SQRT_PI_LOW = 7.268936996338665e-17  # sqrt(pi)/2 - float(sqrt(pi)/2)
TANH_LEVELS = 14  # continued fraction of tanh: exact to rounding below 1.5


@final
@dataclass(frozen=True)
class Tanh(AbstractActivation):
    r"""Hyperbolic tangent."""

    name: ClassVar[str] = "tanh"
    formula: ClassVar[str] = "tanh(x)"

    def value(self, z: Array) -> Array:
        return np.tanh(z)

    def derivative(self, z: Array) -> Array:
        return sech_squared(z)

    def second_derivative(self, z: Array) -> Array:
        return -2.0 * np.tanh(z) * sech_squared(z)


@final
@dataclass(frozen=True)
class Erf(AbstractActivation):
    r"""Error function :math:`\mathrm{erf}(s x)`.

    Parameters
    ----------
    scale : float, default 1
        The factor s, above 0.
    """

    scale: float = 1.0
    formula: ClassVar[str] = "erf(scale*x)"
    source: ClassVar[str] = "Williams (1997)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checks.positive("scale", self.scale))

    @property
    def name(self) -> str:
        return spell("erf", [("scale", self.scale, 1.0)])

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.error_function(self.scale**2)

    def value(self, z: Array) -> Array:
        return special.erf(self.scale * z)

    def derivative(self, z: Array) -> Array:
        return 2.0 / SQRT_PI * self.scale * exp_minus_square(z, self.scale)

    def second_derivative(self, z: Array) -> Array:
        return -2.0 * self.scale**2 * z * self.derivative(z)


@final
@dataclass(frozen=True)
class ErfScaled(AbstractActivation):
    r"""Error function with slope 1 at the origin, :math:`\mathrm{erf}(\sqrt\pi\, x / 2)`."""

    name: ClassVar[str] = "erf_scaled"
    formula: ClassVar[str] = "erf(sqrt(pi)/2*x)"
    source: ClassVar[str] = "Pennington, Schoenholz, Ganguli (2018)"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.error_function(0.25 * math.pi)

    def value(self, z: Array) -> Array:
        return special.erf(HALF_SQRT_PI * z)

    def derivative(self, z: Array) -> Array:
        return exp_minus_square(z, HALF_SQRT_PI, HALF_SQRT_PI_LOW)

    def second_derivative(self, z: Array) -> Array:
        return -0.5 * math.pi * z * self.derivative(z)


@final
@dataclass(frozen=True)
class Sigmoid(AbstractActivation):
    r"""Logistic function :math:`1 / (1 + e^{-x})`."""

    name: ClassVar[str] = "sigmoid"
    formula: ClassVar[str] = "1/(1 + exp(-x))"

    def value(self, z: Array) -> Array:
        return special.expit(z)

    def derivative(self, z: Array) -> Array:
        return special.expit(z) * special.expit(-z)

    def second_derivative(self, z: Array) -> Array:
        return -self.derivative(z) * np.tanh(0.5 * z)


@final
@dataclass(frozen=True)
class Softsign(AbstractActivation):
    r""":math:`x / (1 + |x|)`; the second derivative jumps at the origin."""

    name: ClassVar[str] = "softsign"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formula: ClassVar[str] = "x/(1 + abs(x))"
    source: ClassVar[str] = "Bergstra et al. (2009)"

    def value(self, z: Array) -> Array:
        return z / (1.0 + np.abs(z))

    def derivative(self, z: Array) -> Array:
        return (1.0 + np.abs(z)) ** -2.0

    def second_derivative(self, z: Array) -> Array:
        return -2.0 * np.sign(z) * (1.0 + np.abs(z)) ** -3.0


@final
@dataclass(frozen=True)
class Arctan(AbstractActivation):
    r"""Inverse tangent."""

    name: ClassVar[str] = "arctan"
    formula: ClassVar[str] = "arctan(x)"

    def value(self, z: Array) -> Array:
        return np.arctan(z)

    def derivative(self, z: Array) -> Array:
        return 1.0 / (1.0 + z * z)

    def second_derivative(self, z: Array) -> Array:
        return -2.0 * z / (1.0 + z * z) ** 2


@final
@dataclass(frozen=True)
class Arcsinh(AbstractActivation):
    r"""Inverse hyperbolic sine: linear at the origin, logarithmic far from it."""

    name: ClassVar[str] = "arcsinh"
    formula: ClassVar[str] = "arcsinh(x)"

    def value(self, z: Array) -> Array:
        return np.arcsinh(z)

    def derivative(self, z: Array) -> Array:
        return 1.0 / np.sqrt(1.0 + z * z)

    def second_derivative(self, z: Array) -> Array:
        return -z / (1.0 + z * z) ** 1.5


@final
@dataclass(frozen=True)
class TanhShrink(AbstractActivation):
    r""":math:`x - \tanh x`, by the continued fraction of tanh where the difference cancels.

    .. math:: x - \tanh x = x \frac{r}{1 + r}, \qquad
              r = \cfrac{x^2}{3 + \cfrac{x^2}{5 + \cdots}}
    """

    name: ClassVar[str] = "tanhshrink"
    formula: ClassVar[str] = "x - tanh(x)"

    def value(self, z: Array) -> Array:
        inner = np.clip(z, -1.5, 1.5)
        square = inner * inner
        r = np.zeros_like(inner)
        for level in range(TANH_LEVELS, 0, -1):
            r = square / (2 * level + 1 + r)
        return np.where(np.abs(z) < 1.5, inner * r / (1.0 + r), z - np.tanh(z))

    def derivative(self, z: Array) -> Array:
        return np.tanh(z) ** 2

    def second_derivative(self, z: Array) -> Array:
        return 2.0 * np.tanh(z) * sech_squared(z)
