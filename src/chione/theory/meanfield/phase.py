r"""Everything mean-field theory says of one choice of (sigma_w, sigma_b).

.. math:: q^* = V(q^*), \quad \chi_\parallel = V'(q^*), \quad
   \chi_\perp = \sigma_w^2 E\,\phi'^2, \quad c^* = C(c^*), \quad
   \xi_q = \frac{-1}{\log|\chi_\parallel|}, \quad \xi_c = \frac{-1}{\log|C'(c^*)|}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, AbstractResult, Estimate, Status, cost, missing, result
from chione.theory.meanfield.correlation_fixed_point import correlation_fixed_point
from chione.theory.meanfield.depth_scale import (
    is_critical,
    scale_of_correlations,
    scale_of_lengths,
)
from chione.theory.meanfield.fixed_points import FixedPoint, FixedPoints, fixed_points, settle
from chione.theory.meanfield.large_lengths import large_length_slopes
from chione.theory.meanfield.length_map import (
    AbstractLengthMap,
    LengthMap,
    mean_square,
    sigmas,
)
from chione.theory.meanfield.power_laws import PowerLaw, correlation_power_law, length_power_law
from chione.theory.moments.moments import moments

ORDERED, CRITICAL, CHAOTIC = "ordered", "critical", "chaotic"
DIVERGENT, NO_POINT = "divergent", "none"
PHASES = (ORDERED, CRITICAL, CHAOTIC, DIVERGENT, NO_POINT)
"""All words for a phase; diagrams store their places in this list."""


@result
class MeanField(AbstractResult):
    """Infinite-width theory of one network at its fixed point.

    Parameters
    ----------
    activation : AbstractActivation
        The activation.
    sigma_w, sigma_b : float
        Standard deviations of weights and biases.
    q_star : Estimate
        Mean square of the pre-activations that lengths settle at, coming from `q0`. With status
        ``CONTINUUM`` every length stays; the value is then the one that the input has.
    c_star : Estimate
        Correlation that two different inputs settle at.
    one_minus_c_star : Estimate
        1 - c*, with relative accuracy.
    chi_parallel, chi_perp : Estimate
        Slope of the length map, and factor on the mean square gradient per layer.
    xi_q, xi_c : Estimate
        Depth scales in layers of lengths and of correlations.
    phase : {"ordered", "critical", "chaotic", "divergent", "none"}
        chi_perp below, at, above 1; or why there is no phase.
    fixed_points : FixedPoints
        All fixed points of the length map.
    power_laws : tuple of PowerLaw
        Laws that replace exponential decay where a slope is exactly 1.
    reached : bool
        False where lengths that start at `q0` diverge although an attracting point exists for
        smaller inputs; the quantities above are then those of that point.
    sentence : str
        The verdict of infinite width in words.
    """

    activation: AbstractActivation
    sigma_w: float
    sigma_b: float
    q_star: Estimate
    c_star: Estimate
    one_minus_c_star: Estimate
    chi_parallel: Estimate
    chi_perp: Estimate
    xi_q: Estimate
    xi_c: Estimate
    phase: str
    fixed_points: FixedPoints
    power_laws: tuple[PowerLaw, ...]
    reached: bool
    sentence: str

    def _parts(self) -> dict[str, Any]:
        names = ("q_star", "c_star", "chi_parallel", "chi_perp", "xi_q", "xi_c")
        return {
            "activation": str(self.activation),
            "sigma_w": self.sigma_w,
            "sigma_b": self.sigma_b,
            "phase": self.phase,
            **{name: getattr(self, name).to_dict() for name in names},
            "power_laws": [law.sentence for law in self.power_laws],
            "reached": self.reached,
            "sentence": self.sentence,
        }


@cost.ends
def mean_field(
    phi: ActivationLike, sigma_w: float, sigma_b: float = 0.0, *, q0: float = 1.0
) -> MeanField:
    r"""Fixed points, susceptibilities, depth scales and phase of one (sigma_w, sigma_b).

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    sigma_w, sigma_b : float
        Standard deviations of weights and biases, zero or above.
    q0 : float
        Mean square of the inputs. It decides between several attracting fixed points, and is the
        length that stays where every length does.

    Returns
    -------
    MeanField

    Raises
    ------
    ValueError
        If a sigma is negative, or q0 not above zero.

    Notes
    -----
    Where all lengths diverge and the activation is linear at large sizes, chi_parallel and
    chi_perp are the limits that they tend to.

    With q* = 0 and an activation that has a slope there, deep layers are linear: the correlation
    stays where the first layers left it, so c* has no value (status ``CONTINUUM``). An activation
    that is flat there, as a square, is its leading power in deep layers, and c* is below 1
    although chi_perp is 0: each layer parts equal inputs, relative to their lengths.

    Examples
    --------
    >>> m = mean_field("tanh", sigma_w=1.3, sigma_b=0.3)
    >>> m.phase, round(m.q_star.value, 6), round(m.chi_perp.value, 6)
    ('ordered', 0.607047, 0.939807)
    """
    act = activation(phi)
    sigma_w, sigma_b = sigmas(sigma_w, sigma_b)
    q0 = mean_square("q0", q0)
    layer = LengthMap.of(act, sigma_w, sigma_b)
    points = fixed_points(act, sigma_w=sigma_w, sigma_b=sigma_b)
    if points.status == Status.CONTINUUM:
        point, reached = _any_point(layer, sigma_w**2 * q0), True
    else:
        start = sigma_w**2 * q0 + sigma_b**2
        chosen, reached = settle(layer, points, start)
        if chosen is None:
            return _without_point(act, sigma_w, sigma_b, points)
        point = chosen
    phase, w2 = phase_of(point.chi_perp), layer.w2
    chaotic = phase == CHAOTIC
    pair = correlation_fixed_point(act, point.q, point.chi_perp, w2, chaotic=chaotic)
    laws = _power_laws(act, point, sigma_w, phase)
    return MeanField(
        act,
        sigma_w,
        sigma_b,
        point.q,
        pair.c,
        pair.one_minus_c,
        point.chi_parallel,
        point.chi_perp,
        scale_of_lengths(act, point.q, point.chi_parallel, w2),
        scale_of_correlations(act, point.q, pair.one_minus_c, pair.slope, w2),
        phase,
        points,
        laws,
        reached,
        _sentence(phase, point.chi_perp, pair.c, moments(act).why_infinite)
        + ("" if reached else _beyond(points, sigma_w, sigma_b, q0)),
    )


def phase_of(chi: Estimate) -> Any:
    """The word for chi_perp, of one point or of many: "ordered", "critical" or "chaotic"."""
    words = np.array(PHASES)[phase_codes(chi)]
    return words if words.ndim else str(words)


def phase_codes(chi: Estimate) -> NDArray[np.int8]:
    """The same as places in :data:`PHASES`."""
    chaotic = np.asarray(chi.status) == Status.INFINITE
    critical = ~chaotic & is_critical(chi)
    ordered = ~chaotic & ~critical & np.less(chi.value, 1.0)
    # places 0 and 1, else 2
    return np.asarray(np.where(ordered, 0, np.where(critical, 1, 2)), np.int8)


def _beyond(points: FixedPoints, sigma_w: float, sigma_b: float, q0: float) -> str:
    """Why lengths from this input do not settle at the attracting point."""
    limits = [p.q.value for p in points.points if p.stability != "stable"]
    largest = (limits[-1] - sigma_b**2) / sigma_w**2 if limits else 0.0
    if largest > 0.0:
        where = f"only inputs of mean square below {largest:.4g} settle there"
    else:
        where = "no input settles there"
    return (
        f"; but {where}: at {q0:g} the lengths diverge, in the end {points.growth:.4g}x a layer"
        if np.isfinite(points.growth.value)
        else f"; but {where}: at {q0:g} the lengths diverge faster than exponentially"
    )


def _any_point(layer: AbstractLengthMap, q: float) -> FixedPoint:
    """One point of a continuum of fixed points."""
    length = Estimate(q, 4.0 * EPS * q, Status.CONTINUUM)
    return FixedPoint(length, layer.slope(q), layer.gradient(q), "stable")


def _without_point(
    act: AbstractActivation, sigma_w: float, sigma_b: float, points: FixedPoints
) -> MeanField:
    diverges = points.status == Status.DIVERGENT
    gone, rest = missing(points.status), missing(Status.NOT_COMPUTED)
    parallel, perp, sentence = rest, rest, points.sentence
    if diverges:
        parallel, perp = large_length_slopes(act, sigma_w)
        if np.isfinite(perp.value):
            sentence += f" There gradients change by {perp.value:.4g}x a layer."
    numbers = (gone, rest, rest, parallel, perp, missing(points.status), rest)
    phase = DIVERGENT if diverges else NO_POINT
    return MeanField(act, sigma_w, sigma_b, *numbers, phase, points, (), False, sentence)


def _power_laws(
    act: AbstractActivation, point: FixedPoint, sigma_w: float, phase: str
) -> tuple[PowerLaw, ...]:
    laws = []
    if is_critical(point.chi_parallel) and point.q.status != Status.CONTINUUM:
        laws.append(length_power_law(act, point, sigma_w))
    if phase == CRITICAL and point.q.value > 0.0:
        laws.append(correlation_power_law(act, float(point.q.value), sigma_w))
    return tuple(law for law in laws if law is not None)


def _sentence(phase: str, chi: Estimate, c: Estimate, why: Callable[[], str]) -> str:
    if phase == ORDERED and c.value < 1.0:  # at q* = 0, where the activation is flat
        return (
            f"ordered: gradients shrink {chi.value:.4g}x a layer, but inputs do not become alike: "
            f"their correlation settles at {c.value:.4g} while their lengths fade"
        )
    if phase == ORDERED and c.status == Status.CONTINUUM:
        return (
            f"ordered: gradients shrink {chi.value:.4g}x a layer and lengths fade, while inputs "
            "keep their correlation"
        )
    if phase == ORDERED:
        return f"ordered: gradients shrink {chi.value:.4g}x a layer and inputs become alike"
    if phase == CRITICAL:
        return (
            "critical: gradients keep their size and inputs become alike only as a power of depth"
        )
    if chi.status == Status.INFINITE:
        return f"chaotic: {why()}, so nearby inputs part at once and have no gradient"
    return f"chaotic: gradients grow {chi.value:.4g}x a layer and nearby inputs drift apart"
