"""What can be measured in a layer: one function each, from a snapshot to a small array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array
from chione.simulation.normals import FloatArray
from chione.simulation.passes import Snapshot

FLAT = 0.05  # slopes below this count as saturated: a signal loses 26 dB there


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
    total : bool
        Whether the value is summed over the layers, so that it belongs to the whole network.
    together : bool
        Whether `measure` takes networks side by side, (R, B, N), and gives a row for each.
    """

    name: str
    dims: tuple[str, ...]
    backward: bool
    measure: Callable[[Snapshot], Array]
    symbol: str
    words: str
    total: bool = False
    together: bool = False

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Those of the table below go to another process by name: it holds functions."""
        if OBSERVABLES.get(self.name) is self:
            return _named, (self.name,)
        return super().__reduce__()


def mean_products(a: FloatArray) -> Array:
    """Mean over the units of the products of any two inputs: (B, N) to (B, B), in float64."""
    return np.asarray(np.asarray(a @ a.swapaxes(-1, -2), np.float64) / a.shape[-1])


@lru_cache(maxsize=16)
def pairs(n_inputs: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Index arrays (i, j), i < j, of the pairs of inputs."""
    i, j = np.triu_indices(n_inputs, 1)
    return i, j


def mean_squares(a: FloatArray) -> Array:
    """Mean over the units of the squares of each input: (B, N) to (B,)."""
    return np.asarray(np.asarray(np.einsum("...n,...n->...", a, a), np.float64) / a.shape[-1])


def correlations(a: FloatArray) -> Array:
    """Cosines between the inputs' vectors, for each pair; 1 is never exceeded."""
    g = mean_products(a)
    i, j = pairs(a.shape[-2])
    norms = np.sqrt(np.diagonal(g, axis1=-2, axis2=-1))
    return np.asarray(np.clip(g[..., i, j] / (norms[..., i] * norms[..., j]), -1.0, 1.0))


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


def saturation(s: Snapshot) -> Array:
    """Share of the units whose slope is nearly flat, for each input."""
    slope = s.activation.derivative(s.h.astype(np.float64, copy=False))
    return np.asarray(np.mean(np.abs(slope) < FLAT, axis=1))


def effective_rank(a: FloatArray) -> Array:
    r"""Participation ratio :math:`(\sum \lambda)^2 / \sum \lambda^2` of the Gram matrix, 1 to B."""
    g = mean_products(a)
    return np.asarray(np.trace(g) ** 2 / np.sum(g * g))


def ntk_term(s: Snapshot) -> Array:
    r"""What the parameters of one layer add to the empirical neural tangent kernel.

    .. math:: \Theta_{ab} = \sum_l \frac{\delta^l_a \cdot \delta^l_b}{N_L}
        \left(\sigma_w^2 \frac{x^{l-1}_a \cdot x^{l-1}_b}{N_{l-1}} + \sigma_b^2\right)

    The parameters are the standard normal ones behind W and b. The error at the output is a
    random direction, so the expectation is the mean over output units of their kernels.
    """
    w, b = s.matrix.sigma_w, s.matrix.sigma_b
    errors = mean_products(_delta(s)) * (s.h.shape[1] / s.outputs)
    return np.asarray(errors * (w * w * mean_products(s.x_in) + b * b))


def _delta(s: Snapshot) -> FloatArray:
    assert s.delta is not None, "the driver hands error signals to backward observables"
    return s.delta


def _upper(g: Array) -> Array:
    i, j = pairs(g.shape[-1])
    return np.asarray(g[..., i, j])


_ALL = (
    Observable(
        "lengths", ("input",), False, lambda s: mean_squares(s.h),
        "q", "mean square of the pre-activations", together=True,
    ),
    Observable(
        "activation_lengths", ("input",), False, lambda s: mean_squares(s.x),
        "<x^2>", "mean square of the activations", together=True,
    ),
    Observable(
        "correlations", ("pair",), False, lambda s: correlations(s.h),
        "c", "correlation of the pre-activations of two inputs", together=True,
    ),
    Observable(
        "one_minus_correlations", ("pair",), False, lambda s: one_minus_correlations(s.h),
        "1 - c", "one minus the correlation, without cancellation",
    ),
    Observable(
        "angles", ("pair",), False, lambda s: angles(s.h),
        "angle", "angle between the pre-activations of two inputs, in radians",
    ),
    Observable(
        "saturation", ("input",), False, saturation,
        "saturated", f"share of units with |phi'(h)| below {FLAT:g}",
    ),
    Observable(
        "effective_rank", (), False, lambda s: effective_rank(s.h),
        "rank", "effective rank of the batch (participation ratio)",
    ),
    Observable(
        "gradients", ("input",), True, lambda s: mean_squares(_delta(s)),
        "d^l / d^L", "mean square of the error signal, relative to the last layer", together=True,
    ),
    Observable(
        "error_products", ("pair",), True, lambda s: _upper(mean_products(_delta(s))),
        "r^l / r^L", "mean product of the error signals of two inputs, same error at the output",
        together=True,
    ),
    Observable(
        "weight_gradients", ("input",), True,
        lambda s: mean_squares(_delta(s)) * mean_squares(s.x_in),
        "<(dE/dW)^2>", "mean square of the gradient with respect to a weight", together=True,
    ),
    Observable(
        "ntk", ("input", "other_input"), True, ntk_term,
        "Theta", "empirical neural tangent kernel of the network", total=True,
    ),
)  # fmt: skip

OBSERVABLES: dict[str, Observable] = {o.name: o for o in _ALL}


def _named(name: str) -> Observable:
    return OBSERVABLES[name]
