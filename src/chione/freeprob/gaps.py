r"""Support of a free convolution: its gaps, one by one, from the gaps of its parts.

In a gap all subordination functions are real, each in an arc of its law. Along a choice of arcs
z is a function of the one variable v (G, or M for products), and the gap lasts where z falls:

.. math:: -\frac{d\zeta}{dv} = \sum_i n_i w_i - (n - 1) \rho > 0
   \quad\Leftrightarrow\quad \sum_i n_i (1 - w_i / \rho) < 1

So at most one law may be on an arc with :math:`w_i/\rho \le 1/2`: all choices are gone through,
one law at a time along all its arcs, the others along their few good ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.arcs import AbstractLine, Arcs
from chione.freeprob.measures import Integers

_GOOD = 0.45  # w / rho below which an arc is no good but alone; a half, less what tables miss
_NEAR = 3.0  # how far, as a factor, an extremum may be from the threshold to be looked at
_GOLDEN = 40  # steps of the search for an extremum: to 1e-8 of the bracket
_FAR_OUT = 1e-6  # |v| below which z is at infinity
_SNAP = 1e-6  # how near an atom a gap without an edge ends, relative to the support
_TINY = 1e-14  # width of a gap that is rounding, relative to the support
_TOUCH = 1e-11  # how near to 1 the ratio comes where two bands just meet
_HEAVY = 0.2  # w / rho above which an arc ends at an atom that its short table may not resolve
_SOME = 9  # nodes of the others that are gone through where there are more
_MANY = 24  # rows up to which the others' tables are gone through as well
_PLACE = 1e-8  # error of the place of an edge, by its distance from the ends of the arc
_HAIRS = 10.0 ** -np.arange(11.0, 16.0)  # beyond the table, in units of the length of an arc
_ROOT = 60  # steps of the search for an edge


@dataclass(frozen=True)
class Gap:
    """An open interval without mass.

    `kinds` tell how it ends: "edge", "end" (of an arc: an atom or a hard edge), "infinity".
    """

    low: float
    high: float
    kinds: tuple[str, str]
    v: tuple[float, float]

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def moved(self, shift: float, factor: float) -> Gap:
        """Of the law shifted and dilated; v of sums is divided by the factor."""
        return Gap(factor * self.low + shift, factor * self.high + shift, self.kinds, self.v)


@dataclass(frozen=True)
class Choices:
    """Rows of one law against fixed rows of the others."""

    parts: tuple[Arcs, ...]
    times: Array
    line: AbstractLine
    main: int
    rows: Integers
    rest: tuple[int, ...]

    def evaluate(self, i: Integers, s: Array) -> tuple[Array, Array, Array]:
        """z, v and the ratio q, below 1 in gaps, at s of the arcs rows[i]; NaN where no z is real.

        On the negative axis of products q is 0: it is a gap, whatever the sign of w.
        """
        arcs, row = self.parts[self.main], self.rows[i]
        at, lead = np.empty((2, len(self.parts), s.size))
        at[0] = arcs.at(row, s)
        v, w = self.line.values(arcs.law, at[0])
        v = self.line.aside(v, arcs.scale)
        lead[0] = arcs.lead(row, v, at[0])
        lack = (self.times[self.main] - 1.0) * arcs.missing(row, v, w)
        for j, (k, g) in enumerate(self.others, start=1):
            part, other = self.parts[k], np.full(s.size, g)
            at[j] = part.at(other, part.inverse(other, v))
            lead[j] = part.lead(other, v, at[j])
            u = self.line.values(part.law, at[j])[1]
            lack = lack + self.times[k] * part.missing(other, v, u)
        order = [self.main, *(k for k, _ in self.others)]
        z = self.line.place(self.times[order], at, lead, v)
        # D = w - lack > 0; between -1 and 0 of products both may be negative
        q = np.where(w > 0.0, lack / w, np.where(lack < 0.0, w / lack, np.inf))
        q = np.where(self.line.half & (z < 0.0), 0.0, q)
        return z, v, np.where(np.isfinite(z), q, np.nan)

    @property
    def others(self) -> list[tuple[int, int]]:
        """The other laws and their arcs."""
        return list(
            zip((k for k in range(len(self.parts)) if k != self.main), self.rest, strict=True)
        )

    def promising(self) -> Choices | None:
        """Only the rows on which q, with the others interpolated, comes near 1."""
        arcs = self.parts[self.main]
        if self.rows.size <= _MANY:
            return self
        v, w = arcs.v[self.rows], arcs.w[self.rows]
        row = np.broadcast_to(self.rows[:, None], v.shape)
        lack = (self.times[self.main] - 1.0) * arcs.missing(row.ravel(), v.ravel(), w.ravel())
        lack = lack.reshape(v.shape)
        for k, g in self.others:
            lack = lack + self.times[k] * self.parts[k].rough(g, v)
        near = np.any(lack < _NEAR * w, axis=1) | (arcs.share[self.rows] > _HEAVY)
        return Choices(*self._fixed, self.rows[near], self.rest) if near.any() else None

    @property
    def _fixed(self) -> tuple[tuple[Arcs, ...], Array, AbstractLine, int]:
        return self.parts, self.times, self.line, self.main

    def nodes(self) -> Array:
        """Where to look along each row, shape (rows, K): the table, and the ends of the others."""
        arcs = self.parts[self.main]
        out = [arcs.s[self.rows]]
        special = self.line.special(arcs.scale, [p.law for p in self.parts])
        row, value = np.repeat(self.rows, special.size), np.tile(special, self.rows.size)
        out.append(arcs.inverse(row, value).reshape(self.rows.size, special.size))
        if self.rows.size <= _MANY:  # a part far smaller than this one moves its edge by a hair
            a, b = arcs.ends[self.rows].T[:, :, None]
            out += [a + _HAIRS * (b - a), b - _HAIRS * (b - a)]
        for k, g in self.others:
            table = self.parts[k].v[g]
            v = table
            if self.rows.size > _MANY:
                v = table[np.linspace(0, table.size - 1, _SOME).astype(np.intp)]
            # a hair inside, so that the others still have an inverse there
            v = np.concatenate([[v[0] + 1e-12 * abs(v[0])], v[1:-1], [v[-1] - 1e-12 * abs(v[-1])]])
            row, value = np.repeat(self.rows, v.size), np.tile(v, self.rows.size)
            out.append(arcs.inverse(row, value).reshape(self.rows.size, v.size))
        return np.sort(np.concatenate(out, axis=1), axis=1)


def find_gaps(parts: tuple[Arcs, ...], times: tuple[float, ...], line: AbstractLine) -> list[Gap]:
    """All gaps, those to minus and plus infinity among them, sorted."""
    found: list[Gap] = []
    with np.errstate(all="ignore"):
        for choice in _choices(parts, np.array(times), line):
            chosen = choice.promising()
            if chosen is not None:
                found += _search(chosen)
    return sorted(found, key=lambda g: (g.low, g.high))


def bands(
    gaps: list[Gap], atoms: tuple[tuple[float, float], ...]
) -> tuple[tuple[float, float], ...]:
    """What the gaps leave, and the atoms in or between them."""
    places = np.array([a for a, _ in atoms])
    spans: list[tuple[float, float]] = []
    low, high = -np.inf, np.inf
    ends = ((x, k) for g in gaps for x, k in zip(g.ends, g.kinds, strict=True))
    size = max((abs(x) for x, kind in ends if kind != "infinity"), default=1.0)
    for gap in gaps:
        a, b = (_snapped(x, k, size, places) for x, k in zip(gap.ends, gap.kinds, strict=True))
        if abs(gap.high - gap.low) <= _TINY * size:  # where two bands only just meet
            a = b = 0.5 * (a + b)
            if any(abs(x - a) <= 10.0 * _TINY * size for x, _ in spans):
                continue  # met already
        if a > b and "infinity" not in gap.kinds:  # the way around through infinity
            low, high = b, a
        elif gap.kinds[0] == "infinity":
            low = b
        elif gap.kinds[1] == "infinity":
            high = a
        else:
            spans.append((a, b))
    out, reach = [], low
    inner = ((a, b) for a, b in sorted(spans) if b > a or low < a < high)
    for a, b in inner:
        out.append((reach, a))
        reach = max(reach, b)
    out.append((reach, high))
    out = [(a, b) for a, b in out if b > a]
    inside = [any(a <= x <= b for a, b in out) for x in places]
    out += [(float(x), float(x)) for x, covered in zip(places, inside, strict=True) if not covered]
    return tuple(sorted(out))


def _snapped(x: float, kind: str, size: float, places: Array) -> float:
    """A gap that ends where v has no end, ends at an atom."""
    if kind == "end" and places.size:
        nearest = float(places[np.argmin(abs(places - x))])
        if abs(nearest - x) <= _SNAP * size:
            return nearest
    return x


def _choices(parts: tuple[Arcs, ...], times: Array, line: AbstractLine) -> Iterator[Choices]:
    good = [np.nonzero(p.share > _GOOD)[0] for p in parts]
    for main in range(len(parts)):
        others = [k for k in range(len(parts)) if k != main]
        for rest, room in _combinations(parts, times, good, others):
            share = parts[main].share
            keep = times[main] * (1.0 - share) < room
            # One choice, one leader: the first law on an inner arc, else the first law. The arc
            # through infinity is no leader of an inner one: its w says nothing about v = 0.
            inner = np.arange(share.size) > 0
            keep &= inner if any(rest) else inner | (main == 0)
            if any(rest[:main]):
                keep &= share <= _GOOD
            rows = np.nonzero(keep)[0]
            if rows.size:
                yield Choices(parts, times, line, main, rows, rest)


def _combinations(
    parts: tuple[Arcs, ...], times: Array, good: list[Integers], others: list[int]
) -> list[tuple[tuple[int, ...], float]]:
    """Good arcs of the other laws, and what is left of the 1 they share."""
    out: list[tuple[tuple[int, ...], float]] = [((), 1.05)]
    for k in others:
        out = [
            ((*rows, int(g)), left)
            for rows, room in out
            for g in good[k]
            if (left := room - times[k] * (1.0 - float(parts[k].share[g]))) > 0.0
        ]
    return out


def _search(c: Choices) -> list[Gap]:
    s = c.nodes()
    index = np.broadcast_to(np.arange(len(s))[:, None], s.shape)
    q = np.full(s.shape, np.nan)
    there = np.isfinite(s)
    q[there] = c.evaluate(index[there], s[there])[2]
    s, q = _with_extrema(c, s, q)
    inside = q < 1.0
    pad = np.zeros((len(s), 1), dtype=bool)
    start = np.argwhere(inside & ~np.concatenate([pad, inside[:, :-1]], axis=1))
    stop = np.argwhere(inside & ~np.concatenate([inside[:, 1:], pad], axis=1))
    # v rises with s while z falls: a run of nodes starts at its upper end
    high = _ends(c, s, q, start, -1)
    low = _ends(c, s, q, stop, 1)
    return [
        Gap(zl, zh, (kl, kh), (vl, vh))
        for (zl, vl, kl), (zh, vh, kh) in zip(low, high, strict=True)
    ]


def _with_extrema(c: Choices, s: Array, q: Array) -> tuple[Array, Array]:
    """Nodes added at extrema near 1 between nodes: gaps, and bands, narrower than the table."""
    low = (q[:, 1:-1] <= q[:, :-2]) & (q[:, 1:-1] <= q[:, 2:])
    low &= (q[:, 1:-1] >= 1.0) & (q[:, 1:-1] < _NEAR)
    top = (q[:, 1:-1] >= q[:, :-2]) & (q[:, 1:-1] >= q[:, 2:])
    top &= (q[:, 1:-1] < 1.0) & (q[:, 1:-1] > 1.0 / _NEAR)
    row, k = np.nonzero(low | top)
    if row.size == 0:
        return s, q
    sign = np.where(low[row, k], 1.0, -1.0)
    a, b = s[row, k], s[row, k + 2]
    ratio = 0.5 * (np.sqrt(5.0) - 1.0)
    x0, x1 = b - ratio * (b - a), a + ratio * (b - a)
    q0, q1 = (sign * c.evaluate(row, x)[2] for x in (x0, x1))
    for _ in range(_GOLDEN):
        left = q0 < q1
        a, b = np.where(left, a, x0), np.where(left, x1, b)
        new = np.where(left, b - ratio * (b - a), a + ratio * (b - a))
        value = sign * c.evaluate(row, new)[2]
        x0, x1 = np.where(left, new, x1), np.where(left, x0, new)
        q0, q1 = np.where(left, value, q1), np.where(left, q0, value)
    best, at = np.minimum(q0, q1) * sign, np.where(q0 < q1, x0, x1)
    best = np.where((sign > 0.0) & (best >= 1.0) & (best < 1.0 + _TOUCH), 1.0 - EPS, best)
    new_s, new_q = np.full(s.shape, np.nan), np.full(s.shape, np.nan)
    new_s[row, k], new_q[row, k] = at, best
    s, q = np.concatenate([s, new_s], axis=1), np.concatenate([q, new_q], axis=1)
    order = np.argsort(s, axis=1)  # NaN last
    return np.take_along_axis(s, order, axis=1), np.take_along_axis(q, order, axis=1)


def _ends(
    c: Choices, s: Array, q: Array, last: Integers, side: int
) -> list[tuple[float, float, str]]:
    """z, v and kind of the ends of runs whose last nodes inside are given as (row, node)."""
    if len(last) == 0:
        return []
    row, k = last.T
    beyond = np.clip(k + side, 0, s.shape[1] - 1)
    crossed = (beyond != k) & (q[row, beyond] >= 1.0)
    at = s[row, k].copy()
    i = np.nonzero(crossed)[0]
    if i.size:
        at[i] = _edges(c, row[i], s[row[i], k[i]], s[row[i], beyond[i]])
    z, v, _ = c.evaluate(row, at)
    far = abs(v) < _FAR_OUT * c.parts[c.main].scale
    kind = np.where(crossed, "edge", np.where(far, "infinity", "end"))
    return [(float(a), float(b), str(t)) for a, b, t in zip(z, v, kind, strict=True)]


def _edges(c: Choices, row: Integers, inner: Array, outer: Array) -> Array:
    """Where q = 1, by the method of Illinois, every third step a halving."""
    a, b = inner.copy(), outer.copy()
    fa, fb = (c.evaluate(row, x)[2] - 1.0 for x in (a, b))
    lack = fa.copy()  # 1 - q at a, of which Illinois halves its own copy
    active = np.arange(row.size)
    ends = c.parts[c.main].ends[c.rows[row]]
    for step in range(_ROOT):
        i = active
        x = (a[i] * fb[i] - b[i] * fa[i]) / (fb[i] - fa[i])
        low, high = np.minimum(a[i], b[i]), np.maximum(a[i], b[i])
        x = np.where((x > low) & (x < high) & (step % 3 != 2), x, 0.5 * (low + high))
        f = c.evaluate(row[i], x)[2] - 1.0
        f = np.where(np.isnan(f), 1.0, f)
        far = f > 0.0
        same_b, same_a = far & (fb[i] > 0.0), ~far
        fa[i] = np.where(same_a, f, 0.5 * fa[i])
        fb[i] = np.where(same_b, f, 0.5 * fb[i])
        a[i], b[i] = np.where(same_a, x, a[i]), np.where(same_b, x, b[i])
        lack[i] = np.where(same_a, f, lack[i])
        done = f == 0.0
        # z is stationary there, dz = (1 - q) d omega: of an error of the place only the square is
        # left, by the distance within which q varies, to the end of this arc or of another law's
        room = np.minimum(abs(x - ends[i, 0]), abs(ends[i, 1] - x))
        close = abs(b[i] - a[i]) <= _PLACE * room
        close &= abs((b[i] - a[i]) * lack[i]) <= _PLACE**2 * room
        done |= close | (abs(b[i] - a[i]) <= 4.0 * EPS * abs(x))
        active = i[~done]
        if active.size == 0:
            break
    return a
