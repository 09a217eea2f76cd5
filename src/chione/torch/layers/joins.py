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
    """The sum of two tensors, or their difference.

    Parameters
    ----------
    residual : bool
        Whether one of them is made from the other.
    minus : bool
        Whether the second is subtracted.
    """

    residual: bool = False
    minus: bool = False


@final
@dataclass(frozen=True)
class Product(AbstractJoin, word="product"):
    """The product of two tensors, entry by entry."""


@final
@dataclass(frozen=True)
class Concat(AbstractJoin, word="concat"):
    """Tensors side by side; `channels` if along channels, not along positions.

    `positions` if it is known that they lie one after another along the positions.
    """

    channels: bool = True
    positions: bool = False


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


@final
@dataclass(frozen=True)
class Pick(AbstractJoin, word="view"):
    """One position of a sequence, such as a class token."""

    position: int


@final
@dataclass(frozen=True)
class Padded(AbstractJoin, word="view"):
    """Positions beyond the edge; `widths` from the last axis on.

    They are copied from the other side, or zero.
    """

    widths: tuple[int, ...]
    circular: bool = True


def along_channels(whole: tuple[int, ...], parts: list[tuple[int, ...]], axes: str) -> bool:
    """Whether tensors were joined along their channels."""
    return _along(len(whole) - 1 if axes == "last" else 1, whole, parts, axes)


def along_positions(whole: tuple[int, ...], parts: list[tuple[int, ...]], axes: str) -> bool:
    """Whether sequences were joined one after another."""
    return axes == "last" and len(whole) == 3 and _along(1, whole, parts, axes)


def _along(axis: int, whole: tuple[int, ...], parts: list[tuple[int, ...]], axes: str) -> bool:
    if not axes or any(len(part) != len(whole) for part in parts):
        return False
    return all(
        a == b for part in parts for i, (a, b) in enumerate(zip(part, whole, strict=True))
        if i != axis
    )  # fmt: skip
