r"""Gauss-Legendre sums with the poles of the integrand taken out.

The Stieltjes transform of the law of :math:`v(h)^2` is the integral of :math:`p(h)/(w - v(h)^2)`.
Where v(h)^2 = w at some h near a piece the plain rule fails. With the root s0 of the piece's
series in hand, the error of the rule is known, because the rule's error for 1/(s0 - s) is:

.. math::
    \int_{-1}^{1} \frac{ds}{s_0 - s} - \sum_i \frac{w_i}{s_0 - s_i}
    = \log\frac{s_0 + 1}{s_0 - 1} - \sum_i \frac{w_i}{s_0 - s_i}

so the transform is right to rounding at every distance from the support, on it included. A root
beside a node s_i makes large terms of the plain sum and of the correction cancel: there the
distance s0 - s_i is found from w - t_i itself, so that both are made of the same number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from chione.base import EPS, Array
from chione.freeprob.measures import Booleans, Complex, Integers
from chione.freeprob.pieces import _W, _X, NODES, Pieces, powers, to_powers

_NEAR = 3.0  # sum of the semi-axes of the ellipse within which a pole matters: 3^-32 = 5e-16
_LOST = 12.0  # a root that leaves this ellipse is no root of the function
_CONVEX = 0.8  # of v v'' / v'^2, which is 1 of an exponential and 0.5 of a parabola
_FOLDS = 1e3  # a root further away than that is not looked for by an exponential
_BACK = 4.0  # steps of the present size from which no search comes back to the near ellipse
_AROUND = 24  # points of that ellipse at which v is looked at
_AGREE = 1e-4  # the two ways to the distance from a node
_ROUNDED = 1e-300  # of s: what is nearer to an end of a piece is at it, and just outside
_STEP = 1e-16  # of s, for the next step
_STEPS = 14  # of Newton's method for the roots


@dataclass(frozen=True)
class Finder:
    """The series of the pieces that can have a pole, with derivatives.

    Parameters
    ----------
    index : ndarray of int, shape (K,)
        Number of the piece.
    series, first : ndarray, shape (K, n)
        Chebyshev coefficients of v and its first derivative in s.
    powers : ndarray, shape (3, K, n)
        Coefficients by powers of s of v, v', v''.
    nodes : ndarray, shape (n + 2,)
        Places in s, the ends included, at which v is tabulated.
    table : ndarray, shape (3, K, n + 2)
        v, v', v'' at those places, turned so that v increases.
    turn : ndarray, shape (K,)
        +1, or -1 where v decreases (then s runs backwards in `table`).
    value : ndarray, shape (K, n + 2)
        v at `nodes`, as the plain sum has it.
    quotient : ndarray, shape (K, n + 2, n - 1)
        (v(s) - v(s_i)) / (s - s_i) for each of `nodes`, by powers of s.
    reach : ndarray, shape (K,)
        How far v gets from its values on the piece within the near ellipse.
    """

    index: Integers
    series: Array
    first: Array
    powers: Array
    nodes: Array
    table: Array
    turn: Array
    value: Array
    quotient: Array
    reach: Array


@dataclass(frozen=True)
class Poles:
    """Roots found: the point j, the piece k, the place s0, and the sign of v = +-sqrt(w).

    Besides the nearest of the finder's nodes, and s0 less that node.
    """

    point: Integers
    row: Integers
    s: Complex
    target: Complex
    near: Integers
    delta: Complex


def make_finder(pieces: Pieces) -> Finder:
    """Tabulate the pieces that vary."""
    index = np.nonzero(~pieces.flat)[0]
    series = pieces.series[index]
    first = np.zeros_like(series)
    second = np.zeros_like(series)
    if index.size:
        first[:, :-1] = chebyshev.chebder(series.T).T
        second[:, :-2] = chebyshev.chebder(series.T, 2).T
    nodes = np.concatenate([[-1.0], _X, [1.0]])
    vander = chebyshev.chebvander(nodes, NODES - 1).T
    table = np.stack([series @ vander, first @ vander, second @ vander])
    turn = np.where(table[0, :, -1] >= table[0, :, 0], 1.0, -1.0)
    down = turn < 0.0
    table[:, down] = table[:, down, ::-1]  # increasing v
    by_powers = np.stack([to_powers(c) for c in (series, first, second)])
    ends = pieces.ends[index]
    value = np.concatenate([ends[:, :1], pieces.value[index], ends[:, 1:]], axis=1)
    quotient = _quotients(by_powers[0], nodes)
    reach = _reach(by_powers[0], table)
    return Finder(index, series, first, by_powers, nodes, table, turn, value, quotient, reach)


def _reach(by_powers: Array, table: Array) -> Array:
    """Largest distance on the ellipse itself: inside, it is smaller."""
    turn = _NEAR * np.exp(1j * np.linspace(0.0, np.pi, _AROUND))
    v = by_powers @ powers(0.5 * (turn + 1.0 / turn), NODES).T  # (K, points)
    return np.asarray(1.1 * np.max(_outside(v, table[0, :, :1], table[0, :, -1:]), axis=1))


def _outside(v: Complex, low: Array, high: Array) -> Array:
    """How far complex values are from the interval [low, high], in the larger direction."""
    return np.maximum(np.maximum(low - v.real, v.real - high), abs(v.imag))


def _quotients(by_powers: Array, nodes: Array) -> Array:
    """Synthetic division of each polynomial by s - s_i."""
    n = by_powers.shape[1]
    out = np.empty((by_powers.shape[0], nodes.size, n - 1))
    out[:, :, n - 2] = by_powers[:, None, n - 1]
    for k in range(n - 2, 0, -1):
        out[:, :, k - 1] = by_powers[:, None, k] + nodes * out[:, :, k]
    return out


def find(finder: Finder, w: Complex) -> Poles:
    """All roots of v(s)^2 = w inside the near ellipse of some piece, w of shape (m,)."""
    root = np.sqrt(w)
    targets = np.concatenate([root, -root])  # (2m,)
    point = np.tile(np.arange(w.size), 2)
    which, rows = _candidates(finder, targets)
    if rows.size == 0:
        none, empty = np.empty(0, dtype=np.intp), np.empty(0, dtype=complex)
        return Poles(none, none, empty, empty, none, empty)
    guesses = _guesses(finder, targets[which], rows)
    close = [np.nonzero(np.isfinite(z) & (_axes(z) < 1.25 * _NEAR))[0] for z in guesses]
    s0 = np.concatenate([z[i] for z, i in zip(guesses, close, strict=True)])
    pick = np.concatenate(close)
    target, row, point = targets[which[pick]], rows[pick], point[which[pick]]
    s0, good = _polish(finder, row, s0, target)
    first = _first_of_equals(point, row, s0, target, good)
    point, row = point[first], row[first]
    s0, target = s0[first], target[first]
    near, delta = _from_node(finder, row, s0, target, w[point])
    return Poles(point, row, s0, target, near, delta)


def _from_node(
    finder: Finder, row: Integers, s: Complex, target: Complex, w: Complex
) -> tuple[Integers, Complex]:
    """The nearest node of each root, and s0 less it to its own precision."""
    near = np.searchsorted(0.5 * (finder.nodes[1:] + finder.nodes[:-1]), s.real)
    v = finder.value[row, near]
    steep = np.sum(finder.quotient[row, near] * powers(s, NODES - 1), axis=1)
    with np.errstate(all="ignore"):
        delta = (w - v * v) / (target + v) / steep
    plain = s - finder.nodes[near]
    # Where v turns next to the node, the quotient is lost and the plain distance is as good.
    good = abs(delta - plain) <= _AGREE * (abs(plain) + _AGREE)
    return near, np.where(good, delta, plain)


def _candidates(finder: Finder, targets: Complex) -> tuple[Integers, Integers]:
    """Pairs (target, piece) close enough in value; few are, which is what makes this cheap."""
    low, high = finder.table[0, :, 0], finder.table[0, :, -1]
    point, row = np.nonzero(_outside(targets[:, None], low, high) < finder.reach)
    return point, row


def _guesses(finder: Finder, targets: Complex, rows: Integers) -> tuple[Complex, Complex]:
    """Both roots of the quadratic fitted at the nearest tabulated place of the piece."""
    # Nearest place by value: v increases along the table.
    at = np.sum(finder.table[0, rows] < targets.real[:, None], axis=1)
    low, high = np.maximum(at - 1, 0), np.minimum(at, finder.table.shape[2] - 1)
    below, above = finder.table[0, rows, low], finder.table[0, rows, high]
    pick = np.where(abs(below - targets) < abs(above - targets), low, high)
    s = np.where(finder.turn[rows] > 0.0, finder.nodes[pick], finder.nodes[::-1][pick])
    near, a, b = finder.table[:, rows, pick]
    c = targets - near
    disc = np.sqrt(a * a + 2.0 * b * c)
    big = a + np.where((np.conj(disc) * a).real < 0.0, -disc, disc)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = s + 2.0 * c / big
        # In a tail v falls like an exponential, of which a parabola knows nothing.
        ratio = abs(targets / near)
        steep = (near * b > _CONVEX * a * a) & (abs(c) > 0.5 * abs(near))
        steep &= (ratio < _FOLDS) & (ratio * _FOLDS > 1.0)
        k = np.nonzero(steep)[0]
        first[k] = s[k] + near[k] / a[k] * np.log(targets[k] / near[k])
        return first, s - big / b


def _axes(s: Complex) -> Array:
    """Sum of the semi-axes of the ellipse with foci +-1 through s."""
    half_sum = 0.5 * (abs(s - 1.0) + abs(s + 1.0))  # semi-major axis
    return np.asarray(half_sum + np.sqrt(np.maximum(half_sum * half_sum - 1.0, 0.0)))


def _polish(finder: Finder, row: Integers, s: Complex, target: Complex) -> tuple[Complex, Booleans]:
    active = np.arange(s.size)
    good = np.zeros(s.size, dtype=bool)
    v, first = finder.powers[0, row], finder.powers[1, row]
    before = np.zeros(s.size)
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            z = s[active]
            basis = powers(z, NODES)
            rest = np.einsum("ij,ij->i", v, basis) - target[active]
            step = rest / np.einsum("ij,ij->i", first, basis)
            new = z - step
            s[active] = new
            size = abs(step)
            far = _axes(new)
            lost = ~np.isfinite(size) | (far > _LOST) | (far > _NEAR + _BACK * size)
            # Steps fall quadratically: what the next one will be. Beside a turning point, where
            # two roots slow each other down, they do not, and this tells.
            rounding = 4.0 * EPS * (abs(target[active]) + abs(v[:, 0]))
            done = (size**3 < _STEP * before**2) | (abs(rest) < rounding)
            good[active[done & ~lost]] = True
            keep = ~(done | lost)
            if not keep.any():
                break
            active, before = active[keep], size[keep]
            v, first = v[keep], first[keep]
    return s, good


def _first_of_equals(
    point: Integers, row: Integers, s: Complex, target: Complex, good: Booleans
) -> Integers:
    """Indices of distinct good roots: two starts may have led to one root."""
    keep = np.nonzero(good & (_axes(np.where(good, s, 2.0)) < _NEAR))[0]
    if keep.size == 0:
        return keep
    sign = (target[keep].real < 0.0).astype(float)
    order = np.lexsort((s[keep].imag, s[keep].real.round(7), sign, row[keep], point[keep]))
    k = keep[order]
    same = (
        (point[k][1:] == point[k][:-1])
        & (row[k][1:] == row[k][:-1])
        & (abs(s[k][1:] - s[k][:-1]) < 1e-7)
        & (abs(target[k][1:] - target[k][:-1]) == 0.0)
    )
    return np.asarray(k[np.concatenate([[True], ~same])])


def rule_error(poles: Poles) -> tuple[Complex, Complex]:
    """Exact minus Gauss-Legendre integral of 1/(s0 - s) over [-1, 1], and its derivative."""
    s, line = poles.s, np.arange(poles.s.size)
    d = np.concatenate([(s + 1.0)[:, None], s[:, None] - _X, (s - 1.0)[:, None]], axis=1)
    d[line, poles.near] = poles.delta
    below, above, d = d[:, 0], d[:, -1], d[:, 1:-1]
    # A root that rounds to an end stands as far off as rounding can tell.
    above = np.where(abs(above) < _ROUNDED, _ROUNDED, above)
    below = np.where(abs(below) < _ROUNDED, -_ROUNDED, below)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(below / above) - (_W / d).sum(axis=1)
        slope = -2.0 / (above * below) + (_W / d**2).sum(axis=1)
    return np.asarray(value), np.asarray(slope)
