r"""Lengths, correlations and gradients layer by layer, at infinite width.

.. math:: q^l = V(q^{l-1}), \qquad 1 - c^l = \frac{\sigma_w^2 [K(1) - K(c^{l-1})]}{V(q^{l-1})},
   \qquad d^l = \sigma_w^2 E\,\phi'(\sqrt{q^l} z)^2\, d^{l+1}
"""

from __future__ import annotations

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, AbstractResult, Array, Estimate, Status, along, checks, cost, result
from chione.theory.depth.trajectory_errors import ANGLE_STEP, trajectory_errors
from chione.theory.meanfield.length_map import LengthMap, count, mean_square, sigmas, variances
from chione.theory.moments.compiled_kernel import angle, compiles_quickly, kernel_map
from chione.theory.moments.kernel_drop import drop_for_curves
from chione.theory.moments.moments import moments
from chione.theory.moments.scale_free import anchor

_SETTLED = 1e-13  # relative change of q below which one compiled map serves all further layers
_LAYER, _UNSETTLED = 1e-4, 4e-3  # CPU seconds of a layer: one look-up, or a double integral
_SILENT = 1e-300  # mean squares below are rounded to a few digits
_NOTED = 1e-9  # relative error of a drop above which its rule did not follow the activation
_UNKNOWN = 0.5  # and above which nothing is known of it, nor of any further layer
_EARLY = 200  # layers after which lengths that still move are taken to move on


