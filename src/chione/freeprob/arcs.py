"""Where a law is not: gaps between its bands and the way around through infinity, tabulated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from chione.base import EPS, Array
from chione.base.newton import bracketed_newton
from chione.freeprob import series
from chione.freeprob.charts import moment_resolvent
from chione.freeprob.measures import AbstractMeasure, Integers

_FEW = 24  # arcs up to which each has a long table
_LONG = np.concatenate(
    [[0.42], 3.0 ** -np.arange(1.0, 21.0)]
)  # distances from the ends of an arc, in units of its length
_SHORT = np.array([0.4, 0.3, 0.2, 0.12, 0.06, 0.03, 0.01, 0.002])
_BETWEEN = np.array([1e-9, 1e-6, 1e-3, 0.03, 0.2])
_BOTH_SIDES = np.array([-1e-2, -1e-5, 1e-5, 1e-2])
_WHOLE = 1e-9  # multiplicities are real numbers: how far an argument may be from 0 or pi
_ASIDE = 1e-12  # |v|, by the scale of the law, that stands for 0: series take over far above
_ASIDE_ONE = 1e-6  # |1 + v| that stands for 0: what is missing of a constant has 4 digits there
_INFINITE = 1e-9  # angle that stands for an infinite omega
_SERIES = 1e-2  # |v| times the size of the law below which R' is summed
_LOST = 1e-2  # relative distance from v that tells that the arc ends before it
_TERMS = 12  # cumulants in that sum


class AbstractLine(ABC):
    r"""The real axis of a chart: v = G or M, which falls along every arc.

    .. math:: w = -\frac{du}{dv} > 0 \text{ far out}, \qquad
       \frac{d\zeta}{dv} = -\sum_i n_i w_i + (n - 1) \rho(v)
    """

    half: bool  # whether z < 0 is all gap

    @abstractmethod
    def values(self, law: AbstractMeasure, at: Array) -> tuple[Array, Array]:
        """V and w at real points between the bands."""

    @abstractmethod
    def pole(self, v: Array) -> Array:
        """rho, the w of a constant."""

    @abstractmethod
    def aside(self, v: Array, scale: float) -> Array:
        """v, moved a hair where the others would be at infinity or at zero."""

    @abstractmethod
    def special(self, scale: float, laws: Sequence[AbstractMeasure]) -> Array:
        """Values of v next to which a gap may begin or end without an edge."""

    @abstractmethod
    def slope(self, at: Array, w: Array) -> Array:
        """|dv / d omega|."""

    @abstractmethod
    def coefficients(self, law: AbstractMeasure) -> Array:
        """Series in v of rho - w around infinity."""

    @abstractmethod
    def place(self, times: Array, at: Array, lead: Array, v: Array) -> Array:
        """Z from omega and R, shapes (k, N), and v."""


@dataclass(frozen=True)
class SumLine(AbstractLine):
    """v = G; rho = 1 / v^2."""

    half: bool = False

    def values(self, law: AbstractMeasure, at: Array) -> tuple[Array, Array]:
        """G and -1 / G'."""
        g, slope = law.stieltjes_with_derivative(at + 0j)
        return g.real, -1.0 / slope.real

    def pole(self, v: Array) -> Array:
        """1 / v^2."""
        return np.asarray(1.0 / v**2)

    def aside(self, v: Array, scale: float) -> Array:
        """Away from 0."""
        return np.where(abs(v) < _ASIDE * scale, _ASIDE * scale, v)

    def special(self, scale: float, laws: Sequence[AbstractMeasure]) -> Array:
        """Around 0, where what is missing of a constant may be infinite."""
        return scale * _BOTH_SIDES

    def slope(self, at: Array, w: Array) -> Array:
        """1 / w."""
        return 1.0 / w

    def coefficients(self, law: AbstractMeasure) -> Array:
        """R' = kappa_2 + 2 kappa_3 v + .."""
        kappa = law.free_cumulants(_TERMS)
        return np.asarray(np.arange(1, _TERMS) * kappa[1:])

    def place(self, times: Array, at: Array, lead: Array, v: Array) -> Array:
        """Sum of omega, less (n - 1) / v."""
        n = times[:, None]
        return np.asarray(at[0] + (n[0] - 1.0) * lead[0] + np.sum(n[1:] * lead[1:], axis=0))


