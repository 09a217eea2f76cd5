"""Gated linear units."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from chione.activations import AbstractActivation, ActivationLike
from chione.base import checks
from chione.networks.layer import (
    ACTIVATION,
    WIDTH,
    AbstractLayer,
    Shape,
    as_activation,
    width_or_none,
)


@final
@dataclass(frozen=True)
class Gate(AbstractLayer, word="gate"):
    r"""Gated linear unit :math:`y = \phi(U x) \odot V x`, U and V independent.

    SwiGLU has phi = silu, GEGLU gelu, GLU sigmoid, ReGLU relu, the bilinear unit identity. The
    matrix that usually follows is a :class:`~chione.networks.Dense` of its own.

    Parameters
    ----------
    activation : activation
        Anything :func:`chione.activation` accepts.
    hidden : int, optional
        Width of the two halves; that of the inputs by default.
    sigma_u, sigma_v : float
        :math:`E\,U_{ij}^2 = \sigma_u^2 / n_{in}`, likewise V.
    sigma_b : float
        Standard deviation of the biases of both.
    """

    activation: AbstractActivation = field(metadata=ACTIVATION)
    hidden: int | None = field(default=None, metadata=WIDTH)
    sigma_u: float = 1.0
    sigma_v: float = 1.0
    sigma_b: float = 0.0

    if TYPE_CHECKING:  # what may be written is wider than what the field holds

        def __init__(
            self,
            activation: ActivationLike,
            hidden: int | None = None,
            sigma_u: float = 1.0,
            sigma_v: float = 1.0,
            sigma_b: float = 0.0,
        ) -> None: ...

    def __post_init__(self) -> None:
        self._set(
            activation=as_activation(self.activation),
            hidden=width_or_none("hidden", self.hidden),
            sigma_u=checks.non_negative("sigma_u", self.sigma_u),
            sigma_v=checks.non_negative("sigma_v", self.sigma_v),
            sigma_b=checks.non_negative("sigma_b", self.sigma_b),
        )

    def after(self, shape: Shape, place: str) -> Shape:
        """`hidden` channels at the same positions."""
        return Shape(self.hidden or shape.width, shape.grid)
