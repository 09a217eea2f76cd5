r"""The lower tail of a spectrum, below the radii at which the sums of the law can be trusted.

A law with :math:`P(t \le x) \sim x^k` at 0 has roots of constant angle there, and its spectrum is a
power of lambda, with corrections that are powers of the mass f that is left. The first is kept:

.. math:: \frac{d \log f}{d \log \lambda} = \kappa\,\Big(1 + u \frac{f}{f_0}\Big), \qquad
   f = \frac{f_0 E}{1 + u (1 - E)}, \quad \mathrm{cdf} = \frac{f_0}{\kappa u} \log(1 + u f / f_0),
   \quad E = e^{\kappa (\log \lambda - \log \lambda_0)}

with the density f0 at the floor. A tail that is no power is not followed below the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import EPS, Array
from chione.theory.spectra.jacobian_bands import Band
from chione.theory.spectra.jacobian_curve import Curve, curve_at, curve_errors
from chione.theory.spectra.jacobian_equation import MasterEquation
from chione.theory.spectra.jacobian_slow_tail import SlowTail, slow_tail

_LADDER = 1.0  # steps in log |w| by which the floor is looked for
_TRUST = 1e-4  # relative difference of P to the finer law up to which the sums are trusted
_POWER = 1e-4  # relative change of the power between two steps that still counts as none
_LEAST = 1e-6  # exponent that is none
_LOOSE = 1e-2  # relative error of the density from which no power is read
_DEEP = 25.0  # in log |w| below the top
_BEGIN = 1e-4  # mass below which a tail begins
_LOWEST = -225.0  # of log |w|: below 1e-98 the cubes in the sums leave the range of float64


@dataclass(frozen=True)
class Tail:
    """Where the sums end, and how the law goes on below.

    Parameters
    ----------
    log_lambda : float
        The floor.
    density, cdf : float
        Density by log lambda and cdf (without the atom at 0) at the floor.
    power, drift : float
        The exponent kappa of both far below, NaN where they are no power, and how much it may be
        off.
    bend : float
        The correction u of the exponent at the floor.
    error : float
        Relative error at the floor.
    slow : SlowTail or None
        The tail of a law whose log t spreads widely.
    """

    log_lambda: float
    density: float
    cdf: float
    power: float
    drift: float
    bend: float
    error: float
    slow: SlowTail | None = None

    def values(self, x: Array) -> tuple[Array, Array, Array]:
        """Density, cdf without the atom, and their relative error at x below the floor."""
        if self.slow is not None:
            return self.slow.values(x)
        d = x - self.log_lambda
        factor = np.exp(self.power * d)
        factor = factor / (1.0 + self.bend * (1.0 - factor))
        rounding = 32.0 * EPS * (1.0 + abs(x))
        mass = _mass(self.power, self.bend * factor) / _mass(self.power, self.bend)
        error = self.error - self.drift * d + rounding
        return self.density * factor, self.cdf * factor * mass, error


def begin(eq: MasterEquation, curve: Curve) -> int:
    """Index of the point of the lowest band's curve at which its tail begins."""
    first = int(np.argmax(curve.cdf - _zero(eq) > _BEGIN))
    if first > 0:
        return first
    # A tail that holds much of the mass begins where sums over t start to lose digits.
    return int(np.argmax(curve.log_w.real > curve.log_w.real[-1] - _DEEP))


def tail(eq: MasterEquation, check: MasterEquation, band: Band, curve: Curve) -> Tail:
    """The tail of the lowest band, which reaches 0.

    The sums are trusted down to where the finer law differs, or P from the atom at 0 only by its
    rounding.
    """
    first, zero = begin(eq, curve), _zero(eq)
    log_r = np.arange(curve.log_w.real[first], _LOWEST, -_LADDER)
    log_w, y = eq.on_curve(log_r, np.full(log_r.size, curve.log_w.imag[first]))
    keep = np.nonzero(np.isfinite(log_w.imag))[0]
    log_w, y = log_w[keep], y.pick(keep)
    p, noise = y.p - zero, abs(check.at(log_w).p - y.p) + 4.0 * EPS * zero
    n = int(np.cumprod((noise <= _TRUST * abs(p)) & (y.p.imag < 0.0)).sum())
    if n < 5:
        return Tail(float(curve.log_lambda[0]), *(np.nan,) * 6)
    known = y.log_z.real[:n], 1.0 - eq.above(log_w[:n], y.m[:n])
    for deep in range(n - 1, 0, -8):  # from the deepest point up, until the two descriptions agree
        place, mass = float(known[0][deep]), float(known[1][deep])
        slow = slow_tail(eq, float(log_w.real[deep]), place, mass)
        if slow is not None:
            return Tail(place, np.nan, mass, *(np.nan,) * 3, slow.error, slow)
    c = curve_at(eq, log_w[:n], y.pick(np.arange(n)))
    error = curve_errors(eq, check, c, band)[0] / c.density
    x, f = c.log_lambda, c.density
    local = np.diff(np.log(f)) / np.diff(x)  # the exponent between two steps
    middle = np.sqrt(f[1:] * f[:-1])
    slope = np.diff(local) / np.diff(middle)
    kappa = local[1:] - slope * middle[1:]
    # It settles on the way down until noise moves it again: the floor is in between.
    change = abs(np.diff(kappa))
    at = int(np.argmin(change))
    power, place = float(kappa[at + 1]), at + 3
    floor, density = float(x[place]), float(f[place])
    if not error[place] < _LOOSE or change[at] > _POWER * abs(power) or power < _LEAST:
        return Tail(float(x[-1]), *(np.nan,) * 5, float(error[-1]))  # the sums as far as they go
    bend = float(slope[at + 1]) * density / power
    # what is left of the corrections falls as the mass squared from step to step
    falls = -np.expm1(-2.0 * power * abs(float(x[place] - x[place - 1])))
    drift = 2.0 * float(change[at]) / falls
    cdf = density * float(_mass(power, bend))
    own = float(error[place]) + drift / power
    return Tail(floor, density, cdf, power, drift, bend, own)


def _mass(power: float, bend: Any) -> Any:
    """The cdf over the density, where the exponent is `power` times 1 + `bend`."""
    small = np.abs(bend) < 1e-8
    safe = np.where(small, 1.0, bend)
    return np.where(small, 1.0 - 0.5 * np.asarray(bend), np.log1p(safe) / safe) / power


def _zero(eq: MasterEquation) -> float:
    return float(sum(m for a, m in eq.law.atoms if a == 0.0))
