r"""Attention over queries, keys and values that are projected already, by heads that are sampled.

.. math:: s_{ts} = a\,q_t \cdot k_s + b_{ts}, \quad w_t = \operatorname{softmax} s_t, \quad
   K'_{tt'} = E \sum_{ss'} w_{ts} w_{t's'} K^v_{ss'}

with q and k Gaussian vectors of the size d of a head, drawn with the covariances of their streams,
so that d is not taken to infinity; and back, :math:`A = G V^T` of sampled gradients and values,

.. math:: \delta s_{ts} = w_{ts} \Bigl(A_{ts} - \sum_r w_{tr} A_{tr}\Bigr), \quad
   g^q = a\,\delta s\,k, \quad g^k = a\,\delta s^T q, \quad P^v = E\,w^T P' w

(Hron et al. 2020 for the limit of many heads). Heads are sampled with one fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from chione.base import EPS, Array
from chione.networks import Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.rule import Pullback, Walker, unclosed
from chione.theory.layers.stream import Gradient, Law, Stream, from_moments

_WORK = 400_000  # weights of all sampled heads together
_FEWEST, _MOST = 16, 256  # heads
_SEED = 0xA77E


@dataclass(frozen=True, eq=False)
class Scores:
    """How queries and keys of one head give weights.

    Parameters
    ----------
    size, value_size : int
        Channels of a head, of queries and keys and of values.
    scale : float
        Factor a on the products of queries and keys.
    bias : ndarray, shape (inputs, heads, queries, keys)
        What is added to the scores, minus infinity where a key is not seen; axes of one entry hold
        for all.
    keep : float
        Probability of keeping a weight after the softmax; the rest is zero, kept ones are divided
        by it.
    turned : tuple of two ndarrays or None
        Angles of rotary positions of queries and of keys, (positions, pairs of channels).
    """

    size: int
    value_size: int
    scale: float
    bias: Array = field(default_factory=lambda: np.zeros((1, 1, 1, 1)))
    keep: float = 1.0
    turned: tuple[Array | None, Array | None] = (None, None)


def attend(
    query: Stream, key: Stream, value: Stream, scores: Scores, walk: Walker
) -> tuple[Stream, tuple[Pullback, Pullback, Pullback], Callable[[], float]]:
    """Side by side the outputs of all heads, and the ways home to queries, keys and values.

    The last that is returned gives the largest relative standard error of a mean square that the
    sampled heads have left so far; bounds carry rounding alone, since in them it would be added up
    as if it were always against us.

    Raises
    ------
    UnsupportedLayerError
        If queries and keys depend on the same weights.
    """
    if not query.sources.isdisjoint(key.sources):
        raise unclosed(walk, "the scores", "queries and keys are made by the same weights")
    heads = _Heads(query, key, scores)
    kv = value.second_moments()
    gram = heads.mixed(kv.value)
    mean = heads.mean(value.mean.value)
    after = from_moments(gram, Shape(value.shape.width, query.shape.grid), Bounded.exact(mean))
    at = after.orbits.rows, after.orbits.columns
    nothing = np.full(after.orbits.count, np.nan)
    error = np.full(
        after.orbits.count, float(kv.error.max()) + 64.0 * EPS * float(np.abs(gram).max())
    )
    after = after.with_(
        k=Bounded(gram[at], error),
        d=Bounded(after.d.value, np.where(after.orbits.apart, 4.0 * error, 0.0)),
        theta=Bounded(nothing, nothing),  # that of projected streams is not kept
        law=Law(False, "means over positions with weights of their own head", value.law.random),
        sources=query.sources | key.sources | value.sources,
    )

    def home(which: int) -> Pullback:
        def pullback(g: Gradient) -> Gradient:
            p = 0.5 * (g.second_moments().value + g.second_moments().value.T)
            if which == 2:
                return Gradient.of(heads.to_values(p))
            return Gradient.of(heads.to_scores(p, kv.value)[which])

        return pullback

    return after, (home(0), home(1), home(2)), lambda: heads.noise


class _Heads:
    """Sampled queries, keys and weights of some heads."""

    def __init__(self, query: Stream, key: Stream, scores: Scores) -> None:
        self._a, self._t, self._s = query.inputs, query.positions, key.positions
        many = int(np.clip(_WORK // (self._a * self._t * self._s), _FEWEST, _MOST))
        self._z, self._scores = many, scores
        rng = self._rng(0)
        kq, kk = (x.second_moments().value for x in (query, key))
        turns = scores.turned
        self.q = _turned(_drawn(kq, many, scores.size, rng), turns[0], self._a)
        self.k = _turned(_drawn(kk, many, scores.size, rng), turns[1], self._a)
        blocks = (self._split(x) for x in (self.q, self.k))
        logits = scores.scale * np.einsum("zatd,zasd->zats", *blocks, optimize=True)
        bias = np.asarray(scores.bias, dtype=np.float64)
        which = np.arange(many) % bias.shape[1]
        logits += np.moveaxis(bias, 1, 0)[which]
        logits -= logits.max(axis=-1, keepdims=True)
        weights = np.exp(logits)
        self.soft = weights / weights.sum(axis=-1, keepdims=True)
        self.mask = np.ones(1)
        if scores.keep < 1.0:
            self.mask = (rng.random(self.soft.shape) < scores.keep) / scores.keep
        self.weights = self.soft * self.mask
        self.noise = 0.0
        self._sent: tuple[bytes, tuple[Array, Array]] | None = None

    def _rng(self, part: int) -> np.random.Generator:
        return np.random.default_rng([_SEED, part])

    def _split(self, x: Array) -> Array:
        """(heads, sites, d) as (heads, inputs, positions, d)."""
        return x.reshape(self._z, self._a, -1, x.shape[-1])

    def mean(self, m: Array) -> Array:
        """Means over channels."""
        return np.asarray(
            np.einsum("zats,as->at", self.weights, m.reshape(self._a, -1)).ravel() / self._z
        )

    def _noted(self, each: Array) -> None:
        """Keep the relative standard error of a mean over heads."""
        mean = float(np.mean(each))
        if mean > 0.0:
            self.noise = max(self.noise, float(np.std(each)) / (mean * np.sqrt(self._z)))

    def mixed(self, k: Array) -> Array:
        """E w K w^T over all queries."""
        a, t, s = self._a, self._t, self._s
        k = k.reshape(a, s, a, s)
        out = np.empty((a, t, a, t))
        lengths = np.zeros(self._z)
        for i in range(a):
            for j in range(i, a):
                each = self.weights[:, i] @ k[i, :, j] @ self.weights[:, j].transpose(0, 2, 1)
                out[i, :, j] = each.mean(axis=0)
                out[j, :, i] = out[i, :, j].T
                lengths += np.trace(each, axis1=1, axis2=2) if i == j else 0.0
        self._noted(lengths)
        return _even(out.reshape(a * t, a * t))

    def to_values(self, p: Array) -> Array:
        """E w^T P w over all keys."""
        a, t, s = self._a, self._t, self._s
        p = p.reshape(a, t, a, t)
        out = np.empty((a, s, a, s))
        for i in range(a):
            for j in range(i, a):
                each = self.weights[:, i].transpose(0, 2, 1) @ p[i, :, j] @ self.weights[:, j]
                out[i, :, j] = each.mean(axis=0)
                out[j, :, i] = out[i, :, j].T
        return _even(out.reshape(a * s, a * s))

    def to_scores(self, p: Array, kv: Array) -> tuple[Array, Array]:
        """P at queries and at keys."""
        if self._sent is None or self._sent[0] != p.tobytes():
            self._sent = p.tobytes(), self._to_scores(p, kv)
        return self._sent[1]

    def _to_scores(self, p: Array, kv: Array) -> tuple[Array, Array]:
        rng, d, wide = self._rng(1), self._scores.size, self._scores.value_size
        size = max(float(np.abs(p).max()), 1e-300)
        g = self._split(_drawn(p / size, self._z, wide, rng))
        v = self._split(_drawn(kv, self._z, wide, rng))
        slope = np.einsum("zatd,zasd->zats", g, v, optimize=True) * self.mask
        through = self.soft * (slope - (self.soft * slope).sum(axis=-1, keepdims=True))
        through = self._scores.scale * through
        at_q = np.einsum("zats,zasd->zatd", through, self._split(self.k), optimize=True)
        at_k = np.einsum("zats,zatd->zasd", through, self._split(self.q), optimize=True)
        turns = self._scores.turned
        flat = (x.reshape(self._z, -1, d) for x in (at_q, at_k))
        back = (
            _turned(x, None if angle is None else -angle, self._a)
            for x, angle in zip(flat, turns, strict=True)
        )
        one, two = (self._square(x, size / d) for x in back)
        return one, two

    def _square(self, x: Array, factor: float) -> Array:
        """Mean over heads of x x^T, (sites, sites)."""
        self._noted(np.einsum("zid,zid->z", x, x))
        flat = x.transpose(1, 0, 2).reshape(x.shape[1], -1)
        return _even(flat @ flat.T * (factor / self._z))


def _even(matrix: Array) -> Array:
    return np.asarray(0.5 * (matrix + matrix.T))


def _drawn(gram: Array, heads: int, size: int, rng: np.random.Generator) -> Array:
    """Gaussian vectors of that covariance over sites, (heads, sites, size)."""
    values, vectors = np.linalg.eigh(_even(gram))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(root @ rng.standard_normal((heads, len(gram), size)))


def _turned(x: Array, angle: Array | None, inputs: int) -> Array:
    """Pairs of channels (j, j + d/2) turned by an angle for each position."""
    if angle is None:
        return x
    half = angle.shape[1]
    cos, sin = (np.tile(f(angle), (inputs, 1)) for f in (np.cos, np.sin))
    one, two, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return np.concatenate([one * cos - two * sin, one * sin + two * cos, rest], axis=-1)
