"""Pooling over positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

from chione.base import checks
from chione.networks.layer import AbstractLayer, Shape, ShapeError, along_axes, extents

POOLS = ("average", "max")


@final
@dataclass(frozen=True)
class Pooling(AbstractLayer, word="pooling"):
    """Mean or maximum over windows of positions.

    Parameters
    ----------
    reduce : {"average", "max"}
        Mean or maximum.
    kernel : int or tuple of int, optional
        Extent of the window, one number or one an axis; all positions by default (global).
    stride : int or tuple of int, optional
        Step from window to window; `kernel` by default.
    padding : int or tuple of int
        Positions that windows of a maximum reach beyond the edge on both sides, at most half a
        window; nothing stands there.
    """

    reduce: Literal["average", "max"] = "average"
    kernel: int | tuple[int, ...] | None = None
    stride: int | tuple[int, ...] | None = None
    padding: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        checks.one_of("reduce", self.reduce, POOLS)
        if self.kernel is None and self.stride is not None:
            raise ValueError(f"stride is {self.stride!r}, but kernel is missing; give both.")
        if self.kernel is not None:
            self._set(kernel=extents("kernel", self.kernel))
        if self.stride is not None:
            self._set(stride=extents("stride", self.stride))
        self._set(padding=_padding(self.padding))
        if self.padding != 0 and (self.reduce != "max" or self.kernel is None):
            raise ValueError(
                "padding belongs to a maximum over windows, but this pool is "
                f"{'global' if self.kernel is None else 'an average'}; leave padding at 0."
            )

    def windows(self, shape: Shape, place: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Extent and step of the windows, one an axis.

        Raises
        ------
        ShapeError
            If there are no positions, or fewer than a window has.
        """
        kernel = shape.grid if self.kernel is None else self.kernel
        kernel = along_axes("kernel", kernel, shape, place)
        stride = kernel if self.stride is None else self.stride
        stride = along_axes("stride", stride, shape, place)
        edges = self.edges(shape, place)
        if any(2 * p > k for k, p in zip(kernel, edges, strict=True)):
            raise ShapeError(
                f"{place}: padding {edges} is more than half of the window {kernel}; choose less."
            )
        reached = (n + 2 * p for n, p in zip(shape.grid, edges, strict=True))
        if any(k > n for k, n in zip(kernel, reached, strict=True)):
            raise ShapeError(
                f"{place}: a window of {kernel} positions does not fit into a grid of {shape.grid}."
            )
        return kernel, stride

    def edges(self, shape: Shape, place: str) -> tuple[int, ...]:
        """Padding, one number an axis."""
        return along_axes("padding", self.padding, shape, place)

    def after(self, shape: Shape, place: str) -> Shape:
        """One position for each window; none after a global pool."""
        kernel, stride = self.windows(shape, place)
        if self.kernel is None:
            return Shape(shape.width)
        steps = zip(shape.grid, kernel, stride, self.edges(shape, place), strict=True)
        return Shape(shape.width, tuple((n + 2 * p - k) // s + 1 for n, k, s, p in steps))


def _padding(x: Any) -> int | tuple[int, ...]:
    """One number from 0 on, or a tuple of them; zeros alone are 0."""
    if not isinstance(x, (list, tuple)):
        return checks.integer("padding", x, minimum=0)
    several = tuple(checks.integer(f"padding[{i}]", n, minimum=0) for i, n in enumerate(x))
    return several if any(several) else 0
