r"""Kernels of depth L over a box of both lengths and the angle, as one polynomial.

.. math:: \hat K(t_1, t_2, \theta) \approx
   \sum_{kmp} C_{kmp}\,T_k(x_1)\,T_m(x_2)\,y^p, \qquad
   x = \frac{2 t - t_- - t_+}{t_+ - t_-}, \quad y = \frac{2 \theta - \theta_- - \theta_+}
   {\theta_+ - \theta_-}

with T_k Chebyshev's polynomials. How many terms each of the three directions needs is read off
lines through the box before it is filled with nodes, and probes between the nodes judge the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from chione.base import EPS, Array, ConvergenceError
from chione.base import chebyshev as kit
from chione.theory.depth.deep_nodes import Followed, Source, follow

_LINE = 33  # nodes of a line
MOST = 26  # terms in each direction: a box that needs more is cut
_PROBES = 64
_GOAL = 4e-15  # of the largest value: a few roundings
_SHARE = 0.03  # of the error that the layers state, which a fit may add
_MORE = 1.35  # times as many terms at the second attempt
_ROUNDS = 30.0  # sum of monomials over the largest value beyond which a box is cut


@dataclass(frozen=True)
class Axis:
    """A range of logarithms of lengths.

    Parameters
    ----------
    low, high : float
        Its ends.
    """

    low: float
    high: float

    def nodes(self, n: int) -> Array:
        """Chebyshev's, in the range."""
        return 0.5 * (self.low + self.high) + 0.5 * (self.high - self.low) * kit.nodes(n)

    def place(self, t: Array) -> Array:
        """Places in [-1, 1]."""
        if self.high == self.low:
            return np.zeros_like(t)
        return np.asarray((2.0 * t - self.low - self.high) / (self.high - self.low))

    def basis(self, t: Array, n: int) -> Array:
        """T_0 .. T_(n-1) at each length, (len(t), n)."""
        return np.asarray(np.polynomial.chebyshev.chebvander(self.place(t), n - 1))


@dataclass(frozen=True)
class Box:
    """Ranges of both lengths and of the angle.

    Parameters
    ----------
    one, two : Axis
        Lengths.
    angle : Axis
        Angle.
    """

    one: Axis
    two: Axis
    angle: Axis


@dataclass(frozen=True)
class Patch:
    """Coefficients over a box, Chebyshev's in both lengths and of powers in the angle.

    Parameters
    ----------
    box : Box
        Where it holds.
    coefficients : ndarray, shape (kinds, K, M, P)
        NNGP, then tangent kernel.
    error : ndarray, shape (kinds,)
        Relative to the roots of both last lengths.
    """

    box: Box
    coefficients: Array
    error: Array


@dataclass(frozen=True)
class Refusal:
    """Why there is no patch.

    Parameters
    ----------
    lengths : bool
        Whether a direction of lengths needs too many terms (else it is the angle).
    """

    lengths: bool


@lru_cache(maxsize=64)
def patch(source: Source, box: Box) -> Patch | Refusal:
    """The patch over a box, kept for the next call, or what it fails at."""
    counts = terms(source, box)
    if isinstance(counts, Refusal):
        return counts
    for _ in range(2):
        try:
            found = _fitted(source, box, counts)
        except ConvergenceError:
            return Refusal(True)
        if found is not None:
            return found
        counts = tuple(n if n == 1 else int(_MORE * n) + 1 for n in counts)
    return Refusal(False)


@lru_cache(maxsize=256)
def terms(source: Source, box: Box) -> tuple[int, ...] | Refusal:
    """Terms that each direction needs, from lines through the box."""
    one, two = box.one, box.two
    same = one == two
    line = [_points(x, _LINE) for x in (one, two, box.angle)]
    cross = [_ends(x) for x in (one, two, box.angle)]
    parts: list[tuple[Array, Array, Array]] = []
    for direction in (1, 2) if same else (0, 1, 2):
        axes = [line[d] if d == direction else cross[d] for d in range(3)]
        parts.append(_grid(*axes))
    t1, t2, angle = (np.concatenate([p[d] for p in parts]) for d in range(3))
    try:
        found = _at(source, t1, t2, angle)
    except ConvergenceError:
        return Refusal(True)
    goal = _goal(found)
    counts, start = [], 0
    for direction, part in zip((1, 2) if same else (0, 1, 2), parts, strict=True):
        shape = [len(line[d]) if d == direction else len(cross[d]) for d in range(3)]
        values = found.value[:, start : start + part[0].size].reshape(-1, *shape)
        start += part[0].size
        counts.append(_needed(np.moveaxis(values, direction + 1, 0), goal))
    if same:
        counts.insert(0, counts[0])
    if max(counts[:2]) > MOST:
        return Refusal(True)
    if counts[2] > MOST:
        return Refusal(False)
    return counts[0], counts[1], counts[2]


