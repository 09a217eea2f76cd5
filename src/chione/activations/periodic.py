"""Periodic activations."""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from chione.activations import forms_exponential as forms
from chione.activations.accurate import product_error
from chione.activations.naming import spell
from chione.activations.protocol import AbstractActivation, ClosedForms
from chione.base import Array, checks


@final
@dataclass(frozen=True)
class Sin(AbstractActivation):
    r"""Sine."""

    name: ClassVar[str] = "sin"
    formula: ClassVar[str] = "sin(x)"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.sine(1.0)

    def value(self, z: Array) -> Array:
        return np.sin(z)

    def derivative(self, z: Array) -> Array:
        return np.cos(z)

    def second_derivative(self, z: Array) -> Array:
        return -np.sin(z)


@final
@dataclass(frozen=True)
class Cos(AbstractActivation):
    r"""Cosine."""

    name: ClassVar[str] = "cos"
    formula: ClassVar[str] = "cos(x)"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.cosine()

    def value(self, z: Array) -> Array:
        return np.cos(z)

    def derivative(self, z: Array) -> Array:
        return -np.sin(z)

    def second_derivative(self, z: Array) -> Array:
        return -np.cos(z)


@final
@dataclass(frozen=True)
class Siren(AbstractActivation):
    r"""Fast sine :math:`\sin(\omega_0 x)`.

    The rounding of the product is corrected to first order, so that the phase is right where
    :math:`\omega_0 x` is large.

    Parameters
    ----------
    w0 : float, default 30
        Angular frequency, not 0.
    """

    w0: float = 30.0
    formula: ClassVar[str] = "sin(w0*x)"
    source: ClassVar[str] = "Sitzmann et al. (2020)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "w0", checks.finite("w0", self.w0))
        if self.w0 == 0.0:
            raise ValueError("w0 must not be 0: the activation would be constant.")

    @property
    def name(self) -> str:
        return spell("siren", [("w0", self.w0, 30.0)])

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.sine(self.w0)

    def value(self, z: Array) -> Array:
        phase = self.w0 * z
        return np.sin(phase) + product_error(self.w0, z, phase) * np.cos(phase)

    def derivative(self, z: Array) -> Array:
        phase = self.w0 * z
        return self.w0 * (np.cos(phase) - product_error(self.w0, z, phase) * np.sin(phase))

    def second_derivative(self, z: Array) -> Array:
        return -(self.w0**2) * self.value(z)
