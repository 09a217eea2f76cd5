"""What can be measured in a layer: one function each, from a snapshot to a small array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.base import Array
from chione.simulation.passes import Snapshot
from chione.simulation.weights import FloatArray


@dataclass(frozen=True)
class Observable:
    """A quantity measured in every layer.

    Parameters
    ----------
    name : str
        The word in ``observe=``.
    dims : tuple of str
        Names of the axes of one layer's value.
    backward : bool
        Whether it needs error signals.
    measure : callable
        From a :class:`~chione.simulation.passes.Snapshot` to the layer's value.
    symbol : str
        The symbol, for labels.
    words : str
        What it is, for labels and for ``--help``.
    """

    name: str
    dims: tuple[str, ...]
    backward: bool
    measure: Callable[[Snapshot], Array]
    symbol: str
    words: str


def mean_products(a: FloatArray) -> Array:
    """Mean over the units of the products of any two inputs: (B, N) to (B, B), in float64."""
    return np.asarray(np.asarray(a @ a.T, np.float64) / a.shape[1])


def pairs(n_inputs: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Index arrays (i, j), i < j, of the pairs of inputs."""
    i, j = np.triu_indices(n_inputs, 1)
    return i, j


def mean_squares(a: FloatArray) -> Array:
    """Mean over the units of the squares of each input: (B, N) to (B,)."""
    return np.asarray(np.asarray(np.einsum("bn,bn->b", a, a), np.float64) / a.shape[1])


def correlations(a: FloatArray) -> Array:
    """Cosines between the inputs' vectors, for each pair; 1 is never exceeded."""
    g = mean_products(a)
    i, j = pairs(len(a))
    norms = np.sqrt(np.diagonal(g))
    return np.asarray(np.clip(g[i, j] / (norms[i] * norms[j]), -1.0, 1.0))


def one_minus_correlations(a: FloatArray) -> Array:
    r"""Accurate :math:`1 - c = |u_1 - u_2|^2 / 2` of the unit vectors, also where c rounds to 1."""
    units = np.asarray(a, np.float64)
    units = units / np.sqrt(np.einsum("bn,bn->b", units, units))[:, None]
    i, j = pairs(len(a))
    out = np.empty(len(i))
    for k, (first, second) in enumerate(zip(i, j, strict=True)):
        d = units[first] - units[second]
        out[k] = 0.5 * (d @ d)
    return out


def angles(a: FloatArray) -> Array:
    """Angles between the inputs' vectors in radians, accurate at 0 and pi as well."""
    half = np.sqrt(np.clip(0.5 * one_minus_correlations(a), 0.0, 1.0))
    return np.asarray(2.0 * np.arcsin(half))


def _delta(s: Snapshot) -> FloatArray:
    assert s.delta is not None, "the driver hands error signals to backward observables"
    return s.delta


_ALL = (
    Observable(
        "lengths", ("input",), False, lambda s: mean_squares(s.h),
        "q", "mean square of the pre-activations",
    ),
    Observable(
        "correlations", ("pair",), False, lambda s: correlations(s.h),
        "c", "correlation of the pre-activations of two inputs",
    ),
    Observable(
        "gradients", ("input",), True, lambda s: mean_squares(_delta(s)),
        "d^l / d^L", "mean square of the error signal, relative to the last layer",
    ),
)  # fmt: skip

OBSERVABLES: dict[str, Observable] = {o.name: o for o in _ALL}
