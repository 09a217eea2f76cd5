"""Maxout units."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from chione.base import checks
from chione.networks.layer import WIDTH, AbstractLayer, Shape, count, width_or_none


@final
@dataclass(frozen=True)
class Maxout(AbstractLayer, word="maxout"):
    r"""The largest of k affine maps, unit by unit: :math:`y_i = \max_k (W^k x + b^k)_i`.

    Parameters
    ----------
    pieces : int
        The number k of maps, at least 1.
    sigma_w, sigma_b : float
        Standard deviations as in :class:`~chione.networks.Dense`.
    out : int, optional
        Number of units; that of the inputs by default.
    """

    pieces: int = 2
    sigma_w: float = 1.0
    sigma_b: float = 0.0
    out: int | None = field(default=None, metadata=WIDTH)

    def __post_init__(self) -> None:
        self._set(
            pieces=count("pieces", self.pieces),
            sigma_w=checks.non_negative("sigma_w", self.sigma_w),
            sigma_b=checks.non_negative("sigma_b", self.sigma_b),
            out=width_or_none("out", self.out),
        )

    def after(self, shape: Shape, place: str) -> Shape:
        """`out` channels at the same positions."""
        return Shape(self.out or shape.width, shape.grid)
