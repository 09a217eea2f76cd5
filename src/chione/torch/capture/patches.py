"""What the outputs of a convolution read: its input seen as patches, at the sites of its output."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from chione.networks import Convolution
from chione.torch.capture import lattice
from chione.torch.capture.samples import Sample, arranged, smoothness
from chione.torch.capture.statistics import lazy_moments


def patches(
    x: torch.Tensor, layer: Convolution, out: torch.Tensor, padding: tuple[int, ...], batch: int
) -> Sample | None:
    """Second moments of patches, zeros beyond the edge among them.

    Parameters
    ----------
    x, out : Tensor, shape (batch, channels, *grid)
        Input and output.
    layer : Convolution
        The layer.
    padding : tuple of int
        Zeros before the first position of each axis.
    batch : int
        Number of inputs.
    """
    at = arranged(tuple(out.shape), "first", batch)
    if at is None or layer.transposed or not at.grid:
        return None
    taken = at.taken("first")
    n = len(at.grid)
    kernel, stride, dilation = (_all(v, n) for v in (layer.kernel, layer.stride, layer.dilation))
    wide = x.detach()
    room = []
    for axis in range(n):
        size = stride[axis] * (at.grid[axis] - 1) + dilation[axis] * (kernel[axis] - 1) + 1
        room.append((padding[axis], max(size - padding[axis] - int(wide.shape[2 + axis]), 0)))
    wide = torch.nn.functional.pad(wide, [p for pair in reversed(room) for p in pair])
    sites = lattice.places(at.grid) if taken == "lattice" else range(at.positions)
    found = []
    for site in sites:
        part, rest = wide, site
        for axis in reversed(range(n)):
            start = rest % at.grid[axis] * stride[axis]
            rest //= at.grid[axis]
            stop = start + dilation[axis] * (kernel[axis] - 1) + 1
            index = [slice(None)] * part.dim()
            index[2 + axis] = slice(start, stop, dilation[axis])
            part = part[tuple(index)]
        found.append(part.reshape(batch, -1))
    y = torch.stack(found, dim=1)
    numbers = lazy_moments(y, batch)
    made = Sample.of_sites(y, replace(at, width=y.shape[-1]), taken, "first", numbers)
    before = arranged(tuple(x.shape), "first", batch)
    smooth: Any = 0.0
    if before is not None and taken == "lattice":
        smooth = smoothness(x.detach(), before)
        for k, s in zip(kernel, stride, strict=True):
            smooth = (smooth + (k * k - 1) / 6.0 / n) / s ** (2.0 / n)
    made = replace(made, smooth=smooth)
    return replace(made, patches=True, numbers=_with_whole(numbers, wide, kernel, stride, dilation))


def _with_whole(
    numbers: torch.Tensor, x: torch.Tensor, kernel: Any, stride: Any, dilation: Any
) -> torch.Tensor:
    """The mean square over the patches of all outputs in place of that over the sites."""
    energy = x.float().square().mean(dim=1, keepdim=True)
    taps = torch.ones(1, 1, *kernel, dtype=energy.dtype, device=energy.device)
    convolve = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}[len(kernel)]
    mean = convolve(energy, taps, stride=stride, dilation=dilation).mean() / math.prod(kernel)
    scale, first, _, omc = numbers.unbind()
    return torch.stack([scale, first, mean.double() / (scale * scale), omc])


def _all(value: Any, n: int) -> tuple[int, ...]:
    return (
        (int(value),) * n
        if isinstance(value, int)
        else tuple(int(v) for v in value) * (n if len(value) == 1 else 1)
    )
