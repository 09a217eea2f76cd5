"""Embeddings of positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from chione.base import checks
from chione.networks.layer import AbstractLayer, Shape

POSITIONS = ("learned", "sinusoidal")


@final
@dataclass(frozen=True)
class Position(AbstractLayer, word="position"):
    r"""Adds a vector that depends on the position alone, the same for all inputs.

    Parameters
    ----------
    form : {"learned", "sinusoidal"}
        ``learned``: :math:`N(0, \sigma^2)` for each position and channel. ``sinusoidal``:
        :math:`\sigma \sin(t\,\omega_j)` on the first half of the channels and
        :math:`\sigma \cos(t\,\omega_j)` on the second, :math:`\omega_j = \text{base}^{-2j/n}`.
    sigma : float
        Standard deviation, or factor, zero or above.
    base : float
        Slowest wavelength over 2 pi, for ``sinusoidal``.
    """

    form: Literal["learned", "sinusoidal"] = "learned"
    sigma: float = 1.0
    base: float = 10000.0

    def __post_init__(self) -> None:
        checks.one_of("form", self.form, POSITIONS)
        self._set(
            sigma=checks.non_negative("sigma", self.sigma), base=checks.positive("base", self.base)
        )

    def after(self, shape: Shape, place: str) -> Shape:
        """Nothing changes."""
        return shape
