r"""The spectrum at different widths per layer, Gaussian weights.

With :math:`a_l = N_L / N_l`, :math:`x_l = a_l x`, and w(x) the inverse of M, freeness of the
rectangular factors gives, for :math:`x = z G(z) - 1` of :math:`J J^T`,

.. math:: z = \frac{1 + x_0}{x_0} \prod_{l=1}^{L} \sigma_w^2\, x_{l-1}\, w(x_l)

On the negative axis everything is real and monotone. From there z is turned to the positive axis
through the upper half plane, where all functions are analytic, so Newton's method stays on the
physical branch.
"""

# ruff: noqa: D102  (the methods are documented once, in AbstractSolver)

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq

from chione.base import EPS, Array, ConvergenceError
from chione.freeprob import series
from chione.freeprob.measures import Booleans, Complex
from chione.freeprob.squares import GaussianSquare
from chione.theory.spectra.jacobian_solvers import AbstractSolver, Transform, Values

_TURN = np.pi * (1.0 - np.linspace(0.0, 1.0, 25)) ** 1.5  # angles of z on its way down
_AXIS = 250.0  # reach in log |w| of the table on the negative axis
_NEWTON = 40
_SCAN = 600  # points of log lambda at which bands are looked for
_VANISHED = 1e-9  # density by log lambda that counts as none in the scan for bands


@dataclass(frozen=True)
class _State:
    """A solution at several z: x, and log w for each distinct width."""

    x: Complex  # (m,)
    log_w: Complex  # (m, G)


