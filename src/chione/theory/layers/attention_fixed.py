r"""Attention whose scores vanish: weights of masks and biases, the same in every draw.

.. math:: K' = \sigma_o^2\,\overline{W K_v W^T} + \sigma_b^2, \quad
   \Theta' = K' + \sigma_o^2\,\overline{W \Theta_v W^T}, \quad
   P = r\,\sigma_o^2 \sigma_v^2\,\overline{W^T P' W}

means over the kinds of heads (slopes of ALiBi), exact for any covariance. No gradient passes
through queries and keys. Sites that see the same share one class, so without masks all positions
of an input become one.
"""

from __future__ import annotations

import numpy as np

from chione.base import EPS, Array, cost
from chione.networks import Attention, Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import between
from chione.theory.layers.orbits import Index, Orbits
from chione.theory.layers.rule import Passed, Walker
from chione.theory.layers.stream import GAUSSIAN, Gradient, Law, Stream, gaussian_stream

_RATE = 1e10  # multiplications a second of one core


def vanishing(layer: Attention) -> bool:
    """Whether the scores vanish, or have no part that differs between keys."""
    no_queries = layer.sigma_q == 0.0 and (layer.sigma_b == 0.0 or layer.qk_norm)
    return layer.sigma_k == 0.0 or no_queries


def fixed(layer: Attention, stream: Stream, memory: Stream, shift: Array, walk: Walker) -> Passed:
    """Through the weights softmax(shift), shift (kinds, inputs or 1, T, S)."""
    weights = _Weights(shift, stream.inputs)
    sites = max(stream.orbits.sites, memory.orbits.sites)
    cost.check(
        f"{walk.place}: attention over {sites} positions of all inputs",
        seconds=6.0 * len(shift) * 2.0 * sites**3 / _RATE,
        gigabytes=8e-9 * (2 * len(shift) + 20) * sites**2,
        fits="fewer positions",
    )
    so2, gain = layer.sigma_o**2, layer.sigma_v**2
    k, d, theta = (x.at(memory.orbits.index) for x in (memory.k, memory.d, memory.theta))
    values = k.scaled(gain).shifted(layer.sigma_b**2)
    shape = Shape(layer.out or stream.shape.width, stream.shape.grid)
    rows = weights.rows
    out_k = rows.carried(values).scaled(so2).shifted(layer.sigma_b**2)
    out_d = rows.distances(d).scaled(so2 * gain)
    through = rows.carried(values.plus(theta.scaled(gain))).scaled(so2)
    random = stream.law.random or memory.law.random
    after = gaussian_stream(
        shape,
        rows.orbits,
        out_k,
        between(out_d, rows.orbits),
        out_k.plus(through),
        Law(True, random=random) if random else GAUSSIAN,
    )
    ratio = shape.width / memory.shape.width

    def pullback(g: Gradient) -> Gradient:
        home = weights.columns
        p = home.carried(g.second_moments()).scaled(ratio * so2 * gain)
        if layer.memory is None:
            return Gradient(home.orbits, p)
        walk.to_memory(layer.memory, Gradient(home.orbits, p))
        return Gradient.of(np.zeros((stream.orbits.sites,) * 2))

    return after, pullback


def block_weights(shift: Array, inputs: int) -> Array:
    """softmax(shift) over all sites: (kinds, n, m), zero between two inputs."""
    w = np.exp(shift - shift.max(axis=-1, keepdims=True))
    w /= w.sum(axis=-1, keepdims=True)
    kinds, _, rows, columns = w.shape
    w = np.broadcast_to(w, (kinds, inputs, rows, columns))
    whole = np.zeros((kinds, inputs, rows, inputs, columns))
    for a in range(inputs):
        whole[:, a, :, a] = w[:, a]
    return whole.reshape(kinds, inputs * rows, inputs * columns)


class _Weights:
    """Fixed weights over all sites, both ways."""

    def __init__(self, shift: Array, inputs: int) -> None:
        flat = block_weights(shift, inputs)
        self.rows = _Side(flat)
        self.columns = _Side(np.ascontiguousarray(np.swapaxes(flat, 1, 2)))


class _Side:
    """Sums over what each site reads; sites that read the same are one."""

    def __init__(self, weights: Array) -> None:
        n = weights.shape[1]
        by_site = np.swapaxes(weights, 0, 1).reshape(n, -1)
        _, first, group = np.unique(by_site, axis=0, return_index=True, return_inverse=True)
        self._weights = weights[:, first]
        self.orbits, self._rows, self._columns = _classes(group.reshape(-1))

    def carried(self, x: Bounded) -> Bounded:
        """Mean over kinds of W X W^T, one entry for each class."""
        value, error, size = (self._matrix(m) for m in (x.value, x.error, np.abs(x.value)))
        rounding = 2.0 * EPS * (np.sqrt(x.value.shape[0]) + 4.0)
        return Bounded(value, error + rounding * size).at((self._rows, self._columns))

    def distances(self, d: Bounded) -> Bounded:
        """Across two sites less half of that within each; weights of a site sum to one."""
        value, error = (self._matrix(m) for m in d)
        alone = 0.5 * (np.diagonal(value)[:, None] + np.diagonal(value))
        rounding = 2.0 * EPS * (np.sqrt(d.value.shape[0]) + 4.0)
        loose = error + 0.5 * (np.diagonal(error)[:, None] + np.diagonal(error))
        out = Bounded(value - alone, loose + rounding * (value + alone))
        same = self._rows == self._columns
        out = out.at((self._rows, self._columns))
        return Bounded(np.where(same, 0.0, out.value), np.where(same, 0.0, out.error))

    def _matrix(self, x: Array) -> Array:
        out = sum(w @ x @ w.T for w in self._weights) / len(self._weights)
        return np.asarray(0.5 * (out + out.T))


def _classes(group: Index) -> tuple[Orbits, Index, Index]:
    """Classes of pairs of groups of sites, and for each class its two groups."""
    low = np.minimum(group[:, None], group)
    high = np.maximum(group[:, None], group)
    orbits = Orbits.labelled(low * (int(group.max()) + 1) + high)
    return orbits, group[orbits.rows], group[orbits.columns]
