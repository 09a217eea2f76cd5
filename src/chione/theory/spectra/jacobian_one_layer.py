"""The spectrum of one layer with orthogonal weights: the law of phi'(h)^2 itself."""

# ruff: noqa: D102  (the methods are documented once, in AbstractSolver)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.measures import Complex
from chione.freeprob.squares import GaussianSquare
from chione.theory.spectra.jacobian_solvers import AbstractSolver, Transform, Values


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

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        with np.errstate(divide="ignore"):
            return tuple(
                (float(np.log(a)) + self.log_gain, float(np.log(b)) + self.log_gain)
                for a, b in self.law.support
                if a < b
            )

    def values(self, log_lambda: Array) -> Values:
        x = np.asarray(log_lambda, dtype=np.float64)
        t = np.exp(x - self.log_gain)
        # The difference and the exponential are rounded, and so is log sigma_w^2.
        loose = EPS * (2.0 + abs(x) + 2.0 * abs(self.log_gain)) + self.slack
        density, cdf = self.law.density_law(t, loose), self.law.cdf_law(t, loose)
        with np.errstate(invalid="ignore"):  # t = 0 below the range of float64
            error = np.where(t > 0.0, t * density.error + 2.0 * EPS * t * density.value, 0.0)
        return Values(t * density.value, cdf.value, error, cdf.error)

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
        t, p = self.law.nodes
        inner = t.size - self.law.place.size
        order = np.argsort(t[:inner])
        if inner == 0:
            empty = np.empty(0)
            return empty, Values(empty, empty, empty, empty)
        t, mass = t[:inner][order], np.cumsum(p[:inner][order])
        keep = (mass > 1e-13 * mass[-1]) & (t > 0.0)
        t, mass = t[keep], mass[keep] / mass[-1]
        log_t = np.log(t)
        span = max(float(log_t[-1] - log_t[0]), 1e-300)
        monitor = mass + (log_t - log_t[0]) / span + np.linspace(0.0, 1.0, t.size)
        grid = np.linspace(monitor[0], monitor[-1], n)
        x = np.unique(np.interp(grid, monitor, log_t)) + self.log_gain
        return x, self.values(x)

    def scaled_moments(self, n: int) -> tuple[Array, float]:
        mu = self.law.moments(n)
        return mu / mu[0] ** np.arange(1.0, n + 1), float(self.log_gain + np.log(mu[0]))
