"""Activations made of straight lines."""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from chione.activations import forms_arc_cosine as forms
from chione.activations.naming import spell
from chione.activations.protocol import AbstractActivation, ClosedForms
from chione.base import Array, checks


class AbstractPiecewiseLinear(AbstractActivation):
    """Straight lines that meet at the kinks: the second derivative is zero between them."""

    def second_derivative(self, z: Array) -> Array:
        return np.zeros_like(z)


@final
@dataclass(frozen=True)
class Linear(AbstractPiecewiseLinear):
    r"""The identity :math:`\phi(x) = x`."""

    name: ClassVar[str] = "linear"
    formula: ClassVar[str] = "x"
    source: ClassVar[str] = "Saxe, McClelland, Ganguli (2014), deep linear networks"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.linear()

    def value(self, z: Array) -> Array:
        return np.array(z, dtype=np.float64)

    def derivative(self, z: Array) -> Array:
        return np.ones_like(z)


@final
@dataclass(frozen=True)
class ReLU(AbstractPiecewiseLinear):
    r"""Rectified linear unit :math:`\max(x, 0)`."""

    name: ClassVar[str] = "relu"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formula: ClassVar[str] = "max(x, 0)"
    source: ClassVar[str] = "Nair, Hinton (2010)"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.scale_invariant(1.0, 0.0)

    def value(self, z: Array) -> Array:
        return np.maximum(z, 0.0)

    def derivative(self, z: Array) -> Array:
        return np.where(z > 0.0, 1.0, 0.0)


class AbstractLeaky(AbstractPiecewiseLinear):
    """Slope 1 on the right of zero, `slope` on the left."""

    slope: float
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formula: ClassVar[str] = "x if x > 0 else slope*x"

    def __post_init__(self) -> None:
        object.__setattr__(self, "slope", checks.finite("slope", self.slope))

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.scale_invariant(1.0, self.slope)

    def value(self, z: Array) -> Array:
        return np.where(z > 0.0, z, self.slope * z)

    def derivative(self, z: Array) -> Array:
        return np.where(z > 0.0, 1.0, self.slope)


@final
@dataclass(frozen=True)
class LeakyReLU(AbstractLeaky):
    r"""Leaky rectifier: :math:`x` for positive, :math:`a x` for negative arguments.

    Parameters
    ----------
    slope : float, default 0.01
        Slope `a` of the negative side.
    """

    slope: float = 0.01
    source: ClassVar[str] = "Maas, Hannun, Ng (2013)"

    @property
    def name(self) -> str:
        return spell("leaky_relu", [("slope", self.slope, 0.01)])


@final
@dataclass(frozen=True)
class PReLU(AbstractLeaky):
    r"""Parametric rectifier at its initial slope: :math:`x`, or :math:`a x` for negative x.

    Parameters
    ----------
    slope : float, default 0.25
        Slope `a` of the negative side before training.
    """

    slope: float = 0.25
    source: ClassVar[str] = "He, Zhang, Ren, Sun (2015)"

    @property
    def name(self) -> str:
        return spell("prelu", [("slope", self.slope, 0.25)])


@final
@dataclass(frozen=True)
class Abs(AbstractPiecewiseLinear):
    r"""Absolute value :math:`|x|`."""

    name: ClassVar[str] = "abs"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formula: ClassVar[str] = "abs(x)"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.scale_invariant(1.0, -1.0)

    def value(self, z: Array) -> Array:
        return np.abs(z)

    def derivative(self, z: Array) -> Array:
        return np.sign(z)


@final
@dataclass(frozen=True)
class ReLU6(AbstractPiecewiseLinear):
    r"""Rectifier that saturates at six: :math:`\min(\max(x, 0), 6)`."""

    name: ClassVar[str] = "relu6"
    kinks: ClassVar[tuple[float, ...]] = (0.0, 6.0)
    formula: ClassVar[str] = "clip(x, 0, 6)"
    source: ClassVar[str] = "Krizhevsky (2010)"

    def value(self, z: Array) -> Array:
        return np.clip(z, 0.0, 6.0)

    def derivative(self, z: Array) -> Array:
        return np.where((z > 0.0) & (z < 6.0), 1.0, 0.0)


