r"""The length that each cell of a phase diagram settles at, for all cells of many columns at once.

In a column sigma_w is fixed, and

.. math:: B(q) = q - \sigma_w^2 E\,\phi(\sqrt q z)^2 = \sigma_b^2

holds at every fixed point. One grid of :math:`E\,\phi^2` serves all columns. Where B rises the
fixed points are stable, and one sorted search along each rising branch brackets those of all rows.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, Estimate, Status
from chione.base.newton import bracketed_newton
from chione.gaussian import Table
from chione.theory.meanfield.growth_factor import unsettled
from chione.theory.meanfield.length_map import LengthMap
from chione.theory.moments.scale_free import zero_slope

_ITERATIONS = 200  # of a length map that is not monotone, before the nearest branch is taken
_UNSURE = 1e-10  # of a start: closer to a fixed point a table does not tell up from down

Flags = NDArray[np.bool_]
Codes = NDArray[np.int8]


@dataclass(frozen=True)
class Lengths:
    """Where lengths settle in each cell, shape (rows, columns).

    Parameters
    ----------
    q : ndarray
        q*; NaN where there is none.
    status : ndarray of int8
        ``OK``, ``CONTINUUM``, ``DIVERGENT``, ``OVERFLOW`` or ``NONE``.
    reached : ndarray of bool
        Whether lengths that start at the input get there.
    """

    q: Array
    status: Codes
    reached: Flags


@dataclass(frozen=True)
class _Branch:
    """A branch on which B rises from `b[0]` to `b[-1]`."""

    q: Array
    b: Array
    last: bool  # up to the end of the grid


class LengthSolver:
    """Stable fixed points of the length maps of one activation and given rows.

    Parameters
    ----------
    layers : LengthMap
        The maps: an array of all variances of the weights that will be asked for, and one of the
        variances of the biases, shape (rows,), in any order.
    q0 : float
        Mean square of the inputs.
    """

    def __init__(self, layers: LengthMap, q0: float) -> None:
        m = layers.moments
        self._m, self._b2, self._q0 = m, layers.b2, q0
        some = layers.w2[layers.w2 > 0.0]  # the others are constant maps
        self._grid, squares, self._complete = np.empty(0), Estimate.exact(np.empty(0)), True
        if some.size:
            self._grid, squares, self._complete = LengthMap(m, some, self._b2).mean_squares()
        self._square, self._noise = np.asarray(squares.value), np.asarray(squares.error)
        self._monotone = bool(np.all(np.diff(self._square) >= -4.0 * self._noise[1:]))
        self._square_at_zero = float(m.square(0.0).value)

    def __call__(self, w2: Array) -> Lengths:
        """Solve the columns with weight variances `w2`, shape (columns,)."""
        shape = (self._b2.size, w2.size)
        low, high, guess = (np.full(shape, np.nan) for _ in range(3))
        status = np.full(shape, Status.NONE, dtype=np.int8)
        reached = np.zeros(shape, dtype=bool)
        columns = self._branches(w2)
        for j, branches in enumerate(columns):
            picked = self._pick(float(w2[j]), branches)
            low[:, j], high[:, j], guess[:, j], status[:, j], reached[:, j] = picked
        q = guess  # a continuum, or zero, is known already
        open_cells = np.flatnonzero((high > low).ravel())
        rows, cols = np.unravel_index(open_cells, shape)
        q.ravel()[open_cells] = _on_branches(
            self._m.square_table,
            w2[cols],
            self._b2[rows],
            low.ravel()[open_cells],
            high.ravel()[open_cells],
            guess.ravel()[open_cells],
        )
        return Lengths(q, status, reached)

    def _branches(self, w2: Array) -> list[list[_Branch]]:
        """Rising branches of B in each column; their ends are extrema found to rounding."""
        grid = self._grid
        if grid.size == 0:
            return [[] for _ in w2]
        b = grid[:, None] - w2 * self._square[:, None]  # (grid, columns)
        noise = w2 * self._noise[:, None] + 4.0 * EPS * grid[:, None]
        b[np.abs(b) <= noise] = 0.0
        _hold_between(b, noise)
        _hold_last(b)
        rising = np.diff(b, axis=0) > 0.0
        rising |= _through_zero(b)
        turn, column = np.nonzero(rising[1:] != rising[:-1])
        extremum, proper = self._extrema(turn + 1, w2[column])
        at_extremum = np.where(proper, self._at(extremum, w2[column]), b[turn + 1, column])
        out: list[list[_Branch]] = []
        order = np.argsort(column, kind="stable")
        counts = np.bincount(column, minlength=w2.size)
        for j, mine in enumerate(np.split(order, np.cumsum(counts)[:-1])):
            ends = list(zip(extremum[mine], at_extremum[mine], strict=True))
            out.append(_cut(grid, b[:, j], bool(rising[0, j]), ends))
        return out

    def _at(self, q: Array, w2: Array) -> Array:
        """B, where rounding cannot be told from zero it is zero."""
        if q.size == 0:
            return q
        held = w2 * self._m.square_table(q)
        noise = held * self._m.square_table.error(q) + 4.0 * EPS * q
        return np.where(np.abs(q - held) <= noise, 0.0, q - held)

    def _extrema(self, index: NDArray[np.intp], w2: Array) -> tuple[Array, Flags]:
        """Where sigma_w^2 dE phi^2/dq = 1, between the neighbours of the grid points `index`.

        Also whether that slope is seen to pass 1, beyond rounding; else the grid points themselves.
        """
        low = self._grid[np.maximum(index - 1, 0)]
        high = self._grid[np.minimum(index + 1, self._grid.size - 1)]
        if low.size == 0:
            return low, np.zeros(0, dtype=np.bool_)

        def slope(q: Array) -> Array:
            return np.asarray(w2 * self._m.slope_table(q) - 1.0)

        first, last = slope(low), slope(high)
        sign = np.sign(first)
        proper = (sign * last < 0.0) & (np.minimum(np.abs(first), np.abs(last)) > 16.0 * EPS)
        for _ in range(60):
            middle = np.sqrt(low * high)
            left = sign * np.sign(slope(middle)) > 0.0
            low, high = np.where(left, middle, low), np.where(left, high, middle)
            if np.all(high - low <= 4.0 * EPS * high):
                break
        return np.where(proper, np.sqrt(low * high), self._grid[index]), proper

    def _pick(self, w2: float, branches: list[_Branch]) -> tuple[Array, Array, Array, Codes, Flags]:
        """Bracket, first guess, status and reached of all rows of one column."""
        b2, n = self._b2, self._b2.size
        low, high, guess = (np.full(n, np.nan) for _ in range(3))
        if w2 == 0.0:  # the map is constant, whatever the activation
            yes = np.ones(n, dtype=bool)
            return low, high, b2.copy(), np.full(n, Status.OK, dtype=np.int8), yes
        start = w2 * self._q0 + b2
        found, reached = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        zero = (w2 * self._square_at_zero + b2 == 0.0) & self._zero_attracts(w2)
        simple = len(branches) == 1 and branches[0].last and not zero.any() and self._complete
        up = np.ones(n, dtype=bool) if simple else self._upwards(w2, start, len(branches) > 1)
        # a network without biases can end at zero, which is the lowest place of all
        guess[zero], found[zero], reached[zero] = 0.0, True, ~up[zero]
        for branch in branches:
            k = np.searchsorted(branch.b, b2, side="left")
            has = (k > 0) & (k < branch.b.size)
            if not simple:
                above, below = branch.q[-1] > start, branch.q[0] < start
                # upwards the first branch ahead is taken, downwards the last one behind; where
                # there is none, the last of all, which is then not reached
                ahead = np.where(up, above & ~reached, below)
                has &= ahead | ~reached
                reached = np.where(has, ahead, reached)
            else:
                reached = has
            k = k[has]
            low[has], high[has] = branch.q[k - 1], branch.q[k]
            left, right = branch.b[k - 1], branch.b[k]
            part = (b2[has] - left) / (right - left)
            guess[has] = low[has] + part * (high[has] - low[has])
            found |= has
        status = np.full(n, Status.OK, dtype=np.int8)
        if not found.all():
            status[~found] = unsettled(self._m, np.array(w2), b2)[~found]
        if self._is_identity(w2):
            still = b2 == 0.0
            low[still] = high[still] = np.nan
            guess[still], status[still], reached[still] = w2 * self._q0, Status.CONTINUUM, True
        return low, high, guess, status, reached

    def _upwards(self, w2: float, start: Array, several: bool) -> Flags:
        """Whether lengths grow from `start`, which is moved on along a map that is not monotone."""
        steps = _ITERATIONS if several and not self._monotone else 0
        with np.errstate(all="ignore"):
            for _ in range(steps):
                inside = (start > 0.0) & (start < self._last)
                start[inside] = w2 * self._m.square_table(start[inside]) + self._b2[inside]
            square = np.full_like(start, np.inf)
            square[start == 0.0] = self._square_at_zero
            inside = (start > 0.0) & (start < np.inf) & ((start <= self._last) | self._complete)
            square[inside] = self._m.square_table(start[inside])
            # a start on a fixed point goes where the moments themselves send it
            close = np.abs(w2 * square + self._b2 - start) <= _UNSURE * start
            close |= inside & ~np.isfinite(square)
            if close.any():
                v = self._m.square(start[close])
                square[close] = np.where(np.asarray(v.status) <= Status.INEXACT, v.value, np.inf)
            grows = ~(w2 * square + self._b2 <= start)
            return np.asarray(grows & ~((w2 == 0.0) & (start == 0.0)))

    def _gap(self, w2: float) -> Array:
        return np.asarray(w2 * self._square / self._grid - 1.0)

    def _is_identity(self, w2: float) -> bool:
        noise = w2 * self._noise / self._grid + 8.0 * EPS
        return self._grid.size > 0 and bool(np.all(np.abs(self._gap(w2)) <= noise))

    def _zero_attracts(self, w2: float) -> bool:
        slope = zero_slope(self._m.phi, w2)
        if abs(slope - 1.0) > 4.0 * EPS:
            return slope < 1.0
        gap = self._gap(w2)  # decided by what V does just above zero
        seen = np.flatnonzero(np.abs(gap) > 1e-13)
        return seen.size == 0 or bool(gap[seen[0]] < 0.0)

    @property
    def _last(self) -> float:
        return float(self._grid[-1]) if self._grid.size else 0.0


def _hold_between(b: Array, noise: Array) -> None:
    """Noise as large as what is seen on both sides of it hides no root: B keeps their sign.

    Pieces of a table are not equally noisy, so that noise may hide B at one point and not at the
    next ones. A root that B only touches is different: there B is small beside its neighbours.
    """
    for j in np.flatnonzero((b == 0.0).any(0)):
        seen = np.flatnonzero(b[:, j])
        for i, k in itertools.pairwise(seen):
            least = np.minimum(abs(b[i, j]), abs(b[k, j]))
            if k > i + 1 and b[i, j] * b[k, j] > 0.0 and np.all(noise[i + 1 : k, j] > 0.5 * least):
                b[i + 1 : k, j] = b[i, j]


def _hold_last(b: Array) -> None:
    """Where only noise is left up to the end of the grid, B stays on the side where it was seen."""
    for j in np.flatnonzero(b[-1] == 0.0):
        seen = np.flatnonzero(b[:, j])
        if seen.size:
            b[seen[-1] + 1 :, j] = b[seen[-1], j]


def _through_zero(b: Array) -> Flags:
    """Steps inside a stretch of zeros, all that noise has left, that lead from below to above."""
    flat: Flags = (b[1:] == 0.0) & (b[:-1] == 0.0)
    out: Flags = np.zeros(flat.shape, dtype=np.bool_)
    for j in np.flatnonzero(flat.any(0)):
        signs = np.sign(b[:, j])
        seen = np.flatnonzero(signs)
        for i, k in itertools.pairwise(seen):
            if k > i + 1 and signs[i] < 0.0 < signs[k]:
                out[i:k, j] = True
    return out


def _cut(grid: Array, b: Array, rising: bool, ends: list[tuple[float, float]]) -> list[_Branch]:
    """Cut the graph of B at its extrema and keep what rises."""
    out = []
    edges = [(grid[0], b[0]), *ends, (grid[-1], b[-1])]
    for i in range(len(edges) - 1):
        if rising == (i % 2 == 0):
            (q1, b1), (q2, b2) = edges[i], edges[i + 1]
            inner = slice(
                int(np.searchsorted(grid, q1, "right")), int(np.searchsorted(grid, q2, "left"))
            )
            qs, bs = np.r_[q1, grid[inner], q2], np.r_[b1, b[inner], b2]
            out.append(_Branch(qs, np.maximum.accumulate(bs), i == len(edges) - 2))
    return out


def _on_branches(
    table: Table, w2: Array, b2: Array, low: Array, high: Array, guess: Array
) -> Array:
    """Roots of sigma_w^2 E phi^2 + sigma_b^2 - q on rising branches of B, kept in brackets."""

    def f(q: Array, index: NDArray[np.intp]) -> tuple[Array, Array, Array]:
        square, slope = table.with_slope(q)
        held = w2[index] * square
        return held + b2[index] - q, w2[index] * slope - 1.0, 2.0 * EPS * (held + q)

    return bracketed_newton(f, low, high, guess, logarithmic=True)
