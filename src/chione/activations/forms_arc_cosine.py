r"""Closed forms of the rectifier family: arc-cosine kernels that keep their digits at c = +-1.

With :math:`\theta = \arccos c` and :math:`\psi = \pi - \theta`, for unit variances,

.. math::

    E\,H(u_1) H(u_2) = \frac{\psi}{2\pi}, \quad
    E\,u_1^+ u_2^+ = \frac{\sin\psi - \psi\cos\psi}{2\pi}, \quad
    E\,(u_1^+ u_2^+)^2 = \frac{\psi (2 + \cos 2\psi) - \tfrac32 \sin 2\psi}{2\pi}.

The last two vanish like the third and fifth power of psi; they are summed as series there.

References
----------
Cho, Saul, "Kernel methods for deep learning" (2009).
"""

from __future__ import annotations

import math

import numpy as np

from chione.activations.accurate import SQRT_2_PI, normal_cdf, normal_density
from chione.activations.protocol import ClosedForms
from chione.base import Array

SOURCE = "Cho, Saul (2009), arc-cosine kernels"
TWO_PI = 2.0 * math.pi
_FAR = 3.0  # t^2 digits of the difference cancel: before this no more than one
_LEVELS = 60  # of the continued fraction: what is left at t = 3 is 2e-17


# of psi^(2 k + 1) in the series, k = 11 to 1: (-1)^(k+1) 2 k / (2 k + 1)!
_FIRST_ORDER = [(-1.0) ** (k + 1) * 2 * k / math.factorial(2 * k + 1) for k in range(11, 0, -1)]


def angle(c: Array) -> Array:
    r""":math:`\psi = \pi - \arccos c = \arccos(-c)`, accurate at both ends."""
    return 2.0 * np.arctan2(np.sqrt(1.0 + c), np.sqrt(1.0 - c))


def near_angle(gap: Array) -> Array:
    """The angle whose cosine is 1 - gap, accurate however small the gap is."""
    return 2.0 * np.arcsin(np.sqrt(0.5 * gap))


def first_order(psi: Array) -> Array:
    r""":math:`\sin\psi - \psi\cos\psi` on [0, pi], with full relative accuracy at 0."""
    small = np.minimum(psi, 1.0)
    square, total = small * small, np.zeros_like(small)
    for coefficient in _FIRST_ORDER:
        total = total * square + coefficient
    series = small * square * total
    return np.where(psi < 1.0, series, np.sin(psi) - psi * np.cos(psi))


def second_order(psi: Array) -> Array:
    r""":math:`\psi(2 + \cos 2\psi) - \frac32 \sin 2\psi` on [0, pi], accurate at 0."""
    u = 2.0 * np.minimum(psi, 1.0)
    total, power, square = np.zeros_like(u), u.copy(), u * u
    for k in range(1, 18):
        power = power * square / (2 * k * (2 * k + 1))
        total = total + ((k - 1) * power if k % 2 == 0 else -(k - 1) * power)
    large = psi * (2.0 + np.cos(2.0 * psi)) - 1.5 * np.sin(2.0 * psi)
    return np.where(psi < 1.0, total, large)


def scale_invariant(above: float, below: float) -> ClosedForms:
    r"""Closed forms of :math:`a_+ x` for x > 0, :math:`a_- x` for x < 0.

    Parameters
    ----------
    above, below : float
        The slopes.
    """
    half = 0.5 * (above * above + below * below)
    mixed = above * below
    middle, step = 0.5 * (above + below), 0.5 * (above - below)

    def kernel(q1: Array, q2: Array, c: Array) -> Array:
        psi, theta = angle(c), angle(-c)
        same = (2.0 * half * first_order(psi) - 2.0 * mixed * first_order(theta)) / TWO_PI
        return np.sqrt(q1) * np.sqrt(q2) * same

    # with a = half - mixed, the mean square of the even part of phi
    even = 0.5 * (above - below) ** 2

    def difference(q1: Array, q2: Array, step: Array, gap: Array) -> Array:
        bend = even * first_order(near_angle(gap)) / math.pi
        return half * root_gap(q1, q2, step) ** 2 + 2.0 * np.sqrt(q1) * np.sqrt(q2) * (
            half * gap - bend
        )

    def total(q1: Array, q2: Array, step: Array, plus: Array) -> Array:
        rest = even + mixed * plus + even * first_order(near_angle(plus)) / math.pi
        return half * root_gap(q1, q2, step) ** 2 + 2.0 * np.sqrt(q1) * np.sqrt(q2) * rest

    def near_slope(q1: Array, q2: Array, gap: Array, plus: Array) -> Array:
        if mixed < 0.0:
            # arcsin c has a root at both ends: from the sine of the angle, c there rounds nothing
            c = np.where(gap < plus, 1.0 - gap, plus - 1.0)
            arcsine = np.arctan2(c, np.sqrt(gap * plus))
            return middle * middle + step * step * (2.0 / math.pi) * arcsine + 0.0 * (q1 + q2)
        theta = 2.0 * np.arctan2(np.sqrt(gap), np.sqrt(plus))
        psi = 2.0 * np.arctan2(np.sqrt(plus), np.sqrt(gap))
        return (half * psi + mixed * theta) / math.pi + 0.0 * (q1 + q2)

    def derivative_kernel(q1: Array, q2: Array, c: Array) -> Array:
        if mixed < 0.0:  # nearly odd sign function: no cancellation at c = 0
            value = middle * middle + step * step * (2.0 / math.pi) * np.arcsin(c)
        else:
            value = (2.0 * half * angle(c) + 2.0 * mixed * angle(-c)) / TWO_PI
        return value + 0.0 * (q1 + q2)

    return ClosedForms(
        mean=lambda q: (above - below) * np.sqrt(q) / SQRT_2_PI,
        mean_square=lambda q: half * q,
        derivative_mean_square=lambda q: half + 0.0 * q,
        length_slope=lambda q: half + 0.0 * q,
        kernel=kernel,
        derivative_kernel=derivative_kernel,
        difference=difference,
        total=total,
        near_slope=near_slope,
        source=SOURCE,
    )


