"""Activations made of parabolas and cubics."""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from chione.activations import forms_arc_cosine, forms_polynomial
from chione.activations.protocol import AbstractActivation, ClosedForms
from chione.base import Array


@final
@dataclass(frozen=True)
class SquaredReLU(AbstractActivation):
    r"""Squared rectifier :math:`\max(x, 0)^2`."""

    name: ClassVar[str] = "squared_relu"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formula: ClassVar[str] = "max(x, 0)**2"
    source: ClassVar[str] = "So et al. (2021)"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms_arc_cosine.squared_relu()

    def value(self, z: Array) -> Array:
        return np.maximum(z, 0.0) ** 2

    def derivative(self, z: Array) -> Array:
        return 2.0 * np.maximum(z, 0.0)

    def second_derivative(self, z: Array) -> Array:
        return np.where(z > 0.0, 2.0, 0.0)


@final
@dataclass(frozen=True)
class HardSwish(AbstractActivation):
    r"""Gate of straight lines: :math:`x \min(\max(x + 3, 0), 6) / 6`."""

    name: ClassVar[str] = "hardswish"
    kinks: ClassVar[tuple[float, ...]] = (-3.0, 3.0)
    formula: ClassVar[str] = "x*clip((x + 3)/6, 0, 1)"
    source: ClassVar[str] = "Howard et al. (2019)"

    def value(self, z: Array) -> Array:
        return z * np.clip((z + 3.0) / 6.0, 0.0, 1.0)

    def derivative(self, z: Array) -> Array:
        middle = (2.0 * z + 3.0) / 6.0
        return np.where(z >= 3.0, 1.0, np.where(z > -3.0, middle, 0.0))

    def second_derivative(self, z: Array) -> Array:
        return np.where(np.abs(z) < 3.0, 1.0 / 3.0, 0.0)


@final
@dataclass(frozen=True)
class Quadratic(AbstractActivation):
    r"""The parabola :math:`x^2`."""

    name: ClassVar[str] = "quadratic"
    formula: ClassVar[str] = "x**2"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms_polynomial.quadratic()

    def value(self, z: Array) -> Array:
        return z * z

    def derivative(self, z: Array) -> Array:
        return 2.0 * z

    def second_derivative(self, z: Array) -> Array:
        return np.full_like(z, 2.0)


@final
@dataclass(frozen=True)
class Cubic(AbstractActivation):
    r"""The cubic :math:`x^3`."""

    name: ClassVar[str] = "cubic"
    formula: ClassVar[str] = "x**3"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms_polynomial.cubic()

    def value(self, z: Array) -> Array:
        return z * z * z

    def derivative(self, z: Array) -> Array:
        return 3.0 * z * z

    def second_derivative(self, z: Array) -> Array:
        return 6.0 * z
