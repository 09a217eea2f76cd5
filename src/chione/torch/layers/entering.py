"""What enters a graph: inputs, parameters, tables; and attention, which theory cannot follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from chione.networks import AbstractLayer, Shape


@dataclass(frozen=True)
class AbstractLeaf(AbstractLayer):
    """A layer that theory starts at, or starts again behind."""

    def after(self, shape: Shape, place: str) -> Shape:
        """Read off the tensors."""
        return shape


@final
@dataclass(frozen=True)
class Entering(AbstractLeaf, word="input"):
    """A tensor of the batch."""


@final
@dataclass(frozen=True)
class Held(AbstractLeaf, word="parameter"):
    """A parameter that is read as a tensor.

    Parameters
    ----------
    name : str
        Its full name; empty where a view has changed what its axes mean.
    swapped : bool
        Whether its two axes were swapped.
    mean_square : float
        Of its entries.
    """

    name: str
    swapped: bool = False
    mean_square: float = 0.0


@final
@dataclass(frozen=True)
class Embedding(AbstractLeaf, word="embedding"):
    """Rows of a table, picked by integers; `sigma` is the root of their mean square."""

    sigma: float = 1.0


@final
@dataclass(frozen=True)
class Attention(AbstractLeaf, word="attention"):
    """Means over positions with weights that depend on them."""