@dataclass(frozen=True)
class WidthsSolver(AbstractSolver):
    """Solver by continuation; cost proportional to the number of distinct widths.

    Parameters
    ----------
    law : GaussianSquare
        Law of t.
    log_gain : float
        log sigma_w^2.
    ratios : tuple of float
        Widths of the input and the L layers, relative to the last layer.
    slack : float
        Relative error of t.
    """

    law: GaussianSquare
    log_gain: float
    ratios: tuple[float, ...]
    slack: float = 0.0

    @cached_property
    def groups(self) -> tuple[Array, Array]:
        """Distinct a = N_L / N_l of the layers l = 1 .. L, and how many layers have each."""
        a, n = np.unique(1.0 / np.array(self.ratios[1:]), return_counts=True)
        return a, n.astype(np.float64)

    @cached_property
    def rank(self) -> float:
        """Share of eigenvalues that are not zero."""
        alive = 1.0 - sum(m for a, m in self.law.atoms if a == 0.0)
        return min(1.0, self.ratios[0], min(alive * r for r in self.ratios[1:]))

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return ((-np.inf, 1.0 - self.rank),) if self.rank < 1.0 else ()

    # ------------------------------------------------------------------------------ equation

    def _log_z(self, state: _State) -> tuple[Complex, Complex, Complex]:
        """Log z on the branch of the state, its slope by x, and the residuals of M(w_g) = a_g x."""
        a, n = self.groups
        L = len(self.ratios) - 1
        r = self.law.resolvent(np.exp(state.log_w))
        x = state.x
        x0 = x / self.ratios[0]
        constant = L * self.log_gain - float(np.sum(np.log(self.ratios[:-1])))
        log_x = np.log(abs(x)) + 1j * self._arg(x)
        log_z = np.log(1.0 + x0) - (log_x - np.log(self.ratios[0]))
        log_z = log_z + constant + L * log_x + state.log_w @ n
        residual = a * x[:, None] - r.m  # (m, G)
        slope = 1.0 / (self.ratios[0] + x) + (L - 1) / x + (a / r.q) @ n
        return log_z + (residual / r.q) @ n, slope, residual / r.q

    @staticmethod
    def _arg(x: Complex) -> Array:
        """Argument in [-pi, 0]: x lies in the lower half plane, its negative axis included."""
        angle = np.angle(x)
        return np.asarray(np.where(angle > 0.5 * np.pi, angle - 2.0 * np.pi, angle))

    def _newton(self, log_z: Complex, state: _State, a: Array) -> tuple[_State, Booleans]:
        x, log_w = state.x.copy(), state.log_w.copy()
        step = np.full(x.size, np.inf)
        with np.errstate(all="ignore"):
            for _ in range(_NEWTON):
                value, slope, residual = self._log_z(_State(x, log_w))
                dx = (log_z - value) / slope
                dw = residual + dx[:, None] * a / self._q(log_w)
                size = np.maximum(abs(dx / x), abs(dw).max(axis=1))
                hold = np.minimum(1.0, 0.5 / np.maximum(size, 1e-300))
                x, log_w = x + hold * dx, log_w + hold[:, None] * dw
                step = size
                if np.all((step < 1e-13) | ~np.isfinite(step)):
                    break
        return _State(x, log_w), step < 1e-9

    def _q(self, log_w: Complex) -> Complex:
        return self.law.resolvent(np.exp(log_w)).q

    def _negative_axis(self, log_lambda: Array) -> _State:
        """The real solution at z = -lambda to a few digits, from a table along the axis.

        On w = -e^u both -M = E t/(e^u + t) and its complement E_{t>0} e^u/(e^u + t) are plain
        positive sums, and the logarithm of their ratio is monotone in u.
        """
        a, n = self.groups
        t, p = self.law.nodes
        t, p = t[t > 0.0], p[t > 0.0]
        alive = float(p.sum())
        u = np.linspace(-_AXIS, _AXIS, 4001)
        with np.errstate(over="ignore", under="ignore"):
            ratio = np.exp(u[:, None] - np.log(t))
            minus_m, rest = (1.0 / (1.0 + ratio)) @ p, (1.0 / (1.0 + 1.0 / ratio)) @ p
        logit = np.log(rest) - np.log(minus_m)  # rising in u
        reach = np.array([*(alive / a), self.ratios[0]])
        k = int(np.argmin(reach))
        if k < a.size:
            minus_x = minus_m / a[k]
        else:  # the input is the bottleneck: x_0 = -1 / (1 + e^u)
            minus_x = self.ratios[0] / (1.0 + np.exp(u))
        log_w = np.empty((u.size, a.size))
        for g, scale in enumerate(a):
            m = scale * minus_x
            own = np.log(np.maximum(alive - m, 1e-300)) - np.log(m)
            log_w[:, g] = u if g == k else np.interp(own, logit, u)
        one_plus_x0 = 1.0 - minus_x / self.ratios[0]
        if k == a.size:
            one_plus_x0 = 1.0 / (1.0 + np.exp(-u))
        L = len(self.ratios) - 1
        one_plus_x0 = np.maximum(one_plus_x0, 1e-300)
        log_z = np.log(one_plus_x0) - np.log(minus_x / self.ratios[0]) + log_w @ n
        log_z += L * (self.log_gain + np.log(minus_x)) - float(np.sum(np.log(self.ratios[:-1])))
        x = -np.exp(np.interp(log_lambda, log_z, np.log(minus_x)))
        logs = np.stack([np.interp(log_lambda, log_z, log_w[:, g]) for g in range(a.size)], axis=1)
        return _State(x.astype(complex), np.asarray(logs + 1j * np.pi))

    def _states(self, log_lambda: Array) -> tuple[_State, Booleans]:
        """The physical solution at real positive z."""
        a, _ = self.groups
        state = self._negative_axis(log_lambda)
        good = np.ones(log_lambda.size, dtype=bool)
        for angle in _TURN:
            state, ok = self._newton(log_lambda + 1j * angle, state, a)
            good &= ok
        return state, good

    # -------------------------------------------------------------------------------- values

    def _density_cdf(self, state: _State) -> tuple[Array, Array]:
        a, n = self.groups
        x = state.x
        x0 = x / self.ratios[0]
        L = len(self.ratios) - 1
        logs = self.law.mean_log(np.exp(state.log_w))
        u: Complex = ((1.0 - 1.0 / a) * state.log_w + logs / a) @ n
        arg = self._arg(x)
        above = u.imag + L * (arg + x.imag) - arg
        above = above + np.log(1.0 + x0).imag * (1.0 - self.ratios[0])
        return np.maximum(-x.imag / np.pi, 0.0), np.clip(1.0 - above / np.pi, 0.0, 1.0)

    def values(self, log_lambda: Array) -> Values:
        y = np.asarray(log_lambda, dtype=np.float64)
        state, good = self._states(y)
        density, cdf = self._density_cdf(state)
        inside = np.zeros(y.size, dtype=bool)
        for a, b in self.support:
            inside |= (y > a) & (y < b)
        density = np.where(inside, density, 0.0)
        _, slope, _ = self._log_z(state)
        with np.errstate(all="ignore"):
            rounding = 64.0 * EPS * len(self.ratios) * (8.0 + abs(y)) + self.slack
            error = abs(rounding / slope) + 64.0 * EPS * abs(state.x)
        # Off the bands the logarithms of negative numbers have no side; the mass is known.
        cdf = np.where(y <= self.support[0][0], 1.0 - self.rank, cdf)
        cdf = np.where(y >= self.support[-1][1], 1.0, cdf)
        bad = ~good & inside
        density[bad], cdf[bad] = np.nan, np.nan
        return Values(density, cdf, np.where(inside, error, 0.0), error + 64.0 * EPS)

    def resolvent(self, log_z: Complex) -> Transform:
        log_z = np.asarray(log_z, dtype=complex)
        a, n = self.groups
        state, good = self._negative_axis(log_z.real), np.ones(log_z.size, dtype=bool)
        for angle in _TURN:
            at = log_z.real + 1j * np.maximum(angle, log_z.imag)
            state, ok = self._newton(at, state, a)
            good &= ok
        x, L = state.x, len(self.ratios) - 1
        _, slope, _ = self._log_z(state)
        log_x = np.log(abs(x)) + 1j * self._arg(x)
        logs = self.law.mean_log(np.exp(state.log_w))
        u = ((1.0 - 1.0 / a) * state.log_w + logs / a) @ n + (L - 1) * log_x + L * x
        u = u + np.log(1.0 + x / self.ratios[0]) * (1.0 - self.ratios[0])
        constant = L * self.log_gain - float(np.sum(np.log(self.ratios[:-1])))
        error = abs((64.0 * EPS * (L + 1) * (8.0 + abs(log_z)) + self.slack) / slope)
        nan = complex(np.nan, np.nan)
        p, x, dp, u = (np.where(good, v, nan) for v in (1.0 + x, x, 1.0 / slope, u + constant))
        return Transform(p, x, dp, u, np.where(good, error + 64.0 * EPS * abs(x), np.inf))

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        """Bands found by a scan of log lambda and refined at critical points of log z."""
        grid = self._scan_grid()
        state, good = self._states(grid)
        if not np.any(good):
            raise ConvergenceError("the spectrum at these widths could not be followed.")
        on = (-state.x.imag > _VANISHED) & good
        out: list[tuple[float, float]] = []
        start = -np.inf if on[0] else None
        for i in np.nonzero(on[1:] != on[:-1])[0]:
            inner = i if on[i] else i + 1
            edge = self._edge(state.x[inner], state.log_w[inner], grid[i], grid[i + 1])
            if on[i + 1]:
                start = -np.inf if not out and self._soft_bottom else edge
            elif start is not None:
                out.append((float(start), float(edge)))
                start = None
        if start is not None:
            out.append((float(start), np.inf))
        return tuple(out)

    @property
    def _soft_bottom(self) -> bool:
        """Whether small t make the law reach 0: where a layer, not the input, bounds the rank."""
        a, _ = self.groups
        alive = 1.0 - sum(m for p, m in self.law.atoms if p == 0.0)
        bounded_by_layer = float(np.min(alive / a)) <= self.ratios[0]
        return bounded_by_layer and self.law.pieces is not None and self.law.limits[0] == 0.0

    def _scan_grid(self) -> Array:
        m, log_m1 = self.scaled_moments(2)
        L = len(self.ratios) - 1
        top = log_m1 + np.log(m[1]) + 3.0 + np.log(L + 1.0)
        fine = np.linspace(top - 12.0, top, _SCAN // 2)
        low = top - 12.0 - np.geomspace(0.05, 40.0 * (L + 1.0), _SCAN // 2)
        return np.concatenate([low[::-1], fine])

    def _edge(self, x: complex, log_w: Complex, lo: float, hi: float) -> float:
        """Critical point of log z on the real axis near a point just inside the band."""
        a, _ = self.groups
        real = float(x.real)
        sign = log_w.imag > 0.5 * np.pi
        guess = log_w.real + 1j * np.where(sign, np.pi, 0.0)

        def at(u: float) -> tuple[float, float]:
            state = _State(np.array([u + 0j]), guess[None].copy())
            for _ in range(60):
                r = self.law.resolvent(np.exp(state.log_w))
                step = (a * u - r.m) / r.q
                step = step / np.maximum(1.0, 4.0 * abs(step))
                state = _State(state.x, state.log_w + step)
                if np.all(abs(step) < 1e-15):
                    break
            value, slope, _ = self._log_z(state)
            return float(value.real[0]), float((slope * state.x).real[0])

        width = max(3.0 * abs(x.imag), 1e-9)
        with np.errstate(all="ignore"):
            try:
                root = brentq(lambda u: at(u)[1], real - width, real + width, xtol=1e-15)
            except ValueError:
                return 0.5 * (lo + hi)  # a soft end: no critical point to refine
            return at(root)[0]

    def curve(self, n: int) -> tuple[Array, Values]:
        parts = []
        each = -(-n // len(self.support))
        for a, b in self.support:
            low = a if np.isfinite(a) else b - 40.0 * len(self.ratios)
            u = np.linspace(0.0, 1.0, each + 2)[1:-1]
            shape = np.sin(0.5 * np.pi * u) ** 2 if np.isfinite(a) else 1.0 - (1.0 - u) ** 3
            # The lower tail is long in log lambda and holds little mass: cubes, not squares.
            shape = shape if np.isfinite(a) else 1.0 - (1.0 - u) ** 3
            parts.append(low + (b - low) * shape)
        x = np.concatenate(parts)
        return x, self.values(x)

    def scaled_moments(self, n: int) -> tuple[Array, float]:
        mu = self.law.moments(n)
        t = series.s_coefficients(mu / mu[0] ** np.arange(1.0, n + 1))
        k = np.arange(n)
        a, count = self.groups
        out = np.zeros(n)
        out[0] = 1.0
        for g, c in zip(a, count, strict=True):
            linear = np.zeros(n)
            linear[:2] = (1.0, g)[:n]
            factor = series.multiply(t * g**k, series.reciprocal(linear))
            out = series.multiply(out, series.power(factor, float(c)))
        linear = np.zeros(n)
        linear[:2] = (1.0, 1.0 / self.ratios[0])[:n]
        u = series.multiply(out, series.reciprocal(linear))
        L = len(self.ratios) - 1
        return series.revert(u), L * float(self.log_gain + np.log(mu[0]))
