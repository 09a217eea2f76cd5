"""Activations whose value jumps."""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from chione.activations import forms_arc_cosine as forms
from chione.activations.naming import spell
from chione.activations.protocol import AbstractActivation, ClosedForms
from chione.base import Array, checks


@final
@dataclass(frozen=True)
class Step(AbstractActivation):
    r"""Heaviside step: 1 for positive arguments, 0 elsewhere."""

    name: ClassVar[str] = "step"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formula: ClassVar[str] = "1 if x > 0 else 0"
    source: ClassVar[str] = "McCulloch, Pitts (1943)"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.step()

    def value(self, z: Array) -> Array:
        return np.where(z > 0.0, 1.0, 0.0)

    def derivative(self, z: Array) -> Array:
        return np.zeros_like(z)

    def second_derivative(self, z: Array) -> Array:
        return np.zeros_like(z)


@final
@dataclass(frozen=True)
class Sign(AbstractActivation):
    r"""Sign of the argument: -1, 0 or 1."""

    name: ClassVar[str] = "sign"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formula: ClassVar[str] = "sign(x)"
    source: ClassVar[str] = "Rosenblatt (1958)"

    @property
    def closed_forms(self) -> ClosedForms:
        return forms.sign()

    def value(self, z: Array) -> Array:
        return np.sign(z)

    def derivative(self, z: Array) -> Array:
        return np.zeros_like(z)

    def second_derivative(self, z: Array) -> Array:
        return np.zeros_like(z)


@final
@dataclass(frozen=True)
class HardShrink(AbstractActivation):
    r"""Hard threshold: x where :math:`|x| > t`, 0 elsewhere.

    Parameters
    ----------
    threshold : float, default 0.5
        Half the width t of the dead zone, above 0.
    """

    threshold: float = 0.5
    formula: ClassVar[str] = "x if abs(x) > threshold else 0"
    source: ClassVar[str] = "Donoho, Johnstone (1994)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", checks.positive("threshold", self.threshold))

    @property
    def name(self) -> str:
        return spell("hardshrink", [("threshold", self.threshold, 0.5)])

    @property
    def kinks(self) -> tuple[float, ...]:
        return (-self.threshold, self.threshold)

    def value(self, z: Array) -> Array:
        return np.where(np.abs(z) > self.threshold, z, 0.0)

    def derivative(self, z: Array) -> Array:
        return np.where(np.abs(z) > self.threshold, 1.0, 0.0)

    def second_derivative(self, z: Array) -> Array:
        return np.zeros_like(z)
