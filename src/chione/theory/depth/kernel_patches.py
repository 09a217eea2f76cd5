r"""Matrices of kernels of inputs of any norms, from polynomials in both lengths and the angle.

For the inputs i of one group of lengths and j of another, with :math:`s_i = \sqrt{V(t_i)}`,

.. math:: K_{ij} = \sum_p y_{ij}^p \sum_m \Bigl(\sum_k s_i T_k(x_i)\,C_{kmp}\Bigr)\,s_j T_m(x_j),

the inner sums being products of matrices. Pairs that no polynomial holds, nearly equal and
opposite ones among them, go through the layers one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array, ConvergenceError, Estimate, Status, cost
from chione.networks import MLP
from chione.theory.depth.deep_lengths import Group, groups
from chione.theory.depth.deep_nodes import Source
from chione.theory.depth.deep_patch import Axis, Box, Patch, patches
from chione.theory.depth.kernel_mixed import mirror, pair_layers, through
from chione.theory.depth.pair_inputs import NEAR, FirstLayer, Listed
from chione.theory.depth.pair_layers import Scale
from chione.theory.moments.map_rule import pair_rule
from chione.theory.moments.moments import moments

Index = NDArray[np.intp]

_WORTH = 20_000  # pairs that a polynomial has to serve: what its nodes cost
_ROWS, _COLUMNS = 64, 256  # of a block, whose coefficients stay in the cache
_SAMPLE = 48, 512  # rows and columns that show the angles of two groups
_STEP = 1.0 / 32.0  # ends of angles are multiples, so that other inputs find the same polynomial
_CLOSEST = 2.0 * float(np.arcsin(np.sqrt(0.5 * NEAR)))  # angle below which c has too few digits
_NARROW = 0.15  # of log tan(theta / 2): a range of angles that is not cut any more
_MANY = 0.25  # share of a block beyond which all of it is evaluated
_PAIRS = 1 << 14  # followed at a time
_SHARE = 0.7  # of pairs without a polynomial beyond which all go the other way in blocks


@dataclass(frozen=True)
class Plan:
    """Which polynomials serve the pairs of two groups.

    Parameters
    ----------
    one, two : Group
        Groups of the two sides.
    patches : tuple of Patch
        One for each range of angles.
    share : float
        About which part of the pairs they serve.
    """

    one: Group
    two: Group
    patches: tuple[Patch, ...]
    share: float


class Patched:
    """The matrix of one pair of arrays of inputs.

    Parameters
    ----------
    source : Source
        The network with the rounding of its first layer.
    first : FirstLayer
        Lengths and angles of the inputs.
    same : bool
        Whether both sides are the same inputs.

    Attributes
    ----------
    pairs, left : float
        Pairs of the matrix, and about how many of them no polynomial serves.
    """

    def __init__(self, source: Source, first: FirstLayer, same: bool) -> None:
        self._source, self._same, self._first = source, same, first
        self._shape = n, m = len(first.lengths[0]), len(first.lengths[1])
        with np.errstate(divide="ignore"):
            self._t = tuple(np.log(q) for q in self._first.lengths)
        some = _angles(first, np.arange(n), np.arange(m))
        self.pairs = self.left = _count(n, m, same)
        self._plans: list[Plan] = []
        if not some.size:
            return
        core = (float(np.quantile(some, 0.1)), float(np.quantile(some, 0.9)))
        found = groups(source, self._t[0], self._t[1], core)
        sides = [(x, y) for g, x in enumerate(found) for y in found[g if same else 0 :]]
        self._plans = self._planned(sides)
        for plan in self._plans:
            self.left -= plan.share * self._pairs(plan.one, plan.two)

    def _pairs(self, one: Group, two: Group) -> float:
        return _count(len(one.one), len(two.two), self._same and one is two)

    def _planned(self, sides: list[tuple[Group, Group]]) -> list[Plan]:
        """Polynomials for the pairs of each two groups; ranges of angles are cut as they ask."""
        angles = [_angles(self._first, one.one, two.two) for one, two in sides]
        found: list[list[Patch]] = [[] for _ in sides]
        share = np.zeros(len(sides))
        todo = [(k, _range(some)) for k, some in enumerate(angles) if some.size]
        while todo:
            asked, boxes = [], []
            for k, ends in todo:
                one, two = sides[k]
                part = float(np.mean((angles[k] >= ends.low) & (angles[k] <= ends.high)))
                if part * self._pairs(one, two) >= _WORTH and ends.low < ends.high:
                    asked.append((k, ends, part))
                    boxes.append(Box(one.curves.axis, two.curves.axis, ends))
            todo = []
            made = patches(self._source, boxes)
            for (k, ends, part), one_patch in zip(asked, made, strict=True):
                if isinstance(one_patch, Patch):
                    found[k].append(one_patch)
                    share[k] += part
                else:
                    todo += [(k, half) for half in _halves(ends)]
        return [
            Plan(one, two, tuple(p), float(s))
            for (one, two), p, s in zip(sides, found, share, strict=True)
        ]

    def fill(self, kind: int) -> Estimate:
        """The NNGP (0) or the tangent kernel (1)."""
        value, error = (np.empty(self._shape) for _ in range(2))
        rest: list[tuple[Index, Index]] = []
        free = [np.ones(n, dtype=bool) for n in self._shape]
        for plan in self._plans:
            free[0][plan.one.one], free[1][plan.two.two] = False, False
            own = self._same and plan.one is plan.two
            for i, j, v, e, known in self._blocks(plan, kind, own):
                if self._same:
                    value[_at(j, i)], error[_at(j, i)] = v.T, e.T
                value[_at(i, j)], error[_at(i, j)] = v, e
                r, c = np.nonzero(~known)
                if own:  # below the diagonal stands what is above it
                    r, c = r[r < c], c[r < c]
                if r.size:
                    rest.append((i[r], j[c]))
            if own:
                i = plan.one.one
                value[i, i], error[i, i] = plan.one.curves.diagonal(self._t[0][i], kind)
        rest += self._strays(free)
        self._follow(rest, kind, value, error)
        return Estimate(value, error, np.broadcast_to(np.int8(Status.OK), value.shape))

    def _strays(self, free: list[NDArray[np.bool_]]) -> Iterator[tuple[Index, Index]]:
        """Pairs of the inputs that are in no group with all others."""
        everyone = np.arange(self._shape[1])
        rows, columns = (np.flatnonzero(f) for f in free)
        for x in rows:
            i = int(x)
            j = everyone[~free[1] | (everyone >= i)] if self._same else everyone
            yield np.full(len(j), i), j
        if not self._same:
            grouped = np.flatnonzero(~free[0])
            for x in columns:
                yield grouped, np.full(len(grouped), int(x))

    def _blocks(
        self, plan: Plan, kind: int, own: bool
    ) -> Iterator[tuple[Index, Index, Array, Array, NDArray[np.bool_]]]:
        """Rows, columns, values, errors, and which of them are known."""
        i, j = plan.one.one, plan.two.two
        t1, t2 = self._t[0][i], self._t[1][j]
        root1, root2 = plan.one.curves.roots(t1), plan.two.curves.roots(t2)
        left, right = self._first.units(0, i), self._first.units(1, j)
        fit = 0.5 * (plan.one.curves.fit_error + plan.two.curves.fit_error)
        columns = [
            plan.two.curves.axis.basis(t2, p.coefficients.shape[2]).T * root2 for p in plan.patches
        ]
        for start in range(0, len(i), _ROWS):
            cost.tick()
            rows = slice(start, min(start + _ROWS, len(i)))
            first = start if own else 0
            c = left[rows] @ right[first:].T
            free, known = np.abs(c) <= 1.0 - NEAR, np.zeros(c.shape, dtype=bool)
            np.clip(c, -1.0, 1.0, out=c)
            angle = np.arccos(c, out=c)
            value, error = np.zeros_like(c), np.zeros_like(c)
            for p, basis in zip(plan.patches, columns, strict=True):
                inside = free & (angle >= p.box.angle.low) & (angle <= p.box.angle.high) & ~known
                if not inside.any():
                    continue
                n = p.coefficients.shape[1]
                rows_basis = plan.one.curves.axis.basis(t1[rows], n) * root1[rows, None]
                terms = np.tensordot(rows_basis, p.coefficients[kind], axes=1)  # (r, M, P)
                y = p.box.angle.place(angle)
                _evaluate(terms, basis[:, first:], y, inside, value)
                np.copyto(error, p.error[kind], where=inside)
                known |= inside
            error *= root1[rows, None]
            error *= root2[first:]
            error += fit * np.abs(value)
            if own:
                mirror(value)
                mirror(error)
            yield i[rows], j[first:], value, error, known

    def _follow(
        self, rest: list[tuple[Index, Index]], kind: int, value: Array, error: Array
    ) -> None:
        """Take pairs through the layers one by one."""
        if not rest:
            return
        i, j = (np.concatenate([r[k] for r in rest]) for k in (0, 1))
        network = self._source.network
        first, scale = self._first, Scale.of(network.sigma_w, network.sigma_b)
        used = np.unique(np.concatenate([i, j])) if self._same else None
        sides = [np.unique(x) if used is None else used for x in (i, j)]
        lengths = [
            (q[u], np.full(u.shape, first.relative))
            for q, u in zip(first.lengths, sides, strict=True)
        ]
        both = lengths[0], (lengths[0] if self._same else lengths[1])
        layers = pair_layers(network, scale, *both, len(i))
        for start in range(0, len(i), _PAIRS):
            cost.tick()
            k = slice(start, start + _PAIRS)
            pairs = first.listed(Listed(i[k], j[k]))
            if self._same:
                for part in (pairs.gap, pairs.gap_error, pairs.ratio, pairs.ratio_error):
                    part[i[k] == j[k]] = 0.0
                pairs.sign[i[k] == j[k]] = 1.0
            at = Listed(*(np.searchsorted(u, x[k]) for u, x in zip(sides, (i, j), strict=True)))
            v, e = through(both, layers, pairs, at, kind == 1)[1]
            value[i[k], j[k]], error[i[k], j[k]] = v, e
            if self._same:
                value[j[k], i[k]], error[j[k], i[k]] = v, e


def _evaluate(terms: Array, basis: Array, y: Array, inside: NDArray[np.bool_], out: Array) -> None:
    """Put values at the places `inside` into `out`.

    Parameters
    ----------
    terms : ndarray, shape (r, M, P)
        Coefficients of each row.
    basis : ndarray, shape (M, n)
        Polynomials in the lengths of the columns.
    y : ndarray, shape (r, n)
        Places of the angles.
    """
    r, m, powers = terms.shape
    if inside.mean() < _MANY:
        i, j = np.nonzero(inside)
        step = max(1, (1 << 18) // (m * powers))
        for start in range(0, len(i), step):
            k = slice(start, start + step)
            c = np.einsum("kmp,mk->pk", terms[i[k]], basis[:, j[k]])
            out[i[k], j[k]] = _horner(c, y[i[k], j[k]])
        return
    stacked = np.ascontiguousarray(np.moveaxis(terms, 2, 0)).reshape(powers * r, m)
    for start in range(0, basis.shape[1], _COLUMNS):
        k = slice(start, start + _COLUMNS)
        c = (stacked @ basis[:, k]).reshape(powers, r, -1)
        found = _horner(c, y[:, k])
        np.copyto(out[:, k], found, where=inside[:, k])


def _horner(c: Array, y: Array) -> Array:
    total = c[-1]
    for term in c[-2::-1]:
        total *= y
        total += term
    return np.asarray(total)


def _at(i: Index, j: Index) -> Any:
    """Rows and columns of a matrix, as slices where they are stretches of it."""
    stretches = [len(x) > 0 and x[-1] - x[0] == len(x) - 1 for x in (i, j)]
    if not all(stretches):
        return np.ix_(i, j)
    return tuple(slice(int(x[0]), int(x[-1]) + 1) for x in (i, j))


def _range(angles: Array) -> Axis:
    """The range of some angles, to whole steps."""
    low = max(float(np.floor(angles.min() / _STEP)) * _STEP, _CLOSEST)
    return Axis(low, min(float(np.ceil(angles.max() / _STEP)) * _STEP, float(np.pi) - _CLOSEST))


def _halves(ends: Axis) -> list[Axis]:
    """Two parts of a range of angles, cut in the middle of log tan(theta / 2); none if narrow."""
    low, high = (float(np.log(np.tan(0.5 * x))) for x in (ends.low, ends.high))
    middle = 2.0 * float(np.arctan(np.exp(0.5 * (low + high))))
    middle = float(np.round(middle / _STEP)) * _STEP
    if high - low <= _NARROW or not ends.low < middle < ends.high:
        return []
    return [Axis(ends.low, middle), Axis(middle, ends.high)]


def _angles(first: FirstLayer, i: Index, j: Index) -> Array:
    """Angles of some pairs of the inputs i and j, of those that are not nearly parallel."""
    some = [x[:: max(1, len(x) // n)][: 2 * n] for x, n in zip((i, j), _SAMPLE, strict=True)]
    c = first.units(0, some[0]) @ first.units(1, some[1]).T
    return np.asarray(np.arccos(c[np.abs(c) <= 1.0 - NEAR]))


def _count(n: int, m: int, same: bool) -> float:
    return 0.5 * n * (n + 1) if same else float(n * m)


def patched_kernels(
    network: MLP, a: Array, b: Array, *, same: bool, with_ntk: bool
) -> Estimate | None:
    """The kernel, or None where polynomials serve too few of its pairs to be worth their nodes."""
    if network.depth == 1 or _count(len(a), len(b), same) < _WORTH:
        return None
    jumps = moments(network.activation).has_jumps
    # a tangent kernel is infinite for equal inputs, which the layers say; and where nothing bounds
    # what errors of the lengths make of a jump, polynomials have no error to be judged by
    if jumps and (with_ntk or network.activation.closed_forms.difference is None):
        return None
    first = FirstLayer(a, b, network.sigma_w, network.sigma_b)
    middle = np.quantile(np.concatenate(first.lengths), (0.25, 0.75))
    if middle[0] > 0.0:
        try:
            pair_rule(network.activation, middle, middle, quick=True)
        except ConvergenceError:  # as it will be at all lengths
            return None
    found = Patched(Source(network, first.noise, not jumps), first, same)
    return found.fill(int(with_ntk)) if found.left < _SHARE * found.pairs else None
