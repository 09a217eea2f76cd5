"""Activations of the form x times a gate that goes from 0 to 1."""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from scipy import special

from chione.activations import forms_gelu
from chione.activations.accurate import normal_cdf, normal_density
from chione.activations.naming import spell
from chione.activations.protocol import AbstractActivation, ClosedForms
from chione.base import Array, checks

SQRT_8_OVER_PI = math.sqrt(8.0 / math.pi)
GELU_TANH_CUBIC = 0.044715
QUICK_GELU_RATE = 1.702


@final
@dataclass(frozen=True)
class GELU(AbstractActivation):
    r"""Gaussian error linear unit :math:`x\,\Phi(x)`, :math:`\Phi` the normal distribution."""

    name: ClassVar[str] = "gelu"
    formula: ClassVar[str] = "x*(1 + erf(x/sqrt(2)))/2"
    source: ClassVar[str] = "Hendrycks, Gimpel (2016)"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms_gelu.gelu()

    def value(self, z: Array) -> Array:
        return z * normal_cdf(z)

    def derivative(self, z: Array) -> Array:
        return normal_cdf(z) + z * normal_density(z)

    def second_derivative(self, z: Array) -> Array:
        return (2.0 - z * z) * normal_density(z)


@final
@dataclass(frozen=True)
class GELUTanh(AbstractActivation):
    r"""GELU with the gate replaced by a tanh.

    .. math:: \tfrac x2 (1 + \tanh u) = x\,\mathrm{sigmoid}(2u), \qquad
              u = \sqrt{2/\pi}\,(x + 0.044715\, x^3)
    """

    name: ClassVar[str] = "gelu_tanh"
    formula: ClassVar[str] = "x/2*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))"
    source: ClassVar[str] = "Hendrycks, Gimpel (2016), the approximation"

    def value(self, z: Array) -> Array:
        return z * special.expit(_gelu_tanh_gate(z)[0])

    def derivative(self, z: Array) -> Array:
        v, dv, _ = _gelu_tanh_gate(z)
        return special.expit(v) * (1.0 + z * dv * special.expit(-v))

    def second_derivative(self, z: Array) -> Array:
        v, dv, ddv = _gelu_tanh_gate(z)
        slope = special.expit(v) * special.expit(-v)
        return slope * (2.0 * dv + z * (ddv - dv * dv * np.tanh(0.5 * v)))


@final
@dataclass(frozen=True)
class SiLU(AbstractActivation):
    r"""Sigmoid linear unit (swish) :math:`x / (1 + e^{-\beta x})`.

    Parameters
    ----------
    beta : float, default 1
        Slope of the gate; 0 makes it linear.
    """

    beta: float = 1.0
    formula: ClassVar[str] = "x/(1 + exp(-beta*x))"
    source: ClassVar[str] = "Elfwing, Uchibe, Doya (2018); Ramachandran et al. (2017)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", checks.finite("beta", self.beta))

    @property
    def name(self) -> str:
        return spell("silu", [("beta", self.beta, 1.0)])

    def value(self, z: Array) -> Array:
        return z * special.expit(self.beta * z)

    def derivative(self, z: Array) -> Array:
        v = self.beta * z
        return special.expit(v) * (1.0 + v * special.expit(-v))

    def second_derivative(self, z: Array) -> Array:
        v = self.beta * z
        slope = self.beta * special.expit(v) * special.expit(-v)
        return slope * (2.0 - v * np.tanh(0.5 * v))


@final
@dataclass(frozen=True)
class QuickGELU(AbstractActivation):
    r"""Sigmoid gate with the slope of GELU: :math:`x\,\mathrm{sigmoid}(1.702\, x)`."""

    name: ClassVar[str] = "quick_gelu"
    formula: ClassVar[str] = "x/(1 + exp(-1.702*x))"
    source: ClassVar[str] = "Hendrycks, Gimpel (2016), the sigmoid approximation"

    def value(self, z: Array) -> Array:
        return z * special.expit(QUICK_GELU_RATE * z)

    def derivative(self, z: Array) -> Array:
        v = QUICK_GELU_RATE * z
        return special.expit(v) * (1.0 + v * special.expit(-v))

    def second_derivative(self, z: Array) -> Array:
        v = QUICK_GELU_RATE * z
        slope = QUICK_GELU_RATE * special.expit(v) * special.expit(-v)
        return slope * (2.0 - v * np.tanh(0.5 * v))


@final
@dataclass(frozen=True)
class Mish(AbstractActivation):
    r""":math:`x \tanh(\log(1 + e^x))`, through rational functions of :math:`w = e^{\pm x}`.

    With :math:`w = e^x` the gate is :math:`T = w(w+2) / (w^2 + 2w + 2)`,
    :math:`T' = 4 w(1+w) / (w^2+2w+2)^2` and
    :math:`T'' = 4w(2 + 2w - 3w^2 - 2w^3) / (w^2+2w+2)^3`.
    """

    name: ClassVar[str] = "mish"
    formula: ClassVar[str] = "x*tanh(softplus(x))"
    source: ClassVar[str] = "Misra (2020)"

    def value(self, z: Array) -> Array:
        return z * _mish_gate(z)[0]

    def derivative(self, z: Array) -> Array:
        gate, slope, _ = _mish_gate(z)
        return gate + z * slope

    def second_derivative(self, z: Array) -> Array:
        _, slope, curvature = _mish_gate(z)
        return 2.0 * slope + z * curvature


def _gelu_tanh_gate(z: Array) -> tuple[Array, Array, Array]:
    """The argument v = 2u of the sigmoid with its two derivatives; beyond 40 the gate is shut."""
    z = np.clip(z, -40.0, 40.0)
    square = z * z
    v = SQRT_8_OVER_PI * z * (1.0 + GELU_TANH_CUBIC * square)
    dv = SQRT_8_OVER_PI * (1.0 + 3.0 * GELU_TANH_CUBIC * square)
    return v, dv, 6.0 * SQRT_8_OVER_PI * GELU_TANH_CUBIC * z


def _mish_gate(z: Array) -> tuple[Array, Array, Array]:
    """The gate tanh(softplus(z)) and two derivatives, in powers of e^-|z| so nothing overflows."""
    w = np.exp(-np.abs(z))
    low = w * (w + 2.0) + 2.0  # z <= 0: w = e^z
    high = 1.0 + 2.0 * w * (1.0 + w)  # z > 0: w = e^-z, the fraction divided by e^2z
    gate = np.where(z > 0.0, (1.0 + 2.0 * w) / high, w * (w + 2.0) / low)
    slope = np.where(z > 0.0, 4.0 * w * w * (1.0 + w) / high**2, 4.0 * w * (1.0 + w) / low**2)
    falling = 2.0 + w * (3.0 - 2.0 * w * (1.0 + w))
    rising = 2.0 + w * (2.0 - w * (3.0 + 2.0 * w))
    curvature = np.where(z > 0.0, -4.0 * w * w * falling / high**3, 4.0 * w * rising / low**3)
    return gate, slope, curvature
