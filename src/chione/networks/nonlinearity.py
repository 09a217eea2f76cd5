"""Activations as layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

from chione.activations import AbstractActivation, ActivationLike
from chione.networks.layer import ACTIVATION, AbstractLayer, Shape, as_activation


@final
@dataclass(frozen=True)
class Nonlinearity(AbstractLayer, word="nonlinearity"):
    """The activation applied to each unit: x = phi(h).

    Parameters
    ----------
    activation : activation
        Anything :func:`chione.activation` accepts; the field holds what it stands for.
    """

    activation: AbstractActivation = field(metadata=ACTIVATION)

    if TYPE_CHECKING:  # what may be written is wider than what the field holds

        def __init__(self, activation: ActivationLike) -> None: ...

    def __post_init__(self) -> None:
        self._set(activation=as_activation(self.activation))

    def after(self, shape: Shape, place: str) -> Shape:
        """Nothing changes."""
        return shape
