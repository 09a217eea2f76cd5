r"""Attention whose scores are divided by d: weights nearly those of masks and biases.

Scores have the covariance :math:`\epsilon (K_q)_{tt'} (K_k)_{ss'}`, :math:`\epsilon = 1 / d`. To
first order in it, with :math:`D_t = \operatorname{diag}(w_t) - w_t w_t^T` at the weights of masks
and biases alone,

.. math:: E\,W X W^T = w X w^T + \epsilon \big[ K_q \odot \operatorname{tr}(D_t X D_{t'} K_k)
   + m X w^T + w X m^T \big], \qquad
   m_t = \tfrac12 (K_q)_{tt}\, w_t \odot \big( \operatorname{diag} K_k - 2 K_k w_t
   - w_t \cdot \operatorname{diag} K_k + 2\, w_t^T K_k w_t \big)

and what goes through queries and keys is of first order itself. At d = infinity this is the rule
of :mod:`chione.theory.layers.attention_fixed`.
"""

from __future__ import annotations

import numpy as np

from chione.base import EPS, Array, cost
from chione.networks import Attention, Shape
from chione.theory.layers.attention_fixed import block_weights
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import between
from chione.theory.layers.orbits import Orbits
from chione.theory.layers.rule import Passed, Walker
from chione.theory.layers.stream import Gradient, Stream, gaussian_stream

_RATE = 1e10  # multiplications a second of one core
_MOST = 0.05  # variance of scores up to which its square is small
_NEXT = 2.0  # times the variance to the next order: bound on what is left out, relative


def small_scores(layer: Attention, stream: Stream, memory: Stream, size: int) -> float | None:
    """Largest variance of the differences of scores, or None where it is too large."""
    if layer.rope is not None or layer.qk_norm:
        return None
    queries = layer.sigma_q**2 * float(np.max(stream.k.value)) + layer.sigma_b**2
    v = queries * layer.sigma_k**2 * float(np.max(memory.d.value)) / (2.0 * size)
    return v if v <= _MOST else None


def linear(
    layer: Attention,
    stream: Stream,
    memory: Stream,
    given: tuple[Array, float],
    classes: tuple[Orbits, Orbits],
    walk: Walker,
) -> Passed:
    """To first order in 1 / d; `given` are the shift of the scores and their variance."""
    shift, v = given
    rows, columns = classes
    sites = max(rows.sites, columns.sites)
    cost.check(
        f"{walk.place}: attention over {sites} positions of all inputs",
        seconds=40.0 * len(shift) * 2.0 * sites**3 / _RATE,
        gigabytes=8e-9 * (6 * len(shift) + 40) * sites**2,
        fits="fewer positions",
    )
    weights = _Weights(block_weights(shift, stream.inputs), layer, stream, memory, v, walk)
    so2, gv, sb2 = layer.sigma_o**2, layer.sigma_v**2, layer.sigma_b**2
    k, d, theta = (x.at(memory.orbits.index) for x in (memory.k, memory.d, memory.theta))
    theta_q = stream.theta.at(stream.orbits.index)
    values = k.scaled(gv).shifted(sb2)
    moves = values.plus(theta.scaled(gv))
    out_k = weights.carried(values).scaled(so2).shifted(sb2)
    out_d = _distances(weights.carried(d)).scaled(so2 * gv)
    keys = k.value + theta.value
    through = (
        weights.carried(moves)
        .plus(weights.asked.times(theta_q.scaled(layer.sigma_q**2).plus(weights.queries)))
        .plus(weights.by_keys(layer.sigma_k**2 * keys))
    )
    shape = Shape(layer.out or stream.shape.width, stream.shape.grid)
    at = rows.rows, rows.columns
    after = gaussian_stream(
        shape,
        rows,
        out_k.at(at),
        between(out_d.at(at), rows),
        out_k.plus(through.scaled(so2)).at(at),
    )
    ratio = so2 * shape.width

    def pullback(g: Gradient) -> Gradient:
        p = g.second_moments()
        asked = weights.asked.times(p).scaled(layer.sigma_q**2 * ratio / stream.shape.width)
        read = weights.returned(p, gv, layer.sigma_k**2).scaled(ratio / memory.shape.width)
        sent = Gradient(columns, read.at((columns.rows, columns.columns)))
        back = Gradient(rows, asked.at(at))
        if layer.memory is None:
            return back.plus(sent)
        walk.to_memory(layer.memory, sent)
        return back

    return after, pullback


