"""The spectrum of a deep network's input-output Jacobian at initialisation."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np

from chione.activations.protocol import AbstractActivation
from chione.base import EPS, AbstractResult, Array, Estimate, Status, along, checks, result
from chione.freeprob.measure import Measure
from chione.freeprob.squares import GaussianSquare
from chione.theory.spectra.jacobian_equation import MasterEquation
from chione.theory.spectra.jacobian_law import derivative_law
from chione.theory.spectra.jacobian_measure import JacobianLaw, density_at_zero
from chione.theory.spectra.jacobian_one_layer import OneOrthogonalLayer
from chione.theory.spectra.jacobian_outlier import Outlier, outliers
from chione.theory.spectra.jacobian_quantiles import draw, log_quantiles
from chione.theory.spectra.jacobian_solvers import AbstractSolver, WFormSolver
from chione.theory.spectra.jacobian_widths import WidthsSolver

Ensemble = Literal["gaussian", "orthogonal"]
_ATOMS_ALONE = (
    "All singular values are equal (or zero): the law consists of atoms, without density."
)
_MAX_LOG = 709.0  # beyond this exp overflows


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
    def status(self) -> Status:
        """UNDEFINED where there is no point because the law is made of atoms alone, else OK."""
        return Status.OK if self.log_lambda.size else Status.UNDEFINED

    @property
    def sentence(self) -> str:
        """What the curve holds, for a reader."""
        if not self.log_lambda.size:
            return f"No curve: {_ATOMS_ALONE[0].lower()}{_ATOMS_ALONE[1:]}"
        mass = float(self.cdf[-1] - self.cdf[0])
        return f"{self.log_lambda.size} points over {mass:.6g} of the mass."

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
        gaussian = self.weights == "gaussian"
        narrowing = self.widths is None or self.widths[0] >= self.widths[1]  # W W^T is sigma_w^2
        if self.depth == 1 and not gaussian and narrowing:
            return OneOrthogonalLayer(self.law, gain, slack)
        if self.widths is not None:
            return WidthsSolver(self.law, gain, self.widths, slack, gaussian)
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
            return _ATOMS_ALONE
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
        r"""Density :math:`\rho(\lambda)` of the continuous part; 0 off the support.

        At 0 the limit from above; infinite, with the status DIVERGENT, where there is none. A law
        of atoms alone has no density: 0 with the status UNDEFINED.
        """
        x = checks.real_array("eigenvalue", eigenvalue)
        safe, v = self._values(x)
        with np.errstate(over="ignore"):
            value, error = (np.where(x.ravel() > 0.0, y / safe, 0.0) for y in (v[0], v[2]))
        return self._density(x, value, error, 1.0)

    def density_of_log(self, log_lambda: Any) -> Estimate:
        r"""Density with respect to log lambda, :math:`\lambda \rho(\lambda)`, at any size."""
        x = checks.real_array("log_lambda", log_lambda)
        v = self.solver.values(x.ravel())
        return self._density(x, v.density, v.density_error, None)

    def singular_value_density(self, s: Any) -> Estimate:
        r"""Density of the singular values, :math:`2 s \rho(s^2)`; at 0 as in `density`."""
        s = checks.real_array("s", s)
        safe, v = self._values(np.where(s > 0.0, s * s, 0.0))
        scale = np.where(s.ravel() > 0.0, 2.0 / np.sqrt(safe), 0.0)
        return self._density(s, v[0] * scale, v[2] * scale, 0.5)

    def cdf(self, eigenvalue: Any) -> Estimate:
        r"""Mass at or below lambda, atoms included."""
        x = checks.real_array("eigenvalue", eigenvalue)
        _, v = self._values(x)
        zero = 1.0 - self.rank_fraction
        flat = x.ravel()
        value = np.where(flat > 0.0, v[1], np.where(flat == 0.0, zero, 0.0))
        error = np.where(flat > 0.0, v[3], 0.0)
        return _estimate(value.reshape(x.shape), error.reshape(x.shape))

    def cdf_of_log(self, log_lambda: Any) -> Estimate:
        """Mass at or below log lambda, atoms included, at any size; -inf stands for 0."""
        x = np.asarray(log_lambda, dtype=np.float64)
        if np.isnan(x).any():
            raise ValueError("log_lambda must hold numbers, but it holds NaN; -inf stands for 0.")
        inner = np.isfinite(x.ravel())
        v = self.solver.values(np.where(inner, x.ravel(), 0.0))
        ends = np.where(x.ravel() > 0.0, 1.0, 1.0 - self.rank_fraction)
        value, error = np.where(inner, v.cdf, ends), np.where(inner, v.cdf_error, 8.0 * EPS)
        return _estimate(value.reshape(x.shape), error.reshape(x.shape))

    def stieltjes(self, z: Any) -> Estimate:
        r"""Stieltjes transform :math:`G(z) = E\, 1/(z - \lambda)` at complex z.

        On the real axis the limit from above; below it the conjugate of the value above. At 0 it
        is infinite (status DIVERGENT) where the law reaches 0.
        """
        z = np.asarray(z, dtype=complex)
        if not np.all(np.isfinite(z)):
            raise ValueError(f"z must be finite, but it holds {z[~np.isfinite(z)].ravel()[0]}.")
        law = JacobianLaw(self.solver)
        safe = np.where(z == 0.0, -1.0, z)
        value, error = law.stieltjes(safe), law.stieltjes_error(safe)
        if not np.any(z == 0.0):
            return _estimate(value, error)
        limit, limit_error = law.at_zero
        value, error = np.where(z == 0.0, limit, value), np.where(z == 0.0, limit_error, error)
        return _estimate(value, error, np.isinf(value))

    def to_measure(self) -> Measure:
        """The law as a :class:`chione.freeprob.Measure`: sums, products, all transforms."""
        return Measure(JacobianLaw(self.solver), self._name)

    def sample(self, n: int, *, seed: Any = None) -> Array:
        """`n` independent squared singular values, shape (n,), atoms included.

        0 or inf where one leaves the range of float64; see `sample_log`.
        """
        return _exp(self.sample_log(n, seed=seed))

    def sample_log(self, n: int, *, seed: Any = None) -> Array:
        """Logarithms of `n` independent squared singular values; -inf for the atom at 0.

        Quantiles of uniform numbers, interpolated on a fine curve.
        """
        n = checks.integer("n", n, minimum=0)
        return draw(self.solver, np.random.default_rng(seed).random(n))

    def log_quantile(self, p: Any) -> Estimate:
        """Log lambda below which a share p of the law lies; -inf inside the atom at zero."""
        p = checks.real_array("p", p)
        if np.any((p < 0.0) | (p > 1.0)):
            raise ValueError(
                f"p must lie in [0, 1], but it holds {float(p[(p < 0.0) | (p > 1.0)][0])!r}."
            )
        value, error = log_quantiles(self.solver, p.ravel())
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

    @property
    def _name(self) -> str:
        weights = "" if self.weights == "gaussian" else ", orthogonal"
        return f"jacobian({self.activation.name}, depth {self.depth}{weights})"

    def _density(self, x: Array, value: Array, error: Array, power: float | None) -> Estimate:
        """Values off 0, the limit of density_of_log / lambda^power at it, and what is undefined."""
        value, error = value.reshape(x.shape), error.reshape(x.shape)
        out = _estimate(value, error)
        if not self.solver.support:
            status = np.full(x.shape, int(Status.UNDEFINED))
            return (
                Estimate(value, error, status) if x.ndim else Estimate(0.0, 0.0, Status.UNDEFINED)
            )
        if power is None or not np.any(x == 0.0):
            return out
        limit, limit_error = density_at_zero(self.solver, power)
        at = x == 0.0
        value, error = np.where(at, limit, value), np.where(at, limit_error, error)
        if power == 0.5:
            value, error = np.where(at, 2.0 * value, value), np.where(at, 2.0 * error, error)
        return _estimate(value, error, at & np.isinf(value))


def _estimate(value: Any, error: Any, infinite: Any = False, status: Any = Status.OK) -> Estimate:
    value, error = np.asarray(value), np.asarray(error)
    flags = np.where(np.isnan(value), int(Status.NOT_COMPUTED), int(status))
    flags = np.where(infinite, int(Status.DIVERGENT), flags)
    if value.ndim == 0:
        number = complex(value) if np.iscomplexobj(value) else float(value)
        return Estimate(number, float(error), Status(int(flags)))
    return Estimate(value, error, flags)


def _exp(x: Any) -> Array:
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(x))
