r"""How lengths and correlations settle where a slope is exactly 1: as a power of the depth.

A map :math:`\epsilon' = \epsilon - \kappa\,\epsilon^{1 + 1/p}` leads to
:math:`\epsilon_l \sim (p / \kappa)^p\,l^{-p}`.
"""

from __future__ import annotations

from dataclasses import field

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, AbstractResult, Estimate, Status, result
from chione.gaussian import Integrator
from chione.theory.meanfield.fading import fading
from chione.theory.meanfield.fixed_points import FixedPoint
from chione.theory.moments.moments import moments
from chione.theory.moments.taylor import origin


@result
class PowerLaw(AbstractResult):
    r"""Leading law :math:`A\,l^{-p}` of a quantity at large depth l.

    Parameters
    ----------
    quantity : str
        What decays: "q", "q - q*" or "1 - c".
    exponent : float
        p; zero for :math:`A / \log l`.
    amplitude : Estimate
        A.
    sentence : str
        The law in words.
    errors : dict of str to float
        Bound on the absolute error of `exponent`, by that name, where it is computed; the others
        follow from the class of the point and are exact.
    """

    quantity: str
    exponent: float
    amplitude: Estimate
    sentence: str
    errors: dict[str, float] = field(default_factory=dict)


def correlation_power_law(act: AbstractActivation, q: float, sigma_w: float) -> PowerLaw | None:
    r"""Law of 1 - c at chi_1 = 1 and fixed length q.

    Where phi' jumps by :math:`\Delta_k` at the kinks k, the leading term of the correlation map is

    .. math:: 1 - C = \epsilon - \kappa\,\epsilon^{3/2}, \qquad
       \kappa = \sigma_w^2 \frac{\sqrt 2}{3 \pi} \sum_k \Delta_k^2\, e^{-k^2 / 2q},
       \qquad \epsilon_l \sim \frac{4}{\kappa^2 l^2}

    and for a smooth slope :math:`1 - C = \epsilon - \tfrac12 C''(1)\,\epsilon^2` with
    :math:`C''(1) = \sigma_w^2 q\,E\,\phi''^2`, so :math:`\epsilon_l \sim 2 / (C''(1)\,l)`.
    """
    w2 = sigma_w**2
    masses = [(k, act.jump(1, k)) for k in act.kinks]
    size = max([abs(d) for _, d in masses], default=0.0)
    kinked = sum(d * d * np.exp(-0.5 * k * k / q) for k, d in masses if abs(d) > 1e-9)
    if size > 1e-9 and kinked > 0.0:
        kappa = w2 * np.sqrt(2.0) / (3.0 * np.pi) * kinked
        value = float(4.0 / kappa**2)
        error = value * (16.0 * EPS + 2.0 * act.derivative_error)
        return _law("1 - c", 2.0, Estimate(value, error, Status.OK))
    second = Integrator(
        act.second_derivative, act.kinks, power=2, relative_error=act.derivative_error
    )(q)
    bend = w2 * q * second.value
    if not np.isfinite(bend) or bend <= 0.0:
        return None  # a linear activation: correlations do not move
    return _law("1 - c", 1.0, 2.0 / (w2 * q * second))


def length_power_law(act: AbstractActivation, point: FixedPoint, sigma_w: float) -> PowerLaw | None:
    r"""Law of q at chi_parallel = 1: fading to q* = 0, or approach to a half-stable q*.

    At a half-stable point :math:`\delta' = \delta + \tfrac12 V'' \delta^2`, so
    :math:`\delta_l \sim -2 / (V'' l)` from the side that is attracted.
    """
    q = float(point.q.value)
    if q == 0.0:
        law = fading(act, origin(act))
        if law.law == "grows" or not np.isfinite(law.amplitude.value):
            return None
        return _law("q", law.exponent, law.amplitude)
    m, step = moments(act), 1e-3 * q
    coarse, fine = (
        sigma_w**2 * (m.slope(q + s).value - m.slope(q - s).value) / (2.0 * s)
        for s in (2.0 * step, step)
    )
    bend = (4.0 * fine - coarse) / 3.0  # Richardson: the next term is of order step^4
    if bend == 0.0:
        return None
    value = -2.0 / bend
    return _law("q - q*", 1.0, Estimate(value, abs(value * (fine - coarse) / bend), Status.OK))


def _law(quantity: str, exponent: float, amplitude: Estimate) -> PowerLaw:
    shape = "/ log l" if exponent == 0.0 else f"l^-{exponent:g}"
    sentence = f"{quantity} ~ {amplitude.value:.6g} {shape} at large depth l"
    return PowerLaw(quantity, exponent, amplitude, sentence)
