r"""The master equation of the Jacobian's spectrum, explicit in the argument w of M.

.. math::
    \text{orthogonal} \quad \log z &= L \log(\sigma_w^2 w) + (L - 1)(\log M - \log P) \\
    \text{Gaussian} \quad \log z &= L \log(\sigma_w^2 w) + (L - 1) \log M + \log P

with :math:`M = E[t/(w - t)]`, :math:`P = E[w/(w - t)]`, :math:`t = \phi'(h)^2`. With principal
logarithms a root w in the open upper half plane of Im log z = 0 is the physical one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.measures import Booleans, Complex, Integers
from chione.freeprob.squares import GaussianSquare

_ANGLE_STEPS = 80  # Newton inside a bracket: about eight are used, bisection would need fifty
_STEP = 1e-8  # relative step of Newton's method after which no further one is needed
_PATIENCE = 6  # steps after which a residual at the level of rounding ends the search
_ROUGH = 1e-3  # largest relative step that ends a search whose steps do not shrink
_POLISH = 3  # steps more after a rough one
_FLAT = 0.5  # angle below which the root on the axis bends Im log z
_NOISE = 1e-14  # that level, per layer


@dataclass(frozen=True)
class Point:
    """One evaluation: log z, its derivative by log w, P, M, and dP / dlog w."""

    log_z: Complex
    slope: Complex
    p: Complex
    m: Complex
    p_slope: Complex

    def pick(self, keep: Integers | Booleans) -> Point:
        """Some of the values."""
        return Point(*(v[keep] for v in vars(self).values()))

    def moved(self, d: Complex) -> Point:
        """The values at log w + d, to first order."""
        dp = self.p_slope * d
        return Point(
            self.log_z + self.slope * d, self.slope, self.p + dp, self.m + dp, self.p_slope
        )


@dataclass(frozen=True)
class MasterEquation:
    """The master equation of one network.

    Parameters
    ----------
    law : GaussianSquare
        Law of phi'(h)^2.
    log_gain : float
        Logarithm of sigma_w^2.
    depth : int
        Number L of layers.
    gaussian : bool
        Gaussian weights; else orthogonal ones.
    slack : float
        Relative error of t itself, for derivatives that were found by interpolation.
    """

    law: GaussianSquare
    log_gain: float
    depth: int
    gaussian: bool
    slack: float = 0.0

    def at(self, log_w: Any) -> Point:
        """Log z and P at log w of any shape, 0 <= Im log w <= pi."""
        log_w = np.asarray(log_w, dtype=complex)
        L = self.depth
        with np.errstate(invalid="ignore"):  # a radius without a root has no angle
            r = self.law.resolvent(np.exp(log_w))
        p, m, q = r.p, r.m, r.q
        with np.errstate(divide="ignore", invalid="ignore"):
            log_m, log_p = lower_log(m), lower_log(p)
            if self.gaussian:
                log_z = L * (self.log_gain + log_w) + (L - 1) * log_m + log_p
                slope = L + (L - 1) * q / m + q / p
            else:
                # M / P = 1 - 1 / P: of a narrow bulk both are large, and their logarithms rough.
                ratio = np.where(abs(p) > 2.0, np.log1p(-1.0 / p), log_m - log_p)
                log_z = L * (self.log_gain + log_w) + (L - 1) * ratio
                slope = L + (L - 1) * q / (m * p)  # 1/M - 1/P = 1/(M P)
        return Point(np.asarray(log_z), np.asarray(slope), p, m, q)

    def angle(self, log_r: Array, start: Array | None = None) -> Array:
        """The angle in (0, pi) with Im log z = 0 at each radius |w|; NaN where there is none."""
        return np.asarray(self.on_curve(log_r, start)[0].imag)

    def on_curve(
        self, log_r: Array, start: Array | None = None, step: float = _STEP
    ) -> tuple[Complex, Point]:
        """Roots at the radii |w|, angle NaN where there is none, and the values there.

        Quadratic convergence: the values of the last step but one, moved by a step below 1e-8 of
        the distance to the axis, are right to rounding.
        """
        log_r = np.asarray(log_r, dtype=np.float64)
        low, high = np.zeros(log_r.size), np.full(log_r.size, np.pi)
        theta = np.full(log_r.size, 0.9) if start is None else np.array(start)
        active = np.arange(log_r.size)
        done = np.zeros(log_r.size, dtype=bool)
        last, moved = _points(log_r.size), np.zeros(log_r.size)
        off = self._off_support(log_r)
        for k in range(_ANGLE_STEPS):
            y = self.at(log_r[active] + 1j * theta[active])
            g, dg = y.log_z.imag, y.slope.real
            t = theta[active]
            low[active] = np.where(g < 0.0, t, low[active])
            high[active] = np.where(g < 0.0, high[active], t)
            with np.errstate(divide="ignore", invalid="ignore"):
                newton = t - g / dg
                # Off the support of t the axis is a root itself: Newton in theta^2 for g / theta.
                square = 1.0 - 2.0 * g / (t * dg - g)
                deflated = off[active] & ((g > 0.0) | (t < _FLAT)) & (square > 0.0) & (square < 9.0)
                newton = np.where(deflated, t * np.sqrt(square), newton)
            new = newton
            inside = (new > low[active]) & (new < high[active])
            lo, hi = low[active], high[active]
            # Arithmetic bisection first, geometric once the bracket spans orders of magnitude.
            middle = np.where(lo > 0.0, np.sqrt(np.maximum(lo, 1e-300) * hi), hi * 0.125)
            new = np.where(inside, new, np.where(hi > 8.0 * lo, middle, 0.5 * (lo + hi)))
            small = abs(newton - t) <= step * np.minimum(t, np.pi - t)
            new = np.where(small, newton, new)
            ended = small & (dg > 0.0)
            if k >= _PATIENCE:  # in tails below rounding the sign of g is noise
                noise = abs(g) <= _NOISE * self.depth
                near = abs(newton - t) <= _enough(k) * t
                noise = (noise | near) & ~ended
                new = np.where(noise, np.where(near, newton, t), new)
                ended |= noise
            theta[active], moved[active] = new, new - t
            store(last, active, y)
            done[active[ended]] = True
            active = active[~(ended | (new < 1e-200))]
            if active.size == 0:
                break
        theta[~done & (theta < 1e-100)] = np.nan
        return log_r + 1j * theta, last.moved(np.where(done, 1j * moved, 0.0))

    def _off_support(self, log_r: Array) -> Booleans:
        """Radii at which the real axis holds no t, where log z is real."""
        off = np.ones(log_r.size, dtype=bool)
        with np.errstate(divide="ignore"):
            for low, high in np.log(np.reshape(self.law.support, (-1, 2))):
                off &= (log_r < low) | (log_r > high)
        return off

    def above(self, log_w: Complex, m: Complex | None = None) -> Array:
        r"""Mass above z(w): 1 - cdf = Im U / pi, from dU = P dlog z.

        .. math:: U = L E \log(w - t) + (L - 1) \log M \; [+\, L M \text{ Gaussian}]
        """
        with np.errstate(invalid="ignore"):  # as in `at`
            w = np.exp(np.asarray(log_w, dtype=complex))
        if m is None:  # known already where the point has been evaluated
            m = self.law.resolvent(w).m
        u = self.depth * self.law.mean_angle(w) + (self.depth - 1) * lower_log(m).imag
        return np.asarray((u + self.depth * m.imag if self.gaussian else u) / np.pi)

    def mean_log(self, log_w: Complex, m: Complex) -> Complex:
        r"""U = E log(z - lambda) at the root w, with its constant: U ~ log z at infinity."""
        u = self.depth * (self.log_gain + self.law.mean_log(np.exp(log_w)))
        u = u + (self.depth - 1) * lower_log(m)
        return np.asarray(u + self.depth * m if self.gaussian else u)

    def noise(self, log_w: Complex) -> Array:
        """Rounding of log z."""
        return np.asarray(8.0 * EPS * self.depth * (1.0 + abs(log_w) + abs(self.log_gain)))

    def solve(self, log_z: Array, log_w: Complex) -> tuple[Complex, Point, Booleans]:
        """Newton in log w for given real log z: log w, the values there, whether it converged."""
        log_w = np.array(log_w, dtype=complex)
        good = np.zeros(log_w.size, dtype=bool)
        active = np.arange(log_w.size)
        last, moved = _points(log_w.size), np.zeros(log_w.size, dtype=complex)
        for k in range(30):
            y = self.at(log_w[active])
            with np.errstate(all="ignore"):
                step = (y.log_z - log_z[active]) / y.slope
            size = abs(step)
            # Hold the step where it would leave the half plane.
            im = log_w[active].imag
            hold = np.minimum(1.0, 0.7 * im / np.maximum(step.imag, 1e-300))
            hold = np.where(step.imag > 0.0, hold, 1.0)
            hold = np.minimum(hold, 0.5 / np.maximum(size, 1e-300))
            log_w[active] = log_w[active] - step * hold
            bad = ~np.isfinite(step) | (log_w[active].imag > np.pi)
            # No further than the rounding of log z, which can be wider than the half plane.
            with np.errstate(divide="ignore"):
                noise = self.noise(log_w[active]) / abs(y.slope)
            small = np.maximum(_enough(k) * np.minimum(1.0, im), noise)
            ended = (size <= small) & (hold == 1.0)
            store(last, active, y)
            moved[active] = np.where(ended, -step, 0.0)
            good[active[ended & ~bad]] = True
            active = active[~(ended | bad)]
            if active.size == 0:
                break
        self._polish(log_z, log_w, last, moved, np.nonzero(good)[0])
        return log_w, last.moved(moved), good

    def _polish(
        self, log_z: Array, log_w: Complex, last: Point, moved: Complex, at: Integers
    ) -> None:
        """More steps, while they shrink, where a far start ended the search by a rough one.

        The values there are carried along by first order, of which a deep law makes L times the
        square of the step.
        """
        for _ in range(_POLISH):
            at = at[abs(moved[at]) > _STEP * np.minimum(1.0, log_w[at].imag)]
            if at.size == 0:
                return
            y = self.at(log_w[at])
            with np.errstate(all="ignore"):
                step = (y.log_z - log_z[at]) / y.slope
            shrinks = (abs(step) < 0.5 * abs(moved[at])) & (step.imag < 0.5 * log_w[at].imag)
            at, step = at[shrinks], step[shrinks]
            store(last, at, y.pick(shrinks))
            log_w[at], moved[at] = log_w[at] - step, -step


def by_radius(eq: MasterEquation, x: Array, low: Array, high: Array) -> tuple[Complex, Booleans]:
    r"""Roots at log lambda = x between two values of log |w|: sure, and slower than `solve`.

    Newton in the radius inside its bracket, with the angle solved at each one. Along the curve

    .. math:: \frac{d \log \lambda}{d \log |w|} = \frac{|S|^2}{\mathrm{Re}\, S},
        \qquad S = \frac{d \log z}{d \log w}
    """
    low, high, r = low.copy(), high.copy(), 0.5 * (low + high)
    log_w = r + 0.5j
    active = np.arange(x.size)
    for k in range(_ANGLE_STEPS):
        root, y = eq.on_curve(r[active], np.asarray(log_w[active].imag, dtype=np.float64))
        log_w[active] = root.real + 1j * np.where(np.isfinite(root.imag), root.imag, 0.5)
        real = eq.at(r[active] + 0j).log_z.real  # without a root the axis says on which side
        with np.errstate(all="ignore"):
            miss = np.where(np.isfinite(root.imag), y.log_z.real, real) - x[active]
            newton = r[active] - miss * y.slope.real / abs(y.slope) ** 2
        low[active] = np.where(miss < 0.0, r[active], low[active])
        high[active] = np.where(miss < 0.0, high[active], r[active])
        inside = (newton > low[active]) & (newton < high[active])
        new = np.where(inside, newton, 0.5 * (low[active] + high[active]))
        step = abs(new - r[active])
        tiny = 2.0 * EPS * np.maximum(1.0, abs(new))
        tiny = np.where(inside, np.maximum(tiny, _enough(k) * np.minimum(1.0, root.imag)), tiny)
        r[active] = new
        active = active[(step > tiny) & (high[active] - low[active] > tiny)]
        if active.size == 0:
            break
    log_w = eq.on_curve(r, np.asarray(log_w.imag, dtype=np.float64))[0]
    good = np.isfinite(log_w.imag)
    return np.where(good, log_w, log_w.real + 1e-12j), good


def _enough(k: int) -> float:
    """Relative step that ends the search after k steps: sums of small P are rough in their tails.

    What is left of the residual then is seen by the check of the law, and stated.
    """
    return float(min(_STEP * 10.0 ** (0.5 * max(k - _PATIENCE, 0)), _ROUGH))


def _points(n: int) -> Point:
    return Point(*(np.zeros(n, dtype=complex) for _ in range(5)))


def store(into: Point, at: Integers, y: Point) -> None:
    """Write the values of some points among others."""
    for name, value in vars(y).items():
        getattr(into, name)[at] = value


def lower_log(m: Complex) -> Complex:
    """Principal logarithm of a number of the closed lower half plane, -0 and noise included."""
    log = np.log(m)
    log.imag = -abs(log.imag)
    return np.asarray(log)
