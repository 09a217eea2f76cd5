"""Which q_star keeps the Jacobian of a deep orthogonal network well conditioned, at what cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from itertools import pairwise

import numpy as np
from scipy.optimize import brentq

from chione.activations import ActivationLike, activation
from chione.activations.protocol import AbstractActivation
from chione.base import EPS, AbstractResult, ConvergenceError, Status, checks, cost, result
from chione.gaussian import Integrator, gaussian_nodes
from chione.theory.spectra.jacobian import JacobianSpectrum, jacobian_spectrum
from chione.theory.spectra.jacobian_law import derivative_law
from chione.theory.spectra.jacobian_limits import spread_of

_LOG_Q = (-27.0, 14.0)  # q between 2e-12 and 1e6
_SCAN = 42
_FIT = (1e-4, 1e-3)  # where the power law of the spread at small q is read off


@result
class IsometricInitialization(AbstractResult):
    r"""Critical orthogonal initialisation with a given variance of the spectrum.

    Parameters
    ----------
    q_star : float
        Mean square of the pre-activations.
    sigma_w, sigma_b : float
        The point on the critical line; `sigma_b` is NaN where its square would be negative.
    variance : float
        Variance of the squared singular values at this depth.
    asymptotic_q : float
        Leading behaviour of `q_star` at great depth, NaN where the spread is no power of q.
    exponent : float
        The spread per layer goes like q to this power; NaN where it is no power.
    nonlinearity : float
        Share of the variance of phi(h) that no linear function of h explains: the price.
    status : Status
        NONE where no sigma_b gives this q_star.
    errors : dict of str to float
        Estimated absolute errors of `q_star`, `sigma_w`, `sigma_b`, `variance` and
        `nonlinearity`: the moments behind them are taken a second time by adaptive quadrature, and
        what the two differ by goes through the formulas to first order.
    """

    q_star: float
    sigma_w: float
    sigma_b: float
    variance: float
    asymptotic_q: float
    exponent: float
    nonlinearity: float
    status: Status
    errors: dict[str, float] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.status != Status.OK:
            return (
                f"q_star = {self.q_star:.6g} would need a negative bias variance; no such "
                "initialisation has it as a fixed point."
            )
        return (
            f"sigma_w = {self.sigma_w:.6g}, sigma_b = {self.sigma_b:.6g} (orthogonal) hold the "
            f"variance at {self.variance:.3g}; {100 * self.nonlinearity:.3g} % of the variance of "
            "the units is nonlinear."
        )


@cost.ends
def q_star_for_variance(
    phi: ActivationLike, depth: int, sigma0_sq: float, *, weights: str = "orthogonal"
) -> IsometricInitialization:
    r"""The q_star at which the spectrum of a critical network has a given variance.

    .. math:: L \left( \frac{\mu_2(q_*)}{\mu_1(q_*)^2} - 1 \right) = \sigma_0^2

    Parameters
    ----------
    phi : activation
        Anything that :func:`chione.activation` accepts.
    depth : int
        Number L of layers.
    sigma0_sq : float
        The variance wanted, above 0.
    weights : {"orthogonal"}
        Gaussian weights are refused: their variance is at least L for every q_star.

    Returns
    -------
    IsometricInitialization
        The smallest such q_star with its sigmas, asymptotic form and cost.

    Raises
    ------
    ValueError
        For Gaussian weights or numbers out of range.
    ConvergenceError
        Where no q_star gives this variance (ReLU: L at every q).
    """
    phi = activation(phi)
    L = checks.integer("depth", depth)
    s = checks.positive("sigma0_sq", sigma0_sq)
    if checks.one_of("weights", weights, ("orthogonal", "gaussian")) == "gaussian":
        raise ValueError(
            "with Gaussian weights the variance is L mu_2 / mu_1^2, at least L for every q_star, "
            "so no q_star can hold it; use weights='orthogonal'."
        )
    q = _smallest_q(phi, s / L)
    exponent, amplitude = _power(phi)
    asymptotic = (s / (L * amplitude)) ** (1.0 / exponent) if np.isfinite(exponent) else np.nan
    return _describe(phi, q, L, float(asymptotic), exponent)


@cost.ends
def dynamical_isometry(
    phi: ActivationLike, depth: int, *, variance: float = 0.25
) -> tuple[IsometricInitialization, JacobianSpectrum]:
    """The initialisation that holds the variance, and the spectrum that it has.

    The smaller the variance, the better conditioned the Jacobian and the closer to linear the
    units: `IsometricInitialization.nonlinearity` says how close.

    Parameters
    ----------
    phi : activation
        Anything that :func:`chione.activation` accepts.
    depth : int
        Number L of layers.
    variance : float
        Variance of the squared singular values to be held.
    """
    found = q_star_for_variance(phi, depth, variance)
    spectrum = jacobian_spectrum(phi, q_star=found.q_star, depth=depth, weights="orthogonal")
    return found, spectrum


def _smallest_q(phi: AbstractActivation, target: float) -> float:
    grid = np.linspace(*_LOG_Q, _SCAN)
    last = spread_of(phi, float(np.exp(grid[0]))) - target
    for a, b in pairwise(grid):
        value = spread_of(phi, float(np.exp(b))) - target
        if last <= 0.0 < value or (value <= 0.0 < last):
            root = brentq(lambda u: spread_of(phi, float(np.exp(u))) - target, a, b, xtol=1e-13)
            return float(np.exp(root))
        last = value
    raise ConvergenceError(
        f"no q_star gives {phi.name} this variance: it would need Var(t) / mu_1^2 = {target:.6g} "
        f"per layer, and at q = 1 it is {spread_of(phi, 1.0):.6g}; choose another variance."
    )


def _power(phi: AbstractActivation) -> tuple[float, float]:
    """Exponent (1 or 2) and amplitude of the spread at small q, or NaN."""
    low, high = (spread_of(phi, q) for q in _FIT)
    if low <= 0.0 or high <= 0.0:
        return float("nan"), float("nan")
    slope = np.log(high / low) / np.log(_FIT[1] / _FIT[0])
    exponent = float(np.round(2.0 * slope) / 2.0)
    if abs(slope - exponent) > 0.05 or exponent <= 0.0:
        return float("nan"), float("nan")
    # Two points of the form c q^k (1 + d q^(k/2)) or (1 + d q): extrapolate both, keep the closer.
    a, b = low / _FIT[0] ** exponent, high / _FIT[1] ** exponent
    return exponent, float(a - (b - a) * _FIT[0] / (_FIT[1] - _FIT[0]))


def _describe(
    phi: AbstractActivation, q: float, layers: int, asymptotic: float, exponent: float
) -> IsometricInitialization:
    law = derivative_law(phi, q)
    sigma_w2 = 1.0 / float(law.moments(1)[0])
    h, p = gaussian_nodes(q, breakpoints=tuple(phi.kinks), functions=(phi.value,))
    x = phi.value(h)
    mean, second = float(p @ x), float(p @ (x * x))
    linear = float(p @ (h * x)) ** 2 / q
    left = max(1.0 - linear / (second - mean**2), 0.0)
    sigma_b2 = q - sigma_w2 * second
    if sigma_b2 < -1e-14 * q:
        sigma_b, status = float("nan"), Status.NONE
    else:
        sigma_b, status = float(np.sqrt(max(sigma_b2, 0.0))), Status.OK
    sigma_w, spread = float(np.sqrt(sigma_w2)), spread_of(phi, q)
    spread_error = _spread_error(phi, q, spread)
    q_error = spread_error / abs(_slope(lambda x: spread_of(phi, x), q)) + 1e-13 * q
    squares = Integrator(phi.value, phi.kinks, power=2)(q)
    slopes = Integrator(phi.derivative, phi.kinks, power=2, relative_error=phi.derivative_error)(q)
    w2 = 1.0 / slopes
    w2_error = w2.error + abs(sigma_w2 - w2.value)
    w2_error += (
        abs(_slope(lambda x: 1.0 / float(derivative_law(phi, x).moments(1)[0]), q)) * q_error
    )
    square_error = squares.error + abs(second - squares.value)
    b2_error = w2_error * second + sigma_w2 * square_error + 2.0 * q_error + 4.0 * EPS * q
    errors = {
        "q_star": q_error,
        "sigma_w": w2_error / (2.0 * sigma_w) + EPS * sigma_w,
        "sigma_b": b2_error / max(sigma_b, np.sqrt(b2_error)) if sigma_b == sigma_b else np.nan,
        "variance": layers * (spread_error + 4.0 * EPS * spread),
        # of the first order in the moments, and of 1 - left from the root
        "nonlinearity": 4.0 * (square_error + 8.0 * EPS * second) / (second - mean**2)
        + 2.0 * left * q_error / q,
    }
    return IsometricInitialization(
        q, sigma_w, sigma_b, layers * spread, asymptotic, exponent, left, status, errors
    )


def _spread_error(phi: AbstractActivation, q: float, spread: float) -> float:
    """Of the spread: against the same from two moments, whose cancellation is in their errors."""
    second, fourth = (
        Integrator(phi.derivative, phi.kinks, power=p, relative_error=phi.derivative_error)(q)
        for p in (2, 4)
    )
    apart = fourth / second**2 - 1.0
    # rounding of t / mu_1 is EPS beside a deviation of size sqrt(spread)
    own = 16.0 * EPS * (np.sqrt(spread) + spread)
    off = abs(float(apart.value) - spread)
    return float(own + (off if off > apart.error else 0.0))


def _slope(f: Callable[[float], float], q: float) -> float:
    """Central difference: one digit is enough for an error."""
    step = 1e-3 * q
    return (f(q + step) - f(q - step)) / (2.0 * step)
