"""Positions turned into channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from chione.networks.layer import AbstractLayer, Shape


@final
@dataclass(frozen=True)
class Flatten(AbstractLayer, word="flatten"):
    """Channels of all positions become one vector."""

    def after(self, shape: Shape, place: str) -> Shape:
        """Channels times positions, no positions."""
        return Shape(shape.width * shape.positions)
