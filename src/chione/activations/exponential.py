"""Activations built on the exponential function."""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from scipy import special

from chione.activations import forms_exponential, forms_gaussian
from chione.activations.accurate import exp_minus_square
from chione.activations.naming import spell
from chione.activations.protocol import AbstractActivation, ClosedForms
from chione.base import Array, checks

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


@final
@dataclass(frozen=True)
class ELU(AbstractActivation):
    r"""Exponential linear unit: x for positive x, :math:`\alpha (e^x - 1)` otherwise.

    Parameters
    ----------
    alpha : float, default 1
        The level :math:`-\alpha` at minus infinity.
    """

    alpha: float = 1.0
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formula: ClassVar[str] = "x if x > 0 else alpha*expm1(x)"
    source: ClassVar[str] = "Clevert, Unterthiner, Hochreiter (2016)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", checks.finite("alpha", self.alpha))

    @property
    def name(self) -> str:
        return spell("elu", [("alpha", self.alpha, 1.0)])

    def value(self, z: Array) -> Array:
        return np.where(z > 0.0, z, self.alpha * np.expm1(np.minimum(z, 0.0)))

    def derivative(self, z: Array) -> Array:
        return np.where(z > 0.0, 1.0, self.alpha * np.exp(np.minimum(z, 0.0)))

    def second_derivative(self, z: Array) -> Array:
        return np.where(z > 0.0, 0.0, self.alpha * np.exp(np.minimum(z, 0.0)))


@final
@dataclass(frozen=True)
class CELU(AbstractActivation):
    r"""ELU with a continuous slope: x, or :math:`\alpha (e^{x/\alpha} - 1)` for negative x.

    Parameters
    ----------
    alpha : float, default 1
        The level :math:`-\alpha` at minus infinity, above 0.
    """

    alpha: float = 1.0
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formula: ClassVar[str] = "x if x > 0 else alpha*expm1(x/alpha)"
    source: ClassVar[str] = "Barron (2017)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", checks.positive("alpha", self.alpha))

    @property
    def name(self) -> str:
        return spell("celu", [("alpha", self.alpha, 1.0)])

    def value(self, z: Array) -> Array:
        return np.where(z > 0.0, z, self.alpha * np.expm1(np.minimum(z, 0.0) / self.alpha))

    def derivative(self, z: Array) -> Array:
        return np.where(z > 0.0, 1.0, np.exp(np.minimum(z, 0.0) / self.alpha))

    def second_derivative(self, z: Array) -> Array:
        return np.where(z > 0.0, 0.0, np.exp(np.minimum(z, 0.0) / self.alpha) / self.alpha)


@final
@dataclass(frozen=True)
class SELU(AbstractActivation):
    r"""Scaled ELU whose moments (0, 1) reproduce themselves under centred weights.

    .. math:: \lambda x \;(x > 0), \qquad \lambda \alpha (e^x - 1) \;(x \le 0), \qquad
              \lambda = 1.0507\ldots, \quad \alpha = 1.6732\ldots
    """

    name: ClassVar[str] = "selu"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formula: ClassVar[str] = "1.0507*(x if x > 0 else 1.67326*expm1(x))"
    source: ClassVar[str] = "Klambauer, Unterthiner, Mayr, Hochreiter (2017)"

    def value(self, z: Array) -> Array:
        below = SELU_ALPHA * np.expm1(np.minimum(z, 0.0))
        return SELU_SCALE * np.where(z > 0.0, z, below)

    def derivative(self, z: Array) -> Array:
        return SELU_SCALE * np.where(z > 0.0, 1.0, SELU_ALPHA * np.exp(np.minimum(z, 0.0)))

    def second_derivative(self, z: Array) -> Array:
        return SELU_SCALE * np.where(z > 0.0, 0.0, SELU_ALPHA * np.exp(np.minimum(z, 0.0)))


@final
@dataclass(frozen=True)
class Softplus(AbstractActivation):
    r"""Smooth rectifier :math:`\log(1 + e^x)`."""

    name: ClassVar[str] = "softplus"
    formula: ClassVar[str] = "log(1 + exp(x))"
    source: ClassVar[str] = "Dugas et al. (2001)"

    def value(self, z: Array) -> Array:
        return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))

    def derivative(self, z: Array) -> Array:
        return special.expit(z)

    def second_derivative(self, z: Array) -> Array:
        return special.expit(z) * special.expit(-z)


@final
@dataclass(frozen=True)
class LogSigmoid(AbstractActivation):
    r"""Logarithm of the logistic function, :math:`-\log(1 + e^{-x})`."""

    name: ClassVar[str] = "logsigmoid"
    formula: ClassVar[str] = "-log(1 + exp(-x))"

    def value(self, z: Array) -> Array:
        return -(np.maximum(-z, 0.0) + np.log1p(np.exp(-np.abs(z))))

    def derivative(self, z: Array) -> Array:
        return special.expit(-z)

    def second_derivative(self, z: Array) -> Array:
        return -special.expit(z) * special.expit(-z)


@final
@dataclass(frozen=True)
class Exp(AbstractActivation):
    r"""Exponential function; infinite in float64 above x = 709.78."""

    name: ClassVar[str] = "exp"
    formula: ClassVar[str] = "exp(x)"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms_exponential.exponential()

    def value(self, z: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.exp(z)

    def derivative(self, z: Array) -> Array:
        return self.value(z)

    def second_derivative(self, z: Array) -> Array:
        return self.value(z)


@final
@dataclass(frozen=True)
class Gaussian(AbstractActivation):
    r"""Bell :math:`e^{-(s x)^2}`.

    Parameters
    ----------
    scale : float, default 1
        The factor s, above 0.
    """

    scale: float = 1.0
    formula: ClassVar[str] = "exp(-(scale*x)**2)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checks.positive("scale", self.scale))

    @property
    def name(self) -> str:
        return spell("gaussian", [("scale", self.scale, 1.0)])

    @property
    def closed_forms(self) -> ClosedForms:
        return forms_gaussian.bell(self.scale**2)

    def value(self, z: Array) -> Array:
        return exp_minus_square(z, self.scale)

    def derivative(self, z: Array) -> Array:
        return -2.0 * self.scale**2 * z * self.value(z)

    def second_derivative(self, z: Array) -> Array:
        bell = self.value(z)
        reach = np.where(bell > 0.0, self.scale * z, 0.0)
        return (
            2.0
            * self.scale**2
            * (math.sqrt(2.0) * reach - 1.0)
            * (math.sqrt(2.0) * reach + 1.0)
            * bell
        )
