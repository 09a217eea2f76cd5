"""The spectrum of a deep network's input-output Jacobian at initialisation."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np

from chione.activations.protocol import AbstractActivation
from chione.base import EPS, AbstractResult, Array, Estimate, Status, along, checks, result
from chione.freeprob.squares import GaussianSquare
from chione.theory.spectra.jacobian_equation import MasterEquation
from chione.theory.spectra.jacobian_law import derivative_law
from chione.theory.spectra.jacobian_one_layer import OneOrthogonalLayer
from chione.theory.spectra.jacobian_outlier import Outlier, outliers
from chione.theory.spectra.jacobian_solvers import AbstractSolver, WFormSolver
from chione.theory.spectra.jacobian_widths import WidthsSolver

Ensemble = Literal["gaussian", "orthogonal"]
_MAX_LOG = 709.0  # beyond this exp overflows
_QUANTILE_STEPS = 60
_LOST_MASS = 1e-6  # miss in the distribution function at which a quantile counts as not found


@result
class SpectrumCurve(AbstractResult):
    r"""The continuous part of a spectrum on a graded grid, from below.

    Parameters
    ----------
    log_lambda : ndarray, shape (n,)
        Natural logarithm of the squared singular values :math:`\lambda`.
    log_density : ndarray, shape (n,)
        Logarithm of the density :math:`\rho(\lambda)`.
    density_of_log : ndarray, shape (n,)
        Density with respect to log lambda, :math:`\lambda \rho(\lambda)`; never overflows.
    cdf : ndarray, shape (n,)
        Mass at or below lambda, atoms included.
    density_error : ndarray, shape (n,)
        Estimated error of `density_of_log`.
    cdf_error : ndarray, shape (n,)
        Estimated error of `cdf`.
    """

    axes = along(
        "log_lambda",
        *("log_lambda", "log_density", "density_of_log", "cdf", "density_error", "cdf_error"),
    )

    log_lambda: Array
    log_density: Array
    density_of_log: Array
    cdf: Array
    density_error: Array
    cdf_error: Array

    @property
    def eigenvalue(self) -> Array:
        """The squared singular values; 0 or inf where they leave the range of float64."""
        return _exp(self.log_lambda)

    @property
    def density(self) -> Array:
        """Density of the squared singular values."""
        return _exp(self.log_density)

    @property
    def singular_value(self) -> Array:
        """The singular values, the roots of `eigenvalue`."""
        return _exp(0.5 * self.log_lambda)

    @property
    def singular_value_density(self) -> Array:
        r"""Density of the singular values, :math:`2 s \rho(s^2)`."""
        return np.asarray(2.0 * self.density_of_log * _exp(-0.5 * self.log_lambda))


@result
class JacobianSpectrum(AbstractResult):
    r"""Limit law of the eigenvalues :math:`\lambda` of :math:`J J^T` at infinite width.

    .. math:: J = D^L W^L \cdots D^1 W^1, \qquad D^l = \mathrm{diag}\,\phi'(h^l)

    Made by :func:`jacobian_spectrum`. Everything is computed in log lambda, so that depths at
    which lambda leaves the range of float64 are no special case.

    Parameters
    ----------
    activation : AbstractActivation
        The activation.
    sigma_w, sigma_b : float
        Standard deviations. Where `q_star` was given without `sigma_b`, this is the one that makes
        it a fixed point, NaN if none does.
    q_star : float
        Mean square of the pre-activations.
    depth : int
        Number L of layers.
    weights : {"gaussian", "orthogonal"}
        Law of the weights.
    widths : tuple of float or None
        Relative widths of the input and the L layers; None where all are equal.
    """

    activation: AbstractActivation
    sigma_w: float
    sigma_b: float
    q_star: float
    depth: int
    weights: Ensemble
    widths: tuple[float, ...] | None

    @cached_property
    def law(self) -> GaussianSquare:
        """The law of phi'(h)^2 over the units of a layer."""
        return derivative_law(self.activation, self.q_star)

    @cached_property
    def solver(self) -> AbstractSolver:
        """The master equation, in the form that fits weights and widths."""
        gain = 2.0 * float(np.log(self.sigma_w))
        slack = 2.0 * self.activation.derivative_error
        if self.widths is not None:
            return WidthsSolver(self.law, gain, self.widths, slack)
        if self.depth == 1 and self.weights == "orthogonal":
            return OneOrthogonalLayer(self.law, gain, slack)
        gaussian = self.weights == "gaussian"
        return WFormSolver(MasterEquation(self.law, gain, self.depth, gaussian, slack))

    # ------------------------------------------------------------------------- whole numbers

    @property
    def chi(self) -> float:
        r"""Mean squared singular value of one layer, :math:`\sigma_w^2 E\,\phi'(h)^2`."""
        return self.sigma_w * self.sigma_w * float(self.law.moments(1)[0])

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses: pairs (lambda, mass), sorted."""
        return tuple((float(_exp(np.array(a))), float(m)) for a, m in self.solver.atoms)

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        """The continuous part: intervals of lambda, from below; empty if there is none."""
        return tuple(
            (float(_exp(np.array(a))), float(_exp(np.array(b)))) for a, b in self.solver.support
        )

    @property
    def log_support(self) -> tuple[tuple[float, float], ...]:
        """The same intervals in log lambda; -inf stands for zero."""
        return self.solver.support

    @property
    def edges(self) -> tuple[float, float]:
        """Lowest and highest point of the law above zero, the atoms above zero included."""
        points = [x for s in self.support for x in s] + [a for a, _ in self.atoms if a > 0.0]
        return min(points), max(points)

    @property
    def rank_fraction(self) -> float:
        """Share of the singular values that are not zero."""
        return 1.0 - sum(m for a, m in self.solver.atoms if np.isinf(a))

    @property
    def condition(self) -> float:
        """Largest over smallest non-zero singular value; inf where the law reaches zero."""
        spans = [*self.solver.support, *((a, a) for a, _ in self.solver.atoms if np.isfinite(a))]
        low, high = min(s[0] for s in spans), max(s[1] for s in spans)
        return float(_exp(np.array(0.5 * (high - low)))) if np.isfinite(low) else float("inf")

    def spread(self, share: float = 0.9) -> float:
        """Ratio of the singular values between which the middle `share` of the rank lies."""
        share = checks.positive("share", share)
        if share >= 1.0:
            raise ValueError(f"share must lie between 0 and 1, but it is {share!r}.")
        zero = 1.0 - self.rank_fraction
        p = zero + self.rank_fraction * np.array([0.5 - share / 2, 0.5 + share / 2])
        low, high = self.log_quantile(p).value
        return float(_exp(np.array(0.5 * (high - low))))

    def moments(self, n: int = 4) -> Estimate:
        r"""Moments :math:`m_k = E \lambda^k`, k = 1 .. n, from the S-transform."""
        n = checks.integer("n", n)
        scaled, log_m1 = self.solver.scaled_moments(n)
        k = np.arange(1, n + 1)
        value = np.asarray(scaled * _exp(k * log_m1))
        error = abs(value) * EPS * (16.0 + 8.0 * k * (self.depth + abs(log_m1)))
        status = np.where(np.isfinite(value), Status.OK, Status.DIVERGENT)
        return Estimate(value, error, status)

    @property
    def mean(self) -> float:
        r"""First moment, :math:`(\sigma_w^2 \mu_1)^L` at equal widths."""
        return float(self.moments(1).value[0])

    @property
    def variance(self) -> float:
        r"""Variance of lambda; :math:`m_1^2 L (\mu_2 / \mu_1^2 - 1 - s_1)` at equal widths."""
        scaled, log_m1 = self.solver.scaled_moments(2)
        excess = scaled[1] - 1.0
        if self.widths is None:  # the variance of t itself does not cancel at small q_star
            excess = self.depth * (self.law.spread + (1.0 if self.weights == "gaussian" else 0.0))
        return float(excess * _exp(np.array(2.0 * log_m1)))

    @property
    def status(self) -> Status:
        """UNDEFINED where the law is made of atoms alone and has no density, else OK."""
        return Status.OK if self.solver.support else Status.UNDEFINED

    @property
    def sentence(self) -> str:
        """What the law looks like, for a reader."""
        if not self.solver.support:
            return "All singular values are equal (or zero): the law consists of atoms."
        low = "0" if np.isinf(self.solver.support[0][0]) else f"{self.edges[0]:.6g}"
        text = f"Squared singular values fill ({low}, {self.support[-1][1]:.6g})"
        masses = ", ".join(f"{m:.4g} at {a:.6g}" for a, m in self.atoms)
        return f"{text}; point masses: {masses}." if masses else f"{text}; no point masses."

    @cached_property
    def outliers(self) -> tuple[Outlier, ...]:
        """Eigenvalues of finite networks above the bulk, along the input; see `Outlier`."""
        if self.widths is not None or not isinstance(self.solver, WFormSolver):
            return ()
        return outliers(self.solver.equation, self.activation, self.q_star, self.sigma_b)

    # ------------------------------------------------------------------------------ functions

    def density(self, eigenvalue: Any) -> Estimate:
        r"""Density :math:`\rho(\lambda)` of the continuous part; 0 off the support."""
        x = checks.real_array("eigenvalue", eigenvalue)
        safe, v = self._values(x)
        with np.errstate(over="ignore"):
            value = np.where(x.ravel() > 0.0, v[0] / safe, 0.0)
            error = np.where(x.ravel() > 0.0, v[2] / safe, 0.0)
        return _estimate(value.reshape(x.shape), error.reshape(x.shape))

    def density_of_log(self, log_lambda: Any) -> Estimate:
        r"""Density with respect to log lambda, :math:`\lambda \rho(\lambda)`, at any size."""
        x = checks.real_array("log_lambda", log_lambda)
        v = self.solver.values(x.ravel())
        return _estimate(v.density.reshape(x.shape), v.density_error.reshape(x.shape))

    def singular_value_density(self, s: Any) -> Estimate:
        r"""Density of the singular values, :math:`2 s \rho(s^2)`."""
        s = checks.real_array("s", s)
        safe, v = self._values(np.where(s > 0.0, s * s, 0.0))
        scale = np.where(s.ravel() > 0.0, 2.0 / np.sqrt(safe), 0.0)
        return _estimate((v[0] * scale).reshape(s.shape), (v[2] * scale).reshape(s.shape))

    def cdf(self, eigenvalue: Any) -> Estimate:
        r"""Mass at or below lambda, atoms included."""
        x = checks.real_array("eigenvalue", eigenvalue)
        _, v = self._values(x)
        zero = 1.0 - self.rank_fraction
        flat = x.ravel()
        value = np.where(flat > 0.0, v[1], np.where(flat == 0.0, zero, 0.0))
        error = np.where(flat > 0.0, v[3], 0.0)
        return _estimate(value.reshape(x.shape), error.reshape(x.shape))

    def log_quantile(self, p: Any) -> Estimate:
        """Log lambda below which a share p of the law lies; -inf inside the atom at zero."""
        p = checks.real_array("p", p)
        if np.any((p < 0.0) | (p > 1.0)):
            raise ValueError(f"p must lie in [0, 1], but it holds {p.ravel()[0]!r}.")
        flat = p.ravel()
        value = np.array([self._atom_quantile(x) for x in flat])
        todo = np.nonzero(np.isnan(value))[0]
        error = np.zeros(flat.size)
        if todo.size:
            value[todo], error[todo] = self._invert(flat[todo])
        return _estimate(value.reshape(p.shape), error.reshape(p.shape))

    def quantile(self, p: Any) -> Estimate:
        """Squared singular value below which a share p of the law lies."""
        log = self.log_quantile(p)
        value = _exp(log.value)
        error = np.where(value > 0.0, value * log.error, 0.0)
        return Estimate(value, error, log.status)

    def curve(self, n: int = 200) -> SpectrumCurve:
        """The continuous part on about n graded points, with errors."""
        n = checks.integer("n", n, minimum=8)
        x, v = self.solver.curve(n)
        with np.errstate(divide="ignore"):
            log_density = np.log(v.density) - x
        return SpectrumCurve(x, log_density, v.density, v.cdf, v.density_error, v.cdf_error)

    # --------------------------------------------------------------------------------- inside

    def _values(self, x: Array) -> tuple[Array, tuple[Array, Array, Array, Array]]:
        safe = np.where(x.ravel() > 0.0, x.ravel(), 1.0)
        v = self.solver.values(np.log(safe))
        return safe, (v.density, v.cdf, v.density_error, v.cdf_error)

    def _atom_quantile(self, p: float) -> float:
        """The atom in whose jump p falls, or NaN."""
        for place, mass in self.solver.atoms:
            upper = mass if np.isinf(place) else float(self.solver.values(np.array([place])).cdf[0])
            if upper - mass < p <= upper or (p == 0.0 and np.isinf(place)):
                return place
        if p == 0.0:
            return min(s[0] for s in self.solver.support)
        return float("nan") if p < 1.0 else max(s[1] for s in self.solver.support)

    def _invert(self, p: Array) -> tuple[Array, Array]:
        """Newton for cdf(x) = p in x = log lambda, inside a bracket from the curve."""
        grid, v = self.solver.curve(200)
        low_end, high_end = self.solver.support[0][0], self.solver.support[-1][1]
        low = np.full(p.size, low_end if np.isfinite(low_end) else grid[0] - 600.0)
        high = np.full(p.size, high_end if np.isfinite(high_end) else grid[-1] + 600.0)
        x = np.interp(p, v.cdf, grid)
        error = np.zeros(p.size)
        active = np.arange(p.size)
        for _ in range(_QUANTILE_STEPS):
            y = self.solver.values(x[active])
            miss = y.cdf - p[active]
            low[active] = np.where(miss < 0.0, np.maximum(low[active], x[active]), low[active])
            high[active] = np.where(miss < 0.0, high[active], np.minimum(high[active], x[active]))
            with np.errstate(divide="ignore", invalid="ignore"):
                new = x[active] - miss / y.density
                error[active] = y.cdf_error / y.density
            inside = (new > low[active]) & (new < high[active])
            new = np.where(inside, new, 0.5 * (low[active] + high[active]))
            step = abs(new - x[active])
            x[active] = new
            active = active[(step > 4.0 * EPS * np.maximum(1.0, abs(new)))]
            if active.size == 0 or bool(np.all(step <= error[active].max(initial=0.0) * 1e-3)):
                break
        # Beyond the range that the sums can follow there is no answer, rather than a wrong one.
        x = np.where(abs(self.solver.values(x).cdf - p) <= _LOST_MASS, x, np.nan)
        return x, np.nan_to_num(error, nan=0.0) + 8.0 * EPS * np.maximum(1.0, abs(x))


def _estimate(value: Any, error: Any) -> Estimate:
    value, error = np.asarray(value), np.asarray(error)
    status = np.where(np.isnan(value), int(Status.NOT_COMPUTED), int(Status.OK))
    if value.ndim == 0:
        return Estimate(float(value), float(error), Status(int(status)))
    return Estimate(value, error, status)


def _exp(x: Any) -> Array:
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(x))
