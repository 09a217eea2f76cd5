"""The stream of inputs that are given as arrays: their exact second moments and channel means."""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import EPS, Array, checks
from chione.networks import Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.recipe import Given
from chione.theory.layers.stream import Law, Stream, from_moments

_BLOCK = 1 << 22  # numbers at a time


def as_inputs(name: str, x: Any, shape: Shape) -> Array:
    """Inputs as an array (n, positions, channels).

    Raises
    ------
    TypeError, ValueError
        If they are not real numbers, or of another shape than the network takes.
    """
    a = checks.real_array(name, x)
    wanted = (*shape.grid, shape.width)
    if a.ndim != 1 + len(wanted) or a.shape[1:] != wanted or a.shape[0] == 0:
        said = ", ".join(["n", *(str(n) for n in wanted)])
        raise ValueError(
            f"{name} must have the shape ({said}): inputs, then {shape}, but it has {a.shape}."
        )
    return a.reshape(a.shape[0], shape.positions, shape.width)


def from_inputs(x: Array, shape: Shape) -> Stream:
    r"""The stream of inputs (n, positions, channels).

    .. math:: K_{ij} = \frac1N \sum x(i) x(j), \qquad D_{ij} = \frac1N \sum (x(i) - x(j))^2

    D from the differences themselves, so that close inputs keep their digits.
    """
    flat = x.reshape(-1, shape.width)
    n = shape.width
    gram = flat @ flat.T / n
    rounding = (4.0 + np.sqrt(n)) * EPS
    mean = Bounded(flat.mean(axis=1), rounding * np.abs(flat).mean(axis=1))
    stream = from_moments(0.5 * (gram + gram.T), shape, mean)
    rows, columns = stream.orbits.rows, stream.orbits.columns
    d = np.empty(len(rows))
    step = max(1, _BLOCK // n)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        d[part] = ((flat[rows[part]] - flat[columns[part]]) ** 2).mean(axis=1)
    size = np.sqrt(stream.k.value[stream.orbits.one] * stream.k.value[stream.orbits.two])
    return stream.with_(
        k=Bounded(stream.k.value, rounding * size),
        d=Bounded(np.where(stream.orbits.apart, d, 0.0), rounding * d),
        law=Law(False, "those of the inputs that are given"),
        recipe=Given(flat),
    )