def root_gap(q1: Array, q2: Array, step: Array) -> Array:
    r""":math:`\sqrt{q_1} - \sqrt{q_2}` from the step :math:`q_1 - q_2`."""
    total = np.sqrt(q1) + np.sqrt(q2)
    return np.where(total > 0.0, step / np.where(total > 0.0, total, 1.0), 0.0)


def _distance(q1: Array, q2: Array, step: Array, gap: Array) -> Array:
    """Variance of h1 - h2."""
    return root_gap(q1, q2, step) ** 2 + 2.0 * np.sqrt(q1) * np.sqrt(q2) * gap


def linear() -> ClosedForms:
    """Closed forms of the identity."""
    return ClosedForms(
        mean=lambda q: 0.0 * q,
        mean_square=lambda q: 1.0 * q,
        derivative_mean_square=lambda q: 1.0 + 0.0 * q,
        length_slope=lambda q: 1.0 + 0.0 * q,
        kernel=lambda q1, q2, c: np.sqrt(q1) * np.sqrt(q2) * c,
        derivative_kernel=lambda q1, q2, c: 1.0 + 0.0 * (q1 + q2 + c),
        difference=_distance,
        total=_distance,
        source="second moments of a Gaussian",
    )


def squared_relu() -> ClosedForms:
    r"""Closed forms of :math:`\max(x, 0)^2`."""
    return ClosedForms(
        mean=lambda q: 0.5 * q,
        mean_square=lambda q: 1.5 * q * q,
        derivative_mean_square=lambda q: 2.0 * q,
        length_slope=lambda q: 3.0 * q,
        kernel=lambda q1, q2, c: q1 * q2 * second_order(angle(c)) / TWO_PI,
        derivative_kernel=lambda q1, q2, c: (
            4.0 * np.sqrt(q1) * np.sqrt(q2) * first_order(angle(c)) / TWO_PI
        ),
        difference=lambda q1, q2, step, gap: (
            1.5 * step**2
            + q1 * q2 * (2.0 * gap * (2.0 - gap) + second_order(near_angle(gap)) / math.pi)
        ),
        source=SOURCE,
    )


def step() -> ClosedForms:
    """Closed forms of the Heaviside step; its derivative has no mean square."""
    return ClosedForms(
        mean=lambda q: 0.5 + 0.0 * q,
        mean_square=lambda q: 0.5 + 0.0 * q,
        length_slope=lambda q: 0.0 * q,
        kernel=lambda q1, q2, c: angle(c) / TWO_PI + 0.0 * (q1 + q2),
        difference=lambda q1, q2, step, gap: near_angle(gap) / math.pi + 0.0 * (q1 + q2),
        source=SOURCE,
    )


def sign() -> ClosedForms:
    """Closed forms of the sign; its derivative has no mean square."""
    return ClosedForms(
        mean=lambda q: 0.0 * q,
        mean_square=lambda q: 1.0 + 0.0 * q,
        length_slope=lambda q: 0.0 * q,
        kernel=lambda q1, q2, c: (2.0 / math.pi) * np.arcsin(c) + 0.0 * (q1 + q2),
        difference=lambda q1, q2, step, gap: (4.0 / math.pi) * near_angle(gap) + 0.0 * (q1 + q2),
        total=lambda q1, q2, step, plus: (4.0 / math.pi) * near_angle(plus) + 0.0 * (q1 + q2),
        source=SOURCE,
    )


def shifted_relu(bound: float) -> ClosedForms:
    r"""Moments of :math:`\max(x, -b)`, with :math:`t = b / \sqrt q`.

    .. math::

        E\,\phi = \sqrt q\,(\varphi(t) - t\,\Phi(-t)), \quad
        E\,\phi^2 = q\,(\Phi(t) - t\varphi(t)) + b^2 \Phi(-t), \quad
        E\,\phi'^2 = \Phi(t)
    """

    def ratio(q: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.clip(np.nan_to_num(bound / np.sqrt(q)), -1e150, 1e150)

    def slope(q: Array) -> Array:
        t = ratio(q)
        return normal_cdf(t) - t * normal_density(t)

    return ClosedForms(
        mean=lambda q: np.sqrt(q) * _shortfall(ratio(q)) - 0.0 * q,
        mean_square=lambda q: q * slope(q) + bound * bound * normal_cdf(-ratio(q)),
        derivative_mean_square=lambda q: normal_cdf(ratio(q)),
        length_slope=slope,
        source="truncated moments of a Gaussian",
    )


def _shortfall(t: Array) -> Array:
    r""":math:`\varphi(t) - t\Phi(-t)`; far to the right by the continued fraction of Mills."""
    far = np.maximum(t, _FAR)
    k = np.zeros_like(far)
    for level in range(_LEVELS, 0, -1):
        k = level / (far + k)
    tail = normal_density(far) * k / (far + k)
    return np.where(t > _FAR, tail, normal_density(t) - t * normal_cdf(-t))