@dataclass(frozen=True)
class ProductLine(AbstractLine):
    """v = M, u = log |omega|; rho = 1 / (v (1 + v))."""

    half: bool = True

    def values(self, law: AbstractMeasure, at: Array) -> tuple[Array, Array]:
        """M and -1 / (omega M')."""
        _, m, q = moment_resolvent(law, at + 0j)
        return m.real, -1.0 / q.real

    def pole(self, v: Array) -> Array:
        """1 / (v (1 + v))."""
        return np.asarray(1.0 / (v * (1.0 + v)))

    def aside(self, v: Array, scale: float) -> Array:
        """Away from 0 and -1."""
        v = np.where(abs(v) < _ASIDE, _ASIDE, v)
        return np.where(abs(1.0 + v) < _ASIDE_ONE, _ASIDE_ONE - 1.0, v)

    def special(self, scale: float, laws: Sequence[AbstractMeasure]) -> Array:
        """Around 0 and -1, and around and between the values of M at omega = 0."""
        zeros = sorted({-1.0, *(sum(m for a, m in law.atoms if a == 0.0) - 1.0 for law in laws)})
        between = [
            a
            + (b - a)
            * np.array([1e-9, 1e-6, 1e-3, 0.03, 0.2, 0.5, 0.8, 0.97, 1.0 - 1e-3, 1 - 1e-6])
            for a, b in pairwise([*zeros, 0.0])
        ]
        return np.concatenate([_BOTH_SIDES, -1.0 - abs(_BOTH_SIDES[:2]), *between])

    def slope(self, at: Array, w: Array) -> Array:
        """1 / |w omega|."""
        return np.asarray(1.0 / abs(w * at))

    def coefficients(self, law: AbstractMeasure) -> Array:
        """-(log S)'."""
        s = law.s_coefficients(_TERMS)
        slope = np.arange(1, _TERMS) * s[1:]
        return -series.multiply(slope, series.reciprocal(s[:-1]))

    def place(self, times: Array, at: Array, lead: Array, v: Array) -> Array:
        """Product of omega, by ((1 + v)/v)^(n - 1), with its sign; NaN where z is not real."""
        n = times[:, None]
        log = np.sum(n * np.log(abs(at)), axis=0) - (times.sum() - 1.0) * np.log(abs(1.0 + 1.0 / v))
        turn = np.sum(n * (at < 0.0), axis=0) - (times.sum() - 1.0) * ((v > -1.0) & (v < 0.0))
        sign = np.where(abs(turn) < _WHOLE, 1.0, np.where(abs(turn - 1.0) < _WHOLE, -1.0, np.nan))
        return np.asarray(sign * np.exp(log))


