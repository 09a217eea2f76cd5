r"""The stable fixed point c* of the correlation map, and the slope there.

With :math:`A(c) = [K(1) - K(c)] / q (1 - c)` a pair keeps its correlation where
:math:`\sigma_w^2 A(c^*) = 1`. On [0, 1] the map is convex, so there is one such point below c = 1
if chi_1 > 1, and none otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from chione.activations import AbstractActivation
from chione.base import EPS, AbstractResult, Estimate, Status, missing, result
from chione.theory.meanfield.fixed_points import FixedPoint
from chione.theory.moments.compiled_kernel import compiles_quickly, kernel_map
from chione.theory.moments.kernel_drop import kernel_drop
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_kernels import kernel, slope_at


@result
class CorrelationPoint(AbstractResult):
    """c*, 1 - c* with relative accuracy, and the slope of the correlation map there."""

    c: Estimate
    one_minus_c: Estimate
    slope: Estimate


def correlation_fixed_point(
    act: AbstractActivation, point: FixedPoint, sigma_w: float, *, chaotic: bool
) -> CorrelationPoint:
    """Where the correlation of two inputs settles at a fixed point of the lengths.

    Parameters
    ----------
    act : AbstractActivation
        The activation.
    point : FixedPoint
        The lengths.
    sigma_w : float
        Standard deviation of the weights.
    chaotic : bool
        Whether chi_1 > 1; otherwise c* = 1.
    """
    q, w2 = float(point.q.value), sigma_w**2
    one, zero = Estimate(1.0, 0.0, Status.OK), Estimate(0.0, 0.0, Status.OK)
    if w2 == 0.0:
        return CorrelationPoint(one, zero, zero)
    if q == 0.0:
        return _at_zero_length(act)
    if not chaotic:
        return CorrelationPoint(one, zero, point.chi_perp)
    # phi' of |x|^(1/2) and the like is not square integrable: Price's integral is of no use then
    singular = point.chi_perp.status != Status.OK and not moments(act).has_jumps
    if compiles_quickly(act, q) and not singular:
        average, slope = _compiled(act, q)
    else:
        average, slope = _direct(act, q, singular)

    def excess(theta: float) -> float:
        """(1 - C) / (1 - c) - 1, above zero where the pair drifts apart."""
        return float(w2 * average(theta).value - 1.0)

    theta = 0.5 * np.pi  # c = 0, which only an even kernel without biases keeps
    if excess(theta) < -_noise(average, theta, w2, point):
        low = 2e-3 if singular else 1e-7
        if excess(low) <= 0.0:
            return CorrelationPoint(one, zero, point.chi_perp)
        theta = float(brentq(excess, low, theta, xtol=1e-15, rtol=8.0 * EPS))
        c = float(np.cos(theta))
    else:
        c = 0.0
    gap = float(2.0 * np.sin(0.5 * theta) ** 2)
    here, noise = slope(theta), _noise(average, theta, w2, point)
    # C(c) = c: an error of the map moves c by itself over 1 - C'
    error = noise * gap / max(1.0 - w2 * here.value, EPS)
    # the slope errs by itself, by q, and by C'' times the error of c
    step = 1e-2 * theta
    bend = abs(slope(theta - step).value - slope(theta + step).value) / (2.0 * step * np.sin(theta))
    slope_error = w2 * (here.error + bend * error) + noise * max(abs(w2 * here.value), 1.0)
    return CorrelationPoint(
        Estimate(c, error + EPS, Status.OK),
        Estimate(gap, error + 4.0 * EPS * gap, Status.OK),
        Estimate(w2 * here.value, slope_error, Status.OK),
    )


Curve = Callable[[float], Estimate]


def _compiled(act: AbstractActivation, q: float) -> tuple[Curve, Curve]:
    """A and R as functions of the angle, from the compiled map."""
    compiled = kernel_map(act, q)
    size = float(np.abs(compiled.average(0.25 * np.pi)))

    def average(theta: float) -> Estimate:
        value = float(compiled.average(theta))
        return Estimate(value, (compiled.error + 8.0 * EPS) * max(abs(value), size), Status.OK)

    def slope(theta: float) -> Estimate:
        value = float(compiled.slope(theta))
        return Estimate(value, (compiled.error + 8.0 * EPS) * max(abs(value), size), Status.OK)

    return average, slope


def _direct(act: AbstractActivation, q: float, singular: bool) -> tuple[Curve, Curve]:
    """The same by one double integral for each angle: quicker where few angles are asked for."""

    def average(theta: float) -> Estimate:
        gap = float(2.0 * np.sin(0.5 * theta) ** 2)
        if singular:
            drop = moments(act).square(q) - kernel(act, q, q, 1.0 - gap)
        else:
            drop = kernel_drop(act, q, gap)
        return drop / (q * gap)

    def slope(theta: float) -> Estimate:
        gap, plus = 2.0 * np.sin(0.5 * theta) ** 2, 2.0 * np.cos(0.5 * theta) ** 2
        return slope_at(act, q, float(gap), float(plus))

    return average, slope


def _noise(average: Curve, theta: float, w2: float, point: FixedPoint) -> float:
    """Relative error of sigma_w^2 A: that of A, and of q, which moves it as it moves chi_1."""
    own = w2 * average(theta).error
    return float(own + 2.0 * point.q.error / float(point.q.value) + 8.0 * EPS)


def _at_zero_length(act: AbstractActivation) -> CorrelationPoint:
    """Lengths that fade away leave a linear network, or a leaky ReLU if the slopes differ."""
    slope_one = Estimate(1.0, 0.0, Status.OK)
    left, right = act.derivative(np.array([-1e-300, 1e-300]))
    if left == right:
        none = missing(Status.CONTINUUM)
        return CorrelationPoint(none, none, slope_one)
    # the map of a leaky ReLU, whatever the length, touches c = 1 with slope 1
    return CorrelationPoint(slope_one, Estimate(0.0, 0.0, Status.OK), slope_one)
