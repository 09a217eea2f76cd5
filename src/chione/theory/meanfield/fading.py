r"""How lengths fade at the critical point K* = 0: the sub-classes of that universality class.

With sigma_b = 0 and sigma_w^2 v_2 = 1 the length map at small q is

.. math:: q' = q\,(1 + D(q)), \qquad D(q) = \frac{E\,\phi(\sqrt q z)^2}{v_2\,q} - 1

so the leading term of D decides: lengths fade where it is negative and grow where it is positive.
"""

from __future__ import annotations

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, AbstractResult, Estimate, result
from chione.theory.moments.moments import moments
from chione.theory.moments.taylor import Origin

_STRAIGHT = 1e-12  # relative departure from a straight line that counts as none


@result
class Fading(AbstractResult):
    r"""Leading law of q at large depth l, at the critical point K* = 0.

    .. math:: q \sim A\,l^{-p} \qquad\text{or}\qquad q \sim A / \log l

    Parameters
    ----------
    law : {"1/l", "1/l^2", "power", "1/log l", "grows"}
        ``grows``: lengths leave 0 instead of fading, so K* = 0 repels.
    exponent : float
        p; 0 for the logarithm.
    amplitude : Estimate
        A; NaN where lengths grow.
    rate : Estimate
        The leading coefficient of D: a of :math:`D = a\,q^{1/p}`; negative where lengths fade.
    """

    law: str
    exponent: float
    amplitude: Estimate
    rate: Estimate


def is_straight(phi: AbstractActivation, at: Origin) -> bool:
    """Whether phi is a straight line through zero on each side, over all sizes."""
    if any(k != 0.0 for k in phi.kinks) or not at.is_zero:
        return False
    h = np.geomspace(1e-6, 1e6, 97)
    for side, slope in ((1.0, at.right[1]), (-1.0, at.left[1])):
        if np.any(np.abs(phi.value(side * h) - slope * h) > _STRAIGHT * abs(slope) * h):
            return False
    return True


def fading(phi: AbstractActivation, at: Origin) -> Fading:
    """The law by which lengths leave or reach zero; phi(0) = 0 and a slope there are needed."""
    v2, v3, v4, _ = at.small_lengths()
    if abs(v3.value) > 8.0 * v3.error:
        kappa = v3 / v2
        if kappa.value > 0.0:
            return _grows(2.0, kappa)
        return Fading("1/l^2", 2.0, 4.0 / kappa**2, kappa)
    if abs(v4.value) > 8.0 * v4.error:
        a1 = v4 / v2
        if a1.value > 0.0:
            return _grows(1.0, a1)
        return Fading("1/l", 1.0, -1.0 / a1, a1)
    straight = _straight_until(phi, at)
    if straight > 0.0:
        return _logarithmic(phi, v2.value, straight)
    return _higher_power(phi, v2.value)


def _logarithmic(phi: AbstractActivation, v2: float, reach: float) -> Fading:
    r"""Linear up to |h| = d: D ~ exp(-d^2 / 2q), so q ~ d^2 / (2 log l)."""
    q = reach**2 / 20.0  # D is about e^-10: small, and far above rounding
    d = moments(phi).square(q).value / (v2 * q) - 1.0
    rate = Estimate(float(d), 8.0 * EPS)
    if d > 0.0:
        return _grows(0.0, rate)
    return Fading("1/log l", 0.0, Estimate(0.5 * reach**2, EPS * reach**2), rate)


def _higher_power(phi: AbstractActivation, v2: float) -> Fading:
    """The leading power of D, read off D itself where the Taylor terms up to q vanish."""
    q = 10.0 ** np.arange(-3.0, -1.0, 0.5)
    d = moments(phi).square(q).value / (v2 * q) - 1.0
    good = np.abs(d) > 1e3 * EPS
    if np.count_nonzero(good) < 2:
        return _grows(0.0, Estimate(0.0, 1e3 * EPS))
    first, second = np.flatnonzero(good)[:2]
    power = np.log(d[second] / d[first]) / np.log(q[second] / q[first])
    power = 0.5 * round(2.0 * float(power))
    a = float(d[first] / q[first] ** power)
    error = abs(a) * (abs(d[second] / (a * q[second] ** power) - 1.0) + EPS / abs(d[first]))
    rate = Estimate(a, error)
    if a > 0.0 or power <= 0.0:
        return _grows(1.0 / power if power > 0.0 else 0.0, rate)
    amplitude = (-power * a) ** (-1.0 / power)  # of dq/dl = a q^(1 + power)
    return Fading(
        "power", 1.0 / power, Estimate(amplitude, amplitude * error / (power * abs(a))), rate
    )


def _straight_until(phi: AbstractActivation, at: Origin) -> float:
    """Distance from zero up to which phi is a straight line on each side; 0 where it bends."""
    reach = min((abs(k) for k in phi.kinks if k != 0.0), default=0.0)
    if reach == 0.0:
        return 0.0
    h = reach * np.linspace(0.01, 0.99, 50)
    for side, slope in ((1.0, at.right[1]), (-1.0, at.left[1])):
        if np.any(np.abs(phi.value(side * h) - slope * h) > _STRAIGHT * abs(slope) * h):
            return 0.0
    return float(reach)


def _grows(exponent: float, rate: Estimate) -> Fading:
    return Fading("grows", exponent, Estimate(float("nan"), float("nan")), rate)
