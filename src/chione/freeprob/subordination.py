"""Subordination for any number of free summands or factors at once, followed along the axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.charts import AbstractChart
from chione.freeprob.measures import AbstractMeasure, Booleans, Complex, Integers

_STEPS = 16  # of Newton's method from a near start; quadratic convergence needs four to six
_COARSE = 24  # points that are followed down from far out; the others start from neighbours
_ROUNDS = 8  # times that points start from their nearest solved neighbours
_FALL = 0.3  # factor by which a point comes down at a time, where that goes well
_CREEP = 0.995  # factor at which it is given up
_LEVELS = 60
_FIXED = 40  # steps of the contraction where Newton's method fails
_DONE = 4.0 * EPS  # residual, in units of the numbers added, at which Newton's method stops
_ACCEPT = 1024.0 * EPS  # residual up to which a stalled solution is accepted; it is stated
_EDGE = 1e-6  # |d zeta / d f| below which the two solutions at an edge are one
_TURN = 1e-9  # how far the arguments of a real problem may be from adding up
_STRIDE = 8.0  # e-folds between points of help
_THIN = 1e-9  # imaginary parts that are as good as none where d zeta / df says gap
_FLAT = 1e-10  # slope of f below which 1/slope is kept finite
_REAL = 1e-4  # imaginary parts below which a real solution is looked for as well
_NEAR_AXIS = 1e-11  # imaginary parts below this are rounding


@dataclass(frozen=True)
class Solved:
    """Subordination functions u, shape (k, N), the common f, df/dzeta and the residual in zeta."""

    u: Complex
    f: Complex
    slope: Complex
    residual: Array
    ok: Booleans

    def put(self, index: Integers, other: Solved) -> None:
        """Overwrite the columns `index`."""
        self.u[:, index], self.f[index], self.slope[index] = other.u, other.f, other.slope
        self.residual[index], self.ok[index] = other.residual, other.ok

    def take(self, index: Integers | Booleans) -> Solved:
        """The columns `index`."""
        return Solved(
            self.u[:, index],
            self.f[index],
            self.slope[index],
            self.residual[index],
            self.ok[index],
        )


@dataclass(frozen=True)
class Subordination:
    r"""The system :math:`f_i(u_i) = f`, :math:`\sum_i n_i u_i = \zeta + (n - 1) f`.

    Parameters
    ----------
    laws : tuple of AbstractMeasure
        Distinct laws, none of them a point mass.
    times : tuple of float
        Their multiplicities :math:`n_i \ge 1`, real; n is their sum.
    chart : AbstractChart
        Sum or product.

    Notes
    -----
    The solution is the fixed point of
    :math:`u_i \leftarrow \zeta + \sum_j n_j h_j(u_j) - h_i(u_i)`, :math:`h_i = f_i - u_i`, which
    maps the strip above Im zeta into itself. So a solution inside the strip is the only one, and
    on the edge of the strip the right one is that whose :math:`d\zeta/df` has the sign it has far
    out [1]_. Each solution is checked for this, and hence may be looked for from anywhere: a few
    points from far out, the others from their solved neighbours. What fails the check is NaN.

    One step of Newton's method costs one evaluation of each law: its matrix is a diagonal and a
    row.

    References
    ----------
    .. [1] S. T. Belinschi, H. Bercovici, A new approach to subordination results in free
       probability, J. Anal. Math. 101, 2007.
    """

    laws: tuple[AbstractMeasure, ...]
    times: tuple[float, ...]
    chart: AbstractChart

    @cached_property
    def total(self) -> float:
        """n, the number of summands."""
        return float(sum(self.times))

    @cached_property
    def _grain(self) -> float:
        pairs = zip(self.laws, self.times, strict=True)
        return float(sum(n * self.chart.grain(law) for law, n in pairs))

    def solve(self, zeta: Complex) -> Solved:
        """Solve at points zeta of the closed strip, shape (N,), in any order."""
        if self.total <= 1.0:
            return self._alone(zeta)
        wanted = zeta.size
        zeta = np.concatenate([zeta, self._between(zeta)])
        order = np.lexsort((zeta.imag, zeta.real))
        z = zeta[order]
        with np.errstate(all="ignore"):
            out = self._blank(z.size)
            count = min(_COARSE, z.size)
            coarse = np.unique(np.linspace(0.0, z.size - 1.0, count).round().astype(np.intp))
            out.put(coarse, self._descend(z[coarse]))
            for _ in range(_ROUNDS):
                todo = np.nonzero(~out.ok)[0]
                known = np.nonzero(out.ok)[0]
                if todo.size == 0 or known.size == 0:
                    break
                found = self._attempt(z[todo], self._guess(z, out, known, todo))
                if not found.ok.any():
                    break
                out.put(todo[found.ok], found.take(found.ok))
            todo = np.nonzero(~out.ok)[0]
            if todo.size and not np.isin(todo, coarse).all():
                out.put(todo, self._descend(z[todo]))
            self._settle(z, out)
        back = np.empty_like(order)
        back[order] = np.arange(order.size)
        out = out.take(back[:wanted])
        out.u[:, ~out.ok], out.f[~out.ok], out.slope[~out.ok] = np.nan, np.nan, np.nan
        out.residual[~out.ok] = np.inf
        return out

    def sum_of(self, f: Callable[[AbstractMeasure, Complex], Complex], s: Solved) -> Complex:
        r""":math:`\sum_i n_i f(\mu_i, \omega_i)`."""
        out = np.zeros(s.f.shape, dtype=complex)
        for law, n, u in zip(self.laws, self.times, s.u, strict=True):
            value = f(law, self.chart.point(u))
            out.real += n * value.real  # apart: one of them may be infinite
            out.imag += n * value.imag
        return out

    def error(self, zeta: Complex, s: Solved) -> Array:
        """The error of f that residual, rounding and the errors of the laws stand for."""
        n = np.array(self.times)[:, None]
        scale = self._grain + abs(zeta) + np.sum(n * abs(s.u), axis=0)
        scale += abs(self.total - 1.0) * abs(s.f)
        if not self.laws:
            return np.asarray(32.0 * EPS * scale)
        d = np.array([self.chart.pair(law, u)[1] for law, u in zip(self.laws, s.u, strict=True)])
        d = np.where(abs(d) < _FLAT, _FLAT, d)  # where f has no slope its error is the law's own
        det = abs(1.0 - self.total + np.sum(n / d, axis=0)) if self.total > 1.0 else abs(1.0 / d[0])
        out = (4.0 * s.residual + 32.0 * EPS) * scale / det
        for law, times, u, slope in zip(self.laws, self.times, s.u, d, strict=True):
            out = out + times * self.chart.error(law, u) / abs(slope * det)
        return np.asarray(out)

    def _alone(self, zeta: Complex) -> Solved:
        """No equation: one law, or none but constants."""
        if not self.laws:
            u = np.empty((0, zeta.size), dtype=complex)
            f, slope = zeta, np.ones(zeta.size, dtype=complex)
        else:
            u = zeta[None]
            with np.errstate(all="ignore"):
                f, slope = self.chart.pair(self.laws[0], zeta)
        return Solved(u, f, slope, np.zeros(zeta.size), np.isfinite(f))

    def _settle(self, z: Complex, out: Solved) -> None:
        """What is left lies within rounding of an edge, where the two solutions are one."""
        todo, known = np.nonzero(~out.ok)[0], np.nonzero(out.ok)[0]
        if todo.size and known.size:
            found = self._newton(z[todo], self._guess(z, out, known, todo))
            flat = self._newton(z[todo], self._flattened(found.u))
            for s in (found, flat):
                rise = np.max((s.u.imag - z[todo].imag) / (1.0 + abs(s.u)), axis=0)
                edge = (abs(1.0 / s.slope) <= _EDGE) & (rise <= _EDGE) & (s.residual <= _ACCEPT)
                edge &= ~out.ok[todo]
                s.ok[:] = edge
                out.put(todo[edge], s.take(edge))

    # ---------------------------------------------------------------------------- starting points

    def _between(self, zeta: Complex) -> Complex:
        """Points of help on the way to logarithms far out."""
        if not np.isfinite(self.chart.top) or zeta.size == 0:
            return zeta[:0]
        middle = sum(
            n * self.chart.start(law)[0] for law, n in zip(self.laws, self.times, strict=True)
        )
        rungs = []
        for end in (zeta[np.argmin(zeta.real)], zeta[np.argmax(zeta.real)]):
            count = int(min(abs(end.real - middle) / _STRIDE, 1000.0)) if np.isfinite(end) else 0
            if count:
                rungs.append(np.linspace(middle, end.real, count + 1)[:-1] + 1j * end.imag)
        return np.concatenate(rungs) if rungs else zeta[:0]

    def _blank(self, size: int) -> Solved:
        u = np.zeros((len(self.laws), size), dtype=complex)
        f, slope = np.zeros(size, dtype=complex), np.zeros(size, dtype=complex)
        return Solved(u, f, slope, np.full(size, np.inf), np.zeros(size, dtype=bool))

    def _guess(self, z: Complex, out: Solved, known: Integers, todo: Integers) -> Complex:
        """First order from the solved neighbours on both sides, blended."""
        at = np.searchsorted(known, todo)
        left, right = known[np.maximum(at - 1, 0)], known[np.minimum(at, known.size - 1)]
        low, high = self._predict(z, out, left, todo), self._predict(z, out, right, todo)
        span = abs(z[right] - z[left])
        weight = np.where(span > 0.0, abs(z[todo] - z[left]) / np.where(span > 0.0, span, 1.0), 0.0)
        blend = (1.0 - weight) * low + weight * high
        # across an edge the two sides have nothing to do with each other: take the nearer one
        flat = [np.all(out.u[:, s].imag == z[s].imag, axis=0) for s in (left, right)]
        nearer = np.where(weight < 0.5, low, high)
        start = np.where(flat[0] == flat[1], blend, nearer)
        return np.where(np.isfinite(start), start, nearer)

    def _predict(self, z: Complex, out: Solved, source: Integers, todo: Integers) -> Complex:
        here = out.take(source)
        u, f = here.u, here.f
        move = self._rate(here) * (z[todo] - z[source])
        bound = 0.5 * (abs(u - f) + u.imag) + EPS  # beyond, the tangent says little
        if np.isfinite(self.chart.top):  # but far out logarithms are straight lines
            bound = bound + abs(z[todo] - z[source])
        move = np.where(np.isfinite(move), move, 0.0)
        size = abs(move) / bound
        return np.asarray(u + move / np.maximum(size, 1.0))

    def _descend(self, z: Complex) -> Solved:
        """From far out, where u = zeta + const, down through the strip to zeta."""
        n = np.array(self.times)
        centers, sizes = np.array([self.chart.start(law) for law in self.laws]).T
        middle, size = float(np.sum(n * centers)), float(np.sqrt(np.sum(n * sizes**2)))
        out, index = self._blank(z.size), np.arange(z.size)
        full = self.chart.height(z - middle, size)
        at = z + 1j * full
        u = at - (middle - centers)[:, None]
        for _ in range(3):
            u = self._contract(at, u)
        now = self._attempt(at, u)
        if not now.ok.all():
            now = self._repair(at, u, now)
        share, fall = np.ones(z.size), np.full(z.size, _FALL)
        rate = self._rate(now)
        for _ in range(_LEVELS):
            direct = self._attempt(z[index], now.u + rate * (z[index] - at))
            out.put(index[direct.ok], direct.take(direct.ok))
            keep = ~direct.ok & (fall < _CREEP)
            if not keep.any():
                break
            index, at, share, fall, rate = (
                index[keep],
                at[keep],
                share[keep],
                fall[keep],
                rate[:, keep],
            )
            now = now.take(keep)
            lower = z[index] + 1j * full[index] * share * fall
            found = self._attempt(lower, now.u + rate * (lower - at))
            good = found.ok
            now.put(np.nonzero(good)[0], found.take(good))
            at, share = np.where(good, lower, at), np.where(good, share * fall, share)
            fall = np.where(good, np.maximum(fall**2, _FALL), np.sqrt(fall))
            rate = self._rate(now)
        return out

    def _rate(self, s: Solved) -> Complex:
        """Du / dzeta."""
        rows = [self.chart.pair(law, row)[1] for law, row in zip(self.laws, s.u, strict=True)]
        return np.asarray(s.slope / np.array(rows))

    def _repair(self, z: Complex, u: Complex, at: Solved) -> Solved:
        """The contraction, slow and sure, then Newton's method once more."""
        bad = np.nonzero(~at.ok)[0]
        start = np.where(np.isfinite(u[:, bad]), u[:, bad], z[bad] + 1j)
        for _ in range(_FIXED):
            start = self._contract(z[bad], start)
        at.put(bad, self._attempt(z[bad], start))
        stuck = np.nonzero(~at.ok)[0]
        at.u[:, stuck] = start[:, ~at.ok[bad]]
        return at

    def _contract(self, z: Complex, u: Complex) -> Complex:
        n = np.array(self.times)[:, None]
        rows = []
        for law, row in zip(self.laws, u, strict=True):
            over = row.imag > self.chart.top  # the second half of the strip is a mirror image
            inside = np.where(over, row.real + 1j * (2.0 * self._top() - row.imag), row)
            h = self.chart.pair(law, inside)[0] - inside
            rows.append(np.where(over, np.conj(h), h))
        h = np.array(rows)
        return np.asarray(z + np.sum(n * h, axis=0) - h)

    def _top(self) -> float:
        return self.chart.top if np.isfinite(self.chart.top) else 0.0

    # ----------------------------------------------------------------------------- Newton's method

    def _attempt(self, z: Complex, start: Complex) -> Solved:
        """Newton's method from `start`, checked; on the axis also as a real problem."""
        found = self._newton(z, start)
        rise = np.min((found.u.imag - z.imag) / (1.0 + abs(found.u)), axis=0)
        near = ~found.ok | ((rise < _REAL) & (rise != 0.0))
        todo = np.nonzero(near & self._on_edge(z))[0]
        if todo.size:
            u = np.where(np.isfinite(found.u[:, todo]), found.u[:, todo], start[:, todo])
            for _ in range(2):  # a step across a band leaves the axis, and comes back a hair off it
                again = self._newton(z[todo], self._flattened(u), real=True)
                found.put(todo[again.ok], again.take(again.ok))
                off = again.ok & ~np.all(self._on_edge(again.u), axis=0)
                todo, u = todo[off], again.u[:, off]
                if not todo.size:
                    break
        return found

    def _flattened(self, u: Complex) -> Complex:
        top = self._top()
        edge = np.where(u.imag > 0.5 * top, top, 0.0) if top else 0.0
        return np.asarray(u.real + 1j * edge)

    def _newton(self, z: Complex, start: Complex, *, real: bool = False) -> Solved:
        out = self._blank(z.size)
        index, u, last = np.arange(z.size), np.array(start), np.full(z.size, np.inf)
        for step in range(_STEPS):
            f, slope, move, residual = self._system(z[index], u)
            stop = (residual <= _DONE) | ((residual >= 0.5 * last) & (residual <= _ACCEPT))
            stop |= ~np.isfinite(residual)
            if step + 1 == _STEPS:
                stop[:] = True
            done = Solved(self._moved(z[index], u, move), f, slope, residual, stop)
            if stop.any():
                here = self._checked(z[index[stop]], done.take(stop), real=real)
                out.put(index[stop], here)
            keep = ~stop
            if not keep.any():
                break
            index, u, last = index[keep], done.u[:, keep], residual[keep]
        return out

    def _system(self, z: Complex, u: Complex) -> tuple[Complex, Complex, Complex, Array]:
        """The next f, df/dzeta, the step in u and the residual relative to the terms."""
        n = np.array(self.times)[:, None]
        pairs = [self.chart.pair(law, row) for law, row in zip(self.laws, u, strict=True)]
        f, d = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
        inverse = 1.0 / d
        det = 1.0 - self.total + np.sum(n * inverse, axis=0)
        # All relative to the law that feels u least: next to an atom at 0, f is constant to the
        # last digit while u falls, and u follows from the sum alone.
        point = np.arange(z.size)
        least = np.argmin(np.where(np.isnan(d), np.inf, abs(d)), axis=0)
        base = f[least, point]
        lack = z - np.sum(n * u, axis=0) + (self.total - 1.0) * base
        apart = (f - base) * inverse
        apart[least, point] = 0.0
        goal = base + (lack + np.sum(n * apart, axis=0)) / det
        # a real problem stays one: rounding must not lift it off the edge of the strip
        flat = np.all(self._on_edge(u) & (f.imag == base.imag), axis=0) & self._on_edge(base)
        turn = np.sum(n * u.imag, axis=0) - (self.total - 1.0) * base.imag - z.imag
        flat &= abs(turn) < _TURN
        goal.imag = np.where(flat, base.imag, goal.imag)
        move = (goal - f) * inverse
        move[least, point] = 0.0
        rest = lack + (self.total - 1.0) * (goal - base) - np.sum(n * move, axis=0)
        move[least, point] = rest / n[least, 0]
        move.imag = np.where(flat, 0.0, move.imag)
        scale = self._grain + abs(z) + np.sum(n * abs(u), axis=0) + (self.total - 1.0) * abs(goal)
        residual = (abs(lack) + np.sum(n * abs(apart), axis=0)) / scale
        return goal, 1.0 / det, move, residual

    def _on_edge(self, u: Complex) -> Booleans:
        return np.asarray((u.imag == 0.0) | (u.imag == self.chart.top))

    def _moved(self, z: Complex, u: Complex, move: Complex) -> Complex:
        """One step, shortened so that it stays in the strip and near."""
        room = u.imag - z.imag
        with np.errstate(all="ignore"):
            bound = np.where((move.imag < 0.0) & (room > 0.0), -0.9 * room / move.imag, np.inf)
        share = np.minimum(1.0, np.min(bound, axis=0))
        new = u + share * move
        imag = np.clip(new.imag, z.imag, self.chart.top)
        return np.asarray(new.real + 1j * imag)

    def _checked(self, z: Complex, s: Solved, *, real: bool) -> Solved:
        """Mark what is the right solution; `real` where it was looked for on the axis."""
        rise = s.u.imag - z.imag
        tiny = _NEAR_AXIS * (1.0 + abs(s.u))
        axis = z.imag == 0.0
        inside = np.all(rise > tiny, axis=0) & (s.f.imag > 0.0)
        above = (
            ~axis & np.all(rise >= -tiny, axis=0) & (s.f.imag >= z.imag * (1.0 - 1e-12) - 1e-300)
        )
        det = 1.0 / s.slope
        flat = np.all(self._on_edge(s.u), axis=0) & self._on_edge(s.f)
        sign = np.where(axis & (s.f.imag == self.chart.top), -1.0, 1.0)
        outside = axis & flat & (sign * det.real > 0.0)
        # in thin tails of a law the densities are rounding: real for all purposes
        thin = np.all(rise <= _THIN * (1.0 + abs(s.u)), axis=0) & (
            abs(s.f.imag) <= _THIN * abs(s.f)
        )
        thin &= real & ~flat
        outside |= axis & thin & np.all(rise >= 0.0, axis=0) & (det.real > 0.0)
        ok = (s.residual <= _ACCEPT) & (inside | above | outside)
        ok &= np.isfinite(s.f) & np.all(np.isfinite(s.u), axis=0)
        return Solved(s.u, s.f, s.slope, s.residual, ok)