@dataclass(frozen=True)
class Arcs:
    """The arcs of one law and a table of v and w on each.

    An arc is run through by s: omega = -s on an inner one, omega = c + r cot s on the one through
    infinity; so v rises with s on both. Rows are arcs, the outer one first.
    """

    law: AbstractMeasure
    line: AbstractLine

    @cached_property
    def _ends(self) -> tuple[Array, float, float]:
        """Ends of the arcs in s, shape (A, 2), and c and r."""
        spans = sorted([*self.law.support, *((a, a) for a, _ in self.law.atoms)])
        if isinstance(self.line, ProductLine):  # M does not see an atom at 0
            spans = [s for s in spans if s[1] > 0.0]
        low, high = spans[0][0], max(b for _, b in spans)
        rows, reach = [], low
        for a, b in spans:
            if a > reach:
                rows.append((-a, -reach))
            reach = max(reach, b)
        c, r = _middle(low, high)
        outer = (-np.arctan2(r, c - low), np.arctan2(r, high - c))
        return np.array([outer, *rows]), c, r

    @property
    def ends(self) -> Array:
        """Ends of the arcs in s, shape (A, 2)."""
        return self._ends[0]

    @cached_property
    def s(self) -> Array:
        """Nodes, shape (A, K), rising."""
        ends = self._ends[0]
        near = _LONG if len(ends) <= _FEW else _SHORT
        share = np.concatenate([near[::-1], [0.5], 1.0 - near])
        width = (ends[:, 1] - ends[:, 0])[:, None]
        left, right = ends[:, :1] + width * share, ends[:, 1:] - width * (1.0 - share)
        s = np.where(share <= 0.5, left, right)
        aside = _INFINITE if ends[0, 1] > 0.0 else -_INFINITE
        s[0] = np.where(abs(s[0]) < _INFINITE, aside, s[0])
        return np.asarray(s)

    def at(self, row: Integers, s: Array) -> Array:
        """Omega at s of the arcs `row`."""
        _, c, r = self._ends
        return np.asarray(np.where(row == 0, c + r / np.tan(s), -s))

    def pace(self, row: Integers, at: Array) -> Array:
        """|d omega / ds|."""
        _, c, r = self._ends
        return np.asarray(np.where(row == 0, r + (at - c) ** 2 / r, 1.0))

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        row = np.broadcast_to(np.arange(len(self.s))[:, None], self.s.shape)
        v, w = self.line.values(self.law, self.at(row, self.s).ravel())
        return v.reshape(self.s.shape), w.reshape(self.s.shape)

    @property
    def v(self) -> Array:
        """V at the nodes, shape (A, K), rising along each row."""
        return self._table[0]

    @property
    def w(self) -> Array:
        """W at the nodes, shape (A, K)."""
        return self._table[1]

    @cached_property
    def share(self) -> Array:
        """Largest w / rho of each arc: 1 for a constant, and above 1 - 1/n where it is to count."""
        with np.errstate(all="ignore"):
            a = self.w / self.line.pole(self.v)
        top = np.max(np.where(np.isfinite(a), a, 0.0), axis=1)
        top[0] = 1.0
        return np.asarray(top)

    @cached_property
    def _series(self) -> Array:
        return self.line.coefficients(self.law)

    def missing(self, row: Integers, v: Array, w: Array) -> Array:
        r"""Rho - w: what the law lacks of a constant, :math:`R'(v)` or :math:`-(\log S)'(v)`."""
        out = self.line.pole(v) - w
        small = (row == 0) & (abs(v) < _SERIES * self.scale)
        if small.any():
            out[small] = np.polynomial.polynomial.polyval(v[small], self._series)
        return np.asarray(out)

    @cached_property
    def scale(self) -> float:
        """|v| at which the law looks about as large as it is far."""
        return 1.0 if isinstance(self.line, ProductLine) else 1.0 / self._ends[2]

    def lead(self, row: Integers, v: Array, at: Array) -> Array:
        """Omega - 1/v, that is R(v), without loss far out."""
        out = at - 1.0 / v
        small = (row == 0) & (abs(v) < _SERIES * self.scale)
        if small.any():
            slope = self._series
            whole = np.concatenate([[self.law.mean], slope / np.arange(1, slope.size + 1)])
            out[small] = np.polynomial.polynomial.polyval(v[small], whole)
        return np.asarray(out)

    def rough(self, row: int, v: Array) -> Array:
        """`missing` of one arc between its nodes, NaN outside of them."""
        nodes = self.v[row]
        table = self.missing(np.full(nodes.size, row), nodes, self.w[row])
        bend = np.arctan(nodes / self.scale)
        at = np.arctan(v / self.scale)
        return np.asarray(np.interp(at, bend, table, left=np.nan, right=np.nan))

    def inverse(self, row: Integers, v: Array) -> Array:
        """S of the arcs `row` at which they take the value v; NaN where they do not."""
        table, nodes, ends = self.v[row], self.s[row], self._ends[0][row]
        k = np.sum(table <= v[:, None], axis=1)
        line, size = np.arange(v.size), table.shape[1]
        before, after = np.maximum(k - 1, 0), np.minimum(k, size - 1)
        low = np.where(k == 0, ends[:, 0], nodes[line, before])
        high = np.where(k == size, ends[:, 1], nodes[line, after])
        v0 = np.where(k == 0, -np.inf, table[line, before])
        v1 = np.where(k == size, np.inf, table[line, after])
        # near a pole of v its reciprocal is the smooth one
        pole = (v0 * v1 > 0.0) & (np.minimum(abs(v0), abs(v1)) > self.scale)

        def f(s: Array, i: Integers) -> tuple[Array, Array, Array]:
            at = self.at(row[i], s)
            value, w = self.line.values(self.law, at)
            slope = self.line.slope(at, w) * self.pace(row[i], at)
            flip = pole[i]
            miss = np.where(flip, 1.0 / value - 1.0 / v[i], v[i] - value)
            rate = np.where(flip, slope / value**2, slope)
            noise = 4.0 * EPS * np.where(flip, 1.0 / abs(v[i]), abs(v[i]))
            return miss, -rate, noise

        with np.errstate(all="ignore"):
            x0, x1, x = (np.where(pole, -1.0 / t, t) for t in (v0, v1, v))
            part = np.clip((x - x0) / (x1 - x0), 0.01, 0.99)
            start = low + (high - low) * np.where(np.isfinite(part), part, 0.5)
            if v.size == 0:
                return np.asarray(start)
            s = bracketed_newton(f, low, high, start)
            outside = (k == 0) | (k == size)
            lost = outside & (abs(self.line.values(self.law, self.at(row, s))[0] / v - 1.0) > _LOST)
        return np.where(lost, np.nan, s)


def _middle(low: float, high: float) -> tuple[float, float]:
    """A point of the support and its size; for unbounded support anything of its order."""
    if np.isfinite(high - low):
        return 0.5 * (low + high), 0.5 * (high - low) or abs(high)
    finite = [x for x in (low, high) if np.isfinite(x)]
    return (finite[0], 1.0 + abs(finite[0])) if finite else (0.0, 1.0)
