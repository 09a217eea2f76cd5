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
from itertools import product

import numpy as np

from chione.base import EPS, Array
from chione.base import chebyshev as kit
from chione.theory.depth.deep_nodes import Followed, Recent, Source, follow

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


def patches(source: Source, boxes: list[Box]) -> list[Patch | Refusal]:
    """The patches over some boxes, kept for the next call, or what they fail at."""
    return [Refusal(True) if x is None else x for x in _patches(source, boxes)]


def terms(source: Source, boxes: list[Box]) -> list[tuple[int, ...] | Refusal]:
    """Terms that each direction needs in some boxes, from lines through them; kept as well."""
    return [Refusal(True) if x is None else x for x in _terms(source, boxes)]


def _made_patches(source: Source, boxes: list[Box]) -> list[Patch | Refusal | None]:
    out: list[Patch | Refusal | None] = []
    asked: dict[int, tuple[int, ...]] = {}
    for k, needed in enumerate(terms(source, boxes)):
        out.append(needed if isinstance(needed, Refusal) else Refusal(False))
        if not isinstance(needed, Refusal):
            asked[k] = needed
    for _ in range(2):
        if not asked:
            break
        found = _fitted(source, [(boxes[k], counts) for k, counts in asked.items()])
        made = dict(zip(asked, found, strict=True))
        out = [made.get(k) or one for k, one in enumerate(out)]
        again = {k: asked[k] for k, one in made.items() if one is None}
        asked = {
            k: tuple(x if x == 1 else int(_MORE * x) + 1 for x in counts)
            for k, counts in again.items()
        }
    return out


def _made_terms(source: Source, boxes: list[Box]) -> list[tuple[int, ...] | Refusal | None]:
    lines = [_lines(box) for box in boxes]
    flat = [part[1] for parts in lines for part in parts]
    t1, t2, angle = (np.concatenate([p[d] for p in flat]) for d in range(3))
    found, start = _at(source, t1, t2, angle), 0
    out: list[tuple[int, ...] | Refusal | None] = []
    for parts in lines:
        end = start + sum(p[1][0].size for p in parts)
        out.append(_read(parts, found.part(start, end)))
        start = end
    return out


Line = tuple[tuple[int, ...], tuple[Array, Array, Array]]  # numbers of points, triples


def _lines(box: Box) -> list[Line]:
    """Lines through a box in the directions that may differ."""
    line, cross = ([f(x) for x in _axes(box)] for f in (_line, _ends))
    parts = []
    for direction in (1, 2) if box.one == box.two else (0, 1, 2):
        axes = [line[d] if d == direction else cross[d] for d in range(3)]
        parts.append(((direction, *(len(x) for x in axes)), _grid(axes[0], axes[1], axes[2])))
    return parts


def _read(parts: list[Line], found: Followed) -> tuple[int, ...] | Refusal:
    """Terms from the values along the lines of a box."""
    goal = _goal(found)
    counts, start = [], 0
    for (direction, *shape), points in parts:
        values = found.value[:, start : start + points[0].size].reshape(-1, *shape)
        start += points[0].size
        counts.append(_needed(np.moveaxis(values, direction + 1, 0), goal))
    if len(counts) == 2:
        counts.insert(0, counts[0])
    if max(counts[:2]) > MOST:
        return Refusal(True)
    return tuple(counts) if counts[2] <= MOST else Refusal(False)


def _needed(values: Array, goal: Array) -> int:
    """Terms that lines (n, kinds, ...) need to be resolved to the goal; many where they are not."""
    if len(values) == 1:
        return 1
    c = np.abs(np.tensordot(kit.fit_matrix(len(values)), values, axes=1))
    over = c.reshape(len(values), len(goal), -1).max(axis=2) > goal
    last = int(np.flatnonzero(over.any(axis=1))[-1]) if over.any() else 0
    return last + 2 if last < len(values) - 3 else 10 * MOST


def _fitted(source: Source, wanted: list[tuple[Box, tuple[int, ...]]]) -> list[Patch | None]:
    """Patches of so many terms, or None where probes do not agree."""
    grids, inner = [], []
    for box, counts in wanted:
        points = [_points(x, n) for x, n in zip(_axes(box), counts, strict=True)]
        grids.append(_grid(points[0], points[1], points[2]))
        inner.append(_random(box))
    parts = [p for pair in zip(grids, inner, strict=True) for p in pair]
    t1, t2, angle = (np.concatenate([p[d] for p in parts]) for d in range(3))
    found, start = _at(source, t1, t2, angle), 0
    out = []
    for (box, counts), grid, probes in zip(wanted, grids, inner, strict=True):
        end = start + grid[0].size + probes[0].size
        out.append(_fit(box, counts, probes, found.part(start, end)))
        start = end
    return out


def _fit(
    box: Box, counts: tuple[int, ...], probes: tuple[Array, Array, Array], found: Followed
) -> Patch | None:
    n, kinds = found.value.shape[1] - probes[0].size, len(found.value)
    c = found.value[:, :n].reshape(kinds, *counts)
    for d, count in enumerate(counts):
        c = np.moveaxis(np.tensordot(kit.fit_matrix(count), c, axes=(1, d + 1)), 0, d + 1)
    powers = c @ kit.monomial_matrix(counts[2]).T
    bases = [x.basis(v, k) for x, v, k in zip(_axes(box), probes, counts, strict=True)]
    places = box.angle.place(probes[2])[:, None] ** np.arange(counts[2])
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


def _line(axis: Axis) -> Array:
    return _points(axis, _LINE)


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


_patches = Recent(64, _made_patches)
_terms = Recent(256, _made_terms)