@final
@dataclass(frozen=True)
class HardTanh(AbstractPiecewiseLinear):
    r"""The identity cut at two levels: :math:`\min(\max(x, a), b)`.

    Parameters
    ----------
    low, high : float, default -1 and 1
        The levels a < b.
    """

    low: float = -1.0
    high: float = 1.0
    formula: ClassVar[str] = "clip(x, low, high)"
    source: ClassVar[str] = "Collobert (2004)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", checks.finite("low", self.low))
        object.__setattr__(self, "high", checks.finite("high", self.high))
        if self.low >= self.high:
            raise ValueError(f"low must lie below high, but they are {self.low} and {self.high}.")

    @property
    def name(self) -> str:
        return spell("hardtanh", [("low", self.low, -1.0), ("high", self.high, 1.0)])

    @property
    def kinks(self) -> tuple[float, ...]:
        return (self.low, self.high)

    def value(self, z: Array) -> Array:
        return np.clip(z, self.low, self.high)

    def derivative(self, z: Array) -> Array:
        return np.where((z > self.low) & (z < self.high), 1.0, 0.0)


@final
@dataclass(frozen=True)
class ShiftedReLU(AbstractPiecewiseLinear):
    r"""Rectifier with its kink moved down the diagonal: :math:`\max(x, -b)`.

    Parameters
    ----------
    bound : float, default 1
        The level b below which the function is constant.
    """

    bound: float = 1.0
    formula: ClassVar[str] = "max(x, -bound)"
    source: ClassVar[str] = "Clevert, Unterthiner, Hochreiter (2016), as SReLU"

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound", checks.finite("bound", self.bound))

    @property
    def name(self) -> str:
        return spell("shifted_relu", [("bound", self.bound, 1.0)])

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0 - self.bound,)

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.shifted_relu(self.bound)

    def value(self, z: Array) -> Array:
        return np.maximum(z, -self.bound)

    def derivative(self, z: Array) -> Array:
        return np.where(z > -self.bound, 1.0, 0.0)


@final
@dataclass(frozen=True)
class HardSigmoid(AbstractPiecewiseLinear):
    r"""Three straight lines in place of the sigmoid: :math:`\min(\max(x + 3, 0), 6) / 6`."""

    name: ClassVar[str] = "hardsigmoid"
    kinks: ClassVar[tuple[float, ...]] = (-3.0, 3.0)
    formula: ClassVar[str] = "clip((x + 3)/6, 0, 1)"
    source: ClassVar[str] = "Howard et al. (2019)"

    def value(self, z: Array) -> Array:
        return np.clip((z + 3.0) / 6.0, 0.0, 1.0)

    def derivative(self, z: Array) -> Array:
        return np.where(np.abs(z) < 3.0, 1.0 / 6.0, 0.0)


@final
@dataclass(frozen=True)
class SoftShrink(AbstractPiecewiseLinear):
    r"""Soft threshold :math:`\mathrm{sign}(x) \max(|x| - t, 0)`.

    Parameters
    ----------
    threshold : float, default 0.5
        Half the width t of the dead zone, above 0.
    """

    threshold: float = 0.5
    formula: ClassVar[str] = "sign(x)*max(abs(x) - threshold, 0)"
    source: ClassVar[str] = "Donoho, Johnstone (1994)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", checks.positive("threshold", self.threshold))

    @property
    def name(self) -> str:
        return spell("softshrink", [("threshold", self.threshold, 0.5)])

    @property
    def kinks(self) -> tuple[float, ...]:
        return (-self.threshold, self.threshold)

    def value(self, z: Array) -> Array:
        return np.copysign(np.maximum(np.abs(z) - self.threshold, 0.0), z)

    def derivative(self, z: Array) -> Array:
        return np.where(np.abs(z) > self.threshold, 1.0, 0.0)
