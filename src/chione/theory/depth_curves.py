r"""Lengths, correlations and gradients layer by layer, at infinite width.

.. math:: q^l = V(q^{l-1}), \qquad 1 - c^l = \frac{\sigma_w^2 [K(1) - K(c^{l-1})]}{V(q^{l-1})},
   \qquad d^l = \sigma_w^2 E\,\phi'(\sqrt{q^l} z)^2\, d^{l+1}
"""

from __future__ import annotations

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import AbstractResult, Array, Status, along, checks, result
from chione.theory.correlation_map import drop_for_curves
from chione.theory.kernel_map import angle, compiles_quickly, kernel_map
from chione.theory.length_map import affine, variances
from chione.theory.moments import moments

_SETTLED = 1e-13  # relative change of q below which one compiled map serves all further layers


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
    """

    axes = along("layer", "q", "c", "one_minus_c", "chi", "gradient", "log10_gradient")

    q: Array
    c: Array
    one_minus_c: Array
    chi: Array
    gradient: Array
    log10_gradient: Array
    status: Status


def trajectory(
    phi: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
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
    """
    act = activation(phi)
    w2, b2 = variances(sigma_w, sigma_b)
    depth = checks.integer("depth", depth)
    q0 = checks.positive("q0", q0)
    c0 = float(checks.correlation("c0", checks.finite("c0", c0)))
    m = moments(act)
    q, gap, chi = (np.full(depth, np.nan) for _ in range(3))
    q[0] = w2 * q0 + b2
    gap[0] = w2 * q0 * (1.0 - c0) / q[0] if q[0] > 0.0 else np.nan
    status = Status.OK
    for l in range(depth):
        chi[l] = affine(m.derivative_square(float(q[l])), w2, 0.0).value
        if l + 1 == depth:
            break
        length = affine(m.square(float(q[l])), w2, b2)
        if length.status not in (Status.OK, Status.INEXACT) or length.value > 1e300:
            status = Status.DIVERGENT
            break
        q[l + 1] = length.value
        if q[l + 1] == 0.0:
            status = Status.UNDEFINED  # a network whose signal is exactly zero
            break
        gap[l + 1] = w2 * _drop(act, q[: l + 1], float(gap[l])) / q[l + 1]
    log_gradient = np.zeros(depth)
    with np.errstate(divide="ignore"):
        steps = np.log10(chi[:-1])
    log_gradient[:-1] = np.cumsum(steps[::-1])[::-1]
    with np.errstate(over="ignore", under="ignore"):
        gradient = 10.0**log_gradient
    return Trajectory(q, 1.0 - gap, gap, chi, gradient, log_gradient, status)


def _drop(act: AbstractActivation, lengths: Array, gap: float) -> float:
    """K(1) - K(c) at the last of the lengths."""
    q = float(lengths[-1])
    if gap == 0.0:
        return 0.0
    settled = len(lengths) > 1 and abs(lengths[-2] - q) <= _SETTLED * q
    if settled and compiles_quickly(act, q):
        # the length of the first settled layer, so that the compiled map is found again
        near = np.abs(lengths - q) <= 4.0 * _SETTLED * q
        first = len(lengths) - int(np.argmin(near[::-1])) if not near.all() else 0
        anchor = float(lengths[min(first, len(lengths) - 1)])
        return float(q * gap * kernel_map(act, anchor).average(angle(gap)))
    return drop_for_curves(act, q, gap)
