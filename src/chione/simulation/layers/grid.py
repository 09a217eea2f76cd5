"""Which input position each tap of each output position reads, for any number of axes."""

from __future__ import annotations

import itertools
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from chione.base import Array

Taps: TypeAlias = NDArray[np.intp]

OUTSIDE = -1


def combine(axes: list[Taps], grid: tuple[int, ...]) -> Taps:
    """Tables of the axes, (outputs, taps) each, as one over the grid counted row by row."""
    table = np.zeros((1, 1), np.intp)
    for along, extent in zip(axes, grid, strict=True):
        joint = table[:, None, :, None] * extent + along[None, :, None, :]
        beyond = (table == OUTSIDE)[:, None, :, None] | (along == OUTSIDE)[None, :, None, :]
        joint = np.where(beyond, OUTSIDE, joint)
        table = joint.reshape(len(table) * len(along), -1)
    return table


def gather(x: Array, taps: Taps) -> Array:
    """x[..., t, i] at the positions of a table: (..., output, tap, i), zero outside."""
    out = x[..., taps, :]
    if np.any(taps == OUTSIDE):
        out[..., taps == OUTSIDE, :] = 0.0
    return out


def scatter(g: Array, taps: Taps, positions: int) -> Array:
    """The transpose of :func:`gather`.

    One tap of different outputs reads different positions, so that each addition is a plain one.
    """
    out = np.zeros((*g.shape[:-3], positions, g.shape[-1]))
    for tap in range(taps.shape[1]):
        inside = taps[:, tap] != OUTSIDE
        out[..., taps[inside, tap], :] += g[..., inside, tap, :]
    return out


def centre(kernel: tuple[int, ...]) -> int:
    """Number of the centre tap; of an even number of taps along an axis the earlier middle one."""
    taps = itertools.product(*(range(k) for k in kernel))
    return list(taps).index(tuple((k - 1) // 2 for k in kernel))
