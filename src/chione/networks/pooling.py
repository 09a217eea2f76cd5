"""Pooling over positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from chione.base import checks
from chione.networks.layer import AbstractLayer, Shape, ShapeError, along_axes, extents

POOLS = ("average", "max")


@final
@dataclass(frozen=True)
class Pooling(AbstractLayer, word="pooling"):
    """Mean or maximum over windows of positions, without padding.

    Parameters
    ----------
    reduce : {"average", "max"}
        Mean or maximum.
    kernel : int or tuple of int, optional
        Extent of the window, one number or one an axis; all positions by default (global).
    stride : int or tuple of int, optional
        Step from window to window; `kernel` by default.
    """

    reduce: Literal["average", "max"] = "average"
    kernel: int | tuple[int, ...] | None = None
    stride: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        checks.one_of("reduce", self.reduce, POOLS)
        if self.kernel is None and self.stride is not None:
            raise ValueError(f"stride is {self.stride!r}, but kernel is missing; give both.")
        if self.kernel is not None:
            self._set(kernel=extents("kernel", self.kernel))
        if self.stride is not None:
            self._set(stride=extents("stride", self.stride))

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
        if any(k > n for k, n in zip(kernel, shape.grid, strict=True)):
            raise ShapeError(
                f"{place}: a window of {kernel} positions does not fit into a grid of {shape.grid}."
            )
        return kernel, stride

    def after(self, shape: Shape, place: str) -> Shape:
        """One position for each window; none after a global pool."""
        kernel, stride = self.windows(shape, place)
        if self.kernel is None:
            return Shape(shape.width)
        steps = zip(shape.grid, kernel, stride, strict=True)
        return Shape(shape.width, tuple((n - k) // s + 1 for n, k, s in steps))
