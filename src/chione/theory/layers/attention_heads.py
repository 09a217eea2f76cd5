r"""Attention heads drawn at the head size of the network, where no integral closes.

.. math:: K'_{tt'} = E \sum_{ss'} w_{ts} w_{t's'} X_{ss'}, \qquad
   w_t = \operatorname{softmax}(q_t \cdot k_s / \sqrt d + b_{ts}), \quad
   q \sim N(0, K_q), \; k \sim N(0, K_k)

with infinitely many channels on both sides of the head, so that only d is finite. What goes
through queries and keys is seen by small random moves of them (forwards) and by random gradients
of the weights (backwards), both with the exact second moments:

.. math:: \delta w_t = D_t\,\delta s_t, \quad D_t = \operatorname{diag}(w_t) - w_t w_t^T, \qquad
   E\,\delta w_t K_v\,\delta w_{t'} = E \operatorname{tr}(D_t K_v D_{t'} \delta s\,\delta s^T)

Values are means over heads; errors are three standard errors, from the spread over blocks of heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Orbits

Single = NDArray[np.float32]

SAMPLED_HEADS = "sampled heads"  # what a table says of such places
BLOCKS = 16  # of heads, whose spread gives the errors
_SIGMAS = 3.0
_CHANNELS = 16  # of the random gradient of one head's weights
_AT_ONCE = 1 << 21  # numbers of one array
_EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Scores:
    r"""What the scores of a head are made of.

    Parameters
    ----------
    queries, keys : ndarray, shapes (n, n) and (m, m)
        Covariances of the channels of queries and keys over all sites.
    gaps : ndarray, shape (m, m)
        Mean squared differences of keys, which are all that counts without `turns` and `gains`.
    inputs : int
        How many inputs the sites are of.
    size : int
        Channels d of a head.
    shift : ndarray, shape (kinds, inputs or 1, T, S)
        What is added to the scores of each kind of head, :math:`-\infty` behind masks.
    turns : tuple of two ndarrays, shapes (T, d / 2), (S, d / 2), optional
        Angles of rotary positions.
    gains : tuple of float, optional
        Gains of queries and keys that are normalised.
    divisor : float
        What scores are divided by beyond the root of d.
    keep : float
        Probability of keeping a weight; kept ones are divided by it, each head and pair alone.
    """

    queries: Array
    keys: Array
    gaps: Array
    inputs: int
    size: int
    shift: Array
    turns: tuple[Array, Array] | None = None
    gains: tuple[float, float] | None = None
    divisor: float = 1.0
    keep: float = 1.0


class Passage(NamedTuple):
    r"""What heads make of what enters, for each class of pairs of queries.

    Parameters
    ----------
    values, gaps : Bounded
        :math:`E\,W K_v W^T`, and the same for squared distances.
    moments : list of Bounded
        :math:`E\,W X W^T` for other matrices.
    queries : Bounded
        :math:`E \operatorname{tr}(D_t K_v D_{t'} k k^T) / d`: all queries move alike.
    keys : Bounded
        :math:`E (q_t q_{t'} / d) \sum_{ss'} (D_t K_v D_{t'})_{ss'} Y_{ss'}`: keys move as Y does.
    """

    values: Bounded
    gaps: Bounded
    moments: list[Bounded]
    queries: Bounded
    keys: Bounded


@dataclass(frozen=True)
class _Batch:
    """Some heads: weights w (A, h, T, S) and how queries and keys became theirs.

    `mask` is what dropout multiplies the weights by.
    """

    w: Single
    mask: Single
    queries: _Made
    keys: _Made
    rng: np.random.Generator


@dataclass(frozen=True)
class _Made:
    """Queries or keys x (A, h, T, d), ready for the scores; `unit` and `inverse` if normalised."""

    x: Single
    unit: Single | None
    inverse: Single | None
    turns: NDArray[np.complex64] | None
    gain: float

    def moved(self, step: Single) -> Single:
        """A small step of what they were made from, as it moves them."""
        if self.unit is not None and self.inverse is not None:
            along = np.mean(step * self.unit, axis=-1, keepdims=True)
            step = self.gain * self.inverse * (step - self.unit * along)
        return _turned(step, self.turns)

    def returned(self, g: Single) -> Single:
        """A gradient on them, as it arrives at what they were made from."""
        g = _turned(g, None if self.turns is None else self.turns.conj())
        if self.unit is not None and self.inverse is not None:
            along = np.mean(g * self.unit, axis=-1, keepdims=True)
            g = self.gain * self.inverse * (g - self.unit * along)
        return g


class Heads:
    """Heads that are drawn again, the same ones, each time something is asked of them.

    Parameters
    ----------
    scores : Scores
        Their scores.
    heads : int
        How many, at least; kinds of heads are drawn equally often.
    seed : sequence of int
        Where their random numbers start.
    told : callable
        Called with the share that is done.
    classes : tuple of two Orbits, optional
        Classes of pairs of sites of the queries, and of the keys, over which results are averaged;
        by default they are matrices over all sites.
    stated : bool
        Whether means carry three standard errors; otherwise rounding alone.
    """

    def __init__(
        self,
        scores: Scores,
        heads: int,
        seed: list[int],
        told: Callable[[float], None],
        classes: tuple[Orbits | None, Orbits | None] = (None, None),
        stated: bool = True,
    ) -> None:
        kinds = len(scores.shift)
        self._classes, self._sigmas = classes, _SIGMAS if stated else 0.0
        self.scores, self._seed, self._told = scores, seed, told
        self.per_block = -(-heads // (BLOCKS * kinds)) * kinds
        free = scores.turns is None and scores.gains is None
        self._from_queries = _root(scores.queries)
        self._from_keys = _root(_centred(scores.gaps) if free else scores.keys)
        self._shift = scores.shift.astype(np.float32)
        self._turns = [None, None] if scores.turns is None else [_waves(t) for t in scores.turns]

    @property
    def count(self) -> int:
        """Number of heads."""
        return self.per_block * BLOCKS

    # ---- what is asked ---------------------------------------------------------------------------

    def forward(self, values: Array, moments: list[Array], gaps: Array, moves: Array) -> Passage:
        """Everything that goes forward; `moves` are second moments of small steps of the keys."""
        keys = _root(moves)
        root_d = self.scores.size**0.5 * self.scores.divisor

        def one(batch: _Batch) -> list[Array]:
            w, q, k = batch.w * batch.mask, batch.queries, batch.keys
            h = w.shape[1]
            alike = np.broadcast_to(_normal(batch.rng, (1, h, 1, self.scores.size)), q.x.shape)
            by_queries = q.moved(alike) @ np.swapaxes(k.x, -1, -2) / root_d
            step = k.moved(self._drawn(batch.rng, keys, h))
            by_keys = q.x @ np.swapaxes(step, -1, -2) / root_d
            return [
                *_carried(w, [values, gaps, *moments]),
                *_carried(batch.mask * _through(batch.w, by_queries), [values]),
                *_carried(batch.mask * _through(batch.w, by_keys), [values]),
            ]

        carried, across, *others, queries, keys_moved = self._means(one)
        size = float(np.max(np.abs(gaps), initial=0.0))
        at, sigmas = self._classes[0], self._sigmas
        return Passage(
            _mean(carried, at, sigmas),
            _mean(
                _distances(across if self.scores.keep == 1.0 else -2.0 * carried), at, sigmas, size
            ),
            [_mean(x, at, sigmas) for x in others],
            _mean(queries, at, sigmas),
            _mean(keys_moved, at, sigmas),
        )

    def backward(self, values: Array, p: Array) -> tuple[Bounded, Bounded]:
        r""":math:`E\,W^T P W` and the second moments of what arrives at keys, for each class."""
        roots = _root(p), _root(values)
        root_d = self.scores.size**0.5 * self.scores.divisor

        def one(batch: _Batch) -> list[Array]:
            h = batch.w.shape[1]
            g, v = (self._drawn(batch.rng, root, h, _CHANNELS) for root in roots)
            to_weights = g @ np.swapaxes(v, -1, -2) / _CHANNELS**0.5
            to_scores = _through(batch.w, batch.mask * to_weights)
            to_keys = np.swapaxes(to_scores, -1, -2) @ batch.queries.x / root_d
            back = np.swapaxes(batch.keys.returned(to_keys), 1, 2)
            flat = np.ascontiguousarray(back).reshape(len(values), -1)
            home = _carried(np.swapaxes(batch.w * batch.mask, -1, -2), [p])
            return [*home, (flat @ flat.T).astype(np.float64)]

        home, keys = self._means(one)
        at, sigmas = self._classes[1], self._sigmas
        return _mean(home, at, sigmas), _mean(keys, at, sigmas)

    # ---- drawing ---------------------------------------------------------------------------------

    def _means(self, ask: Callable[[_Batch], list[Array]]) -> list[Array]:
        """For each answer its mean over each block of heads: (blocks, n, n)."""
        out: list[list[Array]] = []
        for block in range(BLOCKS):
            sums: list[Array] = []
            for batch in self._batches(block):
                found = ask(batch)
                sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
            out.append([x / self.per_block for x in sums])
            self._told((block + 1) / BLOCKS)
        return [np.stack(x) for x in zip(*out, strict=True)]

    def _batches(self, block: int) -> Iterator[_Batch]:
        s = self.scores
        kinds = len(s.shift)
        sites = max(len(s.queries), len(s.keys))
        most = max(1, _AT_ONCE // (sites * max(s.size, sites) * kinds)) * kinds
        rng = _random([*self._seed, block])
        asked = _random([*self._seed, block, 1])
        for start in range(0, self.per_block, most):
            h = min(most, self.per_block - start)
            q = self._made(self._drawn(rng, self._from_queries, h), 0)
            k = self._made(self._drawn(rng, self._from_keys, h), 1)
            scores = q.x @ np.swapaxes(k.x, -1, -2) / (s.size**0.5 * s.divisor)  # (A, h, T, S)
            shift = np.swapaxes(self._shift, 0, 1)
            scores = scores + np.tile(shift, (1, h // kinds, 1, 1))
            scores -= scores.max(axis=-1, keepdims=True)
            w = np.exp(scores, out=scores)
            w /= w.sum(axis=-1, keepdims=True)
            mask = np.ones(1, dtype=np.float32)
            if s.keep < 1.0:
                mask = (rng.random(w.shape, dtype=np.float32) < s.keep) / np.float32(s.keep)
            yield _Batch(w, mask, q, k, asked)

    def _drawn(
        self, rng: np.random.Generator, root: Single, h: int, size: int | None = None
    ) -> Single:
        """Channels with covariance root root^T over sites: (A, h, T, size)."""
        size = self.scores.size if size is None else size
        x = root @ _normal(rng, (root.shape[1], h * size))
        x = x.reshape(self.scores.inputs, -1, h, size)
        return np.ascontiguousarray(np.swapaxes(x, 1, 2))

    def _made(self, x: Single, side: int) -> _Made:
        turns, gains = self._turns[side], self.scores.gains
        if gains is None:
            return _Made(_turned(x, turns), None, None, turns, 1.0)
        inverse = 1.0 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True))
        unit = x * inverse
        gain = gains[side]
        return _Made(_turned(gain * unit, turns), unit, inverse, turns, gain)


def _carried(w: Single, matrices: list[Array]) -> list[Array]:
    """Sums over heads of W X W^T, (n, n), for symmetric X."""
    inputs, _, rows, columns = w.shape
    flat = [np.swapaxes(one, 0, 1).reshape(rows, -1) for one in w]
    out = []
    for x in matrices:
        total = np.zeros((inputs, rows, inputs, rows))
        blocks = x.astype(np.float32).reshape(inputs, columns, inputs, columns)
        for a in range(inputs):
            for b in range(a, inputs):
                moved = w[b] @ blocks[b, :, a]
                # one product over heads and keys together
                both = flat[a] @ np.swapaxes(moved, 0, 1).reshape(rows, -1).T
                total[a, :, b], total[b, :, a] = both, both.T
        out.append(total.reshape(inputs * rows, -1))
    return out


def _through(w: Single, ds: Single) -> Single:
    """D_t applied to each row of steps of the scores."""
    return np.asarray(w * (ds - np.sum(w * ds, axis=-1, keepdims=True)))


def _distances(across: Array) -> Array:
    """From W D W^T of rows, whose sums are one: across less half of each alone."""
    alone = np.diagonal(across, axis1=-2, axis2=-1)
    return across - 0.5 * (alone[..., :, None] + alone[..., None, :])


def _mean(blocks: Array, classes: Orbits | None, sigmas: float, rounding: float = 0.0) -> Bounded:
    """Mean over blocks of heads and over each class, and some standard errors.

    Rounding in single precision differs from walk to walk: where no standard errors are stated, it
    is part of the spread of several walks.
    """
    if classes is not None:
        index = classes.index.ravel()
        sizes = np.bincount(index)
        blocks = np.stack([np.bincount(index, block.ravel()) / sizes for block in blocks])
    value = blocks.mean(axis=0)
    spread = blocks.std(axis=0, ddof=1) / len(blocks) ** 0.5
    size = np.maximum(np.max(np.abs(value), initial=0.0), rounding)
    eps = _EPS if sigmas else EPS
    return Bounded(value, sigmas * spread + 8.0 * eps * size)


def _random(seed: list[int]) -> np.random.Generator:
    """SFC64 is the quickest of NumPy's generators; Gaussian numbers take half of the time."""
    return np.random.Generator(np.random.SFC64(seed))


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Single:
    return rng.standard_normal(shape, dtype=np.float32)


def _root(covariance: Array) -> Single:
    """L with L L^T the covariance, which rounding may have made slightly indefinite."""
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    keep = values > len(values) * np.finfo(np.float64).eps * max(float(values[-1]), 0.0)
    root = vectors[:, keep] * np.sqrt(values[keep])
    return np.asarray(root, dtype=np.float32)


def _centred(gaps: Array) -> Array:
    """Covariance of keys less their mean over sites, which no softmax sees."""
    inner = gaps - gaps.mean(axis=0)
    return np.asarray(-0.5 * (inner - inner.mean(axis=1)[:, None]))


def _waves(turns: Array) -> NDArray[np.complex64]:
    return np.asarray(np.exp(1j * turns), dtype=np.complex64)


def _turned(x: Single, turns: NDArray[np.complex64] | None) -> Single:
    """Channels j and j + d/2 as one complex number, times e^(i angle)."""
    if turns is None:
        return x
    half = x.shape[-1] // 2
    z = (x[..., :half] + 1j * x[..., half:]) * turns
    return np.concatenate([z.real, z.imag], axis=-1)