@result
class Trajectory(AbstractResult):
    """Infinite-width curves over the layers l = 1 .. L.

    Parameters
    ----------
    q : ndarray, shape (L,)
        Mean square of the pre-activations.
    c, one_minus_c : ndarray, shape (L,)
        Correlation of two inputs of equal length, and one minus it with relative accuracy.
    chi : ndarray, shape (L,)
        Factor on the mean square gradient at each layer, sigma_w^2 E phi'^2 at q of that layer.
    gradient, log10_gradient : ndarray, shape (L,)
        Mean square of dLoss/dh relative to the last layer, and its decimal logarithm.
    status : Status
        ``OK``, or why the curves end: entries beyond are NaN.
    layer : ndarray, shape (L,)
        Numbers of the layers: 1 to L, or a choice of them (:func:`deep_trajectory`).
    errors : dict of str to ndarray
        Estimated absolute error of each of the curves, by its name.
    """

    axes = along(
        "layer", "layer", "q", "c", "one_minus_c", "chi", "gradient", "log10_gradient", "errors"
    )

    q: Array
    c: Array
    one_minus_c: Array
    chi: Array
    gradient: Array
    log10_gradient: Array
    status: Status
    layer: Array
    errors: dict[str, Array]

    @property
    def passed(self) -> Array:
        r"""Decades of the gradient from the read-out to layer l: sum of log10 chi from l on."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log10(np.asarray(self.chi, dtype=np.float64))
            if self.layer.size == self.layer[-1]:
                return np.asarray(np.cumsum(logs[::-1])[::-1])
            return np.asarray(self.log10_gradient + logs[-1])


@cost.ends
def trajectory(
    phi: ActivationLike,
    sigma_w: float,
    sigma_b: float = 0.0,
    *,
    depth: int,
    q0: float = 1.0,
    c0: float = 0.5,
) -> Trajectory:
    r"""Follow two inputs through the layers of an infinitely wide network.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    sigma_w, sigma_b : float
        Standard deviations of weights and biases.
    depth : int
        Number of layers L.
    q0, c0 : float
        Mean square of both inputs (above zero) and their correlation.

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        If a sigma is negative, q0 not above zero, c0 outside [-1, 1] or depth below 1.
    CostError
        If the depth asks for more than a minute of work.

    Notes
    -----
    Lengths that fall below the range of float64 become 0; correlations and gradients go on with
    the moments of small lengths, which do not depend on them.
    """
    act = activation(phi)
    sigma_w, sigma_b = sigmas(sigma_w, sigma_b)
    w2, b2 = variances(sigma_w, sigma_b)
    depth = count("depth", depth)
    q0 = mean_square("q0", q0)
    c0 = float(checks.correlation("c0", checks.finite("c0", c0)))
    _check_cost(depth, _LAYER)
    map_of_layer, small = LengthMap(moments(act), w2, b2), anchor(act, b2)
    q, gap, chi = (np.full(depth, np.nan) for _ in range(3))
    places = np.full(depth, np.nan)  # the lengths at which moments are taken
    off = np.full(depth, ANGLE_STEP)  # relative error of what one layer makes of 1 - c
    q[0] = w2 * q0 + b2
    gap[0] = w2 * q0 * (1.0 - c0) / q[0] if q[0] > 0.0 else np.nan
    status = Status.OK
    for l in range(depth):
        at = places[l] = small.of(float(q[l]))
        chi[l] = map_of_layer.gradient(at).value
        if l + 1 == depth:
            break
        if l == _EARLY and abs(places[l] - places[l - 1]) > _SETTLED * places[l]:
            _check_cost(depth, _UNSETTLED)
        length = map_of_layer.value(at)
        growth = float(q[l]) / at if at != q[l] else 1.0  # what the anchor leaves out
        known = length.status in (Status.OK, Status.INEXACT)
        if not known or length.value > 1e300 / max(growth, 1.0):
            status = Status.DIVERGENT
            break
        if length.value <= _SILENT:
            status = Status.UNDEFINED  # a network whose signal is zero, or too faint for squares
            q[l + 1] = length.value
            break
        q[l + 1] = length.value * growth
        same = l and _rests(places[l - 1 : l + 1]) and _rests(gap[l - 1 : l + 1])
        if same or (l and off[l - 1] >= _UNKNOWN):
            # the question of the layer before, or one without an answer ever since
            gap[l + 1], off[l] = gap[l], off[l - 1]
            continue
        drop = _drop(act, places[: l + 1], float(gap[l]))
        gap[l + 1] = w2 * drop.value / length.value
        if drop.error > _NOTED * drop.value:
            off[l] = drop.error / drop.value if drop.value > 0.0 else np.inf
            gap[l + 1] = gap[l] if off[l] >= _UNKNOWN else gap[l + 1]
    log_gradient = np.zeros(depth)
    with np.errstate(divide="ignore"):
        steps = np.log10(chi[:-1])
    log_gradient[:-1] = np.cumsum(steps[::-1])[::-1]
    with np.errstate(over="ignore", under="ignore"):
        gradient = 10.0**log_gradient
    errors = trajectory_errors(act, q, places, gap, chi, log_gradient, off, w2=w2, b2=b2)
    layer = np.arange(1.0, depth + 1.0)
    return Trajectory(q, 1.0 - gap, gap, chi, gradient, log_gradient, status, layer, errors)


def _check_cost(depth: int, layer: float) -> None:
    layers = float(depth)
    cost.check(
        f"a trajectory through {layers:.6g} layers",
        seconds=layer * layers,
        gigabytes=1.5e-7 * layers,
        fits=f"a depth of {int(cost.SECONDS / layer):,} fits; gain and large_depth take any depth",
    )


def _rests(two: Array) -> bool:
    """Whether a length, or a distance, is that of the layer before but for rounding."""
    return bool(abs(two[1] - two[0]) <= 2.0 * EPS * abs(two[1]))


def _drop(act: AbstractActivation, lengths: Array, gap: float) -> Estimate:
    """K(1) - K(c) at the last of the lengths."""
    q = float(lengths[-1])
    if gap == 0.0:
        return Estimate(0.0, 0.0)
    settled = len(lengths) > 1 and abs(lengths[-2] - q) <= _SETTLED * q
    if settled and compiles_quickly(act, q):
        # the length of the first settled layer, so that the compiled map is found again
        near = np.abs(lengths - q) <= 4.0 * _SETTLED * q
        first = len(lengths) - int(np.argmin(near[::-1])) if not near.all() else 0
        anchor = float(lengths[min(first, len(lengths) - 1)])
        return Estimate(float(q * gap * kernel_map(act, anchor).average(angle(gap))), 0.0)
    return drop_for_curves(act, q, gap)
