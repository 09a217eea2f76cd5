"""Multiplication by a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from chione.base import checks
from chione.networks.layer import AbstractLayer, Shape


@final
@dataclass(frozen=True)
class Scale(AbstractLayer, word="scale"):
    """Multiplies by a number.

    Parameters
    ----------
    factor : float
        The number.
    """

    factor: float

    def __post_init__(self) -> None:
        self._set(factor=checks.finite("factor", self.factor))

    def after(self, shape: Shape, place: str) -> Shape:
        """Nothing changes."""
        return shape
