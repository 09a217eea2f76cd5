r"""Large-depth laws at critical points: lengths, gradients and distances as powers of the depth.

At a critical point nothing decays exponentially. With :math:`q^l` the length and
:math:`\epsilon_l = 1 - c` of a close pair:

.. math:: q^{l+1} = V(q^l), \qquad
   \frac{d^1}{d^L} = \prod_{l=1}^{L} \chi_\perp(q^l) \sim B\,L^{-g}, \qquad
   \epsilon_{l+1} = \frac{q^l}{q^{l+1}} \left(\chi_\perp(q^l)\,\epsilon_l
   - \kappa\,\epsilon_l^{3/2} - \tfrac12 C''\,\epsilon_l^2\right)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import (
    EPS,
    AbstractResult,
    Array,
    Estimate,
    Status,
    along,
    cost,
    missing,
    result,
)
from chione.theory.critical.critical_point import CriticalPoint
from chione.theory.critical.criticality import criticality
from chione.theory.meanfield.length_map import (
    LengthMap,
    carried,
    count,
    mean_square,
    sigmas,
    variances,
)
from chione.theory.meanfield.power_laws import PowerLaw, correlation_power_law
from chione.theory.moments.moments import moments
from chione.theory.moments.taylor import origin, slope_in_q

_LAYER = 2e-4  # CPU seconds of one layer
_BESIDE = 1e-6  # relative distance at which the change of chi_perp is read


@result
class LargeDepth(AbstractResult):
    """Laws at one critical point.

    Parameters
    ----------
    point : CriticalPoint
        The point.
    length : PowerLaw or None
        Of q, or of q - K* on the side that is attracted; None where lengths stay or leave.
    gradient : PowerLaw or None
        Of the mean square gradient over all layers. Its amplitude depends on the start and is not
        given. None where lengths leave the point.
    distance : PowerLaw or None
        Of 1 - c of a close pair; exponent 0 with an amplitude that is missing means that it tends
        to a constant which depends on the start. None where no law is known.
    """

    point: CriticalPoint
    length: PowerLaw | None
    gradient: PowerLaw | None
    distance: PowerLaw | None

    def _parts(self) -> dict[str, Any]:
        laws = {"length": self.length, "gradient": self.gradient, "distance": self.distance}
        return {
            "universality": self.point.universality,
            "k_star": self.point.k_star.to_dict(),
            **{
                name: None
                if law is None
                else {
                    "exponent": law.exponent,
                    "errors": law.errors,
                    "amplitude": law.amplitude.to_dict(),
                    "sentence": law.sentence,
                }
                for name, law in laws.items()
            },
        }


@result
class DeepRun(AbstractResult):
    """The length map iterated through very many layers.

    Parameters
    ----------
    layer : ndarray of int
        Layers that were noted, about ten a decade.
    q : ndarray
        Length of each.
    log_gradient : ndarray
        Natural logarithm of the product of chi_perp over the layers before it.
    errors : dict of str to ndarray
        Bounds on the absolute errors of `q` and `log_gradient`, by name, to first order.
    """

    axes = along("layer", "layer", "q", "log_gradient", "errors")

    layer: Array
    q: Array
    log_gradient: Array
    errors: dict[str, Array]


@cost.ends
def large_depth(phi: ActivationLike) -> tuple[LargeDepth, ...]:
    r"""Exponents and amplitudes at every critical point of an activation.

    ==================  =====================  ==================  =========================
    class               length                 gradient            distance of a close pair
    ==================  =====================  ==================  =========================
    scale-invariant     constant               constant            4 / (kappa^2 l^2)
    K* = 0, smooth      1 / (-a_1 l)           L^(-b_1 / a_1)      constant where phi''(0) = 0
    K* = 0, phi'' jump  4 / (b^2 l^2)          L^-2                constant
    K* = 0, phi' jump   4 / (b^2 l^2)          L^-2                4 / (kappa^2 l^2)
    K* = 0, straight    d^2 / (2 log l)        slower than powers  not known
    half-stable         -2 / (V'' l)           L^(-2 chi' / V'')   2 (1 + p) / (C'' l)
    ==================  =====================  ==================  =========================

    with p the exponent with which gradients grow, :math:`E\,\phi'^2 / v_2 = 1 + b_1 q + \dots`.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.

    Returns
    -------
    tuple of LargeDepth
        In the order of :attr:`Criticality.points`.

    Examples
    --------
    >>> law = large_depth("tanh")[0]
    >>> law.length.exponent, round(law.length.amplitude.value, 12), law.gradient.exponent
    (1.0, 0.5, 1.0)
    """
    act = activation(phi)
    return tuple(_laws(act, p) for p in criticality(act).points)


@cost.ends
def iterate_lengths(
    phi: ActivationLike, *, sigma_w: float, sigma_b: float = 0.0, depth: int, q0: float = 1.0
) -> DeepRun:
    r"""Iterate the length map and the gradient factor layer by layer.

    .. math:: q^{l+1} = V(q^l), \qquad q^1 = \sigma_w^2 q_0 + \sigma_b^2

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    sigma_w, sigma_b : float
        Standard deviations.
    depth : int
        Number of layers; some 10000 a second.
    q0 : float
        Mean square of the input.
    """
    act, depth = activation(phi), count("depth", depth)
    sigma_w, sigma_b = sigmas(sigma_w, sigma_b)
    w2, b2 = variances(sigma_w, sigma_b)
    fits = f"a depth of {int(cost.SECONDS / _LAYER):,} fits; large_depth gives the laws beyond"
    cost.check(f"iterating {depth:.6g} layers", seconds=_LAYER * depth, fits=fits)
    m, map_of_layer = moments(act), LengthMap(moments(act), w2, b2)
    first = w2 * mean_square("q0", q0) + b2
    length, log, log_error = Estimate(first, 2.0 * EPS * first), 0.0, 0.0
    noted = set(np.unique(np.geomspace(1, depth, 10 * len(str(depth))).astype(int)).tolist())
    rows = []
    for layer in range(1, depth + 1):
        q = float(length.value)
        if layer in noted:
            rows.append((layer, q, log, length.error, log_error))
        chi, beside = m.derivative_square(q), m.derivative_square(q * (1.0 + _BESIDE))
        factor = max(chi.value, 1e-300)
        bend = math.inf  # d log chi_perp / d log q
        if math.isfinite(factor):
            bend = abs(beside.value / factor - 1.0) / _BESIDE
        log_error += chi.error / factor + bend * _share(length.error, q) + EPS * (2.0 + abs(log))
        log += math.log(max(w2 * chi.value, 1e-300))
        length = carried(map_of_layer, length)
    layers, lengths, logs, *errors = (np.array(c) for c in zip(*rows, strict=True))
    told = {"q": errors[0], "log_gradient": errors[1]}
    return DeepRun(layers, lengths, logs, told)


def _share(error: float, of: float) -> float:
    return error / of if of > 0.0 else 0.0


def _laws(act: AbstractActivation, p: CriticalPoint) -> LargeDepth:
    if p.universality == "scale-invariant":
        still = PowerLaw("gradient", 0.0, Estimate(1.0, 0.0), "the gradient keeps its size")
        return LargeDepth(p, None, still, correlation_power_law(act, 1.0, p.sigma_w))
    if not p.is_reached:
        return LargeDepth(p, None, None, None)
    if p.fading is not None:
        return _at_zero(act, p)
    return _half_stable(act, p)


def _at_zero(act: AbstractActivation, p: CriticalPoint) -> LargeDepth:
    law, at = p.fading, origin(act)
    if law is None:
        raise ValueError("A point at K* = 0 needs its law of fading.")
    length = _law("q", law.exponent, law.amplitude)
    _, _, v4, w2 = at.small_lengths()
    frozen = PowerLaw(
        "1 - c",
        0.0,
        missing(Status.NOT_COMPUTED),
        "1 - c of a pair tends to a constant that depends on the start",
    )
    kinked = abs(at.right[1] + at.left[1]) > 8.0 * at.error[1]  # phi' jumps at zero
    if law.law == "1/l":
        gradient = _gradient(w2 / v4)
        bent = abs(at.right[2]) > 8.0 * at.error[2]
        return LargeDepth(p, length, gradient, None if bent else frozen)
    if law.law == "1/l^2":
        distance = correlation_power_law(act, 1e-12, p.sigma_w) if kinked else frozen
        return LargeDepth(p, length, _gradient(Estimate.exact(2.0)), distance)
    if law.law == "1/log l":
        words = "the gradient falls slower than any power of the depth"
        slow = PowerLaw("gradient", 0.0, missing(Status.NOT_COMPUTED), words)
        return LargeDepth(p, length, slow, None)
    return LargeDepth(p, length, None, None)


def _half_stable(act: AbstractActivation, p: CriticalPoint) -> LargeDepth:
    if p.universality != "half-stable" or abs(p.curvature.value) <= 8.0 * p.curvature.error:
        return LargeDepth(p, None, None, correlation_power_law(act, p.k_star.value, p.sigma_w))
    amplitude = -2.0 / p.curvature
    late = f", far beyond layer {abs(amplitude.value) / p.k_star.value:.3g}"
    length = _law("q - K*", 1.0, amplitude, late)
    q = float(p.k_star.value)
    drift = slope_in_q(moments(act).derivative_square, q)
    # chi_perp - 1 = growth / l on the attracted side
    growth = p.weight_variance * drift * amplitude
    still = correlation_power_law(act, q, p.sigma_w)
    distance = None
    if still is not None and still.exponent + growth.value > 0.0:
        # eps' = eps (1 + growth / l) - ...: the amplitude at growth = 0, times a factor
        n = still.exponent
        distance = _law("1 - c", n, still.amplitude * (1.0 + growth / n) ** n, late)
    return LargeDepth(p, length, _gradient(-growth, late), distance)


def _gradient(exponent: Estimate, late: str = "") -> PowerLaw:
    g = float(exponent.value)
    sentence = f"the gradient changes like L^{-g:.6g} with the number L of layers{late}"
    errors = {"exponent": float(exponent.error)} if exponent.error > 0.0 else {}
    return PowerLaw("gradient", g, missing(Status.NOT_COMPUTED), sentence, errors)


def _law(quantity: str, exponent: float, amplitude: Estimate, late: str = "") -> PowerLaw:
    shape = "/ log l" if exponent == 0.0 else f"l^-{exponent:g}"
    sentence = f"{quantity} ~ {amplitude.value:.6g} {shape} at large depth l{late}"
    return PowerLaw(quantity, exponent, amplitude, sentence)
