r"""F at z = 0 over all ratios and energies, where H0 is a Wishart matrix.

There the equation of F is a cubic with real coefficients, and linear in the energy. Its real root
F_0 runs one way as the energy grows; the pair that carries the law follows by Vieta. With
:math:`\delta = |1 - \phi|` and :math:`C = 1 - \phi + F_0`

.. math:: \mathrm{Re}\,F = -\tfrac12 C

and energy, F_0 and |F|^2 are products in a parameter q from 0 to infinity, so that no ratio and no
energy is too large or too small for logarithms of them:

.. math::
    \phi < 1: \quad F_0 = \frac{M q}{1 + q}, \quad \epsilon = \frac{K q^2 C}{1 + q}, \quad
        |F|^2 = M q C, \quad (\mathrm{Im}\,F)^2 = \frac{M C (q - q_c)(q + q_d)}{1 + q}

.. math::
    \phi \ge 1: \quad C = \frac{c\, q}{1 + \kappa q}, \quad \epsilon = E F_0^2 q, \quad
        |F|^2 = B F_0 q .
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chione.base import EPS, Array
from chione.theory.spectra.hessian_structure import ACTIVE, Structure

_STEPS = 100
_CLOSE = 40.0  # beyond, exp(t) - 1 and exp(t) are the same


@dataclass(frozen=True)
class ZeroPoint:
    r"""What is known of F at z = 0, arrays of one shape.

    Parameters
    ----------
    log_energy : ndarray
        Logarithm of the energy, less that of the critical energy for ratios below 1.
    by_parameter : ndarray
        Its derivative by the parameter.
    log_size : ndarray
        log |F|.
    cosine, sine : ndarray
        Of the angle psi between F and the negative axis; a negative square of the sine, where zero
        lies in a gap, has the sine 0.
    """

    log_energy: Array
    by_parameter: Array
    log_size: Array
    cosine: Array
    sine: Array


@dataclass(frozen=True)
class Below:
    """Ratios below 1, with the parameter t = log(q / q_c) above 0.

    Parameters
    ----------
    ratio : ndarray
        Ratios, all below 1.
    structure : str
        One with a Wishart H0.
    """

    ratio: Array
    structure: Structure

    @property
    def scale(self) -> Array:
        """M, the limit of F_0 at infinite energy."""
        p, phi = ACTIVE.get(self.structure), self.ratio
        return phi if p is None else phi * (1.0 + 2.0 * p - phi) / (2.0 * p - phi)

    @property
    def log_gain(self) -> Array:
        """Log K."""
        p, phi = ACTIVE.get(self.structure), self.ratio
        if p is None:
            return np.asarray(np.log(0.5 * phi))
        return np.asarray(np.log(2.0 * (1.0 + 2.0 * p - phi)) - 2.0 * np.log(2.0 * p - phi))

    @property
    def log_critical(self) -> Array:
        """Log q_c, the larger root of 4 M q^2 + (3 M - delta) q - delta."""
        m, delta = self.scale, 1.0 - self.ratio
        h = delta - 3.0 * m
        root = np.sqrt(h * h + 16.0 * m * delta)
        return np.where(
            h >= 0.0,
            np.log(abs(h) + root) - np.log(8.0 * m),
            np.log(2.0 * delta) - np.log(root + abs(h)),
        )

    def log_critical_energy(self) -> Array:
        """Log eps_c."""
        lq, m, delta = self.log_critical, self.scale, 1.0 - self.ratio
        c = delta + m * np.exp(lq - np.logaddexp(0.0, lq))
        return self.log_gain + 2.0 * lq + np.log(c) - np.logaddexp(0.0, lq)

    def at(self, t: Array) -> ZeroPoint:
        """F at t."""
        m, delta, critical = self.scale, 1.0 - self.ratio, self.log_critical
        lq = critical + t
        share = np.exp(critical - np.logaddexp(0.0, critical))  # q_c / (1 + q_c)
        grown = np.expm1(np.minimum(t, _CLOSE))
        f0_c = m * share
        c_c = delta + f0_c
        f0 = m * np.exp(lq - np.logaddexp(0.0, lq))
        c = delta + f0
        near = 2.0 * t - np.log1p(share * grown)
        near += np.log1p(f0_c * (1.0 - share) * grown / (1.0 + share * grown) / c_c)
        far = 2.0 * t + np.log(c / c_c) - np.logaddexp(0.0, lq) + np.logaddexp(0.0, critical)
        rest = np.exp(-np.logaddexp(0.0, lq))  # 1 / (1 + q)
        other = delta / (4.0 * m * np.exp(critical))  # q_d, from q_c q_d = delta / 4 M
        size = 0.5 * (np.log(m) + lq + np.log(c))
        square = -np.expm1(-t) * (1.0 + other * np.exp(-lq)) / (1.0 + np.exp(-lq))
        return ZeroPoint(
            np.where(t < _CLOSE, near, far),
            1.0 + rest * (1.0 + f0 / c),
            size,
            np.minimum(0.5 * c * np.exp(-size), 1.0),
            np.sqrt(np.clip(square, 0.0, 1.0)),
        )

    def parameter(self, log_ratio: Array) -> Array:
        """The t at a logarithm of energy over critical energy, above 0."""
        # the derivative of log energy by t lies between 1 and 3
        return _inverse(self.at, log_ratio, log_ratio / 3.0, log_ratio)


@dataclass(frozen=True)
class Above:
    """Ratios from 1 to where zero keeps an atom, with log q or log C as the parameter.

    Parameters
    ----------
    ratio : ndarray
        Ratios, all 1 or more, and below 1 + 2 p for the structures with blocks.
    structure : str
        One with a Wishart H0.
    """

    ratio: Array
    structure: Structure

    def at(self, s: Array) -> ZeroPoint:
        """F at the parameter."""
        p, phi = ACTIVE.get(self.structure), self.ratio
        delta = phi - 1.0
        if p is None:
            top, kappa = 1.0, np.ones_like(phi)
            log_gain, log_b = np.full_like(phi, -np.log(2.0)), np.log(phi)
        else:
            top, kappa = 2.0 * p, 2.0 * p - phi
            log_gain, log_b = np.log(2.0) - np.log(phi), np.log(phi * (1.0 + 2.0 * p - phi))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            bounded = kappa >= 0.0  # C ends at top / kappa: q is the parameter, else C
            lift = np.logaddexp(0.0, np.log(abs(kappa)) + s - np.where(bounded, 0.0, np.log(top)))
            log_c = np.where(bounded, np.log(top) + s - lift, s)
            lq = np.where(bounded, s, s - np.log(top) - lift)
            log_f0 = np.logaddexp(np.log(delta), log_c)
            slope_c = np.where(bounded, np.exp(-lift), 1.0)
            slope_q = np.where(bounded, 1.0, np.exp(-lift))
            size = 0.5 * (log_b + log_f0 + lq)
            cosine = np.exp(log_c - size) / 2.0
            return ZeroPoint(
                log_gain + 2.0 * log_f0 + lq,
                2.0 * np.exp(log_c - log_f0) * slope_c + slope_q,
                size,
                np.minimum(cosine, 1.0),
                np.sqrt(np.clip((1.0 - cosine) * (1.0 + cosine), 0.0, 1.0)),
            )

    def parameter(self, log_energy: Array) -> Array:
        """The parameter at a logarithm of the energy."""
        ones = np.ones_like(log_energy)
        return _inverse(self.at, log_energy, -3000.0 * ones, 3000.0 * ones)


def _inverse(at: Callable[[Array], ZeroPoint], target: Array, low: Array, high: Array) -> Array:
    """The parameter at a log energy between two others: Newton's method inside a bracket."""
    x = 0.5 * (low + high)
    done = np.zeros(x.shape, dtype=bool)
    for _ in range(_STEPS):
        point = at(x)
        miss = point.log_energy - target
        low, high = np.where(miss < 0.0, x, low), np.where(miss < 0.0, high, x)
        new = x - miss / point.by_parameter
        new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
        done |= abs(new - x) <= 2.0 * EPS * abs(x)
        x = np.where(done, x, new)
        if done.all():
            break
    return x
