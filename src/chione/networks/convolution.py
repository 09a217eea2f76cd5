"""Convolutions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, final

from chione.base import checks
from chione.networks.layer import (
    WIDTH,
    AbstractLayer,
    Shape,
    ShapeError,
    along_axes,
    count,
    extents,
    flag,
    width_or_none,
)

PADDINGS = ("zero", "circular")
CONVOLUTION_WEIGHTS = ("gaussian", "delta_orthogonal")


@final
@dataclass(frozen=True)
class Convolution(AbstractLayer, word="convolution"):
    r"""Convolution over the axes of the grid.

    .. math:: h(t) = \sum_b W_b\,x(s t + d b) + \text{bias}, \qquad
       E\,W^2 = \sigma_w^2\, g / (n_{in} k^D), \qquad \text{bias} \sim N(0, \sigma_b^2)

    with stride s, dilation d, g groups, k taps along each of D axes, the centre tap at s t. There
    are ceil(n / s) positions after n. Transposed: every input position writes k taps,
    s (n - 1) + k positions, and :math:`E\,W^2 = \sigma_w^2 s^D / (n_{in} k^D)`.

    Parameters
    ----------
    kernel : int or tuple of int
        Taps along each axis.
    sigma_w, sigma_b : float
        Standard deviations as above, zero or above.
    out : int, optional
        Channels after it; those before it by default.
    stride, dilation : int or tuple of int
        Step from output to output, and between taps.
    padding : {"zero", "circular"}
        What stands beyond the edge.
    groups : int
        Groups of channels, each convolved on its own.
    depthwise : bool
        One group for each channel.
    transposed : bool
        The adjoint map, without padding.
    weights : {"gaussian", "delta_orthogonal"}
        ``delta_orthogonal``: only the centre tap, scaled Haar orthogonal, E W W^T = sigma_w^2.
    """

    kernel: int | tuple[int, ...] = 3
    sigma_w: float = 1.0
    sigma_b: float = 0.0
    out: int | None = field(default=None, metadata=WIDTH)
    stride: int | tuple[int, ...] = 1
    dilation: int | tuple[int, ...] = 1
    padding: Literal["zero", "circular"] = "zero"
    groups: int = 1
    depthwise: bool = False
    transposed: bool = False
    weights: Literal["gaussian", "delta_orthogonal"] = "gaussian"

    def __post_init__(self) -> None:
        checks.one_of("padding", self.padding, PADDINGS)
        checks.one_of("weights", self.weights, CONVOLUTION_WEIGHTS)
        self._set(
            kernel=extents("kernel", self.kernel),
            sigma_w=checks.non_negative("sigma_w", self.sigma_w),
            sigma_b=checks.non_negative("sigma_b", self.sigma_b),
            out=width_or_none("out", self.out),
            stride=extents("stride", self.stride),
            dilation=extents("dilation", self.dilation),
            groups=count("groups", self.groups),
            depthwise=flag("depthwise", self.depthwise),
            transposed=flag("transposed", self.transposed),
        )
        unusual = [
            name
            for name, used in (
                ("groups", self.groups > 1),
                ("depthwise", self.depthwise),
                ("dilation", self.dilation not in (1, (1,), (1, 1))),
                ("weights", self.weights != "gaussian"),
            )
            if used
        ]
        if self.transposed and unusual:
            raise ValueError(f"a transposed convolution takes no {' and no '.join(unusual)}.")
        if self.depthwise and self.groups > 1:
            raise ValueError("depthwise has one group a channel; leave groups at 1.")
        if self.weights == "delta_orthogonal" and (self.depthwise or self.groups > 1):
            raise ValueError("delta_orthogonal weights join all channels; leave groups at 1.")

    def geometry(self, shape: Shape, place: str) -> tuple[tuple[int, ...], ...]:
        """Taps, stride and dilation, one an axis each."""
        return (
            along_axes("kernel", self.kernel, shape, place),
            along_axes("stride", self.stride, shape, place),
            along_axes("dilation", self.dilation, shape, place),
        )

    def after(self, shape: Shape, place: str) -> Shape:
        """`out` channels on the new grid."""
        kernel, stride, _ = self.geometry(shape, place)
        out = self.out or shape.width
        if self.depthwise and out != shape.width:
            raise ShapeError(
                f"{place}: a depthwise convolution keeps its {shape.width} channels, but out is "
                f"{out}; leave out away."
            )
        for name, n in (("incoming", shape.width), ("outgoing", out)):
            if n % self.groups:
                raise ShapeError(
                    f"{place}: {self.groups} groups do not divide the {n} {name} channels."
                )
        axes = zip(shape.grid, kernel, stride, strict=True)
        if self.transposed:
            return Shape(out, tuple((n - 1) * s + k for n, k, s in axes))
        return Shape(out, tuple(-(-n // s) for n, _, s in axes))
