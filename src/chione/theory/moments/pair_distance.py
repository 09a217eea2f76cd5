r"""The distance of two nearly equal inputs behind an activation, by quadrature.

.. math:: E\,[\phi(u_1) - \phi(u_2)]^2 = E\,[\phi(\sqrt{q_1} z) - \phi(\sqrt{q_2} z)]^2
   + 2 \sqrt{q_1 q_2} \int_c^1 R(q_1, q_2, c')\,dc'

Both terms are sums without cancellation, which E phi phi itself is not.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Array, Estimate, missing
from chione.base.status import Status
from chione.gaussian import Integrator
from chione.theory.moments.kernel_drop import kernel_drop
from chione.theory.moments.pair_kernels import slope_quadrature

NEAR = 1e-5  # 1 - c beyond which the plain difference of moments keeps nine digits


@lru_cache(maxsize=4096)
def pair_distance(phi: AbstractActivation, q1: float, q2: float, gap: float) -> Estimate:
    """E (phi(u1) - phi(u2))^2 for 1 - c = `gap`; not computed where nothing cancels."""
    if gap > NEAR or q1 <= 0.0 or q2 <= 0.0:
        return missing(Status.NOT_COMPUTED)
    root = float(np.sqrt(q1)) * float(np.sqrt(q2))
    if q1 == q2:
        drop = kernel_drop(phi, q1, gap)
        return Estimate(2.0 * drop.value, 2.0 * drop.error, drop.status)
    apart = _apart(phi, q1, q2)
    turned = _drop(phi, q1, q2, gap)
    error = apart.error + 2.0 * root * turned.error
    return Estimate(apart.value + 2.0 * root * turned.value, error, apart.status)


def _apart(phi: AbstractActivation, q1: float, q2: float) -> Estimate:
    """The distance of two inputs on one ray."""
    s1, s2 = float(np.sqrt(q1)), float(np.sqrt(q2))
    kinks = tuple(sorted({k / s for k in phi.kinks for s in (s1, s2)}))

    def step(z: Array) -> Array:
        return np.asarray(phi.value(s1 * z) - phi.value(s2 * z))

    found = Integrator(step, kinks, power=2)(1.0)
    size = Integrator(lambda z: phi.value(s1 * z), tuple(k / s1 for k in phi.kinks), power=2)(1.0)
    # each value is rounded before they are subtracted
    rounding = 4.0 * EPS * float(np.sqrt(max(size.value, 0.0)) * np.sqrt(max(found.value, 0.0)))
    return Estimate(found.value, found.error + 2.0 * rounding + rounding**2, found.status)


def _drop(phi: AbstractActivation, q1: float, q2: float, gap: float) -> Estimate:
    """The integral of R from c to 1, in the root of 1 - c, by rules that double."""
    if gap == 0.0:
        return Estimate(0.0, 0.0)
    t, previous = float(np.sqrt(gap)), np.inf
    value = error = change = 0.0
    for n in (4, 8, 16, 32):
        x, w = np.polynomial.legendre.leggauss(n)
        nodes = 0.5 * t * (x + 1.0)
        values = [slope_quadrature(phi, q1, q2, 1.0 - s * s, float(s * s)) for s in nodes]
        weights = t * w * nodes
        value = float(np.dot(weights, [v.value for v in values]))
        error = float(np.dot(weights, [v.error for v in values]))
        change = abs(value - previous)
        if change <= max(1e-12 * abs(value), error) or (n >= 8 and change <= 1e-8 * abs(value)):
            break
        previous = value
    return Estimate(value, error + change + 4.0 * EPS * abs(value))
