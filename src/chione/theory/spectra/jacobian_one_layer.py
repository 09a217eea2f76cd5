"""The spectrum of one layer with orthogonal weights: the law of phi'(h)^2 itself."""

# ruff: noqa: D102  (the methods are documented once, in AbstractSolver)

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.measures import Complex
from chione.freeprob.squares import GaussianSquare
from chione.theory.spectra.jacobian_solvers import AbstractSolver, Transform, Values

_APART = 1e-12  # relative distance of places that are two
_MAX_LOG = 700.0  # of t: the range of float64
_NOTHING = 1e-13  # mass that is not followed
_MOST_TURNS = 12  # turning values between which the curve is graded
_INSIDE = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, 25))[1:-1]  # points that place the others
_ENDS = np.append(0.0, np.geomspace(1e-8, 1e-3, 6))  # and those beside the ends
_END = 1e-3  # share of the mass beside an end that has another point put nearer to it
_NEARER = 0.05  # by that factor
_JUMP = 0.05  # share of the mass between two of those that has them parted
_PASSES = 40


@dataclass(frozen=True)
class OneOrthogonalLayer(AbstractSolver):
    r"""L = 1 with orthogonal weights: :math:`\lambda = \sigma_w^2 t`, the law of t itself."""

    law: GaussianSquare
    log_gain: float
    slack: float = 0.0

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        out = []
        for a, m in self.law.atoms:
            out.append((-np.inf if a == 0.0 else float(np.log(a)) + self.log_gain, m))
        return tuple(out)

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        """The intervals of the law, parted where an atom lies inside one."""
        out = []
        for a, b in (s for s in self.law.support if s[0] < s[1]):
            inner = [x for x, _ in self.law.atoms if a * (1.0 + _APART) < x < b * (1.0 - _APART)]
            out += list(pairwise([a, *inner, b]))
        with np.errstate(divide="ignore"):
            return tuple(
                (float(np.log(a)) + self.log_gain, float(np.log(b)) + self.log_gain) for a, b in out
            )

    def values(self, log_lambda: Array) -> Values:
        x = np.asarray(log_lambda, dtype=np.float64)
        t = np.exp(np.minimum(x - self.log_gain, _MAX_LOG))
        # The difference and the exponential are rounded, and so is log sigma_w^2.
        loose = EPS * (2.0 + abs(x) + 2.0 * abs(self.log_gain)) + self.slack
        density, cdf = self.law.density_law(t, loose), self.law.cdf_law(t, loose)
        with np.errstate(invalid="ignore"):  # t = 0 below the range of float64
            error = np.where(t > 0.0, t * density.error + 2.0 * EPS * t * density.value, 0.0)
        return Values(t * density.value, np.clip(cdf.value, 0.0, 1.0), error, cdf.error)

    def resolvent(self, log_z: Complex) -> Transform:
        w = np.exp(np.asarray(log_z, dtype=complex) - self.log_gain)
        w.imag = np.maximum(w.imag, EPS * abs(w))  # on the axis a pole has no side
        r = self.law.resolvent(w)
        return Transform(
            r.p,
            r.m,
            r.q,
            lambda: self.log_gain + self.law.mean_log(w),
            lambda: 16.0 * EPS * (abs(r.p) + (1.0 + abs(log_z)) * abs(r.q)) + self.slack * abs(r.q),
        )

    def curve(self, n: int) -> tuple[Array, Values]:
        x = self._graded(n) if self.support else np.empty(0)
        v = self.values(x)
        seen = np.isfinite(v.density)  # not at a pole that is nearer than rounding
        density, cdf, d_density, d_cdf = (y[seen] for y in vars(v).values())
        return x[seen], Values(density, np.maximum.accumulate(cdf), d_density, d_cdf)

    @cached_property
    def _spans(self) -> list[tuple[float, float]]:
        """Intervals without a pole of the density inside: between ends and turning values of t."""
        out = []
        turning = self._turning
        for a, b in self.support:
            low, high = self._reach(a, b)
            slack = _APART * max(1.0, abs(low), abs(high))
            inner = turning[(turning > low + slack) & (turning < high - slack)]
            inner = inner if inner.size <= _MOST_TURNS else inner[:0]
            marks = [low, *inner[np.diff(inner, prepend=-np.inf) > slack], high]
            out += [(p, q) for p, q in pairwise(map(float, marks)) if q > p]
        return out

    @property
    def _turning(self) -> Array:
        """Log lambda at which a branch of t begins or ends, from below."""
        found = [wave.low**2 for wave in self.law.waves] + [w.high**2 for w in self.law.waves]
        if self.law.rest is not None:
            ends = self.law.rest.ends[~self.law.rest.flat]
            rises = np.sign(ends[:, 1] - ends[:, 0])
            same = np.isclose(ends[1:, 0], ends[:-1, 1], rtol=1e-9) & (rises[1:] == rises[:-1])
            keep = np.append(True, ~same)
            found += list(ends[keep, 0] ** 2) + list(ends[np.append(~same, True), 1] ** 2)
        t = np.unique(np.array(found, dtype=np.float64))
        return np.log(t[t > 0.0]) + self.log_gain

    def _below(self, x: Array) -> Array:
        """The distribution function at log lambda = x."""
        return self.law.cdf_law(np.exp(np.minimum(x - self.log_gain, _MAX_LOG))).value

    def _reach(self, a: float, b: float) -> tuple[float, float]:
        """Ends of an interval; of an infinite one, those between which all but 1e-13 lies."""
        if np.isinf(b):
            top = float(np.log(self.law.nodes[0].max())) + self.log_gain
            steps = top + np.geomspace(1e-3, _MAX_LOG, 60)
            above = 1.0 - self._below(steps)
            b = float(steps[min(int(np.sum(above > _NOTHING)), steps.size - 1)])
        if np.isinf(a):
            zero = sum(m for x, m in self.law.atoms if x == 0.0)
            deepest = min(self.log_gain - _MAX_LOG, b - 1.0)  # t leaves the range of float64
            steps = b - np.geomspace(1e-3, b - deepest, 60)
            below = self._below(steps) - zero
            a = float(steps[min(int(np.sum(below > _NOTHING)), steps.size - 1)])
        return a, b

    def _graded(self, n: int) -> Array:
        """About n points; half of those of a span by mass, half dense at both ends.

        There the density may rise like the inverse of a root.
        """
        spans = np.array(self._spans)
        share = np.unique(np.concatenate([_ENDS, _INSIDE, 1.0 - _ENDS[::-1]]))
        x = spans[:, :1] + (spans[:, 1:] - spans[:, :1]) * share
        x[:, -1] = spans[:, 1]
        x = x.ravel()
        place, size = (np.array(v) for v in zip(*[(-np.inf, 0.0), *self.atoms], strict=True))
        mass = self._continuous(x, place, size)
        for _ in range(_PASSES):
            step = np.maximum(np.diff(mass), 0.0)
            low, high = np.isin(x[:-1], spans[:, 0]), np.isin(x[1:], spans[:, 1])
            part = np.where(low, _NEARER, np.where(high, 1.0 - _NEARER, 0.5))
            most = np.where(low | high, _END, _JUMP) * (mass[-1] - mass[0])
            wide = np.nonzero(step > most)[0]
            middle = x[wide] + part[wide] * (x[wide + 1] - x[wide])
            middle = middle[(middle > x[wide]) & (middle < x[wide + 1])]
            if middle.size == 0:
                break
            x = np.append(x, middle)
            mass = np.append(mass, self._continuous(middle, place, size))
            order = np.argsort(x, kind="stable")
            x, mass = x[order], mass[order]
        per_span = max(8, -(-n // len(spans)))
        return np.unique(np.concatenate([_between(x, mass, s, per_span) for s in spans]))

    def _continuous(self, x: Array, place: Array, size: Array) -> Array:
        """The distribution function without the atoms, those within rounding of x included."""
        slack = _APART * np.maximum(1.0, abs(x))
        return self._below(x) - (place <= (x + slack)[:, None]) @ size

    def scaled_moments(self, n: int) -> tuple[Array, float]:
        mu = self.law.moments(n)
        return mu / mu[0] ** np.arange(1.0, n + 1), float(self.log_gain + np.log(mu[0]))


def _between(x: Array, mass: Array, span: Array, n: int) -> Array:
    """N points inside a span, even in the mass and in the number of known points."""
    inner = (x > span[0]) & (x < span[1])
    x, own = x[inner], np.maximum.accumulate(mass[inner])
    own = own - own[0]
    monitor = own / max(own[-1], 1e-300) + np.linspace(0.0, 1.0, own.size)
    return np.asarray(np.interp(np.linspace(monitor[0], monitor[-1], n), monitor, x))
