"""Which axis of a weight is what: one place, so that no function guesses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from chione.base import checks


@dataclass(frozen=True)
class Layout:
    r"""Axes and counts of one weight tensor.

    An output is a sum over `fan_in` products, so that with independent weights of mean square
    :math:`\sigma_w^2 / n_{in}` it has mean square :math:`\sigma_w^2` times that of the inputs.

    Parameters
    ----------
    outputs, inputs : int
        Channels (units) of one group.
    groups : int
        Number of groups that do not see each other.
    kernel : tuple of int
        Sizes of the kernel, empty for a dense layer.
    transposed : bool
        Whether the input axis comes first: (in, out), as in transposed convolutions and in the
        ``Conv1D`` of GPT-2.
    taps : float
        Kernel positions that reach one output; below the size of the kernel where a transposed
        convolution has a stride.
    """

    outputs: int
    inputs: int
    groups: int
    kernel: tuple[int, ...]
    transposed: bool
    taps: float

    @property
    def fan_in(self) -> float:
        """Number of products in one output."""
        return self.inputs * self.taps

    @property
    def fan_out(self) -> int:
        """Number of outputs over all groups (channels, for a convolution)."""
        return self.outputs * self.groups


def layout_of(
    tensor: torch.Tensor,
    *,
    groups: int = 1,
    transposed: bool = False,
    stride: int | Sequence[int] = 1,
) -> Layout:
    """Read the axes of a weight: (out, in / groups, *kernel), or (in, out / groups, *kernel).

    Raises
    ------
    ValueError
        If the tensor has fewer than two axes or the groups do not divide the channels.
    """
    if tensor.dim() < 2:
        raise ValueError(
            "a weight must have at least two axes, (out, in) or (out, in, *kernel), but the shape "
            f"is {tuple(tensor.shape)}; biases are drawn with torch.nn.init.normal_."
        )
    groups = checks.integer("groups", groups)
    first, second, *kernel = (int(n) for n in tensor.shape)
    if first % groups:
        raise ValueError(
            f"groups must divide the first axis of the weight, but {groups} does not divide "
            f"{first} (shape {tuple(tensor.shape)})."
        )
    taps = float(math.prod(kernel))
    if not transposed:
        return Layout(first // groups, second, groups, tuple(kernel), False, taps)
    steps = [stride] * len(kernel) if isinstance(stride, int) else list(stride)
    return Layout(
        second, first // groups, groups, tuple(kernel), True, taps / math.prod(steps or [1])
    )