def _needed(values: Array, goal: Array) -> int:
    """Terms that lines (n, kinds, ...) need to be resolved to the goal; many where they are not."""
    if len(values) == 1:
        return 1
    c = np.abs(np.tensordot(kit.fit_matrix(len(values)), values, axes=1))
    over = c.reshape(len(values), len(goal), -1).max(axis=2) > goal
    last = int(np.flatnonzero(over.any(axis=1))[-1]) if over.any() else 0
    return last + 2 if last < len(values) - 3 else 10 * MOST


def _fitted(source: Source, box: Box, terms: tuple[int, ...]) -> Patch | None:
    one, two, angle = (_points(x, n) for x, n in zip(_axes(box), terms, strict=True))
    grid = _grid(one, two, angle)
    inner = _random(box)
    t1, t2, at = (np.concatenate([g, p]) for g, p in zip(grid, inner, strict=True))
    found = _at(source, t1, t2, at)
    n = grid[0].size
    c = found.value[:, :n].reshape(source.kinds, *terms)
    for d, count in enumerate(terms):
        c = np.moveaxis(np.tensordot(kit.fit_matrix(count), c, axes=(1, d + 1)), 0, d + 1)
    powers = c @ kit.monomial_matrix(terms[2]).T
    bases = [x.basis(v, k) for x, v, k in zip(_axes(box), inner, terms, strict=True)]
    places = box.angle.place(inner[2])[:, None] ** np.arange(terms[2])
    fitted = np.einsum("akmp,ik,im,ip->ai", powers, *bases[:2], places, optimize=True)
    off = np.abs(fitted - found.value[:, n:]).max(axis=1)
    size = np.abs(found.value).max(axis=1)
    summed = np.abs(powers).sum(axis=(1, 2, 3))
    if np.any(off > 4.0 * _goal(found)) or np.any(summed > _ROUNDS * size):
        return None
    error = found.error.max(axis=1) + 4.0 * off + 2.0 * EPS * summed
    return Patch(box, powers, error)


def _goal(found: Followed) -> Array:
    """What a fit may leave out, by kind."""
    stated = np.median(found.error, axis=1)
    return np.asarray(np.maximum(_GOAL * np.abs(found.value).max(axis=1), _SHARE * stated))


def _axes(box: Box) -> tuple[Axis, Axis, Axis]:
    return box.one, box.two, box.angle


def _points(axis: Axis, n: int) -> Array:
    return axis.nodes(n) if axis.high > axis.low else np.array([axis.low])


def _ends(axis: Axis) -> Array:
    """Both ends and the middle."""
    if axis.high == axis.low:
        return np.array([axis.low])
    return np.array([axis.low, 0.5 * (axis.low + axis.high), axis.high])


def _random(box: Box) -> tuple[Array, Array, Array]:
    """Probes: the corners and the middles of all faces, and points between them."""
    corners = list(product(*(_ends(x) for x in _axes(box))))
    rng = np.random.default_rng(0)
    more = [rng.uniform(x.low, x.high, _PROBES) for x in _axes(box)]
    t1, t2, angle = (
        np.concatenate([np.array(c), m])
        for c, m in zip(zip(*corners, strict=True), more, strict=True)
    )
    return t1, t2, angle


def _grid(one: Array, two: Array, angle: Array) -> tuple[Array, Array, Array]:
    t1, t2, at = (x.ravel() for x in np.meshgrid(one, two, angle, indexing="ij"))
    return t1, t2, at


def _at(source: Source, t1: Array, t2: Array, angle: Array) -> Followed:
    """Kernels at triples; each pair of lengths is followed once, whatever its order."""
    t, index = np.unique(np.concatenate([t1, t2]), return_inverse=True)
    i, j = index[: len(t1)], index[len(t1) :]
    low, high = np.minimum(i, j), np.maximum(i, j)
    angles, which = np.unique(angle, return_inverse=True)
    keys = (low * len(t) + high) * len(angles) + which
    _, first, back = np.unique(keys, return_index=True, return_inverse=True)
    found = follow(source, t, low[first], high[first], angle[first])
    return Followed(found.value[:, back], found.error[:, back], found.log_last, found.last_error)
