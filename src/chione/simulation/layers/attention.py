r"""Attention: softmax over positions, with queries, keys, values and output of its own weights.

Arrays of one head have the axes (..., input a, group of keys and values, query head in the group,
position, channel of the head): query heads of a group share keys and values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from chione.base import Array
from chione.networks import Attention, Matrix, Shape, ShapeError
from chione.simulation.layers.affine import Affine, draw_affine
from chione.simulation.layers.memory import Memory
from chione.simulation.layers.sampler import Draws, Memories, Step, Work, draw, work


class _Attended(Step):
    r"""y_t = W_O concat_h sum_s w^h_ts v^h_s + b_O with w = softmax(q k^T / scale + hidden).

    Backward, with g_w = g_y v^T: the scores get w (g_w - <w, g_w>), queries and keys that times
    the other ones, values w^T g_y.

    Parameters
    ----------
    queries, keys, values, out : Affine
        The four maps.
    prepared : tuple of _Prepared
        What happens to queries and to keys before they meet.
    groups : int
        Heads of keys and values.
    divisor : float
        Scores are divided by it.
    shift : ndarray, shape (inputs or 1, groups, heads in a group, T, S)
        Added to the scores; :math:`-\infty` where a position is not seen.
    memory : Memory, optional
        Where keys and values come from; from the signal itself by default.
    """

    def __init__(
        self,
        maps: tuple[Affine, Affine, Affine, Affine],
        prepared: tuple[_Prepared, _Prepared],
        groups: int,
        divisor: float,
        shift: Array,
        memory: Memory | None,
    ) -> None:
        self._queries, self._keys, self._values, self._out = maps
        self._prepare_queries, self._prepare_keys = prepared
        self._groups, self._divisor, self._shift = groups, divisor, shift
        self._memory = memory

    def inner(self) -> Iterator[Step]:
        """The four maps; a memory's layers stand elsewhere."""
        yield from (self._queries, self._keys, self._values, self._out)

    def forward(self, x: Array) -> Array:
        """Every position gets a mean of values."""
        read = x if self._memory is None else self._memory.signal
        self._q = self._prepare_queries.forward(self._split(self._queries.forward(x)))
        self._k = self._prepare_keys.forward(self._split(self._keys.forward(read)))
        self._v = self._split(self._values.forward(read))
        scores = self._q @ np.swapaxes(self._k, -1, -2) / self._divisor + self._shift
        scores -= scores.max(axis=-1, keepdims=True)
        weights = np.exp(scores)
        weights /= weights.sum(axis=-1, keepdims=True)
        self._w = weights
        return self._out.forward(self._joined(weights @ self._v))

    def backward(self, g: Array) -> Array:
        """Through queries; keys and values go the same way back, or to the memory."""
        g_y = self._split(self._out.backward(g))
        g_w = g_y @ np.swapaxes(self._v, -1, -2)
        g_w -= np.sum(self._w * g_w, axis=-1, keepdims=True)
        g_s = self._w * g_w / self._divisor
        to_values = self._shared(np.swapaxes(self._w, -1, -2) @ g_y)
        to_keys = self._shared(np.swapaxes(g_s, -1, -2) @ self._q)
        to_queries = self._prepare_queries.backward(g_s @ self._k)
        back = self._queries.backward(self._joined(to_queries))
        read = self._keys.backward(self._joined(self._prepare_keys.backward(to_keys)))
        read += self._values.backward(self._joined(to_values))
        if self._memory is None:
            return back + read
        self._memory.add(read)
        return back

    def _split(self, x: Array) -> Array:
        """(..., position, channel) to (..., group, head in it, position, channel of the head)."""
        heads = x.reshape(*x.shape[:-1], self._groups, -1, self._size)
        return np.moveaxis(heads, -4, -2)

    @property
    def _size(self) -> int:
        return self._prepare_queries.size

    def _joined(self, x: Array) -> Array:
        """The inverse of :meth:`_split`."""
        heads = np.moveaxis(x, -2, -4)
        return heads.reshape(*heads.shape[:-3], -1)

    def _shared(self, g: Array) -> Array:
        """Keys and values get the gradients of all query heads that read them."""
        return np.asarray(g.sum(axis=-3, keepdims=True))


