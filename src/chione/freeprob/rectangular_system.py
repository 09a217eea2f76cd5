"""Subordination for sums of rectangular matrices: any number of summands at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.charts import moment_resolvent
from chione.freeprob.measures import AbstractMeasure, Booleans, Complex, Integers

_STEPS = 40  # of Newton's method: four to six from a near start, more where it halves at an edge
_LEVELS = 0.3 ** np.arange(72.0)  # heights on the way down, which ends where z is reached
_START = 8.0  # height of the first guess, in units of the largest singular value
_CONTRACT = 3  # steps of the contraction that begin there, and
_REPAIR = 60  # those that mend where Newton's method fails
_COARSE = 24  # points that are followed down; the others start from solved neighbours
_ROUNDS = 10
_TRY = 8  # steps of an attempt to go straight down from a level that is not yet
_NEAR = 1e-4  # this low
_LONGEST = 0.5  # step in a logarithm
_DONE = 4.0 * EPS  # residual at which Newton's method stops
_ACCEPT = 4096.0 * EPS  # residual up to which a stalled solution is accepted; it is stated
_REAL = 1e-12  # imaginary parts of omega, relative, that are rounding
_FLAT = 1e-5  # |d zeta / d eta| below which the two solutions at an edge are one


@dataclass(frozen=True)
class RectangularSolved:
    """Logarithms u of the y_i, shape (k, N), eta = log h, and what follows; see the system."""

    u: Complex
    eta: Complex
    x: Complex  # M_i(y_i), (k, N)
    q: Complex  # y dM_i/dy, (k, N)
    du: Complex  # d u_i / d zeta, (k, N)
    deta: Complex
    det: Complex  # of Newton's matrix, d T(X) / d eta - y h
    residual: Array  # of T(X) = y h, relative to its terms
    ok: Booleans

    def put(self, index: Integers, other: RectangularSolved) -> None:
        """Overwrite the columns `index`."""
        self.u[:, index], self.eta[index] = other.u, other.eta
        self.x[:, index], self.q[:, index] = other.x, other.q
        self.du[:, index], self.deta[index], self.det[index] = other.du, other.deta, other.det
        self.residual[index], self.ok[index] = other.residual, other.ok

    def take(self, index: Integers | Booleans) -> RectangularSolved:
        """The columns `index`."""
        return RectangularSolved(
            self.u[:, index],
            self.eta[index],
            self.x[:, index],
            self.q[:, index],
            self.du[:, index],
            self.deta[index],
            self.det[index],
            self.residual[index],
            self.ok[index],
        )


@dataclass(frozen=True)
class RectangularSystem:
    r"""The equations of the subordination functions of a sum of rectangular matrices.

    With M_i the moment function of the i-th law of squared singular values and y = z^2,

    .. math::
        x_i = M_i(y_i), \qquad X = \sum_i n_i x_i, \qquad T(x) = (1 + x)(1 + c x), \qquad
        \frac{T(x_i)}{y_i} = \frac{T(X)}{y} = h

    This is operator-valued subordination [1]_ of the matrices :math:`(0, A_i; A_i^T, 0)` over the
    diagonal 2 x 2 matrices, with

    .. math::
        G = \Big(\frac{1 + X}{z}, \frac{1 + c X}{z}\Big), \quad
        \omega_i = \Big(\frac{1 + x_i}{G_1}, \frac{1 + c x_i}{G_2}\Big), \quad
        y_i = \omega_{i1} \omega_{i2}, \quad h = G_1 G_2, \quad
        \sum_i n_i \omega_i = (z, z) + (n - 1)\, G^{-1}

    Parameters
    ----------
    laws : tuple of AbstractMeasure
        Distinct laws on [0, inf), none the point mass at 0.
    times : tuple of float
        How often each occurs.
    ratio : float
        c = rows / columns, in (0, 1].

    Notes
    -----
    The fixed point of :math:`\omega_i \leftarrow z + \sum_j n_j H_j(\omega_j) - H_i(\omega_i)`,
    :math:`H = G_i^{-1} - \omega_i`, is the only one with :math:`\mathrm{Im}\,\omega \ge
    \mathrm{Im}\,z`; on the axis a real solution is the limit from above if
    :math:`\omega' \ge 1`. Each solution is checked for this, so that Newton's method may start
    anywhere.

    References
    ----------
    .. [1] S. T. Belinschi, T. Mai, R. Speicher, Analytic subordination theory of operator-valued
       free additive convolution, J. reine angew. Math. 732, 2017.
    .. [2] F. Benaych-Georges, Rectangular random matrices, related convolution, Probab. Theory
       Relat. Fields 144, 2009.
    """

    laws: tuple[AbstractMeasure, ...]
    times: tuple[float, ...]
    ratio: float

    @cached_property
    def counts(self) -> Array:
        """The multiplicities as a column."""
        return np.array(self.times)[:, None]

    @cached_property
    def size(self) -> float:
        """Root of the mean square of the sum."""
        pairs = zip(self.laws, self.times, strict=True)
        return float(np.sqrt(sum(n * law.mean for law, n in pairs)))

    def solve(self, z: Complex) -> RectangularSolved:
        """Solve at points z = sqrt(y) of the closed first quadrant, shape (N,), in any order."""
        order = np.lexsort((z.imag, z.real))
        z = z[order]
        with np.errstate(all="ignore"):
            out = self._blank(z.size)
            count = min(_COARSE, z.size)
            coarse = np.unique(np.linspace(0.0, z.size - 1.0, count).round().astype(np.intp))
            out.put(coarse, self._descend(z[coarse]))
            for _ in range(_ROUNDS):
                todo, known = np.nonzero(~out.ok)[0], np.nonzero(out.ok)[0]
                if todo.size == 0 or known.size == 0:
                    break
                found = self._newton(z[todo], *self._guess(z, out, known, todo))
                if not found.ok.any():
                    break
                out.put(todo[found.ok], found.take(found.ok))
            todo = np.setdiff1d(np.nonzero(~out.ok)[0], coarse)
            if todo.size:
                out.put(todo, self._descend(z[todo]))
        back = np.empty_like(order)
        back[order] = np.arange(order.size)
        out = out.take(back)
        lost = ~out.ok
        out.u[:, lost], out.x[:, lost], out.eta[lost] = np.nan, np.nan, np.nan
        out.du[:, lost], out.deta[lost], out.residual[lost] = np.nan, np.nan, np.inf
        return out

    # ---- starting points ---------------------------------------------------------------------

    def _blank(self, size: int) -> RectangularSolved:
        def zeros(*shape: int) -> Complex:
            return np.zeros(shape, dtype=complex)

        k = len(self.laws)
        return RectangularSolved(
            zeros(k, size),
            zeros(size),
            zeros(k, size),
            zeros(k, size),
            zeros(k, size),
            zeros(size),
            zeros(size),
            np.full(size, np.inf),
            np.zeros(size, dtype=bool),
        )

    def _guess(
        self, z: Complex, out: RectangularSolved, known: Integers, todo: Integers
    ) -> tuple[Complex, Complex]:
        """First order from the nearest solved point, in log z."""
        at = np.searchsorted(known, todo)
        left, right = known[np.maximum(at - 1, 0)], known[np.minimum(at, known.size - 1)]
        near = np.where(abs(z[todo] - z[left]) <= abs(z[right] - z[todo]), left, right)
        step = 2.0 * np.log(z[todo] / z[near])
        return self._ahead(out.take(near), step)

    def _ahead(self, s: RectangularSolved, step: Any) -> tuple[Complex, Complex]:
        move, turn = s.du * step, s.deta * step
        size = np.maximum(np.max(abs(move), axis=0), abs(turn))
        hold = np.minimum(1.0, _LONGEST / np.maximum(size, 1e-300))
        hold = np.where(np.isfinite(size), hold, 0.0)
        move, turn = np.where(hold > 0.0, move, 0.0), np.where(hold > 0.0, turn, 0.0)
        return self._kept(s.u + hold * move), np.asarray(s.eta + hold * turn)

    def _descend(self, z: Complex) -> RectangularSolved:
        """From far above, where omega = z, down to z."""
        height = _START * (self.size + abs(z))
        out, index = self._blank(z.size), np.arange(z.size)
        level = z + 1j * height
        start = self._contracted(level, np.array([level] * len(self.laws)), None, _CONTRACT)
        for k, fall in enumerate(_LEVELS):
            level = z[index] + 1j * height[index] * fall
            at = self._newton(level, *start)
            bad = np.nonzero(~at.ok)[0]
            if bad.size:
                w1, w2 = self._omegas(level[bad], start[0][:, bad], start[1][bad])
                again = self._contracted(level[bad], w1, w2, _REPAIR)
                at.put(bad, self._newton(level[bad], *again))
            ahead = self._ahead(at, 2.0 * np.log(z[index] / level))
            direct = self._newton(z[index], *ahead, _STEPS if fall < _NEAR else _TRY)
            out.put(index[direct.ok], direct.take(direct.ok))
            keep = ~direct.ok
            if not keep.any() or k + 1 == _LEVELS.size:
                break
            index, at = index[keep], at.take(keep)
            next_level = z[index] + 1j * height[index] * _LEVELS[k + 1]
            start = self._ahead(at, 2.0 * np.log(next_level / level[keep]))
        return out

    def _omegas(self, z: Complex, u: Complex, eta: Complex) -> tuple[Complex, Complex]:
        """Both components from u alone, moved into the half plane above z."""
        rows = [moment_resolvent(law, _exp(row)) for law, row in zip(self.laws, u, strict=True)]
        x = np.array([row[1] for row in rows])
        total = np.sum(self.counts * x, axis=0)
        w1 = z * (1.0 + x) / (1.0 + total)
        w2 = z * (1.0 + self.ratio * x) / (1.0 + self.ratio * total)
        ok = np.isfinite(w1) & np.isfinite(w2)
        w1, w2 = np.where(ok, w1, z), np.where(ok, w2, z)
        return (
            np.asarray(w1.real + 1j * np.maximum(w1.imag, z.imag)),
            np.asarray(w2.real + 1j * np.maximum(w2.imag, z.imag)),
        )

    def _contracted(
        self, z: Complex, w1: Complex, w2: Complex | None, steps: int
    ) -> tuple[Complex, Complex]:
        """Steps of the contraction, slow and sure; gives u and eta."""
        w2 = w1 if w2 is None else w2
        c, n = self.ratio, self.counts
        g1 = g2 = np.ones_like(z)
        for _ in range(steps):
            y = w1 * w2
            p = np.array(
                [moment_resolvent(law, row)[0] for law, row in zip(self.laws, y, strict=True)]
            )
            h1, h2 = w1 / p - w1, w2 / (1.0 - c + c * p) - w2
            w1 = z + np.sum(n * h1, axis=0) - h1
            w2 = z + np.sum(n * h2, axis=0) - h2
            g1, g2 = p[0] / w1[0], (1.0 - c + c * p[0]) / w2[0]
        return _log(w1) + _log(w2), np.asarray(np.log(g1) + np.log(g2))

    # ---- Newton's method ---------------------------------------------------------------------

    def _kept(self, u: Complex) -> Complex:
        """Arguments of y_i lie in [0, 2 pi]."""
        return np.asarray(u.real + 1j * np.clip(u.imag, 0.0, 2.0 * np.pi))

    def _newton(
        self, z: Complex, u: Complex, eta: Complex, steps: int = _STEPS
    ) -> RectangularSolved:
        out = self._blank(z.size)
        zeta = 2.0 * _log(z)
        index, last = np.arange(z.size), np.full(z.size, np.inf)
        u, eta = self._kept(u), np.array(eta)
        for step in range(steps):
            found, move, turn = self._system(zeta[index], u, eta)
            r = found.residual
            stop = (r <= _DONE) | ((r >= 0.5 * last) & (r <= _ACCEPT)) | ~np.isfinite(r)
            if step + 1 == steps:  # what may still improve is left to a longer run
                found.ok[~stop] &= (steps == _STEPS) | (r[~stop] <= _DONE)
                stop[:] = True
            if stop.any():
                out.put(index[stop], self._checked(z[index[stop]], found.take(stop)))
            keep = ~stop
            if not keep.any():
                break
            size = np.maximum(np.max(abs(move), axis=0), abs(turn))
            hold = np.minimum(1.0, _LONGEST / np.maximum(size, 1e-300))
            u, eta = self._kept(u + hold * move)[:, keep], (eta + hold * turn)[keep]
            index, last = index[keep], r[keep]
        return out

    def _system(
        self, zeta: Complex, u: Complex, eta: Complex
    ) -> tuple[RectangularSolved, Complex, Complex]:
        """The state at (u, eta) with the steps in u and eta that Newton's method takes."""
        c, n = self.ratio, self.counts
        rows = [moment_resolvent(law, _exp(row)) for law, row in zip(self.laws, u, strict=True)]
        p, x, q = (np.array([row[k] for row in rows]) for k in (0, 1, 2))
        w = 1.0 - c + c * p  # 1 + c x without cancellation at small p
        rise = 1.0 / p + c / w  # T' / T
        inner = np.log(p * w * np.exp(-u - eta))
        top, slope, scale = self._outer(x, q)
        yh = np.exp(zeta + eta)
        outer = top - yh
        d = rise * q - 1.0
        share = n * q / d
        # the sum 1 + X cancels where G is small: not its logarithm is solved for, but its value
        det = slope * np.sum(share, axis=0) - yh
        turn = (slope * np.sum(share * inner, axis=0) - outer) / det
        move = (turn - inner) / d
        residual = abs(outer) + abs(slope) * np.sum(abs(share * inner), axis=0)
        residual = residual / (scale + abs(yh))
        deta = yh / det
        ok = np.isfinite(residual)
        state = RectangularSolved(u, eta, x, q, deta / d, deta, det, residual, ok)
        return state, move, turn

    def _outer(self, x: Complex, q: Complex) -> tuple[Complex, Complex, Array]:
        """T(X), T'(X), and the size of the terms of T(X), whose u_i are rounded."""
        c = self.ratio
        total = np.sum(self.counts * x, axis=0)
        slope = 1.0 + c + 2.0 * c * total
        size = 1.0 + np.sum(self.counts * (abs(x) + abs(q)), axis=0)
        return (1.0 + total) * (1.0 + c * total), slope, abs(slope) * size

    def uncertainty(self, zeta: Any, s: RectangularSolved, moved: Array) -> Array:
        """The error of eta, `moved` being those of x_i, shape (k, N)."""
        _, slope, scale = self._outer(s.x, s.q)
        lost = (s.residual + 16.0 * EPS) * (scale + abs(np.exp(zeta + s.eta)))
        return np.asarray((lost + abs(slope) * np.sum(self.counts * moved, axis=0)) / abs(s.det))

    def _checked(self, z: Complex, s: RectangularSolved) -> RectangularSolved:
        """Mark what is the right solution."""
        c, total = self.ratio, np.sum(self.counts * s.x, axis=0)
        dx = s.q * s.du
        dtotal = np.sum(self.counts * dx, axis=0)
        axis = z.imag == 0.0
        above, flat, rising = (np.ones(z.shape, dtype=bool) for _ in range(3))
        for factor in (1.0, c):
            w = z * (1.0 + factor * s.x) / (1.0 + factor * total)
            slope = 0.5 + factor * (dx / (1.0 + factor * s.x) - dtotal / (1.0 + factor * total))
            tiny = _REAL * (abs(w) + abs(z))
            above &= np.all(w.imag >= z.imag - tiny, axis=0)
            flat &= np.all(abs(w.imag) <= tiny, axis=0)
            rising &= np.all((2.0 * w * slope / z).real > 0.5, axis=0)
        # det = d T(X) / d eta - y h: small against y h where the two solutions at an edge meet
        edge = abs(s.det) <= _FLAT * abs(np.exp(2.0 * _log(z) + s.eta))
        ok = s.ok & (s.residual <= _ACCEPT)
        ok &= above & (~axis | ~flat | rising | edge)
        ok &= np.isfinite(s.eta) & np.all(np.isfinite(s.u), axis=0)
        return RectangularSolved(s.u, s.eta, s.x, s.q, s.du, s.deta, s.det, s.residual, ok)


def _exp(u: Complex) -> Complex:
    """Exp of u with 0 <= Im u <= 2 pi, real where Im u is a multiple of pi."""
    size, angle = np.exp(u.real), u.imag
    edge = (angle == 0.0) | (angle == np.pi) | (angle == 2.0 * np.pi)
    return np.asarray(size * np.cos(angle) + 1j * np.where(edge, 0.0, size * np.sin(angle)))


def _log(w: Complex) -> Complex:
    """Logarithm of a number of the closed upper half plane, Im in [0, pi]."""
    return np.asarray(np.log(abs(w)) + 1j * np.arctan2(np.maximum(w.imag, 0.0), w.real))
