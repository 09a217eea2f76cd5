"""Additive noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from chione.base import checks
from chione.networks.layer import AbstractLayer, Shape


@final
@dataclass(frozen=True)
class Noise(AbstractLayer, word="noise"):
    r"""Adds :math:`N(0, \sigma^2)`, independent for each input, position and channel.

    Parameters
    ----------
    sigma : float
        Standard deviation, zero or above.
    """

    sigma: float

    def __post_init__(self) -> None:
        self._set(sigma=checks.non_negative("sigma", self.sigma))

    def after(self, shape: Shape, place: str) -> Shape:
        """Nothing changes."""
        return shape