class _Weights:
    """Weights w (kinds, n, m) of masks and biases, and what small scores add to them."""

    def __init__(
        self,
        w: Array,
        layer: Attention,
        stream: Stream,
        memory: Stream,
        v: float,
        walk: Walker,
    ) -> None:
        sb2, size = layer.sigma_b**2, layer.size(stream.shape, walk.place)
        q = stream.k.at(stream.orbits.index).scaled(layer.sigma_q**2).shifted(sb2)
        self.queries = q
        self._w, self._q = w, q.value / size
        self._k = layer.sigma_k**2 * memory.second_moments().value
        self._v = layer.sigma_v**2 * memory.second_moments().value
        rounding = 16.0 * EPS * len(self._k)
        self._loose, self._first = _NEXT * v * v + rounding, _NEXT * v + rounding
        alone, reads = np.diagonal(self._k), w @ self._k
        means = w @ alone
        both = np.sum(reads * w, axis=-1)
        second = alone - 2.0 * reads - means[..., None] + 2.0 * both[..., None]
        self._m = 0.5 * np.diagonal(self._q)[:, None] * w * second
        self.asked = self._bounded(self._traces(self._v, self._k) / size)

    def carried(self, x: Bounded) -> Bounded:
        """E W X W^T."""
        w, m = self._w, self._m
        moved = m @ x.value @ np.swapaxes(w, 1, 2)
        out = w @ x.value @ np.swapaxes(w, 1, 2) + moved + np.swapaxes(moved, 1, 2)
        value = out.mean(axis=0) + self._q * self._traces(x.value, self._k)
        size = self._loose * np.max(np.abs(x.value))
        return Bounded(0.5 * (value + value.T), 1.1 * np.max(x.error) + size)

    def by_keys(self, x: Array) -> Bounded:
        """Keys that move as X does."""
        return self._bounded(self._q * self._traces(self._v, x))

    def returned(self, p: Bounded, values: float, keys: float) -> Bounded:
        """What arrives at values and keys; `values` and `keys` are n_in Var W."""
        w, m, r = self._w, self._m, p.value * self._q
        back = np.swapaxes(w, 1, 2) @ p.value
        home = back @ w + back @ m + np.swapaxes(back @ m, 1, 2)
        out = values * (home.mean(axis=0) + self._spread(r, self._k))
        through_keys = keys * self._spread(r, self._v)
        out = out + through_keys
        relative = np.max(p.error) / max(float(np.max(np.abs(p.value))), 1e-300)
        size = (self._loose + relative) * np.max(np.abs(out))
        size += self._first * np.max(np.abs(through_keys))
        return Bounded(0.5 * (out + out.T), np.full(out.shape, size))

    def _bounded(self, x: Array) -> Bounded:
        """What is of first order itself, and wrong by that order."""
        return Bounded(x, np.full(x.shape, self._first * np.max(np.abs(x), initial=0.0)))

    def _traces(self, x: Array, y: Array) -> Array:
        """tr(D_t X D_t' Y) for symmetric X and Y, mean over kinds, (n, n)."""
        w = self._w
        across = np.swapaxes(w, 1, 2)
        mixed = ((w @ x) * (w @ y)) @ across
        out = w @ (x * y) @ across - mixed - np.swapaxes(mixed, 1, 2)
        out = out + (w @ x @ across) * (w @ y @ across)
        return np.asarray(out.mean(axis=0))

    def _spread(self, r: Array, x: Array) -> Array:
        """Sum over t, t' of R (D_t X D_t'), for symmetric R and X, mean over kinds, (m, m)."""
        w = self._w
        home = np.swapaxes(w, 1, 2)
        mixed = home @ ((r @ w) * (w @ x))
        out = x * (home @ r @ w) - mixed - np.swapaxes(mixed, 1, 2)
        out = out + home @ (r * (w @ x @ home)) @ w
        return np.asarray(out.mean(axis=0))


def _distances(across: Bounded) -> Bounded:
    """Across two sites less half of that within each; weights of a site sum to one."""
    alone = 0.5 * np.diagonal(across.value)
    value = across.value - alone[:, None] - alone
    return Bounded(value, np.broadcast_to(2.0 * np.max(across.error), value.shape))
