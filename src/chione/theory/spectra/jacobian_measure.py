"""The law of a Jacobian's squared singular values as a measure of free probability."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chione.base import EPS, Array, checks
from chione.freeprob.classical import FreePoisson
from chione.freeprob.measures import AbstractMeasure, Complex
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.summands import Factors, factors_of
from chione.theory.spectra.jacobian_solvers import AbstractSolver, Transform, WFormSolver

_DEEPEST = 100  # layers whose factors are put one by one into a product with other measures
_DEEP = np.array([40.0, 50.0, 60.0])  # below the top, in log lambda
_SAME_POWER = 1e-5  # of k; the powers that occur are L / (L + 1) and the like
_ROUNDING = 1e-13  # of exp(x) at those depths


@dataclass(frozen=True)
class JacobianLaw(AbstractMeasure):
    r"""Law of the eigenvalues of :math:`J J^T`, by the solver of its spectrum.

    Below the real axis all transforms are the conjugates of those above. What leaves the range of
    float64 is 0 or inf here, and finite in log lambda in :class:`JacobianSpectrum`.

    Parameters
    ----------
    solver : AbstractSolver
        The spectrum in log lambda.
    """

    solver: AbstractSolver

    @cached_property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return tuple(sorted((exp(a), float(m)) for a, m in self.solver.atoms))

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        spans = [(exp(a), exp(b)) for a, b in self.solver.support]
        lone = [(a, a) for a, _ in self.atoms if not any(s[0] <= a <= s[1] for s in spans)]
        return tuple(sorted([*spans, *lone]))

    def transform(self, z: Any) -> tuple[Complex, Transform]:
        """Z as a flat array, and the transforms at its points; conjugates below the axis."""
        z = np.asarray(z, dtype=complex).ravel()
        upper = z.real + 1j * abs(z.imag)
        with np.errstate(divide="ignore"):
            t = self.solver.resolvent(np.log(upper))
        low = z.imag < 0.0
        p, m, slope = (np.where(low, np.conj(v), v) for v in (t.p, t.m, t.slope))
        return z, Transform(
            p,
            m,
            slope,
            lambda: np.where(low, np.conj(t.mean_log), t.mean_log),
            lambda: t.error,
        )

    def stieltjes(self, z: Any) -> Complex:
        flat, t = self.transform(z)
        return np.asarray((t.p / flat).reshape(np.shape(z)))

    def stieltjes_derivative(self, z: Any) -> Complex:
        return self.stieltjes_with_derivative(z)[1]

    def stieltjes_with_derivative(self, z: Any) -> tuple[Complex, Complex]:
        flat, t = self.transform(z)
        g, slope = t.p / flat, (t.slope - t.p) / flat**2
        return g.reshape(np.shape(z)), slope.reshape(np.shape(z))

    def stieltjes_error(self, z: Any) -> Array:
        flat, t = self.transform(z)
        rounding = 16.0 * EPS * (abs(t.p) + abs(t.slope))
        return np.asarray(((t.error + rounding) / abs(flat)).reshape(np.shape(z)))

    def moment_function(self, z: Any) -> Complex:
        return np.asarray(self.transform(z)[1].m.reshape(np.shape(z)))

    def moment_function_derivative(self, z: Any) -> Complex:
        flat, t = self.transform(z)
        return np.asarray((t.slope / flat).reshape(np.shape(z)))

    def mean_log(self, z: Any) -> Complex:
        return np.asarray(self.transform(z)[1].mean_log.reshape(np.shape(z)))

    def density(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        return self._continuous(x)[0]

    def density_error(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        return self._continuous(x)[1]

    def cdf(self, x: Any) -> Array:
        return self._distribution(checks.real_array("x", x))[0]

    def cdf_error(self, x: Any) -> Array:
        return self._distribution(checks.real_array("x", x))[1]

    def moments(self, n: int) -> Array:
        scaled, log_m1 = self.solver.scaled_moments(n)
        with np.errstate(over="ignore"):
            return np.asarray(scaled * np.exp(np.arange(1, n + 1) * log_m1))

    @property
    def at_zero(self) -> tuple[float, float]:
        r"""G(0) = -E 1/lambda and its error; -inf where the law reaches 0."""
        low = min(a for a, _ in [*self.solver.support, *self.solver.atoms])
        if np.isinf(low):
            return -np.inf, 0.0
        # From below the support: E 1/(lambda + y) differs from E 1/lambda by a relative y / low.
        at = np.array([low + np.log(1e-9) + 1j * np.pi, low + np.log(1e-8) + 1j * np.pi])
        t = self.solver.resolvent(at)
        g = (t.p / np.exp(at)).real
        return float(g[0]), float(abs(g[1] - g[0]) + abs(t.error[0] / np.exp(at[0])))

    # -------------------------------------------------------------------------------- inside

    def _continuous(self, x: Array) -> tuple[Array, Array]:
        safe = np.where(x > 0.0, x, 1.0)
        v = self.solver.values(np.log(safe).ravel())
        value, error = (
            np.where(x > 0.0, y.reshape(x.shape) / safe, 0.0) for y in (v.density, v.density_error)
        )
        return value, error

    def _distribution(self, x: Array) -> tuple[Array, Array]:
        v = self.solver.values(np.log(np.where(x > 0.0, x, 1.0)).ravel())
        zero = sum(m for a, m in self.solver.atoms if np.isinf(a))
        cdf = np.where(x > 0.0, v.cdf.reshape(x.shape), np.where(x == 0.0, zero, 0.0))
        return cdf, np.where(x > 0.0, v.cdf_error.reshape(x.shape), 8.0 * EPS * zero)


def density_at_zero(solver: AbstractSolver, power: float) -> tuple[float, float]:
    r"""Limit of the density by log lambda over :math:`\lambda^p` at 0, and its error.

    .. math:: \lambda \rho(\lambda) \sim C \lambda^k \quad (\lambda \to 0), \qquad
        k = \frac{d \log(\lambda \rho)}{d \log \lambda}

    is 0 for k > p, C for k = p, infinite for k < p. The density is looked at so far below the top
    that a power law has set in, or the tail of a law that is no power (k = 0) begun.
    """
    low, high = solver.support[0]
    if np.isfinite(low):
        return 0.0, 0.0
    x = high - _DEEP
    v = solver.values(x)
    with np.errstate(all="ignore"):
        k = np.diff(np.log(v.density)) / np.diff(x)
        limit = v.density * np.exp(-power * x)
    if not np.all(np.isfinite(k)):
        return float("nan"), float("inf")
    if abs(k[-1] - power) > _SAME_POWER:
        return (0.0, 0.0) if k[-1] > power else (float("inf"), 0.0)
    error = abs(limit[-1] - limit[0]) + (v.density_error * np.exp(-power * x))[-1]
    return float(limit[-1]), float(error + _ROUNDING * abs(limit[-1]))


def exp(x: float) -> float:
    """Exponential with 0 and inf for what leaves the range."""
    with np.errstate(over="ignore"):
        return float(np.exp(x))


@factors_of.register
def _(law: JacobianLaw) -> Factors:
    r"""Equal widths are a free product themselves: :math:`S = S_{D^2}^L S_{W^T W}^L`.

    In a product with other measures all factors are then solved for at once.
    """
    solver = law.solver
    if not isinstance(solver, WFormSolver) or solver.equation.depth > _DEEPEST:
        return [(law, 1.0)]
    eq = solver.equation
    gain = float(np.exp(eq.log_gain))
    weights = FreePoisson(1.0, gain) if eq.gaussian else PointMasses((gain,), (1.0,))
    return [(eq.law, float(eq.depth)), (weights, float(eq.depth))]