class _Prepared:
    r"""Queries or keys before the scores: x -> gain x / rms(x), then rotated by position.

    Parameters
    ----------
    size : int
        Channels d of a head.
    gain : float, optional
        Gain of the norm; no norm where there is none.
    turns : ndarray, shape (positions, d / 2), optional
        Angles.
    """

    def __init__(self, size: int, gain: float | None, turns: Array | None) -> None:
        self.size, self._gain = size, gain
        self._turns = None if turns is None else np.exp(1j * turns)

    def forward(self, x: Array) -> Array:
        """Normalised and rotated."""
        if self._gain is not None:
            self._inverse = 1.0 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True))
            self._z = x * self._inverse
            x = self._gain * self._z
        return x if self._turns is None else _rotated(x, self._turns)

    def backward(self, g: Array) -> Array:
        """Rotated back, then through the norm: (g - z <g z>) gain / rms."""
        if self._turns is not None:
            g = _rotated(g, self._turns.conj())
        if self._gain is None:
            return g
        along = np.mean(g * self._z, axis=-1, keepdims=True)
        return np.asarray(self._gain * self._inverse * (g - self._z * along))


def _rotated(x: Array, turns: Array) -> Array:
    """Channels j and j + d/2 as one complex number, times e^(i angle)."""
    half = x.shape[-1] // 2
    z = (x[..., :half] + 1j * x[..., half:]) * turns
    return np.concatenate([z.real, z.imag], axis=-1)


@draw.register
def _(layer: Attention, shape: Shape, draws: Draws) -> Step:
    d, groups = layer.size(shape, draws.place), layer.kv_heads or layer.heads
    memory = None if layer.memory is None else draws.memories[layer.memory]
    read = shape if memory is None else memory.shape
    sigmas = (1.0, 1.0) if layer.qk_norm else (layer.sigma_q, layer.sigma_k)  # else gains
    matrices = (
        Matrix(shape.width, layer.heads * d, sigmas[0], layer.sigma_b),
        Matrix(read.width, groups * d, sigmas[1], layer.sigma_b),
        Matrix(read.width, groups * d, layer.sigma_v, layer.sigma_b),
        Matrix(layer.heads * d, layer.out or shape.width, layer.sigma_o, layer.sigma_b),
    )
    queries, keys, values, out = (draw_affine(matrix, draws) for matrix in matrices)
    prepared = [
        _Prepared(d, gain if layer.qk_norm else None, _turns(layer.rope, d, positions))
        for gain, positions in (
            (layer.sigma_q, shape.positions),
            (layer.sigma_k, read.positions),
        )
    ]
    return _Attended(
        (queries, keys, values, out),
        (prepared[0], prepared[1]),
        groups,
        math.sqrt(d) if layer.scale == "sqrt" else float(d),
        _shift(layer, groups, shape.positions, read.positions, draws),
        memory,
    )


def _turns(base: float | None, d: int, positions: int) -> Array | None:
    """Angles t base^(-2j/d) of pair j at position t."""
    if base is None:
        return None
    return np.asarray(np.arange(positions)[:, None] * base ** (-2.0 * np.arange(d // 2) / d))


def _shift(layer: Attention, groups: int, queries: int, keys: int, draws: Draws) -> Array:
    """What is added to the scores: minus infinity behind masks, slopes times distances."""
    apart = np.arange(queries)[:, None] - np.arange(keys)  # (T, S)
    shift = np.zeros((1, 1, 1, queries, keys))
    if layer.alibi:
        slopes = 2.0 ** (-8.0 * np.arange(1, layer.heads + 1) / layer.heads)
        shift = shift - slopes.reshape(1, groups, -1, 1, 1) * np.abs(apart)
    if layer.mask == "causal":
        shift = np.where(apart < 0, -np.inf, shift)
    if layer.visible is not None:
        if len(layer.visible) != draws.batch[-1]:
            raise ShapeError(
                f"{draws.place}: visible has {len(layer.visible)} entries, but {draws.batch[-1]} "
                f"inputs are given; give one number of positions for each."
            )
        seen = np.arange(keys) < np.array(layer.visible)[:, None]  # (inputs, S)
        shift = np.where(seen[:, None, None, None, :], shift, -np.inf)
    return np.asarray(shift)


@work.register
def _(layer: Attention, shape: Shape, memories: Memories) -> Work:
    read = shape if layer.memory is None else memories[layer.memory]
    queries, keys = float(shape.positions), float(read.positions)
    all_heads = float(layer.heads * layer.size(shape, "layers"))
    groups = all_heads * (layer.kv_heads or layer.heads) / layer.heads
    asking = all_heads * (shape.width + (layer.out or shape.width))
    reading = 2.0 * groups * read.width
    pairs = queries * keys * layer.heads
    products = asking * queries + reading * keys + 2.0 * pairs * all_heads / layer.heads
    held = _COPIES * pairs + 2.0 * all_heads * queries + 2.0 * groups * keys
    return Work(asking + reading, products, held)


_COPIES = 3.0  # weights, and scores and gradients while one is made from the other
