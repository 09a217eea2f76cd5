"""Where two or more tensors meet, and where one is only seen in another way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from chione.networks import AbstractLayer, Shape


@dataclass(frozen=True)
class AbstractJoin(AbstractLayer):
    """A layer with several inputs; what it does to shapes is read off the tensors."""

    def after(self, shape: Shape, place: str) -> Shape:
        """That of the first."""
        return shape


@final
@dataclass(frozen=True)
class Sum(AbstractJoin, word="sum"):
    """The sum of two tensors; `residual` if one of them is made from the other."""

    residual: bool = False


@final
@dataclass(frozen=True)
class Product(AbstractJoin, word="product"):
    """The product of two tensors, entry by entry."""


@final
@dataclass(frozen=True)
class Concat(AbstractJoin, word="concat"):
    """Tensors side by side; `channels` if along channels, not along positions."""

    channels: bool = True


@final
@dataclass(frozen=True)
class View(AbstractJoin, word="view"):
    """The same entries, or a share of the channels, in another shape.

    Parameters
    ----------
    part : tuple of int, optional
        First channel and number of channels, where it is a part of them.
    """

    part: tuple[int, int] | None = None
