r"""Cauchy integrals over [0, 1] of a power times a polynomial, exact next to the interval.

.. math:: J_\alpha(\zeta) = \int_0^1 \frac{u^\alpha}{\zeta - u}\, du
   = \sum_{v^m = \zeta} v^{-k} \log\frac{v}{v - 1}, \qquad \alpha = -\frac{k}{m} \in (-1, 0]
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from chione.base import Array
from chione.freeprob.density_pieces import moments_of_chebyshev
from chione.freeprob.measures import Complex


def cauchy_of_power(zeta: Complex, back: Complex, alpha: Fraction) -> tuple[Complex, Complex]:
    r"""J and its derivative, :math:`\zeta J' = \alpha J + 1 / (1 - \zeta)`, from above on [0, 1].

    Parameters
    ----------
    zeta, back : ndarray of complex, shape (n,)
        A point of the closed upper half plane, and the same less 1, not by subtraction.
    alpha : Fraction
        In (-1, 0].
    """
    m, k = alpha.denominator, -alpha.numerator
    root = zeta ** (1.0 / m)
    value = np.zeros_like(zeta)
    for j in range(m):
        if j:
            v = root * np.exp(2j * np.pi * j / m)
            less = v - 1.0
        else:
            v = root
            less = back / sum(root**i for i in range(m))
            less = less.real + 1j * abs(less.imag)  # -0 would be the other side of the cut
        value += v ** (-k) * _principal(np.log(v) - np.log(less))
    return value, (float(alpha) * value - 1.0 / back) / zeta


def _principal(log: Complex) -> Complex:
    """Imaginary parts brought to (-pi, pi]: of v / (v - 1) the principal logarithm is meant."""
    turn = 2.0 * np.pi * np.round(log.imag / (2.0 * np.pi))
    return np.asarray(log.real + 1j * (log.imag - turn))


def associated(
    zeta: Complex, series: Array, kind: int
) -> tuple[Complex, Complex, Complex, Complex]:
    r"""p, p', q and q' at zeta, :math:`q = \int u^\alpha (p(\zeta) - p(u)) / (\zeta - u)\, du`.

    Of :math:`T_k(2u - 1)` the q obey the recurrence of the polynomials with a source,
    :math:`q_{k+1} = 2 (2 \zeta - 1) q_k - q_{k-1} + 4 \int u^\alpha T_k`.
    """
    source = moments_of_chebyshev(kind)
    x = 2.0 * zeta - 1.0
    one, zero = np.ones_like(zeta), np.zeros_like(zeta)
    t0, t1 = one, x
    d0, d1 = zero, 2.0 * one
    q0, q1 = zero, 2.0 * source[0] * one
    e0, e1 = zero, zero
    out = [series[:, 0] * t + series[:, 1] * s for t, s in ((t0, t1), (d0, d1), (q0, q1), (e0, e1))]
    for k in range(1, series.shape[1] - 1):
        t0, t1 = t1, 2.0 * x * t1 - t0
        d0, d1 = d1, 2.0 * x * d1 - d0 + 4.0 * t0
        q0, q1 = q1, 2.0 * x * q1 - q0 + 4.0 * source[k]
        e0, e1 = e1, 2.0 * x * e1 - e0 + 4.0 * q0
        c = series[:, k + 1]
        out = [o + c * t for o, t in zip(out, (t1, d1, q1, e1), strict=True)]
    return out[0], out[1], out[2], out[3]
